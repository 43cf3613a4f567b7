/* A kernel that refuses: each call with which the real backends could fail does, one at a time (by a seccomp
 * filter, in a child), and the failure must come out as the error that io.h promises, with nothing left
 * behind. */
#include "child.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/check.h"
#include "io/io.h"
#include "io/world.h"

#define WAIT_US 50000
#define WAITS   40

static char folder[] = "/tmp/weft-refused-XXXXXX";
static enum io_backend backend; /* of the row at hand */
static struct io_world *world;
static struct io *io;

/* ---- what the rows do: 0, or the error that came out ---- */

static const char *in_folder(const char *name)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* What there is in the folder, as shell patterns see it; -1 if even that cannot be told. */
static int files_in_folder(void)
{
    char **names = NULL;
    size_t count = 0;
    if (io_file_glob(io, in_folder("*"), &names, &count) != 0) return -1;
    for (size_t i = 0; i < count; i++) free(names[i]);
    free(names);
    return (int)count;
}

static bool holds(const char *name, const char *text)
{
    size_t len = 0;
    int error = 0;
    char *got = io_file_load(io, in_folder(name), 100, &len, &error);
    bool same = got && len == strlen(text) && memcmp(got, text, len) == 0;
    free(got);
    return same;
}

/* A refused replacement leaves the old file, and nothing else. */
static int replace_file(void)
{
    int result = io_file_store_atomic(io, in_folder("kept"), "fresh", 5);
    return holds("kept", "old") && files_in_folder() == 1 ? result : 1;
}

/* The new file is there, but its name may not be durable. */
static int replace_file_late(void)
{
    int result = io_file_store_atomic(io, in_folder("kept"), "fresh", 5);
    return holds("kept", "fresh") && files_in_folder() == 1 ? result : 1;
}

static int replace_over_folder(void)
{
    return io_file_store_atomic(io, folder, "x", 1);
}
static int replace_nowhere(void)
{
    return io_file_store_atomic(io, in_folder("none/x"), "x", 1);
}
static int append_to_full(void)
{
    return io_file_append(io, "/dev/full", "x", 1);
}
static int append_nowhere(void)
{
    return io_file_append(io, in_folder("none/x"), "x", 1);
}

static int load(const char *path, size_t limit)
{
    size_t len = 0;
    int error = 0;
    char *text = io_file_load(io, path, limit, &len, &error);
    free(text);
    return text ? 0 : error;
}
static int load_unreadable(void)
{
    return load("/proc/self/mem", 100);
}
static int load_folder(void)
{
    return load(folder, 100);
}
static int load_too_long(void)
{
    return load(in_folder("kept"), 2);
}
static int glob_nothing(void)
{
    char **names = NULL;
    size_t count = 9;
    int result = io_file_glob(io, in_folder("x*"), &names, &count);
    bool empty = result == 0 && count == 0;
    free(names);
    return empty ? 0 : result ? result : 1;
}

static int listen_at(const char *address)
{
    struct io_listener *listener;
    int result = io_listen_tcp(io, address, 0, 5, NULL, &listener);
    if (result == 0) io_unlisten(listener);
    return result;
}
static int listen_tcp(void)
{
    return listen_at("127.0.0.1");
}
static int listen_tcp6(void)
{
    return listen_at("::1");
}
static int listen_nowhere(void)
{
    return listen_at("weft.example");
}

static int listen_unix(void)
{
    struct io_listener *listener;
    int result = io_listen_unix(io, in_folder("socket"), 0700, 5, NULL, &listener);
    if (result == 0) io_unlisten(listener);
    return files_in_folder() == 1 ? result : 1; /* "kept": no socket stays behind */
}
static int listen_unix_long(void)
{
    struct io_listener *listener;
    char path[200];
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = 0;
    return io_listen_unix(io, path, 0, 5, NULL, &listener);
}

