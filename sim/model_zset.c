/* Sorted sets of the model, one by one: ZADD ZCARD ZINCRBY ZMPOP ZMSCORE ZPOPMAX ZPOPMIN ZRANDMEMBER ZRANK
 * ZREM ZREVRANK ZSCAN ZSCORE. (Ranges are in model_zset_range.c, unions and the like in
 * model_zset_combine.c.) A sorted set is an array by score, then bytes; an empty one does not exist. Members
 * are found by looking at all of them.
 *
 * Whether a zero keeps its sign depends in Redis on the encoding's past: want_score takes either. */
#include "sim/model_collections.h"

#include <math.h>
#include <stdlib.h>

/* ---------------------------------------------------------------- the value */

struct model_object *model_zset_create(void)
{
    struct model_zset *zset = calloc(1, sizeof(*zset));
    CHECK(zset != NULL);
    zset->head.type = MODEL_ZSET;
    return &zset->head;
}

void model_zset_destroy(struct model_object *object)
{
    struct model_zset *zset = as_zset(object);
    for (size_t i = 0; i < zset->count; i++) bytes_free(zset->items[i].member);
    free(zset->items);
    scan_watches_free(&zset->scans);
    free(zset);
}

struct model_object *model_zset_copy(const struct model_object *object)
{
    const struct model_zset *from = (const struct model_zset *)object;
    struct model_zset *to = as_zset(model_zset_create());
    to->head = from->head;
    to->items = malloc((from->count + 1) * sizeof(to->items[0]));
    CHECK(to->items != NULL);
    to->count = from->count;
    to->capacity = from->count + 1;
    for (size_t i = 0; i < from->count; i++)
        to->items[i] = (struct model_scored){bytes_copy(from->items[i].member), from->items[i].score};
    scan_watches_copy(&to->scans, &from->scans);
    return &to->head;
}

/* Do the present members rule out a listpack? */
static bool is_large(const struct model *model, const struct model_zset *zset)
{
    if (zset->count > model->options.zset_entries_max) return true;
    for (size_t i = 0; i < zset->count; i++)
        if (zset->items[i].member.len > model->options.zset_value_max) return true;
    return false;
}

bool model_zset_may_be_skiplist(const struct model *model, const struct model_zset *zset)
{
    return zset->head.big || is_large(model, zset);
}

void model_zset_encodings(const struct model *model, const struct model_object *object, const char *names[4])
{
    const struct model_zset *zset = (const struct model_zset *)object;
    size_t n = 0;
    if (!is_large(model, zset)) names[n++] = "listpack";
    if (model_zset_may_be_skiplist(model, zset)) names[n++] = "skiplist";
    names[n] = NULL;
}

void model_zset_print(const struct model_object *object, FILE *out)
{
    const struct model_zset *zset = (const struct model_zset *)object;
    char text[256];
    fprintf(out, "%zu:", zset->count);
    for (size_t i = 0; i < zset->count; i++)
        fprintf(out, " %s=%.17g", value_print_bytes(zset->items[i].member, 40, text, sizeof(text)),
                zset->items[i].score);
}

struct model_scored *model_zset_find(const struct model_zset *zset, struct slice member)
{
    for (size_t i = 0; i < zset->count; i++)
        if (slice_equal(zset->items[i].member, member)) return &zset->items[i];
    return NULL;
}

static int order_of(const struct model_scored *a, const struct model_scored *b)
{
    if (a->score != b->score) return a->score < b->score ? -1 : 1;
    return bytes_compare(a->member, b->member);
}

static void take_out(struct model_zset *zset, size_t i)
{
    zset->count--;
    memmove(&zset->items[i], &zset->items[i + 1], (zset->count - i) * sizeof(zset->items[0]));
}

static void put_in(struct model_zset *zset, struct model_scored item)
{
    if (zset->count == zset->capacity) {
        zset->capacity = zset->capacity ? 2 * zset->capacity : 8;
        zset->items = realloc(zset->items, zset->capacity * sizeof(zset->items[0]));
        CHECK(zset->items != NULL);
    }
    size_t at = zset->count;
    while (at > 0 && order_of(&zset->items[at - 1], &item) > 0) at--;
    memmove(&zset->items[at + 1], &zset->items[at], (zset->count - at) * sizeof(zset->items[0]));
    zset->items[at] = item;
    zset->count++;
}

