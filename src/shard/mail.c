/* Mail: the two lanes between actors. Requests take a credit and go by the data lane; answers bring it back
 * by the control lane, which always has room for them: CONTROL_SLOTS >= 2 * DATA_SLOTS, and what is not an
 * answer (returns of partitions, notes) uses at most the other half and waits, merged, when that is full.
 *
 * Requests whose answer may wait for partitions to come home (batches, lending, reshard) leave the last
 * credit to those that are answered at once: a transaction that holds such partitions and asks all shards
 * (INFO) would otherwise wait for credits that come back when it gives its partitions back.
 *
 * Wake-up: a consumer announces that it sleeps, then looks at its rings once more; a producer publishes, then
 * looks at the announcement; a full fence stands between on both sides, so one of the two sees the other.
 * Models: test/spin/mailbox.pml (wake-up), test/spin/lanes.pml (lanes and credits).
 */
#include "shard/internal.h"

#include "base/mutant.h"

struct message *mail_reserve_data(struct shard *shard, uint16_t to)
{
    CHECK(to != shard->index);
    if (shard->credits[to] == 0) return NULL;
    struct message *message = ring_reserve(shard->node->rings[shard->index][to][LANE_DATA]);
    CHECK(message); /* credits <= DATA_SLOTS */
    shard->credits[to]--;
    if (!MUTANT(data_not_published)) bitmap_add(&shard->to_wake, to);
    *message = (struct message){.from = (uint8_t)shard->index};
    return message;
}

struct message *mail_reserve_patient(struct shard *shard, uint16_t to)
{
    return mail_may_send(shard, to) ? mail_reserve_data(shard, to) : NULL;
}

struct message *mail_reserve_control(struct shard *shard, uint16_t to)
{
    struct message *message = ring_reserve(shard->node->rings[shard->index][to][LANE_CONTROL]);
    CHECK(message);
    bitmap_add(&shard->to_wake, to);
    *message = (struct message){.from = (uint8_t)shard->index};
    return message;
}

static bool has_spare_control(struct shard *shard, uint16_t to)
{
    return ring_has_room(shard->node->rings[shard->index][to][LANE_CONTROL], DATA_SLOTS + 1);
}

static void send_merged(struct shard *shard, uint16_t to)
{
    if (!bitmap_is_empty(&shard->returning[to]) && has_spare_control(shard, to)) {
        struct message *message = mail_reserve_control(shard, to);
        message->kind = MESSAGE_RETURN;
        memcpy(message->words, &shard->returning[to], sizeof shard->returning[to]);
        shard->returning[to] = (struct bitmap256){0};
    }
    if (to == 0 && (shard->ended_sessions || shard->session_change) && has_spare_control(shard, to)) {
        struct message *message = mail_reserve_control(shard, to);
        message->kind = MESSAGE_NOTE;
        message->token = shard->ended_sessions;
        message->words[0] = (uint64_t)shard->session_change;
        shard->ended_sessions = 0;
        shard->session_change = 0;
    }
}

/* Data before answers, and shard 0 after all others: who hears the answer to a phase of a reshard, or hears
 * of it through shard 0, finds what was sent before it. */
static void publish_to(struct shard *shard, unsigned to)
{
    ring_publish(shard->node->rings[shard->index][to][LANE_DATA]);
    ring_publish(shard->node->rings[shard->index][to][LANE_CONTROL]);
}

void mail_publish(struct shard *shard)
{
    struct node *node = shard->node;
    for (uint16_t to = 0; to < shard->actors; to++)
        if (to != shard->index) send_merged(shard, to);
    if (bitmap_is_empty(&shard->to_wake)) return;
    for (int to = bitmap_next(&shard->to_wake, 1); to >= 0;
         to = bitmap_next(&shard->to_wake, (unsigned)to + 1))
        publish_to(shard, (unsigned)to);
    if (bitmap_has(&shard->to_wake, 0)) publish_to(shard, 0);
    atomic_thread_fence(memory_order_seq_cst);
    for (int to = bitmap_next(&shard->to_wake, 0); to >= 0;
         to = bitmap_next(&shard->to_wake, (unsigned)to + 1)) {
        if (atomic_load_explicit(&node->sleeping[to], memory_order_relaxed) &&
            atomic_exchange(&node->sleeping[to], false))
            io_wake(shard_io(node->shards[to]));
    }
    shard->to_wake = (struct bitmap256){0};
}

