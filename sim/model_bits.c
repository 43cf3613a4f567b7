/* Strings as rows of bits: bit 0 is the highest one of byte 0. */
#include "sim/model_internal.h"

#include <stdlib.h>
#include <strings.h>

static bool bit_at(struct slice bytes, uint64_t bit)
{
    return bit / 8 < bytes.len && ((unsigned char)bytes.ptr[bit / 8] >> (7 - bit % 8) & 1);
}

static void set_bit(struct slice bytes, uint64_t bit, bool on)
{
    unsigned char *byte = (unsigned char *)bytes.ptr + bit / 8;
    CHECK(bit / 8 < bytes.len);
    *byte = (unsigned char)((*byte & ~(1 << (7 - bit % 8))) | on << (7 - bit % 8));
}

/* Argument i as an offset in bits; "#n" counts in units of that many bits if there is a unit. */
static bool read_offset(struct model_context *c, size_t i, int unit, uint64_t *offset,
                        const struct value **error)
{
    struct slice text = arg(c, i);
    bool counted = unit > 0 && text.len > 0 && text.ptr[0] == '#';
    int64_t n;
    bool good = read_int64((struct slice){text.ptr + counted, text.len - counted}, &n);
    if (good && counted) good = !__builtin_mul_overflow(n, (int64_t)unit, &n);
    if (!good || n < 0 || (uint64_t)n / 8 >= c->model->options.bulk_max) {
        *error = want_error(c, "ERR bit offset is not an integer or out of range");
        return false;
    }
    *offset = (uint64_t)n;
    return true;
}

static struct slice string_or_empty(struct model_object *object)
{
    return object ? as_string(object)->bytes : SLICE("");
}

/* ---------------------------------------------------------------- one bit */

static const struct value *do_getbit(struct model_context *c)
{
    uint64_t offset;
    const struct value *error = NULL;
    if (!read_offset(c, 2, 0, &offset, &error)) return error;
    struct model_object *object = model_typed(c, arg(c, 1), MODEL_STRING, &error);
    return error ? error : want_integer(c, bit_at(string_or_empty(object), offset));
}

static const struct value *do_setbit(struct model_context *c)
{
    uint64_t offset;
    int64_t on;
    const struct value *error = NULL;
    if (!read_offset(c, 2, 0, &offset, &error)) return error;
    if (!arg_int64_in(c, 3, 0, 1, "ERR bit is not an integer or out of range", &on, &error)) return error;
    struct model_object *object = model_typed(c, arg(c, 1), MODEL_STRING, &error);
    if (error) return error;
    size_t old_len = string_or_empty(object).len;
    struct model_string *s = model_string_grow(c, arg(c, 1), offset / 8 + 1);
    bool was = bit_at(s->bytes, offset);
    if (s->bytes.len != old_len || was != (on != 0)) model_touch(c, arg(c, 1));
    set_bit(s->bytes, offset, on != 0);
    return want_integer(c, was);
}

/* ---------------------------------------------------------------- counting and finding */

/* The unit in argument i: BIT or BYTE. */
static bool read_unit(struct model_context *c, size_t i, bool *bits, const struct value **error)
{
    *bits = arg_is(c, i, "BIT");
    if (*bits || arg_is(c, i, "BYTE")) return true;
    *error = want_syntax_error(c);
    return false;
}

/* Start and end, which may be negative, as bits [first, last] of the string; false if that is empty. */
static bool bit_range(struct slice bytes, int64_t start, int64_t end, bool bits, int64_t *first,
                      int64_t *last)
{
    int64_t total = (int64_t)bytes.len * (bits ? 8 : 1);
    if (start < 0) start += total;
    if (end < 0) end += total;
    if (start < 0) start = 0;
    if (end < 0) end = 0;
    if (end >= total) end = total - 1;
    if (start > end) return false;
    *first = bits ? start : start * 8;
    *last = bits ? end : end * 8 + 7;
    return true;
}

static const struct value *do_bitcount(struct model_context *c)
{
    const struct value *error = NULL;
    int64_t start = 0, end = -1;
    bool bits = false;
    if (argc(c) == 3 || argc(c) > 5) return want_syntax_error(c);
    if (argc(c) > 2 && (!arg_int64(c, 2, &start, &error) || !arg_int64(c, 3, &end, &error))) return error;
    if (argc(c) == 5 && !read_unit(c, 4, &bits, &error)) return error;
    struct model_object *object = model_typed(c, arg(c, 1), MODEL_STRING, &error);
    if (error) return error;
    struct slice bytes = string_or_empty(object);
    int64_t first, last, count = 0;
    if (start < 0 && end < 0 && start > end) return want_integer(c, 0);
    if (!bit_range(bytes, start, end, bits, &first, &last)) return want_integer(c, 0);
    for (int64_t i = first; i <= last; i++) count += bit_at(bytes, (uint64_t)i);
    return want_integer(c, count);
}

