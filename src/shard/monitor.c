/* MONITOR: every command of every session, as lines, to the sessions that asked for them.
 *
 * A session's own shard writes the line, so lines of one session keep their order; those of several come in
 * the order of arrival. Each shard keeps one buffer per shard that has monitors (`monitor_shards`) and sends
 * it once per turn as a message (MESSAGE_FEED; the buffer changes hands). While no credit is left the buffer
 * grows; at FEED_BYTES_MAX lines are dropped and the monitors there are closed, as a client is whose output
 * buffer is full.
 *
 * Who feeds whom: MONITOR asks all shards by a scatter, so that nothing that follows its OK is missed. When
 * the last monitor of a shard has gone, or one has moved here, or a shard is new, monitor_step tells the
 * others (MESSAGE_MONITOR) by the same lane, so that on and off keep their order. Tests:
 * test/blackbox/server_commands_test.py.
 */
#include "shard/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include "command/redact.h"

#define FEED_BYTES_MAX (64u << 20)

/* ---- lines ---- */

static void put_quoted(struct reply *out, struct slice s)
{
    static const char hex[] = "0123456789abcdef";
    REPLY_RAW_LITERAL(out, "\"");
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        const char *short_forms = "\n\r\t\a\b", *letters = "nrtab",
                   *found = c ? strchr(short_forms, c) : NULL;
        char text[4] = {'\\', (char)c};
        size_t len = 2;
        if (found) {
            text[1] = letters[found - short_forms];
        } else if (c < ' ' || c > '~') {
            text[1] = 'x';
            text[2] = hex[c >> 4];
            text[3] = hex[c & 15];
            len = 4;
        } else if (c != '\\' && c != '"') {
            text[0] = (char)c;
            len = 1;
        }
        reply_raw(out, text, len);
    }
    REPLY_RAW_LITERAL(out, "\"");
}

static void write_line(struct shard *shard, const struct session *session, const struct command_context *ctx,
                       struct reply *line)
{
    char head[IO_ADDRESS_MAX + 64];
    bool is_unix = session->flags & SESSION_UNIX;
    int len = snprintf(head, sizeof head, "+%lld.%06lld [%u %s%s]", (long long)(shard->now_us / 1000000),
                       (long long)(shard->now_us % 1000000), session->db, is_unix ? "unix:" : "",
                       is_unix ? shard->config.unixsocket.ptr : session->address);
    reply_raw(line, head, (size_t)len < sizeof head ? (size_t)len : sizeof head - 1);
    for (int i = 0; i < ctx->argc; i++) {
        bool secret = command_arg_is_secret(ctx->command, ctx->argv, ctx->argc, i);
        REPLY_RAW_LITERAL(line, " ");
        put_quoted(line, secret ? SLICE(COMMAND_REDACTED) : ctx->argv[i]);
    }
    REPLY_RAW_LITERAL(line, "\r\n");
}

void monitor_command(struct shard *shard, const struct session *session, const struct command_context *ctx)
{
    if (ctx->command->flags & (COMMAND_SKIP_MONITOR | COMMAND_ADMIN)) return;
    struct reply line;
    reply_init(&line, 2);
    write_line(shard, session, ctx, &line);
    for (uint64_t left = shard->monitor_shards; left; left &= left - 1) {
        int to = __builtin_ctzll(left);
        struct reply *feed = &shard->feed[to];
        if (line.failed || reply_len(feed) + reply_len(&line) > FEED_BYTES_MAX)
            shard->feed_lost |= 1ULL << to;
        else
            reply_raw(feed, line.begin, reply_len(&line));
    }
    reply_free(&line);
}

/* ---- delivering ---- */

static void deliver(struct shard *shard, const char *lines, size_t len, bool lost)
{
    for (uint32_t i = 0; i < shard->monitor_count; i++) {
        struct session *s = shard->monitors[i];
        if (!(s->flags & SESSION_MONITOR) || s->flags & SESSION_CLOSING) continue;
        if (lost) {
            shard->stats.output_limit_closed++;
            clients_close(shard, s);
            continue;
        }
        if (s->flags & SESSION_MONITOR_SOON) continue; /* its OK comes first */
        clients_provide_buffer(shard, s);
        reply_raw(session_reply(s), lines, len);
        shard_want_output(shard, s);
    }
}

void monitor_fed(struct shard *shard, const struct message *message)
{
    deliver(shard, message->payload, message->words[0], message->small);
    free(message->payload);
}

