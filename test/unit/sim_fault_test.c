/* Faults of the simulated world: each one fires, is counted, and does what its row says; with all off nothing
 * changes. Here the table, the network, crashes and clocks; sim_disk_test.c has the disk, sim_store_test.c
 * the object store. `sim_fault_test page` prints docs/simulator-faults.md. */
#include "io_suite.h"
#include "io/sim_fault.h"
#include "base/prng.h"

#define MILLION 1000000
#define PORT    7000

/* ---- a server and a client on two nodes of their own ---- */

struct duo {
    struct suite s; /* ios: the server's, the client's */
    struct io_world *server, *client;
    struct door door;
    struct peer *peers[8];
    int peer_count;
};

static struct duo *duo_new_with(uint64_t seed, enum io_sim_fault fault, uint32_t rate)
{
    struct duo *d = calloc(1, sizeof(*d));
    int error;
    d->s = (struct suite){.world = io_sim_world_create(seed), .max = 64, .simulated = true, .io_count = 2};
    d->server = io_sim_node(d->s.world, "server");
    d->client = io_sim_node(d->s.world, "client");
    d->s.ios[0] = io_create(d->server, &error);
    d->s.ios[1] = io_create(d->client, &error);
    d->door = (struct door){.kind = USER_DOOR, .attach_to = d->s.ios[0]};
    assert_int_equal(io_listen_tcp(d->s.ios[0], "0.0.0.0", PORT, 32, &d->door, &d->door.listener), 0);
    if (rate > 0) io_sim_fault_set(d->s.world, fault, rate);
    return d;
}

static struct duo *duo_new(uint64_t seed)
{
    return duo_new_with(seed, 0, 0);
}

static void duo_free(struct duo *d)
{
    for (int i = 0; i < 2; i++) io_destroy(d->s.ios[i]);
    io_world_destroy(d->s.world);
    for (int i = 0; i < d->door.accepted; i++) peer_free(d->door.peers[i]);
    for (int i = 0; i < d->peer_count; i++) peer_free(d->peers[i]);
    free(d);
}

/* The world goes on for that long. */
static void go_on(struct duo *d, int64_t us)
{
    int64_t until_us = io_sim_now_us(d->s.world) + us;
    for (;;) {
        int n = 0;
        for (int i = 0; i < 2; i++)
            if (io_sim_ready(d->s.ios[i])) n += 1 + suite_wait(&d->s, i, INT64_MAX);
        if (n == 0 && !io_sim_step(d->s.world, until_us)) return;
    }
}

static struct peer *duo_begin(struct duo *d)
{
    int error;
    struct peer *p = d->peers[d->peer_count++] = peer_new();
    p->conn = io_connect(d->s.ios[1], "server", PORT, p, &error);
    assert_non_null(p->conn);
    return p;
}

/* A connection that is up at both ends; the server's is the door's last. */
static struct peer *duo_connect(struct duo *d)
{
    int before = d->door.accepted;
    struct peer *p = duo_begin(d);
    UNTIL(&d->s, p->connects == 1 && d->door.accepted == before + 1);
    assert_int_equal(p->connect_result, 0);
    return p;
}

static struct peer *far_end(struct duo *d)
{
    return d->door.peers[d->door.accepted - 1];
}

static uint64_t fired(struct duo *d, enum io_sim_fault fault)
{
    return io_sim_fault_fired(d->s.world, fault);
}

static int64_t now_us(struct duo *d)
{
    return io_sim_now_us(d->s.world);
}

/* ---- the table ---- */

static void print_page(FILE *out)
{
    fprintf(
        out,
        "# Faults of the simulated world\n\n"
        "The table of `src/io/sim_fault.h`. A rate is per million of its unit, 0 at first: then a fault "
        "has no effect at\nall. Where a fault has a parameter (@ in its text), its default stands beside "
        "it. Each fault draws from a random\nstream of its own, so that switching one on does not shift "
        "what the others do.\n\n"
        "This page is what `build/debug/test/unit/sim_fault_test page` prints; the test compares them.\n\n"
        "Units: SEGMENT: of a send, as it goes onto the wire (up to 16 KiB). RECEIVE, ACCEPT, ATTACH, "
        "LISTEN, CONNECT: of such a\ncall. TICK: each 100 ms of the world. NODE_TICK: each 100 ms of each "
        "node. NODE: of each node, when the rate is set or\nthe node is made. READ, WRITE, SYNC, OPEN, "
        "NAME (create, rename, unlink), OPERATION (any asynchronous one): of files.\nCRASH_FILE: of each "
        "file with unsynced writes at a power loss. CRASH_NAME: of each change of a name since the last\n"
        "sync of its directory. REQUEST, GET, LIST, CHANGE (PUT, DELETE, CompleteMultipartUpload), "
        "CONDITIONAL (PUT with\nIf-Match or If-None-Match), COMPLETE (CompleteMultipartUpload): of the "
        "object store.\n\n"
        "Not there, because a program over TCP cannot see it: packets duplicated or reordered within a "
        "connection, and loss\nother than as delay.\n\n"
        "| fault | group | unit | @ | what it does |\n| --- | --- | --- | --- | --- |\n");
    for (int i = 0; i < IO_SIM_FAULT_COUNT; i++) {
        const struct io_sim_fault_row *row = io_sim_fault_row(i);
        fprintf(out, "| `%s` | %s | %s | ", row->name, io_sim_group_name(row->group), row->unit);
        if (row->value > 0) fprintf(out, "%lld ", (long long)row->value);
        fprintf(out, "| %s |\n", row->text);
    }
}

static void the_page_is_the_table(void **state)
{
    char *want = NULL, have[64 * 1024] = "";
    size_t len;
    FILE *out = open_memstream(&want, &len), *in = fopen("docs/simulator-faults.md", "r");
    print_page(out);
    fclose(out);
    assert_non_null(in);
    size_t n = fread(have, 1, sizeof(have) - 1, in);
    fclose(in);
    assert_int_equal(n, len);
    assert_string_equal(have, want);
    free(want);
}

