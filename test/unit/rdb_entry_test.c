/* rdb_entry: random values of every type go out and come back over keys that hold something else; what a key
 * held survives payloads that are damaged or too large for the memory left; nothing leaks; deadlines of keys
 * and fields are filed; whole partitions reload; one change record tells all. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/crc.h"
#include "base/hash.h"
#include "ordered_util.h"
#include "store/mutate_hash.h"
#include "store/mutate_list.h"
#include "store/mutate_set.h"
#include "store/mutate_zset.h"
#include "store/rdb_entry.h"

#define NOW 1700000000000

static struct config config;
static struct prng prng;
static struct store_env env;
static struct partition *partition;

static void open_partition(size_t limit_bytes)
{
    config_init(&config);
    env = (struct store_env){.now_ms = NOW, .hash_seed = 5, .config = &config, .prng = &prng};
    partition = aligned_alloc(64, (sizeof *partition + 63) / 64 * 64);
    assert_true(partition_init(partition, 7, 4, &map_memory, limit_bytes));
    partition_hold(partition, &env);
}

static void close_partition(void)
{
    partition_destroy(partition);
    free(partition);
    config_free(&config);
}

static bool find(struct entry *entry, const char *name, uint8_t db)
{
    struct slice s = {name, strlen(name)};
    struct key key = {.name = s, .hash = key_hash(&env, s), .db = db};
    return entry_find(entry, partition, &key);
}

/* ---- values ---- */

static struct slice random_text(char *buf, size_t longest)
{
    if (prng_below(&prng, 3) == 0) {
        int n = sprintf(buf, "%lld", (long long)((int64_t)prng_next(&prng) >> prng_below(&prng, 64)));
        return (struct slice){buf, (size_t)n};
    }
    size_t len = prng_below(&prng, longest + 1);
    for (size_t i = 0; i < len; i++) buf[i] = (char)prng_below(&prng, 256);
    return (struct slice){buf, len};
}

static bool give_score(void *context, bool existed, double old, double *score)
{
    *score = *(double *)context;
    return true;
}

static void make_value(struct entry *entry, enum item_type type, uint32_t count, size_t longest)
{
    char text[2][10000];
    for (uint32_t i = 0; i < count; i++) {
        struct slice a = random_text(text[0], longest), b = random_text(text[1], longest);
        struct zset_outcome outcome;
        double score;
        bool flag;
        int64_t deadline =
            prng_below(&prng, 2) ? HASH_NO_DEADLINE : NOW + 1 + (int64_t)prng_below(&prng, 1 << 30);
        switch (type) {
        case ITEM_STRING: assert_int_equal(mutate_string_set(entry, a, ITEM_NO_DEADLINE), VALUE_OK); break;
        case ITEM_LIST: assert_int_equal(mutate_list_push(entry, LIST_TAIL, &a, 1), VALUE_OK); break;
        case ITEM_SET:
            if (i == 0) assert_int_equal(mutate_set_prepare(entry, a, 1), VALUE_OK);
            assert_int_equal(mutate_set_add(entry, a, &flag), VALUE_OK);
            break;
        case ITEM_ZSET:
            if (i == 0) assert_int_equal(mutate_zset_prepare(entry, 1, a.len), VALUE_OK);
            score = (double)prng_below(&prng, 50) / 4;
            assert_int_equal(mutate_zset_change(entry, a, give_score, &score, NULL, &outcome), VALUE_OK);
            break;
        case ITEM_HASH:
            if (i == 0) assert_int_equal(mutate_hash_prepare(entry, &a, 1), VALUE_OK);
            assert_int_equal(mutate_hash_set(entry, a, b, longest % 2 ? deadline : HASH_NO_DEADLINE, &flag),
                             VALUE_OK);
            break;
        default: fail();
        }
    }
}

/* A number for the content, whatever order the encoding gives to sets and hashes. */
struct digest {
    uint64_t sum;
    bool ordered;
};

static void mix(struct digest *d, uint64_t h)
{
    d->sum = d->ordered ? d->sum * 31 + h : d->sum + h;
}

static int digest_begin(void *context, enum rdb_kind kind, uint64_t count_hint)
{
    struct digest *d = context;
    d->sum = kind + 1;
    d->ordered = kind == RDB_KIND_LIST || kind == RDB_KIND_ZSET;
    return RDB_OK;
}

static int digest_element(void *context, struct slice s)
{
    mix(context, hash_bytes(s.ptr, s.len, 1));
    return RDB_OK;
}

