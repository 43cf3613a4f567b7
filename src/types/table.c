/* The table's changes: insertion and growth, removal and shrinking. Layout, invariants and cost: table.h.
 * Walking (scan, random, clock) is in table_walk.c. */
#include "types/table_shape.h"

#include "base/mark.h"
#include "base/mutant.h"
#include <string.h>

#include "types/value.h"

#define JOIN_MAX      460 /* siblings with so many items together are joined (a split leaves ~700) */
#define SPREAD_MIN    32  /* no deeper than where segments would hold so few on average: invariant 3 */
#define DIRECTORY_LEN (sizeof(struct table_segment) + sizeof(uint32_t))

/* Buckets of a segment, in the order of its growth, and how many of them are stash. The last ones fill pages
 * well: 3 segments of 42 buckets take two pages, 5 of 51 four. */
static const uint8_t sizes[] = {1,  2,  3,  4,  5,  6,  7,  8,  10,
                                12, 15, 18, 22, 27, 33, 42, 51, TABLE_SEGMENT_BUCKETS};

static uint32_t stash_of(uint32_t buckets)
{
    return buckets < 3 ? 0 : buckets < 18 ? 1 : buckets < 33 ? 2 : buckets < 51 ? 3 : 4;
}

/* The size that holds `items` at no more than 0.8 load; one size more than the last means "with a long
 * stash". */
static uint32_t size_for(uint32_t items)
{
    uint32_t i = 0;
    while (i < ARRAY_LEN(sizes) && items * 10 > sizes[i] * (uint32_t)TABLE_SLOTS * 8) i++;
    return i;
}

static uint32_t size_index(struct table_segment segment)
{
    uint32_t i = 0, buckets = table_segment_buckets(segment);
    while (i < ARRAY_LEN(sizes) && sizes[i] < buckets) i++;
    return i;
}

static uint16_t widest_of(struct table_segment segment)
{
    uint32_t buckets = table_segment_buckets(segment);
    return buckets > UINT16_MAX ? UINT16_MAX : (uint16_t)buckets;
}

/* An empty segment of size index `size`; beyond the last index one whose stash alone holds `items`. */
static struct table_segment segment_create(struct table *table, struct slab *slab, uint32_t size,
                                           uint32_t items, uint8_t depth)
{
    struct table_segment segment = {.depth = depth};
    uint32_t buckets = TABLE_SEGMENT_BUCKETS, stash;
    if (size < ARRAY_LEN(sizes)) {
        buckets = sizes[size];
        stash = stash_of(buckets);
        segment.homes = (uint8_t)(buckets - stash);
    } else {
        segment.homes = (uint8_t)(buckets - stash_of(buckets));
        stash = items / TABLE_SLOTS + 4;
        if (stash > UINT16_MAX) return (struct table_segment){.homes = 0};
        buckets = segment.homes + stash;
    }
    segment.stash = (uint16_t)stash;
    segment.buckets = slab_alloc_aligned64(slab, (size_t)buckets * sizeof(struct table_bucket));
    if (!segment.buckets) return (struct table_segment){.homes = 0};
    memset(table_buckets(slab, segment), 0, (size_t)buckets * sizeof(struct table_bucket));
    table->buckets += buckets;
    if (table->widest < buckets) table->widest = widest_of(segment);
    return segment;
}

static void segment_free(struct table *table, struct slab *slab, struct table_segment segment)
{
    uint32_t buckets = table_segment_buckets(segment);
    if (segment.homes == 0) return;
    slab_free_aligned64(slab, segment.buckets, (size_t)buckets * sizeof(struct table_bucket));
    table->buckets -= buckets;
}

/* ---- placing items ---- */

static slab_handle *bucket_put(struct table_bucket *bucket, uint8_t tag, slab_handle item)
{
    unsigned free_slots = table_bucket_tags(bucket, 0);
    if (free_slots == 0) return NULL;
    unsigned index = (unsigned)__builtin_ctz(free_slots);
    bucket->tags[index] = tag;
    bucket->handles[index] = item;
    return &bucket->handles[index];
}

