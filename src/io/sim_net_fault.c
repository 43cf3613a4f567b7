/* Faults of the simulated network that concern nodes: ways that are cut or clogged, by hand or by the tick,
 * connections that nobody hears, strangers at the door, crashes.
 *
 * Ways are a matrix [from][to] of counts, so that faults may overlap: each fault that closes a way opens it
 * again by an event of its own, unless faults were frozen in between (`epoch`). The high bit of a count is
 * the harness's own. What comes over a closed way is held, in order, at the end where it would arrive
 * (sim_net_intercepts), and delivered all at once when the way is open. Tests: test/unit/sim_fault_test.c.
 */
#include "io/sim_net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint16_t way_table[IO_SIM_NODES_MAX];

/* ---- ways ---- */

bool sim_net_is_cut(const struct sim *sim, const struct sim_node *from, const struct sim_node *to)
{
    return sim->ways.cuts[from->number][to->number] > 0;
}

bool sim_net_is_blocked(const struct sim *sim, const struct sim_node *from, const struct sim_node *to)
{
    return sim_net_is_cut(sim, from, to) || sim->ways.clogs[from->number][to->number] > 0;
}

bool io_sim_reachable(const struct io_world *from, const struct io_world *to)
{
    return !sim_net_is_blocked(sim_of_world(from), sim_node_of(from), sim_node_of(to));
}

static void keepalive_watch_way(struct sim *sim, const struct sim_node *from, const struct sim_node *to)
{
    for (struct list *l = sim->sockets.next; l != &sim->sockets; l = l->next) {
        struct sim_link *link = LIST_OWNER(l, struct sim_link, link);
        for (int i = 0; i < 2; i++)
            if (link->ends[i].node == to && sim_other(&link->ends[i])->node == from)
                sim_net_watch_keepalive(&link->ends[i]);
    }
}

/* What was held comes in, oldest first. It may end the link. */
static void on_release(struct sim *sim, struct sim_event *event)
{
    struct sim_socket *s = event->object;
    s->release_coming = false;
    if (!sim_net_is_blocked(sim, sim_other(s)->node, s->node)) {
        struct sim_held *held = s->held;
        s->held = NULL;
        while (held != NULL) {
            struct sim_held *next = held->next;
            held->event.fire(sim, &held->event);
            free(held);
            held = next;
        }
    }
    sim_net_event_over(s->link);
}

static void release_way(struct sim *sim, const struct sim_node *from, const struct sim_node *to, bool was_cut)
{
    int64_t late_us = 0;
    if (was_cut) { /* the sender's timer has doubled all the while */
        int64_t cut_us = sim->now_us - sim->ways.cut_since_us[from->number][to->number];
        late_us = (int64_t)prng_below(&sim->ways.random, (uint64_t)(cut_us < 3000000 ? cut_us : 3000000) + 1);
    }
    for (struct list *l = sim->sockets.next; l != &sim->sockets; l = l->next) {
        struct sim_link *link = LIST_OWNER(l, struct sim_link, link);
        for (int i = 0; i < 2; i++) {
            struct sim_socket *s = &link->ends[i];
            if (s->held == NULL || s->release_coming || s->node != to || sim_other(s)->node != from) continue;
            s->release_coming = true;
            sim_net_schedule(s, late_us + (int64_t)prng_below(&sim->ways.random, 1000), on_release, NULL, 0);
        }
    }
}

static void way_set(struct sim *sim, way_table *table, int from, int to, uint16_t count)
{
    struct sim_node *a = sim->by_number[from], *b = sim->by_number[to];
    bool was_cut = sim_net_is_cut(sim, a, b), was_blocked = sim_net_is_blocked(sim, a, b);
    table[from][to] = count;
    bool is_cut = sim_net_is_cut(sim, a, b), is_blocked = sim_net_is_blocked(sim, a, b);
    sim->ways.blocked += is_blocked - was_blocked;
    if (is_cut && !was_cut) {
        sim->ways.cut_since_us[from][to] = sim->now_us;
        keepalive_watch_way(sim, a, b);
    }
    if (was_blocked && !is_blocked) release_way(sim, a, b, was_cut);
}

static void way_set_by_hand(struct io_world *from, struct io_world *to, bool cut, bool on)
{
    struct sim *sim = sim_of_world(from);
    int a = sim_node_of(from)->number, b = sim_node_of(to)->number;
    way_table *table = cut ? sim->ways.cuts : sim->ways.clogs;
    CHECK(sim == sim_of_world(to));
    if (a == b) return;
    uint16_t others = table[a][b] & (uint16_t)~SIM_WAY_BY_HAND;
    way_set(sim, table, a, b, on ? others | SIM_WAY_BY_HAND : others);
}

