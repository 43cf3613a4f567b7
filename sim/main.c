/* weft-sim: runs seeds.
 *
 *     weft-sim --seed S            one run; its plan, verdict and "hash: HEX"; status 0 if every oracle held
 *     weft-sim --hunt M            seeds from S on for M minutes, each in a process of its own; counts at the
 * end weft-sim --seed S --shrink   the smallest run that still fails in the same way
 */
#include "sim/run.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mark.h"
#include "base/mutant.h"
#include "sim/hunt.h"

static const char usage[] =
    "usage: weft-sim --seed S [options]\n"
    "  --minutes M       virtual minutes of work (default 2.5)\n"
    "  --commands N      commands to be answered at least (default 10000)\n"
    "  --nodes N  --shards N  --clients N (per node)\n"
    "  --only FAULT      only this fault or group of faults (network, clock, process, memory, client); may "
    "be repeated\n"
    "  --no-faults FAULT without this fault or group; \"all\": none\n"
    "  --workload FAMILIES   of: string bit key hash list set zset stream expire server flush register "
    "append node connection litmus\n"
    "  --skew S          uniform, zipf, sequential or hot-set\n"
    "  --theme T         none, reshard, crowd, memory, litmus or calm\n"
    "  --no-oracle NAME  model, linear, transactions, order, memory, wire, ttl, liveness, audit, limits, config, "
    "litmus\n"
    "  --trace FILE      what happened, as lines of JSON, or as a page if FILE ends in .html\n"
    "  --tape FILE       what node 0 executed and answered, for build/model-check or a real server\n"
    "  --twice           runs the seed twice and compares the hashes\n"
    "  --hunt MINUTES    seeds from S on, for so long (real time)\n"
    "  --count N         ... or so many seeds\n"
    "  --jobs N          processes of a hunt (default 1)\n"
    "  --shrink          reduces a failing run\n"
    "  --mutant NAME     with this defect (builds with mutants only)\n"
    "  --canary          judges one reply wrongly: a finding that has to be reported\n"
    "  --quiet           only verdict and hash\n";

/* ---- options ---- */

enum option_key {
    OPTION_SEED = 1,
    OPTION_MINUTES,
    OPTION_COMMANDS,
    OPTION_NODES,
    OPTION_SHARDS,
    OPTION_CLIENTS,
    OPTION_ONLY,
    OPTION_NO_FAULTS,
    OPTION_WORKLOAD,
    OPTION_SKEW,
    OPTION_THEME,
    OPTION_NO_ORACLE,
    OPTION_TRACE,
    OPTION_TAPE,
    OPTION_TWICE,
    OPTION_HUNT,
    OPTION_COUNT,
    OPTION_JOBS,
    OPTION_SHRINK,
    OPTION_MUTANT,
    OPTION_QUIET,
    OPTION_END,
    OPTION_DROP,
    OPTION_CANARY,
};
static const struct option long_options[] = {{"seed", 1, 0, OPTION_SEED},
                                             {"minutes", 1, 0, OPTION_MINUTES},
                                             {"commands", 1, 0, OPTION_COMMANDS},
                                             {"nodes", 1, 0, OPTION_NODES},
                                             {"shards", 1, 0, OPTION_SHARDS},
                                             {"clients", 1, 0, OPTION_CLIENTS},
                                             {"only", 1, 0, OPTION_ONLY},
                                             {"no-faults", 1, 0, OPTION_NO_FAULTS},
                                             {"workload", 1, 0, OPTION_WORKLOAD},
                                             {"skew", 1, 0, OPTION_SKEW},
                                             {"theme", 1, 0, OPTION_THEME},
                                             {"no-oracle", 1, 0, OPTION_NO_ORACLE},
                                             {"trace", 1, 0, OPTION_TRACE},
                                             {"tape", 1, 0, OPTION_TAPE},
                                             {"twice", 0, 0, OPTION_TWICE},
                                             {"hunt", 1, 0, OPTION_HUNT},
                                             {"count", 1, 0, OPTION_COUNT},
                                             {"jobs", 1, 0, OPTION_JOBS},
                                             {"shrink", 0, 0, OPTION_SHRINK},
                                             {"mutant", 1, 0, OPTION_MUTANT},
                                             {"quiet", 0, 0, OPTION_QUIET},
                                             {"end", 1, 0, OPTION_END},
                                             {"drop", 1, 0, OPTION_DROP},
                                             {"canary", 0, 0, OPTION_CANARY},
                                             {0}};

_Noreturn static void refuse(const char *what, const char *value)
{
    fprintf(stderr, "weft-sim: %s %s\n%s", what, value, usage);
    exit(2);
}

static uint32_t families_of(const char *text)
{
    uint32_t set = 0;
    char copy[256]; /* the command line itself is shown again in replays */
    snprintf(copy, sizeof copy, "%s", text);
    for (char *word = strtok(copy, ", "); word; word = strtok(NULL, ", ")) {
        int i = 0;
        while (workload_family_names[i] && strcmp(workload_family_names[i], word) != 0) i++;
        if (!workload_family_names[i]) refuse("no such family of commands:", word);
        set |= 1u << i;
    }
    return set;
}

