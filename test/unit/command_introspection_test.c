/* COMMAND and its subcommands: the bytes on the wire in RESP2 and RESP3, as Redis 8.0 sends them (sentences
 * are weft's own), unsupported rows stay hidden, COUNT, LIST, COMMAND and DOCS agree, HELP of containers.
 * Everything that is supported is compared with a real server by test/blackbox/command_table_test.py. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "command/command.h"
#include "command/introspection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARGS_MAX = 16 };

/* Runs a command line (words separated by spaces) into a fresh reply; *len is its length. */
static char *run(const char *line, uint8_t resp, size_t *len)
{
    struct slice argv[ARGS_MAX];
    int argc = 0;
    for (const char *at = line; *at; argc++) {
        size_t word = strcspn(at, " ");
        argv[argc] = (struct slice){at, word};
        at += word + (at[word] == ' ');
    }
    struct reply reply;
    reply_init(&reply, resp);
    const struct command *container;
    const struct command *row = command_resolve(argv, (size_t)argc, &container);
    assert_non_null(row);
    assert_non_null(row->handler);
    assert_true(command_arity_fits(row, (size_t)argc));
    struct command_context ctx = {.argv = argv, .argc = argc, .command = row, .reply = &reply};
    row->handler(&ctx);
    assert_false(reply.failed);
    size_t capacity;
    return reply_detach(&reply, len, &capacity);
}

/* The reply with spaces for CRLF, as a string to be freed. */
static char *run_shown(const char *line, uint8_t resp)
{
    size_t len;
    char *bytes = run(line, resp, &len), *shown = malloc(len + 1);
    size_t at = 0;
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == '\r') continue;
        shown[at++] = bytes[i] == '\n' ? ' ' : bytes[i];
    }
    shown[at] = 0;
    free(bytes);
    return shown;
}

static void expect(const char *line, uint8_t resp, const char *wanted)
{
    char *shown = run_shown(line, resp);
    if (strcmp(shown, wanted) != 0) fail_msg("RESP%d %s\n%s\nnot\n%s", resp, line, shown, wanted);
    free(shown);
}

static void expect_both(const char *line, const char *wanted)
{
    expect(line, 2, wanted);
    expect(line, 3, wanted);
}

static void info(void **state)
{
    expect("COMMAND INFO command|LIST nosuch command|getkeys", 2,
           "*3 *10 $12 command|list :-2 *2 +loading +stale :0 :0 :0 *2 +@slow +@connection "
           "*1 $29 nondeterministic_output_order *0 *0 $-1 "
           "*10 $15 command|getkeys :-3 *2 +loading +stale :0 :0 :0 *2 +@slow +@connection *0 *0 *0 ");
    expect("COMMAND INFO command|LIST nosuch command|getkeys", 3,
           "*3 *10 $12 command|list :-2 ~2 +loading +stale :0 :0 :0 ~2 +@slow +@connection "
           "~1 $29 nondeterministic_output_order ~0 ~0 _ "
           "*10 $15 command|getkeys :-3 ~2 +loading +stale :0 :0 :0 ~2 +@slow +@connection ~0 ~0 ~0 ");
}

static void docs(void **state)
{
    expect(
        "COMMAND DOCS nosuch command|list", 3,
        "%1 $12 command|list %5 $7 summary $40 List command names, optionally filtered. $5 since $5 7.0.0 "
        "$5 group $6 server $10 complexity $32 O(N), N = commands of the server $9 arguments "
        "*1 %5 $4 name $8 filterby $4 type $5 oneof $5 token $8 FILTERBY $5 flags ~1 +optional $9 arguments "
        "*3 %4 $4 name $11 module-name $4 type $6 string $12 display_text $11 module-name $5 token $6 MODULE "
        "%4 $4 name $8 category $4 type $6 string $12 display_text $8 category $5 token $6 ACLCAT "
        "%4 $4 name $7 pattern $4 type $7 pattern $12 display_text $7 pattern $5 token $7 PATTERN ");
    expect("COMMAND DOCS command|count nosuch", 2,
           "*2 $13 command|count *8 $7 summary $19 Count the commands. $5 since $6 2.8.13 "
           "$5 group $6 server $10 complexity $4 O(1) ");
    expect("COMMAND DOCS nosuch", 2, "*0 ");
    expect("COMMAND DOCS nosuch", 3, "%0 ");
}

