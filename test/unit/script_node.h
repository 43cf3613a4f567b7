/* A node on virtual time with clients, for tests that say things to it and read its answers: the production
 * objects, started by server/start.h, all in the test's thread. script_node_say() sends, script_node_hear()
 * turns shards and clock until a whole reply is there and returns it as text:
 *
 *     +OK   -ERR text   12   'bulk'   nil   nil[]   [1 'a']   {'k' 1}   set[…]   push[…]   true   ,1.5   (123
 *     =txt:'verbatim'
 *
 * Bytes that are not printable are written \n, \r, \", \\ or \xHH. "..." when nothing comes, "closed" at the
 * connection's end. Included once per program.
 */
#ifndef WEFT_TEST_SCRIPT_NODE_H
#define WEFT_TEST_SCRIPT_NODE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "io/world.h"
#include "server/start.h"
#include "shard/shard.h"
#include "starve.h"

#define SCRIPT_CLIENTS  30
#define SCRIPT_HEAR_US  5000000 /* for a reply */
#define SCRIPT_QUIET_US 30000   /* when none is expected */
#define PARTITION_BYTES (64u << 20)

struct script_client {
    struct io *io;
    struct io_conn *conn; /* NULL: never used, or closed */
    char *in, *out;
    size_t in_len, in_room, out_len;
    bool connected, sending, ended;
};

struct script_node {
    struct io_world *world;
    struct node *node;
    struct config config;
    bool running[SHARDS_MAX];
    int64_t free_at_us[SHARDS_MAX]; /* until when its last turn takes */
    struct script_client clients[SCRIPT_CLIENTS];
    char *log; /* what the host was told, in lines */
};

/* ---- the host ---- */

static struct io *script_io_create(void *context, int *error)
{
    return io_create(((struct script_node *)context)->world, error);
}
static void script_io_destroy(void *context, struct io *io)
{
    (void)context;
    io_destroy(io);
}
static bool script_actor_start(void *context, struct shard *shard)
{
    ((struct script_node *)context)->running[shard_index(shard)] = true;
    return true;
}
static void script_actor_join(void *context, struct shard *shard)
{
    ((struct script_node *)context)->running[shard_index(shard)] = false;
}
static void script_log(void *context, enum config_log level, const char *sentence)
{
    struct script_node *sn = context;
    char *longer = NULL;
    (void)level;
    assert_true(asprintf(&longer, "%s%s\n", sn->log ? sn->log : "", sentence) > 0);
    free(sn->log);
    sn->log = longer;
}

/* Once, before the first start. */
static void script_node_create(struct script_node *sn)
{
    memset(sn, 0, sizeof *sn);
    sn->world = io_sim_world_create(1);
}

/* `words` of a command line after the program's name; `file` (may be NULL) is what its configuration file
 * shall hold, "" that it is the one of the start before. */
static void script_node_start(struct script_node *sn, char **words, int count, const char *file)
{
    struct node_host host = {.context = sn,
                             .io_create = script_io_create,
                             .io_destroy = script_io_destroy,
                             .actor_start = script_actor_start,
                             .actor_join = script_actor_join,
                             .log = script_log};
    char *argv[64] = {"weft-server"}, fatal[CONFIG_FATAL_MAX] = "", sentence[256] = "";
    static char *const always[] = {
        "--port", "6379", "--bind", "0.0.0.0", "--protected-mode", "no", "--enable-debug-command", "yes"};
    struct config_arguments arguments;
    int error = 0, argc = 1;
    struct io *first = io_create(sn->world, &error);
    if (file && *file) assert_int_equal(io_file_store_atomic(first, "/weft.conf", file, strlen(file)), 0);
    if (file) argv[argc++] = "/weft.conf";
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++) argv[argc++] = always[i];
    for (int i = 0; i < count; i++) argv[argc++] = words[i];
    config_arguments_parse(&arguments, argc, argv);
    if (!start_load_config(&sn->config, first, &arguments, NULL, fatal)) fail_msg("%s", fatal);
    config_arguments_free(&arguments);
    if (sn->config.shards == 0) sn->config.shards = 1;
    sn->node = start_node(&host, &sn->config, first, PARTITION_BYTES);
    assert_non_null(sn->node);
    sn->node->io_name = "simulated";
    if (start_serving(sn->node, sentence, sizeof sentence) != 0) fail_msg("%s", sentence);
    for (uint16_t i = 0; i < sn->config.shards; i++) sn->running[i] = true;
}

/* ---- time goes on ---- */

