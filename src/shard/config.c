/* CONFIG SET and CONFIG REWRITE.
 *
 * Every shard has its own copy of the configuration. CONFIG SET is judged on the session's shard, on a copy;
 * then what can fail in the outside world is done or tried (directory, open files, ports, a reshard that
 * nobody else is doing); only then every shard is told the new values. Changes carry a stamp of the node, so
 * that two clients who change the same directive at once leave all copies equal (config_follow). Shard 0 does
 * what there is to do once: listening, resharding, the log.
 */
#include "shard/internal.h"

#include "base/mutant.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* What travels to the shards: the words of the change behind it. */
struct change {
    uint64_t stamp;
    bool reshards; /* it has set node->resharding */
    size_t count;
    struct slice words[];
};

enum { PART_LISTEN_FAILED, PART_RESHARD_FAILED, PART_RESHARDS }; /* numbers of shard 0's part */

/* ---- on every shard ---- */

static void follow(struct shard *shard, void *argument, struct scatter_part *part)
{
    const struct change *change = argument;
    struct config old;
    config_copy(&old, &shard->config);
    config_follow(&shard->config, change->words, change->count, change->stamp);
    const struct config *config = &shard->config;
    if (shard->index == 0) {
        struct config_text was, is;
        config_get_one(&old, SLICE("bind"), &was);
        config_get_one(config, SLICE("bind"), &is);
        bool listens_elsewhere = old.port != config->port || strcmp(was.ptr, is.ptr) != 0;
        part->numbers[PART_LISTEN_FAILED] = listens_elsewhere && listen_again(shard, &old) != 0;
        config_text_set(&was, SLICE(""));
        config_text_set(&is, SLICE(""));
        part->numbers[PART_RESHARDS] = old.shards != config->shards;
        if (old.shards != config->shards)
            part->numbers[PART_RESHARD_FAILED] = !reshard_begin(shard, (uint16_t)config->shards);
        else if (change->reshards && !MUTANT(reshard_overruled))
            reshard_overruled(shard);
        if (shard->node->host.configured) shard->node->host.configured(shard->node->host.context, config);
    }
    config_free(&old);
}

/* ---- CONFIG SET on the session's shard ---- */

static struct change *change_create(struct node *node, const struct config_matches *changes, bool reshards)
{
    size_t count = changes->count * 2, bytes = 0;
    for (size_t i = 0; i < changes->count; i++)
        bytes += changes->items[i].name.len + changes->items[i].value.len;
    struct change *change = malloc(sizeof *change + count * sizeof change->words[0] + bytes);
    if (!change) return NULL;
    change->stamp = atomic_fetch_add(&node->config_stamp, 1) + 1;
    change->count = count;
    change->reshards = reshards;
    char *at = (char *)&change->words[count];
    for (size_t i = 0; i < count; i++) {
        const struct config_match *match = &changes->items[i / 2];
        const struct config_text *text = i % 2 ? &match->value : &match->name;
        memcpy(at, text->ptr, text->len);
        change->words[i] = (struct slice){at, text->len};
        at += text->len;
    }
    return change;
}

static void note(void *context, const char *sentence)
{
    struct node *node = context;
    if (node->host.log) node->host.log(node->host.context, CONFIG_LOG_NOTICE, sentence);
}

/* What may fail outside. False, with the directive's name and the reason; undoes itself, as `dir` comes
 * last. */
static bool prepare(struct shard *shard, const struct config *old, struct config *next, const char **name,
                    char reason[CONFIG_ERROR_MAX])
{
    struct node *node = shard->node;
    const struct node_host *host = &node->host;
    bool reshards = next->shards != old->shards;
    if (reshards && next->shards < 1) { /* 0 chooses at start-up only */
        *name = "shards";
        snprintf(reason, CONFIG_ERROR_MAX, "argument must be between 1 and %d inclusive", SHARDS_MAX);
        return false;
    }
    if (reshards && (atomic_load(&node->stop) || atomic_exchange(&node->resharding, true))) {
        *name = "shards";
        snprintf(reason, CONFIG_ERROR_MAX, "a change of shards is under way");
        return false;
    }
    const char *why = listen_probe(shard, old, next, name);
    if (why) snprintf(reason, CONFIG_ERROR_MAX, "%s", why);
    bool prepared = !why && (!host->prepare || host->prepare(host->context, old, next, name, reason));
    if (!prepared && reshards) atomic_store(&node->resharding, false);
    return prepared;
}

