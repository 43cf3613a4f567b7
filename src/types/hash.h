/* hash: a Redis hash over a value area (types/value.h), whose fields may have deadlines. Forms, chosen by
 * size:
 *
 *     PAIRS    | tag | count | field | value | ... |                  (types/packed.h) no deadlines
 *     TRIPLES  | tag | count | field | value | deadline | ... |       deadline: 6 bytes or none
 *     TABLE    | tag | struct hash_root | -> table of field items, heap of those with a deadline
 *
 * PAIRS and TRIPLES hold at most 128 fields in 2 KiB. A field item is one slab allocation,
 *     [flags][varint field length][varint value length][ deadline 6, place in the heap 4 ][field][value]
 * so that a field of 16 + 8 bytes takes about 39 bytes with its share of the buckets. The form only ever
 * moves down this list. The encoding that OBJECT ENCODING shows ("listpack", "listpackex", "hashtable") is a
 * field of its own in the tag and follows Redis's rules and thresholds; it never goes back either.
 *
 * The hash knows no clock: a field whose deadline has passed is there like any other until hash_expire takes
 * it out; readers compare deadline_ms with their time (hash_field_is_due).
 *
 * A fresh area is HASH_EMPTY_AREA zero bytes. Slices handed out live until the next change of the hash or its
 * item; slices given to a mutator must not point into the hash. At most 2^32 - 1 fields. Mutators return
 * VALUE_OK or VALUE_NO_MEMORY (then nothing has changed); removing and shortening never fail. Pure;
 * threading: whoever holds the slab. Tests: test/unit/hash_test.c.
 */
#ifndef WEFT_TYPES_HASH_H
#define WEFT_TYPES_HASH_H

#include "base/prng.h"
#include "types/table.h"
#include "types/value.h"

#define HASH_EMPTY_AREA    1u
#define HASH_NO_DEADLINE   INT64_MIN       /* as in change records */
#define HASH_KEEP_DEADLINE (INT64_MIN + 1) /* hash_set: what the field has, or none */
#define HASH_DEADLINE_MAX  ((1ll << 48) - 1)

struct hash_config {
    uint64_t listpack_entries_max, listpack_value_max;
    uint64_t hash_seed; /* for a table made now; each table remembers its own */
};

struct hash_field {
    struct slice field, value;
    int64_t deadline_ms; /* or HASH_NO_DEADLINE */
};

static inline bool hash_field_is_due(const struct hash_field *field, int64_t now_ms)
{
    return field->deadline_ms != HASH_NO_DEADLINE && field->deadline_ms < now_ms;
}

/* Fields, those included that are due but not yet taken out. */
uint64_t hash_count(const struct value *hash);
/* Fields with a deadline. */
uint64_t hash_count_deadlines(const struct value *hash);
bool hash_find(const struct value *hash, struct slice field, struct hash_field *out);

/* Redis looks at the encoding once before it sets fields: the texts (fields and values) to be set. */
void hash_prepare(struct value *hash, const struct hash_config *config, const struct slice *texts,
                  uint64_t count);
/* ... and once before it gives fields deadlines, whether there are such fields or not. */
void hash_prepare_deadlines(struct value *hash);
/* Sets a field; deadline_ms in [0, HASH_DEADLINE_MAX], HASH_NO_DEADLINE or HASH_KEEP_DEADLINE. *created: it
 * was not there. */
int hash_set(struct value *hash, const struct hash_config *config, struct slice field, struct slice value,
             int64_t deadline_ms, bool *created);
/* Gives a field that is there a deadline, or takes it away (HASH_NO_DEADLINE: never fails). */
int hash_set_deadline(struct value *hash, const struct hash_config *config, struct slice field,
                      int64_t deadline_ms);
bool hash_remove(struct value *hash, struct slice field);

/* The earliest deadline of any field; INT64_MAX: none has one. O(1) in the TABLE form. */
int64_t hash_earliest_ms(const struct value *hash);
/* Takes out up to `most` fields that are due at now_ms, the earliest first in the TABLE form, each shown
 * before it goes. Returns how many. */
typedef void hash_visit(void *context, const struct hash_field *field);
uint32_t hash_expire(struct value *hash, int64_t now_ms, uint32_t most, hash_visit *visit, void *context);

/* A field, each equally likely (due ones too); the hash is not empty. */
void hash_random(const struct value *hash, struct prng *prng, struct hash_field *out);

/* Shows fields up to the next cursor, which it returns; 0 at the end. Guarantee: see table_scan. Small forms
 * show all at once. */
uint64_t hash_scan(const struct value *hash, uint64_t cursor, hash_visit *visit, void *context);

/* All fields; packed ones in the order of insertion. The hash must not change meanwhile. */
struct hash_iter {
    const struct value *hash;
    struct table_iter table;
    uint32_t at;
};
void hash_iter_begin(struct hash_iter *iter, const struct value *hash);
bool hash_iter_next(struct hash_iter *iter, struct hash_field *field);

const char *hash_encoding(const struct value *hash);
bool hash_is_hashtable(const struct value *hash); /* as clients see it */
/* In the TABLE form: slices of its fields differ in their addresses, and stay where they are. */
bool hash_is_table(const struct value *hash);
/* Bytes in the slab beside the area. */
uint64_t hash_memory(const struct value *hash);
/* Makes `copy`, an empty hash of the same or another slab, equal to `hash`, encoding and deadlines included.
 */
int hash_copy(const struct value *hash, struct value *copy);
/* Gives back what the area points to; the area is then an empty hash's (of any length). */
void hash_free(struct value *hash);
/* Frees it step by step: types/value.h. */
bool hash_free_some(struct value *hash, uint32_t *cursor, uint32_t *work);
/* Checks every invariant. For tests. */
void hash_verify(const struct value *hash);

#endif
