/* command: what a command handler sees of the world, and the helpers that every family uses.
 *
 * A handler reads ctx->argv, looks keys up, calls mutators (store/mutate*.h) and writes exactly one reply to
 * ctx->reply. It never suspends, never does I/O, never looks at a session. When it runs, every partition of
 * its keys is held by the actor that runs it: on the key's shard for route "key", on the session's own shard
 * after borrowing for "keys" and "all". So a handler is plain single-threaded Redis code.
 *
 * Rules
 *  1. Bad input gets Redis's exact error text and leaves everything as it was: validate all arguments and
 * types first, reserve (mutators do), then change.
 *  2. VALUE_NO_MEMORY from a mutator: reply with command_out_of_memory(ctx). Everything is as it was then: a
 * command that sets several elements or keys one by one reserves memory for all of them first
 * (command_reserve, mutate_reserve_*), and ends with mutate_release. Commands that take elements out never
 * fail. Tests: store_memory_test.c, store_atomic_test.c.
 *  3. Deadlines are absolute milliseconds; the time is ctx->now_ms, never a clock.
 *  4. argv slices point into the request; they live until the handler returns.
 *
 * Tests: test/unit/command_*_test.c and the differential test against a real Redis.
 */
#ifndef WEFT_COMMAND_COMMAND_H
#define WEFT_COMMAND_COMMAND_H

#include "base/number.h"
#include "base/slice.h"
#include "command/table.h"
#include "config/config.h"
#include "resp/reply.h"
#include "store/mutate.h"
#include "store/partition.h"

/* The Redis that clients shall take us for, and what we are. */
#define COMMAND_REDIS_VERSION "8.0.3"
#define COMMAND_WEFT_VERSION  "0.1.0"

struct session; /* session/session.h; NULL when the command runs on another shard than its session's */
struct shard;   /* shard/shard.h; handlers of routes "session" and "scatter" only */

struct command_context {
    const struct slice *argv; /* argv[0] is the command's name */
    int argc;
    uint8_t db;
    bool in_multi;                 /* inside EXEC */
    const struct command *command; /* of a container: the subcommand's row */
    struct reply *reply;           /* reply->resp is the client's protocol version */
    struct store_env *env;
    const struct config *config;
    int64_t now_ms;
    struct partition *const *partitions; /* all PARTITION_COUNT of the node; touch those of your keys only */
    struct session *session;
    struct shard *shard;
    /* Route "key": the key at the first key position, prepared by the executor (hash computed, caches warm).
     */
    struct key key;
    struct partition *partition;
    /* Route "scan": how many partitions, from the cursor's on, may be walked in this call; 0 (in EXEC): one.
     */
    uint16_t scan_partitions;
};

/* ---- keys ---- */
/* Prepares argv[index] (or any name) as a key of the context's database. */
struct key command_key(const struct command_context *ctx, struct slice name);
struct partition *command_partition(const struct command_context *ctx, const struct key *key);
/* Opens the key at argv[index]; the route-"key" key is not hashed twice. Counts no hit or miss. */
bool command_open(const struct command_context *ctx, int index, struct entry *entry);
bool command_open_in_db(const struct command_context *ctx, struct slice name, uint8_t db,
                        struct entry *entry);
/* Opens for reading and counts keyspace hit or miss. */
bool command_open_read(const struct command_context *ctx, int index, struct entry *entry);
/* As command_open(_read), and the type must match when the key exists. False after the WRONGTYPE error was
 * replied. (entry->item == NULL: absent.) */
bool command_open_typed(struct command_context *ctx, int index, enum item_type type, struct entry *entry);
bool command_open_read_typed(struct command_context *ctx, int index, enum item_type type,
                             struct entry *entry);

/* Before `count` (more than one) elements are set in a collection, from argv[first] to the last argument:
 * they will all fit. False: replied that memory ran out; nothing has changed. mutate_release(ctx->env) ends
 * it. */
bool command_reserve(struct command_context *ctx, struct entry *entry, int first, int count);

/* ---- arguments: each replies the error itself and returns false ---- */
bool command_arg_int(struct command_context *ctx, int index,
                     int64_t *out); /* "value is not an integer or out of range" */
bool command_arg_int_error(struct command_context *ctx, int index, int64_t *out, const char *error);
/* Within [min, max], else `error` or, when NULL, Redis's "value is out of range, must be …" texts. */
bool command_arg_range(struct command_context *ctx, int index, int64_t min, int64_t max, int64_t *out,
                       const char *error);
bool command_arg_double(struct command_context *ctx, int index, double *out,
                        const char *error); /* NULL: "value is not a valid float" */
/* value + delta as INCRBYFLOAT and HINCRBYFLOAT write it. False: replied that it is no number. */
struct command_sum {
    size_t len;
    char text[NUMBER_LONG_DOUBLE_MAX];
};
bool command_add_float(struct command_context *ctx, long double value, long double delta,
                       struct command_sum *sum);
/* A SCAN cursor as C's strtoull() takes it: blanks, a sign and leading zeros are fine, a NUL ends it, and
 * what is negative wraps around. Only plain negative numbers down to INT64_MIN are refused. Replies nothing.
 */
bool command_parse_cursor(struct slice text, uint64_t *cursor);
/* Case-insensitive comparison of argv[index] with an option word. */
bool command_arg_is(const struct command_context *ctx, int index, const char *word);
static inline bool slice_is_word(struct slice s, const char *word) /* case-insensitive */
{
    size_t n = strlen(word);
    return s.len == n && strncasecmp(s.ptr, word, n) == 0;
}

/* Expiry arguments: unit EX|PX|EXAT|PXAT semantics. Computes an absolute deadline from a number; replies
 * "invalid expire time in
 * '<command>' command" when it is <= 0 (unless `allow_past`) or overflows. */
enum expire_unit { EXPIRE_SECONDS, EXPIRE_MILLISECONDS, EXPIRE_AT_SECONDS, EXPIRE_AT_MILLISECONDS };
bool command_deadline(struct command_context *ctx, int64_t amount, enum expire_unit unit, bool allow_past,
                      int64_t *deadline_ms);

/* command_resolve() under the names that rename-command gave. */
const struct command *command_resolve_renamed(const struct config *config, const struct slice *argv,
                                              size_t argc, const struct command **container);

/* ---- replies that need more than reply.h ---- */
void command_error_syntax(struct command_context *ctx); /* ERR syntax error */
void command_error_wrong_type(struct command_context *ctx);
void command_error_no_such_key(struct command_context *ctx); /* ERR no such key */
void command_error_arity(
    struct command_context *ctx); /* ERR wrong number of arguments for '<full name>' command */
/* ERR unknown subcommand or wrong number of arguments for '<its second word>'. Try <its first one> HELP. */
void command_error_subcommand(struct command_context *ctx);
/* The beginning of what a client said, as error texts show it. */
#define COMMAND_WORD_SHOWN 128
void command_upper_word(struct slice word, char upper[COMMAND_WORD_SHOWN + 1]);
void command_out_of_memory(struct command_context *ctx);
/* HELP of a container: the lines of `help` (NULL-terminated) in Redis's frame. */
void command_reply_help(struct command_context *ctx, const char *const *help);

/* Prototypes of all handlers of supported rows, generated from the table. */
#include "command_handlers.h"

#endif
