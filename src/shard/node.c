/* The node: partitions and mailboxes. See node.h. */
#include "shard/node.h"

#include <stdlib.h>
#include "shard/shard.h"

struct node *node_create(const struct node_host *host, const struct config *config,
                         const struct slab_memory *memory, size_t partition_limit_bytes, uint64_t seed)
{
    struct node *node = aligned_alloc(64, (sizeof(struct node) + 63) & ~(size_t)63);
    if (!node) return NULL;
    memset(node, 0, sizeof *node);
    node->host = *host;
    struct prng prng;
    prng_seed(&prng, seed);
    node->hash_seed = prng_next(&prng);
    node->random_seed = prng_next(&prng);
    node_write_id(prng_next(&prng), node->run_id);
    atomic_init(&node->replication_seed, prng_next(&prng));
    atomic_init(&node->shard_count, (uint16_t)config->shards);
    node->partition_array = aligned_alloc(64, PARTITION_COUNT * sizeof *node->partition_array);
    for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
        struct partition *partition = node->partition_array ? &node->partition_array[p] : NULL;
        if (partition &&
            partition_init(partition, p, (uint16_t)config->databases, memory, partition_limit_bytes)) {
            node->partitions[p] = partition;
            continue;
        }
        node_destroy(node);
        return NULL;
    }
    node_count_memory(node,
                      (int64_t)(sizeof *node + PARTITION_COUNT * sizeof *node->partition_array +
                                PARTITION_COUNT * (size_t)(config->databases - 1) * sizeof(struct keyspace)));
    return node;
}

void node_write_id(uint64_t seed, char id[NODE_ID_LEN + 1])
{
    struct prng prng;
    prng_seed(&prng, seed);
    for (int i = 0; i < NODE_ID_LEN; i += 8) {
        uint64_t word = prng_next(&prng);
        for (int j = 0; j < 8; j++) id[i + j] = "0123456789abcdef"[word >> (4 * j) & 15];
    }
    id[NODE_ID_LEN] = 0;
}

void node_count_memory(struct node *node, int64_t bytes)
{
    atomic_fetch_add(&node->startup_bytes, bytes);
    atomic_fetch_add(&node->budget.used_bytes, bytes);
}

void node_destroy(struct node *node)
{
    if (!node) return;
    for (int p = 0; p < PARTITION_COUNT; p++)
        if (node->partitions[p]) partition_destroy(node->partitions[p]);
    free(node->partition_array);
    for (int from = 0; from < SHARDS_MAX; from++)
        for (int to = 0; to < SHARDS_MAX; to++)
            for (int lane = 0; lane < LANE_COUNT; lane++) free(node->rings[from][to][lane]);
    free(node);
}

static bool add_ring(struct node *node, uint16_t from, uint16_t to)
{
    static const uint32_t slots[LANE_COUNT] = {[LANE_DATA] = DATA_SLOTS, [LANE_CONTROL] = CONTROL_SLOTS};
    for (int lane = 0; lane < LANE_COUNT; lane++) {
        struct ring **ring = &node->rings[from][to][lane];
        if (!*ring) *ring = ring_create(slots[lane]);
        if (!*ring) return false;
    }
    return true;
}

bool node_add_rings(struct node *node, uint16_t index)
{
    for (uint16_t other = 0; other < index; other++)
        if (!add_ring(node, index, other) || !add_ring(node, other, index)) return false;
    return true;
}

void node_stop(struct node *node, int exit_status)
{
    node->exit_status = exit_status;
    atomic_store(&node->stop, true);
    for (int i = 0; i < SHARDS_MAX; i++)
        if (node->shards[i]) io_wake(shard_io(node->shards[i]));
}
