/* Walking over a table: scan in the order of hashes, random items, the clock of eviction, all items, and the
 * check of the invariants. See table.h. */
#include "types/table_shape.h"

#include "base/mutant.h"

static unsigned used_slots(const struct table_bucket *bucket)
{
    return ~table_bucket_tags(bucket, 0) & 0xfff;
}

/* The home bucket that a hash belongs to. */
struct place {
    struct table_segment segment;
    struct table_bucket *buckets;
    uint32_t first, home; /* first directory index */
    uint64_t start, end;  /* hashes of the home bucket; end 0: the last one of all */
};

static struct place place_of(const struct table *table, const struct slab *slab, uint64_t hash)
{
    struct place place;
    uint32_t index = table_index_of(table, hash);
    place.segment = table_directory(table, slab)[index];
    place.buckets = table_buckets(slab, place.segment);
    place.first = index & ~(table_segment_span(table, place.segment) - 1);
    place.home = table_home(place.segment, hash);
    uint64_t start = table_index_hash(table, place.first);
    place.start = table_home_hash(place.segment, start, place.home);
    place.end = table_home_hash(place.segment, start, place.home + 1);
    return place;
}

/* ---- scan ---- */

struct scan {
    const struct table_type *type;
    void *context;
    uint64_t from, last; /* hashes to show, both included */
    table_visit *visit;
    void *visit_context;
};

static void scan_bucket(const struct scan *scan, const struct table_bucket *bucket, bool all)
{
    for (unsigned used = used_slots(bucket); used; used &= used - 1) {
        slab_handle item = bucket->handles[__builtin_ctz(used)];
        if (!all) {
            uint64_t hash = scan->type->hash(scan->context, item);
            if (hash < scan->from || hash > scan->last) continue;
        }
        scan->visit(scan->visit_context, item);
    }
}

uint64_t table_scan(const struct table *table, const struct slab *slab, const struct table_type *type,
                    void *context, uint64_t cursor, table_visit *visit, void *visit_context)
{
    if (table->count == 0) return 0;
    cursor &= ~(uint64_t)0xff; /* whatever a client sends */
    struct place place = place_of(table, slab, cursor);
    struct scan scan = {type, context, cursor, place.end - 1, visit, visit_context};
    uint32_t homes = place.segment.homes, before = place.home == 0 ? homes - 1 : place.home - 1;
    bool guests = homes > 1 && (place.buckets[before].control & TABLE_NEIGHBOUR);
    unsigned control = place.buckets[place.home].control;
    scan_bucket(&scan, &place.buckets[place.home], !guests && cursor == place.start);
    if (control & TABLE_NEIGHBOUR && !(MUTANT(scan_misses_wrapped) && place.home + 1 == homes))
        scan_bucket(&scan, &place.buckets[place.home + 1 == homes ? 0 : place.home + 1], false);
    for (uint32_t i = 0; i < place.segment.stash; i++)
        if (control & TABLE_STASH(i)) scan_bucket(&scan, &place.buckets[homes + i], false);
    return place.end;
}

void table_iter_begin(struct table_iter *iter, const struct table *table, const struct slab *slab)
{
    *iter = (struct table_iter){.slab = slab, .table = *table};
}

/* To the next bucket, whose items are asked for; false at the end. */
static bool iter_bucket(struct table_iter *iter)
{
    uint32_t buckets = table_segment_buckets(iter->segment);
    if (iter->bucket == buckets) {
        if (iter->index >> iter->table.depth || iter->table.count == 0) return false;
        iter->segment = table_directory(&iter->table, iter->slab)[iter->index];
        iter->index += table_segment_span(&iter->table, iter->segment);
        iter->bucket = 0;
        buckets = table_segment_buckets(iter->segment);
    }
    iter->present = &table_buckets(iter->slab, iter->segment)[iter->bucket++];
    iter->used = used_slots(iter->present);
    if (iter->bucket < buckets) {
        for (unsigned used = used_slots(iter->present + 1); used; used &= used - 1)
            __builtin_prefetch(slab_ptr(iter->slab, iter->present[1].handles[__builtin_ctz(used)]));
    }
    return true;
}

slab_handle table_iter_next(struct table_iter *iter)
{
    while (iter->used == 0)
        if (!iter_bucket(iter)) return 0;
    slab_handle item = iter->present->handles[__builtin_ctz(iter->used)];
    iter->used &= iter->used - 1;
    return item;
}

void table_each(const struct table *table, const struct slab *slab, table_visit *visit, void *context)
{
    struct table_iter iter;
    table_iter_begin(&iter, table, slab);
    for (slab_handle item; (item = table_iter_next(&iter)) != 0;) visit(context, item);
}

/* ---- random ---- */

/* The first item in memory order from a segment on. */
static slab_handle *first_from(const struct table *table, const struct slab *slab, uint32_t index)
{
    const struct table_segment *directory = table_directory(table, slab);
    for (;;) {
        struct table_segment segment = directory[index];
        struct table_bucket *buckets = table_buckets(slab, segment);
        for (uint32_t i = 0; i < table_segment_buckets(segment); i++) {
            unsigned used = used_slots(&buckets[i]);
            if (used) return &buckets[i].handles[__builtin_ctz(used)];
        }
        index = (index + 1) & ((1u << table->depth) - 1);
    }
}

