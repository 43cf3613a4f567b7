/* What the files of the hash family share. A field whose deadline has passed is dead for every reader from
 * that moment on; it is taken out by active expiry, or here by the first command that asks for it by name. */
#ifndef WEFT_COMMAND_HASH_H
#define WEFT_COMMAND_HASH_H

#include "command/command.h"
#include "store/mutate_hash.h"

/* The time against which deadlines are held. */
int64_t hash_now_ms(const struct command_context *ctx);
/* True: the field is there and alive (the entry may be absent). */
bool hash_peek(const struct command_context *ctx, const struct entry *entry, struct slice field,
               struct hash_field *out);
/* The same; a dead field is taken out, and with the last one the key goes. */
bool hash_get(struct command_context *ctx, struct entry *entry, struct slice field, struct hash_field *out);
/* Takes all due fields out, however many (unless they have to stay for now). */
void hash_drop_due(struct command_context *ctx, struct entry *entry);

#endif
