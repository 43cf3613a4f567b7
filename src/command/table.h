/* The command table: what every command is called, how many arguments it takes, where its keys stand, who may
 * run it and which C function does.
 *
 * The facts live in src/command/table/<group>.json; tools/gen_commands.py turns them into constant data
 * (build/gen/command_table.c), so everything here is read-only, lives for ever and may be used by any thread
 * without a lock. The form of the data files is described in that tool. Tests:
 * test/unit/command_table_test.c, test/unit/command_keys_test.c.
 *
 * Cost: command_lookup() takes about 10 ns and touches two small tables and one row (perfect hash over the
 * name's bytes, no allocation, any letter case); command_lookup_sub() compares with each subcommand, at
 * most 32.
 */
#ifndef WEFT_COMMAND_TABLE_H
#define WEFT_COMMAND_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct command_context; /* command/command.h */
typedef void command_handler(struct command_context *ctx);

/* Upper bounds, checked by the generator; for arrays indexed by command id and for stack space. */
#define COMMAND_COUNT_MAX      512
#define COMMAND_NAME_LEN_MAX   24 /* of one word; "container|sub" fits twice that plus one */
#define COMMAND_KEY_RANGES_MAX 4

/* Command flags. Bit order is the order in COMMAND INFO; those from COMMAND_HIDDEN_FIRST on are not shown
 * there. */
enum command_flag {
    COMMAND_WRITE = 1u << 0,
    COMMAND_READONLY = 1u << 1,
    COMMAND_DENYOOM = 1u << 2, /* refused when over maxmemory and nothing can be evicted */
    COMMAND_ADMIN = 1u << 3,
    COMMAND_PUBSUB = 1u << 4,
    COMMAND_NOSCRIPT = 1u << 5,
    COMMAND_BLOCKING = 1u << 6,
    COMMAND_LOADING = 1u << 7, /* allowed while the data is being loaded */
    COMMAND_STALE = 1u << 8,
    COMMAND_SKIP_MONITOR = 1u << 9,
    COMMAND_SKIP_SLOWLOG = 1u << 10,
    COMMAND_ASKING = 1u << 11,
    COMMAND_FAST = 1u << 12,
    COMMAND_NO_AUTH = 1u << 13, /* allowed before AUTH */
    COMMAND_NO_MANDATORY_KEYS = 1u << 14,
    COMMAND_NO_ASYNC_LOADING = 1u << 15,
    COMMAND_NO_MULTI = 1u << 16,      /* refused inside MULTI */
    COMMAND_MOVABLE_KEYS = 1u << 17,  /* key_first/last/step do not tell all keys: use command_keys() */
    COMMAND_ALLOW_BUSY = 1u << 18,    /* allowed while a script runs for too long */
    COMMAND_MAY_REPLICATE = 1u << 19, /* not a write, yet held back by CLIENT PAUSE WRITE */
    COMMAND_PROTECTED = 1u << 20,     /* needs an enable-... directive, else local clients only */
};
#define COMMAND_FLAG_COUNT   21
#define COMMAND_HIDDEN_FIRST 19

/* ACL categories, in the order of ACL CAT; a command's set has the implied ones (write, read, fast, slow
 * ...). */
enum command_category {
    COMMAND_CATEGORY_KEYSPACE = 1u << 0,
    COMMAND_CATEGORY_READ = 1u << 1,
    COMMAND_CATEGORY_WRITE = 1u << 2,
    COMMAND_CATEGORY_SET = 1u << 3,
    COMMAND_CATEGORY_SORTEDSET = 1u << 4,
    COMMAND_CATEGORY_LIST = 1u << 5,
    COMMAND_CATEGORY_HASH = 1u << 6,
    COMMAND_CATEGORY_STRING = 1u << 7,
    COMMAND_CATEGORY_BITMAP = 1u << 8,
    COMMAND_CATEGORY_HYPERLOGLOG = 1u << 9,
    COMMAND_CATEGORY_GEO = 1u << 10,
    COMMAND_CATEGORY_STREAM = 1u << 11,
    COMMAND_CATEGORY_PUBSUB = 1u << 12,
    COMMAND_CATEGORY_ADMIN = 1u << 13,
    COMMAND_CATEGORY_FAST = 1u << 14,
    COMMAND_CATEGORY_SLOW = 1u << 15,
    COMMAND_CATEGORY_BLOCKING = 1u << 16,
    COMMAND_CATEGORY_DANGEROUS = 1u << 17,
    COMMAND_CATEGORY_CONNECTION = 1u << 18,
    COMMAND_CATEGORY_TRANSACTION = 1u << 19,
    COMMAND_CATEGORY_SCRIPTING = 1u << 20,
};
#define COMMAND_CATEGORY_COUNT 21

