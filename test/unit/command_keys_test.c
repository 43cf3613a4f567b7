/* command_keys: the positions and flags for every form of key spec and for the commands that need a look at
 * their options; random command lines stay within their arguments; where the specs are ranges at fixed places
 * they agree with the fast form in the row. That a real server sees the same keys is checked by
 * test/blackbox/command_table_test.py. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "command/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARGS_MAX = 32 };

/* Splits at spaces; "''" is the empty argument. */
static size_t split(const char *line, struct slice *argv)
{
    size_t argc = 0;
    while (*line) {
        size_t len = strcspn(line, " ");
        argv[argc++] = strncmp(line, "''", len) == 0 && len == 2 ? SLICE("") : (struct slice){line, len};
        line += len + (line[len] == ' ');
    }
    return argc;
}

static const struct command *find(const struct slice *argv, size_t argc)
{
    const struct command *container;
    return command_resolve(argv, argc, &container);
}

/* "key:RW+access key2:..." as COMMAND GETKEYSANDFLAGS would list them; "!" when the arguments do not tell. */
static void describe(const char *line, char *out, size_t room)
{
    struct slice argv[ARGS_MAX];
    size_t argc = split(line, argv);
    struct command_keys keys;
    out[0] = 0;
    if (!command_keys(find(argv, argc), argv, argc, &keys)) {
        assert_int_equal(keys.range_count, 0);
        assert_int_equal(keys.key_count, 0);
        snprintf(out, room, "!");
        return;
    }
    size_t at = 0;
    uint32_t count = 0;
    for (uint32_t r = 0; r < keys.range_count; r++) {
        for (uint32_t i = 0; i < keys.range[r].count; i++, count++) {
            struct slice key = argv[keys.range[r].first + i * keys.range[r].step];
            at += (size_t)snprintf(out + at, room - at, "%s%.*s:", at ? " " : "", (int)key.len, key.ptr);
            const char *plus = "";
            for (unsigned bit = 0; bit < COMMAND_KEY_FLAG_COUNT; bit++) {
                if (!(keys.range[r].flags >> bit & 1)) continue;
                at += (size_t)snprintf(out + at, room - at, "%s%s", plus, command_key_flag_name(bit));
                plus = "+";
            }
        }
    }
    if (keys.unnamed) snprintf(out + at, room - at, "%s...", at ? " " : "");
    assert_int_equal(count, keys.key_count);
}

