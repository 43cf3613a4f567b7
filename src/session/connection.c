/* Commands of the connection itself: PING, ECHO, SELECT, QUIT, RESET, AUTH, HELLO. They touch their own
 * session only. */
#include "session/session.h"

#include "base/mutant.h"
#include "session/password.h"

void cmd_ping(struct command_context *ctx)
{
    if (ctx->argc > 2) {
        command_error_arity(ctx);
        return;
    }
    if (ctx->argc == 2)
        reply_bulk_slice(ctx->reply, ctx->argv[1]);
    else
        reply_status(ctx->reply, "PONG");
}

void cmd_echo(struct command_context *ctx)
{
    reply_bulk_slice(ctx->reply, ctx->argv[1]);
}

void cmd_select(struct command_context *ctx)
{
    int64_t db;
    if (!command_arg_range(ctx, 1, INT32_MIN, INT32_MAX, &db, NULL)) return;
    if (db < 0 || db >= ctx->config->databases) {
        reply_error(ctx->reply, "ERR DB index is out of range");
        return;
    }
    ctx->session->db = (uint8_t)db;
    reply_ok(ctx->reply);
}

void cmd_quit(struct command_context *ctx)
{
    reply_ok(ctx->reply);
    ctx->session->flags |= SESSION_CLOSE_AFTER_REPLY;
}

void cmd_reset(struct command_context *ctx)
{
    struct session *s = ctx->session;
    session_multi_reset(s);
    session_unwatch(s, ctx->partitions);
    s->flags &= ~(uint32_t)(SESSION_REPLY_OFF | SESSION_REPLY_SKIP_NEXT | SESSION_MONITOR | SESSION_NO_EVICT |
                            SESSION_NO_TOUCH | SESSION_AUTHENTICATED);
    if (ctx->config->requirepass.len == 0) s->flags |= SESSION_AUTHENTICATED;
    if (!MUTANT(reset_keeps_db)) s->db = 0;
    s->resp = ctx->reply->resp = 2;
    session_set_text(&s->name, (struct slice){NULL, 0});
    reply_status(ctx->reply, "RESET");
}

/* ---- authentication ---- */

static bool authenticate(struct command_context *ctx, struct slice user, struct slice password)
{
    if (slice_equal(user, SLICE("default"))) {
        struct slice wanted = {ctx->config->requirepass.ptr, ctx->config->requirepass.len};
        if (!wanted.len || password_equal(wanted, password)) {
            ctx->session->flags |= SESSION_AUTHENTICATED;
            return true;
        }
    }
    reply_error(ctx->reply, "WRONGPASS invalid username-password pair or user is disabled.");
    return false;
}

void cmd_auth(struct command_context *ctx)
{
    if (ctx->argc > 3) {
        command_error_syntax(ctx);
        return;
    }
    if (ctx->argc == 2 && ctx->config->requirepass.len == 0) {
        reply_error(ctx->reply,
                    "ERR AUTH <password> called without any password configured for the default user. Are "
                    "you sure your configuration is correct?");
        return;
    }
    struct slice user = ctx->argc == 3 ? ctx->argv[1] : SLICE("default");
    if (authenticate(ctx, user, ctx->argv[ctx->argc - 1])) reply_ok(ctx->reply);
}

/* ---- HELLO ---- */

/* Redis looks at a C string: what stands behind a NUL is not judged. */
static bool is_printable(struct slice name)
{
    for (size_t i = 0; i < name.len && name.ptr[i]; i++)
        if (name.ptr[i] < '!' || name.ptr[i] > '~') return false;
    return true;
}

bool session_name_is_valid(struct command_context *ctx, struct slice name)
{
    if (is_printable(name)) return true;
    reply_error(ctx->reply, "ERR Client names cannot contain spaces, newlines or special characters.");
    return false;
}

struct hello {
    int64_t version;
    struct slice user, password, name;
    bool auth, named;
};

static bool parse_hello(struct command_context *ctx, struct hello *hello)
{
    if (ctx->argc >= 2) {
        if (!command_arg_int_error(ctx, 1, &hello->version,
                                   "ERR Protocol version is not an integer or out of range"))
            return false;
        if (hello->version < 2 || hello->version > 3) {
            reply_error(ctx->reply, "NOPROTO unsupported protocol version");
            return false;
        }
    }
    for (int i = 2; i < ctx->argc; i++) {
        int more = ctx->argc - 1 - i;
        if (command_arg_is(ctx, i, "AUTH") && more >= 2) {
            hello->auth = true;
            hello->user = ctx->argv[i + 1];
            hello->password = ctx->argv[i + 2];
            i += 2;
        } else if (command_arg_is(ctx, i, "SETNAME") && more >= 1) {
            hello->named = true;
            hello->name = ctx->argv[++i];
            if (!session_name_is_valid(ctx, hello->name)) return false;
        } else {
            reply_errorf(ctx->reply, "ERR Syntax error in HELLO option '%.*s'", (int)ctx->argv[i].len,
                         ctx->argv[i].ptr);
            return false;
        }
    }
    return true;
}

void cmd_hello(struct command_context *ctx)
{
    struct session *s = ctx->session;
    struct hello hello = {0};
    if (!parse_hello(ctx, &hello)) return;
    if (hello.auth && !authenticate(ctx, hello.user, hello.password)) return;
    if (!(s->flags & SESSION_AUTHENTICATED)) {
        reply_error(ctx->reply,
                    "NOAUTH HELLO must be called with the client already authenticated, otherwise the "
                    "HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and "
                    "select the RESP protocol version at the same time");
        return;
    }
    if (hello.named) session_set_text(&s->name, hello.name);
    if (hello.version) s->resp = ctx->reply->resp = (uint8_t)hello.version;
    struct reply *r = ctx->reply;
    reply_map(r, 7);
    reply_bulk_text(r, "server");
    reply_bulk_text(r, "redis");
    reply_bulk_text(r, "version");
    reply_bulk_text(r, COMMAND_REDIS_VERSION);
    reply_bulk_text(r, "proto");
    reply_integer(r, s->resp);
    reply_bulk_text(r, "id");
    reply_integer(r, (int64_t)s->id);
    reply_bulk_text(r, "mode");
    reply_bulk_text(r, "standalone");
    reply_bulk_text(r, "role");
    reply_bulk_text(r, "master");
    reply_bulk_text(r, "modules");
    reply_empty_array(r);
}
