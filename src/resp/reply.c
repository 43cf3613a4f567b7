/* The reply writer's slower half (contract in reply.h). */
#include "resp/reply.h"

#include "base/mutant.h"
#include "base/number.h"

#include <stdio.h>
#include <stdlib.h>

#define REPLY_CAPACITY_MIN 1024
/* Header, at most: kind, 20 digits, CR LF. */
#define HEADER_MAX 23

#define H1(n)                                                                                                \
    {                                                                                                        \
        {'$', '0' + (n), '\r', '\n'}, 4                                                                      \
    }
#define H2(t, u)                                                                                             \
    {                                                                                                        \
        {'$', '0' + (t), '0' + (u), '\r', '\n'}, 5                                                           \
    }
#define TEN(t)                                                                                               \
    H2(t, 0), H2(t, 1), H2(t, 2), H2(t, 3), H2(t, 4), H2(t, 5), H2(t, 6), H2(t, 7), H2(t, 8), H2(t, 9)

const struct reply_bulk_header reply_bulk_headers[REPLY_BULK_HEADERS] = {
    H1(0),  H1(1),  H1(2),  H1(3),  H1(4),  H1(5),  H1(6),  H1(7),  H1(8), H1(9),
    TEN(1), TEN(2), TEN(3), TEN(4), TEN(5), TEN(6), TEN(7), TEN(8), TEN(9)};

_Static_assert(sizeof(struct reply_bulk_header) == 8, "copied as one word");

void reply_init(struct reply *r, uint8_t resp)
{
    CHECK(resp == 2 || resp == 3);
    *r = (struct reply){.resp = resp};
}

void reply_free(struct reply *r)
{
    free(r->begin);
    r->at = r->end = r->begin = NULL;
}

char *reply_detach(struct reply *r, size_t *len, size_t *capacity)
{
    char *buffer = r->begin;
    *len = reply_len(r);
    *capacity = (size_t)(r->end - r->begin);
    r->at = r->end = r->begin = NULL;
    return buffer;
}

void reply_attach(struct reply *r, char *buffer, size_t capacity)
{
    CHECK(r->begin == NULL);
    r->at = r->begin = buffer;
    r->end = buffer + capacity;
}

bool reply_grow(struct reply *r, size_t room)
{
    size_t len = reply_len(r), capacity = (size_t)(r->end - r->begin);
    size_t wanted = capacity + capacity / 2;
    if (wanted < len + room) wanted = len + room;
    if (wanted < REPLY_CAPACITY_MIN) wanted = REPLY_CAPACITY_MIN;
    char *buffer = r->failed || wanted < room ? NULL : realloc(r->begin, wanted);
    if (buffer == NULL) {
        r->failed = true;
        return false;
    }
    r->begin = buffer;
    r->at = buffer + len;
    r->end = buffer + wanted;
    return true;
}

/* ---- headers ---- */

static char *put_header(char *p, char kind, uint64_t count)
{
    *p++ = kind;
    p += number_format_u64(p, count);
    memcpy(p, "\r\n", 2);
    return p + 2;
}

void reply_header(struct reply *r, char kind, uint64_t count)
{
    if (reply_room(r, HEADER_MAX)) r->at = put_header(r->at, kind, count);
}

size_t reply_defer(struct reply *r, uint64_t expected)
{
    size_t mark = reply_len(r);
    size_t reserved = 3 + number_digits_u64(expected);
    /* The place's size is written into it: the close must know. */
    if (reply_room(r, HEADER_MAX)) {
        r->at[0] = (char)reserved;
        r->at += reserved;
    }
    return mark;
}

void reply_close_header(struct reply *r, size_t mark, char kind, uint64_t count)
{
    if (r->failed) return;
    CHECK(mark < reply_len(r));
    char header[HEADER_MAX];
    size_t needed = (size_t)(put_header(header, kind, count) - header);
    size_t reserved = (size_t)r->begin[mark];
    size_t elements = reply_len(r) - mark - reserved;
    if (MUTANT(reply_header_only_grows) ? needed > reserved : needed != reserved) {
        if (!reply_room(r, HEADER_MAX)) return;
        char *place = r->begin + mark;
        memmove(place + needed, place + reserved, elements);
        r->at = place + needed + elements;
    }
    memcpy(r->begin + mark, header, needed);
}

/* ---- scalars ---- */

void reply_status(struct reply *r, const char *text)
{
    size_t len = strlen(text);
    if (!reply_room(r, len + 3)) return;
    *r->at++ = '+';
    memcpy(r->at, text, len);
    memcpy(r->at + len, "\r\n", 2);
    r->at += len + 2;
}

