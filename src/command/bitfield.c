/* BITFIELD and BITFIELD_RO: integers of 1 to 64 bits anywhere in a string, most significant bit first.
 *
 * All operations are parsed before the first one runs. Then the string is made long enough for all of them,
 * as Redis does it, and each runs on the up to nine bytes it touches. After the first growth nothing needs
 * memory any more. Compared with a real Redis by test/differential and test/blackbox/string_test.py. */
#include "command/bitmap.h"

#include "base/mutant.h"
#include <stdlib.h>

#define WINDOW_BYTES 9 /* 64 bits at any bit offset */

enum opcode { OPCODE_GET, OPCODE_SET, OPCODE_INCRBY };
enum overflow { OVERFLOW_WRAP, OVERFLOW_SAT, OVERFLOW_FAIL };

struct operation {
    uint64_t offset;
    int64_t operand;
    uint8_t opcode, overflow, bits;
    bool is_signed;
};

/* ---- the window: up to nine bytes as a number ---- */

__extension__ typedef unsigned __int128 window;

static uint64_t mask_of(unsigned bits)
{
    return bits == 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
}

static window window_load(struct slice string, uint64_t offset)
{
    uint64_t at = offset >> 3;
    window w = 0;
    for (uint64_t i = at; i < at + WINDOW_BYTES; i++)
        w = w << 8 | (i < string.len ? (uint8_t)string.ptr[i] : 0);
    return w;
}

static unsigned window_shift(const struct operation *op)
{
    return WINDOW_BYTES * 8 - (unsigned)(op->offset & 7) - op->bits;
}

/* The integer's bits, its sign not yet spread. */
static uint64_t window_get(window w, const struct operation *op)
{
    return (uint64_t)(w >> window_shift(op)) & mask_of(op->bits);
}

static int64_t sign_extended(uint64_t value, unsigned bits)
{
    unsigned unused = 64 - bits;
    return (int64_t)(value << unused) >> unused;
}

/* Puts the value into the window and the bytes that it touches into `bytes`; returns how many. */
static size_t window_put(window w, const struct operation *op, uint64_t value, char bytes[WINDOW_BYTES])
{
    unsigned shift = window_shift(op);
    w &= ~((window)mask_of(op->bits) << shift);
    w |= (window)(value & mask_of(op->bits)) << shift;
    size_t n = ((op->offset & 7) + op->bits + 7) / 8;
    for (size_t i = 0; i < n; i++) bytes[i] = (char)(w >> (WINDOW_BYTES - 1 - i) * 8);
    return n;
}

/* ---- overflow ---- */

/* value + increment in the range of the type. 1 or -1: it overflowed, and *out is what WRAP or SAT make of
 * it. The bounds are compared in wrapping 64-bit arithmetic, as Redis does, which shows: SET of a very
 * negative value with SAT gives the maximum. */
static int add_signed(int64_t value, int64_t increment, const struct operation *op, int64_t *out)
{
    int64_t max = (int64_t)(mask_of(op->bits) >> 1), min = -max - 1;
    int64_t up = (int64_t)((uint64_t)max - (uint64_t)value),
            down = (int64_t)((uint64_t)min - (uint64_t)value);
    bool narrow = op->bits != 64;
    uint64_t sum = (uint64_t)value + (uint64_t)increment;
    int direction = 0;
    if (value > max || (narrow && !MUTANT(bitfield_overflow_unseen) && increment > up) ||
        (value >= 0 && increment > 0 && increment > up))
        direction = 1;
    else if (value < min || (narrow && increment < down) || (value < 0 && increment < 0 && increment < down))
        direction = -1;
    if (direction && op->overflow == OVERFLOW_SAT)
        *out = direction > 0 ? max : min;
    else
        *out = sign_extended(sum, op->bits);
    return direction;
}

