/* rdb: values in Redis's serialised form: what DUMP and RESTORE exchange, and the values inside an RDB file.
 *
 * The byte half of it: it knows no types of ours. Writing is a set of primitives that append to a buffer;
 * reading walks a payload and calls a visitor for each element. store/rdb_entry.h joins it to the values.
 *
 * A payload is <type byte> <body> <2 bytes version> <8 bytes CRC64>. Types we write are those that every
 * version since the stated one reads, and that a real Redis turns into its own best encoding: STRING, LIST,
 * SET, HASH, ZSET_2 (8), HASH_METADATA (12). We read all that Redis up to 8.0 can write, but streams and
 * modules.
 *
 * Hostile payloads: every length is checked against the bytes that are there before anything is allocated;
 * packed blobs are checked entry by entry while they are walked. What the visitor may see before an error is
 * found: valid elements. It must check for duplicates itself. Compressed strings longer than RDB_STRING_MAX
 * are refused. Pure; memory by malloc, owned by the structs. One thread each. Tests: test/unit/rdb_test.c,
 * test/fuzz/rdb_fuzz.c, test/blackbox/dump_test.py.
 */
#ifndef WEFT_STORE_RDB_H
#define WEFT_STORE_RDB_H

#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#define RDB_VERSION     12 /* the newest whose payloads we read: Redis 7.4 and 8.0 */
#define RDB_FOOTER_SIZE 10
#define RDB_STRING_MAX  ((uint64_t)4 << 30)

enum rdb_type {
    RDB_STRING = 0,
    RDB_LIST = 1,
    RDB_SET = 2,
    RDB_ZSET = 3, /* scores as text */
    RDB_HASH = 4,
    RDB_ZSET_2 = 5, /* scores as doubles */
    RDB_MODULE = 6,
    RDB_MODULE_2 = 7,
    RDB_HASH_ZIPMAP = 9,
    RDB_LIST_ZIPLIST = 10,
    RDB_SET_INTSET = 11,
    RDB_ZSET_ZIPLIST = 12,
    RDB_HASH_ZIPLIST = 13,
    RDB_LIST_QUICKLIST = 14,
    RDB_STREAM_LISTPACKS = 15,
    RDB_HASH_LISTPACK = 16,
    RDB_ZSET_LISTPACK = 17,
    RDB_LIST_QUICKLIST_2 = 18,
    RDB_STREAM_LISTPACKS_2 = 19,
    RDB_SET_LISTPACK = 20,
    RDB_STREAM_LISTPACKS_3 = 21,
    RDB_HASH_METADATA_PRE_GA = 22,
    RDB_HASH_LISTPACK_EX_PRE_GA = 23,
    RDB_HASH_METADATA = 24,
    RDB_HASH_LISTPACK_EX = 25,
};

enum {
    RDB_OK = 0,
    RDB_CORRUPT = -1,     /* not the bytes of a value, or an empty collection */
    RDB_UNSUPPORTED = -2, /* a stream or module value */
    RDB_NO_MEMORY = -3,
    RDB_BAD_FOOTER = -4, /* checksum wrong, or a version we do not know */
};

/* ---- writing ---- */

struct rdb_writer {
    char *begin, *at, *end;
    bool compress; /* LZF for strings above 20 bytes, where it helps */
    bool failed;   /* out of memory; further writes do nothing */
};

void rdb_writer_init(struct rdb_writer *w, bool compress);
void rdb_writer_free(struct rdb_writer *w);
static inline size_t rdb_writer_len(const struct rdb_writer *w)
{
    return (size_t)(w->at - w->begin);
}
static inline void rdb_writer_clear(struct rdb_writer *w)
{
    w->at = w->begin;
}

void rdb_write_byte(struct rdb_writer *w, uint8_t byte);
void rdb_write_len(struct rdb_writer *w, uint64_t len);
void rdb_write_string(struct rdb_writer *w, const void *ptr, size_t len); /* integers are packed */
void rdb_write_i64(struct rdb_writer *w, int64_t value);                  /* an integer as a string */
void rdb_write_double(struct rdb_writer *w, double value);                /* 8 bytes */
void rdb_write_u64(struct rdb_writer *w, uint64_t value);                 /* 8 bytes: deadlines */
/* Version and checksum over all bytes so far. */
void rdb_write_footer(struct rdb_writer *w, uint16_t version);

/* ---- reading ---- */

enum rdb_kind { RDB_KIND_STRING, RDB_KIND_LIST, RDB_KIND_SET, RDB_KIND_ZSET, RDB_KIND_HASH };

#define RDB_NO_DEADLINE ((int64_t)-1)

/* Gets one begin, then the elements in order. A negative result ends the reading and is its result. Slices
 * are valid during the call only. */
struct rdb_visitor {
    void *context;
    int (*begin)(void *context, enum rdb_kind kind,
                 uint64_t count_hint); /* 0: not known. Bounded by the payload */
    int (*string)(void *context, struct slice value);
    int (*element)(void *context, struct slice element);             /* of a list (in order) or a set */
    int (*member)(void *context, struct slice member, double score); /* never NaN */
    int (*field)(void *context, struct slice field, struct slice value, int64_t deadline_ms);
};

/* A payload with footer. */
int rdb_read_dump(const void *payload, size_t len, const struct rdb_visitor *visitor);
/* Checks footer and type byte only: RDB_OK or RDB_BAD_FOOTER. */
int rdb_check_footer(const void *payload, size_t len);
/* One value of `type` at the start of `bytes`; *used is how many it took. */
int rdb_read_value(uint8_t type, const void *bytes, size_t len, const struct rdb_visitor *visitor,
                   size_t *used);

#endif
