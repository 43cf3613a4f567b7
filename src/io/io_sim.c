/* io in a simulated world: any number of nodes in one thread, on virtual time, repeatable from a seed.
 *
 * A world is a heap of events by (time, order of creation), the nodes with their disks, and the ios of the
 * programs that run on the nodes. Nothing happens by itself: the harness calls io_sim_step(), which moves the
 * clock to the next event or io_wait() deadline and fires it; that makes some io ready; the harness lets its
 * program take a turn, whose io_wait() never sleeps.
 *
 * Chance comes from separate streams, so that drawing more of one does not shift the others: `network`
 * (delays, how bytes are cut), `schedule` (which of several ready connections comes first), of each node
 * `disk` and `entropy`, and of each fault its own.
 *
 * Invariants
 *  1. The clock never goes back, and moves only in io_sim_step().
 *  2. Everything put out by io_wait() goes into the trace hash: time, kind, node, io, result, bytes.
 *     Addresses of objects never do, nor do they decide an order.
 *  3. Received bytes are a heap block of their own, freed at the next io_wait(): a sanitizer sees who keeps
 *     them.
 *
 * Cost: an event is a place in a heap, so is an io's deadline; io_sim_ready() is one load for an io that has
 * nothing to do.
 *
 * Files: sim_net.c (sockets), sim_file.c (disks), sim_fault.c (faults); this one is world, time and turn.
 * Tests: test/unit/io_*_test.c run over every backend; io_sim_test.c has what is special here.
 */
#include "io/sim.h"
#include "base/hash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct io_world_ops sim_world_ops;

/* ---- events ---- */

static bool earlier(const struct sim_event *a, const struct sim_event *b)
{
    return a->time_us != b->time_us ? a->time_us < b->time_us : a->sequence < b->sequence;
}

void sim_after(struct sim *sim, int64_t delay_us, struct sim_event event)
{
    CHECK(delay_us >= 0);
    event.time_us = sim->now_us + delay_us;
    event.sequence = sim->sequence++;
    if (sim->heap_len == sim->heap_room) {
        sim->heap_room = sim->heap_room > 0 ? sim->heap_room * 2 : 64;
        sim->heap = realloc(sim->heap, sim->heap_room * sizeof(*sim->heap));
        CHECK(sim->heap != NULL);
    }
    size_t i = sim->heap_len++;
    for (; i > 0 && earlier(&event, &sim->heap[(i - 1) / 2]); i = (i - 1) / 2)
        sim->heap[i] = sim->heap[(i - 1) / 2];
    sim->heap[i] = event;
}

static struct sim_event take_first(struct sim *sim)
{
    struct sim_event first = sim->heap[0], last = sim->heap[--sim->heap_len];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < sim->heap_len && earlier(&sim->heap[child + 1], &sim->heap[child])) child++;
        if (child >= sim->heap_len || !earlier(&sim->heap[child], &last)) break;
        sim->heap[i] = sim->heap[child];
        i = child;
    }
    sim->heap[i] = last;
    return first;
}

/* ---- deadlines ---- */

static bool sooner(const struct sim_io *a, const struct sim_io *b)
{
    return a->deadline_us != b->deadline_us ? a->deadline_us < b->deadline_us : a->id < b->id;
}

static void deadline_put(struct sim *sim, struct sim_io *s, size_t place)
{
    sim->deadlines[place] = s;
    s->deadline_place = place;
}

/* Moves `s` from `place`, which is free for it, to where it belongs. */
static void deadline_sift(struct sim *sim, struct sim_io *s, size_t place)
{
    for (; place > 0 && sooner(s, sim->deadlines[(place - 1) / 2]); place = (place - 1) / 2)
        deadline_put(sim, sim->deadlines[(place - 1) / 2], place);
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= sim->deadline_count) break;
        if (child + 1 < sim->deadline_count && sooner(sim->deadlines[child + 1], sim->deadlines[child]))
            child++;
        if (!sooner(sim->deadlines[child], s)) break;
        deadline_put(sim, sim->deadlines[child], place);
        place = child;
    }
    deadline_put(sim, s, place);
}

