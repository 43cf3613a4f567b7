/* Streams of the model: XADD XDEL XLEN XRANGE XREVRANGE XTRIM. A stream is an array of entries by ID; unlike
 * other collections an empty one exists, and remembers its last ID.
 *
 * Trimming with '~' may leave more than it was told to, and XADD does not say how much. So a stream knows how
 * many of its first entries *may* be gone (`maybe`): the server's stream begins at one of the entries 0 ...
 * maybe. Every reply is judged for each of these beginnings, those that could not have given it are struck
 * out, and it is wrong if none is left. The beginnings that could have given a reply are always neighbours.
 *
 * IDs: '*' is the time of the command, or the last ID and one if that is not less; 'ms-*' likewise within its
 * ms. */
#include "sim/model_collections.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* Redis trims with '~' by whole nodes, of so many entries at most: more than that does not stay. */
#define NODE_ENTRIES_MAX 100
/* How much one call trims with '~' when LIMIT does not say. */
#define TRIM_LIMIT (100 * NODE_ENTRIES_MAX)

/* ---------------------------------------------------------------- the value */

struct model_object *model_stream_create(void)
{
    struct model_stream *stream = calloc(1, sizeof(*stream));
    CHECK(stream != NULL);
    stream->head.type = MODEL_STREAM;
    return &stream->head;
}

void model_stream_destroy(struct model_object *object)
{
    struct model_stream *stream = as_stream(object);
    for (size_t i = 0; i < stream->count; i++) texts_free(&stream->entries[i].words);
    free(stream->entries);
    free(stream);
}

struct model_object *model_stream_copy(const struct model_object *object)
{
    const struct model_stream *from = (const struct model_stream *)object;
    struct model_stream *to = as_stream(model_stream_create());
    to->head = from->head;
    to->last = from->last;
    to->maybe = from->maybe;
    to->count = from->count;
    to->capacity = from->count + 1;
    to->entries = malloc(to->capacity * sizeof(to->entries[0]));
    CHECK(to->entries != NULL);
    for (size_t i = 0; i < from->count; i++) {
        to->entries[i].id = from->entries[i].id;
        texts_copy(&to->entries[i].words, &from->entries[i].words);
    }
    return &to->head;
}

void model_stream_encodings(const struct model *model, const struct model_object *object,
                            const char *names[4])
{
    names[0] = "stream";
    names[1] = NULL;
}

void model_stream_print(const struct model_object *object, FILE *out)
{
    const struct model_stream *stream = (const struct model_stream *)object;
    char text[256];
    fprintf(out, "%zu, the first %zu perhaps gone, last %" PRIu64 "-%" PRIu64 ":", stream->count,
            stream->maybe, stream->last.ms, stream->last.seq);
    for (size_t i = 0; i < stream->count; i++) {
        const struct model_entry *entry = &stream->entries[i];
        fprintf(out, " %" PRIu64 "-%" PRIu64, entry->id.ms, entry->id.seq);
        for (size_t w = 0; w < entry->words.count; w++)
            fprintf(out, "%c%s", w ? ' ' : '(',
                    value_print_bytes(entry->words.at[w], 30, text, sizeof(text)));
        fprintf(out, ")");
    }
}

static int order_of(struct model_stream_id a, struct model_stream_id b)
{
    if (a.ms != b.ms) return a.ms < b.ms ? -1 : 1;
    return (a.seq > b.seq) - (a.seq < b.seq);
}

static void remove_entry(struct model_stream *stream, size_t i)
{
    texts_free(&stream->entries[i].words);
    stream->count--;
    memmove(&stream->entries[i], &stream->entries[i + 1], (stream->count - i) * sizeof(stream->entries[0]));
    if (i < stream->maybe) stream->maybe--;
}

static void remove_first(struct model_stream *stream, size_t many)
{
    while (many--) remove_entry(stream, 0);
}

static struct model_stream *stream_at(struct model_context *c, struct slice key, const struct value **error)
{
    struct model_object *object = model_typed(c, key, MODEL_STREAM, error);
    return object ? as_stream(object) : NULL;
}

/* ---------------------------------------------------------------- beginnings */

/* Strikes out the beginnings for which `want` expects another reply than the one that came. Returns what was
 * wanted (of the last beginning tried, if no one fits). */
