/* The hash of keys, fields and members: XXH3, 64 bits, seeded. Inline, because a call costs as much as the
 * hash of a short key. Only its low-level users should include this: xxhash.h is large. */
#ifndef WEFT_BASE_HASH_H
#define WEFT_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#ifndef XXH_INLINE_ALL
#define XXH_INLINE_ALL
#endif
#include <xxhash.h>

static inline uint64_t hash_bytes(const void *ptr, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(ptr, len, seed);
}

#endif
