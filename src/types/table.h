/* table: hash table of slab handles, ordered by hash. The keyspace of a partition, large sets, hashes and the
 * dictionaries of sorted sets are tables. It stores handles only; what they point to is the owner's.
 *
 * bucket, one cache line:
 *
 *     0          12        13         16                                                       64
 *     | tag x 12 | control | access   | handle x 12                                            |
 *     | 8 bits   | 8 bits  | 12 x 2   | 32 bits each                                           |
 *
 *     tag      the low 8 bits of the hash, 0 replaced by 255; 0 marks a free slot. One 16-byte compare
 *              finds the candidates of a bucket; a look at a full one brings a wrong one in 4 % of cases
 *     access   how often the item was used lately, up to 3: for CLOCK eviction (table_touch, table_clock)
 *     control  bit 0: items that belong here stand in the next bucket; bits 1-4: ... in stash bucket 0, 1,
 *              2, 3 or later; bits 5-7 are free (a snapshot's colours)
 *
 * segment: 1..64 buckets in one allocation, the last few are stash; `homes` are addressed by the hash:
 *
 *     hash  | directory index: `depth` bits | next 32 bits, times homes, / 2^32 = home bucket | ... | tag |
 *             63 ............................                                                 7 .... 0
 *
 * directory: 2^depth segment words (extendible hashing by the top bits; a segment whose own depth is smaller
 * appears several times), followed by the segments' item counts. A table of one segment keeps its word in
 * the struct itself.
 *
 * So everything is monotone in the hash: bucket by bucket the table is sorted by hash, a scan cursor is
 * simply the hash up to which all has been shown, and growth cannot disturb it.
 *
 * Invariants
 *  1. An item stands in its home bucket, or in the next one (the last wraps to the first) with bit 0 of the
 *     home's control set, or in a stash bucket with that bit set. The bits are exact: they are recomputed
 *     whenever a displaced item leaves.
 *  2. A segment grows 1, 2, 3, ... 8, 10, 12, 15, ... 42, 51, 64 buckets when an item finds no place (at
 *     ~0.93 load), then splits in two; mean load is ~0.83, 6.4 bytes an item. It shrinks below half load,
 *     and joins with its sibling when both are small. One step of growth touches the items of one segment
 *     (at most ~730; 20-40 us). Doubling the directory copies 12 bytes per segment.
 *  3. The directory never gets deeper than TABLE_DEPTH_MAX, nor so deep that segments of that depth would
 *     hold less than 32 items on average; where hashes collide beyond that, the stash grows instead:
 *     correct, but linear.
 *  4. An empty table owns no memory.
 *
 * Cost: a look-up of a present item reads the directory word, one bucket (two or three in ~7 % of the cases
 * at high load) and the item; ~5 ns when all is in the cache. Threading: the slab's owner. A table is
 * position independent (no pointers) and may be copied with memcpy as long as only one copy is used.
 * Tests: test/unit/table_test.c.
 */
#ifndef WEFT_TYPES_TABLE_H
#define WEFT_TYPES_TABLE_H

#include "base/check.h"
#include "base/prng.h"
#include "base/slab.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define TABLE_SLOTS     12
#define TABLE_DEPTH_MAX 24

struct table_bucket {
    uint8_t tags[TABLE_SLOTS];
    uint8_t control;
    uint8_t access[3];
    slab_handle handles[TABLE_SLOTS];
};
_Static_assert(sizeof(struct table_bucket) == 64, "a bucket is a cache line");

#define TABLE_NEIGHBOUR 0x01u
#define TABLE_STASH(i)  (0x02u << ((i) < 3 ? (i) : 3))
#define TABLE_OVERFLOW  0x1fu

/* The word of a segment in the directory. */
struct table_segment {
    slab_handle buckets;
    uint8_t homes; /* 0: there is no segment, the table is empty */
    uint8_t depth;
    uint16_t stash;
};

struct table {
    union {
        struct table_segment only; /* depth 0 */
        struct {
            slab_handle directory;
            uint32_t deepest; /* segments of the directory's own depth */
        };
    };
    uint32_t count;
    uint32_t buckets; /* of all segments */
    uint8_t depth;
    uint16_t widest; /* most buckets that any segment had */
};
_Static_assert(sizeof(struct table) <= 32, "a table lives inside small roots");

/* What a table must know of its items. */
struct table_type {
    uint64_t (*hash)(void *context, slab_handle item);
};
/* Is the item the wanted one? Called for ~1.04 items per successful look-up. */
typedef bool table_match(void *context, slab_handle item, const void *wanted);
typedef void table_visit(void *context, slab_handle item);