static const struct value *observe(struct model_context *c, struct model_stream *stream,
                                   const struct value *(*want)(struct model_context *c,
                                                               const struct model_stream *stream,
                                                               size_t begin, const void *what),
                                   const void *what)
{
    const struct value *wanted = NULL;
    size_t fits = 0, first = 0, last = 0;
    for (size_t begin = 0; begin <= stream->maybe; begin++) {
        wanted = want(c, stream, begin, what);
        if (!c->reply) return wanted;
        if (!model_matches(wanted, c->reply)) continue;
        if (fits++ == 0) first = begin;
        last = begin;
    }
    if (!fits) return wanted;
    CHECK(last - first + 1 == fits);
    stream->maybe = last;
    remove_first(stream, first);
    return want_accepted(c);
}

/* ---------------------------------------------------------------- IDs */

/* As Redis reads a half of an ID: what strtoull takes, but for a plain negative number. */
static bool read_half(const char *text, uint64_t *out)
{
    char *end;
    int64_t number;
    if (read_int64((struct slice){text, strlen(text)}, &number)) {
        *out = (uint64_t)number;
        return number >= 0;
    }
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && *text != 0 && *end == 0;
}

/* ms-seq, ms (seq is then `missing`), and if auto_seq is given ms-*. */
static bool read_id(struct slice text, uint64_t missing, struct model_stream_id *id, bool *auto_seq)
{
    char copy[128];
    if (text.len > sizeof(copy) - 1) return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    if (!strcmp(copy, "-") || !strcmp(copy, "+")) return false;
    char *dash = strchr(copy, '-');
    if (dash) *dash = 0;
    if (!read_half(copy, &id->ms)) return false;
    id->seq = missing;
    if (!dash) return true;
    if (auto_seq && !strcmp(dash + 1, "*")) {
        *auto_seq = true;
        id->seq = 0;
        return true;
    }
    return read_half(dash + 1, &id->seq);
}

static const struct value *want_bad_id(struct model_context *c)
{
    return want_error(c, "ERR Invalid stream ID specified as stream command argument");
}

static struct slice text_of_id(struct model_context *c, struct model_stream_id id)
{
    return text_printf(c, "%" PRIu64 "-%" PRIu64, id.ms, id.seq);
}

/* The next ID; false if there is none. */
static bool next_id(struct model_stream_id *id)
{
    if (id->seq++ != UINT64_MAX) return true;
    return id->ms++ != UINT64_MAX;
}

static bool previous_id(struct model_stream_id *id)
{
    if (id->seq-- != 0) return true;
    return id->ms-- != 0;
}

/* ---------------------------------------------------------------- options of XADD and XTRIM */

enum trim { NO_TRIM, TRIM_MAXLEN, TRIM_MINID };

struct stream_options {
    enum trim trim;
    bool about; /* '~' */
    int64_t max_len, limit;
    bool limited; /* LIMIT was given */
    struct model_stream_id min_id;
    bool no_create;
    bool auto_id, auto_seq;
    struct model_stream_id id;
    size_t next; /* XADD: argv index behind the ID */
};

static bool is_only(struct slice text, char what)
{
    return text.len > 0 && text.ptr[0] == what && (text.len == 1 || text.ptr[1] == 0);
}

