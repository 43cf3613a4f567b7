/* Ambushes: faults that wait for a session to be in a delicate state. By chance alone they would strike there
 * once in thousands of runs: the states last for microseconds.
 *
 * A cut waits for a client whose EXEC waits for other shards, or who holds or gathers partitions while
 * commands of its own are under way (pipeline-order relaxed); the other shards then take their time, so that
 * the end of the connection comes first: the client closes it, or another one says CLIENT KILL. A kill waits
 * for a session that is on its way to another shard. A hold lets one shard stand still while somebody's EXEC
 * waits for it and holds partitions, which others want. */
#include "sim/run.h"

#include <stdio.h>
#include <string.h>

#include "session/session.h"
#include "shard/internal.h"

#define AMBUSH_US 500000 /* so long it is laid */
#define HOLD_US   50000  /* so long the other shards stand still */

void ambush_lay(struct run *run, enum ambush ambush)
{
    run->ambush_until_us[ambush] = run_now_us(run) + AMBUSH_US;
}

static bool is_delicate(const struct session *s, enum ambush ambush)
{
    if (s->flags & SESSION_CLOSING) return false;
    if (ambush == AMBUSH_HOLD) return s->multi.running && s->borrow;
    if (ambush == AMBUSH_KILL) return s->moving_socket != IO_SOCKET_NONE;
    return s->multi.running || (s->borrow && s->inflight);
}

static const struct session *find(struct process *process, enum ambush ambush)
{
    for (int i = 0; i < SHARDS_MAX; i++) {
        const struct shard *shard = process->running[i] ? process->node->shards[i] : NULL;
        for (const struct session *s = shard ? shard->sessions : NULL; s; s = s->all_next)
            if (is_delicate(s, ambush)) return s;
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

static void hold(struct run *run, struct process *process, uint16_t shard)
{
    int64_t until = run_now_us(run) + HOLD_US;
    process->starved_until_us[shard] = until;
    if (until > run->hindered_until_us) run->hindered_until_us = until;
}

static bool strike(struct run *run, enum ambush ambush, struct process *process,
                   const struct session *session, struct client *client)
{
    int shards = atomic_load(&process->node->shard_count);
    if (ambush == AMBUSH_KILL) {
        if (!kill(run, process, client)) return false;
        hold(run, process, session->moving_to);
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
        const struct session *session = process->up ? find(process, ambush) : NULL;
        struct client *client = session ? client_of(run, process, session) : NULL;
        if (!client) continue;
        if (!strike(run, ambush, process, session, client)) continue;
        static const enum process_fault faults[AMBUSHES] = {FAULT_CLIENT_CUT, FAULT_CLIENT_KILL,
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
