/* Draws plans: see plan.h. Streams: one per group of draws, so that an option or a new draw in one group
 * leaves the others as they were. */
#include "sim/plan.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "sim/litmus.h"

#define SECOND_US    INT64_C(1000000)
#define NIGHT_MIN_US (360 * SECOND_US)

const char *const schedule_policy_names[SCHEDULE_POLICIES] = {"uniform",  "priority", "starve", "newest",
                                                              "lockstep", "burst",    "hold"};
const char *const theme_names[THEMES] = {"none", "reshard", "crowd", "memory", "litmus", "calm"};
const struct process_fault_kind process_fault_kinds[PROCESS_FAULTS] = {
    [FAULT_CRASH] = {"process.crash", "process"},
    [FAULT_PAUSE] = {"process.pause", "process"},
    [FAULT_PAUSE_LONG] = {"process.pause_long", "process"},
    [FAULT_SLOW_CORE] = {"process.slow_core", "process"},
    [FAULT_STARVE] = {"process.starve", "process"},
    [FAULT_MAIL_LATE] = {"process.mail_late", "process"},
    [FAULT_CLOCK_STEP] = {"clock.step", "clock"},
    [FAULT_RESHARD] = {"process.reshard", "process"},
    [FAULT_ALLOCATION] = {"memory.allocation", "memory"},
    [FAULT_MEMORY_EDGE] = {"memory.edge", "memory"},
    [FAULT_CLIENT_CUT] = {"client.cut", "client"},
    [FAULT_CLIENT_HOSTILE] = {"client.hostile", "client"},
    [FAULT_CLIENT_SLOW] = {"client.slow", "client"},
    [FAULT_CLIENT_KILL] = {"client.kill", "client"},
    [FAULT_CLIENT_PAUSE] = {"client.pause", "client"},
    [FAULT_CONFIG] = {"process.config", "process"},
    [FAULT_CLIENT_LIMIT] = {"client.limit", "client"},
    [FAULT_CLIENT_FLOOD] = {"client.flood", "client"},
    [FAULT_STOP] = {"process.stop", "process"},
};
/* Events per virtual minute, when a seed has the fault. */
static const uint32_t process_rates[PROCESS_FAULTS] = {
    [FAULT_CRASH] = 2,        [FAULT_PAUSE] = 20,        [FAULT_PAUSE_LONG] = 1,
    [FAULT_SLOW_CORE] = 10,   [FAULT_STARVE] = 15,       [FAULT_MAIL_LATE] = 1,
    [FAULT_CLOCK_STEP] = 4,   [FAULT_RESHARD] = 15,      [FAULT_ALLOCATION] = 20,
    [FAULT_MEMORY_EDGE] = 8,  [FAULT_CLIENT_CUT] = 30,   [FAULT_CLIENT_HOSTILE] = 10,
    [FAULT_CLIENT_SLOW] = 10, [FAULT_CLIENT_KILL] = 10,  [FAULT_CLIENT_PAUSE] = 8,
    [FAULT_CONFIG] = 10,      [FAULT_CLIENT_LIMIT] = 15, [FAULT_CLIENT_FLOOD] = 12,
    [FAULT_STOP] = 2};

static void stream(struct prng *prng, const struct plan *plan, const char *name)
{
    prng_seed(prng, hash_bytes(name, strlen(name), plan->seed));
}

static bool is_named(const char *name, const char *group, const char *wanted)
{
    return strcmp(name, wanted) == 0 || strcmp(group, wanted) == 0 || strcmp(wanted, "all") == 0;
}

/* May this fault be drawn? 2: it must, as the command line names it. */
static int allowed(const struct plan_options *options, const char *name, const char *group)
{
    for (int i = 0; i < options->without_count; i++)
        if (is_named(name, group, options->without[i])) return 0;
    if (!options->only_count) return 1;
    for (int i = 0; i < options->only_count; i++)
        if (is_named(name, group, options->only[i])) return 2;
    return 0;
}

