/* Remote: single-key commands whose key lives on another shard. They gather in one batch per shard and turn;
 * the batch object travels there with the arguments, comes back with the replies and is used again, so its
 * memory is allocated and freed by one thread. At most DATA_SLOTS batches are on their way to a shard; then
 * sessions wait (SESSION_WAITS_CREDIT).
 *
 * On arrival, a command whose partition is lent is parked (and a write that needs memory which other shards
 * are freeing), and so is everything of the same session behind it, so that a session's order holds. A batch
 * goes back when all of its items are done.
 */
#include "shard/internal.h"

#include "base/mark.h"
#include "base/mutant.h"
#include <stdlib.h>

#define POOL_MAX       32
#define KEEP_BYTES_MAX (256 * 1024)

static struct batch *batch_get(struct shard *shard, uint16_t to)
{
    struct batch *batch = shard->batch_pool;
    if (batch) {
        shard->batch_pool = batch->next;
        shard->batch_pool_count--;
    } else {
        batch = calloc(1, sizeof *batch);
        if (!batch) return NULL;
        reply_init(&batch->replies, 2);
    }
    batch->from = shard->index;
    batch->to = to;
    return batch;
}

static void batch_put(struct shard *shard, struct batch *batch)
{
    size_t reply_capacity = (size_t)(batch->replies.end - batch->replies.begin);
    if (shard->batch_pool_count >= POOL_MAX || batch->bytes_capacity + reply_capacity > KEEP_BYTES_MAX) {
        batch_free(batch);
        return;
    }
    batch->count = batch->done = batch->args_count = 0;
    batch->bytes_len = 0;
    reply_clear(&batch->replies);
    batch->next = shard->batch_pool;
    shard->batch_pool = batch;
    shard->batch_pool_count++;
}

void batch_free(struct batch *batch)
{
    reply_free(&batch->replies);
    free(batch->args);
    free(batch->bytes);
    free(batch);
}

/* ---- the sender ---- */

static void send_batch(struct shard *shard, uint16_t to)
{
    struct batch *batch = shard->outgoing[to];
    shard->outgoing[to] = NULL;
    for (uint32_t i = 0; i < batch->args_count; i++) /* offsets become addresses, now that bytes stay put */
        batch->args[i].ptr = batch->bytes + (size_t)batch->args[i].ptr;
    shard->credits[to] += !MUTANT(batch_credit_leaks); /* the one taken when the batch was begun */
    struct message *message = mail_reserve_data(shard, to);
    message->kind = MESSAGE_BATCH;
    message->payload = batch;
    shard->stats.batches++;
}

void remote_flush(struct shard *shard)
{
    for (uint16_t to = 0; to < shard->actors; to++)
        if (shard->outgoing[to]) send_batch(shard, to);
}

static bool reserve(struct batch *batch, uint32_t argc, size_t bytes)
{
    if (batch->args_count + argc > batch->args_capacity) {
        uint32_t capacity = (batch->args_count + argc) * 2;
        struct slice *args = realloc(batch->args, capacity * sizeof *args);
        if (!args) return false;
        batch->args = args;
        batch->args_capacity = capacity;
    }
    if (batch->bytes_len + bytes > batch->bytes_capacity) {
        size_t capacity =
            (batch->bytes_len + bytes) + (batch->bytes_len ? batch->bytes_len + bytes : 0) + 1024;
        char *grown = realloc(batch->bytes, capacity);
        if (!grown) return false;
        batch->bytes = grown;
        batch->bytes_capacity = capacity;
    }
    return true;
}

