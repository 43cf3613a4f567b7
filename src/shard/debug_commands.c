/* DEBUG: for tests and for looking inside. Holds every partition (route "all"), so it sees a data set that
 * stands still. Switches that concern every shard are flags of the node. `enable-debug-command` decides who
 * may (dispatch.c). Tests: test/blackbox/server_commands_test.py, Redis's own suite. */
#include "shard/internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/glob.h"
#include "command/digest.h"
#include "store/rdb_entry.h"

/* Opens argv[2]; replies the error when there is no such key. */
static bool open_key(struct command_context *ctx, struct entry *entry)
{
    if (command_open(ctx, 2, entry)) return true;
    command_error_no_such_key(ctx);
    return false;
}

/* ---- the server ---- */

static void debug_sleep(struct command_context *ctx)
{
    char text[64];
    size_t len = ctx->argv[2].len < sizeof text - 1 ? ctx->argv[2].len : sizeof text - 1;
    memcpy(text, ctx->argv[2].ptr, len);
    text[len] = 0;
    double seconds = strtod(text, NULL);
    if (seconds > 0 && seconds < 1e9) io_stall(ctx->shard->io, (int64_t)(seconds * 1e6));
    reply_ok(ctx->reply);
}

static bool is_on(const struct command_context *ctx)
{
    int64_t value = 0;
    return number_parse_i64(ctx->argv[2].ptr, ctx->argv[2].len, &value) && value != 0;
}

static void debug_set_active_expire(struct command_context *ctx)
{
    atomic_store(&ctx->shard->node->active_expire_off, !is_on(ctx));
    reply_ok(ctx->reply);
}

static void debug_pause_cron(struct command_context *ctx)
{
    atomic_store(&ctx->shard->node->cron_paused, is_on(ctx));
    reply_ok(ctx->reply);
}

static void debug_change_repl_id(struct command_context *ctx)
{
    atomic_store(&ctx->shard->node->replication_seed, prng_next(&ctx->shard->prng));
    reply_ok(ctx->reply);
}

static void debug_log(struct command_context *ctx)
{
    struct node *node = ctx->shard->node;
    char line[512];
    snprintf(line, sizeof line, "DEBUG LOG: %.*s", (int)(ctx->argv[2].len < 400 ? ctx->argv[2].len : 400),
             ctx->argv[2].ptr);
    if (node->host.log) node->host.log(node->host.context, CONFIG_LOG_WARNING, line);
    reply_ok(ctx->reply);
}

static void debug_rewrite_all(struct command_context *ctx)
{
    int error = ctx->config->file.len ? shard_rewrite_config(ctx->shard, true) : 0;
    if (!ctx->config->file.len)
        reply_error(ctx->reply, "ERR The server is running without a config file");
    else if (error)
        reply_errorf(ctx->reply, "ERR CONFIG-REWRITE-FORCE-ALL failed: %s", strerror(-error));
    else
        reply_ok(ctx->reply);
}

static void debug_panic(struct command_context *ctx)
{
    CHECK(!"DEBUG PANIC, ASSERT or SEGFAULT");
}

/* ---- data ---- */

