/* The loop of a run: start, work under faults, heal, audit, stop. */
#include "sim/run.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/model.h"
#include "sim/tape.h"
#include "sim/value.h"

#define SECOND_US INT64_C(1000000)
#define LIMIT_US  (600 * SECOND_US) /* for the commands of a run, whatever the faults */
#define HEAL_US   (90 * SECOND_US)  /* within which all must be answered when faults have ended */
#define IDLE_US   (5 * SECOND_US)
#define STOP_US   (10 * SECOND_US)
#define DRILL_US  (4 * SECOND_US)
#define LOOK_US   (SECOND_US / 10)

const char *const oracle_names[ORACLES] = {"model", "linear",   "transactions", "order",  "memory", "wire",
                                           "ttl",   "liveness", "audit",        "limits", "config", "litmus"};

void run_fail(struct run *run, enum oracle oracle, const struct trace_place *place, const char *format, ...)
{
    struct finding *finding = &run->result.finding;
    if (finding->found || run->options.oracle_off[oracle]) return;
    finding->found = true;
    finding->oracle = oracle;
    finding->at_us = run_now_us(run) - run->start_us;
    finding->step = run->result.steps;
    if (place) finding->op = place->op;
    va_list args;
    va_start(args, format);
    vsnprintf(finding->complaint, sizeof finding->complaint, format, args);
    va_end(args);
    TRACE(run->trace, verdict, finding->at_us, oracle_names[oracle], false, 0, finding->complaint, place);
}

/* ---- begin and end ---- */

/* Where no fault delays anything behind the simulator's back, a command is answered as soon as those before
 * it are: what all clients may have sent at once, three times over, and half a second. */
static int64_t prompt_us(const struct plan *plan)
{
    for (int i = 0; i < IO_SIM_FAULT_COUNT; i++)
        if (plan->world_rate[i] && i != IO_SIM_NET_SPLIT && i != IO_SIM_NET_ONE_BYTE &&
            i != IO_SIM_NET_SHORT_WRITE)
            return 0;
    const uint32_t *rate = plan->process_rate;
    if (rate[FAULT_CLIENT_PAUSE] &&
        (rate[FAULT_CLOCK_STEP] || rate[FAULT_PAUSE] || rate[FAULT_PAUSE_LONG] || rate[FAULT_SLOW_CORE]))
        return 0; /* when does it begin? */
    int64_t commands =
        (int64_t)plan->clients * plan->depth_max * (100 + 5 * plan->workload.transaction_percent) / 100;
    return SECOND_US / 2 + 3 * commands * (plan->command_cost_ns / 1000 + plan->turn_cost_us + 6 * plan->look_cost_us);
}

/* Who reads the tape has to know the limits that a node is started with. */
static void tape_limit(struct run *run, const char *name, int value)
{
    char number[16];
    snprintf(number, sizeof number, "%d", value);
    struct slice argv[] = {SLICE("CONFIG"), SLICE("SET"), {name, strlen(name)}, {number, strlen(number)}};
    tape_write(run->options.tape, &(struct tape_record){.kind = TAPE_COMMAND,
                                                        .resp = 2,
                                                        .now_ms = run->start_us / 1000,
                                                        .argc = ARRAY_LEN(argv),
                                                        .argv = argv,
                                                        .reply = SLICE("+OK\r\n")});
}

static void tape_limits(struct run *run)
{
    if (run->plan.set_ints_max) tape_limit(run, "set-max-intset-entries", run->plan.set_ints_max);
    if (run->plan.list_entries_max) tape_limit(run, "list-max-listpack-size", run->plan.list_entries_max);
}

