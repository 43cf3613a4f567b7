/* Sessions: life, input tail, ordered output; see session.h. Tests: test/unit/session_test.c. */
#include "session/session.h"

#include "base/mark.h"
#include "base/mutant.h"
#include <stdlib.h>

struct session *session_create(struct shard *shard, uint64_t id, int64_t now_us)
{
    struct session *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->shard = shard;
    s->id = id;
    s->resp = 2;
    s->moving_socket = IO_SOCKET_NONE;
    s->created_us = s->last_active_us = now_us;
    reply_init(&s->out, 2);
    reply_init(&s->multi.aside, 2);
    return s;
}

static void free_pending(struct session_pending *pending)
{
    reply_free(&pending->remote);
    reply_free(&pending->after);
    free(pending);
}

void session_destroy(struct session *s)
{
    CHECK(session_is_quiet(s));
    while (s->pending) {
        struct session_pending *next = s->pending->next;
        free_pending(s->pending);
        s->pending = next;
    }
    session_multi_reset(s);
    reply_free(&s->multi.aside);
    free(s->multi.items);
    free(s->watches);
    resp_parser_reset(&s->parser);
    reply_free(&s->out);
    free(s->sending);
    free(s->tail);
    free((char *)(uintptr_t)s->name.ptr);
    free((char *)(uintptr_t)s->library_name.ptr);
    free((char *)(uintptr_t)s->library_version.ptr);
    free(s);
}

void session_set_text(struct slice *text, struct slice value)
{
    char *copy = NULL;
    if (value.ptr) { /* an empty text is not none */
        copy = malloc(value.len + 1);
        CHECK(copy);
        memcpy(copy, value.ptr, value.len);
    }
    free((char *)(uintptr_t)text->ptr);
    *text = (struct slice){copy, value.len};
}

bool session_is_local(const struct session *s)
{
    return s->flags & SESSION_UNIX || strncmp(s->address, "127.", 4) == 0 ||
           strncmp(s->address, "[::1]", 5) == 0;
}

/* ---- input ---- */

#define TAIL_MIN 256

static bool tail_reserve(struct session *s, size_t len)
{
    if (len <= s->tail_capacity) return true;
    size_t capacity = s->tail_capacity ? s->tail_capacity : TAIL_MIN;
    /* A big argument says how much will come: no doubling up to 512 MB. */
    while (capacity < len) capacity *= 2;
    if (s->parser.need > capacity && s->parser.need < 2 * len + (64u << 10)) capacity = s->parser.need;
    char *grown = realloc(s->tail, capacity);
    if (!grown) return false;
    s->tail = grown;
    s->tail_capacity = capacity;
    return true;
}

bool session_append_tail(struct session *s, const void *data, size_t len)
{
    if (!tail_reserve(s, s->tail_len + len)) return false;
    memcpy(s->tail + s->tail_len, data, len);
    s->tail_len += len;
    return true;
}

void session_drop_tail(struct session *s, size_t done)
{
    DCHECK(done <= s->tail_len);
    s->tail_len -= done;
    if (s->tail_len) {
        memmove(s->tail, s->tail + done, s->tail_len);
    } else {
        free(s->tail); /* an idle session holds no buffer */
        s->tail = NULL;
        s->tail_capacity = 0;
    }
}

bool session_keep_input(struct session *s)
{
    size_t left = s->input_len - s->input_at;
    bool kept = true;
    if (s->input && s->input == s->tail) {
        session_drop_tail(s, s->input_at);
    } else if (left) {
        DCHECK(s->tail_len == 0);
        kept = session_append_tail(s, s->input + s->input_at, left);
    }
    s->input = NULL;
    s->input_len = s->input_at = 0;
    return kept;
}

/* ---- output ---- */

struct session_pending *session_expect(struct session *s, uint16_t shard)
{
    struct session_pending *last = s->pending_last;
    bool discard = s->flags & (SESSION_REPLY_OFF | SESSION_REPLY_SKIP);
    if (last && (reply_len(&last->after) == 0 || MUTANT(pending_shares_place)) && last->discard == discard &&
        last->shard == shard) {
        last->waiting++; /* a run of requests for the same shard shares one place: their replies come in order
                          */
        return last;
    }
    struct session_pending *pending = calloc(1, sizeof *pending);
    if (!pending) return NULL;
    reply_init(&pending->remote, s->resp);
    reply_init(&pending->after, s->resp);
    pending->waiting = 1;
    pending->shard = shard;
    pending->discard = discard;
    if (last)
        last->next = pending;
    else
        s->pending = pending;
    s->pending_last = pending;
    return pending;
}

void session_fulfil(struct session *s, struct session_pending *pending, const void *bytes, size_t len)
{
    CHECK(pending->waiting > 0);
    if (!pending->discard) {
        struct reply *target = pending == s->pending ? &s->out : &pending->remote;
        reply_raw(target, bytes, len);
        if (target->failed) s->out.failed = true;
    }
    pending->waiting--;
    while (s->pending && s->pending->waiting == 0) {
        struct session_pending *head = s->pending;
        s->pending = head->next;
        if (!s->pending) s->pending_last = NULL;
        reply_raw(&s->out, head->after.begin, reply_len(&head->after));
        if (head->after.failed) s->out.failed = true;
        s->out.resp = s->resp;
        free_pending(head);
        if (s->pending && reply_len(&s->pending->remote)) MARK("session.early_reply");
        if (s->pending) { /* what came early for the new head follows at once */
            reply_raw(&s->out, s->pending->remote.begin, reply_len(&s->pending->remote));
            if (s->pending->remote.failed) s->out.failed = true;
            reply_clear(&s->pending->remote);
        }
    }
}

uint64_t session_output_bytes(const struct session *s)
{
    uint64_t bytes = s->sending_len + reply_len(&s->out) + reply_len(&s->multi.aside);
    for (const struct session_pending *p = s->pending; p; p = p->next)
        bytes += reply_len(&p->remote) + reply_len(&p->after);
    return bytes;
}

uint64_t session_memory(const struct session *s)
{
    uint64_t bytes = sizeof *s + s->tail_capacity + s->sending_capacity;
    bytes += (size_t)(s->out.end - s->out.begin) + reply_len(&s->multi.aside);
    for (const struct session_pending *p = s->pending; p; p = p->next)
        bytes += sizeof *p + reply_len(&p->remote) + reply_len(&p->after);
    return bytes + s->multi.bytes + s->watch_capacity * sizeof *s->watches;
}
