/* The simulated object store: what requests mean, by a small client over simulated sockets, and each of its
 * faults: it fires, is counted, and does what its row says. The table itself is tested in sim_fault_test.c.
 */
#include "io_suite.h"
#include "io/sim_fault.h"
#include "sim/object_store.h"

#define MILLION 1000000
#define PORT    9000

/* ---- a client ---- */

struct answer {
    int status; /* 0: none came */
    char *head; /* as text, NUL-terminated */
    char *body;
    size_t body_len, declared_len;
    bool whole; /* the body has the length that was declared */
    int64_t took_us;
};

struct shop {
    struct suite s; /* ios: the client's */
    struct io_world *store_node, *client_node;
    struct object_store *store;
    struct peer *peer; /* the connection in use; NULL: none */
    int64_t patience_us;
    bool no_date, no_key;
};

static struct shop *shop_new_with(uint64_t seed, struct object_store_config config)
{
    struct shop *k = calloc(1, sizeof(*k));
    int error;
    k->s = (struct suite){.world = io_sim_world_create(seed), .max = 64, .simulated = true, .io_count = 1};
    k->store_node = io_sim_node(k->s.world, "store");
    k->client_node = io_sim_node(k->s.world, "client");
    k->s.ios[0] = io_create(k->client_node, &error);
    k->patience_us = 20000000;
    config.bucket = "bucket";
    config.access_key = "WEFTKEY";
    config.port = PORT;
    k->store = object_store_create(k->store_node, &config);
    assert_non_null(k->store);
    return k;
}

static struct shop *shop_new(uint64_t seed)
{
    return shop_new_with(seed, (struct object_store_config){0});
}

static void go_on(struct shop *k)
{
    if (io_sim_ready(object_store_io(k->store)))
        object_store_turn(k->store);
    else if (io_sim_ready(k->s.ios[0]))
        suite_wait(&k->s, 0, INT64_MAX);
    else
        io_sim_step(k->s.world, io_sim_now_us(k->s.world) + 100000);
}

static void wait_us(struct shop *k, int64_t us)
{
    for (int64_t until_us = io_sim_now_us(k->s.world) + us; io_sim_now_us(k->s.world) < until_us;) go_on(k);
}

static void hang_up(struct shop *k)
{
    if (k->peer == NULL) return;
    io_close(k->peer->conn);
    while (!k->peer->closed) go_on(k);
    peer_free(k->peer);
    k->peer = NULL;
}

static void shop_free(struct shop *k)
{
    hang_up(k);
    object_store_destroy(k->store);
    io_destroy(k->s.ios[0]);
    io_world_destroy(k->s.world);
    free(k);
}

static void dial(struct shop *k)
{
    int error;
    if (k->peer != NULL && k->peer->ended) hang_up(k);
    if (k->peer != NULL) return;
    k->peer = peer_new();
    k->peer->conn = io_connect(k->s.ios[0], "store", PORT, k->peer, &error);
    while (k->peer->connects == 0) go_on(k);
    assert_int_equal(k->peer->connect_result, 0);
}

static void answer_free(struct answer *a)
{
    free(a->head);
    free(a->body);
    *a = (struct answer){0};
}

/* Takes a whole answer out of what has come; false: there is none yet. */
static bool answer_take(struct peer *p, bool is_head_request, struct answer *a)
{
    const uint8_t *end = p->in_len > 0 ? memmem(p->in, p->in_len, "\r\n\r\n", 4) : NULL;
    if (end == NULL) return false;
    size_t head_len = (size_t)(end - p->in) + 4;
    free(a->head);
    a->head = strndup((char *)p->in, head_len);
    assert_int_equal(sscanf(a->head, "HTTP/1.1 %d ", &a->status), 1);
    char *length = strstr(a->head, "Content-Length: ");
    a->declared_len = length != NULL ? strtoul(length + 16, NULL, 10) : 0;
    size_t want = is_head_request ? 0 : a->declared_len;
    a->body_len = p->in_len - head_len < want ? p->in_len - head_len : want;
    a->whole = a->body_len == want;
    if (!a->whole && !p->ended) return false;
    free(a->body);
    a->body = calloc(1, a->body_len + 1);
    memcpy(a->body, p->in + head_len, a->body_len);
    p->in_len -= head_len + a->body_len;
    memmove(p->in, p->in + head_len + a->body_len, p->in_len);
    return true;
}

/* The wall clock of the client as x-amz-date has it. The simulated clock begins in June 2025. */
static void print_date(struct shop *k, char *out)
{
    time_t t = (time_t)(io_realtime_us(k->s.ios[0]) / 1000000);
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(out, 32, "%Y%m%dT%H%M%SZ", &tm);
}

/* One request and its answer. `target` without the bucket: "/key?query", "?list-type=2"; `extra` header
 * lines. */
