/* Connections of the epoll backend: receives into the turn's arena, sends, and their endings. */
#include "io/epoll.h"
#include "io/posix.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECV_BYTES       (64 * 1024)
#define RECV_BULK_BYTES  (256 * 1024) /* for a connection whose last receive filled its buffer */
#define RECV_LEAST_BYTES 4096         /* with less room than this the turn's receiving is over */

static struct epoll_conn *of_base(struct io_conn *conn)
{
    return (struct epoll_conn *)conn;
}
static struct epoll_io *io_of(struct epoll_conn *c)
{
    return (struct epoll_io *)c->base.io;
}

/* ---- receiving ---- */

static void want_receive(struct epoll_io *e, struct epoll_conn *c)
{
    bool may = c->has_bytes && conn_may_receive(&c->state);
    if (may && !list_linked(&c->readable)) list_append(&e->readable, &c->readable);
    if (!may) list_remove(&c->readable);
}

/* One receive. Returns whether `out` was filled. */
static bool receive(struct epoll_io *e, struct epoll_conn *c, struct io_completion *out)
{
    size_t room = EPOLL_ARENA_BYTES - e->arena_used;
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
    *out = (struct io_completion){
        .user = c->state.user, .op = IO_RECV, .result = n < 0 ? -errno : n, .data = data};
    if (n <= 0) {
        c->state.ended = true;
        return true;
    }
    e->arena_used += ((size_t)n + 7) & ~(size_t)7;
    c->bulk = (size_t)n >= RECV_BYTES;
    c->has_bytes = (size_t)n == want || c->hung_up;
    return true;
}

