/* LATENCY LATEST, HISTORY, RESET, GRAPH, DOCTOR, HISTOGRAM. Series and histograms are kept per shard
 * (shard/latency.h, shard/stats.h) and merged here. Tests: test/blackbox/server_commands_test.py. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "shard/report.h"

/* ---- LATEST, HISTORY, RESET ---- */

void cmd_latency_latest(struct command_context *ctx)
{
    struct report *report = report_gather(ctx, REPORT_LATENCY);
    if (!report) return;
    uint64_t events = 0;
    size_t mark = reply_defer(ctx->reply, 0);
    for (int event = 0; event < LATENCY_EVENTS; event++) {
        const struct latency_series *series = &report->latency[event];
        if (!series->count) continue;
        const struct latency_sample *last = latency_sample_at(series, series->count - 1);
        reply_array(ctx->reply, 4);
        reply_bulk_text(ctx->reply, latency_event_name((enum latency_event)event));
        reply_integer(ctx->reply, last->time_s);
        reply_integer(ctx->reply, last->ms);
        reply_integer(ctx->reply, series->max_ms);
        events++;
    }
    reply_close_array(ctx->reply, mark, events);
    report_free(report);
}

void cmd_latency_history(struct command_context *ctx)
{
    struct report *report = report_gather(ctx, REPORT_LATENCY);
    if (!report) return;
    enum latency_event event = latency_event_named(ctx->argv[2]);
    const struct latency_series *series = event < LATENCY_EVENTS ? &report->latency[event] : NULL;
    uint32_t count = series ? series->count : 0;
    reply_array(ctx->reply, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct latency_sample *sample = latency_sample_at(series, i);
        reply_array(ctx->reply, 2);
        reply_integer(ctx->reply, sample->time_s);
        reply_integer(ctx->reply, sample->ms);
    }
    report_free(report);
}

/* Which events had something is answered as a bit each. */
static void reset_here(struct shard *shard, void *argument, struct scatter_part *part)
{
    unsigned events = *(const unsigned *)argument;
    struct latency_series *series = shard_latency(shard);
    for (int event = 0; event < LATENCY_EVENTS; event++) {
        if (!(events >> event & 1) || !series[event].count) continue;
        part->numbers[0] |= 1 << event;
        series[event] = (struct latency_series){0};
    }
}

void cmd_latency_reset(struct command_context *ctx)
{
    uint16_t count;
    const struct scatter_part *parts = scatter_parts(ctx, &count);
    if (parts) {
        unsigned events = 0;
        for (uint16_t i = 0; i < count; i++) events |= (unsigned)parts[i].numbers[0];
        reply_integer(ctx->reply, __builtin_popcount(events));
        return;
    }
    unsigned *events = malloc(sizeof *events);
    CHECK(events);
    *events = ctx->argc == 2 ? ~0u : 0;
    for (int i = 2; i < ctx->argc; i++) *events |= 1u << latency_event_named(ctx->argv[i]);
    scatter_ask(ctx, reset_here, events);
}

/* ---- GRAPH ---- */

#define GRAPH_COLUMNS 80
#define GRAPH_ROWS    4
#define AGE_LEN       8