static void names_are_unique_and_found(void **state)
{
    struct io_world *world = io_sim_world_create(1);
    for (int i = 0; i < IO_SIM_FAULT_COUNT; i++) {
        const struct io_sim_fault_row *row = io_sim_fault_row(i);
        assert_int_equal(io_sim_fault_find(row->name), i);
        assert_true((row->value > 0) == (strchr(row->text, '@') != NULL));
        assert_int_equal(io_sim_fault_rate(world, i), 0);
        assert_int_equal(io_sim_fault_fired(world, i), 0);
        assert_int_equal(io_sim_fault_value(world, i), row->value);
    }
    assert_int_equal(io_sim_fault_find("net.none"), -ENOENT);
    io_world_destroy(world);
}

static void rates_belong_to_nodes(void **state)
{
    struct io_world *world = io_sim_world_create(1), *a = io_sim_node(world, "a");
    io_sim_fault_set(world, IO_SIM_DISK_STALL, 7);
    io_sim_fault_set_node(a, IO_SIM_DISK_STALL, MILLION);
    struct io_world *later = io_sim_node(world, "later");
    assert_int_equal(io_sim_fault_rate(world, IO_SIM_DISK_STALL), 7);
    assert_int_equal(io_sim_fault_rate(a, IO_SIM_DISK_STALL), MILLION);
    assert_int_equal(io_sim_fault_rate(later, IO_SIM_DISK_STALL), 7);
    io_sim_fault_set_node(a, IO_SIM_STORE_ERROR_500, 250000);
    int hits = 0;
    for (int i = 0; i < 4000; i++) {
        hits += io_sim_fault_roll(a, IO_SIM_STORE_ERROR_500);
        assert_false(io_sim_fault_roll(later, IO_SIM_STORE_ERROR_500));
    }
    assert_in_range(hits, 850, 1150);
    assert_int_equal(io_sim_fault_fired(world, IO_SIM_STORE_ERROR_500), hits);
    io_sim_faults_freeze(later);
    assert_int_equal(io_sim_fault_rate(a, IO_SIM_DISK_STALL), 0);
    assert_false(io_sim_fault_roll(a, IO_SIM_STORE_ERROR_500));
    assert_int_equal(io_sim_fault_rate(io_sim_node(world, "last"), IO_SIM_DISK_STALL), 0);
    io_world_destroy(world);
}

/* What one fault draws does not depend on how often another one is drawn. */
static void streams_are_apart(void **state)
{
    for (int f = 0; f < IO_SIM_FAULT_COUNT; f++) {
        int other = (f + 1) % IO_SIM_FAULT_COUNT;
        struct io_world *a = io_sim_world_create(9), *b = io_sim_world_create(9);
        uint64_t same = 0;
        for (int i = 0; i < 50; i++) {
            uint64_t from_other = io_sim_fault_below(b, other, UINT64_MAX);
            uint64_t x = io_sim_fault_below(a, f, UINT64_MAX), y = io_sim_fault_below(b, f, UINT64_MAX);
            assert_true(x == y);
            same += x == from_other;
        }
        assert_int_equal(same, 0);
        io_world_destroy(a);
        io_world_destroy(b);
    }
}

/* ---- segments ---- */

static int64_t time_to_deliver(struct duo *d, struct peer *p, size_t len)
{
    struct peer *far = far_end(d);
    static uint8_t bytes[1000];
    int64_t begin_us = now_us(d);
    size_t before = far->in_len;
    UNTIL(&d->s, !p->sending);
    peer_send(p, bytes, len);
    UNTIL(&d->s, far->in_len == before + len);
    return now_us(d) - begin_us;
}

static void loss_is_delay(void **state)
{
    struct duo *d = duo_new(1);
    struct peer *p = duo_connect(d);
    assert_true(time_to_deliver(d, p, 1) < 50000);
    io_sim_fault_set_node(d->client, IO_SIM_NET_LOSS, MILLION);
    assert_in_range(time_to_deliver(d, p, 1), 31 * 200000, 31 * 200000 + 50000);
    assert_int_equal(fired(d, IO_SIM_NET_LOSS), 5);
    io_sim_fault_set(d->s.world, IO_SIM_NET_LOSS, 0);
    assert_true(time_to_deliver(d, p, 1) < 50000);
    duo_free(d);
}

static void delays_have_a_tail(void **state)
{
    struct duo *d = duo_new(2);
    struct peer *p = duo_connect(d);
    int64_t longest = 0;
    int quick = 0;
    io_sim_fault_set(d->s.world, IO_SIM_NET_DELAY_TAIL, MILLION);
    for (int i = 0; i < 200; i++) {
        int64_t us = time_to_deliver(d, p, 1);
        if (us > longest) longest = us;
        quick += us < 20000;
    }
    assert_in_range(longest, 500000, 2100000);
    assert_true(quick > 50);
    assert_true(fired(d, IO_SIM_NET_DELAY_TAIL) >= 200);
    duo_free(d);
}

static void other_connections_overtake(void **state)
{
    int overtaken = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct duo *d = duo_new(seed);
        struct peer *slow = duo_connect(d), *slow_far = far_end(d);
        struct peer *quick = duo_connect(d), *quick_far = far_end(d);
        io_sim_fault_set(d->s.world, IO_SIM_NET_REORDER, MILLION);
        peer_send(slow, "a", 1);
        suite_wait(&d->s, 1, INT64_MAX);
        io_sim_fault_set(d->s.world, IO_SIM_NET_REORDER, 0);
        peer_send(quick, "b", 1);
        suite_wait(&d->s, 1, INT64_MAX);
        UNTIL(&d->s, slow_far->in_len + quick_far->in_len > 0);
        overtaken += slow_far->in_len == 0;
        assert_int_equal(fired(d, IO_SIM_NET_REORDER), 1);
        duo_free(d);
    }
    assert_true(overtaken >= 10);
}

