/* SORT and SORT_RO of the model.
 *
 * The elements are laid out in their own order (list, sorted set; a set has none), ordered by a plain
 * comparison, and cut by LIMIT. Elements that compare as equal form a class: within a class the server may
 * choose the order, so the rows it tells must be those of members of the class, each of them once. STORE does
 * not tell what it stored: there equal elements are taken to stay in their own order, which for a set with BY
 * and ALPHA is a guess. */
#include "sim/model_collections.h"

#include <stdlib.h>

#include "sim/model_score.h"

struct element {
    struct slice text;
    struct slice weight; /* ALPHA with BY; ptr NULL: there is none */
    double score;        /* without ALPHA */
    size_t position;
};

struct sort {
    bool read_only, descending, alpha, unsorted;
    struct slice by; /* ptr NULL: none */
    size_t store_at; /* in argv; 0: none */
    size_t *gets;    /* in argv */
    size_t get_count;
    int64_t limit_start, limit_count;
    enum model_type type; /* of what is sorted */
    struct element *elements;
    size_t count;
    size_t first, shown; /* what LIMIT leaves */
};

/* ---------------------------------------------------------------- options */

/* The text up to its first NUL: what Redis searches with C functions. */
static struct slice c_string(struct slice text)
{
    const char *nul = text.len ? memchr(text.ptr, 0, text.len) : NULL;
    return nul ? (struct slice){text.ptr, (size_t)(nul - text.ptr)} : text;
}

static const char *star_of(struct slice pattern)
{
    struct slice searched = c_string(pattern);
    return searched.len ? memchr(searched.ptr, '*', searched.len) : NULL;
}

static const struct value *read_options(struct model_context *c, struct sort *sort)
{
    const struct value *error = NULL;
    sort->limit_count = -1;
    sort->gets = value_alloc(&c->model->arena, argc(c) * sizeof(sort->gets[0]));
    for (size_t i = 2; i < argc(c); i++) {
        size_t left = argc(c) - i - 1;
        if (arg_is(c, i, "ASC")) {
            sort->descending = false;
        } else if (arg_is(c, i, "DESC")) {
            sort->descending = true;
        } else if (arg_is(c, i, "ALPHA")) {
            sort->alpha = true;
        } else if (left >= 2 && arg_is(c, i, "LIMIT")) {
            if (!arg_int64(c, i + 1, &sort->limit_start, &error) ||
                !arg_int64(c, i + 2, &sort->limit_count, &error))
                return error;
            i += 2;
        } else if (left >= 1 && !sort->read_only && arg_is(c, i, "STORE")) {
            sort->store_at = ++i;
        } else if (left >= 1 && arg_is(c, i, "BY")) {
            sort->by = arg(c, ++i);
            if (!star_of(sort->by)) sort->unsorted = true;
        } else if (left >= 1 && arg_is(c, i, "GET")) {
            sort->gets[sort->get_count++] = ++i;
        } else {
            return want_syntax_error(c);
        }
    }
    return NULL;
}

/* ---------------------------------------------------------------- elements */

static void load(struct model_context *c, struct sort *sort, struct model_object *object)
{
    sort->type = object ? object->type : MODEL_LIST;
    if (!object) return;
    struct model_zset *zset = sort->type == MODEL_ZSET ? as_zset(object) : NULL;
    struct texts *texts = sort->type == MODEL_LIST  ? &as_list(object)->items
                          : sort->type == MODEL_SET ? &as_set(object)->members
                                                    : NULL;
    sort->count = zset ? zset->count : texts->count;
    sort->elements = value_alloc(&c->model->arena, (sort->count + 1) * sizeof(sort->elements[0]));
    for (size_t i = 0; i < sort->count; i++) {
        struct slice text = zset ? zset->items[i].member : texts->at[i];
        /* The destination may be the source: keep what is told apart from the value. */
        text = value_bytes(&c->model->arena, text.ptr, text.len);
        sort->elements[i] = (struct element){.text = text, .position = i};
    }
    /* Redis turns what it sorts into a skip list. */
    if (zset) zset->head.big = true;
}

