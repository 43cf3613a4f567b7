/* table: random operations against a naive twin (good and bad hashes, growth and shrinking, failing memory),
 * the scan guarantee, fairness of random, the clock, bytes per item over table sizes, cost. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "map_memory.h"
#include "types/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The items: handle h stands for key h, whose hash is hashes[h]. The table never looks at items but through
 * hash(). */
struct fixture {
    struct slab slab;
    struct table table;
    struct prng prng;
    uint64_t *hashes;
    uint8_t *present;
    uint32_t keys, count;
};

static uint64_t fixture_hash(void *context, slab_handle item)
{
    const struct fixture *fixture = context;
    assert_true(item > 0 && item <= fixture->keys);
    return fixture->hashes[item];
}
static const struct table_type fixture_type = {fixture_hash};

static bool fixture_match(void *context, slab_handle item, const void *wanted)
{
    return item == *(const slab_handle *)wanted;
}

enum hash_kind { GOOD, EQUAL, THREE, SAME_TOP, SAME_LOW, SEQUENTIAL_TOP, HASH_KINDS };
static const char *const kind_names[] = {
    "good", "all equal", "three values", "same top 40 bits", "same low byte", "sequential in the top bits"};

static uint64_t make_hash(struct prng *prng, enum hash_kind kind, uint32_t key)
{
    uint64_t good = prng_next(prng);
    switch (kind) {
    case EQUAL: return 0x0123456789abcdef;
    case THREE: return (good % 3) * 0x5555555555555555;
    case SAME_TOP: return 0xabcdef1234000000 | (good & 0xffffff);
    case SAME_LOW: return good & ~0xffull;
    case SEQUENTIAL_TOP: return (uint64_t)key << 44;
    default: return good;
    }
}

static void fixture_init(struct fixture *f, uint64_t seed, enum hash_kind kind, uint32_t keys)
{
    memset(f, 0, sizeof(*f));
    prng_seed(&f->prng, seed);
    assert_int_equal(slab_init(&f->slab, &map_memory, 1u << 30), 0);
    table_init(&f->table);
    f->keys = keys;
    f->hashes = calloc(keys + 1, sizeof(*f->hashes));
    f->present = calloc(keys + 1, 1);
    for (uint32_t key = 1; key <= keys; key++) f->hashes[key] = make_hash(&f->prng, kind, key);
}

static void fixture_done(struct fixture *f)
{
    table_destroy(&f->table, &f->slab);
    assert_int_equal(f->slab.used_bytes, 0);
    slab_destroy(&f->slab);
    free(f->hashes);
    free(f->present);
}

static slab_handle *find(struct fixture *f, slab_handle key)
{
    return table_find(&f->table, &f->slab, f->hashes[key], fixture_match, f, &key);
}

static bool insert(struct fixture *f, slab_handle key)
{
    slab_handle *slot = table_insert(&f->table, &f->slab, &fixture_type, f, f->hashes[key], key);
    if (!slot) return false;
    assert_int_equal(*slot, key);
    f->present[key] = 1;
    f->count++;
    return true;
}

static void erase(struct fixture *f, slab_handle key)
{
    table_remove(&f->table, &f->slab, &fixture_type, f, f->hashes[key], find(f, key));
    f->present[key] = 0;
    f->count--;
}

static void check_all(struct fixture *f)
{
    table_check(&f->table, &f->slab, &fixture_type, f);
    assert_int_equal(table_count(&f->table), f->count);
    for (slab_handle key = 1; key <= f->keys; key++) {
        slab_handle *slot = find(f, key);
        assert_int_equal(slot != NULL, f->present[key]);
        if (slot) assert_int_equal(*slot, key);
    }
    size_t directory = f->table.depth ? slab_rounded((size_t)12 << f->table.depth) : 0;
    assert_int_equal(table_memory(&f->table), (size_t)f->table.buckets * 64 + directory);
    /* Segments of colliding hashes are longer than a page and rounded up. */
    assert_true(f->slab.used_bytes >= table_memory(&f->table));
    assert_true(f->slab.used_bytes <= table_memory(&f->table) * 17 / 16);
}

