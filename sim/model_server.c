/* Commands about connections and the server that run as commands: mostly only the shape of their replies is
 * judged. */
#include "sim/model_collections.h"

#include <limits.h>

static const struct value *do_ping(struct model_context *c)
{
    if (argc(c) > 2) return want_wrong_arity(c);
    return argc(c) == 2 ? want_bulk(c, arg(c, 1)) : want_simple(c, "PONG");
}

static const struct value *do_echo(struct model_context *c)
{
    return want_bulk(c, arg(c, 1));
}

static const struct value *do_select(struct model_context *c)
{
    const struct value *error = NULL;
    int64_t n;
    if (!arg_int64_in(c, 1, INT_MIN, INT_MAX, NULL, &n, &error)) return error;
    return n < 0 || n >= MODEL_DATABASES ? want_error(c, "ERR DB index is out of range") : want_ok(c);
}

/* Seconds and microseconds, as text. The clock is the server's. */
static const struct value *do_time(struct model_context *c)
{
    if (!reply_is_array(c) || c->reply->count != 2) return model_refuse(c, "wanted two numbers");
    int64_t n[2];
    for (int i = 0; i < 2; i++) {
        const struct value *item = &c->reply->items[i];
        if (item->kind != VALUE_BULK || !read_int64(item->text, &n[i]) || n[i] < 0)
            return model_refuse(c, "wanted two numbers");
    }
    if (n[1] > 999999) return model_refuse(c, "so many microseconds are more than a second");
    return want_accepted(c);
}

/* ---------------------------------------------------------------- transactions: the session judges the rest
 */

static const struct value *do_multi(struct model_context *c)
{
    const struct value *choices[] = {want_ok(c), want_error(c, "ERR MULTI calls can not be nested")};
    return want_one_of(c, 2, choices);
}

static const struct value *do_discard(struct model_context *c)
{
    const struct value *choices[] = {want_ok(c), want_error(c, "ERR DISCARD without MULTI")};
    return want_one_of(c, 2, choices);
}

static const struct value *do_exec(struct model_context *c)
{
    const struct value *choices[] = {
        want_any(c, VALUE_ARRAY), want_null_array(c), want_error(c, "ERR EXEC without MULTI"),
        want_error(c, "EXECABORT Transaction discarded because of previous errors.")};
    return want_one_of(c, 4, choices);
}

static const struct value *do_watch(struct model_context *c)
{
    const struct value *choices[] = {want_ok(c), want_error(c, "ERR WATCH inside MULTI is not allowed")};
    return want_one_of(c, 2, choices);
}

static const struct value *do_ok(struct model_context *c)
{
    return want_ok(c);
}

/* ---------------------------------------------------------------- only the shape */

static const struct value *any_error(struct model_context *c)
{
    return want_any(c, VALUE_ERROR);
}

static const struct value *want_kind_or_error(struct model_context *c, enum value_kind kind)
{
    const struct value *choices[] = {want_any(c, kind), any_error(c)};
    return want_one_of(c, 2, choices);
}

static const struct value *do_text(struct model_context *c)
{
    return want_kind_or_error(c, VALUE_VERBATIM);
}

static const struct value *do_map(struct model_context *c)
{
    return want_kind_or_error(c, c->resp == 3 ? VALUE_MAP : VALUE_ARRAY);
}

static const struct value *do_array(struct model_context *c)
{
    return want_kind_or_error(c, VALUE_ARRAY);
}

static const struct value *do_integer(struct model_context *c)
{
    const struct value *choices[] = {want_between(c, 0, INT64_MAX), any_error(c)};
    return want_one_of(c, 2, choices);
}

static const struct value *do_any(struct model_context *c)
{
    return want_anything(c);
}

static const struct value *do_ok_or_error(struct model_context *c)
{
    const struct value *choices[] = {want_ok(c), any_error(c)};
    return want_one_of(c, 2, choices);
}

static const struct value *do_client_getname(struct model_context *c)
{
    const struct value *choices[] = {want_any(c, VALUE_BULK), want_null(c)};
    return want_one_of(c, 2, choices);
}

/* By then the connection may speak the version that HELLO asked for. */
static const struct value *do_hello(struct model_context *c)
{
    if (c->reply == NULL) return want_anything(c);
    bool good = c->reply->kind == VALUE_ERROR || (c->resp == 3 && c->reply->kind == VALUE_MAP) ||
                (c->resp == 2 && c->reply->kind == VALUE_ARRAY);
    if (good && c->reply->kind != VALUE_ERROR) good = c->reply->count >= 14 && c->reply->count % 2 == 0;
    return good ? want_accepted(c) : model_refuse(c, "wanted an error or a map of what the server is");
}

static const struct value *do_reset(struct model_context *c)
{
    return want_simple(c, "RESET");
}

static const struct value *do_container(struct model_context *c)
{
    return want_wrong_arity(c);
}

/* COMMAND alone lists all of them. */
static const struct value *do_command(struct model_context *c)
{
    return want_any(c, VALUE_ARRAY);
}

/* Texts that a value holds: how many, and the bytes of all; numbers may be kept shorter than they are written. */
struct payload {
    int64_t count, bytes, least_bytes;
};

static void payload_add(struct payload *p, struct slice text)
{
    int64_t number;
    p->count++;
    p->bytes += (int64_t)text.len;
    p->least_bytes += read_int64(text, &number) ? 0 : (int64_t)text.len;
}

