/* Bits of strings: SETBIT GETBIT BITCOUNT BITPOS BITOP; BITFIELD is in bitfield.c. Bit 0 is the highest of
 * the first byte. Ranges, order of checks and texts are Redis's. Compared with a real Redis by
 * test/differential and test/blackbox/string_test.py. */
#include "command/bitmap.h"

#include <stdlib.h>

#define SCRATCH (NUMBER_I64_MAX + 1)

bool bitmap_arg_offset(struct command_context *ctx, int index, int width, uint64_t *offset)
{
    struct slice text = ctx->argv[index];
    int64_t value;
    bool counted = width > 0 && text.len > 0 && text.ptr[0] == '#';
    bool valid = number_parse_i64(text.ptr + counted, text.len - counted, &value);
    /* The product wraps, as in Redis. */
    if (valid && counted) value = (int64_t)((uint64_t)value * (uint64_t)width);
    if (!valid || value < 0 || value >> 3 >= ctx->config->proto_max_bulk_len) {
        reply_error(ctx->reply, "ERR bit offset is not an integer or out of range");
        return false;
    }
    *offset = (uint64_t)value;
    return true;
}

/* ---- one bit ---- */

static unsigned bit_at(struct slice string, uint64_t offset)
{
    uint64_t byte = offset >> 3;
    return byte < string.len ? (uint8_t)string.ptr[byte] >> (7 - (offset & 7)) & 1 : 0;
}

void cmd_getbit(struct command_context *ctx)
{
    struct entry entry;
    char scratch[SCRATCH];
    uint64_t offset;
    if (!bitmap_arg_offset(ctx, 2, 0, &offset)) return;
    if (!command_open_read_typed(ctx, 1, ITEM_STRING, &entry)) return;
    reply_integer(ctx->reply, entry.item ? bit_at(entry_string(&entry, scratch), offset) : 0);
}

void cmd_setbit(struct command_context *ctx)
{
    static const char error[] = "ERR bit is not an integer or out of range";
    struct entry entry;
    char scratch[SCRATCH];
    uint64_t offset;
    int64_t bit;
    if (!bitmap_arg_offset(ctx, 2, 0, &offset) || !command_arg_int_error(ctx, 3, &bit, error)) return;
    if (bit != 0 && bit != 1) {
        reply_error(ctx->reply, error);
        return;
    }
    if (!command_open_typed(ctx, 1, ITEM_STRING, &entry)) return;
    struct slice string = entry.item ? entry_string(&entry, scratch) : SLICE("");
    uint64_t at = offset >> 3;
    uint8_t byte = at < string.len ? (uint8_t)string.ptr[at] : 0;
    unsigned old = bit_at(string, offset), mask = 0x80u >> (offset & 7);
    int result;
    if (at >= string.len || old != (unsigned)bit) {
        byte = (uint8_t)(bit ? byte | mask : byte & ~mask);
        result = mutate_string_write(&entry, at, (struct slice){(const char *)&byte, 1});
    } else {
        result = mutate_string_prepare(&entry, string.len);
    }
    if (result != VALUE_OK)
        command_out_of_memory(ctx);
    else
        reply_integer(ctx->reply, old);
}

/* ---- ranges of bits ---- */

struct range {
    int64_t start, end; /* in bytes or bits as given; then bits, both inclusive */
    bool bits;
};

static bool parse_unit(struct command_context *ctx, int index, struct range *range)
{
    range->bits = command_arg_is(ctx, index, "BIT");
    if (range->bits || command_arg_is(ctx, index, "BYTE")) return true;
    command_error_syntax(ctx);
    return false;
}

