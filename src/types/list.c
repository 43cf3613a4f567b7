/* list: both forms of a list value and the way between them (contract and layout: list.h).
 *
 * An insertion into the large form finds room in this order: in the chunk at the index (which may grow), at
 * the end of the chunk before it, in a new chunk. In the middle of a full chunk it first splits that one at
 * the index, a step that changes no element, so that failing afterwards still leaves the list what it was.
 * The large form comes from the small one in the same way: first the same elements in one chunk, then the
 * change. Tests: test/unit/list_test.c.
 */
#include "types/list.h"

#include "base/mark.h"
#include "base/mutant.h"
#define TAG_CHUNKED   1u
#define TAG_QUICKLIST 2u
#define SMALL_AGAIN   512u /* bytes of entries at which the only chunk becomes the small form again */
#define TIDY_BELOW    (CHUNK_MAX / 4)
#define LP_FRAME      7u /* a listpack's own bytes */

struct root {
    uint8_t tag, height;
    uint16_t unused;
    slab_handle tree;
    uint32_t count;
    uint32_t lp_low, lp_high;       /* sum of listpack sizes */
    uint32_t bytes_low, bytes_high; /* what tree and chunks take in the slab */
};
_Static_assert(sizeof(struct root) == 28, "list root");

/* The root, unpacked. `used` is the slab's count at the time, from which the bytes' change is computed. */
struct large {
    struct list_tree tree;
    uint8_t tag;
    uint64_t lp, bytes, used;
};

static bool is_chunked(const struct value *list)
{
    return list->bytes[0] & TAG_CHUNKED;
}

static struct large large_read(const struct value *list)
{
    struct root root;
    DCHECK(is_chunked(list) && list->len == sizeof root);
    memcpy(&root, list->bytes, sizeof root);
    return (struct large){.tree = {root.tree, root.count, root.height},
                          .tag = root.tag,
                          .lp = root.lp_low | (uint64_t)root.lp_high << 32,
                          .bytes = root.bytes_low | (uint64_t)root.bytes_high << 32,
                          .used = list->slab->used_bytes};
}

static void large_write(struct value *list, const struct large *large)
{
    uint64_t bytes = large->bytes + (list->slab->used_bytes - large->used);
    struct root root = {.tag = large->tag,
                        .height = large->tree.height,
                        .tree = large->tree.root,
                        .count = large->tree.count,
                        .lp_low = (uint32_t)large->lp,
                        .lp_high = (uint32_t)(large->lp >> 32),
                        .bytes_low = (uint32_t)bytes,
                        .bytes_high = (uint32_t)(bytes >> 32)};
    memcpy(list->bytes, &root, sizeof root);
}

/* ---- the small form ---- */

static uint32_t small_count(const struct value *list)
{
    uint16_t count;
    if (list->len < LIST_EMPTY_AREA) return 0; /* fresh, and not yet of its least size */
    memcpy(&count, list->bytes + 1, 2);
    return count;
}

static void small_set_count(struct value *list, uint32_t count)
{
    uint16_t narrow = (uint16_t)count;
    DCHECK(narrow == count);
    memcpy(list->bytes + 1, &narrow, 2);
}

/* The offset of entry index <= count, from the nearer end. */
static uint32_t small_offset(const struct value *list, uint32_t index)
{
    uint32_t count = small_count(list);
    const uint8_t *at = index <= count / 2 ? entry_skip(list->bytes + LIST_EMPTY_AREA, index)
                                           : entry_skip_back(list->bytes + list->len, count - index);
    return (uint32_t)(at - list->bytes);
}

/* Replaces the bytes [at, at + old) by `fresh` bytes still to be written. False: out of memory. */
static bool small_splice(struct value *list, uint32_t at, uint32_t old, uint32_t fresh)
{
    uint32_t len = list->len, tail = len - at - old;
    if (fresh > old && !list->resize(list, len - old + fresh)) return false;
    memmove(list->bytes + at + fresh, list->bytes + at + old, tail);
    if (fresh < old) CHECK(list->resize(list, len - old + fresh));
    return true;
}

