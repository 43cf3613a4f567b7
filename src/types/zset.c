/* zset: both forms of a sorted set and the way from the small to the large one (contract and layout: zset.h).
 *
 * Invariants of the large form: 1. table and tree hold the same items. 2. root.bytes is what items, table and
 * tree take in the slab. A set never goes back to the small form. Adding reserves in the order item, table,
 * tree; each step undoes those before it. Tests: test/unit/zset_test.c.
 */
#include "types/zset_form.h"
#include "base/hash.h"
#include "base/mark.h"
#include "base/mutant.h"

static void large_write(struct value *zset, const struct large *large)
{
    struct root root = {.tag = large->tag,
                        .height = large->tree.height,
                        .tree = large->tree.root,
                        .table = large->table,
                        .bytes = large->bytes + (zset->slab->used_bytes - large->used),
                        .hash_seed = large->hash_seed};
    DCHECK(table_count(&large->table) == large->tree.count);
    memcpy(zset->bytes, &root, sizeof root);
}

/* ---- the dictionary ---- */

static uint64_t item_hash(void *context, slab_handle item)
{
    const struct large *large = context;
    struct slice member = zset_item_member(slab_ptr(large->slab, item));
    return hash_bytes(member.ptr, member.len, large->hash_seed);
}
const struct table_type zset_table_type = {item_hash};

static bool match_member(void *context, slab_handle item, const void *wanted)
{
    const struct large *large = context;
    return slice_equal(zset_item_member(slab_ptr(large->slab, item)), *(const struct slice *)wanted);
}
static bool match_item(void *context, slab_handle item, const void *wanted)
{
    return item == *(const slab_handle *)wanted;
}

static slab_handle *find_slot(struct large *large, struct slice member, uint64_t *hash)
{
    *hash = hash_bytes(member.ptr, member.len, large->hash_seed);
    return table_find(&large->table, large->slab, *hash, match_member, large, &member);
}

/* ---- the small form ---- */

static void small_set_count(struct value *zset, uint32_t count)
{
    uint16_t narrow = (uint16_t)count;
    DCHECK(count <= ZSET_PACKED_COUNT);
    memcpy(zset->bytes + 1, &narrow, 2);
}

/* The shortest form of a score, into 8 bytes. */
static struct slice score_pack(double score, char *out)
{
    int32_t whole = score >= INT32_MIN && score <= INT32_MAX ? (int32_t)score : 0;
    double again = whole;
    if (memcmp(&again, &score, 8) != 0) { /* fractions, -0.0, large ones */
        memcpy(out, &score, 8);
        return (struct slice){out, 8};
    }
    memcpy(out, &whole, 4);
    return (struct slice){out, whole == (int8_t)whole ? 1u : whole == (int16_t)whole ? 2u : 4u};
}

/* Where a pair belongs among those in [ZSET_EMPTY_AREA, end): the offset of the first one behind it. */
static uint32_t pair_place(const uint8_t *bytes, uint32_t end, struct slice member, double score)
{
    struct slice other;
    double other_score;
    uint32_t at = ZSET_EMPTY_AREA, next = at;
    while (pair_next(bytes, end, &next, &other, &other_score)) {
        bool tie = other_score == score && !MUTANT(zset_ties_by_arrival);
        if (other_score > score || (tie && zset_member_compare(other, member) > 0)) break;
        at = next;
    }
    return at;
}

static uint8_t *entry_put(uint8_t *out, struct slice entry)
{
    out = varint_put(out, entry.len);
    if (entry.len > 0) memcpy(out, entry.ptr, entry.len);
    return out + entry.len;
}

/* Puts a pair where it belongs, in place of the `old_size` bytes at `old_at` (0: of none). Growing comes
 * first and may fail, shrinking last. */
static bool small_put(struct value *zset, uint32_t old_at, uint32_t old_size, struct slice member,
                      double score)
{
    char buffer[8];
    struct slice packed = score_pack(score, buffer);
    uint32_t size = packed_entry_size(member.len) + packed_entry_size(packed.len);
    uint32_t len = zset->len, rest = len - old_size;
    if (size > old_size && !zset->resize(zset, rest + size)) return false;
    uint8_t *bytes = zset->bytes;
    if (old_size > 0) memmove(bytes + old_at, bytes + old_at + old_size, rest - old_at);
    uint32_t at = pair_place(bytes, rest, member, score);
    memmove(bytes + at + size, bytes + at, rest - at);
    entry_put(entry_put(bytes + at, member), packed);
    if (size < old_size) CHECK(zset->resize(zset, rest + size));
    return true;
}