static int digest_member(void *context, struct slice s, double score)
{
    mix(context, hash_bytes(s.ptr, s.len, hash_bytes(&score, sizeof score, 1)));
    return RDB_OK;
}

static int digest_field(void *context, struct slice field, struct slice value, int64_t deadline_ms)
{
    uint64_t h = hash_bytes(&deadline_ms, sizeof deadline_ms, 1);
    mix(context, hash_bytes(field.ptr, field.len, hash_bytes(value.ptr, value.len, h)));
    return RDB_OK;
}

static uint64_t digest_payload(const char *payload, size_t len)
{
    struct digest d = {0};
    struct rdb_visitor visitor = {&d,          digest_begin, digest_element, digest_element, digest_member,
                                  digest_field};
    assert_int_equal(rdb_read_dump(payload, len, &visitor), RDB_OK);
    return d.sum;
}

static uint64_t digest_entry(const struct entry *entry)
{
    size_t len;
    char *payload = rdb_object_dump_as(entry, prng_below(&prng, 2), &len);
    assert_non_null(payload);
    uint64_t sum = digest_payload(payload, len);
    free(payload);
    return sum;
}

static const size_t longest_texts[] = {3, 8, 40, 41, 100, 2000, 9001};

static void remake(struct entry *entry, const char *name)
{
    if (find(entry, name, 0)) assert_int_equal(mutate_key_delete(entry, RECORD_DELETED), VALUE_OK);
    find(entry, name, 0);
    enum item_type type = (enum item_type)prng_below(&prng, 5);
    uint32_t count = 1 + (uint32_t)prng_below(&prng, prng_below(&prng, 4) ? 30 : 700);
    make_value(entry, type, count, longest_texts[prng_below(&prng, 7)]);
    if (prng_below(&prng, 3) == 0) assert_int_equal(mutate_key_expire(entry, NOW + 100000), VALUE_OK);
}

static void everything_moves(void **state)
{
    open_partition((size_t)1 << 30);
    for (int round = 0; round < 3000; round++) {
        struct entry from, to;
        size_t len;
        remake(&from, "from");
        if (prng_below(&prng, 4)) remake(&to, "to");
        assert_true(find(&from, "from", 0));
        enum item_type type = item_type(from.item);
        uint64_t want = digest_entry(&from), count = entry_count(&from);
        char *payload = rdb_object_dump_as(&from, prng_below(&prng, 2), &len);
        find(&to, "to", 0);
        int64_t deadline =
            prng_below(&prng, 2) ? ITEM_NO_DEADLINE : NOW + 1 + (int64_t)prng_below(&prng, 1 << 20);
        assert_int_equal(rdb_object_restore(&to, (struct slice){payload, len}, deadline), RDB_OK);
        assert_true(to.item && item_type(to.item) == type);
        assert_true(find(&to, "to", 0) && item_deadline(to.item) == deadline);
        assert_true(digest_entry(&to) == want && entry_count(&to) == count);
        assert_true(partition_keys(partition, 0) == 2);
        find(&from, "from", 0);
        uint64_t expiring =
            (deadline != ITEM_NO_DEADLINE) + (uint64_t)(item_deadline(from.item) != ITEM_NO_DEADLINE);
        assert_true(partition_expires(partition, 0) == expiring);
        if (prng_below(&prng, 20) == 0) { /* an empty partition owns nothing: no leak so far */
            find(&to, "to", 0);
            mutate_key_delete(&to, RECORD_DELETED);
            find(&from, "from", 0);
            mutate_key_delete(&from, RECORD_DELETED);
            assert_int_equal(partition_keys(partition, 0), 0);
            assert_int_equal(partition_expires(partition, 0), 0);
            while (partition_free_some(partition, 1000)) continue;
            assert_true(partition->slab.used_bytes <
                        40000); /* the wheel's slots and the table's first segment */
        }
        free(payload);
    }
    close_partition();
}

