/* The shard actor's life and its turn. */
#include "shard/internal.h"

#include "base/mark.h"
#include "base/mutant.h"
#include <stdio.h>

#include <stdlib.h>

#define CRON_US        100000
#define CRON_IDLE_US   1000000 /* when nothing has happened for CRON_IDLE runs: all rates show 0 by then */
#define CRON_IDLE      STATS_RATE_SAMPLES
#define SLICE_US       200 /* of background work per turn: one command may meet it on three shards */
#define DAY_MS         INT64_C(86400000)
#define EXPIRE_LOOK_US 1000
#define MEMORY_LOOK_US 1000 /* between two looks whether other shards have made room */

/* ---- life ---- */

static int64_t fixed_bytes(const struct shard *shard)
{
    return (int64_t)(sizeof *shard + COMMAND_COUNT_MAX * sizeof *shard->command_stats +
                     (size_t)shard->config.databases * PARTITION_COUNT * sizeof *shard->keys_when_lent);
}

struct shard *shard_create(struct node *node, uint16_t index, struct io *io, const struct config *config)
{
    struct shard *shard = calloc(1, sizeof *shard);
    if (!shard) return NULL;
    shard->command_stats = command_stats_create();
    shard->keys_when_lent =
        calloc((size_t)config->databases * PARTITION_COUNT, sizeof *shard->keys_when_lent);
    if (!shard->command_stats || !shard->keys_when_lent) {
        command_stats_destroy(shard->command_stats);
        free(shard->keys_when_lent);
        free(shard);
        return NULL;
    }
    shard->node = node;
    shard->index = index;
    shard->io = io;
    shard->shard_count = shard->actors = atomic_load(&node->shard_count);
    config_copy(&shard->config, config);
    uint64_t seed = node->random_seed ^ (index * 0x9e3779b97f4a7c15ULL);
    prng_seed(&shard->prng, seed);
    shard->env = (struct store_env){.hash_seed = node->hash_seed,
                                    .record_sink = node->host.record,
                                    .record_sink_context = node->host.context,
                                    .record_unit_end = node->host.record_unit_end,
                                    .config = &shard->config,
                                    .prng = &shard->prng,
                                    .expiry_ms = shard->expiry_ms,
                                    .next_expiry_ms = INT64_MAX};
    shard->lend_queue_end = &shard->lend_queue;
    shard->parked_end = &shard->parked;
    for (int i = 0; i < SHARDS_MAX; i++) {
        shard->credits[i] = DATA_SLOTS;
        reply_init(&shard->feed[i], 2);
    }
    for (int p = 0; p < PARTITION_COUNT; p++) {
        shard->owner[p] = (uint8_t)node_owner((uint16_t)p, shard->shard_count);
        shard->expiry_ms[p] = INT64_MAX;
    }
    shard->ctx = (struct command_context){
        .env = &shard->env, .config = &shard->config, .partitions = node->partitions, .shard = shard};
    node_count_memory(node, fixed_bytes(shard));
    atomic_fetch_add(&node->budget.evicting, 1);
    atomic_store_explicit(&node->budget.evicts_nothing[index], false, memory_order_relaxed);
    return shard;
}

void shard_destroy(struct shard *shard)
{
    if (!shard) return;
    CHECK(!shard->sessions && !shard->parked && !shard->lend_queue);
    node_count_memory(shard->node, -fixed_bytes(shard));
    atomic_fetch_sub(&shard->node->budget.used_bytes, shard->leased_bytes);
    atomic_fetch_sub(&shard->node->budget.freeing, shard->told_freeing);
    atomic_fetch_sub(&shard->node->budget.evicting, !shard->told_spent);
    while (shard->batch_pool) {
        struct batch *next = shard->batch_pool->next;
        batch_free(shard->batch_pool);
        shard->batch_pool = next;
    }
    for (uint32_t i = 0; i < shard->reply_pool_count; i++) free(shard->reply_pool[i]);
    resp_args_free(&shard->args);
    slowlog_clear(&shard->slowlog);
    monitor_free(shard);
    config_free(&shard->config);
    command_stats_destroy(shard->command_stats);
    free(shard->keys_when_lent);
    free(shard);
}

