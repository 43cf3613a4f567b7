/* Keys and their values in serialised form (contract in rdb_entry.h).
 *
 * Reading builds the value apart from the key (store/build.h), because a payload may turn out to be bad only
 * after much of it was read; the finished value then takes the place of what the key held.
 */
#include "store/rdb_entry.h"

#include "base/number.h"
#include "store/build.h"
#include "store/mutate.h"
#include "store/mutate_set.h"
#include "store/mutate_zset.h"
#include "types/hash.h"
#include "types/list.h"
#include "types/set.h"

#include <math.h>
#include <stdlib.h>

/* First versions of the forms that we write. */
#define VERSION_PLAIN           6
#define VERSION_ZSET_2          8
#define VERSION_FIELD_DEADLINES 12

/* ---- writing ---- */

static void write_list(struct rdb_writer *w, const struct value *list)
{
    struct list_iter iter;
    struct slice element;
    rdb_write_byte(w, RDB_LIST);
    rdb_write_len(w, list_count(list));
    for (list_iter_seek(list, 0, &iter); list_iter_next(&iter, &element);)
        rdb_write_string(w, element.ptr, element.len);
}

static void write_set(struct rdb_writer *w, const struct value *set)
{
    struct set_iter iter;
    struct slice member;
    rdb_write_byte(w, RDB_SET);
    rdb_write_len(w, set_count(set));
    for (set_iter_begin(&iter, set); set_iter_next(&iter, &member);)
        rdb_write_string(w, member.ptr, member.len);
}

/* From the highest to the lowest, as Redis does: its skip list is then built at its head. */
static void write_zset(struct rdb_writer *w, const struct value *zset)
{
    struct zset_iter iter;
    struct slice member;
    double score;
    rdb_write_byte(w, RDB_ZSET_2);
    rdb_write_len(w, zset_count(zset));
    for (zset_iter_seek(zset, zset_count(zset), &iter); zset_iter_prev(&iter, &member, &score);) {
        rdb_write_string(w, member.ptr, member.len);
        rdb_write_double(w, score);
    }
}

/* True if fields have deadlines. Fields whose deadline has passed are not written, unless nothing would be
 * left, or deadlines do not pass. */
static bool write_hash(struct rdb_writer *w, const struct entry *entry)
{
    const struct value *hash = &entry->value;
    const struct store_env *env = entry->partition->env;
    int64_t earliest_ms = INT64_MAX, now_ms = env->expiry_paused ? INT64_MIN : env->now_ms;
    uint64_t due = 0;
    struct hash_iter iter;
    struct hash_field field;
    bool some = hash_count_deadlines(hash) > 0;
    for (hash_iter_begin(&iter, hash); some && hash_iter_next(&iter, &field);) {
        if (hash_field_is_due(&field, now_ms))
            due++;
        else if (field.deadline_ms != HASH_NO_DEADLINE && field.deadline_ms < earliest_ms)
            earliest_ms = field.deadline_ms;
    }
    if (due == hash_count(hash)) {
        due = 0;
        now_ms = INT64_MIN;
        earliest_ms = hash_earliest_ms(hash);
    }
    bool deadlines = earliest_ms != INT64_MAX;
    rdb_write_byte(w, deadlines ? RDB_HASH_METADATA : RDB_HASH);
    if (deadlines) rdb_write_u64(w, (uint64_t)earliest_ms);
    rdb_write_len(w, hash_count(hash) - due);
    for (hash_iter_begin(&iter, hash); hash_iter_next(&iter, &field);) {
        if (hash_field_is_due(&field, now_ms)) continue;
        bool has = field.deadline_ms != HASH_NO_DEADLINE;
        if (deadlines) rdb_write_len(w, has ? (uint64_t)(field.deadline_ms - earliest_ms) + 1 : 0);
        rdb_write_string(w, field.field.ptr, field.field.len);
        rdb_write_string(w, field.value.ptr, field.value.len);
    }
    return deadlines;
}

void rdb_object_write(struct rdb_writer *w, const struct entry *entry, uint16_t *version)
{
    char scratch[NUMBER_I64_MAX + 1];
    struct slice text;
    uint16_t needs = VERSION_PLAIN;
    switch (item_type(entry->item)) {
    case ITEM_STRING:
        text = entry_string(entry, scratch);
        rdb_write_byte(w, RDB_STRING);
        rdb_write_string(w, text.ptr, text.len);
        break;
    case ITEM_LIST: write_list(w, &entry->value); break;
    case ITEM_SET: write_set(w, &entry->value); break;
    case ITEM_ZSET:
        write_zset(w, &entry->value);
        needs = VERSION_ZSET_2;
        break;
    case ITEM_HASH:
        if (write_hash(w, entry)) needs = VERSION_FIELD_DEADLINES;
        break;
    default: CHECK(!"a type that can be written");
    }
    if (*version < needs) *version = needs;
}

