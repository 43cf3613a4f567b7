/* What COMMAND's subcommands share: which rows of the command table clients are shown. Pure, any thread. */
#ifndef WEFT_COMMAND_INTROSPECTION_H
#define WEFT_COMMAND_INTROSPECTION_H

#include "command/table.h"

/* The supported command or subcommand ("get", "client|id", any letter case); NULL if there is none. */
const struct command *introspection_find(struct slice name);

/* How many commands (container NULL), or subcommands of a container, are supported. */
uint64_t introspection_count(const struct command *container);

#endif