slab_handle *table_random(const struct table *table, const struct slab *slab, struct prng *prng)
{
    if (table->count == 0) return NULL;
    const struct table_segment *directory = table_directory(table, slab);
    uint32_t index = 0;
    for (int tries = 0; tries < 1000; tries++) {
        /* All (segment, slot) pairs are equally likely: of a segment with several indexes only the first
         * counts, and all segments have as many slots as the widest, some of which do not exist. */
        index = table_index_of(table, prng_next(prng));
        struct table_segment segment = directory[index];
        if (index & (table_segment_span(table, segment) - 1)) continue;
        uint32_t slot = (uint32_t)prng_below(prng, (uint64_t)table->widest * TABLE_SLOTS);
        if (slot / TABLE_SLOTS >= table_segment_buckets(segment)) continue;
        struct table_bucket *bucket = &table_buckets(slab, segment)[slot / TABLE_SLOTS];
        if (bucket->tags[slot % TABLE_SLOTS]) return &bucket->handles[slot % TABLE_SLOTS];
    }
    return first_from(table, slab, index);
}

/* ---- clock ---- */

/* Takes one from the access count; false when it was 0. */
static bool access_lower(struct table_bucket *bucket, unsigned index)
{
    unsigned shift = index % 4 * 2, access = bucket->access[index / 4];
    if (((access >> shift) & 3) == 0) return false;
    bucket->access[index / 4] = (uint8_t)(access - (1u << shift));
    return true;
}

slab_handle *table_clock(const struct table *table, const struct slab *slab, uint64_t *hand,
                         bool (*eligible)(void *context, slab_handle item), void *context, bool ignore_access)
{
    if (table->count == 0) return NULL;
    /* The hand is a bucket's first hash plus, in the low 8 bits, the slot to go on with: first the 12 of the
     * home bucket, then, at a segment's last home bucket, those of the stash. */
    for (uint64_t left = (uint64_t)table->buckets * 4 + 1; left > 0; left--) {
        struct place place = place_of(table, slab, *hand & ~(uint64_t)0xff);
        uint32_t homes = place.segment.homes, slots = TABLE_SLOTS;
        if (place.home + 1 == homes) slots += TABLE_SLOTS * (uint32_t)place.segment.stash;
        for (uint32_t at = *hand & 0xff; at < slots; at++) {
            uint32_t bucket_at = at < TABLE_SLOTS ? place.home : homes + at / TABLE_SLOTS - 1;
            struct table_bucket *bucket = &place.buckets[bucket_at];
            unsigned index = at % TABLE_SLOTS;
            if (bucket->tags[index] == 0) continue;
            if (!ignore_access && access_lower(bucket, index)) continue;
            if (eligible && !eligible(context, bucket->handles[index])) continue;
            *hand = place.start | (at < 0xff ? at : 0xff);
            return &bucket->handles[index];
        }
        *hand = place.end;
    }
    return NULL;
}

/* ---- check ---- */

static void check_item(const struct table *table, const struct slab *slab, struct table_segment segment,
                       uint32_t first, uint32_t at, uint64_t hash, uint8_t *needed)
{
    uint32_t index = table_index_of(table, hash), home = table_home(segment, hash);
    CHECK(index >= first && index < first + table_segment_span(table, segment));
    CHECK(table_home_hash(segment, table_index_hash(table, first), home) <= hash);
    uint64_t end = table_home_hash(segment, table_index_hash(table, first), home + 1);
    CHECK(end == 0 || hash < end);
    if (at == home) return;
    unsigned bit = TABLE_NEIGHBOUR;
    if (at >= segment.homes)
        bit = TABLE_STASH(at - segment.homes);
    else
        CHECK(at == home + 1 || (at == 0 && home + 1 == segment.homes));
    CHECK(table_buckets(slab, segment)[home].control & bit);
    needed[home] |= (uint8_t)bit;
}

static uint32_t check_segment(const struct table *table, const struct slab *slab,
                              const struct table_type *type, void *context, uint32_t first)
{
    struct table_segment segment = table_directory(table, slab)[first];
    const struct table_bucket *buckets = table_buckets(slab, segment);
    uint8_t needed[256] = {0};
    uint32_t count = 0;
    for (uint32_t at = 0; at < table_segment_buckets(segment); at++) {
        for (unsigned i = 0; i < TABLE_SLOTS; i++) {
            if (buckets[at].tags[i] == 0) {
                CHECK(buckets[at].handles[i] == 0 && table_access(&buckets[at].handles[i]) == 0);
                continue;
            }
            count++;
            if (!type) continue;
            uint64_t hash = type->hash(context, buckets[at].handles[i]);
            CHECK(buckets[at].tags[i] == table_tag(hash));
            check_item(table, slab, segment, first, at, hash, needed);
        }
    }
    for (uint32_t at = 0; at < segment.homes && type; at++)
        CHECK((buckets[at].control & TABLE_OVERFLOW) == needed[at]);
    return count;
}

void table_check(const struct table *table, const struct slab *slab, const struct table_type *type,
                 void *context)
{
    uint32_t count = 0, buckets = 0, deepest = 0;
    if (table->depth == 0 && table->only.homes == 0) {
        CHECK(table->count == 0 && table->buckets == 0);
        return;
    }
    CHECK(table->depth <= TABLE_DEPTH_MAX);
    const struct table_segment *directory = table_directory(table, slab);
    for (uint32_t index = 0; index < 1u << table->depth;) {
        struct table_segment segment = directory[index];
        CHECK(segment.depth <= table->depth && segment.homes > 0);
        uint32_t span = table_segment_span(table, segment),
                 items = check_segment(table, slab, type, context, index);
        CHECK(index % span == 0);
        for (uint32_t i = 1; i < span; i++) CHECK(directory[index + i].buckets == segment.buckets);
        if (table->depth > 0) CHECK(table_counts(table, slab)[index] == items);
        deepest += segment.depth == table->depth;
        count += items;
        buckets += table_segment_buckets(segment);
        CHECK(table_segment_buckets(segment) <= table->widest);
        index += span;
    }
    CHECK(count == table->count && buckets == table->buckets);
    if (table->depth > 0) CHECK(deepest == table->deepest);
}
