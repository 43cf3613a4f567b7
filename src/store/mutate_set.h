/* Mutators of sets (rules: store/mutate.h). Slices must not point into the same set, but for mutate_set_pop.
 * Tests: test/unit/mutate_hash_set_test.c. */
#ifndef WEFT_STORE_MUTATE_SET_H
#define WEFT_STORE_MUTATE_SET_H

#include "store/mutate.h"
#include "types/set.h"

struct set_config mutate_set_config(const struct store_env *env);

/* Before up to `hint` members are added, the first of them `first`: makes an absent key an empty set, in the
 * encoding that Redis chooses by these. A mutate_set_add must follow; when its memory fails, the empty set
 * goes. */
int mutate_set_prepare(struct entry *entry, struct slice first, uint64_t hint);
int mutate_set_add(struct entry *entry, struct slice member, bool *added);
/* False: no such member. An empty set's key goes. */
bool mutate_set_remove(struct entry *entry, struct slice member);
/* Removes a member that is there; `member` may be the set's own slice and is void afterwards. */
void mutate_set_pop(struct entry *entry, struct slice member);
/* Keeps some of the members (not none, not all): `keep` has a bit for each in the order of set_iter. What is
 * kept is built anew, in the encoding that Redis gives it. */
int mutate_set_keep(struct entry *entry, const uint8_t *keep);

#endif
