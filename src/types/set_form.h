/* What the files of the set share and nobody else includes: tag, root, member items. */
#ifndef WEFT_TYPES_SET_FORM_H
#define WEFT_TYPES_SET_FORM_H

#include "base/varint.h"
#include "types/ints.h"
#include "types/packed.h"
#include "types/set.h"

enum set_form { SET_EMPTY, SET_INTS, SET_PACKED, SET_TABLE };
enum set_visible { SET_VISIBLE_NONE, SET_VISIBLE_INTSET, SET_VISIBLE_LISTPACK, SET_VISIBLE_HASHTABLE };

#define SET_HEADER 2u /* of INTS and PACKED: tag; width or count */

/* TABLE: behind the tag, unaligned. */
struct set_root {
    struct table table;
    uint64_t hash_seed;
    uint64_t item_bytes; /* what the member items take in the slab */
};
#define SET_TABLE_AREA (1u + (uint32_t)sizeof(struct set_root))

static inline enum set_form set_form(const struct value *set)
{
    return set->bytes[0] & 3;
}
static inline enum set_visible set_visible(const struct value *set)
{
    return (set->bytes[0] >> 2) & 3;
}
static inline void set_tag_put(struct value *set, enum set_form form, enum set_visible visible)
{
    set->bytes[0] = (uint8_t)(form | visible << 2);
}
static inline struct set_root set_root_load(const struct value *set)
{
    struct set_root root;
    memcpy(&root, set->bytes + 1, sizeof(root));
    return root;
}
static inline void set_root_store(struct value *set, const struct set_root *root)
{
    memcpy(set->bytes + 1, root, sizeof(*root));
}

/* ---- member items ---- */

static inline size_t set_item_size(struct slice member)
{
    return varint_size(member.len) + member.len;
}
static inline struct slice set_item_member(const struct slab *slab, slab_handle item)
{
    uint32_t len;
    const uint8_t *bytes = varint_read32(slab_ptr(slab, item), &len);
    return (struct slice){(const char *)bytes, len};
}

/* The table's view of them. */
struct set_context {
    const struct slab *slab;
    uint64_t hash_seed;
};
extern const struct table_type set_table_type;
uint64_t set_member_hash(struct slice member, uint64_t seed);
slab_handle *set_find_slot(const struct set_root *root, const struct slab *slab, struct slice member,
                           uint64_t hash);

#endif
