/* The simulated object store: its connections, the time that an answer takes, and its faults.
 *
 * A connection gathers one request, waits for the service time, executes, sends the answer (at once, or drop
 * by drop), and goes on with what has come meanwhile; a client may pipeline. Faults are decided when a
 * request is executed (decide), in the order of the table: those that refuse before those that spoil an
 * answer.
 *
 * Invariant: between turns io's deadline is the earliest of all connections' and late changes' times.
 * Files: store_http.c (HTTP, XML), store_request.c (what requests mean), bucket.c (contents). Tests:
 * test/unit/sim_store_test.c.
 */
#include "sim/store_http.h"
#include "base/check.h"
#include "io/sim_fault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMPLETIONS    64
#define SERVICE_MIN_US 500
#define SERVICE_MAX_US 3000
#define BACKLOG        128

enum conn_step { READING, SERVING, SENDING, DEAF };

struct store_conn {
    struct object_store *store;
    struct store_conn *next;
    struct io_conn *conn;
    struct blob in, out;
    struct store_request request;
    size_t request_len; /* head and body, in `in` */
    size_t sent, in_flight;
    int64_t due_us; /* of the next step of SERVING, or drop of SENDING; INT64_MAX: none */
    enum conn_step step;
    bool drip, close_after, ended, closing, said_continue;
};

/* A change that was answered with an error, and happens all the same. */
struct store_late {
    struct store_late *next;
    int64_t due_us;
    struct blob bytes; /* of the whole request */
};

static int64_t now_us(struct object_store *store)
{
    return io_monotonic_us(store->io);
}

static uint64_t below(struct object_store *store, enum io_sim_fault f, int64_t bound)
{
    return io_sim_fault_below(store->node, f, (uint64_t)bound);
}
static bool hit(struct object_store *store, enum io_sim_fault f)
{
    return io_sim_fault_roll(store->node, f);
}
/* In [1, the fault's parameter]. */
static int64_t amount(struct object_store *store, enum io_sim_fault f)
{
    return 1 + (int64_t)below(store, f, io_sim_fault_value(store->node, f));
}

/* ---- faults ---- */

/* The store as a whole turns requests away, for a time. */
static bool turned_away(struct object_store *store, struct store_answer *a)
{
    if (hit(store, IO_SIM_STORE_ERROR_429))
        store->refused_until_us = now_us(store) + amount(store, IO_SIM_STORE_ERROR_429) * 1000000;
    if (hit(store, IO_SIM_STORE_EXPIRED_CREDENTIALS))
        store->expired_until_us = now_us(store) + amount(store, IO_SIM_STORE_EXPIRED_CREDENTIALS);
    if (hit(store, IO_SIM_STORE_BUCKET_GONE))
        store->bucket_gone_until_us = now_us(store) + amount(store, IO_SIM_STORE_BUCKET_GONE);
    if (now_us(store) < store->refused_until_us) {
        store_error(a, 429, "TooManyRequests");
        blob_print(&a->head, "Retry-After: %lld\r\n",
                   (long long)((store->refused_until_us - now_us(store) + 999999) / 1000000));
    } else if (now_us(store) < store->expired_until_us) {
        store_error(a, 403, "ExpiredToken");
    } else if (now_us(store) < store->bucket_gone_until_us) {
        store_error(a, 404, "NoSuchBucket");
    } else if (hit(store, IO_SIM_STORE_ERROR_500)) {
        store_error(a, 500, "InternalError");
    } else if (hit(store, IO_SIM_STORE_ERROR_503)) {
        store_error(a, 503, "SlowDown");
    } else {
        return false;
    }
    return true;
}

static void happen_later(struct store_conn *c)
{
    struct store_late *late = calloc(1, sizeof(*late));
    CHECK(late != NULL);
    late->due_us = now_us(c->store) + amount(c->store, IO_SIM_STORE_APPLIED_LATER);
    blob_add(&late->bytes, c->in.at, c->request_len);
    late->next = c->store->late;
    c->store->late = late;
}

