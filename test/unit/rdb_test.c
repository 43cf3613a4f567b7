/* rdb: payloads that a real Redis 8.0 wrote are read right; what the writer writes is read back, for every
 * type and all lengths and integers; the older packed forms (ziplist, zipmap, listpack, intset with every
 * entry encoding, made here) are read; truncated, flipped and lying payloads are refused without harm. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/crc.h"
#include "base/lzf.h"
#include "base/number.h"
#include "base/prng.h"
#include "store/rdb.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- a growing text or byte string ---- */

struct text {
    char *at;
    size_t len, capacity;
};

static void add(struct text *t, const void *ptr, size_t len)
{
    if (t->capacity - t->len <= len) {
        t->capacity = t->capacity * 2 + len + 64;
        t->at = realloc(t->at, t->capacity);
    }
    if (len) memcpy(t->at + t->len, ptr, len);
    t->len += len;
    t->at[t->len] = 0;
}

#define ADD(t, literal) add(t, literal, sizeof(literal) - 1)

static void add_byte(struct text *t, unsigned byte)
{
    uint8_t b = (uint8_t)byte;
    add(t, &b, 1);
}

static void add_string(struct text *t, const char *s)
{
    add(t, s, strlen(s));
}

static void add_little(struct text *t, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) add_byte(t, (unsigned)(v >> 8 * i) & 0xff);
}

static void add_big(struct text *t, uint64_t v, int bytes)
{
    while (bytes--) add_byte(t, (unsigned)(v >> 8 * bytes) & 0xff);
}

/* ---- a visitor that writes down what it sees ---- */

static void separate(struct text *t)
{
    if (t->at[t->len - 1] != ' ') add(t, ",", 1);
}

static int note_begin(void *context, enum rdb_kind kind, uint64_t count_hint)
{
    static const char *const names[] = {"string ", "list ", "set ", "zset ", "hash "};
    add_string(context, names[kind]);
    return RDB_OK;
}

static int note_string(void *context, struct slice value)
{
    add(context, value.ptr, value.len);
    return RDB_OK;
}

static int note_element(void *context, struct slice element)
{
    separate(context);
    return note_string(context, element);
}

static int note_member(void *context, struct slice member, double score)
{
    char text[NUMBER_DOUBLE_MAX];
    assert_false(isnan(score));
    note_element(context, member);
    add(context, "=", 1);
    add(context, text, number_format_double(text, score));
    return RDB_OK;
}

static int note_field(void *context, struct slice field, struct slice value, int64_t deadline_ms)
{
    note_element(context, field);
    add(context, ":", 1);
    add(context, value.ptr, value.len);
    if (deadline_ms == RDB_NO_DEADLINE) return RDB_OK;
    char text[32];
    add(context, text, (size_t)sprintf(text, "@%lld", (long long)deadline_ms));
    return RDB_OK;
}

static struct rdb_visitor noting(struct text *t)
{
    return (struct rdb_visitor){t, note_begin, note_string, note_element, note_member, note_field};
}

static int read_dump(const void *payload, size_t len, struct text *out)
{
    /* Exactly as much memory as there are bytes, so that a sanitizer sees reads beyond. */
    char *copy = malloc(len ? len : 1);
    memcpy(copy, payload, len);
    struct rdb_visitor visitor = noting(out);
    int result = rdb_read_dump(copy, len, &visitor);
    free(copy);
    return result;
}

static void add_footer(struct text *t)
{
    add_little(t, RDB_VERSION, 2);
    add_little(t, crc64(0, t->at, t->len), 8);
}

/* Adds the footer to the body, reads it, frees both. */
static void expect_body(struct text *body, int want_result, const char *want, size_t want_len)
{
    struct text out = {0};
    add_footer(body);
    int result = read_dump(body->at, body->len, &out);
    if (result != want_result) fail_msg("%s: result %d, not %d", want, result, want_result);
    if (want_result == RDB_OK && (out.len != want_len || memcmp(out.at, want, want_len) != 0))
        fail_msg("'%.500s', not '%.500s'", out.at, want);
    free(out.at);
    free(body->at);
    *body = (struct text){0};
}

