/* Ranges of the model's sorted sets, by rank, score and bytes: ZCOUNT ZLEXCOUNT ZRANGE ZRANGEBYLEX
 * ZRANGEBYSCORE ZRANGESTORE ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREVRANGE ZREVRANGEBYLEX
 * ZREVRANGEBYSCORE.
 *
 * A range by score or bytes begins at the first item not below its lower bound and goes on while items are
 * not above its upper one. Two things Redis leaves open:
 *   1. Ranges by bytes over different scores. A listpack is walked as above; what a skip list finds hangs on
 * chance. Where the bounds do not cut the order in one place each, and the set may be a skip list, any
 * members will do; what such a ZREMRANGEBYLEX or ZRANGESTORE did is then a guess that has the right count.
 *   2. A negative offset gives nothing from a listpack, but counts from the far end of the range in a skip
 * list. Where the set may be a skip list, either will do. */
#include "sim/model_collections.h"

#include "sim/model_score.h"

enum range_by { BY_ANY, BY_RANK, BY_SCORE, BY_LEX };

struct lex_bound {
    bool lowest, highest; /* '-', '+' */
    struct slice text;
};

struct range {
    enum range_by by;
    int64_t start, stop;        /* BY_RANK */
    double min, max;            /* BY_SCORE */
    struct lex_bound low, high; /* BY_LEX */
    bool min_open, max_open;    /* the bound itself is outside */
    bool reverse, scores, limited;
    int64_t offset, limit;
};

/* Indices of items in the order in which they are told. */
struct selection {
    size_t *at;
    size_t count;
};

/* ---------------------------------------------------------------- bounds */

static bool read_score_bound(struct slice text, double *bound, bool *open)
{
    *open = text.len > 0 && text.ptr[0] == '(';
    return model_bound_parse(text.ptr + *open, text.len - *open, bound);
}

static bool read_lex_bound(struct slice text, struct lex_bound *bound, bool *open)
{
    *bound = (struct lex_bound){0};
    if (text.len == 0) return false;
    bool alone = text.len == 1 || text.ptr[1] == 0;
    bound->lowest = text.ptr[0] == '-';
    bound->highest = text.ptr[0] == '+';
    bound->text = (struct slice){text.ptr + 1, text.len - 1};
    *open = text.ptr[0] != '[';
    if (bound->lowest || bound->highest) return alone;
    return text.ptr[0] == '(' || text.ptr[0] == '[';
}

/* Reads argv[low_at] and argv[high_at] as the range's kind wants them. */
static bool read_bounds(struct model_context *c, struct range *range, size_t low_at, size_t high_at,
                        const struct value **error)
{
    if (range->by == BY_RANK)
        return arg_int64(c, low_at, &range->start, error) && arg_int64(c, high_at, &range->stop, error);
    if (range->by == BY_SCORE) {
        if (read_score_bound(arg(c, low_at), &range->min, &range->min_open) &&
            read_score_bound(arg(c, high_at), &range->max, &range->max_open))
            return true;
        *error = want_error(c, "ERR min or max is not a float");
        return false;
    }
    if (read_lex_bound(arg(c, low_at), &range->low, &range->min_open) &&
        read_lex_bound(arg(c, high_at), &range->high, &range->max_open))
        return true;
    *error = want_error(c, "ERR min or max not valid string range item");
    return false;
}

static bool not_below(const struct range *range, const struct model_scored *item)
{
    if (range->by == BY_SCORE) return range->min_open ? item->score > range->min : item->score >= range->min;
    if (range->low.lowest || range->low.highest) return range->low.lowest;
    int order = bytes_compare(item->member, range->low.text);
    return range->min_open ? order > 0 : order >= 0;
}

static bool not_above(const struct range *range, const struct model_scored *item)
{
    if (range->by == BY_SCORE) return range->max_open ? item->score < range->max : item->score <= range->max;
    if (range->high.lowest || range->high.highest) return range->high.highest;
    int order = bytes_compare(item->member, range->high.text);
    return range->max_open ? order < 0 : order <= 0;
}

/* No bytes can be within. */
static bool lex_is_empty(const struct range *range)
{
    if (range->low.highest || range->high.lowest) return true;
    if (range->low.lowest || range->high.highest) return false;
    int order = bytes_compare(range->low.text, range->high.text);
    return order > 0 || (order == 0 && (range->min_open || range->max_open));
}

