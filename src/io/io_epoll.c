/* io over epoll: for kernels and containers that forbid io_uring. Must stay within a few percent of it.
 *
 * Every system call counts, so at pipeline depth 1 a request costs recv + send + its share of one epoll_wait:
 *  - Sockets are edge-triggered and registered once. A receive that fills its buffer, or a socket that has
 * seen its peer's end, stays in the list `readable` and is received again without asking epoll; a shorter
 * receive has emptied the socket, so the next edge is certain and no receive is wasted on EAGAIN.
 *  - io_send() only queues. io_wait() sends what is queued before it sleeps; EPOLLOUT is asked for only while
 * a send is short. The completions of those sends come out of the same io_wait().
 *  - A wake-up writes the eventfd only when the target sleeps or is about to (wake.h).
 *
 * Invariants
 *  1. A connection is in `readable` only while it may be received from: not paused, closing, detaching or
 * ended.
 *  2. A connection is freed only when its last completion has been put out; events of one epoll_wait are all
 * turned into list membership before anything is put out, so no stale event pointer survives.
 *  3. A completion that did not fit into the caller's array stays in `done` (or its cause in `readable`).
 *  4. Received bytes are in `arena`, which restarts at each io_wait() (rule 2 of io.h). When it is used up,
 *     connections stay in `readable`: flow control.
 *
 * Threading: one thread, except wake(). Tests: test/unit/io_conn_test.c, io_listen_test.c, io_file_test.c,
 * io_thread_test.c run over every backend.
 */
#include "io/backend.h"
#include "io/file_thread.h"
#include "io/list.h"
#include "io/outgoing.h"
#include "io/posix.h"
#include "io/wake.h"
#include "base/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/un.h>
#include <unistd.h>

#define ARENA_BYTES      (1024 * 1024)
#define RECV_BYTES       (64 * 1024)
#define RECV_BULK_BYTES  (256 * 1024) /* for a connection whose last receive filled its buffer */
#define RECV_LEAST_BYTES 4096         /* with less room than this the turn's receiving is over */
#define EVENTS_MAX       256          /* of one epoll_wait; the rest comes with the next */
#define ACCEPT_RETRY_US  100000       /* after running out of descriptors */
#define CLOCK_FINE_US    20000        /* nearer deadlines are measured with a fresh clock reading */

/* What `epoll_event.data.ptr` points to; every target begins with it. */
enum target_kind { TARGET_WAKE, TARGET_LISTENER, TARGET_CONN };
struct target {
    enum target_kind kind;
};

struct epoll_io {
    struct io base;
    int epoll_fd;
    struct wake wake;
    bool no_pwait2;          /* the kernel (or its filter) has no epoll_pwait2 */
    int64_t now_us;          /* monotonic clock as last read in this turn; 0: not read */
    int64_t accept_retry_us; /* when to accept again after EMFILE; INT64_MAX: never */
    uint8_t *arena;
    size_t arena_used;
    struct list conns, listeners;
    struct list readable;  /* conns that may have bytes */
    struct list sending;   /* conns whose io_send() has not been tried yet */
    struct list done;      /* conns with completions to put out */
    struct list done_lazy; /* conns whose only completion is that of io_send_lazy() */
    struct list acceptable;
    struct file_thread *files;
    struct file_request *files_done; /* taken from the helper, not yet put out */
    int64_t files_in_flight;
    struct target wake_target;
    struct epoll_event events[EVENTS_MAX];
};

struct epoll_listener {
    struct io_listener base;
    struct target target;
    struct list link, acceptable;
    void *user;
    char *path; /* of a unix socket, removed with the listener */
    int fd;
    uint16_t port;
};

