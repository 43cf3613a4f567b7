/* Mutators of hashes and of their fields' deadlines (rules: store/mutate.h). Slices must not point into the
 * same hash. The item of a hash is filed in the partition's wheel by its earliest field; that is kept up
 * here. Tests: test/unit/mutate_hash_set_test.c. */
#ifndef WEFT_STORE_MUTATE_HASH_H
#define WEFT_STORE_MUTATE_HASH_H

#include "store/mutate.h"
#include "types/hash.h"

struct hash_config mutate_hash_config(const struct store_env *env);

/* Before fields are set, by these texts (fields and values): makes an absent key an empty hash, in the
 * encoding that Redis chooses by them. A field must follow; when its memory fails, the empty hash goes. */
int mutate_hash_prepare(struct entry *entry, const struct slice *texts, uint64_t count);
/* Before fields get deadlines, whether there are such fields or not: Redis's encoding changes by it. */
void mutate_hash_prepare_deadlines(struct entry *entry);
/* deadline_ms: of the field, in the future; HASH_NO_DEADLINE; or HASH_KEEP_DEADLINE. */
int mutate_hash_set(struct entry *entry, struct slice field, struct slice value, int64_t deadline_ms,
                    bool *created);
/* Counter steps; the field's deadline stays. */
int mutate_hash_add(struct entry *entry, struct slice field, int64_t delta, int64_t result);
int mutate_hash_add_float(struct entry *entry, struct slice field, struct slice delta, struct slice result);
/* Gives a field that is there a deadline in the future, or takes it away (HASH_NO_DEADLINE). */
int mutate_hash_expire(struct entry *entry, struct slice field, int64_t deadline_ms);
/* False: no such field. An empty hash's key goes. */
bool mutate_hash_remove(struct entry *entry, struct slice field, enum record_delete_reason reason);
/* Removes up to `most` fields that are due at now_ms; returns how many. An empty hash's key goes. */
int mutate_hash_expire_fields(struct entry *entry, int64_t now_ms, int most);

#endif
