/* Unions, differences and intersections: SUNION, SDIFF, SINTER, their STORE forms and SINTERCARD. Results
 * that may repeat members, or are to be stored, are built as a set in the slab of the first key's partition
 * (store/build.h); the others go to the reply as they are found. Compared with a real Redis by
 * test/blackbox/hash_set_test.py. */
#include "command/command.h"

#include "base/mutant.h"
#include <stdlib.h>

#include "store/build.h"
#include "store/mutate_set.h"

/* The sets of a command, absent ones with count 0. */
struct sources {
    struct source {
        struct value value;
        const struct item *item; /* NULL: absent */
        uint64_t count;
    } * sets;
    int count;
};

/* Opens argv[first .. first + count). False: replied; else free sources->sets. */
static bool open_sources(struct command_context *ctx, int first, int count, struct sources *sources)
{
    sources->count = count;
    sources->sets = calloc((size_t)count, sizeof *sources->sets);
    if (!sources->sets) {
        command_out_of_memory(ctx);
        return false;
    }
    for (int i = 0; i < count; i++) {
        struct entry entry;
        if (!command_open_read_typed(ctx, first + i, ITEM_SET, &entry)) {
            free(sources->sets);
            return false;
        }
        if (!entry.item) continue;
        sources->sets[i] = (struct source){entry.value, entry.item, set_count(&entry.value)};
    }
    return true;
}

static int compare_counts(const void *a, const void *b)
{
    const struct source *x = a, *y = b;
    return (x->count > y->count) - (x->count < y->count);
}

/* ---- the results ---- */

/* What takes the members of a result. False: stop (no memory, or enough). */
typedef bool take_member(void *context, struct slice member);

/* Shows the members that all sets have. Orders the sources by size. */
static bool intersect(struct sources *sources, take_member *take, void *context)
{
    struct set_iter iter;
    struct slice member;
    qsort(sources->sets, (size_t)sources->count, sizeof *sources->sets, compare_counts);
    struct source *least = &sources->sets[0];
    if (least->count == 0) return true;
    for (set_iter_begin(&iter, &least->value); set_iter_next(&iter, &member);) {
        int i = 1;
        while (i < sources->count &&
               (sources->sets[i].item == least->item || set_has(&sources->sets[i].value, member)))
            i++;
        if (i == sources->count && !take(context, member)) return false;
    }
    return true;
}

/* Shows the members of the first set that no other has; one look-up per member and set. */
static bool subtract_by_lookups(struct sources *sources, take_member *take, void *context)
{
    struct set_iter iter;
    struct slice member;
    struct source *sets = sources->sets;
    if (sources->count > 2) /* the largest of the others first: it is likely to have the member */
        qsort(sets + 1, (size_t)sources->count - 1, sizeof *sets, compare_counts);
    for (set_iter_begin(&iter, &sets[0].value); set_iter_next(&iter, &member);) {
        int i = sources->count - 1;
        while (i > 0 && (sets[i].count == 0 || !set_has(&sets[i].value, member))) i--;
        if (i == 0 && !take(context, member)) return false;
    }
    return true;
}

struct result {
    struct build build;
    struct set_config config;
    bool only_integers, failed;
};

static bool take_into_build(void *context, struct slice member)
{
    struct result *result = context;
    bool added;
    int64_t value;
    if (result->only_integers && !number_parse_i64(member.ptr, member.len, &value))
        result->only_integers = false;
    result->failed = set_add(&result->build.value, &result->config, member, &added) != VALUE_OK;
    return !result->failed;
}

static void result_begin(struct command_context *ctx, int key_index, bool intset, struct result *result)
{
    struct key key = command_key(ctx, ctx->argv[key_index]);
    result->config = mutate_set_config(ctx->env);
    result->only_integers = true;
    result->failed = false;
    build_begin(&result->build, command_partition(ctx, &key), ITEM_SET, SET_EMPTY_AREA, set_free);
    set_start(&result->build.value, intset);
}

