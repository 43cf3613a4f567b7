/* zset_tree_edit: what changes the tree (contract: zset_tree.h, nodes: zset_node.h).
 *
 * An insertion walks down, *plans* upwards (which nodes grow by a step, which split), allocates all that the
 * plan needs, and only then edits, upwards again. A split at the right or left edge of the tree by an element
 * beyond that edge leaves the old node full: sorted input, and scores that only ever rise, fill the leaves
 * completely.
 *
 * A removal edits upwards and never fails: merging or shrinking a node wants a smaller one first, and where
 * that cannot be had the node stays as it is. Two neighbouring leaves of one parent hold more than LEAF_MAX /
 * 2 elements together, or memory was short.
 *
 * A score update that leaves the element in its leaf moves it there, without allocation. Otherwise the
 * element enters its new place first (which may fail) and leaves the old one by rank: by then its item holds
 * the new score, so the old place could not be found by comparing. The two leaves are different ones, hence
 * nothing that the insertion reads lies in the old one. Tests: test/unit/zset_tree_test.c.
 */
#include "types/value.h"
#include "types/zset_node.h"

#include "base/mark.h"

/* ---- inner nodes' entries ---- */

struct entry {
    uint64_t order;
    slab_handle child;
    uint32_t below;
    slab_handle first;
};

static void inner_set(struct inner *node, unsigned at, struct entry entry)
{
    inner_orders(node)[at] = entry.order;
    inner_children(node)[at] = entry.child;
    inner_below(node)[at] = entry.below;
    inner_firsts(node)[at] = entry.first;
}

static void inner_put(struct inner *node, unsigned at, struct entry entry)
{
    DCHECK(node->count < node->cap && at <= node->count);
    unsigned behind = node->count - at;
    memmove(inner_orders(node) + at + 1, inner_orders(node) + at, behind * 8);
    memmove(inner_children(node) + at + 1, inner_children(node) + at, behind * 4);
    memmove(inner_below(node) + at + 1, inner_below(node) + at, behind * 4);
    memmove(inner_firsts(node) + at + 1, inner_firsts(node) + at, behind * 4);
    node->count++;
    inner_set(node, at, entry);
}

static void inner_take(struct inner *node, unsigned at)
{
    DCHECK(at < node->count);
    unsigned behind = node->count - at - 1u;
    memmove(inner_orders(node) + at, inner_orders(node) + at + 1, behind * 8);
    memmove(inner_children(node) + at, inner_children(node) + at + 1, behind * 4);
    memmove(inner_below(node) + at, inner_below(node) + at + 1, behind * 4);
    memmove(inner_firsts(node) + at, inner_firsts(node) + at + 1, behind * 4);
    node->count--;
}

static void inner_append(struct inner *node, struct inner *source, unsigned from, unsigned n)
{
    DCHECK(node->count + n <= node->cap && from + n <= source->count);
    memcpy(inner_orders(node) + node->count, inner_orders(source) + from, n * 8);
    memcpy(inner_children(node) + node->count, inner_children(source) + from, n * 4);
    memcpy(inner_below(node) + node->count, inner_below(source) + from, n * 4);
    memcpy(inner_firsts(node) + node->count, inner_firsts(source) + from, n * 4);
    node->count = (uint16_t)(node->count + n);
}

/* ---- nodes of either kind ---- */

static size_t node_size(unsigned level, unsigned cap)
{
    return level == 0 ? leaf_size(cap) : inner_size(cap);
}

static unsigned node_max(unsigned level)
{
    return level == 0 ? LEAF_MAX : INNER_MAX;
}

static unsigned node_count(const struct slab *slab, slab_handle node, unsigned level)
{
    return level == 0 ? leaf_at(slab, node)->count : inner_at(slab, node)->count;
}

static unsigned node_room(const struct slab *slab, slab_handle node, unsigned level)
{
    return level == 0 ? leaf_at(slab, node)->cap : inner_at(slab, node)->cap;
}

static slab_handle node_alloc(struct slab *slab, unsigned level, unsigned cap)
{
    slab_handle node = slab_alloc(slab, node_size(level, cap));
    if (node == 0) return 0;
    if (level == 0) {
        *leaf_at(slab, node) = (struct leaf){.cap = (uint16_t)cap};
    } else {
        *inner_at(slab, node) = (struct inner){.cap = (uint16_t)cap};
    }
    return node;
}

static void node_free(struct slab *slab, slab_handle node, unsigned level)
{
    slab_free(slab, node, node_size(level, node_room(slab, node, level)));
}

