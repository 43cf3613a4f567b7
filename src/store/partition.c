/* Partitions: life, look-up, iteration, expiry and eviction slices; see partition.h. */
#include "store/partition.h"

#include <stdlib.h>
#include "base/hash.h"
#include "base/mark.h"
#include "base/mutant.h"
#include "store/internal.h"
#include "store/watch.h"

/* ---- the table's view of items ---- */

static uint64_t item_table_hash(void *context, slab_handle handle)
{
    struct partition *partition = context;
    return key_hash(partition->env, item_key(slab_ptr(&partition->slab, handle)));
}

const struct table_type store_item_table = {.hash = item_table_hash};

uint64_t key_hash(const struct store_env *env, struct slice name)
{
    return hash_bytes(name.ptr, name.len, env->hash_seed);
}

/* ---- life ---- */

bool partition_init(struct partition *partition, uint16_t id, uint16_t databases,
                    const struct slab_memory *memory, size_t limit_bytes)
{
    CHECK(databases > 0 && databases <= PARTITION_DATABASES_MAX);
    memset(partition, 0, sizeof *partition);
    partition->id = id;
    partition->databases = databases;
    partition->others = calloc(databases, sizeof *partition->others);
    if (!partition->others) return false;
    if (slab_init(&partition->slab, memory, limit_bytes) != 0) {
        free(partition->others);
        return false;
    }
    for (unsigned i = 0; i < databases; i++) {
        partition->keyspace_of_db[i] = (uint8_t)i;
        table_init(&partition_keyspace_at(partition, i)->table);
    }
    return true;
}

void partition_destroy(struct partition *partition)
{
    watch_destroy(partition->watches);
    slab_destroy(&partition->slab);
    free(partition->others);
}

uint64_t partition_memory(const struct partition *partition)
{
    return partition->slab.used_bytes;
}

static const struct keyspace *partition_keyspace_const(const struct partition *partition, uint8_t db)
{
    uint8_t keyspace = partition->keyspace_of_db[db];
    return keyspace == 0 ? &partition->first : &partition->others[keyspace - 1];
}

uint64_t partition_keys(const struct partition *partition, uint8_t db)
{
    return table_count(&partition_keyspace_const(partition, db)->table);
}

uint64_t partition_expires(const struct partition *partition, uint8_t db)
{
    return partition_keyspace_const(partition, db)->expires;
}

uint64_t partition_timed_hashes(const struct partition *partition, uint8_t db)
{
    return partition_keyspace_const(partition, db)->timed_hashes;
}

uint64_t partition_table_bytes(const struct partition *partition, uint8_t db)
{
    return table_memory(&partition_keyspace_const(partition, db)->table);
}

/* ---- look-up ---- */

/* memcmp without the call for keys of usual length: the last eight bytes overlap the ones before. */
static inline bool bytes_equal(const void *a, const void *b, size_t len)
{
    const char *p = a, *q = b;
    uint64_t x, y;
    if (len < 8 || len > 32) return memcmp(a, b, len) == 0;
    for (size_t i = 0; i + 8 < len; i += 8) {
        memcpy(&x, p + i, 8);
        memcpy(&y, q + i, 8);
        if (x != y) return false;
    }
    memcpy(&x, p + len - 8, 8);
    memcpy(&y, q + len - 8, 8);
    return x == y;
}

__attribute__((always_inline)) static inline bool key_matches(void *context, slab_handle handle,
                                                              const void *wanted)
{
    struct partition *partition = context;
    const struct key *key = wanted;
    const struct item *item = slab_ptr(&partition->slab, handle);
    return item_key_len(item) == key->name.len &&
           bytes_equal(item_key_bytes(item), key->name.ptr, key->name.len);
}

void partition_prefetch_directory(struct partition *partition, const struct key *key)
{
    table_prefetch_directory(&partition_keyspace(partition, key->db)->table, &partition->slab, key->hash);
}

void partition_prefetch_bucket(struct partition *partition, const struct key *key)
{
    table_prefetch(&partition_keyspace(partition, key->db)->table, &partition->slab, key->hash);
}

void partition_prefetch_item(struct partition *partition, const struct key *key)
{
    table_prefetch_items(&partition_keyspace(partition, key->db)->table, &partition->slab, key->hash);
}

void entry_at(struct entry *entry, struct partition *partition, slab_handle *slot)
{
    entry->partition = partition;
    entry->slot = slot;
    entry->item = slot ? slab_ptr(&partition->slab, *slot) : NULL;
    entry_refresh(entry);
}

bool entry_find(struct entry *entry, struct partition *partition, const struct key *key)
{
    CHECK(partition->env);
    entry->key = *key;
    struct keyspace *keyspace = partition_keyspace(partition, key->db);
    entry_at(entry, partition,
             table_find(&keyspace->table, &partition->slab, key->hash, key_matches, partition, key));
    if (!entry->item) return false;
    bool stays = MUTANT(pause_serves_expired) && partition->env->expired_stay;
    if (UNLIKELY(item_has_expiry(entry->item)) && item_is_expired(entry->item, partition->env) && !stays) {
        if (partition->env->expired_stay) {
            MARK("partition.expired_hidden");
            watch_see(partition->watches, key->name, key->hash, key->db, true);
            entry_at(entry, partition, NULL);
        } else {
            MARK("partition.expired_on_access");
            entry_expire(entry);
        }
        return false;
    }
    if (partition->env->config->maxmemory_bytes && !partition->env->no_touch) table_touch(entry->slot);
    return true;
}

/* ---- iteration ---- */

struct scan {
    struct partition *partition;
    partition_visit *visit;
    void *context;
    uint8_t db;
};

