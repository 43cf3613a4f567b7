/* Lists of the model: LINDEX LINSERT LLEN LMOVE LMPOP LPOP LPOS LPUSH LPUSHX LRANGE LREM LSET LTRIM RPOP
 * RPOPLPUSH RPUSH RPUSHX. A list is an array in its order; an empty one does not exist. See
 * model_collections.h.
 *
 * What WATCH sees is what Redis signals: LTRIM and LSET always, LREM and LINSERT only if they found
 * something. */
#include "sim/model_collections.h"

#include <stdlib.h>

/* What one listpack may take (list-max-listpack-size -2). */
#define LISTPACK_BYTES_MAX 8192

/* ---------------------------------------------------------------- the value */

struct model_object *model_list_create(void)
{
    struct model_list *list = calloc(1, sizeof(*list));
    CHECK(list != NULL);
    list->head.type = MODEL_LIST;
    return &list->head;
}

void model_list_destroy(struct model_object *object)
{
    texts_free(&as_list(object)->items);
    free(object);
}

struct model_object *model_list_copy(const struct model_object *object)
{
    const struct model_list *from = (const struct model_list *)object;
    struct model_list *to = as_list(model_list_create());
    to->head = from->head;
    to->is_long = from->is_long;
    texts_copy(&to->items, &from->items);
    return &to->head;
}

/* Bytes of a listpack with these items: at least, at most. */
static void listpack_bytes(const struct model_list *list, size_t *least, size_t *most)
{
    *least = *most = 7;
    for (size_t i = 0; i < list->items.count; i++) {
        struct slice item = list->items.at[i];
        int64_t number;
        *least += read_int64(item, &number) ? 2 : item.len + 2;
        *most += item.len + 11;
    }
}

void model_list_sized(const struct model *model, struct model_list *list)
{
    size_t limit = model->options.list_entries_max, count = list->items.count;
    if (limit && count > limit) list->is_long = true;
    if (count <= limit / 2) list->is_long = false;
}

void model_list_loaded(const struct model *model, struct model_list *list)
{
    list->is_long = false;
    model_list_sized(model, list);
}

void model_list_grew(const struct model *model, struct model_list *list)
{
    model_list_sized(model, list);
    size_t least, most, limit = model->options.list_entries_max;
    if (limit && list->items.count > limit) list->head.big = true;
    if (list->head.big) return;
    listpack_bytes(list, &least, &most);
    list->head.big = most > LISTPACK_BYTES_MAX;
}

/* LSET and LINSERT choose the form for the new item before they look for its place. */
static void list_makes_room(const struct model *model, struct model_list *list, struct slice item)
{
    if (model->options.list_entries_max && list->items.count >= model->options.list_entries_max) list->head.big = true;
    size_t least, most;
    listpack_bytes(list, &least, &most);
    if (most + item.len + 11 > LISTPACK_BYTES_MAX) list->head.big = true;
}

void model_list_encodings(const struct model *model, const struct model_object *object, const char *names[4])
{
    const struct model_list *list = (const struct model_list *)object;
    size_t least, most, n = 0;
    listpack_bytes(list, &least, &most);
    /* A push adds up the bare bytes of what it adds, so many small items may go beyond the limit together. */
    size_t bare = 7;
    for (size_t i = 0; i < list->items.count; i++) bare += list->items.at[i].len;
    if (bare <= LISTPACK_BYTES_MAX && !list->is_long) names[n++] = "listpack";
    if (list->head.big || most > LISTPACK_BYTES_MAX) names[n++] = "quicklist";
    names[n] = NULL;
}

void model_list_print(const struct model_object *object, FILE *out)
{
    const struct model_list *list = (const struct model_list *)object;
    char text[256];
    fprintf(out, "%zu:", list->items.count);
    for (size_t i = 0; i < list->items.count; i++)
        fprintf(out, " %s", value_print_bytes(list->items.at[i], 40, text, sizeof(text)));
}

/* ---------------------------------------------------------------- commands */

static struct model_list *list_at(struct model_context *c, struct slice key, const struct value **error)
{
    struct model_object *object = model_typed(c, key, MODEL_LIST, error);
    return object ? as_list(object) : NULL;
}

