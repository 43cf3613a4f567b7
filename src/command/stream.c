/* Streams: adding, trimming, deleting, ranges. Values change through store/mutate_stream.h only. Groups and
 * XREAD are not here yet. Compared with a real Redis by test/blackbox/stream_test.py. */
#include "command/command.h"
#include "store/mutate_stream.h"

/* Redis's: what one call trims with '~' when LIMIT does not say. */
#define TRIM_LIMIT (100 * STREAM_CHUNK_ENTRIES)

/* ---- IDs ---- */

static bool parse_part(struct slice text, uint64_t *out)
{
    int64_t number;
    if (!number_parse_i64(text.ptr, text.len, &number)) return command_parse_cursor(text, out);
    if (number < 0) return false;
    *out = (uint64_t)number;
    return true;
}

/* ms-seq; ms, of which `missing_seq` makes an ID; or, where `auto_seq` is given, ms-*. */
static bool parse_strict(struct slice text, uint64_t missing_seq, struct stream_id *id, bool *auto_seq)
{
    if (text.len > 127) return false;
    text.len = strnlen(text.ptr, text.len); /* Redis sees a C string */
    const char *dash = memchr(text.ptr, '-', text.len);
    size_t len = dash ? (size_t)(dash - text.ptr) : text.len;
    if (!parse_part((struct slice){text.ptr, len}, &id->ms)) return false;
    id->seq = missing_seq;
    if (!dash) return true;
    struct slice seq = {dash + 1, text.len - len - 1};
    if (auto_seq && seq.len == 1 && *seq.ptr == '*') {
        id->seq = 0;
        *auto_seq = true;
        return true;
    }
    return parse_part(seq, &id->seq);
}

static bool id_arg(struct command_context *ctx, int index, struct stream_id *id, bool *auto_seq)
{
    if (parse_strict(ctx->argv[index], 0, id, auto_seq)) return true;
    reply_error(ctx->reply, "ERR Invalid stream ID specified as stream command argument");
    return false;
}

/* An end of an interval: an ID, '-', '+', or '(' and an ID that is not part of it. Makes it inclusive. */
static bool interval_arg(struct command_context *ctx, int index, bool start, struct stream_id *id)
{
    struct slice text = ctx->argv[index];
    uint64_t missing_seq = start ? 0 : UINT64_MAX;
    bool open = text.len > 1 && *text.ptr == '(', ok = true;
    if (text.len == 1 && *text.ptr == '-')
        *id = (struct stream_id){0};
    else if (text.len == 1 && *text.ptr == '+')
        *id = STREAM_ID_MAX;
    else
        ok = parse_strict((struct slice){text.ptr + open, text.len - open}, missing_seq, id, NULL);
    if (!ok) {
        reply_error(ctx->reply, "ERR Invalid stream ID specified as stream command argument");
        return false;
    }
    if (!open || (start ? stream_id_next(id) : stream_id_previous(id))) return true;
    reply_errorf(ctx->reply, "ERR invalid %s ID for the interval", start ? "start" : "end");
    return false;
}

static void reply_id(struct reply *reply, struct stream_id id)
{
    char text[STREAM_ID_TEXT_MAX];
    reply_bulk(reply, text, stream_id_format(text, id));
}

/* ---- XADD and XTRIM ---- */

struct options {
    struct stream_trim trim;
    bool only_present, limit_given, id_given, auto_seq;
    struct stream_id id;
    int next; /* behind the last option: XADD's ID */
};

