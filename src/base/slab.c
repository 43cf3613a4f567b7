/* The slab: size-class spans and page runs in one reserved stretch of address space.
 *
 *   base                                                               top      limit
 *   | page 0: state, first page table entries, objects | span | run | free | ..... | page table |
 *
 * Pages are 4 KiB. A *span* is 1..16 pages cut into slots of one size class; a *large run* is one allocation
 * of whole pages; a *mixed page* holds objects of many classes behind a bitmap, so that a partition with a
 * handful of keys does not pay a page per class. Each page has a 16-byte entry in the page table: the first
 * page of a span is its descriptor, the others point back to it. The table starts inside page 0 and moves to
 * the end of the reservation when the slab outgrows it: an empty slab touches exactly one page.
 *
 * Invariants
 *  1. Handle 0 is inside page 0's header and is never given out.
 *  2. Classes: exact to 8 bytes up to 1 KiB, 64-byte steps to 4 KiB, 256-byte steps to 16 KiB (at most 6 %
 *     above the wish), page runs beyond. Slots start at page boundaries, so sizes that are multiples of 64
 *     are 64-byte aligned.
 *  3. A span with a free slot is in its class's circular list (`listed`); allocation takes from the head
 *     until it is full; a full span that gets a free slot joins at the tail, so sparse spans drain. live == 0
 *     gives it back.
 *  4. Free runs are coalesced: no two are neighbours. Only the first and last entry of a free run are valid,
 *     but for `dirty`, valid for every page below top that is not inside a large run (there it is 0).
 *  5. held_bytes = pages of large runs + dirty pages. A page turns dirty when a slot first reaches into it,
 *     so the unused tail of a fresh span costs nothing. Dirty free pages stay for reuse up to 1/64 of what
 *     is held (16..1024 pages) or as one run of up to 4 MiB. Beyond that a run is decommitted once it has
 *     CLEAN_BATCH of them: a system call, and an interrupt of the other CPUs, for every single page would
 *     cost far more than the free that caused it. At 1/4 of what is held (1024 pages) the longest run goes.
 *     What nobody reuses goes with slab_decay.
 *
 * Cost: alloc and free of a small object ~5 ns when its span's entry is cached; a new span or run ~100 ns;
 * the search for a run looks at two bitmap words and at most RUN_TRIES entries. Page table: 0.4 % of what is
 * held, not counted in it. Threading: see slab.h. Tests: test/unit/slab_test.c.
 */
#include "base/slab.h"
#include "base/check.h"

#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define SLAB_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_ASAN 1
#endif
#endif
#ifdef SLAB_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, len)   ASAN_POISON_MEMORY_REGION(p, len)
#define UNPOISON(p, len) ASAN_UNPOISON_MEMORY_REGION(p, len)
#else
#define POISON(p, len)   ((void)0)
#define UNPOISON(p, len) ((void)0)
#endif

#define PAGE_BYTES   4096u
#define PAGE_UNITS   512u /* handles count units of 8 bytes */
#define PAGES_MAX    (1u << 23)
#define SPAN_PAGES   16u /* longest span */
#define SMALL_CLASS  128u
#define MID_CLASS    176u /* up to 4 KiB */
#define CLASSES      225u /* up to 16 KiB; class 0 is unused */
#define SPAN_MAX     16384u
#define BINS         104u
#define RUN_TRIES    8u
#define EARLY_PAGES  32u  /* page table entries inside page 0 */
#define MIXED_CLASS  64u  /* classes up to 512 bytes may use mixed pages */
#define MIXED_UNITS  128u /* ... until a class has 1 KiB there */
#define MIXED_TRIES  8u
#define DIRTY_MIN    16u /* free pages kept committed: at least, at most */
#define DIRTY_MAX    1024u
#define CLEAN_BATCH  32u             /* dirty pages for which a system call is made while objects are freed */
#define DIRTY_FEW    4u              /* with so few kept, one more run may stay whatever its size */
#define DECAY_VISITS 64u             /* free runs that slab_decay looks at */
#define OVERDRAFT    8192u           /* pages beyond a small limit, for what slab_reserve promised */
#define CLASS_SLACK  (17u * CLASSES) /* pages: in each class a span that is not full, and a mixed page */
#define HUGE_ON                                                                                              \
    (16u << 20) /* held bytes at which huge pages are advised; half of it takes the advice back              \
                 */
#define NO_SLOT 0xffffu

enum { KIND_FREE = 0, KIND_LARGE = 250, KIND_MIXED, KIND_INNER }; /* 1..224: head of a span of that class */

