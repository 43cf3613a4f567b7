/* CLIENT subcommands that look at sessions of every shard: LIST, INFO, KILL, PAUSE, UNPAUSE. Each shard
 * answers for the sessions it serves; a session that is on its way between two shards is answered for by
 * neither. Tests: test/blackbox/server_commands_test.py. */
#include "session/client.h"
#include "shard/internal.h"
#include "shard/rows.h"

#include <stdlib.h>

/* ---- CLIENT INFO, CLIENT LIST ---- */

static uint64_t bytes_of_arguments(const struct command_context *ctx)
{
    uint64_t bytes = 0;
    for (int i = 0; i < ctx->argc; i++) bytes += ctx->argv[i].len;
    return bytes;
}

void cmd_client_info(struct command_context *ctx)
{
    struct reply line;
    reply_init(&line, 2);
    client_describe(&line, ctx->session, ctx->command, bytes_of_arguments(ctx), ctx->shard->now_us,
                    ctx->shard->index);
    reply_verbatim(ctx->reply, "txt", line.begin, reply_len(&line));
    reply_free(&line);
}

/* The question; `ids` of them follow, when it names clients. */
struct list_query {
    const struct session *self;
    const struct command *command;
    uint64_t argv_bytes;
    enum client_type type; /* CLIENT_TYPE_NONE: any */
    int id_count;          /* < 0: all */
    int64_t ids[];
};

static bool is_listed(const struct list_query *query, const struct session *s)
{
    if (s->id == 0 || s->flags & SESSION_CLOSED) return false;
    if (query->type != CLIENT_TYPE_NONE && client_type(s) != query->type) return false;
    for (int i = 0; i < query->id_count; i++)
        if ((uint64_t)query->ids[i] == s->id) return true;
    return query->id_count < 0;
}

static void list_here(struct shard *shard, void *argument, struct scatter_part *part)
{
    const struct list_query *query = argument;
    for (const struct session *s = shard->sessions; s; s = s->all_next) {
        if (!is_listed(query, s)) continue;
        size_t mark = row_begin(&part->bytes, s->id);
        bool self = s == query->self;
        client_describe(&part->bytes, s, self ? query->command : NULL, self ? query->argv_bytes : 0,
                        shard->now_us, shard->index);
        row_end(&part->bytes, mark);
    }
}

static bool parse_list(struct command_context *ctx, struct list_query *query)
{
    query->type = CLIENT_TYPE_NONE;
    query->id_count = -1;
    if (ctx->argc == 4 && command_arg_is(ctx, 2, "TYPE")) {
        query->type = client_type_named(ctx->argv[3]);
        if (query->type != CLIENT_TYPE_NONE) return true;
        reply_errorf(ctx->reply, "ERR Unknown client type '%.*s'", (int)ctx->argv[3].len, ctx->argv[3].ptr);
        return false;
    }
    if (ctx->argc > 3 && command_arg_is(ctx, 2, "ID")) {
        query->id_count = ctx->argc - 3;
        for (int i = 0; i < query->id_count; i++)
            if (!command_arg_int_error(ctx, i + 3, &query->ids[i], "ERR Invalid client ID")) return false;
        return true;
    }
    if (ctx->argc == 2) return true;
    command_error_syntax(ctx);
    return false;
}

static void reply_lines(struct command_context *ctx, const struct scatter_part *parts, uint16_t count)
{
    size_t rows;
    struct row *sorted = rows_collect(parts, count, &rows);
    struct reply text;
    reply_init(&text, 2);
    for (size_t i = 0; i < rows; i++) reply_raw(&text, sorted[i].body.ptr, sorted[i].body.len);
    reply_verbatim(ctx->reply, "txt", text.begin, reply_len(&text));
    reply_free(&text);
    free(sorted);
}

void cmd_client_list(struct command_context *ctx)
{
    uint16_t count;
    const struct scatter_part *parts = scatter_parts(ctx, &count);
    if (parts) {
        reply_lines(ctx, parts, count);
        return;
    }
    struct list_query *query = malloc(sizeof *query + (size_t)ctx->argc * sizeof query->ids[0]);
    CHECK(query);
    query->self = ctx->session;
    query->command = ctx->command;
    query->argv_bytes = bytes_of_arguments(ctx);
    if (parse_list(ctx, query))
        scatter_ask(ctx, list_here, query);
    else
        free(query);
}

