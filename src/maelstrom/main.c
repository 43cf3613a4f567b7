/* weft-maelstrom: the node of weft-server, with Maelstrom in place of the network. Takes the same
 * configuration
 * (`--shards 4 --io epoll`, a file); what concerns the network and the process (port, bind, logfile,
 * daemonize …) has no effect. Messages go to stdout, everything else to stderr, as Maelstrom demands.
 *
 * Threads: shard 0 on the main one, the other shards and the bridge each on its own. The end of the input
 * ends the node. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "command/command.h"
#include "io/lines.h"
#include "io/world.h"
#include "maelstrom/bridge.h"
#include "server/start.h"
#include "shard/node.h"
#include "shard/shard.h"

#define PARTITION_LIMIT (1u << 30)
#define TURN_US         100000
#define FILES_SPARE     256

struct program {
    struct io_world *world;
    struct io *io, *bridge_io; /* shard 0's; the bridge's */
    struct io_thread *threads[SHARDS_MAX];
    struct node *node;
    struct bridge *bridge;
    int log_level;
};

static void say(struct io *io, const char *sentence)
{
    char line[1024];
    int len = snprintf(line, sizeof line, "weft: %s\n", sentence);
    io_file_append(io, "/dev/stderr", line, len < (int)sizeof line ? (size_t)len : sizeof line - 1);
}

/* ---- the node's host: as weft-server's, in the world of lines ---- */

static struct io *host_io_create(void *context, int *error)
{
    return io_create(((struct program *)context)->world, error);
}

static void host_io_destroy(void *context, struct io *io)
{
    (void)context;
    io_destroy(io);
}

static bool host_start(void *context, struct shard *shard)
{
    struct program *p = context;
    char name[16];
    int error;
    snprintf(name, sizeof name, "shard-%u", shard_index(shard));
    p->threads[shard_index(shard)] = io_thread_start(name, shard_run, shard, &error);
    return p->threads[shard_index(shard)] != NULL;
}

static void host_join(void *context, struct shard *shard)
{
    struct program *p = context;
    io_thread_join(p->threads[shard_index(shard)]);
    p->threads[shard_index(shard)] = NULL;
}

static void host_log(void *context, enum config_log level, const char *sentence)
{
    const struct program *p = context;
    if ((int)level >= p->log_level) say(p->io, sentence);
}

static void note(void *context, const char *sentence)
{
    (void)context; /* what configuration has no effect here: Maelstrom's log need not know */
    (void)sentence;
}

/* ---- the bridge's host ---- */

static io_socket bridge_connect(void *context, int *error)
{
    return io_lines_connect(((struct program *)context)->world, error);
}

static void bridge_write(void *context, const char *line, size_t len)
{
    io_file_append(((struct program *)context)->bridge_io, NULL, line, len);
}

static void bridge_log(void *context, const char *sentence)
{
    say(((struct program *)context)->bridge_io, sentence);
}

static void bridge_run(void *context)
{
    struct program *p = context;
    while (bridge_turn(p->bridge, TURN_US)) {
    }
    node_stop(p->node, 0);
}

/* ---- running ---- */

static bool start_bridge(struct program *p, struct io_thread **thread)
{
    const struct bridge_host host = {p, bridge_connect, bridge_write, bridge_log};
    int error = 0;
    io_socket input = io_lines_input(p->world, &error);
    p->bridge_io = input == IO_SOCKET_NONE ? NULL : io_create(p->world, &error);
    p->bridge = p->bridge_io ? bridge_create(p->bridge_io, input, &host) : NULL;
    *thread = p->bridge ? io_thread_start("bridge", bridge_run, p, &error) : NULL;
    if (!*thread) fprintf(stderr, "weft: cannot read standard input: %s\n", strerror(-error));
    return *thread != NULL;
}

static int serve(struct program *p, const struct config *config)
{
    char error[512];
    struct io_thread *bridge;
    if (start_serving(p->node, error, sizeof error) != 0) {
        say(p->io, error);
        return 1;
    }
    for (uint16_t i = 1; i < config->shards; i++)
        if (!host_start(p, p->node->shards[i])) return 1;
    io_signals_catch(p->io);
    if (!start_bridge(p, &bridge)) return 1;
    while (shard_turn(p->node->shards[0], TURN_US))
        if (io_signals_stop_requested() && !atomic_load(&p->node->stop)) node_stop(p->node, 0);
    for (uint16_t i = 0; i < SHARDS_MAX; i++)
        if (p->threads[i]) io_thread_join(p->threads[i]);
    bridge_stop(p->bridge);
    io_thread_join(bridge);
    return p->node->exit_status;
}

static int run(const struct config_arguments *arguments)
{
    static const enum io_backend backends[] = {IO_BACKEND_AUTO, IO_BACKEND_URING, IO_BACKEND_EPOLL};
    struct program p = {0};
    struct config config;
    char fatal[CONFIG_FATAL_MAX];
    int error = 0, status = 1;
    size_t seed;
    /* The configuration names the backend, and reading it takes an io: any will do. */
    struct io_world *world = io_world_create(IO_BACKEND_EPOLL, &error);
    struct io *io = world ? io_create(world, &error) : NULL;
    if (!io || !start_load_config(&config, io, arguments, note, fatal)) {
        fprintf(stderr, "weft: %s\n", io ? fatal : strerror(-error));
        return 1;
    }
    io_entropy(io, &seed, sizeof seed);
    json_object_seed(seed | 1); /* or it would read /dev/urandom by itself */
    if (config.shards == 0) config.shards = io_cpu_count();
    if (config.shards > SHARDS_MAX) config.shards = SHARDS_MAX;
    io_files_max(2 * BRIDGE_SOURCES_MAX + FILES_SPARE);
    config.protected_mode = false; /* there is no network to be protected from */
    p.log_level = config.loglevel;
    p.world = io_lines_world_create(backends[config.io], &error);
    p.io = p.world ? io_create(p.world, &error) : NULL;
    if (!p.io) {
        fprintf(stderr, "weft: cannot start: %s\n", strerror(-error));
        return 1;
    }
    struct node_host host = {.context = &p,
                             .io_create = host_io_create,
                             .io_destroy = host_io_destroy,
                             .actor_start = host_start,
                             .actor_join = host_join,
                             .log = host_log};
    p.node = start_node(&host, &config, p.io, PARTITION_LIMIT);
    if (p.node) {
        p.node->process_id = io_process_id();
        p.node->memory_total = io_memory_total();
        p.node->io_name = io_world_backend_name(p.world);
        status = serve(&p, &config);
        if (p.bridge) bridge_destroy(p.bridge);
        start_undo(p.node);
    } else {
        say(p.io, "out of memory or address space at start");
    }
    if (p.bridge_io) io_destroy(p.bridge_io);
    io_destroy(p.io);
    io_world_destroy(p.world);
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
    if (arguments.action == CONFIG_SHOW_HELP)
        puts("usage: weft-maelstrom [configuration as for weft-server]\n"
             "A weft node that speaks the Maelstrom protocol on stdin and stdout: workloads lin-kv,\n"
             "txn-list-append and echo, one node. See the README.");
    else if (arguments.action == CONFIG_SHOW_VERSION)
        puts("weft v=" COMMAND_WEFT_VERSION " redis=" COMMAND_REDIS_VERSION);
    else
        status = run(&arguments);
    config_arguments_free(&arguments);
    return status;
}