/* Where a command runs. */
enum command_route {
    COMMAND_ROUTE_SESSION, /* on the session's shard, no key touched */
    COMMAND_ROUTE_KEY,     /* where its one key lives: argv[key_first] */
    COMMAND_ROUTE_KEYS,    /* several keys, perhaps on several shards: borrow what command_keys() tells */
    COMMAND_ROUTE_ALL,     /* borrows every partition */
    COMMAND_ROUTE_SCAN,    /* the partition that the cursor names */
    COMMAND_ROUTE_SCATTER, /* asks every shard and merges the answers */
};

enum command_status {
    COMMAND_SUPPORTED, /* has a handler, or is a container with such a subcommand */
    COMMAND_LATER,     /* known, not implemented yet */
    COMMAND_NEVER,     /* known, will not be implemented */
};

/* What a command does with a key. Bit order is the order in COMMAND INFO. */
enum command_key_flag {
    COMMAND_KEY_RO = 1u << 0, /* exactly one of RO, RW, OW, RM: what happens to the value ... */
    COMMAND_KEY_RW = 1u << 1,
    COMMAND_KEY_OW = 1u << 2,
    COMMAND_KEY_RM = 1u << 3,
    COMMAND_KEY_ACCESS = 1u << 4,  /* ... and to the user's data in it: returned or copied, */
    COMMAND_KEY_UPDATE = 1u << 5,  /* changed, */
    COMMAND_KEY_INSERT = 1u << 6,  /* only added to, */
    COMMAND_KEY_DELETE = 1u << 7,  /* removed */
    COMMAND_KEY_NOT_KEY = 1u << 8, /* a channel that is hashed like a key */
    COMMAND_KEY_INCOMPLETE = 1u << 9,
    COMMAND_KEY_VARIABLE_FLAGS = 1u << 10, /* the flags depend on other arguments */
};
#define COMMAND_KEY_FLAG_COUNT 11

/* A key specification: begin tells where the first key stands, find how many follow. */
enum command_begin { COMMAND_BEGIN_UNKNOWN, COMMAND_BEGIN_INDEX, COMMAND_BEGIN_KEYWORD };
enum command_find { COMMAND_FIND_UNKNOWN, COMMAND_FIND_RANGE, COMMAND_FIND_KEYNUM };
struct command_key_spec {
    uint16_t flags; /* enum command_key_flag */
    uint8_t begin;  /* enum command_begin */
    uint8_t find;   /* enum command_find */
    /* INDEX: the argument. KEYWORD: where to start looking for `keyword`; negative: from the end, backwards.
     */
    int16_t begin_at;
    /* RANGE: last key relative to the first (>= 0) or to the end (< 0), step, divisor of what is left (0:
     * none). KEYNUM: argument with the count and first key, both relative to begin, and step. */
    int16_t find_args[3];
    const char *keyword; /* upper case */
    const char *notes;   /* or NULL */
};

enum command_arg_type {
    COMMAND_ARG_STRING,
    COMMAND_ARG_INTEGER,
    COMMAND_ARG_DOUBLE,
    COMMAND_ARG_KEY,
    COMMAND_ARG_PATTERN,
    COMMAND_ARG_UNIX_TIME,
    COMMAND_ARG_PURE_TOKEN,
    COMMAND_ARG_ONEOF,
    COMMAND_ARG_BLOCK,
};
enum { COMMAND_ARG_OPTIONAL = 1, COMMAND_ARG_MULTIPLE = 2, COMMAND_ARG_MULTIPLE_TOKEN = 4 };

struct command_arg {
    const char *name;
    const char *display; /* NULL for ONEOF and BLOCK */
    const char *token;   /* or NULL */
    const char *since;   /* or NULL */
    const char *deprecated_since;
    const struct command_arg *args; /* of ONEOF and BLOCK */
    uint8_t arg_count;
    uint8_t type;
    uint8_t flags;
    int8_t key_spec; /* index into the command's key_specs, or -1 */
};

struct command_history {
    const char *version;
    const char *change;
};

