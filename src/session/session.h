/* session: one client on the shard that serves it: input, replies in order, who it is, its transaction, its
 * watches.
 *
 * Input:  bytes of a turn stay in io's buffers and are parsed there. What cannot be finished in the turn
 * (half a command, or commands behind one that has to wait) is copied to `tail`, and the parser starts again
 * from there. Output: `out` is what may be sent next. A command that runs on another shard leaves a `pending`
 * behind; whatever the session is answered after it gathers in that pending until the reply has come, so
 * replies keep their order.
 *
 *         out | pending 1: [remote reply] after 1 | pending 2: [remote reply] after 2 | ...
 *
 * A session is touched by its shard's thread only. It may be freed when nothing on other shards refers to it:
 * no batch item in flight, no borrow, no scatter (session_is_quiet), and io has said IO_CLOSED.
 *
 * Invariants: S1 a blocked session executes nothing. S2 pending is empty or its head is not answered yet.
 * S3 while `sending` is set, those bytes are io's and do not move.
 */
#ifndef WEFT_SESSION_SESSION_H
#define WEFT_SESSION_SESSION_H

#include "command/command.h"
#include "io/io.h"
#include "resp/parser.h"
#include "session/bitmap.h"

enum session_block {
    SESSION_RUNNING,
    SESSION_WAITS_REPLIES,   /* an earlier command runs on another shard and this one must come after it */
    SESSION_WAITS_PARTITION, /* a partition of its own shard is lent */
    SESSION_WAITS_BORROW,    /* partitions of other shards are on their way */
    SESSION_WAITS_SCATTER,   /* other shards are asked */
    SESSION_WAITS_CREDIT,    /* a mailbox is full */
    SESSION_WAITS_MEMORY,    /* other shards are evicting */
    SESSION_WAITS_PAUSE,     /* CLIENT PAUSE */
    SESSION_WAITS_RESHARD,   /* CONFIG SET shards, by this or another session */
};

enum session_flag {
    SESSION_AUTHENTICATED = 1 << 0,
    SESSION_CLOSE_AFTER_REPLY = 1 << 1,
    SESSION_CLOSING = 1 << 2, /* io_close was called or the peer is gone */
    SESSION_CLOSED = 1 << 3,  /* IO_CLOSED came: freed as soon as it is quiet */
    SESSION_MONITOR = 1 << 4,
    SESSION_NO_EVICT = 1 << 5,
    SESSION_NO_TOUCH = 1 << 6,
    SESSION_REPLY_OFF = 1 << 7,
    SESSION_REPLY_SKIP = 1 << 8,      /* the command that runs now is not answered */
    SESSION_REPLY_SKIP_NEXT = 1 << 9, /* CLIENT REPLY SKIP */
    SESSION_UNIX = 1 << 10,
    SESSION_READY = 1 << 11,         /* in its shard's ready list */
    SESSION_OUTPUT = 1 << 12,        /* in its shard's output list */
    SESSION_MOVING = 1 << 13,        /* on its way to another shard */
    SESSION_PEER_END = 1 << 14,      /* the peer sent FIN; close when its commands are answered */
    SESSION_MONITOR_SOON = 1 << 15,  /* MONITOR is not answered yet */
    SESSION_RESHARDS = 1 << 16,      /* its CONFIG SET shards is under way and not answered yet */
    SESSION_CLOSING_LARGE = 1 << 17, /* counts in its shard's closing_large */
};

struct session_pending {
    struct session_pending *next;
    struct reply remote, after;
    uint32_t waiting; /* replies still to come */
    uint16_t shard;   /* where from */
    bool discard;     /* CLIENT REPLY OFF or SKIP */
};

/* A queued command of MULTI; arguments are packed behind it. */
struct session_queued {
    const struct command *command;
    struct slice *argv;
    int argc;
};

struct session_multi {
    struct session_queued *items;
    uint32_t count, capacity;
    uint64_t bytes;     /* of memory, accounted */
    unsigned any_flags; /* union of the commands' flags */
    bool dirty;         /* a command was refused while queueing: EXECABORT */
    bool running;       /* EXEC has begun; it may wait for other shards */
    uint32_t next;      /* while EXEC runs: the next to run */
    int64_t now_ms;     /* ... and its time */
    size_t reply_start; /* where its reply begins */
    struct reply aside; /* while EXEC waits: what it has answered so far */
};

