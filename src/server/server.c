/* Around the node: log, daemon, pid file. The log's state is the one static of the program: a log line may be
 * due anywhere, and it is set before any other thread starts. */
#include "server/server.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/command.h"
#include "io/world.h"

static struct {
    struct io *io;
    const char *path;  /* NULL: stdout */
    _Atomic int level; /* enum config_log; CONFIG SET changes it */
    int64_t process_id;
} the_log = {.level = CONFIG_LOG_NOTICE};

void server_log_start(struct io *io)
{
    the_log.io = io;
    the_log.process_id = io_process_id();
}

/* Civil date from days since 1970 (Hinnant's algorithm); UTC. */
static void civil(int64_t days, int *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t doe = days - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *day = (int)(doy - (153 * mp + 2) / 5 + 1);
    *month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *year = (int)(yoe + era * 400 + (*month <= 2));
}

void server_log(enum config_log level, const char *format, ...)
{
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    static const char marks[] = ".-*#";
    if ((int)level < the_log.level || level >= CONFIG_LOG_NOTHING) return;
    char line[2048];
    int64_t ms = io_realtime_us(the_log.io) / 1000, seconds = ms / 1000;
    int year, month, day, of_day = (int)(seconds % 86400);
    civil(seconds / 86400, &year, &month, &day);
    int n = snprintf(line, sizeof line, "%lld:M %02d %s %d %02d:%02d:%02d.%03d %c ",
                     (long long)the_log.process_id, day, months[month - 1], year, of_day / 3600,
                     of_day / 60 % 60, of_day % 60, (int)(ms % 1000), marks[level]);
    va_list args;
    va_start(args, format);
    int text = vsnprintf(line + n, sizeof line - (size_t)n - 1, format, args);
    va_end(args);
    size_t len = (size_t)n + (size_t)(text < 0 ? 0 : text);
    if (len > sizeof line - 2) len = sizeof line - 2;
    line[len++] = '\n';
    io_file_append(the_log.io, the_log.path, line, len);
}

static void log_start_lines(const struct config_arguments *arguments)
{
    server_log(CONFIG_LOG_NOTICE, "oO0OoO0OoO0Oo weft is starting oO0OoO0OoO0Oo");
    server_log(CONFIG_LOG_NOTICE, "weft version=%s, redis_version=%s, bits=64, pid=%lld, just started",
               COMMAND_WEFT_VERSION, COMMAND_REDIS_VERSION, (long long)the_log.process_id);
    if (arguments->file || arguments->options.len)
        server_log(CONFIG_LOG_NOTICE, "Configuration loaded");
    else
        server_log(CONFIG_LOG_WARNING, "Warning: no config file specified, using the default config.");
    /* Redis's own test suite learns the process's id from this line. */
    server_log(CONFIG_LOG_NOTICE, "PID: %lld", (long long)the_log.process_id);
}

/* ---- directory and open files, at start and by CONFIG SET ---- */

#define PATH_LEN_MAX 4096
#define FILES_SPARE  32 /* beside the clients: listeners, log, wake-ups */

static void make_absolute(struct config_text *path)
{
    char absolute[2 * PATH_LEN_MAX];
    if (path->len == 0 || path->ptr[0] == '/' || path->len > PATH_LEN_MAX) return;
    if (io_current_directory(absolute, PATH_LEN_MAX) != 0) return;
    size_t len = strlen(absolute);
    len += (size_t)snprintf(absolute + len, sizeof absolute - len, "/%s", path->ptr);
    config_text_set(path, (struct slice){absolute, len});
}

void server_locate(struct config *config)
{
    make_absolute(&config->file);
}

/* Goes to `dir` and makes it what CONFIG GET shows: an absolute path. */
static int enter_directory(struct config *config)
{
    char absolute[PATH_LEN_MAX];
    int error = config->dir.len ? io_change_directory(config->dir.ptr) : 0;
    if (error == 0 && io_current_directory(absolute, sizeof absolute) == 0)
        config_text_set(&config->dir, (struct slice){absolute, strlen(absolute)});
    return error;
}

bool server_prepare(const struct config *old, struct config *next, const char **name,
                    char reason[CONFIG_ERROR_MAX])
{
    if (next->shards == 0) next->shards = io_cpu_count();
    *name = "maxclients";
    if (next->maxclients > old->maxclients) {
        int64_t got = io_files_max(next->maxclients + FILES_SPARE) - FILES_SPARE;
        if (got < next->maxclients) {
            snprintf(reason, CONFIG_ERROR_MAX,
                     "The operating system is not able to handle the specified number of clients, try with "
                     "%lld",
                     (long long)got);
            return false;
        }
    }
    *name = "dir";
    if (strcmp(next->dir.ptr, old->dir.ptr) == 0) return true;
    int error = enter_directory(next);
    if (error) snprintf(reason, CONFIG_ERROR_MAX, "%s", strerror(-error));
    return error == 0;
}

void server_configured(const struct config *config)
{
    the_log.level = config->loglevel;
}

bool server_enter(struct config *config, struct io *io, const struct config_arguments *arguments)
{
    the_log.level = config->loglevel;
    int error = enter_directory(config);
    if (error != 0) {
        server_log(CONFIG_LOG_WARNING, "Can't chdir to '%s': %s", config->dir.ptr, strerror(-error));
        return false;
    }
    if (config->logfile.len) {
        if (io_file_append(io, config->logfile.ptr, "", 0) != 0) {
            server_log(CONFIG_LOG_WARNING, "Can't open the log file '%s'", config->logfile.ptr);
            return false;
        }
        the_log.path = config->logfile.ptr;
    }
    if (config->daemonize && io_daemonize() != 0) {
        server_log(CONFIG_LOG_WARNING, "Can't become a daemon");
        return false;
    }
    the_log.process_id = io_process_id();
    if (config->pidfile.len || config->daemonize) {
        if (!config->pidfile.len) config_text_set(&config->pidfile, SLICE("/var/run/redis.pid"));
        char text[32];
        int len = snprintf(text, sizeof text, "%lld\n", (long long)the_log.process_id);
        if (io_file_store_atomic(io, config->pidfile.ptr, text, (size_t)len) != 0)
            server_log(CONFIG_LOG_WARNING, "Failed to write PID file: %s", config->pidfile.ptr);
    }
    log_start_lines(arguments);
    int64_t files = config->maxclients + FILES_SPARE, got = io_files_max(files);
    if (got < files) {
        config->maxclients = got > 2 * FILES_SPARE ? got - FILES_SPARE : FILES_SPARE;
        server_log(CONFIG_LOG_WARNING, "Open files are limited to %lld: maxclients is now %lld",
                   (long long)got, (long long)config->maxclients);
    }
    return true;
}

void server_leave(const struct config *config, struct io *io)
{
    if (config->pidfile.len) {
        server_log(CONFIG_LOG_NOTICE, "Removing the pid file.");
        io_file_remove(io, config->pidfile.ptr);
    }
    if (config->unixsocket.len) io_file_remove(io, config->unixsocket.ptr);
}
