/* The small parts of base: CRC16 and CRC64 against bitwise twins and published check values, hash slots with
 * hash tags, the generator's uniformity, histogram buckets and percentiles against sorted values. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/crc.h"
#include "base/hash.h"
#include "base/histogram.h"
#include "base/prng.h"

#include <stdlib.h>

static uint16_t bitwise16(const uint8_t *p, size_t len)
{
    uint16_t crc = 0;
    for (; len; len--, p++) {
        crc ^= (uint16_t)(*p << 8);
        for (int i = 0; i < 8; i++) crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
    }
    return crc;
}

static uint64_t bitwise64(uint64_t crc, const uint8_t *p, size_t len)
{
    const uint64_t reversed = 0x95ac9329ac4bc9b5u;
    for (; len; len--, p++) {
        crc ^= *p;
        for (int i = 0; i < 8; i++) crc = crc & 1 ? crc >> 1 ^ reversed : crc >> 1;
    }
    return crc;
}

static void checksums(void **state)
{
    assert_int_equal(crc16("123456789", 9), 0x31c3);
    assert_true(crc64(0, "123456789", 9) == 0xe9c6d914c4b8d9cau);
    struct prng g;
    prng_seed(&g, 1);
    uint8_t bytes[100];
    for (int i = 0; i < 20000; i++) {
        size_t len = prng_below(&g, sizeof bytes + 1), cut = prng_below(&g, len + 1);
        for (size_t k = 0; k < len; k++) bytes[k] = (uint8_t)prng_next(&g);
        assert_int_equal(crc16(bytes, len), bitwise16(bytes, len));
        uint64_t want = bitwise64(0, bytes, len);
        assert_true(crc64(0, bytes, len) == want);
        assert_true(crc64(crc64(0, bytes, cut), bytes + cut, len - cut) == want);
    }
}

static uint16_t slot(const char *key)
{
    return key_slot(key, strlen(key));
}

static void slots(void **state)
{
    assert_int_equal(slot("123456789"), 12739);
    assert_int_equal(slot("foo"), 12182);
    assert_int_equal(slot(""), 0);
    assert_int_equal(slot("{user1000}.following"), slot("user1000"));
    assert_int_equal(slot("a{b}c{d}"), slot("b"));
    assert_int_equal(slot("foo{{bar}}zap"), slot("{bar"));
    assert_int_equal(slot("foo{bar}{zap}"), slot("bar"));
    /* No tag: all of the key counts. */
    assert_int_equal(slot("foo{}{bar}"), crc16("foo{}{bar}", 10) & 16383);
    assert_int_equal(slot("foo{bar"), crc16("foo{bar", 7) & 16383);
    assert_int_equal(slot("foo{"), crc16("foo{", 4) & 16383);
    assert_int_equal(slot("}{"), crc16("}{", 2) & 16383);
}

static void generator(void **state)
{
    struct prng a, b;
    prng_seed(&a, 5);
    prng_seed(&b, 5);
    int counts[10] = {0};
    for (int i = 0; i < 100000; i++) {
        uint64_t v = prng_below(&a, 10);
        assert_true(v == prng_below(&b, 10));
        counts[v]++;
        double u = prng_unit(&a);
        assert_true(u >= 0 && u < 1 && u == prng_unit(&b));
    }
    for (int i = 0; i < 10; i++) assert_in_range(counts[i], 9500, 10500);
    assert_true(prng_below(&a, 0) == 0 && prng_below(&a, 1) == 0);
    prng_seed(&b, 6);
    assert_true(prng_next(&a) != prng_next(&b));
    /* Bounds near 2^64 reject about half the draws. */
    uint64_t bound = (1ull << 63) + 1;
    for (int i = 0; i < 1000; i++) assert_true(prng_below(&a, bound) < bound);
}

static void hashes(void **state)
{
    assert_true(hash_bytes("key", 3, 1) == hash_bytes("key2", 3, 1));
    assert_true(hash_bytes("key", 3, 1) != hash_bytes("key", 3, 2));
    assert_true(hash_bytes("key", 3, 1) != hash_bytes("kez", 3, 1));
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void histograms(void **state)
{
    /* Buckets are contiguous, in order, and at most 1/16 wide. */
    uint64_t below = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t top = histogram_bucket_top(i), bottom = i ? below + 1 : 0;
        assert_true(histogram_bucket(bottom) == i && histogram_bucket(top) == i);
        assert_true((top - bottom) * 16 <= bottom || top == bottom);
        below = top;
    }
    assert_true(below == (1ull << HISTOGRAM_VALUE_BITS) - 1);
    assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);

    enum { N = 20000 };
    struct histogram *h = calloc(3, sizeof *h);
    uint64_t *values = malloc(N * sizeof *values);
    assert_int_equal(histogram_percentile(h, 50), 0);
    struct prng g;
    prng_seed(&g, 9);
    for (int i = 0; i < N; i++) {
        values[i] = prng_next(&g) >> (28 + prng_below(&g, 30));
        histogram_add(h, values[i]);
        histogram_add(h + 1 + i % 2, values[i]);
    }
    qsort(values, N, sizeof *values, by_value);
    static const double percents[] = {0, 1, 50, 90, 99, 99.9, 100};
    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++) {
        double exact = N * percents[i] / 100;
        size_t rank = (size_t)exact;
        if ((double)rank == exact && rank) rank--;
        uint64_t want = values[rank], got = histogram_percentile(h, percents[i]);
        assert_true(got >= want && got - want <= want / 16 + 1);
    }
    assert_true(histogram_percentile(h, 100) == h->max);
    histogram_merge(h + 1, h + 2);
    assert_memory_equal(h, h + 1, sizeof *h);
    histogram_reset(h);
    assert_true(h->count == 0 && histogram_percentile(h, 99) == 0);
    free(values);
    free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksums), cmocka_unit_test(slots),      cmocka_unit_test(generator),
        cmocka_unit_test(hashes),    cmocka_unit_test(histograms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