/* One byte changed: refused and the old value is whole, or read as something that can be dumped again. */
static void damage(void **state)
{
    open_partition((size_t)1 << 30);
    int refused = 0;
    /* What is changed is mostly bytes of strings, which nobody can refuse: more rounds where there are many.
     */
    for (int round = 0; round < 4000 || (refused <= 500 && round < 40000); round++) {
        struct entry from, to;
        size_t len;
        if (round % 20 == 0) remake(&from, "from");
        if (round % 20 == 0 || !find(&to, "to", 0)) remake(&to, "to");
        assert_true(find(&from, "from", 0));
        char *payload = rdb_object_dump_as(&from, round & 1, &len);
        assert_true(find(&to, "to", 0));
        uint64_t before = digest_entry(&to), sequence = partition->sequence;
        int64_t deadline = item_deadline(to.item);
        for (uint64_t n = 1 + prng_below(&prng, 2); n; n--)
            payload[prng_below(&prng, len - RDB_FOOTER_SIZE)] = (char)prng_below(&prng, 256);
        uint64_t sum = crc64(0, payload, len - 8);
        memcpy(payload + len - 8, &sum, 8);
        int result = rdb_object_restore(&to, (struct slice){payload, len}, NOW + 5);
        assert_true(result == RDB_OK || result == RDB_CORRUPT || result == RDB_UNSUPPORTED);
        bool there = find(&to, "to", 0);
        if (result != RDB_OK) {
            refused++;
            assert_true(there && digest_entry(&to) == before && item_deadline(to.item) == deadline);
            assert_true(partition->sequence == sequence);
        } else if (there) {
            digest_entry(&to);
        }
        free(payload);
    }
    assert_true(refused > 500);
    close_partition();
}

/* Duplicates are found whatever the form. */
static void duplicates(void **state)
{
    static const char *const bodies[] = {"\2\2\1a\1a", "\4\2\1a\1x\1a\1y",
                                         "\x14\x0d\x0d\0\0\0\2\0\x81"
                                         "a\2\x81"
                                         "a\2\xff"};
    static const size_t lengths[] = {6, 10, 15};
    open_partition((size_t)1 << 30);
    struct entry entry;
    find(&entry, "k", 0);
    for (size_t i = 0; i < 3; i++) {
        char payload[64];
        memcpy(payload, bodies[i], lengths[i]);
        memcpy(payload + lengths[i], "\x0b\0", 2);
        uint64_t sum = crc64(0, payload, lengths[i] + 2);
        memcpy(payload + lengths[i] + 2, &sum, 8);
        assert_int_equal(
            rdb_object_restore(&entry, (struct slice){payload, lengths[i] + 10}, ITEM_NO_DEADLINE),
            RDB_CORRUPT);
        assert_false(find(&entry, "k", 0));
    }
    close_partition();
}

/* Memory runs out somewhere in the middle: the key is as it was. */
static void out_of_memory(void **state)
{
    char text[4000];
    memset(text, 'x', sizeof text);
    open_partition(1 << 20);
    struct entry entry;
    int refused = 0;
    for (int type = ITEM_STRING; type <= ITEM_HASH; type++) {
        size_t len;
        find(&entry, "big", 0);
        make_value(&entry, (enum item_type)type, type == ITEM_STRING ? 1 : 400, 100);
        if (type == ITEM_STRING)
            mutate_string_set(&entry, (struct slice){text, sizeof text}, ITEM_NO_DEADLINE);
        char *payload = rdb_object_dump(&entry, &len);
        find(&entry, "big", 0);
        mutate_key_delete(&entry, RECORD_DELETED);
        find(&entry, "old", 0);
        make_value(&entry, ITEM_LIST, 20, 20);
        uint64_t before = digest_entry(&entry);
        /* Ever less room. */
        for (int filler = 0; filler < 3000; filler++) {
            char name[32];
            sprintf(name, "filler:%d", filler);
            find(&entry, name, 0);
            if (mutate_string_set(&entry, (struct slice){text, 500}, ITEM_NO_DEADLINE) != VALUE_OK) break;
            assert_true(find(&entry, "old", 0));
            uint64_t used = partition->slab.used_bytes;
            int result = rdb_object_restore(&entry, (struct slice){payload, len},
                                            filler % 2 ? NOW + 7 : ITEM_NO_DEADLINE);
            if (result == RDB_OK) {
                find(&entry, "old", 0);
                mutate_key_delete(&entry, RECORD_DELETED);
                find(&entry, "old", 0);
                make_value(&entry, ITEM_LIST, 1, 20);
                before = digest_entry(&entry);
                continue;
            }
            refused++;
            assert_int_equal(result, RDB_NO_MEMORY);
            assert_true(find(&entry, "old", 0) && digest_entry(&entry) == before);
            assert_true(item_deadline(entry.item) == ITEM_NO_DEADLINE);
            assert_true(partition->slab.used_bytes <= used + 64);
        }
        free(payload);
        mutate_flush(partition, 0);
    }
    assert_true(refused > 20);
    close_partition();
}

