/* Reshard: CONFIG SET shards N while clients run; and the ordered stop of all actors.
 *
 * Shard 0 leads. Partitions change hands by pointer in short rounds, each a message to every actor and its
 * answer:
 *
 *   QUIET  nothing new is started; what is under way on other shards (replies, borrows, scatters) comes to
 * its end ROUTE  all know the new owners; those who lose partitions let go of them TAKE   the new owners hold
 * them; sessions go on MOVE   sessions spread evenly; actors that are left over give theirs away, then end
 *   FORGET the others stop looking at those; only then are they taken apart
 *
 * Between QUIET and TAKE nobody executes: three message rounds, a few hundred microseconds plus the longest
 * command that was under way. No fence per partition is needed, since when all are quiet no message names a
 * partition (docs/decisions/003-reshard.md).
 */
#include "shard/internal.h"

#include "base/mark.h"
#include "base/mutant.h"
#include <stdio.h>
#include <stdlib.h>

enum phase { PHASE_IDLE, PHASE_QUIET, PHASE_ROUTE, PHASE_TAKE, PHASE_MOVE, PHASE_FORGET };

struct reshard {
    enum phase phase;
    uint16_t from, to;
    uint16_t waiting; /* answers still to come */
    bool sent[SHARDS_MAX];
    int64_t began_us;                /* monotonic: when nothing new was started any more */
    uint16_t move_count[SHARDS_MAX]; /* MOVE: sessions to ask of each */
};

/* ---- every actor ---- */

static void answer(struct shard *shard, uint16_t phase)
{
    if (shard->index == 0) {
        struct message message = {.small = phase};
        reshard_message(shard, &message);
        return;
    }
    struct message *message = mail_reserve_control(shard, 0);
    message->kind = MESSAGE_RESHARD_DONE;
    message->small = phase;
}

static bool is_quiet(const struct shard *shard)
{
    if (shard->parked || shard->lend_queue || shard->borrow_waiters || shard->ready) return false;
    for (int p = 0; p < PARTITION_COUNT; p++)
        if (shard->state[p] == PARTITION_LENT) return false;
    for (const struct session *s = shard->sessions; s; s = s->all_next)
        if (s->inflight || s->borrow || s->scatter) return false;
    for (int i = 0; i < shard->actors; i++)
        if (!bitmap_is_empty(&shard->returning[i]) || shard->outgoing[i]) return false;
    return true;
}

/* Also the sessions and sockets that it has sent to others have arrived. */
static bool all_is_answered(const struct shard *shard)
{
    for (uint16_t i = 0; i < shard->actors; i++)
        if (shard->credits[i] != DATA_SLOTS) return false;
    return true;
}

static void route(struct shard *shard, uint16_t count, uint16_t actors)
{
    shard->actors = actors;
    shard->shard_count = count;
    if (shard->config_is_old && !MUTANT(reshard_misses_config)) {
        /* A CONFIG SET of before asked the old shards only. Shard 0 changes its own next after all have
         * answered. */
        config_free(&shard->config);
        config_copy(&shard->config, &shard->node->shards[0]->config);
    }
    shard->config_is_old = false;
    for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
        shard->owner[p] = (uint8_t)node_owner(p, count);
        CHECK(shard->state[p] != PARTITION_LENT);
        if (shard->owner[p] == shard->index || shard->state[p] != PARTITION_HOME) continue;
        shard->state[p] = PARTITION_ELSEWHERE;
        partition_hold(shard->node->partitions[p], NULL);
    }
    monitor_limit(shard, count);
    memory_sum(shard);
    answer(shard, PHASE_ROUTE);
}

/* Who was quiet may have lent a partition since, to an actor that was not yet: it takes part in the next
 * phase when that is home again. */