struct epoll_conn {
    struct io_conn base;
    struct target target;
    struct list link;     /* in conns */
    struct list readable; /* in epoll_io.readable */
    struct list out;      /* in sending, done or done_lazy: never in two of them */
    void *user;
    int fd;
    bool has_bytes : 1; /* a receive may find something */
    bool hung_up : 1;   /* the end is known to be there: receive until it shows */
    bool ended : 1;     /* the end or an error was delivered */
    bool paused : 1, bulk : 1;
    bool connecting : 1; /* until connect() has an outcome */
    bool send_busy : 1;  /* from io_send() until IO_SENT is put out */
    bool send_lazy : 1, send_done : 1;
    bool blocked : 1; /* EPOLLOUT is asked for */
    bool connect_done : 1, detach_asked : 1, close_asked : 1;
    int connect_result;
    int64_t send_result; /* once send_done */
    struct outgoing outgoing;
};

struct epoll_file {
    struct io_file base;
    int fd;
};

static struct epoll_io *of_io(struct io *io)
{
    return (struct epoll_io *)io;
}
static struct epoll_io *of_conn(struct epoll_conn *c)
{
    return (struct epoll_io *)c->base.io;
}
static struct epoll_conn *conn_of_target(struct target *t)
{
    return (struct epoll_conn *)(void *)((char *)t - offsetof(struct epoll_conn, target));
}
static struct epoll_listener *listener_of_target(struct target *t)
{
    return (struct epoll_listener *)(void *)((char *)t - offsetof(struct epoll_listener, target));
}

/* ---- receiving ---- */

static void want_receive(struct epoll_io *e, struct epoll_conn *c)
{
    bool may =
        c->has_bytes && !c->paused && !c->ended && !c->connecting && !c->close_asked && !c->detach_asked;
    if (may && !list_linked(&c->readable)) list_append(&e->readable, &c->readable);
    if (!may && list_linked(&c->readable)) list_remove(&c->readable);
}

/* One receive. Returns whether `out` was filled. */
static bool receive(struct epoll_io *e, struct epoll_conn *c, struct io_completion *out)
{
    size_t room = ARENA_BYTES - e->arena_used;
    size_t want = c->bulk ? RECV_BULK_BYTES : RECV_BYTES;
    if (want > room) want = room;
    uint8_t *data = e->arena + e->arena_used;
    ssize_t n;
    do {
        n = recv(c->fd, data, want, 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) {
        c->has_bytes = false;
        return false;
    }
    *out = (struct io_completion){.user = c->user, .op = IO_RECV, .result = n < 0 ? -errno : n, .data = data};
    if (n <= 0) {
        c->ended = true;
        return true;
    }
    e->arena_used += ((size_t)n + 7) & ~(size_t)7;
    c->bulk = (size_t)n >= RECV_BYTES;
    c->has_bytes = (size_t)n == want || c->hung_up;
    return true;
}

static int receive_all(struct epoll_io *e, struct io_completion *out, int n, int max)
{
    struct list turn; /* those that are readable now; who stays readable goes to the end, for the next turn */
    list_init(&turn);
    while (!list_empty(&e->readable) && n < max && ARENA_BYTES - e->arena_used >= RECV_LEAST_BYTES) {
        struct epoll_conn *c = LIST_OWNER(e->readable.next, struct epoll_conn, readable);
        list_remove(&c->readable);
        if (receive(e, c, &out[n])) n++;
        if (c->has_bytes && !c->ended) list_append(&turn, &c->readable);
    }
    while (!list_empty(&turn)) {
        struct list *l = turn.next;
        list_remove(l);
        list_append(&e->readable, l);
    }
    return n;
}

/* ---- sending ---- */

static void ask_writable(struct epoll_io *e, struct epoll_conn *c, bool on)
{
    if (c->blocked == on) return;
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET | (on ? EPOLLOUT : 0u),
                                .data.ptr = &c->target};
    CHECK(epoll_ctl(e->epoll_fd, EPOLL_CTL_MOD, c->fd, &event) == 0);
    c->blocked = on;
}

static void complete(struct epoll_io *e, struct epoll_conn *c)
{
    bool lazy = c->send_done && c->send_lazy && c->send_result >= 0 && !c->connect_done && !c->close_asked;
    if (list_linked(&c->out)) list_remove(&c->out);
    list_append(lazy ? &e->done_lazy : &e->done, &c->out);
}

