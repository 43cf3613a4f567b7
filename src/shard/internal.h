/* What the files of shard/ share. Nobody else includes it. */
#ifndef WEFT_SHARD_INTERNAL_H
#define WEFT_SHARD_INTERNAL_H

#include "base/crc.h"
#include "base/mutant.h"
#include "session/session.h"
#include "shard/latency.h"
#include "shard/shard.h"
#include "shard/slowlog.h"
#include "shard/stats.h"

#define BATCH_MAX        64          /* commands parsed ahead, and requests in one message */
#define BATCH_BYTES_MAX  (64 * 1024) /* arguments in one message; a single larger request goes alone */
#define COMPLETIONS_MAX  256
#define REPLY_POOL_BYTES (16 * 1024)
#define REPLY_POOL_MAX   128

enum message_kind {
    /* data lane: requests; each is answered by exactly one control message */
    MESSAGE_BATCH = 1, /* payload: struct batch */
    MESSAGE_LEND,      /* words: partitions wanted; payload: the borrow (echoed) */
    MESSAGE_SCATTER,   /* payload: struct scatter */
    MESSAGE_SESSION,   /* payload: a struct session with its socket in words[0] */
    MESSAGE_SOCKET,    /* words[0]: socket, words[1]: client id, words[2]: unix? */
    MESSAGE_RESHARD,   /* small: phase; words[0]: new shard count */
    MESSAGE_FEED,      /* payload: lines for monitors, words[0] bytes; small: some were lost */
    MESSAGE_MONITOR,   /* small: 1 feed me, 0 do not */
    MESSAGE_STOP,
    /* control lane: answers */
    MESSAGE_BATCH_DONE,
    MESSAGE_GRANT,  /* words: partitions; payload: the borrow */
    MESSAGE_RETURN, /* words: partitions */
    MESSAGE_SCATTER_DONE,
    MESSAGE_TAKEN, /* answers SESSION, SOCKET, FEED, MONITOR */
    MESSAGE_RESHARD_DONE,
    MESSAGE_NOTE, /* unsolicited and merged: token sessions have ended, words[0] is the net change of sessions
                   */
};

/* One command on its way to another shard and its reply on the way back. */
struct batch_item {
    struct session *session; /* the sender's: opaque elsewhere, but equal pointers mean equal sessions */
    struct session_pending *pending;
    const struct command *command;
    uint64_t hash;
    uint32_t argc;
    uint32_t args_at;   /* first of its slices in batch->args */
    uint32_t reply_end; /* its reply ends here in batch->replies */
    int64_t slow_us;    /* 1 + what it took when that is notable, else 0 */
    uint16_t partition;
    uint8_t db, resp;
    bool no_touch;
};

struct batch {
    struct batch *next;
    uint16_t from, to;
    uint32_t count, done;
    struct batch_item items[BATCH_MAX];
    struct slice *args; /* while it is built: ptr holds offsets into bytes */
    uint32_t args_count, args_capacity;
    char *bytes;
    size_t bytes_len, bytes_capacity;
    struct reply replies;
};

struct request {
    struct session *session;
    const struct command *command, *container;
    struct key key;
    uint32_t args_at, argc;
    uint32_t start, end; /* in the session's input; inputs of a turn are below 4 GiB */
    uint16_t partition;
    bool staged; /* a single-key command whose key is here: hash and slot are computed */
};

enum partition_state {
    PARTITION_ELSEWHERE, /* another shard owns it */
    PARTITION_HOME,      /* ours, here */
    PARTITION_LENT,      /* ours; another shard has it, or a session here holds it */
};

/* What a session is waiting to gather before its command can run. */
struct borrow {
    struct session *session;
    struct borrow *next; /* in a lend queue of the own shard */
    struct bitmap256 wanted, held;
    uint16_t asking; /* shard asked last */
    bool complete;
};

struct lend_request {
    struct lend_request *next;
    struct bitmap256 wanted;
    struct borrow *borrow;
    uint16_t from; /* == own index: a session here */
};