static void model_run(uint64_t seed, enum hash_kind kind, uint32_t keys, int steps)
{
    struct fixture f;
    fixture_init(&f, seed, kind, keys);
    uint32_t target = 0;
    size_t peak = 0;
    int failures = 0;
    for (int step = 0; step < steps; step++) {
        if (step % (steps / 16) == 0) {
            check_all(&f);
            target = (uint32_t)prng_below(&f.prng, 4) == 0 ? 0 : (uint32_t)prng_below(&f.prng, keys + 1);
        }
        slab_handle key = 1 + (slab_handle)prng_below(&f.prng, keys);
        bool want = prng_below(&f.prng, 100) < (f.count < target ? 80u : 20u);
        if (prng_below(&f.prng, 50) == 0) slab_inject_failure(&f.slab, 1 + prng_below(&f.prng, 3), false);
        if (want && !f.present[key]) {
            if (!insert(&f, key)) {
                failures++;
                table_check(&f.table, &f.slab, &fixture_type, &f);
                assert_null(find(&f, key));
            }
        } else if (!want && f.present[key]) {
            erase(&f, key);
            assert_null(find(&f, key));
        }
        slab_inject_failure(&f.slab, 0, false);
        assert_int_equal(table_count(&f.table), f.count);
        if (f.slab.used_bytes > peak) peak = f.slab.used_bytes;
    }
    check_all(&f);
    for (slab_handle key = 1; key <= keys; key++)
        if (f.present[key]) erase(&f, key);
    assert_int_equal(f.slab.used_bytes, 0); /* invariant 4 */
    print_message("%-27s seed %llu: peak %zu bytes, %d failed insertions\n", kind_names[kind],
                  (unsigned long long)seed, peak, failures);
    fixture_done(&f);
}

static void model(void **unused)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        model_run(seed, GOOD, 300, 60000);
        model_run(seed, GOOD, 20000, 400000);
    }
    for (int kind = EQUAL; kind < HASH_KINDS; kind++) model_run(7, (enum hash_kind)kind, 2000, 40000);
}

/* ---- scan ---- */

struct seen {
    uint8_t *times;
};
static void see(void *context, slab_handle item)
{
    ((struct seen *)context)->times[item]++;
}

/* Scans while the table grows or shrinks; keys up to `stable` stay all the time. */
static void scan_run(uint64_t seed, enum hash_kind kind, uint32_t stable, uint32_t keys, bool growing)
{
    struct fixture f;
    fixture_init(&f, seed, kind, keys);
    for (slab_handle key = 1; key <= (growing ? stable : keys); key++) assert_true(insert(&f, key));
    struct seen seen = {calloc(keys + 1, 1)};
    uint8_t *touched = calloc(keys + 1, 1);
    uint64_t cursor = 0, calls = 0;
    slab_handle next = growing ? stable + 1 : keys;
    do {
        uint64_t after = table_scan(&f.table, &f.slab, &fixture_type, &f, cursor, see, &seen);
        assert_true(after == 0 || after > cursor);
        assert_int_equal(after & 0xff, 0);
        cursor = after;
        calls++;
        for (int i = 0; i < 30; i++) { /* change faster than the scan goes on */
            if (growing && next <= keys) {
                assert_true(insert(&f, next));
                touched[next++] = 1;
            } else if (!growing && next > stable) {
                erase(&f, next);
                touched[next--] = 1;
            }
        }
    } while (cursor);
    for (slab_handle key = 1; key <= keys; key++) {
        if (key <= stable || !touched[key])
            assert_int_equal(seen.times[key], growing && key > stable ? 0 : 1);
        else
            assert_true(seen.times[key] <= 1);
    }
    assert_true(calls <= f.table.buckets + keys);
    free(touched);
    free(seen.times);
    fixture_done(&f);
}

static void scan(void **unused)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        scan_run(seed, GOOD, 1000, 50000, true);
        scan_run(seed, GOOD, 1000, 50000, false);
        scan_run(seed, GOOD, 9, 100, true);
        scan_run(seed, GOOD, 9, 100, false);
        for (int kind = EQUAL; kind < HASH_KINDS; kind++) {
            scan_run(seed, (enum hash_kind)kind, 300, 1000, true);
            scan_run(seed, (enum hash_kind)kind, 300, 1000, false);
        }
    }
    struct fixture f;
    fixture_init(&f, 1, GOOD, 10);
    assert_int_equal(table_scan(&f.table, &f.slab, &fixture_type, &f, 12345, see, NULL), 0);
    fixture_done(&f);
}

