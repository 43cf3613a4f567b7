/* See bridge.h.
 *
 *   line ─▶ parse ─▶ source ─▶ queue ─▶ request_begin ─▶ commands ─▶ connection ─▶ node
 *   line ◀─ answer ◀────────────────── request_go_on ◀─ replies  ◀─ connection ◀─┘
 *
 * Invariants
 *  1. A source has a request in hand only while it has a connection, and at most one.
 *  2. Its replies are counted: bytes that nobody waits for are a fault of the node.
 *  3. A source whose connection ends is gone when IO_CLOSED has come.
 *  4. A source without a connection (the node accepts no more at the moment) tries again every millisecond.
 */
#include "maelstrom/bridge.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "maelstrom/request.h"

#define COMPLETIONS_MAX  64
#define CONNECT_AGAIN_US 1000

struct waiting {
    struct waiting *next;
    json_t *body;
};

struct source {
    struct bridge *bridge;
    struct source *next;
    char *name;
    struct io_conn *conn; /* NULL: not yet */
    bool closing, sending, busy;
    struct bytes in, out, sent; /* `sent` belongs to io until IO_SENT */
    struct request request;
    json_t *replies;
    struct waiting *first, **last;
    size_t waiting_count;
    uint64_t used; /* when it last had something to do: bridge.clock */
    int64_t recent[BRIDGE_RECENT];
    size_t recent_count; /* ever */
};

struct bridge {
    struct io *io;
    struct bridge_host host;
    struct io_conn *input;
    bool input_ended, input_closed, initialised;
    atomic_bool stop;
    struct bytes line;
    bool line_too_long;
    char *node_id;
    struct source *sources;
    size_t source_count; /* that are not closing */
    uint64_t clock;
    int64_t next_msg_id;
};

/* ---- out ---- */

static void note(struct bridge *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct bridge *b, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    b->host.log(b->host.context, text);
}

/* Takes `answer`, the body without its numbers. */
static void reply_to(struct bridge *b, const char *source, const json_t *request_body, json_t *answer)
{
    const json_t *msg_id = json_object_get(request_body, "msg_id");
    CHECK(answer != NULL);
    if (msg_id) json_object_set(answer, "in_reply_to", (json_t *)(uintptr_t)msg_id);
    json_object_set_new(answer, "msg_id", json_integer(b->next_msg_id++));
    json_t *message =
        json_pack("{s:s, s:s, s:o}", "src", b->node_id ? b->node_id : "", "dest", source, "body", answer);
    CHECK(message != NULL);
    char *text = json_dumps(message, JSON_COMPACT);
    json_decref(message);
    CHECK(text != NULL);
    size_t len = strlen(text);
    text[len] = '\n'; /* in the NUL's place */
    b->host.write_line(b->host.context, text, len + 1);
    free(text);
}

/* ---- sources and their connections ---- */

static void source_free(struct source *s)
{
    if (s->busy) request_end(&s->request);
    while (s->first) {
        struct waiting *w = s->first;
        s->first = w->next;
        json_decref(w->body);
        free(w);
    }
    json_decref(s->replies);
    bytes_free(&s->in);
    bytes_free(&s->out);
    bytes_free(&s->sent);
    free(s->name);
    free(s);
}

static void source_close(struct source *s)
{
    if (s->closing) return;
    s->closing = true;
    s->bridge->source_count--;
    if (s->conn) io_close(s->conn);
}

/* The connection has failed: what was under way may have been done or not, what waits was not begun. */
static void source_fail(struct source *s, const char *why)
{
    struct bridge *b = s->bridge;
    if (s->closing) return;
    note(b, "connection of %s: %s", s->name, why);
    if (s->busy)
        reply_to(b, s->name, s->request.body, request_error(ERROR_CRASH, "connection to the node: %s", why));
    for (struct waiting *w = s->first; w; w = w->next)
        reply_to(b, s->name, w->body, request_error(ERROR_UNAVAILABLE, "connection to the node: %s", why));
    source_close(s);
}

static void make_room(struct bridge *b)
{
    struct source *oldest = NULL;
    if (b->source_count < BRIDGE_SOURCES_MAX) return;
    for (struct source *s = b->sources; s; s = s->next)
        if (!s->closing && !s->busy && !s->first && !s->sending && (!oldest || s->used < oldest->used))
            oldest = s;
    if (oldest) source_close(oldest);
}

/* NULL when there are too many. */
static struct source *source_of(struct bridge *b, const char *name)
{
    for (struct source *s = b->sources; s; s = s->next)
        if (!s->closing && strcmp(s->name, name) == 0) return s;
    make_room(b);
    if (b->source_count >= BRIDGE_SOURCES_MAX) return NULL;
    struct source *s = calloc(1, sizeof *s);
    CHECK(s != NULL);
    s->bridge = b;
    s->name = strdup(name);
    CHECK(s->name != NULL);
    s->last = &s->first;
    s->replies = json_array();
    s->next = b->sources;
    b->sources = s;
    b->source_count++;
    return s;
}

