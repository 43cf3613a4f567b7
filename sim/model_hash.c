/* Hashes: the type, and the commands of its family but those that name deadlines (model_hash_expire.c). */
#include "sim/model_collections.h"

#include <math.h>
#include <stdlib.h>

/* ---------------------------------------------------------------- the type */

struct model_object *model_hash_create(void)
{
    struct model_hash *hash = calloc(1, sizeof(*hash));
    CHECK(hash != NULL);
    hash->head.type = MODEL_HASH;
    hash->scans = calloc(1, sizeof(*hash->scans));
    CHECK(hash->scans != NULL);
    return &hash->head;
}

void model_hash_destroy(struct model_object *object)
{
    struct model_hash *hash = as_hash(object);
    for (size_t i = 0; i < hash->count; i++) {
        bytes_free(hash->fields[i].name);
        bytes_free(hash->fields[i].value);
    }
    free(hash->fields);
    scan_watches_free(hash->scans);
    free(hash->scans);
    free(hash);
}

struct model_object *model_hash_copy(const struct model_object *object)
{
    const struct model_hash *from = (const struct model_hash *)object;
    struct model_hash *copy = malloc(sizeof(*copy));
    CHECK(copy != NULL);
    *copy = *from;
    copy->capacity = from->count ? from->count : 1;
    copy->fields = malloc(copy->capacity * sizeof(copy->fields[0]));
    CHECK(copy->fields != NULL);
    for (size_t i = 0; i < from->count; i++) {
        copy->fields[i] = from->fields[i];
        copy->fields[i].name = bytes_copy(from->fields[i].name);
        copy->fields[i].value = bytes_copy(from->fields[i].value);
    }
    copy->scans = calloc(1, sizeof(*copy->scans));
    CHECK(copy->scans != NULL);
    scan_watches_copy(copy->scans, from->scans);
    return &copy->head;
}

static bool fits_small(const struct model *model, const struct model_hash *hash)
{
    if (hash->count > model->options.hash_entries_max) return false;
    for (size_t i = 0; i < hash->count; i++)
        if (hash->fields[i].name.len > model->options.hash_value_max ||
            hash->fields[i].value.len > model->options.hash_value_max)
            return false;
    return true;
}

/* A hash that was too large stays a table, until RESTORE (or a server that is free to do so) makes it small
 * again. */
void model_hash_encodings(const struct model *model, const struct model_object *object, const char *names[4])
{
    const struct model_hash *hash = (const struct model_hash *)object;
    bool deadlines = false;
    for (size_t i = 0; i < hash->count; i++) deadlines |= hash->fields[i].deadline_ms >= model->now_ms;
    if (hash->head.big || hash->maybe_big) *names++ = "hashtable";
    if (!hash->head.big || fits_small(model, hash)) {
        if (hash->had_deadline) *names++ = "listpackex";
        if (!deadlines) *names++ = "listpack";
    }
    *names = NULL;
}

void model_hash_print(const struct model_object *object, FILE *out)
{
    const struct model_hash *hash = (const struct model_hash *)object;
    char name[300], value[300];
    for (size_t i = 0; i < hash->count; i++) {
        const struct model_field *f = &hash->fields[i];
        fprintf(out, "%s%s=%s", i ? ", " : "", value_print_bytes(f->name, 60, name, sizeof(name)),
                value_print_bytes(f->value, 60, value, sizeof(value)));
        if (f->deadline_ms >= 0) fprintf(out, " until %lld", (long long)f->deadline_ms);
    }
}

