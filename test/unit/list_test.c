/* list: random operations against an array of strings, with sizes from empty to several chunks and lengths
 * around every threshold; both forms, invariants and exact memory after them; failing allocations change
 * nothing; the encoding's thresholds; a list of a million elements: memory, and work per operation. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ordered_util.h"
#include "types/list.h"

#define MODEL_MAX 20000

struct string {
    char *ptr;
    size_t len;
};

struct model {
    struct slab slab;
    struct test_value list;
    struct prng prng;
    struct string elements[MODEL_MAX];
    uint32_t count;
    unsigned lengths; /* which lengths elements are drawn with */
};

static struct string draw(struct model *m)
{
    static const size_t edge[] = {0,    1,    63,   64,   126,  127,  128,  1018, 1019, 1020,
                                  1021, 1022, 1023, 1024, 2030, 2040, 2048, 4070, 4096, 9000};
    size_t len = prng_below(&m->prng, 12);
    if (m->lengths == 1) len = edge[prng_below(&m->prng, ARRAY_LEN(edge))];
    if (m->lengths == 2) len = prng_below(&m->prng, 300);
    if (m->lengths == 3) len = prng_below(&m->prng, 50) == 0 ? prng_below(&m->prng, 20000) : 3;
    if (m->lengths == 4) len = 0;
    if (m->lengths == 5) { /* numbers */
        char text[32];
        int n = snprintf(text, sizeof text, "%lld",
                         (long long)(int64_t)prng_next(&m->prng) >> prng_below(&m->prng, 64));
        return (struct string){strdup(text), (size_t)n};
    }
    char *ptr = malloc(len + 1);
    unsigned letters = 1 + (unsigned)prng_below(&m->prng, 3);
    for (size_t i = 0; i < len; i++) ptr[i] = (char)('a' + prng_below(&m->prng, letters));
    return (struct string){ptr, len};
}
#define LENGTHS 6

static struct slice slice_of(struct string s)
{
    return (struct slice){s.ptr, s.len};
}

static void model_insert(struct model *m, uint32_t at, struct string s)
{
    memmove(m->elements + at + 1, m->elements + at, (m->count - at) * sizeof *m->elements);
    m->elements[at] = s;
    m->count++;
}
static void model_remove(struct model *m, uint32_t at, uint32_t n)
{
    for (uint32_t i = at; i < at + n; i++) free(m->elements[i].ptr);
    memmove(m->elements + at, m->elements + at + n, (m->count - at - n) * sizeof *m->elements);
    m->count -= n;
}

static void compare_value(struct model *m, const struct value *list)
{
    struct list_iter iter;
    struct slice element;
    list_verify(list);
    assert_int_equal(list_count(list), m->count);
    list_iter_seek(list, 0, &iter);
    for (uint32_t i = 0; i < m->count; i++) {
        assert_true(list_iter_next(&iter, &element));
        assert_true(slice_equal(element, slice_of(m->elements[i])));
    }
    assert_false(list_iter_next(&iter, &element));
    for (uint32_t i = m->count; i-- > 0;) {
        assert_true(list_iter_prev(&iter, &element));
        assert_true(slice_equal(element, slice_of(m->elements[i])));
    }
    assert_false(list_iter_prev(&iter, &element));
}

static void compare_all(struct model *m)
{
    compare_value(m, &m->list.value);
    assert_int_equal(list_memory(&m->list.value), m->slab.used_bytes);
}

static void fail_soon(struct model *m)
{
    slab_inject_failure(&m->slab, 1 + prng_below(&m->prng, 4), true);
    m->list.fail = prng_below(&m->prng, 2);
}
static void fail_never(struct model *m)
{
    slab_inject_failure(&m->slab, 0, false);
    m->list.fail = false;
}

static void do_push(struct model *m, bool failing)
{
    struct string drawn[40];
    struct slice slices[40] = {{NULL, 0}};
    uint32_t n = prng_below(&m->prng, 4) ? 1 : (uint32_t)prng_below(&m->prng, 40);
    enum list_end end = prng_below(&m->prng, 2) ? LIST_HEAD : LIST_TAIL;
    if (m->count + n > MODEL_MAX) return;
    for (uint32_t i = 0; i < n; i++) {
        drawn[i] = draw(m);
        slices[i] = slice_of(drawn[i]);
    }
    if (failing) fail_soon(m);
    int done = list_push(&m->list.value, end, slices, n);
    fail_never(m);
    assert_true(done == VALUE_OK || failing);
    for (uint32_t i = 0; i < n; i++) {
        if (done == VALUE_OK) {
            model_insert(m, end == LIST_HEAD ? 0 : m->count, drawn[i]);
        } else {
            free(drawn[i].ptr);
        }
    }
}

