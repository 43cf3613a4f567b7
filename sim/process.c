/* Processes: the production node on the simulated world, and what can happen to a process. */
#include "sim/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/start.h"
#include "session/session.h"
#include "shard/internal.h"
#include "sim/statistics.h"

#define MINUTE_US INT64_C(60000000)
#define STOP_US   INT64_C(20000000)
#define STORY_PAUSE_US 100000 /* and a little */
#define FEW_KEYS  3 /* what lent partitions may hold at the moment */

static int64_t partition_bytes(const struct process *process)
{
    int64_t sum = 0;
    for (int i = 0; i < PARTITION_COUNT; i++) sum += (int64_t)partition_memory(process->node->partitions[i]);
    return sum;
}

/* ---- the host ---- */

static struct io *host_io_create(void *context, int *error)
{
    const struct process *process = context;
    struct io *io = io_create(process->world, error);
    if (io) io_sim_look_cost(io, process->run->plan.look_cost_us);
    return io;
}
static void host_io_destroy(void *context, struct io *io)
{
    (void)context;
    io_destroy(io);
}
static bool host_start(void *context, struct shard *shard)
{
    struct process *process = context;
    process->running[shard_index(shard)] = true;
    if (shard_index(shard) >= process->shards_end) process->shards_end = shard_index(shard) + 1;
    process->lying[shard_index(shard)] = false;
    process->free_at_us[shard_index(shard)] = 0;
    return true;
}
static void host_join(void *context, struct shard *shard)
{
    struct process *process = context;
    process->running[shard_index(shard)] = false;
}
static void host_log(void *context, enum config_log level, const char *sentence)
{
    struct process *process = context;
    TRACE(process->run->trace, log, run_now_us(process->run) - process->run->start_us, process->index,
          (int)level, sentence);
}

/* CONFIG SET has run on all shards, and nobody else asks them anything now: all have the same values. */
static void check_config_set(struct process *process, const struct session *session,
                             const struct command_context *ctx)
{
    struct node *node = process->node;
    int shards = atomic_load(&node->shard_count);
    for (int i = 0; i < SHARDS_MAX; i++) /* also those that leave */
        for (const struct session *s = process->running[i] ? node->shards[i]->sessions : NULL; s;
             s = s->all_next)
            if (s->scatter && s != session) return;
    for (int word = 2; word + 1 < ctx->argc; word += 2) {
        struct config_text first = {0}, other = {0};
        if (!config_get_one(&node->shards[0]->config, ctx->argv[word], &first)) continue;
        for (int i = 1; i < shards; i++) {
            config_get_one(&node->shards[i]->config, ctx->argv[word], &other);
            if (strcmp(first.ptr, other.ptr) != 0)
                run_fail(process->run, ORACLE_CONFIG, NULL,
                         "node %d: after CONFIG SET shard 0 has %.*s at '%s', shard %d at '%s'",
                         process->index, (int)ctx->argv[word].len, ctx->argv[word].ptr, first.ptr, i,
                         other.ptr);
            config_text_set(&other, SLICE(""));
        }
        config_text_set(&first, SLICE(""));
    }
}

/* A hundredth above the limit it is room, too (memory.c). */
static void note_room(struct process *process)
{
    int64_t limit = process->memory_limit;
    if (atomic_load(&process->node->budget.used_bytes) <= limit + limit / 100) process->room_tick = ++process->run->tick;
}

static void host_executed(void *context, const struct shard *shard, const struct session *session,
                          const struct command_context *ctx, size_t reply_start)
{
    struct process *process = context;
    struct slice reply = {ctx->reply->begin + reply_start, reply_len(ctx->reply) - reply_start};
    statistics_count(process->statistics, ctx, reply_start);
    char complaint[300];
    if (strcmp(ctx->command->full_name, "client|pause") == 0) { /* of a story, or the fault's, which has told */
        int64_t until_us = run_now_us(process->run) + STORY_PAUSE_US;
        if (until_us > process->run->hindered_until_us) process->run->hindered_until_us = until_us;
    }
    if (process->run->quiet && strcmp(ctx->command->full_name, "info") == 0 &&
        !statistics_agree(process->statistics, reply, complaint, sizeof complaint))
        run_fail(process->run, ORACLE_AUDIT, NULL, "node %d: %s", process->index, complaint);
    link_executed(process, &(struct execution){.session_id = session->id,
                                               .address = session->address,
                                               .argv = ctx->argv,
                                               .argc = ctx->argc,
                                               .db = ctx->db,
                                               .resp = ctx->reply->resp,
                                               .shard = shard->index,
                                               .in_multi = ctx->in_multi,
                                               .of_session = ctx->command->route == COMMAND_ROUTE_SESSION &&
                                                             ctx->command->handler != cmd_exec,
                                               .is_write = ctx->command->handler == cmd_exec ||
                                                           ctx->command->flags &
                                                               (COMMAND_WRITE | COMMAND_MAY_REPLICATE),
                                               .takes_memory = ctx->command->flags & COMMAND_DENYOOM,
                                               .used_bytes = atomic_load(&process->node->budget.used_bytes),
                                               .now_ms = ctx->now_ms,
                                               .reply = reply});
    if (process->memory_faults) note_room(process); /* what clients hold may come and go within a turn */
    if (ctx->command->handler == cmd_config_set && session->scatter) check_config_set(process, session, ctx);
}