struct page {
    uint32_t next, prev; /* circular: spans of a class with room, free runs of a bin, mixed pages */
    union {
        struct {
            uint16_t free; /* span: first free slot in units from its start, or NO_SLOT. Mixed: smallest size
                              in units that was not found since the last free */
            uint16_t live; /* span: slots in use. Mixed: units in use */
        };
        uint32_t run_pages; /* free run (first and last page), large run (first page) */
    };
    uint16_t bump : 14; /* span: units ever handed out. Free run: its dirty pages */
    uint16_t dirty : 1; /* this page is committed: invariant 5 */
    uint16_t listed : 1;
    uint8_t kind;
    uint8_t extent; /* span: its pages. Inner page: distance to the head */
};
_Static_assert(sizeof(struct page) == 16, "page table entry");

struct slab_state {
    uint64_t mixed_map[8]; /* page 0 is a mixed page: its bitmap stands first, as in every mixed page */
    struct page *pages;
    uint32_t top;         /* pages at and above were never used */
    uint32_t page_limit;  /* with the overdraft */
    uint32_t reach;       /* how far top may go now */
    uint32_t overdraft;   /* pages at the end that only reservations reach */
    uint32_t taken;       /* pages in spans, large runs and mixed pages */
    uint32_t kept;        /* free pages that only slab_alloc_smaller and reservations may take */
    uint32_t kept_usual;  /* ... outside of these */
    uint32_t promised;    /* pages that slab_reserve promised; 0: none */
    uint32_t promised_at; /* `taken` when it did */
    uint32_t dirty_free;  /* dirty pages in free runs */
    uint32_t dirty_low;   /* the least it was since the last slab_decay */
    uint32_t clean_bin;   /* where clean_some() goes on */
    uint32_t mixed;       /* a mixed page; page 0 at first */
    uint64_t fail_after;  /* allocations until the injected failure + 1; 0: none */
    bool fail_forever;
    bool huge;
    uint64_t bin_map[2];
    void *reserved;
    size_t reserved_len;
    struct slab_memory memory;
    uint32_t bins[BINS];       /* first free run of a bin; 0: none (page 0 is never free) */
    uint32_t partial[CLASSES]; /* first span with room; 0: none */
    uint16_t spans[CLASSES];   /* saturating; while 0, small objects go to mixed pages */
    uint8_t mixed_units[MIXED_CLASS + 1];
    struct page early[EARLY_PAGES];
};
_Static_assert(sizeof(struct slab_state) <= PAGE_BYTES - 1024, "page 0 must leave room for a small table");

/* ---- size classes ---- */

static inline unsigned class_of(size_t size)
{
    if (LIKELY(size <= SLAB_SMALL_MAX)) return (unsigned)(size + 7) >> 3;
    if (size <= PAGE_BYTES) return SMALL_CLASS + ((unsigned)(size - SLAB_SMALL_MAX + 63) >> 6);
    return MID_CLASS + ((unsigned)(size - PAGE_BYTES + 255) >> 8);
}

static inline unsigned class_units(unsigned class)
{
    if (LIKELY(class <= SMALL_CLASS)) return class;
    if (class <= MID_CLASS) return SMALL_CLASS + ((class - SMALL_CLASS) << 3);
    return PAGE_UNITS + ((class - MID_CLASS) << 5);
}

static inline uint32_t run_pages_of(size_t size)
{
    return (uint32_t)((size + PAGE_BYTES - 1) / PAGE_BYTES);
}

size_t slab_rounded(size_t size)
{
    if (size == 0) size = 1;
    if (size > SPAN_MAX) return (size_t)run_pages_of(size) * PAGE_BYTES;
    return (size_t)class_units(class_of(size)) * 8;
}

/* ---- pages: touching, lists, bins ---- */

static inline uint8_t *page_ptr(struct slab *slab, uint32_t page)
{
    return slab->base + (size_t)page * PAGE_BYTES;
}

static void held_add(struct slab *slab, int64_t pages)
{
    struct slab_state *state = slab->state;
    slab->held_bytes += (uint64_t)(pages * (int64_t)PAGE_BYTES);
    if (UNLIKELY(!state->huge && slab->held_bytes >= HUGE_ON)) {
        state->huge = true;
        if (state->memory.huge) state->memory.huge(slab->base, (size_t)state->page_limit * PAGE_BYTES, true);
    } else if (UNLIKELY(state->huge && slab->held_bytes < HUGE_ON / 2)) {
        state->huge = false;
        if (state->memory.huge) state->memory.huge(slab->base, (size_t)state->page_limit * PAGE_BYTES, false);
    }
}

static void page_touch(struct slab *slab, uint32_t page)
{
    struct page *entry = &slab->state->pages[page];
    if (entry->dirty) return;
    entry->dirty = 1;
    held_add(slab, 1);
}

static void ring_insert_before(struct page *pages, uint32_t at, uint32_t page)
{
    uint32_t last = pages[at].prev;
    pages[page].next = at;
    pages[page].prev = last;
    pages[last].next = page;
    pages[at].prev = page;
}

