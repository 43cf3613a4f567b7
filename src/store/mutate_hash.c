/* Mutators of hashes. See mutate_hash.h. */
#include "store/mutate_hash.h"

#include "base/mutant.h"
#include "base/number.h"
#include "store/internal.h"

struct hash_config mutate_hash_config(const struct store_env *env)
{
    return (struct hash_config){
        .listpack_entries_max = (uint64_t)env->config->hash_max_listpack_entries,
        .listpack_value_max = (uint64_t)env->config->hash_max_listpack_value_bytes,
        .hash_seed = env->hash_seed,
    };
}

int mutate_hash_prepare(struct entry *entry, const struct slice *texts, uint64_t count)
{
    struct hash_config config = mutate_hash_config(entry->partition->env);
    if (!entry->item && entry_create_collection(entry, ITEM_HASH, HASH_EMPTY_AREA) != VALUE_OK)
        return VALUE_NO_MEMORY;
    hash_prepare(&entry->value, &config, texts, count);
    return VALUE_OK;
}

void mutate_hash_prepare_deadlines(struct entry *entry)
{
    hash_prepare_deadlines(&entry->value);
}

/* ---- filing by the earliest field ---- */

/* Before a field gets a deadline: gives the item its place in the wheel, so that filing it cannot fail after
 * the hash has changed. */
static int reserve_filing(struct entry *entry)
{
    struct partition *partition = entry->partition;
    if (!wheel_prepare(&partition->wheel, &partition->slab, partition->env->now_ms)) return VALUE_NO_MEMORY;
    if (item_has_expiry(entry->item)) return VALUE_OK;
    if (!entry_reshape(entry, entry->item->header | ITEM_HAS_EXPIRY, entry->value.len))
        return VALUE_NO_MEMORY;
    item_expiry_put(entry->item, (struct item_expiry){.deadline_ms = ITEM_NO_DEADLINE});
    partition_file(partition, *entry->slot, INT64_MAX);
    return VALUE_OK;
}

/* After fields have changed. A hash that is filed too early only wakes the wheel once; too late must not be.
 */
static void file_if_earlier(struct entry *entry, int64_t earliest_before_ms)
{
    bool first_only = MUTANT(hexpire_files_first_only) && earliest_before_ms != INT64_MAX;
    if (hash_earliest_ms(&entry->value) < earliest_before_ms && !first_only)
        CHECK(entry_file_fields(entry) == VALUE_OK);
}

/* A change failed: an empty hash goes, and so does a place in the wheel that nobody needs. */
static int give_up(struct entry *entry)
{
    if (hash_count(&entry->value) == 0)
        entry_remove(entry);
    else if (item_has_expiry(entry->item))
        CHECK(entry_file_again(entry));
    return VALUE_NO_MEMORY;
}

/* ---- fields ---- */

static int set_field(struct entry *entry, struct slice field, struct slice value, int64_t deadline_ms,
                     bool *created)
{
    struct hash_config config = mutate_hash_config(entry->partition->env);
    bool filed = deadline_ms != HASH_NO_DEADLINE && deadline_ms != HASH_KEEP_DEADLINE;
    int64_t earliest_ms = hash_earliest_ms(&entry->value);
    if (filed && reserve_filing(entry) != VALUE_OK) return give_up(entry);
    if (hash_set(&entry->value, &config, field, value, deadline_ms, created) != VALUE_OK)
        return give_up(entry);
    entry_count_timed_hash(entry, earliest_ms != INT64_MAX);
    if (filed) file_if_earlier(entry, earliest_ms);
    return VALUE_OK;
}

int mutate_hash_set(struct entry *entry, struct slice field, struct slice value, int64_t deadline_ms,
                    bool *created)
{
    if (set_field(entry, field, value, deadline_ms, created) != VALUE_OK) return VALUE_NO_MEMORY;
    if (deadline_ms == HASH_KEEP_DEADLINE) {
        struct hash_field now;
        CHECK(hash_find(&entry->value, field, &now));
        deadline_ms = now.deadline_ms;
    }
    struct slice args[3] = {field, value, record_int(&deadline_ms)};
    entry_emit(entry, RECORD_HASH_SET, args, 3);
    return VALUE_OK;
}

int mutate_hash_add(struct entry *entry, struct slice field, int64_t delta, int64_t result)
{
    char text[NUMBER_I64_MAX + 1];
    struct slice value = {text, number_format_i64(text, result)};
    bool created;
    if (set_field(entry, field, value, HASH_KEEP_DEADLINE, &created) != VALUE_OK) return VALUE_NO_MEMORY;
    struct slice args[3] = {field, record_int(&delta), record_int(&result)};
    entry_emit(entry, RECORD_HASH_ADD, args, 3);
    return VALUE_OK;
}

int mutate_hash_add_float(struct entry *entry, struct slice field, struct slice delta, struct slice result)
{
    bool created;
    int64_t deadline_ms = MUTANT(hincrbyfloat_drops_ttl) ? HASH_NO_DEADLINE : HASH_KEEP_DEADLINE;
    if (set_field(entry, field, result, deadline_ms, &created) != VALUE_OK) return VALUE_NO_MEMORY;
    struct slice args[3] = {field, delta, result};
    entry_emit(entry, RECORD_HASH_ADD_FLOAT, args, 3);
    return VALUE_OK;
}

int mutate_hash_expire(struct entry *entry, struct slice field, int64_t deadline_ms)
{
    struct hash_config config = mutate_hash_config(entry->partition->env);
    bool filed = deadline_ms != HASH_NO_DEADLINE;
    int64_t earliest_ms = hash_earliest_ms(&entry->value);
    if (filed && reserve_filing(entry) != VALUE_OK) return give_up(entry);
    if (hash_set_deadline(&entry->value, &config, field, deadline_ms) != VALUE_OK) return give_up(entry);
    entry_count_timed_hash(entry, earliest_ms != INT64_MAX);
    if (filed) file_if_earlier(entry, earliest_ms);
    struct slice args[2] = {field, record_int(&deadline_ms)};
    entry_emit(entry, RECORD_HASH_EXPIRE, args, 2);
    return VALUE_OK;
}

static void emit_remove(struct entry *entry, struct slice field, enum record_delete_reason reason)
{
    int64_t why = reason;
    struct slice args[2] = {field, record_int(&why)};
    entry_emit(entry, RECORD_HASH_REMOVE, args, 2);
}

bool mutate_hash_remove(struct entry *entry, struct slice field, enum record_delete_reason reason)
{
    bool timed = entry_is_timed_hash(entry);
    if (!hash_remove(&entry->value, field)) return false;
    if (!MUTANT(hdel_subexpiry_stays)) entry_count_timed_hash(entry, timed);
    emit_remove(entry, field, reason);
    entry_close(entry);
    return true;
}

/* ---- expiry ---- */

static void expire_field(void *context, const struct hash_field *field)
{
    struct entry *entry = context;
    entry->partition->env->stats.expired_fields++;
    emit_remove(entry, field->field, RECORD_EXPIRED);
}

int mutate_hash_expire_fields(struct entry *entry, int64_t now_ms, int most)
{
    const struct store_env *env = entry->partition->env;
    if (most <= 0 || env->expiry_paused || env->expired_stay) return 0;
    int done = (int)hash_expire(&entry->value, now_ms, (uint32_t)most, expire_field, entry);
    if (done > 0) {
        entry_count_timed_hash(entry, true);
        entry_close(entry);
    }
    return done;
}
