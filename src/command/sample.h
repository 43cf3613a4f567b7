/* sample: choosing elements of a collection at random, for SRANDMEMBER, SPOP and HRANDFIELD. */
#ifndef WEFT_COMMAND_SAMPLE_H
#define WEFT_COMMAND_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/prng.h"

/* A reply longer than this is no use to anybody: the connection is closed instead. */
#define SAMPLE_REPLY_MAX (1ull << 30)

/* Choosing by one pass over all: asked for each element in turn, says whether to take it, so that in the end
 * `wanted` of the `left` are taken and all such choices are equally likely (Fan, Muller, Rezucha 1962). */
static inline bool sample_take(struct prng *prng, uint64_t *left, uint64_t *wanted)
{
    bool take = prng_below(prng, *left) < *wanted;
    *left -= 1;
    *wanted -= take;
    return take;
}

/* Few of many: drawing until enough different ones are there. Elements are known by their addresses. */
struct sample_seen {
    const void **slots;
    uint64_t mask;
};

/* Room for n; false: no memory. */
static inline bool sample_seen_init(struct sample_seen *seen, uint64_t n)
{
    uint64_t slots = 4;
    while (slots < n * 2) slots *= 2;
    seen->mask = slots - 1;
    seen->slots = calloc(slots, sizeof *seen->slots);
    return seen->slots != NULL;
}
static inline void sample_seen_free(struct sample_seen *seen)
{
    free(seen->slots);
}
/* False: it was seen before. */
static inline bool sample_seen_add(struct sample_seen *seen, const void *element)
{
    uint64_t at = ((uintptr_t)element * 0x9e3779b97f4a7c15u) >> 20;
    for (;; at++) {
        const void **slot = &seen->slots[at & seen->mask];
        if (*slot == element) return false;
        if (*slot) continue;
        *slot = element;
        return true;
    }
}

#endif
