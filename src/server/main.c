/* weft-server: configuration, start-up, threads, shutdown. Everything it does to the outside goes through io.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/command.h"
#include "io/world.h"
#include "server/server.h"
#include "shard/node.h"
#include "shard/shard.h"

#define CONFIG_FILE_MAX     (64u << 20)
#define PARTITION_LIMIT_MAX (32ULL << 30) /* what 32-bit handles of 8 bytes can name */

struct server {
    struct io_world *world;
    struct io_thread *threads[SHARDS_MAX];
};

/* ---- how shards become threads ---- */

static struct io *host_io_create(void *context, int *error)
{
    return io_create(((struct server *)context)->world, error);
}

static void host_io_destroy(void *context, struct io *io)
{
    (void)context;
    io_destroy(io);
}

static bool host_start(void *context, struct shard *shard)
{
    struct server *server = context;
    char name[16];
    int error;
    snprintf(name, sizeof name, "shard-%u", shard_index(shard));
    struct io_thread **thread = &server->threads[shard_index(shard)];
    *thread = io_thread_start(name, shard_run, shard, &error);
    return *thread != NULL;
}

static void host_join(void *context, struct shard *shard)
{
    struct server *server = context;
    io_thread_join(server->threads[shard_index(shard)]);
    server->threads[shard_index(shard)] = NULL;
}

static void host_log(void *context, enum config_log level, const char *sentence)
{
    (void)context;
    server_log(level, "%s", sentence);
}

static bool host_prepare(void *context, const struct config *old, struct config *next, const char **name,
                         char reason[CONFIG_ERROR_MAX])
{
    (void)context;
    return server_prepare(old, next, name, reason);
}

static void host_configured(void *context, const struct config *config)
{
    (void)context;
    server_configured(config);
}

/* ---- configuration ---- */

struct reader {
    struct io *io;
    const struct config *config;
};

static char *load_file(void *context, const char *path, size_t *len, const char **reason)
{
    int error = 0;
    char *text = io_file_load(((struct reader *)context)->io, path, CONFIG_FILE_MAX, len, &error);
    if (!text) *reason = strerror(-error);
    return text;
}

static bool glob_files(void *context, const char *pattern, char ***names, size_t *count)
{
    return io_file_glob(((struct reader *)context)->io, pattern, names, count) == 0;
}

static const char *judge_rename(void *context, struct slice from, struct slice to)
{
    const struct config *config = ((struct reader *)context)->config;
    const struct command *container;
    if (!command_resolve_renamed(config, &from, 1, &container)) return "No such command in rename-command";
    if (to.len && command_resolve_renamed(config, &to, 1, &container))
        return "Target command name already exists";
    return NULL;
}

static void note(void *context, const char *sentence)
{
    (void)context;
    server_log(CONFIG_LOG_NOTICE, "%s", sentence);
}

static bool load_config(struct config *config, struct io *io, const struct config_arguments *arguments)
{
    struct reader reader = {io, config};
    struct config_loader loader = {
        .context = &reader, .load = load_file, .glob = glob_files, .rename = judge_rename, .note = note};
    char fatal[CONFIG_FATAL_MAX];
    struct slice stdin_text = {"", 0};
    char *text = NULL;
    if (arguments->from_stdin) {
        int error = 0;
        text = io_file_load(io, "/dev/stdin", CONFIG_FILE_MAX, &stdin_text.len, &error);
        stdin_text.ptr = text ? text : "";
    }
    config_init(config);
    bool loaded = config_load(config, arguments, stdin_text, &loader, fatal);
    free(text);
    if (!loaded) fprintf(stderr, "%s\n", fatal);
    return loaded;
}

static void choose_shards(struct config *config)
{
    if (config->shards == 0) config->shards = io_cpu_count();
    if (config->shards > SHARDS_MAX) config->shards = SHARDS_MAX;
}

/* ---- running ---- */

static const struct slab_memory memory = {io_memory_reserve, io_memory_unreserve, io_memory_decommit,
                                          io_memory_huge};

/* Enough address space that one partition may hold everything that fits into the machine. */
static size_t partition_limit(void)
{
    size_t limit = PARTITION_LIMIT_MAX, wanted = (size_t)io_memory_total() * 2;
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    wanted = 1u << 30; /* sanitizers leave less address space */
#endif
    while (limit / 2 > wanted) limit /= 2;
    return limit;
}

