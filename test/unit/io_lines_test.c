/* The world of lines: in-process connections to whoever listens, and standard input as a socket; over both
 * real backends. One thread plays the actor that listens and the bridge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "io/lines.h"

#define WAIT_US 20000
#define TURNS   500

struct fixture {
    struct io_world *world;
    struct io *node, *bridge;
    int listener_user;
    struct io_listener *listener;
};

static bool set_up(struct fixture *f, enum io_backend backend)
{
    int error = 0;
    memset(f, 0, sizeof *f);
    f->world = io_lines_world_create(backend, &error);
    if (!f->world) {
        print_message("not here: backend %d: %s\n", (int)backend, strerror(-error));
        assert_int_equal(backend, IO_BACKEND_URING); /* epoll is everywhere */
        return false;
    }
    assert_string_equal(io_world_backend_name(f->world), "lines");
    f->node = io_create(f->world, &error);
    f->bridge = io_create(f->world, &error);
    assert_true(f->node && f->bridge);
    return true;
}

static void tear_down(struct fixture *f)
{
    io_destroy(f->node);
    io_destroy(f->bridge);
    io_world_destroy(f->world);
}

static void listen_now(struct fixture *f)
{
    assert_int_equal(io_listen_tcp(f->node, "127.0.0.1", 6379, 10, &f->listener_user, &f->listener), 0);
    assert_int_equal(io_listener_port(f->listener), 6379);
}

/* Turns the io until a completion of that kind comes; others are not expected. */
static struct io_completion expect(struct io *io, enum io_op op)
{
    struct io_completion c;
    for (int i = 0; i < TURNS; i++) {
        if (io_wait(io, io_monotonic_us(io) + WAIT_US, &c, 1) == 0) continue;
        assert_int_equal(c.op, op);
        return c;
    }
    fail_msg("operation %d never completed", (int)op);
    return c;
}

static void send_text(struct io *io, struct io_conn *conn, const char *text)
{
    io_send(conn, &(struct io_slice){text, strlen(text)}, 1);
    assert_int_equal(expect(io, IO_SENT).result, strlen(text));
}

static void expect_text(struct io *io, const void *user, const char *text)
{
    char got[256];
    size_t len = 0;
    while (len < strlen(text)) {
        struct io_completion c = expect(io, IO_RECV);
        assert_ptr_equal(c.user, user);
        assert_true(c.result > 0 && len + (size_t)c.result < sizeof got);
        memcpy(got + len, c.data, (size_t)c.result);
        len += (size_t)c.result;
    }
    assert_int_equal(len, strlen(text));
    assert_memory_equal(got, text, len);
}

static void talks(struct fixture *f)
{
    int error = 0, a, b;
    listen_now(f);
    io_socket mine = io_lines_connect(f->world, &error);
    assert_int_not_equal(mine, IO_SOCKET_NONE);
    struct io_conn *bridge = io_attach(f->bridge, mine, &a);
    struct io_completion c = expect(f->node, IO_ACCEPT);
    assert_ptr_equal(c.user, &f->listener_user);
    struct io_conn *node = io_attach(f->node, c.socket, &b);
    assert_true(bridge && node);
    send_text(f->bridge, bridge, "PING\r\n");
    expect_text(f->node, &b, "PING\r\n");
    send_text(f->node, node, "+PONG\r\n");
    expect_text(f->bridge, &a, "+PONG\r\n");
    /* It moves to another io as any connection does. */
    io_detach(node);
    io_socket moved = expect(f->node, IO_DETACHED).socket;
    struct io *third = io_create(f->world, &error);
    node = io_attach(third, moved, &b);
    send_text(f->bridge, bridge, "GET x\r\n");
    expect_text(third, &b, "GET x\r\n");
    io_close(node);
    expect(third, IO_CLOSED);
    assert_int_equal(expect(f->bridge, IO_RECV).result, 0);
    io_close(bridge);
    expect(f->bridge, IO_CLOSED);
    io_destroy(third);
}

static void nobody_listens(struct fixture *f)
{
    int error = 0;
    assert_int_equal(io_lines_connect(f->world, &error), IO_SOCKET_NONE);
    assert_int_equal(error, -ECONNREFUSED);
    listen_now(f);
    struct io_listener *second;
    assert_int_equal(io_listen_unix(f->node, "/nowhere/socket", 0, 10, f, &second), 0);
    assert_int_not_equal(access("/nowhere/socket", F_OK), 0);
    io_discard(f->bridge, io_lines_connect(f->world, &error));
    struct io_completion c = expect(f->node, IO_ACCEPT);
    assert_ptr_equal(c.user, &f->listener_user); /* the first listener's */
    io_discard(f->node, c.socket);
    io_unlisten(second);
    io_unlisten(f->listener);
    assert_int_equal(io_lines_connect(f->world, &error), IO_SOCKET_NONE);
    assert_int_equal(error, -ECONNREFUSED);
}

