/* Large values that lose their keys wait and are freed in slices: of every type, by every way to lose a key,
 * with other commands in between, counted exactly, and bounded in each slice. Keyspaces of a flush likewise,
 * while their items are still filed in the wheel. */
#include "store_node.h"

#include "store/mutate_stream.h"

static void add(struct line *line, const char *text)
{
    line_add(line, text, strlen(text));
}

/* Words, then `n` elements. */
static void run_with(struct store_node *node, const char *words, const char *form, int from, int n)
{
    static struct line line;
    char text[64];
    line_clear(&line);
    line.db = 0;
    for (const char *at = words; *at;) {
        size_t len = strcspn(at, " ");
        line_add(&line, at, len);
        at += len + (at[len] == ' ');
    }
    for (int i = from; i < from + n; i++)
        for (const char *c = form; *c; c++) {
            if (*c == 's')
                sprintf(text, "%d", i);
            else
                sprintf(text, "%c%012d", *c, i);
            add(&line, text);
        }
    node_run(node, &line);
    assert_false(reply_is(node, "-"));
}

static void fill(struct store_node *node, const char *words, const char *form, int n)
{
    for (int i = 0; i < n; i += 200) run_with(node, words, form, i, n - i < 200 ? n - i : 200);
}

static uint64_t memory(const struct store_node *node)
{
    uint64_t sum = 0;
    for (int p = 0; p < PARTITION_COUNT; p++) sum += partition_memory(node->partitions[p]);
    return sum;
}

static uint64_t objects(const struct store_node *node)
{
    uint64_t sum = 0;
    for (int p = 0; p < PARTITION_COUNT; p++) {
        sum += node->partitions[p]->pending_objects;
        assert_true(node->partitions[p]->pending != 0 || node->partitions[p]->pending_objects == 0);
    }
    return sum;
}

/* Frees all in slices of `work`; the most that one slice gave back, in bytes. */
static uint64_t drain(struct store_node *node, uint32_t work)
{
    uint64_t most = 0;
    for (int p = 0; p < PARTITION_COUNT; p++) {
        for (bool more = true; more;) {
            uint64_t before = partition_memory(node->partitions[p]);
            more = partition_free_some(node->partitions[p], work);
            uint64_t freed = before - partition_memory(node->partitions[p]);
            if (freed > most) most = freed;
        }
    }
    assert_int_equal(objects(node), 0);
    return most;
}

static const struct {
    const char *make, *form;
} kinds[] = {{"SADD k", "m"},  {"ZADD k", "sm"},  {"HSET k", "fv"}, {"HSETEX k PX 90000000 FIELDS 200", "fv"},
             {"RPUSH k", "v"}, {"XADD k *", "fv"}};

static const char *const ends[] = {"DEL k",
                                   "UNLINK k",
                                   "SET k value",
                                   "RENAME other k",
                                   "COPY other k REPLACE",
                                   "SUNIONSTORE k other",
                                   "PEXPIRE k 1",
                                   "SORT k BY x STORE k"};

static void test_every_type_and_way(void **state)
{
    for (size_t kind = 0; kind < ARRAY_LEN(kinds); kind++) {
        for (size_t end = 0; end < ARRAY_LEN(ends) - (kind == 2 || kind == 3 || kind == 5); end++) {
            struct store_node *node = node_new(3, false);
            run_with(node, "SADD other a b c", "", 0, 0);
            if (kind == 5)
                for (int i = 0; i < 20000; i++) run_with(node, "XADD k *", "fv", i, 1);
            else
                fill(node, kinds[kind].make, kinds[kind].form, 20000);
            uint64_t full = memory(node);
            run_with(node, ends[end], "", 0, 0);
            node->env.now_ms += 2;
            node_expire_all(node);
            assert_int_equal(objects(node), 1);
            assert_true(node->env.pending && node->env.stats.lazyfreed == 0);
            assert_true(memory(node) > full * 9 / 10 || end == 7);
            /* The name is free for others at once, and what they do disturbs nothing. */
            run_with(node, "DEL k", "", 0, 0);
            partition_free_some(node->partitions[PARTITION_OF_SLOT(key_slot("k", 1))], 500);
            fill(node, "ZADD k", "sm", 300);
            uint64_t most = drain(node, 200);
            assert_true(most < 200000);
            assert_int_equal(node->env.stats.lazyfreed, 1 + (end == 7));
            assert_accounted(node);
            run_with(node, "ZCARD k", "", 0, 0);
            assert_true(reply_is(node, ":300"));
            assert_no_leak(node);
            node_free(node);
        }
    }
}

