/* Dispatch: from the bytes of ready sessions to executed commands.
 *
 * A round takes up to BATCH_MAX commands from the sessions that have input, in stages, so that cache and TLB
 * misses of different commands overlap: parse, hash and prefetch the directory; the bucket; the item; execute
 * in order. A command that has to wait blocks its session: its input is rewound to that command and parsed
 * again when the session is woken. So nothing but raw bytes is kept for waiting sessions, and a command
 * handler never suspends.
 *
 * Order (design: a session's commands take effect in its order): with requests on other shards in flight, a
 * read may overtake reads, requests to the same shard follow each other in its mailbox, and everything else
 * waits. `pipeline-order relaxed` lifts that; replies come in order in any case.
 */
#include "shard/internal.h"

#include "base/mark.h"
#include "base/mutant.h"
#include <stdio.h>

enum verdict { DONE, WAIT };

static bool is_relaxed(const struct shard *shard)
{
    return shard->config.pipeline_order == CONFIG_ORDER_RELAXED;
}

/* ---- what a command touches ---- */

static uint16_t scan_partition(const struct slice *argv)
{
    uint64_t cursor = 0;
    command_parse_cursor(argv[1], &cursor); /* the handler refuses a bad one */
    return (uint16_t)(cursor & (PARTITION_COUNT - 1));
}

static uint16_t partition_of_key(struct slice key)
{
    return PARTITION_OF_SLOT(key_slot(key.ptr, key.len));
}

void dispatch_partitions(const struct shard *shard, const struct command *command, const struct slice *argv,
                         int argc, struct bitmap256 *out)
{
    struct command_keys keys;
    switch ((enum command_route)command->route) {
    case COMMAND_ROUTE_KEY:
        if (command->key_first < argc) bitmap_add(out, partition_of_key(argv[command->key_first]));
        break;
    case COMMAND_ROUTE_KEYS:
        if (!command_keys(command, argv, (size_t)argc, &keys)) break;
        if (keys.unnamed) *out = bitmap_all();
        for (uint32_t r = 0; r < keys.range_count; r++)
            for (uint32_t k = 0; k < keys.range[r].count; k++)
                bitmap_add(out, partition_of_key(argv[keys.range[r].first + k * keys.range[r].step]));
        break;
    case COMMAND_ROUTE_ALL: *out = bitmap_all(); break;
    case COMMAND_ROUTE_SCAN: bitmap_add(out, scan_partition(argv)); break;
    default: break;
    }
}

/* ---- running one command here ---- */

void dispatch_context(struct shard *shard, struct session *session, const struct command *command,
                      const struct slice *argv, int argc)
{
    struct command_context *ctx = &shard->ctx;
    ctx->argv = argv;
    ctx->argc = argc;
    ctx->db = session->db;
    ctx->in_multi = false;
    ctx->command = command;
    clients_provide_buffer(shard, session);
    ctx->reply = session_reply(session);
    ctx->reply->resp = session->resp;
    ctx->session = session;
    ctx->partition = NULL;
    ctx->scan_partitions = 0;
}

#define MUCH_BYTES 32768 /* a command that has moved this much has perhaps taken long */

static inline bool moved_much(const struct command_context *ctx, size_t reply_before, uint64_t memory_before)
{
    if (reply_len(ctx->reply) - reply_before > MUCH_BYTES || ctx->argv[ctx->argc - 1].len > MUCH_BYTES)
        return true;
    return ctx->partition && partition_memory(ctx->partition) + MUCH_BYTES - memory_before > 2 * MUCH_BYTES;
}