bool mail_is_empty(struct shard *shard)
{
    for (uint16_t from = 0; from < shard->actors; from++) {
        if (from == shard->index) continue;
        for (int lane = 0; lane < LANE_COUNT; lane++)
            if (!ring_is_empty(shard->node->rings[from][shard->index][lane])) return false;
    }
    return true;
}

static struct bitmap256 partitions_in(const struct message *message)
{
    struct bitmap256 partitions;
    memcpy(&partitions, message->words, sizeof partitions);
    return partitions;
}

static void credit_back(struct shard *shard, uint16_t from)
{
    CHECK(shard->credits[from] < DATA_SLOTS);
    shard->credits[from]++;
}

static void take_control(struct shard *shard, const struct message *message)
{
    switch ((enum message_kind)message->kind) {
    case MESSAGE_BATCH_DONE:
        credit_back(shard, message->from);
        remote_take_replies(shard, message->payload);
        break;
    case MESSAGE_GRANT:
        credit_back(shard, message->from);
        borrow_granted(shard, message->payload, partitions_in(message));
        break;
    case MESSAGE_SCATTER_DONE:
        credit_back(shard, message->from);
        scatter_answered(shard, message->payload);
        break;
    case MESSAGE_TAKEN: credit_back(shard, message->from); break;
    case MESSAGE_RESHARD_DONE:
        credit_back(shard, message->from);
        reshard_message(shard,
                        message); /* may end the actor that sent it: nothing of it is used after this */
        break;
    case MESSAGE_RETURN: lend_returned(shard, partitions_in(message)); break;
    case MESSAGE_NOTE:
        clients_counted(shard, message->from, (int64_t)message->words[0], message->token);
        break;
    default: CHECK(!"a control message of a known kind");
    }
}

static void answer(struct shard *shard, uint16_t to, enum message_kind kind, void *payload)
{
    struct message *message = mail_reserve_control(shard, to);
    message->kind = (uint8_t)kind;
    message->payload = payload;
}

static void take_data(struct shard *shard, const struct message *message)
{
    switch ((enum message_kind)message->kind) {
    case MESSAGE_BATCH: remote_run_batch(shard, message->payload); break;
    case MESSAGE_LEND: lend_asked(shard, message->from, message->payload, partitions_in(message)); break;
    case MESSAGE_SCATTER:
        scatter_run_here(shard, message->payload);
        answer(shard, message->from, MESSAGE_SCATTER_DONE, message->payload);
        break;
    case MESSAGE_SOCKET:
        clients_adopt(shard, (io_socket)message->words[0], message->words[1], message->words[2]);
        answer(shard, message->from, MESSAGE_TAKEN, NULL);
        break;
    case MESSAGE_SESSION:
        clients_take_session(shard, message->payload, (io_socket)message->words[0]);
        answer(shard, message->from, MESSAGE_TAKEN, NULL);
        break;
    case MESSAGE_FEED:
        monitor_fed(shard, message);
        answer(shard, message->from, MESSAGE_TAKEN, NULL);
        break;
    case MESSAGE_MONITOR:
        monitor_feed_to(shard, message->from, message->small);
        answer(shard, message->from, MESSAGE_TAKEN, NULL);
        break;
    case MESSAGE_RESHARD: reshard_message(shard, message); break;
    default: CHECK(!"a data message of a known kind");
    }
}

static void receive(struct shard *shard, uint16_t from, enum lane lane)
{
    struct ring *ring = shard->node->rings[from][shard->index][lane];
    for (struct message *slot; (slot = ring_peek(ring));) {
        struct message message = *slot;
        ring_release(ring);
        if (lane == LANE_CONTROL)
            take_control(shard, &message);
        else
            take_data(shard, &message);
    }
}

/* Control first, so that what data needs (partitions, credits) is there. Rings are looked at one after the
 * other: one may get a message just after its turn that is older than one which is found in a later ring. */
void mail_receive(struct shard *shard)
{
    const struct node_host *host = &shard->node->host;
    for (int lane = LANE_CONTROL; lane >= LANE_DATA; lane--) {
        for (uint16_t from = 0; from < shard->actors; from++) {
            if (from == shard->index) continue;
            if (UNLIKELY(host->mail_late != NULL) &&
                host->mail_late(host->context, from, shard->index, (enum lane)lane))
                continue;
            receive(shard, from, (enum lane)lane);
        }
    }
}

void mail_receive_last(struct shard *shard, uint16_t from)
{
    receive(shard, from, LANE_CONTROL);
    receive(shard, from, LANE_DATA);
}