static void expect_text(struct text *body, const char *want)
{
    expect_body(body, RDB_OK, want, strlen(want));
}
static void expect_refused(struct text *body)
{
    expect_body(body, RDB_CORRUPT, "", 0);
}

/* ---- payloads of a real server ---- */

static const struct {
    const char *name, *hex, *value;
} golden[] = {
    {"string int8", "00c0fb0c0082b2f2342d0ca121", "string -5"},
    {"string int16", "00c1e8030c0042a7734e40ee292d", "string 1000"},
    {"string int32", "00c2006cca880c00fe899a7d8537e42e", "string -2000000000"},
    {"string raw", "000e31323334353637383930313233340c0064bdb8bb8c8a1523", "string 12345678901234"},
    {"string lzf", "00c30a405002616261e042010161620c005feb6bce4bf43a0c",
     "string abababababababababababababababababababababababababababababababababababababababab"},
    {"quicklist2 packed", "120102181800000004008161020101f290eefe0485626262626206ff0c006b8db7c8f6b86912",
     "list a,1,-70000,bbbbb"},
    {"quicklist2 nodes", "1202020d0d0000000200816102816202ff020a0a0000000100816302ff0c006d77a6680d1c2b89",
     "list a,b,c"},
    {"intset", "0b140400000003000000ffffffff03000000701101000c00318f33ab5b28655d", "set -1,3,70000"},
    {"set listpack", "140c0c00000002008178020501ff0c00bf2c001fdfeb9787", "set x,5"},
    {"set", "020101780c00349eb47a8c26b140", "set x"},
    {"zset listpack",
     "111d1d0000000600816302842d696e6605816102010181620283322e3504ff0c00f2e4075b1b35ac"
     "74",
     "zset c=-inf,a=1,b=2.5"},
    {"zset2", "0502016200000000000004400161000000000000f03f0c003f1883f9e35cecd8", "zset b=2.5,a=1"},
    {"hash listpack", "1012120000000400816602817602816e020701ff0c00735cea68ba5564e1", "hash f:v,n:7"},
    {"hash listpack ex",
     "197bd8c32cbb0300001e1e0000000600816e020701f47bd8c32cbb030000098166028176020001ff"
     "0c009ef9ef3d4f53c6e0",
     "hash n:7@4102444800123,f:v"},
    {"hash", "0401016601760c00668477964bac90b5", "hash f:v"},
    {"hash metadata", "187bd8c32cbb0300000201016ec00702016601760c00da95ebd3482f2479",
     "hash n:7@4102444800123,f:v@4102444800124"},
    {"stream",
     "150110000000000000000100000000000000011d1d0000000a000101000101018161020001020100"
     "0100018162020401ff0101010101000001000c00d7e5baef128b9484",
     "!"},
};

static size_t unhex(const char *hex, uint8_t *out)
{
    size_t n = 0;
    for (; *hex; hex += 2) {
        char digits[3] = {hex[0], hex[1], 0};
        out[n++] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return n;
}

static void real_payloads(void **state)
{
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        uint8_t bytes[256];
        size_t len = unhex(golden[i].hex, bytes);
        struct text out = {0};
        int result = read_dump(bytes, len, &out);
        if (golden[i].value[0] == '!') {
            assert_int_equal(result, RDB_UNSUPPORTED);
        } else {
            if (result != RDB_OK || strcmp(out.at, golden[i].value) != 0)
                fail_msg("%s: %d '%s'", golden[i].name, result, out.at);
        }
        free(out.at);
    }
}

/* Each real payload cut short, and with each byte changed (checksum mended): refused or read, never harmful.
 */