void dispatch_call(struct shard *shard, const struct session *session, struct command_context *ctx)
{
    const struct command *command = ctx->command;
    struct command_stats *stats = &shard->command_stats[command->id];
    struct stats_span *span = &shard->span;
    uint32_t errors = ctx->reply->errors;
    size_t reply_start = reply_len(ctx->reply);
    bool is_unit = shard->env.record_unit_end != NULL;
    if (UNLIKELY(is_unit)) mutate_unit_begin(&shard->env);
    shard->stats.commands++;
    stats->calls++;
    shard->env.no_touch = stats->no_touch || shard->no_touch;
    /* During CLIENT PAUSE reads change nothing; a write (of a transaction that began before) does. */
    if (UNLIKELY(shard->pause_until_us != 0)) shard->env.expired_stay = !(command->flags & COMMAND_WRITE);
    if (LIKELY(stats->is_fast && !shard->time_alone)) {
        uint64_t memory_before = ctx->partition ? partition_memory(ctx->partition) : 0;
        command->handler(ctx);
        span->commands[span->count++] = command->id;
        bool is_big = moved_much(ctx, reply_start, memory_before);
        if (UNLIKELY(is_big || span->count == STATS_SPAN_MAX)) meter_end_span(shard, ctx, is_big);
    } else {
        meter_call_alone(shard, ctx);
    }
    if (UNLIKELY(shard->config.maxmemory_bytes != 0) && command->flags & COMMAND_WRITE)
        memory_command_wrote(shard, ctx);
    if (UNLIKELY(is_unit)) mutate_unit_end(&shard->env);
    if (UNLIKELY(ctx->reply->errors != errors)) {
        stats->failed++;
        meter_error(shard, ctx->reply);
    }
    if (UNLIKELY(shard->node->host.executed != NULL))
        shard->node->host.executed(shard->node->host.context, shard, session, ctx, reply_start);
}

static bool is_quiet_reply(const struct session *session)
{
    return session->flags & (SESSION_REPLY_OFF | SESSION_REPLY_SKIP);
}

static void call_here(struct shard *shard, struct session *session)
{
    struct command_context *ctx = &shard->ctx;
    size_t before = reply_len(ctx->reply);
    shard->no_touch = dispatch_no_touch(session, ctx->command);
    dispatch_call(shard, session, ctx);
    if (UNLIKELY(shard->monitor_shards)) monitor_command(shard, session, ctx);
    if (UNLIKELY(is_quiet_reply(session))) {
        /* A change of shards is answered later, or not (await_reshard). */
        if (!(session->flags & SESSION_RESHARDS)) session->flags &= ~(uint32_t)SESSION_REPLY_SKIP;
        reply_truncate(ctx->reply, before);
    }
    if (UNLIKELY(session->flags & SESSION_REPLY_SKIP_NEXT)) {
        session->flags &= ~(uint32_t)SESSION_REPLY_SKIP_NEXT;
        session->flags |= SESSION_REPLY_SKIP;
    }
    session->commands++;
    session->last_command = ctx->command;
}

/* ---- refusals before a command runs ---- */

static void refuse(struct shard *shard, struct session *session, const char *error)
{
    struct reply *reply = session_reply(session);
    size_t before = reply_len(reply);
    reply->resp = session->resp;
    reply_error(reply, error);
    meter_error(shard, reply);
    if (is_quiet_reply(session)) reply_truncate(reply, before);
    session->flags &= ~(uint32_t)SESSION_REPLY_SKIP;
    if (session->in_multi && !MUTANT(multi_error_runs)) session->multi.dirty = true;
}

/* A refused EXEC ends its transaction and its watches. They are given up at the next EXEC, DISCARD or
 * UNWATCH, since that needs their partitions; until then they are void. */
static void refuse_exec(struct shard *shard, struct session *session, const char *reason)
{
    char text[512];
    const char *without_code = strncmp(reason, "ERR ", 4) == 0 ? reason + 4 : reason;
    snprintf(text, sizeof text, "EXECABORT Transaction discarded because of: %s", without_code);
    refuse(shard, session, text);
    session_multi_reset(session);
    session->watch_void = session->watch_count;
}

