/* Clients: sessions as connections: accepted on shard 0, served where there are fewest, closed, limited,
 * moved. */
#include "shard/internal.h"

#include "base/mark.h"
#include "base/mutant.h"
#include <stdio.h>
#include <stdlib.h>

#define MOVE_SLICE 64 /* sessions that begin to move per cron tick */

/* ---- accepting (shard 0) ---- */

static uint16_t emptiest(const struct shard *shard)
{
    uint16_t best = 0;
    for (uint16_t i = 1; i < shard->shard_count; i++)
        if (shard->clients_on[i] < shard->clients_on[best]) best = i;
    return best;
}

static void refuse_socket(struct shard *shard, io_socket socket, const char *text)
{
    MARK("clients.refused");
    shard->stats.rejected_connections++;
    struct session *s = session_create(shard, 0, shard->now_us);
    struct io_conn *conn = s ? io_attach(shard->io, socket, s) : NULL;
    if (!conn) {
        if (s) session_destroy(s);
        io_discard(shard->io, socket);
        return;
    }
    s->conn = conn;
    s->flags = SESSION_CLOSE_AFTER_REPLY;
    reply_error(&s->out, text);
    shard_want_output(shard, s);
}

void clients_accepted(struct shard *shard, io_socket socket, bool is_unix, int64_t error)
{
    if (error < 0 || socket == IO_SOCKET_NONE) return;
    shard->stats.connections++;
    if (shard->client_count >= (uint64_t)shard->config.maxclients + MUTANT(maxclients_off_by_one)) {
        refuse_socket(shard, socket, "ERR max number of clients reached");
        return;
    }
    uint16_t target = shard->quiet ? 0 : emptiest(shard);
    uint64_t id = ++shard->next_client_id;
    shard->client_count++;
    if (target != shard->index) {
        struct message *message = mail_reserve_data(shard, target);
        if (message) {
            message->kind = MESSAGE_SOCKET;
            message->words[0] = (uint64_t)socket;
            message->words[1] = id;
            message->words[2] = is_unix;
            shard->clients_on[target]++;
            return;
        }
    }
    shard->clients_on[shard->index]++;
    clients_adopt(shard, socket, id, is_unix);
}

/* What shard 0 hears of a shard: the net change of its sessions (by ends and moves), and how many have ended.
 */
void clients_counted(struct shard *shard, uint16_t on, int64_t change, uint32_t ended)
{
    CHECK(shard->index == 0 && (int64_t)shard->clients_on[on] + change >= 0 && shard->client_count >= ended);
    shard->clients_on[on] = (uint32_t)(shard->clients_on[on] + change);
    shard->client_count -= ended;
}

static void count(struct shard *shard, int change, uint32_t ended)
{
    if (shard->index == 0) {
        clients_counted(shard, 0, change, ended);
        return;
    }
    shard->session_change += change;
    shard->ended_sessions += ended;
}

/* ---- a session's life ---- */

static void link_session(struct shard *shard, struct session *s)
{
    stop_not_yet(shard);
    s->shard = shard;
    s->all_previous = NULL;
    s->all_next = shard->sessions;
    if (shard->sessions) shard->sessions->all_previous = s;
    shard->sessions = s;
    shard->session_count++;
}

static void unlink_session(struct shard *shard, struct session *s)
{
    if (s->all_previous)
        s->all_previous->all_next = s->all_next;
    else if (shard->sessions == s)
        shard->sessions = s->all_next;
    else
        return; /* a refused one was never linked */
    if (s->all_next) s->all_next->all_previous = s->all_previous;
    shard->session_count--;
    if (UNLIKELY(shard->monitor_count)) monitor_remove(shard, s);
}

