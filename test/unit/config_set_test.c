/* CONFIG GET and CONFIG SET on the pure struct: every default round-trips, each kind's values and Redis's
 * error texts, all-or-nothing, copies. The same against a real server: test/blackbox/config_test.py. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/prng.h"
#include "config/config_table.h"
#include "config/config_text.h"

static char error[CONFIG_ERROR_MAX];
static char notes[4096];

static void take_note(void *context, const char *sentence)
{
    strcat(notes, sentence);
    strcat(notes, "\n");
}
static const struct config_loader noting = {.note = take_note};

/* Sets `name` to `value`; the error's text from behind "ERR ", or "OK". */
static const char *set(struct config *config, const char *name, const char *value)
{
    struct slice words[] = {config_slice(name), config_slice(value)};
    notes[0] = 0;
    if (config_set(config, words, 2, CONFIG_MAY_SET_PROTECTED, &noting, error)) return "OK";
    return strncmp(error, "ERR ", 4) ? error : error + 4;
}

static void expect(const struct config *config, const char *name, const char *value)
{
    struct config_text text;
    assert_true(config_get_one(config, config_slice(name), &text));
    assert_string_equal(text.ptr, value);
    config_text_free(&text);
}

/* The reason inside "CONFIG SET failed (possibly related to argument 'x') - reason". */
static void expect_refused(struct config *config, const char *name, const char *value, const char *reason)
{
    char wanted[CONFIG_ERROR_MAX];
    snprintf(wanted, sizeof(wanted), "CONFIG SET failed (possibly related to argument '%s') - %s", name,
             reason);
    assert_string_equal(set(config, name, value), wanted);
}

static void defaults_are_valid(void **state)
{
    struct config config;
    config_init(&config);
    size_t with_value = 0;
    for (size_t i = 0; i < config_row_count; i++) {
        const struct config_row *row = &config_rows[i];
        if (row->kind == CONFIG_KIND_FILE) continue;
        with_value++;
        assert_true(config_row_is_default(&config, row));
        expect(&config, row->name, row->initial);
        if (row->alias) expect(&config, row->alias, row->initial);
        if (row->change != CONFIG_IMMUTABLE) assert_string_equal(set(&config, row->name, row->initial), "OK");
        assert_string_equal(notes, ""); /* defaults are worth no line in the log */
    }
    assert_true(with_value > 190);
    assert_int_equal(config.maxclients, 10000);
    assert_int_equal(config.maxmemory_policy, CONFIG_POLICY_NOEVICTION);
    assert_int_equal(config.bind_count, 2);
    assert_string_equal(config.bind[1].ptr, "-::*");
    assert_int_equal(config.output_limit[CONFIG_CLIENT_REPLICA].soft_bytes, 64 << 20);
    assert_int_equal(config.save_count, 3);
    assert_true(config.latency_tracking);
    config_free(&config);
}

static void numbers(void **state)
{
    struct config config;
    config_init(&config);
    assert_string_equal(set(&config, "MaxMemory", "2Gb"), "OK");
    expect(&config, "maxmemory", "2147483648");
    assert_int_equal(config.maxmemory_bytes, 2147483648);
    assert_string_equal(set(&config, "maxmemory", "18446744073709551615"), "OK");
    expect(&config, "maxmemory", "18446744073709551615");
    assert_string_equal(set(&config, "maxmemory", "5k"), "OK");
    expect(&config, "maxmemory", "5000");
    expect_refused(&config, "maxmemory", "-1", "argument must be a memory value");
    expect_refused(&config, "maxmemory", "1tb", "argument must be a memory value");
    expect_refused(&config, "maxmemory", "18446744073709551615kb", "argument must be a memory value");
    expect_refused(&config, "proto-max-bulk-len", "1k",
                   "argument must be between 1048576 and 9223372036854775807 inclusive");
    expect_refused(&config, "proto-max-bulk-len", "9223372036854775808",
                   "argument must be between 1048576 and 9223372036854775807 inclusive");
    expect_refused(&config, "timeout", "01", "argument couldn't be parsed into an integer");
    expect_refused(&config, "timeout", "+1", "argument couldn't be parsed into an integer");
    expect_refused(&config, "timeout", "", "argument couldn't be parsed into an integer");
    expect_refused(&config, "timeout", "-1", "argument must be between 0 and 2147483647 inclusive");
    expect_refused(&config, "port", "65536", "argument must be between 0 and 65535 inclusive");
    assert_string_equal(set(&config, "list-max-listpack-size", "-5"), "OK");
    assert_int_equal(config.list_max_listpack_size, -5);
    assert_string_equal(set(&config, "hz", "100000"), "OK");
    expect(&config, "hz", "500");
    assert_string_equal(set(&config, "hz", "0"), "OK");
    expect(&config, "hz", "1");
    config_free(&config);
}