static struct answer ask(struct shop *k, const char *method, const char *target, const char *extra,
                         const void *body, size_t len)
{
    struct answer a = {0};
    char *request = malloc(4096 + len), date[32];
    dial(k);
    print_date(k, date);
    int n = snprintf(request, 4096, "%s /bucket%s HTTP/1.1\r\nHost: store\r\nContent-Length: %zu\r\n", method,
                     target, len);
    if (!k->no_key)
        n +=
            snprintf(request + n, 4096 - (size_t)n,
                     "Authorization: AWS4-HMAC-SHA256 Credential=WEFTKEY/20250615/us-east-1/s3/aws4_request, "
                     "SignedHeaders=host, Signature=0\r\n");
    if (!k->no_date) n += snprintf(request + n, 4096 - (size_t)n, "x-amz-date: %s\r\n", date);
    n += snprintf(request + n, 4096 - (size_t)n, "%s\r\n", extra);
    if (len > 0) memcpy(request + n, body, len);
    int64_t begin_us = io_sim_now_us(k->s.world), until_us = begin_us + k->patience_us;
    peer_send(k->peer, request, (size_t)n + len);
    while (!answer_take(k->peer, strcmp(method, "HEAD") == 0, &a) && !k->peer->ended &&
           io_sim_now_us(k->s.world) < until_us)
        go_on(k);
    if (k->peer->ended && a.status == 0) answer_take(k->peer, false, &a);
    a.took_us = io_sim_now_us(k->s.world) - begin_us;
    if (a.status == 0 || !a.whole) hang_up(k);
    while (k->peer != NULL && k->peer->sending) go_on(k);
    free(request);
    return a;
}

/* The status alone. */
static int put(struct shop *k, const char *key, const char *text, const char *extra)
{
    char target[1100];
    snprintf(target, sizeof(target), "/%s", key);
    struct answer a = ask(k, "PUT", target, extra, text, strlen(text));
    int status = a.status;
    answer_free(&a);
    return status;
}

static int status_of(struct shop *k, const char *method, const char *target, const char *extra)
{
    struct answer a = ask(k, method, target, extra, "", 0);
    int status = a.status;
    answer_free(&a);
    return status;
}

static const char *stored(struct shop *k, const char *key)
{
    size_t len;
    const char *text = (const char *)object_store_peek(k->store, key, &len);
    return text != NULL ? text : "-";
}

static void text_between(const char *text, const char *from, const char *to, char *out, size_t room)
{
    const char *begin = strstr(text, from);
    assert_non_null(begin);
    begin += strlen(from);
    const char *end = strstr(begin, to);
    assert_non_null(end);
    assert_true((size_t)(end - begin) < room);
    memcpy(out, begin, (size_t)(end - begin));
    out[end - begin] = 0;
}

static void etag_of(struct shop *k, const char *target, char *etag)
{
    struct answer a = ask(k, "HEAD", target, "", "", 0);
    assert_int_equal(a.status, 200);
    text_between(a.head, "ETag: \"", "\"", etag, 64);
    answer_free(&a);
}

/* ---- requests ---- */

static void objects_come_and_go(void **state)
{
    struct shop *k = shop_new(1);
    char etag[64], first[64];
    assert_int_equal(put(k, "a", "hello", ""), 200);
    etag_of(k, "/a", first);
    struct answer a = ask(k, "GET", "/a", "", "", 0);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "hello");
    assert_non_null(strstr(a.head, "Last-Modified: Sun, 15 Jun 2025 15:06:41 GMT"));
    answer_free(&a);
    assert_int_equal(put(k, "a", "hullo", ""), 200);
    etag_of(k, "/a", etag);
    assert_string_not_equal(etag, first);
    assert_int_equal(put(k, "a", "hello", ""), 200);
    etag_of(k, "/a", etag);
    assert_string_equal(etag, first);
    static const struct {
        const char *range, *want;
        int status;
    } ranges[] = {{"bytes=1-3", "ell", 206},    {"bytes=3-", "lo", 206},     {"bytes=-2", "lo", 206},
                  {"bytes=0-99", "hello", 206}, {"bytes=-99", "hello", 206}, {"bytes=5-", NULL, 416},
                  {"bytes=3-2", NULL, 416}};
    for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
        char line[64];
        snprintf(line, sizeof(line), "Range: %s\r\n", ranges[i].range);
        a = ask(k, "GET", "/a", line, "", 0);
        assert_int_equal(a.status, ranges[i].status);
        if (ranges[i].want != NULL) assert_string_equal(a.body, ranges[i].want);
        answer_free(&a);
    }
    assert_int_equal(status_of(k, "DELETE", "/a", ""), 204);
    assert_int_equal(status_of(k, "DELETE", "/a", ""), 204);
    assert_int_equal(status_of(k, "GET", "/a", ""), 404);
    assert_int_equal(status_of(k, "HEAD", "/a", ""), 404);
    assert_int_equal(put(k, "with%20space%2Fand/slash", "x", ""), 200);
    assert_string_equal(stored(k, "with space/and/slash"), "x");
    assert_int_equal(object_store_count(k->store), 1);
    assert_int_equal(status_of(k, "HEAD", "", ""), 200);
    assert_int_equal(status_of(k, "PATCH", "/a", ""), 405);
    char *large = (char *)pattern(3 << 20, 1); /* larger than any buffer on the way */
    a = ask(k, "PUT", "/large", "", large, 3 << 20);
    assert_int_equal(a.status, 200);
    answer_free(&a);
    a = ask(k, "GET", "/large", "", "", 0);
    assert_int_equal(a.body_len, 3 << 20);
    assert_memory_equal(a.body, large, 3 << 20);
    answer_free(&a);
    free(large);
    shop_free(k);
}

