/* Connections over every backend: bytes both ways, flow control, closing, moving, and the rules of io.h. */
#include "io_suite.h"

#include <sys/socket.h>

static enum suite_backend backend;

/* A client and the server's side of its connection, on two ios. */
struct pair {
    struct suite *s;
    struct door door;
    struct peer *client, *server;
    uint16_t port;
};

static struct pair *pair_create(bool echo)
{
    struct pair *p = calloc(1, sizeof(*p)); /* not by value: the door's address is an operation's user */
    CHECK(p != NULL);
    p->s = suite_create(backend, 3);
    p->port = door_open(p->s, 0, &p->door, 0, echo);
    return p;
}

static void pair_connect(struct pair *p)
{
    p->door.attach_to = p->s->ios[0];
    p->client = peer_connect(p->s, 1, p->port);
    UNTIL(p->s, p->door.accepted == 1);
    p->server = p->door.peers[0];
}

static void pair_destroy(struct pair *p)
{
    if (p->client != NULL && p->client->conn != NULL) io_close(p->client->conn);
    if (p->client != NULL) UNTIL(p->s, p->client->closed || p->client->detached);
    if (p->client != NULL) peer_free(p->client);
    door_close(p->s, &p->door);
    suite_destroy(p->s);
    free(p);
}

static void echoes_a_line(void **state)
{
    struct pair *p = pair_create(true);
    pair_connect(p);
    peer_send(p->client, "hello", 5);
    UNTIL(p->s, p->client->in_len == 5);
    assert_memory_equal(p->client->in, "hello", 5);
    assert_int_equal(p->client->sent_result, 5);
    io_close(p->client->conn);
    UNTIL(p->s, p->server->closed);
    assert_int_equal(p->server->end_result, 0);
    pair_destroy(p);
}

static void large_transfers_both_ways(void **state)
{
    struct pair *p = pair_create(false);
    pair_connect(p);
    size_t len = backend == SUITE_SIM ? 2000003 : 24000003;
    uint8_t *up = pattern(len, 1), *down = pattern(len, 2);
    peer_send(p->client, up, len);
    peer_send(p->server, down, len);
    UNTIL(p->s,
          p->client->in_len == len && p->server->in_len == len && !p->client->sending && !p->server->sending);
    assert_memory_equal(p->client->in, down, len);
    assert_memory_equal(p->server->in, up, len);
    assert_int_equal(p->client->sent_result, len);
    assert_int_equal(p->server->sent_result, len);
    pair_destroy(p);
    free(up);
    free(down);
}

static void sends_slices_in_order(void **state)
{
    struct pair *p = pair_create(false);
    pair_connect(p);
    uint8_t *bytes = pattern(900000, 7);
    struct io_slice slices[IO_SEND_SLICES_MAX];
    size_t at = 0,
           lens[IO_SEND_SLICES_MAX] = {1, 0, 200000, 3, 0, 5, 100000, 7, 8, 9, 300001, 0, 12, 13, 0, 299941};
    for (int i = 0; i < IO_SEND_SLICES_MAX; i++) {
        slices[i] = (struct io_slice){bytes + at, lens[i]};
        at += lens[i];
    }
    p->client->sending = true;
    io_send(p->client->conn, slices, IO_SEND_SLICES_MAX);
    memset(slices, 0xff, sizeof(slices)); /* the array is copied */
    UNTIL(p->s, p->server->in_len == at && !p->client->sending);
    assert_int_equal(p->client->sent_result, at);
    assert_memory_equal(p->server->in, bytes, at);
    peer_send(p->client, NULL, 0); /* nothing to send completes as well */
    UNTIL(p->s, !p->client->sending);
    assert_int_equal(p->client->sent_result, 0);
    assert_int_equal(p->client->sents, 2);
    pair_destroy(p);
    free(bytes);
}

/* Many connections, several rounds, and a completion array of every small size: nothing may get lost in
 * between. */
