/* Deadlines of hash fields: HEXPIRE and its kin, HTTL and its kin, HPERSIST, HGETDEL, HGETEX, HSETEX. Order
 * of checks and texts are Redis's. Compared with a real Redis by test/blackbox/hash_set_test.py. */
#include "command/hash.h"

#define FIELD_DEADLINE_MAX ((1ll << 46) - 1) /* Redis's; the type has room for more */

/* What stands for a field in the replies. */
enum { NO_FIELD = -2, NO_DEADLINE = -1, NOT_MET = 0, DONE = 1, DELETED = 2 };

/* ---- arguments ---- */

/* argv[at]: a number of seconds or milliseconds, from `base_ms` on. */
static bool parse_deadline(struct command_context *ctx, int at, bool seconds, int64_t base_ms,
                           int64_t *deadline_ms)
{
    int64_t amount;
    if (!command_arg_int(ctx, at, &amount)) return false;
    if (amount < 0) {
        reply_error(ctx->reply, "ERR invalid expire time, must be >= 0");
        return false;
    }
    bool bad = seconds && amount > FIELD_DEADLINE_MAX / 1000;
    if (seconds && !bad) amount *= 1000;
    if (bad || amount > FIELD_DEADLINE_MAX - base_ms) {
        reply_errorf(ctx->reply, "ERR invalid expire time in '%s' command", ctx->command->full_name);
        return false;
    }
    *deadline_ms = amount + base_ms;
    return true;
}

/* EX, PX, EXAT or PXAT at argv[at] with its number behind it. *found: it was one of them. */
static bool parse_deadline_option(struct command_context *ctx, int at, bool *found, int64_t *deadline_ms)
{
    bool ex = command_arg_is(ctx, at, "EX"), px = command_arg_is(ctx, at, "PX");
    bool exat = command_arg_is(ctx, at, "EXAT"), pxat = command_arg_is(ctx, at, "PXAT");
    *found = ex || px || exat || pxat;
    return !*found || parse_deadline(ctx, at + 1, ex || exat, ex || px ? ctx->now_ms : 0, deadline_ms);
}

/* "FIELDS n field ..." from argv[at] on, up to the end; argv[at + 1] exists. The first field is argv[at + 2].
 */
static bool parse_fields(struct command_context *ctx, int at, const char *number_error, int *count)
{
    int64_t n;
    if (!command_arg_is(ctx, at, "FIELDS")) {
        reply_error(ctx->reply, "ERR Mandatory argument FIELDS is missing or not at the right position");
        return false;
    }
    if (!command_arg_range(ctx, at + 1, 1, INT64_MAX, &n, number_error)) return false;
    if (n != ctx->argc - at - 2) {
        reply_error(ctx->reply, "ERR The `numfields` parameter must match the number of arguments");
        return false;
    }
    *count = (int)n;
    return true;
}

static const char positive_error[] = "ERR Number of fields must be a positive integer";

/* ---- HEXPIRE, HPEXPIRE, HEXPIREAT, HPEXPIREAT ---- */

enum condition { ALWAYS, IF_NONE, IF_SOME, IF_GREATER, IF_LESS };

static enum condition parse_condition(const struct command_context *ctx, int at)
{
    static const char *const words[] = {
        [IF_NONE] = "NX", [IF_SOME] = "XX", [IF_GREATER] = "GT", [IF_LESS] = "LT"};
    for (int c = IF_NONE; c <= IF_LESS; c++)
        if (command_arg_is(ctx, at, words[c])) return (enum condition)c;
    return ALWAYS;
}

/* No deadline counts as the latest. */
static bool condition_met(enum condition condition, int64_t old_ms, int64_t new_ms)
{
    bool has = old_ms != HASH_NO_DEADLINE;
    switch (condition) {
    case IF_NONE: return !has;
    case IF_SOME: return has;
    case IF_GREATER: return has && new_ms > old_ms;
    case IF_LESS: return !has || new_ms < old_ms;
    default: return true;
    }
}

/* Before the fields argv[first ..] get a deadline; mutate_release(ctx->env) ends it. False: replied that
 * memory ran out. One in the past, or none, takes no memory. */
