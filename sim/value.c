/* Reply trees: arena, strict parser, copies, printing. See value.h.
 *
 * The parser is recursive descent over one contiguous buffer; a tree that is not complete is parsed again
 * from its start when more bytes have come (cheap: a bulk is skipped by its length). */
#include "sim/value.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

#define CHUNK_SIZE     ((size_t)64 << 10)
#define DEPTH_MAX      32
#define BULK_LEN_MAX   ((int64_t)512 << 20)
#define ITEM_COUNT_MAX ((int64_t)1 << 30)

/* ---------------------------------------------------------------- arena */

struct value_chunk {
    struct value_chunk *next;
    size_t used, size;
    _Alignas(16) char bytes[];
};

void *value_alloc(struct value_arena *arena, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    struct value_chunk *chunk = arena->chunks;
    if (chunk == NULL || chunk->size - chunk->used < size) {
        size_t room = size > CHUNK_SIZE ? size : CHUNK_SIZE;
        chunk = malloc(sizeof(*chunk) + room);
        CHECK(chunk != NULL);
        *chunk = (struct value_chunk){.next = arena->chunks, .size = room};
        arena->chunks = chunk;
    }
    void *out = chunk->bytes + chunk->used;
    chunk->used += size;
    return out;
}

struct slice value_bytes(struct value_arena *arena, const void *ptr, size_t len)
{
    char *copy = value_alloc(arena, len + 1);
    if (len) memcpy(copy, ptr, len);
    copy[len] = '\0';
    return (struct slice){copy, len};
}

void value_arena_reset(struct value_arena *arena)
{
    struct value_chunk *chunk = arena->chunks, *kept = NULL;
    while (chunk != NULL) {
        struct value_chunk *next = chunk->next;
        if (kept == NULL && chunk->size == CHUNK_SIZE) {
            kept = chunk;
            kept->next = NULL;
            kept->used = 0;
        } else {
            free(chunk);
        }
        chunk = next;
    }
    arena->chunks = kept;
}

void value_arena_free(struct value_arena *arena)
{
    value_arena_reset(arena);
    free(arena->chunks);
    arena->chunks = NULL;
}

/* ---------------------------------------------------------------- parser */

struct parser {
    struct value_arena *arena;
    const char *at, *end;
    const char *error; /* set when INVALID */
};

static enum value_status invalid(struct parser *p, const char *error)
{
    p->error = error;
    return VALUE_INVALID;
}

/* The line at p->at without its CRLF; moves past it. */
static enum value_status take_line(struct parser *p, struct slice *line)
{
    const char *feed = memchr(p->at, '\n', (size_t)(p->end - p->at)), *end = feed ? feed : p->end;
    const char *carriage = memchr(p->at, '\r', (size_t)(end - p->at));
    if (!carriage) return feed ? invalid(p, "a line feed without a carriage return") : VALUE_NEEDS_MORE;
    if (carriage + 1 < end) return invalid(p, "a carriage return inside a line");
    if (!feed) return VALUE_NEEDS_MORE;
    *line = (struct slice){p->at, (size_t)(carriage - p->at)};
    p->at = feed + 1;
    return VALUE_COMPLETE;
}

/* A canonical decimal integer: no sign but '-', no leading zero, no "-0". */
static bool read_integer(struct slice text, int64_t *out)
{
    bool negative = text.len > 0 && text.ptr[0] == '-';
    size_t at = negative;
    if (at == text.len || text.len - at > 19) return false;
    if (text.ptr[at] == '0') {
        *out = 0;
        return !negative && text.len == 1;
    }
    uint64_t sum = 0;
    for (; at < text.len; at++) {
        if (text.ptr[at] < '0' || text.ptr[at] > '9') return false;
        sum = sum * 10 + (uint64_t)(text.ptr[at] - '0');
    }
    if (sum > (uint64_t)INT64_MAX + negative) return false;
    *out = negative ? (int64_t)(0 - sum) : (int64_t)sum;
    return true;
}

static bool digits_at(struct slice text, size_t *at)
{
    size_t start = *at;
    while (*at < text.len && text.ptr[*at] >= '0' && text.ptr[*at] <= '9') ++*at;
    return *at > start;
}

static bool is_double(struct slice text)
{
    if (slice_equal(text, SLICE("inf")) || slice_equal(text, SLICE("-inf")) ||
        slice_equal(text, SLICE("nan")))
        return true;
    size_t at = text.len > 0 && text.ptr[0] == '-';
    if (!digits_at(text, &at)) return false;
    if (at < text.len && text.ptr[at] == '.') {
        at++;
        if (!digits_at(text, &at)) return false;
    }
    if (at < text.len && (text.ptr[at] == 'e' || text.ptr[at] == 'E')) {
        at++;
        if (at < text.len && (text.ptr[at] == '+' || text.ptr[at] == '-')) at++;
        if (!digits_at(text, &at)) return false;
    }
    return at == text.len;
}

static bool is_bignum(struct slice text)
{
    size_t at = text.len > 0 && text.ptr[0] == '-';
    return digits_at(text, &at) && at == text.len;
}