void reshard_quiet_check(struct shard *shard)
{
    if (!is_quiet(shard) && !(shard->route_asked && MUTANT(reshard_routes_unsettled))) {
        MARK("reshard.waits_for_quiet");
        return;
    }
    bool quiet_asked = shard->quiet_asked, route_asked = shard->route_asked;
    shard->quiet_asked = shard->route_asked = false; /* before shard 0 hears itself and asks for the next */
    if (quiet_asked) answer(shard, PHASE_QUIET);
    if (route_asked) route(shard, shard->route_count, shard->route_actors);
}

static void follow(struct shard *shard, enum phase phase, const uint64_t *words)
{
    switch (phase) {
    case PHASE_QUIET:
        shard->quiet = shard->quiet_asked = true; /* answered by reshard_quiet_check */
        return;
    case PHASE_ROUTE:
        shard->route_asked = true; /* routes and answers in reshard_quiet_check */
        shard->route_count = (uint16_t)words[0];
        shard->route_actors = (uint16_t)words[1];
        return;
    case PHASE_TAKE:
        MARK("reshard.taken");
        shard_take_partitions(shard);
        /* What shards that were told earlier have sent for new partitions is parked. */
        if (!MUTANT(taken_parked_sleep)) shard->returned = true;
        shard->quiet = false;
        shard_wake_list(shard, &shard->reshard_waiters);
        break;
    case PHASE_MOVE:
        shard->moving_asked = true;
        shard->leaving = shard->index >= shard->shard_count;
        shard->move_left = (uint32_t)words[0];
        return; /* answered by reshard_step when done */
    case PHASE_FORGET:
        for (uint16_t from = (uint16_t)words[0]; from < shard->actors && !MUTANT(reshard_forgets_mail);
             from++)
            mail_receive_last(shard, from);
        shard->actors = (uint16_t)words[0];
        break;
    default: CHECK(!"a phase");
    }
    answer(shard, (uint16_t)phase);
}

/* Gives sessions away, a slice per call: to the shards in turn. */
static void move_sessions(struct shard *shard)
{
    uint32_t moving = 0;
    for (struct session *s = shard->sessions; s; s = s->all_next) moving += (s->flags & SESSION_MOVING) != 0;
    while (shard->move_left && shard->session_count > moving) {
        uint16_t to = (uint16_t)(shard->move_cursor++ % shard->shard_count);
        if (to == shard->index) continue;
        clients_move(shard, to, 1);
        shard->move_left--;
        moving++;
    }
    if (!shard->leaving) {
        shard->move_left = 0;
        shard->moving_asked = false;
        answer(shard, PHASE_MOVE);
        return;
    }
    if (!all_is_answered(shard) || shard->fed_by) return;
    if (shard->session_count || !is_quiet(shard) || shard->ended_sessions || shard->session_change) return;
    if (!mail_is_empty(shard)) return; /* a session may be on its way here */
    shard->moving_asked = false;
    shard->stopping = true;
    if (!MUTANT(leaver_never_spent)) memory_leave(shard);
    answer(shard, PHASE_MOVE);
}

/* ---- shard 0 ---- */

static void broadcast(struct shard *shard, enum phase phase, uint16_t first, uint16_t last)
{
    struct reshard *reshard = shard->reshard;
    reshard->phase = phase;
    reshard->waiting = (uint16_t)(last - first);
    for (uint16_t i = 0; i < SHARDS_MAX; i++) reshard->sent[i] = i < first || i >= last;
    reshard_step(shard);
}

static uint16_t most(uint16_t a, uint16_t b)
{
    return a > b ? a : b;
}

static void phase_words(const struct shard *shard, uint16_t to, uint64_t *words)
{
    const struct reshard *reshard = shard->reshard;
    switch (reshard->phase) {
    case PHASE_ROUTE:
        words[0] = reshard->to;
        words[1] = most(reshard->from, reshard->to);
        break;
    case PHASE_MOVE: {
        /* Those who leave give all; the others what they have above the mean. */
        uint64_t mean = (shard->client_count + reshard->to - 1) / reshard->to;
        words[0] = to >= reshard->to              ? UINT32_MAX
                   : shard->clients_on[to] > mean ? shard->clients_on[to] - mean
                                                  : 0;
        break;
    }
    case PHASE_FORGET: words[0] = reshard->to; break;
    default: break;
    }
}

