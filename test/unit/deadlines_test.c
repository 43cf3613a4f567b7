/* deadlines: random adds, removals, changes and renames against a naive array; failing memory; ordered
 * draining. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "value_fixture.h"
#include "base/prng.h"
#include "types/deadlines.h"

enum { THINGS = 3000 };
/* A thing is 8 bytes in the slab: its number and its place. */
struct thing {
    uint32_t number, place;
};

static void moved(struct slab *slab, slab_handle handle, uint32_t place)
{
    ((struct thing *)slab_ptr(slab, handle))->place = place;
}

struct model {
    struct slab slab;
    struct deadlines deadlines;
    slab_handle handles[THINGS];
    int64_t due[THINGS];
    bool in[THINGS];
    uint32_t count;
};

static struct thing *thing_of(struct model *m, uint32_t i)
{
    return slab_ptr(&m->slab, m->handles[i]);
}

static void check(struct model *m)
{
    int64_t first = INT64_MAX;
    for (uint32_t i = 0; i < THINGS; i++) {
        slab_handle handle;
        if (!m->in[i]) continue;
        if (m->due[i] < first) first = m->due[i];
        assert_int_equal(deadlines_at(&m->deadlines, &m->slab, thing_of(m, i)->place, &handle), m->due[i]);
        assert_int_equal(handle, m->handles[i]);
    }
    assert_int_equal(m->deadlines.count, m->count);
    assert_int_equal(deadlines_first(&m->deadlines, &m->slab, NULL), first);
    assert_int_equal(m->slab.used_bytes, THINGS * 8 + deadlines_memory(&m->deadlines));
}

static void model_run(uint64_t seed)
{
    static struct model m;
    struct prng prng;
    memset(&m, 0, sizeof(m));
    prng_seed(&prng, seed);
    assert_int_equal(slab_init(&m.slab, &map_memory, 8u << 20), 0);
    for (uint32_t i = 0; i < THINGS; i++) {
        m.handles[i] = slab_alloc(&m.slab, 8);
        thing_of(&m, i)->number = i;
    }
    uint64_t wanted = 0;
    for (int step = 0; step < 60000; step++) {
        if (step % 5000 == 0) wanted = prng_below(&prng, THINGS);
        uint32_t i = (uint32_t)prng_below(&prng, THINGS);
        int64_t due = (int64_t)prng_below(&prng, prng_below(&prng, 2) ? 50 : 1ull << 47);
        if (!m.in[i] && (m.count < wanted || prng_below(&prng, 5) == 0)) {
            bool fail = prng_below(&prng, 4) == 0;
            if (fail) slab_inject_failure(&m.slab, 1 + prng_below(&prng, 2), false);
            bool added = deadlines_add(&m.deadlines, &m.slab, moved, due, m.handles[i]);
            slab_inject_failure(&m.slab, 0, false);
            assert_true(added || fail);
            if (!added) continue;
            m.in[i] = true;
            m.due[i] = due;
            m.count++;
        } else if (m.in[i] && prng_below(&prng, 3) == 0) {
            deadlines_change(&m.deadlines, &m.slab, moved, thing_of(&m, i)->place, due);
            m.due[i] = due;
        } else if (m.in[i] && prng_below(&prng, 4) == 0) {
            slab_handle fresh = slab_alloc(&m.slab, 8);
            memcpy(slab_ptr(&m.slab, fresh), thing_of(&m, i), 8);
            slab_free(&m.slab, m.handles[i], 8);
            m.handles[i] = fresh;
            deadlines_rename(&m.deadlines, &m.slab, thing_of(&m, i)->place, fresh);
        } else if (m.in[i] && (m.count > wanted || prng_below(&prng, 5) == 0)) {
            deadlines_remove(&m.deadlines, &m.slab, moved, thing_of(&m, i)->place);
            m.in[i] = false;
            m.count--;
        }
        if (step % 500 == 0) check(&m);
    }
    check(&m);
    int64_t before = INT64_MIN;
    while (m.count > 0) {
        slab_handle handle;
        int64_t due = deadlines_first(&m.deadlines, &m.slab, &handle);
        uint32_t number = ((struct thing *)slab_ptr(&m.slab, handle))->number;
        assert_true(due >= before && m.in[number] && m.due[number] == due);
        deadlines_remove(&m.deadlines, &m.slab, moved, 0);
        m.in[number] = false;
        m.count--;
        before = due;
    }
    check(&m);
    assert_int_equal(deadlines_memory(&m.deadlines), 0);
    slab_destroy(&m.slab);
}

static void model(void **unused)
{
    for (uint64_t seed = 1; seed <= 3; seed++) model_run(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