/* Faults that cut what is sent or received otherwise, and lose nothing. */
static void cuts_lose_nothing(void **state)
{
    static const enum io_sim_fault faults[] = {IO_SIM_NET_SHORT_WRITE, IO_SIM_NET_ONE_BYTE, IO_SIM_NET_SPLIT};
    static const size_t len = 5000;
    uint8_t *bytes = pattern(len, 1);
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        struct duo *d = duo_new_with(3, faults[i], MILLION);
        struct peer *p = duo_connect(d), *far = far_end(d);
        peer_send(p, bytes, len);
        UNTIL(&d->s, far->in_len == len && !p->sending);
        assert_memory_equal(far->in, bytes, len);
        assert_true(fired(d, faults[i]) > 0);
        if (faults[i] == IO_SIM_NET_SHORT_WRITE) assert_true(fired(d, faults[i]) >= len / 16);
        if (faults[i] == IO_SIM_NET_ONE_BYTE) assert_int_equal(far->largest_receive, 1);
        if (faults[i] == IO_SIM_NET_SPLIT) assert_true(far->receives > 5 && far->largest_receive > 1);
        duo_free(d);
    }
    free(bytes);
}

/* A stream that breaks off anywhere: what came is a prefix. */
static void streams_break_off(void **state)
{
    static const enum io_sim_fault faults[] = {IO_SIM_NET_RESET, IO_SIM_NET_FIN_CUT};
    static const size_t len = 100;
    uint8_t *bytes = pattern(len, 2);
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        bool lengths[101] = {false};
        int different = 0;
        for (uint64_t seed = 0; seed < 60; seed++) {
            struct duo *d = duo_new_with(seed, faults[i], MILLION);
            struct peer *p = duo_connect(d), *far = far_end(d);
            peer_send(p, bytes, len);
            UNTIL(&d->s, far->ended && p->ended);
            assert_true(far->in_len <= len);
            assert_memory_equal(far->in, bytes, far->in_len);
            assert_int_equal(p->end_result, -ECONNRESET);
            assert_int_equal(far->end_result, faults[i] == IO_SIM_NET_RESET ? -ECONNRESET : 0);
            assert_true(fired(d, faults[i]) >= 1);
            UNTIL(&d->s, !p->sending);
            peer_send(p, bytes, len); /* and that is the end */
            UNTIL(&d->s, !p->sending);
            assert_int_equal(p->sent_result, -EPIPE);
            different += !lengths[far->in_len];
            lengths[far->in_len] = true;
            duo_free(d);
        }
        assert_true(different > 15);
    }
    free(bytes);
}

/* A long stream is cut somewhere: nothing that was sent behind the cut arrives. */
static void nothing_comes_behind_a_cut(void **state)
{
    static const enum io_sim_fault faults[] = {IO_SIM_NET_RESET, IO_SIM_NET_FIN_CUT};
    static const size_t len = 100000;
    uint8_t *bytes = pattern(len, 7);
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct duo *d = duo_new_with(seed, faults[seed % 2], 300000);
        struct peer *p = duo_connect(d), *far = far_end(d);
        if (seed % 4 < 2) io_recv_pause(far->conn); /* all has arrived when it is read */
        peer_send(p, bytes, len);
        go_on(d, 1000000);
        if (seed % 4 < 2) io_recv_resume(far->conn);
        go_on(d, 1000000);
        assert_true(far->in_len <= len);
        assert_memory_equal(far->in, bytes, far->in_len);
        if (far->in_len < len) assert_true(far->ended && p->ended);
        duo_free(d);
    }
    free(bytes);
}

static void nobody_hears_a_half_open_connection(void **state)
{
    struct duo *d = duo_new(4);
    struct peer *p = duo_connect(d), *far = far_end(d);
    static uint8_t bytes[300000];
    io_set_keepalive(far->conn, 60);
    io_sim_fault_set_node(d->client, IO_SIM_NET_HALF_OPEN, MILLION);
    peer_send(p, bytes, 1000);
    UNTIL(&d->s, !p->sending);
    assert_int_equal(p->sent_result, 1000);
    assert_int_equal(fired(d, IO_SIM_NET_HALF_OPEN), 1);
    peer_send(far, bytes, 1000);
    UNTIL(&d->s, !far->sending);
    go_on(d, 100000000);
    assert_int_equal(far->in_len + p->in_len, 0);
    assert_false(far->ended || p->ended);
    go_on(d, 21000000); /* keep-alive notices after twice its time */
    assert_int_equal(far->end_result, -ETIMEDOUT);
    peer_send(p, bytes, sizeof(bytes)); /* until the window is full */
    go_on(d, 100000000);
    assert_true(p->sending && !p->ended);
    io_sim_faults_freeze(d->s.world);
    go_on(d, 1000000);
    assert_true(p->ended && !p->sending);
    assert_int_equal(p->sent_result, -ECONNRESET);
    duo_free(d);
}

static void windows_shrink(void **state)
{
    struct duo *d = duo_new_with(5, IO_SIM_NET_SLOW_READER, MILLION);
    struct peer *p = duo_connect(d), *far = far_end(d);
    uint8_t *bytes = pattern(20000, 3);
    io_recv_pause(far->conn);
    peer_send(p, bytes, 20000);
    go_on(d, 10000000);
    assert_true(p->sending);
    io_recv_resume(far->conn);
    UNTIL(&d->s, far->in_len == 20000 && !p->sending);
    assert_memory_equal(far->in, bytes, 20000);
    assert_true(far->largest_receive <= 2048);
    assert_int_equal(fired(d, IO_SIM_NET_SLOW_READER), 1);
    free(bytes);
    duo_free(d);
}

