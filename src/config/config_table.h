/* The table of directives, as generated from directives.json by tools/gen_config.py into
 * build/gen/config_table.c. Internal to src/config. Read-only data, any thread.
 */
#ifndef WEFT_CONFIG_CONFIG_TABLE_H
#define WEFT_CONFIG_CONFIG_TABLE_H

#include "config/config.h"

enum config_kind {
    CONFIG_KIND_BOOL,
    CONFIG_KIND_INT,
    CONFIG_KIND_MEMORY,            /* bytes with an optional unit */
    CONFIG_KIND_MEMORY_OR_PERCENT, /* a percentage is stored as a negative number */
    CONFIG_KIND_OCTAL,
    CONFIG_KIND_ENUM, /* with CONFIG_FLAG_MULTI: a set of bits */
    CONFIG_KIND_STRING,
    CONFIG_KIND_SPECIAL, /* config_special.c */
    CONFIG_KIND_FILE,    /* only a line of a file: include, rename-command, … */
};
enum config_store {
    CONFIG_STORE_NONE,
    CONFIG_STORE_BOOL,
    CONFIG_STORE_INT64,
    CONFIG_STORE_ENUM,
    CONFIG_STORE_TEXT
};
/* FIXED: immutable, but may be set to what it is. */
enum config_change { CONFIG_MUTABLE, CONFIG_IMMUTABLE, CONFIG_PROTECTED, CONFIG_FIXED };
enum config_state { CONFIG_EFFECT, CONFIG_IDLE, CONFIG_PENDING };
enum {
    CONFIG_FLAG_HIDDEN = 1,         /* CONFIG GET needs the exact name */
    CONFIG_FLAG_SENSITIVE = 2,      /* kept out of MONITOR and SLOWLOG */
    CONFIG_FLAG_MULTI = 4,          /* takes several words */
    CONFIG_FLAG_DENY_LOADING = 8,   /* not while loading */
    CONFIG_FLAG_UNSET_IF_EMPTY = 16 /* REWRITE leaves it out while empty */
};
enum config_special {
    CONFIG_SPECIAL_NONE,
    CONFIG_SPECIAL_BIND,
    CONFIG_SPECIAL_CLIENT_OUTPUT_BUFFER_LIMIT,
    CONFIG_SPECIAL_LATENCY_TRACKING_INFO_PERCENTILES,
    CONFIG_SPECIAL_NOTIFY_KEYSPACE_EVENTS,
    CONFIG_SPECIAL_OOM_SCORE_ADJ_VALUES,
    CONFIG_SPECIAL_REPLICAOF,
    CONFIG_SPECIAL_SAVE,
};

struct config_name {
    const char *name; /* NULL ends the list */
    int value;
};

struct config_row {
    const char *name;
    const char *alias; /* NULL: none */
    const char *initial;
    const char *help;
    const char *reason; /* idle, pending: why */
    const char *group;
    const struct config_name *values; /* enums */
    int64_t min;
    uint64_t max;
    uint32_t offset; /* of the value in struct config */
    uint8_t kind, store, change, state, flags, special;
    int8_t words_min, words_max; /* of CONFIG_KIND_FILE; -1: any number */
};

extern const struct config_row config_rows[];
extern const size_t config_row_count;

/* By name or alias, in any case; NULL if there is none. */
const struct config_row *config_row_find(struct slice name);

/* ---- one directive (config_value.c, config_special.c) ----
 * Sets a value from words. False: `reason` says why in Redis's words, the value is as it was. */
bool config_row_set(struct config *config, const struct config_row *row, const struct slice *words,
                    size_t count, char reason[CONFIG_ERROR_MAX]);
/* Appends the value as CONFIG GET shows it. */
void config_row_get(const struct config *config, const struct config_row *row, struct config_text *out);
bool config_row_is_default(const struct config *config, const struct config_row *row);
/* The lines that REWRITE puts for this directive: calls put() for each, with `force` for those that must be
 * written even if the file has none. */
typedef void (*config_put_fn)(void *context, struct config_text *line, bool force);
void config_row_lines(const struct config *config, const struct config_row *row, config_put_fn put,
                      void *context);

bool config_special_set(struct config *config, const struct config_row *row, const struct slice *words,
                        size_t count, char reason[CONFIG_ERROR_MAX]);
void config_special_get(const struct config *config, const struct config_row *row, struct config_text *out);
void config_special_lines(const struct config *config, const struct config_row *row, config_put_fn put,
                          void *context);
/* Digits and an optional unit (b k kb m mb g gb); "" is 0. */
bool config_parse_memory(struct slice word, uint64_t *bytes);
void config_format_memory(uint64_t bytes, struct config_text *out); /* with a unit if it divides evenly */

#endif