/* Makes a range of bits inside a string of `len` bytes. False: it is empty. */
static bool clip_range(struct range *range, size_t len)
{
    int64_t total = (int64_t)len * (range->bits ? 8 : 1);
    if (range->start < 0) range->start += total;
    if (range->end < 0) range->end += total;
    if (range->start < 0) range->start = 0;
    if (range->end < 0) range->end = 0;
    if (range->end >= total) range->end = total - 1;
    if (range->start > range->end) return false;
    if (!range->bits) {
        range->start *= 8;
        range->end = range->end * 8 + 7;
    }
    return true;
}

static uint64_t load_word(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static int64_t count_bytes(const char *p, size_t len)
{
    int64_t count = 0;
    for (; len >= 8; len -= 8, p += 8) count += __builtin_popcountll(load_word(p));
    for (; len; len--, p++) count += __builtin_popcount((uint8_t)*p);
    return count;
}

static int64_t count_bits(const char *p, const struct range *range)
{
    size_t first = (size_t)range->start >> 3, last = (size_t)range->end >> 3;
    unsigned before = (uint8_t)p[first] & ~(0xffu >> (range->start & 7)) & 0xff;
    unsigned behind = (uint8_t)p[last] & (0x7fu >> (range->end & 7));
    return count_bytes(p + first, last - first + 1) - __builtin_popcount(before) - __builtin_popcount(behind);
}

void cmd_bitcount(struct command_context *ctx)
{
    struct range range = {0, -1, false};
    struct entry entry;
    char scratch[SCRATCH];
    if (ctx->argc != 2) {
        if (ctx->argc < 4 || ctx->argc > 5) {
            command_error_syntax(ctx);
            return;
        }
        if (!command_arg_int(ctx, 2, &range.start) || !command_arg_int(ctx, 3, &range.end)) return;
        if (ctx->argc == 5 && !parse_unit(ctx, 4, &range)) return;
    }
    if (!command_open_read_typed(ctx, 1, ITEM_STRING, &entry)) return;
    struct slice string = entry.item ? entry_string(&entry, scratch) : SLICE("");
    bool wrong_order = range.start < 0 && range.end < 0 && range.start > range.end;
    if (wrong_order || !clip_range(&range, string.len))
        reply_integer(ctx->reply, 0);
    else
        reply_integer(ctx->reply, count_bits(string.ptr, &range));
}

/* The first bit equal to `bit` in the range, or -1. */
static int64_t find_bit(const char *p, const struct range *range, unsigned bit)
{
    uint8_t skip = bit ? 0 : 0xff;
    size_t at = (size_t)range->start >> 3, last = (size_t)range->end >> 3;
    unsigned inside = 0xffu >> (range->start & 7); /* bits of the byte at `at` that count */
    for (;; inside = 0xff) {
        unsigned candidates = ((uint8_t)p[at] ^ skip) & inside;
        if (candidates) {
            int64_t found = (int64_t)at * 8 + __builtin_clz(candidates) - 24;
            return found <= range->end ? found : -1;
        }
        if (at++ == last) return -1;
        uint64_t skip_word = bit ? 0 : UINT64_MAX;
        while (last - at >= 8 && load_word(p + at) == skip_word) at += 8;
    }
}

void cmd_bitpos(struct command_context *ctx)
{
    struct range range = {0, -1, false};
    struct entry entry;
    char scratch[SCRATCH];
    int64_t bit;
    if (!command_arg_int(ctx, 2, &bit)) return;
    if (bit != 0 && bit != 1) {
        reply_error(ctx->reply, "ERR The bit argument must be 1 or 0.");
        return;
    }
    if (ctx->argc > 6) {
        command_error_syntax(ctx);
        return;
    }
    if (ctx->argc > 3 && !command_arg_int(ctx, 3, &range.start)) return;
    if (ctx->argc > 5 && !parse_unit(ctx, 5, &range)) return;
    if (ctx->argc > 4 && !command_arg_int(ctx, 4, &range.end)) return;
    if (!command_open_read_typed(ctx, 1, ITEM_STRING, &entry)) return;
    if (!entry.item) { /* zeros without end */
        reply_integer(ctx->reply, bit ? -1 : 0);
        return;
    }
    struct slice string = entry_string(&entry, scratch);
    int64_t found = -1;
    if (clip_range(&range, string.len)) {
        found = find_bit(string.ptr, &range, (unsigned)bit);
        /* Without an end the string goes on with zeros. */
        if (found < 0 && bit == 0 && ctx->argc < 5) found = range.end + 1;
    }
    reply_integer(ctx->reply, found);
}

/* ---- BITOP ---- */

enum operation { OPERATION_AND, OPERATION_OR, OPERATION_XOR, OPERATION_NOT, OPERATION_NONE };

static enum operation parse_operation(const struct command_context *ctx)
{
    static const char *const names[] = {"AND", "OR", "XOR", "NOT"};
    int i = 0;
    while (i < OPERATION_NONE && !command_arg_is(ctx, 1, names[i])) i++;
    return (enum operation)i;
}

/* Shorter sources count as filled up with zeros. */
static void combine(enum operation operation, uint8_t *result, size_t result_len, struct slice source)
{
    const uint8_t *s = (const uint8_t *)source.ptr;
    switch (operation) {
    case OPERATION_AND:
        for (size_t i = 0; i < source.len; i++) result[i] &= s[i];
        memset(result + source.len, 0, result_len - source.len);
        break;
    case OPERATION_OR:
        for (size_t i = 0; i < source.len; i++) result[i] |= s[i];
        break;
    case OPERATION_XOR:
        for (size_t i = 0; i < source.len; i++) result[i] ^= s[i];
        break;
    case OPERATION_NOT:
    case OPERATION_NONE: CHECK(!"an operation of several sources");
    }
}

/* The string at argv[index]; empty if the key is absent. */
static struct slice source_at(struct command_context *ctx, int index, char *scratch)
{
    struct entry entry;
    return command_open(ctx, index, &entry) ? entry_string(&entry, scratch) : SLICE("");
}

static void compute(struct command_context *ctx, enum operation operation, uint8_t *result, size_t len)
{
    char scratch[SCRATCH];
    struct slice first = source_at(ctx, 3, scratch);
    memcpy(result, first.ptr, first.len);
    memset(result + first.len, 0, len - first.len);
    if (operation == OPERATION_NOT)
        for (size_t i = 0; i < len; i++) result[i] = (uint8_t)~result[i];
    for (int i = 4; i < ctx->argc; i++) combine(operation, result, len, source_at(ctx, i, scratch));
}

void cmd_bitop(struct command_context *ctx)
{
    enum operation operation = parse_operation(ctx);
    size_t len = 0;
    if (operation == OPERATION_NONE) {
        command_error_syntax(ctx);
        return;
    }
    if (operation == OPERATION_NOT && ctx->argc != 4) {
        reply_error(ctx->reply, "ERR BITOP NOT must be called with a single source key.");
        return;
    }
    for (int i = 3; i < ctx->argc; i++) {
        struct entry source;
        if (!command_open_read_typed(ctx, i, ITEM_STRING, &source)) return;
        size_t source_len = source.item ? entry_string_len(&source) : 0;
        if (source_len > len) len = source_len;
    }
    uint8_t *result = malloc(len + 1);
    struct entry target;
    int done = result != NULL ? VALUE_OK : VALUE_NO_MEMORY;
    if (result != NULL && len) compute(ctx, operation, result, len);
    command_open(ctx, 2, &target);
    if (done == VALUE_OK && len)
        done = mutate_string_set_raw(&target, (struct slice){(const char *)result, len}, ITEM_NO_DEADLINE);
    else if (done == VALUE_OK && target.item)
        done = mutate_key_delete(&target, RECORD_DELETED);
    free(result);
    if (done != VALUE_OK)
        command_out_of_memory(ctx);
    else
        reply_integer(ctx->reply, (int64_t)len);
}
