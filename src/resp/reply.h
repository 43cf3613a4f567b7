/* The reply writer: RESP2 or RESP3 bytes appended to one growable buffer.
 *
 *   begin            at            end
 *   |  replies so far |  room       |
 *
 * A handler writes exactly one reply; aggregates by their header, then that many elements. What differs
 * between the protocol versions is decided here by `resp` (2 or 3), so handlers say what they mean (map,
 * double, null).
 *
 * Memory: the buffer is malloc'ed and belongs to the struct until reply_detach. When it cannot grow, the
 * write is dropped whole and `failed` set: from then on the bytes are no valid stream and the connection must
 * be closed. Errors are counted and the last one's place kept, for the statistics of the executor. Cost: a
 * short bulk is one capacity check, a header from a table, one copy (~5 ns). One thread. Tests:
 * test/unit/reply_test.c.
 */
#ifndef WEFT_RESP_REPLY_H
#define WEFT_RESP_REPLY_H

#include "base/check.h"
#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdarg.h>

struct reply {
    char *at, *end, *begin;
    uint8_t resp;        /* 2 or 3 */
    bool failed;         /* out of memory: close the connection */
    uint32_t errors;     /* error replies written so far; wraps */
    size_t error_offset; /* where the last of them starts ('-'), counted from `begin` */
};

/* ---- the buffer ---- */
void reply_init(struct reply *r, uint8_t resp); /* no memory yet */
void reply_free(struct reply *r);
static inline size_t reply_len(const struct reply *r)
{
    return (size_t)(r->at - r->begin);
}
/* Empties it and keeps the memory; `failed` is cleared. */
static inline void reply_clear(struct reply *r)
{
    r->at = r->begin;
    r->failed = false;
}
/* Forgets what was written after `len` was the length: for a command that is undone or answered otherwise. */
static inline void reply_truncate(struct reply *r, size_t len)
{
    DCHECK(len <= reply_len(r));
    r->at = r->begin + len;
}
/* Hands the buffer over: the caller frees it with free(). NULL when there is none; *len is its filled part.
 */
char *reply_detach(struct reply *r, size_t *len, size_t *capacity);
/* Makes the struct write into `buffer` (malloc'ed, now its own) from the start; it must have none. */
void reply_attach(struct reply *r, char *buffer, size_t capacity);

bool reply_grow(struct reply *r, size_t room); /* the slow path of reply_room */
/* True if `room` bytes can be written at r->at. */
static inline bool reply_room(struct reply *r, size_t room)
{
    return LIKELY((size_t)(r->end - r->at) >= room) || reply_grow(r, room);
}

/* ---- raw ---- */
static inline void reply_raw(struct reply *r, const void *ptr, size_t len)
{
    if (!reply_room(r, len)) return;
    if (len) memcpy(r->at, ptr, len);
    r->at += len;
}
#define REPLY_RAW_LITERAL(r, literal) reply_raw(r, literal, sizeof(literal) - 1)

/* ---- simple replies ---- */
static inline void reply_ok(struct reply *r)
{
    REPLY_RAW_LITERAL(r, "+OK\r\n");
}
static inline void reply_queued(struct reply *r)
{
    REPLY_RAW_LITERAL(r, "+QUEUED\r\n");
}
void reply_status(struct reply *r, const char *text); /* +text; must hold no CR or LF */
void reply_integer_long(struct reply *r, int64_t value);
static inline void reply_integer(struct reply *r, int64_t value)
{
    if (LIKELY((uint64_t)value < 10 && reply_room(r, 4))) {
        const char small[4] = {':', (char)('0' + value), '\r', '\n'};
        memcpy(r->at, small, 4);
        r->at += 4;
        return;
    }
    reply_integer_long(r, value);
}
static inline void reply_null(struct reply *r) /* $-1, or _ */
{
    if (r->resp == 2)
        REPLY_RAW_LITERAL(r, "$-1\r\n");
    else
        REPLY_RAW_LITERAL(r, "_\r\n");
}
static inline void reply_null_array(struct reply *r) /* *-1, or _ */
{
    if (r->resp == 2)
        REPLY_RAW_LITERAL(r, "*-1\r\n");
    else
        REPLY_RAW_LITERAL(r, "_\r\n");
}
void reply_bool(struct reply *r, bool value);               /* :1 :0, or #t #f */
void reply_double(struct reply *r, double value);           /* bulk, or ,1.5 */
void reply_long_double(struct reply *r, long double value); /* as INCRBYFLOAT formats it; bulk, or , */
void reply_big_number(struct reply *r, const char *digits, size_t len); /* bulk, or ( */
void reply_verbatim(struct reply *r, const char *ext, const void *ptr,
                    size_t len); /* bulk, or =; ext "txt" */

