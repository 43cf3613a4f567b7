/* Mutators of whole keys: delete, expire, rename, copy, flush, swap; and the entry side of collections'
 * mutators. Tests: test/unit/store_key_test.c. */
#include "store/internal.h"

#include <stdlib.h>
#include "base/mutant.h"
#include "base/number.h"
#include "store/mutate_stream.h"
#include "store/rdb_entry.h"
#include "store/watch.h"

int mutate_key_delete(struct entry *entry, enum record_delete_reason reason)
{
    CHECK(entry->item);
    int64_t why = reason;
    struct slice args[1] = {record_int(&why)};
    entry_emit(entry, RECORD_KEY_DELETE, args, 1); /* before the removal: the name may be the item's own */
    entry_remove(entry);
    return VALUE_OK;
}

int mutate_key_expire(struct entry *entry, int64_t deadline_ms)
{
    CHECK(entry->item);
    if (!entry_set_deadline(entry, deadline_ms)) return VALUE_NO_MEMORY;
    struct slice args[1] = {record_int(&deadline_ms)};
    entry_emit(entry, RECORD_KEY_EXPIRE, args, 1);
    return VALUE_OK;
}

/* ---- whole values ---- */

static int copy_value(const struct entry *from, struct entry *to)
{
    char scratch[NUMBER_I64_MAX + 1];
    if (item_representation(from->item) != ITEM_COLLECTION) {
        struct slice value = entry_string(from, scratch);
        int64_t deadline_ms = MUTANT(rename_drops_ttl) ? ITEM_NO_DEADLINE : item_deadline(from->item);
        return mutate_string_set_as(to, value, item_representation(from->item), deadline_ms);
    }
    return collection_store_copy(from, to);
}

void mutate_key_stored(struct entry *entry)
{
    if (LIKELY(!entry->partition->env->record_sink)) {
        entry_emit(entry, RECORD_KEY_STORE, NULL, 0);
        return;
    }
    if (item_type(entry->item) == ITEM_STREAM) {
        mutate_stream_emit_whole(entry); /* has no serialised form yet */
        return;
    }
    /* All that is there: fields that are due leave by a record of their own. */
    struct store_env *env = entry->partition->env;
    bool paused = env->expiry_paused;
    size_t len;
    env->expiry_paused = true;
    char *payload = rdb_object_dump(entry, &len);
    env->expiry_paused = paused;
    CHECK(payload);
    int64_t deadline_ms = item_deadline(entry->item);
    struct slice args[2] = {{payload, len}, record_int(&deadline_ms)};
    entry_emit(entry, RECORD_KEY_STORE, args, 2);
    free(payload);
}

int mutate_key_copy(const struct entry *from, struct entry *to)
{
    CHECK(from->item);
    return copy_value(from, to);
}

/* A copy takes the target's place in one step; then the source goes. */
int mutate_key_rename(struct entry *from, struct entry *to)
{
    CHECK(from->item);
    struct key from_key = from->key, to_key = to->key;
    struct partition *from_partition = from->partition, *to_partition = to->partition;
    int result = copy_value(from, to);
    if (result != VALUE_OK) return result;
    entry_find(from, from_partition, &from_key); /* the copy may have moved its slot */
    result = mutate_key_delete(from, RECORD_DELETED);
    entry_find(to, to_partition, &to_key);
    return result;
}

/* ---- whole keyspaces ---- */

static void remove_all(struct partition *partition, uint8_t db)
{
    struct keyspace *keyspace = partition_keyspace(partition, db);
    if (pending_take_keyspace(partition, keyspace)) return;
    while (table_count(&keyspace->table)) {
        struct entry entry;
        entry_at(&entry, partition, table_random(&keyspace->table, &partition->slab, partition->env->prng));
        entry.key = (struct key){.name = item_key(entry.item), .db = db};
        entry.key.hash = key_hash(partition->env, entry.key.name);
        entry_remove(&entry);
    }
}

