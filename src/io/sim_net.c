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
 * Faults strike where a segment's fate is decided, where something arrives (sim_net_intercepts: it may have
 * to wait, or get lost), and where a receive is cut. TCP hides loss, duplicates and reordering: only delays
 * are left of them. Files: sim_listen.c (listeners, connects), sim_net_fault.c (ways between nodes, crashes).
 * Tests: test/unit/io_*_test.c, sim_fault_test.c.
 */
#include "io/sim_net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool chance(struct prng *g, uint64_t one_in)
{
    return prng_below(g, one_in) == 0;
}

/* ---- links and their events ---- */

static void link_free_if_over(struct sim_link *link)
{
    if (link->events > 0 || link->ends[0].open || link->ends[1].open) return;
    for (int i = 0; i < 2; i++) {
        sim_net_drop_held(&link->ends[i]);
        free(link->ends[i].queue);
    }
    list_remove(&link->link);
    free(link);
}

void sim_net_event_over(struct sim_link *link)
{
    link->events--;
    link_free_if_over(link);
}

void sim_net_schedule(struct sim_socket *s, int64_t delay_us, void (*fire)(struct sim *, struct sim_event *),
                      uint8_t *data, size_t len)
{
    s->link->events++;
    sim_after(s->link->sim, delay_us,
              (struct sim_event){.fire = fire, .object = s, .data = data, .len = len});
}

/* Time on the wire. Mostly short, at times long: one in sixteen waits for milliseconds. */
int64_t sim_net_delay_us(struct sim *sim, bool same_node)
{
    int64_t d =
        same_node ? 5 + (int64_t)prng_below(&sim->network, 50) : 50 + (int64_t)prng_below(&sim->network, 450);
    if (chance(&sim->network, 16)) d *= 1 + (int64_t)prng_below(&sim->network, 16);
    return d;
}

/* What becomes of the next `len` bytes of a send: how many travel together, when they arrive, and what
 * strikes them on the way. */
struct fate {
    size_t len;
    int64_t arrival_us;
    bool pause;          /* a short write: the rest goes a little later */
    bool cut, cut_ended; /* only `kept` bytes arrive, then a reset, or the end of the stream */
    bool flip;           /* a bit */
    size_t kept;
};

static int64_t segment_lateness_us(struct sim_node *node)
{
    struct sim *sim = node->sim;
    int64_t late_us = 0;
    if (sim_fault_hit(node, IO_SIM_NET_LOSS)) {
        int64_t again_us = sim->faults.values[IO_SIM_NET_LOSS];
        late_us += again_us;
        for (int i = 0; i < 4 && sim_fault_hit(node, IO_SIM_NET_LOSS); i++) late_us += again_us *= 2;
    }
    if (sim_fault_hit(node, IO_SIM_NET_DELAY_TAIL)) /* each halving of the length is as likely as the next */
        late_us +=
            sim_fault_amount(sim, IO_SIM_NET_DELAY_TAIL) >> sim_fault_below(sim, IO_SIM_NET_DELAY_TAIL, 12);
    if (sim_fault_hit(node, IO_SIM_NET_REORDER)) late_us += sim_fault_amount(sim, IO_SIM_NET_REORDER);
    return late_us;
}

static void segment_faults(struct sim_socket *s, struct fate *fate)
{
    struct sim_node *node = s->node;
    struct sim *sim = node->sim;
    if (sim_fault_draw(node, IO_SIM_NET_SHORT_WRITE)) {
        size_t taken = (size_t)sim_fault_amount(sim, IO_SIM_NET_SHORT_WRITE);
        if (taken < fate->len) {
            fate->len = taken;
            fate->pause = true;
            sim_fault_count(node, IO_SIM_NET_SHORT_WRITE);
        }
    }
    fate->arrival_us += segment_lateness_us(node);
    if (sim_fault_hit(node, IO_SIM_NET_RESET)) {
        fate->cut = true;
        fate->kept = sim_fault_below(sim, IO_SIM_NET_RESET, fate->len + 1);
    } else if (sim_fault_hit(node, IO_SIM_NET_FIN_CUT)) {
        fate->cut = fate->cut_ended = true;
        fate->kept = sim_fault_below(sim, IO_SIM_NET_FIN_CUT, fate->len + 1);
    }
    if (s->link->peer && sim_fault_hit(node, IO_SIM_NET_CORRUPT)) fate->flip = true;
    if (!s->link->silent && sim_fault_hit(node, IO_SIM_NET_HALF_OPEN)) sim_net_silence(s->link);
}