static void execute_unseen(struct object_store *store, const struct store_request *r)
{
    struct store_answer ignored = {0};
    store_execute(store, r, &ignored);
    blob_free(&ignored.head);
    blob_free(&ignored.body);
}

/* Faults that an answer meets on its way out. */
static void spoil(struct object_store *store, const struct store_request *r, struct store_answer *a)
{
    bool is_get = strcmp(r->method, "GET") == 0;
    if (is_get && a->body.len > 0 && a->status < 300) {
        if (hit(store, IO_SIM_STORE_TRUNCATED_BODY)) a->cut = true;
        if (hit(store, IO_SIM_STORE_FLIPPED_BODY)) a->flip = true;
    }
    if (hit(store, IO_SIM_STORE_SLOW_DRIP)) a->drip = true;
}

static bool is_conditional_put(const struct store_request *r)
{
    return strcmp(r->method, "PUT") == 0 && (r->if_match[0] != 0 || r->if_none_match[0] != 0);
}

/* What becomes of the request. */
static void decide(struct store_conn *c, struct store_answer *a)
{
    struct object_store *store = c->store;
    const struct store_request *r = &c->request;
    bool change = store_is_change(r);
    if (turned_away(store, a)) return;
    if (hit(store, IO_SIM_STORE_TIMEOUT)) {
        if (below(store, IO_SIM_STORE_TIMEOUT, 2) == 0) execute_unseen(store, r);
        a->silent = true;
    } else if (change && hit(store, IO_SIM_STORE_APPLIED_ERROR)) {
        execute_unseen(store, r);
        store_error(a, 500, "InternalError");
    } else if (change && hit(store, IO_SIM_STORE_APPLIED_LATER)) {
        happen_later(c);
        store_error(a, 500, "InternalError");
    } else if (is_conditional_put(r) && hit(store, IO_SIM_STORE_PRECONDITION)) {
        bool conflict = below(store, IO_SIM_STORE_PRECONDITION, 2) == 0;
        store_error(a, conflict ? 409 : 412, conflict ? "ConditionalRequestConflict" : "PreconditionFailed");
    } else if (store_is_complete(r) && hit(store, IO_SIM_STORE_ORPHANED_MULTIPART)) {
        store_error(a, 200, "InternalError");
    } else {
        store_execute(store, r, a);
        bool lost = is_conditional_put(r) && a->status == 412;
        if (lost && hit(store, IO_SIM_STORE_RACE_500)) store_error(a, 500, "UnknownError");
    }
}

/* ---- sending ---- */

static void send_some(struct store_conn *c)
{
    struct object_store *store = c->store;
    size_t len = c->out.len - c->sent;
    c->due_us = INT64_MAX;
    if (c->drip) {
        size_t drop = 1 + below(store, IO_SIM_STORE_SLOW_DRIP, 64);
        if (drop < len) len = drop;
    }
    c->in_flight = len;
    io_send(c->conn, &(struct io_slice){c->out.at + c->sent, len}, 1);
}

static void conn_close(struct store_conn *c)
{
    if (c->closing) return;
    c->closing = true;
    c->due_us = INT64_MAX;
    io_close(c->conn);
}

/* The faults of a body that are not the answer's to make, because they concern the bytes on the wire. */
static void damage_body(struct store_conn *c, const struct store_answer *a)
{
    struct object_store *store = c->store;
    size_t head_len = c->out.len - a->body.len;
    if (a->flip)
        c->out.at[head_len + below(store, IO_SIM_STORE_FLIPPED_BODY, (int64_t)a->body.len)] ^=
            (uint8_t)(1u << below(store, IO_SIM_STORE_FLIPPED_BODY, 8));
    if (a->cut) {
        c->out.len = head_len + below(store, IO_SIM_STORE_TRUNCATED_BODY, (int64_t)a->body.len);
        c->close_after = true;
    }
}

