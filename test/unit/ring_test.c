/* ring: two real threads; every message arrives once, whole and in order, through rings that are full and
 * empty all the time. Run it under the thread sanitizer: make MODE=tsan unit. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>

#include "base/prng.h"
#include "base/ring.h"
#include "io/world.h"

#define MESSAGES 200000u

struct pair {
    struct ring *ring;
    uint32_t batch_max;
    uint64_t full;
};

static void produce(void *argument)
{
    struct pair *pair = argument;
    struct prng prng;
    prng_seed(&prng, pair->batch_max);
    for (uint32_t n = 0; n < MESSAGES;) {
        uint32_t batch = 1 + (uint32_t)prng_below(&prng, pair->batch_max);
        for (; batch > 0 && n < MESSAGES; batch--) {
            struct message *slot = ring_reserve(pair->ring);
            if (!slot) {
                pair->full++;
                break;
            }
            *slot = (struct message){.kind = (uint8_t)n, .token = n, .payload = malloc(8)};
            CHECK(slot->payload);
            *(uint64_t *)slot->payload = n; /* what is sent along must be visible, too */
            for (int i = 0; i < 6; i++) slot->words[i] = (uint64_t)n * 7 + (uint64_t)i;
            n++;
        }
        ring_publish(pair->ring);
        if (batch) sched_yield();
    }
}

static void run(uint32_t capacity, uint32_t batch_max)
{
    struct pair pair = {.ring = ring_create(capacity), .batch_max = batch_max};
    struct prng prng;
    int error;
    assert_non_null(pair.ring);
    prng_seed(&prng, 1);
    struct io_thread *thread = io_thread_start("producer", produce, &pair, &error);
    assert_non_null(thread);
    for (uint32_t expected = 0; expected < MESSAGES;) {
        struct message *slot = ring_peek(pair.ring);
        if (!slot) {
            sched_yield();
            continue;
        }
        assert_false(ring_is_empty(pair.ring));
        assert_int_equal(slot->token, expected);
        assert_int_equal(slot->kind, (uint8_t)expected);
        assert_int_equal(*(uint64_t *)slot->payload, expected);
        for (int i = 0; i < 6; i++) assert_int_equal(slot->words[i], (uint64_t)expected * 7 + (uint64_t)i);
        free(slot->payload);
        ring_release(pair.ring);
        expected++;
        if (prng_below(&prng, 1000) == 0) sched_yield();
    }
    io_thread_join(thread);
    assert_null(ring_peek(pair.ring));
    assert_true(ring_is_empty(pair.ring));
    assert_true(pair.full > 0);
    free(pair.ring);
}

static void test_two_threads(void **state)
{
    run(1, 1);
    run(2, 3);
    run(16, 5);
    run(64, 100);
}

/* One thread: what is reserved is not seen before it is published; a full ring refuses; the indices wrap. */
static void test_rules(void **state)
{
    struct ring *ring = ring_create(4);
    assert_non_null(ring);
    /* Indices are 32 bits wide and wrap. */
    atomic_store(&ring->head, UINT32_MAX - 5);
    atomic_store(&ring->tail, UINT32_MAX - 5);
    ring->reserved = ring->head_seen = ring->tail_seen = UINT32_MAX - 5;
    for (uint32_t round = 0; round < 10; round++) {
        assert_true(ring_has_room(ring, 4));
        assert_false(ring_has_room(ring, 5));
        assert_false(ring_publish(ring));
        for (uint32_t i = 0; i < 4; i++) {
            struct message *slot = ring_reserve(ring);
            assert_non_null(slot);
            slot->token = round * 4 + i;
            assert_null(ring_peek(ring));
            assert_true(ring_is_empty(ring));
        }
        assert_null(ring_reserve(ring));
        assert_true(ring_publish(ring));
        assert_false(ring_publish(ring));
        for (uint32_t i = 0; i < 4; i++) {
            assert_int_equal(ring_peek(ring)->token, round * 4 + i);
            ring_release(ring);
            assert_true(ring_has_room(ring, i + 1));
        }
        assert_null(ring_peek(ring));
    }
    free(ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rules), cmocka_unit_test(test_two_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
