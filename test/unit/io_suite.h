/* What the io tests share: one suite of behaviour, run over every backend that this machine has.
 *
 * A `struct suite` holds a world and up to four ios, all driven in the test's own thread: UNTIL(cond) turns
 * the loops until the condition holds, and fails the test after ten seconds (real) or many idle steps
 * (simulated). Completions are recorded in the `struct peer` or `struct door` that the operation's `user`
 * points to; the rules of io.h that concern every completion are checked right here.
 */
#ifndef WEFT_TEST_IO_SUITE_H
#define WEFT_TEST_IO_SUITE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "io/backend.h"
#include "io/io.h"
#include "io/world.h"

/* The real ones first. SINGLE: io_uring as on kernels where multishot receives are not safe. */
enum suite_backend { SUITE_EPOLL, SUITE_URING, SUITE_URING_SINGLE, SUITE_SIM };
#define SUITE_IOS 4

struct suite {
    struct io_world *world;
    struct io *ios[SUITE_IOS];
    int io_count;
    int max; /* completions per io_wait */
    bool simulated;
    bool dead; /* simulated: nothing is to come any more */
    enum suite_backend backend;
};

/* Whoever a completion is for. `kind` tells which. */
enum user_kind { USER_PEER = 0x1f2e3d, USER_DOOR, USER_FILE };

struct peer {
    enum user_kind kind;
    struct io_conn *conn;
    uint8_t *in;
    size_t in_len, in_room;
    int receives, sents, connects, largest_receive;
    int64_t sent_result, end_result, connect_result;
    bool ended, closed, detached, echo;
    bool sending, close_at_end;
    io_socket socket;
    struct peer *echo_of; /* the other side's record, when a door made this one */
    uint8_t *echo_pending;
    size_t echo_len;
};

struct door {
    enum user_kind kind;
    struct io_listener *listener;
    struct io *attach_to; /* NULL: keep the sockets */
    io_socket sockets[64];
    int accepted, errors;
    int64_t error;
    struct peer *peers[64];
    bool echo;
};

struct file_user {
    enum user_kind kind;
    int completions;
    int64_t result;
};

static inline struct peer *peer_new(void)
{
    struct peer *p = calloc(1, sizeof(*p));
    CHECK(p != NULL);
    p->kind = USER_PEER;
    p->end_result = INT64_MIN;
    p->sent_result = INT64_MIN;
    p->connect_result = INT64_MIN;
    p->socket = IO_SOCKET_NONE;
    return p;
}

static inline void peer_free(struct peer *p)
{
    free(p->in);
    free(p->echo_pending);
    free(p);
}

static inline void peer_echo(struct peer *p)
{
    if (p->sending || p->in_len == 0) return;
    free(p->echo_pending);
    p->echo_pending = p->in;
    p->echo_len = p->in_len;
    p->in = NULL;
    p->in_len = p->in_room = 0;
    struct io_slice s = {p->echo_pending, p->echo_len};
    p->sending = true;
    io_send(p->conn, &s, 1);
}

static inline void peer_receive(struct peer *p, const struct io_completion *c)
{
    assert_false(p->ended); /* rule 5 */
    if (c->result <= 0) {
        p->ended = true;
        p->end_result = c->result;
        if (p->close_at_end) io_close(p->conn);
        return;
    }
    p->receives++;
    if (c->result > p->largest_receive) p->largest_receive = (int)c->result;
    if (p->in_len + (size_t)c->result > p->in_room) {
        p->in_room = (p->in_len + (size_t)c->result) * 2;
        p->in = realloc(p->in, p->in_room);
        CHECK(p->in != NULL);
    }
    memcpy(p->in + p->in_len, c->data, (size_t)c->result);
    p->in_len += (size_t)c->result;
}

