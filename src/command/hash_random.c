/* HRANDFIELD. Compared with a real Redis by test/blackbox/hash_set_test.py. */
#include "command/hash.h"
#include "command/sample.h"

static void reply_header_of(struct reply *reply, uint64_t n, bool with_values)
{
    reply_array(reply, with_values && reply->resp == 2 ? n * 2 : n);
}

static void reply_one(struct reply *reply, const struct hash_field *field, bool with_values)
{
    if (with_values && reply->resp > 2) reply_array(reply, 2);
    reply_bulk_slice(reply, field->field);
    if (with_values) reply_bulk_slice(reply, field->value);
}

/* Fields that are alive: while clients are paused, dead ones may still be there. */
static uint64_t count_live(const struct value *hash, int64_t now_ms)
{
    uint64_t count = hash_count(hash);
    if (LIKELY(hash_earliest_ms(hash) >= now_ms)) return count;
    struct hash_iter iter;
    struct hash_field field;
    for (hash_iter_begin(&iter, hash); hash_iter_next(&iter, &field);)
        count -= hash_field_is_due(&field, now_ms);
    return count;
}

/* There is one that is alive. */
static void draw_live(struct command_context *ctx, const struct value *hash, struct hash_field *field)
{
    do hash_random(hash, ctx->env->prng, field);
    while (UNLIKELY(hash_field_is_due(field, hash_now_ms(ctx))));
}

/* n fields, each time any of them. */
static void reply_with_repeats(struct command_context *ctx, const struct value *hash, uint64_t n,
                               bool with_values)
{
    struct hash_field field;
    size_t start = reply_len(ctx->reply);
    reply_header_of(ctx->reply, n, with_values);
    while (n-- > 0 && !ctx->reply->failed) {
        draw_live(ctx, hash, &field);
        reply_one(ctx->reply, &field, with_values);
        if (reply_len(ctx->reply) - start > SAMPLE_REPLY_MAX) ctx->reply->failed = true;
    }
}

static void reply_by_selection(struct command_context *ctx, const struct value *hash, uint64_t live,
                               uint64_t n, bool with_values)
{
    struct hash_iter iter;
    struct hash_field field;
    for (hash_iter_begin(&iter, hash); n > 0 && hash_iter_next(&iter, &field);)
        if (!hash_field_is_due(&field, hash_now_ms(ctx)) && sample_take(ctx->env->prng, &live, &n))
            reply_one(ctx->reply, &field, with_values);
}

/* False: no memory, nothing replied. */
static bool reply_by_drawing(struct command_context *ctx, const struct value *hash, uint64_t n,
                             bool with_values)
{
    struct sample_seen seen;
    struct hash_field field;
    if (!sample_seen_init(&seen, n)) return false;
    while (n > 0) {
        draw_live(ctx, hash, &field);
        if (!sample_seen_add(&seen, field.field.ptr)) continue;
        reply_one(ctx->reply, &field, with_values);
        n--;
    }
    sample_seen_free(&seen);
    return true;
}

/* n different fields, or all. */
static void reply_distinct(struct command_context *ctx, const struct value *hash, uint64_t live,
                           uint64_t wanted, bool with_values)
{
    uint64_t n = wanted < live ? wanted : live;
    reply_header_of(ctx->reply, n, with_values);
    if (!hash_is_table(hash) || n > live / 8 || !reply_by_drawing(ctx, hash, n, with_values))
        reply_by_selection(ctx, hash, live, n, with_values);
}

void cmd_hrandfield(struct command_context *ctx)
{
    struct entry entry;
    struct hash_field field;
    int64_t wanted = 1;
    bool with_values = ctx->argc == 4;
    if (ctx->argc > 2) {
        if (!command_arg_range(ctx, 2, -INT64_MAX, INT64_MAX, &wanted, NULL)) return;
        if (ctx->argc > 4 || (with_values && !command_arg_is(ctx, 3, "WITHVALUES"))) {
            command_error_syntax(ctx);
            return;
        }
        if (with_values && (wanted < -INT64_MAX / 2 || wanted > INT64_MAX / 2)) {
            reply_error(ctx->reply, "ERR value is out of range");
            return;
        }
    }
    if (!command_open_read_typed(ctx, 1, ITEM_HASH, &entry)) return;
    hash_drop_due(ctx, &entry);
    uint64_t live = entry.item ? count_live(&entry.value, hash_now_ms(ctx)) : 0;
    if (live == 0) {
        if (ctx->argc == 2)
            reply_null(ctx->reply);
        else
            reply_empty_array(ctx->reply);
    } else if (ctx->argc == 2) {
        draw_live(ctx, &entry.value, &field);
        reply_bulk_slice(ctx->reply, field.field);
    } else if (wanted == 0) {
        reply_empty_array(ctx->reply);
    } else if (wanted < 0) {
        reply_with_repeats(ctx, &entry.value, (uint64_t)-wanted, with_values);
    } else {
        reply_distinct(ctx, &entry.value, live, (uint64_t)wanted, with_values);
    }
}
