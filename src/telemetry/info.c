/* INFO: sections and fields are Redis 8.0's, in its order, plus "# Weft". The values are summed over the
 * shards (shard/report.h). What weft has no counterpart of (forks, replication, modules) is there with the
 * value that says so: tools look the fields up by name. Tests: test/blackbox/server_commands_test.py. */
#include "telemetry/info.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* ---- writing ---- */

void info_line(struct info *info, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (len >= (int)sizeof line) len = sizeof line - 1;
    reply_raw(info->out, line, (size_t)len);
    REPLY_RAW_LITERAL(info->out, "\r\n");
}

void info_number(struct info *info, const char *field, uint64_t value)
{
    info_line(info, "%s:%" PRIu64, field, value);
}

const char *info_human(uint64_t bytes, char text[INFO_HUMAN_LEN])
{
    static const char units[] = "BKMGTP";
    double value = (double)bytes;
    int unit = 0;
    while (value >= 1024 && units[unit + 1]) {
        value /= 1024;
        unit++;
    }
    if (unit == 0)
        snprintf(text, INFO_HUMAN_LEN, "%" PRIu64 "B", bytes);
    else
        snprintf(text, INFO_HUMAN_LEN, "%.2f%c", value, units[unit]);
    return text;
}

/* Fields that are always zero here. */
static void zeros(struct info *info, const char *const *fields)
{
    for (; *fields; fields++) info_line(info, "%s:0", *fields);
}

/* ---- sections without a file of their own ---- */

static void listeners(struct info *info)
{
    const struct config *config = info->config;
    int listener = 0;
    if (config->port && config->bind_count) {
        char addresses[768];
        size_t n = 0;
        for (int i = 0; i < config->bind_count && n < sizeof addresses; i++)
            n += (size_t)snprintf(addresses + n, sizeof addresses - n, ",bind=%s", config->bind[i].ptr);
        info_line(info, "listener%d:name=tcp%s,port=%d", listener++, addresses, info->node->port);
    }
    if (config->unixsocket.len)
        info_line(info, "listener%d:name=unix,bind=%s", listener, config->unixsocket.ptr);
}

static void server(struct info *info)
{
    const struct node *node = info->node;
    int64_t uptime_s = (info->now_us - node->started_us) / 1000000;
    info_line(info, "redis_version:%s", COMMAND_REDIS_VERSION);
    info_line(info, "weft_version:%s", COMMAND_WEFT_VERSION);
    info_line(info, "redis_git_sha1:00000000");
    info_line(info, "redis_git_dirty:0");
    info_line(info, "redis_build_id:%s", COMMAND_WEFT_VERSION);
    info_line(info, "redis_mode:standalone");
    info_line(info, "os:%s", node->os);
    info_line(info, "arch_bits:%d", (int)sizeof(void *) * 8);
    info_line(info, "monotonic_clock:POSIX clock_gettime");
    info_line(info, "multiplexing_api:%s", node->io_name);
    info_line(info, "atomicvar_api:c11-builtin");
    info_line(info, "gcc_version:%d.%d.%d", info->node->compiler[0], info->node->compiler[1],
              info->node->compiler[2]);
    info_line(info, "process_id:%" PRId64, node->process_id);
    info_line(info, "process_supervised:no");
    info_line(info, "run_id:%s", node->run_id);
    info_line(info, "tcp_port:%d", info->config->port ? node->port : 0);
    info_line(info, "server_time_usec:%" PRId64, info->now_us);
    info_line(info, "uptime_in_seconds:%" PRId64, uptime_s);
    info_line(info, "uptime_in_days:%" PRId64, uptime_s / 86400);
    info_line(info, "hz:%" PRId64, info->config->hz);
    info_line(info, "configured_hz:%" PRId64, info->config->hz);
    info_line(info, "lru_clock:%" PRId64, info->now_us / 1000000 & 0xffffff);
    info_line(info, "executable:%.900s", node->executable);
    info_line(info, "config_file:%s", info->config->file.ptr);
    info_line(info, "io_threads_active:%d", info->report->shard_count > 1);
    listeners(info);
}

static void clients(struct info *info)
{
    const struct report_numbers *total = &info->report->total;
    info_number(info, "connected_clients", total->clients_of_node);
    info_line(info, "cluster_connections:0");
    info_number(info, "maxclients", (uint64_t)info->config->maxclients);
    info_number(info, "client_recent_max_input_buffer", info->report->most.input_buffer);
    info_number(info, "client_recent_max_output_buffer", info->report->most.output_buffer);
    info_number(info, "blocked_clients", total->clients_blocked);
    info_line(info, "tracking_clients:0");
    info_line(info, "pubsub_clients:0");
    info_number(info, "watching_clients", total->clients_watching);
    info_line(info, "clients_in_timeout_table:0");
    info_number(info, "total_watched_keys", total->watched_keys);
    info_line(info, "total_blocking_keys:0");
    info_line(info, "total_blocking_keys_on_nokey:0");
}