struct session_watch {
    struct slice name; /* malloc'ed bytes */
    uint64_t hash, token;
    uint16_t partition;
    uint8_t db;
};

struct borrow;
struct scatter;

struct session {
    struct shard *shard;
    struct io_conn *conn;
    struct session *ready_next, *wait_next, *output_next, *all_next, *all_previous;
    /* execution */
    uint32_t flags;
    uint8_t block; /* enum session_block */
    uint8_t db;
    bool in_multi;
    uint8_t resp;
    uint16_t inflight_shard; /* target of all requests in flight, or SESSION_SHARDS_MIXED */
    bool inflight_write;
    uint32_t inflight;       /* requests on other shards, not answered yet */
    struct borrow *borrow;   /* the partitions it holds or waits for */
    struct scatter *scatter; /* asked, perhaps answered: the command at the head of its input takes it */
    /* input */
    const char *input; /* this turn's bytes, or the tail's */
    size_t input_len, input_at;
    char *tail;
    size_t tail_len, tail_capacity;
    struct resp_parser parser;
    /* output */
    struct reply out;
    char *sending;
    size_t sending_len, sending_capacity;
    struct session_pending *pending, *pending_last;
    uint64_t pending_bytes;
    int64_t over_soft_limit_since_us;
    /* transaction */
    struct session_multi multi;
    struct session_watch *watches;
    uint32_t watch_count, watch_capacity;
    uint32_t watch_void; /* the first so many count no more: given up, when their partitions are held again */
    /* identity and statistics */
    /* on its way to another shard */
    io_socket moving_socket; /* IO_SOCKET_NONE unless it is detached already */
    uint16_t moving_to;
    bool detaching;
    uint64_t id;
    struct slice name, library_name, library_version; /* malloc'ed */
    char address[IO_ADDRESS_MAX], local_address[IO_ADDRESS_MAX];
    int64_t created_us, last_active_us;
    int64_t fd;
    uint64_t commands, bytes_in, bytes_out;
    const struct command *last_command;
};

#define SESSION_SHARDS_MIXED UINT16_MAX

struct session *session_create(struct shard *shard, uint64_t id, int64_t now_us);
void session_destroy(struct session *session);
static inline bool session_is_quiet(const struct session *s)
{
    return s->inflight == 0 && !s->borrow && !s->scatter && s->watch_count == 0;
}

/* ---- input ---- */
/* Copies what is not executed yet into the tail. False: no memory. */
bool session_keep_input(struct session *session);
/* Appends received bytes to the tail of a session that cannot run now. */
bool session_append_tail(struct session *session, const void *data, size_t len);
void session_drop_tail(struct session *session,
                       size_t done); /* the first `done` bytes of the tail are executed */

/* ---- output ---- */
/* Where the next reply goes. */
static inline struct reply *session_reply(struct session *session)
{
    return LIKELY(!session->pending) ? &session->out : &session->pending_last->after;
}
/* A place for one more reply, from `shard`, behind everything answered so far. NULL: no memory. */
struct session_pending *session_expect(struct session *session, uint16_t shard);
/* A remote reply has come: its bytes take their place. */
void session_fulfil(struct session *session, struct session_pending *pending, const void *bytes, size_t len);
uint64_t session_output_bytes(const struct session *session);
uint64_t session_memory(const struct session *session);

/* ---- transaction ---- */
bool session_queue(struct session *session, const struct command *command, const struct slice *argv,
                   int argc);
void session_multi_reset(struct session *session); /* back to no transaction; watches stay */
/* Adds the partitions of watched keys. */
void session_watch_partitions(const struct session *session, struct bitmap256 *out);
/* All partitions of watched keys are held: forgets them. */
void session_unwatch(struct session *session, struct partition *const *partitions);
/* True when a watched key has changed; their partitions are held. */
bool session_watch_is_dirty(const struct session *session, struct partition *const *partitions);

/* Does its client run on this machine? */
bool session_is_local(const struct session *session);
/* Replies the error when a client name has bytes that Redis refuses. */
bool session_name_is_valid(struct command_context *ctx, struct slice name);
void session_set_text(struct slice *text, struct slice value); /* malloc'ed copy */

#endif