static const struct value *push(struct model_context *c, bool left, bool only_if_there)
{
    const struct value *error = NULL;
    struct model_list *list = list_at(c, arg(c, 1), &error);
    if (error) return error;
    if (!list) {
        if (only_if_there) return want_integer(c, 0);
        list = as_list(model_list_create());
        model_put(c, arg(c, 1), &list->head);
    }
    for (size_t i = 2; i < argc(c); i++) texts_insert(&list->items, left ? 0 : list->items.count, arg(c, i));
    model_list_grew(c->model, list);
    model_touch(c, arg(c, 1));
    return want_integer(c, (int64_t)list->items.count);
}

static const struct value *run_lpush(struct model_context *c)
{
    return push(c, true, false);
}

static const struct value *run_rpush(struct model_context *c)
{
    return push(c, false, false);
}

static const struct value *run_lpushx(struct model_context *c)
{
    return push(c, true, true);
}

static const struct value *run_rpushx(struct model_context *c)
{
    return push(c, false, true);
}

/* Takes `many` from one end; the array of them as they went. */
static const struct value *take(struct model_context *c, struct slice key, struct model_list *list, bool left,
                                int64_t many)
{
    size_t count = (uint64_t)many < list->items.count ? (size_t)many : list->items.count;
    struct value *reply = want_array(c, count);
    for (size_t i = 0; i < count; i++) {
        size_t at = left ? 0 : list->items.count - 1;
        set_item(reply, i, want_bulk(c, list->items.at[at]));
        texts_remove(&list->items, at);
    }
    model_list_sized(c->model, list);
    settle_emptied(c, key, list->items.count == 0);
    return reply;
}

static const struct value *pop(struct model_context *c, bool left)
{
    int64_t count = 1;
    bool counted = argc(c) == 3;
    const struct value *error = NULL;
    if (argc(c) > 3) return want_wrong_arity(c);
    if (counted &&
        !arg_int64_in(c, 2, 0, INT64_MAX, "ERR value is out of range, must be positive", &count, &error))
        return error;
    struct model_list *list = list_at(c, arg(c, 1), &error);
    if (error) return error;
    if (!list) return counted ? want_null_array(c) : want_null(c);
    if (counted && count == 0) return want_array(c, 0);
    const struct value *taken = take(c, arg(c, 1), list, left, count);
    return counted ? taken : &taken->items[0];
}

static const struct value *run_lpop(struct model_context *c)
{
    return pop(c, true);
}

static const struct value *run_rpop(struct model_context *c)
{
    return pop(c, false);
}

static const struct value *run_llen(struct model_context *c)
{
    const struct value *error = NULL;
    struct model_list *list = list_at(c, arg(c, 1), &error);
    if (error) return error;
    return want_integer(c, list ? (int64_t)list->items.count : 0);
}

/* The index an argument means; false if there is no such item. */
static bool item_index(const struct model_list *list, int64_t index, size_t *at)
{
    int64_t count = (int64_t)list->items.count;
    if (index < 0) index += count;
    if (index < 0 || index >= count) return false;
    *at = (size_t)index;
    return true;
}

static const struct value *run_lindex(struct model_context *c)
{
    const struct value *error = NULL;
    int64_t index;
    size_t at;
    struct model_list *list = list_at(c, arg(c, 1), &error);
    if (error) return error;
    if (!list) return want_null(c);
    if (!arg_int64(c, 2, &index, &error)) return error;
    return item_index(list, index, &at) ? want_bulk(c, list->items.at[at]) : want_null(c);
}

static const struct value *run_lset(struct model_context *c)
{
    const struct value *error = NULL;
    int64_t index;
    size_t at;
    struct model_list *list = list_at(c, arg(c, 1), &error);
    if (error) return error;
    if (!list) return want_error(c, "ERR no such key");
    if (!arg_int64(c, 2, &index, &error)) return error;
    list_makes_room(c->model, list, arg(c, 3));
    if (!item_index(list, index, &at)) return want_error(c, "ERR index out of range");
    texts_insert(&list->items, at, arg(c, 3));
    texts_remove(&list->items, at + 1);
    model_list_grew(c->model, list);
    model_touch(c, arg(c, 1));
    return want_ok(c);
}

static const struct value *run_linsert(struct model_context *c)
{
    const struct value *error = NULL;
    bool after = arg_is(c, 2, "AFTER");
    if (!after && !arg_is(c, 2, "BEFORE")) return want_syntax_error(c);
    struct model_list *list = list_at(c, arg(c, 1), &error);
    if (error) return error;
    if (!list) return want_integer(c, 0);
    list_makes_room(c->model, list, arg(c, 4));
    for (size_t i = 0; i < list->items.count; i++) {
        if (!slice_equal(list->items.at[i], arg(c, 3))) continue;
        texts_insert(&list->items, i + after, arg(c, 4));
        model_list_grew(c->model, list);
        model_touch(c, arg(c, 1));
        return want_integer(c, (int64_t)list->items.count);
    }
    return want_integer(c, -1);
}