/* ---- from one form to the other ---- */

/* Makes a small list a large one of one chunk (of none when it is empty). */
static int become_large(struct value *list)
{
    struct large large = {.tag = (uint8_t)(list->bytes[0] | TAG_CHUNKED), .used = list->slab->used_bytes};
    uint32_t count = small_count(list), used = list->len - LIST_EMPTY_AREA;
    slab_handle handle = 0;
    if (count > 0) {
        CHECK(used <= CHUNK_MAX - CHUNK_HEAD);
        uint32_t cap = CHUNK_HEAD + used * 2;
        handle = chunk_new(list->slab, cap < CHUNK_MAX ? cap : CHUNK_MAX, false);
        if (handle == 0) return VALUE_NO_MEMORY;
        struct chunk *chunk = chunk_at(list->slab, handle);
        chunk_adopt(chunk, list->bytes + LIST_EMPTY_AREA, used, count);
        large.tree = list_tree_single(list->slab, handle);
        large.lp = chunk->lp;
    }
    uint64_t grown = list->slab->used_bytes - large.used;
    if (!list->resize(list, sizeof(struct root))) {
        if (handle != 0) chunk_free(list->slab, handle);
        return VALUE_NO_MEMORY;
    }
    large.used = list->slab->used_bytes - grown; /* the area's own change does not count */
    large_write(list, &large);
    return VALUE_OK;
}

/* Makes a large list that has become small, or empty, small again; without memory it stays. */
static void become_small(struct value *list)
{
    struct large large = large_read(list);
    uint8_t tag = large.tag & TAG_QUICKLIST;
    uint32_t used = 0, count = large.tree.count;
    if (count > 0) {
        struct chunk *chunk = chunk_at(list->slab, large.tree.root);
        if (large.tree.height > 0 || chunk_is_big(chunk) || chunk_used(chunk) > SMALL_AGAIN) return;
        used = chunk_used(chunk);
    }
    if (!list->resize(list, LIST_EMPTY_AREA + used)) return;
    list->bytes[0] = tag;
    small_set_count(list, count);
    if (count == 0) return;
    struct chunk *chunk = chunk_at(list->slab, large.tree.root);
    memcpy(list->bytes + LIST_EMPTY_AREA, chunk_bytes(chunk) + chunk->begin, used);
    chunk_free(list->slab, large.tree.root);
}

/* ---- reading ---- */

uint32_t list_count(const struct value *list)
{
    if (!is_chunked(list)) return small_count(list);
    struct root root;
    memcpy(&root, list->bytes, sizeof root);
    return root.count;
}

struct slice list_get(const struct value *list, uint32_t index)
{
    CHECK(index < list_count(list));
    struct slice element;
    if (!is_chunked(list)) {
        entry_read(list->bytes + small_offset(list, index), &element);
        return element;
    }
    struct large large = large_read(list);
    struct list_path path;
    list_tree_seek(&large.tree, list->slab, index, &path);
    return chunk_get(chunk_at(list->slab, path.chunk), path.index);
}

/* Sets the run to the path's chunk, the place to its entry path.index. */
static void iter_enter(struct list_iter *iter, bool at_end)
{
    struct chunk *chunk = chunk_at(iter->slab, iter->path.chunk);
    iter->big = chunk_is_big(chunk);
    uint8_t *bytes = chunk_bytes(chunk);
    iter->begin = iter->big ? chunk->data : bytes + chunk->begin;
    iter->end = iter->big ? chunk->data + chunk->len : bytes + chunk->end;
    iter->at = at_end ? iter->end : iter->begin;
}

