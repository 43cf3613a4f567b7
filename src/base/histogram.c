/* Log-linear histogram (contract in histogram.h). */
#include "base/histogram.h"

#include <string.h>

void histogram_reset(struct histogram *h)
{
    memset(h, 0, sizeof *h);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    into->count += from->count;
    into->sum += from->sum;
    if (from->max > into->max) into->max = from->max;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) into->buckets[i] += from->buckets[i];
}

uint64_t histogram_bucket_top(uint32_t bucket)
{
    const uint32_t linear = 1u << HISTOGRAM_LINEAR_BITS;
    if (bucket < linear) return bucket;
    uint32_t shift = (bucket >> HISTOGRAM_LINEAR_BITS) - 1;
    uint64_t step = linear + (bucket & (linear - 1));
    return ((step + 1) << shift) - 1;
}

uint64_t histogram_percentile(const struct histogram *h, double percent)
{
    if (h->count == 0) return 0;
    double exact = (double)h->count * percent / 100.0;
    uint64_t wanted = (uint64_t)exact, seen = 0;
    if ((double)wanted < exact) wanted++;
    if (wanted == 0) wanted = 1;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen >= wanted) {
            uint64_t top = histogram_bucket_top(i);
            return top < h->max ? top : h->max;
        }
    }
    return h->max;
}
