/* COMMAND DOCS: the documentation in the command table, in the shape of Redis 8.0. The sentences are weft's
 * own. Tests: test/unit/command_introspection_test.c, test/blackbox/command_table_test.py. */
#include "command/command.h"
#include "command/introspection.h"

static void reply_text(struct reply *reply, const char *name, const char *text)
{
    reply_bulk_text(reply, name);
    reply_bulk_text(reply, text);
}

static void reply_args(struct reply *reply, const struct command_arg *args, uint8_t count);

static void reply_arg(struct reply *reply, const struct command_arg *arg)
{
    static const char *const flag_names[] = {"optional", "multiple", "multiple_token"};
    uint64_t pairs = 2;
    pairs += arg->display != NULL;
    pairs += arg->key_spec >= 0;
    pairs += arg->token != NULL;
    pairs += arg->since != NULL;
    pairs += arg->deprecated_since != NULL;
    pairs += arg->flags != 0;
    pairs += arg->arg_count > 0;
    reply_map(reply, pairs);
    reply_text(reply, "name", arg->name);
    reply_text(reply, "type", command_arg_type_name(arg->type));
    if (arg->display) reply_text(reply, "display_text", arg->display);
    if (arg->key_spec >= 0) {
        reply_bulk_text(reply, "key_spec_index");
        reply_integer(reply, arg->key_spec);
    }
    if (arg->token) reply_text(reply, "token", arg->token);
    if (arg->since) reply_text(reply, "since", arg->since);
    if (arg->deprecated_since) reply_text(reply, "deprecated_since", arg->deprecated_since);
    if (arg->flags) {
        reply_bulk_text(reply, "flags");
        reply_set(reply, (uint64_t)__builtin_popcount(arg->flags));
        for (unsigned flags = arg->flags; flags; flags &= flags - 1) {
            reply_status(reply, flag_names[__builtin_ctz(flags)]);
        }
    }
    if (arg->arg_count > 0) {
        reply_bulk_text(reply, "arguments");
        reply_args(reply, arg->args, arg->arg_count);
    }
}

static void reply_args(struct reply *reply, const struct command_arg *args, uint8_t count)
{
    reply_array(reply, count);
    for (uint8_t i = 0; i < count; i++) reply_arg(reply, &args[i]);
}

static void reply_history(struct reply *reply, const struct command_doc *doc)
{
    reply_bulk_text(reply, "history");
    reply_set(reply, doc->history_count);
    for (uint8_t i = 0; i < doc->history_count; i++) {
        reply_array(reply, 2);
        reply_bulk_text(reply, doc->history[i].version);
        reply_bulk_text(reply, doc->history[i].change);
    }
}

static void reply_docs(struct reply *reply, const struct command *row)
{
    const struct command_doc *doc = row->doc;
    bool deprecated = doc->deprecated_since != NULL;
    uint64_t subcommands = row->subcommand_count > 0 ? introspection_count(row) : 0;
    uint64_t pairs = 4;
    pairs += deprecated || doc->syscmd;
    pairs += deprecated;
    pairs += doc->replaced_by != NULL;
    pairs += doc->history_count > 0;
    pairs += doc->arg_count > 0;
    pairs += subcommands > 0;
    reply_map(reply, pairs);
    reply_text(reply, "summary", doc->summary);
    reply_text(reply, "since", doc->since);
    reply_text(reply, "group", doc->group);
    reply_text(reply, "complexity", doc->complexity);
    if (deprecated || doc->syscmd) {
        reply_bulk_text(reply, "doc_flags");
        reply_set(reply, (uint64_t)deprecated + doc->syscmd);
        if (deprecated) reply_status(reply, "deprecated");
        if (doc->syscmd) reply_status(reply, "syscmd");
    }
    if (deprecated) reply_text(reply, "deprecated_since", doc->deprecated_since);
    if (doc->replaced_by) reply_text(reply, "replaced_by", doc->replaced_by);
    if (doc->history_count > 0) reply_history(reply, doc);
    if (doc->arg_count > 0) {
        reply_bulk_text(reply, "arguments");
        reply_args(reply, doc->args, doc->arg_count);
    }
    if (subcommands == 0) return;
    reply_bulk_text(reply, "subcommands");
    reply_map(reply, subcommands);
    for (uint16_t i = 0; i < row->subcommand_count; i++) {
        const struct command *sub = &row->subcommands[i];
        if (sub->status != COMMAND_SUPPORTED) continue;
        reply_bulk(reply, sub->full_name, sub->full_name_len);
        reply_docs(reply, sub);
    }
}

/* COMMAND DOCS [name ...]: unknown names are left out. */
void cmd_command_docs(struct command_context *ctx)
{
    if (ctx->argc == 2) {
        reply_map(ctx->reply, introspection_count(NULL));
        for (uint16_t id = 0; id < command_top_count(); id++) {
            const struct command *row = command_at(id);
            if (row->status != COMMAND_SUPPORTED) continue;
            reply_bulk(ctx->reply, row->full_name, row->full_name_len);
            reply_docs(ctx->reply, row);
        }
        return;
    }
    uint64_t count = 0;
    for (int i = 2; i < ctx->argc; i++) count += introspection_find(ctx->argv[i]) != NULL;
    reply_map(ctx->reply, count);
    for (int i = 2; i < ctx->argc; i++) {
        const struct command *row = introspection_find(ctx->argv[i]);
        if (row == NULL) continue;
        reply_bulk(ctx->reply, row->full_name, row->full_name_len);
        reply_docs(ctx->reply, row);
    }
}