void list_iter_seek(const struct value *list, uint32_t index, struct list_iter *iter)
{
    CHECK(index <= list_count(list));
    *iter = (struct list_iter){.slab = list->slab, .chunked = is_chunked(list)};
    if (!iter->chunked) {
        iter->begin = list->bytes + LIST_EMPTY_AREA;
        iter->end = list->bytes + list->len;
        iter->at = list->bytes + small_offset(list, index);
        return;
    }
    struct large large = large_read(list);
    list_tree_seek(&large.tree, list->slab, index, &iter->path);
    struct chunk *chunk = chunk_at(list->slab, iter->path.chunk);
    iter_enter(iter, iter->path.index == chunk->count);
    if (!iter->big) iter->at = chunk_bytes(chunk) + chunk_offset(chunk, iter->path.index);
}

bool list_iter_next(struct list_iter *iter, struct slice *element)
{
    if (iter->at == iter->end) {
        if (!iter->chunked || !list_tree_next(iter->slab, &iter->path)) return false;
        iter_enter(iter, false);
    }
    if (UNLIKELY(iter->big)) {
        *element = (struct slice){(const char *)iter->begin, (size_t)(iter->end - iter->begin)};
        iter->at = iter->end;
    } else {
        iter->at = entry_read(iter->at, element);
    }
    return true;
}

bool list_iter_prev(struct list_iter *iter, struct slice *element)
{
    if (iter->at == iter->begin) {
        if (!iter->chunked || !list_tree_prev(iter->slab, &iter->path)) return false;
        iter_enter(iter, true);
    }
    if (UNLIKELY(iter->big)) {
        *element = (struct slice){(const char *)iter->begin, (size_t)(iter->end - iter->begin)};
        iter->at = iter->begin;
    } else {
        iter->at = entry_before(iter->at);
        entry_read(iter->at, element);
    }
    return true;
}

bool list_find(const struct value *list, uint32_t from, bool backward, struct slice needle, uint32_t *index)
{
    struct list_iter iter;
    struct slice element;
    list_iter_seek(list, backward ? from + 1 : from, &iter);
    for (uint32_t at = from; backward ? list_iter_prev(&iter, &element) : list_iter_next(&iter, &element);
         at += backward ? -1u : 1u) {
        if (slice_equal(element, needle)) {
            *index = at;
            return true;
        }
    }
    return false;
}

/* ---- adding to the large form ---- */

/* Makes room for an entry of `need` bytes in the path's chunk, letting it grow; false: it is full, big, or
 * there is no memory to grow (which a new chunk then will meet as well). */
static bool chunk_fits(struct large *large, struct slab *slab, struct list_path *path, uint32_t need)
{
    struct chunk *chunk = chunk_at(slab, path->chunk);
    if (chunk_is_big(chunk)) return false;
    if (chunk_spare(chunk) >= need) return true;
    if (chunk->cap == CHUNK_MAX || CHUNK_HEAD + chunk_used(chunk) + need > CHUNK_MAX) return false;
    uint32_t wanted = CHUNK_HEAD + chunk_used(chunk) + need, cap = chunk->cap * 2u;
    if (cap < wanted) cap = wanted;
    if (cap > CHUNK_MAX) cap = CHUNK_MAX;
    slab_handle grown = chunk_regrow(slab, path->chunk, cap, path->index == 0);
    if (grown == 0) return false;
    list_tree_move(&large->tree, slab, path, grown);
    return true;
}

/* Cuts the path's chunk in two at its index; the second half has room for `need` more. The list stays the
 * same. */
static bool chunk_split(struct large *large, struct slab *slab, const struct list_path *path, uint32_t need)
{
    struct chunk *chunk = chunk_at(slab, path->chunk);
    uint32_t moved = chunk->end - chunk_offset(chunk, path->index);
    uint32_t cap = CHUNK_HEAD + moved + need;
    slab_handle right = chunk_new(slab, cap < CHUNK_MAX ? cap : CHUNK_MAX, true);
    if (right == 0) return false;
    chunk_append(chunk_at(slab, right), chunk, path->index);
    int32_t count = (int32_t)chunk_at(slab, right)->count;
    list_tree_add(&large->tree, slab, path, -count);
    if (!list_tree_insert(&large->tree, slab, path, true, right)) {
        list_tree_add(&large->tree, slab, path, count);
        chunk_free(slab, right);
        return false;
    }
    MARK("list.chunk_split");
    chunk_take(chunk, path->index, (uint32_t)count);
    return true;
}