void clients_adopt(struct shard *shard, io_socket socket, uint64_t id, bool is_unix)
{
    struct session *s = session_create(shard, id, shard->now_us);
    struct io_conn *conn = s ? io_attach(shard->io, socket, s) : NULL;
    if (!conn) {
        if (s) session_destroy(s);
        io_discard(shard->io, socket);
        count(shard, -1, 1);
        return;
    }
    s->conn = conn;
    s->fd = io_conn_fd(conn);
    if (is_unix) s->flags |= SESSION_UNIX;
    if (shard->config.requirepass.len == 0) s->flags |= SESSION_AUTHENTICATED;
    io_peer_address(conn, s->address);
    io_local_address(conn, s->local_address);
    if (shard->config.tcp_keepalive_s && !is_unix) io_set_keepalive(conn, (int)shard->config.tcp_keepalive_s);
    link_session(shard, s);
    if (shard->config.protected_mode && shard->config.requirepass.len == 0 && !session_is_local(s)) {
        reply_error(&s->out,
                    "DENIED weft runs in protected mode: no password is set and this client does not come "
                    "from the loopback interface. Set a password (requirepass), or switch protected-mode "
                    "off, or connect from the same machine.");
        s->flags |= SESSION_CLOSE_AFTER_REPLY;
        shard_want_output(shard, s);
    }
}

/* What a session of some size held is free at once for keys, not at the next cron; writes wait for it. */
#define FREED_NOTED_BYTES 65536

static void remove_from_list(struct session **list, struct session *s)
{
    for (struct session **link = list; *link; link = &(*link)->wait_next) {
        if (*link != s) continue;
        *link = s->wait_next;
        s->wait_next = NULL;
        return;
    }
}

/* A closing session waits for nothing any more. */
static void stop_waiting(struct shard *shard, struct session *s)
{
    switch ((enum session_block)s->block) {
    case SESSION_WAITS_PARTITION: remove_from_list(&shard->partition_waiters, s); break;
    case SESSION_WAITS_CREDIT: remove_from_list(&shard->credit_waiters, s); break;
    case SESSION_WAITS_MEMORY: remove_from_list(&shard->memory_waiters, s); break;
    case SESSION_WAITS_PAUSE: remove_from_list(&shard->pause_waiters, s); break;
    case SESSION_WAITS_RESHARD: remove_from_list(&shard->reshard_waiters, s); break;
    default: break;
    }
    s->block = SESSION_RUNNING;
}

void clients_close(struct shard *shard, struct session *s)
{
    if (s->flags & SESSION_CLOSING) return;
    s->flags |= SESSION_CLOSING;
    if (session_memory(s) >= FREED_NOTED_BYTES) {
        s->flags |= SESSION_CLOSING_LARGE;
        shard->closing_large++;
    }
    stop_waiting(shard, s);
    if (s->conn && !s->detaching)
        io_close(s->conn); /* a detached one is discarded when its socket is in hand */
}

/* Watched keys are given up like UNWATCH does it: with their partitions held. */
static bool give_up_watches(struct shard *shard, struct session *s)
{
    if (s->borrow && !s->borrow->complete) return false;
    if (s->watch_count) {
        struct bitmap256 wanted = {0};
        if (!s->borrow) {
            if (shard->quiet && !MUTANT(goodbye_when_quiet))
                return false; /* nothing new is begun while partitions change hands: cron tries again */
            MARK("clients.closed_with_watches");
            session_watch_partitions(s, &wanted);
            if (!borrow_begin(shard, s, wanted)) return false;
        } else {
            session_watch_partitions(s, &wanted);
            if (!bitmap_covers(s->borrow->held, wanted)) {
                borrow_end(shard, s);
                return give_up_watches(shard, s);
            }
        }
        session_unwatch(s, shard->node->partitions);
    }
    if (s->borrow) borrow_end(shard, s);
    return true;
}

/* Output buffers are in use by a session or in the pool, and counted in both cases, so that the memory in use
 * does not depend on who is being answered when somebody looks. */
static char *buffer_get(struct shard *shard)
{
    return shard->reply_pool_count ? shard->reply_pool[--shard->reply_pool_count] : malloc(REPLY_POOL_BYTES);
}

static void buffer_put(struct shard *shard, char *buffer, size_t capacity)
{
    if (capacity == REPLY_POOL_BYTES && shard->reply_pool_count < REPLY_POOL_MAX)
        shard->reply_pool[shard->reply_pool_count++] = buffer;
    else
        free(buffer);
}

void clients_provide_buffer(struct shard *shard, struct session *s)
{
    if (LIKELY(s->out.begin)) return;
    char *buffer = buffer_get(shard);
    if (buffer) reply_attach(&s->out, buffer, REPLY_POOL_BYTES);
}