static void finish_send(struct epoll_io *e, struct epoll_conn *c, int64_t result)
{
    ask_writable(e, c, false);
    c->send_result = result;
    c->send_done = true;
    complete(e, c);
}

static void try_send(struct epoll_io *e, struct epoll_conn *c)
{
    struct outgoing *o = &c->outgoing;
    while (!outgoing_done(o)) {
        struct iovec *v = &o->segments[o->first];
        int count = o->count - o->first;
        ssize_t n;
        if (count == 1) {
            n = send(c->fd, v->iov_base, v->iov_len, MSG_NOSIGNAL);
        } else {
            struct msghdr message = {.msg_iov = v, .msg_iovlen = (size_t)count};
            n = sendmsg(c->fd, &message, MSG_NOSIGNAL);
        }
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno != EAGAIN) {
            finish_send(e, c, -errno);
            return;
        }
        if (n > 0) outgoing_advance(o, (size_t)n);
        if (!outgoing_done(o)) {
            ask_writable(e, c, true); /* the socket's buffer is full: trying at once would be wasted */
            return;
        }
    }
    finish_send(e, c, o->sent);
}

static void send_all(struct epoll_io *e)
{
    while (!list_empty(&e->sending)) {
        struct epoll_conn *c = LIST_OWNER(e->sending.next, struct epoll_conn, out);
        list_remove(&c->out);
        try_send(e, c);
        if (c->close_asked && !c->send_done) finish_send(e, c, -ECANCELED);
    }
}

static void epoll_send(struct io_conn *conn, const struct io_slice *slices, int count, bool lazy)
{
    struct epoll_conn *c = (struct epoll_conn *)conn;
    struct epoll_io *e = of_conn(c);
    CHECK(!c->send_busy && !c->connecting && !c->close_asked && !c->detach_asked);
    c->send_busy = true;
    c->send_lazy = lazy;
    c->send_done = false;
    outgoing_set(&c->outgoing, slices, count);
    list_append(&e->sending, &c->out);
}

/* ---- connections ---- */

static struct epoll_conn *conn_create(struct epoll_io *e, int fd, uint32_t events, void *user)
{
    struct epoll_conn *c = calloc(1, sizeof(*c));
    if (c == NULL) return NULL;
    c->base.io = &e->base;
    c->target.kind = TARGET_CONN;
    c->user = user;
    c->fd = fd;
    list_init(&c->readable);
    list_init(&c->out);
    struct epoll_event event = {.events = events, .data.ptr = &c->target};
    if (epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        free(c);
        return NULL;
    }
    list_append(&e->conns, &c->link);
    return c;
}

static void conn_free(struct epoll_conn *c)
{
    list_remove(&c->link);
    list_remove(&c->readable);
    list_remove(&c->out);
    free(c);
}

static struct io_conn *epoll_attach(struct io *io, io_socket socket, void *user)
{
    CHECK(socket >= 0);
    struct epoll_conn *c = conn_create(of_io(io), (int)socket, EPOLLIN | EPOLLRDHUP | EPOLLET, user);
    return c == NULL ? NULL : &c->base;
}

static struct io_conn *epoll_connect(struct io *io, const char *address, uint16_t port, void *user,
                                     int *error)
{
    struct epoll_io *e = of_io(io);
    int fd = posix_connect(address, port, error);
    if (fd < 0) return NULL;
    struct epoll_conn *c = conn_create(e, fd, EPOLLIN | EPOLLRDHUP | EPOLLET | EPOLLOUT, user);
    if (c == NULL) {
        close(fd);
        *error = -ENOMEM;
        return NULL;
    }
    c->connecting = true;
    c->blocked = true;
    return &c->base;
}

/* The connect has an outcome: put it out, and let receiving begin when it is good. */
static void finish_connect(struct epoll_io *e, struct epoll_conn *c, int result)
{
    c->connecting = false;
    c->connect_done = true;
    c->connect_result = result;
    if (result < 0) c->ended = true;
    ask_writable(e, c, false);
    complete(e, c);
}