static void many_connections(void **state)
{
    for (int max = 1; max <= 4; max++) {
        struct suite *s = suite_create(backend, 2);
        struct door d;
        struct peer *peers[40];
        uint16_t port = door_open(s, 0, &d, 0, true);
        s->max = max;
        for (int i = 0; i < 40; i++) peers[i] = peer_connect(s, 1, port);
        for (int round = 0; round < 3; round++) {
            size_t len = round == 2 ? 100000 : 10;
            uint8_t *bytes[40];
            for (int i = 0; i < 40; i++) {
                bytes[i] = pattern(len, (uint32_t)i);
                peers[i]->in_len = 0;
                peer_send(peers[i], bytes[i], len);
            }
            for (int i = 0; i < 40; i++) {
                UNTIL(s, peers[i]->in_len == len && !peers[i]->sending);
                assert_memory_equal(peers[i]->in, bytes[i], len);
                free(bytes[i]);
            }
        }
        for (int i = 0; i < 40; i++) io_close(peers[i]->conn);
        for (int i = 0; i < 40; i++) {
            UNTIL(s, peers[i]->closed);
            peer_free(peers[i]);
        }
        door_close(s, &d);
        suite_destroy(s);
    }
}

/* Rule 2: all that one io_wait() puts out can be read after it, until the next one. */
static void data_of_a_turn_is_alive_at_once(void **state)
{
    struct suite *s = suite_create(backend, 2);
    struct door d;
    struct peer *peers[32];
    struct io_completion out[256];
    uint16_t port = door_open(s, 0, &d, 0, false);
    size_t len = 9000;
    uint8_t *bytes[32];
    size_t got[32] = {0};
    int most = 0;
    for (int i = 0; i < 32; i++) {
        peers[i] = peer_connect(s, 1, port);
        bytes[i] = pattern(len, (uint32_t)i);
        UNTIL(s, d.accepted == i + 1);
    }
    for (int i = 0; i < 32; i++) io_recv_pause(d.peers[i]->conn);
    for (int i = 0; i < 32; i++) peer_send(peers[i], bytes[i], len);
    for (int i = 0; i < 32; i++) UNTIL(s, !peers[i]->sending);
    suite_settle(s);
    for (int i = 0; i < 32; i++) io_recv_resume(d.peers[i]->conn);
    for (int i = 0; i < 32; i++) assert_int_equal(d.peers[i]->in_len, 0);
    for (size_t total = 0; total < 32 * len;) {
        int n = io_wait(s->ios[0], io_monotonic_us(s->ios[0]) + 1000, out, 256), receives = 0;
        for (int i = 0; i < n; i++) {
            assert_int_equal(out[i].op, IO_RECV);
            assert_true(out[i].result > 0);
            int who = 0;
            while (d.peers[who] != out[i].user) who++;
            assert_memory_equal(out[i].data, bytes[who] + got[who], out[i].result);
            got[who] += (size_t)out[i].result;
            total += (size_t)out[i].result;
            for (int slack = 0; slack < IO_RECV_SLACK; slack++)
                (void)((const volatile uint8_t *)out[i].data)[out[i].result + slack];
            receives++;
        }
        if (receives > most) most = receives;
        if (n == 0 && s->simulated) io_sim_step(s->world, INT64_MAX);
    }
    assert_true(most >= 8); /* the test has seen what it is about */
    for (int i = 0; i < 32; i++) {
        peer_close(s, peers[i]);
        free(bytes[i]);
    }
    door_close(s, &d);
    suite_destroy(s);
}

