/* CONFIG GET, and rename-command. What CONFIG GET shows is the copy of the actor that runs it; CONFIG SET and
 * REWRITE, which concern the whole node, are in shard/config.c. The logic of both is config/. */
#include "command/command.h"

void cmd_config_get(struct command_context *ctx)
{
    struct config_matches matches;
    config_get(ctx->config, ctx->argv + 2, (size_t)ctx->argc - 2, &matches);
    reply_map(ctx->reply, matches.count);
    for (size_t i = 0; i < matches.count; i++) {
        const struct config_match *match = &matches.items[i];
        reply_bulk(ctx->reply, match->name.ptr, match->name.len);
        reply_bulk(ctx->reply, match->value.ptr, match->value.len);
    }
    config_matches_free(&matches);
}

const struct command *command_resolve_renamed(const struct config *config, const struct slice *argv,
                                              size_t argc, const struct command **container)
{
    if (LIKELY(config->rename_count == 0)) return command_resolve(argv, argc, container);
    /* Each rename took a name away and gave another; going back, the newest first, leads to the table's name.
     */
    struct slice words[2] = {argv[0], argc > 1 ? argv[1] : (struct slice){"", 0}};
    for (size_t i = config->rename_count; i-- > 0;) {
        const struct config_rename *rename = &config->renames[i];
        if (rename->to.len && slice_is_word(words[0], rename->to.ptr)) {
            words[0] = (struct slice){rename->from.ptr, rename->from.len};
        } else if (slice_is_word(words[0], rename->from.ptr)) {
            *container = NULL;
            return NULL;
        }
    }
    return command_resolve(words, argc < 2 ? argc : 2, container);
}