static void epoll_detach(struct io_conn *conn)
{
    struct epoll_conn *c = (struct epoll_conn *)conn;
    CHECK(!c->send_busy && !c->connecting && !c->close_asked && !c->detach_asked);
    c->detach_asked = true;
    want_receive(of_conn(c), c);
    complete(of_conn(c), c);
}

static void epoll_close(struct io_conn *conn)
{
    struct epoll_conn *c = (struct epoll_conn *)conn;
    struct epoll_io *e = of_conn(c);
    CHECK(!c->close_asked && !c->detach_asked);
    c->close_asked = true;
    want_receive(e, c);
    bool queued = c->send_busy && !c->send_done && !c->blocked; /* gets its one try in the next io_wait() */
    if (queued) return;
    if (c->send_busy && !c->send_done) {
        c->send_result = -ECANCELED;
        c->send_done = true;
    }
    if (c->connecting) {
        c->connecting = false;
        c->connect_done = true;
        c->connect_result = -ECANCELED;
    }
    complete(e, c);
}

static void epoll_discard(struct io *io, io_socket socket)
{
    CHECK(socket >= 0);
    close((int)socket);
}

static void epoll_recv_pause(struct io_conn *conn)
{
    struct epoll_conn *c = (struct epoll_conn *)conn;
    c->paused = true;
    want_receive(of_conn(c), c);
}

static void epoll_recv_resume(struct io_conn *conn)
{
    struct epoll_conn *c = (struct epoll_conn *)conn;
    c->paused = false;
    want_receive(of_conn(c), c);
}

static int epoll_set_keepalive(struct io_conn *conn, int seconds)
{
    return posix_set_keepalive(((struct epoll_conn *)conn)->fd, seconds);
}
static void epoll_peer_address(struct io_conn *conn, char *buf)
{
    posix_peer_address(((struct epoll_conn *)conn)->fd, buf);
}
static void epoll_local_address(struct io_conn *conn, char *buf)
{
    posix_local_address(((struct epoll_conn *)conn)->fd, buf);
}
static int64_t epoll_conn_fd(struct io_conn *conn)
{
    return ((struct epoll_conn *)conn)->fd;
}

/* ---- listeners ---- */

static int listener_create(struct epoll_io *e, int fd, uint16_t port, const char *path, void *user,
                           struct io_listener **out)
{
    struct epoll_listener *l = calloc(1, sizeof(*l));
    char *copy = path != NULL ? strdup(path) : NULL;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    int error = l == NULL || (path != NULL && copy == NULL) ? -ENOMEM : 0;
    if (error == 0) event.data.ptr = &l->target;
    if (error == 0 && epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) error = -errno;
    if (error < 0) {
        close(fd);
        free(copy);
        free(l);
        return error;
    }
    l->base.io = &e->base;
    l->target.kind = TARGET_LISTENER;
    l->user = user;
    l->path = copy;
    l->fd = fd;
    l->port = port;
    list_init(&l->acceptable);
    list_append(&e->listeners, &l->link);
    *out = &l->base;
    return 0;
}

static int epoll_listen_tcp(struct io *io, const char *address, uint16_t port, int backlog, void *user,
                            struct io_listener **out)
{
    uint16_t bound = 0;
    int fd = posix_listen_tcp(address, port, backlog, &bound);
    return fd < 0 ? fd : listener_create(of_io(io), fd, bound, NULL, user, out);
}

static int epoll_listen_unix(struct io *io, const char *path, uint32_t mode, int backlog, void *user,
                             struct io_listener **out)
{
    int fd = posix_listen_unix(path, mode, backlog);
    return fd < 0 ? fd : listener_create(of_io(io), fd, 0, path, user, out);
}

static void epoll_unlisten(struct io_listener *listener)
{
    struct epoll_listener *l = (struct epoll_listener *)listener;
    list_remove(&l->link);
    list_remove(&l->acceptable);
    close(l->fd);
    if (l->path != NULL) unlink(l->path);
    free(l->path);
    free(l);
}

static uint16_t epoll_listener_port(const struct io_listener *listener)
{
    return ((const struct epoll_listener *)listener)->port;
}

/* Accepts until there is no more. Out of descriptors: says so once and tries again a little later, because
 * the waiting connection would never make another edge. */
