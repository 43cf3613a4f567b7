/* Configuration files and command lines: precedence, includes, rename-command, save lines, notes, and the
 * message of every way to fail. Files live in a table here; the loader never touches a disk. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "config/config_table.h"
#include "config/config_text.h"

struct files {
    struct {
        const char *path, *text;
    } rows[8];
    char notes[4096];
};

static char *load_from_table(void *context, const char *path, size_t *len, const char **reason)
{
    struct files *files = context;
    for (size_t i = 0; i < 8 && files->rows[i].path; i++) {
        if (strcmp(files->rows[i].path, path)) continue;
        *len = strlen(files->rows[i].text);
        return strdup(files->rows[i].text);
    }
    *reason = "No such file or directory";
    return NULL;
}

/* Only "*.conf" in a folder. */
static bool glob_in_table(void *context, const char *pattern, char ***names, size_t *count)
{
    struct files *files = context;
    size_t folder = (size_t)(strchr(pattern, '*') - pattern);
    *names = calloc(8, sizeof(char *));
    *count = 0;
    for (size_t i = 0; i < 8 && files->rows[i].path; i++)
        if (!strncmp(files->rows[i].path, pattern, folder))
            (*names)[(*count)++] = strdup(files->rows[i].path);
    return true;
}

static const char *judge_rename(void *context, struct slice from, struct slice to)
{
    return slice_equal(from, SLICE("nosuch")) ? "No such command in rename-command" : NULL;
}

static void take_note(void *context, const char *sentence)
{
    struct files *files = context;
    strcat(files->notes, sentence);
    strcat(files->notes, "\n");
}

/* Loads `arguments` (NULL-terminated, without the program's name) over `files`; NULL or what went wrong. */
static const char *load(struct config *config, struct files *files, const char *stdin_text,
                        const char *const *words)
{
    static char fatal[CONFIG_FATAL_MAX];
    char *argv[32] = {(char *)(uintptr_t) "weft-server"};
    int argc = 1;
    while (words && words[argc - 1]) {
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
        argc++;
    }
    struct config_loader loader = {files, load_from_table, glob_in_table, judge_rename, take_note};
    struct config_arguments arguments;
    config_arguments_parse(&arguments, argc, argv);
    assert_int_equal(arguments.action, CONFIG_RUN);
    config_init(config);
    bool loaded = config_load(config, &arguments, config_slice(stdin_text), &loader, fatal);
    config_arguments_free(&arguments);
    return loaded ? NULL : fatal;
}

static void expect(const struct config *config, const char *name, const char *value)
{
    struct config_text text;
    assert_true(config_get_one(config, config_slice(name), &text));
    assert_string_equal(text.ptr, value);
    config_text_free(&text);
}

static void last_word_counts(void **state)
{
    struct files files = {{{"a.conf", "# comment\n\n  port 1\nTIMEOUT 5\r\nhz 20\nloglevel \"warning\""}},
                          ""};
    const char *words[] = {"a.conf", "-", "--hz", "40", NULL};
    struct config config;
    /* '-' counts only as the first or the last word. */
    const char *stdin_words[] = {"a.conf", "--hz", "40", "-", NULL};
    assert_null(load(&config, &files, "port 2\nhz 30\n", stdin_words));
    expect(&config, "port", "2");
    expect(&config, "timeout", "5");
    expect(&config, "hz", "40");
    expect(&config, "loglevel", "warning");
    assert_string_equal(config.file.ptr, "a.conf");
    config_free(&config);
    assert_non_null(load(&config, &files, "", words));
    config_free(&config);
    assert_null(load(&config, &files, "", NULL));
    expect(&config, "port", "6379");
    assert_string_equal(config.file.ptr, "");
    config_free(&config);
}