static void positions_and_flags(void **state)
{
    static const char *const cases[][2] = {
        {"GET k", "k:RO+access"},
        {"PING k", ""},
        {"mget a b c", "a:RO+access b:RO+access c:RO+access"},
        {"MSET a 1 b 2", "a:OW+update b:OW+update"},
        {"MSET a 1 b", "a:OW+update b:OW+update"},
        {"DEL a b", "a:RM+delete b:RM+delete"},
        {"RENAME a b", "a:RW+access+delete b:OW+update"},
        {"COPY a b DB 1", "a:RO+access b:OW+update"},
        {"OBJECT ENCODING k", "k:RO"},
        {"MEMORY USAGE k SAMPLES 5", "k:RO"},
        {"BITOP AND d a b", "d:OW+update a:RO+access b:RO+access"},
        {"SET k v", "k:OW+update"},
        {"SET k get", "k:OW+update"},
        {"SET k v EX 10 get", "k:RW+access+update"},
        {"BITFIELD k GET u8 0 OVERFLOW wrap GET u4 1", "k:RO+access"},
        {"BITFIELD k GET u8 0 incrby u8 0 1", "k:RW+access+update"},
        {"BITFIELD k GET u8", "k:RW+access+update"},
        {"BITFIELD k", "k:RO+access"},
        {"ZUNIONSTORE d 2 a b WEIGHTS 1 2", "d:OW+update a:RO+access b:RO+access"},
        {"ZUNIONSTORE d 3 a b", "!"},
        {"ZUNIONSTORE d x a b", "!"},
        {"ZUNIONSTORE d 0 a b", "!"},
        {"ZUNIONSTORE d -1 a b", "!"},
        {"ZUNIONSTORE d 18446744073709551617 a b", "!"},
        {"SINTERCARD 2 a b LIMIT 1", "a:RO+access b:RO+access"},
        {"LMPOP 1 a LEFT", "a:RW+access+delete"},
        {"BLMPOP 0 2 a b LEFT", "a:RW+access+delete b:RW+access+delete"},
        {"BLPOP a b 0", "a:RW+access+delete b:RW+access+delete"},
        {"EVAL s 2 a b c", "a:RW+access+update b:RW+access+update"},
        {"EVAL s 0 a", "!"},
        {"EVAL s", "!"},
        {"XREAD COUNT 2 STREAMS a b 0 0", "a:RO+access b:RO+access"},
        {"XREAD COUNT 2 STREAMS", "!"},
        {"XREAD COUNT 2", ""},
        {"XREAD COUNT streams STREAMS a 0", "a:RO+access"},
        {"XREAD STREAMS a STREAMS 0 0", "a:RO+access STREAMS:RO+access"},
        {"XREAD nosuch STREAMS a 0", "!"},
        {"XREAD STREAMS a b 0", "!"},
        {"XREADGROUP GROUP streams c STREAMS a 0", "a:RO+access"},
        {"XREADGROUP GROUP g c streams a 0", "a:RO+access"},
        {"SORT k", "k:RO+access"},
        {"SORT k BY nosort GET # STORE d", "k:RO+access d:OW+update"},
        {"SORT k BY w_* GET o_* LIMIT 0 1", "k:RO+access ..."},
        {"SORT k STORE a STORE b", "k:RO+access b:OW+update"},
        {"SORT k GET store ALPHA", "k:RO+access"},
        {"SORT k LIMIT store 3 DESC store d", "k:RO+access d:OW+update"},
        {"SORT k STORE", "k:RO+access"},
        {"SORT k STORE BY STORE d", "k:RO+access d:OW+update"},
        {"SORT_RO k GET o_*", "k:RO+access ..."},
        {"SORT_RO k STORE d", "k:RO+access"},
        {"MIGRATE h 1 k 0 1", "k:RW+access+delete"},
        {"MIGRATE h 1 '' 0 1 COPY AUTH2 u p KEYS a b", "a:RW+access+delete b:RW+access+delete"},
        {"MIGRATE h 1 k 0 1 KEYS a b", "!"},
        {"MIGRATE h 1 k 0 1 AUTH keys KEYS", "!"},
        {"MIGRATE h 1 k 0 1 COPY KEYS", "k:RW+access+delete"},
        {"MIGRATE h 1 k KEYS 1", "k:RW+access+delete"},
        {"GEORADIUS k 1 2 3 km STORE d", "k:RO+access d:OW+update"},
        {"GEORADIUS k 1 2 3 km STORE", "k:RO+access"},
        {"GEORADIUS k 1 2 3 km STORE a STOREDIST b", "k:RO+access b:OW+update"},
        {"GEORADIUSBYMEMBER k m 3 km STOREDIST d", "k:RO+access d:OW+update"},
        {"SSUBSCRIBE a b", ""},
        {"WATCH a b", "a:RO b:RO"},
        {"GET", "!"},
        {"SET", "!"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char got[512];
        describe(cases[i][0], got, sizeof got);
        if (strcmp(got, cases[i][1]) != 0) fail_msg("%s: %s, not %s", cases[i][0], got, cases[i][1]);
    }
}

static void has_keys(void **state)
{
    assert_true(command_has_keys(command_lookup("get", 3)));
    assert_true(command_has_keys(command_lookup("eval", 4)));
    assert_false(command_has_keys(command_lookup("ping", 4)));
    assert_false(command_has_keys(command_lookup("spublish", 8)));
}

/* Words that mean something to one spec or another, in random order and number, for every command. */
static void random_lines_stay_within_their_arguments(void **state)
{
    static const char *const words[] = {"store", "KEYS", "streams", "STOREDIST", "get", "by",
                                        "limit", "1",    "2",       "3",         "0",   "-1",
                                        "99",    "k",    "",        "AUTH2"};
    for (uint16_t id = 0; id < command_count(); id++) {
        const struct command *row = command_at(id);
        for (int round = 0; round < 2000; round++) {
            size_t argc = 1 + (size_t)rand() % 12;
            struct slice *argv = malloc(argc * sizeof *argv); /* exact: a sanitizer sees reads beyond it */
            for (size_t i = 0; i < argc; i++) {
                const char *word = words[(size_t)rand() % (sizeof words / sizeof words[0])];
                argv[i] = (struct slice){word, strlen(word)};
            }
            struct command_keys keys;
            bool known = command_keys(row, argv, argc, &keys);
            assert_true(known || keys.range_count == 0);
            assert_true(keys.range_count <= COMMAND_KEY_RANGES_MAX);
            for (uint32_t r = 0; r < keys.range_count; r++) {
                const struct command_key_range *range = &keys.range[r];
                assert_true(range->count > 0 && range->step > 0 && range->first > 0);
                assert_true(range->first + (uint64_t)(range->count - 1) * range->step < argc);
            }
            if (known && command_arity_fits(row, argc) && row->key_first > 0 && command_has_keys(row)) {
                assert_true(keys.range_count > 0);
                if (row->route == COMMAND_ROUTE_KEY) {
                    assert_int_equal(keys.range[0].first, row->key_first);
                    assert_int_equal(keys.key_count, 1);
                }
            }
            free(argv);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(positions_and_flags),
        cmocka_unit_test(has_keys),
        cmocka_unit_test(random_lines_stay_within_their_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