void model_zset_put(const struct model *model, struct model_zset *zset, struct slice member, double score)
{
    struct model_scored *present = model_zset_find(zset, member);
    struct model_scored item = {present ? present->member : bytes_copy(member), score};
    if (present) take_out(zset, (size_t)(present - zset->items));
    put_in(zset, item);
    if (zset->count > model->options.zset_entries_max || member.len > model->options.zset_value_max)
        zset->head.big = true;
}

void model_zset_remove(struct model_zset *zset, size_t i)
{
    CHECK(i < zset->count);
    scan_watches_forget(&zset->scans, zset->items[i].member);
    bytes_free(zset->items[i].member);
    take_out(zset, i);
}

static struct model_zset *zset_at(struct model_context *c, struct slice key, const struct value **error)
{
    struct model_object *object = model_typed(c, key, MODEL_ZSET, error);
    return object ? as_zset(object) : NULL;
}

/* ---------------------------------------------------------------- ZADD, ZINCRBY */

struct zadd {
    bool nx, xx, gt, lt, ch, incr;
    size_t first; /* of the pairs in argv */
    size_t pairs;
    double *scores;
    bool skipped; /* INCR: nothing was done */
    double result;
};

static const struct value *read_zadd(struct model_context *c, struct zadd *z)
{
    for (z->first = 2; z->first < argc(c); z->first++) {
        if (arg_is(c, z->first, "NX"))
            z->nx = true;
        else if (arg_is(c, z->first, "XX"))
            z->xx = true;
        else if (arg_is(c, z->first, "GT"))
            z->gt = true;
        else if (arg_is(c, z->first, "LT"))
            z->lt = true;
        else if (arg_is(c, z->first, "CH"))
            z->ch = true;
        else if (arg_is(c, z->first, "INCR"))
            z->incr = true;
        else
            break;
    }
    size_t words = argc(c) - z->first;
    z->pairs = words / 2;
    if (words == 0 || words % 2) return want_syntax_error(c);
    if (z->nx && z->xx) return want_error(c, "ERR XX and NX options at the same time are not compatible");
    if ((z->gt && z->nx) || (z->lt && z->nx) || (z->gt && z->lt))
        return want_error(c, "ERR GT, LT, and/or NX options at the same time are not compatible");
    if (z->incr && z->pairs > 1)
        return want_error(c, "ERR INCR option supports a single increment-element pair");
    z->scores = value_alloc(&c->model->arena, z->pairs * sizeof(z->scores[0]));
    for (size_t i = 0; i < z->pairs; i++)
        if (!read_double(arg(c, z->first + 2 * i), &z->scores[i]))
            return want_error(c, "ERR value is not a valid float");
    return NULL;
}

enum change { UNCHANGED, ADDED, UPDATED, NOT_A_NUMBER };

static enum change add_one(struct model_context *c, struct zadd *z, struct model_zset *zset,
                           struct slice member, double score)
{
    const struct model_scored *present = model_zset_find(zset, member);
    double before = present ? present->score : 0;
    z->skipped = present ? z->nx : z->xx;
    if (z->skipped) return UNCHANGED;
    if (present && z->incr) {
        score += before;
        if (isnan(score)) return NOT_A_NUMBER;
    }
    z->skipped = present && ((z->gt && score <= before) || (z->lt && score >= before));
    if (z->skipped) return UNCHANGED;
    z->result = score;
    if (present && score == before) return UNCHANGED;
    model_zset_put(c->model, zset, member, score);
    return present ? UPDATED : ADDED;
}