struct io *shard_io(const struct shard *shard)
{
    return shard->io;
}
uint16_t shard_index(const struct shard *shard)
{
    return shard->index;
}
struct node *shard_node(const struct shard *shard)
{
    return shard->node;
}

int64_t shard_now_us(const struct shard *shard)
{
    return shard->now_us;
}
struct slowlog *shard_slowlog(struct shard *shard)
{
    return &shard->slowlog;
}
struct latency_series *shard_latency(struct shard *shard)
{
    return shard->latency;
}

void shard_take_partitions(struct shard *shard)
{
    for (int p = 0; p < PARTITION_COUNT; p++) {
        /* One that stays may be lent already, to a shard that was told earlier. */
        if (shard->state[p] != PARTITION_ELSEWHERE && !MUTANT(reshard_takes_lent)) continue;
        shard->expiry_ms[p] = INT64_MAX;
        if (shard->owner[p] != shard->index) continue;
        shard->state[p] = PARTITION_HOME;
        struct partition *partition = shard->node->partitions[p];
        partition_hold(partition, &shard->env);
        shard->expiry_ms[p] = partition_next_expiry_ms(partition);
        if (partition->pending) shard->env.pending = true;
    }
    if (!MUTANT(reshard_forgets_expiry)) shard->env.next_expiry_ms = 0; /* looked at in the next turn */
    memory_written(shard, NULL);
}

/* ---- lists ---- */

void shard_set_ready(struct shard *shard, struct session *session)
{
    if (session->flags & SESSION_READY) return;
    session->flags |= SESSION_READY;
    session->ready_next = NULL;
    if (shard->ready_last)
        shard->ready_last->ready_next = session;
    else
        shard->ready = session;
    shard->ready_last = session;
}

void shard_want_output(struct shard *shard, struct session *session)
{
    if (session->flags & SESSION_OUTPUT) return;
    session->flags |= SESSION_OUTPUT;
    session->output_next = shard->output;
    shard->output = session;
}

/* A session that waits is not in the ready list for long: the dispatcher takes it out when it blocks; the
 * link is its own (wait_next), so both may overlap for the rest of a round. */
void shard_wait_in(struct session **list, struct session *session, enum session_block why)
{
    session->block = (uint8_t)why;
    session->wait_next = *list;
    *list = session;
}

void shard_wake_list(struct shard *shard, struct session **list)
{
    struct session *oldest_first = NULL;
    for (struct session *s = *list, *next; s; s = next) {
        next = s->wait_next;
        s->wait_next = oldest_first;
        oldest_first = s;
    }
    *list = NULL;
    for (struct session *s = oldest_first, *next; s; s = next) {
        next = s->wait_next;
        s->wait_next = NULL;
        s->block = SESSION_RUNNING;
        shard_set_ready(shard, s);
    }
}

/* ---- the turn ---- */

static void take_completion(struct shard *shard, const struct io_completion *completion)
{
    struct session *session = completion->user;
    switch ((enum io_op)completion->op) {
    case IO_ACCEPT:
        clients_accepted(shard, completion->socket, listen_is_unix(shard, completion->user),
                         completion->result);
        break;
    case IO_RECV: clients_received(shard, session, completion); break;
    case IO_SENT: clients_sent(shard, session, completion->result); break;
    case IO_CLOSED: clients_closed(shard, session); break;
    case IO_DETACHED: clients_detached(shard, session, completion->socket); break;
    default: CHECK(!"a completion that a shard asked for");
    }
}