static int accept_from(struct epoll_io *e, struct epoll_listener *l, struct io_completion *out, int n,
                       int max)
{
    while (n < max) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        int error = errno;
        if (fd < 0 && posix_accept_error_is_transient(error)) continue;
        if (fd < 0) list_remove(&l->acceptable);
        if (fd < 0 && error == EAGAIN) break;
        out[n++] = (struct io_completion){.user = l->user,
                                          .op = IO_ACCEPT,
                                          .socket = fd < 0 ? IO_SOCKET_NONE : fd,
                                          .result = fd < 0 ? -error : 0};
        if (fd >= 0) continue;
        e->accept_retry_us = posix_monotonic_us() + ACCEPT_RETRY_US;
        break;
    }
    return n;
}

static int accept_all(struct epoll_io *e, struct io_completion *out, int n, int max)
{
    if (e->accept_retry_us != INT64_MAX && posix_monotonic_us() >= e->accept_retry_us) {
        e->accept_retry_us = INT64_MAX;
        for (struct list *l = e->listeners.next; l != &e->listeners; l = l->next) {
            struct list *acceptable = &LIST_OWNER(l, struct epoll_listener, link)->acceptable;
            if (!list_linked(acceptable)) list_append(&e->acceptable, acceptable);
        }
    }
    while (!list_empty(&e->acceptable) && n < max)
        n = accept_from(e, LIST_OWNER(e->acceptable.next, struct epoll_listener, acceptable), out, n, max);
    return n;
}

/* ---- files: see file_thread.h ---- */

static void submit_file(struct epoll_io *e, struct file_request *r)
{
    int error = 0;
    if (e->files == NULL) e->files = file_thread_start(&e->base, &error);
    e->files_in_flight++;
    if (e->files != NULL) {
        file_thread_submit(e->files, r);
        return;
    }
    r->result = error; /* no helper: the operation fails, at the next io_wait() as any other */
    r->next = e->files_done;
    e->files_done = r;
}

static struct io_file *epoll_file_open(struct io *io, const char *path, int flags, void *user)
{
    struct epoll_file *f = calloc(1, sizeof(*f));
    CHECK(f != NULL);
    f->base.io = io;
    f->fd = -1;
    struct file_request *r = file_request_create(FILE_OPEN, path, NULL, user);
    r->flags = flags;
    r->owner = f;
    submit_file(of_io(io), r);
    return &f->base;
}

static void file_operation(struct io_file *file, enum file_kind kind, void *buf, size_t len, uint64_t offset,
                           void *user)
{
    struct epoll_file *f = (struct epoll_file *)file;
    struct file_request *r = file_request_create(kind, NULL, NULL, user);
    CHECK(f->fd >= 0); /* open has completed well */
    r->owner = f;
    r->fd = f->fd;
    r->buf = buf;
    r->len = len;
    r->offset = offset;
    submit_file(of_io(file->io), r);
}

static void epoll_file_read(struct io_file *file, void *buf, size_t len, uint64_t offset, void *user)
{
    file_operation(file, FILE_READ, buf, len, offset, user);
}
static void epoll_file_write(struct io_file *file, const void *buf, size_t len, uint64_t offset, void *user)
{
    file_operation(file, FILE_WRITE, (void *)(uintptr_t)buf, len, offset, user);
}
static void epoll_file_sync(struct io_file *file, void *user)
{
    file_operation(file, FILE_SYNC, NULL, 0, 0, user);
}
static void epoll_file_close(struct io_file *file, void *user)
{
    file_operation(file, FILE_CLOSE, NULL, 0, 0, user);
}
static void epoll_file_rename(struct io *io, const char *from, const char *to, void *user)
{
    submit_file(of_io(io), file_request_create(FILE_RENAME, from, to, user));
}
static void epoll_file_unlink(struct io *io, const char *path, void *user)
{
    submit_file(of_io(io), file_request_create(FILE_UNLINK, path, NULL, user));
}