static void begin(struct run *run)
{
    plan_draw(&run->plan, &run->options.plan);
    const struct plan *plan = &run->plan;
    run->trace = run->options.trace;
    if (run->options.tape) tape_begin(run->options.tape);
    run->arena = calloc(1, sizeof *run->arena);
    CHECK(run->arena);
    run->world = io_sim_world_create(plan->seed);
    run->start_us = run_now_us(run);
    run->prompt_us = prompt_us(plan);
    prng_seed(&run->schedule, plan->schedule_seed);
    prng_seed(&run->faults, plan->process_seed);
    for (int i = 0; i < IO_SIM_FAULT_COUNT; i++)
        if (plan->world_rate[i] && i != IO_SIM_NET_LISTEN_ERROR) io_sim_fault_set(run->world, (enum io_sim_fault)i, plan->world_rate[i]);
    for (int i = 0; i < plan->nodes; i++) {
        struct process *process = &run->processes[i];
        char name[32];
        snprintf(name, sizeof name, "node-%d", i);
        *process = (struct process){.run = run, .index = i, .world = io_sim_node(run->world, name)};
        struct model_options options = {.may_evict = strcmp(plan->policy_name, "noeviction") != 0,
                                        .evicts_volatile = strncmp(plan->policy_name, "volatile", 8) == 0,
                                        .set_ints_max = (size_t)plan->set_ints_max,
                                        .list_entries_max = (size_t)plan->list_entries_max,
                                        .may_oom = true,
                                        .fields_may_linger = true};
        process->model = model_create(&options);
        if (i == 0 && run->options.tape) tape_limits(run);
    }
    run->client_count = plan->nodes * (plan->clients + 1);
    run->clients = calloc((size_t)run->client_count, sizeof *run->clients);
    CHECK(run->clients);
    for (int i = 0; i < plan->nodes && process_start(&run->processes[i], plan->shards[i]); i++) {
    }
    io_sim_fault_set(run->world, IO_SIM_NET_LISTEN_ERROR, plan->world_rate[IO_SIM_NET_LISTEN_ERROR]);
    for (int i = 0; i < run->client_count; i++) {
        CHECK(client_init(&run->clients[i], run, i, &run->processes[i % plan->nodes]));
        run->clients[i].is_operator = i < plan->nodes;
    }
}

/* What held, and on how many things it was tried. */
static void trace_what_held(struct run *run)
{
    const struct run_result *result = &run->result;
    uint64_t executed = 0, answered = result->commands + result->errors;
    for (int i = 0; i < RUN_SHARDS_MAX; i++) executed += result->executed[i];
    const uint64_t checked[ORACLES] = {[ORACLE_MODEL] = executed,
                                       [ORACLE_ORDER] = executed,
                                       [ORACLE_WIRE] = answered,
                                       [ORACLE_LIVENESS] = answered};
    for (int i = 0; i < ORACLES; i++)
        if (!run->options.oracle_off[i])
            TRACE(run->trace, verdict, run_now_us(run) - run->start_us, oracle_names[i], true,
                  checked[i] ? checked[i] : 1, "", NULL);
}

static void finish(struct run *run)
{
    run->result.end_us = run_now_us(run) - run->start_us;
    if (!run->result.virtual_us) run->result.virtual_us = run->result.end_us;
    if (!run->result.finding.found) trace_what_held(run);
    for (int i = 0; i < IO_SIM_FAULT_COUNT; i++)
        run->result.world_fired[i] = io_sim_fault_fired(run->world, (enum io_sim_fault)i);
    run->result.hash = io_sim_trace_hash(run->world);
    for (int i = 0; i < run->client_count; i++) client_free(&run->clients[i]);
    for (int i = 0; i < run->plan.nodes; i++) {
        struct process *process = &run->processes[i];
        if (process->up && process_has_stopped(process)) process_end(process);
        if (process->up) process_crash(process); /* after a finding */
        model_destroy(process->model);
        free(process->statistics);
    }
    links_free(run);
    free(run->clients);
    value_arena_free(run->arena);
    free(run->arena);
    io_world_destroy(run->world);
}

/* ---- phases ---- */

static bool goes_on(const struct run *run)
{
    return !run->result.finding.found;
}

static void demand_idleness(struct run *run, uint64_t turns_before, int64_t time_us)
{
    int shards = 0;
    for (int i = 0; i < run->plan.nodes; i++) shards += process_shards(&run->processes[i]);
    uint64_t turns = run->result.turns - turns_before,
             limit = (uint64_t)shards * 250 * (uint64_t)(time_us / SECOND_US);
    if (goes_on(run) && turns > limit)
        run_fail(run, ORACLE_LIVENESS, NULL, "idle shards spin: %llu turns in %lld s on %d shards",
                 (unsigned long long)turns, (long long)(time_us / SECOND_US), shards);
}

