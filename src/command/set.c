/* Sets: members (random ones: set_random.c, unions and the like: set_algebra.c). Order of checks and texts
 * are Redis's. Compared with a real Redis by test/differential and test/blackbox/hash_set_test.py. */
#include "command/command.h"
#include "command/scan_element.h"
#include "store/mutate_set.h"

void cmd_sadd(struct command_context *ctx)
{
    struct entry entry;
    int64_t count = 0;
    if (!command_open_typed(ctx, 1, ITEM_SET, &entry)) return;
    bool several = ctx->argc > 3;
    if (several && !command_reserve(ctx, &entry, 2, ctx->argc - 2)) return;
    int done = mutate_set_prepare(&entry, ctx->argv[2], (uint64_t)ctx->argc - 2);
    for (int i = 2; i < ctx->argc && done == VALUE_OK; i++) {
        bool added;
        done = mutate_set_add(&entry, ctx->argv[i], &added);
        count += added;
    }
    CHECK(done == VALUE_OK || !several);
    if (several) mutate_release(ctx->env);
    if (done != VALUE_OK)
        command_out_of_memory(ctx);
    else
        reply_integer(ctx->reply, count);
}

void cmd_srem(struct command_context *ctx)
{
    struct entry entry;
    int64_t removed = 0;
    if (!command_open_typed(ctx, 1, ITEM_SET, &entry)) return;
    for (int i = 2; i < ctx->argc && entry.item; i++) removed += mutate_set_remove(&entry, ctx->argv[i]);
    reply_integer(ctx->reply, removed);
}

void cmd_smove(struct command_context *ctx)
{
    struct entry from, to;
    struct slice member = ctx->argv[3];
    bool added;
    command_open(ctx, 1, &from);
    command_open(ctx, 2, &to);
    if (!from.item) { /* Redis does not look at the target's type then */
        reply_integer(ctx->reply, 0);
        return;
    }
    if (item_type(from.item) != ITEM_SET || (to.item && item_type(to.item) != ITEM_SET)) {
        command_error_wrong_type(ctx);
        return;
    }
    bool there = set_has(&from.value, member);
    if (there && from.item != to.item) {
        /* First what may fail. It may move the source's place in the table. */
        if (mutate_set_prepare(&to, member, 1) != VALUE_OK ||
            mutate_set_add(&to, member, &added) != VALUE_OK) {
            command_out_of_memory(ctx);
            return;
        }
        command_open(ctx, 1, &from);
        mutate_set_remove(&from, member);
    }
    reply_integer(ctx->reply, there);
}

void cmd_sismember(struct command_context *ctx)
{
    struct entry entry;
    if (command_open_read_typed(ctx, 1, ITEM_SET, &entry))
        reply_integer(ctx->reply, entry.item && set_has(&entry.value, ctx->argv[2]));
}

void cmd_smismember(struct command_context *ctx)
{
    struct entry entry;
    if (!command_open_read_typed(ctx, 1, ITEM_SET, &entry)) return;
    reply_array(ctx->reply, (uint64_t)ctx->argc - 2);
    for (int i = 2; i < ctx->argc; i++)
        reply_integer(ctx->reply, entry.item && set_has(&entry.value, ctx->argv[i]));
}

void cmd_scard(struct command_context *ctx)
{
    struct entry entry;
    if (command_open_read_typed(ctx, 1, ITEM_SET, &entry))
        reply_integer(ctx->reply, entry.item ? (int64_t)set_count(&entry.value) : 0);
}

void cmd_smembers(struct command_context *ctx)
{
    struct entry entry;
    struct set_iter iter;
    struct slice member;
    if (!command_open_read_typed(ctx, 1, ITEM_SET, &entry)) return;
    reply_set(ctx->reply, entry.item ? set_count(&entry.value) : 0);
    if (!entry.item) return;
    for (set_iter_begin(&iter, &entry.value); set_iter_next(&iter, &member);)
        reply_bulk_slice(ctx->reply, member);
}

/* ---- SSCAN ---- */

static void show_member(void *context, struct slice member)
{
    struct element_scan *scan = context;
    scan->seen++;
    if (!element_scan_matches(scan, member)) return;
    reply_bulk_slice(scan->reply, member);
    scan->shown++;
}

/* An intset or a listpack is shown whole, whatever form it is kept in. */
static uint64_t show_all(const struct value *set, struct element_scan *scan)
{
    struct set_iter iter;
    struct slice member;
    for (set_iter_begin(&iter, set); set_iter_next(&iter, &member);) show_member(scan, member);
    return 0;
}

void cmd_sscan(struct command_context *ctx)
{
    struct entry entry;
    struct element_scan scan;
    uint64_t cursor;
    if (!element_scan_cursor(ctx, &cursor)) return;
    if (!command_open_read_typed(ctx, 1, ITEM_SET, &entry)) return;
    if (!element_scan_begin(ctx, entry.item != NULL, &scan)) return;
    if (!set_is_hashtable(&entry.value)) {
        cursor = show_all(&entry.value, &scan);
    } else {
        do cursor = set_scan(&entry.value, cursor, show_member, &scan);
        while (cursor != 0 && element_scan_wants_more(&scan));
    }
    element_scan_end(&scan, cursor);
}