static void damaged_payloads(void **state)
{
    int refused = 0, read = 0;
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        uint8_t bytes[256];
        size_t len = unhex(golden[i].hex, bytes);
        for (size_t cut = 0; cut < len; cut++) {
            struct text out = {0};
            assert_int_equal(read_dump(bytes, cut, &out), RDB_BAD_FOOTER);
            if (cut < len - RDB_FOOTER_SIZE) {
                struct text body = {0};
                add(&body, bytes, cut);
                add_footer(&body);
                int result = read_dump(body.at, body.len, &out);
                assert_true(result == RDB_CORRUPT ||
                            (golden[i].value[0] == '!' && result == RDB_UNSUPPORTED));
                free(body.at);
            }
            free(out.at);
        }
        for (size_t at = 0; at < len; at++) {
            for (unsigned change = 1; change < 256; change++) {
                struct text out = {0}, body = {0};
                bytes[at] ^= (uint8_t)change;
                assert_int_equal(read_dump(bytes, len, &out), RDB_BAD_FOOTER);
                if (at < len - RDB_FOOTER_SIZE) {
                    add(&body, bytes, len - RDB_FOOTER_SIZE);
                    add_footer(&body);
                    int result = read_dump(body.at, body.len, &out);
                    refused += result != RDB_OK;
                    read += result == RDB_OK;
                }
                bytes[at] ^= (uint8_t)change;
                free(body.at);
                free(out.at);
            }
        }
    }
    assert_true(refused > 50000 && read > 10000);
}

static void footers(void **state)
{
    struct rdb_writer w;
    struct text out = {0};
    for (int version = RDB_VERSION - 1; version <= RDB_VERSION + 1; version++) {
        rdb_writer_init(&w, false);
        rdb_write_byte(&w, RDB_STRING);
        rdb_write_string(&w, "x", 1);
        rdb_write_footer(&w, (uint16_t)version);
        assert_int_equal(read_dump(w.begin, rdb_writer_len(&w), &out),
                         version <= RDB_VERSION ? RDB_OK : RDB_BAD_FOOTER);
        rdb_writer_free(&w);
    }
    assert_int_equal(read_dump("", 0, &out), RDB_BAD_FOOTER);
    free(out.at);
    struct text empty = {0}, trailing = {0};
    add(&empty, "", 0);
    expect_refused(&empty);
    ADD(&trailing, "\0\1xy");
    expect_refused(&trailing);
}

/* ---- what we write ---- */

static void strings_round_trip(void **state)
{
    struct prng g;
    prng_seed(&g, 31);
    static const size_t lengths[] = {0, 1, 11, 12, 20, 21, 63, 64, 16383, 16384, 100000, 3000000};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        for (int kind = 0; kind < 4; kind++) {
            struct text want = {0}, out = {0};
            add_string(&want, "string ");
            for (size_t k = 0; k < lengths[i]; k++)
                add_byte(&want, kind & 1 ? (unsigned)prng_below(&g, 256)
                                         : (unsigned)"abcab"[prng_below(&g, 40) % 5]);
            struct rdb_writer w;
            rdb_writer_init(&w, kind & 2);
            rdb_write_byte(&w, RDB_STRING);
            rdb_write_string(&w, want.at + 7, lengths[i]);
            rdb_write_footer(&w, 6);
            assert_false(w.failed);
            assert_int_equal(read_dump(w.begin, rdb_writer_len(&w), &out), RDB_OK);
            assert_int_equal(out.len, want.len);
            assert_memory_equal(out.at, want.at, want.len);
            if (kind == 2 && lengths[i] > 1000) assert_true(rdb_writer_len(&w) < lengths[i] * 9 / 10);
            rdb_writer_free(&w);
            free(out.at);
            free(want.at);
        }
    }
    for (int i = 0; i < 100000; i++) {
        int64_t v = (int64_t)prng_next(&g) >> prng_below(&g, 64);
        char want[64];
        int n = sprintf(want, "string %lld", (long long)v);
        for (int kind = 0; kind < 2; kind++) {
            struct text out = {0};
            struct rdb_writer w;
            rdb_writer_init(&w, false);
            rdb_write_byte(&w, RDB_STRING);
            if (kind)
                rdb_write_i64(&w, v);
            else
                rdb_write_string(&w, want + 7, (size_t)n - 7);
            rdb_write_footer(&w, 6);
            assert_int_equal(read_dump(w.begin, rdb_writer_len(&w), &out), RDB_OK);
            assert_string_equal(out.at, want);
            rdb_writer_free(&w);
            free(out.at);
        }
    }
}

