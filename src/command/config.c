/* CONFIG GET. What CONFIG GET shows is the copy of the actor that runs it; CONFIG SET and REWRITE, which
 * concern the whole node, are in shard/config.c. The logic of both is config/. */
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
