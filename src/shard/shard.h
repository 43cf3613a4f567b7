/* shard: the actor that owns partitions and serves sessions. One thread, one io, one event loop.
 *
 * A turn: take completions -> parse (up to BATCH_MAX commands ahead) -> look-ups in stages -> execute ->
 * messages of other actors -> replies -> bounded slices of expiry and eviction -> publish mailboxes once ->
 * sleep.
 *
 * What leaves the actor: messages (shard/message.h) and nothing else. `node` is read-only after start, except
 * the mailbox rings in it, which are single-producer/single-consumer.
 *
 * shard_turn() never blocks by itself but in io_wait(); a thread loops over it (shard_run), the simulator
 * calls it.
 */
#ifndef WEFT_SHARD_SHARD_H
#define WEFT_SHARD_SHARD_H

#include "command/command.h"
#include "io/io.h"
#include "shard/node.h"

/* Malloc'ed; the config is copied. NULL: no memory. */
struct shard *shard_create(struct node *node, uint16_t index, struct io *io, const struct config *config);
void shard_destroy(struct shard *shard);
/* One turn: waits for something to do, not longer than `max_wait_us`. False when the actor has stopped for
 * good. */
bool shard_turn(struct shard *shard, int64_t max_wait_us);
/* Its two halves, for a simulator, in which other actors have their turns between them. The first announces
 * that the shard sleeps, unless it has mail, and returns until when (in the past: not at all). */
int64_t shard_lie_down(struct shard *shard, int64_t max_wait_us);
bool shard_get_up(struct shard *shard, int64_t until_us);
void shard_run(void *shard); /* a thread's main: turns until stopped */
struct io *shard_io(const struct shard *shard);

/* ---- for start-up, on shard 0's thread before the first turn ---- */
/* Owns all partitions of its share of `shards` shards. */
void shard_take_partitions(struct shard *shard);
int shard_listen(struct shard *shard, char *error,
                 size_t error_len); /* by its config; 0, or -1 with a sentence */

/* ---- for handlers of routes "session" and "scatter" ---- */
uint16_t shard_index(const struct shard *shard);
struct node *shard_node(const struct shard *shard);
int64_t shard_now_us(const struct shard *shard); /* the turn's wall clock */
struct slowlog *shard_slowlog(struct shard *shard);
struct latency_series *shard_latency(struct shard *shard); /* LATENCY_EVENTS of them */
/* CONFIG REWRITE; 0 or -errno. The config has a file. `force`: every directive, default or not. */
int shard_rewrite_config(struct shard *shard, bool force);

/* Asks every shard (this one included) to run `run`; the parts come back in shard order. The handler of a
 * scatter command is called twice: first with no parts (it returns a scatter_request), then with them. */
struct scatter_part {
    struct reply bytes; /* whatever `run` wrote */
    int64_t numbers[8];
};
typedef void scatter_run(struct shard *shard, void *argument, struct scatter_part *part);

/* In a scatter handler: the parts, `*count` of them, when all shards have answered; NULL the first time, and
 * then the handler must have called scatter_ask() and return without a reply. `argument` is malloc'ed and
 * freed afterwards; shards read it only. */
const struct scatter_part *scatter_parts(struct command_context *ctx, uint16_t *count);
void scatter_ask(struct command_context *ctx, scatter_run *run, void *argument);

#endif