int epoll_receive_all(struct epoll_io *e, struct io_completion *out, int n, int max)
{
    struct list turn; /* those that are readable now; who stays readable goes to the end, for the next turn */
    list_init(&turn);
    while (!list_empty(&e->readable) && n < max && EPOLL_ARENA_BYTES - e->arena_used >= RECV_LEAST_BYTES) {
        struct epoll_conn *c = LIST_OWNER(e->readable.next, struct epoll_conn, readable);
        list_remove(&c->readable);
        if (receive(e, c, &out[n])) n++;
        if (c->has_bytes && !c->state.ended) list_append(&turn, &c->readable);
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
    conn_complete(&c->state, &e->done, &e->done_lazy);
}

static void finish_send(struct epoll_io *e, struct epoll_conn *c, int64_t result)
{
    ask_writable(e, c, false);
    conn_finish_send(&c->state, result);
    complete(e, c);
}

static void try_send(struct epoll_io *e, struct epoll_conn *c)
{
    struct outgoing *o = &c->state.outgoing;
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

void epoll_send_all(struct epoll_io *e)
{
    while (!list_empty(&e->sending)) {
        struct epoll_conn *c = LIST_OWNER(e->sending.next, struct epoll_conn, state.out);
        list_remove(&c->state.out);
        try_send(e, c);
        if (c->state.close_asked && !c->state.send_done) finish_send(e, c, -ECANCELED);
    }
}

void epoll_send(struct io_conn *conn, const struct io_slice *slices, int count, bool lazy)
{
    struct epoll_conn *c = of_base(conn);
    conn_begin_send(&c->state, slices, count, lazy);
    list_append(&io_of(c)->sending, &c->state.out);
}

/* ---- connections ---- */

static struct epoll_conn *conn_create(struct epoll_io *e, int fd, uint32_t events, void *user)
{
    struct epoll_conn *c = calloc(1, sizeof(*c));
    if (c == NULL) return NULL;
    c->base.io = &e->base;
    c->target.kind = TARGET_CONN;
    c->fd = fd;
    conn_init(&c->state, user);
    list_init(&c->readable);
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
    list_remove(&c->state.out);
    free(c);
}

struct io_conn *epoll_attach(struct io *io, io_socket socket, void *user)
{
    CHECK(socket >= 0);
    struct epoll_conn *c = conn_create(epoll_of(io), (int)socket, EPOLLIN | EPOLLRDHUP | EPOLLET, user);
    return c == NULL ? NULL : &c->base;
}

struct io_conn *epoll_connect(struct io *io, const char *address, uint16_t port, void *user, int *error)
{
    struct epoll_io *e = epoll_of(io);
    int fd = posix_connect(address, port, error);
    if (fd < 0) return NULL;
    struct epoll_conn *c = conn_create(e, fd, EPOLLIN | EPOLLRDHUP | EPOLLET | EPOLLOUT, user);
    if (c == NULL) {
        close(fd);
        *error = -ENOMEM;
        return NULL;
    }
    c->state.connecting = true;
    c->blocked = true;
    return &c->base;
}

/* The connect has an outcome: put it out, and let receiving begin when it is good. */
static void finish_connect(struct epoll_io *e, struct epoll_conn *c, int result)
{
    conn_finish_connect(&c->state, result);
    ask_writable(e, c, false);
    complete(e, c);
}

void epoll_detach(struct io_conn *conn)
{
    struct epoll_conn *c = of_base(conn);
    conn_begin_detach(&c->state);
    want_receive(io_of(c), c);
    complete(io_of(c), c);
}

void epoll_close(struct io_conn *conn)
{
    struct epoll_conn *c = of_base(conn);
    struct epoll_io *e = io_of(c);
    bool sending = c->state.send_busy && !c->state.send_done;
    conn_begin_close(&c->state);
    want_receive(e, c);
    if (sending && !c->blocked) return; /* still queued: gets its one try in the next io_wait() */
    if (sending) conn_finish_send(&c->state, -ECANCELED);
    if (c->state.connecting) conn_finish_connect(&c->state, -ECANCELED);
    complete(e, c);
}

void epoll_discard(struct io *io, io_socket socket)
{
    CHECK(socket >= 0);
    close((int)socket);
}

void epoll_recv_pause(struct io_conn *conn)
{
    struct epoll_conn *c = of_base(conn);
    c->state.paused = true;
    want_receive(io_of(c), c);
}

void epoll_recv_resume(struct io_conn *conn)
{
    struct epoll_conn *c = of_base(conn);
    c->state.paused = false;
    want_receive(io_of(c), c);
}

int epoll_set_keepalive(struct io_conn *conn, int seconds)
{
    return posix_set_keepalive(of_base(conn)->fd, seconds);
}
void epoll_peer_address(struct io_conn *conn, char *buf)
{
    posix_peer_address(of_base(conn)->fd, buf);
}
void epoll_local_address(struct io_conn *conn, char *buf)
{
    posix_local_address(of_base(conn)->fd, buf);
}
int64_t epoll_conn_fd(struct io_conn *conn)
{
    return of_base(conn)->fd;
}

/* `c` may be gone afterwards, or back in `done` for want of room. */
static int put_conn(struct epoll_io *e, struct epoll_conn *c, struct io_completion *out, int n, int max)
{
    struct io_completion end = {.user = c->state.user, .op = IO_CLOSED, .socket = IO_SOCKET_NONE};
    if (!conn_put(&c->state, out, &n, max)) {
        complete(e, c);
        return n;
    }
    want_receive(e, c); /* a connect may just have come out */
    if (c->state.detach_asked) {
        struct epoll_event unused = {0};
        CHECK(epoll_ctl(e->epoll_fd, EPOLL_CTL_DEL, c->fd, &unused) == 0);
        end.op = IO_DETACHED;
        end.socket = c->fd;
    } else if (c->state.close_asked) {
        close(c->fd);
    } else {
        return n;
    }
    out[n] = end;
    conn_free(c);
    return n + 1;
}

int epoll_put_done(struct epoll_io *e, struct list *list, struct io_completion *out, int n, int max)
{
    while (!list_empty(list) && n < max) {
        struct epoll_conn *c = LIST_OWNER(list->next, struct epoll_conn, state.out);
        list_remove(&c->state.out);
        n = put_conn(e, c, out, n, max);
    }
    return n;
}

void epoll_note_conn(struct epoll_io *e, struct target *target, uint32_t events)
{
    struct epoll_conn *c =
        (struct epoll_conn *)(void *)((char *)target - offsetof(struct epoll_conn, target));
    bool gone = events & (EPOLLHUP | EPOLLERR);
    if ((events & EPOLLRDHUP) || gone) c->hung_up = true;
    if ((events & EPOLLIN) || c->hung_up) c->has_bytes = true;
    if (c->state.connecting) {
        int error = 0;
        socklen_t len = sizeof(error);
        if (!(events & EPOLLOUT) && !gone) return;
        CHECK(getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0);
        finish_connect(e, c, -error);
        return;
    }
    want_receive(e, c);
    bool sending =
        c->state.send_busy && !c->state.send_done; /* close cancels a send, but EPOLLOUT stays on */
    if (c->blocked && sending && ((events & EPOLLOUT) || gone)) try_send(e, c);
}

void epoll_conn_discard(struct epoll_conn *c)
{
    close(c->fd);
    conn_free(c);
}