static int add_unsigned(uint64_t value, int64_t increment, const struct operation *op, uint64_t *out)
{
    uint64_t max = mask_of(op->bits);
    int64_t up = (int64_t)(max - value), down = (int64_t)(0 - value);
    int direction = 0;
    if (value > max || (increment > 0 && increment > up))
        direction = 1;
    else if (increment < 0 && increment < down)
        direction = -1;
    if (direction && op->overflow == OVERFLOW_SAT)
        *out = direction > 0 ? max : 0;
    else
        *out = (value + (uint64_t)increment) & max;
    return direction;
}

/* What the operation writes and replies; false: it overflowed and may not. */
static bool compute(const struct operation *op, uint64_t old_bits, uint64_t *new_bits, int64_t *answer)
{
    int overflowed;
    bool set = op->opcode == OPCODE_SET;
    if (op->is_signed) {
        int64_t old = sign_extended(old_bits, op->bits), result;
        overflowed =
            set ? add_signed(op->operand, 0, op, &result) : add_signed(old, op->operand, op, &result);
        *answer = set ? old : result;
        *new_bits = (uint64_t)result & mask_of(op->bits);
    } else {
        uint64_t result;
        overflowed = set ? add_unsigned((uint64_t)op->operand, 0, op, &result)
                         : add_unsigned(old_bits, op->operand, op, &result);
        *answer = (int64_t)(set ? old_bits : result);
        *new_bits = result;
    }
    return !overflowed || op->overflow != OVERFLOW_FAIL;
}

/* ---- arguments ---- */

struct operations {
    struct operation *items;
    size_t count;
    bool writes;
    uint64_t last_bit; /* the highest that is written */
};

static bool parse_type(struct command_context *ctx, int index, struct operation *op)
{
    struct slice text = ctx->argv[index];
    int64_t bits = 0;
    char kind = text.len ? text.ptr[0] : 0;
    op->is_signed = kind == 'i';
    bool valid = (kind == 'i' || kind == 'u') &&
                 number_parse_i64(text.ptr + 1, strnlen(text.ptr + 1, text.len - 1), &bits);
    if (!valid || bits < 1 || bits > (op->is_signed ? 64 : 63)) {
        reply_error(ctx->reply, "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not "
                                "supported but i64 is.");
        return false;
    }
    op->bits = (uint8_t)bits;
    return true;
}

static bool parse_overflow(struct command_context *ctx, int index, uint8_t *overflow)
{
    static const char *const names[] = {"WRAP", "SAT", "FAIL"};
    for (*overflow = 0; *overflow < ARRAY_LEN(names); (*overflow)++)
        if (command_arg_is(ctx, index, names[*overflow])) return true;
    reply_error(ctx->reply, "ERR Invalid OVERFLOW type specified");
    return false;
}

/* One operation at argv[index]; returns how many arguments it took, 0 after an error. */
static int parse_operation(struct command_context *ctx, int index, uint8_t *overflow, struct operations *ops)
{
    int rest = ctx->argc - index - 1;
    struct operation op = {.overflow = *overflow};
    if (command_arg_is(ctx, index, "GET") && rest >= 2) {
        op.opcode = OPCODE_GET;
    } else if (command_arg_is(ctx, index, "SET") && rest >= 3) {
        op.opcode = OPCODE_SET;
    } else if (command_arg_is(ctx, index, "INCRBY") && rest >= 3) {
        op.opcode = OPCODE_INCRBY;
    } else if (command_arg_is(ctx, index, "OVERFLOW") && rest >= 1) {
        return parse_overflow(ctx, index + 1, overflow) ? 2 : 0;
    } else {
        command_error_syntax(ctx);
        return 0;
    }
    if (!parse_type(ctx, index + 1, &op) || !bitmap_arg_offset(ctx, index + 2, op.bits, &op.offset)) return 0;
    if (op.opcode != OPCODE_GET) {
        if (!command_arg_int(ctx, index + 3, &op.operand)) return 0;
        uint64_t last = op.offset + op.bits - 1;
        if (last > ops->last_bit) ops->last_bit = last;
        ops->writes = true;
    }
    ops->items[ops->count++] = op;
    return op.opcode == OPCODE_GET ? 3 : 4;
}