struct scatter {
    struct session *session;
    struct scatter *next;
    scatter_run *run;
    void *argument;
    uint16_t count, answered;
    uint16_t asked; /* next shard to ask */
    struct scatter_part parts[];
};

struct shard {
    struct node *node;
    struct io *io;
    uint16_t index;
    uint16_t shard_count; /* that own partitions */
    uint16_t actors;      /* that are alive: at least shard_count, more while leaving ones end */
    bool stopping, stopped;
    struct config config;
    struct store_env env;
    struct prng prng;
    /* time of this turn */
    int64_t now_us, now_monotonic_us;
    /* partitions */
    uint8_t owner[PARTITION_COUNT];
    uint8_t state[PARTITION_COUNT]; /* enum partition_state */
    struct bitmap256 lent;          /* ours, not home */
    struct lend_request *lend_queue, **lend_queue_end;
    struct batch *parked, **parked_end; /* batches with items whose partition is lent */
    struct session *partition_waiters;  /* linked by ready_next */
    /* As they were when last looked at: what INFO shows of partitions that are lent. */
    uint64_t partition_bytes[PARTITION_COUNT];
    struct keys_when_lent {
        uint32_t keys, expires, timed_hashes;
    } * keys_when_lent; /* [partition * databases + db] */
    /* messages */
    struct batch *outgoing[SHARDS_MAX]; /* being filled */
    uint16_t credits[SHARDS_MAX];       /* requests that may still be sent there */
    struct batch *batch_pool;
    uint32_t batch_pool_count;
    uint64_t parked_count;
    struct bitmap256 returning[SHARDS_MAX]; /* partitions on their way home, merged per turn */
    /* to be told to shard 0: sessions that ended, and the net change by ends and moves */
    uint32_t ended_sessions;
    int64_t session_change;
    struct borrow *borrow_waiters;   /* for a credit */
    struct scatter *scatter_waiters; /* likewise */
    bool returned;                   /* partitions came home this turn */
    struct bitmap256 to_wake;        /* shards with something published this turn (a set of shard numbers) */
    /* sessions */
    struct session *sessions;
    uint32_t session_count;
    uint32_t closing_large; /* sessions that are being closed and hold much memory */
    struct session *ready, *ready_last;
    struct session *output;
    struct session *credit_waiters, *memory_waiters, *pause_waiters, *reshard_waiters;
    /* shard 0 only */
    struct io_listener *listeners[CONFIG_BIND_MAX + 1]; /* TCP ones, and in the last slot the Unix socket's */
    int listener_count;                                 /* TCP */
    uint32_t clients_on[SHARDS_MAX];
    uint32_t client_count;
    uint64_t next_client_id;
    struct reshard *reshard;
    /* execution */
    struct resp_args args;
    struct request requests[BATCH_MAX];
    uint32_t request_count;
    struct session *executing;
    char *reply_pool[REPLY_POOL_MAX];
    uint32_t reply_pool_count;
    struct command_context ctx;
    /* MONITOR: sets of shards, one bit each */
    uint64_t monitor_shards; /* have monitors: to be fed */
    uint64_t feed_lost;      /* of these: lines did not fit */
    uint64_t fed_by;         /* have been told to feed this shard */
    struct reply feed[SHARDS_MAX];
    struct session **monitors; /* of this shard */
    uint32_t monitor_count;
    bool no_touch; /* the command that runs now is of a client in CLIENT NO-TOUCH mode; set before
                      dispatch_call */
    /* CLIENT PAUSE */
    int64_t pause_until_us;
    bool pause_writes_only;
    /* memory */
    uint64_t used_bytes;  /* of its partitions */
    int64_t leased_bytes; /* reported to the budget */
    uint64_t evict_cursor;
    uint32_t free_cursor;
    bool told_freeing;   /* counts in budget.freeing */
    bool evicts_nothing; /* the last look for something to evict found nothing that is here, */
    enum config_policy evicts_nothing_by; /* by this policy, and nothing was written since */
    bool told_spent;                      /* nor was a partition lent: does not count in budget.evicting */
    bool evicts_more;                     /* did not finish in this turn */
    bool memory_parked;                   /* a batch waits for other shards' evictions */
    uint32_t decay_cursor;
    bool others_woken;
    /* periodic work */
    int64_t next_cron_us;
    uint32_t crons, quiet_crons; /* that ran; ... since something happened */
    uint64_t turns_at_cron;
    int64_t expiry_ms[PARTITION_COUNT]; /* next deadline of each */
    uint32_t expire_cursor;
    bool more_to_expire;
    bool active_expire_off; /* DEBUG SET-ACTIVE-EXPIRE 0 */
    /* reshard */
    bool config_is_old; /* of when it was created: taken again from shard 0 when all are quiet */
    bool quiet;         /* nothing new is started */
    bool quiet_asked;   /* shard 0 waits to hear that nothing is under way */
    bool route_asked;   /* ... and then that this shard knows the new owners: */
    uint16_t route_count, route_actors;
    bool moving_asked, leaving;
    uint32_t move_left, move_cursor;
    /* telemetry (meter.c) */
    struct command_stats *command_stats; /* by command id */
    struct error_stats errors;
    struct stats_span span;
    struct stats_rates rates;
    struct slowlog slowlog;
    struct latency_series latency[LATENCY_EVENTS];
    int64_t notable_us; /* a command that takes this long is slow; INT64_MAX: none is */
    bool time_alone;    /* every command */
    int64_t slow_us;    /* of the batch item that has just run: see batch_item */
    uint64_t turn_commands, turn_most_commands,
        turn_most_us;      /* stats.commands at its begin; of one turn: the most */
    uint64_t client_bytes; /* of its sessions and their buffer pool, as of the last cron */
    struct shard_stats {   /* counters only: they are added up as an array of words */
        uint64_t commands, connections, rejected_connections, bytes_in, bytes_out, reads, writes, errors;
        uint64_t hops, batches, borrows;
        uint64_t turns, busy_us, command_us, cron_us;
        uint64_t evict_cycles, evict_us, expire_cycles, expire_us, expire_cut;
        uint64_t output_limit_closed, query_limit_closed, flushed_keys;
    } stats;
};

