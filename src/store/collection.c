/* What differs by type of collection: one switch each. */
#include "store/internal.h"

#include "store/build.h"
#include "types/hash.h"
#include "types/list.h"
#include "types/set.h"
#include "types/stream.h"
#include "types/zset.h"

/* The types read values through a const pointer; an entry's is its first member. */

void collection_free(struct entry *entry)
{
    switch (item_type(entry->item)) {
    case ITEM_LIST: list_free(&entry->value); break;
    case ITEM_SET: set_free(&entry->value); break;
    case ITEM_ZSET: zset_free(&entry->value); break;
    case ITEM_HASH: hash_free(&entry->value); break;
    case ITEM_STREAM: stream_free(&entry->value); break;
    default: CHECK(!"a collection");
    }
}

int collection_store_copy(const struct entry *from, struct entry *to)
{
    static void (*const frees[])(struct value * value) = {[ITEM_LIST] = list_free,
                                                          [ITEM_SET] = set_free,
                                                          [ITEM_ZSET] = zset_free,
                                                          [ITEM_HASH] = hash_free,
                                                          [ITEM_STREAM] = stream_free};
    enum item_type type = item_type(from->item);
    struct build build;
    int result = VALUE_NO_MEMORY;
    build_begin(&build, to->partition, type, type == ITEM_STREAM ? STREAM_EMPTY_AREA : 1, frees[type]);
    switch (type) {
    case ITEM_LIST: result = list_copy(&from->value, &build.value); break;
    case ITEM_SET: result = set_copy(&from->value, &build.value); break;
    case ITEM_ZSET: result = zset_copy(&from->value, &build.value); break;
    case ITEM_HASH: result = hash_copy(&from->value, &build.value); break;
    case ITEM_STREAM: result = stream_copy(&from->value, &build.value); break;
    default: CHECK(!"a collection");
    }
    if (result == VALUE_OK) result = build_store_until(&build, to, item_deadline(from->item));
    if (result != VALUE_OK) build_drop(&build);
    return result;
}

uint64_t collection_count(const struct entry *entry)
{
    switch (item_type(entry->item)) {
    case ITEM_LIST: return list_count(&entry->value);
    case ITEM_SET: return set_count(&entry->value);
    case ITEM_ZSET: return zset_count(&entry->value);
    case ITEM_HASH: return hash_count(&entry->value);
    case ITEM_STREAM: return stream_count(&entry->value);
    default: CHECK(!"a collection"); return 0;
    }
}

size_t collection_memory(const struct entry *entry)
{
    switch (item_type(entry->item)) {
    case ITEM_LIST: return list_memory(&entry->value);
    case ITEM_SET: return set_memory(&entry->value);
    case ITEM_ZSET: return zset_memory(&entry->value);
    case ITEM_HASH: return hash_memory(&entry->value);
    case ITEM_STREAM: return stream_memory(&entry->value);
    default: CHECK(!"a collection"); return 0;
    }
}

const char *collection_encoding(const struct entry *entry)
{
    switch (item_type(entry->item)) {
    case ITEM_LIST: return list_is_quicklist(&entry->value) ? "quicklist" : "listpack";
    case ITEM_SET: return set_encoding(&entry->value);
    case ITEM_ZSET: return zset_is_skiplist(&entry->value) ? "skiplist" : "listpack";
    case ITEM_HASH: return hash_encoding(&entry->value);
    case ITEM_STREAM: return "stream";
    default: CHECK(!"a collection"); return NULL;
    }
}

int64_t collection_earliest_ms(const struct entry *entry)
{
    if (item_type(entry->item) != ITEM_HASH) return INT64_MAX;
    return hash_earliest_ms(&entry->value);
}