static void ask(struct command_context *ctx)
{
    struct shard *shard = ctx->shard;
    const struct slice *words = ctx->argv + 2;
    size_t count = (size_t)ctx->argc - 2;
    if (count % 2) {
        command_error_syntax(ctx);
        return;
    }
    struct config_loader notes = {.context = shard->node, .note = note};
    enum config_allow allow = ctx->config->enable_protected_configs;
    bool may = allow == CONFIG_ALLOW_YES || (allow == CONFIG_ALLOW_LOCAL && session_is_local(ctx->session));
    char error[CONFIG_ERROR_MAX] = "", reason[CONFIG_ERROR_MAX];
    const char *name = NULL;
    struct config next;
    config_copy(&next, ctx->config);
    if (config_set(&next, words, count, may ? CONFIG_MAY_SET_PROTECTED : 0, &notes, error) &&
        !prepare(shard, ctx->config, &next, &name, reason))
        config_set_error(error, name, reason);
    if (!error[0]) {
        struct config_matches changes;
        config_changes(&next, words, count, &changes);
        struct change *change = change_create(shard->node, &changes, next.shards != ctx->config->shards);
        CHECK(change); /* a few hundred bytes of the control plane */
        scatter_ask(ctx, follow, change);
        config_matches_free(&changes);
    } else {
        reply_error(ctx->reply, error);
    }
    config_free(&next);
}

void cmd_config_set(struct command_context *ctx)
{
    uint16_t count;
    const struct scatter_part *parts = scatter_parts(ctx, &count);
    char error[CONFIG_ERROR_MAX];
    if (!parts) {
        ask(ctx);
        return;
    }
    if (parts[0].numbers[PART_LISTEN_FAILED])
        config_set_error(error, "port", "Unable to listen on this port. Check server logs.");
    else if (parts[0].numbers[PART_RESHARD_FAILED])
        config_set_error(error, "shards", "no memory or threads for that many");
    else {
        /* A transaction holds partitions, which a reshard waits for: there it begins after EXEC. */
        if (parts[0].numbers[PART_RESHARDS] && !ctx->in_multi)
            ctx->session->flags |= SESSION_RESHARDS; /* answered by dispatch.c when it is done */
        else
            reply_ok(ctx->reply);
        return;
    }
    reply_error(ctx->reply, error);
}

/* ---- CONFIG REWRITE ---- */

#define CONFIG_FILE_MAX (64u << 20)

int shard_rewrite_config(struct shard *shard, bool force)
{
    const struct config *config = &shard->config;
    size_t len = 0;
    int error = 0;
    char *old = io_file_load(shard->io, config->file.ptr, CONFIG_FILE_MAX, &len, &error);
    if (!old && error != -ENOENT) return error;
    size_t fresh_len;
    char *fresh = config_rewrite(config, (struct slice){old ? old : "", len}, force, &fresh_len);
    error = io_file_store_atomic(shard->io, config->file.ptr, fresh, fresh_len);
    free(fresh);
    free(old);
    return error;
}

void cmd_config_rewrite(struct command_context *ctx)
{
    if (!ctx->config->file.len) {
        reply_error(ctx->reply, "ERR The server is running without a config file");
        return;
    }
    int error = shard_rewrite_config(ctx->shard, false);
    char line[256];
    if (error == 0) {
        note(ctx->shard->node, "CONFIG REWRITE executed with success.");
        reply_ok(ctx->reply);
        return;
    }
    snprintf(line, sizeof line, "CONFIG REWRITE failed: %s", strerror(-error));
    note(ctx->shard->node, line);
    reply_errorf(ctx->reply, "ERR Rewriting config file: %s", strerror(-error));
}
