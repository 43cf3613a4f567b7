/* The packed blob of every small collection: entries one after the other, nothing between them.
 *
 *     value.bytes:  | header (the type's own) | [varint len][bytes] | [varint len][bytes] | ... |   =
 * value.len 0                         start                 offset of an entry
 *
 * An entry is named by its offset in the area; value.len is the end. The area's length is exact, there is no
 * slack and no count (a type keeps one in its header if it wants it). A pair or a triple (field and value,
 * member and score) is that many entries in a row: `stride`.
 *
 * Cost: a look-up reads a length per entry and compares bytes only where lengths agree, ~1 ns an entry;
 * insertion and deletion move the tail (a blob is about VALUE_PACKED_MAX bytes at most). Offsets and entries
 * handed out are good until the next change of the area. Slices given to a mutator must not point into the
 * area. Mutators return false only for want of memory and have then changed nothing. Pure. Tests:
 * test/unit/packed_test.c.
 */
#ifndef WEFT_TYPES_PACKED_H
#define WEFT_TYPES_PACKED_H

#include "base/check.h"
#include "base/varint.h"
#include "types/value.h"

#define PACKED_NONE UINT32_MAX

/* The bytes an entry of `len` bytes takes. */
static inline uint32_t packed_entry_size(size_t len)
{
    return (uint32_t)(varint_size(len) + len);
}

/* The entry at offset `at` of raw bytes; returns the offset of the next one. */
static inline uint32_t packed_read(const uint8_t *bytes, uint32_t at, struct slice *entry)
{
    uint32_t len;
    const uint8_t *ptr = varint_read32(bytes + at, &len);
    *entry = (struct slice){(const char *)ptr, len};
    return (uint32_t)(ptr - bytes) + len;
}

/* Iterates: `for (uint32_t at = start; packed_next(value, &at, &entry);)`. False at the end. */
static inline bool packed_next(const struct value *value, uint32_t *at, struct slice *entry)
{
    if (*at >= value->len) return false;
    *at = packed_read(value->bytes, *at, entry);
    DCHECK(*at <= value->len);
    return true;
}

/* The entry at an offset. */
static inline struct slice packed_at(const struct value *value, uint32_t at)
{
    struct slice entry;
    DCHECK(at < value->len);
    packed_read(value->bytes, at, &entry);
    return entry;
}

/* The offset `entries` further on; value->len when it ends before. */
uint32_t packed_skip(const struct value *value, uint32_t at, uint32_t entries);

/* How many entries there are from `at` on. */
uint32_t packed_count(const struct value *value, uint32_t at);

/* The first entry from `start` on that equals `needle`, looking only at every stride-th; PACKED_NONE if there
 * is none. */
uint32_t packed_find(const struct value *value, uint32_t start, uint32_t stride, struct slice needle);

/* Puts `count` entries before the one at `at` (value->len: appends). The first of them is then at `at`. */
bool packed_insert(struct value *value, uint32_t at, const struct slice *entries, uint32_t count);

/* Gives the entry at `at` other bytes. */
bool packed_replace(struct value *value, uint32_t at, struct slice entry);

/* Takes out `count` entries from `at` on. */
void packed_delete(struct value *value, uint32_t at, uint32_t count);

/* Takes out the bytes [at, end), which must be entry boundaries. */
void packed_delete_range(struct value *value, uint32_t at, uint32_t end);

#endif
