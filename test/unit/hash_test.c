/* hash: random operations against a naive twin with its own reading of Redis's encoding rules; deadlines and
 * expiry; memory that fails; scan, random, copy; what a large hash costs. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "value_fixture.h"
#include "types/hash.h"

#include <stdio.h>
#include <string.h>

/* ---- the twin: unsorted arrays, and the encoding by the book ---- */

enum { TWIN_MAX = 3000, TEXT_MAX = 400 };
struct twin_field {
    char field[TEXT_MAX], value[TEXT_MAX];
    size_t field_len, value_len;
    int64_t deadline_ms;
};
struct twin {
    struct twin_field fields[TWIN_MAX];
    int count;
    const char *encoding;
};

static int twin_find(const struct twin *twin, struct slice field)
{
    for (int i = 0; i < twin->count; i++)
        if (twin->fields[i].field_len == field.len &&
            memcmp(twin->fields[i].field, field.ptr, field.len) == 0)
            return i;
    return -1;
}

static void twin_set(struct twin *twin, const struct hash_config *c, struct slice field, struct slice value,
                     int64_t deadline_ms)
{
    int at = twin_find(twin, field);
    if (deadline_ms == HASH_KEEP_DEADLINE)
        deadline_ms = at >= 0 ? twin->fields[at].deadline_ms : HASH_NO_DEADLINE;
    if (at < 0) at = twin->count++;
    struct twin_field *to = &twin->fields[at];
    memcpy(to->field, field.ptr, to->field_len = field.len);
    memcpy(to->value, value.ptr, to->value_len = value.len);
    to->deadline_ms = deadline_ms;
    if (deadline_ms != HASH_NO_DEADLINE && strcmp(twin->encoding, "listpack") == 0)
        twin->encoding = "listpackex";
    if (field.len > c->listpack_value_max || value.len > c->listpack_value_max ||
        (uint64_t)twin->count > c->listpack_entries_max)
        twin->encoding = "hashtable";
}

static void twin_remove(struct twin *twin, int index)
{
    twin->fields[index] = twin->fields[--twin->count];
}

static void check_field(const struct twin *twin, const struct hash_field *field)
{
    int at = twin_find(twin, field->field);
    assert_true(at >= 0);
    assert_int_equal(field->value.len, twin->fields[at].value_len);
    assert_memory_equal(field->value.ptr, twin->fields[at].value, field->value.len);
    assert_true(field->deadline_ms == twin->fields[at].deadline_ms);
}

static void check_equal(const struct value *hash, const struct twin *twin)
{
    struct hash_iter iter;
    struct hash_field field;
    int count = 0, deadlines = 0;
    hash_verify(hash);
    assert_int_equal(hash_count(hash), twin->count);
    for (hash_iter_begin(&iter, hash); hash_iter_next(&iter, &field); count++) {
        check_field(twin, &field);
        deadlines += field.deadline_ms != HASH_NO_DEADLINE;
    }
    assert_int_equal(count, twin->count);
    assert_int_equal(deadlines, hash_count_deadlines(hash));
    assert_string_equal(hash_encoding(hash), twin->encoding);
}

struct seen {
    const struct twin *twin;
    uint8_t times[TWIN_MAX];
};
static void see(void *context, const struct hash_field *field)
{
    struct seen *seen = context;
    check_field(seen->twin, field);
    seen->times[twin_find(seen->twin, field->field)]++;
}

static void check_scan(const struct value *hash, const struct twin *twin)
{
    static struct seen seen;
    memset(&seen, 0, sizeof(seen));
    seen.twin = twin;
    uint64_t cursor = 0;
    do cursor = hash_scan(hash, cursor, see, &seen);
    while (cursor);
    for (int i = 0; i < twin->count; i++) assert_int_equal(seen.times[i], 1);
}

static void check_copy(const struct value *hash, const struct twin *twin, struct prng *prng)
{
    struct slab other;
    struct fixture_value copy;
    assert_int_equal(slab_init(&other, &map_memory, 64u << 20), 0);
    fixture_value_init(&copy, &other, HASH_EMPTY_AREA);
    if (prng_below(prng, 2)) {
        slab_inject_failure(&other, 1 + prng_below(prng, 30), false);
        copy.fail_resize = (int)prng_below(prng, 3);
    }
    if (hash_copy(hash, &copy.value) == VALUE_OK) {
        slab_inject_failure(&other, 0, false);
        check_equal(&copy.value, twin);
        hash_free(&copy.value);
    }
    assert_int_equal(hash_count(&copy.value), 0);
    assert_int_equal(other.used_bytes, 0);
    fixture_value_done(&copy);
    slab_destroy(&other);
}