/* The pair of a member: its offset, PACKED_NONE if there is none. */
static uint32_t small_find(const struct value *zset, struct slice member, double *score)
{
    uint32_t at = packed_find(zset, ZSET_EMPTY_AREA, 2, member);
    if (at != PACKED_NONE) *score = score_unpack(packed_at(zset, packed_skip(zset, at, 1)));
    return at;
}

/* ---- the large form ---- */

static slab_handle item_new(struct slab *slab, struct slice member, double score)
{
    slab_handle item = slab_alloc(slab, zset_item_size(member.len));
    if (item != 0) zset_item_put(slab_ptr(slab, item), score, member);
    return item;
}

static void item_free(struct slab *slab, slab_handle item)
{
    slab_free(slab, item, zset_item_size(zset_item_member(slab_ptr(slab, item)).len));
}

/* Adds a member that is not there; `last`: it sorts behind all others. False: out of memory. */
static bool large_add(struct large *large, struct slab *slab, uint64_t hash, struct slice member,
                      double score, bool last)
{
    slab_handle item = item_new(slab, member, score);
    if (item == 0) return false;
    slab_handle *slot = table_insert(&large->table, slab, &zset_table_type, large, hash, item);
    if (slot == NULL) {
        item_free(slab, item);
        return false;
    }
    if (last ? zset_tree_append(&large->tree, slab, item) : zset_tree_insert(&large->tree, slab, item))
        return true;
    table_remove(&large->table, slab, &zset_table_type, large, hash, slot);
    item_free(slab, item);
    return false;
}

static void free_item_visit(void *context, slab_handle item)
{
    item_free(context, item);
}

static void large_free(struct large *large, struct slab *slab)
{
    table_each(&large->table, slab, free_item_visit, slab);
    table_destroy(&large->table, slab);
    zset_tree_free(&large->tree, slab);
}

/* Makes a small set a large one of the same elements. */
static int become_large(struct value *zset, uint64_t hash_seed)
{
    struct large large = {.slab = zset->slab,
                          .hash_seed = hash_seed,
                          .used = zset->slab->used_bytes,
                          .tag = (uint8_t)(zset->bytes[0] | TAG_LARGE)};
    struct slice member;
    double score;
    bool done = true;
    table_init(&large.table);
    for (uint32_t at = ZSET_EMPTY_AREA; done && pair_next(zset->bytes, zset->len, &at, &member, &score);) {
        done =
            large_add(&large, zset->slab, hash_bytes(member.ptr, member.len, hash_seed), member, score, true);
    }
    uint64_t taken = zset->slab->used_bytes - large.used;
    if (!done || !zset->resize(zset, sizeof(struct root))) {
        large_free(&large, zset->slab);
        return VALUE_NO_MEMORY;
    }
    MARK("zset.becomes_large");
    large.used = zset->slab->used_bytes - taken; /* the area's own change does not count */
    large_write(zset, &large);
    return VALUE_OK;
}

/* ---- members ---- */

uint32_t zset_count(const struct value *zset)
{
    if (!is_large(zset)) return small_count(zset);
    struct root root;
    memcpy(&root, zset->bytes, sizeof root);
    return (uint32_t)table_count(&root.table);
}

/* Reads the large form and finds a member in it: its slot and score, or NULL. */
static slab_handle *large_find(const struct value *zset, struct large *large, struct slice member,
                               double *score)
{
    uint64_t hash;
    large_read(zset, large);
    slab_handle *slot = find_slot(large, member, &hash);
    if (slot != NULL) *score = zset_item_score(slab_ptr(zset->slab, *slot));
    return slot;
}

bool zset_score(const struct value *zset, struct slice member, double *score)
{
    struct large large;
    if (is_large(zset)) return large_find(zset, &large, member, score) != NULL;
    return small_find(zset, member, score) != PACKED_NONE;
}