static struct payload payload_of(const struct model_object *object)
{
    struct payload p = {0};
    switch (object->type) {
    case MODEL_STRING: payload_add(&p, ((const struct model_string *)object)->bytes); break;
    case MODEL_LIST: {
        const struct model_list *list = (const struct model_list *)object;
        for (size_t i = 0; i < list->items.count; i++) payload_add(&p, list->items.at[i]);
        break;
    }
    case MODEL_SET: {
        const struct model_set *set = (const struct model_set *)object;
        for (size_t i = 0; i < set->members.count; i++) payload_add(&p, set->members.at[i]);
        break;
    }
    case MODEL_ZSET: {
        const struct model_zset *zset = (const struct model_zset *)object;
        for (size_t i = 0; i < zset->count; i++) payload_add(&p, zset->items[i].member);
        break;
    }
    case MODEL_HASH: {
        const struct model_hash *hash = (const struct model_hash *)object;
        for (size_t i = 0; i < hash->count; i++) {
            payload_add(&p, hash->fields[i].name);
            payload_add(&p, hash->fields[i].value);
        }
        break;
    }
    default: p.bytes = -1; /* of a stream nobody knows what a trim has left */
    }
    return p;
}

/* What a value takes is at least what it holds (but for fields that are dead, which may have gone), and not many
 * times as much. */
static const struct value *do_memory_usage(struct model_context *c)
{
    if (c->reply != NULL && c->reply->kind == VALUE_ERROR) return any_error(c);
    const struct model_object *object = model_read(c, arg(c, 2));
    if (object == NULL) return want_null(c);
    struct payload p = payload_of(object);
    if (p.bytes < 0) return want_between(c, 1, INT64_MAX);
    bool dead = object->type == MODEL_HASH &&
                model_hash_live((const struct model_hash *)object, c->now_ms) < ((const struct model_hash *)object)->count;
    return want_between(c, dead ? 1 : p.least_bytes, 65536 + 8 * p.bytes + 256 * p.count);
}

/* Limits of the small encodings are the model's, too, when a tape says them. */
static const struct value *do_config_set(struct model_context *c)
{
    struct model_options *o = &c->model->options;
    for (size_t i = 2; i + 1 < argc(c) && c->reply != NULL && !value_is_error(c->reply); i += 2) {
        int64_t n;
        if (!read_int64(arg(c, i + 1), &n)) continue;
        if (arg_is(c, i, "set-max-intset-entries")) o->set_ints_max = (size_t)n;
        if (arg_is(c, i, "list-max-listpack-size")) o->list_entries_max = n > 0 ? (size_t)n : 0;
    }
    return do_ok_or_error(c);
}

/* RELOAD chooses encodings anew. */
static const struct value *do_debug(struct model_context *c)
{
    bool reloads = arg_is(c, 1, "RELOAD") && c->reply != NULL && !value_is_error(c->reply);
    for (int d = 0; d < MODEL_DATABASES && reloads; d++)
        for (size_t i = 0; i < c->model->dbs[d].count; i++) {
            struct model_object *object = c->model->dbs[d].slots[i]->object;
            if (object != NULL && object->type == MODEL_LIST) model_list_loaded(c->model, as_list(object));
        }
    return do_any(c);
}

const struct model_row model_rows_server[] = {
    {"client", -2, MODEL_CONTAINER, do_container},
    {"client|getname", 2, 0, do_client_getname},
    {"client|id", 2, 0, do_integer},
    {"client|info", 2, 0, do_text},
    {"client|list", -2, 0, do_text},
    {"client|no-evict", 3, 0, do_ok_or_error},
    {"client|no-touch", 3, 0, do_ok_or_error},
    {"client|setinfo", 4, 0, do_ok_or_error},
    {"client|setname", 3, 0, do_ok_or_error},
    {"command", -1, MODEL_CONTAINER, do_command},
    {"command|count", 2, 0, do_integer},
    {"command|getkeys", -3, 0, do_array},
    {"command|getkeysandflags", -3, 0, do_array},
    {"command|info", -2, 0, do_array},
    {"command|list", -2, 0, do_array},
    {"config", -2, MODEL_CONTAINER, do_container},
    {"config|get", -3, 0, do_map},
    {"config|resetstat", 2, 0, do_ok},
    {"config|set", -4, 0, do_config_set},
    {"debug", -2, 0, do_debug},
    {"discard", 1, 0, do_discard},
    {"echo", 2, 0, do_echo},
    {"exec", 1, 0, do_exec},
    {"hello", -1, 0, do_hello},
    {"info", -1, 0, do_text},
    {"lastsave", 1, 0, do_integer},
    {"latency", -2, MODEL_CONTAINER, do_container},
    {"latency|doctor", 2, 0, do_text},
    {"latency|graph", 3, 0, do_text},
    {"latency|histogram", -2, 0, do_map},
    {"latency|history", 3, 0, do_array},
    {"latency|latest", 2, 0, do_array},
    {"latency|reset", -2, 0, do_integer},
    {"lolwut", -1, 0, do_text},
    {"memory", -2, MODEL_CONTAINER, do_container},
    {"memory|doctor", 2, 0, do_text},
    {"memory|malloc-stats", 2, 0, do_text},
    {"memory|purge", 2, 0, do_ok},
    {"memory|stats", 2, 0, do_map},
    {"memory|usage", -3, 0, do_memory_usage},
    {"multi", 1, 0, do_multi},
    {"ping", -1, 0, do_ping},
    {"reset", 1, 0, do_reset},
    {"role", 1, 0, do_array},
    {"select", 2, 0, do_select},
    {"slowlog", -2, MODEL_CONTAINER, do_container},
    {"slowlog|get", -2, 0, do_array},
    {"slowlog|len", 2, 0, do_integer},
    {"slowlog|reset", 2, 0, do_ok},
    {"time", 1, 0, do_time},
    {"unwatch", 1, 0, do_ok},
    {"watch", -2, 0, do_watch},
    {0},
};
