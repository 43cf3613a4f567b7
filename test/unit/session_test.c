/* Sessions: replies leave in the order of their requests whatever order they come in; what a client sent and
 * what is not executed yet is kept, whole, in the tail. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/prng.h"
#include "session/session.h"

static void assert_out(const struct session *s, const char *expected, size_t len)
{
    assert_int_equal(reply_len(&s->out), len);
    assert_memory_equal(s->out.begin, expected, len);
}

/* A request: answered here at once, or by a shard. */
struct asked {
    struct session_pending *pending; /* NULL: here */
    uint16_t shard;
    bool discard, answered;
    char text[64];
    size_t len;
};

#define REQUESTS 12

/* Random requests and answers; those of one shard come in their order, shards in any. */
static void run(uint64_t seed)
{
    struct prng prng;
    struct asked asked[REQUESTS] = {0};
    char expected[REQUESTS * 64];
    size_t expected_len = 0;
    int count = 0;
    prng_seed(&prng, seed);
    struct session *s = session_create(NULL, 1, 0);
    assert_non_null(s);
    uint64_t shards = 1 + prng_below(&prng, 4);
    for (int open = 0; count < REQUESTS || open > 0;) {
        if (count < REQUESTS && (open == 0 || prng_below(&prng, 2))) {
            struct asked *a = &asked[count];
            a->discard = prng_below(&prng, 6) == 0;
            a->shard = (uint16_t)prng_below(&prng, shards);
            a->len = (size_t)sprintf(a->text, "+%d.%llu%s\r\n", count, (unsigned long long)seed,
                                     count % 3 ? "" : "long long long");
            s->flags = a->discard ? SESSION_REPLY_OFF : 0;
            if (prng_below(&prng, 3) == 0) {
                a->answered = true;
                if (!a->discard) reply_raw(session_reply(s), a->text, a->len);
            } else {
                a->pending = session_expect(s, a->shard);
                assert_non_null(a->pending);
                open++;
            }
            if (!a->discard) {
                memcpy(expected + expected_len, a->text, a->len);
                expected_len += a->len;
            }
            count++;
        } else {
            uint16_t shard = (uint16_t)prng_below(&prng, shards);
            for (int i = 0; i < count; i++) {
                struct asked *a = &asked[i];
                if (a->answered || a->shard != shard) continue;
                session_fulfil(s, a->pending, a->text, a->len);
                a->answered = true;
                open--;
                break;
            }
        }
        /* Never ahead of an answer that is missing: what is out is a prefix, up to the first of those. */
        size_t upto = 0;
        for (int i = 0; i < count && asked[i].answered; i++) upto += asked[i].discard ? 0 : asked[i].len;
        assert_true(reply_len(&s->out) >= upto);
        assert_memory_equal(s->out.begin, expected, reply_len(&s->out));
        assert_true(session_output_bytes(s) <= expected_len);
    }
    assert_null(s->pending);
    assert_null(s->pending_last);
    assert_out(s, expected, expected_len);
    session_destroy(s);
}

static void test_all_orders(void **state)
{
    for (uint64_t seed = 1; seed <= 20000; seed++) run(seed);
}

/* Three shards, one request each, local replies between: all six orders. */
static void test_three_replies(void **state)
{
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (int o = 0; o < 6; o++) {
        struct session *s = session_create(NULL, 1, 0);
        struct session_pending *pending[3];
        reply_raw(session_reply(s), "a", 1);
        for (uint16_t i = 0; i < 3; i++) {
            pending[i] = session_expect(s, i);
            char local = (char)('b' + i);
            reply_raw(session_reply(s), &local, 1);
        }
        assert_out(s, "a", 1);
        for (int i = 0; i < 3; i++) {
            char remote = (char)('1' + orders[o][i]);
            session_fulfil(s, pending[orders[o][i]], &remote, 1);
        }
        assert_out(s, "a1b2c3d", 7);
        session_destroy(s);
    }
}

/* Runs for one shard share a place; an answer given here ends the run. */
static void test_runs(void **state)
{
    struct session *s = session_create(NULL, 1, 0);
    struct session_pending *first = session_expect(s, 5), *second = session_expect(s, 5);
    assert_ptr_equal(first, second);
    assert_ptr_not_equal(session_expect(s, 6), first);
    struct session_pending *third = session_expect(s, 5);
    assert_ptr_not_equal(third, first);
    session_fulfil(s, third, "z", 1);
    assert_int_equal(reply_len(&s->out), 0);
    session_fulfil(s, first, "x", 1);
    assert_out(s, "x", 1);
    session_fulfil(s, second, "y", 1);
    assert_out(s, "xy", 2);
    session_fulfil(s, s->pending, "-", 1);
    assert_out(s, "xy-z", 4);
    session_destroy(s);
    /* A session may end with answers still missing nowhere: quiet, but with places left. */
    s = session_create(NULL, 2, 0);
    session_expect(s, 1);
    reply_raw(session_reply(s), "late", 4);
    session_destroy(s);
}

/* Bytes come in pieces, some are executed, the rest waits: nothing is lost, doubled or moved. */
static void run_tail(uint64_t seed)
{
    struct prng prng;
    struct session *s = session_create(NULL, 1, 0);
    char input[4096];
    uint64_t came = 0, executed = 0; /* byte n of the stream is n % 251 */
    prng_seed(&prng, seed);
    for (int turn = 0; turn < 200; turn++) {
        size_t len = prng_below(&prng, prng_below(&prng, 10) ? 300 : sizeof input);
        for (size_t i = 0; i < len; i++) input[i] = (char)((came + i) % 251);
        came += len;
        if (s->tail_len) {
            assert_true(session_append_tail(s, input, len));
            s->input = s->tail;
            s->input_len = s->tail_len;
        } else {
            s->input = input;
            s->input_len = len;
        }
        assert_int_equal(s->input_len, came - executed);
        for (size_t i = 0; i < s->input_len; i++)
            assert_int_equal((uint8_t)s->input[i], (executed + i) % 251);
        s->input_at = prng_below(&prng, 3) ? prng_below(&prng, s->input_len + 1) : s->input_len;
        executed += s->input_at;
        assert_true(session_keep_input(s));
        memset(input, 0xee, sizeof input);
        assert_int_equal(s->tail_len, came - executed);
        assert_null(s->input);
        assert_true(s->tail_len <= s->tail_capacity);
        if (!s->tail_len && executed == came && turn % 2) assert_true(session_memory(s) < sizeof *s + 8192);
        if (prng_below(&prng, 10) == 0 && s->tail_len) {
            size_t done = 1 + prng_below(&prng, s->tail_len);
            session_drop_tail(s, done);
            executed += done;
        }
    }
    session_destroy(s);
}

static void test_tail(void **state)
{
    for (uint64_t seed = 1; seed <= 300; seed++) run_tail(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three_replies),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_all_orders),
        cmocka_unit_test(test_tail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
