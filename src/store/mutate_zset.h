/* Mutators of sorted sets (rules: store/mutate.h). Slices must not point into the same set; scores are never
 * NaN. Tests: test/unit/mutate_ordered_test.c. */
#ifndef WEFT_STORE_MUTATE_ZSET_H
#define WEFT_STORE_MUTATE_ZSET_H

#include "store/mutate.h"
#include "types/zset.h"

struct zset_limits mutate_zset_limits(const struct store_env *env);

/* Before `count` members, the first of `member_len` bytes, are set: makes an absent key an empty set, in the
 * encoding that Redis chooses by these. A mutate_zset_set must follow; when its memory fails, the empty set
 * goes. */
int mutate_zset_prepare(struct entry *entry, uint64_t count, uint64_t member_len);
/* Adds or updates the member as `decide` says (zset_change). `delta` (may be NULL): the change is an
 * increment by this. */
int mutate_zset_change(struct entry *entry, struct slice member, zset_decide *decide, void *context,
                       const double *delta, struct zset_outcome *outcome);
/* False: no such member. An empty set's key goes. */
bool mutate_zset_remove(struct entry *entry, struct slice member);
/* Takes ranks [from, to) out; an empty set's key goes. */
void mutate_zset_remove_span(struct entry *entry, uint32_t from, uint32_t to);
#endif
