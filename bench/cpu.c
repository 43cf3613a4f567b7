/* CPU time of a process (contract in cpu.h). */
#include "cpu.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool read_stat(pid_t pid, struct cpu_sample *out)
{
    char path[40], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) return false;
    size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = '\0';
    const char *rest = strrchr(text, ')'); /* the name may hold anything */
    unsigned long long user, system;
    if (rest == NULL ||
        sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2)
        return false;
    uint64_t tick_ns = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
    out->user_ns = user * tick_ns;
    out->system_ns = system * tick_ns;
    return true;
}

bool cpu_sample_take(pid_t pid, struct cpu_sample *out)
{
    clockid_t clock;
    struct timespec t;
    if (!read_stat(pid, out)) return false;
    if (clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &t) == 0) {
        out->total_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    } else {
        out->total_ns = out->user_ns + out->system_ns;
    }
    return true;
}

struct cpu_sample cpu_sample_difference(const struct cpu_sample *later, const struct cpu_sample *earlier)
{
    return (struct cpu_sample){later->total_ns - earlier->total_ns, later->user_ns - earlier->user_ns,
                               later->system_ns - earlier->system_ns};
}