static inline void peer_completion(struct peer *p, const struct io_completion *c)
{
    assert_false(p->closed || p->detached); /* rule 4 */
    switch (c->op) {
    case IO_RECV: peer_receive(p, c); break;
    case IO_SENT:
        assert_true(p->sending); /* rule 3: one for each io_send */
        p->sending = false;
        p->sents++;
        p->sent_result = c->result;
        break;
    case IO_CONNECT:
        p->connects++;
        p->connect_result = c->result;
        break;
    case IO_CLOSED:
        assert_false(p->sending);
        p->closed = true;
        p->conn = NULL;
        break;
    case IO_DETACHED:
        p->detached = true;
        p->conn = NULL;
        p->socket = c->socket;
        break;
    default: fail_msg("op %d", c->op);
    }
    if (p->echo && p->conn != NULL && !(p->ended && p->close_at_end)) peer_echo(p);
}

static inline void door_completion(struct door *d, const struct io_completion *c)
{
    assert_int_equal(c->op, IO_ACCEPT);
    if (c->result < 0) {
        assert_int_equal(c->socket, IO_SOCKET_NONE);
        d->errors++;
        d->error = c->result;
        return;
    }
    assert_true(d->accepted < 64);
    d->sockets[d->accepted] = c->socket;
    if (d->attach_to != NULL) {
        struct peer *p = peer_new();
        p->echo = p->close_at_end = d->echo;
        p->conn = io_attach(d->attach_to, c->socket, p);
        assert_non_null(p->conn);
        d->peers[d->accepted] = p;
    }
    d->accepted++;
}

static inline void dispatch(const struct io_completion *c, int n)
{
    for (int i = 0; i < n; i++) {
        enum user_kind kind = *(enum user_kind *)c[i].user;
        if (kind == USER_PEER) {
            peer_completion(c[i].user, &c[i]);
        } else if (kind == USER_DOOR) {
            door_completion(c[i].user, &c[i]);
        } else {
            struct file_user *f = c[i].user;
            assert_int_equal(c[i].op, IO_FILE);
            f->completions++;
            f->result = c[i].result;
        }
    }
}

/* One io_wait of one io; returns the number of completions. */
static inline int suite_wait(struct suite *s, int i, int64_t deadline_us)
{
    struct io_completion c[256];
    int max = s->max;
    int n = io_wait(s->ios[i], deadline_us, c, max);
    assert_in_range(n, 0, max);
    dispatch(c, n);
    return n;
}

/* A turn of every io. When nothing happened a real suite sleeps a little, a simulated one lets time go on. */
static inline int suite_turn(struct suite *s)
{
    int n = 0;
    if (s->simulated) {
        for (int i = 0; i < s->io_count; i++)
            if (io_sim_ready(s->ios[i])) n += suite_wait(s, i, INT64_MAX);
        if (n == 0) s->dead = !io_sim_step(s->world, INT64_MAX);
        return n;
    }
    for (int i = 0; i < s->io_count; i++)
        n += suite_wait(s, i, i == s->io_count - 1 && n == 0 ? io_monotonic_us(s->ios[i]) + 200 : 0);
    return n;
}

static inline int64_t suite_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

