/* The change records of a partition suffice to rebuild it (store/apply.h): random commands of every family
 * run on one node, their records are encoded, decoded and applied to another one with other settings, another
 * hash seed and a clock far ahead; then both hold the same. Applying once more changes nothing; a gap and
 * garbage are refused. */
#include "store_node.h"

#include "store/apply.h"

static void random_settings(struct store_node *node, struct prng *prng)
{
    struct config *c = &node->config;
    static const int64_t entries[] = {4, 16, 128, 512}, lists[] = {-2, -1, 8, 128};
    c->hash_max_listpack_entries = entries[prng_below(prng, 4)];
    c->hash_max_listpack_value_bytes = entries[1 + prng_below(prng, 3)];
    c->set_max_intset_entries = entries[prng_below(prng, 4)];
    c->set_max_listpack_entries = entries[prng_below(prng, 4)];
    c->zset_max_listpack_entries = entries[prng_below(prng, 4)];
    c->zset_max_listpack_value_bytes = entries[1 + prng_below(prng, 3)];
    c->list_max_listpack_size = lists[prng_below(prng, 4)];
}

/* TRACE=1: the records of a key up to the one that was refused. */
static void trace(const struct store_node *from, size_t upto, const struct record *bad)
{
    struct record record;
    for (size_t at = 0; at <= upto;) {
        at += (size_t)record_decode(from->records + at, from->records_len - at, &record);
        if (!slice_equal(record.key, bad->key) && record.key.len) continue;
        printf("%d/%d.%llu op %d", record.partition, record.keyspace, (unsigned long long)record.sequence,
               record.op);
        for (int i = 0; i < record.args_count; i++) {
            printf(" %.*s", record.args[i].len > 20 ? 20 : (int)record.args[i].len, record.args[i].ptr);
            if (record.args[i].len == 8) printf("(%lld)", (long long)record_arg_int(&record, i));
        }
        printf("\n");
    }
}

/* Applies what `from` has gathered since `*at`, everything twice. */
static void replay(struct applier *applier, struct store_node *from, struct store_node *to, size_t *at)
{
    while (*at < from->records_len) {
        struct record record;
        int64_t used = record_decode(from->records + *at, from->records_len - *at, &record);
        assert_true(used > 0);
        enum apply_result result = record_apply(applier, to->partitions[record.partition], &record);
        if (result != APPLY_DONE && getenv("TRACE")) trace(from, *at, &record);
        if (result != APPLY_DONE)
            fail_msg("record op %d of key %.*s: %d", record.op, (int)record.key.len, record.key.ptr,
                     (int)result);
        assert_int_equal(record_apply(applier, to->partitions[record.partition], &record), APPLY_COVERED);
        *at += (size_t)used;
    }
}

/* DUMP of one key, RESTORE into another. */
static void dump_and_restore(struct generator *g, struct store_node *node, struct line *line)
{
    line_clear(line);
    line_add(line, "DUMP", 4);
    add_key(g, line, 'K');
    node_run(node, line);
    if (reply_is(node, "$-1") || reply_is(node, "-")) return;
    char *end;
    size_t len = strtoul(node->reply.begin + 1, &end, 10);
    char *payload = malloc(len);
    memcpy(payload, end + 2, len);
    line_clear(line);
    line_add(line, "RESTORE", 7);
    add_key(g, line, 'K');
    add_number(line, (int64_t)below(g, 2) * 5000);
    line_add(line, payload, len);
    line_add(line, "REPLACE", 7);
    free(payload);
    node_run(node, line);
    assert_true(reply_is(node, "+OK"));
}

static void evict_one(struct store_node *node)
{
    static const int policies[] = {CONFIG_POLICY_ALLKEYS_LRU, CONFIG_POLICY_ALLKEYS_RANDOM,
                                   CONFIG_POLICY_VOLATILE_TTL, CONFIG_POLICY_VOLATILE_LFU,
                                   CONFIG_POLICY_VOLATILE_RANDOM};
    node->config.maxmemory_policy = policies[prng_below(&node->prng, 5)];
    partition_evict(node->partitions[prng_below(&node->prng, PARTITION_COUNT)]);
}