static int index_of(const char *word, const char *const *names, int count, const char *what)
{
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], word) == 0) return i;
    refuse(what, word);
}

static bool is_fault(const char *name)
{
    if (strcmp(name, "all") == 0 || io_sim_fault_find(name) >= 0) return true;
    for (int i = 0; i < PROCESS_FAULTS; i++)
        if (!strcmp(name, process_fault_kinds[i].name) || !strcmp(name, process_fault_kinds[i].group))
            return true;
    for (int group = 0; group <= IO_SIM_CLOCK; group++)
        if (!strcmp(name, io_sim_group_name((enum io_sim_group)group))) return true;
    return false;
}

static const char *fault_name(const char *name)
{
    if (!is_fault(name)) refuse("no such fault:", name);
    return name;
}

/* "unit,unit-unit,..." of dropped units, as shrinking prints them. */
static uint8_t *dropped_units(char *text)
{
    uint8_t *set = calloc(1, HUNT_UNITS_BYTES);
    CHECK(set);
    for (char *word = strtok(text, ","); word; word = strtok(NULL, ",")) {
        unsigned long from = strtoul(word, &word, 10), to = *word == '-' ? strtoul(word + 1, NULL, 10) : from;
        for (unsigned long i = from; i <= to && i < HUNT_UNITS_BYTES * 8; i++)
            set[i / 8] |= (uint8_t)(1 << i % 8);
    }
    return set;
}

static void take_option(struct hunt_options *hunt, int key)
{
    static const char *const skews[SKEW_COUNT] = {"uniform", "zipf", "sequential", "hot-set"};
    struct run_options *run = &hunt->run;
    struct plan_options *plan = &run->plan;
    switch ((enum option_key)key) {
    case OPTION_SEED: plan->seed = strtoull(optarg, NULL, 0); break;
    case OPTION_MINUTES: plan->duration_us = (int64_t)(atof(optarg) * 60e6); break;
    case OPTION_COMMANDS: plan->commands = atoll(optarg); break;
    case OPTION_NODES: plan->nodes = atoi(optarg); break;
    case OPTION_SHARDS: plan->shards = atoi(optarg); break;
    case OPTION_CLIENTS: plan->clients = atoi(optarg); break;
    case OPTION_ONLY:
        if (plan->only_count == (int)ARRAY_LEN(plan->only)) refuse("too many of", "--only");
        plan->only[plan->only_count++] = fault_name(optarg);
        break;
    case OPTION_NO_FAULTS:
        if (plan->without_count == (int)ARRAY_LEN(plan->without)) refuse("too many of", "--no-faults");
        plan->without[plan->without_count++] = fault_name(optarg);
        break;
    case OPTION_WORKLOAD: plan->families = families_of(optarg); break;
    case OPTION_SKEW: plan->skew = 1 + index_of(optarg, skews, SKEW_COUNT, "no such skew:"); break;
    case OPTION_THEME: plan->theme = 1 + index_of(optarg, theme_names, THEMES, "no such theme:"); break;
    case OPTION_NO_ORACLE:
        run->oracle_off[index_of(optarg, oracle_names, ORACLES, "no such oracle:")] = true;
        break;
    case OPTION_TRACE: hunt->trace_path = optarg; break;
    case OPTION_TAPE: hunt->tape_path = optarg; break;
    case OPTION_TWICE: hunt->twice = true; break;
    case OPTION_HUNT: hunt->minutes = atof(optarg); break;
    case OPTION_COUNT: hunt->count = strtoull(optarg, NULL, 0); break;
    case OPTION_JOBS: hunt->jobs = atoi(optarg); break;
    case OPTION_SHRINK: hunt->shrink = true; break;
    case OPTION_CANARY: run->canary = true; break;
    case OPTION_QUIET: hunt->quiet = true; break;
    case OPTION_END: run->end_us = atoll(optarg); break;
    case OPTION_DROP: run->dropped_units = dropped_units(optarg); break;
    case OPTION_MUTANT:
#ifdef WEFT_MUTANTS
        if (!mutant_choose(optarg)) refuse("no such mutant:", optarg);
#else
        refuse("this build has no mutants:", optarg);
#endif
        break;
    }
}

static void check_limits(const struct plan_options *plan)
{
    if (plan->nodes < 0 || plan->nodes > PLAN_NODES_MAX) refuse("--nodes is at most", "7");
    if (plan->shards < 0 || plan->shards > RUN_SHARDS_MAX) refuse("--shards is at most", "64");
    if (plan->clients < 0 || plan->clients > 100) refuse("--clients is at most", "100");
}

int main(int argc, char **argv)
{
    struct hunt_options hunt = {.jobs = 1, .argc = argc, .argv = argv};
    int key;
    while ((key = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (key == '?') {
            fputs(usage, stderr);
            return 2;
        }
        take_option(&hunt, key);
    }
    if (optind < argc) refuse("what is", argv[optind]);
    check_limits(&hunt.run.plan);
    if (hunt.minutes > 0 || hunt.count > 0) return hunt_many(&hunt);
    return hunt.shrink ? hunt_shrink(&hunt) : hunt_one(&hunt);
}
