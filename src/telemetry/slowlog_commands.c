/* SLOWLOG GET, LEN, RESET: each shard keeps what its own sessions sent (shard/slowlog.h); here the newest of
 * all. With several shards their lists may hold more than slowlog-max-len in all; the oldest beyond it are
 * not shown. Tests: test/blackbox/server_commands_test.py. */
#include <stdlib.h>

#include "shard/rows.h"
#include "shard/slowlog.h"

#define DEFAULT_COUNT 10

static uint64_t at_most(const struct command_context *ctx, uint64_t count)
{
    uint64_t max = (uint64_t)ctx->config->slowlog_max_len;
    return count < max ? count : max;
}

static bool parse_count(struct command_context *ctx, uint64_t *count)
{
    int64_t given = DEFAULT_COUNT;
    static const char error[] = "ERR count should be greater than or equal to -1";
    if (ctx->argc > 3) {
        command_error_subcommand(ctx);
        return false;
    }
    if (ctx->argc == 3 && !command_arg_range(ctx, 2, -1, INT64_MAX, &given, error)) return false;
    *count = at_most(ctx, given < 0 ? UINT64_MAX : (uint64_t)given);
    return true;
}

static void write_newest(struct shard *shard, void *argument, struct scatter_part *part)
{
    slowlog_write(shard_slowlog(shard), *(const uint64_t *)argument, &part->bytes);
}

void cmd_slowlog_get(struct command_context *ctx)
{
    uint16_t count;
    uint64_t wanted;
    const struct scatter_part *parts = scatter_parts(ctx, &count);
    if (!parse_count(ctx, &wanted)) return;
    if (!parts) {
        uint64_t *question = malloc(sizeof *question);
        CHECK(question);
        *question = wanted;
        scatter_ask(ctx, write_newest, question);
        return;
    }
    size_t rows;
    struct row *oldest_first = rows_collect(parts, count, &rows);
    uint64_t shown = wanted < rows ? wanted : rows;
    reply_array(ctx->reply, shown);
    for (uint64_t i = 0; i < shown; i++) {
        struct slice body = oldest_first[rows - 1 - i].body;
        reply_raw(ctx->reply, body.ptr, body.len);
    }
    free(oldest_first);
}

static void count_here(struct shard *shard, void *argument, struct scatter_part *part)
{
    part->numbers[0] = (int64_t)shard_slowlog(shard)->count;
}

void cmd_slowlog_len(struct command_context *ctx)
{
    uint16_t count;
    const struct scatter_part *parts = scatter_parts(ctx, &count);
    if (!parts) {
        scatter_ask(ctx, count_here, NULL);
        return;
    }
    uint64_t entries = 0;
    for (uint16_t i = 0; i < count; i++) entries += (uint64_t)parts[i].numbers[0];
    reply_integer(ctx->reply, (int64_t)at_most(ctx, entries));
}

static void clear_here(struct shard *shard, void *argument, struct scatter_part *part)
{
    slowlog_clear(shard_slowlog(shard));
}

void cmd_slowlog_reset(struct command_context *ctx)
{
    uint16_t count;
    if (scatter_parts(ctx, &count))
        reply_ok(ctx->reply);
    else
        scatter_ask(ctx, clear_here, NULL);
}