static void do_insert(struct model *m, bool failing)
{
    if (m->count == MODEL_MAX) return;
    struct string s = draw(m);
    uint32_t at = (uint32_t)prng_below(&m->prng, m->count + 1);
    if (failing) fail_soon(m);
    int done = list_insert(&m->list.value, at, slice_of(s));
    fail_never(m);
    assert_true(done == VALUE_OK || failing);
    if (done == VALUE_OK) {
        model_insert(m, at, s);
    } else {
        free(s.ptr);
    }
}

static void do_set(struct model *m, bool failing)
{
    if (m->count == 0) return;
    struct string s = draw(m);
    uint32_t at = (uint32_t)prng_below(&m->prng, m->count);
    if (failing) fail_soon(m);
    int done = list_set(&m->list.value, at, slice_of(s));
    fail_never(m);
    assert_true(done == VALUE_OK || failing);
    if (done == VALUE_OK) {
        free(m->elements[at].ptr);
        m->elements[at] = s;
    } else {
        free(s.ptr);
    }
}

static void do_remove(struct model *m, bool failing)
{
    uint32_t at = (uint32_t)prng_below(&m->prng, m->count + 1), n = 1;
    uint64_t dice = prng_below(&m->prng, 40);
    if (dice < 10) at = 0;
    if (dice >= 10 && dice < 20 && m->count > 0) at = m->count - 1;
    if (dice == 20) n = (uint32_t)prng_below(&m->prng, 400);
    if (n > m->count - at) n = m->count - at;
    if (failing) fail_soon(m);
    list_remove(&m->list.value, at, n);
    fail_never(m);
    model_remove(m, at, n);
}

static void do_questions(struct model *m)
{
    if (m->count == 0) return;
    uint32_t at = (uint32_t)prng_below(&m->prng, m->count);
    assert_true(slice_equal(list_get(&m->list.value, at), slice_of(m->elements[at])));

    struct list_iter iter;
    struct slice element;
    list_iter_seek(&m->list.value, at, &iter);
    assert_true(list_iter_next(&iter, &element) && slice_equal(element, slice_of(m->elements[at])));
    list_iter_seek(&m->list.value, at, &iter);
    assert_int_equal(list_iter_prev(&iter, &element), at > 0);
    if (at > 0) assert_true(slice_equal(element, slice_of(m->elements[at - 1])));

    struct string needle = m->elements[prng_below(&m->prng, m->count)];
    bool backward = prng_below(&m->prng, 2);
    uint32_t found = UINT32_MAX, expected = UINT32_MAX;
    for (uint32_t i = at; i < m->count; i += backward ? -1u : 1u) {
        if (slice_equal(slice_of(m->elements[i]), slice_of(needle))) {
            expected = i;
            break;
        }
    }
    assert_int_equal(list_find(&m->list.value, at, backward, slice_of(needle), &found),
                     expected != UINT32_MAX);
    assert_int_equal(found, expected);
}

static void do_copy(struct model *m, bool failing)
{
    struct slab slab;
    struct test_value copy;
    assert_int_equal(slab_init(&slab, &map_memory, 256u << 20), 0);
    test_value_init(&copy, &slab, 1 + (uint32_t)prng_below(&m->prng, 5));
    if (failing) slab_inject_failure(&slab, 1 + prng_below(&m->prng, 10), true);
    int done = list_copy(&m->list.value, &copy.value);
    assert_true(done == VALUE_OK || failing);
    if (done == VALUE_OK) {
        compare_value(m, &copy.value);
        assert_int_equal(list_memory(&copy.value), slab.used_bytes);
        assert_int_equal(list_is_quicklist(&copy.value), list_is_quicklist(&m->list.value));
        list_free(&copy.value);
    }
    assert_int_equal(slab.used_bytes, 0);
    assert_int_equal(list_count(&copy.value), 0);
    slab_destroy(&slab);
    free(copy.value.bytes);
}

