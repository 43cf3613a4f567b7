/* Shrinking: the smallest run that fails in the same way. Units of commands are drawn independently of each
 * other, so they can be left out; faults can be switched off, and the end be put forward. Units: ddmin
 * (Zeller, Hildebrandt 2002) without its complements' restart. Every try is a run in a child process. */
#include "sim/hunt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES_MAX 1000

struct shrinking {
    struct run_options options;
    struct run_result result;
    int class; /* what hunt_try() says of the run to be shrunk */
    int tries;
    uint8_t *dropped;
    uint32_t *units; /* those that are left, as bit numbers */
    size_t count;
};

static bool still_fails(struct shrinking *s, const struct run_options *options)
{
    struct run_result result;
    if (s->tries++ >= TRIES_MAX || hunt_try(options, &result) != s->class) return false;
    if (s->class != ORACLES) s->result = result;
    return true;
}

/* ---- the end ---- */

static void shrink_end(struct shrinking *s)
{
    int64_t low = 0,
            high = s->result.finding.at_us ? s->result.finding.at_us + 1 : s->options.plan.duration_us;
    for (int i = 0; i < 14 && high - low > 1000; i++) {
        struct run_options shorter = s->options;
        shorter.end_us = i == 0 ? high : low + (high - low) / 2;
        if (still_fails(s, &shorter)) {
            s->options = shorter;
            high = shorter.end_us;
        } else if (i == 0) {
            return; /* it fails only in a whole run */
        } else {
            low = shorter.end_us;
        }
    }
}

/* ---- faults ---- */

static void try_without(struct shrinking *s, const char *fault)
{
    struct plan_options *plan = &s->options.plan;
    if (plan->without_count == (int)ARRAY_LEN(plan->without)) return;
    struct run_options fewer = s->options;
    fewer.plan.without[fewer.plan.without_count++] = fault;
    if (still_fails(s, &fewer)) s->options = fewer;
}

static void shrink_faults(struct shrinking *s)
{
    static const char *const groups[] = {"all", "network", "clock", "memory", "client", "process"};
    struct plan plan;
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        try_without(s, groups[i]);
        plan_draw(&plan, &s->options.plan);
    }
    for (int i = 0; i < PROCESS_FAULTS; i++) {
        plan_draw(&plan, &s->options.plan);
        if (plan.process_rate[i]) try_without(s, process_fault_kinds[i].name);
    }
    for (int i = 0; i < IO_SIM_FAULT_COUNT; i++) {
        plan_draw(&plan, &s->options.plan);
        if (plan.world_rate[i]) try_without(s, io_sim_fault_name((enum io_sim_fault)i));
    }
}

/* ---- units ---- */

static void set_dropped(struct shrinking *s, size_t from, size_t to, bool on)
{
    for (size_t i = from; i < to; i++) {
        uint32_t bit = s->units[i];
        if (on)
            s->dropped[bit / 8] |= (uint8_t)(1 << bit % 8);
        else
            s->dropped[bit / 8] &= (uint8_t) ~(1 << bit % 8);
    }
}

static void shrink_units(struct shrinking *s)
{
    s->options.dropped_units = s->dropped;
    for (size_t chunk = (s->count + 1) / 2; chunk > 0; chunk = chunk == 1 ? 0 : (chunk + 1) / 2) {
        for (size_t from = 0; from < s->count && s->tries < TRIES_MAX;) {
            size_t to = from + chunk < s->count ? from + chunk : s->count;
            set_dropped(s, from, to, true);
            if (still_fails(s, &s->options)) {
                memmove(s->units + from, s->units + to, (s->count - to) * sizeof *s->units);
                s->count -= to - from;
            } else {
                set_dropped(s, from, to, false);
                from = to;
            }
        }
    }
}

/* ---- the outcome ---- */

static void print_replay(const struct hunt_options *hunt, const struct shrinking *s)
{
    char line[1000];
    printf("replay: %s", hunt_replay(hunt, s->options.plan.seed, line, sizeof line));
    for (int i = hunt->run.plan.without_count; i < s->options.plan.without_count; i++)
        printf(" --no-faults %s", s->options.plan.without[i]);
    if (s->options.end_us) printf(" --end %lld", (long long)s->options.end_us);
    bool first = true;
    for (uint32_t bit = 0; bit < RUN_CLIENTS_MAX * RUN_UNITS_MAX; bit++) {
        uint32_t from = bit;
        while (bit < RUN_CLIENTS_MAX * RUN_UNITS_MAX && s->dropped[bit / 8] & 1 << bit % 8) bit++;
        if (bit > from) printf("%s%u-%u", first ? " --drop " : ",", from, bit - 1), first = false;
    }
    printf("\n");
}

int hunt_shrink(const struct hunt_options *hunt)
{
    struct shrinking s = {.options = hunt->run};
    s.class = hunt_try(&s.options, &s.result);
    if (s.class < 0) {
        printf("every oracle held: nothing to shrink\n");
        return 0;
    }
    s.dropped = calloc(1, HUNT_UNITS_BYTES);
    s.units = calloc(RUN_CLIENTS_MAX * RUN_UNITS_MAX, sizeof *s.units);
    CHECK(s.dropped && s.units);
    if (!s.options.plan.duration_us) s.options.plan.duration_us = 150000000;
    shrink_end(&s);
    shrink_faults(&s);
    if (s.class != ORACLES) {
        for (uint32_t client = 0; client < RUN_CLIENTS_MAX; client++)
            for (uint32_t unit = 0; unit < s.result.units[client]; unit++)
                s.units[s.count++] = client * RUN_UNITS_MAX + unit;
    } else {
        for (uint32_t bit = 0; bit < RUN_CLIENTS_MAX * RUN_UNITS_MAX; bit++) s.units[s.count++] = bit;
    }
    shrink_units(&s);
    printf("shrunk to %zu units of commands in %d runs\n", s.count, s.tries);
    printf("oracle: %s\n", s.class == ORACLES ? "crash" : oracle_names[s.class]);
    if (s.class != ORACLES) printf("%s\n", s.result.finding.complaint);
    print_replay(hunt, &s);
    free(s.dropped);
    free(s.units);
    return 1;
}
