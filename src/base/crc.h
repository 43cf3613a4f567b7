/* CRC16 (XMODEM: the hash slots) and CRC64 (Jones: the footer of a serialised value), eight bytes at a time.
 * Pure. Tests: test/unit/base_test.c. */
#ifndef WEFT_BASE_CRC_H
#define WEFT_BASE_CRC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

uint16_t crc16(const void *ptr, size_t len);
/* Continues from `crc` (0 at first). */
uint64_t crc64(uint64_t crc, const void *ptr, size_t len);

#define KEY_SLOTS 16384

/* The slot of a key that has a '{' at `open`: of what stands between it and the next '}', if anything does.
 */
uint16_t key_slot_tagged(const char *key, size_t len, const char *open);

static inline uint16_t key_slot(const char *key, size_t len)
{
    const char *open = memchr(key, '{', len);
    if (__builtin_expect(open != NULL, 0)) return key_slot_tagged(key, len, open);
    return crc16(key, len) & (KEY_SLOTS - 1);
}

#endif
