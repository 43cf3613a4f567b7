/* How much memory several changes may take at most, so that a slab can promise it before the first one is
 * made (mutate_reserve_* in store/mutate.h). The bounds are generous, since a promise costs no memory: only a
 * slab near the end of its address space refuses by them what might have fitted. Debug builds check in each
 * allocation that a promise is kept (slab.c). Tests: test/unit/store_atomic_test.c. */
#include "store/internal.h"

#define AREA_MAX      4416u        /* longest inline area of a collection, and an item's head */
#define SEGMENT_BYTES 4096u        /* types/table.h: 64 buckets */
#define ELEMENT_EXTRA 64u          /* lengths, score, deadline; rounding up of sizes up to 1 KiB */
#define TREE_STEP     3072u        /* zset_tree_edit.c: an insertion with its splits and what they copy */
#define FIXED         (192u << 10) /* a small form that becomes a large one; a table's first segment; wheel */

/* Of an allocation larger than 1 KiB the slab may round up by an eighth at most. */
static uint64_t rounded(uint64_t bytes)
{
    return bytes + bytes / 8;
}

/* What a table may take when `added` items come to `count`: each may split a segment, but no more segments
 * than there can be; the directory doubles at most twice what it ends at. */
static uint64_t table_growth(uint64_t count, uint64_t added)
{
    uint64_t splits = (count + added) / 128 + 2;
    if (splits > added) splits = added;
    return splits * 4 * SEGMENT_BYTES + (count + added) * 4;
}

/* Nodes of a sorted set's tree, or places in the heap of deadlines (which take less). */
static uint64_t order_growth(uint64_t count, uint64_t added)
{
    uint64_t each = added * TREE_STEP, all = (count + added) * 128;
    return each < all ? each : all;
}

static int reserve(struct partition *partition, uint64_t bytes)
{
    struct store_env *env = partition->env;
    CHECK(env); /* P1 */
    if (!slab_reserve(&partition->slab, bytes)) {
        mutate_release(env);
        return VALUE_NO_MEMORY;
    }
    if (!partition->reserved_next) {
        partition->reserved_next = env->reserved ? env->reserved : partition; /* the last one ends the list */
        env->reserved = partition;
    }
    return VALUE_OK;
}

void mutate_release(struct store_env *env)
{
    struct partition *partition = env->reserved;
    env->reserved = NULL;
    while (partition) {
        struct partition *next = partition->reserved_next;
        slab_release(&partition->slab);
        partition->reserved_next = NULL;
        partition = next == partition ? NULL : next;
    }
}

int mutate_reserve_elements(struct entry *entry, uint64_t count, uint64_t bytes)
{
    struct partition *partition = entry->partition;
    struct keyspace *keyspace = partition_keyspace(partition, entry->key.db);
    uint64_t present = entry->item ? entry_count(entry) : 0;
    /* The item moves with its area a few times: to each number of pages that it comes to have. */
    uint64_t item = 6 * rounded(entry->key.name.len + AREA_MAX);
    /* Also of a hash that is there: its last field may be found dead, and the key made anew. */
    uint64_t key = table_growth(table_count(&keyspace->table), 1);
    uint64_t elements = rounded(bytes) + count * ELEMENT_EXTRA;
    return reserve(partition, item + key + elements + table_growth(present, count) +
                                  order_growth(present, count) + FIXED);
}

int mutate_reserve_string(struct partition *partition, const struct key *key, size_t len)
{
    struct keyspace *keyspace = partition_keyspace(partition, key->db);
    uint64_t item = rounded(key->name.len + len) + 2 * ELEMENT_EXTRA;
    return reserve(partition, item + table_growth(table_count(&keyspace->table), 1));
}
