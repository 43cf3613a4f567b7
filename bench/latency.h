/* A latency histogram in the manner of HdrHistogram: log-linear, 128 linear steps per power of two, so every
 * value is known to within 0.8 %. (base/histogram.h is the server's own: a tenth of the size, 6 %.) Values
 * are nanoseconds; those of 2^40 (18 minutes) and above count as 2^40 - 1. Owned by one thread, no
 * allocation; adding costs ~1 ns. Tests: test/bench_test.py through the program's own report. */
#ifndef WEFT_BENCH_LATENCY_H
#define WEFT_BENCH_LATENCY_H

#include <stdint.h>

#define LATENCY_LINEAR_BITS 7
#define LATENCY_VALUE_BITS  40
#define LATENCY_BUCKETS     ((LATENCY_VALUE_BITS - LATENCY_LINEAR_BITS + 1) << LATENCY_LINEAR_BITS)

struct latency {
    uint64_t count, sum_ns, min_ns, max_ns;
    uint64_t buckets[LATENCY_BUCKETS];
};

static inline uint32_t latency_bucket(uint64_t ns)
{
    const uint64_t limit = ((uint64_t)1 << LATENCY_VALUE_BITS) - 1;
    if (ns > limit) ns = limit;
    if (ns < 1u << LATENCY_LINEAR_BITS) return (uint32_t)ns;
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(ns) - LATENCY_LINEAR_BITS;
    return (shift << LATENCY_LINEAR_BITS) + (uint32_t)(ns >> shift);
}

/* Adds `count` equal values. */
static inline void latency_add(struct latency *l, uint64_t ns, uint64_t count)
{
    l->count += count;
    l->sum_ns += ns * count;
    if (ns > l->max_ns) l->max_ns = ns;
    if (ns < l->min_ns) l->min_ns = ns;
    l->buckets[latency_bucket(ns)] += count;
}

void latency_reset(struct latency *l);
/* The middle of the bucket which holds the value that `percent` (0..100) of all are at or below, never
 * outside [min, max]; 0 when empty. */
uint64_t latency_percentile(const struct latency *l, double percent);
double latency_mean(const struct latency *l);

#endif
