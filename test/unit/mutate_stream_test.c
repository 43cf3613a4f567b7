/* Mutators of streams: random XADD, XDEL, XTRIM, COPY, RENAME, DEL and EXPIRE on one node; the records that
 * they emit make the same streams on another. An empty stream stays; failing memory changes nothing. */
#pragma GCC diagnostic ignored "-Wunused-function" /* random command lines are not for streams yet */
#include "store_node.h"

#include "store/apply.h"
#include "store/mutate_stream.h"

#define KEYS 5

static bool find(struct store_node *node, struct entry *entry, const char *name)
{
    struct slice text = {name, strlen(name)};
    struct key key = {.name = text, .hash = key_hash(&node->env, text)};
    /* All in one partition: COPY and RENAME between them are the store's business here, not the slots'. */
    return entry_find(entry, node->partitions[0], &key);
}

static void replay(struct applier *applier, const struct store_node *from, struct store_node *to, size_t *at)
{
    while (*at < from->records_len) {
        struct record record;
        int64_t used = record_decode(from->records + *at, from->records_len - *at, &record);
        assert_true(used > 0);
        assert_int_equal(record_apply(applier, to->partitions[record.partition], &record), APPLY_DONE);
        *at += (size_t)used;
    }
}

static void assert_same_stream(struct store_node *a, struct store_node *b, const char *name)
{
    struct entry left, right;
    struct stream_iter in_left, in_right;
    struct stream_entry one, other;
    assert_int_equal(find(a, &left, name), find(b, &right, name));
    if (!left.item) return;
    assert_int_equal(item_deadline(left.item), item_deadline(right.item));
    stream_verify(&left.value);
    stream_verify(&right.value);
    assert_int_equal(stream_count(&left.value), stream_count(&right.value));
    assert_int_equal(stream_id_compare(stream_last_id(&left.value), stream_last_id(&right.value)), 0);
    stream_iter_seek(&left.value, (struct stream_id){0}, false, &in_left);
    stream_iter_seek(&right.value, (struct stream_id){0}, false, &in_right);
    while (stream_iter_next(&in_left, &one)) {
        assert_true(stream_iter_next(&in_right, &other));
        assert_int_equal(stream_id_compare(one.id, other.id), 0);
        assert_true(slice_equal(one.fields, other.fields));
    }
}

static void change(struct store_node *node, struct prng *prng, struct entry *entry, const char *other_name)
{
    static char bytes[3000];
    struct stream_id id = {1, 0};
    struct entry other;
    unsigned what = (unsigned)prng_below(prng, 100);
    if (!entry->item || what < 70) {
        if (entry->item) id = stream_last_id(&entry->value);
        id.ms += prng_below(prng, 3);
        id.seq++;
        struct slice strings[2] = {SLICE("f"),
                                   {bytes, prng_below(prng, prng_below(prng, 9) ? 30 : sizeof bytes)}};
        assert_int_equal(mutate_stream_append(entry, id, strings, 2), VALUE_OK);
    } else if (what < 85) {
        id = stream_last_id(&entry->value);
        id = (struct stream_id){prng_below(prng, id.ms + 1), prng_below(prng, id.seq + 1)};
        struct stream_iter iter;
        struct stream_entry found;
        stream_iter_seek(&entry->value, id, false, &iter);
        if (stream_iter_next(&iter, &found)) assert_true(mutate_stream_remove(entry, found.id, true));
    } else if (what < 90) {
        struct stream_trim trim = {.strategy = STREAM_TRIM_MAXLEN,
                                   .maxlen = prng_below(prng, stream_count(&entry->value) + 1),
                                   .whole_chunks = prng_below(prng, 2)};
        if (prng_below(prng, 2)) {
            trim.strategy = STREAM_TRIM_MINID;
            trim.minid.ms = prng_below(prng, stream_last_id(&entry->value).ms + 2);
        }
        uint64_t before = stream_count(&entry->value), taken = mutate_stream_trim(entry, &trim);
        assert_int_equal(stream_count(&entry->value), before - taken);
        assert_true(trim.strategy != STREAM_TRIM_MAXLEN ||
                    before - taken >= (before < trim.maxlen ? before : trim.maxlen));
        if (!trim.whole_chunks && trim.strategy == STREAM_TRIM_MAXLEN)
            assert_true(before - taken <= trim.maxlen);
    } else if (what < 93) {
        find(node, &other, other_name);
        assert_int_equal(mutate_key_copy(entry, &other), VALUE_OK);
    } else if (what < 95) {
        find(node, &other, other_name);
        if (other.item != entry->item) assert_int_equal(mutate_key_rename(entry, &other), VALUE_OK);
    } else if (what < 97) {
        assert_int_equal(mutate_key_expire(entry, START_MS + 1000000 + (int64_t)what), VALUE_OK);
    } else if (what == 97) {
        assert_int_equal(mutate_key_delete(entry, RECORD_DELETED), VALUE_OK);
    }
}

