/* Statistics of a shard; see stats.h. */
#include "shard/stats.h"

#include <stdlib.h>
#include <string.h>
#include "base/check.h"
#include "command/command.h"

/* ---- commands ---- */

static bool looks_only(const struct command *command)
{
    static const char *const names[] = {"ttl",  "pttl",   "expiretime", "pexpiretime",
                                        "type", "exists", "debug",      "memory|usage"};
    if (command->container && strcmp(command->container->name, "object") == 0) return true;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(command->full_name, names[i]) == 0) return true;
    return false;
}

struct command_stats *command_stats_create(void)
{
    struct command_stats *all = calloc(COMMAND_COUNT_MAX, sizeof *all);
    if (!all) return NULL;
    for (uint16_t id = 0; id < command_count(); id++) {
        const struct command *command = command_at(id);
        all[id].is_fast = command->flags & COMMAND_FAST || (command->handler && command->handler == cmd_set);
        all[id].no_touch = looks_only(command);
    }
    return all;
}

void command_stats_destroy(struct command_stats *all)
{
    if (!all) return;
    for (int id = 0; id < COMMAND_COUNT_MAX; id++) free(all[id].latency);
    free(all);
}

void command_stats_reset(struct command_stats *all)
{
    for (int id = 0; id < COMMAND_COUNT_MAX; id++) {
        free(all[id].latency);
        all[id] = (struct command_stats){.is_fast = all[id].is_fast, .no_touch = all[id].no_touch};
    }
}

void command_stats_add(struct command_stats *stats, uint64_t ns, uint32_t calls, bool track_latency)
{
    stats->ns += ns * calls;
    if (!track_latency) return;
    if (UNLIKELY(!stats->latency)) stats->latency = calloc(1, sizeof *stats->latency);
    if (LIKELY(stats->latency != NULL)) histogram_add_many(stats->latency, ns, calls);
}

void command_stats_merge(struct command_stats *into, const struct command_stats *from)
{
    into->calls += from->calls;
    into->rejected += from->rejected;
    into->failed += from->failed;
    into->ns += from->ns;
    if (!from->latency) return;
    if (!into->latency) into->latency = calloc(1, sizeof *into->latency);
    if (into->latency) histogram_merge(into->latency, from->latency);
}

/* ---- spans ---- */

/* Noted commands take well below a microsecond; this is what is left to the others when one of them was big.
 */
static uint64_t usual_ns(const struct command_stats *stats)
{
    uint64_t mean = stats->calls > 1 ? stats->ns / (stats->calls - 1) : 0;
    return mean < 1000 ? mean : 1000;
}

int64_t stats_span_end(struct stats_span *span, struct command_stats *all, int64_t now_us, bool track_latency,
                       bool last_is_big, int64_t *own_us)
{
    int64_t took_us = now_us > span->start_us ? now_us - span->start_us : 0;
    uint64_t left_ns = (uint64_t)took_us * 1000;
    uint32_t count = span->count;
    span->start_us = now_us;
    span->count = 0;
    if (last_is_big && count) {
        count--;
        uint64_t others_ns = 0;
        for (uint32_t i = 0; i < count; i++) others_ns += usual_ns(&all[span->commands[i]]);
        if (others_ns > left_ns) others_ns = left_ns;
        command_stats_add(&all[span->commands[count]], left_ns - others_ns, 1, track_latency);
        *own_us = (int64_t)(left_ns - others_ns) / 1000;
        left_ns = others_ns;
    }
    uint64_t share_ns = count ? left_ns / count : 0;
    for (uint32_t i = 0; i < count;) {
        uint32_t run = 1;
        while (i + run < count && span->commands[i + run] == span->commands[i]) run++;
        command_stats_add(&all[span->commands[i]], share_ns, run, track_latency);
        i += run;
    }
    return took_us;
}

/* ---- error codes ---- */

static struct error_count *find(struct error_stats *errors, struct slice code)
{
    for (uint32_t i = 0; i < errors->kinds; i++) {
        struct error_count *item = &errors->items[i];
        if (strlen(item->code) == code.len && memcmp(item->code, code.ptr, code.len) == 0) return item;
    }
    return NULL;
}

static void put(struct error_stats *errors, struct slice code, uint64_t count)
{
    CHECK(errors->kinds < STATS_ERRORS_MAX);
    struct error_count *item = &errors->items[errors->kinds++];
    memcpy(item->code, code.ptr, code.len);
    item->code[code.len] = 0;
    item->count = count;
}

bool error_stats_add(struct error_stats *errors, struct slice code, uint64_t count)
{
    if (errors->full) return true;
    if (code.len >= STATS_ERROR_LEN_MAX) code.len = STATS_ERROR_LEN_MAX - 1;
    struct error_count *item = find(errors, code);
    if (item) {
        item->count += count;
        return true;
    }
    if (errors->kinds < STATS_ERRORS_MAX) {
        put(errors, code, count);
        return true;
    }
    errors->kinds = 0;
    errors->full = true;
    put(errors, SLICE(STATS_ERRORS_FULL), 1);
    return false;
}

/* ---- rates ---- */

void stats_rates_sample(struct stats_rates *rates, const uint64_t now[STATS_RATE_COUNT], int64_t now_us)
{
    int64_t passed_us = now_us - rates->last_us;
    if (passed_us <= 0) return;
    for (int i = 0; i < STATS_RATE_COUNT; i++) {
        uint64_t change = now[i] > rates->last[i] ? now[i] - rates->last[i] : 0; /* a reset goes back */
        rates->samples[i][rates->next] = rates->last_us ? change * 1000000 / (uint64_t)passed_us : 0;
        rates->last[i] = now[i];
    }
    rates->next = (rates->next + 1) % STATS_RATE_SAMPLES;
    rates->last_us = now_us;
}

uint64_t stats_rates_mean(const struct stats_rates *rates, enum stats_rate which)
{
    uint64_t sum = 0;
    for (int i = 0; i < STATS_RATE_SAMPLES; i++) sum += rates->samples[which][i];
    return sum / STATS_RATE_SAMPLES;
}
