/* Hashes: what sets, removes, converts. Forms, encodings and costs: hash.h; reading: hash_walk.c. */
#include "types/hash_form.h"

#include "base/mark.h"
#include "base/mutant.h"
#define PACKED_COUNT_MAX 128u

/* ---- the visible encoding, by Redis's rules ---- */

void hash_prepare(struct value *hash, const struct hash_config *config, const struct slice *texts,
                  uint64_t count)
{
    bool large = count / 2 > config->listpack_entries_max;
    for (uint64_t i = 0; i < count && !large; i++) large = texts[i].len > config->listpack_value_max;
    if (large) hash_tag_put(hash, hash_form(hash), HASH_VISIBLE_HASHTABLE);
}

void hash_prepare_deadlines(struct value *hash)
{
    if (hash_visible(hash) == HASH_VISIBLE_LISTPACK)
        hash_tag_put(hash, hash_form(hash), HASH_VISIBLE_LISTPACKEX);
}

/* The encoding once the field is set, and then the hash holds `count` fields. */
static enum hash_visible visible_with(enum hash_visible visible, const struct hash_config *config,
                                      size_t field_len, size_t value_len, bool deadline, uint64_t count)
{
    if (visible == HASH_VISIBLE_LISTPACK && deadline) visible = HASH_VISIBLE_LISTPACKEX;
    if (field_len > config->listpack_value_max || value_len > config->listpack_value_max ||
        count > config->listpack_entries_max)
        visible = HASH_VISIBLE_HASHTABLE;
    return visible;
}

/* ---- field items ---- */

static void item_moved(struct slab *slab, slab_handle handle, uint32_t place)
{
    struct hash_item item;
    hash_item_read(slab, handle, &item);
    memcpy(item.deadline + 6, &place, 4);
}

/* Writes an item; its place in the heap is set later. */
static void item_write(uint8_t *to, const struct hash_field *field)
{
    bool has_deadline = field->deadline_ms != HASH_NO_DEADLINE;
    *to++ = has_deadline ? HASH_ITEM_HAS_DEADLINE : 0;
    to = varint_put(to, field->field.len);
    to = varint_put(to, field->value.len);
    if (has_deadline) {
        hash_deadline_put(to, field->deadline_ms);
        to += HASH_ITEM_DEADLINE;
    }
    if (field->field.len) memcpy(to, field->field.ptr, field->field.len);
    if (field->value.len) memcpy(to + field->field.len, field->value.ptr, field->value.len);
}

static size_t item_size_of(const struct hash_field *field)
{
    return hash_item_size(field->field.len, field->value.len, field->deadline_ms != HASH_NO_DEADLINE);
}

/* ---- table ---- */

/* Adds a field that is not there. The root may have changed (grown) also when it returns VALUE_NO_MEMORY. */
static int root_add(struct hash_root *root, struct slab *slab, const struct hash_field *field)
{
    struct hash_context context = {slab, root->hash_seed};
    size_t size = item_size_of(field);
    slab_handle handle = slab_alloc(slab, size);
    if (!handle) return VALUE_NO_MEMORY;
    item_write(slab_ptr(slab, handle), field);
    uint64_t hash = hash_field_hash(field->field, root->hash_seed);
    slab_handle *slot = table_insert(&root->table, slab, &hash_table_type, &context, hash, handle);
    bool filed = slot && (field->deadline_ms == HASH_NO_DEADLINE ||
                          deadlines_add(&root->deadlines, slab, item_moved, field->deadline_ms, handle));
    if (!filed) {
        if (slot) table_remove(&root->table, slab, &hash_table_type, &context, hash, slot);
        slab_free(slab, handle, size);
        return VALUE_NO_MEMORY;
    }
    root->item_bytes += slab_rounded(size);
    return VALUE_OK;
}

