/* Deadlines of the fields of hashes: HEXPIRE and its like, and the commands that read or set fields with
 * them.
 *
 * Deadlines end at FIELD_DEADLINE_MAX. A field whose new deadline is not in the future goes at once. */
#include "sim/model_internal.h"

#define FIELD_DEADLINE_MAX ((int64_t)70368744177663)

/* What HEXPIRE answers for a field. */
enum { NO_FIELD = -2, NOT_MET = 0, SET = 1, GONE = 2 };

/* The deadline that argument i says; unit and kind as in EX, PX, EXAT, PXAT. */
static bool read_field_deadline(struct model_context *c, size_t i, bool seconds, bool absolute,
                                int64_t *deadline_ms, const struct value **error)
{
    int64_t n, base = absolute ? 0 : c->now_ms;
    if (!arg_int64(c, i, &n, error)) return false;
    if (n < 0) {
        *error = want_error(c, "ERR invalid expire time, must be >= 0");
        return false;
    }
    if ((seconds && n > FIELD_DEADLINE_MAX / 1000) || (seconds ? n * 1000 : n) > FIELD_DEADLINE_MAX - base) {
        *error = want_error(c, "ERR invalid expire time in '%s' command", c->row->name);
        return false;
    }
    *deadline_ms = (seconds ? n * 1000 : n) + base;
    return true;
}

/* FIELDS at argument i, a number, and just so many names. */
static bool read_fields(struct model_context *c, size_t i, const char *text, size_t *first,
                        const struct value **error)
{
    int64_t n;
    if (!arg_is(c, i, "FIELDS")) {
        *error = want_error(c, "ERR Mandatory argument FIELDS is missing or not at the right position");
        return false;
    }
    if (!arg_int64_in(c, i + 1, 1, INT64_MAX, text, &n, error)) return false;
    if ((uint64_t)n != argc(c) - i - 2) {
        *error = want_error(c, "ERR The `numfields` parameter must match the number of arguments");
        return false;
    }
    *first = i + 2;
    return true;
}

#define NOT_POSITIVE "ERR Number of fields must be a positive integer"

/* ---------------------------------------------------------------- HEXPIRE and its like */

struct condition {
    bool nx, xx, gt, lt;
};

static bool condition_holds(const struct condition *o, int64_t old_ms, int64_t new_ms)
{
    if (old_ms < 0) return !o->xx && !o->gt;
    return !o->nx && !(o->gt && new_ms <= old_ms) && !(o->lt && new_ms >= old_ms);
}

/* Did the server act on this field, which lingers, as if it were there? */
static bool acted_on(const struct model_context *c, size_t i)
{
    if (!c->model->options.fields_may_linger || !reply_is_array(c) || i >= c->reply->count) return false;
    return c->reply->items[i].kind == VALUE_INTEGER && c->reply->items[i].integer != NO_FIELD;
}

static int expire_field(struct model_context *c, struct model_hash *hash, struct model_field *f,
                        const struct condition *condition, int64_t deadline_ms)
{
    if (!condition_holds(condition, f->deadline_ms, deadline_ms)) return NOT_MET;
    if (deadline_ms <= c->now_ms) {
        model_hash_remove(hash, f);
        return GONE;
    }
    f->deadline_ms = deadline_ms;
    c->model->fields_expire = true;
    return SET;
}

static const struct value *expire_fields(struct model_context *c, bool seconds, bool absolute)
{
    const struct value *error = NULL;
    int64_t deadline_ms;
    size_t first;
    struct model_object *object = model_typed(c, arg(c, 1), MODEL_HASH, &error);
    if (error || !read_field_deadline(c, 2, seconds, absolute, &deadline_ms, &error)) return error;
    struct condition o = {arg_is(c, 3, "NX"), arg_is(c, 3, "XX"), arg_is(c, 3, "GT"), arg_is(c, 3, "LT")};
    bool conditional = o.nx || o.xx || o.gt || o.lt;
    if (!read_fields(c, conditional ? 4 : 3, "ERR Parameter `numFields` should be greater than 0", &first,
                     &error))
        return error;
    struct value *reply = want_array(c, argc(c) - first);
    struct model_hash *hash = object ? as_hash(object) : NULL;
    bool changed = false;
    if (hash != NULL) hash->had_deadline = true;
    for (size_t i = first; i < argc(c); i++) {
        struct model_field *f = hash ? model_hash_find(hash, arg(c, i)) : NULL;
        int result = NO_FIELD;
        if (f != NULL && (!deadline_is_over(f->deadline_ms, c->now_ms) || acted_on(c, i - first)))
            result = expire_field(c, hash, f, &o, deadline_ms);
        changed |= result == SET || result == GONE;
        set_item(reply, i - first, want_integer(c, result));
    }
    if (changed) model_hash_settle(c, arg(c, 1), hash);
    return reply;
}

