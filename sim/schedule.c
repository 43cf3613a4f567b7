/* The scheduler: of the actors that could run, one is chosen by the seed's policy and gets a turn, which
 * occupies it for some virtual time; when none can, time goes on. Clients cost nothing and come first: what
 * they do is drawn by the network's delays anyway. */
#include "sim/run.h"

#include "shard/internal.h"
#include "sim/trace_mail.h"
#include "sim/trace_world.h"

struct candidate {
    struct process *process;
    int shard;
};

/* The actors that are ready and free now. `*next_us`: when another one becomes free. */
static int collect(struct run *run, struct candidate *out, int64_t *next_us)
{
    int64_t now = run_now_us(run);
    int count = 0;
    for (int i = 0; i < run->plan.nodes; i++) {
        struct process *process = &run->processes[i];
        if (!process->up) {
            if (process->restart_at_us < *next_us) *next_us = process->restart_at_us;
            continue;
        }
        if (process->paused_until_us > now) {
            if (process->paused_until_us < *next_us) *next_us = process->paused_until_us;
            continue;
        }
        for (int s = 0; s < process->shards_end; s++) {
            if (!process->running[s] ||
                (process->lying[s] && !io_sim_ready(shard_io(process->node->shards[s])))) {
                process->ready_since_us[s] = 0;
                continue;
            }
            int64_t free_at = process->free_at_us[s];
            if (process->starved_until_us[s] > free_at) free_at = process->starved_until_us[s];
            if (free_at > now) {
                if (free_at < *next_us) *next_us = free_at;
                continue;
            }
            if (!process->ready_since_us[s]) process->ready_since_us[s] = now;
            out[count++] = (struct candidate){process, s};
        }
    }
    return count;
}

static int hold(struct run *run, const struct candidate *c, int count)
{
    int best = (int)prng_below(&run->schedule, (uint64_t)count);
    if (!process_has_mail(c[best].process, c[best].shard)) return best;
    if (prng_below(&run->schedule, 40) == 0) {
        int64_t length = 100 << prng_below(&run->schedule, 9);
        c[best].process->starved_until_us[c[best].shard] = run_now_us(run) + length;
    }
    for (int i = 0; i < count; i++) /* somebody without, if there is one */
        if (!process_has_mail(c[i].process, c[i].shard)) return i;
    return best;
}

static int choose(struct run *run, const struct candidate *c, int count)
{
    int best = 0;
    switch (run->plan.policy) {
    case SCHEDULE_PRIORITY:
        if (prng_below(&run->schedule, 2000) == 0) { /* a change point */
            const struct candidate *who = &c[prng_below(&run->schedule, (uint64_t)count)];
            who->process->priority[who->shard] = (uint32_t)prng_next(&run->schedule);
        }
        for (int i = 1; i < count; i++)
            if (c[i].process->priority[c[i].shard] > c[best].process->priority[c[best].shard]) best = i;
        return best;
    case SCHEDULE_STARVE:
        if (prng_below(&run->schedule, 500) == 0) {
            run->starved_process = c[0].process->index;
            run->starved_shard = c[prng_below(&run->schedule, (uint64_t)count)].shard;
        }
        best = (int)prng_below(&run->schedule, (uint64_t)count);
        if (c[best].process->index == run->starved_process && c[best].shard == run->starved_shard)
            best = (best + 1) % count;
        return best;
    case SCHEDULE_NEWEST:
        for (int i = 1; i < count; i++)
            if (c[i].process->ready_since_us[c[i].shard] > c[best].process->ready_since_us[c[best].shard])
                best = i;
        return best;
    case SCHEDULE_LOCKSTEP: return run->round_robin++ % count;
    case SCHEDULE_BURST:
        for (int i = 0; i < count && run->burst_left > 0; i++)
            if (c[i].process->index == run->burst_process && c[i].shard == run->burst_shard) {
                run->burst_left--;
                return i;
            }
        best = (int)prng_below(&run->schedule, (uint64_t)count);
        run->burst_process = c[best].process->index;
        run->burst_shard = c[best].shard;
        run->burst_left = (int)prng_below(&run->schedule, 30);
        return best;
    case SCHEDULE_HOLD: return hold(run, c, count);
    default: return (int)prng_below(&run->schedule, (uint64_t)count);
    }
}

/* After its turn a shard lies down at once, as nobody can see it between; what comes just before it lies down
 * is the fault "mail late". */
static void lie_down(struct process *process, int s)
{
    struct shard *shard = process->node->shards[s];
    int64_t until_us = shard_lie_down(shard, 1000000);
    /* Its clock is ahead by what looking at it has cost. */
    io_sim_sleep(shard_io(shard), until_us <= shard->now_monotonic_us ? run_now_us(process->run) : until_us);
    process->lying[s] = true;
}

static void turn(struct run *run, const struct candidate *who)
{
    struct process *process = who->process;
    struct shard *shard = process->node->shards[who->shard];
    int64_t now = run_now_us(run);
    if (!process->lying[who->shard]) { /* its life begins */
        lie_down(process, who->shard);
        return;
    }
    run->turn_executed = 0;
    process_look_at_memory(process);
    run->result.turns++;
    process->turns[who->shard]++;
    io_sim_trace_note(run->world, (uint64_t)process->index << 32 | (uint64_t)who->shard);
    uint32_t crons = shard->crons;
    bool goes_on = shard_get_up(shard, INT64_MAX);
    process_look_at_memory(process);
    if (goes_on) {
        if (shard->crons != crons) process_check_counted(process, who->shard);
        lie_down(process, who->shard);
    } else {
        process->running[who->shard] = false;
    }
    process_check_mail(process, who->shard);
    if (process->slow_until_us[who->shard] <= now) process->slow_factor[who->shard] = 1;
    int64_t cost = run->plan.turn_cost_us + (int64_t)run->turn_executed * run->plan.command_cost_ns / 1000 +
                   io_sim_turn_cost(shard_io(shard));
    cost *= process->slow_factor[who->shard];
    if (process->slow_factor[who->shard] > 1 && now + cost > run->hindered_until_us)
        run->hindered_until_us = now + cost;
    process->free_at_us[who->shard] = now + cost;
    TRACE(run->trace, turn, now - run->start_us, process->index, who->shard, cost, (int)run->turn_executed,
          0);
    if (process->node)
        TRACE(run->trace, mail, now - run->start_us, process->index, process->node, who->shard);
}

static bool turn_clients(struct run *run)
{
    bool any = false;
    for (int i = 0; i < run->client_count; i++) {
        if (!io_sim_ready(run->clients[i].io)) continue;
        client_turn(&run->clients[i]);
        any = true;
    }
    return any;
}

bool schedule_step(struct run *run, int64_t not_after_us)
{
    struct candidate candidates[PLAN_NODES_MAX * SHARDS_MAX];
    int64_t now = run_now_us(run), next_us = not_after_us;
    run->result.steps++;
    TRACE(run->trace, world_faults, now - run->start_us, run->world);
    process_faults(run);
    if (turn_clients(run)) return true;
    int count = collect(run, candidates, &next_us);
    if (count > 0) {
        turn(run, &candidates[choose(run, candidates, count)]);
        return true;
    }
    for (int fault = 0; fault < PROCESS_FAULTS && !run->healing && !run->night; fault++)
        if (run->next_fault_us[fault] > now && run->next_fault_us[fault] < next_us)
            next_us = run->next_fault_us[fault];
    if (next_us <= now) next_us = now + 1;
    return io_sim_step(run->world, next_us) || next_us != INT64_MAX;
}