static const struct value *add(struct model_context *c, bool incr)
{
    struct zadd z = {.incr = incr};
    const struct value *error = read_zadd(c, &z);
    if (error) return error;
    struct model_zset *zset = zset_at(c, arg(c, 1), &error);
    if (error) return error;
    if (!zset) {
        if (z.xx) return z.incr ? want_null(c) : want_integer(c, 0);
        zset = as_zset(model_zset_create());
        model_put(c, arg(c, 1), &zset->head);
    }
    if (z.pairs > c->model->options.zset_entries_max) zset->head.big = true;
    int64_t added = 0, updated = 0;
    for (size_t i = 0; i < z.pairs; i++) {
        enum change change = add_one(c, &z, zset, arg(c, z.first + 2 * i + 1), z.scores[i]);
        if (change == NOT_A_NUMBER) return want_error(c, "ERR resulting score is not a number (NaN)");
        added += change == ADDED;
        updated += change == UPDATED;
    }
    if (added || updated) model_touch(c, arg(c, 1));
    if (z.incr) return z.skipped ? want_null(c) : want_score(c, z.result);
    return want_integer(c, z.ch ? added + updated : added);
}

static const struct value *run_zadd(struct model_context *c)
{
    return add(c, false);
}

static const struct value *run_zincrby(struct model_context *c)
{
    return add(c, true);
}

/* ---------------------------------------------------------------- looking and removing */

static const struct value *run_zrem(struct model_context *c)
{
    const struct value *error = NULL;
    struct model_zset *zset = zset_at(c, arg(c, 1), &error);
    if (error) return error;
    int64_t removed = 0;
    for (size_t i = 2; zset && i < argc(c); i++) {
        struct model_scored *present = model_zset_find(zset, arg(c, i));
        if (!present) continue;
        model_zset_remove(zset, (size_t)(present - zset->items));
        removed++;
    }
    if (removed) settle_emptied(c, arg(c, 1), zset->count == 0);
    return want_integer(c, removed);
}

static const struct value *run_zcard(struct model_context *c)
{
    const struct value *error = NULL;
    struct model_zset *zset = zset_at(c, arg(c, 1), &error);
    if (error) return error;
    return want_integer(c, zset ? (int64_t)zset->count : 0);
}

static const struct value *score_or_null(struct model_context *c, const struct model_zset *zset,
                                         struct slice member)
{
    const struct model_scored *present = zset ? model_zset_find(zset, member) : NULL;
    return present ? want_score(c, present->score) : want_null(c);
}

static const struct value *run_zscore(struct model_context *c)
{
    const struct value *error = NULL;
    struct model_zset *zset = zset_at(c, arg(c, 1), &error);
    if (error) return error;
    return score_or_null(c, zset, arg(c, 2));
}

static const struct value *run_zmscore(struct model_context *c)
{
    const struct value *error = NULL;
    struct model_zset *zset = zset_at(c, arg(c, 1), &error);
    if (error) return error;
    struct value *reply = want_array(c, argc(c) - 2);
    for (size_t i = 2; i < argc(c); i++) set_item(reply, i - 2, score_or_null(c, zset, arg(c, i)));
    return reply;
}

static const struct value *rank(struct model_context *c, bool from_end)
{
    const struct value *error = NULL;
    bool with_score = argc(c) > 3;
    if (argc(c) > 4) return want_wrong_arity(c);
    if (with_score && !arg_is(c, 3, "WITHSCORE")) return want_syntax_error(c);
    struct model_zset *zset = zset_at(c, arg(c, 1), &error);
    if (error) return error;
    const struct model_scored *present = zset ? model_zset_find(zset, arg(c, 2)) : NULL;
    if (!present) return with_score ? want_null_array(c) : want_null(c);
    size_t at = (size_t)(present - zset->items);
    const struct value *place = want_integer(c, (int64_t)(from_end ? zset->count - 1 - at : at));
    if (!with_score) return place;
    struct value *reply = want_array(c, 2);
    set_item(reply, 0, place);
    set_item(reply, 1, want_score(c, present->score));
    return reply;
}

static const struct value *run_zrank(struct model_context *c)
{
    return rank(c, false);
}

static const struct value *run_zrevrank(struct model_context *c)
{
    return rank(c, true);
}

/* ---------------------------------------------------------------- popping */