/* What is small goes at once. */
static void test_small_values(void **state)
{
    struct store_node *node = node_new(4, false);
    for (size_t kind = 0; kind < 5; kind++) {
        fill(node, kinds[kind].make, kinds[kind].form, 200);
        run_with(node, "DEL k", "", 0, 0);
        assert_int_equal(objects(node), 0);
    }
    char words[32];
    for (int i = 0; i < 1500; i++) { /* an intset in one piece */
        sprintf(words, "SADD k %d", i);
        run_with(node, words, "", 0, 0);
    }
    run_with(node, "DEL k", "", 0, 0);
    assert_int_equal(objects(node), 0);
    assert_no_leak(node);
    node_free(node);
}

/* Evicting an end is putting it here; what waits is freed before another key is evicted. */
static void test_eviction(void **state)
{
    struct store_node *node = node_new(6, false);
    struct partition *partition = node->partitions[PARTITION_OF_SLOT(key_slot("k", 1))];
    node->config.maxmemory_policy = CONFIG_POLICY_ALLKEYS_RANDOM;
    fill(node, "HSET k", "fv", 5000);
    run_with(node, "SET {k}2 v", "", 0, 0);
    run_with(node, "SET {k}3 v", "", 0, 0);
    while (partition->pending_objects == 0) assert_true(partition_evict(partition));
    uint64_t evicted = node->env.stats.evicted_keys, left = partition_keys(partition, 0);
    while (partition->pending) {
        assert_true(partition_evict(partition));
        assert_int_equal(node->env.stats.evicted_keys, evicted);
    }
    assert_int_equal(partition_keys(partition, 0), left);
    assert_int_equal(node->env.stats.lazyfreed, 1);
    node_free(node);
}

static void test_flushed_keyspace(void **state)
{
    struct store_node *node = node_new(7, false);
    struct partition *partition = node->partitions[PARTITION_OF_SLOT(key_slot("k", 1))];
    char words[2000];
    for (int i = 0; i < 3000; i++) {
        sprintf(words, "SET {k}%d %0*d", i, 1 + i % 1500, i);
        run_with(node, words, "", 0, 0);
        sprintf(words, "PEXPIRE {k}%d %d", i, 100 + i * 7);
        if (i % 2) run_with(node, words, "", 0, 0);
    }
    fill(node, "SADD k", "m", 3000);
    fill(node, "HSETEX {k}h PX 5000 FIELDS 200", "fv", 3000);
    /* Another database keeps the slab from being reset. */
    struct key key = {.name = SLICE("{k}stays"), .db = 1};
    struct entry entry;
    key.hash = key_hash(&node->env, key.name);
    entry_find(&entry, partition, &key);
    assert_int_equal(mutate_string_set(&entry, SLICE("value"), node->env.now_ms + 9000), VALUE_OK);
    assert_int_equal(mutate_flush(partition, 0), VALUE_OK);
    assert_int_equal(partition_keys(partition, 0), 0);
    assert_int_equal(partition_expires(partition, 0), 0);
    assert_int_equal(partition_timed_hashes(partition, 0), 0);
    assert_int_equal(partition->pending_objects, 3002);
    /* Deadlines pass while the items wait; keys of the same names come. */
    run_with(node, "SET {k}1 new PX 300", "", 0, 0);
    for (int i = 0; i < 40; i++) {
        node->env.now_ms += 200;
        node_expire_all(node);
        partition_free_some(partition, 100);
    }
    assert_int_equal(node->env.stats.expired_keys, 1);
    assert_true(drain(node, 300) < 300000);
    assert_true(entry_find(&entry, partition, &key));
    node->env.now_ms += 5000;
    node_expire_all(node);
    assert_int_equal(node->env.stats.expired_keys, 2);
    assert_accounted(node);
    assert_no_leak(node);
    /* A flush of all that is there takes with it what waits. */
    fill(node, "SADD k", "m", 3000);
    run_with(node, "DEL k", "", 0, 0);
    run_with(node, "SET k v", "", 0, 0);
    uint64_t before = node->env.stats.lazyfreed;
    assert_int_equal(mutate_flush(partition, 0), VALUE_OK);
    assert_int_equal(node->env.stats.lazyfreed, before + 1);
    assert_int_equal(partition->pending_objects, 0);
    assert_int_equal(partition_memory(partition), 0);
    node_free(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type_and_way),
        cmocka_unit_test(test_small_values),
        cmocka_unit_test(test_eviction),
        cmocka_unit_test(test_flushed_keyspace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
