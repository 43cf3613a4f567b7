/* Sets of the model, one by one: SADD SCARD SISMEMBER SMEMBERS SMISMEMBER SMOVE SPOP SRANDMEMBER SREM SSCAN.
 * (Those that combine sets are in model_set_algebra.c.) A set is an array sorted by bytes; an empty one does
 * not exist.
 *
 * Which members SPOP and SRANDMEMBER name, and the order of SMEMBERS, is the server's choice: it is judged,
 * and what SPOP took is taken here, too. */
#include "sim/model_collections.h"

#include <stdlib.h>

/* ---------------------------------------------------------------- the value */

struct model_object *model_set_create(void)
{
    struct model_set *set = calloc(1, sizeof(*set));
    CHECK(set != NULL);
    set->head.type = MODEL_SET;
    return &set->head;
}

void model_set_destroy(struct model_object *object)
{
    texts_free(&as_set(object)->members);
    scan_watches_free(&as_set(object)->scans);
    free(object);
}

struct model_object *model_set_copy(const struct model_object *object)
{
    const struct model_set *from = (const struct model_set *)object;
    struct model_set *to = as_set(model_set_create());
    to->head = from->head;
    to->words = from->words;
    texts_copy(&to->members, &from->members);
    scan_watches_copy(&to->scans, &from->scans);
    return &to->head;
}

static bool is_integer(struct slice member)
{
    int64_t number;
    return read_int64(member, &number);
}

/* The smallest encoding that the members allow: 0 intset, 1 listpack, 2 hashtable. */
static int smallest_encoding(const struct model *model, const struct model_set *set)
{
    bool integers = true, small = set->members.count <= model->options.set_entries_max;
    for (size_t i = 0; i < set->members.count; i++) {
        integers &= is_integer(set->members.at[i]);
        small &= set->members.at[i].len <= model->options.set_value_max;
    }
    if (integers && set->members.count <= model->options.set_ints_max) return 0;
    return small ? 1 : 2;
}

void model_set_encodings(const struct model *model, const struct model_object *object, const char *names[4])
{
    static const char *const all[] = {"intset", "listpack", "hashtable"};
    const struct model_set *set = (const struct model_set *)object;
    int smallest = smallest_encoding(model, set);
    size_t n = 0;
    names[n++] = all[smallest];
    if (smallest == 0 && set->words && set->members.count <= model->options.set_entries_max)
        names[n++] = all[1];
    if (smallest < 2 && set->head.big) names[n++] = all[2];
    names[n] = NULL;
}

void model_set_print(const struct model_object *object, FILE *out)
{
    const struct model_set *set = (const struct model_set *)object;
    char text[256];
    fprintf(out, "%zu:", set->members.count);
    for (size_t i = 0; i < set->members.count; i++)
        fprintf(out, " %s", value_print_bytes(set->members.at[i], 40, text, sizeof(text)));
}

bool model_set_has(const struct model_set *set, struct slice member)
{
    bool found;
    texts_find(&set->members, member, &found);
    return found;
}

bool model_set_add(const struct model *model, struct model_set *set, struct slice member)
{
    bool found;
    size_t at = texts_find(&set->members, member, &found);
    if (found) return false;
    texts_insert(&set->members, at, member);
    bool integer = is_integer(member);
    set->words |= !integer;
    if (member.len > model->options.set_value_max && !integer) set->head.big = true;
    if (set->members.count > (set->words ? model->options.set_entries_max : model->options.set_ints_max))
        set->head.big = true;
    return true;
}

bool model_set_remove(struct model_set *set, struct slice member)
{
    bool found;
    size_t at = texts_find(&set->members, member, &found);
    if (!found) return false;
    texts_remove(&set->members, at);
    scan_watches_forget(&set->scans, member);
    return true;
}

/* ---------------------------------------------------------------- commands */

static struct model_set *set_at(struct model_context *c, struct slice key, const struct value **error)
{
    struct model_object *object = model_typed(c, key, MODEL_SET, error);
    return object ? as_set(object) : NULL;
}

static const struct value *run_sadd(struct model_context *c)
{
    const struct value *error = NULL;
    struct model_set *set = set_at(c, arg(c, 1), &error);
    if (error) return error;
    if (!set) {
        set = as_set(model_set_create());
        model_put(c, arg(c, 1), &set->head);
    }
    size_t named = argc(c) - 2;
    int64_t added = 0;
    for (size_t i = 2; i < argc(c); i++) added += model_set_add(c->model, set, arg(c, i));
    /* Redis chooses the encoding by how many words there are, even if they are the same. */
    if (named > (set->words ? c->model->options.set_entries_max : c->model->options.set_ints_max))
        set->head.big = true;
    if (added) model_touch(c, arg(c, 1));
    return want_integer(c, added);
}

static const struct value *run_srem(struct model_context *c)
{
    const struct value *error = NULL;
    struct model_set *set = set_at(c, arg(c, 1), &error);
    if (error) return error;
    int64_t removed = 0;
    for (size_t i = 2; set && i < argc(c); i++) removed += model_set_remove(set, arg(c, i));
    if (removed) settle_emptied(c, arg(c, 1), set->members.count == 0);
    return want_integer(c, removed);
}

static const struct value *run_smove(struct model_context *c)
{
    const struct value *error = NULL;
    struct model_object *source = model_read(c, arg(c, 1));
    if (!source) return want_integer(c, 0);
    if (source->type != MODEL_SET) return want_wrong_type(c);
    struct model_set *from = as_set(source), *to = set_at(c, arg(c, 2), &error);
    if (error) return error;
    if (from == to || !model_set_has(from, arg(c, 3))) return want_integer(c, model_set_has(from, arg(c, 3)));
    model_set_remove(from, arg(c, 3));
    if (!to) {
        to = as_set(model_set_create());
        model_put(c, arg(c, 2), &to->head);
    }
    settle_emptied(c, arg(c, 1), from->members.count == 0);
    if (model_set_add(c->model, to, arg(c, 3))) model_touch(c, arg(c, 2));
    return want_integer(c, 1);
}

