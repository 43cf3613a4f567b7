/* Sets: what adds, removes, converts. Forms, encodings and costs: set.h; reading: set_walk.c. */
#include "types/set_form.h"

#include "base/mark.h"
#include "base/mutant.h"
#include "base/number.h"

#define INTS_AREA_MAX    4096u
#define PACKED_COUNT_MAX 128u

/* ---- the visible encoding, by Redis's rules ---- */

void set_prepare(struct value *set, const struct set_config *config, struct slice first, uint64_t hint)
{
    enum set_visible visible = set_visible(set);
    int64_t value;
    if (visible == SET_VISIBLE_NONE) {
        if (hint <= config->intset_entries_max && number_parse_i64(first.ptr, first.len, &value))
            visible = SET_VISIBLE_INTSET;
        else
            visible = hint <= config->listpack_entries_max ? SET_VISIBLE_LISTPACK : SET_VISIBLE_HASHTABLE;
    } else if ((visible == SET_VISIBLE_LISTPACK && hint > config->listpack_entries_max) ||
               (visible == SET_VISIBLE_INTSET && hint > config->intset_entries_max)) {
        visible = SET_VISIBLE_HASHTABLE;
    }
    set_tag_put(set, set_form(set), visible);
}

void set_start(struct value *set, bool intset)
{
    DCHECK(set_form(set) == SET_EMPTY);
    set_tag_put(set, SET_EMPTY, intset ? SET_VISIBLE_INTSET : SET_VISIBLE_LISTPACK);
}

static uint64_t intset_most(const struct set_config *config)
{
    return config->intset_entries_max < 1u << 30 ? config->intset_entries_max : 1u << 30;
}

void set_settle_integers(struct value *set, const struct set_config *config)
{
    if (set_count(set) <= intset_most(config)) set_tag_put(set, set_form(set), SET_VISIBLE_INTSET);
}

/* The longest text among the integers of an intset; an upper bound when they are not in the INTS form any
 * more. */
static size_t ints_text_max(const struct value *set)
{
    char text[SET_SCRATCH];
    if (set_form(set) != SET_INTS) return set_form(set) == SET_EMPTY ? 0 : SET_SCRATCH;
    uint32_t count = ints_count(set);
    if (count == 0) return 0;
    size_t first = number_format_i64(text, ints_at(set, 0));
    size_t last = number_format_i64(text, ints_at(set, count - 1));
    return first > last ? first : last;
}

/* The encoding once this member, which is not there, is added. */
static enum set_visible visible_with(const struct value *set, const struct set_config *config, size_t len,
                                     bool is_int)
{
    uint64_t count = set_count(set);
    bool packable = count < config->listpack_entries_max && len <= config->listpack_value_max;
    switch (set_visible(set)) {
    case SET_VISIBLE_INTSET:
        if (is_int)
            return count + !MUTANT(intset_limit) > intset_most(config) ? SET_VISIBLE_HASHTABLE
                                                                       : SET_VISIBLE_INTSET;
        packable = packable && ints_text_max(set) <= config->listpack_value_max;
        return packable ? SET_VISIBLE_LISTPACK : SET_VISIBLE_HASHTABLE;
    case SET_VISIBLE_LISTPACK: return packable ? SET_VISIBLE_LISTPACK : SET_VISIBLE_HASHTABLE;
    default: return SET_VISIBLE_HASHTABLE;
    }
}

/* ---- table ---- */

/* Adds a member that is not there. The root may have changed (grown) also when it returns VALUE_NO_MEMORY. */
static int root_add(struct set_root *root, struct slab *slab, struct slice member)
{
    size_t size = set_item_size(member);
    slab_handle item = slab_alloc(slab, size);
    if (!item) return VALUE_NO_MEMORY;
    uint8_t *bytes = varint_put(slab_ptr(slab, item), member.len);
    if (member.len) memcpy(bytes, member.ptr, member.len);
    struct set_context context = {slab, root->hash_seed};
    uint64_t hash = set_member_hash(member, root->hash_seed);
    if (!table_insert(&root->table, slab, &set_table_type, &context, hash, item)) {
        slab_free(slab, item, size);
        return VALUE_NO_MEMORY;
    }
    root->item_bytes += slab_rounded(size);
    return VALUE_OK;
}