/* ---- faults ---- */

/* Rates at which a run of a minute meets a fault some times without drowning in it. */
static uint32_t world_rate(enum io_sim_fault fault, struct prng *prng)
{
    const char *unit = io_sim_fault_row(fault)->unit;
    uint32_t most = 2000;
    if (strcmp(unit, "SEGMENT") == 0) most = 3000;
    if (strcmp(unit, "RECEIVE") == 0) most = 200000;
    if (strcmp(unit, "LISTEN") == 0) most = 900000; /* at each start but the first */
    if (strcmp(unit, "CONNECT") == 0 || strcmp(unit, "ACCEPT") == 0 || strcmp(unit, "ATTACH") == 0)
        most = 200000;
    if (strcmp(unit, "NODE_TICK") == 0 || strcmp(unit, "TICK") == 0) most = 4000;
    if (strcmp(unit, "NODE") == 0) most = 1000000;
    if (fault == IO_SIM_NET_RESET || fault == IO_SIM_NET_FIN_CUT || fault == IO_SIM_NET_HALF_OPEN) most = 600;
    if (fault == IO_SIM_NET_ONE_BYTE) most = 50000;
    return 1 + (uint32_t)prng_below(prng, most);
}

static bool concerns_us(enum io_sim_fault fault)
{
    enum io_sim_group group = io_sim_fault_row(fault)->group;
    if (group == IO_SIM_CLOCK) return true;
    return group == IO_SIM_NETWORK && fault != IO_SIM_NET_CORRUPT; /* peers have no links yet */
}

/* A wall clock that goes back brings keys to life again that had expired but were not removed yet, here as in
 * Redis. The model cannot know which, so in a seed with such clocks deadlines are far away. */
static bool goes_back(const struct plan *plan)
{
    return plan->process_rate[FAULT_CLOCK_STEP] || plan->world_rate[IO_SIM_CLOCK_STEP_BACK];
}