/* Does each bound cut the items in one place? */
static bool cuts_cleanly(const struct model_zset *zset, const struct range *range)
{
    for (size_t i = 1; i < zset->count; i++) {
        if (not_below(range, &zset->items[i - 1]) && !not_below(range, &zset->items[i])) return false;
        if (!not_above(range, &zset->items[i - 1]) && not_above(range, &zset->items[i])) return false;
    }
    return true;
}

/* ---------------------------------------------------------------- selecting */

static void select_one(struct selection *s, size_t at)
{
    s->at[s->count++] = at;
}

/* From index `at` on, backwards or forwards, while within the bounds. */
static void select_run(const struct model_zset *zset, const struct range *range, size_t at,
                       struct selection *s)
{
    uint64_t left = range->limit < 0 ? UINT64_MAX : (uint64_t)range->limit;
    for (; at < zset->count && left > 0; at = range->reverse ? at - 1 : at + 1, left--) {
        const struct model_scored *item = &zset->items[at];
        if (range->reverse ? !not_below(range, item) : !not_above(range, item)) return;
        select_one(s, at);
    }
}

/* The item a walk begins at, without the offset. */
static bool range_begins_at(const struct model_zset *zset, const struct range *range, bool reverse,
                            size_t *at)
{
    if (range->by == BY_LEX && lex_is_empty(range)) return false;
    if (!not_below(range, &zset->items[zset->count - 1]) || !not_above(range, &zset->items[0])) return false;
    for (size_t seen = 0; seen < zset->count; seen++) {
        size_t i = reverse ? zset->count - 1 - seen : seen;
        if (reverse ? !not_above(range, &zset->items[i]) : !not_below(range, &zset->items[i])) continue;
        *at = i;
        return reverse ? not_below(range, &zset->items[i]) : not_above(range, &zset->items[i]);
    }
    return false;
}

/* What a skip list gives for a negative offset: the walk begins that many items before the far end. */
static void select_from_far_end(const struct model_zset *zset, const struct range *range, struct selection *s)
{
    size_t end;
    if (range->offset < -(int64_t)zset->count || !range_begins_at(zset, range, !range->reverse, &end)) return;
    size_t back = (size_t)(-range->offset) - 1;
    if (range->reverse ? end + back >= zset->count : end < back) return;
    size_t at = range->reverse ? end + back : end - back;
    if (range->reverse ? not_above(range, &zset->items[at]) : not_below(range, &zset->items[at]))
        select_run(zset, range, at, s);
}

static struct selection select_items(struct model_context *c, const struct model_zset *zset,
                                     const struct range *range)
{
    struct selection s = {.at = value_alloc(&c->model->arena, (zset->count + 1) * sizeof(size_t))};
    size_t first, last;
    if (range->by == BY_RANK) {
        if (!range_of(range->start, range->stop, zset->count, &first, &last)) return s;
        for (size_t i = first; i <= last; i++) select_one(&s, range->reverse ? zset->count - 1 - i : i);
        return s;
    }
    if (range->offset < 0 || range->offset >= (int64_t)zset->count) return s;
    if (!range_begins_at(zset, range, range->reverse, &first)) return s;
    size_t skip = (size_t)range->offset;
    if (range->reverse ? skip > first : first + skip >= zset->count) return s;
    select_run(zset, range, range->reverse ? first - skip : first + skip, &s);
    return s;
}

/* Ranges by bytes that Redis leaves to chance. */
static bool is_chance(struct model_context *c, const struct model_zset *zset, const struct range *range)
{
    return range->by == BY_LEX && model_zset_may_be_skiplist(c->model, zset) && !cuts_cleanly(zset, range);
}

/* A range that has as many items as the reply says, if there may be one: wherever an item is within the
 * bounds it may begin. Otherwise the plain one. */
static struct selection guess_items(struct model_context *c, const struct model_zset *zset,
                                    const struct range *range)
{
    struct selection plain = select_items(c, zset, range);
    if (!c->reply || c->reply->kind != VALUE_INTEGER || c->reply->integer == (int64_t)plain.count)
        return plain;
    struct selection s = {.at = value_alloc(&c->model->arena, (zset->count + 1) * sizeof(size_t))};
    for (size_t begin = 0; begin < zset->count; begin++) {
        s.count = 0;
        select_run(zset, range, begin, &s);
        while (s.count > (uint64_t)c->reply->integer && (range->limit >= 0 || range->offset > 0)) s.count--;
        if (s.count == (uint64_t)c->reply->integer) return s;
    }
    if (c->reply->integer != 0) return plain;
    s.count = 0;
    return s;
}

