/* Reports; see report.h. A shard's part is one run of bytes:
 *
 *   numbers | most | databases | { command id, its stats, its histogram if it has one }* , id
 * COMMAND_COUNT_MAX | errors | latency | sizes of each database
 *
 * (the last four only if asked for). The asking session may hold partitions of other shards (INFO inside
 * MULTI): then its own shard counts those, and their owners do not. */
#include "shard/report.h"

#include <stdlib.h>
#include "shard/internal.h"
#include "store/watch.h"

struct question {
    unsigned parts;
    uint16_t asker;
    struct bitmap256 held; /* by the asker's session */
};

/* ---- a shard's part ---- */

static void count_sessions(const struct shard *shard, struct report_numbers *out, struct report_most *most)
{
    out->client_bytes = clients_pool_bytes(shard);
    for (const struct session *s = shard->sessions; s; s = s->all_next) {
        if (s->id == 0) continue;
        uint64_t input = s->input ? s->input_len : s->tail_len, output = session_output_bytes(s);
        out->clients++;
        out->clients_blocked += s->block == SESSION_WAITS_PAUSE;
        out->clients_watching += s->watch_count > 0;
        out->client_bytes += session_memory(s);
        if (input > most->input_buffer) most->input_buffer = input;
        if (output > most->output_buffer) most->output_buffer = output;
    }
}

/* Does this shard count the partition, and may it look at it now? */
static bool counts(const struct shard *shard, const struct question *question, int partition, bool *live)
{
    if (bitmap_has(&question->held, (unsigned)partition)) return *live = shard->index == question->asker;
    *live = shard->state[partition] == PARTITION_HOME;
    return shard->state[partition] != PARTITION_ELSEWHERE;
}

static void count_partitions(const struct shard *shard, const struct question *question,
                             struct report_numbers *out, struct report_database *databases)
{
    for (int p = 0; p < PARTITION_COUNT; p++) {
        bool live;
        if (!counts(shard, question, p, &live)) continue;
        const struct partition *partition = shard->node->partitions[p];
        out->data_bytes += live ? partition_memory(partition) : shard->partition_bytes[p];
        if (live) {
            out->held_bytes += partition->slab.held_bytes;
            out->watched_keys += watch_count(partition->watches);
            out->pending_objects += partition->pending_objects;
        }
        for (int db = 0; db < shard->config.databases; db++) {
            const struct keys_when_lent *lent = &shard->keys_when_lent[p * shard->config.databases + db];
            struct report_database *to = &databases[db];
            uint64_t keys = live ? partition_keys(partition, (uint8_t)db) : lent->keys;
            to->keys += keys;
            to->expires += live ? partition_expires(partition, (uint8_t)db) : lent->expires;
            to->timed_hashes += live ? partition_timed_hashes(partition, (uint8_t)db) : lent->timed_hashes;
            if (live) to->table_bytes += partition_table_bytes(partition, (uint8_t)db);
            out->keys += keys;
        }
    }
}

static void copy_counters(const struct shard *shard, struct report_numbers *out)
{
    const struct shard_stats *s = &shard->stats;
    const struct store_stats *e = &shard->env.stats;
    *out = (struct report_numbers){
        .commands = s->commands,
        .connections = s->connections,
        .rejected_connections = s->rejected_connections,
        .bytes_in = s->bytes_in,
        .bytes_out = s->bytes_out,
        .reads = s->reads,
        .writes = s->writes,
        .errors = s->errors,
        .hops = s->hops,
        .batches = s->batches,
        .borrows = s->borrows,
        .turns = s->turns,
        .busy_us = s->busy_us,
        .command_us = s->command_us,
        .cron_us = s->cron_us,
        .evict_cycles = s->evict_cycles,
        .evict_us = s->evict_us,
        .expire_cycles = s->expire_cycles,
        .expire_us = s->expire_us,
        .expire_cut = s->expire_cut,
        .output_limit_closed = s->output_limit_closed,
        .query_limit_closed = s->query_limit_closed,
        .flushed_keys = s->flushed_keys,
        .keyspace_hits = e->keyspace_hits,
        .keyspace_misses = e->keyspace_misses,
        .expired_keys = e->expired_keys,
        .expired_fields = e->expired_fields,
        .evicted_keys = e->evicted_keys,
        .dirty = e->dirty,
        .lazyfreed = e->lazyfreed,
        .slow_commands = shard->slowlog.count,
    };
    for (int i = 0; i < STATS_RATE_COUNT; i++)
        out->rate[i] = stats_rates_mean(&shard->rates, (enum stats_rate)i);
}

