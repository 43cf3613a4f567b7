/* start: from a configuration to a node that serves, in any world. weft-server, the simulator and
 * weft-maelstrom come up through it; they differ in their host (threads or a scheduler) and in what the
 * process around the node does. Control plane, before the actors run or after they have stopped. */
#ifndef WEFT_SERVER_START_H
#define WEFT_SERVER_START_H

#include "config/config.h"
#include "io/io.h"
#include "shard/node.h"

/* config_init() and config_load(), with files read through `io`. False with the whole text of what is wrong.
 */
bool start_load_config(struct config *config, struct io *io, const struct config_arguments *arguments,
                       void (*note)(void *context, const char *sentence), char fatal[CONFIG_FATAL_MAX]);
/* A node with config->shards shards (none of 0) which do not run yet; the first has `first` as its io, the
 * host makes the others. A partition can hold `partition_limit` bytes. NULL: out of memory or address space.
 */
struct node *start_node(const struct node_host *host, const struct config *config, struct io *first,
                        size_t partition_limit);
/* Listens and gives the partitions to their shards. 0, or -1 with a sentence. */
int start_serving(struct node *node, char *error, size_t error_len);
/* All actors have stopped. Destroys the node, its shards, and their ios but the first one's. */
void start_undo(struct node *node);

#endif
