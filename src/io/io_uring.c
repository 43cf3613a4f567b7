/* io over io_uring: one system call per turn submits all sends, runs the kernel's deferred work and waits.
 *
 *  - SINGLE_ISSUER + DEFER_TASKRUN: the kernel completes operations only inside our io_uring_enter(), never
 *    by interrupting us; the ring belongs to the thread of the first io_wait().
 *  - Each connection has one multishot receive (poll first: it rarely finds something at once) that takes
 *    buffers from the ring's pool as data comes. No buffer left ends it with ENOBUFS: flow control. The
 *    connection waits in `starved` until the next turn has given buffers back.
 *  - Sends carry MSG_WAITALL: the kernel itself goes on after a short one.
 *  - A wake-up is an eventfd (io_wake() may be called by threads without a ring, and by signal handlers)
 *    watched by a multishot poll.
 *
 * Invariants
 *  1. Buffers in completions put out belong to the caller until the next io_wait(), which gives them back.
 *  2. An object lives while one of its operations is in flight (uring.h).
 *  3. A connection's IO_CLOSED or IO_DETACHED comes after the last completion of all its operations.
 *  4. What did not fit into the caller's array stays in the completion queue or in `done`.
 *
 * Files: uring_ring.c (ring, buffers, probe), uring_conn.c, uring_listen.c, uring_file.c; this one is the
 * turn. Threading: one thread, except wake(). Tests: test/unit/io_*_test.c run over every backend.
 */
#include "io/uring.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

static void arm_wake(struct uring_io *u)
{
    if (u->wake_armed) return;
    struct io_uring_sqe *sqe = uring_entry(u, IORING_OP_POLL_ADD, u->wake.fd, TAG_WAKE);
    sqe->poll32_events = POLLIN;
    sqe->len = IORING_POLL_ADD_MULTI;
    u->wake_armed = true;
}

/* Before the kernel is entered: buffers come back, and whoever waited for one begins to receive again. */
static void prepare(struct uring_io *u)
{
    /* Many connections with little each need more buffers. A few with a lot do not: they can wait a turn, and
     * what circulates stays in the cache. */
    bool little = u->used_bytes < (size_t)u->used_count * (URING_BUFFER_BYTES / 4);
    uring_buffers_recycle(u);
    arm_wake(u);
    uring_listeners_retry(u);
    if (list_empty(&u->starved)) return;
    if (little) uring_buffers_grow(u);
    /* No more connections than there can be buffers for: the others would only fail again. */
    int room = u->live - (int)uring_ready(u);
    while (!list_empty(&u->starved) && room-- > 0) {
        struct uring_conn *c = LIST_OWNER(u->starved.next, struct uring_conn, starving);
        list_remove(&c->starving);
        uring_conn_arm(u, c);
    }
}

static int handle(struct uring_io *u, const struct io_uring_cqe *cqe, struct io_completion *out, int n)
{
    void *object = (void *)(uintptr_t)(cqe->user_data & ~(uint64_t)TAG_MASK);
    switch ((enum uring_tag)(cqe->user_data & TAG_MASK)) {
    case TAG_RECV: return uring_on_recv(u, object, cqe, out, n);
    case TAG_SEND: uring_on_send(u, object, cqe->res); return n;
    case TAG_CONNECT: uring_on_connect(u, object, cqe->res); return n;
    case TAG_ACCEPT: return uring_on_accept(u, object, cqe, out, n);
    case TAG_FILE: return uring_on_file(u, object, cqe->res, out, n);
    case TAG_WAKE:
        u->woken = true;
        if (!(cqe->flags & IORING_CQE_F_MORE)) u->wake_armed = false;
        return n;
    default: return n;
    }
}

/* Takes completions from the queue while `out` has room; each puts out one at most. */
static int harvest(struct uring_io *u, struct io_completion *out, int n, int max)
{
    struct io_uring_cq *cq = &u->ring.cq;
    unsigned head = *cq->khead;
    for (unsigned ready = uring_ready(u); ready > 0 && n < max; ready--) {
        struct io_uring_cqe cqe = cq->cqes[head & cq->ring_mask];
        io_uring_smp_store_release(cq->khead,
                                   ++head); /* a handler may enter the kernel, which may need the place */
        n = handle(u, &cqe, out, n);
    }
    return n;
}