/* Rule 6: however much comes at once, a turn takes a bounded part and the rest waits. */
static void receiving_is_bounded(void **state)
{
    struct suite *s = suite_create(backend, 2);
    struct door d;
    struct peer *peers[48];
    struct io_completion out[256];
    size_t len = backend == SUITE_SIM ? 100000 : 300000, all = 48 * len, total = 0;
    uint8_t *bytes = pattern(len, 3);
    uint16_t port = door_open(s, 0, &d, 0, false);
    for (int i = 0; i < 48; i++) {
        peers[i] = peer_connect(s, 1, port);
        UNTIL(s, d.accepted == i + 1);
        io_recv_pause(d.peers[i]->conn);
        peer_send(peers[i], bytes, len);
    }
    suite_settle(s);
    for (int i = 0; i < 48; i++) io_recv_resume(d.peers[i]->conn);
    while (total < all) {
        size_t turn = 0;
        int n = io_wait(s->ios[0], 0, out, 256);
        for (int i = 0; i < n; i++) turn += (size_t)out[i].result;
        assert_true(turn <= (9u << 20));
        dispatch(out, n);
        total += turn;
        suite_wait(s, 1, 0);
        if (s->simulated) io_sim_step(s->world, INT64_MAX);
    }
    for (int i = 0; i < 48; i++) {
        assert_int_equal(d.peers[i]->in_len, len);
        assert_memory_equal(d.peers[i]->in, bytes, len);
        UNTIL(s, !peers[i]->sending);
        peer_close(s, peers[i]);
    }
    free(bytes);
    door_close(s, &d);
    suite_destroy(s);
}

static void pause_stops_and_resume_goes_on(void **state)
{
    struct pair *p = pair_create(false);
    pair_connect(p);
    uint8_t *bytes = pattern(3000000, 4);
    peer_send(p->client, bytes, 10);
    UNTIL(p->s, p->server->in_len == 10);
    io_recv_pause(p->server->conn);
    UNTIL(p->s, !p->client->sending);
    suite_settle(p->s);
    peer_send(p->client, bytes + 10, 3000000 - 10);
    suite_settle(p->s);
    assert_int_equal(p->server->in_len, 10);
    io_recv_resume(p->server->conn);
    io_recv_pause(p->server->conn); /* to and fro within one turn */
    io_recv_resume(p->server->conn);
    UNTIL(p->s, p->server->in_len > 10);
    io_recv_pause(p->server->conn);
    suite_settle(p->s);
    assert_true(p->server->in_len < 3000000);
    io_recv_resume(p->server->conn);
    UNTIL(p->s, p->server->in_len == 3000000 && !p->client->sending);
    assert_memory_equal(p->server->in, bytes, 3000000);
    /* The end waits for the resume as well. */
    io_recv_pause(p->server->conn);
    suite_settle(p->s);
    io_close(p->client->conn);
    UNTIL(p->s, p->client->closed);
    suite_settle(p->s);
    assert_false(p->server->ended);
    io_recv_resume(p->server->conn);
    UNTIL(p->s, p->server->ended);
    assert_int_equal(p->server->end_result, 0);
    pair_destroy(p);
    free(bytes);
}

/* A reader that stops: the send stays in flight, and close cancels it. */
static void close_while_sending(void **state)
{
    struct pair *p = pair_create(false);
    pair_connect(p);
    size_t len = 40000000;
    uint8_t *bytes = pattern(len, 5);
    io_recv_pause(p->server->conn);
    peer_send(p->client, bytes, len);
    suite_settle(p->s);
    assert_true(p->client->sending);
    io_close(p->client->conn);
    UNTIL(p->s, p->client->closed);
    assert_int_equal(p->client->sents, 1);
    assert_int_equal(p->client->sent_result, -ECANCELED);
    memset(bytes, 0, len); /* ours again */
    free(bytes);
    pair_destroy(p);
}

/* Several outcomes of one connection, and an array with room for one: they come one after the other. */
static void outcomes_wait_for_room(void **state)
{
    struct pair *p = pair_create(false);
    pair_connect(p);
    p->s->max = 1;
    size_t len = 40000000;
    uint8_t *bytes = pattern(len, 5);
    io_recv_pause(p->server->conn);
    peer_send(p->client, bytes, len);
    suite_settle(p->s);
    assert_true(p->client->sending);
    io_close(p->client->conn); /* IO_SENT, IO_CLOSED */
    UNTIL(p->s, p->client->sents == 1);
    assert_false(p->client->closed);
    UNTIL(p->s, p->client->closed);
    int error;
    struct peer *q = peer_new();
    q->conn = io_connect(p->s->ios[1], "127.0.0.1", p->port, q, &error);
    assert_non_null(q->conn);
    io_close(q->conn); /* IO_CONNECT, IO_CLOSED */
    UNTIL(p->s, q->connects == 1);
    assert_false(q->closed);
    UNTIL(p->s, q->closed);
    peer_free(q);
    suite_settle(p->s);
    free(bytes);
    pair_destroy(p);
}

