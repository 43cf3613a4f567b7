/* Mutators of strings. Representations: INT (1, 2, 4 or 8 bytes), INLINE and RAW (the bytes in the item; RAW
 * is one that was edited, which Redis calls "raw" whatever its length), LARGE (bytes apart, with room to
 * grow). Hot: overwriting a value by one of the same rounded size is one header, one copy. Tests:
 * test/unit/store_string_test.c. */
#include "store/internal.h"

#include "base/mutant.h"
#include "base/number.h"

/* What a new value will look like; `int_bytes` backs an integer. */
struct shape {
    enum item_representation representation;
    uint32_t len; /* of the value area */
    const void *bytes;
    int64_t integer;
};

static uint32_t int_width(int64_t v)
{
    if (v == (int8_t)v) return 1;
    if (v == (int16_t)v || (MUTANT(int_16_bits_unsigned) && v == (uint16_t)v)) return 2;
    return v == (int32_t)v ? 4 : 8;
}

static void shape_of(struct shape *shape, struct slice value)
{
    if (value.len <= NUMBER_I64_MAX && number_parse_i64(value.ptr, value.len, &shape->integer)) {
        *shape = (struct shape){ITEM_INT, int_width(shape->integer), &shape->integer, shape->integer};
    } else if (value.len <= ITEM_INLINE_MAX) {
        *shape = (struct shape){ITEM_INLINE, (uint32_t)value.len, value.ptr, 0};
    } else {
        *shape = (struct shape){ITEM_LARGE, sizeof(struct item_large), NULL, 0};
    }
}

/* The bytes of a large value, copied into an allocation of their own. */
static bool large_create(struct slab *slab, struct slice value, size_t capacity, struct item_large *large)
{
    slab_handle bytes = slab_alloc(slab, capacity);
    if (!bytes) return false;
    memcpy(slab_ptr(slab, bytes), value.ptr, value.len);
    *large = (struct item_large){bytes, (uint32_t)value.len, (uint32_t)capacity};
    return true;
}

/* Overwrites in place when header blocks and rounded size stay as they are. */
static bool set_in_place(struct entry *entry, const struct shape *shape)
{
    struct item *item = entry->item;
    if (item_type(item) != ITEM_STRING || item_representation(item) == ITEM_LARGE) return false;
    if (item->header & ITEM_LONG || shape->representation == ITEM_LARGE) return false;
    uint32_t key_len = item_key_len(item);
    size_t size = item_size(item);
    if (slab_rounded(size) != slab_rounded(size - entry->value.len + shape->len)) return false;
    uint32_t keep = item->header & (ITEM_HAS_EXPIRY | ITEM_HAS_STAMP | ITEM_WHEEL_HEAD);
    item->header = item_header(ITEM_STRING, shape->representation, key_len, shape->len) | keep;
    memcpy(entry->value.bytes, shape->bytes, shape->len);
    entry->value.len = shape->len;
    return true;
}

/* Swaps the present item for one of the new shape; the old value goes only when the new item is there. */
static bool replace_item(struct entry *entry, const struct shape *shape, int64_t deadline_ms)
{
    struct partition *partition = entry->partition;
    struct slab *slab = &partition->slab;
    struct item *old = entry->item;
    bool has = deadline_ms != ITEM_NO_DEADLINE;
    if (has && !wheel_prepare(&partition->wheel, slab, partition->env->now_ms)) return false;
    struct slice name = item_key(old);
    uint32_t header =
        item_header(ITEM_STRING, shape->representation, name.len, shape->len) | (has ? ITEM_HAS_EXPIRY : 0);
    size_t size = sizeof(struct item) + item_key_offset(header) + name.len + shape->len;
    slab_handle handle = slab_alloc(slab, size);
    if (!handle) return false;
    struct item *item = slab_ptr(slab, handle);
    item_init(item, header, name.len, shape->len);
    memcpy(item->rest + item_key_offset(header), name.ptr, name.len);
    if (has) item_expiry_put(item, (struct item_expiry){.deadline_ms = deadline_ms});
    struct keyspace *keyspace = partition_keyspace(partition, entry->key.db);
    bool had = item_deadline(old) != ITEM_NO_DEADLINE;
    keyspace->expires += (uint32_t)has - (uint32_t)(had || MUTANT(expires_miscounted));
    if (!MUTANT(large_string_leaks))
        entry_free_value(entry); /* may move the old item: it is not `old` from here on */
    if (item_has_expiry(entry->item)) wheel_remove(&partition->wheel, slab, *entry->slot);
    slab_free(slab, *entry->slot, item_size(entry->item));
    *entry->slot = handle;
    entry->item = item;
    entry_refresh(entry);
    memcpy(entry->value.bytes, shape->bytes, shape->len);
    if (has) partition_file(partition, handle, deadline_ms);
    return true;
}