static int connect_to(const char *address)
{
    int error = 0;
    struct io_conn *conn = io_connect(io, address, 1, NULL, &error);
    for (int i = 0; conn && i < WAITS; i++) {
        struct io_completion done[4];
        int count = io_wait(io, io_monotonic_us(io) + WAIT_US, done, 4);
        for (int c = 0; c < count; c++)
            if (done[c].op == IO_CONNECT) return (int)done[c].result;
    }
    return conn ? 1 : error;
}
static int connect_tcp(void)
{
    return connect_to("127.0.0.1");
}
static int connect_unix(void)
{
    return connect_to("/none/socket");
}
static int connect_unix_long(void)
{
    char path[200];
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = 0;
    return connect_to(path);
}
static int connect_nowhere(void)
{
    return connect_to("weft.example");
}

static int make_io(void)
{
    int error = 0;
    struct io *other = io_create(world, &error);
    if (other) io_destroy(other);
    return error;
}

static int count_cpus(void)
{
    return io_cpu_count() > 0 ? 0 : 1;
}
static int name_the_system(void)
{
    char name[100];
    return strcmp(io_os_name(name, sizeof name), "unknown") == 0 ? 0 : 1;
}
static int find_the_folder(void)
{
    char path[100];
    return io_current_directory(path, sizeof path);
}
static void nothing(void *argument)
{
    (void)argument;
}
static int start_thread(void)
{
    int error = 0;
    struct io_thread *thread = io_thread_start("x", nothing, NULL, &error);
    if (thread) io_thread_join(thread);
    return thread ? 0 : error;
}

/* Of a connection whose peer is asked for too late. */
static int tell_peer(void)
{
    char address[IO_ADDRESS_MAX];
    int error = 0;
    struct io_conn *conn = io_connect(io, "127.0.0.1", 1, NULL, &error);
    if (!conn) return error;
    io_peer_address(conn, address);
    return strcmp(address, "?:0") == 0 ? 0 : 1;
}
static int tell_own(void)
{
    char address[IO_ADDRESS_MAX];
    int error = 0;
    struct io_conn *conn = io_connect(io, "127.0.0.1", 1, NULL, &error);
    if (!conn) return error;
    io_local_address(conn, address);
    return strcmp(address, "?:0") == 0 ? 0 : 1;
}

/* ---- the rows ---- */

#define NO_CALL        (-1)
#define NO_DESCRIPTORS (-2) /* every further one is refused by the limit */
#define NO_FILE_BYTES  (-3) /* files may not grow */

