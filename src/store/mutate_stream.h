/* Mutators of streams (rules: store/mutate.h). Unlike other collections an empty stream stays (P3). What
 * limits strings is the caller's: stream_fields_size() <= STREAM_FIELDS_MAX. Tests:
 * test/unit/mutate_stream_test.c.
 */
#ifndef WEFT_STORE_MUTATE_STREAM_H
#define WEFT_STORE_MUTATE_STREAM_H

#include "store/mutate.h"
#include "types/stream.h"

/* An absent key becomes a stream. id > the last ID. */
int mutate_stream_append(struct entry *entry, struct stream_id id, const struct slice *strings, uint32_t n);
int mutate_stream_append_packed(struct entry *entry, struct stream_id id, struct slice fields);
/* False: no such entry. `deleted`: by its ID, not trimmed. */
bool mutate_stream_remove(struct entry *entry, struct stream_id id, bool deleted);

struct stream_trim {
    enum { STREAM_TRIM_NONE, STREAM_TRIM_MAXLEN, STREAM_TRIM_MINID } strategy;
    bool whole_chunks;      /* '~': only chunks of which nothing has to stay */
    uint64_t maxlen, limit; /* limit: of entries taken; 0: none */
    struct stream_id minid;
};
/* Takes entries off the front; returns how many. */
uint64_t mutate_stream_trim(struct entry *entry, const struct stream_trim *trim);

/* The records that make a stream of nothing, in place of one RECORD_KEY_STORE (for mutate_key_stored). The
 * highest ID deleted and the number of entries added are not in them. */
void mutate_stream_emit_whole(struct entry *entry);

#endif
