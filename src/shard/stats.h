/* stats: what a shard counts: calls and time of each command, error codes, rates.
 *
 * Time without a clock read per command (a read costs ~30 ns, a GET ~100): a command that cannot take long
 * (flag FAST, and SET) is noted in a *span*; the clock is read once when the span ends (with the round or
 * batch, or when a slow command comes), and its time is shared out evenly. All others are timed one by one,
 * and so is everything while the slow log wants to see short times. A noted command that turns out to have
 * moved much data ends the span: what is above the others' usual time is its own. So the sums are right, a
 * slow command is always seen as such, and a fast one costs one store.
 *
 * Owned by the shard's thread. Tests: test/unit/stats_test.c, test/blackbox/server_commands_test.py.
 */
#ifndef WEFT_SHARD_STATS_H
#define WEFT_SHARD_STATS_H

#include "base/histogram.h"
#include "base/slice.h"
#include "command/table.h"

struct command_stats {
    uint64_t calls, rejected, failed;
    uint64_t ns;               /* spent */
    struct histogram *latency; /* of one call, ns. NULL: never called, or not tracked, or no memory */
    bool is_fast;              /* may be noted in a span */
    bool no_touch;             /* looks at keys without using them: eviction does not see it */
};

struct command_stats *command_stats_create(void); /* COMMAND_COUNT_MAX of them; NULL: no memory */
void command_stats_destroy(struct command_stats *all);
void command_stats_reset(struct command_stats *all);
/* `calls` calls took `ns` each. */
void command_stats_add(struct command_stats *stats, uint64_t ns, uint32_t calls, bool track_latency);
/* Adds the counts of `from` (its histogram is only read). */
void command_stats_merge(struct command_stats *into, const struct command_stats *from);

/* ---- spans ---- */

#define STATS_SPAN_MAX 64

struct stats_span {
    int64_t start_us; /* the clock as it was read last */
    bool fresh;       /* nothing but a command was done since */
    uint32_t count;
    uint16_t commands[STATS_SPAN_MAX]; /* ids */
};

/* Shares the time from start_us to `now_us` out; returns it. With `last_is_big` the last command gets what
 * the others do not usually take, and *own_us is that. */
int64_t stats_span_end(struct stats_span *span, struct command_stats *all, int64_t now_us, bool track_latency,
                       bool last_is_big, int64_t *own_us);

/* ---- error codes ---- */

#define STATS_ERRORS_MAX    128
#define STATS_ERROR_LEN_MAX 32
/* What is left when there were more: somebody invents error codes. Until CONFIG RESETSTAT. */
#define STATS_ERRORS_FULL "ERRORSTATS_DISABLED"

struct error_count {
    char code[STATS_ERROR_LEN_MAX];
    uint64_t count;
};

struct error_stats {
    uint32_t kinds;
    bool full;
    struct error_count items[STATS_ERRORS_MAX];
};

/* Adds `count`. False when this was the code too many (the caller logs it). */
bool error_stats_add(struct error_stats *errors, struct slice code, uint64_t count);

/* ---- rates: the mean of the last 1.6 s ---- */

enum stats_rate {
    STATS_RATE_COMMANDS,
    STATS_RATE_BYTES_IN,
    STATS_RATE_BYTES_OUT,
    STATS_RATE_TURNS,
    STATS_RATE_BUSY_US,
    STATS_RATE_COUNT
};
#define STATS_RATE_SAMPLES 16

struct stats_rates {
    int64_t last_us;
    uint32_t next;
    uint64_t last[STATS_RATE_COUNT];
    uint64_t samples[STATS_RATE_COUNT][STATS_RATE_SAMPLES]; /* per second */
};

void stats_rates_sample(struct stats_rates *rates, const uint64_t now[STATS_RATE_COUNT], int64_t now_us);
uint64_t stats_rates_mean(const struct stats_rates *rates, enum stats_rate which); /* per second */

#endif
