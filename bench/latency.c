/* Latency histogram (contract in latency.h). */
#include "latency.h"

#include <math.h>
#include <string.h>

void latency_reset(struct latency *l)
{
    memset(l, 0, sizeof *l);
    l->min_ns = UINT64_MAX;
}

/* The smallest value of a bucket; bucket_low(b + 1) is one more than its largest. */
static uint64_t bucket_low(uint32_t bucket)
{
    const uint32_t linear = 1u << LATENCY_LINEAR_BITS;
    if (bucket < 2 * linear) return bucket;
    uint32_t shift = (bucket >> LATENCY_LINEAR_BITS) - 1;
    return (uint64_t)(linear + (bucket & (linear - 1))) << shift;
}

uint64_t latency_percentile(const struct latency *l, double percent)
{
    if (l->count == 0) return 0;
    uint64_t wanted = (uint64_t)ceil((double)l->count * percent / 100.0), seen = 0;
    if (wanted == 0) wanted = 1;
    for (uint32_t b = 0; b < LATENCY_BUCKETS; b++) {
        seen += l->buckets[b];
        if (seen < wanted) continue;
        uint64_t middle = (bucket_low(b) + bucket_low(b + 1) - 1) / 2;
        if (middle > l->max_ns) return l->max_ns;
        return middle < l->min_ns ? l->min_ns : middle;
    }
    return l->max_ns;
}

double latency_mean(const struct latency *l)
{
    return l->count ? (double)l->sum_ns / (double)l->count : 0;
}