static void bits_flip_on_peer_links_only(void **state)
{
    uint8_t *bytes = pattern(1000, 4);
    for (int peer_link = 0; peer_link < 2; peer_link++) {
        struct duo *d = duo_new_with(6, IO_SIM_NET_CORRUPT, MILLION);
        if (peer_link) io_sim_net_peer_port(d->s.world, PORT);
        struct peer *p = duo_connect(d), *far = far_end(d);
        peer_send(p, bytes, 1000);
        UNTIL(&d->s, far->in_len == 1000);
        int flipped = 0;
        for (size_t i = 0; i < 1000; i++) flipped += __builtin_popcount(bytes[i] ^ far->in[i]);
        assert_int_equal(flipped, fired(d, IO_SIM_NET_CORRUPT));
        assert_true(peer_link ? flipped > 0 : flipped == 0);
        duo_free(d);
    }
    free(bytes);
}

/* ---- connecting ---- */

static void connects_fail(void **state)
{
    static const struct {
        enum io_sim_fault fault;
        int result;
    } cases[] = {{IO_SIM_NET_REFUSED, -ECONNREFUSED}, {IO_SIM_NET_CONNECT_TIMEOUT, -ETIMEDOUT}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct duo *d = duo_new_with(7, cases[i].fault, MILLION);
        struct peer *p = duo_begin(d);
        UNTIL(&d->s, p->connects == 1);
        assert_int_equal(p->connect_result, cases[i].result);
        assert_int_equal(fired(d, cases[i].fault), 1);
        io_sim_faults_freeze(d->s.world);
        duo_connect(d);
        struct peer *closes = duo_begin(d); /* closed before its outcome */
        io_sim_fault_set(d->s.world, cases[i].fault, MILLION);
        struct peer *closes_too = duo_begin(d);
        io_close(closes->conn);
        io_close(closes_too->conn);
        UNTIL(&d->s, closes->closed && closes_too->closed);
        go_on(d, 10000000);
        duo_free(d);
    }
}

static void accepts_fail_for_a_while(void **state)
{
    struct duo *d = duo_new_with(8, IO_SIM_NET_ACCEPT_ERROR, MILLION);
    struct peer *p = duo_begin(d);
    go_on(d, 1000000);
    assert_int_equal(p->connect_result, 0); /* by the kernel */
    assert_int_equal(d->door.accepted, 0);
    assert_int_equal(d->door.error, -EMFILE);
    assert_in_range(d->door.errors, 50, 101); /* each 10 ms */
    assert_int_equal(fired(d, IO_SIM_NET_ACCEPT_ERROR), d->door.errors);
    io_sim_faults_freeze(d->s.world);
    UNTIL(&d->s, d->door.accepted == 1);
    io_sim_fault_set(d->s.world, IO_SIM_NET_ACCEPT_ERROR, MILLION);
    duo_begin(d);
    go_on(d, 5000);
    io_unlisten(d->door.listener); /* with an event for it under way */
    go_on(d, 1000000);
    duo_free(d);
}

static void strangers_come(void **state)
{
    struct duo *d = duo_new(9);
    io_sim_fault_set_value(d->s.world, IO_SIM_NET_ACCEPT_STORM, 30);
    io_sim_fault_set_node(d->server, IO_SIM_NET_ACCEPT_STORM, MILLION);
    go_on(d, IO_SIM_TICK_US + 1000);
    io_sim_fault_set(d->s.world, IO_SIM_NET_ACCEPT_STORM, 0);
    assert_int_equal(fired(d, IO_SIM_NET_ACCEPT_STORM), 1);
    go_on(d, 3000000);
    int accepted = d->door.accepted, said = 0;
    assert_in_range(accepted, 1, 30);
    for (int i = 0; i < accepted; i++) {
        assert_true(d->door.peers[i]->ended); /* all have left */
        said += d->door.peers[i]->in_len > 0;
    }
    assert_true(accepted < 5 || (said > 0 && said < accepted));
    duo_free(d);
}

static void attaching_and_listening_fail(void **state)
{
    struct duo *d = duo_new(10);
    struct door other = {.kind = USER_DOOR};
    d->door.attach_to = NULL;
    duo_connect(d);
    io_sim_fault_set(d->s.world, IO_SIM_NET_ATTACH_ERROR, MILLION);
    io_sim_fault_set(d->s.world, IO_SIM_NET_LISTEN_ERROR, MILLION);
    assert_null(io_attach(d->s.ios[0], d->door.sockets[0], &other));
    assert_int_equal(io_listen_tcp(d->s.ios[0], "0.0.0.0", 7001, 4, &other, &other.listener), -EADDRINUSE);
    assert_int_equal(fired(d, IO_SIM_NET_ATTACH_ERROR), 1);
    assert_int_equal(fired(d, IO_SIM_NET_LISTEN_ERROR), 1);
    io_sim_faults_freeze(d->s.world);
    d->door.peers[0] = peer_new(); /* the socket is still the caller's */
    d->door.peers[0]->conn = io_attach(d->s.ios[0], d->door.sockets[0], d->door.peers[0]);
    assert_non_null(d->door.peers[0]->conn);
    peer_send(d->peers[0], "x", 1);
    UNTIL(&d->s, d->door.peers[0]->in_len == 1);
    duo_free(d);
}

/* ---- ways, by hand ---- */

