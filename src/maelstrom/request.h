/* request: what a Maelstrom message of a client means as commands, and what their replies mean as an answer.
 *
 *     echo          ECHO
 *     read          GET
 *     write         SET
 *     cas           WATCH, GET; if the value is the expected one MULTI, SET, EXEC, and again if EXEC says
 * nil; else UNWATCH txn           MULTI, for each operation LRANGE or RPUSH, EXEC
 *
 * Keys and values are stored as their JSON text with sorted keys and no blanks, so 1 and "1" differ. A
 * request runs in *stages*: commands are sent in one pipeline, and all their replies come before the next
 * stage. It needs a connection of its own meanwhile (WATCH, MULTI). Pure: bytes and JSON in, bytes and JSON
 * out.
 *
 * Errors, as Maelstrom numbers them: 10 no such request · 11 certainly not done, try again · 12 malformed ·
 * 13 may have been done or not · 20 no such key · 22 another value was there.
 *
 * Tests: test/unit/maelstrom_request_test.c. */
#ifndef WEFT_MAELSTROM_REQUEST_H
#define WEFT_MAELSTROM_REQUEST_H

#include <stdbool.h>

#include "maelstrom/wire.h"

enum request_error {
    ERROR_NOT_SUPPORTED = 10,
    ERROR_UNAVAILABLE = 11,
    ERROR_MALFORMED = 12,
    ERROR_CRASH = 13,
    ERROR_NO_KEY = 20,
    ERROR_PRECONDITION = 22
};

#define REQUEST_CAS_TRIES_MAX 64

enum request_kind { REQUEST_ECHO, REQUEST_READ, REQUEST_WRITE, REQUEST_CAS, REQUEST_TXN };

struct request {
    json_t *body; /* a reference */
    enum request_kind kind;
    int stage;
    int tries;             /* of cas */
    size_t awaited;        /* replies of this stage */
    char *key, *from, *to; /* texts */
};

/* Takes the body of a client's message. NULL: the request has begun, its first commands were appended to
 * `out`. Otherwise the answer's body (there was nothing to do), and the request need not be ended. */
json_t *request_begin(struct request *r, json_t *body, struct bytes *out);
/* All `awaited` replies (an array) of the stage have come. NULL: another stage has begun, its commands were
 * appended to `out`. Otherwise the answer's body. */
json_t *request_go_on(struct request *r, const json_t *replies, struct bytes *out);
/* Gives back what the request holds. */
void request_end(struct request *r);

/* The body of an error. */
json_t *request_error(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