static void node_append(struct slab *slab, slab_handle node, slab_handle source, unsigned level,
                        unsigned from, unsigned n)
{
    if (level == 0) {
        leaf_append(leaf_at(slab, node), leaf_at(slab, source), from, n);
    } else {
        inner_append(inner_at(slab, node), inner_at(slab, source), from, n);
    }
}

/* What the parent has to know of a node. */
static struct entry node_entry(const struct slab *slab, slab_handle node, unsigned level)
{
    if (level == 0) {
        struct leaf *leaf = leaf_at(slab, node);
        slab_handle first = leaf_items(leaf)[0];
        return (struct entry){item_order(slab, first), node, leaf->count, first};
    }
    struct inner *inner = inner_at(slab, node);
    uint32_t below = 0;
    for (unsigned i = 0; i < inner->count; i++) below += inner_below(inner)[i];
    return (struct entry){inner_orders(inner)[0], node, below, inner_firsts(inner)[0]};
}

/* ---- insertion ---- */

enum plan_kind { PLAN_FIT, PLAN_GROW, PLAN_SPLIT };

/* What one level has to do to take in one more entry at index `at`. */
struct plan_step {
    enum plan_kind kind;
    unsigned at;
    unsigned left_count; /* SPLIT: entries that stay left; 0 or all: the old node itself is the other half */
    bool into_left;
    slab_handle grown;
    slab_handle left, right; /* SPLIT: 0 means the old node */
};

struct plan {
    unsigned levels; /* steps in use: level 0 .. levels - 1 */
    slab_handle new_root;
    struct plan_step step[ZSET_TREE_HEIGHT_MAX + 1];
};

static unsigned split_point(unsigned level, unsigned count, unsigned at, bool left_edge, bool right_edge)
{
    if (right_edge && at == count) return count;
    if (left_edge && level == 0 && at == 0) return 0;
    if (left_edge && level > 0 && at == 1) return 1;
    return count / 2;
}

static void plan_give_back(struct slab *slab, struct plan *plan)
{
    for (unsigned level = 0; level < plan->levels; level++) {
        struct plan_step *step = &plan->step[level];
        if (step->grown) node_free(slab, step->grown, level);
        if (step->left) node_free(slab, step->left, level);
        if (step->right) node_free(slab, step->right, level);
    }
    if (plan->new_root) node_free(slab, plan->new_root, plan->levels);
}

/* Is the node that the path has at `level` the first (or last) one of its level? */
static bool on_edge(const struct zset_tree_pos *pos, unsigned level, bool right)
{
    for (unsigned l = level + 1; l <= pos->height; l++) {
        if (pos->index[l] != (right ? inner_at(pos->slab, pos->node[l])->count - 1u : 0u)) return false;
    }
    return true;
}

/* Fills one step and allocates for it; false: out of memory. */
static bool plan_step_make(struct slab *slab, const struct zset_tree_pos *pos, unsigned level,
                           struct plan_step *step)
{
    slab_handle node = pos->node[level];
    unsigned count = node_count(slab, node, level), cap = node_room(slab, node, level);
    if (count < cap) {
        step->kind = PLAN_FIT;
        return true;
    }
    if (cap < node_max(level)) {
        step->kind = PLAN_GROW;
        step->grown = node_alloc(slab, level, node_cap(count + 1));
        return step->grown != 0;
    }
    step->kind = PLAN_SPLIT;
    step->left_count =
        split_point(level, count, step->at, on_edge(pos, level, false), on_edge(pos, level, true));
    step->into_left = step->at <= step->left_count && step->left_count < count;
    unsigned left = step->left_count + step->into_left, right = count - step->left_count + !step->into_left;
    if (step->left_count < count && (step->left = node_alloc(slab, level, node_cap(left))) == 0) return false;
    if (step->left_count > 0 && (step->right = node_alloc(slab, level, node_cap(right))) == 0) return false;
    return true;
}

/* Plans an insertion at the path and allocates all it needs; false: out of memory, nothing held. */
static bool plan_make(struct slab *slab, const struct zset_tree_pos *pos, struct plan *plan)
{
    *plan = (struct plan){0};
    bool full = true;
    for (unsigned level = 0; full && level <= pos->height; level++) {
        struct plan_step *step = &plan->step[level];
        plan->levels = level + 1;
        step->at = level == 0 ? pos->index[0] : pos->index[level] + 1u;
        if (!plan_step_make(slab, pos, level, step)) {
            plan_give_back(slab, plan);
            return false;
        }
        full = step->kind == PLAN_SPLIT;
    }
    if (full) {
        CHECK(pos->height < ZSET_TREE_HEIGHT_MAX);
        plan->new_root = node_alloc(slab, plan->levels, NODE_STEP);
        if (plan->new_root == 0) {
            plan_give_back(slab, plan);
            return false;
        }
    }
    return true;
}

