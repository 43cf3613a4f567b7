/* The bytes of a sorted set's two forms (drawn in zset.h), read. Private to zset*.c. */
#ifndef WEFT_TYPES_ZSET_FORM_H
#define WEFT_TYPES_ZSET_FORM_H

#include "types/packed.h"
#include "types/table.h"
#include "types/zset.h"

#define TAG_LARGE    1u
#define TAG_SKIPLIST 2u

struct root {
    uint8_t tag, height;
    uint16_t unused;
    slab_handle tree;
    struct table table;
    uint64_t bytes, hash_seed;
};
_Static_assert(sizeof(struct root) <= 64, "zset root");

/* The root, unpacked, and the table's context. `used` is the slab's count at the time. */
struct large {
    const struct slab *slab;
    uint64_t hash_seed, bytes, used;
    struct zset_tree tree;
    struct table table;
    uint8_t tag;
};

static inline bool is_large(const struct value *zset)
{
    return zset->bytes[0] & TAG_LARGE;
}

static inline void large_read(const struct value *zset, struct large *large)
{
    struct root root;
    DCHECK(is_large(zset) && zset->len == sizeof root);
    memcpy(&root, zset->bytes, sizeof root);
    *large = (struct large){.slab = zset->slab,
                            .hash_seed = root.hash_seed,
                            .bytes = root.bytes,
                            .used = zset->slab->used_bytes,
                            .tree = {root.tree, (uint32_t)table_count(&root.table), root.height},
                            .table = root.table,
                            .tag = root.tag};
}

static inline uint32_t small_count(const struct value *zset)
{
    uint16_t count;
    if (zset->len < ZSET_EMPTY_AREA) return 0; /* fresh, and not yet of its least size */
    memcpy(&count, zset->bytes + 1, 2);
    return count;
}

static inline double score_unpack(struct slice packed)
{
    double score;
    int32_t whole;
    int16_t half;
    switch (packed.len) {
    case 1: return (int8_t)packed.ptr[0];
    case 2: memcpy(&half, packed.ptr, 2); return half;
    case 4: memcpy(&whole, packed.ptr, 4); return whole;
    default:
        DCHECK(packed.len == 8);
        memcpy(&score, packed.ptr, 8);
        return score;
    }
}

/* Reads the pair at *at and goes behind it; false at `end`. */
static inline bool pair_next(const uint8_t *bytes, uint32_t end, uint32_t *at, struct slice *member,
                             double *score)
{
    struct slice packed;
    if (*at >= end) return false;
    *at = packed_read(bytes, *at, member);
    *at = packed_read(bytes, *at, &packed);
    *score = score_unpack(packed);
    return true;
}

/* Of a set's dictionary; the context is its struct large. */
extern const struct table_type zset_table_type;

#endif
