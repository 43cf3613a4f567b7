/* Listeners and addresses over every backend: TCP, IPv6, unix sockets, bursts, running out of descriptors. */
#include "io_suite.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>

static enum suite_backend backend;

static void accepts_a_burst(void **state)
{
    struct suite *s = suite_create(backend, 2);
    struct door d;
    struct peer *peers[60];
    int error, numbers[60];
    uint16_t port = door_open(s, 0, &d, 0, true);
    s->max = 7;
    for (int i = 0; i < 60; i++) {
        peers[i] = peer_new();
        peers[i]->conn = io_connect(s->ios[1], "127.0.0.1", port, peers[i], &error);
        assert_non_null(peers[i]->conn);
    }
    UNTIL(s, d.accepted == 60);
    for (int i = 0; i < 60; i++) {
        UNTIL(s, peers[i]->connects == 1);
        assert_int_equal(peers[i]->connect_result, 0);
        numbers[i] = i;
        peer_send(peers[i], &numbers[i], sizeof(i));
    }
    for (int i = 0; i < 60; i++) {
        UNTIL(s, peers[i]->in_len == sizeof(i));
        assert_memory_equal(peers[i]->in, &i, sizeof(i));
        peer_close(s, peers[i]);
    }
    door_close(s, &d);
    suite_destroy(s);
}

static void unlisten_refuses_and_frees_the_port(void **state)
{
    struct suite *s = suite_create(backend, 2);
    struct door d, again;
    int error;
    uint16_t port = door_open(s, 0, &d, 0, true);
    struct peer *p = peer_connect(s, 1, port);
    UNTIL(s, d.accepted == 1);
    assert_int_equal(io_listen_tcp(s->ios[1], "127.0.0.1", port, 16, &again, &again.listener), -EADDRINUSE);
    io_unlisten(d.listener);
    memset(&again, 0, sizeof(again));
    again.kind = USER_DOOR;
    again.attach_to = s->ios[0];
    again.echo = true;
    assert_int_equal(io_listen_tcp(s->ios[0], "127.0.0.1", port, 16, &again, &again.listener), 0);
    assert_int_equal(io_listener_port(again.listener), port);
    /* Who was accepted before stays connected. */
    peer_send(p, "still", 5);
    UNTIL(s, p->in_len == 5);
    struct peer *q = peer_connect(s, 1, port);
    UNTIL(s, again.accepted == 1);
    assert_int_equal(d.accepted, 1);
    peer_close(s, q);
    UNTIL(s, again.peers[0]->closed);
    door_close(s, &again);
    suite_settle(s);
    struct peer *r = peer_new();
    r->conn = io_connect(s->ios[1], "127.0.0.1", port, r, &error);
    if (r->conn != NULL) {
        UNTIL(s, r->connects == 1);
        assert_int_equal(r->connect_result, -ECONNREFUSED);
        peer_close(s, r);
    } else {
        assert_int_equal(error, -ECONNREFUSED);
        peer_free(r);
    }
    peer_close(s, p);
    UNTIL(s, d.peers[0]->closed);
    peer_free(d.peers[0]);
    suite_destroy(s);
}

