/* A simulated S3 server: a program of the simulated world like any other, that listens on its node and speaks
 * HTTP/1.1 with path-style addresses. One bucket. The harness turns it whenever io_sim_ready() says so.
 *
 *    GET HEAD PUT DELETE /bucket/key       Range (one), If-Match and If-None-Match on PUT, If-Match on DELETE
 *    GET /bucket?list-type=2               prefix, delimiter, start-after, max-keys, continuation-token
 *    POST /bucket?delete=                  up to 1,000 keys
 *    POST /bucket/key?uploads=             multipart: begin; PUT ?partNumber=&uploadId=; POST and DELETE
 *    HEAD /bucket, GET /bucket?uploads=    ?uploadId=
 *
 * Requests must carry the access key in `Authorization` and an `x-amz-date` within 15 minutes of the node's
 * wall clock. The signature itself is not checked, nor Content-MD5 and checksums; no chunked requests.
 *
 * Answers come after a service time of 0.5 to 3 ms; a request takes effect at the end of it. The faults of
 * group `store` (io/sim_fault.h) are drawn with the rates of the store's node. Owner: the harness; the store
 * owns its io. Its contents live as long as it does. */
#ifndef WEFT_SIM_OBJECT_STORE_H
#define WEFT_SIM_OBJECT_STORE_H

#include "io/world.h"

struct object_store;

/* Ways in which real stores differ. The default is as AWS. */
enum {
    OBJECT_STORE_RADOSGW_16 = 1, /* a quoted If-Match never matches; If-Match on a missing key 412; DELETE and
                                    CompleteMultipartUpload ignore conditions */
    OBJECT_STORE_NO_CONDITIONS = 2, /* 501 to every conditional PUT */
    OBJECT_STORE_DEAF = 4,          /* ignores all conditions: what a client must find out at its start */
};

struct object_store_config {
    const char *bucket, *access_key; /* not copied */
    uint16_t port;
    size_t page_max;       /* keys in a page of a listing, at most; 0: 1,000 */
    size_t part_bytes_min; /* of all parts but the last; 0: no limit (AWS: 5 MiB) */
    unsigned quirks;
};

/* NULL when it cannot listen. */
struct object_store *object_store_create(struct io_world *node, const struct object_store_config *config);
void object_store_destroy(struct object_store *store);
struct io *object_store_io(struct object_store *store);
void object_store_turn(struct object_store *store);

/* For oracles, past all faults. The bytes are good until the next turn; NULL: no such object. */
const uint8_t *object_store_peek(const struct object_store *store, const char *key, size_t *len);
size_t object_store_count(const struct object_store *store);
/* Keys in order: the first one greater than `after` ("" to begin); NULL at the end. */
const char *object_store_next(const struct object_store *store, const char *after);
size_t object_store_uploads(const struct object_store *store); /* begun, neither completed nor aborted */
uint64_t object_store_requests(const struct object_store *store);

#endif
