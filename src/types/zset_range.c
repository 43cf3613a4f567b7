/* zset_range: the questions a sorted set answers about places: spans by score and by member, walking,
 * scanning (contract: zset.h). Nothing here changes a set. Tests: test/unit/zset_test.c.
 */
#include "types/zset_form.h"

#define CURSOR_CUT 11

/* ---- ranges ---- */

struct zset_span zset_span_by_score(const struct value *zset, const struct zset_score_range *range)
{
    struct zset_span span = {0, 0};
    if (range->min > range->max || (range->min == range->max && (range->min_open || range->max_open)))
        return span;
    if (is_large(zset)) {
        struct large large;
        struct zset_bound min = {zset_order(range->min), {NULL, 0}, ZSET_BEFORE_SCORE};
        struct zset_bound max = {zset_order(range->max), {NULL, 0}, ZSET_AFTER_SCORE};
        large_read(zset, &large);
        if (range->min_open) min.side = ZSET_AFTER_SCORE;
        if (range->max_open) max.side = ZSET_BEFORE_SCORE;
        span.from = zset_tree_lower(&large.tree, zset->slab, &min);
        span.to = zset_tree_lower(&large.tree, zset->slab, &max);
        return span;
    }
    struct slice member;
    double score;
    for (uint32_t at = ZSET_EMPTY_AREA; pair_next(zset->bytes, zset->len, &at, &member, &score);) {
        span.from += range->min_open ? score <= range->min : score < range->min;
        span.to += range->max_open ? score < range->max : score <= range->max;
    }
    return span;
}

static bool lex_reaches_min(const struct zset_lex_range *range, struct slice member)
{
    switch (range->min_end) {
    case ZSET_LEX_LOWEST: return true;
    case ZSET_LEX_HIGHEST: return false;
    case ZSET_LEX_OPEN: return zset_member_compare(member, range->min) > 0;
    default: return zset_member_compare(member, range->min) >= 0;
    }
}

static bool lex_within_max(const struct zset_lex_range *range, struct slice member)
{
    switch (range->max_end) {
    case ZSET_LEX_LOWEST: return false;
    case ZSET_LEX_HIGHEST: return true;
    case ZSET_LEX_OPEN: return zset_member_compare(member, range->max) < 0;
    default: return zset_member_compare(member, range->max) <= 0;
    }
}

/* A range that can hold nothing, whatever the members. */
static bool lex_is_void(const struct zset_lex_range *range)
{
    if (range->min_end == ZSET_LEX_LOWEST) return range->max_end == ZSET_LEX_LOWEST;
    if (range->max_end == ZSET_LEX_HIGHEST) return range->min_end == ZSET_LEX_HIGHEST;
    if (range->min_end == ZSET_LEX_HIGHEST || range->max_end == ZSET_LEX_LOWEST) return true;
    int order = zset_member_compare(range->min, range->max);
    bool open = range->min_end == ZSET_LEX_OPEN || range->max_end == ZSET_LEX_OPEN;
    return order > 0 || (order == 0 && open);
}

/* The run of elements in the range that begins `skip` behind the first (last) one that the near end lets in.
 */
static struct zset_span lex_walk(const struct value *zset, const struct zset_lex_range *range, bool backward,
                                 uint32_t skip)
{
    struct zset_iter iter;
    struct slice member;
    double score;
    uint32_t count = zset_count(zset), passed = 0, taken = 0;
    bool begun = false;
    zset_iter_seek(zset, backward ? count : 0, &iter);
    while (backward ? zset_iter_prev(&iter, &member, &score) : zset_iter_next(&iter, &member, &score)) {
        bool near = backward ? lex_within_max(range, member) : lex_reaches_min(range, member);
        bool far = backward ? lex_reaches_min(range, member) : lex_within_max(range, member);
        if (!begun && near && !far) break;
        begun = begun || near;
        if (!begun) {
            passed++;
        } else if (skip > 0) {
            passed++;
            skip--;
        } else if (far) {
            taken++;
        } else {
            break;
        }
    }
    if (backward) return (struct zset_span){count - passed - taken, count - passed};
    return (struct zset_span){passed, passed + taken};
}

static uint32_t lex_bound(const struct large *large, struct slice member, enum zset_lex_end end,
                          uint64_t order, bool is_max)
{
    if (end == ZSET_LEX_LOWEST) return 0;
    if (end == ZSET_LEX_HIGHEST) return large->tree.count;
    bool behind = is_max ? end == ZSET_LEX_CLOSED : end == ZSET_LEX_OPEN;
    struct zset_bound bound = {order, member, behind ? ZSET_AFTER_MEMBER : ZSET_BEFORE_MEMBER};
    return zset_tree_lower(&large->tree, large->slab, &bound);
}

