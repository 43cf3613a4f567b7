/* See trace.h. Each function here makes one line (trace_text.h) and hands it to the store (trace_store.h),
 * which bounds what is kept. What is remembered between calls: an unfinished turn per shard, the messages
 * that are in the rings, a histogram, and how often each fault was seen. */
#include "sim/trace.h"
#include "sim/trace_store.h"
#include "sim/trace_text.h"
#include "base/number.h"

#include <errno.h>
#include <stdlib.h>

#define LIMIT_BYTES     (24u << 20)
#define NODES_MAX       64
#define SHARDS_MAX      64
#define LANES           2
#define FLIGHT_MAX      128  /* messages in one ring */
#define TURN_MERGED_US  1000 /* turns that touch become one event up to this length */
#define HISTOGRAM       256
#define FAULT_NAMES_MAX 256
#define RARE_BYTES      160 /* about what a rare event takes: how many of one sort may be rare follows from it */

enum kind {
    WORLD,
    PLAN,
    NODE,
    CLOCK,
    RESHARD,
    LOG,
    TURN,
    MESSAGE,
    PACKET,
    CONNECT,
    DISCONNECT,
    COMMAND,
    REPLY,
    PUSH,
    APPLIED,
    KEY,
    FAULT,
    FAULT_END,
    VERDICT,
    MARK,
    NOTE,
    HIST,
    LOST,
    END,
    KINDS
};
static const char *const kind_names[KINDS] = {"world", "plan", "node", "clk", "rsh",  "log",  "turn", "msg",
                                              "pkt",   "con",  "dis",  "cmd", "rep",  "psh",  "app",  "key",
                                              "flt",   "fle",  "ver",  "mrk", "note", "hist", "lost", "end"};
_Static_assert(KINDS <= TRACE_KINDS_MAX, "the store counts them");

/* What the histogram tells apart. */
enum series { SERIES_TURNS, SERIES_MESSAGES, SERIES_COMMANDS, SERIES_FAULTS, SERIES_COUNT };

struct flight { /* one ring's messages */
    struct {
        int64_t sent_us;
        const char *kind;
    } messages[FLIGHT_MAX];
    uint32_t first, count;
    uint32_t sent, taken; /* since the node began */
};

struct node_trace {
    struct turn {
        int64_t start_us, end_us;
        int commands, messages, turns;
    } turns[SHARDS_MAX];
    struct flight *flights[SHARDS_MAX][SHARDS_MAX][LANES]; /* made when needed */
};

struct fault_name {
    char *name;
    uint32_t seen;
};

struct trace {
    struct trace_store *store;
    int64_t from_us, until_us, last_us;
    struct node_trace *nodes[NODES_MAX]; /* made when needed */
    struct fault_name faults[FAULT_NAMES_MAX];
    int64_t bucket_us; /* the histogram's width; doubles when the run has got longer */
    uint32_t histogram[SERIES_COUNT][HISTOGRAM];
    uint64_t idle_turns, outside; /* not written: turns with nothing to do; dense events outside the window */
    uint64_t fired[TRACE_FIRED_MAX];
    uint32_t rare_max; /* of one sort; what comes after is dense */
    uint32_t logs;
    bool incomplete; /* memory for something was refused: counted as a loss, too */
    struct trace_line line;
};

struct trace *trace_open(const struct trace_options *options, int *error)
{
    struct trace *t = calloc(1, sizeof *t);
    if (!t) {
        *error = -ENOMEM;
        return NULL;
    }
    size_t limit_bytes = options->limit_bytes ? options->limit_bytes : LIMIT_BYTES;
    t->store = trace_store_open(options->path, limit_bytes, error);
    if (!t->store) {
        free(t);
        return NULL;
    }
    t->from_us = options->from_us;
    t->until_us = options->until_us ? options->until_us : INT64_MAX;
    t->bucket_us = 1000;
    t->rare_max = (uint32_t)(limit_bytes / 4 / RARE_BYTES / 32) + 1; /* so 32 sorts fill the ring */
    return t;
}

/* ---- lines ---- */

static struct trace_line *begin(struct trace *t, enum kind kind)
{
    trace_line_begin(&t->line, kind_names[kind]);
    return &t->line;
}