static void uncount_memory(struct shard *shard, uint64_t bytes)
{
    if (bytes < FREED_NOTED_BYTES) return;
    shard->client_bytes -= bytes < shard->client_bytes ? bytes : shard->client_bytes;
    memory_sum(shard);
}

/* Nobody waits for its memory any longer: what keeps it may itself wait for memory, on another shard. */
static void forget_large(struct shard *shard, struct session *s)
{
    if (!(s->flags & SESSION_CLOSING_LARGE) || MUTANT(closing_large_leaks)) return;
    s->flags &= ~(uint32_t)SESSION_CLOSING_LARGE;
    shard->closing_large--;
}

void clients_release_if_done(struct shard *shard, struct session *s)
{
    /* A tail that is left then is half a command: the rest will not come. */
    bool idle = s->inflight == 0 && !s->block && !s->input && !(s->flags & SESSION_READY);
    if (s->flags & SESSION_PEER_END && idle && !(s->flags & SESSION_CLOSING) && session_output_bytes(s) == 0)
        clients_close(shard, s);
    if (!(s->flags & SESSION_CLOSED) || s->flags & (SESSION_READY | SESSION_OUTPUT) || s == shard->executing)
        return;
    bool is_answered = s->scatter && s->scatter->answered == s->scatter->count;
    if (is_answered && s->multi.running && !MUTANT(exec_ends_with_client)) {
        if (!exec_finish(shard, s)) { /* it asks again */
            forget_large(shard, s);
            return;
        }
    } else if (is_answered) {
        scatter_free(s); /* it was closed before it could look */
    }
    if (s->inflight || s->scatter || s->input) {
        /* What it holds would keep its own commands on other shards (pipeline-order relaxed) waiting for
         * ever. */
        if (s->borrow && s->borrow->complete && !s->scatter && !MUTANT(closed_holder_waits))
            borrow_end(shard, s);
        if (!MUTANT(closed_waiter_frees)) forget_large(shard, s);
        return;
    }
    if (!give_up_watches(shard, s)) {
        forget_large(shard, s);
        return;
    }
    uncount_memory(shard, session_memory(s));
    forget_large(shard, s);
    unlink_session(shard, s);
    bool counted = s->id != 0;
    if (s->out.begin) {
        size_t len, capacity;
        char *buffer = reply_detach(&s->out, &len, &capacity);
        buffer_put(shard, buffer, capacity);
    }
    session_destroy(s);
    if (counted) count(shard, -1, 1);
}

void clients_closed(struct shard *shard, struct session *s)
{
    s->conn = NULL;
    s->flags |= SESSION_CLOSED | SESSION_CLOSING;
    if (s->sending) {
        uncount_memory(shard, s->sending_capacity);
        buffer_put(shard, s->sending, s->sending_capacity);
    }
    s->sending = NULL;
    s->sending_len = s->sending_capacity = 0;
    clients_release_if_done(shard, s);
}

/* ---- input ---- */

void clients_received(struct shard *shard, struct session *s, const struct io_completion *completion)
{
    if (s->flags & (SESSION_CLOSING | SESSION_CLOSE_AFTER_REPLY)) return;
    if (completion->result <= 0) {
        /* What was received before the end is still executed, as Redis does; then the connection goes. */
        s->flags |= SESSION_PEER_END;
        bool waits = s->block || s->inflight || s->flags & SESSION_READY;
        if (completion->result < 0 || !waits) clients_close(shard, s);
        return;
    }
    size_t len = (size_t)completion->result;
    s->bytes_in += len;
    shard->stats.bytes_in += len;
    shard->stats.reads++;
    s->last_active_us = shard->now_us;
    if (LIKELY(!s->tail_len && !s->block && !s->input && !s->detaching)) {
        s->input = (const char *)completion->data;
        s->input_len = len;
        s->input_at = 0;
        shard_set_ready(shard, s);
        return;
    }
    if (s->input && !session_keep_input(s)) {
        clients_close(shard, s);
        return;
    }
    if (!session_append_tail(s, completion->data, len)) {
        clients_close(shard, s);
        return;
    }
    if (s->tail_len > (size_t)shard->config.client_query_buffer_limit_bytes) {
        MARK("clients.query_limit");
        shard->stats.query_limit_closed++;
        clients_close(shard, s);
        return;
    }
    if (!s->block && !s->detaching && s->tail_len >= s->parser.need) shard_set_ready(shard, s);
}