static void chunk_put_counted(struct large *large, struct slab *slab, const struct list_path *path,
                              struct slice element)
{
    struct chunk *chunk = chunk_at(slab, path->chunk);
    large->lp -= chunk->lp;
    chunk_put(chunk, path->index, element);
    large->lp += chunk->lp;
    list_tree_add(&large->tree, slab, path, 1);
}

/* A new chunk of this one element in front of, or behind, the path's one. */
static bool chunk_found(struct large *large, struct slab *slab, const struct list_path *path, bool after,
                        struct slice element)
{
    size_t need = entry_size(element.len);
    slab_handle handle;
    if (need > CHUNK_ENTRY_MAX) {
        handle = chunk_new_big(slab, element);
        if (handle == 0) return false;
    } else {
        handle =
            chunk_new(slab, CHUNK_HEAD + need > CHUNK_NEW ? CHUNK_HEAD + (uint32_t)need : CHUNK_NEW, !after);
        if (handle == 0) return false;
        chunk_put(chunk_at(slab, handle), 0, element);
    }
    if (large->tree.root == 0) {
        large->tree = list_tree_single(slab, handle);
    } else if (!list_tree_insert(&large->tree, slab, path, after, handle)) {
        chunk_free(slab, handle);
        return false;
    }
    large->lp += chunk_at(slab, handle)->lp;
    return true;
}

static bool large_insert(struct large *large, struct slab *slab, uint32_t index, struct slice element)
{
    if (large->tree.count == UINT32_MAX || element.len > UINT32_MAX - 64) return false;
    struct list_path path = {0};
    if (large->tree.root == 0) return chunk_found(large, slab, &path, true, element);
    size_t need = entry_size(element.len);
    bool small = need <= CHUNK_ENTRY_MAX;
    list_tree_seek(&large->tree, slab, index, &path);
    if (small && chunk_fits(large, slab, &path, (uint32_t)need)) {
        chunk_put_counted(large, slab, &path, element);
        return true;
    }
    uint32_t count = chunk_at(slab, path.chunk)->count;
    if (path.index > 0 && path.index < count) {
        if (!chunk_split(large, slab, &path, small ? (uint32_t)need : 0)) return false;
        list_tree_seek(&large->tree, slab, index, &path);
        if (small && chunk_fits(large, slab, &path, (uint32_t)need)) {
            chunk_put_counted(large, slab, &path, element);
            return true;
        }
    }
    if (path.index > 0) return chunk_found(large, slab, &path, true, element);
    struct list_path before = path;
    if (small && list_tree_prev(slab, &before)) {
        before.index = chunk_at(slab, before.chunk)->count;
        if (chunk_fits(large, slab, &before, (uint32_t)need)) {
            chunk_put_counted(large, slab, &before, element);
            return true;
        }
    }
    return chunk_found(large, slab, &path, false, element);
}

/* ---- removing from the large form ---- */

/* Joins the path's chunk, of which little is left, with a neighbour that has the room. */
static void tidy(struct large *large, struct slab *slab, const struct list_path *path)
{
    struct chunk *chunk = chunk_at(slab, path->chunk);
    if (chunk_is_big(chunk) || chunk_used(chunk) >= TIDY_BELOW) return;
    struct list_path left = *path, right = *path;
    if (list_tree_prev(slab, &left)) {
        struct chunk *other = chunk_at(slab, left.chunk);
        if (chunk_is_big(other) || chunk_spare(other) < chunk_used(chunk)) left = *path;
    }
    if (left.chunk == path->chunk) {
        if (!list_tree_next(slab, &right)) {
            if (path->height > 0 || chunk->cap < CHUNK_NEW || chunk_used(chunk) * 4 > chunk->cap) return;
            struct list_path only = *path;
            slab_handle less = chunk_regrow(slab, path->chunk, CHUNK_HEAD + chunk_used(chunk) * 2, false);
            if (less != 0) list_tree_move(&large->tree, slab, &only, less);
            return;
        }
        struct chunk *other = chunk_at(slab, right.chunk);
        if (chunk_is_big(other) || chunk_spare(chunk) < chunk_used(other)) return;
    }
    MARK("list.chunks_joined");
    struct chunk *into = chunk_at(slab, left.chunk), *from = chunk_at(slab, right.chunk);
    uint32_t moved = from->count;
    chunk_append(into, from, 0);
    list_tree_add(&large->tree, slab, &left, (int32_t)moved);
    list_tree_remove(&large->tree, slab, &right, moved);
    chunk_free(slab, slab_handle_of(slab, from));
}

