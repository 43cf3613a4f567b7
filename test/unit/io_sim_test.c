/* What is special to the simulated backend: virtual time, nodes, and above all that a seed decides
 * everything. */
#include "io_suite.h"
#include "base/prng.h"

/* ---- a workload: servers on two nodes echo, use the disk, wake each other; clients on a third ask ---- */

#define CLIENTS 6

struct load {
    struct io_world *world, *nodes[3];
    struct io *servers[4], *client;
    struct door doors[4];
    struct peer *peers[CLIENTS];
    struct file_user files;
    struct prng random;
    int asked, answered, partial, wakes;
};

static void serve(struct load *l, int i)
{
    struct io_completion out[8];
    int n = io_wait(l->servers[i], io_monotonic_us(l->servers[i]) + 700, out, 8);
    dispatch(out, n);
    if (n > 0 && prng_below(&l->random, 8) == 0) io_wake(l->servers[prng_below(&l->random, 4)]);
    if (n == 0) l->wakes++;
    for (int k = 0; k < n; k++)
        if (out[k].op == IO_RECV && out[k].result > 0)
            io_file_rename(l->servers[i], "none", "other", &l->files);
}

static void ask(struct load *l)
{
    struct io_completion out[8];
    static uint8_t bytes[70000];
    int n = io_wait(l->client, INT64_MAX, out, 8);
    dispatch(out, n);
    for (int k = 0; k < CLIENTS; k++) {
        struct peer *p = l->peers[k];
        if (p->connects == 0 || p->sending) continue;
        if (p->in_len < p->echo_len) { /* echo_len: how much is on its way back */
            if (p->in_len > 0) l->partial++;
            continue;
        }
        if (p->echo_len > 0) l->answered++;
        p->in_len = 0;
        p->echo_len = 1 + prng_below(&l->random, prng_below(&l->random, 4) == 0 ? sizeof(bytes) : 100);
        peer_send(p, bytes, p->echo_len);
        l->asked++;
    }
}

static uint64_t run_load(uint64_t seed, int64_t until_us, struct load *totals)
{
    struct load *l = calloc(1, sizeof(*l));
    int error;
    void *noise = malloc(1 + seed % 4096); /* other addresses for all that follows */
    prng_seed(&l->random, seed);
    l->files.kind = USER_FILE;
    l->world = l->nodes[0] = io_sim_world_create(seed);
    l->nodes[1] = io_sim_node(l->world, "east");
    l->nodes[2] = io_sim_node(l->world, "clients");
    for (int i = 0; i < 4; i++) {
        l->servers[i] = io_create(l->nodes[i / 2], &error);
        l->doors[i] = (struct door){.kind = USER_DOOR, .attach_to = l->servers[i], .echo = true};
        assert_int_equal(io_listen_tcp(l->servers[i], "0.0.0.0", (uint16_t)(6379 + i), 16, &l->doors[i],
                                       &l->doors[i].listener),
                         0);
    }
    l->client = io_create(l->nodes[2], &error);
    for (int k = 0; k < CLIENTS; k++) {
        l->peers[k] = peer_new();
        l->peers[k]->conn = io_connect(l->client, k % 4 < 2 ? "node-0" : "east", (uint16_t)(6379 + k % 4),
                                       l->peers[k], &error);
    }
    while (io_sim_now_us(l->world) < until_us) {
        for (int i = 0; i < 4; i++)
            if (io_sim_ready(l->servers[i])) serve(l, i);
        if (io_sim_ready(l->client)) ask(l);
        io_sim_step(l->world, until_us);
    }
    uint64_t hash = io_sim_trace_hash(l->world);
    if (totals != NULL) *totals = *l;
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < l->doors[i].accepted; k++) peer_free(l->doors[i].peers[k]);
        io_destroy(l->servers[i]);
    }
    io_destroy(l->client);
    for (int k = 0; k < CLIENTS; k++) peer_free(l->peers[k]);
    io_world_destroy(l->world); /* with bytes and file operations still on their way */
    free(noise);
    free(l);
    return hash;
}

