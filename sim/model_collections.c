/* What lists, sets, sorted sets and streams of the model share: arrays of bytes, ranges of indices, judging
 * members in any order, element scans. See model_collections.h. */
#include "sim/model_collections.h"

#include <stdlib.h>

#include "sim/model_score.h"

/* ---------------------------------------------------------------- arrays of owned bytes */

void texts_insert(struct texts *texts, size_t i, struct slice text)
{
    CHECK(i <= texts->count);
    if (texts->count == texts->capacity) {
        texts->capacity = texts->capacity ? 2 * texts->capacity : 8;
        texts->at = realloc(texts->at, texts->capacity * sizeof(texts->at[0]));
        CHECK(texts->at != NULL);
    }
    struct slice copy = bytes_copy(text);
    memmove(&texts->at[i + 1], &texts->at[i], (texts->count - i) * sizeof(texts->at[0]));
    texts->at[i] = copy;
    texts->count++;
}

void texts_append(struct texts *texts, struct slice text)
{
    texts_insert(texts, texts->count, text);
}

void texts_remove(struct texts *texts, size_t i)
{
    CHECK(i < texts->count);
    bytes_free(texts->at[i]);
    texts->count--;
    memmove(&texts->at[i], &texts->at[i + 1], (texts->count - i) * sizeof(texts->at[0]));
}

void texts_free(struct texts *texts)
{
    for (size_t i = 0; i < texts->count; i++) bytes_free(texts->at[i]);
    free(texts->at);
    *texts = (struct texts){0};
}

void texts_copy(struct texts *to, const struct texts *from)
{
    *to = (struct texts){0};
    for (size_t i = 0; i < from->count; i++) texts_append(to, from->at[i]);
}