static void draw_faults(struct plan *plan, const struct plan_options *options)
{
    struct prng prng;
    stream(&prng, plan, "faults");
    int percent = (int)prng_below(&prng, 60); /* some seeds have few kinds, some many */
    for (int i = 0; i < FAULT_CLIENT_LIMIT; i++) {
        const struct process_fault_kind *kind = &process_fault_kinds[i];
        bool drawn = (int)prng_below(&prng, 100) < percent;
        uint32_t rate = 1 + (uint32_t)prng_below(&prng, 2 * process_rates[i]);
        /* Some seeds are storms. */
        static const uint32_t storms[] = {1, 1, 1, 1, 5, 30};
        uint32_t storm = storms[prng_below(&prng, ARRAY_LEN(storms))];
        if (i != FAULT_CRASH && i != FAULT_PAUSE_LONG && i != FAULT_CLIENT_PAUSE) rate *= storm;
        int may = allowed(options, kind->name, kind->group);
        if (may == 2 || (may && drawn)) plan->process_rate[i] = rate;
    }
    for (int i = 0; i < IO_SIM_FAULT_COUNT; i++) {
        const struct io_sim_fault_row *row = io_sim_fault_row((enum io_sim_fault)i);
        bool drawn = (int)prng_below(&prng, 100) < percent;
        uint32_t rate = world_rate((enum io_sim_fault)i, &prng);
        int may = concerns_us((enum io_sim_fault)i)
                      ? allowed(options, row->name, io_sim_group_name(row->group))
                      : 0;
        if (may == 2 || (may && drawn)) plan->world_rate[i] = rate;
    }
    /* Limits and what breaks them come together; they have draws of their own, as they came later. */
    stream(&prng, plan, "faults, limits");
    bool drawn = prng_below(&prng, 100) < 50;
    for (int i = FAULT_CLIENT_LIMIT; i <= FAULT_CLIENT_FLOOD; i++) {
        uint32_t rate = 1 + (uint32_t)prng_below(&prng, 2 * process_rates[i]);
        int may = allowed(options, process_fault_kinds[i].name, process_fault_kinds[i].group);
        if (may == 2 || (may && drawn)) plan->process_rate[i] = rate;
    }
    if (plan->is_crowd && allowed(options, "process.reshard", "process") == 1 &&
        !plan->process_rate[FAULT_RESHARD])
        plan->process_rate[FAULT_RESHARD] = process_rates[FAULT_RESHARD];
    stream(&prng, plan, "faults, stops");
    drawn = prng_below(&prng, 100) < 25;
    uint32_t stops = 1 + (uint32_t)prng_below(&prng, 2 * process_rates[FAULT_STOP]);
    int may = allowed(options, "process.stop", "process");
    if (may == 2 || (may && drawn)) plan->process_rate[FAULT_STOP] = stops;
    stream(&prng, plan, "faults, deadlines and memory");
    const struct process_fault_kind *reshard = &process_fault_kinds[FAULT_RESHARD];
    plan->drill_reshards = prng_below(&prng, 2) && allowed(options, reshard->name, reshard->group);
    const struct process_fault_kind *edge = &process_fault_kinds[FAULT_MEMORY_EDGE];
    if (strcmp(plan->policy_name, "noeviction") != 0 && allowed(options, edge->name, edge->group) &&
        !plan->process_rate[FAULT_MEMORY_EDGE])
        plan->process_rate[FAULT_MEMORY_EDGE] = 1 + (uint32_t)prng_below(&prng, 40);
    plan->workload.far_deadlines = goes_back(plan);
    int most = IO_SIM_NODES_MAX / plan->nodes - 2; /* a client is a node of the network; each server has an operator */
    if (plan->clients > most) plan->clients = most;
    /* Which of two equal commands was refused cannot be told when they may run in any order. */
    if (plan->relaxed) plan->process_rate[FAULT_ALLOCATION] = plan->process_rate[FAULT_MEMORY_EDGE] = 0;
}

/* ---- workload and shape ---- */

static void draw_workload(struct plan *plan, const struct plan_options *options)
{
    struct prng prng;
    stream(&prng, plan, "workload");
    struct workload *w = &plan->workload;
    w->seed = prng_next(&prng);
    w->families = 0;
    for (uint32_t bit = 1; bit < FAMILY_NODE; bit <<= 1)
        if (prng_below(&prng, 100) < 65) w->families |= bit;
    if (!(w->families & (FAMILY_STRING | FAMILY_HASH | FAMILY_LIST | FAMILY_SET | FAMILY_ZSET)))
        w->families |= FAMILY_STRING;
    struct prng later; /* families that came later: the draws of the others stay as they were */
    stream(&later, plan, "workload, connections");
    if (prng_below(&later, 100) < 40) w->families |= FAMILY_NODE;
    if (prng_below(&later, 100) < 40) w->families |= FAMILY_CONNECTION;
    if (options->families) w->families = options->families;
    if (w->families & (FAMILY_REGISTER | FAMILY_APPEND)) w->families &= ~(uint32_t)FAMILY_FLUSH;
    w->skew = options->skew ? (enum workload_skew)(options->skew - 1)
                            : (enum workload_skew)prng_below(&prng, SKEW_COUNT);
    static const int keys[] = {2, 5, 12, 40, 150, 3000};
    w->keys_per_type = keys[prng_below(&prng, ARRAY_LEN(keys))];
    static const int lens[] = {100, 100, 3000, 40000, 300000};
    w->value_len_max = lens[prng_below(&prng, ARRAY_LEN(lens))];
    w->transaction_percent = (int)prng_below(&prng, 25);
    w->short_ttl_percent = (int)prng_below(&prng, 101);
    static const int tags[] = {0, 0, 0, 0, 0, 1, 2, 12};
    w->tags = tags[prng_below(&prng, ARRAY_LEN(tags))];
    static const int units[] = {1, 1, 1000, 10000, 30000};
    w->deadline_round_ms = units[prng_below(&prng, ARRAY_LEN(units))];
    w->has_readers = prng_below(&prng, 2);
    static const int depths[] = {1, 3, 10, 64, 300};
    plan->depth_max = depths[prng_below(&prng, ARRAY_LEN(depths))];
    plan->resp3_percent = (int)prng_below(&prng, 101);
}

