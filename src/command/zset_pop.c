/* Sorted sets: taking from the ends, and random members. Compared with a real Redis by test/differential. */
#include "command/zset.h"

#include "base/mutant.h"
#include <stdlib.h>

/* ---- ZPOPMIN, ZPOPMAX, ZMPOP ---- */

/* Takes n members from an end and replies them, each a pair of its own when `nested`. The header is written
 * already. */
static void pop_reply(struct command_context *ctx, struct entry *entry, bool max, uint32_t n, bool nested)
{
    struct zset_iter iter;
    struct slice member;
    double score;
    uint32_t count = zset_count(&entry->value);
    zset_iter_seek(&entry->value, max ? count : 0, &iter);
    for (uint32_t i = 0; i < n; i++) {
        CHECK(max ? zset_iter_prev(&iter, &member, &score) : zset_iter_next(&iter, &member, &score));
        if (nested) reply_array(ctx->reply, 2);
        reply_bulk_slice(ctx->reply, member);
        reply_double(ctx->reply, score);
    }
    mutate_zset_remove_span(entry, max ? count - n : 0, max ? count : n);
}

static uint32_t at_most(int64_t wanted, uint32_t present)
{
    return wanted < present ? (uint32_t)wanted : present;
}

static void pop(struct command_context *ctx, bool max)
{
    struct entry entry;
    int64_t wanted = 1;
    if (ctx->argc > 3) {
        command_error_syntax(ctx);
        return;
    }
    if (ctx->argc == 3 &&
        !command_arg_range(ctx, 2, 0, INT64_MAX, &wanted, "ERR value is out of range, must be positive"))
        return;
    if (!command_open_typed(ctx, 1, ITEM_ZSET, &entry)) return;
    if (!entry.item || wanted == 0) {
        reply_empty_array(ctx->reply);
        return;
    }
    bool nested = ctx->argc == 3 && ctx->reply->resp > 2 && !MUTANT(zpop_resp3_flat);
    uint32_t n = at_most(wanted, zset_count(&entry.value));
    reply_array(ctx->reply, nested ? n : 2 * (uint64_t)n);
    pop_reply(ctx, &entry, max, n, nested);
}

void cmd_zpopmin(struct command_context *ctx)
{
    pop(ctx, false);
}
void cmd_zpopmax(struct command_context *ctx)
{
    pop(ctx, true);
}

void cmd_zmpop(struct command_context *ctx)
{
    int64_t keys, wanted = -1;
    if (!command_arg_range(ctx, 1, 1, INT64_MAX, &keys, "ERR numkeys should be greater than 0")) return;
    if (keys >= ctx->argc - 2) {
        command_error_syntax(ctx);
        return;
    }
    int where = (int)keys + 2;
    bool max = command_arg_is(ctx, where, "MAX");
    if (!max && !command_arg_is(ctx, where, "MIN")) {
        command_error_syntax(ctx);
        return;
    }
    for (int i = where + 1; i < ctx->argc; i += 2) {
        if (wanted != -1 || i + 1 >= ctx->argc || !command_arg_is(ctx, i, "COUNT")) {
            command_error_syntax(ctx);
            return;
        }
        if (!command_arg_range(ctx, i + 1, 1, INT64_MAX, &wanted, "ERR count should be greater than 0"))
            return;
    }
    for (int i = 2; i < where; i++) {
        struct entry entry;
        if (!command_open_typed(ctx, i, ITEM_ZSET, &entry)) return;
        if (!entry.item) continue;
        uint32_t n = at_most(wanted == -1 ? 1 : wanted, zset_count(&entry.value));
        reply_array(ctx->reply, 2);
        reply_bulk_slice(ctx->reply, ctx->argv[i]);
        reply_array(ctx->reply, n);
        pop_reply(ctx, &entry, max, n, true);
        return;
    }
    reply_null_array(ctx->reply);
}

/* ---- ZRANDMEMBER ---- */

/* A reply longer than this is no use to anybody: the connection is closed instead. */
#define RANDOM_REPLY_MAX (1ull << 30)

