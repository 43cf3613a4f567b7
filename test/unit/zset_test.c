/* zset: random operations against a sorted array, in both forms, across the thresholds between them and those
 * of the encoding; every kind of range; exact memory; failing allocations change nothing; a million members:
 * memory. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ordered_util.h"
#include "types/zset.h"

#include <math.h>

#define MODEL_MAX 3000

struct element {
    char *ptr;
    size_t len;
    double score;
};

struct model {
    struct slab slab;
    struct test_value zset;
    struct prng prng;
    struct zset_limits limits;
    struct element elements[MODEL_MAX]; /* in order */
    uint32_t count;
    unsigned kind;
    bool skiplist;
};

static struct slice slice_of(struct element e)
{
    return (struct slice){e.ptr, e.len};
}

static double draw_score(struct model *m)
{
    static const double special[] = {
        0.0,   -0.0,   INFINITY,     -INFINITY,    127,           128,           -128, -129, 32767,
        32768, -32768, 2147483647.0, 2147483648.0, -2147483648.0, -2147483649.0, 0.5,  1e300};
    switch (m->kind % 4) {
    case 0: return (double)prng_below(&m->prng, 10);
    case 1: return special[prng_below(&m->prng, ARRAY_LEN(special))];
    case 2: return 1;
    default: return (prng_unit(&m->prng) - 0.5) * 1000;
    }
}

static void draw_member(struct model *m, struct element *e)
{
    uint64_t range = m->kind < 4 ? 200 : 4000;
    char text[300];
    size_t len = (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)prng_below(&m->prng, range));
    uint64_t hash =
        (uint8_t)text[0] * 7u + (uint8_t)text[len - 1] * 3u; /* the same member always has the same length */
    size_t pad = hash % 40 == 0 ? 60 + hash % 200 : hash % 3;
    memset(text + len, 'p', pad);
    len += pad;
    e->ptr = malloc(len);
    e->len = len;
    memcpy(e->ptr, text, len);
}

static int compare(const struct element *a, double score, struct slice member)
{
    if (a->score < score) return -1;
    if (a->score > score) return 1;
    int order = memcmp(a->ptr, member.ptr, a->len < member.len ? a->len : member.len);
    return order ? order : (a->len > member.len) - (a->len < member.len);
}

static uint32_t model_find(struct model *m, struct slice member)
{
    uint32_t i = 0;
    while (i < m->count && !slice_equal(slice_of(m->elements[i]), member)) i++;
    return i;
}
static void model_put(struct model *m, struct element e)
{
    uint32_t at = 0;
    while (at < m->count && compare(&m->elements[at], e.score, slice_of(e)) < 0) at++;
    memmove(m->elements + at + 1, m->elements + at, (m->count - at) * sizeof e);
    m->elements[at] = e;
    m->count++;
}
static void model_drop(struct model *m, uint32_t at, uint32_t n)
{
    memmove(m->elements + at, m->elements + at + n, (m->count - at - n) * sizeof *m->elements);
    m->count -= n;
}

static void compare_value(struct model *m, const struct value *zset)
{
    struct zset_iter iter;
    struct slice member;
    double score;
    zset_verify(zset);
    assert_int_equal(zset_count(zset), m->count);
    assert_int_equal(zset_is_skiplist(zset), m->skiplist);
    zset_iter_seek(zset, 0, &iter);
    for (uint32_t i = 0; i < m->count; i++) {
        assert_true(zset_iter_next(&iter, &member, &score));
        assert_true(slice_equal(member, slice_of(m->elements[i])));
        assert_memory_equal(&score, &m->elements[i].score, 8);
    }
    assert_false(zset_iter_next(&iter, &member, &score));
    for (uint32_t i = m->count; i-- > 0;) {
        assert_true(zset_iter_prev(&iter, &member, &score));
        assert_true(slice_equal(member, slice_of(m->elements[i])));
        assert_memory_equal(&score, &m->elements[i].score, 8);
    }
    assert_false(zset_iter_prev(&iter, &member, &score));
}

static void compare_all(struct model *m)
{
    compare_value(m, &m->zset.value);
    assert_int_equal(zset_memory(&m->zset.value), m->slab.used_bytes);
}

static void fail_soon(struct model *m)
{
    slab_inject_failure(&m->slab, 1 + prng_below(&m->prng, 4), true);
    m->zset.fail = prng_below(&m->prng, 2);
}
static void fail_never(struct model *m)
{
    slab_inject_failure(&m->slab, 0, false);
    m->zset.fail = false;
}