static void draw_shape(struct plan *plan, const struct plan_options *options)
{
    struct prng prng;
    stream(&prng, plan, "shape");
    static const int nodes[] = {1, 1, 1, 2, 3};
    plan->nodes = nodes[prng_below(&prng, ARRAY_LEN(nodes))];
    if (options->nodes) plan->nodes = options->nodes;
    for (int i = 0; i < PLAN_NODES_MAX; i++) {
        static const int shards[] = {1, 2, 2, 3, 4, 4, 7, 8};
        plan->shards[i] = shards[prng_below(&prng, ARRAY_LEN(shards))];
        if (options->shards) plan->shards[i] = options->shards;
    }
    plan->clients = 1 + (int)prng_below(&prng, plan->nodes > 1 ? 5 : 10);
    struct prng crowds;
    stream(&crowds, plan, "shape, crowds");
    if (prng_below(&crowds, 100) < 10 && plan->nodes == 1) {
        plan->is_crowd = true;
        plan->clients = 20 + (int)prng_below(&crowds, 30);
        if (!options->families) plan->workload.families |= FAMILY_NODE;
        plan->shards[0] = 1 + (int)prng_below(&crowds, 3);
    }
    if (options->clients) plan->clients = options->clients;
    if (options->shards) plan->shards[0] = options->shards;
    plan->duration_us = options->duration_us ? options->duration_us : 150 * SECOND_US;
    plan->commands = options->commands ? options->commands : 10000;
    plan->relaxed = prng_below(&prng, 5) == 0;
    plan->partition_limit = 64u << 20;
    static const int limits[] = {0, 0, 0, 2, 4, 16, 50};
    static const int ints[] = {0, 0, 130, 200}; /* not below set-max-listpack-entries */
    plan->set_ints_max = ints[prng_below(&prng, ARRAY_LEN(ints))];
    plan->list_entries_max = limits[prng_below(&prng, ARRAY_LEN(limits))];
    plan->workload.set_ints_max = plan->set_ints_max;
    plan->workload.list_entries_max = plan->list_entries_max;
    plan->policy_name = "noeviction";
    if (prng_below(&prng, 4) == 0 && !(options->families & (FAMILY_REGISTER | FAMILY_APPEND))) {
        plan->workload.families &= ~(uint32_t)(FAMILY_REGISTER | FAMILY_APPEND); /* they must not lose keys */
        if (!plan->workload.families) plan->workload.families = FAMILY_STRING;
        static const char *const policies[] = {"allkeys-lru",  "volatile-lru", "allkeys-random",
                                               "volatile-ttl", "allkeys-lfu",  "volatile-random"};
        plan->policy_name = policies[prng_below(&prng, ARRAY_LEN(policies))];
    }
}

static void draw_schedule(struct plan *plan)
{
    struct prng prng;
    stream(&prng, plan, "schedule");
    plan->policy = (enum schedule_policy)prng_below(&prng, SCHEDULE_HOLD);
    plan->turn_cost_us = 1 + (int)prng_below(&prng, 50);
    plan->command_cost_ns = 200 + (int)prng_below(&prng, 20000);
    plan->schedule_seed = prng_next(&prng);
    plan->client_seed = prng_next(&prng);
    plan->process_seed = prng_next(&prng);
    stream(&prng, plan, "schedule, hold"); /* came later: the other draws stay as they were */
    if (prng_below(&prng, 7) == 0) plan->policy = SCHEDULE_HOLD;
    stream(&prng, plan, "schedule, looks");
    static const int looks[] = {0, 0, 0, 1, 10, 40, 80}; /* a slice is 200 us */
    plan->look_cost_us = looks[prng_below(&prng, ARRAY_LEN(looks))];
}

