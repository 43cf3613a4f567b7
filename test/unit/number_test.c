/* number: integers against snprintf/strtoll and at the borders; doubles: every form that a real Redis 8.0
 * took or refused, text that a real one printed, and random doubles of every magnitude that must read back to
 * themselves and nearly always have the fewest digits. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/number.h"
#include "base/prng.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void integers_parse(void **state)
{
    static const struct {
        const char *text;
        bool valid;
        int64_t value;
    } rows[] = {
        {"0", true, 0},
        {"-1", true, -1},
        {"10", true, 10},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"1000000000000000000", true, 1000000000000000000},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"18446744073709551615", false, 0},
        {"18446744073709551616", false, 0},
        {"99999999999999999999", false, 0},
        {"184467440737095516150", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {"-0", false, 0},
        {"+1", false, 0},
        {"00", false, 0},
        {"01", false, 0},
        {"-01", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1x", false, 0},
        {"--1", false, 0},
        {"0x1", false, 0},
        {"1.0", false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t v = 77;
        bool valid = number_parse_i64(rows[i].text, strlen(rows[i].text), &v);
        if (valid != rows[i].valid) print_error("'%s'\n", rows[i].text);
        assert_true(valid == rows[i].valid);
        assert_true(v == (valid ? rows[i].value : 77));
    }
    uint64_t u;
    assert_true(number_parse_u64("18446744073709551615", 20, &u) && u == UINT64_MAX);
    assert_false(number_parse_u64("18446744073709551616", 20, &u));
    assert_false(number_parse_u64("-1", 2, &u));
    /* The slice's end counts, not a NUL. */
    assert_true(number_parse_u64("123456", 3, &u) && u == 123);
    assert_false(number_parse_u64("1\0", 2, &u));
}

static void integers_round_trip(void **state)
{
    struct prng g;
    prng_seed(&g, 7);
    for (int i = 0; i < 300000; i++) {
        uint64_t u = prng_next(&g) >> prng_below(&g, 64);
        if (i < 20) {
            u = 1;
            for (int k = 0; k < i; k++) u *= 10; /* 10^i, and below it 10^i - 1 */
        }
        for (int less = 0; less < 2; less++, u--) {
            char want[32], got[32];
            int n = snprintf(want, sizeof want, "%" PRIu64, u);
            assert_int_equal(number_format_u64(got, u), n);
            assert_memory_equal(want, got, (size_t)n);
            assert_int_equal(number_digits_u64(u), n);
            uint64_t back;
            assert_true(number_parse_u64(got, (size_t)n, &back) && back == u);
            int64_t s = (int64_t)u, signed_back;
            n = snprintf(want, sizeof want, "%" PRId64, s);
            assert_true(n <= NUMBER_I64_MAX);
            assert_int_equal(number_format_i64(got, s), n);
            assert_memory_equal(want, got, (size_t)n);
            assert_true(number_parse_i64(got, (size_t)n, &signed_back) && signed_back == s);
        }
    }
}

static void doubles_parse(void **state)
{
    static const struct {
        const char *text;
        double value;
    } valid[] = {
        {"+1", 1},
        {"0x10", 16},
        {"0x1p3", 8},
        {"+inf", INFINITY},
        {"inf", INFINITY},
        {"-INF", -INFINITY},
        {"Infinity", INFINITY},
        {"-infinity", -INFINITY},
        {"1.", 1},
        {".5", 0.5},
        {"-.5", -0.5},
        {"+.5", 0.5},
        {"1e5", 1e5},
        {"1E+5", 1e5},
        {"00012", 12},
        {"4e-324", 5e-324},
        {"3e-324", 5e-324},
        {"1e308", 1e308},
        {"123456789012345678901234567890", 1.2345678901234568e29},
        {"0.1", 0.1},
        {"9007199254740993", 9007199254740992.0},
        {"1234567.891", 1234567.891},
        {"18446744073709551616", 18446744073709551616.0},
        {"73786976294838206464", 73786976294838206464.0},
        {"0.00000000000000001", 1e-17},
        {"9007199254740991.5", 9007199254740992.0},
    };
    static const char *const invalid[] = {"",       ".",       "-",      "1e",     "1e+",  "1e 5", "1_0",
                                          "1,5",    " 1",      "1 ",     "\t1",    "--1",  "+-1",  "infin",
                                          "nan",    "-nan",    "nan(1)", "NaN",    "1e5x", "0x",   "1e400",
                                          "-1e400", "1.8e308", "1e-400", "2e-324", "1..2", "1.2.3"};
    for (size_t i = 0; i < sizeof valid / sizeof *valid; i++) {
        double v;
        if (!number_parse_double(valid[i].text, strlen(valid[i].text), &v) || v != valid[i].value)
            fail_msg("'%s'", valid[i].text);
    }
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++) {
        double v = 77;
        if (number_parse_double(invalid[i], strlen(invalid[i]), &v) || v != 77) fail_msg("'%s'", invalid[i]);
    }
    double v;
    assert_true(number_parse_double("-0", 2, &v) && v == 0 && signbit(v));
    assert_false(number_parse_double("1\0", 2, &v));
    assert_true(number_parse_double("12345", 2, &v) && v == 12);
    /* Far more digits than any stack buffer. */
    char *longer = malloc(100001);
    memset(longer, '1', 100000);
    memcpy(longer, "0.", 2);
    assert_true(number_parse_double(longer, 100000, &v) && v == 1.0 / 9);
    free(longer);
}

