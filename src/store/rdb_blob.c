/* Packed blobs (contract in rdb_blob.h). All numbers little-endian unless said otherwise.
 *
 * listpack: <u32 bytes> <u16 entries, 65535: unknown> entries 0xFF
 *   entry: encoding and data, then its length backwards in 7-bit groups
 *     0vvvvvvv                     7-bit unsigned        11110001 + 2  16-bit
 *     10llllll + l                 string                11110010 + 3  24-bit
 *     110vvvvv vvvvvvvv            13-bit signed, BE     11110011 + 4  32-bit
 *     1110llll llllllll + l        string, BE            11110100 + 8  64-bit
 *     11110000 + 4 + l             string
 * ziplist: <u32 bytes> <u32 offset of the last entry> <u16 entries, 65535: unknown> entries 0xFF
 *   entry: previous entry's length (1 byte, or 0xFE + 4), encoding, data
 *     00llllll  string             11000000 + 2  16-bit  11110000 + 3  24-bit
 *     01llllll llllllll  BE        11010000 + 4  32-bit  11111110 + 1  8-bit
 *     10000000 + 4 BE              11100000 + 8  64-bit  1111vvvv      v - 1, v in 1..13
 * zipmap: <u8 pairs, 254: unknown> (<length> field <length> <u8 free> value free…)* 0xFF; length 1 byte, or
 * 254 + 4 intset: <u32 width> <u32 count> integers
 */
#include "store/rdb_blob.h"

#define END_BYTE 0xff

/* Little-endian, signed, of 1..8 bytes. */
static int64_t get_signed(const uint8_t *p, uint32_t bytes)
{
    uint64_t v = 0;
    for (uint32_t i = 0; i < bytes; i++) v |= (uint64_t)p[i] << 8 * i;
    uint32_t unused = 64 - 8 * bytes;
    return (int64_t)(v << unused) >> unused;
}

static uint64_t get_unsigned(const uint8_t *p, uint32_t bytes)
{
    uint64_t v = 0;
    for (uint32_t i = 0; i < bytes; i++) v |= (uint64_t)p[i] << 8 * i;
    return v;
}

static uint64_t get_big(const uint8_t *p, uint32_t bytes)
{
    uint64_t v = 0;
    for (uint32_t i = 0; i < bytes; i++) v = v << 8 | p[i];
    return v;
}

struct slice rdb_blob_text(struct rdb_blob_entry *entry)
{
    if (!entry->is_int) return entry->string;
    return (struct slice){entry->text, number_format_i64(entry->text, entry->integer)};
}

static bool open_blob(struct rdb_blob *c, struct slice blob, uint32_t header, uint32_t count_at, bool ziplist)
{
    const uint8_t *p = (const uint8_t *)blob.ptr;
    if (blob.len < header + 1 || get_unsigned(p, 4) != blob.len || p[blob.len - 1] != END_BYTE) return false;
    uint64_t claimed = get_unsigned(p + count_at, 2);
    *c = (struct rdb_blob){.at = p + header,
                           .end = p + blob.len - 1,
                           .claimed = claimed == UINT16_MAX ? UINT64_MAX : claimed,
                           .ziplist = ziplist};
    return true;
}

bool rdb_listpack_open(struct rdb_blob *c, struct slice blob)
{
    return open_blob(c, blob, 6, 4, false);
}

bool rdb_ziplist_open(struct rdb_blob *c, struct slice blob)
{
    if (!open_blob(c, blob, 10, 8, true)) return false;
    uint64_t last = get_unsigned((const uint8_t *)blob.ptr + 4, 4);
    if (last < 10 || last >= blob.len) return false;
    c->last = (const uint8_t *)blob.ptr + last;
    return true;
}

/* What an encoding byte says: how many bytes of header, and then of data. Either a string or an integer. */
struct shape {
    uint32_t header;
    uint64_t data;
    bool is_int;
    int64_t integer; /* when data == 0 */
};

/* `room` is at least 1. False: no such encoding, or it ends too early. */
static bool listpack_shape(const uint8_t *p, size_t room, struct shape *s)
{
    uint8_t e = p[0];
    if (e < 0x80) {
        *s = (struct shape){1, 0, true, e};
    } else if (e < 0xc0) {
        *s = (struct shape){1, e & 0x3f, false, 0};
    } else if (e < 0xe0) {
        if (room < 2) return false;
        int64_t v = (e & 0x1f) << 8 | p[1];
        *s = (struct shape){2, 0, true, v >= 1 << 12 ? v - (1 << 13) : v};
    } else if (e < 0xf0) {
        if (room < 2) return false;
        *s = (struct shape){2, (uint64_t)(e & 0x0f) << 8 | p[1], false, 0};
    } else if (e == 0xf0) {
        if (room < 5) return false;
        *s = (struct shape){5, get_unsigned(p + 1, 4), false, 0};
    } else if (e <= 0xf4) {
        *s = (struct shape){1, e == 0xf4 ? 8 : (uint64_t)e - 0xef, true, 0};
    } else {
        return false;
    }
    return true;
}

static bool ziplist_shape(const uint8_t *p, size_t room, struct shape *s)
{
    uint8_t e = p[0];
    if (e < 0x40) {
        *s = (struct shape){1, e, false, 0};
    } else if (e < 0x80) {
        if (room < 2) return false;
        *s = (struct shape){2, get_big(p, 2) & 0x3fff, false, 0};
    } else if (e == 0x80) {
        if (room < 5) return false;
        *s = (struct shape){5, get_big(p + 1, 4), false, 0};
    } else if (e > 0xf0 && e < 0xfe) {
        *s = (struct shape){1, 0, true, e - 0xf1};
    } else {
        uint64_t data = e == 0xc0 ? 2 : e == 0xd0 ? 4 : e == 0xe0 ? 8 : e == 0xf0 ? 3 : e == 0xfe ? 1 : 0;
        if (data == 0) return false;
        *s = (struct shape){1, data, true, 0};
    }
    return true;
}