/* From NIGHT_MIN_US on, shorter ones more often. Not where the clock goes back: see far_deadlines. */
static void draw_night(struct plan *plan)
{
    struct prng prng;
    stream(&prng, plan, "night");
    struct prng early;
    stream(&early, plan, "prelude");
    plan->prelude = prng_below(&early, 4) == 0;
    if (prng_below(&prng, 2) != 0 || plan->workload.far_deadlines) return;
    plan->night_us = NIGHT_MIN_US << prng_below(&prng, 5);
    plan->night_us += (int64_t)prng_below(&prng, (uint64_t)plan->night_us);
    plan->workload.night_ms = plan->night_us / 1000;
}

/* ---- themes ---- */

/* A storm of one fault, unless the command line is against it. */
static void storm(struct plan *plan, const struct plan_options *options, enum process_fault fault,
                  uint32_t rate)
{
    const struct process_fault_kind *kind = &process_fault_kinds[fault];
    if (allowed(options, kind->name, kind->group)) plan->process_rate[fault] = rate;
}

static void calm_world(struct plan *plan, const struct plan_options *options)
{
    for (int i = 0; i < IO_SIM_FAULT_COUNT; i++) {
        const struct io_sim_fault_row *row = io_sim_fault_row((enum io_sim_fault)i);
        if (allowed(options, row->name, io_sim_group_name(row->group)) != 2) plan->world_rate[i] = 0;
    }
}

static void shape_crowd(struct plan *plan, const struct plan_options *options, struct prng *prng)
{
    static const int depths[] = {3, 10, 30, 100}, keys[] = {2, 5, 12, 40};
    plan->is_crowd = false;
    plan->nodes = options->nodes ? options->nodes : 1;
    plan->clients = options->clients ? options->clients : 6 + (int)prng_below(prng, 15);
    plan->dribbles = prng_below(prng, 3) != 0;
    plan->depth_max = depths[prng_below(prng, ARRAY_LEN(depths))];
    plan->workload.keys_per_type = keys[prng_below(prng, ARRAY_LEN(keys))];
    plan->workload.transaction_percent = (int)prng_below(prng, 60);
    if (!options->families) plan->workload.families |= FAMILY_STRING | FAMILY_KEY;
    plan->relaxed = prng_below(prng, 3) != 0;
    if (prng_below(prng, 2)) plan->policy = SCHEDULE_HOLD;
}

static void shape_memory(struct plan *plan, const struct plan_options *options, struct prng *prng)
{
    static const char *const policies[] = {"allkeys-lru",  "allkeys-random",  "allkeys-lfu", "volatile-lru",
                                           "volatile-ttl", "volatile-random", "noeviction"};
    static const int lens[] = {100, 3000, 40000};
    plan->policy_name = policies[prng_below(prng, ARRAY_LEN(policies))];
    plan->workload.value_len_max = lens[prng_below(prng, ARRAY_LEN(lens))];
    plan->workload.families &= ~(uint32_t)(FAMILY_REGISTER | FAMILY_APPEND);
    if (!options->families) plan->workload.families |= FAMILY_STRING;
    plan->relaxed = false;
    if (prng_below(prng, 2)) plan->process_rate[FAULT_ALLOCATION] = 0;
    if (prng_below(prng, 2)) plan->workload.families &= ~(uint32_t)FAMILY_FLUSH;
    if (!options->shards && plan->shards[0] == 1) plan->shards[0] = 3;
}

