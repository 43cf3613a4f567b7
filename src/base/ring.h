/* ring: a bounded single-producer/single-consumer queue of 64-byte messages; the only thing two threads
 * share.
 *
 *   producer: ring_reserve -> fill -> (more) -> ring_publish once per turn -> wake the consumer if it sleeps
 *   consumer: ring_peek -> handle -> ring_release (slots may be reused from here on)
 *
 * Invariants: R1 head <= tail <= head + capacity. R2 a slot is written only between reserve and publish, read
 * only between peek and release. R3 the payload of a published message belongs to the consumer. Each side
 * caches the other's index, so an idle check costs one shared load. Model: test/spin/ring.pml. Tests:
 * test/unit/ring_test.c (two threads, under ThreadSanitizer).
 */
#ifndef WEFT_BASE_RING_H
#define WEFT_BASE_RING_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include "base/check.h"

struct message {
    uint8_t kind;
    uint8_t from;
    uint16_t small;
    uint32_t token;
    void *payload;
    uint64_t words[6];
};
_Static_assert(sizeof(struct message) == 64, "a message is one cache line");

struct ring {
    _Alignas(64) _Atomic uint32_t tail; /* producer's: published */
    uint32_t reserved;                  /* producer's: handed out, not yet published */
    uint32_t head_seen;                 /* producer's copy of head */
    _Alignas(64) _Atomic uint32_t head; /* consumer's: released */
    uint32_t tail_seen;                 /* consumer's copy of tail */
    _Alignas(64) uint32_t capacity;     /* power of two; never changes */
    struct message slots[];
};

/* NULL when there is no memory. */
static inline struct ring *ring_create(uint32_t capacity)
{
    CHECK(capacity && (capacity & (capacity - 1)) == 0);
    struct ring *ring = aligned_alloc(64, sizeof(struct ring) + capacity * sizeof(struct message));
    if (!ring) return NULL;
    atomic_init(&ring->tail, 0);
    atomic_init(&ring->head, 0);
    ring->reserved = ring->head_seen = ring->tail_seen = 0;
    ring->capacity = capacity;
    return ring;
}

/* ---- producer ---- */
/* Are there `wanted` free slots? Looks at the consumer's index only when its copy says no. */
static inline bool ring_has_room(struct ring *ring, uint32_t wanted)
{
    if (ring->capacity - (ring->reserved - ring->head_seen) >= wanted) return true;
    ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
    return ring->capacity - (ring->reserved - ring->head_seen) >= wanted;
}
/* The next slot, or NULL when the ring is full. */
static inline struct message *ring_reserve(struct ring *ring)
{
    if (!ring_has_room(ring, 1)) return NULL;
    return &ring->slots[ring->reserved++ & (ring->capacity - 1)];
}
/* Makes all reserved slots visible; true when there were any. */
static inline bool ring_publish(struct ring *ring)
{
    if (ring->reserved == atomic_load_explicit(&ring->tail, memory_order_relaxed)) return false;
    atomic_store_explicit(&ring->tail, ring->reserved, memory_order_release);
    return true;
}

/* ---- consumer ---- */
static inline struct message *ring_peek(struct ring *ring)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (head == ring->tail_seen) {
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
        if (head == ring->tail_seen) return NULL;
    }
    return &ring->slots[head & (ring->capacity - 1)];
}
static inline void ring_release(struct ring *ring)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
}
/* For the check before sleeping: ordered after the consumer's own "I sleep" flag by a full fence of the
 * caller. */
static inline bool ring_is_empty(struct ring *ring)
{
    return atomic_load_explicit(&ring->tail, memory_order_acquire) ==
           atomic_load_explicit(&ring->head, memory_order_relaxed);
}

#endif
