/* wheel: a partition's index of items by deadline: a hierarchical timing wheel (Varghese & Lauck, 1987).
 *
 *   level 0: 64 slots of 1 ms      level 1: 64 of 64 ms      level 2: 64 of 4.1 s
 *   level 3: 64 of 262 s           level 4: 64 of 4.7 h      level 5: 64 of 12.4 days (later ones wait in its
 * last slot)
 *
 * A slot is a doubly linked list threaded through the items' expiry blocks, so filing, removing and moving an
 * item are O(1), nothing is allocated per key, and nothing stale stays behind. An item is filed at its
 * *filing time*: its own deadline, or the earliest deadline of its hash's fields if that comes first. A
 * bitmap per level finds the next occupied slot, so idle time costs nothing.
 *
 * Invariants: W1 an item with an expiry block is in exactly one list. W2 slots at level 0 hold one
 * millisecond only. W3 no item is filed before `now_ms`; what was due earlier sits in the current slot. W4
 * who files an item for a time before `now_ms` turns the wheel back first (partition_file), if the clock is
 * back.
 *
 * The first item of a list carries ITEM_WHEEL_HEAD and the slot's number in `previous`.
 * Threading: the partition's holder. Memory: 1.5 KB from the slab from the first TTL until the last one
 * expired or was evicted. Tests: test/unit/wheel_test.c, store_expiry_test.c.
 */
#ifndef WEFT_STORE_WHEEL_H
#define WEFT_STORE_WHEEL_H

#include "store/item.h"

#define WHEEL_LEVELS 6
#define WHEEL_SLOTS  (WHEEL_LEVELS * 64)

struct wheel {
    slab_handle slots; /* WHEEL_SLOTS list heads in the slab; 0 until the first item is filed */
    uint32_t count;
    int64_t now_ms; /* everything before it has fired */
    uint64_t occupied[WHEEL_LEVELS];
};

/* Makes room for the first file(). False when there is no memory. */
bool wheel_prepare(struct wheel *wheel, struct slab *slab, int64_t now_ms);
/* Files an item that has an expiry block and is in no list. */
void wheel_file(struct wheel *wheel, struct slab *slab, slab_handle item, int64_t filing_time_ms);
/* The clock has gone back: `now_ms` is the time again, so that what is filed next need not wait for the time
 * that was reached before. Each item stays due when it was. Costs a move for each item that is due within
 * about the length of the step after the time that was reached; where the step crosses the boundary of a
 * level, for each within a slot of that level. Does nothing when the wheel is not ahead. */
void wheel_turn_back(struct wheel *wheel, struct slab *slab, int64_t now_ms);
void wheel_remove(struct wheel *wheel, struct slab *slab, slab_handle item);
/* The item's allocation moved (its expiry block was copied along): mends its neighbours' links. */
void wheel_moved(struct wheel *wheel, struct slab *slab, slab_handle item);
/* Takes one item out that is due at `now_ms`; 0 when there is none. Moves items to lower levels on its way,
 * at most
 * `*steps` of them (decremented; when it reaches 0 the answer is 0 although more may be due). */
slab_handle wheel_pop(struct wheel *wheel, struct slab *slab, int64_t now_ms, int *steps);
/* An item with a deadline of its own, out of an early slot: the earliest of some of them, so near to the
 * earliest of all; 0 when there is none among those looked at. */
slab_handle wheel_first(const struct wheel *wheel, struct slab *slab);
/* A time not later than the earliest filing time; INT64_MAX when empty. */
int64_t wheel_next_ms(const struct wheel *wheel);
/* Gives the slots back when nothing is filed. Not between wheel_prepare and the filing that it was for. */
static inline void wheel_release_if_empty(struct wheel *wheel, struct slab *slab)
{
    if (wheel->count || !wheel->slots) return;
    slab_free(slab, wheel->slots, WHEEL_SLOTS * sizeof(slab_handle));
    wheel->slots = 0;
}
/* After slab_reset. */
void wheel_clear(struct wheel *wheel);

#endif
