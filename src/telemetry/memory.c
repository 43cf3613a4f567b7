/* Memory figures; see memory.h. */
#include "telemetry/memory.h"

double memory_ratio(uint64_t a, uint64_t b)
{
    return b ? (double)a / (double)b : 0;
}

static uint64_t above(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

void memory_figures_take(struct memory_figures *m, const struct command_context *ctx,
                         const struct report *report)
{
    struct node *node = shard_node(ctx->shard);
    const struct report_numbers *total = &report->total;
    struct io_usage usage;
    io_usage(shard_io(ctx->shard), &usage);
    m->used = (uint64_t)atomic_load(&node->budget.used_bytes);
    m->startup = (uint64_t)atomic_load(&node->startup_bytes);
    m->clients = total->client_bytes;
    m->tables = 0;
    for (int db = 0; db < report->database_count; db++) m->tables += report->databases[db].table_bytes;
    m->dataset = above(total->data_bytes, m->tables);
    m->overhead = above(m->used, m->dataset);
    m->active = m->used + above(total->held_bytes, total->data_bytes);
    m->resident = (uint64_t)usage.resident_bytes;
    m->peak = (uint64_t)atomic_load(&node->budget.peak_bytes);
    if (m->peak < m->used) m->peak = m->used;
    m->dataset_percent = memory_ratio(m->dataset, above(m->used, m->startup)) * 100;
    m->peak_percent = memory_ratio(m->used, m->peak) * 100;
}
