/* What the files of the model (sim/model*.c) share. Nobody else includes this.
 *
 * One family of commands per file: a table of rows (model_row) and one function per command. Such a function
 *   1. reads the arguments (arg_*) in the order in which Redis complains about them,
 *   2. reads and changes keys (model_read, model_typed, model_put, model_drop, model_touch ...),
 *   3. returns the reply that must come (want_*). Where the server had a choice it looks at c->reply, and
 * returns want_accepted(c) if the choice was possible (having adopted it), or model_refuse(c, "why").
 * Everything it builds lives in the arena of the call. Values of keys are malloc'ed and owned by their slot.
 *
 * Types: a value begins with struct model_object; model_types.c lists per type how to free, copy, print it.
 * Adding a family: its rows into `families` (model.c), its type into model_types.c. */
#ifndef WEFT_SIM_MODEL_INTERNAL_H
#define WEFT_SIM_MODEL_INTERNAL_H

#include "base/check.h"
#include "sim/model.h"

#define MODEL_DATABASES 16

struct model_context;
struct scan_watches;

/* ---------------------------------------------------------------- values */

enum model_type { MODEL_STRING, MODEL_LIST, MODEL_SET, MODEL_ZSET, MODEL_HASH, MODEL_STREAM, MODEL_TYPES };

/* Every value begins with this. */
struct model_object {
    enum model_type type;
    bool big; /* was at some time too large for its small encoding: Redis does not go back */
};

struct model_type_ops {
    const char *name; /* as TYPE says it */
    void (*destroy)(struct model_object *object);
    struct model_object *(*copy)(const struct model_object *object);
    /* Encodings that OBJECT ENCODING may name, NULL-terminated in names (room for 4). */
    void (*encodings)(const struct model *model, const struct model_object *object, const char *names[4]);
    void (*print)(const struct model_object *object, FILE *out);
};

/* NULL for a type that has no code yet. */
const struct model_type_ops *model_type_ops(enum model_type type);

/* Owned bytes: malloc'ed, never NULL. */
struct slice bytes_copy(struct slice from);
void bytes_free(struct slice bytes);
/* memcmp, then the shorter one first. */
int bytes_compare(struct slice a, struct slice b);

struct model_string {
    struct model_object head;
    struct slice bytes; /* owned */
    bool raw;           /* came about by APPEND, SETRANGE, SETBIT ...: Redis leaves it in encoding raw */
};

/* The string at key, which is made, and padded with zeros to len bytes, if need be. Touches only if it makes
 * it. The caller has checked the type. */
struct model_string *model_string_grow(struct model_context *c, struct slice key, size_t len);
/* The error for a string of size + more bytes, or NULL if it may be that long. */
const struct value *too_long(struct model_context *c, uint64_t size, uint64_t more);
const struct value *model_do_lcs(struct model_context *c); /* model_lcs.c */
/* The time in argument i, in the unit of the option EX, PX, EXAT or PXAT, as a deadline. False: *error says
 * that it is no integer or not a valid time (<= 0, or too far away). */
bool read_deadline(struct model_context *c, size_t i, const char *unit, int64_t *deadline_ms,
                   const struct value **error);

struct model_object *model_string_create(struct slice bytes);
void model_string_destroy(struct model_object *object);
struct model_object *model_string_copy(const struct model_object *object);
void model_string_encodings(const struct model *model, const struct model_object *object,
                            const char *names[4]);
void model_string_print(const struct model_object *object, FILE *out);

static inline struct model_string *as_string(struct model_object *object)
{
    CHECK(object->type == MODEL_STRING);
    return (struct model_string *)object;
}

struct model_field {
    struct slice name, value; /* owned */
    int64_t deadline_ms;      /* -1: none */
};

/* Fields in the order of their names' bytes. Those past their deadline stay until the server says that it
 * removed them, or something takes their place: they "linger". */
struct model_hash {
    struct model_object head;
    struct model_field *fields;
    size_t count, capacity;
    bool maybe_big;             /* would have been too large with fields that linger */
    bool had_deadline;          /* some field ever had one: encoding listpackex */
    struct scan_watches *scans; /* owned: iterations under way */
};