static void large_remove(struct large *large, struct slab *slab, uint32_t index, uint32_t n)
{
    while (n > 0) {
        struct list_path path;
        list_tree_seek(&large->tree, slab, index, &path);
        struct chunk *chunk = chunk_at(slab, path.chunk);
        uint32_t taken = chunk->count - path.index < n ? chunk->count - path.index : n;
        n -= taken;
        large->lp -= chunk->lp;
        if (taken == chunk->count) {
            list_tree_remove(&large->tree, slab, &path, taken);
            chunk_free(slab, path.chunk);
            continue;
        }
        chunk_take(chunk, path.index, taken);
        large->lp += chunk->lp;
        list_tree_add(&large->tree, slab, &path, -(int32_t)taken);
        if (n == 0) tidy(large, slab, &path);
    }
}

/* ---- mutators ---- */

static int small_push(struct value *list, enum list_end end, const struct slice *elements, uint32_t n,
                      uint32_t size)
{
    uint32_t at = end == LIST_HEAD ? LIST_EMPTY_AREA : list->len;
    uint8_t *out;
    if (!small_splice(list, at, 0, size)) return VALUE_NO_MEMORY;
    out = list->bytes + at;
    for (uint32_t i = 0; i < n; i++) {
        struct slice element = elements[end == LIST_HEAD ? n - 1 - i : i];
        entry_write(out, element);
        out += entry_size(element.len);
    }
    small_set_count(list, small_count(list) + n);
    return VALUE_OK;
}

int list_push(struct value *list, enum list_end end, const struct slice *elements, uint32_t n)
{
    if (!is_chunked(list)) {
        uint64_t size = 0;
        for (uint32_t i = 0; i < n; i++) size += entry_size(elements[i].len);
        if (list->len + size <= VALUE_PACKED_MAX) return small_push(list, end, elements, n, (uint32_t)size);
        int made = become_large(list);
        if (made != VALUE_OK) return made;
    }
    struct large large = large_read(list);
    uint32_t done = 0;
    while (done < n &&
           large_insert(&large, list->slab, end == LIST_HEAD ? 0 : large.tree.count, elements[done]))
        done++;
    if (done < n) large_remove(&large, list->slab, end == LIST_HEAD ? 0 : large.tree.count - done, done);
    large_write(list, &large);
    if (done < n) become_small(list);
    return done == n ? VALUE_OK : VALUE_NO_MEMORY;
}

int list_insert(struct value *list, uint32_t index, struct slice element)
{
    CHECK(index <= list_count(list));
    if (!is_chunked(list)) {
        size_t size = entry_size(element.len);
        if (list->len + size <= VALUE_PACKED_MAX) {
            uint32_t at = small_offset(list, index);
            if (!small_splice(list, at, 0, (uint32_t)size)) return VALUE_NO_MEMORY;
            entry_write(list->bytes + at, element);
            small_set_count(list, small_count(list) + 1);
            return VALUE_OK;
        }
        int made = become_large(list);
        if (made != VALUE_OK) return made;
    }
    struct large large = large_read(list);
    bool done = large_insert(&large, list->slab, index, element);
    large_write(list, &large);
    if (!done) become_small(list);
    return done ? VALUE_OK : VALUE_NO_MEMORY;
}

