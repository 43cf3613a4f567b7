/* Mutators of hashes and sets: random changes to a few keys, with memory failing now and then. A twin is kept
 * by reading the change records only: it must always equal what the keys hold. A failed mutator emits nothing
 * and changes nothing; an empty collection's key goes; hashes with deadlines are counted (P5) and filed in
 * the wheel no later than their earliest field. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "value_fixture.h"
#include "store/mutate_hash.h"
#include "store/mutate_set.h"

#include <stdio.h>

#define KEYS     8 /* even ones are hashes, odd ones sets */
#define TWIN_MAX 1500
#define TEXT_MAX 120

struct element {
    char name[TEXT_MAX], value[TEXT_MAX];
    size_t name_len, value_len;
    int64_t deadline_ms;
};
struct twin {
    struct element elements[TWIN_MAX];
    uint32_t count;
};
struct world {
    struct config config;
    struct prng prng;
    struct store_env env;
    struct partition *partition;
    struct twin twins[KEYS];
    uint64_t records, failures;
};

/* ---- the twin, fed by records ---- */

static uint32_t twin_find(const struct twin *twin, struct slice name)
{
    uint32_t i = 0;
    while (i < twin->count && !(twin->elements[i].name_len == name.len &&
                                memcmp(twin->elements[i].name, name.ptr, name.len) == 0))
        i++;
    return i;
}

static void twin_put(struct twin *twin, struct slice name, struct slice value, int64_t deadline_ms)
{
    uint32_t at = twin_find(twin, name);
    assert_true(at < TWIN_MAX && name.len < TEXT_MAX && value.len < TEXT_MAX);
    if (at == twin->count) twin->count++;
    struct element *e = &twin->elements[at];
    memcpy(e->name, name.ptr, e->name_len = name.len);
    if (value.len) memcpy(e->value, value.ptr, value.len);
    e->value_len = value.len;
    e->deadline_ms = deadline_ms;
}

static void apply(void *context, const struct record *record)
{
    struct world *w = context;
    struct twin *twin = &w->twins[record->key.ptr[1] - '0'];
    struct slice first = record->args[0], none = {NULL, 0};
    char text[32];
    uint32_t at = record->args_count ? twin_find(twin, first) : 0;
    int64_t kept = at < twin->count ? twin->elements[at].deadline_ms : HASH_NO_DEADLINE;
    w->records++;
    switch (record->op) {
    case RECORD_HASH_SET: twin_put(twin, first, record->args[1], record_arg_int(record, 2)); break;
    case RECORD_HASH_ADD:
        twin_put(twin, first,
                 (struct slice){
                     text, (size_t)snprintf(text, sizeof text, "%lld", (long long)record_arg_int(record, 2))},
                 kept);
        break;
    case RECORD_HASH_ADD_FLOAT: twin_put(twin, first, record->args[2], kept); break;
    case RECORD_HASH_EXPIRE:
        assert_true(at < twin->count);
        twin->elements[at].deadline_ms = record_arg_int(record, 1);
        break;
    case RECORD_SET_ADD:
        assert_int_equal(at, twin->count);
        twin_put(twin, first, none, HASH_NO_DEADLINE);
        break;
    case RECORD_HASH_REMOVE:
    case RECORD_SET_REMOVE:
        assert_true(at < twin->count);
        twin->elements[at] = twin->elements[--twin->count];
        break;
    case RECORD_KEY_DELETE: twin->count = 0; break;
    case RECORD_KEY_EXPIRE: break;
    default: fail();
    }
}

/* ---- comparison ---- */

static bool open_key(struct world *w, int k, struct entry *entry)
{
    static char names[KEYS][3];
    struct slice name = {names[k], (size_t)snprintf(names[k], sizeof names[k], "k%d", k)};
    struct key key = {.name = name, .hash = key_hash(&w->env, name)};
    return entry_find(entry, w->partition, &key);
}

static void check_hash(const struct value *hash, const struct twin *twin, int64_t *earliest_ms)
{
    struct hash_iter iter;
    struct hash_field field;
    hash_verify(hash);
    assert_int_equal(hash_count(hash), twin->count);
    for (hash_iter_begin(&iter, hash); hash_iter_next(&iter, &field);) {
        uint32_t at = twin_find(twin, field.field);
        assert_true(at < twin->count);
        assert_int_equal(field.value.len, twin->elements[at].value_len);
        assert_memory_equal(field.value.ptr, twin->elements[at].value, field.value.len);
        assert_true(field.deadline_ms == twin->elements[at].deadline_ms);
        if (field.deadline_ms != HASH_NO_DEADLINE && field.deadline_ms < *earliest_ms)
            *earliest_ms = field.deadline_ms;
    }
}