static int db_of(const struct process *process, const struct record *record)
{
    const struct partition *partition = process->node->partitions[record->partition];
    for (int db = 0; db < partition->databases; db++)
        if (partition->keyspace_of_db[db] == record->keyspace) return db;
    return 0;
}

static uint64_t process_keys(const struct process *process)
{
    uint64_t keys = 0;
    for (int i = 0; i < PARTITION_COUNT; i++) {
        const struct partition *partition = process->node->partitions[i];
        for (uint8_t db = 0; db < partition->databases; db++) keys += partition_keys(partition, db);
    }
    return keys;
}

/* Follows whether there are few keys: only what deletes makes them few, and then anything makes them more. */
static void note_keys(struct process *process, const struct record *record)
{
    if (!process->few_keys && record->op != RECORD_KEY_DELETE) return;
    bool few = process_keys(process) <= FEW_KEYS;
    if (few || process->few_keys) process->few_keys_us = run_now_us(process->run);
    process->few_keys = few;
}

/* Has there been a moment since then at which there was nothing to evict? */
bool process_may_refuse(const struct process *process, int64_t since_us)
{
    return process->few_keys || process->few_keys_us >= since_us || process_keys(process) <= FEW_KEYS;
}

/* Evicted: is there need for it? What is accounted changes when the key has gone. */
static void judge_eviction(struct process *process, struct slice key)
{
    int64_t used = atomic_load(&process->node->budget.used_bytes), limit = INT64_MAX;
    for (int i = 0; i < process->shards_end; i++) {
        if (!process->running[i]) continue;
        int64_t bytes = (int64_t)process->node->shards[i]->config.maxmemory_bytes;
        if (bytes && bytes < limit) limit = bytes;
    }
    struct trace_place place = {.client = -1, .node = process->index, .shard = -1, .key = key};
    if (used <= limit)
        run_fail(process->run, ORACLE_MEMORY, &place,
                 "node %d evicts a key, but of %" PRId64 " bytes only %" PRId64 " are in use", process->index, limit,
                 used);
}

/* Below which all shards know that memory has to stay; INT64_MAX when one does not. */
int64_t process_memory_limit(const struct process *process)
{
    int64_t limit = 0;
    for (int i = 0; i < process->shards_end; i++) {
        if (!process->running[i]) continue;
        int64_t bytes = (int64_t)process->node->shards[i]->config.maxmemory_bytes;
        if (!bytes) return INT64_MAX;
        if (bytes > limit) limit = bytes;
    }
    return limit;
}

/* Twice per turn: since when is the limit what it is, and when was there room last? */
void process_look_at_memory(struct process *process)
{
    if (!process->memory_faults) return;
    int64_t limit = process_memory_limit(process);
    if (limit != process->memory_limit) process->limit_tick = ++process->run->tick;
    process->memory_limit = limit;
    note_room(process);
}

/* Commands are judged by what they answer; records tell what goes without one. */
static void host_record(void *context, const struct record *record)
{
    struct process *process = context;
    int64_t reason = RECORD_DELETED;
    if (process->run->plan.demands_room) note_keys(process, record);
    if (record->op == RECORD_KEY_DELETE && record->args[0].len == sizeof reason) {
        memcpy(&reason, record->args[0].ptr, sizeof reason);
        process->statistics->expired_keys += reason == RECORD_EXPIRED;
        process->statistics->evicted_keys += reason == RECORD_EVICTED;
        if (reason == RECORD_EVICTED) judge_eviction(process, record->key);
        if (reason == RECORD_EXPIRED || reason == RECORD_EVICTED)
            link_removed(process, db_of(process, record), record->key, NULL, reason == RECORD_EVICTED);
    } else if (record->op == RECORD_HASH_REMOVE && record->args[1].len == sizeof reason) {
        memcpy(&reason, record->args[1].ptr, sizeof reason);
        process->statistics->expired_fields += reason == RECORD_EXPIRED;
        if (reason == RECORD_EXPIRED)
            link_removed(process, db_of(process, record), record->key, &record->args[0], false);
    }
}