static bool parse_operations(struct command_context *ctx, struct operations *ops)
{
    uint8_t overflow = OVERFLOW_WRAP;
    for (int i = 2, taken; i < ctx->argc; i += taken) {
        taken = parse_operation(ctx, i, &overflow, ops);
        if (taken == 0) return false;
    }
    return true;
}

/* ---- running ---- */

struct run {
    struct entry entry;
    bool grown;           /* then even a write of what is there already counts as a change */
    uint64_t covered_len; /* the string up to here is in change records */
};

static int run_one(struct command_context *ctx, const struct operation *op, struct run *run)
{
    struct entry *entry = &run->entry;
    char scratch[NUMBER_I64_MAX + 1], bytes[WINDOW_BYTES];
    struct slice string = entry->item ? entry_string(entry, scratch) : SLICE("");
    window w = window_load(string, op->offset);
    uint64_t old_bits = window_get(w, op), new_bits;
    int64_t answer;
    if (op->opcode == OPCODE_GET) {
        reply_integer(ctx->reply, op->is_signed ? sign_extended(old_bits, op->bits) : (int64_t)old_bits);
        return VALUE_OK;
    }
    if (!compute(op, old_bits, &new_bits, &answer)) {
        reply_null(ctx->reply);
        return VALUE_OK;
    }
    reply_integer(ctx->reply, answer);
    if (new_bits == old_bits && !run->grown) return VALUE_OK;
    size_t n = window_put(w, op, new_bits, bytes);
    uint64_t at = op->offset >> 3;
    if (at + n > run->covered_len) run->covered_len = at + n;
    return mutate_string_write(entry, at, (struct slice){bytes, n});
}

/* Makes room for all writes at once, so that none of them fails later. */
static int prepare(struct run *run, uint64_t len)
{
    run->covered_len = run->entry.item ? entry_string_len(&run->entry) : 0;
    run->grown = len > run->covered_len;
    return mutate_string_prepare(&run->entry, len);
}

static void run_all(struct command_context *ctx, const struct operations *ops)
{
    struct run run = {.grown = false};
    bool opened = ops->writes ? command_open_typed(ctx, 1, ITEM_STRING, &run.entry)
                              : command_open_read_typed(ctx, 1, ITEM_STRING, &run.entry);
    if (!opened) return;
    uint64_t len = (ops->last_bit >> 3) + 1;
    if (ops->writes && prepare(&run, len) != VALUE_OK) {
        command_out_of_memory(ctx);
        return;
    }
    reply_array(ctx->reply, ops->count);
    for (size_t i = 0; i < ops->count; i++) CHECK(run_one(ctx, &ops->items[i], &run) == VALUE_OK);
    /* Operations that failed leave their zeros behind all the same. */
    if (run.grown && run.covered_len < len)
        CHECK(mutate_string_write(&run.entry, len - 1, (struct slice){"", 1}) == VALUE_OK);
}

static void bitfield(struct command_context *ctx, bool read_only)
{
    /* An operation takes at least three arguments. */
    struct operations ops = {.items = malloc(((size_t)ctx->argc / 3 + 1) * sizeof(struct operation))};
    if (ops.items == NULL)
        command_out_of_memory(ctx);
    else if (parse_operations(ctx, &ops)) {
        if (read_only && ops.writes)
            reply_error(ctx->reply, "ERR BITFIELD_RO only supports the GET subcommand");
        else
            run_all(ctx, &ops);
    }
    free(ops.items);
}

void cmd_bitfield(struct command_context *ctx)
{
    bitfield(ctx, false);
}

void cmd_bitfield_ro(struct command_context *ctx)
{
    bitfield(ctx, true);
}
