/* zset_tree: searching and walking the order of a sorted set (contract: zset_tree.h, nodes: zset_node.h; what
 * changes the tree is in zset_tree_edit.c).
 *
 * A search halves the orders of an inner node, then, only where several children begin with the very same
 * score, their first members. In the leaf it halves the codes and reads items only where codes are equal.
 * Tests: test/unit/zset_tree_test.c.
 */
#include "types/zset_node.h"

/* Is the item at or behind the bound? */
static bool item_reaches(const struct slab *slab, slab_handle item, const struct zset_bound *bound)
{
    const uint8_t *bytes = slab_ptr(slab, item);
    uint64_t order = zset_order(zset_item_score(bytes));
    if (order != bound->order) return order > bound->order;
    if (bound->side == ZSET_BEFORE_SCORE) return true;
    if (bound->side == ZSET_AFTER_SCORE) return false;
    int compared = zset_member_compare(zset_item_member(bytes), bound->member);
    return bound->side == ZSET_BEFORE_MEMBER ? compared >= 0 : compared > 0;
}

/* The first of items[lo..hi) at or behind the bound, hi if none is. */
static unsigned items_lower(const struct slab *slab, const slab_handle *items, unsigned lo, unsigned hi,
                            const struct zset_bound *bound)
{
    while (lo < hi) {
        unsigned middle = (lo + hi) / 2;
        if (item_reaches(slab, items[middle], bound)) {
            hi = middle;
        } else {
            lo = middle + 1;
        }
    }
    return lo;
}

static unsigned orders_below(const uint64_t *orders, unsigned count, uint64_t order)
{
    const uint64_t *at = orders;
    while (count > 1) {
        unsigned half = count / 2;
        at += at[half - 1] < order ? half : 0;
        count -= half;
    }
    return (unsigned)(at - orders) + (count == 1 && *at < order);
}

static unsigned codes_below(const uint32_t *codes, unsigned count, uint32_t code)
{
    const uint32_t *at = codes;
    while (count > 1) {
        unsigned half = count / 2;
        at += at[half - 1] < code ? half : 0;
        count -= half;
    }
    return (unsigned)(at - codes) + (count == 1 && *at < code);
}

/* The child that the bound falls into: the last one whose first element is before the bound, or else child 0.
 */
static unsigned inner_find(struct inner *node, const struct slab *slab, const struct zset_bound *bound)
{
    const uint64_t *orders = inner_orders(node);
    unsigned lo = orders_below(orders, node->count, bound->order);
    if (lo < node->count && orders[lo] == bound->order && bound->side != ZSET_BEFORE_SCORE) {
        unsigned hi = bound->order == UINT64_MAX
                          ? node->count
                          : lo + orders_below(orders + lo, node->count - lo, bound->order + 1);
        lo = bound->side == ZSET_AFTER_SCORE ? hi : items_lower(slab, inner_firsts(node), lo, hi, bound);
    }
    return lo > 0 ? lo - 1 : 0;
}

/* The first entry at or behind the bound, the leaf's count if none is. */
static unsigned leaf_find(struct leaf *leaf, const struct slab *slab, const struct zset_bound *bound)
{
    uint32_t code;
    if (!leaf_code(leaf, bound->order, &code)) return bound->order < leaf->base ? 0 : leaf->count;
    const uint32_t *codes = leaf_codes(leaf);
    unsigned lo = codes_below(codes, leaf->count, code);
    if (lo == leaf->count || codes[lo] != code) return lo;
    unsigned hi = code == UINT32_MAX ? leaf->count : lo + codes_below(codes + lo, leaf->count - lo, code + 1);
    return items_lower(slab, leaf_items(leaf), lo, hi, bound);
}

struct zset_bound zset_tree_bound_of(const struct slab *slab, slab_handle item)
{
    const uint8_t *bytes = slab_ptr(slab, item);
    return (struct zset_bound){zset_order(zset_item_score(bytes)), zset_item_member(bytes),
                               ZSET_BEFORE_MEMBER};
}

