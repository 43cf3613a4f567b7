/* stream: random appends, deletions and trims against an array of entries, with entries from tiny to longer
 * than a chunk; both directions from any ID, invariants and exact memory; failing allocations change nothing;
 * a large stream's memory; packed fields from elsewhere. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ordered_util.h"
#include "types/stream.h"

#define MODEL_MAX 5000

struct known {
    struct stream_id id;
    uint32_t len; /* of the one value, whose bytes follow from the ID */
};

struct model {
    struct slab slab;
    struct test_value stream;
    struct prng prng;
    struct known entries[MODEL_MAX];
    uint32_t count;
    uint64_t added;
    struct stream_id last, max_deleted;
    unsigned lengths;
};

static char filler(struct stream_id id)
{
    return (char)('a' + (id.ms * 7 + id.seq) % 26);
}

static void check_entry(const struct stream_entry *entry, const struct known *known)
{
    struct slice fields = entry->fields;
    assert_int_equal(stream_id_compare(entry->id, known->id), 0);
    assert_int_equal(stream_fields_count(&fields), 2);
    assert_true(slice_equal(stream_fields_take(&fields), SLICE("field")));
    struct slice value = stream_fields_take(&fields);
    assert_int_equal(value.len, known->len);
    for (size_t i = 0; i < value.len; i++) assert_int_equal(value.ptr[i], filler(known->id));
    assert_int_equal(fields.len, 0);
}

static void compare_value(struct model *m, const struct value *stream)
{
    struct stream_iter iter;
    struct stream_entry entry;
    stream_verify(stream);
    assert_int_equal(stream_count(stream), m->count);
    assert_int_equal(stream_entries_added(stream), m->added);
    assert_int_equal(stream_id_compare(stream_last_id(stream), m->last), 0);
    assert_int_equal(stream_id_compare(stream_max_deleted_id(stream), m->max_deleted), 0);
    stream_iter_seek(stream, (struct stream_id){0}, false, &iter);
    assert_false(stream_iter_prev(&iter, &entry));
    for (uint32_t i = 0; i < m->count; i++) {
        assert_true(stream_iter_next(&iter, &entry));
        check_entry(&entry, &m->entries[i]);
    }
    assert_false(stream_iter_next(&iter, &entry));
    stream_iter_seek(stream, STREAM_ID_MAX, true, &iter);
    assert_false(stream_iter_next(&iter, &entry));
    for (uint32_t i = m->count; i-- > 0;) {
        assert_true(stream_iter_prev(&iter, &entry));
        check_entry(&entry, &m->entries[i]);
    }
    assert_false(stream_iter_prev(&iter, &entry));
}

static void compare_all(struct model *m)
{
    compare_value(m, &m->stream.value);
    assert_int_equal(stream_memory(&m->stream.value), m->slab.used_bytes);
}

static uint32_t draw_length(struct model *m)
{
    static const uint32_t edge[] = {0,    1,    110,  120,  127,  128,  900, 1000,
                                    1024, 2000, 4040, 4050, 4060, 4072, 9000};
    switch (m->lengths) {
    case 0: return (uint32_t)prng_below(&m->prng, 8);
    case 1: return edge[prng_below(&m->prng, ARRAY_LEN(edge))];
    case 2: return (uint32_t)prng_below(&m->prng, 300);
    default: return prng_below(&m->prng, 50) == 0 ? (uint32_t)prng_below(&m->prng, 20000) : 3;
    }
}
#define LENGTHS 4

