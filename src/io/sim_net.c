/* The simulated network: stream sockets between the ios of one world.
 *
 * A `struct sim_link` is a connection; its two `struct sim_socket` are the ends. Bytes of a send are cut into
 * segments, each of which arrives after a drawn delay, never before its predecessor of the same direction. At
 * most SIM_WINDOW_BYTES of a direction are on their way or unread; a send beyond that goes on when the reader
 * has read.
 *
 *    caller's slices --cut--> segments in the event heap --arrive--> queue of the other end --cut--> IO_RECV
 *
 * The end of the stream travels like a segment. An end that is closed with unread bytes, or that gets bytes
 * after it was closed, answers with a reset, as TCP does. A link is freed when both ends are closed and no
 * event refers to it.
 *
 * Addresses: node i is 10.0.0.i+1; a connect goes to a node's name or that address, or, with any other
 * address, to the own node's listener on the port, or else to the first node that has one.
 */
#include "io/sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sim_link;

struct sim_socket {
    struct sim_link *link;
    struct sim_node *node;
    struct sim_conn *conn; /* NULL: attached nowhere */
    int64_t number;        /* as io_socket; -1: not handed out */
    uint8_t *queue;        /* arrived bytes [head, tail) */
    size_t head, tail, room;
    size_t unread;           /* sent by this end, and not read by the other one */
    int64_t last_arrival_us; /* of what this end has sent */
    bool open;               /* somebody here still has it */
    bool peer_ended, reset;  /* what the other end has said */
    bool space_coming;       /* an event will let a blocked send go on */
    char address[IO_ADDRESS_MAX];
};

struct sim_link {
    struct sim *sim;
    struct list link;          /* in sim.sockets */
    int events;                /* that refer to it */
    struct sim_socket ends[2]; /* the one that connected, the one that was accepted */
};

struct sim_listener {
    struct io_listener base;
    struct sim_node *node;
    struct list link, acceptable; /* in sim.listeners; in sim_io.acceptable */
    void *user;
    char *path; /* of a unix socket, else NULL */
    uint16_t port;
    int backlog, waiting_head, waiting_count;
    struct sim_socket **waiting; /* a ring of `backlog` places */
};

struct sim_conn {
    struct io_conn base;
    struct sim_socket *socket;
    struct list link, readable; /* in sim_io.conns; in sim_io.readable */
    struct conn_state state;    /* its `out` is in sending, done or done_lazy */
};

static struct sim_conn *of_conn(struct io_conn *conn)
{
    return (struct sim_conn *)conn;
}
static struct sim_io *io_of(struct sim_conn *c)
{
    return (struct sim_io *)c->base.io;
}
static struct sim_socket *other(struct sim_socket *s)
{
    return &s->link->ends[s == &s->link->ends[0]];
}
static bool chance(struct prng *g, uint64_t one_in)
{
    return prng_below(g, one_in) == 0;
}

/* ---- links and their events ---- */

static void link_free_if_over(struct sim_link *link)
{
    if (link->events > 0 || link->ends[0].open || link->ends[1].open) return;
    for (int i = 0; i < 2; i++) free(link->ends[i].queue);
    list_remove(&link->link);
    free(link);
}

static void event_over(struct sim_link *link)
{
    link->events--;
    link_free_if_over(link);
}

static void schedule(struct sim_socket *s, int64_t delay_us, void (*fire)(struct sim *, struct sim_event *),
                     uint8_t *data, size_t len)
{
    s->link->events++;
    sim_after(s->link->sim, delay_us,
              (struct sim_event){.fire = fire, .object = s, .data = data, .len = len});
}

/* Time on the wire. Mostly short, at times long: one in sixteen waits for milliseconds. */
static int64_t delay_us(struct sim *sim, bool same_node)
{
    int64_t d =
        same_node ? 5 + (int64_t)prng_below(&sim->network, 50) : 50 + (int64_t)prng_below(&sim->network, 450);
    if (chance(&sim->network, 16)) d *= 1 + (int64_t)prng_below(&sim->network, 16);
    return d;
}

/* What becomes of the next `len` bytes of a send: how many travel together, and when they arrive. This is
 * where drops, clogs and resets will be drawn. */
