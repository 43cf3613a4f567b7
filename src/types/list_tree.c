/* list_tree: counted B+tree over a list's chunks (layout, invariants and contract: list_tree.h).
 *
 * A full node splits in halves, but at the edges of the tree, where pushes come in, it stays whole and the
 * newcomer begins a node of its own: a list built by pushes has full nodes. Tests: test/unit/list_test.c.
 */
#include "types/list_tree.h"

#include "types/value.h"

struct node {
    uint16_t count, cap;
    uint32_t unused;
    uint32_t data[];
};
_Static_assert(sizeof(struct node) == 8, "node head");
_Static_assert(sizeof(struct node) + LIST_NODE_MAX * 8 <= SLAB_SMALL_MAX, "node is a small allocation");

static struct node *node_at(const struct slab *slab, slab_handle handle)
{
    return slab_ptr(slab, handle);
}
static slab_handle *node_children(struct node *node)
{
    return node->data;
}
static uint32_t *node_below(struct node *node)
{
    return node->data + node->cap;
}
static size_t node_size(uint32_t cap)
{
    return sizeof(struct node) + (size_t)cap * 8;
}
static uint32_t node_cap(uint32_t count)
{
    return (count + LIST_NODE_STEP - 1) / LIST_NODE_STEP * LIST_NODE_STEP;
}

static slab_handle node_new(struct slab *slab, uint32_t cap)
{
    slab_handle handle = slab_alloc(slab, node_size(cap));
    if (handle != 0) *node_at(slab, handle) = (struct node){.cap = (uint16_t)cap};
    return handle;
}

static void node_free(struct slab *slab, slab_handle handle)
{
    slab_free(slab, handle, node_size(node_at(slab, handle)->cap));
}

static void node_put(struct node *node, uint32_t at, slab_handle child, uint32_t below)
{
    DCHECK(node->count < node->cap && at <= node->count);
    uint32_t behind = node->count - at;
    memmove(node_children(node) + at + 1, node_children(node) + at, behind * 4);
    memmove(node_below(node) + at + 1, node_below(node) + at, behind * 4);
    node_children(node)[at] = child;
    node_below(node)[at] = below;
    node->count++;
}

static void node_take(struct node *node, uint32_t at)
{
    DCHECK(at < node->count);
    uint32_t behind = node->count - at - 1u;
    memmove(node_children(node) + at, node_children(node) + at + 1, behind * 4);
    memmove(node_below(node) + at, node_below(node) + at + 1, behind * 4);
    node->count--;
}

/* Appends the entries [from, from + n) of another node. */
static void node_append(struct node *node, struct node *source, uint32_t from, uint32_t n)
{
    DCHECK(node->count + n <= node->cap && from + n <= source->count);
    memcpy(node_children(node) + node->count, node_children(source) + from, n * 4);
    memcpy(node_below(node) + node->count, node_below(source) + from, n * 4);
    node->count = (uint16_t)(node->count + n);
}

static uint32_t node_sum(struct node *node)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < node->count; i++) sum += node_below(node)[i];
    return sum;
}

/* ---- walking ---- */

struct list_tree list_tree_single(const struct slab *slab, slab_handle chunk)
{
    return (struct list_tree){.root = chunk, .count = chunk_at(slab, chunk)->count, .height = 0};
}

void list_tree_seek(const struct list_tree *tree, const struct slab *slab, uint32_t index,
                    struct list_path *path)
{
    CHECK(tree->root != 0 && index <= tree->count && tree->height <= LIST_HEIGHT_MAX);
    path->height = tree->height;
    slab_handle handle = tree->root;
    bool at_end = index == tree->count;
    uint32_t from_end = tree->count - index; /* of the subtree's elements, those from index on */
    for (uint32_t level = tree->height; level > 0; level--) {
        struct node *node = node_at(slab, handle);
        const uint32_t *below = node_below(node);
        uint32_t at = 0;
        if (at_end) { /* the hot way of pushes and pops at the tail */
            at = node->count - 1u;
            index = below[at];
        } else if (from_end <= below[node->count - 1]) {
            at = node->count - 1u;
            index = below[at] - from_end;
        } else {
            while (index >= below[at]) index -= below[at++];
            from_end = below[at] - index;
        }
        DCHECK(at < node->count);
        path->node[level] = handle;
        path->at[level] = (uint16_t)at;
        handle = node_children(node)[at];
    }
    path->chunk = handle;
    path->index = index;
}

