/* trace: what a simulated run did, event by event, for people: `weft-sim --trace FILE` writes it, a page
 * plays it.
 *
 *     TRACE(trace, turn, now_us, node, shard, cost_us, commands, messages);
 *
 * calls trace_turn(trace, ...) if `trace` is not NULL; else it costs one branch and evaluates no argument.
 * The functions themselves want a trace. A trace observes: nothing that it does may change the run.
 *
 * The file. Lines of JSON, one event each, in the order of the calls; its schema is in sim/TRACE.md. A FILE
 * that ends in ".html" gets the page with the same lines inside: one self-contained file. Text from clients
 * is binary; it is written as redis-cli shows it (\xff, \n, \\) in valid UTF-8, cut at a stated length. No
 * line holds a "<", so a trace may stand in a page as it is.
 *
 * Bounds (24 MiB of memory for lines, a file of about 18). Events are of three classes: *frame* (world,
 * options, end) is always kept; *rare* (starts, crashes, faults, clocks, reshard, logs, marks, verdicts) and
 * *dense* (turns, messages, connections, commands, replies, values) each fill a ring of their own in which
 * the newest events push out the oldest: what leads to a failure is at the end. What was pushed out is
 * counted by kind, and a histogram of all events over the whole run is kept. A window [from_us, until_us)
 * confines the dense events to itself: a run can be repeated with one.
 *
 * Times are virtual microseconds since the run began. `node` and `shard` count from 0; -1 stands for "none"
 * or "all". `client` counts from 0, -1: none. `op` is a number that the simulator gives to each client
 * command, unique in the run; 0: none. Strings are copied. One thread. Tests: test/sim/trace_page_test.py.
 */
#ifndef WEFT_SIM_TRACE_H
#define WEFT_SIM_TRACE_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include "base/check.h"
#include "base/slice.h"

struct trace;

#define TRACE(trace, event, ...)                                                                             \
    do {                                                                                                     \
        if (UNLIKELY(trace)) trace_##event((trace), __VA_ARGS__);                                            \
    } while (0)

/* ---- a trace's life ---- */
struct trace_options {
    const char *path;          /* ".html": the page itself */
    int64_t from_us, until_us; /* dense events outside are counted only; {0, 0}: the whole run */
    size_t limit_bytes;        /* of the lines; 0: 24 MiB */
};
/* The file is opened at once, and written by trace_close(). NULL: *error is -errno. */
struct trace *trace_open(const struct trace_options *options, int *error);
/* The last event, then the file. `hash` is the run's as it is printed ("" without one), `verdict` one
 * sentence, `failed` what decides the exit status. 0 or -errno; the trace is gone in either case. */
int trace_close(struct trace *trace, int64_t now_us, const char *hash, bool failed, const char *verdict);
/* For a handler of SIGABRT or SIGTERM: writes what is there, as a run that `reason` (a literal without
 * quotes) cut short. Calls nothing but lseek, ftruncate and write. The trace must not be used afterwards. */
void trace_rescue(struct trace *trace, const char *reason);

/* ---- the frame: at the start ---- */
/* `replay` is the command line that runs the same again. */
void trace_world(struct trace *trace, uint64_t seed, int nodes, int shards, int clients, const char *replay,
                 const char *version);
/* One line of the plan that the seed drew: ("schedule", "starve node 1"), ("faults", "net.drop 0.01 ...") */
void trace_plan(struct trace *trace, const char *name, const char *value);

/* ---- nodes ---- */
enum trace_node_event { TRACE_NODE_START, TRACE_NODE_CRASH, TRACE_NODE_STOP, TRACE_NODE_RESTART };
/* `shards`: with which it (re)starts. `detail`: why, or "". Messages in its rings are gone after a crash. */
void trace_node(struct trace *trace, int64_t now_us, enum trace_node_event event, int node, int shards,
                const char *detail);
/* The wall clock of a node jumps by `step_us` and is `offset_us` off from then on; `drift_ppm` likewise. */
void trace_clock(struct trace *trace, int64_t now_us, int node, int64_t step_us, int64_t offset_us,
                 int64_t drift_ppm);
/* `phase`: "asked", "quiet", "fences", "moving", "done" ... */
void trace_reshard(struct trace *trace, int64_t now_us, int node, const char *phase, int shards_from,
                   int shards_to);
/* `level` 0 debug, 1 verbose, 2 notice, 3 warning. */
void trace_log(struct trace *trace, int64_t now_us, int node, int level, const char *sentence);

/* ---- shards ---- */
/* A turn that began now and took `cost_us`. Turns of one shard that touch each other become one event, and
 * turns with neither commands nor messages are only counted. */