static struct fate segment_fate(struct sim_socket *s, size_t len)
{
    struct sim *sim = s->link->sim;
    struct fate fate = {.len = len < 16384 ? len : 16384};
    if (chance(&sim->network, 8)) fate.len = 1 + prng_below(&sim->network, fate.len);
    fate.pause = chance(&sim->network, 16);
    fate.arrival_us = sim->now_us + sim_net_delay_us(sim, s->node == sim_other(s)->node);
    if (s->node->faulty) segment_faults(s, &fate);
    if (fate.arrival_us < s->last_arrival_us) fate.arrival_us = s->last_arrival_us;
    return fate;
}

/* ---- what a connection may do next ---- */

static void want_receive(struct sim_conn *c)
{
    struct sim_socket *s = c->socket;
    bool something = s->head < s->tail || s->peer_ended || s->reset;
    bool may = something && conn_may_receive(&c->state);
    if (may && !list_linked(&c->readable)) list_append(&sim_io_of(c)->readable, &c->readable);
    if (may) sim_io_of(c)->maybe_ready = true;
    if (!may) list_remove(&c->readable);
}

void sim_net_complete(struct sim_conn *c)
{
    conn_complete(&c->state, &sim_io_of(c)->done, &sim_io_of(c)->done_lazy);
    sim_io_of(c)->maybe_ready = true;
}

static void finish_send(struct sim_conn *c, int64_t result)
{
    conn_finish_send(&c->state, result);
    sim_net_complete(c);
}

static void on_space(struct sim *sim, struct sim_event *event);

static void space_after(struct sim_socket *s, int64_t delay)
{
    if (s->space_coming) return;
    s->space_coming = true;
    sim_net_schedule(s, delay, on_space, NULL, 0);
}

void sim_net_fail(struct sim_socket *s, int error)
{
    s->reset = error;
    if (s->conn == NULL) return;
    want_receive(s->conn);
    if (s->conn->state.send_busy && !s->conn->state.send_done) finish_send(s->conn, error);
}

/* ---- arrivals ---- */

bool sim_net_intercepts(struct sim_socket *s, const struct sim_event *event)
{
    struct sim_link *link = s->link;
    if (link->silent || s->dead) {
        free(event->data);
        sim_net_event_over(link);
        return true;
    }
    if (s->held == NULL &&
        (link->sim->ways.blocked == 0 || !sim_net_is_blocked(link->sim, sim_other(s)->node, s->node)))
        return false;
    struct sim_held *held = calloc(1, sizeof(*held));
    CHECK(held != NULL);
    held->event = *event;
    if (s->held == NULL) s->held_end = &s->held;
    *s->held_end = held;
    s->held_end = &held->next;
    return true;
}

void sim_net_on_reset(struct sim *sim, struct sim_event *event)
{
    struct sim_socket *s = event->object;
    if (sim_net_intercepts(s, event)) return;
    if (s->open) sim_net_fail(s, -ECONNRESET);
    sim_net_event_over(s->link);
}

static void segment_store(struct sim_socket *s, const uint8_t *data, size_t len)
{
    if (s->head == s->tail) s->head = s->tail = 0;
    if (s->tail + len > s->room) {
        s->room = (s->tail + len) * 2;
        s->queue = realloc(s->queue, s->room);
        CHECK(s->queue != NULL);
    }
    memcpy(s->queue + s->tail, data, len);
    s->tail += len;
    if (s->conn != NULL) want_receive(s->conn);
}

void sim_net_on_segment(struct sim *sim, struct sim_event *event)
{
    struct sim_socket *s = event->object; /* the receiving end */
    if (sim_net_intercepts(s, event)) return;
    if (!s->open || s->reset || s->peer_ended) { /* the last two: a fault has cut the stream before */
        sim_net_schedule(sim_other(s), sim_net_delay_us(sim, false), sim_net_on_reset, NULL, 0);
    } else if (event->len > 0) {
        segment_store(s, event->data, event->len);
    }
    free(event->data);
    sim_net_event_over(s->link);
}

void sim_net_on_end(struct sim *sim, struct sim_event *event)
{
    struct sim_socket *s = event->object;
    if (sim_net_intercepts(s, event)) return;
    s->peer_ended = true;
    if (s->conn != NULL) want_receive(s->conn);
    sim_net_event_over(s->link);
}