static bool host_mail_late(void *context, uint16_t from, uint16_t to, enum lane lane)
{
    struct process *process = context;
    struct run *run = process->run;
    if (!run->plan.process_rate[FAULT_MAIL_LATE] || run->healing ||
        ring_is_empty(process->node->rings[from][to][lane]) ||
        prng_below(&run->schedule, 30 / run->plan.process_rate[FAULT_MAIL_LATE] + 2) != 0)
        return false;
    run->result.process_fired[FAULT_MAIL_LATE]++;
    return true;
}

/* ---- life ---- */

static bool load_config(struct process *process, struct io *io, int shards)
{
    const struct plan *plan = &process->run->plan;
    char shards_text[16], memory_text[32], ints_text[16], entries_text[16];
    snprintf(ints_text, sizeof ints_text, "%d", plan->set_ints_max ? plan->set_ints_max : 512);
    snprintf(entries_text, sizeof entries_text, "%d", plan->list_entries_max ? plan->list_entries_max : -2);
    snprintf(shards_text, sizeof shards_text, "%d", shards);
    snprintf(memory_text, sizeof memory_text, "%" PRId64, plan->maxmemory);
    char *argv[] = {"weft-server",
                    "--port",
                    "6379",
                    "--bind",
                    "0.0.0.0",
                    "--protected-mode",
                    "no",
                    "--shards",
                    shards_text,
                    "--maxmemory",
                    memory_text,
                    "--maxmemory-policy",
                    (char *)plan->policy_name,
                    "--pipeline-order",
                    (char *)(plan->relaxed ? "relaxed" : "strict"),
                    "--set-max-intset-entries",
                    ints_text,
                    "--list-max-listpack-size",
                    entries_text,
                    "--enable-debug-command",
                    "yes"};
    struct config_arguments arguments;
    char fatal[CONFIG_FATAL_MAX];
    config_arguments_parse(&arguments, ARRAY_LEN(argv), argv);
    bool loaded = start_load_config(&process->config, io, &arguments, NULL, fatal);
    config_arguments_free(&arguments);
    if (!loaded) run_fail(process->run, ORACLE_LIVENESS, NULL, "the configuration is refused: %s", fatal);
    return loaded;
}

static int64_t draw_us(struct run *run, int64_t most)
{
    /* Log-uniform from 1 ms: short ones are as interesting as long ones. */
    int64_t length = most;
    while (length > 1000 && prng_below(&run->faults, 3) != 0) length /= 2;
    return 1 + (int64_t)prng_below(&run->faults, (uint64_t)length);
}

bool process_start(struct process *process, int shards)
{
    struct run *run = process->run;
    static const struct node_host hooks = {.io_create = host_io_create,
                                           .io_destroy = host_io_destroy,
                                           .actor_start = host_start,
                                           .actor_join = host_join,
                                           .log = host_log,
                                           .executed = host_executed,
                                           .record = host_record,
                                           .mail_late = host_mail_late};
    free(process->statistics);
    process->statistics = calloc(1, sizeof *process->statistics);
    CHECK(process->statistics);
    struct node_host host = hooks;
    host.context = process;
    int error = 0;
    char sentence[256] = "";
    struct io *first = io_create(process->world, &error);
    CHECK(first);
    if (!load_config(process, first, shards)) return false;
    process->node = start_node(&host, &process->config, first, run->plan.partition_limit);
    if (!process->node || start_serving(process->node, sentence, sizeof sentence) != 0) {
        if (process->node && run->plan.world_rate[IO_SIM_NET_LISTEN_ERROR] && strstr(sentence, "listen")) {
            process_crash(process);
            process->restart_at_us = run_now_us(run) + draw_us(run, 2000000);
            return false;
        }
        run_fail(run, ORACLE_LIVENESS, NULL, "node %d does not start: %s", process->index, sentence);
        return false;
    }
    process->node->io_name = "simulated";
    process->up = true;
    process->life++;
    memset(process->free_at_us, 0, sizeof process->free_at_us);
    process->paused_until_us = 0;
    process->failing = NULL;
    limits_begin(process);
    process->few_keys = true;
    process->empty_bytes = partition_bytes(process);
    process->memory_faults |= run->plan.maxmemory > 0;
    process->shards_end = shards;
    for (int i = 0; i < SHARDS_MAX; i++) {
        process->running[i] = i < shards;
        process->lying[i] = false;
        process->priority[i] = (uint32_t)prng_next(&run->schedule);
        process->slow_factor[i] = 1;
    }
    TRACE(run->trace, node, run_now_us(run) - run->start_us,
          process->life > 1 ? TRACE_NODE_RESTART : TRACE_NODE_START, process->index, shards, "");
    return true;
}

