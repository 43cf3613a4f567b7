/* Connections over every backend: bytes both ways, flow control, closing, and the rules of io.h. */
#include "io_suite.h"

static enum suite_backend backend;

static void echoes_a_line(void **state)
{
    struct suite *s = suite_create(backend, 2);
    struct door d;
    uint16_t port = door_open(s, 0, &d, 0, true);
    struct peer *p = peer_connect(s, 1, port);
    peer_send(p, "hello", 5);
    UNTIL(s, p->in_len == 5);
    assert_memory_equal(p->in, "hello", 5);
    assert_int_equal(p->sent_result, 5);
    peer_close(s, p);
    UNTIL(s, d.peers[0]->closed);
    assert_int_equal(d.peers[0]->end_result, 0);
    door_close(s, &d);
    suite_destroy(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(echoes_a_line)};
    int failed = cmocka_run_group_tests_name("epoll", tests, NULL, NULL);
    backend = SUITE_URING;
    return failed + cmocka_run_group_tests_name("io_uring", tests, NULL, NULL);
}