static bool large_set(struct large *large, struct slab *slab, uint32_t index, struct slice element)
{
    struct list_path path;
    list_tree_seek(&large->tree, slab, index, &path);
    struct chunk *chunk = chunk_at(slab, path.chunk);
    size_t need = entry_size(element.len);
    if (!chunk_is_big(chunk) && need <= CHUNK_ENTRY_MAX &&
        need <= chunk_spare(chunk) + entry_size(chunk_get(chunk, path.index).len)) {
        large->lp -= chunk->lp;
        chunk_take(chunk, path.index, 1);
        chunk_put(chunk, path.index, element);
        large->lp += chunk->lp;
        return true;
    }
    if (!large_insert(large, slab, index, element)) return false;
    large_remove(large, slab, index + 1, 1);
    return true;
}

int list_set(struct value *list, uint32_t index, struct slice element)
{
    CHECK(index < list_count(list));
    size_t size = entry_size(element.len);
    if (!is_chunked(list)) {
        uint32_t at = small_offset(list, index);
        uint32_t old = (uint32_t)(entry_skip(list->bytes + at, 1) - (list->bytes + at));
        if (list->len - old + size <= VALUE_PACKED_MAX) {
            if (!small_splice(list, at, old, (uint32_t)size)) return VALUE_NO_MEMORY;
            entry_write(list->bytes + at, element);
            return VALUE_OK;
        }
        int made = become_large(list);
        if (made != VALUE_OK) return made;
    }
    struct large large = large_read(list);
    bool done = large_set(&large, list->slab, index, element);
    large_write(list, &large);
    become_small(list);
    return done ? VALUE_OK : VALUE_NO_MEMORY;
}

void list_remove(struct value *list, uint32_t index, uint32_t n)
{
    CHECK(index <= list_count(list) && n <= list_count(list) - index);
    if (n == 0) return;
    if (!is_chunked(list)) {
        uint32_t from = small_offset(list, index), to = small_offset(list, index + n);
        small_set_count(list, small_count(list) - n);
        small_splice(list, from, to - from, 0);
        return;
    }
    struct large large = large_read(list);
    large_remove(&large, list->slab, index, n);
    large_write(list, &large);
    become_small(list);
}

/* ---- the encoding that clients see ---- */

static uint64_t listpack_bytes(const struct value *list)
{
    if (is_chunked(list)) return LP_FRAME + large_read(list).lp;
    uint64_t sum = LP_FRAME;
    struct list_iter iter;
    struct slice element;
    list_iter_seek(list, 0, &iter);
    while (list_iter_next(&iter, &element)) sum += listpack_size(element);
    return sum;
}

struct limit {
    uint64_t bytes, count;
};

static struct limit limit_of(int fill)
{
    static const uint32_t bytes[] = {4096, 8192, 16384, 32768, 65536};
    if (fill >= 0) return (struct limit){UINT64_MAX, fill == 0 ? 1 : (uint64_t)fill};
    return (struct limit){bytes[fill < -5 ? 4 : -fill - 1], UINT64_MAX};
}

#define COUNTED_BYTES 8192 /* limits by count come with this one */

/* Is this too much for a listpack? */
static bool exceeds(int fill, uint64_t bytes, uint64_t count)
{
    struct limit limit = limit_of(fill);
    if (limit.bytes != UINT64_MAX) return bytes > limit.bytes;
    return bytes > COUNTED_BYTES || count > limit.count;
}

bool list_is_quicklist(const struct value *list)
{
    return list->bytes[0] & TAG_QUICKLIST;
}

void list_encoding_grow(struct value *list, int fill, uint64_t bytes, uint64_t n)
{
    if (list_is_quicklist(list)) return;
    uint64_t count = list_count(list) + n;
    /* A small list's listpack is at most a little larger than its area: mostly there is nothing to add up. */
    if (!is_chunked(list) && !exceeds(fill, list->len + list->len / 32 + bytes + LP_FRAME, count)) return;
    if (exceeds(fill, listpack_bytes(list) + bytes, count)) list->bytes[0] |= TAG_QUICKLIST;
}

