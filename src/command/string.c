/* Strings: GET, SET and their kin (LCS: lcs.c, bits: bitmap.c). Values are read with entry_string() and
 * changed by the string mutators only. Order of checks and texts are Redis's. Compared with a real Redis by
 * test/differential and test/blackbox/string_test.py. */
#include "command/command.h"

#include "base/mutant.h"

#define SCRATCH (NUMBER_I64_MAX + 1)

/* ---- reading ---- */

/* Replies the value at argv[1], or null. False: wrong type, replied. */
static bool reply_value(struct command_context *ctx, struct entry *entry)
{
    char scratch[SCRATCH];
    if (!command_open_read_typed(ctx, 1, ITEM_STRING, entry)) return false;
    if (!entry->item)
        reply_null(ctx->reply);
    else
        reply_bulk_slice(ctx->reply, entry_string(entry, scratch));
    return true;
}

void cmd_get(struct command_context *ctx)
{
    struct entry entry;
    reply_value(ctx, &entry);
}

void cmd_mget(struct command_context *ctx)
{
    struct entry entry;
    char scratch[SCRATCH];
    reply_array(ctx->reply, (uint64_t)ctx->argc - 1);
    for (int i = 1; i < ctx->argc; i++) {
        if (command_open_read(ctx, i, &entry) && item_type(entry.item) == ITEM_STRING)
            reply_bulk_slice(ctx->reply, entry_string(&entry, scratch));
        else
            reply_null(ctx->reply);
    }
}

void cmd_strlen(struct command_context *ctx)
{
    struct entry entry;
    if (!command_open_read_typed(ctx, 1, ITEM_STRING, &entry)) return;
    reply_integer(ctx->reply, entry.item ? (int64_t)entry_string_len(&entry) : 0);
}

/* GETRANGE and SUBSTR. Indices from the end are negative; what is outside is cut off. */
void cmd_getrange(struct command_context *ctx)
{
    struct entry entry;
    char scratch[SCRATCH];
    int64_t start, end;
    if (!command_arg_int(ctx, 2, &start) || !command_arg_int(ctx, 3, &end)) return;
    if (!command_open_read_typed(ctx, 1, ITEM_STRING, &entry)) return;
    struct slice value = entry.item ? entry_string(&entry, scratch) : SLICE("");
    int64_t len = (int64_t)value.len;
    /* From the end: both at once in the wrong order mean nothing; either alone is cut off at the start. */
    bool wrong_order = start < 0 && end < 0 && start > end;
    if (start < 0) start = start + len > 0 ? start + len : 0;
    if (end < 0) end = end + len > 0 ? end + len : 0;
    if (end >= len) end = len - 1;
    if (wrong_order || start > end) {
        reply_bulk(ctx->reply, "", 0);
        return;
    }
    reply_bulk(ctx->reply, value.ptr + start, (size_t)(end - start + 1));
}

/* ---- SET and GETEX: the options they share ---- */

enum {
    OPTION_NX = 1 << 0,
    OPTION_XX = 1 << 1,
    OPTION_GET = 1 << 2,
    OPTION_KEEPTTL = 1 << 3,
    OPTION_PERSIST = 1 << 4,
    OPTION_EX = 1 << 5,
    OPTION_PX = 1 << 6,
    OPTION_EXAT = 1 << 7,
    OPTION_PXAT = 1 << 8,
    OPTION_DEADLINES = OPTION_EX | OPTION_PX | OPTION_EXAT | OPTION_PXAT,
    OPTIONS_OF_SET = OPTION_NX | OPTION_XX | OPTION_GET | OPTION_KEEPTTL | OPTION_DEADLINES,
    OPTIONS_OF_GETEX = OPTION_PERSIST | OPTION_DEADLINES,
};

struct options {
    unsigned flags;
    int deadline_at; /* index of the deadline's number; 0: none */
};

static const struct {
    const char *word;
    unsigned flag, excluded;
} option_words[] = {
    {"NX", OPTION_NX, OPTION_XX},
    {"XX", OPTION_XX, OPTION_NX},
    {"GET", OPTION_GET, 0},
    {"KEEPTTL", OPTION_KEEPTTL, OPTION_DEADLINES},
    {"PERSIST", OPTION_PERSIST, OPTION_DEADLINES},
    {"EX", OPTION_EX, OPTION_KEEPTTL | OPTION_PERSIST | (OPTION_DEADLINES & ~OPTION_EX)},
    {"PX", OPTION_PX, OPTION_KEEPTTL | OPTION_PERSIST | (OPTION_DEADLINES & ~OPTION_PX)},
    {"EXAT", OPTION_EXAT, OPTION_KEEPTTL | OPTION_PERSIST | (OPTION_DEADLINES & ~OPTION_EXAT)},
    {"PXAT", OPTION_PXAT, OPTION_KEEPTTL | OPTION_PERSIST | (OPTION_DEADLINES & ~OPTION_PXAT)},
};