bool zset_rank(const struct value *zset, struct slice member, uint32_t *rank, double *score)
{
    if (is_large(zset)) {
        struct large large;
        slab_handle *slot = large_find(zset, &large, member, score);
        if (slot == NULL) return false;
        *rank = zset_tree_rank(&large.tree, zset->slab, *slot);
        return true;
    }
    struct slice other;
    uint32_t at = ZSET_EMPTY_AREA;
    for (*rank = 0; pair_next(zset->bytes, zset->len, &at, &other, score); (*rank)++) {
        if (slice_equal(other, member)) return true;
    }
    return false;
}

/* Is it sure that the small form can take this member, new or not? */
static bool small_suffices(const struct value *zset, struct slice member)
{
    return zset->len + member.len + VARINT_MAX + 9 <= VALUE_PACKED_MAX &&
           small_count(zset) < ZSET_PACKED_COUNT;
}

/* Whether the set is a skiplist to clients once it holds `count` members, this one among them. */
static bool outgrows_listpack(const struct zset_limits *limits, uint32_t count, struct slice member)
{
    return count > limits->listpack_entries || member.len > limits->listpack_value;
}

/* What the outcome says of the member's old state decides about its new one. False: nothing to do. */
static bool decide_score(const struct zset_limits *limits, uint8_t tag, uint32_t count, struct slice member,
                         zset_decide *decide, void *context, struct zset_outcome *outcome)
{
    outcome->changed = false;
    outcome->score = outcome->old;
    if (!decide(context, outcome->existed, outcome->old, &outcome->score)) return false;
    DCHECK(outcome->score == outcome->score);
    if (outcome->existed && memcmp(&outcome->old, &outcome->score, 8) == 0) return false;
    bool skiplist = tag & TAG_SKIPLIST || (!outcome->existed && outgrows_listpack(limits, count + 1, member));
    if (!skiplist) outcome->score += 0.0; /* -0.0 becomes 0.0 */
    return true;
}

static int small_change(struct value *zset, const struct zset_limits *limits, struct slice member,
                        zset_decide *decide, void *context, struct zset_outcome *outcome)
{
    uint32_t at = small_find(zset, member, &outcome->old), size = 0, count = small_count(zset);
    outcome->existed = at != PACKED_NONE;
    if (outcome->existed) size = packed_skip(zset, at, 2) - at;
    if (!decide_score(limits, zset->bytes[0], count, member, decide, context, outcome)) return VALUE_OK;
    if (!small_put(zset, at, size, member, outcome->score)) return VALUE_NO_MEMORY;
    outcome->changed = true;
    if (outcome->existed) return VALUE_OK;
    small_set_count(zset, count + 1);
    if (outgrows_listpack(limits, count + 1, member)) zset->bytes[0] |= TAG_SKIPLIST;
    return VALUE_OK;
}

static int large_change(struct value *zset, const struct zset_limits *limits, struct slice member,
                        zset_decide *decide, void *context, struct zset_outcome *outcome)
{
    struct large large;
    uint64_t hash;
    large_read(zset, &large);
    slab_handle *slot = find_slot(&large, member, &hash);
    outcome->existed = slot != NULL;
    if (slot != NULL) outcome->old = zset_item_score(slab_ptr(zset->slab, *slot));
    if (!decide_score(limits, large.tag, large.tree.count, member, decide, context, outcome)) return VALUE_OK;
    if (slot != NULL) {
        outcome->changed = zset_tree_update(&large.tree, zset->slab, *slot, outcome->score);
    } else if (large.tree.count < UINT32_MAX - 1) {
        outcome->changed = large_add(&large, zset->slab, hash, member, outcome->score, false);
        if (outcome->changed && outgrows_listpack(limits, large.tree.count, member))
            large.tag |= TAG_SKIPLIST;
    }
    large_write(zset, &large);
    return outcome->changed ? VALUE_OK : VALUE_NO_MEMORY;
}

int zset_change(struct value *zset, const struct zset_limits *limits, struct slice member,
                zset_decide *decide, void *context, struct zset_outcome *outcome)
{
    if (member.len > UINT32_MAX - 64) return VALUE_NO_MEMORY;
    if (!is_large(zset)) {
        if (small_suffices(zset, member)) return small_change(zset, limits, member, decide, context, outcome);
        int made = become_large(zset, limits->hash_seed);
        if (made != VALUE_OK) return made;
    }
    return large_change(zset, limits, member, decide, context, outcome);
}

static bool decide_given(void *context, bool existed, double old, double *score)
{
    *score = *(const double *)context;
    return !existed || *score != old;
}

