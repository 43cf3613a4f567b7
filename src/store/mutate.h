/* mutate: the one door for change. Command code never edits a value in place: it opens an entry and calls
 * these. Each edits the value *and* emits its change record (stamp/record.h).
 *
 * All return VALUE_OK or VALUE_NO_MEMORY; in the second case nothing has changed (reserve first, then
 * mutate). Entries stay valid over a mutator of their own key: `item`, `slot` and `value` are kept up to
 * date. Threading: the partition's holder. Families: strings and keys here;
 * store/mutate_{hash,set,zset,list}.h beside it.
 */
#ifndef WEFT_STORE_MUTATE_H
#define WEFT_STORE_MUTATE_H

#include "store/partition.h"

/* ---- several changes of which all or none shall happen ----
 * First reserve for every key that will be changed, then change, then mutate_release(). In between, mutators
 * of what was reserved return VALUE_OK. VALUE_NO_MEMORY: nothing has changed, and nothing is reserved any
 * more. Costs a few ns per key and no memory (base/slab.h). One change needs none of this: it is atomic by
 * itself.
 */
/* `count` elements (of `bytes` bytes in sum, values included) are set in the collection of this key, which
 * may be absent, or fields that are there get deadlines: then `bytes` is what they have now. */
int mutate_reserve_elements(struct entry *entry, uint64_t count, uint64_t bytes);
/* A string of `len` bytes is set as the value of this key, whatever it holds now. */
int mutate_reserve_string(struct partition *partition, const struct key *key, size_t len);
void mutate_release(struct store_env *env);

/* ---- units: the records of a command, or of a whole EXEC (stamp/record.h) ---- */
static inline void mutate_unit_begin(struct store_env *env)
{
    env->unit_depth++;
}
static inline void mutate_unit_end(struct store_env *env)
{
    CHECK(env->unit_depth > 0);
    if (--env->unit_depth > 0 || !env->unit_has_records) return;
    env->unit_has_records = false;
    env->record_unit_end(env->record_sink_context);
}

/* ---- keys ---- */
int mutate_key_delete(struct entry *entry, enum record_delete_reason reason); /* entry becomes absent */
/* deadline_ms: absolute, or ITEM_NO_DEADLINE (PERSIST). The caller has dealt with deadlines in the past. */
int mutate_key_expire(struct entry *entry, int64_t deadline_ms);
/* Moves the value of `from` (present) to the key of `to` (whatever was there is deleted), with its deadline;
 * the two may be of different partitions and databases. `from` becomes absent. */
int mutate_key_rename(struct entry *from, struct entry *to);
/* The value of `from` (present), with its deadline, for the key of `to`, in place of what was there. */
int mutate_key_copy(const struct entry *from, struct entry *to);
/* Nothing changes, and yet it counts as a change to those who watch the key: it was set and gone at once, or
 * set to what it was. No record. */
void mutate_key_touch(const struct entry *entry);
/* Everything of a database in this partition. */
int mutate_flush(struct partition *partition, uint8_t db);
int mutate_swap_databases(struct partition *partition, uint8_t a, uint8_t b);

/* ---- strings: any previous value is replaced by set; write and add need a string or an absent key ---- */
int mutate_string_set(struct entry *entry, struct slice value, int64_t deadline_ms);
/* The same, but kept as bytes that were edited ("raw"), whatever they look like: BITOP. */
int mutate_string_set_raw(struct entry *entry, struct slice value, int64_t deadline_ms);
/* The same in the representation that a string of this value has elsewhere: RENAME, COPY. */
int mutate_string_set_as(struct entry *entry, struct slice value, enum item_representation representation,
                         int64_t deadline_ms);
/* Zero-fills up to offset. The deadline stays. APPEND, SETRANGE, SETBIT, BITFIELD. */
int mutate_string_write(struct entry *entry, uint64_t offset, struct slice bytes);
/* Makes a string, present or not, one that was edited ("raw") and at least `len` bytes long, with zeros
 * behind its own. No record: a write that covers what was added must follow if anything was. */
int mutate_string_prepare(struct entry *entry, uint64_t len);
int mutate_string_add(struct entry *entry, int64_t delta, int64_t result);
int mutate_string_add_float(struct entry *entry, struct slice delta, struct slice result);

/* ---- for the families' mutators (store/mutate_*.c) ---- */
/* Makes an absent key hold an empty collection of `type` whose inline area is `area_len` zero bytes. Nothing
 * is emitted: an element must follow. */
int entry_create_collection(struct entry *entry, enum item_type type, uint32_t area_len);
/* Emits one record for a change that has just been made, wakes watchers, counts it. */
void entry_emit(struct entry *entry, enum record_op op, const struct slice *args, int args_count);
/* Deletes the key if its collection is empty now (P3): emits the delete after the element's own record. */
void entry_close(struct entry *entry);
/* The earliest deadline of the hash's fields may have changed: files the item anew. */
int entry_file_fields(struct entry *entry);
/* A whole value was built by a type's functions (RESTORE, *STORE): emits RECORD_KEY_STORE. */
void mutate_key_stored(struct entry *entry);

#endif