void trace_turn(struct trace *trace, int64_t now_us, int node, int shard, int64_t cost_us, int commands,
                int messages);
/* A message enters the ring (node, from, to, lane) / the receiver has taken the oldest of that ring. `lane`
 * is enum lane of shard/node.h: 0 data, 1 control. `kind` is a literal: the pointer is kept. The event is
 * written when the message is taken, or is lost because the node crashes. sim/trace_mail.h does this after
 * each turn. */
void trace_sent(struct trace *trace, int64_t now_us, int node, int from, int to, int lane, const char *kind);
void trace_taken(struct trace *trace, int64_t now_us, int node, int from, int to, int lane);
/* How many of them there were in that ring since the node began. */
void trace_mail_counts(struct trace *trace, int node, int from, int to, int lane, uint32_t *sent,
                       uint32_t *taken);
/* A message whose fate is known when it is sent (between nodes, say): taken_us -1: lost, and why. */
void trace_packet(struct trace *trace, int64_t sent_us, int64_t taken_us, int from_node, int to_node,
                  const char *kind, size_t bytes, const char *fate);

/* ---- clients ---- */
void trace_connect(struct trace *trace, int64_t now_us, int client, int node, const char *what);
void trace_disconnect(struct trace *trace, int64_t now_us, int client, int node, const char *why);
void trace_command(struct trace *trace, int64_t now_us, int client, uint64_t op, const struct slice *argv,
                   size_t argc);
/* `resp`: the reply as it came, RESP2 or RESP3 bytes; what is no valid RESP is shown as text. */
void trace_reply(struct trace *trace, int64_t now_us, int client, uint64_t op, int64_t latency_us,
                 const char *resp, size_t len);
/* A push message (pub/sub, invalidation) or any other bytes that answer no command. */
void trace_push(struct trace *trace, int64_t now_us, int client, const char *resp, size_t len);

/* ---- data ---- */
/* A command took effect, in the shard's own order. `op` and `client` where the simulator knows them. */
void trace_applied(struct trace *trace, int64_t now_us, int node, int shard, int db, int client, uint64_t op,
                   const struct slice *argv, size_t argc, const char *resp, size_t len);
/* After trace_applied(), for each key that the command named, read or wrote: what the key is now. `type` is
 * "string", "list" ... or "none" when there is no such key; `value`: of a string its bytes, of the others
 * text for people ("a b c"), taken as it is; only the first TRACE_VALUE_MAX bytes are looked at. `ttl_ms`:
 * what is left, -1: no TTL. `cause`: "" for the command before it, or why a key changed without one
 * ("expired", "evicted", "flushed"). sim/trace_model.h does this for the keys of a model. */
void trace_key(struct trace *trace, int64_t now_us, int node, int shard, int db, struct slice key,
               const char *type, struct slice value, int64_t ttl_ms, const char *cause);
#define TRACE_VALUE_MAX 160
#define TRACE_TEXT_MAX  120 /* of an argument, a reply's element, a key */

/* ---- faults and findings ---- */
/* `name` as in the atlas ("net.clog_send"). `detail`: its parameters, for people. duration_us 0: it happened
 * at this moment; > 0: it lasts so long; -1: until trace_fault_end() with the same name, node and shard. */
void trace_fault(struct trace *trace, int64_t now_us, const char *name, int node, int shard, int client,
                 int64_t duration_us, const char *detail);
/* Faults of which only a counter is known: `total` firings of fault number `index` so far; those that are new
 * are one event. Use sim/trace_world.h. */
void trace_fired(struct trace *trace, int64_t now_us, int index, const char *name, uint64_t total);
#define TRACE_FIRED_MAX 256
void trace_fault_end(struct trace *trace, int64_t now_us, const char *name, int node, int shard);
/* An oracle's finding. ok: `checked` things held (once, at the end). Else: the complaint, in whole sentences,
 * lines separated by \n, and where it is known: the operation, its client, node, shard, and the key. */
struct trace_place {
    uint64_t op;
    int client, node, shard, db;
    struct slice key; /* {NULL, 0}: none */
};
void trace_verdict(struct trace *trace, int64_t now_us, const char *oracle, bool ok, uint64_t checked,
                   const char *complaint, const struct trace_place *place);
/* A rare branch was reached for the first time. */
void trace_mark(struct trace *trace, int64_t now_us, int node, const char *name);
/* Anything else worth seeing: "healing begins", "client 3 sends hostile bytes". */
void trace_note(struct trace *trace, int64_t now_us, int node, int shard, int client, const char *sentence);

#endif