/* ---- sending ---- */

/* `len` bytes begin their way. */
static void segment_send(struct sim_socket *s, const void *bytes, const struct fate *fate)
{
    struct sim *sim = s->link->sim;
    int64_t delay_us = fate->arrival_us - sim->now_us;
    size_t len = fate->cut ? fate->kept : fate->len;
    uint8_t *copy = sim_copy(bytes, len);
    if (fate->flip && len > 0)
        copy[sim_fault_below(sim, IO_SIM_NET_CORRUPT, len)] ^=
            (uint8_t)(1u << sim_fault_below(sim, IO_SIM_NET_CORRUPT, 8));
    sim_net_schedule(sim_other(s), delay_us, sim_net_on_segment, copy, len);
    s->last_arrival_us = fate->arrival_us;
    if (!fate->cut) return;
    sim_net_schedule(sim_other(s), delay_us, fate->cut_ended ? sim_net_on_end : sim_net_on_reset, NULL, 0);
    sim_net_schedule(s, delay_us, sim_net_on_reset, NULL, 0);
}

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
        size_t space = s->window > s->unread ? s->window - s->unread : 0;
        if (space == 0) return; /* the reader will make some */
        struct fate fate = segment_fate(s, v->iov_len < space ? v->iov_len : space);
        segment_send(s, v->iov_base, &fate);
        s->unread += fate.len;
        outgoing_advance(o, fate.len);
        if (fate.pause) {
            space_after(s, sim_net_delay_us(s->link->sim, true));
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
    sim_net_event_over(s->link);
}

void sim_send(struct io_conn *conn, const struct io_slice *slices, int count, bool lazy)
{
    struct sim_conn *c = sim_conn_of(conn);
    conn_begin_send(&c->state, slices, count, lazy);
    list_append(&sim_io_of(c)->sending, &c->state.out);
    sim_io_of(c)->maybe_ready = true;
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

static size_t receive_faults(struct sim_node *node, size_t len)
{
    if (len > 1 && sim_fault_hit(node, IO_SIM_NET_SPLIT))
        len = 1 + sim_fault_below(node->sim, IO_SIM_NET_SPLIT, len - 1);
    if (len > 1 && sim_fault_hit(node, IO_SIM_NET_ONE_BYTE)) len = 1;
    return len;
}

static struct io_completion receive(struct sim_io *io, struct sim_conn *c)
{
    struct sim_socket *s = c->socket;
    struct prng *g = &s->link->sim->network;
    struct io_completion out = {.user = c->state.user, .op = IO_RECV};
    size_t len = s->tail - s->head;
    if (len == 0) {
        c->state.ended = true;
        out.result = s->reset;
        return out;
    }
    if (len > SIM_RECV_BYTES) len = SIM_RECV_BYTES;
    if (chance(g, 8)) len = 1 + prng_below(g, len);
    if (s->node->faulty) len = receive_faults(s->node, len);
    out.data = sim_chunk_take(io, s->queue + s->head, len);
    out.result = (int64_t)len;
    s->head += len;
    sim_other(s)->unread -= len;
    if (sim_other(s)->conn != NULL && sim_other(s)->conn->state.send_busy)
        space_after(sim_other(s), sim_net_delay_us(s->link->sim, true));
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
    sim_conn_of(conn)->state.paused = true;
    want_receive(sim_conn_of(conn));
}

void sim_recv_resume(struct io_conn *conn)
{
    sim_conn_of(conn)->state.paused = false;
    want_receive(sim_conn_of(conn));
}

/* ---- sockets ---- */

int64_t sim_net_number_of(struct sim *sim, struct sim_socket *s)
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

void sim_net_socket_close(struct sim_socket *s)
{
    struct sim_link *link = s->link;
    struct sim *sim = link->sim;
    CHECK(s->open);
    s->open = false;
    s->conn = NULL;
    if (s->number >= 0) sim->numbers[s->number] = NULL;
    if (sim_other(s)->open && !s->dead && !link->silent) {
        bool lost = s->head < s->tail;
        int64_t arrival_us = sim->now_us + sim_net_delay_us(sim, s->node == sim_other(s)->node);
        if (arrival_us < s->last_arrival_us) arrival_us = s->last_arrival_us;
        sim_net_schedule(sim_other(s), arrival_us - sim->now_us, lost ? sim_net_on_reset : sim_net_on_end,
                         NULL, 0);
    }
    link_free_if_over(link);
}

void sim_discard(struct io *io, io_socket socket)
{
    if (sim_of(io)->dead) return; /* went with the crash; the number may be another one's by now */
    sim_net_socket_close(socket_of(sim_of_io(sim_of(io)), socket));
}

/* ---- making and unmaking ---- */

struct sim_link *sim_net_link_create(struct sim *sim, struct sim_node *from)
{
    struct sim_link *link = calloc(1, sizeof(*link));
    CHECK(link != NULL);
    link->sim = sim;
    list_append(&sim->sockets, &link->link);
    for (int i = 0; i < 2; i++) {
        link->ends[i].link = link;
        link->ends[i].node = from;
        link->ends[i].number = -1;
        link->ends[i].window = SIM_WINDOW_BYTES;
    }
    link->ends[0].open = true;
    return link;
}

struct sim_conn *sim_net_conn_create(struct sim_io *io, struct sim_socket *s, void *user)
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
    *error = s->dead ? -ENETDOWN : 0;
    if (s->dead) return NULL;
    struct sim_socket *client = &sim_net_link_create(sim, s->node)->ends[0];
    snprintf(client->address, IO_ADDRESS_MAX, "10.0.0.%d:%u", s->node->number + 1, sim->next_client_port++);
    if (sim->next_client_port == 0) sim->next_client_port = 50000;
    struct sim_conn *c = sim_net_conn_create(s, client, user);
    c->state.connecting = true;
    sim_listen_request(client, address, port);
    return &c->base;
}