/* Puts `field` in the place of the item in `slot`, whose name it has. */
static int root_replace(struct hash_root *root, struct slab *slab, slab_handle *slot,
                        const struct hash_field *field)
{
    struct hash_item old;
    slab_handle handle = *slot;
    hash_item_read(slab, handle, &old);
    size_t size = item_size_of(field), old_rounded = slab_rounded(old.size), rounded = slab_rounded(size);
    bool has = field->deadline_ms != HASH_NO_DEADLINE, had = old.deadline != NULL;
    uint32_t place = had ? hash_item_place(&old) : 0;
    if (has == had && rounded == old_rounded) {
        struct hash_field fresh = *field;
        fresh.field = old.field.field; /* stays where it is, or moves by a byte of the value's length */
        uint8_t *begin = slab_ptr(slab, handle);
        size_t head = size - field->field.len - field->value.len;
        memmove(begin + head, fresh.field.ptr, fresh.field.len);
        fresh.field.ptr = (const char *)begin + head;
        item_write(begin, &fresh);
        if (has) memcpy(begin + head - 4, &place, 4);
    } else {
        /* Only growing may fail. */
        slab_handle fresh = rounded <= old_rounded ? slab_alloc_smaller(slab, size) : slab_alloc(slab, size);
        if (!fresh) return VALUE_NO_MEMORY;
        item_write(slab_ptr(slab, fresh), field);
        if (has && !had && !deadlines_add(&root->deadlines, slab, item_moved, field->deadline_ms, fresh)) {
            slab_free(slab, fresh, size);
            return VALUE_NO_MEMORY;
        }
        if (has && had) {
            deadlines_rename(&root->deadlines, slab, place, fresh);
            item_moved(slab, fresh, place);
        }
        if (had && !has) deadlines_remove(&root->deadlines, slab, item_moved, place);
        slab_free(slab, handle, old.size);
        table_replace(slot, fresh);
    }
    if (has && had && field->deadline_ms != old.field.deadline_ms)
        deadlines_change(&root->deadlines, slab, item_moved, place, field->deadline_ms);
    if (!MUTANT(hash_bytes_drift)) root->item_bytes += rounded - old_rounded;
    return VALUE_OK;
}

static void root_take(struct hash_root *root, struct slab *slab, slab_handle *slot, uint64_t hash)
{
    struct hash_context context = {slab, root->hash_seed};
    struct hash_item item;
    slab_handle handle = *slot;
    hash_item_read(slab, handle, &item);
    if (item.deadline) deadlines_remove(&root->deadlines, slab, item_moved, hash_item_place(&item));
    table_remove(&root->table, slab, &hash_table_type, &context, hash, slot);
    slab_free(slab, handle, item.size);
    root->item_bytes -= slab_rounded(item.size);
}

static void root_destroy(struct hash_root *root, struct slab *slab)
{
    struct table_iter iter;
    struct hash_item item;
    deadlines_destroy(&root->deadlines, slab);
    table_iter_begin(&iter, &root->table, slab);
    for (slab_handle handle; (handle = table_iter_next(&iter)) != 0;) {
        hash_item_read(slab, handle, &item);
        slab_free(slab, handle, item.size);
    }
    table_destroy(&root->table, slab);
}

/* Adds all fields of `from`; all or none. */
static int root_add_all(struct hash_root *root, struct slab *slab, const struct value *from)
{
    struct hash_iter iter;
    struct hash_field field;
    hash_iter_begin(&iter, from);
    while (hash_iter_next(&iter, &field)) {
        if (root_add(root, slab, &field) == VALUE_OK) continue;
        root_destroy(root, slab);
        return VALUE_NO_MEMORY;
    }
    return VALUE_OK;
}

/* Sets a field that was found at `slot` or not (NULL). */
static int root_set(struct hash_root *root, struct slab *slab, const struct hash_field *field)
{
    slab_handle *slot =
        hash_find_slot(root, slab, field->field, hash_field_hash(field->field, root->hash_seed));
    return slot ? root_replace(root, slab, slot, field) : root_add(root, slab, field);
}

static int table_set(struct value *hash, const struct hash_field *field)
{
    struct hash_root root = hash_root_load(hash);
    int error = root_set(&root, hash->slab, field);
    hash_root_store(hash, &root);
    return error;
}