struct fate {
    size_t len;
    int64_t arrival_us;
    bool pause; /* a short write: the rest goes a little later */
};

static struct fate segment_fate(struct sim_socket *s, size_t len)
{
    struct sim *sim = s->link->sim;
    struct fate fate = {.len = len < 16384 ? len : 16384};
    if (chance(&sim->network, 8)) fate.len = 1 + prng_below(&sim->network, fate.len);
    fate.pause = chance(&sim->network, 16);
    fate.arrival_us = sim->now_us + delay_us(sim, s->node == other(s)->node);
    if (fate.arrival_us < s->last_arrival_us) fate.arrival_us = s->last_arrival_us;
    return fate;
}

/* ---- what a connection may do next ---- */

static void want_receive(struct sim_conn *c)
{
    struct sim_socket *s = c->socket;
    bool something = s->head < s->tail || s->peer_ended || s->reset;
    bool may = something && conn_may_receive(&c->state);
    if (may && !list_linked(&c->readable)) list_append(&io_of(c)->readable, &c->readable);
    if (!may) list_remove(&c->readable);
}

static void complete(struct sim_conn *c)
{
    conn_complete(&c->state, &io_of(c)->done, &io_of(c)->done_lazy);
}

static void finish_send(struct sim_conn *c, int64_t result)
{
    conn_finish_send(&c->state, result);
    complete(c);
}

static void on_space(struct sim *sim, struct sim_event *event);

static void space_after(struct sim_socket *s, int64_t delay)
{
    if (s->space_coming) return;
    s->space_coming = true;
    schedule(s, delay, on_space, NULL, 0);
}

static void on_reset(struct sim *sim, struct sim_event *event)
{
    struct sim_socket *s = event->object;
    s->reset = true;
    if (s->conn != NULL) {
        want_receive(s->conn);
        if (s->conn->state.send_busy && !s->conn->state.send_done) finish_send(s->conn, -ECONNRESET);
    }
    event_over(s->link);
}

static void on_segment(struct sim *sim, struct sim_event *event)
{
    struct sim_socket *s = event->object; /* the receiving end */
    if (!s->open) {
        schedule(other(s), delay_us(sim, false), on_reset, NULL, 0);
    } else {
        if (s->head == s->tail) s->head = s->tail = 0;
        if (s->tail + event->len > s->room) {
            s->room = (s->tail + event->len) * 2;
            s->queue = realloc(s->queue, s->room);
            CHECK(s->queue != NULL);
        }
        memcpy(s->queue + s->tail, event->data, event->len);
        s->tail += event->len;
        if (s->conn != NULL) want_receive(s->conn);
    }
    free(event->data);
    event_over(s->link);
}

static void on_end(struct sim *sim, struct sim_event *event)
{
    struct sim_socket *s = event->object;
    s->peer_ended = true;
    if (s->conn != NULL) want_receive(s->conn);
    event_over(s->link);
}

/* ---- sending ---- */

static void try_send(struct sim_conn *c)
{
    struct sim_socket *s = c->socket;
    struct outgoing *o = &c->state.outgoing;
    if (s->reset) {
        finish_send(c, -EPIPE);
        return;
    }
    while (!outgoing_done(o)) {
        struct iovec *v = &o->segments[o->first];
        size_t space = SIM_WINDOW_BYTES - s->unread;
        if (space == 0) return; /* the reader will make some */
        struct fate fate = segment_fate(s, v->iov_len < space ? v->iov_len : space);
        schedule(other(s), fate.arrival_us - s->link->sim->now_us, on_segment,
                 sim_copy(v->iov_base, fate.len), fate.len);
        s->last_arrival_us = fate.arrival_us;
        s->unread += fate.len;
        outgoing_advance(o, fate.len);
        if (fate.pause) {
            space_after(s, delay_us(s->link->sim, true));
            return;
        }
    }
    finish_send(c, o->sent);
}

static void on_space(struct sim *sim, struct sim_event *event)
{
    struct sim_socket *s = event->object;
    s->space_coming = false;
    struct sim_conn *c = s->conn;
    if (c != NULL && c->state.send_busy && !c->state.send_done && !list_linked(&c->state.out)) try_send(c);
    event_over(s->link);
}