static inline void table_init(struct table *table)
{
    *table = (struct table){.count = 0};
}
/* Frees buckets and directory, not the items; the table is empty then. */
void table_destroy(struct table *table, struct slab *slab);
/* The same step by step (types/value.h), items included: `visit` frees one. The table must not be used any
 * more. */
bool table_free_some(struct table *table, struct slab *slab, uint32_t *cursor,
                     void (*visit)(void *context, slab_handle item), void *context, uint32_t *work);
static inline uint64_t table_count(const struct table *table)
{
    return table->count;
}
/* Bytes of buckets and directory. */
size_t table_memory(const struct table *table);

/* ---- look-up ---- */

static inline uint8_t table_tag(uint64_t hash)
{
    return (uint8_t)hash ? (uint8_t)hash : 255;
}

/* The slots, as a bit mask, that carry this tag (0: the free ones). */
static inline unsigned table_bucket_tags(const struct table_bucket *bucket, uint8_t tag)
{
#ifdef __SSE2__
    __m128i tags = _mm_load_si128((const __m128i *)bucket);
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(tags, _mm_set1_epi8((char)tag))) & 0xfff;
#else
    unsigned mask = 0;
    for (unsigned i = 0; i < TABLE_SLOTS; i++) mask |= (unsigned)(bucket->tags[i] == tag) << i;
    return mask;
#endif
}

static inline struct table_segment table_segment_of(const struct table *table, const struct slab *slab,
                                                    uint64_t hash)
{
    if (table->depth == 0) return table->only;
    const struct table_segment *directory = slab_ptr(slab, table->directory);
    return directory[hash >> (64 - table->depth)];
}

static inline uint32_t table_home(struct table_segment segment, uint64_t hash)
{
    uint32_t local = (uint32_t)((hash << segment.depth) >> 32);
    return (uint32_t)(((uint64_t)local * segment.homes) >> 32);
}

/* A function that does nothing but prefetch counts as pure, and gcc 12 drops calls of such: the empty asm
 * keeps it. */
#define TABLE_KEEP_PREFETCH() __asm__ volatile("" :::)

/* Stage 0: asks for the directory's line. */
static inline void table_prefetch_directory(const struct table *table, const struct slab *slab, uint64_t hash)
{
    if (table->depth) {
        const struct table_segment *directory = slab_ptr(slab, table->directory);
        __builtin_prefetch(&directory[hash >> (64 - table->depth)]);
    }
    TABLE_KEEP_PREFETCH();
}

/* Stage 1: asks for the bucket's line. */
static inline void table_prefetch(const struct table *table, const struct slab *slab, uint64_t hash)
{
    struct table_segment segment = table_segment_of(table, slab, hash);
    const struct table_bucket *buckets = slab_ptr(slab, segment.buckets);
    __builtin_prefetch(&buckets[table_home(segment, hash)]);
    TABLE_KEEP_PREFETCH();
}

/* Stage 2, when the bucket has arrived: asks for the candidates' first lines (or for the next bucket). */
static inline void table_prefetch_items(const struct table *table, const struct slab *slab, uint64_t hash)
{
    struct table_segment segment = table_segment_of(table, slab, hash);
    if (segment.homes == 0) return;
    const struct table_bucket *buckets = slab_ptr(slab, segment.buckets);
    uint32_t home = table_home(segment, hash);
    unsigned mask = table_bucket_tags(&buckets[home], table_tag(hash));
    if (LIKELY(mask)) {
        do {
            const char *item = slab_ptr(slab, buckets[home].handles[__builtin_ctz(mask)]);
            __builtin_prefetch(item);
            __builtin_prefetch(item + 64);
            mask &= mask - 1;
        } while (mask);
    } else if (buckets[home].control & TABLE_NEIGHBOUR) {
        __builtin_prefetch(&buckets[home + 1 == segment.homes ? 0 : home + 1]);
    }
    TABLE_KEEP_PREFETCH();
}

__attribute__((always_inline)) static inline slab_handle *table_bucket_find(struct table_bucket *bucket,
                                                                            uint8_t tag, table_match *match,
                                                                            void *context, const void *wanted)
{
    for (unsigned mask = table_bucket_tags(bucket, tag); mask; mask &= mask - 1) {
        slab_handle *slot = &bucket->handles[__builtin_ctz(mask)];
        if (LIKELY(match(context, *slot, wanted))) return slot;
    }
    return NULL;
}

/* Stage 3: the slot of the item with this hash that matches, or NULL. Inlined with its callback: give a
 * constant one. The slot is good until the next insertion or removal; its handle may be overwritten when the
 * item moves. */
