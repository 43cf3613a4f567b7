/* Mutators of lists and sorted sets, and build: random changes to a few keys, with memory failing now and
 * then. A twin is kept by reading the change records only: it must always equal what the keys hold. A failed
 * mutator emits nothing and changes nothing; an empty collection's key goes; a build takes the place of any
 * value, with its deadline. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ordered_util.h"
#include "store/build.h"
#include "store/mutate_list.h"
#include "store/mutate_zset.h"

#define KEYS     6
#define TWIN_MAX 3000

struct element {
    char *ptr;
    size_t len;
    double score;
};

/* A key as its records tell it: the order of a sorted set's elements does not matter here. */
struct twin {
    bool present;
    struct element elements[TWIN_MAX];
    uint32_t count;
};

struct world {
    struct config config;
    struct prng prng;
    struct store_env env;
    struct partition partition;
    struct twin twins[KEYS];
    uint64_t records;
};

static struct element element_of(struct slice s, double score)
{
    struct element e = {malloc(s.len + 1), s.len, score};
    memcpy(e.ptr, s.ptr, s.len);
    return e;
}

static void twin_put(struct twin *twin, uint32_t at, struct element e)
{
    assert_true(at <= twin->count && twin->count < TWIN_MAX);
    memmove(twin->elements + at + 1, twin->elements + at, (twin->count - at) * sizeof e);
    twin->elements[at] = e;
    twin->count++;
    twin->present = true;
}
static void twin_take(struct twin *twin, uint32_t at, uint32_t n)
{
    assert_true(at + n <= twin->count);
    for (uint32_t i = at; i < at + n; i++) free(twin->elements[i].ptr);
    memmove(twin->elements + at, twin->elements + at + n, (twin->count - at - n) * sizeof *twin->elements);
    twin->count -= n;
}
static uint32_t twin_find(const struct twin *twin, struct slice member)
{
    uint32_t i = 0;
    while (i < twin->count &&
           !slice_equal((struct slice){twin->elements[i].ptr, twin->elements[i].len}, member))
        i++;
    return i;
}

/* The record sink: an applier that knows nothing but the record's format. */
static void apply(void *context, const struct record *record)
{
    struct world *w = context;
    struct twin *twin = &w->twins[record->key.ptr[1] - '0'];
    struct slice first = record->args[0];
    int64_t index = record_arg_int(record, 0);
    double score;
    uint32_t at;
    w->records++;
    switch (record->op) {
    case RECORD_LIST_INSERT:
        if (index < 0) index += twin->count + 1;
        twin_put(twin, (uint32_t)index, element_of(record->args[1], 0));
        break;
    case RECORD_LIST_SET:
        twin_take(twin, (uint32_t)index, 1);
        twin_put(twin, (uint32_t)index, element_of(record->args[1], 0));
        break;
    case RECORD_LIST_REMOVE: twin_take(twin, (uint32_t)index, (uint32_t)record_arg_int(record, 1)); break;
    case RECORD_ZSET_SET:
    case RECORD_ZSET_ADD:
        memcpy(&score, record->args[record->op == RECORD_ZSET_SET ? 1 : 2].ptr, 8);
        at = twin_find(twin, first);
        if (at < twin->count) twin_take(twin, at, 1);
        twin_put(twin, at, element_of(first, score));
        break;
    case RECORD_ZSET_REMOVE:
        at = twin_find(twin, first);
        assert_true(at < twin->count);
        twin_take(twin, at, 1);
        break;
    case RECORD_KEY_DELETE:
        twin_take(twin, 0, twin->count);
        twin->present = false;
        break;
    case RECORD_KEY_EXPIRE:
    case RECORD_STRING_SET: break;
    default: fail();
    }
}

static struct world *world_create(uint64_t seed)
{
    struct world *w = calloc(1, sizeof *w);
    config_init(&w->config);
    prng_seed(&w->prng, seed);
    w->env = (struct store_env){.now_ms = 1000,
                                .hash_seed = seed,
                                .config = &w->config,
                                .prng = &w->prng,
                                .next_expiry_ms = INT64_MAX,
                                .record_sink = apply,
                                .record_sink_context = w};
    assert_true(partition_init(&w->partition, 0, 16, &map_memory, 256u << 20));
    partition_hold(&w->partition, &w->env);
    return w;
}