static void who_asks_must_say_so(void **state)
{
    struct shop *k = shop_new(2);
    k->no_key = true;
    assert_int_equal(put(k, "a", "x", ""), 403);
    assert_int_equal(put(k, "a", "x", "Authorization: AWS4-HMAC-SHA256 Credential=OTHER/2\r\n"), 403);
    assert_int_equal(put(k, "a", "x", "Authorization: Basic abc\r\n"), 400);
    k->no_key = false;
    k->no_date = true;
    assert_int_equal(put(k, "a", "x", ""), 403);
    k->no_date = false;
    io_sim_clock_step(k->client_node, INT64_C(1000) * 1000000);
    struct answer a = ask(k, "PUT", "/a", "", "x", 1);
    assert_int_equal(a.status, 403);
    assert_non_null(strstr(a.body, "RequestTimeTooSkewed"));
    answer_free(&a);
    io_sim_clock_step(k->client_node, INT64_C(-1000) * 1000000);
    assert_int_equal(put(k, "a", "x", ""), 200);
    assert_string_equal(stored(k, "a"), "x");
    shop_free(k);
}

static void conditions_are_as_the_store_has_them(void **state)
{
    static const unsigned stores[] = {0, OBJECT_STORE_RADOSGW_16, OBJECT_STORE_NO_CONDITIONS,
                                      OBJECT_STORE_DEAF};
    /* Each row for the stores in turn. */
    static const struct {
        const char *key, *header;
        int status[4];
    } cases[] = {{"old", "If-None-Match: *", {412, 412, 501, 200}},
                 {"new", "If-None-Match: *", {200, 200, 501, 200}},
                 {"old", "If-Match: \"ETAG\"", {200, 412, 501, 200}},
                 {"old", "If-Match: ETAG", {200, 200, 501, 200}},
                 {"old", "If-Match: \"0123\"", {412, 412, 501, 200}},
                 {"none", "If-Match: \"0123\"", {404, 412, 501, 200}}};
    for (size_t s = 0; s < ARRAY_LEN(stores); s++)
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            struct shop *k = shop_new_with(3, (struct object_store_config){.quirks = stores[s]});
            char etag[64], header[200], *at;
            assert_int_equal(put(k, "old", "before", ""), 200);
            etag_of(k, "/old", etag);
            snprintf(header, sizeof(header), "%s", cases[i].header);
            if ((at = strstr(header, "ETAG")) != NULL)
                snprintf(at, 80, "%s%s", etag, strchr(cases[i].header, '"') != NULL ? "\"" : "");
            strcat(header, "\r\n");
            assert_int_equal(put(k, cases[i].key, "after", header), cases[i].status[s]);
            bool applied = cases[i].status[s] == 200;
            const char *unchanged = strcmp(cases[i].key, "old") == 0 ? "before" : "-";
            assert_string_equal(stored(k, cases[i].key), applied ? "after" : unchanged);
            shop_free(k);
        }
    for (int radosgw = 0; radosgw < 2; radosgw++) {
        struct shop *k =
            shop_new_with(4, (struct object_store_config){.quirks = radosgw ? OBJECT_STORE_RADOSGW_16 : 0});
        assert_int_equal(put(k, "a", "x", ""), 200);
        assert_int_equal(status_of(k, "DELETE", "/a", "If-Match: \"0\"\r\n"), radosgw ? 204 : 412);
        assert_string_equal(stored(k, "a"), radosgw ? "-" : "x");
        shop_free(k);
    }
}

