/* build: a collection in the making, which takes a key's place when it is complete. *STORE commands and
 * RESTORE write into build->value with the type's own functions (set_add, zset_set, list_push, ...) and then
 * store it: what the key held before stays readable until then (it may be one of the sources) and stays
 * altogether if memory runs out.
 *
 *     struct build build;
 *     build_begin(&build, entry.partition, ITEM_ZSET, ZSET_EMPTY_AREA, zset_free);
 *     ... zset_set(&build.value, ...) ...
 *     if (build_store(&build, &entry) != VALUE_OK) build_drop(&build);
 *
 * The area lives in the struct (on the stack), everything else in the partition's slab. A build that is
 * neither stored nor dropped leaks. Threading: the partition's holder. Tests:
 * test/unit/mutate_ordered_test.c.
 */
#ifndef WEFT_STORE_BUILD_H
#define WEFT_STORE_BUILD_H

#include "store/partition.h"

#define BUILD_AREA_MAX 4352u /* longest inline area that any type makes */

struct build {
    struct value value; /* first: resize finds the build by it */
    enum item_type type;
    void (*free)(struct value *value);
    uint8_t area[BUILD_AREA_MAX];
};

/* An empty collection: `area_len` zero bytes. `free` gives back what such a value owns. */
void build_begin(struct build *build, struct partition *partition, enum item_type type, uint32_t area_len,
                 void (*free)(struct value *value));
/* Makes it the value of the entry's key (of the same partition), in place of any other; no deadline. Emits
 * one RECORD_KEY_STORE. VALUE_NO_MEMORY: the key is as it was, and the build too. The collection must not be
 * empty. */
int build_store(struct build *build, struct entry *entry);
/* The same with a deadline for the key (or ITEM_NO_DEADLINE). */
int build_store_until(struct build *build, struct entry *entry, int64_t deadline_ms);
/* Frees what was built. */
void build_drop(struct build *build);

#endif
