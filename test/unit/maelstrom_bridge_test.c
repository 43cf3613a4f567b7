/* The bridge between Maelstrom's lines and the node's connections, without either: the test writes the lines,
 * takes what is answered, and plays the node byte by byte at the other end of each connection. All in one
 * thread, over pairs of real sockets. */
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
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "io/world.h"
#include "maelstrom/bridge.h"

#define CONNS_MAX (BRIDGE_SOURCES_MAX + 8)
#define TURN_US   100

struct rig {
    struct io_world *world;
    struct io *io;
    struct bridge *bridge;
    int input;            /* where the test writes lines; -1: ended */
    int conns[CONNS_MAX]; /* the node's ends, in the order in which they were made */
    int conn_count;
    int refuse;    /* an errno with which connect fails from now on; 0: none */
    char *written; /* lines that nobody has looked at yet */
    char *log;
};

static void append(char **text, const char *more, size_t len)
{
    size_t have = *text ? strlen(*text) : 0;
    *text = realloc(*text, have + len + 1);
    assert_non_null(*text);
    memcpy(*text + have, more, len);
    (*text)[have + len] = 0;
}

static int pair(int *other)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    *other = ends[1];
    return ends[0];
}

static io_socket host_connect(void *context, int *error)
{
    struct rig *rig = context;
    int other;
    if (rig->refuse) {
        *error = -rig->refuse;
        return IO_SOCKET_NONE;
    }
    assert_true(rig->conn_count < CONNS_MAX);
    rig->conns[rig->conn_count++] = pair(&other);
    return other;
}
static void host_write_line(void *context, const char *line, size_t len)
{
    append(&((struct rig *)context)->written, line, len);
}
static void host_log(void *context, const char *sentence)
{
    append(&((struct rig *)context)->log, sentence, strlen(sentence));
}

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    int error = 0, other;
    rig->world = io_world_create(IO_BACKEND_EPOLL, &error);
    rig->io = io_create(rig->world, &error);
    rig->input = pair(&other);
    struct bridge_host host = {rig, host_connect, host_write_line, host_log};
    rig->bridge = bridge_create(rig->io, other, &host);
    *state = rig;
    return rig->bridge ? 0 : -1;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    bridge_destroy(rig->bridge);
    io_destroy(rig->io);
    io_world_destroy(rig->world);
    if (rig->input >= 0) close(rig->input);
    for (int i = 0; i < rig->conn_count; i++)
        if (rig->conns[i] >= 0) close(rig->conns[i]);
    free(rig->written);
    free(rig->log);
    free(rig);
    return 0;
}

static void turns(struct rig *rig, int count)
{
    while (count-- > 0) bridge_turn(rig->bridge, TURN_US);
}

static void put(struct rig *rig, const char *text, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = write(rig->input, text + at, len - at);
        if (n > 0) at += (size_t)n;
        assert_true(n > 0 || errno == EAGAIN);
        turns(rig, 1);
    }
    turns(rig, 3);
}

static void line(struct rig *rig, const char *text)
{
    put(rig, text, strlen(text));
    put(rig, "\n", 1);
}

/* Client `source` sends a body. */
static void request(struct rig *rig, const char *source, const char *body)
{
    char text[512];
    int len = snprintf(text, sizeof text, "{\"src\":\"%s\",\"dest\":\"n1\",\"body\":%s}\n", source, body);
    put(rig, text, (size_t)len);
}

static void answered(struct rig *rig, const char *lines)
{
    assert_string_equal(rig->written ? rig->written : "", lines);
    free(rig->written);
    rig->written = NULL;
}

static void logged(struct rig *rig, const char *words)
{
    if (!rig->log || !strstr(rig->log, words)) fail_msg("'%s' is not in '%s'", words, rig->log);
    free(rig->log);
    rig->log = NULL;
}

/* The node has got exactly these bytes on a connection. */
static void node_got(struct rig *rig, int conn, const char *bytes)
{
    char got[1024];
    turns(rig, 2);
    ssize_t n = read(rig->conns[conn], got, sizeof got - 1);
    got[n < 0 ? 0 : n] = 0;
    assert_string_equal(got, bytes);
}

static void node_says(struct rig *rig, int conn, const char *bytes)
{
    assert_int_equal(write(rig->conns[conn], bytes, strlen(bytes)), (int)strlen(bytes));
    turns(rig, 3);
}