/* The service time is over: the request takes effect, and the answer begins. */
static void serve(struct store_conn *c)
{
    struct object_store *store = c->store;
    struct store_answer a = {0};
    c->due_us = INT64_MAX;
    c->request.body = c->in.at + (c->request_len - c->request.content_len);
    store->requests++;
    decide(c, &a);
    c->close_after = !c->request.keep_alive;
    if (a.silent) {
        c->step = DEAF;
    } else {
        spoil(store, &c->request, &a);
        c->out.len = c->sent = 0;
        store_answer_write(&a, &c->request, &c->out);
        damage_body(c, &a);
        c->drip = a.drip;
        c->step = SENDING;
        send_some(c);
    }
    blob_free(&a.head);
    blob_free(&a.body);
}

/* ---- receiving ---- */

static void refuse(struct store_conn *c)
{
    struct store_answer a = {0};
    c->request.keep_alive = false;
    c->close_after = true;
    c->drip = false;
    store_error(&a, 400, "BadRequest");
    c->out.len = c->sent = 0;
    store_answer_write(&a, &c->request, &c->out);
    c->step = SENDING;
    send_some(c);
    blob_free(&a.head);
    blob_free(&a.body);
}

/* A client that asks whether it may send the body is told so: not within the answer, and only once. */
static void say_continue(struct store_conn *c)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (c->said_continue) return;
    c->said_continue = true;
    c->in_flight = sizeof(text) - 1;
    io_send(c->conn, &(struct io_slice){text, sizeof(text) - 1}, 1);
}

static void look_for_request(struct store_conn *c)
{
    if (c->step != READING || c->closing || c->in_flight > 0) return;
    int64_t head_len = c->in.len > 0 ? store_parse(c->in.at, c->in.len, &c->request) : 0;
    if (head_len < 0) {
        refuse(c);
        return;
    }
    bool whole = head_len > 0 && c->in.len >= (size_t)head_len + c->request.content_len;
    if (!whole) {
        if (c->ended)
            conn_close(c);
        else if (head_len > 0 && c->request.expect_continue)
            say_continue(c);
        return;
    }
    uint64_t chance;
    io_entropy(c->store->io, &chance, sizeof(chance));
    c->request_len = (size_t)head_len + c->request.content_len;
    c->said_continue = false;
    c->step = SERVING;
    c->due_us = now_us(c->store) + SERVICE_MIN_US + (int64_t)(chance % (SERVICE_MAX_US - SERVICE_MIN_US));
}

static void on_received(struct store_conn *c, const struct io_completion *done)
{
    if (done->result > 0) {
        blob_add(&c->in, done->data, (size_t)done->result);
    } else {
        c->ended = true;
        if (c->step == READING || c->step == DEAF || done->result < 0) {
            conn_close(c);
            return;
        }
    }
    look_for_request(c);
}

static void on_sent(struct store_conn *c, int64_t result)
{
    size_t len = c->in_flight;
    c->in_flight = 0;
    if (c->closing) return;
    if (result < 0) {
        conn_close(c);
        return;
    }
    if (c->step == READING) { /* it was "100 Continue" */
        look_for_request(c);
        return;
    }
    c->sent += len;
    if (c->sent < c->out.len) {
        c->due_us = now_us(c->store) + io_sim_fault_value(c->store->node, IO_SIM_STORE_SLOW_DRIP);
        return;
    }
    if (c->close_after) {
        conn_close(c);
        return;
    }
    memmove(c->in.at, c->in.at + c->request_len, c->in.len - c->request_len);
    c->in.len -= c->request_len;
    c->step = READING;
    look_for_request(c);
}

/* ---- connections ---- */

static void on_accepted(struct object_store *store, const struct io_completion *done)
{
    if (done->result < 0) return; /* io tries again */
    struct store_conn *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    c->store = store;
    c->due_us = INT64_MAX;
    c->conn = io_attach(store->io, done->socket, c);
    if (c->conn == NULL) {
        io_discard(store->io, done->socket);
        free(c);
        return;
    }
    c->next = store->conns;
    store->conns = c;
}

