/* set: a Redis set over a value area (types/value.h). Three forms, chosen by size:
 *
 *     INTS    | tag | width | sorted integers of 2, 4 or 8 bytes |       all members integers, area <= 4 KiB
 *     PACKED  | tag | count | entry | entry | ... |  (types/packed.h)    <= 128 members, area <= 2 KiB
 *     TABLE   | tag | struct set_root | -> table of member items         anything
 *
 * A member item is one slab allocation, [varint length][bytes]; with its share of the buckets a 17-byte
 * member takes about 31 bytes. The form only ever moves towards TABLE. The encoding that OBJECT ENCODING
 * shows ("intset", "listpack", "hashtable") is a field of its own in the tag and follows Redis's rules and
 * thresholds exactly; it never goes back either.
 *
 * A fresh area is SET_EMPTY_AREA zero bytes. Slices handed out live until the next change of the set or its
 * item, or as long as the caller's scratch space; slices given to a mutator must not point into the set. At
 * most 2^32 - 1 members. Mutators return VALUE_OK or VALUE_NO_MEMORY (then nothing has changed); removing
 * never fails. Pure; threading: whoever holds the slab. Tests: test/unit/set_test.c.
 */
#ifndef WEFT_TYPES_SET_H
#define WEFT_TYPES_SET_H

#include "base/prng.h"
#include "types/table.h"
#include "types/value.h"

#define SET_EMPTY_AREA 1u
#define SET_SCRATCH    20 /* bytes of scratch: an integer member's text */

struct set_config {
    uint64_t intset_entries_max, listpack_entries_max, listpack_value_max;
    uint64_t hash_seed; /* for a table made now; each table remembers its own */
};

uint64_t set_count(const struct value *set);
bool set_has(const struct value *set, struct slice member);

/* Redis looks at the encoding once before it adds up to `hint` members at once, the first of which is
 * `first`. */
void set_prepare(struct value *set, const struct set_config *config, struct slice first, uint64_t hint);
/* *added: it was not there. */
int set_add(struct value *set, const struct set_config *config, struct slice member, bool *added);
bool set_remove(struct value *set, struct slice member);

/* A member, each equally likely; the set is not empty. */
struct slice set_random(const struct value *set, struct prng *prng, char *scratch);

/* Shows members up to the next cursor, which it returns; 0 at the end. Guarantee: see table_scan. Small forms
 * show all at once. */
typedef void set_visit(void *context, struct slice member);
uint64_t set_scan(const struct value *set, uint64_t cursor, set_visit *visit, void *context);

/* All members; integers ascending, packed ones in the order of insertion. The set must not change meanwhile.
 */
struct set_iter {
    const struct value *set;
    struct table_iter table;
    uint32_t at;
    char scratch[SET_SCRATCH];
};
void set_iter_begin(struct set_iter *iter, const struct value *set);
bool set_iter_next(struct set_iter *iter, struct slice *member);

const char *set_encoding(const struct value *set);
bool set_is_hashtable(const struct value *set); /* as clients see it */
/* In the TABLE form: slices of its members differ in their addresses, and stay where they are. */
bool set_is_table(const struct value *set);
/* A fresh set that *STORE and SPOP fill begins as an intset or as a listpack, whatever comes first. */
void set_start(struct value *set, bool intset);
/* All members turned out to be integers: an intset again, if that may be so long. */
void set_settle_integers(struct value *set, const struct set_config *config);
/* Bytes in the slab beside the area. */
uint64_t set_memory(const struct value *set);
/* Makes `copy`, an empty set of the same or another slab, equal to `set`, encoding included. */
int set_copy(const struct value *set, struct value *copy);
/* Gives back what the area points to; the area is then an empty set's (of any length). */
void set_free(struct value *set);
/* Frees it step by step: types/value.h. */
bool set_free_some(struct value *set, uint32_t *cursor, uint32_t *work);
/* Checks every invariant. For tests. */
void set_verify(const struct value *set);

#endif
