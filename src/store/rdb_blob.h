/* Walks over Redis's packed blobs, entry by entry, trusting nothing: listpack, ziplist, zipmap, intset. Used
 * by rdb_read.c only; their layouts are at the top of rdb_blob.c. Pure. */
#ifndef WEFT_STORE_RDB_BLOB_H
#define WEFT_STORE_RDB_BLOB_H

#include "base/number.h"
#include "base/slice.h"

#include <stdint.h>
#include <stdbool.h>

/* An entry: a string inside the blob, or an integer. */
struct rdb_blob_entry {
    bool is_int;
    int64_t integer;
    struct slice string;
    char text[NUMBER_I64_MAX]; /* of an integer whose text was asked for */
};

/* Its bytes, an integer's formatted into the entry itself. */
struct slice rdb_blob_text(struct rdb_blob_entry *entry);

struct rdb_blob {
    const uint8_t *at, *end; /* end: the terminator */
    uint64_t previous;       /* bytes of the entry before (ziplist) */
    const uint8_t *last;     /* where the header says that the last entry starts (ziplist) */
    uint64_t seen, claimed;  /* entries; claimed UINT64_MAX: the header does not tell */
    bool ziplist;
};

/* False: the header is wrong. */
bool rdb_listpack_open(struct rdb_blob *c, struct slice blob);
bool rdb_ziplist_open(struct rdb_blob *c, struct slice blob);
/* 1: *entry is the next one; 0: properly at the end; -1: corrupt. */
int rdb_blob_next(struct rdb_blob *c, struct rdb_blob_entry *entry);

/* Zipmap: pairs of strings. at/end as above; a pair or 0 or -1. */
bool rdb_zipmap_open(struct rdb_blob *c, struct slice blob);
int rdb_zipmap_next(struct rdb_blob *c, struct slice *field, struct slice *value);

/* Intset: width and count of its integers, which must ascend. False: corrupt. */
struct rdb_intset {
    const uint8_t *integers;
    uint32_t width, count;
};
bool rdb_intset_open(struct rdb_intset *set, struct slice blob);
int64_t rdb_intset_get(const struct rdb_intset *set, uint32_t index);

#endif
