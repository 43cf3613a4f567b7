/* LEB128 variable-length unsigned integers, at most 10 bytes. Pure. */
#ifndef WEFT_BASE_VARINT_H
#define WEFT_BASE_VARINT_H

#include <stdint.h>
#include <stddef.h>

#define VARINT_MAX 10

static inline size_t varint_size(uint64_t value)
{
    if (value < 0x80) return 1;
    return (size_t)(63 - __builtin_clzll(value)) / 7 + 1;
}

static inline uint8_t *varint_put(uint8_t *out, uint64_t value)
{
    while (value >= 0x80) {
        *out++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *out++ = (uint8_t)value;
    return out;
}

/* Returns the bytes used; 0 when `len` ends first; -1 when longer than 64 bits. */
static inline int varint_get(const uint8_t *data, size_t len, uint64_t *value)
{
    uint64_t result = 0;
    for (unsigned i = 0; i < VARINT_MAX; i++) {
        if (i >= len) return 0;
        if (i == VARINT_MAX - 1 && data[i] > 1) return -1;
        result |= (uint64_t)(data[i] & 0x7f) << (7 * i);
        if (!(data[i] & 0x80)) {
            *value = result;
            return (int)i + 1;
        }
    }
    return -1;
}

/* For memory that we wrote ourselves: trusts its input, returns where the number ended. */
static inline const uint8_t *varint_read(const uint8_t *at, uint64_t *value)
{
    uint64_t result = *at++;
    if (__builtin_expect(result >= 0x80, 0)) {
        result &= 0x7f;
        for (unsigned shift = 7;; shift += 7) {
            uint64_t byte = *at++;
            result |= (byte & 0x7f) << shift;
            if (byte < 0x80) break;
        }
    }
    *value = result;
    return at;
}

static inline const uint8_t *varint_read32(const uint8_t *at, uint32_t *value)
{
    uint64_t wide;
    at = varint_read(at, &wide);
    *value = (uint32_t)wide;
    return at;
}

#endif