static const struct value *run_scard(struct model_context *c)
{
    const struct value *error = NULL;
    struct model_set *set = set_at(c, arg(c, 1), &error);
    if (error) return error;
    return want_integer(c, set ? (int64_t)set->members.count : 0);
}

static const struct value *run_sismember(struct model_context *c)
{
    const struct value *error = NULL;
    struct model_set *set = set_at(c, arg(c, 1), &error);
    if (error) return error;
    return want_integer(c, set && model_set_has(set, arg(c, 2)));
}

static const struct value *run_smismember(struct model_context *c)
{
    const struct value *error = NULL;
    struct model_set *set = set_at(c, arg(c, 1), &error);
    if (error) return error;
    struct value *reply = want_array(c, argc(c) - 2);
    for (size_t i = 2; i < argc(c); i++)
        set_item(reply, i - 2, want_integer(c, set && model_set_has(set, arg(c, i))));
    return reply;
}

static const struct value *run_smembers(struct model_context *c)
{
    const struct value *error = NULL;
    struct model_set *set = set_at(c, arg(c, 1), &error);
    if (error) return error;
    return reply_members(c, set ? set->members.at : NULL, set ? set->members.count : 0);
}

/* ---------------------------------------------------------------- the server's choice */

/* A single member in the reply; the refusal if it is none. */
static const struct value *refuse_member(struct model_context *c, const struct model_set *set)
{
    if (!c->reply) return model_refuse(c, "only the reply tells which member it was");
    if (c->reply->kind != VALUE_BULK) return model_refuse(c, "wanted a member as a bulk");
    if (!model_set_has(set, c->reply->text)) return model_refuse(c, "which is no member");
    return NULL;
}

static const struct value *pop_many(struct model_context *c)
{
    const struct value *error = NULL;
    int64_t count;
    if (!arg_int64_in(c, 2, 0, INT64_MAX, "ERR value is out of range, must be positive", &count, &error))
        return error;
    struct model_set *set = set_at(c, arg(c, 1), &error);
    if (error) return error;
    if (!set || count == 0) return want_set(c, 0);
    size_t many = (uint64_t)count < set->members.count ? (size_t)count : set->members.count;
    if (many < set->members.count && !c->reply)
        return model_refuse(c, "only the reply tells which members they were");
    if (c->reply && !reply_is_set(c)) return model_refuse(c, "wanted a set of %zu members", many);
    const char *why =
        c->reply ? judge_some(c, c->reply, set->members.at, set->members.count, many, false) : NULL;
    if (why) return model_refuse(c, "%s", why);
    if (many < set->members.count) {
        for (size_t i = 0; i < many; i++) model_set_remove(set, c->reply->items[i].text);
        model_touch(c, arg(c, 1));
    } else {
        model_drop(c, arg(c, 1));
    }
    return want_accepted(c);
}

static const struct value *run_spop(struct model_context *c)
{
    const struct value *error = NULL;
    if (argc(c) > 3) return want_syntax_error(c);
    if (argc(c) == 3) return pop_many(c);
    struct model_set *set = set_at(c, arg(c, 1), &error);
    if (error) return error;
    if (!set) return want_null(c);
    const struct value *refusal = refuse_member(c, set);
    if (refusal) return refusal;
    model_set_remove(set, c->reply->text);
    settle_emptied(c, arg(c, 1), set->members.count == 0);
    return want_accepted(c);
}

static const struct value *run_srandmember(struct model_context *c)
{
    const struct value *error = NULL;
    int64_t count = 0;
    if (argc(c) > 3) return want_syntax_error(c);
    if (argc(c) == 3 && !arg_int64_in(c, 2, -INT64_MAX, INT64_MAX, NULL, &count, &error)) return error;
    struct model_set *set = set_at(c, arg(c, 1), &error);
    if (error) return error;
    if (argc(c) == 2) {
        if (!set) return want_null(c);
        const struct value *refusal = c->reply ? refuse_member(c, set) : NULL;
        return refusal ? refusal : want_accepted(c);
    }
    if (!set || count == 0) return want_array(c, 0);
    if (!c->reply) return want_accepted(c);
    size_t many = (size_t)llabs(count);
    if (count > 0 && many > set->members.count) many = set->members.count;
    if (!reply_is_array(c)) return model_refuse(c, "wanted an array of %zu members", many);
    const char *why = judge_some(c, c->reply, set->members.at, set->members.count, many, count < 0);
    return why ? model_refuse(c, "%s", why) : want_accepted(c);
}

static const struct value *run_sscan(struct model_context *c)
{
    struct scan_options options;
    struct model_object *object;
    const struct value *reply;
    if (!read_element_scan(c, MODEL_SET, &options, &object, &reply)) return reply;
    struct model_set *set = as_set(object);
    return judge_element_scan(c, &set->scans, &options, set->members.at, NULL, set->members.count);
}

const struct model_row model_rows_set[] = {
    {"sadd", -3, MODEL_TAKES_MEMORY, run_sadd},
    {"scard", 2, 0, run_scard},
    {"sismember", 3, 0, run_sismember},
    {"smembers", 2, 0, run_smembers},
    {"smismember", -3, 0, run_smismember},
    {"smove", 4, 0, run_smove},
    {"spop", -2, 0, run_spop},
    {"srandmember", -2, 0, run_srandmember},
    {"srem", -3, 0, run_srem},
    {"sscan", -3, 0, run_sscan},
    {NULL, 0, 0, NULL},
};
