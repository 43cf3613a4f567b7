/* Secrets in command lines; see redact.h. Tests: test/blackbox/server_commands_test.py. */
#include "command/redact.h"

#include "command/command.h"

/* HELLO [version [AUTH user password] [SETNAME name]]: the two words behind AUTH. */
static bool is_secret_of_hello(const struct slice *argv, int argc, int index)
{
    for (int i = 2; i < argc; i++) {
        if (slice_is_word(argv[i], "auth") && i + 2 < argc) {
            if (index == i + 1 || index == i + 2) return true;
            i += 2;
        } else {
            i++; /* SETNAME and its name */
        }
    }
    return false;
}

bool command_arg_is_secret(const struct command *command, const struct slice *argv, int argc, int index)
{
    if (LIKELY(command->handler != cmd_auth && command->handler != cmd_hello &&
               command->handler != cmd_config_set && !(command->categories & COMMAND_CATEGORY_ADMIN)))
        return false;
    if (command->handler == cmd_auth) return index >= 1;
    if (command->handler == cmd_hello) return is_secret_of_hello(argv, argc, index);
    if (command->handler == cmd_config_set)
        return index >= 3 && index % 2 == 1 && config_is_sensitive(argv[index - 1]);
    bool is_acl = command->container && strcmp(command->container->name, "acl") == 0;
    return is_acl && index >= 2 &&
           (strcmp(command->name, "setuser") == 0 || strcmp(command->name, "deluser") == 0 ||
            strcmp(command->name, "getuser") == 0);
}