/* ---- CLIENT KILL ---- */

struct kill_query {
    struct session *self;
    bool skip_self;
    enum client_type type; /* CLIENT_TYPE_NONE: any */
    int64_t id, max_age_s; /* 0: any */
    /* Empty: any. They point behind the struct. */
    struct slice address, local_address;
};

static bool is_condemned(const struct kill_query *query, const struct session *s, int64_t now_us)
{
    if (s->id == 0 || s->flags & SESSION_CLOSING) return false;
    if (s == query->self && query->skip_self) return false;
    if (query->address.ptr && !slice_equal(query->address, (struct slice){s->address, strlen(s->address)}))
        return false;
    if (query->local_address.ptr &&
        !slice_equal(query->local_address, (struct slice){s->local_address, strlen(s->local_address)}))
        return false;
    if (query->type != CLIENT_TYPE_NONE && client_type(s) != query->type) return false;
    if (query->id && (uint64_t)query->id != s->id) return false;
    return !query->max_age_s || (now_us - s->created_us) / 1000000 >= query->max_age_s;
}

enum { KILL_PART_COUNT, KILL_PART_SELF };

static void kill_here(struct shard *shard, void *argument, struct scatter_part *part)
{
    const struct kill_query *query = argument;
    for (struct session *s = shard->sessions; s; s = s->all_next) {
        if (!is_condemned(query, s, shard->now_us)) continue;
        part->numbers[KILL_PART_COUNT]++;
        if (s == query->self)
            part->numbers[KILL_PART_SELF] = 1; /* it is answered first */
        else
            clients_close(shard, s);
    }
}

static bool parse_kill_filter(struct command_context *ctx, int i, struct kill_query *query)
{
    struct slice value = ctx->argv[i + 1];
    if (command_arg_is(ctx, i, "ID")) {
        if (!command_arg_int_error(ctx, i + 1, &query->id, "ERR client-id should be greater than 0"))
            return false;
        if (query->id > 0) return true;
        reply_error(ctx->reply, "ERR client-id should be greater than 0");
        return false;
    }
    if (command_arg_is(ctx, i, "MAXAGE")) {
        if (!command_arg_int_error(ctx, i + 1, &query->max_age_s,
                                   "ERR maxage is not an integer or out of range"))
            return false;
        if (query->max_age_s > 0) return true;
        reply_error(ctx->reply, "ERR maxage should be greater than 0");
        return false;
    }
    if (command_arg_is(ctx, i, "TYPE")) {
        query->type = client_type_named(value);
        if (query->type != CLIENT_TYPE_NONE) return true;
        reply_errorf(ctx->reply, "ERR Unknown client type '%.*s'", (int)value.len, value.ptr);
        return false;
    }
    if (command_arg_is(ctx, i, "USER")) { /* everybody is "default" */
        if (slice_equal(value, SLICE("default"))) return true;
        reply_errorf(ctx->reply, "ERR No such user '%.*s'", (int)value.len, value.ptr);
        return false;
    }
    if (command_arg_is(ctx, i, "ADDR")) {
        query->address = value;
        return true;
    }
    if (command_arg_is(ctx, i, "LADDR")) {
        query->local_address = value;
        return true;
    }
    bool yes = slice_is_word(value, "yes");
    if (command_arg_is(ctx, i, "SKIPME") && (yes || slice_is_word(value, "no"))) {
        query->skip_self = yes;
        return true;
    }
    command_error_syntax(ctx);
    return false;
}

static bool parse_kill(struct command_context *ctx, struct kill_query *query)
{
    *query = (struct kill_query){.self = ctx->session, .type = CLIENT_TYPE_NONE, .skip_self = ctx->argc > 3};
    if (ctx->argc == 3) { /* the old form may close the own connection, too */
        query->address = ctx->argv[2];
        return true;
    }
    for (int i = 2; i < ctx->argc; i += 2) {
        if (i + 1 == ctx->argc) {
            command_error_syntax(ctx);
            return false;
        }
        if (!parse_kill_filter(ctx, i, query)) return false;
    }
    return true;
}