static bool reserve_deadlines(struct command_context *ctx, struct entry *entry, int first, int count,
                              int64_t deadline_ms)
{
    uint64_t bytes = 0;
    if (!entry->item || deadline_ms == HASH_NO_DEADLINE || deadline_ms <= ctx->now_ms) return true;
    for (int i = first; i < first + count; i++) {
        struct hash_field field;
        if (hash_peek(ctx, entry, ctx->argv[i], &field)) bytes += field.field.len + field.value.len;
    }
    if (mutate_reserve_elements(entry, (uint64_t)count, bytes) == VALUE_OK) return true;
    command_out_of_memory(ctx);
    return false;
}

/* Gives a field a deadline, for which there is memory; one in the past deletes it. */
static int expire_field(struct command_context *ctx, struct entry *entry, struct slice name,
                        int64_t deadline_ms, enum condition condition)
{
    struct hash_field field;
    if (!hash_get(ctx, entry, name, &field)) return NO_FIELD;
    if (!condition_met(condition, field.deadline_ms, deadline_ms)) return NOT_MET;
    if (deadline_ms <= ctx->now_ms) {
        mutate_hash_remove(entry, name, RECORD_DELETED);
        return DELETED;
    }
    CHECK(mutate_hash_expire(entry, name, deadline_ms) == VALUE_OK);
    return DONE;
}

static void expire_fields(struct command_context *ctx, bool seconds, int64_t base_ms)
{
    struct entry entry;
    int64_t deadline_ms;
    int count, at = 3;
    if (!command_open_typed(ctx, 1, ITEM_HASH, &entry)) return;
    if (!parse_deadline(ctx, 2, seconds, base_ms, &deadline_ms)) return;
    enum condition condition = parse_condition(ctx, at);
    if (condition != ALWAYS) at++;
    if (!parse_fields(ctx, at, "ERR Parameter `numFields` should be greater than 0", &count)) return;
    if (!reserve_deadlines(ctx, &entry, at + 2, count, deadline_ms)) return;
    reply_array(ctx->reply, (uint64_t)count);
    if (entry.item) mutate_hash_prepare_deadlines(&entry);
    for (int i = 0; i < count; i++)
        reply_integer(ctx->reply, expire_field(ctx, &entry, ctx->argv[at + 2 + i], deadline_ms, condition));
    mutate_release(ctx->env);
}

void cmd_hexpire(struct command_context *ctx)
{
    expire_fields(ctx, true, ctx->now_ms);
}
void cmd_hpexpire(struct command_context *ctx)
{
    expire_fields(ctx, false, ctx->now_ms);
}
void cmd_hexpireat(struct command_context *ctx)
{
    expire_fields(ctx, true, 0);
}
void cmd_hpexpireat(struct command_context *ctx)
{
    expire_fields(ctx, false, 0);
}

/* ---- HTTL, HPTTL, HEXPIRETIME, HPEXPIRETIME ---- */

static void reply_deadlines(struct command_context *ctx, bool seconds, int64_t base_ms)
{
    struct entry entry;
    int count;
    if (!command_open_read_typed(ctx, 1, ITEM_HASH, &entry)) return;
    if (!parse_fields(ctx, 2, positive_error, &count)) return;
    reply_array(ctx->reply, (uint64_t)count);
    for (int i = 0; i < count; i++) {
        struct hash_field field;
        int64_t shown = NO_FIELD;
        if (hash_peek(ctx, &entry, ctx->argv[4 + i], &field)) {
            shown = field.deadline_ms == HASH_NO_DEADLINE ? NO_DEADLINE : field.deadline_ms - base_ms;
            if (field.deadline_ms != HASH_NO_DEADLINE && seconds) shown = (shown + 999) / 1000;
        }
        reply_integer(ctx->reply, shown);
    }
}

void cmd_httl(struct command_context *ctx)
{
    reply_deadlines(ctx, true, ctx->now_ms);
}
void cmd_hpttl(struct command_context *ctx)
{
    reply_deadlines(ctx, false, ctx->now_ms);
}
void cmd_hexpiretime(struct command_context *ctx)
{
    reply_deadlines(ctx, true, 0);
}
void cmd_hpexpiretime(struct command_context *ctx)
{
    reply_deadlines(ctx, false, 0);
}