static void what_comes_over_a_closed_way_waits(void **state)
{
    for (int cut = 0; cut < 2; cut++) {
        struct duo *d = duo_new(11);
        struct peer *p = duo_connect(d), *far = far_end(d);
        uint8_t *bytes = pattern(40000, 5);
        void (*set)(struct io_world *, struct io_world *, bool) = cut ? io_sim_cut : io_sim_clog;
        set(d->client, d->server, true);
        set(d->client, d->server, true); /* a state, not a count */
        assert_false(io_sim_reachable(d->client, d->server));
        assert_true(io_sim_reachable(d->server, d->client));
        peer_send(p, bytes, 40000);
        peer_send(far, bytes, 500); /* the other way is open */
        go_on(d, 5000000);
        assert_int_equal(far->in_len, 0);
        assert_int_equal(p->in_len, 500);
        set(d->client, d->server, false);
        UNTIL(&d->s, !p->sending); /* further bytes must not overtake */
        peer_send(p, bytes, 1000);
        UNTIL(&d->s, far->in_len == 41000);
        assert_memory_equal(far->in, bytes, 40000);
        assert_memory_equal(far->in + 40000, bytes, 1000);
        UNTIL(&d->s, !p->sending && !far->sending);
        set(d->client, d->server, true); /* the end of a stream waits, too */
        io_close(p->conn);
        go_on(d, 1000000);
        assert_true(p->closed && !far->ended);
        io_sim_faults_freeze(d->s.world);
        go_on(d, 5000000);
        assert_true(far->ended);
        assert_int_equal(far->end_result, 0);
        free(bytes);
        duo_free(d);
    }
}

static void a_cut_goes_and_comes_while_bytes_are_held(void **state)
{
    struct duo *d = duo_new(12);
    struct peer *p = duo_connect(d), *far = far_end(d);
    uint8_t *bytes = pattern(30000, 6);
    struct prng random;
    prng_seed(&random, 12);
    size_t sent = 0;
    for (int i = 0; i < 300; i++) {
        io_sim_clog(d->client, d->server, prng_below(&random, 2) == 0);
        if (prng_below(&random, 4) == 0) io_sim_cut(d->client, d->server, prng_below(&random, 2) == 0);
        if (!p->sending && sent < 30000) {
            peer_send(p, bytes + sent, 100);
            sent += 100;
        }
        go_on(d, (int64_t)prng_below(&random, 2000));
    }
    io_sim_faults_freeze(d->s.world);
    UNTIL(&d->s, far->in_len == sent);
    assert_memory_equal(far->in, bytes, sent);
    assert_true(sent > 1000);
    free(bytes);
    duo_free(d);
}

static void connects_over_a_cut_time_out(void **state)
{
    struct duo *d = duo_new(13);
    io_sim_partition(d->client, d->server, true);
    int64_t begin_us = now_us(d);
    struct peer *p = duo_begin(d);
    UNTIL(&d->s, p->connects == 1);
    assert_int_equal(p->connect_result, -ETIMEDOUT);
    assert_in_range(now_us(d) - begin_us, 31000000, 32000000);
    struct peer *patient = duo_begin(d); /* healed in time */
    go_on(d, 2000000);
    io_sim_partition(d->client, d->server, false);
    UNTIL(&d->s, patient->connects == 1);
    assert_int_equal(patient->connect_result, 0);
    io_sim_isolate(d->client, true);
    assert_false(io_sim_reachable(d->s.world, d->client) || io_sim_reachable(d->client, d->s.world));
    assert_true(io_sim_reachable(d->s.world, d->server));
    struct peer *gone = duo_begin(d);
    go_on(d, 500000);
    io_close(gone->conn);
    go_on(d, 40000000);
    assert_true(gone->closed);
    duo_free(d);
}

static void keepalive_ends_a_cut_connection(void **state)
{
    struct duo *d = duo_new(14);
    duo_connect(d);
    struct peer *far = far_end(d);
    io_set_keepalive(far->conn, 30);
    io_sim_cut(d->client, d->server, true);
    go_on(d, 40000000);
    io_sim_cut(d->client, d->server, false); /* healed in time */
    go_on(d, 40000000);
    assert_false(far->ended);
    io_sim_cut(d->client, d->server, true);
    go_on(d, 61000000);
    assert_true(far->ended);
    assert_int_equal(far->end_result, -ETIMEDOUT);
    duo_free(d);
}

static void connections_of_a_node_are_reset(void **state)
{
    struct duo *d = duo_new(15);
    for (int i = 0; i < 3; i++) duo_connect(d);
    assert_int_equal(io_sim_reset_connections(d->s.world), 0);
    assert_int_equal(io_sim_reset_connections(d->client), 3);
    go_on(d, 1000);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(d->peers[i]->end_result, -ECONNRESET);
        assert_int_equal(d->door.peers[i]->end_result, -ECONNRESET);
    }
    duo_connect(d);
    duo_free(d);
}

/* ---- ways, by the tick ---- */

/* Nodes: 0 node-0, 1 server, 2 client, 3 and 4 others. Whether a pattern of closed ways fits a fault that was
 * drawn by node 1 alone (or by the world). */
static bool fits(enum io_sim_fault fault, bool closed[5][5])
{
    int count = 0, of_one = 0, to_one = 0, symmetric = 1;
    for (int a = 0; a < 5; a++)
        for (int b = 0; b < 5; b++) {
            count += closed[a][b];
            of_one += a == 1 && closed[a][b];
            to_one += b == 1 && closed[a][b];
            symmetric &= closed[a][b] == closed[b][a];
        }
    switch (fault) {
    case IO_SIM_NET_CLOG_SEND: return count == 4 && of_one == 4;
    case IO_SIM_NET_CLOG_RECEIVE: return count == 4 && to_one == 4;
    case IO_SIM_NET_CLOG_PAIR:
    case IO_SIM_NET_PARTITION_PAIR:
    case IO_SIM_NET_FLAP: return count == 2 && of_one == 1 && to_one == 1 && symmetric;
    case IO_SIM_NET_PARTITION_ONE_WAY: return count == 1 && of_one == 1;
    case IO_SIM_NET_ISOLATE: return count == 8 && of_one == 4 && to_one == 4;
    case IO_SIM_NET_PARTITION_RING: return count == 10 && of_one == 2 && symmetric;
    case IO_SIM_NET_PARTITION: return (count == 8 || count == 12) && symmetric;
    default: return count >= 8 && symmetric; /* swizzle: at least one node */
    }
}