static enum value_status parse_bulk(struct parser *p, struct slice line, struct value *v)
{
    int64_t len;
    if (!read_integer(line, &len)) return invalid(p, "a bulk length that is no integer");
    if (len == -1 && v->kind == VALUE_BULK) {
        v->kind = VALUE_NULL_BULK;
        return VALUE_COMPLETE;
    }
    if (len < 0 || len > BULK_LEN_MAX) return invalid(p, "a bulk length out of range");
    if ((int64_t)(p->end - p->at) < len + 2) {
        if (p->end - p->at == len + 1 && p->at[len] != '\r')
            return invalid(p, "a bulk that does not end with CRLF");
        return VALUE_NEEDS_MORE;
    }
    if (p->at[len] != '\r' || p->at[len + 1] != '\n') return invalid(p, "a bulk that does not end with CRLF");
    v->text = (struct slice){p->at, (size_t)len};
    p->at += len + 2;
    if (v->kind == VALUE_VERBATIM) {
        if (len < 4 || v->text.ptr[3] != ':') return invalid(p, "a verbatim string without its format");
        v->text = (struct slice){v->text.ptr + 4, v->text.len - 4};
    }
    return VALUE_COMPLETE;
}

static enum value_status parse_one(struct parser *p, struct value *v, int depth);

static enum value_status parse_items(struct parser *p, struct slice line, struct value *v, int depth)
{
    int64_t count;
    if (!read_integer(line, &count)) return invalid(p, "a count that is no integer");
    if (count == -1 && v->kind == VALUE_ARRAY) {
        v->kind = VALUE_NULL_ARRAY;
        return VALUE_COMPLETE;
    }
    if (count < 0 || count > ITEM_COUNT_MAX) return invalid(p, "a count out of range");
    if (v->kind == VALUE_MAP || v->kind == VALUE_ATTRIBUTE) count *= 2;
    /* An item takes at least three bytes: no memory is spent on counts that cannot be complete. */
    if (count > (p->end - p->at) / 3) {
        if (depth >= DEPTH_MAX) return invalid(p, "nested too deeply");
        struct value scratch;
        for (int64_t i = 0; i < count; i++) {
            enum value_status status = parse_one(p, &scratch, depth + 1);
            if (status != VALUE_COMPLETE) return status;
        }
        CHECK(!"more items than bytes");
    }
    v->count = (size_t)count;
    v->items = value_alloc(p->arena, v->count * sizeof(*v->items));
    for (size_t i = 0; i < v->count; i++) {
        enum value_status status = parse_one(p, &v->items[i], depth + 1);
        if (status != VALUE_COMPLETE) return status;
    }
    return VALUE_COMPLETE;
}

static int kind_of(char byte)
{
    switch (byte) {
    case '+': return VALUE_SIMPLE;
    case '-': return VALUE_ERROR;
    case ':': return VALUE_INTEGER;
    case '$': return VALUE_BULK;
    case '_': return VALUE_NULL;
    case '*': return VALUE_ARRAY;
    case '%': return VALUE_MAP;
    case '~': return VALUE_SET;
    case '>': return VALUE_PUSH;
    case ',': return VALUE_DOUBLE;
    case '#': return VALUE_BOOLEAN;
    case '(': return VALUE_BIGNUM;
    case '=': return VALUE_VERBATIM;
    case '!': return VALUE_BULK_ERROR;
    case '|': return VALUE_ATTRIBUTE;
    default: return 0;
    }
}

static enum value_status parse_one(struct parser *p, struct value *v, int depth)
{
    if (p->at == p->end) return VALUE_NEEDS_MORE;
    if (depth > DEPTH_MAX) return invalid(p, "nested too deeply");
    int kind = kind_of(*p->at);
    if (kind == 0) return invalid(p, "a byte that begins no reply");
    *v = (struct value){.kind = (uint8_t)kind};
    p->at++;
    struct slice line;
    enum value_status status = take_line(p, &line);
    if (status != VALUE_COMPLETE) return status;
    switch (kind) {
    case VALUE_SIMPLE:
    case VALUE_ERROR: v->text = line; return VALUE_COMPLETE;
    case VALUE_INTEGER:
        return read_integer(line, &v->integer) ? VALUE_COMPLETE : invalid(p, "an integer that is none");
    case VALUE_NULL: return line.len == 0 ? VALUE_COMPLETE : invalid(p, "a null with text");
    case VALUE_BOOLEAN:
        v->integer = slice_equal(line, SLICE("t"));
        return v->integer || slice_equal(line, SLICE("f")) ? VALUE_COMPLETE
                                                           : invalid(p, "a boolean that is none");
    case VALUE_DOUBLE:
        v->text = line;
        return is_double(line) ? VALUE_COMPLETE : invalid(p, "a double that is none");
    case VALUE_BIGNUM:
        v->text = line;
        return is_bignum(line) ? VALUE_COMPLETE : invalid(p, "a big number that is none");
    case VALUE_BULK:
    case VALUE_VERBATIM:
    case VALUE_BULK_ERROR: return parse_bulk(p, line, v);
    default: return parse_items(p, line, v, depth);
    }
}

