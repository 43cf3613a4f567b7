/* Replies that must come: building them for the connection's RESP version, and comparing with what came.
 * See model_internal.h. */
#include "sim/model_internal.h"

#include <stdarg.h>
#include <stdio.h>

#include "sim/model_score.h"

static struct value *node(struct model_context *c, enum value_kind kind)
{
    struct value *v = value_alloc(&c->model->arena, sizeof(*v));
    *v = (struct value){.kind = (uint8_t)kind};
    return v;
}

static struct value *node_text(struct model_context *c, enum value_kind kind, struct slice text)
{
    struct value *v = node(c, kind);
    v->text = value_bytes(&c->model->arena, text.ptr, text.len);
    return v;
}

const struct value *want_simple(struct model_context *c, const char *text)
{
    return node_text(c, VALUE_SIMPLE, (struct slice){text, strlen(text)});
}

const struct value *want_ok(struct model_context *c)
{
    return want_simple(c, "OK");
}

const struct value *want_integer(struct model_context *c, int64_t n)
{
    struct value *v = node(c, VALUE_INTEGER);
    v->integer = n;
    return v;
}

const struct value *want_between(struct model_context *c, int64_t low, int64_t high)
{
    CHECK(low <= high);
    struct value *v = node(c, VALUE_INTEGER);
    v->integer = low;
    v->high = high;
    v->rule = VALUE_BETWEEN;
    return v;
}

const struct value *want_bulk(struct model_context *c, struct slice text)
{
    return node_text(c, VALUE_BULK, text);
}

const struct value *want_text(struct model_context *c, const char *text)
{
    return want_bulk(c, (struct slice){text, strlen(text)});
}

const struct value *want_double(struct model_context *c, double d)
{
    return node_text(c, c->resp == 3 ? VALUE_DOUBLE : VALUE_BULK, text_of_double(c, d));
}

const struct value *want_verbatim(struct model_context *c, struct slice text)
{
    return node_text(c, c->resp == 3 ? VALUE_VERBATIM : VALUE_BULK, text);
}

const struct value *want_null(struct model_context *c)
{
    return node(c, c->resp == 3 ? VALUE_NULL : VALUE_NULL_BULK);
}

const struct value *want_null_array(struct model_context *c)
{
    return node(c, c->resp == 3 ? VALUE_NULL : VALUE_NULL_ARRAY);
}

const struct value *want_anything(struct model_context *c)
{
    struct value *v = node(c, VALUE_SIMPLE);
    v->rule = VALUE_ANYTHING;
    return v;
}

const struct value *want_any(struct model_context *c, enum value_kind kind)
{
    if (kind == VALUE_VERBATIM && c->resp == 2) kind = VALUE_BULK;
    struct value *v = node(c, kind);
    v->rule = VALUE_ANY_TEXT;
    return v;
}

const struct value *want_error(struct model_context *c, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    CHECK(n >= 0 && (size_t)n < sizeof(text));
    while (n > 0 && (text[n - 1] == '\r' || text[n - 1] == '\n')) n--;
    for (int i = 0; i < n; i++)
        if (text[i] == '\r' || text[i] == '\n') text[i] = ' ';
    return node_text(c, VALUE_ERROR, (struct slice){text, (size_t)n});
}

const struct value *want_syntax_error(struct model_context *c)
{
    return want_error(c, "ERR syntax error");
}

const struct value *want_wrong_type(struct model_context *c)
{
    return want_error(c, "WRONGTYPE Operation against a key holding the wrong kind of value");
}

const struct value *want_wrong_arity(struct model_context *c)
{
    bool exec = strcmp(c->row->name, "exec") == 0;
    return want_error(c, "%swrong number of arguments for '%s' command",
                      exec ? "EXECABORT Transaction discarded because of: " : "ERR ", c->row->name);
}

static struct value *node_items(struct model_context *c, enum value_kind kind, size_t count)
{
    struct value *v = node(c, kind);
    v->count = count;
    if (count == 0) return v;
    v->items = value_alloc(&c->model->arena, count * sizeof(*v->items));
    memset(v->items, 0, count * sizeof(*v->items));
    return v;
}

const struct value *want_one_of(struct model_context *c, size_t count, const struct value *const *choices)
{
    struct value *v = node_items(c, VALUE_ARRAY, count);
    v->rule = VALUE_ONE_OF;
    for (size_t i = 0; i < count; i++) set_item(v, i, choices[i]);
    return v;
}

struct value *want_array(struct model_context *c, size_t count)
{
    return node_items(c, VALUE_ARRAY, count);
}

struct value *want_set(struct model_context *c, size_t count)
{
    return node_items(c, c->resp == 3 ? VALUE_SET : VALUE_ARRAY, count);
}

struct value *want_map(struct model_context *c, size_t pairs)
{
    return node_items(c, c->resp == 3 ? VALUE_MAP : VALUE_ARRAY, 2 * pairs);
}

