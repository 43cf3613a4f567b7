/* io over epoll: for kernels and containers that forbid io_uring. Must stay within a few percent of it.
 *
 * Every system call counts, so at pipeline depth 1 a request costs recv + send + its share of one epoll_wait:
 *  - Sockets are edge-triggered and registered once. A receive that fills its buffer, or a socket that has
 *    seen its peer's end, stays in the list `readable` and is received again without asking epoll; a shorter
 *    receive has emptied the socket, so the next edge is certain and no receive is wasted on EAGAIN.
 *  - io_send() only queues. io_wait() sends what is queued before it sleeps; EPOLLOUT is asked for only while
 *    a send is short. The completions of those sends come out of the same io_wait().
 *  - A wake-up writes the eventfd only when the target sleeps or is about to (wake.h).
 *
 * Invariants
 *  1. A connection is in `readable` only while it may be received from: not paused, closing, detaching or
 *     ended.
 *  2. A connection is freed only when its last completion has been put out; events of one epoll_wait are all
 *     turned into list membership before anything is put out, so no stale event pointer survives.
 *  3. A completion that did not fit into the caller's array stays in `done` (or its cause in `readable`).
 *  4. Received bytes are in `arena`, which restarts at each io_wait() (rule 2 of io.h). When it is used up,
 *     connections stay in `readable`: flow control.
 *
 * Threading: one thread, except wake(). Tests: test/unit/io_conn_test.c, io_listen_test.c, io_file_test.c,
 * io_thread_test.c run over every backend.
 */
#include "io/epoll.h"
#include "io/file_thread.h"
#include "io/posix.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void note_events(struct epoll_io *e, int count)
{
    for (int i = 0; i < count; i++) {
        struct target *t = e->events[i].data.ptr;
        if (t->kind == TARGET_CONN)
            epoll_note_conn(e, t, e->events[i].events);
        else if (t->kind == TARGET_LISTENER)
            epoll_note_listener(e, t);
    }
}

static bool work_is_waiting(const struct epoll_io *e)
{
    return !list_empty(&e->readable) || !list_empty(&e->done) || !list_empty(&e->acceptable) ||
           e->files_done != NULL;
}

/* The number of events, or -EINTR. */
static int poll_events(struct epoll_io *e, int64_t timeout_us)
{
    int n;
    if (timeout_us > 0 && !e->no_pwait2) {
        struct timespec t = {timeout_us / 1000000, timeout_us % 1000000 * 1000};
        n = epoll_pwait2(e->epoll_fd, e->events, EPOLL_EVENTS_MAX, &t, NULL);
        if (n >= 0 || errno == EINTR) return n < 0 ? -EINTR : n;
        e->no_pwait2 = true; /* ENOSYS before Linux 5.11, EPERM under some filters */
    }
    int64_t ms = timeout_us > 0 ? (timeout_us + 999) / 1000 : timeout_us;
    n = epoll_wait(e->epoll_fd, e->events, EPOLL_EVENTS_MAX, ms > INT32_MAX ? INT32_MAX : (int)ms);
    CHECK(n >= 0 || errno == EINTR);
    return n < 0 ? -EINTR : n;
}

/* Sleeps at most until the deadline and takes note of what epoll has to say. */
static void poll_until(struct epoll_io *e, int64_t deadline_us, bool may_sleep)
{
    if (e->accept_retry_us < deadline_us) deadline_us = e->accept_retry_us;
    bool woken = false;
    int count = -EINTR;
    while (count == -EINTR && !woken) {
        int64_t timeout_us = may_sleep ? posix_sleep_us(&e->now_us, deadline_us) : 0;
        if (timeout_us != 0 && !wake_may_sleep(&e->wake)) timeout_us = 0;
        count = poll_events(e, timeout_us);
        woken = wake_take(&e->wake);
        if (count == -EINTR) e->now_us = 0; /* a signal that wants us to wake up has called io_wake() */
    }
    note_events(e, count);
}

static int epoll_turn(struct io *io, int64_t deadline_us, struct io_completion *out, int max)
{
    struct epoll_io *e = epoll_of(io);
    CHECK(max > 0);
#ifdef WEFT_DEBUG
    memset(e->arena, 0xEE, e->arena_used); /* whoever kept a pointer into the last turn shall notice */
#endif
    e->arena_used = 0;
    epoll_send_all(e);
    int n = epoll_put_done(e, &e->done, out, 0, max);
    poll_until(e, deadline_us, n == 0 && !work_is_waiting(e));
    n = epoll_put_done(e, &e->done_lazy, out, n, max);
    n = epoll_put_done(e, &e->done, out, n, max);
    n = epoll_put_files(e, out, n, max);
    n = epoll_accept_all(e, out, n, max);
    n = epoll_receive_all(e, out, n, max);
    e->now_us = 0;
    return n;
}

