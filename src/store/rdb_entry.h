/* Keys and their values in serialised form: DUMP, RESTORE, DEBUG RELOAD, and the payload of RECORD_KEY_STORE.
 * Joins rdb.h (bytes) to the types. Threading: the partition's holder. Tests: test/unit/rdb_entry_test.c,
 * test/blackbox/dump_test.py. */
#ifndef WEFT_STORE_RDB_ENTRY_H
#define WEFT_STORE_RDB_ENTRY_H

#include "store/partition.h"
#include "store/rdb.h"

/* Type byte and body of a present key's value. *version becomes the first RDB version that has this form, if
 * it is lower. Memory: w->failed. */
void rdb_object_write(struct rdb_writer *w, const struct entry *entry, uint16_t *version);

/* Streams have no serialised form yet. */
static inline bool rdb_object_is_writable(const struct entry *entry)
{
    return item_type(entry->item) != ITEM_STREAM;
}

/* The value, which is writable, as DUMP gives it, footer included: malloc'ed, NULL without memory. */
char *rdb_object_dump(const struct entry *entry, size_t *len);
char *rdb_object_dump_as(const struct entry *entry, bool compress, size_t *len); /* LZF where it helps */

/* Gives the key, present or not, the value of such a payload and this deadline (absolute, or
 * ITEM_NO_DEADLINE). Fields of a hash whose deadline has passed are left out; a hash with no others is RDB_OK
 * and leaves the key absent. Results as rdb_read_dump; unless RDB_OK, nothing has changed. */
int rdb_object_restore(struct entry *entry, struct slice payload, int64_t deadline_ms);
/* The same for a payload that must not lose anything by the encoding it gets here (a listpack knows no -0.0,
 * so that Redis loses it by RESTORE): RECORD_KEY_STORE. */
int rdb_object_restore_exact(struct entry *entry, struct slice payload, int64_t deadline_ms);

/* Writes every writable key of the partition out and reads it back in, one by one. RDB_OK, or the first
 * failure (the keys are complete all the same). */
int rdb_partition_reload(struct partition *partition);

#endif
