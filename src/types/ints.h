/* ints: a sorted array of distinct integers that fills a value area, all as wide as the widest needs.
 *
 *     | tag, the owner's | width: 2, 4 or 8 | integer | integer | ... |        little endian, ascending,
 * unaligned
 *
 * The area's length is exact. A fresh area is two bytes: the tag and a width of 2. Look-up: binary search;
 * insertion and removal move the tail (an area is a few KiB at most). Insertion returns false for want of
 * memory and has then changed nothing. Pure. Tests: test/unit/set_test.c.
 */
#ifndef WEFT_TYPES_INTS_H
#define WEFT_TYPES_INTS_H

#include "base/check.h"
#include "types/value.h"

#define INTS_HEADER 2u

static inline uint32_t ints_count(const struct value *ints)
{
    return (ints->len - INTS_HEADER) / ints->bytes[1];
}
int64_t ints_at(const struct value *ints, uint32_t index);
/* *index: where it is, or where it would have to go. */
bool ints_find(const struct value *ints, int64_t value, uint32_t *index);
/* The area's length with one more integer, this one. */
uint32_t ints_len_with(const struct value *ints, int64_t value);
bool ints_insert(struct value *ints, uint32_t index, int64_t value);
void ints_remove(struct value *ints, uint32_t index);

#endif