static void heal_allocation(struct process *process)
{
    if (process->failing) slab_inject_failure(&process->failing->slab, 0, false);
    process->failing = NULL;
}

/* As after a kill: nothing of the program runs any more. Its memory stays, as there is nobody who could take
 * its half-done work apart; a run is a process of its own. */
void process_crash(struct process *process)
{
    struct run *run = process->run;
    TRACE(run->trace, node, run_now_us(run) - run->start_us, TRACE_NODE_CRASH, process->index, 0, "killed");
    bool vanish = prng_below(&run->faults, 4) == 0, power = prng_below(&run->faults, 2);
    heal_allocation(process);
    io_sim_node_crash(process->world, power ? IO_SIM_POWER_LOSS : IO_SIM_KILL, vanish);
    for (int i = 0; i < SHARDS_MAX; i++)
        if (process->node->shards[i]) io_destroy(shard_io(process->node->shards[i]));
    process->up = false;
    process->stop_asked_us = 0;
    link_process_crashed(process);
}

void process_stop(struct process *process)
{
    process->stop_asked_us = run_now_us(process->run);
    process->stop_held = 0;
    node_stop(process->node, 0);
}

bool process_has_stopped(const struct process *process)
{
    for (int i = 0; i < SHARDS_MAX; i++)
        if (process->running[i]) return false;
    return true;
}

void process_end(struct process *process)
{
    struct run *run = process->run;
    struct io *first = shard_io(process->node->shards[0]);
    TRACE(run->trace, node, run_now_us(run) - run->start_us, TRACE_NODE_STOP, process->index, 0, "");
    heal_allocation(process);
    start_undo(process->node);
    io_destroy(first);
    config_free(&process->config);
    process->up = false;
    process->stop_asked_us = 0;
}

/* ---- faults ---- */

static struct process *any_process(struct run *run)
{
    return &run->processes[prng_below(&run->faults, (uint64_t)run->plan.nodes)];
}

static struct client *any_client(struct run *run)
{
    return &run->clients[prng_below(&run->faults, (uint64_t)run->client_count)];
}

static struct client *operator_of(struct run *run, const struct process *process)
{
    for (int i = 0; i < run->client_count; i++)
        if (run->clients[i].is_operator && run->clients[i].process == process) return &run->clients[i];
    return NULL;
}

static void fault_traced(struct run *run, enum process_fault fault, const struct process *process, int shard,
                         int client, int64_t duration_us)
{
    run->result.process_fired[fault]++;
    int64_t backlog_us = duration_us < MINUTE_US / 60 ? 0 : MINUTE_US / 60; /* what has queued meanwhile */
    if (run_now_us(run) + duration_us + backlog_us > run->hindered_until_us)
        run->hindered_until_us = run_now_us(run) + duration_us + backlog_us;
    io_sim_trace_note(run->world, (uint64_t)fault);
    TRACE(run->trace, fault, run_now_us(run) - run->start_us, process_fault_kinds[fault].name,
          process ? process->index : -1, shard, client, duration_us, "");
}

static bool tell_operator(struct run *run, enum process_fault fault, const struct process *process,
                          const char *line)
{
    struct client *client = operator_of(run, process);
    if (!client || !client_say(client, line)) return false;
    fault_traced(run, fault, process, -1, client->index, 0);
    return true;
}

static void make_allocation_fail(struct run *run, struct process *process)
{
    heal_allocation(process);
    process->failing = process->node->partitions[prng_below(&run->faults, PARTITION_COUNT)];
    process->memory_faults = true;
    bool forever = prng_below(&run->faults, 2);
    slab_inject_failure(&process->failing->slab, 1 + prng_below(&run->faults, 20), forever);
    process->failing_until_us = run_now_us(run) + draw_us(run, 5000000);
    fault_traced(run, FAULT_ALLOCATION, process, -1, -1, process->failing_until_us - run_now_us(run));
}

static void set_memory_edge(struct run *run, struct process *process)
{
    char line[64];
    int64_t used = atomic_load(&process->node->budget.used_bytes);
    int64_t data = partition_bytes(process) - process->empty_bytes; /* what can go */
    int64_t limit = used + (int64_t)prng_below(&run->faults, 200000) - 50000;
    uint64_t kind = prng_below(&run->faults, 5);
    if (kind == 4 && data > 0) limit = used - (int64_t)prng_below(&run->faults, (uint64_t)data);
    process->memory_faults = true;
    snprintf(line, sizeof line, "CONFIG SET maxmemory %" PRId64, kind < 2 ? 0 : limit);
    tell_operator(run, FAULT_MEMORY_EDGE, process, line);
}