/* Four players, perhaps others in between. */
static void shape_litmus(struct plan *plan, const struct plan_options *options, struct prng *prng)
{
    static const int depths[] = {1, 3, 10};
    plan->is_crowd = false;
    plan->nodes = options->nodes ? options->nodes : 1;
    plan->clients = options->clients ? options->clients : LITMUS_PLAYERS + (int)prng_below(prng, 6);
    plan->depth_max = depths[prng_below(prng, ARRAY_LEN(depths))];
    if (!options->shards) plan->shards[0] = 2 + (int)prng_below(prng, 7);
    plan->workload.families &= ~(uint32_t)FAMILY_FLUSH;
    plan->workload.families |= FAMILY_LITMUS;
    plan->policy_name = "noeviction";
    plan->relaxed = prng_below(prng, 2);
    plan->process_rate[FAULT_ALLOCATION] = plan->process_rate[FAULT_MEMORY_EDGE] = 0;
    if (prng_below(prng, 4)) plan->policy = SCHEDULE_HOLD;
}

static void draw_theme(struct plan *plan, const struct plan_options *options)
{
    struct prng prng;
    stream(&prng, plan, "theme");
    static const uint8_t percent[THEMES] = {
        [THEME_RESHARD] = 18, [THEME_CROWD] = 14, [THEME_MEMORY] = 8, [THEME_LITMUS] = 8, [THEME_CALM] = 5};
    int at = (int)prng_below(&prng, 100);
    for (int i = 1; i < THEMES; i++) {
        if (at >= 0 && at < percent[i]) plan->theme = (enum theme)i;
        at -= percent[i];
    }
    if (plan->is_crowd) plan->theme = THEME_NONE; /* it has a shape already */
    if (options->families & FAMILY_LITMUS) plan->theme = THEME_LITMUS;
    if (options->theme) plan->theme = (enum theme)(options->theme - 1);
    bool rally = prng_below(&prng, 3) == 0 || plan->theme;
    bool calm = prng_below(&prng, 2);
    uint32_t rate = (uint32_t)prng_below(&prng, 1000), stops = (uint32_t)prng_below(&prng, 6);
    switch (plan->theme) {
    case THEME_RESHARD:
        shape_crowd(plan, options, &prng);
        storm(plan, options, FAULT_RESHARD, 60 + rate);
        if (stops) storm(plan, options, FAULT_STOP, stops);
        storm(plan, options, FAULT_STARVE, rate % 200);
        storm(plan, options, FAULT_MAIL_LATE, 3 + rate % 30);
        break;
    case THEME_CROWD:
        shape_crowd(plan, options, &prng);
        if (!options->shards) plan->shards[0] = 2 + (int)(rate % 3);
        storm(plan, options, FAULT_STARVE, 30 + rate % 500);
        break;
    case THEME_MEMORY:
        shape_memory(plan, options, &prng);
        storm(plan, options, FAULT_MEMORY_EDGE, 60 + rate);
        break;
    case THEME_LITMUS:
        shape_litmus(plan, options, &prng);
        if (rate % 2) storm(plan, options, FAULT_RESHARD, 60 + rate);
        if (rate % 4) storm(plan, options, FAULT_STARVE, 300 + 2 * rate);
        break;
    case THEME_CALM:
        calm = true;
        for (int i = 0; i < PROCESS_FAULTS; i++)
            if (allowed(options, process_fault_kinds[i].name, process_fault_kinds[i].group) != 2)
                plan->process_rate[i] = 0;
        break;
    default: calm = false; break;
    }
    if (calm) calm_world(plan, options);
    if (rally) plan->rally_us = 1;
}

