/* Hashes: fields and values (deadlines: hash_expire.c, random ones: hash_random.c). Order of checks and texts
 * are Redis's. Compared with a real Redis by test/differential and test/blackbox/hash_set_test.py. */
#include "command/hash.h"

#include "base/mutant.h"
#include <math.h>

#include "command/scan_element.h"

/* ---- dead fields ---- */

int64_t hash_now_ms(const struct command_context *ctx)
{
    return ctx->env->expiry_paused ? INT64_MIN : ctx->now_ms;
}

bool hash_peek(const struct command_context *ctx, const struct entry *entry, struct slice field,
               struct hash_field *out)
{
    return entry->item && hash_find(&entry->value, field, out) && !hash_field_is_due(out, hash_now_ms(ctx));
}

bool hash_get(struct command_context *ctx, struct entry *entry, struct slice field, struct hash_field *out)
{
    if (!entry->item || !hash_find(&entry->value, field, out)) return false;
    if (LIKELY(!hash_field_is_due(out, hash_now_ms(ctx)))) return true;
    if (!ctx->env->expired_stay) {
        ctx->env->stats.expired_fields++;
        mutate_hash_remove(entry, field, RECORD_EXPIRED);
    }
    return false;
}

void hash_drop_due(struct command_context *ctx, struct entry *entry)
{
    while (entry->item && mutate_hash_expire_fields(entry, ctx->now_ms, 1 << 16) > 0) continue;
}

/* ---- setting ---- */

/* HSET and HMSET: the number of new fields, -1 when memory ran out (replied). */
static int64_t set_pairs(struct command_context *ctx, struct entry *entry)
{
    int64_t created = 0;
    uint64_t texts = (uint64_t)ctx->argc - 2;
    bool several = texts > 2;
    if (several && !command_reserve(ctx, entry, 2, (int)texts / 2)) return -1;
    /* Of one pair mutate_hash_set itself sees what it makes of the encoding, and only if it succeeds. */
    if (mutate_hash_prepare(entry, ctx->argv + 2, several ? texts : 0) != VALUE_OK) goto no_memory;
    for (int i = 2; i < ctx->argc; i += 2) {
        bool fresh;
        if (mutate_hash_set(entry, ctx->argv[i], ctx->argv[i + 1], HASH_NO_DEADLINE, &fresh) != VALUE_OK)
            goto no_memory;
        created += fresh;
    }
    if (several) mutate_release(ctx->env);
    return created;
no_memory:
    CHECK(!several);
    command_out_of_memory(ctx);
    return -1;
}

void cmd_hset(struct command_context *ctx)
{
    struct entry entry;
    if (ctx->argc % 2 != 0) {
        command_error_arity(ctx);
        return;
    }
    if (!command_open_typed(ctx, 1, ITEM_HASH, &entry)) return;
    int64_t created = set_pairs(ctx, &entry);
    if (created >= 0) reply_integer(ctx->reply, created);
}

void cmd_hmset(struct command_context *ctx)
{
    struct entry entry;
    if (ctx->argc % 2 != 0) {
        command_error_arity(ctx);
        return;
    }
    if (command_open_typed(ctx, 1, ITEM_HASH, &entry) && set_pairs(ctx, &entry) >= 0) reply_ok(ctx->reply);
}

void cmd_hsetnx(struct command_context *ctx)
{
    struct entry entry;
    struct hash_field field;
    if (!command_open_typed(ctx, 1, ITEM_HASH, &entry)) return;
    if (hash_get(ctx, &entry, ctx->argv[2], &field))
        reply_integer(ctx->reply, 0);
    else if (set_pairs(ctx, &entry) >= 0)
        reply_integer(ctx->reply, 1);
}

/* ---- counting ---- */

