/* RESP for a client. See wire.h. */
#include "maelstrom/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define DEPTH_MAX 8
#define BROKEN    ((size_t)-1)

void bytes_add(struct bytes *b, const void *ptr, size_t len)
{
    if (b->len + len > b->room) {
        b->room = (b->len + len) * 2 + 64;
        b->ptr = realloc(b->ptr, b->room);
        CHECK(b->ptr != NULL);
    }
    if (len) memcpy(b->ptr + b->len, ptr, len);
    b->len += len;
}

void bytes_drop(struct bytes *b, size_t len)
{
    CHECK(len <= b->len);
    b->len -= len;
    if (len && b->len) memmove(b->ptr, b->ptr + len, b->len);
}

void bytes_free(struct bytes *b)
{
    free(b->ptr);
    *b = (struct bytes){0};
}

void wire_command(struct bytes *out, int count, ...)
{
    char head[32];
    va_list words;
    va_start(words, count);
    bytes_add(out, head, (size_t)snprintf(head, sizeof head, "*%d\r\n", count));
    for (int i = 0; i < count; i++) {
        const char *word = va_arg(words, const char *);
        bytes_add(out, head, (size_t)snprintf(head, sizeof head, "$%zu\r\n", strlen(word)));
        bytes_add(out, word, strlen(word));
        bytes_add(out, "\r\n", 2);
    }
    va_end(words);
}

static json_t *error_reply(const char *text, size_t len)
{
    json_t *string = json_stringn(text, len);
    return json_pack("{s:o}", "error", string ? string : json_string("a reply that is not UTF-8"));
}

static json_t *read_reply(const char *ptr, size_t len, size_t *used, int depth);

static json_t *read_bulk(const char *ptr, size_t len, size_t head, long long n, size_t *used)
{
    if (len - head < (size_t)n + 2) return NULL;
    *used = head + (size_t)n + 2;
    json_t *string = json_stringn(ptr + head, (size_t)n);
    return string ? string : error_reply("\xff", 1);
}

static json_t *read_array(const char *ptr, size_t len, size_t head, long long n, size_t *used, int depth)
{
    json_t *array = json_array();
    size_t at = head;
    for (long long i = 0; i < n; i++) {
        size_t taken;
        json_t *item = read_reply(ptr + at, len - at, &taken, depth + 1);
        if (!item) {
            json_decref(array);
            *used = taken;
            return NULL;
        }
        json_array_append_new(array, item);
        at += taken;
    }
    *used = at;
    return array;
}

static json_t *read_reply(const char *ptr, size_t len, size_t *used, int depth)
{
    const char *end = len ? memchr(ptr, '\n', len) : NULL;
    *used = 0;
    if (!end) return NULL;
    size_t head = (size_t)(end - ptr) + 1;
    if (head < 3 || end[-1] != '\r' || depth > DEPTH_MAX) {
        *used = BROKEN;
        return NULL;
    }
    long long number = strtoll(ptr + 1, NULL, 10);
    bool sized = *ptr == '$' || *ptr == '*';
    if (!sized) *used = head;
    switch (*ptr) {
    case '+': return json_stringn(ptr + 1, head - 3);
    case '-': return error_reply(ptr + 1, head - 3);
    case ':': return json_integer(number);
    case '$':
    case '*':
        if (number < 0) {
            *used = head;
            return json_null();
        }
        return *ptr == '$' ? read_bulk(ptr, len, head, number, used)
                           : read_array(ptr, len, head, number, used, depth);
    default: *used = BROKEN; return NULL;
    }
}

json_t *wire_reply(const char *ptr, size_t len, size_t *used)
{
    return read_reply(ptr, len, used, 0);
}

const char *wire_error(const json_t *reply)
{
    return json_is_object(reply) ? json_string_value(json_object_get(reply, "error")) : NULL;
}
