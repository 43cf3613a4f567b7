/* SCAN, KEYS and RANDOMKEY over real partitions: what stays is seen, whatever comes and goes between the
 * calls and however few partitions a call may walk; cursors fit into a double; bad cursors are refused. */
#pragma GCC diagnostic ignored "-Wunused-function" /* the fixture offers more than this program uses */
#include "store_node.h"

#define KEYS_STAY 6000

struct fixture {
    struct store_node *node;
    struct command_context ctx;
};

static struct fixture *setup(uint64_t seed)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->node = node_new(seed, false);
    f->ctx = (struct command_context){.reply = &f->node->reply,
                                      .env = &f->node->env,
                                      .config = &f->node->config,
                                      .now_ms = f->node->env.now_ms,
                                      .partitions = f->node->partitions};
    return f;
}

static void teardown(struct fixture *f)
{
    node_free(f->node);
    free(f);
}

static struct entry open_key(struct fixture *f, const char *name)
{
    struct entry entry;
    command_open_in_db(&f->ctx, (struct slice){name, strlen(name)}, 0, &entry);
    return entry;
}

static void put_key(struct fixture *f, const char *name)
{
    struct entry entry = open_key(f, name);
    assert_int_equal(mutate_string_set(&entry, SLICE("v"), ITEM_NO_DEADLINE), VALUE_OK);
}

static void drop_key(struct fixture *f, const char *name)
{
    struct entry entry = open_key(f, name);
    if (entry.item) assert_int_equal(mutate_key_delete(&entry, RECORD_DELETED), VALUE_OK);
}

/* Runs a handler; the reply stays in f->node->reply, with a NUL behind. */
static const char *run(struct fixture *f, command_handler *handler, const char *const *words)
{
    struct slice argv[16];
    int argc = 0;
    for (; words[argc]; argc++) argv[argc] = (struct slice){words[argc], strlen(words[argc])};
    f->ctx.argv = argv;
    f->ctx.argc = argc;
    reply_clear(&f->node->reply);
    handler(&f->ctx);
    reply_raw(&f->node->reply, "", 1);
    assert_false(f->node->reply.failed);
    return f->node->reply.begin;
}

/* The bulk at *at, and over it. */
static struct slice take_bulk(const char **at)
{
    assert_int_equal(**at, '$');
    size_t len = strtoul(*at + 1, NULL, 10);
    const char *text = strstr(*at, "\r\n") + 2;
    *at = text + len + 2;
    return (struct slice){text, len};
}

static uint64_t take_array(const char **at)
{
    assert_int_equal(**at, '*');
    uint64_t count = strtoull(*at + 1, NULL, 10);
    *at = strstr(*at, "\r\n") + 2;
    return count;
}

/* One SCAN call: counts "k<number>" keys in `seen`; returns the next cursor. */
static uint64_t scan_once(struct fixture *f, uint64_t cursor, const char *const *options, unsigned *seen,
                          uint64_t *shown)
{
    char text[32];
    const char *words[10] = {"SCAN", text};
    snprintf(text, sizeof text, "%llu", (unsigned long long)cursor);
    for (int i = 0; options[i]; i++) words[i + 2] = options[i];
    const char *at = run(f, cmd_scan, words);
    assert_int_equal(take_array(&at), 2);
    uint64_t next = strtoull(take_bulk(&at).ptr, NULL, 10);
    uint64_t count = take_array(&at);
    for (uint64_t i = 0; i < count; i++) {
        struct slice key = take_bulk(&at);
        if (seen && key.ptr[0] == 'k') seen[strtoul(key.ptr + 1, NULL, 10)]++;
    }
    *shown += count;
    assert_int_equal(*at, 0);
    return next;
}

static void what_stays_is_seen(void **state)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct fixture *f = setup(seed);
        char name[32], count[32];
        for (int i = 0; i < KEYS_STAY; i++) {
            snprintf(name, sizeof name, "k%d", i);
            put_key(f, name);
        }
        unsigned *seen = calloc(KEYS_STAY, sizeof *seen);
        const char *options[] = {"COUNT", count, NULL};
        uint64_t cursor = 0, calls = 0, shown = 0;
        do {
            snprintf(count, sizeof count, "%llu",
                     1 + (unsigned long long)prng_below(&f->node->prng, seed * 40));
            f->ctx.scan_partitions = (uint16_t)prng_below(&f->node->prng, 4);
            cursor = scan_once(f, cursor, options, seen, &shown);
            assert_true(cursor < 1ull << 53);
            for (int i = 0; i < 20; i++) { /* tables grow and shrink between the calls */
                snprintf(name, sizeof name, "other%d", (int)prng_below(&f->node->prng, 4000));
                if (prng_below(&f->node->prng, 3))
                    put_key(f, name);
                else
                    drop_key(f, name);
            }
            assert_true(++calls < 200000);
        } while (cursor);
        unsigned twice = 0;
        for (int i = 0; i < KEYS_STAY; i++) {
            if (!seen[i]) fail_msg("seed %llu: k%d was not seen", (unsigned long long)seed, i);
            twice += seen[i] > 1;
        }
        assert_true(twice < KEYS_STAY / 100);
        free(seen);
        teardown(f);
    }
}

