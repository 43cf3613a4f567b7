/* A log-linear histogram of non-negative integers (latencies): 16 linear steps per power of two, so a value
 * is known to within 1/16. Values of 2^40 and above count as 2^40 - 1. 4.6 KiB, no allocation; adding costs
 * ~2 ns. Owned by one thread; merge() adds up the histograms of several. Tests: test/unit/base_test.c. */
#ifndef WEFT_BASE_HISTOGRAM_H
#define WEFT_BASE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_LINEAR_BITS 4
#define HISTOGRAM_VALUE_BITS  40
#define HISTOGRAM_BUCKETS     ((HISTOGRAM_VALUE_BITS - HISTOGRAM_LINEAR_BITS + 1) << HISTOGRAM_LINEAR_BITS)

struct histogram {
    uint64_t count, sum, max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

static inline uint32_t histogram_bucket(uint64_t value)
{
    const uint64_t limit = ((uint64_t)1 << HISTOGRAM_VALUE_BITS) - 1;
    if (value > limit) value = limit;
    if (value < 1u << HISTOGRAM_LINEAR_BITS) return (uint32_t)value;
    uint32_t power = 63 - (uint32_t)__builtin_clzll(value);
    uint32_t shift = power - HISTOGRAM_LINEAR_BITS;
    return ((shift + 1) << HISTOGRAM_LINEAR_BITS) + (uint32_t)(value >> shift) -
           (1u << HISTOGRAM_LINEAR_BITS);
}

static inline void histogram_add(struct histogram *h, uint64_t value)
{
    h->count++;
    h->sum += value;
    if (value > h->max) h->max = value;
    h->buckets[histogram_bucket(value)]++;
}

/* The same value `times` times. */
static inline void histogram_add_many(struct histogram *h, uint64_t value, uint64_t times)
{
    h->count += times;
    h->sum += value * times;
    if (value > h->max) h->max = value;
    h->buckets[histogram_bucket(value)] += times;
}

void histogram_reset(struct histogram *h);
void histogram_merge(struct histogram *into, const struct histogram *from);
/* The largest value that falls into the bucket. */
uint64_t histogram_bucket_top(uint32_t bucket);
/* The smallest recorded bucket top with at least `percent` (0..100) of the values at or below it, never above
 * `max`; 0 for an empty histogram. */
uint64_t histogram_percentile(const struct histogram *h, double percent);

#endif