static bool add_all(struct result *result, const struct value *set)
{
    struct set_iter iter;
    struct slice member;
    for (set_iter_begin(&iter, set); set_iter_next(&iter, &member);)
        if (!take_into_build(result, member)) return false;
    return true;
}

static bool build_union(struct sources *sources, struct result *result)
{
    for (int i = 0; i < sources->count; i++)
        if (sources->sets[i].item && !add_all(result, &sources->sets[i].value)) return false;
    return true;
}

/* All of the first set, then the others out of it: one step per member of any set. */
static bool build_difference_by_removal(struct sources *sources, struct result *result)
{
    struct set_iter iter;
    struct slice member;
    if (!add_all(result, &sources->sets[0].value)) return false;
    for (int i = 1; i < sources->count; i++) {
        if (!sources->sets[i].item) continue;
        set_iter_begin(&iter, &sources->sets[i].value);
        while (set_iter_next(&iter, &member)) set_remove(&result->build.value, member);
        if (set_count(&result->build.value) == 0) break;
    }
    return true;
}

/* Is a difference cheaper by look-ups than by removal? Look-ups get some advantage, as in Redis. */
static bool lookups_are_cheaper(const struct sources *sources)
{
    uint64_t lookups = 0, removal = 0;
    for (int i = 0; i < sources->count; i++) {
        if (!sources->sets[i].item) continue;
        lookups += sources->sets[0].count;
        removal += sources->sets[i].count;
    }
    return lookups / 2 <= removal;
}

/* Nothing is left of the first set: it is empty, or among the others itself. */
static bool difference_is_empty(const struct sources *sources)
{
    const struct item *first = sources->sets[0].item;
    for (int i = 1; first && i < sources->count; i++)
        if (sources->sets[i].item == first) return true;
    return !first;
}

static bool build_difference(struct sources *sources, struct result *result)
{
    if (difference_is_empty(sources)) return true;
    if (lookups_are_cheaper(sources)) return subtract_by_lookups(sources, take_into_build, result);
    return build_difference_by_removal(sources, result);
}

/* ---- replying ---- */

struct counted_reply {
    struct reply *reply;
    uint64_t count;
};

static bool take_into_reply(void *context, struct slice member)
{
    struct counted_reply *out = context;
    reply_bulk_slice(out->reply, member);
    out->count++;
    return true;
}

static void reply_members(struct command_context *ctx, const struct value *set)
{
    struct set_iter iter;
    struct slice member;
    reply_set(ctx->reply, set_count(set));
    for (set_iter_begin(&iter, set); set_iter_next(&iter, &member);) reply_bulk_slice(ctx->reply, member);
}

/* Replies the built set (or that memory ran out) and drops it. */
static void reply_result(struct command_context *ctx, struct result *result)
{
    if (result->failed)
        command_out_of_memory(ctx);
    else
        reply_members(ctx, &result->build.value);
    build_drop(&result->build);
}

void cmd_sinter(struct command_context *ctx)
{
    struct sources sources;
    if (!open_sources(ctx, 1, ctx->argc - 1, &sources)) return;
    struct counted_reply out = {ctx->reply, 0};
    size_t mark = reply_defer(ctx->reply, 0);
    intersect(&sources, take_into_reply, &out);
    reply_close_set(ctx->reply, mark, out.count);
    free(sources.sets);
}

void cmd_sunion(struct command_context *ctx)
{
    struct sources sources;
    struct result result;
    if (!open_sources(ctx, 1, ctx->argc - 1, &sources)) return;
    result_begin(ctx, 1, true, &result);
    build_union(&sources, &result);
    reply_result(ctx, &result);
    free(sources.sets);
}

