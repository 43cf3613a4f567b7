/* See trace_text.h. A text goes through two steps: put_raw/put_shown decide what a person sees, put_json
 * writes those characters as JSON.
 *
 * The reply's reader trusts nothing: lengths are checked against what is there, the depth is bounded, and
 * what is no RESP is shown as text. */
#include "sim/trace_text.h"
#include "base/check.h"
#include "base/number.h"

#define DEPTH_MAX 8

static void put_bytes(struct trace_line *line, const char *bytes, size_t len)
{
    CHECK(line->len + len <= TRACE_LINE_BYTES);
    memcpy(line->bytes + line->len, bytes, len);
    line->len += len;
}

static void put_literal(struct trace_line *line, const char *literal)
{
    put_bytes(line, literal, strlen(literal));
}

static void put_i64(struct trace_line *line, int64_t value)
{
    char digits[NUMBER_I64_MAX];
    put_bytes(line, digits, number_format_i64(digits, value));
}

/* One byte of text that is already fit to be seen, inside a JSON string. */
static void put_json(struct trace_line *line, char c)
{
    switch (c) {
    case '"': put_literal(line, "\\\""); break;
    case '\\': put_literal(line, "\\\\"); break;
    case '\n': put_literal(line, "\\n"); break;
    case '<': put_literal(line, "\\u003c"); break;
    default: put_bytes(line, &c, 1);
    }
}

static void put_json_text(struct trace_line *line, const char *text)
{
    for (; *text; text++) put_json(line, *text);
}

/* ---- display form ---- */