static void do_set(struct model *m, bool failing)
{
    struct element e;
    struct zset_outcome out = {.old = 77};
    if (m->count == MODEL_MAX) return;
    draw_member(m, &e);
    e.score = draw_score(m);
    uint32_t at = model_find(m, slice_of(e));
    bool existed = at < m->count;
    if (failing) fail_soon(m);
    int done = zset_set(&m->zset.value, &m->limits, slice_of(e), e.score, &out);
    fail_never(m);
    assert_true(done == VALUE_OK || failing);
    if (done != VALUE_OK) {
        free(e.ptr);
        return;
    }
    assert_int_equal(out.existed, existed);
    bool outgrown = m->count + 1 > m->limits.listpack_entries || e.len > m->limits.listpack_value;
    m->skiplist = m->skiplist || (!existed && outgrown);
    if (!m->skiplist) e.score += 0.0; /* a listpack has no -0.0 */
    assert_int_equal(out.changed, !existed || m->elements[at].score != e.score);
    if (existed) {
        assert_memory_equal(&out.old, &m->elements[at].score, 8);
        if (!out.changed) {
            free(e.ptr);
            return;
        }
        free(m->elements[at].ptr);
        model_drop(m, at, 1);
    }
    model_put(m, e);
}

static void do_remove(struct model *m, bool failing)
{
    struct element e;
    double score = 77;
    draw_member(m, &e);
    uint32_t at = model_find(m, slice_of(e));
    if (failing) fail_soon(m);
    assert_int_equal(zset_remove(&m->zset.value, slice_of(e), &score), at < m->count);
    fail_never(m);
    free(e.ptr);
    if (at == m->count) return;
    assert_memory_equal(&score, &m->elements[at].score, 8);
    free(m->elements[at].ptr);
    model_drop(m, at, 1);
}

static void do_remove_span(struct model *m, bool failing)
{
    uint32_t from = (uint32_t)prng_below(&m->prng, m->count + 1), n = (uint32_t)prng_below(&m->prng, 60);
    if (prng_below(&m->prng, 30) == 0) n = MODEL_MAX;
    if (n > m->count - from) n = m->count - from;
    if (failing) fail_soon(m);
    zset_remove_span(&m->zset.value, from, from + n);
    fail_never(m);
    for (uint32_t i = from; i < from + n; i++) free(m->elements[i].ptr);
    model_drop(m, from, n);
}

static void ask_score_range(struct model *m)
{
    struct zset_score_range range = {draw_score(m), draw_score(m), prng_below(&m->prng, 2),
                                     prng_below(&m->prng, 2)};
    struct zset_span span = zset_span_by_score(&m->zset.value, &range);
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        double s = m->elements[i].score;
        bool in = (range.min_open ? s > range.min : s >= range.min) &&
                  (range.max_open ? s < range.max : s <= range.max);
        n += in;
        assert_int_equal(i >= span.from && i < span.to, in);
    }
    assert_int_equal(span.to - span.from, n);
}

/* With equal scores: compared by brute force. With others: only that the answer is a span. */
static void ask_lex_range(struct model *m)
{
    struct element a, b;
    draw_member(m, &a);
    draw_member(m, &b);
    struct zset_lex_range range = {slice_of(a), slice_of(b), (enum zset_lex_end)prng_below(&m->prng, 4),
                                   (enum zset_lex_end)prng_below(&m->prng, 4)};
    struct zset_span span = zset_span_by_lex(&m->zset.value, &range, prng_below(&m->prng, 2), 0);
    assert_true(span.from <= span.to && span.to <= m->count);
    uint32_t n = 0;
    for (uint32_t i = 0; m->kind % 4 == 2 && i < m->count; i++) {
        int low = compare(&m->elements[i], 1, range.min), high = compare(&m->elements[i], 1, range.max);
        bool in = range.min_end == ZSET_LEX_LOWEST || (range.min_end == ZSET_LEX_OPEN && low > 0) ||
                  (range.min_end == ZSET_LEX_CLOSED && low >= 0);
        in = in && (range.max_end == ZSET_LEX_HIGHEST || (range.max_end == ZSET_LEX_OPEN && high < 0) ||
                    (range.max_end == ZSET_LEX_CLOSED && high <= 0));
        n += in;
        assert_int_equal(i >= span.from && i < span.to, in);
    }
    if (m->kind % 4 == 2) assert_int_equal(span.to - span.from, n);
    free(a.ptr);
    free(b.ptr);
}

