/* See trace_mail.h. A ring's indexes count all messages since it was made, when the node began; so the
 * trace's own counts, which begin with the node, tell what is new. Slots that were published in this turn
 * still hold their message: nobody else has run. */
#include "sim/trace_mail.h"
#include "shard/internal.h"

static const char *kind_name(uint8_t kind)
{
    switch ((enum message_kind)kind) {
    case MESSAGE_BATCH: return "batch";
    case MESSAGE_LEND: return "lend";
    case MESSAGE_SCATTER: return "scatter";
    case MESSAGE_SESSION: return "session";
    case MESSAGE_SOCKET: return "socket";
    case MESSAGE_RESHARD: return "reshard";
    case MESSAGE_FEED: return "feed";
    case MESSAGE_MONITOR: return "monitor";
    case MESSAGE_STOP: return "stop";
    case MESSAGE_BATCH_DONE: return "batch done";
    case MESSAGE_GRANT: return "grant";
    case MESSAGE_RETURN: return "return";
    case MESSAGE_SCATTER_DONE: return "scatter done";
    case MESSAGE_TAKEN: return "taken";
    case MESSAGE_RESHARD_DONE: return "reshard done";
    case MESSAGE_NOTE: return "note";
    }
    return "of another kind";
}

void trace_mail(struct trace *trace, int64_t now_us, int index, const struct node *node, int shard)
{
    for (int other = 0; other < SHARDS_MAX; other++) {
        for (int lane = 0; lane < LANE_COUNT; lane++) {
            uint32_t sent, taken;
            struct ring *in = node->rings[other][shard][lane], *out = node->rings[shard][other][lane];
            if (in) {
                uint32_t head = atomic_load_explicit(&in->head, memory_order_relaxed);
                trace_mail_counts(trace, index, other, shard, lane, &sent, &taken);
                while (taken++ != head) trace_taken(trace, now_us, index, other, shard, lane);
            }
            if (out) {
                uint32_t tail = atomic_load_explicit(&out->tail, memory_order_relaxed);
                trace_mail_counts(trace, index, shard, other, lane, &sent, &taken);
                for (; sent != tail; sent++) {
                    uint8_t kind = out->slots[sent & (out->capacity - 1)].kind;
                    trace_sent(trace, now_us, index, shard, other, lane, kind_name(kind));
                }
            }
        }
    }
}