static void tells_addresses(void **state)
{
    struct suite *s = suite_create(backend, 2);
    struct door d;
    char here[IO_ADDRESS_MAX], there[IO_ADDRESS_MAX], port_text[16];
    uint16_t port = door_open(s, 0, &d, 0, true);
    struct peer *p = peer_connect(s, 1, port);
    UNTIL(s, d.accepted == 1);
    snprintf(port_text, sizeof(port_text), ":%u", port);
    io_peer_address(p->conn, there);
    io_local_address(d.peers[0]->conn, here);
    assert_string_equal(there, here);
    assert_non_null(strstr(here, port_text));
    if (backend != SUITE_SIM) assert_int_equal(strncmp(here, "127.0.0.1:", 10), 0);
    io_local_address(p->conn, here);
    io_peer_address(d.peers[0]->conn, there);
    assert_string_equal(there, here);
    assert_true(io_conn_fd(p->conn) > 2);
    assert_int_not_equal(io_conn_fd(p->conn), io_conn_fd(d.peers[0]->conn));
    assert_int_equal(io_set_keepalive(p->conn, 300), 0);
    if (backend != SUITE_SIM) {
        int value = 0;
        socklen_t len = sizeof(value);
        assert_int_equal(getsockopt((int)io_conn_fd(p->conn), IPPROTO_TCP, TCP_KEEPIDLE, &value, &len), 0);
        assert_int_equal(value, 300);
        assert_int_equal(
            getsockopt((int)io_conn_fd(d.peers[0]->conn), IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
        assert_true(value != 0); /* on both sides */
        assert_int_equal(getsockopt((int)io_conn_fd(p->conn), IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
        assert_true(value != 0);
    }
    assert_int_equal(io_set_keepalive(p->conn, 0), 0);
    peer_close(s, p);
    door_close(s, &d);
    suite_destroy(s);
}

static void speaks_ipv6(void **state)
{
    struct suite *s = suite_create(backend, 2);
    struct door d = {.kind = USER_DOOR, .attach_to = s->ios[0], .echo = true}, four = {.kind = USER_DOOR};
    char address[IO_ADDRESS_MAX];
    int error = io_listen_tcp(s->ios[0], "::1", 0, 16, &d, &d.listener);
    if (error == -EADDRNOTAVAIL || error == -EAFNOSUPPORT) {
        suite_destroy(s);
        printf("no IPv6 here: not tested\n");
        skip();
    }
    assert_int_equal(error, 0);
    uint16_t port = io_listener_port(d.listener);
    if (backend != SUITE_SIM) { /* "::" takes no IPv4, so both can be bound, as in `bind * ::*` */
        struct door six = {.kind = USER_DOOR};
        assert_int_equal(io_listen_tcp(s->ios[0], "::*", 0, 16, &six, &six.listener), 0);
        error = io_listen_tcp(s->ios[0], "*", io_listener_port(six.listener), 16, &four, &four.listener);
        assert_int_equal(error, 0);
        io_unlisten(four.listener);
        io_unlisten(six.listener);
    }
    struct peer *p = peer_new();
    p->conn = io_connect(s->ios[1], "::1", port, p, &error);
    assert_non_null(p->conn);
    UNTIL(s, p->connects == 1 && d.accepted == 1);
    peer_send(p, "six", 3);
    UNTIL(s, p->in_len == 3);
    io_peer_address(p->conn, address);
    if (backend != SUITE_SIM) assert_int_equal(strncmp(address, "[::1]:", 6), 0);
    peer_close(s, p);
    UNTIL(s, d.peers[0]->closed);
    door_close(s, &d);
    suite_destroy(s);
}

static void speaks_through_unix_sockets(void **state)
{
    struct suite *s = suite_create(backend, 2);
    struct door d = {.kind = USER_DOOR, .attach_to = s->ios[0], .echo = true};
    char path[64], address[IO_ADDRESS_MAX];
    int error;
    struct stat st;
    snprintf(path, sizeof(path), "/tmp/weft-io-test-%d.sock", (int)getpid());
    assert_int_equal(io_listen_unix(s->ios[0], path, 0700, 16, &d, &d.listener), 0);
    assert_int_equal(io_listener_port(d.listener), 0);
    if (backend != SUITE_SIM) {
        assert_int_equal(stat(path, &st), 0);
        assert_true(S_ISSOCK(st.st_mode));
        assert_int_equal(st.st_mode & 0777, 0700);
    }
    size_t len = 1000000;
    uint8_t *bytes = pattern(len, 9);
    struct peer *p = peer_new();
    p->conn = io_connect(s->ios[1], path, 0, p, &error);
    assert_non_null(p->conn);
    UNTIL(s, p->connects == 1 && d.accepted == 1);
    assert_int_equal(p->connect_result, 0);
    peer_send(p, bytes, len);
    UNTIL(s, p->in_len == len && !p->sending);
    assert_memory_equal(p->in, bytes, len);
    strcat(path, ":0");
    io_peer_address(d.peers[0]->conn, address);
    assert_string_equal(address, path);
    io_local_address(d.peers[0]->conn, address);
    assert_string_equal(address, path);
    path[strlen(path) - 2] = 0;
    assert_int_equal(io_set_keepalive(p->conn, 60), 0); /* harmless */
    peer_close(s, p);
    UNTIL(s, d.peers[0]->closed);
    door_close(s, &d);
    if (backend != SUITE_SIM) assert_int_equal(stat(path, &st), -1); /* goes with its listener */
    free(bytes);
    suite_destroy(s);
}

static void unix_paths_that_are_taken(void **state)
{
    if (backend == SUITE_SIM) skip();
    struct suite *s = suite_create(backend, 1);
    struct door d = {.kind = USER_DOOR};
    char path[200];
    struct stat st;
    snprintf(path, sizeof(path), "/tmp/weft-io-test-%d.sock", (int)getpid());
    /* Left behind by a process that died: taken over. */
    assert_int_equal(io_listen_unix(s->ios[0], path, 0, 16, &d, &d.listener), 0);
    suite_destroy(s);
    s = suite_create(backend, 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    union {
        struct sockaddr any;
        char room[110];
    } a = {.any.sa_family = AF_UNIX};
    strcpy(a.any.sa_data, path);
    assert_int_equal(bind(fd, &a.any, sizeof(a)), 0);
    close(fd);
    assert_int_equal(io_listen_unix(s->ios[0], path, 0, 16, &d, &d.listener), 0);
    io_unlisten(d.listener);
    /* A file of somebody's is not deleted. */
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    close(fd);
    assert_int_equal(io_listen_unix(s->ios[0], path, 0, 16, &d, &d.listener), -EADDRINUSE);
    assert_int_equal(stat(path, &st), 0);
    unlink(path);
    memset(path, 'x', 150);
    path[150] = 0;
    assert_int_equal(io_listen_unix(s->ios[0], path, 0, 16, &d, &d.listener), -ENAMETOOLONG);
    suite_destroy(s);
}

static void bad_addresses(void **state)
{
    if (backend == SUITE_SIM) skip();
    struct suite *s = suite_create(backend, 1);
    struct io_listener *l;
    assert_int_equal(io_listen_tcp(s->ios[0], "example.org", 0, 16, s, &l), -EINVAL);
    assert_int_equal(io_listen_tcp(s->ios[0], "127.0.0.256", 0, 16, s, &l), -EINVAL);
    assert_int_equal(io_listen_tcp(s->ios[0], "192.0.2.1", 0, 16, s, &l), -EADDRNOTAVAIL);
    assert_int_equal(io_listen_tcp(s->ios[0], "*", 0, 16, s, &l), 0);
    io_unlisten(l);
    suite_destroy(s);
}

/* Out of descriptors: an error is reported, the loop does not spin, and it recovers by itself. */
static void running_out_of_descriptors(void **state)
{
    if (backend == SUITE_SIM) skip();
    struct suite *s = suite_create(backend, 2);
    struct door d;
    struct rlimit old;
    int error, lowest = dup(0);
    close(lowest);
    /* Room for two: the listener and the client. The server's side of the connection is one too many. */
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    struct rlimit low = {(rlim_t)lowest + 2, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    uint16_t port = door_open(s, 0, &d, 0, true);
    struct peer *p = peer_new();
    p->conn = io_connect(s->ios[1], "127.0.0.1", port, p, &error);
    assert_non_null(p->conn);
    UNTIL(s, d.errors > 0);
    assert_int_equal(d.error, -EMFILE);
    int64_t until_us = suite_now_us() + 250000, turns = 0;
    for (; suite_now_us() < until_us; turns++) suite_wait(s, 0, io_monotonic_us(s->ios[0]) + 1000000);
    assert_in_range(d.errors, 2, 8);
    assert_in_range(turns, 1, 16);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    UNTIL(s, d.accepted == 1 && p->connects == 1);
    peer_send(p, "in", 2);
    UNTIL(s, p->in_len == 2);
    peer_close(s, p);
    UNTIL(s, d.peers[0]->closed);
    door_close(s, &d);
    suite_destroy(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_a_burst),
        cmocka_unit_test(unlisten_refuses_and_frees_the_port),
        cmocka_unit_test(tells_addresses),
        cmocka_unit_test(speaks_ipv6),
        cmocka_unit_test(speaks_through_unix_sockets),
        cmocka_unit_test(unix_paths_that_are_taken),
        cmocka_unit_test(bad_addresses),
        cmocka_unit_test(running_out_of_descriptors),
    };
    return suite_main("listeners", &backend, tests, ARRAY_LEN(tests));
}
