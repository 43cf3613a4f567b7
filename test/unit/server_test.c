/* What start-up does around the node: log lines, directory, pid file, limits of the process. Each test runs
 * in a child of its own (the log is the one state of a process), in a folder of its own, with stdout going to
 * a file there. */
#include "child.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/check.h"
#include "io/world.h"
#include "server/server.h"

#define FILE_MAX (1 << 20)

static char folder[] = "/tmp/weft-server-XXXXXX";

struct rig {
    struct io *io;
    struct config config;
    struct config_arguments arguments;
};

/* Whatever is not as wanted is said and ends the child. */
#define WANT(e)                                                                                              \
    do {                                                                                                     \
        if (!(e)) {                                                                                          \
            print_error("%s:%d: not so: %s\n", __FILE__, __LINE__, #e);                                      \
            return false;                                                                                    \
        }                                                                                                    \
    } while (0)

static void set(struct config_text *text, const char *value)
{
    config_text_set(text, (struct slice){value, strlen(value)});
}

static void set_up(struct rig *rig)
{
    int error = 0;
    memset(rig, 0, sizeof *rig);
    CHECK(chdir(folder) == 0);
    unlink("out");
    int out = open("out", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    CHECK(out >= 0 && dup2(out, STDOUT_FILENO) == STDOUT_FILENO);
    close(out);
    rig->io = io_create(io_world_create(IO_BACKEND_EPOLL, &error), &error);
    CHECK(rig->io);
    config_init(&rig->config);
    server_log_start(rig->io);
}

static bool file_says(const struct rig *rig, const char *path, const char *words)
{
    size_t len = 0;
    int error = 0;
    char *text = io_file_load(rig->io, path, FILE_MAX, &len, &error);
    bool found = text && strstr(text, words);
    if (!found) print_error("'%s' is not in %s: %s\n", words, path, text ? text : strerror(-error));
    free(text);
    return found;
}

static bool is_there(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

/* ---- the log ---- */

static bool log_lines(void)
{
    struct rig rig;
    char wanted[200], line[3000] = "", mark = 0;
    long long id = 0;
    set_up(&rig);
    time_t before = time(NULL);
    server_log(CONFIG_LOG_NOTICE, "one %d", 1);
    time_t after = time(NULL);
    server_log(CONFIG_LOG_DEBUG, "too fine");
    server_log(CONFIG_LOG_NOTHING, "nothing");
    rig.config.loglevel = CONFIG_LOG_WARNING;
    server_configured(&rig.config);
    server_log(CONFIG_LOG_NOTICE, "not now");
    server_log(CONFIG_LOG_WARNING, "%03000d", 7);
    FILE *out = fopen("out", "r");
    WANT(out && fgets(line, sizeof line, out));
    /* 123:M 23 Nov 2026 04:05:06.789 * one 1 */
    bool fits = false;
    for (time_t t = before; t <= after; t++) {
        char date[100];
        strftime(date, sizeof date, "%d %b %Y %H:%M:%S", gmtime(&t));
        snprintf(wanted, sizeof wanted, "%lld:M %s.", (long long)getpid(), date);
        fits |= strncmp(line, wanted, strlen(wanted)) == 0;
    }
    WANT(fits);
    int ms = -1, n = 0;
    WANT(sscanf(line + strlen(wanted), "%3d %c one 1%n", &ms, &mark, &n) == 2 && n > 0 && mark == '*');
    WANT(sscanf(line, "%lld:", &id) == 1 && id == getpid());
    /* The next one is the last, and cut. */
    WANT(fgets(line, sizeof line, out) && strstr(line, " # 0000000"));
    WANT(strlen(line) < 2048 && strlen(line) > 2000 && line[strlen(line) - 1] == '\n');
    WANT(!fgets(line, sizeof line, out));
    fclose(out);
    return true;
}

/* ---- start ---- */

static bool enters(void)
{
    struct rig rig;
    char pid[32];
    set_up(&rig);
    mkdir("data", 0700);
    set(&rig.config.dir, "data");
    set(&rig.config.logfile, "log");
    set(&rig.config.pidfile, "pid");
    set(&rig.config.unixsocket, "socket");
    set(&rig.config.file, "weft.conf");
    rig.arguments.file = "weft.conf";
    server_locate(&rig.config);
    WANT(strncmp(rig.config.file.ptr, folder, strlen(folder)) == 0);
    WANT(strcmp(rig.config.file.ptr + strlen(folder), "/weft.conf") == 0);
    WANT(server_enter(&rig.config, rig.io, &rig.arguments));
    WANT(strcmp(rig.config.dir.ptr + strlen(folder), "/data") == 0);
    WANT(file_says(&rig, "log", "weft is starting"));
    WANT(file_says(&rig, "log", "Configuration loaded\n"));
    snprintf(pid, sizeof pid, "%lld\n", (long long)getpid());
    WANT(file_says(&rig, "pid", pid) && file_says(&rig, "log", pid));
    close(open("socket", O_CREAT | O_WRONLY, 0600));
    server_leave(&rig.config, rig.io);
    WANT(!is_there("pid") && !is_there("socket"));
    WANT(file_says(&rig, "log", "Removing the pid file."));
    /* What is absolute already stays. */
    set(&rig.config.file, "/a/b");
    server_locate(&rig.config);
    WANT(strcmp(rig.config.file.ptr, "/a/b") == 0);
    return true;
}

static bool enters_with_nothing(void)
{
    struct rig rig;
    set_up(&rig);
    set(&rig.config.pidfile, "none/pid");
    WANT(server_enter(&rig.config, rig.io, &rig.arguments));
    WANT(file_says(&rig, "out", "Warning: no config file specified, using the default config."));
    WANT(file_says(&rig, "out", "Failed to write PID file: none/pid"));
    set(&rig.config.pidfile, "");
    server_leave(&rig.config, rig.io);
    return true;
}

static bool finds_no_folder(void)
{
    struct rig rig;
    set_up(&rig);
    set(&rig.config.dir, "nowhere");
    WANT(!server_enter(&rig.config, rig.io, &rig.arguments));
    return file_says(&rig, "out", "# Can't chdir to 'nowhere': No such file or directory\n");
}

static bool finds_no_log(void)
{
    struct rig rig;
    set_up(&rig);
    set(&rig.config.logfile, "nowhere/log");
    WANT(!server_enter(&rig.config, rig.io, &rig.arguments));
    return file_says(&rig, "out", "# Can't open the log file 'nowhere/log'\n");
}

static bool has_few_files(void)
{
    struct rig rig;
    set_up(&rig);
    child_refuse(SYS_prlimit64, EPERM);
    WANT(server_enter(&rig.config, rig.io, &rig.arguments));
    WANT(rig.config.maxclients == 32);
    return file_says(&rig, "out", "Open files are limited to 0: maxclients is now 32\n");
}

static bool cannot_be_a_daemon(void)
{
    struct rig rig;
    set_up(&rig);
    rig.config.daemonize = true;
    child_refuse(SYS_clone, EAGAIN);
    WANT(!server_enter(&rig.config, rig.io, &rig.arguments));
    return file_says(&rig, "out", "# Can't become a daemon\n");
}

/* The parent leaves in server_enter(); who goes on writes the pid file. */
static bool becomes_a_daemon(void)
{
    int report[2];
    char got = 0;
    WANT(pipe(report) == 0);
    unlink("pid");
    pid_t first = fork();
    if (first == 0) {
        struct rig rig;
        char pid[32];
        set_up(&rig);
        rig.config.daemonize = true;
        set(&rig.config.logfile, "log");
        set(&rig.config.pidfile, "pid");
        bool entered = server_enter(&rig.config, rig.io, &rig.arguments);
        snprintf(pid, sizeof pid, "%lld\n", (long long)getpid());
        bool good = entered && file_says(&rig, "pid", pid) && file_says(&rig, "log", pid);
        CHECK(write(report[1], good ? "y" : "n", 1) == 1);
        child_exit(0);
    }
    int status = 1;
    WANT(waitpid(first, &status, 0) == first && status == 0);
    WANT(read(report[0], &got, 1) == 1 && got == 'y');
    return true;
}

/* ---- CONFIG SET ---- */

static bool prepares(void)
{
    struct rig rig;
    struct config next;
    const char *name = NULL;
    char reason[CONFIG_ERROR_MAX] = "";
    set_up(&rig);
    mkdir("data", 0700);
    WANT(server_enter(&rig.config, rig.io, &rig.arguments));
    config_copy(&next, &rig.config);
    next.shards = 0;
    WANT(server_prepare(&rig.config, &next, &name, reason));
    WANT(next.shards == io_cpu_count());
    set(&next.dir, "data");
    WANT(server_prepare(&rig.config, &next, &name, reason));
    WANT(strcmp(next.dir.ptr + strlen(folder), "/data") == 0);
    set(&next.dir, "nowhere");
    WANT(!server_prepare(&rig.config, &next, &name, reason));
    WANT(strcmp(name, "dir") == 0 && strcmp(reason, "No such file or directory") == 0);
    set(&next.dir, rig.config.dir.ptr);
    child_refuse(SYS_prlimit64, EPERM);
    next.maxclients = rig.config.maxclients + 1;
    WANT(!server_prepare(&rig.config, &next, &name, reason));
    WANT(strcmp(name, "maxclients") == 0);
    WANT(strncmp(reason, "The operating system is not able to handle the specified number of clients", 70) ==
         0);
    config_free(&next);
    return true;
}

/* ---- all ---- */

static void in_children(void **state)
{
    static bool (*const tests[])(void) = {log_lines,          enters,           enters_with_nothing,
                                          finds_no_folder,    finds_no_log,     has_few_files,
                                          cannot_be_a_daemon, becomes_a_daemon, prepares};
    char command[100];
    (void)state;
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < ARRAY_LEN(tests); i++) expect_in_child(tests[i]);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(in_children)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