void cmd_hincrby(struct command_context *ctx)
{
    struct entry entry;
    struct hash_field field;
    int64_t delta, value = 0;
    if (!command_arg_int(ctx, 3, &delta)) return;
    if (!command_open_typed(ctx, 1, ITEM_HASH, &entry)) return;
    if (hash_get(ctx, &entry, ctx->argv[2], &field) &&
        !number_parse_i64(field.value.ptr, field.value.len, &value)) {
        reply_error(ctx->reply, "ERR hash value is not an integer");
        return;
    }
    if (__builtin_add_overflow(value, delta, &value)) {
        reply_error(ctx->reply, "ERR increment or decrement would overflow");
        return;
    }
    if (mutate_hash_prepare(&entry, NULL, 0) != VALUE_OK ||
        mutate_hash_add(&entry, ctx->argv[2], delta, value) != VALUE_OK)
        command_out_of_memory(ctx);
    else
        reply_integer(ctx->reply, value);
}

void cmd_hincrbyfloat(struct command_context *ctx)
{
    struct entry entry;
    struct hash_field field;
    struct command_sum sum;
    struct slice more = ctx->argv[3];
    long double value = 0, delta;
    if (!number_parse_long_double(more.ptr, more.len, &delta)) {
        reply_error(ctx->reply, "ERR value is not a valid float");
        return;
    }
    if (isinf(delta)) {
        reply_error(ctx->reply, "ERR value is NaN or Infinity");
        return;
    }
    if (!command_open_typed(ctx, 1, ITEM_HASH, &entry)) return;
    if (hash_get(ctx, &entry, ctx->argv[2], &field) &&
        !number_parse_long_double(field.value.ptr, field.value.len, &value)) {
        reply_error(ctx->reply, "ERR hash value is not a float");
        return;
    }
    if (!command_add_float(ctx, value, delta, &sum)) return;
    struct slice result = {sum.text, sum.len};
    if (mutate_hash_prepare(&entry, NULL, 0) != VALUE_OK ||
        mutate_hash_add_float(&entry, ctx->argv[2], more, result) != VALUE_OK)
        command_out_of_memory(ctx);
    else
        reply_bulk_slice(ctx->reply, result);
}

/* ---- removing ---- */

void cmd_hdel(struct command_context *ctx)
{
    struct entry entry;
    int64_t removed = 0;
    if (!command_open_typed(ctx, 1, ITEM_HASH, &entry)) return;
    for (int i = 2; i < ctx->argc && entry.item; i++)
        removed += mutate_hash_remove(&entry, ctx->argv[i], RECORD_DELETED);
    reply_integer(ctx->reply, removed);
}

/* ---- reading ---- */

static void reply_field(struct command_context *ctx, struct entry *entry, struct slice name)
{
    struct hash_field field;
    if (hash_get(ctx, entry, name, &field))
        reply_bulk_slice(ctx->reply, field.value);
    else
        reply_null(ctx->reply);
}

void cmd_hget(struct command_context *ctx)
{
    struct entry entry;
    if (command_open_read_typed(ctx, 1, ITEM_HASH, &entry)) reply_field(ctx, &entry, ctx->argv[2]);
}

void cmd_hmget(struct command_context *ctx)
{
    struct entry entry;
    if (!command_open_read_typed(ctx, 1, ITEM_HASH, &entry)) return;
    reply_array(ctx->reply, (uint64_t)ctx->argc - 2);
    for (int i = 2; i < ctx->argc; i++) reply_field(ctx, &entry, ctx->argv[i]);
}

void cmd_hexists(struct command_context *ctx)
{
    struct entry entry;
    struct hash_field field;
    if (command_open_read_typed(ctx, 1, ITEM_HASH, &entry))
        reply_integer(ctx->reply, hash_get(ctx, &entry, ctx->argv[2], &field));
}

void cmd_hstrlen(struct command_context *ctx)
{
    struct entry entry;
    struct hash_field field;
    if (!command_open_read_typed(ctx, 1, ITEM_HASH, &entry)) return;
    bool there = hash_get(ctx, &entry, ctx->argv[2], &field);
    reply_integer(ctx->reply, there ? (int64_t)field.value.len : 0);
}