static struct trace_line *begin_at(struct trace *t, enum kind kind, int64_t now_us)
{
    trace_line_i64(begin(t, kind), "t", now_us);
    if (now_us > t->last_us) t->last_us = now_us;
    return &t->line;
}

static void add(struct trace *t, enum kind kind, enum trace_class where, int64_t time_us)
{
    trace_line_end(&t->line);
    trace_store_add(t->store, where, kind, time_us, t->line.bytes, t->line.len);
}

static bool in_window(struct trace *t, int64_t time_us)
{
    bool in = time_us >= t->from_us && time_us < t->until_us;
    t->outside += !in;
    return in;
}

static void count(struct trace *t, enum series series, int64_t time_us)
{
    while (time_us / t->bucket_us >= HISTOGRAM) {
        for (int s = 0; s < SERIES_COUNT; s++) {
            uint32_t *h = t->histogram[s];
            for (int i = 0; i < HISTOGRAM / 2; i++) h[i] = h[2 * i] + h[2 * i + 1];
            memset(h + HISTOGRAM / 2, 0, sizeof *h * (HISTOGRAM / 2));
        }
        t->bucket_us *= 2;
    }
    t->histogram[series][time_us / t->bucket_us]++;
}

static struct node_trace *node_of(struct trace *t, int node)
{
    CHECK(node >= 0 && node < NODES_MAX);
    if (!t->nodes[node]) t->nodes[node] = calloc(1, sizeof *t->nodes[node]);
    if (!t->nodes[node]) t->incomplete = true;
    return t->nodes[node];
}

/* ---- the frame ---- */

void trace_world(struct trace *t, uint64_t seed, int nodes, int shards, int clients, const char *replay,
                 const char *version)
{
    char digits[NUMBER_I64_MAX];
    struct trace_line *line = begin(t, WORLD);
    /* JSON's readers have no 64-bit integers. */
    trace_line_text(line, "seed", (struct slice){digits, number_format_u64(digits, seed)}, sizeof digits);
    trace_line_i64(line, "nodes", nodes);
    trace_line_i64(line, "shards", shards);
    trace_line_i64(line, "clients", clients);
    trace_line_sentence(line, "replay", replay);
    trace_line_sentence(line, "version", version);
    add(t, WORLD, TRACE_FRAME, 0);
}

void trace_plan(struct trace *t, const char *name, const char *value)
{
    struct trace_line *line = begin(t, PLAN);
    trace_line_sentence(line, "f", name);
    trace_line_sentence(line, "x", value);
    add(t, PLAN, TRACE_FRAME, 0);
}

/* ---- shards ---- */

static void turn_flush(struct trace *t, int node, int shard)
{
    struct turn *turn = &t->nodes[node]->turns[shard];
    if (!turn->turns) return;
    trace_line_i64(begin(t, TURN), "t", turn->start_us);
    trace_line_i64(&t->line, "d", turn->end_us - turn->start_us);
    trace_line_i64(&t->line, "n", node);
    trace_line_i64(&t->line, "s", shard);
    trace_line_i64(&t->line, "c", turn->commands);
    trace_line_i64(&t->line, "m", turn->messages);
    trace_line_i64(&t->line, "q", turn->turns);
    add(t, TURN, TRACE_DENSE, turn->start_us);
    turn->turns = 0;
}

void trace_turn(struct trace *t, int64_t now_us, int node, int shard, int64_t cost_us, int commands,
                int messages)
{
    CHECK(shard >= 0 && shard < SHARDS_MAX);
    struct node_trace *n = node_of(t, node);
    if (now_us > t->last_us) t->last_us = now_us;
    if (!n) return;
    if (!commands && !messages) {
        t->idle_turns++;
        return;
    }
    count(t, SERIES_TURNS, now_us);
    if (!in_window(t, now_us)) return;
    struct turn *turn = &n->turns[shard];
    bool touches = turn->turns && now_us <= turn->end_us + 1 && now_us >= turn->start_us &&
                   now_us + cost_us - turn->start_us <= TURN_MERGED_US;
    if (!touches) {
        turn_flush(t, node, shard);
        *turn = (struct turn){.start_us = now_us};
    }
    turn->end_us = now_us + cost_us;
    turn->commands += commands;
    turn->messages += messages;
    turn->turns++;
}

