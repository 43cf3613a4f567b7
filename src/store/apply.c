/* The applier; see apply.h. One function per family; each opens the key, checks that the record fits what is
 * there and calls the mutator that made the record. */
#include "store/apply.h"

#include <math.h>
#include "store/mutate_hash.h"
#include "store/mutate_list.h"
#include "store/mutate_set.h"
#include "store/mutate_stream.h"
#include "store/mutate_zset.h"
#include "store/rdb_entry.h"

void applier_start(struct applier *applier, uint16_t partition, uint64_t sequence)
{
    applier->applied[partition] = sequence;
}

void applier_adopt(const struct applier *applier, struct partition *partition)
{
    partition->sequence = applier->applied[partition->id];
}

/* ---- what a record must look like ---- */

#define ANY SIZE_MAX
#define INT sizeof(int64_t)

/* Arguments by length; unused ones are 0. Ops that nobody emits yet are missing: their records are refused.
 */
static const struct form {
    bool known;
    uint8_t args_count;
    size_t lens[RECORD_ARGS_MAX];
} forms[RECORD_OP_COUNT] = {
    [RECORD_KEY_DELETE] = {true, 1, {INT}},
    [RECORD_KEY_EXPIRE] = {true, 1, {INT}},
    [RECORD_KEY_STORE] = {true, 2, {ANY, INT}},
    [RECORD_STRING_SET] = {true, 2, {ANY, INT}},
    [RECORD_STRING_WRITE] = {true, 2, {INT, ANY}},
    [RECORD_STRING_ADD] = {true, 2, {INT, INT}},
    [RECORD_STRING_ADD_FLOAT] = {true, 2, {ANY, ANY}},
    [RECORD_HASH_SET] = {true, 3, {ANY, ANY, INT}},
    [RECORD_HASH_REMOVE] = {true, 2, {ANY, INT}},
    [RECORD_HASH_EXPIRE] = {true, 2, {ANY, INT}},
    [RECORD_HASH_ADD] = {true, 3, {ANY, INT, INT}},
    [RECORD_HASH_ADD_FLOAT] = {true, 3, {ANY, ANY, ANY}},
    [RECORD_SET_ADD] = {true, 1, {ANY}},
    [RECORD_SET_REMOVE] = {true, 1, {ANY}},
    [RECORD_ZSET_SET] = {true, 2, {ANY, INT}},
    [RECORD_ZSET_ADD] = {true, 3, {ANY, INT, INT}},
    [RECORD_ZSET_REMOVE] = {true, 1, {ANY}},
    [RECORD_LIST_INSERT] = {true, 2, {INT, ANY}},
    [RECORD_LIST_SET] = {true, 2, {INT, ANY}},
    [RECORD_LIST_REMOVE] = {true, 2, {INT, INT}},
    [RECORD_STREAM_APPEND] = {true, 2, {sizeof(struct stream_id), ANY}},
    [RECORD_STREAM_REMOVE] = {true, 2, {sizeof(struct stream_id), INT}},
    [RECORD_FLUSH] = {true, 0, {0}},
    [RECORD_SWAP] = {true, 1, {INT}},
};

static bool is_well_formed(const struct record *record)
{
    if (record->op >= RECORD_OP_COUNT || !forms[record->op].known) return false;
    const struct form *form = &forms[record->op];
    if (record->args_count != form->args_count) return false;
    for (int i = 0; i < form->args_count; i++)
        if (form->lens[i] != ANY && record->args[i].len != form->lens[i]) return false;
    return true;
}

static bool database_of(const struct partition *partition, uint64_t keyspace, uint8_t *db)
{
    for (unsigned i = 0; i < partition->databases; i++) {
        if (partition->keyspace_of_db[i] != keyspace) continue;
        *db = (uint8_t)i;
        return true;
    }
    return false;
}

/* A deadline of a key or field: none, or a time that the wheel and a hash can hold. */
static bool is_deadline(int64_t deadline_ms)
{
    return deadline_ms == ITEM_NO_DEADLINE || deadline_ms >= 0;
}

static bool is_field_deadline(int64_t deadline_ms)
{
    return is_deadline(deadline_ms) && deadline_ms <= HASH_DEADLINE_MAX;
}

static enum apply_result of_value(int result)
{
    return result == VALUE_OK ? APPLY_DONE : APPLY_NO_MEMORY;
}

/* ---- keys ---- */

static enum apply_result apply_key(struct entry *entry, const struct record *record)
{
    int64_t number = record_arg_int(record, record->args_count - 1);
    if (record->op == RECORD_KEY_DELETE) {
        /* Absent: it was a collection that went with its last element. */
        return entry->item ? of_value(mutate_key_delete(entry, (enum record_delete_reason)number))
                           : APPLY_DONE;
    }
    if (!is_deadline(number)) return APPLY_CORRUPT;
    if (record->op == RECORD_KEY_EXPIRE) {
        if (!entry->item) return APPLY_CORRUPT;
        return of_value(mutate_key_expire(entry, number));
    }
    switch (rdb_object_restore_exact(entry, record->args[0], number)) {
    case RDB_OK: return APPLY_DONE;
    case RDB_NO_MEMORY: return APPLY_NO_MEMORY;
    default: return APPLY_CORRUPT;
    }
}

