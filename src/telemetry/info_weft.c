/* INFO weft: what other servers do not have: shards, the ways between them, what each holds and does. */
#include "telemetry/info.h"

#include <inttypes.h>

void info_weft(struct info *info)
{
    const struct report *report = info->report;
    struct config_text order;
    config_get_one(info->config, SLICE("pipeline-order"), &order);
    info_line(info, "shards:%u", report->shard_count);
    info_line(info, "partitions:%d", PARTITION_COUNT);
    info_line(info, "resharding:%d", atomic_load(&((struct node *)(uintptr_t)info->node)->resharding));
    info_line(info, "io_backend:%s", info->node->io_name);
    info_line(info, "pipeline_order:%s", order.ptr);
    config_text_set(&order, SLICE(""));
    info_number(info, "hops", report->total.hops);
    info_number(info, "batches", report->total.batches);
    info_number(info, "borrows", report->total.borrows);
    info_number(info, "evict_cycles", report->total.evict_cycles);
    info_number(info, "expire_cycles", report->total.expire_cycles);
    for (int i = 0; i < report->shard_count; i++) {
        const struct report_numbers *s = &report->shards[i];
        info_line(info,
                  "shard%d:keys=%" PRIu64 ",bytes=%" PRIu64 ",held_bytes=%" PRIu64 ",clients=%" PRIu64
                  ",client_bytes=%" PRIu64 ",commands=%" PRIu64 ",commands_per_sec=%" PRIu64 ",hops=%" PRIu64
                  ",batches=%" PRIu64 ",borrows=%" PRIu64 ",turns=%" PRIu64 ",busy_usec=%" PRIu64
                  ",command_usec=%" PRIu64 ",cpu_usec=%" PRIu64,
                  i, s->keys, s->data_bytes, s->held_bytes, s->clients, s->client_bytes, s->commands,
                  s->rate[STATS_RATE_COMMANDS], s->hops, s->batches, s->borrows, s->turns, s->busy_us,
                  s->command_us, s->cpu_us);
    }
}