static void initialise(struct rig *rig)
{
    request(rig, "c0", "{\"type\":\"init\",\"msg_id\":1,\"node_id\":\"n1\",\"node_ids\":[\"n1\"]}");
    answered(
        rig,
        "{\"src\":\"n1\",\"dest\":\"c0\",\"body\":{\"type\":\"init_ok\",\"in_reply_to\":1,\"msg_id\":0}}\n");
}

/* ---- tests ---- */

static void init(void **state)
{
    struct rig *rig = *state;
    request(rig, "c1", "{\"type\":\"read\",\"key\":1,\"msg_id\":5}");
    answered(rig, "{\"src\":\"\",\"dest\":\"c1\",\"body\":{\"type\":\"error\",\"code\":11,\"text\":\"the "
                  "node has not been "
                  "initialised\",\"in_reply_to\":5,\"msg_id\":0}}\n");
    request(rig, "c1", "{\"type\":\"init\",\"node_id\":\"n1\",\"node_ids\":[]}");
    answered(rig, "{\"src\":\"\",\"dest\":\"c1\",\"body\":{\"type\":\"error\",\"code\":12,\"text\":\"init "
                  "needs node_id and "
                  "node_ids\",\"msg_id\":1}}\n");
    request(rig, "c1", "{\"type\":\"init\",\"node_ids\":[\"n1\"]}");
    answered(rig, "{\"src\":\"\",\"dest\":\"c1\",\"body\":{\"type\":\"error\",\"code\":12,\"text\":\"init "
                  "needs node_id and "
                  "node_ids\",\"msg_id\":2}}\n");
    request(rig, "c1", "{\"type\":\"init\",\"msg_id\":7,\"node_id\":\"n1\",\"node_ids\":[\"n1\",\"n2\"]}");
    answered(rig, "{\"src\":\"n1\",\"dest\":\"c1\",\"body\":{\"type\":\"error\",\"code\":10,\"text\":\"weft "
                  "nodes do not replicate "
                  "yet: run with --node-count 1, not 2\",\"in_reply_to\":7,\"msg_id\":3}}\n");
    request(rig, "c1", "{\"type\":\"echo\",\"echo\":1}");
    assert_non_null(strstr(rig->written, "has not been initialised"));
    free(rig->written);
    rig->written = NULL;
    request(rig, "c1", "{\"type\":\"init\",\"node_id\":\"other\",\"node_ids\":[\"n1\"]}");
    answered(rig, "{\"src\":\"n1\",\"dest\":\"c1\",\"body\":{\"type\":\"init_ok\",\"msg_id\":5}}\n");
    assert_int_equal(rig->conn_count, 0);
}

static void requests_of_a_source_run_one_by_one(void **state)
{
    struct rig *rig = *state;
    initialise(rig);
    request(rig, "c1", "{\"type\":\"write\",\"key\":1,\"value\":2,\"msg_id\":1}");
    request(rig, "c1", "{\"type\":\"read\",\"key\":1,\"msg_id\":2}");
    request(rig, "c1", "{\"type\":\"frob\",\"msg_id\":3}");
    request(rig, "c1", "{\"type\":\"read\",\"key\":1,\"msg_id\":2}"); /* again: dropped */
    request(rig, "c2", "{\"type\":\"read\",\"key\":1,\"msg_id\":2}"); /* another's */
    assert_int_equal(rig->conn_count, 2);
    node_got(rig, 0, "*3\r\n$3\r\nSET\r\n$1\r\n1\r\n$1\r\n2\r\n");
    node_got(rig, 1, "*2\r\n$3\r\nGET\r\n$1\r\n1\r\n");
    answered(rig, "");
    node_says(rig, 0, "+O");
    answered(rig, "");
    node_says(rig, 0, "K\r\n");
    answered(
        rig,
        "{\"src\":\"n1\",\"dest\":\"c1\",\"body\":{\"type\":\"write_ok\",\"in_reply_to\":1,\"msg_id\":1}}\n");
    node_got(rig, 0, "*2\r\n$3\r\nGET\r\n$1\r\n1\r\n");
    node_says(rig, 1, "$-1\r\n");
    answered(rig, "{\"src\":\"n1\",\"dest\":\"c2\",\"body\":{\"type\":\"error\",\"code\":20,\"text\":\"key 1 "
                  "does not exist"
                  "\",\"in_reply_to\":2,\"msg_id\":2}}\n");
    node_says(rig, 0, "$1\r\n2\r\n");
    answered(rig, "{\"src\":\"n1\",\"dest\":\"c1\",\"body\":{\"type\":\"read_ok\",\"value\":2,\"in_reply_"
                  "to\":2,\"msg_id\":3}}\n"
                  "{\"src\":\"n1\",\"dest\":\"c1\",\"body\":{\"type\":\"error\",\"code\":10,\"text\":\""
                  "weft does not know requests of type "
                  "frob\",\"in_reply_to\":3,\"msg_id\":4}}\n");
    /* Stages: the second one begins when all replies of the first have come. */
    request(rig, "c1", "{\"type\":\"cas\",\"key\":1,\"from\":2,\"to\":3,\"msg_id\":4}");
    node_got(rig, 0, "*2\r\n$5\r\nWATCH\r\n$1\r\n1\r\n*2\r\n$3\r\nGET\r\n$1\r\n1\r\n");
    node_says(rig, 0, "+OK\r\n$1\r\n2\r\n");
    node_got(rig, 0, "*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\n1\r\n$1\r\n3\r\n*1\r\n$4\r\nEXEC\r\n");
    node_says(rig, 0, "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n");
    answered(
        rig,
        "{\"src\":\"n1\",\"dest\":\"c1\",\"body\":{\"type\":\"cas_ok\",\"in_reply_to\":4,\"msg_id\":5}}\n");
}