struct model_field *model_hash_find(struct model_hash *hash, struct slice name)
{
    size_t low = 0, high = hash->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = bytes_compare(hash->fields[middle].name, name);
        if (order == 0) return &hash->fields[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

struct model_field *model_hash_get(struct model_hash *hash, struct slice name, int64_t now_ms)
{
    struct model_field *f = model_hash_find(hash, name);
    return f != NULL && !deadline_is_over(f->deadline_ms, now_ms) ? f : NULL;
}

void model_hash_remove(struct model_hash *hash, struct model_field *field)
{
    size_t at = (size_t)(field - hash->fields);
    CHECK(at < hash->count);
    scan_watches_forget(hash->scans, field->name);
    bytes_free(field->name);
    bytes_free(field->value);
    memmove(field, field + 1, (hash->count - at - 1) * sizeof(*field));
    hash->count--;
}

size_t model_hash_live(const struct model_hash *hash, int64_t now_ms)
{
    size_t live = 0;
    for (size_t i = 0; i < hash->count; i++) live += !deadline_is_over(hash->fields[i].deadline_ms, now_ms);
    return live;
}

static struct model_field *insert_field(struct model_hash *hash, struct slice name)
{
    size_t at = 0;
    while (at < hash->count && bytes_compare(hash->fields[at].name, name) < 0) at++;
    if (hash->count == hash->capacity) {
        hash->capacity = hash->capacity ? 2 * hash->capacity : 8;
        hash->fields = realloc(hash->fields, hash->capacity * sizeof(hash->fields[0]));
        CHECK(hash->fields != NULL);
    }
    memmove(&hash->fields[at + 1], &hash->fields[at], (hash->count - at) * sizeof(hash->fields[0]));
    hash->count++;
    hash->fields[at] = (struct model_field){.name = bytes_copy(name), .deadline_ms = -1};
    return &hash->fields[at];
}

enum model_hash_put model_hash_put(struct model_context *c, struct model_hash *hash, struct slice name,
                                   struct slice value, bool keep_ttl)
{
    enum model_hash_put result = FIELD_UPDATED;
    struct slice owned = bytes_copy(value);
    struct model_field *f = model_hash_find(hash, name);
    if (f != NULL && deadline_is_over(f->deadline_ms, c->now_ms)) {
        model_hash_remove(hash, f);
        f = NULL;
        result = FIELD_LINGERED;
    } else if (f == NULL) {
        result = FIELD_CREATED;
    }
    if (f == NULL) f = insert_field(hash, name);
    bytes_free(f->value);
    f->value = owned;
    if (!keep_ttl) f->deadline_ms = -1;
    const struct model_options *o = &c->model->options;
    if (name.len > o->hash_value_max || value.len > o->hash_value_max) hash->head.big = true;
    if (model_hash_live(hash, c->now_ms) > o->hash_entries_max) hash->head.big = true;
    if (hash->count > o->hash_entries_max) hash->maybe_big = true;
    return result;
}

struct model_hash *model_hash_open(struct model_context *c, struct slice key, const struct value **error)
{
    struct model_object *object = model_typed(c, key, MODEL_HASH, error);
    if (*error) return NULL;
    if (object == NULL) {
        object = model_hash_create();
        model_put(c, key, object);
    }
    return as_hash(object);
}

void model_hash_settle(struct model_context *c, struct slice key, struct model_hash *hash)
{
    if (hash->count == 0)
        model_drop(c, key);
    else
        model_touch(c, key);
}

/* ---------------------------------------------------------------- setting */

static const struct value *do_hset(struct model_context *c)
{
    const struct value *error = NULL;
    if (argc(c) % 2 == 1) return want_wrong_arity(c);
    struct model_hash *hash = model_hash_open(c, arg(c, 1), &error);
    if (error) return error;
    int64_t created = 0, lingered = 0;
    for (size_t i = 2; i < argc(c); i += 2) {
        enum model_hash_put put = model_hash_put(c, hash, arg(c, i), arg(c, i + 1), false);
        created += put != FIELD_UPDATED;
        lingered += put == FIELD_LINGERED;
    }
    model_touch(c, arg(c, 1));
    if (strcmp(c->row->name, "hmset") == 0) return want_ok(c);
    return want_between(c, c->model->options.fields_may_linger ? created - lingered : created, created);
}

static const struct value *do_hsetnx(struct model_context *c)
{
    const struct value *error = NULL;
    struct model_object *object = model_typed(c, arg(c, 1), MODEL_HASH, &error);
    if (error) return error;
    if (object != NULL && model_hash_get(as_hash(object), arg(c, 2), c->now_ms) != NULL)
        return want_integer(c, 0);
    model_hash_put(c, model_hash_open(c, arg(c, 1), &error), arg(c, 2), arg(c, 3), false);
    model_touch(c, arg(c, 1));
    return want_integer(c, 1);
}

/* The field if the hash and the field are there. */
static struct model_field *find_field(struct model_context *c, struct slice name, const struct value **error)
{
    struct model_object *object = model_typed(c, arg(c, 1), MODEL_HASH, error);
    return object != NULL ? model_hash_get(as_hash(object), name, c->now_ms) : NULL;
}

static void put_number(struct model_context *c, struct slice text)
{
    const struct value *error = NULL;
    model_hash_put(c, model_hash_open(c, arg(c, 1), &error), arg(c, 2), text, true);
    model_touch(c, arg(c, 1));
}

static const struct value *do_hincrby(struct model_context *c)
{
    const struct value *error = NULL;
    int64_t n = 0, by;
    if (!arg_int64(c, 3, &by, &error)) return error;
    struct model_field *f = find_field(c, arg(c, 2), &error);
    if (error) return error;
    if (f != NULL && !read_int64(f->value, &n)) return want_error(c, "ERR hash value is not an integer");
    if (__builtin_add_overflow(n, by, &n)) return want_error(c, "ERR increment or decrement would overflow");
    put_number(c, text_of_int64(c, n));
    return want_integer(c, n);
}

static const struct value *do_hincrbyfloat(struct model_context *c)
{
    const struct value *error = NULL;
    long double n = 0, by;
    if (!read_long_double(arg(c, 3), &by)) return want_error(c, "ERR value is not a valid float");
    if (isinf(by)) return want_error(c, "ERR value is NaN or Infinity");
    struct model_field *f = find_field(c, arg(c, 2), &error);
    if (error) return error;
    if (f != NULL && !read_long_double(f->value, &n)) return want_error(c, "ERR hash value is not a float");
    n += by;
    if (isnan(n) || isinf(n)) return want_error(c, "ERR increment would produce NaN or Infinity");
    struct slice text = text_of_long_double(c, n);
    put_number(c, text);
    return want_bulk(c, text);
}

static const struct value *do_hdel(struct model_context *c)
{
    const struct value *error = NULL;
    struct model_object *object = model_typed(c, arg(c, 1), MODEL_HASH, &error);
    if (error || object == NULL) return error ? error : want_integer(c, 0);
    struct model_hash *hash = as_hash(object);
    int64_t live = 0, all = 0;
    for (size_t i = 2; i < argc(c); i++) {
        struct model_field *f = model_hash_find(hash, arg(c, i));
        if (f == NULL) continue;
        all++;
        live += !deadline_is_over(f->deadline_ms, c->now_ms);
        model_hash_remove(hash, f);
    }
    if (all > 0) model_hash_settle(c, arg(c, 1), hash);
    return want_between(c, live, c->model->options.fields_may_linger ? all : live);
}

/* ---------------------------------------------------------------- reading */

static const struct value *do_hget(struct model_context *c)
{
    const struct value *error = NULL;
    struct model_field *f = find_field(c, arg(c, 2), &error);
    return error ? error : f ? want_bulk(c, f->value) : want_null(c);
}

static const struct value *do_hmget(struct model_context *c)
{
    const struct value *error = NULL;
    struct value *reply = want_array(c, argc(c) - 2);
    for (size_t i = 2; i < argc(c); i++) {
        struct model_field *f = find_field(c, arg(c, i), &error);
        if (error) return error;
        set_item(reply, i - 2, f ? want_bulk(c, f->value) : want_null(c));
    }
    return reply;
}

static const struct value *do_hexists(struct model_context *c)
{
    const struct value *error = NULL;
    struct model_field *f = find_field(c, arg(c, 2), &error);
    return error ? error : want_integer(c, f != NULL);
}

static const struct value *do_hstrlen(struct model_context *c)
{
    const struct value *error = NULL;
    struct model_field *f = find_field(c, arg(c, 2), &error);
    return error ? error : want_integer(c, f ? (int64_t)f->value.len : 0);
}

/* Fields that linger may count. */
static const struct value *do_hlen(struct model_context *c)
{
    const struct value *error = NULL;
    struct model_object *object = model_typed(c, arg(c, 1), MODEL_HASH, &error);
    if (error || object == NULL) return error ? error : want_integer(c, 0);
    struct model_hash *hash = as_hash(object);
    return want_between(c, (int64_t)model_hash_live(hash, c->now_ms), (int64_t)hash->count);
}

/* The fields that are there, in the arena; *count is 0 if there is no such hash. */
static const struct model_field *live_fields(struct model_context *c, size_t *count,
                                             const struct value **error)
{
    *count = 0;
    struct model_object *object = model_typed(c, arg(c, 1), MODEL_HASH, error);
    if (object == NULL) return NULL;
    const struct model_hash *hash = as_hash(object);
    struct model_field *live = value_alloc(&c->model->arena, (hash->count + 1) * sizeof(*live));
    for (size_t i = 0; i < hash->count; i++)
        if (!deadline_is_over(hash->fields[i].deadline_ms, c->now_ms)) live[(*count)++] = hash->fields[i];
    return live;
}

static const struct value *all_of(struct model_context *c, bool names, bool values)
{
    const struct value *error = NULL;
    size_t count;
    const struct model_field *fields = live_fields(c, &count, &error);
    if (error) return error;
    struct value *reply = names && values ? want_map(c, count) : want_array(c, count);
    for (size_t i = 0; i < count; i++) {
        if (names) set_item(reply, values ? 2 * i : i, want_bulk(c, fields[i].name));
        if (values) set_item(reply, names ? 2 * i + 1 : i, want_bulk(c, fields[i].value));
    }
    return names && values ? unordered_pairs(reply) : unordered(reply);
}

static const struct value *do_hgetall(struct model_context *c)
{
    return all_of(c, true, true);
}

static const struct value *do_hkeys(struct model_context *c)
{
    return all_of(c, true, false);
}

static const struct value *do_hvals(struct model_context *c)
{
    return all_of(c, false, true);
}

/* ---------------------------------------------------------------- choices of the server */

static const struct model_field *find_live(const struct model_field *fields, size_t count,
                                           const struct value *name)
{
    for (size_t i = 0; i < count && name->kind == VALUE_BULK; i++)
        if (slice_equal(fields[i].name, name->text)) return &fields[i];
    return NULL;
}

static const struct value *judge_one_random(struct model_context *c)
{
    const struct value *error = NULL;
    size_t count;
    const struct model_field *fields = live_fields(c, &count, &error);
    if (error) return error;
    if (count == 0) return want_null(c);
    if (c->reply == NULL) return want_anything(c);
    return find_live(fields, count, c->reply) ? want_accepted(c)
                                              : model_refuse(c, "which is no field of the hash");
}

/* The i-th field of the reply, and its value if there are any; NULL if the shape is wrong. */
static const struct value *random_item(struct model_context *c, size_t i, bool values,
                                       const struct value **value)
{
    const struct value *items = c->reply->items;
    if (!values) return &items[i];
    if (c->resp == 2) {
        *value = &items[2 * i + 1];
        return &items[2 * i];
    }
    if (items[i].kind != VALUE_ARRAY || items[i].count != 2) return NULL;
    *value = &items[i].items[1];
    return &items[i].items[0];
}

static const struct value *judge_random(struct model_context *c, uint64_t many, bool repeats, bool values)
{
    const struct value *error = NULL;
    size_t count;
    const struct model_field *fields = live_fields(c, &count, &error);
    if (error) return error;
    if (count == 0 || many == 0) return want_array(c, 0);
    if (c->reply == NULL) return want_anything(c);
    uint64_t told = repeats || many < count ? many : count;
    uint64_t items = told * (values && c->resp == 2 ? 2 : 1);
    if (!reply_is_array(c) || c->reply->count != items)
        return model_refuse(c, "wanted an array of %llu items", (unsigned long long)items);
    bool *taken = value_alloc(&c->model->arena, count);
    memset(taken, 0, count);
    for (size_t i = 0; i < told; i++) {
        const struct value *value = NULL, *name = random_item(c, i, values, &value);
        const struct model_field *f = name ? find_live(fields, count, name) : NULL;
        if (f == NULL) return model_refuse(c, "item %zu is no field of the hash", i);
        if (value && (value->kind != VALUE_BULK || !slice_equal(value->text, f->value)))
            return model_refuse(c, "item %zu has another value", i);
        if (taken[f - fields] && !repeats) return model_refuse(c, "item %zu came before", i);
        taken[f - fields] = true;
    }
    return want_accepted(c);
}

static const struct value *do_hrandfield(struct model_context *c)
{
    if (argc(c) == 2) return judge_one_random(c);
    int64_t many;
    const struct value *error = NULL;
    if (!arg_int64_in(c, 2, -INT64_MAX, INT64_MAX, NULL, &many, &error)) return error;
    if (argc(c) > 4 || (argc(c) == 4 && !arg_is(c, 3, "WITHVALUES"))) return want_syntax_error(c);
    bool values = argc(c) == 4;
    if (values && (many < -INT64_MAX / 2 || many > INT64_MAX / 2))
        return want_error(c, "ERR value is out of range");
    return judge_random(c, many < 0 ? (uint64_t)-many : (uint64_t)many, many < 0, values);
}

/* Values must be those of their fields; the names alone are then judged as an iteration over members. */
static const struct value *do_hscan(struct model_context *c)
{
    struct scan_options options;
    struct model_object *object;
    const struct value *reply;
    if (!read_element_scan(c, MODEL_HASH, &options, &object, &reply)) return reply;
    struct model_hash *hash = as_hash(object);
    for (size_t i = 0; i < hash->count; i++)
        if (deadline_is_over(hash->fields[i].deadline_ms, c->now_ms))
            scan_watches_forget(hash->scans, hash->fields[i].name);
    size_t count;
    const struct model_field *fields = live_fields(c, &count, &reply);
    struct slice *names = value_alloc(&c->model->arena, (count + 1) * sizeof(*names));
    for (size_t i = 0; i < count; i++) names[i] = fields[i].name;

    const struct value *got = c->reply;
    struct model_context only_names = *c;
    if (got != NULL && !options.no_values && reply_is_array(c) && got->count == 2 &&
        got->items[1].kind == VALUE_ARRAY) {
        const struct value *pairs = &got->items[1];
        if (pairs->count % 2 != 0) return model_refuse(c, "has a field without a value");
        struct value *copy = value_copy(&c->model->arena, got);
        copy->items[1].count = pairs->count / 2;
        for (size_t i = 0; i < pairs->count / 2; i++) {
            const struct model_field *f = find_live(fields, count, &pairs->items[2 * i]);
            const struct value *value = &pairs->items[2 * i + 1];
            if (f != NULL && (value->kind != VALUE_BULK || !slice_equal(value->text, f->value)))
                return model_refuse(c, "pair %zu has another value", i);
            copy->items[1].items[i] = pairs->items[2 * i];
        }
        only_names.reply = copy;
    }
    reply = judge_element_scan(&only_names, hash->scans, &options, names, NULL, count);
    c->refused = only_names.refused;
    return reply == only_names.reply ? want_accepted(c) : reply;
}

const struct model_row model_rows_hash[] = {
    {"hdel", -3, 0, do_hdel},
    {"hexists", 3, 0, do_hexists},
    {"hget", 3, 0, do_hget},
    {"hgetall", 2, 0, do_hgetall},
    {"hincrby", 4, MODEL_TAKES_MEMORY, do_hincrby},
    {"hincrbyfloat", 4, MODEL_TAKES_MEMORY, do_hincrbyfloat},
    {"hkeys", 2, 0, do_hkeys},
    {"hlen", 2, 0, do_hlen},
    {"hmget", -3, 0, do_hmget},
    {"hmset", -4, MODEL_TAKES_MEMORY, do_hset},
    {"hrandfield", -2, 0, do_hrandfield},
    {"hscan", -3, 0, do_hscan},
    {"hset", -4, MODEL_TAKES_MEMORY, do_hset},
    {"hsetnx", 4, MODEL_TAKES_MEMORY, do_hsetnx},
    {"hstrlen", 3, 0, do_hstrlen},
    {"hvals", 2, 0, do_hvals},
    {0},
};