static void expect_written(struct rdb_writer *w, const char *want)
{
    struct text out = {0};
    rdb_write_footer(w, RDB_VERSION);
    assert_int_equal(read_dump(w->begin, rdb_writer_len(w), &out), RDB_OK);
    assert_string_equal(out.at, want);
    free(out.at);
    rdb_writer_free(w);
}

static void collections_round_trip(void **state)
{
    struct rdb_writer w;
    rdb_writer_init(&w, true);
    rdb_write_byte(&w, RDB_ZSET_2);
    rdb_write_len(&w, 3);
    static const double scores[] = {-1.5, 0.1, (double)INFINITY};
    for (int i = 0; i < 3; i++) {
        rdb_write_i64(&w, i);
        rdb_write_double(&w, scores[i]);
    }
    expect_written(&w, "zset 0=-1.5,1=0.1,2=inf");

    rdb_writer_init(&w, true);
    rdb_write_byte(&w, RDB_HASH_METADATA);
    rdb_write_u64(&w, 1000);
    rdb_write_len(&w, 3);
    for (int i = 0; i < 3; i++) {
        rdb_write_len(&w, (uint64_t)i * 100);
        rdb_write_string(&w, "f", 1);
        rdb_write_i64(&w, i);
    }
    expect_written(&w, "hash f:0,f:1@1099,f:2@1199");
}

static void lengths_of_all_widths(void **state)
{
    static const uint64_t lengths[] = {63, 64, 16383, 16384, UINT32_MAX, (uint64_t)UINT32_MAX + 1};
    static const size_t sizes[] = {1, 2, 2, 5, 5, 9};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct rdb_writer w;
        rdb_writer_init(&w, false);
        rdb_write_len(&w, lengths[i]);
        assert_int_equal(rdb_writer_len(&w), sizes[i]);
        rdb_writer_free(&w);
    }
}

/* ---- packed forms, made here ---- */

struct value {
    bool is_int;
    int64_t integer;
    size_t len; /* of a string of one letter */
};

static void value_text(const struct value *v, struct text *out)
{
    char digits[32];
    if (v->is_int)
        add(out, digits, (size_t)sprintf(digits, "%lld", (long long)v->integer));
    else
        for (size_t i = 0; i < v->len; i++) add_byte(out, 'a' + (unsigned)(v->len % 26));
}

/* In the narrowest encoding. */
static void listpack_add(struct text *blob, const struct value *v)
{
    size_t start = blob->len;
    int64_t i = v->integer;
    if (!v->is_int) {
        if (v->len < 64) {
            add_byte(blob, 0x80 | (unsigned)v->len);
        } else if (v->len < 4096) {
            add_byte(blob, 0xe0 | (unsigned)(v->len >> 8));
            add_byte(blob, v->len & 0xff);
        } else {
            add_byte(blob, 0xf0);
            add_little(blob, v->len, 4);
        }
        value_text(v, blob);
    } else if (i >= 0 && i < 128) {
        add_byte(blob, (unsigned)i);
    } else if (i >= -4096 && i < 4096) {
        add_byte(blob, 0xc0 | (unsigned)((i & 0x1fff) >> 8));
        add_byte(blob, (unsigned)(i & 0xff));
    } else {
        int bytes = i >= INT16_MIN && i <= INT16_MAX   ? 2
                    : i >= -(1 << 23) && i < 1 << 23   ? 3
                    : i >= INT32_MIN && i <= INT32_MAX ? 4
                                                       : 8;
        add_byte(blob, bytes == 8 ? 0xf4 : 0xef + (unsigned)bytes);
        add_little(blob, (uint64_t)i, bytes);
    }
    uint64_t len = blob->len - start;
    int groups = len <= 127 ? 1 : len < 16383 ? 2 : len < 2097151 ? 3 : 4;
    for (int k = groups - 1; k >= 0; k--)
        add_byte(blob, (unsigned)(len >> 7 * k & 127) | (k == groups - 1 ? 0 : 128));
}