void cmd_hpersist(struct command_context *ctx)
{
    struct entry entry;
    int count;
    if (!command_open_typed(ctx, 1, ITEM_HASH, &entry)) return;
    if (!parse_fields(ctx, 2, positive_error, &count)) return;
    reply_array(ctx->reply, (uint64_t)count);
    for (int i = 0; i < count; i++) {
        struct slice name = ctx->argv[4 + i];
        struct hash_field field;
        int done = NO_FIELD;
        if (hash_peek(ctx, &entry, name, &field)) {
            done = field.deadline_ms == HASH_NO_DEADLINE ? NO_DEADLINE : DONE;
            if (done == DONE) CHECK(mutate_hash_expire(&entry, name, HASH_NO_DEADLINE) == VALUE_OK);
        }
        reply_integer(ctx->reply, done);
    }
}

/* ---- HGETDEL, HGETEX ---- */

void cmd_hgetdel(struct command_context *ctx)
{
    struct entry entry;
    int count;
    if (!command_open_typed(ctx, 1, ITEM_HASH, &entry)) return;
    if (!parse_fields(ctx, 2, positive_error, &count)) return;
    reply_array(ctx->reply, (uint64_t)count);
    for (int i = 0; i < count; i++) {
        struct hash_field field;
        if (!hash_get(ctx, &entry, ctx->argv[4 + i], &field)) {
            reply_null(ctx->reply);
            continue;
        }
        reply_bulk_slice(ctx->reply, field.value);
        mutate_hash_remove(&entry, ctx->argv[4 + i], RECORD_DELETED);
    }
}

/* Replies the fields' values and gives each the deadline (HASH_NO_DEADLINE: takes it away). */
static void get_and_expire(struct command_context *ctx, struct entry *entry, int first, int count,
                           int64_t deadline_ms)
{
    if (!reserve_deadlines(ctx, entry, first, count, deadline_ms)) return;
    reply_array(ctx->reply, (uint64_t)count);
    if (entry->item) mutate_hash_prepare_deadlines(entry);
    for (int i = first; i < first + count; i++) {
        struct hash_field field;
        if (!hash_get(ctx, entry, ctx->argv[i], &field)) {
            reply_null(ctx->reply);
            continue;
        }
        reply_bulk_slice(ctx->reply, field.value);
        if (deadline_ms != HASH_NO_DEADLINE)
            expire_field(ctx, entry, ctx->argv[i], deadline_ms, ALWAYS);
        else if (field.deadline_ms != HASH_NO_DEADLINE)
            CHECK(mutate_hash_expire(entry, ctx->argv[i], HASH_NO_DEADLINE) == VALUE_OK);
    }
    mutate_release(ctx->env);
}

void cmd_hgetex(struct command_context *ctx)
{
    struct entry entry;
    int count, at = 2;
    bool timed;
    int64_t deadline_ms = HASH_NO_DEADLINE;
    if (!command_open_typed(ctx, 1, ITEM_HASH, &entry)) return;
    if (!parse_deadline_option(ctx, 2, &timed, &deadline_ms)) return;
    bool persist = command_arg_is(ctx, 2, "PERSIST");
    at += timed ? 2 : persist ? 1 : 0;
    if (at + 1 >= ctx->argc) {
        command_error_arity(ctx);
        return;
    }
    if (!parse_fields(ctx, at, positive_error, &count)) return;
    if (timed || persist) {
        get_and_expire(ctx, &entry, at + 2, count, deadline_ms);
        return;
    }
    reply_array(ctx->reply, (uint64_t)count);
    for (int i = 0; i < count; i++) {
        struct hash_field field;
        if (hash_get(ctx, &entry, ctx->argv[at + 2 + i], &field))
            reply_bulk_slice(ctx->reply, field.value);
        else
            reply_null(ctx->reply);
    }
}

/* ---- HSETEX ---- */

struct set_options {
    bool only_new, only_present, timed, keep;
    int64_t deadline_ms;
    int first, count; /* pairs */
};

static bool parse_set_pairs(struct command_context *ctx, int at, struct set_options *options)
{
    int64_t n;
    int left = ctx->argc - at - 2;
    if (left < 2) {
        command_error_arity(ctx);
        return false;
    }
    if (!command_arg_range(ctx, at + 1, 1, INT32_MAX, &n, "ERR invalid number of fields")) return false;
    if (left % 2 != 0 || n != left / 2) {
        command_error_arity(ctx);
        return false;
    }
    options->first = at + 2;
    options->count = (int)n;
    return true;
}