static void scan_item(void *context, slab_handle handle)
{
    struct scan *scan = context;
    struct partition *partition = scan->partition;
    struct entry entry = {.partition = partition, .item = slab_ptr(&partition->slab, handle)};
    if (item_is_expired(entry.item, partition->env)) return;
    entry.key = (struct key){.name = item_key(entry.item), .db = scan->db};
    entry_refresh(&entry);
    scan->visit(scan->context, &entry);
}

uint64_t partition_scan(struct partition *partition, uint8_t db, uint64_t cursor, partition_visit *visit,
                        void *context)
{
    struct scan scan = {partition, visit, context, db};
    return table_scan(&partition_keyspace(partition, db)->table, &partition->slab, &store_item_table,
                      partition, cursor, scan_item, &scan);
}

bool partition_random(struct partition *partition, uint8_t db, struct entry *entry, bool *dead)
{
    struct table *table = &partition_keyspace(partition, db)->table;
    bool stays = partition->env->expiry_paused || partition->env->expired_stay;
    for (int tries = 0; table_count(table) > 0; tries++) {
        slab_handle *slot = table_random(table, &partition->slab, partition->env->prng);
        entry_at(entry, partition, slot);
        entry->key = (struct key){.name = item_key(entry->item), .db = db};
        entry->key.hash = key_hash(partition->env, entry->key.name);
        *dead = item_is_expired(entry->item, partition->env);
        if (!*dead || (stays && tries >= 10)) return true;
        if (!stays) entry_expire(entry);
    }
    return false;
}

/* ---- expiry ---- */

bool partition_expire(struct partition *partition, int steps)
{
    int64_t now_ms = partition->env->now_ms;
    while (steps > 0) {
        slab_handle handle = wheel_pop(&partition->wheel, &partition->slab, now_ms, &steps);
        if (!handle) break;
        store_expire_item(partition, handle, &steps);
    }
    wheel_release_if_empty(&partition->wheel, &partition->slab);
    return partition_next_expiry_ms(partition) <= now_ms;
}

/* ---- eviction ---- */

#define EVICT_WORK 64u /* of freeing that counts as one key */

static bool evict_slot(struct partition *partition, uint8_t keyspace, slab_handle *slot)
{
    struct entry entry;
    entry_at(&entry, partition, slot);
    entry.key = (struct key){.name = item_key(entry.item)};
    entry.key.hash = key_hash(partition->env, entry.key.name);
    for (int db = 0; db < partition->databases; db++)
        if (partition->keyspace_of_db[db] == keyspace) entry.key.db = (uint8_t)db;
    partition->env->stats.evicted_keys++;
    mutate_key_delete(&entry, RECORD_EVICTED);
    wheel_release_if_empty(&partition->wheel, &partition->slab); /* or 256 empty ones would count for ever */
    return true;
}

/* A victim among the items with a deadline: the one that dies first. */
static bool evict_volatile_ttl(struct partition *partition)
{
    slab_handle handle = wheel_first(&partition->wheel, &partition->slab);
    if (!handle) return false;
    struct item *item = slab_ptr(&partition->slab, handle);
    struct key key = {.name = item_key(item)};
    key.hash = key_hash(partition->env, key.name);
    for (int k = 0; k < partition->databases; k++) {
        slab_handle *slot = table_find(&partition_keyspace_at(partition, (unsigned)k)->table,
                                       &partition->slab, key.hash, key_matches, partition, &key);
        if (slot && *slot == handle) return evict_slot(partition, (uint8_t)k, slot);
    }
    CHECK(!"an item of the wheel is in a table");
    return false;
}

static bool is_volatile(void *context, slab_handle handle)
{
    struct partition *partition = context;
    return item_deadline(slab_ptr(&partition->slab, handle)) != ITEM_NO_DEADLINE;
}

bool partition_evict(struct partition *partition)
{
    int policy = partition->env->config->maxmemory_policy;
    if (policy == CONFIG_POLICY_NOEVICTION) return false;
    if (UNLIKELY(partition->pending)) {
        partition_free_some(partition, EVICT_WORK);
        return true;
    }
    /* Where hashes that are filed for a field's sake hide those that die first, any with a deadline will do.
     */
    if (policy == CONFIG_POLICY_VOLATILE_TTL && evict_volatile_ttl(partition)) return true;
    bool only_volatile = policy == CONFIG_POLICY_VOLATILE_TTL || policy == CONFIG_POLICY_VOLATILE_LRU ||
                         policy == CONFIG_POLICY_VOLATILE_LFU || policy == CONFIG_POLICY_VOLATILE_RANDOM;
    bool random = policy == CONFIG_POLICY_ALLKEYS_RANDOM || policy == CONFIG_POLICY_VOLATILE_RANDOM;
    /* Keyspaces in turn, starting at a random one that has candidates. */
    unsigned start = (unsigned)prng_below(partition->env->prng, partition->databases);
    for (unsigned i = 0; i < partition->databases; i++) {
        uint8_t k = (uint8_t)((start + i) % partition->databases);
        struct keyspace *keyspace = partition_keyspace_at(partition, k);
        if (!table_count(&keyspace->table) || (only_volatile && !keyspace->expires)) continue;
        slab_handle *slot = NULL;
        if (random && !only_volatile)
            slot = table_random(&keyspace->table, &partition->slab, partition->env->prng);
        else
            slot = table_clock(&keyspace->table, &partition->slab, &partition->clock_hand,
                               only_volatile && !(MUTANT(evict_random_any) && random) ? is_volatile : NULL,
                               partition, random);
        if (slot) return evict_slot(partition, k, slot);
    }
    return false;
}
