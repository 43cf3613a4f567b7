/* Lend, run, return: how one command gets partitions of several shards.
 *
 * The borrower asks owners one after the other in ascending shard order, its own shard at its place, the next
 * only after the grant: all wait in the same order, so nobody waits in a circle. An owner grants a request
 * when all it names are home and no earlier request waits for one of them; commands that queued for a
 * partition run before it is lent again. While it holds the partitions the borrower is a plain
 * single-threaded Redis.
 *
 * Model: test/spin/lend.pml. Tests: test/blackbox (torn MSET, lost SMOVE members).
 */
#include "shard/internal.h"

#include "base/mark.h"
#include "base/mutant.h"
#include <stdlib.h>

/* ---- the borrower ---- */

static struct bitmap256 owned_by(const struct shard *shard, struct bitmap256 wanted, uint16_t owner)
{
    struct bitmap256 part = {0};
    for (int p = bitmap_next(&wanted, 0); p >= 0; p = bitmap_next(&wanted, (unsigned)p + 1))
        if (shard->owner[p] == owner) bitmap_add(&part, (unsigned)p);
    return part;
}

static void take(struct shard *shard, struct borrow *borrow, struct bitmap256 partitions)
{
    for (int p = bitmap_next(&partitions, 0); p >= 0; p = bitmap_next(&partitions, (unsigned)p + 1))
        partition_hold(shard->node->partitions[p], &shard->env);
    borrow->held = bitmap_or(borrow->held, partitions);
}

static bool can_lend(const struct shard *shard, struct bitmap256 wanted, const struct lend_request *before)
{
    for (int p = bitmap_next(&wanted, 0); p >= 0; p = bitmap_next(&wanted, (unsigned)p + 1))
        if (shard->state[p] != PARTITION_HOME) return false;
    for (const struct lend_request *r = shard->lend_queue; r && r != before; r = r->next) {
        struct bitmap256 common = bitmap_and(r->wanted, wanted);
        if (!bitmap_is_empty(&common)) return false;
    }
    return true;
}

static void mark_lent(struct shard *shard, struct bitmap256 partitions)
{
    for (int p = bitmap_next(&partitions, 0); p >= 0; p = bitmap_next(&partitions, (unsigned)p + 1)) {
        DCHECK(shard->state[p] == PARTITION_HOME);
        shard->state[p] = PARTITION_LENT;
        memory_note_lent(shard, (uint16_t)p);
    }
}

static void enqueue(struct shard *shard, uint16_t from, struct borrow *borrow, struct bitmap256 wanted)
{
    struct lend_request *request = malloc(sizeof *request);
    CHECK(request);
    *request = (struct lend_request){.wanted = wanted, .borrow = borrow, .from = from};
    MARK("lend.queued");
    *shard->lend_queue_end = request;
    shard->lend_queue_end = &request->next;
}

/* Asks the next owner; complete when there is none left. */
void borrow_continue(struct shard *shard, struct borrow *borrow)
{
    for (; borrow->asking < shard->actors; borrow->asking++) {
        struct bitmap256 part = owned_by(shard, borrow->wanted, borrow->asking);
        part = bitmap_without(part, borrow->held);
        if (bitmap_is_empty(&part)) continue;
        if (borrow->asking == shard->index) {
            if (!can_lend(shard, part, NULL)) {
                enqueue(shard, shard->index, borrow, part);
                return;
            }
            mark_lent(shard, part);
            take(shard, borrow, part);
            continue;
        }
        struct message *message = mail_reserve_patient(shard, borrow->asking);
        if (!message) { /* goes on when the credit is back */
            MARK("lend.no_credit");
            if (shard->borrow_waiters) MARK("lend.no_credit_again");
            borrow->next = shard->borrow_waiters;
            shard->borrow_waiters = borrow;
            return;
        }
        message->kind = MESSAGE_LEND;
        message->payload = borrow;
        memcpy(message->words, &part, sizeof part);
        return;
    }
    borrow->complete = true;
    struct session *session = borrow->session;
    if (session->block == SESSION_WAITS_BORROW) {
        session->block = SESSION_RUNNING;
        shard_set_ready(shard, session);
    }
}

