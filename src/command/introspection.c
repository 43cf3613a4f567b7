/* COMMAND and its subcommands but DOCS (introspection_docs.c), and the HELP of every container: the command
 * table as clients see it.
 *
 * Only supported commands are shown: a client that looks a command up here may call it. Shapes and error
 * texts are those of Redis 8.0 in RESP2 and RESP3; the order of the commands is the table's (by name), which
 * clients must not rely on, since Redis's own is random. Everything is read from constant data: no key, no
 * session. Cost: O(commands shown). Tests: test/unit/command_introspection_test.c,
 * test/blackbox/command_table_test.py. */
#include "command/command.h"
#include "command/introspection.h"

#include "base/check.h"
#include "base/glob.h"

/* ---- which rows a client sees ---- */

const struct command *introspection_find(struct slice name)
{
    const struct command *row = command_lookup_full(name.ptr, name.len);
    return row != NULL && row->status == COMMAND_SUPPORTED ? row : NULL;
}

uint64_t introspection_count(const struct command *container)
{
    const struct command *row = container ? container->subcommands : command_at(0);
    uint16_t count = container ? container->subcommand_count : command_top_count();
    uint64_t supported = 0;
    for (uint16_t i = 0; i < count; i++) supported += row[i].status == COMMAND_SUPPORTED;
    return supported;
}

/* ---- COMMAND INFO ---- */

static void reply_flag_set(struct reply *reply, uint32_t flags, const char *(*name)(unsigned bit))
{
    reply_set(reply, (uint64_t)__builtin_popcount(flags));
    for (; flags; flags &= flags - 1) reply_status(reply, name((unsigned)__builtin_ctz(flags)));
}

static void reply_text_integer(struct reply *reply, const char *name, int64_t value)
{
    reply_bulk_text(reply, name);
    reply_integer(reply, value);
}

/* The head of {"type": kind, "spec": {...}}; the `pairs` of the spec follow. */
static void reply_spec_part(struct reply *reply, const char *part, const char *kind, uint64_t pairs)
{
    reply_bulk_text(reply, part);
    reply_map(reply, 2);
    reply_bulk_text(reply, "type");
    reply_bulk_text(reply, kind);
    reply_bulk_text(reply, "spec");
    reply_map(reply, pairs);
}

static void reply_key_spec(struct reply *reply, const struct command_key_spec *spec)
{
    reply_map(reply, spec->notes ? 4 : 3);
    if (spec->notes) {
        reply_bulk_text(reply, "notes");
        reply_bulk_text(reply, spec->notes);
    }
    reply_bulk_text(reply, "flags");
    reply_flag_set(reply, spec->flags, command_key_flag_name);
    switch ((enum command_begin)spec->begin) {
    case COMMAND_BEGIN_UNKNOWN: reply_spec_part(reply, "begin_search", "unknown", 0); break;
    case COMMAND_BEGIN_INDEX:
        reply_spec_part(reply, "begin_search", "index", 1);
        reply_text_integer(reply, "index", spec->begin_at);
        break;
    case COMMAND_BEGIN_KEYWORD:
        reply_spec_part(reply, "begin_search", "keyword", 2);
        reply_bulk_text(reply, "keyword");
        reply_bulk_text(reply, spec->keyword);
        reply_text_integer(reply, "startfrom", spec->begin_at);
        break;
    }
    switch ((enum command_find)spec->find) {
    case COMMAND_FIND_UNKNOWN: reply_spec_part(reply, "find_keys", "unknown", 0); break;
    case COMMAND_FIND_RANGE:
        reply_spec_part(reply, "find_keys", "range", 3);
        reply_text_integer(reply, "lastkey", spec->find_args[0]);
        reply_text_integer(reply, "keystep", spec->find_args[1]);
        reply_text_integer(reply, "limit", spec->find_args[2]);
        break;
    case COMMAND_FIND_KEYNUM:
        reply_spec_part(reply, "find_keys", "keynum", 3);
        reply_text_integer(reply, "keynumidx", spec->find_args[0]);
        reply_text_integer(reply, "firstkey", spec->find_args[1]);
        reply_text_integer(reply, "keystep", spec->find_args[2]);
        break;
    }
}

static void reply_categories(struct reply *reply, uint32_t categories)
{
    reply_set(reply, (uint64_t)__builtin_popcount(categories));
    for (; categories; categories &= categories - 1) {
        char text[32] = "@";
        strcpy(text + 1, command_category_name((unsigned)__builtin_ctz(categories)));
        reply_status(reply, text);
    }
}