static const struct value *do_bitpos(struct model_context *c)
{
    const struct value *error = NULL;
    int64_t bit, start = 0, end = -1, first, last;
    bool bits = false;
    if (!arg_int64(c, 2, &bit, &error)) return error;
    if (bit != 0 && bit != 1) return want_error(c, "ERR The bit argument must be 1 or 0.");
    if (argc(c) > 6) return want_syntax_error(c);
    if (argc(c) > 3 && !arg_int64(c, 3, &start, &error)) return error;
    if (argc(c) == 6 && !read_unit(c, 5, &bits, &error)) return error;
    if (argc(c) > 4 && !arg_int64(c, 4, &end, &error)) return error;
    struct model_object *object = model_typed(c, arg(c, 1), MODEL_STRING, &error);
    if (error) return error;
    if (object == NULL) return want_integer(c, bit ? -1 : 0);
    struct slice bytes = as_string(object)->bytes;
    if (!bit_range(bytes, start, end, bits, &first, &last)) return want_integer(c, -1);
    for (int64_t i = first; i <= last; i++)
        if (bit_at(bytes, (uint64_t)i) == (bit == 1)) return want_integer(c, i);
    /* Without an end the string goes on with zeros for ever. */
    return want_integer(c, bit == 0 && argc(c) < 5 ? last + 1 : -1);
}

/* ---------------------------------------------------------------- BITOP */

static char combine(char op, char a, char b)
{
    return op == '&' ? a & b : op == '|' ? a | b : a ^ b;
}

static const struct value *do_bitop(struct model_context *c)
{
    char op = arg_is(c, 1, "AND") ? '&' : arg_is(c, 1, "OR") ? '|' : arg_is(c, 1, "XOR") ? '^' : '~';
    if (op == '~' && !arg_is(c, 1, "NOT")) return want_syntax_error(c);
    if (op == '~' && argc(c) != 4)
        return want_error(c, "ERR BITOP NOT must be called with a single source key.");
    size_t len = 0;
    const struct value *error = NULL;
    for (size_t i = 3; i < argc(c); i++) {
        struct model_object *object = model_typed(c, arg(c, i), MODEL_STRING, &error);
        if (error) return error;
        if (string_or_empty(object).len > len) len = string_or_empty(object).len;
    }
    if (len == 0) {
        model_drop(c, arg(c, 2));
        return want_integer(c, 0);
    }
    char *result = value_alloc(&c->model->arena, len);
    for (size_t i = 3; i < argc(c); i++) {
        struct slice from = string_or_empty(model_read(c, arg(c, i)));
        for (size_t n = 0; n < len; n++) {
            char byte = n < from.len ? from.ptr[n] : '\0';
            result[n] = op == '~' ? (char)~byte : i == 3 ? byte : combine(op, result[n], byte);
        }
    }
    struct model_object *object = model_string_create((struct slice){result, len});
    as_string(object)->raw = true;
    model_put(c, arg(c, 2), object);
    return want_integer(c, (int64_t)len);
}

/* ---------------------------------------------------------------- BITFIELD */

enum overflow { WRAP, SATURATE, FAIL };

struct field_op {
    char kind; /* 'g'et, 's'et, 'i'ncrby */
    enum overflow overflow;
    bool is_signed;
    int bits;
    uint64_t offset;
    int64_t operand;
};

/* Wide enough for a 64-bit field plus a 64-bit increment. */
__extension__ typedef __int128 wide;

static bool read_type(struct model_context *c, size_t i, struct field_op *op, const struct value **error)
{
    struct slice text = arg(c, i);
    int64_t bits = 0;
    op->is_signed = text.len > 0 && text.ptr[0] == 'i';
    bool good = op->is_signed || (text.len > 0 && text.ptr[0] == 'u');
    /* What follows a NUL is not looked at. */
    size_t len = good ? strnlen(text.ptr + 1, text.len - 1) : 0;
    good = good && read_int64((struct slice){text.ptr + 1, len}, &bits) && bits >= 1 &&
           bits <= (op->is_signed ? 64 : 63);
    if (!good)
        *error = want_error(
            c, "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported "
               "but i64 is.");
    op->bits = (int)bits;
    return good;
}

static bool read_overflow(struct model_context *c, size_t i, enum overflow *overflow,
                          const struct value **error)
{
    if (arg_is(c, i, "WRAP"))
        *overflow = WRAP;
    else if (arg_is(c, i, "SAT"))
        *overflow = SATURATE;
    else if (arg_is(c, i, "FAIL"))
        *overflow = FAIL;
    else
        *error = want_error(c, "ERR Invalid OVERFLOW type specified");
    return *error == NULL;
}

