/* Which arguments SLOWLOG and MONITOR must not show. Pure. */
#ifndef WEFT_COMMAND_REDACT_H
#define WEFT_COMMAND_REDACT_H

#include "command/table.h"

#define COMMAND_REDACTED "(redacted)"

/* Is argv[index] of this command line a secret (a password, a sensitive directive's value)? */
bool command_arg_is_secret(const struct command *command, const struct slice *argv, int argc, int index);

#endif