static void source_flush(struct source *s)
{
    if (s->closing || s->sending || s->out.len == 0) return;
    struct bytes swap = s->sent;
    s->sent = s->out;
    s->out = swap;
    s->out.len = 0;
    s->sending = true;
    io_send(s->conn, &(struct io_slice){s->sent.ptr, s->sent.len}, 1);
}

/* ---- requests ---- */

/* Begins what waits, until one is under way. */
static void source_begin(struct source *s)
{
    while (s->conn && !s->busy && s->first) {
        struct waiting *w = s->first;
        s->first = w->next;
        if (!s->first) s->last = &s->first;
        s->waiting_count--;
        json_t *answer = request_begin(&s->request, w->body, &s->out);
        if (answer)
            reply_to(s->bridge, s->name, w->body, answer);
        else
            s->busy = true;
        json_decref(w->body);
        free(w);
    }
    source_flush(s);
}

static void source_connect(struct source *s)
{
    struct bridge *b = s->bridge;
    int error = 0;
    io_socket socket = b->host.connect(b->host.context, &error);
    if (socket == IO_SOCKET_NONE && error == -EAGAIN) return;
    if (socket != IO_SOCKET_NONE) {
        s->conn = io_attach(b->io, socket, s);
        error = -ENOMEM;
        if (!s->conn) io_discard(b->io, socket);
    }
    if (s->conn)
        source_begin(s);
    else
        source_fail(s, strerror(-error));
}

static void source_received(struct source *s, const void *data, size_t len)
{
    bytes_add(&s->in, data, len);
    for (size_t used; s->in.len > 0;) {
        json_t *reply = s->busy ? wire_reply(s->in.ptr, s->in.len, &used) : NULL;
        if (!s->busy || (!reply && used)) {
            source_fail(s, s->busy ? "sent what is no reply" : "sent a reply that nobody asked for");
            return;
        }
        if (!reply) break;
        bytes_drop(&s->in, used);
        json_array_append_new(s->replies, reply);
        if (json_array_size(s->replies) < s->request.awaited) continue;
        json_t *answer = request_go_on(&s->request, s->replies, &s->out);
        json_array_clear(s->replies);
        if (!answer) continue;
        reply_to(s->bridge, s->name, s->request.body, answer);
        request_end(&s->request);
        s->busy = false;
        source_begin(s);
    }
    source_flush(s);
}

static bool seen_before(struct source *s, const json_t *msg_id)
{
    if (!json_is_integer(msg_id)) return false;
    int64_t id = json_integer_value(msg_id);
    for (size_t i = 0; i < s->recent_count && i < BRIDGE_RECENT; i++)
        if (s->recent[i] == id) return true;
    s->recent[s->recent_count++ % BRIDGE_RECENT] = id;
    return false;
}

static void take_request(struct bridge *b, const char *name, json_t *body)
{
    struct source *s = source_of(b, name);
    if (!s) {
        reply_to(b, name, body, request_error(ERROR_UNAVAILABLE, "%d sources are busy", BRIDGE_SOURCES_MAX));
        return;
    }
    s->used = ++b->clock;
    if (seen_before(s, json_object_get(body, "msg_id"))) return;
    if (s->waiting_count == BRIDGE_WAITING_MAX) {
        reply_to(b, name, body,
                 request_error(ERROR_UNAVAILABLE, "%d requests wait already", BRIDGE_WAITING_MAX));
        return;
    }
    struct waiting *w = malloc(sizeof *w);
    CHECK(w != NULL);
    *w = (struct waiting){.body = json_incref(body)};
    *s->last = w;
    s->last = &w->next;
    s->waiting_count++;
    if (s->conn)
        source_begin(s);
    else
        source_connect(s);
}

static void take_init(struct bridge *b, const char *source, const json_t *body)
{
    const char *id = json_string_value(json_object_get(body, "node_id"));
    size_t nodes = json_array_size(json_object_get(body, "node_ids"));
    if (!id || nodes == 0) {
        reply_to(b, source, body, request_error(ERROR_MALFORMED, "init needs node_id and node_ids"));
        return;
    }
    if (!b->node_id) b->node_id = strdup(id);
    if (nodes > 1) {
        reply_to(b, source, body,
                 request_error(ERROR_NOT_SUPPORTED,
                               "weft nodes do not replicate yet: run with --node-count 1, not %zu", nodes));
        return;
    }
    b->initialised = true;
    reply_to(b, source, body, json_pack("{s:s}", "type", "init_ok"));
}

/* ---- in ---- */