/* INT64_MAX: none. */
static void deadline_set(struct sim_io *s, int64_t deadline_us)
{
    struct sim *sim = sim_of_io(s);
    bool was = s->deadline_place != SIZE_MAX;
    s->deadline_us = deadline_us;
    if (was && deadline_us == INT64_MAX) {
        size_t place = s->deadline_place;
        struct sim_io *last = sim->deadlines[--sim->deadline_count];
        s->deadline_place = SIZE_MAX;
        if (last != s) deadline_sift(sim, last, place);
    } else if (was) {
        deadline_sift(sim, s, s->deadline_place);
    } else if (deadline_us != INT64_MAX) {
        if (sim->deadline_count == sim->deadline_room) {
            sim->deadline_room = sim->deadline_room > 0 ? sim->deadline_room * 2 : 64;
            sim->deadlines = realloc(sim->deadlines, sim->deadline_room * sizeof(sim->deadlines[0]));
            CHECK(sim->deadlines != NULL);
        }
        deadline_sift(sim, s, sim->deadline_count++);
    }
}

uint8_t *sim_copy(const void *data, size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    CHECK(copy != NULL);
    if (len > 0) memcpy(copy, data, len);
    return copy;
}

/* ---- the world ---- */

struct sim_node *sim_node_of(const struct io_world *world)
{
    CHECK(world->ops == &sim_world_ops);
    return (struct sim_node *)(uintptr_t)world;
}
struct sim *sim_of_world(const struct io_world *world)
{
    return sim_node_of(world)->sim;
}

static struct sim_node *node_create(struct sim *sim, const char *name)
{
    struct sim_node *node = calloc(1, sizeof(*node));
    CHECK(node != NULL);
    node->base.ops = &sim_world_ops;
    node->sim = sim;
    snprintf(node->name, sizeof(node->name), "%s", name);
    CHECK(sim->node_count < IO_SIM_NODES_MAX);
    node->number = sim->node_count++;
    sim->by_number[node->number] = node;
    list_append(&sim->nodes, &node->link);
    prng_seed(&node->entropy, hash_bytes("entropy", 7, sim->seed + (uint64_t)node->number));
    prng_seed(&node->disk, hash_bytes("disk", 4, sim->seed + (uint64_t)node->number));
    sim_disk_node_init(node);
    sim_clock_node_init(node);
    sim_fault_node_init(node);
    return node;
}

struct io_world *io_sim_world_create(uint64_t seed)
{
    struct sim *sim = calloc(1, sizeof(*sim));
    CHECK(sim != NULL);
    struct list *lists[] = {&sim->nodes, &sim->ios, &sim->listeners, &sim->sockets};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) list_init(lists[i]);
    sim->seed = sim->trace = seed;
    sim->now_us = 1000000; /* not 0: "never" and "at the beginning" are different things */
    sim->next_port = 40000;
    sim->next_client_port = 50000;
    prng_seed(&sim->network, hash_bytes("network", 7, seed));
    prng_seed(&sim->ways.random, hash_bytes("ways", 4, seed));
    prng_seed(&sim->schedule, hash_bytes("schedule", 8, seed));
    sim_fault_init(sim);
    return &node_create(sim, "node-0")->base;
}

struct io_world *io_sim_node(struct io_world *world, const char *name)
{
    struct sim *sim = sim_of_world(world);
    for (struct list *l = sim->nodes.next; l != &sim->nodes; l = l->next) {
        struct sim_node *node = LIST_OWNER(l, struct sim_node, link);
        if (strcmp(node->name, name) == 0) return &node->base;
    }
    return &node_create(sim, name)->base;
}

static void sim_world_destroy(struct io_world *world)
{
    struct sim *sim = sim_of_world(world);
    if (((struct sim_node *)world)->number > 0) return; /* a node's program has ended; its disk stays */
    CHECK(list_empty(&sim->ios));
    sim_net_destroy(sim);
    for (size_t i = 0; i < sim->heap_len; i++) free(sim->heap[i].data);
    while (!list_empty(&sim->nodes)) {
        struct sim_node *node = LIST_OWNER(sim->nodes.next, struct sim_node, link);
        list_remove(&node->link);
        sim_disk_node_destroy(node);
        free(node);
    }
    free(sim->heap);
    free(sim->deadlines);
    free(sim->numbers);
    free(sim);
}

int64_t io_sim_now_us(const struct io_world *world)
{
    return sim_of_world(world)->now_us;
}
uint64_t io_sim_trace_hash(const struct io_world *world)
{
    return sim_of_world(world)->trace;
}

void io_sim_trace_note(struct io_world *world, uint64_t word)
{
    struct sim *sim = sim_of_world(world);
    sim->trace = hash_bytes(&word, sizeof(word), sim->trace);
}

