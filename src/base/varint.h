/* Little-endian base-128 numbers: 7 bits a byte, the top bit says that more follow. 1 byte below 128, 2 below
 * 16,384, 3 below 2 Mi, 5 for any 32-bit number, 10 for any 64-bit one. For memory that we wrote ourselves:
 * the readers trust their input; bytes from outside need a checking reader. Pure. Tests:
 * test/unit/packed_test.c. */
#ifndef WEFT_BASE_VARINT_H
#define WEFT_BASE_VARINT_H

#include <stdint.h>
#include "base/check.h"

static inline uint32_t varint_size(uint64_t value)
{
    if (LIKELY(value < 128)) return 1;
    return (uint32_t)(63 - __builtin_clzll(value)) / 7 + 1;
}

/* Writes varint_size(value) bytes and returns where it ended. */
static inline uint8_t *varint_write(uint8_t *at, uint64_t value)
{
    while (value >= 128) {
        *at++ = (uint8_t)(value | 128);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

/* Reads a number and returns where it ended. */
static inline const uint8_t *varint_read(const uint8_t *at, uint64_t *value)
{
    uint64_t sum = *at++;
    if (UNLIKELY(sum >= 128)) {
        sum &= 127;
        for (unsigned shift = 7;; shift += 7) {
            uint64_t byte = *at++;
            sum |= (byte & 127) << shift;
            if (byte < 128) break;
            DCHECK(shift < 63);
        }
    }
    *value = sum;
    return at;
}

static inline const uint8_t *varint_read32(const uint8_t *at, uint32_t *value)
{
    if (LIKELY(*at < 128)) {
        *value = *at;
        return at + 1;
    }
    uint64_t wide;
    at = varint_read(at, &wide);
    DCHECK(wide <= UINT32_MAX);
    *value = (uint32_t)wide;
    return at;
}

#endif