/* Long, so that deadlines come that are far, and what is done rarely is done. */
static void night(struct run *run)
{
    run->night = true;
    TRACE(run->trace, note, run_now_us(run) - run->start_us, -1, -1, -1, "night begins");
    int64_t begin = run_now_us(run), end = begin + run->plan.night_us;
    while (goes_on(run) && run_now_us(run) < end && !limits_lift(run)) /* an idle client may stay */
        for (int64_t next = run_now_us(run) + SECOND_US; goes_on(run) && run_now_us(run) < next;)
            schedule_step(run, next);
    uint64_t before = run->result.turns;
    while (goes_on(run) && run_now_us(run) < end) schedule_step(run, end);
    demand_idleness(run, before, run_now_us(run) - begin);
    TRACE(run->trace, note, run_now_us(run) - run->start_us, -1, -1, -1, "night ends");
    memset(run->next_fault_us, 0, sizeof run->next_fault_us);
    run->night = false;
}

/* Before the clients come: whoever has only far deadlines to wait for sleeps. Faults rest, as at night. */
static void prelude(struct run *run)
{
    int64_t begin = run_now_us(run);
    run->night = true;
    for (int64_t end = begin + SECOND_US; goes_on(run) && run_now_us(run) < end;) schedule_step(run, end);
    check_prelude_begin(run);
    for (int64_t end = begin + 2 * SECOND_US; goes_on(run) && run_now_us(run) < end;) schedule_step(run, end);
    uint64_t before = run->result.turns;
    for (int64_t end = begin + 4 * SECOND_US; goes_on(run) && run_now_us(run) < end;) schedule_step(run, end);
    demand_idleness(run, before, 2 * SECOND_US);
    run->night = false;
}

static void work(struct run *run)
{
    int64_t end = run->start_us + (run->options.end_us ? run->options.end_us : run->plan.duration_us);
    int64_t limit = run->start_us + LIMIT_US;
    int64_t night_at = run->plan.night_us ? run->start_us + run->plan.duration_us / 2 : INT64_MAX;
    while (goes_on(run)) {
        int64_t now = run_now_us(run);
        if (now >= night_at) {
            night(run);
            night_at = INT64_MAX;
            if (!run->options.end_us) end += run->plan.night_us;
            limit += run->plan.night_us;
            continue;
        }
        bool enough =
            run->options.end_us || (int64_t)(run->result.commands + run->result.errors) >= run->plan.commands;
        if ((now >= end && enough) || now >= limit) break;
        int64_t next = now < end ? end : now + SECOND_US;
        schedule_step(run, next < night_at ? next : night_at);
    }
}

int64_t run_rally_us(const struct run *run, int64_t at_us, struct prng *prng)
{
    int64_t rally = run->plan.rally_us, since = at_us - run->start_us;
    int64_t late = 10 << prng_below(prng, 10);
    return run->start_us + (since / rally + 1) * rally + (int64_t)prng_below(prng, (uint64_t)late);
}

static size_t unanswered(const struct run *run, const struct client **who)
{
    size_t sum = 0;
    for (int i = 0; i < run->client_count; i++) {
        const struct client *client = &run->clients[i];
        if (client->state != CLIENT_OPEN || client->is_cut || !client->link) continue;
        if (link_outstanding(client->link)) *who = client;
        sum += link_outstanding(client->link);
    }
    return sum;
}

static bool all_connected(const struct run *run)
{
    for (int i = 0; i < run->client_count; i++)
        if (run->clients[i].state != CLIENT_OPEN || run->clients[i].is_cut) return false;
    return true;
}