static void field_deadlines_are_filed(void **state)
{
    open_partition((size_t)1 << 30);
    for (int keyed = 0; keyed < 2; keyed++) {
        struct entry entry;
        bool flag;
        size_t len;
        env.now_ms = NOW;
        find(&entry, "h", 0);
        struct slice f = SLICE("f"), g = SLICE("g"), v = SLICE("v");
        mutate_hash_prepare(&entry, &f, 1);
        mutate_hash_set(&entry, f, v, NOW + 1000, &flag);
        mutate_hash_set(&entry, g, v, HASH_NO_DEADLINE, &flag);
        char *payload = rdb_object_dump(&entry, &len);
        find(&entry, "copy", 0);
        int64_t deadline = keyed ? NOW + 50000 : ITEM_NO_DEADLINE;
        assert_int_equal(rdb_object_restore(&entry, (struct slice){payload, len}, deadline), RDB_OK);
        assert_int_equal(partition_expires(partition, 0), keyed);
        env.now_ms = NOW + 2000;
        while (partition_expire(partition, 1000)) continue;
        assert_true(find(&entry, "copy", 0) && entry_count(&entry) == 1);
        /* A field that is due is not brought back. */
        assert_int_equal(rdb_object_restore(&entry, (struct slice){payload, len}, deadline), RDB_OK);
        assert_true(find(&entry, "copy", 0) && entry_count(&entry) == 1);
        env.now_ms = NOW + 60000;
        while (partition_expire(partition, 1000)) continue;
        assert_true(find(&entry, "copy", 0) == !keyed);
        free(payload);
        mutate_flush(partition, 0);
    }
    close_partition();
}

/* ---- records ---- */

static struct {
    int count;
    uint64_t digest;
    int64_t deadline_ms;
} seen;

static void sink(void *context, const struct record *record)
{
    if (record->op != RECORD_KEY_STORE) return;
    seen.count++;
    seen.digest = digest_payload(record->args[0].ptr, record->args[0].len);
    seen.deadline_ms = record_arg_int(record, 1);
}

static void one_record(void **state)
{
    open_partition((size_t)1 << 30);
    env.record_sink = sink;
    for (int type = ITEM_LIST; type <= ITEM_HASH; type++) {
        struct entry entry;
        size_t len;
        find(&entry, "k", 0);
        if (entry.item) mutate_key_delete(&entry, RECORD_DELETED);
        find(&entry, "k", 0);
        make_value(&entry, (enum item_type)type, 30, 20);
        char *payload = rdb_object_dump(&entry, &len);
        seen.count = 0;
        assert_int_equal(rdb_object_restore(&entry, (struct slice){payload, len}, NOW + 9), RDB_OK);
        assert_int_equal(seen.count, 1);
        assert_true(seen.digest == digest_payload(payload, len));
        assert_true(seen.deadline_ms == NOW + 9);
        free(payload);
    }
    close_partition();
}

static void reload(void **state)
{
    open_partition((size_t)1 << 30);
    uint64_t want[2][60];
    int64_t deadlines[2][60];
    struct entry entry;
    char name[32];
    for (int db = 0; db < 2; db++) {
        for (int i = 0; i < 60; i++) {
            sprintf(name, "key:%d", i);
            find(&entry, name, (uint8_t)(db * 3));
            make_value(&entry, (enum item_type)(i % 5), 1 + (uint32_t)i * 7, longest_texts[i % 6]);
            if (i % 3 == 0) mutate_key_expire(&entry, NOW + 1000 + i);
            want[db][i] = digest_entry(&entry);
            deadlines[db][i] = item_deadline(entry.item);
        }
    }
    assert_int_equal(rdb_partition_reload(partition), RDB_OK);
    for (int db = 0; db < 2; db++) {
        assert_int_equal(partition_keys(partition, (uint8_t)(db * 3)), 60);
        for (int i = 0; i < 60; i++) {
            sprintf(name, "key:%d", i);
            assert_true(find(&entry, name, (uint8_t)(db * 3)));
            assert_true(digest_entry(&entry) == want[db][i] && item_deadline(entry.item) == deadlines[db][i]);
        }
    }
    close_partition();
}

int main(void)
{
    prng_seed(&prng, test_seed());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_moves),
        cmocka_unit_test(damage),
        cmocka_unit_test(duplicates),
        cmocka_unit_test(out_of_memory),
        cmocka_unit_test(field_deadlines_are_filed),
        cmocka_unit_test(one_record),
        cmocka_unit_test(reload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