/* Goes down from the path's child at `level` along its first or last children. */
static void walk_down(const struct slab *slab, struct list_path *path, uint32_t level, bool to_last)
{
    for (;; level--) {
        slab_handle child = node_children(node_at(slab, path->node[level]))[path->at[level]];
        if (level == 1) {
            path->chunk = child;
            path->index = 0;
            return;
        }
        path->node[level - 1] = child;
        path->at[level - 1] = (uint16_t)(to_last ? node_at(slab, child)->count - 1 : 0);
    }
}

bool list_tree_next(const struct slab *slab, struct list_path *path)
{
    for (uint32_t level = 1; level <= path->height; level++) {
        if (path->at[level] + 1u < node_at(slab, path->node[level])->count) {
            path->at[level]++;
            walk_down(slab, path, level, false);
            return true;
        }
    }
    return false;
}

bool list_tree_prev(const struct slab *slab, struct list_path *path)
{
    for (uint32_t level = 1; level <= path->height; level++) {
        if (path->at[level] > 0) {
            path->at[level]--;
            walk_down(slab, path, level, true);
            return true;
        }
    }
    return false;
}

/* ---- edits ---- */

void list_tree_add(struct list_tree *tree, struct slab *slab, const struct list_path *path, int32_t delta)
{
    for (uint32_t level = 1; level <= path->height; level++) {
        node_below(node_at(slab, path->node[level]))[path->at[level]] += (uint32_t)delta;
    }
    tree->count += (uint32_t)delta;
}

void list_tree_move(struct list_tree *tree, struct slab *slab, struct list_path *path, slab_handle chunk)
{
    path->chunk = chunk;
    if (path->height == 0) {
        tree->root = chunk;
    } else {
        node_children(node_at(slab, path->node[1]))[path->at[1]] = chunk;
    }
}

/* What an insertion needs, allocated before anything changes: a node that grows, or the right half of each
 * node that splits, and a new root. */
struct reserve {
    slab_handle fresh[LIST_HEIGHT_MAX + 2]; /* by level */
    uint32_t top;                           /* highest level with an entry */
};

static void reserve_free(struct slab *slab, struct reserve *reserve)
{
    for (uint32_t level = 1; level <= reserve->top; level++) {
        if (reserve->fresh[level]) node_free(slab, reserve->fresh[level]);
    }
}

static bool reserve_make(struct slab *slab, const struct list_path *path, struct reserve *reserve)
{
    *reserve = (struct reserve){0};
    for (uint32_t level = 1; level <= path->height + 1u; level++) {
        uint32_t cap = LIST_NODE_STEP; /* of a new root */
        bool splits = false;
        if (level <= path->height) {
            struct node *node = node_at(slab, path->node[level]);
            if (node->count < node->cap) return true;
            splits = node->cap == LIST_NODE_MAX;
            cap = splits ? LIST_NODE_MAX : node_cap(node->count + 1u);
        }
        CHECK(level <= LIST_HEIGHT_MAX);
        reserve->fresh[level] = node_new(slab, cap);
        if (reserve->fresh[level] == 0) {
            reserve_free(slab, reserve);
            return false;
        }
        reserve->top = level;
        if (!splits) return true;
    }
    return true;
}

/* How many of a full node's entries stay in it when one more comes to `at`. */
static uint32_t split_point(const struct node *node, uint32_t at)
{
    if (at == node->count) return node->count;
    return at <= 1 ? 1 : node->count / 2;
}

/* Puts a child into the path's node at `level`. Returns the handle of a new right neighbour, if the node
 * split; its own handle, which may be new, goes to *self. */
