/* trace_fixture: a small made-up run, written with sim/trace.h, for the tests of the trace and its page.
 *
 *     trace_fixture FILE [--ops N] [--seed S] [--mode failed|passed|flood|rescue|binary]
 *
 * Three nodes of up to four shards, clients with strings, counters and lists, faults of each category, a
 * crash, a change of shards, and (mode failed) a reply that an oracle refuses. Nothing of the server runs;
 * the values are those of a table of counters. "binary": names and values that are hard to show. "flood":
 * more than a trace holds. "rescue": the run is cut short. */
#include "sim/trace.h"
#include "base/prng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODES   3
#define CLIENTS 12
#define KEYS    48

struct world {
    struct trace *trace;
    struct prng prng;
    int64_t now_us, busy_us[NODES][4];
    int shards[NODES];
    bool down[NODES];
    int64_t counters[NODES][KEYS];
    int lengths[NODES][KEYS];
    uint64_t op;
};

static int below(struct world *w, uint32_t limit)
{
    return (int)(prng_next(&w->prng) % limit);
}

static struct slice slice_of(const char *text)
{
    return (struct slice){text, strlen(text)};
}

/* A quarter of all operations goes to key 0, a quarter of the rest to key 1 ... */
static int pick_key(struct world *w)
{
    int key = 0;
    while (key < KEYS - 1 && below(w, 4)) key++;
    return key;
}

struct request {
    int node, client, key, kind, home, owner;
    char key_text[32], value_text[64], reply[160], type[16], value[200];
    struct slice argv[3];
    size_t argc;
};

static void decide(struct world *w, struct request *r)
{
    static const char *const groups[] = {"user", "cart", "page"};
    r->client = below(w, CLIENTS);
    r->node = r->client % NODES;
    r->key = pick_key(w);
    r->kind = below(w, 5);
    r->home = r->client % w->shards[r->node];
    r->owner = r->key % w->shards[r->node];
    int64_t *counter = &w->counters[r->node][r->key];
    int *length = &w->lengths[r->node][r->key];
    bool list = r->key % 5 == 4;
    snprintf(r->key_text, sizeof r->key_text, "%s:%d", list ? "queue" : groups[r->key % 3], r->key);
    r->argv[1] = slice_of(r->key_text);
    r->argc = 2;
    if (list) {
        static const char *const names[] = {"LLEN", "LPOP", "LPUSH", "LPUSH", "LLEN"};
        r->argv[0] = slice_of(names[r->kind]);
        if (r->kind == 1 && *length) --*length;
        if (r->kind == 2 || r->kind == 3) {
            snprintf(r->value_text, sizeof r->value_text, "job %d", ++*length);
            r->argv[r->argc++] = slice_of(r->value_text);
        }
        if (r->kind == 1) {
            snprintf(r->reply, sizeof r->reply, *length ? "$5\r\njob 1\r\n" : "$-1\r\n");
        } else {
            snprintf(r->reply, sizeof r->reply, ":%d\r\n", *length);
        }
        snprintf(r->type, sizeof r->type, "%s", *length ? "list" : "none");
        int at = 0;
        r->value[0] = 0;
        for (int i = *length; i > 0 && at < 150; i--) at += snprintf(r->value + at, 40, "\"job %d\" ", i);
        return;
    }
    static const char *const names[] = {"GET", "INCR", "SET", "GET", "DEL"};
    r->argv[0] = slice_of(names[r->kind]);
    bool gone = false;
    if (r->kind == 1) ++*counter;
    if (r->kind == 2) {
        *counter = below(w, 1000);
        snprintf(r->value_text, sizeof r->value_text, "%d", (int)*counter);
        r->argv[r->argc++] = slice_of(r->value_text);
        snprintf(r->reply, sizeof r->reply, "+OK\r\n");
    } else if (r->kind == 4) {
        gone = true;
        *counter = 0;
        snprintf(r->reply, sizeof r->reply, ":1\r\n");
    } else if (r->kind == 1) {
        snprintf(r->reply, sizeof r->reply, ":%d\r\n", (int)*counter);
    } else {
        int n = snprintf(r->value, sizeof r->value, "%d", (int)*counter);
        snprintf(r->reply, sizeof r->reply, "$%d\r\n%d\r\n", n, (int)*counter);
    }
    snprintf(r->type, sizeof r->type, "%s", gone ? "none" : "string");
    r->value[0] = 0;
    if (!gone) snprintf(r->value, sizeof r->value, "%d", (int)*counter);
}