static void root_destroy(struct set_root *root, struct slab *slab)
{
    struct table_iter iter;
    table_iter_begin(&iter, &root->table, slab);
    for (slab_handle item; (item = table_iter_next(&iter)) != 0;)
        slab_free(slab, item, set_item_size(set_item_member(slab, item)));
    table_destroy(&root->table, slab);
}

/* Adds all members of `from` and perhaps one more. All or none. */
static int root_add_all(struct set_root *root, struct slab *slab, const struct value *from,
                        const struct slice *more)
{
    struct set_iter iter;
    struct slice member;
    int error = VALUE_OK;
    set_iter_begin(&iter, from);
    while (error == VALUE_OK && set_iter_next(&iter, &member)) error = root_add(root, slab, member);
    if (error == VALUE_OK && more) error = root_add(root, slab, *more);
    if (error != VALUE_OK) root_destroy(root, slab);
    return error;
}

static int convert_to_table(struct value *set, const struct set_config *config, struct slice member)
{
    struct set_root root = {.hash_seed = config->hash_seed};
    enum set_visible visible = set_visible(set);
    if (root_add_all(&root, set->slab, set, &member) != VALUE_OK) return VALUE_NO_MEMORY;
    if (!set->resize(set, SET_TABLE_AREA)) {
        root_destroy(&root, set->slab);
        return VALUE_NO_MEMORY;
    }
    MARK("set.becomes_table");
    set_tag_put(set, SET_TABLE, visible);
    set_root_store(set, &root);
    return VALUE_OK;
}

static int table_add(struct value *set, struct slice member)
{
    struct set_root root = set_root_load(set);
    int error = root_add(&root, set->slab, member);
    set_root_store(set, &root);
    return error;
}

/* ---- small forms ---- */

static int packed_add(struct value *set, const struct set_config *config, struct slice member)
{
    uint32_t count = set->bytes[1];
    if (count == PACKED_COUNT_MAX || set->len + set_item_size(member) > VALUE_PACKED_MAX)
        return convert_to_table(set, config, member);
    if (!packed_insert(set, set->len, &member, 1)) return VALUE_NO_MEMORY;
    set->bytes[1] = (uint8_t)(count + 1);
    return VALUE_OK;
}

/* The integers become texts, and a member that is no integer joins them. */
static int convert_to_packed(struct value *set, const struct set_config *config, struct slice member)
{
    uint8_t text[PACKED_COUNT_MAX * (1 + SET_SCRATCH)];
    uint32_t count = ints_count(set), len = SET_HEADER;
    enum set_visible visible = set_visible(set);
    if (count >= PACKED_COUNT_MAX) return convert_to_table(set, config, member);
    for (uint32_t i = 0; i < count; i++) {
        size_t digits = number_format_i64((char *)text + len - SET_HEADER + 1, ints_at(set, i));
        text[len - SET_HEADER] = (uint8_t)digits;
        len += 1 + (uint32_t)digits;
    }
    if (len + set_item_size(member) > VALUE_PACKED_MAX) return convert_to_table(set, config, member);
    if (!set->resize(set, len + (uint32_t)set_item_size(member))) return VALUE_NO_MEMORY;
    memcpy(set->bytes + SET_HEADER, text, len - SET_HEADER);
    uint8_t *end = varint_put(set->bytes + len, member.len);
    if (member.len) memcpy(end, member.ptr, member.len);
    set_tag_put(set, SET_PACKED, visible);
    set->bytes[1] = (uint8_t)(count + 1);
    return VALUE_OK;
}

static int ints_add(struct value *set, const struct set_config *config, struct slice member,
                    const int64_t *value)
{
    uint32_t index;
    if (!value) return convert_to_packed(set, config, member);
    if (ints_len_with(set, *value) > INTS_AREA_MAX) return convert_to_table(set, config, member);
    ints_find(set, *value, &index);
    return ints_insert(set, index, *value) ? VALUE_OK : VALUE_NO_MEMORY;
}