/* ---- the rest of a connection's life ---- */

struct io_conn *sim_attach(struct io *io, io_socket socket, void *user)
{
    struct sim_io *s = sim_of(io);
    if (s->dead || sim_fault_hit(s->node, IO_SIM_NET_ATTACH_ERROR)) return NULL;
    struct sim_conn *c = sim_net_conn_create(s, socket_of(sim_of_io(s), socket), user);
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
    struct sim_conn *c = sim_conn_of(conn);
    conn_begin_detach(&c->state);
    want_receive(c);
    sim_net_complete(c);
}

void sim_close(struct io_conn *conn)
{
    struct sim_conn *c = sim_conn_of(conn);
    bool sending = c->state.send_busy && !c->state.send_done;
    conn_begin_close(&c->state);
    want_receive(c);
    if (sending && list_linked(&c->state.out))
        return; /* still queued: gets its one try in the next io_wait() */
    if (sending) conn_finish_send(&c->state, -ECANCELED);
    if (c->state.connecting) conn_finish_connect(&c->state, -ECANCELED);
    sim_net_complete(c);
}

/* `c` may be gone afterwards, or back in `done` for want of room. */
static int put_conn(struct sim_conn *c, struct io_completion *out, int n, int max)
{
    if (!conn_put(&c->state, out, &n, max)) {
        sim_net_complete(c);
        return n;
    }
    want_receive(c); /* a connect may just have come out */
    if (!c->state.detach_asked && !c->state.close_asked) return n;
    struct sim_socket *s = c->socket;
    bool detached = c->state.detach_asked;
    out[n] = (struct io_completion){.user = c->state.user,
                                    .op = detached ? IO_DETACHED : IO_CLOSED,
                                    .socket = detached ? sim_net_number_of(s->link->sim, s) : IO_SOCKET_NONE};
    conn_free(c);
    if (!detached) sim_net_socket_close(s);
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
    sim_conn_of(conn)->keepalive_s = seconds;
    sim_net_watch_keepalive(sim_conn_of(conn)->socket);
    return 0;
}
int64_t sim_conn_fd(struct io_conn *conn)
{
    struct sim_socket *s = sim_conn_of(conn)->socket;
    return sim_net_number_of(s->link->sim, s) + 8; /* small numbers are taken in a real process */
}
void sim_peer_address(struct io_conn *conn, char *buf)
{
    memcpy(buf, sim_other(sim_conn_of(conn)->socket)->address, IO_ADDRESS_MAX);
}
void sim_local_address(struct io_conn *conn, char *buf)
{
    memcpy(buf, sim_conn_of(conn)->socket->address, IO_ADDRESS_MAX);
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
        sim_net_socket_close(socket);
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
