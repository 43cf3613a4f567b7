/* INFO stats, commandstats, errorstats, latencystats. */
#include "telemetry/info.h"

#include <inttypes.h>
#include <stdio.h>

/* A run of fields with their values; names that begin with nothing but zero are in `info_stats` itself. */
struct field {
    const char *name;
    uint64_t value;
};

static void put(struct info *info, const struct field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) info_number(info, fields[i].name, fields[i].value);
}
#define PUT(info, ...)                                                                                       \
    put(info, (const struct field[]){__VA_ARGS__},                                                           \
        sizeof((const struct field[]){__VA_ARGS__}) / sizeof(struct field))

static void traffic(struct info *info)
{
    const struct report_numbers *t = &info->report->total;
    double in = (double)t->rate[STATS_RATE_BYTES_IN] / 1024,
           out = (double)t->rate[STATS_RATE_BYTES_OUT] / 1024;
    PUT(info, {"total_connections_received", t->connections}, {"total_commands_processed", t->commands},
        {"instantaneous_ops_per_sec", t->rate[STATS_RATE_COMMANDS]}, {"total_net_input_bytes", t->bytes_in},
        {"total_net_output_bytes", t->bytes_out}, {"total_net_repl_input_bytes", 0},
        {"total_net_repl_output_bytes", 0});
    info_line(info, "instantaneous_input_kbps:%.2f", in);
    info_line(info, "instantaneous_output_kbps:%.2f", out);
    info_line(info, "instantaneous_input_repl_kbps:0.00");
    info_line(info, "instantaneous_output_repl_kbps:0.00");
    PUT(info, {"rejected_connections", t->rejected_connections}, {"sync_full", 0}, {"sync_partial_ok", 0},
        {"sync_partial_err", 0});
}

static void expiry(struct info *info)
{
    const struct report_numbers *t = &info->report->total;
    PUT(info, {"expired_subkeys", t->expired_fields}, {"expired_keys", t->expired_keys});
    info_line(info, "expired_stale_perc:0.00"); /* an index by deadline knows no stale keys */
    PUT(info, {"expired_time_cap_reached_count", t->expire_cut},
        {"expire_cycle_cpu_milliseconds", t->expire_us / 1000}, {"evicted_keys", t->evicted_keys},
        {"evicted_clients", 0}, {"evicted_scripts", 0}, {"total_eviction_exceeded_time", t->evict_us / 1000},
        {"current_eviction_exceeded_time", 0}, {"keyspace_hits", t->keyspace_hits},
        {"keyspace_misses", t->keyspace_misses});
}

static void rest(struct info *info)
{
    const struct report_numbers *t = &info->report->total;
    uint64_t turns = t->rate[STATS_RATE_TURNS];
    uint64_t turns_each = turns / info->report->shard_count; /* of one loop, as there are several */
    PUT(info, {"pubsub_channels", 0}, {"pubsub_patterns", 0}, {"pubsubshard_channels", 0},
        {"latest_fork_usec", 0}, {"total_forks", 0}, {"migrate_cached_sockets", 0},
        {"slave_expires_tracked_keys", 0}, {"active_defrag_hits", 0}, {"active_defrag_misses", 0},
        {"active_defrag_key_hits", 0}, {"active_defrag_key_misses", 0}, {"total_active_defrag_time", 0},
        {"current_active_defrag_time", 0}, {"tracking_total_keys", 0}, {"tracking_total_items", 0},
        {"tracking_total_prefixes", 0}, {"unexpected_error_replies", 0}, {"total_error_replies", t->errors},
        {"dump_payload_sanitizations", 0}, {"total_reads_processed", t->reads},
        {"total_writes_processed", t->writes});
    PUT(info, {"io_threaded_reads_processed", t->reads - info->report->shards[0].reads},
        {"io_threaded_writes_processed", t->writes - info->report->shards[0].writes},
        {"client_query_buffer_limit_disconnections", t->query_limit_closed},
        {"client_output_buffer_limit_disconnections", t->output_limit_closed}, {"reply_buffer_shrinks", 0},
        {"reply_buffer_expands", 0}, {"eventloop_cycles", t->turns}, {"eventloop_duration_sum", t->busy_us},
        {"eventloop_duration_cmd_sum", t->command_us}, {"instantaneous_eventloop_cycles_per_sec", turns_each},
        {"instantaneous_eventloop_duration_usec", turns ? t->rate[STATS_RATE_BUSY_US] / turns : 0},
        {"acl_access_denied_auth", 0}, {"acl_access_denied_cmd", 0}, {"acl_access_denied_key", 0},
        {"acl_access_denied_channel", 0});
}

void info_stats(struct info *info)
{
    traffic(info);
    expiry(info);
    rest(info);
}

void info_commandstats(struct info *info)
{
    for (uint16_t id = 0; id < command_count(); id++) {
        const struct command_stats *stats = &info->report->commands[id];
        if (!stats->calls && !stats->rejected && !stats->failed) continue;
        info_line(info,
                  "cmdstat_%s:calls=%" PRIu64 ",usec=%" PRIu64 ",usec_per_call=%.2f,rejected_calls=%" PRIu64
                  ",failed_calls=%" PRIu64,
                  command_at(id)->full_name, stats->calls, stats->ns / 1000,
                  stats->calls ? (double)stats->ns / 1000 / (double)stats->calls : 0, stats->rejected,
                  stats->failed);
    }
}

/* An error code is part of a line: whatever could end its field is shown as '_'. */
static const char *safe(const char *code, char out[STATS_ERROR_LEN_MAX])
{
    size_t i = 0;
    for (; code[i]; i++) out[i] = strchr("#:\r\n", code[i]) ? '_' : code[i];
    out[i] = 0;
    return out;
}

void info_errorstats(struct info *info)
{
    char code[STATS_ERROR_LEN_MAX];
    for (uint32_t i = 0; i < info->report->errors.kinds; i++) {
        const struct error_count *error = &info->report->errors.items[i];
        info_line(info, "errorstat_%s:count=%" PRIu64, safe(error->code, code), error->count);
    }
}

void info_latencystats(struct info *info)
{
    const struct config *config = info->config;
    if (!config->latency_tracking) return;
    for (uint16_t id = 0; id < command_count(); id++) {
        const struct histogram *latency = info->report->commands[id].latency;
        if (!latency || !latency->count) continue;
        struct reply *out = info->out;
        REPLY_RAW_LITERAL(out, "latency_percentiles_usec_");
        reply_raw(out, command_at(id)->full_name, command_at(id)->full_name_len);
        for (int i = 0; i < config->latency_percentile_count; i++) {
            char text[64];
            double percent = config->latency_percentiles[i];
            int len = snprintf(text, sizeof text, "%cp%.12g=%.3f", i ? ',' : ':', percent,
                               (double)histogram_percentile(latency, percent) / 1000);
            reply_raw(out, text, (size_t)len);
        }
        REPLY_RAW_LITERAL(out, "\r\n");
    }
}