/* Where an edited level went: one node (right 0) or two. */
struct halves {
    slab_handle left, right;
    slab_handle target; /* the one that takes the new entry, at index `at` */
    unsigned at;
};

/* Makes the room that the step planned. */
static struct halves plan_apply(struct slab *slab, slab_handle node, unsigned level,
                                const struct plan_step *step)
{
    if (step->kind == PLAN_FIT) return (struct halves){node, 0, node, step->at};
    unsigned count = node_count(slab, node, level);
    if (step->kind == PLAN_GROW) {
        node_append(slab, step->grown, node, level, 0, count);
        node_free(slab, node, level);
        return (struct halves){step->grown, 0, step->grown, step->at};
    }
    struct halves out = {step->left ? step->left : node, step->right ? step->right : node, 0, step->at};
    if (step->left && step->right) {
        node_append(slab, step->left, node, level, 0, step->left_count);
        node_append(slab, step->right, node, level, step->left_count, count - step->left_count);
        node_free(slab, node, level);
    }
    out.target = step->into_left ? out.left : out.right;
    if (!step->into_left) out.at -= step->left_count;
    return out;
}

/* The insertion itself; cannot fail. The item already holds its score. */
static void insert_at(struct zset_tree *tree, struct slab *slab, const struct zset_tree_pos *pos,
                      const struct plan *plan, slab_handle item)
{
    uint64_t order = item_order(slab, item);
    struct halves half = plan_apply(slab, pos->node[0], 0, &plan->step[0]);
    leaf_put(leaf_at(slab, half.target), slab, half.at, item, order);
    if (half.right) {
        leaf_refine(leaf_at(slab, half.left), slab);
        leaf_refine(leaf_at(slab, half.right), slab);
    }
    bool first = pos->index[0] == 0; /* the item is the first one below the path's node */
    for (unsigned level = 1; level <= pos->height; level++) {
        struct inner *inner = inner_at(slab, pos->node[level]);
        unsigned at = pos->index[level];
        if (!half.right) {
            inner_children(inner)[at] = half.left;
            inner_below(inner)[at]++;
            if (first) {
                inner_orders(inner)[at] = order;
                inner_firsts(inner)[at] = item;
            }
            half.left = pos->node[level];
        } else {
            inner_set(inner, at, node_entry(slab, half.left, level - 1));
            struct entry entry = node_entry(slab, half.right, level - 1);
            half = plan_apply(slab, pos->node[level], level, &plan->step[level]);
            inner_put(inner_at(slab, half.target), half.at, entry);
        }
        first = first && at == 0;
    }
    tree->root = half.left;
    if (half.right) {
        struct inner *root = inner_at(slab, plan->new_root);
        inner_put(root, 0, node_entry(slab, half.left, pos->height));
        inner_put(root, 1, node_entry(slab, half.right, pos->height));
        tree->root = plan->new_root;
        tree->height++;
    }
    tree->count++;
}

static bool insert_first(struct zset_tree *tree, struct slab *slab, slab_handle item)
{
    slab_handle node = node_alloc(slab, 0, NODE_STEP);
    if (node == 0) return false;
    leaf_put(leaf_at(slab, node), slab, 0, item, item_order(slab, item));
    *tree = (struct zset_tree){.root = node, .count = 1, .height = 0};
    return true;
}

bool zset_tree_insert(struct zset_tree *tree, struct slab *slab, slab_handle item)
{
    if (tree->root == 0) return insert_first(tree, slab, item);
    struct zset_bound bound = zset_tree_bound_of(slab, item);
    struct zset_tree_pos pos;
    struct plan plan;
    zset_tree_descend(tree, slab, &bound, &pos);
    if (!plan_make(slab, &pos, &plan)) return false;
    insert_at(tree, slab, &pos, &plan, item);
    return true;
}

bool zset_tree_append(struct zset_tree *tree, struct slab *slab, slab_handle item)
{
    if (tree->root == 0) return insert_first(tree, slab, item);
    struct zset_tree_pos pos;
    struct plan plan;
    zset_tree_seek(tree, slab, tree->count - 1, &pos);
    pos.index[0]++;
    if (!plan_make(slab, &pos, &plan)) return false;
    insert_at(tree, slab, &pos, &plan, item);
    return true;
}

