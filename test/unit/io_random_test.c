/* Random use of connections over every backend, against a model: what a stream carries is a function of its
 * number and the offset, so that each received byte can be checked where it arrives, whatever was paused,
 * moved to another io, cut, or closed meanwhile. The seed of a failure is printed; `io_random_test SEED` runs
 * that one alone. */
#include "io_suite.h"
#include "base/prng.h"

#define LINKS     12
#define IOS       3
#define SEND_MOST 500000 /* more than a unix socket whose reader pauses takes */

static enum suite_backend backend;
static uint64_t only_seed, seed;

enum end_state { END_OPEN, END_CLOSING, END_CLOSED, END_DETACHING, END_LOOSE };

/* One side of a connection. Stream 2i is sent by side 0 of link i, stream 2i+1 by side 1. */
struct end {
    enum user_kind kind;
    struct io_conn *conn;
    io_socket socket; /* when loose */
    int io, link, side;
    enum end_state state;
    uint64_t sent, received;
    uint8_t *buffer; /* in flight */
    size_t buffer_len;
    bool sending, paused, ended, send_failed;
    bool moved_late; /* after the other side was closed */
};

struct random_run {
    struct suite *s;
    struct prng g;
    struct end ends[LINKS][2];
    int moves, closes, pauses, cancelled;
    uint64_t bytes;
};

static uint8_t stream_byte(int stream, uint64_t offset)
{
    return (uint8_t)((offset * 2654435761u + (uint64_t)stream * 97) >> 11);
}