static void words(void **state)
{
    struct config config;
    config_init(&config);
    expect_refused(&config, "latency-tracking", "1", "argument must be 'yes' or 'no'");
    assert_string_equal(set(&config, "latency-tracking", "NO"), "OK");
    assert_false(config.latency_tracking);
    assert_string_equal(set(&config, "maxmemory-policy", "AllKeys-LRU"), "OK");
    assert_int_equal(config.maxmemory_policy, CONFIG_POLICY_ALLKEYS_LRU);
    expect(&config, "maxmemory-policy", "allkeys-lru");
    expect_refused(&config, "maxmemory-policy", "lru",
                   "argument(s) must be one of the following: volatile-lru, volatile-lfu, volatile-random, "
                   "volatile-ttl, allkeys-lru, allkeys-lfu, allkeys-random, noeviction");
    assert_string_equal(set(&config, "oom-score-adj", "relative"), "OK");
    expect(&config, "oom-score-adj", "yes");
    assert_string_equal(set(&config, "shutdown-on-sigint", "force nosave"), "OK");
    expect(&config, "shutdown-on-sigint", "nosave force");
    expect_refused(&config, "shutdown-on-sigint", "save nosave",
                   "shutdown options SAVE and NOSAVE can't be used simultaneously");
    expect_refused(&config, "shutdown-on-sigint", "now  now",
                   "argument(s) must be one of the following: default, save, nosave, now, force");
    expect_refused(&config, "dbfilename", "a/b", "dbfilename can't be a path, just a filename");
    expect_refused(&config, "cluster-announce-hostname", "a_b",
                   "Hostnames may only contain alphanumeric characters, hyphens or dots");
    expect_refused(&config, "proc-title-template", "{tittle}",
                   "template format is invalid or contains unknown variables");
    assert_string_equal(set(&config, "requirepass", "secret"), "OK");
    assert_string_equal(config.requirepass.ptr, "secret");
    assert_true(config_is_sensitive(SLICE("RequirePass")));
    assert_false(config_is_sensitive(SLICE("maxmemory")));
    assert_false(config_is_sensitive(SLICE("nosuch")));
    struct slice binary[] = {SLICE("requirepass"), {"a\0b", 3}};
    assert_true(config_set(&config, binary, 2, 0, NULL, error));
    assert_int_equal(config.requirepass.len, 3);
    config_free(&config);
}

