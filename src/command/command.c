/* Helpers of command handlers: keys, arguments, common errors. See command.h. */
#include "command/command.h"

#include <math.h>
#include <stdio.h>

#include "base/crc.h"
#include "base/mark.h"
#include "base/mutant.h"

/* ---- keys ---- */

struct key command_key(const struct command_context *ctx, struct slice name)
{
    return (struct key){.name = name, .hash = key_hash(ctx->env, name), .db = ctx->db};
}

struct partition *command_partition(const struct command_context *ctx, const struct key *key)
{
    return ctx->partitions[PARTITION_OF_SLOT(key_slot(key->name.ptr, key->name.len))];
}

bool command_open(const struct command_context *ctx, int index, struct entry *entry)
{
    struct slice name = ctx->argv[index];
    if (LIKELY(ctx->partition && ctx->key.name.ptr == name.ptr))
        return entry_find(entry, ctx->partition, &ctx->key);
    return command_open_in_db(ctx, name, ctx->db, entry);
}

bool command_open_in_db(const struct command_context *ctx, struct slice name, uint8_t db, struct entry *entry)
{
    struct key key = command_key(ctx, name);
    key.db = db;
    struct partition *partition = command_partition(ctx, &key);
    CHECK(partition->env == ctx->env); /* P1: somebody forgot to borrow it */
    return entry_find(entry, partition, &key);
}

bool command_open_read(const struct command_context *ctx, int index, struct entry *entry)
{
    bool found = command_open(ctx, index, entry);
    if (found)
        ctx->env->stats.keyspace_hits++;
    else
        ctx->env->stats.keyspace_misses++;
    return found;
}

bool command_reserve(struct command_context *ctx, struct entry *entry, int first, int count)
{
    uint64_t bytes = 0;
    for (int i = first; i < ctx->argc; i++) bytes += ctx->argv[i].len;
    if (mutate_reserve_elements(entry, (uint64_t)count, bytes) == VALUE_OK) return true;
    command_out_of_memory(ctx);
    return false;
}

static bool type_fits(struct command_context *ctx, const struct entry *entry, enum item_type type)
{
    if (!entry->item || item_type(entry->item) == type) return true;
    command_error_wrong_type(ctx);
    return false;
}

bool command_open_typed(struct command_context *ctx, int index, enum item_type type, struct entry *entry)
{
    command_open(ctx, index, entry);
    return type_fits(ctx, entry, type);
}

bool command_open_read_typed(struct command_context *ctx, int index, enum item_type type, struct entry *entry)
{
    command_open_read(ctx, index, entry);
    return type_fits(ctx, entry, type);
}

/* ---- arguments ---- */

bool command_arg_int_error(struct command_context *ctx, int index, int64_t *out, const char *error)
{
    struct slice s = ctx->argv[index];
    if (number_parse_i64(s.ptr, s.len, out)) return true;
    reply_error(ctx->reply, error);
    return false;
}

bool command_arg_int(struct command_context *ctx, int index, int64_t *out)
{
    return command_arg_int_error(ctx, index, out, "ERR value is not an integer or out of range");
}

bool command_arg_range(struct command_context *ctx, int index, int64_t min, int64_t max, int64_t *out,
                       const char *error)
{
    if (!command_arg_int_error(ctx, index, out,
                               error ? error : "ERR value is not an integer or out of range"))
        return false;
    if (*out >= min && *out <= max) return true;
    if (error)
        reply_error(ctx->reply, error);
    else if (min == 0)
        reply_error(ctx->reply, "ERR value is out of range, must be positive");
    else
        reply_errorf(ctx->reply, "ERR value is out of range, value must between %lld and %lld",
                     (long long)min, (long long)max);
    return false;
}

bool command_arg_double(struct command_context *ctx, int index, double *out, const char *error)
{
    struct slice s = ctx->argv[index];
    if (number_parse_double(s.ptr, s.len, out) && *out == *out) return true;
    reply_error(ctx->reply, error ? error : "ERR value is not a valid float");
    return false;
}

bool command_add_float(struct command_context *ctx, long double value, long double delta,
                       struct command_sum *sum)
{
    value += delta;
    if (isnan(value) || isinf(value)) {
        reply_error(ctx->reply, "ERR increment would produce NaN or Infinity");
        return false;
    }
    sum->len = number_format_long_double(sum->text, value);
    return true;
}

