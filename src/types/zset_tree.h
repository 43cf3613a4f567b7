/* zset_tree: the order of a large sorted set. A B+tree with subtree counts over element items, ordered by
 * (score, member bytes); the set's dictionary finds an item by its member, the tree finds it by place.
 *
 * An element item is one slab allocation, owned by the sorted set, never by the tree:
 *     [score: 8 bytes, IEEE double] [varint member length] [member bytes]
 * The tree holds 32-bit handles of items. Scores order as Redis orders them: -0.0 equals 0.0, NaN must not
 * occur. No two items of one tree may be equal in both score and member.
 *
 * Positions and bounds: every range question is answered in ranks, 0-based. zset_tree_lower gives the rank of
 * the first element at or after a bound, so a range is the half-open interval between two such ranks.
 *
 * Cost: O(log n) for everything but iteration; about 6 bytes per element beside the item itself.
 * Failure: insert and update reserve first; when they return false (out of memory) nothing has changed.
 * Removal never fails. Any mutation ends the life of every zset_tree_pos.
 * Threading: whoever holds the slab. Tests: test/unit/zset_tree_test.c.
 */
#ifndef WEFT_TYPES_ZSET_TREE_H
#define WEFT_TYPES_ZSET_TREE_H

#include "base/check.h"
#include "base/slab.h"
#include "base/slice.h"
#include "base/varint.h"

#define ZSET_TREE_LEAF_MAX   64
#define ZSET_TREE_HEIGHT_MAX 12

struct zset_tree {
    slab_handle root; /* 0: empty */
    uint32_t count;   /* elements */
    uint8_t height;   /* levels of inner nodes above the leaves */
};

/* ---- element items ---- */

static inline size_t zset_item_size(size_t member_len)
{
    return 8 + varint_size(member_len) + member_len;
}

static inline double zset_item_score(const uint8_t *item)
{
    double score;
    memcpy(&score, item, 8);
    return score;
}

static inline struct slice zset_item_member(const uint8_t *item)
{
    uint64_t len;
    const uint8_t *bytes = varint_read(item + 8, &len);
    return (struct slice){(const char *)bytes, (size_t)len};
}

/* Fills `item`, zset_item_size(member.len) bytes. */
static inline void zset_item_put(uint8_t *item, double score, struct slice member)
{
    memcpy(item, &score, 8);
    uint8_t *out = varint_put(item + 8, member.len);
    if (member.len > 0) memcpy(out, member.ptr, member.len);
}

/* A score as an unsigned integer of the same order; -0.0 and 0.0 are one. */
static inline uint64_t zset_order(double score)
{
    uint64_t bits;
    score += 0.0; /* turns -0.0 into 0.0 */
    memcpy(&bits, &score, 8);
    return bits >> 63 ? ~bits : bits | 1ull << 63;
}

/* Bytes compare as unsigned, a prefix sorts first: <0, 0, >0. */
static inline int zset_member_compare(struct slice a, struct slice b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len > 0 ? memcmp(a.ptr, b.ptr, len) : 0;
    if (order != 0) return order;
    return (a.len > b.len) - (a.len < b.len);
}

/* ---- bounds ---- */

/* A place between elements. Where exactly it lies among the elements of the same score is `side`'s matter. */
enum zset_side {
    ZSET_BEFORE_SCORE,  /* before all elements of this score */
    ZSET_BEFORE_MEMBER, /* before (score, member) */
    ZSET_AFTER_MEMBER,  /* behind (score, member) */
    ZSET_AFTER_SCORE,   /* behind all elements of this score */
};

struct zset_bound {
    uint64_t order;      /* zset_order of the score */
    struct slice member; /* used by the two MEMBER sides only */
    enum zset_side side;
};

/* ---- the tree ---- */

/* Adds an item that is not in the tree. False: out of memory. */
bool zset_tree_insert(struct zset_tree *tree, struct slab *slab, slab_handle item);
/* The same for an item that sorts behind all others: how sorted input is loaded (leaves come out full). */
bool zset_tree_append(struct zset_tree *tree, struct slab *slab, slab_handle item);
/* Changes the score of an item in the tree; writes it into the item. False: out of memory. */
bool zset_tree_update(struct zset_tree *tree, struct slab *slab, slab_handle item, double score);
/* Takes an item out; the caller frees the item. */
void zset_tree_remove(struct zset_tree *tree, struct slab *slab, slab_handle item);
/* Takes up to `max` (>= 1) items out, beginning with rank `rank` < count, at most one leaf's worth: their
 * handles go to `items` in order, their number is returned (>= 1). Repeat to cut longer ranges. */
uint32_t zset_tree_cut(struct zset_tree *tree, struct slab *slab, uint32_t rank, uint32_t max,
                       slab_handle items[ZSET_TREE_LEAF_MAX]);
/* Frees the nodes (not the items) and makes the tree empty. */
void zset_tree_free(struct zset_tree *tree, struct slab *slab);
/* The same step by step (types/value.h): true when it is done. */
bool zset_tree_free_some(struct zset_tree *tree, struct slab *slab, uint32_t *work);

/* The rank of an item in the tree. */
uint32_t zset_tree_rank(const struct zset_tree *tree, const struct slab *slab, slab_handle item);
/* The number of elements that sort before the bound, which is the rank of the first one at or after it. */
uint32_t zset_tree_lower(const struct zset_tree *tree, const struct slab *slab,
                         const struct zset_bound *bound);

/* A place in the tree, for walking. No allocation, nothing to release. */
struct zset_tree_pos {
    const struct slab *slab;
    uint8_t height;
    uint16_t index[ZSET_TREE_HEIGHT_MAX + 1]; /* [0] in the leaf */
    slab_handle node[ZSET_TREE_HEIGHT_MAX + 1];
};

/* Goes to an element by rank < count. */
void zset_tree_seek(const struct zset_tree *tree, const struct slab *slab, uint32_t rank,
                    struct zset_tree_pos *pos);
/* The rank of the position. */
uint32_t zset_tree_pos_rank(const struct zset_tree_pos *pos);
/* The item at the position. */
slab_handle zset_tree_item(const struct zset_tree_pos *pos);
/* One step; false when there is no further element (the position is then of no more use). */
bool zset_tree_next(struct zset_tree_pos *pos);
bool zset_tree_prev(struct zset_tree_pos *pos);

/* Walks the whole tree and checks every invariant; the bytes its nodes take (slab_rounded sizes). For tests.
 */
size_t zset_tree_verify(const struct zset_tree *tree, const struct slab *slab);

#endif
