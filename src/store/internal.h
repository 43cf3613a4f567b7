/* What the files of store/ share and nobody else includes. */
#ifndef WEFT_STORE_INTERNAL_H
#define WEFT_STORE_INTERNAL_H

#include "base/mutant.h"
#include "store/mutate.h"
#include "store/partition.h"

extern const struct table_type store_item_table; /* context: the partition */

static inline struct keyspace *partition_keyspace(struct partition *partition, uint8_t db)
{
    return partition_keyspace_at(partition, partition->keyspace_of_db[db]);
}

static inline bool item_is_expired(const struct item *item, const struct store_env *env)
{
    int64_t deadline = item_deadline(item);
    return deadline != ITEM_NO_DEADLINE && deadline < env->now_ms - MUTANT(key_lives_one_ms_more) &&
           !env->expiry_paused;
}

/* Files an item in the wheel and tells the holder when to look: at the millisecond after the deadline, as at
 * the deadline itself it still lives. */
static inline void partition_file(struct partition *partition, slab_handle handle, int64_t deadline_ms)
{
    struct store_env *env = partition->env;
    int64_t time_ms = deadline_ms < INT64_MAX ? deadline_ms + 1 : deadline_ms;
    if (UNLIKELY(time_ms < partition->wheel.now_ms) && !MUTANT(wheel_never_turns_back))
        wheel_turn_back(&partition->wheel, &partition->slab, env->now_ms);
    wheel_file(&partition->wheel, &partition->slab, handle, time_ms);
    if (env->expiry_ms && time_ms < env->expiry_ms[partition->id]) env->expiry_ms[partition->id] = time_ms;
    if (time_ms < env->next_expiry_ms) env->next_expiry_ms = time_ms;
}

/* entry.c */
void entry_at(struct entry *entry, struct partition *partition, slab_handle *slot);
/* Sets entry->value from entry->item. */
void entry_refresh(struct entry *entry);
/* Gives the item other lengths, representation or an expiry block; header bits of `header` that ITEM_HAS_*
 * keep decide about the blocks. Keeps the key and the first bytes of the value area. False: no memory,
 * unchanged. */
bool entry_reshape(struct entry *entry, uint32_t header, uint32_t value_len);
/* Puts a new item for an absent key into the table; value area zeroed. False: no memory. */
bool entry_insert(struct entry *entry, enum item_type type, enum item_representation representation,
                  uint32_t value_len, int64_t deadline_ms);
/* Frees what the value owns beside the item (large bytes, a collection's nodes). */
void entry_free_value(struct entry *entry);
/* The same without the counts of its keyspace. */
void entry_free_parts(struct entry *entry);
/* Takes the item out of table and wheel and frees it; emits nothing. The entry becomes absent. */
void entry_remove(struct entry *entry);
/* Deletes a key whose deadline has passed, with its record and count. */
void entry_expire(struct entry *entry);
/* Sets the key's deadline (or none) and files the item; keeps P4. False: no memory. Emits nothing. */
bool entry_set_deadline(struct entry *entry, int64_t deadline_ms);

/* Files an item that is in the wheel anew, at its deadline or its fields' earliest; drops an expiry block
 * that nobody needs. */
bool entry_file_again(struct entry *entry);

/* pending.c: each true when it took the thing over, to be freed later */
bool pending_take(struct entry *entry); /* a collection; the item stays the caller's */
bool pending_take_keyspace(struct partition *partition, struct keyspace *keyspace); /* is empty then */
void pending_clear(struct partition *partition); /* the slab is about to be reset */

/* expire.c: an item that the wheel gave out is due: its key dies, or fields of its hash, or it is filed
 * again. */
void store_expire_item(struct partition *partition, slab_handle handle, int *steps);

/* collection.c: what differs by type */
void collection_free(struct entry *entry);
/* Gives `to`, present or not, a copy of the collection and its deadline; RECORD_KEY_STORE. */
int collection_store_copy(const struct entry *from, struct entry *to);
uint64_t collection_count(const struct entry *entry);
size_t collection_memory(const struct entry *entry);
const char *collection_encoding(const struct entry *entry);
/* Earliest deadline of a hash's fields, INT64_MAX when none has one (or no hash). */
int64_t collection_earliest_ms(const struct entry *entry);

/* P5: before and after anything that may give a hash its first deadline of a field or take the last one. */
static inline bool entry_is_timed_hash(const struct entry *entry)
{
    return item_type(entry->item) == ITEM_HASH && collection_earliest_ms(entry) != INT64_MAX;
}
static inline void entry_count_timed_hash(struct entry *entry, bool before)
{
    bool now = entry_is_timed_hash(entry);
    partition_keyspace(entry->partition, entry->key.db)->timed_hashes += (uint32_t)now - (uint32_t)before;
}

#endif
