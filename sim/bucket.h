/* What a simulated object store holds: objects by key, and uploads in parts. Pure data: no io, no faults.
 * The caller owns a bucket; pointers to objects are good until the next change of the bucket. Keys are NUL-
 * terminated, 1 to BUCKET_KEY_MAX bytes. Times are virtual microseconds that never go back. */
#ifndef WEFT_SIM_BUCKET_H
#define WEFT_SIM_BUCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUCKET_KEY_MAX      1024
#define BUCKET_ETAG_MAX     48
#define BUCKET_VERSIONS_MAX 16 /* remembered of each key, for stale listings */

/* Growing text or bytes; `at` is NUL-terminated when only text was added. */
struct blob {
    uint8_t *at;
    size_t len, room;
};
void blob_add(struct blob *b, const void *data, size_t len);
void blob_print(struct blob *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void blob_free(struct blob *b);

/* How a key was since `since_us`. */
struct object_version {
    int64_t since_us;
    size_t len;
    char etag[BUCKET_ETAG_MAX]; /* without quotes; "": there was no such object */
};

struct object {
    char *key;
    struct blob data;
    struct object_version versions[BUCKET_VERSIONS_MAX]; /* the last one is now */
    int version_count;
};

struct upload_part {
    int number;
    struct blob data;
    char etag[BUCKET_ETAG_MAX];
};

struct upload {
    uint64_t id;
    char *key;
    struct upload_part *parts; /* by number, ascending */
    size_t part_count;
};

struct bucket {
    struct object **objects; /* by key; those that were deleted, too, for their history */
    size_t count, room;
    struct upload **uploads; /* by id */
    size_t upload_count;
    uint64_t next_upload;
};

void bucket_etag(const void *data, size_t len, char *etag); /* 32 digits */
void bucket_free(struct bucket *b);
/* The object, or NULL when there is none now. */
struct object *bucket_get(const struct bucket *b, const char *key);
const char *object_etag(const struct object *o);
/* `etag` NULL: that of the bytes. */
void bucket_put(struct bucket *b, const char *key, const void *data, size_t len, const char *etag,
                int64_t now_us);
void bucket_delete(struct bucket *b, const char *key, int64_t now_us);
/* The first object whose key is greater than `after` (or any, for "") and that existed at `at_us`; its
 * version of then. NULL: none. */
const struct object *bucket_next(const struct bucket *b, const char *after, int64_t at_us,
                                 const struct object_version **version);
size_t bucket_count(const struct bucket *b); /* of objects that exist */

uint64_t bucket_upload_begin(struct bucket *b, const char *key);
struct upload *bucket_upload(const struct bucket *b, uint64_t id, const char *key); /* NULL: none */
/* Its etag is written to `etag`. */
void bucket_upload_part(struct upload *u, int number, const void *data, size_t len, char *etag);
void bucket_upload_end(struct bucket *b, struct upload *u); /* the parts are thrown away */

#endif