static void wake_borrows(struct shard *shard)
{
    struct borrow *waiting = shard->borrow_waiters;
    shard->borrow_waiters = NULL;
    for (struct borrow *next; waiting; waiting = next) {
        next = MUTANT(credit_wakes_one_borrow) ? NULL : waiting->next;
        borrow_granted(shard, waiting, (struct bitmap256){0});
    }
}

static void wake_scatters(struct shard *shard)
{
    struct scatter *waiting = shard->scatter_waiters;
    shard->scatter_waiters = NULL;
    for (struct scatter *next; waiting; waiting = next) {
        next = waiting->next;
        scatter_send(shard, waiting);
    }
}

/* Runs what can run: returned partitions wake parked commands and sessions before anything is lent again. */
static void execute(struct shard *shard)
{
    for (;;) {
        if (shard->returned) {
            shard->returned = false;
            if (shard->parked) remote_run_parked(shard);
            if (shard->partition_waiters) shard_wake_list(shard, &shard->partition_waiters);
        }
        if (shard->ready) dispatch_ready(shard);
        if (shard->returned) continue;
        if (shard->lend_queue) lend_grant_waiting(shard);
        if (!shard->ready && !shard->returned) break;
    }
}

/* Has nothing happened but this for a while, and is nothing under way that another shard's flag ends? */
static bool rests(struct shard *shard)
{
    bool quiet = shard->stats.turns - shard->turns_at_cron <= 1 && !shard->reshard_waiters && !shard->quiet &&
                 !shard->closing_large &&
                 !atomic_load_explicit(&shard->node->resharding, memory_order_relaxed) &&
                 !atomic_load_explicit(&shard->node->stop, memory_order_relaxed);
    shard->turns_at_cron = shard->stats.turns;
    shard->quiet_crons = quiet ? shard->quiet_crons + 1 : 0;
    return shard->quiet_crons > CRON_IDLE;
}

static void cron(struct shard *shard)
{
    if (UNLIKELY(shard->pause_until_us != 0) && shard->pause_until_us <= shard->now_us) shard_unpause(shard);
    if (shard->now_monotonic_us < shard->next_cron_us) {
        int64_t soon_us = shard->now_monotonic_us + CRON_US; /* something happens: it rests no longer */
        if (UNLIKELY(soon_us < shard->next_cron_us)) shard->next_cron_us = soon_us;
        return;
    }
    shard->next_cron_us = shard->now_monotonic_us + (rests(shard) ? CRON_IDLE_US : CRON_US);
    shard->crons++;
    if (UNLIKELY(atomic_load_explicit(&shard->node->cron_paused, memory_order_relaxed))) return;
    int64_t start_us = io_monotonic_us(shard->io);
    clients_cron(shard);
    memory_sum(shard);
    memory_decay(shard);
    meter_cron(shard);
    shard->span.start_us = io_monotonic_us(shard->io); /* what is read last counts as the turn's end */
    shard->stats.cron_us += (uint64_t)(shard->span.start_us - start_us);
}

void shard_unpause(struct shard *shard)
{
    shard->pause_until_us = 0;
    shard->env.expired_stay = false;
    shard_wake_list(shard, &shard->pause_waiters);
}

static void read_time(struct shard *shard)
{
    shard->now_us = io_realtime_us(shard->io);
    shard->now_monotonic_us = io_monotonic_us(shard->io);
    shard->env.now_ms = shard->now_us / 1000;
    shard->ctx.now_ms = shard->env.now_ms;
    shard->active_expire_off = atomic_load_explicit(&shard->node->active_expire_off, memory_order_relaxed);
    meter_turn_begin(shard);
}

