/* wheel: against a plain list of items with their times. Random filing (soon, late, in the past, beyond the
 * horizon), removing, moving to another allocation, postponing without filing anew, jumps of time, ahead and
 * back; started in front of the wrap of every level and of the whole wheel. What is due comes out, all of it
 * and nothing else; wheel_next_ms is never too late. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/prng.h"
#include "io/world.h"
#include "store/wheel.h"

#define ITEMS      400
#define ITEM_BYTES (4 + sizeof(struct item_expiry) + 4)
#define HORIZON_MS (1ll << (6 * WHEEL_LEVELS))

static const struct slab_memory memory = {io_memory_reserve, io_memory_unreserve, io_memory_decommit, NULL};

struct model {
    struct slab slab;
    struct wheel wheel;
    struct prng prng;
    int64_t now_ms;
    struct {
        slab_handle handle; /* 0: not filed */
        bool postponed;     /* its deadline is later than the time it is filed at */
    } items[ITEMS];
    uint32_t count;
};

static struct item *item_of(struct model *m, int i)
{
    return slab_ptr(&m->slab, m->items[i].handle);
}

static void file_one(struct model *m, int i, int64_t time_ms)
{
    m->items[i].handle = slab_alloc(&m->slab, ITEM_BYTES);
    assert_true(m->items[i].handle != 0);
    m->items[i].postponed = false;
    item_init(item_of(m, i), item_header(ITEM_STRING, ITEM_INLINE, 2, 2) | ITEM_HAS_EXPIRY, 2, 2);
    memcpy(item_of(m, i)->rest + sizeof(struct item_expiry), &i, 2);
    item_expiry_put(item_of(m, i), (struct item_expiry){.deadline_ms = time_ms});
    if (time_ms < m->wheel.now_ms) wheel_turn_back(&m->wheel, &m->slab, m->now_ms);
    wheel_file(&m->wheel, &m->slab, m->items[i].handle, time_ms);
    m->count++;
}

static void drop(struct model *m, int i)
{
    slab_free(&m->slab, m->items[i].handle, ITEM_BYTES);
    m->items[i].handle = 0;
    m->count--;
}

static void move(struct model *m, int i)
{
    slab_handle to = slab_alloc(&m->slab, ITEM_BYTES);
    memcpy(slab_ptr(&m->slab, to), item_of(m, i), ITEM_BYTES);
    memset(item_of(m, i), 0xee, ITEM_BYTES);
    slab_free(&m->slab, m->items[i].handle, ITEM_BYTES);
    m->items[i].handle = to;
    wheel_moved(&m->wheel, &m->slab, to);
}

/* Any distance: each level, and beyond the wheel, now and then with both ends at a boundary. */
static int64_t distance(struct model *m)
{
    int64_t d = (int64_t)prng_below(&m->prng, 1ull << prng_below(&m->prng, 40));
    if (prng_below(&m->prng, 5) == 0)
        d = (1ll << 6 * prng_below(&m->prng, 7)) - 2 + (int64_t)prng_below(&m->prng, 4);
    return prng_below(&m->prng, 12) ? d : -d;
}

/* Of all deadlines: a postponed item is filed somewhere between its old one and that. */
static int64_t earliest(struct model *m)
{
    int64_t least = INT64_MAX;
    for (int i = 0; i < ITEMS; i++)
        if (m->items[i].handle && item_deadline(item_of(m, i)) < least) least = item_deadline(item_of(m, i));
    return least;
}

static void check(struct model *m)
{
    assert_int_equal(m->wheel.count, m->count);
    int64_t next = wheel_next_ms(&m->wheel), least = earliest(m);
    if (!m->count) {
        assert_true(next == INT64_MAX);
        assert_int_equal(wheel_first(&m->wheel, &m->slab), 0);
        return;
    }
    if (least < m->wheel.now_ms) least = m->wheel.now_ms;
    if (next > least)
        fail_msg("now %lld next %lld least %lld", (long long)m->wheel.now_ms, (long long)next,
                 (long long)least);
    assert_true(wheel_first(&m->wheel, &m->slab) != 0);
}

/* Takes out what is due, in bounded steps; then nothing may be left that is. */
static void pop_due(struct model *m)
{
    while (wheel_next_ms(&m->wheel) <= m->now_ms) {
        int steps = 1 + (int)prng_below(&m->prng, 50);
        slab_handle handle = wheel_pop(&m->wheel, &m->slab, m->now_ms, &steps);
        if (!handle) continue;
        uint16_t i = 0;
        struct item *item = slab_ptr(&m->slab, handle);
        memcpy(&i, item_key_bytes(item), 2);
        assert_true(i < ITEMS && m->items[i].handle == handle);
        int64_t deadline = item_deadline(item);
        if (deadline > m->now_ms) { /* was postponed: its owner files it again */
            assert_true(m->items[i].postponed);
            m->items[i].postponed = false;
            wheel_file(&m->wheel, &m->slab, handle, deadline);
        } else {
            drop(m, i);
        }
    }
    assert_true(earliest(m) > m->now_ms);
}

