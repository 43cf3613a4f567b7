/* rows: how the shards' parts of a scatter become one sorted list. Each shard writes rows into its part, each
 * with an order key; the asker sorts them. Used by CLIENT LIST and SLOWLOG GET. Control plane. */
#ifndef WEFT_SHARD_ROWS_H
#define WEFT_SHARD_ROWS_H

#include "shard/shard.h"

/* Opens a row in `out`; what is written until row_end is its body. Returns the mark for row_end. */
size_t row_begin(struct reply *out, uint64_t order);
void row_end(struct reply *out, size_t mark);

struct row {
    uint64_t order;
    struct slice body; /* points into the part */
};

/* All rows of all parts, by ascending order; malloc'ed. */
struct row *rows_collect(const struct scatter_part *parts, uint16_t count, size_t *rows);

#endif