static void refuse_unknown(struct shard *shard, struct session *session, const struct request *request,
                           const struct slice *argv)
{
    char text[512];
    size_t n = 0;
    if (request->container) {
        int shown = argv[1].len < COMMAND_WORD_SHOWN ? (int)argv[1].len : COMMAND_WORD_SHOWN;
        char upper[COMMAND_WORD_SHOWN + 1];
        command_upper_word(argv[0], upper);
        snprintf(text, sizeof text, "ERR unknown subcommand '%.*s'. Try %s HELP.", shown, argv[1].ptr, upper);
        refuse(shard, session, text);
        return;
    }
    int shown = argv[0].len < 128 ? (int)argv[0].len : 128;
    n = (size_t)snprintf(text, sizeof text, "ERR unknown command '%.*s', with args beginning with: ", shown,
                         argv[0].ptr);
    size_t args_start = n;
    for (uint32_t i = 1; i < request->argc && n - args_start < 128; i++) {
        int left = 128 - (int)(n - args_start);
        int len = argv[i].len < (size_t)left ? (int)argv[i].len : left;
        n += (size_t)snprintf(text + n, sizeof text - n, "'%.*s' ", len, argv[i].ptr);
    }
    refuse(shard, session, text);
}

static bool is_transaction_control(const struct command *command)
{
    command_handler *h = command->handler;
    return h == cmd_exec || h == cmd_discard || h == cmd_multi || h == cmd_watch || h == cmd_quit ||
           h == cmd_reset;
}

/* DEBUG is the one protected command that there is. */
static bool may_debug(const struct shard *shard, const struct session *session)
{
    enum config_allow allow = shard->config.enable_debug_command;
    return allow == CONFIG_ALLOW_YES || (allow == CONFIG_ALLOW_LOCAL && session_is_local(session));
}

/* NULL when the command may run. */
static const char *reason_to_refuse(struct shard *shard, struct session *session,
                                    const struct request *request, char *buf, size_t buf_len)
{
    const struct command *command = request->command;
    bool is_supported =
        command->status == COMMAND_SUPPORTED && (command->handler || command->subcommand_count);
    if (!command_arity_fits(command, request->argc) || (is_supported && !command->handler)) {
        snprintf(buf, buf_len, "ERR wrong number of arguments for '%s' command", command->full_name);
        return buf;
    }
    if (!is_supported) {
        snprintf(buf, buf_len, "ERR command '%s' is not supported by weft%s", command->full_name,
                 command->status == COMMAND_LATER ? " yet" : "");
        return buf;
    }
    if (!(session->flags & SESSION_AUTHENTICATED) && !(command->flags & COMMAND_NO_AUTH))
        return "NOAUTH Authentication required.";
    if (UNLIKELY(command->flags & COMMAND_PROTECTED) && !may_debug(shard, session))
        return "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", "
               "you can run it from a local connection, otherwise you need to set this option in the "
               "configuration file, and then restart the server.";
    if (session->in_multi && command->flags & COMMAND_NO_MULTI)
        return "ERR Command not allowed inside a transaction";
    return NULL;
}

static const char *const out_of_memory = "OOM command not allowed when used memory > 'maxmemory'.";

/* Makes room before any command. Does this one need it? */
static enum memory_room room_for(struct shard *shard, const struct session *session,
                                 const struct command *command)
{
    if (LIKELY(!shard->config.maxmemory_bytes)) return MEMORY_ROOM;
    unsigned flags = command->flags;
    if (command->handler == cmd_exec && !MUTANT(exec_ignores_oom)) flags |= session->multi.any_flags;
    if (command->handler == cmd_exec && MUTANT(exec_read_only_oom)) flags |= COMMAND_DENYOOM;
    enum memory_room room = memory_make_room(shard);
    return flags & COMMAND_DENYOOM ? room : MEMORY_ROOM;
}

/* ---- routes ---- */

static enum verdict wait_for(struct session *session, struct session **list, enum session_block why)
{
    if (list)
        shard_wait_in(list, session, why);
    else
        session->block = (uint8_t)why;
    return WAIT;
}

/* May a request for `target` start now, as far as the session's order goes? */
static bool order_allows(const struct shard *shard, const struct session *session,
                         const struct command *command, uint16_t target)
{
    if (session->inflight == 0 || session->inflight_shard == target) return true;
    bool is_read = !(command->flags & (COMMAND_WRITE | COMMAND_MAY_REPLICATE));
    return (is_read && (!session->inflight_write || MUTANT(read_overtakes_write))) || is_relaxed(shard);
}