/* Inserts `page` at the end of the circular list whose first element is *head. */
static void list_append(struct slab_state *state, uint32_t *head, uint32_t page)
{
    if (*head) {
        ring_insert_before(state->pages, *head, page);
        return;
    }
    state->pages[page].next = state->pages[page].prev = page;
    *head = page;
}

static void list_remove(struct slab_state *state, uint32_t *head, uint32_t page)
{
    struct page *pages = state->pages;
    uint32_t next = pages[page].next, prev = pages[page].prev;
    if (next == page) {
        *head = 0;
        return;
    }
    pages[prev].next = next;
    pages[next].prev = prev;
    if (*head == page) *head = next;
}

/* Bins: exact up to 31 pages, four per power of two above. */
static unsigned bin_of(uint32_t pages)
{
    if (pages < 32) return pages;
    unsigned exponent = 31u - (unsigned)__builtin_clz(pages);
    return 32 + (exponent - 5) * 4 + ((pages >> (exponent - 2)) & 3);
}

static void free_run_unlink(struct slab_state *state, uint32_t run)
{
    unsigned bin = bin_of(state->pages[run].run_pages);
    list_remove(state, &state->bins[bin], run);
    if (state->bins[bin] == 0) state->bin_map[bin >> 6] &= ~(1ull << (bin & 63));
}

static void free_run_link(struct slab_state *state, uint32_t run, uint32_t pages, uint32_t dirty)
{
    struct page *first = &state->pages[run], *last = &state->pages[run + pages - 1];
    unsigned bin = bin_of(pages);
    first->kind = last->kind = KIND_FREE;
    first->run_pages = last->run_pages = pages;
    first->bump = dirty & 0x3fff;
    list_append(state, &state->bins[bin], run);
    state->bin_map[bin >> 6] |= 1ull << (bin & 63);
}

static uint32_t count_dirty(const struct slab_state *state, uint32_t run, uint32_t pages)
{
    uint32_t dirty = 0;
    for (uint32_t i = 0; i < pages; i++) dirty += state->pages[run + i].dirty;
    return dirty;
}

/* ---- bitmaps of mixed pages ---- */

static unsigned map_next(const uint64_t map[8], unsigned from, bool set)
{
    while (from < PAGE_UNITS) {
        uint64_t word = set ? map[from >> 6] : ~map[from >> 6];
        word &= ~0ull << (from & 63);
        if (word) return (from & ~63u) + (unsigned)__builtin_ctzll(word);
        from = (from | 63) + 1;
    }
    return PAGE_UNITS;
}

static void map_fill(uint64_t map[8], unsigned from, unsigned count, bool set)
{
    for (unsigned i = from; i < from + count; i++) {
        CHECK(((map[i >> 6] >> (i & 63)) & 1) != set); /* a double free stops here */
        map[i >> 6] ^= 1ull << (i & 63);
    }
}

/* ---- page runs ---- */

/* Makes [top, top + pages) usable; entries of fresh pages start clean. */
static void top_extend(struct slab *slab, uint32_t pages)
{
    struct slab_state *state = slab->state;
    uint32_t top = state->top + pages;
    if (state->pages == state->early && top > EARLY_PAGES) {
        struct page *table = (struct page *)(slab->base + (size_t)state->page_limit * PAGE_BYTES);
        memcpy(table, state->early, state->top * sizeof(struct page));
        state->pages = table;
        unsigned from = offsetof(struct slab_state, early) / 8, units = sizeof(state->early) / 8;
        map_fill(state->mixed_map, from, units, false); /* objects may have the place */
        POISON(state->early, sizeof(state->early));
        state->pages[0].free = NO_SLOT;
    }
    memset(&state->pages[state->top], 0, pages * sizeof(struct page));
    state->top = top;
}

static uint32_t run_find(struct slab_state *state, uint32_t pages, uint32_t tries)
{
    unsigned bin = bin_of(pages);
    if (pages >= 32) { /* the own bin may hold shorter runs */
        uint32_t run = state->bins[bin];
        for (uint32_t i = 0; run && i < tries; i++) {
            if (state->pages[run].run_pages >= pages) return run;
            run = state->pages[run].next;
            if (run == state->bins[bin]) break;
        }
        bin++;
    }
    for (unsigned word = bin >> 6; word < 2; word++, bin = word << 6) {
        uint64_t map = state->bin_map[word] & (~0ull << (bin & 63));
        if (map) return state->bins[(word << 6) + (unsigned)__builtin_ctzll(map)];
    }
    return 0;
}

/* The run that begins with the free pages right below top and goes on above it. 0: not enough address space.
 */
