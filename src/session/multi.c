/* Transactions: the queue of MULTI, watched keys, and the handlers that need no other shard. EXEC itself is
 * run by the shard (shard/exec.c), because it borrows partitions. Tests: test/unit/session_test.c,
 * test/blackbox. */
#include "session/session.h"

#include "base/mutant.h"
#include <stdlib.h>
#include "store/watch.h"

bool session_queue(struct session *s, const struct command *command, const struct slice *argv, int argc)
{
    struct session_multi *multi = &s->multi;
    if (multi->count == multi->capacity) {
        uint32_t capacity = multi->capacity ? multi->capacity * 2 : 8;
        struct session_queued *items = realloc(multi->items, capacity * sizeof *items);
        if (!items) return false;
        multi->items = items;
        multi->capacity = capacity;
    }
    size_t bytes = (size_t)argc * sizeof *argv;
    for (int i = 0; i < argc; i++) bytes += argv[i].len;
    struct slice *copy = malloc(bytes);
    if (!copy) return false;
    char *at = (char *)(copy + argc);
    for (int i = 0; i < argc; i++) {
        memcpy(at, argv[i].ptr, argv[i].len);
        copy[i] = (struct slice){at, argv[i].len};
        at += argv[i].len;
    }
    multi->items[multi->count++] = (struct session_queued){command, copy, argc};
    multi->bytes += bytes;
    multi->any_flags |= command->flags;
    return true;
}

void session_multi_reset(struct session *s)
{
    for (uint32_t i = 0; i < s->multi.count; i++) free(s->multi.items[i].argv);
    s->multi.count = s->multi.next = 0;
    s->multi.bytes = 0;
    s->multi.any_flags = 0;
    s->multi.dirty = s->multi.running = false;
    s->in_multi = false;
}

/* ---- watches ---- */

void session_watch_partitions(const struct session *s, struct bitmap256 *out)
{
    for (uint32_t i = 0; i < s->watch_count; i++) bitmap_add(out, s->watches[i].partition);
}

void session_unwatch(struct session *s, struct partition *const *partitions)
{
    for (uint32_t i = 0; i < s->watch_count; i++) {
        struct session_watch *w = &s->watches[i];
        watch_remove(&partitions[w->partition]->watches, w->name, w->hash, w->db);
        free((char *)(uintptr_t)w->name.ptr);
    }
    s->watch_count = s->watch_void = 0;
}

bool session_watch_is_dirty(const struct session *s, struct partition *const *partitions)
{
    for (uint32_t i = s->watch_void; i < s->watch_count; i++) {
        const struct session_watch *w = &s->watches[i];
        struct partition *partition = partitions[w->partition];
        if (watch_token(partition->watches, w->name, w->hash, w->db) != w->token) return true;
        /* A key that has died meanwhile has changed: looking it up deletes it, which touches the watch. */
        struct key key = {.name = w->name, .hash = w->hash, .db = w->db};
        struct entry entry;
        if (!MUTANT(watch_misses_expiry)) entry_find(&entry, partition, &key);
        if (watch_token(partition->watches, w->name, w->hash, w->db) != w->token) return true;
    }
    return false;
}

static bool is_watched(const struct session *s, const struct key *key)
{
    for (uint32_t i = s->watch_void; i < s->watch_count; i++)
        if (s->watches[i].db == key->db && slice_equal(s->watches[i].name, key->name)) return true;
    return false;
}

static void watch_key(struct command_context *ctx, struct slice name)
{
    struct session *s = ctx->session;
    struct entry entry;
    bool found = command_open_in_db(ctx, name, ctx->db, &entry); /* an expired key is absent from here on */
    struct key key = entry.key;
    if (is_watched(s, &key)) return;
    if (s->watch_count == s->watch_capacity) {
        s->watch_capacity = s->watch_capacity ? s->watch_capacity * 2 : 4;
        s->watches = realloc(s->watches, s->watch_capacity * sizeof *s->watches);
        CHECK(s->watches);
    }
    struct session_watch *w = &s->watches[s->watch_count++];
    struct partition *partition = entry.partition;
    *w = (struct session_watch){.hash = key.hash, .partition = partition->id, .db = key.db};
    session_set_text(&w->name, key.name);
    watch_add(&partition->watches, w->name, w->hash, w->db);
    if (found)
        watch_see(partition->watches, w->name, w->hash, w->db, false);
    else if (ctx->env->expired_stay)
        entry_find(&entry, partition,
                   &key); /* a dead one that stays: now there is a watch that tells of it */
    w->token = watch_token(partition->watches, w->name, w->hash, w->db);
}

/* ---- handlers ---- */

void cmd_multi(struct command_context *ctx)
{
    if (ctx->session->in_multi) {
        reply_error(ctx->reply, "ERR MULTI calls can not be nested");
        return;
    }
    ctx->session->in_multi = true;
    reply_ok(ctx->reply);
}

void cmd_discard(struct command_context *ctx)
{
    if (!ctx->session->in_multi) {
        reply_error(ctx->reply, "ERR DISCARD without MULTI");
        return;
    }
    session_multi_reset(ctx->session);
    if (!MUTANT(discard_keeps_watch)) session_unwatch(ctx->session, ctx->partitions);
    reply_ok(ctx->reply);
}

void cmd_watch(struct command_context *ctx)
{
    if (ctx->session->in_multi) {
        reply_error(ctx->reply, "ERR WATCH inside MULTI is not allowed");
        return;
    }
    for (int i = 1; i < ctx->argc; i++) watch_key(ctx, ctx->argv[i]);
    reply_ok(ctx->reply);
}

void cmd_unwatch(struct command_context *ctx)
{
    session_unwatch(ctx->session, ctx->partitions);
    reply_ok(ctx->reply);
}
