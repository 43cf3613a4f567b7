/* config: what the operator asked for.
 *
 * One table (directives.json) names every directive of Redis 7.0 to 8.0 and weft's own: kind, bounds,
 * default, who may change it, whether weft honours it. From it come the parser, CONFIG GET/SET/REWRITE,
 * --help, the documentation. A directive is in one of three states: effect   weft does what it says; its
 * value is a typed field of struct config. idle     accepted, checked and returned by CONFIG GET, but without
 * effect here; a note says why. pending  promises something (durability, encryption, replication) that weft
 * cannot keep yet: its default is accepted, anything else is refused.
 *
 * Everything here is pure: no I/O, no clock; files come in through struct config_loader. A struct config
 * belongs to one actor; actors hand each other copies. Small strings are malloc'ed (control plane); when
 * malloc fails the process stops. Tests: test/unit/config_*_test.c, test/fuzz/config_fuzz.c,
 * test/blackbox/config_test.py.
 */
#ifndef WEFT_CONFIG_CONFIG_H
#define WEFT_CONFIG_CONFIG_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#include "base/slice.h"

/* An owned string: NUL behind the last byte, `ptr` never NULL. May hold NUL bytes (passwords). */
struct config_text {
    char *ptr;
    size_t len;
};

/* The order of these is the order of "values" in directives.json (the generated table asserts it). */
enum config_policy {
    CONFIG_POLICY_VOLATILE_LRU,
    CONFIG_POLICY_VOLATILE_LFU,
    CONFIG_POLICY_VOLATILE_RANDOM,
    CONFIG_POLICY_VOLATILE_TTL,
    CONFIG_POLICY_ALLKEYS_LRU,
    CONFIG_POLICY_ALLKEYS_LFU,
    CONFIG_POLICY_ALLKEYS_RANDOM,
    CONFIG_POLICY_NOEVICTION,
};
enum config_log {
    CONFIG_LOG_DEBUG,
    CONFIG_LOG_VERBOSE,
    CONFIG_LOG_NOTICE,
    CONFIG_LOG_WARNING,
    CONFIG_LOG_NOTHING
};
enum config_allow {
    CONFIG_ALLOW_NO,
    CONFIG_ALLOW_YES,
    CONFIG_ALLOW_LOCAL
}; /* local: from this machine only */
enum config_io { CONFIG_IO_AUTO, CONFIG_IO_URING, CONFIG_IO_EPOLL };
enum config_order { CONFIG_ORDER_STRICT, CONFIG_ORDER_RELAXED };

enum config_client_class {
    CONFIG_CLIENT_NORMAL,
    CONFIG_CLIENT_REPLICA,
    CONFIG_CLIENT_PUBSUB,
    CONFIG_CLIENT_CLASSES
};

/* A client above `hard`, or above `soft` for `soft_s` seconds, is closed; 0 is no limit. */
struct config_output_limit {
    uint64_t hard_bytes, soft_bytes;
    int64_t soft_s;
};

struct config_save_point {
    int64_t seconds, changes;
};

struct config_rename {
    struct config_text from, to; /* `to` empty: the command is gone */
};

/* Keyspace event classes, as in notify-keyspace-events. */
enum {
    CONFIG_EVENT_KEYSPACE = 1 << 0,  /* K */
    CONFIG_EVENT_KEYEVENT = 1 << 1,  /* E */
    CONFIG_EVENT_GENERIC = 1 << 2,   /* g */
    CONFIG_EVENT_STRING = 1 << 3,    /* $ */
    CONFIG_EVENT_LIST = 1 << 4,      /* l */
    CONFIG_EVENT_SET = 1 << 5,       /* s */
    CONFIG_EVENT_HASH = 1 << 6,      /* h */
    CONFIG_EVENT_ZSET = 1 << 7,      /* z */
    CONFIG_EVENT_EXPIRED = 1 << 8,   /* x */
    CONFIG_EVENT_EVICTED = 1 << 9,   /* e */
    CONFIG_EVENT_STREAM = 1 << 10,   /* t */
    CONFIG_EVENT_MODULE = 1 << 11,   /* d */
    CONFIG_EVENT_KEY_MISS = 1 << 12, /* m */
    CONFIG_EVENT_NEW = 1 << 13,      /* n */
    CONFIG_EVENT_ALL = 0xffc,        /* A: all but K, E, m, n */
};

