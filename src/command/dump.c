/* DUMP and RESTORE: values in Redis's own payload format, to and from a real Redis. The format is the store's
 * matter (store/rdb.h); here are arguments, order of checks and replies. IDLETIME and FREQ are checked and
 * have no effect: a restored key counts as just used. Compared with a real Redis by
 * test/blackbox/dump_test.py. */
#include "command/command.h"
#include "store/rdb_entry.h"

#include <stdlib.h>

void cmd_dump(struct command_context *ctx)
{
    struct entry entry;
    size_t len;
    if (!command_open_read(ctx, 1, &entry)) {
        reply_null(ctx->reply);
        return;
    }
    if (!rdb_object_is_writable(&entry)) {
        reply_error(ctx->reply, "ERR values of streams cannot be dumped yet");
        return;
    }
    char *payload = rdb_object_dump_as(&entry, true, &len);
    if (payload == NULL)
        command_out_of_memory(ctx);
    else
        reply_bulk(ctx->reply, payload, len);
    free(payload);
}

struct options {
    bool replace, absolute, idle, freq;
};

/* Two options exclude each other and take a number. Replies the error. */
static bool parse_usage(struct command_context *ctx, int index, struct options *options)
{
    int64_t number;
    bool idle = command_arg_is(ctx, index, "IDLETIME");
    if (index + 1 >= ctx->argc || (idle ? options->freq : options->idle)) {
        command_error_syntax(ctx);
        return false;
    }
    if (!command_arg_int(ctx, index + 1, &number)) return false;
    *(idle ? &options->idle : &options->freq) = true;
    if (number >= 0 && (idle || number <= 255)) return true;
    reply_error(ctx->reply, idle ? "ERR Invalid IDLETIME value, must be >= 0"
                                 : "ERR Invalid FREQ value, must be >= 0 and <= 255");
    return false;
}

static bool parse_options(struct command_context *ctx, struct options *options)
{
    for (int i = 4; i < ctx->argc; i++) {
        if (command_arg_is(ctx, i, "REPLACE")) {
            options->replace = true;
        } else if (command_arg_is(ctx, i, "ABSTTL")) {
            options->absolute = true;
        } else if (command_arg_is(ctx, i, "IDLETIME") || command_arg_is(ctx, i, "FREQ")) {
            if (!parse_usage(ctx, i++, options)) return false;
        } else {
            command_error_syntax(ctx);
            return false;
        }
    }
    return true;
}

static bool parse_ttl(struct command_context *ctx, bool absolute, int64_t *deadline_ms)
{
    int64_t ttl_ms;
    if (!command_arg_int(ctx, 2, &ttl_ms)) return false;
    if (ttl_ms < 0) {
        reply_error(ctx->reply, "ERR Invalid TTL value, must be >= 0");
        return false;
    }
    *deadline_ms = ttl_ms;
    if (ttl_ms == 0)
        *deadline_ms = ITEM_NO_DEADLINE;
    else if (!absolute && __builtin_add_overflow(ttl_ms, ctx->now_ms, deadline_ms))
        *deadline_ms = 0; /* so far away that it wraps into the past, as in Redis */
    return true;
}

static int ignore_begin(void *context, enum rdb_kind kind, uint64_t count_hint)
{
    return RDB_OK;
}
static int ignore_element(void *context, struct slice element)
{
    return RDB_OK;
}
static int ignore_member(void *context, struct slice member, double score)
{
    return RDB_OK;
}
static int ignore_field(void *context, struct slice field, struct slice value, int64_t deadline_ms)
{
    return RDB_OK;
}

/* The deadline has passed: the payload must be good all the same, and what was there goes. */
static int restore_nothing(struct entry *entry, struct slice payload)
{
    struct rdb_visitor visitor = {NULL,           ignore_begin,  ignore_element,
                                  ignore_element, ignore_member, ignore_field};
    int result = rdb_read_dump(payload.ptr, payload.len, &visitor);
    if (result == RDB_OK && entry->item) CHECK(mutate_key_delete(entry, RECORD_DELETED) == VALUE_OK);
    return result;
}

void cmd_restore(struct command_context *ctx)
{
    struct options options = {0};
    struct entry entry;
    int64_t deadline_ms;
    struct slice payload = ctx->argv[3];
    if (!parse_options(ctx, &options)) return;
    if (command_open(ctx, 1, &entry) && !options.replace) {
        reply_error(ctx->reply, "BUSYKEY Target key name already exists.");
        return;
    }
    if (!parse_ttl(ctx, options.absolute, &deadline_ms)) return;
    bool past = deadline_ms != ITEM_NO_DEADLINE && deadline_ms <= ctx->now_ms;
    switch (past ? restore_nothing(&entry, payload) : rdb_object_restore(&entry, payload, deadline_ms)) {
    case RDB_OK: reply_ok(ctx->reply); break;
    case RDB_BAD_FOOTER: reply_error(ctx->reply, "ERR DUMP payload version or checksum are wrong"); break;
    case RDB_UNSUPPORTED:
        reply_error(ctx->reply, "ERR values of streams and modules cannot be restored yet");
        break;
    case RDB_NO_MEMORY: command_out_of_memory(ctx); break;
    default: reply_error(ctx->reply, "ERR Bad data format");
    }
}
