/* The frame of SSCAN, HSCAN and ZSCAN: cursor, options, reply. A family's handler does:
 *
 *     if (!element_scan_cursor(ctx, &cursor)) return;
 *     if (!command_open_read_typed(...)) return;
 *     if (!element_scan_begin(ctx, entry.item != NULL, &scan)) return;      an absent key was answered
 *     ... walk; per element: scan.seen++; if (element_scan_matches(...)) reply it; scan.shown += strings ...
 *     element_scan_end(&scan, next_cursor);
 */
#ifndef WEFT_COMMAND_SCAN_ELEMENT_H
#define WEFT_COMMAND_SCAN_ELEMENT_H

#include "command/command.h"

struct element_scan {
    struct reply *reply;
    size_t start;         /* where the reply of this command begins */
    struct slice pattern; /* ptr NULL: any */
    uint64_t count;       /* elements wanted, a hint */
    uint64_t seen, shown; /* elements looked at, strings replied: kept by the caller */
    uint64_t calls;
    bool no_values; /* HSCAN only */
};

/* argv[2]; replies the error itself. */
bool element_scan_cursor(struct command_context *ctx, uint64_t *cursor);
/* Reads the options from argv[3] on. False: all is replied already, an error or, for an absent key, the empty
 * answer. */
bool element_scan_begin(struct command_context *ctx, bool present, struct element_scan *scan);
bool element_scan_matches(const struct element_scan *scan, struct slice element);
/* Whether to walk on: fewer than `count` elements were seen, and not too many empty stretches. */
bool element_scan_wants_more(struct element_scan *scan);
/* Puts cursor and count in front of the elements. */
void element_scan_end(struct element_scan *scan, uint64_t cursor);

#endif