static struct node *build_node(struct server *server, const struct config *config, struct io *io)
{
    struct node_host host = {.context = server,
                             .io_create = host_io_create,
                             .io_destroy = host_io_destroy,
                             .actor_start = host_start,
                             .actor_join = host_join,
                             .log = host_log,
                             .prepare = host_prepare,
                             .configured = host_configured};
    uint64_t seed;
    io_entropy(io, &seed, sizeof seed);
    struct node *node = node_create(&host, config, &memory, partition_limit(), seed);
    if (!node) return NULL;
    node->started_us = io_realtime_us(io);
    node->process_id = io_process_id();
    node->memory_total = io_memory_total();
    node->io_name = io_world_backend_name(server->world);
    io_os_name(node->os, sizeof node->os);
    io_executable_path(node->executable, sizeof node->executable);
    for (uint16_t i = 0; i < config->shards; i++) {
        int error = 0;
        struct io *shard_io = i == 0 ? io : io_create(server->world, &error);
        node->shards[i] =
            shard_io && node_add_rings(node, i) ? shard_create(node, i, shard_io, config) : NULL;
        if (!node->shards[i]) return NULL;
    }
    return node;
}

static int serve(struct server *server, struct node *node, const struct config *config)
{
    char error[512];
    struct shard *first = node->shards[0];
    if (shard_listen(first, error, sizeof error) != 0) {
        server_log(CONFIG_LOG_WARNING, "%s", error);
        return 1;
    }
    for (uint16_t i = 0; i < config->shards; i++) shard_take_partitions(node->shards[i]);
    for (uint16_t i = 1; i < config->shards; i++)
        if (!host_start(server, node->shards[i])) return 1;
    io_signals_catch(shard_io(first));
    server_log(CONFIG_LOG_NOTICE, "%lld shards, %s", (long long)config->shards, node->io_name);
    server_log(CONFIG_LOG_NOTICE, "Server initialized");
    server_log(CONFIG_LOG_NOTICE, "Ready to accept connections tcp");
    while (shard_turn(first, 100000))
        if (io_signals_stop_requested() && !atomic_load(&node->stop)) {
            server_log(CONFIG_LOG_WARNING, "Received a signal, scheduling shutdown...");
            node_stop(node, 0);
        }
    return node->exit_status;
}

static void shut_down(struct server *server, struct node *node, struct io *io)
{
    /* All of them first: an actor that stops may still wake another. */
    for (uint16_t i = 0; i < SHARDS_MAX; i++)
        if (server->threads[i]) io_thread_join(server->threads[i]);
    for (uint16_t i = 0; i < SHARDS_MAX; i++) {
        struct shard *shard = node->shards[i];
        if (!shard) continue;
        struct io *its = shard_io(shard);
        shard_destroy(shard);
        if (its != io) io_destroy(its);
    }
    node_destroy(node);
}

static int run(const struct config_arguments *arguments)
{
    struct server server = {0};
    struct config config;
    int error = 0, status = 1;
    /* The configuration names the backend, and reading it takes an io: any will do. */
    struct io_world *world = io_world_create(IO_BACKEND_EPOLL, &error);
    struct io *io = world ? io_create(world, &error) : NULL;
    if (!io) {
        fprintf(stderr, "weft: cannot start: %s\n", strerror(-error));
        return 1;
    }
    server_log_start(io);
    if (!load_config(&config, io, arguments)) return 1;
    choose_shards(&config);
    server_locate(&config);
    if (!server_enter(&config, io, arguments)) return 1;
    static const enum io_backend backends[] = {IO_BACKEND_AUTO, IO_BACKEND_URING, IO_BACKEND_EPOLL};
    server.world = io_world_create(backends[config.io], &error);
    struct io *first = server.world ? io_create(server.world, &error) : NULL;
    if (!first) {
        server_log(CONFIG_LOG_WARNING, "Cannot use the io backend that `io` names: %s", strerror(-error));
        return 1;
    }
    server_log_start(first);
    struct node *node = build_node(&server, &config, first);
    if (node) {
        status = serve(&server, node, &config);
        server_leave(&config, first);
        shut_down(&server, node, first);
    } else {
        server_log(CONFIG_LOG_WARNING, "Out of memory or address space at start");
    }
    if (status == 0) server_log(CONFIG_LOG_WARNING, "weft is now ready to exit, bye bye...");
    io_destroy(first);
    io_world_destroy(server.world);
    io_destroy(io);
    io_world_destroy(world);
    config_free(&config);
    return status;
}

int main(int argc, char **argv)
{
    struct config_arguments arguments;
    config_arguments_parse(&arguments, argc, argv);
    int status = 0;
    if (arguments.action == CONFIG_SHOW_HELP) {
        char *text = config_help_text();
        fputs(text, stdout);
        free(text);
    } else if (arguments.action == CONFIG_SHOW_VERSION) {
        puts("weft v=" COMMAND_WEFT_VERSION " redis=" COMMAND_REDIS_VERSION);
    } else {
        status = run(&arguments);
    }
    config_arguments_free(&arguments);
    return status;
}