/* ---- bulks ---- */
/* "$0\r\n" … "$99\r\n" padded to 8 bytes, and how many of them count. */
struct reply_bulk_header {
    char text[7];
    uint8_t len;
};
#define REPLY_BULK_HEADERS 100
extern const struct reply_bulk_header reply_bulk_headers[REPLY_BULK_HEADERS];

void reply_bulk_long(struct reply *r, const void *ptr, size_t len);
static inline void reply_bulk(struct reply *r, const void *ptr, size_t len)
{
    if (LIKELY(len < REPLY_BULK_HEADERS && reply_room(r, len + 16))) {
        const struct reply_bulk_header *h = &reply_bulk_headers[len];
        memcpy(r->at, h->text, 8);
        char *p = r->at + h->len;
        if (len) memcpy(p, ptr, len);
        memcpy(p + len, "\r\n", 2);
        r->at = p + len + 2;
        return;
    }
    reply_bulk_long(r, ptr, len);
}
static inline void reply_bulk_slice(struct reply *r, struct slice s)
{
    reply_bulk(r, s.ptr, s.len);
}
static inline void reply_bulk_text(struct reply *r, const char *s)
{
    reply_bulk(r, s, strlen(s));
}
void reply_bulk_i64(struct reply *r, int64_t value); /* an integer as a bulk string */
void reply_bulkf(struct reply *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- aggregates: a header, then the elements ---- */
void reply_header(struct reply *r, char kind, uint64_t count); /* kind and count as they are on the wire */
static inline void reply_array(struct reply *r, uint64_t count)
{
    reply_header(r, '*', count);
}
static inline void reply_map(struct reply *r, uint64_t pairs) /* in RESP2 an array of 2 * pairs */
{
    if (r->resp == 2)
        reply_header(r, '*', pairs * 2);
    else
        reply_header(r, '%', pairs);
}
static inline void reply_set(struct reply *r, uint64_t count)
{
    reply_header(r, r->resp == 2 ? '*' : '~', count);
}
static inline void reply_push(struct reply *r, uint64_t count)
{
    reply_header(r, r->resp == 2 ? '*' : '>', count);
}
static inline void reply_empty_array(struct reply *r)
{
    REPLY_RAW_LITERAL(r, "*0\r\n");
}

/* An aggregate whose count is known only after its elements: defer, write the elements, close with the mark.
 * `expected` (any guess; 0 if there is none) saves moving the elements when it has as many digits as the
 * truth. Several may be open at once; close the inner ones first. */
size_t reply_defer(struct reply *r, uint64_t expected);
void reply_close_header(struct reply *r, size_t mark, char kind, uint64_t count);
static inline void reply_close_array(struct reply *r, size_t mark, uint64_t count)
{
    reply_close_header(r, mark, '*', count);
}
static inline void reply_close_map(struct reply *r, size_t mark, uint64_t pairs)
{
    if (r->resp == 2)
        reply_close_header(r, mark, '*', pairs * 2);
    else
        reply_close_header(r, mark, '%', pairs);
}
static inline void reply_close_set(struct reply *r, size_t mark, uint64_t count)
{
    reply_close_header(r, mark, r->resp == 2 ? '*' : '~', count);
}

/* ---- errors: the text begins with its code ("ERR …", "WRONGTYPE …"), without '-' ----
 * CR and LF are cut at the end and become spaces elsewhere, so that no argument can break the stream. */
void reply_error_bytes(struct reply *r, const char *text, size_t len);
static inline void reply_error(struct reply *r, const char *text)
{
    reply_error_bytes(r, text, strlen(text));
}
void reply_errorf(struct reply *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
void reply_errorv(struct reply *r, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
/* The code of the last error ("ERR", "WRONGTYPE"); "ERR" if its first 32 bytes hold no space, as Redis counts
 * it. */
struct slice reply_error_code(const struct reply *r);

#endif