/* ---------------------------------------------------------------- the family of ZRANGE */

static const struct value *read_range(struct model_context *c, struct range *range, size_t key_at, bool store)
{
    bool any_by = range->by == BY_ANY, any_direction = any_by;
    const struct value *error = NULL;
    range->limit = -1;
    for (size_t i = key_at + 3; i < argc(c); i++) {
        if (!store && arg_is(c, i, "WITHSCORES")) {
            range->scores = true;
        } else if (arg_is(c, i, "LIMIT") && i + 2 < argc(c)) {
            if (!arg_int64(c, i + 1, &range->offset, &error) || !arg_int64(c, i + 2, &range->limit, &error))
                return error;
            i += 2;
        } else if (any_direction && arg_is(c, i, "REV")) {
            range->reverse = true;
            any_direction = false;
        } else if (any_by && arg_is(c, i, "BYLEX")) {
            range->by = BY_LEX;
            any_by = false;
        } else if (any_by && arg_is(c, i, "BYSCORE")) {
            range->by = BY_SCORE;
            any_by = false;
        } else {
            return want_syntax_error(c);
        }
    }
    if (range->by == BY_ANY) range->by = BY_RANK;
    if (range->limit != -1 && range->by == BY_RANK)
        return want_error(
            c, "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
    if (range->scores && range->by == BY_LEX)
        return want_error(c, "ERR syntax error, WITHSCORES not supported in combination with BYLEX");
    bool swapped = range->reverse && range->by != BY_RANK;
    read_bounds(c, range, key_at + (swapped ? 2 : 1), key_at + (swapped ? 1 : 2), &error);
    return error;
}

static const struct value *reply_of(struct model_context *c, const struct model_zset *zset,
                                    const struct range *range, struct selection s)
{
    bool flat = range->scores && c->resp == 2;
    struct value *reply = want_array(c, flat ? 2 * s.count : s.count);
    for (size_t i = 0; i < s.count; i++) {
        const struct model_scored *item = &zset->items[s.at[i]];
        const struct value *member = want_bulk(c, item->member);
        if (!range->scores) {
            set_item(reply, i, member);
        } else if (flat) {
            set_item(reply, 2 * i, member);
            set_item(reply, 2 * i + 1, want_score(c, item->score));
        } else {
            struct value *pair = want_array(c, 2);
            set_item(pair, 0, member);
            set_item(pair, 1, want_score(c, item->score));
            set_item(reply, i, pair);
        }
    }
    return reply;
}

static const struct value *store(struct model_context *c, const struct model_zset *zset, struct selection s)
{
    struct model_zset *result = as_zset(model_zset_create());
    for (size_t i = 0; i < s.count; i++)
        model_zset_put(c->model, result, zset->items[s.at[i]].member, zset->items[s.at[i]].score);
    return store_result(c, arg(c, 1), &result->head, result->count);
}

/* Members, whichever they are: for what Redis leaves to chance. */
static const struct value *any_members(struct model_context *c, const struct model_zset *zset)
{
    if (!c->reply) return want_accepted(c);
    if (!reply_is_array(c)) return model_refuse(c, "wanted an array of members");
    for (size_t i = 0; i < c->reply->count; i++) {
        const struct value *item = &c->reply->items[i];
        if (item->kind != VALUE_BULK || !model_zset_find(zset, item->text))
            return model_refuse(c, "wanted members, which item %zu is not", i);
    }
    return want_accepted(c);
}

static const struct value *run_range(struct model_context *c, struct range range, bool storing)
{
    size_t key_at = storing ? 2 : 1;
    const struct value *error = read_range(c, &range, key_at, storing);
    if (error) return error;
    struct model_object *object = model_typed(c, arg(c, key_at), MODEL_ZSET, &error);
    if (error) return error;
    if (!object) return storing ? (model_drop(c, arg(c, 1)), want_integer(c, 0)) : want_array(c, 0);
    struct model_zset *zset = as_zset(object);
    bool skiplist = model_zset_may_be_skiplist(c->model, zset);
    struct selection s = select_items(c, zset, &range);
    if (is_chance(c, zset, &range))
        return storing ? store(c, zset, guess_items(c, zset, &range)) : any_members(c, zset);
    if (range.offset < 0 && range.by != BY_RANK && skiplist) {
        struct selection other = {.at = s.at};
        select_from_far_end(zset, &range, &other);
        if (storing && c->reply && c->reply->kind == VALUE_INTEGER && c->reply->integer != 0)
            return store(c, zset, other);
        if (!storing) {
            const struct value *choices[] = {want_array(c, 0), reply_of(c, zset, &range, other)};
            return want_one_of(c, 2, choices);
        }
    }
    return storing ? store(c, zset, s) : reply_of(c, zset, &range, s);
}

static const struct value *run_zrange(struct model_context *c)
{
    return run_range(c, (struct range){.by = BY_ANY}, false);
}

static const struct value *run_zrangestore(struct model_context *c)
{
    return run_range(c, (struct range){.by = BY_ANY}, true);
}

static const struct value *run_zrevrange(struct model_context *c)
{
    return run_range(c, (struct range){.by = BY_RANK, .reverse = true}, false);
}

static const struct value *run_zrangebyscore(struct model_context *c)
{
    return run_range(c, (struct range){.by = BY_SCORE}, false);
}

static const struct value *run_zrevrangebyscore(struct model_context *c)
{
    return run_range(c, (struct range){.by = BY_SCORE, .reverse = true}, false);
}

static const struct value *run_zrangebylex(struct model_context *c)
{
    return run_range(c, (struct range){.by = BY_LEX}, false);
}

static const struct value *run_zrevrangebylex(struct model_context *c)
{
    return run_range(c, (struct range){.by = BY_LEX, .reverse = true}, false);
}

/* ---------------------------------------------------------------- counting and removing */

/* The range in argv[2] and argv[3]; with remove, what is in it goes. */
static const struct value *count_range(struct model_context *c, enum range_by by, bool remove)
{
    struct range range = {.by = by, .limit = -1};
    const struct value *error = NULL;
    if (!read_bounds(c, &range, 2, 3, &error)) return error;
    struct model_object *object = model_typed(c, arg(c, 1), MODEL_ZSET, &error);
    if (error) return error;
    if (!object) return want_integer(c, 0);
    struct model_zset *zset = as_zset(object);
    struct selection s = select_items(c, zset, &range);
    if (is_chance(c, zset, &range)) {
        if (!remove) return want_between(c, 0, (int64_t)zset->count);
        s = guess_items(c, zset, &range);
    }
    for (size_t i = s.count; remove && i-- > 0;) model_zset_remove(zset, s.at[i]);
    if (remove && s.count) settle_emptied(c, arg(c, 1), zset->count == 0);
    return want_integer(c, (int64_t)s.count);
}

static const struct value *run_zcount(struct model_context *c)
{
    return count_range(c, BY_SCORE, false);
}

static const struct value *run_zlexcount(struct model_context *c)
{
    return count_range(c, BY_LEX, false);
}

static const struct value *run_zremrangebyrank(struct model_context *c)
{
    return count_range(c, BY_RANK, true);
}

static const struct value *run_zremrangebyscore(struct model_context *c)
{
    return count_range(c, BY_SCORE, true);
}

static const struct value *run_zremrangebylex(struct model_context *c)
{
    return count_range(c, BY_LEX, true);
}

const struct model_row model_rows_zset_range[] = {
    {"zcount", 4, 0, run_zcount},
    {"zlexcount", 4, 0, run_zlexcount},
    {"zrange", -4, 0, run_zrange},
    {"zrangebylex", -4, 0, run_zrangebylex},
    {"zrangebyscore", -4, 0, run_zrangebyscore},
    {"zrangestore", -5, MODEL_TAKES_MEMORY, run_zrangestore},
    {"zremrangebylex", 4, 0, run_zremrangebylex},
    {"zremrangebyrank", 4, 0, run_zremrangebyrank},
    {"zremrangebyscore", 4, 0, run_zremrangebyscore},
    {"zrevrange", -4, 0, run_zrevrange},
    {"zrevrangebylex", -4, 0, run_zrevrangebylex},
    {"zrevrangebyscore", -4, 0, run_zrevrangebyscore},
    {NULL, 0, 0, NULL},
};