/* Sends what is not sent yet of this phase, as credits allow. */
void reshard_step(struct shard *shard)
{
    struct reshard *reshard = shard->reshard;
    if (shard->moving_asked) move_sessions(shard);
    if (!reshard) return;
    for (uint16_t i = 0; i < SHARDS_MAX && shard->reshard == reshard; i++) {
        if (reshard->sent[i]) continue;
        uint64_t words[6] = {0};
        phase_words(shard, i, words);
        if (i == 0) {
            reshard->sent[0] = true;
            enum phase phase = reshard->phase;
            follow(shard, phase, words);
            if (shard->reshard != reshard || reshard->phase != phase) return;
            continue;
        }
        struct message *message = mail_reserve_patient(shard, i);
        if (!message) continue;
        message->kind = MESSAGE_RESHARD;
        message->small = (uint16_t)reshard->phase;
        memcpy(message->words, words, sizeof words);
        reshard->sent[i] = true;
    }
}

static bool start_actors(struct shard *shard, uint16_t from, uint16_t to)
{
    struct node *node = shard->node;
    for (uint16_t i = from; i < to; i++) {
        int error = 0;
        struct io *io = node_add_rings(node, i) ? node->host.io_create(node->host.context, &error) : NULL;
        struct shard *created = io ? shard_create(node, i, io, &shard->config) : NULL;
        if (!created) return false;
        created->actors = to;
        created->quiet = created->config_is_old = true;
        node->shards[i] = created;
    }
    /* Each looks into the mailboxes of all others from its first turn on: start them when all are there. */
    for (uint16_t i = from; i < to; i++)
        if (!node->host.actor_start(node->host.context, node->shards[i])) return false;
    return true;
}

static void end_actors(struct shard *shard, uint16_t from, uint16_t to)
{
    struct node *node = shard->node;
    for (uint16_t i = to; i < from; i++) {
        MARK("reshard.actor_ended");
        node->host.actor_join(node->host.context, node->shards[i]);
        if (!MUTANT(leaver_counts_lost)) meter_absorb(shard, node->shards[i]);
        struct io *io = shard_io(node->shards[i]);
        shard_destroy(node->shards[i]);
        node->host.io_destroy(node->host.context, io);
        node->shards[i] = NULL;
    }
}

/* Others may change it again; somebody waits for this, on any shard. */
static void let_in(struct shard *shard)
{
    atomic_store(&shard->node->resharding, false);
    for (uint16_t i = 0; i < shard->shard_count; i++) io_wake(shard->node->shards[i]->io);
}

void reshard_overruled(struct shard *shard)
{
    MARK("reshard.overruled");
    if (!shard->reshard) let_in(shard);
}

static void finish(struct shard *shard)
{
    struct reshard *reshard = shard->reshard;
    uint16_t count = reshard->to;
    shard->reshard = NULL;
    free(reshard);
    /* A change that was ordered meanwhile? */
    if (shard->config.shards != count && reshard_begin(shard, (uint16_t)shard->config.shards)) return;
    CHECK(shard->shard_count == count);
    let_in(shard);
}

static void log_stop(struct shard *shard)
{
    const struct node_host *host = &shard->node->host;
    char line[128];
    if (!host->log) return;
    snprintf(line, sizeof line, "%u shards now own the partitions; commands waited for %lld us",
             shard->reshard->to, (long long)(io_monotonic_us(shard->io) - shard->reshard->began_us));
    host->log(host->context, CONFIG_LOG_NOTICE, line);
}