static const struct row {
    const char *title;
    int call, error; /* that is refused, and how */
    int (*run)(void);
    int wanted;
} rows[] = {
    {"fsync of a file", SYS_fsync, EIO, replace_file, -EIO},
    {"its rename", SYS_rename, EXDEV, replace_file, -EXDEV},
    {"its bytes", NO_FILE_BYTES, 0, replace_file, -EFBIG},
    {"its descriptor", NO_DESCRIPTORS, 0, replace_over_folder, -EMFILE},
    {"a folder in its place", NO_CALL, 0, replace_over_folder, -EISDIR},
    {"no folder for it", NO_CALL, 0, replace_nowhere, -ENOENT},
    {"nothing is refused", NO_CALL, 0, replace_file_late, 0},
    {"append to a full device", NO_CALL, 0, append_to_full, -ENOSPC},
    {"append to no folder", NO_CALL, 0, append_nowhere, -ENOENT},
    {"read", NO_CALL, 0, load_unreadable, -EIO},
    {"read a folder", NO_CALL, 0, load_folder, -EISDIR},
    {"read too much", NO_CALL, 0, load_too_long, -EFBIG},
    {"no file fits", NO_CALL, 0, glob_nothing, 0},
    {"a listener's descriptor", NO_DESCRIPTORS, 0, listen_tcp, -EMFILE},
    {"its option", SYS_setsockopt, EPERM, listen_tcp, -EPERM},
    {"its option for IPv6", SYS_setsockopt, EPERM, listen_tcp6, -EPERM},
    {"its address", SYS_bind, EACCES, listen_tcp, -EACCES},
    {"its queue", SYS_listen, EADDRINUSE, listen_tcp, -EADDRINUSE},
    {"its name", SYS_getsockname, ENOBUFS, listen_tcp, -ENOBUFS},
    {"a name that is no address", NO_CALL, 0, listen_nowhere, -EINVAL},
    {"a unix listener's descriptor", NO_DESCRIPTORS, 0, listen_unix, -EMFILE},
    {"its mode", SYS_chmod, EPERM, listen_unix, -EPERM},
    {"its queue", SYS_listen, ENOMEM, listen_unix, -ENOMEM},
    {"its path", NO_CALL, 0, listen_unix_long, -ENAMETOOLONG},
    {"a connection's descriptor", NO_DESCRIPTORS, 0, connect_tcp, -EMFILE},
    {"nobody listens", NO_CALL, 0, connect_tcp, -ECONNREFUSED},
    {"nobody listens at a path", NO_CALL, 0, connect_unix, -ENOENT},
    {"a path that is too long", NO_CALL, 0, connect_unix_long, -ENAMETOOLONG},
    {"a host that is no address", NO_CALL, 0, connect_nowhere, -EINVAL},
    {"the peer's address", SYS_getpeername, ENOTCONN, tell_peer, 0},
    {"the own address", SYS_getsockname, ENOTCONN, tell_own, 0},
    {"descriptors of an io", NO_DESCRIPTORS, 0, make_io, -EMFILE},
    {"its wake-up", SYS_eventfd2, ENFILE, make_io, -ENFILE},
    {"the count of CPUs", SYS_sched_getaffinity, EPERM, count_cpus, 0},
    {"the system's name", SYS_uname, EFAULT, name_the_system, 0},
    {"the current folder", SYS_getcwd, ENOENT, find_the_folder, -ENOENT},
    {"a thread", SYS_clone3, EAGAIN, start_thread, -EAGAIN},
};

static const struct row *at;

static bool run_row(void)
{
    int error = 0;
    world = io_world_create(backend, &error);
    io = world ? io_create(world, &error) : NULL;
    if (!io) return false;
    if (io_file_store_atomic(io, in_folder("kept"), "old", 3) != 0) return false;
    struct rlimit files, bytes;
    getrlimit(RLIMIT_NOFILE, &files);
    getrlimit(RLIMIT_FSIZE, &bytes);
    signal(SIGXFSZ, SIG_IGN);
    if (at->call == NO_DESCRIPTORS) setrlimit(RLIMIT_NOFILE, &(struct rlimit){0, files.rlim_max});
    if (at->call == NO_FILE_BYTES) setrlimit(RLIMIT_FSIZE, &(struct rlimit){2, bytes.rlim_max});
    if (at->call >= 0) child_refuse(at->call, at->error);
    int got;
    if (at->call == NO_DESCRIPTORS && at->run == listen_unix) {
        struct io_listener *listener; /* the folder cannot be looked at, either */
        got = io_listen_unix(io, in_folder("socket"), 0700, 5, NULL, &listener);
    } else {
        got = at->run();
    }
    setrlimit(RLIMIT_NOFILE, &files);
    setrlimit(RLIMIT_FSIZE, &bytes);
    if (got != at->wanted)
        print_error("%s (%s): got %d, wanted %d\n", at->title, io_world_backend_name(world), got, at->wanted);
    return got == at->wanted;
}

static void refusals(void **state)
{
    const enum io_backend backends[] = {IO_BACKEND_EPOLL, IO_BACKEND_URING};
    (void)state;
    assert_non_null(mkdtemp(folder));
    for (size_t b = 0; b < ARRAY_LEN(backends); b++) {
        int error = 0;
        backend = backends[b];
        struct io_world *there = io_world_create(backend, &error);
        if (!there) continue;
        io_world_destroy(there);
        for (at = rows; at < rows + ARRAY_LEN(rows); at++) expect_in_child(run_row);
    }
    unlink(in_folder("kept"));
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
