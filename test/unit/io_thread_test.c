/* What more than one thread sees: wake-ups, deadlines, sockets handed from actor to actor, signals. Real
 * backends; made for the thread sanitizer as much as for the assertions. */
#include "child.h"
#include "io_suite.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

static enum suite_backend backend;

static void waits_until_the_deadline(void **state)
{
    struct suite *s = suite_create(backend, 1);
    struct io *io = s->ios[0];
    struct io_completion out[4];
    for (int64_t us = 300; us < 100000; us *= 9) {
        int64_t start_us = io_monotonic_us(io);
        assert_int_equal(io_wait(io, start_us + us, out, 4), 0);
        int64_t took_us = io_monotonic_us(io) - start_us;
        if (took_us < us) fail_msg("%lld us early of %lld", (long long)(us - took_us), (long long)us);
        assert_true(took_us < us + 200000);
    }
    int64_t start_us = io_monotonic_us(io);
    for (int i = 0; i < 100; i++) assert_int_equal(io_wait(io, 0, out, 4), 0);
    for (int i = 0; i < 100; i++) assert_int_equal(io_wait(io, start_us, out, 4), 0);
    assert_true(io_monotonic_us(io) - start_us < 500000);
    assert_true(io_realtime_us(io) > INT64_C(1600000000000000));
    suite_destroy(s);
}

static void a_wake_up_before_the_wait_counts(void **state)
{
    struct suite *s = suite_create(backend, 1);
    struct io *io = s->ios[0];
    struct io_completion out[4];
    for (int i = 0; i < 3; i++) {
        io_wake(io);
        io_wake(io);
        int64_t start_us = io_monotonic_us(io);
        io_wait(io, start_us + 10000000, out, 4);
        assert_true(io_monotonic_us(io) - start_us < 5000000);
        while (io_monotonic_us(io) - start_us < 20000)
            io_wait(io, start_us + 20000, out, 4); /* and only once */
    }
    suite_destroy(s);
}

/* A mailbox of one number: the writer waits until the last one was taken. */
struct mailbox {
    struct io *io;
    _Atomic uint32_t value;
    uint32_t rounds;
    atomic_int writers_left;
};

static void mailbox_write(void *argument)
{
    struct mailbox *m = argument;
    for (uint32_t i = 1; i <= m->rounds; i++) {
        while (atomic_load(&m->value) != 0) sched_yield();
        atomic_store(&m->value, i);
        io_wake(m->io);
    }
    atomic_fetch_sub(&m->writers_left, 1);
}

static void no_wake_up_is_lost(void **state)
{
    struct suite *s = suite_create(backend, 1);
    struct mailbox m = {.io = s->ios[0], .rounds = 20000, .writers_left = 1};
    struct io_completion out[4];
    int error;
    struct io_thread *t = io_thread_start("writer", mailbox_write, &m, &error);
    assert_non_null(t);
    int64_t lost_us = io_monotonic_us(m.io) + 60000000;
    for (uint32_t expected = 1; expected <= m.rounds;) {
        io_wait(m.io, lost_us, out, 4); /* a lost one makes this hang for a minute */
        uint32_t value = atomic_load(&m.value);
        if (value == 0) continue;
        assert_int_equal(value, expected);
        atomic_store(&m.value, 0);
        expected++;
    }
    assert_true(io_monotonic_us(m.io) < lost_us);
    io_thread_join(t);
    suite_destroy(s);
}

static void many_threads_wake_one(void **state)
{
    struct suite *s = suite_create(backend, 1);
    struct mailbox m[4];
    struct io_thread *t[4];
    struct io_completion out[4];
    uint32_t sum = 0;
    int error;
    for (int i = 0; i < 4; i++) {
        m[i] = (struct mailbox){.io = s->ios[0], .rounds = 3000, .writers_left = 1};
        t[i] = io_thread_start("writer", mailbox_write, &m[i], &error);
    }
    int64_t lost_us = io_monotonic_us(s->ios[0]) + 60000000;
    while (sum < 4 * 3000) {
        io_wait(s->ios[0], lost_us, out, 4);
        for (int i = 0; i < 4; i++)
            if (atomic_exchange(&m[i].value, 0) != 0) sum++;
    }
    for (int i = 0; i < 4; i++) io_thread_join(t[i]);
    suite_destroy(s);
}

/* An actor on its own thread: takes sockets from a mailbox, echoes on them, gives them back when told to. */
struct actor {
    struct io *io;
    _Atomic int64_t in, out; /* sockets + 1; 0: none */
    atomic_bool stop, give_back;
    struct peer *peer;
};

