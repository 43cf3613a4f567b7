/* weft-server: configuration, start-up, threads, shutdown. Everything it does to the outside goes through io.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/command.h"
#include "io/world.h"
#include "server/server.h"
#include "server/start.h"
#include "shard/node.h"
#include "shard/shard.h"

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

static void note(void *context, const char *sentence)
{
    (void)context;
    server_log(CONFIG_LOG_NOTICE, "%s", sentence);
}

static void choose_shards(struct config *config)
{
    if (config->shards == 0) config->shards = io_cpu_count();
    if (config->shards > SHARDS_MAX) config->shards = SHARDS_MAX;
}

/* ---- running ---- */

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

static void describe_process(const struct server *server, struct node *node)
{
    node->process_id = io_process_id();
    node->memory_total = io_memory_total();
    node->io_name = io_world_backend_name(server->world);
    node->compiler[0] = __GNUC__;
    node->compiler[1] = __GNUC_MINOR__;
    node->compiler[2] = __GNUC_PATCHLEVEL__;
    io_os_name(node->os, sizeof node->os);
    io_executable_path(node->executable, sizeof node->executable);
}

static int serve(struct server *server, struct node *node, const struct config *config)
{
    char error[512];
    struct shard *first = node->shards[0];
    if (start_serving(node, error, sizeof error) != 0) {
        server_log(CONFIG_LOG_WARNING, "%s", error);
        return 1;
    }
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
    /* All of them first: an actor that stops may still wake another. */
    for (uint16_t i = 0; i < SHARDS_MAX; i++)
        if (server->threads[i]) io_thread_join(server->threads[i]);
    return node->exit_status;
}

static int run(const struct config_arguments *arguments)
{
    struct server server = {0};
    struct config config;
    int error = 0, status = 1;
    io_heap_keep();
    /* The configuration names the backend, and reading it takes an io: any will do. */
    struct io_world *world = io_world_create(IO_BACKEND_EPOLL, &error);
    struct io *io = world ? io_create(world, &error) : NULL;
    if (!io) {
        fprintf(stderr, "weft: cannot start: %s\n", strerror(-error));
        return 1;
    }
    server_log_start(io);
    char fatal[CONFIG_FATAL_MAX];
    if (!start_load_config(&config, io, arguments, note, fatal)) {
        fprintf(stderr, "%s\n", fatal);
        return 1;
    }
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
    struct node_host host = {.context = &server,
                             .io_create = host_io_create,
                             .io_destroy = host_io_destroy,
                             .actor_start = host_start,
                             .actor_join = host_join,
                             .log = host_log,
                             .prepare = host_prepare,
                             .configured = host_configured};
    struct node *node = start_node(&host, &config, first, partition_limit());
    if (node) {
        describe_process(&server, node);
        status = serve(&server, node, &config);
        server_leave(&config, first);
        start_undo(node);
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
