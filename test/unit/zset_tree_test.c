/* zset_tree: random insertions, removals, score updates and range cuts against a sorted array, over score
 * distributions that strain the leaves' codes (equal, integers, timestamps, tiny and huge distances,
 * infinities); the tree's invariants and its exact memory after them; allocation failures change nothing;
 * memory per element. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ordered_util.h"
#include "types/zset_tree.h"

#include <math.h>
#include <string.h>

#define MODEL_MAX 6000

struct model {
    struct slab slab;
    struct zset_tree tree;
    struct prng prng;
    slab_handle items[MODEL_MAX]; /* in order */
    uint32_t count;
    unsigned distribution;
    double clock;
};

static double draw_score(struct model *m)
{
    static const double special[] = {0.0, -0.0, INFINITY, -INFINITY, 1e308, -1e308, 5e-324, -5e-324, 1, -1};
    uint64_t bits;
    double wild;
    switch (m->distribution) {
    case 0: return 7;
    case 1: return (double)(int64_t)prng_below(&m->prng, 50) - 25;
    case 2: return (double)prng_below(&m->prng, 1000000);
    case 3: return prng_unit(&m->prng);
    case 4: return m->clock += (double)prng_below(&m->prng, 20); /* rising timestamps in ms */
    case 5: return m->clock -= (double)prng_below(&m->prng, 3);
    case 6: return special[prng_below(&m->prng, ARRAY_LEN(special))];
    case 7: return 1.0 + (double)prng_below(&m->prng, 4000) * 0x1p-52; /* neighbours in the last place */
    case 8:                                                            /* clusters far apart */
        return (double)prng_below(&m->prng, 5) * 1e18 + (double)prng_below(&m->prng, 100);
    default:
        do {
            bits = prng_next(&m->prng);
            memcpy(&wild, &bits, 8);
        } while (isnan(wild));
        return wild;
    }
}
#define DISTRIBUTIONS 10

static slab_handle item_make(struct model *m, double score)
{
    char member[300];
    size_t len = prng_below(&m->prng, 20) == 0 ? prng_below(&m->prng, 300) : 1 + prng_below(&m->prng, 12);
    for (size_t i = 0; i < len; i++) member[i] = (char)(prng_below(&m->prng, 3) + 'a' + (i == 0) * 150);
    slab_handle item = slab_alloc(&m->slab, zset_item_size(len));
    assert_int_not_equal(item, 0);
    zset_item_put(slab_ptr(&m->slab, item), score, (struct slice){member, len});
    return item;
}

static void item_free(struct model *m, slab_handle item)
{
    slab_free(&m->slab, item, zset_item_size(zset_item_member(slab_ptr(&m->slab, item)).len));
}

/* The naive order: by double comparison and bytes. */
static int compare_to(struct model *m, slab_handle item, double score, struct slice member)
{
    double mine = zset_item_score(slab_ptr(&m->slab, item));
    if (mine < score) return -1;
    if (mine > score) return 1;
    struct slice own = zset_item_member(slab_ptr(&m->slab, item));
    for (size_t i = 0; i < own.len && i < member.len; i++) {
        if (own.ptr[i] != member.ptr[i]) return (uint8_t)own.ptr[i] < (uint8_t)member.ptr[i] ? -1 : 1;
    }
    return own.len < member.len ? -1 : own.len > member.len;
}

static uint32_t model_lower(struct model *m, double score, struct slice member)
{
    uint32_t lo = 0, hi = m->count;
    while (lo < hi) {
        uint32_t middle = (lo + hi) / 2;
        if (compare_to(m, m->items[middle], score, member) < 0) {
            lo = middle + 1;
        } else {
            hi = middle;
        }
    }
    return lo;
}

static void model_insert(struct model *m, slab_handle item, uint32_t at)
{
    memmove(m->items + at + 1, m->items + at, (m->count - at) * sizeof(slab_handle));
    m->items[at] = item;
    m->count++;
}
static void model_remove(struct model *m, uint32_t at, uint32_t n)
{
    memmove(m->items + at, m->items + at + n, (m->count - at - n) * sizeof(slab_handle));
    m->count -= n;
}

/* Everything the tree says equals the model, and its nodes' bytes are exactly what the slab has lent out. */
static void compare_all(struct model *m)
{
    size_t bytes = zset_tree_verify(&m->tree, &m->slab);
    assert_int_equal(m->tree.count, m->count);
    for (uint32_t i = 0; i < m->count; i++) {
        bytes += slab_rounded(zset_item_size(zset_item_member(slab_ptr(&m->slab, m->items[i])).len));
    }
    assert_int_equal(bytes, m->slab.used_bytes);
    if (m->count == 0) return;
    struct zset_tree_pos pos;
    zset_tree_seek(&m->tree, &m->slab, 0, &pos);
    for (uint32_t i = 0; i < m->count; i++) {
        assert_int_equal(zset_tree_item(&pos), m->items[i]);
        assert_int_equal(zset_tree_next(&pos), i + 1 < m->count);
    }
    zset_tree_seek(&m->tree, &m->slab, m->count - 1, &pos);
    for (uint32_t i = m->count; i-- > 0;) {
        assert_int_equal(zset_tree_item(&pos), m->items[i]);
        assert_int_equal(zset_tree_prev(&pos), i > 0);
    }
}

