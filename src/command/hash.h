/* What the files of the hash family share. Fields whose deadline has passed are taken out when a command
 * opens the hash, a bounded number at a time; what is due beyond that is there but hidden: read with
 * hash_get(). */
#ifndef WEFT_COMMAND_HASH_H
#define WEFT_COMMAND_HASH_H

#include "command/command.h"
#include "store/mutate_hash.h"

/* Opens the hash at argv[index], for writing or for reading (which counts hit or miss). False after the
 * WRONGTYPE error was replied. An absent key has entry->item NULL. */
bool hash_open(struct command_context *ctx, int index, struct entry *entry);
bool hash_open_read(struct command_context *ctx, int index, struct entry *entry);
/* The time against which deadlines are held. */
int64_t hash_now_ms(const struct command_context *ctx);
/* True: the field is there and not due (entry may be absent). */
bool hash_get(const struct command_context *ctx, const struct entry *entry, struct slice field,
              struct hash_field *out);
/* The same before the field is written: one that is due goes, so that the new one inherits nothing. */
bool hash_get_to_write(struct command_context *ctx, struct entry *entry, struct slice field,
                       struct hash_field *out);
/* Takes all due fields out, however many (unless they have to stay for now). */
void hash_drop_due(struct command_context *ctx, struct entry *entry);

#endif
