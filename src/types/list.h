/* list: a Redis list over a value area (types/value.h).
 *
 * Small (the whole area at most VALUE_PACKED_MAX bytes): entries in a row.
 *     | tag u8 | count u16 | entry | entry | ...            entries as in list_chunk.h, all-zero bytes: an
 * empty list Large: a root that points to a counted tree of chunks (list_tree.h, list_chunk.h); both ends and
 * any index are reached in O(log n), a chunk holds at most 4 KiB, a longer element has a chunk of its own.
 * The inner form follows the size both ways. The encoding that OBJECT ENCODING shows is a bit of its own,
 * moved by the list_encoding_* functions, which the caller calls where Redis would look: before it adds and
 * after it removes.
 *
 * Indices are 0-based from the head and checked by the caller. Slices handed out live until the next change
 * of the list or its item; slices given to a mutator must not point into the list. At most 2^32 - 1 elements.
 * Mutators return VALUE_OK or VALUE_NO_MEMORY (then the list holds what it held); removing never fails.
 * Pure; threading: whoever holds the slab. Tests: test/unit/list_test.c.
 */
#ifndef WEFT_TYPES_LIST_H
#define WEFT_TYPES_LIST_H

#include "types/list_tree.h"
#include "types/value.h"

#define LIST_EMPTY_AREA 3u /* bytes of a fresh area, all zero */

enum list_end { LIST_HEAD, LIST_TAIL };

uint32_t list_count(const struct value *list);
/* The element at index < count. */
struct slice list_get(const struct value *list, uint32_t index);

/* Pushes elements one after the other: at the head, the last one comes to stand first. All or none. */
int list_push(struct value *list, enum list_end end, const struct slice *elements, uint32_t n);
/* Puts an element in front of the one at index <= count. */
int list_insert(struct value *list, uint32_t index, struct slice element);
/* Gives the element at index < count another value. */
int list_set(struct value *list, uint32_t index, struct slice element);
/* Takes the elements [index, index + n) out. */
void list_remove(struct value *list, uint32_t index, uint32_t n);

/* ---- walking ---- */

/* A place between two elements. Ends with any change of the list. Nothing to release. */
struct list_iter {
    const uint8_t *at, *begin, *end; /* in the present run of entries */
    const struct slab *slab;
    bool chunked, big;
    struct list_path path; /* when chunked */
};
/* To the place in front of the element at index <= count. */
void list_iter_seek(const struct value *list, uint32_t index, struct list_iter *iter);
/* The element behind the place (in front of it), and over it; false at the list's end (head). */
bool list_iter_next(struct list_iter *iter, struct slice *element);
bool list_iter_prev(struct list_iter *iter, struct slice *element);

/* The first element equal to `needle` at or behind index `from` (backward: at or before it), from < count. */
bool list_find(const struct value *list, uint32_t from, bool backward, struct slice needle, uint32_t *index);

/* ---- the encoding that clients see; `fill` is the setting list-max-listpack-size ---- */

bool list_is_quicklist(const struct value *list);
/* About to add `n` elements of `bytes` bytes in sum: does it become a quicklist? */
void list_encoding_grow(struct value *list, int fill, uint64_t bytes, uint64_t n);
/* Has removed: a quicklist at half the limit becomes a listpack again. */
void list_encoding_shrink(struct value *list, int fill);
/* An addition failed: back to what it was before list_encoding_grow(). */
void list_encoding_restore(struct value *list, bool is_quicklist);
/* Was built in one go (RESTORE, loading). */
void list_encoding_settle(struct value *list, int fill);

/* ---- the whole ---- */

/* Bytes in the slab beside the area. */
uint64_t list_memory(const struct value *list);
/* Makes `copy`, a fresh area of any length in the same or another slab, equal to `list`. */
int list_copy(const struct value *list, struct value *copy);
/* Gives back what the area points to; the area is then an empty list's (of any length). */
void list_free(struct value *list);
/* Frees it step by step: types/value.h. */
bool list_free_some(struct value *list, uint32_t *cursor, uint32_t *work);
/* Checks every invariant. For tests. */
void list_verify(const struct value *list);

#endif
