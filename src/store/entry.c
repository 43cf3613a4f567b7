/* Entries: one opened key; the item behind it is created, reshaped, filed and removed here, and nowhere else.
 * See partition.h (contract) and item.h (layout). */
#include "store/internal.h"

#include "base/mutant.h"
#include "base/number.h"
#include "store/watch.h"

static bool resize_area(struct value *value, uint32_t len)
{
    struct entry *entry = (struct entry *)value;
    return entry_reshape(entry, entry->item->header, len);
}

void entry_refresh(struct entry *entry)
{
    entry->value.slab = &entry->partition->slab;
    entry->value.resize = resize_area;
    entry->value.bytes = entry->item ? item_value(entry->item) : NULL;
    entry->value.len = entry->item ? item_value_len(entry->item) : 0;
}

/* The lengths are carried by `header` or, with ITEM_LONG, by the words behind it. */
static uint32_t full_header(uint32_t header, size_t key_len, size_t value_len)
{
    uint32_t keep = ITEM_HAS_EXPIRY | ITEM_HAS_STAMP | ITEM_WHEEL_HEAD;
    return item_header(header & 7, (header >> 3) & 7, key_len, value_len) | (header & keep);
}

static size_t size_of(uint32_t header, size_t key_len, size_t value_len)
{
    return sizeof(struct item) + item_key_offset(header) + key_len + value_len;
}

/* Rewrites an item into `to` (perhaps itself) under another header. The blocks that both have are kept. */
static void move_parts(struct item *to, struct item *from, uint32_t header, uint32_t value_len)
{
    uint32_t key_len = item_key_len(from), old_len = item_value_len(from);
    uint32_t kept = old_len < value_len ? old_len : value_len;
    struct item_expiry expiry = {.deadline_ms = ITEM_NO_DEADLINE};
    if (item_has_expiry(from)) expiry = item_expiry(from);
    const uint8_t *body = item_key_bytes(from);
    uint8_t *target = to->rest + item_key_offset(header);
    memmove(target, body, key_len + kept); /* before the header words: they may overlap it */
    item_init(to, header, key_len, value_len);
    if (header & ITEM_HAS_EXPIRY) item_expiry_put(to, expiry);
    if (value_len > kept) memset(target + key_len + kept, 0, value_len - kept);
}

bool entry_reshape(struct entry *entry, uint32_t header, uint32_t value_len)
{
    struct slab *slab = &entry->partition->slab;
    struct item *item = entry->item;
    uint32_t key_len = item_key_len(item);
    header = full_header(header, key_len, value_len);
    size_t old_size = item_size(item), new_size = size_of(header, key_len, value_len);
    bool filed = item_has_expiry(item) && (header & ITEM_HAS_EXPIRY);
    if (slab_rounded(old_size) == slab_rounded(new_size)) {
        move_parts(item, item, header, value_len);
    } else {
        /* Shrinking never fails: the slab keeps room for it. */
        slab_handle handle =
            new_size < old_size ? slab_alloc_smaller(slab, new_size) : slab_alloc(slab, new_size);
        if (!handle) return false;
        struct item *moved = slab_ptr(slab, handle);
        move_parts(moved, item, header, value_len);
        slab_free(slab, *entry->slot, old_size);
        *entry->slot = handle;
        entry->item = moved;
        if (filed && !MUTANT(wheel_move_untold)) wheel_moved(&entry->partition->wheel, slab, handle);
    }
    entry_refresh(entry);
    return true;
}

bool entry_insert(struct entry *entry, enum item_type type, enum item_representation representation,
                  uint32_t value_len, int64_t deadline_ms)
{
    struct partition *partition = entry->partition;
    struct slab *slab = &partition->slab;
    DCHECK(!entry->item);
    bool filed = deadline_ms != ITEM_NO_DEADLINE;
    if (filed && !wheel_prepare(&partition->wheel, slab, partition->env->now_ms)) return false;
    size_t key_len = entry->key.name.len;
    uint32_t header = item_header(type, representation, key_len, value_len) | (filed ? ITEM_HAS_EXPIRY : 0);
    size_t size = size_of(header, key_len, value_len);
    slab_handle handle = slab_alloc(slab, size);
    if (!handle) return false;
    struct keyspace *keyspace = partition_keyspace(partition, entry->key.db);
    slab_handle *slot =
        table_insert(&keyspace->table, slab, &store_item_table, partition, entry->key.hash, handle);
    if (!slot) {
        slab_free(slab, handle, size);
        return false;
    }
    struct item *item = slab_ptr(slab, handle);
    item_init(item, header, key_len, value_len);
    uint8_t *body = item->rest + item_key_offset(header);
    memcpy(body, entry->key.name.ptr, key_len);
    memset(body + key_len, 0, value_len);
    if (filed) {
        item_expiry_put(item, (struct item_expiry){.deadline_ms = deadline_ms});
        partition_file(partition, handle, deadline_ms);
        keyspace->expires++;
    }
    entry_at(entry, partition, slot);
    return true;
}

