/* What the tests of the ordered types (zset, list) share: a slab over mmap, a seed that is printed, random
 * bytes. */
#ifndef WEFT_TEST_ORDERED_UTIL_H
#define WEFT_TEST_ORDERED_UTIL_H

#include "map_memory.h"
#include "base/check.h"
#include "base/prng.h"
#include "base/slice.h"
#include "types/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* WEFT_SEED, or the clock; WEFT_ROUNDS multiplies the work. */
static inline uint64_t test_seed(void)
{
    const char *text = getenv("WEFT_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL) * 1000003u + (uint64_t)clock();
    printf("seed: WEFT_SEED=%llu\n", (unsigned long long)seed);
    fflush(stdout);
    return seed;
}
static inline unsigned test_rounds(void)
{
    const char *text = getenv("WEFT_ROUNDS");
    return text ? (unsigned)strtoul(text, NULL, 0) : 1;
}

/* A value area as a key's item would hold it, but malloc'ed anew at each resize: a stale pointer is an error
 * that the sanitizer sees. `fail` makes growing it fail. */
struct test_value {
    struct value value; /* first */
    bool fail;
};

static bool test_value_resize(struct value *value, uint32_t len)
{
    struct test_value *self = (struct test_value *)value;
    if (len > value->len && self->fail) return false;
    uint8_t *bytes = malloc(len ? len : 1);
    CHECK(bytes != NULL);
    memcpy(bytes, value->bytes, len < value->len ? len : value->len);
    free(value->bytes);
    value->bytes = bytes;
    value->len = len;
    return true;
}

static inline void test_value_init(struct test_value *self, struct slab *slab, uint32_t len)
{
    *self = (struct test_value){.value = {.slab = slab, .bytes = calloc(1, len), .len = len}};
    self->value.resize = test_value_resize;
}

#endif