/* One operation from its sending to its reply. `now_us` moves on by little, so operations overlap. */
static void operate(struct world *w, struct request *r)
{
    struct trace *t = w->trace;
    decide(w, r);
    uint64_t op = ++w->op;
    TRACE(t, command, w->now_us, r->client, op, r->argv, r->argc);
    if (w->down[r->node]) return; /* never answered */
    int64_t at_us = w->now_us + 40 + below(w, 120);
    int64_t *home_us = &w->busy_us[r->node][r->home], *owner_us = &w->busy_us[r->node][r->owner];
    if (at_us < *home_us) at_us = *home_us;
    *home_us = at_us + 5;
    TRACE(t, turn, at_us, r->node, r->home, 5, r->home == r->owner, 0);
    if (r->home != r->owner) {
        TRACE(t, sent, at_us + 4, r->node, r->home, r->owner, 0, "batch");
        at_us += 10 + below(w, 60);
        if (at_us < *owner_us) at_us = *owner_us;
        *owner_us = at_us + 7;
        TRACE(t, taken, at_us, r->node, r->home, r->owner, 0);
        TRACE(t, turn, at_us, r->node, r->owner, 7, 1, 1);
    }
    TRACE(t, applied, at_us + 2, r->node, r->owner, 0, r->client, op, r->argv, r->argc, r->reply,
          strlen(r->reply));
    TRACE(t, key, at_us + 2, r->node, r->owner, 0, r->argv[1], r->type, slice_of(r->value),
          r->key == 7 ? 1500 : -1, "");
    if (r->home != r->owner) {
        TRACE(t, sent, at_us + 6, r->node, r->owner, r->home, 1, "batch done");
        at_us += 10 + below(w, 60);
        TRACE(t, taken, at_us, r->node, r->owner, r->home, 1);
    }
    at_us += 40 + below(w, 200);
    TRACE(t, reply, at_us, r->client, op, at_us - w->now_us, r->reply, strlen(r->reply));
}

static void node_comes_and_goes(struct world *w, int64_t step, int64_t steps)
{
    struct trace *t = w->trace;
    if (step == steps / 3) {
        TRACE(t, node, w->now_us, TRACE_NODE_CRASH, 1, w->shards[1], "power cut during a turn of shard 2");
        w->down[1] = true;
    }
    if (step == steps * 9 / 24) {
        TRACE(t, node, w->now_us, TRACE_NODE_RESTART, 1, w->shards[1], "with the old disk");
        TRACE(t, log, w->now_us + 900, 1, 2, "Ready to accept connections");
        w->down[1] = false;
        memset(w->counters[1], 0, sizeof w->counters[1]);
        memset(w->lengths[1], 0, sizeof w->lengths[1]);
        for (int c = 1; c < CLIENTS; c += NODES) TRACE(t, connect, w->now_us + 1000 + c, c, 1, "again");
    }
    if (step == steps / 2) TRACE(t, reshard, w->now_us, 0, "asked", 4, 2);
    if (step == steps / 2 + 4) TRACE(t, reshard, w->now_us, 0, "quiet", 4, 2);
    if (step == steps / 2 + 8) TRACE(t, reshard, w->now_us, 0, "moving", 4, 2);
    if (step == steps / 2 + 14) {
        TRACE(t, reshard, w->now_us, 0, "done", 4, 2);
        w->shards[0] = 2;
    }
}

