/* Objects in an array sorted by key, each with its bytes of now and a short history of its etags, so that a
 * listing of some seconds ago can be made. An etag is a 128-bit hash in hexadecimal as S3's is, but not MD5.
 * Tests: test/unit/sim_store_test.c. */
#include "sim/bucket.h"
#include "base/check.h"
#include "base/hash.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- blobs ---- */

void blob_add(struct blob *b, const void *data, size_t len)
{
    if (b->len + len + 1 > b->room) {
        b->room = (b->len + len + 1) * 2;
        b->at = realloc(b->at, b->room);
        CHECK(b->at != NULL);
    }
    if (len > 0) memcpy(b->at + b->len, data, len);
    b->len += len;
    b->at[b->len] = 0;
}

void blob_print(struct blob *b, const char *format, ...)
{
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    CHECK(len >= 0 && (size_t)len < sizeof(text));
    blob_add(b, text, (size_t)len);
}

void blob_free(struct blob *b)
{
    free(b->at);
    *b = (struct blob){0};
}

void bucket_etag(const void *data, size_t len, char *etag)
{
    XXH128_hash_t h = XXH3_128bits(data != NULL ? data : "", len);
    snprintf(etag, BUCKET_ETAG_MAX, "%016llx%016llx", (unsigned long long)h.high64,
             (unsigned long long)h.low64);
}

/* ---- objects ---- */

/* The index of the key, or where it would be. */
static size_t place_of(const struct bucket *b, const char *key, bool *found)
{
    size_t low = 0, high = b->count;
    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(b->objects[middle]->key, key);
        if (order == 0) *found = true;
        if (order == 0) return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const char *object_etag(const struct object *o)
{
    return o->versions[o->version_count - 1].etag;
}

struct object *bucket_get(const struct bucket *b, const char *key)
{
    bool found;
    size_t i = place_of(b, key, &found);
    return found && object_etag(b->objects[i])[0] != 0 ? b->objects[i] : NULL;
}

static struct object *object_make(struct bucket *b, const char *key)
{
    bool found;
    size_t i = place_of(b, key, &found);
    if (found) return b->objects[i];
    if (b->count == b->room) {
        b->room = b->room > 0 ? b->room * 2 : 64;
        b->objects = realloc(b->objects, b->room * sizeof(b->objects[0]));
        CHECK(b->objects != NULL);
    }
    memmove(b->objects + i + 1, b->objects + i, (b->count - i) * sizeof(b->objects[0]));
    b->count++;
    struct object *o = b->objects[i] = calloc(1, sizeof(*o));
    CHECK(o != NULL);
    o->key = strdup(key);
    CHECK(o->key != NULL);
    return o;
}

static void version_add(struct object *o, const char *etag, size_t len, int64_t now_us)
{
    if (o->version_count == BUCKET_VERSIONS_MAX) {
        o->version_count--;
        memmove(o->versions, o->versions + 1, (size_t)o->version_count * sizeof(o->versions[0]));
    }
    struct object_version *v = &o->versions[o->version_count++];
    *v = (struct object_version){.since_us = now_us, .len = len};
    snprintf(v->etag, sizeof(v->etag), "%s", etag);
}

void bucket_put(struct bucket *b, const char *key, const void *data, size_t len, const char *etag,
                int64_t now_us)
{
    char own[BUCKET_ETAG_MAX];
    struct object *o = object_make(b, key);
    o->data.len = 0;
    blob_add(&o->data, data, len);
    if (etag == NULL) bucket_etag(data, len, own);
    version_add(o, etag != NULL ? etag : own, len, now_us);
}

void bucket_delete(struct bucket *b, const char *key, int64_t now_us)
{
    struct object *o = bucket_get(b, key);
    if (o == NULL) return;
    blob_free(&o->data);
    version_add(o, "", 0, now_us);
}

static const struct object_version *version_at(const struct object *o, int64_t at_us)
{
    const struct object_version *found = NULL;
    for (int i = 0; i < o->version_count; i++)
        if (o->versions[i].since_us <= at_us) found = &o->versions[i];
    return found != NULL && found->etag[0] != 0 ? found : NULL;
}

const struct object *bucket_next(const struct bucket *b, const char *after, int64_t at_us,
                                 const struct object_version **version)
{
    bool found;
    size_t i = place_of(b, after, &found);
    for (i += found; i < b->count; i++) {
        *version = version_at(b->objects[i], at_us);
        if (*version != NULL) return b->objects[i];
    }
    return NULL;
}

size_t bucket_count(const struct bucket *b)
{
    size_t count = 0;
    for (size_t i = 0; i < b->count; i++) count += object_etag(b->objects[i])[0] != 0;
    return count;
}

/* ---- uploads ---- */

uint64_t bucket_upload_begin(struct bucket *b, const char *key)
{
    struct upload *u = calloc(1, sizeof(*u));
    b->uploads = realloc(b->uploads, (b->upload_count + 1) * sizeof(b->uploads[0]));
    CHECK(u != NULL && b->uploads != NULL);
    u->id = ++b->next_upload;
    u->key = strdup(key);
    CHECK(u->key != NULL);
    b->uploads[b->upload_count++] = u;
    return u->id;
}

struct upload *bucket_upload(const struct bucket *b, uint64_t id, const char *key)
{
    for (size_t i = 0; i < b->upload_count; i++)
        if (b->uploads[i]->id == id && strcmp(b->uploads[i]->key, key) == 0) return b->uploads[i];
    return NULL;
}

void bucket_upload_part(struct upload *u, int number, const void *data, size_t len, char *etag)
{
    size_t i = 0;
    while (i < u->part_count && u->parts[i].number < number) i++;
    if (i == u->part_count || u->parts[i].number != number) {
        u->parts = realloc(u->parts, (u->part_count + 1) * sizeof(u->parts[0]));
        CHECK(u->parts != NULL);
        memmove(u->parts + i + 1, u->parts + i, (u->part_count - i) * sizeof(u->parts[0]));
        u->part_count++;
        u->parts[i] = (struct upload_part){.number = number};
    }
    u->parts[i].data.len = 0;
    blob_add(&u->parts[i].data, data, len);
    bucket_etag(data, len, u->parts[i].etag);
    memcpy(etag, u->parts[i].etag, BUCKET_ETAG_MAX);
}

static void upload_free(struct upload *u)
{
    for (size_t i = 0; i < u->part_count; i++) blob_free(&u->parts[i].data);
    free(u->parts);
    free(u->key);
    free(u);
}

void bucket_upload_end(struct bucket *b, struct upload *u)
{
    size_t i = 0;
    while (b->uploads[i] != u) i++;
    b->upload_count--;
    memmove(b->uploads + i, b->uploads + i + 1, (b->upload_count - i) * sizeof(b->uploads[0]));
    upload_free(u);
}

void bucket_free(struct bucket *b)
{
    for (size_t i = 0; i < b->count; i++) {
        blob_free(&b->objects[i]->data);
        free(b->objects[i]->key);
        free(b->objects[i]);
    }
    for (size_t i = 0; i < b->upload_count; i++) upload_free(b->uploads[i]);
    free(b->objects);
    free(b->uploads);
    *b = (struct bucket){0};
}
