/* set: random operations against a naive twin with its own reading of Redis's encoding rules; memory that
 * fails; scan, random, copy; what a large set costs. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "value_fixture.h"
#include "base/number.h"
#include "types/set.h"

#include <stdio.h>
#include <string.h>

/* ---- the twin: an unsorted array of texts, and the encoding by the book ---- */

enum { TWIN_MAX = 4000 };
struct twin {
    char *members[TWIN_MAX];
    size_t lens[TWIN_MAX];
    int count;
    const char *encoding;
};

static int twin_find(const struct twin *twin, struct slice member)
{
    for (int i = 0; i < twin->count; i++)
        if (twin->lens[i] == member.len && memcmp(twin->members[i], member.ptr, member.len) == 0) return i;
    return -1;
}

static bool is_integer(struct slice text, long long *value)
{
    char copy[32], back[32];
    if (text.len == 0 || text.len > 20) return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    if (strlen(copy) != text.len) return false;
    *value = strtoll(copy, NULL, 10);
    snprintf(back, sizeof(back), "%lld", *value);
    return strcmp(copy, back) == 0;
}

static void twin_prepare(struct twin *twin, const struct set_config *c, struct slice first, uint64_t hint)
{
    long long value;
    if (twin->encoding == NULL)
        twin->encoding = is_integer(first, &value) && hint <= c->intset_entries_max ? "intset"
                         : hint <= c->listpack_entries_max                          ? "listpack"
                                                                                    : "hashtable";
    else if (strcmp(twin->encoding, "intset") == 0 && hint > c->intset_entries_max)
        twin->encoding = "hashtable";
    else if (strcmp(twin->encoding, "listpack") == 0 && hint > c->listpack_entries_max)
        twin->encoding = "hashtable";
}

static bool twin_add(struct twin *twin, const struct set_config *c, struct slice member)
{
    long long value;
    if (twin_find(twin, member) >= 0) return false;
    if (!twin->encoding) twin_prepare(twin, c, member, 1);
    size_t longest = member.len;
    for (int i = 0; i < twin->count; i++)
        if (twin->lens[i] > longest) longest = twin->lens[i];
    bool fits = (uint64_t)twin->count < c->listpack_entries_max && longest <= c->listpack_value_max;
    if (strcmp(twin->encoding, "intset") == 0) {
        if (!is_integer(member, &value))
            twin->encoding = fits ? "listpack" : "hashtable";
        else if ((uint64_t)twin->count + 1 > c->intset_entries_max)
            twin->encoding = "hashtable";
    } else if (strcmp(twin->encoding, "listpack") == 0) {
        fits = (uint64_t)twin->count < c->listpack_entries_max && member.len <= c->listpack_value_max;
        if (!fits) twin->encoding = "hashtable";
    }
    twin->members[twin->count] = malloc(member.len + 1);
    memcpy(twin->members[twin->count], member.ptr, member.len);
    twin->lens[twin->count++] = member.len;
    return true;
}

static void twin_remove(struct twin *twin, int index)
{
    free(twin->members[index]);
    twin->members[index] = twin->members[--twin->count];
    twin->lens[index] = twin->lens[twin->count];
}

/* ---- comparison ---- */

static void check_equal(const struct value *set, const struct twin *twin)
{
    struct set_iter iter;
    struct slice member;
    int count = 0;
    set_verify(set);
    assert_int_equal(set_count(set), twin->count);
    set_iter_begin(&iter, set);
    for (; set_iter_next(&iter, &member); count++) assert_true(twin_find(twin, member) >= 0);
    assert_int_equal(count, twin->count);
    if (twin->count) assert_string_equal(set_encoding(set), twin->encoding);
}

static struct slice random_member(struct prng *prng, char *text, int style)
{
    uint64_t dice = prng_below(prng, 100);
    size_t len;
    if (style == 0 || (style == 1 && dice < 90)) { /* integers of all widths */
        static const int64_t ranges[] = {50, 3000, 100000, INT64_MAX};
        int64_t value = (int64_t)prng_below(prng, (uint64_t)ranges[prng_below(prng, style == 0 ? 4 : 2)]);
        return (struct slice){text, number_format_i64(text, prng_below(prng, 2) ? value : -value)};
    }
    len = dice < 95 ? prng_below(prng, 3) : dice < 99 ? prng_below(prng, 70) : prng_below(prng, 400);
    for (size_t i = 0; i < len; i++) text[i] = (char)prng_below(prng, style == 3 ? 256 : 10);
    return (struct slice){text, len};
}