bool io_sim_step(struct io_world *world, int64_t not_after_us)
{
    struct sim *sim = sim_of_world(world);
    struct sim_io *first = sim->deadline_count > 0 ? sim->deadlines[0] : NULL;
    int64_t event_us = sim->heap_len > 0 ? sim->heap[0].time_us : INT64_MAX;
    int64_t deadline_us = first != NULL ? first->deadline_us : INT64_MAX;
    int64_t next_us = event_us <= deadline_us ? event_us : deadline_us;
    if (next_us == INT64_MAX || next_us > not_after_us) {
        if (not_after_us != INT64_MAX && not_after_us > sim->now_us) sim->now_us = not_after_us;
        return false;
    }
    if (next_us > sim->now_us) sim->now_us = next_us;
    if (event_us <= deadline_us) {
        struct sim_event event = take_first(sim);
        event.fire(sim, &event);
    } else {
        deadline_set(first, INT64_MAX);
        first->deadline_fired = first->maybe_ready = true;
    }
    return true;
}

void io_sim_node_crash(struct io_world *world, enum io_sim_crash how, bool vanish)
{
    struct sim_node *node = sim_node_of(world);
    struct sim *sim = node->sim;
    for (struct list *l = sim->ios.next; l != &sim->ios; l = l->next) {
        struct sim_io *s = LIST_OWNER(l, struct sim_io, link);
        if (s->node != node || s->dead) continue;
        sim_file_io_crash(s);
        s->dead = true;
        deadline_set(s, INT64_MAX);
    }
    if (how == IO_SIM_POWER_LOSS) sim_disk_power_loss(node);
    node->read_only = false;
    node->disk_stalled_until_us = 0;
    sim_net_node_crash(node, vanish);
    io_sim_trace_note(world, hash_bytes("crash", 5, (uint64_t)node->number));
}

/* ---- an io ---- */

struct sim_chunk {
    struct sim_chunk *next;
    uint8_t data[];
};

uint8_t *sim_chunk_take(struct sim_io *s, const void *data, size_t len)
{
    struct sim_chunk *chunk = malloc(sizeof(*chunk) + len + IO_RECV_SLACK);
    CHECK(chunk != NULL);
    memcpy(chunk->data, data, len);
    memset(chunk->data + len, 0xEE, IO_RECV_SLACK);
    chunk->next = s->chunks;
    s->chunks = chunk;
    s->turn_bytes += len;
    return chunk->data;
}

static void free_chunks(struct sim_io *s)
{
    while (s->chunks != NULL) {
        struct sim_chunk *next = s->chunks->next;
        free(s->chunks);
        s->chunks = next;
    }
    s->turn_bytes = 0;
}

static void trace(struct sim_io *s, const struct io_completion *c)
{
    struct sim *sim = sim_of_io(s);
    int64_t words[] = {sim->now_us, c->op, s->node->number, s->number, c->result, c->socket};
    sim->trace = hash_bytes(words, sizeof(words), sim->trace);
    if (c->op == IO_RECV && c->result > 0) sim->trace = hash_bytes(c->data, (size_t)c->result, sim->trace);
}

static bool is_ready(const struct sim_io *s)
{
    return !s->dead && (s->woken || s->deadline_fired || sim_net_ready(s) || !list_empty(&s->files_done));
}

static int sim_turn(struct io *io, int64_t deadline_us, struct io_completion *out, int max)
{
    struct sim_io *s = sim_of(io);
    CHECK(max > 0);
    free_chunks(s);
    if (s->dead) return 0;
    s->woken = s->deadline_fired = false;
    int n = sim_net_put_done(s, &s->done_lazy, out, 0, max); /* those of earlier turns: what is new waits */
    sim_net_send_all(s);
    n = sim_net_put_done(s, &s->done, out, n, max);
    n = sim_file_put_done(s, out, n, max);
    n = sim_net_accept_all(s, out, n, max);
    n = sim_net_receive_all(s, out, n, max);
    for (int i = 0; i < n; i++) trace(s, &out[i]);
    deadline_set(s, deadline_us > sim_of_io(s)->now_us ? deadline_us : INT64_MAX);
    if (deadline_us <= sim_of_io(s)->now_us)
        s->deadline_fired = true; /* the caller is busy and comes again */
    s->maybe_ready = is_ready(s);
    return n;
}

