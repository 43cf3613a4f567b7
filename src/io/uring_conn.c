/* Connections of the io_uring backend: multishot receives into the ring's buffers, sends, endings. */
#include "io/uring.h"

#include <stdlib.h>
#include <string.h>

static struct uring_conn *of_base(struct io_conn *conn)
{
    return (struct uring_conn *)conn;
}
static struct uring_io *io_of(struct uring_conn *c)
{
    return (struct uring_io *)c->base.io;
}

static bool nothing_in_flight(const struct uring_conn *c)
{
    return !c->recv_armed && !c->send_flying && !c->state.connecting;
}

void uring_conn_complete(struct uring_io *u, struct uring_conn *c)
{
    conn_complete(&c->state, &u->done, &u->done_lazy);
}

/* A detach or close that was waiting for the last operation to come back can go on. */
static void complete_if_over(struct uring_io *u, struct uring_conn *c)
{
    if ((c->state.detach_asked || c->state.close_asked) && nothing_in_flight(c)) uring_conn_complete(u, c);
}

/* ---- receiving ---- */

void uring_conn_arm(struct uring_io *u, struct uring_conn *c)
{
    if (c->recv_armed || !conn_may_receive(&c->state)) return;
    uring_prepare_recv(u, c->fd, uring_data(c, TAG_RECV));
    c->recv_armed = true;
}

static void disarm(struct uring_io *u, struct uring_conn *c)
{
    list_remove(&c->starving);
    if (!c->recv_armed || c->recv_cancelling) return;
    uring_cancel(u, uring_data(c, TAG_RECV));
    c->recv_cancelling = true;
}

/* Bytes into `out`; joined with the entry before when they continue it in memory. */
static int put_bytes(struct uring_conn *c, const uint8_t *data, int len, struct io_completion *out, int n)
{
    struct io_completion *last = n > 0 ? &out[n - 1] : NULL;
    if (last != NULL && last->op == IO_RECV && last->user == c->state.user && last->result > 0 &&
        last->data + last->result == data) {
        last->result += len;
        return n;
    }
    out[n] = (struct io_completion){.user = c->state.user, .op = IO_RECV, .result = len, .data = data};
    return n + 1;
}

int uring_on_recv(struct uring_io *u, struct uring_conn *c, const struct io_uring_cqe *cqe,
                  struct io_completion *out, int n)
{
    int result = cqe->res;
    int bid = cqe->flags & IORING_CQE_F_BUFFER ? (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT) : -1;
    if (!(cqe->flags & IORING_CQE_F_MORE)) c->recv_armed = c->recv_cancelling = false;
    if (bid >= 0) uring_buffer_used(u, bid, result);
    if (result > 0) {
        CHECK(bid >= 0 && !c->state.ended);
        if (!c->state.close_asked)
            n = put_bytes(c, u->buffers + (size_t)bid * URING_BUFFER_BYTES, result, out, n);
    } else if (result == -ENOBUFS) {
        if (!c->state.paused && !c->state.detach_asked && !c->state.close_asked)
            list_append(&u->starved, &c->starving);
    } else if (result != -ECANCELED && result != -EINTR && result != -EAGAIN) {
        /* While it is being detached the end is left for the next owner, who will see it again. */
        if (!c->state.close_asked && !c->state.detach_asked)
            out[n++] = (struct io_completion){.user = c->state.user, .op = IO_RECV, .result = result};
        c->state.ended = true;
    }
    if (!list_linked(&c->starving)) uring_conn_arm(u, c);
    complete_if_over(u, c);
    return n;
}

void uring_recv_pause(struct io_conn *conn)
{
    struct uring_conn *c = of_base(conn);
    c->state.paused = true;
    disarm(io_of(c), c);
}

void uring_recv_resume(struct io_conn *conn)
{
    struct uring_conn *c = of_base(conn);
    c->state.paused = false;
    uring_conn_arm(io_of(c), c); /* when the cancelled receive has not come back yet, uring_on_recv() arms */
}

/* ---- sending ---- */

static void submit_send(struct uring_io *u, struct uring_conn *c)
{
    struct outgoing *o = &c->state.outgoing;
    int count = o->count - o->first;
    struct io_uring_sqe *sqe;
    if (count == 1) {
        struct iovec *v = &o->segments[o->first];
        sqe = uring_entry(u, IORING_OP_SEND, c->fd, uring_data(c, TAG_SEND));
        sqe->addr = (uintptr_t)v->iov_base;
        sqe->len = v->iov_len > INT32_MAX ? INT32_MAX : (uint32_t)v->iov_len;
    } else {
        c->message = (struct msghdr){.msg_iov = &o->segments[o->first], .msg_iovlen = (size_t)count};
        sqe = uring_entry(u, IORING_OP_SENDMSG, c->fd, uring_data(c, TAG_SEND));
        sqe->addr = (uintptr_t)&c->message;
        sqe->len = 1;
    }
    sqe->msg_flags = MSG_NOSIGNAL | MSG_WAITALL; /* the kernel goes on after a short send */
    c->send_flying = true;
}

static void finish_send(struct uring_io *u, struct uring_conn *c, int64_t result)
{
    conn_finish_send(&c->state, result);
    uring_conn_complete(u, c);
}