/* Takes `many` from one end: pairs in arrays of their own, or flat. */
static const struct value *take(struct model_context *c, struct slice key, struct model_zset *zset,
                                bool highest, int64_t many, bool nested)
{
    size_t count = (uint64_t)many < zset->count ? (size_t)many : zset->count;
    struct value *reply = want_array(c, nested ? count : 2 * count);
    for (size_t i = 0; i < count; i++) {
        size_t at = highest ? zset->count - 1 : 0;
        const struct value *member = want_bulk(c, zset->items[at].member);
        const struct value *score = want_score(c, zset->items[at].score);
        if (nested) {
            struct value *pair = want_array(c, 2);
            set_item(pair, 0, member);
            set_item(pair, 1, score);
            set_item(reply, i, pair);
        } else {
            set_item(reply, 2 * i, member);
            set_item(reply, 2 * i + 1, score);
        }
        model_zset_remove(zset, at);
    }
    settle_emptied(c, key, zset->count == 0);
    return reply;
}

static const struct value *pop(struct model_context *c, bool highest)
{
    const struct value *error = NULL;
    int64_t count = 1;
    bool counted = argc(c) == 3;
    if (argc(c) > 3) return want_syntax_error(c);
    if (counted &&
        !arg_int64_in(c, 2, 0, INT64_MAX, "ERR value is out of range, must be positive", &count, &error))
        return error;
    struct model_zset *zset = zset_at(c, arg(c, 1), &error);
    if (error) return error;
    if (!zset || count == 0) return want_array(c, 0);
    return take(c, arg(c, 1), zset, highest, count, counted && c->resp == 3);
}

static const struct value *run_zpopmin(struct model_context *c)
{
    return pop(c, false);
}

static const struct value *run_zpopmax(struct model_context *c)
{
    return pop(c, true);
}

static const struct value *run_zmpop(struct model_context *c)
{
    const struct value *error = NULL;
    int64_t keys, count = 0;
    if (!arg_int64_in(c, 1, 1, INT64_MAX, "ERR numkeys should be greater than 0", &keys, &error))
        return error;
    if ((uint64_t)keys + 2 >= argc(c)) return want_syntax_error(c);
    size_t end_at = (size_t)keys + 2;
    bool highest = arg_is(c, end_at, "MAX");
    if (!highest && !arg_is(c, end_at, "MIN")) return want_syntax_error(c);
    for (size_t i = end_at + 1; i < argc(c); i += 2) {
        if (count || !arg_is(c, i, "COUNT") || i + 1 >= argc(c)) return want_syntax_error(c);
        if (!arg_int64_in(c, i + 1, 1, INT64_MAX, "ERR count should be greater than 0", &count, &error))
            return error;
    }
    for (size_t i = 2; i < end_at; i++) {
        struct model_zset *zset = zset_at(c, arg(c, i), &error);
        if (error) return error;
        if (!zset) continue;
        struct value *reply = want_array(c, 2);
        set_item(reply, 0, want_bulk(c, arg(c, i)));
        set_item(reply, 1, take(c, arg(c, i), zset, highest, count ? count : 1, true));
        return reply;
    }
    return want_null_array(c);
}

/* ---------------------------------------------------------------- the server's choice */

/* The members sorted by bytes and, in the same order, their scores. */
static void by_bytes(struct model_context *c, const struct model_zset *zset, struct slice **members,
                     double **scores)
{
    *members = value_alloc(&c->model->arena, (zset->count + 1) * sizeof(**members));
    *scores = value_alloc(&c->model->arena, (zset->count + 1) * sizeof(**scores));
    for (size_t i = 0; i < zset->count; i++) {
        size_t at = i;
        for (; at > 0 && bytes_compare((*members)[at - 1], zset->items[i].member) > 0; at--) {
            (*members)[at] = (*members)[at - 1];
            (*scores)[at] = (*scores)[at - 1];
        }
        (*members)[at] = zset->items[i].member;
        (*scores)[at] = zset->items[i].score;
    }
}