/* Puts an item into a segment; NULL when it finds no place. */
static slab_handle *place(struct table_bucket *buckets, struct table_segment segment, uint64_t hash,
                          slab_handle item)
{
    uint8_t tag = table_tag(hash);
    uint32_t home = table_home(segment, hash);
    slab_handle *slot = bucket_put(&buckets[home], tag, item);
    if (LIKELY(slot)) return slot;
    if (segment.homes > 1) {
        slot = bucket_put(&buckets[home + 1 == segment.homes ? 0 : home + 1], tag, item);
        if (slot) {
            buckets[home].control |= TABLE_NEIGHBOUR;
            return slot;
        }
    }
    for (uint32_t i = 0, at = segment.stash ? home % segment.stash : 0; i < segment.stash; i++) {
        slot = bucket_put(&buckets[segment.homes + at], tag, item);
        if (slot) {
            MARK("table.stash");
            buckets[home].control |= TABLE_STASH(at);
            return slot;
        }
        if (++at == segment.stash) at = 0;
    }
    return NULL;
}

/* Where items go when a segment is rebuilt: into to[0], or by one more bit of the hash into to[0] and to[1].
 */
struct refill {
    struct table_segment from, to[2];
    uint32_t counts[2];
    bool split;
};

static void prefetch_bucket_items(const struct slab *slab, const struct table_bucket *bucket)
{
    for (unsigned used = ~table_bucket_tags(bucket, 0) & 0xfff; used; used &= used - 1)
        __builtin_prefetch(slab_ptr(slab, bucket->handles[__builtin_ctz(used)]));
}

/* Puts all items of refill->from into refill->to. -1, or the index of the segment that is too small. */
static int refill_from(struct refill *refill, const struct slab *slab, const struct table_type *type,
                       void *context)
{
    uint32_t total = table_segment_buckets(refill->from);
    struct table_bucket *from = table_buckets(slab, refill->from);
    prefetch_bucket_items(slab, &from[0]);
    for (uint32_t i = 0; i < total; i++) {
        if (i + 1 < total) prefetch_bucket_items(slab, &from[i + 1]);
        for (unsigned used = ~table_bucket_tags(&from[i], 0) & 0xfff; used; used &= used - 1) {
            slab_handle *slot = &from[i].handles[__builtin_ctz(used)];
            uint64_t hash = type->hash(context, *slot);
            unsigned side = refill->split ? (hash >> (63 - refill->from.depth)) & 1 : 0;
            struct table_segment to = refill->to[side];
            slab_handle *placed = place(table_buckets(slab, to), to, hash, *slot);
            if (!placed) return (int)side;
            for (unsigned access = table_access(slot); access > 0; access--) table_touch(placed);
            refill->counts[side]++;
        }
    }
    return -1;
}

/* ---- growth ---- */

static uint32_t segment_count(const struct table *table, const struct slab *slab, uint32_t first)
{
    return table->depth == 0 ? table->count : table_counts(table, slab)[first];
}

/* Enters a segment at all its directory indexes. */
static void directory_set(struct table *table, struct slab *slab, uint32_t first,
                          struct table_segment segment, uint32_t count)
{
    if (table->depth == 0) {
        table->only = segment;
        return;
    }
    struct table_segment *directory = slab_ptr(slab, table->directory);
    uint32_t span = table_segment_span(table, segment);
    for (uint32_t i = 0; i < span; i++) directory[first + i] = segment;
    table_counts(table, slab)[first] = count;
}

/* Doubles the directory; false: no memory. */
static bool directory_double(struct table *table, struct slab *slab)
{
    slab_handle grown = slab_alloc(slab, DIRECTORY_LEN << (table->depth + 1));
    if (!grown) return false;
    uint32_t entries = 1u << table->depth;
    const struct table_segment *old = table_directory(table, slab);
    struct table_segment *new = slab_ptr(slab, grown);
    uint32_t *counts = (uint32_t *)(new + 2 * entries);
    for (uint32_t i = 0; i < entries; i++) {
        new[2 * i] = new[2 * i + 1] = old[i];
        counts[2 * i] = segment_count(table, slab, i);
        counts[2 * i + 1] = 0;
    }
    MARK("table.directory_doubled");
    if (table->depth > 0) slab_free(slab, table->directory, DIRECTORY_LEN << table->depth);
    table->directory = grown;
    table->deepest = 0;
    table->depth++;
    return true;
}

/* Gives the segment at `first` another size, the first from `size` on that holds its items. False: no memory.
 */