static void write_commands(const struct shard *shard, struct reply *out)
{
    uint16_t id = 0;
    for (; id < COMMAND_COUNT_MAX; id++) {
        const struct command_stats *stats = &shard->command_stats[id];
        if (!stats->calls && !stats->rejected && !stats->failed) continue;
        reply_raw(out, &id, sizeof id);
        reply_raw(out, stats, sizeof *stats);
        if (stats->latency) reply_raw(out, stats->latency, sizeof *stats->latency);
    }
    reply_raw(out, &id, sizeof id);
}

/* ---- sizes ---- */

static void take_size(void *context, struct entry *entry)
{
    struct report_sizes *sizes = context;
    enum item_type type = item_type(entry->item);
    uint64_t length = type == ITEM_STRING ? entry_string_len(entry) : entry_count(entry);
    int bin = length ? 64 - __builtin_clzll(length) : 0;
    sizes->bins[type][bin < REPORT_SIZE_BINS ? bin : REPORT_SIZE_BINS - 1]++;
}

/* False when there are too many keys to look at. */
static bool write_sizes(const struct shard *shard, const struct question *question, uint64_t keys,
                        struct reply *out)
{
    if (!(question->parts & REPORT_SIZES) && keys > REPORT_SIZES_FEW) return false;
    size_t databases = (size_t)shard->config.databases;
    struct report_sizes *sizes = calloc(databases, sizeof *sizes);
    CHECK(sizes);
    for (int p = 0; p < PARTITION_COUNT; p++) {
        bool live;
        if (!counts(shard, question, p, &live) || !live) continue;
        for (size_t db = 0; db < databases; db++) {
            uint64_t cursor = 0;
            do
                cursor =
                    partition_scan(shard->node->partitions[p], (uint8_t)db, cursor, take_size, &sizes[db]);
            while (cursor);
        }
    }
    reply_raw(out, sizes, databases * sizeof *sizes);
    free(sizes);
    return true;
}

static void write_part(struct shard *shard, void *argument, struct scatter_part *part)
{
    const struct question *question = argument;
    size_t databases_size = (size_t)shard->config.databases * sizeof(struct report_database);
    struct report_database *databases = calloc(1, databases_size);
    CHECK(databases);
    struct report_numbers numbers;
    meter_round_end(shard);
    copy_counters(shard, &numbers);
    struct io_usage usage;
    io_usage(shard->io, &usage);
    numbers.cpu_us = (uint64_t)(usage.thread_user_us + usage.thread_system_us);
    struct report_most most = {.turn_commands = shard->turn_most_commands, .turn_us = shard->turn_most_us};
    count_sessions(shard, &numbers, &most);
    numbers.clients_of_node = shard->index == 0 ? shard->client_count : 0;
    count_partitions(shard, question, &numbers, databases);
    shard->client_bytes = numbers.client_bytes;
    memory_sum(shard); /* the node's budget is up to date when all have answered */
    reply_raw(&part->bytes, &numbers, sizeof numbers);
    reply_raw(&part->bytes, &most, sizeof most);
    reply_raw(&part->bytes, databases, databases_size);
    if (question->parts & REPORT_COMMANDS) write_commands(shard, &part->bytes);
    if (question->parts & REPORT_ERRORS) reply_raw(&part->bytes, &shard->errors, sizeof shard->errors);
    if (question->parts & REPORT_LATENCY) reply_raw(&part->bytes, shard->latency, sizeof shard->latency);
    unsigned written = question->parts & ~(REPORT_SIZES | REPORT_SIZES_IF_FEW);
    bool sizes = question->parts & (REPORT_SIZES | REPORT_SIZES_IF_FEW);
    if (sizes && write_sizes(shard, question, numbers.keys, &part->bytes)) written |= REPORT_SIZES;
    CHECK(!part->bytes.failed); /* some kilobytes of the control plane */
    part->numbers[0] = written;
    part->numbers[1] = sizes && !(written & REPORT_SIZES);
    free(databases);
}

