/* Without memory nothing breaks: allocations of the slab are made to fail while random commands of every
 * family run, at random places, once or from there on; or the slab really is too small. A command that
 * replies OOM has changed nothing, told by its records and by a second node that follows by these alone;
 * accounting stays exact; nothing leaks.
 *
 * What each command that makes several changes does when any of its allocations fails: store_atomic_test.c.
 */
#include "store_node.h"

#include "store/apply.h"

static void follow(struct applier *applier, struct store_node *from, struct store_node *to)
{
    struct record record;
    for (size_t at = 0; at < from->records_len;) {
        at += (size_t)record_decode(from->records + at, from->records_len - at, &record);
        assert_int_equal(record_apply(applier, to->partitions[record.partition], &record), APPLY_DONE);
    }
    from->records_len = 0;
}

struct run {
    struct store_node *origin, *copy;
    struct applier applier;
    struct prng prng;
    struct generator generator;
    struct line line;
    uint64_t refused;
};

static void begin(struct run *run, uint64_t seed, size_t limit_bytes)
{
    *run =
        (struct run){.origin = node_new_limited(seed, true, limit_bytes), .copy = node_new(seed + 1, false)};
    prng_seed(&run->prng, seed);
    run->generator = (struct generator){.prng = &run->prng, .keys = 10, .many = 200, .value_max = 3000};
    run->copy->env.expiry_paused = true;
    if (seed % 2) {
        struct config *c = &run->origin->config;
        c->hash_max_listpack_entries = c->zset_max_listpack_entries = c->set_max_listpack_entries = 8;
        c->set_max_intset_entries = c->list_max_listpack_size = 8;
    }
}

static void end(struct run *run)
{
    assert_no_leak(run->origin);
    assert_no_leak(run->copy);
    node_free(run->origin);
    node_free(run->copy);
    free(run->line.bytes);
}

/* What is due goes first, so that no record tells of it later. */
static void prepare(struct run *run)
{
    run->origin->env.now_ms += (int64_t)below(&run->generator, 60);
    run->generator.now_ms = run->origin->env.now_ms;
    node_expire_all(run->origin);
    random_line(&run->generator, &run->line, true);
    follow(&run->applier, run->origin, run->copy);
}

static void check(struct run *run)
{
    if (!reply_is(run->origin, "-OOM")) return;
    run->refused++;
    if (run->origin->records_len)
        fail_msg("replied OOM, yet something has changed: %s", line_text(&run->line));
    follow(&run->applier, run->origin, run->copy);
    assert_same(run->origin, run->copy);
    assert_accounted(run->origin);
}

static void inject(struct store_node *node, uint64_t after, bool forever)
{
    for (int p = 0; p < PARTITION_COUNT; p++) slab_inject_failure(&node->partitions[p]->slab, after, forever);
}

static void run_injected(uint64_t seed)
{
    struct run run;
    begin(&run, seed, SLAB_BYTES);
    for (int i = 0; i < 6000; i++) {
        prepare(&run);
        bool failing = below(&run.generator, 2);
        if (failing)
            inject(run.origin, 1 + below(&run.generator, below(&run.generator, 3) ? 4 : 30),
                   below(&run.generator, 2));
        node_run(run.origin, &run.line);
        inject(run.origin, 0, false);
        check(&run);
    }
    assert_true(run.refused > 150);
    end(&run);
}

static void test_injected_failures(void **state)
{
    uint64_t first = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : 1;
    for (uint64_t seed = first; seed < first + 6; seed++) run_injected(seed);
}

/* Growing commands until a partition's slab of 512 KiB is full, and on. */
static void run_small(uint64_t seed)
{
    struct run run;
    begin(&run, seed, 512u << 10);
    run.generator.value_max = 60000;
    for (int i = 0; i < 8000; i++) {
        prepare(&run);
        if (below(&run.generator, 2) && !slice_is_word(run.line.argv[0], "APPEND")) {
            line_clear(&run.line);
            const char *name = below(&run.generator, 2) ? "RPUSH" : "SADD";
            line_add(&run.line, name, strlen(name));
            add_key(&run.generator, &run.line, name[0] == 'R' ? 'L' : 'T');
            add_bytes(&run.generator, &run.line, below(&run.generator, 20000));
        }
        node_run(run.origin, &run.line);
        check(&run);
    }
    assert_true(run.refused > 20);
    end(&run);
}

static void test_small_slab(void **state)
{
    for (uint64_t seed = 1; seed < 4; seed++) run_small(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_injected_failures),
        cmocka_unit_test(test_small_slab),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