static void persistence(struct info *info)
{
    static const char *const before[] = {"loading",          "async_loading",        "current_cow_peak",
                                         "current_cow_size", "current_cow_size_age", NULL};
    static const char *const progress[] = {"current_save_keys_processed", "current_save_keys_total", NULL};
    static const char *const rdb[] = {
        "rdb_saves",   "rdb_last_cow_size",       "rdb_last_load_keys_expired", "rdb_last_load_keys_loaded",
        "aof_enabled", "aof_rewrite_in_progress", "aof_rewrite_scheduled",      NULL};
    static const char *const aof[] = {"aof_rewrites", "aof_rewrites_consecutive_failures", NULL};
    static const char *const after[] = {"aof_last_cow_size", "module_fork_in_progress",
                                        "module_fork_last_cow_size", NULL};
    zeros(info, before);
    info_line(info, "current_fork_perc:0.00");
    zeros(info, progress);
    info_number(info, "rdb_changes_since_last_save", info->report->total.dirty);
    info_line(info, "rdb_bgsave_in_progress:0");
    info_line(info, "rdb_last_save_time:%" PRId64, info->node->started_us / 1000000);
    info_line(info, "rdb_last_bgsave_status:ok");
    info_line(info, "rdb_last_bgsave_time_sec:-1");
    info_line(info, "rdb_current_bgsave_time_sec:-1");
    zeros(info, rdb);
    info_line(info, "aof_last_rewrite_time_sec:-1");
    info_line(info, "aof_current_rewrite_time_sec:-1");
    info_line(info, "aof_last_bgrewrite_status:ok");
    zeros(info, aof);
    info_line(info, "aof_last_write_status:ok");
    zeros(info, after);
}

/* One line per shard: each is the thread that reads and writes for its clients. */
static void threads(struct info *info)
{
    for (int i = 0; i < info->report->shard_count; i++) {
        const struct report_numbers *shard = &info->report->shards[i];
        info_line(info, "io_thread_%d:clients=%" PRIu64 ",reads=%" PRIu64 ",writes=%" PRIu64, i,
                  shard->clients, shard->reads, shard->writes);
    }
}

static void replication(struct info *info)
{
    char id[NODE_ID_LEN + 1];
    node_write_id(atomic_load(&((struct node *)(uintptr_t)info->node)->replication_seed), id);
    info_line(info, "role:master");
    info_line(info, "connected_slaves:0");
    info_line(info, "master_failover_state:no-failover");
    info_line(info, "master_replid:%s", id);
    info_line(info, "master_replid2:%040d", 0);
    info_line(info, "master_repl_offset:0");
    info_line(info, "second_repl_offset:-1");
    info_line(info, "repl_backlog_active:0");
    info_line(info, "repl_backlog_size:1048576");
    info_line(info, "repl_backlog_first_byte_offset:0");
    info_line(info, "repl_backlog_histlen:0");
}

static void seconds(struct info *info, const char *field, int64_t us)
{
    info_line(info, "%s:%" PRId64 ".%06" PRId64, field, us / 1000000, us % 1000000);
}

static void cpu(struct info *info)
{
    seconds(info, "used_cpu_sys", info->usage.system_us);
    seconds(info, "used_cpu_user", info->usage.user_us);
    seconds(info, "used_cpu_sys_children", 0);
    seconds(info, "used_cpu_user_children", 0);
    seconds(info, "used_cpu_sys_main_thread", info->usage.thread_system_us);
    seconds(info, "used_cpu_user_main_thread", info->usage.thread_user_us);
}

static void modules(struct info *info) {}

static void cluster(struct info *info)
{
    info_line(info, "cluster_enabled:0");
}

static void keyspace(struct info *info)
{
    for (int db = 0; db < info->report->database_count; db++) {
        const struct report_database *database = &info->report->databases[db];
        if (database->keys)
            info_line(info, "db%d:keys=%" PRIu64 ",expires=%" PRIu64 ",avg_ttl=0,subexpiry=%" PRIu64, db,
                      database->keys, database->expires, database->timed_hashes);
    }
}

/* The label of a bin: the least length in it. */
static void bin_label(int bin, char text[16])
{
    static const char units[] = "\0KMGTP";
    int power = bin - 1, unit = power > 0 ? power / 10 : 0;
    if (bin == 0)
        strcpy(text, "0");
    else
        snprintf(text, 16, "%d%.1s", 1 << (power - 10 * unit), &units[unit]);
}