static void whole_database(struct generator *g, struct store_node *node, struct line *line)
{
    static const char *const lines[] = {"FLUSHDB", "FLUSHALL", "SWAPDB 0 1", "SWAPDB 2 0"};
    const char *at = lines[below(g, 4)];
    line_clear(line);
    line->db = (uint8_t)below(g, DATABASES);
    line_add(line, at, strcspn(at, " "));
    if (at[0] == 'S') {
        line_add(line, at + 7, 1);
        line_add(line, at + 9, 1);
    }
    node_run(node, line);
    assert_true(reply_is(node, "+OK"));
}

static void run_seed(uint64_t seed, int commands, unsigned many, size_t value_max)
{
    struct store_node *origin = node_new(seed, true), *copy = node_new(seed + 1000, false);
    struct applier *applier = calloc(1, sizeof *applier);
    struct prng prng;
    struct line line = {0};
    prng_seed(&prng, seed);
    random_settings(origin, &prng);
    random_settings(copy, &prng);
    copy->env.expiry_paused = true;
    copy->env.now_ms = START_MS + 5000000000;
    struct generator g = {.prng = &prng, .keys = 10, .many = many, .value_max = value_max};
    size_t at = 0;
    for (int i = 0; i < commands; i++) {
        g.now_ms = origin->env.now_ms;
        unsigned what = (unsigned)below(&g, 1000);
        if (what < 2) {
            whole_database(&g, origin, &line);
        } else if (what < 12) {
            evict_one(origin);
        } else if (what < 32) {
            dump_and_restore(&g, origin, &line);
        } else if (what < 132) {
            origin->env.now_ms += (int64_t)below(&g, below(&g, 10) ? 300 : 20000);
        } else if (what < 152) {
            for (int p = 0; p < PARTITION_COUNT; p++) partition_expire(origin->partitions[p], 3);
        } else {
            random_line(&g, &line, false);
            node_run(origin, &line);
        }
        if (i % 50 == 49) {
            node_expire_all(origin);
            replay(applier, origin, copy, &at);
            assert_same(origin, copy);
            assert_accounted(origin);
            assert_accounted(copy);
        }
    }
    assert_true(origin->records_count > (uint64_t)commands / 4);
    for (int p = 0; p < PARTITION_COUNT; p++) {
        assert_int_equal(applier->applied[p], origin->partitions[p]->sequence);
        assert_int_equal(copy->partitions[p]->sequence, 0);
        applier_adopt(applier, copy->partitions[p]);
        assert_int_equal(copy->partitions[p]->sequence, origin->partitions[p]->sequence);
    }
    /* All of it once more. */
    struct record record;
    for (at = 0; at < origin->records_len;) {
        at += (size_t)record_decode(origin->records + at, origin->records_len - at, &record);
        assert_int_equal(record_apply(applier, copy->partitions[record.partition], &record), APPLY_COVERED);
    }
    assert_same(origin, copy);
    assert_no_leak(origin);
    assert_no_leak(copy);
    node_free(origin);
    node_free(copy);
    free(applier);
    free(line.bytes);
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void test_small_values(void **state)
{
    uint64_t first = setting("SEED", 1);
    for (uint64_t seed = first; seed < first + setting("SEEDS", 20); seed++) run_seed(seed, 12000, 40, 200);
}

static void test_large_values(void **state)
{
    uint64_t first = setting("SEED", 1);
    for (uint64_t seed = first; seed < first + setting("SEEDS", 20); seed++)
        run_seed(seed + 500000, 4000, 300, 5000);
}

/* ---- what is refused ---- */

static enum apply_result apply_one(struct applier *applier, struct store_node *node, uint64_t sequence,
                                   enum record_op op, const char *key, const struct slice *args,
                                   int args_count)
{
    struct record record = {.sequence = sequence, .op = (uint8_t)op, .args_count = (uint8_t)args_count};
    record.key = (struct slice){key, strlen(key)};
    memcpy(record.args, args, (size_t)args_count * sizeof *args);
    return record_apply(applier, node->partitions[0], &record);
}

static void test_refusals(void **state)
{
    struct store_node *node = node_new(1, false);
    struct applier applier = {0};
    int64_t none = ITEM_NO_DEADLINE, negative = -5, two = 2;
    struct slice set[2] = {SLICE("v"), record_int(&none)}, member[1] = {SLICE("m")};
    applier_start(&applier, 0, 10);
    assert_int_equal(apply_one(&applier, node, 10, RECORD_STRING_SET, "k", set, 2), APPLY_COVERED);
    assert_int_equal(apply_one(&applier, node, 12, RECORD_STRING_SET, "k", set, 2), APPLY_GAP);
    assert_int_equal(apply_one(&applier, node, 11, RECORD_STRING_SET, "k", set, 1), APPLY_CORRUPT);
    assert_int_equal(apply_one(&applier, node, 11, RECORD_STREAM_APPEND, "k", set, 2), APPLY_CORRUPT);
    assert_int_equal(apply_one(&applier, node, 11, RECORD_SET_REMOVE, "k", member, 1), APPLY_CORRUPT);
    assert_int_equal(partition_keys(node->partitions[0], 0), 0);
    assert_int_equal(apply_one(&applier, node, 11, RECORD_STRING_SET, "k", set, 2), APPLY_DONE);
    assert_int_equal(apply_one(&applier, node, 12, RECORD_SET_ADD, "k", member, 1), APPLY_CORRUPT);
    set[1] = record_int(&negative);
    assert_int_equal(apply_one(&applier, node, 12, RECORD_STRING_SET, "k", set, 2), APPLY_CORRUPT);
    struct slice remove[2] = {record_int(&none), record_int(&two)};
    assert_int_equal(apply_one(&applier, node, 12, RECORD_LIST_REMOVE, "l", remove, 2), APPLY_CORRUPT);
    slab_inject_failure(&node->partitions[0]->slab, 1, true);
    assert_int_equal(apply_one(&applier, node, 12, RECORD_SET_ADD, "s", member, 1), APPLY_NO_MEMORY);
    slab_inject_failure(&node->partitions[0]->slab, 0, false);
    assert_int_equal(apply_one(&applier, node, 12, RECORD_SET_ADD, "s", member, 1), APPLY_DONE);
    assert_int_equal(partition_keys(node->partitions[0], 0), 2);
    node_free(node);
}

/* Garbage changes nothing or is a record: it never harms. */
static void test_garbage(void **state)
{
    struct store_node *node = node_new(3, false);
    struct applier applier = {0};
    struct prng prng;
    struct generator g = {.prng = &prng};
    uint8_t bytes[64];
    prng_seed(&prng, 5);
    for (int i = 0; i < 100000; i++) {
        struct record record = {.sequence = applier.applied[0] + 1,
                                .op = (uint8_t)below(&g, RECORD_OP_COUNT + 2),
                                .keyspace = (uint8_t)below(&g, 4),
                                .args_count = (uint8_t)below(&g, RECORD_ARGS_MAX + 1),
                                .key = {(const char *)bytes, 1 + below(&g, 2)}};
        for (unsigned b = 0; b < sizeof bytes; b++) bytes[b] = (uint8_t)below(&g, below(&g, 3) ? 3 : 256);
        for (int a = 0; a < record.args_count; a++)
            record.args[a] =
                (struct slice){(const char *)bytes + below(&g, 40), below(&g, 2) ? 8 : below(&g, 20)};
        if (record.op == RECORD_STRING_WRITE) bytes[5] = bytes[6] = bytes[7] = 0;
        struct slice offset = record.args[0];
        if (record.op == RECORD_STRING_WRITE && offset.len == 8 && record_arg_int(&record, 0) > 1 << 20)
            continue;
        record_apply(&applier, node->partitions[0], &record);
    }
    assert_true(applier.applied[0] > 1000);
    assert_accounted(node);
    assert_no_leak(node);
    node_free(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_small_values),
        cmocka_unit_test(test_large_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
