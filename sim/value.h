/* Reply trees of the simulator: what a server said, parsed; and what the model expected, built.
 *
 * Parsing is strict: every byte must be canonical RESP (no leading zeros, no '+', no stray CR or LF inside a
 * line, lengths within limits, depth <= 32), because it also judges the validity of the wire. value_speaks()
 * tells whether a tree uses only what a connection's protocol version has.
 *
 * Memory: nodes live in an arena; `text` of a parsed node points into the bytes that were parsed, which must
 * outlive it (value_copy makes a tree that stands alone). Maps hold key, value, key, value: `count` counts
 * items, so it is even. Deterministic, single-threaded, no I/O. Tests: test/sim/model_test.py (every reply of
 * a real server passes through; test/sim/model_scripts.py has the invalid ones). */
#ifndef WEFT_SIM_VALUE_H
#define WEFT_SIM_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum value_kind {
    VALUE_SIMPLE = 1, /* +text */
    VALUE_ERROR,      /* -text */
    VALUE_INTEGER,    /* :integer */
    VALUE_BULK,       /* $len text */
    VALUE_NULL_BULK,  /* $-1, RESP2 only */
    VALUE_NULL_ARRAY, /* *-1, RESP2 only */
    VALUE_NULL,       /* _ */
    VALUE_ARRAY,      /* *count items */
    VALUE_MAP,        /* %pairs items */
    VALUE_SET,        /* ~count items */
    VALUE_PUSH,       /* >count items */
    VALUE_DOUBLE,     /* ,text */
    VALUE_BOOLEAN,    /* #t: integer is 1 */
    VALUE_BIGNUM,     /* (text */
    VALUE_VERBATIM,   /* =len txt:text; text is without the prefix */
    VALUE_BULK_ERROR, /* !len text */
    VALUE_ATTRIBUTE,  /* |pairs items: stands before the reply it annotates */
};

/* How a node that was *expected* is compared with what came; parsed nodes are VALUE_EXACT. */
enum value_rule {
    VALUE_EXACT,
    VALUE_ANYTHING,        /* every valid reply */
    VALUE_ANY_TEXT,        /* the kind must be right, the text may be anything */
    VALUE_PREFIX,          /* simple, error, bulk: the text must begin with `text` */
    VALUE_BETWEEN,         /* integer: low <= it <= high */
    VALUE_UNORDERED,       /* array, set: items in any order */
    VALUE_UNORDERED_PAIRS, /* map, array: items 2i and 2i+1 belong together, the pairs come in any order */
    VALUE_SCORE,           /* double, bulk: any text that Redis could send for the score that `text` says */
    VALUE_ONE_OF,          /* one of `items`, each with its own kind and rule */
};

struct value {
    uint8_t kind; /* enum value_kind; not looked at under VALUE_ANYTHING and VALUE_ONE_OF */
    uint8_t rule; /* enum value_rule */
    int64_t integer;
    int64_t high; /* VALUE_BETWEEN: integer is the lower end, this the upper one */
    struct slice text;
    size_t count;
    struct value *items; /* count of them */
};

/* A bump arena. Zero-initialised is empty and ready. */
struct value_arena {
    struct value_chunk *chunks;
};

/* Uninitialised memory, aligned for anything, valid until the arena is reset or freed. Never NULL. */
void *value_alloc(struct value_arena *arena, size_t size);
/* A copy of the bytes in the arena. */
struct slice value_bytes(struct value_arena *arena, const void *ptr, size_t len);
/* Forgets everything, keeps one chunk of memory. */
void value_arena_reset(struct value_arena *arena);
/* Gives all memory back; the arena is empty and ready again. */
void value_arena_free(struct value_arena *arena);

enum value_status { VALUE_COMPLETE, VALUE_NEEDS_MORE, VALUE_INVALID };

struct value_parsed {
    enum value_status status;
    struct value *value; /* COMPLETE: the tree */
    size_t consumed;     /* COMPLETE: bytes it took; INVALID: where the bytes cannot be RESP */
    const char *error;   /* INVALID: a sentence (a constant) */
};

/* Parses the first reply in the bytes. After NEEDS_MORE call again with more bytes from the same start. */
struct value_parsed value_parse(struct value_arena *arena, const char *bytes, size_t len);

/* True if RESP version `resp` (2 or 3) has every kind in the tree. */
bool value_speaks(const struct value *value, int resp);

/* A deep copy whose texts are in the arena too. */
struct value *value_copy(struct value_arena *arena, const struct value *value);

static inline bool value_is_error(const struct value *value)
{
    return value->kind == VALUE_ERROR || value->kind == VALUE_BULK_ERROR;
}

/* Writes a short one-line text of the tree ("$3 foo", "*2 [:1, $-1]", long parts cut) into out,
 * NUL-terminated; returns out. Works for expected trees, too. */
char *value_print(const struct value *value, char *out, size_t size);
/* The same for bytes: printable ones as they are, the others as \xHH, at most limit of them. */
char *value_print_bytes(struct slice bytes, size_t limit, char *out, size_t size);

#endif