/* ---- shard.c ---- */
void shard_set_ready(struct shard *shard, struct session *session);
void shard_want_output(struct shard *shard, struct session *session);
void shard_wake_list(struct shard *shard, struct session **list); /* puts a whole list into ready */
void shard_unpause(struct shard *shard);
void shard_wait_in(struct session **list, struct session *session, enum session_block why);

/* ---- dispatch.c ---- */
void dispatch_ready(struct shard *shard);
/* Fills ctx for a command of a session that runs here. */
void dispatch_context(struct shard *shard, struct session *session, const struct command *command,
                      const struct slice *argv, int argc);
/* Runs ctx's handler for `session` (which may be another shard's) with statistics; reply, key and partition
 * are set. */
void dispatch_call(struct shard *shard, const struct session *session, struct command_context *ctx);
/* Is its use of keys kept from eviction's eyes? TOUCH itself is not. */
static inline bool dispatch_no_touch(const struct session *session, const struct command *command)
{
    return UNLIKELY(session->flags & SESSION_NO_TOUCH) && command->handler != cmd_touch;
}
/* A scatter command's first call: true when it has asked the shards, false when it has answered at once. */
bool dispatch_ask(struct shard *shard, struct session *session);
/* Adds the partitions a command's keys (or scan cursor) need. */
void dispatch_partitions(const struct shard *shard, const struct command *command, const struct slice *argv,
                         int argc, struct bitmap256 *out);

/* How many partitions from `first` on are home: what one SCAN call may walk. */
uint16_t dispatch_scannable(const struct shard *shard, uint16_t first);

/* ---- exec.c ---- */
/* Runs (or goes on with) the transaction; its partitions are held. `argv`: EXEC itself, as it was sent.
 * False: waits for a scatter. */
bool exec_run(struct shard *shard, struct session *session, const struct slice *argv);
/* Goes on with the EXEC of a client that has gone; its scatter is answered. True: it is done, nothing is held
 * any more. False: waits for the next scatter. */
