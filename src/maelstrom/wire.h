/* wire: RESP as a client sees it, with replies as JSON values. Commands go out as arrays of bulk strings; of
 * a reply, status and bulk strings become strings, integers integers, nil null, arrays arrays, and an error
 * an object {"error": text}. What weft-maelstrom stores is JSON text, thus UTF-8; bulk strings that are not
 * become an error object. Pure. Tests: test/unit/maelstrom_request_test.c. */
#ifndef WEFT_MAELSTROM_WIRE_H
#define WEFT_MAELSTROM_WIRE_H

#include <stdarg.h>
#include <stddef.h>

#include <jansson.h>

/* Bytes that grow; zeroed is empty. */
struct bytes {
    char *ptr;
    size_t len, room;
};

void bytes_add(struct bytes *b, const void *ptr, size_t len);
void bytes_drop(struct bytes *b, size_t len); /* the first ones */
void bytes_free(struct bytes *b);

/* Appends one command of `count` words, given as NUL-terminated strings. */
void wire_command(struct bytes *out, int count, ...);

/* Reads one reply. NULL: more bytes are needed (*used is 0) or they are no reply (*used is (size_t)-1).
 * Otherwise a new reference, and *used bytes belong to it. */
json_t *wire_reply(const char *ptr, size_t len, size_t *used);

/* The error's text, or NULL when the reply is none. */
const char *wire_error(const json_t *reply);

#endif
