/* What the requests to the simulated object store mean: objects, conditions, listings, uploads in parts. No
 * fault is drawn here but those of listings, which are about what a listing says. Facts about real stores:
 * AWS's S3 API reference and measurements on Ceph's radosgw. Tests: test/unit/sim_store_test.c. */
#include "sim/store_http.h"
#include "base/check.h"
#include "io/sim_fault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DELETES_MAX 1000
#define LIST_MAX    1000
#define SKEW_MAX_US (INT64_C(900) * 1000000)

static bool is(const struct store_request *r, const char *method)
{
    return strcmp(r->method, method) == 0;
}

bool store_is_listing(const struct store_request *r)
{
    return r->key[0] == 0 && is(r, "GET") && store_query(r, "list-type", NULL);
}
bool store_is_complete(const struct store_request *r)
{
    return r->key[0] != 0 && is(r, "POST") && store_query(r, "uploadId", NULL);
}
bool store_is_change(const struct store_request *r)
{
    if (r->key[0] == 0) return is(r, "POST");
    return is(r, "PUT") || is(r, "DELETE") || store_is_complete(r);
}

static int64_t now_us(struct object_store *store)
{
    return io_monotonic_us(store->io);
}

/* ---- who asks ---- */

static bool is_allowed(struct object_store *store, const struct store_request *r, struct store_answer *a)
{
    char want[256];
    snprintf(want, sizeof(want), "Credential=%s/", store->config.access_key);
    if (r->authorization[0] == 0) {
        store_error(a, 403, "AccessDenied");
    } else if (strncmp(r->authorization, "AWS4-HMAC-SHA256 ", 17) != 0) {
        store_error(a, 400, "InvalidRequest");
    } else if (strstr(r->authorization, want) == NULL) {
        store_error(a, 403, "InvalidAccessKeyId");
    } else {
        int64_t date_us = store_date_us(r->date);
        if (date_us >= 0 && llabs(date_us - io_realtime_us(store->io)) <= SKEW_MAX_US) return true;
        if (date_us < 0)
            store_error(a, 403, "AccessDenied");
        else
            store_error(a, 403, "RequestTimeTooSkewed");
    }
    return false;
}

/* ---- conditions ---- */

/* Whether `given` (an etag, quoted or bare, or *) means this one. */
static bool etag_matches(const struct object_store *store, const char *given, const char *etag)
{
    size_t len = strlen(given), etag_len = strlen(etag);
    bool quoted = len >= 2 && given[0] == '"' && given[len - 1] == '"';
    if (strcmp(given, "*") == 0) return true;
    if (quoted && (store->config.quirks & OBJECT_STORE_RADOSGW_16)) return false; /* its bug */
    if (quoted) given++;
    if (quoted) len -= 2;
    return len == etag_len && memcmp(given, etag, len) == 0;
}

/* True: the request's conditions hold. Else the answer is made. */
static bool conditions_hold(struct object_store *store, const struct store_request *r, const struct object *o,
                            struct store_answer *a)
{
    unsigned quirks = store->config.quirks;
    bool conditional = r->if_match[0] != 0 || r->if_none_match[0] != 0;
    if (!conditional || (quirks & OBJECT_STORE_DEAF)) return true;
    if (!is(r, "PUT") && (quirks & OBJECT_STORE_RADOSGW_16)) return true;
    if (quirks & OBJECT_STORE_NO_CONDITIONS) {
        store_error(a, 501, "NotImplemented");
        return false;
    }
    if (r->if_match[0] != 0 && o == NULL && !is(r, "DELETE") && !(quirks & OBJECT_STORE_RADOSGW_16)) {
        store_error(a, 404, "NoSuchKey");
        return false;
    }
    bool fails = r->if_match[0] != 0 && (o == NULL || !etag_matches(store, r->if_match, object_etag(o)));
    fails |= r->if_none_match[0] != 0 && o != NULL && etag_matches(store, r->if_none_match, object_etag(o));
    if (fails) store_error(a, 412, "PreconditionFailed");
    return !fails;
}

