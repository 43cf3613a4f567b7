/* Mutators of lists (rules: store/mutate.h). They also move the encoding that clients see, where Redis would.
 * Slices must not point into the same list. Indices are 0-based from the head. Tests:
 * test/unit/mutate_ordered_test.c.
 */
#ifndef WEFT_STORE_MUTATE_LIST_H
#define WEFT_STORE_MUTATE_LIST_H

#include "store/mutate.h"
#include "types/list.h"

/* Pushes one after the other; an absent key becomes a list. All or none. */
int mutate_list_push(struct entry *entry, enum list_end end, const struct slice *elements, uint32_t n);
/* In front of the element at index <= count of a present list. */
int mutate_list_insert(struct entry *entry, uint32_t index, struct slice element);
int mutate_list_set(struct entry *entry, uint32_t index, struct slice element);
/* Takes [index, index + n) out; an empty list's key goes. n == 0 changes nothing. */
void mutate_list_remove(struct entry *entry, uint32_t index, uint32_t n);
/* Redis looks at the encoding before it knows whether it will add: LINSERT, LSET. Emits nothing. */
void mutate_list_expect(struct entry *entry, struct slice element);

#endif
