/* For tests of collection types: a value whose area is on the heap, unaligned, exactly as long as it says and
 * moved at every resize, so that sanitizers see every slip; memory that fails on demand; a slab over mmap. */
#ifndef WEFT_TEST_VALUE_FIXTURE_H
#define WEFT_TEST_VALUE_FIXTURE_H

#include <stdlib.h>
#include <sys/mman.h>

#include "base/check.h"
#include "types/value.h"

static void *fixture_reserve(size_t len)
{
    void *ptr = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return ptr == MAP_FAILED ? NULL : ptr;
}
static inline void fixture_unreserve(void *ptr, size_t len)
{
    munmap(ptr, len);
}
static inline void fixture_decommit(void *ptr, size_t len)
{
    madvise(ptr, len, MADV_DONTNEED);
}
static const struct slab_memory fixture_memory = {fixture_reserve, fixture_unreserve, fixture_decommit, NULL};

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