/* Characters of three and more bytes that change or hide their neighbours, or are none at all. */
static bool disturbs(uint32_t c)
{
    return (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
           c == 0x061c || c == 0xfeff || (c >= 0xd800 && c <= 0xdfff) || (c >= 0xfdd0 && c <= 0xfdef) ||
           (c >= 0xfff0 && c <= 0xfffb) || (c & 0xfffe) == 0xfffe || (c >= 0xe000 && c <= 0xf8ff) ||
           c >= 0xe0000;
}

/* How many bytes make one printable character here; 0: the first byte is none. */
static size_t character(const char *bytes, size_t len)
{
    const unsigned char *b = (const unsigned char *)bytes;
    if (b[0] < 0x80) return b[0] >= 0x20 && b[0] != 0x7f;
    size_t more = b[0] >= 0xf0 ? 3 : b[0] >= 0xe0 ? 2 : 1;
    if (b[0] < 0xc2 || b[0] > 0xf4 || len <= more) return 0;
    uint32_t c = b[0] & (0x3fu >> more);
    for (size_t i = 1; i <= more; i++) {
        if ((b[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (b[i] & 0x3fu);
    }
    static const uint32_t least[] = {0, 0xa0, 0x800, 0x10000}; /* 0x80..0x9f are control characters */
    return c < least[more] || disturbs(c) ? 0 : more + 1;
}

/* One byte or character in display form; returns the bytes it took. `quoted`: quotes are escaped as well. */
static size_t put_shown(struct trace_line *line, const char *bytes, size_t len, bool quoted)
{
    size_t took = character(bytes, len);
    if (!took) {
        static const char hex[] = "0123456789abcdef", plain[] = "\n\r\t\a\b", name[] = "nrtab";
        unsigned char c = (unsigned char)bytes[0];
        const char *at = c ? strchr(plain, c) : NULL;
        put_json(line, '\\');
        if (at) {
            put_json(line, name[at - plain]);
        } else {
            put_json(line, 'x');
            put_json(line, hex[c >> 4]);
            put_json(line, hex[c & 15]);
        }
        return 1;
    }
    if (*bytes == '\\' || (quoted && *bytes == '"')) put_json(line, '\\');
    for (size_t i = 0; i < took; i++) put_json(line, bytes[i]);
    return took;
}

static void put_rest(struct trace_line *line, size_t left)
{
    put_literal(line, "\u2026(+");
    put_i64(line, (int64_t)left);
    put_literal(line, " B)");
}

static void put_raw(struct trace_line *line, struct slice text, size_t max, bool quoted)
{
    size_t i = 0, end = text.len < max ? text.len : max;
    while (i < end) i += put_shown(line, text.ptr + i, text.len - i, quoted);
    if (i < text.len) put_rest(line, text.len - i);
}

/* In quotes where redis-cli would want them. */
static void put_word(struct trace_line *line, struct slice word, size_t max)
{
    bool quotes = word.len == 0;
    for (size_t i = 0, took; i < word.len && i < max && !quotes; i += took) {
        took = character(word.ptr + i, word.len - i);
        quotes =
            !took || word.ptr[i] == ' ' || word.ptr[i] == '"' || word.ptr[i] == '\'' || word.ptr[i] == '\\';
    }
    if (quotes) put_json(line, '"');
    put_raw(line, word, max, quotes);
    if (quotes) put_json(line, '"');
}

/* ---- fields ---- */

void trace_line_begin(struct trace_line *line, const char *kind)
{
    line->len = 0;
    put_literal(line, "{\"k\":\"");
    put_literal(line, kind);
    put_literal(line, "\"");
}

void trace_line_end(struct trace_line *line)
{
    put_literal(line, "}\n");
}

static void put_name(struct trace_line *line, const char *name)
{
    put_literal(line, ",\"");
    put_literal(line, name);
    put_literal(line, "\":");
}

void trace_line_i64(struct trace_line *line, const char *name, int64_t value)
{
    put_name(line, name);
    put_i64(line, value);
}

void trace_line_index(struct trace_line *line, const char *name, int value)
{
    if (value != -1) trace_line_i64(line, name, value);
}

void trace_line_bool(struct trace_line *line, const char *name, bool value)
{
    put_name(line, name);
    put_literal(line, value ? "true" : "false");
}

void trace_line_text(struct trace_line *line, const char *name, struct slice text, size_t max)
{
    put_name(line, name);
    put_literal(line, "\"");
    put_raw(line, text, max, false);
    put_literal(line, "\"");
}

void trace_line_shown(struct trace_line *line, const char *name, struct slice text, size_t max)
{
    size_t i = 0, end = text.len < max ? text.len : max;
    put_name(line, name);
    put_literal(line, "\"");
    while (i < end) {
        const char *at = text.ptr + i;
        size_t took = *at == '\n' ? 1 : character(at, text.len - i);
        for (size_t j = 0; j < took; j++) put_json(line, at[j]);
        i += took ? took : put_shown(line, at, text.len - i, false);
    }
    if (i < text.len) put_rest(line, text.len - i);
    put_literal(line, "\"");
}

void trace_line_sentence(struct trace_line *line, const char *name, const char *sentence)
{
    trace_line_shown(line, name, (struct slice){sentence, strlen(sentence)}, TRACE_SENTENCE_MAX);
}

void trace_line_argv(struct trace_line *line, const char *name, const struct slice *argv, size_t argc)
{
    size_t left = TRACE_ARGV_BYTES, i = 0;
    put_name(line, name);
    put_literal(line, "\"");
    for (; i < argc && (i == 0 || left > 0); i++) {
        size_t max = left < 120 ? left : 120;
        if (i) put_json(line, ' ');
        put_word(line, argv[i], max);
        size_t took = 3 + (argv[i].len < max ? argv[i].len : max);
        left = took < left ? left - took : 0;
    }
    if (i < argc) {
        put_literal(line, " \u2026(+");
        put_i64(line, (int64_t)(argc - i));
        put_literal(line, " arguments)");
    }
    put_literal(line, "\"");
}

void trace_line_counts(struct trace_line *line, const char *name, const uint32_t *counts, size_t count)
{
    put_name(line, name);
    put_literal(line, "[");
    for (size_t i = 0; i < count; i++) {
        if (i) put_literal(line, ",");
        put_i64(line, counts[i]);
    }
    put_literal(line, "]");
}

/* ---- replies ---- */

struct reader {
    const char *at, *end;
    size_t room; /* bytes of text that may still be written */
    bool full;   /* it ended: the rest is read for nothing */
};

static void put_reply_text(struct trace_line *line, struct reader *r, const char *text)
{
    size_t len = strlen(text);
    if (r->full) return;
    if (len > r->room) {
        put_literal(line, "\u2026");
        r->full = true;
        return;
    }
    put_json_text(line, text);
    r->room -= len;
}

static void put_reply_raw(struct trace_line *line, struct reader *r, struct slice text, bool quoted)
{
    if (r->full) return;
    if (r->room == 0) {
        put_literal(line, "\u2026");
        r->full = true;
        return;
    }
    if (quoted) put_json(line, '"');
    size_t max = r->room < 120 ? r->room : 120;
    put_raw(line, text, max, quoted);
    if (quoted) put_json(line, '"');
    size_t took = 2 + (text.len < max ? text.len : max);
    r->room = took < r->room ? r->room - took : 0;
}

/* The line up to CRLF; false when there is none. */
static bool read_line(struct reader *r, struct slice *out)
{
    const char *cr = memchr(r->at, '\r', (size_t)(r->end - r->at));
    if (!cr || cr + 1 >= r->end || cr[1] != '\n') return false;
    *out = (struct slice){r->at, (size_t)(cr - r->at)};
    r->at = cr + 2;
    return true;
}

static bool read_value(struct trace_line *line, struct reader *r, int depth);

static bool read_bulk(struct trace_line *line, struct reader *r, struct slice head, char type)
{
    int64_t len;
    if (!number_parse_i64(head.ptr, head.len, &len)) return false;
    if (len == -1) {
        put_reply_text(line, r, "(nil)");
        return true;
    }
    if (len < 0 || len > r->end - r->at - 2) return false;
    struct slice text = {r->at, (size_t)len};
    r->at += len + 2;
    if (type == '!') put_reply_text(line, r, "(error) ");
    put_reply_raw(line, r, text, type == '$');
    return true;
}

static bool read_aggregate(struct trace_line *line, struct reader *r, struct slice head, char type, int depth)
{
    int64_t count;
    if (depth >= DEPTH_MAX || !number_parse_i64(head.ptr, head.len, &count)) return false;
    if (count == -1) {
        put_reply_text(line, r, "(nil)");
        return true;
    }
    bool map = type == '%' || type == '|';
    if (count < 0 || count > r->end - r->at) return false;
    if (map) count *= 2;
    put_reply_text(line, r, type == '>' ? "push [" : type == '|' ? "attributes {" : type == '*' ? "[" : "{");
    for (int64_t i = 0; i < count; i++) {
        if (i) put_reply_text(line, r, map && i % 2 ? ": " : ", ");
        if (!read_value(line, r, depth + 1)) return false;
    }
    put_reply_text(line, r, type == '*' || type == '>' ? "]" : "}");
    if (type != '|') return true;
    put_reply_text(line, r, " "); /* attributes stand before the value that they describe */
    return read_value(line, r, depth + 1);
}

static bool read_value(struct trace_line *line, struct reader *r, int depth)
{
    struct slice head;
    if (r->at >= r->end) return false;
    char type = *r->at++;
    if (!read_line(r, &head)) return false;
    switch (type) {
    case '-': put_reply_text(line, r, "(error) "); /* fall through */
    case '+':
    case ':':
    case ',':
    case '(': put_reply_raw(line, r, head, false); return true;
    case '_': put_reply_text(line, r, "(nil)"); return true;
    case '#': put_reply_text(line, r, head.len == 1 && *head.ptr == 't' ? "true" : "false"); return true;
    case '$':
    case '=':
    case '!': return read_bulk(line, r, head, type);
    case '*':
    case '%':
    case '~':
    case '>':
    case '|': return read_aggregate(line, r, head, type, depth);
    default: return false;
    }
}

void trace_line_resp(struct trace_line *line, const char *name, const char *resp, size_t len)
{
    struct reader r = {resp, resp + len, TRACE_REPLY_BYTES, false};
    put_name(line, name);
    put_literal(line, "\"");
    size_t start = line->len;
    if (len && !(read_value(line, &r, 0) && r.at == r.end)) {
        line->len = start;
        put_literal(line, "(not RESP) ");
        put_raw(line, (struct slice){resp, len}, TRACE_REPLY_BYTES, false);
    }
    put_literal(line, "\"");
    if (len && (*resp == '-' || *resp == '!')) trace_line_bool(line, "e", true);
}