static size_t find_sorted(const struct slice *at, size_t count, struct slice text, bool *found)
{
    size_t low = 0, high = count;
    *found = false;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = bytes_compare(at[middle], text);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t texts_find(const struct texts *texts, struct slice text, bool *found)
{
    return find_sorted(texts->at, texts->count, text, found);
}

/* ---------------------------------------------------------------- arguments and results */

bool range_of(int64_t start, int64_t stop, size_t count, size_t *first, size_t *last)
{
    int64_t n = (int64_t)count;
    if (start < 0) start = start + n < 0 ? 0 : start + n;
    if (stop < 0) stop += n;
    if (stop >= n) stop = n - 1;
    if (start > stop || start >= n) return false;
    *first = (size_t)start;
    *last = (size_t)stop;
    return true;
}

void settle_emptied(struct model_context *c, struct slice key, bool empty)
{
    if (empty)
        model_drop(c, key);
    else
        model_touch(c, key);
}

const struct value *store_result(struct model_context *c, struct slice key, struct model_object *object,
                                 size_t count)
{
    if (count) {
        model_put(c, key, object);
    } else {
        model_type_ops(object->type)->destroy(object);
        model_drop(c, key);
    }
    return want_integer(c, (int64_t)count);
}

static const struct value *score_node(struct model_context *c, enum value_kind kind, double score)
{
    char text[MODEL_SCORE_TEXT_MAX];
    struct slice formatted = {text, model_score_format(score, text)};
    struct value *v = (struct value *)want_bulk(c, formatted);
    v->kind = (uint8_t)kind;
    v->rule = VALUE_SCORE;
    return v;
}

const struct value *want_score(struct model_context *c, double score)
{
    return score_node(c, c->resp == 3 ? VALUE_DOUBLE : VALUE_BULK, score);
}

const struct value *want_score_text(struct model_context *c, double score)
{
    return score_node(c, VALUE_BULK, score);
}

/* ---------------------------------------------------------------- members in any order */

static int order_of_slices(const void *a, const void *b)
{
    return bytes_compare(*(const struct slice *)a, *(const struct slice *)b);
}

/* The texts that came, sorted; NULL if one of them is no bulk. */
static struct slice *sorted_texts(struct model_context *c, const struct value *got, size_t step)
{
    size_t count = got->count / step;
    struct slice *texts = value_alloc(&c->model->arena, (count + 1) * sizeof(texts[0]));
    for (size_t i = 0; i < count; i++) {
        if (got->items[i * step].kind != VALUE_BULK) return NULL;
        texts[i] = got->items[i * step].text;
    }
    if (count > 1) qsort(texts, count, sizeof(texts[0]), order_of_slices);
    return texts;
}

static const char *about(struct model_context *c, const char *what, struct slice member)
{
    char shown[120];
    return text_printf(c, "%s: %s%c", what, value_print_bytes(member, 30, shown, sizeof(shown)), 0).ptr;
}

const char *judge_some(struct model_context *c, const struct value *got, const struct slice *members,
                       size_t count, size_t many, bool repeats)
{
    if (got->count != many) return text_printf(c, "has %zu items instead of %zu%c", got->count, many, 0).ptr;
    struct slice *texts = sorted_texts(c, got, 1);
    if (!texts) return "has items that are no bulks";
    for (size_t i = 0; i < many; i++) {
        bool found;
        if (!repeats && i && slice_equal(texts[i - 1], texts[i])) return about(c, "says twice", texts[i]);
        find_sorted(members, count, texts[i], &found);
        if (!found) return about(c, "is no member", texts[i]);
    }
    return NULL;
}

const char *judge_members(struct model_context *c, const struct value *got, const struct slice *members,
                          size_t count)
{
    return judge_some(c, got, members, count, count, false);
}

const struct value *reply_members(struct model_context *c, const struct slice *members, size_t count)
{
    struct value *wanted = want_set(c, count);
    if (reply_is_set(c)) {
        const char *why = judge_members(c, c->reply, members, count);
        if (!why) return want_accepted(c);
        return model_refuse(c, "%s (of %zu members)", why, count);
    }
    for (size_t i = 0; i < count; i++) set_item(wanted, i, want_bulk(c, members[i]));
    return unordered(wanted);
}

/* ---------------------------------------------------------------- iterations */

void scan_watches_forget(struct scan_watches *watches, struct slice member)
{
    for (size_t i = 0; i < watches->count; i++) {
        bool found;
        size_t at = texts_find(&watches->watch[i].owed, member, &found);
        if (found) texts_remove(&watches->watch[i].owed, at);
    }
}

static void watch_drop(struct scan_watches *watches, size_t i)
{
    texts_free(&watches->watch[i].owed);
    bytes_free(watches->watch[i].pattern);
    watches->count--;
    memmove(&watches->watch[i], &watches->watch[i + 1], (watches->count - i) * sizeof(watches->watch[0]));
}

void scan_watches_free(struct scan_watches *watches)
{
    while (watches->count) watch_drop(watches, watches->count - 1);
}

void scan_watches_copy(struct scan_watches *to, const struct scan_watches *from)
{
    to->count = from->count;
    for (size_t i = 0; i < from->count; i++) {
        to->watch[i].cursor = from->watch[i].cursor;
        to->watch[i].pattern = bytes_copy(from->watch[i].pattern);
        texts_copy(&to->watch[i].owed, &from->watch[i].owed);
    }
}

/* The only watch of this cursor and pattern, or -1. */
static int watch_find(const struct scan_watches *watches, uint64_t cursor, struct slice pattern)
{
    for (size_t i = 0; i < watches->count; i++)
        if (watches->watch[i].cursor == cursor && slice_equal(watches->watch[i].pattern, pattern))
            return (int)i;
    return -1;
}

bool read_cursor(struct slice text, uint64_t *cursor)
{
    char copy[24], *end;
    int64_t number;
    if (read_int64(text, &number)) {
        *cursor = (uint64_t)number;
        return number >= 0;
    }
    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.ptr, 0, text.len)) return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    unsigned long long value = strtoull(copy, &end, 10);
    *cursor = value;
    return *end == 0 && (value != UINT64_MAX || strcmp(copy, "18446744073709551615") == 0);
}

bool read_element_scan(struct model_context *c, enum model_type type, struct scan_options *options,
                       struct model_object **object, const struct value **reply)
{
    *options = (struct scan_options){.pattern = SLICE("*")};
    *reply = NULL;
    if (!read_cursor(arg(c, 2), &options->cursor)) {
        *reply = want_error(c, "ERR invalid cursor");
        return false;
    }
    *object = model_typed(c, arg(c, 1), type, reply);
    if (*reply) return false;
    if (*object == NULL) {
        struct value *nothing = want_array(c, 2);
        set_item(nothing, 0, want_text(c, "0"));
        set_item(nothing, 1, want_array(c, 0));
        *reply = nothing;
        return false;
    }
    for (size_t i = 3; i < argc(c) && !*reply; i += 2) {
        int64_t count;
        bool more = i + 1 < argc(c);
        if (more && arg_is(c, i, "COUNT")) {
            if (arg_int64(c, i + 1, &count, reply) && count < 1) *reply = want_syntax_error(c);
        } else if (more && arg_is(c, i, "MATCH")) {
            options->pattern = arg(c, i + 1);
        } else if (arg_is(c, i, "NOVALUES") && type == MODEL_HASH) {
            options->no_values = true;
            i--;
        } else if (arg_is(c, i, "NOVALUES")) {
            *reply = want_error(c, "ERR NOVALUES option can only be used in HSCAN");
        } else {
            *reply = want_syntax_error(c);
        }
    }
    return *reply == NULL;
}

