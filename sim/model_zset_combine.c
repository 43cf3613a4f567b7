/* Sorted sets of the model, combined (with plain sets, whose members count as score 1): ZDIFF ZDIFFSTORE
 * ZINTER ZINTERCARD ZINTERSTORE ZUNION ZUNIONSTORE.
 *
 * Scores are added up in the order in which Redis does it, smallest input first (as given, if of one size),
 * because sums of floating point numbers hang on it. An infinity minus itself counts as 0, and so does 0
 * times an infinity. */
#include "sim/model_collections.h"

#include <math.h>

enum operation { DIFFERENCE, INTERSECTION, UNION };
enum aggregate { SUM, MIN, MAX };

struct input {
    const struct model_object *object; /* NULL: not there */
    double weight;
};

struct combination {
    enum operation operation;
    bool only_count, store;
    struct input *inputs;
    size_t count;
    enum aggregate aggregate;
    bool scores;
    int64_t limit;
};

static size_t size_of(const struct input *input)
{
    if (!input->object) return 0;
    return input->object->type == MODEL_SET ? ((const struct model_set *)input->object)->members.count
                                            : ((const struct model_zset *)input->object)->count;
}

static struct slice member_of(const struct input *input, size_t i)
{
    return input->object->type == MODEL_SET ? ((const struct model_set *)input->object)->members.at[i]
                                            : ((const struct model_zset *)input->object)->items[i].member;
}

static double score_of(const struct input *input, size_t i)
{
    return input->object->type == MODEL_SET ? 1 : ((const struct model_zset *)input->object)->items[i].score;
}

static bool find_in(const struct input *input, struct slice member, double *score)
{
    if (!input->object) return false;
    if (input->object->type == MODEL_SET) {
        *score = 1;
        return model_set_has((const struct model_set *)input->object, member);
    }
    const struct model_scored *found = model_zset_find((const struct model_zset *)input->object, member);
    if (found) *score = found->score;
    return found != NULL;
}

/* ---------------------------------------------------------------- arguments */

static const struct value *read_inputs(struct model_context *c, struct combination *k, size_t count_at)
{
    const struct value *error = NULL;
    int64_t keys;
    if (!arg_int64(c, count_at, &keys, &error)) return error;
    if (keys < 1) return want_error(c, "ERR at least 1 input key is needed for '%s' command", c->row->name);
    if ((uint64_t)keys > argc(c) - count_at - 1) return want_syntax_error(c);
    k->count = (size_t)keys;
    k->inputs = value_alloc(&c->model->arena, k->count * sizeof(k->inputs[0]));
    for (size_t i = 0; i < k->count; i++) {
        struct model_object *object = model_read(c, arg(c, count_at + 1 + i));
        if (object && object->type != MODEL_ZSET && object->type != MODEL_SET) return want_wrong_type(c);
        k->inputs[i] = (struct input){object, 1};
    }
    return NULL;
}

static const struct value *read_options(struct model_context *c, struct combination *k, size_t i)
{
    const struct value *error = NULL;
    bool weighs = k->operation != DIFFERENCE && !k->only_count;
    while (i < argc(c)) {
        size_t left = argc(c) - i;
        if (weighs && left > k->count && arg_is(c, i, "WEIGHTS")) {
            for (size_t n = 0; n < k->count; n++)
                if (!read_double(arg(c, i + 1 + n), &k->inputs[n].weight))
                    return want_error(c, "ERR weight value is not a float");
            i += 1 + k->count;
        } else if (weighs && left >= 2 && arg_is(c, i, "AGGREGATE")) {
            if (arg_is(c, i + 1, "SUM"))
                k->aggregate = SUM;
            else if (arg_is(c, i + 1, "MIN"))
                k->aggregate = MIN;
            else if (arg_is(c, i + 1, "MAX"))
                k->aggregate = MAX;
            else
                return want_syntax_error(c);
            i += 2;
        } else if (!k->store && !k->only_count && arg_is(c, i, "WITHSCORES")) {
            k->scores = true;
            i++;
        } else if (k->only_count && left >= 2 && arg_is(c, i, "LIMIT")) {
            if (!arg_int64_in(c, i + 1, 0, INT64_MAX, "ERR LIMIT can't be negative", &k->limit, &error))
                return error;
            i += 2;
        } else {
            return want_syntax_error(c);
        }
    }
    return NULL;
}

/* ---------------------------------------------------------------- scores */

/* Smallest first; those of one size stay in order. */
static void sort_inputs(struct combination *k)
{
    for (size_t i = 1; i < k->count; i++)
        for (size_t at = i; at > 0 && size_of(&k->inputs[at - 1]) > size_of(&k->inputs[at]); at--) {
            struct input moved = k->inputs[at];
            k->inputs[at] = k->inputs[at - 1];
            k->inputs[at - 1] = moved;
        }
}

