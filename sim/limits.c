/* Limits of clients: see limits.h. */
#include "sim/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sim/run.h"

#include "session/session.h"
#include "shard/internal.h"

#define LOOK_US   50000
#define SECOND_US INT64_C(1000000)
#define RECENT_US                                                                                            \
    (30 * SECOND_US) /* a limit that was lifted may still have closed what is seen to end now                \
                      */
#define WINDOW_US   (10 * SECOND_US) /* between a refusal and its arrival, at most */
#define LATE_US     SECOND_US        /* cron looks ten times a second */
#define LATE_CRONS  4
#define NETWORK_MAX (160 * 1024) /* bytes of one direction that are on their way */
#define QUERY_SLACK 300000       /* what may come in one piece behind what is kept */

#define MAXCLIENTS_DEFAULT 10000
#define QUERY_DEFAULT      1073741824

static bool clock_is_true(const struct plan *plan)
{
    if (plan->process_rate[FAULT_CLOCK_STEP]) return false;
    for (int i = 0; i < IO_SIM_FAULT_COUNT; i++)
        if (plan->world_rate[i] && io_sim_fault_row((enum io_sim_fault)i)->group == IO_SIM_CLOCK)
            return false;
    return true;
}

/* Does shard 0 learn of ends and moves within seconds? */
static bool counts_are_fresh(const struct plan *plan)
{
    static const enum process_fault late[] = {FAULT_PAUSE, FAULT_PAUSE_LONG, FAULT_SLOW_CORE, FAULT_STARVE,
                                              FAULT_RESHARD};
    for (size_t i = 0; i < ARRAY_LEN(late); i++)
        if (plan->process_rate[late[i]]) return false;
    return true;
}

void limits_begin(struct process *process)
{
    process->limits = (struct limits){.maxclients = MAXCLIENTS_DEFAULT, .began_us = run_now_us(process->run)};
    for (int i = 0; i < LIMITS; i++) process->limits.least[i] = INT64_MAX;
}

/* ---- looking ---- */

static int64_t limit_of(const struct config *config, enum limit limit)
{
    const struct config_output_limit *output = &config->output_limit[CONFIG_CLIENT_NORMAL];
    switch (limit) {
    case LIMIT_CLIENTS: return config->maxclients == MAXCLIENTS_DEFAULT ? 0 : (int64_t)config->maxclients;
    case LIMIT_OUTPUT:
        if (!output->soft_bytes || !output->hard_bytes)
            return (int64_t)(output->soft_bytes + output->hard_bytes);
        return (int64_t)(output->soft_bytes < output->hard_bytes ? output->soft_bytes : output->hard_bytes);
    case LIMIT_QUERY:
        return config->client_query_buffer_limit_bytes == QUERY_DEFAULT
                   ? 0
                   : (int64_t)config->client_query_buffer_limit_bytes;
    case LIMIT_IDLE: return config->timeout_s;
    default: return 0;
    }
}

static void look_at_configs(struct process *process, int64_t now)
{
    struct limits *limits = &process->limits;
    if (!process->up) return;
    for (enum limit limit = 0; limit < LIMITS; limit++) {
        bool all = true;
        for (int s = 0; s < SHARDS_MAX; s++) {
            if (!process->running[s] || !process->node->shards[s]) continue;
            int64_t value = limit_of(&process->node->shards[s]->config, limit);
            if (value) limits->seen_us[limit] = now;
            if (value && value < limits->least[limit]) limits->least[limit] = value;
            all &= value != 0;
        }
        if (!all)
            limits->since_us[limit] = 0;
        else if (!limits->since_us[limit])
            limits->since_us[limit] = now;
    }
    const struct shard *first = process->node->shards[0];
    if ((int64_t)first->config.maxclients != limits->maxclients) {
        limits->maxclients = (int64_t)first->config.maxclients;
        limits->maxclients_id = first->next_client_id;
    }
}

