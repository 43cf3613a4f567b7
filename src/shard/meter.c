/* Meter: what is counted and timed around the commands of a shard (how: stats.h), and what follows when one
 * took long: the slow log and the latency series. */
#include "shard/internal.h"

#include <stdio.h>

/* A slow log that wants times as short as this: every command is timed alone. */
#define ALONE_BELOW_US 1000

/* ---- the turn ---- */

void meter_turn_begin(struct shard *shard)
{
    const struct config *config = &shard->config;
    int64_t slow_us = config->slowlog_max_len > 0 ? config->slowlog_log_slower_than_us : -1;
    int64_t spike_us = config->latency_monitor_threshold_ms * 1000;
    shard->notable_us = INT64_MAX;
    if (slow_us >= 0) shard->notable_us = slow_us;
    if (spike_us > 0 && spike_us < shard->notable_us) shard->notable_us = spike_us;
    shard->time_alone = shard->notable_us < ALONE_BELOW_US;
    shard->span.start_us = shard->now_monotonic_us;
    shard->span.fresh = false;
    shard->turn_commands = shard->stats.commands;
}

void meter_turn_end(struct shard *shard)
{
    uint64_t busy_us = (uint64_t)(shard->span.start_us - shard->now_monotonic_us);
    uint64_t commands = shard->stats.commands - shard->turn_commands;
    shard->stats.turns++;
    shard->stats.busy_us += busy_us;
    if (busy_us > shard->turn_most_us) shard->turn_most_us = busy_us;
    if (commands > shard->turn_most_commands && commands <= shard->stats.commands)
        shard->turn_most_commands = commands;
}

void meter_cron(struct shard *shard)
{
    const struct shard_stats *stats = &shard->stats;
    uint64_t now[STATS_RATE_COUNT] = {
        [STATS_RATE_COMMANDS] = stats->commands,   [STATS_RATE_BYTES_IN] = stats->bytes_in,
        [STATS_RATE_BYTES_OUT] = stats->bytes_out, [STATS_RATE_TURNS] = stats->turns,
        [STATS_RATE_BUSY_US] = stats->busy_us,
    };
    stats_rates_sample(&shard->rates, now, shard->now_monotonic_us);
}

/* ---- one command that took long ---- */

void meter_slow(struct shard *shard, const struct session *session, const struct command *command,
                const struct slice *argv, int argc, int64_t took_us)
{
    int64_t threshold_us = shard->config.slowlog_log_slower_than_us;
    if (threshold_us < 0 || took_us < threshold_us || command->flags & COMMAND_SKIP_SLOWLOG) return;
    uint64_t id = atomic_fetch_add_explicit(&shard->node->slowlog_next_id, 1, memory_order_relaxed);
    slowlog_add(&shard->slowlog, id, shard->now_us / 1000000, took_us, session, command, argv, argc,
                (uint64_t)shard->config.slowlog_max_len);
}

void meter_spike(struct shard *shard, enum latency_event event, int64_t took_us)
{
    int64_t threshold_ms = shard->config.latency_monitor_threshold_ms;
    if (threshold_ms && took_us / 1000 >= threshold_ms)
        latency_add(&shard->latency[event], shard->now_us / 1000000, took_us / 1000);
}

static void notable(struct shard *shard, const struct command_context *ctx, int64_t took_us)
{
    bool fast = ctx->command->flags & COMMAND_FAST;
    meter_spike(shard, fast ? LATENCY_FAST_COMMAND : LATENCY_COMMAND, took_us);
    if (ctx->session)
        meter_slow(shard, ctx->session, ctx->command, ctx->argv, ctx->argc, took_us);
    else
        shard->slow_us = took_us + 1; /* who sent it is known at home: it goes back with the batch */
}

/* ---- spans and single commands ---- */

static int64_t end_span(struct shard *shard, bool last_is_big, int64_t *own_us)
{
    int64_t now_us = io_monotonic_us(shard->io);
    int64_t took_us = stats_span_end(&shard->span, shard->command_stats, now_us,
                                     shard->config.latency_tracking, last_is_big, own_us);
    shard->stats.command_us += (uint64_t)took_us;
    return took_us;
}

