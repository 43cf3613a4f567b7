/* memory: the figures behind INFO memory, MEMORY STATS and MEMORY DOCTOR. */
#ifndef WEFT_TELEMETRY_MEMORY_H
#define WEFT_TELEMETRY_MEMORY_H

#include "shard/report.h"

struct memory_figures {
    uint64_t used;     /* what `maxmemory` is compared with: data, clients, startup */
    uint64_t startup;  /* the node's own */
    uint64_t clients;  /* buffers of sessions */
    uint64_t tables;   /* of `used`: the tables that find keys */
    uint64_t overhead; /* startup, clients, tables */
    uint64_t dataset;  /* used - overhead */
    uint64_t active;   /* used, with what the slabs hold beyond it */
    uint64_t resident; /* of the process, as the system counts it */
    uint64_t peak;     /* most that was used */
    double dataset_percent, peak_percent;
};

/* `report` has just been gathered. */
void memory_figures_take(struct memory_figures *figures, const struct command_context *ctx,
                         const struct report *report);
double memory_ratio(uint64_t a, uint64_t b); /* 0 when b is 0 */

#endif
