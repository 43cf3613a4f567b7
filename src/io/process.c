/* Threads, signals, the process and its address space: the functions of world.h that do not depend on a
 * backend.
 *
 * The one global of the code base is here: a signal handler is given no argument, so the io that it wakes and
 * the flag that it sets have to be static. Both are lock-free atomics, so the handler is async-signal-safe.
 */
#include "io/world.h"
#include "base/check.h"

#include <errno.h>
#include <malloc.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>

/* ---- threads ---- */

struct io_thread {
    pthread_t id;
    void (*run)(void *);
    void *argument;
    char name[16]; /* Linux takes 15 characters */
};

static void *thread_main(void *p)
{
    struct io_thread *t = p;
    pthread_setname_np(pthread_self(), t->name);
    t->run(t->argument);
    return NULL;
}

struct io_thread *io_thread_start(const char *name, void (*run)(void *), void *argument, int *error)
{
    struct io_thread *t = calloc(1, sizeof(*t));
    *error = -ENOMEM;
    if (t == NULL) return NULL;
    t->run = run;
    t->argument = argument;
    snprintf(t->name, sizeof(t->name), "%s", name);
    /* Signals go to the thread that called io_signals_catch(), never to an actor in the middle of a turn. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    *error = -pthread_create(&t->id, NULL, thread_main, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (*error == 0) return t;
    free(t);
    return NULL;
}

void io_thread_join(struct io_thread *t)
{
    CHECK(pthread_join(t->id, NULL) == 0);
    free(t);
}

int io_cpu_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

/* ---- signals ---- */

static _Atomic(struct io *) signal_io;
static atomic_bool stop_requested;

static void on_signal(int number)
{
    int saved = errno;
    atomic_store(&stop_requested, true);
    struct io *io = atomic_load(&signal_io);
    if (io != NULL) io_wake(io);
    errno = saved;
}

void io_signals_catch(struct io *io)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    atomic_store(&signal_io, io);
    sigemptyset(&action.sa_mask);
    action.sa_handler = io != NULL ? on_signal : SIG_DFL;
    action.sa_flags = SA_RESTART;
    CHECK(sigaction(SIGTERM, &action, NULL) == 0);
    CHECK(sigaction(SIGINT, &action, NULL) == 0);
    action.sa_handler =
        SIG_IGN; /* a peer that has gone is an error of write(), a closed terminal is nothing */
    CHECK(sigaction(SIGPIPE, &action, NULL) == 0);
    CHECK(sigaction(SIGHUP, &action, NULL) == 0);
}

bool io_signals_stop_requested(void)
{
    return atomic_load(&stop_requested);
}

/* ---- the process ---- */

int io_daemonize(void)
{
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) return -errno;
    if (child > 0) _exit(0);
    setsid();
    int fd = open("/dev/null", O_RDWR);
    if (fd < 0) return -errno;
    dup2(fd, STDIN_FILENO);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    if (fd > STDERR_FILENO) close(fd);
    return 0;
}

int io_change_directory(const char *path)
{
    return chdir(path) == 0 ? 0 : -errno;
}

int io_current_directory(char *buf, size_t len)
{
    return getcwd(buf, len) ? 0 : -errno;
}

#define HEAP_KEPT_BYTES (64 << 20) /* free at the end of a heap before it is given back */
#define HEAP_MMAP_BYTES (4 << 20)  /* from here on a block is a mapping of its own */

void io_heap_keep(void)
{
    mallopt(M_TRIM_THRESHOLD, HEAP_KEPT_BYTES);
    mallopt(M_MMAP_THRESHOLD, HEAP_MMAP_BYTES);
}

void io_executable_path(char *buf, size_t len)
{
    ssize_t got = readlink("/proc/self/exe", buf, len - 1);
    buf[got > 0 ? got : 0] = 0;
}

int64_t io_process_id(void)
{
    return getpid();
}

/* The number at the start of a file, or -1 (missing, or the word "max"). */
static int64_t read_number(const char *path)
{
    char text[64];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n <= 0) return -1;
    text[n] = 0;
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    return end == text || value > INT64_MAX ? -1 : (int64_t)value;
}