/* In ZSCAN a listpack shows a score as ZSCORE does, a skip list with 17 digits at most. */
static bool is_scanned_score(struct model_context *c, double score, const struct value *got)
{
    struct slice digits = text_printf(c, "%.17Lg", (long double)score);
    if (got->kind == VALUE_BULK && slice_equal(got->text, digits)) return true;
    return model_matches(want_score_text(c, score), got);
}

static bool pattern_takes(struct slice pattern, struct slice member)
{
    return slice_equal(pattern, SLICE("*")) || glob_matches(pattern, member);
}

/* Every item told is a member that the pattern takes, with its score, and none came twice. */
static const char *judge_told(struct model_context *c, const struct value *told, struct slice pattern,
                              const struct slice *members, const double *scores, size_t count)
{
    size_t step = scores ? 2 : 1;
    if (told->count % step) return "has half a pair";
    struct slice *texts = sorted_texts(c, told, step);
    if (!texts) return "has members that are no bulks";
    for (size_t i = 1; i < told->count / step; i++)
        if (slice_equal(texts[i - 1], texts[i])) return about(c, "says twice", texts[i]);
    for (size_t i = 0; i < told->count; i += step) {
        bool found;
        struct slice member = told->items[i].text;
        size_t at = find_sorted(members, count, member, &found);
        if (!found) return about(c, "is no member", member);
        if (!pattern_takes(pattern, member)) return about(c, "is not what MATCH says", member);
        if (scores && !is_scanned_score(c, scores[at], &told->items[i + 1]))
            return about(c, "has another score", member);
    }
    return NULL;
}

/* What the iteration owes before this call: for cursor 0 everything, else what its watch says. False:
 * unknown. */
static bool owed_before(struct scan_watches *watches, const struct scan_options *options,
                        const struct slice *members, size_t count, struct texts *owed)
{
    *owed = (struct texts){0};
    if (options->cursor == 0) {
        for (size_t i = 0; i < count; i++)
            if (pattern_takes(options->pattern, members[i])) texts_append(owed, members[i]);
        return true;
    }
    int at = watch_find(watches, options->cursor, options->pattern);
    if (at < 0) return false;
    texts_copy(owed, &watches->watch[at].owed);
    watch_drop(watches, (size_t)at);
    return true;
}

const struct value *judge_element_scan(struct model_context *c, struct scan_watches *watches,
                                       const struct scan_options *options, const struct slice *members,
                                       const double *scores, size_t count)
{
    uint64_t next;
    struct texts owed;
    const struct value *got = c->reply;
    if (!got) return want_accepted(c);
    if (!reply_is_array(c) || got->count != 2 || got->items[0].kind != VALUE_BULK ||
        got->items[1].kind != VALUE_ARRAY)
        return model_refuse(c, "wanted a cursor and an array");
    if (!read_cursor(got->items[0].text, &next)) return model_refuse(c, "wanted a number as cursor");
    const char *why = judge_told(c, &got->items[1], options->pattern, members, scores, count);
    if (why) return model_refuse(c, "%s", why);
    if (!owed_before(watches, options, members, count, &owed)) return want_accepted(c);
    for (size_t i = 0; i < got->items[1].count; i += scores ? 2 : 1) {
        bool found;
        size_t at = texts_find(&owed, got->items[1].items[i].text, &found);
        if (found) texts_remove(&owed, at);
    }
    if (next == 0 && owed.count) {
        const struct value *refusal = model_refuse(
            c, "%s", about(c, "the iteration ends without a member that was there all the time", owed.at[0]));
        texts_free(&owed);
        return refusal;
    }
    if (next == 0) {
        texts_free(&owed);
        return want_accepted(c);
    }
    /* Iterations at the same place: the server cannot tell them apart, so the next call owes what either
     * lacks. */
    int same = watch_find(watches, next, options->pattern);
    if (same >= 0) {
        const struct texts *others = &watches->watch[same].owed;
        for (size_t i = 0; i < others->count; i++) {
            bool found;
            size_t at = texts_find(&owed, others->at[i], &found);
            if (!found) texts_insert(&owed, at, others->at[i]);
        }
        watch_drop(watches, (size_t)same);
    }
    if (watches->count == SCAN_WATCHES_MAX) watch_drop(watches, 0);
    watches->watch[watches->count++] =
        (struct scan_watch){.cursor = next, .pattern = bytes_copy(options->pattern), .owed = owed};
    return want_accepted(c);
}
