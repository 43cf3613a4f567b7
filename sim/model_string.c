/* Strings: the type, and the commands of its family. See model_internal.h; bits are in model_bits.c. */
#include "sim/model_internal.h"

#include <math.h>
#include <stdlib.h>

/* ---------------------------------------------------------------- the type */

struct model_object *model_string_create(struct slice bytes)
{
    struct model_string *s = malloc(sizeof(*s));
    CHECK(s != NULL);
    *s = (struct model_string){.head = {.type = MODEL_STRING}, .bytes = bytes_copy(bytes)};
    return &s->head;
}

void model_string_destroy(struct model_object *object)
{
    bytes_free(as_string(object)->bytes);
    free(object);
}

struct model_object *model_string_copy(const struct model_object *object)
{
    const struct model_string *from = (const struct model_string *)object;
    struct model_object *copy = model_string_create(from->bytes);
    as_string(copy)->raw = from->raw;
    return copy;
}

void model_string_encodings(const struct model *model, const struct model_object *object,
                            const char *names[4])
{
    const struct model_string *s = (const struct model_string *)object;
    int64_t n;
    *names++ = read_int64(s->bytes, &n) ? "int" : s->bytes.len <= 44 ? "embstr" : "raw";
    if (s->raw) {
        *names++ = "raw";
        *names++ = "embstr";
    }
    *names = NULL;
}

void model_string_print(const struct model_object *object, FILE *out)
{
    char shown[600];
    fputs(value_print_bytes(((const struct model_string *)object)->bytes, 200, shown, sizeof(shown)), out);
}

/* ---------------------------------------------------------------- GET and SET */

static const struct value *do_get(struct model_context *c)
{
    const struct value *error = NULL;
    struct model_object *object = model_typed(c, arg(c, 1), MODEL_STRING, &error);
    if (error) return error;
    return object ? want_bulk(c, as_string(object)->bytes) : want_null(c);
}

/* A time option of SET or GETEX. */
struct deadline_option {
    const char *word; /* NULL: none given */
    size_t at;        /* the argument with the time */
};

bool read_deadline(struct model_context *c, size_t i, const char *unit, int64_t *deadline_ms,
                   const struct value **error)
{
    int64_t n;
    if (!arg_int64(c, i, &n, error)) return false;
    bool seconds = strncmp(unit, "EX", 2) == 0;
    bool absolute = strlen(unit) == 4;
    bool overflow = n <= 0 || (seconds && n > INT64_MAX / 1000);
    if (!overflow) {
        if (seconds) n *= 1000;
        overflow = !absolute && __builtin_add_overflow(n, c->now_ms, &n);
    }
    if (overflow) {
        *error = want_error(c, "ERR invalid expire time in '%s' command", c->row->name);
        return false;
    }
    *deadline_ms = n;
    return true;
}

/* Takes one of EX, PX, EXAT, PXAT with its number at *i if it may come here. */
static bool take_deadline_option(struct model_context *c, size_t *i, bool others,
                                 struct deadline_option *option)
{
    static const char *const words[] = {"EX", "PX", "EXAT", "PXAT"};
    for (size_t w = 0; w < ARRAY_LEN(words); w++) {
        if (!arg_is(c, *i, words[w])) continue;
        /* The same word twice is let through; two different ones are not. */
        if (others || *i + 1 >= argc(c) || (option->word != NULL && option->word != words[w])) return false;
        *option = (struct deadline_option){words[w], *i + 1};
        ++*i;
        return true;
    }
    return false;
}

static const struct value *set_generic(struct model_context *c, struct slice value, bool nx, bool xx,
                                       bool get, bool keep_ttl, int64_t deadline_ms, const struct value *done,
                                       const struct value *not_done)
{
    struct slice key = arg(c, 1);
    if (get) {
        done = not_done = do_get(c);
        if (done->kind == VALUE_ERROR) return done;
    }
    bool found = model_read(c, key) != NULL;
    if ((nx && found) || (xx && !found)) return not_done;
    struct model_object *object = model_string_create(value);
    if (keep_ttl)
        model_put_keep_ttl(c, key, object);
    else
        model_put(c, key, object);
    if (deadline_ms >= 0) model_set_deadline(c, key, deadline_ms);
    return done;
}