static void fault(struct world *w, int64_t step, int64_t steps)
{
    struct trace *t = w->trace;
    int64_t part = steps / 20 + 1;
    if (step == part) TRACE(t, fault, w->now_us, "net.clog_receive", 2, -1, -1, 30000, "30 ms");
    if (step == part * 5) TRACE(t, fault, w->now_us, "process.slow_core", 0, -1, -1, -1, "x 8");
    if (step == part * 8) TRACE(t, fault_end, w->now_us, "process.slow_core", 0, -1);
    if (step == part * 3) {
        TRACE(t, fault, w->now_us, "clock.step", 0, -1, -1, 0, "+2 s");
        TRACE(t, clock, w->now_us, 0, 2000000, 2000000, 40);
    }
    if (step == part * 12) TRACE(t, fault, w->now_us, "disk.stall", 1, -1, -1, 20000, "fsync takes 20 ms");
    if (step == part * 14) TRACE(t, fault, w->now_us, "memory.fail_once", 2, 1, -1, 0, "allocation 381");
    if (step == part * 15) TRACE(t, mark, w->now_us, 2, "lend.queue_long");
    if (step % part == part / 2) {
        int client = below(w, CLIENTS);
        TRACE(t, fault, w->now_us, "client.cut_mid_command", -1, -1, client, 0, "");
        TRACE(t, disconnect, w->now_us, client, client % NODES, "reset");
        TRACE(t, connect, w->now_us + 300, client, client % NODES, "again");
    }
    if (below(w, 40) == 0)
        TRACE(t, fault, w->now_us, "net.delay", below(w, NODES), -1, -1, 2500, "heavy tail");
    if (below(w, 60) == 0) {
        bool lost = below(w, 3) == 0;
        TRACE(t, packet, w->now_us, lost ? -1 : w->now_us + 700, below(w, 2), 2, "gossip", 180,
              lost ? "dropped" : "");
    }
    if (step == part) TRACE(t, fired, w->now_us, 3, "net.split", 1);
    if (step == part * 2) TRACE(t, fired, w->now_us, 3, "net.split", 1); /* nothing new */
    if (step == part * 3) TRACE(t, fired, w->now_us, 3, "net.split", 8);
    if (step == steps - part) TRACE(t, note, w->now_us, -1, -1, -1, "healing begins: no new faults");
}

/* The reply that should have been another one. */
static void fail(struct world *w)
{
    struct trace *t = w->trace;
    struct slice set[] = {SLICE("SET"), SLICE("user:0"), SLICE("4711")},
                 get[] = {SLICE("GET"), SLICE("user:0")};
    uint64_t write = ++w->op, read = ++w->op;
    TRACE(t, command, w->now_us, 3, write, set, 3);
    TRACE(t, applied, w->now_us + 90, 0, 0, 0, 3, write, set, 3, "+OK\r\n", 5);
    TRACE(t, key, w->now_us + 90, 0, 0, 0, set[1], "string", set[2], -1, "");
    TRACE(t, reply, w->now_us + 260, 3, write, 260, "+OK\r\n", 5);
    w->now_us += 400;
    TRACE(t, command, w->now_us, 9, read, get, 2);
    TRACE(t, applied, w->now_us + 80, 0, 0, 0, 9, read, get, 2, "$2\r\n17\r\n", 8);
    TRACE(t, key, w->now_us + 80, 0, 0, 0, get[1], "string", set[2], -1, "");
    TRACE(t, reply, w->now_us + 240, 9, read, 240, "$2\r\n17\r\n", 8);
    struct trace_place place = {.op = read, .client = 9, .node = 0, .shard = 0, .db = 0, .key = get[1]};
    TRACE(t, verdict, w->now_us + 240, "linearizability", false, 812,
          "GET user:0 returned 17, but SET user:0 4711 had been acknowledged 140 us before it was sent.\n"
          "No order of the 31 operations on this key explains it.",
          &place);
    w->now_us += 500;
}

