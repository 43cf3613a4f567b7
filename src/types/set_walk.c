/* Sets: what reads. See set.h. */
#include "types/set_form.h"

#include "base/hash.h"
#include "base/number.h"

/* ---- the table's view of member items ---- */

uint64_t set_member_hash(struct slice member, uint64_t seed)
{
    return hash_bytes(member.ptr, member.len, seed);
}

static uint64_t item_hash(void *context, slab_handle item)
{
    const struct set_context *set = context;
    return set_member_hash(set_item_member(set->slab, item), set->hash_seed);
}
const struct table_type set_table_type = {item_hash};

static bool item_matches(void *context, slab_handle item, const void *wanted)
{
    const struct set_context *set = context;
    return slice_equal(set_item_member(set->slab, item), *(const struct slice *)wanted);
}

slab_handle *set_find_slot(const struct set_root *root, const struct slab *slab, struct slice member,
                           uint64_t hash)
{
    struct set_context context = {slab, root->hash_seed};
    return table_find(&root->table, slab, hash, item_matches, &context, &member);
}

/* ---- members ---- */

uint64_t set_count(const struct value *set)
{
    switch (set_form(set)) {
    case SET_INTS: return ints_count(set);
    case SET_PACKED: return set->bytes[1];
    case SET_TABLE: return set_root_load(set).table.count;
    default: return 0;
    }
}

bool set_has(const struct value *set, struct slice member)
{
    int64_t value;
    uint32_t index;
    struct set_root root;
    switch (set_form(set)) {
    case SET_INTS: return number_parse_i64(member.ptr, member.len, &value) && ints_find(set, value, &index);
    case SET_PACKED: return packed_find(set, SET_HEADER, 1, member) != PACKED_NONE;
    case SET_TABLE:
        root = set_root_load(set);
        return set_find_slot(&root, set->slab, member, set_member_hash(member, root.hash_seed)) != NULL;
    default: return false;
    }
}

static struct slice int_text(const struct value *set, uint32_t index, char *scratch)
{
    return (struct slice){scratch, number_format_i64(scratch, ints_at(set, index))};
}

struct slice set_random(const struct value *set, struct prng *prng, char *scratch)
{
    struct set_root root;
    switch (set_form(set)) {
    case SET_INTS: return int_text(set, (uint32_t)prng_below(prng, ints_count(set)), scratch);
    case SET_PACKED:
        return packed_at(set, packed_skip(set, SET_HEADER, (uint32_t)prng_below(prng, set->bytes[1])));
    default:
        root = set_root_load(set);
        CHECK(set_form(set) == SET_TABLE && root.table.count > 0);
        return set_item_member(set->slab, *table_random(&root.table, set->slab, prng));
    }
}

/* ---- walking ---- */

void set_iter_begin(struct set_iter *iter, const struct value *set)
{
    iter->set = set;
    iter->at = 0;
    if (set_form(set) == SET_PACKED) iter->at = SET_HEADER;
    if (set_form(set) == SET_TABLE) {
        struct set_root root = set_root_load(set);
        table_iter_begin(&iter->table, &root.table, set->slab);
    }
}

bool set_iter_next(struct set_iter *iter, struct slice *member)
{
    const struct value *set = iter->set;
    slab_handle item;
    switch (set_form(set)) {
    case SET_INTS:
        if (iter->at >= ints_count(set)) return false;
        *member = int_text(set, iter->at++, iter->scratch);
        return true;
    case SET_PACKED: return packed_next(set, &iter->at, member);
    case SET_TABLE:
        item = table_iter_next(&iter->table);
        if (item) *member = set_item_member(set->slab, item);
        return item != 0;
    default: return false;
    }
}

struct scan {
    const struct slab *slab;
    set_visit *visit;
    void *context;
};

static void scan_item(void *context, slab_handle item)
{
    const struct scan *scan = context;
    scan->visit(scan->context, set_item_member(scan->slab, item));
}

uint64_t set_scan(const struct value *set, uint64_t cursor, set_visit *visit, void *context)
{
    if (set_form(set) == SET_TABLE) {
        struct set_root root = set_root_load(set);
        struct scan scan = {set->slab, visit, context};
        struct set_context members = {set->slab, root.hash_seed};
        return table_scan(&root.table, set->slab, &set_table_type, &members, cursor, scan_item, &scan);
    }
    struct set_iter iter;
    struct slice member;
    set_iter_begin(&iter, set);
    while (set_iter_next(&iter, &member)) visit(context, member);
    return 0;
}

/* ---- the whole ---- */

const char *set_encoding(const struct value *set)
{
    static const char *const names[] = {"listpack", "intset", "listpack", "hashtable"};
    return names[set_visible(set)];
}

bool set_is_hashtable(const struct value *set)
{
    return set_visible(set) == SET_VISIBLE_HASHTABLE;
}

bool set_is_table(const struct value *set)
{
    return set_form(set) == SET_TABLE;
}

uint64_t set_memory(const struct value *set)
{
    if (set_form(set) != SET_TABLE) return 0;
    struct set_root root = set_root_load(set);
    return root.item_bytes + table_memory(&root.table);
}

void set_verify(const struct value *set)
{
    struct set_iter iter;
    struct slice member;
    uint64_t count = 0, item_bytes = 0;
    int64_t before = 0, value;
    set_iter_begin(&iter, set);
    while (set_iter_next(&iter, &member)) {
        count++;
        CHECK(set_has(set, member));
        item_bytes += slab_rounded(set_item_size(member));
        if (set_form(set) != SET_INTS) continue;
        CHECK(number_parse_i64(member.ptr, member.len, &value) && (count == 1 || value > before));
        before = value;
    }
    CHECK(count == set_count(set));
    CHECK(count == 0 || set_visible(set) != SET_VISIBLE_NONE);
    if (set_form(set) == SET_INTS) CHECK(set->len == INTS_HEADER + count * set->bytes[1]);
    if (set_form(set) != SET_TABLE) return;
    struct set_root root = set_root_load(set);
    struct set_context context = {set->slab, root.hash_seed};
    CHECK(set->len == SET_TABLE_AREA && root.item_bytes == item_bytes);
    table_check(&root.table, set->slab, &set_table_type, &context);
}