static slab_handle put_child(struct slab *slab, slab_handle *self, uint32_t at, slab_handle child,
                             uint32_t below, slab_handle fresh)
{
    struct node *node = node_at(slab, *self);
    if (node->count < node->cap) {
        node_put(node, at, child, below);
        return 0;
    }
    struct node *other = node_at(slab, fresh);
    if (node->cap < LIST_NODE_MAX) {
        node_append(other, node, 0, node->count);
        node_free(slab, *self);
        *self = fresh;
        node_put(other, at, child, below);
        return 0;
    }
    uint32_t stay = split_point(node, at);
    node_append(other, node, stay, node->count - stay);
    bool left = at <= stay && stay < node->count;
    node->count = (uint16_t)stay;
    node_put(left ? node : other, left ? at : at - stay, child, below);
    return fresh;
}

bool list_tree_insert(struct list_tree *tree, struct slab *slab, const struct list_path *path, bool after,
                      slab_handle chunk)
{
    struct reserve reserve;
    if (!reserve_make(slab, path, &reserve)) return false;
    uint32_t count = chunk_at(slab, chunk)->count;
    slab_handle self = path->chunk, added = chunk; /* a child and its new neighbour, until no node splits */
    uint32_t added_below = count;
    bool behind = after;
    for (uint32_t level = 1; level <= path->height; level++) {
        slab_handle node = path->node[level];
        uint32_t at = path->at[level];
        node_children(node_at(slab, node))[at] = self;
        if (added == 0) {
            node_below(node_at(slab, node))[at] += count;
        } else {
            if (level > 1) { /* the child has split: its elements are now in two */
                node_below(node_at(slab, node))[at] = node_sum(node_at(slab, self));
                added_below = node_sum(node_at(slab, added));
            }
            added = put_child(slab, &node, behind ? at + 1 : at, added, added_below, reserve.fresh[level]);
            behind = true;
        }
        self = node;
    }
    tree->root = self;
    if (added != 0) {
        struct node *root = node_at(slab, reserve.fresh[path->height + 1]);
        uint32_t below = path->height == 0 ? tree->count : node_sum(node_at(slab, self));
        if (path->height > 0) added_below = node_sum(node_at(slab, added));
        node_put(root, 0, self, below);
        node_put(root, behind ? 1 : 0, added, added_below);
        tree->root = reserve.fresh[path->height + 1];
        tree->height++;
    }
    tree->count += count;
    return true;
}

/* Merges child `at` of the parent, an inner node, with a neighbour if together they fill at most half a node.
 */
static void merge_node(struct slab *slab, struct node *parent, uint32_t at)
{
    uint32_t count = node_at(slab, node_children(parent)[at])->count;
    if (count > LIST_NODE_MAX / 4) return;
    if (at + 1u == parent->count ||
        (at > 0 && node_at(slab, node_children(parent)[at - 1])->count <= LIST_NODE_MAX / 4)) {
        if (at == 0) return;
        at--;
    }
    slab_handle left = node_children(parent)[at], right = node_children(parent)[at + 1];
    uint32_t sum = (uint32_t)node_at(slab, left)->count + node_at(slab, right)->count;
    if (sum > LIST_NODE_MAX / 2) return;
    if (node_at(slab, left)->cap < sum) {
        slab_handle fresh = node_new(slab, node_cap(sum + 1));
        if (fresh == 0) return;
        node_append(node_at(slab, fresh), node_at(slab, left), 0, node_at(slab, left)->count);
        node_free(slab, left);
        left = fresh;
    }
    node_append(node_at(slab, left), node_at(slab, right), 0, node_at(slab, right)->count);
    node_free(slab, right);
    node_children(parent)[at] = left;
    node_below(parent)[at] += node_below(parent)[at + 1];
    node_take(parent, at + 1);
}