static struct flight *flight_of(struct trace *t, int node, int from, int to, int lane)
{
    CHECK(from >= 0 && from < SHARDS_MAX && to >= 0 && to < SHARDS_MAX && lane >= 0 && lane < LANES);
    struct node_trace *n = node_of(t, node);
    if (!n) return NULL;
    struct flight **flight = &n->flights[from][to][lane];
    if (!*flight) *flight = calloc(1, sizeof **flight);
    if (!*flight) t->incomplete = true;
    return *flight;
}

void trace_sent(struct trace *t, int64_t now_us, int node, int from, int to, int lane, const char *kind)
{
    struct flight *flight = flight_of(t, node, from, to, lane);
    if (!flight) return;
    CHECK(flight->count < FLIGHT_MAX); /* more than any ring holds */
    uint32_t at = (flight->first + flight->count++) % FLIGHT_MAX;
    flight->messages[at].sent_us = now_us;
    flight->messages[at].kind = kind;
    flight->sent++;
}

/* The oldest message of a ring; taken_us -1: it is lost. */
static void message_end(struct trace *t, int64_t taken_us, int node, int from, int to, int lane)
{
    struct flight *flight = t->nodes[node]->flights[from][to][lane];
    int64_t sent_us = flight->messages[flight->first].sent_us;
    const char *kind = flight->messages[flight->first].kind;
    flight->first = (flight->first + 1) % FLIGHT_MAX;
    flight->count--;
    count(t, SERIES_MESSAGES, sent_us);
    if (!in_window(t, sent_us)) return;
    struct trace_line *line = begin_at(t, MESSAGE, sent_us);
    if (taken_us >= 0) trace_line_i64(line, "u", taken_us);
    trace_line_i64(line, "n", node);
    trace_line_i64(line, "a", from);
    trace_line_i64(line, "b", to);
    trace_line_i64(line, "l", lane);
    trace_line_sentence(line, "w", kind);
    add(t, MESSAGE, TRACE_DENSE, sent_us);
}

void trace_taken(struct trace *t, int64_t now_us, int node, int from, int to, int lane)
{
    struct flight *flight = flight_of(t, node, from, to, lane);
    if (!flight || (t->incomplete && !flight->count)) return;
    CHECK(flight->count); /* else the simulator and the rings do not agree */
    flight->taken++;
    message_end(t, now_us, node, from, to, lane);
}

void trace_mail_counts(struct trace *t, int node, int from, int to, int lane, uint32_t *sent, uint32_t *taken)
{
    struct flight *flight = flight_of(t, node, from, to, lane);
    *sent = flight ? flight->sent : 0;
    *taken = flight ? flight->taken : 0;
}

/* A node's unfinished turns and messages end, counts begin anew; `free_it`: its memory goes, too. */
static void node_end(struct trace *t, int node, bool free_it)
{
    if (!t->nodes[node]) return;
    for (int from = 0; from < SHARDS_MAX; from++) {
        turn_flush(t, node, from);
        for (int to = 0; to < SHARDS_MAX; to++) {
            for (int lane = 0; lane < LANES; lane++) {
                struct flight *flight = t->nodes[node]->flights[from][to][lane];
                while (flight && flight->count) message_end(t, -1, node, from, to, lane);
                if (flight) flight->sent = flight->taken = 0;
                if (free_it) free(flight);
            }
        }
    }
    if (!free_it) return;
    free(t->nodes[node]);
    t->nodes[node] = NULL;
}

void trace_packet(struct trace *t, int64_t sent_us, int64_t taken_us, int from_node, int to_node,
                  const char *kind, size_t bytes, const char *fate)
{
    count(t, SERIES_MESSAGES, sent_us);
    if (!in_window(t, sent_us)) return;
    struct trace_line *line = begin_at(t, PACKET, sent_us);
    if (taken_us >= 0) trace_line_i64(line, "u", taken_us);
    trace_line_index(line, "a", from_node);
    trace_line_index(line, "b", to_node);
    trace_line_sentence(line, "w", kind);
    trace_line_i64(line, "z", (int64_t)bytes);
    if (*fate) trace_line_sentence(line, "x", fate);
    add(t, PACKET, TRACE_DENSE, sent_us);
}