/* A packed hash becomes a table, with one field set. */
static int convert_to_table(struct value *hash, const struct hash_config *config,
                            const struct hash_field *field)
{
    struct hash_root root = {.hash_seed = config->hash_seed};
    enum hash_visible visible = hash_visible(hash);
    if (root_add_all(&root, hash->slab, hash) != VALUE_OK) return VALUE_NO_MEMORY;
    if (root_set(&root, hash->slab, field) != VALUE_OK || !hash->resize(hash, HASH_TABLE_AREA)) {
        root_destroy(&root, hash->slab);
        return VALUE_NO_MEMORY;
    }
    MARK("hash.becomes_table");
    hash_tag_put(hash, HASH_TABLE, visible);
    hash_root_store(hash, &root);
    return VALUE_OK;
}

/* ---- packed ---- */

/* Each pair gets an empty deadline. */
static int convert_to_triples(struct value *hash)
{
    uint32_t count = hash->bytes[1], old_len = hash->len, from = HASH_HEADER, to = HASH_HEADER;
    uint8_t copy[VALUE_PACKED_MAX];
    if (!hash->resize(hash, old_len + count)) return VALUE_NO_MEMORY;
    memcpy(copy, hash->bytes, old_len);
    while (from < old_len) {
        struct slice entry;
        uint32_t end = packed_read(copy, packed_read(copy, from, &entry), &entry);
        memcpy(hash->bytes + to, copy + from, end - from);
        to += end - from;
        hash->bytes[to++] = 0;
        from = end;
    }
    DCHECK(to == hash->len);
    hash_tag_put(hash, HASH_TRIPLES, hash_visible(hash));
    return VALUE_OK;
}

/* Sets a field in a packed form; `at` is where it is, or PACKED_NONE. The caller has seen to the size. */
static int packed_set(struct value *hash, uint32_t at, const struct hash_field *field)
{
    uint8_t deadline[6];
    struct slice entries[3] = {field->field, field->value, {(const char *)deadline, 0}};
    uint32_t stride = hash_stride(hash), old_len = hash->len;
    if (field->deadline_ms != HASH_NO_DEADLINE) {
        hash_deadline_put(deadline, field->deadline_ms);
        entries[2].len = sizeof(deadline);
    }
    if (at == PACKED_NONE) {
        if (!packed_insert(hash, old_len, entries, stride)) return VALUE_NO_MEMORY;
        hash->bytes[1]++;
        return VALUE_OK;
    }
    at = packed_skip(hash, at, 1);
    if (stride == 2) return packed_replace(hash, at, entries[1]) ? VALUE_OK : VALUE_NO_MEMORY;
    /* Value and deadline together: the new ones go in before the old ones go out, so that nothing is half
     * done. */
    uint32_t end = packed_skip(hash, at, 2);
    if (!packed_insert(hash, end, entries + 1, 2)) return VALUE_NO_MEMORY;
    packed_delete_range(hash, at, end);
    return VALUE_OK;
}

/* The area's length once the field is set. */
static uint64_t packed_len_with(const struct value *hash, uint32_t at, const struct hash_field *field,
                                bool triples)
{
    uint64_t len = hash->len;
    uint32_t deadline = field->deadline_ms == HASH_NO_DEADLINE ? 1 : 7;
    if (triples && hash_form(hash) == HASH_PAIRS) len += hash->bytes[1];
    if (at == PACKED_NONE)
        return len + packed_entry_size(field->field.len) + packed_entry_size(field->value.len) + deadline;
    return len + packed_entry_size(field->value.len) +
           deadline; /* as long as old and new stand side by side */
}

static int small_set(struct value *hash, const struct hash_config *config, const struct hash_field *field)
{
    if (hash_form(hash) == HASH_EMPTY) {
        enum hash_visible visible = hash_visible(hash);
        if (!hash->resize(hash, HASH_HEADER)) return VALUE_NO_MEMORY;
        hash_tag_put(hash, HASH_PAIRS, visible);
        hash->bytes[1] = 0;
    }
    uint32_t at = packed_find(hash, HASH_HEADER, hash_stride(hash), field->field);
    bool triples = field->deadline_ms != HASH_NO_DEADLINE || hash_form(hash) == HASH_TRIPLES;
    if ((at == PACKED_NONE && hash->bytes[1] == PACKED_COUNT_MAX) ||
        packed_len_with(hash, at, field, triples) > VALUE_PACKED_MAX)
        return convert_to_table(hash, config, field);
    if (triples && hash_form(hash) == HASH_PAIRS) {
        /* TRIPLES without a deadline are a valid state: if the next step fails, only the form has changed. */
        if (convert_to_triples(hash) != VALUE_OK) return VALUE_NO_MEMORY;
        at = packed_find(hash, HASH_HEADER, 3, field->field);
    }
    return packed_set(hash, at, field);
}

