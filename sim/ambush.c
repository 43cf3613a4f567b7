/* Ambushes: faults that wait for a session to be in a delicate state. By chance alone they would strike there
 * once in thousands of runs: the states last for microseconds.
 *
 * A cut waits for a client whose EXEC waits for other shards, or who holds or gathers partitions while
 * commands of its own are under way (pipeline-order relaxed); the other shards then take their time, so that
 * the end of the connection comes first: the client closes it, or another one says CLIENT KILL. A kill waits
 * for a session that is on its way to another shard, and so does a stop of the node. A hold lets one shard
 * stand still while somebody's EXEC waits for it and holds partitions, which others want; where partitions are
 * gathered, the shard that is asked for the next ones, and all clients ask for a key that waits, so that
 * commands pile up (a rush). When memory is
 * short, a client is cut that is large and has commands under way; it is made large if it is not. */
#include "sim/run.h"

#include <stdio.h>
#include <string.h>

#include "session/session.h"
#include "shard/internal.h"

#define AMBUSH_US 500000 /* so long it is laid */
#define STOP_US   8000000
#define HOLD_US   50000  /* so long the other shards stand still */
#define LARGE     70000  /* bytes: what is freed of a client that goes counts from 64 KiB on (clients.c) */

void ambush_lay(struct run *run, enum ambush ambush)
{
    run->ambush_until_us[ambush] = run_now_us(run) + (ambush == AMBUSH_STOP ? STOP_US : AMBUSH_US);
}

static bool is_short(const struct process *process)
{
    return atomic_load(&process->node->budget.used_bytes) > process_memory_limit(process);
}

static bool is_delicate(const struct process *process, const struct session *s, enum ambush ambush)
{
    if (s->flags & SESSION_CLOSING) return false;
    if (ambush == AMBUSH_HOLD) return s->multi.running && s->borrow;
    if (ambush == AMBUSH_KILL) return s->moving_socket != IO_SOCKET_NONE;
    if (ambush == AMBUSH_STOP) return s->detaching && !atomic_load(&process->node->resharding);
    if (ambush == AMBUSH_GATHER)
        return s->borrow && !s->borrow->complete && !bitmap_is_empty(&s->borrow->held) &&
               s->borrow->asking < s->shard->actors;
    if (ambush == AMBUSH_LEAVE) {
        const struct shard *to = s->flags & SESSION_MOVING ? process->node->shards[s->moving_to] : NULL;
        return to && s->shard->quiet && to->quiet && !to->quiet_asked && !to->route_asked;
    }
    if (ambush == AMBUSH_LARGE) return s->inflight && s->inflight_write && is_short(process);
    return s->multi.running || (s->borrow && s->inflight);
}

static const struct session *find(const struct process *process, enum ambush ambush)
{
    for (int i = 0; i < SHARDS_MAX; i++) {
        const struct shard *shard = process->running[i] ? process->node->shards[i] : NULL;
        for (const struct session *s = shard ? shard->sessions : NULL; s; s = s->all_next)
            if (is_delicate(process, s, ambush)) return s;
    }
    return NULL;
}

static struct client *client_of(struct run *run, const struct process *process, const struct session *session)
{
    for (int i = 0; i < run->client_count; i++) {
        struct client *client = &run->clients[i];
        if (client->process == process && client->state == CLIENT_OPEN && !client->is_operator &&
            !client->is_cut && client->conn && strcmp(client->link->address, session->address) == 0)
            return client;
    }
    return NULL;
}

/* By a client that waits for nothing itself. */
static bool kill(struct run *run, const struct process *process, struct client *victim)
{
    char line[IO_ADDRESS_MAX + 32];
    snprintf(line, sizeof line, "CLIENT KILL %s", victim->link->address);
    for (int i = 0; i < run->client_count; i++) {
        struct client *client = &run->clients[i];
        if (client == victim || client->process != process || client->state != CLIENT_OPEN ||
            client->finished || client->is_cut || !client->conn || link_outstanding(client->link) ||
            !client_say(client, line))
            continue;
        victim->is_cut = true;
        return true;
    }
    return false;
}

static void hold_for(struct run *run, struct process *process, uint16_t shard, int64_t length_us)
{
    int64_t until = run_now_us(run) + length_us;
    process->starved_until_us[shard] = until;
    if (until > run->hindered_until_us) run->hindered_until_us = until;
}

static void hold(struct run *run, struct process *process, uint16_t shard)
{
    hold_for(run, process, shard, HOLD_US);
}

