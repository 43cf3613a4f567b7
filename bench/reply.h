/* Counts complete replies in a RESP2/RESP3 byte stream and looks at nothing else.
 *
 * The scanner keeps no bytes: it may be fed any split of the stream, down to single bytes. It needs no stack
 * for nested replies either: `values_left` is how many values the current reply still lacks, wherever they
 * stand in the nesting; an aggregate adds its elements, every value takes one away, and the reply is complete
 * at zero. Pushes ('>') between replies are counted apart; an attribute ('|') adds its pairs but is itself no
 * value.
 *
 * `skip` is how many payload bytes of a bulk string come next: the caller may throw that many away unread
 * (reply_skip) instead of copying them out of the kernel. Cost: ~5 ns per short reply.
 * Tests: test/bench_test.py (splits every kind of reply at every byte). */
#ifndef WEFT_BENCH_REPLY_H
#define WEFT_BENCH_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reply_scan {
    uint64_t skip;        /* bytes of a bulk payload (and its CRLF) still to come */
    uint64_t values_left; /* 0 between replies */
    uint64_t number;      /* of the header line being read */
    uint64_t replies, errors, pushes;
    char type; /* of the line being read; 0 between lines */
    bool negative, is_push;
    uint8_t first_error_len;
    char first_error[120]; /* text of the first error reply; later ones are only counted */
};

void reply_scan_init(struct reply_scan *s);
/* Takes all `len` bytes. False if they are no RESP; the scanner is of no use afterwards. */
bool reply_scan_feed(struct reply_scan *s, const char *bytes, size_t len);
/* Says that `len` <= s->skip payload bytes were thrown away. */
void reply_scan_skip(struct reply_scan *s, size_t len);

#endif