/* ---- nodes ---- */

void trace_node(struct trace *t, int64_t now_us, enum trace_node_event event, int node, int shards,
                const char *detail)
{
    static const char *const names[] = {"start", "crash", "stop", "restart"};
    CHECK((unsigned)event < ARRAY_LEN(names) && node_of(t, node));
    node_end(t, node, false);
    struct trace_line *line = begin_at(t, NODE, now_us);
    trace_line_i64(line, "n", node);
    trace_line_sentence(line, "e", names[event]);
    trace_line_i64(line, "s", shards);
    if (*detail) trace_line_sentence(line, "x", detail);
    add(t, NODE, TRACE_RARE, now_us);
}

void trace_clock(struct trace *t, int64_t now_us, int node, int64_t step_us, int64_t offset_us,
                 int64_t drift_ppm)
{
    struct trace_line *line = begin_at(t, CLOCK, now_us);
    trace_line_index(line, "n", node);
    trace_line_i64(line, "step", step_us);
    trace_line_i64(line, "off", offset_us);
    trace_line_i64(line, "ppm", drift_ppm);
    add(t, CLOCK, TRACE_RARE, now_us);
}

void trace_reshard(struct trace *t, int64_t now_us, int node, const char *phase, int shards_from,
                   int shards_to)
{
    struct trace_line *line = begin_at(t, RESHARD, now_us);
    trace_line_index(line, "n", node);
    trace_line_sentence(line, "p", phase);
    trace_line_i64(line, "a", shards_from);
    trace_line_i64(line, "b", shards_to);
    add(t, RESHARD, TRACE_RARE, now_us);
}

void trace_log(struct trace *t, int64_t now_us, int node, int level, const char *sentence)
{
    enum trace_class where = t->logs++ < 4 * t->rare_max ? TRACE_RARE : TRACE_DENSE;
    if (where == TRACE_DENSE && !in_window(t, now_us)) return;
    struct trace_line *line = begin_at(t, LOG, now_us);
    trace_line_index(line, "n", node);
    trace_line_i64(line, "l", level);
    trace_line_sentence(line, "x", sentence);
    add(t, LOG, where, now_us);
}

/* ---- clients ---- */

static void connection(struct trace *t, enum kind kind, int64_t now_us, int client, int node,
                       const char *what)
{
    if (!in_window(t, now_us)) return;
    struct trace_line *line = begin_at(t, kind, now_us);
    trace_line_index(line, "c", client);
    trace_line_index(line, "n", node);
    if (*what) trace_line_sentence(line, "x", what);
    add(t, kind, TRACE_DENSE, now_us);
}

void trace_connect(struct trace *t, int64_t now_us, int client, int node, const char *what)
{
    connection(t, CONNECT, now_us, client, node, what);
}

void trace_disconnect(struct trace *t, int64_t now_us, int client, int node, const char *why)
{
    connection(t, DISCONNECT, now_us, client, node, why);
}

static void put_op(struct trace_line *line, int client, uint64_t op)
{
    trace_line_index(line, "c", client);
    if (op) trace_line_i64(line, "o", (int64_t)op);
}

void trace_command(struct trace *t, int64_t now_us, int client, uint64_t op, const struct slice *argv,
                   size_t argc)
{
    count(t, SERIES_COMMANDS, now_us);
    if (!in_window(t, now_us)) return;
    put_op(begin_at(t, COMMAND, now_us), client, op);
    trace_line_argv(&t->line, "a", argv, argc);
    add(t, COMMAND, TRACE_DENSE, now_us);
}

void trace_reply(struct trace *t, int64_t now_us, int client, uint64_t op, int64_t latency_us,
                 const char *resp, size_t len)
{
    if (!in_window(t, now_us)) return;
    put_op(begin_at(t, REPLY, now_us), client, op);
    trace_line_i64(&t->line, "l", latency_us);
    trace_line_resp(&t->line, "r", resp, len);
    add(t, REPLY, TRACE_DENSE, now_us);
}