static void check_set(const struct value *set, const struct twin *twin)
{
    struct set_iter iter;
    struct slice member;
    set_verify(set);
    assert_int_equal(set_count(set), twin->count);
    for (set_iter_begin(&iter, set); set_iter_next(&iter, &member);)
        assert_true(twin_find(twin, member) < twin->count);
}

static void check_key(struct world *w, int k, uint64_t *timed, int64_t *earliest_ms)
{
    struct entry entry;
    int64_t earliest = INT64_MAX;
    assert_int_equal(open_key(w, k, &entry), w->twins[k].count > 0);
    if (!entry.item) return;
    if (k % 2)
        check_set(&entry.value, &w->twins[k]);
    else
        check_hash(&entry.value, &w->twins[k], &earliest);
    *timed += earliest != INT64_MAX;
    if (earliest < *earliest_ms) *earliest_ms = earliest;
}

static void check_world(struct world *w)
{
    uint64_t timed = 0;
    int64_t earliest_ms = INT64_MAX;
    for (int k = 0; k < KEYS; k++) check_key(w, k, &timed, &earliest_ms);
    assert_int_equal(partition_timed_hashes(w->partition, 0), timed);
    /* It lives at its deadline still. */
    if (earliest_ms != INT64_MAX) assert_true(wheel_next_ms(&w->partition->wheel) <= earliest_ms + 1);
}

/* ---- random changes ---- */

static struct slice random_text(struct world *w, char *to)
{
    uint64_t dice = prng_below(&w->prng, 20);
    if (dice < 17)
        return (struct slice){to, (size_t)snprintf(to, TEXT_MAX, "%u", (unsigned)prng_below(&w->prng, 700))};
    size_t len = prng_below(&w->prng, TEXT_MAX - 1);
    memset(to, 'a' + (int)prng_below(&w->prng, 3), len);
    return (struct slice){to, len};
}

static int64_t random_deadline(struct world *w)
{
    return w->env.now_ms + 1 + (int64_t)prng_below(&w->prng, 500);
}

static int change_hash(struct world *w, struct entry *entry, struct slice field)
{
    char text[TEXT_MAX];
    struct hash_field found;
    struct slice value = random_text(w, text), delta = SLICE("0.5");
    uint64_t dice = prng_below(&w->prng, 12);
    bool created, there = entry->item && hash_find(&entry->value, field, &found);
    if (dice < 7) {
        int64_t deadlines[] = {HASH_NO_DEADLINE, HASH_KEEP_DEADLINE, random_deadline(w)};
        struct slice texts[2] = {field, value};
        if (mutate_hash_prepare(entry, texts, 2) != VALUE_OK) return VALUE_NO_MEMORY;
        return mutate_hash_set(entry, field, value, deadlines[prng_below(&w->prng, 3)], &created);
    }
    if (dice == 7) {
        if (mutate_hash_prepare(entry, NULL, 0) != VALUE_OK) return VALUE_NO_MEMORY;
        return mutate_hash_add(entry, field, 1, (int64_t)prng_below(&w->prng, 1u << 30));
    }
    if (dice == 8) {
        if (mutate_hash_prepare(entry, NULL, 0) != VALUE_OK) return VALUE_NO_MEMORY;
        return mutate_hash_add_float(entry, field, delta, value);
    }
    if (dice == 9 && there) return mutate_hash_expire(entry, field, random_deadline(w));
    if (dice == 10 && there) return mutate_hash_expire(entry, field, HASH_NO_DEADLINE);
    if (entry->item) assert_int_equal(mutate_hash_remove(entry, field, RECORD_DELETED), there);
    return VALUE_OK;
}

static int keep_some(struct world *w, struct entry *entry)
{
    uint8_t keep[TWIN_MAX / 8 + 1];
    uint64_t count = set_count(&entry->value);
    if (count < 2) return VALUE_OK;
    for (size_t i = 0; i < sizeof keep; i++) keep[i] = (uint8_t)(prng_next(&w->prng) & prng_next(&w->prng));
    keep[0] = (uint8_t)((keep[0] | 1) & ~2); /* not all, not none */
    return mutate_set_keep(entry, keep);
}

