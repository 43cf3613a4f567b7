/* Sliced CRCs: table n tells what a byte that still has n bytes of its word behind it does to the checksum. A
 * CRC is linear, so each entry is the sum (xor) of what its set bits do: the compiler fills the tables from
 * eight constants a row. */
#include "base/crc.h"

#define SUM(i, a, b, c, d, e, f, g, h)                                                                       \
    (((i)&1 ? a : 0) ^ ((i)&2 ? b : 0) ^ ((i)&4 ? c : 0) ^ ((i)&8 ? d : 0) ^ ((i)&16 ? e : 0) ^              \
     ((i)&32 ? f : 0) ^ ((i)&64 ? g : 0) ^ ((i)&128 ? h : 0))
#define FOUR(i, ...)                                                                                         \
    SUM(i, __VA_ARGS__), SUM((i) + 1, __VA_ARGS__), SUM((i) + 2, __VA_ARGS__), SUM((i) + 3, __VA_ARGS__)
#define SIXTEEN(i, ...)                                                                                      \
    FOUR(i, __VA_ARGS__), FOUR((i) + 4, __VA_ARGS__), FOUR((i) + 8, __VA_ARGS__), FOUR((i) + 12, __VA_ARGS__)
#define SIXTY_FOUR(i, ...)                                                                                   \
    SIXTEEN(i, __VA_ARGS__), SIXTEEN((i) + 16, __VA_ARGS__), SIXTEEN((i) + 32, __VA_ARGS__),                 \
        SIXTEEN((i) + 48, __VA_ARGS__)
#define TABLE(...)                                                                                           \
    {                                                                                                        \
        SIXTY_FOUR(0, __VA_ARGS__), SIXTY_FOUR(64, __VA_ARGS__), SIXTY_FOUR(128, __VA_ARGS__),               \
            SIXTY_FOUR(192, __VA_ARGS__)                                                                     \
    }

/* Polynomial 0x1021, most significant bit first. */
static const uint16_t table16[8][256] = {
    TABLE(0x1021, 0x2042, 0x4084, 0x8108, 0x1231, 0x2462, 0x48c4, 0x9188),
    TABLE(0x3331, 0x6662, 0xccc4, 0x89a9, 0x0373, 0x06e6, 0x0dcc, 0x1b98),
    TABLE(0x3730, 0x6e60, 0xdcc0, 0xa9a1, 0x4363, 0x86c6, 0x1dad, 0x3b5a),
    TABLE(0x76b4, 0xed68, 0xcaf1, 0x85c3, 0x1ba7, 0x374e, 0x6e9c, 0xdd38),
    TABLE(0xaa51, 0x4483, 0x8906, 0x022d, 0x045a, 0x08b4, 0x1168, 0x22d0),
    TABLE(0x45a0, 0x8b40, 0x06a1, 0x0d42, 0x1a84, 0x3508, 0x6a10, 0xd420),
    TABLE(0xb861, 0x60e3, 0xc1c6, 0x93ad, 0x377b, 0x6ef6, 0xddec, 0xabf9),
    TABLE(0x47d3, 0x8fa6, 0x0f6d, 0x1eda, 0x3db4, 0x7b68, 0xf6d0, 0xfd81),
};

/* Polynomial 0xad93d23594c935a9, least significant bit first. */
static const uint64_t table64[8][256] = {
    TABLE(0x7ad870c830358979u, 0xf5b0e190606b12f2u, 0xc038e5739841b68fu, 0xab28ecb46814fe75u,
          0x7d08ff3b88be6f81u, 0xfa11fe77117cdf02u, 0xdf7adabd7a6e2d6fu, 0x95ac9329ac4bc9b5u),
    TABLE(0x89e99ffd73bddf69u, 0x388a19a9bfec2db9u, 0x711433537fd85b72u, 0xe22866a6ffb0b6e4u,
          0xef09eb1ea7f6fea3u, 0xf54af06e177a6e2du, 0xc1ccc68f76634f31u, 0xa8c0ab4db4510d09u),
    TABLE(0xf4125129ce4038beu, 0xc37d8400c417e217u, 0xada22e52d0b85745u, 0x701d7af6f9e73de1u,
          0xe03af5edf3ce7bc2u, 0xeb2ccd88bf0b64efu, 0xfd00bd4226815ab5u, 0xd1585cd715952601u),
    TABLE(0x8ce168638c796306u, 0x329bf69440655567u, 0x6537ed2880caaaceu, 0xca6fda510195559cu,
          0xbf8692f15bbd3853u, 0x545403b1efede3cdu, 0xa8a80763dfdbc79au, 0x7a092894e7201c5fu),
    TABLE(0x3504e58b9ba6dd1eu, 0x6a09cb17374dba3cu, 0xd413962e6e9b7478u, 0x837e0a0f85a17b9bu,
          0x2da5324c53d5645du, 0x5b4a6498a7aac8bau, 0xb694c9314f559174u, 0x4670b431c63cb183u),
    TABLE(0xe39d1389931b9354u, 0xec6301407ea0b5c3u, 0xf39f24d3a5d6f8edu, 0xcc676ff4133a62b1u,
          0xb397f9bb7ee35609u, 0x4c76d525a5513f79u, 0x98edaa4b4aa27ef2u, 0x1a8272c5cdd36e8fu),
    TABLE(0x62a95de6e302eff2u, 0xc552bbcdc605dfe4u, 0xa1fc51c8d49c2ca3u, 0x68a185c2f1afca2du,
          0xd1430b85e35f945au, 0x89df31589e28bbdfu, 0x38e744e264c6e4d5u, 0x71ce89c4c98dc9aau),
    TABLE(0x381d0015c96f4444u, 0x703a002b92de8888u, 0xe074005725bd1110u, 0xebb126fd13edb14bu,
          0xfc3b6ba97f4cf1fdu, 0xd32ff101a60e7091u, 0x8d06c450148b7249u, 0x3154aef3718177f9u),
};

uint16_t crc16(const void *ptr, size_t len)
{
    const uint8_t *p = ptr;
    uint16_t crc = 0;
    for (; len >= 8; len -= 8, p += 8) {
        crc = table16[7][p[0] ^ crc >> 8] ^ table16[6][p[1] ^ (crc & 0xff)] ^ table16[5][p[2]] ^
              table16[4][p[3]] ^ table16[3][p[4]] ^ table16[2][p[5]] ^ table16[1][p[6]] ^ table16[0][p[7]];
    }
    for (; len; len--, p++) crc = (uint16_t)(crc << 8) ^ table16[0][(crc >> 8) ^ *p];
    return crc;
}

uint64_t crc64(uint64_t crc, const void *ptr, size_t len)
{
    const uint8_t *p = ptr;
    for (; len >= 8; len -= 8, p += 8) {
        uint64_t word = 0;
        for (int i = 0; i < 8; i++) word |= (uint64_t)p[i] << 8 * i; /* one load on little-endian machines */
        word ^= crc;
        crc = 0;
        for (int i = 0; i < 8; i++) crc ^= table64[7 - i][word >> 8 * i & 0xff];
    }
    for (; len; len--, p++) crc = table64[0][(crc ^ *p) & 0xff] ^ crc >> 8;
    return crc;
}

uint16_t key_slot_tagged(const char *key, size_t len, const char *open)
{
    const char *tag = open + 1, *close = memchr(tag, '}', (size_t)(key + len - tag));
    if (close == NULL || close == tag) return crc16(key, len) & (KEY_SLOTS - 1);
    return crc16(tag, (size_t)(close - tag)) & (KEY_SLOTS - 1);
}
