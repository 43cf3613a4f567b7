/* statistics: what INFO tells of a process's past, against what its hooks have told meanwhile.
 *
 * Counted from a process's start: each command that ran and each that answered an error (struct
 * node_host.executed), and what expired or was evicted (records). Judged at a quiet moment, when no other
 * command is under way. Not judged: INFO and CONFIG (a refused change of shards does not run), rejected
 * calls, and times. */
#ifndef WEFT_SIM_STATISTICS_H
#define WEFT_SIM_STATISTICS_H

#include "command/command.h"

struct statistics {
    const struct command *commands[COMMAND_COUNT_MAX]; /* by id; NULL: never ran */
    uint64_t calls[COMMAND_COUNT_MAX], failed[COMMAND_COUNT_MAX];
    bool reset; /* by CONFIG RESETSTAT, on each shard at another moment: nothing can be said any more */
    uint64_t expired_keys, expired_fields, evicted_keys;
};

void statistics_count(struct statistics *statistics, const struct command_context *ctx, size_t reply_start);
/* `info`: the reply to INFO EVERYTHING. False, with a sentence, when it tells something else. */
bool statistics_agree(const struct statistics *statistics, struct slice info, char *complaint, size_t size);

#endif