static void set_config(struct run *run, struct process *process)
{
    static const char *const lines[] = {
        "CONFIG SET hz 1",
        "CONFIG SET hz 100",
        "CONFIG SET slowlog-log-slower-than 0",
        "CONFIG SET tcp-keepalive 100",
        "CONFIG SET tcp-keepalive 300",
        "CONFIG SET lazyfree-lazy-user-del yes",
        "CONFIG SET lazyfree-lazy-user-del no",
        "DEBUG SET-ACTIVE-EXPIRE 0",
        "DEBUG SET-ACTIVE-EXPIRE 0",
        "DEBUG SET-ACTIVE-EXPIRE 0",
        "DEBUG SET-ACTIVE-EXPIRE 1",
        "DEBUG SET-ACTIVE-EXPIRE 1",
        "MEMORY PURGE",
        "CONFIG SET latency-monitor-threshold 1",
    };
    tell_operator(run, FAULT_CONFIG, process, lines[prng_below(&run->faults, ARRAY_LEN(lines))]);
}

static void limit_clients(struct run *run, struct process *process)
{
    char line[128];
    const char *said = limits_draw(run, process, line, sizeof line);
    if (said) tell_operator(run, FAULT_CLIENT_LIMIT, process, said);
}

/* Others who have something to do with all shards just when their number changes: a configuration, and
 * clients who watch. A shard that stands still meanwhile finds all that in its mail at once. */
static void company(struct run *run, struct process *process)
{
    static const char *const names[] = {"slowlog-max-len", "latency-monitor-threshold", "slowlog-log-slower-than"};
    char line[64];
    int count = (int)prng_below(&run->faults, 4);
    bool watch = run->plan.workload.families & FAMILY_CONNECTION;
    if (prng_below(&run->faults, 2)) {
        int shards = atomic_load(&process->node->shard_count);
        int shard = prng_below(&run->faults, 2) ? 0 : (int)prng_below(&run->faults, (uint64_t)shards);
        int64_t until_us = run_now_us(run) + 1 + (int64_t)prng_below(&run->faults, 3000);
        process->starved_until_us[shard] = until_us;
        if (until_us > run->hindered_until_us) run->hindered_until_us = until_us;
    }
    for (int i = 0; i < count; i++) {
        struct client *client = any_client(run);
        const char *name = names[prng_below(&run->faults, ARRAY_LEN(names))];
        snprintf(line, sizeof line, "CONFIG SET %s %d", name, 1000 + (int)prng_below(&run->faults, 1000));
        if (client->process != process || client->is_operator || client->is_cut || client->finished ||
            client->is_watching || !client->conn)
            continue;
        if (watch && i) {
            client->is_watching = client_say(client, "MONITOR");
        } else if (run->plan.workload.families & FAMILY_NODE) {
            client_say(client, line);
        }
    }
}