uint16_t dispatch_scannable(const struct shard *shard, uint16_t first)
{
    uint16_t n = 0;
    while (first + n < PARTITION_COUNT && shard->state[first + n] == PARTITION_HOME) n++;
    return n;
}

static enum verdict run_on_partition(struct shard *shard, struct session *session,
                                     const struct request *request, const struct slice *argv,
                                     uint16_t partition)
{
    const struct command *command = request->command;
    uint16_t target = shard->owner[partition];
    if (UNLIKELY(!order_allows(shard, session, command, target))) {
        MARK("dispatch.order_waits");
        return wait_for(session, NULL, SESSION_WAITS_REPLIES);
    }
    if (target != shard->index) {
        struct request sent = *request;
        sent.partition = partition;
        if (!request->staged) sent.key.hash = 0;
        if (remote_send(shard, session, &sent, argv, target)) return DONE;
        return wait_for(session, &shard->credit_waiters, SESSION_WAITS_CREDIT);
    }
    if (UNLIKELY(shard->state[partition] != PARTITION_HOME)) {
        MARK("dispatch.partition_lent");
        return wait_for(session, &shard->partition_waiters, SESSION_WAITS_PARTITION);
    }
    dispatch_context(shard, session, command, argv, (int)request->argc);
    struct command_context *ctx = &shard->ctx;
    if (LIKELY(request->staged)) {
        ctx->key = request->key;
        ctx->key.db = session->db;
        ctx->partition = shard->node->partitions[partition];
    } else if (command->route == COMMAND_ROUTE_SCAN) {
        ctx->scan_partitions = dispatch_scannable(shard, partition);
    }
    call_here(shard, session);
    return DONE;
}

static bool all_home(const struct shard *shard, const struct bitmap256 *partitions)
{
    for (int p = bitmap_next(partitions, 0); p >= 0; p = bitmap_next(partitions, (unsigned)p + 1))
        if (shard->state[p] != PARTITION_HOME) return false;
    return true;
}

/* Gathers partitions; true when the command may run now. One that `suspends` has to hold them, also those
 * that are here: others run before it goes on. */
static bool gather(struct shard *shard, struct session *session, const struct bitmap256 *wanted,
                   bool suspends)
{
    if (session->borrow) return session->borrow->complete;
    if (session->inflight && !is_relaxed(shard)) {
        session->block = SESSION_WAITS_REPLIES;
        return false;
    }
    if (bitmap_is_empty(wanted) || (!suspends && all_home(shard, wanted))) return true;
    if (borrow_begin(shard, session, *wanted)) return true;
    session->block = SESSION_WAITS_BORROW;
    return false;
}

static bool needs_session(const struct command *command)
{
    return command->handler == cmd_watch;
}

static enum verdict run_on_several(struct shard *shard, struct session *session,
                                   const struct request *request, const struct slice *argv)
{
    struct bitmap256 wanted = {0};
    dispatch_partitions(shard, request->command, argv, (int)request->argc, &wanted);
    if (!session->borrow && !needs_session(request->command)) {
        int first = bitmap_next(&wanted, 0);
        if (first >= 0 && bitmap_next(&wanted, (unsigned)first + 1) < 0)
            return run_on_partition(shard, session, request, argv, (uint16_t)first);
    }
    if (!gather(shard, session, &wanted, false)) return WAIT;
    dispatch_context(shard, session, request->command, argv, (int)request->argc);
    call_here(shard, session);
    borrow_end(shard, session);
    return DONE;
}

