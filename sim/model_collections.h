/* Lists, sets, sorted sets and streams of the model: values, and what their command files share.
 *
 * All of them are plain arrays of owned bytes: a list in its order, a set sorted by bytes, a sorted set by
 * (score, bytes), a stream by ID. See model_internal.h for the rules of the model. */
#ifndef WEFT_SIM_MODEL_COLLECTIONS_H
#define WEFT_SIM_MODEL_COLLECTIONS_H

#include "sim/model_internal.h"

/* ---------------------------------------------------------------- arrays of owned bytes */

struct texts {
    struct slice *at;
    size_t count, capacity;
};

/* Puts a copy of `text` at index i. */
void texts_insert(struct texts *texts, size_t i, struct slice text);
void texts_append(struct texts *texts, struct slice text);
void texts_remove(struct texts *texts, size_t i);
void texts_free(struct texts *texts);
void texts_copy(struct texts *to, const struct texts *from);
/* In a sorted array: where the text is or belongs. */
size_t texts_find(const struct texts *texts, struct slice text, bool *found);

/* ---------------------------------------------------------------- iterations */

/* SSCAN and ZSCAN promise that what is there from the first call to the last is told at least once. A watch
 * is one iteration under way: what it still owes. Two that are at the same place are one from then on. */
struct scan_watch {
    uint64_t cursor;      /* the server's, for the next call */
    struct slice pattern; /* owned */
    struct texts owed;    /* sorted */
};

#define SCAN_WATCHES_MAX 8

struct scan_watches {
    struct scan_watch watch[SCAN_WATCHES_MAX];
    size_t count;
};

/* A member went away: no iteration owes it any more. */
void scan_watches_forget(struct scan_watches *watches, struct slice member);
void scan_watches_free(struct scan_watches *watches);
void scan_watches_copy(struct scan_watches *to, const struct scan_watches *from);

/* ---------------------------------------------------------------- values */

struct model_list {
    struct model_object head; /* big: was too large for one listpack, perhaps */
    struct texts items;
    bool is_long; /* has, or had, more items than one listpack may have, and never since no more than half as
                     many: a quicklist, for sure */
};

struct model_set {
    struct model_object head;
    struct texts members; /* sorted */
    bool words;           /* had a member that is no integer: Redis does not go back to intset */
    struct scan_watches scans;
};

struct model_scored {
    struct slice member; /* owned */
    double score;
};

struct model_zset {
    struct model_object head;
    struct model_scored *items; /* by score, then bytes */
    size_t count, capacity;
    struct scan_watches scans;
};

struct model_stream_id {
    uint64_t ms, seq;
};

struct model_entry {
    struct model_stream_id id;
    struct texts words; /* field, value, field, value */
};

struct model_stream {
    struct model_object head;
    struct model_entry *entries; /* by ID */
    size_t count, capacity;
    struct model_stream_id last; /* the highest ID ever */
    size_t maybe;                /* the server may already have trimmed up to so many of the first entries */
};

static inline struct model_list *as_list(struct model_object *object)
{
    CHECK(object->type == MODEL_LIST);
    return (struct model_list *)object;
}
static inline struct model_set *as_set(struct model_object *object)
{
    CHECK(object->type == MODEL_SET);
    return (struct model_set *)object;
}
static inline struct model_zset *as_zset(struct model_object *object)
{
    CHECK(object->type == MODEL_ZSET);
    return (struct model_zset *)object;
}
static inline struct model_stream *as_stream(struct model_object *object)
{
    CHECK(object->type == MODEL_STREAM);
    return (struct model_stream *)object;
}

struct model_object *model_list_create(void);
void model_list_destroy(struct model_object *object);
struct model_object *model_list_copy(const struct model_object *object);
void model_list_encodings(const struct model *model, const struct model_object *object, const char *names[4]);
void model_list_print(const struct model_object *object, FILE *out);
/* Call it after a list grew. */
void model_list_grew(const struct model *model, struct model_list *list);
void model_list_sized(const struct model *model, struct model_list *list); /* the number of its items changed */
void model_list_loaded(const struct model *model, struct model_list *list); /* by RESTORE, DEBUG RELOAD */