/* ---- contract ---- */

static int set_field(struct value *hash, const struct hash_config *config, const struct hash_field *field)
{
    return hash_form(hash) == HASH_TABLE ? table_set(hash, field) : small_set(hash, config, field);
}

int hash_set(struct value *hash, const struct hash_config *config, struct slice field, struct slice value,
             int64_t deadline_ms, bool *created)
{
    struct hash_field old, new = {field, value, deadline_ms};
    bool exists = hash_find(hash, field, &old);
    enum hash_visible before = hash_visible(hash);
    if (deadline_ms == HASH_KEEP_DEADLINE || (MUTANT(hset_keeps_ttl) && deadline_ms == HASH_NO_DEADLINE))
        new.deadline_ms = exists ? old.deadline_ms : HASH_NO_DEADLINE;
    *created = !exists;
    int error = set_field(hash, config, &new);
    if (error == VALUE_OK)
        hash_tag_put(hash, hash_form(hash),
                     visible_with(before, config, field.len, value.len, new.deadline_ms != HASH_NO_DEADLINE,
                                  hash_count(hash)));
    return error;
}

/* In a packed form: replaces the deadline entry. */
static int packed_set_deadline(struct value *hash, const struct hash_config *config, struct slice field,
                               int64_t deadline_ms)
{
    uint8_t bytes[6];
    struct slice entry = {(const char *)bytes, 0};
    struct hash_field whole;
    bool has = deadline_ms != HASH_NO_DEADLINE, pairs = hash_form(hash) == HASH_PAIRS;
    CHECK(hash_find(hash, field, &whole));
    if (pairs && !has) return VALUE_OK;
    if (has && hash->len + (pairs ? hash->bytes[1] : 0) + sizeof(bytes) > VALUE_PACKED_MAX) {
        whole.deadline_ms = deadline_ms;
        return convert_to_table(hash, config, &whole);
    }
    if (pairs && convert_to_triples(hash) != VALUE_OK) return VALUE_NO_MEMORY;
    uint32_t at = packed_find(hash, HASH_HEADER, 3, field);
    if (has) {
        hash_deadline_put(bytes, deadline_ms);
        entry.len = sizeof(bytes);
    }
    return packed_replace(hash, packed_skip(hash, at, 2), entry) ? VALUE_OK : VALUE_NO_MEMORY;
}

static int table_set_deadline(struct value *hash, struct slice field, int64_t deadline_ms)
{
    struct hash_root root = hash_root_load(hash);
    struct hash_item item;
    slab_handle *slot = hash_find_slot(&root, hash->slab, field, hash_field_hash(field, root.hash_seed));
    CHECK(slot);
    hash_item_read(hash->slab, *slot, &item);
    int error = VALUE_OK;
    if (item.deadline && deadline_ms != HASH_NO_DEADLINE) {
        hash_deadline_put(item.deadline, deadline_ms);
        deadlines_change(&root.deadlines, hash->slab, item_moved, hash_item_place(&item), deadline_ms);
    } else if (item.deadline || deadline_ms != HASH_NO_DEADLINE) {
        struct hash_field changed = item.field;
        changed.deadline_ms = deadline_ms;
        error = root_replace(&root, hash->slab, slot, &changed);
    }
    hash_root_store(hash, &root);
    return error;
}

int hash_set_deadline(struct value *hash, const struct hash_config *config, struct slice field,
                      int64_t deadline_ms)
{
    bool table = hash_form(hash) == HASH_TABLE, has = deadline_ms != HASH_NO_DEADLINE;
    enum hash_visible visible = hash_visible(hash);
    int error = table ? table_set_deadline(hash, field, deadline_ms)
                      : packed_set_deadline(hash, config, field, deadline_ms);
    if (error == VALUE_OK && has && visible == HASH_VISIBLE_LISTPACK)
        hash_tag_put(hash, hash_form(hash), HASH_VISIBLE_LISTPACKEX);
    return error;
}