static int change_set(struct world *w, struct entry *entry, struct slice member)
{
    uint64_t dice = prng_below(&w->prng, 40);
    bool added, there = entry->item && set_has(&entry->value, member);
    if (dice < 24) {
        if (mutate_set_prepare(entry, member, 1 + prng_below(&w->prng, 200)) != VALUE_OK)
            return VALUE_NO_MEMORY;
        int done = mutate_set_add(entry, member, &added);
        if (done == VALUE_OK) assert_int_equal(added, !there);
        return done;
    }
    if (!entry->item) return VALUE_OK;
    if (dice < 34) {
        assert_int_equal(mutate_set_remove(entry, member), there);
    } else if (dice < 38) {
        char scratch[SET_SCRATCH];
        mutate_set_pop(entry, set_random(&entry->value, &w->prng, scratch));
    } else if (dice == 38) {
        return keep_some(w, entry);
    }
    return VALUE_OK;
}

static void step(struct world *w)
{
    struct entry entry;
    char text[TEXT_MAX];
    int k = (int)prng_below(&w->prng, KEYS);
    struct slice name = random_text(w, text);
    open_key(w, k, &entry);
    uint64_t records = w->records;
    if (prng_below(&w->prng, 5) == 0)
        slab_inject_failure(&w->partition->slab, 1 + prng_below(&w->prng, 12), prng_below(&w->prng, 2));
    int done = k % 2 ? change_set(w, &entry, name) : change_hash(w, &entry, name);
    slab_inject_failure(&w->partition->slab, 0, false);
    if (done != VALUE_OK) {
        w->failures++;
        assert_int_equal(w->records, records);
        /* Only prepared and then failed: nothing is left. */
        if (open_key(w, k, &entry) && (k % 2 ? set_count(&entry.value) : hash_count(&entry.value)) == 0)
            fail_msg("an empty collection is left behind");
    }
}

static void pass_time(struct world *w)
{
    w->env.now_ms += (int64_t)prng_below(&w->prng, 100);
    if (prng_below(&w->prng, 20) == 0) w->env.now_ms -= (int64_t)prng_below(&w->prng, 10000); /* it is set */
    while (partition_expire(w->partition, 10)) continue;
    for (int k = 0; k < KEYS; k += 2)
        for (uint32_t i = 0; i < w->twins[k].count; i++) {
            int64_t deadline_ms = w->twins[k].elements[i].deadline_ms;
            assert_true(deadline_ms == HASH_NO_DEADLINE || deadline_ms >= w->env.now_ms);
        }
}

static void model_run(uint64_t seed)
{
    static struct world world;
    struct world *w = &world;
    memset(w, 0, sizeof *w);
    config_init(&w->config);
    prng_seed(&w->prng, seed);
    w->config.hash_max_listpack_entries = seed % 2 ? 512 : 20;
    w->env = (struct store_env){.now_ms = 1000000,
                                .hash_seed = seed,
                                .config = &w->config,
                                .prng = &w->prng,
                                .next_expiry_ms = INT64_MAX,
                                .record_sink = apply,
                                .record_sink_context = w};
    w->partition = aligned_alloc(64, (sizeof *w->partition + 63) / 64 * 64);
    assert_true(partition_init(w->partition, 0, 16, &map_memory, 256u << 20));
    partition_hold(w->partition, &w->env);
    for (int i = 0; i < 30000; i++) {
        step(w);
        if (i % 50 == 0) pass_time(w);
        if (i % 100 == 0) check_world(w);
        if (i % 5000 == 4999) { /* a copy and a rename carry deadlines along */
            struct entry from, to;
            if (open_key(w, 0, &from)) {
                open_key(w, 2, &to);
                w->env.record_sink = NULL;
                assert_int_equal(mutate_key_copy(&from, &to), VALUE_OK);
                w->env.record_sink = apply;
                w->twins[2] = w->twins[0];
                check_world(w);
            }
        }
    }
    check_world(w);
    for (int k = 0; k < KEYS; k++) {
        struct entry entry;
        if (open_key(w, k, &entry)) mutate_key_delete(&entry, RECORD_DELETED);
    }
    assert_int_equal(partition_timed_hashes(w->partition, 0), 0);
    assert_int_equal(w->partition->wheel.count, 0);
    print_message("seed %llu: %llu records, %llu failures of memory, %llu fields expired\n",
                  (unsigned long long)seed, (unsigned long long)w->records, (unsigned long long)w->failures,
                  (unsigned long long)w->env.stats.expired_fields);
    partition_destroy(w->partition);
    free(w->partition);
    config_free(&w->config);
}

static void model(void **unused)
{
    for (uint64_t seed = 1; seed <= 4; seed++) model_run(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
