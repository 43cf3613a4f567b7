/* Inside the simulated object store: a request as it was parsed, an answer as it will be sent, and the store.
 * Only sim/object_store.c, store_http.c and store_request.c include this. */
#ifndef WEFT_SIM_STORE_HTTP_H
#define WEFT_SIM_STORE_HTTP_H

#include "sim/bucket.h"
#include "sim/object_store.h"

#define STORE_HEAD_MAX  16384
#define STORE_BODY_MAX  (256u << 20)
#define STORE_VALUE_MAX 2048

struct store_request {
    char method[8];
    char bucket[64], key[BUCKET_KEY_MAX + 1]; /* decoded; key "" : of the bucket itself */
    char query[STORE_VALUE_MAX];              /* not decoded */
    char if_match[128], if_none_match[128], range[64], authorization[512], date[32];
    bool keep_alive, chunked, expect_continue;
    size_t content_len;
    const uint8_t *body; /* into the connection's buffer */
};

struct store_answer {
    int status;
    const char *code; /* of an error, "NoSuchKey"; NULL: none */
    struct blob head; /* more header lines, each with its CRLF */
    struct blob body;
    size_t head_len; /* of HEAD: what Content-Length says when there is no body */
    bool silent;     /* nothing is ever answered */
    bool drip;       /* piece by piece */
    bool cut;        /* ends within the body */
    bool flip;       /* with a wrong bit in the body */
};

struct object_store {
    struct object_store_config config;
    struct io_world *node;
    struct io *io;
    struct io_listener *listener;
    struct bucket bucket;
    struct store_conn *conns;
    struct store_late *late; /* changes that were answered with an error and are still to come */
    int64_t refused_until_us, expired_until_us, bucket_gone_until_us; /* 429, 403, 404 until then */
    uint64_t requests;
};

/* store_http.c */
/* Bytes of the head when it is complete; 0: more is needed; -1: it is not HTTP as we speak it. */
int64_t store_parse(const uint8_t *in, size_t len, struct store_request *r);
/* A parameter of the query, decoded; false: it is not there. `value` may be NULL. */
bool store_query(const struct store_request *r, const char *name, char *value);
void store_xml(struct blob *b, const char *text); /* escaped */
/* The text between <tag> and </tag>, not escaped any more, from *at on, which moves behind it. */
bool store_xml_next(const char **at, const char *end, const char *tag, char *value, size_t room);
void store_error(struct store_answer *a, int status, const char *code);
/* Puts status, headers and body together. */
void store_answer_write(const struct store_answer *a, const struct store_request *r, struct blob *out);
/* "20260102T030405Z" as microseconds since 1970; -1: it is not one. */
int64_t store_date_us(const char *text);
void store_date_print(struct blob *b, bool http, int64_t us); /* "Thu, 01 Jan 1970 …", or ISO */

/* store_request.c */
/* Does what the request asks, without faults. */
void store_execute(struct object_store *store, const struct store_request *r, struct store_answer *a);
bool store_is_change(const struct store_request *r);
bool store_is_listing(const struct store_request *r);
bool store_is_complete(const struct store_request *r);

#endif