static void hard_to_show(struct world *w)
{
    static const char zero[] = "nul\0in the middle";
    const struct slice names[] = {SLICE("</script><script>window.broken=1</script>"),
                                  SLICE("<!--<img src=x onerror=window.broken=1>"),
                                  SLICE("\"quotes' and `ticks`\""),
                                  SLICE("back\\slash\\n"),
                                  SLICE("line\nbreak\ttab"),
                                  SLICE(""),
                                  SLICE("\xff\xfe\x00\x01 not UTF-8"),
                                  SLICE("gr\u00fc\u00dfe \u4e16\u754c \U0001f9f5"),
                                  SLICE("\u202eright to left\u202c"),
                                  SLICE("\xc0\xaf overlong \xed\xa0\x80"),
                                  SLICE("& &amp; ]]>"),
                                  {zero, sizeof zero - 1},
                                  SLICE("@TRACE-LINES@"),
                                  SLICE("__proto__"),
                                  SLICE("a name of a hundred and fifty bytes "
                                        "---------------------------------------------------------------"
                                        "----------------------------------------------------|")};
    struct trace *t = w->trace;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct slice argv[] = {SLICE("SET"), names[i], names[i]};
        uint64_t op = ++w->op;
        int client = (int)i % CLIENTS;
        char reply[400];
        int len = snprintf(reply, sizeof reply, "*2\r\n$%zu\r\n", names[i].len);
        memcpy(reply + len, names[i].ptr, names[i].len);
        len += (int)names[i].len;
        len += snprintf(reply + len, sizeof reply - (size_t)len, "\r\n%%1\r\n+<b>\r\n_\r\n");
        TRACE(t, command, w->now_us, client, op, argv, 3);
        TRACE(t, applied, w->now_us + 10, 0, 0, 0, client, op, argv, 3, reply, (size_t)len);
        TRACE(t, key, w->now_us + 10, 0, 0, 0, names[i], "string", names[i], -1, "");
        TRACE(t, reply, w->now_us + 20, client, op, 20, reply, (size_t)len);
        w->now_us += 50;
    }
    static const char *const replies[] = {"-ERR </script> no\r\n",
                                          "$-1\r\n",
                                          "*-1\r\n",
                                          "*0\r\n",
                                          "#t\r\n",
                                          ",1.5\r\n",
                                          "_\r\n",
                                          "%1\r\n$1\r\na\r\n:1\r\n",
                                          "~2\r\n:1\r\n:2\r\n",
                                          ">2\r\n+invalidate\r\n*1\r\n$1\r\na\r\n",
                                          "|1\r\n+ttl\r\n:9\r\n+OK\r\n",
                                          "=7\r\ntxt:abc\r\n",
                                          "!5\r\nWRONG\r\n",
                                          "$9\r\nshort\r\n",
                                          "what?",
                                          "",
                                          "*9999999\r\n:1\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        const struct slice argv[] = {SLICE("ECHO"), SLICE("reply")};
        TRACE(t, command, w->now_us, 0, ++w->op, argv, 2);
        TRACE(t, reply, w->now_us + 5, 0, w->op, 5, replies[i], strlen(replies[i]));
        w->now_us += 10;
    }
    struct slice many[300];
    for (int i = 0; i < 300; i++) many[i] = SLICE("<word>");
    TRACE(t, command, w->now_us, 0, ++w->op, many, 300);
    TRACE(t, log, w->now_us, 0, 3, "</script> in a log line, \x01 and \xff");
    struct trace_place place = {.op = 1, .client = 0, .node = 0, .shard = 0, .db = 0, .key = names[0]};
    TRACE(t, verdict, w->now_us, "wire", false, 1, "</script><script>window.broken=1</script>\nsecond line",
          &place);
}