enum model_hash_put { FIELD_CREATED, FIELD_UPDATED, FIELD_LINGERED };

struct model_object *model_hash_create(void);
void model_hash_destroy(struct model_object *object);
struct model_object *model_hash_copy(const struct model_object *object);
void model_hash_encodings(const struct model *model, const struct model_object *object, const char *names[4]);
void model_hash_print(const struct model_object *object, FILE *out);
/* The field whether it is past its deadline or not; NULL if there is none. */
struct model_field *model_hash_find(struct model_hash *hash, struct slice name);
/* The field if it is there at now_ms. */
struct model_field *model_hash_get(struct model_hash *hash, struct slice name, int64_t now_ms);
void model_hash_remove(struct model_hash *hash, struct model_field *field);
/* Sets a field; its deadline goes unless keep_ttl. One that lingered is made anew. */
enum model_hash_put model_hash_put(struct model_context *c, struct model_hash *hash, struct slice name,
                                   struct slice value, bool keep_ttl);
/* The hash at key, made if need be (then touched); NULL with *error if the key is of another type. */
struct model_hash *model_hash_open(struct model_context *c, struct slice key, const struct value **error);
/* After a change: touches the key, or removes it if its last field went. */
void model_hash_settle(struct model_context *c, struct slice key, struct model_hash *hash);
/* Fields that are there at now_ms; the count of all, with those past their deadline, is hash->count. */
size_t model_hash_live(const struct model_hash *hash, int64_t now_ms);

static inline struct model_hash *as_hash(struct model_object *object)
{
    CHECK(object->type == MODEL_HASH);
    return (struct model_hash *)object;
}

/* A deadline of D is over when now is D + 1. */
static inline bool deadline_is_over(int64_t deadline_ms, int64_t now_ms)
{
    return deadline_ms >= 0 && deadline_ms < now_ms;
}

/* ---------------------------------------------------------------- keys */

/* A key that was ever heard of. Slots are never removed: they keep the token of changes. */
struct model_slot {
    struct model_db *db;
    struct slice key;            /* owned */
    struct model_object *object; /* NULL: the key is not there */
    int64_t deadline_ms;         /* -1: none */
    uint64_t token;              /* changes with every touch; never the same twice in a model's life */
    bool ghost;                  /* it expired, and the server has not said yet that it removed it */
    bool born_dead;              /* the deadline was past when it was set: the server may not even keep it */
    int64_t ghost_deadline_ms;   /* of a ghost: since when; -1: nobody knows */
};

/* Slots in the order of their keys' bytes. */
struct model_db {
    struct model_slot **slots;
    size_t count, capacity;
    struct scan_watches *scans; /* owned, NULL before the first SCAN: iterations under way */
};

/* What DUMP said of which value, so that RESTORE can be followed. */
struct model_payload {
    struct slice bytes;          /* owned */
    struct model_object *object; /* owned */
};
#define MODEL_PAYLOADS 64

struct model_row;
struct model_usage {
    const struct model_row *row;
    uint64_t judged, succeeded;
};

struct model_unknown {
    struct slice name; /* owned */
    uint64_t count;
};

struct model {
    struct model_options options;
    struct model_db dbs[MODEL_DATABASES];
    int64_t now_ms;            /* of the present call */
    bool fields_expire;        /* some field of a hash ever had a deadline */
    uint64_t changes;          /* the last token given out */
    struct value_arena arena;  /* of the present call */
    struct model_usage *usage; /* all rows, by name */
    size_t usage_count;
    struct model_unknown *unknown;
    size_t unknown_count;
    struct model_payload payloads[MODEL_PAYLOADS]; /* a ring */
    size_t payload_next;
    char complaint[2048];
};

/* The present call. */
struct model_context {
    struct model *model;
    const struct model_call *call;
    struct model_db *db; /* of call->db */
    const struct model_row *row;
    int64_t now_ms;
    int resp;
    const struct value *reply; /* what the server said; NULL if it said nothing */
    bool refused;              /* model_refuse was called */
};

