/* list_chunk: a run of list elements in one slab allocation. Private to list*.c.
 *
 *     | count | cap | begin | end | lp | free ... | entry | entry | ... | entry | ... free |  a chunk: <=
 * CHUNK_MAX CHUNK_HEAD    begin                         end        cap | 1     | 0   | len         | lp |
 * bytes ... |                                          a big one: one element
 *
 *     entry = [varint length] [bytes] [back length]: the back length is the size of what stands before it, 7
 * bits a byte, read from its end towards the front, so that a run can be walked both ways
 *
 * lp is what the elements would take in a Redis listpack (without its 7 bytes of frame): Redis's names for a
 * list's encoding depend on it. There may be room at both ends, so that pushes and pops at either end move
 * nothing. An element whose entry is longer than CHUNK_ENTRY_MAX has a big chunk of its own (up to 4 GiB).
 * Offsets count from the chunk's start. A small list is a bare run of entries in its key's item (list.c); the
 * entry functions serve both.
 *
 * Nothing here but chunk_new, chunk_new_big and chunk_regrow allocates. Tests: test/unit/list_test.c.
 */
#ifndef WEFT_TYPES_LIST_CHUNK_H
#define WEFT_TYPES_LIST_CHUNK_H

#include "base/check.h"
#include "base/slab.h"
#include "base/slice.h"
#include "base/varint.h"

#define CHUNK_HEAD      12u
#define CHUNK_MAX       4096u
#define CHUNK_NEW       1024u /* what a chunk at either end begins with */
#define CHUNK_ENTRY_MAX 1024u

struct chunk {
    uint16_t count;
    uint16_t cap; /* 0: big */
    union {
        struct {
            uint16_t begin, end;
        };
        uint32_t len;
    };
    uint32_t lp;
    uint8_t data[];
};
_Static_assert(sizeof(struct chunk) == CHUNK_HEAD, "chunk head");

static inline struct chunk *chunk_at(const struct slab *slab, slab_handle handle)
{
    return slab_ptr(slab, handle);
}
static inline uint8_t *chunk_bytes(struct chunk *chunk)
{
    return (uint8_t *)chunk;
}
static inline bool chunk_is_big(const struct chunk *chunk)
{
    return chunk->cap == 0;
}
static inline uint32_t chunk_used(const struct chunk *chunk)
{
    return (uint32_t)chunk->end - chunk->begin;
}
static inline uint32_t chunk_spare(const struct chunk *chunk)
{
    return chunk->cap - CHUNK_HEAD - chunk_used(chunk);
}

/* ---- entries ---- */

static inline size_t entry_size(size_t len)
{
    size_t front = varint_size(len) + len;
    return front + varint_size(front);
}
/* Writes an entry of entry_size(element.len) bytes. */
void entry_write(uint8_t *at, struct slice element);
/* The element of the entry at `at`; returns the place behind the entry. */
static inline const uint8_t *entry_read(const uint8_t *at, struct slice *element)
{
    uint64_t len;
    const uint8_t *bytes = varint_read(at, &len);
    *element = (struct slice){(const char *)bytes, (size_t)len};
    return bytes + len + varint_size((size_t)(bytes - at) + len);
}
/* Where the entry that ends at `end` begins. */
static inline const uint8_t *entry_before(const uint8_t *end)
{
    uint64_t front = end[-1] & 0x7f;
    size_t tail = 1;
    for (; UNLIKELY(end[-(ptrdiff_t)tail] & 0x80); tail++) {
        front |= (uint64_t)(end[-(ptrdiff_t)tail - 1] & 0x7f) << (7 * tail);
    }
    return end - tail - front;
}
/* What an element takes in a Redis listpack: integers are stored as such there. */
size_t listpack_size(struct slice element);
/* Goes `n` entries forward, or back. */
const uint8_t *entry_skip(const uint8_t *at, uint32_t n);
const uint8_t *entry_skip_back(const uint8_t *end, uint32_t n);

/* ---- chunks ---- */

/* An empty chunk of at least `cap` bytes; its entries will begin at the front, or (at_back) end at its back.
 */
slab_handle chunk_new(struct slab *slab, uint32_t cap, bool at_back);
slab_handle chunk_new_big(struct slab *slab, struct slice element);
void chunk_free(struct slab *slab, slab_handle handle);
size_t chunk_size(const struct chunk *chunk); /* as it was allocated */

/* The offset of entry `index` <= count, walking from the nearer end. Not for big chunks. */
uint32_t chunk_offset(struct chunk *chunk, uint32_t index);
/* The element `index` < count of a chunk of either kind. */
struct slice chunk_get(struct chunk *chunk, uint32_t index);

/* Puts an element in front of entry `index` <= count; the chunk has the room (chunk_spare). */
void chunk_put(struct chunk *chunk, uint32_t index, struct slice element);
/* Takes `n` elements out. */
void chunk_take(struct chunk *chunk, uint32_t index, uint32_t n);
/* Appends the entries [from, count) of another chunk; there is room. The source keeps them. */
void chunk_append(struct chunk *chunk, struct chunk *source, uint32_t from);
/* Fills an empty chunk with `count` entries of `len` bytes; it has the room. */
void chunk_adopt(struct chunk *chunk, const uint8_t *entries, uint32_t len, uint32_t count);
/* A larger (or smaller) chunk with the same entries, `at_back` or at the front; frees the old one. 0: out of
 * memory, nothing changed. */
slab_handle chunk_regrow(struct slab *slab, slab_handle handle, uint32_t cap, bool at_back);

#endif