bool remote_send(struct shard *shard, struct session *session, const struct request *request,
                 const struct slice *argv, uint16_t target)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < request->argc; i++) bytes += argv[i].len;
    struct batch *batch = shard->outgoing[target];
    if (batch && (batch->count == BATCH_MAX || batch->bytes_len + bytes > BATCH_BYTES_MAX)) {
        MARK("remote.batch_full");
        send_batch(shard, target);
        batch = NULL;
    }
    if (!batch) {
        if (!mail_may_send(shard, target)) {
            MARK("remote.no_credit");
            return false;
        }
        batch = batch_get(shard, target);
        if (!batch) return false;
        shard->credits[target]--;
        shard->outgoing[target] = batch;
    }
    if (!reserve(batch, request->argc, bytes)) return false;
    struct session_pending *pending = session_expect(session, target);
    if (!pending) return false;
    struct batch_item *item = &batch->items[batch->count++];
    *item = (struct batch_item){.session = session,
                                .pending = pending,
                                .command = request->command,
                                .hash = request->key.hash,
                                .argc = request->argc,
                                .args_at = batch->args_count,
                                .partition = request->partition,
                                .db = session->db,
                                .resp = session->resp,
                                .no_touch = dispatch_no_touch(session, request->command)};
    for (uint32_t i = 0; i < request->argc; i++) {
        batch->args[batch->args_count++] = (struct slice){(const char *)batch->bytes_len, argv[i].len};
        memcpy(batch->bytes + batch->bytes_len, argv[i].ptr, argv[i].len);
        batch->bytes_len += argv[i].len;
    }
    bool is_write = request->command->flags & (COMMAND_WRITE | COMMAND_MAY_REPLICATE);
    session->inflight_shard =
        session->inflight && session->inflight_shard != target && !MUTANT(inflight_last_shard)
            ? SESSION_SHARDS_MIXED
            : target;
    session->inflight_write = is_write || (session->inflight && session->inflight_write);
    session->inflight++;
    session->commands++;
    session->last_command = request->command;
    session->flags &= ~(uint32_t)SESSION_REPLY_SKIP;
    shard->stats.hops++;
    if (UNLIKELY(shard->monitor_shards)) {
        struct command_context line = {
            .command = request->command, .argv = argv, .argc = (int)request->argc, .db = session->db};
        monitor_command(shard, session, &line);
    }
    return true;
}

void remote_take_replies(struct shard *shard, struct batch *batch)
{
    uint32_t start = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        struct batch_item *item = &batch->items[i];
        struct session *session = item->session;
        session_fulfil(session, item->pending, batch->replies.begin + start, item->reply_end - start);
        start = item->reply_end;
        if (UNLIKELY(item->slow_us))
            meter_slow(shard, session, item->command, batch->args + item->args_at, (int)item->argc,
                       item->slow_us - 1);
        if (batch->replies.failed) session->out.failed = true;
        session->inflight--;
        if (session->block == SESSION_WAITS_REPLIES) {
            session->block = SESSION_RUNNING;
            shard_set_ready(shard, session);
        }
        shard_want_output(shard, session);
        clients_release_if_done(shard, session);
    }
    batch_put(shard, batch);
    shard_wake_list(shard, &shard->credit_waiters);
}

/* ---- the receiver ---- */

static void run_item(struct shard *shard, struct batch *batch, struct batch_item *item, bool refuse)
{
    struct command_context *ctx = &shard->ctx;
    const struct command *command = item->command;
    ctx->argv = batch->args + item->args_at;
    ctx->argc = (int)item->argc;
    ctx->db = item->db;
    ctx->in_multi = false;
    ctx->command = command;
    ctx->reply = &batch->replies;
    ctx->reply->resp = item->resp;
    ctx->session = NULL;
    ctx->partition = NULL;
    ctx->scan_partitions = 0;
    if (command->route == COMMAND_ROUTE_KEY) {
        ctx->partition = shard->node->partitions[item->partition];
        ctx->key = (struct key){.name = ctx->argv[command->key_first], .hash = item->hash, .db = item->db};
    } else if (command->route == COMMAND_ROUTE_SCAN) {
        ctx->scan_partitions = dispatch_scannable(shard, item->partition);
    }
    shard->no_touch = item->no_touch;
    if (UNLIKELY(refuse))
        command_out_of_memory(ctx);
    else
        dispatch_call(shard, item->session, ctx);
    item->slow_us = shard->slow_us;
    shard->slow_us = 0;
    item->reply_end = (uint32_t)reply_len(&batch->replies);
    batch->done++;
}