/* Lists all pages; the keys, each followed by a space. */
static int list_all(struct shop *k, const char *query, char *keys, size_t room)
{
    char token[3000] = "", target[4000];
    int pages = 0;
    keys[0] = 0;
    do {
        snprintf(target, sizeof(target), "?list-type=2%s%s%s", query,
                 token[0] != 0 ? "&continuation-token=" : "", token);
        struct answer a = ask(k, "GET", target, "", "", 0);
        assert_int_equal(a.status, 200);
        for (char *p = a.body; (p = strstr(p, "<Contents><Key>")) != NULL; p++) {
            char key[1100];
            text_between(p, "<Key>", "</Key>", key, sizeof(key));
            assert_true(strlen(keys) + strlen(key) + 2 < room);
            strcat(strcat(keys, key), " ");
        }
        for (char *p = a.body; (p = strstr(p, "<CommonPrefixes>")) != NULL; p++) {
            char key[1100];
            text_between(p, "<Prefix>", "</Prefix>", key, sizeof(key));
            strcat(strcat(keys, key), "* ");
        }
        token[0] = 0;
        if (strstr(a.body, "<IsTruncated>true") != NULL)
            text_between(a.body, "<NextContinuationToken>", "</", token, sizeof(token));
        answer_free(&a);
        pages++;
    } while (token[0] != 0);
    return pages;
}

static void listings_have_pages(void **state)
{
    struct shop *k = shop_new_with(5, (struct object_store_config){.page_max = 3});
    char keys[2000];
    static const char *const all[] = {"a", "b/1", "b/2", "b/3", "b/c/4", "c", "d%26e"};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) assert_int_equal(put(k, all[i], "x", ""), 200);
    assert_int_equal(list_all(k, "", keys, sizeof(keys)), 3);
    assert_string_equal(keys, "a b/1 b/2 b/3 b/c/4 c d&amp;e ");
    assert_int_equal(list_all(k, "&max-keys=2", keys, sizeof(keys)), 4);
    assert_string_equal(keys, "a b/1 b/2 b/3 b/c/4 c d&amp;e ");
    assert_int_equal(list_all(k, "&prefix=b/&max-keys=2", keys, sizeof(keys)), 2);
    assert_string_equal(keys, "b/1 b/2 b/3 b/c/4 ");
    assert_int_equal(list_all(k, "&delimiter=%2F", keys, sizeof(keys)), 2);
    assert_string_equal(keys, "a c b/* d&amp;e ");
    list_all(k, "&prefix=b%2F&delimiter=/&max-keys=2", keys, sizeof(keys));
    assert_string_equal(keys, "b/1 b/2 b/3 b/c/* ");
    list_all(k, "&start-after=b/3", keys, sizeof(keys));
    assert_string_equal(keys, "b/c/4 c d&amp;e ");
    list_all(k, "&prefix=zzz", keys, sizeof(keys));
    assert_string_equal(keys, "");
    assert_int_equal(status_of(k, "DELETE", "/c", ""), 204);
    list_all(k, "&prefix=c", keys, sizeof(keys));
    assert_string_equal(keys, "");
    static const char many[] = "<Delete><Object><Key>a</Key></Object><Object><Key>d&amp;e</Key></Object>"
                               "<Object><Key>nothing</Key></Object></Delete>";
    struct answer a = ask(k, "POST", "?delete=", "", many, strlen(many));
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.body, "<Deleted><Key>d&amp;e</Key></Deleted>"));
    answer_free(&a);
    list_all(k, "", keys, sizeof(keys));
    assert_string_equal(keys, "b/1 b/2 b/3 b/c/4 ");
    assert_string_equal(object_store_next(k->store, "b/1"), "b/2");
    assert_null(object_store_next(k->store, "b/c/4"));
    shop_free(k);
}

static void upload_begin(struct shop *k, char *id)
{
    struct answer a = ask(k, "POST", "/big?uploads=", "", "", 0);
    assert_int_equal(a.status, 200);
    text_between(a.body, "<UploadId>", "</UploadId>", id, 32);
    answer_free(&a);
}

static void upload_part(struct shop *k, const char *id, int number, const char *text, char *etag)
{
    char target[100];
    snprintf(target, sizeof(target), "/big?partNumber=%d&uploadId=%s", number, id);
    struct answer a = ask(k, "PUT", target, "", text, strlen(text));
    assert_int_equal(a.status, 200);
    text_between(a.head, "ETag: \"", "\"", etag, 64);
    answer_free(&a);
}

static struct answer upload_complete(struct shop *k, const char *id, int first, const char *etag_1,
                                     int second, const char *etag_2)
{
    char target[100], body[600];
    snprintf(target, sizeof(target), "/big?uploadId=%s", id);
    snprintf(body, sizeof(body),
             "<CompleteMultipartUpload><Part><PartNumber>%d</PartNumber><ETag>\"%s\"</ETag></Part>"
             "<Part><PartNumber>%d</PartNumber><ETag>&quot;%s&quot;</ETag></Part></CompleteMultipartUpload>",
             first, etag_1, second, etag_2);
    return ask(k, "POST", target, "", body, strlen(body));
}