static const struct value *do_set(struct model_context *c)
{
    bool nx = false, xx = false, get = false, keep_ttl = false;
    struct deadline_option option = {0};
    for (size_t i = 3; i < argc(c); i++) {
        if (arg_is(c, i, "NX") && !xx)
            nx = true;
        else if (arg_is(c, i, "XX") && !nx)
            xx = true;
        else if (arg_is(c, i, "GET"))
            get = true;
        else if (arg_is(c, i, "KEEPTTL") && option.word == NULL)
            keep_ttl = true;
        else if (!take_deadline_option(c, &i, keep_ttl, &option))
            return want_syntax_error(c);
    }
    const struct value *error = NULL;
    int64_t deadline_ms = -1;
    if (option.word && !read_deadline(c, option.at, option.word, &deadline_ms, &error)) return error;
    return set_generic(c, arg(c, 2), nx, xx, get, keep_ttl, deadline_ms, want_ok(c), want_null(c));
}

static const struct value *do_setnx(struct model_context *c)
{
    return set_generic(c, arg(c, 2), true, false, false, false, -1, want_integer(c, 1), want_integer(c, 0));
}

static const struct value *set_with(struct model_context *c, const char *unit)
{
    const struct value *error = NULL;
    int64_t deadline_ms = -1;
    if (!read_deadline(c, 2, unit, &deadline_ms, &error)) return error;
    return set_generic(c, arg(c, 3), false, false, false, false, deadline_ms, want_ok(c), NULL);
}

static const struct value *do_setex(struct model_context *c)
{
    return set_with(c, "EX");
}

static const struct value *do_psetex(struct model_context *c)
{
    return set_with(c, "PX");
}

static const struct value *do_getex(struct model_context *c)
{
    struct deadline_option option = {0};
    bool persist = false;
    for (size_t i = 2; i < argc(c); i++) {
        if (arg_is(c, i, "PERSIST") && option.word == NULL)
            persist = true;
        else if (!take_deadline_option(c, &i, persist, &option))
            return want_syntax_error(c);
    }
    const struct value *reply = do_get(c);
    if (reply->kind != VALUE_BULK) return reply;
    struct slice key = arg(c, 1);
    int64_t deadline_ms = -1;
    const struct value *error = NULL;
    if (option.word && !read_deadline(c, option.at, option.word, &deadline_ms, &error)) return error;
    if (option.word && deadline_ms <= c->now_ms) {
        model_drop(c, key);
    } else if (option.word) {
        model_set_deadline(c, key, deadline_ms);
        model_touch(c, key);
    } else if (persist && model_deadline(c, key) >= 0) {
        model_set_deadline(c, key, -1);
        model_touch(c, key);
    }
    return reply;
}

static const struct value *do_getdel(struct model_context *c)
{
    const struct value *reply = do_get(c);
    if (reply->kind == VALUE_BULK) model_drop(c, arg(c, 1));
    return reply;
}

static const struct value *do_getset(struct model_context *c)
{
    const struct value *reply = do_get(c);
    if (reply->kind != VALUE_ERROR) model_put(c, arg(c, 1), model_string_create(arg(c, 2)));
    return reply;
}

/* ---------------------------------------------------------------- several keys */

static const struct value *do_mget(struct model_context *c)
{
    struct value *reply = want_array(c, argc(c) - 1);
    for (size_t i = 1; i < argc(c); i++) {
        struct model_object *object = model_read(c, arg(c, i));
        bool string = object != NULL && object->type == MODEL_STRING;
        set_item(reply, i - 1, string ? want_bulk(c, as_string(object)->bytes) : want_null(c));
    }
    return reply;
}

