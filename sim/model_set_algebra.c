/* Sets of the model, combined: SDIFF SDIFFSTORE SINTER SINTERCARD SINTERSTORE SUNION SUNIONSTORE. Every
 * member of every set is looked up in every other one. The order of what is told is the server's choice. */
#include "sim/model_collections.h"

enum operation { DIFFERENCE, INTERSECTION, UNION };

/* The sets at argv[first] and the next ones (NULL: not there); NULL and *error if one is of another type. */
static struct model_set **sets_at(struct model_context *c, size_t first, size_t count,
                                  const struct value **error)
{
    struct model_set **sets = value_alloc(&c->model->arena, (count + 1) * sizeof(sets[0]));
    for (size_t i = 0; i < count; i++) {
        struct model_object *object = model_typed(c, arg(c, first + i), MODEL_SET, error);
        if (*error) return NULL;
        sets[i] = object ? as_set(object) : NULL;
    }
    return sets;
}

static bool belongs(enum operation operation, struct model_set **sets, size_t count, struct slice member)
{
    bool in_first = sets[0] && model_set_has(sets[0], member);
    size_t others = 0;
    for (size_t i = 1; i < count; i++) others += sets[i] && model_set_has(sets[i], member);
    if (operation == DIFFERENCE) return in_first && others == 0;
    if (operation == INTERSECTION) return in_first && others == count - 1;
    return true;
}

/* The result as a value of its own. */
static struct model_set *combine(struct model_context *c, enum operation operation, struct model_set **sets,
                                 size_t count)
{
    struct model_set *result = as_set(model_set_create());
    for (size_t i = 0; i < (operation == UNION ? count : 1); i++)
        for (size_t m = 0; sets[i] && m < sets[i]->members.count; m++)
            if (belongs(operation, sets, count, sets[i]->members.at[m]))
                model_set_add(c->model, result, sets[i]->members.at[m]);
    /* What the sources were once may show in the encoding of a stored result. */
    for (size_t i = 0; i < count; i++) {
        if (!sets[i]) continue;
        result->words |= sets[i]->words;
        result->head.big |= sets[i]->head.big;
    }
    return result;
}

static const struct value *run_combine(struct model_context *c, enum operation operation, bool store)
{
    const struct value *error = NULL;
    size_t first = store ? 2 : 1, count = argc(c) - first;
    struct model_set **sets = sets_at(c, first, count, &error);
    if (error) return error;
    struct model_set *result = combine(c, operation, sets, count);
    if (store) return store_result(c, arg(c, 1), &result->head, result->members.count);
    const struct value *reply = reply_members(c, result->members.at, result->members.count);
    model_set_destroy(&result->head);
    return reply;
}

static const struct value *run_sdiff(struct model_context *c)
{
    return run_combine(c, DIFFERENCE, false);
}

static const struct value *run_sdiffstore(struct model_context *c)
{
    return run_combine(c, DIFFERENCE, true);
}

static const struct value *run_sinter(struct model_context *c)
{
    return run_combine(c, INTERSECTION, false);
}

static const struct value *run_sinterstore(struct model_context *c)
{
    return run_combine(c, INTERSECTION, true);
}

static const struct value *run_sunion(struct model_context *c)
{
    return run_combine(c, UNION, false);
}

static const struct value *run_sunionstore(struct model_context *c)
{
    return run_combine(c, UNION, true);
}

static const struct value *run_sintercard(struct model_context *c)
{
    const struct value *error = NULL;
    int64_t keys, limit = 0;
    if (!arg_int64_in(c, 1, 1, INT64_MAX, "ERR numkeys should be greater than 0", &keys, &error))
        return error;
    if ((uint64_t)keys > argc(c) - 2)
        return want_error(c, "ERR Number of keys can't be greater than number of args");
    for (size_t i = 2 + (size_t)keys; i < argc(c); i += 2) {
        if (!arg_is(c, i, "LIMIT") || i + 1 >= argc(c)) return want_syntax_error(c);
        if (!arg_int64_in(c, i + 1, 0, INT64_MAX, "ERR LIMIT can't be negative", &limit, &error))
            return error;
    }
    struct model_set **sets = sets_at(c, 2, (size_t)keys, &error);
    if (error) return error;
    struct model_set *result = combine(c, INTERSECTION, sets, (size_t)keys);
    int64_t count = (int64_t)result->members.count;
    model_set_destroy(&result->head);
    return want_integer(c, limit && count > limit ? limit : count);
}

const struct model_row model_rows_set_algebra[] = {
    {"sdiff", -2, 0, run_sdiff},
    {"sdiffstore", -3, MODEL_TAKES_MEMORY, run_sdiffstore},
    {"sinter", -2, 0, run_sinter},
    {"sintercard", -3, 0, run_sintercard},
    {"sinterstore", -3, MODEL_TAKES_MEMORY, run_sinterstore},
    {"sunion", -2, 0, run_sunion},
    {"sunionstore", -3, MODEL_TAKES_MEMORY, run_sunionstore},
    {NULL, 0, 0, NULL},
};