void zset_tree_descend(const struct zset_tree *tree, const struct slab *slab, const struct zset_bound *bound,
                       struct zset_tree_pos *pos)
{
    CHECK(tree->root != 0 && tree->height <= ZSET_TREE_HEIGHT_MAX);
    pos->slab = slab;
    pos->height = tree->height;
    slab_handle node = tree->root;
    for (unsigned level = tree->height; level > 0; level--) {
        struct inner *inner = inner_at(slab, node);
        unsigned at = inner_find(inner, slab, bound);
        /* An element equal to a child's first one is in that child, though the bound is not behind it. */
        if (bound->side == ZSET_BEFORE_MEMBER && at + 1 < inner->count &&
            inner_orders(inner)[at + 1] == bound->order) {
            slab_handle first = inner_firsts(inner)[at + 1];
            if (slice_equal(zset_item_member(slab_ptr(slab, first)), bound->member)) at++;
        }
        pos->node[level] = node;
        pos->index[level] = (uint16_t)at;
        node = inner_children(inner)[at];
    }
    pos->node[0] = node;
    pos->index[0] = (uint16_t)leaf_find(leaf_at(slab, node), slab, bound);
}

uint32_t zset_tree_pos_rank(const struct zset_tree_pos *pos)
{
    uint32_t rank = pos->index[0];
    for (unsigned level = 1; level <= pos->height; level++) {
        const uint32_t *below = inner_below(inner_at(pos->slab, pos->node[level]));
        for (unsigned i = 0; i < pos->index[level]; i++) rank += below[i];
    }
    return rank;
}

uint32_t zset_tree_lower(const struct zset_tree *tree, const struct slab *slab,
                         const struct zset_bound *bound)
{
    if (tree->root == 0) return 0;
    struct zset_tree_pos pos;
    zset_tree_descend(tree, slab, bound, &pos);
    return zset_tree_pos_rank(&pos);
}

uint32_t zset_tree_rank(const struct zset_tree *tree, const struct slab *slab, slab_handle item)
{
    struct zset_bound bound = zset_tree_bound_of(slab, item);
    struct zset_tree_pos pos;
    zset_tree_descend(tree, slab, &bound, &pos);
    DCHECK(zset_tree_item(&pos) == item);
    return zset_tree_pos_rank(&pos);
}

void zset_tree_seek(const struct zset_tree *tree, const struct slab *slab, uint32_t rank,
                    struct zset_tree_pos *pos)
{
    CHECK(rank < tree->count);
    pos->slab = slab;
    pos->height = tree->height;
    slab_handle node = tree->root;
    for (unsigned level = tree->height; level > 0; level--) {
        struct inner *inner = inner_at(slab, node);
        const uint32_t *below = inner_below(inner);
        unsigned at = 0;
        while (rank >= below[at]) rank -= below[at++];
        DCHECK(at < inner->count);
        pos->node[level] = node;
        pos->index[level] = (uint16_t)at;
        node = inner_children(inner)[at];
    }
    pos->node[0] = node;
    pos->index[0] = (uint16_t)rank;
}

slab_handle zset_tree_item(const struct zset_tree_pos *pos)
{
    struct leaf *leaf = leaf_at(pos->slab, pos->node[0]);
    DCHECK(pos->index[0] < leaf->count);
    return leaf_items(leaf)[pos->index[0]];
}

/* How far ahead a walk asks for items: they lie anywhere in memory. */
#define WALK_AHEAD 8u

static void prefetch_item(const struct slab *slab, struct leaf *leaf, unsigned at)
{
    if (at < leaf->count) __builtin_prefetch(slab_ptr(slab, leaf_items(leaf)[at]));
}

/* Goes down from the child that pos stands on at `level` to its first or last element. */
static void walk_down(struct zset_tree_pos *pos, unsigned level, bool to_last)
{
    for (; level > 0; level--) {
        struct inner *parent = inner_at(pos->slab, pos->node[level]);
        slab_handle child = inner_children(parent)[pos->index[level]];
        unsigned count = level > 1 ? inner_at(pos->slab, child)->count : leaf_at(pos->slab, child)->count;
        pos->node[level - 1] = child;
        pos->index[level - 1] = (uint16_t)(to_last ? count - 1 : 0);
    }
    struct leaf *leaf = leaf_at(pos->slab, pos->node[0]);
    for (unsigned i = 0; i < WALK_AHEAD; i++)
        prefetch_item(pos->slab, leaf, to_last ? leaf->count - 1u - i : i);
}

