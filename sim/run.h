/* run: one simulated run, from a plan to a verdict. What its parts share: processes (nodes that run the
 * production code), clients, links (connections of clients as the oracles see them), the scheduler, findings.
 *
 * One thread, virtual time, no global state: runs can follow each other in one process. The first finding
 * ends the run. Files: run.c (the loop), process.c (nodes, their faults), schedule.c (who is next), client.c
 * (clients), link.c (matches what was sent, executed and answered: oracles 1, 2 and 8), check.c (memory,
 * liveness, audit).
 */
#ifndef WEFT_SIM_RUN_H
#define WEFT_SIM_RUN_H

#include <stdio.h>

#include "config/config.h"
#include "sim/limits.h"
#include "sim/litmus.h"
#include "sim/plan.h"
#include "sim/trace.h"

/* Shards and the model both have a `struct value`, so no file sees both: process.c and schedule.c know the
 * shards, link.c and check.c the model. */
#define RUN_SHARDS_MAX 64
struct run;
struct model;
struct value;
struct value_arena;
struct node;
struct partition;
struct record;

/* ---- findings ---- */

enum oracle {
    ORACLE_MODEL,        /* 1: a reply is what the naive model says */
    ORACLE_LINEAR,       /* 2: registers are linearizable, as clients saw them */
    ORACLE_TRANSACTIONS, /* 2: list-append transactions are strictly serializable; EXEC is atomic, WATCH right
                          */
    ORACLE_ORDER,        /* a session's commands run in the order in which they were sent */
    ORACLE_MEMORY,       /* 7 */
    ORACLE_WIRE,         /* 8: replies = requests, in order, on their connection, valid RESP */
    ORACLE_TTL,          /* 9: nothing expires early, nothing due is seen or kept */
    ORACLE_LIVENESS,     /* 12 */
    ORACLE_AUDIT,        /* at the end contents equal the model's */
    ORACLE_LIMITS,       /* clients are refused and closed by limits as they are set, and not otherwise */
    ORACLE_CONFIG,       /* shards agree on the configuration */
    ORACLE_LITMUS,       /* litmus tests have allowed outcomes only */
    ORACLES
};
extern const char *const oracle_names[ORACLES];

struct finding {
    bool found;
    enum oracle oracle;
    int64_t at_us;
    uint64_t step;
    uint64_t op;
    char complaint[3000];
};

