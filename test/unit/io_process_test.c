/* The process functions of io/world.h, and the choice of a backend. */
#include "child.h"
#include "io_suite.h"
#include "io/uring.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define GIB ((size_t)1 << 30)

static void reserved_memory_costs_nothing_until_touched(void **state)
{
    struct io_usage before, touched, after;
    int error;
    struct io_world *world = io_world_create(IO_BACKEND_EPOLL, &error);
    struct io *io = io_create(world, &error);
    size_t len = 32 * GIB, part = 16u << 20;
    uint8_t *p = io_memory_reserve(len);
    assert_non_null(p);
    io_usage(io, &before);
    assert_int_equal(p[len - 1], 0);
    memset(p + GIB, 0xaa, part);
    memset(p + 30 * GIB, 0xbb, part);
    io_usage(io, &touched);
    assert_true(touched.resident_bytes > before.resident_bytes + (int64_t)(2 * part) - (1 << 20));
    assert_true(touched.resident_peak_bytes >= touched.resident_bytes - (1 << 20));
    io_memory_decommit(p + GIB, part);
    io_memory_decommit(p + 30 * GIB, part / 2);
    io_memory_decommit(p, 0);
    io_usage(io, &after);
    assert_true(after.resident_bytes < touched.resident_bytes - (int64_t)part);
    for (size_t i = 0; i < part; i += 4096) assert_int_equal(p[GIB + i], 0);
    assert_int_equal(p[30 * GIB], 0);
    assert_int_equal(p[30 * GIB + part / 2], 0xbb); /* what was not given back is still there */
    io_memory_huge(p, 2 * GIB, true);
    memset(p, 1, 8u << 20);
    io_memory_huge(p, 2 * GIB, false);
    assert_int_equal(p[8u << 20], 0);
    io_memory_unreserve(p, len);
    assert_null(io_memory_reserve((size_t)1 << 60));
    assert_true(after.user_us + after.system_us > 0);
    io_destroy(io);
    io_world_destroy(world);
}

/* What 256 partitions take. The thread sanitizer leaves less address space to a program. */
static void reserves_for_all_partitions(void **state)
{
#if defined(__SANITIZE_THREAD__)
    size_t len = 2 * GIB;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
    size_t len = 2 * GIB;
#else
    size_t len = 32 * GIB;
#endif
#else
    size_t len = 32 * GIB;
#endif
    static uint8_t *p[256];
    for (int i = 0; i < 256; i++) {
        p[i] = io_memory_reserve(len);
        assert_non_null(p[i]);
        p[i][(size_t)i * 4096] = (uint8_t)i;
    }
    for (int i = 0; i < 256; i++) assert_int_equal(p[i][(size_t)i * 4096], i);
    for (int i = 0; i < 256; i++) io_memory_unreserve(p[i], len);
}

/* vm.overcommit_memory = 2 refuses the reservation; so does a limit of address space, but for memory files,
 * too. What can be tried here is the fallback itself: mmap refuses private mappings above a filter's size. */
static bool reserve_through_a_file(void)
{
    const struct sock_filter filter[] = {
        LOAD(offsetof(struct seccomp_data, nr)),
        ALLOW_UNLESS_EQUAL(SYS_mmap, 3),
        LOAD(offsetof(struct seccomp_data, args[3])), /* flags */
        ALLOW_UNLESS_EQUAL(MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, 1),
        RETURN(SECCOMP_RET_ERRNO | ENOMEM),
        RETURN(SECCOMP_RET_ALLOW),
    };
    child_filter(filter, ARRAY_LEN(filter));
    uint8_t *p = io_memory_reserve(8 * GIB);
    if (p == NULL) return false;
    memset(p + GIB, 7, 1 << 20);
    bool good = p[0] == 0 && p[GIB] == 7;
    io_memory_decommit(p + GIB, 1 << 19);
    good = good && p[GIB] == 0 && p[GIB + (1 << 19)] == 7;
    /* Private memory that was reserved before the fallback came into use is still given back. */
    uint8_t *q = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    q[5] = 5;
    io_memory_decommit(q, 1 << 16);
    good = good && q[5] == 0;
    io_memory_unreserve(p, 8 * GIB);
    return good;
}

