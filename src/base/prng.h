/* A small seeded generator: xoshiro256** (Blackman, Vigna). Not for secrets. The caller owns the state, so
 * that the same seed always gives the same run. Pure. Tests: test/unit/base_test.c. */
#ifndef WEFT_BASE_PRNG_H
#define WEFT_BASE_PRNG_H

#include <stdint.h>

struct prng {
    uint64_t s[4];
};

static inline uint64_t prng_mix(uint64_t *state) /* splitmix64: spreads a poor seed */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline void prng_seed(struct prng *g, uint64_t seed)
{
    for (int i = 0; i < 4; i++) g->s[i] = prng_mix(&seed);
}

static inline uint64_t prng_next(struct prng *g)
{
    uint64_t *s = g->s, x = s[1] * 5;
    uint64_t result = (x << 7 | x >> 57) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = s[3] << 45 | s[3] >> 19;
    return result;
}

/* Uniform in [0, bound); bound 0 gives 0. No division (Lemire 2019); exact, not nearly uniform. */
static inline uint64_t prng_below(struct prng *g, uint64_t bound)
{
    __extension__ typedef unsigned __int128 u128;
    u128 m = (u128)prng_next(g) * bound;
    if ((uint64_t)m < bound) {
        uint64_t least = (0 - bound) % (bound ? bound : 1);
        while ((uint64_t)m < least) m = (u128)prng_next(g) * bound;
    }
    return (uint64_t)(m >> 64);
}

/* Uniform in [0, 1). */
static inline double prng_unit(struct prng *g)
{
    return (double)(prng_next(g) >> 11) * 0x1p-53;
}

#endif
