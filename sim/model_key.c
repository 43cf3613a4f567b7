/* Commands about keys of any type, but those about deadlines (model_expire.c) and iteration (model_scan.c).
 */
#include "sim/model_collections.h"

#include <limits.h>

/* Redis counts a name that is given twice once (DEL) or twice (EXISTS). */
static const struct value *do_del(struct model_context *c)
{
    int64_t count = 0;
    for (size_t i = 1; i < argc(c); i++) count += model_drop(c, arg(c, i));
    return want_integer(c, count);
}

static const struct value *do_exists(struct model_context *c)
{
    int64_t count = 0;
    for (size_t i = 1; i < argc(c); i++) count += model_read(c, arg(c, i)) != NULL;
    return want_integer(c, count);
}

static const struct value *do_type(struct model_context *c)
{
    struct model_object *object = model_read(c, arg(c, 1));
    return want_simple(c, object ? model_type_ops(object->type)->name : "none");
}

/* ---------------------------------------------------------------- moving */

static void move_value(struct model_context *c, struct model_db *from, struct slice key, struct model_db *to,
                       struct slice new_key)
{
    int64_t deadline_ms;
    struct model_object *object = model_take(c, from, key, &deadline_ms);
    CHECK(object != NULL);
    model_put_in(c, to, new_key, object);
    model_slot_find(to, new_key)->deadline_ms = deadline_ms;
}

static const struct value *rename_key(struct model_context *c, bool nx)
{
    if (model_read(c, arg(c, 1)) == NULL) return want_error(c, "ERR no such key");
    bool same = slice_equal(arg(c, 1), arg(c, 2));
    if (nx && (same || model_read(c, arg(c, 2)) != NULL)) return want_integer(c, 0);
    if (!same) move_value(c, c->db, arg(c, 1), c->db, arg(c, 2));
    return nx ? want_integer(c, 1) : want_ok(c);
}

static const struct value *do_rename(struct model_context *c)
{
    return rename_key(c, false);
}

static const struct value *do_renamenx(struct model_context *c)
{
    return rename_key(c, true);
}

/* A number of a database in argument i. `text`: what to answer if it is no int. */
static bool read_database(struct model_context *c, size_t i, const char *text, struct model_db **db,
                          const struct value **error)
{
    int64_t n;
    if (!arg_int64_in(c, i, INT_MIN, INT_MAX, text, &n, error)) return false;
    if (n < 0 || n >= MODEL_DATABASES) {
        *error = want_error(c, "ERR DB index is out of range");
        return false;
    }
    *db = &c->model->dbs[n];
    return true;
}

static const struct value *do_move(struct model_context *c)
{
    const struct value *error = NULL;
    struct model_db *to;
    if (!read_database(c, 2, NULL, &to, &error)) return error;
    if (to == c->db) return want_error(c, "ERR source and destination objects are the same");
    struct slice key = arg(c, 1);
    if (model_read(c, key) == NULL || model_read_in(c, to, key) != NULL) return want_integer(c, 0);
    move_value(c, c->db, key, to, key);
    return want_integer(c, 1);
}

static const struct value *do_copy(struct model_context *c)
{
    const struct value *error = NULL;
    struct model_db *to = c->db;
    bool replace = false;
    for (size_t i = 3; i < argc(c); i++) {
        if (arg_is(c, i, "REPLACE")) {
            replace = true;
        } else if (arg_is(c, i, "DB") && i + 1 < argc(c)) {
            if (!read_database(c, ++i, NULL, &to, &error)) return error;
        } else {
            return want_syntax_error(c);
        }
    }
    if (to == c->db && slice_equal(arg(c, 1), arg(c, 2)))
        return want_error(c, "ERR source and destination objects are the same");
    struct model_object *object = model_read(c, arg(c, 1));
    if (object == NULL) return want_integer(c, 0);
    if (model_read_in(c, to, arg(c, 2)) != NULL && !replace) return want_integer(c, 0);
    int64_t deadline_ms = model_deadline(c, arg(c, 1));
    model_put_in(c, to, arg(c, 2), model_type_ops(object->type)->copy(object));
    model_slot_find(to, arg(c, 2))->deadline_ms = deadline_ms;
    return want_integer(c, 1);
}

/* ---------------------------------------------------------------- whole databases */

static void empty(struct model_context *c, struct model_db *db)
{
    for (size_t i = 0; i < db->count; i++) {
        /* What had expired before is no change now. */
        model_slot_expire(c->model, db->slots[i], c->now_ms);
        model_slot_clear(c->model, db->slots[i]);
        db->slots[i]->ghost = false;
    }
}