static void simple_doubles_are_exact(void **state)
{
    struct prng g;
    prng_seed(&g, 11);
    for (int i = 0; i < 300000; i++) {
        char text[64];
        int n = snprintf(text, sizeof text, "%s%" PRIu64 ".%0*" PRIu64, prng_below(&g, 2) ? "-" : "",
                         prng_next(&g) >> (10 + prng_below(&g, 50)), (int)(1 + prng_below(&g, 15)),
                         prng_below(&g, 1000000));
        double v;
        assert_true(number_parse_double(text, (size_t)n, &v));
        if (v != strtod(text, NULL)) fail_msg("%s", text);
    }
}

/* Texts as Redis 8.0 printed them for the same doubles (ZSCORE). */
static void doubles_format(void **state)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {-17, "-17"},
        {0.1, "0.1"},
        {-0.5, "-0.5"},
        {3.14159, "3.14159"},
        {1e20, "1e+20"},
        {1e21, "1e+21"},
        {1e22, "1e+22"},
        {4611686018427387904.0, "4611686018427387904"},
        {9223372036854775808.0, "9223372036854776000"},
        {1.2345678901234568e29, "1.2345678901234568e+29"},
        {1e-5, "0.00001"},
        {1e-6, "0.000001"},
        {1e-7, "1e-7"},
        {1.5e-7, "1.5e-7"},
        {5e-324, "5e-324"},
        {2.2250738585072011e-308, "2.225073858507201e-308"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {INFINITY, "inf"},
        {-INFINITY, "-inf"},
        {123456.789, "123456.789"},
        {0.30000000000000004, "0.30000000000000004"},
        {-1.5e300, "-1.5e+300"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[NUMBER_DOUBLE_MAX + 1];
        text[number_format_double(text, rows[i].value)] = 0;
        assert_string_equal(text, rows[i].text);
    }
    char text[NUMBER_DOUBLE_MAX + 1];
    text[number_format_double(text, (double)NAN)] = 0;
    assert_string_equal(text, "nan");
}

static int significant_digits(const char *text)
{
    int digits = 0, zeros = 0;
    bool any = false;
    for (; *text && *text != 'e'; text++) {
        if (*text < '0' || *text > '9') continue;
        any = any || *text != '0';
        zeros = *text == '0' ? zeros + 1 : 0;
        digits += any;
    }
    return digits - (zeros < digits ? zeros : digits);
}

static void doubles_round_trip(void **state)
{
    struct prng g;
    prng_seed(&g, 13);
    int longer = 0, count = 0;
    for (int i = 0; i < 400000; i++) {
        uint64_t bits = prng_next(&g);
        double v;
        memcpy(&v, &bits, sizeof v);
        if (i % 3 == 1) v = (double)prng_below(&g, 1u << 30) / 1000.0;
        if (i % 3 == 2) v = ldexp(1.0 + prng_unit(&g) * (i % 2), (int)prng_below(&g, 2098) - 1074);
        if (isnan(v) || isinf(v)) continue;
        char text[NUMBER_DOUBLE_MAX + 1], other[40];
        size_t len = number_format_double(text, v);
        assert_true(len <= NUMBER_DOUBLE_MAX);
        text[len] = 0;
        assert_true(strtod(text, NULL) == v);
        double back;
        assert_true(v == 0 || (number_parse_double(text, len, &back) && back == v));
        int digits = 1;
        do snprintf(other, sizeof other, "%.*e", digits - 1, v);
        while (strtod(other, NULL) != v && digits++ < 17);
        int got = significant_digits(text);
        /* Integers are printed in full, be it with more digits than needed. */
        if (fabs(v) >= 0x1p53) continue;
        count++;
        longer += got > digits;
        if (got > 17) fail_msg("%s but %s", text, other);
    }
    assert_true(longer * 200 < count);
}

static void long_doubles(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {{"3", "3"},
                {"10.5", "10.5"},
                {"0.1", "0.1"},
                {"-0", "0"},
                {"-0.000000000000000000001", "0"},
                {"5.0e3", "5000"},
                {"1e-17", "0.00000000000000001"},
                {"inf", "inf"},
                {"-inf", "-inf"},
                {"0x10", "16"},
                {"1e20", "100000000000000000000"},
                {"100.00", "100"},
                {"-7.250", "-7.25"}};
    char text[NUMBER_LONG_DOUBLE_MAX + 1];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        long double v;
        assert_true(number_parse_long_double(rows[i].in, strlen(rows[i].in), &v));
        text[number_format_long_double(text, v)] = 0;
        assert_string_equal(text, rows[i].out);
    }
    long double v;
    assert_true(number_parse_long_double("1e4932", 6, &v));
    assert_int_equal(number_format_long_double(text, v), 4933);
    assert_false(number_parse_long_double("1e5000", 6, &v));
    assert_false(number_parse_long_double("nan", 3, &v));
    assert_false(number_parse_long_double("", 0, &v));
    assert_false(number_parse_long_double(" 1", 2, &v));
    memset(text, '1', sizeof text);
    assert_false(number_parse_long_double(text, NUMBER_LONG_DOUBLE_MAX, &v));
    assert_true(number_parse_long_double(text, NUMBER_LONG_DOUBLE_MAX - 200, &v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_parse), cmocka_unit_test(integers_round_trip),
        cmocka_unit_test(doubles_parse),  cmocka_unit_test(simple_doubles_are_exact),
        cmocka_unit_test(doubles_format), cmocka_unit_test(doubles_round_trip),
        cmocka_unit_test(long_doubles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