/* Whatever cursor a client invents, a scan ends and shows only what is there. */
static void scan_hostile_cursor(void **unused)
{
    struct fixture f;
    fixture_init(&f, 3, GOOD, 5000);
    for (slab_handle key = 1; key <= 5000; key++) insert(&f, key);
    struct seen seen = {calloc(5001, 1)};
    for (int i = 0; i < 10000; i++) {
        uint64_t cursor = prng_next(&f.prng), after;
        after = table_scan(&f.table, &f.slab, &fixture_type, &f, cursor, see, &seen);
        assert_true(after == 0 || after > cursor);
    }
    free(seen.times);
    fixture_done(&f);
}

static void each(void **unused)
{
    for (uint32_t keys = 0; keys < 3000; keys = keys * 3 + 1) {
        struct fixture f;
        fixture_init(&f, keys, GOOD, keys);
        for (slab_handle key = 1; key <= keys; key++) insert(&f, key);
        struct seen seen = {calloc(keys + 1, 1)};
        table_each(&f.table, &f.slab, see, &seen);
        for (slab_handle key = 1; key <= keys; key++) assert_int_equal(seen.times[key], 1);
        free(seen.times);
        fixture_done(&f);
    }
}

/* ---- random ---- */

static void random_is_fair(void **unused)
{
    const uint32_t sizes[] = {1, 5, 13, 100, 700, 5000};
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        struct fixture f;
        uint32_t keys = sizes[s], draws = 100;
        fixture_init(&f, 11 + s, GOOD, keys);
        for (slab_handle key = 1; key <= keys; key++) insert(&f, key);
        uint32_t *times = calloc(keys + 1, sizeof(*times));
        for (uint64_t i = 0; i < (uint64_t)keys * draws; i++)
            times[*table_random(&f.table, &f.slab, &f.prng)]++;
        double chi = 0;
        for (slab_handle key = 1; key <= keys; key++) {
            double off = (double)times[key] - draws;
            chi += off * off / draws;
        }
        /* keys - 1 degrees of freedom: mean keys - 1, deviation sqrt(2 (keys - 1)); 5 deviations */
        double bound = keys - 1 + 5 * __builtin_sqrt(2.0 * keys);
        print_message("random over %u items: chi2 %.0f (bound %.0f)\n", keys, chi, bound);
        assert_true(chi <= bound);
        free(times);
        fixture_done(&f);
    }
    struct fixture f;
    fixture_init(&f, 5, GOOD, 1);
    assert_null(table_random(&f.table, &f.slab, &f.prng));
    fixture_done(&f);
    fixture_init(&f, 5, EQUAL, 3000); /* colliding hashes: something is found */
    for (slab_handle key = 1; key <= 3000; key++) insert(&f, key);
    for (int i = 0; i < 1000; i++) assert_true(f.present[*table_random(&f.table, &f.slab, &f.prng)]);
    fixture_done(&f);
}

/* ---- clock ---- */

static bool odd_only(void *context, slab_handle item)
{
    return item & 1;
}

static void clock_evicts_the_unused(void **unused)
{
    struct fixture f;
    fixture_init(&f, 9, GOOD, 20000);
    for (slab_handle key = 1; key <= 20000; key++) insert(&f, key);
    for (slab_handle key = 1; key <= 20000; key++) {
        for (int i = 0; i < (key % 10 == 0 ? 3 : 0); i++) table_touch(find(&f, key));
        assert_int_equal(table_access(find(&f, key)), key % 10 == 0 ? 3 : 0);
    }
    uint64_t hand = 0;
    int wrong = 0; /* rebuilt segments may show an item to the hand twice, or hide it for a round */
    for (int i = 0; i < 17000; i++) { /* 18,000 were never used */
        slab_handle *slot = table_clock(&f.table, &f.slab, &hand, NULL, NULL, false);
        assert_non_null(slot);
        slab_handle key = *slot;
        wrong += key % 10 == 0;
        erase(&f, key);
    }
    assert_true(wrong <= 17);
    check_all(&f);
    slab_handle *slot = table_clock(&f.table, &f.slab, &hand, odd_only, NULL, true);
    assert_non_null(slot);
    assert_true(*slot & 1);
    while (f.count > 0) {
        slot = table_clock(&f.table, &f.slab, &hand, NULL, NULL, false);
        assert_non_null(slot);
        erase(&f, *slot);
    }
    assert_null(table_clock(&f.table, &f.slab, &hand, NULL, NULL, false));
    /* Nobody is eligible. */
    insert(&f, 2);
    insert(&f, 4);
    assert_null(table_clock(&f.table, &f.slab, &hand, odd_only, NULL, false));
    fixture_done(&f);
    fixture_init(&f, 9, EQUAL, 1000); /* a long stash */
    for (slab_handle key = 1; key <= 1000; key++) insert(&f, key);
    for (hand = 0; f.count > 0;) {
        slot = table_clock(&f.table, &f.slab, &hand, NULL, NULL, false);
        assert_non_null(slot);
        erase(&f, *slot);
    }
    fixture_done(&f);
}