/* Commands of the session itself. Some touch watched keys or run a transaction. */
static enum verdict run_on_session(struct shard *shard, struct session *session,
                                   const struct request *request, const struct slice *argv)
{
    command_handler *handler = request->command->handler;
    bool is_exec = handler == cmd_exec;
    bool ends_watch = is_exec || handler == cmd_discard || handler == cmd_unwatch || handler == cmd_reset;
    struct bitmap256 wanted = {0};
    bool suspends = false;
    if (ends_watch && !(is_exec && MUTANT(exec_watch_unborrowed))) session_watch_partitions(session, &wanted);
    if (is_exec && session->in_multi && !session->multi.dirty)
        for (uint32_t i = 0; i < session->multi.count; i++) {
            const struct session_queued *q = &session->multi.items[i];
            dispatch_partitions(shard, q->command, q->argv, q->argc, &wanted);
            suspends |= q->command->route == COMMAND_ROUTE_SCATTER && !MUTANT(exec_holds_nothing_here);
        }
    if (ends_watch && !gather(shard, session, &wanted, suspends)) return WAIT;
    dispatch_context(shard, session, request->command, argv, (int)request->argc);
    if (is_exec && session->in_multi) {
        if (!exec_run(shard, session, argv)) return WAIT;
    } else {
        call_here(shard, session);
    }
    borrow_end(shard, session);
    return DONE;
}

bool dispatch_ask(struct shard *shard, struct session *session)
{
    struct command_context *ctx = &shard->ctx;
    struct command_stats *stats = &shard->command_stats[ctx->command->id];
    uint32_t errors = ctx->reply->errors;
    size_t reply_start = reply_len(ctx->reply);
    ctx->command->handler(ctx);
    if (session->scatter) {
        scatter_send(shard, session->scatter);
        return true;
    }
    shard->stats.commands++; /* answered at once: a bad argument */
    stats->calls++;
    if (ctx->reply->errors != errors && !MUTANT(asked_failures_uncounted)) {
        stats->failed++;
        meter_error(shard, ctx->reply);
    }
    if (UNLIKELY(shard->monitor_shards)) monitor_command(shard, session, ctx);
    if (UNLIKELY(shard->node->host.executed != NULL))
        shard->node->host.executed(shard->node->host.context, shard, session, ctx, reply_start);
    return false;
}

/* CONFIG SET shards is answered when all is done; until then the session may itself move to another shard. */
static enum verdict await_reshard(struct shard *shard, struct session *session)
{
    if (atomic_load(&shard->node->resharding))
        return wait_for(session, &shard->reshard_waiters, SESSION_WAITS_RESHARD);
    session->flags &= ~(uint32_t)SESSION_RESHARDS;
    struct reply *reply = session_reply(session);
    if (!is_quiet_reply(session)) reply_ok(reply);
    session->flags &= ~(uint32_t)SESSION_REPLY_SKIP;
    return DONE;
}

static enum verdict run_scatter(struct shard *shard, struct session *session, const struct request *request,
                                const struct slice *argv)
{
    if (session->inflight && !is_relaxed(shard)) return wait_for(session, NULL, SESSION_WAITS_REPLIES);
    dispatch_context(shard, session, request->command, argv, (int)request->argc);
    if (!session->scatter) {
        size_t before = reply_len(shard->ctx.reply);
        if (!dispatch_ask(shard, session)) {
            if (is_quiet_reply(session)) reply_truncate(shard->ctx.reply, before);
            session->flags &= ~(uint32_t)SESSION_REPLY_SKIP;
            return DONE;
        }
    }
    if (session->scatter->answered < session->scatter->count)
        return wait_for(session, NULL, SESSION_WAITS_SCATTER);
    call_here(shard, session);
    scatter_free(session);
    if (UNLIKELY(session->flags & SESSION_RESHARDS)) return await_reshard(shard, session);
    return DONE;
}

static bool is_paused(struct shard *shard, const struct session *session, const struct command *command)
{
    if (LIKELY(!shard->pause_until_us)) return false;
    if (command->handler == cmd_client_unpause) return false; /* Redis lets this wait, too */
    if (shard->pause_until_us <= shard->now_us) return false;
    unsigned flags = command->flags;
    if (command->handler == cmd_exec) flags |= session->multi.any_flags;
    return !shard->pause_writes_only || flags & (COMMAND_WRITE | COMMAND_MAY_REPLICATE);
}