/* All have answered the phase. */
static void advance(struct shard *shard)
{
    struct reshard *reshard = shard->reshard;
    uint16_t all = most(reshard->from, reshard->to);
    switch (reshard->phase) {
    case PHASE_QUIET:
        atomic_store(&shard->node->shard_count, reshard->to);
        shard->actors = all;
        broadcast(shard, PHASE_ROUTE, 0, all);
        break;
    case PHASE_ROUTE: broadcast(shard, PHASE_TAKE, 0, all); break;
    case PHASE_TAKE:
        log_stop(shard);
        broadcast(shard, PHASE_MOVE, 0, all);
        break;
    case PHASE_MOVE:
        if (reshard->to >= reshard->from) {
            finish(shard);
            break;
        }
        broadcast(shard, PHASE_FORGET, 0, reshard->to);
        break;
    case PHASE_FORGET: /* nobody is about to wake them any more */
        end_actors(shard, reshard->from, reshard->to);
        finish(shard);
        break;
    default: CHECK(!"a phase");
    }
}

void reshard_message(struct shard *shard, const struct message *message)
{
    if (message->kind == MESSAGE_RESHARD) {
        follow(shard, message->small, message->words);
        return;
    }
    CHECK(shard->reshard && shard->reshard->waiting > 0 && shard->reshard->phase == message->small);
    if (--shard->reshard->waiting == 0) advance(shard);
}

/* Begins; shard 0 only. While one is under way it goes on: its end looks at the config again. False: no
 * memory or thread for new actors. */
bool reshard_begin(struct shard *shard, uint16_t count)
{
    CHECK(shard->index == 0);
    if (shard->reshard) return true;
    if (count == shard->shard_count) {
        atomic_store(&shard->node->resharding, false);
        return true;
    }
    atomic_store(&shard->node->resharding, true);
    struct reshard *reshard = calloc(1, sizeof *reshard);
    if (reshard) {
        reshard->from = shard->shard_count;
        reshard->to = count;
    }
    if (!reshard || (count > reshard->from && !start_actors(shard, reshard->from, count))) {
        atomic_store(&shard->node->resharding, false);
        free(reshard);
        return false;
    }
    shard->reshard = reshard;
    reshard->began_us = io_monotonic_us(shard->io);
    broadcast(shard, PHASE_QUIET, 0, reshard->from);
    return true;
}

/* ---- stop: sessions are closed, a reshard under way is brought to its end (it need not wait for sessions
 * that CLIENT PAUSE holds: they have gone), and actors end when all of them have nothing left to do. One that
 * gets a session after it had nothing left takes its word back (stop_not_yet) before the sender hears that
 * the session has arrived, and so before the sender can have nothing left. ---- */

void stop_not_yet(struct shard *shard)
{
    if (!shard->stopped) return;
    MARK("stop.session_comes");
    shard->stopped = false;
    atomic_fetch_sub(&shard->node->stopped, 1);
}

bool stop_step(struct shard *shard)
{
    struct node *node = shard->node;
    if (shard->stopping && shard->leaving) return true; /* left over after a reshard, and empty */
    if (LIKELY(!atomic_load_explicit(&node->stop, memory_order_relaxed))) return false;
    bool reshards = !shard->stopping && atomic_load(&node->resharding) && !MUTANT(stop_cuts_reshard);
    if (reshards && MUTANT(stop_waits_for_paused)) return false;
    listen_end(shard);
    for (struct session *s = shard->sessions, *next; s; s = next) {
        next = s->all_next;
        clients_close(shard, s);
    }
    if (reshards) return false;
    shard->stopping = true;
    if (!shard->stopped && !shard->sessions && is_quiet(shard) &&
        (all_is_answered(shard) || MUTANT(stop_leaves_sessions_behind))) {
        shard->stopped = true;
        atomic_fetch_add(&node->stopped, 1);
        for (uint16_t i = 0; i < shard->actors; i++)
            if (i != shard->index) io_wake(node->shards[i]->io);
    }
    return shard->stopped && atomic_load(&node->stopped) >= shard->actors;
}