static void fire(struct run *run, enum process_fault fault)
{
    struct process *process = any_process(run);
    int64_t now = run_now_us(run);
    if (!process->up || process->stop_asked_us) return;
    int shard = (int)prng_below(&run->faults, atomic_load(&process->node->shard_count));
    char line[IO_ADDRESS_MAX + 32];
    switch (fault) {
    case FAULT_CRASH:
        fault_traced(run, fault, process, -1, -1, 0);
        process_crash(process);
        process->restart_at_us = now + draw_us(run, 5000000);
        process->next_shards = 1 + (int)prng_below(&run->faults, PLAN_SHARDS_MAX);
        break;
    case FAULT_PAUSE:
    case FAULT_PAUSE_LONG: {
        int64_t length = draw_us(run, fault == FAULT_PAUSE ? 2000000 : 2 * MINUTE_US);
        process->paused_until_us = now + length;
        fault_traced(run, fault, process, -1, -1, length);
        break;
    }
    case FAULT_SLOW_CORE:
        process->slow_factor[shard] = 2 << prng_below(&run->faults, 10);
        process->slow_until_us[shard] = now + draw_us(run, 3000000);
        fault_traced(run, fault, process, shard, -1, process->slow_until_us[shard] - now);
        break;
    case FAULT_STARVE:
        if (run->plan.workload.families & FAMILY_NODE && prng_below(&run->faults, 2)) {
            ambush_lay(run, prng_below(&run->faults, 2) ? AMBUSH_HOLD : AMBUSH_GATHER);
            break;
        }
        process->starved_until_us[shard] = now + draw_us(run, 1000000);
        fault_traced(run, fault, process, shard, -1, process->starved_until_us[shard] - now);
        break;
    case FAULT_CLOCK_STEP: {
        int64_t step = draw_us(run, 20000000);
        if (prng_below(&run->faults, 2)) step = -step;
        io_sim_clock_step(process->world, step);
        fault_traced(run, fault, process, -1, -1, 0);
        break;
    }
    case FAULT_RESHARD: {
        int changes = run->plan.rally_us ? 1 + (int)prng_below(&run->faults, 4) : 1;
        for (int i = 0; i < changes; i++) {
            snprintf(line, sizeof line, "CONFIG SET shards %d",
                     1 + (int)prng_below(&run->faults, run->plan.is_crowd ? 3 : PLAN_SHARDS_MAX));
            tell_operator(run, fault, process, line);
        }
        company(run, process);
        if (prng_below(&run->faults, 2)) ambush_lay(run, AMBUSH_LEAVE);
        break;
    }
    case FAULT_STOP:
        if (run->plan.process_rate[FAULT_RESHARD] && prng_below(&run->faults, 2)) {
            ambush_lay(run, AMBUSH_STOP);
            break;
        }
        fault_traced(run, fault, process, -1, -1, 0);
        process->next_shards = 1 + (int)prng_below(&run->faults, PLAN_SHARDS_MAX);
        process->restart_at_us = now + draw_us(run, 5000000);
        process_stop(process);
        break;
    case FAULT_ALLOCATION: make_allocation_fail(run, process); break;
    case FAULT_MEMORY_EDGE:
        set_memory_edge(run, process);
        if (run->plan.process_rate[FAULT_CLIENT_CUT] && prng_below(&run->faults, 3) == 0)
            ambush_lay(run, AMBUSH_LARGE);
        break;
    case FAULT_CONFIG: set_config(run, process); break;
    case FAULT_CLIENT_LIMIT: limit_clients(run, process); break;
    case FAULT_CLIENT_PAUSE: {
        int most_ms = prng_below(&run->faults, 2) ? 1000 : 5000;
        snprintf(line, sizeof line, "CLIENT PAUSE %d ", (int)prng_below(&run->faults, (uint64_t)most_ms));
        strcat(line, prng_below(&run->faults, 3) == 0 ? "ALL" : "WRITE");
        if (!tell_operator(run, fault, process, line)) break;
        int64_t since_us = run->hindered_until_us > now ? run->hindered_until_us : now;
        run->hindered_until_us = since_us + most_ms * 1000 + 1000000;
        break;
    }
    case FAULT_CLIENT_KILL: {
        struct client *victim = any_client(run);
        if (run->plan.process_rate[FAULT_RESHARD] && prng_below(&run->faults, 2)) {
            ambush_lay(run, AMBUSH_KILL);
            break;
        }
        if (victim->process != process || !victim->link || victim->state != CLIENT_OPEN ||
            victim->is_operator)
            break;
        snprintf(line, sizeof line, "CLIENT KILL %s", victim->link->address);
        if (tell_operator(run, fault, process, line)) victim->is_cut = true;
        break;
    }
    case FAULT_CLIENT_CUT:
    case FAULT_CLIENT_HOSTILE:
    case FAULT_CLIENT_SLOW:
    case FAULT_CLIENT_FLOOD: {
        struct client *client = any_client(run);
        bool may_hold = run->plan.workload.families & FAMILY_NODE || run->plan.relaxed;
        if (fault == FAULT_CLIENT_CUT && may_hold && prng_below(&run->faults, 2)) {
            ambush_lay(run, AMBUSH_CUT);
            break;
        }
        if (client->state != CLIENT_OPEN || !client->conn || client->is_operator || client->is_cut) break;
        if (client->unit_at && (fault == FAULT_CLIENT_FLOOD || fault == FAULT_CLIENT_HOSTILE)) break;
        int64_t slow_us = 0;
        if (fault == FAULT_CLIENT_SLOW) slow_us = draw_us(run, 3000000);
        if (fault == FAULT_CLIENT_FLOOD) slow_us = draw_us(run, 8000000);
        fault_traced(run, fault, NULL, -1, client->index, slow_us);
        if (fault == FAULT_CLIENT_CUT) client_cut(client);
        if (fault == FAULT_CLIENT_HOSTILE) client_hostile(client);
        if (fault == FAULT_CLIENT_FLOOD) {
            bool query = prng_below(&run->faults, 4) == 0;
            client_flood(client, query, now + slow_us);
        }
        if (fault == FAULT_CLIENT_SLOW) {
            client->slow_until_us = now + slow_us;
            io_wake(client->io); /* it looks at that time */
            io_recv_pause(client->conn);
            client->link->was_slow = true;
        }
        break;
    }
    case FAULT_MAIL_LATE: /* drawn when a ring is looked at */
    case PROCESS_FAULTS: break;
    }
}

