/* zset: a Redis sorted set over a value area (types/value.h).
 *
 * Small (at most ZSET_PACKED_COUNT members and VALUE_PACKED_MAX bytes): pairs in order, entries as in
 * packed.h. | tag u8 | count u16 | member | score | member | score | ...         all-zero bytes: an empty
 * sorted set score: an integer of 1, 2 or 4 bytes, little endian, where that says it all, else the 8 bytes of
 * the double Large: element items (zset_tree.h), found by member through a table (table.h) and by place
 * through the tree.
 *
 * Order is by score, then by member bytes; ranks are 0-based. Scores are any double but NaN, which the caller
 * has to refuse; -0.0 keeps its sign and orders as 0.0. All ranges are half-open spans of ranks. The encoding
 * that OBJECT ENCODING shows is a bit of its own: it becomes "skiplist" by Redis's thresholds, for good.
 *
 * Slices handed out live until the next change of the set or its item; slices given to a mutator must not
 * point into the set. Mutators return VALUE_OK or VALUE_NO_MEMORY (then nothing has changed); removing never
 * fails. Cost: O(log n) where large; 1 M members of 17-20 bytes take about 49 bytes each, all in. Pure;
 * threading: whoever holds the slab. Tests: test/unit/zset_test.c.
 */
#ifndef WEFT_TYPES_ZSET_H
#define WEFT_TYPES_ZSET_H

#include "types/value.h"
#include "types/zset_tree.h"

#define ZSET_EMPTY_AREA   3u /* bytes of a fresh area, all zero */
#define ZSET_PACKED_COUNT 128u

/* Settings that matter when members are added. */
struct zset_limits {
    uint64_t listpack_entries, listpack_value; /* zset-max-listpack-entries, -value */
    uint64_t hash_seed;                        /* of the dictionary that a set gets when it becomes large */
};

uint32_t zset_count(const struct value *zset);
bool zset_score(const struct value *zset, struct slice member, double *score);
bool zset_rank(const struct value *zset, struct slice member, uint32_t *rank, double *score);

/* What a member was and is. */
struct zset_outcome {
    bool existed, changed; /* changed: is new, or has another score */
    double old, score;     /* old: when it existed; score: when it is there now */
};
/* Decides about a member by what it is: true and the score it shall have, false to leave it. */
typedef bool zset_decide(void *context, bool existed, double old, double *score);
/* Looks the member up once, and adds or updates it as `decide` says. A set that clients see as a listpack
 * does not know -0.0 (Redis's does not) and keeps 0.0. */
int zset_change(struct value *zset, const struct zset_limits *limits, struct slice member,
                zset_decide *decide, void *context, struct zset_outcome *outcome);
/* Adds the member, or gives it this score if it has another one (-0.0 and 0.0 are the same here). */
int zset_set(struct value *zset, const struct zset_limits *limits, struct slice member, double score,
             struct zset_outcome *outcome);
/* False: there is no such member. */
bool zset_remove(struct value *zset, struct slice member, double *score);
/* Takes the elements of ranks [from, to) out. */
void zset_remove_span(struct value *zset, uint32_t from, uint32_t to);

/* ---- ranges ---- */

struct zset_span {
    uint32_t from, to; /* from <= to <= count */
};

struct zset_score_range {
    double min, max;
    bool min_open, max_open; /* "(": the end itself is not in the range */
};
struct zset_span zset_span_by_score(const struct value *zset, const struct zset_score_range *range);

enum zset_lex_end { ZSET_LEX_CLOSED, ZSET_LEX_OPEN, ZSET_LEX_LOWEST, ZSET_LEX_HIGHEST }; /* [ ( - + */
struct zset_lex_range {
    struct slice min, max; /* of the first two kinds */
    enum zset_lex_end min_end, max_end;
};
/* By member; means something only where all scores are equal. `skip` elements of the range are passed over,
 * from the end one begins at (backward). Where scores differ, the answer is what Redis's listpack gives,
 * which depends on that end and does not look at the skipped elements, and costs a walk (Redis's skiplist
 * answers by chance then). */
struct zset_span zset_span_by_lex(const struct value *zset, const struct zset_lex_range *range, bool backward,
                                  uint32_t skip);

/* ---- walking ---- */

/* A place between two elements. Ends with any change of the set. Nothing to release. */
struct zset_iter {
    const struct value *zset;
    uint32_t rank, count; /* of the element behind the place */
    bool large, at_item;  /* at_item: tree_pos stands on the element `rank`, else on the one before */
    uint32_t offset;      /* small: of the pair behind the place */
    uint16_t offsets[ZSET_PACKED_COUNT + 1]; /* small: of all pairs, filled at the first step back */
    bool offsets_known;
    struct zset_tree_pos tree_pos;
};
/* To the place in front of the element of rank <= count. */
void zset_iter_seek(const struct value *zset, uint32_t rank, struct zset_iter *iter);
/* The element behind the place (in front of it), and over it; false at the end (the beginning). */
bool zset_iter_next(struct zset_iter *iter, struct slice *member, double *score);
bool zset_iter_prev(struct zset_iter *iter, struct slice *member, double *score);

/* Shows some members; returns the next cursor (at most 53 bits), 0 at the end. Members that stay from the
 * first call to the last are shown, as good as always once. A small set is shown whole. The callback must not
 * change the set. */
typedef void zset_visit(void *context, struct slice member, double score);
uint64_t zset_scan(const struct value *zset, uint64_t cursor, zset_visit *visit, void *context);

/* ---- the encoding that clients see ---- */

bool zset_is_skiplist(const struct value *zset);
void zset_encoding_skiplist(struct value *zset); /* from now on (SORT does that) */
/* A new set that will get `count` members, the first one of `member_len` bytes (ZADD's way to choose). */
void zset_encoding_hint(struct value *zset, const struct zset_limits *limits, uint64_t count,
                        uint64_t member_len);
/* Was built in one go (*STORE, RESTORE): listpack when all fits. */
void zset_encoding_settle(struct value *zset, const struct zset_limits *limits);

/* ---- the whole ---- */

/* Bytes in the slab beside the area. */
uint64_t zset_memory(const struct value *zset);
/* Makes `copy`, a fresh area of any length in the same or another slab, equal to `zset`. */
int zset_copy(const struct value *zset, struct value *copy);
/* Gives back what the area points to; the area is then an empty set's. */
void zset_free(struct value *zset);
/* Frees it step by step: types/value.h. */
bool zset_free_some(struct value *zset, uint32_t *cursor, uint32_t *work);
/* Checks every invariant. For tests. */
void zset_verify(const struct value *zset);

#endif