/* ---- objects ---- */

static void answer_etag(struct store_answer *a, const char *etag)
{
    blob_print(&a->head, "ETag: \"%s\"\r\n", etag);
}

/* "bytes=a-b", "bytes=a-", "bytes=-n" of `len` bytes; false: cannot be satisfied. */
static bool range_of(const char *text, size_t len, size_t *from, size_t *to)
{
    unsigned long long a = 0, b = 0;
    int used = 0;
    if (sscanf(text, "bytes=-%llu%n", &b, &used) == 1 && text[used] == 0) {
        *from = b >= len ? 0 : len - (size_t)b;
        *to = len;
        return b > 0 && len > 0;
    }
    b = len > 0 ? len - 1 : 0;
    if (sscanf(text, "bytes=%llu-%llu", &a, &b) < 1 || a >= len || b < a) return false;
    *from = (size_t)a;
    *to = b >= len ? len : (size_t)b + 1;
    return true;
}

static void get_object(struct object_store *store, const struct store_request *r, struct store_answer *a)
{
    const struct object *o = bucket_get(&store->bucket, r->key);
    if (o == NULL) {
        store_error(a, 404, "NoSuchKey");
        return;
    }
    size_t from = 0, to = o->data.len;
    if (r->range[0] != 0 && !range_of(r->range, o->data.len, &from, &to)) {
        store_error(a, 416, "InvalidRange");
        return;
    }
    a->status = r->range[0] != 0 ? 206 : 200;
    if (a->status == 206)
        blob_print(&a->head, "Content-Range: bytes %zu-%zu/%zu\r\n", from, to - 1, o->data.len);
    answer_etag(a, object_etag(o));
    blob_print(&a->head, "Last-Modified: ");
    int64_t age_us = now_us(store) - o->versions[o->version_count - 1].since_us;
    store_date_print(&a->head, true, io_realtime_us(store->io) - age_us);
    blob_print(&a->head, "\r\n");
    a->head_len = to - from;
    blob_add(&a->body, o->data.at + from, to - from);
}

static void put_object(struct object_store *store, const struct store_request *r, struct store_answer *a)
{
    if (!conditions_hold(store, r, bucket_get(&store->bucket, r->key), a)) return;
    bucket_put(&store->bucket, r->key, r->body, r->content_len, NULL, now_us(store));
    a->status = 200;
    answer_etag(a, object_etag(bucket_get(&store->bucket, r->key)));
}

static void delete_object(struct object_store *store, const struct store_request *r, struct store_answer *a)
{
    if (!conditions_hold(store, r, bucket_get(&store->bucket, r->key), a)) return;
    bucket_delete(&store->bucket, r->key, now_us(store));
    a->status = 204; /* also when there was none */
}

