/* SORT and SORT_RO: elements of a list, set or sorted set in order of themselves or of other keys' values
 * (BY), shown as themselves or as other keys' values (GET), replied or stored as a list (STORE).
 *
 * The elements and weights are slices into the values, which do not change until the reply is written; what
 * has no bytes of its own (integers) is formatted into `arena`. With BY or GET patterns the executor has
 * borrowed all partitions, as the keys are known only here.
 *
 * Order: by number, ties by bytes; ALPHA by bytes (Redis: by the locale, unless it stores); ties by BY
 * weights keep the order in which the elements come. DESC turns the comparison around, not the ties. A set
 * that is stored unsorted (BY without '*') is sorted by bytes, as Redis does, so that the result is
 * determined. Compared with a real Redis by test/differential. Cost: O(n log n), 48 bytes per element while
 * it runs.
 */
#include "command/command.h"

#include "base/mutant.h"
#include <stdlib.h>

#include "command/hash.h"
#include "store/build.h"
#include "types/list.h"
#include "types/set.h"
#include "types/zset.h"

struct sort_element {
    struct slice text;
    struct slice weight; /* ALPHA with BY; ptr NULL: the key is missing */
    double score;        /* without ALPHA */
    uint64_t position;   /* as it came */
};

struct sort_chunk {
    struct sort_chunk *next;
    size_t used, size;
    char bytes[];
};

struct sort {
    struct command_context *ctx;
    bool read_only;
    /* options */
    bool desc, alpha, unsorted;
    struct slice by; /* ptr NULL: none */
    int64_t limit_start, limit_count;
    int store_at; /* argv index of STORE's key; 0: none */
    int gets;
    /* elements */
    struct sort_element *elements;
    uint64_t count;
    uint64_t first, shown; /* what LIMIT leaves */
    struct sort_chunk *arena;
    char *buffer; /* for a key's name or a number's text */
    size_t buffer_len;
    bool failed; /* out of memory */
};

/* ---- memory for the time of the command ---- */

static char *arena_take(struct sort *sort, size_t len)
{
    struct sort_chunk *chunk = sort->arena;
    if (!chunk || chunk->size - chunk->used < len) {
        size_t size = len > 16000 ? len : 16000;
        chunk = malloc(sizeof *chunk + size);
        if (!chunk) {
            sort->failed = true;
            return NULL;
        }
        *chunk = (struct sort_chunk){.next = sort->arena, .size = size};
        sort->arena = chunk;
    }
    chunk->used += len;
    return chunk->bytes + chunk->used - len;
}

/* Bytes that outlive the scratch space they are in. */
static struct slice arena_copy(struct sort *sort, struct slice text)
{
    char *bytes = arena_take(sort, text.len);
    if (!bytes) return (struct slice){"", 0};
    memcpy(bytes, text.ptr, text.len);
    return (struct slice){bytes, text.len};
}

/* Room for `len` bytes until the next call. */
static char *buffer_take(struct sort *sort, size_t len)
{
    if (len > sort->buffer_len) {
        char *grown = realloc(sort->buffer, len * 2);
        sort->failed |= !grown;
        if (!grown) return NULL;
        sort->buffer = grown;
        sort->buffer_len = len * 2;
    }
    return sort->buffer;
}

static void sort_free(struct sort *sort)
{
    while (sort->arena) {
        struct sort_chunk *next = sort->arena->next;
        free(sort->arena);
        sort->arena = next;
    }
    free(sort->elements);
    free(sort->buffer);
}

/* ---- options ---- */

static bool parse_options(struct sort *sort)
{
    struct command_context *ctx = sort->ctx;
    sort->limit_count = -1;
    for (int i = 2; i < ctx->argc; i++) {
        int left = ctx->argc - i - 1;
        if (command_arg_is(ctx, i, "ASC")) {
            sort->desc = false;
        } else if (command_arg_is(ctx, i, "DESC")) {
            sort->desc = true;
        } else if (command_arg_is(ctx, i, "ALPHA")) {
            sort->alpha = true;
        } else if (command_arg_is(ctx, i, "LIMIT") && left >= 2) {
            if (!command_arg_int(ctx, i + 1, &sort->limit_start) ||
                !command_arg_int(ctx, i + 2, &sort->limit_count))
                return false;
            i += 2;
        } else if (!sort->read_only && command_arg_is(ctx, i, "STORE") && left >= 1) {
            sort->store_at = ++i;
        } else if (command_arg_is(ctx, i, "BY") && left >= 1) {
            sort->by = ctx->argv[++i];
            if (!memchr(sort->by.ptr, '*', sort->by.len)) sort->unsorted = true;
        } else if (command_arg_is(ctx, i, "GET") && left >= 1) {
            sort->gets++;
            i++;
        } else {
            command_error_syntax(ctx);
            return false;
        }
    }
    return true;
}

