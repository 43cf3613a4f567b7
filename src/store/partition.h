/* partition: 64 consecutive hash slots with everything that belongs to their keys: tables (one per keyspace),
 * slab, timing wheel, record sequence, watched keys, memory count. 256 of them on every node, for ever
 * (design: keys -> slots
 * -> partitions -> shards). The unit of ownership: exactly one actor, the holder, may touch it at any time.
 *
 * Reading goes through entry_find() and item.h; every change goes through the mutators of store/mutate.h,
 * which emit change records. Nothing else edits a value.
 *
 * Invariants
 *  P1  Only the holder touches a partition: every mutator and entry_find checks `partition->env == the
 * caller's`. P2  A key whose deadline has passed is never returned: entry_find deletes it (and emits the
 * record) or hides it. P3  An empty collection does not exist: entry_close deletes a collection that became
 * empty; but a stream may be empty. P4  keyspaces[k].expires == number of its items with a deadline.
 *  P5  keyspaces[k].timed_hashes == number of its hashes with a field that has a deadline.
 *
 * An empty partition costs less than 4 KiB. Tests: test/unit/store_*_test.c.
 */
#ifndef WEFT_STORE_PARTITION_H
#define WEFT_STORE_PARTITION_H

#include "base/prng.h"
#include "config/config.h"
#include "stamp/record.h"
#include "store/item.h"
#include "store/wheel.h"
#include "types/table.h"
#include "types/value.h"

#define PARTITION_COUNT         256
#define PARTITION_SLOTS         64
#define PARTITION_DATABASES_MAX 256
#define PARTITION_OF_SLOT(slot) ((uint16_t)((slot) / PARTITION_SLOTS))

struct partition;
struct watch_table;

/* Counters that store code keeps and INFO shows; one set per actor. */
struct store_stats {
    uint64_t keyspace_hits, keyspace_misses, expired_keys, expired_fields, evicted_keys, dirty;
    uint64_t lazyfreed; /* large values that were freed in slices */
};

/* What a holder brings along. One per actor; changes only between commands. */
struct store_env {
    int64_t now_ms;     /* wall clock of this turn */
    uint64_t hash_seed; /* the node's; equal in all its envs */
    const struct config *config;
    struct prng *prng;
    struct store_stats stats;
    /* When to look for due items: per partition (PARTITION_COUNT of them; may be NULL), and the least of
     * them. */
    int64_t *expiry_ms, next_expiry_ms;
    bool expiry_paused; /* deadlines do not pass (an import, a replica): nothing expires */
    bool pending;       /* a partition has values that wait to be freed; the holder looks and clears it */
    bool no_touch;      /* keys that are looked up now do not count as used (CLIENT NO-TOUCH, TTL, OBJECT) */
    bool expired_stay;  /* they pass, but what is dead is only hidden (a read during CLIENT PAUSE): no changes
                         */
    /* Consumers of change records (log, archive, links, notifications). NULL when there are none: then
     * records are counted but not encoded. `encoded` is valid during the call only. */
    void (*record_sink)(void *context, const struct record *record);
    void *record_sink_context;
    /* Units (record.h): with this, records of a unit that is open carry RECORD_MORE, and when it ends this is
     * called if it had any: the last one that the sink got closes the unit and loses its flag. NULL: no
     * record carries it. */
    void (*record_unit_end)(void *context);
    uint16_t unit_depth; /* commands that are under way: one, or one in EXEC */
    bool unit_has_records;
    struct partition *reserved; /* whose slab has promised memory: mutate_reserve */
};

struct keyspace {
    struct table table;
    uint32_t expires;
    uint32_t timed_hashes;
};

/* The first two cache lines are what a look-up reads. */
struct partition {
    struct slab slab;
    struct keyspace first;                           /* keyspace 0: the only one most nodes use */
    struct store_env *env;                           /* the holder's; NULL while it is on its way */
    uint64_t sequence;                               /* of the last change record */
    struct watch_table *watches;                     /* NULL when no key is watched */
    struct keyspace *others;                         /* keyspaces 1 … databases - 1 */
    uint8_t keyspace_of_db[PARTITION_DATABASES_MAX]; /* SWAPDB exchanges two of these */
    struct wheel wheel;
    uint64_t clock_hand;             /* eviction: where CLOCK goes on */
    struct partition *reserved_next; /* of env->reserved */
    uint16_t id, databases;
    slab_handle pending;      /* pending.c */
    uint32_t pending_objects; /* keys whose values wait to be freed */
} __attribute__((aligned(64)));

