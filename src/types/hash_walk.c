/* Hashes: what reads. See hash.h. */
#include "types/hash_form.h"

#include "base/hash.h"

/* ---- the table's view of field items ---- */

uint64_t hash_field_hash(struct slice field, uint64_t seed)
{
    return hash_bytes(field.ptr, field.len, seed);
}

static uint64_t item_hash(void *context, slab_handle item)
{
    const struct hash_context *hash = context;
    return hash_field_hash(hash_item_field(hash->slab, item), hash->hash_seed);
}
const struct table_type hash_table_type = {item_hash};

static bool item_matches(void *context, slab_handle item, const void *wanted)
{
    const struct hash_context *hash = context;
    return slice_equal(hash_item_field(hash->slab, item), *(const struct slice *)wanted);
}

slab_handle *hash_find_slot(const struct hash_root *root, const struct slab *slab, struct slice field,
                            uint64_t hash)
{
    struct hash_context context = {slab, root->hash_seed};
    return table_find(&root->table, slab, hash, item_matches, &context, &field);
}

static struct hash_field item_field(const struct slab *slab, slab_handle handle)
{
    struct hash_item item;
    hash_item_read(slab, handle, &item);
    return item.field;
}

/* ---- fields ---- */

uint64_t hash_count(const struct value *hash)
{
    switch (hash_form(hash)) {
    case HASH_EMPTY: return 0;
    case HASH_TABLE: return hash_root_load(hash).table.count;
    default: return hash->bytes[1];
    }
}

uint64_t hash_count_deadlines(const struct value *hash)
{
    struct hash_field field;
    uint32_t at = HASH_HEADER;
    uint64_t count = 0;
    if (hash_form(hash) == HASH_TABLE) return hash_root_load(hash).deadlines.count;
    if (hash_form(hash) != HASH_TRIPLES) return 0;
    while (hash_packed_next(hash, &at, &field)) count += field.deadline_ms != HASH_NO_DEADLINE;
    return count;
}

int64_t hash_earliest_ms(const struct value *hash)
{
    struct hash_field field;
    uint32_t at = HASH_HEADER;
    int64_t earliest_ms = INT64_MAX;
    if (hash_form(hash) == HASH_TABLE) {
        struct hash_root root = hash_root_load(hash);
        return deadlines_first(&root.deadlines, hash->slab, NULL);
    }
    if (hash_form(hash) != HASH_TRIPLES) return INT64_MAX;
    while (hash_packed_next(hash, &at, &field))
        if (field.deadline_ms != HASH_NO_DEADLINE && field.deadline_ms < earliest_ms)
            earliest_ms = field.deadline_ms;
    return earliest_ms;
}

bool hash_find(const struct value *hash, struct slice field, struct hash_field *out)
{
    if (hash_form(hash) == HASH_EMPTY) return false;
    if (hash_form(hash) != HASH_TABLE) {
        uint32_t at = packed_find(hash, HASH_HEADER, hash_stride(hash), field);
        return at != PACKED_NONE && hash_packed_next(hash, &at, out);
    }
    struct hash_root root = hash_root_load(hash);
    slab_handle *slot = hash_find_slot(&root, hash->slab, field, hash_field_hash(field, root.hash_seed));
    if (slot) *out = item_field(hash->slab, *slot);
    return slot != NULL;
}

void hash_random(const struct value *hash, struct prng *prng, struct hash_field *out)
{
    CHECK(hash_count(hash) > 0);
    if (hash_form(hash) == HASH_TABLE) {
        struct hash_root root = hash_root_load(hash);
        *out = item_field(hash->slab, *table_random(&root.table, hash->slab, prng));
        return;
    }
    uint32_t index = (uint32_t)prng_below(prng, hash->bytes[1]);
    uint32_t at = packed_skip(hash, HASH_HEADER, index * hash_stride(hash));
    hash_packed_next(hash, &at, out);
}

/* ---- walking ---- */

void hash_iter_begin(struct hash_iter *iter, const struct value *hash)
{
    iter->hash = hash;
    iter->at = HASH_HEADER;
    if (hash_form(hash) == HASH_TABLE) {
        struct hash_root root = hash_root_load(hash);
        table_iter_begin(&iter->table, &root.table, hash->slab);
    }
}