bool exec_finish(struct shard *shard, struct session *session);

/* ---- remote.c: single-key commands on other shards ---- */
/* Puts the request into the batch for its shard. False: no credit or memory; nothing changed. */
bool remote_send(struct shard *shard, struct session *session, const struct request *request,
                 const struct slice *argv, uint16_t target);
void remote_flush(struct shard *shard);
void remote_run_batch(struct shard *shard, struct batch *batch);
void remote_run_parked(struct shard *shard);
void remote_take_replies(struct shard *shard, struct batch *batch);
void batch_free(struct batch *batch);

/* ---- lend.c: partitions of several shards for one command ---- */
/* Begins to gather; true when everything is held at once. Sets session->borrow. */
bool borrow_begin(struct shard *shard, struct session *session, struct bitmap256 wanted);
void borrow_granted(struct shard *shard, struct borrow *borrow, struct bitmap256 granted);
void borrow_continue(struct shard *shard, struct borrow *borrow);
void borrow_end(struct shard *shard, struct session *session);
void lend_asked(struct shard *shard, uint16_t from, struct borrow *borrow, struct bitmap256 wanted);
void lend_returned(struct shard *shard, struct bitmap256 partitions);
void lend_grant_waiting(struct shard *shard);

/* ---- mail.c ---- */
/* A request that is answered at once: takes a credit; NULL: none left. */
struct message *mail_reserve_data(struct shard *shard, uint16_t to);
/* One whose answer may wait for partitions to come home: never takes the last credit. */
struct message *mail_reserve_patient(struct shard *shard, uint16_t to);
static inline bool mail_may_send(const struct shard *shard, uint16_t to)
{
    return shard->credits[to] > !MUTANT(last_credit_taken);
}
struct message *mail_reserve_control(struct shard *shard, uint16_t to);
void mail_publish(struct shard *shard);
void mail_receive(struct shard *shard);
/* What an actor that ends has sent before. */
void mail_receive_last(struct shard *shard, uint16_t from);
bool mail_is_empty(struct shard *shard);

/* ---- scatter.c ---- */
void scatter_send(struct shard *shard, struct scatter *scatter);
void scatter_run_here(struct shard *shard, struct scatter *scatter);
void scatter_answered(struct shard *shard, struct scatter *scatter);
void scatter_free(struct session *session);

/* ---- clients.c: accepting, closing, limits, output ---- */
void clients_accepted(struct shard *shard, io_socket socket, bool is_unix, int64_t error);
void clients_adopt(struct shard *shard, io_socket socket, uint64_t id, bool is_unix);
void clients_received(struct shard *shard, struct session *session, const struct io_completion *completion);
void clients_sent(struct shard *shard, struct session *session, int64_t result);
void clients_closed(struct shard *shard, struct session *session);
void clients_close(struct shard *shard, struct session *session); /* now */
void clients_flush_output(struct shard *shard);
void clients_release_if_done(struct shard *shard, struct session *session);
void clients_cron(struct shard *shard);
void clients_counted(struct shard *shard, uint16_t on, int64_t change,
                     uint32_t ended); /* shard 0 keeps count */
void clients_take_session(struct shard *shard, struct session *session, io_socket socket);
/* Begins to send `count` sessions to `target`. */
void clients_move(struct shard *shard, uint16_t target, uint32_t count);
void clients_detach_if_quiet(struct shard *shard, struct session *session);
void clients_detached(struct shard *shard, struct session *session, io_socket socket);
bool clients_ship(struct shard *shard, struct session *session);
/* A session without an output buffer gets one from the pool. */
void clients_provide_buffer(struct shard *shard, struct session *session);
static inline uint64_t clients_pool_bytes(const struct shard *shard)
{
    return (uint64_t)shard->reply_pool_count * REPLY_POOL_BYTES;
}

/* ---- meter.c ---- */
void meter_turn_begin(struct shard *shard);
void meter_turn_end(struct shard *shard);
void meter_cron(struct shard *shard);
/* The last command was noted in the span: ends it. `last_is_big`: that command (ctx) has perhaps taken long.
 */