static const char *arrow_after(struct slice searched, const char *from)
{
    const char *end = searched.ptr + searched.len;
    for (const char *at = from; at + 2 < end; at++)
        if (at[0] == '-' && at[1] == '>') return at;
    return NULL;
}

/* What the pattern means for an element: a string's value, a hash's field, or (#) itself. False: there is
 * none. */
static bool look_up(struct model_context *c, struct slice pattern, struct slice element, struct slice *out)
{
    struct slice searched = c_string(pattern);
    if (slice_equal(searched, SLICE("#"))) {
        *out = element;
        return true;
    }
    const char *star = star_of(pattern);
    if (!star) return false;
    const char *arrow = arrow_after(searched, star + 1), *end = pattern.ptr + pattern.len;
    const char *tail_end = arrow ? arrow : end;
    size_t before = (size_t)(star - pattern.ptr), after = (size_t)(tail_end - star - 1);
    char *name = value_alloc(&c->model->arena, before + element.len + after + 1);
    memcpy(name, pattern.ptr, before);
    if (element.len) memcpy(name + before, element.ptr, element.len);
    memcpy(name + before + element.len, star + 1, after);
    struct model_object *object = model_read(c, (struct slice){name, before + element.len + after});
    if (!object || object->type != (arrow ? MODEL_HASH : MODEL_STRING)) return false;
    if (!arrow) {
        *out = as_string(object)->bytes;
        return true;
    }
    struct slice field_name = {arrow + 2, (size_t)(end - arrow - 2)};
    const struct model_field *field = model_hash_get(as_hash(object), field_name, c->now_ms);
    if (field) *out = field->value;
    return field != NULL;
}

/* Finds what each element is ordered by; an error if one is no number. */
static const struct value *weigh(struct model_context *c, struct sort *sort)
{
    bool all_numbers = true;
    for (size_t i = 0; i < sort->count; i++) {
        struct element *element = &sort->elements[i];
        struct slice weight = element->text;
        if (sort->by.ptr && !look_up(c, sort->by, element->text, &weight)) continue;
        if (sort->alpha)
            element->weight = weight;
        else
            all_numbers &= model_bound_parse(weight.ptr, weight.len, &element->score);
    }
    return all_numbers ? NULL : want_error(c, "ERR One or more scores can't be converted into double");
}

/* Texts as this command compares them: stored by all their bytes, told by those before the first NUL. */
static int compare_texts(const struct sort *sort, struct slice a, struct slice b)
{
    return sort->store_at ? bytes_compare(a, b) : bytes_compare(c_string(a), c_string(b));
}

/* 0: the two are of one class. */
static int compare(const struct sort *sort, const struct element *a, const struct element *b)
{
    int order;
    if (sort->unsorted) {
        order = sort->type == MODEL_SET ? 0 : (a->position > b->position) - (a->position < b->position);
    } else if (!sort->alpha) {
        order = a->score != b->score ? (a->score > b->score ? 1 : -1) : bytes_compare(a->text, b->text);
    } else if (a->weight.ptr && b->weight.ptr) {
        order = compare_texts(sort, a->weight, b->weight);
    } else {
        order = (a->weight.ptr != NULL) - (b->weight.ptr != NULL);
    }
    return sort->descending ? -order : order;
}

/* Stable. */
static void order_elements(struct sort *sort)
{
    for (size_t i = 1; i < sort->count; i++) {
        struct element moved = sort->elements[i];
        size_t at = i;
        for (; at > 0 && compare(sort, &sort->elements[at - 1], &moved) > 0; at--)
            sort->elements[at] = sort->elements[at - 1];
        sort->elements[at] = moved;
    }
}

static void cut(struct sort *sort)
{
    uint64_t start = sort->limit_start < 0 ? 0 : (uint64_t)sort->limit_start;
    if (start >= sort->count) return;
    sort->first = (size_t)start;
    sort->shown = sort->count - sort->first;
    if (sort->limit_count >= 0 && (uint64_t)sort->limit_count < sort->shown)
        sort->shown = (size_t)sort->limit_count;
}

/* ---------------------------------------------------------------- the result */

static size_t row_width(const struct sort *sort)
{
    return sort->get_count ? sort->get_count : 1;
}