#define CONFIG_BIND_MAX        16
#define CONFIG_PERCENTILES_MAX 32
#define CONFIG_SAVE_POINTS_MAX 64
#define CONFIG_IDLE_NUMBERS    160 /* room for the values of idle directives; the generated table checks it */
#define CONFIG_IDLE_TEXTS      64
#define CONFIG_ROWS_MAX        256

struct config {
    /* weft */
    int64_t shards; /* 0: one per CPU */
    enum config_io io;
    enum config_order pipeline_order;
    /* network */
    struct config_text bind[CONFIG_BIND_MAX]; /* each with its leading '-' if it may be missing */
    int bind_count;
    int64_t port; /* 0: none */
    int64_t tcp_backlog;
    struct config_text unixsocket;
    int64_t unixsocketperm; /* 0: the umask's */
    int64_t timeout_s;
    int64_t tcp_keepalive_s;
    bool protected_mode;
    /* clients */
    int64_t maxclients;
    int64_t client_query_buffer_limit_bytes;
    int64_t proto_max_bulk_len;
    struct config_output_limit output_limit[CONFIG_CLIENT_CLASSES];
    /* process */
    bool daemonize;
    struct config_text pidfile, logfile, dir;
    enum config_log loglevel;
    /* data */
    int64_t databases;
    int64_t hz; /* 1..500 */
    int64_t hash_max_listpack_entries, hash_max_listpack_value_bytes;
    int64_t list_max_listpack_size; /* > 0: entries; -1..-5: 4, 8, 16, 32, 64 KiB */
    int64_t set_max_intset_entries, set_max_listpack_entries, set_max_listpack_value_bytes;
    int64_t zset_max_listpack_entries, zset_max_listpack_value_bytes;
    uint32_t notify_events; /* CONFIG_EVENT_… */
    /* memory */
    uint64_t maxmemory_bytes; /* 0: no limit */
    enum config_policy maxmemory_policy;
    /* security */
    struct config_text requirepass;
    enum config_allow enable_protected_configs, enable_debug_command;
    /* observability */
    int64_t slowlog_log_slower_than_us; /* -1: never */
    int64_t slowlog_max_len;
    int64_t latency_monitor_threshold_ms;
    bool latency_tracking;
    double latency_percentiles[CONFIG_PERCENTILES_MAX];
    int latency_percentile_count;
    /* the file */
    struct config_text file; /* what CONFIG REWRITE rewrites; empty: none. The server makes it absolute. */
    struct config_rename *renames;
    size_t rename_count;
    /* idle directives: kept for CONFIG GET and REWRITE */
    struct config_save_point save[CONFIG_SAVE_POINTS_MAX];
    int save_count;
    int64_t oom_score_adj[3];
    int64_t idle_number[CONFIG_IDLE_NUMBERS];
    struct config_text idle_text[CONFIG_IDLE_TEXTS];
    uint64_t stamps[CONFIG_ROWS_MAX]; /* per directive: of the last config_follow() */
};

void config_init(struct config *config); /* the defaults */
void config_free(struct config *config);
void config_copy(struct config *to, const struct config *from); /* `to` must not be initialised */
void config_text_set(struct config_text *text, struct slice value);

/* Called once for what deserves a line in the log: one full sentence, without line end. May be NULL. */
typedef void (*config_note_fn)(void *context, const char *sentence);

/* ---- starting ---- */

enum config_action { CONFIG_RUN, CONFIG_SHOW_HELP, CONFIG_SHOW_VERSION };