/* A repeated option is no error; of a repeated deadline the last one counts. */
static bool parse_options(struct command_context *ctx, int first, unsigned allowed, struct options *options)
{
    for (int i = first; i < ctx->argc; i++) {
        size_t w = 0;
        while (w < ARRAY_LEN(option_words) && !command_arg_is(ctx, i, option_words[w].word)) w++;
        unsigned flag = w < ARRAY_LEN(option_words) ? option_words[w].flag : 0;
        if (!(flag & allowed) || (options->flags & option_words[w].excluded) ||
            ((flag & OPTION_DEADLINES) && i + 1 == ctx->argc)) {
            command_error_syntax(ctx);
            return false;
        }
        options->flags |= flag;
        if (flag & OPTION_DEADLINES) options->deadline_at = ++i;
    }
    return true;
}

/* The deadline that the options ask for; ITEM_NO_DEADLINE without one. */
static bool parse_deadline(struct command_context *ctx, const struct options *options, int64_t *deadline_ms)
{
    int64_t amount;
    *deadline_ms = ITEM_NO_DEADLINE;
    if (!options->deadline_at) return true;
    enum expire_unit unit = options->flags & OPTION_EX     ? EXPIRE_SECONDS
                            : options->flags & OPTION_PX   ? EXPIRE_MILLISECONDS
                            : options->flags & OPTION_EXAT ? EXPIRE_AT_SECONDS
                                                           : EXPIRE_AT_MILLISECONDS;
    return command_arg_int(ctx, options->deadline_at, &amount) &&
           command_deadline(ctx, amount, unit, false, deadline_ms);
}

/* ---- writing whole values ---- */

/* Stores the value; a deadline that has passed already means that nothing stays. */
static int store_value(struct command_context *ctx, struct entry *entry, struct slice value,
                       int64_t deadline_ms)
{
    if (UNLIKELY(deadline_ms != ITEM_NO_DEADLINE && deadline_ms < ctx->now_ms)) {
        mutate_key_touch(entry);
        return entry->item ? mutate_key_delete(entry, RECORD_DELETED) : VALUE_OK;
    }
    return mutate_string_set(entry, value, deadline_ms);
}

static void set_with_options(struct command_context *ctx)
{
    struct options options = {0};
    struct entry entry;
    int64_t deadline_ms;
    if (!parse_options(ctx, 3, OPTIONS_OF_SET, &options) || !parse_deadline(ctx, &options, &deadline_ms))
        return;
    size_t reply_start = reply_len(ctx->reply);
    bool get = options.flags & OPTION_GET;
    if (!get)
        command_open(ctx, 1, &entry);
    else if (!reply_value(ctx, &entry))
        return;
    if (options.flags & (entry.item ? OPTION_NX : OPTION_XX)) {
        if (!get) reply_null(ctx->reply);
        return;
    }
    if (options.flags & OPTION_KEEPTTL && entry.item) deadline_ms = item_deadline(entry.item);
    if (store_value(ctx, &entry, ctx->argv[2], deadline_ms) != VALUE_OK) {
        reply_truncate(ctx->reply, reply_start);
        command_out_of_memory(ctx);
    } else if (!get) {
        reply_ok(ctx->reply);
    }
}

void cmd_set(struct command_context *ctx)
{
    struct entry entry;
    if (UNLIKELY(ctx->argc > 3)) {
        set_with_options(ctx);
        return;
    }
    command_open(ctx, 1, &entry);
    if (mutate_string_set(&entry, ctx->argv[2], ITEM_NO_DEADLINE) != VALUE_OK)
        command_out_of_memory(ctx);
    else
        reply_ok(ctx->reply);
}

void cmd_setnx(struct command_context *ctx)
{
    struct entry entry;
    bool absent = !command_open(ctx, 1, &entry);
    if (absent && mutate_string_set(&entry, ctx->argv[2], ITEM_NO_DEADLINE) != VALUE_OK)
        command_out_of_memory(ctx);
    else
        reply_integer(ctx->reply, absent);
}