void sim_send(struct io_conn *conn, const struct io_slice *slices, int count, bool lazy)
{
    struct sim_conn *c = of_conn(conn);
    conn_begin_send(&c->state, slices, count, lazy);
    list_append(&io_of(c)->sending, &c->state.out);
}

void sim_net_send_all(struct sim_io *s)
{
    while (!list_empty(&s->sending)) {
        struct sim_conn *c = LIST_OWNER(s->sending.next, struct sim_conn, state.out);
        list_remove(&c->state.out);
        try_send(c);
        if (c->state.close_asked && !c->state.send_done) finish_send(c, -ECANCELED);
    }
}

/* ---- receiving ---- */

static struct io_completion receive(struct sim_io *io, struct sim_conn *c)
{
    struct sim_socket *s = c->socket;
    struct prng *g = &s->link->sim->network;
    struct io_completion out = {.user = c->state.user, .op = IO_RECV};
    size_t len = s->tail - s->head;
    if (len == 0) {
        c->state.ended = true;
        out.result = s->reset ? -ECONNRESET : 0;
        return out;
    }
    if (len > SIM_RECV_BYTES) len = SIM_RECV_BYTES;
    if (chance(g, 8)) len = 1 + prng_below(g, len);
    out.data = sim_chunk_take(io, s->queue + s->head, len);
    out.result = (int64_t)len;
    s->head += len;
    other(s)->unread -= len;
    if (other(s)->conn != NULL && other(s)->conn->state.send_busy)
        space_after(other(s), delay_us(s->link->sim, true));
    return out;
}

int sim_net_receive_all(struct sim_io *s, struct io_completion *out, int n, int max)
{
    struct prng *g = &sim_of_io(s)->schedule;
    struct list turn; /* each connection is received from once in a turn */
    list_init(&turn);
    while (!list_empty(&s->readable) && n < max && s->turn_bytes < SIM_TURN_BYTES) {
        struct list *l = s->readable.next;
        if (chance(g, 4) && l->next != &s->readable) l = l->next; /* not always in order of arrival */
        list_remove(l);
        struct sim_conn *c = LIST_OWNER(l, struct sim_conn, readable);
        out[n++] = receive(s, c);
        list_append(&turn, l);
    }
    while (!list_empty(&turn)) {
        struct sim_conn *c = LIST_OWNER(turn.next, struct sim_conn, readable);
        list_remove(&c->readable);
        want_receive(c);
    }
    return n;
}

void sim_recv_pause(struct io_conn *conn)
{
    of_conn(conn)->state.paused = true;
    want_receive(of_conn(conn));
}

void sim_recv_resume(struct io_conn *conn)
{
    of_conn(conn)->state.paused = false;
    want_receive(of_conn(conn));
}

/* ---- sockets ---- */

static int64_t number_of(struct sim *sim, struct sim_socket *s)
{
    if (s->number >= 0) return s->number;
    size_t i = 0;
    while (i < sim->number_count && sim->numbers[i] != NULL) i++;
    if (i == sim->number_count) {
        sim->number_count = i > 0 ? i * 2 : 64;
        sim->numbers = realloc(sim->numbers, sim->number_count * sizeof(*sim->numbers));
        CHECK(sim->numbers != NULL);
        memset(sim->numbers + i, 0, (sim->number_count - i) * sizeof(*sim->numbers));
    }
    sim->numbers[i] = s;
    return s->number = (int64_t)i;
}

static struct sim_socket *socket_of(struct sim *sim, io_socket number)
{
    CHECK(number >= 0 && (size_t)number < sim->number_count && sim->numbers[number] != NULL);
    return sim->numbers[number];
}

static void socket_close(struct sim_socket *s)
{
    struct sim_link *link = s->link;
    struct sim *sim = link->sim;
    CHECK(s->open);
    s->open = false;
    s->conn = NULL;
    if (s->number >= 0) sim->numbers[s->number] = NULL;
    if (other(s)->open) {
        bool lost = s->head < s->tail;
        int64_t arrival_us = sim->now_us + delay_us(sim, s->node == other(s)->node);
        if (arrival_us < s->last_arrival_us) arrival_us = s->last_arrival_us;
        schedule(other(s), arrival_us - sim->now_us, lost ? on_reset : on_end, NULL, 0);
    }
    link_free_if_over(link);
}