/* For a key of the transaction, or of the command, for which the client waits. */
static void rush_begin(struct run *run, struct process *process, const struct client *client, int64_t length_us)
{
    const struct link *link = client->link;
    struct rush *rush = &run->rush;
    size_t from = link->next_answer, count = link->count - from < 16 ? link->count - from : 16;
    for (size_t tries = 0; tries < 8 && count; tries++) {
        const struct op *op = link->ops[from + prng_below(&run->faults, count)];
        if (op->argc < 2 || op->argv[1].len == 0 || op->argv[1].len > sizeof rush->key) continue;
        memcpy(rush->key, op->argv[1].ptr, rush->len = op->argv[1].len);
        rush->process = process;
        rush->next_us = run_now_us(run);
        rush->until_us = run_now_us(run) + length_us;
        return;
    }
}

void ambush_rush(struct run *run)
{
    static const struct slice reads[] = {SLICE("TYPE"), SLICE("EXISTS"), SLICE("PTTL"), SLICE("TOUCH")};
    struct rush *rush = &run->rush;
    if (run_now_us(run) >= rush->until_us || run_now_us(run) < rush->next_us) return;
    rush->next_us = run_now_us(run) + 100 + (int64_t)prng_below(&run->faults, 1000);
    for (int i = 0; i < run->client_count; i++) {
        struct client *client = &run->clients[i];
        if (client->process != rush->process || client->state != CLIENT_OPEN || client->is_operator ||
            client->is_cut || client->finished || !client->conn || client->unit_at || client->litmus.left ||
            link_outstanding(client->link) > 50)
            continue;
        client_send(client,
                    (struct slice[]){reads[prng_below(&run->faults, ARRAY_LEN(reads))], {rush->key, rush->len}}, 2);
    }
}

/* True when it is cut; what makes it large takes a moment to arrive. */
static bool cut_large(struct run *run, const struct session *session, struct client *client)
{
    char text[LARGE];
    if (session_memory(session) >= LARGE) {
        client_cut(client);
        return true;
    }
    if (client->unit_at || client->silent_until_us > run_now_us(run)) return false;
    memset(text, 'l', sizeof text);
    client->silent_until_us = run_now_us(run) + HOLD_US;
    for (int i = 0; i < 2; i++) client_send(client, (struct slice[]){SLICE("ECHO"), {text, sizeof text}}, 2);
    return false;
}

static bool strike(struct run *run, enum ambush ambush, struct process *process,
                   const struct session *session, struct client *client)
{
    int shards = atomic_load(&process->node->shard_count);
    if (ambush == AMBUSH_KILL) {
        if (!kill(run, process, client)) return false;
        hold(run, process, session->moving_to);
    } else if (ambush == AMBUSH_LEAVE) {
        hold_for(run, process, session->moving_to, 1 + (int64_t)prng_below(&run->faults, 5000));
    } else if (ambush == AMBUSH_STOP) {
        process->next_shards = 1 + (int)prng_below(&run->faults, PLAN_SHARDS_MAX);
        process->restart_at_us = run_now_us(run) + 1 + (int64_t)prng_below(&run->faults, 3000000);
        process_stop(process);
        hold(run, process, session->shard->index);
    } else if (ambush == AMBUSH_GATHER) {
        int64_t length_us = HOLD_US << prng_below(&run->faults, 4);
        hold_for(run, process, session->borrow->asking, length_us);
        rush_begin(run, process, client, length_us < 100000 ? length_us : 100000);
    } else if (ambush == AMBUSH_LARGE) {
        for (uint16_t s = 0; s < shards; s++)
            if (s != session->shard->index) hold(run, process, s);
        if (!cut_large(run, session, client)) return false;
    } else if (ambush == AMBUSH_HOLD) {
        hold(run, process,
             (uint16_t)((session->shard->index + 1 + (int)prng_below(&run->faults, 8)) % shards));
    } else {
        if (!prng_below(&run->faults, 2) || !kill(run, process, client)) client_cut(client);
        for (uint16_t s = 0; s < shards; s++)
            if (s != session->shard->index) hold(run, process, s);
    }
    return true;
}

bool ambush_strike(struct run *run, enum ambush ambush)
{
    for (int p = 0; p < run->plan.nodes; p++) {
        struct process *process = &run->processes[p];
        const struct session *session = process->up && !process->stop_asked_us ? find(process, ambush) : NULL;
        struct client *client = session ? client_of(run, process, session) : NULL;
        if (!client) continue;
        if (!strike(run, ambush, process, session, client)) continue;
        static const enum process_fault faults[AMBUSHES] = {FAULT_CLIENT_CUT, FAULT_CLIENT_KILL,
                                                            FAULT_STARVE,     FAULT_STARVE,
                                                            FAULT_CLIENT_CUT, FAULT_STOP,
                                                            FAULT_STARVE};
        enum process_fault fault = faults[ambush];
        run->ambush_until_us[ambush] = 0;
        run->result.process_fired[fault]++;
        io_sim_trace_note(run->world, (uint64_t)fault);
        TRACE(run->trace, fault, run_now_us(run) - run->start_us, process_fault_kinds[fault].name,
              process->index, -1, client->index, 0, "ambush");
        return true;
    }
    return false;
}
