/* Memory of slabs for unit tests: straight from mmap, no io. */
#ifndef WEFT_TEST_MAP_MEMORY_H
#define WEFT_TEST_MAP_MEMORY_H

#include "base/check.h"
#include "base/slab.h"

#include <sys/mman.h>

static void *map_reserve(size_t len)
{
    void *ptr = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return ptr == MAP_FAILED ? NULL : ptr;
}
static void map_unreserve(void *ptr, size_t len)
{
    munmap(ptr, len);
}
static void map_decommit(void *ptr, size_t len)
{
    CHECK(madvise(ptr, len, MADV_DONTNEED) == 0);
}
static const struct slab_memory map_memory = {map_reserve, map_unreserve, map_decommit, NULL};

#endif