static void reply_digest(struct reply *reply, const uint8_t digest[SHA1_BYTES], bool as_status)
{
    char text[2 * SHA1_BYTES + 1];
    for (int i = 0; i < SHA1_BYTES; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
    if (as_status)
        reply_status(reply, text);
    else
        reply_bulk_text(reply, text);
}

static void debug_digest(struct command_context *ctx)
{
    uint8_t digest[SHA1_BYTES];
    digest_all(digest, ctx->partitions, (uint16_t)ctx->config->databases);
    reply_digest(ctx->reply, digest, true);
}

static void debug_digest_value(struct command_context *ctx)
{
    reply_array(ctx->reply, (uint64_t)ctx->argc - 2);
    for (int i = 2; i < ctx->argc; i++) {
        struct entry entry;
        uint8_t digest[SHA1_BYTES] = {0};
        if (command_open(ctx, i, &entry)) digest_value(digest, &entry);
        reply_digest(ctx->reply, digest, true);
    }
}

static void debug_object(struct command_context *ctx)
{
    struct entry entry;
    if (!open_key(ctx, &entry)) return;
    size_t len = 1 + RDB_FOOTER_SIZE;
    char *payload = NULL, line[256];
    if (rdb_object_is_writable(&entry)) payload = rdb_object_dump(&entry, &len);
    if (!payload && rdb_object_is_writable(&entry)) {
        command_out_of_memory(ctx);
        return;
    }
    free(payload);
    /* Without the type in front and the footer: what the value takes in a snapshot. */
    snprintf(line, sizeof line,
             "Value at:%p refcount:1 encoding:%s serializedlength:%zu lru:%u lru_seconds_idle:0",
             (void *)entry.item, entry_encoding(&entry), len - 1 - RDB_FOOTER_SIZE,
             (unsigned)(ctx->now_ms / 1000 & 0xffffff));
    reply_status(ctx->reply, line);
}

static void debug_sdslen(struct command_context *ctx)
{
    struct entry entry;
    if (!open_key(ctx, &entry)) return;
    if (item_type(entry.item) != ITEM_STRING || item_representation(entry.item) == ITEM_INT) {
        reply_error(ctx->reply, "ERR Not an sds encoded string.");
        return;
    }
    char line[256];
    size_t key = entry.key.name.len, value = entry_string_len(&entry);
    snprintf(line, sizeof line,
             "key_sds_len:%zu, key_sds_avail:0, key_zmalloc: %zu, val_sds_len:%zu, val_sds_avail:0, "
             "val_zmalloc: %zu",
             key, key, value, entry_memory(&entry) - key);
    reply_status(ctx->reply, line);
}

/* DEBUG LISTPACK and QUICKLIST print a structure; ours is another, so only the encoding is checked. */
static void check_encoding(struct command_context *ctx, const char *wanted, const char *title)
{
    struct entry entry;
    if (!open_key(ctx, &entry)) return;
    if (strncmp(entry_encoding(&entry), wanted, strlen(wanted)) != 0)
        reply_errorf(ctx->reply, "ERR Not a %s encoded object.", wanted);
    else
        reply_status(ctx->reply, title);
}

static void debug_listpack(struct command_context *ctx)
{
    check_encoding(ctx, "listpack", "Listpack structure printed on stdout");
}

static void debug_quicklist(struct command_context *ctx)
{
    check_encoding(ctx, "quicklist", "Quicklist structure printed on stdout");
}

static void debug_htstats(struct command_context *ctx)
{
    int64_t db;
    if (!command_arg_int(ctx, 2, &db)) return;
    if (db < 0 || db >= ctx->config->databases) {
        reply_error(ctx->reply, "ERR Out of range database");
        return;
    }
    uint64_t keys = 0, expires = 0, bytes = 0;
    for (int p = 0; p < PARTITION_COUNT; p++) {
        keys += partition_keys(ctx->partitions[p], (uint8_t)db);
        expires += partition_expires(ctx->partitions[p], (uint8_t)db);
        bytes += partition_table_bytes(ctx->partitions[p], (uint8_t)db);
    }
    char text[256];
    int len = snprintf(text, sizeof text,
                       "[Dictionary HT]\n tables: %d\n number of elements: %llu\n table bytes: %llu\n"
                       "[Expires HT]\n number of elements: %llu\n",
                       PARTITION_COUNT, (unsigned long long)keys, (unsigned long long)bytes,
                       (unsigned long long)expires);
    reply_verbatim(ctx->reply, "txt", text, (size_t)len);
}

/* Every key through the codec of snapshots and back. */
static void debug_reload(struct command_context *ctx)
{
    for (int i = 2; i < ctx->argc; i++) {
        if (command_arg_is(ctx, i, "NOSAVE")) {
            reply_error(ctx->reply, "ERR weft keeps no snapshot that DEBUG RELOAD NOSAVE could load");
            return;
        }
        if (!command_arg_is(ctx, i, "NOFLUSH") && !command_arg_is(ctx, i, "MERGE")) {
            reply_error(ctx->reply, "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.");
            return;
        }
    }
    for (int p = 0; p < PARTITION_COUNT; p++) {
        if (rdb_partition_reload(ctx->partitions[p]) == RDB_OK) continue;
        reply_error(ctx->reply, "ERR Error trying to load the RDB dump, check server logs.");
        return;
    }
    reply_ok(ctx->reply);
}

/* ---- POPULATE ---- */

static bool positive(struct command_context *ctx, int index, int64_t *out)
{
    return command_arg_range(ctx, index, 0, INT32_MAX, out, "ERR value is out of range, must be positive");
}

static int populate_one(struct command_context *ctx, struct slice prefix, int64_t n, char *value,
                        size_t value_len)
{
    char name[256];
    int prefix_len = prefix.len < 200 ? (int)prefix.len : 200;
    int len = snprintf(name, sizeof name, "%.*s:%lld", prefix_len, prefix.ptr, (long long)n);
    struct entry entry;
    if (command_open_in_db(ctx, (struct slice){name, (size_t)len}, ctx->db, &entry)) return VALUE_OK;
    char text[32];
    size_t text_len = (size_t)snprintf(text, sizeof text, "value:%lld", (long long)n);
    if (!value) return mutate_string_set(&entry, (struct slice){text, text_len}, ITEM_NO_DEADLINE);
    memcpy(value, text, text_len < value_len ? text_len : value_len);
    return mutate_string_set(&entry, (struct slice){value, value_len}, ITEM_NO_DEADLINE);
}

static void debug_populate(struct command_context *ctx)
{
    int64_t count, size = 0;
    if (!positive(ctx, 2, &count) || (ctx->argc == 5 && !positive(ctx, 4, &size))) return;
    struct slice prefix = ctx->argc > 3 ? ctx->argv[3] : SLICE("key");
    char *value = size ? calloc(1, (size_t)size) : NULL;
    int result = size && !value ? VALUE_NO_MEMORY : VALUE_OK;
    for (int64_t n = 0; n < count && result == VALUE_OK; n++)
        result = populate_one(ctx, prefix, n, value, (size_t)size);
    free(value);
    if (result == VALUE_OK)
        reply_ok(ctx->reply);
    else
        command_out_of_memory(ctx);
}

/* ---- the protocol ---- */

static void debug_error(struct command_context *ctx)
{
    reply_error_bytes(ctx->reply, ctx->argv[2].ptr, ctx->argv[2].len);
}

static void reply_three(struct reply *r)
{
    for (int i = 0; i < 3; i++) reply_integer(r, i);
}

static void reply_attribute(struct reply *r)
{
    if (r->resp >= 3) {
        reply_header(r, '|', 1);
        reply_bulk_text(r, "key-popularity");
        reply_array(r, 2);
        reply_bulk_text(r, "key:123");
        reply_integer(r, 90);
    }
    reply_bulk_text(r, "Some real reply following the attribute");
}

static void reply_pushed(struct reply *r)
{
    if (r->resp < 3) {
        reply_error(r, "ERR RESP2 is not supported by this command");
        return;
    }
    reply_push(r, 2);
    reply_bulk_text(r, "server-cpu-usage");
    reply_integer(r, 42);
    reply_bulk_text(r, "Some real reply following the push reply");
}

static void debug_protocol(struct command_context *ctx)
{
    struct reply *r = ctx->reply;
    if (command_arg_is(ctx, 2, "string")) {
        reply_bulk_text(r, "Hello World");
    } else if (command_arg_is(ctx, 2, "integer")) {
        reply_integer(r, 12345);
    } else if (command_arg_is(ctx, 2, "double")) {
        reply_double(r, 3.141);
    } else if (command_arg_is(ctx, 2, "bignum")) {
        reply_big_number(r, "1234567999999999999999999999999999999", 37);
    } else if (command_arg_is(ctx, 2, "null")) {
        reply_null(r);
    } else if (command_arg_is(ctx, 2, "array")) {
        reply_array(r, 3);
        reply_three(r);
    } else if (command_arg_is(ctx, 2, "set")) {
        reply_set(r, 3);
        reply_three(r);
    } else if (command_arg_is(ctx, 2, "map")) {
        reply_map(r, 3);
        for (int i = 0; i < 3; i++) {
            reply_integer(r, i);
            reply_bool(r, i == 1);
        }
    } else if (command_arg_is(ctx, 2, "attrib")) {
        reply_attribute(r);
    } else if (command_arg_is(ctx, 2, "push")) {
        reply_pushed(r);
    } else if (command_arg_is(ctx, 2, "true") || command_arg_is(ctx, 2, "false")) {
        reply_bool(r, command_arg_is(ctx, 2, "true"));
    } else if (command_arg_is(ctx, 2, "verbatim")) {
        reply_verbatim(r, "txt", "This is a verbatim\nstring", 25);
    } else {
        reply_error(r, "ERR Wrong protocol type name. Please use one of the following: "
                       "string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false");
    }
}

/* ---- globs ---- */

static void debug_stringmatch_len(struct command_context *ctx)
{
    reply_integer(ctx->reply, glob_match(ctx->argv[2], ctx->argv[3], false));
}

/* Random patterns and strings: nothing but that it comes to an end, inside its arguments, is tested. */
static void debug_stringmatch_test(struct command_context *ctx)
{
    static const char alphabet[] = "ab*?[]^-\\\0\xff";
    char text[2][32];
    struct prng *prng = &ctx->shard->prng;
    for (int i = 0; i < 100000; i++) {
        size_t len[2];
        for (int t = 0; t < 2; t++) {
            len[t] = (size_t)prng_below(prng, sizeof text[0]);
            for (size_t c = 0; c < len[t]; c++) text[t][c] = alphabet[prng_below(prng, sizeof alphabet - 1)];
        }
        glob_match((struct slice){text[0], len[0]}, (struct slice){text[1], len[1]}, i & 1);
    }
    reply_status(ctx->reply, "Apparently Redis did not crash: test passed");
}

/* ---- switches of things that weft does not have: checked and accepted ---- */

static void debug_accept(struct command_context *ctx)
{
    reply_ok(ctx->reply);
}

static void debug_packed_threshold(struct command_context *ctx)
{
    char text[32] = "";
    if (ctx->argv[2].len < sizeof text) memcpy(text, ctx->argv[2].ptr, ctx->argv[2].len);
    char *end;
    unsigned long long bytes = strtoull(text, &end, 10);
    bool has_unit = strcasecmp(end, "b") == 0 || strcasecmp(end, "k") == 0 || strcasecmp(end, "kb") == 0 ||
                    strcasecmp(end, "m") == 0 || strcasecmp(end, "mb") == 0 || strcasecmp(end, "g") == 0 ||
                    strcasecmp(end, "gb") == 0;
    if (end == text || (*end && !has_unit) || (bytes >= 4 && tolower(*end) == 'g') || bytes >= 1ULL << 32)
        reply_error(ctx->reply, "ERR argument must be a memory value bigger than 1 and smaller than 4gb");
    else
        reply_ok(ctx->reply);
}

static void debug_replybuffer(struct command_context *ctx)
{
    int64_t ms;
    if (command_arg_is(ctx, 2, "PEAK-RESET-TIME")) {
        bool named = command_arg_is(ctx, 3, "NEVER") || command_arg_is(ctx, 3, "RESET");
        if (!named && !command_arg_int(ctx, 3, &ms)) return;
    } else if (!command_arg_is(ctx, 2, "RESIZING")) {
        command_error_subcommand(ctx);
        return;
    }
    reply_ok(ctx->reply);
}

static void debug_client_eviction(struct command_context *ctx)
{
    reply_error(ctx->reply, "ERR maxmemory-clients is disabled.");
}

/* ---- dispatch ---- */

static const struct debug_row {
    const char *name;
    int argc_min, argc_max;
    void (*run)(struct command_context *ctx);
    const char *help; /* arguments, two spaces, meaning */
} rows[] = {
    {"assert", 2, 2, debug_panic, "|Crash by a failed assertion."},
    {"change-repl-id", 2, 2, debug_change_repl_id, "|Change the replication id."},
    {"client-eviction", 2, 2, debug_client_eviction, "|Show what maxmemory-clients counts."},
    {"config-rewrite-force-all", 2, 2, debug_rewrite_all, "|CONFIG REWRITE with every directive."},
    {"dict-resizing", 3, 3, debug_accept, " <0|1>|Accepted; tables here always fit."},
    {"digest", 2, 2, debug_digest, "|A signature of all data."},
    {"digest-value", 2, INT32_MAX, debug_digest_value, " <key> [<key> ...]|A signature of each value."},
    {"error", 3, 3, debug_error, " <string>|Reply with this error."},
    {"htstats", 3, 4, debug_htstats, " <db> [full]|Statistics of a database's tables."},
    {"listpack", 3, 3, debug_listpack, " <key>|Is it encoded as a listpack?"},
    {"log", 3, 3, debug_log, " <message>|Write a line to the log."},
    {"object", 3, 3, debug_object, " <key>|Low-level facts about a value."},
    {"panic", 2, 2, debug_panic, "|Crash."},
    {"pause-cron", 3, 3, debug_pause_cron, " <0|1>|Stop periodic work."},
    {"populate", 3, 5, debug_populate, " <count> [<prefix>] [<size>]|Create string keys <prefix>:0 and on."},
    {"protocol", 3, 3, debug_protocol, " <type>|Reply with a value of this type."},
    {"quicklist", 3, 4, debug_quicklist, " <key> [<0|1>]|Is it encoded as a quicklist?"},
    {"quicklist-packed-threshold", 3, 3, debug_packed_threshold,
     " <size>|Accepted; lists here have no plain nodes."},
    {"reload", 2, INT32_MAX, debug_reload, " [option ...]|Pass every key through the codec of snapshots."},
    {"replybuffer", 4, 4, debug_replybuffer, " <option> <value>|Accepted; reply buffers here are pooled."},
    {"sdslen", 3, 3, debug_sdslen, " <key>|Lengths of a key and its string."},
    {"segfault", 2, 2, debug_panic, "|Crash."},
    {"set-active-expire", 3, 3, debug_set_active_expire, " <0|1>|Let keys expire in the background."},
    {"set-disable-deny-scripts", 3, 3, debug_accept, " <0|1>|Accepted; there are no scripts yet."},
    {"sleep", 3, 3, debug_sleep, " <seconds>|Stop serving for that long."},
    {"stringmatch-len", 4, 4, debug_stringmatch_len, " <pattern> <string>|Does the glob match?"},
    {"stringmatch-test", 2, 2, debug_stringmatch_test, "|Try random globs."},
};
#define ROW_COUNT (sizeof rows / sizeof rows[0])

static void debug_help(struct command_context *ctx)
{
    const char *lines[2 * ROW_COUNT + 1];
    char text[2 * ROW_COUNT][128];
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const char *bar = strchr(rows[i].help, '|');
        while (strchr(bar + 1, '|')) bar = strchr(bar + 1, '|');
        int n = snprintf(text[2 * i], sizeof text[0], "%s%.*s", rows[i].name, (int)(bar - rows[i].help),
                         rows[i].help);
        for (int c = 0; c < n && text[2 * i][c] != ' '; c++) text[2 * i][c] = (char)toupper(text[2 * i][c]);
        snprintf(text[2 * i + 1], sizeof text[0], "    %s", bar + 1);
        lines[2 * i] = text[2 * i];
        lines[2 * i + 1] = text[2 * i + 1];
    }
    lines[2 * ROW_COUNT] = NULL;
    command_reply_help(ctx, lines);
}

void cmd_debug(struct command_context *ctx)
{
    if (ctx->argc == 2 && command_arg_is(ctx, 1, "HELP")) {
        debug_help(ctx);
        return;
    }
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (!command_arg_is(ctx, 1, rows[i].name)) continue;
        if (ctx->argc < rows[i].argc_min || ctx->argc > rows[i].argc_max) break;
        rows[i].run(ctx);
        return;
    }
    command_error_subcommand(ctx);
}