static int put_files(struct epoll_io *e, struct io_completion *out, int n, int max)
{
    while (n < max) {
        if (e->files_done == NULL && e->files != NULL) e->files_done = file_thread_take(e->files);
        struct file_request *r = e->files_done;
        if (r == NULL) break;
        e->files_done = r->next;
        e->files_in_flight--;
        struct epoll_file *f = r->owner;
        int64_t result = r->result;
        if (r->kind == FILE_OPEN && result >= 0) {
            f->fd = (int)result;
            result = 0;
        } else if (r->kind == FILE_OPEN || r->kind == FILE_CLOSE) {
            free(f);
        }
        out[n++] = (struct io_completion){.user = r->user, .op = IO_FILE, .result = result};
        file_request_free(r);
    }
    return n;
}

/* ---- the turn ---- */

/* Puts out what `c` has to say, in order. Returns the new count; `c` may be gone, or back in `done` for want
 * of room. */
static int put_conn(struct epoll_io *e, struct epoll_conn *c, struct io_completion *out, int n, int max)
{
    if (c->connect_done && n < max) {
        out[n++] = (struct io_completion){.user = c->user, .op = IO_CONNECT, .result = c->connect_result};
        c->connect_done = false;
        c->has_bytes = c->has_bytes || c->hung_up;
        want_receive(e, c);
    }
    if (c->send_done && n < max) {
        out[n++] = (struct io_completion){.user = c->user, .op = IO_SENT, .result = c->send_result};
        c->send_done = c->send_busy = false;
    }
    if ((c->detach_asked || c->close_asked || c->connect_done || c->send_done) && n == max) {
        complete(e, c);
        return n;
    }
    if (c->detach_asked) {
        struct epoll_event unused = {0};
        CHECK(epoll_ctl(e->epoll_fd, EPOLL_CTL_DEL, c->fd, &unused) == 0);
        out[n++] = (struct io_completion){.user = c->user, .op = IO_DETACHED, .socket = c->fd};
        conn_free(c);
    } else if (c->close_asked) {
        close(c->fd);
        out[n++] = (struct io_completion){.user = c->user, .op = IO_CLOSED, .socket = IO_SOCKET_NONE};
        conn_free(c);
    }
    return n;
}

static int put_done(struct epoll_io *e, struct list *list, struct io_completion *out, int n, int max)
{
    while (!list_empty(list) && n < max) {
        struct epoll_conn *c = LIST_OWNER(list->next, struct epoll_conn, out);
        list_remove(&c->out);
        n = put_conn(e, c, out, n, max);
    }
    return n;
}

static void note_conn_events(struct epoll_io *e, struct epoll_conn *c, uint32_t events)
{
    bool gone = events & (EPOLLHUP | EPOLLERR);
    if (c->connecting) {
        int error = 0;
        socklen_t len = sizeof(error);
        if (!(events & EPOLLOUT) && !gone) return;
        CHECK(getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0);
        if (events & (EPOLLIN | EPOLLRDHUP)) c->has_bytes = true;
        finish_connect(e, c, -error);
        return;
    }
    if ((events & EPOLLRDHUP) || gone) c->hung_up = true;
    if ((events & EPOLLIN) || c->hung_up) c->has_bytes = true;
    want_receive(e, c);
    if (c->blocked && !c->send_done && ((events & EPOLLOUT) || gone)) try_send(e, c);
}

static void note_events(struct epoll_io *e, int count)
{
    for (int i = 0; i < count; i++) {
        struct target *t = e->events[i].data.ptr;
        if (t->kind == TARGET_CONN) {
            note_conn_events(e, conn_of_target(t), e->events[i].events);
        } else if (t->kind == TARGET_LISTENER) {
            struct epoll_listener *l = listener_of_target(t);
            if (!list_linked(&l->acceptable)) list_append(&e->acceptable, &l->acceptable);
        } /* the eventfd is edge-triggered: its counter is never read, and 2^64 wake-ups do not happen */
    }
}

static bool work_is_waiting(const struct epoll_io *e)
{
    return !list_empty(&e->readable) || !list_empty(&e->done) || !list_empty(&e->acceptable) ||
           e->files_done != NULL;
}