static void list(void **state)
{
    expect_both("COMMAND LIST FILTERBY pattern COMMAND|GET*",
                "*2 $15 command|getkeys $23 command|getkeysandflags ");
    expect_both("COMMAND LIST filterby MODULE command", "*0 ");
    expect_both("COMMAND LIST filterby ACLCAT nosuch", "*0 ");
    expect_both("COMMAND LIST filterby nosuch x", "-ERR syntax error ");
    expect_both("COMMAND LIST filterby ACLCAT", "-ERR syntax error ");
    expect_both("COMMAND LIST filterby ACLCAT a b", "-ERR syntax error ");
    char *connection = run_shown("COMMAND LIST FILTERBY ACLCAT Connection", 2);
    assert_non_null(strstr(connection, " $12 command|info "));
    free(connection);
}

static void getkeys_errors(void **state)
{
    expect_both("COMMAND GETKEYS nosuch", "-ERR Invalid command specified ");
    expect_both("COMMAND GETKEYS command nosuch", "-ERR Invalid command specified ");
    expect_both("COMMAND GETKEYS command count", "-ERR The command has no key arguments ");
    expect_both("COMMAND GETKEYSANDFLAGS command", "-ERR The command has no key arguments ");
}

/* Unsupported rows are known to the table, yet no client sees them. */
static void unsupported_commands_are_hidden(void **state)
{
    uint64_t supported = 0;
    for (uint16_t id = 0; id < command_count(); id++) {
        const struct command *row = command_at(id);
        struct slice name = {row->full_name, row->full_name_len};
        bool seen = row->status == COMMAND_SUPPORTED;
        assert_ptr_equal(introspection_find(name), seen ? row : NULL);
        supported += seen && row->container == NULL;
        char line[128];
        snprintf(line, sizeof line, "COMMAND INFO %s", row->full_name);
        char *shown = run_shown(line, 3);
        assert_int_equal(strcmp(shown, "*1 _ ") != 0, seen);
        free(shown);
    }
    assert_int_equal(introspection_count(NULL), supported);
    char wanted[32];
    snprintf(wanted, sizeof wanted, ":%u ", (unsigned)supported);
    expect_both("COMMAND COUNT", wanted);
    snprintf(wanted, sizeof wanted, "*%u *10 $", (unsigned)supported);
    char *all = run_shown("COMMAND", 3);
    assert_memory_equal(all, wanted, strlen(wanted));
    char *same = run_shown("COMMAND INFO", 3);
    assert_string_equal(all, same);
    free(all);
    free(same);
    snprintf(wanted, sizeof wanted, "%%%u $", (unsigned)supported);
    all = run_shown("COMMAND DOCS", 3);
    assert_memory_equal(all, wanted, strlen(wanted));
    free(all);
}

static void help_of_a_container(void **state)
{
    expect_both(
        "COMMAND HELP",
        "*15 +COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are: "
        "+COUNT +    Count the commands. "
        "+DOCS [<command-name> ...] +    Document all or the named commands. "
        "+GETKEYS <command> [<arg> ...] +    List the keys in a complete command line. "
        "+GETKEYSANDFLAGS <command> [<arg> ...] +    List the keys in a complete command line and what is "
        "done to each. "
        "+INFO [<command-name> ...] +    Describe all or the named commands. "
        "+LIST [FILTERBY MODULE <module-name>|ACLCAT <category>|PATTERN <pattern>] "
        "+    List command names, optionally filtered. "
        "+HELP +    Print this help. ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(info),
        cmocka_unit_test(docs),
        cmocka_unit_test(list),
        cmocka_unit_test(getkeys_errors),
        cmocka_unit_test(unsupported_commands_are_hidden),
        cmocka_unit_test(help_of_a_container),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