void io_sim_cut(struct io_world *from, struct io_world *to, bool on)
{
    way_set_by_hand(from, to, true, on);
}
void io_sim_clog(struct io_world *from, struct io_world *to, bool on)
{
    way_set_by_hand(from, to, false, on);
}
void io_sim_partition(struct io_world *a, struct io_world *b, bool on)
{
    io_sim_cut(a, b, on);
    io_sim_cut(b, a, on);
}
void io_sim_isolate(struct io_world *node, bool on)
{
    struct sim *sim = sim_of_world(node);
    for (int i = 0; i < sim->node_count; i++) io_sim_partition(node, &sim->by_number[i]->base, on);
}

/* ---- ways closed for a time: an event's `value` says which, and since which freeze ---- */

#define WAY(epoch, cut, from, to) ((int64_t)(epoch) << 32 | (cut) << 16 | (from) << 8 | (to))

static void way_add(struct sim *sim, bool cut, int from, int to, int by)
{
    way_table *table = cut ? sim->ways.cuts : sim->ways.clogs;
    way_set(sim, table, from, to, (uint16_t)(table[from][to] + by));
}

static void on_way_open(struct sim *sim, struct sim_event *event)
{
    if ((uint32_t)(event->value >> 32) != sim->faults.epoch) return;
    way_add(sim, event->value >> 16 & 1, event->value >> 8 & 0xff, event->value & 0xff, -1);
}

static void on_way_close(struct sim *sim, struct sim_event *event)
{
    if ((uint32_t)(event->value >> 32) != sim->faults.epoch) return;
    way_add(sim, event->value >> 16 & 1, event->value >> 8 & 0xff, event->value & 0xff, 1);
}

/* Closes the way `after_us` from now, `for_us` long. */
static void way_close(struct sim *sim, bool cut, int from, int to, int64_t after_us, int64_t for_us)
{
    struct sim_event event = {.fire = on_way_close, .value = WAY(sim->faults.epoch, cut, from, to)};
    if (from == to) return;
    if (after_us > 0)
        sim_after(sim, after_us, event);
    else
        way_add(sim, cut, from, to, 1);
    event.fire = on_way_open;
    sim_after(sim, after_us + for_us, event);
}

static void pair_close(struct sim *sim, bool cut, int a, int b, int64_t after_us, int64_t for_us)
{
    way_close(sim, cut, a, b, after_us, for_us);
    way_close(sim, cut, b, a, after_us, for_us);
}

static void halves(struct sim *sim, int64_t for_us)
{
    uint64_t side = sim_fault_below(sim, IO_SIM_NET_PARTITION, UINT64_MAX) | 1;
    int count = sim->node_count;
    side &= ~(UINT64_C(1) << (1 + sim_fault_below(sim, IO_SIM_NET_PARTITION, (uint64_t)count - 1)));
    for (int a = 0; a < count; a++)
        for (int b = 0; b < count; b++)
            if ((side >> a & 1) != (side >> b & 1)) way_close(sim, true, a, b, 0, for_us);
}

static void ring(struct sim *sim, int64_t for_us)
{
    int count = sim->node_count;
    for (int a = 0; a < count; a++)
        for (int b = 0; b < count; b++)
            if ((a + 1) % count != b && (b + 1) % count != a) way_close(sim, true, a, b, 0, for_us);
}

/* Some nodes clogged one after the other, then released in an order of its own. */
static void swizzle(struct sim *sim, int64_t for_us)
{
    for (int a = 0; a < sim->node_count; a++) {
        if (sim_fault_below(sim, IO_SIM_NET_SWIZZLE, 2) == 0 && a > 0) continue;
        int64_t from_us = (int64_t)sim_fault_below(sim, IO_SIM_NET_SWIZZLE, (uint64_t)for_us / 2 + 1);
        int64_t len_us = for_us / 2 +
                         (int64_t)sim_fault_below(sim, IO_SIM_NET_SWIZZLE, (uint64_t)for_us / 2 + 1) -
                         from_us;
        for (int b = 0; b < sim->node_count; b++)
            pair_close(sim, false, a, b, from_us, len_us > 0 ? len_us : 1);
    }
}

static void flap(struct sim *sim, int a, int b, int64_t for_us)
{
    int times = 2 + (int)sim_fault_below(sim, IO_SIM_NET_FLAP, 6);
    for (int i = 0; i < times; i++) {
        int64_t each_us = for_us / times + 1;
        int64_t closed_us = 1 + (int64_t)sim_fault_below(sim, IO_SIM_NET_FLAP, (uint64_t)each_us);
        pair_close(sim, true, a, b, i * each_us, closed_us);
    }
}