struct seen {
    const struct twin *twin;
    uint8_t times[TWIN_MAX];
};
static void see(void *context, struct slice member)
{
    struct seen *seen = context;
    int index = twin_find(seen->twin, member);
    assert_true(index >= 0);
    seen->times[index]++;
}

static void check_scan(const struct value *set, const struct twin *twin)
{
    static struct seen seen;
    memset(&seen, 0, sizeof(seen));
    seen.twin = twin;
    uint64_t cursor = 0;
    do cursor = set_scan(set, cursor, see, &seen);
    while (cursor);
    for (int i = 0; i < twin->count; i++) assert_int_equal(seen.times[i], 1);
}

static void check_copy(const struct value *set, const struct twin *twin, struct prng *prng)
{
    struct slab other;
    struct fixture_value copy;
    assert_int_equal(slab_init(&other, &map_memory, 64u << 20), 0);
    fixture_value_init(&copy, &other, SET_EMPTY_AREA);
    if (prng_below(prng, 2)) {
        slab_inject_failure(&other, 1 + prng_below(prng, 20), false);
        copy.fail_resize = (int)prng_below(prng, 3);
    }
    if (set_copy(set, &copy.value) == VALUE_OK) {
        slab_inject_failure(&other, 0, false);
        check_equal(&copy.value, twin);
        set_free(&copy.value);
    }
    assert_int_equal(set_count(&copy.value), 0);
    assert_int_equal(other.used_bytes, 0);
    fixture_value_done(&copy);
    slab_destroy(&other);
}

static void model_run(uint64_t seed, int style, const struct set_config *config, int steps, int most)
{
    struct slab slab;
    struct prng prng;
    static struct twin twin;
    struct fixture_value set;
    char text[512];
    int failures = 0, target = 0;
    memset(&twin, 0, sizeof(twin));
    prng_seed(&prng, seed);
    assert_int_equal(slab_init(&slab, &map_memory, 256u << 20), 0);
    fixture_value_init(&set, &slab, SET_EMPTY_AREA);
    for (int step = 0; step < steps; step++) {
        if (step % 500 == 0) target = (int)prng_below(&prng, (uint64_t)most);
        struct slice member = random_member(&prng, text, style);
        bool want = prng_below(&prng, 100) < (twin.count < target ? 80u : 20u), added;
        assert_int_equal(set_has(&set.value, member), twin_find(&twin, member) >= 0);
        if (want && twin.count < TWIN_MAX) {
            if (prng_below(&prng, 200) == 0) {
                uint64_t hint = prng_below(&prng, 300);
                set_prepare(&set.value, config, member, hint);
                twin_prepare(&twin, config, member, hint);
            }
            if (prng_below(&prng, 4) == 0) slab_inject_failure(&slab, 1 + prng_below(&prng, 40), false);
            if (prng_below(&prng, 10) == 0) set.fail_resize = 1;
            int error = set_add(&set.value, config, member, &added);
            slab_inject_failure(&slab, 0, false);
            set.fail_resize = 0;
            if (error == VALUE_OK) {
                assert_int_equal(added, twin_add(&twin, config, member));
            } else {
                failures++;
                check_equal(&set.value, &twin);
            }
        } else if (!want && twin.count) {
            int index = (int)prng_below(&prng, (uint64_t)twin.count);
            if (prng_below(&prng, 2)) member = (struct slice){twin.members[index], twin.lens[index]};
            index = twin_find(&twin, member);
            assert_int_equal(set_remove(&set.value, member), index >= 0);
            if (index >= 0) twin_remove(&twin, index);
        }
        if (twin.count) {
            char scratch[SET_SCRATCH];
            assert_true(twin_find(&twin, set_random(&set.value, &prng, scratch)) >= 0);
        }
        if (step % 100 == 99 || step < 50) check_equal(&set.value, &twin);
        if (step % 1000 == 999) check_scan(&set.value, &twin);
        if (step % 500 == 499) check_copy(&set.value, &twin, &prng);
        assert_int_equal(set_memory(&set.value), slab.used_bytes);
        if (prng_below(&prng, 1500) == 0) { /* begin again with a fresh one */
            set_free(&set.value);
            fixture_value_done(&set);
            fixture_value_init(&set, &slab, SET_EMPTY_AREA);
            while (twin.count) twin_remove(&twin, 0);
            twin.encoding = NULL;
        }
    }
    set_free(&set.value);
    assert_int_equal(slab.used_bytes, 0);
    print_message("style %d seed %llu: %d failures of memory\n", style, (unsigned long long)seed, failures);
    fixture_value_done(&set);
    slab_destroy(&slab);
    while (twin.count) twin_remove(&twin, 0);
}

