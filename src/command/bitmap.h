/* What bitmap.c and bitfield.c share. */
#ifndef WEFT_COMMAND_BITMAP_H
#define WEFT_COMMAND_BITMAP_H

#include "command/command.h"

/* argv[index] as a bit offset within proto-max-bulk-len; with a width also "#n", the n-th integer of that
 * width. Replies the error itself. */
bool bitmap_arg_offset(struct command_context *ctx, int index, int width, uint64_t *offset);

#endif