static bool segment_resize(struct table *table, struct slab *slab, const struct table_type *type,
                           void *context, uint32_t first, uint32_t size)
{
    struct refill refill = {.from = table_directory(table, slab)[first]};
    uint32_t items = segment_count(table, slab, first);
    for (;; size++) {
        refill.to[0] = segment_create(table, slab, size, items, refill.from.depth);
        if (refill.to[0].homes == 0) return false;
        refill.counts[0] = 0;
        if (refill_from(&refill, slab, type, context) < 0) break;
        segment_free(table, slab, refill.to[0]);
    }
    DCHECK(refill.counts[0] == items);
    segment_free(table, slab, refill.from);
    directory_set(table, slab, first, refill.to[0], items);
    if (table->depth == 0) table->widest = widest_of(refill.to[0]);
    return true;
}

/* Fills refill->to with two segments that hold the items of refill->from. False: no memory, both are freed.
 */
static bool split_items(struct table *table, struct slab *slab, const struct table_type *type, void *context,
                        struct refill *refill, uint32_t items)
{
    /* How many go to either side: by their home buckets, which are in the order of the hash. */
    const struct table_bucket *from = table_buckets(slab, refill->from);
    uint32_t size[2], estimate[2] = {0, 0}, homes = refill->from.homes;
    for (uint32_t i = 0; i < homes; i++)
        estimate[i * 2 >= homes] +=
            TABLE_SLOTS - (uint32_t)__builtin_popcount(table_bucket_tags(&from[i], 0));
    uint32_t stashed = items - estimate[0] - estimate[1];
    for (int side = 0; side < 2; side++) size[side] = size_for(estimate[side] + stashed / 2);
    for (;;) {
        for (int side = 0; side < 2; side++) {
            refill->to[side] = segment_create(table, slab, size[side], items, refill->from.depth + 1);
            refill->counts[side] = 0;
        }
        bool created = refill->to[0].homes && refill->to[1].homes;
        int failed = created ? refill_from(refill, slab, type, context) : 0;
        if (failed < 0) return true;
        for (int side = 0; side < 2; side++) segment_free(table, slab, refill->to[side]);
        if (!created) return false;
        size[failed]++;
    }
}

/* Splits the segment at `first` in two. False: no memory. */
static bool segment_split(struct table *table, struct slab *slab, const struct table_type *type,
                          void *context, uint32_t first)
{
    MARK("table.split");
    struct refill refill = {.from = table_directory(table, slab)[first], .split = true};
    if (!split_items(table, slab, type, context, &refill, segment_count(table, slab, first))) return false;
    if (refill.from.depth == table->depth) {
        if (!directory_double(table, slab)) {
            for (int side = 0; side < 2; side++) segment_free(table, slab, refill.to[side]);
            return false;
        }
        first *= 2;
    }
    if (refill.to[0].depth == table->depth) table->deepest += 2;
    segment_free(table, slab, refill.from);
    directory_set(table, slab, first, refill.to[0], refill.counts[0]);
    directory_set(table, slab, first + table_segment_span(table, refill.to[0]), refill.to[1],
                  refill.counts[!MUTANT(table_split_count)]);
    return true;
}

/* One step towards a place for an item of this hash. False: no memory. */
static bool grow(struct table *table, struct slab *slab, const struct table_type *type, void *context,
                 uint64_t hash)
{
    uint32_t index = table_index_of(table, hash);
    struct table_segment segment = table_directory(table, slab)[index];
    uint32_t first = index & ~(table_segment_span(table, segment) - 1);
    uint32_t size = size_index(segment) + 1;
    if (size < ARRAY_LEN(sizes)) return segment_resize(table, slab, type, context, first, size);
    if (segment.depth < TABLE_DEPTH_MAX && table->count >> (segment.depth + 1) >= SPREAD_MIN)
        return segment_split(table, slab, type, context, first);
    /* Colliding hashes: a longer stash. */
    struct refill refill = {.from = segment};
    uint32_t items = segment_count(table, slab, first);
    refill.to[0] = segment_create(table, slab, ARRAY_LEN(sizes), items + items / 2, segment.depth);
    if (refill.to[0].homes == 0) return false;
    int failed = refill_from(&refill, slab, type, context);
    CHECK(failed < 0);
    segment_free(table, slab, segment);
    directory_set(table, slab, first, refill.to[0], items);
    return true;
}

slab_handle *table_insert(struct table *table, struct slab *slab, const struct table_type *type,
                          void *context, uint64_t hash, slab_handle item)
{
    DCHECK(item != 0);
    if (UNLIKELY(table->count == 0 && table->depth == 0 && table->only.homes == 0)) {
        struct table_segment segment = segment_create(table, slab, 0, 0, 0);
        if (segment.homes == 0) return NULL;
        table->only = segment;
    }
    for (;;) {
        struct table_segment segment = table_segment_of(table, slab, hash);
        slab_handle *slot = place(table_buckets(slab, segment), segment, hash, item);
        if (LIKELY(slot)) {
            table->count++;
            if (table->depth > 0)
                table_counts(table,
                             slab)[table_index_of(table, hash) & ~(table_segment_span(table, segment) - 1)]++;
            return slot;
        }
        if (!grow(table, slab, type, context, hash)) return NULL;
    }
}