static void lines_that_are_none(void **state)
{
    struct rig *rig = *state;
    initialise(rig);
    line(rig, "");
    assert_null(rig->log);
    line(rig, "frob");
    logged(rig, "a line that is no message: '[' or '{' expected near 'frob': frob");
    line(rig, "{\"body\":{}}");
    logged(rig, "a line that is no message: src or body is missing: {\"body\":{}}");
    line(rig, "{\"src\":\"c1\",\"body\":1}");
    logged(rig, "src or body is missing");
    line(rig, "{\"src\":\"c1\",\"src\":\"c2\",\"body\":{}}");
    logged(rig, "duplicate object key");
    request(rig, "n2", "{\"type\":\"read_ok\",\"in_reply_to\":3}");
    logged(rig, "a reply from n2 to a message that was never sent");
    char *longest = malloc(BRIDGE_LINE_MAX + 100);
    memset(longest, 'x', BRIDGE_LINE_MAX + 100);
    put(rig, longest, BRIDGE_LINE_MAX + 100);
    line(rig, "");
    logged(rig, "a line of more than 1048576 bytes is ignored");
    free(longest);
    answered(rig, "");
    /* What follows is understood, in pieces, too; and a request without a type is answered. */
    put(rig, "{\"src\":\"c1\",\"bo", 15);
    line(rig, "dy\":{\"msg_id\":1}}");
    answered(rig, "{\"src\":\"n1\",\"dest\":\"c1\",\"body\":{\"type\":\"error\",\"code\":12,\"text\":\"a "
                  "message without "
                  "a type\",\"in_reply_to\":1,\"msg_id\":1}}\n");
}

static void connections_that_fail(void **state)
{
    struct rig *rig = *state;
    initialise(rig);
    /* Refused for good: what waited was not begun. */
    rig->refuse = ECONNREFUSED;
    request(rig, "c1", "{\"type\":\"read\",\"key\":1}");
    answered(rig, "{\"src\":\"n1\",\"dest\":\"c1\",\"body\":{\"type\":\"error\",\"code\":11,\"text\":"
                  "\"connection to the node: "
                  "Connection refused\",\"msg_id\":1}}\n");
    /* Refused for the moment: it comes later. */
    rig->refuse = EAGAIN;
    request(rig, "c1", "{\"type\":\"read\",\"key\":1}");
    turns(rig, 5);
    answered(rig, "");
    rig->refuse = 0;
    turns(rig, 3);
    node_got(rig, 0, "*2\r\n$3\r\nGET\r\n$1\r\n1\r\n");
    /* Ends amid a request: that may have been done, the others were not. */
    request(rig, "c1", "{\"type\":\"read\",\"key\":2}");
    close(rig->conns[0]);
    rig->conns[0] = -1;
    turns(rig, 5);
    answered(rig, "{\"src\":\"n1\",\"dest\":\"c1\",\"body\":{\"type\":\"error\",\"code\":13,\"text\":"
                  "\"connection to the node: "
                  "closed\",\"msg_id\":2}}\n"
                  "{\"src\":\"n1\",\"dest\":\"c1\",\"body\":{\"type\":\"error\",\"code\":11,\"text\":"
                  "\"connection to the node: "
                  "closed\",\"msg_id\":3}}\n");
    logged(rig, "connection of c1: closed");
    /* A new one is made then; what is no reply ends it, and so does a reply that nobody waits for. */
    request(rig, "c1", "{\"type\":\"read\",\"key\":1}");
    node_says(rig, 1, "frob\r\n");
    logged(rig, "connection of c1: sent what is no reply");
    request(rig, "c1", "{\"type\":\"read\",\"key\":1}");
    node_says(rig, 2, "$1\r\n5\r\n$1\r\n6\r\n");
    logged(rig, "connection of c1: sent a reply that nobody asked for");
    assert_non_null(strstr(rig->written, "\"read_ok\""));
}