static void do_questions(struct model *m)
{
    struct element e;
    double score = 0;
    uint32_t rank = 0;
    draw_member(m, &e);
    uint32_t at = model_find(m, slice_of(e));
    assert_int_equal(zset_score(&m->zset.value, slice_of(e), &score), at < m->count);
    if (at < m->count) assert_memory_equal(&score, &m->elements[at].score, 8);
    assert_int_equal(zset_rank(&m->zset.value, slice_of(e), &rank, &score), at < m->count);
    if (at < m->count) assert_int_equal(rank, at);
    free(e.ptr);
    ask_score_range(m);
    ask_lex_range(m);

    struct zset_iter iter;
    struct slice member;
    rank = (uint32_t)prng_below(&m->prng, m->count + 1);
    zset_iter_seek(&m->zset.value, rank, &iter);
    for (unsigned step = 0; step < 20; step++) { /* to and fro */
        bool forward = prng_below(&m->prng, 2);
        bool moved =
            forward ? zset_iter_next(&iter, &member, &score) : zset_iter_prev(&iter, &member, &score);
        assert_int_equal(moved, forward ? rank < m->count : rank > 0);
        if (!moved) continue;
        if (!forward) rank--;
        assert_true(slice_equal(member, slice_of(m->elements[rank])));
        if (forward) rank++;
    }
}

struct seen {
    struct model *m;
    uint8_t times[MODEL_MAX];
};
static void see(void *context, struct slice member, double score)
{
    struct seen *seen = context;
    uint32_t at = model_find(seen->m, member);
    assert_true(at < seen->m->count);
    assert_memory_equal(&score, &seen->m->elements[at].score, 8);
    seen->times[at]++;
}
static void do_scan(struct model *m)
{
    struct seen seen = {.m = m};
    uint64_t cursor = 0;
    do {
        cursor = zset_scan(&m->zset.value, cursor, see, &seen);
    } while (cursor != 0);
    for (uint32_t i = 0; i < m->count; i++) assert_int_equal(seen.times[i], 1);
}

static void do_copy(struct model *m, bool failing)
{
    struct slab slab;
    struct test_value copy;
    assert_int_equal(slab_init(&slab, &map_memory, 256u << 20), 0);
    test_value_init(&copy, &slab, 1 + (uint32_t)prng_below(&m->prng, 5));
    if (failing) slab_inject_failure(&slab, 1 + prng_below(&m->prng, 50), true);
    int done = zset_copy(&m->zset.value, &copy.value);
    assert_true(done == VALUE_OK || failing);
    if (done == VALUE_OK) {
        compare_value(m, &copy.value);
        assert_int_equal(zset_memory(&copy.value), slab.used_bytes);
        zset_free(&copy.value);
    }
    assert_int_equal(slab.used_bytes, 0);
    assert_int_equal(zset_count(&copy.value), 0);
    slab_destroy(&slab);
    free(copy.value.bytes);
}

static void run_model(uint64_t seed, unsigned kind)
{
    struct model *m = calloc(1, sizeof *m);
    assert_int_equal(slab_init(&m->slab, &map_memory, 256u << 20), 0);
    test_value_init(&m->zset, &m->slab, ZSET_EMPTY_AREA);
    prng_seed(&m->prng, seed);
    m->kind = kind;
    m->limits = (struct zset_limits){prng_below(&m->prng, 3) ? 128 : prng_below(&m->prng, 1000),
                                     prng_below(&m->prng, 3) ? 64 : prng_below(&m->prng, 1000), seed};
    unsigned grow = 80;
    for (unsigned step = 0; step < 5000; step++) {
        if (step % 1000 == 0) grow = 40 + (unsigned)prng_below(&m->prng, 60);
        bool failing = prng_below(&m->prng, 10) == 0;
        if (prng_below(&m->prng, 100) < grow) {
            do_set(m, failing);
        } else if (prng_below(&m->prng, 40)) {
            do_remove(m, failing);
        } else {
            do_remove_span(m, failing);
        }
        if (step % 4 == 0) do_questions(m);
        if (step % 50 == 0) compare_all(m);
        if (step % 500 == 0) do_scan(m);
        if (step % 500 == 250) do_copy(m, failing);
    }
    compare_all(m);
    zset_free(&m->zset.value);
    assert_int_equal(m->slab.used_bytes, 0);
    assert_int_equal(m->zset.value.len, ZSET_EMPTY_AREA);
    for (uint32_t i = 0; i < m->count; i++) free(m->elements[i].ptr);
    slab_destroy(&m->slab);
    free(m->zset.value.bytes);
    free(m);
}

static void test_model(void **state)
{
    uint64_t seed = test_seed();
    for (unsigned round = 0; round < test_rounds(); round++) {
        for (unsigned kind = 0; kind < 8; kind++) run_model(seed + round * 8 + kind, kind);
    }
}

