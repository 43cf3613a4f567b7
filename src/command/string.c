/* Strings: GET, SET and their kin. Values are read with entry_string() and changed by the string mutators only.
 * Compared with a real Redis by test/differential. */
#include "command/command.h"

void cmd_get(struct command_context *ctx)
{
    struct entry entry;
    char scratch[NUMBER_I64_MAX + 1];
    if (!command_open_read_typed(ctx, 1, ITEM_STRING, &entry)) return;
    if (!entry.item)
        reply_null(ctx->reply);
    else
        reply_bulk_slice(ctx->reply, entry_string(&entry, scratch));
}

enum { SET_NX = 1, SET_XX = 2, SET_GET = 4, SET_KEEPTTL = 8, SET_DEADLINE = 16 };

struct set_options {
    unsigned flags;
    int64_t deadline_ms;
};

/* EX, PX, EXAT or PXAT with the argument behind it. 1: taken, 0: some other word, -1: refused with an error. */
static int parse_deadline_option(struct command_context *ctx, int index, int64_t *deadline_ms)
{
    static const struct {
        const char *word;
        enum expire_unit unit;
    } units[] = {{"EX", EXPIRE_SECONDS},
                 {"PX", EXPIRE_MILLISECONDS},
                 {"EXAT", EXPIRE_AT_SECONDS},
                 {"PXAT", EXPIRE_AT_MILLISECONDS}};
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        int64_t amount;
        if (index + 1 >= ctx->argc || !command_arg_is(ctx, index, units[i].word)) continue;
        if (!command_arg_int(ctx, index + 1, &amount)) return -1;
        return command_deadline(ctx, amount, units[i].unit, false, deadline_ms) ? 1 : -1;
    }
    return 0;
}

static bool parse_set_options(struct command_context *ctx, struct set_options *options)
{
    *options = (struct set_options){.deadline_ms = ITEM_NO_DEADLINE};
    int deadline_at = 0;
    for (int i = 3; i < ctx->argc; i++) {
        unsigned flag = 0, excluded = 0;
        if (command_arg_is(ctx, i, "NX")) {
            flag = SET_NX;
            excluded = SET_XX;
        } else if (command_arg_is(ctx, i, "XX")) {
            flag = SET_XX;
            excluded = SET_NX;
        } else if (command_arg_is(ctx, i, "GET")) {
            flag = SET_GET;
        } else if (command_arg_is(ctx, i, "KEEPTTL")) {
            flag = SET_KEEPTTL;
            excluded = SET_DEADLINE;
        } else if (i + 1 < ctx->argc && (command_arg_is(ctx, i, "EX") || command_arg_is(ctx, i, "PX") ||
                                         command_arg_is(ctx, i, "EXAT") || command_arg_is(ctx, i, "PXAT"))) {
            flag = SET_DEADLINE;
            excluded = SET_KEEPTTL | SET_DEADLINE;
            deadline_at = i++;
        }
        if (!flag || (options->flags & excluded)) {
            command_error_syntax(ctx);
            return false;
        }
        options->flags |= flag;
    }
    return !deadline_at || parse_deadline_option(ctx, deadline_at, &options->deadline_ms) > 0;
}

void cmd_set(struct command_context *ctx)
{
    struct set_options options = {.deadline_ms = ITEM_NO_DEADLINE};
    if (ctx->argc > 3 && !parse_set_options(ctx, &options)) return;
    struct entry entry;
    char scratch[NUMBER_I64_MAX + 1];
    if (options.flags & SET_GET) {
        if (!command_open_read_typed(ctx, 1, ITEM_STRING, &entry)) return;
    } else {
        command_open(ctx, 1, &entry);
    }
    size_t reply_start = reply_len(ctx->reply);
    if (options.flags & SET_GET) {
        if (entry.item)
            reply_bulk_slice(ctx->reply, entry_string(&entry, scratch));
        else
            reply_null(ctx->reply);
    }
    if ((options.flags & SET_NX && entry.item) || (options.flags & SET_XX && !entry.item)) {
        if (!(options.flags & SET_GET)) reply_null(ctx->reply);
        return;
    }
    if (options.flags & SET_KEEPTTL && entry.item) options.deadline_ms = item_deadline(entry.item);
    if (options.deadline_ms != ITEM_NO_DEADLINE && options.deadline_ms <= ctx->now_ms) {
        if (entry.item) mutate_key_delete(&entry, RECORD_DELETED);
    } else if (mutate_string_set(&entry, ctx->argv[2], options.deadline_ms) != VALUE_OK) {
        reply_truncate(ctx->reply, reply_start);
        command_out_of_memory(ctx);
        return;
    }
    if (!(options.flags & SET_GET)) reply_ok(ctx->reply);
}