static void world_destroy(struct world *w)
{
    for (int k = 0; k < KEYS; k++) twin_take(&w->twins[k], 0, w->twins[k].count);
    partition_destroy(&w->partition);
    config_free(&w->config);
    free(w);
}

static bool open_key(struct world *w, int k, struct entry *entry)
{
    static const char *const names[KEYS] = {"k0", "k1", "k2", "k3", "k4", "k5"};
    struct key key = {.name = {names[k], 2}};
    key.hash = key_hash(&w->env, key.name);
    return entry_find(entry, &w->partition, &key);
}

static void compare_key(struct world *w, int k)
{
    struct entry entry;
    struct twin *twin = &w->twins[k];
    assert_int_equal(open_key(w, k, &entry), twin->present);
    if (!twin->present) return;
    assert_int_equal(entry_count(&entry), twin->count);
    assert_true(twin->count > 0);
    if (item_type(entry.item) == ITEM_LIST) {
        struct list_iter iter;
        struct slice element;
        list_verify(&entry.value);
        list_iter_seek(&entry.value, 0, &iter);
        for (uint32_t i = 0; i < twin->count; i++) {
            assert_true(list_iter_next(&iter, &element));
            assert_true(slice_equal(element, (struct slice){twin->elements[i].ptr, twin->elements[i].len}));
        }
        return;
    }
    zset_verify(&entry.value);
    for (uint32_t i = 0; i < twin->count; i++) {
        double score;
        struct slice member = {twin->elements[i].ptr, twin->elements[i].len};
        assert_true(zset_score(&entry.value, member, &score));
        assert_memory_equal(&score, &twin->elements[i].score, 8);
    }
}

/* ---- random changes: even keys are lists, odd ones sorted sets ---- */

static struct slice draw(struct world *w, char *buffer)
{
    size_t len = prng_below(&w->prng, 30) == 0 ? prng_below(&w->prng, 3000) : prng_below(&w->prng, 3);
    for (size_t i = 0; i < len; i++) buffer[i] = (char)('a' + prng_below(&w->prng, 20));
    return (struct slice){buffer, len};
}

static void change_list(struct world *w, int k, bool may_fail)
{
    struct entry entry;
    char buffers[4][3000];
    struct slice drawn[4];
    uint64_t records = w->records;
    uint32_t n = 1 + (uint32_t)prng_below(&w->prng, 4);
    bool present = open_key(w, k, &entry);
    uint32_t count = present ? list_count(&entry.value) : 0, at = (uint32_t)prng_below(&w->prng, count + 1);
    int done = VALUE_OK;
    for (uint32_t i = 0; i < n; i++) drawn[i] = draw(w, buffers[i]);
    uint64_t dice = prng_below(&w->prng, 10);
    if (count > TWIN_MAX - 10) dice = 9;
    if (!present || dice < 4) {
        done = mutate_list_push(&entry, dice % 2 ? LIST_HEAD : LIST_TAIL, drawn, n);
    } else if (dice < 5) {
        done = mutate_list_insert(&entry, at, drawn[0]);
    } else if (dice < 6) {
        done = mutate_list_set(&entry, at == count ? 0 : at, drawn[0]);
    } else {
        if (prng_below(&w->prng, 40) == 0) n = count;
        if (n > count - at) n = count - at;
        mutate_list_remove(&entry, at, n);
    }
    assert_true(done == VALUE_OK || may_fail);
    if (done != VALUE_OK) assert_int_equal(w->records, records);
}

struct decision {
    bool accept;
    double score;
};
static bool decide(void *context, bool existed, double old, double *score)
{
    const struct decision *decision = context;
    *score = decision->score;
    return decision->accept || !existed;
}

static void change_zset(struct world *w, int k, bool may_fail)
{
    struct entry entry;
    char buffer[3000];
    struct slice member = draw(w, buffer);
    uint64_t records = w->records, dice = prng_below(&w->prng, 100);
    bool present = open_key(w, k, &entry);
    uint32_t count = present ? zset_count(&entry.value) : 0;
    if (count > TWIN_MAX - 10) dice = 98;
    if (!present || dice < 60) {
        struct decision decision = {prng_below(&w->prng, 2), (double)prng_below(&w->prng, 30)};
        struct zset_outcome outcome;
        double delta = 1;
        const double *increment = dice % 2 ? &delta : NULL;
        int done = mutate_zset_prepare(&entry, 1, member.len);
        if (done == VALUE_OK)
            done = mutate_zset_change(&entry, member, decide, &decision, increment, &outcome);
        assert_true(done == VALUE_OK || may_fail);
        if (done != VALUE_OK) assert_int_equal(w->records, records);
    } else if (dice < 97) {
        bool removed = mutate_zset_remove(&entry, member);
        assert_int_equal(w->records - records, removed ? 1 + (count == 1) : 0);
    } else {
        uint32_t from = (uint32_t)prng_below(&w->prng, count + 1), n = (uint32_t)prng_below(&w->prng, 400);
        if (n > count - from) n = count - from;
        mutate_zset_remove_span(&entry, from, from + n);
    }
}

