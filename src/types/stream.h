/* stream: entries in the order of their ascending IDs, each a list of strings (field, value, field, ...).
 *
 *     small:  | root, 64 bytes | entry | entry | ... |           in the key's item, <= STREAM_SMALL_MAX bytes
 *     large:  | root | -> directory of (lowest ID, chunk) -> chunk: | base ms | ... | entry | entry | ... |
 *
 *     entry   = [varint length] content [back length], as in types/list_chunk.h: a run can be walked both
 * ways content = varint (ms - base ms) | varint seq | packed fields packed fields = varint number of strings
 * | { varint length, bytes }*
 *
 * A chunk takes up to 4 KiB (an entry that is longer has one of its own) and STREAM_CHUNK_ENTRIES entries, as
 * a node of Redis does, so that trimming with '~' stops where Redis would. A chunk that is not the last one
 * has little room to spare. The directory is one array, taken from at the front: appending costs O(1) (it
 * doubles now and then), finding an ID a binary search and a walk of half a chunk, removing that and moving
 * less than half a chunk; taking the last entry out of a chunk in the middle moves the directory's tail.
 * Chunks that have lost entries are not joined.
 *
 * A stream may be empty: it still has its last ID, the highest ID deleted and the number of entries ever
 * added. Contract of values: types/value.h. Pure. Tests: test/unit/stream_test.c.
 */
#ifndef WEFT_TYPES_STREAM_H
#define WEFT_TYPES_STREAM_H

#include "base/mutant.h"
#include "types/value.h"

#define STREAM_EMPTY_AREA    64u
#define STREAM_SMALL_MAX     1024u
#define STREAM_CHUNK_ENTRIES 100u
#define STREAM_FIELDS_MAX    (1u << 30) /* bytes of an entry's packed fields */

struct stream_id {
    uint64_t ms, seq;
};

#define STREAM_ID_MAX ((struct stream_id){UINT64_MAX, UINT64_MAX})

static inline int stream_id_compare(struct stream_id a, struct stream_id b)
{
    if (a.ms != b.ms) return a.ms < b.ms ? -1 : 1;
    return a.seq < b.seq ? -1 : a.seq > b.seq;
}
/* The next ID, or the one before; false, and *id as it was: there is none. */
static inline bool stream_id_next(struct stream_id *id)
{
    if (id->seq == UINT64_MAX && id->ms == UINT64_MAX) return false;
    if (++id->seq == 0 && !MUTANT(stream_id_no_carry)) id->ms++;
    return true;
}
static inline bool stream_id_previous(struct stream_id *id)
{
    if (id->seq == 0 && id->ms == 0) return false;
    if (id->seq-- == 0) id->ms--;
    return true;
}

struct stream_entry {
    struct stream_id id;
    struct slice fields; /* packed */
};

/* The ID as text, without a NUL; returns its length. */
#define STREAM_ID_TEXT_MAX 41
size_t stream_id_format(char text[STREAM_ID_TEXT_MAX], struct stream_id id);

/* What outlives the entries. */
uint64_t stream_count(const struct value *stream);
struct stream_id stream_last_id(const struct value *stream);
struct stream_id stream_max_deleted_id(const struct value *stream);
uint64_t stream_entries_added(const struct value *stream);

/* Adds an entry behind all others; id > the last ID; packed <= STREAM_FIELDS_MAX bytes. *stored are the
 * packed fields where they are now, until the next change. */
int stream_append(struct value *stream, struct stream_id id, const struct slice *strings, uint32_t n,
                  struct slice *stored);
int stream_append_packed(struct value *stream, struct stream_id id, struct slice fields);
/* False: no such entry. `deleted`, not trimmed: counts for the highest ID deleted. */
bool stream_remove(struct value *stream, struct stream_id id, bool deleted);

/* The bytes that strings take as packed fields; may be more than fits in 32 bits. */
uint64_t stream_fields_size(const struct slice *strings, uint32_t n);
/* Packed fields are well formed (they came from elsewhere). */
bool stream_fields_check(struct slice fields);
/* Takes the number of strings, then the strings, off the front of packed fields. */
uint32_t stream_fields_count(struct slice *fields);
struct slice stream_fields_take(struct slice *fields);

/* Walks both ways from between two entries; good until the stream changes. */
struct stream_iter {
    struct slab *slab;
    struct stream_directory *directory; /* NULL: small */
    uint32_t index;                     /* the chunk's, in the directory */
    uint64_t base_ms;
    const uint8_t *begin, *end, *at; /* the run, and the place in it */
};
/* In front of the first entry whose ID is >= id, or (after) > id. */
void stream_iter_seek(const struct value *stream, struct stream_id id, bool after, struct stream_iter *iter);
bool stream_iter_next(struct stream_iter *iter, struct stream_entry *entry);
bool stream_iter_prev(struct stream_iter *iter, struct stream_entry *entry);
/* The number of entries in the first chunk and the last ID of them; false: the stream is empty. */
bool stream_first_chunk(const struct value *stream, uint32_t *count, struct stream_id *last);

/* Makes an empty, fresh `to` the same stream. */
int stream_copy(const struct value *from, struct value *to);
/* Gives back all that it owns and makes it an empty, fresh one. */
void stream_free(struct value *stream);
/* Frees it step by step: types/value.h. */
bool stream_free_some(struct value *stream, uint32_t *cursor, uint32_t *work);
/* Slab bytes that hang off the area. */
size_t stream_memory(const struct value *stream);
/* Checks the invariants; for tests. */
void stream_verify(const struct value *stream);

#endif