static void falls_back_to_memory_files(void **state)
{
    expect_in_child(reserve_through_a_file);
}

static bool choose_without(int error)
{
    child_refuse(SYS_io_uring_setup, error);
    int got = 0;
    struct io_world *world = io_world_create(IO_BACKEND_URING, &got);
    if (world != NULL || got != -error) return false;
    world = io_world_create(IO_BACKEND_AUTO, &got);
    if (world == NULL || strcmp(io_world_backend_name(world), "epoll") != 0) return false;
    struct io *io = io_create(world, &got);
    struct io_completion out[4];
    if (io == NULL || io_wait(io, 0, out, 4) != 0) return false;
    io_destroy(io);
    io_world_destroy(world);
    return true;
}

static bool choose_without_permission(void)
{
    return choose_without(EPERM);
}
static bool choose_without_the_call(void)
{
    return choose_without(ENOSYS);
}

/* The ring can be made, but the call is then refused: some container runtimes allow just that. */
static bool choose_without_call(unsigned call)
{
    child_refuse((int)call, EPERM);
    int error = 0;
    struct io_world *world = io_world_create(IO_BACKEND_AUTO, &error);
    bool good = world != NULL && strcmp(io_world_backend_name(world), "epoll") == 0;
    if (world != NULL) io_world_destroy(world);
    return good;
}
static bool choose_without_registering(void)
{
    return choose_without_call(SYS_io_uring_register);
}
static bool choose_without_entering(void)
{
    return choose_without_call(SYS_io_uring_enter);
}

static void auto_takes_epoll_when_io_uring_is_refused(void **state)
{
    expect_in_child(choose_without_permission);
    expect_in_child(choose_without_the_call);
    expect_in_child(choose_without_registering);
    expect_in_child(choose_without_entering);
    int error = 0;
    struct io_world *uring = io_world_create(IO_BACKEND_URING, &error);
    struct io_world *automatic = io_world_create(IO_BACKEND_AUTO, &error);
    assert_non_null(automatic);
    bool multishot = false;
    bool best = uring_probe(&multishot) == 0 && multishot;
    assert_string_equal(io_world_backend_name(automatic), best ? "io_uring" : "epoll");
    assert_true(uring != NULL || !best);
    if (uring != NULL) io_world_destroy(uring);
    io_world_destroy(automatic);
}

/* Also where the kernel has no epoll_pwait2: the deadline is then kept to the millisecond. */
static bool wait_without_pwait2(void)
{
    child_refuse(SYS_epoll_pwait2, ENOSYS);
    int error = 0;
    struct io_completion out[4];
    struct io_world *world = io_world_create(IO_BACKEND_EPOLL, &error);
    struct io *io = io_create(world, &error);
    int64_t start_us = io_monotonic_us(io);
    int n = io_wait(io, start_us + 1500, out, 4);
    int64_t took_us = io_monotonic_us(io) - start_us;
    io_destroy(io);
    io_world_destroy(world);
    return n == 0 && took_us >= 1500 && took_us < 200000;
}

static void waits_without_epoll_pwait2(void **state)
{
    expect_in_child(wait_without_pwait2);
}

static bool daemonize(void)
{
    int report[2];
    if (pipe(report) < 0) return false;
    pid_t first = fork();
    if (first == 0) {
        if (io_daemonize() < 0) _exit(1);
        char line[64];
        int open_to_null = 0;
        ssize_t n = readlink("/proc/self/fd/1", line, sizeof(line) - 1);
        if (n > 0) open_to_null = strncmp(line, "/dev/null", 9) == 0;
        n = snprintf(line, sizeof(line), "%lld %d %d", (long long)io_process_id(), getsid(0) == getpid(),
                     open_to_null);
        child_exit(write(report[1], line, (size_t)n) == n ? 0 : 1);
    }
    int status = 1, leads = 0, null = 0;
    long long id = 0;
    char line[64] = {0};
    if (waitpid(first, &status, 0) != first || status != 0) return false; /* the parent has gone, with 0 */
    if (read(report[0], line, sizeof(line) - 1) <= 0) return false;
    return sscanf(line, "%lld %d %d", &id, &leads, &null) == 3 && id != first && leads == 1 && null == 1;
}

