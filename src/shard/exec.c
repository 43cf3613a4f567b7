/* EXEC: runs the queued commands with all their partitions held. A queued command that asks every shard
 * (INFO, CONFIG SET) suspends the *session*, not the handler: the partitions stay held, so the transaction
 * stays isolated, and the run goes on at the same command when the answers are there. */
#include "shard/internal.h"

#include "base/mark.h"

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

bool exec_run(struct shard *shard, struct session *session)
{
    struct session_multi *multi = &session->multi;
    struct reply *reply = session_reply(session);
    const struct slice *argv = shard->ctx.argv;
    bool silent = session->flags & (SESSION_REPLY_OFF | SESSION_REPLY_SKIP);
    reply->resp = session->resp;
    if (multi->next == 0 && !session->scatter) {
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
    }
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
                if (is_unit) mutate_unit_end(&shard->env); /* others run meanwhile: record.h */
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
    if (silent) reply_truncate(reply, multi->reply_start);
    session->flags &= ~(uint32_t)SESSION_REPLY_SKIP;
    count_exec(shard, session, argv);
    session->commands++;
    end(shard, session);
    return true;
}

/* Only reached outside MULTI: dispatch hands a transaction to exec_run. */
void cmd_exec(struct command_context *ctx)
{
    reply_error(ctx->reply, "ERR EXEC without MULTI");
}