/* ---- removal ---- */

static bool any_of_home(const struct table_bucket *bucket, struct table_segment segment, uint32_t home,
                        const struct table_type *type, void *context)
{
    for (unsigned used = ~table_bucket_tags(bucket, 0) & 0xfff; used; used &= used - 1)
        if (table_home(segment, type->hash(context, bucket->handles[__builtin_ctz(used)])) == home)
            return true;
    return false;
}

/* An item of `home` has left bucket `at`: do others of that home still stand where the control bit says so?
 */
static void control_recompute(const struct slab *slab, struct table_segment segment, uint32_t home,
                              uint32_t at, const struct table_type *type, void *context)
{
    struct table_bucket *buckets = table_buckets(slab, segment);
    uint32_t end = at + 1;
    unsigned bit = TABLE_NEIGHBOUR;
    if (at >= segment.homes) {
        bit = TABLE_STASH(at - segment.homes);
        if (at - segment.homes >= 3) {
            at = segment.homes + 3u;
            end = table_segment_buckets(segment);
        }
    }
    for (; at < end; at++)
        if (!MUTANT(table_forgets_neighbour) && any_of_home(&buckets[at], segment, home, type, context))
            return;
    buckets[home].control &= (uint8_t)~bit;
}

/* ---- shrinking ---- */

/* Halves the directory while no segment needs its last bit. Without memory for the smaller one it stays. */
static void directory_halve(struct table *table, struct slab *slab)
{
    while (table->depth > 0 && table->deepest == 0) {
        uint32_t entries = 1u << (table->depth - 1), deepest = 0;
        const struct table_segment *old = slab_ptr(slab, table->directory);
        slab_handle old_handle = table->directory;
        size_t old_len = DIRECTORY_LEN << table->depth;
        if (table->depth == 1) {
            table->only = old[0];
            table->widest = widest_of(table->only);
        } else {
            slab_handle shrunk = slab_alloc(slab, DIRECTORY_LEN << (table->depth - 1));
            if (!shrunk) return;
            struct table_segment *new = slab_ptr(slab, shrunk);
            uint32_t *counts = (uint32_t *)(new + entries);
            for (uint32_t i = 0; i < entries; i++) {
                new[i] = old[2 * i];
                counts[i] = table_counts(table, slab)[2 * i];
                deepest += new[i].depth == table->depth - 1;
            }
            table->directory = shrunk;
            table->deepest = deepest;
        }
        table->depth--;
        slab_free(slab, old_handle, old_len);
    }
}

/* Joins the segment at `first` with its sibling if both together are small. True if that was done. */
static bool segment_join(struct table *table, struct slab *slab, const struct table_type *type, void *context,
                         uint32_t first)
{
    const struct table_segment *directory = table_directory(table, slab);
    struct refill refill = {.from = directory[first]};
    uint32_t span = table_segment_span(table, refill.from), left = first & ~span;
    struct table_segment a = directory[left], b = directory[left + span];
    if (a.depth != b.depth) return false;
    uint32_t items = segment_count(table, slab, left) + segment_count(table, slab, left + span);
    if (items > JOIN_MAX) return false;
    for (uint32_t size = size_for(items);; size++) {
        refill.to[0] = segment_create(table, slab, size, items, a.depth - 1);
        if (refill.to[0].homes == 0) return false;
        refill.counts[0] = 0;
        refill.from = a;
        bool fits = refill_from(&refill, slab, type, context) < 0;
        refill.from = b;
        if (fits && refill_from(&refill, slab, type, context) < 0) break;
        segment_free(table, slab, refill.to[0]);
    }
    DCHECK(refill.counts[0] == items);
    MARK("table.join");
    segment_free(table, slab, a);
    segment_free(table, slab, b);
    if (a.depth == table->depth) table->deepest -= 2;
    directory_set(table, slab, left, refill.to[0], items);
    directory_halve(table, slab);
    return true;
}