static const struct value *run_lrange(struct model_context *c)
{
    const struct value *error = NULL;
    int64_t start, stop;
    size_t first, last;
    if (!arg_int64(c, 2, &start, &error) || !arg_int64(c, 3, &stop, &error)) return error;
    struct model_list *list = list_at(c, arg(c, 1), &error);
    if (error) return error;
    if (!list || !range_of(start, stop, list->items.count, &first, &last)) return want_array(c, 0);
    struct value *reply = want_array(c, last - first + 1);
    for (size_t i = first; i <= last; i++) set_item(reply, i - first, want_bulk(c, list->items.at[i]));
    return reply;
}

static const struct value *run_ltrim(struct model_context *c)
{
    const struct value *error = NULL;
    int64_t start, stop;
    size_t first = 0, last = 0;
    if (!arg_int64(c, 2, &start, &error) || !arg_int64(c, 3, &stop, &error)) return error;
    struct model_list *list = list_at(c, arg(c, 1), &error);
    if (error) return error;
    if (!list) return want_ok(c);
    bool some = range_of(start, stop, list->items.count, &first, &last);
    for (size_t i = list->items.count; i-- > 0;)
        if (!some || i < first || i > last) texts_remove(&list->items, i);
    model_list_sized(c->model, list);
    settle_emptied(c, arg(c, 1), list->items.count == 0);
    return want_ok(c);
}

static const struct value *run_lrem(struct model_context *c)
{
    const struct value *error = NULL;
    int64_t count;
    if (!arg_int64_in(c, 2, -INT64_MAX, INT64_MAX, NULL, &count, &error)) return error;
    struct model_list *list = list_at(c, arg(c, 1), &error);
    if (error) return error;
    if (!list) return want_integer(c, 0);
    uint64_t limit = count == 0 ? UINT64_MAX : (uint64_t)llabs(count), removed = 0;
    size_t total = list->items.count, at = count < 0 ? total - 1 : 0;
    for (size_t seen = 0; seen < total && removed < limit; seen++) {
        bool match = slice_equal(list->items.at[at], arg(c, 3));
        if (match) {
            texts_remove(&list->items, at);
            removed++;
        }
        if (count < 0)
            at--;
        else if (!match)
            at++;
    }
    if (removed) model_list_sized(c->model, list);
    if (removed) settle_emptied(c, arg(c, 1), list->items.count == 0);
    return want_integer(c, (int64_t)removed);
}

struct lpos {
    int64_t rank, count, max_len;
    bool counted;
};

static const struct value *read_lpos(struct model_context *c, struct lpos *options)
{
    const struct value *error = NULL;
    *options = (struct lpos){.rank = 1, .count = 1};
    for (size_t i = 3; i < argc(c); i += 2) {
        bool more = i + 1 < argc(c);
        if (more && arg_is(c, i, "RANK")) {
            if (!arg_int64_in(c, i + 1, -INT64_MAX, INT64_MAX, NULL, &options->rank, &error)) return error;
            if (options->rank == 0)
                return want_error(
                    c, "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... "
                       "or use negative to start from the end of the list");
        } else if (more && arg_is(c, i, "COUNT")) {
            if (!arg_int64_in(c, i + 1, 0, INT64_MAX, "ERR COUNT can't be negative", &options->count, &error))
                return error;
            options->counted = true;
        } else if (more && arg_is(c, i, "MAXLEN")) {
            if (!arg_int64_in(c, i + 1, 0, INT64_MAX, "ERR MAXLEN can't be negative", &options->max_len,
                              &error))
                return error;
        } else {
            return want_syntax_error(c);
        }
    }
    return NULL;
}

