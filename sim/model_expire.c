/* Deadlines of keys: setting, clearing and reading them. */
#include "sim/model_internal.h"

struct conditions {
    bool nx, xx, gt, lt;
};

static const struct value *read_conditions(struct model_context *c, struct conditions *o)
{
    for (size_t i = 3; i < argc(c); i++) {
        if (arg_is(c, i, "NX"))
            o->nx = true;
        else if (arg_is(c, i, "XX"))
            o->xx = true;
        else if (arg_is(c, i, "GT"))
            o->gt = true;
        else if (arg_is(c, i, "LT"))
            o->lt = true;
        else
            return want_error(c, "ERR Unsupported option %.*s", (int)arg(c, i).len, arg(c, i).ptr);
    }
    if (o->nx && (o->xx || o->gt || o->lt))
        return want_error(c, "ERR NX and XX, GT or LT options at the same time are not compatible");
    if (o->gt && o->lt) return want_error(c, "ERR GT and LT options at the same time are not compatible");
    return NULL;
}

static bool conditions_hold(const struct conditions *o, int64_t old_ms, int64_t new_ms)
{
    if (o->nx && old_ms >= 0) return false;
    if (o->xx && old_ms < 0) return false;
    /* No deadline is one that never comes. */
    if (o->gt && (old_ms < 0 || new_ms <= old_ms)) return false;
    if (o->lt && old_ms >= 0 && new_ms >= old_ms) return false;
    return true;
}

static const struct value *expire(struct model_context *c, bool seconds, bool absolute)
{
    struct conditions conditions = {0};
    const struct value *error = read_conditions(c, &conditions);
    int64_t when;
    if (error || !arg_int64(c, 2, &when, &error)) return error;
    bool overflow = seconds && __builtin_mul_overflow(when, (int64_t)1000, &when);
    if (!absolute) overflow |= __builtin_add_overflow(when, c->now_ms, &when);
    if (overflow) return want_error(c, "ERR invalid expire time in '%s' command", c->row->name);
    struct slice key = arg(c, 1);
    if (model_read(c, key) == NULL) return want_integer(c, 0);
    if (!conditions_hold(&conditions, model_deadline(c, key), when)) return want_integer(c, 0);
    if (when <= c->now_ms) {
        model_drop(c, key);
    } else {
        model_set_deadline(c, key, when);
        model_touch(c, key);
    }
    return want_integer(c, 1);
}

static const struct value *do_expire(struct model_context *c)
{
    return expire(c, true, false);
}

static const struct value *do_pexpire(struct model_context *c)
{
    return expire(c, false, false);
}

static const struct value *do_expireat(struct model_context *c)
{
    return expire(c, true, true);
}

static const struct value *do_pexpireat(struct model_context *c)
{
    return expire(c, false, true);
}

static const struct value *do_persist(struct model_context *c)
{
    if (model_read(c, arg(c, 1)) == NULL || model_deadline(c, arg(c, 1)) < 0) return want_integer(c, 0);
    model_set_deadline(c, arg(c, 1), -1);
    model_touch(c, arg(c, 1));
    return want_integer(c, 1);
}

static const struct value *read_deadline_of(struct model_context *c, bool seconds, bool absolute)
{
    if (model_read(c, arg(c, 1)) == NULL) return want_integer(c, -2);
    int64_t n = model_deadline(c, arg(c, 1));
    if (n < 0) return want_integer(c, -1);
    if (!absolute) n -= c->now_ms;
    return want_integer(c, seconds ? n / 1000 + (n % 1000 >= 500) : n); /* n + 500 may be too large */
}

static const struct value *do_ttl(struct model_context *c)
{
    return read_deadline_of(c, true, false);
}

static const struct value *do_pttl(struct model_context *c)
{
    return read_deadline_of(c, false, false);
}

static const struct value *do_expiretime(struct model_context *c)
{
    return read_deadline_of(c, true, true);
}

static const struct value *do_pexpiretime(struct model_context *c)
{
    return read_deadline_of(c, false, true);
}

const struct model_row model_rows_expire[] = {
    {"expire", -3, 0, do_expire},
    {"expireat", -3, 0, do_expireat},
    {"expiretime", 2, 0, do_expiretime},
    {"persist", 2, 0, do_persist},
    {"pexpire", -3, 0, do_pexpire},
    {"pexpireat", -3, 0, do_pexpireat},
    {"pexpiretime", 2, 0, do_pexpiretime},
    {"pttl", 2, 0, do_pttl},
    {"ttl", 2, 0, do_ttl},
    {0},
};
