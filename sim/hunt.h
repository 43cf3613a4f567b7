/* hunt: what is done with runs: one, many, the smallest that fails. Each seed of a hunt runs in a child process, so
 * that a failed CHECK or a crash is a finding like any other. Prints to stdout; the exit status is the functions'. */
#ifndef WEFT_SIM_HUNT_H
#define WEFT_SIM_HUNT_H

#include "sim/run.h"

#define HUNT_UNITS_BYTES 8192 /* a bit per (client * 4096 + unit) */

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

int hunt_one(const struct hunt_options *hunt);
int hunt_many(const struct hunt_options *hunt);
int hunt_shrink(const struct hunt_options *hunt);

#endif