static void epoll_wake(struct io *target)
{
    wake_ring(&epoll_of(target)->wake);
}
static int64_t epoll_monotonic_us(struct io *io)
{
    return epoll_of(io)->now_us = posix_monotonic_us();
}
static int64_t epoll_realtime_us(struct io *io)
{
    return posix_realtime_us();
}
static void epoll_entropy(struct io *io, void *buf, size_t len)
{
    posix_entropy(buf, len);
}
static void epoll_usage(struct io *io, struct io_usage *out)
{
    posix_usage(out);
}
static void epoll_stall(struct io *io, int64_t us)
{
    posix_stall(us);
}

/* ---- life ---- */

static void epoll_destroy(struct io *io)
{
    struct epoll_io *e = epoll_of(io);
    if (e->files != NULL) file_thread_stop(e->files);
    while (!list_empty(&e->listeners))
        epoll_unlisten(&LIST_OWNER(e->listeners.next, struct epoll_listener, link)->base);
    while (!list_empty(&e->conns)) {
        struct epoll_conn *c = LIST_OWNER(e->conns.next, struct epoll_conn, link);
        epoll_conn_discard(c);
    }
    wake_destroy(&e->wake);
    if (e->epoll_fd >= 0) close(e->epoll_fd);
    free(e->arena);
    free(e);
}

static const struct io_ops epoll_ops = {
    .destroy = epoll_destroy,
    .monotonic_us = epoll_monotonic_us,
    .realtime_us = epoll_realtime_us,
    .entropy = epoll_entropy,
    .usage = epoll_usage,
    .stall = epoll_stall,
    .wait = epoll_turn,
    .wake = epoll_wake,
    .listen_tcp = epoll_listen_tcp,
    .listen_unix = epoll_listen_unix,
    .unlisten = epoll_unlisten,
    .listener_port = epoll_listener_port,
    .attach = epoll_attach,
    .connect = epoll_connect,
    .detach = epoll_detach,
    .close = epoll_close,
    .discard = epoll_discard,
    .recv_pause = epoll_recv_pause,
    .recv_resume = epoll_recv_resume,
    .send = epoll_send,
    .set_keepalive = epoll_set_keepalive,
    .peer_address = epoll_peer_address,
    .local_address = epoll_local_address,
    .conn_fd = epoll_conn_fd,
    .file_open = epoll_file_open,
    .file_read = epoll_file_read,
    .file_write = epoll_file_write,
    .file_sync = epoll_file_sync,
    .file_close = epoll_file_close,
    .file_rename = epoll_file_rename,
    .file_unlink = epoll_file_unlink,
    .file_load = posix_file_load,
    .file_store_atomic = posix_file_store_atomic,
    .file_append = posix_file_append,
    .file_remove = posix_file_remove,
    .file_glob = posix_file_glob,
};

static struct io *epoll_create_io(struct io_world *world, int *error)
{
    struct epoll_io *e = calloc(1, sizeof(*e));
    *error = -ENOMEM;
    if (e == NULL) return NULL;
    e->base.ops = &epoll_ops;
    e->base.world = world;
    e->accept_retry_us = INT64_MAX;
    e->wake_target.kind = TARGET_WAKE;
    struct list *lists[] = {&e->conns,     &e->listeners, &e->readable,  &e->sending,
                            &e->done_lazy, &e->done,      &e->acceptable};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) list_init(lists[i]);
    e->arena = malloc(EPOLL_ARENA_BYTES + IO_RECV_SLACK);
    e->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int wake_error = wake_init(&e->wake);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = &e->wake_target};
    if (e->arena != NULL && e->epoll_fd >= 0 && wake_error == 0 &&
        epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, e->wake.fd, &event) == 0) {
        *error = 0;
        return &e->base;
    }
    if (e->arena != NULL) *error = -errno;
    epoll_destroy(&e->base);
    return NULL;
}

static void epoll_world_destroy(struct io_world *world)
{
    free(world);
}

static const struct io_world_ops epoll_world_ops = {
    .name = "epoll",
    .create = epoll_create_io,
    .destroy = epoll_world_destroy,
};

struct io_world *io_epoll_world_create(int *error)
{
    struct io_world *world = calloc(1, sizeof(*world));
    *error = world == NULL ? -ENOMEM : 0;
    if (world != NULL) world->ops = &epoll_world_ops;
    return world;
}
