/* zset_leaf: entries and score codes of one leaf of zset_tree (layout and meaning of codes: zset_node.h).
 *
 * Changing a leaf's base or coarsening its codes is arithmetic on the codes alone: with the old base a
 * multiple of 1 << old shift, and the new one of 1 << new shift >= old shift, the low bits that the old codes
 * do not hold cannot matter. Only leaf_refine reads items, and it runs when a leaf is split or merged, not
 * when it is searched. Nothing here allocates or fails. Tests: test/unit/zset_tree_test.c.
 */
#include "types/zset_node.h"

#define CODE_SPAN_POOR (1u << 16) /* codes that span less than this are worth refining */
#define SHIFT_MAX      32u

struct encoding {
    uint64_t base;
    unsigned shift;
};

/* The finest encoding, not finer than shift_min, that covers [lo, hi] and as much again around it: a leaf
 * whose range creeps (timestamps) is recoded each time that range doubles, not at each insertion. */
static struct encoding choose(uint64_t lo, uint64_t hi, unsigned shift_min)
{
    unsigned shift = shift_min;
    while (shift < SHIFT_MAX && (hi >> shift) - (lo >> shift) > UINT32_MAX / 2) shift++;
    uint64_t slack = (UINT32_MAX - ((hi >> shift) - (lo >> shift))) / 2;
    uint64_t first = lo >> shift;
    return (struct encoding){(first > slack ? first - slack : 0) << shift, shift};
}

static uint64_t lowest_of(const struct leaf *leaf, uint32_t code)
{
    return leaf->base + ((uint64_t)code << leaf->shift);
}
static uint64_t highest_of(const struct leaf *leaf, uint32_t code)
{
    return lowest_of(leaf, code) + ((1ull << leaf->shift) - 1);
}

/* A code of one encoding in another that is not finer and covers it. */
static uint32_t code_convert(uint32_t code, const struct leaf *from, struct encoding to)
{
    return (uint32_t)((lowest_of(from, code) - to.base) >> to.shift);
}

static void leaf_coarsen(struct leaf *leaf, struct encoding to)
{
    DCHECK(to.shift >= leaf->shift);
    uint32_t *codes = leaf_codes(leaf);
    for (unsigned i = 0; i < leaf->count; i++) codes[i] = code_convert(codes[i], leaf, to);
    leaf->base = to.base;
    leaf->shift = (uint8_t)to.shift;
}

/* Widens the codes' range so that `order` has one. */
static uint32_t code_make(struct leaf *leaf, uint64_t order)
{
    uint32_t code;
    if (leaf->count == 0) {
        struct encoding fresh = choose(order, order, 0);
        leaf->base = fresh.base;
        leaf->shift = (uint8_t)fresh.shift;
    } else if (!leaf_code(leaf, order, &code)) {
        uint64_t lo = lowest_of(leaf, leaf_codes(leaf)[0]);
        uint64_t hi = highest_of(leaf, leaf_codes(leaf)[leaf->count - 1]);
        if (order < lo) lo = order;
        if (order > hi) hi = order;
        leaf_coarsen(leaf, choose(lo, hi, leaf->shift));
    }
    CHECK(leaf_code(leaf, order, &code));
    return code;
}

void leaf_put(struct leaf *leaf, const struct slab *slab, unsigned at, slab_handle item, uint64_t order)
{
    DCHECK(leaf->count < leaf->cap && at <= leaf->count && item_order(slab, item) == order);
    uint32_t code = code_make(leaf, order);
    uint32_t *codes = leaf_codes(leaf);
    slab_handle *items = leaf_items(leaf);
    unsigned behind = leaf->count - at;
    memmove(codes + at + 1, codes + at, behind * 4);
    memmove(items + at + 1, items + at, behind * 4);
    codes[at] = code;
    items[at] = item;
    leaf->count++;
}

void leaf_take(struct leaf *leaf, unsigned at, unsigned n)
{
    DCHECK(at + n <= leaf->count);
    uint32_t *codes = leaf_codes(leaf);
    slab_handle *items = leaf_items(leaf);
    unsigned behind = leaf->count - at - n;
    memmove(codes + at, codes + at + n, behind * 4);
    memmove(items + at, items + at + n, behind * 4);
    leaf->count = (uint16_t)(leaf->count - n);
}

void leaf_append(struct leaf *leaf, struct leaf *source, unsigned from, unsigned n)
{
    DCHECK(leaf->count + n <= leaf->cap && from + n <= source->count);
    if (n == 0) return;
    uint32_t *codes = leaf_codes(source) + from;
    struct encoding to = {source->base, source->shift};
    if (leaf->count > 0) {
        unsigned shift_min = leaf->shift > source->shift ? leaf->shift : source->shift;
        to = choose(lowest_of(leaf, leaf_codes(leaf)[0]), highest_of(source, codes[n - 1]), shift_min);
        leaf_coarsen(leaf, to);
    }
    leaf->base = to.base;
    leaf->shift = (uint8_t)to.shift;
    for (unsigned i = 0; i < n; i++) leaf_codes(leaf)[leaf->count + i] = code_convert(codes[i], source, to);
    memcpy(leaf_items(leaf) + leaf->count, leaf_items(source) + from, n * 4);
    leaf->count = (uint16_t)(leaf->count + n);
}

void leaf_recode(struct leaf *leaf, const struct slab *slab, unsigned at, uint64_t order)
{
    DCHECK(at < leaf->count);
    uint32_t code = code_make(leaf, order);
    leaf_codes(leaf)[at] = code;
}

void leaf_refine(struct leaf *leaf, const struct slab *slab)
{
    uint32_t *codes = leaf_codes(leaf);
    slab_handle *items = leaf_items(leaf);
    unsigned last = leaf->count - 1u;
    if (leaf->count < 2 || leaf->shift == 0 || codes[last] - codes[0] >= CODE_SPAN_POOR) return;
    for (unsigned i = 0; i < leaf->count; i++) __builtin_prefetch(slab_ptr(slab, items[i]));
    struct encoding to = choose(item_order(slab, items[0]), item_order(slab, items[last]), 0);
    if (to.shift >= leaf->shift) return;
    leaf->base = to.base;
    leaf->shift = (uint8_t)to.shift;
    for (unsigned i = 0; i < leaf->count; i++) CHECK(leaf_code(leaf, item_order(slab, items[i]), &codes[i]));
}
