/* Sorted sets: ranges. ZRANGE and its older kin, ZRANGESTORE, ZREMRANGEBY*. All of them come down to a span
 * of ranks that is replied, stored or removed. Compared with a real Redis by test/differential. */
#include "command/zset.h"

#include "base/mutant.h"
#include "store/build.h"

enum range_by { BY_UNKNOWN, BY_RANK, BY_SCORE, BY_LEX };
enum direction { EITHER_WAY, FORWARD, BACKWARD };

struct range_query {
    enum range_by by;
    enum direction direction;
    bool with_scores;
    int64_t offset, limit; /* limit < 0: none */
    int64_t start, stop;   /* BY_RANK */
    struct zset_score_range scores;
    struct zset_lex_range lex;
};

/* ---- arguments ---- */

static bool parse_options(struct command_context *ctx, int first, bool store, struct range_query *query)
{
    for (int i = first; i < ctx->argc; i++) {
        if (!store && command_arg_is(ctx, i, "WITHSCORES")) {
            query->with_scores = true;
        } else if (command_arg_is(ctx, i, "LIMIT") && i + 2 < ctx->argc) {
            if (!command_arg_int(ctx, i + 1, &query->offset) || !command_arg_int(ctx, i + 2, &query->limit))
                return false;
            i += 2;
        } else if (query->direction == EITHER_WAY && command_arg_is(ctx, i, "REV")) {
            query->direction = BACKWARD;
        } else if (query->by == BY_UNKNOWN && command_arg_is(ctx, i, "BYLEX")) {
            query->by = BY_LEX;
        } else if (query->by == BY_UNKNOWN && command_arg_is(ctx, i, "BYSCORE")) {
            query->by = BY_SCORE;
        } else {
            command_error_syntax(ctx);
            return false;
        }
    }
    return true;
}