static struct slice random_text(struct prng *prng, char *to, int style, uint32_t variety)
{
    uint64_t dice = prng_below(prng, 100);
    if (style == 0 || dice < 80)
        return (struct slice){to, (size_t)snprintf(to, 32, "%u", (unsigned)prng_below(prng, variety))};
    size_t len = dice < 97 ? prng_below(prng, 60) : prng_below(prng, style == 2 ? TEXT_MAX : 80);
    for (size_t i = 0; i < len; i++) to[i] = (char)prng_below(prng, 4);
    return (struct slice){to, len};
}

struct expired {
    struct twin *twin;
    int64_t now_ms, last_ms;
    bool ordered;
};
static void see_expired(void *context, const struct hash_field *field)
{
    struct expired *expired = context;
    check_field(expired->twin, field);
    assert_true(hash_field_is_due(field, expired->now_ms));
    assert_true(!expired->ordered || field->deadline_ms >= expired->last_ms);
    expired->last_ms = field->deadline_ms;
    twin_remove(expired->twin, twin_find(expired->twin, field->field));
}

static int count_due(const struct twin *twin, int64_t now_ms)
{
    int due = 0;
    for (int i = 0; i < twin->count; i++)
        due += twin->fields[i].deadline_ms != HASH_NO_DEADLINE && twin->fields[i].deadline_ms < now_ms;
    return due;
}

struct run {
    struct slab slab;
    struct prng prng;
    struct fixture_value hash;
    struct twin twin;
    const struct hash_config *config;
    int style, failures;
    uint32_t variety;
    int64_t now_ms;
};

static int64_t random_deadline(struct run *r)
{
    return r->now_ms + 1 + (int64_t)prng_below(&r->prng, 2000);
}

static void step_set(struct run *r, struct slice field)
{
    char text[TEXT_MAX];
    bool created;
    struct slice value = random_text(&r->prng, text, r->style, 1000000);
    uint64_t dice = prng_below(&r->prng, 10);
    int64_t deadline_ms = dice < 6 ? HASH_NO_DEADLINE : dice < 8 ? HASH_KEEP_DEADLINE : random_deadline(r);
    if (r->style == 3 && dice >= 8) deadline_ms = HASH_NO_DEADLINE; /* a run without any */
    if (prng_below(&r->prng, 100) == 0) {
        struct slice texts[4] = {field, value, field, value};
        bool large = 2 > r->config->listpack_entries_max || field.len > r->config->listpack_value_max ||
                     value.len > r->config->listpack_value_max;
        hash_prepare(&r->hash.value, r->config, texts, 4);
        if (large) r->twin.encoding = "hashtable";
    }
    int error = hash_set(&r->hash.value, r->config, field, value, deadline_ms, &created);
    if (error != VALUE_OK) {
        r->failures++;
        slab_inject_failure(&r->slab, 0, false);
        check_equal(&r->hash.value, &r->twin);
        return;
    }
    assert_int_equal(created, twin_find(&r->twin, field) < 0);
    twin_set(&r->twin, r->config, field, value, deadline_ms);
}

static void step_deadline(struct run *r, struct slice field)
{
    int at = twin_find(&r->twin, field);
    if (at < 0) return;
    int64_t deadline_ms = prng_below(&r->prng, 3) && r->style != 3 ? random_deadline(r) : HASH_NO_DEADLINE;
    int error = hash_set_deadline(&r->hash.value, r->config, field, deadline_ms);
    if (error != VALUE_OK) {
        assert_true(deadline_ms != HASH_NO_DEADLINE);
        r->failures++;
        slab_inject_failure(&r->slab, 0, false);
        check_equal(&r->hash.value, &r->twin);
        return;
    }
    r->twin.fields[at].deadline_ms = deadline_ms;
    if (deadline_ms != HASH_NO_DEADLINE && strcmp(r->twin.encoding, "listpack") == 0)
        r->twin.encoding = "listpackex";
}

static void step_expire(struct run *r)
{
    r->now_ms += (int64_t)prng_below(&r->prng, 300);
    uint32_t most = (uint32_t)prng_below(&r->prng, 20), due = (uint32_t)count_due(&r->twin, r->now_ms);
    bool table = r->hash.value.bytes[0] % 4 == 3;
    struct expired expired = {&r->twin, r->now_ms, 0, table};
    uint32_t done = hash_expire(&r->hash.value, r->now_ms, most, see_expired, &expired);
    assert_int_equal(done, due < most ? due : most);
}