static size_t ziplist_add(struct text *blob, const struct value *v, size_t previous)
{
    size_t start = blob->len;
    int64_t i = v->integer;
    if (previous < 254) {
        add_byte(blob, (unsigned)previous);
    } else {
        add_byte(blob, 254);
        add_little(blob, previous, 4);
    }
    if (!v->is_int) {
        if (v->len < 64) {
            add_byte(blob, (unsigned)v->len);
        } else if (v->len < 16384) {
            add_big(blob, 0x4000 | v->len, 2);
        } else {
            add_byte(blob, 0x80);
            add_big(blob, v->len, 4);
        }
        value_text(v, blob);
    } else if (i >= 0 && i <= 12) {
        add_byte(blob, 0xf1 + (unsigned)i);
    } else {
        int bytes = i >= INT8_MIN && i <= INT8_MAX     ? 1
                    : i >= INT16_MIN && i <= INT16_MAX ? 2
                    : i >= -(1 << 23) && i < 1 << 23   ? 3
                    : i >= INT32_MIN && i <= INT32_MAX ? 4
                                                       : 8;
        static const uint8_t encodings[] = {0, 0xfe, 0xc0, 0xf0, 0xd0, 0, 0, 0, 0xe0};
        add_byte(blob, encodings[bytes]);
        add_little(blob, (uint64_t)i, bytes);
    }
    return blob->len - start;
}

static void patch(struct text *blob, size_t at, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) blob->at[at + (size_t)i] = (char)(v >> 8 * i);
}

static struct text make_blob(bool ziplist, const struct value *values, size_t count)
{
    struct text blob = {0};
    size_t last = 10, previous = 0;
    for (int i = 0; i < (ziplist ? 10 : 6); i++) add_byte(&blob, 0);
    for (size_t i = 0; i < count; i++) {
        last = blob.len;
        if (ziplist)
            previous = ziplist_add(&blob, &values[i], previous);
        else
            listpack_add(&blob, &values[i]);
    }
    add_byte(&blob, 0xff);
    patch(&blob, 0, blob.len, 4);
    if (ziplist) patch(&blob, 4, last, 4);
    patch(&blob, ziplist ? 8 : 4, count < 65535 ? count : 65535, 2);
    return blob;
}

static void add_rdb_string(struct text *body, const struct text *s)
{
    add_byte(body, 0x80);
    add_big(body, s->len, 4);
    add(body, s->at, s->len);
}

static const struct value borders[] = {
    {true, 0, 0},
    {true, 1, 0},
    {true, 12, 0},
    {true, 13, 0},
    {true, 127, 0},
    {true, 128, 0},
    {true, -1, 0},
    {true, -128, 0},
    {true, -129, 0},
    {true, 255, 0},
    {true, 4095, 0},
    {true, 4096, 0},
    {true, -4096, 0},
    {true, -4097, 0},
    {true, 32767, 0},
    {true, -32768, 0},
    {true, 32768, 0},
    {true, 8388607, 0},
    {true, -8388608, 0},
    {true, 8388608, 0},
    {true, INT32_MAX, 0},
    {true, INT32_MIN, 0},
    {true, (int64_t)INT32_MAX + 1, 0},
    {true, INT64_MAX, 0},
    {true, INT64_MIN, 0},
    {false, 0, 0},
    {false, 0, 1},
    {false, 0, 63},
    {false, 0, 64},
    {false, 0, 120},
    {false, 0, 123},
    {false, 0, 124},
    {false, 0, 125},
    {false, 0, 126},
    {false, 0, 127},
    {false, 0, 246},
    {false, 0, 247},
    {false, 0, 248},
    {false, 0, 249},
    {false, 0, 250},
    {false, 0, 254},
    {false, 0, 4095},
    {false, 0, 4096},
    {false, 0, 16376},
    {false, 0, 16377},
    {false, 0, 16378},
    {false, 0, 16383},
    {false, 0, 16384},
    {false, 0, 100000},
};
#define BORDERS (sizeof borders / sizeof *borders)