static void reply_at_rank(struct command_context *ctx, const struct value *zset, uint32_t rank,
                          bool with_scores)
{
    struct zset_iter iter;
    struct slice member;
    double score;
    zset_iter_seek(zset, rank, &iter);
    CHECK(zset_iter_next(&iter, &member, &score));
    zset_reply_member(ctx->reply, member, score, with_scores);
}

/* n members, each time any of them. */
static void reply_with_repeats(struct command_context *ctx, const struct value *zset, uint64_t n,
                               bool with_scores)
{
    uint32_t count = zset_count(zset);
    size_t start = reply_len(ctx->reply);
    zset_reply_header(ctx->reply, n, with_scores);
    while (n-- > 0 && !ctx->reply->failed) {
        reply_at_rank(ctx, zset, (uint32_t)prng_below(ctx->env->prng, count), with_scores);
        if (reply_len(ctx->reply) - start > RANDOM_REPLY_MAX) ctx->reply->failed = true;
    }
}

static int compare_ranks(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Chooses among all by one pass: of the elements left, as many as are still wanted (Fan, Muller, Rezucha
 * 1962). */
static void reply_by_selection(struct command_context *ctx, const struct value *zset, uint32_t n,
                               bool with_scores)
{
    struct zset_iter iter;
    struct slice member;
    double score;
    uint32_t left = zset_count(zset);
    zset_iter_seek(zset, 0, &iter);
    for (; n > 0; left--) {
        CHECK(zset_iter_next(&iter, &member, &score));
        if (prng_below(ctx->env->prng, left) >= n) continue;
        zset_reply_member(ctx->reply, member, score, with_scores);
        n--;
    }
}

/* Few of many: draws ranks until n different ones are there. */
static bool reply_by_drawing(struct command_context *ctx, const struct value *zset, uint32_t n,
                             bool with_scores)
{
    uint32_t *ranks = malloc(n * sizeof *ranks), count = zset_count(zset), different = 0;
    if (ranks == NULL) return false;
    while (different < n) {
        for (uint32_t i = different; i < n; i++) ranks[i] = (uint32_t)prng_below(ctx->env->prng, count);
        qsort(ranks, n, sizeof *ranks, compare_ranks);
        different = 1;
        for (uint32_t i = 1; i < n; i++) {
            if (ranks[i] != ranks[different - 1]) ranks[different++] = ranks[i];
        }
    }
    for (uint32_t i = 0; i < n; i++) reply_at_rank(ctx, zset, ranks[i], with_scores);
    free(ranks);
    return true;
}

/* n different members. */
static void reply_distinct(struct command_context *ctx, const struct value *zset, uint64_t wanted,
                           bool with_scores)
{
    uint32_t count = zset_count(zset), n = wanted < count ? (uint32_t)wanted : count;
    zset_reply_header(ctx->reply, n, with_scores);
    if (n > count / 8 || !reply_by_drawing(ctx, zset, n, with_scores))
        reply_by_selection(ctx, zset, n, with_scores);
}

void cmd_zrandmember(struct command_context *ctx)
{
    struct entry entry;
    int64_t wanted = 1;
    bool with_scores = ctx->argc == 4;
    if (ctx->argc > 2) {
        if (!command_arg_range(ctx, 2, -INT64_MAX, INT64_MAX, &wanted, NULL)) return;
        if (ctx->argc > 4 || (with_scores && !command_arg_is(ctx, 3, "WITHSCORES"))) {
            command_error_syntax(ctx);
            return;
        }
        if (with_scores && (wanted < -INT64_MAX / 2 || wanted > INT64_MAX / 2)) {
            reply_error(ctx->reply, "ERR value is out of range");
            return;
        }
    }
    if (!command_open_read_typed(ctx, 1, ITEM_ZSET, &entry)) return;
    if (ctx->argc == 2) {
        if (entry.item)
            reply_at_rank(ctx, &entry.value, (uint32_t)prng_below(ctx->env->prng, zset_count(&entry.value)),
                          false);
        else
            reply_null(ctx->reply);
    } else if (!entry.item || wanted == 0) {
        reply_empty_array(ctx->reply);
    } else if (wanted < 0) {
        reply_with_repeats(ctx, &entry.value, (uint64_t)-wanted, with_scores);
    } else {
        reply_distinct(ctx, &entry.value, (uint64_t)wanted, with_scores);
    }
}
