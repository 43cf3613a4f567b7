/* See statistics.h. */
#include "sim/statistics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void statistics_count(struct statistics *statistics, const struct command_context *ctx, size_t reply_start)
{
    unsigned id = ctx->command->id;
    statistics->commands[id] = ctx->command;
    if (strcmp(ctx->command->full_name, "config|resetstat") == 0) statistics->reset = true;
    statistics->calls[id]++;
    const char *reply = ctx->reply->begin + reply_start;
    if (reply_len(ctx->reply) > reply_start && (*reply == '-' || *reply == '!')) statistics->failed[id]++;
}

/* Behind "\nNAME" and `separator`; NULL: there is no such line. */
static const char *value_of(struct slice info, const char *name, char separator)
{
    char line[100];
    int len = snprintf(line, sizeof line, "\n%s%c", name, separator);
    const char *at = memmem(info.ptr, info.len, line, (size_t)len);
    return at ? at + len : NULL;
}

static bool line_agrees(struct slice info, const char *name, uint64_t wanted, char *complaint, size_t size)
{
    const char *at = value_of(info, name, ':');
    uint64_t told = at ? strtoull(at, NULL, 10) : 0;
    if (at && told == wanted) return true;
    snprintf(complaint, size, "INFO says %s %" PRIu64 ", but there were %" PRIu64, name, told, wanted);
    return false;
}

static bool command_agrees(const struct statistics *statistics, unsigned id, struct slice info,
                           char *complaint, size_t size)
{
    const char *name = statistics->commands[id]->full_name;
    if (strcmp(name, "info") == 0 || strncmp(name, "config", 6) == 0) return true;
    char wanted[64];
    snprintf(wanted, sizeof wanted, "cmdstat_%s", name);
    const char *at = value_of(info, wanted, ':'), *failed;
    uint64_t calls = 0, failures = 0;
    if (at && sscanf(at, "calls=%" SCNu64, &calls) == 1 && (failed = strstr(at, "failed_calls=")) != NULL)
        failures = strtoull(failed + 13, NULL, 10);
    if (calls == statistics->calls[id] && failures == statistics->failed[id]) return true;
    snprintf(complaint, size,
             "INFO says that %s was called %" PRIu64 " times and failed %" PRIu64
             " times, but it ran %" PRIu64 " times and answered %" PRIu64 " errors",
             name, calls, failures, statistics->calls[id], statistics->failed[id]);
    return false;
}

bool statistics_agree(const struct statistics *statistics, struct slice info, char *complaint, size_t size)
{
    if (statistics->reset) return true;
    for (unsigned id = 0; id < COMMAND_COUNT_MAX; id++)
        if (statistics->commands[id] && !command_agrees(statistics, id, info, complaint, size)) return false;
    return line_agrees(info, "expired_keys", statistics->expired_keys, complaint, size) &&
           line_agrees(info, "expired_subkeys", statistics->expired_fields, complaint, size) &&
           line_agrees(info, "evicted_keys", statistics->evicted_keys, complaint, size);
}