/* ---- strings ---- */

static enum apply_result apply_string(struct entry *entry, const struct record *record)
{
    const struct slice *args = record->args;
    if (record->op == RECORD_STRING_SET) {
        int64_t deadline_ms = record_arg_int(record, 1);
        if (!is_deadline(deadline_ms)) return APPLY_CORRUPT;
        return of_value(mutate_string_set(entry, args[0], deadline_ms));
    }
    if (entry->item && item_type(entry->item) != ITEM_STRING) return APPLY_CORRUPT;
    if (record->op == RECORD_STRING_WRITE) {
        int64_t offset = record_arg_int(record, 0);
        if (offset < 0 || (uint64_t)offset + args[1].len > UINT32_MAX) return APPLY_CORRUPT;
        return of_value(mutate_string_write(entry, (uint64_t)offset, args[1]));
    }
    if (record->op == RECORD_STRING_ADD)
        return of_value(mutate_string_add(entry, record_arg_int(record, 0), record_arg_int(record, 1)));
    return of_value(mutate_string_add_float(entry, args[0], args[1]));
}

/* ---- hashes ---- */

static enum apply_result set_field(struct entry *entry, const struct record *record)
{
    const struct slice *args = record->args;
    bool created;
    int64_t deadline_ms = record_arg_int(record, 2);
    if (record->op == RECORD_HASH_SET && !is_field_deadline(deadline_ms)) return APPLY_CORRUPT;
    if (!entry->item && mutate_hash_prepare(entry, args, record->op == RECORD_HASH_SET ? 2 : 1) != VALUE_OK)
        return APPLY_NO_MEMORY;
    switch (record->op) {
    case RECORD_HASH_SET: return of_value(mutate_hash_set(entry, args[0], args[1], deadline_ms, &created));
    case RECORD_HASH_ADD:
        return of_value(mutate_hash_add(entry, args[0], record_arg_int(record, 1), deadline_ms));
    default: return of_value(mutate_hash_add_float(entry, args[0], args[1], args[2]));
    }
}

static enum apply_result apply_hash(struct entry *entry, const struct record *record)
{
    struct hash_field field;
    if (entry->item && item_type(entry->item) != ITEM_HASH) return APPLY_CORRUPT;
    if (record->op != RECORD_HASH_REMOVE && record->op != RECORD_HASH_EXPIRE) return set_field(entry, record);
    if (!entry->item || !hash_find(&entry->value, record->args[0], &field)) return APPLY_CORRUPT;
    int64_t number = record_arg_int(record, 1);
    if (record->op == RECORD_HASH_REMOVE) {
        mutate_hash_remove(entry, record->args[0], (enum record_delete_reason)number);
        return APPLY_DONE;
    }
    if (!is_field_deadline(number)) return APPLY_CORRUPT;
    return of_value(mutate_hash_expire(entry, record->args[0], number));
}

/* ---- sets ---- */

static enum apply_result apply_set(struct entry *entry, const struct record *record)
{
    struct slice member = record->args[0];
    bool added;
    if (entry->item && item_type(entry->item) != ITEM_SET) return APPLY_CORRUPT;
    if (record->op == RECORD_SET_REMOVE)
        return entry->item && mutate_set_remove(entry, member) ? APPLY_DONE : APPLY_CORRUPT;
    if (!entry->item && mutate_set_prepare(entry, member, 1) != VALUE_OK) return APPLY_NO_MEMORY;
    return of_value(mutate_set_add(entry, member, &added));
}

/* ---- sorted sets ---- */

static bool take_score(void *context, bool existed, double old, double *score)
{
    *score = *(const double *)context;
    return true;
}

static enum apply_result apply_zset(struct entry *entry, const struct record *record)
{
    struct slice member = record->args[0];
    struct zset_outcome outcome;
    double score, delta;
    if (entry->item && item_type(entry->item) != ITEM_ZSET) return APPLY_CORRUPT;
    if (record->op == RECORD_ZSET_REMOVE)
        return entry->item && mutate_zset_remove(entry, member) ? APPLY_DONE : APPLY_CORRUPT;
    memcpy(&score, record->args[record->args_count - 1].ptr, sizeof score);
    memcpy(&delta, record->args[1].ptr, sizeof delta);
    if (isnan(score)) return APPLY_CORRUPT;
    if (!entry->item && mutate_zset_prepare(entry, 1, member.len) != VALUE_OK) return APPLY_NO_MEMORY;
    /* Only what clients see as a skiplist can hold -0.0, so the source's was one. */
    if (score == 0 && signbit(score)) zset_encoding_skiplist(&entry->value);
    return of_value(mutate_zset_change(entry, member, take_score, &score,
                                       record->op == RECORD_ZSET_ADD ? &delta : NULL, &outcome));
}