static enum verdict run(struct shard *shard, struct session *session, const struct request *request,
                        const struct slice *argv)
{
    const struct command *command = request->command;
    char buf[160];
    if (UNLIKELY(session->flags & SESSION_RESHARDS)) return await_reshard(shard, session);
    if (UNLIKELY(!command)) {
        refuse_unknown(shard, session, request, argv);
        return DONE;
    }
    bool goes_on = session->borrow || session->scatter; /* it was let in before it waited */
    const char *reason = goes_on ? NULL : reason_to_refuse(shard, session, request, buf, sizeof buf);
    if (!goes_on && !reason) {
        enum memory_room room = room_for(shard, session, command);
        if (UNLIKELY(room == MEMORY_ROOM_LATER)) {
            MARK("dispatch.memory_waits");
            return wait_for(session, &shard->memory_waiters, SESSION_WAITS_MEMORY);
        }
        if (UNLIKELY(room == MEMORY_FULL)) reason = out_of_memory;
    }
    if (UNLIKELY(reason != NULL)) {
        shard->command_stats[command->id].rejected++;
        if (command->handler == cmd_exec)
            refuse_exec(shard, session, reason);
        else
            refuse(shard, session, reason);
        return DONE;
    }
    if (UNLIKELY(!goes_on && is_paused(shard, session, command)))
        return wait_for(session, &shard->pause_waiters, SESSION_WAITS_PAUSE);
    if (UNLIKELY(session->in_multi) && !is_transaction_control(command)) {
        if (!session_queue(session, command, argv, (int)request->argc)) {
            clients_close(shard, session);
            return DONE;
        }
        struct reply *reply = session_reply(session);
        if (!is_quiet_reply(session)) reply_queued(reply);
        session->flags &= ~(uint32_t)SESSION_REPLY_SKIP;
        return DONE;
    }
    if (UNLIKELY(shard->quiet && !goes_on) &&
        !(MUTANT(quiet_lets_reads) && !(command->flags & COMMAND_WRITE)))
        return wait_for(session, &shard->reshard_waiters, SESSION_WAITS_RESHARD);
    switch ((enum command_route)command->route) {
    case COMMAND_ROUTE_KEY:
        return run_on_partition(shard, session, request, argv,
                                request->staged ? request->partition
                                                : partition_of_key(argv[command->key_first]));
    case COMMAND_ROUTE_SCAN: return run_on_partition(shard, session, request, argv, scan_partition(argv));
    case COMMAND_ROUTE_KEYS:
    case COMMAND_ROUTE_ALL: return run_on_several(shard, session, request, argv);
    case COMMAND_ROUTE_SCATTER: return run_scatter(shard, session, request, argv);
    case COMMAND_ROUTE_SESSION: break;
    }
    return run_on_session(shard, session, request, argv);
}

/* ---- the stages ---- */

static void refuse_stream(struct shard *shard, struct session *session)
{
    char text[RESP_ERROR_MAX];
    struct reply *reply = session_reply(session);
    reply->resp = session->resp;
    reply_error_bytes(reply, text, resp_parser_error(&session->parser, text));
    session->flags |= SESSION_CLOSE_AFTER_REPLY;
    meter_error(shard, reply);
}

static void execute(struct shard *shard, struct request *request)
{
    struct session *session = request->session;
    if (UNLIKELY(session->block || session->flags & (SESSION_CLOSING | SESSION_CLOSE_AFTER_REPLY))) return;
    const struct slice *argv = shard->args.items + request->args_at;
    if (UNLIKELY(request->argc == 0)) {
        refuse_stream(shard, session);
    } else {
        shard->executing = session;
        enum verdict verdict = run(shard, session, request, argv);
        shard->executing = NULL;
        if (UNLIKELY(verdict == WAIT)) {
            MARK("dispatch.rewound");
            DCHECK(session->block);
            session->input_at = request->start; /* parsed again from here when it is woken */
            if (!MUTANT(rewind_keeps_parser)) resp_parser_reset(&session->parser);
        }
    }
    shard_want_output(shard, session);
}