void entry_free_parts(struct entry *entry)
{
    switch (item_representation(entry->item)) {
    case ITEM_LARGE: {
        struct item_large large;
        memcpy(&large, entry->value.bytes, sizeof large);
        slab_free(&entry->partition->slab, large.bytes, large.capacity);
        break;
    }
    case ITEM_COLLECTION:
        if (!pending_take(entry)) collection_free(entry);
        break;
    default: break;
    }
}

void entry_free_value(struct entry *entry)
{
    if (item_representation(entry->item) == ITEM_COLLECTION && entry_is_timed_hash(entry))
        partition_keyspace(entry->partition, entry->key.db)->timed_hashes--;
    entry_free_parts(entry);
}

void entry_remove(struct entry *entry)
{
    struct partition *partition = entry->partition;
    struct keyspace *keyspace = partition_keyspace(partition, entry->key.db);
    entry_free_value(entry);
    if (item_has_expiry(entry->item)) {
        wheel_remove(&partition->wheel, &partition->slab, *entry->slot);
        if (item_deadline(entry->item) != ITEM_NO_DEADLINE) keyspace->expires--;
    }
    slab_handle handle = *entry->slot;
    size_t size = item_size(entry->item);
    table_remove(&keyspace->table, &partition->slab, &store_item_table, partition, entry->key.hash,
                 entry->slot);
    slab_free(&partition->slab, handle, size);
    entry->item = NULL;
    entry->slot = NULL;
    entry_refresh(entry);
}

void entry_expire(struct entry *entry)
{
    entry->partition->env->stats.expired_keys++;
    mutate_key_delete(entry, RECORD_EXPIRED);
}

/* The wheel time of an item: its own deadline, or its hash's earliest field deadline. */
static int64_t filing_time(const struct entry *entry, int64_t deadline_ms)
{
    int64_t earliest = collection_earliest_ms(entry);
    if (deadline_ms == ITEM_NO_DEADLINE) return earliest;
    return deadline_ms < earliest ? deadline_ms : earliest;
}

bool entry_set_deadline(struct entry *entry, int64_t deadline_ms)
{
    struct partition *partition = entry->partition;
    struct keyspace *keyspace = partition_keyspace(partition, entry->key.db);
    bool had = item_deadline(entry->item) != ITEM_NO_DEADLINE, has = deadline_ms != ITEM_NO_DEADLINE;
    int64_t file_at = filing_time(entry, deadline_ms);
    bool need_block = has || file_at != INT64_MAX;
    if (need_block && !wheel_prepare(&partition->wheel, &partition->slab, partition->env->now_ms))
        return false;
    if (need_block && item_has_expiry(entry->item)) {
        struct item_expiry expiry = item_expiry(entry->item);
        bool sooner = deadline_ms < expiry.deadline_ms && !MUTANT(wheel_sooner_not_refiled);
        bool later = item_type(entry->item) != ITEM_HASH && has && had && !sooner;
        expiry.deadline_ms = deadline_ms;
        if (!later) wheel_remove(&partition->wheel, &partition->slab, *entry->slot);
        item_expiry_put(entry->item, expiry);
        /* A later deadline stays where it is filed: when that place fires, the item is filed again. */
        if (!later) partition_file(partition, *entry->slot, file_at);
    } else if (need_block) {
        if (!entry_reshape(entry, entry->item->header | ITEM_HAS_EXPIRY, entry->value.len)) return false;
        item_expiry_put(entry->item, (struct item_expiry){.deadline_ms = deadline_ms});
        partition_file(partition, *entry->slot, file_at);
    } else if (item_has_expiry(entry->item)) {
        wheel_remove(&partition->wheel, &partition->slab, *entry->slot);
        CHECK(entry_reshape(entry, entry->item->header & ~ITEM_HAS_EXPIRY, entry->value.len));
    }
    keyspace->expires += (uint32_t)has - (uint32_t)had;
    return true;
}