/* ---- removal ---- */

/* Makes children `at` and `at + 1` of `parent` one node of at least `count` entries; without memory they stay
 * two. */
static bool merge(struct slab *slab, struct inner *parent, unsigned at, unsigned level, unsigned count)
{
    slab_handle left = inner_children(parent)[at], right = inner_children(parent)[at + 1];
    slab_handle into = left;
    if (node_room(slab, left, level) < count) {
        into = node_alloc(slab, level, node_cap(count + 1));
        if (into == 0) return false;
        node_append(slab, into, left, level, 0, node_count(slab, left, level));
        node_free(slab, left, level);
    }
    node_append(slab, into, right, level, 0, node_count(slab, right, level));
    node_free(slab, right, level);
    if (level == 0) leaf_refine(leaf_at(slab, into), slab);
    inner_children(parent)[at] = into;
    inner_below(parent)[at] += inner_below(parent)[at + 1];
    inner_take(parent, at + 1);
    return true;
}

static unsigned child_count(const struct slab *slab, struct inner *parent, unsigned at, unsigned level)
{
    return level == 0 ? inner_below(parent)[at] : node_count(slab, inner_children(parent)[at], level);
}

/* Merges child `at` with a neighbour if both together are at most half a node. */
static bool merge_child(struct slab *slab, struct inner *parent, unsigned at, unsigned level)
{
    unsigned max = node_max(level) / 2, count = child_count(slab, parent, at, level);
    if (level > 0 && count > max / 2) return false; /* spares a look at the neighbours */
    if (at > 0) {
        unsigned sum = count + child_count(slab, parent, at - 1, level);
        if (sum <= max) return merge(slab, parent, at - 1, level, sum);
    }
    if (at + 1u < parent->count) {
        unsigned sum = count + child_count(slab, parent, at + 1, level);
        if (sum <= max) return merge(slab, parent, at, level, sum);
    }
    return false;
}

/* The node, or a smaller one in its place if it has become much too large. */
static slab_handle shrink(struct slab *slab, slab_handle node, unsigned level)
{
    unsigned count = node_count(slab, node, level), cap = node_cap(count + 1);
    if (node_room(slab, node, level) < cap + 2 * NODE_STEP) return node;
    slab_handle smaller = node_alloc(slab, level, cap);
    if (smaller == 0) return node;
    node_append(slab, smaller, node, level, 0, count);
    node_free(slab, node, level);
    return smaller;
}

static void collapse_root(struct zset_tree *tree, struct slab *slab)
{
    while (tree->height > 0 && inner_at(slab, tree->root)->count == 1) {
        slab_handle child = inner_children(inner_at(slab, tree->root))[0];
        node_free(slab, tree->root, tree->height);
        tree->root = child;
        tree->height--;
    }
    tree->root = shrink(slab, tree->root, tree->height);
}

/* Takes the n entries at the path out of its leaf; cannot fail. */
static void take_at(struct zset_tree *tree, struct slab *slab, const struct zset_tree_pos *pos, unsigned n)
{
    bool first = pos->index[0] == 0; /* the first element below the path's node has changed */
    leaf_take(leaf_at(slab, pos->node[0]), pos->index[0], n);
    bool gone = leaf_at(slab, pos->node[0])->count == 0;
    if (gone) node_free(slab, pos->node[0], 0);
    tree->count -= n;
    for (unsigned level = 1; level <= pos->height; level++) {
        struct inner *inner = inner_at(slab, pos->node[level]);
        unsigned at = pos->index[level];
        if (gone) {
            inner_take(inner, at);
            gone = inner->count == 0;
            if (gone) node_free(slab, pos->node[level], level);
        } else {
            inner_below(inner)[at] -= n;
            if (first) {
                uint32_t below = inner_below(inner)[at];
                struct entry entry = node_entry(slab, inner_children(inner)[at], level - 1);
                DCHECK(entry.below == below);
                inner_set(inner, at, entry);
            }
            if (!merge_child(slab, inner, at, level - 1)) {
                inner_children(inner)[at] = shrink(slab, inner_children(inner)[at], level - 1);
            }
        }
        first = first && at == 0;
    }
    if (gone) {
        CHECK(tree->count == 0);
        tree->root = 0;
        tree->height = 0;
    } else {
        collapse_root(tree, slab);
    }
}