/* When to look again although nothing happens. */
static int64_t deadline(const struct shard *shard, int64_t max_wait_us)
{
    int64_t now = shard->now_monotonic_us;
    if (shard->ready || shard->output || shard->more_to_expire || shard->env.pending || shard->evicts_more ||
        shard->returned) /* a client that went has given back what it held */
        return now;
    int64_t at = shard->next_cron_us;
    if (UNLIKELY(shard->memory_waiters || shard->memory_parked) && now + MEMORY_LOOK_US < at)
        at = now + MEMORY_LOOK_US;
    if (shard->env.next_expiry_ms != INT64_MAX && !shard->active_expire_off && !shard->pause_until_us) {
        int64_t wait_ms = shard->env.next_expiry_ms - shard->env.now_ms, wait_us = EXPIRE_LOOK_US;
        if (wait_ms > DAY_MS && !MUTANT(far_deadline_spins))
            wait_ms = DAY_MS; /* it may come in thousands of years */
        if (wait_ms * 1000 > wait_us) wait_us = wait_ms * 1000;
        if (now + wait_us < at) at = now + wait_us;
    }
    if (shard->pause_until_us) {
        int64_t wait_us = shard->pause_until_us - shard->now_us;
        if (now + wait_us < at) at = now + (wait_us > 0 ? wait_us : 0);
    }
    return at < now + max_wait_us ? at : now + max_wait_us;
}

int64_t shard_lie_down(struct shard *shard, int64_t max_wait_us)
{
    int64_t until = deadline(shard, max_wait_us);
    if (until <= shard->now_monotonic_us || shard->actors == 1) return until;
    _Atomic bool *sleeping = &shard->node->sleeping[shard->index];
    atomic_store_explicit(sleeping, true, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    if (mail_is_empty(shard) || MUTANT(sleeps_on_mail)) return until;
    MARK("shard.mail_before_sleep");
    atomic_store_explicit(sleeping, false, memory_order_relaxed);
    return shard->now_monotonic_us;
}

bool shard_get_up(struct shard *shard, int64_t until_us)
{
    struct io_completion completions[COMPLETIONS_MAX];
    int count = io_wait(shard->io, until_us, completions, COMPLETIONS_MAX);
    _Atomic bool *sleeping = &shard->node->sleeping[shard->index];
    if (atomic_load_explicit(sleeping, memory_order_relaxed))
        atomic_store_explicit(sleeping, false, memory_order_relaxed);
    read_time(shard);
    for (int i = 0; i < count; i++) take_completion(shard, &completions[i]);
    if (shard->actors > 1) {
        mail_receive(shard);
        if (shard->credit_waiters) shard_wake_list(shard, &shard->credit_waiters);
        if (shard->borrow_waiters) wake_borrows(shard);
        if (shard->scatter_waiters) wake_scatters(shard);
    }
    if (UNLIKELY(shard->memory_waiters != NULL)) shard_wake_list(shard, &shard->memory_waiters);
    if (UNLIKELY(shard->memory_parked)) {
        shard->memory_parked = false;
        if (!MUTANT(memory_parked_sleeps)) shard->returned = true; /* the parked batches are tried again */
    }
    if (UNLIKELY(shard->reshard_waiters != NULL) && !shard->quiet && !atomic_load(&shard->node->resharding))
        shard_wake_list(shard, &shard->reshard_waiters);
    execute(shard);
    if (shard->actors > 1) remote_flush(shard);
    if (UNLIKELY(shard->monitor_shards | shard->fed_by | shard->monitor_count)) monitor_step(shard);
    clients_flush_output(shard);
    memory_turn(shard);
    memory_expire(shard, SLICE_US);
    memory_free(shard, SLICE_US);
    cron(shard);
    meter_turn_end(shard);
    if (UNLIKELY(shard->quiet_asked || shard->route_asked)) reshard_quiet_check(shard);
    if (UNLIKELY(shard->reshard || shard->moving_asked)) reshard_step(shard);
    if (shard->actors > 1) mail_publish(shard);
    return !stop_step(shard);
}

bool shard_turn(struct shard *shard, int64_t max_wait_us)
{
    return shard_get_up(shard, shard_lie_down(shard, max_wait_us));
}

void shard_run(void *argument)
{
    struct shard *shard = argument;
    read_time(shard);
    while (shard_turn(shard, CRON_IDLE_US)) {
    }
}