static const struct set_config redis_defaults = {512, 128, 64, 0x1234};

static void model(void **unused)
{
    struct set_config odd = {20, 5, 10, 77}, wide = {100000, 100000, 1000, 5}, none = {0, 0, 0, 0};
    for (int style = 0; style < 4; style++) {
        for (uint64_t seed = 1; seed <= 2; seed++) {
            model_run(seed, style, &redis_defaults, 8000, 900);
            model_run(seed, style, &redis_defaults, 8000, 160);
            model_run(seed, style, &odd, 4000, 40);
            model_run(seed, style, &wide, 6000, 1500);
            model_run(seed, style, &none, 2000, 20);
        }
    }
}

/* Removing the very slice that set_random handed out. */
static void pop(void **unused)
{
    struct slab slab;
    struct prng prng;
    prng_seed(&prng, 3);
    assert_int_equal(slab_init(&slab, &map_memory, 64u << 20), 0);
    for (int n = 1; n < 3000; n = n * 3 + 1) {
        struct fixture_value set;
        char text[32];
        bool added;
        fixture_value_init(&set, &slab, SET_EMPTY_AREA);
        for (int i = 0; i < n; i++) {
            struct slice member = {text, (size_t)snprintf(text, sizeof(text), n % 2 ? "%d" : "member:%d", i)};
            assert_int_equal(set_add(&set.value, &redis_defaults, member, &added), VALUE_OK);
        }
        for (int left = n; left > 0; left--) {
            char scratch[SET_SCRATCH];
            assert_int_equal(set_count(&set.value), left);
            assert_true(set_remove(&set.value, set_random(&set.value, &prng, scratch)));
        }
        set_free(&set.value);
        assert_int_equal(slab.used_bytes, 0);
        fixture_value_done(&set);
    }
    slab_destroy(&slab);
}

/* How *STORE and SPOP build their results. */
static void started_sets(void **unused)
{
    struct slab slab;
    struct fixture_value set;
    bool added;
    char text[32];
    assert_int_equal(slab_init(&slab, &map_memory, 64u << 20), 0);
    for (int intset = 0; intset < 2; intset++) {
        for (int n = 1; n <= 600; n += 199) {
            fixture_value_init(&set, &slab, SET_EMPTY_AREA);
            set_start(&set.value, intset);
            for (int i = 0; i < n; i++) {
                struct slice member = {text, (size_t)snprintf(text, sizeof(text), "%d", i * 1000)};
                assert_int_equal(set_add(&set.value, &redis_defaults, member, &added), VALUE_OK);
            }
            const char *expected = n > (intset ? 512 : 128) ? "hashtable" : intset ? "intset" : "listpack";
            assert_string_equal(set_encoding(&set.value), expected);
            assert_int_equal(set_is_hashtable(&set.value), n > (intset ? 512 : 128));
            set_settle_integers(&set.value, &redis_defaults);
            assert_string_equal(set_encoding(&set.value), n <= 512 ? "intset" : "hashtable");
            set_verify(&set.value);
            set_free(&set.value);
            assert_int_equal(slab.used_bytes, 0);
            fixture_value_done(&set);
        }
    }
    slab_destroy(&slab);
}

static void cost_of_a_million(void **unused)
{
    struct slab slab;
    struct fixture_value set;
    bool added;
    char text[32];
    assert_int_equal(slab_init(&slab, &map_memory, 1u << 30), 0);
    fixture_value_init(&set, &slab, SET_EMPTY_AREA);
    for (int i = 0; i < 1000000; i++) {
        struct slice member = {text, (size_t)snprintf(text, sizeof(text), "member:%010d", i)}; /* 17 bytes */
        assert_int_equal(set_add(&set.value, &redis_defaults, member, &added), VALUE_OK);
        if (i == 9999 || i == 99999 || i == 999999)
            print_message("%d members of 17 bytes: %.1f bytes each held, %.1f used\n", i + 1,
                          (double)slab.held_bytes / (i + 1), (double)slab.used_bytes / (i + 1));
    }
    assert_true(slab.held_bytes <= 36 * 1000000);
    set_free(&set.value);
    assert_int_equal(slab.used_bytes, 0);
    fixture_value_done(&set);
    slab_destroy(&slab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model),
        cmocka_unit_test(pop),
        cmocka_unit_test(started_sets),
        cmocka_unit_test(cost_of_a_million),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
