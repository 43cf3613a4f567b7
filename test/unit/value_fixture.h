/* For tests of collection types: a value whose area is on the heap, unaligned, exactly as long as it says and
 * moved at every resize, so that sanitizers see every slip; memory that fails on demand. */
#ifndef WEFT_TEST_VALUE_FIXTURE_H
#define WEFT_TEST_VALUE_FIXTURE_H

#include <stdlib.h>

#include "map_memory.h"
#include "types/value.h"

struct fixture_value {
    struct value value; /* first */
    int fail_resize;    /* the n-th growth from now fails; 0: none */
};

static inline bool fixture_resize(struct value *value, uint32_t len)
{
    struct fixture_value *fixture = (struct fixture_value *)value;
    if (len > value->len && fixture->fail_resize && --fixture->fail_resize == 0) return false;
    uint8_t *moved = (uint8_t *)malloc(len + 1) + 1;
    memcpy(moved, value->bytes, len < value->len ? len : value->len);
    if (len > value->len) memset(moved + value->len, 0xa5, len - value->len);
    free(value->bytes - 1);
    value->bytes = moved;
    value->len = len;
    return true;
}

static inline void fixture_value_init(struct fixture_value *fixture, struct slab *slab, uint32_t len)
{
    fixture->value = (struct value){slab, (uint8_t *)malloc(len + 1) + 1, len, fixture_resize};
    fixture->fail_resize = 0;
    memset(fixture->value.bytes, 0, len);
}

static inline void fixture_value_done(struct fixture_value *fixture)
{
    free(fixture->value.bytes - 1);
}

#endif