/* All scores are this one: the order of the whole set is that of its members. */
static struct zset_span lex_search(const struct value *zset, const struct zset_lex_range *range, double score)
{
    struct large large;
    uint64_t order = zset_order(score);
    large_read(zset, &large);
    struct zset_span span = {lex_bound(&large, range->min, range->min_end, order, false),
                             lex_bound(&large, range->max, range->max_end, order, true)};
    if (span.to < span.from) span.to = span.from;
    return span;
}

struct zset_span zset_span_by_lex(const struct value *zset, const struct zset_lex_range *range, bool backward,
                                  uint32_t skip)
{
    static const struct zset_span none = {0, 0};
    struct zset_iter iter;
    struct slice first, last;
    double lowest, highest;
    zset_iter_seek(zset, 0, &iter);
    if (lex_is_void(range) || !zset_iter_next(&iter, &first, &lowest)) return none;
    zset_iter_seek(zset, zset_count(zset), &iter);
    CHECK(zset_iter_prev(&iter, &last, &highest));
    if (!is_large(zset) || lowest != highest) {
        if (!lex_within_max(range, first) || !lex_reaches_min(range, last)) return none;
        return lex_walk(zset, range, backward, skip);
    }
    struct zset_span span = lex_search(zset, range, lowest);
    if (skip > span.to - span.from) skip = span.to - span.from;
    if (backward)
        span.to -= skip;
    else
        span.from += skip;
    return span;
}

/* ---- walking ---- */

void zset_iter_seek(const struct value *zset, uint32_t rank, struct zset_iter *iter)
{
    iter->zset = zset;
    iter->rank = rank;
    iter->count = zset_count(zset);
    iter->large = is_large(zset);
    iter->at_item = false;
    iter->offsets_known = false;
    CHECK(rank <= iter->count);
    if (!iter->large) {
        iter->offset = packed_skip(zset, ZSET_EMPTY_AREA, 2 * rank);
    } else if (iter->count > 0) {
        struct large large;
        large_read(zset, &large);
        iter->at_item = rank < iter->count;
        zset_tree_seek(&large.tree, zset->slab, iter->at_item ? rank : rank - 1, &iter->tree_pos);
    }
}

static void iter_show(const struct zset_iter *iter, struct slice *member, double *score)
{
    const uint8_t *item = slab_ptr(iter->zset->slab, zset_tree_item(&iter->tree_pos));
    *member = zset_item_member(item);
    *score = zset_item_score(item);
}

bool zset_iter_next(struct zset_iter *iter, struct slice *member, double *score)
{
    if (iter->rank == iter->count) return false;
    iter->rank++;
    if (!iter->large) return pair_next(iter->zset->bytes, iter->zset->len, &iter->offset, member, score);
    if (!iter->at_item) CHECK(zset_tree_next(&iter->tree_pos));
    iter->at_item = false;
    iter_show(iter, member, score);
    return true;
}

bool zset_iter_prev(struct zset_iter *iter, struct slice *member, double *score)
{
    if (iter->rank == 0) return false;
    iter->rank--;
    if (iter->large) {
        if (iter->at_item) CHECK(zset_tree_prev(&iter->tree_pos));
        iter->at_item = true;
        iter_show(iter, member, score);
        return true;
    }
    if (!iter->offsets_known) {
        uint32_t at = ZSET_EMPTY_AREA, n = 0;
        do {
            iter->offsets[n++] = (uint16_t)at;
        } while (pair_next(iter->zset->bytes, iter->zset->len, &at, member, score));
        iter->offsets_known = true;
    }
    uint32_t at = iter->offset = iter->offsets[iter->rank];
    return pair_next(iter->zset->bytes, iter->zset->len, &at, member, score);
}

struct scan {
    const struct slab *slab;
    zset_visit *visit;
    void *context;
};

static void scan_visit(void *context, slab_handle item)
{
    const struct scan *scan = context;
    const uint8_t *bytes = slab_ptr(scan->slab, item);
    scan->visit(scan->context, zset_item_member(bytes), zset_item_score(bytes));
}

/* Clients get the upper 53 bits of the table's cursor, since some keep it in floating-point numbers. What is
 * cut off is less than a bucket's share of the hash space: a call may, very rarely, show a member again, but
 * misses none. */
uint64_t zset_scan(const struct value *zset, uint64_t cursor, zset_visit *visit, void *context)
{
    if (is_large(zset)) {
        struct large large;
        struct scan scan = {zset->slab, visit, context};
        large_read(zset, &large);
        return table_scan(&large.table, zset->slab, &zset_table_type, &large, cursor << CURSOR_CUT,
                          scan_visit, &scan) >>
               CURSOR_CUT;
    }
    struct slice member;
    double score;
    for (uint32_t at = ZSET_EMPTY_AREA; pair_next(zset->bytes, zset->len, &at, &member, &score);) {
        visit(context, member, score);
    }
    return 0;
}