static void complain(struct process *process, const struct session *s, const char *what, int64_t limit)
{
    struct trace_place place = {.client = -1, .node = process->index, .shard = s->shard->index};
    run_fail(process->run, ORACLE_LIMITS, &place,
             "node %d: client %" PRIu64 " (%s) %s %" PRId64 "; it has %" PRIu64
             " bytes of output and was last heard %.1f s ago",
             process->index, s->id, s->address, what, limit, session_output_bytes(s),
             (double)(s->shard->now_us - s->last_active_us) / 1e6);
}

/* Is it beyond for so many runs of cron? */
static bool persists(bool is_beyond, uint32_t *first, uint32_t crons)
{
    if (!is_beyond)
        *first = 0;
    else if (!*first)
        *first = crons;
    return is_beyond && crons - *first >= LATE_CRONS;
}

static void look_at_session(struct process *process, const struct session *s)
{
    const struct shard *shard = s->shard;
    const struct config *config = &shard->config;
    const struct config_output_limit *output = &config->output_limit[CONFIG_CLIENT_NORMAL];
    struct limit_session *known = &process->limits.sessions[s->id % LIMIT_SESSIONS];
    if (known->id != s->id || known->shard != shard->index)
        *known = (struct limit_session){.id = s->id, .shard = shard->index};
    uint32_t crons = shard->crons;
    uint64_t bytes = session_output_bytes(s);
    bytes = bytes > REPLY_POOL_BYTES ? bytes - REPLY_POOL_BYTES : 0;
    bool is_true = clock_is_true(&process->run->plan);
    if (persists(output->hard_bytes && bytes > output->hard_bytes, &known->hard_cron, crons))
        complain(process, s, "is kept beyond the hard output limit of", (int64_t)output->hard_bytes);
    bool is_soft = output->soft_bytes && bytes > output->soft_bytes;
    bool soft_long =
        s->over_soft_limit_since_us == 0 ||
        (is_true && shard->now_us - s->over_soft_limit_since_us > output->soft_s * SECOND_US + LATE_US);
    if (persists(is_soft && soft_long, &known->soft_cron, crons))
        complain(process, s, "is kept beyond the soft output limit of", (int64_t)output->soft_bytes);
    bool is_idle = config->timeout_s && !s->block && !s->inflight && !(s->flags & SESSION_READY) &&
                   !(s->flags & SESSION_MONITOR) && is_true &&
                   shard->now_us - s->last_active_us > config->timeout_s * SECOND_US + LATE_US;
    if (persists(is_idle, &known->idle_cron, crons))
        complain(process, s, "is kept though it is idle for longer than", config->timeout_s);
}

void limits_look(struct process *process)
{
    struct limits *limits = &process->limits;
    int64_t now = run_now_us(process->run);
    if (!process->up || now < limits->next_look_us || process->run->result.finding.found) return;
    limits->next_look_us = now + LOOK_US;
    look_at_configs(process, now);
    uint32_t all = 0, live = 0;
    const struct session *newest = NULL;
    for (int i = 0; i < SHARDS_MAX; i++) {
        const struct shard *shard = process->node->shards[i];
        if (!process->running[i] || !shard) continue;
        for (const struct session *s = shard->sessions; s; s = s->all_next) {
            all++;
            if (s->flags & (SESSION_CLOSING | SESSION_CLOSED)) continue;
            live++;
            if (!newest || s->id > newest->id) newest = s;
            if (!s->detaching) look_at_session(process, s);
        }
    }
    int second = (int)(now / SECOND_US % LIMIT_SECONDS);
    if (limits->most_at[second] != now / SECOND_US) limits->most[second] = 0;
    limits->most_at[second] = now / SECOND_US;
    if (all > limits->most[second]) limits->most[second] = all;
    /* Who is there now and came before the newest, was there when that one came. */
    if (newest && newest->id > limits->maxclients_id && live > limits->maxclients)
        complain(process, newest, "was let in beyond maxclients", limits->maxclients);
}