static const struct value *do_mset(struct model_context *c)
{
    if (argc(c) % 2 == 0) return want_wrong_arity(c);
    for (size_t i = 1; i < argc(c); i += 2) model_put(c, arg(c, i), model_string_create(arg(c, i + 1)));
    return want_ok(c);
}

static const struct value *do_msetnx(struct model_context *c)
{
    if (argc(c) % 2 == 0) return want_wrong_arity(c);
    for (size_t i = 1; i < argc(c); i += 2)
        if (model_read(c, arg(c, i)) != NULL) return want_integer(c, 0);
    do_mset(c);
    return want_integer(c, 1);
}

/* ---------------------------------------------------------------- parts of a string */

static const struct value *do_strlen(struct model_context *c)
{
    const struct value *error = NULL;
    struct model_object *object = model_typed(c, arg(c, 1), MODEL_STRING, &error);
    if (error) return error;
    return want_integer(c, object ? (int64_t)as_string(object)->bytes.len : 0);
}

static const struct value *do_getrange(struct model_context *c)
{
    int64_t start, end;
    const struct value *error = NULL;
    if (!arg_int64(c, 2, &start, &error) || !arg_int64(c, 3, &end, &error)) return error;
    struct model_object *object = model_typed(c, arg(c, 1), MODEL_STRING, &error);
    if (error) return error;
    if (object == NULL) return want_text(c, "");
    struct slice bytes = as_string(object)->bytes;
    int64_t len = (int64_t)bytes.len;
    if (start < 0 && end < 0 && start > end) return want_text(c, "");
    if (start < 0) start += len;
    if (end < 0) end += len;
    if (start < 0) start = 0;
    if (end < 0) end = 0;
    if (end >= len) end = len - 1;
    if (start > end) return want_text(c, "");
    return want_bulk(c, (struct slice){bytes.ptr + start, (size_t)(end - start + 1)});
}