/* As in Redis, fields that are due and not yet taken out count. */
void cmd_hlen(struct command_context *ctx)
{
    struct entry entry;
    if (command_open_read_typed(ctx, 1, ITEM_HASH, &entry))
        reply_integer(ctx->reply, entry.item ? (int64_t)hash_count(&entry.value) : 0);
}

/* Fields that are not due. */
static uint64_t count_alive(const struct value *hash, int64_t now_ms)
{
    struct hash_iter iter;
    struct hash_field field;
    uint64_t count = 0;
    if (LIKELY(hash_earliest_ms(hash) > now_ms)) return hash_count(hash);
    for (hash_iter_begin(&iter, hash); hash_iter_next(&iter, &field);)
        count += !hash_field_is_due(&field, now_ms);
    return count;
}

enum { WITH_FIELDS = 1, WITH_VALUES = 2 };

/* HGETALL, HKEYS and HVALS. */
static void reply_all(struct command_context *ctx, unsigned parts)
{
    struct entry entry;
    struct hash_iter iter;
    struct hash_field field;
    int64_t now_ms = hash_now_ms(ctx);
    if (!command_open_read_typed(ctx, 1, ITEM_HASH, &entry)) return;
    uint64_t count = entry.item ? count_alive(&entry.value, now_ms) : 0;
    if (parts == (WITH_FIELDS | WITH_VALUES) || (MUTANT(hkeys_missing_is_map) && !entry.item))
        reply_map(ctx->reply, count);
    else
        reply_array(ctx->reply, count);
    if (count == 0) return;
    for (hash_iter_begin(&iter, &entry.value); hash_iter_next(&iter, &field);) {
        if (hash_field_is_due(&field, now_ms)) continue;
        if (parts & WITH_FIELDS) reply_bulk_slice(ctx->reply, field.field);
        if (parts & WITH_VALUES) reply_bulk_slice(ctx->reply, field.value);
    }
}

void cmd_hgetall(struct command_context *ctx)
{
    reply_all(ctx, WITH_FIELDS | WITH_VALUES);
}
void cmd_hkeys(struct command_context *ctx)
{
    reply_all(ctx, WITH_FIELDS);
}
void cmd_hvals(struct command_context *ctx)
{
    reply_all(ctx, WITH_VALUES);
}

/* ---- HSCAN ---- */

struct field_scan {
    struct element_scan scan;
    int64_t now_ms;
};

static void show_field(void *context, const struct hash_field *field)
{
    struct field_scan *walk = context;
    walk->scan.seen++;
    if (hash_field_is_due(field, walk->now_ms) || !element_scan_matches(&walk->scan, field->field)) return;
    reply_bulk_slice(walk->scan.reply, field->field);
    if (!walk->scan.no_values) reply_bulk_slice(walk->scan.reply, field->value);
    walk->scan.shown += walk->scan.no_values ? 1 : 2;
}

/* A listpack is shown whole, whatever form it is kept in. */
static uint64_t show_all(const struct value *hash, struct field_scan *walk)
{
    struct hash_iter iter;
    struct hash_field field;
    for (hash_iter_begin(&iter, hash); hash_iter_next(&iter, &field);) show_field(walk, &field);
    return 0;
}

void cmd_hscan(struct command_context *ctx)
{
    struct entry entry;
    struct field_scan walk = {.now_ms = hash_now_ms(ctx)};
    uint64_t cursor;
    if (!element_scan_cursor(ctx, &cursor)) return;
    if (!command_open_read_typed(ctx, 1, ITEM_HASH, &entry)) return;
    if (!element_scan_begin(ctx, entry.item != NULL, &walk.scan)) return;
    if (!hash_is_hashtable(&entry.value)) {
        cursor = show_all(&entry.value, &walk);
    } else {
        do cursor = hash_scan(&entry.value, cursor, show_field, &walk);
        while (cursor != 0 && element_scan_wants_more(&walk.scan));
    }
    element_scan_end(&walk.scan, cursor);
}