static const struct value *do_hexpire(struct model_context *c)
{
    return expire_fields(c, true, false);
}

static const struct value *do_hpexpire(struct model_context *c)
{
    return expire_fields(c, false, false);
}

static const struct value *do_hexpireat(struct model_context *c)
{
    return expire_fields(c, true, true);
}

static const struct value *do_hpexpireat(struct model_context *c)
{
    return expire_fields(c, false, true);
}

/* ---------------------------------------------------------------- HTTL and its like */

static const struct value *deadline_of(struct model_context *c, const struct model_field *f, bool seconds,
                                       bool absolute)
{
    if (f == NULL) return want_integer(c, NO_FIELD);
    if (f->deadline_ms < 0) return want_integer(c, -1);
    int64_t n = f->deadline_ms - (absolute ? 0 : c->now_ms);
    const struct value *present = want_integer(c, seconds ? (n + 999) / 1000 : n);
    if (f->deadline_ms > c->now_ms) return present;
    /* In its last millisecond Redis's small encoding says that it is gone already. */
    const struct value *choices[] = {present, want_integer(c, NO_FIELD)};
    return want_one_of(c, 2, choices);
}

static const struct value *deadlines_of(struct model_context *c, bool seconds, bool absolute)
{
    const struct value *error = NULL;
    size_t first;
    struct model_object *object = model_typed(c, arg(c, 1), MODEL_HASH, &error);
    if (error || !read_fields(c, 2, NOT_POSITIVE, &first, &error)) return error;
    struct value *reply = want_array(c, argc(c) - first);
    for (size_t i = first; i < argc(c); i++) {
        struct model_field *f = object ? model_hash_get(as_hash(object), arg(c, i), c->now_ms) : NULL;
        set_item(reply, i - first, deadline_of(c, f, seconds, absolute));
    }
    return reply;
}

static const struct value *do_httl(struct model_context *c)
{
    return deadlines_of(c, true, false);
}

static const struct value *do_hpttl(struct model_context *c)
{
    return deadlines_of(c, false, false);
}

static const struct value *do_hexpiretime(struct model_context *c)
{
    return deadlines_of(c, true, true);
}

static const struct value *do_hpexpiretime(struct model_context *c)
{
    return deadlines_of(c, false, true);
}

static const struct value *do_hpersist(struct model_context *c)
{
    const struct value *error = NULL;
    size_t first;
    struct model_object *object = model_typed(c, arg(c, 1), MODEL_HASH, &error);
    if (error || !read_fields(c, 2, NOT_POSITIVE, &first, &error)) return error;
    struct value *reply = want_array(c, argc(c) - first);
    bool changed = false;
    for (size_t i = first; i < argc(c); i++) {
        struct model_field *f = object ? model_hash_get(as_hash(object), arg(c, i), c->now_ms) : NULL;
        set_item(reply, i - first, want_integer(c, f == NULL ? NO_FIELD : f->deadline_ms < 0 ? -1 : 1));
        if (f == NULL || f->deadline_ms < 0) continue;
        f->deadline_ms = -1;
        changed = true;
    }
    if (changed) model_touch(c, arg(c, 1));
    return reply;
}

/* ---------------------------------------------------------------- HGETDEL, HGETEX, HSETEX */

static const struct value *do_hgetdel(struct model_context *c)
{
    const struct value *error = NULL;
    size_t first;
    struct model_object *object = model_typed(c, arg(c, 1), MODEL_HASH, &error);
    if (error || !read_fields(c, 2, NOT_POSITIVE, &first, &error)) return error;
    struct value *reply = want_array(c, argc(c) - first);
    bool changed = false;
    for (size_t i = first; i < argc(c); i++) {
        struct model_field *f = object ? model_hash_find(as_hash(object), arg(c, i)) : NULL;
        bool live = f != NULL && !deadline_is_over(f->deadline_ms, c->now_ms);
        set_item(reply, i - first, live ? want_bulk(c, f->value) : want_null(c));
        if (f != NULL) model_hash_remove(as_hash(object), f);
        changed |= f != NULL;
    }
    if (changed) model_hash_settle(c, arg(c, 1), as_hash(object));
    return reply;
}

/* EX, PX, EXAT or PXAT in argument i. */
static bool is_deadline_word(struct model_context *c, size_t i, bool *seconds, bool *absolute)
{
    *seconds = arg_is(c, i, "EX") || arg_is(c, i, "EXAT");
    *absolute = arg_is(c, i, "EXAT") || arg_is(c, i, "PXAT");
    return *seconds || *absolute || arg_is(c, i, "PX");
}