static void access_survives_growth(void **unused)
{
    struct fixture f;
    fixture_init(&f, 21, GOOD, 5000);
    for (slab_handle key = 1; key <= 5000; key++) {
        insert(&f, key);
        for (slab_handle i = 0; i < key % 4; i++) table_touch(find(&f, key));
    }
    for (slab_handle key = 1; key <= 5000; key++) assert_int_equal(table_access(find(&f, key)), key % 4);
    fixture_done(&f);
}

/* ---- memory and cost ---- */

static void bytes_per_item(void **unused)
{
    struct fixture f;
    uint32_t keys = 200000;
    fixture_init(&f, 31, GOOD, keys);
    double sum = 0, worst = 1;
    uint32_t samples = 0, worst_at = 0;
    for (slab_handle key = 1; key <= keys; key++) {
        insert(&f, key);
        double load = key / (f.table.buckets * 12.0);
        if (key >= 50 && load < worst) worst = load, worst_at = key;
        if (key >= 50 && key % (1 + key / 100) == 0) { /* evenly in the logarithm */
            sum += load;
            samples++;
        }
        bool round = key == 12 || key == 100 || key == 500 || key == 1000 || key == 3906 || key == 4687 ||
                     key == 10000 || key == 31250 || key == 100000 || key == 200000;
        if (round)
            print_message("%6u items: load %.2f, %.2f bytes per item\n", key, load,
                          (double)table_memory(&f.table) / key);
    }
    print_message("mean load from 50 items on %.3f, worst %.2f at %u\n", sum / samples, worst, worst_at);
    assert_true(sum / samples >= 0.80);
    assert_true(worst >= 0.65);
    /* Half of them leave: the memory follows. */
    for (slab_handle key = 1; key <= keys - keys / 10; key++) erase(&f, key);
    print_message("after 90 %% left: load %.2f\n", f.count / (f.table.buckets * 12.0));
    assert_true(f.count / (f.table.buckets * 12.0) >= 0.4);
    check_all(&f);
    fixture_done(&f);
}

static double nanoseconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void cost(void **unused)
{
    struct fixture f;
    uint32_t keys = 30000, rounds = 20;
    double worst = 0;
    fixture_init(&f, 41, GOOD, keys);
    for (slab_handle key = 1; key <= keys; key++) {
        double before = nanoseconds(CLOCK_MONOTONIC);
        insert(&f, key);
        double took = nanoseconds(CLOCK_MONOTONIC) - before;
        if (took > worst) worst = took;
    }
    fixture_done(&f);
    fixture_init(&f, 41, GOOD, keys);
    double start = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
    for (slab_handle key = 1; key <= keys; key++) insert(&f, key);
    double filled = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t sum = 0;
    for (uint32_t round = 0; round < rounds; round++)
        for (slab_handle key = 1; key <= keys; key++) sum += *find(&f, key);
    double found = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
    assert_int_equal(sum, (uint64_t)rounds * keys * (keys + 1) / 2);
    print_message("30,000 items in cache: insert %.0f ns (slowest %.1f us by the clock), find %.1f ns\n",
                  (filled - start) / keys, worst / 1e3, (found - filled) / rounds / keys);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model),
        cmocka_unit_test(scan),
        cmocka_unit_test(scan_hostile_cursor),
        cmocka_unit_test(each),
        cmocka_unit_test(random_is_fair),
        cmocka_unit_test(clock_evicts_the_unused),
        cmocka_unit_test(access_survives_growth),
        cmocka_unit_test(bytes_per_item),
        cmocka_unit_test(cost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
