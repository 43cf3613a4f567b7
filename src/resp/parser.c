/* The request parser (contract in parser.h).
 *
 * Two ways through it. The quick one takes a small multibulk command that is there in full, straight into the
 * caller's array. Everything else (split, long, inline, broken) goes the careful way, which keeps its state
 * between calls: arguments as offsets from the command's first byte, because that byte moves when the caller
 * gathers the pieces. When the command is complete the offsets become slices, once.
 */
#include "resp/parser.h"

#include "base/check.h"
#include "base/mark.h"
#include "base/mutant.h"
#include "base/number.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define QUICK_ARGS_MAX 64
#define HELD_FIRST     16
#define HELD_AHEAD_MAX 1024 /* a claimed count is believed up to here; more room comes with more bytes */

struct held_arg {
    size_t offset, len;
};

struct resp_block {
    struct resp_block *next;
    char bytes[];
};

/* ---- arguments ---- */

static bool args_reserve(struct resp_args *args, uint32_t more)
{
    if (LIKELY(args->capacity - args->count >= more)) return true;
    uint64_t wanted = (uint64_t)args->capacity * 2;
    if (wanted < (uint64_t)args->count + more) wanted = (uint64_t)args->count + more;
    if (wanted < QUICK_ARGS_MAX) wanted = QUICK_ARGS_MAX;
    if (wanted > UINT32_MAX) return false;
    struct slice *items = realloc(args->items, wanted * sizeof *items);
    if (items == NULL) return false;
    args->items = items;
    args->capacity = (uint32_t)wanted;
    return true;
}

void resp_args_clear(struct resp_args *args)
{
    args->count = 0;
    while (UNLIKELY(args->blocks != NULL)) {
        struct resp_block *next = args->blocks->next;
        free(args->blocks);
        args->blocks = next;
    }
}

void resp_args_free(struct resp_args *args)
{
    resp_args_clear(args);
    free(args->items);
    *args = (struct resp_args){0};
}

/* ---- words ---- */

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One escape at p ('\\', with at least one byte behind it); puts its byte, returns the bytes taken. */
static size_t unescape(const char *p, const char *end, char *byte)
{
    if (p[1] == 'x' && end - p >= 4 && hex_value(p[2]) >= 0 && hex_value(p[3]) >= 0) {
        *byte = (char)(hex_value(p[2]) * 16 + hex_value(p[3]));
        return 4;
    }
    switch (p[1]) {
    case 'n': *byte = '\n'; break;
    case 'r': *byte = '\r'; break;
    case 't': *byte = '\t'; break;
    case 'b': *byte = '\b'; break;
    case 'a': *byte = '\a'; break;
    default: *byte = p[1];
    }
    return 2;
}

/* Unquotes the word at *at into `out`. The closing quote ends the word and must be the last of it. NULL:
 * unbalanced. */