static void script_client_turn(struct script_client *c)
{
    struct io_completion done[16];
    int count = io_wait(c->io, INT64_MAX, done, 16);
    for (int i = 0; i < count; i++) {
        switch (done[i].op) {
        case IO_CONNECT:
            c->connected = done[i].result == 0;
            c->ended |= done[i].result != 0;
            break;
        case IO_SENT:
            c->sending = false;
            c->out_len = 0;
            break;
        case IO_RECV:
            if (done[i].result <= 0) {
                c->ended = true;
                break;
            }
            if (c->in_len + (size_t)done[i].result > c->in_room) {
                c->in_room = 2 * (c->in_len + (size_t)done[i].result);
                c->in = realloc(c->in, c->in_room);
                assert_non_null(c->in);
            }
            memcpy(c->in + c->in_len, done[i].data, (size_t)done[i].result);
            c->in_len += (size_t)done[i].result;
            break;
        case IO_CLOSED: c->conn = NULL; break;
        default: break;
        }
    }
}

/* One round of everybody who has something to do; time goes on when nobody has. False: it is `until_us`. */
static bool script_node_turn(struct script_node *sn, int64_t until_us)
{
    bool anybody = false;
    int64_t now_us = io_sim_now_us(sn->world), next_us = until_us;
    for (int i = 0; i < SHARDS_MAX; i++) {
        struct shard *shard = sn->node->shards[i];
        if (!shard || !sn->running[i]) continue;
        if (now_us < sn->free_at_us[i]) {
            if (sn->free_at_us[i] < next_us) next_us = sn->free_at_us[i];
            continue;
        }
        if (!io_sim_ready(shard_io(shard))) continue;
        starve.in_turn = true;
        sn->running[i] = shard_get_up(shard, 0);
        int64_t deadline_us = sn->running[i] ? shard_lie_down(shard, 100000) : 0;
        starve.in_turn = false;
        if (sn->running[i]) io_sim_sleep(shard_io(shard), deadline_us);
        sn->free_at_us[i] = now_us + io_sim_turn_cost(shard_io(shard));
        anybody = true;
    }
    for (int i = 0; i < SCRIPT_CLIENTS; i++) {
        if (!sn->clients[i].conn || !io_sim_ready(sn->clients[i].io)) continue;
        script_client_turn(&sn->clients[i]);
        anybody = true;
    }
    if (now_us >= until_us) return false;
    if (!anybody) io_sim_step(sn->world, next_us);
    return true;
}

static void script_node_wait(struct script_node *sn, int64_t us)
{
    int64_t until_us = io_sim_now_us(sn->world) + us;
    while (script_node_turn(sn, until_us)) continue;
}

/* ---- replies ---- */

static void render_bytes(FILE *out, const char *p, size_t len, bool quoted)
{
    if (quoted) fputc('\'', out);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c == '\n')
            fputs("\\n", out);
        else if (c == '\r')
            fputs("\\r", out);
        else if (c == '\\')
            fputs("\\\\", out);
        else if (c < ' ' || c > '~')
            fprintf(out, "\\x%02x", c);
        else
            fputc(c, out);
    }
    if (quoted) fputc('\'', out);
}

/* The value at `at` to `out` (may be NULL); the place behind it, 0 when it is not whole. `bulk` (may be NULL)
 * gets a bulk's bytes. */
static size_t render_value(FILE *out, const char *in, size_t len, size_t at, struct slice *bulk)
{
    const char *line = at < len ? memchr(in + at, '\n', len - at) : NULL;
    if (!line) return 0;
    char type = in[at];
    const char *text = in + at + 1;
    size_t text_len = (size_t)(line - text) - 1, next = (size_t)(line - in) + 1;
    long long n = strtoll(text, NULL, 10);
    switch (type) {
    case '$':
    case '=':
        if (n < 0) {
            if (out) fputs("nil", out);
            return next;
        }
        if (next + (size_t)n + 2 > len) return 0;
        if (bulk) *bulk = (struct slice){in + next, (size_t)n};
        if (out && type == '=') fprintf(out, "=%.4s", in + next);
        if (out)
            render_bytes(out, in + next + (type == '=' ? 4 : 0), (size_t)n - (type == '=' ? 4 : 0), true);
        return next + (size_t)n + 2;
    case '*':
    case '~':
    case '>':
    case '|':
    case '%': {
        bool pairs = type == '%' || type == '|';
        if (n < 0) {
            if (out) fputs("nil[]", out);
            return next;
        }
        if (out)
            fputs(type == '*'   ? "["
                  : type == '%' ? "{"
                  : type == '|' ? "attribute{"
                  : type == '~' ? "set["
                                : "push[",
                  out);
        for (long long i = 0; i < (pairs ? 2 * n : n); i++) {
            if (out && i > 0) fputc(' ', out);
            next = render_value(out, in, len, next, NULL);
            if (!next) return 0;
        }
        if (out) fputc(pairs ? '}' : ']', out);
        if (type != '|') return next;
        if (out) fputc(' ', out); /* what it is about comes behind it */
        return render_value(out, in, len, next, bulk);
    }
    default: break;
    }
    if (!out) return next;
    if (type == '_')
        fputs("nil", out);
    else if (type == '#')
        fputs(*text == 't' ? "true" : "false", out);
    else if (type != ':')
        fputc(type, out);
    if (type != '#' && type != '_') render_bytes(out, text, text_len, false);
    return next;
}