/* The request's bytes do not live as long as the question. */
static void own_text(struct slice *text, char **at)
{
    if (!text->ptr) return;
    memcpy(*at, text->ptr, text->len);
    text->ptr = *at;
    *at += text->len;
}

static void kill_ask(struct command_context *ctx)
{
    struct kill_query query;
    if (!parse_kill(ctx, &query)) return;
    struct kill_query *sent = malloc(sizeof query + query.address.len + query.local_address.len);
    CHECK(sent);
    char *at = (char *)(sent + 1);
    own_text(&query.address, &at);
    own_text(&query.local_address, &at);
    *sent = query;
    scatter_ask(ctx, kill_here, sent);
}

void cmd_client_kill(struct command_context *ctx)
{
    uint16_t count;
    const struct scatter_part *parts = scatter_parts(ctx, &count);
    if (!parts) {
        kill_ask(ctx);
        return;
    }
    int64_t killed = 0;
    for (uint16_t i = 0; i < count; i++) {
        killed += parts[i].numbers[KILL_PART_COUNT];
        if (parts[i].numbers[KILL_PART_SELF]) ctx->session->flags |= SESSION_CLOSE_AFTER_REPLY;
    }
    if (ctx->argc > 3)
        reply_integer(ctx->reply, killed);
    else if (killed)
        reply_ok(ctx->reply);
    else
        reply_error(ctx->reply, "ERR No such client");
}

/* ---- CLIENT PAUSE, CLIENT UNPAUSE ---- */

struct pause {
    int64_t until_us;
    bool writes_only;
};

static void pause_here(struct shard *shard, void *argument, struct scatter_part *part)
{
    const struct pause *pause = argument;
    bool was_paused = shard->pause_until_us > shard->now_us;
    if (shard->pause_until_us < pause->until_us) shard->pause_until_us = pause->until_us;
    /* A pause of everything is not weakened by a later one of writes. */
    shard->pause_writes_only = pause->writes_only && (!was_paused || shard->pause_writes_only);
}

static bool parse_pause(struct command_context *ctx, struct pause *pause)
{
    int64_t ms;
    if (ctx->argc > 4) {
        command_error_subcommand(ctx);
        return false;
    }
    pause->writes_only = ctx->argc == 4 && command_arg_is(ctx, 3, "WRITE");
    if (ctx->argc == 4 && !pause->writes_only && !command_arg_is(ctx, 3, "ALL")) {
        reply_error(ctx->reply, "ERR CLIENT PAUSE mode must be WRITE or ALL");
        return false;
    }
    if (!command_arg_int_error(ctx, 2, &ms, "ERR timeout is not an integer or out of range")) return false;
    if (ms < 0) {
        reply_error(ctx->reply, "ERR timeout is negative");
        return false;
    }
    if (ms > INT64_MAX / 1000 - ctx->shard->now_us / 1000) {
        reply_error(ctx->reply, "ERR timeout is out of range");
        return false;
    }
    pause->until_us = ctx->shard->now_us + ms * 1000;
    return true;
}

void cmd_client_pause(struct command_context *ctx)
{
    uint16_t count;
    if (scatter_parts(ctx, &count)) {
        reply_ok(ctx->reply);
        return;
    }
    struct pause pause;
    if (!parse_pause(ctx, &pause)) return;
    struct pause *sent = malloc(sizeof pause);
    CHECK(sent);
    *sent = pause;
    scatter_ask(ctx, pause_here, sent);
}

static void unpause_here(struct shard *shard, void *argument, struct scatter_part *part)
{
    shard_unpause(shard);
}

void cmd_client_unpause(struct command_context *ctx)
{
    uint16_t count;
    if (scatter_parts(ctx, &count))
        reply_ok(ctx->reply);
    else
        scatter_ask(ctx, unpause_here, NULL);
}