static void includes(void **state)
{
    struct files files = {{{"main.conf", "port 1\ninclude sub.conf\nhz 30\ndir /etc/weft\ninclude more.conf\n"
                                         "include conf.d/*.conf\ninclude none.d/*.conf\n"},
                           {"sub.conf", "port 2\nhz 20\n"},
                           {"/etc/weft/more.conf", "timeout 7\n"},
                           {"/etc/weft/conf.d/1.conf", "databases 3\nmaxclients 1\n"},
                           {"/etc/weft/conf.d/2.conf", "maxclients 2\n"}},
                          ""};
    const char *words[] = {"main.conf", NULL};
    struct config config;
    const char *why = load(&config, &files, "", words);
    if (why) print_error("%s\n", why);
    assert_null(why);
    expect(&config, "port", "2");
    expect(&config, "hz", "30");
    expect(&config, "timeout", "7");
    expect(&config, "databases", "3");
    expect(&config, "maxclients", "2");
    config_free(&config);
}

static void renames(void **state)
{
    struct files files = {{{"a", "rename-command CONFIG secret\nrename-command FLUSHALL \"\"\n"}}, ""};
    const char *words[] = {"a", NULL};
    struct config config, copy;
    assert_null(load(&config, &files, "", words));
    config_copy(&copy, &config);
    config_free(&config);
    assert_int_equal(copy.rename_count, 2);
    assert_string_equal(copy.renames[0].from.ptr, "CONFIG");
    assert_string_equal(copy.renames[0].to.ptr, "secret");
    assert_string_equal(copy.renames[1].to.ptr, "");
    config_free(&copy);
}

/* The Tcl suite's cases, and more. */
static void saves(void **state)
{
    static const struct {
        const char *text, *words[8], *shown;
    } rows[] = {
        {"", {NULL}, "3600 1 300 100 60 10000"},
        {"save 100 100", {NULL}, "100 100"},
        {"save 1 2\nsave 3 4 5 6", {NULL}, "1 2 3 4 5 6"},
        {"save 1 2\nsave \"\"", {NULL}, ""},
        {"save ''\nsave 3 4", {NULL}, "3 4"},
        {"save \"900 1 300 10\"", {NULL}, "900 1 300 10"},
        {"save 900 1", {"--save", "100", "100", NULL}, "900 1 100 100"},
        {"save 900 1", {"--save", "", NULL}, ""},
        {"save 900 1", {"--save", NULL}, ""},
        {"save 900 1", {"--save", "--loglevel", "verbose", NULL}, ""},
        {"", {"--loglevel", "verbose", "--save", NULL}, ""},
        {"", {"--proc-title-template", "--save", "--save", "", "--loglevel", "verbose", NULL}, ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct files files = {{{"f", rows[i].text}}, ""};
        const char *words[10] = {"f"};
        for (int w = 0; rows[i].words[w]; w++) words[w + 1] = rows[i].words[w];
        struct config config;
        const char *why = load(&config, &files, "", words);
        if (why) print_error("row %zu: %s\n", i, why);
        assert_null(why);
        expect(&config, "save", rows[i].shown);
        config_free(&config);
    }
}

static void command_lines(void **state)
{
    static const struct {
        const char *words[8], *name, *value; /* name NULL: refused, the message contains `value` */
    } rows[] = {
        {{"--maxmemory 700mb", "--maxmemory-policy volatile-lru"}, "maxmemory", "734003200"},
        {{"--maxmemory '700mb'"}, "maxmemory", "734003200"},
        {{"--PORT", "7"}, "port", "7"},
        {{"--proc-title-template", "--{title}", "--loglevel", "debug"}, "proc-title-template", "--{title}"},
        {{"--shutdown-on-sigint", "nosave", "force", "now"}, "shutdown-on-sigint", "nosave now force"},
        {{"--shutdown-on-sigint", "nosave force"}, "shutdown-on-sigint", "nosave force"},
        {{"--bind", "127.0.0.1", "::1"}, "bind", "127.0.0.1 ::1"},
        {{"--requirepass", "a b\"\n"}, "requirepass", "a b\"\n"},
        {{"--include", "x", "--port", "9"}, "port", "9"},
        {{"--invalid"}, NULL, ">>> 'invalid'\nBad directive or wrong number of arguments"},
        {{"--port"}, NULL, ">>> 'port'\nwrong number of arguments"},
        {{"--port", "6380", "--loglevel"},
         NULL,
         "at line 2 of the command line\n>>> 'loglevel'\nwrong number"},
        {{"--port", "6379", "6380"}, NULL, ">>> 'port \"6379\" \"6380\"'\nwrong number of arguments"},
        {{"--port", "--loglevel", "verbose"}, NULL, ">>> 'port \"--loglevel\" \"verbose\"'\nwrong number"},
        {{"--port", "--bla", "--loglevel", "verbose"},
         NULL,
         ">>> 'port \"--bla\"'\nargument couldn't be parsed"},
        {{"--shutdown-on-sigint"}, NULL, "'shutdown-on-sigint'\nargument(s) must be one of the following"},
        {{"--replicaof", "127.0.0.1", "abc"}, NULL, "'replicaof \"127.0.0.1\" \"abc\"'\nInvalid master port"},
        {{"--replicaof", "--127.0.0.1", "--abc"},
         NULL,
         "'replicaof \"--127.0.0.1\"'\nwrong number of arguments"},
        {{"--replicaof", "127.0.0.1", "6379"}, NULL, "replication is not implemented yet"},
        {{"--replicaof", "no", "one"}, "replicaof", ""},
        {{"--appendonly", "yes"}, NULL, ">>> 'appendonly \"yes\"'\ndurability is not implemented yet"},
    };
    struct files files = {{{"x", "port 8"}}, ""};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct config config;
        const char *why = load(&config, &files, "", rows[i].words);
        if (rows[i].name) {
            if (why) print_error("row %zu: %s\n", i, why);
            assert_null(why);
            expect(&config, rows[i].name, rows[i].value);
        } else {
            assert_non_null(why);
            if (!strstr(why, rows[i].value)) print_error("row %zu: %s\n", i, why);
            assert_non_null(strstr(why, rows[i].value));
        }
        config_free(&config);
    }
}