void list_encoding_restore(struct value *list, bool is_quicklist)
{
    if (!is_quicklist) list->bytes[0] &= (uint8_t)~TAG_QUICKLIST;
}

void list_encoding_shrink(struct value *list, int fill)
{
    if (!list_is_quicklist(list)) return;
    struct limit limit = limit_of(fill);
    /* With a limit by count what is larger than 8 KiB has several nodes in Redis, or one that is no listpack.
     */
    uint64_t bytes =
        limit.bytes != UINT64_MAX || MUTANT(list_shrinks_large) ? limit.bytes / 2 : COUNTED_BYTES;
    if (list_count(list) > limit.count / (MUTANT(list_shrinks_at_once) ? 1 : 2) ||
        listpack_bytes(list) > bytes)
        return;
    list->bytes[0] &= (uint8_t)~TAG_QUICKLIST;
}

void list_encoding_settle(struct value *list, int fill)
{
    list->bytes[0] &= (uint8_t)~TAG_QUICKLIST;
    if (exceeds(fill, listpack_bytes(list), list_count(list))) list->bytes[0] |= TAG_QUICKLIST;
}

/* ---- the whole ---- */

uint64_t list_memory(const struct value *list)
{
    return is_chunked(list) ? large_read(list).bytes : 0;
}

int list_copy(const struct value *list, struct value *copy)
{
    CHECK(list_count(copy) == 0);
    if (!copy->resize(copy, LIST_EMPTY_AREA)) return VALUE_NO_MEMORY;
    memset(copy->bytes, 0, LIST_EMPTY_AREA);
    if (!is_chunked(list)) {
        if (!copy->resize(copy, list->len)) return VALUE_NO_MEMORY;
        memcpy(copy->bytes, list->bytes, list->len);
        return VALUE_OK;
    }
    struct list_iter iter;
    struct slice element;
    int done = become_large(copy);
    if (done != VALUE_OK) return done;
    struct large large = large_read(copy);
    large.tag |= list->bytes[0] & TAG_QUICKLIST;
    list_iter_seek(list, 0, &iter);
    while (done == VALUE_OK && list_iter_next(&iter, &element)) {
        if (!large_insert(&large, copy->slab, large.tree.count, element)) done = VALUE_NO_MEMORY;
    }
    large_write(copy, &large);
    if (done != VALUE_OK) list_free(copy);
    return done;
}

void list_free(struct value *list)
{
    if (is_chunked(list)) {
        struct large large = large_read(list);
        list_tree_free(&large.tree, list->slab);
    }
    memset(list->bytes, 0, list->len);
    if (list->len > LIST_EMPTY_AREA) CHECK(list->resize(list, LIST_EMPTY_AREA));
}

bool list_free_some(struct value *list, uint32_t *cursor, uint32_t *work)
{
    struct root root;
    if (!is_chunked(list)) return true;
    memcpy(&root, list->bytes, sizeof root);
    struct list_tree tree = {root.tree, root.count, root.height};
    bool done = list_tree_free_some(&tree, list->slab, work);
    root.tree = tree.root;
    root.height = tree.height;
    memcpy(list->bytes, &root, sizeof root);
    return done;
}

void list_verify(const struct value *list)
{
    if (is_chunked(list)) {
        struct large large = large_read(list);
        CHECK(list_tree_verify(&large.tree, list->slab) == large.bytes);
        uint64_t lp = 0;
        struct list_iter iter;
        struct slice element;
        for (list_iter_seek(list, 0, &iter); list_iter_next(&iter, &element);) lp += listpack_size(element);
        CHECK(lp == large.lp && large.tree.count > 0);
        return;
    }
    CHECK(list->len >= LIST_EMPTY_AREA && list->len <= VALUE_PACKED_MAX);
    const uint8_t *begin = list->bytes + LIST_EMPTY_AREA, *end = list->bytes + list->len;
    CHECK(entry_skip(begin, small_count(list)) == end && entry_skip_back(end, small_count(list)) == begin);
}
