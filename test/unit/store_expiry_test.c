/* Active expiry and the wall clock: what dies goes by itself in the millisecond after its deadline, not
 * before and not later, also when the clock has been set back or ahead meanwhile, by a millisecond or by
 * years. */
#include "store_node.h"

struct world {
    struct store_node *node;
    struct partition *partition; /* that all keys of the test are in */
    struct line line;
};

static void run(struct world *w, const char *text)
{
    line_clear(&w->line);
    w->line.db = 0;
    for (const char *at = text; *at;) {
        size_t len = strcspn(at, " ");
        line_add(&w->line, at, len);
        at += len + (at[len] == ' ');
    }
    node_run(w->node, &w->line);
    if (reply_is(w->node, "-")) fail_msg("%s: %s", text, w->node->reply.begin);
}

static void begin(struct world *w)
{
    *w = (struct world){.node = node_new(7, false)};
    run(w, "SET {a}far v PX 7776000000"); /* so that the wheel is in use all the time */
    for (int p = 0; p < PARTITION_COUNT; p++)
        if (w->node->partitions[p]->wheel.count) w->partition = w->node->partitions[p];
    assert_non_null(w->partition);
}

static void end(struct world *w)
{
    assert_accounted(w->node);
    assert_no_leak(w->node);
    node_free(w->node);
    free(w->line.bytes);
}

/* As a shard does it: looks when it was told to. */
static void pass_time(struct world *w, int64_t ms)
{
    struct store_env *env = &w->node->env;
    env->now_ms += ms;
    if (env->now_ms < env->next_expiry_ms) return;
    while (partition_expire(w->partition, 100)) continue;
    env->next_expiry_ms = w->node->expiry_ms[w->partition->id] = partition_next_expiry_ms(w->partition);
}

static uint64_t keys(const struct world *w)
{
    return partition_keys(w->partition, 0);
}

static uint64_t fields(struct world *w)
{
    struct entry entry;
    struct slice name = SLICE("{a}hash");
    struct key key = {.name = name, .hash = key_hash(&w->node->env, name)};
    return entry_find(&entry, w->partition, &key) ? hash_count(&entry.value) : 0;
}

/* A key and a field that live for 100 ms, with the wheel as far as it is. */
static void short_lives(struct world *w)
{
    uint64_t before = keys(w);
    run(w, "SET {a}short v PX 100");
    run(w, "HSET {a}hash stays v goes v");
    run(w, "HPEXPIRE {a}hash 100 FIELDS 1 goes");
    pass_time(w, 100);
    assert_int_equal(keys(w), before + 2);
    assert_int_equal(fields(w), 2);
    pass_time(w, 1);
    assert_int_equal(keys(w), before + 1);
    assert_int_equal(fields(w), 1);
    run(w, "DEL {a}hash");
}

static void test_steps(void **state)
{
    static const int64_t steps_ms[] = {1,         2,          63,         64,          65,
                                       500,       4095,       4096,       5000,        20000,
                                       262144,    300000,     3600000,    16777216,    86400000,
                                       864000000, 1073741824, 2592000000, 94608000000, 157680000000};
    for (size_t i = 0; i < sizeof steps_ms / sizeof *steps_ms; i++) {
        struct world w;
        begin(&w);
        for (int turn = 0; turn < 3; turn++) {
            short_lives(&w);
            pass_time(&w, -steps_ms[i]);
        }
        short_lives(&w);
        assert_int_equal(keys(&w), 1);
        pass_time(&w, steps_ms[i]); /* corrected */
        short_lives(&w);
        end(&w);
    }
}

/* Keys of all distances that were there before the step die at their deadlines, in a clock that is back. */
static void test_those_before_the_step(void **state)
{
    struct world w;
    struct prng prng;
    begin(&w);
    prng_seed(&prng, 3);
    for (int turn = 0; turn < 200; turn++) {
        int64_t deadlines_ms[30];
        char text[80];
        run(&w, "SET {a}first v PX 1");
        pass_time(&w, 2);
        assert_int_equal(keys(&w), 1);
        for (int i = 0; i < 30; i++) {
            deadlines_ms[i] =
                w.node->env.now_ms + 1 + (int64_t)prng_below(&prng, 1ull << prng_below(&prng, 32));
            sprintf(text, "SET {a}%d v PXAT %lld", i, (long long)deadlines_ms[i]);
            run(&w, text);
        }
        pass_time(&w, -(int64_t)prng_below(&prng, 1ull << prng_below(&prng, 36)));
        run(&w, "SET {a}short v PX 1"); /* turns the wheel back */
        pass_time(&w, 2);
        for (int rest = 30; rest > 0;) {
            int64_t next_ms = INT64_MAX;
            uint64_t alive = 1;
            for (int i = 0; i < 30; i++) {
                alive += deadlines_ms[i] >= w.node->env.now_ms;
                if (deadlines_ms[i] >= w.node->env.now_ms && deadlines_ms[i] < next_ms)
                    next_ms = deadlines_ms[i];
            }
            assert_int_equal(keys(&w), alive);
            rest = (int)alive - 1;
            if (rest == 0) break;
            pass_time(&w, next_ms - w.node->env.now_ms); /* at its deadline it lives */
            assert_int_equal(keys(&w), alive);
            pass_time(&w, 1);
        }
        run(&w, "PEXPIRE {a}far 7776000000");
    }
    end(&w);
}

/* The last deadline of all is one, also when a field's that came before it has passed. */
static void test_last_deadline_stays(void **state)
{
    struct world w;
    begin(&w);
    run(&w, "HSET {a}hash stays v goes v");
    run(&w, "PEXPIREAT {a}hash 9223372036854775807");
    run(&w, "HPEXPIRE {a}hash 100 FIELDS 1 goes");
    pass_time(&w, 101);
    assert_int_equal(fields(&w), 1);
    run(&w, "PEXPIRETIME {a}hash");
    assert_true(reply_is(w.node, ":9223372036854775807"));
    run(&w, "PERSIST {a}hash");
    assert_true(reply_is(w.node, ":1"));
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_those_before_the_step),
        cmocka_unit_test(test_last_deadline_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
