/* workload: random command lines, in whole units (one command, or a transaction with its WATCH).
 *
 * A unit is drawn from (seed, client, number) alone: leaving one out of a run does not change the others,
 * which is what shrinking needs. Commands are templates as data (workload_table.c): one line says what may
 * follow what. Keys are few, so that commands meet; each name has a favourite type, so that most of them
 * succeed.
 */
#ifndef WEFT_SIM_WORKLOAD_H
#define WEFT_SIM_WORKLOAD_H

#include "base/prng.h"
#include "base/slice.h"

enum workload_skew { SKEW_UNIFORM, SKEW_ZIPF, SKEW_SEQUENTIAL, SKEW_HOT_SET, SKEW_COUNT };
enum workload_family {
    FAMILY_STRING = 1 << 0,
    FAMILY_BIT = 1 << 1,
    FAMILY_KEY = 1 << 2,
    FAMILY_HASH = 1 << 3,
    FAMILY_LIST = 1 << 4,
    FAMILY_SET = 1 << 5,
    FAMILY_ZSET = 1 << 6,
    FAMILY_STREAM = 1 << 7,
    FAMILY_EXPIRE = 1 << 8,
    FAMILY_SERVER = 1 << 9, /* PING, SELECT, INFO, CLIENT … */
    FAMILY_FLUSH = 1 << 10, /* FLUSHDB, FLUSHALL, SWAPDB */
    FAMILY_REGISTER = 1 << 11 /* GET, SET, INCR … on keys of their own: for the linearizability checker */,
    FAMILY_APPEND =
        1 << 12,           /* transactions of RPUSH and LRANGE on lists of their own: for the cycle checker */
    FAMILY_NODE = 1 << 13, /* asks or tells every shard: INFO, CONFIG SET, CLIENT LIST …, also inside MULTI */
    FAMILY_CONNECTION =
        1 << 14, /* changes how the connection is served: CLIENT REPLY, MONITOR, HELLO, QUIT … */
    FAMILY_ALL = (1 << 15) - 1,
    FAMILY_LITMUS = 1 << 15 /* sim/litmus.h; in a theme of its own */
};
extern const char *const workload_family_names[]; /* in the order of the bits; NULL at the end */

struct workload {
    uint64_t seed;
    uint32_t families; /* a set of enum workload_family */
    enum workload_skew skew;
    int keys_per_type;       /* 1 … */
    int value_len_max;       /* most are much shorter */
    int transaction_percent; /* units that are MULTI … EXEC */
    int short_ttl_percent;   /* of TTLs, those of milliseconds; the others are seconds to minutes */
    int64_t night_ms;        /* some deadlines come within or after so long a time */
    bool far_deadlines;      /* TTLs of more than an hour only */
    int tags;                /* 0, or the keys' {tags}: all stand in so many partitions */
    int deadline_round_ms;   /* absolute deadlines are multiples of it */
    bool has_readers;        /* some clients do little but read */
    int set_ints_max, list_entries_max; /* stories build sets and lists of about so many; 0: 128 */
    uint64_t sequence;       /* of SKEW_SEQUENTIAL, and of the values of FAMILY_APPEND: unique in a run */
};

#define UNIT_COMMANDS_MAX 16
#define UNIT_ARGS_MAX     2048
struct unit_command {
    struct slice *argv;
    int argc;
};
struct unit {
    enum workload_family family;
    bool is_transaction;
    int count;
    int rest_at;     /* before this command the client lets time pass; 0: nowhere */
    int64_t rest_us; /* so much */
    struct unit_command commands[UNIT_COMMANDS_MAX];
    struct slice args[UNIT_ARGS_MAX];
    int args_count;
    char *bytes; /* of the arguments; grown as needed, kept between draws */
    size_t len, capacity;
};

/* `now_ms`: the wall clock, for absolute deadlines. The unit is valid until the next draw into it. */
void workload_draw(struct workload *workload, int client, uint64_t number, int64_t now_ms, struct unit *unit);
void unit_free(struct unit *unit);

struct workload_template {
    enum workload_family family;
    int weight;
    const char *text;
};
extern const struct workload_template workload_templates[];
/* Units whose commands are about the same keys, and lead to where an error would show. */
struct workload_story {
    uint32_t families; /* all of which must be in the workload */
    const char *text;
};
extern const struct workload_story workload_stories[];
extern const int workload_story_count;
extern const int workload_template_count;

#endif