/* ---- output ---- */

/* Who has not shown a password gets little for nothing: a client that does not read errors is closed. */
#define UNAUTHENTICATED_OUTPUT_MAX 1024

static void enforce_output_limit(struct shard *shard, struct session *s)
{
    static const struct config_output_limit stranger = {.hard_bytes = UNAUTHENTICATED_OUTPUT_MAX};
    const struct config_output_limit *limit = &shard->config.output_limit[CONFIG_CLIENT_NORMAL];
    if (UNLIKELY(!(s->flags & SESSION_AUTHENTICATED))) limit = &stranger;
    if (LIKELY(!limit->hard_bytes && !limit->soft_bytes)) return;
    uint64_t bytes = session_output_bytes(s);
    bytes =
        bytes > REPLY_POOL_BYTES ? bytes - REPLY_POOL_BYTES : 0; /* as in Redis, the first buffer is free */
    bool over_soft = limit->soft_bytes && bytes > limit->soft_bytes;
    if (!over_soft)
        s->over_soft_limit_since_us = 0;
    else if (!s->over_soft_limit_since_us)
        s->over_soft_limit_since_us = shard->now_us;
    bool soft_long = over_soft && shard->now_us - s->over_soft_limit_since_us >= limit->soft_s * 1000000;
    if ((limit->hard_bytes && bytes > limit->hard_bytes) || soft_long) {
        MARK("clients.output_limit");
        shard->stats.output_limit_closed++;
        clients_close(shard, s);
    }
}

static void send_output(struct shard *shard, struct session *s)
{
    if (s->flags & SESSION_CLOSING || s->detaching) return; /* a monitor's lines may come while it moves */
    if (s->out.failed) {
        clients_close(shard, s);
        return;
    }
    enforce_output_limit(shard, s);
    if (s->flags & SESSION_CLOSING) return; /* what is too much is not sent */
    if (!s->sending && reply_len(&s->out)) {
        s->sending = reply_detach(&s->out, &s->sending_len, &s->sending_capacity);
        struct io_slice slice = {s->sending, s->sending_len};
        s->bytes_out += s->sending_len;
        shard->stats.bytes_out += s->sending_len;
        shard->stats.writes++;
        if (!MUTANT(idle_though_answered)) s->last_active_us = shard->now_us; /* as in Redis */
        io_send(s->conn, &slice, 1);
    } else if (!s->sending && s->flags & SESSION_CLOSE_AFTER_REPLY && !s->pending) {
        clients_close(shard, s);
    }
}

void clients_flush_output(struct shard *shard)
{
    while (shard->output) {
        struct session *s = shard->output;
        shard->output = s->output_next;
        s->output_next = NULL;
        s->flags &= ~(uint32_t)SESSION_OUTPUT;
        send_output(shard, s);
        clients_release_if_done(shard, s);
    }
}

void clients_sent(struct shard *shard, struct session *s, int64_t result)
{
    if (result < 0)
        uncount_memory(shard, s->sending_capacity);
    else if (!MUTANT(idle_though_answered))
        s->last_active_us = shard->now_us;
    buffer_put(shard, s->sending, s->sending_capacity);
    s->sending = NULL;
    s->sending_len = s->sending_capacity = 0;
    if (result < 0)
        clients_close(shard, s);
    else if (reply_len(&s->out) || s->flags & (SESSION_CLOSE_AFTER_REPLY | SESSION_PEER_END))
        shard_want_output(shard, s);
    if (s->flags & SESSION_MOVING) clients_detach_if_quiet(shard, s);
}

/* ---- moving to another shard ---- */

void clients_detach_if_quiet(struct shard *shard, struct session *s)
{
    if (s->flags & (SESSION_CLOSING | SESSION_READY | SESSION_OUTPUT | SESSION_CLOSE_AFTER_REPLY)) return;
    if (s->detaching || s->inflight || s->borrow || s->scatter || s->sending || s->pending || s->input ||
        reply_len(&s->out) || (s->block && s->block != SESSION_WAITS_RESHARD))
        return;
    stop_waiting(shard, s); /* goes on waiting where it arrives */
    s->detaching = true;
    io_detach(s->conn);
}

