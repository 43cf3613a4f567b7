/* Sorted sets: members and their scores. Ranges are in zset_range.c, pops and random members in zset_pop.c,
 * unions and the like in zset_combine.c. Values change through store/mutate_zset.h only. Compared with a real
 * Redis by test/differential. */
#include "command/zset.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "command/scan_element.h"

/* ---- ZADD, ZINCRBY ---- */

enum { ADD_NX = 1, ADD_XX = 2, ADD_GT = 4, ADD_LT = 8, ADD_CH = 16, ADD_INCR = 32 };

struct addition {
    unsigned flags;
    int first; /* argv's index of the first score */
    uint32_t pairs;
    double score;               /* of the pair at hand: its score or increment */
    bool not_a_number, skipped; /* how the last decision ended, if not in a score */
};

/* zset_decide: what ZADD's options make of the pair at hand. */
static bool decide_addition(void *context, bool existed, double old, double *score)
{
    struct addition *add = context;
    double wanted = add->score;
    add->skipped = existed ? add->flags & ADD_NX : add->flags & ADD_XX;
    if (add->skipped) return false;
    if (existed) {
        if (add->flags & ADD_INCR) wanted += old;
        add->not_a_number = isnan(wanted);
        add->skipped = (add->flags & ADD_LT && wanted >= old) || (add->flags & ADD_GT && wanted <= old);
        if (add->not_a_number || add->skipped) return false;
    }
    add->score = wanted;
    *score = wanted;
    return !existed || wanted != old;
}

static bool parse_addition(struct command_context *ctx, struct addition *add)
{
    static const struct {
        const char *word;
        unsigned flag;
    } options[] = {{"NX", ADD_NX},     {"XX", ADD_XX}, {"CH", ADD_CH},
                   {"INCR", ADD_INCR}, {"GT", ADD_GT}, {"LT", ADD_LT}};
    add->first = 2;
    for (unsigned found = 1; found != 0 && add->first < ctx->argc;) {
        found = 0;
        for (size_t i = 0; i < ARRAY_LEN(options); i++) {
            if (command_arg_is(ctx, add->first, options[i].word)) found = options[i].flag;
        }
        add->flags |= found;
        add->first += found != 0;
    }
    int rest = ctx->argc - add->first;
    unsigned flags = add->flags;
    const char *error = NULL;
    if (rest == 0 || rest % 2 != 0) {
        error = "ERR syntax error";
    } else if (flags & ADD_NX && flags & ADD_XX) {
        error = "ERR XX and NX options at the same time are not compatible";
    } else if ((flags & ADD_NX && flags & (ADD_GT | ADD_LT)) || (flags & ADD_GT && flags & ADD_LT)) {
        error = "ERR GT, LT, and/or NX options at the same time are not compatible";
    } else if (flags & ADD_INCR && rest > 2) {
        error = "ERR INCR option supports a single increment-element pair";
    }
    if (error != NULL) reply_error(ctx->reply, error);
    add->pairs = (uint32_t)rest / 2;
    return error == NULL;
}

static bool parse_score(struct command_context *ctx, const struct addition *add, uint32_t pair, double *score)
{
    return command_arg_double(ctx, add->first + (int)pair * 2, score, NULL);
}

/* Adds all pairs, whose scores are known to be good; counts what was new and what changed. False: replied an
 * error. */
static bool add_pairs(struct command_context *ctx, struct entry *entry, struct addition *add, int64_t *added,
                      int64_t *updated)
{
    for (uint32_t i = 0; i < add->pairs; i++) {
        struct zset_outcome outcome;
        struct slice member = ctx->argv[add->first + (int)i * 2 + 1];
        if (!parse_score(ctx, add, i, &add->score)) return false;
        double delta = add->score;
        const double *increment = add->flags & ADD_INCR ? &delta : NULL;
        if (mutate_zset_change(entry, member, decide_addition, add, increment, &outcome) != VALUE_OK) {
            command_out_of_memory(ctx);
            return false;
        }
        if (add->not_a_number) {
            reply_error(ctx->reply, "ERR resulting score is not a number (NaN)");
            return false;
        }
        *added += outcome.changed && !outcome.existed;
        *updated += outcome.changed && outcome.existed;
    }
    return true;
}

static void add_generic(struct command_context *ctx, unsigned flags)
{
    struct addition add = {.flags = flags};
    struct entry entry;
    int64_t added = 0, updated = 0;
    if (!parse_addition(ctx, &add)) return;
    for (uint32_t i = 0; i < add.pairs; i++) {
        double score;
        if (!parse_score(ctx, &add, i, &score)) return;
    }
    if (!command_open_typed(ctx, 1, ITEM_ZSET, &entry)) return;
    add.skipped = true;
    if (entry.item || !(add.flags & ADD_XX)) {
        bool several = add.pairs > 1;
        if (several && !command_reserve(ctx, &entry, add.first, (int)add.pairs)) return;
        if (mutate_zset_prepare(&entry, add.pairs, ctx->argv[add.first + 1].len) != VALUE_OK) {
            CHECK(!several);
            command_out_of_memory(ctx);
            return;
        }
        bool done = add_pairs(ctx, &entry, &add, &added, &updated);
        CHECK(done || !several); /* reserved */
        if (several) mutate_release(ctx->env);
        if (!done) return;
    }
    if (!(add.flags & ADD_INCR))
        reply_integer(ctx->reply, add.flags & ADD_CH ? added + updated : added);
    else if (add.skipped)
        reply_null(ctx->reply);
    else
        reply_double(ctx->reply, add.score);
}

