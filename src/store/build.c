/* build: collections that take a key's place whole. See build.h. */
#include "store/build.h"

#include "base/mutant.h"
#include "store/internal.h"
#include "types/hash.h"

static bool resize_build(struct value *value, uint32_t len)
{
    struct build *build = (struct build *)value;
    if (len > BUILD_AREA_MAX) return false;
    if (len > value->len) memset(build->area + value->len, 0, len - value->len);
    value->len = len;
    return true;
}

void build_begin(struct build *build, struct partition *partition, enum item_type type, uint32_t area_len,
                 void (*free)(struct value *value))
{
    CHECK(area_len <= BUILD_AREA_MAX);
    build->type = type;
    build->free = free;
    memset(build->area, 0, area_len);
    build->value = (struct value){
        .slab = &partition->slab, .bytes = build->area, .len = area_len, .resize = resize_build};
}

void build_drop(struct build *build)
{
    build->free(&build->value);
}

/* Swaps the present item for one that has room for the build, filed at `file_ms`; the old value goes only
 * when the new item is there. */
static bool replace_item(struct entry *entry, const struct build *build, int64_t file_ms)
{
    struct partition *partition = entry->partition;
    struct slab *slab = &partition->slab;
    struct item *old = entry->item;
    struct slice name = item_key(old);
    bool filed = file_ms != ITEM_NO_DEADLINE, had = item_deadline(old) != ITEM_NO_DEADLINE;
    if (filed && !wheel_prepare(&partition->wheel, slab, partition->env->now_ms)) return false;
    uint32_t len = build->value.len;
    uint32_t header =
        item_header(build->type, ITEM_COLLECTION, name.len, len) | (filed ? ITEM_HAS_EXPIRY : 0);
    slab_handle handle = slab_alloc(slab, sizeof(struct item) + item_key_offset(header) + name.len + len);
    if (!handle) return false;
    struct item *item = slab_ptr(slab, handle);
    item_init(item, header, name.len, len);
    memcpy(item->rest + item_key_offset(header), name.ptr, name.len);
    if (filed) item_expiry_put(item, (struct item_expiry){.deadline_ms = file_ms});
    partition_keyspace(partition, entry->key.db)->expires += (uint32_t)filed - (uint32_t)had;
    entry_free_value(entry); /* may move the old item: it is not `old` from here on */
    if (item_has_expiry(entry->item)) wheel_remove(&partition->wheel, slab, *entry->slot);
    slab_free(slab, *entry->slot, item_size(entry->item));
    *entry->slot = handle;
    entry->item = item;
    entry_refresh(entry);
    if (filed) partition_file(partition, handle, file_ms);
    return true;
}

int build_store_until(struct build *build, struct entry *entry, int64_t deadline_ms)
{
    CHECK(build->value.slab == &entry->partition->slab);
    /* A hash whose fields have deadlines needs its place in the wheel even if the key has none. */
    int64_t file_ms = deadline_ms, earliest_ms = INT64_MAX;
    if (build->type == ITEM_HASH) earliest_ms = hash_earliest_ms(&build->value);
    if (earliest_ms != INT64_MAX && deadline_ms == ITEM_NO_DEADLINE) file_ms = earliest_ms;
    bool placed = entry->item ? replace_item(entry, build, file_ms)
                              : entry_insert(entry, build->type, ITEM_COLLECTION, build->value.len, file_ms);
    if (!placed) return VALUE_NO_MEMORY;
    memcpy(entry->value.bytes, build->area, build->value.len);
    entry_count_timed_hash(entry, false);
    if (earliest_ms != INT64_MAX && !MUTANT(copy_field_ttl_on_key))
        CHECK(entry_set_deadline(entry, deadline_ms));
    mutate_key_stored(entry);
    return VALUE_OK;
}

int build_store(struct build *build, struct entry *entry)
{
    return build_store_until(build, entry, ITEM_NO_DEADLINE);
}