static void bounds(void **state)
{
    struct rig *rig = *state;
    char name[16];
    initialise(rig);
    /* Of one source's requests that wait: the first of these runs. */
    for (int i = 0; i < BRIDGE_WAITING_MAX + 1; i++) request(rig, "c1", "{\"type\":\"read\",\"key\":1}");
    answered(rig, "");
    request(rig, "c1", "{\"type\":\"read\",\"key\":1}");
    answered(rig, "{\"src\":\"n1\",\"dest\":\"c1\",\"body\":{\"type\":\"error\",\"code\":11,\"text\":\"1024 "
                  "requests wait "
                  "already\",\"msg_id\":1}}\n");
    /* Of sources, of which none can give way. */
    rig->refuse = EAGAIN;
    for (int i = 1; i < BRIDGE_SOURCES_MAX; i++) {
        snprintf(name, sizeof name, "d%d", i);
        request(rig, name, "{\"type\":\"read\",\"key\":1}");
    }
    answered(rig, "");
    request(rig, "e", "{\"type\":\"read\",\"key\":1}");
    answered(
        rig,
        "{\"src\":\"n1\",\"dest\":\"e\",\"body\":{\"type\":\"error\",\"code\":11,\"text\":\"1024 sources are "
        "busy\",\"msg_id\":2}}\n");
    bridge_stop(rig->bridge);
    assert_false(bridge_turn(rig->bridge, 10000000)); /* at once */
}

static void the_oldest_source_gives_way(void **state)
{
    struct rig *rig = *state;
    char name[16], end;
    initialise(rig);
    if (io_files_max(2 * CONNS_MAX + 100) < 2 * CONNS_MAX + 100) skip();
    for (int i = 0; i < BRIDGE_SOURCES_MAX; i++) {
        snprintf(name, sizeof name, "c%d", i);
        request(rig, name, "{\"type\":\"read\",\"key\":1}");
        if (i != 0) node_says(rig, i, "$-1\r\n"); /* the first one stays busy */
    }
    request(rig, "c1", "{\"type\":\"read\",\"key\":1}"); /* used again */
    node_says(rig, 1, "$-1\r\n");
    request(rig, "new", "{\"type\":\"read\",\"key\":1}");
    turns(rig, 3);
    assert_int_equal(rig->conn_count, BRIDGE_SOURCES_MAX + 1);
    node_got(rig, BRIDGE_SOURCES_MAX, "*2\r\n$3\r\nGET\r\n$1\r\n1\r\n");
    for (int i = 0; i < 4; i++) {
        char got[200];
        while (read(rig->conns[i], got, sizeof got) > 0) continue;
        assert_int_equal(read(rig->conns[i], &end, 1) == 0, i == 2);
    }
}

static void the_end_of_the_input(void **state)
{
    struct rig *rig = *state;
    initialise(rig);
    request(rig, "c1", "{\"type\":\"read\",\"key\":1,\"msg_id\":2}");
    close(rig->input);
    rig->input = -1;
    for (int i = 0; i < 5; i++)
        assert_true(bridge_turn(rig->bridge, TURN_US)); /* what had come is answered first */
    assert_int_equal(write(rig->conns[0], "$-1\r\n", 5), 5);
    int left = 20;
    while (bridge_turn(rig->bridge, TURN_US)) assert_true(left-- > 0);
    answered(rig, "{\"src\":\"n1\",\"dest\":\"c1\",\"body\":{\"type\":\"error\",\"code\":20,\"text\":\"key 1 "
                  "does not exist"
                  "\",\"in_reply_to\":2,\"msg_id\":1}}\n");
    node_got(rig, 0, "*2\r\n$3\r\nGET\r\n$1\r\n1\r\n");
    char byte;
    assert_int_equal(read(rig->conns[0], &byte, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(init, set_up, tear_down),
        cmocka_unit_test_setup_teardown(requests_of_a_source_run_one_by_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lines_that_are_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(connections_that_fail, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bounds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_oldest_source_gives_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_end_of_the_input, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