/* What COMMAND DOCS tells beside the row itself. */
struct command_doc {
    const char *summary;
    const char *since;
    const char *group;
    const char *complexity;
    const char *deprecated_since; /* or NULL */
    const char *replaced_by;      /* or NULL */
    const char *note;             /* why not (yet) supported, or what differs; or NULL */
    const struct command_history *history;
    const struct command_arg *args;
    uint8_t history_count;
    uint8_t arg_count;
    bool syscmd;
};

/* A command or a subcommand. The first 64 bytes are what dispatch looks at. */
struct command {
    uint64_t name_words[3];   /* the name as command_lookup() compares it */
    command_handler *handler; /* NULL: status is not SUPPORTED, or a container that needs a subcommand */
    uint32_t flags;           /* enum command_flag */
    uint32_t categories;      /* enum command_category */
    int16_t arity;            /* argc with the name (and the container); negative: at least that many */
    uint16_t id;              /* dense, 0 .. command_count() - 1; not stable between builds */
    int16_t key_first; /* fast form of the key specs that are ranges from a fixed index; 0: no such key */
    int16_t key_last;  /* negative: counted from the end */
    int16_t key_step;
    uint8_t route;    /* enum command_route */
    uint8_t status;   /* enum command_status */
    uint8_t name_len; /* of name */
    uint8_t full_name_len;
    uint8_t key_spec_count;
    uint8_t key_special; /* enum command_key_special of table_data.h */

    const char *name;      /* lower case: "get", "no-evict" */
    const char *full_name; /* "get", "client|no-evict" */
    const struct command *container;
    const struct command *subcommands; /* subcommand_count rows */
    const struct command_key_spec *key_specs;
    const char *const *tips;
    const struct command_doc *doc;
    uint16_t subcommand_count;
    uint8_t tip_count;
} __attribute__((aligned(64)));

/* The command with this name in any letter case, supported or not; NULL if there is none. */
const struct command *command_lookup(const char *name, size_t len);

/* The subcommand of a container; NULL if there is none. */
const struct command *command_lookup_sub(const struct command *container, const char *name, size_t len);

/* "get" or "client|no-evict", any letter case; NULL if there is none. */
const struct command *command_lookup_full(const char *name, size_t len);

/* The row that argv runs: the subcommand if argv[0] names a container and argv[1] is there, else the command.
 * NULL if there is none; then *container is the container whose subcommand is unknown, or NULL if argv[0] is
 * unknown. A row without a handler is not supported, or it is a container and argc is 1: its arity refuses
 * that. argc >= 1. */
const struct command *command_resolve(const struct slice *argv, size_t argc,
                                      const struct command **container);

/* All rows by id: first the commands (0 .. command_top_count() - 1) in the order of their names, then the
 * subcommands, those of one container side by side. */
const struct command *command_at(uint16_t id);
uint16_t command_top_count(void);
uint16_t command_count(void);

static inline bool command_arity_fits(const struct command *command, size_t argc)
{
    return command->arity >= 0 ? argc == (size_t)command->arity : argc >= (size_t)-command->arity;
}

/* Names of single bits, by bit number; category names without '@'. */
const char *command_flag_name(unsigned bit);
const char *command_key_flag_name(unsigned bit);
const char *command_category_name(unsigned bit);
const char *command_arg_type_name(unsigned type);
/* The category's bit, or 0 if there is no such category. Any letter case, without '@'. */
uint32_t command_category_find(const char *name, size_t len);

/* Keys argv[first], argv[first + step] ... `count` of them, all used alike. */
struct command_key_range {
    uint32_t first;
    uint32_t count;
    uint32_t step;
    uint16_t flags; /* enum command_key_flag */
};

struct command_keys {
    uint32_t range_count;
    uint32_t key_count; /* sum over the ranges */
    /* The command will also touch keys that its arguments do not name (SORT with BY or GET patterns). */
    bool unnamed;
    struct command_key_range range[COMMAND_KEY_RANGES_MAX];
};

/* Where the keys of this command line stand: for routing, ACL, COMMAND GETKEYS. argv[0] is the name (then the
 * subcommand's name). Never reads beyond argc, whatever the arguments. Returns false, with no ranges, if the
 * arguments do not tell (bad key count, missing keyword): the command itself will refuse them.
 * Cost: O(key specs), plus a look at each option for keyword specs; no allocation. */
bool command_keys(const struct command *command, const struct slice *argv, size_t argc,
                  struct command_keys *keys);

/* Whether the command can have keys at all. */
bool command_has_keys(const struct command *command);

#endif
