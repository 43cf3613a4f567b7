/* slowlog: the commands of this shard's sessions that took long. Bounded by slowlog-max-len entries of at
 * most 32 arguments of 128 bytes. Ids grow over the whole node. Owned by the shard's thread. */
#ifndef WEFT_SHARD_SLOWLOG_H
#define WEFT_SHARD_SLOWLOG_H

#include "resp/reply.h"
#include "session/session.h"

struct slowlog_entry;

struct slowlog {
    struct slowlog_entry *oldest, *newest;
    uint64_t count;
};

/* Keeps a command line; drops the oldest beyond `max`. */
void slowlog_add(struct slowlog *log, uint64_t id, int64_t time_s, int64_t took_us,
                 const struct session *session, const struct command *command, const struct slice *argv,
                 int argc, uint64_t max);
void slowlog_trim(struct slowlog *log, uint64_t max);
void slowlog_clear(struct slowlog *log);
/* Moves all of `from` into `into`, by id. */
void slowlog_absorb(struct slowlog *into, struct slowlog *from);
/* Writes the newest `max` entries as rows (shard/rows.h), each a reply as SLOWLOG GET shows it. */
void slowlog_write(const struct slowlog *log, uint64_t max, struct reply *out);

#endif