bool hash_remove(struct value *hash, struct slice field)
{
    if (hash_form(hash) == HASH_EMPTY) return false;
    if (hash_form(hash) != HASH_TABLE) {
        uint32_t at = packed_find(hash, HASH_HEADER, hash_stride(hash), field);
        if (at == PACKED_NONE) return false;
        packed_delete(hash, at, hash_stride(hash));
        hash->bytes[1]--;
        return true;
    }
    struct hash_root root = hash_root_load(hash);
    uint64_t code = hash_field_hash(field, root.hash_seed);
    slab_handle *slot = hash_find_slot(&root, hash->slab, field, code);
    if (!slot) return false;
    root_take(&root, hash->slab, slot, code); /* `field` may have been this item's: not used any more */
    hash_root_store(hash, &root);
    return true;
}

/* ---- expiry ---- */

static uint32_t packed_expire(struct value *hash, int64_t now_ms, uint32_t most, hash_visit *visit,
                              void *context)
{
    struct hash_field field;
    uint32_t at = HASH_HEADER, next = at, done = 0;
    if (hash_form(hash) != HASH_TRIPLES) return 0;
    while (done < most && hash_packed_next(hash, &next, &field)) {
        if (hash_field_is_due(&field, now_ms)) {
            visit(context, &field);
            packed_delete_range(hash, at, next);
            hash->bytes[1]--;
            done++;
            next = at;
        }
        at = next;
    }
    return done;
}

uint32_t hash_expire(struct value *hash, int64_t now_ms, uint32_t most, hash_visit *visit, void *context)
{
    if (hash_form(hash) != HASH_TABLE) return packed_expire(hash, now_ms, most, visit, context);
    struct hash_root root = hash_root_load(hash);
    struct hash_item item;
    slab_handle handle;
    uint32_t done = 0;
    for (; done < most && deadlines_first(&root.deadlines, hash->slab, &handle) < now_ms; done++) {
        hash_item_read(hash->slab, handle, &item);
        visit(context, &item.field);
        uint64_t code = hash_field_hash(item.field.field, root.hash_seed);
        root_take(&root, hash->slab, hash_find_slot(&root, hash->slab, item.field.field, code), code);
        hash_root_store(hash, &root);
    }
    return done;
}

/* ---- the whole ---- */

int hash_copy(const struct value *hash, struct value *copy)
{
    DCHECK(hash_count(copy) == 0);
    if (hash_form(hash) != HASH_TABLE) {
        if (!copy->resize(copy, hash->len)) return VALUE_NO_MEMORY;
        memcpy(copy->bytes, hash->bytes, hash->len);
        return VALUE_OK;
    }
    struct hash_root root = {.hash_seed = hash_root_load(hash).hash_seed};
    if (root_add_all(&root, copy->slab, hash) != VALUE_OK) return VALUE_NO_MEMORY;
    if (!copy->resize(copy, HASH_TABLE_AREA)) {
        root_destroy(&root, copy->slab);
        return VALUE_NO_MEMORY;
    }
    hash_tag_put(copy, HASH_TABLE, hash_visible(hash));
    hash_root_store(copy, &root);
    return VALUE_OK;
}

void hash_free(struct value *hash)
{
    if (hash_form(hash) == HASH_TABLE) {
        struct hash_root root = hash_root_load(hash);
        root_destroy(&root, hash->slab);
    }
    hash_tag_put(hash, HASH_EMPTY, HASH_VISIBLE_LISTPACK);
}

static void free_item(void *context, slab_handle handle)
{
    struct slab *slab = context;
    struct hash_item item;
    hash_item_read(slab, handle, &item);
    slab_free(slab, handle, item.size);
}

bool hash_free_some(struct value *hash, uint32_t *cursor, uint32_t *work)
{
    if (hash_form(hash) != HASH_TABLE) return true;
    struct hash_root root = hash_root_load(hash);
    bool done = deadlines_free_some(&root.deadlines, hash->slab, work) &&
                table_free_some(&root.table, hash->slab, cursor, free_item, hash->slab, work);
    hash_root_store(hash, &root);
    return done;
}
