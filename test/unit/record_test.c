/* The codec of change records: every op with every shape of arguments comes back as it went in; a record cut
 * short anywhere asks for more, one that is damaged is refused or is a record, and never reads outside its
 * bytes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/prng.h"
#include "stamp/record.h"

static char text[70000];

static struct slice some_bytes(struct prng *prng)
{
    static const size_t lens[] = {0, 1, 8, 20, 127, 128, 300, 16383, 16384, 65000};
    size_t len = lens[prng_below(prng, prng_below(prng, 8) ? 6 : 10)];
    return (struct slice){text + prng_below(prng, sizeof text - len), len};
}

static struct record some_record(struct prng *prng, unsigned op)
{
    struct record record = {.op = (uint8_t)op,
                            .sequence = prng_next(prng) >> prng_below(prng, 64),
                            .partition = (uint16_t)prng_below(prng, 256),
                            .keyspace = (uint8_t)prng_below(prng, 256),
                            .flags = (uint8_t)prng_below(prng, 4),
                            .key = some_bytes(prng),
                            .args_count = (uint8_t)prng_below(prng, RECORD_ARGS_MAX + 1)};
    if (record.flags & RECORD_STAMPED) record.stamp = prng_next(prng);
    for (int i = 0; i < record.args_count; i++) record.args[i] = some_bytes(prng);
    return record;
}

static void assert_equal(const struct record *a, const struct record *b)
{
    assert_true(a->op == b->op && a->flags == b->flags && a->keyspace == b->keyspace);
    assert_true(a->partition == b->partition && a->args_count == b->args_count);
    assert_true(a->sequence == b->sequence && a->stamp == b->stamp);
    assert_true(slice_equal(a->key, b->key));
    for (int i = 0; i < a->args_count; i++) assert_true(slice_equal(a->args[i], b->args[i]));
}

/* In memory of exactly its size, for the address sanitizer. */
static uint8_t *encode(const struct record *record, size_t *len)
{
    uint8_t *room = malloc(record_size_max(record));
    assert_non_null(room);
    *len = record_encode(record, room);
    assert_true(*len <= record_size_max(record));
    uint8_t *exact = malloc(*len);
    assert_non_null(exact);
    memcpy(exact, room, *len);
    free(room);
    return exact;
}

static void test_round_trip(void **state)
{
    struct prng prng;
    prng_seed(&prng, 1);
    for (int round = 0; round < 200; round++) {
        for (unsigned op = 1; op < RECORD_OP_COUNT; op++) {
            struct record record = some_record(&prng, op), back;
            size_t len;
            uint8_t *bytes = encode(&record, &len);
            assert_int_equal(record_decode(bytes, len, &back), len);
            assert_equal(&record, &back);
            free(bytes);
        }
    }
}

static void test_cut_short(void **state)
{
    struct prng prng;
    prng_seed(&prng, 2);
    for (int round = 0; round < 300; round++) {
        struct record record = some_record(&prng, 1 + (unsigned)prng_below(&prng, RECORD_OP_COUNT - 1)), back;
        size_t len;
        uint8_t *bytes = encode(&record, &len);
        for (size_t cut = 0; cut < len; cut += 1 + (len > 2000 ? prng_below(&prng, len / 100) : 0)) {
            uint8_t *part = malloc(cut ? cut : 1);
            assert_non_null(part);
            memcpy(part, bytes, cut);
            assert_int_equal(record_decode(part, cut, &back), 0);
            free(part);
        }
        free(bytes);
    }
}

/* Several in a row, as a log or a peer has them. */
static void test_run_of_records(void **state)
{
    struct prng prng;
    struct record records[50], back;
    size_t len = 0, at = 0;
    uint8_t *bytes = malloc(50 * 5 * 70000);
    assert_non_null(bytes);
    prng_seed(&prng, 3);
    for (int i = 0; i < 50; i++) {
        records[i] = some_record(&prng, 1 + (unsigned)i % (RECORD_OP_COUNT - 1));
        len += record_encode(&records[i], bytes + len);
    }
    for (int i = 0; i < 50; i++) {
        int64_t used = record_decode(bytes + at, len - at, &back);
        assert_true(used > 0);
        assert_equal(&records[i], &back);
        at += (size_t)used;
    }
    assert_int_equal(at, len);
    free(bytes);
}

static void assert_inside(struct slice s, const uint8_t *bytes, size_t len)
{
    assert_true((const uint8_t *)s.ptr >= bytes && s.len <= len &&
                (const uint8_t *)s.ptr + s.len <= bytes + len);
}

static void decode_damaged(const uint8_t *bytes, size_t len)
{
    struct record back;
    int64_t used = record_decode(bytes, len, &back);
    assert_true(used >= -1 && used <= (int64_t)len);
    if (used <= 0) return;
    assert_true(back.op > 0 && back.op < RECORD_OP_COUNT && back.args_count <= RECORD_ARGS_MAX);
    assert_inside(back.key, bytes, len);
    for (int i = 0; i < back.args_count; i++) assert_inside(back.args[i], bytes, len);
}

static void test_damage(void **state)
{
    struct prng prng;
    prng_seed(&prng, 4);
    for (int round = 0; round < 100000; round++) {
        size_t len = prng_below(&prng, 60);
        uint8_t *bytes = malloc(len ? len : 1);
        assert_non_null(bytes);
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)prng_below(&prng, prng_below(&prng, 2) ? 12 : 256);
        decode_damaged(bytes, len);
        free(bytes);
    }
    for (int round = 0; round < 20000; round++) {
        struct record record = some_record(&prng, 1 + (unsigned)prng_below(&prng, RECORD_OP_COUNT - 1));
        if (record_size_max(&record) > 2000) continue;
        size_t len;
        uint8_t *bytes = encode(&record, &len);
        bytes[prng_below(&prng, len)] ^= (uint8_t)(1u << prng_below(&prng, 8));
        decode_damaged(bytes, len);
        free(bytes);
    }
}

static void test_refused(void **state)
{
    struct record record = {.op = RECORD_SET_ADD,
                            .sequence = 5,
                            .key = SLICE("k"),
                            .args = {SLICE("m")},
                            .args_count = 1},
                  back;
    size_t len;
    uint8_t *bytes = encode(&record, &len);
    static const struct {
        size_t at;
        uint8_t value;
    } bad[] = {{1, RECORD_VERSION + 1},   {2, 0},  {2, RECORD_OP_COUNT},
               {10, RECORD_ARGS_MAX + 1}, {10, 0}, {8, 200}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t was = bytes[bad[i].at];
        bytes[bad[i].at] = bad[i].value;
        assert_int_equal(record_decode(bytes, len, &back), -1);
        bytes[bad[i].at] = was;
    }
    assert_int_equal(record_decode(bytes, len, &back), len);
    free(bytes);
}

int main(void)
{
    struct prng prng;
    prng_seed(&prng, 9);
    for (size_t i = 0; i < sizeof text; i++) text[i] = (char)prng_below(&prng, 256);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),     cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_run_of_records), cmocka_unit_test(test_damage),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