/* argv[key + 1] and on: the ends and the options. */
static bool parse_query(struct command_context *ctx, int key, bool store, struct range_query *query)
{
    query->limit = -1;
    if (!parse_options(ctx, key + 3, store, query)) return false;
    if (query->by == BY_UNKNOWN) query->by = BY_RANK;
    if (query->limit != -1 && query->by == BY_RANK) {
        reply_error(ctx->reply,
                    "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
        return false;
    }
    if (query->with_scores && query->by == BY_LEX) {
        reply_error(ctx->reply, "ERR syntax error, WITHSCORES not supported in combination with BYLEX");
        return false;
    }
    int min = key + 1, max = key + 2;
    switch (query->by) {
    case BY_RANK: return command_arg_int(ctx, min, &query->start) && command_arg_int(ctx, max, &query->stop);
    case BY_SCORE:
        return query->direction == BACKWARD ? zset_parse_score_range(ctx, max, min, &query->scores)
                                            : zset_parse_score_range(ctx, min, max, &query->scores);
    default:
        return query->direction == BACKWARD ? zset_parse_lex_range(ctx, max, min, &query->lex)
                                            : zset_parse_lex_range(ctx, min, max, &query->lex);
    }
}

/* ---- the span ---- */

/* Cuts a span to `limit` elements behind the first `offset`, counted from the end it is read from. A negative
 * offset gives nothing; but where clients see a skiplist, it counts from the far end, as it happens to in
 * Redis. */
static struct zset_span cut_to_limit(struct zset_span span, int64_t offset, int64_t limit, bool backward,
                                     bool skiplist)
{
    int64_t n = span.to - span.from;
    if (offset < 0 && skiplist) offset += n;
    if (offset < 0 || offset >= n) return (struct zset_span){0, 0};
    int64_t taken = limit < MUTANT(zrange_limit_zero_is_all) || limit > n - offset ? n - offset : limit;
    if (backward) {
        span.to -= (uint32_t)offset;
        span.from = span.to - (uint32_t)taken;
    } else {
        span.from += (uint32_t)offset;
        span.to = span.from + (uint32_t)taken;
    }
    return span;
}

static struct zset_span find_span(const struct value *zset, const struct range_query *query)
{
    uint32_t count = zset_count(zset), skip = 0;
    bool backward = query->direction == BACKWARD, skiplist = zset_is_skiplist(zset);
    int64_t offset = query->offset;
    struct zset_span span;
    switch (query->by) {
    case BY_RANK:
        span = zset_clamp_ranks(query->start, query->stop, count);
        if (backward) span = (struct zset_span){count - span.to, count - span.from};
        return span;
    case BY_SCORE: span = zset_span_by_score(zset, &query->scores); break;
    default:
        if (offset > 0 && !skiplist) {
            skip = offset < count ? (uint32_t)offset : count;
            offset = 0;
        }
        span = zset_span_by_lex(zset, &query->lex, backward, skip);
    }
    return cut_to_limit(span, offset, query->limit, backward, skiplist);
}

/* ---- replies ---- */

static void reply_span(struct command_context *ctx, const struct value *zset, const struct range_query *query)
{
    struct zset_span span = find_span(zset, query);
    struct zset_iter iter;
    struct slice member;
    double score;
    bool backward = query->direction == BACKWARD;
    zset_reply_header(ctx->reply, span.to - span.from, query->with_scores);
    if (span.from == span.to) return;
    zset_iter_seek(zset, backward ? span.to : span.from, &iter);
    for (uint32_t n = span.to - span.from; n > 0; n--) {
        CHECK(backward ? zset_iter_prev(&iter, &member, &score) : zset_iter_next(&iter, &member, &score));
        zset_reply_member(ctx->reply, member, score, query->with_scores);
    }
}

static void range_generic(struct command_context *ctx, enum range_by by, enum direction direction)
{
    struct range_query query = {.by = by, .direction = direction};
    struct entry entry;
    if (!parse_query(ctx, 1, false, &query)) return;
    if (!command_open_read_typed(ctx, 1, ITEM_ZSET, &entry)) return;
    if (entry.item)
        reply_span(ctx, &entry.value, &query);
    else
        reply_empty_array(ctx->reply);
}

void cmd_zrange(struct command_context *ctx)
{
    range_generic(ctx, BY_UNKNOWN, EITHER_WAY);
}
void cmd_zrevrange(struct command_context *ctx)
{
    range_generic(ctx, BY_RANK, BACKWARD);
}
void cmd_zrangebyscore(struct command_context *ctx)
{
    range_generic(ctx, BY_SCORE, FORWARD);
}
void cmd_zrevrangebyscore(struct command_context *ctx)
{
    range_generic(ctx, BY_SCORE, BACKWARD);
}
void cmd_zrangebylex(struct command_context *ctx)
{
    range_generic(ctx, BY_LEX, FORWARD);
}
void cmd_zrevrangebylex(struct command_context *ctx)
{
    range_generic(ctx, BY_LEX, BACKWARD);
}

/* ---- ZRANGESTORE ---- */

/* In the order of the query: a set becomes a skiplist on the way, and what came before has lost its -0.0 by
 * then. */
static bool copy_span(const struct value *zset, struct zset_span span, bool backward, struct value *target,
                      const struct zset_limits *limits)
{
    struct zset_iter iter;
    struct slice member;
    struct zset_outcome outcome;
    double score;
    zset_iter_seek(zset, backward ? span.to : span.from, &iter);
    for (uint32_t n = span.to - span.from; n > 0; n--) {
        CHECK(backward ? zset_iter_prev(&iter, &member, &score) : zset_iter_next(&iter, &member, &score));
        if (zset_set(target, limits, member, score, &outcome) != VALUE_OK) return false;
    }
    return true;
}

void cmd_zrangestore(struct command_context *ctx)
{
    struct range_query query = {.by = BY_UNKNOWN, .direction = EITHER_WAY};
    struct entry source, target;
    struct zset_span span = {0, 0};
    if (!parse_query(ctx, 2, true, &query)) return;
    command_open(ctx, 1, &target);
    if (!command_open_read_typed(ctx, 2, ITEM_ZSET, &source)) return;
    if (source.item) span = find_span(&source.value, &query);
    if (span.from == span.to) {
        bool there = command_open(ctx, 1, &target);
        if (there && !(MUTANT(zrangestore_keeps_target) && !source.item))
            mutate_key_delete(&target, RECORD_DELETED);
        reply_integer(ctx->reply, 0);
        return;
    }
    struct build build;
    struct zset_limits limits = mutate_zset_limits(ctx->env);
    build_begin(&build, target.partition, ITEM_ZSET, ZSET_EMPTY_AREA, zset_free);
    if (query.by == BY_RANK) zset_encoding_hint(&build.value, &limits, span.to - span.from, 0);
    bool done = copy_span(&source.value, span, query.direction == BACKWARD, &build.value, &limits);
    command_open(ctx, 1, &target);
    if (!done || build_store(&build, &target) != VALUE_OK) {
        build_drop(&build);
        command_out_of_memory(ctx);
        return;
    }
    reply_integer(ctx->reply, span.to - span.from);
}

/* ---- ZREMRANGEBY* ---- */

static void remove_generic(struct command_context *ctx, enum range_by by)
{
    struct range_query query = {.by = by, .direction = FORWARD, .limit = -1};
    struct entry entry;
    struct zset_span span = {0, 0};
    bool parsed = false;
    switch (by) {
    case BY_RANK:
        parsed = command_arg_int(ctx, 2, &query.start) && command_arg_int(ctx, 3, &query.stop);
        break;
    case BY_SCORE: parsed = zset_parse_score_range(ctx, 2, 3, &query.scores); break;
    default: parsed = zset_parse_lex_range(ctx, 2, 3, &query.lex);
    }
    if (!parsed || !command_open_typed(ctx, 1, ITEM_ZSET, &entry)) return;
    if (entry.item) span = find_span(&entry.value, &query);
    if (span.from < span.to) mutate_zset_remove_span(&entry, span.from, span.to);
    reply_integer(ctx->reply, span.to - span.from);
}

void cmd_zremrangebyrank(struct command_context *ctx)
{
    remove_generic(ctx, BY_RANK);
}
void cmd_zremrangebyscore(struct command_context *ctx)
{
    remove_generic(ctx, BY_SCORE);
}
void cmd_zremrangebylex(struct command_context *ctx)
{
    remove_generic(ctx, BY_LEX);
}