static void the_same_seed_gives_the_same_run(void **state)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct load first, second;
        uint64_t hash = run_load(seed, 2000000, &first);
        void *noise = malloc(100000);
        assert_int_equal(run_load(seed, 2000000, &second), hash);
        free(noise);
        assert_int_equal(first.asked, second.asked);
        assert_int_equal(first.files.completions, second.files.completions);
        /* The run was about something. */
        assert_true(first.answered > 1000);
        assert_true(first.partial > 100);
        assert_true(first.files.completions > 1000);
        assert_true(first.wakes > 10);
    }
}

static void another_seed_gives_another_run(void **state)
{
    uint64_t hashes[40];
    for (uint64_t seed = 0; seed < 40; seed++) {
        hashes[seed] = run_load(seed, 1100000, NULL);
        for (uint64_t other = 0; other < seed; other++) assert_true(hashes[seed] != hashes[other]);
    }
    assert_true(run_load(1, 1100000, NULL) != run_load(1, 1100001, NULL) ||
                run_load(1, 1100000, NULL) != run_load(1, 1101000, NULL)); /* a longer run is another one */
}

static void the_harness_adds_to_the_trace(void **state)
{
    struct io_world *a = io_sim_world_create(5), *b = io_sim_world_create(5);
    assert_true(io_sim_trace_hash(a) == io_sim_trace_hash(b));
    io_sim_trace_note(a, 1);
    assert_true(io_sim_trace_hash(a) != io_sim_trace_hash(b));
    io_sim_trace_note(b, 1);
    assert_true(io_sim_trace_hash(a) == io_sim_trace_hash(b));
    io_sim_trace_note(a, 2);
    io_sim_trace_note(b, 3);
    assert_true(io_sim_trace_hash(a) != io_sim_trace_hash(b));
    io_world_destroy(a);
    io_world_destroy(b);
}

/* ---- time ---- */

static void time_moves_only_in_steps(void **state)
{
    struct io_world *world = io_sim_world_create(1);
    struct io_completion out[4];
    int error;
    struct io *a = io_create(world, &error), *b = io_create(world, &error);
    int64_t start_us = io_sim_now_us(world);
    assert_true(io_sim_ready(a)); /* a program that has not begun */
    assert_int_equal(io_wait(a, start_us + 5000, out, 4), 0);
    assert_int_equal(io_wait(b, start_us + 3000, out, 4), 0);
    assert_false(io_sim_ready(a) || io_sim_ready(b));
    assert_int_equal(io_monotonic_us(a), start_us);
    int64_t wall_us = io_realtime_us(a);
    assert_false(io_sim_step(world, start_us + 1000));
    assert_int_equal(io_sim_now_us(world), start_us + 1000);
    assert_true(io_sim_step(world, start_us + 100000));
    assert_int_equal(io_monotonic_us(b), start_us + 3000);
    assert_true(io_sim_ready(b) && !io_sim_ready(a));
    assert_int_equal(io_wait(b, INT64_MAX, out, 4), 0);
    assert_false(io_sim_ready(b));
    assert_true(io_sim_step(world, INT64_MAX));
    assert_true(io_sim_ready(a));
    assert_int_equal(io_realtime_us(b) - wall_us, 5000);
    assert_int_equal(io_wait(a, INT64_MAX, out, 4), 0);
    assert_false(io_sim_step(world, INT64_MAX)); /* nothing will ever happen: time stays */
    assert_int_equal(io_sim_now_us(world), start_us + 5000);
    io_wake(b);
    assert_true(io_sim_ready(b));
    assert_int_equal(io_wait(b, 0, out, 4), 0); /* a busy program comes again at once */
    assert_true(io_sim_ready(b));
    io_destroy(a);
    io_destroy(b);
    io_world_destroy(world);
}

static void a_day_passes_in_no_time(void **state)
{
    struct io_world *world = io_sim_world_create(1);
    struct io_completion out[4];
    int error, ticks = 0;
    struct io *io = io_create(world, &error);
    int64_t start_us = io_sim_now_us(world), day_us = INT64_C(86400) * 1000000;
    while (io_sim_now_us(world) < start_us + day_us) {
        io_wait(io, io_monotonic_us(io) + 1000000, out, 4);
        assert_true(io_sim_step(world, INT64_MAX));
        ticks++;
    }
    assert_int_equal(ticks, 86400);
    io_destroy(io);
    io_world_destroy(world);
}