static void set_with_deadline(struct command_context *ctx, enum expire_unit unit)
{
    struct entry entry;
    int64_t amount, deadline_ms;
    if (!command_arg_int(ctx, 2, &amount) || !command_deadline(ctx, amount, unit, false, &deadline_ms))
        return;
    command_open(ctx, 1, &entry);
    if (store_value(ctx, &entry, ctx->argv[3], deadline_ms) != VALUE_OK)
        command_out_of_memory(ctx);
    else
        reply_ok(ctx->reply);
}

void cmd_setex(struct command_context *ctx)
{
    set_with_deadline(ctx, EXPIRE_SECONDS);
}

void cmd_psetex(struct command_context *ctx)
{
    set_with_deadline(ctx, EXPIRE_MILLISECONDS);
}

void cmd_getset(struct command_context *ctx)
{
    struct entry entry;
    size_t reply_start = reply_len(ctx->reply);
    if (!reply_value(ctx, &entry)) return;
    if (mutate_string_set(&entry, ctx->argv[2], ITEM_NO_DEADLINE) == VALUE_OK) return;
    reply_truncate(ctx->reply, reply_start);
    command_out_of_memory(ctx);
}

void cmd_getdel(struct command_context *ctx)
{
    struct entry entry;
    if (reply_value(ctx, &entry) && entry.item) CHECK(mutate_key_delete(&entry, RECORD_DELETED) == VALUE_OK);
}

void cmd_getex(struct command_context *ctx)
{
    struct options options = {0};
    struct entry entry;
    char scratch[SCRATCH];
    int64_t deadline_ms;
    int result = VALUE_OK;
    if (!parse_options(ctx, 2, OPTIONS_OF_GETEX, &options)) return;
    if (!command_open_read_typed(ctx, 1, ITEM_STRING, &entry)) return;
    if (!entry.item) {
        reply_null(ctx->reply);
        return;
    }
    if (!parse_deadline(ctx, &options, &deadline_ms)) return;
    size_t reply_start = reply_len(ctx->reply);
    reply_bulk_slice(ctx->reply, entry_string(&entry, scratch));
    if (deadline_ms != ITEM_NO_DEADLINE && deadline_ms <= ctx->now_ms)
        result = mutate_key_delete(&entry, RECORD_DELETED);
    else if (options.deadline_at ||
             (options.flags & OPTION_PERSIST && item_deadline(entry.item) != ITEM_NO_DEADLINE))
        result = mutate_key_expire(&entry, deadline_ms);
    if (result == VALUE_OK) return;
    reply_truncate(ctx->reply, reply_start);
    command_out_of_memory(ctx);
}

#define KEPT_KEYS 32 /* keys of MSET that are hashed once only */

/* MSET and MSETNX: sets all pairs, or none. False: replied that memory ran out. */
static bool set_pairs(struct command_context *ctx)
{
    struct key keys[KEPT_KEYS];
    struct partition *partitions[KEPT_KEYS];
    int count = ctx->argc / 2;
    for (int i = 0; i < count && count > 1; i++) {
        struct key key = command_key(ctx, ctx->argv[1 + 2 * i]);
        struct partition *partition = command_partition(ctx, &key);
        CHECK(partition->env == ctx->env); /* P1 */
        if (mutate_reserve_string(partition, &key, ctx->argv[2 + 2 * i].len) != VALUE_OK) {
            command_out_of_memory(ctx);
            return false;
        }
        if (i >= KEPT_KEYS) continue;
        keys[i] = key;
        partitions[i] = partition;
        partition_prefetch_bucket(partition, &key);
    }
    for (int i = 0; i < count; i++) {
        struct entry entry;
        if (count > 1 && i < KEPT_KEYS)
            entry_find(&entry, partitions[i], &keys[i]);
        else
            command_open(ctx, 1 + 2 * i, &entry);
        int done = mutate_string_set(&entry, ctx->argv[2 + 2 * i], ITEM_NO_DEADLINE);
        if (count == 1 && done != VALUE_OK) {
            command_out_of_memory(ctx);
            return false;
        }
        CHECK(done == VALUE_OK); /* reserved */
    }
    mutate_release(ctx->env);
    return true;
}

void cmd_mset(struct command_context *ctx)
{
    if (ctx->argc % 2 == 0)
        command_error_arity(ctx);
    else if (set_pairs(ctx))
        reply_ok(ctx->reply);
}