static void uploads_in_parts(void **state)
{
    struct shop *k = shop_new_with(6, (struct object_store_config){.part_bytes_min = 5});
    char id[32], other[32], etags[3][64];
    upload_begin(k, id);
    upload_begin(k, other);
    assert_string_not_equal(id, other);
    upload_part(k, id, 2, "world", etags[1]);
    upload_part(k, id, 1, "wrong", etags[0]);
    upload_part(k, id, 1, "hello ", etags[0]); /* replaces */
    upload_part(k, id, 3, "!", etags[2]);
    static const struct {
        int first, second, etag_1, etag_2;
        const char *code;
    } wrong[] = {{2, 1, 1, 0, "InvalidPartOrder"}, {1, 2, 0, 0, "InvalidPart"}, {1, 9, 0, 1, "InvalidPart"}};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct answer a = upload_complete(k, id, wrong[i].first, etags[wrong[i].etag_1], wrong[i].second,
                                          etags[wrong[i].etag_2]);
        assert_int_equal(a.status, 400);
        assert_non_null(strstr(a.body, wrong[i].code));
        answer_free(&a);
    }
    assert_string_equal(stored(k, "big"), "-");
    struct answer a = upload_complete(k, id, 1, etags[0], 2, etags[1]);
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.body, "-2&quot;</ETag>"));
    answer_free(&a);
    assert_string_equal(stored(k, "big"), "hello world");
    a = upload_complete(k, id, 1, etags[0], 2, etags[1]);
    assert_int_equal(a.status, 404);
    answer_free(&a);
    upload_part(k, other, 1, "x", etags[0]);
    upload_part(k, other, 2, "y", etags[1]);
    a = upload_complete(k, other, 1, etags[0], 2, etags[1]);
    assert_non_null(strstr(a.body, "EntityTooSmall"));
    answer_free(&a);
    assert_int_equal(object_store_uploads(k->store), 1);
    a = ask(k, "GET", "?uploads=", "", "", 0);
    assert_non_null(strstr(a.body, other));
    answer_free(&a);
    char target[100];
    snprintf(target, sizeof(target), "/big?uploadId=%s", other);
    assert_int_equal(status_of(k, "DELETE", target, ""), 204);
    assert_int_equal(object_store_uploads(k->store), 0);
    shop_free(k);
}

static void http_is_taken_seriously(void **state)
{
    struct shop *k = shop_new(7);
    static const char *const wrong[] = {
        "GET /bucket/a HTTP/1.0\r\n\r\n", "nonsense\r\n\r\n", "GET /bucket/%zz HTTP/1.1\r\n\r\n",
        "PUT /bucket/a HTTP/1.1\r\nContent-Length: x\r\n\r\n", "GET /bucket/a HTTP/1.1\r\nno colon\r\n\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct answer a = {0};
        dial(k);
        peer_send(k->peer, wrong[i], strlen(wrong[i]));
        while (!k->peer->ended) go_on(k);
        assert_true(answer_take(k->peer, false, &a));
        assert_int_equal(a.status, 400);
        answer_free(&a);
    }
    assert_int_equal(put(k, "a", "x", "Transfer-Encoding: chunked\r\n"), 501);
    assert_int_equal(put(k, "a", "x", "Connection: close\r\n"), 200);
    wait_us(k, 100000);
    assert_true(k->peer->ended);
    hang_up(k);
    dial(k); /* two requests in one go */
    char date[32], two[600];
    print_date(k, date);
    snprintf(
        two, sizeof(two),
        "GET /bucket/a HTTP/1.1\r\nauthorization: AWS4-HMAC-SHA256 Credential=WEFTKEY/\r\nx-amz-date: %s\r\n"
        "\r\nHEAD /bucket/a HTTP/1.1\r\nAuthorization: AWS4-HMAC-SHA256 Credential=WEFTKEY/\r\n"
        "X-Amz-Date: %s\r\n\r\n",
        date, date);
    peer_send(k->peer, two, strlen(two));
    struct answer a = {0};
    while (!answer_take(k->peer, false, &a)) go_on(k);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "x");
    while (!answer_take(k->peer, true, &a)) go_on(k);
    assert_int_equal(a.status, 200);
    assert_int_equal(a.declared_len, 1);
    answer_free(&a);
    shop_free(k);
}

/* ---- faults ---- */

static void on(struct shop *k, enum io_sim_fault f)
{
    io_sim_fault_set_node(k->store_node, f, MILLION);
}
static uint64_t fired(struct shop *k, enum io_sim_fault f)
{
    return io_sim_fault_fired(k->s.world, f);
}

