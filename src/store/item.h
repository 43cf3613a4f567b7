/* The item: one key with its value, in one slab allocation of the key's partition.
 *
 *   header u32 | [ long lengths: key u32, value u32 ] | [ stamp u64 ] | [ expiry 16 B ] | key | value area
 *
 *   header bits   0-2 type   3-5 representation   6 expiry block   7 stamp   8 long lengths   9 first in its
 * wheel slot 10-17 key length   18-29 value length   (both unused when "long lengths" is set) expiry block
 * deadline i64 (ITEM_NO_DEADLINE: filed for a hash field's sake) | previous u32 | next u32: the item's place
 * in a slot list of the partition's timing wheel (store/wheel.h)
 *
 * 14+8 bytes take 32, 16+16 take 40, and 16+16 with a TTL 56.
 *
 * Value area by representation: INT 1, 2, 4 or 8 bytes little endian; INLINE the bytes; LARGE struct
 * item_large; COLLECTION whatever the type module keeps there (types/value.h). Fields may be unaligned: use
 * the accessors.
 *
 * Invariant I1: header lengths always equal what item_size() says was allocated. Owned by the partition's
 * holder.
 */
#ifndef WEFT_STORE_ITEM_H
#define WEFT_STORE_ITEM_H

#include <stdint.h>
#include <string.h>
#include "base/check.h"
#include "base/slab.h"
#include "base/slice.h"

enum item_type { ITEM_STRING, ITEM_LIST, ITEM_SET, ITEM_ZSET, ITEM_HASH, ITEM_STREAM, ITEM_TYPE_COUNT };
enum item_representation { ITEM_INT, ITEM_INLINE, ITEM_RAW, ITEM_LARGE, ITEM_COLLECTION };

#define ITEM_NO_DEADLINE INT64_MIN /* as in change records */
#define ITEM_INLINE_MAX  1024      /* longest string kept inline */
#define ITEM_EMBSTR_MAX  44        /* Redis calls longer ones "raw" */

struct item {
    uint32_t header;
    uint8_t rest[];
};

struct item_expiry {
    int64_t deadline_ms;
    slab_handle previous,
        next; /* neighbours in the wheel's list; with ITEM_WHEEL_HEAD previous is the slot */
};

/* A string too long to be inline: its bytes are an allocation of their own of `capacity` bytes. */
struct item_large {
    slab_handle bytes;
    uint32_t len, capacity;
};

#define ITEM_HAS_EXPIRY      (1u << 6)
#define ITEM_HAS_STAMP       (1u << 7)
#define ITEM_LONG            (1u << 8)
#define ITEM_WHEEL_HEAD      (1u << 9)
#define ITEM_KEY_SHORT_MAX   255u
#define ITEM_VALUE_SHORT_MAX 4095u

static inline enum item_type item_type(const struct item *item)
{
    return item->header & 7;
}
static inline enum item_representation item_representation(const struct item *item)
{
    return (item->header >> 3) & 7;
}
static inline bool item_has_expiry(const struct item *item)
{
    return item->header & ITEM_HAS_EXPIRY;
}

static inline uint32_t item_key_len(const struct item *item)
{
    if (LIKELY(!(item->header & ITEM_LONG))) return (item->header >> 10) & 0xff;
    uint32_t len;
    memcpy(&len, item->rest, 4);
    return len;
}
static inline uint32_t item_value_len(const struct item *item)
{
    if (LIKELY(!(item->header & ITEM_LONG))) return (item->header >> 18) & 0xfff;
    uint32_t len;
    memcpy(&len, item->rest + 4, 4);
    return len;
}
/* Bytes between the header word and the key. */
static inline uint32_t item_key_offset(uint32_t header)
{
    return (header & ITEM_LONG ? 8 : 0) + (header & ITEM_HAS_STAMP ? 8 : 0) +
           (header & ITEM_HAS_EXPIRY ? (uint32_t)sizeof(struct item_expiry) : 0);
}
static inline const uint8_t *item_key_bytes(const struct item *item)
{
    return item->rest + item_key_offset(item->header);
}
static inline struct slice item_key(const struct item *item)
{
    return (struct slice){(const char *)item_key_bytes(item), item_key_len(item)};
}
static inline uint8_t *item_value(struct item *item)
{
    return item->rest + item_key_offset(item->header) + item_key_len(item);
}
static inline uint8_t *item_expiry_bytes(struct item *item)
{
    DCHECK(item_has_expiry(item));
    return item->rest + (item->header & ITEM_LONG ? 8 : 0) + (item->header & ITEM_HAS_STAMP ? 8 : 0);
}
static inline struct item_expiry item_expiry(const struct item *item)
{
    struct item_expiry expiry;
    memcpy(&expiry, item_expiry_bytes((struct item *)(uintptr_t)item), sizeof expiry);
    return expiry;
}
static inline void item_expiry_put(struct item *item, struct item_expiry expiry)
{
    memcpy(item_expiry_bytes(item), &expiry, sizeof expiry);
}
static inline int64_t item_deadline(const struct item *item)
{
    return LIKELY(!item_has_expiry(item)) ? ITEM_NO_DEADLINE : item_expiry(item).deadline_ms;
}
static inline size_t item_size(const struct item *item)
{
    return sizeof(struct item) + item_key_offset(item->header) + item_key_len(item) + item_value_len(item);
}

/* The header for these parts, without ITEM_HAS_*; sets ITEM_LONG when a length needs it. */
static inline uint32_t item_header(enum item_type type, enum item_representation representation,
                                   size_t key_len, size_t value_len)
{
    uint32_t header = (uint32_t)type | (uint32_t)representation << 3;
    if (key_len > ITEM_KEY_SHORT_MAX || value_len > ITEM_VALUE_SHORT_MAX) return header | ITEM_LONG;
    return header | (uint32_t)key_len << 10 | (uint32_t)value_len << 18;
}
/* Writes header and lengths of a fresh allocation; the caller fills the rest. */
static inline void item_init(struct item *item, uint32_t header, size_t key_len, size_t value_len)
{
    item->header = header;
    if (header & ITEM_LONG) {
        uint32_t lengths[2] = {(uint32_t)key_len, (uint32_t)value_len};
        memcpy(item->rest, lengths, sizeof lengths);
    }
}

#endif
