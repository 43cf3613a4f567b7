/* plan: everything that a seed decides before the run begins (swarm testing: each seed draws a subset of
 * commands, types, faults, policies and limits). Command-line options override single draws without shifting
 * the others: each group of draws has a random stream of its own. */
#ifndef WEFT_SIM_PLAN_H
#define WEFT_SIM_PLAN_H

#include "io/sim_fault.h"
#include "io/world.h"
#include "sim/workload.h"

#define PLAN_NODES_MAX   7
#define PLAN_SHARDS_MAX  8
#define PLAN_CLIENTS_MAX 12 /* per node */

enum schedule_policy {
    SCHEDULE_UNIFORM,
    SCHEDULE_PRIORITY, /* PCT: fixed priorities with a few change points (Burckhardt et al. 2010) */
    SCHEDULE_STARVE,   /* one actor runs only when nobody else can, for a while */
    SCHEDULE_NEWEST,   /* who became ready last */
    SCHEDULE_LOCKSTEP, /* round robin */
    SCHEDULE_BURST,    /* the same one again and again */
    SCHEDULE_HOLD,     /* who has mail, or has lent something, comes last, now and then for milliseconds */
    SCHEDULE_POLICIES
};
extern const char *const schedule_policy_names[SCHEDULE_POLICIES];

/* What a seed is about, beyond what it draws anyway: plan.c, themes. */
enum theme {
    THEME_NONE,
    THEME_RESHARD, /* one change of the shard count after the other, and stops in the middle */
    THEME_CROWD,   /* few keys, many clients at once, commands over shards: lending, credits, parking */
    THEME_MEMORY,  /* evicting policies at the memory limit, over several shards */
    THEME_LITMUS,  /* litmus.h */
    THEME_CALM,    /* no faults: everything is answered at once */
    THEMES
};
extern const char *const theme_names[THEMES];

/* Faults of processes, memory and clients; those of the simulated world are enum io_sim_fault. */
enum process_fault {
    FAULT_CRASH,          /* the process is gone at once, and comes back empty, perhaps with other shards */
    FAULT_PAUSE,          /* no turn of any actor for a while */
    FAULT_PAUSE_LONG,     /* ... for minutes */
    FAULT_SLOW_CORE,      /* one shard's turns take many times as long */
    FAULT_STARVE,         /* one shard gets no turn for a while */
    FAULT_MAIL_LATE,      /* a ring is looked at just before a message is published in it */
    FAULT_CLOCK_STEP,     /* the wall clock jumps */
    FAULT_RESHARD,        /* CONFIG SET shards */
    FAULT_ALLOCATION,     /* a partition's slab fails, once or for a while */
    FAULT_MEMORY_EDGE,    /* CONFIG SET maxmemory near what is used, and back */
    FAULT_CLIENT_CUT,     /* a client closes, perhaps inside a command or a transaction */
    FAULT_CLIENT_HOSTILE, /* bytes that are no command */
    FAULT_CLIENT_SLOW,    /* a client does not read for a while */
    FAULT_CLIENT_KILL,    /* CLIENT KILL */
    FAULT_CLIENT_PAUSE,   /* CLIENT PAUSE */
    FAULT_CONFIG,         /* CONFIG SET of modes */
    FAULT_CLIENT_LIMIT,   /* CONFIG SET of what a client may take: maxclients, buffers, idle time; and back */
    FAULT_CLIENT_FLOOD,   /* a client asks for much and does not read, or sends one very large command */
    FAULT_STOP,           /* SIGTERM: an orderly end, whatever is under way; it starts again, empty */
    PROCESS_FAULTS
};
struct process_fault_kind {
    const char *name, *group;
};
extern const struct process_fault_kind process_fault_kinds[PROCESS_FAULTS];

struct plan_options { /* what the command line says; 0 or NULL: as the seed draws */
    uint64_t seed;
    int nodes, shards, clients;
    int64_t duration_us;
    int64_t commands;     /* acknowledged ones, before the run may end */
    uint32_t families;    /* enum workload_family */
    int theme;            /* 1 + enum theme */
    int skew;             /* 1 + enum workload_skew */
    const char *only[16]; /* faults, or groups of them */
    int only_count;
    const char *without[64];
    int without_count;
};

struct plan {
    uint64_t seed;
    enum theme theme;
    int nodes, clients; /* clients per node */
    int shards[PLAN_NODES_MAX];
    bool is_crowd; /* many clients on few shards, of one node */
    int64_t duration_us, commands;
    int64_t night_us; /* in the middle, nobody asks for anything for so long; 0: not in this seed */
    enum schedule_policy policy;
    int turn_cost_us, command_cost_ns;
    int look_cost_us; /* of each look at the clock in a turn: slices of work end before the work does */
    struct workload workload;
    int depth_max;    /* commands of a burst */
    int64_t think_us; /* between bursts, mean */
    int64_t rally_us; /* bursts and faults come at multiples of it, so that they meet; 0: at any time */
    bool dribbles;    /* bursts are sent in pieces */
    int resp3_percent;
    bool relaxed;            /* pipeline-order relaxed */
    int64_t maxmemory;       /* 0: none */
    const char *policy_name; /* maxmemory-policy */
    bool demands_room;       /* a write is refused only when nothing is left that could be evicted */
    int set_ints_max, list_entries_max; /* set-max-intset-entries, list-max-listpack-size; 0: as usual */
    size_t partition_limit;
    uint32_t process_rate[PROCESS_FAULTS];   /* mean events per virtual minute, 0: off */
    uint32_t world_rate[IO_SIM_FAULT_COUNT]; /* per million */
    bool prelude;        /* at the start there is nothing but keys that die in a far time, and nobody spins */
    bool drill_reshards; /* at the end, while keys die, the shard count changes once more */
    uint64_t client_seed, process_seed, schedule_seed;
};

void plan_draw(struct plan *plan, const struct plan_options *options);
/* The whole plan in words, a line each: name, value. */
void plan_describe(const struct plan *plan, void (*line)(void *context, const char *name, const char *value),
                   void *context);

#endif