static void ask(struct command_context *ctx, unsigned parts)
{
    struct question *question = calloc(1, sizeof *question);
    CHECK(question);
    question->parts = parts;
    question->asker = ctx->shard->index;
    if (ctx->session->borrow) question->held = ctx->session->borrow->held;
    scatter_ask(ctx, write_part, question);
}

/* ---- adding up ---- */

static const char *take(const char *at, void *into, size_t size)
{
    memcpy(into, at, size);
    return at + size;
}

/* Sums, or the most, of two arrays of words. */
static void merge_words(void *into, const void *from, size_t size, bool most)
{
    uint64_t *a = into;
    const uint64_t *b = from;
    for (size_t i = 0; i < size / sizeof *a; i++) {
        uint64_t sum = a[i] + b[i];
        a[i] = !most ? sum : a[i] > b[i] ? a[i] : b[i];
    }
}

static const char *add_commands(struct report *report, const char *at)
{
    uint16_t id;
    for (at = take(at, &id, sizeof id); id < COMMAND_COUNT_MAX; at = take(at, &id, sizeof id)) {
        struct command_stats stats;
        struct histogram latency;
        at = take(at, &stats, sizeof stats);
        if (stats.latency) { /* the address was the other shard's: here it only says that there is one */
            at = take(at, &latency, sizeof latency);
            stats.latency = &latency;
        }
        command_stats_merge(&report->commands[id], &stats);
    }
    return at;
}

static const char *add_errors(struct report *report, const char *at)
{
    struct error_stats *part = malloc(sizeof *part);
    CHECK(part);
    at = take(at, part, sizeof *part);
    for (uint32_t i = 0; i < part->kinds; i++)
        error_stats_add(&report->errors, (struct slice){part->items[i].code, strlen(part->items[i].code)},
                        part->items[i].count);
    free(part);
    return at;
}

static const char *add_latency(struct report *report, const char *at)
{
    struct latency_series series;
    for (int event = 0; event < LATENCY_EVENTS; event++) {
        at = take(at, &series, sizeof series);
        latency_merge(&report->latency[event], &series);
    }
    return at;
}

static void add_sizes(struct report *report, const char *at)
{
    struct report_sizes *part = malloc(sizeof *part);
    CHECK(part);
    for (int db = 0; db < report->database_count; db++) {
        at = take(at, part, sizeof *part);
        merge_words(&report->sizes[db], part, sizeof *part, false);
    }
    free(part);
}

static struct report *collect(const struct command_context *ctx, const struct scatter_part *parts,
                              uint16_t count)
{
    struct report *report = calloc(1, sizeof *report);
    CHECK(report);
    report->shard_count = count;
    report->database_count = (uint16_t)ctx->config->databases;
    report->shards = calloc(count, sizeof *report->shards);
    report->databases = calloc(report->database_count, sizeof *report->databases);
    report->commands = command_stats_create();
    report->sizes = calloc(report->database_count, sizeof *report->sizes);
    CHECK(report->shards && report->databases && report->commands && report->sizes);
    for (uint16_t i = 0; i < count; i++) {
        const char *at = take(parts[i].bytes.begin, &report->shards[i], sizeof report->shards[i]);
        struct report_most most;
        at = take(at, &most, sizeof most);
        merge_words(&report->total, &report->shards[i], sizeof report->total, false);
        merge_words(&report->most, &most, sizeof most, true);
        for (int db = 0; db < report->database_count; db++) {
            struct report_database database;
            at = take(at, &database, sizeof database);
            merge_words(&report->databases[db], &database, sizeof database, false);
        }
        if (parts[i].numbers[0] & REPORT_COMMANDS) at = add_commands(report, at);
        if (parts[i].numbers[0] & REPORT_ERRORS) at = add_errors(report, at);
        if (parts[i].numbers[0] & REPORT_LATENCY) at = add_latency(report, at);
        if (parts[i].numbers[0] & REPORT_SIZES) add_sizes(report, at);
        report->sizes_left_out |= parts[i].numbers[1] != 0;
    }
    return report;
}

struct report *report_gather(struct command_context *ctx, unsigned what)
{
    uint16_t count;
    const struct scatter_part *parts = scatter_parts(ctx, &count);
    if (parts) return collect(ctx, parts, count);
    ask(ctx, what);
    return NULL;
}

void report_free(struct report *report)
{
    command_stats_destroy(report->commands);
    free(report->databases);
    free(report->sizes);
    free(report->shards);
    free(report);
}