void cmd_zadd(struct command_context *ctx)
{
    add_generic(ctx, 0);
}
void cmd_zincrby(struct command_context *ctx)
{
    add_generic(ctx, ADD_INCR);
}

void cmd_zrem(struct command_context *ctx)
{
    struct entry entry;
    int64_t removed = 0;
    if (!command_open_typed(ctx, 1, ITEM_ZSET, &entry)) return;
    for (int i = 2; i < ctx->argc && entry.item; i++) removed += mutate_zset_remove(&entry, ctx->argv[i]);
    reply_integer(ctx->reply, removed);
}

/* ---- reading ---- */

void cmd_zcard(struct command_context *ctx)
{
    struct entry entry;
    if (!command_open_read_typed(ctx, 1, ITEM_ZSET, &entry)) return;
    reply_integer(ctx->reply, entry.item ? zset_count(&entry.value) : 0);
}

static void reply_score(struct command_context *ctx, const struct entry *entry, struct slice member)
{
    double score;
    if (entry->item && zset_score(&entry->value, member, &score))
        reply_double(ctx->reply, score);
    else
        reply_null(ctx->reply);
}

void cmd_zscore(struct command_context *ctx)
{
    struct entry entry;
    if (!command_open_read_typed(ctx, 1, ITEM_ZSET, &entry)) return;
    reply_score(ctx, &entry, ctx->argv[2]);
}

void cmd_zmscore(struct command_context *ctx)
{
    struct entry entry;
    if (!command_open_read_typed(ctx, 1, ITEM_ZSET, &entry)) return;
    reply_array(ctx->reply, (uint64_t)ctx->argc - 2);
    for (int i = 2; i < ctx->argc; i++) reply_score(ctx, &entry, ctx->argv[i]);
}

static void reply_rank(struct command_context *ctx, bool from_the_end)
{
    struct entry entry;
    uint32_t rank;
    double score;
    bool with_score = ctx->argc > 3;
    if (ctx->argc > 4) {
        command_error_arity(ctx);
        return;
    }
    if (with_score && !command_arg_is(ctx, 3, "WITHSCORE")) {
        command_error_syntax(ctx);
        return;
    }
    if (!command_open_read_typed(ctx, 1, ITEM_ZSET, &entry)) return;
    if (!entry.item || !zset_rank(&entry.value, ctx->argv[2], &rank, &score)) {
        if (with_score)
            reply_null_array(ctx->reply);
        else
            reply_null(ctx->reply);
        return;
    }
    if (from_the_end) rank = zset_count(&entry.value) - 1 - rank;
    if (with_score) reply_array(ctx->reply, 2);
    reply_integer(ctx->reply, rank);
    if (with_score) reply_double(ctx->reply, score);
}

void cmd_zrank(struct command_context *ctx)
{
    reply_rank(ctx, false);
}
void cmd_zrevrank(struct command_context *ctx)
{
    reply_rank(ctx, true);
}

void cmd_zcount(struct command_context *ctx)
{
    struct entry entry;
    struct zset_score_range range;
    if (!zset_parse_score_range(ctx, 2, 3, &range)) return;
    if (!command_open_read_typed(ctx, 1, ITEM_ZSET, &entry)) return;
    struct zset_span span = {0, 0};
    if (entry.item) span = zset_span_by_score(&entry.value, &range);
    reply_integer(ctx->reply, span.to - span.from);
}

void cmd_zlexcount(struct command_context *ctx)
{
    struct entry entry;
    struct zset_lex_range range;
    if (!zset_parse_lex_range(ctx, 2, 3, &range)) return;
    if (!command_open_read_typed(ctx, 1, ITEM_ZSET, &entry)) return;
    struct zset_span span = {0, 0};
    if (entry.item) span = zset_span_by_lex(&entry.value, &range, false, 0);
    reply_integer(ctx->reply, span.to - span.from);
}

/* ---- ZSCAN ---- */

struct score_scan {
    struct element_scan scan;
    bool skiplist;
};

static void show_member(void *context, struct slice member, double score)
{
    struct score_scan *walk = context;
    char text[64];
    walk->scan.seen++;
    if (!element_scan_matches(&walk->scan, member)) return;
    /* Redis formats a skiplist's scores for SCAN with all their digits, a listpack's as they are kept. */
    size_t len = walk->skiplist && isfinite(score) ? (size_t)snprintf(text, sizeof text, "%.17g", score)
                                                   : number_format_double(text, score);
    reply_bulk_slice(walk->scan.reply, member);
    reply_bulk(walk->scan.reply, text, len);
    walk->scan.shown += 2;
}

/* A listpack is shown whole and in order, whatever form it is kept in. */
static uint64_t show_all(const struct value *zset, struct score_scan *walk)
{
    struct zset_iter iter;
    struct slice member;
    double score;
    for (zset_iter_seek(zset, 0, &iter); zset_iter_next(&iter, &member, &score);)
        show_member(walk, member, score);
    return 0;
}

void cmd_zscan(struct command_context *ctx)
{
    struct entry entry;
    struct score_scan walk = {.skiplist = false};
    uint64_t cursor;
    if (!element_scan_cursor(ctx, &cursor)) return;
    if (!command_open_read_typed(ctx, 1, ITEM_ZSET, &entry)) return;
    if (!element_scan_begin(ctx, entry.item != NULL, &walk.scan)) return;
    walk.skiplist = zset_is_skiplist(&entry.value);
    if (!walk.skiplist) {
        cursor = show_all(&entry.value, &walk);
    } else {
        do {
            cursor = zset_scan(&entry.value, cursor, show_member, &walk);
        } while (cursor != 0 && element_scan_wants_more(&walk.scan));
    }
    element_scan_end(&walk.scan, cursor);
}
