/* reply: the bytes of every kind of reply in both protocol versions; deferred headers of every width, nested;
 * errors cannot break the stream; buffers change hands; growth keeps what was written. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/prng.h"
#include "resp/reply.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct reply replies[2]; /* RESP2 and RESP3 */

static int set_up(void **state)
{
    reply_init(&replies[0], 2);
    reply_init(&replies[1], 3);
    return 0;
}

static int tear_down(void **state)
{
    reply_free(&replies[0]);
    reply_free(&replies[1]);
    return 0;
}

static void expect_one(struct reply *r, const char *want)
{
    size_t len = strlen(want);
    if (reply_len(r) != len || (len && memcmp(r->begin, want, len) != 0))
        fail_msg("got '%.*s', not '%s'", (int)reply_len(r), r->begin, want);
    assert_false(r->failed);
    reply_clear(r);
}

static void expect(const char *in_resp2, const char *in_resp3)
{
    expect_one(&replies[0], in_resp2);
    expect_one(&replies[1], in_resp3);
}

#define BOTH(call)                                                                                           \
    for (struct reply *r = replies; r < replies + 2; r++) call

static void scalars(void **state)
{
    BOTH(reply_ok(r));
    expect("+OK\r\n", "+OK\r\n");
    BOTH(reply_queued(r));
    expect("+QUEUED\r\n", "+QUEUED\r\n");
    BOTH(reply_status(r, "PONG"));
    expect("+PONG\r\n", "+PONG\r\n");
    static const int64_t integers[] = {0, 9, 10, -1, 12345, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
        char want[64];
        snprintf(want, sizeof want, ":%lld\r\n", (long long)integers[i]);
        BOTH(reply_integer(r, integers[i]));
        expect(want, want);
    }
    BOTH(reply_null(r));
    expect("$-1\r\n", "_\r\n");
    BOTH(reply_null_array(r));
    expect("*-1\r\n", "_\r\n");
    BOTH(reply_bool(r, true));
    expect(":1\r\n", "#t\r\n");
    BOTH(reply_bool(r, false));
    expect(":0\r\n", "#f\r\n");
    BOTH(reply_double(r, 1.5));
    expect("$3\r\n1.5\r\n", ",1.5\r\n");
    BOTH(reply_double(r, -(double)INFINITY));
    expect("$4\r\n-inf\r\n", ",-inf\r\n");
    BOTH(reply_long_double(r, 10.5L));
    expect("$4\r\n10.5\r\n", ",10.5\r\n");
    BOTH(reply_big_number(r, "1234567999999999999999999999999999999", 37));
    expect("$37\r\n1234567999999999999999999999999999999\r\n", "(1234567999999999999999999999999999999\r\n");
    BOTH(reply_verbatim(r, "txt", "some text", 9));
    expect("$9\r\nsome text\r\n", "=13\r\ntxt:some text\r\n");
    BOTH(reply_verbatim(r, "a", "", 0));
    expect("$0\r\n\r\n", "=4\r\na  :\r\n");
    BOTH(reply_bulk_i64(r, -42));
    expect("$3\r\n-42\r\n", "$3\r\n-42\r\n");
    BOTH(reply_bulkf(r, "%s:%d", "a", 7));
    expect("$3\r\na:7\r\n", "$3\r\na:7\r\n");
    BOTH(reply_bulk(r, NULL, 0));
    expect("$0\r\n\r\n", "$0\r\n\r\n");
}

static void bulks_of_every_length(void **state)
{
    char *bytes = malloc(3000), *want = malloc(3100);
    for (size_t i = 0; i < 3000; i++) bytes[i] = (char)('a' + i % 26);
    for (size_t len = 0; len < 3000; len += len < 300 ? 1 : 37) {
        int n = sprintf(want, "$%zu\r\n%.*s\r\n", len, (int)len, bytes);
        reply_bulk(replies, bytes, len);
        assert_int_equal(reply_len(replies), n);
        assert_memory_equal(replies->begin, want, (size_t)n);
        reply_clear(replies);
        reply_bulkf(replies, "%.*s", (int)len, bytes);
        assert_int_equal(reply_len(replies), n);
        assert_memory_equal(replies->begin, want, (size_t)n);
        reply_free(replies); /* the next one grows from nothing */
    }
    free(bytes);
    free(want);
}

static void aggregates(void **state)
{
    BOTH(reply_array(r, 3));
    expect("*3\r\n", "*3\r\n");
    BOTH(reply_map(r, 12));
    expect("*24\r\n", "%12\r\n");
    BOTH(reply_set(r, 0));
    expect("*0\r\n", "~0\r\n");
    BOTH(reply_push(r, 2));
    expect("*2\r\n", ">2\r\n");
    BOTH(reply_empty_array(r));
    expect("*0\r\n", "*0\r\n");
}

