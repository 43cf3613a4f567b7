/* Key distributions (contract in sampler.h). */
#include "sampler.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

/* With h(x) = x^-s, H is its antiderivative that is 0 at x = 1, and inverse_h that function's inverse. expm1
 * and log1p keep the digits where s is close to 1. */
static double integral_h(double exponent, double x)
{
    double q = 1 - exponent, log_x = log(x);
    return fabs(q) < 1e-9 ? log_x : expm1(q * log_x) / q;
}

static double inverse_h(double exponent, double y)
{
    double q = 1 - exponent;
    if (fabs(q) < 1e-9) return exp(y);
    double t = q * y;
    return exp(log1p(t < -1 ? -1 : t) / q);
}

/* The area under h from 1/2 to count + 1/2, cut at the left so that rank 1 gets exactly h(1), is inverted; a
 * rank's own share h(k) is at most the area of its unit strip, so the rest of the strip is rejected. */
static uint64_t draw_zipf_rank(const struct sampler *s, struct prng *g)
{
    for (;;) {
        double u = s->high + prng_unit(g) * (s->low - s->high);
        double x = inverse_h(s->exponent, u);
        double k = floor(x + 0.5);
        if (k < 1) k = 1;
        if (k > (double)s->count) k = (double)s->count;
        /* `shortcut` is how far left of k every point is surely accepted: the test that needs no logarithm */
        if (k - x <= s->shortcut || u >= integral_h(s->exponent, k + 0.5) - pow(k, -s->exponent))
            return (uint64_t)k - 1;
    }
}

static uint64_t greatest_divisor(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static uint64_t scatter(const struct sampler *s, uint64_t rank)
{
    __extension__ typedef unsigned __int128 u128;
    if (LIKELY((rank | s->stride) >> 32 == 0)) return rank * s->stride % s->count;
    return (uint64_t)((u128)rank * s->stride % s->count);
}

bool sampler_init(struct sampler *s, const char *text, uint64_t count)
{
    CHECK(count >= 1);
    memset(s, 0, sizeof *s);
    s->count = count;
    s->stride = (uint64_t)((double)count * 0.6180339887498949) | 1;
    while (greatest_divisor(s->stride, count) != 1) s->stride += 2;
    double fraction = 0;
    int used = 0;
    if (strcmp(text, "uniform") == 0) {
        s->kind = SAMPLER_UNIFORM;
    } else if (strcmp(text, "sequential") == 0) {
        s->kind = SAMPLER_SEQUENTIAL;
    } else if (sscanf(text, "zipf:%lf%n", &s->exponent, &used) == 1 && text[used] == '\0' &&
               s->exponent > 0) {
        s->kind = SAMPLER_ZIPF;
        s->low = integral_h(s->exponent, 1.5) - 1;
        s->high = integral_h(s->exponent, (double)count + 0.5);
        s->shortcut = 2 - inverse_h(s->exponent, integral_h(s->exponent, 2.5) - pow(2, -s->exponent));
    } else if (sscanf(text, "hotset:%lf:%lf%n", &fraction, &s->hot_share, &used) == 2 && text[used] == '\0' &&
               fraction > 0 && fraction <= 1 && s->hot_share >= 0 && s->hot_share <= 1) {
        s->kind = SAMPLER_HOTSET;
        s->hot_count = (uint64_t)ceil(fraction * (double)count);
    } else {
        return false;
    }
    return true;
}

uint64_t sampler_draw(struct sampler *s, struct prng *g)
{
    switch (s->kind) {
    case SAMPLER_UNIFORM: return prng_below(g, s->count);
    case SAMPLER_ZIPF: return scatter(s, draw_zipf_rank(s, g));
    case SAMPLER_HOTSET:
        if (prng_unit(g) < s->hot_share || s->hot_count == s->count)
            return scatter(s, prng_below(g, s->hot_count));
        return scatter(s, s->hot_count + prng_below(g, s->count - s->hot_count));
    case SAMPLER_SEQUENTIAL: break;
    }
    uint64_t next = s->cursor;
    s->cursor = next + 1 == s->count ? 0 : next + 1;
    return next;
}