static void delete_objects(struct object_store *store, const struct store_request *r, struct store_answer *a)
{
    char key[BUCKET_KEY_MAX + 1];
    int count = 0;
    const char *at = (const char *)r->body, *end = at + r->content_len;
    for (const char *p = at; store_xml_next(&p, end, "Key", key, sizeof(key));) count++;
    if (count == 0 || count > DELETES_MAX) {
        store_error(a, 400, "MalformedXML");
        return;
    }
    a->status = 200;
    blob_print(&a->body, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DeleteResult>");
    while (store_xml_next(&at, end, "Key", key, sizeof(key))) {
        bucket_delete(&store->bucket, key, now_us(store));
        blob_print(&a->body, "<Deleted><Key>");
        store_xml(&a->body, key);
        blob_print(&a->body, "</Key></Deleted>");
    }
    blob_print(&a->body, "</DeleteResult>");
}

/* ---- listings ---- */

struct listing {
    char prefix[STORE_VALUE_MAX], delimiter[STORE_VALUE_MAX], after[STORE_VALUE_MAX];
    size_t page, count;
    int64_t at_us; /* as of when */
    bool truncated;
    struct blob entries;
};

/* A continuation token is the last key of the page before, in hexadecimal. */
static bool token_decode(const char *token, char *key)
{
    size_t len = strlen(token);
    if (len % 2 != 0 || len / 2 >= STORE_VALUE_MAX) return false;
    for (size_t i = 0; i < len / 2; i++) {
        unsigned byte;
        if (sscanf(token + 2 * i, "%2x", &byte) != 1 || byte == 0) return false;
        key[i] = (char)byte;
    }
    key[len / 2] = 0;
    return true;
}

static bool listing_begin(struct object_store *store, const struct store_request *r, struct listing *l)
{
    char text[STORE_VALUE_MAX];
    memset(l, 0, sizeof(*l));
    store_query(r, "prefix", l->prefix);
    store_query(r, "delimiter", l->delimiter);
    store_query(r, "start-after", l->after);
    l->page = store->config.page_max > 0 ? store->config.page_max : LIST_MAX;
    if (store_query(r, "max-keys", text)) {
        char *end;
        unsigned long n = strtoul(text, &end, 10);
        if (end == text || *end != 0) return false;
        if (n < l->page) l->page = n;
    }
    if (store_query(r, "continuation-token", text) && !token_decode(text, l->after)) return false;
    l->at_us = now_us(store);
    if (io_sim_fault_roll(store->node, IO_SIM_STORE_STALE_LIST))
        l->at_us -= 1 + (int64_t)io_sim_fault_below(
                            store->node, IO_SIM_STORE_STALE_LIST,
                            (uint64_t)io_sim_fault_value(store->node, IO_SIM_STORE_STALE_LIST));
    return true;
}

static void list_key(struct object_store *store, struct listing *l, const struct object *o,
                     const struct object_version *v)
{
    blob_print(&l->entries, "<Contents><Key>");
    store_xml(&l->entries, o->key);
    blob_print(&l->entries, "</Key><LastModified>");
    store_date_print(&l->entries, false, io_realtime_us(store->io) - (now_us(store) - v->since_us));
    blob_print(&l->entries,
               "</LastModified><ETag>&quot;%s&quot;</ETag><Size>%zu</Size>"
               "<StorageClass>STANDARD</StorageClass></Contents>",
               v->etag, v->len);
}

/* Everything below `len` bytes of the key counts as one entry; goes on behind all of it. */
static void list_common_prefix(struct listing *l, const char *key, size_t len)
{
    char prefix[BUCKET_KEY_MAX + 1];
    memcpy(prefix, key, len);
    prefix[len] = 0;
    blob_print(&l->entries, "<CommonPrefixes><Prefix>");
    store_xml(&l->entries, prefix);
    blob_print(&l->entries, "</Prefix></CommonPrefixes>");
    snprintf(l->after, sizeof(l->after), "%s\xff", prefix);
}

/* Fills one page; `skip` is the index of a key that is left out, or SIZE_MAX. Returns how many keys there
 * were. */
static size_t listing_fill(struct object_store *store, struct listing *l, size_t skip)
{
    const struct object_version *v;
    const struct object *o;
    size_t seen = 0, prefix_len = strlen(l->prefix);
    while ((o = bucket_next(&store->bucket, l->after, l->at_us, &v)) != NULL) {
        int order = strncmp(o->key, l->prefix, prefix_len);
        if (order > 0) break;
        if (order == 0 && l->count == l->page) {
            l->truncated = true;
            break;
        }
        snprintf(l->after, sizeof(l->after), "%s", o->key);
        if (order < 0) continue;
        const char *split = l->delimiter[0] != 0 ? strstr(o->key + prefix_len, l->delimiter) : NULL;
        l->count++;
        if (split != NULL)
            list_common_prefix(l, o->key, (size_t)(split - o->key) + strlen(l->delimiter));
        else if (seen++ != skip)
            list_key(store, l, o, v);
    }
    return seen;
}

static void list_objects(struct object_store *store, const struct store_request *r, struct store_answer *a)
{
    struct listing l;
    if (!listing_begin(store, r, &l)) {
        store_error(a, 400, "InvalidArgument");
        return;
    }
    struct listing first = l;
    size_t keys = listing_fill(store, &l, SIZE_MAX);
    if (keys > 0 && io_sim_fault_roll(store->node, IO_SIM_STORE_LIST_GAP)) {
        blob_free(&l.entries);
        l = first;
        listing_fill(store, &l, io_sim_fault_below(store->node, IO_SIM_STORE_LIST_GAP, keys));
    }
    a->status = 200;
    blob_print(&a->head, "Content-Type: application/xml\r\n");
    blob_print(&a->body,
               "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult><Name>%s</Name>"
               "<KeyCount>%zu</KeyCount><MaxKeys>%zu</MaxKeys><IsTruncated>%s</IsTruncated><Prefix>",
               store->config.bucket, l.count, l.page, l.truncated ? "true" : "false");
    store_xml(&a->body, l.prefix);
    blob_print(&a->body, "</Prefix>");
    if (l.truncated) {
        blob_print(&a->body, "<NextContinuationToken>");
        for (const char *p = l.after; *p != 0; p++) blob_print(&a->body, "%02x", (uint8_t)*p);
        blob_print(&a->body, "</NextContinuationToken>");
    }
    blob_add(&a->body, l.entries.at, l.entries.len);
    blob_print(&a->body, "</ListBucketResult>");
    blob_free(&l.entries);
}

static void list_uploads(struct object_store *store, struct store_answer *a)
{
    a->status = 200;
    blob_print(&a->body, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListMultipartUploadsResult>"
                         "<IsTruncated>false</IsTruncated>");
    for (size_t i = 0; i < store->bucket.upload_count; i++) {
        blob_print(&a->body, "<Upload><Key>");
        store_xml(&a->body, store->bucket.uploads[i]->key);
        blob_print(&a->body, "</Key><UploadId>%llu</UploadId></Upload>",
                   (unsigned long long)store->bucket.uploads[i]->id);
    }
    blob_print(&a->body, "</ListMultipartUploadsResult>");
}

/* ---- uploads in parts ---- */

static void begin_upload(struct object_store *store, const struct store_request *r, struct store_answer *a)
{
    uint64_t id = bucket_upload_begin(&store->bucket, r->key);
    a->status = 200;
    blob_print(&a->body,
               "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<InitiateMultipartUploadResult>"
               "<Bucket>%s</Bucket><Key>",
               store->config.bucket);
    store_xml(&a->body, r->key);
    blob_print(&a->body, "</Key><UploadId>%llu</UploadId></InitiateMultipartUploadResult>",
               (unsigned long long)id);
}

static void put_part(struct upload *u, const struct store_request *r, struct store_answer *a)
{
    char text[STORE_VALUE_MAX], etag[BUCKET_ETAG_MAX];
    long number = store_query(r, "partNumber", text) ? strtol(text, NULL, 10) : 0;
    if (number < 1 || number > 10000) {
        store_error(a, 400, "InvalidArgument");
        return;
    }
    bucket_upload_part(u, (int)number, r->body, r->content_len, etag);
    a->status = 200;
    answer_etag(a, etag);
}

/* Puts the parts that the request names together; NULL, or the error's code. */
static const char *parts_join(struct object_store *store, struct upload *u, const struct store_request *r,
                              struct blob *out, size_t *count)
{
    char number[32], etag[128];
    const char *at = (const char *)r->body, *end = at + r->content_len;
    size_t i = 0;
    int last = 0;
    bool small = false;
    *count = 0;
    while (store_xml_next(&at, end, "PartNumber", number, sizeof(number))) {
        if (!store_xml_next(&at, end, "ETag", etag, sizeof(etag))) return "MalformedXML";
        int wanted = atoi(number);
        if (wanted <= last) return "InvalidPartOrder";
        if (small) return "EntityTooSmall"; /* one before the last */
        while (i < u->part_count && u->parts[i].number < wanted) i++;
        if (i == u->part_count || u->parts[i].number != wanted || strstr(etag, u->parts[i].etag) == NULL)
            return "InvalidPart";
        blob_add(out, u->parts[i].data.at, u->parts[i].data.len);
        small = u->parts[i].data.len < store->config.part_bytes_min;
        last = wanted;
        (*count)++;
    }
    return *count > 0 ? NULL : "MalformedXML";
}

static void complete_upload(struct object_store *store, struct upload *u, const struct store_request *r,
                            struct store_answer *a)
{
    struct blob whole = {0};
    char etag[BUCKET_ETAG_MAX];
    size_t count = 0;
    const char *code = parts_join(store, u, r, &whole, &count);
    if (code != NULL) {
        store_error(a, 400, code);
    } else if (conditions_hold(store, r, bucket_get(&store->bucket, r->key), a)) {
        bucket_etag(whole.at, whole.len, etag);
        snprintf(etag + strlen(etag), sizeof(etag) - strlen(etag), "-%zu", count);
        bucket_put(&store->bucket, r->key, whole.at, whole.len, etag, now_us(store));
        bucket_upload_end(&store->bucket, u);
        a->status = 200;
        blob_print(&a->body,
                   "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<CompleteMultipartUploadResult>"
                   "<ETag>&quot;%s&quot;</ETag></CompleteMultipartUploadResult>",
                   etag);
    }
    blob_free(&whole);
}

static void on_upload(struct object_store *store, const struct store_request *r, struct store_answer *a)
{
    char id[STORE_VALUE_MAX];
    store_query(r, "uploadId", id);
    struct upload *u = bucket_upload(&store->bucket, strtoull(id, NULL, 10), r->key);
    if (u == NULL) {
        store_error(a, 404, "NoSuchUpload");
    } else if (is(r, "PUT")) {
        put_part(u, r, a);
    } else if (is(r, "POST")) {
        complete_upload(store, u, r, a);
    } else if (is(r, "DELETE")) {
        bucket_upload_end(&store->bucket, u);
        a->status = 204;
    } else {
        store_error(a, 405, "MethodNotAllowed");
    }
}

/* ---- which of them ---- */

static void on_bucket(struct object_store *store, const struct store_request *r, struct store_answer *a)
{
    if (store_is_listing(r))
        list_objects(store, r, a);
    else if (is(r, "GET") && store_query(r, "uploads", NULL))
        list_uploads(store, a);
    else if (is(r, "HEAD"))
        a->status = 200;
    else if (is(r, "POST") && store_query(r, "delete", NULL))
        delete_objects(store, r, a);
    else
        store_error(a, 405, "MethodNotAllowed");
}

void store_execute(struct object_store *store, const struct store_request *r, struct store_answer *a)
{
    if (!is_allowed(store, r, a)) return;
    if (r->chunked)
        store_error(a, 501, "NotImplemented");
    else if (strcmp(r->bucket, store->config.bucket) != 0)
        store_error(a, 404, "NoSuchBucket");
    else if (r->key[0] == 0)
        on_bucket(store, r, a);
    else if (store_query(r, "uploadId", NULL))
        on_upload(store, r, a);
    else if (is(r, "POST") && store_query(r, "uploads", NULL))
        begin_upload(store, r, a);
    else if (is(r, "GET") || is(r, "HEAD"))
        get_object(store, r, a);
    else if (is(r, "PUT"))
        put_object(store, r, a);
    else if (is(r, "DELETE"))
        delete_object(store, r, a);
    else
        store_error(a, 405, "MethodNotAllowed");
}