void sim_discard(struct io *io, io_socket socket)
{
    socket_close(socket_of(sim_of_io(sim_of(io)), socket));
}

/* ---- listeners ---- */

static int listener_create(struct sim_io *s, const char *path, uint16_t port, int backlog, void *user,
                           struct io_listener **out)
{
    struct sim *sim = sim_of_io(s);
    for (struct list *l = sim->listeners.next; l != &sim->listeners; l = l->next) {
        struct sim_listener *have = LIST_OWNER(l, struct sim_listener, link);
        bool same = path != NULL ? have->path != NULL && strcmp(path, have->path) == 0
                                 : have->path == NULL && have->port == port;
        if (same && have->node == s->node) return -EADDRINUSE;
    }
    struct sim_listener *l = calloc(1, sizeof(*l));
    CHECK(l != NULL);
    l->base.io = &s->base;
    l->node = s->node;
    l->user = user;
    l->path = path != NULL ? strdup(path) : NULL;
    l->port = port;
    l->backlog = backlog > 0 ? backlog : 1;
    l->waiting = calloc((size_t)l->backlog, sizeof(struct sim_socket *));
    CHECK(l->waiting != NULL && (path == NULL || l->path != NULL));
    list_init(&l->acceptable);
    list_append(&sim->listeners, &l->link);
    *out = &l->base;
    return 0;
}

int sim_listen_tcp(struct io *io, const char *address, uint16_t port, int backlog, void *user,
                   struct io_listener **out)
{
    struct sim *sim = sim_of_io(sim_of(io));
    return listener_create(sim_of(io), NULL, port != 0 ? port : sim->next_port++, backlog, user, out);
}

int sim_listen_unix(struct io *io, const char *path, uint32_t mode, int backlog, void *user,
                    struct io_listener **out)
{
    return listener_create(sim_of(io), path, 0, backlog, user, out);
}

static struct sim_socket *take_waiting(struct sim_listener *l)
{
    struct sim_socket *s = l->waiting[l->waiting_head];
    l->waiting_head = (l->waiting_head + 1) % l->backlog;
    l->waiting_count--;
    return s;
}

void sim_unlisten(struct io_listener *listener)
{
    struct sim_listener *l = (struct sim_listener *)listener;
    while (l->waiting_count > 0) socket_close(take_waiting(l));
    list_remove(&l->link);
    list_remove(&l->acceptable);
    free(l->waiting);
    free(l->path);
    free(l);
}

uint16_t sim_listener_port(const struct io_listener *listener)
{
    return ((const struct sim_listener *)listener)->port;
}

int sim_net_accept_all(struct sim_io *s, struct io_completion *out, int n, int max)
{
    while (!list_empty(&s->acceptable) && n < max) {
        struct sim_listener *l = LIST_OWNER(s->acceptable.next, struct sim_listener, acceptable);
        struct sim_socket *socket = take_waiting(l);
        out[n++] = (struct io_completion){
            .user = l->user, .op = IO_ACCEPT, .socket = number_of(sim_of_io(s), socket)};
        if (l->waiting_count == 0) list_remove(&l->acceptable);
    }
    return n;
}

static struct sim_node *node_of_address(struct sim *sim, const char *address)
{
    char text[32];
    for (struct list *l = sim->nodes.next; l != &sim->nodes; l = l->next) {
        struct sim_node *node = LIST_OWNER(l, struct sim_node, link);
        snprintf(text, sizeof(text), "10.0.0.%d", node->number + 1);
        if (strcmp(address, node->name) == 0 || strcmp(address, text) == 0) return node;
    }
    return NULL;
}