static const struct value *flush(struct model_context *c, bool all)
{
    if (argc(c) > 2 || (argc(c) == 2 && !arg_is(c, 1, "SYNC") && !arg_is(c, 1, "ASYNC")))
        return want_syntax_error(c);
    for (int d = 0; d < MODEL_DATABASES; d++)
        if (all || d == c->call->db) empty(c, &c->model->dbs[d]);
    return want_ok(c);
}

static const struct value *do_flushdb(struct model_context *c)
{
    return flush(c, false);
}

static const struct value *do_flushall(struct model_context *c)
{
    return flush(c, true);
}

/* Swaps what the slots hold; tokens stay with the database, and change where a key is or was. */
static void swap_slots(struct model_context *c, struct model_slot *a, struct model_slot *b)
{
    model_slot_expire(c->model, a, c->now_ms);
    model_slot_expire(c->model, b, c->now_ms);
    bool touched = a->object != NULL || b->object != NULL;
    struct model_slot old = *a;
    a->object = b->object;
    a->deadline_ms = b->deadline_ms;
    a->ghost = b->ghost;
    a->ghost_deadline_ms = b->ghost_deadline_ms;
    b->object = old.object;
    b->deadline_ms = old.deadline_ms;
    b->ghost = old.ghost;
    b->ghost_deadline_ms = old.ghost_deadline_ms;
    if (!touched) return;
    a->token = ++c->model->changes;
    b->token = ++c->model->changes;
}

static const struct value *do_swapdb(struct model_context *c)
{
    const struct value *error = NULL, *ignored = NULL;
    struct model_db *a, *b;
    int64_t n;
    /* Both must be numbers before either is looked at. */
    if (!arg_int64_in(c, 1, INT_MIN, INT_MAX, "ERR invalid first DB index", &n, &error) ||
        !arg_int64_in(c, 2, INT_MIN, INT_MAX, "ERR invalid second DB index", &n, &error))
        return error;
    if (!read_database(c, 1, NULL, &a, &ignored) || !read_database(c, 2, NULL, &b, &ignored))
        return want_error(c, "ERR DB index is out of range");
    if (a == b) return want_ok(c);
    for (size_t i = 0; i < a->count; i++) model_slot(b, a->slots[i]->key);
    for (size_t i = 0; i < b->count; i++) model_slot(a, b->slots[i]->key);
    CHECK(a->count == b->count);
    if (a->scans != NULL) scan_watches_free(a->scans);
    if (b->scans != NULL) scan_watches_free(b->scans);
    for (size_t i = 0; i < a->count; i++) swap_slots(c, a->slots[i], b->slots[i]);
    return want_ok(c);
}

/* ---------------------------------------------------------------- OBJECT */

static const struct value *do_object(struct model_context *c)
{
    return want_wrong_arity(c);
}

static const struct value *do_object_encoding(struct model_context *c)
{
    struct model_object *object = model_read(c, arg(c, 2));
    if (object == NULL) return want_null(c);
    const char *names[4] = {NULL};
    const struct value *choices[4];
    size_t count = 0;
    model_type_ops(object->type)->encodings(c->model, object, names);
    while (count < 4 && names[count] != NULL) {
        choices[count] = want_text(c, names[count]);
        count++;
    }
    CHECK(count > 0);
    return want_one_of(c, count, choices);
}

static const struct value *do_object_number(struct model_context *c)
{
    return model_read(c, arg(c, 2)) ? want_between(c, 0, INT64_MAX) : want_null(c);
}

/* Depends on the policy of eviction, which the model does not know. */
static const struct value *do_object_by_policy(struct model_context *c)
{
    if (model_read(c, arg(c, 2)) == NULL) return want_null(c);
    struct value *error = (struct value *)want_error(c, "ERR An LFU maxmemory policy is ");
    error->rule = VALUE_PREFIX;
    const struct value *choices[] = {want_between(c, 0, INT64_MAX), error};
    return want_one_of(c, 2, choices);
}

static const struct value *do_object_help(struct model_context *c)
{
    return want_any(c, VALUE_ARRAY);
}

/* ---------------------------------------------------------------- DUMP and RESTORE */

/* Not interpreted: what DUMP said is remembered with a copy of the value, and RESTORE of it makes that value.
 */
static const struct value *do_dump(struct model_context *c)
{
    struct model_object *object = model_read(c, arg(c, 1));
    if (object == NULL) return want_null(c);
    if (c->reply == NULL || c->reply->kind != VALUE_BULK) return want_any(c, VALUE_BULK);
    struct model_payload *payload = &c->model->payloads[c->model->payload_next];
    c->model->payload_next = (c->model->payload_next + 1) % MODEL_PAYLOADS;
    if (payload->object != NULL) {
        model_type_ops(payload->object->type)->destroy(payload->object);
        bytes_free(payload->bytes);
    }
    *payload = (struct model_payload){bytes_copy(c->reply->text), model_type_ops(object->type)->copy(object)};
    return want_accepted(c);
}