/* Column `column` of what is told of an element; false: null. */
static bool cell(struct model_context *c, const struct sort *sort, const struct element *element,
                 size_t column, struct slice *out)
{
    *out = element->text;
    return sort->get_count == 0 || look_up(c, arg(c, sort->gets[column]), element->text, out);
}

static const struct value *store(struct model_context *c, const struct sort *sort)
{
    struct model_list *list = as_list(model_list_create());
    for (size_t i = sort->first; i < sort->first + sort->shown; i++)
        for (size_t column = 0; column < row_width(sort); column++) {
            struct slice text;
            bool there = cell(c, sort, &sort->elements[i], column, &text);
            texts_append(&list->items, there ? text : SLICE(""));
        }
    model_list_grew(c->model, list);
    return store_result(c, arg(c, sort->store_at), &list->head, list->items.count);
}

/* What the server may tell of each element: width values. */
static struct value *rows_of(struct model_context *c, const struct sort *sort)
{
    size_t width = row_width(sort);
    struct value *rows = want_array(c, sort->count * width);
    for (size_t i = 0; i < sort->count; i++)
        for (size_t column = 0; column < width; column++) {
            struct slice text;
            bool there = cell(c, sort, &sort->elements[i], column, &text);
            set_item(rows, i * width + column, there ? want_bulk(c, text) : want_null(c));
        }
    return rows;
}

static bool row_matches(const struct value *row, const struct value *got, size_t width)
{
    for (size_t i = 0; i < width; i++)
        if (!model_matches(&row[i], &got[i])) return false;
    return true;
}

/* Row i of the reply is one that its class still has to tell; takes it. */
static bool take_row(const struct sort *sort, const struct value *rows, bool *told, size_t i,
                     const struct value *got)
{
    const struct element *wanted = &sort->elements[i];
    size_t low = i, width = row_width(sort);
    while (low > 0 && compare(sort, &sort->elements[low - 1], wanted) == 0) low--;
    for (size_t at = low; at < sort->count && compare(sort, &sort->elements[at], wanted) == 0; at++) {
        if (told[at] || !row_matches(&rows->items[at * width], got, width)) continue;
        told[at] = true;
        return true;
    }
    return false;
}

static const struct value *tell(struct model_context *c, const struct sort *sort)
{
    size_t width = row_width(sort);
    struct value *rows = rows_of(c, sort), *wanted = want_array(c, sort->shown * width);
    for (size_t i = 0; i < wanted->count; i++) wanted->items[i] = rows->items[sort->first * width + i];
    if (!reply_is_array(c) || c->reply->count != wanted->count) return wanted;
    bool *told = value_alloc(&c->model->arena, sort->count + 1);
    memset(told, 0, sort->count + 1);
    for (size_t i = 0; i < sort->shown; i++)
        if (!take_row(sort, rows, told, sort->first + i, &c->reply->items[i * width])) return wanted;
    return want_accepted(c);
}

static const struct value *run(struct model_context *c, bool read_only)
{
    struct sort sort = {.read_only = read_only};
    const struct value *error = read_options(c, &sort);
    if (error) return error;
    struct model_object *object = model_read(c, arg(c, 1));
    if (object && object->type != MODEL_LIST && object->type != MODEL_SET && object->type != MODEL_ZSET)
        return want_wrong_type(c);
    load(c, &sort, object);
    if (sort.unsorted && sort.type == MODEL_SET && sort.store_at) {
        sort.unsorted = false;
        sort.alpha = true;
        sort.by = (struct slice){NULL, 0};
    }
    error = sort.unsorted ? NULL : weigh(c, &sort);
    if (error) return error;
    order_elements(&sort);
    cut(&sort);
    return sort.store_at ? store(c, &sort) : tell(c, &sort);
}

static const struct value *run_sort(struct model_context *c)
{
    return run(c, false);
}

static const struct value *run_sort_ro(struct model_context *c)
{
    return run(c, true);
}

const struct model_row model_rows_sort[] = {
    {"sort", -2, MODEL_TAKES_MEMORY, run_sort},
    {"sort_ro", -2, 0, run_sort_ro},
    {NULL, 0, 0, NULL},
};