struct model_object *model_set_create(void);
void model_set_destroy(struct model_object *object);
struct model_object *model_set_copy(const struct model_object *object);
void model_set_encodings(const struct model *model, const struct model_object *object, const char *names[4]);
void model_set_print(const struct model_object *object, FILE *out);
bool model_set_has(const struct model_set *set, struct slice member);
/* True if it was not there. */
bool model_set_add(const struct model *model, struct model_set *set, struct slice member);
/* True if it was there. */
bool model_set_remove(struct model_set *set, struct slice member);

struct model_object *model_zset_create(void);
void model_zset_destroy(struct model_object *object);
struct model_object *model_zset_copy(const struct model_object *object);
void model_zset_encodings(const struct model *model, const struct model_object *object, const char *names[4]);
void model_zset_print(const struct model_object *object, FILE *out);
/* NULL if it is no member. The pointer is good until the next change. */
struct model_scored *model_zset_find(const struct model_zset *zset, struct slice member);
/* Adds it or gives it a new score. */
void model_zset_put(const struct model *model, struct model_zset *zset, struct slice member, double score);
void model_zset_remove(struct model_zset *zset, size_t i);
/* Is it, or was it once, larger than a listpack may be? */
bool model_zset_may_be_skiplist(const struct model *model, const struct model_zset *zset);

struct model_object *model_stream_create(void);
void model_stream_destroy(struct model_object *object);
struct model_object *model_stream_copy(const struct model_object *object);
void model_stream_encodings(const struct model *model, const struct model_object *object,
                            const char *names[4]);
void model_stream_print(const struct model_object *object, FILE *out);

/* ---------------------------------------------------------------- arguments */

/* Makes start..stop (negative: from the end) indices of an array of `count`. False if nothing is left. */
bool range_of(int64_t start, int64_t stop, size_t count, size_t *first, size_t *last);

/* ---------------------------------------------------------------- replies */

/* A score: double in RESP3, bulk in RESP2; every spelling that Redis could choose is right. */
const struct value *want_score(struct model_context *c, double score);
/* The same, as a bulk in both versions. */
const struct value *want_score_text(struct model_context *c, double score);

/* The key is there no more if the value is empty, else it was touched. */
void settle_emptied(struct model_context *c, struct slice key, bool empty);
/* Puts the value at the key, or, if it is empty, frees it and removes the key. The reply is the count. */
const struct value *store_result(struct model_context *c, struct slice key, struct model_object *object,
                                 size_t count);

/* Judges the items of an array or set that came: bulks, that are exactly `members` (sorted) in any order.
 * NULL or the complaint. */
const char *judge_members(struct model_context *c, const struct value *got, const struct slice *members,
                          size_t count);
/* The same for some of them: `many` bulks, out of the members, none twice unless `repeats`. */
const char *judge_some(struct model_context *c, const struct value *got, const struct slice *members,
                       size_t count, size_t many, bool repeats);
/* A reply that is such a whole: unordered members in a set (RESP3) or array. */
const struct value *reply_members(struct model_context *c, const struct slice *members, size_t count);

/* The cursor of SCAN and its like: an unsigned number, spelt as Redis takes it. */
bool read_cursor(struct slice text, uint64_t *cursor);

/* SSCAN, HSCAN and ZSCAN: reads the options; false: *reply is the answer already. */
struct scan_options {
    uint64_t cursor;
    struct slice pattern; /* "*" if none was given */
    bool no_values;       /* HSCAN */
};
bool read_element_scan(struct model_context *c, enum model_type type, struct scan_options *options,
                       struct model_object **object, const struct value **reply);
/* Judges what was told, of members sorted by bytes; scores is NULL or theirs, in the same order. */
const struct value *judge_element_scan(struct model_context *c, struct scan_watches *watches,
                                       const struct scan_options *options, const struct slice *members,
                                       const double *scores, size_t count);

extern const struct model_row model_rows_list[];
extern const struct model_row model_rows_set[];
extern const struct model_row model_rows_set_algebra[];
extern const struct model_row model_rows_zset[];
extern const struct model_row model_rows_zset_range[];
extern const struct model_row model_rows_zset_combine[];
extern const struct model_row model_rows_stream[];
extern const struct model_row model_rows_sort[];

#endif
