/* What commands of cluster mode answer: there is none yet, so each does what it does on a Redis with
 * `cluster-enabled no`. Clients ask (redis-cli sends READONLY before it iterates) and go on when they read
 * exactly this. The rows with status "standalone" in the command table call it. Test:
 * test/blackbox/server_commands_test.py. */
#include "command/command.h"

void cmd_without_cluster_mode(struct command_context *ctx)
{
    reply_error(ctx->reply, "ERR This instance has cluster support disabled");
}