/* MAXLEN or MINID at *index; moves it to the threshold. */
static bool parse_strategy(struct command_context *ctx, int *index, struct options *options)
{
    struct stream_trim *trim = &options->trim;
    bool maxlen = command_arg_is(ctx, *index, "MAXLEN");
    if (trim->strategy != STREAM_TRIM_NONE) {
        reply_error(ctx->reply,
                    "ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
        return false;
    }
    struct slice sign = ctx->argv[*index + 1];
    bool about = sign.len == 1 && *sign.ptr == '~';
    if (ctx->argc - *index > 2 && sign.len == 1 && (about || *sign.ptr == '=')) {
        trim->whole_chunks = about;
        ++*index;
    }
    ++*index;
    if (!maxlen) {
        trim->strategy = STREAM_TRIM_MINID;
        return id_arg(ctx, *index, &trim->minid, NULL);
    }
    int64_t number;
    if (!command_arg_int(ctx, *index, &number)) return false;
    if (number < 0) {
        reply_error(ctx->reply, "ERR The MAXLEN argument must be >= 0.");
        return false;
    }
    trim->strategy = STREAM_TRIM_MAXLEN;
    trim->maxlen = (uint64_t)number;
    return true;
}

static bool parse_limit(struct command_context *ctx, int index, struct options *options)
{
    int64_t number;
    if (!command_arg_int(ctx, index, &number)) return false;
    if (number < 0) {
        reply_error(ctx->reply, "ERR The LIMIT argument must be >= 0.");
        return false;
    }
    options->trim.limit = (uint64_t)number;
    options->limit_given = true;
    return true;
}

/* What fits together, once all is read. */
static bool check_options(struct command_context *ctx, struct options *options, bool xadd)
{
    const char *error = NULL;
    struct stream_trim *trim = &options->trim;
    if (trim->limit && trim->strategy == STREAM_TRIM_NONE)
        error = "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy";
    else if (!xadd && trim->strategy == STREAM_TRIM_NONE)
        error = "ERR syntax error, XTRIM must be called with a trimming strategy";
    else if (options->limit_given && !trim->whole_chunks)
        error = "ERR syntax error, LIMIT cannot be used without the special ~ option";
    if (error) reply_error(ctx->reply, error);
    if (!options->limit_given && trim->whole_chunks) trim->limit = TRIM_LIMIT;
    return error == NULL;
}

static bool parse_options(struct command_context *ctx, struct options *options, bool xadd)
{
    int i = 2;
    for (; i < ctx->argc; i++) {
        bool more = i + 1 < ctx->argc;
        if (xadd && ctx->argv[i].len == 1 && *ctx->argv[i].ptr == '*') break;
        if (more && (command_arg_is(ctx, i, "MAXLEN") || command_arg_is(ctx, i, "MINID"))) {
            if (!parse_strategy(ctx, &i, options)) return false;
        } else if (more && command_arg_is(ctx, i, "LIMIT")) {
            if (!parse_limit(ctx, ++i, options)) return false;
        } else if (xadd && command_arg_is(ctx, i, "NOMKSTREAM")) {
            options->only_present = true;
        } else if (xadd) {
            if (!id_arg(ctx, i, &options->id, &options->auto_seq)) return false;
            options->id_given = true;
            break;
        } else {
            command_error_syntax(ctx);
            return false;
        }
    }
    options->next = i;
    return check_options(ctx, options, xadd);
}

/* The ID that XADD gives behind `last`; false: there is none, or the client's is not greater. */
static bool choose_id(const struct command_context *ctx, const struct options *options, struct stream_id last,
                      struct stream_id *id)
{
    *id = last;
    if (!options->id_given) {
        if ((uint64_t)ctx->now_ms <= last.ms) return stream_id_next(id);
        *id = (struct stream_id){(uint64_t)ctx->now_ms, 0};
        return true;
    }
    if (options->auto_seq && options->id.ms == last.ms) {
        id->seq++;
        return last.seq != UINT64_MAX;
    }
    *id = options->id;
    return stream_id_compare(*id, last) > 0;
}

/* The stream can take the entry; else replies why not. */
static bool may_add(struct command_context *ctx, const struct options *options, const struct entry *entry,
                    struct stream_id *id)
{
    struct stream_id last = {0};
    if (entry->item) last = stream_last_id(&entry->value);
    uint32_t strings = (uint32_t)(ctx->argc - options->next - 1);
    const char *error = NULL;
    if (stream_id_compare(last, STREAM_ID_MAX) == 0)
        error = "ERR The stream has exhausted the last possible ID, unable to add more items";
    else if (!choose_id(ctx, options, last, id))
        error = "ERR The ID specified in XADD is equal or smaller than the target stream top item";
    else if (stream_fields_size(ctx->argv + options->next + 1, strings) > STREAM_FIELDS_MAX)
        error = "ERR Elements are too large to be stored";
    if (error) reply_error(ctx->reply, error);
    return error == NULL;
}

void cmd_xadd(struct command_context *ctx)
{
    struct options options = {0};
    struct entry entry;
    struct stream_id id;
    if (!parse_options(ctx, &options, true)) return;
    int first = options.next + 1, strings = ctx->argc - first;
    if (strings < 2 || strings % 2 == 1) {
        command_error_arity(ctx);
        return;
    }
    if (options.id_given && !options.auto_seq && options.id.ms == 0 && options.id.seq == 0) {
        reply_error(ctx->reply, "ERR The ID specified in XADD must be greater than 0-0");
        return;
    }
    if (!command_open_typed(ctx, 1, ITEM_STREAM, &entry)) return;
    if (!entry.item && options.only_present) {
        reply_null(ctx->reply);
        return;
    }
    if (!may_add(ctx, &options, &entry, &id)) return;
    if (mutate_stream_append(&entry, id, ctx->argv + first, (uint32_t)strings) != VALUE_OK) {
        command_out_of_memory(ctx);
        return;
    }
    mutate_stream_trim(&entry, &options.trim);
    reply_id(ctx->reply, id);
}

void cmd_xtrim(struct command_context *ctx)
{
    struct options options = {0};
    struct entry entry;
    if (!parse_options(ctx, &options, false)) return;
    if (!command_open_typed(ctx, 1, ITEM_STREAM, &entry)) return;
    reply_integer(ctx->reply, entry.item ? (int64_t)mutate_stream_trim(&entry, &options.trim) : 0);
}

void cmd_xdel(struct command_context *ctx)
{
    struct entry entry;
    struct stream_id id;
    int64_t removed = 0;
    if (!command_open_typed(ctx, 1, ITEM_STREAM, &entry)) return;
    if (!entry.item) {
        reply_integer(ctx->reply, 0);
        return;
    }
    for (int i = 2; i < ctx->argc; i++)
        if (!id_arg(ctx, i, &id, NULL)) return;
    for (int i = 2; i < ctx->argc; i++) {
        CHECK(parse_strict(ctx->argv[i], 0, &id, NULL));
        removed += mutate_stream_remove(&entry, id, true);
    }
    reply_integer(ctx->reply, removed);
}

/* ---- reading ---- */

void cmd_xlen(struct command_context *ctx)
{
    struct entry entry;
    if (!command_open_read_typed(ctx, 1, ITEM_STREAM, &entry)) return;
    reply_integer(ctx->reply, entry.item ? (int64_t)stream_count(&entry.value) : 0);
}

static void reply_entry(struct reply *reply, struct stream_entry *entry)
{
    uint32_t n = stream_fields_count(&entry->fields);
    reply_array(reply, 2);
    reply_id(reply, entry->id);
    reply_array(reply, n);
    for (; n > 0; n--) reply_bulk_slice(reply, stream_fields_take(&entry->fields));
}

/* The first, or (backward) last, entries of [start, end], at most `limit`; with NULL for a reply counts them.
 */
static uint64_t walk_range(const struct value *stream, struct stream_id start, struct stream_id end,
                           bool backward, uint64_t limit, struct reply *reply)
{
    struct stream_iter iter;
    struct stream_entry entry;
    uint64_t n = 0;
    stream_iter_seek(stream, backward ? end : start, backward, &iter);
    for (; n < limit; n++) {
        if (!(backward ? stream_iter_prev(&iter, &entry) : stream_iter_next(&iter, &entry))) break;
        if (backward ? stream_id_compare(entry.id, start) < 0 : stream_id_compare(entry.id, end) > 0) break;
        if (reply) reply_entry(reply, &entry);
    }
    return n;
}

static void range(struct command_context *ctx, bool backward)
{
    struct entry entry;
    struct stream_id start, end;
    int64_t count = INT64_MAX;
    if (!interval_arg(ctx, backward ? 3 : 2, true, &start)) return;
    if (!interval_arg(ctx, backward ? 2 : 3, false, &end)) return;
    for (int i = 4; i < ctx->argc; i += 2) {
        if (!command_arg_is(ctx, i, "COUNT") || i + 1 == ctx->argc) {
            command_error_syntax(ctx);
            return;
        }
        if (!command_arg_int(ctx, i + 1, &count)) return;
        if (count < 0) count = 0;
    }
    if (!command_open_read_typed(ctx, 1, ITEM_STREAM, &entry)) return;
    if (!entry.item) {
        reply_empty_array(ctx->reply);
    } else if (count == 0) {
        reply_null_array(ctx->reply);
    } else {
        uint64_t n = walk_range(&entry.value, start, end, backward, (uint64_t)count, NULL);
        reply_array(ctx->reply, n);
        walk_range(&entry.value, start, end, backward, n, ctx->reply);
    }
}

void cmd_xrange(struct command_context *ctx)
{
    range(ctx, false);
}
void cmd_xrevrange(struct command_context *ctx)
{
    range(ctx, true);
}