#define EXPECT(cond)                                                                                         \
    do {                                                                                                     \
        if (!(cond)) fail_msg("seed %llu: %s", (unsigned long long)seed, #cond);                             \
    } while (0)

static struct end *other_end(struct random_run *r, struct end *e)
{
    return &r->ends[e->link][1 - e->side];
}

static void receive(struct random_run *r, struct end *e, const struct io_completion *c)
{
    EXPECT(!e->ended && e->state != END_CLOSING);
    if (c->result <= 0) {
        struct end *o = other_end(r, e);
        e->ended = true;
        EXPECT(o->state == END_CLOSED || o->state == END_CLOSING);
        EXPECT(c->result == 0 || c->result == -ECONNRESET);
        /* A clean end comes behind all that was sent. A reset may have cost some of it; the kernel tells of
         * it only once, and a failed send or a receive that was cancelled by a move may have been the one to
         * hear it. */
        if (c->result == 0 && !o->send_failed && !e->send_failed && !e->moved_late)
            EXPECT(e->received == o->sent);
        return;
    }
    int stream = e->link * 2 + (1 - e->side);
    for (int64_t i = 0; i < c->result; i++)
        if (c->data[i] != stream_byte(stream, e->received + (uint64_t)i)) EXPECT(!"the right byte");
    e->received += (uint64_t)c->result;
    r->bytes += (uint64_t)c->result;
    EXPECT(e->received <= other_end(r, e)->sent);
}

static void completion(struct random_run *r, const struct io_completion *c)
{
    struct end *e = c->user;
    EXPECT(e->kind == USER_PEER && e->state != END_CLOSED && e->state != END_LOOSE);
    switch (c->op) {
    case IO_RECV: receive(r, e, c); break;
    case IO_SENT:
        EXPECT(e->sending);
        e->sending = false;
        if (c->result < 0) {
            e->send_failed = true;
            struct end *o = other_end(r, e);
            EXPECT(e->state == END_CLOSING || o->state == END_CLOSED || o->state == END_CLOSING);
            if (c->result == -ECANCELED) r->cancelled++;
        } else {
            EXPECT(c->result == (int64_t)e->buffer_len);
        }
        if (e->buffer_len > 0) memset(e->buffer, 0x55, e->buffer_len); /* ours again */
        free(e->buffer);
        e->buffer = NULL;
        break;
    case IO_CLOSED:
        EXPECT(e->state == END_CLOSING && !e->sending);
        e->state = END_CLOSED;
        break;
    case IO_DETACHED:
        EXPECT(e->state == END_DETACHING);
        if (other_end(r, e)->state >= END_CLOSING && other_end(r, e)->state <= END_CLOSED)
            e->moved_late = true;
        e->state = END_LOOSE;
        e->socket = c->socket;
        break;
    default: EXPECT(!"a known completion");
    }
}

static int turn(struct random_run *r, int io)
{
    struct io_completion out[16];
    int max = 1 + (int)prng_below(&r->g, 16);
    if (r->s->simulated && !io_sim_ready(r->s->ios[io])) return 0;
    int n = io_wait(r->s->ios[io], 0, out, max);
    EXPECT(n >= 0 && n <= max);
    for (int i = 0; i < n; i++) completion(r, &out[i]);
    return n;
}

static void begin_send(struct random_run *r, struct end *e)
{
    static const size_t most[] = {300, 300, 300, 300, 300, 100000, 100000, SEND_MOST};
    size_t len = prng_below(&r->g, most[prng_below(&r->g, 8)]);
    struct io_slice slices[IO_SEND_SLICES_MAX];
    int count = 0;
    e->buffer = malloc(len + 1);
    e->buffer_len = len;
    for (size_t i = 0; i < len; i++) e->buffer[i] = stream_byte(e->link * 2 + e->side, e->sent + i);
    for (size_t at = 0; at < len || count == 0;) {
        size_t part = count == IO_SEND_SLICES_MAX - 1 ? len - at : prng_below(&r->g, len - at + 1);
        slices[count++] = (struct io_slice){e->buffer + at, part};
        at += part;
        if (len == 0) break;
    }
    e->sent += len;
    e->sending = true;
    if (prng_below(&r->g, 2) == 0)
        io_send(e->conn, slices, count);
    else
        io_send_lazy(e->conn, slices, count);
}

static void act(struct random_run *r, struct end *e, bool may_close)
{
    if (e->state == END_LOOSE) {
        e->io = (int)prng_below(&r->g, IOS);
        e->state = END_OPEN;
        e->conn = io_attach(r->s->ios[e->io], e->socket, e);
        EXPECT(e->conn != NULL);
        if (e->paused) io_recv_pause(e->conn);
        r->moves++;
        return;
    }
    if (e->state != END_OPEN) return;
    switch (prng_below(&r->g, 8)) {
    case 0:
    case 1:
    case 2:
        if (!e->sending && !e->send_failed) begin_send(r, e);
        break;
    case 3:
        io_recv_pause(e->conn);
        e->paused = true;
        r->pauses++;
        break;
    case 4:
    case 5:
        io_recv_resume(e->conn);
        e->paused = false;
        break;
    case 6:
        if (e->sending || e->ended) break;
        io_detach(e->conn);
        e->state = END_DETACHING;
        break;
    default:
        if (!may_close || prng_below(&r->g, 12) != 0) break;
        io_close(e->conn);
        e->state = END_CLOSING;
        r->closes++;
    }
}

/* Over TCP and, for odd seeds, over a unix socket: it takes less before it blocks. */
static void connect_all(struct random_run *r)
{
    struct door d = {.kind = USER_DOOR};
    struct io_listener *l = NULL;
    char address[64] = "127.0.0.1";
    int error;
    if (seed % 2 == 1) {
        snprintf(address, sizeof(address), "/tmp/weft-io-test-%d.sock", (int)getpid());
        EXPECT(io_listen_unix(r->s->ios[0], address, 0, 16, &d, &l) == 0);
    } else {
        EXPECT(io_listen_tcp(r->s->ios[0], address, 0, 16, &d, &l) == 0);
    }
    for (int i = 0; i < LINKS; i++) {
        struct peer *p = peer_new();
        p->conn = io_connect(r->s->ios[1], address, io_listener_port(l), p, &error);
        UNTIL(r->s, p->connects == 1 && d.accepted == i + 1);
        EXPECT(p->connect_result == 0);
        io_detach(p->conn);
        UNTIL(r->s, p->detached);
        for (int side = 0; side < 2; side++)
            r->ends[i][side] = (struct end){.kind = USER_PEER,
                                            .link = i,
                                            .side = side,
                                            .state = END_LOOSE,
                                            .socket = side == 0 ? p->socket : d.sockets[i]};
        peer_free(p);
    }
    io_unlisten(l);
}

static bool is_quiet(struct random_run *r)
{
    for (int i = 0; i < LINKS * 2; i++) {
        struct end *e = &r->ends[i / 2][i % 2], *o = other_end(r, e);
        if (e->sending || e->state == END_CLOSING || e->state == END_DETACHING) return false;
        if (e->state != END_OPEN) continue;
        if (o->state == END_CLOSED ? !e->ended : e->received < o->sent) return false;
    }
    return true;
}

static void turn_all(struct random_run *r)
{
    int n = 0;
    for (int io = 0; io < IOS; io++) n += turn(r, io);
    if (n == 0 && r->s->simulated) io_sim_step(r->s->world, INT64_MAX);
}

/* Everything is resumed and attached: what was sent must arrive, and what was closed must be seen to end. */
static void settle(struct random_run *r)
{
    for (int i = 0; i < LINKS * 2; i++) {
        struct end *e = &r->ends[i / 2][i % 2];
        while (e->state == END_DETACHING) turn_all(r);
        if (e->state == END_LOOSE) act(r, e, false);
        if (e->state == END_OPEN) io_recv_resume(e->conn);
        e->paused = false;
    }
    int64_t end_us = suite_now_us() + 20000000;
    while (!is_quiet(r)) {
        turn_all(r);
        if (suite_now_us() > end_us) EXPECT(!"an end of the run");
    }
    for (int i = 0; i < LINKS * 2; i++) {
        struct end *e = &r->ends[i / 2][i % 2];
        if (e->state == END_OPEN) EXPECT(e->ended || e->received == other_end(r, e)->sent);
    }
}

static void run(struct random_run *totals)
{
    struct random_run *r = calloc(1, sizeof(*r));
    r->s = suite_create_seeded(backend, IOS, seed);
    prng_seed(&r->g, seed);
    connect_all(r);
    int steps = 200 + (int)prng_below(&r->g, 800);
    bool closes = prng_below(&r->g, 2) == 0;
    for (int step = 0; step < steps; step++) {
        for (uint64_t k = prng_below(&r->g, 6); k > 0; k--)
            act(r, &r->ends[prng_below(&r->g, LINKS)][prng_below(&r->g, 2)], closes);
        turn(r, (int)prng_below(&r->g, IOS));
        for (int i = 0; i < 8 && r->s->simulated; i++) io_sim_step(r->s->world, INT64_MAX);
    }
    settle(r);
    for (int i = 0; i < LINKS * 2; i++) {
        struct end *e = &r->ends[i / 2][i % 2];
        if (e->state != END_OPEN) continue;
        io_close(e->conn);
        e->state = END_CLOSING;
        while (e->state != END_CLOSED) turn_all(r);
    }
    suite_destroy(r->s);
    totals->moves += r->moves;
    totals->closes += r->closes;
    totals->pauses += r->pauses;
    totals->cancelled += r->cancelled;
    totals->bytes += r->bytes;
    free(r);
}

static void random_use(void **state)
{
    struct random_run totals = {0};
    for (seed = 1; seed <= 24; seed++)
        if (only_seed == 0 || seed == only_seed) run(&totals);
    if (only_seed > 24) {
        seed = only_seed;
        run(&totals);
    }
    if (only_seed != 0) return;
    printf("%d moves, %d pauses, %d closes, %d sends cancelled, %llu bytes\n", totals.moves, totals.pauses,
           totals.closes, totals.cancelled, (unsigned long long)totals.bytes);
    assert_true(totals.moves > 500 && totals.pauses > 1000 && totals.closes > 50 && totals.cancelled > 0);
    assert_true(totals.bytes > 10000000);
}

int main(int argc, char **argv)
{
    if (argc > 1) only_seed = strtoull(argv[1], NULL, 10);
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_use)};
    return suite_main("random use", &backend, tests, ARRAY_LEN(tests));
}
