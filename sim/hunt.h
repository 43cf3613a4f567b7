/* hunt: what is done with runs: one, many, the smallest that fails. Each seed of a hunt runs in a child
 * process, so that a failed CHECK or a crash is a finding like any other. Prints to stdout; the exit status
 * is the functions'. */
#ifndef WEFT_SIM_HUNT_H
#define WEFT_SIM_HUNT_H

#include "sim/run.h"

#define HUNT_UNITS_BYTES (RUN_CLIENTS_MAX * RUN_UNITS_MAX / 8)

struct hunt_options {
    struct run_options run;
    const char *trace_path, *tape_path;
    double minutes;
    uint64_t count;
    int jobs;
    bool twice, shrink, quiet;
    int argc; /* for the command line that replays */
    char **argv;
};

/* Runs in a child process. The oracle that complained, ORACLES for a crash, a hang or an unequal second run,
 * -1 when all held; *result is undefined after a crash. */
int hunt_try(const struct run_options *options, struct run_result *result);
/* The command line that runs it again; every option of this one but those of hunts. */
const char *hunt_replay(const struct hunt_options *hunt, uint64_t seed, char *out, size_t size);

int hunt_one(const struct hunt_options *hunt);
int hunt_many(const struct hunt_options *hunt);
int hunt_shrink(const struct hunt_options *hunt);

#endif