static void lists(void **state)
{
    static const struct {
        const char *name, *value, *shown; /* shown NULL: refused */
    } rows[] = {
        {"bind", "127.0.0.1 -::1", "127.0.0.1 -::1"},
        {"bind", "", ""},
        {"bind", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17", NULL},
        {"save", "", ""},
        {"save", "10 1 5 100", "10 1 5 100"},
        {"save", "10", NULL},
        {"save", "0 1", NULL},
        {"save", "1 -1", NULL},
        {"save", "10  1", NULL},
        {"client-output-buffer-limit", "normal 1kb 2 3",
         "normal 1024 2 3 slave 268435456 67108864 60 pubsub 33554432 8388608 60"},
        {"client-output-buffer-limit", "replica 1 2 3 PUBSUB 4 5 6",
         "normal 1024 2 3 slave 1 2 3 pubsub 4 5 6"},
        {"client-output-buffer-limit", "master 1 2 3", NULL},
        {"client-output-buffer-limit", "normal 1 2", NULL},
        {"client-output-buffer-limit", "normal 1 2 -3", NULL},
        {"client-output-buffer-limit", "normal 9 9 9 pubsub x 1 1", NULL},
        {"client-output-buffer-limit", "", "normal 1024 2 3 slave 1 2 3 pubsub 4 5 6"},
        {"latency-tracking-info-percentiles", "50 99.99999999 0.5", "50 100 0.5"},
        {"latency-tracking-info-percentiles", "", ""},
        {"latency-tracking-info-percentiles", "101", NULL},
        {"latency-tracking-info-percentiles", "nan", NULL},
        {"notify-keyspace-events", "KEA", "AKE"},
        {"notify-keyspace-events", "nmKEx", "xnKEm"},
        {"notify-keyspace-events", "KAn", "AK"},
        {"notify-keyspace-events", "Q", NULL},
        {"notify-keyspace-events", "", ""},
        {"oom-score-adj-values", "1 2 3", "1 2 3"},
        {"oom-score-adj-values", "1 2", NULL},
        {"oom-score-adj-values", "1 2 2001", NULL},
    };
    struct config config;
    config_init(&config);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct config_text before;
        config_get_one(&config, config_slice(rows[i].name), &before);
        bool is_set = !strcmp(set(&config, rows[i].name, rows[i].value), "OK");
        if (is_set != (rows[i].shown != NULL))
            print_error("%s '%s': %s\n", rows[i].name, rows[i].value, error);
        assert_int_equal(is_set, rows[i].shown != NULL);
        expect(&config, rows[i].name, is_set ? rows[i].shown : before.ptr);
        config_text_free(&before);
    }
    config_free(&config);
}

static void refuses_what_it_cannot_keep(void **state)
{
    struct config config;
    config_init(&config);
    assert_string_equal(set(&config, "appendonly", "no"), "OK");
    assert_non_null(strstr(set(&config, "appendonly", "yes"), "durability is not implemented yet"));
    expect(&config, "appendonly", "no");
    assert_non_null(strstr(set(&config, "tls-port", "6380"), "TLS is not implemented yet"));
    expect(&config, "tls-port", "0");
    assert_non_null(strstr(set(&config, "maxmemory-clients", "10%"), "not implemented yet"));
    expect_refused(&config, "maxmemory-clients", "200%", "percentage argument must be less or equal to 100");
    expect_refused(&config, "appendonly", "maybe", "argument must be 'yes' or 'no'");
    assert_string_equal(set(&config, "repl-backlog-size", "2mb"), "OK");
    assert_string_equal(notes,
                        "repl-backlog-size has no effect here because this node replicates nothing yet\n");
    expect(&config, "repl-backlog-size", "2097152");
    config_free(&config);
}

static bool set_all(struct config *config, const char *const *texts, size_t count, unsigned flags)
{
    struct slice all[16];
    for (size_t i = 0; i < count; i++) all[i] = config_slice(texts[i]);
    return config_set(config, all, count, flags, NULL, error);
}

