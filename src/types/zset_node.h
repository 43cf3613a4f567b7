/* Nodes of zset_tree: layout and the arithmetic of score codes. Private to zset_tree*.c.
 *
 * Leaf: 16-byte head, then codes[cap], then items[cap], both 4 bytes per entry.
 *
 *     | count | cap | shift | - | base | code 0 | code 1 | ... | item 0 | item 1 | ... |
 *
 * A code stands for an element's score: ((order - base) >> shift), 32 bits, never decreasing along the leaf,
 * so a search reads codes (one or two cache lines) and touches items only where codes are equal. Base and
 * shift are the leaf's own: the elements of one leaf have neighbouring scores, and 32 bits of what differs
 * between them tell nearly all apart, be the scores small integers, timestamps or fractions. Base is a
 * multiple of 1 << shift: coarser codes (and another base) can be computed from the codes alone; finer ones
 * need the items' scores.
 *
 * Inner node: 8-byte head, then 20 bytes per child: order of its first element, child, elements below it, and
 * its first element's item (which breaks ties between equal scores).
 *
 *     | count | cap | - | order 0 | order 1 | ... | child 0 | ... | below 0 | ... | first 0 | ... |
 *
 * Invariants: 1. no node is empty (an empty tree has no node). 2. Every order[i] and first[i] are exactly
 * those of the first element below child i. 3. below[i] is exact. 4. cap is a multiple of NODE_STEP and count
 * <= cap. Nodes grow and shrink in steps, so a leaf is about nine tenths full whatever the order of
 * insertion.
 */
#ifndef WEFT_TYPES_ZSET_NODE_H
#define WEFT_TYPES_ZSET_NODE_H

#include "types/zset_tree.h"

#define NODE_STEP 8u
#define LEAF_MAX  ((unsigned)ZSET_TREE_LEAF_MAX)
#define INNER_MAX 48u

struct leaf {
    uint16_t count, cap;
    uint8_t shift; /* 0..32 */
    uint8_t unused[3];
    uint64_t base;
    uint32_t data[];
};

struct inner {
    uint16_t count, cap;
    uint32_t unused;
    uint64_t data[];
};

_Static_assert(sizeof(struct leaf) == 16 && sizeof(struct inner) == 8, "node heads");
_Static_assert(sizeof(struct leaf) + LEAF_MAX * 8 <= SLAB_SMALL_MAX, "leaf is a small allocation");
_Static_assert(sizeof(struct inner) + INNER_MAX * 20 <= SLAB_SMALL_MAX, "inner node is a small allocation");

static inline uint32_t *leaf_codes(struct leaf *leaf)
{
    return leaf->data;
}
static inline slab_handle *leaf_items(struct leaf *leaf)
{
    return leaf->data + leaf->cap;
}
static inline uint64_t *inner_orders(struct inner *node)
{
    return node->data;
}
static inline slab_handle *inner_children(struct inner *node)
{
    return (uint32_t *)(node->data + node->cap);
}
static inline uint32_t *inner_below(struct inner *node)
{
    return inner_children(node) + node->cap;
}
static inline slab_handle *inner_firsts(struct inner *node)
{
    return inner_children(node) + 2u * node->cap;
}

static inline struct leaf *leaf_at(const struct slab *slab, slab_handle handle)
{
    return slab_ptr(slab, handle);
}
static inline struct inner *inner_at(const struct slab *slab, slab_handle handle)
{
    return slab_ptr(slab, handle);
}

static inline size_t leaf_size(unsigned cap)
{
    return sizeof(struct leaf) + (size_t)cap * 8;
}
static inline size_t inner_size(unsigned cap)
{
    return sizeof(struct inner) + (size_t)cap * 20;
}
static inline unsigned node_cap(unsigned count)
{
    return (count + NODE_STEP - 1) / NODE_STEP * NODE_STEP;
}

static inline uint64_t item_order(const struct slab *slab, slab_handle item)
{
    return zset_order(zset_item_score(slab_ptr(slab, item)));
}

/* Can a score of this order be told by a code of the leaf, and by which one? */
static inline bool leaf_code(const struct leaf *leaf, uint64_t order, uint32_t *code)
{
    uint64_t wide = (order - leaf->base) >> leaf->shift;
    *code = (uint32_t)wide;
    return order >= leaf->base && wide <= UINT32_MAX;
}

/* The path to an element: pos->index[l] in pos->node[l]. Where the bound is behind a leaf's last element,
 * index[0] is the leaf's count. The tree must not be empty. */
void zset_tree_descend(const struct zset_tree *tree, const struct slab *slab, const struct zset_bound *bound,
                       struct zset_tree_pos *pos);
/* The bound just before an item of the tree. */
struct zset_bound zset_tree_bound_of(const struct slab *slab, slab_handle item);

/* ---- leaf edits (zset_leaf.c); none allocates ---- */

/* Puts an item of the given order at `at`; there is room. */
void leaf_put(struct leaf *leaf, const struct slab *slab, unsigned at, slab_handle item, uint64_t order);
void leaf_take(struct leaf *leaf, unsigned at, unsigned n);
/* Appends the entries [from, from + n) of another leaf, which sort behind its own. */
void leaf_append(struct leaf *leaf, struct leaf *source, unsigned from, unsigned n);
/* Gives entry `at` a new order that keeps its place. */
void leaf_recode(struct leaf *leaf, const struct slab *slab, unsigned at, uint64_t order);
/* Chooses finer codes when the present ones leave too few bits; reads the items. */
void leaf_refine(struct leaf *leaf, const struct slab *slab);

#endif