static uint32_t run_extend(struct slab *slab, uint32_t pages)
{
    struct slab_state *state = slab->state;
    struct page *last = &state->pages[state->top - 1];
    uint32_t tail = last->kind == KIND_FREE ? last->run_pages : 0, run = state->top - tail, dirty = 0;
    if (tail >= pages) return run;
    if (run + pages > state->reach) return run_find(state, pages, PAGES_MAX);
    if (tail) {
        dirty = state->pages[run].bump;
        free_run_unlink(state, run);
    }
    top_extend(slab, pages - tail);
    free_run_link(state, run, pages, dirty);
    return run;
}

/* Takes a run of `pages`; *taken_dirty of them are dirty. Its kinds are undefined. 0: no address space left.
 */
static uint32_t run_take(struct slab *slab, uint32_t pages, uint32_t *taken_dirty)
{
    struct slab_state *state = slab->state;
    if (pages + state->taken + state->kept > state->page_limit) return 0;
    DCHECK(state->promised == 0 ||
           (int64_t)state->taken + pages - state->promised_at <= (int64_t)state->promised);
    uint32_t run = run_find(state, pages, RUN_TRIES);
    if (run == 0) run = run_extend(slab, pages);
    if (run == 0) return 0;
    uint32_t have = state->pages[run].run_pages, dirty = state->pages[run].bump, taken = dirty;
    free_run_unlink(state, run);
    if (have > pages) {
        taken = dirty ? count_dirty(state, run, pages) : 0;
        free_run_link(state, run + pages, have - pages, dirty - taken);
    }
    state->dirty_free -= taken;
    if (state->dirty_free < state->dirty_low) state->dirty_low = state->dirty_free;
    state->taken += pages;
    *taken_dirty = taken;
    return run;
}

/* Decommits the dirty pages of a free run. */
static void run_clean(struct slab *slab, uint32_t run)
{
    struct slab_state *state = slab->state;
    struct page *first = &state->pages[run];
    uint32_t dirty = first->bump, pages = first->run_pages;
    for (uint32_t i = 0, left = dirty; left > 0; i++) {
        if (!state->pages[run + i].dirty) continue;
        uint32_t end = i; /* each dirty stretch on its own */
        while (end < pages && state->pages[run + end].dirty) state->pages[run + end++].dirty = 0;
        state->memory.decommit(page_ptr(slab, run + i), (size_t)(end - i) * PAGE_BYTES);
        left -= end - i;
        i = end - 1;
    }
    first->bump = 0;
    state->dirty_free -= dirty;
    held_add(slab, -(int64_t)dirty);
}

/* After `run` has come: free pages beyond `keep` go back to the system, in batches. */
static void limit_dirty(struct slab *slab, uint32_t run, uint64_t keep)
{
    struct slab_state *state = slab->state;
    if (state->dirty_free <= keep) return;
    if (state->pages[run].bump >= CLEAN_BATCH) {
        run_clean(slab, run);
        return;
    }
    uint64_t most = slab->held_bytes / PAGE_BYTES / 4;
    if (state->dirty_free <= (most < keep ? keep : most > DIRTY_MAX ? DIRTY_MAX : most)) return;
    unsigned word = state->bin_map[1] != 0;
    uint32_t longest = state->bins[word * 64 + 63 - (unsigned)__builtin_clzll(state->bin_map[word])];
    run_clean(slab, state->pages[longest].bump ? longest : run);
}

/* Gives back a run whose dirty bits are right; `dirty` of its pages are dirty. */
static void run_give(struct slab *slab, uint32_t run, uint32_t pages, uint32_t dirty)
{
    struct slab_state *state = slab->state;
    uint64_t keep = slab->held_bytes / PAGE_BYTES / 64;
    keep = keep < DIRTY_MIN ? DIRTY_MIN : keep > DIRTY_MAX ? DIRTY_MAX : keep;
    POISON(page_ptr(slab, run), (size_t)pages * PAGE_BYTES);
    state->taken -= pages;
    /* One run of any reasonable size may stay: a large value that is overwritten again and again. */
    bool stays = state->dirty_free + dirty <= keep || (state->dirty_free <= DIRTY_FEW && dirty <= DIRTY_MAX);
    if (dirty >= CLEAN_BATCH && !stays) {
        state->memory.decommit(page_ptr(slab, run), (size_t)pages * PAGE_BYTES);
        for (uint32_t i = 0; i < pages; i++) state->pages[run + i].dirty = 0;
        held_add(slab, -(int64_t)dirty);
        dirty = 0;
    }
    state->dirty_free += dirty;
    uint32_t after = run + pages;
    if (state->pages[run - 1].kind == KIND_FREE) {
        uint32_t left = run - state->pages[run - 1].run_pages;
        dirty += state->pages[left].bump;
        pages += run - left;
        free_run_unlink(state, left);
        run = left;
    }
    if (after < state->top && state->pages[after].kind == KIND_FREE) {
        dirty += state->pages[after].bump;
        pages += state->pages[after].run_pages;
        free_run_unlink(state, after);
    }
    free_run_link(state, run, pages, dirty);
    if (!stays) limit_dirty(slab, run, keep);
}