static struct sim_listener *find_listener(struct sim *sim, struct sim_node *from, const char *address,
                                          uint16_t port)
{
    bool local = strchr(address, '/') != NULL;
    struct sim_node *to = local ? from : node_of_address(sim, address);
    struct sim_listener *found = NULL;
    for (struct list *l = sim->listeners.next; l != &sim->listeners; l = l->next) {
        struct sim_listener *have = LIST_OWNER(l, struct sim_listener, link);
        bool match = local ? have->path != NULL && strcmp(have->path, address) == 0
                           : have->path == NULL && have->port == port;
        if (!match || (to != NULL && have->node != to)) continue;
        if (found == NULL || (have->node == from && found->node != from)) found = have;
    }
    return found;
}

/* ---- connecting ---- */

static void on_connected(struct sim *sim, struct sim_event *event)
{
    struct sim_socket *s = event->object;
    struct sim_conn *c = s->conn;
    if (c != NULL && c->state.connecting) {
        conn_finish_connect(&c->state, (int)event->value);
        complete(c);
    }
    event_over(s->link);
}

/* The request has come to where the address points to: `data` is the address, `value` the port. */
static void on_request(struct sim *sim, struct sim_event *event)
{
    struct sim_socket *client = event->object, *server = other(client);
    struct sim_listener *l = find_listener(sim, client->node, (char *)event->data, (uint16_t)event->value);
    int result = -ECONNREFUSED;
    int64_t back_us = delay_us(sim, false);
    if (client->open && l != NULL && l->waiting_count < l->backlog) {
        result = 0;
        server->node = l->node;
        server->open = true;
        /* The server's first bytes must not overtake the news that there is a connection. */
        server->last_arrival_us = sim->now_us + back_us;
        l->waiting[(l->waiting_head + l->waiting_count++) % l->backlog] = server;
        if (!list_linked(&l->acceptable)) list_append(&sim_of(l->base.io)->acceptable, &l->acceptable);
        if (l->path != NULL)
            snprintf(server->address, IO_ADDRESS_MAX, "%.100s:0", l->path);
        else
            snprintf(server->address, IO_ADDRESS_MAX, "10.0.0.%d:%u", l->node->number + 1, l->port);
        if (l->path != NULL) memcpy(client->address, server->address, IO_ADDRESS_MAX);
    }
    client->link->events++;
    sim_after(sim, back_us, (struct sim_event){.fire = on_connected, .object = client, .value = result});
    free(event->data);
    event_over(client->link);
}

static struct sim_conn *conn_create(struct sim_io *io, struct sim_socket *s, void *user)
{
    struct sim_conn *c = calloc(1, sizeof(*c));
    CHECK(c != NULL && s->conn == NULL);
    c->base.io = &io->base;
    c->socket = s;
    conn_init(&c->state, user);
    s->conn = c;
    list_init(&c->readable);
    list_append(&io->conns, &c->link);
    return c;
}

struct io_conn *sim_connect(struct io *io, const char *address, uint16_t port, void *user, int *error)
{
    struct sim_io *s = sim_of(io);
    struct sim *sim = sim_of_io(s);
    struct sim_link *link = calloc(1, sizeof(*link));
    CHECK(link != NULL);
    *error = 0;
    link->sim = sim;
    list_append(&sim->sockets, &link->link);
    for (int i = 0; i < 2; i++) {
        link->ends[i].link = link;
        link->ends[i].node = s->node;
        link->ends[i].number = -1;
    }
    struct sim_socket *client = &link->ends[0];
    client->open = true;
    snprintf(client->address, IO_ADDRESS_MAX, "10.0.0.%d:%u", s->node->number + 1, sim->next_client_port++);
    if (sim->next_client_port == 0) sim->next_client_port = 50000;
    struct sim_conn *c = conn_create(s, client, user);
    c->state.connecting = true;
    int64_t delay = delay_us(sim, false);
    client->last_arrival_us = sim->now_us + delay;
    link->events++;
    sim_after(sim, delay,
              (struct sim_event){.fire = on_request,
                                 .object = client,
                                 .data = sim_copy(address, strlen(address) + 1),
                                 .value = port});
    return &c->base;
}

/* ---- the rest of a connection's life ---- */

struct io_conn *sim_attach(struct io *io, io_socket socket, void *user)
{
    struct sim_conn *c = conn_create(sim_of(io), socket_of(sim_of_io(sim_of(io)), socket), user);
    want_receive(c);
    return &c->base;
}