/* A reply that is sent and closed behind in one turn arrives whole, and the end behind it. */
static void close_behind_a_queued_send(void **state)
{
    struct pair *p = pair_create(false);
    pair_connect(p);
    peer_send(p->server, "bye\r\n", 5);
    io_close(p->server->conn);
    UNTIL(p->s, p->server->closed && p->client->ended);
    assert_int_equal(p->server->sents, 1);
    if (!p->s->simulated) assert_int_equal(p->server->sent_result, 5);
    if (p->server->sent_result == 5) {
        assert_int_equal(p->client->in_len, 5);
        assert_memory_equal(p->client->in, "bye\r\n", 5);
    }
    assert_int_equal(p->client->end_result, 0);
    pair_destroy(p);
}

static void closes_right_after_connect_and_attach(void **state)
{
    struct pair *p = pair_create(false);
    pair_connect(p);
    io_close(p->server->conn); /* with a receive just begun */
    UNTIL(p->s, p->server->closed && p->client->ended);
    assert_int_equal(p->server->receives, 0);
    /* A connection that is closed before its connect has an outcome. */
    int error = 0;
    struct peer *q = peer_new();
    q->conn = io_connect(p->s->ios[1], "127.0.0.1", p->port, q, &error);
    assert_non_null(q->conn);
    io_close(q->conn);
    UNTIL(p->s, q->closed);
    assert_int_equal(q->connects, 1);
    assert_true(q->connect_result <= 0);
    peer_free(q);
    suite_settle(p->s);
    pair_destroy(p);
}

static void unread_bytes_reset_the_peer(void **state)
{
    struct pair *p = pair_create(false);
    pair_connect(p);
    io_recv_pause(p->server->conn);
    suite_settle(p->s);
    peer_send(p->client, "unread", 6);
    UNTIL(p->s, !p->client->sending);
    suite_settle(p->s);
    io_close(p->server->conn);
    UNTIL(p->s, p->server->closed && p->client->ended);
    assert_int_equal(p->client->end_result, -ECONNRESET);
    /* Sending to nobody fails, sooner or later. */
    for (int tries = 0; tries < 100 && p->client->sent_result >= 0; tries++) {
        peer_send(p->client, "x", 1);
        UNTIL(p->s, !p->client->sending);
    }
    assert_true(p->client->sent_result == -EPIPE || p->client->sent_result == -ECONNRESET);
    pair_destroy(p);
}

/* Bytes and the end (or a reset) that come at the same moment, seen in one turn: neither hides the other. */
static void the_end_right_behind_the_bytes(void **state)
{
    for (int run = 0; run < 6; run++) {
        int kind = run % 3;   /* 0: the end, 1: a reset, 2: the end of a unix socket */
        bool late = run >= 3; /* all was there before the connection was attached */
        if (kind > 0 && backend == SUITE_SIM) continue;
        struct suite *s = suite_create(backend, 2);
        struct door d = {.kind = USER_DOOR, .attach_to = late ? NULL : s->ios[0]};
        char address[64] = "127.0.0.1";
        int error;
        snprintf(address, kind == 2 ? sizeof(address) : 0, "/tmp/weft-io-test-%d.sock", (int)getpid());
        error = kind == 2 ? io_listen_unix(s->ios[0], address, 0, 16, &d, &d.listener)
                          : io_listen_tcp(s->ios[0], address, 0, 16, &d, &d.listener);
        assert_int_equal(error, 0);
        struct peer *p = peer_new();
        p->conn = io_connect(s->ios[1], address, io_listener_port(d.listener), p, &error);
        UNTIL(s, p->connects == 1 && d.accepted == 1);
        suite_settle(s);
        if (kind == 1) {
            struct linger now = {1, 0};
            int fd = (int)io_conn_fd(p->conn);
            assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
        }
        peer_send(p, "bytes", 5);
        while (p->sending) suite_wait(s, 1, 0);
        io_close(p->conn);
        while (!p->closed) suite_wait(s, 1, 0); /* and only now the server's turn */
        if (late) {
            d.peers[0] = peer_new();
            d.peers[0]->conn = io_attach(s->ios[0], d.sockets[0], d.peers[0]);
        }
        UNTIL(s, d.peers[0]->ended);
        assert_int_equal(d.peers[0]->in_len, 5);
        assert_int_equal(d.peers[0]->end_result, kind == 1 ? -ECONNRESET : 0);
        peer_free(p);
        door_close(s, &d);
        suite_destroy(s);
    }
}