/* MAXLEN and MINID at argv[*i]; moves *i to the threshold. */
static const struct value *read_trim(struct model_context *c, struct stream_options *o, enum trim trim,
                                     size_t *i)
{
    const struct value *error = NULL;
    if (o->trim != NO_TRIM)
        return want_error(c,
                          "ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
    o->trim = trim;
    ++*i;
    o->about = *i + 1 < argc(c) && is_only(arg(c, *i), '~');
    if (o->about || (*i + 1 < argc(c) && is_only(arg(c, *i), '='))) ++*i;
    if (trim == TRIM_MINID) return read_id(arg(c, *i), 0, &o->min_id, NULL) ? NULL : want_bad_id(c);
    if (!arg_int64(c, *i, &o->max_len, &error)) return error;
    return o->max_len < 0 ? want_error(c, "ERR The MAXLEN argument must be >= 0.") : NULL;
}

static const struct value *read_one_option(struct model_context *c, struct stream_options *o, bool adding,
                                           size_t *i, bool *done)
{
    const struct value *error = NULL;
    bool more = *i + 1 < argc(c);
    if (adding && is_only(arg(c, *i), '*')) {
        *done = o->auto_id = true;
    } else if (more && arg_is(c, *i, "MAXLEN")) {
        return read_trim(c, o, TRIM_MAXLEN, i);
    } else if (more && arg_is(c, *i, "MINID")) {
        return read_trim(c, o, TRIM_MINID, i);
    } else if (more && arg_is(c, *i, "LIMIT")) {
        if (!arg_int64(c, ++*i, &o->limit, &error)) return error;
        if (o->limit < 0) return want_error(c, "ERR The LIMIT argument must be >= 0.");
        o->limited = true;
    } else if (adding && arg_is(c, *i, "NOMKSTREAM")) {
        o->no_create = true;
    } else if (adding) {
        *done = true;
        if (!read_id(arg(c, *i), 0, &o->id, &o->auto_seq)) return want_bad_id(c);
    } else {
        return want_syntax_error(c);
    }
    return NULL;
}

static const struct value *read_options(struct model_context *c, struct stream_options *o, bool adding)
{
    size_t i = 2;
    bool done = false;
    for (; i < argc(c) && !done; i++) {
        const struct value *error = read_one_option(c, o, adding, &i, &done);
        if (error) return error;
    }
    o->next = done ? i : argc(c) + 1;
    if (o->limit && o->trim == NO_TRIM)
        return want_error(c, "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
    if (!adding && o->trim == NO_TRIM)
        return want_error(c, "ERR syntax error, XTRIM must be called with a trimming strategy");
    if (o->limited && !o->about)
        return want_error(c, "ERR syntax error, LIMIT cannot be used without the special ~ option");
    if (!o->limited && o->about) o->limit = TRIM_LIMIT;
    return NULL;
}

/* ---------------------------------------------------------------- trimming */

/* How many of the first entries an exact trim takes, if the stream begins at entry 0. */
static size_t entries_to_trim(const struct model_stream *stream, const struct stream_options *o)
{
    size_t many = 0;
    if (o->trim == TRIM_MAXLEN)
        return stream->count > (uint64_t)o->max_len ? stream->count - (size_t)o->max_len : 0;
    while (many < stream->count && order_of(stream->entries[many].id, o->min_id) < 0) many++;
    return many;
}

/* The least and the most that a trim with '~' takes of `over` entries that are too many. */
static void about_so_many(const struct stream_options *o, size_t over, size_t *least, size_t *most)
{
    *most = o->limit && over > (uint64_t)o->limit ? (size_t)o->limit : over;
    *least = *most == over && !o->limited && over > NODE_ENTRIES_MAX ? over - NODE_ENTRIES_MAX : 0;
}

/* Trims as XADD does, without telling how much. */
static void trim_silently(struct model_stream *stream, const struct stream_options *o)
{
    size_t many = entries_to_trim(stream, o), least, most;
    if (!o->about) {
        remove_first(stream, many);
        return;
    }
    about_so_many(o, many > stream->maybe ? many - stream->maybe : 0, &least, &most);
    size_t last = stream->maybe + most;
    about_so_many(o, many, &least, &most);
    stream->maybe = last;
    remove_first(stream, least);
}

static const struct value *want_trimmed(struct model_context *c, const struct model_stream *stream,
                                        size_t begin, const void *what)
{
    const struct stream_options *o = what;
    size_t many = entries_to_trim(stream, o), least, most;
    size_t over = many > begin ? many - begin : 0;
    if (!o->about) return want_integer(c, (int64_t)over);
    about_so_many(o, over, &least, &most);
    return want_between(c, (int64_t)least, (int64_t)most);
}

static const struct value *run_xtrim(struct model_context *c)
{
    struct stream_options o = {0};
    const struct value *error = read_options(c, &o, false);
    if (error) return error;
    struct model_stream *stream = stream_at(c, arg(c, 1), &error);
    if (error) return error;
    if (!stream) return want_integer(c, 0);
    if (!c->reply) {
        /* How much it was nobody says; a watcher is told of what it may have been. */
        if (entries_to_trim(stream, &o)) model_touch(c, arg(c, 1));
        trim_silently(stream, &o);
        return want_accepted(c);
    }
    const struct value *wanted = observe(c, stream, want_trimmed, &o);
    if (!model_matches(wanted, c->reply)) return wanted;
    if (c->reply->integer == 0) return wanted;
    /* Every beginning that is left moves on by as many entries. */
    size_t maybe = stream->maybe;
    remove_first(stream, (size_t)c->reply->integer);
    stream->maybe = maybe;
    model_touch(c, arg(c, 1));
    return wanted;
}

/* ---------------------------------------------------------------- XADD */

/* The new entry's ID; false if it would not be above the last one. */
static bool choose_id(struct model_context *c, const struct model_stream *stream,
                      const struct stream_options *o, struct model_stream_id *id)
{
    *id = o->id;
    if (o->auto_id) {
        *id = (struct model_stream_id){(uint64_t)c->now_ms, 0};
        if (id->ms > stream->last.ms) return true;
        *id = stream->last;
        return next_id(id);
    }
    if (o->auto_seq && id->ms == stream->last.ms) {
        id->seq = stream->last.seq + 1;
        return stream->last.seq != UINT64_MAX;
    }
    return order_of(*id, stream->last) > 0;
}

static void append(struct model_context *c, struct model_stream *stream, struct model_stream_id id,
                   size_t first)
{
    if (stream->count == stream->capacity) {
        stream->capacity = stream->capacity ? 2 * stream->capacity : 8;
        stream->entries = realloc(stream->entries, stream->capacity * sizeof(stream->entries[0]));
        CHECK(stream->entries != NULL);
    }
    struct model_entry *entry = &stream->entries[stream->count++];
    *entry = (struct model_entry){.id = id};
    for (size_t i = first; i < argc(c); i++) texts_append(&entry->words, arg(c, i));
    stream->last = id;
}

static const struct value *run_xadd(struct model_context *c)
{
    struct stream_options o = {0};
    struct model_stream_id id;
    const struct value *error = read_options(c, &o, true);
    if (error) return error;
    if (o.next >= argc(c) || (argc(c) - o.next) % 2) return want_wrong_arity(c);
    if (!o.auto_id && !o.auto_seq && o.id.ms == 0 && o.id.seq == 0)
        return want_error(c, "ERR The ID specified in XADD must be greater than 0-0");
    struct model_stream *stream = stream_at(c, arg(c, 1), &error);
    if (error) return error;
    if (!stream) {
        if (o.no_create) return want_null(c);
        stream = as_stream(model_stream_create());
        model_put(c, arg(c, 1), &stream->head);
    }
    if (stream->last.ms == UINT64_MAX && stream->last.seq == UINT64_MAX)
        return want_error(c, "ERR The stream has exhausted the last possible ID, unable to add more items");
    if (!choose_id(c, stream, &o, &id))
        return want_error(c,
                          "ERR The ID specified in XADD is equal or smaller than the target stream top item");
    append(c, stream, id, o.next);
    if (o.trim != NO_TRIM) trim_silently(stream, &o);
    model_touch(c, arg(c, 1));
    return want_bulk(c, text_of_id(c, id));
}

/* ---------------------------------------------------------------- looking and deleting */

static const struct value *want_length(struct model_context *c, const struct model_stream *stream,
                                       size_t begin, const void *what)
{
    return want_integer(c, (int64_t)(stream->count - begin));
}

static const struct value *run_xlen(struct model_context *c)
{
    const struct value *error = NULL;
    struct model_stream *stream = stream_at(c, arg(c, 1), &error);
    if (error) return error;
    return stream ? observe(c, stream, want_length, NULL) : want_integer(c, 0);
}

struct id_range {
    struct model_stream_id first, last;
    uint64_t count_max;
    bool reverse;
};

static const struct value *want_entries(struct model_context *c, const struct model_stream *stream,
                                        size_t begin, const void *what)
{
    const struct id_range *range = what;
    struct want_list list = {0};
    for (size_t i = begin; i < stream->count && list.count < range->count_max; i++) {
        const struct model_entry *entry =
            &stream->entries[range->reverse ? stream->count - 1 - (i - begin) : i];
        if (order_of(entry->id, range->first) < 0 || order_of(entry->id, range->last) > 0) continue;
        struct value *words = want_array(c, entry->words.count), *pair = want_array(c, 2);
        for (size_t w = 0; w < entry->words.count; w++) set_item(words, w, want_bulk(c, entry->words.at[w]));
        set_item(pair, 0, want_bulk(c, text_of_id(c, entry->id)));
        set_item(pair, 1, words);
        want_list_add(c, &list, pair);
    }
    return want_list_array(c, &list);
}

/* One end of XRANGE: '-', '+', an ID, or '(' and an ID. */
static bool read_end(struct slice text, uint64_t missing, struct model_stream_id *id, bool *open)
{
    *open = text.len > 1 && text.ptr[0] == '(';
    if (*open) return read_id((struct slice){text.ptr + 1, text.len - 1}, missing, id, NULL);
    *id = is_only(text, '-') ? (struct model_stream_id){0, 0}
                             : (struct model_stream_id){UINT64_MAX, UINT64_MAX};
    return is_only(text, '-') || is_only(text, '+') || read_id(text, missing, id, NULL);
}

static const struct value *run_range(struct model_context *c, bool reverse)
{
    const struct value *error = NULL;
    struct id_range range = {.reverse = reverse, .count_max = UINT64_MAX};
    bool open;
    if (!read_end(arg(c, reverse ? 3 : 2), 0, &range.first, &open)) return want_bad_id(c);
    if (open && !next_id(&range.first)) return want_error(c, "ERR invalid start ID for the interval");
    if (!read_end(arg(c, reverse ? 2 : 3), UINT64_MAX, &range.last, &open)) return want_bad_id(c);
    if (open && !previous_id(&range.last)) return want_error(c, "ERR invalid end ID for the interval");
    for (size_t i = 4; i < argc(c); i += 2) {
        int64_t count;
        if (!arg_is(c, i, "COUNT") || i + 1 >= argc(c)) return want_syntax_error(c);
        if (!arg_int64(c, i + 1, &count, &error)) return error;
        range.count_max = count < 0 ? 0 : (uint64_t)count;
    }
    struct model_stream *stream = stream_at(c, arg(c, 1), &error);
    if (error) return error;
    if (!stream) return want_array(c, 0);
    return range.count_max ? observe(c, stream, want_entries, &range) : want_null_array(c);
}

static const struct value *run_xrange(struct model_context *c)
{
    return run_range(c, false);
}

static const struct value *run_xrevrange(struct model_context *c)
{
    return run_range(c, true);
}

struct id_list {
    const struct model_stream_id *at;
    size_t count;
};

static bool is_listed(const struct id_list *ids, struct model_stream_id id)
{
    for (size_t i = 0; i < ids->count; i++)
        if (order_of(ids->at[i], id) == 0) return true;
    return false;
}

static const struct value *want_deleted(struct model_context *c, const struct model_stream *stream,
                                        size_t begin, const void *what)
{
    int64_t deleted = 0;
    for (size_t i = begin; i < stream->count; i++) deleted += is_listed(what, stream->entries[i].id);
    return want_integer(c, deleted);
}

static const struct value *run_xdel(struct model_context *c)
{
    const struct value *error = NULL;
    struct model_stream *stream = stream_at(c, arg(c, 1), &error);
    if (error) return error;
    if (!stream) return want_integer(c, 0);
    struct id_list ids = {.count = argc(c) - 2};
    struct model_stream_id *at = value_alloc(&c->model->arena, ids.count * sizeof(at[0]));
    ids.at = at;
    for (size_t i = 0; i < ids.count; i++)
        if (!read_id(arg(c, 2 + i), 0, &at[i], NULL)) return want_bad_id(c);
    const struct value *wanted = observe(c, stream, want_deleted, &ids);
    size_t deleted = 0;
    for (size_t i = stream->count; i-- > 0;) {
        if (!is_listed(&ids, stream->entries[i].id)) continue;
        deleted++;
        remove_entry(stream, i);
    }
    if (c->reply ? c->reply->kind == VALUE_INTEGER && c->reply->integer > 0 : deleted > 0)
        model_touch(c, arg(c, 1));
    return wanted;
}

const struct model_row model_rows_stream[] = {
    {"xadd", -5, MODEL_TAKES_MEMORY, run_xadd},
    {"xdel", -3, 0, run_xdel},
    {"xlen", 2, 0, run_xlen},
    {"xrange", -4, 0, run_xrange},
    {"xrevrange", -4, 0, run_xrevrange},
    {"xtrim", -4, 0, run_xtrim},
    {NULL, 0, 0, NULL},
};
