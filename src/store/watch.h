/* watch: which keys of a partition are watched, and a token for each that grows whenever the key changes.
 *
 * WATCH is by change, not by value: EXEC holds the partitions of the watched keys anyway, and compares the
 * tokens it was given with the ones here. So no message is sent to a watcher, and the table moves along with
 * its partition. Keys are watched by database number, as a client names them: SWAPDB puts another value
 * behind the same name. A key that has died changes when somebody sees it dead or it is removed, whichever
 * comes first: who begins to watch it in between sees no change. A small chained hash table (malloc: control
 * plane); it exists only while a key of the partition is watched. Threading: the partition's holder. Tests:
 * test/unit/store_watch_test.c.
 */
#ifndef WEFT_STORE_WATCH_H
#define WEFT_STORE_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include "base/slice.h"

struct watch_table;

/* Begins (or adds one) to watch; creates the table at need. Returns the token. */
uint64_t watch_add(struct watch_table **table, struct slice key, uint64_t hash, uint8_t db);
/* The token, 0 when the key is not watched. */
uint64_t watch_token(const struct watch_table *table, struct slice key, uint64_t hash, uint8_t db);
/* Takes one watcher away; the last of all frees the table. */
void watch_remove(struct watch_table **table, struct slice key, uint64_t hash, uint8_t db);
void watch_touch(struct watch_table *table, struct slice key, uint64_t hash, uint8_t db);
/* The key is dead, but stays for a while (CLIENT PAUSE): this is its change, and no longer its removal. Or it
 * lives after all, as the clock went back. */
void watch_see(struct watch_table *table, struct slice key, uint64_t hash, uint8_t db, bool is_dead);
/* The key is removed: a change, but where it had been seen dead. */
void watch_bury(struct watch_table *table, struct slice key, uint64_t hash, uint8_t db);
/* Calls back for every watched key of a database (FLUSHDB, SWAPDB decide key by key). */
void watch_each(struct watch_table *table, uint8_t db,
                void (*visit)(void *context, struct slice key, uint64_t hash, uint64_t *token),
                void *context);
uint64_t watch_count(const struct watch_table *table); /* keys, each once; 0 for NULL */
void watch_destroy(struct watch_table *table);

#endif