static inline struct keyspace *partition_keyspace_at(struct partition *partition, unsigned keyspace)
{
    return LIKELY(keyspace == 0) ? &partition->first : &partition->others[keyspace - 1];
}

/* ---- life ---- */
/* In memory of the caller's. False when there is none for the rest. */
bool partition_init(struct partition *partition, uint16_t id, uint16_t databases,
                    const struct slab_memory *memory, size_t limit_bytes);
void partition_destroy(struct partition *partition); /* frees what it owns, not the struct */
/* The caller becomes holder (P1). */
static inline void partition_hold(struct partition *partition, struct store_env *env)
{
    partition->env = env;
}
uint64_t partition_memory(const struct partition *partition); /* bytes in use, accounted */
uint64_t partition_keys(const struct partition *partition, uint8_t db);
uint64_t partition_expires(const struct partition *partition, uint8_t db);
uint64_t partition_timed_hashes(const struct partition *partition, uint8_t db);
/* Of partition_memory: what the table of a database takes to find its keys. */
uint64_t partition_table_bytes(const struct partition *partition, uint8_t db);

/* ---- keys ---- */
struct key {
    struct slice name;
    uint64_t hash;
    uint8_t db;
};
uint64_t key_hash(const struct store_env *env, struct slice name);

/* ---- an opened key: valid until the partition is changed through another entry ---- */
struct entry {
    struct value value; /* first: the inline area; types' functions take &entry->value */
    struct item *item;  /* NULL: no such key */
    slab_handle *slot;  /* its place in the table; NULL like item */
    struct partition *partition;
    struct key key;
};

/* Warm the caches for a look-up that follows soon, each a stage after the one before: first the directory,
 * then the bucket, then the item. */
void partition_prefetch_directory(struct partition *partition, const struct key *key);
void partition_prefetch_bucket(struct partition *partition, const struct key *key);
void partition_prefetch_item(struct partition *partition, const struct key *key);

/* Opens a key; deletes it first if its deadline has passed (P2). True when it exists. */
bool entry_find(struct entry *entry, struct partition *partition, const struct key *key);

/* The bytes of a string entry. Integers are formatted into `scratch` (at least 21 bytes). */
struct slice entry_string(const struct entry *entry, char *scratch);
/* True and the value when a string entry is an integer in Redis's strict sense. */
bool entry_integer(const struct entry *entry, int64_t *out);
size_t entry_string_len(const struct entry *entry);
/* Redis's name for the encoding ("embstr", "listpack", …). */
const char *entry_encoding(const struct entry *entry);
/* Bytes that this key costs (MEMORY USAGE). */
size_t entry_memory(const struct entry *entry);
/* Elements of a collection (0 happens for streams only, P3), 1 for a string. */
uint64_t entry_count(const struct entry *entry);

/* ---- iteration ---- */
/* Calls back for the keys of some buckets, at least one bucket; returns the cursor of the next call, 0 at the
 * end. Keys that stay from the first call to the last are seen exactly once. Expired keys are not shown. The
 * callback must not change the partition. */
typedef void partition_visit(void *context, struct entry *entry);
uint64_t partition_scan(struct partition *partition, uint8_t db, uint64_t cursor, partition_visit *visit,
                        void *context);
/* A random key; false when there is none. It may be dead, where dead ones stay and there are few others. */
bool partition_random(struct partition *partition, uint8_t db, struct entry *entry, bool *dead);

/* ---- expiry and eviction, in bounded slices ---- */
/* Deletes what is due, at most about `steps` items; true when more is due. */
bool partition_expire(struct partition *partition, int steps);
static inline int64_t partition_next_expiry_ms(const struct partition *partition)
{
    return wheel_next_ms(&partition->wheel);
}
/* Frees about `work` allocations of what waits to be freed (pending.c: large values); true when more waits.
 */
bool partition_free_some(struct partition *partition, uint32_t work);
/* Evicts one key by the configured policy, or frees a part of what waits; false when the policy finds none
 * here. */
bool partition_evict(struct partition *partition);

#endif