/* Once per turn, before replies are sent. */
static void send_feeds(struct shard *shard)
{
    for (uint64_t left = shard->monitor_shards; left; left &= left - 1) {
        uint16_t to = (uint16_t)__builtin_ctzll(left);
        struct reply *feed = &shard->feed[to];
        bool lost = shard->feed_lost >> to & 1;
        if (!reply_len(feed) && !lost) continue;
        if (to == shard->index) {
            deliver(shard, feed->begin, reply_len(feed), lost);
            reply_clear(feed);
        } else {
            struct message *message = mail_reserve_data(shard, to);
            if (!message) continue;
            size_t len, capacity;
            message->kind = MESSAGE_FEED;
            message->small = lost;
            message->payload = reply_detach(feed, &len, &capacity);
            message->words[0] = len;
        }
        shard->feed_lost &= ~(1ULL << to);
    }
}

/* ---- who feeds whom ---- */

void monitor_feed_to(struct shard *shard, uint16_t to, bool on)
{
    if (on && to >= shard->shard_count && !MUTANT(leaver_is_fed))
        return; /* it leaves, and has asked before it heard of that */
    if (on) {
        shard->monitor_shards |= 1ULL << to;
        return;
    }
    shard->monitor_shards &= ~(1ULL << to);
    shard->feed_lost &= ~(1ULL << to);
    reply_free(&shard->feed[to]);
    reply_init(&shard->feed[to], 2);
}

static uint64_t all_shards(const struct shard *shard)
{
    return shard->shard_count == 64 ? ~0ULL : (1ULL << shard->shard_count) - 1;
}

/* Brings the others up to date about whether this shard has monitors; what finds no credit is tried again
 * next turn. */
static void announce(struct shard *shard)
{
    bool wanted = shard->monitor_count > 0;
    uint64_t all = all_shards(shard);
    uint64_t wrong = (wanted ? ~shard->fed_by : shard->fed_by) & all;
    for (; wrong; wrong &= wrong - 1) {
        uint16_t to = (uint16_t)__builtin_ctzll(wrong);
        if (to == shard->index) {
            monitor_feed_to(shard, to, wanted);
        } else {
            struct message *message = mail_reserve_data(shard, to);
            if (!message) continue;
            message->kind = MESSAGE_MONITOR;
            message->small = wanted;
        }
        shard->fed_by ^= 1ULL << to;
    }
}

/* RESET has made some of them normal clients again. */
static void drop_former(struct shard *shard)
{
    for (uint32_t i = 0; i < shard->monitor_count;) {
        if (shard->monitors[i]->flags & SESSION_MONITOR)
            i++;
        else
            shard->monitors[i] = shard->monitors[--shard->monitor_count];
    }
}

void monitor_step(struct shard *shard)
{
    if (shard->monitor_shards) send_feeds(shard);
    drop_former(shard);
    announce(shard);
}

void monitor_add(struct shard *shard, struct session *s)
{
    monitor_remove(shard, s);
    struct session **grown = realloc(shard->monitors, (shard->monitor_count + 1) * sizeof *grown);
    CHECK(grown);
    shard->monitors = grown;
    shard->monitors[shard->monitor_count++] = s;
}

void monitor_remove(struct shard *shard, const struct session *s)
{
    for (uint32_t i = 0; i < shard->monitor_count; i++)
        if (shard->monitors[i] == s) shard->monitors[i] = shard->monitors[--shard->monitor_count];
}

/* Only `count` shards go on: nobody feeds the others, nor hears from them. */
void monitor_limit(struct shard *shard, uint16_t count)
{
    for (uint16_t i = count; i < SHARDS_MAX; i++) monitor_feed_to(shard, i, false);
    if (count < 64) shard->fed_by &= (1ULL << count) - 1;
}

void monitor_free(struct shard *shard)
{
    free(shard->monitors);
    for (int i = 0; i < SHARDS_MAX; i++) reply_free(&shard->feed[i]);
}

/* ---- the command ---- */

static void feed_here(struct shard *shard, void *argument, struct scatter_part *part)
{
    monitor_feed_to(shard, *(const uint16_t *)argument, true);
}

void cmd_monitor(struct command_context *ctx)
{
    struct session *s = ctx->session;
    struct shard *shard = ctx->shard;
    uint16_t count;
    if (ctx->in_multi) {
        reply_error(ctx->reply, "ERR MONITOR isn't allowed for DENY BLOCKING client");
        return;
    }
    if (scatter_parts(ctx, &count)) {
        s->flags &= ~(uint32_t)SESSION_MONITOR_SOON;
        reply_ok(ctx->reply);
        return;
    }
    if (s->flags & SESSION_MONITOR) { /* asked again: Redis does not even answer */
        return;
    }
    uint16_t *here = malloc(sizeof *here);
    CHECK(here);
    *here = shard->index;
    s->flags |= SESSION_MONITOR | SESSION_MONITOR_SOON;
    monitor_add(shard, s);
    shard->fed_by = all_shards(shard);
    scatter_ask(ctx, feed_here, here);
}
