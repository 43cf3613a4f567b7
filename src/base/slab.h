/* slab: the allocator of one partition. Everything that a partition stores lives in it, so a partition can be
 * handed to another thread as a whole, its memory is counted exactly, and dropping it is one call.
 *
 * An allocation is a 32-bit handle in units of 8 bytes from the slab's base (32 GiB at most); 0 is "none".
 * Frees are sized: the caller knows the size, the slab stores none. Sizes are exact to 8 bytes up to
 * SLAB_SMALL_MAX; to 64 bytes up to 4 KiB and to 256 up to 16 KiB; larger ones take runs of 4 KiB pages. An
 * allocation is 8-byte aligned, and 64-byte aligned when its size is a multiple of 64 (slab_alloc_aligned64
 * checks that it is).
 *
 * Threading: owned by whoever holds the partition; no locks. Pointers from slab_ptr stay valid until that
 * handle is freed (the base never moves). Bound: `limit_bytes` of address space, given at creation.
 * slab_alloc returns 0 when that is used up or when the simulator injects a failure; the caller must have
 * changed nothing before.
 */
#ifndef WEFT_BASE_SLAB_H
#define WEFT_BASE_SLAB_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

typedef uint32_t slab_handle;

/* Where address space comes from (io/world.h in production; malloc in unit tests is fine too). */
struct slab_memory {
    void *(*reserve)(size_t len);
    void (*unreserve)(void *ptr, size_t len);
    void (*decommit)(void *ptr, size_t len);
    void (*huge)(void *ptr, size_t len, bool on); /* may be NULL */
};

#define SLAB_SMALL_MAX 1024

struct slab {
    uint8_t *base;            /* first member: slab_ptr is one load and one add */
    uint64_t used_bytes;      /* sum of the live allocations' rounded sizes */
    uint64_t held_bytes;      /* pages taken from the address space and not given back: what RSS sees */
    struct slab_state *state; /* slab.c's own */
};

int slab_init(struct slab *slab, const struct slab_memory *memory, size_t limit_bytes); /* 0 or -1 */
void slab_destroy(struct slab *slab);
void slab_reset(struct slab *slab); /* frees everything at once, gives the pages back */

slab_handle slab_alloc(struct slab *slab, size_t size);
slab_handle slab_alloc_aligned64(struct slab *slab, size_t size); /* size a multiple of 64 */
void slab_free(struct slab *slab, slab_handle handle, size_t size);
void slab_free_aligned64(struct slab *slab, slab_handle handle, size_t size);
/* The size an allocation of `size` really takes: two sizes with the same answer can be exchanged in place. */
size_t slab_rounded(size_t size);

/* For moving something to a smaller place, which must not fail: no failure is injected, and the last 1/64 of
 * the address space (at least 16 pages) is kept for it. Never returns 0; the caller frees the larger place at
 * once. */
slab_handle slab_alloc_smaller(struct slab *slab, size_t size);
/* For several allocations of which all or none shall be made: after slab_reserve() said true, what allocates
 * `bytes` in sum (before rounding) cannot fail until slab_release(), in however many pieces and with
 * whatever is freed in between. Reserving again adds to it. The promise is kept out of address space beyond
 * the limit, so it costs no memory and about 5 ns; it is refused (nothing has changed) when the limit is
 * reached already, when no stretch of free pages is long enough, and where an injected failure falls due: the
 * reservation counts as one allocation, those that it covers as none. */
bool slab_reserve(struct slab *slab, uint64_t bytes);
void slab_release(struct slab *slab);
/* Gives the free pages that are kept for reuse back to the system (MEMORY PURGE). Walks all free runs. */
void slab_trim(struct slab *slab);
/* Called about once a second: free pages that were kept all the time since the last call go back, some at a
 * time. */
void slab_decay(struct slab *slab);
/* For tests and the simulator: the `after`-th allocation from now fails (1: the next), and with `forever` all
 * that follow. after = 0 ends it. */
void slab_inject_failure(struct slab *slab, uint64_t after, bool forever);

static inline void *slab_ptr(const struct slab *slab, slab_handle handle)
{
    return slab->base + ((size_t)handle << 3);
}
static inline slab_handle slab_handle_of(const struct slab *slab, const void *ptr)
{
    return (slab_handle)((size_t)((const uint8_t *)ptr - slab->base) >> 3);
}

#endif
