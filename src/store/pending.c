/* Values that wait to be freed. A large collection that loses its key (DEL, UNLINK, expiry, eviction, a value
 * set over it) would stall its shard for as long as its elements are many, so it only moves here, and is
 * freed in slices by whoever holds the partition; so does the keyspace of a FLUSHDB when others live in the
 * same slab.
 *
 * What waits stands in a stack of nodes in the partition's own slab: it is counted in the partition's memory
 * until it is freed, moves with the partition, and goes with the slab when that is reset or given back. A
 * node is a copy of the value's inline area, on which the type's <type>_free_some works.
 *
 * Invariant: nothing but this file sees what waits; items of a keyspace that waits may still be filed in the
 * wheel (whoever takes an item from there must expect one that no table knows). Cost of putting something
 * here: ~100 ns. Threading: the partition's holder. Tests: test/unit/store_pending_test.c. */
#include "store/internal.h"

#include "types/hash.h"
#include "types/list.h"
#include "types/set.h"
#include "types/stream.h"
#include "types/zset.h"

#define AREA_MAX   80u /* longest area of a large collection's root */
#define KEYS_WORTH 64u /* a keyspace of fewer keys is freed at once */
#define WORTH      512u

enum { PENDING_KEYSPACE = ITEM_TYPE_COUNT }; /* beside the item types */

struct pending {
    slab_handle next;
    uint32_t cursor;
    uint32_t objects; /* keys that it counts for in INFO, now and when it is done */
    uint16_t area_len;
    uint8_t kind;
    _Alignas(8) uint8_t area[AREA_MAX]; /* of PENDING_KEYSPACE: its struct table */
};
_Static_assert(sizeof(struct table) <= AREA_MAX, "a keyspace's table");

static void push(struct partition *partition, const struct pending *pending)
{
    /* Smaller than what it stands for, which is about to go. */
    slab_handle node = slab_alloc_smaller(&partition->slab, sizeof *pending);
    struct pending *at = slab_ptr(&partition->slab, node);
    *at = *pending;
    at->next = partition->pending;
    partition->pending = node;
    partition->pending_objects += pending->objects;
    partition->env->pending = true;
}

bool pending_take(struct entry *entry)
{
    if (LIKELY(entry_count(entry) < WORTH)) return false;
    struct pending pending = {.objects = 1, .kind = (uint8_t)item_type(entry->item)};
    pending.area_len = (uint16_t)(entry->value.len < AREA_MAX ? entry->value.len : AREA_MAX);
    if (collection_memory(entry) < WORTH * 4) return false; /* packed: one allocation */
    memcpy(pending.area, entry->value.bytes, pending.area_len);
    push(entry->partition, &pending);
    return true;
}

bool pending_take_keyspace(struct partition *partition, struct keyspace *keyspace)
{
    if (table_count(&keyspace->table) < KEYS_WORTH) return false;
    struct pending pending = {.objects = (uint32_t)table_count(&keyspace->table), .kind = PENDING_KEYSPACE};
    memcpy(pending.area, &keyspace->table, sizeof keyspace->table);
    push(partition, &pending);
    table_init(&keyspace->table);
    keyspace->expires = keyspace->timed_hashes = 0;
    return true;
}

void pending_clear(struct partition *partition)
{
    if (partition->pending) partition->env->stats.lazyfreed += partition->pending_objects;
    partition->pending = 0;
    partition->pending_objects = 0;
}

/* ---- freeing ---- */

static bool resize_never(struct value *value, uint32_t len)
{
    return false;
}

/* An item of a keyspace that waits, with its value; a large one waits in turn. */
static void free_item(void *context, slab_handle handle)
{
    struct partition *partition = context;
    struct entry entry;
    slab_handle last = partition->pending;
    entry_at(&entry, partition, &handle);
    entry_free_parts(&entry); /* may move the item: `handle` is its slot */
    if (partition->pending != last) {
        struct pending *value = slab_ptr(&partition->slab, partition->pending);
        partition->pending_objects -= value->objects; /* the key is counted already */
        value->objects = 0;
    }
    partition->pending_objects--;
    if (item_has_expiry(entry.item)) wheel_remove(&partition->wheel, &partition->slab, handle);
    slab_free(&partition->slab, handle, item_size(entry.item));
}

static bool free_some(struct partition *partition, struct pending *pending, uint32_t *work)
{
    struct value value = {
        .slab = &partition->slab, .bytes = pending->area, .len = pending->area_len, .resize = resize_never};
    switch (pending->kind) {
    case ITEM_LIST: return list_free_some(&value, &pending->cursor, work);
    case ITEM_SET: return set_free_some(&value, &pending->cursor, work);
    case ITEM_ZSET: return zset_free_some(&value, &pending->cursor, work);
    case ITEM_HASH: return hash_free_some(&value, &pending->cursor, work);
    case ITEM_STREAM: return stream_free_some(&value, &pending->cursor, work);
    default: break;
    }
    CHECK(pending->kind == PENDING_KEYSPACE);
    struct table table;
    memcpy(&table, pending->area, sizeof table);
    bool done = table_free_some(&table, &partition->slab, &pending->cursor, free_item, partition, work);
    memcpy(pending->area, &table, sizeof table);
    return done;
}

bool partition_free_some(struct partition *partition, uint32_t work)
{
    struct slab *slab = &partition->slab;
    CHECK(partition->env); /* P1 */
    while (partition->pending && work > 0) {
        slab_handle node = partition->pending;
        struct pending pending;
        memcpy(&pending, slab_ptr(slab, node), sizeof pending);
        partition->pending = pending.next; /* what its keys own may be put here meanwhile */
        bool done = free_some(partition, &pending, &work);
        if (done) {
            slab_free(slab, node, sizeof pending);
            if (pending.kind != PENDING_KEYSPACE) {
                partition->pending_objects -= pending.objects;
                partition->env->stats.lazyfreed += pending.objects;
            }
        } else {
            pending.next = partition->pending;
            memcpy(slab_ptr(slab, node), &pending, sizeof pending);
            partition->pending = node;
        }
    }
    if (!partition->pending) wheel_release_if_empty(&partition->wheel, slab);
    return partition->pending != 0;
}
