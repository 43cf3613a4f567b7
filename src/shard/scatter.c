/* Scatter: one question to every shard, the answers gathered in shard order. The struct travels by pointer:
 * each shard writes its own part only, and the mailbox orders the hand-over. */
#include "shard/internal.h"

#include "base/mark.h"
#include <stdlib.h>

const struct scatter_part *scatter_parts(struct command_context *ctx, uint16_t *count)
{
    struct scatter *scatter = ctx->session->scatter;
    if (!scatter) return NULL;
    CHECK(scatter->answered == scatter->count);
    *count = scatter->count;
    return scatter->parts;
}

void scatter_ask(struct command_context *ctx, scatter_run *run, void *argument)
{
    struct shard *shard = ctx->shard;
    /* Not all actors: those that leave after a reshard end at a time that others do not know. */
    struct scatter *scatter = calloc(1, sizeof *scatter + shard->shard_count * sizeof scatter->parts[0]);
    CHECK(scatter && !ctx->session->scatter);
    scatter->session = ctx->session;
    scatter->run = run;
    scatter->argument = argument;
    scatter->count = shard->shard_count;
    for (int i = 0; i < scatter->count; i++) reply_init(&scatter->parts[i].bytes, ctx->reply->resp);
    ctx->session->scatter = scatter;
}

void scatter_run_here(struct shard *shard, struct scatter *scatter)
{
    scatter->run(shard, scatter->argument, &scatter->parts[shard->index]);
}

/* Asks the shards that were not asked yet, as far as credits go; the rest when a credit is back. */
void scatter_send(struct shard *shard, struct scatter *scatter)
{
    for (; scatter->asked < scatter->count; scatter->asked++) {
        if (scatter->asked == shard->index) {
            scatter_run_here(shard, scatter);
            scatter->answered++;
            continue;
        }
        struct message *message = mail_reserve_data(shard, scatter->asked);
        if (!message) {
            MARK("scatter.no_credit");
            scatter->next = shard->scatter_waiters;
            shard->scatter_waiters = scatter;
            return;
        }
        message->kind = MESSAGE_SCATTER;
        message->payload = scatter;
    }
}

void scatter_answered(struct shard *shard, struct scatter *scatter)
{
    struct session *session = scatter->session;
    if (++scatter->answered < scatter->count) return;
    if (session->flags & SESSION_CLOSING) {
        MARK("scatter.client_gone");
        session->block = SESSION_RUNNING;
        clients_release_if_done(shard, session);
        return;
    }
    if (session->block != SESSION_WAITS_SCATTER) return;
    session->block = SESSION_RUNNING;
    shard_set_ready(shard, session);
}

void scatter_free(struct session *session)
{
    struct scatter *scatter = session->scatter;
    if (!scatter) return;
    for (int i = 0; i < scatter->count; i++) reply_free(&scatter->parts[i].bytes);
    free(scatter->argument);
    free(scatter);
    session->scatter = NULL;
}