/* Item i of the reply as member and score; false if it has not the shape of this RESP version. */
static bool random_pair(struct model_context *c, size_t i, const struct value **member,
                        const struct value **score)
{
    const struct value *pair = &c->reply->items[i];
    if (c->resp == 3 && (pair->kind != VALUE_ARRAY || pair->count != 2)) return false;
    *member = c->resp == 3 ? &pair->items[0] : &c->reply->items[2 * i];
    *score = c->resp == 3 ? &pair->items[1] : &c->reply->items[2 * i + 1];
    return (*member)->kind == VALUE_BULK;
}

static const struct value *judge_random(struct model_context *c, const struct model_zset *zset, size_t many,
                                        bool repeats, bool with_scores)
{
    struct slice *members;
    double *scores;
    if (!reply_is_array(c) || c->reply->count != (with_scores && c->resp == 2 ? 2 * many : many))
        return model_refuse(c, "wanted an array of %zu members", many);
    struct value *told = want_array(c, many);
    for (size_t i = 0; i < many; i++) {
        const struct value *member = &c->reply->items[i], *score;
        if (with_scores) {
            if (!random_pair(c, i, &member, &score))
                return model_refuse(c, "wanted pairs of member and score");
            const struct model_scored *present = model_zset_find(zset, member->text);
            if (present && !model_matches(want_score(c, present->score), score))
                return model_refuse(c, "the score of pair %zu is another one", i);
        }
        set_item(told, i, member);
    }
    by_bytes(c, zset, &members, &scores);
    const char *why = judge_some(c, told, members, zset->count, many, repeats);
    return why ? model_refuse(c, "%s", why) : want_accepted(c);
}

static const struct value *run_zrandmember(struct model_context *c)
{
    const struct value *error = NULL;
    int64_t count = 1;
    if (argc(c) > 2 && !arg_int64_in(c, 2, -INT64_MAX, INT64_MAX, NULL, &count, &error)) return error;
    if (argc(c) > 4 || (argc(c) == 4 && !arg_is(c, 3, "WITHSCORES"))) return want_syntax_error(c);
    if (argc(c) == 4 && (count < -INT64_MAX / 2 || count > INT64_MAX / 2))
        return want_error(c, "ERR value is out of range");
    struct model_zset *zset = zset_at(c, arg(c, 1), &error);
    if (error) return error;
    if (argc(c) == 2) {
        if (!zset) return want_null(c);
        if (!c->reply) return want_accepted(c);
        if (c->reply->kind != VALUE_BULK) return model_refuse(c, "wanted a member as a bulk");
        return model_zset_find(zset, c->reply->text) ? want_accepted(c)
                                                     : model_refuse(c, "which is no member");
    }
    if (!zset || count == 0) return want_array(c, 0);
    if (!c->reply) return want_accepted(c);
    size_t many = (size_t)llabs(count);
    if (count > 0 && many > zset->count) many = zset->count;
    return judge_random(c, zset, many, count < 0, argc(c) == 4);
}

static const struct value *run_zscan(struct model_context *c)
{
    struct scan_options options;
    struct model_object *object;
    const struct value *reply;
    struct slice *members;
    double *scores;
    if (!read_element_scan(c, MODEL_ZSET, &options, &object, &reply)) return reply;
    struct model_zset *zset = as_zset(object);
    by_bytes(c, zset, &members, &scores);
    return judge_element_scan(c, &zset->scans, &options, members, scores, zset->count);
}

const struct model_row model_rows_zset[] = {
    {"zadd", -4, MODEL_TAKES_MEMORY, run_zadd},
    {"zcard", 2, 0, run_zcard},
    {"zincrby", 4, MODEL_TAKES_MEMORY, run_zincrby},
    {"zmpop", -4, 0, run_zmpop},
    {"zmscore", -3, 0, run_zmscore},
    {"zpopmax", -2, 0, run_zpopmax},
    {"zpopmin", -2, 0, run_zpopmin},
    {"zrandmember", -2, 0, run_zrandmember},
    {"zrank", -3, 0, run_zrank},
    {"zrem", -3, 0, run_zrem},
    {"zrevrank", -3, 0, run_zrevrank},
    {"zscan", -3, 0, run_zscan},
    {"zscore", 3, 0, run_zscore},
    {NULL, 0, 0, NULL},
};