void reply_integer_long(struct reply *r, int64_t value)
{
    if (!reply_room(r, HEADER_MAX)) return;
    *r->at++ = ':';
    r->at += number_format_i64(r->at, value);
    memcpy(r->at, "\r\n", 2);
    r->at += 2;
}

void reply_bool(struct reply *r, bool value)
{
    if (r->resp == 2)
        reply_integer(r, value);
    else
        reply_raw(r, value ? "#t\r\n" : "#f\r\n", 4);
}

void reply_bulk_long(struct reply *r, const void *ptr, size_t len)
{
    if (!reply_room(r, len + HEADER_MAX + 2)) return;
    char *p = put_header(r->at, '$', len);
    if (len) memcpy(p, ptr, len);
    memcpy(p + len, "\r\n", 2);
    r->at = p + len + 2;
}

void reply_bulk_i64(struct reply *r, int64_t value)
{
    char text[NUMBER_I64_MAX];
    reply_bulk(r, text, number_format_i64(text, value));
}

void reply_bulkf(struct reply *r, const char *format, ...)
{
    char small[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    CHECK(n >= 0);
    if ((size_t)n < sizeof small) {
        reply_bulk(r, small, (size_t)n);
        return;
    }
    size_t len = (size_t)n;
    if (!reply_room(r, len + HEADER_MAX + 2)) return;
    char *p = put_header(r->at, '$', len);
    va_start(args, format);
    vsnprintf(p, len + 1, format, args);
    va_end(args);
    memcpy(p + len, "\r\n", 2);
    r->at = p + len + 2;
}

/* A scalar that RESP3 has a type for and RESP2 sends as a bulk. */
static void put_scalar(struct reply *r, char kind, const char *text, size_t len)
{
    if (r->resp == 2) {
        reply_bulk(r, text, len);
        return;
    }
    if (!reply_room(r, len + 3)) return;
    *r->at++ = kind;
    memcpy(r->at, text, len);
    memcpy(r->at + len, "\r\n", 2);
    r->at += len + 2;
}

void reply_double(struct reply *r, double value)
{
    char text[NUMBER_DOUBLE_MAX];
    put_scalar(r, ',', text, number_format_double(text, value));
}

void reply_long_double(struct reply *r, long double value)
{
    char text[NUMBER_LONG_DOUBLE_MAX];
    put_scalar(r, ',', text, number_format_long_double(text, value));
}

void reply_big_number(struct reply *r, const char *digits, size_t len)
{
    put_scalar(r, '(', digits, len);
}

void reply_verbatim(struct reply *r, const char *ext, const void *ptr, size_t len)
{
    if (r->resp == 2) {
        reply_bulk(r, ptr, len);
        return;
    }
    if (!reply_room(r, len + HEADER_MAX + 6)) return;
    char *p = put_header(r->at, '=', len + 4);
    for (int i = 0; i < 3; i++) *p++ = *ext ? *ext++ : ' ';
    *p++ = ':';
    if (len) memcpy(p, ptr, len);
    memcpy(p + len, "\r\n", 2);
    r->at = p + len + 2;
}

/* ---- errors ---- */

void reply_error_bytes(struct reply *r, const char *text, size_t len)
{
    while (len && (text[len - 1] == '\r' || text[len - 1] == '\n')) len--;
    r->errors++;
    r->error_offset = reply_len(r);
    if (!reply_room(r, len + 3)) return;
    char *p = r->at;
    *p++ = '-';
    for (size_t i = 0; i < len; i++) *p++ = text[i] == '\r' || text[i] == '\n' ? ' ' : text[i];
    memcpy(p, "\r\n", 2);
    r->at = p + 2;
}

void reply_errorv(struct reply *r, const char *format, va_list args)
{
    char small[512];
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(small, sizeof small, format, args);
    CHECK(n >= 0);
    if ((size_t)n < sizeof small) {
        reply_error_bytes(r, small, (size_t)n);
    } else {
        char *text = malloc((size_t)n + 1);
        if (text == NULL) {
            r->failed = true;
        } else {
            vsnprintf(text, (size_t)n + 1, format, again);
            reply_error_bytes(r, text, (size_t)n);
            free(text);
        }
    }
    va_end(again);
}

void reply_errorf(struct reply *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    reply_errorv(r, format, args);
    va_end(args);
}

struct slice reply_error_code(const struct reply *r)
{
    if (r->error_offset >= reply_len(r)) return SLICE("ERR");
    const char *start = r->begin + r->error_offset;
    size_t len = (size_t)(r->at - start);
    const char *space = memchr(start, ' ', len < 32 ? len : 32);
    if (space == NULL) return SLICE("ERR");
    return (struct slice){start + 1, (size_t)(space - start) - 1};
}