static void packed_lists(void **state)
{
    struct text want = {0};
    add_string(&want, "list ");
    for (size_t i = 0; i < BORDERS; i++) {
        if (i) add_string(&want, ",");
        value_text(&borders[i], &want);
    }
    struct text ziplist = make_blob(true, borders, BORDERS), listpack = make_blob(false, borders, BORDERS),
                body = {0};
    add_byte(&body, RDB_LIST_ZIPLIST);
    add_rdb_string(&body, &ziplist);
    expect_body(&body, RDB_OK, want.at, want.len);

    add_byte(&body, RDB_LIST_QUICKLIST);
    add_byte(&body, 1);
    add_rdb_string(&body, &ziplist);
    expect_body(&body, RDB_OK, want.at, want.len);

    /* Packed, plain (an element per node) and packed nodes in one list. */
    add_string(&want, ",plain,");
    size_t once = want.len;
    char *again = strndup(want.at + 5, once - 5 - 7);
    add(&want, again, once - 5 - 7);
    free(again);
    add_byte(&body, RDB_LIST_QUICKLIST_2);
    add_byte(&body, 3);
    add_byte(&body, 2);
    add_rdb_string(&body, &listpack);
    ADD(&body, "\1\5plain\2");
    add_rdb_string(&body, &listpack);
    expect_body(&body, RDB_OK, want.at, want.len);

    ADD(&body, "\x12\1\3\1x"); /* no such kind of node */
    expect_refused(&body);
    ADD(&body, "\x12\0"); /* no node */
    expect_refused(&body);
    struct text empty = make_blob(false, NULL, 0);
    ADD(&body, "\x12\1\2"); /* nodes, but no element */
    add_rdb_string(&body, &empty);
    expect_refused(&body);
    free(empty.at);
    free(ziplist.at);
    free(listpack.at);
    free(want.at);
}

static void packed_pairs(void **state)
{
    static const struct value pairs[] = {{false, 0, 3}, {true, 5, 0}, {true, -7, 0}, {false, 0, 2}};
    static const struct value scores[] = {{false, 0, 3}, {true, 5, 0}, {true, -7, 0}, {true, 6, 0}};
    static const struct value triples[] = {{false, 0, 3}, {true, 5, 0},  {true, 0, 0},
                                           {true, -7, 0}, {false, 0, 2}, {true, 99999, 0}};
    struct text body = {0};
    for (int ziplist = 0; ziplist < 2; ziplist++) {
        struct text hash = make_blob(ziplist, pairs, 4), odd = make_blob(ziplist, pairs, 3),
                    zset = make_blob(ziplist, scores, 4);
        add_byte(&body, ziplist ? RDB_HASH_ZIPLIST : RDB_HASH_LISTPACK);
        add_rdb_string(&body, &hash);
        expect_text(&body, "hash ddd:5,-7:cc");
        add_byte(&body, ziplist ? RDB_HASH_ZIPLIST : RDB_HASH_LISTPACK);
        add_rdb_string(&body, &odd);
        expect_refused(&body);
        add_byte(&body, ziplist ? RDB_ZSET_ZIPLIST : RDB_ZSET_LISTPACK);
        add_rdb_string(&body, &zset);
        expect_text(&body, "zset ddd=5,-7=6");
        add_byte(&body, ziplist ? RDB_ZSET_ZIPLIST : RDB_ZSET_LISTPACK);
        add_rdb_string(&body, &hash); /* "cc" is no score */
        expect_refused(&body);
        add_byte(&body, ziplist ? RDB_ZSET_ZIPLIST : RDB_ZSET_LISTPACK);
        add_rdb_string(&body, &odd);
        expect_refused(&body);
        free(hash.at);
        free(odd.at);
        free(zset.at);
    }
    struct text expiring = make_blob(false, triples, 6);
    for (int pre_ga = 0; pre_ga < 2; pre_ga++) {
        add_byte(&body, pre_ga ? RDB_HASH_LISTPACK_EX_PRE_GA : RDB_HASH_LISTPACK_EX);
        if (!pre_ga) add_little(&body, 99999, 8);
        add_rdb_string(&body, &expiring);
        expect_text(&body, "hash ddd:5,-7:cc@99999");
    }
    free(expiring.at);
    ADD(&body, "\x16\2\0\1f\1v\x43\xe8\1g\1w"); /* deadlines 0 and 1000, absolute */
    expect_text(&body, "hash f:v,g:w@1000");
    /* A deadline beyond what Redis can have written, and one that overflows. */
    ADD(&body, "\x16\1\x81\1\0\0\0\0\0\0\0\1f\1v");
    expect_refused(&body);
    ADD(&body, "\x18\xff\xff\xff\xff\xff\xff\xff\xff\1\2\1f\1v");
    expect_refused(&body);
}