static void test_records(void **state)
{
    static const char *const names[KEYS] = {"a", "b", "c", "d", "a stream of a longer name"};
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct store_node *origin = node_new(seed, true), *copy = node_new(seed + 100, false);
        struct applier *applier = calloc(1, sizeof *applier);
        struct prng prng;
        size_t at = 0;
        prng_seed(&prng, seed);
        for (int step = 0; step < 6000; step++) {
            struct entry entry;
            uint64_t which = prng_below(&prng, KEYS),
                     other = (which + 1 + prng_below(&prng, KEYS - 1)) % KEYS;
            find(origin, &entry, names[which]);
            change(origin, &prng, &entry, names[other]);
            if (step % 20) continue;
            replay(applier, origin, copy, &at);
            for (int k = 0; k < KEYS; k++) assert_same_stream(origin, copy, names[k]);
        }
        node_free(origin);
        node_free(copy);
        free(applier);
    }
}

static void test_empty_stays(void **state)
{
    struct store_node *node = node_new(1, false);
    struct entry entry, copy;
    struct slice strings[2] = {SLICE("f"), SLICE("v")};
    find(node, &entry, "s");
    assert_int_equal(mutate_stream_append(&entry, (struct stream_id){5, 1}, strings, 2), VALUE_OK);
    assert_true(mutate_stream_remove(&entry, (struct stream_id){5, 1}, true));
    assert_false(mutate_stream_remove(&entry, (struct stream_id){5, 1}, true));
    assert_true(find(node, &entry, "s"));
    find(node, &copy, "t");
    assert_int_equal(mutate_key_copy(&entry, &copy), VALUE_OK);
    assert_true(find(node, &copy, "t"));
    assert_int_equal(stream_count(&copy.value), 0);
    assert_int_equal(stream_last_id(&copy.value).ms, 5);
    assert_int_equal(stream_max_deleted_id(&copy.value).seq, 1);
    assert_int_equal(stream_entries_added(&copy.value), 1);
    node_free(node);
}

static void test_no_memory(void **state)
{
    struct store_node *node = node_new(1, false);
    struct entry entry;
    struct slice strings[2] = {SLICE("f"), SLICE("v")};
    struct slab *slab = &node->partitions[0]->slab;
    find(node, &entry, "s");
    uint64_t used = slab->used_bytes;
    slab_inject_failure(slab, 1, true);
    assert_int_equal(mutate_stream_append(&entry, (struct stream_id){5, 1}, strings, 2), VALUE_NO_MEMORY);
    slab_inject_failure(slab, 0, false);
    assert_false(find(node, &entry, "s"));
    assert_int_equal(partition_keys(node->partitions[0], 0), 0);
    assert_int_equal(slab->used_bytes, used);
    node_free(node);
}

/* The commands' own: an error without memory, and DUMP's while streams have no serialised form. */
static void test_command_errors(void **state)
{
    static const char *const words[] = {"XADD", "s", "5-1", "f", "v"};
    struct store_node *node = node_new(1, false);
    struct line line = {0};
    line_clear(&line);
    for (size_t i = 0; i < 5; i++) line_add(&line, words[i], strlen(words[i]));
    for (int p = 0; p < PARTITION_COUNT; p++) slab_inject_failure(&node->partitions[p]->slab, 1, true);
    node_run(node, &line);
    assert_true(reply_is(node, "-OOM"));
    for (int p = 0; p < PARTITION_COUNT; p++) slab_inject_failure(&node->partitions[p]->slab, 0, false);
    node_run(node, &line);
    assert_true(reply_is(node, "$3\r\n5-1\r\n"));
    line_clear(&line);
    line_add(&line, "DUMP", 4);
    line_add(&line, "s", 1);
    node_run(node, &line);
    assert_true(reply_is(node, "-ERR values of streams cannot be dumped yet"));
    free(line.bytes);
    node_free(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_empty_stays),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_command_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