static void begin(struct world *w, uint64_t seed, const char *mode)
{
    struct trace *t = w->trace;
    char replay[200];
    snprintf(replay, sizeof replay, "build/weft-sim --seed %llu --minutes 1 --nodes 3 --trace run.html",
             (unsigned long long)seed);
    TRACE(t, world, seed, NODES, 4, CLIENTS, replay, "fixture");
    TRACE(t, plan, "schedule", "starve one (node 1)");
    TRACE(t, plan, "keys", "Zipf 0.99 over 48 keys");
    TRACE(t, plan, "faults",
          "net.clog_receive net.delay clock.step process.slow_core disk.stall memory.fail_once");
    TRACE(t, plan, "limits", strcmp(mode, "binary") ? "maxmemory 4mb, 8-slot rings" : "</script> \"&\"");
    for (int n = 0; n < NODES; n++) {
        w->shards[n] = n == 0 ? 4 : 3;
        TRACE(t, node, w->now_us, TRACE_NODE_START, n, w->shards[n], "");
        TRACE(t, log, w->now_us + 100, n, 2, "Ready to accept connections");
    }
    for (int c = 0; c < CLIENTS; c++) TRACE(t, connect, w->now_us + 200 + c * 10, c, c % NODES, "");
    w->now_us = 1000;
}

int main(int argc, char **argv)
{
    const char *mode = "failed";
    int64_t ops = 1500;
    uint64_t seed = 4242;
    CHECK(argc >= 2);
    struct trace_options options = {.path = argv[1]};
    for (int i = 2; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--ops")) ops = atoll(argv[i + 1]);
        if (!strcmp(argv[i], "--seed")) seed = strtoull(argv[i + 1], NULL, 10);
        if (!strcmp(argv[i], "--mode")) mode = argv[i + 1];
        if (!strcmp(argv[i], "--limit")) options.limit_bytes = strtoull(argv[i + 1], NULL, 10);
        if (!strcmp(argv[i], "--from")) options.from_us = atoll(argv[i + 1]);
        if (!strcmp(argv[i], "--until")) options.until_us = atoll(argv[i + 1]);
    }
    static struct world w;
    int error;
    prng_seed(&w.prng, seed);
    w.trace = strcmp(argv[1], "-") ? trace_open(&options, &error) : NULL;
    if (!w.trace && strcmp(argv[1], "-")) {
        fprintf(stderr, "%s: %s\n", argv[1], strerror(-error));
        return 2;
    }
    begin(&w, seed, mode);
    if (!strcmp(mode, "binary")) hard_to_show(&w);
    for (int64_t i = 0; i < ops; i++) {
        struct request r;
        node_comes_and_goes(&w, i, ops);
        fault(&w, i, ops);
        operate(&w, &r);
        w.now_us += below(&w, 30) ? 20 + below(&w, 160) : 2000 + below(&w, 4000);
        for (int f = 0; f < 3 && !strcmp(mode, "flood"); f++) {
            TRACE(w.trace, fault, w.now_us, "net.one_byte_read", 0, -1, -1, 0, "again and again");
        }
    }
    if (!strcmp(mode, "rescue")) {
        TRACE(w.trace, sent, w.now_us, 0, 0, 1, 0, "batch");
        trace_rescue(w.trace, "the program failed: CHECK(x)");
        _Exit(0);
    }
    bool failed = !strcmp(mode, "failed") || !strcmp(mode, "binary");
    if (!strcmp(mode, "failed")) fail(&w);
    TRACE(w.trace, verdict, w.now_us, "model", true, (uint64_t)ops, "", NULL);
    TRACE(w.trace, verdict, w.now_us, "wire", true, (uint64_t)ops, "", NULL);
    if (!w.trace) return 0;
    error = trace_close(w.trace, w.now_us, "9f86d081884c7d65", failed,
                        failed ? "linearizability failed" : "every oracle held");
    if (error) fprintf(stderr, "%s: %s\n", argv[1], strerror(-error));
    return error ? 2 : 0;
}
