/* limits: what a node allows its clients (maxclients, output and query buffers, idle time), changed while it
 * runs, and the oracle that it keeps to them: nobody is refused or closed without reason, nobody is let in or
 * kept beyond a limit.
 *
 * The sessions and configurations of a node's shards are looked at every 50 virtual milliseconds. Whether a
 * shard had the time to act is counted in runs of its cron, so pauses and slow cores do not matter; where its
 * wall clock may jump, times are not judged. Clients tell the rest: what a connection that ended had sent and
 * got (client.c). Tests: the mutants of area "limits" (src/base/mutants.def).
 */
#ifndef WEFT_SIM_LIMITS_H
#define WEFT_SIM_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

struct run;
struct process;
struct client;
struct link;
struct execution;
struct op;

enum limit { LIMIT_CLIENTS, LIMIT_OUTPUT, LIMIT_QUERY, LIMIT_IDLE, LIMITS };

#define LIMIT_SESSIONS 256 /* that are followed at once; more share places, and are judged less often */
#define LIMIT_SECONDS  16

struct limit_session {
    uint64_t id;
    int shard;
    uint32_t hard_cron, soft_cron,
        idle_cron; /* the shard's cron runs when it was first seen beyond; 0: is not */
};

struct limits {
    int64_t began_us; /* the process started */
    int64_t next_look_us;
    int64_t seen_us[LIMITS];  /* when some shard last had it; 0: never */
    int64_t since_us[LIMITS]; /* since when all have it without a break; 0: not */
    int64_t least[LIMITS];    /* the lowest value in this life; of output limits, the hard or the soft one */
    int64_t maxclients;       /* as last seen, */
    uint64_t maxclients_id;   /* and the last client that may have come before it was so */
    struct limit_session sessions[LIMIT_SESSIONS];
    int64_t most_at[LIMIT_SECONDS];
    uint32_t most[LIMIT_SECONDS]; /* sessions seen at once in each of the last seconds */
};

void limits_begin(struct process *process); /* it starts */
void limits_look(struct process *process);
/* CONFIG SET of a limit, or of its default; NULL: nothing to say. Valid until the next call. */
const char *limits_draw(struct run *run, struct process *process, char *line, int size);
/* Tells nodes to lift all limits; to be called until all are (true). */
bool limits_lift(struct run *run);
/* A client was told that there are too many. */
void limits_refused(struct run *run, struct link *link);
/* May the server have closed this client's connection because of a limit? */
bool limits_may_close(const struct client *client);
/* A command has run: was it to run at all? */
void limits_executed(struct process *process, const struct link *link, const struct op *op,
                     const struct execution *execution);

#endif