int zset_set(struct value *zset, const struct zset_limits *limits, struct slice member, double score,
             struct zset_outcome *outcome)
{
    return zset_change(zset, limits, member, decide_given, &score, outcome);
}

bool zset_remove(struct value *zset, struct slice member, double *score)
{
    if (!is_large(zset)) {
        uint32_t at = small_find(zset, member, score);
        if (at == PACKED_NONE) return false;
        packed_delete(zset, at, 2);
        small_set_count(zset, small_count(zset) - 1);
        return true;
    }
    struct large large;
    uint64_t hash;
    large_read(zset, &large);
    slab_handle *slot = find_slot(&large, member, &hash);
    if (slot == NULL) return false;
    slab_handle item = *slot;
    *score = zset_item_score(slab_ptr(zset->slab, item));
    zset_tree_remove(&large.tree, zset->slab, item);
    table_remove(&large.table, zset->slab, &zset_table_type, &large, hash, slot);
    item_free(zset->slab, item);
    large_write(zset, &large);
    return true;
}

static void large_remove_span(struct large *large, struct slab *slab, uint32_t from, uint32_t to)
{
    slab_handle items[ZSET_TREE_LEAF_MAX];
    while (from < to) {
        uint32_t n = zset_tree_cut(&large->tree, slab, from, to - from, items);
        for (uint32_t i = 0; i < n; i++) __builtin_prefetch(slab_ptr(slab, items[i]));
        for (uint32_t i = 0; i < n; i++) {
            uint64_t hash = item_hash(large, items[i]);
            slab_handle *slot = table_find(&large->table, slab, hash, match_item, large, &items[i]);
            CHECK(slot != NULL);
            table_remove(&large->table, slab, &zset_table_type, large, hash, slot);
            item_free(slab, items[i]);
        }
        to -= n;
    }
}

void zset_remove_span(struct value *zset, uint32_t from, uint32_t to)
{
    CHECK(from <= to && to <= zset_count(zset));
    if (from == to) return;
    if (is_large(zset)) {
        struct large large;
        large_read(zset, &large);
        large_remove_span(&large, zset->slab, from, to);
        large_write(zset, &large);
        return;
    }
    uint32_t at = packed_skip(zset, ZSET_EMPTY_AREA, 2 * from), end = packed_skip(zset, at, 2 * (to - from));
    small_set_count(zset, small_count(zset) - (to - from));
    packed_delete_range(zset, at, end);
}

/* ---- the encoding that clients see ---- */

void zset_encoding_skiplist(struct value *zset)
{
    zset->bytes[0] |= TAG_SKIPLIST;
}

bool zset_is_skiplist(const struct value *zset)
{
    return zset->bytes[0] & TAG_SKIPLIST;
}

void zset_encoding_hint(struct value *zset, const struct zset_limits *limits, uint64_t count,
                        uint64_t member_len)
{
    if (count > limits->listpack_entries || member_len > limits->listpack_value)
        zset->bytes[0] |= TAG_SKIPLIST;
}

/* A listpack knows no -0.0. Order and codes of the elements stay what they are. */
static void clear_negative_zeros(struct value *zset)
{
    static const double negative = -0.0, zero = 0.0;
    struct zset_score_range zeros = {0, 0, false, false};
    struct zset_span span = zset_span_by_score(zset, &zeros);
    if (is_large(zset)) {
        struct large large;
        struct zset_tree_pos pos;
        large_read(zset, &large);
        for (uint32_t rank = span.from; rank < span.to; rank++) {
            zset_tree_seek(&large.tree, zset->slab, rank, &pos);
            memcpy(slab_ptr(zset->slab, zset_tree_item(&pos)), &zero, 8);
        }
        return;
    }
    uint32_t at = packed_skip(zset, ZSET_EMPTY_AREA, 2 * span.from);
    for (uint32_t rank = span.from; rank < span.to; rank++) {
        struct slice score = packed_at(zset, packed_skip(zset, at, 1));
        at = packed_skip(zset, at, 2);
        if (score.len == 8 && memcmp(score.ptr, &negative, 8) == 0) memcpy(zset->bytes + at - 8, &zero, 8);
    }
}