static void test_records_tell_all(void **state)
{
    uint64_t seed = test_seed();
    struct world *w = world_create(seed);
    for (unsigned step = 0; step < 40000 * test_rounds(); step++) {
        int k = (int)prng_below(&w->prng, KEYS);
        bool failing = prng_below(&w->prng, 8) == 0;
        if (failing) slab_inject_failure(&w->partition.slab, 1 + prng_below(&w->prng, 3), true);
        if (k % 2) {
            change_zset(w, k, failing);
        } else {
            change_list(w, k, failing);
        }
        slab_inject_failure(&w->partition.slab, 0, false);
        if (step % 20 == 0) compare_key(w, k);
    }
    for (int k = 0; k < KEYS; k++) compare_key(w, k);
    assert_true(w->records > 10000);
    world_destroy(w);
}

/* ---- build ---- */

static void fill_build(struct world *w, struct build *build, unsigned members)
{
    struct zset_limits limits = mutate_zset_limits(&w->env);
    struct zset_outcome outcome;
    build_begin(build, &w->partition, ITEM_ZSET, ZSET_EMPTY_AREA, zset_free);
    for (unsigned i = 0; i < members; i++) {
        char name[16];
        int len = snprintf(name, sizeof name, "m%u", i);
        assert_int_equal(zset_set(&build->value, &limits, (struct slice){name, (size_t)len}, i, &outcome),
                         VALUE_OK);
    }
}

static void test_build_takes_place(void **state)
{
    static const unsigned sizes[] = {1, 20, 128, 129, 1000};
    struct world *w = world_create(7);
    struct entry entry;
    struct build build;
    w->env.record_sink = NULL;
    partition_hold(&w->partition, &w->env);
    for (int before = 0; before < 4; before++) {
        for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
            open_key(w, 0, &entry);
            if (before == 1) assert_int_equal(mutate_string_set(&entry, SLICE("text"), 99999), VALUE_OK);
            if (before == 2)
                assert_int_equal(mutate_list_push(&entry, LIST_TAIL, &SLICE("element"), 1), VALUE_OK);
            if (before == 3) {
                static char bytes[100000];
                assert_int_equal(
                    mutate_string_set(&entry, (struct slice){bytes, sizeof bytes}, ITEM_NO_DEADLINE),
                    VALUE_OK);
            }
            uint64_t used = w->partition.slab.used_bytes;
            fill_build(w, &build, sizes[s]);
            for (unsigned failures = 1; failures < 3; failures++) { /* the key stays as it was */
                slab_inject_failure(&w->partition.slab, 1, true);
                assert_int_equal(build_store(&build, &entry), VALUE_NO_MEMORY);
                slab_inject_failure(&w->partition.slab, 0, false);
                assert_int_equal(open_key(w, 0, &entry), before > 0);
                if (before == 1) assert_int_equal(item_deadline(entry.item), 99999);
                if (before == 2) assert_int_equal(list_count(&entry.value), 1);
            }
            build_drop(&build);
            assert_int_equal(w->partition.slab.used_bytes, used);

            fill_build(w, &build, sizes[s]);
            assert_int_equal(build_store(&build, &entry), VALUE_OK);
            assert_true(open_key(w, 0, &entry));
            assert_int_equal(item_type(entry.item), ITEM_ZSET);
            assert_int_equal(item_deadline(entry.item), ITEM_NO_DEADLINE);
            assert_int_equal(partition_expires(&w->partition, 0), 0);
            assert_int_equal(zset_count(&entry.value), sizes[s]);
            zset_verify(&entry.value);
            mutate_key_delete(&entry, RECORD_DELETED);
            assert_int_equal(partition_keys(&w->partition, 0), 0);
        }
    }
    world_destroy(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_tell_all),
        cmocka_unit_test(test_build_takes_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