static void fail_soon(struct model *m)
{
    slab_inject_failure(&m->slab, 1 + prng_below(&m->prng, 3), true);
}
static void fail_never(struct model *m)
{
    slab_inject_failure(&m->slab, 0, false);
}

static void do_insert(struct model *m, bool failing)
{
    if (m->count == MODEL_MAX) return;
    double score = draw_score(m);
    slab_handle item = item_make(m, score);
    struct slice member = zset_item_member(slab_ptr(&m->slab, item));
    uint32_t at = model_lower(m, score, member);
    if (at < m->count && compare_to(m, m->items[at], score, member) == 0) {
        item_free(m, item);
        return;
    }
    uint64_t used = m->slab.used_bytes;
    if (failing) fail_soon(m);
    bool done = at == m->count && prng_below(&m->prng, 2) ? zset_tree_append(&m->tree, &m->slab, item)
                                                          : zset_tree_insert(&m->tree, &m->slab, item);
    fail_never(m);
    if (done) {
        model_insert(m, item, at);
    } else {
        assert_true(failing);
        assert_int_equal(m->slab.used_bytes, used);
        item_free(m, item);
    }
}

static void do_remove(struct model *m, bool failing)
{
    if (m->count == 0) return;
    uint32_t at = (uint32_t)prng_below(&m->prng, m->count);
    slab_handle item = m->items[at];
    if (failing) fail_soon(m);
    zset_tree_remove(&m->tree, &m->slab, item);
    fail_never(m);
    model_remove(m, at, 1);
    item_free(m, item);
}

static void do_update(struct model *m, bool failing)
{
    if (m->count == 0) return;
    uint32_t at = (uint32_t)prng_below(&m->prng, m->count);
    slab_handle item = m->items[at];
    double old = zset_item_score(slab_ptr(&m->slab, item)), score = draw_score(m);
    if (prng_below(&m->prng, 3) == 0) score = old + (double)prng_below(&m->prng, 5) - 2;
    if (prng_below(&m->prng, 8) == 0) score = nextafter(old, INFINITY);
    if (isnan(score)) score = 0;
    struct slice member = zset_item_member(slab_ptr(&m->slab, item));
    model_remove(m, at, 1);
    uint32_t to = model_lower(m, score, member);
    bool clash = to < m->count && compare_to(m, m->items[to], score, member) == 0;
    if (clash) { /* members of the model are not unique: such an update is not allowed */
        model_insert(m, item, at);
        return;
    }
    if (failing) fail_soon(m);
    bool done = zset_tree_update(&m->tree, &m->slab, item, score);
    fail_never(m);
    double now = zset_item_score(slab_ptr(&m->slab, item));
    assert_memory_equal(&now, done ? &score : &old, 8);
    assert_true(done || failing);
    model_insert(m, item, done ? to : at);
}

static void do_cut(struct model *m, bool failing)
{
    if (m->count == 0) return;
    uint32_t at = (uint32_t)prng_below(&m->prng, m->count), n = 1 + (uint32_t)prng_below(&m->prng, 200);
    if (n > m->count - at) n = m->count - at;
    slab_handle items[ZSET_TREE_LEAF_MAX];
    if (failing) fail_soon(m);
    while (n > 0) {
        uint32_t got = zset_tree_cut(&m->tree, &m->slab, at, n, items);
        assert_in_range(got, 1, n);
        for (uint32_t i = 0; i < got; i++) {
            assert_int_equal(items[i], m->items[at + i]);
            item_free(m, items[i]);
        }
        model_remove(m, at, got);
        n -= got;
    }
    fail_never(m);
}