/* The lowest limit on the way from this process's own group up to the root: each of them binds. */
static int64_t cgroup_limit(const char *mount, char *group, const char *file)
{
    char path[1024];
    int64_t lowest = INT64_MAX;
    for (;;) {
        snprintf(path, sizeof(path), "%s%s/%s", mount, group, file);
        int64_t limit = read_number(path);
        if (limit > 0 && limit < lowest) lowest = limit;
        char *slash = strrchr(group, '/');
        if (slash == NULL) return lowest;
        *slash = 0;
    }
}

int64_t io_memory_total(void)
{
    int64_t total = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    FILE *f = fopen("/proc/self/cgroup", "re");
    char line[512];
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        line[strcspn(line, "\n")] = 0;
        int64_t limit = INT64_MAX;
        char *memory = strstr(line, ":memory:");
        if (strncmp(line, "0::", 3) == 0)
            limit = cgroup_limit("/sys/fs/cgroup", line + 3, "memory.max");
        else if (memory != NULL)
            limit = cgroup_limit("/sys/fs/cgroup/memory", memory + 8, "memory.limit_in_bytes");
        if (limit < total) total = limit;
    }
    if (f != NULL) fclose(f);
    return total;
}

int64_t io_files_max(int64_t wanted)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) < 0) return 0;
    if ((rlim_t)wanted > r.rlim_cur) {
        struct rlimit try = {(rlim_t)wanted, r.rlim_max < (rlim_t)wanted ? (rlim_t)wanted : r.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &try) < 0) { /* only root may go above the hard limit */
            try.rlim_max = r.rlim_max;
            try.rlim_cur = r.rlim_max < (rlim_t)wanted ? r.rlim_max : (rlim_t)wanted;
            setrlimit(RLIMIT_NOFILE, &try);
        }
        if (getrlimit(RLIMIT_NOFILE, &r) < 0) return 0;
    }
    return r.rlim_cur == RLIM_INFINITY || r.rlim_cur > INT64_MAX ? INT64_MAX : (int64_t)r.rlim_cur;
}

const char *io_os_name(char *buf, size_t len)
{
    struct utsname u;
    if (uname(&u) < 0)
        snprintf(buf, len, "unknown");
    else
        snprintf(buf, len, "%s %s %s", u.sysname, u.release, u.machine);
    return buf;
}

/* ---- address space ---- */

/* MAP_NORESERVE keeps a reservation out of the commit charge, except under vm.overcommit_memory = 2, where
 * every private writable mapping is charged in full. There the fallback is a memory file: its pages are
 * charged one by one, as they are touched (and touching one beyond the limit is a SIGBUS, so `maxmemory` must
 * fit into it). Whether the fallback is in use is a property of the machine, hence this second global; it
 * decides how pages are given back. */
static atomic_bool memory_files;

static void *reserve_file(size_t len)
{
    int fd = memfd_create("weft", MFD_CLOEXEC);
    void *p = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, (off_t)len) == 0)
        p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0) close(fd);
    if (p == MAP_FAILED) return NULL;
    atomic_store(&memory_files, true);
    return p;
}

void *io_memory_reserve(size_t len)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (p == MAP_FAILED) return reserve_file(len);
    madvise(p, len,
            MADV_NOHUGEPAGE); /* a touched byte shall cost a page, not two megabytes: see io_memory_huge() */
    return p;
}

void io_memory_unreserve(void *ptr, size_t len)
{
    CHECK(munmap(ptr, len) == 0);
}

void io_memory_decommit(void *ptr, size_t len)
{
    if (len == 0) return;
    /* A hole in the file; private memory of the same process answers EINVAL. */
    if (atomic_load_explicit(&memory_files, memory_order_relaxed) && madvise(ptr, len, MADV_REMOVE) == 0)
        return;
    CHECK(madvise(ptr, len, MADV_DONTNEED) == 0);
}

void io_memory_huge(void *ptr, size_t len, bool on)
{
    /* Advice only: kernels without transparent huge pages answer EINVAL, and that is fine. */
    madvise(ptr, len, on ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}
