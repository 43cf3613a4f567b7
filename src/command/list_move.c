/* Lists: what touches several of them: LMOVE, RPOPLPUSH, LMPOP. Compared with a real Redis by
 * test/differential. */
#include "command/list.h"

#include "base/mutant.h"
#include <stdlib.h>

/* The end named by argv[index]; replies the error itself. */
static bool parse_end(struct command_context *ctx, int index, enum list_end *end)
{
    if (command_arg_is(ctx, index, "RIGHT")) {
        *end = LIST_TAIL;
    } else if (command_arg_is(ctx, index, "LEFT")) {
        *end = LIST_HEAD;
    } else {
        command_error_syntax(ctx);
        return false;
    }
    return true;
}

static uint32_t end_index(const struct entry *list, enum list_end end)
{
    return end == LIST_HEAD ? 0 : list_count(&list->value) - 1;
}

/* Within one list: pushes first, a copy (the original is in the list), then removes, which cannot fail. */
static int rotate(struct command_context *ctx, struct entry *list, enum list_end from, enum list_end to)
{
    struct slice element = list_get(&list->value, end_index(list, from));
    char buffer[1024], *copy = element.len <= sizeof buffer ? buffer : malloc(element.len);
    if (copy == NULL) return VALUE_NO_MEMORY;
    if (element.len > 0) memcpy(copy, element.ptr, element.len);
    element.ptr = copy;
    bool is_quicklist = list_is_quicklist(&list->value);
    int done = mutate_list_push(list, to, &element, 1);
    if (done == VALUE_OK) {
        list_encoding_restore(&list->value, is_quicklist); /* it counted the element twice */
        mutate_list_remove(list, end_index(list, from), 1);
        reply_bulk_slice(ctx->reply, element);
    }
    if (copy != buffer) free(copy);
    return done;
}

/* From argv[1] to argv[2]. The element stays where it is in memory until the source lets it go. */
static int transfer(struct command_context *ctx, struct entry *source, struct entry *target,
                    enum list_end from, enum list_end to)
{
    struct slice element = list_get(&source->value, end_index(source, from));
    if (mutate_list_push(target, to, &element, 1) != VALUE_OK) return VALUE_NO_MEMORY;
    reply_bulk_slice(ctx->reply, element);
    if (!MUTANT(lmove_stale_source))
        CHECK(command_open(ctx, 1, source)); /* the push may have moved its slot */
    mutate_list_remove(source, end_index(source, from), 1);
    return VALUE_OK;
}

static void move(struct command_context *ctx, enum list_end from, enum list_end to)
{
    struct entry source, target;
    if (!command_open_typed(ctx, 1, ITEM_LIST, &source)) return;
    if (!source.item) {
        reply_null(ctx->reply);
        return;
    }
    if (!command_open_typed(ctx, 2, ITEM_LIST, &target)) return;
    /* Opening the target may have deleted it, which ends other entries; and a source may have been that one.
     */
    if (!MUTANT(lmove_stale_source)) CHECK(command_open(ctx, 1, &source));
    int done = target.item == source.item ? rotate(ctx, &source, from, to)
                                          : transfer(ctx, &source, &target, from, to);
    if (done != VALUE_OK) command_out_of_memory(ctx);
}

void cmd_lmove(struct command_context *ctx)
{
    enum list_end from, to;
    if (parse_end(ctx, 3, &from) && parse_end(ctx, 4, &to)) move(ctx, from, to);
}

void cmd_rpoplpush(struct command_context *ctx)
{
    move(ctx, LIST_TAIL, LIST_HEAD);
}

void cmd_lmpop(struct command_context *ctx)
{
    int64_t keys, count = -1;
    enum list_end end;
    if (!command_arg_range(ctx, 1, 1, INT64_MAX, &keys, "ERR numkeys should be greater than 0")) return;
    if (keys >= ctx->argc - 2) {
        command_error_syntax(ctx);
        return;
    }
    int where = (int)keys + 2;
    if (!parse_end(ctx, where, &end)) return;
    for (int i = where + 1; i < ctx->argc; i += 2) {
        if (count != -1 || i + 1 >= ctx->argc || !command_arg_is(ctx, i, "COUNT")) {
            command_error_syntax(ctx);
            return;
        }
        if (!command_arg_range(ctx, i + 1, 1, INT64_MAX, &count, "ERR count should be greater than 0"))
            return;
    }
    for (int i = 2; i < where; i++) {
        struct entry entry;
        if (!command_open_typed(ctx, i, ITEM_LIST, &entry)) return;
        if (!entry.item) continue;
        reply_array(ctx->reply, 2);
        reply_bulk_slice(ctx->reply, ctx->argv[i]);
        list_pop_reply(ctx, &entry, end, count == -1 ? 1 : count);
        return;
    }
    reply_null_array(ctx->reply);
}