/* All operations, into the arena. */
static struct field_op *read_ops(struct model_context *c, size_t *count, const struct value **error)
{
    struct field_op *ops = value_alloc(&c->model->arena, argc(c) * sizeof(*ops));
    enum overflow overflow = WRAP;
    *count = 0;
    for (size_t i = 2; i < argc(c);) {
        size_t more = argc(c) - i - 1;
        struct field_op op = {.overflow = overflow};
        if (arg_is(c, i, "OVERFLOW") && more >= 1) {
            if (!read_overflow(c, i + 1, &overflow, error)) return NULL;
            i += 2;
            continue;
        }
        if (arg_is(c, i, "GET") && more >= 2)
            op.kind = 'g';
        else if (arg_is(c, i, "SET") && more >= 3)
            op.kind = 's';
        else if (arg_is(c, i, "INCRBY") && more >= 3)
            op.kind = 'i';
        else
            *error = want_syntax_error(c);
        if (*error || !read_type(c, i + 1, &op, error) || !read_offset(c, i + 2, op.bits, &op.offset, error))
            return NULL;
        if (op.kind != 'g' && !arg_int64(c, i + 3, &op.operand, error)) return NULL;
        ops[(*count)++] = op;
        i += op.kind == 'g' ? 3 : 4;
    }
    return ops;
}

static wide get_field(struct slice bytes, const struct field_op *op)
{
    wide n = 0;
    for (int i = 0; i < op->bits; i++) n = n * 2 + bit_at(bytes, op->offset + (uint64_t)i);
    if (op->is_signed && bit_at(bytes, op->offset)) n -= (wide)1 << op->bits;
    return n;
}

static void set_field(struct slice bytes, const struct field_op *op, wide n)
{
    for (int i = 0; i < op->bits; i++) set_bit(bytes, op->offset + (uint64_t)i, n >> (op->bits - 1 - i) & 1);
}

/* Fits n into the field; false if it does not fit and the policy says FAIL. */
static bool fit(const struct field_op *op, wide *n)
{
    wide high = ((wide)1 << (op->bits - op->is_signed)) - 1, low = op->is_signed ? -high - 1 : 0;
    if (*n >= low && *n <= high) return true;
    if (op->overflow == FAIL) return false;
    if (op->overflow == SATURATE) {
        /* Redis subtracts in 64 bits: what SET is given so far below the field's range is above it. */
        bool turned = op->kind == 's' && op->is_signed && op->bits < 64 && high - *n > INT64_MAX;
        *n = *n > high || turned ? high : low;
        return true;
    }
    *n &= ((wide)1 << op->bits) - 1;
    if (*n > high) *n -= (wide)1 << op->bits;
    return true;
}

static const struct value *run_op(struct model_context *c, struct slice bytes, const struct field_op *op,
                                  bool *changed)
{
    wide old = get_field(bytes, op), next;
    if (op->kind == 'g') return want_integer(c, (int64_t)old);
    if (op->kind == 'i')
        next = old + op->operand;
    else
        next = op->is_signed ? (wide)op->operand : (wide)(uint64_t)op->operand;
    if (!fit(op, &next)) return want_null(c);
    set_field(bytes, op, next);
    *changed |= next != old;
    return want_integer(c, (int64_t)(op->kind == 'i' ? next : old));
}

static const struct value *bitfield(struct model_context *c, bool read_only)
{
    const struct value *error = NULL;
    size_t count;
    struct field_op *ops = read_ops(c, &count, &error);
    if (error) return error;
    bool writes = false, changed = false;
    uint64_t end = 0; /* of the farthest field that is written */
    for (size_t i = 0; i < count; i++) {
        if (ops[i].kind == 'g') continue;
        writes = true;
        if (ops[i].offset + (uint64_t)ops[i].bits > end) end = ops[i].offset + (uint64_t)ops[i].bits;
    }
    if (writes && read_only) return want_error(c, "ERR BITFIELD_RO only supports the GET subcommand");
    struct model_object *object = model_typed(c, arg(c, 1), MODEL_STRING, &error);
    if (error) return error;
    struct slice bytes = string_or_empty(object);
    if (writes) {
        size_t old_len = bytes.len;
        bytes = model_string_grow(c, arg(c, 1), (end + 7) / 8)->bytes;
        changed = bytes.len != old_len;
    }
    struct value *reply = want_array(c, count);
    for (size_t i = 0; i < count; i++) set_item(reply, i, run_op(c, bytes, &ops[i], &changed));
    if (changed) model_touch(c, arg(c, 1));
    return reply;
}

static const struct value *do_bitfield(struct model_context *c)
{
    return bitfield(c, false);
}

static const struct value *do_bitfield_ro(struct model_context *c)
{
    return bitfield(c, true);
}

const struct model_row model_rows_bits[] = {
    {"bitcount", -2, 0, do_bitcount},
    {"bitfield", -2, MODEL_TAKES_MEMORY, do_bitfield},
    {"bitfield_ro", -2, 0, do_bitfield_ro},
    {"bitop", -4, MODEL_TAKES_MEMORY, do_bitop},
    {"bitpos", -3, 0, do_bitpos},
    {"getbit", 3, 0, do_getbit},
    {"setbit", 4, MODEL_TAKES_MEMORY, do_setbit},
    {0},
};
