/* What the files of the list family share. */
#ifndef WEFT_COMMAND_LIST_H
#define WEFT_COMMAND_LIST_H

#include "command/command.h"
#include "store/mutate_list.h"

/* An array of the elements [from, from + n), in reverse order with `backward`. */
void list_reply_range(struct reply *reply, const struct value *list, uint32_t from, uint32_t n,
                      bool backward);
/* Takes up to `count` elements off an end and replies them as an array, the outermost one first. */
void list_pop_reply(struct command_context *ctx, struct entry *entry, enum list_end end, int64_t count);
/* Redis's reading of a pair of indices, negative ones from the end, both included; false: nothing is between
 * them. */
bool list_clamp_range(int64_t start, int64_t stop, uint32_t count, uint32_t *from, uint32_t *n);

#endif