/* ---- large runs ---- */

static slab_handle large_alloc(struct slab *slab, size_t size)
{
    struct slab_state *state = slab->state;
    if (size > (size_t)state->page_limit * PAGE_BYTES) return 0;
    uint32_t pages = run_pages_of(size), dirty;
    uint32_t run = run_take(slab, pages, &dirty);
    if (run == 0) return 0;
    for (uint32_t i = 0, left = dirty; left > 0; i++) {
        left -= state->pages[run + i].dirty;
        state->pages[run + i].dirty = 0;
    }
    UNPOISON(page_ptr(slab, run), (size_t)pages * PAGE_BYTES);
    state->pages[run + pages - 1].kind = KIND_INNER;
    state->pages[run].kind = KIND_LARGE;
    state->pages[run].run_pages = pages;
    held_add(slab, (int64_t)pages - dirty);
    slab->used_bytes += (uint64_t)pages * PAGE_BYTES;
    return run * PAGE_UNITS;
}

static void large_free(struct slab *slab, slab_handle handle, size_t size)
{
    struct slab_state *state = slab->state;
    uint32_t run = handle / PAGE_UNITS, pages = run_pages_of(size);
    CHECK(handle % PAGE_UNITS == 0 && run < state->top);
    CHECK(state->pages[run].kind == KIND_LARGE && state->pages[run].run_pages == pages);
    slab->used_bytes -= (uint64_t)pages * PAGE_BYTES;
    if (pages <= DIRTY_MAX && state->dirty_free + pages <= DIRTY_MAX) {
        for (uint32_t i = 0; i < pages; i++) state->pages[run + i].dirty = 1;
        run_give(slab, run, pages, pages);
    } else {
        state->memory.decommit(page_ptr(slab, run), (size_t)pages * PAGE_BYTES);
        held_add(slab, -(int64_t)pages);
        run_give(slab, run, pages, 0);
    }
}

/* ---- mixed pages ---- */

/* A free stretch of `units` in a mixed page (64-byte aligned when the size is a multiple of 64), or
 * PAGE_UNITS. */
static unsigned map_search(const uint64_t map[8], unsigned units)
{
    unsigned align = units % 8 == 0 ? 7 : 0, at = 0;
    for (;;) {
        at = (map_next(map, at, false) + align) & ~align;
        if (at + units > PAGE_UNITS) return PAGE_UNITS;
        unsigned end = map_next(map, at, true);
        if (end >= at + units) return at;
        at = end;
    }
}

static slab_handle mixed_alloc(struct slab *slab, unsigned units)
{
    struct slab_state *state = slab->state;
    uint32_t page = state->mixed, first = page;
    unsigned at = PAGE_UNITS;
    for (unsigned i = 0; i < MIXED_TRIES; i++) {
        uint64_t *map = (uint64_t *)page_ptr(slab, page);
        if (units < state->pages[page].free) at = map_search(map, units);
        if (at < PAGE_UNITS) break;
        if (units < state->pages[page].free) state->pages[page].free = (uint16_t)units;
        page = state->pages[page].next;
        if (page == first) break;
    }
    if (at == PAGE_UNITS) {
        uint32_t dirty;
        page = run_take(slab, 1, &dirty);
        if (page == 0) return 0;
        struct page *entry = &state->pages[page];
        entry->kind = KIND_MIXED;
        entry->free = NO_SLOT;
        entry->live = 0;
        page_touch(slab, page);
        UNPOISON(page_ptr(slab, page), 64);
        memset(page_ptr(slab, page), 0, 64);
        POISON(page_ptr(slab, page) + 64, PAGE_BYTES - 64);
        *(uint64_t *)page_ptr(slab, page) = 0xff;  /* the bitmap itself */
        ring_insert_before(state->pages, 0, page); /* page 0 is always in the ring */
        at = 8;
    }
    state->mixed = page;
    map_fill((uint64_t *)page_ptr(slab, page), at, units, true);
    state->pages[page].live += (uint16_t)units;
    state->mixed_units[units] += (uint8_t)units;
    slab->used_bytes += units * 8;
    UNPOISON(page_ptr(slab, page) + at * 8, units * 8);
    return page * PAGE_UNITS + at;
}

static void mixed_free(struct slab *slab, slab_handle handle, unsigned units)
{
    struct slab_state *state = slab->state;
    uint32_t page = handle / PAGE_UNITS;
    struct page *entry = &state->pages[page];
    CHECK(units <= MIXED_CLASS && entry->live >= units && state->mixed_units[units] >= units);
    map_fill((uint64_t *)page_ptr(slab, page), handle % PAGE_UNITS, units, false);
    POISON(slab_ptr(slab, handle), units * 8);
    entry->live -= (uint16_t)units;
    entry->free = NO_SLOT;
    state->mixed_units[units] -= (uint8_t)units;
    slab->used_bytes -= units * 8;
    if (entry->live == 0 && page != 0) {
        uint32_t head = page;
        list_remove(state, &head, page);
        if (state->mixed == page) state->mixed = head;
        run_give(slab, page, 1, 1);
    }
}