/* Who is done, and only waits for the others, may sleep until they are. */
static void hold_stopped(struct process *process)
{
    struct run *run = process->run;
    for (int i = 0; i < process->shards_end; i++) {
        if (!process->running[i] || !process->node->shards[i]->stopped || process->stop_held >> i & 1) continue;
        process->stop_held |= UINT64_C(1) << i;
        if (prng_below(&run->faults, 2)) process->starved_until_us[i] = run_now_us(run) + draw_us(run, 40000);
    }
}

/* An orderly stop that was asked for in the middle of the run. */
static void follow_stop(struct process *process)
{
    struct run *run = process->run;
    if (run->stopping) return;
    if (run->plan.process_rate[FAULT_RESHARD]) hold_stopped(process);
    if (process_has_stopped(process)) {
        process_end(process);
        link_process_crashed(process); /* nothing is durable yet */
        return;
    }
    int64_t since = process->stop_asked_us;
    if (process->paused_until_us > since) since = process->paused_until_us;
    if (run->hindered_until_us > since) since = run->hindered_until_us;
    if (run_now_us(run) > since + STOP_US)
        run_fail(run, ORACLE_LIVENESS, NULL, "node %d does not stop within %d s", process->index,
                 (int)(STOP_US / 1000000));
}

/* When the clients come together, or, if there are to be more than one of its kind at such a time, soon after
 * this one. */
static int64_t together(struct run *run, int64_t now_us, int64_t next_us, uint32_t rate)
{
    int64_t rally = run->plan.rally_us, since = (now_us - run->start_us) % rally;
    uint64_t most = UINT64_C(10) << prng_below(&run->faults, 10);
    if (since < rally / 2 && since < 30000 && MINUTE_US / rate < rally && prng_below(&run->faults, 5))
        return now_us + (int64_t)prng_below(&run->faults, most);
    return run_rally_us(run, next_us, &run->faults);
}

void process_faults(struct run *run)
{
    int64_t now = run_now_us(run);
    for (int i = 0; i < run->plan.nodes; i++) {
        struct process *process = &run->processes[i];
        if (process->stop_asked_us) follow_stop(process);
        if (!process->up && process->restart_at_us <= now) process_start(process, process->next_shards);
        if (process->failing && process->failing_until_us <= now) heal_allocation(process);
        if (run->plan.process_rate[FAULT_CLIENT_LIMIT]) limits_look(process);
    }
    if (run->healing || run->night) return;
    for (enum ambush ambush = 0; ambush < AMBUSHES; ambush++)
        if (run->ambush_until_us[ambush] > now) ambush_strike(run, ambush);
    ambush_rush(run);
    for (int fault = 0; fault < PROCESS_FAULTS; fault++) {
        uint32_t rate = run->plan.process_rate[fault];
        if (!rate || fault == FAULT_MAIL_LATE) continue;
        if (!run->next_fault_us[fault]) run->next_fault_us[fault] = now + MINUTE_US / (2 * rate);
        if (now < run->next_fault_us[fault]) continue;
        int64_t next = now + (int64_t)prng_below(&run->faults, (uint64_t)(2 * MINUTE_US / rate));
        if (run->plan.rally_us) next = together(run, now, next, rate);
        run->next_fault_us[fault] = next;
        fire(run, (enum process_fault)fault);
    }
}

void process_faults_end(struct run *run)
{
    io_sim_faults_freeze(run->world);
    for (int i = 0; i < run->plan.nodes; i++) {
        struct process *process = &run->processes[i];
        process->paused_until_us = 0;
        process->restart_at_us = 0;
        heal_allocation(process);
        for (int s = 0; s < SHARDS_MAX; s++) {
            process->starved_until_us[s] = 0;
            process->slow_factor[s] = 1;
        }
    }
    for (int i = 0; i < run->client_count; i++)
        if (run->clients[i].slow_until_us) run->clients[i].slow_until_us = 1;
}

/* ---- looking at it ---- */

int process_shards(const struct process *process)
{
    return atomic_load(&process->node->shard_count);
}

bool process_reshards(const struct process *process)
{
    return process->up && atomic_load(&process->node->resharding);
}

static bool mail_waits(const struct node *node, int from, int to)
{
    for (int lane = 0; lane < LANE_COUNT; lane++) {
        struct ring *ring = node->rings[from][to][lane];
        if (ring && !ring_is_empty(ring)) return true;
    }
    return false;
}

bool process_has_mail(const struct process *process, int shard)
{
    const struct shard *s = process->node->shards[shard];
    if (s->parked || s->lend_queue) return true;
    for (int from = 0; from < s->actors; from++)
        if (from != shard && mail_waits(process->node, from, shard)) return true;
    return false;
}

