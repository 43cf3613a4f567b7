/* trace_mail: the messages between a node's shards, for its trace, read off the rings after each turn. */
#ifndef WEFT_SIM_TRACE_MAIL_H
#define WEFT_SIM_TRACE_MAIL_H

#include "shard/node.h"
#include "sim/trace.h"

/* After a turn of `shard`, before any other shard of the node has one: what it has sent and taken meanwhile
 * is told to the trace. `index` is the node's number. Changes nothing in the node. Use: TRACE(trace, mail,
 * ...) */
void trace_mail(struct trace *trace, int64_t now_us, int index, const struct node *node, int shard);

#endif