bool entry_file_again(struct entry *entry)
{
    struct partition *partition = entry->partition;
    int64_t deadline_ms = item_deadline(entry->item), file_at = filing_time(entry, deadline_ms);
    if (file_at == INT64_MAX && deadline_ms == ITEM_NO_DEADLINE)
        return entry_set_deadline(entry, ITEM_NO_DEADLINE);
    wheel_remove(&partition->wheel, &partition->slab, *entry->slot);
    partition_file(partition, *entry->slot, file_at);
    return true;
}

/* ---- reading ---- */

static int64_t load_int(const uint8_t *bytes, uint32_t len)
{
    int8_t i8;
    int16_t i16;
    int32_t i32;
    int64_t i64;
    switch (len) {
    case 1: memcpy(&i8, bytes, 1); return i8;
    case 2: memcpy(&i16, bytes, 2); return i16;
    case 4: memcpy(&i32, bytes, 4); return i32;
    default: memcpy(&i64, bytes, 8); return i64;
    }
}

struct slice entry_string(const struct entry *entry, char *scratch)
{
    DCHECK(item_type(entry->item) == ITEM_STRING);
    switch (item_representation(entry->item)) {
    case ITEM_INT: {
        size_t len = number_format_i64(scratch, load_int(entry->value.bytes, entry->value.len));
        return (struct slice){scratch, len};
    }
    case ITEM_LARGE: {
        struct item_large large;
        memcpy(&large, entry->value.bytes, sizeof large);
        return (struct slice){slab_ptr(&entry->partition->slab, large.bytes), large.len};
    }
    default: return (struct slice){(const char *)entry->value.bytes, entry->value.len};
    }
}

size_t entry_string_len(const struct entry *entry)
{
    char scratch[NUMBER_I64_MAX + 1];
    return entry_string(entry, scratch).len;
}

bool entry_integer(const struct entry *entry, int64_t *out)
{
    if (item_representation(entry->item) == ITEM_INT) {
        *out = load_int(entry->value.bytes, entry->value.len);
        return true;
    }
    struct slice s = entry_string(entry, NULL);
    return number_parse_i64(s.ptr, s.len, out);
}

const char *entry_encoding(const struct entry *entry)
{
    switch (item_representation(entry->item)) {
    case ITEM_INT: return "int";
    case ITEM_INLINE: return entry->value.len <= ITEM_EMBSTR_MAX ? "embstr" : "raw";
    case ITEM_COLLECTION: return collection_encoding(entry);
    default: return "raw";
    }
}

size_t entry_memory(const struct entry *entry)
{
    size_t size = slab_rounded(item_size(entry->item)) + 6; /* and its share of a bucket */
    if (item_representation(entry->item) == ITEM_LARGE) {
        struct item_large large;
        memcpy(&large, entry->value.bytes, sizeof large);
        size += slab_rounded(large.capacity);
    }
    return item_representation(entry->item) == ITEM_COLLECTION ? size + collection_memory(entry) : size;
}

uint64_t entry_count(const struct entry *entry)
{
    return item_representation(entry->item) == ITEM_COLLECTION ? collection_count(entry) : 1;
}

/* ---- records ---- */

void entry_emit(struct entry *entry, enum record_op op, const struct slice *args, int args_count)
{
    struct partition *partition = entry->partition;
    partition->sequence++;
    partition->env->stats.dirty++;
    uint8_t keyspace = partition->keyspace_of_db[entry->key.db];
    if (LIKELY(!partition->watches && !partition->env->record_sink)) return;
    /* Of an entry that the wheel or eviction opened the name is the item's own, and the item may have moved.
     */
    struct slice name = entry->item ? item_key(entry->item) : entry->key.name;
    if (op == RECORD_KEY_DELETE)
        watch_bury(partition->watches, name, entry->key.hash, entry->key.db);
    else
        watch_touch(partition->watches, name, entry->key.hash, entry->key.db);
    if (!partition->env->record_sink) return;
    struct store_env *env = partition->env;
    bool in_unit = env->unit_depth > 0 && env->record_unit_end;
    env->unit_has_records |= in_unit;
    struct record record = {.sequence = partition->sequence,
                            .key = name,
                            .partition = partition->id,
                            .op = (uint8_t)op,
                            .flags = in_unit ? RECORD_MORE : 0,
                            .keyspace = keyspace,
                            .args_count = (uint8_t)args_count};
    if (args_count) memcpy(record.args, args, (size_t)args_count * sizeof *args);
    partition->env->record_sink(partition->env->record_sink_context, &record);
}
