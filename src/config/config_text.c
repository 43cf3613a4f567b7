/* Owned strings and the splitting and quoting of configuration lines; see config_text.h. Cost: one allocation
 * per string and two per line; the control plane only. Tests: test/unit/config_text_test.c. */
#include "config/config_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

/* What every empty text points to; never written, never freed. */
static const char empty[1] = "";

void *config_alloc(size_t size)
{
    void *ptr = malloc(size ? size : 1);
    CHECK(ptr != NULL);
    return ptr;
}

void config_text_init(struct config_text *text)
{
    text->ptr = (char *)(uintptr_t)empty;
    text->len = 0;
}

void config_text_free(struct config_text *text)
{
    if (text->ptr != empty) free(text->ptr);
    config_text_init(text);
}

void config_text_set(struct config_text *text, struct slice value)
{
    struct config_text fresh; /* first, because `value` may lie within `text` */
    config_text_init(&fresh);
    config_text_append(&fresh, value);
    config_text_free(text);
    *text = fresh;
}

void config_text_append(struct config_text *text, struct slice bytes)
{
    if (bytes.len == 0) return;
    char *grown = realloc(text->ptr == empty ? NULL : text->ptr, text->len + bytes.len + 1);
    CHECK(grown != NULL);
    memcpy(grown + text->len, bytes.ptr, bytes.len);
    text->ptr = grown;
    text->len += bytes.len;
    grown[text->len] = 0;
}

void config_text_format(struct config_text *text, const char *format, ...)
{
    char *made = NULL;
    va_list arguments;
    va_start(arguments, format);
    int len = vasprintf(&made, format, arguments);
    va_end(arguments);
    CHECK(len >= 0);
    config_text_append(text, (struct slice){made, (size_t)len});
    free(made);
}

void config_text_append_quoted(struct config_text *text, struct slice bytes)
{
    config_text_append(text, SLICE("\""));
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];
        switch (c) {
        case '\\':
        case '"': config_text_format(text, "\\%c", c); break;
        case '\n': config_text_append(text, SLICE("\\n")); break;
        case '\r': config_text_append(text, SLICE("\\r")); break;
        case '\t': config_text_append(text, SLICE("\\t")); break;
        case '\a': config_text_append(text, SLICE("\\a")); break;
        case '\b': config_text_append(text, SLICE("\\b")); break;
        default:
            if (c >= 0x20 && c < 0x7f)
                config_text_append(text, (struct slice){bytes.ptr + i, 1});
            else
                config_text_format(text, "\\x%02x", c);
        }
    }
    config_text_append(text, SLICE("\""));
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Inside a bare word only these end it; \v and \f belong to it. */
static bool ends_word(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct scan {
    const char *at, *end;
    char *out;
};

/* Behind an opening quote: copies up to the closing one. False if that is missing or something sticks to it.
 */
static bool scan_quoted(struct scan *scan, char quote)
{
    while (scan->at < scan->end && *scan->at != quote) {
        size_t left = (size_t)(scan->end - scan->at);
        char c = *scan->at++;
        if (c == '\\' && quote == '\'') {
            if (left > 1 && *scan->at == '\'') c = *scan->at++;
        } else if (c == '\\' && left > 3 && *scan->at == 'x' && hex_value(scan->at[1]) >= 0 &&
                   hex_value(scan->at[2]) >= 0) {
            c = (char)(hex_value(scan->at[1]) * 16 + hex_value(scan->at[2]));
            scan->at += 3;
        } else if (c == '\\' && left > 1) {
            c = *scan->at++;
            static const char names[] = "nrtab", values[] = "\n\r\t\a\b";
            const char *name = c ? strchr(names, c) : NULL;
            if (name) c = values[name - names];
        }
        *scan->out++ = c;
    }
    if (scan->at == scan->end) return false;
    scan->at++;
    return scan->at == scan->end || is_blank(*scan->at);
}

/* One word from its first byte on. A quote may begin in the middle of a word and then ends it. */
static bool scan_word(struct scan *scan)
{
    while (scan->at < scan->end && !ends_word(*scan->at)) {
        char c = *scan->at++;
        if (c == '"' || c == '\'') return scan_quoted(scan, c);
        *scan->out++ = c;
    }
    return true;
}

static void words_push(struct config_words *words, struct slice word)
{
    if ((words->count & (words->count - 1)) == 0) { /* full at powers of two */
        size_t capacity = words->count ? words->count * 2 : 1;
        words->items = realloc(words->items, capacity * sizeof(struct slice));
        CHECK(words->items != NULL);
    }
    words->items[words->count++] = word;
}

bool config_words_split(struct slice line, struct config_words *words)
{
    *words = (struct config_words){NULL, 0, config_alloc(line.len + 1)};
    struct scan scan = {line.ptr, line.ptr + line.len, words->storage};
    for (;;) {
        while (scan.at < scan.end && (is_blank(*scan.at) || *scan.at == 0)) scan.at++;
        if (scan.at == scan.end) return true;
        char *begin = scan.out;
        if (!scan_word(&scan)) {
            config_words_free(words);
            return false;
        }
        words_push(words, (struct slice){begin, (size_t)(scan.out - begin)});
    }
}

void config_words_split_spaces(struct slice text, struct config_words *words)
{
    *words = (struct config_words){NULL, 0, NULL};
    if (text.len == 0) return;
    size_t begin = 0;
    for (size_t i = 0; i <= text.len; i++) {
        if (i < text.len && text.ptr[i] != ' ') continue;
        words_push(words, (struct slice){text.ptr + begin, i - begin});
        begin = i + 1;
    }
}

void config_words_free(struct config_words *words)
{
    free(words->items);
    free(words->storage);
    *words = (struct config_words){NULL, 0, NULL};
}

struct slice config_trim(struct slice line)
{
    const char *begin = line.ptr, *end = line.ptr + line.len;
    while (begin < end && strchr(" \t\r\n", *begin) && *begin) begin++;
    while (end > begin && strchr(" \t\r\n", end[-1]) && end[-1]) end--;
    return (struct slice){begin, (size_t)(end - begin)};
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool config_name_equal(struct slice a, struct slice b)
{
    if (a.len != b.len) return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.ptr[i]) != lower(b.ptr[i])) return false;
    return true;
}