static void daemonizes(void **state)
{
    expect_in_child(daemonize);
}

static bool files_max(void)
{
    struct rlimit r = {100, 200};
    if (setrlimit(RLIMIT_NOFILE, &r) < 0) return false;
    if (io_files_max(50) != 100 || io_files_max(150) != 150) return false;
    int64_t got = io_files_max(300); /* only root may go above the hard limit */
    return got == 300 || got == 200;
}

static void tells_about_the_machine(void **state)
{
    char name[100];
    expect_in_child(files_max);
    assert_in_range(io_cpu_count(), 1, 4096);
    assert_true(io_memory_total() > (16 << 20));
    assert_int_equal(strncmp(io_os_name(name, sizeof(name)), "Linux ", 6), 0);
    assert_int_equal(io_process_id(), getpid());
}

static void add(void *argument)
{
    atomic_fetch_add((atomic_int *)argument, 1);
}

static void starts_and_joins_threads(void **state)
{
    atomic_int count = 0;
    struct io_thread *t[8];
    int error = 1;
    for (int i = 0; i < 8; i++) {
        t[i] = io_thread_start("a name that is too long for Linux", add, &count, &error);
        assert_non_null(t[i]);
        assert_int_equal(error, 0);
    }
    for (int i = 0; i < 8; i++) io_thread_join(t[i]);
    assert_int_equal(count, 8);
}

static bool change_directory(void)
{
    char before[256], after[256];
    if (io_current_directory(before, sizeof(before)) != 0) return false;
    if (io_change_directory("/nowhere/at/all") != -ENOENT) return false;
    if (io_change_directory("/") != 0 || io_current_directory(after, sizeof(after)) != 0) return false;
    return strcmp(after, "/") == 0 && io_current_directory(after, 1) == -ERANGE;
}

static void changes_directory(void **state)
{
    expect_in_child(change_directory);
}

static void stalls(void **state)
{
    for (int backend = IO_BACKEND_AUTO; backend <= IO_BACKEND_EPOLL; backend++) {
        int error;
        struct io_world *world = io_world_create((enum io_backend)backend, &error);
        if (world == NULL) continue; /* io_uring is refused here */
        struct io *io = io_create(world, &error);
        int64_t start_us = io_monotonic_us(io);
        io_stall(io, 3000);
        assert_true(io_monotonic_us(io) >= start_us + 3000);
        io_destroy(io);
        io_world_destroy(world);
    }
}

static void entropy_differs(void **state)
{
    int error;
    struct io_world *world = io_world_create(IO_BACKEND_EPOLL, &error);
    struct io *io = io_create(world, &error);
    uint64_t a[4] = {0}, b[4] = {0};
    io_entropy(io, a, sizeof(a));
    io_entropy(io, b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    io_destroy(io);
    io_world_destroy(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reserved_memory_costs_nothing_until_touched),
        cmocka_unit_test(reserves_for_all_partitions),
        cmocka_unit_test(falls_back_to_memory_files),
        cmocka_unit_test(auto_takes_epoll_when_io_uring_is_refused),
        cmocka_unit_test(waits_without_epoll_pwait2),
        cmocka_unit_test(daemonizes),
        cmocka_unit_test(tells_about_the_machine),
        cmocka_unit_test(starts_and_joins_threads),
        cmocka_unit_test(changes_directory),
        cmocka_unit_test(stalls),
        cmocka_unit_test(entropy_differs),
    };
    return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
