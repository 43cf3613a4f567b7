/* What the timing wheel gives out: a key that is due dies, a hash loses the fields that are due, and an item
 * whose deadline was moved meanwhile is filed again. */
#include "store/internal.h"

#include "store/mutate_hash.h"

static bool match_handle(void *context, slab_handle handle, const void *wanted)
{
    (void)context;
    return handle == *(const slab_handle *)wanted;
}

/* An item knows its name but not its keyspace; most nodes use one. */
static bool open_item(struct entry *entry, struct partition *partition, slab_handle handle)
{
    struct item *item = slab_ptr(&partition->slab, handle);
    struct key key = {.name = item_key(item)};
    key.hash = key_hash(partition->env, key.name);
    for (int db = 0; db < partition->databases; db++) {
        key.db = (uint8_t)db;
        struct keyspace *keyspace = partition_keyspace(partition, key.db);
        slab_handle *slot =
            table_find(&keyspace->table, &partition->slab, key.hash, match_handle, partition, &handle);
        if (!slot) continue;
        entry->key = key;
        entry_at(entry, partition, slot);
        return true;
    }
    return false;
}

void store_expire_item(struct partition *partition, slab_handle handle, int *steps)
{
    struct entry entry;
    /* It is in no list now; file it (far) first, so that every path below finds W1 true. */
    partition_file(partition, handle, INT64_MAX);
    if (!open_item(&entry, partition, handle)) {
        CHECK(partition->pending); /* of a flushed keyspace, and about to go */
        return;
    }
    if (item_is_expired(entry.item, partition->env)) {
        entry_expire(&entry);
        return;
    }
    if (item_type(entry.item) == ITEM_HASH) {
        *steps -= mutate_hash_expire_fields(&entry, partition->env->now_ms, *steps);
        if (!entry.item) return;
    }
    CHECK(entry_file_again(&entry));
}
