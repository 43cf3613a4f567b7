/* Commands about the process: TIME, ROLE, LASTSAVE, LOLWUT, SHUTDOWN, CONFIG RESETSTAT, MEMORY PURGE. Tests:
 * test/blackbox/server_commands_test.py. */
#include "shard/internal.h"

#include <stdio.h>

void cmd_time(struct command_context *ctx)
{
    int64_t now_us = ctx->shard->now_us; /* the turn's: a transaction sees one time */
    reply_array(ctx->reply, 2);
    reply_bulk_i64(ctx->reply, now_us / 1000000);
    reply_bulk_i64(ctx->reply, now_us % 1000000);
}

void cmd_role(struct command_context *ctx)
{
    reply_array(ctx->reply, 3);
    reply_bulk_text(ctx->reply, "master");
    reply_integer(ctx->reply, 0);
    reply_empty_array(ctx->reply);
}

/* Nothing is saved yet: the time of the start, as Redis answers before its first save. */
void cmd_lastsave(struct command_context *ctx)
{
    reply_integer(ctx->reply, ctx->shard->node->started_us / 1000000);
}

/* ---- LOLWUT ---- */

#define CLOTH_COLUMNS 64
#define CLOTH_ROWS    16
#define CLOTH_MAX     200

/* A cloth: warp threads run down, the weft runs across and goes over or under each by a random pattern (the
 * "draft"), which is mirrored so that the motif repeats. LOLWUT [VERSION n] [columns] [rows]. */
void cmd_lolwut(struct command_context *ctx)
{
    int64_t size[2] = {CLOTH_COLUMNS, CLOTH_ROWS}, version;
    int first = 1;
    if (ctx->argc >= 3 && command_arg_is(ctx, 1, "VERSION")) {
        if (!command_arg_int(ctx, 2, &version)) return;
        first = 3;
    }
    for (int i = 0; i < 2 && first + i < ctx->argc; i++) {
        if (!command_arg_int(ctx, first + i, &size[i])) return;
        size[i] = size[i] < 1 ? 1 : size[i] > CLOTH_MAX ? CLOTH_MAX : size[i];
    }
    char text[CLOTH_MAX * (CLOTH_MAX + 1) + 128];
    size_t n = 0;
    uint64_t draft[8];
    for (int i = 0; i < 8; i++) draft[i] = prng_next(&ctx->shard->prng);
    for (int64_t row = 0; row < size[1]; row++) {
        int64_t fold = row % 16 < 8 ? row % 16 : 15 - row % 16;
        for (int64_t column = 0; column < size[0]; column++) {
            int64_t at = column % 32 < 16 ? column % 32 : 31 - column % 32;
            text[n++] = draft[fold] >> at & 1 ? '=' : draft[fold] >> (at + 16) & 1 ? '|' : '+';
        }
        text[n++] = '\n';
    }
    n += (size_t)snprintf(text + n, sizeof text - n, "\nWarp and weft. Redis ver. %s, weft %s\n",
                          COMMAND_REDIS_VERSION, COMMAND_WEFT_VERSION);
    reply_verbatim(ctx->reply, "txt", text, n);
}

/* ---- SHUTDOWN ---- */

void cmd_shutdown(struct command_context *ctx)
{
    bool save = false, nosave = false, now = false, force = false, abort = false;
    for (int i = 1; i < ctx->argc; i++) {
        bool known = false;
        known |= command_arg_is(ctx, i, "SAVE") && (save = true);
        known |= command_arg_is(ctx, i, "NOSAVE") && (nosave = true);
        known |= command_arg_is(ctx, i, "NOW") && (now = true);
        known |= command_arg_is(ctx, i, "FORCE") && (force = true);
        known |= command_arg_is(ctx, i, "ABORT") && (abort = true);
        if (!known) {
            command_error_syntax(ctx);
            return;
        }
    }
    if ((abort && (save || nosave || now || force)) || (save && nosave)) {
        command_error_syntax(ctx);
        return;
    }
    if (abort) { /* a stop takes no time in which it could be taken back */
        reply_error(ctx->reply, "ERR No shutdown in progress.");
        return;
    }
    if (save && !force) {
        reply_error(ctx->reply, "ERR weft cannot save yet: use SHUTDOWN NOSAVE");
        return;
    }
    struct node *node = ctx->shard->node;
    if (node->host.log) node->host.log(node->host.context, CONFIG_LOG_WARNING, "User requested shutdown...");
    node_stop(node, 0);
}

/* ---- CONFIG RESETSTAT ---- */

static void reset_here(struct shard *shard, void *argument, struct scatter_part *part)
{
    meter_reset(shard);
}

void cmd_config_resetstat(struct command_context *ctx)
{
    uint16_t count;
    if (scatter_parts(ctx, &count))
        reply_ok(ctx->reply);
    else
        scatter_ask(ctx, reset_here, NULL);
}

/* ---- MEMORY PURGE ---- */

static void purge_here(struct shard *shard, void *argument, struct scatter_part *part)
{
    for (int p = 0; p < PARTITION_COUNT; p++)
        if (shard->state[p] == PARTITION_HOME) slab_trim(&shard->node->partitions[p]->slab);
}

void cmd_memory_purge(struct command_context *ctx)
{
    uint16_t count;
    if (scatter_parts(ctx, &count))
        reply_ok(ctx->reply);
    else
        scatter_ask(ctx, purge_here, NULL);
}