/* ---- elements ---- */

static void push(struct sort *sort, struct slice text)
{
    sort->elements[sort->count] = (struct sort_element){.text = text, .position = sort->count};
    sort->count++;
}

static void load_list(struct sort *sort, const struct value *list)
{
    struct list_iter iter;
    struct slice text;
    bool backward = sort->unsorted && sort->desc;
    list_iter_seek(list, backward ? list_count(list) : 0, &iter);
    while (backward ? list_iter_prev(&iter, &text) : list_iter_next(&iter, &text)) push(sort, text);
}

static void load_set(struct sort *sort, const struct value *set)
{
    struct set_iter iter;
    struct slice text;
    set_iter_begin(&iter, set);
    while (set_iter_next(&iter, &text)) {
        bool in_scratch = text.ptr >= iter.scratch && text.ptr < iter.scratch + sizeof iter.scratch;
        push(sort, in_scratch ? arena_copy(sort, text) : text);
    }
}

static void load_zset(struct sort *sort, struct value *zset)
{
    struct zset_iter iter;
    struct slice text;
    double score;
    bool backward = sort->unsorted && sort->desc;
    zset_encoding_skiplist(zset); /* as clients of Redis see it afterwards */
    zset_iter_seek(zset, backward ? zset_count(zset) : 0, &iter);
    while (backward ? zset_iter_prev(&iter, &text, &score) : zset_iter_next(&iter, &text, &score))
        push(sort, text);
}

/* False after an error was replied. */
static bool load(struct sort *sort)
{
    struct entry entry;
    if (!command_open_read(sort->ctx, 1, &entry)) return true;
    enum item_type type = item_type(entry.item);
    if (type != ITEM_LIST && type != ITEM_SET && type != ITEM_ZSET) {
        command_error_wrong_type(sort->ctx);
        return false;
    }
    sort->elements = malloc(entry_count(&entry) * sizeof sort->elements[0]);
    if (!sort->elements) {
        command_out_of_memory(sort->ctx);
        return false;
    }
    if (sort->unsorted && type == ITEM_SET && sort->store_at) {
        sort->unsorted = false;
        sort->alpha = true;
        sort->by.ptr = NULL;
    }
    switch (type) {
    case ITEM_LIST: load_list(sort, &entry.value); break;
    case ITEM_SET: load_set(sort, &entry.value); break;
    default: load_zset(sort, &entry.value);
    }
    return true;
}

/* ---- other keys' values ---- */

/* The value that a pattern names for an element: '#' is the element, "a*b" the string at that key, "a*b->f" a
 * hash's field. An integer's text is in `scratch`. False: there is none. */
static bool look_up(struct sort *sort, struct slice pattern, struct slice element, char *scratch,
                    struct slice *value)
{
    if (slice_equal(pattern, SLICE("#"))) {
        *value = element;
        return true;
    }
    const char *star = memchr(pattern.ptr, '*', pattern.len);
    if (!star) return false;
    const char *end = pattern.ptr + pattern.len, *behind = star + 1;
    const char *arrow = memmem(behind, (size_t)(end - behind), "->", 2);
    struct slice field = {NULL, 0};
    if (arrow && arrow + 2 < end) {
        field = (struct slice){arrow + 2, (size_t)(end - arrow - 2)};
        end = arrow;
    }
    size_t prefix_len = (size_t)(star - pattern.ptr), postfix_len = (size_t)(end - behind);
    char *name = buffer_take(sort, prefix_len + element.len + postfix_len + 1);
    if (!name) return false;
    memcpy(name, pattern.ptr, prefix_len);
    memcpy(name + prefix_len, element.ptr, element.len);
    memcpy(name + prefix_len + element.len, behind, postfix_len);
    struct command_context *ctx = sort->ctx;
    struct entry entry;
    bool found = command_open_in_db(ctx, (struct slice){name, prefix_len + element.len + postfix_len},
                                    ctx->db, &entry);
    ctx->env->stats.keyspace_hits += found;
    ctx->env->stats.keyspace_misses += !found;
    if (!found) return false;
    if (field.ptr) {
        struct hash_field held;
        if (item_type(entry.item) != ITEM_HASH || !hash_get(ctx, &entry, field, &held)) return false;
        *value = held.value;
        return true;
    }
    if (item_type(entry.item) != ITEM_STRING) return false;
    *value = entry_string(&entry, scratch);
    return true;
}