bool hash_iter_next(struct hash_iter *iter, struct hash_field *field)
{
    const struct value *hash = iter->hash;
    if (hash_form(hash) != HASH_TABLE) return hash_packed_next(hash, &iter->at, field);
    slab_handle item = table_iter_next(&iter->table);
    if (item) *field = item_field(hash->slab, item);
    return item != 0;
}

struct scan {
    const struct slab *slab;
    hash_visit *visit;
    void *context;
};

static void scan_item(void *context, slab_handle handle)
{
    const struct scan *scan = context;
    struct hash_field field = item_field(scan->slab, handle);
    scan->visit(scan->context, &field);
}

uint64_t hash_scan(const struct value *hash, uint64_t cursor, hash_visit *visit, void *context)
{
    if (hash_form(hash) == HASH_TABLE) {
        struct hash_root root = hash_root_load(hash);
        struct scan scan = {hash->slab, visit, context};
        struct hash_context fields = {hash->slab, root.hash_seed};
        return table_scan(&root.table, hash->slab, &hash_table_type, &fields, cursor, scan_item, &scan);
    }
    struct hash_iter iter;
    struct hash_field field;
    hash_iter_begin(&iter, hash);
    while (hash_iter_next(&iter, &field)) visit(context, &field);
    return 0;
}

/* ---- the whole ---- */

const char *hash_encoding(const struct value *hash)
{
    static const char *const names[] = {"listpack", "listpackex", "hashtable", "hashtable"};
    return names[hash_visible(hash)];
}

bool hash_is_hashtable(const struct value *hash)
{
    return hash_visible(hash) == HASH_VISIBLE_HASHTABLE;
}

bool hash_is_table(const struct value *hash)
{
    return hash_form(hash) == HASH_TABLE;
}

uint64_t hash_memory(const struct value *hash)
{
    if (hash_form(hash) != HASH_TABLE) return 0;
    struct hash_root root = hash_root_load(hash);
    return root.item_bytes + table_memory(&root.table) + deadlines_memory(&root.deadlines);
}

static void verify_table(const struct value *hash)
{
    struct hash_root root = hash_root_load(hash);
    struct hash_context context = {hash->slab, root.hash_seed};
    struct table_iter iter;
    struct hash_item item;
    uint64_t item_bytes = 0, deadlines = 0;
    CHECK(hash->len == HASH_TABLE_AREA);
    table_check(&root.table, hash->slab, &hash_table_type, &context);
    table_iter_begin(&iter, &root.table, hash->slab);
    for (slab_handle handle; (handle = table_iter_next(&iter)) != 0;) {
        hash_item_read(hash->slab, handle, &item);
        item_bytes += slab_rounded(item.size);
        if (!item.deadline) continue;
        slab_handle filed;
        deadlines++;
        CHECK(hash_item_place(&item) < root.deadlines.count);
        CHECK(deadlines_at(&root.deadlines, hash->slab, hash_item_place(&item), &filed) ==
              item.field.deadline_ms);
        CHECK(filed == handle);
        CHECK(deadlines_first(&root.deadlines, hash->slab, NULL) <= item.field.deadline_ms);
    }
    CHECK(root.item_bytes == item_bytes && root.deadlines.count == deadlines);
}

void hash_verify(const struct value *hash)
{
    struct hash_iter iter;
    struct hash_field field, found;
    uint64_t count = 0;
    int64_t earliest_ms = INT64_MAX;
    hash_iter_begin(&iter, hash);
    for (; hash_iter_next(&iter, &field); count++) {
        CHECK(hash_find(hash, field.field, &found) && found.field.ptr == field.field.ptr);
        CHECK(slice_equal(field.value, found.value) && field.deadline_ms == found.deadline_ms);
        if (field.deadline_ms != HASH_NO_DEADLINE && field.deadline_ms < earliest_ms)
            earliest_ms = field.deadline_ms;
    }
    CHECK(count == hash_count(hash) && earliest_ms == hash_earliest_ms(hash));
    if (hash_form(hash) == HASH_TABLE)
        verify_table(hash);
    else
        CHECK(hash->len <= VALUE_PACKED_MAX);
}