static void run_model(uint64_t seed, unsigned lengths)
{
    struct model *m = calloc(1, sizeof *m);
    assert_int_equal(slab_init(&m->slab, &map_memory, 1u << 30), 0);
    test_value_init(&m->list, &m->slab, LIST_EMPTY_AREA);
    prng_seed(&m->prng, seed);
    m->lengths = lengths;
    unsigned grow = 50;
    for (unsigned step = 0; step < 6000; step++) {
        if (step % 500 == 0) grow = 10 + (unsigned)prng_below(&m->prng, 80);
        bool failing = prng_below(&m->prng, 10) == 0;
        uint64_t dice = prng_below(&m->prng, 100);
        if (prng_below(&m->prng, 5) == 0) {
            do_set(m, failing);
        } else if (dice < grow) {
            if (prng_below(&m->prng, 2)) {
                do_push(m, failing);
            } else {
                do_insert(m, failing);
            }
        } else {
            do_remove(m, failing);
        }
        do_questions(m);
        if (step % 50 == 0) compare_all(m);
        if (step % 500 == 0) do_copy(m, failing);
    }
    compare_all(m);
    list_free(&m->list.value);
    assert_int_equal(m->slab.used_bytes, 0);
    assert_int_equal(list_count(&m->list.value), 0);
    model_remove(m, 0, m->count);
    slab_destroy(&m->slab);
    free(m->list.value.bytes);
    free(m);
}

static void test_model(void **state)
{
    uint64_t seed = test_seed();
    for (unsigned round = 0; round < test_rounds(); round++) {
        for (unsigned l = 0; l < LENGTHS; l++) run_model(seed + round * LENGTHS + l, l);
    }
}

/* The sizes that Redis's listpack gives its entries. */
static void test_listpack_size(void **state)
{
    static const struct {
        const char *text;
        size_t size;
    } known[] = {{"", 2},
                 {"0", 2},
                 {"127", 2},
                 {"128", 3},
                 {"4095", 3},
                 {"4096", 4},
                 {"-1", 3},
                 {"-4096", 3},
                 {"-4097", 4},
                 {"32767", 4},
                 {"32768", 5},
                 {"8388607", 5},
                 {"8388608", 6},
                 {"2147483647", 6},
                 {"2147483648", 10},
                 {"-2147483648", 6},
                 {"-2147483649", 10},
                 {"9223372036854775807", 10},
                 {"9223372036854775808", 21},
                 {"01", 4},
                 {"abc", 5}};
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        assert_int_equal(listpack_size((struct slice){known[i].text, strlen(known[i].text)}), known[i].size);
    }
    static char bytes[300000];
    memset(bytes, 'x', sizeof bytes);
    assert_int_equal(listpack_size((struct slice){bytes, 63}), 63 + 2);
    assert_int_equal(listpack_size((struct slice){bytes, 64}), 64 + 3);
    assert_int_equal(listpack_size((struct slice){bytes, 125}), 125 + 3);
    assert_int_equal(listpack_size((struct slice){bytes, 126}), 126 + 4);
    assert_int_equal(listpack_size((struct slice){bytes, 4095}), 4095 + 4);
    assert_int_equal(listpack_size((struct slice){bytes, 4096}), 4096 + 7);
    assert_int_equal(listpack_size((struct slice){bytes, 300000}), 300000 + 8);
}