static void model_run(uint64_t seed, int style, const struct hash_config *config, int steps, uint32_t variety)
{
    static struct run run;
    struct run *r = &run;
    memset(r, 0, sizeof(*r));
    r->style = style;
    r->config = config;
    r->variety = variety;
    r->now_ms = 1000000;
    r->twin.encoding = "listpack";
    prng_seed(&r->prng, seed);
    assert_int_equal(slab_init(&r->slab, &map_memory, 256u << 20), 0);
    fixture_value_init(&r->hash, &r->slab, HASH_EMPTY_AREA);
    uint32_t growth = 0;
    for (int step = 0; step < steps; step++) {
        char text[TEXT_MAX];
        struct hash_field found;
        struct slice field = random_text(&r->prng, text, style, variety);
        if (step % 500 == 0) growth = (uint32_t)prng_below(&r->prng, 3);
        int at = twin_find(&r->twin, field);
        assert_int_equal(hash_find(&r->hash.value, field, &found), at >= 0);
        if (at >= 0) check_field(&r->twin, &found);
        if (prng_below(&r->prng, 4) == 0) slab_inject_failure(&r->slab, 1 + prng_below(&r->prng, 40), false);
        if (prng_below(&r->prng, 8) == 0) r->hash.fail_resize = 1 + (int)prng_below(&r->prng, 2);
        uint64_t dice = prng_below(&r->prng, 10);
        if (dice < 3 + growth * 2 && r->twin.count < TWIN_MAX)
            step_set(r, field);
        else if (dice < 8)
            step_deadline(r, field);
        else if (dice == 8 && prng_below(&r->prng, 20) == 0)
            step_expire(r);
        else if (growth < 2 || dice == 9) {
            assert_int_equal(hash_remove(&r->hash.value, field), at >= 0);
            if (at >= 0) twin_remove(&r->twin, at);
        }
        slab_inject_failure(&r->slab, 0, false);
        r->hash.fail_resize = 0;
        assert_int_equal(hash_memory(&r->hash.value), r->slab.used_bytes);
        if (r->twin.count) {
            hash_random(&r->hash.value, &r->prng, &found);
            check_field(&r->twin, &found);
        }
        if (step % 100 == 99 || step < 50) check_equal(&r->hash.value, &r->twin);
        if (step % 1000 == 999) check_scan(&r->hash.value, &r->twin);
        if (step % 500 == 499) check_copy(&r->hash.value, &r->twin, &r->prng);
        if (prng_below(&r->prng, 1500) == 0) { /* begin again with a fresh one */
            hash_free(&r->hash.value);
            fixture_value_done(&r->hash);
            fixture_value_init(&r->hash, &r->slab, HASH_EMPTY_AREA);
            r->twin.count = 0;
            r->twin.encoding = "listpack";
        }
    }
    hash_free(&r->hash.value);
    assert_int_equal(r->slab.used_bytes, 0);
    print_message("style %d seed %llu: %d failures of memory\n", style, (unsigned long long)seed,
                  r->failures);
    fixture_value_done(&r->hash);
    slab_destroy(&r->slab);
}

static const struct hash_config redis_defaults = {512, 64, 0x1234};

static void model(void **unused)
{
    struct hash_config odd = {5, 10, 77}, wide = {100000, 1000, 5}, none = {0, 0, 0};
    for (int style = 0; style < 4; style++) {
        for (uint64_t seed = 1; seed <= 2; seed++) {
            model_run(seed, style, &redis_defaults, 8000, 1200);
            model_run(seed, style, &redis_defaults, 8000, 100);
            model_run(seed, style, &odd, 4000, 30);
            model_run(seed, style, &wide, 6000, 2000);
            model_run(seed, style, &none, 2000, 20);
        }
    }
}

static void cost_of_a_million(void **unused)
{
    struct slab slab;
    struct fixture_value hash;
    bool created;
    char field[32], value[16];
    assert_int_equal(slab_init(&slab, &map_memory, 1u << 30), 0);
    fixture_value_init(&hash, &slab, HASH_EMPTY_AREA);
    for (int i = 0; i < 1000000; i++) {
        struct slice f = {field, (size_t)snprintf(field, sizeof(field), "field:%010d", i)}; /* 16 bytes */
        struct slice v = {value, (size_t)snprintf(value, sizeof(value), "%08d", i)};
        assert_int_equal(hash_set(&hash.value, &redis_defaults, f, v, HASH_NO_DEADLINE, &created), VALUE_OK);
        if (i == 9999 || i == 99999 || i == 999999)
            print_message("%d fields of 16 + 8 bytes: %.1f bytes each held, %.1f used\n", i + 1,
                          (double)slab.held_bytes / (i + 1), (double)slab.used_bytes / (i + 1));
    }
    assert_true(slab.held_bytes <= 45 * 1000000);
    hash_free(&hash.value);
    assert_int_equal(slab.used_bytes, 0);
    fixture_value_done(&hash);
    slab_destroy(&slab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model),
        cmocka_unit_test(cost_of_a_million),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
