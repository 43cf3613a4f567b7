/* CPU time that a process has used, all its threads together: its CPU clock (nanoseconds) for the sum, and
 * /proc/PID/stat (ticks of 10 ms) for how it splits into user and system time. */
#ifndef WEFT_BENCH_CPU_H
#define WEFT_BENCH_CPU_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cpu_sample {
    uint64_t total_ns, user_ns, system_ns;
};

/* False if there is no such process, or it may not be looked at. */
bool cpu_sample_take(pid_t pid, struct cpu_sample *out);
struct cpu_sample cpu_sample_difference(const struct cpu_sample *later, const struct cpu_sample *earlier);

#endif
