/* Deadlines of keys: EXPIRE PEXPIRE EXPIREAT PEXPIREAT, TTL PTTL EXPIRETIME PEXPIRETIME, PERSIST. A deadline
 * is an absolute time in milliseconds; one that has passed already deletes the key. Compared with a real
 * Redis by test/differential. */
#include "command/command.h"

enum { EXPIRE_NX = 1, EXPIRE_XX = 2, EXPIRE_GT = 4, EXPIRE_LT = 8 };

static bool parse_conditions(struct command_context *ctx, unsigned *conditions)
{
    static const char *const words[] = {"NX", "XX", "GT", "LT"}; /* in the order of the bits */
    *conditions = 0;
    for (int i = 3; i < ctx->argc; i++) {
        unsigned w = 0;
        while (w < ARRAY_LEN(words) && !command_arg_is(ctx, i, words[w])) w++;
        if (w == ARRAY_LEN(words)) {
            int shown = ctx->argv[i].len < 128 ? (int)ctx->argv[i].len : 128;
            reply_errorf(ctx->reply, "ERR Unsupported option %.*s", shown, ctx->argv[i].ptr);
            return false;
        }
        *conditions |= 1u << w;
    }
    const char *error = NULL;
    if (*conditions & EXPIRE_NX && *conditions & ~(unsigned)EXPIRE_NX)
        error = "ERR NX and XX, GT or LT options at the same time are not compatible";
    else if (*conditions & EXPIRE_GT && *conditions & EXPIRE_LT)
        error = "ERR GT and LT options at the same time are not compatible";
    if (error) reply_error(ctx->reply, error);
    return !error;
}

/* A key without a deadline lives for ever: later than any deadline. */
static bool conditions_hold(unsigned conditions, int64_t current_ms, int64_t deadline_ms)
{
    bool has = current_ms != ITEM_NO_DEADLINE;
    if (conditions & EXPIRE_NX && has) return false;
    if (conditions & EXPIRE_XX && !has) return false;
    if (conditions & EXPIRE_GT && (!has || deadline_ms <= current_ms)) return false;
    if (conditions & EXPIRE_LT && has && deadline_ms >= current_ms) return false;
    return true;
}

static void expire(struct command_context *ctx, enum expire_unit unit)
{
    unsigned conditions;
    int64_t amount, deadline_ms;
    if (!parse_conditions(ctx, &conditions) || !command_arg_int(ctx, 2, &amount)) return;
    if (unit == EXPIRE_AT_MILLISECONDS && amount == ITEM_NO_DEADLINE) amount++; /* as long ago */
    if (!command_deadline(ctx, amount, unit, true, &deadline_ms)) return;
    struct entry entry;
    if (!command_open(ctx, 1, &entry) ||
        !conditions_hold(conditions, item_deadline(entry.item), deadline_ms)) {
        reply_integer(ctx->reply, 0);
        return;
    }
    int done = deadline_ms <= ctx->now_ms ? mutate_key_delete(&entry, RECORD_DELETED)
                                          : mutate_key_expire(&entry, deadline_ms);
    if (done == VALUE_OK)
        reply_integer(ctx->reply, 1);
    else
        command_out_of_memory(ctx);
}

void cmd_expire(struct command_context *ctx)
{
    expire(ctx, EXPIRE_SECONDS);
}

void cmd_pexpire(struct command_context *ctx)
{
    expire(ctx, EXPIRE_MILLISECONDS);
}

void cmd_expireat(struct command_context *ctx)
{
    expire(ctx, EXPIRE_AT_SECONDS);
}

void cmd_pexpireat(struct command_context *ctx)
{
    expire(ctx, EXPIRE_AT_MILLISECONDS);
}

/* -2: no such key, -1: no deadline; else the rest of the life or its end, in milliseconds or rounded to
 * seconds. */
static void tell_deadline(struct command_context *ctx, bool relative, bool seconds)
{
    struct entry entry;
    if (!command_open_read(ctx, 1, &entry)) {
        reply_integer(ctx->reply, -2);
        return;
    }
    int64_t ms = item_deadline(entry.item);
    if (ms == ITEM_NO_DEADLINE) {
        reply_integer(ctx->reply, -1);
        return;
    }
    if (relative) ms = ms > ctx->now_ms ? ms - ctx->now_ms : 0;
    reply_integer(ctx->reply, seconds ? ms / 1000 + (ms % 1000 >= 500) : ms);
}

void cmd_ttl(struct command_context *ctx)
{
    tell_deadline(ctx, true, true);
}

void cmd_pttl(struct command_context *ctx)
{
    tell_deadline(ctx, true, false);
}

void cmd_expiretime(struct command_context *ctx)
{
    tell_deadline(ctx, false, true);
}

void cmd_pexpiretime(struct command_context *ctx)
{
    tell_deadline(ctx, false, false);
}

void cmd_persist(struct command_context *ctx)
{
    struct entry entry;
    if (!command_open(ctx, 1, &entry) || item_deadline(entry.item) == ITEM_NO_DEADLINE)
        reply_integer(ctx->reply, 0);
    else if (mutate_key_expire(&entry, ITEM_NO_DEADLINE) == VALUE_OK)
        reply_integer(ctx->reply, 1);
    else
        command_out_of_memory(ctx);
}