/* Hash, slot and first prefetch for a single-key command whose key is here. */
static void stage(struct shard *shard, struct request *request)
{
    const struct command *command = request->command;
    if (!command || command->route != COMMAND_ROUTE_KEY || command->key_first >= (int)request->argc) return;
    struct slice name = shard->args.items[request->args_at + (uint32_t)command->key_first];
    request->partition = partition_of_key(name);
    request->key =
        (struct key){.name = name, .hash = key_hash(&shard->env, name), .db = request->session->db};
    request->staged = true;
    if (LIKELY(shard->state[request->partition] == PARTITION_HOME))
        partition_prefetch_directory(shard->node->partitions[request->partition], &request->key);
}

/* Parses commands of one session into the round. True when all its input is taken. */
static bool parse_session(struct shard *shard, struct session *session)
{
    struct resp_limits limits = {.bulk_len_max = shard->config.proto_max_bulk_len,
                                 .unauthenticated = !(session->flags & SESSION_AUTHENTICATED)};
    while (session->input_at < session->input_len) {
        if (shard->request_count == BATCH_MAX) return false;
        struct request *request = &shard->requests[shard->request_count];
        uint32_t args_at = shard->args.count;
        size_t consumed = 0;
        int status = resp_parse(&session->parser, &limits, session->input + session->input_at,
                                session->input_len - session->input_at, &shard->args, &consumed);
        size_t start = session->input_at;
        session->input_at += consumed;
        if (status == RESP_MORE) return true;
        if (UNLIKELY(status == RESP_NO_MEMORY)) {
            clients_close(shard, session);
            return true;
        }
        *request = (struct request){.session = session, .args_at = args_at, .start = (uint32_t)start};
        shard->request_count++;
        if (UNLIKELY(status == RESP_ERROR)) {
            session->input_at = session->input_len;
            return true;
        }
        request->end = (uint32_t)session->input_at;
        request->argc = shard->args.count - args_at;
        request->command = command_resolve_renamed(&shard->config, shard->args.items + args_at, request->argc,
                                                   &request->container);
        stage(shard, request);
    }
    return true;
}

/* Takes commands from ready sessions until the round is full. Returns the sessions that gave some. */
static int collect(struct shard *shard, struct session **round)
{
    int count = 0;
    while (shard->ready && shard->request_count < BATCH_MAX) {
        struct session *session = shard->ready;
        uint32_t before = shard->request_count;
        bool all = true;
        if (!session->input) {
            session->input = session->tail;
            session->input_len = session->tail_len;
            session->input_at = 0;
        }
        if (!session->block && !(session->flags & (SESSION_CLOSING | SESSION_CLOSE_AFTER_REPLY)))
            all = parse_session(shard, session);
        if (shard->request_count > before) round[count++] = session;
        if (!all) break; /* the round is full; this session stays at the head */
        shard->ready = session->ready_next;
        if (!shard->ready) shard->ready_last = NULL;
        session->ready_next = NULL;
        session->flags &= ~(uint32_t)SESSION_READY;
        if (shard->request_count == before) {
            if (!session_keep_input(session)) clients_close(shard, session);
            clients_release_if_done(shard, session);
        }
    }
    return count;
}

static void settle(struct shard *shard, struct session *session)
{
    if (session->flags & SESSION_READY && !session->block) return; /* still at the head with more input */
    if (!session_keep_input(session)) clients_close(shard, session);
    clients_release_if_done(shard, session);
}

static inline void prefetch(struct shard *shard, void (*stage_of)(struct partition *, const struct key *))
{
    for (uint32_t i = 0; i < shard->request_count; i++) {
        const struct request *request = &shard->requests[i];
        if (request->staged && shard->state[request->partition] == PARTITION_HOME)
            stage_of(shard->node->partitions[request->partition], &request->key);
    }
}

void dispatch_ready(struct shard *shard)
{
    struct session *round[BATCH_MAX];
    while (shard->ready) {
        shard->request_count = 0;
        resp_args_clear(&shard->args);
        int sessions = collect(shard, round);
        prefetch(shard, partition_prefetch_bucket);
        prefetch(shard, partition_prefetch_item);
        for (uint32_t i = 0; i < shard->request_count; i++) execute(shard, &shard->requests[i]);
        meter_round_end(shard);
        for (int i = 0; i < sessions; i++) settle(shard, round[i]);
    }
}