static bool store_shape(struct entry *entry, const struct shape *shape, int64_t deadline_ms)
{
    if (entry->item) {
        int64_t old_deadline = item_deadline(entry->item);
        bool expiry_stays = item_has_expiry(entry->item) == (deadline_ms != ITEM_NO_DEADLINE);
        if (expiry_stays && set_in_place(entry, shape)) {
            if (deadline_ms != old_deadline) CHECK(entry_set_deadline(entry, deadline_ms));
            return true;
        }
        return replace_item(entry, shape, deadline_ms);
    }
    if (!entry_insert(entry, ITEM_STRING, shape->representation, shape->len, deadline_ms)) return false;
    memcpy(entry->value.bytes, shape->bytes, shape->len);
    return true;
}

/* `shape` as shape_of() left it. Emits nothing. */
static int store_value(struct entry *entry, struct slice value, struct shape shape, int64_t deadline_ms)
{
    struct item_large large;
    if (shape.representation == ITEM_LARGE) {
        if (!large_create(&entry->partition->slab, value, value.len, &large)) return VALUE_NO_MEMORY;
        shape.bytes = &large;
    } else if (shape.representation == ITEM_INT) {
        shape.bytes = &shape.integer;
    }
    if (!store_shape(entry, &shape, deadline_ms)) {
        if (shape.representation == ITEM_LARGE)
            slab_free(&entry->partition->slab, large.bytes, large.capacity);
        return VALUE_NO_MEMORY;
    }
    return VALUE_OK;
}

static int set_value(struct entry *entry, struct slice value, struct shape shape, int64_t deadline_ms)
{
    if (store_value(entry, value, shape, deadline_ms) != VALUE_OK) return VALUE_NO_MEMORY;
    struct slice args[2] = {value, record_int(&deadline_ms)};
    entry_emit(entry, RECORD_STRING_SET, args, 2);
    return VALUE_OK;
}

int mutate_string_set(struct entry *entry, struct slice value, int64_t deadline_ms)
{
    struct shape shape;
    shape_of(&shape, value);
    return set_value(entry, value, shape, deadline_ms);
}

int mutate_string_set_as(struct entry *entry, struct slice value, enum item_representation representation,
                         int64_t deadline_ms)
{
    struct shape shape;
    if (representation == ITEM_INT)
        shape_of(&shape, value);
    else if (representation == ITEM_LARGE)
        shape = (struct shape){ITEM_LARGE, sizeof(struct item_large), NULL, 0};
    else
        shape = (struct shape){representation, (uint32_t)value.len, value.ptr, 0};
    return set_value(entry, value, shape, deadline_ms);
}

int mutate_string_set_raw(struct entry *entry, struct slice value, int64_t deadline_ms)
{
    struct shape shape = {ITEM_LARGE, sizeof(struct item_large), NULL, 0};
    if (value.len <= ITEM_INLINE_MAX) shape = (struct shape){ITEM_RAW, (uint32_t)value.len, value.ptr, 0};
    return set_value(entry, value, shape, deadline_ms);
}

/* Room for growth, as sds: double up to 1 MiB, then 1 MiB more. */
static size_t grown_capacity(size_t len)
{
    return len < (1u << 20) ? len * 2 : len + (1u << 20);
}

/* Makes the string `len` bytes long (never shorter than it is) in a representation whose bytes can be edited:
 * RAW or LARGE. New bytes are zero. Returns where the bytes are, or NULL without memory. */