void meter_round_end(struct shard *shard)
{
    int64_t unused;
    if (shard->span.count) end_span(shard, false, &unused);
    shard->span.fresh = false;
}

void meter_end_span(struct shard *shard, const struct command_context *ctx, bool last_is_big)
{
    int64_t own_us = 0;
    end_span(shard, last_is_big, &own_us);
    shard->span.fresh = true;
    if (last_is_big && own_us >= shard->notable_us) notable(shard, ctx, own_us);
}

int64_t meter_start(struct shard *shard)
{
    int64_t unused;
    if (shard->span.count || !shard->span.fresh) end_span(shard, false, &unused);
    return shard->span.start_us;
}

int64_t meter_stop(struct shard *shard, struct command_stats *stats)
{
    int64_t start_us = shard->span.start_us, now_us = io_monotonic_us(shard->io);
    int64_t took_us = now_us > start_us ? now_us - start_us : 0;
    shard->span.start_us = now_us;
    shard->span.fresh = true;
    shard->stats.command_us += (uint64_t)took_us;
    command_stats_add(stats, (uint64_t)took_us * 1000, 1, shard->config.latency_tracking);
    return took_us;
}

void meter_call_alone(struct shard *shard, struct command_context *ctx)
{
    meter_start(shard);
    ctx->command->handler(ctx);
    int64_t took_us = meter_stop(shard, &shard->command_stats[ctx->command->id]);
    if (UNLIKELY(took_us >= shard->notable_us)) notable(shard, ctx, took_us);
}

/* ---- errors ---- */

void meter_error(struct shard *shard, const struct reply *reply)
{
    shard->stats.errors++;
    struct slice code = reply_error_code(reply);
    if (error_stats_add(&shard->errors, code, 1) || !shard->node->host.log) return;
    char line[160];
    snprintf(line, sizeof line,
             "Errorstats stopped adding new errors because the number of errors reached the limit (%d); "
             "the one too many is %.*s. CONFIG RESETSTAT goes on.",
             STATS_ERRORS_MAX, (int)code.len, code.ptr);
    shard->node->host.log(shard->node->host.context, CONFIG_LOG_WARNING, line);
}

/* ---- RESETSTAT, and what a shard that ends leaves behind ---- */

void meter_reset(struct shard *shard)
{
    uint64_t dirty = shard->env.stats.dirty;
    shard->stats = (struct shard_stats){0};
    shard->turn_commands = shard->turn_most_commands = shard->turn_most_us = 0;
    shard->env.stats = (struct store_stats){.dirty = dirty};
    shard->errors = (struct error_stats){0};
    command_stats_reset(shard->command_stats);
}

static void add_words(void *into, const void *from, size_t size)
{
    uint64_t *a = into;
    const uint64_t *b = from;
    for (size_t i = 0; i < size / sizeof *a; i++) a[i] += b[i];
}

void meter_absorb(struct shard *shard, struct shard *ended)
{
    add_words(&shard->stats, &ended->stats, sizeof shard->stats);
    add_words(&shard->env.stats, &ended->env.stats, sizeof shard->env.stats);
    for (uint32_t i = 0; i < ended->errors.kinds; i++) {
        const struct error_count *item = &ended->errors.items[i];
        error_stats_add(&shard->errors, (struct slice){item->code, strlen(item->code)}, item->count);
    }
    for (uint16_t id = 0; id < COMMAND_COUNT_MAX; id++)
        command_stats_merge(&shard->command_stats[id], &ended->command_stats[id]);
    for (int event = 0; event < LATENCY_EVENTS; event++)
        latency_merge(&shard->latency[event], &ended->latency[event]);
    slowlog_absorb(&shard->slowlog, &ended->slowlog);
    slowlog_trim(&shard->slowlog, (uint64_t)shard->config.slowlog_max_len);
}