char *rdb_object_dump_as(const struct entry *entry, bool compress, size_t *len)
{
    struct rdb_writer w;
    uint16_t version = 0;
    rdb_writer_init(&w, compress);
    rdb_object_write(&w, entry, &version);
    rdb_write_footer(&w, version);
    if (w.failed) {
        rdb_writer_free(&w);
        return NULL;
    }
    *len = rdb_writer_len(&w);
    return w.begin;
}

char *rdb_object_dump(const struct entry *entry, size_t *len)
{
    return rdb_object_dump_as(entry, false, len);
}

/* ---- reading ---- */

struct restoring {
    struct build build; /* unless it is a string */
    struct entry *entry;
    enum rdb_kind kind;
    uint64_t count_hint;
    int64_t deadline_ms;
    bool begun;
    bool exact;         /* -0.0 stays, whatever encoding that takes */
    bool negative_zero; /* was seen */
};

static int as_rdb_result(int value_result)
{
    return value_result == VALUE_OK ? RDB_OK : RDB_NO_MEMORY;
}

static int restore_begin(void *context, enum rdb_kind kind, uint64_t count_hint)
{
    static const struct {
        enum item_type type;
        uint32_t area_len;
        void (*free)(struct value *value);
    } forms[] = {[RDB_KIND_LIST] = {ITEM_LIST, LIST_EMPTY_AREA, list_free},
                 [RDB_KIND_SET] = {ITEM_SET, SET_EMPTY_AREA, set_free},
                 [RDB_KIND_ZSET] = {ITEM_ZSET, ZSET_EMPTY_AREA, zset_free},
                 [RDB_KIND_HASH] = {ITEM_HASH, HASH_EMPTY_AREA, hash_free}};
    struct restoring *r = context;
    r->kind = kind;
    r->count_hint = count_hint;
    if (kind == RDB_KIND_STRING) return RDB_OK;
    build_begin(&r->build, r->entry->partition, forms[kind].type, forms[kind].area_len, forms[kind].free);
    r->begun = true;
    /* Which of the encodings it is shows at the end, and only one of them would change a -0.0 on the way. */
    if (kind == RDB_KIND_ZSET) zset_encoding_skiplist(&r->build.value);
    return RDB_OK;
}

/* The payload is known to end behind the string. */
static int restore_string(void *context, struct slice value)
{
    struct restoring *r = context;
    return as_rdb_result(mutate_string_set(r->entry, value, r->deadline_ms));
}

static int restore_element(void *context, struct slice element)
{
    struct restoring *r = context;
    struct value *value = &r->build.value;
    if (r->kind == RDB_KIND_LIST) return as_rdb_result(list_push(value, LIST_TAIL, &element, 1));
    struct set_config config = mutate_set_config(r->entry->partition->env);
    if (set_count(value) == 0) set_prepare(value, &config, element, r->count_hint ? r->count_hint : 1);
    bool added;
    if (set_add(value, &config, element, &added) != VALUE_OK) return RDB_NO_MEMORY;
    return added ? RDB_OK : RDB_CORRUPT;
}

static int restore_member(void *context, struct slice member, double score)
{
    struct restoring *r = context;
    struct zset_limits limits = mutate_zset_limits(r->entry->partition->env);
    struct zset_outcome outcome;
    if (score == 0 && signbit(score)) r->negative_zero = true;
    if (zset_set(&r->build.value, &limits, member, score, &outcome) != VALUE_OK) return RDB_NO_MEMORY;
    return outcome.existed ? RDB_CORRUPT : RDB_OK;
}

static int restore_field(void *context, struct slice field, struct slice value, int64_t deadline_ms)
{
    struct restoring *r = context;
    const struct store_env *env = r->entry->partition->env;
    if (deadline_ms == RDB_NO_DEADLINE)
        deadline_ms = HASH_NO_DEADLINE;
    else if (deadline_ms < env->now_ms && !env->expiry_paused)
        return RDB_OK;
    struct hash_config config = {.listpack_entries_max = (uint64_t)env->config->hash_max_listpack_entries,
                                 .listpack_value_max = (uint64_t)env->config->hash_max_listpack_value_bytes,
                                 .hash_seed = env->hash_seed};
    bool created;
    if (hash_set(&r->build.value, &config, field, value, deadline_ms, &created) != VALUE_OK)
        return RDB_NO_MEMORY;
    return created ? RDB_OK : RDB_CORRUPT;
}

