/* A whole node in one thread on virtual time: 3 shards and 2 clients over the simulated io. The production
 * objects run; only the door differs. The same seed must give the same trace hash, another seed another one;
 * replies must be right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/world.h"
#include "shard/node.h"
#include "shard/shard.h"

#define CLIENTS  2
#define ROUNDS   200
#define PORT     6379
#define LIMIT_US (60LL * 1000000)

struct sim {
    struct io_world *world;
    struct node *node;
};

static struct io *sim_io_create(void *context, int *error)
{
    return io_create(((struct sim *)context)->world, error);
}
static void sim_io_destroy(void *context, struct io *io)
{
    (void)context;
    io_destroy(io);
}
static bool sim_start(void *context, struct shard *shard)
{
    (void)context;
    (void)shard; /* the loop below turns every shard of the node */
    return true;
}
static void sim_join(void *context, struct shard *shard)
{
    (void)context;
    (void)shard;
}

/* A client: sends pipelines, collects reply bytes. */
struct client {
    struct io *io;
    struct io_conn *conn;
    bool connected, sending, closed;
    int round, index;
    char out[1024];
    char in[4096];
    size_t in_len, expected_len;
    char expected[4096];
};

static void next_round(struct client *c)
{
    int n = c->round++, i = c->index;
    /* Keys of all three shards, a transaction over several of them, reads back. */
    int len = snprintf(
        c->out, sizeof c->out,
        "SET a%d:%d %d\r\nSET b%d:%d x\r\nGET a%d:%d\r\nMULTI\r\nSET m%d 1\r\nSET n%d 2\r\nGET m%d\r\n"
        "EXEC\r\nGET b%d:%d\r\n",
        i, n, n, i, n, i, n, i, i, i, i, n);
    char number[16];
    int digits = snprintf(number, sizeof number, "%d", n);
    c->expected_len = (size_t)snprintf(
        c->expected, sizeof c->expected,
        "+OK\r\n+OK\r\n$%d\r\n%s\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+OK\r\n+OK\r\n"
        "$1\r\n1\r\n$1\r\nx\r\n",
        digits, number);
    c->in_len = 0;
    struct io_slice slice = {c->out, (size_t)len};
    c->sending = true;
    io_send(c->conn, &slice, 1);
}

static void client_turn(struct client *c)
{
    struct io_completion done[16];
    int count = io_wait(c->io, INT64_MAX, done, 16);
    for (int i = 0; i < count; i++) {
        switch (done[i].op) {
        case IO_CONNECT:
            assert_int_equal(done[i].result, 0);
            c->connected = true;
            next_round(c);
            break;
        case IO_SENT: c->sending = false; break;
        case IO_RECV:
            assert_true(done[i].result > 0 && c->in_len + (size_t)done[i].result <= sizeof c->in);
            memcpy(c->in + c->in_len, done[i].data, (size_t)done[i].result);
            c->in_len += (size_t)done[i].result;
            break;
        case IO_CLOSED: c->closed = true; break;
        default: break;
        }
    }
    if (!c->connected || c->sending || c->in_len < c->expected_len || c->round > ROUNDS) return;
    assert_int_equal(c->in_len, c->expected_len);
    assert_memory_equal(c->in, c->expected, c->expected_len);
    if (c->round == ROUNDS) {
        c->round++;
        io_close(c->conn);
    } else {
        next_round(c);
    }
}

static bool turn(struct shard *shard)
{
    if (!shard_get_up(shard, 0)) return false;
    io_sim_sleep(shard_io(shard), shard_lie_down(shard, 100000));
    return true;
}

/* Turns whoever has something to do; when nobody has, virtual time goes on to the next event or deadline. */
static void go_on(struct sim *sim, struct client *clients, bool *running)
{
    bool anybody = false;
    for (int i = 0; i < 3; i++) {
        if (!running[i] || !io_sim_ready(shard_io(sim->node->shards[i]))) continue;
        running[i] = turn(sim->node->shards[i]);
        anybody = true;
    }
    for (int i = 0; i < CLIENTS; i++) {
        if (clients[i].closed || !io_sim_ready(clients[i].io)) continue;
        client_turn(&clients[i]);
        anybody = true;
    }
    if (!anybody) io_sim_step(sim->world, LIMIT_US);
    assert_true(io_sim_now_us(sim->world) < LIMIT_US);
}

static uint64_t run(uint64_t seed)
{
    static const struct slab_memory memory = {io_memory_reserve, io_memory_unreserve, io_memory_decommit,
                                              NULL};
    struct sim sim = {.world = io_sim_world_create(seed)};
    struct node_host host = {.context = &sim,
                             .io_create = sim_io_create,
                             .io_destroy = sim_io_destroy,
                             .actor_start = sim_start,
                             .actor_join = sim_join};
    struct config config;
    char sentence[256];
    int error = 0;
    config_init(&config);
    config.shards = 3;
    config.port = PORT;
    config.protected_mode = false; /* simulated clients come from 10.0.0.1 */
    sim.node = node_create(&host, &config, &memory, 64u << 20, seed);
    assert_non_null(sim.node);
    for (uint16_t i = 0; i < 3; i++) {
        struct io *io = io_create(sim.world, &error);
        assert_true(node_add_rings(sim.node, i));
        sim.node->shards[i] = shard_create(sim.node, i, io, &config);
    }
    assert_int_equal(shard_listen(sim.node->shards[0], sentence, sizeof sentence), 0);
    for (int i = 0; i < 3; i++) shard_take_partitions(sim.node->shards[i]);
    static struct client clients[CLIENTS];
    memset(clients, 0, sizeof clients);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i].io = io_create(sim.world, &error);
        clients[i].index = i;
        clients[i].conn = io_connect(clients[i].io, "127.0.0.1", PORT, &clients[i], &error);
        assert_non_null(clients[i].conn);
    }
    bool running[3] = {true, true, true};
    for (int i = 0; i < 3; i++) turn(sim.node->shards[i]); /* the first turn sets deadlines */
    for (int i = 0; i < CLIENTS; i++) client_turn(&clients[i]);
    while (!clients[0].closed || !clients[1].closed) go_on(&sim, clients, running);
    node_stop(sim.node, 0);
    while (running[0] || running[1] || running[2]) go_on(&sim, clients, running);
    uint64_t hash = io_sim_trace_hash(sim.world);
    for (int i = 0; i < CLIENTS; i++) io_destroy(clients[i].io);
    for (int i = 0; i < 3; i++) {
        struct io *io = shard_io(sim.node->shards[i]);
        shard_destroy(sim.node->shards[i]);
        io_destroy(io);
    }
    node_destroy(sim.node);
    io_world_destroy(sim.world);
    config_free(&config);
    return hash;
}

static void same_seed_same_trace(void **state)
{
    (void)state;
    uint64_t first = run(42);
    assert_int_equal(first, run(42));
    assert_int_not_equal(first, run(43));
}

static void many_seeds_give_right_replies(void **state)
{
    (void)state;
    for (uint64_t seed = 100; seed < 120; seed++) run(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_seed_same_trace),
        cmocka_unit_test(many_seeds_give_right_replies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