/* Until all is answered; a finding if it takes too long. */
static void settle(struct run *run, const char *what)
{
    int64_t end = run_now_us(run) + HEAL_US;
    const struct client *who = NULL;
    int64_t next = run_now_us(run);
    while (goes_on(run) && (unanswered(run, &who) || !all_connected(run)) && run_now_us(run) < end) {
        if (run_now_us(run) >= next) {
            limits_lift(run); /* who says so may have had to wait */
            next += SECOND_US;
        }
        schedule_step(run, next < end ? next : end);
    }
    size_t left = unanswered(run, &who);
    if (!goes_on(run) || (!left && all_connected(run))) return;
    char text[300] = "";
    struct trace_place place = {.client = -1, .node = -1, .shard = -1};
    for (int i = 0; i < run->client_count && !left; i++) {
        const struct client *client = &run->clients[i];
        static const char *const states[] = {"is away", "is connecting", "is to be closed"};
        if (client->state != CLIENT_OPEN || client->is_cut)
            snprintf(text, sizeof text, "client %d is not connected: it %s", client->index,
                     states[client->state]);
    }
    if (left) {
        const struct op *op = who->link->ops[who->link->next_answer];
        int n = snprintf(
            text, sizeof text,
            "%zu commands are not answered, the first is operation %llu of client %d (%s):", left,
            (unsigned long long)op->number, who->index, op->executed ? "it was executed" : "it never ran");
        for (int i = 0; i < op->argc && n < 250; i++)
            n += snprintf(text + n, sizeof text - (size_t)n, " %.*s",
                          (int)(op->argv[i].len < 20 ? op->argv[i].len : 20), op->argv[i].ptr);
        place.op = op->number;
        place.client = who->index;
    }
    run_fail(run, ORACLE_LIVENESS, &place, "%s: %s, %lld s after the last fault", what, text,
             (long long)(HEAL_US / SECOND_US));
}

/* One line to each node, answered. */
static void tell_all(struct run *run, const char *line)
{
    for (int i = 0; i < run->client_count; i++)
        if (run->clients[i].is_operator) client_say(&run->clients[i], line);
    settle(run, line);
}

static void heal(struct run *run)
{
    run->healing = true;
    run->result.virtual_us = run_now_us(run) - run->start_us;
    TRACE(run->trace, note, run_now_us(run) - run->start_us, -1, -1, -1, "healing begins");
    process_faults_end(run);
    /* A connection that a fault has broken without telling is given up by its client. */
    int64_t grace = run_now_us(run) + 10 * SECOND_US;
    for (int64_t next = run_now_us(run); goes_on(run) && run_now_us(run) < grace; next += SECOND_US) {
        limits_lift(run);
        while (goes_on(run) && run_now_us(run) < next) schedule_step(run, next);
    }
    for (int i = 0; i < run->client_count; i++) {
        struct client *client = &run->clients[i];
        bool broken =
            run->plan.world_rate[IO_SIM_NET_HALF_OPEN] && client->link && link_outstanding(client->link);
        if (client->state == CLIENT_OPEN && client->link && client->link->quits &&
            !client_may_be_broken(client)) {
            run_fail(run, ORACLE_LIVENESS, NULL, "client %d has sent QUIT, but its connection is still open",
                     client->index);
            return;
        }
        if (client->state == CLIENT_OPEN && (broken || client->finished || client->is_cut))
            client_cut(client);
    }
    settle(run, "after healing");
    if (goes_on(run)) tell_all(run, "CONFIG SET maxmemory 0");
    if (goes_on(run)) tell_all(run, "DEBUG SET-ACTIVE-EXPIRE 1");
    bool reloads = goes_on(run) && run->plan.seed % 4 == 0;
    if (reloads) tell_all(run, "DEBUG RELOAD"); /* the audit sees no difference */
    for (int i = 0; i < run->plan.nodes; i++) {
        struct process *process = &run->processes[i];
        process->quiet_since_ms = io_sim_realtime_us(process->world) / 1000;
        if (reloads) process->reloaded_ms = process->quiet_since_ms;
    }
}

/* Lets time pass. Nothing hinders a node: what dies has to go. */
static void rest(struct run *run, int64_t length_us)
{
    int64_t end = run_now_us(run) + length_us, look = run_now_us(run) + LOOK_US;
    while (goes_on(run) && run_now_us(run) < end) {
        schedule_step(run, look);
        if (run_now_us(run) < look) continue;
        look += LOOK_US;
        for (int i = 0; i < run->plan.nodes && goes_on(run); i++) check_overdue(&run->processes[i]);
    }
}