static void the_tick_closes_ways_for_a_time(void **state)
{
    static const enum io_sim_fault faults[] = {IO_SIM_NET_CLOG_SEND,         IO_SIM_NET_CLOG_RECEIVE,
                                               IO_SIM_NET_CLOG_PAIR,         IO_SIM_NET_SWIZZLE,
                                               IO_SIM_NET_PARTITION,         IO_SIM_NET_PARTITION_PAIR,
                                               IO_SIM_NET_PARTITION_RING,    IO_SIM_NET_ISOLATE,
                                               IO_SIM_NET_PARTITION_ONE_WAY, IO_SIM_NET_FLAP};
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        int fitted = 0, reopened = 0;
        for (uint64_t seed = 0; seed < 10; seed++) {
            struct duo *d = duo_new(seed);
            struct io_world *nodes[5] = {d->s.world, d->server, d->client, io_sim_node(d->s.world, "three"),
                                         io_sim_node(d->s.world, "four")};
            bool by_world = strcmp(io_sim_fault_row(faults[i])->unit, "TICK") == 0;
            io_sim_fault_set_node(by_world ? d->s.world : d->server, faults[i], MILLION);
            go_on(d, IO_SIM_TICK_US + 10);
            io_sim_fault_set_node(by_world ? d->s.world : d->server, faults[i], 0);
            assert_int_equal(fired(d, faults[i]), 1);
            bool open = false, fit = false;
            for (int step = 0; step < 2000 && !(open && fit); step++) {
                bool closed[5][5];
                int count = 0;
                for (int a = 0; a < 5; a++)
                    for (int b = 0; b < 5; b++) count += closed[a][b] = !io_sim_reachable(nodes[a], nodes[b]);
                fit |= count > 0 && fits(faults[i], closed);
                open |= fit && count == 0;
                go_on(d, 10000);
            }
            fitted += fit;
            reopened += open;
            duo_free(d);
        }
        assert_in_range(fitted, 9, 10);
        assert_in_range(reopened, 8, 10);
    }
}

static void freezing_opens_all_ways(void **state)
{
    struct duo *d = duo_new(16);
    struct peer *p = duo_connect(d), *far = far_end(d);
    io_sim_fault_set(d->s.world, IO_SIM_NET_ISOLATE, MILLION);
    io_sim_fault_set(d->s.world, IO_SIM_NET_SWIZZLE, MILLION);
    go_on(d, 2000000);
    peer_send(p, "hello", 5);
    go_on(d, 100000);
    assert_int_equal(far->in_len, 0);
    io_sim_faults_freeze(d->s.world);
    assert_true(io_sim_reachable(d->client, d->server));
    go_on(d, 30000000); /* what would have opened them finds nothing to open */
    assert_true(io_sim_reachable(d->client, d->server));
    assert_int_equal(far->in_len, 5);
    assert_false(io_sim_step(d->s.world, INT64_MAX)); /* no tick goes on */
    duo_free(d);
}

/* ---- crashes ---- */

static void a_crashed_node_starts_again(void **state)
{
    for (int vanish = 0; vanish < 2; vanish++) {
        struct duo *d = duo_new(17);
        int error;
        struct peer *p = duo_connect(d), *far = far_end(d);
        d->door.attach_to = NULL;
        duo_connect(d); /* a socket that is attached nowhere */
        struct peer *waiting = duo_begin(d);
        peer_send(p, "x", 1);
        peer_send(far, "y", 1);
        io_sim_node_crash(d->server, IO_SIM_KILL, vanish);
        assert_false(io_sim_ready(d->s.ios[0]));
        go_on(d, 10000000);
        assert_int_equal(far->in_len, 0);
        assert_int_equal(p->ended, !vanish);
        if (!vanish) assert_int_equal(p->end_result, -ECONNRESET);
        assert_true(d->peers[1]->ended == !vanish);
        assert_true(waiting->connects == 1 || vanish);

        /* It starts again while the old one is still in memory; what that does has no effect. */
        struct io *old = d->s.ios[0];
        d->s.ios[0] = io_create(d->server, &error);
        struct door again = {.kind = USER_DOOR, .attach_to = d->s.ios[0]};
        assert_int_equal(io_listen_tcp(d->s.ios[0], "0.0.0.0", PORT, 32, &again, &again.listener), 0);
        io_discard(old, d->door.sockets[1]);
        assert_null(io_attach(old, d->door.sockets[1], far));
        assert_null(io_connect(old, "client", 1, far, &error));
        assert_int_equal(error, -ENETDOWN);
        io_close(far->conn);
        io_wake(old);
        struct io_completion out[4];
        assert_int_equal(io_wait(old, 0, out, 4), 0);
        assert_false(io_sim_ready(old));
        struct peer *q = duo_begin(d);
        UNTIL(&d->s, q->connects == 1 && again.accepted == 1);
        io_unlisten(d->door.listener);
        io_destroy(old);
        peer_send(q, "z", 1);
        UNTIL(&d->s, again.peers[0]->in_len == 1);
        peer_free(again.peers[0]);
        d->door.accepted = 1;
        duo_free(d);
    }
}

/* ---- clocks ---- */

static int64_t wall_us(struct duo *d, int i)
{
    return io_realtime_us(d->s.ios[i]);
}