static void other_actions(void **state)
{
    static const struct {
        const char *word;
        enum config_action action;
    } rows[] = {{"--help", CONFIG_SHOW_HELP},
                {"-h", CONFIG_SHOW_HELP},
                {"--version", CONFIG_SHOW_VERSION},
                {"-v", CONFIG_SHOW_VERSION}};
    for (size_t i = 0; i < 4; i++) {
        char *argv[] = {(char *)(uintptr_t) "weft-server", (char *)(uintptr_t)rows[i].word};
        struct config_arguments arguments;
        config_arguments_parse(&arguments, 2, argv);
        assert_int_equal(arguments.action, rows[i].action);
        config_arguments_free(&arguments);
    }
    char *help = config_help_text();
    for (size_t i = 0; i < config_row_count; i++) {
        char wanted[80];
        snprintf(wanted, sizeof(wanted), "\n  --%s ", config_rows[i].name);
        if (!strstr(help, wanted)) fail_msg("--help does not name %s", config_rows[i].name);
    }
    free(help);
}

static void failures(void **state)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"port 1\n\nfoo bar\n", "\n*** FATAL CONFIG FILE ERROR (weft) ***\n"
                                "Reading the configuration file, at line 3 of 'f'\n"
                                ">>> 'foo bar'\n"
                                "Bad directive or wrong number of arguments"},
        {"include", "at line 1 of 'f'\n>>> 'include'\nBad directive or wrong number of arguments"},
        {"rename-command a", "Bad directive or wrong number of arguments"},
        {"rename-command nosuch x", ">>> 'rename-command nosuch x'\nNo such command in rename-command"},
        {"include missing", "Fatal error, can't open config file 'missing': No such file or directory"},
        {"include sub", "Reading the configuration file, at line 2 of 'sub'\n>>> 'hz x'\nargument couldn't"},
        {"include f", "more than 256 files, or 16 deep"},
        {"requirepass \"abc", "Unbalanced quotes in configuration line"},
        {"port 6379 x", "wrong number of arguments"},
        {"port\t", "wrong number of arguments"},
        {"save 1", "Invalid save parameters"},
        {"shutdown-on-sigterm \"'now\"", "Unbalanced quotes in configuration line"},
        {"loadmodule /x.so", "weft loads no modules"},
        {"graph.threads 5", "weft loads no modules"},
        {"user alice on", "access control lists are not implemented yet"},
        {"aclfile /etc/acl", "access control lists are not implemented yet"},
        {"sentinel monitor a", "sentinel directive while not in sentinel mode"},
        {"cluster-enabled yes", "cluster mode is not implemented yet"},
        {"unixsocketperm 999", "argument couldn't be parsed as an octal number"},
        {"unixsocketperm 1000", "argument must be between 0 and 777 inclusive"},
        {"foo \x1b[31m\n", ">>> 'foo ?[31m'"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct files files = {{{"f", rows[i].text}, {"sub", "port 1\nhz x"}}, ""};
        const char *words[] = {"f", NULL};
        struct config config;
        const char *why = load(&config, &files, "", words);
        assert_non_null(why);
        if (!strstr(why, rows[i].message)) fail_msg("row %zu: %s", i, why);
        config_free(&config);
    }
    struct files files = {{{NULL, NULL}}, ""};
    const char *words[] = {"nofile", NULL};
    struct config config;
    assert_string_equal(load(&config, &files, "", words),
                        "Fatal error, can't open config file 'nofile': No such file or directory");
    config_free(&config);
    struct config_loader loader = {0};
    struct config_arguments arguments;
    char fatal[CONFIG_FATAL_MAX];
    config_arguments_parse(&arguments, 0, NULL);
    config_text_set(&arguments.options, (struct slice){"hz 1\0 2", 7});
    config_init(&config);
    assert_false(config_load(&config, &arguments, SLICE(""), &loader, fatal));
    assert_non_null(strstr(fatal, "NUL byte in configuration line"));
    config_free(&config);
    config_arguments_free(&arguments);
}