void trace_push(struct trace *t, int64_t now_us, int client, const char *resp, size_t len)
{
    if (!in_window(t, now_us)) return;
    put_op(begin_at(t, PUSH, now_us), client, 0);
    trace_line_resp(&t->line, "r", resp, len);
    add(t, PUSH, TRACE_DENSE, now_us);
}

/* ---- data ---- */

void trace_applied(struct trace *t, int64_t now_us, int node, int shard, int db, int client, uint64_t op,
                   const struct slice *argv, size_t argc, const char *resp, size_t len)
{
    if (!in_window(t, now_us)) return;
    struct trace_line *line = begin_at(t, APPLIED, now_us);
    trace_line_index(line, "n", node);
    trace_line_index(line, "s", shard);
    trace_line_i64(line, "d", db);
    put_op(line, client, op);
    trace_line_argv(line, "a", argv, argc);
    trace_line_resp(line, "r", resp, len);
    add(t, APPLIED, TRACE_DENSE, now_us);
}

void trace_key(struct trace *t, int64_t now_us, int node, int shard, int db, struct slice key,
               const char *type, struct slice value, int64_t ttl_ms, const char *cause)
{
    if (!in_window(t, now_us)) return;
    struct trace_line *line = begin_at(t, KEY, now_us);
    trace_line_index(line, "n", node);
    trace_line_index(line, "s", shard);
    trace_line_i64(line, "d", db);
    trace_line_text(line, "key", key, TRACE_TEXT_MAX);
    trace_line_sentence(line, "y", type);
    if (strcmp(type, "string") == 0)
        trace_line_text(line, "v", value, TRACE_VALUE_MAX);
    else
        trace_line_shown(line, "v", value, TRACE_VALUE_MAX);
    if (ttl_ms >= 0) trace_line_i64(line, "x", ttl_ms);
    if (*cause) trace_line_sentence(line, "w", cause);
    add(t, KEY, TRACE_DENSE, now_us);
}

/* ---- faults and findings ---- */

/* Faults of which there are many would push everything else that is rare out of its ring. */
static enum trace_class fault_class(struct trace *t, const char *name)
{
    for (int i = 0; i < FAULT_NAMES_MAX; i++) {
        struct fault_name *f = &t->faults[i];
        if (!f->name && !(f->name = strdup(name))) return TRACE_DENSE;
        if (strcmp(f->name, name) == 0) return f->seen++ < t->rare_max ? TRACE_RARE : TRACE_DENSE;
    }
    return TRACE_DENSE;
}

void trace_fault(struct trace *t, int64_t now_us, const char *name, int node, int shard, int client,
                 int64_t duration_us, const char *detail)
{
    count(t, SERIES_FAULTS, now_us);
    enum trace_class where = fault_class(t, name);
    if (where == TRACE_DENSE && !in_window(t, now_us)) return;
    struct trace_line *line = begin_at(t, FAULT, now_us);
    trace_line_sentence(line, "f", name);
    trace_line_index(line, "n", node);
    trace_line_index(line, "s", shard);
    trace_line_index(line, "c", client);
    if (duration_us) trace_line_i64(line, "d", duration_us);
    if (*detail) trace_line_sentence(line, "x", detail);
    add(t, FAULT, where, now_us);
}

void trace_fired(struct trace *t, int64_t now_us, int index, const char *name, uint64_t total)
{
    CHECK(index >= 0 && index < TRACE_FIRED_MAX && total >= t->fired[index]);
    uint64_t more = total - t->fired[index];
    char detail[NUMBER_I64_MAX + sizeof " times"] = "";
    if (!more) return;
    t->fired[index] = total;
    if (more > 1) strcpy(detail + number_format_u64(detail, more), " times");
    trace_fault(t, now_us, name, -1, -1, -1, 0, detail);
}

void trace_fault_end(struct trace *t, int64_t now_us, const char *name, int node, int shard)
{
    struct trace_line *line = begin_at(t, FAULT_END, now_us);
    trace_line_sentence(line, "f", name);
    trace_line_index(line, "n", node);
    trace_line_index(line, "s", shard);
    add(t, FAULT_END, TRACE_RARE, now_us);
}