/* How long to sleep; 0: not at all, -1: for ever. A clock reading of this turn is good enough for far
 * deadlines. */
static int64_t sleep_us(struct epoll_io *e, int64_t deadline_us)
{
    if (e->accept_retry_us < deadline_us) deadline_us = e->accept_retry_us;
    if (deadline_us == INT64_MAX) return -1;
    if (deadline_us <= e->now_us) return 0;
    if (e->now_us == 0 || deadline_us - e->now_us < CLOCK_FINE_US) e->now_us = posix_monotonic_us();
    return deadline_us > e->now_us ? deadline_us - e->now_us : 0;
}

/* The number of events, or -EINTR. */
static int poll_events(struct epoll_io *e, int64_t timeout_us)
{
    int n;
    if (timeout_us > 0 && !e->no_pwait2) {
        struct timespec t = {timeout_us / 1000000, timeout_us % 1000000 * 1000};
        n = epoll_pwait2(e->epoll_fd, e->events, EVENTS_MAX, &t, NULL);
        if (n >= 0 || errno == EINTR) return n < 0 ? -EINTR : n;
        e->no_pwait2 = true; /* ENOSYS before Linux 5.11, EPERM under some filters */
    }
    int64_t ms = timeout_us > 0 ? (timeout_us + 999) / 1000 : timeout_us;
    n = epoll_wait(e->epoll_fd, e->events, EVENTS_MAX, ms > INT32_MAX ? INT32_MAX : (int)ms);
    CHECK(n >= 0 || errno == EINTR);
    return n < 0 ? -EINTR : n;
}

/* Sleeps at most until the deadline and takes note of what epoll has to say. */
static void poll_until(struct epoll_io *e, int64_t deadline_us, bool may_sleep)
{
    bool woken = false;
    int count = -EINTR;
    while (count == -EINTR && !woken) {
        int64_t timeout_us = may_sleep ? sleep_us(e, deadline_us) : 0;
        if (timeout_us != 0 && !wake_may_sleep(&e->wake)) timeout_us = 0;
        count = poll_events(e, timeout_us);
        woken = wake_take(&e->wake);
        if (count == -EINTR) e->now_us = 0; /* a signal that wants us to wake up has called io_wake() */
    }
    note_events(e, count);
}

static int epoll_turn(struct io *io, int64_t deadline_us, struct io_completion *out, int max)
{
    struct epoll_io *e = of_io(io);
    CHECK(max > 0);
#ifdef WEFT_DEBUG
    memset(e->arena, 0xEE, e->arena_used); /* whoever kept a pointer into the last turn shall notice */
#endif
    e->arena_used = 0;
    send_all(e);
    int n = put_done(e, &e->done, out, 0, max);
    poll_until(e, deadline_us, n == 0 && !work_is_waiting(e));
    n = put_done(e, &e->done_lazy, out, n, max);
    n = put_done(e, &e->done, out, n, max);
    n = put_files(e, out, n, max);
    n = accept_all(e, out, n, max);
    n = receive_all(e, out, n, max);
    e->now_us = 0;
    return n;
}

static void epoll_wake(struct io *target)
{
    wake_ring(&of_io(target)->wake);
}
static int64_t epoll_monotonic_us(struct io *io)
{
    return of_io(io)->now_us = posix_monotonic_us();
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

/* ---- life ---- */

static void epoll_destroy(struct io *io)
{
    struct epoll_io *e = of_io(io);
    if (e->files != NULL) file_thread_stop(e->files);
    while (!list_empty(&e->listeners))
        epoll_unlisten(&LIST_OWNER(e->listeners.next, struct epoll_listener, link)->base);
    while (!list_empty(&e->conns)) {
        struct epoll_conn *c = LIST_OWNER(e->conns.next, struct epoll_conn, link);
        close(c->fd);
        conn_free(c);
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
    e->arena = malloc(ARENA_BYTES + IO_RECV_SLACK);
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

const struct io_world_ops io_epoll_world_ops = {
    .name = "epoll",
    .create = epoll_create_io,
    .destroy = epoll_world_destroy,
};
