/* report: what all shards know about themselves, gathered by a scatter and added up: the source of INFO,
 * MEMORY STATS, LATENCY. A snapshot per shard, each taken between two commands; not one moment for all.
 * Control plane: malloc'ed. Tests: test/blackbox/server_commands_test.py. */
#ifndef WEFT_SHARD_REPORT_H
#define WEFT_SHARD_REPORT_H

#include "shard/latency.h"
#include "shard/shard.h"
#include "shard/stats.h"

/* Of one shard, or of all together: the most. */
struct report_most {
    uint64_t input_buffer, output_buffer; /* bytes, of one client */
    uint64_t turn_commands, turn_us;      /* of one turn */
};

/* Of one shard, or of all together: the sum. Words only, so that they add up as an array. */
struct report_numbers {
    /* counters since the start or CONFIG RESETSTAT */
    uint64_t commands, connections, rejected_connections, bytes_in, bytes_out, reads, writes, errors;
    uint64_t hops, batches, borrows;
    uint64_t turns, busy_us, command_us, cron_us;
    uint64_t evict_cycles, evict_us, expire_cycles, expire_us, expire_cut;
    uint64_t output_limit_closed, query_limit_closed, flushed_keys;
    uint64_t keyspace_hits, keyspace_misses, expired_keys, expired_fields, evicted_keys, dirty, lazyfreed;
    uint64_t rate[STATS_RATE_COUNT]; /* per second */
    /* now */
    uint64_t clients, clients_blocked, clients_watching, watched_keys, client_bytes;
    uint64_t clients_of_node;        /* those on their way between shards included */
    uint64_t data_bytes, held_bytes; /* of its partitions: in use, and taken from the system */
    uint64_t keys, slow_commands;
    uint64_t pending_objects; /* large values that wait to be freed */
    uint64_t cpu_us;          /* of the shard's thread */
};

struct report_database {
    uint64_t keys, expires, timed_hashes, table_bytes;
};

enum report_part {
    REPORT_COMMANDS = 1 << 0, /* calls, time, histograms of each command */
    REPORT_ERRORS = 1 << 1,
    REPORT_LATENCY = 1 << 2, /* the latency monitor's series */
    /* How long strings and collections are. Looks at every key: about 50 ns each, during which the shard
     * serves nobody; so with IF_FEW a shard of more than REPORT_SIZES_FEW keys leaves it. */
    REPORT_SIZES = 1 << 3,
    REPORT_SIZES_IF_FEW = 1 << 4,
};
#define REPORT_SIZES_FEW 16384

#define REPORT_SIZE_BINS 34 /* length 0, 1, 2-3, 4-7 ... */
struct report_sizes {
    uint64_t bins[ITEM_TYPE_COUNT][REPORT_SIZE_BINS];
};

struct report {
    struct report_numbers total;
    struct report_numbers *shards;
    struct report_most most;
    uint16_t shard_count;
    uint16_t database_count;
    struct report_database *databases;
    /* Empty unless asked for. */
    struct command_stats *commands; /* by id, COMMAND_COUNT_MAX */
    struct error_stats errors;
    struct latency_series latency[LATENCY_EVENTS];
    struct report_sizes *sizes; /* of each database */
    bool sizes_left_out;        /* by some shard */
};

/* For a scatter handler: asks every shard for the basics and the named parts and returns NULL; or, when the
 * handler is called again with the answers, adds them up. report_free() ends it. */
struct report *report_gather(struct command_context *ctx, unsigned parts);
void report_free(struct report *report);

#endif