/* ---- lists ---- */

static enum apply_result apply_list(struct entry *entry, const struct record *record)
{
    const struct slice *args = record->args;
    int64_t index = record_arg_int(record, 0), count = 0;
    if (entry->item && item_type(entry->item) != ITEM_LIST) return APPLY_CORRUPT;
    if (entry->item) count = list_count(&entry->value);
    if (record->op == RECORD_LIST_INSERT) {
        if (index < 0) index += count + 1;
        if (index < 0 || index > count) return APPLY_CORRUPT;
        if (index == count) return of_value(mutate_list_push(entry, LIST_TAIL, &args[1], 1));
        if (index == 0) return of_value(mutate_list_push(entry, LIST_HEAD, &args[1], 1));
        return of_value(mutate_list_insert(entry, (uint32_t)index, args[1]));
    }
    if (index < 0) index += count;
    if (index < 0 || index >= count) return APPLY_CORRUPT;
    if (record->op == RECORD_LIST_SET) return of_value(mutate_list_set(entry, (uint32_t)index, args[1]));
    int64_t removed = record_arg_int(record, 1);
    if (removed <= 0 || removed > count - index) return APPLY_CORRUPT;
    mutate_list_remove(entry, (uint32_t)index, (uint32_t)removed);
    return APPLY_DONE;
}

/* ---- streams ---- */

static enum apply_result apply_stream(struct entry *entry, const struct record *record)
{
    struct stream_id id, last = {0};
    memcpy(&id, record->args[0].ptr, sizeof id);
    if (entry->item && item_type(entry->item) != ITEM_STREAM) return APPLY_CORRUPT;
    if (record->op == RECORD_STREAM_REMOVE) {
        if (!entry->item) return APPLY_CORRUPT;
        return mutate_stream_remove(entry, id, record_arg_int(record, 1) != 0) ? APPLY_DONE : APPLY_CORRUPT;
    }
    if (entry->item) last = stream_last_id(&entry->value);
    if (stream_id_compare(id, last) <= 0 || !stream_fields_check(record->args[1])) return APPLY_CORRUPT;
    return of_value(mutate_stream_append_packed(entry, id, record->args[1]));
}

/* ---- dispatch ---- */

static enum apply_result apply_to_key(struct partition *partition, const struct record *record, uint8_t db)
{
    struct entry entry;
    struct key key = {.name = record->key, .hash = key_hash(partition->env, record->key), .db = db};
    entry_find(&entry, partition, &key);
    switch (record->op) {
    case RECORD_KEY_DELETE:
    case RECORD_KEY_EXPIRE:
    case RECORD_KEY_STORE: return apply_key(&entry, record);
    case RECORD_STRING_SET:
    case RECORD_STRING_WRITE:
    case RECORD_STRING_ADD:
    case RECORD_STRING_ADD_FLOAT: return apply_string(&entry, record);
    case RECORD_SET_ADD:
    case RECORD_SET_REMOVE: return apply_set(&entry, record);
    case RECORD_ZSET_SET:
    case RECORD_ZSET_ADD:
    case RECORD_ZSET_REMOVE: return apply_zset(&entry, record);
    case RECORD_LIST_INSERT:
    case RECORD_LIST_SET:
    case RECORD_LIST_REMOVE: return apply_list(&entry, record);
    case RECORD_STREAM_APPEND:
    case RECORD_STREAM_REMOVE: return apply_stream(&entry, record);
    default: return apply_hash(&entry, record);
    }
}

static enum apply_result apply_quietly(struct partition *partition, const struct record *record)
{
    uint8_t db, other;
    if (!is_well_formed(record) || !database_of(partition, record->keyspace, &db)) return APPLY_CORRUPT;
    if (record->op == RECORD_FLUSH) return of_value(mutate_flush(partition, db));
    if (record->op != RECORD_SWAP) return apply_to_key(partition, record, db);
    if (!database_of(partition, (uint64_t)record_arg_int(record, 0), &other)) return APPLY_CORRUPT;
    return of_value(mutate_swap_databases(partition, db, other));
}

enum apply_result record_apply(struct applier *applier, struct partition *partition,
                               const struct record *record)
{
    CHECK(record->partition == partition->id && partition->env);
    uint64_t *applied = &applier->applied[partition->id];
    if (record->sequence <= *applied) return APPLY_COVERED;
    if (record->sequence != *applied + 1) return APPLY_GAP;
    struct store_env *env = partition->env;
    void (*sink)(void *context, const struct record *record) = env->record_sink;
    bool paused = env->expiry_paused;
    uint64_t sequence = partition->sequence;
    env->record_sink = NULL;
    env->expiry_paused = true;
    enum apply_result result = apply_quietly(partition, record);
    env->record_sink = sink;
    env->expiry_paused = paused;
    partition->sequence = sequence;
    if (result == APPLY_DONE) *applied = record->sequence;
    return result;
}
