/* Clocks, entropy and resource usage of the real backends. */
#include "io/posix.h"
#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sys/random.h>
#include <sys/resource.h>

static int64_t clock_us(clockid_t id)
{
    struct timespec t;
    CHECK(clock_gettime(id, &t) == 0);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t posix_monotonic_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}
int64_t posix_realtime_us(void)
{
    return clock_us(CLOCK_REALTIME);
}

#define FINE_US 20000 /* nearer than this is near */

int64_t posix_sleep_us(int64_t *now_us, int64_t deadline_us)
{
    if (deadline_us == INT64_MAX) return -1;
    if (deadline_us <= *now_us) return 0;
    if (*now_us == 0 || deadline_us - *now_us < FINE_US) *now_us = posix_monotonic_us();
    return deadline_us > *now_us ? deadline_us - *now_us : 0;
}

void posix_entropy(void *buf, size_t len)
{
    uint8_t *p = buf;
    while (len > 0) {
        ssize_t n = getrandom(p, len, 0);
        if (n < 0 && errno == EINTR) continue;
        CHECK(n > 0); /* without entropy ids and seeds could repeat: better not to run */
        p += n;
        len -= (size_t)n;
    }
}

static int64_t resident_bytes(void)
{
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n <= 0) return 0;
    text[n] = 0;
    long long size = 0, resident = 0;
    if (sscanf(text, "%lld %lld", &size, &resident) != 2) return 0;
    return resident * sysconf(_SC_PAGESIZE);
}

void posix_usage(struct io_usage *out)
{
    struct rusage u;
    CHECK(getrusage(RUSAGE_SELF, &u) == 0);
    out->user_us = (int64_t)u.ru_utime.tv_sec * 1000000 + u.ru_utime.tv_usec;
    out->system_us = (int64_t)u.ru_stime.tv_sec * 1000000 + u.ru_stime.tv_usec;
    out->resident_peak_bytes = (int64_t)u.ru_maxrss * 1024;
    out->resident_bytes = resident_bytes();
    CHECK(getrusage(RUSAGE_THREAD, &u) == 0);
    out->thread_user_us = (int64_t)u.ru_utime.tv_sec * 1000000 + u.ru_utime.tv_usec;
    out->thread_system_us = (int64_t)u.ru_stime.tv_sec * 1000000 + u.ru_stime.tv_usec;
}

void posix_stall(int64_t us)
{
    struct timespec left = {us / 1000000, us % 1000000 * 1000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}