const struct value *too_long(struct model_context *c, uint64_t size, uint64_t more)
{
    if (size + more <= c->model->options.bulk_max && size <= INT64_MAX) return NULL;
    return want_error(c, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
}

struct model_string *model_string_grow(struct model_context *c, struct slice key, size_t len)
{
    struct model_object *object = model_read(c, key);
    if (object == NULL) {
        object = model_string_create(SLICE(""));
        model_put(c, key, object);
    }
    struct model_string *s = as_string(object);
    s->raw = true;
    if (s->bytes.len >= len) return s;
    char *to = calloc(1, len + 1);
    CHECK(to != NULL);
    memcpy(to, s->bytes.ptr, s->bytes.len);
    bytes_free(s->bytes);
    s->bytes = (struct slice){to, len};
    return s;
}

static size_t write_at(struct model_context *c, struct slice key, size_t offset, struct slice bytes)
{
    struct model_string *s = model_string_grow(c, key, offset + bytes.len);
    if (bytes.len) memcpy((char *)s->bytes.ptr + offset, bytes.ptr, bytes.len);
    model_touch(c, key);
    return s->bytes.len;
}

static const struct value *do_setrange(struct model_context *c)
{
    int64_t offset;
    const struct value *error = NULL;
    if (!arg_int64(c, 2, &offset, &error)) return error;
    if (offset < 0) return want_error(c, "ERR offset is out of range");
    struct slice value = arg(c, 3);
    struct model_object *object = model_typed(c, arg(c, 1), MODEL_STRING, &error);
    if (error) return error;
    if (value.len == 0) return want_integer(c, object ? (int64_t)as_string(object)->bytes.len : 0);
    error = too_long(c, (uint64_t)offset, value.len);
    if (error) return error;
    return want_integer(c, (int64_t)write_at(c, arg(c, 1), (size_t)offset, value));
}

static const struct value *do_append(struct model_context *c)
{
    const struct value *error = NULL;
    struct model_object *object = model_typed(c, arg(c, 1), MODEL_STRING, &error);
    if (error) return error;
    struct slice value = arg(c, 2);
    if (object == NULL) {
        model_put(c, arg(c, 1), model_string_create(value));
        return want_integer(c, (int64_t)value.len);
    }
    size_t len = as_string(object)->bytes.len;
    error = too_long(c, len, value.len);
    if (error) return error;
    return want_integer(c, (int64_t)write_at(c, arg(c, 1), len, value));
}

/* ---------------------------------------------------------------- numbers */

static void replace_text(struct model_context *c, struct slice key, struct slice text, bool raw)
{
    struct model_object *object = model_string_create(text);
    as_string(object)->raw = raw;
    model_put_keep_ttl(c, key, object);
}

static const struct value *increment(struct model_context *c, int64_t by)
{
    const struct value *error = NULL;
    struct model_object *object = model_typed(c, arg(c, 1), MODEL_STRING, &error);
    if (error) return error;
    int64_t n = 0;
    if (object && !read_int64(as_string(object)->bytes, &n))
        return want_error(c, "ERR value is not an integer or out of range");
    if (__builtin_add_overflow(n, by, &n)) return want_error(c, "ERR increment or decrement would overflow");
    replace_text(c, arg(c, 1), text_of_int64(c, n), false);
    return want_integer(c, n);
}

static const struct value *do_incr(struct model_context *c)
{
    return increment(c, 1);
}

static const struct value *do_decr(struct model_context *c)
{
    return increment(c, -1);
}

static const struct value *do_incrby(struct model_context *c)
{
    int64_t by;
    const struct value *error = NULL;
    return arg_int64(c, 2, &by, &error) ? increment(c, by) : error;
}

static const struct value *do_decrby(struct model_context *c)
{
    int64_t by;
    const struct value *error = NULL;
    if (!arg_int64(c, 2, &by, &error)) return error;
    if (by == INT64_MIN) return want_error(c, "ERR decrement would overflow");
    return increment(c, -by);
}

static const struct value *do_incrbyfloat(struct model_context *c)
{
    const struct value *error = NULL;
    struct model_object *object = model_typed(c, arg(c, 1), MODEL_STRING, &error);
    if (error) return error;
    long double n = 0, by;
    if ((object && !read_long_double(as_string(object)->bytes, &n)) || !read_long_double(arg(c, 2), &by))
        return want_error(c, "ERR value is not a valid float");
    n += by;
    if (isnan(n) || isinf(n)) return want_error(c, "ERR increment would produce NaN or Infinity");
    struct slice text = text_of_long_double(c, n);
    replace_text(c, arg(c, 1), text, true);
    return want_bulk(c, text);
}

const struct model_row model_rows_string[] = {
    {"append", 3, MODEL_TAKES_MEMORY, do_append},
    {"decr", 2, MODEL_TAKES_MEMORY, do_decr},
    {"decrby", 3, MODEL_TAKES_MEMORY, do_decrby},
    {"get", 2, 0, do_get},
    {"getdel", 2, 0, do_getdel},
    {"getex", -2, 0, do_getex},
    {"getrange", 4, 0, do_getrange},
    {"getset", 3, MODEL_TAKES_MEMORY, do_getset},
    {"incr", 2, MODEL_TAKES_MEMORY, do_incr},
    {"incrby", 3, MODEL_TAKES_MEMORY, do_incrby},
    {"incrbyfloat", 3, MODEL_TAKES_MEMORY, do_incrbyfloat},
    {"lcs", -3, 0, model_do_lcs},
    {"mget", -2, 0, do_mget},
    {"mset", -3, MODEL_TAKES_MEMORY, do_mset},
    {"msetnx", -3, MODEL_TAKES_MEMORY, do_msetnx},
    {"psetex", 4, MODEL_TAKES_MEMORY, do_psetex},
    {"set", -3, MODEL_TAKES_MEMORY, do_set},
    {"setex", 4, MODEL_TAKES_MEMORY, do_setex},
    {"setnx", 3, MODEL_TAKES_MEMORY, do_setnx},
    {"setrange", 4, MODEL_TAKES_MEMORY, do_setrange},
    {"strlen", 2, 0, do_strlen},
    {"substr", 4, 0, do_getrange},
    {0},
};
