/* CLIENT subcommands that concern the own session only, and how a session is described. Those that look at
 * other sessions are in shard/client_commands.c. Tests: test/blackbox/server_commands_test.py. */
#include "session/client.h"

/* ---- describing a session ---- */

static void put_flags(struct reply *out, const struct session *s)
{
    static const struct {
        uint32_t flag;
        char letter;
    } letters[] = {{SESSION_CLOSE_AFTER_REPLY, 'c'},
                   {SESSION_CLOSING, 'A'},
                   {SESSION_UNIX, 'U'},
                   {SESSION_NO_EVICT, 'e'},
                   {SESSION_NO_TOUCH, 'T'}};
    char text[16];
    size_t n = 0;
    if (s->flags & SESSION_MONITOR) text[n++] = 'O';
    if (s->in_multi) text[n++] = 'x';
    if (s->block == SESSION_WAITS_PAUSE) text[n++] = 'b';
    for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++)
        if (s->flags & letters[i].flag) text[n++] = letters[i].letter;
    if (!n) text[n++] = 'N';
    reply_raw(out, text, n);
}

static void put_text(struct reply *out, const char *field, struct slice value)
{
    reply_raw(out, field, strlen(field));
    reply_raw(out, value.ptr, value.len);
}

static void put_cstring(struct reply *out, const char *field, const char *value)
{
    put_text(out, field, (struct slice){value, strlen(value)});
}

static void put_number(struct reply *out, const char *field, int64_t value)
{
    char text[NUMBER_I64_MAX];
    put_text(out, field, (struct slice){text, number_format_i64(text, value)});
}

/* What Redis keeps in the client itself; only what is beyond it counts as output memory. */
#define FIRST_BUFFER (16 * 1024)

static void put_buffers(struct reply *out, const struct session *s, uint64_t argv_bytes)
{
    uint64_t query = s->input ? s->input_len : s->tail_len;
    uint64_t capacity = (uint64_t)(s->out.end - s->out.begin) + s->sending_capacity;
    uint64_t queued = session_output_bytes(s), pending = 0;
    for (const struct session_pending *p = s->pending; p; p = p->next) pending++;
    put_number(out, " qbuf=", (int64_t)query);
    put_number(out, " qbuf-free=", (int64_t)(s->tail_capacity - s->tail_len));
    put_number(out, " argv-mem=", (int64_t)argv_bytes);
    put_number(out, " multi-mem=", (int64_t)s->multi.bytes);
    put_number(out, " rbs=", (int64_t)capacity);
    put_number(out, " rbp=", (int64_t)capacity);
    uint64_t beyond = queued > FIRST_BUFFER ? queued - FIRST_BUFFER : 0;
    put_number(out, " obl=", (int64_t)(queued - beyond));
    put_number(out, " oll=", (int64_t)(pending + (beyond > 0)));
    put_number(out, " omem=", (int64_t)beyond);
    put_number(out, " tot-mem=", (int64_t)session_memory(s));
}

void client_describe(struct reply *out, const struct session *s, const struct command *running,
                     uint64_t argv_bytes, int64_t now_us, uint16_t shard)
{
    const struct command *last = running ? running : s->last_command;
    put_number(out, "id=", (int64_t)s->id);
    put_cstring(out, " addr=", s->address);
    put_cstring(out, " laddr=", s->local_address);
    put_number(out, " fd=", s->fd);
    put_text(out, " name=", s->name);
    put_number(out, " age=", (now_us - s->created_us) / 1000000);
    put_number(out, " idle=", (now_us - s->last_active_us) / 1000000);
    put_cstring(out, " flags=", "");
    put_flags(out, s);
    put_number(out, " db=", s->db);
    put_cstring(out, " sub=0 psub=0 ssub=0", "");
    put_number(out, " multi=", s->in_multi ? (int64_t)s->multi.count : -1);
    put_number(out, " watch=", s->watch_count);
    put_buffers(out, s, argv_bytes);
    put_cstring(out, " events=", s->sending ? "rw" : "r");
    put_cstring(out, " cmd=", last ? last->full_name : "NULL");
    put_cstring(out, " user=default redir=-1", "");
    put_number(out, " resp=", s->resp);
    put_text(out, " lib-name=", s->library_name);
    put_text(out, " lib-ver=", s->library_version);
    put_number(out, " io-thread=", shard);
    put_number(out, " shard=", shard);
    REPLY_RAW_LITERAL(out, "\n");
}