static void errors_do_nothing(void **state)
{
    static const struct {
        enum io_sim_fault fault;
        int status;
        const char *code;
        bool lasts; /* for up to 5 s */
    } cases[] = {{IO_SIM_STORE_ERROR_500, 500, "InternalError", false},
                 {IO_SIM_STORE_ERROR_503, 503, "SlowDown", false},
                 {IO_SIM_STORE_ERROR_429, 429, "TooManyRequests", true},
                 {IO_SIM_STORE_EXPIRED_CREDENTIALS, 403, "ExpiredToken", true},
                 {IO_SIM_STORE_BUCKET_GONE, 404, "NoSuchBucket", true}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct shop *k = shop_new(8);
        on(k, cases[i].fault);
        struct answer a = ask(k, "PUT", "/a", "", "x", 1);
        assert_int_equal(a.status, cases[i].status);
        assert_non_null(strstr(a.body, cases[i].code));
        if (a.status == 429) assert_non_null(strstr(a.head, "Retry-After: "));
        answer_free(&a);
        assert_int_equal(fired(k, cases[i].fault), 1);
        io_sim_faults_freeze(k->s.world);
        assert_int_equal(put(k, "a", "x", ""), cases[i].lasts ? cases[i].status : 200);
        assert_string_equal(stored(k, "a"), cases[i].lasts ? "-" : "x");
        wait_us(k, 5000000);
        assert_int_equal(put(k, "a", "y", ""), 200);
        assert_string_equal(stored(k, "a"), "y");
        shop_free(k);
    }
}

static void errors_that_are_none(void **state)
{
    struct shop *k = shop_new(9);
    on(k, IO_SIM_STORE_APPLIED_ERROR);
    assert_int_equal(put(k, "a", "x", ""), 500);
    assert_string_equal(stored(k, "a"), "x");
    assert_int_equal(status_of(k, "GET", "/a", ""), 200); /* no change, no error */
    assert_int_equal(put(k, "a", "y", "If-None-Match: *\r\n"), 500);
    assert_string_equal(stored(k, "a"), "x"); /* conditions hold here, too */
    assert_int_equal(status_of(k, "DELETE", "/a", ""), 500);
    assert_string_equal(stored(k, "a"), "-");
    assert_int_equal(fired(k, IO_SIM_STORE_APPLIED_ERROR), 3);
    io_sim_faults_freeze(k->s.world);

    on(k, IO_SIM_STORE_APPLIED_LATER);
    assert_int_equal(put(k, "late", "first", ""), 500);
    io_sim_faults_freeze(k->s.world);
    assert_string_equal(stored(k, "late"), "-");
    assert_int_equal(put(k, "late", "second", ""), 200);
    wait_us(k, 20000000);
    assert_string_equal(stored(k, "late"), "first"); /* the zombie */
    assert_int_equal(fired(k, IO_SIM_STORE_APPLIED_LATER), 1);
    shop_free(k);
}

static void a_request_is_never_answered(void **state)
{
    int done = 0, not_done = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct shop *k = shop_new(seed);
        k->patience_us = 1000000;
        on(k, IO_SIM_STORE_TIMEOUT);
        assert_int_equal(put(k, "a", "x", ""), 0);
        done += strcmp(stored(k, "a"), "x") == 0;
        not_done += strcmp(stored(k, "a"), "-") == 0;
        assert_int_equal(fired(k, IO_SIM_STORE_TIMEOUT), 1);
        shop_free(k);
    }
    assert_true(done > 4 && not_done > 4 && done + not_done == 20);
}

static void bodies_are_spoilt(void **state)
{
    char *text = (char *)pattern(3000, 2);
    size_t shortest = SIZE_MAX, longest = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct shop *k = shop_new(seed);
        struct answer a = ask(k, "PUT", "/a", "", text, 3000);
        answer_free(&a);
        on(k, IO_SIM_STORE_TRUNCATED_BODY);
        a = ask(k, "GET", "/a", "", "", 0);
        assert_int_equal(a.declared_len, 3000);
        assert_false(a.whole);
        assert_memory_equal(a.body, text, a.body_len);
        if (a.body_len < shortest) shortest = a.body_len;
        if (a.body_len > longest) longest = a.body_len;
        answer_free(&a);
        io_sim_faults_freeze(k->s.world);
        on(k, IO_SIM_STORE_FLIPPED_BODY);
        a = ask(k, "GET", "/a", "", "", 0);
        assert_true(a.whole && a.body_len == 3000);
        int flipped = 0;
        for (size_t i = 0; i < 3000; i++) flipped += __builtin_popcount((uint8_t)(a.body[i] ^ text[i]));
        assert_int_equal(flipped, 1);
        answer_free(&a);
        assert_int_equal(fired(k, IO_SIM_STORE_TRUNCATED_BODY), 1);
        assert_int_equal(fired(k, IO_SIM_STORE_FLIPPED_BODY), 1);
        shop_free(k);
    }
    assert_true(shortest < 1000 && longest > 2000);
    free(text);
}

