/* What a connection of any backend remembers of its caller's wishes, and how their outcomes are put out.
 *
 * A backend sets `connect_done`, `send_done` and so on when it knows an outcome and links the connection into
 * its list `done` (conn_complete). Its io_wait() takes connections from there and calls conn_put(), which
 * puts out what there is in the one allowed order: IO_CONNECT, IO_SENT, then IO_DETACHED or IO_CLOSED, which
 * is the backend's to put out, because the connection goes with it. */
#ifndef WEFT_IO_CONN_STATE_H
#define WEFT_IO_CONN_STATE_H

#include "io/io.h"
#include "io/list.h"
#include "base/check.h"

#include <sys/uio.h>

/* The send in flight: its slices, and how far it has come. */
struct outgoing {
    int64_t sent;     /* bytes so far */
    int first, count; /* segments[first, count) are still to be sent */
    struct iovec segments[IO_SEND_SLICES_MAX];
};

struct conn_state {
    void *user;
    struct list out; /* in the backend's list of sends to try, or of completions to put out; never in two */
    bool ended : 1;  /* the end or an error was delivered */
    bool paused : 1;
    bool connecting : 1; /* until connect() has an outcome */
    bool connect_done : 1;
    bool send_busy : 1; /* from io_send() until IO_SENT is put out */
    bool send_lazy : 1, send_done : 1;
    bool detach_asked : 1, close_asked : 1;
    int connect_result;
    int64_t send_result;
    struct outgoing outgoing;
};

static inline bool outgoing_done(const struct outgoing *o)
{
    return o->first == o->count;
}

static inline void outgoing_advance(struct outgoing *o, size_t sent)
{
    o->sent += (int64_t)sent;
    while (sent > 0) {
        CHECK(o->first < o->count);
        struct iovec *v = &o->segments[o->first];
        size_t step = sent < v->iov_len ? sent : v->iov_len;
        v->iov_base = (char *)v->iov_base + step;
        v->iov_len -= step;
        sent -= step;
        if (v->iov_len == 0) o->first++;
    }
}

static inline void conn_init(struct conn_state *c, void *user)
{
    c->user = user;
    list_init(&c->out);
}

static inline bool conn_may_receive(const struct conn_state *c)
{
    return !c->paused && !c->ended && !c->connecting && !c->close_asked && !c->detach_asked;
}

/* Each checks that the caller may do so now. */
static inline void conn_begin_send(struct conn_state *c, const struct io_slice *slices, int count, bool lazy)
{
    struct outgoing *o = &c->outgoing;
    CHECK(!c->send_busy && !c->connecting && !c->connect_done && !c->close_asked && !c->detach_asked);
    CHECK(count >= 0 && count <= IO_SEND_SLICES_MAX);
    c->send_busy = true;
    c->send_lazy = lazy;
    c->send_done = false;
    o->sent = 0;
    o->first = o->count = 0;
    for (int i = 0; i < count; i++)
        if (slices[i].len > 0)
            o->segments[o->count++] = (struct iovec){(void *)(uintptr_t)slices[i].ptr, slices[i].len};
}

static inline void conn_begin_detach(struct conn_state *c)
{
    CHECK(!c->send_busy && !c->connecting && !c->connect_done && !c->close_asked && !c->detach_asked);
    c->detach_asked = true;
}

static inline void conn_begin_close(struct conn_state *c)
{
    CHECK(!c->close_asked && !c->detach_asked);
    c->close_asked = true;
}

static inline void conn_complete(struct conn_state *c, struct list *done, struct list *done_lazy)
{
    bool lazy = c->send_done && c->send_lazy && c->send_result >= 0 && !c->connect_done && !c->close_asked;
    list_remove(&c->out);
    list_append(lazy ? done_lazy : done, &c->out);
}

static inline void conn_finish_connect(struct conn_state *c, int result)
{
    c->connecting = false;
    c->connect_done = true;
    c->connect_result = result;
    if (result < 0) c->ended = true;
}

static inline void conn_finish_send(struct conn_state *c, int64_t result)
{
    c->send_result = result;
    c->send_done = true;
}

/* Puts out the outcomes. True: there is nothing left to say, or only the ending, for which there is room.
 * False: `out` is full, complete it again. */
static inline bool conn_put(struct conn_state *c, struct io_completion *out, int *n, int max)
{
    if (c->connect_done && *n < max) {
        out[(*n)++] = (struct io_completion){.user = c->user, .op = IO_CONNECT, .result = c->connect_result};
        c->connect_done = false;
    }
    if (c->send_done && *n < max) {
        out[(*n)++] = (struct io_completion){.user = c->user, .op = IO_SENT, .result = c->send_result};
        c->send_done = c->send_busy = false;
    }
    return *n < max || !(c->connect_done || c->send_done || c->detach_asked || c->close_asked);
}

#endif
