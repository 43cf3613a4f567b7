/* Random members of sets: SRANDMEMBER and SPOP. Compared with a real Redis by test/blackbox/hash_set_test.py.
 */
#include "command/command.h"
#include "command/sample.h"
#include "store/mutate_set.h"

#define KEEP_FACTOR 5 /* SPOP: when it takes so many times what it leaves, the set is built anew */

/* ---- SRANDMEMBER ---- */

static void reply_random(struct command_context *ctx, const struct value *set)
{
    char scratch[SET_SCRATCH];
    reply_bulk_slice(ctx->reply, set_random(set, ctx->env->prng, scratch));
}

/* n members, each time any of them. */
static void reply_with_repeats(struct command_context *ctx, const struct value *set, uint64_t n)
{
    size_t start = reply_len(ctx->reply);
    reply_array(ctx->reply, n);
    while (n-- > 0 && !ctx->reply->failed) {
        reply_random(ctx, set);
        if (reply_len(ctx->reply) - start > SAMPLE_REPLY_MAX) ctx->reply->failed = true;
    }
}

static void reply_by_selection(struct command_context *ctx, const struct value *set, uint64_t n)
{
    struct set_iter iter;
    struct slice member;
    uint64_t left = set_count(set);
    for (set_iter_begin(&iter, set); n > 0 && set_iter_next(&iter, &member);)
        if (sample_take(ctx->env->prng, &left, &n)) reply_bulk_slice(ctx->reply, member);
}

/* False: no memory, nothing replied. */
static bool reply_by_drawing(struct command_context *ctx, const struct value *set, uint64_t n)
{
    struct sample_seen seen;
    char scratch[SET_SCRATCH];
    if (!sample_seen_init(&seen, n)) return false;
    while (n > 0) {
        struct slice member = set_random(set, ctx->env->prng, scratch);
        if (!sample_seen_add(&seen, member.ptr)) continue;
        reply_bulk_slice(ctx->reply, member);
        n--;
    }
    sample_seen_free(&seen);
    return true;
}

/* n different members, or all. */
static void reply_distinct(struct command_context *ctx, const struct value *set, uint64_t wanted)
{
    uint64_t count = set_count(set), n = wanted < count ? wanted : count;
    reply_array(ctx->reply, n);
    if (!set_is_table(set) || n > count / 8 || !reply_by_drawing(ctx, set, n))
        reply_by_selection(ctx, set, n);
}

void cmd_srandmember(struct command_context *ctx)
{
    struct entry entry;
    int64_t wanted = 1;
    if (ctx->argc > 3) {
        command_error_syntax(ctx);
        return;
    }
    if (ctx->argc == 3 && !command_arg_range(ctx, 2, -INT64_MAX, INT64_MAX, &wanted, NULL)) return;
    if (!command_open_read_typed(ctx, 1, ITEM_SET, &entry)) return;
    if (ctx->argc == 2 && entry.item)
        reply_random(ctx, &entry.value);
    else if (ctx->argc == 2)
        reply_null(ctx->reply);
    else if (!entry.item || wanted == 0)
        reply_empty_array(ctx->reply);
    else if (wanted < 0)
        reply_with_repeats(ctx, &entry.value, (uint64_t)-wanted);
    else
        reply_distinct(ctx, &entry.value, (uint64_t)wanted);
}

/* ---- SPOP ---- */

static void pop_one(struct command_context *ctx, struct entry *entry)
{
    char scratch[SET_SCRATCH];
    struct slice member = set_random(&entry->value, ctx->env->prng, scratch);
    reply_bulk_slice(ctx->reply, member);
    mutate_set_pop(entry, member);
}

static void pop_all(struct command_context *ctx, struct entry *entry)
{
    struct set_iter iter;
    struct slice member;
    reply_set(ctx->reply, set_count(&entry->value));
    for (set_iter_begin(&iter, &entry->value); set_iter_next(&iter, &member);)
        reply_bulk_slice(ctx->reply, member);
    mutate_key_delete(entry, RECORD_DELETED);
}

/* Takes all but `kept` members, chosen at random; true when that was done. */
static bool pop_most(struct command_context *ctx, struct entry *entry, uint64_t kept)
{
    struct set_iter iter;
    struct slice member;
    uint64_t count = set_count(&entry->value), left = count, wanted = kept, at = 0;
    uint8_t *keep = calloc(count / 8 + 1, 1);
    if (!keep) return false;
    for (; left > 0; at++)
        if (sample_take(ctx->env->prng, &left, &wanted)) keep[at / 8] |= (uint8_t)(1u << at % 8);
    size_t start = reply_len(ctx->reply);
    reply_set(ctx->reply, count - kept);
    set_iter_begin(&iter, &entry->value);
    for (at = 0; set_iter_next(&iter, &member); at++)
        if (!(keep[at / 8] >> at % 8 & 1)) reply_bulk_slice(ctx->reply, member);
    bool done = mutate_set_keep(entry, keep) == VALUE_OK;
    if (!done) reply_truncate(ctx->reply, start);
    free(keep);
    return done;
}

void cmd_spop(struct command_context *ctx)
{
    struct entry entry;
    int64_t wanted = 1;
    if (ctx->argc > 3) {
        command_error_syntax(ctx);
        return;
    }
    static const char count_error[] = "ERR value is out of range, must be positive";
    if (ctx->argc == 3 && !command_arg_range(ctx, 2, 0, INT64_MAX, &wanted, count_error)) return;
    if (!command_open_typed(ctx, 1, ITEM_SET, &entry)) return;
    uint64_t count = entry.item ? set_count(&entry.value) : 0, n = (uint64_t)wanted;
    if (ctx->argc == 2 && entry.item) {
        pop_one(ctx, &entry);
    } else if (ctx->argc == 2) {
        reply_null(ctx->reply);
    } else if (count == 0 || n == 0) {
        reply_set(ctx->reply, 0);
    } else if (n >= count) {
        pop_all(ctx, &entry);
    } else if ((count - n) * KEEP_FACTOR > n || !pop_most(ctx, &entry, count - n)) {
        reply_set(ctx->reply, n);
        while (n-- > 0) pop_one(ctx, &entry);
    }
}