struct value *unordered(struct value *v)
{
    CHECK(v->kind == VALUE_ARRAY || v->kind == VALUE_SET);
    v->rule = VALUE_UNORDERED;
    return v;
}

struct value *unordered_pairs(struct value *v)
{
    CHECK((v->kind == VALUE_ARRAY || v->kind == VALUE_MAP) && v->count % 2 == 0);
    v->rule = VALUE_UNORDERED_PAIRS;
    return v;
}

void want_list_add(struct model_context *c, struct want_list *list, const struct value *item)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 16;
        struct value *items = value_alloc(&c->model->arena, capacity * sizeof(*items));
        if (list->count) memcpy(items, list->items, list->count * sizeof(*items));
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = *item;
}

struct value *want_list_array(struct model_context *c, const struct want_list *list)
{
    struct value *v = node(c, VALUE_ARRAY);
    v->count = list->count;
    v->items = list->items;
    return v;
}

const struct value *want_accepted(struct model_context *c)
{
    return c->reply != NULL ? c->reply : want_anything(c);
}

const struct value *model_refuse(struct model_context *c, const char *format, ...)
{
    char why[400];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof(why), format, args);
    va_end(args);
    struct value *v = node_text(c, VALUE_SIMPLE, (struct slice){why, strlen(why)});
    c->refused = true;
    return v;
}

bool reply_is_array(const struct model_context *c)
{
    return c->reply != NULL && c->reply->kind == VALUE_ARRAY;
}

bool reply_is_set(const struct model_context *c)
{
    return c->reply != NULL && c->reply->kind == (c->resp == 3 ? VALUE_SET : VALUE_ARRAY);
}

/* ---------------------------------------------------------------- comparing */

/* Every group of `step` items of wanted finds a partner of its own in got. Greedy: enough while the items of
 * an unordered reply are exact, which they are. */
static bool matches_unordered(const struct value *wanted, const struct value *got, size_t step)
{
    if (wanted->count != got->count || wanted->count % step != 0) return false;
    size_t count = wanted->count / step;
    /* Most servers' order is often the expected one, or taken pieces of it: look near the last hit first. */
    bool small[256] = {0};
    bool *taken = small;
    struct value_arena arena = {0};
    if (count > ARRAY_LEN(small)) {
        taken = value_alloc(&arena, count);
        memset(taken, 0, count);
    }
    size_t next = 0;
    bool all = true;
    for (size_t i = 0; i < count && all; i++) {
        bool found = false;
        for (size_t n = 0; n < count && !found; n++) {
            size_t j = next + n < count ? next + n : next + n - count;
            if (taken[j]) continue;
            found = true;
            for (size_t k = 0; k < step && found; k++)
                found = model_matches(&wanted->items[i * step + k], &got->items[j * step + k]);
            if (found) {
                taken[j] = true;
                next = j + 1 < count ? j + 1 : 0;
            }
        }
        all = found;
    }
    value_arena_free(&arena);
    return all;
}

static bool matches_items(const struct value *wanted, const struct value *got)
{
    if (wanted->rule == VALUE_UNORDERED) return matches_unordered(wanted, got, 1);
    if (wanted->rule == VALUE_UNORDERED_PAIRS) return matches_unordered(wanted, got, 2);
    if (wanted->count != got->count) return false;
    for (size_t i = 0; i < wanted->count; i++)
        if (!model_matches(&wanted->items[i], &got->items[i])) return false;
    return true;
}

bool model_matches(const struct value *wanted, const struct value *got)
{
    if (wanted == got || wanted->rule == VALUE_ANYTHING) return true;
    if (wanted->rule == VALUE_ONE_OF) {
        for (size_t i = 0; i < wanted->count; i++)
            if (model_matches(&wanted->items[i], got)) return true;
        return false;
    }
    if (wanted->kind != got->kind) return false;
    switch (wanted->kind) {
    case VALUE_INTEGER:
    case VALUE_BOOLEAN:
        if (wanted->rule == VALUE_BETWEEN)
            return got->integer >= wanted->integer && got->integer <= wanted->high;
        return wanted->rule == VALUE_ANY_TEXT || wanted->integer == got->integer;
    case VALUE_NULL:
    case VALUE_NULL_BULK:
    case VALUE_NULL_ARRAY: return true;
    case VALUE_ARRAY:
    case VALUE_MAP:
    case VALUE_SET:
    case VALUE_PUSH:
    case VALUE_ATTRIBUTE: return wanted->rule == VALUE_ANY_TEXT || matches_items(wanted, got);
    default: break;
    }
    if (wanted->rule == VALUE_ANY_TEXT) return true;
    if (wanted->rule == VALUE_PREFIX)
        return got->text.len >= wanted->text.len &&
               memcmp(got->text.ptr, wanted->text.ptr, wanted->text.len) == 0;
    if (wanted->rule == VALUE_SCORE && !slice_equal(wanted->text, got->text)) {
        double score;
        return read_double(wanted->text, &score) &&
               model_score_text_fits(got->text.ptr, got->text.len, score);
    }
    return slice_equal(wanted->text, got->text);
}
