/* Writing serialised values (contract in rdb.h). */
#include "store/rdb.h"

#include "base/check.h"
#include "base/crc.h"
#include "base/lzf.h"
#include "base/number.h"

#include <stdlib.h>

#define CAPACITY_MIN     256
#define COMPRESS_LEN_MIN 20 /* shorter never gains */
#define INT_TEXT_MAX     11 /* "-2147483648" */

void rdb_writer_init(struct rdb_writer *w, bool compress)
{
    *w = (struct rdb_writer){.compress = compress};
}

void rdb_writer_free(struct rdb_writer *w)
{
    free(w->begin);
    w->begin = w->at = w->end = NULL;
}

static bool reserve(struct rdb_writer *w, size_t room)
{
    if (LIKELY((size_t)(w->end - w->at) >= room)) return !w->failed;
    size_t len = rdb_writer_len(w), capacity = (size_t)(w->end - w->begin);
    size_t wanted = capacity * 2;
    if (wanted < len + room) wanted = len + room;
    if (wanted < CAPACITY_MIN) wanted = CAPACITY_MIN;
    char *begin = w->failed || wanted < room ? NULL : realloc(w->begin, wanted);
    if (begin == NULL) {
        w->failed = true;
        return false;
    }
    w->begin = begin;
    w->at = begin + len;
    w->end = begin + wanted;
    return true;
}

static void put_bytes(struct rdb_writer *w, const void *ptr, size_t len)
{
    if (!reserve(w, len)) return;
    if (len) memcpy(w->at, ptr, len);
    w->at += len;
}

static void put_little(struct rdb_writer *w, uint64_t value, int bytes)
{
    if (!reserve(w, 8)) return;
    for (int i = 0; i < bytes; i++) *w->at++ = (char)(value >> 8 * i);
}

static void put_big(struct rdb_writer *w, uint64_t value, int bytes)
{
    if (!reserve(w, 8)) return;
    for (int i = bytes - 1; i >= 0; i--) *w->at++ = (char)(value >> 8 * i);
}

void rdb_write_byte(struct rdb_writer *w, uint8_t byte)
{
    put_little(w, byte, 1);
}

/* 00llllll, 01llllll llllllll, 0x80 + 32 bits, 0x81 + 64 bits; most significant byte first. */
void rdb_write_len(struct rdb_writer *w, uint64_t len)
{
    if (len < 1 << 6) {
        put_big(w, len, 1);
    } else if (len < 1 << 14) {
        put_big(w, len | 0x4000, 2);
    } else if (len <= UINT32_MAX) {
        rdb_write_byte(w, 0x80);
        put_big(w, len, 4);
    } else {
        rdb_write_byte(w, 0x81);
        put_big(w, len, 8);
    }
}

/* 0xC0 + 8 bits, 0xC1 + 16 bits, 0xC2 + 32 bits, least significant byte first. False: needs more. */
static bool put_packed_int(struct rdb_writer *w, int64_t value)
{
    if (value < INT32_MIN || value > INT32_MAX) return false;
    int bytes = value >= INT8_MIN && value <= INT8_MAX ? 1 : value >= INT16_MIN && value <= INT16_MAX ? 2 : 4;
    rdb_write_byte(w, (uint8_t)(0xc0 + bytes / 2));
    put_little(w, (uint64_t)value, bytes);
    return true;
}

static bool put_compressed(struct rdb_writer *w, const void *ptr, size_t len)
{
    /* Two lengths and their marker cost up to 19 bytes, but never more than 11 for what is worth it. */
    uint8_t *out = malloc(len);
    if (out == NULL) return false; /* then not compressed: not an error */
    size_t packed = lzf_compress(ptr, len, out, len - 4);
    if (packed) {
        rdb_write_byte(w, 0xc3);
        rdb_write_len(w, packed);
        rdb_write_len(w, len);
        put_bytes(w, out, packed);
    }
    free(out);
    return packed != 0;
}

void rdb_write_string(struct rdb_writer *w, const void *ptr, size_t len)
{
    int64_t value;
    if (len <= INT_TEXT_MAX && number_parse_i64(ptr, len, &value) && put_packed_int(w, value)) return;
    if (w->compress && len > COMPRESS_LEN_MIN && put_compressed(w, ptr, len)) return;
    rdb_write_len(w, len);
    put_bytes(w, ptr, len);
}

void rdb_write_i64(struct rdb_writer *w, int64_t value)
{
    if (put_packed_int(w, value)) return;
    char text[NUMBER_I64_MAX];
    size_t len = number_format_i64(text, value);
    rdb_write_len(w, len);
    put_bytes(w, text, len);
}

void rdb_write_double(struct rdb_writer *w, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_little(w, bits, 8);
}

void rdb_write_u64(struct rdb_writer *w, uint64_t value)
{
    put_little(w, value, 8);
}

void rdb_write_footer(struct rdb_writer *w, uint16_t version)
{
    put_little(w, version, 2);
    if (w->failed) return;
    put_little(w, crc64(0, w->begin, rdb_writer_len(w)), 8);
}