/* Does the item's session have commands in a batch that came before and is not answered yet? Also those that
 * have run: their replies go back with their batch, and this one's must not overtake them. */
static bool session_is_parked(const struct shard *shard, const struct batch *own,
                              const struct batch_item *wanted)
{
    for (const struct batch *b = shard->parked; b && b != own; b = b->next) {
        for (uint32_t i = MUTANT(answered_out_of_order) ? b->done : 0; i < b->count; i++)
            if (b->items[i].session == wanted->session) return true;
        if (MUTANT(parked_first_only)) break;
    }
    return false;
}

static void reply_to_batch(struct shard *shard, struct batch *batch)
{
    struct message *message = mail_reserve_control(shard, batch->from);
    message->kind = MESSAGE_BATCH_DONE;
    message->payload = batch;
}

/* Replies stand in the batch in item order, so an item runs only when all before it have: the first parked
 * item stops the rest of its batch. (Other sessions' items behind it wait too; lending is short.) */
static bool run_from(struct shard *shard, struct batch *batch)
{
    for (uint32_t i = batch->done; i < batch->count; i++) {
        struct batch_item *item = &batch->items[i];
        bool home = shard->state[item->partition] == PARTITION_HOME;
        bool waits =
            home && shard->parked && !MUTANT(parked_overtaken) && session_is_parked(shard, batch, item);
        enum memory_room room = MEMORY_ROOM;
        if (UNLIKELY(shard->config.maxmemory_bytes != 0) && home && !waits) {
            room = memory_make_room(shard);
            if (!(item->command->flags & COMMAND_DENYOOM)) room = MEMORY_ROOM;
        }
        if (UNLIKELY(!home || waits || room == MEMORY_ROOM_LATER)) {
            MARK("remote.parked");
            if (waits) MARK("remote.parked_behind_own");
            if (room == MEMORY_ROOM_LATER) {
                MARK("remote.memory_waits");
                shard->memory_parked = true;
            }
            meter_round_end(shard);
            return false;
        }
        run_item(shard, batch, item, room == MEMORY_FULL);
    }
    meter_round_end(shard);
    return true;
}

void remote_run_batch(struct shard *shard, struct batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        struct batch_item *item = &batch->items[i];
        CHECK(shard->owner[item->partition] == shard->index);
        if (item->command->route != COMMAND_ROUTE_KEY || shard->state[item->partition] != PARTITION_HOME)
            continue;
        struct key key = {.name = batch->args[item->args_at + (uint32_t)item->command->key_first],
                          .db = item->db};
        if (!item->hash) item->hash = key_hash(&shard->env, key.name);
        key.hash = item->hash;
        partition_prefetch_bucket(shard->node->partitions[item->partition], &key);
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        struct batch_item *item = &batch->items[i];
        if (item->command->route != COMMAND_ROUTE_KEY || shard->state[item->partition] != PARTITION_HOME)
            continue;
        struct key key = {.hash = item->hash, .db = item->db};
        partition_prefetch_item(shard->node->partitions[item->partition], &key);
    }
    if (run_from(shard, batch)) {
        reply_to_batch(shard, batch);
        return;
    }
    batch->next = NULL;
    *shard->parked_end = batch;
    shard->parked_end = &batch->next;
}

void remote_run_parked(struct shard *shard)
{
    for (struct batch **link = &shard->parked; *link;) {
        struct batch *batch = *link;
        if (!run_from(shard, batch)) {
            link = &batch->next;
            continue;
        }
        *link = batch->next;
        if (!*link) shard->parked_end = link;
        reply_to_batch(shard, batch);
    }
}