/* ---- clients ---- */

/* `address`: of its connection, when it has none yet. */
static struct script_client *script_node_connect(struct script_node *sn, int index, const char *address)
{
    struct script_client *c = &sn->clients[index];
    int error = 0;
    assert_true(index < SCRIPT_CLIENTS);
    if (c->conn || c->ended) return c;
    if (!c->io) c->io = io_create(sn->world, &error);
    c->conn = io_connect(c->io, address, 6379, c, &error);
    assert_non_null(c->conn);
    while (!c->connected && !c->ended) script_node_turn(sn, INT64_MAX);
    return c;
}

static struct script_client *script_node_client(struct script_node *sn, int index)
{
    return script_node_connect(sn, index, "127.0.0.1");
}

/* Takes over `bytes`. */
static void script_node_say(struct script_node *sn, int index, char *bytes, size_t len)
{
    struct script_client *c = script_node_client(sn, index);
    int64_t until_us = io_sim_now_us(sn->world) + SCRIPT_HEAR_US;
    while (c->sending && !c->ended) assert_true(script_node_turn(sn, until_us));
    free(c->out);
    c->out = bytes;
    if (!c->conn || c->ended) return;
    struct io_slice slice = {c->out, len};
    c->sending = true;
    io_send(c->conn, &slice, 1);
}

/* The client's next reply as text, malloc'ed; `bulk` (may be NULL): the bytes if it is a bulk, malloc'ed. */
static char *script_node_hear(struct script_node *sn, int index, int64_t wait_us, struct slice *bulk)
{
    struct script_client *c = script_node_client(sn, index);
    int64_t until_us = io_sim_now_us(sn->world) + wait_us;
    size_t end;
    while (!(end = render_value(NULL, c->in, c->in_len, 0, NULL)) && !c->ended)
        if (!script_node_turn(sn, until_us)) break;
    if (!end) return strdup(c->ended && c->in_len == 0 ? "closed" : "...");
    char *text = NULL;
    size_t text_len = 0;
    struct slice place = {NULL, 0};
    FILE *out = open_memstream(&text, &text_len);
    assert_non_null(out);
    render_value(out, c->in, c->in_len, 0, &place);
    fclose(out);
    if (bulk && place.ptr) {
        char *copy = malloc(place.len + 1);
        assert_non_null(copy);
        memcpy(copy, place.ptr, place.len);
        *bulk = (struct slice){copy, place.len};
    }
    memmove(c->in, c->in + end, c->in_len - end);
    c->in_len -= end;
    return text;
}

static void script_node_close(struct script_node *sn, int index)
{
    struct script_client *c = &sn->clients[index];
    if (c->conn) io_close(c->conn);
    while (c->conn) assert_true(script_node_turn(sn, INT64_MAX));
    free(c->in);
    free(c->out);
    *c = (struct script_client){.io = c->io};
}

/* Closes all clients; fails unless all actors end. It may be started again. */
static void script_node_stop(struct script_node *sn)
{
    bool any = true;
    for (int i = 0; i < SCRIPT_CLIENTS; i++) script_node_close(sn, i);
    node_stop(sn->node, 0);
    for (int64_t until_us = io_sim_now_us(sn->world) + 20 * SCRIPT_HEAR_US; any;) {
        assert_true(script_node_turn(sn, until_us));
        any = false;
        for (int i = 0; i < SHARDS_MAX; i++) any |= sn->running[i];
    }
    struct io *first = shard_io(sn->node->shards[0]);
    start_undo(sn->node);
    io_destroy(first);
    config_free(&sn->config);
    sn->node = NULL;
}

static void script_node_destroy(struct script_node *sn)
{
    for (int i = 0; i < SCRIPT_CLIENTS; i++)
        if (sn->clients[i].io) io_destroy(sn->clients[i].io);
    io_world_destroy(sn->world);
    free(sn->log);
}

#endif