void list_tree_remove(struct list_tree *tree, struct slab *slab, const struct list_path *path, uint32_t count)
{
    bool gone = true; /* the path's child at the level below no longer exists */
    for (uint32_t level = 1; level <= path->height; level++) {
        struct node *node = node_at(slab, path->node[level]);
        uint32_t at = path->at[level];
        if (gone) {
            node_take(node, at);
            gone = node->count == 0;
            if (gone) node_free(slab, path->node[level]);
        } else {
            node_below(node)[at] -= count;
            merge_node(slab, node, at);
        }
    }
    tree->count -= count;
    if (gone) {
        CHECK(tree->count == 0);
        *tree = (struct list_tree){0};
        return;
    }
    while (tree->height > 0 && node_at(slab, tree->root)->count == 1) {
        slab_handle child = node_children(node_at(slab, tree->root))[0];
        node_free(slab, tree->root);
        tree->root = child;
        tree->height--;
    }
}

static void free_below(struct slab *slab, slab_handle handle, uint32_t level)
{
    if (level == 0) {
        chunk_free(slab, handle);
        return;
    }
    struct node *node = node_at(slab, handle);
    for (uint32_t i = 0; i < node->count; i++) free_below(slab, node_children(node)[i], level - 1);
    node_free(slab, handle);
}

void list_tree_free(struct list_tree *tree, struct slab *slab)
{
    if (tree->root != 0) free_below(slab, tree->root, tree->height);
    *tree = (struct list_tree){0};
}

/* From the right: each step frees the last chunk, or the last node that has no children left. */
bool list_tree_free_some(struct list_tree *tree, struct slab *slab, uint32_t *work)
{
    while (tree->root != 0) {
        if (*work == 0) return false;
        struct node *parent = NULL;
        slab_handle handle = tree->root;
        uint32_t level = tree->height;
        while (level > 0 && node_at(slab, handle)->count > 0) {
            parent = node_at(slab, handle);
            handle = node_children(parent)[parent->count - 1];
            level--;
        }
        if (level == 0)
            chunk_free(slab, handle);
        else
            node_free(slab, handle);
        if (parent)
            parent->count--;
        else
            *tree = (struct list_tree){0};
        value_work_done(work, 4); /* a page goes back to the system at times */
    }
    return true;
}

/* ---- verification ---- */

static size_t verify_chunk(const struct slab *slab, slab_handle handle)
{
    struct chunk *chunk = chunk_at(slab, handle);
    CHECK(chunk->count > 0);
    if (chunk_is_big(chunk)) {
        CHECK(chunk->count == 1 && entry_size(chunk->len) > CHUNK_ENTRY_MAX);
        return slab_rounded(chunk_size(chunk));
    }
    CHECK(chunk->cap <= CHUNK_MAX && chunk->begin >= CHUNK_HEAD && chunk->begin < chunk->end &&
          chunk->end <= chunk->cap);
    const uint8_t *end = chunk_bytes(chunk) + chunk->end;
    CHECK(entry_skip(chunk_bytes(chunk) + chunk->begin, chunk->count) == end);
    CHECK(entry_skip_back(end, chunk->count) == chunk_bytes(chunk) + chunk->begin);
    return slab_rounded(chunk->cap);
}

static size_t verify_below(const struct slab *slab, slab_handle handle, uint32_t level, uint32_t *count)
{
    if (level == 0) {
        *count += chunk_at(slab, handle)->count;
        return verify_chunk(slab, handle);
    }
    struct node *node = node_at(slab, handle);
    CHECK(node->count > 0 && node->count <= node->cap && node->cap <= LIST_NODE_MAX &&
          node->cap % LIST_NODE_STEP == 0);
    size_t bytes = slab_rounded(node_size(node->cap));
    for (uint32_t i = 0; i < node->count; i++) {
        uint32_t below = 0;
        bytes += verify_below(slab, node_children(node)[i], level - 1, &below);
        CHECK(below == node_below(node)[i]);
        *count += below;
    }
    return bytes;
}

size_t list_tree_verify(const struct list_tree *tree, const struct slab *slab)
{
    CHECK((tree->root == 0) == (tree->count == 0) && tree->height <= LIST_HEIGHT_MAX);
    if (tree->root == 0) return 0;
    CHECK(tree->height == 0 || node_at(slab, tree->root)->count > 1);
    uint32_t count = 0;
    size_t bytes = verify_below(slab, tree->root, tree->height, &count);
    CHECK(count == tree->count);
    return bytes;
}
