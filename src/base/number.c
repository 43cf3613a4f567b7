/* Numbers as text (contract in number.h).
 *
 * Doubles are printed by Grisu2 (F. Loitsch, "Printing floating-point numbers quickly and accurately with
 * integers", 2010). Grisu2 rather than an always-shortest algorithm because Redis prints with it: in about
 * one of a thousand doubles its digits are one longer than need be, and clients compare bytes. Which cached
 * power of ten is taken changes the digits too, so that choice follows the same rule. Parsing has a fast path
 * for what clients really send (at most 19 digits, a small exponent: exact in one multiplication or division)
 * before strtod. Cost: integer 3-6 ns, double 20-60 ns. Tests: test/unit/number_test.c. */
#include "base/number.h"

#include "base/check.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char digit_pairs[] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
    "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
    "8081828384858687888990919293949596979899";

static const uint64_t powers_of_ten[20] = {1u,
                                           10u,
                                           100u,
                                           1000u,
                                           10000u,
                                           100000u,
                                           1000000u,
                                           10000000u,
                                           100000000u,
                                           1000000000u,
                                           10000000000u,
                                           100000000000u,
                                           1000000000000u,
                                           10000000000000u,
                                           100000000000000u,
                                           1000000000000000u,
                                           10000000000000000u,
                                           100000000000000000u,
                                           1000000000000000000u,
                                           10000000000000000000u};

/* ---- integers ---- */

/* Digits without sign; at most 20, no leading zero unless alone. */
static bool parse_digits(const char *s, size_t len, uint64_t *out)
{
    if (len == 0 || len > 20) return false;
    if (s[0] == '0') {
        *out = 0;
        return len == 1;
    }
    uint64_t v = 0;
    size_t safe = len < 20 ? len : 19;
    for (size_t i = 0; i < safe; i++) {
        unsigned d = (unsigned char)s[i] - '0';
        if (d > 9) return false;
        v = v * 10 + d;
    }
    if (len == 20) {
        unsigned d = (unsigned char)s[19] - '0';
        if (d > 9 || __builtin_mul_overflow(v, (uint64_t)10, &v) ||
            __builtin_add_overflow(v, (uint64_t)d, &v))
            return false;
    }
    *out = v;
    return true;
}

bool number_parse_u64(const char *s, size_t len, uint64_t *out)
{
    return parse_digits(s, len, out);
}

bool number_parse_i64(const char *s, size_t len, int64_t *out)
{
    if (len == 0) return false;
    uint64_t v;
    if (s[0] != '-') {
        if (!parse_digits(s, len, &v) || v > INT64_MAX) return false;
        *out = (int64_t)v;
        return true;
    }
    if (!parse_digits(s + 1, len - 1, &v) || v == 0 || v > (uint64_t)INT64_MAX + 1) return false;
    *out = (int64_t)(0 - v);
    return true;
}

uint32_t number_digits_u64(uint64_t value)
{
    /* 1233/4096 is log10(2), close enough for 64 bits; the comparison mends the estimate. */
    uint32_t guess = ((64 - (uint32_t)__builtin_clzll(value | 1)) * 1233) >> 12;
    return guess + (value >= powers_of_ten[guess]) + (value == 0);
}

static inline void put_digits(char *buf, uint32_t digits, uint64_t value)
{
    char *p = buf + digits;
    while (value >= 100) {
        uint64_t rest = value / 100;
        p -= 2;
        memcpy(p, digit_pairs + 2 * (value - rest * 100), 2);
        value = rest;
    }
    if (value >= 10)
        memcpy(p - 2, digit_pairs + 2 * value, 2);
    else
        p[-1] = (char)('0' + value);
}

size_t number_format_u64(char *buf, uint64_t value)
{
    uint32_t digits = number_digits_u64(value);
    put_digits(buf, digits, value);
    return digits;
}