static bool parse_set_options(struct command_context *ctx, struct set_options *options)
{
    for (int i = 2; i < ctx->argc; i++) {
        bool only_new = command_arg_is(ctx, i, "FNX"), only_present = command_arg_is(ctx, i, "FXX");
        bool keep = command_arg_is(ctx, i, "KEEPTTL"), timed = false;
        bool time_word = command_arg_is(ctx, i, "EX") || command_arg_is(ctx, i, "PX") ||
                         command_arg_is(ctx, i, "EXAT") || command_arg_is(ctx, i, "PXAT");
        if (command_arg_is(ctx, i, "FIELDS")) return parse_set_pairs(ctx, i, options);
        if (only_new || only_present) {
            if (options->only_new || options->only_present) {
                reply_error(ctx->reply, "ERR Only one of FXX or FNX arguments can be specified");
                return false;
            }
            options->only_new = only_new;
            options->only_present = only_present;
        } else if (keep || time_word) {
            if (options->keep || options->timed) {
                reply_error(ctx->reply,
                            "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified");
                return false;
            }
            if (time_word && i + 1 == ctx->argc) {
                reply_error(ctx->reply, "ERR missing expire time");
                return false;
            }
            if (time_word && !parse_deadline_option(ctx, i++, &timed, &options->deadline_ms)) return false;
            options->keep = keep;
            options->timed = timed;
        } else {
            reply_errorf(ctx->reply, "ERR unknown argument: %.*s", (int)ctx->argv[i].len, ctx->argv[i].ptr);
            return false;
        }
    }
    command_error_arity(ctx);
    return false;
}

/* FNX wants none of the fields to be there, FXX all. */
static bool set_condition_met(struct command_context *ctx, struct entry *entry,
                              const struct set_options *options)
{
    struct hash_field field;
    if (!options->only_new && !options->only_present) return true;
    for (int i = 0; i < options->count; i++)
        if (hash_get(ctx, entry, ctx->argv[options->first + 2 * i], &field) != options->only_present)
            return false;
    return true;
}

/* Memory is reserved. */
static void set_fields(struct command_context *ctx, struct entry *entry, const struct set_options *options)
{
    int64_t deadline_ms = options->keep    ? HASH_KEEP_DEADLINE
                          : options->timed ? options->deadline_ms
                                           : HASH_NO_DEADLINE;
    for (int i = options->first; i < ctx->argc; i += 2) {
        struct hash_field old;
        bool created;
        if (options->keep) hash_get(ctx, entry, ctx->argv[i], &old);
        if (!entry->item) CHECK(mutate_hash_prepare(entry, NULL, 0) == VALUE_OK);
        CHECK(mutate_hash_set(entry, ctx->argv[i], ctx->argv[i + 1], deadline_ms, &created) == VALUE_OK);
    }
}

void cmd_hsetex(struct command_context *ctx)
{
    struct entry entry;
    struct set_options options = {.deadline_ms = HASH_NO_DEADLINE};
    if (!parse_set_options(ctx, &options)) return;
    if (!command_open_typed(ctx, 1, ITEM_HASH, &entry)) return;
    if (!set_condition_met(ctx, &entry, &options)) {
        reply_integer(ctx->reply, 0);
        return;
    }
    bool past = options.timed && options.deadline_ms <= ctx->now_ms;
    if (past) mutate_key_touch(&entry); /* set and gone at once */
    if (past && !entry.item) {
        reply_integer(ctx->reply, 1);
        return;
    }
    const struct slice *texts = ctx->argv + options.first;
    if (!past && !command_reserve(ctx, &entry, options.first, options.count)) return;
    CHECK(mutate_hash_prepare(&entry, texts, 2 * (uint64_t)options.count) == VALUE_OK);
    if (past) {
        mutate_hash_prepare_deadlines(&entry);
        for (int i = options.first; i < ctx->argc && entry.item; i += 2)
            mutate_hash_remove(&entry, ctx->argv[i], RECORD_DELETED);
    } else {
        set_fields(ctx, &entry, &options);
    }
    mutate_release(ctx->env);
    reply_integer(ctx->reply, 1);
}