static void connect_refused(void **state)
{
    struct pair *p = pair_create(false);
    struct peer *q = peer_new();
    int error = 0;
    io_unlisten(p->door.listener);
    suite_settle(p->s);
    q->conn = io_connect(p->s->ios[1], "127.0.0.1", p->port, q, &error);
    if (q->conn == NULL) {
        assert_int_equal(error, -ECONNREFUSED);
    } else {
        UNTIL(p->s, q->connects == 1);
        assert_int_equal(q->connect_result, -ECONNREFUSED);
        suite_settle(p->s);
        assert_int_equal(q->receives, 0);
        assert_false(q->ended);
        io_close(q->conn);
        UNTIL(p->s, q->closed);
    }
    peer_free(q);
    if (backend != SUITE_SIM) {
        assert_null(io_connect(p->s->ios[1], "no such host", 1, p, &error));
        assert_int_equal(error, -EINVAL);
    }
    suite_destroy(p->s);
    free(p);
}

/* Rule for io_send_lazy(): its completion alone does not end the sleep, but comes with the next that does. */
static void lazy_sends_do_not_wake(void **state)
{
    struct pair *p = pair_create(false);
    pair_connect(p);
    struct io *io = p->s->ios[0];
    struct io_completion out[16];
    struct io_slice slice = {"reply", 5};
    suite_settle(p->s);
    p->server->sending = true;
    io_send_lazy(p->server->conn, &slice, 1);
    int64_t start_us = io_monotonic_us(io);
    int n;
    if (p->s->simulated) {
        assert_int_equal(io_wait(io, start_us + 40000, out, 16), 0);
        do io_sim_step(p->s->world, INT64_MAX);
        while (!io_sim_ready(io));
    }
    n = io_wait(io, start_us + 40000, out, 16);
    assert_true(io_monotonic_us(io) >= start_us + 40000);
    assert_int_equal(n, 1);
    assert_int_equal(out[0].op, IO_SENT);
    assert_int_equal(out[0].result, 5);
    dispatch(out, n);
    UNTIL(p->s, p->client->in_len == 5);
    /* And it comes before what the peer answers to it. */
    p->server->sending = true;
    io_send_lazy(p->server->conn, &slice, 1);
    suite_wait(p->s, 0, 0);
    UNTIL(p->s, p->client->in_len == 10);
    peer_send(p->client, "ack", 3);
    UNTIL(p->s, p->server->in_len == 3);
    assert_false(p->server->sending);
    pair_destroy(p);
}