static void all_or_nothing(void **state)
{
    struct config config;
    config_init(&config);
    const char *good[] = {"maxmemory", "1mb", "timeout", "5", "requirepass", "x"};
    assert_true(set_all(&config, good, 6, 0));
    assert_int_equal(config.timeout_s, 5);
    const char *bad[] = {"maxmemory", "2mb", "requirepass", "y", "timeout", "zzz"};
    assert_false(set_all(&config, bad, 6, 0));
    assert_string_equal(error,
                        "ERR CONFIG SET failed (possibly related to argument 'timeout') - argument couldn't "
                        "be parsed into an integer");
    expect(&config, "maxmemory", "1048576");
    expect(&config, "requirepass", "x");
    const char *twice[] = {"hash-max-ziplist-entries", "1", "hash-max-listpack-entries", "2"};
    assert_false(set_all(&config, twice, 4, 0));
    assert_string_equal(error,
                        "ERR CONFIG SET failed (possibly related to argument 'hash-max-listpack-entries') - "
                        "duplicate parameter");
    const char *unknown[] = {"port", "1", "daemonize", "yes", "FooBar", "x"};
    assert_false(set_all(&config, unknown, 6, 0));
    assert_string_equal(error, "ERR Unknown option or number of arguments for CONFIG SET - 'FooBar'");
    const char *immutable[] = {"Daemonize", "yes"};
    assert_false(set_all(&config, immutable, 2, 0));
    assert_string_equal(
        error,
        "ERR CONFIG SET failed (possibly related to argument 'Daemonize') - can't set immutable config");
    const char *fixed[] = {"io", "auto"};
    assert_true(set_all(&config, fixed, 2, 0));
    fixed[1] = "epoll";
    assert_false(set_all(&config, fixed, 2, 0));
    assert_non_null(strstr(error, "can't set immutable config"));
    const char *guarded[] = {"dir", "/tmp"};
    assert_false(set_all(&config, guarded, 2, 0));
    assert_string_equal(
        error, "ERR CONFIG SET failed (possibly related to argument 'dir') - can't set protected config");
    assert_false(set_all(&config, guarded, 2, CONFIG_MAY_SET_PROTECTED | CONFIG_WHILE_LOADING));
    assert_string_equal(error, "LOADING Redis is loading the dataset in memory");
    assert_true(set_all(&config, guarded, 2, CONFIG_MAY_SET_PROTECTED));
    const char *only_in_files[] = {"include", "x"};
    assert_false(set_all(&config, only_in_files, 2, 0));
    config_free(&config);
}

static void gets(void **state)
{
    struct config config;
    struct config_matches matches;
    config_init(&config);
    struct slice star = SLICE("*");
    config_get(&config, &star, 1, &matches);
    assert_true(matches.count > 200);
    for (size_t i = 0; i < matches.count; i++)
        assert_string_not_equal(matches.items[i].name.ptr, "key-load-delay");
    config_matches_free(&matches);
    struct slice patterns[] = {SLICE("MaxMemory"), SLICE("maxm*"),          SLICE("nosuch"),
                               SLICE("*of"),       SLICE("key-load-delay"), SLICE("include")};
    config_get(&config, patterns, 6, &matches);
    static const char *const names[] = {
        "MaxMemory",         "maxmemory-policy", "maxmemory-samples", "maxmemory-eviction-tenacity",
        "maxmemory-clients", "replicaof",        "slaveof",           "key-load-delay"};
    assert_int_equal(matches.count, 8);
    for (size_t n = 0; n < 8; n++) {
        size_t found = 0;
        for (size_t i = 0; i < matches.count; i++) found += !strcmp(matches.items[i].name.ptr, names[n]);
        assert_int_equal(found, 1);
    }
    assert_string_equal(matches.items[0].name.ptr, "MaxMemory");
    config_matches_free(&matches);
    config_free(&config);
}

static void copies_are_apart(void **state)
{
    struct config config, copy;
    config_init(&config);
    set(&config, "requirepass", "one");
    set(&config, "bind", "10.0.0.1");
    set(&config, "tls-cert-file", "/etc/cert");
    config_copy(&copy, &config);
    set(&config, "requirepass", "two");
    set(&config, "bind", "");
    config_free(&config);
    expect(&copy, "requirepass", "one");
    expect(&copy, "bind", "10.0.0.1");
    expect(&copy, "tls-cert-file", "/etc/cert");
    config_free(&copy);
}