void io_sim_sleep(struct io *io, int64_t deadline_us)
{
    struct sim_io *s = sim_of(io);
    if (s->dead) return;
    sim_net_send_all(s);
    deadline_set(s, deadline_us > sim_of_io(s)->now_us ? deadline_us : INT64_MAX);
    s->deadline_fired = deadline_us <= sim_of_io(s)->now_us;
    s->maybe_ready = is_ready(s);
}

bool io_sim_ready(struct io *io)
{
    struct sim_io *s = sim_of(io);
#ifdef __SANITIZE_ADDRESS__
    CHECK(s->maybe_ready || !is_ready(s));
#endif
    return s->maybe_ready && is_ready(s);
}

void io_sim_look_cost(struct io *io, int64_t us)
{
    sim_of(io)->look_cost_us = us;
}

int64_t io_sim_turn_cost(struct io *io)
{
    int64_t cost_us = sim_of(io)->looked_us;
    sim_of(io)->looked_us = 0;
    return cost_us;
}

static void sim_wake(struct io *target)
{
    sim_of(target)->woken = sim_of(target)->maybe_ready = true;
}
static int64_t sim_monotonic_us(struct io *io)
{
    struct sim_io *s = sim_of(io);
    s->looked_us += s->look_cost_us;
    return sim_of_io(s)->now_us + s->looked_us;
}
static int64_t sim_realtime_us(struct io *io)
{
    return sim_clock_realtime_us(sim_of(io)->node);
}

static void sim_entropy(struct io *io, void *buf, size_t len)
{
    uint8_t *p = buf;
    for (size_t i = 0; i < len; i++) p[i] = (uint8_t)(prng_next(&sim_of(io)->node->entropy) >> 56);
}

static void sim_usage(struct io *io, struct io_usage *out)
{
    memset(out, 0, sizeof(*out));
}
static void sim_stall(struct io *io, int64_t us) {}

static void sim_destroy(struct io *io)
{
    struct sim_io *s = sim_of(io);
    deadline_set(s, INT64_MAX);
    sim_net_io_destroy(s);
    sim_file_io_destroy(s);
    free_chunks(s);
    list_remove(&s->link);
    free(s);
}

static const struct io_ops sim_ops = {
    .destroy = sim_destroy,
    .monotonic_us = sim_monotonic_us,
    .realtime_us = sim_realtime_us,
    .entropy = sim_entropy,
    .usage = sim_usage,
    .stall = sim_stall,
    .wait = sim_turn,
    .wake = sim_wake,
    .listen_tcp = sim_listen_tcp,
    .listen_unix = sim_listen_unix,
    .unlisten = sim_unlisten,
    .listener_port = sim_listener_port,
    .attach = sim_attach,
    .connect = sim_connect,
    .detach = sim_detach,
    .close = sim_close,
    .discard = sim_discard,
    .recv_pause = sim_recv_pause,
    .recv_resume = sim_recv_resume,
    .send = sim_send,
    .set_keepalive = sim_set_keepalive,
    .peer_address = sim_peer_address,
    .local_address = sim_local_address,
    .conn_fd = sim_conn_fd,
    .file_open = sim_file_open,
    .file_read = sim_file_read,
    .file_write = sim_file_write,
    .file_sync = sim_file_sync,
    .file_close = sim_file_close,
    .file_rename = sim_file_rename,
    .file_unlink = sim_file_unlink,
    .file_load = sim_file_load,
    .file_store_atomic = sim_file_store_atomic,
    .file_append = sim_file_append,
    .file_remove = sim_file_remove,
    .file_glob = sim_file_glob,
};

static struct io *sim_io_create(struct io_world *world, int *error)
{
    struct sim_node *node = (struct sim_node *)world;
    struct sim_io *s = calloc(1, sizeof(*s));
    *error = -ENOMEM;
    if (s == NULL) return NULL;
    *error = 0;
    s->base.ops = &sim_ops;
    s->base.world = world;
    s->node = node;
    s->number = node->io_count++;
    s->deadline_us = INT64_MAX;
    s->deadline_place = SIZE_MAX;
    s->id = node->sim->io_ids++;
    s->maybe_ready = s->deadline_fired = true; /* its program has not had its first turn */
    sim_net_io_init(s);
    sim_file_io_init(s);
    list_append(&node->sim->ios, &s->link);
    return &s->base;
}

static const struct io_world_ops sim_world_ops = {
    .name = "simulated",
    .create = sim_io_create,
    .destroy = sim_world_destroy,
};