static void actor_run(void *argument)
{
    struct actor *a = argument;
    struct io_completion out[64];
    while (!atomic_load(&a->stop)) {
        int n = io_wait(a->io, INT64_MAX, out, 64);
        dispatch(out, n);
        int64_t socket = atomic_exchange(&a->in, 0);
        if (socket != 0) {
            a->peer = peer_new();
            a->peer->echo = true;
            a->peer->conn = io_attach(a->io, socket - 1, a->peer);
        }
        struct peer *p = a->peer;
        if (p != NULL && p->conn != NULL && !p->sending && atomic_exchange(&a->give_back, false))
            io_detach(p->conn);
        if (p != NULL && p->detached) {
            atomic_store(&a->out, p->socket + 1);
            peer_free(p);
            a->peer = NULL;
        }
    }
}

static void sockets_move_between_threads(void **state)
{
    struct suite *s = suite_create(backend, 2); /* 0: accepts, 1: the client */
    struct actor a[2];
    struct io_thread *t[2];
    struct door d;
    int error;
    uint16_t port = door_open(s, 0, &d, -1, false);
    struct peer *p = peer_connect(s, 1, port);
    UNTIL(s, d.accepted == 1);
    for (int i = 0; i < 2; i++) {
        memset(&a[i], 0, sizeof(a[i]));
        a[i].io = io_create(s->world, &error); /* here, and then used there */
        assert_non_null(a[i].io);
        t[i] = io_thread_start("actor", actor_run, &a[i], &error);
        assert_non_null(t[i]);
    }
    int64_t socket = d.sockets[0] + 1;
    for (int round = 0; round < 20; round++) {
        struct actor *to = &a[round % 2];
        uint8_t *bytes = pattern(50000, (uint32_t)round);
        p->in_len = 0;
        peer_send(p, bytes, 25000); /* some of it before the new owner has it */
        atomic_store(&to->in, socket);
        io_wake(to->io);
        UNTIL(s, !p->sending);
        peer_send(p, bytes + 25000, 25000);
        UNTIL(s, p->in_len == 50000);
        assert_memory_equal(p->in, bytes, 50000);
        free(bytes);
        UNTIL(s, !p->sending);
        do {
            atomic_store(&to->give_back, true);
            io_wake(to->io);
            suite_turn(s);
            socket = atomic_exchange(&to->out, 0);
        } while (socket == 0);
        atomic_store(&to->give_back, false);
    }
    io_discard(s->ios[0], socket - 1);
    UNTIL(s, p->ended);
    for (int i = 0; i < 2; i++) {
        atomic_store(&a[i].stop, true);
        io_wake(a[i].io);
        io_thread_join(t[i]);
        io_destroy(a[i].io);
    }
    peer_close(s, p);
    door_close(s, &d);
    suite_destroy(s);
}

static void signals_stop_the_wait(void **state)
{
    pid_t child = fork();
    if (child == 0) {
        struct suite *s = suite_create(backend, 1);
        struct io_completion out[4];
        bool good = !io_signals_stop_requested();
        io_signals_catch(s->ios[0]);
        raise(SIGPIPE);
        raise(SIGHUP);
        good = good && !io_signals_stop_requested();
        raise(SIGTERM);
        io_wait(s->ios[0], INT64_MAX, out, 4);
        good = good && io_signals_stop_requested();
        suite_destroy(s);
        child_exit(good ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* The signal comes from outside while the io sleeps without a deadline. */
static void a_signal_ends_the_sleep(void **state)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        struct suite *s = suite_create(backend, 1);
        struct io_completion out[4];
        io_signals_catch(s->ios[0]);
        io_wait(s->ios[0], 0, out, 4);
        if (write(ready[1], "r", 1) != 1) child_exit(2);
        while (!io_signals_stop_requested()) io_wait(s->ios[0], INT64_MAX, out, 4);
        suite_destroy(s);
        child_exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    usleep(20000);
    kill(child, SIGINT);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(ready[0]);
    close(ready[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_until_the_deadline),     cmocka_unit_test(a_wake_up_before_the_wait_counts),
        cmocka_unit_test(no_wake_up_is_lost),           cmocka_unit_test(many_threads_wake_one),
        cmocka_unit_test(sockets_move_between_threads), cmocka_unit_test(signals_stop_the_wait),
        cmocka_unit_test(a_signal_ends_the_sleep),
    };
    return suite_main_real("threads", &backend, tests, ARRAY_LEN(tests));
}
