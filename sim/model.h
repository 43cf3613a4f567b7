/* Oracle 1 of the simulator: a naive model of a Redis 8.0 server.
 *
 * It is told every command in the order in which the server applied them, with the reply the server wrote;
 * it executes the same command on plain arrays and judges the reply. Where Redis leaves a choice (SPOP, SCAN,
 * order of SMEMBERS, stream IDs from the clock) it judges whether the choice was possible and adopts it.
 * It shares no code with src/ (only slices and assertions).
 *
 * Time: a key or field with deadline D is there at D and gone at D + 1, as in Redis. What is past its
 * deadline the server may have removed or not; that shows only in DBSIZE, HLEN and in a hash whose fields are
 * all past theirs. There the model takes either.
 *
 * Single-threaded, deterministic (no pointer order, no clock, no I/O). Linear in the number of keys here and
 * there: meant for hundreds of keys. Tests: test/sim/model_test.py against a real Redis 8.0. */
#ifndef WEFT_SIM_MODEL_H
#define WEFT_SIM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/slice.h"
#include "sim/value.h"

struct model;

struct model_options {
    bool may_evict;         /* keys may be evicted (maxmemory with a policy other than noeviction) */
    bool evicts_volatile; /* ... those with a deadline only */
    bool fields_may_linger; /* as in Redis a field past its deadline may still count in HDEL and HSET, and be
                               given a new deadline, until the server has removed it */
    bool may_oom;           /* commands that take memory may answer -OOM, having changed nothing */
    /* Thresholds of the small encodings; 0 means Redis's default. */
    size_t hash_entries_max; /* 512 */
    size_t hash_value_max;   /* 64 */
    size_t set_ints_max;     /* 512 */
    size_t set_entries_max;  /* 128 */
    size_t set_value_max;    /* 64 */
    size_t zset_entries_max; /* 128 */
    size_t zset_value_max;   /* 64 */
    size_t list_entries_max; /* list-max-listpack-size as a count; 0: 8 KiB, however many */
    size_t bulk_max;         /* proto-max-bulk-len: 512 MiB */
};

/* One executed command. */
struct model_call {
    size_t argc;
    const struct slice *argv; /* argv[0] is the name as the client spelt it */
    int db;
    int resp; /* 2 or 3 */
    bool in_multi;
    int64_t now_ms;            /* the time by which the server executed it */
    const struct value *reply; /* NULL if none was written (CLIENT REPLY OFF): executed, not judged; a command
                                  whose effect only the reply tells is then a complaint */
};

enum model_removal { MODEL_EXPIRED, MODEL_EVICTED };

struct model *model_create(const struct model_options *options);
void model_destroy(struct model *model);
/* A crash without durability: all databases are empty; counters of changes go on. */
void model_reset(struct model *model);
/* A copy that lives on its own, e.g. to try something. */
struct model *model_clone(const struct model *model);

/* Executes the call. NULL: the reply is right (or the command is not modelled: see model_unknown). Otherwise
 * a complaint, valid until the next call with this model; the model's state then is what it expected. */
const char *model_check(struct model *model, const struct model_call *call);

/* The server removed a key outside of a command (or within one, before the command is told). */
const char *model_remove(struct model *model, int db, struct slice key, enum model_removal reason,
                         int64_t now_ms);
/* The same for a field of a hash, whose deadline must have passed. The last field takes the key with it. */
const char *model_remove_field(struct model *model, int db, struct slice key, struct slice field,
                               int64_t now_ms);

/* Changes whenever WATCH would call the key touched: take it at WATCH, compare at EXEC (before its commands).
 * Equal means that EXEC must run, different that it must answer null. Expiry is included, hence the time. */
uint64_t model_watch_token(struct model *model, int db, struct slice key, int64_t now_ms);
/* True if the key is a hash with fields past their deadline of whose removal the model was not told: whether
 * that counts as a touch is up to the server, EXEC may do either. */
bool model_watch_unsure(const struct model *model, int db, struct slice key, int64_t now_ms);

/* True if commands of that name (any case) are modelled; for containers give "OBJECT|ENCODING". */
bool model_knows(const struct model *model, struct slice name);
/* Commands that came and are not modelled: the i-th name and how often; false if there is no i-th. */
bool model_unknown(const struct model *model, size_t i, struct slice *name, uint64_t *count);
/* Commands judged so far, and those of them whose reply was no error: the i-th row that was used. */
bool model_used(const struct model *model, size_t i, const char **name, uint64_t *judged,
                uint64_t *succeeded);

struct model_key {
    struct slice key;
    const char *type;    /* as TYPE says it */
    int64_t deadline_ms; /* -1: none */
    bool maybe;          /* a hash with nothing but expired fields: the server may have it or not */
    bool fields_expire;  /* a hash of which some field has a deadline */
};

/* Iterates over the keys of a database that live at now_ms, in order of their bytes. Start with *cursor = 0;
 * false at the end. Nothing may change in between. */
bool model_next_key(const struct model *model, int db, int64_t now_ms, size_t *cursor, struct model_key *key);
/* The same over the fields of a hash; none if there is no such hash. */
bool model_next_field(const struct model *model, int db, struct slice key, int64_t now_ms, size_t *cursor,
                      struct slice *field);

/* What died first of all that is dead, and of whose removal the model was not told: a key, or a field. */
struct model_overdue {
    bool found, is_field;
    int db;
    struct slice key, field;
    int64_t deadline_ms;
};
/* Of what died at since_ms or later. */
void model_most_overdue(const struct model *model, int64_t since_ms, int64_t now_ms, struct model_overdue *most);

size_t model_key_count(const struct model *model, int db, int64_t now_ms);

/* Everything the model holds, for reports. */
void model_dump(const struct model *model, FILE *out);

#endif