/* ---- spans ---- */

/* Pages of a class's spans: short ones, since a span can only be given back when all of it is free. At least
 * 16 objects up to 1 KiB (so that making spans is cheap), one for larger ones; the tail wastes at most 1/64
 * (above 4 KiB: 1/32) if 16 pages allow it. */
static uint32_t span_pages(unsigned class)
{
    uint32_t units = class_units(class), best = SPAN_PAGES, best_waste = UINT32_MAX;
    uint32_t least = class <= SMALL_CLASS ? 16 * units : units, share = class <= MID_CLASS ? 64 : 32;
    for (uint32_t pages = (least + PAGE_UNITS - 1) / PAGE_UNITS; pages <= SPAN_PAGES; pages++) {
        uint32_t tail = pages * PAGE_UNITS % units, waste = (tail << 16) / pages;
        if (tail * share <= pages * PAGE_UNITS) return pages;
        if (waste < best_waste) best = pages, best_waste = waste;
    }
    return best;
}

static uint32_t span_create(struct slab *slab, unsigned class)
{
    struct slab_state *state = slab->state;
    uint32_t dirty, pages = span_pages(class), run = run_take(slab, pages, &dirty);
    if (run == 0) { /* the shortest that holds one slot, when address space runs out */
        pages = (class_units(class) + PAGE_UNITS - 1) / PAGE_UNITS;
        run = run_take(slab, pages, &dirty);
        if (run == 0) return 0;
    }
    for (uint32_t i = 1; i < pages; i++) {
        state->pages[run + i].kind = KIND_INNER;
        state->pages[run + i].extent = (uint8_t)i;
    }
    struct page *head = &state->pages[run];
    head->kind = (uint8_t) class;
    head->extent = (uint8_t)pages;
    head->free = NO_SLOT;
    head->live = 0;
    head->bump = 0;
    head->listed = 1;
    list_append(state, &state->partial[class], run);
    if (state->spans[class] < UINT16_MAX) state->spans[class]++;
    POISON(page_ptr(slab, run), (size_t)pages * PAGE_BYTES);
    return run;
}

static slab_handle span_alloc(struct slab *slab, uint32_t span, unsigned class)
{
    struct slab_state *state = slab->state;
    struct page *head = &state->pages[span];
    unsigned units = class_units(class), at, limit = head->extent * PAGE_UNITS;
    slab_handle handle;
    if (head->free != NO_SLOT) {
        handle = span * PAGE_UNITS + head->free;
        UNPOISON(slab_ptr(slab, handle), units * 8);
        head->free = *(uint16_t *)slab_ptr(slab, handle);
    } else {
        at = head->bump;
        handle = span * PAGE_UNITS + at;
        head->bump = (at + units) & 0x3fff;
        for (unsigned i = (at + PAGE_UNITS - 1) / PAGE_UNITS; i * PAGE_UNITS < at + units; i++)
            page_touch(slab, span + i);
        UNPOISON(slab_ptr(slab, handle), units * 8);
    }
    head->live++;
    slab->used_bytes += units * 8;
    if (UNLIKELY(head->free == NO_SLOT && head->bump + units > limit)) {
        list_remove(state, &state->partial[class], span);
        head->listed = 0;
    }
    return handle;
}

static __attribute__((noinline)) void span_release(struct slab *slab, uint32_t span, unsigned class)
{
    struct slab_state *state = slab->state;
    struct page *head = &state->pages[span];
    uint32_t pages = head->extent;
    if (head->listed) list_remove(state, &state->partial[class], span);
    head->listed = 0;
    if (state->spans[class] > 0) state->spans[class]--;
    run_give(slab, span, pages, count_dirty(state, span, pages));
}

static bool failure_is_due(struct slab_state *state)
{
    if (--state->fail_after > 0) return false;
    state->fail_after = state->fail_forever;
    return true;
}

static __attribute__((noinline)) slab_handle alloc_slow(struct slab *slab, size_t size)
{
    struct slab_state *state = slab->state;
    if (size == 0) size = 1;
    if (state->fail_after && !state->promised && failure_is_due(state)) return 0;
    if (size > SPAN_MAX) return large_alloc(slab, size);
    unsigned class = class_of(size);
    uint32_t span = state->partial[class];
    if (span == 0) {
        if (class <= MIXED_CLASS && state->spans[class] == 0 &&
            state->mixed_units[class] + class <= MIXED_UNITS) {
            slab_handle handle = mixed_alloc(slab, class);
            if (handle) return handle;
        }
        span = span_create(slab, class);
        if (span == 0) return 0;
    }
    return span_alloc(slab, span, class);
}