static struct zset_span lex(const struct value *zset, const char *min, const char *max, bool backward,
                            uint32_t skip)
{
    struct zset_lex_range range = {
        {min + 1, strlen(min + 1)}, {max + 1, strlen(max + 1)}, ZSET_LEX_LOWEST, ZSET_LEX_LOWEST};
    if (*min != '-')
        range.min_end = *min == '[' ? ZSET_LEX_CLOSED : *min == '(' ? ZSET_LEX_OPEN : ZSET_LEX_HIGHEST;
    if (*max != '-')
        range.max_end = *max == '[' ? ZSET_LEX_CLOSED : *max == '(' ? ZSET_LEX_OPEN : ZSET_LEX_HIGHEST;
    return zset_span_by_lex(zset, &range, backward, skip);
}

/* Unequal scores, where Redis's listpack answers from the end one begins at. */
static void test_lex_of_unequal_scores(void **state)
{
    struct slab slab;
    struct test_value zset;
    struct zset_outcome out;
    struct zset_limits limits = {128, 64, 1};
    static const char *const members[] = {"d", "b", "e", "a", "c"}; /* by rising score */
    assert_int_equal(slab_init(&slab, &map_memory, 64u << 20), 0);
    test_value_init(&zset, &slab, ZSET_EMPTY_AREA);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(zset_set(&zset.value, &limits, (struct slice){members[i], 1}, i, &out), VALUE_OK);
    }
    struct zset_span span = lex(&zset.value, "[b", "[d", false, 0);
    assert_true(span.from == 0 && span.to == 2); /* d b, then e ends it */
    span = lex(&zset.value, "[b", "[d", true, 0);
    assert_true(span.from == 4 && span.to == 5); /* c, then a ends it */
    span = lex(&zset.value, "[a", "[b", false, 0);
    assert_int_equal(span.to - span.from,
                     0); /* the first member is above the range: Redis looks no further */
    span = lex(&zset.value, "[b", "[d", false, 3);
    assert_true(span.from == 3 && span.to == 5); /* skips d b e unseen, then a and c are within */
    span = lex(&zset.value, "-", "+", false, 0);
    assert_true(span.from == 0 && span.to == 5);
    zset_free(&zset.value);
    slab_destroy(&slab);
    free(zset.value.bytes);
}

static void test_encoding(void **state)
{
    struct slab slab;
    struct test_value zset;
    struct zset_outcome out;
    struct zset_limits limits = {3, 4, 1};
    assert_int_equal(slab_init(&slab, &map_memory, 64u << 20), 0);
    test_value_init(&zset, &slab, ZSET_EMPTY_AREA);
    assert_false(zset_is_skiplist(&zset.value));
    assert_int_equal(zset_set(&zset.value, &limits, SLICE("abcd"), 1, &out), VALUE_OK);
    assert_false(zset_is_skiplist(&zset.value));
    assert_int_equal(zset_set(&zset.value, &limits, SLICE("abcde"), 1, &out), VALUE_OK);
    assert_true(zset_is_skiplist(&zset.value));
    double score;
    assert_true(zset_remove(&zset.value, SLICE("abcde"), &score));
    assert_true(zset_is_skiplist(&zset.value)); /* for good */
    zset_encoding_settle(&zset.value, &limits);
    assert_false(zset_is_skiplist(&zset.value));
    zset_encoding_hint(&zset.value, &limits, 3, 4);
    assert_false(zset_is_skiplist(&zset.value));
    zset_encoding_hint(&zset.value, &limits, 4, 4);
    assert_true(zset_is_skiplist(&zset.value));
    zset_free(&zset.value);
    slab_destroy(&slab);
    free(zset.value.bytes);
}

static void test_memory(void **state)
{
    enum { COUNT = 1000000 };
    struct slab slab;
    struct test_value zset;
    struct zset_outcome out;
    struct prng prng;
    struct zset_limits limits = {128, 64, 1};
    assert_int_equal(slab_init(&slab, &map_memory, 1u << 30), 0);
    test_value_init(&zset, &slab, ZSET_EMPTY_AREA);
    prng_seed(&prng, 9);
    clock_t start = clock();
    for (uint32_t i = 0; i < COUNT; i++) {
        char member[32];
        int len = snprintf(member, sizeof member, "member:%010u%.*s", i, (int)(i % 4), "xyz");
        double score = (double)prng_below(&prng, 100000000);
        assert_int_equal(zset_set(&zset.value, &limits, (struct slice){member, (size_t)len}, score, &out),
                         VALUE_OK);
    }
    double ns = (double)(clock() - start) * 1e9 / CLOCKS_PER_SEC / COUNT;
    double used = (double)zset_memory(&zset.value) / COUNT, held = (double)slab.held_bytes / COUNT;
    printf("1 M members of 17-20 bytes: %.1f bytes each in use, %.1f held; insertion %.0f ns\n", used, held,
           ns);
    zset_verify(&zset.value);
    assert_true(held <= 55);
    slab_destroy(&slab);
    free(zset.value.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encoding),
        cmocka_unit_test(test_lex_of_unequal_scores),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
