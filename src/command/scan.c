/* Going through the keys of a database: SCAN, KEYS, RANDOMKEY.
 *
 * A SCAN cursor is partition | table cursor's upper bits << 8:
 *
 *     52                                8 7         0
 *     | top 45 bits of the table cursor  | partition |
 *
 * The dispatcher reads the low byte and runs the command where that partition is. 53 bits in all, because
 * some clients keep cursors in floating-point numbers. The 19 bits that are cut off are less than a bucket's
 * share of the hash space, so a call may show a key of the last one again (with odds below one in ten
 * thousand) but never misses one. Compared with a real Redis by test/differential;
 * test/unit/command_scan_test.c.
 */
#include "command/command.h"

#include <stdio.h>

#include "base/glob.h"
#include "base/mutant.h"

#define CURSOR_CUT_BITS 19
#define EXPIRE_STEPS    64

struct scan_options {
    struct slice pattern; /* ptr NULL: any */
    int type;             /* enum item_type; -1: any, ITEM_TYPE_COUNT: one that no key has */
    int64_t count;
};

struct scan_walk {
    struct reply *reply;
    const struct scan_options *options;
    uint64_t seen, shown;
};

static void show_key(void *context, struct entry *entry)
{
    struct scan_walk *walk = context;
    const struct scan_options *options = walk->options;
    walk->seen++;
    if (options->type >= 0 && (int)item_type(entry->item) != options->type) return;
    if (options->pattern.ptr && !glob_match(options->pattern, item_key(entry->item), false)) return;
    reply_bulk_slice(walk->reply, item_key(entry->item));
    walk->shown++;
}

static int type_by_name(struct slice name)
{
    static const char *const names[] = {"string", "list", "set", "zset", "hash", "stream"};
    static const enum item_type types[] = {ITEM_STRING, ITEM_LIST, ITEM_SET,
                                           ITEM_ZSET,   ITEM_HASH, ITEM_STREAM};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (slice_is_word(name, names[i])) return types[i];
    return ITEM_TYPE_COUNT;
}

static bool parse_scan_options(struct command_context *ctx, struct scan_options *options)
{
    *options = (struct scan_options){.type = -1, .count = 10};
    for (int i = 2; i < ctx->argc; i += 2) {
        bool has_value = i + 1 < ctx->argc;
        if (has_value && command_arg_is(ctx, i, "COUNT")) {
            if (!command_arg_int(ctx, i + 1, &options->count)) return false;
            if (options->count >= 1) continue;
            command_error_syntax(ctx);
            return false;
        } else if (has_value && command_arg_is(ctx, i, "MATCH")) {
            options->pattern =
                slice_equal(ctx->argv[i + 1], SLICE("*")) ? (struct slice){0} : ctx->argv[i + 1];
        } else if (has_value && command_arg_is(ctx, i, "TYPE")) {
            options->type = type_by_name(ctx->argv[i + 1]);
        } else if (command_arg_is(ctx, i, "NOVALUES")) {
            reply_error(ctx->reply, "ERR NOVALUES option can only be used in HSCAN");
            return false;
        } else {
            command_error_syntax(ctx);
            return false;
        }
    }
    return true;
}

/* As in Redis, who walks over dead keys buries them (a bounded number), also when nobody else does: clients
 * look at the key count after a SCAN. */
static void bury_dead(struct command_context *ctx, struct partition *partition)
{
    bool stay = ctx->env->expiry_paused || ctx->env->expired_stay;
    if (!stay && partition_next_expiry_ms(partition) <= ctx->now_ms)
        partition_expire(partition, EXPIRE_STEPS);
}

/* Shows keys from `cursor` on until enough were seen; returns the next cursor. At most `limit` partitions are
 * entered: those behind may be on other shards. */
