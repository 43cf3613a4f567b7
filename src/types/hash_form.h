/* What the files of the hash share and nobody else includes: tag, root, field items. */
#ifndef WEFT_TYPES_HASH_FORM_H
#define WEFT_TYPES_HASH_FORM_H

#include "base/varint.h"
#include "types/deadlines.h"
#include "types/hash.h"
#include "types/packed.h"

enum hash_form { HASH_EMPTY, HASH_PAIRS, HASH_TRIPLES, HASH_TABLE };
enum hash_visible { HASH_VISIBLE_LISTPACK, HASH_VISIBLE_LISTPACKEX, HASH_VISIBLE_HASHTABLE };

#define HASH_HEADER 2u /* of PAIRS and TRIPLES: tag, count */

/* TABLE: behind the tag, unaligned. */
struct hash_root {
    struct table table;
    struct deadlines deadlines;
    uint64_t hash_seed;
    uint64_t item_bytes; /* what the field items take in the slab */
};
#define HASH_TABLE_AREA (1u + (uint32_t)sizeof(struct hash_root))

static inline enum hash_form hash_form(const struct value *hash)
{
    return hash->bytes[0] & 3;
}
static inline enum hash_visible hash_visible(const struct value *hash)
{
    return (hash->bytes[0] >> 2) & 3;
}
static inline void hash_tag_put(struct value *hash, enum hash_form form, enum hash_visible visible)
{
    hash->bytes[0] = (uint8_t)(form | visible << 2);
}
static inline struct hash_root hash_root_load(const struct value *hash)
{
    struct hash_root root;
    memcpy(&root, hash->bytes + 1, sizeof(root));
    return root;
}
static inline void hash_root_store(struct value *hash, const struct hash_root *root)
{
    memcpy(hash->bytes + 1, root, sizeof(*root));
}

/* ---- deadlines in six bytes ---- */

static inline void hash_deadline_put(uint8_t *at, int64_t deadline_ms)
{
    CHECK(deadline_ms >= 0 && deadline_ms <= HASH_DEADLINE_MAX);
    memcpy(at, &deadline_ms, 6); /* little endian */
}
static inline int64_t hash_deadline_get(const uint8_t *at)
{
    int64_t deadline_ms = 0;
    memcpy(&deadline_ms, at, 6);
    return deadline_ms;
}

/* ---- packed forms ---- */

static inline uint32_t hash_stride(const struct value *hash)
{
    return hash_form(hash) == HASH_TRIPLES ? 3 : 2;
}
/* Reads the field at *at and moves on; false at the end. */
static inline bool hash_packed_next(const struct value *hash, uint32_t *at, struct hash_field *out)
{
    struct slice deadline;
    if (!packed_next(hash, at, &out->field)) return false;
    *at = packed_read(hash->bytes, *at, &out->value);
    out->deadline_ms = HASH_NO_DEADLINE;
    if (hash_form(hash) != HASH_TRIPLES) return true;
    *at = packed_read(hash->bytes, *at, &deadline);
    if (deadline.len) out->deadline_ms = hash_deadline_get((const uint8_t *)deadline.ptr);
    return true;
}

/* ---- field items ---- */

#define HASH_ITEM_HAS_DEADLINE 1u
#define HASH_ITEM_DEADLINE     10u /* bytes: deadline and place */

static inline size_t hash_item_size(size_t field_len, size_t value_len, bool has_deadline)
{
    size_t extra = has_deadline ? HASH_ITEM_DEADLINE : 0;
    return 1 + varint_size(field_len) + varint_size(value_len) + extra + field_len + value_len;
}

struct hash_item {
    struct hash_field field;
    uint8_t *deadline; /* where deadline and place stand; NULL: it has none */
    size_t size;
};

static inline void hash_item_read(const struct slab *slab, slab_handle handle, struct hash_item *out)
{
    uint8_t *begin = slab_ptr(slab, handle);
    uint32_t field_len, value_len;
    const uint8_t *at = varint_read32(begin + 1, &field_len);
    at = varint_read32(at, &value_len);
    out->deadline = NULL;
    out->field.deadline_ms = HASH_NO_DEADLINE;
    if (begin[0] & HASH_ITEM_HAS_DEADLINE) {
        out->deadline = begin + (at - begin);
        out->field.deadline_ms = hash_deadline_get(at);
        at += HASH_ITEM_DEADLINE;
    }
    out->field.field = (struct slice){(const char *)at, field_len};
    out->field.value = (struct slice){(const char *)at + field_len, value_len};
    out->size = (size_t)(at - begin) + field_len + value_len;
}

/* The name only: what hashing and comparing need. */
static inline struct slice hash_item_field(const struct slab *slab, slab_handle handle)
{
    const uint8_t *begin = slab_ptr(slab, handle);
    uint32_t field_len, value_len;
    const uint8_t *at = varint_read32(begin + 1, &field_len);
    at = varint_read32(at, &value_len);
    if (begin[0] & HASH_ITEM_HAS_DEADLINE) at += HASH_ITEM_DEADLINE;
    return (struct slice){(const char *)at, field_len};
}

static inline uint32_t hash_item_place(const struct hash_item *item)
{
    uint32_t place;
    memcpy(&place, item->deadline + 6, 4);
    return place;
}

/* The table's view of them. */
struct hash_context {
    const struct slab *slab;
    uint64_t hash_seed;
};
extern const struct table_type hash_table_type;
uint64_t hash_field_hash(struct slice field, uint64_t seed);
slab_handle *hash_find_slot(const struct hash_root *root, const struct slab *slab, struct slice field,
                            uint64_t hash);

#endif
