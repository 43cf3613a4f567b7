/* Lists: pushes, pops, look-ups, edits in place. What searches is in list_find.c, what moves elements between
 * lists in list_move.c. Values change through store/mutate_list.h only. Compared with a real Redis by
 * test/differential. */
#include "command/list.h"

#include "base/mutant.h"

/* ---- pushing ---- */

static void push(struct command_context *ctx, enum list_end end, bool only_present)
{
    struct entry entry;
    if (!command_open_typed(ctx, 1, ITEM_LIST, &entry)) return;
    if (!entry.item && only_present) {
        reply_integer(ctx->reply, 0);
        return;
    }
    if (mutate_list_push(&entry, end, ctx->argv + 2, (uint32_t)ctx->argc - 2) != VALUE_OK) {
        command_out_of_memory(ctx);
        return;
    }
    reply_integer(ctx->reply, list_count(&entry.value));
}

void cmd_lpush(struct command_context *ctx)
{
    push(ctx, LIST_HEAD, false);
}
void cmd_rpush(struct command_context *ctx)
{
    push(ctx, LIST_TAIL, false);
}
void cmd_lpushx(struct command_context *ctx)
{
    push(ctx, LIST_HEAD, true);
}
void cmd_rpushx(struct command_context *ctx)
{
    push(ctx, LIST_TAIL, true);
}

/* ---- popping ---- */

void list_reply_range(struct reply *reply, const struct value *list, uint32_t from, uint32_t n, bool backward)
{
    struct list_iter iter;
    struct slice element;
    reply_array(reply, n);
    list_iter_seek(list, backward ? from + n : from, &iter);
    while (n-- > 0) {
        CHECK(backward ? list_iter_prev(&iter, &element) : list_iter_next(&iter, &element));
        reply_bulk_slice(reply, element);
    }
}

void list_pop_reply(struct command_context *ctx, struct entry *entry, enum list_end end, int64_t count)
{
    uint32_t present = list_count(&entry->value), n = count < present ? (uint32_t)count : present;
    uint32_t from = end == LIST_HEAD ? 0 : present - n;
    list_reply_range(ctx->reply, &entry->value, from, n, end == LIST_TAIL);
    mutate_list_remove(entry, from, n);
}

static void pop(struct command_context *ctx, enum list_end end)
{
    struct entry entry;
    int64_t count = -1;
    if (ctx->argc > 3) {
        command_error_arity(ctx);
        return;
    }
    if (ctx->argc == 3 &&
        !command_arg_range(ctx, 2, 0, INT64_MAX, &count, "ERR value is out of range, must be positive"))
        return;
    if (!command_open_typed(ctx, 1, ITEM_LIST, &entry)) return;
    if (!entry.item) {
        if (count < 0 || MUTANT(lpop_count_null_bulk))
            reply_null(ctx->reply);
        else
            reply_null_array(ctx->reply);
    } else if (count == 0) {
        if (MUTANT(lpop_zero_null))
            reply_null_array(ctx->reply);
        else
            reply_empty_array(ctx->reply);
    } else if (count > 0) {
        list_pop_reply(ctx, &entry, end, count);
    } else {
        uint32_t at = end == LIST_HEAD ? 0 : list_count(&entry.value) - 1;
        reply_bulk_slice(ctx->reply, list_get(&entry.value, at));
        mutate_list_remove(&entry, at, 1);
    }
}

void cmd_lpop(struct command_context *ctx)
{
    pop(ctx, LIST_HEAD);
}
void cmd_rpop(struct command_context *ctx)
{
    pop(ctx, LIST_TAIL);
}

/* ---- by index ---- */

void cmd_llen(struct command_context *ctx)
{
    struct entry entry;
    if (!command_open_read_typed(ctx, 1, ITEM_LIST, &entry)) return;
    reply_integer(ctx->reply, entry.item ? list_count(&entry.value) : 0);
}

/* A client's index, counted from the tail when negative; false: beyond the list. */
static bool index_within(int64_t index, uint32_t count, uint32_t *at)
{
    if (index < 0) index += count;
    if (index < 0 || index >= count) return false;
    *at = (uint32_t)index;
    return true;
}

void cmd_lindex(struct command_context *ctx)
{
    struct entry entry;
    int64_t index;
    uint32_t at;
    if (!command_open_read_typed(ctx, 1, ITEM_LIST, &entry)) return;
    if (!entry.item) {
        reply_null(ctx->reply);
        return;
    }
    if (!command_arg_int(ctx, 2, &index)) return;
    if (index_within(index, list_count(&entry.value), &at))
        reply_bulk_slice(ctx->reply, list_get(&entry.value, at));
    else
        reply_null(ctx->reply);
}

void cmd_lset(struct command_context *ctx)
{
    struct entry entry;
    int64_t index;
    uint32_t at;
    if (!command_open_typed(ctx, 1, ITEM_LIST, &entry)) return;
    if (!entry.item) {
        command_error_no_such_key(ctx);
        return;
    }
    if (!command_arg_int(ctx, 2, &index)) return;
    mutate_list_expect(&entry, ctx->argv[3]);
    index =
        (int32_t)index; /* Redis keeps 32 bits of it: LSET l 9223372036854775807 x sets the last element */
    if (!index_within(index, list_count(&entry.value), &at))
        reply_error(ctx->reply, "ERR index out of range");
    else if (mutate_list_set(&entry, at, ctx->argv[3]) != VALUE_OK)
        command_out_of_memory(ctx);
    else
        reply_ok(ctx->reply);
}

bool list_clamp_range(int64_t start, int64_t stop, uint32_t count, uint32_t *from, uint32_t *n)
{
    if (start < 0) start += count;
    if (stop < 0) stop += count;
    if (start < 0) start = 0;
    if (start > stop || start >= count) return false;
    if (stop >= count) stop = (int64_t)count - 1;
    *from = (uint32_t)start;
    *n = (uint32_t)(stop - start + 1);
    return true;
}

void cmd_lrange(struct command_context *ctx)
{
    struct entry entry;
    int64_t start, stop;
    uint32_t from, n;
    if (!command_arg_int(ctx, 2, &start) || !command_arg_int(ctx, 3, &stop)) return;
    if (!command_open_read_typed(ctx, 1, ITEM_LIST, &entry)) return;
    if (!entry.item || !list_clamp_range(start, stop, list_count(&entry.value), &from, &n))
        reply_empty_array(ctx->reply);
    else
        list_reply_range(ctx->reply, &entry.value, from, n, false);
}

void cmd_ltrim(struct command_context *ctx)
{
    struct entry entry;
    int64_t start, stop;
    uint32_t from = 0, n = 0;
    if (!command_arg_int(ctx, 2, &start) || !command_arg_int(ctx, 3, &stop)) return;
    if (!command_open_typed(ctx, 1, ITEM_LIST, &entry)) return;
    if (entry.item) {
        uint32_t count = list_count(&entry.value);
        list_clamp_range(start, stop, count, &from, &n);
        mutate_list_remove(&entry, from + n, count - from - n);
        if (from > 0) mutate_list_remove(&entry, 0, from);
        if (n == count) mutate_key_touch(&entry);
    }
    reply_ok(ctx->reply);
}