static int uring_turn(struct io *io, int64_t deadline_us, struct io_completion *out, int max)
{
    struct uring_io *u = uring_of(io);
    CHECK(max > 0);
    if (u->thread == 0) CHECK(uring_enable(u) == 0);
    u->woken = false;
    if (u->accept_retry_us < deadline_us) deadline_us = u->accept_retry_us;
    prepare(u);
    int n = uring_put_done(u, &u->done, out, 0, max);
    for (;;) {
        bool idle = n == 0 && list_empty(&u->done) && uring_ready(u) == 0;
        int64_t timeout_us = idle ? posix_sleep_us(&u->now_us, deadline_us) : 0;
        if (timeout_us != 0 && !wake_may_sleep(&u->wake)) timeout_us = 0;
        int status = uring_enter(u, timeout_us);
        bool woken = wake_take(&u->wake);
        n = harvest(u, out, n, max);
        n = uring_put_done(u, &u->done, out, n, max);
        if (n > 0 || timeout_us == 0 || status == -ETIME || woken || u->woken) break;
        /* What came was of no interest to the caller: a cancelled receive, a lazy send, a signal. */
        u->now_us = 0;
        prepare(u);
    }
    n = uring_put_done(u, &u->done_lazy, out, n, max);
    u->now_us = 0;
    return n;
}

static void uring_wake(struct io *target)
{
    wake_ring(&uring_of(target)->wake);
}
static int64_t uring_monotonic_us(struct io *io)
{
    return uring_of(io)->now_us = posix_monotonic_us();
}
static int64_t uring_realtime_us(struct io *io)
{
    return posix_realtime_us();
}
static void uring_entropy(struct io *io, void *buf, size_t len)
{
    posix_entropy(buf, len);
}
static void uring_usage(struct io *io, struct io_usage *out)
{
    posix_usage(out);
}
static void uring_stall(struct io *io, int64_t us)
{
    posix_stall(us);
}

static void uring_destroy(struct io *io)
{
    struct uring_io *u = uring_of(io);
    CHECK(u->files_in_flight == 0); /* the kernel may still write into the caller's buffers */
    while (!list_empty(&u->listeners))
        uring_listener_discard(LIST_OWNER(u->listeners.next, struct uring_listener, link));
    while (!list_empty(&u->conns)) uring_conn_discard(LIST_OWNER(u->conns.next, struct uring_conn, link));
    uring_close(u);
    wake_destroy(&u->wake);
    free(u);
}

static const struct io_ops uring_ops = {
    .destroy = uring_destroy,
    .monotonic_us = uring_monotonic_us,
    .realtime_us = uring_realtime_us,
    .entropy = uring_entropy,
    .usage = uring_usage,
    .stall = uring_stall,
    .wait = uring_turn,
    .wake = uring_wake,
    .listen_tcp = uring_listen_tcp,
    .listen_unix = uring_listen_unix,
    .unlisten = uring_unlisten,
    .listener_port = uring_listener_port,
    .attach = uring_attach,
    .connect = uring_connect,
    .detach = uring_detach,
    .close = uring_close_conn,
    .discard = uring_discard,
    .recv_pause = uring_recv_pause,
    .recv_resume = uring_recv_resume,
    .send = uring_send,
    .set_keepalive = uring_set_keepalive,
    .peer_address = uring_peer_address,
    .local_address = uring_local_address,
    .conn_fd = uring_conn_fd,
    .file_open = uring_file_open,
    .file_read = uring_file_read,
    .file_write = uring_file_write,
    .file_sync = uring_file_sync,
    .file_close = uring_file_close,
    .file_rename = uring_file_rename,
    .file_unlink = uring_file_unlink,
    .file_load = posix_file_load,
    .file_store_atomic = posix_file_store_atomic,
    .file_append = posix_file_append,
    .file_remove = posix_file_remove,
    .file_glob = posix_file_glob,
};

static struct io *uring_create(struct io_world *world, int *error)
{
    struct uring_io *u = calloc(1, sizeof(*u));
    *error = -ENOMEM;
    if (u == NULL) return NULL;
    u->base.ops = &uring_ops;
    u->base.world = world;
    u->multishot = ((struct uring_world *)world)->multishot;
    u->accept_retry_us = INT64_MAX;
    struct list *lists[] = {&u->conns, &u->listeners, &u->done, &u->done_lazy, &u->starved};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) list_init(lists[i]);
    *error = wake_init(&u->wake);
    if (*error == 0) *error = uring_open(u);
    if (*error == 0) return &u->base;
    wake_destroy(&u->wake);
    free(u);
    return NULL;
}

static void uring_world_destroy(struct io_world *world)
{
    free(world);
}

static const struct io_world_ops uring_world_ops = {
    .name = "io_uring",
    .create = uring_create,
    .destroy = uring_world_destroy,
};

struct io_world *io_uring_world_create(bool at_its_best, int *error)
{
    bool multishot;
    *error = uring_probe(&multishot);
    if (*error == 0 && at_its_best && !multishot) *error = -ENOSYS;
    struct uring_world *world = *error == 0 ? calloc(1, sizeof(*world)) : NULL;
    if (world == NULL) {
        if (*error == 0) *error = -ENOMEM;
        return NULL;
    }
    world->base.ops = &uring_world_ops;
    world->multishot = multishot;
    return &world->base;
}

void io_uring_set_multishot(struct io_world *world, bool on)
{
    CHECK(world->ops == &uring_world_ops);
    ((struct uring_world *)world)->multishot = on;
}