/* The value that DUMP described so, newest first. */
static const struct model_object *find_payload(struct model_context *c, struct slice bytes)
{
    for (size_t n = 1; n <= MODEL_PAYLOADS; n++) {
        struct model_payload *payload =
            &c->model->payloads[(c->model->payload_next + MODEL_PAYLOADS - n) % MODEL_PAYLOADS];
        if (payload->object != NULL && slice_equal(payload->bytes, bytes)) return payload->object;
    }
    return NULL;
}

struct restore_options {
    bool replace, absolute;
    bool has_idle, has_freq;
};

static const struct value *read_restore_options(struct model_context *c, struct restore_options *o)
{
    const struct value *error = NULL;
    int64_t n;
    for (size_t i = 4; i < argc(c); i++) {
        bool more = i + 1 < argc(c);
        if (arg_is(c, i, "REPLACE")) {
            o->replace = true;
        } else if (arg_is(c, i, "ABSTTL")) {
            o->absolute = true;
        } else if (arg_is(c, i, "IDLETIME") && more && !o->has_freq) {
            if (!arg_int64(c, ++i, &n, &error)) return error;
            if (n < 0) return want_error(c, "ERR Invalid IDLETIME value, must be >= 0");
            o->has_idle = true;
        } else if (arg_is(c, i, "FREQ") && more && !o->has_idle) {
            if (!arg_int64(c, ++i, &n, &error)) return error;
            if (n < 0 || n > 255) return want_error(c, "ERR Invalid FREQ value, must be >= 0 and <= 255");
            o->has_freq = true;
        } else {
            return want_syntax_error(c);
        }
    }
    return NULL;
}

static const struct value *do_restore(struct model_context *c)
{
    struct restore_options o = {0};
    const struct value *error = read_restore_options(c, &o);
    if (error) return error;
    struct slice key = arg(c, 1);
    if (!o.replace && model_read(c, key) != NULL)
        return want_error(c, "BUSYKEY Target key name already exists.");
    int64_t ttl_ms;
    if (!arg_int64(c, 2, &ttl_ms, &error)) return error;
    if (ttl_ms < 0) return want_error(c, "ERR Invalid TTL value, must be >= 0");
    const struct model_object *object = find_payload(c, arg(c, 3));
    if (object == NULL) {
        if (c->reply != NULL && c->reply->kind == VALUE_SIMPLE)
            return model_refuse(c, "which DUMP did not say (or long ago): the model does not read payloads");
        const struct value *choices[] = {want_error(c, "ERR DUMP payload version or checksum are wrong"),
                                         want_error(c, "ERR Bad data format")};
        return want_one_of(c, 2, choices);
    }
    int64_t deadline_ms = o.absolute ? ttl_ms : (int64_t)((uint64_t)ttl_ms + (uint64_t)c->now_ms);
    if (ttl_ms > 0 && deadline_ms <= c->now_ms) {
        model_drop(c, key);
        return want_ok(c);
    }
    struct model_object *copy = model_type_ops(object->type)->copy(object);
    if (copy->type == MODEL_LIST) model_list_loaded(c->model, as_list(copy));
    model_put(c, key, copy);
    if (ttl_ms > 0) model_set_deadline(c, key, deadline_ms);
    return want_ok(c);
}

const struct model_row model_rows_key[] = {
    {"copy", -3, MODEL_TAKES_MEMORY, do_copy},
    {"del", -2, 0, do_del},
    {"dump", 2, 0, do_dump},
    {"exists", -2, 0, do_exists},
    {"flushall", -1, 0, do_flushall},
    {"flushdb", -1, 0, do_flushdb},
    {"move", 3, MODEL_TAKES_MEMORY, do_move},
    {"object", -2, MODEL_CONTAINER, do_object},
    {"object|encoding", 3, 0, do_object_encoding},
    {"object|freq", 3, 0, do_object_by_policy},
    {"object|help", 2, 0, do_object_help},
    {"object|idletime", 3, 0, do_object_by_policy},
    {"object|refcount", 3, 0, do_object_number},
    {"rename", 3, 0, do_rename},
    {"renamenx", 3, 0, do_renamenx},
    {"restore", -4, MODEL_TAKES_MEMORY, do_restore},
    {"swapdb", 3, 0, do_swapdb},
    {"touch", -2, 0, do_exists},
    {"type", 2, 0, do_type},
    {"unlink", -2, 0, do_del},
    {0},
};
