/* The change record: the one format of everything that follows a change (WATCH, notifications, tracking,
 * write-ahead log, archive, peer links).
 *
 * A record says what a key looks like *after* a change, absolutely: no "pop a random one", no relative TTL.
 * Applying one whose sequence is covered already is skipped by the applier, so applying twice is harmless.
 *
 *   varint body_len | body
 *   body = version u8 | op u8 | flags u8 | keyspace u8 | partition u16 | sequence varint
 *        | stamp u64 (flag STAMPED) | key varint+bytes | argument count u8 | { argument varint+bytes }*
 *
 * All integers little endian; integer arguments are 8 bytes.
 *
 * A *unit* (a command, an EXEC, a script: whatever nobody may see half of) is a run of records with flag MORE
 * on all but its last, in the order of the sink that takes them; its records may be of several partitions,
 * borrowed ones too. Who makes a change does not know whether another one follows: every record made within a
 * unit comes with MORE, and when the unit ends the sink is told (store_env.record_unit_end) and clears the
 * flag of the last one, which it has not given away yet (record_clear_more). So a log's buffer is cut at ends
 * of units only, and what a crash leaves of an unfinished run is dropped. What expires or is evicted between
 * commands is no unit, or one of one record. An EXEC with a command that asks all shards (INFO, CONFIG SET)
 * gives way to other sessions in between; today its unit ends there and another one begins. To make it one, a
 * log must hold back what such an EXEC has made until it ends: its partitions are held, so nothing else can
 * depend on it, and the order within each partition stays.
 *
 * A whole unit is applied before anybody looks (store/apply.h): the caller holds all its partitions
 * meanwhile.
 *
 * Pure; any thread. Encoding costs about 15 ns + copying. Tests: test/unit/record_test.c.
 */
#ifndef WEFT_STAMP_RECORD_H
#define WEFT_STAMP_RECORD_H

#include <stdint.h>
#include <stddef.h>
#include <stdbool.h>
#include "base/slice.h"

#define RECORD_VERSION  1
#define RECORD_ARGS_MAX 4

enum record_flag { RECORD_STAMPED = 1, RECORD_MORE = 2 };

/* Arguments in order behind each op. A deadline is absolute ms, INT64_MIN when there is none. */
enum record_op {
    RECORD_KEY_DELETE = 1, /* reason: enum record_delete_reason */
    RECORD_KEY_EXPIRE,     /* deadline */
    RECORD_KEY_STORE,      /* RDB object payload, deadline: the whole value (RENAME, COPY, RESTORE, *STORE) */
    RECORD_STRING_SET,     /* value, deadline */
    RECORD_STRING_WRITE,   /* offset, bytes: the value from offset on is these bytes, zero-filled up to it */
    RECORD_STRING_ADD,     /* delta, result: an integer counter step */
    RECORD_STRING_ADD_FLOAT, /* delta text, result text */
    RECORD_HASH_SET,         /* field, value, deadline of the field */
    RECORD_HASH_REMOVE,      /* field, reason */
    RECORD_HASH_EXPIRE,      /* field, deadline */
    RECORD_HASH_ADD,         /* field, delta, result */
    RECORD_HASH_ADD_FLOAT,   /* field, delta text, result text */
    RECORD_SET_ADD,          /* member */
    RECORD_SET_REMOVE,       /* member */
    RECORD_ZSET_SET,         /* member, score (8 bytes double) */
    RECORD_ZSET_ADD,         /* member, delta, score: an increment */
    RECORD_ZSET_REMOVE,      /* member */
    RECORD_LIST_INSERT,      /* index (negative: from the tail, -1 = behind the last), value */
    RECORD_LIST_SET,         /* index, value */
    RECORD_LIST_REMOVE,      /* index (negative from the tail), count */
    RECORD_STREAM_APPEND,    /* id (16 bytes), packed fields */
    RECORD_STREAM_REMOVE,    /* id, 1: deleted by its ID, 0: trimmed */
    RECORD_FLUSH,            /* the whole keyspace of this partition; no key */
    RECORD_SWAP,             /* the other keyspace id: db -> keyspace mapping swapped; no key */
    RECORD_OP_COUNT
};

enum record_delete_reason { RECORD_DELETED, RECORD_EXPIRED, RECORD_EVICTED, RECORD_OVERWRITTEN };

struct record {
    uint64_t sequence, stamp;
    struct slice key;
    struct slice args[RECORD_ARGS_MAX];
    uint16_t partition;
    uint8_t op, flags, keyspace, args_count;
};

/* An integer argument: storage that lives as long as the record is used. */
static inline struct slice record_int(const int64_t *value)
{
    return (struct slice){(const char *)value, sizeof *value};
}
static inline int64_t record_arg_int(const struct record *record, int index)
{
    int64_t value = 0;
    if (record->args[index].len == sizeof value) memcpy(&value, record->args[index].ptr, sizeof value);
    return value;
}

/* Upper bound of the encoded size. */
size_t record_size_max(const struct record *record);
/* Encodes into `out` (at least record_size_max bytes); returns the bytes written. */
size_t record_encode(const struct record *record, uint8_t *out);
/* Takes MORE from a record as it was encoded: it turned out to be its unit's last one. */
void record_clear_more(uint8_t *encoded);
/* Decodes one record; slices point into `data`. Returns the bytes used, 0 when more are needed, -1 when
 * malformed or of a newer version. */
int64_t record_decode(const uint8_t *data, size_t len, struct record *out);

#endif