void meter_end_span(struct shard *shard, const struct command_context *ctx, bool last_is_big);
void meter_round_end(struct shard *shard); /* after a round of commands or a batch */
/* Times what comes until meter_stop, which returns it; one after the other, not nested. */
int64_t meter_start(struct shard *shard);
int64_t meter_stop(struct shard *shard, struct command_stats *stats);
/* Runs ctx's handler and times it alone. */
void meter_call_alone(struct shard *shard, struct command_context *ctx);
/* A session's command has taken `took_us`, here or on another shard: for the slow log, if that wants it. */
void meter_slow(struct shard *shard, const struct session *session, const struct command *command,
                const struct slice *argv, int argc, int64_t took_us);
void meter_spike(struct shard *shard, enum latency_event event, int64_t took_us);
void meter_error(struct shard *shard, const struct reply *reply); /* its last error */
void meter_reset(struct shard *shard);
void meter_absorb(struct shard *shard, struct shard *ended); /* takes over what it counted */

/* ---- monitor.c ---- */
/* A command of a session is run, here or elsewhere: a line for all monitors. Only called when there are any.
 */
void monitor_command(struct shard *shard, const struct session *session, const struct command_context *ctx);
void monitor_step(struct shard *shard); /* once per turn */
void monitor_fed(struct shard *shard, const struct message *message);
void monitor_feed_to(struct shard *shard, uint16_t to, bool on);
void monitor_add(struct shard *shard, struct session *session); /* a session that is one comes */
void monitor_remove(struct shard *shard, const struct session *session);
void monitor_limit(struct shard *shard, uint16_t count);
void monitor_free(struct shard *shard);

/* ---- memory.c ---- */
/* Counts what a command changed: of one partition, or (NULL) of all. */
void memory_changed(struct shard *shard, const struct partition *partition);
void memory_sum(struct shard *shard);
void memory_decay(struct shard *shard); /* free pages that nobody reuses go back to the system */
void memory_note_lent(struct shard *shard, uint16_t partition);
enum memory_room {
    MEMORY_ROOM,
    MEMORY_ROOM_LATER, /* other shards still evict or free: a write has to wait for another turn */
    MEMORY_FULL,       /* writes have to be refused */
};
enum memory_room memory_make_room(struct shard *shard);
/* This actor has nothing left that could be evicted or freed: nobody waits for it. */
void memory_leave(struct shard *shard);
/* memory_changed, after a write. */
void memory_written(struct shard *shard, const struct partition *partition);
/* ... of this command: what it names that is here. Who lent the rest counts it when it comes back. */
void memory_command_wrote(struct shard *shard, const struct command_context *ctx);
void memory_turn(struct shard *shard); /* once per turn: this shard's share of an eviction */
void memory_expire(struct shard *shard, int64_t slice_us); /* what is due; some in every turn */
void memory_free(struct shard *shard, int64_t slice_us);   /* once per turn: large values without keys */

/* ---- listen.c ---- */
bool listen_is_unix(const struct shard *shard, const void *accept_user);
/* Shard 0: the config's port or addresses have changed. On failure the old ones are listened on again; -1. */
int listen_again(struct shard *shard, const struct config *old);
/* Any shard: could shard 0 listen on what `next` has beyond `old`? NULL, or why not and whose fault it is. */
const char *listen_probe(struct shard *shard, const struct config *old, const struct config *next,
                         const char **name);
void listen_end(struct shard *shard);

/* ---- reshard.c ---- */
void reshard_message(struct shard *shard, const struct message *message);
void reshard_step(struct shard *shard);
bool reshard_begin(struct shard *shard, uint16_t count);
/* A change that was let in does not take place: a later one has set the number that there is. Shard 0 only.
 */
void reshard_overruled(struct shard *shard);
/* Once per turn: tells shard 0 when nothing of this shard is under way any more. */
void reshard_quiet_check(struct shard *shard);
/* Once per turn: goes on with stopping; true when the actor has ended. */
void stop_not_yet(struct shard *shard); /* a session has come */
bool stop_step(struct shard *shard);
#endif
