/* Sorted sets: ZUNION, ZINTER, ZDIFF, their STORE forms and ZINTERCARD, over sorted sets and sets (whose
 * members all have score 1).
 *
 * The result is built as a sorted set of its own (store/build.h) in the target's partition, or the first
 * key's, and then stored or replied; no source is changed before that. Sources are visited from the smallest
 * to the largest, as Redis does: sums of floating-point numbers depend on it. Compared with a real Redis by
 * test/differential.
 */
#include "command/zset.h"

#include <math.h>
#include <stdlib.h>

#include "store/build.h"
#include "types/set.h"

enum operation { UNION, INTERSECTION, DIFFERENCE };
enum aggregate { SUM, MIN, MAX };

struct source {
    struct entry entry; /* no item: an empty set */
    double weight;
    uint64_t count;
    int order; /* as given: equal counts keep it */
};

struct combination {
    enum operation operation;
    enum aggregate aggregate;
    bool with_scores, only_count;
    int64_t limit; /* of the count, 0: none */
    struct source *sources;
    uint32_t n;
};

/* ---- sources ---- */

static bool is_set(const struct source *source)
{
    return item_type(source->entry.item) == ITEM_SET;
}

static bool source_find(const struct source *source, struct slice member, double *score)
{
    if (!source->entry.item) return false;
    if (!is_set(source)) return zset_score(&source->entry.value, member, score);
    *score = 1;
    return set_has(&source->entry.value, member);
}

struct source_iter {
    bool set;
    struct zset_iter zsets;
    struct set_iter sets;
};

static void source_iter_begin(struct source_iter *iter, const struct source *source)
{
    iter->set = is_set(source);
    if (iter->set)
        set_iter_begin(&iter->sets, &source->entry.value);
    else
        zset_iter_seek(&source->entry.value, 0, &iter->zsets);
}

static bool source_iter_next(struct source_iter *iter, struct slice *member, double *score)
{
    if (!iter->set) return zset_iter_next(&iter->zsets, member, score);
    *score = 1;
    return set_iter_next(&iter->sets, member);
}

static int compare_sources(const void *a, const void *b)
{
    const struct source *x = a, *y = b;
    if (x->count != y->count) return x->count < y->count ? -1 : 1;
    return x->order - y->order;
}

/* ---- arguments ---- */

/* Opens the keys argv[first] and on; false when one is of another type. */
static bool open_sources(struct command_context *ctx, int first, struct combination *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        struct source *source = &c->sources[i];
        *source = (struct source){.weight = 1, .order = (int)i};
        if (!command_open_read(ctx, first + (int)i, &source->entry)) continue;
        enum item_type type = item_type(source->entry.item);
        if (type != ITEM_ZSET && type != ITEM_SET) {
            command_error_wrong_type(ctx);
            return false;
        }
        source->count = entry_count(&source->entry);
    }
    return true;
}

/* One option at argv[i]; returns the index behind it, 0 after an error. */
static int parse_option(struct command_context *ctx, int i, bool store, struct combination *c)
{
    int remaining = ctx->argc - i;
    bool weighs = c->operation != DIFFERENCE && !c->only_count;
    if (weighs && remaining > (int64_t)c->n && command_arg_is(ctx, i, "WEIGHTS")) {
        for (uint32_t k = 0; k < c->n; k++) {
            if (!command_arg_double(ctx, ++i, &c->sources[k].weight, "ERR weight value is not a float"))
                return 0;
        }
        return i + 1;
    }
    if (weighs && remaining >= 2 && command_arg_is(ctx, i, "AGGREGATE")) {
        static const char *const words[] = {[SUM] = "SUM", [MIN] = "MIN", [MAX] = "MAX"};
        for (size_t k = 0; k < ARRAY_LEN(words); k++) {
            if (!command_arg_is(ctx, i + 1, words[k])) continue;
            c->aggregate = (enum aggregate)k;
            return i + 2;
        }
    } else if (!store && !c->only_count && command_arg_is(ctx, i, "WITHSCORES")) {
        c->with_scores = true;
        return i + 1;
    } else if (c->only_count && remaining >= 2 && command_arg_is(ctx, i, "LIMIT")) {
        if (!command_arg_range(ctx, i + 1, 0, INT64_MAX, &c->limit, "ERR LIMIT can't be negative")) return 0;
        return i + 2;
    }
    command_error_syntax(ctx);
    return 0;
}

/* Reads argv from the number of keys on. False after an error; c->sources is then still to be freed. */
static bool parse(struct command_context *ctx, int numkeys_at, bool store, struct combination *c)
{
    int64_t n;
    if (!command_arg_int(ctx, numkeys_at, &n)) return false;
    if (n < 1) {
        reply_errorf(ctx->reply, "ERR at least 1 input key is needed for '%s' command",
                     ctx->command->full_name);
        return false;
    }
    if (n > ctx->argc - numkeys_at - 1) {
        command_error_syntax(ctx);
        return false;
    }
    c->n = (uint32_t)n;
    c->sources = malloc(c->n * sizeof *c->sources);
    if (c->sources == NULL) {
        command_out_of_memory(ctx);
        return false;
    }
    if (!open_sources(ctx, numkeys_at + 1, c)) return false;
    for (int i = numkeys_at + 1 + (int)c->n; i < ctx->argc;) {
        i = parse_option(ctx, i, store, c);
        if (i == 0) return false;
    }
    if (c->operation != DIFFERENCE) qsort(c->sources, c->n, sizeof *c->sources, compare_sources);
    return true;
}

/* ---- the work ---- */

static double aggregated(enum aggregate aggregate, double a, double b)
{
    switch (aggregate) {
    case MIN: return b < a ? b : a;
    case MAX: return b > a ? b : a;
    default: return isnan(a + b) ? 0 : a + b; /* of the two infinities */
    }
}

