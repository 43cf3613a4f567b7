/* list_tree: the order of a large list's chunks, a B+tree with element counts. Private to list*.c.
 *
 * Inner node: 8-byte head, then 8 bytes per child: the child (a node, or a chunk on the lowest level) and the
 * number of elements below it. Height 0: the root is the only chunk.
 *
 *     | count | cap | - | child 0 | child 1 | ... | below 0 | below 1 | ... |
 *
 * Invariants: 1. no chunk and no node is empty. 2. below[i] is exact; root.count is their sum. 3. cap is a
 * multiple of LIST_NODE_STEP, count <= cap <= LIST_NODE_MAX. list_tree_insert reserves first; removal never
 * fails (merging is given up when there is no memory). Cost: O(log n), three levels for a million elements of
 * 20 bytes. Tests: test/unit/list_test.c.
 */
#ifndef WEFT_TYPES_LIST_TREE_H
#define WEFT_TYPES_LIST_TREE_H

#include "types/list_chunk.h"

#define LIST_NODE_STEP  8u
#define LIST_NODE_MAX   120u
#define LIST_HEIGHT_MAX 10u

struct list_tree {
    slab_handle root; /* 0: empty */
    uint32_t count;   /* elements */
    uint8_t height;
};

/* The way to a chunk, and an element's index in it. Ends with any change of the tree's shape. */
struct list_path {
    slab_handle chunk;
    uint32_t index; /* <= the chunk's count: behind the last element only at the list's end */
    uint8_t height;
    uint16_t at[LIST_HEIGHT_MAX + 1]; /* of levels 1 .. height */
    slab_handle node[LIST_HEIGHT_MAX + 1];
};

/* The tree of one chunk. */
struct list_tree list_tree_single(const struct slab *slab, slab_handle chunk);
/* To the element at index <= count (count: behind the last one); the tree is not empty. */
void list_tree_seek(const struct list_tree *tree, const struct slab *slab, uint32_t index,
                    struct list_path *path);
/* To the neighbouring chunk, index 0; false when there is none (the path is then unchanged). */
bool list_tree_next(const struct slab *slab, struct list_path *path);
bool list_tree_prev(const struct slab *slab, struct list_path *path);

/* The path's chunk has `delta` more elements now. */
void list_tree_add(struct list_tree *tree, struct slab *slab, const struct list_path *path, int32_t delta);
/* The path's chunk lives at another place now. */
void list_tree_move(struct list_tree *tree, struct slab *slab, struct list_path *path, slab_handle chunk);
/* Adds a chunk in front of the path's one, or (after) behind it; its elements count. False: out of memory. */
bool list_tree_insert(struct list_tree *tree, struct slab *slab, const struct list_path *path, bool after,
                      slab_handle chunk);
/* Takes the path's chunk out, of which the tree still counts `count` elements. The caller frees it. */
void list_tree_remove(struct list_tree *tree, struct slab *slab, const struct list_path *path,
                      uint32_t count);
/* Frees nodes and chunks. */
void list_tree_free(struct list_tree *tree, struct slab *slab);
/* The same step by step (types/value.h): true when it is done. */
bool list_tree_free_some(struct list_tree *tree, struct slab *slab, uint32_t *work);

/* Checks every invariant of tree and chunks; the bytes they take (slab_rounded sizes). */
size_t list_tree_verify(const struct list_tree *tree, const struct slab *slab);

#endif