/* ---- what clients see ---- */

static bool is_recent(const struct process *process, enum limit limit)
{
    int64_t seen = process->limits.seen_us[limit];
    return seen && run_now_us(process->run) - seen < RECENT_US;
}

void limits_refused(struct run *run, struct link *link)
{
    struct process *process = link->process;
    struct trace_place place = {.client = link->client, .node = process->index, .shard = -1};
    link->refused = true;
    if (link->life != process->life || !process->up) return;
    if (link->last_heard_us < process->limits.began_us) return; /* it came to the process before this one */
    process->limits.next_look_us = 0;
    limits_look(process); /* somebody, or CONFIG SET, may just have come, to this shard or that */
    if (!is_recent(process, LIMIT_CLIENTS)) {
        run_fail(run, ORACLE_LIMITS, &place, "client %d was refused, but maxclients is at its default",
                 link->client);
        return;
    }
    if (!counts_are_fresh(&run->plan)) return;
    uint32_t most = 0;
    for (int i = 0; i < LIMIT_SECONDS; i++)
        if (process->limits.most_at[i] * SECOND_US > run_now_us(run) - WINDOW_US &&
            process->limits.most[i] > most)
            most = process->limits.most[i];
    if (most < process->limits.least[LIMIT_CLIENTS])
        run_fail(run, ORACLE_LIMITS, &place, "client %d was refused, but only %u of %" PRId64 " were there",
                 link->client, most, process->limits.least[LIMIT_CLIENTS]);
}

static uint64_t digits(uint64_t n)
{
    return n < 10 ? 1 : 1 + digits(n / 10);
}

/* As sent: of many short arguments most is overhead. What is never answered (CLIENT REPLY OFF) counts until
 * it has run. */
static uint64_t unanswered_bytes(const struct link *link)
{
    uint64_t sum = 0;
    for (size_t i = link->answered_end; i < link->count; i++) {
        const struct op *op = link->ops[i];
        if (i < link->next_answer && op->executed) continue;
        sum += digits((uint64_t)op->argc) + 3;
        for (int a = 0; a < op->argc; a++) sum += digits(op->argv[a].len) + 5 + op->argv[a].len;
    }
    return sum;
}

/* Commands that came long ago and have not run yet: the client is anything but idle. */
static bool is_owed(const struct link *link, int64_t now_us)
{
    for (size_t i = link->next_answer; i < link->count; i++)
        if (!link->ops[i]->executed && link->ops[i]->sent_us < now_us - SECOND_US) return true;
    return false;
}

bool limits_may_close(const struct client *client)
{
    const struct link *link = client->link;
    struct process *process = client->process;
    const struct limits *limits = &process->limits;
    look_at_configs(process, run_now_us(client->run));
    int64_t held = (int64_t)link->written_bytes - (int64_t)link->received_bytes +
                   300 * (int64_t)link_outstanding(link) + NETWORK_MAX;
    /* The refusal, or a part of it, is lost when the server closes before it has read what the client has
     * sent. */
    if (is_recent(process, LIMIT_CLIENTS) && !link->session_id && !link->next_answer) return true;
    if (is_recent(process, LIMIT_OUTPUT) && (link->has_monitored || held > limits->least[LIMIT_OUTPUT]))
        return true;
    if (is_recent(process, LIMIT_QUERY) &&
        (int64_t)unanswered_bytes(link) > limits->least[LIMIT_QUERY] - 1000)
        return true;
    int64_t idle_us = run_now_us(client->run) - link->last_heard_us;
    /* What is answered counts as a sign of life, when the answer can go. */
    if (!link->was_slow && held < 2 * NETWORK_MAX && link->last_executed_us > link->last_heard_us &&
        !client->run->plan.world_rate[IO_SIM_NET_SLOW_READER])
        idle_us = run_now_us(client->run) - link->last_executed_us;
    if (!is_recent(process, LIMIT_IDLE)) return false;
    if (!clock_is_true(&client->run->plan)) return true;
    if (!link->was_slow && !client->run->plan.world_rate[IO_SIM_NET_SLOW_READER] &&
        is_owed(link, run_now_us(client->run)))
        return false;
    return idle_us >= limits->least[LIMIT_IDLE] * SECOND_US;
}

