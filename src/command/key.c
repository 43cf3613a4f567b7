/* Keys as a whole: DEL UNLINK EXISTS TOUCH TYPE COPY MOVE RENAME RENAMENX OBJECT. What happens to a value of
 * any type is the store's matter; here are arguments, order of checks and replies. TTLs: expire.c; iteration:
 * scan.c. Compared with a real Redis by test/differential. */
#include "command/command.h"

/* ---- existence ---- */

static void delete_keys(struct command_context *ctx)
{
    int64_t deleted = 0;
    for (int i = 1; i < ctx->argc; i++) {
        struct entry entry;
        if (command_open(ctx, i, &entry) && mutate_key_delete(&entry, RECORD_DELETED) == VALUE_OK) deleted++;
    }
    reply_integer(ctx->reply, deleted);
}

void cmd_del(struct command_context *ctx)
{
    delete_keys(ctx);
}

void cmd_unlink(struct command_context *ctx)
{
    delete_keys(ctx);
}

static void count_present(struct command_context *ctx)
{
    int64_t present = 0;
    for (int i = 1; i < ctx->argc; i++) {
        struct entry entry;
        present += command_open_read(ctx, i, &entry);
    }
    reply_integer(ctx->reply, present);
}

void cmd_exists(struct command_context *ctx)
{
    count_present(ctx);
}

void cmd_touch(struct command_context *ctx)
{
    count_present(ctx); /* opening a key is what counts as access */
}

static const char *type_name(const struct item *item)
{
    static const char *const names[ITEM_TYPE_COUNT] = {
        [ITEM_STRING] = "string", [ITEM_LIST] = "list", [ITEM_SET] = "set",
        [ITEM_ZSET] = "zset",     [ITEM_HASH] = "hash", [ITEM_STREAM] = "stream",
    };
    return names[item_type(item)];
}

void cmd_type(struct command_context *ctx)
{
    struct entry entry;
    reply_status(ctx->reply, command_open_read(ctx, 1, &entry) ? type_name(entry.item) : "none");
}

/* ---- another name, another database ---- */

static bool parse_db(struct command_context *ctx, int index, uint8_t *db)
{
    int64_t number;
    if (!command_arg_range(ctx, index, INT32_MIN, INT32_MAX, &number, NULL)) return false;
    if (number < 0 || number >= ctx->config->databases) {
        reply_error(ctx->reply, "ERR DB index is out of range");
        return false;
    }
    *db = (uint8_t)number;
    return true;
}

static void error_same_object(struct command_context *ctx)
{
    reply_error(ctx->reply, "ERR source and destination objects are the same");
}

void cmd_copy(struct command_context *ctx)
{
    bool replace = false;
    uint8_t db = ctx->db;
    for (int i = 3; i < ctx->argc; i++) {
        if (command_arg_is(ctx, i, "REPLACE")) {
            replace = true;
        } else if (command_arg_is(ctx, i, "DB") && i + 1 < ctx->argc) {
            if (!parse_db(ctx, ++i, &db)) return;
        } else {
            command_error_syntax(ctx);
            return;
        }
    }
    if (db == ctx->db && slice_equal(ctx->argv[1], ctx->argv[2])) {
        error_same_object(ctx);
        return;
    }
    struct entry from, to;
    command_open_in_db(ctx, ctx->argv[2], db, &to); /* first: an expired key leaves the table here */
    if (!command_open_read(ctx, 1, &from) || (to.item && !replace)) {
        reply_integer(ctx->reply, 0);
        return;
    }
    if (mutate_key_copy(&from, &to) == VALUE_OK)
        reply_integer(ctx->reply, 1);
    else
        command_out_of_memory(ctx);
}

void cmd_move(struct command_context *ctx)
{
    uint8_t db;
    if (!parse_db(ctx, 2, &db)) return;
    if (db == ctx->db) {
        error_same_object(ctx);
        return;
    }
    struct entry from, to;
    command_open_in_db(ctx, ctx->argv[1], db, &to);
    bool movable = command_open(ctx, 1, &from) && !to.item;
    if (movable && mutate_key_rename(&from, &to) != VALUE_OK)
        command_out_of_memory(ctx);
    else
        reply_integer(ctx->reply, movable);
}

