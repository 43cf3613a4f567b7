/* latency: when something took longer than latency-monitor-threshold: one series per event of at most 160
 * seconds, the worst of each. Owned by the shard's thread; plain values, so that reports copy them. */
#ifndef WEFT_SHARD_LATENCY_H
#define WEFT_SHARD_LATENCY_H

#include <stdint.h>
#include "base/slice.h"

enum latency_event {
    LATENCY_COMMAND,
    LATENCY_FAST_COMMAND,
    LATENCY_EXPIRE_CYCLE,
    LATENCY_EVICTION_CYCLE,
    LATENCY_EVENTS,
};

#define LATENCY_SAMPLES 160

struct latency_sample {
    int64_t time_s;
    int64_t ms;
};

struct latency_series {
    uint32_t count, next; /* a ring: `next` is written next */
    int64_t max_ms;       /* ever since a reset */
    struct latency_sample samples[LATENCY_SAMPLES];
};

const char *latency_event_name(enum latency_event event);
/* LATENCY_EVENTS: no such event. */
enum latency_event latency_event_named(struct slice name);

void latency_add(struct latency_series *series, int64_t time_s, int64_t ms);
/* Adds the samples of `from`, keeping time's order, the worst of each second, and the newest LATENCY_SAMPLES.
 */
void latency_merge(struct latency_series *into, const struct latency_series *from);
/* The i-th oldest sample. */
static inline const struct latency_sample *latency_sample_at(const struct latency_series *series, uint32_t i)
{
    return &series->samples[(series->next + LATENCY_SAMPLES - series->count + i) % LATENCY_SAMPLES];
}

#endif