/* Records the first finding; later ones are its consequences. No-op when the oracle is switched off. */
void run_fail(struct run *run, enum oracle oracle, const struct trace_place *place, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- processes ---- */

struct process {
    struct run *run;
    int index;
    struct io_world *world;
    struct node *node;
    struct config config;
    struct model *model;
    bool up;
    uint32_t life; /* grows with each start */
    bool running[RUN_SHARDS_MAX];
    int shards_end; /* none from here on has run in this life */
    int64_t free_at_us[RUN_SHARDS_MAX], starved_until_us[RUN_SHARDS_MAX], ready_since_us[RUN_SHARDS_MAX];
    uint32_t priority[RUN_SHARDS_MAX];
    int slow_factor[RUN_SHARDS_MAX];
    int64_t slow_until_us[RUN_SHARDS_MAX];
    bool lying[RUN_SHARDS_MAX]; /* it has announced that it sleeps, and waits */
    int64_t paused_until_us, restart_at_us;
    int64_t stop_asked_us;  /* an orderly stop is under way since; 0: none */
    uint64_t stop_held;     /* shards that have said that they are done, and then perhaps stood still */
    struct link *links[64]; /* found lately, by session ID */
    int64_t empty_bytes;    /* accounted when nothing was in it */
    int64_t quiet_since_ms; /* wall clock: no faults since */
    int64_t reloaded_ms;    /* ... DEBUG RELOAD has left out what was dead then; 0: never */
    int64_t memory_limit;   /* when last looked at */
    uint64_t limit_tick, room_tick; /* since when that; when was used less */
    int next_shards;        /* at the next start */
    uint64_t turns[RUN_SHARDS_MAX];
    struct statistics *statistics; /* since its start */
    bool few_keys;
    int64_t few_keys_us;       /* when hardly any were left, lately; see plan.demands_room */
    bool memory_faults;        /* an allocation may have failed */
    struct partition *failing; /* its slab fails, until */
    int64_t failing_until_us;
    struct limits limits;
};

bool process_start(struct process *process, int shards);
void process_crash(struct process *process);
void process_stop(struct process *process); /* asks; the loop goes on until all have stopped */
bool process_has_stopped(const struct process *process);
void process_end(struct process *process); /* destroys a stopped one */
void process_faults(struct run *run);      /* lets those happen that are due */
void process_faults_end(struct run *run);  /* heals everything */
void process_check_memory(struct process *process);
void process_check_counted(struct process *process, int shard); /* ... of one shard, which has just added up */
void process_check_counts(struct process *process); /* nothing dead is left, and the counts are right */
void process_check_config(struct process *process); /* all shards have the same one */
void process_check_empty(struct process *process, const char *after); /* nothing is accounted any more */
int process_shards(const struct process *process);
bool process_reshards(const struct process *process); /* its number of shards is changing */
bool process_may_refuse(const struct process *process, int64_t since_us);
/* Mail that was published for a shard that sleeps, and nobody will wake it. */
void process_check_mail(struct process *process, int shard);
bool process_has_mail(const struct process *process, int shard); /* or has lent partitions */
int64_t process_memory_limit(const struct process *process);
void process_look_at_memory(struct process *process); /* before and after each turn */

/* ---- scheduler ---- */

/* Gives one turn, or moves time on. False when nothing will ever happen again. */
bool schedule_step(struct run *run, int64_t not_after_us);

/* ---- links: one per connection of a client ---- */

enum op_kind { OP_PLAIN, OP_MULTI, OP_QUEUED, OP_EXEC, OP_DISCARD, OP_HOSTILE };

struct op {
    uint64_t number; /* unique in the run, from 1 */
    size_t index;    /* in its link's ops */
    enum op_kind kind;
    enum workload_family family;
    struct slice *argv; /* one malloc with its bytes */
    int argc;
    bool executed, answered;
    int64_t sent_us, answered_us;
    uint64_t sent_tick, answered_tick; /* of the run's count of such events; 0: never */
    int db;
    uint64_t litmus; /* 1 + the instance that it is of; 0: none */
    uint8_t player;
    char *reply; /* as executed; malloc'ed */
    size_t reply_len;
};

struct link_watch {
    char *key;
    size_t len;
    int db;
    size_t index; /* of the WATCH in the link's ops */
    uint64_t token;
    bool is_unsure; /* a hash with dead fields: the first command of EXEC itself may remove them */
};

struct link_selected {
    size_t index; /* of the op */
    int db;
};

struct link {
    struct link *next; /* all of the run, newest first */
    struct process *process;
    uint32_t life;
    int client;
    char address[IO_ADDRESS_MAX];
    uint64_t session_id; /* 0: not seen yet */
    struct op **ops;
    size_t count, capacity;
    size_t next_execute, next_answer; /* ops before them can no longer run, are answered or will not be */
    size_t answered_end;              /* behind the last one that was answered */
    size_t read_end;                  /* behind the last read that has run */
    size_t transaction;               /* index of the next queued op that EXEC runs */
    struct link_selected *selected;   /* what SELECT and RESET have chosen, in the order of their ops */
    size_t selected_count;
    struct link_watch *watches;
    size_t watch_count;
    bool closed;                /* at the client */
    bool reply_off, reply_skip; /* CLIENT REPLY, as it stands at next_answer */
    bool is_monitor, has_monitored;
    bool quits;                             /* has sent QUIT */
    bool refused;                           /* was told that there are too many */
    uint64_t written_bytes, received_bytes; /* replies of its commands; what the client got */
    int64_t last_executed_us;
    bool was_slow;         /* did not read for a while */
    int64_t last_heard_us; /* the server has heard of it then or later, for sure: when what was answered last
                              was sent, or the connection was asked for */
};

struct link *link_create(struct run *run, struct process *process, int client);
void links_free(struct run *run);
struct op *link_add(struct run *run, struct link *link, enum op_kind kind, enum workload_family family,
                    const struct slice *argv, int argc);
/* A whole reply came from the server. */
void link_answered(struct run *run, struct link *link, const struct value *value, const char *bytes,
                   size_t len);
size_t link_outstanding(const struct link *link);

/* A command that a shard has executed. */
struct execution {
    uint64_t session_id;
    const char *address; /* of the client */
    const struct slice *argv;
    int argc, db, resp, shard;
    bool in_multi;
    bool of_session; /* touches no keys */
    bool is_write, takes_memory;
    int64_t used_bytes; /* of the node, after it */
    int64_t now_ms;
    struct slice reply;
};
void link_executed(struct process *process, const struct execution *execution);
/* A key, or a field of a hash, was removed because it expired or was evicted. */
void link_removed(struct process *process, int db, struct slice key, const struct slice *field, bool evicted);
void link_process_crashed(struct process *process); /* its data is gone */
/* What the model holds of a database now: at least and at most so many keys, and of them some with a
 * deadline. */
void link_model_counts(const struct process *process, int db, uint64_t *least, uint64_t *most,
                       uint64_t *timed);

/* ---- clients ---- */

enum client_state { CLIENT_AWAY, CLIENT_CONNECTING, CLIENT_OPEN };

struct client {
    struct run *run;
    struct process *process;
    int index;
    bool is_operator; /* sends administration, no workload */
    struct io *io;
    struct io_conn *conn;
    struct link *link;
    enum client_state state;
    int64_t act_at_us, slow_until_us, connecting_since_us, silent_until_us;
    struct prng prng;
    uint64_t unit_number;
    struct unit unit;
    char *out, *sending; /* what is to be sent, what is being sent */
    size_t out_len, out_capacity, sending_len, sending_capacity;
    bool is_sending, is_cut;
    bool was_limited; /* its last connection was perhaps closed by a limit */
    int burst_left; /* units of this burst that are still to be sent */
    struct litmus_game {
        uint64_t instance;
        int left;       /* instances of this round, with that one */
        const char *at; /* in its program; NULL: before its begin */
        bool in_multi;
    } litmus;
    char *in;
    size_t in_len, in_capacity, in_seen;
    bool finished; /* sends no more */
    int unit_at;   /* the unit's next command, after a rest; 0: no unit is half sent */
    bool unit_in_multi;
    bool is_watching; /* was told to say MONITOR: says RESET before anything else */
};

bool client_init(struct client *client, struct run *run, int index, struct process *process);
void client_turn(struct client *client);
void client_free(struct client *client);
void client_cut(struct client *client); /* closes now, whatever is under way */
/* Asks for much and reads nothing until then; or (a query) sends one very large command. */
void client_flood(struct client *client, bool query, int64_t until_us);
void client_hostile(struct client *client); /* sends what is no command, and expects to be closed */
/* One command from outside the workload. False: not connected. */
bool client_say(struct client *client, const char *line);
/* Do faults of this seed break connections without anybody's fault? */
bool client_may_be_broken(const struct client *client);
void client_send(struct client *client, const struct slice *argv, int argc);
/* For litmus.c: a command that is sent with the next flush; whether shrinking leaves out a unit. */
struct op *client_queue(struct client *client, enum op_kind kind, const struct slice *argv, int argc);
void client_flush(struct client *client);
bool client_is_dropped(const struct client *client, uint64_t unit);

/* ---- ambushes: faults that wait for a session to be in a delicate state ---- */

enum ambush { AMBUSH_CUT, AMBUSH_KILL, AMBUSH_HOLD, AMBUSH_GATHER, AMBUSH_LARGE, AMBUSH_STOP, AMBUSH_LEAVE, AMBUSHES };
void ambush_lay(struct run *run, enum ambush ambush);
bool ambush_strike(struct run *run, enum ambush ambush); /* if there is such a session now */
void ambush_rush(struct run *run);                       /* goes on with what a strike has begun */

/* ---- the run ---- */

/* What shrinking may leave out: the first units of the first clients, a bit each. */
#define RUN_CLIENTS_MAX 64
#define RUN_UNITS_MAX   4096

struct run_options {
    struct plan_options plan;
    bool oracle_off[ORACLES];
    bool canary; /* one reply is judged as if it were another: that must be found */
    struct trace *trace;
    FILE *tape; /* what was executed, for oracle 14; NULL: none */
    bool verbose;
    const uint8_t *dropped_units; /* shrinking: bit client * RUN_UNITS_MAX + unit set: not sent. NULL: none */
    int64_t end_us;               /* shrinking: nothing new is sent after it; 0: as planned */
};

struct run_result {
    uint64_t hash, steps, turns;
    int64_t virtual_us; /* of work under faults: what comes after does not count */
    int64_t end_us;     /* with healing, audit and stop */
    uint64_t commands;  /* answered with anything but an error of refusal */
    uint64_t errors;
    uint64_t process_fired[PROCESS_FAULTS], world_fired[IO_SIM_FAULT_COUNT];
    uint64_t executed[RUN_SHARDS_MAX];
    struct finding finding;
    uint32_t units[RUN_CLIENTS_MAX];          /* that clients drew */
    uint64_t undecided;                       /* keys whose history the checker gave up on */
    uint64_t litmus_played[LITMUS_TESTS_MAX]; /* instances played to their end */
    uint64_t litmus_weak[LITMUS_TESTS_MAX];   /* of these, with an outcome that only `relaxed` allows */
};

struct run {
    struct run_options options;
    struct plan plan;
    struct io_world *world;
    struct trace *trace;
    struct process processes[PLAN_NODES_MAX];
    struct client *clients;
    int client_count;
    struct link *links;
    struct prng schedule, faults;
    uint64_t op_count, tick;
    int64_t start_us;
    bool quiet;                /* nothing is under way but what the operator asks */
    bool night;                /* clients and faults rest */
    int64_t hindered_until_us; /* by faults that make things slow */
    int64_t prompt_us;         /* within which all is answered that nothing hinders; 0: the seed has faults of
                                  which nobody knows when they hinder */
    bool stopping;             /* the end of the run */
    bool healing;              /* no new faults, no new commands */
    uint32_t turn_executed;    /* commands run in this turn */
    int64_t next_fault_us[PROCESS_FAULTS];
    int64_t ambush_until_us[AMBUSHES];
    struct rush { /* all want one key */
        int64_t until_us, next_us;
        struct process *process;
        char key[64];
        size_t len;
    } rush;
    int burst_left, burst_process, burst_shard, round_robin;
    int starved_process, starved_shard;
    int64_t change_points[3];
    struct value_arena *arena;
    struct run_result result;
};

static inline int64_t run_now_us(const struct run *run)
{
    return io_sim_now_us(run->world);
}

/* The next moment from `at_us` on at which the seed's clients and faults come together, and a little more. */
int64_t run_rally_us(const struct run *run, int64_t at_us, struct prng *prng);

void run_simulation(const struct run_options *options, struct run_result *result);

/* ---- check.c: what is looked at from outside the clients ---- */
void check_audit_begin(struct run *run); /* clients ask for everything that the models hold */
void check_histories(struct run *run);   /* at the end: linearizability and cycles */
void check_removal_begin(struct run *run);
void check_prelude_begin(struct run *run); /* a few keys with far deadlines */
void check_drill_begin(struct run *run); /* many keys and fields get deadlines that soon come */
void check_overdue(struct process *process); /* nothing that is dead stays for long */
/* The last that its operator asked for was INFO keyspace: is the answer right? If it is not, `is_last` makes it
 * a finding. */
bool check_keyspace(struct process *process, bool is_last);

#endif