/* Replies the error of a missing source itself. */
enum renamed { RENAMED, RENAME_TAKEN, RENAME_FAILED };

static enum renamed rename_key(struct command_context *ctx, bool overwrite)
{
    struct entry from, to;
    command_open(ctx, 2, &to);
    if (!command_open(ctx, 1, &from)) {
        command_error_no_such_key(ctx);
        return RENAME_FAILED;
    }
    if (slice_equal(ctx->argv[1], ctx->argv[2])) return overwrite ? RENAMED : RENAME_TAKEN;
    if (to.item && !overwrite) return RENAME_TAKEN;
    if (mutate_key_rename(&from, &to) == VALUE_OK) return RENAMED;
    command_out_of_memory(ctx);
    return RENAME_FAILED;
}

void cmd_rename(struct command_context *ctx)
{
    if (rename_key(ctx, true) == RENAMED) reply_ok(ctx->reply);
}

void cmd_renamenx(struct command_context *ctx)
{
    enum renamed renamed = rename_key(ctx, false);
    if (renamed != RENAME_FAILED) reply_integer(ctx->reply, renamed == RENAMED);
}

/* ---- OBJECT ---- */

void cmd_object_encoding(struct command_context *ctx)
{
    struct entry entry;
    if (command_open_read(ctx, 2, &entry))
        reply_bulk_text(ctx->reply, entry_encoding(&entry));
    else
        reply_null(ctx->reply);
}

static bool policy_is_lfu(const struct command_context *ctx)
{
    return ctx->config->maxmemory_policy == CONFIG_POLICY_ALLKEYS_LFU ||
           ctx->config->maxmemory_policy == CONFIG_POLICY_VOLATILE_LFU;
}

static bool policy_is_lru(const struct command_context *ctx)
{
    return ctx->config->maxmemory_policy == CONFIG_POLICY_ALLKEYS_LRU ||
           ctx->config->maxmemory_policy == CONFIG_POLICY_VOLATILE_LRU;
}

/* Redis shares the integers below 10,000 unless it needs an access time in each; clients see that in the
 * count. */
void cmd_object_refcount(struct command_context *ctx)
{
    struct entry entry;
    int64_t number;
    if (!command_open_read(ctx, 2, &entry)) {
        reply_null(ctx->reply);
        return;
    }
    bool shares = !ctx->config->maxmemory_bytes || !(policy_is_lfu(ctx) || policy_is_lru(ctx));
    bool shared = shares && item_type(entry.item) == ITEM_STRING &&
                  item_representation(entry.item) == ITEM_INT && entry_integer(&entry, &number) &&
                  number >= 0 && number < 10000;
    reply_integer(ctx->reply, shared ? INT32_MAX : 1);
}

#define POLICY_HINT                                                                                          \
    " Please note that when switching between policies at runtime LRU and LFU data will take some time to "  \
    "adjust."

/* weft keeps no access times: a key that is there counts as just used. */
void cmd_object_idletime(struct command_context *ctx)
{
    struct entry entry;
    if (!command_open_read(ctx, 2, &entry))
        reply_null(ctx->reply);
    else if (policy_is_lfu(ctx))
        reply_error(ctx->reply,
                    "ERR An LFU maxmemory policy is selected, idle time not tracked." POLICY_HINT);
    else
        reply_integer(ctx->reply, 0);
}

/* The clock's access count, 0 to 3, stands for Redis's logarithmic counter. */
void cmd_object_freq(struct command_context *ctx)
{
    struct entry entry;
    if (!command_open_read(ctx, 2, &entry))
        reply_null(ctx->reply);
    else if (!policy_is_lfu(ctx))
        reply_error(ctx->reply,
                    "ERR An LFU maxmemory policy is not selected, access frequency not tracked." POLICY_HINT);
    else
        reply_integer(ctx->reply, table_access(entry.slot));
}