static void clocks_go_wrong(void **state)
{
    struct duo *d = duo_new(18);
    assert_int_equal(wall_us(d, 0), wall_us(d, 1));
    assert_int_equal(wall_us(d, 0), io_sim_realtime_us(d->server));
    io_sim_clock_step(d->server, -5000000);
    assert_int_equal(wall_us(d, 0), wall_us(d, 1) - 5000000);
    io_sim_clock_step(d->server, 5000000);
    io_sim_clock_drift(d->server, 1000); /* a thousandth too fast */
    int64_t from_us = now_us(d);
    go_on(d, 100000000);
    assert_int_equal(now_us(d), from_us + 100000000);
    assert_int_equal(wall_us(d, 0), wall_us(d, 1) + 100000);
    io_sim_clock_drift(d->server, 0);
    go_on(d, 100000000);
    assert_int_equal(wall_us(d, 0), wall_us(d, 1) + 100000);
    assert_int_equal(io_monotonic_us(d->s.ios[0]), now_us(d));
    duo_free(d);
}

static void clock_faults_fire(void **state)
{
    int before = 0, behind = 0;
    for (uint64_t seed = 0; seed < 20; seed++) { /* offset and drift, either way */
        struct duo *d = duo_new(seed);
        io_sim_fault_set_node(d->server, IO_SIM_CLOCK_OFFSET, MILLION);
        int64_t off_us = wall_us(d, 0) - wall_us(d, 1);
        assert_true(off_us != 0 && llabs(off_us) <= 5000000);
        before += off_us > 0;
        io_sim_fault_set_node(d->client, IO_SIM_CLOCK_DRIFT, MILLION);
        go_on(d, 10000000);
        int64_t drift_us = off_us - (wall_us(d, 0) - wall_us(d, 1));
        assert_true(drift_us != 0 && llabs(drift_us) <= 5000);
        behind += drift_us < 0;
        assert_int_equal(fired(d, IO_SIM_CLOCK_OFFSET), 1);
        assert_int_equal(fired(d, IO_SIM_CLOCK_DRIFT), 1);
        duo_free(d);
    }
    assert_in_range(before, 4, 16);
    assert_in_range(behind, 4, 16);

    struct duo *d = duo_new_with(19, IO_SIM_CLOCK_STEP_FORWARD, MILLION);
    int64_t true_us = wall_us(d, 0) - now_us(d);
    go_on(d, 1050000);
    assert_int_equal(fired(d, IO_SIM_CLOCK_STEP_FORWARD), 30); /* three nodes */
    assert_true(wall_us(d, 0) - now_us(d) > true_us + 10000000);
    io_sim_faults_freeze(d->s.world);
    true_us = wall_us(d, 0) - now_us(d);
    io_sim_fault_set_node(d->server, IO_SIM_CLOCK_STEP_BACK, MILLION);
    go_on(d, 1050000);
    assert_true(wall_us(d, 0) - now_us(d) < true_us - 10000000);
    io_sim_faults_freeze(d->s.world);
    true_us = wall_us(d, 0) - now_us(d);

    io_sim_fault_set_node(d->server, IO_SIM_CLOCK_PAUSE, MILLION);
    go_on(d, IO_SIM_TICK_US);
    io_sim_fault_set_node(d->server, IO_SIM_CLOCK_PAUSE, 0);
    int64_t stands_us = wall_us(d, 0), runs_us = io_monotonic_us(d->s.ios[0]);
    go_on(d, 1000);
    assert_int_equal(wall_us(d, 0), stands_us);
    assert_int_equal(io_monotonic_us(d->s.ios[0]), runs_us + 1000);
    go_on(d, 4000000);
    assert_int_equal(wall_us(d, 0) - now_us(d), true_us);
    assert_true(fired(d, IO_SIM_CLOCK_PAUSE) >= 1);
    duo_free(d);
}

/* ---- everything at once ---- */

struct storm {
    uint64_t hash, fired[IO_SIM_FAULT_COUNT];
    int answered, broken, crashes;
};

/* An echo server that crashes and comes back, clients that connect again when they must. `rate` of every
 * fault of the network and of clocks, `extra` of one of the disk, whose faults nobody meets here. */
static struct storm storm_run(uint64_t seed, uint32_t rate, uint32_t extra)
{
    struct storm out = {0};
    struct duo *d = duo_new(seed);
    static uint8_t bytes[3000];
    int64_t asked_us[4] = {0}; /* a client does not wait for ever */
    struct prng random;
    int error;
    prng_seed(&random, seed);
    d->door.attach_to = NULL;
    for (int f = 0; f < IO_SIM_FAULT_COUNT; f++) {
        enum io_sim_group group = io_sim_fault_row(f)->group;
        bool attach = f == IO_SIM_NET_ATTACH_ERROR || f == IO_SIM_NET_LISTEN_ERROR;
        bool tick = strstr(io_sim_fault_row(f)->unit, "TICK") != NULL; /* these last */
        if ((group == IO_SIM_NETWORK || group == IO_SIM_CLOCK) && !attach)
            io_sim_fault_set(d->s.world, f, tick ? rate / 2 : rate);
    }
    io_sim_fault_set(d->s.world, IO_SIM_DISK_LATENCY, extra);
    io_sim_net_peer_port(d->s.world, PORT);
    int64_t end_us = now_us(d) + 60000000;
    while (now_us(d) < end_us) {
        for (int i = 0; i < 4; i++) {
            struct peer *p = d->peers[i];
            if (p == NULL || p->closed) {
                if (p != NULL) peer_free(p);
                d->peer_count = i;
                duo_begin(d);
                asked_us[i] = now_us(d);
            } else if (p->echo_len == SIZE_MAX) { /* closing */
            } else if (p->ended || (p->connects > 0 && p->connect_result < 0) ||
                       now_us(d) > asked_us[i] + 3000000) {
                io_close(p->conn);
                p->echo_len = SIZE_MAX;
                out.broken++;
            } else if (p->connects > 0 && !p->sending && p->in_len >= p->echo_len) {
                out.answered += p->echo_len > 0;
                p->in_len = 0;
                p->echo_len = 1 + prng_below(&random, sizeof(bytes));
                peer_send(p, bytes, p->echo_len);
                asked_us[i] = now_us(d);
            }
        }
        d->peer_count = 4;
        for (int i = 0; i < d->door.accepted; i++) { /* attach those that have come */
            struct peer *p = peer_new();
            p->echo = p->close_at_end = true;
            p->conn = io_attach(d->s.ios[0], d->door.sockets[i], p);
            p->echo_of = d->door.peers[0];
            d->door.peers[0] = p; /* a list of all, freed at the end */
        }
        d->door.accepted = 0;
        if (rate > 0 && prng_below(&random, 4000) == 0) {
            io_sim_node_crash(d->server, IO_SIM_KILL, prng_below(&random, 2) == 0);
            io_destroy(d->s.ios[0]);
            d->s.ios[0] = io_create(d->server, &error);
            assert_int_equal(io_listen_tcp(d->s.ios[0], "0.0.0.0", PORT, 32, &d->door, &d->door.listener), 0);
            out.crashes++;
        }
        go_on(d, 2000);
    }
    io_sim_faults_freeze(d->s.world);
    out.hash = io_sim_trace_hash(d->s.world);
    for (int f = 0; f < IO_SIM_FAULT_COUNT; f++) out.fired[f] = fired(d, f);
    for (struct peer *p = d->door.peers[0], *next; p != NULL; p = next) {
        next = p->echo_of;
        peer_free(p);
    }
    d->door.accepted = 0;
    duo_free(d);
    return out;
}