static void do_append(struct model *m, bool failing)
{
    static char bytes[20000];
    if (m->count == MODEL_MAX) return;
    struct known known = {.id = m->last, .len = draw_length(m)};
    uint64_t dice = prng_below(&m->prng, 4);
    if (dice == 0) known.id.seq++;
    if (dice == 1) known.id.seq += 1 + prng_below(&m->prng, 1u << 20);
    if (dice >= 2) known.id = (struct stream_id){m->last.ms + 1 + prng_below(&m->prng, 1u << (dice * 6)), 0};
    memset(bytes, filler(known.id), known.len);
    struct slice strings[2] = {SLICE("field"), {bytes, known.len}}, stored;
    if (failing) {
        slab_inject_failure(&m->slab, 1 + prng_below(&m->prng, 3), true);
        m->stream.fail = prng_below(&m->prng, 2);
    }
    int done = stream_append(&m->stream.value, known.id, strings, 2, &stored);
    slab_inject_failure(&m->slab, 0, false);
    m->stream.fail = false;
    assert_true(done == VALUE_OK || failing);
    if (done != VALUE_OK) return;
    struct stream_entry entry = {known.id, stored};
    check_entry(&entry, &known);
    m->entries[m->count++] = known;
    m->last = known.id;
    m->added++;
}

static void do_remove(struct model *m)
{
    if (m->count == 0) return;
    uint64_t dice = prng_below(&m->prng, 4);
    uint32_t at = dice < 2 ? 0 : dice == 2 ? m->count - 1 : (uint32_t)prng_below(&m->prng, m->count);
    bool deleted = prng_below(&m->prng, 2);
    struct stream_id id = m->entries[at].id;
    assert_true(stream_remove(&m->stream.value, id, deleted));
    assert_false(stream_remove(&m->stream.value, id, true));
    memmove(m->entries + at, m->entries + at + 1, (m->count - at - 1) * sizeof *m->entries);
    m->count--;
    if (deleted && stream_id_compare(id, m->max_deleted) > 0) m->max_deleted = id;
}

/* From an ID that is there or lies in between. */
static void do_questions(struct model *m)
{
    struct stream_iter iter;
    struct stream_entry entry;
    struct stream_id id = {prng_below(&m->prng, m->last.ms + 2), prng_below(&m->prng, 3)};
    if (m->count > 0 && prng_below(&m->prng, 2)) id = m->entries[prng_below(&m->prng, m->count)].id;
    bool after = prng_below(&m->prng, 2);
    uint32_t at = 0;
    while (at < m->count && stream_id_compare(m->entries[at].id, id) < (after ? 1 : 0)) at++;
    stream_iter_seek(&m->stream.value, id, after, &iter);
    assert_int_equal(stream_iter_next(&iter, &entry), at < m->count);
    if (at < m->count) check_entry(&entry, &m->entries[at]);
    stream_iter_seek(&m->stream.value, id, after, &iter);
    assert_int_equal(stream_iter_prev(&iter, &entry), at > 0);
    if (at > 0) check_entry(&entry, &m->entries[at - 1]);
    uint32_t first = 0;
    struct stream_id last;
    assert_int_equal(stream_first_chunk(&m->stream.value, &first, &last), m->count > 0);
    if (m->count == 0) return;
    assert_true(first > 0 && first <= m->count && first <= STREAM_CHUNK_ENTRIES);
    assert_int_equal(stream_id_compare(last, m->entries[first - 1].id), 0);
}

static void do_copy(struct model *m, bool failing)
{
    struct slab slab;
    struct test_value copy;
    assert_int_equal(slab_init(&slab, &map_memory, 256u << 20), 0);
    test_value_init(&copy, &slab, STREAM_EMPTY_AREA);
    if (failing) slab_inject_failure(&slab, 1 + prng_below(&m->prng, 5), true);
    int done = stream_copy(&m->stream.value, &copy.value);
    assert_true(done == VALUE_OK || failing);
    slab_inject_failure(&slab, 0, false);
    if (done == VALUE_OK) {
        compare_value(m, &copy.value);
        assert_int_equal(stream_memory(&copy.value), slab.used_bytes);
        stream_free(&copy.value);
    }
    assert_int_equal(slab.used_bytes, 0);
    assert_int_equal(stream_count(&copy.value), 0);
    slab_destroy(&slab);
    free(copy.value.bytes);
}

