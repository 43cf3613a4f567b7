/* client: what the CLIENT family shows of a session. */
#ifndef WEFT_SESSION_CLIENT_H
#define WEFT_SESSION_CLIENT_H

#include "session/session.h"

/* Appends the session's line of CLIENT LIST, with its line end. `running` is the command it runs now and
 * `argv_bytes` the bytes of its arguments (NULL and 0: it runs none). `now_us`: wall clock. `shard`: where it
 * lives. */
void client_describe(struct reply *out, const struct session *session, const struct command *running,
                     uint64_t argv_bytes, int64_t now_us, uint16_t shard);

/* Types of clients as CLIENT LIST TYPE and CLIENT KILL TYPE name them. Masters and replicas are known but not
 * had. */
enum client_type {
    CLIENT_TYPE_NORMAL,
    CLIENT_TYPE_REPLICA,
    CLIENT_TYPE_MASTER,
    CLIENT_TYPE_PUBSUB,
    CLIENT_TYPE_NONE
};
enum client_type client_type_named(struct slice name); /* CLIENT_TYPE_NONE: no such type */
enum client_type client_type(const struct session *session);

#endif