static void listings_lie(void **state)
{
    int stale = 0, lists_deleted = 0;
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct shop *k = shop_new(seed);
        char keys[500];
        assert_int_equal(put(k, "a", "1", ""), 200);
        assert_int_equal(put(k, "gone", "1", ""), 200);
        wait_us(k, 11000000);
        assert_int_equal(status_of(k, "DELETE", "/gone", ""), 204);
        assert_int_equal(put(k, "new", "1", ""), 200);
        wait_us(k, 4000000);
        on(k, IO_SIM_STORE_STALE_LIST);
        list_all(k, "", keys, sizeof(keys));
        io_sim_faults_freeze(k->s.world);
        assert_non_null(strstr(keys, "a "));
        stale += strstr(keys, "new ") == NULL;
        lists_deleted += strstr(keys, "gone ") != NULL;
        assert_int_equal(fired(k, IO_SIM_STORE_STALE_LIST), 1);
        list_all(k, "", keys, sizeof(keys));
        assert_string_equal(keys, "a new ");

        assert_int_equal(put(k, "middle", "1", ""), 200);
        on(k, IO_SIM_STORE_LIST_GAP);
        list_all(k, "", keys, sizeof(keys));
        assert_true(strcmp(keys, "middle new ") == 0 || strcmp(keys, "a new ") == 0 ||
                    strcmp(keys, "a middle ") == 0);
        assert_int_equal(fired(k, IO_SIM_STORE_LIST_GAP), 1);
        shop_free(k);
    }
    assert_true(stale > 5 && stale < 25 && lists_deleted == stale);
}

static void races_are_lost(void **state)
{
    int conflicts = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct shop *k = shop_new(seed);
        on(k, IO_SIM_STORE_PRECONDITION);
        int status = put(k, "a", "x", "If-None-Match: *\r\n");
        assert_true(status == 412 || status == 409);
        conflicts += status == 409;
        assert_string_equal(stored(k, "a"), "-");
        assert_int_equal(put(k, "a", "x", ""), 200); /* without a condition there is no race */
        assert_int_equal(fired(k, IO_SIM_STORE_PRECONDITION), 1);
        io_sim_faults_freeze(k->s.world);
        on(k, IO_SIM_STORE_RACE_500);
        assert_int_equal(put(k, "a", "y", "If-None-Match: *\r\n"), 500);
        assert_int_equal(put(k, "b", "y", "If-None-Match: *\r\n"), 200);
        assert_string_equal(stored(k, "a"), "x");
        assert_int_equal(fired(k, IO_SIM_STORE_RACE_500), 1);
        shop_free(k);
    }
    assert_in_range(conflicts, 4, 16);
}

static void two_writers_race_for_one_key(void **state)
{
    int winners[2] = {0};
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct shop *k = shop_new(seed);
        struct peer *p[2] = {0};
        struct answer a[2] = {{0}};
        char date[32], text[2][500];
        for (int i = 0; i < 2; i++) {
            k->peer = NULL;
            dial(k);
            p[i] = k->peer;
        }
        print_date(k, date);
        for (int i = 0; i < 2; i++) {
            snprintf(
                text[i], sizeof(text[i]),
                "PUT /bucket/manifest HTTP/1.1\r\nAuthorization: AWS4-HMAC-SHA256 Credential=WEFTKEY/\r\n"
                "x-amz-date: %s\r\nIf-None-Match: *\r\nContent-Length: 1\r\n\r\n%d",
                date, i);
            peer_send(p[i], text[i], strlen(text[i]));
        }
        for (int i = 0; i < 2; i++)
            while (!answer_take(p[i], false, &a[i])) go_on(k);
        int winner = a[0].status == 200 ? 0 : 1;
        assert_int_equal(a[winner].status, 200);
        assert_int_equal(a[1 - winner].status, 412);
        assert_string_equal(stored(k, "manifest"), winner == 0 ? "0" : "1");
        winners[winner]++;
        for (int i = 0; i < 2; i++) {
            answer_free(&a[i]);
            k->peer = p[i];
            hang_up(k);
        }
        shop_free(k);
    }
    assert_true(winners[0] > 8 && winners[1] > 8);
}

static void an_upload_is_orphaned(void **state)
{
    struct shop *k = shop_new(10);
    char id[32], etags[2][64];
    upload_begin(k, id);
    upload_part(k, id, 1, "hello ", etags[0]);
    upload_part(k, id, 2, "world", etags[1]);
    on(k, IO_SIM_STORE_ORPHANED_MULTIPART);
    struct answer a = upload_complete(k, id, 1, etags[0], 2, etags[1]);
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.body, "<Error><Code>InternalError"));
    answer_free(&a);
    assert_string_equal(stored(k, "big"), "-");
    assert_int_equal(object_store_uploads(k->store), 1);
    assert_int_equal(fired(k, IO_SIM_STORE_ORPHANED_MULTIPART), 1);
    io_sim_faults_freeze(k->s.world);
    a = upload_complete(k, id, 1, etags[0], 2, etags[1]);
    assert_int_equal(a.status, 200);
    answer_free(&a);
    assert_string_equal(stored(k, "big"), "hello world");
    shop_free(k);
}