/* What a command line asks for: [FILE] [-] [--directive value ...]... as Redis has it. */
struct config_arguments {
    enum config_action action;
    const char *file; /* NULL: none; points into argv */
    bool from_stdin;
    struct config_text options; /* the directives as lines of a file */
};
void config_arguments_parse(struct config_arguments *arguments, int argc, char *const *argv);
void config_arguments_free(struct config_arguments *arguments);

/* Where files come from. */
struct config_loader {
    void *context;
    /* Malloc'ed bytes of a file (freed by config); NULL with a reason ("No such file or directory")
     * otherwise. */
    char *(*load)(void *context, const char *path, size_t *len, const char **reason);
    /* Malloc'ed names that match a shell pattern, sorted; both levels are freed by config. False: treated as
     * none. */
    bool (*glob)(void *context, const char *pattern, char ***names, size_t *count);
    /* Judges "rename-command from to" (NULL: accepted); returns NULL or why not. */
    const char *(*rename)(void *context, struct slice from, struct slice to);
    config_note_fn note;
};

#define CONFIG_FATAL_MAX 2048
/* Reads arguments->file, then `stdin_text` if arguments->from_stdin, then the options; the last word counts.
 * False: *config holds part of it and only config_free() makes sense; `fatal` holds lines fit for stderr that
 * name place, text and reason. */
bool config_load(struct config *config, const struct config_arguments *arguments, struct slice stdin_text,
                 const struct config_loader *loader, char fatal[CONFIG_FATAL_MAX]);

/* Malloc'ed text of --help: usage, then every directive with default and meaning. */
char *config_help_text(void);

/* ---- CONFIG GET, SET, REWRITE ---- */

struct config_match {
    struct config_text name, value;
};
struct config_matches {
    struct config_match *items;
    size_t count;
};
/* Every directive that one of the glob patterns matches, each once, in order of the patterns, then of the
 * table; an alias is a directive of its own; a hidden one must be named exactly. A name without a glob is
 * returned as written. */
void config_get(const struct config *config, const struct slice *patterns, size_t count,
                struct config_matches *matches);
void config_matches_free(struct config_matches *matches);
/* The value of one directive by name or alias in any case, as CONFIG GET shows it. False: there is none. */
bool config_get_one(const struct config *config, struct slice name, struct config_text *value);

#define CONFIG_ERROR_MAX 512
enum {
    CONFIG_MAY_SET_PROTECTED = 1, /* by enable-protected-configs and where the client is */
    CONFIG_WHILE_LOADING = 2,
};
/* Sets all name-value pairs or none. `count` words, an even number. False: `error` is the reply's text from
 * behind the '-', with its code ("ERR ...", "LOADING ..."). What must be done about a change (listen on
 * another port, …) is the caller's: compare the fields of old and new. If that fails: config_set_error(). */
bool config_set(struct config *config, const struct slice *words, size_t count, unsigned flags,
                const struct config_loader *notes, char error[CONFIG_ERROR_MAX]);
/* What the actors that hold copies hear of a config_set() elsewhere: canonical words (config_changes() of the
 * config that was set) and a stamp that grows with every CONFIG SET of the node. A directive that has
 * followed a later stamp stays as it is, so all copies come to the same values in whatever order they hear of
 * changes. */
void config_follow(struct config *config, const struct slice *words, size_t count, uint64_t stamp);
/* The `count` words of a successful config_set() with the values as CONFIG GET shows them;
 * config_matches_free() it. */
void config_changes(const struct config *config, const struct slice *words, size_t count,
                    struct config_matches *changes);
/* "ERR CONFIG SET failed (possibly related to argument 'name') - reason". */
void config_set_error(char error[CONFIG_ERROR_MAX], const char *name, const char *reason);
/* May this argument of CONFIG SET be shown in MONITOR and SLOWLOG? */
bool config_is_sensitive(struct slice name);

/* The new text of the configuration file: comments, order and unknown lines stay, changed directives are
 * replaced in place, others are appended under a marker. Malloc'ed, NUL behind. `force`: every directive,
 * default or not. */
char *config_rewrite(const struct config *config, struct slice old_text, bool force, size_t *len);

#endif
