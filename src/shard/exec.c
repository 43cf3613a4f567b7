/* EXEC: runs the queued commands with all their partitions held. A queued command that asks every shard
 * (INFO, CONFIG SET) suspends the *session*, not the handler: the partitions stay held, so the transaction
 * stays isolated, and the run goes on at the same command when the answers are there. Meanwhile what it has
 * answered so far stands aside: nothing gets between the parts of one reply, and CLIENT REPLY SKIP can drop
 * it whole. The transaction's time stands still. A client that goes in between changes nothing: EXEC runs to
 * its end (exec_finish). */
#include "shard/internal.h"

#include "base/mark.h"
#include "base/mutant.h"

static void end(struct shard *shard, struct session *session)
{
    session_unwatch(session, shard->node->partitions);
    session_multi_reset(session);
}

static bool refused(struct shard *shard, struct session *session, struct reply *reply)
{
    if (session->multi.dirty) {
        reply_error(reply, "EXECABORT Transaction discarded because of previous errors.");
        meter_error(shard, reply);
        shard->command_stats[command_lookup("exec", 4)->id].failed++;
        return true;
    }
    if (session_watch_is_dirty(session, shard->node->partitions)) {
        MARK("exec.watch_dirty");
        reply_null_array(reply);
        return true;
    }
    return false;
}

/* EXEC's own time is little: what its commands take is theirs, in the log and in the statistics. */
static void count_exec(struct shard *shard, const struct session *session, const struct slice *argv)
{
    const struct command *command = command_lookup("exec", 4);
    shard->command_stats[command->id].calls++;
    shard->stats.commands++;
    if (LIKELY(!shard->monitor_shards)) return;
    struct command_context line = {.command = command, .argv = argv, .argc = 1, .db = session->db};
    monitor_command(shard, session, &line);
}

/* EXEC itself, for watchers: its commands were told one by one. */
static void tell(struct shard *shard, const struct session *session, struct reply *reply,
                 const struct slice *argv)
{
    if (LIKELY(!shard->node->host.executed)) return;
    struct command_context ctx = {.command = command_lookup("exec", 4),
                                  .argv = argv,
                                  .argc = 1,
                                  .db = session->db,
                                  .reply = reply,
                                  .now_ms = shard->env.now_ms};
    shard->node->host.executed(shard->node->host.context, shard, session, &ctx, session->multi.reply_start);
}

static void set_aside(struct session *session, struct reply *reply)
{
    struct session_multi *multi = &session->multi;
    reply_raw(&multi->aside, reply->begin + multi->reply_start, reply_len(reply) - multi->reply_start);
    if (multi->aside.failed) session->out.failed = true;
    reply_truncate(reply, multi->reply_start);
}

static void take_back(struct session *session, struct reply *reply)
{
    struct session_multi *multi = &session->multi;
    multi->reply_start = reply_len(reply);
    reply_raw(reply, multi->aside.begin, reply_len(&multi->aside));
    reply_free(&multi->aside);
    reply_init(&multi->aside, 2);
}

/* A transaction has one time, however long its commands have to ask: else what it watches could die in it. */
static int64_t set_time(struct shard *shard, int64_t now_ms)
{
    int64_t before_ms = shard->env.now_ms;
    if (!MUTANT(exec_time_goes_on)) shard->env.now_ms = shard->ctx.now_ms = now_ms;
    return before_ms;
}

bool exec_run(struct shard *shard, struct session *session, const struct slice *argv)
{
    struct session_multi *multi = &session->multi;
    clients_provide_buffer(shard, session);
    struct reply *reply = session_reply(session);
    bool silent = session->flags & (SESSION_REPLY_OFF | SESSION_REPLY_SKIP);
    reply->resp = session->resp;
    if (multi->running) {
        take_back(session, reply);
    } else {
        multi->reply_start = reply_len(reply);
        if (refused(shard, session, reply)) {
            tell(shard, session, reply, argv);
            if (silent) reply_truncate(reply, multi->reply_start);
            session->flags &= ~(uint32_t)SESSION_REPLY_SKIP;
            count_exec(shard, session, argv);
            end(shard, session);
            return true;
        }
        reply_array(reply, multi->count);
        multi->running = true;
        multi->now_ms = shard->env.now_ms;
    }
    int64_t turn_ms = set_time(shard, multi->now_ms);
    bool is_unit = shard->env.record_unit_end != NULL;
    if (is_unit) mutate_unit_begin(&shard->env);
    for (; multi->next < multi->count; multi->next++) {
        struct session_queued *queued = &multi->items[multi->next];
        dispatch_context(shard, session, queued->command, queued->argv, queued->argc);
        shard->ctx.in_multi = true;
        if (queued->command->route == COMMAND_ROUTE_SCATTER) {
            if (!session->scatter && !dispatch_ask(shard, session)) continue;
            if (session->scatter->answered < session->scatter->count) {
                MARK("exec.suspended");
                session->block = SESSION_WAITS_SCATTER;
                if (!MUTANT(exec_answers_in_parts)) set_aside(session, reply);
                if (is_unit) mutate_unit_end(&shard->env); /* others run meanwhile: record.h */
                set_time(shard, turn_ms);
                return false;
            }
        }
        shard->no_touch = dispatch_no_touch(session, queued->command);
        dispatch_call(shard, session, &shard->ctx);
        if (UNLIKELY(shard->monitor_shards)) monitor_command(shard, session, &shard->ctx);
        scatter_free(session);
    }
    if (is_unit) mutate_unit_end(&shard->env);
    tell(shard, session, reply, argv);
    set_time(shard, turn_ms);
    if (silent) reply_truncate(reply, multi->reply_start);
    session->flags &= ~(uint32_t)SESSION_REPLY_SKIP;
    count_exec(shard, session, argv);
    session->commands++;
    end(shard, session);
    return true;
}

bool exec_finish(struct shard *shard, struct session *session)
{
    static const struct slice argv[] = {SLICE("EXEC")};
    MARK("exec.client_gone");
    shard->executing = session; /* not released while it runs */
    bool is_done = exec_run(shard, session, argv);
    shard->executing = NULL;
    if (is_done) borrow_end(shard, session);
    return is_done;
}

/* Only reached outside MULTI: dispatch hands a transaction to exec_run. */
void cmd_exec(struct command_context *ctx)
{
    reply_error(ctx->reply, "ERR EXEC without MULTI");
}