/* Bytes sent before, during and after a move arrive once and in order, wherever the socket is attached. */
static void moves_between_ios(void **state)
{
    struct pair *p = pair_create(false);
    pair_connect(p);
    size_t len = 600000, got = 0;
    uint8_t *bytes = pattern(len, 6), *all = malloc(len);
    struct peer *at = p->server;
    peer_send(p->client, bytes, len);
    for (int move = 0; move < 8; move++) {
        UNTIL(p->s, at->in_len > 0 || got == len);
        io_detach(at->conn);
        UNTIL(p->s, at->detached);
        if (at->in_len > 0) memcpy(all + got, at->in, at->in_len);
        got += at->in_len;
        struct peer *next = peer_new();
        next->conn = io_attach(p->s->ios[move % 3], at->socket, next);
        assert_non_null(next->conn);
        if (at != p->server) peer_free(at);
        at = next;
    }
    UNTIL(p->s, got + at->in_len == len && !p->client->sending);
    if (at->in_len > 0) memcpy(all + got, at->in, at->in_len);
    assert_memory_equal(all, bytes, len);
    /* The other direction works from there too, and so does the end. */
    peer_send(at, "moved", 5);
    UNTIL(p->s, p->client->in_len == 5 && !at->sending);
    io_close(p->client->conn);
    UNTIL(p->s, at->ended);
    assert_int_equal(at->end_result, 0);
    peer_close(p->s, at);
    free(bytes);
    free(all);
    pair_destroy(p);
}

/* A socket that is moved while its peer hangs up shows that to its new owner. */
static void moves_with_the_end_pending(void **state)
{
    struct pair *p = pair_create(false);
    pair_connect(p);
    io_recv_pause(p->server->conn);
    suite_settle(p->s);
    peer_send(p->client, "last words", 10);
    UNTIL(p->s, !p->client->sending);
    io_close(p->client->conn);
    UNTIL(p->s, p->client->closed);
    suite_settle(p->s);
    io_detach(p->server->conn);
    UNTIL(p->s, p->server->detached);
    suite_settle(p->s);
    struct peer *next = peer_new();
    next->conn = io_attach(p->s->ios[2], p->server->socket, next);
    UNTIL(p->s, next->ended);
    assert_int_equal(next->in_len, 10);
    assert_int_equal(next->end_result, 0);
    peer_close(p->s, next);
    pair_destroy(p);
}

static void discards_an_unattached_socket(void **state)
{
    struct pair *p = pair_create(false);
    p->door.attach_to = NULL;
    p->client = peer_connect(p->s, 1, p->port);
    UNTIL(p->s, p->door.accepted == 1);
    io_discard(p->s->ios[0], p->door.sockets[0]);
    UNTIL(p->s, p->client->ended);
    assert_int_equal(p->client->end_result, 0);
    pair_destroy(p);
}

/* What is still open when an io is destroyed goes with it. */
static void destroys_with_things_open(void **state)
{
    struct suite *s = suite_create(backend, 2);
    struct door d;
    uint16_t port = door_open(s, 0, &d, 0, false);
    struct peer *p = peer_connect(s, 1, port);
    UNTIL(s, d.accepted == 1);
    uint8_t *bytes = pattern(8000000, 8);
    peer_send(p, bytes, 8000000);
    suite_turn(s);
    suite_destroy(s);
    free(bytes);
    peer_free(p);
    peer_free(d.peers[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echoes_a_line),
        cmocka_unit_test(large_transfers_both_ways),
        cmocka_unit_test(sends_slices_in_order),
        cmocka_unit_test(many_connections),
        cmocka_unit_test(data_of_a_turn_is_alive_at_once),
        cmocka_unit_test(receiving_is_bounded),
        cmocka_unit_test(pause_stops_and_resume_goes_on),
        cmocka_unit_test(close_while_sending),
        cmocka_unit_test(outcomes_wait_for_room),
        cmocka_unit_test(close_behind_a_queued_send),
        cmocka_unit_test(closes_right_after_connect_and_attach),
        cmocka_unit_test(unread_bytes_reset_the_peer),
        cmocka_unit_test(the_end_right_behind_the_bytes),
        cmocka_unit_test(connect_refused),
        cmocka_unit_test(lazy_sends_do_not_wake),
        cmocka_unit_test(moves_between_ios),
        cmocka_unit_test(moves_with_the_end_pending),
        cmocka_unit_test(discards_an_unattached_socket),
        cmocka_unit_test(destroys_with_things_open),
    };
    return suite_main("connections", &backend, tests, ARRAY_LEN(tests));
}