static void conn_free(struct sim_conn *c)
{
    c->socket->conn = NULL;
    list_remove(&c->link);
    list_remove(&c->readable);
    list_remove(&c->state.out);
    free(c);
}

void sim_detach(struct io_conn *conn)
{
    struct sim_conn *c = of_conn(conn);
    conn_begin_detach(&c->state);
    want_receive(c);
    complete(c);
}

void sim_close(struct io_conn *conn)
{
    struct sim_conn *c = of_conn(conn);
    bool sending = c->state.send_busy && !c->state.send_done;
    conn_begin_close(&c->state);
    want_receive(c);
    if (sending && list_linked(&c->state.out))
        return; /* still queued: gets its one try in the next io_wait() */
    if (sending) conn_finish_send(&c->state, -ECANCELED);
    if (c->state.connecting) conn_finish_connect(&c->state, -ECANCELED);
    complete(c);
}

/* `c` may be gone afterwards, or back in `done` for want of room. */
static int put_conn(struct sim_conn *c, struct io_completion *out, int n, int max)
{
    if (!conn_put(&c->state, out, &n, max)) {
        complete(c);
        return n;
    }
    want_receive(c); /* a connect may just have come out */
    if (!c->state.detach_asked && !c->state.close_asked) return n;
    struct sim_socket *s = c->socket;
    bool detached = c->state.detach_asked;
    out[n] = (struct io_completion){.user = c->state.user,
                                    .op = detached ? IO_DETACHED : IO_CLOSED,
                                    .socket = detached ? number_of(s->link->sim, s) : IO_SOCKET_NONE};
    conn_free(c);
    if (!detached) socket_close(s);
    return n + 1;
}

int sim_net_put_done(struct sim_io *s, struct list *list, struct io_completion *out, int n, int max)
{
    while (!list_empty(list) && n < max) {
        struct sim_conn *c = LIST_OWNER(list->next, struct sim_conn, state.out);
        list_remove(&c->state.out);
        n = put_conn(c, out, n, max);
    }
    return n;
}

bool sim_net_ready(const struct sim_io *s)
{
    return !list_empty(&s->readable) || !list_empty(&s->sending) || !list_empty(&s->done) ||
           !list_empty(&s->acceptable);
}

int sim_set_keepalive(struct io_conn *conn, int seconds)
{
    return 0;
}
int64_t sim_conn_fd(struct io_conn *conn)
{
    struct sim_socket *s = of_conn(conn)->socket;
    return number_of(s->link->sim, s) + 8; /* small numbers are taken in a real process */
}
void sim_peer_address(struct io_conn *conn, char *buf)
{
    memcpy(buf, other(of_conn(conn)->socket)->address, IO_ADDRESS_MAX);
}
void sim_local_address(struct io_conn *conn, char *buf)
{
    memcpy(buf, of_conn(conn)->socket->address, IO_ADDRESS_MAX);
}

void sim_net_io_init(struct sim_io *s)
{
    struct list *lists[] = {&s->conns, &s->readable, &s->sending, &s->done, &s->done_lazy, &s->acceptable};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) list_init(lists[i]);
}

void sim_net_io_destroy(struct sim_io *s)
{
    struct sim *sim = sim_of_io(s);
    for (struct list *l = sim->listeners.next, *next; l != &sim->listeners; l = next) {
        next = l->next;
        struct sim_listener *listener = LIST_OWNER(l, struct sim_listener, link);
        if (listener->base.io == &s->base) sim_unlisten(&listener->base);
    }
    while (!list_empty(&s->conns)) {
        struct sim_conn *c = LIST_OWNER(s->conns.next, struct sim_conn, link);
        struct sim_socket *socket = c->socket;
        conn_free(c);
        socket_close(socket);
    }
}

void sim_net_destroy(struct sim *sim)
{
    while (!list_empty(&sim->sockets)) { /* the heap, which refers to them, is thrown away by the caller */
        struct sim_link *link = LIST_OWNER(sim->sockets.next, struct sim_link, link);
        link->events = 0;
        link->ends[0].open = link->ends[1].open = false;
        link_free_if_over(link);
    }
}