static void run_model(uint64_t seed, unsigned lengths)
{
    struct model *m = calloc(1, sizeof *m);
    assert_int_equal(slab_init(&m->slab, &map_memory, 1u << 30), 0);
    test_value_init(&m->stream, &m->slab, STREAM_EMPTY_AREA);
    prng_seed(&m->prng, seed);
    m->lengths = lengths;
    unsigned grow = 60;
    for (unsigned step = 0; step < 6000; step++) {
        if (step % 500 == 0) grow = 10 + (unsigned)prng_below(&m->prng, 85);
        bool failing = prng_below(&m->prng, 10) == 0;
        if (prng_below(&m->prng, 100) < grow)
            do_append(m, failing);
        else
            do_remove(m);
        do_questions(m);
        if (step % 50 == 0) compare_all(m);
        if (step % 250 == 0) do_copy(m, failing);
    }
    compare_all(m);
    while (m->count > 0) do_remove(m);
    compare_all(m);
    assert_int_equal(m->slab.used_bytes, 0);
    assert_int_equal(m->stream.value.len, STREAM_EMPTY_AREA);
    stream_free(&m->stream.value);
    slab_destroy(&m->slab);
    free(m->stream.value.bytes);
    free(m);
}

static void test_model(void **state)
{
    uint64_t seed = test_seed();
    for (unsigned round = 0; round < test_rounds(); round++) {
        for (unsigned l = 0; l < LENGTHS; l++) run_model(seed + round * LENGTHS + l, l);
    }
}

/* 200,000 entries: bytes per entry; IDs are found; trimming from the front gives the memory back. */
static void test_large(void **state)
{
    enum { COUNT = 200000 };
    struct slab slab;
    struct test_value stream;
    struct prng prng;
    assert_int_equal(slab_init(&slab, &map_memory, 1u << 30), 0);
    test_value_init(&stream, &slab, STREAM_EMPTY_AREA);
    prng_seed(&prng, 5);
    struct slice strings[2] = {SLICE("myfield"), SLICE("abc")}, stored;
    for (uint32_t i = 1; i <= COUNT; i++)
        assert_int_equal(stream_append(&stream.value, (struct stream_id){i, 0}, strings, 2, &stored),
                         VALUE_OK);
    double each = (double)stream_memory(&stream.value) / COUNT;
    printf("bytes per entry of 10: %.2f\n", each);
    assert_true(each < 20);
    for (uint32_t i = 0; i < 20000; i++) {
        struct stream_iter iter;
        struct stream_entry entry;
        struct stream_id id = {1 + prng_below(&prng, COUNT), 0};
        stream_iter_seek(&stream.value, id, false, &iter);
        assert_true(stream_iter_next(&iter, &entry) && stream_id_compare(entry.id, id) == 0);
    }
    for (uint32_t i = 1; i <= COUNT; i++) {
        assert_true(stream_remove(&stream.value, (struct stream_id){i, 0}, false));
        assert_int_equal(stream_append(&stream.value, (struct stream_id){COUNT + i, 0}, strings, 2, &stored),
                         VALUE_OK);
    }
    stream_verify(&stream.value);
    assert_true((double)stream_memory(&stream.value) / COUNT < 22);
    stream_free(&stream.value);
    assert_int_equal(slab.used_bytes, 0);
    slab_destroy(&slab);
    free(stream.value.bytes);
}

static void test_fields_check(void **state)
{
    static const struct {
        struct slice bytes;
        bool good;
    } cases[] = {{SLICE("\0"), true},
                 {SLICE("\2\1a\1b"), true},
                 {SLICE("\2\1a\0"), true},
                 {SLICE(""), false},
                 {SLICE("\2\1a"), false},
                 {SLICE("\2\1a\2b"), false},
                 {SLICE("\1\1a\1b"), false},
                 {SLICE("\1"), false},
                 {SLICE("\xff\xff\xff\xff\x0f\1a"), false},
                 {SLICE("\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"), false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(stream_fields_check(cases[i].bytes), cases[i].good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_check),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
