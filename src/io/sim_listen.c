/* The simulated network's listeners, and how a connect finds one.
 *
 * Addresses: node i is 10.0.0.i+1; a connect goes to a node's name or that address, or, with any other
 * address, to the own node's listener on the port, or else to the first node that has one.
 *
 * A connect is a request that travels to the listener and an answer that travels back. A request over a cut
 * or clogged way is sent again after 1, 2, 4 … s; in the end the connect gets ETIMEDOUT. Tests:
 * test/unit/io_listen_test.c, sim_fault_test.c.
 */
#include "io/sim_net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_TRIES 5 /* 31 s in all */

/* ---- listeners ---- */

static int listener_create(struct sim_io *s, const char *path, uint16_t port, int backlog, void *user,
                           struct io_listener **out)
{
    struct sim *sim = sim_of_io(s);
    if (s->dead) return -ENETDOWN;
    if (sim_fault_hit(s->node, IO_SIM_NET_LISTEN_ERROR)) return -EADDRINUSE;
    for (struct list *l = sim->listeners.next; l != &sim->listeners; l = l->next) {
        struct sim_listener *have = LIST_OWNER(l, struct sim_listener, link);
        bool same = path != NULL ? have->path != NULL && strcmp(path, have->path) == 0
                                 : have->path == NULL && have->port == port;
        if (same && have->node == s->node && !have->dead) return -EADDRINUSE;
    }
    struct sim_listener *l = calloc(1, sizeof(*l));
    CHECK(l != NULL);
    l->base.io = &s->base;
    l->node = s->node;
    l->user = user;
    l->path = path != NULL ? strdup(path) : NULL;
    l->port = port;
    l->id = ++sim->listener_ids;
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
    while (l->waiting_count > 0) sim_net_socket_close(take_waiting(l));
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

void sim_listen_node_crash(struct sim_node *node)
{
    for (struct list *i = node->sim->listeners.next; i != &node->sim->listeners; i = i->next) {
        struct sim_listener *l = LIST_OWNER(i, struct sim_listener, link);
        if (l->node != node || l->dead) continue;
        l->dead = true;
        l->waiting_count = 0; /* those who waited are dead like all sockets of the node */
        list_remove(&l->acceptable);
    }
}

struct sim_listener *sim_listen_any(struct sim_node *node, uint64_t chosen)
{
    for (int round = 0, count = 0; round < 2; round++) {
        int want = round == 0 || count == 0 ? -1 : (int)(chosen % (uint64_t)count);
        count = 0;
        for (struct list *i = node->sim->listeners.next; i != &node->sim->listeners; i = i->next) {
            struct sim_listener *l = LIST_OWNER(i, struct sim_listener, link);
            if (l->node != node || l->dead || l->path != NULL) continue;
            if (count++ == want) return l;
        }
    }
    return NULL;
}

/* ---- accepting ---- */

static void make_acceptable(struct sim_listener *l)
{
    struct sim_io *s = sim_of(l->base.io);
    if (!list_linked(&l->acceptable)) list_append(&s->acceptable, &l->acceptable);
    s->maybe_ready = true;
}

static void on_accept_again(struct sim *sim, struct sim_event *event)
{
    for (struct list *i = sim->listeners.next; i != &sim->listeners; i = i->next) {
        struct sim_listener *l = LIST_OWNER(i, struct sim_listener, link);
        if (l->id != (uint64_t)event->value || l->dead) continue;
        l->refusing = false;
        if (l->waiting_count > 0) make_acceptable(l);
    }
}

/* As the real backends do: says so once, and tries again a little later. */
static struct io_completion accept_fails(struct sim *sim, struct sim_listener *l)
{
    l->refusing = true;
    list_remove(&l->acceptable);
    sim_after(sim, sim->faults.values[IO_SIM_NET_ACCEPT_ERROR],
              (struct sim_event){.fire = on_accept_again, .value = (int64_t)l->id});
    return (struct io_completion){
        .user = l->user, .op = IO_ACCEPT, .socket = IO_SOCKET_NONE, .result = -EMFILE};
}

int sim_net_accept_all(struct sim_io *s, struct io_completion *out, int n, int max)
{
    while (!list_empty(&s->acceptable) && n < max) {
        struct sim_listener *l = LIST_OWNER(s->acceptable.next, struct sim_listener, acceptable);
        if (sim_fault_hit(s->node, IO_SIM_NET_ACCEPT_ERROR)) {
            out[n++] = accept_fails(sim_of_io(s), l);
            continue;
        }
        struct sim_socket *socket = take_waiting(l);
        out[n++] = (struct io_completion){
            .user = l->user, .op = IO_ACCEPT, .socket = sim_net_number_of(sim_of_io(s), socket)};
        if (l->waiting_count == 0) list_remove(&l->acceptable);
    }
    return n;
}

bool sim_listen_enqueue(struct sim_listener *l, struct sim_socket *client)
{
    struct sim_socket *server = sim_other(client);
    struct sim *sim = client->link->sim;
    if (l->dead || l->waiting_count == l->backlog) return false;
    server->node = l->node;
    server->open = true;
    client->link->peer = l->path == NULL && (sim->peer_ports[l->port / 64] >> l->port % 64 & 1);
    l->waiting[(l->waiting_head + l->waiting_count++) % l->backlog] = server;
    if (!l->refusing) make_acceptable(l);
    if (l->path != NULL)
        snprintf(server->address, IO_ADDRESS_MAX, "%.100s:0", l->path);
    else
        snprintf(server->address, IO_ADDRESS_MAX, "10.0.0.%d:%u", l->node->number + 1, l->port);
    if (l->path != NULL) memcpy(client->address, server->address, IO_ADDRESS_MAX);
    return true;
}

/* ---- finding ---- */

static struct sim_node *node_of_address(struct sim *sim, const char *address)
{
    char text[32];
    for (int i = 0; i < sim->node_count; i++) {
        struct sim_node *node = sim->by_number[i];
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
        if (have->dead || !match || (to != NULL && have->node != to)) continue;
        if (found == NULL || (have->node == from && found->node != from)) found = have;
    }
    return found;
}

/* ---- connecting ---- */

static void connect_over(struct sim_socket *s, int result)
{
    struct sim_conn *c = s->conn;
    if (c == NULL || !c->state.connecting) return;
    conn_finish_connect(&c->state, result);
    sim_net_complete(c);
}

static void on_connected(struct sim *sim, struct sim_event *event)
{
    struct sim_socket *s = event->object;
    if (sim_net_intercepts(s, event)) return;
    connect_over(s, (int)event->value);
    sim_net_event_over(s->link);
}

/* Nobody has answered. */
static void on_given_up(struct sim *sim, struct sim_event *event)
{
    struct sim_socket *s = event->object;
    connect_over(s, -ETIMEDOUT);
    sim_net_event_over(s->link);
}

/* The way to where the address points is not open, or the machine there is. */
static bool is_lost(struct sim *sim, struct sim_socket *client, const char *address, struct sim_listener *l)
{
    struct sim_node *to = l != NULL ? l->node : node_of_address(sim, address);
    return to != NULL && sim->ways.blocked > 0 && sim_net_is_blocked(sim, client->node, to);
}

/* The request has come to where the address points to: `data` is the address, `value` the port, `len` how
 * many requests were lost. */
static void on_request(struct sim *sim, struct sim_event *event)
{
    struct sim_socket *client = event->object, *server = sim_other(client);
    struct sim_listener *l = find_listener(sim, client->node, (char *)event->data, (uint16_t)event->value);
    if (client->open && !client->dead && is_lost(sim, client, (char *)event->data, l)) {
        struct sim_event again = *event; /* keeps the address, and the link's reference */
        bool over = ++again.len > REQUEST_TRIES;
        if (over) {
            free(again.data);
            again = (struct sim_event){.fire = on_given_up, .object = client};
        }
        sim_after(sim, over ? 0 : INT64_C(500000) << again.len, again);
        return;
    }
    if (client->link->silent || client->dead) {
        free(event->data);
        sim_net_event_over(client->link);
        return;
    }
    int result = -ECONNREFUSED;
    int64_t back_us = sim_net_delay_us(sim, false);
    if (client->open && l != NULL && sim_listen_enqueue(l, client)) {
        result = 0;
        /* The server's first bytes must not overtake the news that there is a connection. */
        server->last_arrival_us = sim->now_us + back_us;
    }
    client->link->events++;
    sim_after(sim, back_us, (struct sim_event){.fire = on_connected, .object = client, .value = result});
    free(event->data);
    sim_net_event_over(client->link);
}

/* A connect fault that takes the request; false: there is none. */
static bool connect_faults(struct sim_socket *client)
{
    struct sim_node *node = client->node;
    struct sim *sim = node->sim;
    if (sim_fault_hit(node, IO_SIM_NET_SLOW_READER))
        for (int i = 0; i < 2; i++)
            client->link->ends[i].window = (size_t)sim_fault_amount(sim, IO_SIM_NET_SLOW_READER);
    struct sim_event event = {.object = client};
    int64_t delay_us = 0;
    if (sim_fault_hit(node, IO_SIM_NET_REFUSED)) {
        event.fire = on_connected;
        event.value = -ECONNREFUSED;
        delay_us = 1 + (int64_t)sim_fault_below(sim, IO_SIM_NET_REFUSED, 1000);
    } else if (sim_fault_hit(node, IO_SIM_NET_CONNECT_TIMEOUT)) {
        event.fire = on_given_up;
        delay_us = sim_fault_amount(sim, IO_SIM_NET_CONNECT_TIMEOUT);
    }
    if (event.fire == NULL) return false;
    client->link->events++;
    sim_after(sim, delay_us, event);
    return true;
}

void sim_listen_request(struct sim_socket *client, const char *address, uint16_t port)
{
    struct sim *sim = client->link->sim;
    if (client->node->faulty && connect_faults(client)) return;
    int64_t delay_us = sim_net_delay_us(sim, false);
    client->last_arrival_us = sim->now_us + delay_us;
    client->link->events++;
    sim_after(sim, delay_us,
              (struct sim_event){.fire = on_request,
                                 .object = client,
                                 .data = sim_copy(address, strlen(address) + 1),
                                 .value = port});
}
