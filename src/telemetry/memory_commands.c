/* MEMORY USAGE, STATS, DOCTOR, MALLOC-STATS (PURGE: shard/server_commands.c). Tests:
 * test/blackbox/server_commands_test.py. */
#include <inttypes.h>
#include <stdio.h>

#include "telemetry/memory.h"

/* ---- MEMORY USAGE ---- */

/* SAMPLES is checked and has no effect: what a value takes is known, not estimated. */
void cmd_memory_usage(struct command_context *ctx)
{
    for (int i = 3; i < ctx->argc; i += 2) {
        int64_t samples;
        bool named = command_arg_is(ctx, i, "SAMPLES") && i + 1 < ctx->argc;
        if (named && !command_arg_int(ctx, i + 1, &samples)) return;
        if (!named || samples < 0) {
            command_error_syntax(ctx);
            return;
        }
    }
    struct entry entry;
    if (command_open(ctx, 2, &entry))
        reply_integer(ctx->reply, (int64_t)entry_memory(&entry));
    else
        reply_null(ctx->reply);
}

/* ---- MEMORY STATS ---- */

static void number(struct reply *r, const char *name, uint64_t value)
{
    reply_bulk_text(r, name);
    reply_integer(r, (int64_t)value);
}

static void real(struct reply *r, const char *name, double value)
{
    reply_bulk_text(r, name);
    reply_double(r, value);
}

static void reply_stats(struct reply *r, const struct memory_figures *m, const struct report *report)
{
    uint64_t databases = 0;
    for (int db = 0; db < report->database_count; db++) databases += report->databases[db].keys > 0;
    reply_map(r, 33 + databases);
    number(r, "peak.allocated", m->peak);
    number(r, "total.allocated", m->used);
    number(r, "startup.allocated", m->startup);
    number(r, "replication.backlog", 0);
    number(r, "replica.fullsync.buffer", 0);
    number(r, "clients.slaves", 0);
    number(r, "clients.normal", m->clients);
    number(r, "cluster.links", 0);
    number(r, "aof.buffer", 0);
    number(r, "lua.caches", 0);
    number(r, "functions.caches", 0);
    number(r, "script.VMs", 0);
    for (int db = 0; db < report->database_count; db++) {
        if (!report->databases[db].keys) continue;
        char name[16];
        snprintf(name, sizeof name, "db.%d", db);
        reply_bulk_text(r, name);
        reply_map(r, 2);
        number(r, "overhead.hashtable.main", report->databases[db].table_bytes);
        number(r, "overhead.hashtable.expires", 0); /* deadlines stand in the items */
    }
    number(r, "overhead.db.hashtable.lut", m->tables);
    number(r, "overhead.db.hashtable.rehashing", 0);
    number(r, "overhead.total", m->overhead);
    number(r, "db.dict.rehashing.count", 0);
    number(r, "keys.count", report->total.keys);
    number(r, "keys.bytes-per-key", report->total.keys ? (m->used - m->startup) / report->total.keys : 0);
    number(r, "dataset.bytes", m->dataset);
    real(r, "dataset.percentage", m->dataset_percent);
    real(r, "peak.percentage", m->peak_percent);
    number(r, "allocator.allocated", m->used);
    number(r, "allocator.active", m->active);
    number(r, "allocator.resident", m->active);
    number(r, "allocator.muzzy", 0);
    real(r, "allocator-fragmentation.ratio", memory_ratio(m->active, m->used));
    number(r, "allocator-fragmentation.bytes", m->active - m->used);
    real(r, "allocator-rss.ratio", 1);
    number(r, "allocator-rss.bytes", 0);
    real(r, "rss-overhead.ratio", memory_ratio(m->resident, m->active));
    number(r, "rss-overhead.bytes", m->resident - m->active);
    real(r, "fragmentation", memory_ratio(m->resident, m->used));
    number(r, "fragmentation.bytes", m->resident - m->used);
}

void cmd_memory_stats(struct command_context *ctx)
{
    struct report *report = report_gather(ctx, 0);
    if (!report) return;
    struct memory_figures figures;
    memory_figures_take(&figures, ctx, report);
    reply_stats(ctx->reply, &figures, report);
    report_free(report);
}

/* ---- MEMORY DOCTOR ---- */

#define MIB (1024.0 * 1024)

static size_t diagnose(const struct memory_figures *m, const struct report *report, char *text, size_t size)
{
    size_t n = 0;
    double mean_client = report->total.clients ? (double)m->clients / (double)report->total.clients : 0;
    if (m->used < 5 * MIB)
        return (size_t)snprintf(
            text, size,
            "This instance holds next to nothing yet: there is nothing to say about its memory.\n");
    if ((double)m->peak > 1.5 * (double)m->used)
        n += (size_t)snprintf(
            text + n, size - n,
            " * Peak: at some time %.1f MiB were in use, half as much again as the %.1f MiB of now. "
            "Freed pages go back to the system; MEMORY PURGE gives back those kept for reuse.\n",
            (double)m->peak / MIB, (double)m->used / MIB);
    if ((double)m->active > 1.4 * (double)m->used && (double)(m->active - m->used) > 10 * MIB)
        n += (size_t)snprintf(
            text + n, size - n,
            " * Fragmentation: the slabs hold %.1f MiB for %.1f MiB of data. Deleted keys leave holes "
            "that new ones of like size fill.\n",
            (double)m->active / MIB, (double)m->used / MIB);
    if ((double)m->resident > 1.4 * (double)m->active && (double)(m->resident - m->active) > 10 * MIB)
        n += (size_t)snprintf(
            text + n, size - n,
            " * Process: %.1f MiB are resident beside the %.1f MiB of the slabs: buffers of clients "
            "with large requests or replies.\n",
            (double)(m->resident - m->active) / MIB, (double)m->active / MIB);
    if (mean_client > 200 * 1024)
        n += (size_t)snprintf(
            text + n, size - n,
            " * Clients: their buffers take %.0f KiB each on average. CLIENT LIST shows which (tot-mem); "
            "client-output-buffer-limit bounds them.\n",
            mean_client / 1024);
    if (!n) n = (size_t)snprintf(text, size, "No problem with memory was found.\n");
    return n;
}

void cmd_memory_doctor(struct command_context *ctx)
{
    struct report *report = report_gather(ctx, 0);
    if (!report) return;
    char text[2048];
    struct memory_figures figures;
    memory_figures_take(&figures, ctx, report);
    reply_verbatim(ctx->reply, "txt", text, diagnose(&figures, report, text, sizeof text));
    report_free(report);
}

/* ---- MEMORY MALLOC-STATS ---- */

void cmd_memory_malloc_stats(struct command_context *ctx)
{
    struct report *report = report_gather(ctx, 0);
    if (!report) return;
    struct reply text;
    char line[192];
    reply_init(&text, 2);
    for (int i = -1; i < report->shard_count; i++) {
        const struct report_numbers *s = i < 0 ? &report->total : &report->shards[i];
        int len = i < 0 ? snprintf(line, sizeof line, "slabs of %d partitions:", PARTITION_COUNT)
                        : snprintf(line, sizeof line, "shard %d:", i);
        len += snprintf(line + len, sizeof line - (size_t)len,
                        " %" PRIu64 " bytes in use, %" PRIu64 " bytes held\n", s->data_bytes, s->held_bytes);
        reply_raw(&text, line, (size_t)len);
    }
    reply_verbatim(ctx->reply, "txt", text.begin, reply_len(&text));
    reply_free(&text);
    report_free(report);
}