static void random_step(struct model *m)
{
    int i = (int)prng_below(&m->prng, ITEMS);
    struct item_expiry expiry;
    switch (prng_below(&m->prng, 8)) {
    case 0:
    case 1:
    case 2:
        if (!m->items[i].handle) file_one(m, i, m->now_ms + distance(m));
        break;
    case 3:
        if (!m->items[i].handle) break;
        wheel_remove(&m->wheel, &m->slab, m->items[i].handle);
        drop(m, i);
        break;
    case 4:
        if (m->items[i].handle) move(m, i);
        break;
    case 5:
        if (!m->items[i].handle || item_deadline(item_of(m, i)) < m->now_ms) break;
        expiry = item_expiry(item_of(m, i));
        expiry.deadline_ms += (int64_t)prng_below(&m->prng, 1u << 20) + 1;
        item_expiry_put(item_of(m, i), expiry);
        m->items[i].postponed = true;
        break;
    case 6: m->now_ms += (int64_t)prng_below(&m->prng, 200); break;
    default:
        if (prng_below(&m->prng, 20)) break;
        int64_t d = distance(m);
        pop_due(m); /* what is due, and then is not for a while, dies later */
        m->now_ms += d > 0 ? d : -(-d & ((1ll << prng_below(&m->prng, 40)) - 1));
    }
}

static void run(uint64_t seed, int64_t start_ms, int steps)
{
    struct model *m = calloc(1, sizeof *m);
    assert_non_null(m);
    m->now_ms = start_ms;
    prng_seed(&m->prng, seed);
    assert_int_equal(slab_init(&m->slab, &memory, 1 << 20), 0);
    assert_true(wheel_prepare(&m->wheel, &m->slab, start_ms));
    for (int i = 0; i < steps; i++) {
        random_step(m);
        check(m);
        if (prng_below(&m->prng, 4) == 0) pop_due(m);
    }
    m->now_ms += 8 * HORIZON_MS;
    pop_due(m);
    pop_due(m); /* the postponed ones */
    assert_int_equal(m->count, 0);
    for (int level = 0; level < WHEEL_LEVELS; level++) assert_true(m->wheel.occupied[level] == 0);
    slab_destroy(&m->slab);
    free(m);
}

static void test_today(void **state)
{
    for (uint64_t seed = 1; seed <= 10; seed++) run(seed, 1700000000000 + (int64_t)seed * 1000003, 20000);
}

/* From just before the boundary of each level: 64 ms, 4 s, ... and of the wheel as a whole. */
static void test_wraps(void **state)
{
    for (int level = 1; level <= WHEEL_LEVELS; level++) {
        int64_t unit = 1ll << 6 * level, start = (1700000000000 / unit + 1) * unit;
        for (int before = 0; before < 3; before++)
            run((uint64_t)(level * 10 + before), start - before * 40, 5000);
    }
}

/* A key that is to die ten seconds after the whole wheel has wrapped does so then. */
static void test_horizon_boundary(void **state)
{
    struct model *m = calloc(1, sizeof *m);
    int64_t boundary = 26 * HORIZON_MS;
    assert_non_null(m);
    prng_seed(&m->prng, 1);
    m->now_ms = boundary - 5000;
    assert_int_equal(slab_init(&m->slab, &memory, 1 << 20), 0);
    assert_true(wheel_prepare(&m->wheel, &m->slab, m->now_ms));
    file_one(m, 7, boundary + 5000);
    assert_true(wheel_next_ms(&m->wheel) <= boundary + 5000);
    m->now_ms = boundary + 4999;
    pop_due(m);
    assert_int_equal(m->count, 1);
    m->now_ms = boundary + 5000;
    pop_due(m);
    assert_int_equal(m->count, 0);
    slab_destroy(&m->slab);
    free(m);
}

/* The slots stay while anything is filed and cost nothing when nothing is; the wheel can be used again. */
static void test_release(void **state)
{
    struct model *m = calloc(1, sizeof *m);
    assert_non_null(m);
    prng_seed(&m->prng, 1);
    assert_int_equal(slab_init(&m->slab, &memory, 1 << 20), 0);
    uint64_t empty_bytes = m->slab.used_bytes;
    for (m->now_ms = 1000; m->now_ms < 4000; m->now_ms += 1000) {
        assert_true(wheel_prepare(&m->wheel, &m->slab, m->now_ms));
        file_one(m, 3, m->now_ms + 10);
        wheel_release_if_empty(&m->wheel, &m->slab);
        assert_true(m->wheel.slots != 0);
        m->now_ms += 10;
        pop_due(m);
        assert_int_equal(m->count, 0);
        wheel_release_if_empty(&m->wheel, &m->slab);
        assert_int_equal(m->slab.used_bytes, empty_bytes);
        int steps = 10;
        assert_int_equal(wheel_pop(&m->wheel, &m->slab, m->now_ms, &steps), 0);
        assert_true(wheel_next_ms(&m->wheel) == INT64_MAX);
    }
    slab_destroy(&m->slab);
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_horizon_boundary),
        cmocka_unit_test(test_release),
        cmocka_unit_test(test_wraps),
        cmocka_unit_test(test_today),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