/* What does not go together. */
static void reconcile(struct plan *plan)
{
    plan->workload.far_deadlines = goes_back(plan);
    int most = IO_SIM_NODES_MAX / plan->nodes - 2; /* a client is a node of the network; each server has an operator */
    if (plan->clients > most) plan->clients = most;
    /* Which of two equal commands was refused cannot be told when they may run in any order. */
    if (plan->relaxed) plan->process_rate[FAULT_ALLOCATION] = plan->process_rate[FAULT_MEMORY_EDGE] = 0;
    plan->demands_room = strncmp(plan->policy_name, "allkeys", 7) == 0 &&
                         !plan->process_rate[FAULT_ALLOCATION] && !(plan->workload.families & FAMILY_FLUSH);
}

/* A client sends a burst of depth_max / 2 units on average, then thinks, so that the commands fill the time.
 * A transaction is about five commands. */
static void pace(struct plan *plan)
{
    int64_t burst = (plan->depth_max + 1) * (100 + 5 * plan->workload.transaction_percent) / 200;
    int64_t bursts = plan->commands * 11 / 10 / (plan->nodes * plan->clients) / (burst > 0 ? burst : 1) + 1;
    plan->think_us = plan->duration_us / bursts;
    if (plan->rally_us) plan->rally_us = plan->think_us / 2 + 1000;
    if (plan->theme == THEME_LITMUS) plan->rally_us = LITMUS_ROUND_US;
}

void plan_draw(struct plan *plan, const struct plan_options *options)
{
    *plan = (struct plan){.seed = options->seed};
    draw_workload(plan, options);
    draw_shape(plan, options);
    draw_schedule(plan);
    draw_faults(plan, options);
    draw_theme(plan, options);
    reconcile(plan);
    pace(plan);
    draw_night(plan);
}

/* ---- in words ---- */

void plan_describe(const struct plan *plan, void (*line)(void *context, const char *name, const char *value),
                   void *context)
{
    static const char *const skews[SKEW_COUNT] = {"uniform", "zipf", "sequential", "hot-set"};
    char text[2048];
    int n = 0;
    for (int i = 0; i < plan->nodes; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s%d", i ? " + " : "", plan->shards[i]);
    line(context, "shards", text);
    if (plan->theme) line(context, "theme", theme_names[plan->theme]);
    snprintf(text, sizeof text, "%d per node, up to %d commands at once, every %lld us%s", plan->clients,
             plan->depth_max, (long long)plan->think_us, plan->rally_us ? ", together" : "");
    line(context, "clients", text);
    if (plan->night_us) {
        snprintf(text, sizeof text, "%lld s", (long long)(plan->night_us / SECOND_US));
        line(context, "night", text);
    }
    n = 0;
    for (int i = 0; workload_family_names[i]; i++)
        if (plan->workload.families & 1u << i)
            n += snprintf(text + n, sizeof text - (size_t)n, "%s ", workload_family_names[i]);
    n += snprintf(text + n, sizeof text - (size_t)n,
                  "| %d keys of a type, %s, values to %d bytes, %d%% transactions",
                  plan->workload.keys_per_type, skews[plan->workload.skew], plan->workload.value_len_max,
                  plan->workload.transaction_percent);
    line(context, "workload", text);
    snprintf(text, sizeof text, "%s, %d us + %d us per look + %d ns per command, order %s, %s",
             schedule_policy_names[plan->policy], plan->turn_cost_us, plan->look_cost_us, plan->command_cost_ns,
             plan->relaxed ? "relaxed" : "strict", plan->policy_name);
    line(context, "schedule", text);
    n = 0;
    text[0] = 0;
    for (int i = 0; i < PROCESS_FAULTS; i++)
        if (plan->process_rate[i])
            n += snprintf(text + n, sizeof text - (size_t)n, "%s %u/min  ", process_fault_kinds[i].name,
                          plan->process_rate[i]);
    for (int i = 0; i < IO_SIM_FAULT_COUNT; i++)
        if (plan->world_rate[i])
            n += snprintf(text + n, sizeof text - (size_t)n, "%s %u ppm  ",
                          io_sim_fault_name((enum io_sim_fault)i), plan->world_rate[i]);
    line(context, "faults", text);
}