void zset_encoding_settle(struct value *zset, const struct zset_limits *limits)
{
    struct zset_iter iter;
    struct slice member;
    double score;
    bool skiplist = zset_count(zset) > limits->listpack_entries;
    zset_iter_seek(zset, 0, &iter);
    while (!skiplist && zset_iter_next(&iter, &member, &score))
        skiplist = member.len > limits->listpack_value;
    zset->bytes[0] = (uint8_t)((zset->bytes[0] & ~TAG_SKIPLIST) | (skiplist ? TAG_SKIPLIST : 0));
    if (!skiplist) clear_negative_zeros(zset);
}

/* ---- the whole ---- */

uint64_t zset_memory(const struct value *zset)
{
    struct root root;
    if (!is_large(zset)) return 0;
    memcpy(&root, zset->bytes, sizeof root);
    return root.bytes;
}

int zset_copy(const struct value *zset, struct value *copy)
{
    CHECK(zset_count(copy) == 0);
    if (!copy->resize(copy, ZSET_EMPTY_AREA)) return VALUE_NO_MEMORY;
    memset(copy->bytes, 0, ZSET_EMPTY_AREA);
    if (!is_large(zset)) {
        if (!copy->resize(copy, zset->len)) return VALUE_NO_MEMORY;
        memcpy(copy->bytes, zset->bytes, zset->len);
        return VALUE_OK;
    }
    struct large from, to;
    struct zset_iter iter;
    struct slice member;
    double score;
    large_read(zset, &from);
    int done = become_large(copy, from.hash_seed);
    if (done != VALUE_OK) return done;
    large_read(copy, &to);
    to.tag = from.tag;
    zset_iter_seek(zset, 0, &iter);
    while (done == VALUE_OK && zset_iter_next(&iter, &member, &score)) {
        uint64_t hash = hash_bytes(member.ptr, member.len, to.hash_seed);
        if (!large_add(&to, copy->slab, hash, member, score, true)) done = VALUE_NO_MEMORY;
    }
    large_write(copy, &to);
    if (done != VALUE_OK) zset_free(copy);
    return done;
}

void zset_free(struct value *zset)
{
    if (is_large(zset)) {
        struct large large;
        large_read(zset, &large);
        large_free(&large, zset->slab);
    }
    memset(zset->bytes, 0, zset->len);
    if (zset->len > ZSET_EMPTY_AREA) CHECK(zset->resize(zset, ZSET_EMPTY_AREA));
}

bool zset_free_some(struct value *zset, uint32_t *cursor, uint32_t *work)
{
    struct root root;
    if (!is_large(zset)) return true;
    memcpy(&root, zset->bytes, sizeof root);
    struct zset_tree tree = {root.tree, 1, root.height}; /* nobody asks for its count any more */
    bool done = zset_tree_free_some(&tree, zset->slab, work);
    root.tree = tree.root;
    root.height = tree.height;
    done = done && table_free_some(&root.table, zset->slab, cursor, free_item_visit, zset->slab, work);
    memcpy(zset->bytes, &root, sizeof root);
    return done;
}

void zset_verify(const struct value *zset)
{
    struct zset_iter iter;
    struct slice member, last = {NULL, 0};
    double score, last_score = 0;
    uint32_t n = 0;
    uint64_t bytes = 0;
    zset_iter_seek(zset, 0, &iter);
    for (; zset_iter_next(&iter, &member, &score); n++) {
        CHECK(score == score);
        bool rising = last_score < score || (last_score == score && zset_member_compare(last, member) < 0);
        CHECK(n == 0 || rising);
        last = member;
        last_score = score;
        bytes += slab_rounded(zset_item_size(member.len));
    }
    CHECK(n == zset_count(zset));
    if (!is_large(zset)) {
        CHECK(zset->len >= ZSET_EMPTY_AREA && zset->len <= VALUE_PACKED_MAX && iter.offset == zset->len);
        return;
    }
    struct large large;
    large_read(zset, &large);
    table_check(&large.table, zset->slab, &zset_table_type, &large);
    bytes += zset_tree_verify(&large.tree, zset->slab) + table_memory(&large.table);
    CHECK(bytes == large.bytes && large.tree.count == n);
    zset_iter_seek(zset, 0, &iter);
    while (zset_iter_next(&iter, &member, &score)) {
        double found;
        CHECK(zset_score(zset, member, &found) && memcmp(&found, &score, sizeof found) == 0);
    }
}