/* After a removal: gives memory back when the segment has become sparse. */
static void shrink(struct table *table, struct slab *slab, const struct table_type *type, void *context,
                   uint64_t hash)
{
    uint32_t index = table_index_of(table, hash);
    struct table_segment segment = table_directory(table, slab)[index];
    uint32_t first = index & ~(table_segment_span(table, segment) - 1);
    uint32_t items = segment_count(table, slab, first), buckets = table_segment_buckets(segment);
    if (items > TABLE_SLOTS && items % 16 != 0) return; /* a failed attempt shall not be repeated at once */
    if (items == 0 && table->depth == 0) {
        table_destroy(table, slab);
        return;
    }
    if (segment.depth > 0 && items <= JOIN_MAX / 2 && segment_join(table, slab, type, context, first)) return;
    if (items * 2 >= buckets * TABLE_SLOTS || buckets == 1) return;
    uint32_t size = size_for(items);
    if (size < size_index(segment)) segment_resize(table, slab, type, context, first, size);
}

void table_remove(struct table *table, struct slab *slab, const struct table_type *type, void *context,
                  uint64_t hash, slab_handle *slot)
{
    struct table_segment segment = table_segment_of(table, slab, hash);
    struct table_bucket *buckets = table_buckets(slab, segment);
    struct table_bucket *bucket = (struct table_bucket *)((uintptr_t)slot & ~(uintptr_t)63);
    uint32_t at = (uint32_t)(bucket - buckets), home = table_home(segment, hash);
    unsigned index = (unsigned)(slot - bucket->handles);
    CHECK(at < table_segment_buckets(segment) && index < TABLE_SLOTS &&
          bucket->tags[index] == table_tag(hash));
    bucket->tags[index] = 0;
    bucket->handles[index] = 0;
    bucket->access[index / 4] &= (uint8_t) ~(3u << (index % 4 * 2));
    if (UNLIKELY(at != home)) control_recompute(slab, segment, home, at, type, context);
    table->count--;
    uint32_t items = table->count;
    if (table->depth > 0)
        items = --table_counts(table,
                               slab)[table_index_of(table, hash) & ~(table_segment_span(table, segment) - 1)];
    if (UNLIKELY(items * 2 < table_segment_buckets(segment) * TABLE_SLOTS))
        shrink(table, slab, type, context, hash);
}

/* ---- whole tables ---- */

void table_destroy(struct table *table, struct slab *slab)
{
    uint32_t entries = 1u << table->depth;
    const struct table_segment *directory = table_directory(table, slab);
    for (uint32_t i = 0; i < entries;) {
        struct table_segment segment = directory[i];
        i += table_segment_span(table, segment);
        segment_free(table, slab, segment);
    }
    if (table->depth > 0 && !MUTANT(directory_leaks))
        slab_free(slab, table->directory, DIRECTORY_LEN << table->depth);
    DCHECK(table->buckets == 0);
    table_init(table);
}

static void free_items(const struct slab *slab, struct table_segment segment, table_visit *visit,
                       void *context)
{
    uint32_t buckets = table_segment_buckets(segment);
    const struct table_bucket *bucket = table_buckets(slab, segment);
    prefetch_bucket_items(slab, bucket);
    for (uint32_t i = 0; i < buckets; i++) {
        if (i + 1 < buckets) prefetch_bucket_items(slab, &bucket[i + 1]);
        for (unsigned used = ~table_bucket_tags(&bucket[i], 0) & 0xfff; used; used &= used - 1)
            visit(context, bucket[i].handles[__builtin_ctz(used)]);
    }
}

bool table_free_some(struct table *table, struct slab *slab, uint32_t *cursor, table_visit *visit,
                     void *context, uint32_t *work)
{
    uint32_t entries = 1u << table->depth;
    const struct table_segment *directory = table_directory(table, slab);
    bool is_empty = table->depth == 0 && table->only.homes == 0;
    while (!is_empty && *cursor < entries) {
        struct table_segment segment = directory[*cursor];
        *cursor += table_segment_span(table, segment);
        value_work_done(work, table_segment_buckets(segment) * 10);
        free_items(slab, segment, visit, context);
        segment_free(table, slab, segment);
        if (*work == 0 && *cursor < entries) return false;
    }
    if (table->depth > 0) slab_free(slab, table->directory, DIRECTORY_LEN << table->depth);
    table_init(table);
    return true;
}

size_t table_memory(const struct table *table)
{
    size_t memory = (size_t)table->buckets * sizeof(struct table_bucket);
    return table->depth > 0 ? memory + slab_rounded(DIRECTORY_LEN << table->depth) : memory;
}
