/* Start-up: see start.h. */
#include "server/start.h"

#include <stdlib.h>
#include <string.h>

#include "command/command.h"
#include "io/world.h"
#include "shard/shard.h"

#define CONFIG_FILE_MAX (64u << 20)

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

bool start_load_config(struct config *config, struct io *io, const struct config_arguments *arguments,
                       void (*note)(void *context, const char *sentence), char fatal[CONFIG_FATAL_MAX])
{
    struct reader reader = {io, config};
    struct config_loader loader = {
        .context = &reader, .load = load_file, .glob = glob_files, .rename = judge_rename, .note = note};
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
    return loaded;
}

/* ---- the node ---- */

static const struct slab_memory memory = {io_memory_reserve, io_memory_unreserve, io_memory_decommit,
                                          io_memory_huge};

struct node *start_node(const struct node_host *host, const struct config *config, struct io *first,
                        size_t partition_limit)
{
    uint64_t seed;
    io_entropy(first, &seed, sizeof seed);
    struct node *node = node_create(host, config, &memory, partition_limit, seed);
    if (!node) return NULL;
    node->started_us = io_realtime_us(first);
    for (uint16_t i = 0; i < config->shards; i++) {
        int error = 0;
        struct io *io = i == 0 ? first : host->io_create(host->context, &error);
        node->shards[i] = io && node_add_rings(node, i) ? shard_create(node, i, io, config) : NULL;
        if (!node->shards[i]) return NULL;
    }
    return node;
}

int start_serving(struct node *node, char *error, size_t error_len)
{
    if (shard_listen(node->shards[0], error, error_len) != 0) return -1;
    for (uint16_t i = 0; i < SHARDS_MAX && node->shards[i]; i++) shard_take_partitions(node->shards[i]);
    return 0;
}

void start_undo(struct node *node)
{
    struct io *first = shard_io(node->shards[0]);
    for (uint16_t i = 0; i < SHARDS_MAX; i++) {
        struct shard *shard = node->shards[i];
        if (!shard) continue;
        struct io *its = shard_io(shard);
        shard_destroy(shard);
        if (its != first) node->host.io_destroy(node->host.context, its);
    }
    node_destroy(node);
}