void cmd_msetnx(struct command_context *ctx)
{
    if (ctx->argc % 2 == 0) {
        command_error_arity(ctx);
        return;
    }
    for (int i = 1; i < ctx->argc; i += 2) {
        struct entry entry;
        if (!command_open(ctx, i, &entry)) continue;
        reply_integer(ctx->reply, 0);
        return;
    }
    if (set_pairs(ctx)) reply_integer(ctx->reply, 1);
}

/* ---- changing parts ---- */

/* Would a string of `len` and `more` bytes be too long? Replies the error. */
static bool check_length(struct command_context *ctx, uint64_t len, uint64_t more)
{
    uint64_t sum;
    if (!__builtin_add_overflow(len, more, &sum) && sum <= (uint64_t)ctx->config->proto_max_bulk_len)
        return true;
    reply_error(ctx->reply, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    return false;
}

void cmd_append(struct command_context *ctx)
{
    struct entry entry;
    int result;
    if (!command_open_typed(ctx, 1, ITEM_STRING, &entry)) return;
    if (entry.item) {
        size_t len = entry_string_len(&entry);
        if (!check_length(ctx, len, ctx->argv[2].len)) return;
        result = mutate_string_write(&entry, len, ctx->argv[2]);
    } else {
        result = mutate_string_set(&entry, ctx->argv[2], ITEM_NO_DEADLINE);
    }
    if (result != VALUE_OK)
        command_out_of_memory(ctx);
    else
        reply_integer(ctx->reply, (int64_t)entry_string_len(&entry));
}

void cmd_setrange(struct command_context *ctx)
{
    struct entry entry;
    int64_t offset;
    struct slice bytes = ctx->argv[3];
    if (!command_arg_int(ctx, 2, &offset)) return;
    if (offset < 0) {
        reply_error(ctx->reply, "ERR offset is out of range");
        return;
    }
    if (!command_open_typed(ctx, 1, ITEM_STRING, &entry)) return;
    if (bytes.len == 0 && !MUTANT(setrange_empty_creates)) {
        reply_integer(ctx->reply, entry.item ? (int64_t)entry_string_len(&entry) : 0);
        return;
    }
    if (!check_length(ctx, (uint64_t)offset, bytes.len)) return;
    if (mutate_string_write(&entry, (uint64_t)offset, bytes) != VALUE_OK)
        command_out_of_memory(ctx);
    else
        reply_integer(ctx->reply, (int64_t)entry_string_len(&entry));
}

/* ---- numbers ---- */

static void add_integer(struct command_context *ctx, int64_t delta)
{
    struct entry entry;
    int64_t value = 0, sum;
    if (!command_open_typed(ctx, 1, ITEM_STRING, &entry)) return;
    if (entry.item && !entry_integer(&entry, &value))
        reply_error(ctx->reply, "ERR value is not an integer or out of range");
    else if (__builtin_add_overflow(value, delta, &sum))
        reply_error(ctx->reply, "ERR increment or decrement would overflow");
    else if (mutate_string_add(&entry, delta, sum) != VALUE_OK)
        command_out_of_memory(ctx);
    else
        reply_integer(ctx->reply, sum);
}

void cmd_incr(struct command_context *ctx)
{
    add_integer(ctx, 1);
}

void cmd_decr(struct command_context *ctx)
{
    add_integer(ctx, -1);
}

void cmd_incrby(struct command_context *ctx)
{
    int64_t delta;
    if (command_arg_int(ctx, 2, &delta)) add_integer(ctx, delta);
}

void cmd_decrby(struct command_context *ctx)
{
    int64_t delta;
    if (!command_arg_int(ctx, 2, &delta)) return;
    if (delta == INT64_MIN)
        reply_error(ctx->reply, "ERR decrement would overflow");
    else
        add_integer(ctx, -delta);
}

void cmd_incrbyfloat(struct command_context *ctx)
{
    struct entry entry;
    char scratch[SCRATCH];
    long double value = 0, delta;
    struct command_sum sum;
    if (!command_open_typed(ctx, 1, ITEM_STRING, &entry)) return;
    struct slice old = entry.item ? entry_string(&entry, scratch) : SLICE("0"), more = ctx->argv[2];
    if (!number_parse_long_double(old.ptr, old.len, &value) ||
        !number_parse_long_double(more.ptr, more.len, &delta)) {
        reply_error(ctx->reply, "ERR value is not a valid float");
        return;
    }
    if (!command_add_float(ctx, value, delta, &sum)) return;
    struct slice result = {sum.text, sum.len};
    if (mutate_string_add_float(&entry, more, result) != VALUE_OK)
        command_out_of_memory(ctx);
    else
        reply_bulk_slice(ctx->reply, result);
}