enum client_type client_type_named(struct slice name)
{
    static const struct {
        const char *name;
        enum client_type type;
    } types[] = {{"normal", CLIENT_TYPE_NORMAL},
                 {"slave", CLIENT_TYPE_REPLICA},
                 {"replica", CLIENT_TYPE_REPLICA},
                 {"pubsub", CLIENT_TYPE_PUBSUB},
                 {"master", CLIENT_TYPE_MASTER}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (slice_is_word(name, types[i].name)) return types[i].type;
    return CLIENT_TYPE_NONE;
}

enum client_type client_type(const struct session *session)
{
    return CLIENT_TYPE_NORMAL;
}

/* ---- identity ---- */

void cmd_client_id(struct command_context *ctx)
{
    reply_integer(ctx->reply, (int64_t)ctx->session->id);
}

void cmd_client_getname(struct command_context *ctx)
{
    if (ctx->session->name.len)
        reply_bulk_slice(ctx->reply, ctx->session->name);
    else
        reply_null(ctx->reply);
}

void cmd_client_setname(struct command_context *ctx)
{
    if (!session_name_is_valid(ctx, ctx->argv[2])) return;
    session_set_text(&ctx->session->name, ctx->argv[2]);
    reply_ok(ctx->reply);
}

static bool is_printable(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < '!' || text.ptr[i] > '~') return false;
    return true;
}

void cmd_client_setinfo(struct command_context *ctx)
{
    struct session *s = ctx->session;
    struct slice option = ctx->argv[2], value = ctx->argv[3], *field;
    if (slice_is_word(option, "lib-name")) {
        field = &s->library_name;
    } else if (slice_is_word(option, "lib-ver")) {
        field = &s->library_version;
    } else {
        reply_errorf(ctx->reply, "ERR Unrecognized option '%.*s'", (int)option.len, option.ptr);
        return;
    }
    if (!is_printable(value)) {
        reply_errorf(ctx->reply, "ERR %.*s cannot contain spaces, newlines or special characters.",
                     (int)option.len, option.ptr);
        return;
    }
    session_set_text(field, value);
    reply_ok(ctx->reply);
}

/* ---- modes ---- */

void cmd_client_reply(struct command_context *ctx)
{
    struct session *s = ctx->session;
    if (command_arg_is(ctx, 2, "ON")) {
        s->flags &= ~(uint32_t)(SESSION_REPLY_OFF | SESSION_REPLY_SKIP | SESSION_REPLY_SKIP_NEXT);
        reply_ok(ctx->reply);
    } else if (command_arg_is(ctx, 2, "OFF")) {
        s->flags |= SESSION_REPLY_OFF;
    } else if (command_arg_is(ctx, 2, "SKIP")) {
        if (!(s->flags & SESSION_REPLY_OFF)) s->flags |= SESSION_REPLY_SKIP_NEXT;
    } else {
        command_error_syntax(ctx);
    }
}

static void set_mode(struct command_context *ctx, uint32_t flag)
{
    if (command_arg_is(ctx, 2, "ON")) {
        ctx->session->flags |= flag;
    } else if (command_arg_is(ctx, 2, "OFF")) {
        ctx->session->flags &= ~flag;
    } else {
        command_error_syntax(ctx);
        return;
    }
    reply_ok(ctx->reply);
}

void cmd_client_no_evict(struct command_context *ctx)
{
    set_mode(ctx, SESSION_NO_EVICT);
}
void cmd_client_no_touch(struct command_context *ctx)
{
    set_mode(ctx, SESSION_NO_TOUCH);
}

/* ---- tracking: nobody can switch it on yet, so these tell that it is off ---- */

void cmd_client_getredir(struct command_context *ctx)
{
    reply_integer(ctx->reply, -1);
}

void cmd_client_trackinginfo(struct command_context *ctx)
{
    struct reply *r = ctx->reply;
    reply_map(r, 3);
    reply_bulk_text(r, "flags");
    reply_set(r, 1);
    reply_bulk_text(r, "off");
    reply_bulk_text(r, "redirect");
    reply_integer(r, -1);
    reply_bulk_text(r, "prefixes");
    reply_empty_array(r);
}