/* The first member decides about the form. */
static int empty_add(struct value *set, const struct set_config *config, struct slice member,
                     const int64_t *value)
{
    enum set_visible visible = set_visible(set);
    uint32_t len = set->len;
    if (!set->resize(set, SET_HEADER)) return VALUE_NO_MEMORY;
    set_tag_put(set, value ? SET_INTS : SET_PACKED, visible);
    set->bytes[1] = value ? 2 : 0;
    int error = value ? ints_add(set, config, member, value) : packed_add(set, config, member);
    if (error != VALUE_OK) {
        set_tag_put(set, SET_EMPTY, visible);
        bool shrunk = len > SET_HEADER || set->resize(set, len);
        CHECK(shrunk);
    }
    return error;
}

int set_add(struct value *set, const struct set_config *config, struct slice member, bool *added)
{
    int64_t number, *value = number_parse_i64(member.ptr, member.len, &number) ? &number : NULL;
    int error = VALUE_OK;
    *added = false;
    if (set_has(set, member)) return VALUE_OK;
    enum set_visible before = set_visible(set);
    if (before == SET_VISIBLE_NONE) set_prepare(set, config, member, 1);
    enum set_visible visible = visible_with(set, config, member.len, value != NULL);
    switch (set_form(set)) {
    case SET_EMPTY: error = empty_add(set, config, member, value); break;
    case SET_INTS: error = ints_add(set, config, member, value); break;
    case SET_PACKED: error = packed_add(set, config, member); break;
    case SET_TABLE: error = table_add(set, member); break;
    }
    set_tag_put(set, set_form(set), error == VALUE_OK ? visible : before);
    *added = error == VALUE_OK;
    return error;
}

/* ---- removal ---- */

static bool table_take(struct value *set, struct slice member)
{
    struct set_root root = set_root_load(set);
    uint64_t hash = set_member_hash(member, root.hash_seed);
    slab_handle *slot = set_find_slot(&root, set->slab, member, hash);
    if (!slot) return false;
    slab_handle item = *slot;
    size_t size = set_item_size(set_item_member(set->slab, item));
    struct set_context context = {set->slab, root.hash_seed};
    table_remove(&root.table, set->slab, &set_table_type, &context, hash, slot);
    slab_free(set->slab, item, size); /* `member` may be this item: not used any more */
    root.item_bytes -= slab_rounded(size);
    set_root_store(set, &root);
    return true;
}

bool set_remove(struct value *set, struct slice member)
{
    int64_t value;
    uint32_t at;
    switch (set_form(set)) {
    case SET_INTS:
        if (!number_parse_i64(member.ptr, member.len, &value) || !ints_find(set, value, &at)) return false;
        ints_remove(set, at);
        return true;
    case SET_PACKED:
        at = packed_find(set, SET_HEADER, 1, member);
        if (at == PACKED_NONE) return false;
        packed_delete(set, at, 1);
        set->bytes[1]--;
        return true;
    case SET_TABLE: return table_take(set, member);
    default: return false;
    }
}

/* ---- the whole ---- */

int set_copy(const struct value *set, struct value *copy)
{
    DCHECK(set_form(copy) == SET_EMPTY);
    if (set_form(set) != SET_TABLE) {
        if (!copy->resize(copy, set->len)) return VALUE_NO_MEMORY;
        memcpy(copy->bytes, set->bytes, set->len);
        return VALUE_OK;
    }
    struct set_root root = {.hash_seed = set_root_load(set).hash_seed};
    if (root_add_all(&root, copy->slab, set, NULL) != VALUE_OK) return VALUE_NO_MEMORY;
    if (!copy->resize(copy, SET_TABLE_AREA)) {
        root_destroy(&root, copy->slab);
        return VALUE_NO_MEMORY;
    }
    set_tag_put(copy, SET_TABLE, set_visible(set));
    set_root_store(copy, &root);
    return VALUE_OK;
}

void set_free(struct value *set)
{
    if (set_form(set) == SET_TABLE) {
        struct set_root root = set_root_load(set);
        root_destroy(&root, set->slab);
    }
    set_tag_put(set, SET_EMPTY, SET_VISIBLE_NONE);
}

static void free_member(void *context, slab_handle item)
{
    struct slab *slab = context;
    slab_free(slab, item, set_item_size(set_item_member(slab, item)));
}

bool set_free_some(struct value *set, uint32_t *cursor, uint32_t *work)
{
    if (set_form(set) != SET_TABLE) return true;
    struct set_root root = set_root_load(set);
    bool done = table_free_some(&root.table, set->slab, cursor, free_member, set->slab, work);
    set_root_store(set, &root);
    return done;
}