/* ---- contract ---- */

slab_handle slab_alloc(struct slab *slab, size_t size)
{
    struct slab_state *state = slab->state;
    if (LIKELY(size <= SLAB_SMALL_MAX && state->fail_after == 0)) {
        unsigned class = class_of(size);
        uint32_t span = state->partial[class];
        if (LIKELY(span)) return span_alloc(slab, span, class);
    }
    return alloc_slow(slab, size);
}

void slab_free(struct slab *slab, slab_handle handle, size_t size)
{
    struct slab_state *state = slab->state;
    uint32_t page = handle / PAGE_UNITS;
    DCHECK(handle != 0 && page < state->top);
    if (UNLIKELY(size > SPAN_MAX)) {
        large_free(slab, handle, size);
        return;
    }
    unsigned class = class_of(size ? size : 1), units = class_units(class);
    struct page *head = &state->pages[page];
    if (head->kind == KIND_INNER) {
        page -= head->extent;
        head = &state->pages[page];
    }
    if (UNLIKELY(head->kind != class)) { /* a wrong size is caught here */
        CHECK(head->kind == KIND_MIXED);
        mixed_free(slab, handle, units);
        return;
    }
    unsigned at = handle - page * PAGE_UNITS;
    DCHECK(at % units == 0 && at < head->bump && head->live > 0);
    slab->used_bytes -= units * 8;
    if (UNLIKELY(--head->live == 0)) {
        span_release(slab, page, class);
        return;
    }
    *(uint16_t *)slab_ptr(slab, handle) = head->free;
    POISON(slab_ptr(slab, handle), units * 8);
    head->free = (uint16_t)at;
    if (UNLIKELY(!head->listed)) {
        head->listed = 1;
        list_append(state, &state->partial[class], page);
    }
}

slab_handle slab_alloc_aligned64(struct slab *slab, size_t size)
{
    CHECK(size % 64 == 0);
    return slab_alloc(slab, size);
}

void slab_free_aligned64(struct slab *slab, slab_handle handle, size_t size)
{
    CHECK(size % 64 == 0);
    slab_free(slab, handle, size);
}

static uint32_t kept_pages(uint32_t limit)
{
    return limit / 64 < 16 ? (limit < 64 ? 1 : 16) : limit / 64;
}

/* What reserved sections may use beyond the limit: the kept pages, or more where these are few. */
static uint32_t overdraft_pages(uint32_t limit)
{
    uint32_t kept = kept_pages(limit), most = PAGES_MAX - limit;
    uint32_t more = kept < OVERDRAFT ? OVERDRAFT - kept : 0;
    return more < most ? more : most;
}

slab_handle slab_alloc_smaller(struct slab *slab, size_t size)
{
    struct slab_state *state = slab->state;
    uint64_t fail_after = state->fail_after;
    uint32_t kept = state->kept;
    state->fail_after = 0;
    state->kept = 0;
    slab_handle handle = slab_alloc(slab, size);
    state->kept = kept;
    state->fail_after = fail_after;
    CHECK(handle != 0);
    return handle;
}

/* Why that many pages do: of each class all spans that are made but the last one get full, and at least half
 * of a full span is objects (the shortest spans hold one slot of more than half their length); CLASS_SLACK is
 * the last ones. Whatever run is taken comes from the stretch that was found, off its beginning, or from
 * another one. What is given back meanwhile is on top. */
bool slab_reserve(struct slab *slab, uint64_t bytes)
{
    struct slab_state *state = slab->state;
    if (state->fail_after && failure_is_due(state)) return false;
    uint64_t pages = state->promised + bytes / (PAGE_BYTES / 2) + 1;
    if (state->promised == 0) pages += CLASS_SLACK;
    uint64_t stretch = pages + kept_pages(state->page_limit); /* slab_alloc_smaller's share stays */
    if (state->promised == 0 && state->taken + state->kept >= state->page_limit) return false;
    if (stretch > state->page_limit) return false;
    const struct page *last = &state->pages[state->top - 1];
    uint64_t tail = state->page_limit - state->top + (last->kind == KIND_FREE ? last->run_pages : 0);
    if (UNLIKELY(tail < stretch) && run_find(state, (uint32_t)stretch, PAGES_MAX) == 0) return false;
    if (state->promised == 0) state->promised_at = state->taken;
    state->promised = (uint32_t)pages;
    state->kept = 0;
    state->reach = state->page_limit;
    return true;
}

void slab_release(struct slab *slab)
{
    struct slab_state *state = slab->state;
    state->promised = 0;
    state->kept = state->kept_usual;
    state->reach = state->page_limit - state->overdraft;
}

void slab_inject_failure(struct slab *slab, uint64_t after, bool forever)
{
    slab->state->fail_after = after;
    slab->state->fail_forever = forever;
}