static void zipmaps(void **state)
{
    struct text body = {0}, map = {0}, longer = {0};
    ADD(&map, "\2\3foo\3\0bar\5hello\5\2worldxx\xff");
    add_byte(&body, RDB_HASH_ZIPMAP);
    add_rdb_string(&body, &map);
    expect_text(&body, "hash foo:bar,hello:world");
    map.at[0] = 3; /* lies about the count */
    add_byte(&body, RDB_HASH_ZIPMAP);
    add_rdb_string(&body, &map);
    expect_refused(&body);
    map.at[0] = (char)254; /* does not tell it */
    add_byte(&body, RDB_HASH_ZIPMAP);
    add_rdb_string(&body, &map);
    expect_text(&body, "hash foo:bar,hello:world");
    ADD(&longer, "\1\1f\xfe\x2c\1\0\0\0");
    for (int i = 0; i < 300; i++) ADD(&longer, "v");
    add_byte(&longer, 0xff);
    add_byte(&body, RDB_HASH_ZIPMAP);
    add_rdb_string(&body, &longer);
    struct text want = {0};
    add_string(&want, "hash f:");
    for (int i = 0; i < 300; i++) ADD(&want, "v");
    expect_text(&body, want.at);
    free(want.at);
    free(map.at);
    free(longer.at);
}

static void intsets(void **state)
{
    struct text body = {0};
    ADD(&body, "\x0b\x0e\2\0\0\0\3\0\0\0\xfe\xff\0\0\5\0");
    expect_text(&body, "set -2,0,5");
    ADD(&body, "\x0b\x0c\2\0\0\0\2\0\0\0\5\0\5\0"); /* twice the same */
    expect_refused(&body);
    ADD(&body, "\x0b\x0c\2\0\0\0\2\0\0\0\5\0\4\0"); /* out of order */
    expect_refused(&body);
    ADD(&body, "\x0b\x0c\2\0\0\0\3\0\0\0\4\0\5\0"); /* lies about the count */
    expect_refused(&body);
    ADD(&body, "\x0b\x08\2\0\0\0\0\0\0\0"); /* empty */
    expect_refused(&body);
}