static void conn_free(struct store_conn *c)
{
    blob_free(&c->in);
    blob_free(&c->out);
    free(c);
}

static void on_closed(struct store_conn *c)
{
    struct store_conn **link = &c->store->conns;
    while (*link != c) link = &(*link)->next;
    *link = c->next;
    conn_free(c);
}

/* ---- the turn ---- */

static void happen_now(struct object_store *store)
{
    for (struct store_late **link = &store->late; *link != NULL;) {
        struct store_late *late = *link;
        struct store_request r;
        if (late->due_us > now_us(store)) {
            link = &late->next;
            continue;
        }
        int64_t head_len = store_parse(late->bytes.at, late->bytes.len, &r);
        CHECK(head_len > 0);
        r.body = late->bytes.at + head_len;
        execute_unseen(store, &r);
        *link = late->next;
        blob_free(&late->bytes);
        free(late);
    }
}

static int64_t next_due_us(const struct object_store *store)
{
    int64_t due_us = INT64_MAX;
    for (const struct store_conn *c = store->conns; c != NULL; c = c->next)
        if (c->due_us < due_us) due_us = c->due_us;
    for (const struct store_late *late = store->late; late != NULL; late = late->next)
        if (late->due_us < due_us) due_us = late->due_us;
    return due_us;
}

void object_store_turn(struct object_store *store)
{
    struct io_completion done[COMPLETIONS];
    int count = io_wait(store->io, next_due_us(store), done, COMPLETIONS);
    for (int i = 0; i < count; i++) {
        switch (done[i].op) {
        case IO_ACCEPT: on_accepted(store, &done[i]); break;
        case IO_RECV: on_received(done[i].user, &done[i]); break;
        case IO_SENT: on_sent(done[i].user, done[i].result); break;
        case IO_CLOSED: on_closed(done[i].user); break;
        default: CHECK(false);
        }
    }
    bool busy = count > 0;
    happen_now(store);
    for (struct store_conn *c = store->conns; c != NULL; c = c->next) {
        if (c->due_us > now_us(store)) continue;
        busy = true;
        if (c->step == SERVING)
            serve(c);
        else
            send_some(c);
    }
    if (busy) io_wake(store->io); /* new sends go out, and the deadline is a new one */
}

/* ---- life ---- */

struct object_store *object_store_create(struct io_world *node, const struct object_store_config *config)
{
    struct object_store *store = calloc(1, sizeof(*store));
    int error;
    CHECK(store != NULL);
    store->config = *config;
    store->node = node;
    store->io = io_create(node, &error);
    CHECK(store->io != NULL);
    if (io_listen_tcp(store->io, "0.0.0.0", config->port, BACKLOG, store, &store->listener) == 0)
        return store;
    object_store_destroy(store);
    return NULL;
}

void object_store_destroy(struct object_store *store)
{
    io_destroy(store->io);
    for (struct store_conn *c = store->conns, *next; c != NULL; c = next) {
        next = c->next;
        conn_free(c);
    }
    for (struct store_late *late = store->late, *next; late != NULL; late = next) {
        next = late->next;
        blob_free(&late->bytes);
        free(late);
    }
    bucket_free(&store->bucket);
    free(store);
}

struct io *object_store_io(struct object_store *store)
{
    return store->io;
}

const uint8_t *object_store_peek(const struct object_store *store, const char *key, size_t *len)
{
    const struct object *o = bucket_get(&store->bucket, key);
    if (o == NULL) return NULL;
    *len = o->data.len;
    return o->data.at;
}

size_t object_store_count(const struct object_store *store)
{
    return bucket_count(&store->bucket);
}

const char *object_store_next(const struct object_store *store, const char *after)
{
    const struct object_version *v;
    const struct object *o = bucket_next(&store->bucket, after, INT64_MAX, &v);
    return o != NULL ? o->key : NULL;
}

size_t object_store_uploads(const struct object_store *store)
{
    return store->bucket.upload_count;
}

uint64_t object_store_requests(const struct object_store *store)
{
    return store->requests;
}