/* ---- nodes ---- */

static void nodes_have_their_own_addresses_and_disks(void **state)
{
    struct suite s = {.world = io_sim_world_create(3), .max = 16, .simulated = true, .io_count = 3};
    struct io_world *east = io_sim_node(s.world, "east"), *west = io_sim_node(s.world, "west");
    struct door d[2];
    char address[IO_ADDRESS_MAX];
    size_t len;
    int error;
    assert_ptr_equal(io_sim_node(s.world, "east"), east);
    assert_string_equal(io_world_backend_name(east), "simulated");
    s.ios[0] = io_create(east, &error);
    s.ios[1] = io_create(west, &error);
    s.ios[2] = io_create(s.world, &error);
    for (int i = 0; i < 2; i++) { /* the same port on both */
        d[i] = (struct door){.kind = USER_DOOR, .attach_to = s.ios[i]};
        assert_int_equal(io_listen_tcp(s.ios[i], "0.0.0.0", 6379, 4, &d[i], &d[i].listener), 0);
    }
    struct io_listener *second;
    assert_int_equal(io_listen_tcp(s.ios[0], "0.0.0.0", 6379, 4, &d[0], &second), -EADDRINUSE);
    static const char *const to[] = {"east", "west", "10.0.0.2", "10.0.0.3", "127.0.0.1"};
    static const int reaches[] = {0, 1, 0, 1, 0};
    for (int i = 0; i < 5; i++) {
        int before = d[reaches[i]].accepted;
        struct peer *p = peer_new();
        p->conn = io_connect(s.ios[2], to[i], 6379, p, &error);
        UNTIL(&s, p->connects == 1 && d[reaches[i]].accepted == before + 1);
        assert_int_equal(p->connect_result, 0);
        io_peer_address(p->conn, address);
        assert_string_equal(address, reaches[i] == 0 ? "10.0.0.2:6379" : "10.0.0.3:6379");
        io_local_address(p->conn, address);
        assert_int_equal(strncmp(address, "10.0.0.1:", 9), 0);
        peer_close(&s, p);
    }
    struct peer *own = peer_new(); /* 127.0.0.1 is the own node, when it listens */
    own->conn = io_connect(s.ios[1], "127.0.0.1", 6379, own, &error);
    int before = d[1].accepted;
    UNTIL(&s, d[1].accepted == before + 1);
    peer_close(&s, own);
    struct peer *nobody = peer_new();
    nobody->conn = io_connect(s.ios[2], "west", 6380, nobody, &error);
    UNTIL(&s, nobody->connects == 1);
    assert_int_equal(nobody->connect_result, -ECONNREFUSED);
    peer_close(&s, nobody);

    assert_int_equal(io_file_store_atomic(s.ios[0], "data", "east's", 6), 0);
    assert_null(io_file_load(s.ios[1], "data", 100, &len, &error));
    assert_int_equal(error, -ENOENT);
    for (int i = 0; i < 2; i++) door_close(&s, &d[i]);
    io_destroy(s.ios[0]); /* the program on "east" ends, and starts again */
    io_world_destroy(east);
    s.ios[0] = io_create(io_sim_node(s.world, "east"), &error);
    char *text = io_file_load(s.ios[0], "data", 100, &len, &error);
    assert_string_equal(text, "east's");
    free(text);
    for (int i = 0; i < 3; i++) io_destroy(s.ios[i]);
    io_world_destroy(s.world);
}

/* ---- what the seed varies ---- */

/* Two connections, one byte each at the same moment: either may arrive first. One long send: its first piece
 * may be of any length, and it may take more than a turn. */