static void the_same_seed_gives_the_same_faults(void **state)
{
    uint64_t total[IO_SIM_FAULT_COUNT] = {0};
    int answered = 0, broken = 0, crashes = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct storm a = storm_run(seed, 3000, 0), b = storm_run(seed, 3000, 0);
        assert_true(a.hash == b.hash);
        assert_memory_equal(a.fired, b.fired, sizeof(a.fired));
        answered += a.answered;
        broken += a.broken;
        crashes += a.crashes;
        for (int f = 0; f < IO_SIM_FAULT_COUNT; f++) total[f] += a.fired[f];
    }
    assert_true(answered > 2000 && broken > 100 && crashes > 20);
    for (int f = 0; f < IO_SIM_FAULT_COUNT; f++) {
        enum io_sim_group group = io_sim_fault_row(f)->group;
        bool off = f == IO_SIM_NET_ATTACH_ERROR || f == IO_SIM_NET_LISTEN_ERROR || f == IO_SIM_CLOCK_OFFSET ||
                   f == IO_SIM_CLOCK_DRIFT || f == IO_SIM_NET_PARTITION_RING; /* needs four nodes */
        if ((group == IO_SIM_NETWORK || group == IO_SIM_CLOCK) && !off && total[f] == 0)
            fail_msg("%s never fired", io_sim_fault_name(f));
    }
}

/* A fault that nobody meets leaves the run as it is; so does one that was switched off again. */
static void what_is_off_has_no_effect(void **state)
{
    struct storm plain = storm_run(5, 0, 0), with_disk = storm_run(5, 0, MILLION);
    assert_true(plain.hash == with_disk.hash);
    assert_int_equal(plain.broken, 0);
    for (int f = 0; f < IO_SIM_FAULT_COUNT; f++) assert_int_equal(plain.fired[f], 0);
    uint64_t hashes[2];
    for (int i = 0; i < 2; i++) {
        struct duo *d = duo_new(5);
        for (int f = 0; f < IO_SIM_FAULT_COUNT && i == 1; f++) {
            bool at_once = f == IO_SIM_CLOCK_OFFSET || f == IO_SIM_CLOCK_DRIFT;
            if (!at_once) io_sim_fault_set(d->s.world, f, MILLION);
        }
        io_sim_faults_freeze(d->s.world);
        go_on(d, IO_SIM_TICK_US);
        time_to_deliver(d, duo_connect(d), 1000);
        hashes[i] = io_sim_trace_hash(d->s.world);
        duo_free(d);
    }
    assert_true(hashes[0] == hashes[1]);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "page") == 0) {
        print_page(stdout);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_is_the_table),
        cmocka_unit_test(names_are_unique_and_found),
        cmocka_unit_test(rates_belong_to_nodes),
        cmocka_unit_test(streams_are_apart),
        cmocka_unit_test(loss_is_delay),
        cmocka_unit_test(delays_have_a_tail),
        cmocka_unit_test(other_connections_overtake),
        cmocka_unit_test(cuts_lose_nothing),
        cmocka_unit_test(streams_break_off),
        cmocka_unit_test(nothing_comes_behind_a_cut),
        cmocka_unit_test(nobody_hears_a_half_open_connection),
        cmocka_unit_test(windows_shrink),
        cmocka_unit_test(bits_flip_on_peer_links_only),
        cmocka_unit_test(connects_fail),
        cmocka_unit_test(accepts_fail_for_a_while),
        cmocka_unit_test(strangers_come),
        cmocka_unit_test(attaching_and_listening_fail),
        cmocka_unit_test(what_comes_over_a_closed_way_waits),
        cmocka_unit_test(a_cut_goes_and_comes_while_bytes_are_held),
        cmocka_unit_test(connects_over_a_cut_time_out),
        cmocka_unit_test(keepalive_ends_a_cut_connection),
        cmocka_unit_test(connections_of_a_node_are_reset),
        cmocka_unit_test(the_tick_closes_ways_for_a_time),
        cmocka_unit_test(freezing_opens_all_ways),
        cmocka_unit_test(a_crashed_node_starts_again),
        cmocka_unit_test(clocks_go_wrong),
        cmocka_unit_test(clock_faults_fire),
        cmocka_unit_test(the_same_seed_gives_the_same_faults),
        cmocka_unit_test(what_is_off_has_no_effect),
    };
    return cmocka_run_group_tests_name("faults of the simulated world", tests, NULL, NULL);
}