/* ---- strangers ---- */

static void on_stranger_leaves(struct sim *sim, struct sim_event *event)
{
    struct sim_socket *s = event->object;
    if (s->open && !s->dead) sim_net_socket_close(s);
    sim_net_event_over(s->link);
}

static void stranger_comes(struct sim_listener *l, int i)
{
    struct sim *sim = l->node->sim;
    enum io_sim_fault f = IO_SIM_NET_ACCEPT_STORM;
    struct sim_socket *s = &sim_net_link_create(sim, l->node)->ends[0];
    snprintf(s->address, IO_ADDRESS_MAX, "10.9.%d.%d:%u", i / 250, 1 + i % 250, 1024 + i);
    s->link->events++; /* until it leaves */
    bool in = sim_listen_enqueue(l, s);
    int64_t stay_us = 0;
    if (in && sim_fault_below(sim, f, 2) == 0) {
        uint8_t bytes[16];
        size_t len = 1 + sim_fault_below(sim, f, sizeof(bytes));
        for (size_t k = 0; k < len; k++) bytes[k] = (uint8_t)sim_fault_below(sim, f, 256);
        sim_net_schedule(sim_other(s), 10, sim_net_on_segment, sim_copy(bytes, len), len);
        s->last_arrival_us = sim->now_us + 10;
    }
    if (in && sim_fault_below(sim, f, 4) != 0) stay_us = (int64_t)sim_fault_below(sim, f, 2000000);
    sim_after(sim, stay_us, (struct sim_event){.fire = on_stranger_leaves, .object = s});
}

static bool storm(struct sim_node *node)
{
    struct sim *sim = node->sim;
    struct sim_listener *l = sim_listen_any(node, sim_fault_below(sim, IO_SIM_NET_ACCEPT_STORM, 1 << 20));
    if (l == NULL) return false;
    int count = (int)sim_fault_amount(sim, IO_SIM_NET_ACCEPT_STORM);
    for (int i = 0; i < count; i++) stranger_comes(l, i);
    return true;
}

/* ---- the tick ---- */

bool sim_net_tick(struct sim_node *node, enum io_sim_fault fault)
{
    struct sim *sim = node->sim;
    int a = node->number, count = sim->node_count;
    if (fault == IO_SIM_NET_ACCEPT_STORM) return storm(node);
    if (count < 2 || (fault == IO_SIM_NET_PARTITION_RING && count < 4)) return false;
    int64_t for_us = sim_fault_amount(sim, fault);
    int b = (a + 1 + (int)sim_fault_below(sim, fault, (uint64_t)count - 1)) % count; /* another node */
    switch (fault) {
    case IO_SIM_NET_CLOG_SEND:
        for (int i = 0; i < count; i++) way_close(sim, false, a, i, 0, for_us);
        return true;
    case IO_SIM_NET_CLOG_RECEIVE:
        for (int i = 0; i < count; i++) way_close(sim, false, i, a, 0, for_us);
        return true;
    case IO_SIM_NET_CLOG_PAIR: pair_close(sim, false, a, b, 0, for_us); return true;
    case IO_SIM_NET_SWIZZLE: swizzle(sim, for_us); return true;
    case IO_SIM_NET_PARTITION: halves(sim, for_us); return true;
    case IO_SIM_NET_PARTITION_PAIR: pair_close(sim, true, a, b, 0, for_us); return true;
    case IO_SIM_NET_PARTITION_ONE_WAY: way_close(sim, true, a, b, 0, for_us); return true;
    case IO_SIM_NET_PARTITION_RING: ring(sim, for_us); return true;
    case IO_SIM_NET_ISOLATE:
        for (int i = 0; i < count; i++) pair_close(sim, true, a, i, 0, for_us);
        return true;
    case IO_SIM_NET_FLAP: flap(sim, a, b, for_us); return true;
    default: CHECK(false); return false;
    }
}

/* ---- connections that nobody hears ---- */

void sim_net_drop_held(struct sim_socket *s)
{
    while (s->held != NULL) {
        struct sim_held *held = s->held;
        s->held = held->next;
        s->link->events--; /* the caller looks whether the link is over */
        free(held->event.data);
        free(held);
    }
}

void sim_net_silence(struct sim_link *link)
{
    link->silent = true;
    for (int i = 0; i < 2; i++) {
        sim_net_drop_held(&link->ends[i]);
        sim_net_watch_keepalive(&link->ends[i]);
    }
}

