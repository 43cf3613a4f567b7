/* Lists: what looks for an element by its value: LPOS, LREM, LINSERT. Compared with a real Redis by
 * test/differential. */
#include "command/list.h"

#include "base/mutant.h"

struct position_query {
    int64_t rank;    /* the first match that counts, from 1 */
    int64_t count;   /* matches wanted, 0: all; -1: the option was not given */
    int64_t compare; /* elements to look at, 0: all */
    bool backward;
};

static bool parse_lpos(struct command_context *ctx, struct position_query *query)
{
    *query = (struct position_query){.rank = 1, .count = -1};
    for (int i = 3; i < ctx->argc; i += 2) {
        bool has_value = i + 1 < ctx->argc;
        if (has_value && command_arg_is(ctx, i, "RANK")) {
            int64_t least = MUTANT(lpos_rank_overflow) ? INT64_MIN : -INT64_MAX;
            if (!command_arg_range(ctx, i + 1, least, INT64_MAX, &query->rank, NULL)) return false;
            if (query->rank != 0) continue;
            reply_error(ctx->reply,
                        "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second "
                        "... or use negative to start from the end of the list");
            return false;
        } else if (has_value && command_arg_is(ctx, i, "COUNT")) {
            if (!command_arg_range(ctx, i + 1, 0, INT64_MAX, &query->count, "ERR COUNT can't be negative"))
                return false;
        } else if (has_value && command_arg_is(ctx, i, "MAXLEN")) {
            if (!command_arg_range(ctx, i + 1, 0, INT64_MAX, &query->compare, "ERR MAXLEN can't be negative"))
                return false;
        } else {
            command_error_syntax(ctx);
            return false;
        }
    }
    query->backward = query->rank < 0;
    if (query->backward) query->rank = -query->rank;
    return true;
}

/* Replies the positions found; returns their number. Without COUNT it stops at the first. */
static uint64_t reply_positions(struct command_context *ctx, const struct value *list,
                                const struct position_query *query)
{
    struct list_iter iter;
    struct slice element;
    uint32_t length = list_count(list), seen = 0;
    int64_t matches = 0, wanted = query->count > 0 ? query->count : query->count < 0 ? 1 : INT64_MAX;
    uint64_t replied = 0;
    list_iter_seek(list, query->backward ? length : 0, &iter);
    while (wanted > 0 && (query->compare == 0 || seen < query->compare)) {
        if (!(query->backward ? list_iter_prev(&iter, &element) : list_iter_next(&iter, &element))) break;
        seen++;
        if (!slice_equal(element, ctx->argv[2]) || ++matches < query->rank) continue;
        reply_integer(ctx->reply, query->backward ? length - seen : seen - 1);
        replied++;
        wanted--;
    }
    return MUTANT(lpos_counts_from_rank) ? (uint64_t)(matches - query->rank + 1) : replied;
}

void cmd_lpos(struct command_context *ctx)
{
    struct entry entry;
    struct position_query query;
    if (!parse_lpos(ctx, &query)) return;
    if (!command_open_read_typed(ctx, 1, ITEM_LIST, &entry)) return;
    if (query.count >= 0) {
        size_t mark = reply_defer(ctx->reply, 0);
        uint64_t n = entry.item ? reply_positions(ctx, &entry.value, &query) : 0;
        reply_close_array(ctx->reply, mark, n);
    } else if (!entry.item || reply_positions(ctx, &entry.value, &query) == 0) {
        reply_null(ctx->reply);
    }
}

/* Removes matches, each run of neighbours at once; returns their number. */
static int64_t remove_matches(struct entry *entry, struct slice needle, int64_t wanted, bool backward)
{
    uint32_t at = backward ? list_count(&entry->value) - 1 : 0;
    int64_t removed = 0;
    while (removed < wanted && list_find(&entry->value, at, backward, needle, &at)) {
        struct list_iter iter;
        struct slice element;
        uint32_t run = 0;
        list_iter_seek(&entry->value, backward ? at + 1 : at, &iter);
        while (removed * !MUTANT(lrem_limit_per_run) + run < wanted &&
               (backward ? list_iter_prev(&iter, &element) : list_iter_next(&iter, &element)) &&
               slice_equal(element, needle)) {
            run++;
        }
        removed += run;
        uint32_t left = list_count(&entry->value) - run;
        mutate_list_remove(entry, backward ? at + 1 - run : at, run);
        if (left == 0) break; /* and the key is gone */
        if (backward ? at < run : at >= left) break;
        if (backward) at -= run;
    }
    return removed;
}

void cmd_lrem(struct command_context *ctx)
{
    struct entry entry;
    int64_t count;
    if (!command_arg_range(ctx, 2, -INT64_MAX, INT64_MAX, &count, NULL)) return;
    if (!command_open_typed(ctx, 1, ITEM_LIST, &entry)) return;
    int64_t wanted = count == 0 ? INT64_MAX : count < 0 ? -count : count;
    reply_integer(ctx->reply, entry.item ? remove_matches(&entry, ctx->argv[3], wanted, count < 0) : 0);
}

void cmd_linsert(struct command_context *ctx)
{
    struct entry entry;
    uint32_t at;
    bool after = command_arg_is(ctx, 2, "AFTER");
    if (!after && !command_arg_is(ctx, 2, "BEFORE")) {
        command_error_syntax(ctx);
        return;
    }
    if (!command_open_typed(ctx, 1, ITEM_LIST, &entry)) return;
    if (!entry.item) {
        reply_integer(ctx->reply, 0);
        return;
    }
    mutate_list_expect(&entry, ctx->argv[4]);
    if (!list_find(&entry.value, 0, false, ctx->argv[3], &at))
        reply_integer(ctx->reply, -1);
    else if (mutate_list_insert(&entry, at + after, ctx->argv[4]) != VALUE_OK)
        command_out_of_memory(ctx);
    else
        reply_integer(ctx->reply, list_count(&entry.value));
}