__attribute__((always_inline)) static inline slab_handle *table_find(const struct table *table,
                                                                     const struct slab *slab, uint64_t hash,
                                                                     table_match *match, void *context,
                                                                     const void *wanted)
{
    struct table_segment segment = table_segment_of(table, slab, hash);
    if (UNLIKELY(segment.homes == 0)) return NULL;
    struct table_bucket *buckets = slab_ptr(slab, segment.buckets);
    uint32_t home = table_home(segment, hash);
    uint8_t tag = table_tag(hash);
    slab_handle *slot = table_bucket_find(&buckets[home], tag, match, context, wanted);
    if (slot) return slot;
    unsigned control = buckets[home].control;
    if (LIKELY((control & TABLE_OVERFLOW) == 0)) return NULL;
    if (control & TABLE_NEIGHBOUR) {
        slot = table_bucket_find(&buckets[home + 1 == segment.homes ? 0 : home + 1], tag, match, context,
                                 wanted);
        if (slot) return slot;
    }
    for (uint32_t i = 0; i < segment.stash; i++) {
        if ((control & TABLE_STASH(i)) == 0) continue;
        slot = table_bucket_find(&buckets[segment.homes + i], tag, match, context, wanted);
        if (slot) return slot;
    }
    return NULL;
}

/* ---- change ---- */

/* Puts an item in; the caller knows that no equal one is there. Returns its slot; NULL: no memory, nothing
 * changed. All slots handed out before are void. */
slab_handle *table_insert(struct table *table, struct slab *slab, const struct table_type *type,
                          void *context, uint64_t hash, slab_handle item);
/* Takes the item in `slot`, whose hash this is, out; its memory is the caller's matter. Never
 * fails. All slots handed out before are void. */
void table_remove(struct table *table, struct slab *slab, const struct table_type *type, void *context,
                  uint64_t hash, slab_handle *slot);
/* The item moved. */
static inline void table_replace(slab_handle *slot, slab_handle item)
{
    *slot = item;
}

/* The item was used: raises its access count. */
static inline void table_touch(slab_handle *slot)
{
    struct table_bucket *bucket = (struct table_bucket *)((uintptr_t)slot & ~(uintptr_t)63);
    unsigned index = (unsigned)(slot - bucket->handles), shift = index % 4 * 2;
    unsigned access = bucket->access[index / 4];
    if (((access >> shift) & 3) < 3) bucket->access[index / 4] = (uint8_t)(access + (1u << shift));
}
static inline unsigned table_access(const slab_handle *slot)
{
    const struct table_bucket *bucket = (const struct table_bucket *)((uintptr_t)slot & ~(uintptr_t)63);
    unsigned index = (unsigned)(slot - bucket->handles);
    return (bucket->access[index / 4] >> (index % 4 * 2)) & 3;
}

/* ---- walking ---- */

/* Calls back for every item whose hash is in [cursor, next) and returns next; 0 when all is done. Begins with
 * 0. `next` is the end of a bucket, so a call shows about ten items. An item that is there from the first
 * call to the last is shown exactly once, whatever is inserted or removed meanwhile; the callback itself must
 * not change the table. The low 8 bits of a cursor are always 0. */
uint64_t table_scan(const struct table *table, const struct slab *slab, const struct table_type *type,
                    void *context, uint64_t cursor, table_visit *visit, void *visit_context);
/* Shows every item once, in no order. The callback may free the item, not change the table. */
void table_each(const struct table *table, const struct slab *slab, table_visit *visit, void *context);
/* The same item by item; the table must not change between the calls (the shown item may be freed). */
struct table_iter {
    const struct slab *slab;
    struct table table; /* a copy: it may live in a root that is not aligned */
    struct table_segment segment;
    uint32_t index, bucket; /* the next ones */
    unsigned used;          /* slots of the present bucket still to show */
    const struct table_bucket *present;
};
void table_iter_begin(struct table_iter *iter, const struct table *table, const struct slab *slab);
slab_handle table_iter_next(struct table_iter *iter); /* 0 at the end */
/* A random item; NULL when there is none. Each item is equally likely (rejection sampling over slots; after
 * 1,000 misses in a row, which only colliding hashes can cause, the next one at hand is taken). */
slab_handle *table_random(const struct table *table, const struct slab *slab, struct prng *prng);
/* The next victim of CLOCK eviction from *hand on (0 at first): the first item whose access count is 0; those
 * passed by lose one count each. With `ignore_access` counts are neither looked at nor changed. `eligible`
 * (may be NULL) says which items may be taken at all. NULL when four rounds found none. */
slab_handle *table_clock(const struct table *table, const struct slab *slab, uint64_t *hand,
                         bool (*eligible)(void *context, slab_handle item), void *context,
                         bool ignore_access);

/* For tests: checks all invariants that need no item, and with a type those that do. */
void table_check(const struct table *table, const struct slab *slab, const struct table_type *type,
                 void *context);

#endif