static void check_pair(struct process *process, int from, int to)
{
    const struct shard *shard = process->node->shards[to];
    if (!process->running[to] || !process->lying[to] || from >= shard->actors ||
        !mail_waits(process->node, from, to) || io_sim_ready(shard->io))
        return;
    run_fail(process->run, ORACLE_LIVENESS, NULL,
             "node %d: shard %d sleeps and nobody wakes it, while mail from shard %d waits", process->index,
             to, from);
}

/* After a turn of `shard`, which has perhaps got mail and has perhaps sent some. */
void process_check_mail(struct process *process, int shard)
{
    const struct node *node = process->node;
    for (int other = 0; other < SHARDS_MAX && (node->shards[other] || process->running[other]); other++) {
        if (other == shard) continue;
        check_pair(process, other, shard);
        check_pair(process, shard, other);
    }
}

/* What is accounted is at least what the partitions take. */
void process_check_memory(struct process *process)
{
    int64_t sum = partition_bytes(process);
    int64_t used = atomic_load(&process->node->budget.used_bytes);
    if (used < sum)
        run_fail(process->run, ORACLE_MEMORY, NULL,
                 "node %d: partitions take %" PRId64 " bytes, but only %" PRId64 " are accounted",
                 process->index, sum, used);
}

/* Each partition counts for the shard that owns it, one that is lent as it was then, or less. */
void process_check_counted(struct process *process, int shard)
{
    const struct shard *s = process->node->shards[shard];
    int64_t sum = 0;
    for (int p = 0; p < PARTITION_COUNT; p++) {
        int64_t bytes = (int64_t)partition_memory(process->node->partitions[p]);
        if (s->state[p] == PARTITION_HOME) sum += bytes;
        if (s->state[p] == PARTITION_LENT)
            sum += bytes < (int64_t)s->partition_bytes[p] ? bytes : (int64_t)s->partition_bytes[p];
    }
    if (s->leased_bytes < sum)
        run_fail(process->run, ORACLE_MEMORY, NULL,
                 "node %d: the partitions of shard %d take %" PRId64 " bytes, but only %" PRId64 " are accounted",
                 process->index, shard, sum, s->leased_bytes);
}

void process_check_counts(struct process *process)
{
    for (uint8_t db = 0; db < 16; db++) {
        uint64_t keys = 0, timed = 0, least, most, timed_wanted;
        for (int i = 0; i < PARTITION_COUNT; i++) {
            keys += partition_keys(process->node->partitions[i], db);
            timed += partition_expires(process->node->partitions[i], db);
        }
        link_model_counts(process, db, &least, &most, &timed_wanted);
        if (keys < least || keys > most || (least == most && timed != timed_wanted))
            run_fail(process->run, ORACLE_TTL, NULL,
                     "node %d, database %d: %" PRIu64 " keys, %" PRIu64 " with a deadline; wanted %" PRIu64
                     " to %" PRIu64 " and %" PRIu64 ", %d s after the last command",
                     process->index, db, keys, timed, least, most, timed_wanted, 5);
    }
}

/* Each shard has a copy of the configuration; whoever sets what, they come to the same. */
void process_check_config(struct process *process)
{
    static const struct slice all = SLICE("*");
    struct config_matches first, other;
    config_get(&process->node->shards[0]->config, &all, 1, &first);
    for (int s = 1; s < SHARDS_MAX; s++) {
        if (!process->running[s] || !process->node->shards[s]) continue;
        config_get(&process->node->shards[s]->config, &all, 1, &other);
        for (size_t i = 0; i < first.count && first.count == other.count; i++)
            if (strcmp(first.items[i].value.ptr, other.items[i].value.ptr) != 0)
                run_fail(process->run, ORACLE_CONFIG, NULL,
                         "node %d: shard 0 has the directive %s at '%s', shard %d at '%s'", process->index,
                         first.items[i].name.ptr, first.items[i].value.ptr, s, other.items[i].value.ptr);
        config_matches_free(&other);
    }
    config_matches_free(&first);
}

void process_check_empty(struct process *process, const char *after)
{
    int64_t sum = partition_bytes(process);
    for (int i = 0; i < PARTITION_COUNT; i++) /* a wheel stays where it was once needed, until FLUSHALL */
        if (process->node->partitions[i]->wheel.slots)
            sum -= (int64_t)slab_rounded(WHEEL_SLOTS * sizeof(slab_handle));
    if (sum > process->empty_bytes)
        run_fail(process->run, ORACLE_MEMORY, NULL,
                 "node %d: %" PRId64 " bytes are accounted for partitions after %s, %" PRId64 " at start",
                 process->index, sum, after, process->empty_bytes);
}
