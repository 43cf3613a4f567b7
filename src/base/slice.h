/* A view of bytes that somebody else owns. Not NUL-terminated. Pure value type. */
#ifndef WEFT_BASE_SLICE_H
#define WEFT_BASE_SLICE_H

#include <stddef.h>
#include <string.h>
#include <stdbool.h>

struct slice {
    const char *ptr;
    size_t len;
};

#define SLICE(literal) ((struct slice){literal, sizeof(literal) - 1})

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

#endif