void zset_tree_remove(struct zset_tree *tree, struct slab *slab, slab_handle item)
{
    struct zset_bound bound = zset_tree_bound_of(slab, item);
    struct zset_tree_pos pos;
    zset_tree_descend(tree, slab, &bound, &pos);
    CHECK(pos.index[0] < leaf_at(slab, pos.node[0])->count && zset_tree_item(&pos) == item);
    take_at(tree, slab, &pos, 1);
}

uint32_t zset_tree_cut(struct zset_tree *tree, struct slab *slab, uint32_t rank, uint32_t max,
                       slab_handle items[ZSET_TREE_LEAF_MAX])
{
    CHECK(max > 0);
    struct zset_tree_pos pos;
    zset_tree_seek(tree, slab, rank, &pos);
    struct leaf *leaf = leaf_at(slab, pos.node[0]);
    uint32_t n = leaf->count - pos.index[0];
    if (n > max) n = max;
    memcpy(items, leaf_items(leaf) + pos.index[0], n * sizeof(slab_handle));
    take_at(tree, slab, &pos, n);
    return n;
}

static void free_node(struct slab *slab, slab_handle node, unsigned level)
{
    if (level > 0) {
        struct inner *inner = inner_at(slab, node);
        for (unsigned i = 0; i < inner->count; i++) free_node(slab, inner_children(inner)[i], level - 1);
    }
    node_free(slab, node, level);
}

void zset_tree_free(struct zset_tree *tree, struct slab *slab)
{
    if (tree->root != 0) free_node(slab, tree->root, tree->height);
    *tree = (struct zset_tree){0};
}

/* From the right: each step frees the last node that has no children (left), a leaf or an inner one. */
bool zset_tree_free_some(struct zset_tree *tree, struct slab *slab, uint32_t *work)
{
    while (tree->root != 0) {
        if (*work == 0) return false;
        struct inner *parent = NULL;
        slab_handle node = tree->root;
        unsigned level = tree->height;
        while (level > 0 && inner_at(slab, node)->count > 0) {
            parent = inner_at(slab, node);
            node = inner_children(parent)[parent->count - 1];
            level--;
        }
        node_free(slab, node, level);
        if (parent)
            parent->count--;
        else
            *tree = (struct zset_tree){0};
        value_work_done(work, 1);
    }
    return true;
}

/* ---- score update ---- */

static void item_set_score(struct slab *slab, slab_handle item, double score)
{
    memcpy(slab_ptr(slab, item), &score, sizeof score);
}

/* The leaf at the path has a new first element: tells the ancestors. */
static void refresh_first(struct slab *slab, const struct zset_tree_pos *pos)
{
    slab_handle first = leaf_items(leaf_at(slab, pos->node[0]))[0];
    uint64_t order = item_order(slab, first);
    for (unsigned level = 1; level <= pos->height; level++) {
        struct inner *inner = inner_at(slab, pos->node[level]);
        unsigned at = pos->index[level];
        inner_orders(inner)[at] = order;
        inner_firsts(inner)[at] = first;
        if (at != 0) return;
    }
}

bool zset_tree_update(struct zset_tree *tree, struct slab *slab, slab_handle item, double score)
{
    struct zset_bound bound = zset_tree_bound_of(slab, item);
    struct zset_tree_pos from, to;
    zset_tree_descend(tree, slab, &bound, &from);
    CHECK(from.index[0] < leaf_at(slab, from.node[0])->count && zset_tree_item(&from) == item);
    bound.order = zset_order(score);
    zset_tree_descend(tree, slab, &bound, &to);

    if (from.node[0] == to.node[0]) {
        struct leaf *leaf = leaf_at(slab, from.node[0]);
        unsigned at = from.index[0], target = to.index[0] > at ? to.index[0] - 1u : to.index[0];
        item_set_score(slab, item, score);
        if (target == at) {
            leaf_recode(leaf, slab, at, bound.order);
        } else {
            leaf_take(leaf, at, 1);
            leaf_put(leaf, slab, target, item, bound.order);
        }
        if (at == 0 || target == 0) refresh_first(slab, &from);
        return true;
    }

    MARK("zset.moves_leaf");
    struct plan plan;
    if (!plan_make(slab, &to, &plan)) return false;
    bool later = bound.order > item_order(slab, item);
    uint32_t rank = zset_tree_pos_rank(&from);
    item_set_score(slab, item, score);
    insert_at(tree, slab, &to, &plan, item);
    slab_handle taken[ZSET_TREE_LEAF_MAX];
    CHECK(zset_tree_cut(tree, slab, later ? rank : rank + 1, 1, taken) == 1 && taken[0] == item);
    return true;
}