bool command_parse_cursor(struct slice text, uint64_t *cursor)
{
    text.len = strnlen(text.ptr, text.len);
    int64_t number;
    if (number_parse_i64(text.ptr, text.len, &number) && number < 0) return false;
    size_t i = 0;
    while (i < text.len && (text.ptr[i] == ' ' || (text.ptr[i] >= '\t' && text.ptr[i] <= '\r'))) i++;
    bool negative = i < text.len && text.ptr[i] == '-';
    if (i < text.len && (negative || text.ptr[i] == '+')) i++;
    if (i == text.len) return false;
    uint64_t sum = 0;
    for (; i < text.len; i++) {
        unsigned digit = (unsigned)(text.ptr[i] - '0');
        if (digit > 9 || __builtin_mul_overflow(sum, 10, &sum) || __builtin_add_overflow(sum, digit, &sum))
            return false;
    }
    *cursor = negative ? 0 - sum : sum;
    return true;
}

bool command_arg_is(const struct command_context *ctx, int index, const char *word)
{
    return slice_is_word(ctx->argv[index], word);
}

bool command_deadline(struct command_context *ctx, int64_t amount, enum expire_unit unit, bool allow_past,
                      int64_t *deadline_ms)
{
    bool seconds = unit == EXPIRE_SECONDS || unit == EXPIRE_AT_SECONDS;
    bool relative = unit == EXPIRE_SECONDS || unit == EXPIRE_MILLISECONDS;
    bool bad = amount <= 0 && !allow_past;
    if (seconds) bad |= __builtin_mul_overflow(amount, 1000, &amount);
    if (MUTANT(expire_overflow) && allow_past) bad = false;
    if (relative && !bad) bad |= __builtin_add_overflow(amount, ctx->now_ms, &amount);
    if (bad || amount == ITEM_NO_DEADLINE) {
        reply_errorf(ctx->reply, "ERR invalid expire time in '%s' command", ctx->command->full_name);
        return false;
    }
    *deadline_ms = amount;
    return true;
}

/* ---- errors ---- */

void command_error_syntax(struct command_context *ctx)
{
    reply_error(ctx->reply, "ERR syntax error");
}

void command_error_wrong_type(struct command_context *ctx)
{
    reply_error(ctx->reply, "WRONGTYPE Operation against a key holding the wrong kind of value");
}

void command_error_no_such_key(struct command_context *ctx)
{
    reply_error(ctx->reply, "ERR no such key");
}

void command_error_arity(struct command_context *ctx)
{
    reply_errorf(ctx->reply, "ERR wrong number of arguments for '%s' command", ctx->command->full_name);
}

void command_upper_word(struct slice word, char upper[COMMAND_WORD_SHOWN + 1])
{
    size_t len = word.len < COMMAND_WORD_SHOWN ? word.len : COMMAND_WORD_SHOWN;
    for (size_t i = 0; i < len; i++) {
        char c = word.ptr[i];
        upper[i] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    upper[len] = 0;
}

void command_error_subcommand(struct command_context *ctx)
{
    char upper[COMMAND_WORD_SHOWN + 1];
    int shown = ctx->argv[1].len < COMMAND_WORD_SHOWN ? (int)ctx->argv[1].len : COMMAND_WORD_SHOWN;
    command_upper_word(ctx->argv[0], upper);
    reply_errorf(ctx->reply, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try %s HELP.",
                 shown, ctx->argv[1].ptr, upper);
}

void command_out_of_memory(struct command_context *ctx)
{
    MARK("command.out_of_memory");
    reply_error(ctx->reply, "OOM command not allowed when used memory > 'maxmemory'.");
}

void command_reply_help(struct command_context *ctx, const char *const *help)
{
    uint64_t lines = 0;
    while (help[lines]) lines++;
    char head[COMMAND_WORD_SHOWN + 1];
    command_upper_word(ctx->argv[0], head);
    reply_array(ctx->reply, lines + 3);
    char line[256];
    snprintf(line, sizeof line, "%s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", head);
    reply_status(ctx->reply, line);
    for (uint64_t i = 0; i < lines; i++) reply_status(ctx->reply, help[i]);
    reply_status(ctx->reply, "HELP");
    reply_status(ctx->reply, "    Print this help.");
}