bool zset_tree_next(struct zset_tree_pos *pos)
{
    struct leaf *leaf = leaf_at(pos->slab, pos->node[0]);
    if (++pos->index[0] < leaf->count) {
        prefetch_item(pos->slab, leaf, pos->index[0] + WALK_AHEAD - 1);
        return true;
    }
    for (unsigned level = 1; level <= pos->height; level++) {
        struct inner *inner = inner_at(pos->slab, pos->node[level]);
        if (++pos->index[level] < inner->count) {
            walk_down(pos, level, false);
            return true;
        }
    }
    return false;
}

bool zset_tree_prev(struct zset_tree_pos *pos)
{
    if (pos->index[0] > 0) {
        pos->index[0]--;
        prefetch_item(pos->slab, leaf_at(pos->slab, pos->node[0]), pos->index[0] - (WALK_AHEAD - 1));
        return true;
    }
    for (unsigned level = 1; level <= pos->height; level++) {
        if (pos->index[level] > 0) {
            pos->index[level]--;
            walk_down(pos, level, true);
            return true;
        }
    }
    return false;
}

/* ---- verification ---- */

struct verified {
    uint32_t count;
    size_t bytes;
};

static struct verified verify_leaf(const struct slab *slab, slab_handle node, slab_handle *previous)
{
    struct leaf *leaf = leaf_at(slab, node);
    CHECK(leaf->count > 0 && leaf->count <= leaf->cap && leaf->cap <= LEAF_MAX && leaf->cap % NODE_STEP == 0);
    CHECK(leaf->shift <= 32 && (leaf->base & ((1ull << leaf->shift) - 1)) == 0);
    for (unsigned i = 0; i < leaf->count; i++) {
        slab_handle item = leaf_items(leaf)[i];
        uint32_t code;
        CHECK(leaf_code(leaf, item_order(slab, item), &code) && code == leaf_codes(leaf)[i]);
        if (*previous != 0) {
            struct zset_bound bound = zset_tree_bound_of(slab, *previous);
            bound.side = ZSET_AFTER_MEMBER;
            CHECK(item_reaches(slab, item, &bound));
        }
        *previous = item;
    }
    return (struct verified){leaf->count, slab_rounded(leaf_size(leaf->cap))};
}

static struct verified verify_node(const struct slab *slab, slab_handle node, unsigned level,
                                   slab_handle *previous)
{
    if (level == 0) return verify_leaf(slab, node, previous);
    struct inner *inner = inner_at(slab, node);
    CHECK(inner->count > 0 && inner->count <= inner->cap && inner->cap <= INNER_MAX &&
          inner->cap % NODE_STEP == 0);
    struct verified sum = {0, slab_rounded(inner_size(inner->cap))};
    for (unsigned i = 0; i < inner->count; i++) {
        slab_handle first = inner_children(inner)[i];
        for (unsigned l = level - 1; l > 0; l--) first = inner_children(inner_at(slab, first))[0];
        CHECK(inner_firsts(inner)[i] == leaf_items(leaf_at(slab, first))[0]);
        CHECK(inner_orders(inner)[i] == item_order(slab, inner_firsts(inner)[i]));
        struct verified child = verify_node(slab, inner_children(inner)[i], level - 1, previous);
        CHECK(child.count == inner_below(inner)[i]);
        sum.count += child.count;
        sum.bytes += child.bytes;
    }
    return sum;
}

size_t zset_tree_verify(const struct zset_tree *tree, const struct slab *slab)
{
    CHECK((tree->root == 0) == (tree->count == 0) && tree->height <= ZSET_TREE_HEIGHT_MAX);
    if (tree->root == 0) return 0;
    CHECK(tree->height == 0 || inner_at(slab, tree->root)->count > 1);
    slab_handle previous = 0;
    struct verified sum = verify_node(slab, tree->root, tree->height, &previous);
    CHECK(sum.count == tree->count);
    return sum.bytes;
}