/* ---- order ---- */

static size_t skip_digits(struct slice text, size_t at)
{
    while (at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9') at++;
    return at;
}

/* What Redis 8 takes for a number here: decimal with an optional sign, point and exponent, "inf", "infinity";
 * nothing at all is 0. What is too large or small becomes infinite or 0. */
static bool is_score(struct slice text)
{
    size_t at = text.len && (text.ptr[0] == '-' || text.ptr[0] == '+');
    struct slice rest = {text.ptr + at, text.len - at};
    if (text.len == 0 || slice_is_word(rest, "inf") || slice_is_word(rest, "infinity")) return true;
    size_t digits = skip_digits(text, at) - at;
    at += digits;
    if (at < text.len && text.ptr[at] == '.') {
        size_t end = skip_digits(text, at + 1);
        digits += end - at - 1;
        at = end;
    }
    if (digits && at < text.len && (text.ptr[at] | 0x20) == 'e') {
        at++;
        if (at < text.len && (text.ptr[at] == '-' || text.ptr[at] == '+')) at++;
        size_t end = skip_digits(text, at);
        return end > at && end == text.len;
    }
    return digits && at == text.len;
}

static bool parse_score(struct sort *sort, struct slice text, double *score)
{
    const char *nul = memchr(text.ptr, 0, text.len); /* Redis's text ends there */
    if (nul) text.len = (size_t)(nul - text.ptr);
    if (!is_score(text)) return false;
    char *copy = buffer_take(sort, text.len + 1);
    if (!copy) return true; /* `failed` says it */
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    *score = strtod(copy, NULL);
    return true;
}

static bool weigh(struct sort *sort)
{
    bool valid = true;
    for (uint64_t i = 0; i < sort->count; i++) {
        struct sort_element *element = &sort->elements[i];
        struct slice weight = element->text;
        char scratch[NUMBER_I64_MAX + 1];
        bool has = !sort->by.ptr || look_up(sort, sort->by, element->text, scratch, &weight);
        if (has && sort->alpha && weight.ptr == scratch) weight = arena_copy(sort, weight);
        if (sort->alpha)
            element->weight = has ? weight : (struct slice){NULL, 0};
        else if (has)
            valid &= parse_score(sort, weight, &element->score);
    }
    return valid;
}

static int compare_bytes(struct slice a, struct slice b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.ptr, b.ptr, len) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int by_number(const void *left, const void *right)
{
    const struct sort_element *a = left, *b = right;
    if (a->score != b->score) return a->score > b->score ? 1 : -1;
    return compare_bytes(a->text, b->text);
}

static int by_weight(const void *left, const void *right)
{
    const struct sort_element *a = left, *b = right;
    if (!a->weight.ptr || !b->weight.ptr) return (a->weight.ptr != NULL) - (b->weight.ptr != NULL);
    return compare_bytes(a->weight, b->weight);
}

static int in_order(const struct sort_element *a, const struct sort_element *b)
{
    return (a->position > b->position) - (a->position < b->position);
}

/* qsort() knows no context, hence one function for each way. */
static int ascending_number(const void *a, const void *b)
{
    int order = by_number(a, b);
    return order ? order : in_order(a, b);
}

static int descending_number(const void *a, const void *b)
{
    int order = by_number(b, a);
    return order ? order : in_order(a, b);
}

static int ascending_weight(const void *a, const void *b)
{
    int order = by_weight(a, b);
    return order ? order : in_order(a, b);
}

static int descending_weight(const void *a, const void *b)
{
    int order = by_weight(b, a);
    return order ? order : in_order(a, b);
}

static void put_in_order(struct sort *sort)
{
    if (sort->count == 0) return;
    qsort(sort->elements, sort->count, sizeof sort->elements[0],
          sort->alpha ? (sort->desc ? descending_weight : ascending_weight)
                      : (sort->desc ? descending_number : ascending_number));
}

static void limit(struct sort *sort)
{
    uint64_t first = sort->limit_start > 0 ? (uint64_t)sort->limit_start : 0;
    if (first > sort->count) first = sort->count;
    uint64_t left = sort->count - first;
    sort->first = first;
    sort->shown =
        sort->limit_count >= 0 && (uint64_t)sort->limit_count < left ? (uint64_t)sort->limit_count : left;
}

/* ---- result ---- */

/* Calls `put` for each value of the result; a missing one has ptr NULL. False as soon as put() is. */
static bool each_value(struct sort *sort, bool (*put)(void *context, struct slice value), void *context)
{
    struct command_context *ctx = sort->ctx;
    for (uint64_t i = sort->first; i < sort->first + sort->shown; i++) {
        struct slice element = sort->elements[i].text;
        if (!sort->gets && !put(context, element)) return false;
        for (int a = 2; sort->gets && a < ctx->argc; a++) {
            if (command_arg_is(ctx, a, "LIMIT")) {
                a += 2;
            } else if (command_arg_is(ctx, a, "BY") || command_arg_is(ctx, a, "STORE")) {
                a++;
            } else if (command_arg_is(ctx, a, "GET")) {
                struct slice value;
                char scratch[NUMBER_I64_MAX + 1];
                if (!look_up(sort, ctx->argv[++a], element, scratch, &value)) value = (struct slice){NULL, 0};
                if (!put(context, value)) return false;
            }
        }
    }
    return true;
}

static bool put_reply(void *context, struct slice value)
{
    if (value.ptr)
        reply_bulk_slice(context, value);
    else
        reply_null(context);
    return true;
}

static bool put_list(void *context, struct slice value)
{
    if (!value.ptr) value = SLICE("");
    return list_push(context, LIST_TAIL, &value, 1) == VALUE_OK;
}

static void store(struct sort *sort, uint64_t result_len)
{
    struct command_context *ctx = sort->ctx;
    struct entry target;
    struct build build;
    command_open(ctx, sort->store_at, &target);
    if (result_len == 0) {
        if (target.item && !MUTANT(sort_store_keeps_target)) mutate_key_delete(&target, RECORD_DELETED);
        reply_integer(ctx->reply, 0);
        return;
    }
    build_begin(&build, target.partition, ITEM_LIST, LIST_EMPTY_AREA, list_free);
    bool built = each_value(sort, put_list, &build.value) && !sort->failed;
    if (built) list_encoding_settle(&build.value, (int)ctx->config->list_max_listpack_size);
    command_open(ctx, sort->store_at, &target); /* the look-ups may have met expired keys */
    if (built && build_store(&build, &target) == VALUE_OK) {
        reply_integer(ctx->reply, (int64_t)result_len);
        return;
    }
    build_drop(&build);
    command_out_of_memory(ctx);
}

static void run(struct sort *sort)
{
    struct command_context *ctx = sort->ctx;
    if (!parse_options(sort) || !load(sort)) return;
    bool valid = sort->unsorted || weigh(sort);
    if (valid && !sort->unsorted) put_in_order(sort);
    limit(sort);
    uint64_t result_len = sort->shown * (uint64_t)(sort->gets ? sort->gets : 1);
    if (sort->failed) {
        command_out_of_memory(ctx);
    } else if (!valid) {
        reply_error(ctx->reply, "ERR One or more scores can't be converted into double");
    } else if (sort->store_at) {
        store(sort, result_len);
    } else {
        reply_array(ctx->reply, result_len);
        each_value(sort, put_reply, ctx->reply);
        ctx->reply->failed |= sort->failed;
    }
}

void cmd_sort(struct command_context *ctx)
{
    struct sort sort = {.ctx = ctx};
    run(&sort);
    sort_free(&sort);
}

void cmd_sort_ro(struct command_context *ctx)
{
    struct sort sort = {.ctx = ctx, .read_only = true};
    run(&sort);
    sort_free(&sort);
}