static void deliveries_vary_with_the_seed(void **state)
{
    int first[2] = {0, 0}, split = 0, whole = 0, delayed = 0, at_once = 0;
    static uint8_t bytes[1000];
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct suite *s = suite_create_seeded(SUITE_SIM, 2, seed);
        struct door d;
        uint16_t port = door_open(s, 0, &d, 0, false);
        struct peer *p[2] = {peer_connect(s, 1, port), peer_connect(s, 1, port)};
        UNTIL(s, d.accepted == 2);
        suite_settle(s);
        for (int i = 0; i < 2; i++) peer_send(p[i], i == 0 ? "a" : "b", 1);
        UNTIL(s, d.peers[0]->in_len + d.peers[1]->in_len > 0);
        int winner = d.peers[0]->in_len > 0 && d.peers[0]->in[0] == 'a';
        if (d.peers[0]->in_len + d.peers[1]->in_len == 1) first[winner]++;
        UNTIL(s, d.peers[0]->in_len == 1 && d.peers[1]->in_len == 1 && !p[0]->sending);
        d.peers[0]->in_len = 0;
        struct peer *to = d.peers[0];
        struct peer *from = to->in[0] == 'a' ? p[0] : p[1];
        UNTIL(s, !from->sending);
        peer_send(from, bytes, sizeof(bytes));
        suite_wait(s, 1, INT64_MAX);
        if (from->sending)
            delayed++;
        else
            at_once++;
        UNTIL(s, to->in_len > 0);
        if (to->in_len < sizeof(bytes))
            split++;
        else
            whole++;
        UNTIL(s, to->in_len == sizeof(bytes) && !from->sending);
        for (int i = 0; i < 2; i++) peer_close(s, p[i]);
        door_close(s, &d);
        suite_destroy(s);
    }
    assert_true(first[0] > 20 && first[1] > 20);
    assert_true(split > 10 && whole > 10);
    assert_true(delayed > 3 && at_once > 10);
}

/* File operations that were submitted together take effect in any order. */
static void disks_reorder(void **state)
{
    int last[2] = {0, 0};
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct suite *s = suite_create_seeded(SUITE_SIM, 1, seed);
        struct file_user u = {.kind = USER_FILE};
        struct io_file *f = io_file_open(s->ios[0], "f", IO_FILE_CREATE | IO_FILE_WRITE, &u);
        UNTIL(s, u.completions == 1);
        io_file_write(f, "0", 1, 0, &u);
        io_file_write(f, "1", 1, 0, &u);
        UNTIL(s, u.completions == 3);
        size_t len;
        int error;
        char *text = io_file_load(s->ios[0], "f", 10, &len, &error);
        last[text[0] - '0']++;
        free(text);
        io_file_close(f, &u);
        UNTIL(s, u.completions == 4);
        suite_destroy(s);
    }
    assert_true(last[0] > 5 && last[1] > 5);
}

static void entropy_comes_from_the_seed(void **state)
{
    uint64_t drawn[4];
    for (int i = 0; i < 4; i++) {
        int error;
        struct io_world *world = io_sim_world_create((uint64_t)i / 2);
        struct io *io = io_create(i == 3 ? io_sim_node(world, "other") : world, &error);
        struct io_usage usage;
        io_entropy(io, &drawn[i], sizeof(drawn[i]));
        io_usage(io, &usage);
        assert_int_equal(usage.user_us + usage.system_us + usage.resident_bytes, 0);
        io_destroy(io);
        io_world_destroy(world);
    }
    assert_true(drawn[0] == drawn[1]);
    assert_true(drawn[1] != drawn[2]); /* another seed */
    assert_true(drawn[2] != drawn[3]); /* another node */
}

int main(int argc, char **argv)
{
    if (argc > 1) { /* one run, for comparing builds: io_sim_test SEED */
        printf("%016llx\n", (unsigned long long)run_load(strtoull(argv[1], NULL, 10), 3000000, NULL));
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_run),
        cmocka_unit_test(another_seed_gives_another_run),
        cmocka_unit_test(the_harness_adds_to_the_trace),
        cmocka_unit_test(time_moves_only_in_steps),
        cmocka_unit_test(a_day_passes_in_no_time),
        cmocka_unit_test(nodes_have_their_own_addresses_and_disks),
        cmocka_unit_test(deliveries_vary_with_the_seed),
        cmocka_unit_test(disks_reorder),
        cmocka_unit_test(entropy_comes_from_the_seed),
    };
    return cmocka_run_group_tests_name("simulated", tests, NULL, NULL);
}