static double weighted(const struct source *source, double score)
{
    double product = source->weight * score;
    return isnan(product) ? 0 : product;
}

struct addend {
    enum aggregate aggregate;
    double score;
};

static bool decide_sum(void *context, bool existed, double old, double *score)
{
    const struct addend *addend = context;
    *score = existed ? aggregated(addend->aggregate, old, addend->score) : addend->score;
    return true;
}

static bool add_union(struct combination *c, struct value *result, const struct zset_limits *limits)
{
    struct source_iter iter;
    struct slice member;
    struct zset_outcome outcome;
    for (uint32_t i = 0; i < c->n; i++) {
        const struct source *source = &c->sources[i];
        struct addend addend = {.aggregate = c->aggregate};
        if (!source->entry.item) continue;
        source_iter_begin(&iter, source);
        while (source_iter_next(&iter, &member, &addend.score)) {
            addend.score = weighted(source, addend.score);
            if (zset_change(result, limits, member, decide_sum, &addend, &outcome) != VALUE_OK) return false;
        }
    }
    return true;
}

/* Is the member in all other sources? Then its aggregated score. */
static bool in_all(const struct combination *c, struct slice member, double *score)
{
    double sum = weighted(&c->sources[0], *score), other;
    for (uint32_t i = 1; i < c->n; i++) {
        if (!source_find(&c->sources[i], member, &other)) return false;
        sum = aggregated(c->aggregate, sum, other * c->sources[i].weight);
    }
    *score = sum;
    return true;
}

static bool in_none(const struct combination *c, struct slice member)
{
    double score;
    for (uint32_t i = 1; i < c->n; i++) {
        if (source_find(&c->sources[i], member, &score)) return false;
    }
    return true;
}

/* The members of the first source that pass; into `result`, if there is one. *count: how many, at most
 * c->limit. */
static bool add_filtered(struct combination *c, struct value *result, const struct zset_limits *limits,
                         int64_t *count)
{
    struct source_iter iter;
    struct slice member;
    struct zset_outcome outcome;
    double score;
    *count = 0;
    if (!c->sources[0].entry.item) return true;
    source_iter_begin(&iter, &c->sources[0]);
    while ((c->limit == 0 || *count < c->limit) && source_iter_next(&iter, &member, &score)) {
        if (!(c->operation == DIFFERENCE ? in_none(c, member) : in_all(c, member, &score))) continue;
        if (result != NULL && zset_set(result, limits, member, score, &outcome) != VALUE_OK) return false;
        ++*count;
    }
    return true;
}

static void reply_result(struct command_context *ctx, const struct value *result, bool with_scores)
{
    struct zset_iter iter;
    struct slice member;
    double score;
    zset_reply_header(ctx->reply, zset_count(result), with_scores);
    zset_iter_seek(result, 0, &iter);
    while (zset_iter_next(&iter, &member, &score)) zset_reply_member(ctx->reply, member, score, with_scores);
}

/* Puts the result in the target's place; false: out of memory. */
static bool store_result(struct command_context *ctx, struct build *build, const struct zset_limits *limits)
{
    struct entry target;
    uint32_t count = zset_count(&build->value);
    command_open(ctx, 1, &target);
    if (count == 0) {
        if (target.item) mutate_key_delete(&target, RECORD_DELETED);
        build_drop(build);
    } else {
        zset_encoding_settle(&build->value, limits);
        if (build_store(build, &target) != VALUE_OK) return false;
    }
    reply_integer(ctx->reply, count);
    return true;
}

static void combine_sources(struct command_context *ctx, struct combination *c, bool store,
                            struct partition *partition)
{
    struct build build;
    struct zset_limits limits = mutate_zset_limits(ctx->env);
    int64_t count;
    build_begin(&build, partition, ITEM_ZSET, ZSET_EMPTY_AREA, zset_free);
    zset_encoding_hint(&build.value, &limits, UINT64_MAX, 0); /* keeps -0.0 until the encoding is settled */
    bool done = c->operation == UNION ? add_union(c, &build.value, &limits)
                                      : add_filtered(c, &build.value, &limits, &count);
    if (done && store && store_result(ctx, &build, &limits)) return;
    if (done && !store)
        reply_result(ctx, &build.value, c->with_scores);
    else
        command_out_of_memory(ctx);
    build_drop(&build);
}

static void combine(struct command_context *ctx, enum operation operation, bool store)
{
    struct combination c = {.operation = operation};
    int numkeys_at = store ? 2 : 1;
    if (parse(ctx, numkeys_at, store, &c)) {
        struct key key = command_key(ctx, ctx->argv[store ? 1 : numkeys_at + 1]);
        combine_sources(ctx, &c, store, command_partition(ctx, &key));
    }
    free(c.sources);
}

void cmd_zunion(struct command_context *ctx)
{
    combine(ctx, UNION, false);
}
void cmd_zinter(struct command_context *ctx)
{
    combine(ctx, INTERSECTION, false);
}
void cmd_zdiff(struct command_context *ctx)
{
    combine(ctx, DIFFERENCE, false);
}
void cmd_zunionstore(struct command_context *ctx)
{
    combine(ctx, UNION, true);
}
void cmd_zinterstore(struct command_context *ctx)
{
    combine(ctx, INTERSECTION, true);
}
void cmd_zdiffstore(struct command_context *ctx)
{
    combine(ctx, DIFFERENCE, true);
}

void cmd_zintercard(struct command_context *ctx)
{
    struct combination c = {.operation = INTERSECTION, .only_count = true};
    int64_t count;
    if (parse(ctx, 1, false, &c)) {
        add_filtered(&c, NULL, NULL, &count);
        reply_integer(ctx->reply, count);
    }
    free(c.sources);
}