/* The slot of a key, made if need be. */
struct model_slot *model_slot(struct model_db *db, struct slice key);
/* The slot, or NULL if the key was never heard of. */
struct model_slot *model_slot_find(const struct model_db *db, struct slice key);

/* Removes the slot's value, if any, and touches. */
void model_slot_clear(struct model *model, struct model_slot *slot);
/* The same if the deadline is over; the slot becomes a ghost. */
void model_slot_expire(struct model *model, struct model_slot *slot, int64_t now_ms);

/* The value of a key that is there now, or NULL. A key past its deadline is removed (and touched) first. */
struct model_object *model_read_in(struct model_context *c, struct model_db *db, struct slice key);
struct model_object *model_read(struct model_context *c, struct slice key);
/* The same, when the type must be right: if it is not, *error is the WRONGTYPE reply and the result NULL.
 * *error is left alone otherwise; initialise it with NULL. */
struct model_object *model_typed(struct model_context *c, struct slice key, enum model_type type,
                                 const struct value **error);

/* Gives the key a new value (owned from now on) and no deadline; touches it. */
void model_put_in(struct model_context *c, struct model_db *db, struct slice key,
                  struct model_object *object);
void model_put(struct model_context *c, struct slice key, struct model_object *object);
/* The same, keeping the deadline that a present key had. */
void model_put_keep_ttl(struct model_context *c, struct slice key, struct model_object *object);
/* Removes and frees; touches. False (and untouched) if the key is not there. */
bool model_drop_in(struct model_context *c, struct model_db *db, struct slice key);
bool model_drop(struct model_context *c, struct slice key);
/* Takes the value out without freeing it; touches. NULL if not there. The deadline goes to *deadline_ms. */
struct model_object *model_take(struct model_context *c, struct model_db *db, struct slice key,
                                int64_t *deadline_ms);
/* What Redis calls signalModifiedKey: a change that WATCH sees. Call it after changing a value in place. */
void model_touch(struct model_context *c, struct slice key);
/* -1: none, or no such key. */
int64_t model_deadline(struct model_context *c, struct slice key);
/* Sets (-1: clears) the deadline of a key that is there; does not touch it. */
void model_set_deadline(struct model_context *c, struct slice key, int64_t deadline_ms);

/* ---------------------------------------------------------------- arguments */

static inline struct slice arg(const struct model_context *c, size_t i)
{
    CHECK(i < c->call->argc);
    return c->call->argv[i];
}
static inline size_t argc(const struct model_context *c)
{
    return c->call->argc;
}
/* Argument i is that word in any case. False if there is no argument i. */
bool arg_is(const struct model_context *c, size_t i, const char *word);
bool slice_is_word(struct slice s, const char *word);
/* The integer, if the whole text is one as Redis reads it: optional '-', no leading zeros, no spaces, in
 * range. */
bool read_int64(struct slice text, int64_t *out);
/* The same of argument i; on failure *error is "ERR value is not an integer or out of range". */
bool arg_int64(struct model_context *c, size_t i, int64_t *out, const struct value **error);
/* Within [low, high]; else *error is `text`, or Redis's "ERR value is out of range" when text is NULL. What
 * is no integer at all gives text, too, or the usual error. */
bool arg_int64_in(struct model_context *c, size_t i, int64_t low, int64_t high, const char *text,
                  int64_t *out, const struct value **error);
/* Doubles and long doubles as Redis reads arguments: strtod over the whole text, no leading space, not nan;
 * infinity is allowed. */
bool read_double(struct slice text, double *out);
bool read_long_double(struct slice text, long double *out);

/* ---------------------------------------------------------------- numbers as text (in the arena) */

struct slice text_of_int64(struct model_context *c, int64_t n);
/* As RESP3's doubles and ZSCORE show them: integers in full, else the shortest text that reads back the same.
 */
struct slice text_of_double(struct model_context *c, double d);
/* As INCRBYFLOAT shows them: 17 digits after the point, trailing zeros cut. */
struct slice text_of_long_double(struct model_context *c, long double d);
__attribute__((format(printf, 2, 3))) struct slice text_printf(struct model_context *c, const char *format,
                                                               ...);

/* ---------------------------------------------------------------- replies that must come */