static const struct value *do_hgetex(struct model_context *c)
{
    const struct value *error = NULL;
    struct model_object *object = model_typed(c, arg(c, 1), MODEL_HASH, &error);
    if (error) return error;
    int64_t deadline_ms = -1;
    bool seconds, absolute, persist = arg_is(c, 2, "PERSIST");
    bool timed = is_deadline_word(c, 2, &seconds, &absolute);
    size_t first;
    if (timed && !read_field_deadline(c, 3, seconds, absolute, &deadline_ms, &error)) return error;
    if (!read_fields(c, timed ? 4 : persist ? 3 : 2, NOT_POSITIVE, &first, &error)) return error;
    struct value *reply = want_array(c, argc(c) - first);
    struct model_hash *hash = object ? as_hash(object) : NULL;
    struct condition none = {0};
    bool changed = false;
    if (hash != NULL && (timed || persist)) hash->had_deadline = true;
    for (size_t i = first; i < argc(c); i++) {
        struct model_field *f = hash ? model_hash_get(hash, arg(c, i), c->now_ms) : NULL;
        set_item(reply, i - first, f ? want_bulk(c, f->value) : want_null(c));
        if (f == NULL) continue;
        if (persist && f->deadline_ms >= 0) {
            f->deadline_ms = -1;
            changed = true;
        } else if (timed) {
            expire_field(c, hash, f, &none, deadline_ms);
            changed = true;
        }
    }
    if (changed) model_hash_settle(c, arg(c, 1), hash);
    return reply;
}

struct hsetex_options {
    bool fnx, fxx, keep_ttl, timed;
    int64_t deadline_ms;
    size_t first; /* of the names */
};

static const struct value *read_hsetex_options(struct model_context *c, struct hsetex_options *o)
{
    const struct value *error = NULL;
    for (size_t i = 2; i < argc(c); i++) {
        bool seconds, absolute, timed = is_deadline_word(c, i, &seconds, &absolute);
        if (arg_is(c, i, "FIELDS")) {
            int64_t n;
            if (argc(c) - i < 4) return want_wrong_arity(c);
            if (!arg_int64_in(c, i + 1, 1, INT32_MAX, "ERR invalid number of fields", &n, &error))
                return error;
            if (argc(c) - i - 2 != 2 * (uint64_t)n) return want_wrong_arity(c);
            o->first = i + 2;
            return NULL;
        }
        if (arg_is(c, i, "FNX") || arg_is(c, i, "FXX")) {
            if (o->fnx || o->fxx)
                return want_error(c, "ERR Only one of FXX or FNX arguments can be specified");
            o->fnx = arg_is(c, i, "FNX");
            o->fxx = !o->fnx;
        } else if (timed || arg_is(c, i, "KEEPTTL")) {
            if (o->timed || o->keep_ttl)
                return want_error(c,
                                  "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified");
            o->timed = timed;
            o->keep_ttl = !timed;
            if (!timed) continue;
            if (++i >= argc(c)) return want_wrong_arity(c);
            if (!read_field_deadline(c, i, seconds, absolute, &o->deadline_ms, &error)) return error;
        } else {
            return want_error(c, "ERR unknown argument: %.*s", (int)arg(c, i).len, arg(c, i).ptr);
        }
    }
    return want_wrong_arity(c);
}

static const struct value *do_hsetex(struct model_context *c)
{
    struct hsetex_options o = {0};
    const struct value *error = read_hsetex_options(c, &o);
    if (error) return error;
    struct model_object *object = model_typed(c, arg(c, 1), MODEL_HASH, &error);
    if (error) return error;
    for (size_t i = o.first; i < argc(c) && (o.fnx || o.fxx); i += 2) {
        bool there = object != NULL && model_hash_get(as_hash(object), arg(c, i), c->now_ms) != NULL;
        if (there == o.fnx) return want_integer(c, 0);
    }
    struct model_hash *hash = model_hash_open(c, arg(c, 1), &error);
    struct condition none = {0};
    if (o.timed) hash->had_deadline = true;
    for (size_t i = o.first; i < argc(c); i += 2) {
        model_hash_put(c, hash, arg(c, i), arg(c, i + 1), o.keep_ttl);
        if (o.timed) expire_field(c, hash, model_hash_find(hash, arg(c, i)), &none, o.deadline_ms);
    }
    model_hash_settle(c, arg(c, 1), hash);
    return want_integer(c, 1);
}

const struct model_row model_rows_hash_expire[] = {
    {"hexpire", -6, 0, do_hexpire},
    {"hexpireat", -6, 0, do_hexpireat},
    {"hexpiretime", -5, 0, do_hexpiretime},
    {"hgetdel", -5, 0, do_hgetdel},
    {"hgetex", -5, 0, do_hgetex},
    {"hpersist", -5, 0, do_hpersist},
    {"hpexpire", -6, 0, do_hpexpire},
    {"hpexpireat", -6, 0, do_hpexpireat},
    {"hpexpiretime", -5, 0, do_hpexpiretime},
    {"hpttl", -5, 0, do_hpttl},
    {"hsetex", -6, MODEL_TAKES_MEMORY, do_hsetex},
    {"httl", -5, 0, do_httl},
    {0},
};
