/* SHA-1 of a message that is there as a whole; see sha1.h. */
#include "base/sha1.h"

#include <string.h>

#define BLOCK 64

static uint32_t rotate(uint32_t x, int bits)
{
    return x << bits | x >> (32 - bits);
}

static uint32_t load_big_endian(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void store_big_endian(uint8_t *p, uint32_t x)
{
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(x >> (24 - 8 * i));
}

static void mix_block(uint32_t state[5], const uint8_t *block)
{
    static const uint32_t constants[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    uint32_t w[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (int t = 0; t < 16; t++) w[t] = load_big_endian(block + 4 * t);
    for (int t = 16; t < 80; t++) w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    for (int t = 0; t < 80; t++) {
        uint32_t choice = (b & c) | (~b & d), parity = b ^ c ^ d, majority = (b & c) | (b & d) | (c & d);
        uint32_t f = t < 20 ? choice : t >= 40 && t < 60 ? majority : parity;
        uint32_t next = rotate(a, 5) + f + e + constants[t / 20] + w[t];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

void sha1(const void *data, size_t len, uint8_t digest[SHA1_BYTES])
{
    uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    const uint8_t *at = data;
    size_t left = len;
    for (; left >= BLOCK; at += BLOCK, left -= BLOCK) mix_block(state, at);
    /* The rest, a one bit, zeros, and the length in bits as the last eight bytes. */
    uint8_t tail[2 * BLOCK] = {0};
    size_t tail_len = left + 9 <= BLOCK ? BLOCK : 2 * BLOCK;
    if (left) memcpy(tail, at, left);
    tail[left] = 0x80;
    store_big_endian(tail + tail_len - 8, (uint32_t)((uint64_t)len >> 29));
    store_big_endian(tail + tail_len - 4, (uint32_t)((uint64_t)len << 3));
    for (size_t i = 0; i < tail_len; i += BLOCK) mix_block(state, tail + i);
    for (int i = 0; i < 5; i++) store_big_endian(digest + 4 * i, state[i]);
}