#define UNTIL(suite, cond)                                                                                   \
    do {                                                                                                     \
        int64_t until_end = suite_now_us() + 20000000;                                                       \
        while (!(cond)) {                                                                                    \
            suite_turn(suite);                                                                               \
            if (suite_now_us() > until_end || (suite)->dead) fail_msg("never: %s", #cond);                   \
        }                                                                                                    \
    } while (0)

/* Turns long enough for whatever could still come to come. */
static inline void suite_settle(struct suite *s)
{
    for (int quiet = 0; quiet < 20 && !s->dead;) quiet = suite_turn(s) == 0 ? quiet + 1 : 0;
    s->dead = false;
}

static inline struct suite *suite_create_seeded(enum suite_backend backend, int ios, uint64_t seed)
{
    int error = 0;
    struct suite *s = calloc(1, sizeof(*s));
    s->backend = backend;
    s->max = 64;
    s->simulated = backend == SUITE_SIM;
    if (s->simulated)
        s->world = io_sim_world_create(seed);
    else
        s->world = io_world_create(backend == SUITE_EPOLL ? IO_BACKEND_EPOLL : IO_BACKEND_URING, &error);
    if (s->world == NULL) fail_msg("no world: %d", error);
    if (backend == SUITE_URING_SINGLE) io_uring_set_multishot(s->world, false);
    for (; s->io_count < ios; s->io_count++) {
        s->ios[s->io_count] = io_create(s->world, &error);
        assert_non_null(s->ios[s->io_count]);
    }
    return s;
}

static inline struct suite *suite_create(enum suite_backend backend, int ios)
{
    return suite_create_seeded(backend, ios, 1);
}

static inline void suite_destroy(struct suite *s)
{
    for (int i = 0; i < s->io_count; i++) io_destroy(s->ios[i]);
    io_world_destroy(s->world);
    free(s);
}

static inline uint16_t door_open(struct suite *s, int io, struct door *d, int attach_to, bool echo)
{
    memset(d, 0, sizeof(*d));
    d->kind = USER_DOOR;
    d->attach_to = attach_to >= 0 ? s->ios[attach_to] : NULL;
    d->echo = echo;
    assert_int_equal(io_listen_tcp(s->ios[io], "127.0.0.1", 0, 128, d, &d->listener), 0);
    return io_listener_port(d->listener);
}

static inline struct peer *peer_connect(struct suite *s, int io, uint16_t port)
{
    int error = 0;
    struct peer *p = peer_new();
    p->conn = io_connect(s->ios[io], "127.0.0.1", port, p, &error);
    assert_non_null(p->conn);
    UNTIL(s, p->connects == 1);
    assert_int_equal(p->connect_result, 0);
    return p;
}

static inline void peer_send(struct peer *p, const void *data, size_t len)
{
    struct io_slice s = {data, len};
    assert_false(p->sending);
    p->sending = true;
    io_send(p->conn, &s, 1);
}

static inline void peer_close(struct suite *s, struct peer *p)
{
    io_close(p->conn);
    UNTIL(s, p->closed);
    peer_free(p);
}

/* Runs the tests over each backend. io_uring is left out where the kernel refuses it, and that is said. */
static inline int suite_main_upto(enum suite_backend last, const char *name, enum suite_backend *backend,
                                  const struct CMUnitTest *tests, size_t count)
{
    static const char *const labels[] = {"epoll", "io_uring", "io_uring, single receives", "simulated"};
    char title[64];
    int failed = 0, error;
    struct io_world *world = io_world_create(IO_BACKEND_URING, &error);
    if (world != NULL) io_world_destroy(world);
    for (*backend = SUITE_EPOLL; *backend <= last; (*backend)++) {
        if (*backend >= SUITE_URING && *backend <= SUITE_URING_SINGLE && world == NULL) {
            printf("io_uring is refused here (%d): not tested\n", error);
            continue;
        }
        snprintf(title, sizeof(title), "%s over %s", name, labels[*backend]);
        failed += _cmocka_run_group_tests(title, tests, count, NULL, NULL);
    }
    return failed;
}

static inline int suite_main(const char *name, enum suite_backend *backend, const struct CMUnitTest *tests,
                             size_t n)
{
    return suite_main_upto(SUITE_SIM, name, backend, tests, n);
}
static inline int suite_main_real(const char *name, enum suite_backend *backend,
                                  const struct CMUnitTest *tests, size_t n)
{
    return suite_main_upto(SUITE_URING_SINGLE, name, backend, tests, n);
}

/* Bytes that differ by position and by `salt`, so that lost, doubled or crossed ones show. */
static inline uint8_t *pattern(size_t len, uint32_t salt)
{
    uint8_t *p = malloc(len > 0 ? len : 1);
    CHECK(p != NULL);
    for (size_t i = 0; i < len; i++) p[i] = (uint8_t)(((uint32_t)i * 2654435761u + salt * 40503u) >> 13);
    return p;
}

/* Closes what the door's connections still have open and the door itself. */
static inline void door_close(struct suite *s, struct door *d)
{
    for (int i = 0; i < d->accepted; i++) {
        if (d->peers[i] == NULL) continue;
        if (d->peers[i]->conn != NULL && !(d->peers[i]->ended && d->peers[i]->close_at_end))
            io_close(d->peers[i]->conn);
        UNTIL(s, d->peers[i]->closed || d->peers[i]->detached);
        peer_free(d->peers[i]);
    }
    io_unlisten(d->listener);
}

#endif