static void take_line(struct bridge *b, const char *line, size_t len)
{
    json_error_t error;
    json_t *message = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
    const char *source = json_string_value(json_object_get(message, "src"));
    json_t *body = json_object_get(message, "body");
    if (!source || !json_is_object(body)) {
        note(b, "a line that is no message: %s: %.*s", message ? "src or body is missing" : error.text,
             len < 200 ? (int)len : 200, line);
    } else {
        const char *type = json_string_value(json_object_get(body, "type"));
        if (json_object_get(body, "in_reply_to"))
            note(b, "a reply from %s to a message that was never sent", source);
        else if (type && strcmp(type, "init") == 0)
            take_init(b, source, body);
        else if (!b->initialised)
            reply_to(b, source, body, request_error(ERROR_UNAVAILABLE, "the node has not been initialised"));
        else
            take_request(b, source, body);
    }
    json_decref(message);
}

static void take_input(struct bridge *b, const char *data, size_t len)
{
    while (len > 0) {
        const char *end = memchr(data, '\n', len);
        size_t part = end ? (size_t)(end - data) : len;
        if (b->line.len + part > BRIDGE_LINE_MAX) {
            if (!b->line_too_long) note(b, "a line of more than %d bytes is ignored", BRIDGE_LINE_MAX);
            b->line_too_long = true;
        }
        if (!b->line_too_long) bytes_add(&b->line, data, part);
        if (!end) return;
        if (!b->line_too_long && b->line.len > 0) take_line(b, b->line.ptr, b->line.len);
        b->line.len = 0;
        b->line_too_long = false;
        data += part + 1;
        len -= part + 1;
    }
}

static void forget(struct bridge *b, struct source *s)
{
    struct source **link = &b->sources;
    while (*link != s) link = &(*link)->next;
    *link = s->next;
    source_free(s);
}

static void take_completion(struct bridge *b, const struct io_completion *c)
{
    struct source *s = c->user == b ? NULL : c->user;
    switch (c->op) {
    case IO_RECV:
        if (s && c->result > 0 && !s->closing) {
            source_received(s, c->data, (size_t)c->result);
        } else if (s && !s->closing) {
            source_fail(s, c->result < 0 ? strerror((int)-c->result) : "closed");
        } else if (!s && c->result > 0) {
            take_input(b, (const char *)c->data, (size_t)c->result);
        } else if (!s) {
            b->input_ended = true;
            io_close(b->input);
        }
        break;
    case IO_SENT:
        if (!s) break;
        s->sending = false;
        if (c->result < 0)
            source_fail(s, strerror((int)-c->result));
        else
            source_flush(s);
        break;
    case IO_CLOSED:
        if (s)
            forget(b, s);
        else
            b->input_closed = true;
        break;
    default: break;
    }
}

static bool is_idle(const struct bridge *b)
{
    for (const struct source *s = b->sources; s; s = s->next)
        if (!s->closing && (s->busy || s->first)) return false;
    return true;
}

/* ---- life ---- */

struct bridge *bridge_create(struct io *io, io_socket input, const struct bridge_host *host)
{
    struct bridge *b = calloc(1, sizeof *b);
    if (b) b->input = io_attach(io, input, b);
    if (!b || !b->input) {
        io_discard(io, input);
        free(b);
        return NULL;
    }
    b->io = io;
    b->host = *host;
    return b;
}

/* Those that never had a connection: tries again, or forgets. True when some still wait for one. */
static bool see_to_unconnected(struct bridge *b)
{
    bool some = false;
    for (struct source *s = b->sources, *next; s; s = next) {
        next = s->next;
        if (!s->conn && !s->closing) source_connect(s);
        some |= !s->conn && !s->closing;
        if (!s->conn && s->closing) forget(b, s);
    }
    return some;
}

bool bridge_turn(struct bridge *b, int64_t max_wait_us)
{
    struct io_completion done[COMPLETIONS_MAX];
    if (see_to_unconnected(b) && max_wait_us > CONNECT_AGAIN_US) max_wait_us = CONNECT_AGAIN_US;
    int count = io_wait(b->io, io_monotonic_us(b->io) + max_wait_us, done, COMPLETIONS_MAX);
    for (int i = 0; i < count; i++) take_completion(b, &done[i]);
    if (atomic_load(&b->stop)) return false;
    if (b->input_ended && is_idle(b))
        for (struct source *s = b->sources; s; s = s->next) source_close(s);
    return !b->input_closed || b->sources;
}

void bridge_stop(struct bridge *b)
{
    atomic_store(&b->stop, true);
    io_wake(b->io);
}

void bridge_destroy(struct bridge *b)
{
    while (b->sources) forget(b, b->sources);
    bytes_free(&b->line);
    free(b->node_id);
    free(b);
}