static void tells_what_has_no_effect(void **state)
{
    struct files files = {{{"f", "rdbcompression yes\nio-threads 4\nappendfsync everysec\nmaxmemory 1mb\n"
                                 "io-threads-do-reads yes\n"}},
                          ""};
    const char *words[] = {"f", NULL};
    struct config config;
    assert_null(load(&config, &files, "", words));
    assert_string_equal(files.notes,
                        "io-threads has no effect here because each shard does its own; see shards\n"
                        "io-threads-do-reads has no effect here because each shard does its own; see "
                        "shards\n"
                        "2 directives given with their default values have no effect here\n");
    config_free(&config);
}

/* A file with every directive at its default, as stock files have them, gives the defaults. */
static void stock_file(void **state)
{
    struct config_text text;
    config_text_init(&text);
    for (size_t i = 0; i < config_row_count; i++) {
        const struct config_row *row = &config_rows[i];
        if (row->kind == CONFIG_KIND_FILE) continue;
        config_text_format(&text, "# %s\n%s ", row->help, row->name);
        bool is_list = (row->flags & CONFIG_FLAG_MULTI) && row->initial[0];
        if (is_list)
            config_text_append(&text, config_slice(row->initial));
        else
            config_text_append_quoted(&text, config_slice(row->initial));
        config_text_append(&text, SLICE("\n\n"));
    }
    struct files files = {{{"stock", text.ptr}}, ""};
    const char *words[] = {"stock", NULL};
    struct config config;
    const char *why = load(&config, &files, "", words);
    if (why) print_error("%s\n", why);
    assert_null(why);
    for (size_t i = 0; i < config_row_count; i++)
        if (config_rows[i].kind != CONFIG_KIND_FILE)
            assert_true(config_row_is_default(&config, &config_rows[i]));
    config_free(&config);
    config_text_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(last_word_counts), cmocka_unit_test(includes),
        cmocka_unit_test(renames),          cmocka_unit_test(saves),
        cmocka_unit_test(command_lines),    cmocka_unit_test(other_actions),
        cmocka_unit_test(failures),         cmocka_unit_test(tells_what_has_no_effect),
        cmocka_unit_test(stock_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