/* `value`: the keep-alive's seconds when it began to matter. */
static void on_keepalive(struct sim *sim, struct sim_event *event)
{
    struct sim_socket *s = event->object;
    const struct sim_node *from = sim_other(s)->node;
    bool cut = sim_net_is_cut(sim, from, s->node) &&
               sim->now_us - sim->ways.cut_since_us[from->number][s->node->number] >= event->value * 2000000;
    bool wanted = s->conn != NULL && s->conn->keepalive_s > 0;
    if (s->open && !s->dead && !s->reset && wanted && (s->link->silent || cut)) sim_net_fail(s, -ETIMEDOUT);
    sim_net_event_over(s->link);
}

void sim_net_watch_keepalive(struct sim_socket *s)
{
    int seconds = s->conn != NULL ? s->conn->keepalive_s : 0;
    if (seconds <= 0 || s->dead) return;
    if (!s->link->silent && !sim_net_is_cut(s->link->sim, sim_other(s)->node, s->node)) return;
    s->link->events++;
    sim_after(s->link->sim, (int64_t)seconds * 2000000,
              (struct sim_event){.fire = on_keepalive, .object = s, .value = seconds});
}

void io_sim_net_peer_port(struct io_world *world, uint16_t port)
{
    sim_of_world(world)->peer_ports[port / 64] |= UINT64_C(1) << port % 64;
}

/* ---- ends ---- */

static bool is_of(const struct sim_link *link, const struct sim_node *node)
{
    for (int i = 0; i < 2; i++)
        if (link->ends[i].open && !link->ends[i].dead && link->ends[i].node == node) return true;
    return false;
}

/* A reset by hand: it waits for no way. */
static void on_reset_at_once(struct sim *sim, struct sim_event *event)
{
    struct sim_socket *s = event->object;
    if (s->open && !s->dead) sim_net_fail(s, -ECONNRESET);
    sim_net_event_over(s->link);
}

static void reset_both(struct sim_link *link)
{
    for (int i = 0; i < 2; i++)
        sim_net_schedule(&link->ends[i], 1 + (int64_t)prng_below(&link->sim->ways.random, 500),
                         on_reset_at_once, NULL, 0);
}

int io_sim_reset_connections(struct io_world *world)
{
    struct sim_node *node = sim_node_of(world);
    int count = 0;
    for (struct list *l = node->sim->sockets.next; l != &node->sim->sockets; l = l->next) {
        struct sim_link *link = LIST_OWNER(l, struct sim_link, link);
        if (!is_of(link, node)) continue;
        count++;
        reset_both(link);
    }
    return count;
}

/* Whoever holds this end is no more. */
static void socket_die(struct sim_socket *s)
{
    struct sim *sim = s->link->sim;
    s->dead = true;
    sim_net_drop_held(s);
    if (s->conn != NULL) {
        list_remove(&s->conn->readable);
        return; /* closed when its io is destroyed */
    }
    if (s->number >= 0) sim->numbers[s->number] = NULL;
    s->number = -1;
    sim_net_socket_close(s);
}

void sim_net_node_crash(struct sim_node *node, bool vanish)
{
    struct sim *sim = node->sim;
    sim_listen_node_crash(node);
    for (struct list *l = sim->sockets.next, *next; l != &sim->sockets; l = next) {
        next = l->next;
        struct sim_link *link = LIST_OWNER(l, struct sim_link, link);
        link->events++; /* it stays while we look at it */
        if (vanish && is_of(link, node) && link->ends[0].node != link->ends[1].node) sim_net_silence(link);
        for (int i = 0; i < 2; i++) {
            struct sim_socket *s = &link->ends[i];
            if (!s->open || s->node != node || s->dead) continue;
            if (!link->silent && sim_other(s)->open && sim_other(s)->node != node)
                sim_net_schedule(sim_other(s), sim_net_delay_us(sim, false), sim_net_on_reset, NULL, 0);
            socket_die(s);
        }
        sim_net_event_over(link);
    }
}

void sim_net_freeze(struct sim *sim)
{
    for (int a = 0; a < sim->node_count; a++)
        for (int b = 0; b < sim->node_count; b++) {
            way_set(sim, sim->ways.cuts, a, b, 0);
            way_set(sim, sim->ways.clogs, a, b, 0);
        }
    for (struct list *l = sim->sockets.next; l != &sim->sockets; l = l->next) {
        struct sim_link *link = LIST_OWNER(l, struct sim_link, link);
        if (link->silent) reset_both(link); /* and stays silent: what it carried is lost */
        for (int i = 0; i < 2; i++) link->ends[i].window = SIM_WINDOW_BYTES;
    }
}
