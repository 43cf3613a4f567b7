/* The command line and --help.
 *
 *   weft-server [FILE] [-] [--directive value ...]...
 *
 * As Redis reads it: FILE only comes first; '-' means standard input, first or last; an argument that begins
 * with
 * "--" is a directive if the one before has got a value already, else it is that one's value; a directive and
 * its value may come as one argument ("--port 7000"); "--save" without a value means "". The directives
 * become lines of a file, so that there is one parser. Pure. Tests: test/unit/config_file_test.c.
 */
#include "config/config.h"

#include <stdio.h>

#include "base/check.h"
#include "config/config_table.h"
#include "config/config_text.h"

static bool is_option(const char *argument)
{
    return argument[0] == '-' && argument[1] == '-';
}

/* A directive's name; true if it still needs a value. */
static bool put_directive(struct config_text *options, const char *argument, const char *next)
{
    struct config_words words;
    if (options->len) config_text_append(options, SLICE("\n"));
    config_text_format(options, "%s ", argument + 2);
    bool split = config_words_split(config_slice(argument), &words);
    bool needs_value = split && words.count == 1;
    if (split) config_words_free(&words);
    if (!needs_value) return false;
    if (!config_name_equal(config_slice(argument), SLICE("--save"))) return true;
    if (next && !is_option(next)) return true;
    config_text_append(options, SLICE("\"\""));
    return false;
}

void config_arguments_parse(struct config_arguments *arguments, int argc, char *const *argv)
{
    memset(arguments, 0, sizeof(*arguments));
    arguments->action = CONFIG_RUN;
    config_text_init(&arguments->options);
    if (argc < 2) return;
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) arguments->action = CONFIG_SHOW_HELP;
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-v")) arguments->action = CONFIG_SHOW_VERSION;
    if (arguments->action != CONFIG_RUN) return;
    int i = 1;
    if (argv[1][0] != '-') arguments->file = argv[i++];
    bool needs_value = false;
    for (; i < argc; i++) {
        if (!strcmp(argv[i], "-") && (i == 1 || i == argc - 1)) {
            arguments->from_stdin = true;
        } else if (!needs_value && is_option(argv[i])) {
            needs_value = put_directive(&arguments->options, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
        } else {
            config_text_append_quoted(&arguments->options, config_slice(argv[i]));
            config_text_append(&arguments->options, SLICE(" "));
            needs_value = false;
        }
    }
}

void config_arguments_free(struct config_arguments *arguments)
{
    config_text_free(&arguments->options);
}

/* ---- --help ---- */

static void help_type(const struct config_row *row, struct config_text *out)
{
    switch (row->kind) {
    case CONFIG_KIND_BOOL: config_text_append(out, SLICE("yes|no")); break;
    case CONFIG_KIND_INT: config_text_append(out, SLICE("NUMBER")); break;
    case CONFIG_KIND_MEMORY: config_text_append(out, SLICE("BYTES")); break;
    case CONFIG_KIND_MEMORY_OR_PERCENT: config_text_append(out, SLICE("BYTES|PERCENT%")); break;
    case CONFIG_KIND_OCTAL: config_text_append(out, SLICE("MODE")); break;
    case CONFIG_KIND_ENUM:
        for (const struct config_name *name = row->values; name->name; name++)
            config_text_format(out, "%s%s", name == row->values ? "" : "|", name->name);
        break;
    case CONFIG_KIND_STRING: config_text_append(out, SLICE("TEXT")); break;
    default: config_text_append(out, SLICE("WORDS"));
    }
}

static void help_row(const struct config_row *row, struct config_text *out)
{
    struct config_text head;
    config_text_init(&head);
    config_text_format(&head, "  --%s ", row->name);
    help_type(row, &head);
    config_text_format(out, "%-42s%s%s", head.ptr,
                       head.len >= 42 ? "\n                                          " : "", row->help);
    config_text_free(&head);
    if (row->kind != CONFIG_KIND_FILE)
        config_text_format(out, " [%s]", row->initial[0] ? row->initial : "\"\"");
    if (row->alias) config_text_format(out, " Also: %s.", row->alias);
    if (row->state == CONFIG_IDLE) config_text_append(out, SLICE(" No effect here."));
    if (row->state == CONFIG_PENDING) config_text_append(out, SLICE(" Not supported yet."));
    config_text_append(out, SLICE("\n"));
}

char *config_help_text(void)
{
    struct config_text out;
    config_text_init(&out);
    config_text_append(
        &out, SLICE("weft-server: a sharded cache server that speaks Redis's protocol\n\n"
                    "Usage: weft-server [FILE] [-] [--DIRECTIVE VALUE...]...\n"
                    "       weft-server --help | --version\n\n"
                    "FILE is a configuration file in redis.conf's format; '-' reads more of it from\n"
                    "standard input; what the command line says counts last.\n\n"
                    "Examples:\n"
                    "  weft-server                              serves on port 6379\n"
                    "  weft-server --port 7000 --shards 4\n"
                    "  weft-server /etc/weft/weft.conf --maxmemory 2gb\n"
                    "  echo 'maxmemory 1gb' | weft-server -\n"));
    const char *group = "";
    for (size_t i = 0; i < config_row_count; i++) {
        const struct config_row *row = &config_rows[i];
        if (strcmp(group, row->group)) config_text_format(&out, "\nDirectives: %s\n", row->group);
        group = row->group;
        help_row(row, &out);
    }
    return out.ptr;
}