static void reply_info(struct reply *reply, const struct command *row)
{
    reply_array(reply, 10);
    reply_bulk(reply, row->full_name, row->full_name_len);
    reply_integer(reply, row->arity);
    reply_flag_set(reply, row->flags & ((1u << COMMAND_HIDDEN_FIRST) - 1), command_flag_name);
    reply_integer(reply, row->key_first);
    reply_integer(reply, row->key_last);
    reply_integer(reply, row->key_step);
    reply_categories(reply, row->categories);
    reply_set(reply, row->tip_count);
    for (uint8_t i = 0; i < row->tip_count; i++) reply_bulk_text(reply, row->tips[i]);
    reply_set(reply, row->key_spec_count);
    for (uint8_t i = 0; i < row->key_spec_count; i++) reply_key_spec(reply, &row->key_specs[i]);
    /* Redis sends an empty set when there are none, yet an array of them when there are. */
    uint64_t count = row->subcommand_count > 0 ? introspection_count(row) : 0;
    if (count == 0) {
        reply_set(reply, 0);
        return;
    }
    reply_array(reply, count);
    for (uint16_t i = 0; i < row->subcommand_count; i++) {
        if (row->subcommands[i].status == COMMAND_SUPPORTED) reply_info(reply, &row->subcommands[i]);
    }
}

/* COMMAND */
void cmd_command(struct command_context *ctx)
{
    reply_array(ctx->reply, introspection_count(NULL));
    for (uint16_t id = 0; id < command_top_count(); id++) {
        if (command_at(id)->status == COMMAND_SUPPORTED) reply_info(ctx->reply, command_at(id));
    }
}

/* COMMAND COUNT */
void cmd_command_count(struct command_context *ctx)
{
    reply_integer(ctx->reply, (int64_t)introspection_count(NULL));
}

/* COMMAND INFO [name ...] */
void cmd_command_info(struct command_context *ctx)
{
    if (ctx->argc == 2) {
        cmd_command(ctx);
        return;
    }
    reply_array(ctx->reply, (uint64_t)ctx->argc - 2);
    for (int i = 2; i < ctx->argc; i++) {
        const struct command *row = introspection_find(ctx->argv[i]);
        if (row)
            reply_info(ctx->reply, row);
        else
            reply_null(ctx->reply);
    }
}

/* ---- COMMAND LIST ---- */

enum list_filter { FILTER_NONE, FILTER_MODULE, FILTER_CATEGORY, FILTER_PATTERN };

static bool passes(const struct command *row, enum list_filter filter, struct slice arg, uint32_t category)
{
    if (row->status != COMMAND_SUPPORTED) return false;
    switch (filter) {
    case FILTER_NONE: return true;
    case FILTER_MODULE: return false; /* there are no modules */
    case FILTER_CATEGORY: return row->categories & category;
    case FILTER_PATTERN: return glob_match(arg, (struct slice){row->full_name, row->full_name_len}, true);
    }
    CHECK(false);
    return false;
}

/* COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern] */
void cmd_command_list(struct command_context *ctx)
{
    enum list_filter filter = FILTER_NONE;
    struct slice arg = SLICE("");
    uint32_t category = 0;
    if (ctx->argc > 2) {
        if (ctx->argc == 5 && command_arg_is(ctx, 2, "FILTERBY")) {
            if (command_arg_is(ctx, 3, "MODULE"))
                filter = FILTER_MODULE;
            else if (command_arg_is(ctx, 3, "ACLCAT"))
                filter = FILTER_CATEGORY;
            else if (command_arg_is(ctx, 3, "PATTERN"))
                filter = FILTER_PATTERN;
        }
        if (filter == FILTER_NONE) {
            command_error_syntax(ctx);
            return;
        }
        arg = ctx->argv[4];
        category = command_category_find(arg.ptr, arg.len);
    }
    uint64_t count = 0;
    size_t mark = reply_defer(ctx->reply, 100);
    for (uint16_t id = 0; id < command_count(); id++) {
        const struct command *row = command_at(id);
        if (!passes(row, filter, arg, category)) continue;
        reply_bulk(ctx->reply, row->full_name, row->full_name_len);
        count++;
    }
    reply_close_array(ctx->reply, mark, count);
}

/* ---- COMMAND GETKEYS, COMMAND GETKEYSANDFLAGS ---- */