void trace_verdict(struct trace *t, int64_t now_us, const char *oracle, bool ok, uint64_t checked,
                   const char *complaint, const struct trace_place *place)
{
    struct trace_line *line = begin_at(t, VERDICT, now_us);
    trace_line_sentence(line, "f", oracle);
    trace_line_bool(line, "ok", ok);
    trace_line_i64(line, "z", (int64_t)checked);
    if (complaint && *complaint) trace_line_sentence(line, "x", complaint);
    if (place) {
        put_op(line, place->client, place->op);
        trace_line_index(line, "n", place->node);
        trace_line_index(line, "s", place->shard);
        trace_line_index(line, "d", place->db);
        if (place->key.ptr) trace_line_text(line, "key", place->key, TRACE_TEXT_MAX);
    }
    add(t, VERDICT, TRACE_FRAME, now_us);
}

void trace_mark(struct trace *t, int64_t now_us, int node, const char *name)
{
    struct trace_line *line = begin_at(t, MARK, now_us);
    trace_line_index(line, "n", node);
    trace_line_sentence(line, "f", name);
    add(t, MARK, TRACE_RARE, now_us);
}

void trace_note(struct trace *t, int64_t now_us, int node, int shard, int client, const char *sentence)
{
    struct trace_line *line = begin_at(t, NOTE, now_us);
    trace_line_index(line, "n", node);
    trace_line_index(line, "s", shard);
    trace_line_index(line, "c", client);
    trace_line_sentence(line, "x", sentence);
    add(t, NOTE, TRACE_RARE, now_us);
}

/* ---- the end ---- */

static void put_end(struct trace *t, int64_t now_us, const char *hash, bool failed, const char *verdict,
                    bool cut_short)
{
    static const char *const names[SERIES_COUNT] = {"turn", "msg", "cmd", "flt"};
    trace_line_i64(begin(t, HIST), "w", t->bucket_us);
    for (int s = 0; s < SERIES_COUNT; s++) {
        size_t used = (size_t)(t->last_us / t->bucket_us) + 1;
        trace_line_counts(&t->line, names[s], t->histogram[s], used < HISTOGRAM ? used : HISTOGRAM);
    }
    add(t, HIST, TRACE_LAST, now_us);
    for (int kind = 0; kind < KINDS; kind++) {
        uint64_t dropped = trace_store_dropped(t->store, kind);
        if (!dropped) continue;
        trace_line_sentence(begin(t, LOST), "w", kind_names[kind]);
        trace_line_i64(&t->line, "z", (int64_t)dropped);
        add(t, LOST, TRACE_LAST, now_us);
    }
    struct trace_line *line = begin_at(t, END, now_us);
    trace_line_sentence(line, "hash", hash);
    trace_line_bool(line, "failed", failed);
    trace_line_sentence(line, "x", verdict);
    trace_line_i64(line, "idle", (int64_t)t->idle_turns);
    trace_line_i64(line, "outside", (int64_t)t->outside);
    int64_t from_us = trace_store_dense_from(t->store);
    trace_line_i64(line, "from", from_us > t->from_us ? from_us : t->from_us);
    if (t->until_us != INT64_MAX) trace_line_i64(line, "until", t->until_us);
    if (cut_short) trace_line_bool(line, "cut", true);
    if (t->incomplete) trace_line_bool(line, "incomplete", true);
    add(t, END, TRACE_LAST, now_us);
}

int trace_close(struct trace *t, int64_t now_us, const char *hash, bool failed, const char *verdict)
{
    for (int node = 0; node < NODES_MAX; node++) node_end(t, node, true);
    put_end(t, now_us, hash, failed, verdict, false);
    int error = trace_store_write(t->store);
    trace_store_destroy(t->store);
    for (int i = 0; i < FAULT_NAMES_MAX; i++) free(t->faults[i].name);
    free(t);
    return error;
}

void trace_rescue(struct trace *t, const char *reason)
{
    for (int node = 0; node < NODES_MAX; node++) node_end(t, node, false);
    put_end(t, t->last_us, "", true, reason, true);
    trace_store_write(t->store);
}