struct value_parsed value_parse(struct value_arena *arena, const char *bytes, size_t len)
{
    struct parser p = {.arena = arena, .at = bytes, .end = bytes + len};
    struct value *v = value_alloc(arena, sizeof(*v));
    struct value_parsed out = {
        .status = parse_one(&p, v, 0), .consumed = (size_t)(p.at - bytes), .error = p.error};
    if (out.status == VALUE_COMPLETE) out.value = v;
    return out;
}

/* ---------------------------------------------------------------- trees */

bool value_speaks(const struct value *value, int resp)
{
    switch (value->kind) {
    case VALUE_SIMPLE:
    case VALUE_ERROR:
    case VALUE_INTEGER:
    case VALUE_BULK:
    case VALUE_ARRAY: break;
    case VALUE_NULL_BULK:
    case VALUE_NULL_ARRAY:
        if (resp == 3) return false;
        break;
    default:
        if (resp == 2) return false;
    }
    for (size_t i = 0; i < value->count; i++)
        if (!value_speaks(&value->items[i], resp)) return false;
    return true;
}

static void copy_into(struct value_arena *arena, const struct value *from, struct value *to)
{
    *to = *from;
    if (from->text.ptr != NULL) to->text = value_bytes(arena, from->text.ptr, from->text.len);
    if (from->count == 0) return;
    to->items = value_alloc(arena, from->count * sizeof(*to->items));
    for (size_t i = 0; i < from->count; i++) copy_into(arena, &from->items[i], &to->items[i]);
}

struct value *value_copy(struct value_arena *arena, const struct value *value)
{
    struct value *copy = value_alloc(arena, sizeof(*copy));
    copy_into(arena, value, copy);
    return copy;
}

/* ---------------------------------------------------------------- printing */

struct printer {
    char *out;
    size_t size, used;
};

static __attribute__((format(printf, 2, 3))) void put(struct printer *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(p->out + p->used, p->size - p->used, format, args);
    va_end(args);
    p->used += n < 0 ? 0 : (size_t)n;
    if (p->used >= p->size) p->used = p->size - 1;
}

static void put_bytes(struct printer *p, struct slice bytes, size_t limit)
{
    size_t shown = bytes.len < limit ? bytes.len : limit;
    for (size_t i = 0; i < shown; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];
        if (c >= 32 && c < 127 && c != '\\')
            put(p, "%c", c);
        else
            put(p, "\\x%02x", c);
    }
    if (shown < bytes.len) put(p, "...(%zu bytes)", bytes.len);
}

char *value_print_bytes(struct slice bytes, size_t limit, char *out, size_t size)
{
    CHECK(size > 0);
    struct printer p = {out, size, 0};
    out[0] = '\0';
    put_bytes(&p, bytes, limit);
    return out;
}

static void print_one(struct printer *p, const struct value *v);

static void print_items(struct printer *p, const struct value *v, char open, char close)
{
    put(p, "%zu %c", v->count, open);
    for (size_t i = 0; i < v->count; i++) {
        if (i) put(p, ", ");
        if (i == 20 && v->count > 24) {
            put(p, "...");
            break;
        }
        print_one(p, &v->items[i]);
    }
    put(p, "%c", close);
}

static void print_one(struct printer *p, const struct value *v)
{
    static const char sigils[] = " +-:$$*_*%~>,#(=!|";
    if (v->rule == VALUE_ANYTHING) {
        put(p, "anything");
        return;
    }
    if (v->rule == VALUE_ONE_OF) {
        put(p, "one of ");
        print_items(p, v, '<', '>');
        return;
    }
    put(p, "%c", sigils[v->kind]);
    bool between = v->rule == VALUE_BETWEEN;
    bool unordered = v->rule == VALUE_UNORDERED || v->rule == VALUE_UNORDERED_PAIRS;
    switch (v->kind) {
    case VALUE_INTEGER:
        put(p, "%lld", (long long)v->integer);
        if (between) put(p, "..%lld", (long long)v->high);
        break;
    case VALUE_NULL_BULK:
    case VALUE_NULL_ARRAY: put(p, "-1"); break;
    case VALUE_NULL: break;
    case VALUE_BOOLEAN: put(p, "%c", v->integer ? 't' : 'f'); break;
    case VALUE_ARRAY:
    case VALUE_MAP:
    case VALUE_SET:
    case VALUE_PUSH:
    case VALUE_ATTRIBUTE: print_items(p, v, unordered ? '{' : '[', unordered ? '}' : ']'); break;
    default:
        if (v->kind == VALUE_BULK || v->kind == VALUE_VERBATIM) put(p, "%zu ", v->text.len);
        if (v->rule == VALUE_ANY_TEXT)
            put(p, "(any text)");
        else
            put_bytes(p, v->text, 200);
        if (v->rule == VALUE_PREFIX) put(p, "(...)");
    }
}

char *value_print(const struct value *value, char *out, size_t size)
{
    CHECK(size > 0);
    struct printer p = {out, size, 0};
    out[0] = '\0';
    if (value == NULL)
        put(&p, "(no reply)");
    else
        print_one(&p, value);
    return out;
}