/* Grows past the limit, shrinks to half of it. */
static void test_encoding(void **state)
{
    struct slab slab;
    struct test_value list;
    assert_int_equal(slab_init(&slab, &map_memory, 64u << 20), 0);
    test_value_init(&list, &slab, LIST_EMPTY_AREA);
    char bytes[100];
    memset(bytes, 'x', sizeof bytes);
    struct slice element = {bytes, 100}; /* 103 bytes in a listpack */
    uint32_t count = 0;
    while (!list_is_quicklist(&list.value)) {
        list_encoding_grow(&list.value, -2, 100, 1);
        assert_int_equal(list_push(&list.value, LIST_TAIL, &element, 1), VALUE_OK);
        count++;
    }
    assert_int_equal(count, 80); /* 7 + 79 * 103 + 100 > 8192 */
    while (list_is_quicklist(&list.value)) {
        list_remove(&list.value, 0, 1);
        list_encoding_shrink(&list.value, -2);
        count--;
    }
    assert_int_equal(count, 39); /* 7 + 39 * 103 <= 4096 */
    list_free(&list.value);

    for (count = 0; !list_is_quicklist(&list.value); count++) {
        list_encoding_grow(&list.value, 5, 1, 1);
        assert_int_equal(list_push(&list.value, LIST_HEAD, &SLICE("a"), 1), VALUE_OK);
    }
    assert_int_equal(count, 6);
    list_remove(&list.value, 0, 3);
    list_encoding_shrink(&list.value, 5);
    assert_true(list_is_quicklist(&list.value));
    list_remove(&list.value, 0, 1);
    list_encoding_shrink(&list.value, 5);
    assert_false(list_is_quicklist(&list.value));

    /* However few: what is larger than 8 KiB stays one. */
    char *large = calloc(1, 9000);
    assert_int_equal(list_push(&list.value, LIST_HEAD, &(struct slice){large, 9000}, 1), VALUE_OK);
    list_encoding_grow(&list.value, 50, 0, 0);
    list_encoding_shrink(&list.value, 50);
    assert_true(list_is_quicklist(&list.value));
    list_remove(&list.value, 0, 1);
    list_encoding_shrink(&list.value, 50);
    assert_false(list_is_quicklist(&list.value));
    free(large);

    list_encoding_settle(&list.value, 1);
    assert_true(list_is_quicklist(&list.value));
    list_encoding_settle(&list.value, -2);
    assert_false(list_is_quicklist(&list.value));
    list_free(&list.value);
    slab_destroy(&slab);
    free(list.value.bytes);
}

/* A million elements: bytes per element; any index is near; a queue does not grow. */
static void test_large(void **state)
{
    enum { COUNT = 1000000 };
    struct slab slab;
    struct test_value list;
    struct prng prng;
    assert_int_equal(slab_init(&slab, &map_memory, 1u << 30), 0);
    test_value_init(&list, &slab, LIST_EMPTY_AREA);
    prng_seed(&prng, 3);
    char text[32];
    for (uint32_t i = 0; i < COUNT; i++) {
        int len = snprintf(text, sizeof text, "element:%012u", i);
        assert_int_equal(list_push(&list.value, LIST_TAIL, &(struct slice){text, (size_t)len}, 1), VALUE_OK);
    }
    double per_element = (double)list_memory(&list.value) / COUNT;
    printf("bytes per element of 20: %.2f\n", per_element);
    assert_true(per_element < 22.6);
    clock_t start = clock();
    for (uint32_t i = 0; i < 100000; i++) {
        uint32_t at = (uint32_t)prng_below(&prng, COUNT);
        int len = snprintf(text, sizeof text, "element:%012u", at);
        assert_true(slice_equal(list_get(&list.value, at), (struct slice){text, (size_t)len}));
    }
    clock_t middle = clock();
    for (uint32_t i = 0; i < COUNT; i++) {
        list_remove(&list.value, 0, 1);
        int len = snprintf(text, sizeof text, "element:%012u", i);
        assert_int_equal(list_push(&list.value, LIST_TAIL, &(struct slice){text, (size_t)len}, 1), VALUE_OK);
    }
    clock_t end = clock();
    printf("index %.0f ns, pop and push %.0f ns\n", (double)(middle - start) * 1e9 / CLOCKS_PER_SEC / 100000,
           (double)(end - middle) * 1e9 / CLOCKS_PER_SEC / COUNT);
    list_verify(&list.value);
    assert_true((double)list_memory(&list.value) / COUNT < 22.6);
    for (uint32_t i = 0; i < 20000; i++) {
        assert_int_equal(list_insert(&list.value, (uint32_t)prng_below(&prng, COUNT), SLICE("new")),
                         VALUE_OK);
    }
    list_remove(&list.value, 1000, COUNT + 20000 - 2000); /* LTRIM's way, in the middle */
    list_verify(&list.value);
    assert_int_equal(list_count(&list.value), 2000);
    list_remove(&list.value, 0, 2000);
    assert_int_equal(list.value.len, LIST_EMPTY_AREA);
    assert_int_equal(slab.used_bytes, 0);
    slab_destroy(&slab);
    free(list.value.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listpack_size),
        cmocka_unit_test(test_encoding),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