/* Keys and fields die, perhaps while partitions change hands. */
static void drill(struct run *run)
{
    check_drill_begin(run);
    settle(run, "when keys were given deadlines");
    rest(run, DRILL_US);
}

static void idle(struct run *run)
{
    uint64_t before = run->result.turns;
    rest(run, IDLE_US);
    demand_idleness(run, before, IDLE_US);
    for (int i = 0; i < run->plan.nodes && goes_on(run); i++)
        if (process_reshards(&run->processes[i]))
            run_fail(run, ORACLE_LIVENESS, NULL, "node %d: a change of the number of shards does not end", i);
}

/* INFO is put together from what shards say one after the other: a key may die in between, but not always. */
static void check_info(struct run *run)
{
    bool right = false;
    for (int tries = 3; tries-- > 0 && !right && goes_on(run);) {
        tell_all(run, "INFO keyspace");
        right = true;
        for (int i = 0; i < run->plan.nodes && goes_on(run); i++)
            right &= check_keyspace(&run->processes[i], tries == 0);
        if (!right) rest(run, LOOK_US);
    }
}

/* Nodes alone: what is dead goes, and nothing stays behind. */
static void empty(struct run *run)
{
    for (int i = 0; i < run->plan.nodes && goes_on(run); i++) {
        process_check_memory(&run->processes[i]);
        process_check_counts(&run->processes[i]);
        process_check_config(&run->processes[i]);
    }
    const char *how = run->plan.seed % 3 ? "the last key was deleted" : "FLUSHALL";
    if (goes_on(run) && run->plan.seed % 3) {
        check_removal_begin(run);
        settle(run, "when all keys were deleted");
    } else if (goes_on(run)) {
        tell_all(run, "FLUSHALL");
    }
    int64_t end = run_now_us(run) + IDLE_US;
    while (goes_on(run) && run_now_us(run) < end) schedule_step(run, end);
    for (int i = 0; i < run->plan.nodes && goes_on(run); i++) process_check_empty(&run->processes[i], how);
}

static void stop(struct run *run)
{
    /* In the middle of a change, if the seed has such. */
    if (run->plan.process_rate[FAULT_RESHARD]) {
        char line[32];
        snprintf(line, sizeof line, "CONFIG SET shards %d",
                 1 + (int)prng_below(&run->faults, PLAN_SHARDS_MAX));
        for (int i = 0; i < run->client_count; i++)
            if (run->clients[i].is_operator) client_say(&run->clients[i], line);
        int64_t then = run_now_us(run) + (int64_t)prng_below(&run->faults, 3000);
        while (goes_on(run) && run_now_us(run) < then) schedule_step(run, then);
    }
    int64_t end = run_now_us(run) + STOP_US;
    run->stopping = true;
    for (int i = 0; i < run->plan.nodes; i++) process_stop(&run->processes[i]);
    for (;;) {
        bool all = true;
        for (int i = 0; i < run->plan.nodes; i++) all &= process_has_stopped(&run->processes[i]);
        if (all || !goes_on(run)) return;
        if (run_now_us(run) >= end) break;
        schedule_step(run, end);
    }
    run_fail(run, ORACLE_LIVENESS, NULL, "a node does not stop within %lld s",
             (long long)(STOP_US / SECOND_US));
}

void run_simulation(const struct run_options *options, struct run_result *result)
{
    struct run *run = calloc(1, sizeof *run);
    CHECK(run);
    run->options = *options;
    begin(run);
    if (run->plan.prelude) prelude(run);
    work(run);
    if (goes_on(run)) heal(run);
    if (goes_on(run)) check_histories(run);
    if (goes_on(run)) check_audit_begin(run);
    if (goes_on(run)) settle(run, "during the audit");
    if (goes_on(run)) drill(run);
    if (goes_on(run)) idle(run);
    if (goes_on(run)) check_info(run);
    run->quiet = true;
    if (goes_on(run)) tell_all(run, "INFO everything");
    if (goes_on(run)) empty(run);
    if (goes_on(run)) stop(run);
    finish(run);
    *result = run->result;
    free(run);
}