/* It was closed on its way out. */
static void discard(struct shard *shard, struct session *s)
{
    MARK("clients.closed_in_move");
    io_discard(shard->io, s->moving_socket);
    s->moving_socket = IO_SOCKET_NONE;
    s->flags |= SESSION_CLOSED;
    clients_release_if_done(shard, s);
}

/* IO_DETACHED: the session goes with its socket. Without a credit it is tried again from cron. */
void clients_detached(struct shard *shard, struct session *s, io_socket socket)
{
    s->conn = NULL;
    s->moving_socket = socket;
    if (s->flags & SESSION_CLOSING)
        discard(shard, s);
    else
        clients_ship(shard, s);
}

bool clients_ship(struct shard *shard, struct session *s)
{
    /* It may have been picked in an earlier reshard, for a shard that is gone by now. */
    if (s->moving_to >= shard->shard_count && !MUTANT(ships_to_the_gone)) s->moving_to %= shard->shard_count;
    if (s->moving_to == shard->index) {
        unlink_session(shard, s);
        count(shard, -1, 0);
        clients_take_session(shard, s, s->moving_socket);
        return true;
    }
    struct message *message = mail_reserve_data(shard, s->moving_to);
    if (!message) {
        MARK("clients.move_waits");
        return false;
    }
    MARK("clients.moved");
    unlink_session(shard, s);
    count(shard, -1, 0);
    message->kind = MESSAGE_SESSION;
    message->payload = s;
    message->words[0] = (uint64_t)s->moving_socket;
    return true;
}

void clients_take_session(struct shard *shard, struct session *s, io_socket socket)
{
    s->flags &= ~(uint32_t)SESSION_MOVING;
    s->detaching = false;
    s->moving_socket = IO_SOCKET_NONE;
    link_session(shard, s);
    if (s->flags & SESSION_MONITOR) monitor_add(shard, s);
    count(shard, 1, 0);
    s->conn = io_attach(shard->io, socket, s);
    if (!s->conn) {
        io_discard(shard->io, socket);
        s->flags |= SESSION_CLOSED | SESSION_CLOSING;
        clients_release_if_done(shard, s);
        return;
    }
    if (s->tail_len && !MUTANT(moved_session_sleeps)) shard_set_ready(shard, s);
    if (reply_len(&s->out)) shard_want_output(shard, s);
}

/* Shard 0 decides how many leave a shard (reshard.c); here they are picked and, when quiet, detached. */
void clients_move(struct shard *shard, uint16_t target, uint32_t count)
{
    for (struct session *s = shard->sessions; s && count; s = s->all_next) {
        if (s->flags & (SESSION_MOVING | SESSION_CLOSING)) continue;
        s->flags |= SESSION_MOVING;
        s->moving_to = target;
        count--;
        clients_detach_if_quiet(shard, s);
    }
}

/* ---- periodic ---- */

/* Has nothing under way: also not what has waited and is about to run (after CLIENT PAUSE). */
static bool is_idle(const struct session *s)
{
    bool is_due = s->flags & SESSION_READY || s->inflight;
    return !s->block && !(s->flags & SESSION_MONITOR) && (!is_due || MUTANT(idle_though_answered));
}

void clients_cron(struct shard *shard)
{
    int64_t timeout_us = shard->config.timeout_s * 1000000;
    shard->client_bytes = clients_pool_bytes(shard);
    for (struct session *s = shard->sessions, *next; s; s = next) {
        next = s->all_next;
        shard->client_bytes += session_memory(s);
        if (s->moving_socket != IO_SOCKET_NONE) {
            if (s->flags & SESSION_CLOSING)
                discard(shard, s);
            else
                clients_ship(shard, s);
            continue;
        }
        if (s->flags & SESSION_MOVING) clients_detach_if_quiet(shard, s);
        if (timeout_us && is_idle(s) && shard->now_us - s->last_active_us > timeout_us)
            clients_close(shard, s);
        else if (!(s->flags & SESSION_CLOSING) && !MUTANT(soft_limit_idle))
            enforce_output_limit(shard, s);
        clients_release_if_done(shard, s);
    }
}