static double number_or_zero(double score)
{
    return isnan(score) ? 0 : score;
}

static double aggregate(enum aggregate how, double sum, double score)
{
    if (how == SUM) return number_or_zero(sum + score);
    if (how == MIN) return score < sum ? score : sum;
    return score > sum ? score : sum;
}

/* The member's score over all inputs; false if the result does not have it. */
static bool combine_one(const struct combination *k, struct slice member, double *out)
{
    size_t having = 0;
    for (size_t i = 0; i < k->count; i++) {
        double score;
        if (!find_in(&k->inputs[i], member, &score)) continue;
        double weighted = score * k->inputs[i].weight;
        /* An intersection lets 0 * infinity stand until it is added: MIN and MAX then ignore it. */
        if (having == 0 || k->operation == UNION) weighted = number_or_zero(weighted);
        *out = having++ ? aggregate(k->aggregate, *out, weighted) : weighted;
    }
    return k->operation == UNION ? having > 0 : having == k->count;
}

static bool subtract_one(const struct combination *k, struct slice member)
{
    double score;
    for (size_t i = 1; i < k->count; i++)
        if (find_in(&k->inputs[i], member, &score)) return false;
    return true;
}

static struct model_zset *combine(struct model_context *c, struct combination *k)
{
    struct model_zset *result = as_zset(model_zset_create());
    if (k->operation != DIFFERENCE) sort_inputs(k);
    for (size_t i = 0; i < (k->operation == UNION ? k->count : 1); i++)
        for (size_t m = 0; m < size_of(&k->inputs[i]); m++) {
            struct slice member = member_of(&k->inputs[i], m);
            double score = score_of(&k->inputs[i], m);
            if (k->operation == DIFFERENCE ? subtract_one(k, member) : combine_one(k, member, &score))
                model_zset_put(c->model, result, member, score);
        }
    return result;
}

/* ---------------------------------------------------------------- commands */

static const struct value *reply_of(struct model_context *c, const struct model_zset *result, bool scores)
{
    bool flat = scores && c->resp == 2;
    struct value *reply = want_array(c, flat ? 2 * result->count : result->count);
    for (size_t i = 0; i < result->count; i++) {
        const struct value *member = want_bulk(c, result->items[i].member);
        if (!scores) {
            set_item(reply, i, member);
            continue;
        }
        struct value *pair = flat ? reply : want_array(c, 2);
        set_item(pair, flat ? 2 * i : 0, member);
        set_item(pair, flat ? 2 * i + 1 : 1, want_score(c, result->items[i].score));
        if (!flat) set_item(reply, i, pair);
    }
    return reply;
}

static const struct value *run(struct model_context *c, struct combination k)
{
    size_t count_at = k.store ? 2 : 1;
    const struct value *error = read_inputs(c, &k, count_at);
    if (!error) error = read_options(c, &k, count_at + 1 + k.count);
    if (error) return error;
    struct model_zset *result = combine(c, &k);
    if (k.store) return store_result(c, arg(c, 1), &result->head, result->count);
    const struct value *reply;
    if (k.only_count)
        reply =
            want_integer(c, k.limit && (int64_t)result->count > k.limit ? k.limit : (int64_t)result->count);
    else
        reply = reply_of(c, result, k.scores);
    model_zset_destroy(&result->head);
    return reply;
}

static const struct value *run_zdiff(struct model_context *c)
{
    return run(c, (struct combination){.operation = DIFFERENCE});
}

static const struct value *run_zdiffstore(struct model_context *c)
{
    return run(c, (struct combination){.operation = DIFFERENCE, .store = true});
}

static const struct value *run_zinter(struct model_context *c)
{
    return run(c, (struct combination){.operation = INTERSECTION});
}

static const struct value *run_zintercard(struct model_context *c)
{
    return run(c, (struct combination){.operation = INTERSECTION, .only_count = true});
}

static const struct value *run_zinterstore(struct model_context *c)
{
    return run(c, (struct combination){.operation = INTERSECTION, .store = true});
}

static const struct value *run_zunion(struct model_context *c)
{
    return run(c, (struct combination){.operation = UNION});
}

static const struct value *run_zunionstore(struct model_context *c)
{
    return run(c, (struct combination){.operation = UNION, .store = true});
}

const struct model_row model_rows_zset_combine[] = {
    {"zdiff", -3, 0, run_zdiff},
    {"zdiffstore", -4, MODEL_TAKES_MEMORY, run_zdiffstore},
    {"zinter", -3, 0, run_zinter},
    {"zintercard", -3, 0, run_zintercard},
    {"zinterstore", -4, MODEL_TAKES_MEMORY, run_zinterstore},
    {"zunion", -3, 0, run_zunion},
    {"zunionstore", -4, MODEL_TAKES_MEMORY, run_zunionstore},
    {NULL, 0, 0, NULL},
};