static void an_answer_drips(void **state)
{
    struct shop *k = shop_new(11);
    char *text = (char *)pattern(1000, 3);
    struct answer a = ask(k, "PUT", "/a", "", text, 1000);
    answer_free(&a);
    on(k, IO_SIM_STORE_SLOW_DRIP);
    int receives = k->peer->receives;
    a = ask(k, "GET", "/a", "", "", 0);
    assert_true(a.whole && a.took_us > 300000); /* 1,000 bytes, 64 at most every 20 ms */
    assert_memory_equal(a.body, text, 1000);
    assert_true(k->peer->receives - receives > 15);
    answer_free(&a);
    assert_int_equal(fired(k, IO_SIM_STORE_SLOW_DRIP), 1);
    free(text);
    shop_free(k);
}

/* Everything at once, twice: the same answers, the same trace; and what is off has no effect. */
static uint64_t busy_run(uint64_t seed, uint32_t rate, int *ok, uint64_t *total)
{
    struct shop *k = shop_new_with(seed, (struct object_store_config){.page_max = 5});
    k->patience_us = 500000;
    for (int f = 0; f < IO_SIM_FAULT_COUNT; f++)
        if (io_sim_fault_row(f)->group == IO_SIM_STORE) io_sim_fault_set(k->s.world, f, rate);
    io_sim_fault_set_value(k->s.world, IO_SIM_STORE_ERROR_429, 1); /* those that last */
    io_sim_fault_set_value(k->s.world, IO_SIM_STORE_EXPIRED_CREDENTIALS, 200000);
    io_sim_fault_set_value(k->s.world, IO_SIM_STORE_BUCKET_GONE, 200000);
    io_sim_fault_set(k->s.world, IO_SIM_STORE_ERROR_429, rate / 20);
    io_sim_fault_set(k->s.world, IO_SIM_STORE_EXPIRED_CREDENTIALS, rate / 10);
    io_sim_fault_set(k->s.world, IO_SIM_STORE_BUCKET_GONE, rate / 10);
    for (int i = 0; i < 200; i++) {
        char key[20], id[32] = "1", target[60];
        snprintf(key, sizeof(key), "key%d", i % 17);
        snprintf(target, sizeof(target), "/%s", key);
        *ok += put(k, key, "value", i % 3 == 0 ? "If-None-Match: *\r\n" : "") == 200;
        *ok += status_of(k, "GET", target, "") == 200;
        *ok += status_of(k, "GET", "?list-type=2", "") == 200;
        if (i % 5 == 0) *ok += status_of(k, "DELETE", target, "") == 204;
        *ok += status_of(k, "POST", "/big?uploads=", "") == 200;
        snprintf(target, sizeof(target), "/big?uploadId=%s", id);
        *ok += status_of(k, "POST", target, "") == 200;
    }
    for (int f = 0; f < IO_SIM_FAULT_COUNT; f++) total[f] += fired(k, f);
    uint64_t hash = io_sim_trace_hash(k->s.world);
    shop_free(k);
    return hash;
}

static void the_same_seed_gives_the_same_store(void **state)
{
    uint64_t total[IO_SIM_FAULT_COUNT] = {0}, again[IO_SIM_FAULT_COUNT] = {0};
    int ok = 0, ok_again = 0;
    for (uint64_t seed = 0; seed < 8; seed++)
        assert_true(busy_run(seed, 20000, &ok, total) == busy_run(seed, 20000, &ok_again, again));
    assert_int_equal(ok, ok_again);
    assert_memory_equal(total, again, sizeof(total));
    assert_true(ok > 500);
    for (int f = 0; f < IO_SIM_FAULT_COUNT; f++)
        if (io_sim_fault_row(f)->group == IO_SIM_STORE && total[f] == 0)
            fail_msg("%s never fired", io_sim_fault_name(f));
    memset(total, 0, sizeof(total));
    busy_run(1, 0, &ok, total);
    for (int f = 0; f < IO_SIM_FAULT_COUNT; f++) assert_int_equal(total[f], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_come_and_go),
        cmocka_unit_test(who_asks_must_say_so),
        cmocka_unit_test(conditions_are_as_the_store_has_them),
        cmocka_unit_test(listings_have_pages),
        cmocka_unit_test(uploads_in_parts),
        cmocka_unit_test(http_is_taken_seriously),
        cmocka_unit_test(errors_do_nothing),
        cmocka_unit_test(errors_that_are_none),
        cmocka_unit_test(a_request_is_never_answered),
        cmocka_unit_test(bodies_are_spoilt),
        cmocka_unit_test(listings_lie),
        cmocka_unit_test(races_are_lost),
        cmocka_unit_test(two_writers_race_for_one_key),
        cmocka_unit_test(an_upload_is_orphaned),
        cmocka_unit_test(an_answer_drips),
        cmocka_unit_test(the_same_seed_gives_the_same_store),
    };
    return cmocka_run_group_tests_name("simulated object store", tests, NULL, NULL);
}
