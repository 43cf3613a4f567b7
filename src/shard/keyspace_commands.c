/* Commands on whole databases: DBSIZE, FLUSHALL, FLUSHDB, SWAPDB. They run with every partition held (route
 * "all"), so they are exact and atomic on any number of shards, and right inside MULTI. Tests:
 * test/blackbox/server_commands_test.py. */
#include "shard/internal.h"

static uint64_t keys_of(const struct command_context *ctx, uint8_t db)
{
    uint64_t keys = 0;
    for (int p = 0; p < PARTITION_COUNT; p++) keys += partition_keys(ctx->partitions[p], db);
    return keys;
}

void cmd_dbsize(struct command_context *ctx)
{
    reply_integer(ctx->reply, (int64_t)keys_of(ctx, ctx->db));
}

/* ---- FLUSHALL, FLUSHDB ---- */

/* Memory is given back with the slab in one piece, so ASYNC and SYNC are the same. */
static bool flush_arguments_are_good(struct command_context *ctx)
{
    bool good = ctx->argc == 1 ||
                (ctx->argc == 2 && (command_arg_is(ctx, 1, "ASYNC") || command_arg_is(ctx, 1, "SYNC")));
    if (!good) command_error_syntax(ctx);
    return good;
}

/* What INFO calls lazyfreed_objects. Redis frees one by one only inside a transaction, unless told ASYNC. */
static void count_flushed(struct command_context *ctx, uint8_t db)
{
    bool is_lazy = !ctx->in_multi || (ctx->argc == 2 && command_arg_is(ctx, 1, "ASYNC"));
    if (is_lazy && ctx->shard) ctx->shard->stats.flushed_keys += keys_of(ctx, db);
}

/* The fullest database last: when the others are empty, its slab goes in one piece. */
static void flush_partition(struct partition *partition)
{
    uint8_t fullest = 0;
    for (uint16_t db = 1; db < partition->databases; db++)
        if (partition_keys(partition, (uint8_t)db) > partition_keys(partition, fullest))
            fullest = (uint8_t)db;
    for (uint16_t db = 0; db < partition->databases; db++)
        if (db != fullest) mutate_flush(partition, (uint8_t)db);
    mutate_flush(partition, fullest);
}

void cmd_flushall(struct command_context *ctx)
{
    if (!flush_arguments_are_good(ctx)) return;
    for (uint16_t db = 0; db < ctx->config->databases; db++) count_flushed(ctx, (uint8_t)db);
    for (int p = 0; p < PARTITION_COUNT; p++) flush_partition(ctx->partitions[p]);
    ctx->env->stats.dirty++; /* counts as a change even when there was nothing */
    reply_ok(ctx->reply);
}

void cmd_flushdb(struct command_context *ctx)
{
    if (!flush_arguments_are_good(ctx)) return;
    count_flushed(ctx, ctx->db);
    for (int p = 0; p < PARTITION_COUNT; p++) mutate_flush(ctx->partitions[p], ctx->db);
    reply_ok(ctx->reply);
}

/* ---- SWAPDB ---- */

static bool database_index(struct command_context *ctx, int index, const char *error, int64_t *out)
{
    if (!command_arg_int_error(ctx, index, out, error)) return false;
    if (*out >= INT32_MIN && *out <= INT32_MAX) return true;
    reply_error(ctx->reply, error);
    return false;
}

void cmd_swapdb(struct command_context *ctx)
{
    int64_t a, b, databases = ctx->config->databases;
    if (!database_index(ctx, 1, "ERR invalid first DB index", &a)) return;
    if (!database_index(ctx, 2, "ERR invalid second DB index", &b)) return;
    if (a < 0 || a >= databases || b < 0 || b >= databases) {
        reply_error(ctx->reply, "ERR DB index is out of range");
        return;
    }
    for (int p = 0; p < PARTITION_COUNT; p++)
        mutate_swap_databases(ctx->partitions[p], (uint8_t)a, (uint8_t)b);
    ctx->env->stats.dirty++;
    reply_ok(ctx->reply);
}