void cmd_sdiff(struct command_context *ctx)
{
    struct sources sources;
    if (!open_sources(ctx, 1, ctx->argc - 1, &sources)) return;
    if (!difference_is_empty(&sources) && !lookups_are_cheaper(&sources)) {
        struct result result;
        result_begin(ctx, 1, true, &result);
        build_difference_by_removal(&sources, &result);
        reply_result(ctx, &result);
    } else {
        struct counted_reply out = {ctx->reply, 0};
        size_t mark = reply_defer(ctx->reply, 0);
        if (!difference_is_empty(&sources)) subtract_by_lookups(&sources, take_into_reply, &out);
        reply_close_set(ctx->reply, mark, out.count);
    }
    free(sources.sets);
}

/* ---- SINTERCARD ---- */

struct limited_count {
    uint64_t count, limit; /* 0: none */
};

static bool take_count(void *context, struct slice member)
{
    struct limited_count *out = context;
    (void)member;
    return ++out->count != out->limit;
}

void cmd_sintercard(struct command_context *ctx)
{
    struct sources sources;
    int64_t keys, limit = 0;
    if (!command_arg_range(ctx, 1, 1, INT64_MAX, &keys, "ERR numkeys should be greater than 0")) return;
    if (keys > ctx->argc - 2) {
        reply_error(ctx->reply, "ERR Number of keys can't be greater than number of args");
        return;
    }
    for (int i = 2 + (int)keys; i < ctx->argc; i++) {
        if (!command_arg_is(ctx, i, "LIMIT") || i + 1 == ctx->argc) {
            command_error_syntax(ctx);
            return;
        }
        if (!command_arg_range(ctx, ++i, 0, INT64_MAX, &limit, "ERR LIMIT can't be negative")) return;
    }
    if (!open_sources(ctx, 2, (int)keys, &sources)) return;
    struct limited_count out = {.limit = (uint64_t)limit};
    intersect(&sources, take_count, &out);
    reply_integer(ctx->reply, (int64_t)out.count);
    free(sources.sets);
}

/* ---- storing ---- */

/* Makes the result the value of argv[1]; an empty one deletes the key. */
static void store_result(struct command_context *ctx, struct result *result)
{
    struct entry entry;
    uint64_t count = set_count(&result->build.value);
    command_open(ctx, 1, &entry);
    bool kept = false;
    if (result->failed) {
        command_out_of_memory(ctx);
    } else if (count == 0) {
        bool typed = MUTANT(store_empty_keeps_other_type);
        if (entry.item && !(typed && item_type(entry.item) != ITEM_SET))
            mutate_key_delete(&entry, RECORD_DELETED);
        reply_integer(ctx->reply, 0);
    } else if (build_store(&result->build, &entry) == VALUE_OK) {
        kept = true;
        reply_integer(ctx->reply, (int64_t)count);
    } else {
        command_out_of_memory(ctx);
    }
    if (!kept) build_drop(&result->build);
}

void cmd_sinterstore(struct command_context *ctx)
{
    struct sources sources;
    struct result result;
    if (!open_sources(ctx, 2, ctx->argc - 2, &sources)) return;
    qsort(sources.sets, (size_t)sources.count, sizeof *sources.sets, compare_counts);
    bool intset = sources.sets[0].item && strcmp(set_encoding(&sources.sets[0].value), "intset") == 0;
    result_begin(ctx, 1, intset, &result);
    intersect(&sources, take_into_build, &result);
    if (!result.failed && result.only_integers) set_settle_integers(&result.build.value, &result.config);
    store_result(ctx, &result);
    free(sources.sets);
}

void cmd_sunionstore(struct command_context *ctx)
{
    struct sources sources;
    struct result result;
    if (!open_sources(ctx, 2, ctx->argc - 2, &sources)) return;
    result_begin(ctx, 1, true, &result);
    build_union(&sources, &result);
    store_result(ctx, &result);
    free(sources.sets);
}

void cmd_sdiffstore(struct command_context *ctx)
{
    struct sources sources;
    struct result result;
    if (!open_sources(ctx, 2, ctx->argc - 2, &sources)) return;
    result_begin(ctx, 1, true, &result);
    build_difference(&sources, &result);
    store_result(ctx, &result);
    free(sources.sets);
}
