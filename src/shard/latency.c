/* Latency series; see latency.h. Tests: test/unit/stats_test.c. */
#include "shard/latency.h"

#include <string.h>
#include <strings.h>

static const char *const names[LATENCY_EVENTS] = {
    [LATENCY_COMMAND] = "command",
    [LATENCY_FAST_COMMAND] = "fast-command",
    [LATENCY_EXPIRE_CYCLE] = "expire-cycle",
    [LATENCY_EVICTION_CYCLE] = "eviction-cycle",
};

const char *latency_event_name(enum latency_event event)
{
    return names[event];
}

enum latency_event latency_event_named(struct slice name)
{
    int event = 0;
    while (event < LATENCY_EVENTS &&
           (strlen(names[event]) != name.len || strncmp(names[event], name.ptr, name.len) != 0))
        event++;
    return (enum latency_event)event;
}

static void put(struct latency_series *series, struct latency_sample sample)
{
    series->samples[series->next] = sample;
    series->next = (series->next + 1) % LATENCY_SAMPLES;
    if (series->count < LATENCY_SAMPLES) series->count++;
}

void latency_add(struct latency_series *series, int64_t time_s, int64_t ms)
{
    if (ms > series->max_ms) series->max_ms = ms;
    struct latency_sample *newest = &series->samples[(series->next + LATENCY_SAMPLES - 1) % LATENCY_SAMPLES];
    if (series->count && newest->time_s == time_s) {
        if (ms > newest->ms) newest->ms = ms;
        return;
    }
    put(series, (struct latency_sample){time_s, ms});
}

void latency_merge(struct latency_series *into, const struct latency_series *from)
{
    struct latency_series merged = {.max_ms = into->max_ms > from->max_ms ? into->max_ms : from->max_ms};
    uint32_t i = 0, j = 0;
    while (i < into->count || j < from->count) {
        const struct latency_sample *a = i < into->count ? latency_sample_at(into, i) : NULL;
        const struct latency_sample *b = j < from->count ? latency_sample_at(from, j) : NULL;
        bool take_a = a && (!b || a->time_s <= b->time_s);
        const struct latency_sample *taken = take_a ? a : b;
        latency_add(&merged, taken->time_s, taken->ms);
        *(take_a ? &i : &j) += 1;
    }
    *into = merged;
}