static bool others_are_empty(const struct partition *partition, uint8_t db)
{
    for (int i = 0; i < partition->databases; i++)
        if (i != db && partition_keys(partition, (uint8_t)i)) return false;
    return true;
}

static void touch_present(void *context, struct slice key, uint64_t hash, uint64_t *token)
{
    struct entry *probe = context;
    struct key wanted = {.name = key, .hash = hash, .db = probe->key.db};
    struct entry found;
    if (entry_find(&found, probe->partition, &wanted)) ++*token;
}

/* WATCH: keys that are there in this database and will not be, or will be another's. */
static void touch_watched(struct partition *partition, uint8_t db, uint8_t watched_db)
{
    struct entry probe = {.partition = partition, .key = {.db = db}};
    watch_each(partition->watches, watched_db, touch_present, &probe);
}

static void emit_keyspace(struct partition *partition, uint8_t db, enum record_op op,
                          const struct slice *args, int args_count)
{
    struct watch_table *watches = partition->watches;
    partition->watches = NULL; /* told key by key already */
    struct entry nameless = {.partition = partition, .key = {.name = {"", 0}, .db = db}};
    entry_emit(&nameless, op, args, args_count);
    partition->watches = watches;
}

void mutate_key_touch(const struct entry *entry)
{
    const struct key *key = &entry->key;
    if (entry->partition->watches) watch_touch(entry->partition->watches, key->name, key->hash, key->db);
}

int mutate_flush(struct partition *partition, uint8_t db)
{
    struct keyspace *keyspace = partition_keyspace(partition, db);
    if (!table_count(&keyspace->table)) {
        wheel_release_if_empty(&partition->wheel,
                               &partition->slab); /* keys with deadlines were deleted one by one */
        return VALUE_OK;
    }
    touch_watched(partition, db, db);
    if (others_are_empty(partition, db)) {
        pending_clear(partition);
        slab_reset(&partition->slab); /* everything lives in the slab: one call frees it */
        wheel_clear(&partition->wheel);
        for (unsigned i = 0; i < partition->databases; i++) {
            table_init(&partition_keyspace_at(partition, i)->table);
            partition_keyspace_at(partition, i)->expires = 0;
            partition_keyspace_at(partition, i)->timed_hashes = 0;
        }
    } else {
        remove_all(partition, db);
    }
    emit_keyspace(partition, db, RECORD_FLUSH, NULL, 0);
    return VALUE_OK;
}

int mutate_swap_databases(struct partition *partition, uint8_t a, uint8_t b)
{
    if (a == b) return VALUE_OK;
    for (int i = 0; i < 2 && !MUTANT(swapdb_untouched);
         i++) { /* a watched name that exists on either side has changed */
        touch_watched(partition, i ? a : b, a);
        touch_watched(partition, i ? a : b, b);
    }
    int64_t other = partition->keyspace_of_db[b];
    struct slice args[1] = {record_int(&other)};
    emit_keyspace(partition, a, RECORD_SWAP, args, 1);
    uint8_t keyspace = partition->keyspace_of_db[a];
    partition->keyspace_of_db[a] = partition->keyspace_of_db[b];
    partition->keyspace_of_db[b] = keyspace;
    return VALUE_OK;
}

/* ---- for the families ---- */

int entry_create_collection(struct entry *entry, enum item_type type, uint32_t area_len)
{
    return entry_insert(entry, type, ITEM_COLLECTION, area_len, ITEM_NO_DEADLINE) ? VALUE_OK
                                                                                  : VALUE_NO_MEMORY;
}

void entry_close(struct entry *entry)
{
    if (entry->item && item_representation(entry->item) == ITEM_COLLECTION && collection_count(entry) == 0)
        mutate_key_delete(entry, RECORD_DELETED);
}

int entry_file_fields(struct entry *entry)
{
    return entry_set_deadline(entry, item_deadline(entry->item)) ? VALUE_OK : VALUE_NO_MEMORY;
}
