/* node: what the actors of one process have in common: the partitions' addresses, the mailboxes, the hash
 * seed.
 *
 * Everything but the mailboxes and the budget is written before the actors start or while all of them are
 * quiet (reshard), and only read otherwise. The partitions array never changes; *who may touch* a partition
 * does (P1).
 *
 * Bounds: at most SHARDS_MAX shards; each ordered pair has a data ring of 16 and a control ring of 32
 * messages (3 KiB): 64 shards take 13 MiB, 2 take 13 KiB, as rings exist only between shards that do.
 */
#ifndef WEFT_SHARD_NODE_H
#define WEFT_SHARD_NODE_H

#include <stdatomic.h>
#include "base/ring.h"
#include "config/config.h"
#include "store/partition.h"

#define SHARDS_MAX    64
#define DATA_SLOTS    16 /* also the most unanswered requests from one actor to another */
#define CONTROL_SLOTS 32

enum lane { LANE_DATA, LANE_CONTROL, LANE_COUNT };

struct shard;
struct session;
struct command_context;
struct io;

/* How actors come to life and end: threads in production, scheduler entries in the simulator. */
struct node_host {
    void *context;
    struct io *(*io_create)(void *context, int *error);
    void (*io_destroy)(void *context, struct io *io);
    bool (*actor_start)(void *context, struct shard *shard);
    void (*actor_join)(void *context, struct shard *shard); /* after it stopped */
    /* These three may be NULL. */
    void (*log)(void *context, enum config_log level, const char *sentence); /* any actor */
    /* CONFIG SET, on any shard before it takes effect: does what concerns the process (dir, open files) and
     * makes values what they come to (an absolute path, a count of CPUs). False: refused, with the
     * directive's name and the reason. */
    bool (*prepare)(void *context, const struct config *old, struct config *next, const char **name,
                    char reason[CONFIG_ERROR_MAX]);
    void (*configured)(void *context, const struct config *config); /* shard 0, after a CONFIG SET */
    /* What the simulator's oracles see; NULL in production. `executed`: a command's handler has run on this
     * shard and written its reply from `reply_start` on; `session` may be another shard's. `record`: a change
     * record, before `executed` of the command that made it. `mail_late`: the consumer looks
     * at this ring just before what is in it is published. */
    void (*executed)(void *context, const struct shard *shard, const struct session *session,
                     const struct command_context *ctx, size_t reply_start);
    void (*record)(void *context, const struct record *record);
    void (*record_unit_end)(void *context); /* store_env.record_unit_end */
    bool (*mail_late)(void *context, uint16_t from, uint16_t to, enum lane lane);
};

/* Memory that may still be leased out of `maxmemory`; leases are chunks, so shards touch it rarely. */
struct budget {
    _Alignas(64) _Atomic int64_t used_bytes; /* leased by all shards */
    _Atomic int freeing;                     /* shards that have large values or clients to free */
    _Atomic int evicting;                    /* shards that may have something to evict */
    _Atomic bool evicts_nothing[SHARDS_MAX]; /* shards that need not be woken for it */
    _Atomic int64_t peak_bytes; /* the most that was seen, about every 100 ms and by every INFO */
};

struct node {
    struct node_host host;
    struct partition *partitions[PARTITION_COUNT];
    struct partition *partition_array; /* where they stand, side by side */
    struct shard *shards[SHARDS_MAX];
    struct ring *rings[SHARDS_MAX][SHARDS_MAX][LANE_COUNT]; /* [from][to] */
    _Atomic bool sleeping[SHARDS_MAX];
    struct budget budget;
    _Atomic uint16_t shard_count; /* set by reshard while all are quiet */
    _Atomic bool stop, resharding;
    _Atomic uint16_t stopped; /* actors that have nothing left to do */
    int exit_status;
    _Atomic uint64_t config_stamp; /* grows with each CONFIG SET */
    _Atomic uint64_t slowlog_next_id;
    _Atomic uint64_t replication_seed;           /* of the replication id */
    _Atomic bool active_expire_off, cron_paused; /* DEBUG */
    uint64_t hash_seed, random_seed;
    int64_t started_us; /* wall clock */
    int64_t process_id;
    int64_t memory_total;
    _Atomic int64_t
        startup_bytes; /* what the node takes without data and clients; part of the budget's use */
    char run_id[41];
    const char *io_name;
    int compiler[3]; /* its version; 0.0.0 where a run must not depend on it */
    char os[128];
    char executable[1024]; /* absolute path */
    uint16_t port;
};

/* Allocates partitions; NULL without memory. `shards` rings are made by node_add_shard. */
struct node *node_create(const struct node_host *host, const struct config *config,
                         const struct slab_memory *memory, size_t partition_limit_bytes, uint64_t seed);
void node_destroy(struct node *node);
/* Makes the rings between `index` and all shards below it. False: no memory. */
bool node_add_rings(struct node *node, uint16_t index);

/* Memory that the node takes for itself (negative: gives back): counted in the budget's use. */
void node_count_memory(struct node *node, int64_t bytes);

/* 40 hexadecimal digits. */
#define NODE_ID_LEN 40
void node_write_id(uint64_t seed, char id[NODE_ID_LEN + 1]);

/* Asks all actors to close their sessions and end. Any thread. */
void node_stop(struct node *node, int exit_status);

/* The shard that owns a partition when there are `shards` of them: contiguous runs. */
static inline uint16_t node_owner(uint16_t partition, uint16_t shards)
{
    return (uint16_t)((uint32_t)partition * shards / PARTITION_COUNT);
}

#endif
