/* trace_store: the lines of a trace in memory, bounded, and the file that they go to.
 *
 *   frame:  all of them, up to FRAME_BYTES (then they count as dropped); a part of that is for the last lines
 *   rare:   a ring of a quarter of the limit     | in a ring the newest lines
 *   dense:  a ring of three quarters             | push out the oldest
 *
 * Each line has a number; the file is the three merged by it. Only store_open() and store_write() know of
 * files. store_write() may run in a signal handler. Used by sim/trace.c alone.
 */
#ifndef WEFT_SIM_TRACE_STORE_H
#define WEFT_SIM_TRACE_STORE_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

enum trace_class { TRACE_FRAME, TRACE_RARE, TRACE_DENSE, TRACE_CLASSES, TRACE_LAST = TRACE_CLASSES };
#define TRACE_KINDS_MAX 32

struct trace_store;

/* A path that ends in ".html" gets the page around the lines. NULL: *error is -errno. */
struct trace_store *trace_store_open(const char *path, size_t limit_bytes, int *error);
void trace_store_add(struct trace_store *store, enum trace_class where, int kind, int64_t time_us,
                     const char *line, size_t len);
/* Lines of that kind that were pushed out. */
uint64_t trace_store_dropped(const struct trace_store *store, int kind);
/* All dense events from this time on are there; -1: since the beginning. */
int64_t trace_store_dense_from(const struct trace_store *store);
/* 0 or -errno. Once. */
int trace_store_write(struct trace_store *store);
void trace_store_destroy(struct trace_store *store); /* closes the file */

#endif