static const struct value *run_lpos(struct model_context *c)
{
    struct lpos options;
    const struct value *error = read_lpos(c, &options);
    if (error) return error;
    struct model_list *list = list_at(c, arg(c, 1), &error);
    if (error) return error;
    struct want_list found = {0};
    size_t count = list ? list->items.count : 0;
    uint64_t skip = (uint64_t)llabs(options.rank) - 1;
    for (size_t seen = 0; seen < count; seen++) {
        if (options.max_len && seen >= (uint64_t)options.max_len) break;
        if (options.count && found.count >= (uint64_t)options.count) break;
        size_t at = options.rank < 0 ? count - 1 - seen : seen;
        if (!slice_equal(list->items.at[at], arg(c, 2))) continue;
        if (skip)
            skip--;
        else
            want_list_add(c, &found, want_integer(c, (int64_t)at));
    }
    if (options.counted) return want_list_array(c, &found);
    return found.count ? &found.items[0] : want_null(c);
}

static bool read_end(struct model_context *c, size_t i, bool *left)
{
    *left = arg_is(c, i, "LEFT");
    return *left || arg_is(c, i, "RIGHT");
}

static const struct value *move(struct model_context *c, bool from_left, bool to_left)
{
    const struct value *error = NULL;
    struct model_list *from = list_at(c, arg(c, 1), &error);
    if (error) return error;
    if (!from) return want_null(c);
    struct model_list *to = list_at(c, arg(c, 2), &error);
    if (error) return error;
    if (!to) {
        to = as_list(model_list_create());
        model_put(c, arg(c, 2), &to->head);
    }
    size_t at = from_left ? 0 : from->items.count - 1;
    const struct value *moved = want_bulk(c, from->items.at[at]);
    texts_remove(&from->items, at);
    texts_insert(&to->items, to_left ? 0 : to->items.count, moved->text);
    model_list_grew(c->model, to);
    model_touch(c, arg(c, 2));
    model_list_sized(c->model, from);
    settle_emptied(c, arg(c, 1), from->items.count == 0);
    return moved;
}

static const struct value *run_lmove(struct model_context *c)
{
    bool from_left, to_left;
    if (!read_end(c, 3, &from_left) || !read_end(c, 4, &to_left)) return want_syntax_error(c);
    return move(c, from_left, to_left);
}

static const struct value *run_rpoplpush(struct model_context *c)
{
    return move(c, false, true);
}

static const struct value *run_lmpop(struct model_context *c)
{
    const struct value *error = NULL;
    int64_t keys, count = 0;
    bool left;
    if (!arg_int64_in(c, 1, 1, INT64_MAX, "ERR numkeys should be greater than 0", &keys, &error))
        return error;
    if ((uint64_t)keys + 2 >= argc(c)) return want_syntax_error(c);
    size_t end_at = (size_t)keys + 2;
    if (!read_end(c, end_at, &left)) return want_syntax_error(c);
    for (size_t i = end_at + 1; i < argc(c); i += 2) {
        if (count || !arg_is(c, i, "COUNT") || i + 1 >= argc(c)) return want_syntax_error(c);
        if (!arg_int64_in(c, i + 1, 1, INT64_MAX, "ERR count should be greater than 0", &count, &error))
            return error;
    }
    for (size_t i = 2; i < end_at; i++) {
        struct model_list *list = list_at(c, arg(c, i), &error);
        if (error) return error;
        if (!list) continue;
        struct value *reply = want_array(c, 2);
        set_item(reply, 0, want_bulk(c, arg(c, i)));
        set_item(reply, 1, take(c, arg(c, i), list, left, count ? count : 1));
        return reply;
    }
    return want_null_array(c);
}

const struct model_row model_rows_list[] = {
    {"lindex", 3, 0, run_lindex},
    {"linsert", 5, MODEL_TAKES_MEMORY, run_linsert},
    {"llen", 2, 0, run_llen},
    {"lmove", 5, MODEL_TAKES_MEMORY, run_lmove},
    {"lmpop", -4, 0, run_lmpop},
    {"lpop", -2, 0, run_lpop},
    {"lpos", -3, 0, run_lpos},
    {"lpush", -3, MODEL_TAKES_MEMORY, run_lpush},
    {"lpushx", -3, MODEL_TAKES_MEMORY, run_lpushx},
    {"lrange", 4, 0, run_lrange},
    {"lrem", 4, 0, run_lrem},
    {"lset", 4, MODEL_TAKES_MEMORY, run_lset},
    {"ltrim", 4, 0, run_ltrim},
    {"rpop", -2, 0, run_rpop},
    {"rpoplpush", 3, MODEL_TAKES_MEMORY, run_rpoplpush},
    {"rpush", -3, MODEL_TAKES_MEMORY, run_rpush},
    {"rpushx", -3, MODEL_TAKES_MEMORY, run_rpushx},
    {NULL, 0, 0, NULL},
};