static void reply_keys(struct command_context *ctx, bool with_flags)
{
    const struct slice *argv = ctx->argv + 2;
    size_t argc = (size_t)ctx->argc - 2;
    const struct command *container;
    const struct command *row = command_resolve(argv, argc, &container);
    struct command_keys keys;
    if (row == NULL || row->status != COMMAND_SUPPORTED) {
        reply_error(ctx->reply, "ERR Invalid command specified");
    } else if (!command_has_keys(row)) {
        reply_error(ctx->reply, "ERR The command has no key arguments");
    } else if (!command_arity_fits(row, argc)) {
        reply_error(ctx->reply, "ERR Invalid number of arguments specified for command");
    } else if (!command_keys(row, argv, argc, &keys) || keys.key_count == 0) {
        if (row->flags & COMMAND_NO_MANDATORY_KEYS)
            reply_empty_array(ctx->reply);
        else
            reply_error(ctx->reply, "ERR Invalid arguments specified for command");
    } else {
        reply_array(ctx->reply, keys.key_count);
        for (uint32_t r = 0; r < keys.range_count; r++) {
            const struct command_key_range *range = &keys.range[r];
            for (uint32_t i = 0; i < range->count; i++) {
                if (with_flags) reply_array(ctx->reply, 2);
                reply_bulk_slice(ctx->reply, argv[range->first + i * range->step]);
                if (with_flags) reply_flag_set(ctx->reply, range->flags, command_key_flag_name);
            }
        }
    }
}

/* COMMAND GETKEYS command [arg ...] */
void cmd_command_getkeys(struct command_context *ctx)
{
    reply_keys(ctx, false);
}

/* COMMAND GETKEYSANDFLAGS command [arg ...] */
void cmd_command_getkeysandflags(struct command_context *ctx)
{
    reply_keys(ctx, true);
}

/* ---- HELP ---- */

/* A line that cuts what does not fit. */
struct line {
    char text[512];
    size_t len;
};

static void put(struct line *line, const char *text)
{
    size_t len = strlen(text), room = sizeof line->text - 1 - line->len;
    if (len > room) len = room;
    memcpy(line->text + line->len, text, len);
    line->len += len;
    line->text[line->len] = 0;
}

static void put_upper(struct line *line, const char *text)
{
    size_t at = line->len;
    put(line, text);
    for (; at < line->len; at++) {
        if (line->text[at] >= 'a' && line->text[at] <= 'z') line->text[at] -= 'a' - 'A';
    }
}

static void put_args(struct line *line, const struct command_arg *args, uint8_t count, const char *separator);

/* One argument in the usual notation: TOKEN <name>, a|b, [optional], <name> [<name> ...]. */
static void put_arg(struct line *line, const struct command_arg *arg)
{
    if (arg->flags & COMMAND_ARG_OPTIONAL) put(line, "[");
    if (arg->token) put(line, arg->token[0] ? arg->token : "\"\"");
    if (arg->type != COMMAND_ARG_PURE_TOKEN) {
        if (arg->token) put(line, " ");
        if (arg->arg_count) {
            put_args(line, arg->args, arg->arg_count, arg->type == COMMAND_ARG_ONEOF ? "|" : " ");
        } else {
            put(line, "<");
            put(line, arg->display);
            put(line, ">");
        }
    }
    if (arg->flags & COMMAND_ARG_MULTIPLE) put(line, " ...");
    if (arg->flags & COMMAND_ARG_OPTIONAL) put(line, "]");
}

static void put_args(struct line *line, const struct command_arg *args, uint8_t count, const char *separator)
{
    for (uint8_t i = 0; i < count; i++) {
        if (i > 0) put(line, separator);
        put_arg(line, &args[i]);
    }
}

/* <container> HELP: what the table knows of the supported subcommands. */
void cmd_container_help(struct command_context *ctx)
{
    const struct command *container = ctx->command->container;
    CHECK(container != NULL);
    struct line line = {.len = 0};
    put_upper(&line, container->name);
    put(&line, " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    uint64_t others = introspection_count(container) - 1;
    reply_array(ctx->reply, 1 + 2 * others + 2);
    reply_status(ctx->reply, line.text);
    for (uint16_t i = 0; i < container->subcommand_count; i++) {
        const struct command *sub = &container->subcommands[i];
        if (sub->status != COMMAND_SUPPORTED || sub == ctx->command) continue;
        line.len = 0;
        put_upper(&line, sub->name);
        if (sub->doc->arg_count) put(&line, " ");
        put_args(&line, sub->doc->args, sub->doc->arg_count, " ");
        reply_status(ctx->reply, line.text);
        line.len = 0;
        put(&line, "    ");
        put(&line, sub->doc->summary);
        reply_status(ctx->reply, line.text);
    }
    reply_status(ctx->reply, "HELP");
    reply_status(ctx->reply, "    Print this help.");
}