static void lies(void **state)
{
    struct text body = {0};
    ADD(&body, "\1\x80\xff\xff\xff\xff\1x"); /* 4 G elements in two bytes */
    expect_refused(&body);
    ADD(&body, "\1\x81\xff\xff\xff\xff\xff\xff\xff\xff\1x");
    expect_refused(&body);
    ADD(&body, "\0\x80\xff\xff\xff\xffx"); /* a 4 GB string in one */
    expect_refused(&body);
    ADD(&body, "\0\xc3\4\x80\x7f\xff\xff\xff\1ab\1"); /* 2 GB compressed into four */
    expect_refused(&body);
    ADD(&body, "\0\xc3\4\x81\xff\xff\xff\xff\xff\xff\xff\xff\1ab\1");
    expect_refused(&body);
    ADD(&body, "\2\0"); /* empty collections */
    expect_refused(&body);
    ADD(&body, "\4\0");
    expect_refused(&body);
    ADD(&body, "\5\1\1m\0\0\0\0\0\0\xf8\x7f"); /* NaN */
    expect_refused(&body);
    ADD(&body, "\3\1\1m\xfd");
    expect_refused(&body);
    ADD(&body, "\3\4\1m\xfe\1n\xff\1o\0032.5\1p\2-1");
    expect_text(&body, "zset m=inf,n=-inf,o=2.5,p=-1");
    ADD(&body, "\0\xc4\1"); /* no such encoding */
    expect_refused(&body);
    ADD(&body, "\x08\1x"); /* no such type */
    expect_refused(&body);
    ADD(&body, "\x1a\1x");
    expect_refused(&body);
    static const uint8_t unsupported[] = {6, 7, 15, 19, 21};
    for (size_t i = 0; i < sizeof unsupported; i++) {
        add_byte(&body, unsupported[i]);
        ADD(&body, "\1x");
        expect_body(&body, RDB_UNSUPPORTED, "", 0);
    }
}

/* ---- compression ---- */

static void lzf_round_trip(void **state)
{
    struct prng g;
    prng_seed(&g, 37);
    uint8_t *in = malloc(40000), *packed = malloc(50000), *out = malloc(40000);
    for (int round = 0; round < 4000; round++) {
        size_t len = 1 + prng_below(&g, round % 10 ? 600 : 40000);
        uint64_t letters = 1 + prng_below(&g, round % 3 ? 4 : 256);
        for (size_t i = 0; i < len; i++)
            in[i] = i > 9000 && prng_below(&g, 50) ? in[i - 8192] : (uint8_t)prng_below(&g, letters);
        size_t n = lzf_compress(in, len, packed, len + len / 32 + 1);
        assert_true(n > 0);
        assert_int_equal(lzf_decompressed_len(packed, n), len);
        memset(out, 0, len);
        assert_true(lzf_decompress(packed, n, out, len));
        assert_memory_equal(in, out, len);
        assert_false(lzf_decompress(packed, n, out, len - 1));
        if (letters == 1 && len > 100) assert_true(n < len / 10);
        if (n > 1) assert_int_equal(lzf_compress(in, len, packed, n - 1), 0);
    }
    /* References before the start; control bytes whose operands are missing. */
    static const char *const bad[] = {"\x20\x00",
                                      "\x00"
                                      "a\x20\x01",
                                      "\x05"
                                      "ab",
                                      "\x20", "\xe0\x01"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t len = i == 0 ? 2 : i == 1 ? 4 : i == 3 ? 1 : i == 4 ? 2 : 3;
        assert_true(lzf_decompressed_len((const uint8_t *)bad[i], len) == SIZE_MAX);
        assert_false(lzf_decompress((const uint8_t *)bad[i], len, out, 10));
    }
    free(in);
    free(packed);
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_payloads),
        cmocka_unit_test(damaged_payloads),
        cmocka_unit_test(footers),
        cmocka_unit_test(strings_round_trip),
        cmocka_unit_test(collections_round_trip),
        cmocka_unit_test(lengths_of_all_widths),
        cmocka_unit_test(packed_lists),
        cmocka_unit_test(packed_pairs),
        cmocka_unit_test(zipmaps),
        cmocka_unit_test(intsets),
        cmocka_unit_test(lies),
        cmocka_unit_test(lzf_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