/* A mutant's wrong order: what is home is taken before any other shard has been asked. */
static void borrow_own(struct shard *shard, struct borrow *borrow)
{
    struct bitmap256 own = owned_by(shard, borrow->wanted, shard->index);
    if (bitmap_is_empty(&own) || !can_lend(shard, own, NULL)) return;
    mark_lent(shard, own);
    take(shard, borrow, own);
}

bool borrow_begin(struct shard *shard, struct session *session, struct bitmap256 wanted)
{
    struct borrow *borrow = calloc(1, sizeof *borrow);
    CHECK(borrow);
    borrow->session = session;
    borrow->wanted = wanted;
    session->borrow = borrow;
    shard->stats.borrows++;
    if (MUTANT(borrow_own_first)) borrow_own(shard, borrow);
    borrow_continue(shard, borrow);
    return borrow->complete;
}

void borrow_granted(struct shard *shard, struct borrow *borrow, struct bitmap256 granted)
{
    struct session *session = borrow->session;
    take(shard, borrow, granted);
    borrow_continue(shard, borrow);
    /* A session that is gone borrowed to give up its watches. */
    if (session->flags & SESSION_CLOSED) {
        MARK("lend.granted_to_closed");
        clients_release_if_done(shard, session);
    }
}

/* Gives everything back: own partitions are home at once, others travel with this turn's mail. */
void borrow_end(struct shard *shard, struct session *session)
{
    struct borrow *borrow = session->borrow;
    if (!borrow) return;
    CHECK(borrow->complete);
    struct bitmap256 own = owned_by(shard, borrow->held, shard->index);
    struct bitmap256 foreign = bitmap_without(borrow->held, own);
    for (int p = bitmap_next(&foreign, 0); p >= 0; p = bitmap_next(&foreign, (unsigned)p + 1)) {
        partition_hold(shard->node->partitions[p], NULL);
        bitmap_add(&shard->returning[shard->owner[p]], (unsigned)p);
    }
    session->borrow = NULL;
    free(borrow);
    if (!bitmap_is_empty(&own)) lend_returned(shard, own);
}

/* ---- the lender ---- */

void lend_asked(struct shard *shard, uint16_t from, struct borrow *borrow, struct bitmap256 wanted)
{
    enqueue(shard, from, borrow, wanted);
}

void lend_returned(struct shard *shard, struct bitmap256 partitions)
{
    for (int p = bitmap_next(&partitions, 0); p >= 0; p = bitmap_next(&partitions, (unsigned)p + 1)) {
        CHECK(shard->state[p] == PARTITION_LENT);
        shard->state[p] = PARTITION_HOME;
        partition_hold(shard->node->partitions[p], &shard->env);
        if (shard->node->partitions[p]->pending) shard->env.pending = true;
        if (shard->config.maxmemory_bytes) memory_written(shard, shard->node->partitions[p]); /* perhaps */
        if (MUTANT(lent_deadline_forgotten)) continue;
        shard->expiry_ms[p] = partition_next_expiry_ms(shard->node->partitions[p]);
        if (shard->expiry_ms[p] < shard->env.next_expiry_ms) shard->env.next_expiry_ms = shard->expiry_ms[p];
    }
    /* What queued for them runs before they are lent again. */
    shard->returned = true;
}

static void grant(struct shard *shard, struct lend_request *request)
{
    mark_lent(shard, request->wanted);
    if (request->from == shard->index) {
        borrow_granted(shard, request->borrow, request->wanted);
        return;
    }
    for (int p = bitmap_next(&request->wanted, 0); p >= 0; p = bitmap_next(&request->wanted, (unsigned)p + 1))
        partition_hold(shard->node->partitions[p], NULL);
    struct message *message = mail_reserve_control(shard, request->from);
    message->kind = MESSAGE_GRANT;
    message->payload = request->borrow;
    memcpy(message->words, &request->wanted, sizeof request->wanted);
}

void lend_grant_waiting(struct shard *shard)
{
    for (struct lend_request **link = &shard->lend_queue; *link;) {
        struct lend_request *request = *link;
        if (!can_lend(shard, request->wanted, request)) {
            link = &request->next;
            continue;
        }
        *link = request->next;
        if (!*link) shard->lend_queue_end = link;
        grant(shard, request);
        free(request);
    }
}