static char *unquote_word(const char **at, const char *end, char *out)
{
    const char *p = *at;
    char quote = 0;
    for (;;) {
        if (p == end) {
            if (quote) return NULL;
            break;
        }
        if (quote == 0) {
            if (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t') break;
            if (*p == '"' || *p == '\'')
                quote = *p++;
            else
                *out++ = *p++;
        } else if (*p == quote) {
            p++;
            if (p < end && !is_blank(*p)) return NULL;
            break;
        } else if (quote == '"' && *p == '\\' && end - p > 1) {
            p += unescape(p, end, out++);
        } else if (quote == '\'' && *p == '\\' && end - p > 1 && p[1] == '\'') {
            *out++ = '\'';
            p += 2;
        } else {
            *out++ = *p++;
        }
    }
    *at = p;
    return out;
}

int resp_split_words(const char *line, size_t len, struct resp_args *args)
{
    const char *p = line, *end = line + len;
    uint32_t first = args->count;
    char *out = NULL;
    if (memchr(line, '"', len) != NULL || memchr(line, '\'', len) != NULL) {
        struct resp_block *block = malloc(sizeof *block + len);
        if (block == NULL) return RESP_NO_MEMORY;
        block->next = args->blocks;
        args->blocks = block;
        out = block->bytes;
    }
    for (;;) {
        while (p < end && is_blank(*p)) p++;
        if (p == end) return RESP_COMMAND;
        struct slice word = {p, 0};
        if (out != NULL) {
            word.ptr = out;
            out = unquote_word(&p, end, out);
            if (out == NULL) break;
            word.len = (size_t)(out - word.ptr);
        } else {
            while (p < end && !(*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) p++;
            word.len = (size_t)(p - word.ptr);
        }
        if (!args_reserve(args, 1)) {
            args->count = first;
            return RESP_NO_MEMORY;
        }
        args->items[args->count++] = word;
    }
    args->count = first;
    return RESP_ERROR;
}

/* ---- the quick way ---- */

/* A canonical length of up to nine digits and its line end at p; returns what follows, or NULL if it is not
 * that simple or not all there. */
static inline const char *quick_length(const char *p, const char *end, uint32_t *value)
{
    if (UNLIKELY(end - p < 3)) return NULL;
    uint32_t v = (unsigned char)*p - '0';
    if (UNLIKELY(v > 9)) return NULL;
    if (LIKELY(p[1] == '\r')) {
        *value = v;
        return p + 3;
    }
    if (UNLIKELY(v == 0)) return NULL;
    const char *limit = end - p > 11 ? p + 9 : end - 2;
    for (p++; p < limit; p++) {
        uint32_t digit = (unsigned char)*p - '0';
        if (UNLIKELY(digit > 9)) return NULL;
        v = v * 10 + digit;
        if (p[1] == '\r') {
            *value = v;
            return p + 3;
        }
    }
    return NULL;
}

/* A whole small command, or false and nothing changed (args->items above count is free space). */
static inline bool parse_quick(const struct resp_limits *limits, const char *data, size_t len,
                               struct resp_args *args, size_t *consumed)
{
    const char *end = data + len;
    uint32_t count, bulk_len;
    const char *p = quick_length(data + 1, end, &count);
    if (UNLIKELY(p == NULL || count - 1 >= QUICK_ARGS_MAX || limits->unauthenticated)) return false;
    if (UNLIKELY(!args_reserve(args, count))) return false;
    struct slice *arg = args->items + args->count, *args_end = arg + count;
    for (; arg < args_end; arg++) {
        if (UNLIKELY(p == end || *p != '$')) return false;
        p = quick_length(p + 1, end, &bulk_len);
        if (UNLIKELY(p == NULL || (size_t)(end - p) < (size_t)bulk_len + 2 ||
                     bulk_len > limits->bulk_len_max))
            return false;
        arg->ptr = p;
        arg->len = bulk_len;
        p += (size_t)bulk_len + 2;
    }
    args->count += count;
    *consumed = (size_t)(p - data);
    return true;
}

/* ---- the careful way ---- */

/* For good: the same error comes again, whatever follows. */
static int broken(struct resp_parser *parser, const char *error)
{
    MARK("parser.broken");
    parser->error = error;
    parser->at = SIZE_MAX; /* keeps the quick way away */
    parser->need = 0;
    return RESP_ERROR;
}

/* The end of the line that goes on at parser->searched: RESP_COMMAND and its offset, RESP_MORE, or RESP_ERROR
 * when the line, from `start`, is too long. A NUL hides what is behind it, so such a line never ends. */
static int find_line_end(struct resp_parser *parser, char last, const char *data, size_t len, size_t start,
                         const char *too_big, size_t *found)
{
    size_t from = parser->searched > start ? parser->searched : start;
    const char *stop = memchr(data + from, last, len - from);
    size_t reach = stop != NULL ? (size_t)(stop - data) : len;
    const char *nul = memchr(data + from, 0, reach - from);
    if (stop != NULL && nul == NULL) {
        parser->searched = *found = reach;
        return RESP_COMMAND;
    }
    parser->searched = nul != NULL ? (size_t)(nul - data) : len + MUTANT(parser_skips_a_byte);
    parser->need = len + 1;
    MARK("parser.line_split");
    if (MUTANT(parser_counts_whole_input)) start = 0;
    return len - start > RESP_LINE_MAX ? broken(parser, too_big) : RESP_MORE;
}

/* "<kind><number>\r\n" at parser->at: on RESP_COMMAND *line is the text between kind and CR, and parser->at
 * is behind the line. */
static int read_header(struct resp_parser *parser, const char *data, size_t len, const char *too_big,
                       struct slice *line)
{
    size_t end = 0;
    int result = find_line_end(parser, '\r', data, len, parser->at, too_big, &end);
    if (result != RESP_COMMAND) return result;
    if (end + 1 >= len) { /* the LF has not come */
        parser->need = end + 2;
        return RESP_MORE;
    }
    size_t text = parser->at + 1;
    *line = end > text ? (struct slice){data + text, end - text} : (struct slice){data + end, 0};
    parser->at = end + 2;
    return RESP_COMMAND;
}

static bool hold(struct resp_parser *parser, size_t offset, size_t len)
{
    if (parser->held_count == parser->held_capacity) {
        uint64_t wanted = parser->held_capacity ? (uint64_t)parser->held_capacity * 2 : parser->left;
        if (wanted > HELD_AHEAD_MAX && parser->held_capacity == 0) wanted = HELD_AHEAD_MAX;
        if (wanted < HELD_FIRST) wanted = HELD_FIRST;
        if (wanted > UINT32_MAX) wanted = UINT32_MAX;
        struct held_arg *held = realloc(parser->held, wanted * sizeof *held);
        if (held == NULL) return false;
        parser->held = held;
        parser->held_capacity = (uint32_t)wanted;
    }
    parser->held[parser->held_count++] = (struct held_arg){offset, len};
    return true;
}

void resp_parser_reset(struct resp_parser *parser)
{
    free(parser->held);
    *parser = (struct resp_parser){0};
}

/* The length of the next bulk. */
static int read_bulk_header(struct resp_parser *parser, const struct resp_limits *limits, const char *data,
                            size_t len)
{
    uint32_t quick;
    const char *behind = NULL;
    if (parser->at < len && data[parser->at] == '$')
        behind = quick_length(data + parser->at + 1, data + len, &quick);
    if (behind != NULL) {
        parser->bulk_len = quick;
        parser->at = (size_t)(behind - data);
    } else {
        size_t kind_at = parser->at;
        struct slice line;
        int result = read_header(parser, data, len, "too big bulk count string", &line);
        if (result != RESP_COMMAND) return result;
        if (data[kind_at] != '$') {
            parser->error_byte = data[kind_at];
            return broken(parser, "expected '$', got '");
        }
        if (!number_parse_i64(line.ptr, line.len, &parser->bulk_len) || parser->bulk_len < 0)
            return broken(parser, "invalid bulk length");
    }
    if (parser->bulk_len > limits->bulk_len_max) return broken(parser, "invalid bulk length");
    if (limits->unauthenticated && parser->bulk_len > RESP_UNAUTHENTICATED_BULK)
        return broken(parser, "unauthenticated bulk length");
    parser->in_bulk = true;
    return RESP_COMMAND;
}

/* The bulks still missing. */
static int read_bulks(struct resp_parser *parser, const struct resp_limits *limits, const char *data,
                      size_t len)
{
    while (parser->left) {
        if (!parser->in_bulk) {
            int result = read_bulk_header(parser, limits, data, len);
            if (result != RESP_COMMAND) return result;
        }
        uint64_t behind = (uint64_t)parser->at + (uint64_t)parser->bulk_len + 2;
        if (behind > len) {
            parser->need = behind;
            return RESP_MORE;
        }
        if (!hold(parser, parser->at, (size_t)parser->bulk_len)) return RESP_NO_MEMORY;
        parser->at = behind;
        parser->in_bulk = false;
        parser->left--;
    }
    return RESP_COMMAND;
}

/* "*<count>\r\n" at the start of a command; sets parser->left (0: a command without arguments). */
static int read_count(struct resp_parser *parser, const struct resp_limits *limits, const char *data,
                      size_t len)
{
    struct slice line;
    int64_t count;
    int result = read_header(parser, data, len, "too big mbulk count string", &line);
    if (result != RESP_COMMAND) return result;
    if (!number_parse_i64(line.ptr, line.len, &count) || count > INT_MAX)
        return broken(parser, "invalid multibulk length");
    if (limits->unauthenticated && count > RESP_UNAUTHENTICATED_ARGS)
        return broken(parser, "unauthenticated multibulk length");
    parser->left = count > 0 ? (uint32_t)count : 0;
    return RESP_COMMAND;
}

static int parse_multibulk(struct resp_parser *parser, const struct resp_limits *limits, const char *data,
                           size_t len, struct resp_args *args, size_t *consumed)
{
    if (parser->left == 0) {
        int result = read_count(parser, limits, data, len);
        if (result != RESP_COMMAND) return result;
    }
    int result = read_bulks(parser, limits, data, len);
    if (result != RESP_COMMAND) return result;
    if (!args_reserve(args, parser->held_count)) return RESP_NO_MEMORY;
    for (uint32_t i = 0; i < parser->held_count; i++)
        args->items[args->count++] = (struct slice){data + parser->held[i].offset, parser->held[i].len};
    *consumed = parser->at;
    resp_parser_reset(parser);
    return RESP_COMMAND;
}

static int parse_inline(struct resp_parser *parser, const char *data, size_t len, struct resp_args *args,
                        size_t *consumed)
{
    size_t end = 0;
    int result = find_line_end(parser, '\n', data, len, 0, "too big inline request", &end);
    if (result != RESP_COMMAND) return result;
    size_t line_len = end > 0 && data[end - 1] == '\r' ? end - 1 : end;
    result = resp_split_words(data, line_len, args);
    if (result == RESP_ERROR) return broken(parser, "unbalanced quotes in request");
    if (result != RESP_COMMAND) return result;
    *consumed = end + 1;
    resp_parser_reset(parser);
    return RESP_COMMAND;
}

/* Skips commands without arguments: nobody answers them. */
static __attribute__((noinline)) int parse_careful(struct resp_parser *parser,
                                                   const struct resp_limits *limits, const char *data,
                                                   size_t len, struct resp_args *args, size_t *consumed)
{
    uint32_t before = args->count;
    size_t skipped = 0;
    *consumed = 0;
    if (parser->error != NULL) return RESP_ERROR;
    while (skipped < len) {
        size_t used = 0;
        int result = data[skipped] == '*'
                         ? parse_multibulk(parser, limits, data + skipped, len - skipped, args, &used)
                         : parse_inline(parser, data + skipped, len - skipped, args, &used);
        if (result != RESP_COMMAND) {
            *consumed = skipped;
            return result;
        }
        skipped += used;
        *consumed = skipped;
        if (args->count > before) return RESP_COMMAND;
    }
    parser->need = 1;
    return RESP_MORE;
}

int resp_parse(struct resp_parser *parser, const struct resp_limits *limits, const char *data, size_t len,
               struct resp_args *args, size_t *consumed)
{
    if (LIKELY(len > 4 && data[0] == '*' && parser->at == 0) &&
        LIKELY(parse_quick(limits, data, len, args, consumed))) {
        parser->searched = parser->need = 0;
        return RESP_COMMAND;
    }
    return parse_careful(parser, limits, data, len, args, consumed);
}

size_t resp_parser_error(const struct resp_parser *parser, char buf[RESP_ERROR_MAX])
{
    CHECK(parser->error != NULL);
    int n = snprintf(buf, RESP_ERROR_MAX, "ERR Protocol error: %s", parser->error);
    CHECK(n > 0 && n + 3 < RESP_ERROR_MAX);
    size_t len = (size_t)n;
    if (buf[len - 1] == '\'') { /* "expected '$', got '": the byte and its closing quote */
        buf[len++] = parser->error_byte;
        buf[len++] = '\'';
        buf[len] = 0;
    }
    return len;
}