static uint64_t walk_from(struct command_context *ctx, uint64_t cursor, unsigned limit,
                          struct scan_walk *walk)
{
    unsigned partition = cursor & (PARTITION_COUNT - 1), end = partition + limit;
    uint64_t at = (cursor / PARTITION_COUNT) << CURSOR_CUT_BITS;
    uint64_t wanted = (uint64_t)walk->options->count;
    uint64_t turns_left =
        wanted > UINT64_MAX / 16 ? UINT64_MAX : wanted * 10 + PARTITION_COUNT; /* of empty buckets */
    if (end > PARTITION_COUNT) end = PARTITION_COUNT;
    while (partition < end && walk->seen < wanted && turns_left-- > 0) {
        bury_dead(ctx, ctx->partitions[partition]);
        at = partition_scan(ctx->partitions[partition], ctx->db, at, show_key, walk);
        if (at == 0) partition++;
    }
    if (partition == (MUTANT(scan_ends_with_shard) ? end : PARTITION_COUNT)) return 0;
    return (at >> CURSOR_CUT_BITS) * PARTITION_COUNT + partition;
}

/* The cursor and the count of keys come first in the reply but are known last: moves the keys, written from
 * `start` on, back and puts both in front. */
static void put_before(struct reply *reply, size_t start, uint64_t cursor, uint64_t count)
{
    char digits[NUMBER_I64_MAX + 1], head[64];
    int digits_len = (int)number_format_u64(digits, cursor);
    size_t head_len = (size_t)snprintf(head, sizeof head, "*2\r\n$%d\r\n%.*s\r\n*%llu\r\n", digits_len,
                                       digits_len, digits, (unsigned long long)count);
    size_t keys_len = reply_len(reply) - start;
    reply_raw(reply, head, head_len); /* makes room */
    if (reply->failed) return;
    memmove(reply->begin + start + head_len, reply->begin + start, keys_len);
    memcpy(reply->begin + start, head, head_len);
}

void cmd_scan(struct command_context *ctx)
{
    struct scan_options options;
    uint64_t cursor;
    if (!command_parse_cursor(ctx->argv[1], &cursor)) {
        reply_error(ctx->reply, "ERR invalid cursor");
        return;
    }
    if (!parse_scan_options(ctx, &options)) return;
    size_t start = reply_len(ctx->reply);
    struct scan_walk walk = {.reply = ctx->reply, .options = &options};
    cursor = walk_from(ctx, cursor, ctx->scan_partitions ? ctx->scan_partitions : 1, &walk);
    put_before(ctx->reply, start, cursor, walk.shown);
}

void cmd_keys(struct command_context *ctx)
{
    struct scan_options options = {.type = -1, .pattern = ctx->argv[1]};
    struct scan_walk walk = {.reply = ctx->reply, .options = &options};
    if (slice_equal(options.pattern, SLICE("*"))) options.pattern.ptr = NULL;
    uint64_t all = 0;
    for (int p = 0; p < PARTITION_COUNT; p++) all += partition_keys(ctx->partitions[p], ctx->db);
    size_t mark = reply_defer(ctx->reply, all);
    for (int p = 0; p < PARTITION_COUNT; p++) {
        uint64_t at = 0;
        bury_dead(ctx, ctx->partitions[p]);
        do at = partition_scan(ctx->partitions[p], ctx->db, at, show_key, &walk);
        while (at);
    }
    reply_close_array(ctx->reply, mark, walk.shown);
}

/* Every key is equally likely: the partition by its share of the keys, then a key of it. */
void cmd_randomkey(struct command_context *ctx)
{
    struct entry entry;
    for (int tries = 0;; tries++) {
        uint64_t keys = 0;
        for (int p = 0; p < PARTITION_COUNT; p++) keys += partition_keys(ctx->partitions[p], ctx->db);
        if (!keys) {
            reply_null(ctx->reply);
            return;
        }
        uint64_t pick = prng_below(ctx->env->prng, keys);
        int p = 0;
        while (pick >= partition_keys(ctx->partitions[p], ctx->db))
            pick -= partition_keys(ctx->partitions[p++], ctx->db);
        bool dead;
        if (!partition_random(ctx->partitions[p], ctx->db, &entry, &dead)) continue; /* all has expired now */
        /* Like Redis, give up where there seems to be nothing but dead keys that stay: tell one of them. */
        if (!dead || tries >= (MUTANT(randomkey_tells_dead) ? 0 : 100)) break;
    }
    reply_bulk_slice(ctx->reply, item_key(entry.item));
}