void limits_executed(struct process *process, const struct link *link, const struct op *op,
                     const struct execution *execution)
{
    const struct limits *limits = &process->limits;
    int64_t since = limits->since_us[LIMIT_QUERY], bytes = 0;
    if (!since || since > op->sent_us) return;
    for (int i = 0; i < execution->argc; i++) bytes += (int64_t)execution->argv[i].len;
    if (bytes <= limits->least[LIMIT_QUERY] + QUERY_SLACK) return;
    look_at_configs(process, run_now_us(process->run)); /* it may have been lifted since */
    if (limits->since_us[LIMIT_QUERY] != since) return;
    struct trace_place place = {
        .client = link->client, .node = process->index, .shard = -1, .op = op->number};
    run_fail(process->run, ORACLE_LIMITS, &place,
             "a command of %" PRId64 " bytes of client %d has run, beyond the query buffer limit of %" PRId64,
             bytes, link->client, limits->least[LIMIT_QUERY]);
}

/* ---- changing them ---- */

static const char *const lifted[LIMITS] = {
    "CONFIG SET maxclients 10000", "CONFIG SET client-output-buffer-limit normal~0~0~0",
    "CONFIG SET client-query-buffer-limit 1073741824", "CONFIG SET timeout 0"};

const char *limits_draw(struct run *run, struct process *process, char *line, int size)
{
    struct prng *prng = &run->faults;
    enum limit limit = (enum limit)prng_below(prng, LIMITS);
    if (process->limits.since_us[limit]) return lifted[limit];
    uint64_t clients = (uint64_t)run->plan.clients;
    uint64_t missing = prng_below(prng, clients < 3 ? clients : 3), hard = 20000 + prng_below(prng, 300000);
    uint64_t soft = hard / (1 + prng_below(prng, 4)), which = prng_below(prng, 4),
             seconds = 1 + prng_below(prng, 3);
    switch (limit) {
    case LIMIT_CLIENTS:
        snprintf(line, (size_t)size, "CONFIG SET maxclients %" PRIu64, clients + 1 - missing);
        break;
    case LIMIT_OUTPUT:
        snprintf(line, (size_t)size,
                 "CONFIG SET client-output-buffer-limit normal~%" PRIu64 "~%" PRIu64 "~%" PRIu64,
                 which == 0 ? 0 : hard, which == 1 ? 0 : soft, seconds);
        break;
    case LIMIT_QUERY: snprintf(line, (size_t)size, "CONFIG SET client-query-buffer-limit 1048576"); break;
    case LIMIT_IDLE: snprintf(line, (size_t)size, "CONFIG SET timeout %" PRIu64, seconds); break;
    default: return NULL;
    }
    return line;
}

static bool is_limited(const struct process *process)
{
    for (int s = 0; s < SHARDS_MAX; s++)
        for (enum limit limit = 0; limit < LIMITS && process->running[s] && process->node->shards[s]; limit++)
            if (limit_of(&process->node->shards[s]->config, limit)) return true;
    return false;
}

bool limits_lift(struct run *run)
{
    bool all = true;
    for (int p = 0; p < run->plan.nodes; p++) {
        struct process *process = &run->processes[p];
        if (!process->up || !is_limited(process)) continue;
        all = false;
        /* The operator may be the one who is not let in. */
        for (int i = 0; i < run->client_count; i++) {
            struct client *client = &run->clients[i];
            if (client->process != process || client->state != CLIENT_OPEN || client->is_cut ||
                client->finished)
                continue;
            bool said = true;
            for (int limit = 0; limit < LIMITS; limit++) said &= client_say(client, lifted[limit]);
            if (said) break;
        }
    }
    return all;
}