static void age_text(int64_t seconds, char text[AGE_LEN])
{
    static const struct {
        int64_t seconds;
        char unit;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    size_t i = 0;
    while (i < 3 && seconds < units[i].seconds) i++;
    snprintf(text, AGE_LEN, "%d%c", (int)(seconds / units[i].seconds % 100000), units[i].unit);
}

/* One column per sample, the newest at the right; under each its age, written downwards. */
static void draw(struct reply *out, const struct latency_series *series, int64_t low_ms, int64_t high_ms,
                 int64_t now_s)
{
    uint32_t shown = series->count < GRAPH_COLUMNS ? series->count : GRAPH_COLUMNS;
    uint32_t first = series->count - shown;
    for (int row = GRAPH_ROWS - 1; row >= 0; row--) {
        for (uint32_t i = 0; i < shown; i++) {
            int64_t ms = latency_sample_at(series, first + i)->ms;
            int64_t steps =
                high_ms > low_ms ? (ms - low_ms) * (GRAPH_ROWS * 2 - 1) / (high_ms - low_ms) + 1 : 2;
            const char *mark = steps >= 2 * row + 2 ? "#" : steps == 2 * row + 1 ? "_" : " ";
            reply_raw(out, steps > 2 * row + 2 ? "|" : mark, 1);
        }
        REPLY_RAW_LITERAL(out, "\n");
    }
    REPLY_RAW_LITERAL(out, "\n");
    for (int line = 0; line < AGE_LEN; line++) {
        bool any = false;
        char text[GRAPH_COLUMNS];
        for (uint32_t i = 0; i < shown; i++) {
            char age[AGE_LEN];
            age_text(now_s - latency_sample_at(series, first + i)->time_s, age);
            text[i] = strlen(age) > (size_t)line ? age[line] : ' ';
            any |= text[i] != ' ';
        }
        if (!any) break;
        reply_raw(out, text, shown);
        REPLY_RAW_LITERAL(out, "\n");
    }
}

void cmd_latency_graph(struct command_context *ctx)
{
    struct report *report = report_gather(ctx, REPORT_LATENCY);
    if (!report) return;
    enum latency_event event = latency_event_named(ctx->argv[2]);
    const struct latency_series *series = event < LATENCY_EVENTS ? &report->latency[event] : NULL;
    if (!series || !series->count) {
        reply_errorf(ctx->reply, "ERR No samples available for event '%.*s'", (int)ctx->argv[2].len,
                     ctx->argv[2].ptr);
        report_free(report);
        return;
    }
    int64_t low = INT64_MAX, high = 0;
    for (uint32_t i = 0; i < series->count; i++) {
        int64_t ms = latency_sample_at(series, i)->ms;
        if (ms < low) low = ms;
        if (ms > high) high = ms;
    }
    char head[192];
    struct reply text;
    reply_init(&text, 2);
    int len = snprintf(head, sizeof head,
                       "%s - high %" PRId64 " ms, low %" PRId64 " ms (all time high %" PRId64 " ms)\n",
                       latency_event_name(event), high, low, series->max_ms);
    reply_raw(&text, head, (size_t)len);
    memset(head, '-', GRAPH_COLUMNS);
    head[GRAPH_COLUMNS] = '\n';
    reply_raw(&text, head, GRAPH_COLUMNS + 1);
    draw(&text, series, low, high, shard_now_us(ctx->shard) / 1000000);
    reply_verbatim(ctx->reply, "txt", text.begin, reply_len(&text));
    reply_free(&text);
    report_free(report);
}

/* ---- DOCTOR ---- */

static const char *const advice[LATENCY_EVENTS] = {
    [LATENCY_COMMAND] =
        "Some commands took long. SLOWLOG GET tells which; set slowlog-log-slower-than to catch them, "
        "and look for KEYS, SORT, set operations or ranges over large values.",
    [LATENCY_FAST_COMMAND] =
        "Commands that should be fast were not. Large values, a machine short of CPU or memory "
        "(swapping), or more shards than CPUs explain that.",
    [LATENCY_EXPIRE_CYCLE] = "Many keys expire at the same moment. Spread their deadlines.",
    [LATENCY_EVICTION_CYCLE] =
        "Evicting took long. Large values are being evicted, or maxmemory is too tight for the "
        "rate of writes.",
};

void cmd_latency_doctor(struct command_context *ctx)
{
    struct report *report = report_gather(ctx, REPORT_LATENCY);
    if (!report) return;
    char text[2048];
    size_t n = 0;
    int found = 0;
    for (int event = 0; event < LATENCY_EVENTS; event++) {
        const struct latency_series *series = &report->latency[event];
        if (!series->count) continue;
        int64_t sum = 0;
        for (uint32_t i = 0; i < series->count; i++) sum += latency_sample_at(series, i)->ms;
        n += (size_t)snprintf(text + n, sizeof text - n,
                              "%d. %s: %u latency spikes (average %" PRId64
                              "ms). Worst all time event %" PRId64 "ms.\n   %s\n",
                              ++found, latency_event_name((enum latency_event)event), series->count,
                              sum / series->count, series->max_ms, advice[event]);
    }
    if (!found && !ctx->config->latency_monitor_threshold_ms)
        n = (size_t)snprintf(
            text, sizeof text,
            "Latency monitoring is disabled. CONFIG SET latency-monitor-threshold <milliseconds> "
            "switches it on.\n");
    else if (!found)
        n = (size_t)snprintf(text, sizeof text,
                             "No latency spike was seen since the start or the last reset.\n");
    reply_verbatim(ctx->reply, "txt", text, n);
    report_free(report);
}

/* ---- HISTOGRAM ---- */

/* Cumulative counts up to powers of two of 1024 ns, labelled with the bound in microseconds as Redis's
 * histogram rounds it. */
static void reply_histogram(struct reply *reply, const struct histogram *latency)
{
    reply_map(reply, 2);
    reply_bulk_text(reply, "calls");
    reply_integer(reply, (int64_t)latency->count);
    reply_bulk_text(reply, "histogram_usec");
    uint64_t seen = 0, shown = 0, pairs = 0;
    uint32_t bucket = 0;
    size_t mark = reply_defer(reply, 4);
    for (uint64_t bound = 1024; shown < latency->count; bound *= 2) {
        uint64_t highest_ns = bound + bound / 128 - 1;
        while (bucket < HISTOGRAM_BUCKETS && histogram_bucket_top(bucket) <= highest_ns)
            seen += latency->buckets[bucket++];
        if (seen == shown) continue;
        shown = seen;
        reply_integer(reply, (int64_t)(highest_ns / 1000));
        reply_integer(reply, (int64_t)shown);
        pairs++;
    }
    reply_close_map(reply, mark, pairs);
}

static bool has_latency(const struct report *report, const struct command *command)
{
    const struct histogram *latency = report->commands[command->id].latency;
    return latency && latency->count;
}

static uint64_t reply_command(struct reply *reply, const struct report *report, const struct command *command)
{
    if (!has_latency(report, command)) return 0;
    reply_bulk(reply, command->full_name, command->full_name_len);
    reply_histogram(reply, report->commands[command->id].latency);
    return 1;
}

void cmd_latency_histogram(struct command_context *ctx)
{
    struct report *report = report_gather(ctx, REPORT_COMMANDS);
    if (!report) return;
    uint64_t commands = 0;
    size_t mark = reply_defer(ctx->reply, 0);
    for (uint16_t id = 0; ctx->argc == 2 && id < command_count(); id++)
        commands += reply_command(ctx->reply, report, command_at(id));
    for (int i = 2; i < ctx->argc; i++) {
        const struct command *command = command_lookup_full(ctx->argv[i].ptr, ctx->argv[i].len);
        if (!command) continue;
        commands += reply_command(ctx->reply, report, command);
        for (uint16_t sub = 0; sub < command->subcommand_count; sub++)
            commands += reply_command(ctx->reply, report, &command->subcommands[sub]);
    }
    reply_close_map(ctx->reply, mark, commands);
    report_free(report);
}