const struct value *want_ok(struct model_context *c);
const struct value *want_simple(struct model_context *c, const char *text);
const struct value *want_integer(struct model_context *c, int64_t n);
const struct value *want_between(struct model_context *c, int64_t low, int64_t high);
const struct value *want_bulk(struct model_context *c, struct slice text);
const struct value *want_text(struct model_context *c, const char *text); /* bulk */
const struct value *want_double(struct model_context *c, double d);       /* RESP2: bulk */
const struct value *want_verbatim(struct model_context *c, struct slice text);
const struct value *want_null(struct model_context *c);       /* RESP2: $-1 */
const struct value *want_null_array(struct model_context *c); /* RESP2: *-1 */
const struct value *want_anything(struct model_context *c);
/* Some text of that kind (VALUE_BULK, VALUE_SIMPLE, VALUE_VERBATIM, VALUE_ERROR). Verbatim is bulk in RESP2.
 */
const struct value *want_any(struct model_context *c, enum value_kind kind);
/* "ERR ..." as the server writes it, without the '-'. CR and LF in it become spaces. */
__attribute__((format(printf, 2, 3))) const struct value *want_error(struct model_context *c,
                                                                     const char *format, ...);
const struct value *want_syntax_error(struct model_context *c);
const struct value *want_wrong_type(struct model_context *c);
/* "ERR wrong number of arguments for 'name' command", with the row's name. */
const struct value *want_wrong_arity(struct model_context *c);
/* "ERR unknown subcommand ..." is made by the dispatcher. */
const struct value *want_one_of(struct model_context *c, size_t count, const struct value *const *choices);

/* A tree to fill: set_item(v, i, want_...()). In RESP2 a map is an array of 2 * pairs, a set an array. */
struct value *want_array(struct model_context *c, size_t count);
struct value *want_set(struct model_context *c, size_t count);
struct value *want_map(struct model_context *c, size_t pairs);
/* Items (of a map: pairs) may come in any order. Chains: return unordered(v). */
struct value *unordered(struct value *v);
/* An array whose items 2i and 2i+1 belong together, pairs in any order (flat RESP2-like pairs). */
struct value *unordered_pairs(struct value *v);
static inline void set_item(struct value *v, size_t i, const struct value *item)
{
    CHECK(i < v->count);
    v->items[i] = *item;
}
/* A growing list for when the count is not known beforehand; finish with want_list_array. */
struct want_list {
    struct value *items;
    size_t count, capacity;
};
void want_list_add(struct model_context *c, struct want_list *list, const struct value *item);
struct value *want_list_array(struct model_context *c, const struct want_list *list);

/* The handler has judged c->reply itself. */
const struct value *want_accepted(struct model_context *c);
/* The reply is wrong; the complaint is "<command>: got <reply>: <text>". */
__attribute__((format(printf, 2, 3))) const struct value *model_refuse(struct model_context *c,
                                                                       const char *format, ...);
/* True if a reply that came matches one that was expected. */
bool model_matches(const struct value *wanted, const struct value *got);
/* True if what came is an array (RESP2, RESP3), or, for sets, the version's kind of a set. */
bool reply_is_array(const struct model_context *c);
bool reply_is_set(const struct model_context *c);

/* ---------------------------------------------------------------- rows */

enum model_flag {
    MODEL_TAKES_MEMORY = 1, /* may answer -OOM when the options say so */
    MODEL_CONTAINER = 2,    /* has subcommands: rows "object|encoding" */
};

struct model_row {
    const char *name; /* lower case; NULL ends a table */
    int arity;        /* as in Redis: n exactly n words, -n at least n */
    uint32_t flags;
    const struct value *(*run)(struct model_context *c);
};

/* Redis's glob patterns. */
bool glob_matches(struct slice pattern, struct slice text);

extern const struct model_row model_rows_string[];
extern const struct model_row model_rows_bits[];
extern const struct model_row model_rows_key[];
extern const struct model_row model_rows_expire[];
extern const struct model_row model_rows_hash[];
extern const struct model_row model_rows_hash_expire[];
extern const struct model_row model_rows_scan[];
extern const struct model_row model_rows_server[];

#endif