size_t number_format_i64(char *buf, int64_t value)
{
    if (value >= 0) return number_format_u64(buf, (uint64_t)value);
    buf[0] = '-';
    return 1 + number_format_u64(buf + 1, 0 - (uint64_t)value);
}

/* ---- parsing doubles ---- */

/* Decimal text whose digits fit 53 bits and whose power of ten is exact: then one rounding, hence the right
 * one (W. Clinger 1990). False: not that simple, or not a number at all. */
static bool parse_simple_double(const char *s, size_t len, double *out)
{
    static const double exact[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                   1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const char *end = s + len;
    bool negative = len && *s == '-';
    if (negative) s++;
    if (end - s > 19 || s == end) return false; /* so that 64 bits hold the digits */
    uint64_t digits = 0;
    int behind = 0;
    bool any = false, point = false;
    for (; s < end; s++) {
        unsigned d = (unsigned char)*s - '0';
        if (d <= 9) {
            digits = digits * 10 + d;
            behind += point;
            any = true;
        } else if (*s == '.' && !point) {
            point = true;
        } else {
            return false;
        }
    }
    if (!any || digits > (1ull << 53)) return false;
    double v = (double)digits / exact[behind];
    *out = negative ? -v : v;
    return true;
}

/* strto* want a NUL; `small` serves what is short. */
static char *terminated_copy(const char *s, size_t len, char *small, size_t small_size)
{
    char *copy = len < small_size ? small : malloc(len + 1);
    if (copy == NULL) return NULL;
    memcpy(copy, s, len);
    copy[len] = 0;
    return copy;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool number_parse_double(const char *s, size_t len, double *out)
{
    if (parse_simple_double(s, len, out)) return true;
    if (len == 0 || is_space(s[0])) return false;
    char small[400];
    char *copy = terminated_copy(s, len, small, sizeof small);
    if (copy == NULL) return false;
    char *stop;
    errno = 0;
    double v = strtod(copy, &stop);
    bool whole = (size_t)(stop - copy) == len;
    bool out_of_range = errno == ERANGE && (isinf(v) || v == 0);
    if (copy != small) free(copy);
    if (!whole || out_of_range || isnan(v)) return false;
    *out = v;
    return true;
}

bool number_parse_long_double(const char *s, size_t len, long double *out)
{
    if (len == 0 || len >= NUMBER_LONG_DOUBLE_MAX || is_space(s[0])) return false;
    char copy[NUMBER_LONG_DOUBLE_MAX];
    memcpy(copy, s, len);
    copy[len] = 0;
    char *stop;
    errno = 0;
    long double v = strtold(copy, &stop);
    if ((size_t)(stop - copy) != len || isnan(v)) return false;
    if (errno == ERANGE && (isinf(v) || v == 0)) return false;
    *out = v;
    return true;
}

/* ---- formatting doubles ---- */

/* significand * 2^exponent */
struct float64 {
    uint64_t significand;
    int exponent;
};

#define CACHED_FIRST (-348)
#define CACHED_STEP  8
/* 10^-348, 10^-340 ... 10^340, significands rounded to 64 bits. */
static const struct float64 cached_powers[] = {
    {0xfa8fd5a0081c0288u, -1220}, {0xbaaee17fa23ebf76u, -1193}, {0x8b16fb203055ac76u, -1166},
    {0xcf42894a5dce35eau, -1140}, {0x9a6bb0aa55653b2du, -1113}, {0xe61acf033d1a45dfu, -1087},
    {0xab70fe17c79ac6cau, -1060}, {0xff77b1fcbebcdc4fu, -1034}, {0xbe5691ef416bd60cu, -1007},
    {0x8dd01fad907ffc3cu, -980},  {0xd3515c2831559a83u, -954},  {0x9d71ac8fada6c9b5u, -927},
    {0xea9c227723ee8bcbu, -901},  {0xaecc49914078536du, -874},  {0x823c12795db6ce57u, -847},
    {0xc21094364dfb5637u, -821},  {0x9096ea6f3848984fu, -794},  {0xd77485cb25823ac7u, -768},
    {0xa086cfcd97bf97f4u, -741},  {0xef340a98172aace5u, -715},  {0xb23867fb2a35b28eu, -688},
    {0x84c8d4dfd2c63f3bu, -661},  {0xc5dd44271ad3cdbau, -635},  {0x936b9fcebb25c996u, -608},
    {0xdbac6c247d62a584u, -582},  {0xa3ab66580d5fdaf6u, -555},  {0xf3e2f893dec3f126u, -529},
    {0xb5b5ada8aaff80b8u, -502},  {0x87625f056c7c4a8bu, -475},  {0xc9bcff6034c13053u, -449},
    {0x964e858c91ba2655u, -422},  {0xdff9772470297ebdu, -396},  {0xa6dfbd9fb8e5b88fu, -369},
    {0xf8a95fcf88747d94u, -343},  {0xb94470938fa89bcfu, -316},  {0x8a08f0f8bf0f156bu, -289},
    {0xcdb02555653131b6u, -263},  {0x993fe2c6d07b7facu, -236},  {0xe45c10c42a2b3b06u, -210},
    {0xaa242499697392d3u, -183},  {0xfd87b5f28300ca0eu, -157},  {0xbce5086492111aebu, -130},
    {0x8cbccc096f5088ccu, -103},  {0xd1b71758e219652cu, -77},   {0x9c40000000000000u, -50},
    {0xe8d4a51000000000u, -24},   {0xad78ebc5ac620000u, 3},     {0x813f3978f8940984u, 30},
    {0xc097ce7bc90715b3u, 56},    {0x8f7e32ce7bea5c70u, 83},    {0xd5d238a4abe98068u, 109},
    {0x9f4f2726179a2245u, 136},   {0xed63a231d4c4fb27u, 162},   {0xb0de65388cc8ada8u, 189},
    {0x83c7088e1aab65dbu, 216},   {0xc45d1df942711d9au, 242},   {0x924d692ca61be758u, 269},
    {0xda01ee641a708deau, 295},   {0xa26da3999aef774au, 322},   {0xf209787bb47d6b85u, 348},
    {0xb454e4a179dd1877u, 375},   {0x865b86925b9bc5c2u, 402},   {0xc83553c5c8965d3du, 428},
    {0x952ab45cfa97a0b3u, 455},   {0xde469fbd99a05fe3u, 481},   {0xa59bc234db398c25u, 508},
    {0xf6c69a72a3989f5cu, 534},   {0xb7dcbf5354e9beceu, 561},   {0x88fcf317f22241e2u, 588},
    {0xcc20ce9bd35c78a5u, 614},   {0x98165af37b2153dfu, 641},   {0xe2a0b5dc971f303au, 667},
    {0xa8d9d1535ce3b396u, 694},   {0xfb9b7cd9a4a7443cu, 720},   {0xbb764c4ca7a44410u, 747},
    {0x8bab8eefb6409c1au, 774},   {0xd01fef10a657842cu, 800},   {0x9b10a4e5e9913129u, 827},
    {0xe7109bfba19c0c9du, 853},   {0xac2820d9623bf429u, 880},   {0x80444b5e7aa7cf85u, 907},
    {0xbf21e44003acdd2du, 933},   {0x8e679c2f5e44ff8fu, 960},   {0xd433179d9c8cb841u, 986},
    {0x9e19db92b4e31ba9u, 1013},  {0xeb96bf6ebadf77d9u, 1039},  {0xaf87023b9bf0ee6bu, 1066},
};

/* Product, rounded to 64 bits. The low halves' product counts with its upper half only, as in the paper. */
static struct float64 multiply(struct float64 a, struct float64 b)
{
    uint64_t al = (uint32_t)a.significand, ah = a.significand >> 32;
    uint64_t bl = (uint32_t)b.significand, bh = b.significand >> 32;
    uint64_t low = al * bl, mid1 = ah * bl, mid2 = al * bh, high = ah * bh;
    uint64_t carry = (low >> 32) + (uint32_t)mid1 + (uint32_t)mid2 + (1u << 31);
    return (struct float64){high + (mid1 >> 32) + (mid2 >> 32) + (carry >> 32), a.exponent + b.exponent + 64};
}

static struct float64 normalise(struct float64 f)
{
    int shift = __builtin_clzll(f.significand);
    return (struct float64){f.significand << shift, f.exponent - shift};
}

/* The cached power that brings `exponent` into [-60, -32] after multiplication; *decimal is its power of ten.
 * Up to two powers qualify: the estimate decides which one is reached first. */
static struct float64 cached_power_for(int exponent, int *decimal)
{
    int count = (int)ARRAY_LEN(cached_powers);
    int estimate = (int)(-(exponent + count) * 0.30102999566398114);
    int i = (estimate - CACHED_FIRST) / CACHED_STEP;
    for (;;) {
        DCHECK(i >= 0 && i < count);
        int reached = exponent + cached_powers[i].exponent + 64;
        if (reached < -60)
            i++;
        else if (reached > -32)
            i--;
        else
            break;
    }
    *decimal = CACHED_FIRST + i * CACHED_STEP;
    return cached_powers[i];
}

/* Lowers the last digit while that brings the text nearer to the exact value without leaving the interval. */
static void round_last(char *last, uint64_t interval, uint64_t rest, uint64_t unit, uint64_t distance)
{
    while (rest < distance && interval - rest >= unit &&
           (rest + unit < distance || distance - rest > rest + unit - distance)) {
        (*last)--;
        rest += unit;
    }
}

/* Digits of a number in (low, high), generated from `high` downwards until inside. Returns their count; the
 * number is digits * 10^*k. */
static int generate_digits(struct float64 exact, struct float64 high, struct float64 low, char *digits,
                           int *k)
{
    int shift = -high.exponent;
    uint64_t one = (uint64_t)1 << shift;
    uint64_t distance = high.significand - exact.significand;
    uint64_t interval = high.significand - low.significand;
    uint64_t whole = high.significand >> shift, fraction = high.significand & (one - 1);
    int count = 0;

    for (int place = 9; place >= 0; place--) {
        uint64_t unit = powers_of_ten[place];
        uint64_t digit = whole / unit;
        if (digit || count) digits[count++] = (char)('0' + digit);
        whole -= digit * unit;
        uint64_t rest = (whole << shift) + fraction;
        if (rest <= interval) {
            *k += place;
            round_last(digits + count - 1, interval, rest, unit << shift, distance);
            return count;
        }
    }
    for (int place = -1;; place--) {
        fraction *= 10;
        interval *= 10;
        uint64_t digit = fraction >> shift;
        if (digit || count) digits[count++] = (char)('0' + digit);
        fraction &= one - 1;
        if (fraction < interval) {
            *k += place;
            /* place is at least -18: 10^-place fits, and the product wraps as it does in the original. */
            round_last(digits + count - 1, interval, fraction, one, distance * powers_of_ten[-place]);
            return count;
        }
    }
}

/* Decimal digits of a finite positive double: value = digits * 10^*k. Returns their count (<= 17). */
static int shortest_digits(double value, char *digits, int *k)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint64_t fraction = bits & 0xfffffffffffffu;
    int biased = (int)(bits >> 52 & 0x7ff);
    struct float64 v = biased ? (struct float64){fraction | (1ull << 52), biased - 1075}
                              : (struct float64){fraction, 1 - 1075};

    struct float64 high = normalise((struct float64){2 * v.significand + 1, v.exponent - 1});
    /* Below a power of two the neighbour is half as far away. */
    int closer = v.significand == 1ull << 52 ? 2 : 1;
    struct float64 low = {(v.significand << closer) - 1, v.exponent - closer};
    low.significand <<= low.exponent - high.exponent;
    low.exponent = high.exponent;

    int decimal;
    struct float64 power = cached_power_for(high.exponent, &decimal);
    struct float64 exact = multiply(normalise(v), power);
    high = multiply(high, power);
    low = multiply(low, power);
    /* One unit of error in each product: stay inside. */
    high.significand--;
    low.significand++;
    *k = -decimal;
    return generate_digits(exact, high, low, digits, k);
}

/* Lays digits * 10^k out as text. */
static size_t put_decimal(char *buf, const char *digits, int count, int k)
{
    int exponent = k + count - 1; /* of the first digit */
    int magnitude = exponent < 0 ? -exponent : exponent;
    if (k >= 0 && magnitude < count + 7) {
        memcpy(buf, digits, (size_t)count);
        memset(buf + count, '0', (size_t)k);
        return (size_t)(count + k);
    }
    if (k < 0 && (k > -7 || magnitude < 4)) {
        int before = count + k;
        if (before > 0) {
            memcpy(buf, digits, (size_t)before);
            buf[before] = '.';
            memcpy(buf + before + 1, digits + before, (size_t)-k);
            return (size_t)count + 1;
        }
        memset(buf, '0', (size_t)(2 - before));
        buf[1] = '.';
        memcpy(buf + 2 - before, digits, (size_t)count);
        return (size_t)(2 - before + count);
    }
    size_t len = 0;
    buf[len++] = digits[0];
    if (count > 1) {
        buf[len++] = '.';
        memcpy(buf + len, digits + 1, (size_t)count - 1);
        len += (size_t)count - 1;
    }
    buf[len++] = 'e';
    buf[len++] = exponent < 0 ? '-' : '+';
    return len + number_format_u64(buf + len, (uint64_t)magnitude);
}

bool number_double_to_i64(double value, int64_t *out)
{
    const double limit = 4611686018427387904.0; /* 2^62: both casts are exact up to here */
    if (!(value >= -limit && value <= limit)) return false;
    int64_t whole = (int64_t)value;
    if ((double)whole != value) return false;
    *out = whole;
    return true;
}

size_t number_format_double(char *buf, double value)
{
    int64_t whole;
    if (number_double_to_i64(value, &whole) && whole != 0) return number_format_i64(buf, whole);
    return number_format_shortest(buf, value);
}

size_t number_format_shortest(char *buf, double value)
{
    if (value == 0) {
        memcpy(buf, "-0", 2);
        if (signbit(value)) return 2;
        buf[0] = '0';
        return 1;
    }
    if (isnan(value)) {
        memcpy(buf, "nan", 3);
        return 3;
    }
    size_t len = 0;
    if (value < 0) buf[len++] = '-';
    if (isinf(value)) {
        memcpy(buf + len, "inf", 3);
        return len + 3;
    }
    char digits[20];
    int k;
    int count = shortest_digits(fabs(value), digits, &k);
    return len + put_decimal(buf + len, digits, count, k);
}

size_t number_format_long_double(char *buf, long double value)
{
    if (isinf(value)) {
        size_t n = value < 0 ? 4 : 3;
        memcpy(buf, value < 0 ? "-inf" : "inf", n);
        return n;
    }
    if (isnan(value)) {
        memcpy(buf, "nan", 3);
        return 3;
    }
    int n = snprintf(buf, NUMBER_LONG_DOUBLE_MAX, "%.17Lf", value);
    CHECK(n > 0 && n < NUMBER_LONG_DOUBLE_MAX);
    size_t len = (size_t)n;
    while (buf[len - 1] == '0') len--;
    if (buf[len - 1] == '.') len--;
    if (len == 2 && buf[0] == '-' && buf[1] == '0') {
        buf[0] = '0';
        len = 1;
    }
    return len;
}