void uring_on_send(struct uring_io *u, struct uring_conn *c, int result)
{
    c->send_flying = false;
    bool again = result == -EINTR || result == -EAGAIN;
    if (result > 0) outgoing_advance(&c->state.outgoing, (size_t)result);
    if (result < 0 && !again)
        finish_send(u, c, result);
    else if (outgoing_done(&c->state.outgoing))
        finish_send(u, c, c->state.outgoing.sent);
    else if (c->state.close_asked)
        finish_send(u, c, -ECANCELED);
    else
        submit_send(u, c);
}

void uring_send(struct io_conn *conn, const struct io_slice *slices, int count, bool lazy)
{
    struct uring_conn *c = of_base(conn);
    struct uring_io *u = io_of(c);
    conn_begin_send(&c->state, slices, count, lazy);
    if (outgoing_done(&c->state.outgoing))
        finish_send(u, c, 0);
    else
        submit_send(u, c);
}

/* ---- beginning and end ---- */

static struct uring_conn *conn_create(struct uring_io *u, int fd, void *user)
{
    struct uring_conn *c = calloc(1, sizeof(*c));
    if (c == NULL) return NULL;
    c->base.io = &u->base;
    c->fd = fd;
    conn_init(&c->state, user);
    list_init(&c->starving);
    list_append(&u->conns, &c->link);
    return c;
}

static void conn_free(struct uring_conn *c)
{
    list_remove(&c->link);
    list_remove(&c->state.out);
    list_remove(&c->starving);
    free(c->address);
    free(c);
}

void uring_conn_discard(struct uring_conn *c)
{
    close(c->fd);
    conn_free(c);
}

struct io_conn *uring_attach(struct io *io, io_socket socket, void *user)
{
    CHECK(socket >= 0);
    struct uring_conn *c = conn_create(uring_of(io), (int)socket, user);
    if (c == NULL) return NULL;
    uring_conn_arm(uring_of(io), c);
    return &c->base;
}

struct io_conn *uring_connect(struct io *io, const char *address, uint16_t port, void *user, int *error)
{
    struct uring_io *u = uring_of(io);
    union posix_address a;
    socklen_t len;
    *error = posix_connect_address(address, port, &a, &len);
    if (*error < 0) return NULL;
    int fd = posix_socket(a.any.sa_family, false);
    if (fd < 0) {
        *error = fd;
        return NULL;
    }
    union posix_address *copy = malloc(sizeof(*copy)); /* the kernel reads it when the entry is submitted */
    struct uring_conn *c = copy != NULL ? conn_create(u, fd, user) : NULL;
    if (c == NULL) {
        free(copy);
        close(fd);
        *error = -ENOMEM;
        return NULL;
    }
    *copy = a;
    c->address = copy;
    c->state.connecting = true;
    struct io_uring_sqe *sqe = uring_entry(u, IORING_OP_CONNECT, fd, uring_data(c, TAG_CONNECT));
    sqe->addr = (uintptr_t)copy;
    sqe->off = len;
    return &c->base;
}

void uring_on_connect(struct uring_io *u, struct uring_conn *c, int result)
{
    conn_finish_connect(&c->state, c->state.close_asked ? -ECANCELED : result);
    free(c->address);
    c->address = NULL;
    uring_conn_arm(u, c);
    uring_conn_complete(u, c);
}

void uring_detach(struct io_conn *conn)
{
    struct uring_conn *c = of_base(conn);
    struct uring_io *u = io_of(c);
    conn_begin_detach(&c->state);
    disarm(u, c);
    complete_if_over(u, c);
}

void uring_close_conn(struct io_conn *conn)
{
    struct uring_conn *c = of_base(conn);
    struct uring_io *u = io_of(c);
    conn_begin_close(&c->state);
    disarm(u, c);
    if (c->send_flying) uring_cancel(u, uring_data(c, TAG_SEND));
    if (c->state.connecting) uring_cancel(u, uring_data(c, TAG_CONNECT));
    complete_if_over(u, c);
}

void uring_discard(struct io *io, io_socket socket)
{
    CHECK(socket >= 0);
    close((int)socket);
}

/* `c` may be gone afterwards, or back in `done` for want of room. */
static int put_conn(struct uring_io *u, struct uring_conn *c, struct io_completion *out, int n, int max)
{
    if (!conn_put(&c->state, out, &n, max)) {
        uring_conn_complete(u, c);
        return n;
    }
    if (!(c->state.detach_asked || c->state.close_asked) || !nothing_in_flight(c)) return n;
    bool detached = c->state.detach_asked;
    out[n] = (struct io_completion){.user = c->state.user,
                                    .op = detached ? IO_DETACHED : IO_CLOSED,
                                    .socket = detached ? c->fd : IO_SOCKET_NONE};
    if (!detached) close(c->fd);
    conn_free(c);
    return n + 1;
}

int uring_put_done(struct uring_io *u, struct list *list, struct io_completion *out, int n, int max)
{
    while (!list_empty(list) && n < max) {
        struct uring_conn *c = LIST_OWNER(list->next, struct uring_conn, state.out);
        list_remove(&c->state.out);
        n = put_conn(u, c, out, n, max);
    }
    return n;
}

int uring_set_keepalive(struct io_conn *conn, int seconds)
{
    return posix_set_keepalive(of_base(conn)->fd, seconds);
}
void uring_peer_address(struct io_conn *conn, char *buf)
{
    posix_peer_address(of_base(conn)->fd, buf);
}
void uring_local_address(struct io_conn *conn, char *buf)
{
    posix_local_address(of_base(conn)->fd, buf);
}
int64_t uring_conn_fd(struct io_conn *conn)
{
    return of_base(conn)->fd;
}
