/* Which key comes next: draws numbers in [0, count) from a distribution.
 *
 *   uniform      every key alike
 *   zipf:S       the k-th hottest key with probability ~ 1/k^S, S > 0; sampled exactly, without tables, by
 *                rejection-inversion: W. Hörmann, G. Derflinger, "Rejection-inversion to generate variates
 * from monotone discrete distributions", ACM TOMACS 6(3), 1996 hotset:F:P   a fraction F of the keys gets a
 * share P of the requests, both uniformly sequential   0, 1, 2, … over and over (the cursor is shared by all
 * that draw from the sampler)
 *
 * Hot keys are scattered over the numbers by a fixed permutation, so that they do not also lie side by side
 * in the memory of a server that was filled in order. A sampler is constant but for its cursor; randomness
 * comes from the caller's generator, so the same seed draws the same keys. Cost: uniform 1 ns, zipf ~30 ns.
 * Tests: test/bench_test.py (chi-square against the exact law). */
#ifndef WEFT_BENCH_SAMPLER_H
#define WEFT_BENCH_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/prng.h"

enum sampler_kind { SAMPLER_UNIFORM, SAMPLER_ZIPF, SAMPLER_HOTSET, SAMPLER_SEQUENTIAL };

struct sampler {
    enum sampler_kind kind;
    uint64_t count;
    uint64_t stride; /* of the permutation: coprime to count */
    uint64_t cursor;
    double exponent, low, high, shortcut; /* zipf */
    uint64_t hot_count;
    double hot_share;
};

/* Reads "uniform", "zipf:0.99", … False if `text` names no distribution. `count` >= 1. */
bool sampler_init(struct sampler *s, const char *text, uint64_t count);
uint64_t sampler_draw(struct sampler *s, struct prng *g);

#endif
