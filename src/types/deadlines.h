/* deadlines: which of many things in a slab is due first. A heap of (deadline, handle) of four children a
 * node, in chunks of a page's three quarters, so that it grows without moving. Each thing remembers its place
 * in the heap (the owner stores it where `moved` tells), hence any one can be taken out or changed.
 *
 * Cost: 12 bytes each; adding what is due last O(1), anything else O(log4 n) moves. Adding returns false for
 * want of memory and has then changed nothing; nothing else fails. Lives in roots: position independent, zero
 * is empty. Threading: the slab's owner. Tests: test/unit/deadlines_test.c.
 */
#ifndef WEFT_TYPES_DEADLINES_H
#define WEFT_TYPES_DEADLINES_H

#include "base/slab.h"

struct deadlines {
    slab_handle chunks; /* array of chunk handles */
    uint32_t chunks_capacity;
    uint32_t count;
};

/* Called whenever a thing comes to another place (and at first): it must remember it. */
typedef void deadlines_moved(struct slab *slab, slab_handle thing, uint32_t place);

bool deadlines_add(struct deadlines *deadlines, struct slab *slab, deadlines_moved *moved,
                   int64_t deadline_ms, slab_handle thing);
void deadlines_remove(struct deadlines *deadlines, struct slab *slab, deadlines_moved *moved, uint32_t place);
void deadlines_change(struct deadlines *deadlines, struct slab *slab, deadlines_moved *moved, uint32_t place,
                      int64_t deadline_ms);
/* The thing at this place has another handle now. */
void deadlines_rename(struct deadlines *deadlines, struct slab *slab, uint32_t place, slab_handle thing);
/* The earliest deadline, INT64_MAX when there is none; *thing (may be NULL): whose it is. */
int64_t deadlines_first(const struct deadlines *deadlines, const struct slab *slab, slab_handle *thing);
/* What is at a place < count; for checks. */
int64_t deadlines_at(const struct deadlines *deadlines, const struct slab *slab, uint32_t place,
                     slab_handle *thing);
uint64_t deadlines_memory(const struct deadlines *deadlines);
void deadlines_destroy(struct deadlines *deadlines, struct slab *slab);
/* The same step by step (types/value.h): true when it is done. */
bool deadlines_free_some(struct deadlines *deadlines, struct slab *slab, uint32_t *work);

#endif