static void deferred(void **state)
{
    static const uint64_t expectations[] = {0, 5, 10, 999, 100000, 18446744073709551615u};
    static const uint64_t counts[] = {0, 1, 9, 10, 123, 99999, 12345678901u};
    for (size_t e = 0; e < sizeof expectations / sizeof *expectations; e++) {
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            char want2[128], want3[128];
            snprintf(want2, sizeof want2, "+OK\r\n*%llu\r\n$1\r\nx\r\n", (unsigned long long)counts[c] * 2);
            snprintf(want3, sizeof want3, "+OK\r\n%%%llu\r\n$1\r\nx\r\n", (unsigned long long)counts[c]);
            for (struct reply *r = replies; r < replies + 2; r++) {
                reply_ok(r);
                size_t mark = reply_defer(r, expectations[e]);
                reply_bulk(r, "x", 1);
                reply_close_map(r, mark, counts[c]);
            }
            expect(want2, want3);
        }
    }
    BOTH({
        size_t outer = reply_defer(r, 1000);
        reply_integer(r, 1);
        size_t inner = reply_defer(r, 0);
        reply_integer(r, 2);
        reply_close_set(r, inner, 10);
        reply_integer(r, 3);
        reply_close_array(r, outer, 3);
    });
    expect("*3\r\n:1\r\n*10\r\n:2\r\n:3\r\n", "*3\r\n:1\r\n~10\r\n:2\r\n:3\r\n");
}

static void errors(void **state)
{
    uint32_t before = replies[0].errors;
    BOTH(reply_error(r, "ERR syntax error"));
    expect("-ERR syntax error\r\n", "-ERR syntax error\r\n");
    BOTH(reply_errorf(r, "ERR unknown command '%s', %s", "a\r\n+OK\r\nb", "x\n\r\n"));
    expect("-ERR unknown command 'a  +OK  b', x\r\n", "-ERR unknown command 'a  +OK  b', x\r\n");
    assert_int_equal(replies[0].errors - before, 2);

    reply_ok(replies);
    reply_error(replies, "WRONGTYPE Operation against a key");
    assert_true(slice_equal(reply_error_code(replies), SLICE("WRONGTYPE")));
    reply_error(replies, "NOSPACE");
    assert_true(slice_equal(reply_error_code(replies), SLICE("ERR")));
    reply_error(replies, "ACODETHATISLONGERTHANTHIRTYTWOBYTES text");
    assert_true(slice_equal(reply_error_code(replies), SLICE("ERR")));
    reply_clear(replies);
    assert_true(slice_equal(reply_error_code(replies), SLICE("ERR")));

    char *longer = malloc(5001);
    memset(longer, 'e', 5000);
    longer[5000] = 0;
    reply_errorf(replies, "ERR %s", longer);
    assert_int_equal(reply_len(replies), 1 + 4 + 5000 + 2);
    assert_memory_equal(replies->begin + 4990, "eeeeeeeeeeeeeee\r\n", 17);
    reply_clear(replies);
    free(longer);
}

static void buffers_change_hands(void **state)
{
    reply_ok(replies);
    size_t len, capacity;
    char *buffer = reply_detach(replies, &len, &capacity);
    assert_int_equal(len, 5);
    assert_true(capacity >= 5);
    assert_memory_equal(buffer, "+OK\r\n", 5);
    assert_int_equal(reply_len(replies), 0);
    reply_integer(replies, 7);
    expect_one(replies, ":7\r\n");
    reply_free(replies);
    reply_attach(replies, buffer, capacity);
    assert_int_equal(reply_len(replies), 0);
    reply_null(replies);
    assert_ptr_equal(replies->begin, buffer);
    size_t kept = reply_len(replies);
    reply_bulk(replies, "gone", 4);
    reply_truncate(replies, kept);
    expect_one(replies, "$-1\r\n");
}

/* Everything appended in random order equals the concatenation of what each alone writes. */
static void growth_keeps_all(void **state)
{
    struct prng g;
    prng_seed(&g, 17);
    char *all = malloc(1 << 20), *bytes = malloc(5000);
    memset(bytes, 'b', 5000);
    for (int round = 0; round < 200; round++) {
        size_t len = 0;
        reply_free(replies);
        for (int i = 0; i < 60; i++) {
            size_t n = prng_below(&g, i % 7 ? 120 : 5000);
            switch (prng_below(&g, 4)) {
            case 0:
                reply_bulk(replies, bytes, n);
                len += (size_t)sprintf(all + len, "$%zu\r\n%.*s\r\n", n, (int)n, bytes);
                break;
            case 1:
                reply_integer(replies, (int64_t)n);
                len += (size_t)sprintf(all + len, ":%zu\r\n", n);
                break;
            case 2:
                reply_array(replies, n);
                len += (size_t)sprintf(all + len, "*%zu\r\n", n);
                break;
            default: reply_raw(replies, bytes, n); len += (size_t)sprintf(all + len, "%.*s", (int)n, bytes);
            }
        }
        assert_int_equal(reply_len(replies), len);
        assert_memory_equal(replies->begin, all, len);
    }
    free(all);
    free(bytes);
}

/* A write that cannot have memory is dropped whole and the struct says so; nothing else breaks. */
static void out_of_memory(void **state)
{
    reply_ok(replies);
    size_t mark = reply_defer(replies, 0);
    assert_false(reply_grow(replies, SIZE_MAX - 100));
    assert_true(replies->failed);
    reply_bulk(replies, "abc", 3);
    reply_close_array(replies, mark, 1);
    assert_true(replies->failed);
    reply_free(replies);
    replies->failed = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars),          cmocka_unit_test(bulks_of_every_length),
        cmocka_unit_test(aggregates),       cmocka_unit_test(deferred),
        cmocka_unit_test(errors),           cmocka_unit_test(buffers_change_hands),
        cmocka_unit_test(growth_keeps_all), cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