static void fill_entry(struct rdb_blob_entry *entry, const struct shape *s, const uint8_t *data)
{
    entry->is_int = s->is_int;
    if (s->is_int)
        entry->integer = s->data ? get_signed(data, (uint32_t)s->data) : s->integer;
    else
        entry->string = (struct slice){(const char *)data, s->data};
}

/* The length of an entry as it stands behind it: 7 bits a byte, most significant first, all but the first
 * marked. */
static bool skip_backwards_length(struct rdb_blob *c, uint64_t len)
{
    uint32_t bytes = len < 128             ? 1
                     : len < 16384 - 1     ? 2
                     : len < 2097152 - 1   ? 3
                     : len < 268435456 - 1 ? 4
                                           : 5;
    if ((size_t)(c->end - c->at) < bytes) return false;
    uint64_t v = 0;
    for (uint32_t i = 0; i < bytes; i++) {
        uint8_t b = c->at[i];
        if ((b >= 0x80) != (i > 0)) return false;
        v = v << 7 | (b & 0x7f);
    }
    c->at += bytes;
    return v == len;
}

static int listpack_next(struct rdb_blob *c, struct rdb_blob_entry *entry)
{
    struct shape s;
    size_t room = (size_t)(c->end - c->at);
    if (!listpack_shape(c->at, room, &s) || room < s.header + s.data) return -1;
    fill_entry(entry, &s, c->at + s.header);
    c->at += s.header + s.data;
    return skip_backwards_length(c, s.header + s.data) ? 1 : -1;
}

static int ziplist_next(struct rdb_blob *c, struct rdb_blob_entry *entry)
{
    const uint8_t *start = c->at;
    size_t room = (size_t)(c->end - c->at);
    uint64_t previous = c->at[0];
    uint32_t previous_size = 1;
    if (previous == 0xff) return -1;
    if (previous == 0xfe) {
        if (room < 5) return -1;
        previous = get_unsigned(c->at + 1, 4);
        previous_size = 5;
    }
    if (previous != c->previous || room <= previous_size) return -1;
    c->at += previous_size;
    room -= previous_size;
    struct shape s;
    if (!ziplist_shape(c->at, room, &s) || room < s.header + s.data) return -1;
    fill_entry(entry, &s, c->at + s.header);
    c->at += s.header + s.data;
    c->previous = (uint64_t)(c->at - start);
    if (c->at == c->end && start != c->last) return -1;
    return 1;
}

int rdb_blob_next(struct rdb_blob *c, struct rdb_blob_entry *entry)
{
    if (c->at == c->end) return c->claimed == UINT64_MAX || c->claimed == c->seen ? 0 : -1;
    c->seen++;
    return c->ziplist ? ziplist_next(c, entry) : listpack_next(c, entry);
}

/* ---- zipmap ---- */

bool rdb_zipmap_open(struct rdb_blob *c, struct slice blob)
{
    const uint8_t *p = (const uint8_t *)blob.ptr;
    if (blob.len < 2 || p[blob.len - 1] != END_BYTE) return false;
    *c = (struct rdb_blob){.at = p + 1, .end = p + blob.len - 1, .claimed = p[0] < 254 ? p[0] : UINT64_MAX};
    return true;
}

static bool zipmap_string(struct rdb_blob *c, bool is_value, struct slice *out)
{
    size_t room = (size_t)(c->end - c->at);
    if (room == 0) return false;
    uint64_t len = c->at[0], header = 1;
    if (len == END_BYTE) return false;
    if (len == 254) {
        if (room < 5) return false;
        len = get_unsigned(c->at + 1, 4);
        header = 5;
    }
    uint64_t unused = 0;
    if (is_value) {
        if (room <= header) return false;
        unused = c->at[header++];
    }
    if (room < header + len + unused) return false;
    *out = (struct slice){(const char *)c->at + header, len};
    c->at += header + len + unused;
    return true;
}

int rdb_zipmap_next(struct rdb_blob *c, struct slice *field, struct slice *value)
{
    if (c->at == c->end) return c->claimed == UINT64_MAX || c->claimed == c->seen ? 0 : -1;
    c->seen++;
    return zipmap_string(c, false, field) && zipmap_string(c, true, value) ? 1 : -1;
}

/* ---- intset ---- */

int64_t rdb_intset_get(const struct rdb_intset *set, uint32_t index)
{
    return get_signed(set->integers + (size_t)index * set->width, set->width);
}

bool rdb_intset_open(struct rdb_intset *set, struct slice blob)
{
    const uint8_t *p = (const uint8_t *)blob.ptr;
    if (blob.len < 8) return false;
    uint64_t width = get_unsigned(p, 4), count = get_unsigned(p + 4, 4);
    if ((width != 2 && width != 4 && width != 8) || count * width != blob.len - 8) return false;
    *set = (struct rdb_intset){p + 8, (uint32_t)width, (uint32_t)count};
    for (uint32_t i = 1; i < set->count; i++)
        if (rdb_intset_get(set, i - 1) >= rdb_intset_get(set, i)) return false;
    return true;
}