static void too_many_wait(struct fixture *f)
{
    int error = 0, made = 0, accepted = 0;
    io_socket sockets[1000];
    listen_now(f);
    while (made < 1000 && (sockets[made] = io_lines_connect(f->world, &error)) != IO_SOCKET_NONE) made++;
    assert_int_equal(error, -EAGAIN);
    assert_true(made >= 64);
    struct io_completion done[16];
    while (accepted < made) {
        int n = io_wait(f->node, 0, done, 16);
        assert_true(n > 0);
        for (int i = 0; i < n; i++) io_discard(f->node, done[i].socket);
        accepted += n;
    }
    assert_int_equal(io_wait(f->node, 0, done, 16), 0);
    io_discard(f->bridge, io_lines_connect(f->world, &error));
    assert_int_equal(error, 0); /* there is room again; the world closes what nobody accepts */
    for (int i = 0; i < made; i++) io_discard(f->bridge, sockets[i]);
}

/* A wake-up is what ends the sleep of the one who listens. */
static void wakes(struct fixture *f)
{
    int error = 0;
    listen_now(f);
    int64_t began = io_monotonic_us(f->node);
    io_discard(f->bridge, io_lines_connect(f->world, &error));
    struct io_completion c;
    int n = io_wait(f->node, began + 5000000, &c, 1);
    if (n == 0) n = io_wait(f->node, began + 5000000, &c, 1);
    assert_int_equal(n, 1);
    assert_int_equal(c.op, IO_ACCEPT);
    assert_true(io_monotonic_us(f->node) < began + 4000000);
    io_discard(f->node, c.socket);
}

static void standard_input(struct fixture *f)
{
    int pipe_fds[2], saved = dup(STDIN_FILENO), error = 0, user;
    assert_int_equal(pipe(pipe_fds), 0);
    dup2(pipe_fds[0], STDIN_FILENO);
    close(pipe_fds[0]);
    io_socket socket = io_lines_input(f->world, &error);
    assert_int_not_equal(socket, IO_SOCKET_NONE);
    struct io_conn *input = io_attach(f->bridge, socket, &user);
    assert_int_equal(write(pipe_fds[1], "one\ntw", 6), 6);
    expect_text(f->bridge, &user, "one\ntw");
    /* More than the pipe and the sockets hold at once. */
    static char block[3000];
    memset(block, 'x', sizeof block);
    size_t sent = 0, got = 0;
    fcntl(pipe_fds[1], F_SETFL, O_NONBLOCK);
    while (got < 3000000) {
        ssize_t n = sent < 3000000 ? write(pipe_fds[1], block, sizeof block) : 0;
        if (n > 0) sent += (size_t)n;
        struct io_completion c;
        if (io_wait(f->bridge, io_monotonic_us(f->bridge) + (n > 0 ? 0 : 1000), &c, 1) == 0) continue;
        assert_int_equal(c.op, IO_RECV);
        assert_true(c.result > 0);
        for (int64_t i = 0; i < c.result; i++) assert_int_equal(c.data[i], 'x');
        got += (size_t)c.result;
    }
    assert_int_equal(got, sent);
    close(pipe_fds[1]);
    assert_int_equal(expect(f->bridge, IO_RECV).result, 0);
    io_close(input);
    expect(f->bridge, IO_CLOSED);
    dup2(saved, STDIN_FILENO);
    close(saved);
}

static void over_both(void (*test)(struct fixture *))
{
    static const enum io_backend backends[] = {IO_BACKEND_EPOLL, IO_BACKEND_URING};
    for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
        struct fixture f;
        if (!set_up(&f, backends[i])) continue;
        test(&f);
        tear_down(&f);
    }
}

#define OVER_BOTH(test)                                                                                      \
    static void test##_over_both(void **state)                                                               \
    {                                                                                                        \
        (void)state;                                                                                         \
        over_both(test);                                                                                     \
    }
OVER_BOTH(talks)
OVER_BOTH(nobody_listens)
OVER_BOTH(too_many_wait)
OVER_BOTH(wakes)
OVER_BOTH(standard_input)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(talks_over_both),          cmocka_unit_test(nobody_listens_over_both),
        cmocka_unit_test(too_many_wait_over_both),  cmocka_unit_test(wakes_over_both),
        cmocka_unit_test(standard_input_over_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