static void keysizes(struct info *info)
{
    static const struct {
        enum item_type type;
        const char *name;
    } kinds[] = {{ITEM_STRING, "strings_sizes"},
                 {ITEM_LIST, "lists_items"},
                 {ITEM_SET, "sets_items"},
                 {ITEM_ZSET, "zsets_items"},
                 {ITEM_HASH, "hashes_items"}};
    if (info->report->sizes_left_out) {
        info_line(info,
                  "keysizes_left_out:1"); /* too many keys to look at, unless INFO keysizes asks for it */
        return;
    }
    for (int db = 0; db < info->report->database_count; db++) {
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
            const uint64_t *bins = info->report->sizes[db].bins[kinds[k].type];
            char line[1024], label[16];
            size_t n = 0;
            for (int bin = 0; bin < REPORT_SIZE_BINS; bin++) {
                if (!bins[bin]) continue;
                bin_label(bin, label);
                n += (size_t)snprintf(line + n, sizeof line - n, "%c%s=%" PRIu64, n ? ',' : ':', label,
                                      bins[bin]);
            }
            if (n) info_line(info, "db%d_distrib_%s%s", db, kinds[k].name, line);
        }
    }
}

static void debug(struct info *info)
{
    info_line(info, "eventloop_duration_aof_sum:0");
    info_number(info, "eventloop_duration_cron_sum", info->report->total.cron_us);
    info_number(info, "eventloop_duration_max", info->report->most.turn_us);
    info_number(info, "eventloop_cmd_per_cycle_max", info->report->most.turn_commands);
}

/* ---- choosing sections ---- */

static const struct section {
    const char *name, *title;
    info_section *write;
    unsigned parts; /* of the report that it needs */
    enum { BY_DEFAULT, BY_ALL, BY_NAME } shown;
} sections[] = {
    {"server", "Server", server, 0, BY_DEFAULT},
    {"clients", "Clients", clients, 0, BY_DEFAULT},
    {"memory", "Memory", info_memory, 0, BY_DEFAULT},
    {"persistence", "Persistence", persistence, 0, BY_DEFAULT},
    {"threads", "Threads", threads, 0, BY_DEFAULT},
    {"stats", "Stats", info_stats, 0, BY_DEFAULT},
    {"replication", "Replication", replication, 0, BY_DEFAULT},
    {"cpu", "CPU", cpu, 0, BY_DEFAULT},
    {"modules", "Modules", modules, 0, BY_DEFAULT},
    {"commandstats", "Commandstats", info_commandstats, REPORT_COMMANDS, BY_ALL},
    {"errorstats", "Errorstats", info_errorstats, REPORT_ERRORS, BY_DEFAULT},
    {"latencystats", "Latencystats", info_latencystats, REPORT_COMMANDS, BY_ALL},
    {"cluster", "Cluster", cluster, 0, BY_DEFAULT},
    {"keyspace", "Keyspace", keyspace, 0, BY_DEFAULT},
    {"keysizes", "Keysizes", keysizes, REPORT_SIZES_IF_FEW, BY_DEFAULT},
    {"weft", "Weft", info_weft, 0, BY_DEFAULT},
    {"debug", "Debug", debug, 0, BY_NAME},
};
#define SECTION_COUNT (sizeof sections / sizeof sections[0])

static uint32_t wanted_sections(const struct command_context *ctx)
{
    uint32_t wanted = 0;
    for (size_t s = 0; s < SECTION_COUNT; s++) {
        bool is_wanted = ctx->argc == 1 && sections[s].shown == BY_DEFAULT;
        for (int i = 1; i < ctx->argc; i++) {
            is_wanted |= command_arg_is(ctx, i, sections[s].name);
            is_wanted |= command_arg_is(ctx, i, "default") && sections[s].shown == BY_DEFAULT;
            bool all = command_arg_is(ctx, i, "all") || command_arg_is(ctx, i, "everything");
            is_wanted |= all && sections[s].shown != BY_NAME;
        }
        if (is_wanted) wanted |= 1u << s;
    }
    return wanted;
}

static void write_sections(struct info *info, uint32_t wanted)
{
    for (size_t s = 0; s < SECTION_COUNT; s++) {
        if (!(wanted >> s & 1)) continue;
        if (reply_len(info->out)) REPLY_RAW_LITERAL(info->out, "\r\n");
        info_line(info, "# %s", sections[s].title);
        sections[s].write(info);
    }
}

void cmd_info(struct command_context *ctx)
{
    uint32_t wanted = wanted_sections(ctx);
    unsigned needed = 0;
    for (size_t s = 0; s < SECTION_COUNT; s++)
        if (wanted >> s & 1) needed |= sections[s].parts;
    for (int i = 1; i < ctx->argc; i++)
        if (command_arg_is(ctx, i, "keysizes")) needed |= REPORT_SIZES;
    struct report *report = report_gather(ctx, needed);
    if (!report) return;
    struct reply text;
    reply_init(&text, 2);
    const struct node *node = shard_node(ctx->shard);
    struct info info = {.out = &text, .ctx = ctx, .config = ctx->config, .node = node, .report = report};
    io_usage(shard_io(ctx->shard), &info.usage);
    info.now_us = shard_now_us(ctx->shard);
    write_sections(&info, wanted);
    reply_verbatim(ctx->reply, "txt", text.begin, reply_len(&text));
    reply_free(&text);
    report_free(report);
}
