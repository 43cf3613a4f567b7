/* What the files of the table share and nobody else includes: segments, directory, iteration over segments.
 */
#ifndef WEFT_TYPES_TABLE_SHAPE_H
#define WEFT_TYPES_TABLE_SHAPE_H

#include "types/table.h"

#define TABLE_SEGMENT_BUCKETS 64 /* a page */

static inline uint32_t table_segment_buckets(struct table_segment segment)
{
    return (uint32_t)segment.homes + segment.stash;
}

static inline struct table_bucket *table_buckets(const struct slab *slab, struct table_segment segment)
{
    return slab_ptr(slab, segment.buckets);
}

static inline const struct table_segment *table_directory(const struct table *table, const struct slab *slab)
{
    return table->depth == 0 ? &table->only : slab_ptr(slab, table->directory);
}

/* The items of each segment; valid at the first directory index of a segment only. Not for depth 0. */
static inline uint32_t *table_counts(const struct table *table, const struct slab *slab)
{
    struct table_segment *directory = slab_ptr(slab, table->directory);
    return (uint32_t *)(directory + (1u << table->depth));
}

/* Directory entries that a segment takes up. */
static inline uint32_t table_segment_span(const struct table *table, struct table_segment segment)
{
    return 1u << (table->depth - segment.depth);
}

/* The first hash of a directory index. */
static inline uint64_t table_index_hash(const struct table *table, uint32_t index)
{
    return table->depth == 0 ? 0 : (uint64_t)index << (64 - table->depth);
}

static inline uint32_t table_index_of(const struct table *table, uint64_t hash)
{
    return table->depth == 0 ? 0 : (uint32_t)(hash >> (64 - table->depth));
}

/* The first hash of home bucket `home` (homes: one past the segment; 0 when that is one past all hashes) in a
 * segment that begins at hash `start`. A multiple of 256. */
static inline uint64_t table_home_hash(struct table_segment segment, uint64_t start, uint32_t home)
{
    uint64_t local = (((uint64_t)home << 32) + segment.homes - 1) / segment.homes; /* up to 2^32 */
    if (local >> 32) return segment.depth == 0 ? 0 : start + (1ull << (64 - segment.depth));
    return start + ((local << 32) >> segment.depth);
}

#endif