/* Random values into random directives: what is accepted must be taken again as shown, what is refused
 * changes nothing. */
static void shown_values_are_accepted(void **state)
{
    static const char *const values[] = {"",    "0",     "1",     "-1",          "7",     "100%",    "yes",
                                         "no",  "1gb",   "3kb",   "0777",        "a b",   "abc",     "A",
                                         "KEx", "50 99", "10 20", "4294967296",  "local", "default", "now",
                                         "{x}", "\n",    "a/b",   "normal 1 2 3"};
    struct config config;
    struct prng prng;
    uint64_t seed = 7;
    print_message("seed %llu\n", (unsigned long long)seed);
    prng_seed(&prng, seed);
    config_init(&config);
    int accepted = 0;
    for (int i = 0; i < 6000; i++) {
        const struct config_row *row = &config_rows[prng_below(&prng, config_row_count)];
        struct config_text before, after;
        if (row->kind == CONFIG_KIND_FILE || row->change == CONFIG_IMMUTABLE || row->change == CONFIG_FIXED)
            continue;
        config_get_one(&config, config_slice(row->name), &before);
        bool is_set = !strcmp(set(&config, row->name, values[prng_below(&prng, 25)]), "OK");
        config_get_one(&config, config_slice(row->name), &after);
        if (!is_set) assert_string_equal(before.ptr, after.ptr);
        accepted += is_set;
        assert_string_equal(set(&config, row->name, after.ptr), "OK");
        expect(&config, row->name, after.ptr);
        config_text_free(&before);
        config_text_free(&after);
    }
    assert_true(accepted > 500);
    config_free(&config);
}

/* Two changes that copies hear of in different orders leave all of them equal. */
static void copies_follow(void **state)
{
    struct config first, second;
    config_init(&first);
    config_init(&second);
    const char *one[] = {"maxmemory", "1mb", "client-output-buffer-limit", "replica 1 2 3"};
    const char *two[] = {"maxmemory", "2mb", "save", ""};
    struct config_matches changes[2];
    struct slice words[2][4];
    for (int c = 0; c < 2; c++) {
        struct config setter;
        config_init(&setter);
        const char *const *texts = c ? two : one;
        struct slice set_words[4];
        for (int i = 0; i < 4; i++) set_words[i] = config_slice(texts[i]);
        assert_true(config_set(&setter, set_words, 4, 0, NULL, error));
        config_changes(&setter, set_words, 4, &changes[c]);
        assert_int_equal(changes[c].count, 2);
        for (int i = 0; i < 4; i++) {
            const struct config_match *match = &changes[c].items[i / 2];
            words[c][i] = config_text_slice(i % 2 ? &match->value : &match->name);
        }
        config_free(&setter);
    }
    config_follow(&first, words[0], 4, 1);
    config_follow(&first, words[1], 4, 2);
    config_follow(&second, words[1], 4, 2);
    config_follow(&second, words[0], 4, 1);
    for (int i = 0; i < 2; i++) {
        const struct config *config = i ? &second : &first;
        expect(config, "maxmemory", "2097152");
        expect(config, "save", "");
        expect(config, "client-output-buffer-limit", "normal 0 0 0 slave 1 2 3 pubsub 33554432 8388608 60");
        config_matches_free(&changes[i]);
    }
    config_free(&first);
    config_free(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_valid),
        cmocka_unit_test(numbers),
        cmocka_unit_test(words),
        cmocka_unit_test(lists),
        cmocka_unit_test(refuses_what_it_cannot_keep),
        cmocka_unit_test(all_or_nothing),
        cmocka_unit_test(gets),
        cmocka_unit_test(copies_are_apart),
        cmocka_unit_test(shown_values_are_accepted),
        cmocka_unit_test(copies_follow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