static uint8_t *make_editable(struct entry *entry, size_t len)
{
    struct slab *slab = &entry->partition->slab;
    char scratch[NUMBER_I64_MAX + 1];
    if (!entry->item) {
        if (len <= ITEM_INLINE_MAX) {
            if (!entry_insert(entry, ITEM_STRING, ITEM_RAW, (uint32_t)len, ITEM_NO_DEADLINE)) return NULL;
            return entry->value.bytes;
        }
        struct item_large large = {slab_alloc(slab, len), (uint32_t)len, (uint32_t)len};
        if (!large.bytes) return NULL;
        if (!entry_insert(entry, ITEM_STRING, ITEM_LARGE, sizeof large, ITEM_NO_DEADLINE)) {
            slab_free(slab, large.bytes, large.capacity);
            return NULL;
        }
        memcpy(entry->value.bytes, &large, sizeof large);
        return memset(slab_ptr(slab, large.bytes), 0, len);
    }
    enum item_representation representation = item_representation(entry->item);
    uint32_t flags = entry->item->header & ~0x38u;
    if (representation == ITEM_LARGE) {
        struct item_large large;
        memcpy(&large, entry->value.bytes, sizeof large);
        if (len > large.capacity) {
            size_t capacity = grown_capacity(len);
            slab_handle bytes = slab_alloc(slab, capacity);
            if (!bytes) return NULL;
            memcpy(slab_ptr(slab, bytes), slab_ptr(slab, large.bytes), large.len);
            slab_free(slab, large.bytes, large.capacity);
            large.bytes = bytes;
            large.capacity = (uint32_t)capacity;
        }
        uint8_t *bytes = slab_ptr(slab, large.bytes);
        if (len > large.len) {
            memset(bytes + large.len, 0, MUTANT(string_growth_not_zeroed) ? 0 : len - large.len);
            large.len = (uint32_t)len;
        }
        memcpy(entry->value.bytes, &large, sizeof large);
        return bytes;
    }
    struct slice old = entry_string(entry, scratch);
    if (len < old.len) len = old.len;
    if (len <= ITEM_INLINE_MAX) {
        bool was_int = representation == ITEM_INT;
        if (!entry_reshape(entry, flags | (uint32_t)ITEM_RAW << 3, (uint32_t)len)) return NULL;
        if (was_int) memcpy(entry->value.bytes, scratch, old.len);
        return entry->value.bytes;
    }
    struct item_large large;
    size_t capacity = grown_capacity(len);
    if (!large_create(slab, old, capacity, &large)) return NULL;
    if (!entry_reshape(entry, flags | (uint32_t)ITEM_LARGE << 3, sizeof large)) {
        slab_free(slab, large.bytes, large.capacity);
        return NULL;
    }
    uint8_t *bytes = slab_ptr(slab, large.bytes);
    memset(bytes + old.len, 0, len - old.len);
    large.len = (uint32_t)len;
    memcpy(entry->value.bytes, &large, sizeof large);
    return bytes;
}

int mutate_string_write(struct entry *entry, uint64_t offset, struct slice bytes)
{
    uint8_t *target = make_editable(entry, offset + bytes.len);
    if (!target) return VALUE_NO_MEMORY;
    memcpy(target + offset, bytes.ptr, bytes.len);
    int64_t at = (int64_t)offset;
    struct slice args[2] = {record_int(&at), bytes};
    entry_emit(entry, RECORD_STRING_WRITE, args, 2);
    return VALUE_OK;
}

int mutate_string_prepare(struct entry *entry, uint64_t len)
{
    return make_editable(entry, len) ? VALUE_OK : VALUE_NO_MEMORY;
}

int mutate_string_add(struct entry *entry, int64_t delta, int64_t result)
{
    struct shape shape = {ITEM_INT, int_width(result), &result, result};
    int64_t deadline_ms = entry->item ? item_deadline(entry->item) : ITEM_NO_DEADLINE;
    if (!store_shape(entry, &shape, deadline_ms)) return VALUE_NO_MEMORY;
    struct slice args[2] = {record_int(&delta), record_int(&result)};
    entry_emit(entry, RECORD_STRING_ADD, args, 2);
    return VALUE_OK;
}

int mutate_string_add_float(struct entry *entry, struct slice delta, struct slice result)
{
    struct shape shape = {ITEM_LARGE, sizeof(struct item_large), NULL, 0}; /* up to 5,000 digits */
    if (result.len <= ITEM_INLINE_MAX)
        shape = (struct shape){ITEM_INLINE, (uint32_t)result.len, result.ptr, 0};
    int64_t deadline_ms = entry->item ? item_deadline(entry->item) : ITEM_NO_DEADLINE;
    if (store_value(entry, result, shape, deadline_ms) != VALUE_OK) return VALUE_NO_MEMORY;
    struct slice args[2] = {delta, result};
    entry_emit(entry, RECORD_STRING_ADD_FLOAT, args, 2);
    return VALUE_OK;
}