/* Cleans free runs until all were seen or `visits` are used up; goes on where the last call stopped. */
static void clean_some(struct slab *slab, uint32_t visits)
{
    struct slab_state *state = slab->state;
    for (unsigned bins = 0; bins < BINS && state->dirty_free > 0 && visits > 0; bins++) {
        uint32_t first = state->bins[state->clean_bin], run = first;
        while (run && visits > 0) {
            visits--;
            if (state->pages[run].bump) run_clean(slab, run);
            run = state->pages[run].next;
            if (run == first) break;
        }
        state->bins[state->clean_bin] = run;
        if (run == first) state->clean_bin = (state->clean_bin + 1) % BINS;
    }
}

void slab_trim(struct slab *slab)
{
    clean_some(slab, UINT32_MAX);
}

void slab_decay(struct slab *slab)
{
    struct slab_state *state = slab->state;
    if (state->dirty_low > 0) clean_some(slab, DECAY_VISITS);
    state->dirty_low = state->dirty_free;
}

/* Lays the state into page 0, which then is all that the slab holds. */
static void state_init(struct slab *slab)
{
    struct slab_state *state = slab->state;
    unsigned header = (unsigned)(sizeof(*state) + 7) / 8;
    state->pages = state->early;
    state->top = state->taken = 1;
    slab_release(slab);
    memset(state->early, 0, sizeof(state->early));
    memset(state->mixed_map, 0, sizeof(state->mixed_map));
    map_fill(state->mixed_map, 0, header, true);
    memset(state->bins, 0, sizeof(state->bins));
    memset(state->bin_map, 0, sizeof(state->bin_map));
    memset(state->partial, 0, sizeof(state->partial));
    memset(state->spans, 0, sizeof(state->spans));
    memset(state->mixed_units, 0, sizeof(state->mixed_units));
    state->dirty_free = 0;
    state->dirty_low = 0;
    state->clean_bin = 0;
    state->mixed = 0;
    state->fail_after = 0;
    state->fail_forever = false;
    state->early[0].kind = KIND_MIXED; /* next = prev = 0: a ring of itself */
    state->early[0].free = NO_SLOT;
    state->early[0].dirty = 1;
    slab->used_bytes = 0;
    slab->held_bytes = PAGE_BYTES;
    POISON(slab->base + header * 8, PAGE_BYTES - header * 8);
}

int slab_init(struct slab *slab, const struct slab_memory *memory, size_t limit_bytes)
{
    size_t pages = limit_bytes / PAGE_BYTES;
    CHECK(memory->reserve && memory->unreserve && memory->decommit);
    if (pages > PAGES_MAX) pages = PAGES_MAX;
    if (pages < 4) pages = 4;
    uint32_t overdraft = overdraft_pages((uint32_t)pages), kept = kept_pages((uint32_t)pages) + overdraft;
    pages += overdraft;
    size_t len = pages * (PAGE_BYTES + sizeof(struct page)) + PAGE_BYTES; /* the last: to align the base */
    uint8_t *reserved = memory->reserve(len);
    memset(slab, 0, sizeof(*slab));
    if (!reserved) return -1;
    slab->base = (uint8_t *)(((uintptr_t)reserved + PAGE_BYTES - 1) & ~(uintptr_t)(PAGE_BYTES - 1));
    slab->state = (struct slab_state *)slab->base;
    slab->state->memory = *memory;
    slab->state->reserved = reserved;
    slab->state->reserved_len = len;
    slab->state->page_limit = (uint32_t)pages;
    slab->state->kept_usual = kept;
    slab->state->overdraft = overdraft;
    slab->state->huge = false;
    state_init(slab);
    return 0;
}

void slab_destroy(struct slab *slab)
{
    if (!slab->base) return;
    struct slab_state *state = slab->state;
    struct slab_memory memory = state->memory;
    void *reserved = state->reserved;
    size_t len = state->reserved_len;
    UNPOISON(slab->base, (size_t)state->top * PAGE_BYTES);
    memory.unreserve(reserved, len);
    memset(slab, 0, sizeof(*slab));
}

void slab_reset(struct slab *slab)
{
    struct slab_state *state = slab->state;
    uint32_t top = state->top;
    UNPOISON(slab->base, (size_t)top * PAGE_BYTES);
    if (top > 1) state->memory.decommit(page_ptr(slab, 1), (size_t)(top - 1) * PAGE_BYTES);
    if (state->pages != state->early) {
        size_t table =
            ((size_t)top * sizeof(struct page)) & ~(size_t)(PAGE_BYTES - 1); /* whole pages of it */
        if (table) state->memory.decommit(state->pages, table);
    }
    if (state->huge && state->memory.huge)
        state->memory.huge(slab->base, (size_t)state->page_limit * PAGE_BYTES, false);
    state->huge = false;
    state_init(slab);
}