static uint64_t scan_all(struct fixture *f, const char *const *options)
{
    uint64_t cursor = 0, shown = 0;
    f->ctx.scan_partitions = PARTITION_COUNT;
    do cursor = scan_once(f, cursor, options, NULL, &shown);
    while (cursor);
    return shown;
}

static void options_select(void **state)
{
    struct fixture *f = setup(7);
    char name[32];
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "k%d", i);
        put_key(f, name);
    }
    assert_int_equal(scan_all(f, (const char *[]){NULL}), 300);
    assert_int_equal(scan_all(f, (const char *[]){"MATCH", "k1?", NULL}), 10);
    assert_int_equal(scan_all(f, (const char *[]){"match", "*", "TYPE", "STRING", NULL}), 300);
    assert_int_equal(scan_all(f, (const char *[]){"TYPE", "hash", NULL}), 0);
    assert_int_equal(scan_all(f, (const char *[]){"TYPE", "nosuch", NULL}), 0);
    struct entry entry = open_key(f, "k5");
    assert_int_equal(mutate_key_expire(&entry, f->node->env.now_ms + 5), VALUE_OK);
    f->node->env.now_ms += 6; /* at its deadline it lives */
    assert_int_equal(scan_all(f, (const char *[]){NULL}), 299);
    const char *at = run(f, cmd_keys, (const char *[]){"KEYS", "*", NULL});
    assert_int_equal(take_array(&at), 299);
    at = run(f, cmd_keys, (const char *[]){"KEYS", "k[0-9]", NULL});
    assert_int_equal(take_array(&at), 9);
    teardown(f);
}

static void bad_arguments(void **state)
{
    static const struct {
        const char *words[8], *reply;
    } rows[] = {
        {{"SCAN", "x"}, "-ERR invalid cursor\r\n"},
        {{"SCAN", ""}, "-ERR invalid cursor\r\n"},
        {{"SCAN", "-1"}, "-ERR invalid cursor\r\n"},
        {{"SCAN", "18446744073709551616"}, "-ERR invalid cursor\r\n"},
        {{"SCAN", "18446744073709551615"}, "*2\r\n$1\r\n0\r\n*0\r\n"},
        {{"SCAN", " +0255"}, "*2\r\n$1\r\n0\r\n*0\r\n"},
        {{"SCAN", "x", "COUNT", "0"}, "-ERR invalid cursor\r\n"},
        {{"SCAN", "0", "COUNT", "0"}, "-ERR syntax error\r\n"},
        {{"SCAN", "0", "COUNT", "x"}, "-ERR value is not an integer or out of range\r\n"},
        {{"SCAN", "0", "COUNT"}, "-ERR syntax error\r\n"},
        {{"SCAN", "0", "NOSUCH", "1"}, "-ERR syntax error\r\n"},
        {{"SCAN", "0", "NOVALUES"}, "-ERR NOVALUES option can only be used in HSCAN\r\n"},
    };
    struct fixture *f = setup(8);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(run(f, cmd_scan, rows[i].words), rows[i].reply);
    assert_string_equal(run(f, cmd_randomkey, (const char *[]){"RANDOMKEY", NULL}), "$-1\r\n");
    teardown(f);
}

/* 100 keys, 30,000 draws: 300 each, standard deviation 17. */
static void random_keys_are_even(void **state)
{
    struct fixture *f = setup(9);
    char name[32];
    unsigned drawn[100] = {0};
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "k%d", i);
        put_key(f, name);
    }
    for (int i = 0; i < 30000; i++) {
        const char *at = run(f, cmd_randomkey, (const char *[]){"RANDOMKEY", NULL});
        drawn[strtoul(take_bulk(&at).ptr + 1, NULL, 10)]++;
    }
    for (int i = 0; i < 100; i++) assert_in_range(drawn[i], 200, 400);
    for (int i = 1; i < 100; i++) {
        snprintf(name, sizeof name, "k%d", i);
        struct entry entry = open_key(f, name);
        assert_int_equal(mutate_key_expire(&entry, f->node->env.now_ms + 1), VALUE_OK);
    }
    f->node->env.now_ms += 2;
    assert_string_equal(run(f, cmd_randomkey, (const char *[]){"RANDOMKEY", NULL}), "$2\r\nk0\r\n");
    teardown(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_stays_is_seen),
        cmocka_unit_test(options_select),
        cmocka_unit_test(bad_arguments),
        cmocka_unit_test(random_keys_are_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