/* The encoding that the thresholds allow to a value that came as a whole. */
static void settle(struct restoring *r)
{
    const struct store_env *env = r->entry->partition->env;
    struct zset_limits limits = mutate_zset_limits(env);
    if (r->kind == RDB_KIND_LIST)
        list_encoding_settle(&r->build.value, (int)env->config->list_max_listpack_size);
    else if (r->kind == RDB_KIND_ZSET && !(r->exact && r->negative_zero))
        zset_encoding_settle(&r->build.value, &limits);
}

static int restore(struct entry *entry, struct slice payload, int64_t deadline_ms, bool exact)
{
    struct restoring r = {.entry = entry, .deadline_ms = deadline_ms, .exact = exact};
    struct rdb_visitor visitor = {
        &r, restore_begin, restore_string, restore_element, restore_member, restore_field};
    int result = rdb_read_dump(payload.ptr, payload.len, &visitor);
    if (!r.begun) return result;
    if (result == RDB_OK && r.kind == RDB_KIND_HASH && hash_count(&r.build.value) == 0) {
        /* All its fields have expired. */
        build_drop(&r.build);
        return entry->item ? as_rdb_result(mutate_key_delete(entry, RECORD_OVERWRITTEN)) : RDB_OK;
    }
    if (result == RDB_OK) {
        settle(&r);
        result = as_rdb_result(build_store_until(&r.build, entry, deadline_ms));
    }
    if (result != RDB_OK) build_drop(&r.build);
    return result;
}

int rdb_object_restore(struct entry *entry, struct slice payload, int64_t deadline_ms)
{
    return restore(entry, payload, deadline_ms, false);
}

int rdb_object_restore_exact(struct entry *entry, struct slice payload, int64_t deadline_ms)
{
    return restore(entry, payload, deadline_ms, true);
}

/* ---- a whole partition ---- */

struct names {
    char *bytes; /* u32 length and name, one after the other */
    size_t len, capacity;
    bool failed;
};

static void collect_name(void *context, struct entry *entry)
{
    struct names *names = context;
    struct slice name = item_key(entry->item);
    uint32_t len = (uint32_t)name.len;
    size_t need = names->len + sizeof len + len;
    if (need > names->capacity) {
        size_t capacity = need * 2;
        char *bytes = realloc(names->bytes, capacity);
        if (bytes == NULL) names->failed = true;
        if (bytes == NULL) return;
        names->bytes = bytes;
        names->capacity = capacity;
    }
    memcpy(names->bytes + names->len, &len, sizeof len);
    if (len) memcpy(names->bytes + names->len + sizeof len, name.ptr, len);
    names->len = need;
}

static int reload_key(struct partition *partition, struct slice name, uint8_t db)
{
    struct entry entry;
    struct key key = {.name = name, .hash = key_hash(partition->env, name), .db = db};
    if (!entry_find(&entry, partition, &key) || !rdb_object_is_writable(&entry)) return RDB_OK;
    size_t len;
    char *payload = rdb_object_dump(&entry, &len);
    if (payload == NULL) return RDB_NO_MEMORY;
    int result = rdb_object_restore(&entry, (struct slice){payload, len}, item_deadline(entry.item));
    free(payload);
    return result;
}

static int reload_database(struct partition *partition, uint8_t db)
{
    struct names names = {0};
    int result = RDB_OK;
    uint64_t cursor = 0;
    do cursor = partition_scan(partition, db, cursor, collect_name, &names);
    while (cursor != 0);
    if (names.failed) result = RDB_NO_MEMORY;
    for (size_t at = 0; at < names.len;) {
        uint32_t len;
        memcpy(&len, names.bytes + at, sizeof len);
        int one = reload_key(partition, (struct slice){names.bytes + at + sizeof len, len}, db);
        if (result == RDB_OK) result = one;
        at += sizeof len + len;
    }
    free(names.bytes);
    return result;
}

int rdb_partition_reload(struct partition *partition)
{
    int result = RDB_OK;
    for (int db = 0; db < partition->databases; db++) {
        int one = reload_database(partition, (uint8_t)db);
        if (result == RDB_OK) result = one;
    }
    return result;
}