static void do_questions(struct model *m)
{
    double score = draw_score(m);
    if (m->count > 0 && prng_below(&m->prng, 2)) {
        score = zset_item_score(slab_ptr(&m->slab, m->items[prng_below(&m->prng, m->count)]));
    }
    struct slice member = SLICE("b");
    if (m->count > 0 && prng_below(&m->prng, 2)) {
        member = zset_item_member(slab_ptr(&m->slab, m->items[prng_below(&m->prng, m->count)]));
    }
    uint32_t expected[4] = {0, 0, 0, 0};
    for (uint32_t i = 0; i < m->count; i++) {
        double other = zset_item_score(slab_ptr(&m->slab, m->items[i]));
        int compared = compare_to(m, m->items[i], score, member);
        expected[ZSET_BEFORE_SCORE] += other < score;
        expected[ZSET_BEFORE_MEMBER] += compared < 0;
        expected[ZSET_AFTER_MEMBER] += compared <= 0;
        expected[ZSET_AFTER_SCORE] += other <= score;
    }
    for (unsigned side = 0; side < 4; side++) {
        struct zset_bound bound = {zset_order(score), member, (enum zset_side)side};
        assert_int_equal(zset_tree_lower(&m->tree, &m->slab, &bound), expected[side]);
    }
    if (m->count == 0) return;
    uint32_t at = (uint32_t)prng_below(&m->prng, m->count);
    assert_int_equal(zset_tree_rank(&m->tree, &m->slab, m->items[at]), at);
    struct zset_tree_pos pos;
    zset_tree_seek(&m->tree, &m->slab, at, &pos);
    assert_int_equal(zset_tree_item(&pos), m->items[at]);
    assert_int_equal(zset_tree_pos_rank(&pos), at);
}

static void run_model(uint64_t seed, unsigned distribution)
{
    struct model *m = calloc(1, sizeof *m);
    assert_int_equal(slab_init(&m->slab, &map_memory, 256u << 20), 0);
    prng_seed(&m->prng, seed);
    m->distribution = distribution;
    m->clock = 1.7e12;
    unsigned grow = 50;
    for (unsigned step = 0; step < 12000; step++) {
        if (step % 1500 == 0)
            grow = 20 + (unsigned)prng_below(&m->prng, 75); /* phases of growth and decline */
        bool failing = prng_below(&m->prng, 10) == 0;
        uint64_t dice = prng_below(&m->prng, 100);
        if (prng_below(&m->prng, 4) == 0) {
            do_update(m, failing);
        } else if (dice < grow) {
            do_insert(m, failing);
        } else if (dice < 99) {
            do_remove(m, failing);
        } else {
            do_cut(m, failing);
        }
        if (step % 64 == 0) do_questions(m);
        if (step % 200 == 0) compare_all(m);
    }
    compare_all(m);
    while (m->count > 0) do_cut(m, false);
    compare_all(m);
    for (unsigned i = 0; i < 500; i++) do_insert(m, false);
    for (uint32_t i = 0; i < m->count; i++) item_free(m, m->items[i]);
    zset_tree_free(&m->tree, &m->slab);
    assert_int_equal(m->slab.used_bytes, 0);
    slab_destroy(&m->slab);
    free(m);
}

static void test_model(void **state)
{
    uint64_t seed = test_seed();
    for (unsigned round = 0; round < test_rounds(); round++) {
        for (unsigned d = 0; d < DISTRIBUTIONS; d++) run_model(seed + round * DISTRIBUTIONS + d, d);
    }
}

static void test_order(void **state)
{
    static const double rising[] = {-INFINITY, -1e308, -2,  -1,    -5e-324, 0,       5e-324,
                                    1,         1.5,    1e9, 1e300, 1.7e308, INFINITY};
    for (size_t i = 1; i < ARRAY_LEN(rising); i++)
        assert_true(zset_order(rising[i - 1]) < zset_order(rising[i]));
    assert_true(zset_order(-0.0) == zset_order(0.0));
}

/* What a million elements' order costs beside the items, whatever the order of insertion. */
static void test_memory(void **state)
{
    enum { COUNT = 200000 };
    static const char *const name[] = {"rising", "falling", "random", "one score, random members"};
    for (unsigned way = 0; way < 4; way++) {
        struct slab slab;
        struct zset_tree tree = {0};
        struct prng prng;
        assert_int_equal(slab_init(&slab, &map_memory, 256u << 20), 0);
        prng_seed(&prng, 5);
        size_t item_bytes = 0;
        for (uint32_t i = 0; i < COUNT; i++) {
            double score = way == 0   ? i
                           : way == 1 ? COUNT - (double)i
                           : way == 2 ? (double)prng_below(&prng, COUNT)
                                      : 1;
            char member[32];
            int len = snprintf(member, sizeof member, "%08x:member:%u", (uint32_t)prng_next(&prng), i);
            slab_handle item = slab_alloc(&slab, zset_item_size((size_t)len));
            zset_item_put(slab_ptr(&slab, item), score, (struct slice){member, (size_t)len});
            item_bytes += slab_rounded(zset_item_size((size_t)len));
            assert_true(zset_tree_insert(&tree, &slab, item));
        }
        size_t tree_bytes = zset_tree_verify(&tree, &slab);
        assert_int_equal(tree_bytes + item_bytes, slab.used_bytes);
        double per_element = (double)tree_bytes / COUNT;
        printf("tree bytes per element, %s: %.2f, height %u\n", name[way], per_element, tree.height);
        assert_true(per_element < (way < 2 ? 9.3 : 10.5));
        slab_destroy(&slab);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
