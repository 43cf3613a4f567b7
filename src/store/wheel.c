/* The timing wheel of wheel.h.
 *
 * Position of a time t at level L is the slot of bits [6L, 6L+6) of t, where L is the highest level at which
 * t differs from now: all bits above agree, so slots of one level are never ambiguous. The top level alone
 * goes round: it holds the 63 slots that come after now's, whatever the bits above. Moving now past a
 * boundary of level L empties the slot of level L that now enters into lower levels.
 */
#include "store/wheel.h"

#include "base/mark.h"
#include "base/mutant.h"
#define LEVEL_BITS  6
#define FIRST_LOOKS 32 /* items of one slot that wheel_first compares */
#define TOP_SHIFT   (LEVEL_BITS * (WHEEL_LEVELS - 1))

static slab_handle *slots_of(const struct wheel *wheel, struct slab *slab)
{
    return slab_ptr(slab, wheel->slots);
}

bool wheel_prepare(struct wheel *wheel, struct slab *slab, int64_t now_ms)
{
    if (wheel->slots) return true;
    wheel->slots = slab_alloc(slab, WHEEL_SLOTS * sizeof(slab_handle));
    if (!wheel->slots) return false;
    memset(slots_of(wheel, slab), 0, WHEEL_SLOTS * sizeof(slab_handle));
    wheel->now_ms = now_ms;
    return true;
}

void wheel_clear(struct wheel *wheel)
{
    *wheel = (struct wheel){0};
}

static unsigned slot_for(const struct wheel *wheel, int64_t time_ms)
{
    if (time_ms < wheel->now_ms) time_ms = wheel->now_ms;
    uint64_t differ = (uint64_t)(time_ms ^ wheel->now_ms);
    if (differ >> TOP_SHIFT) {
        int64_t here = wheel->now_ms >> TOP_SHIFT, there = time_ms >> TOP_SHIFT;
        if (there > here + 63) MARK("wheel.beyond");
        if (there > here + 63) there = here + 63; /* beyond the wheel: it is filed again from there */
        return (WHEEL_LEVELS - 1) * 64 + (unsigned)(there & 63);
    }
    unsigned level = differ ? (63u - (unsigned)__builtin_clzll(differ)) / LEVEL_BITS : 0;
    return level * 64 + (unsigned)((time_ms >> (LEVEL_BITS * level)) & 63);
}

static void push(struct wheel *wheel, struct slab *slab, slab_handle handle, unsigned slot)
{
    slab_handle *head = &slots_of(wheel, slab)[slot];
    struct item *item = slab_ptr(slab, handle);
    struct item_expiry expiry = item_expiry(item);
    expiry.previous = slot;
    expiry.next = *head;
    item_expiry_put(item, expiry);
    item->header |= ITEM_WHEEL_HEAD;
    if (*head) {
        struct item *follower = slab_ptr(slab, *head);
        struct item_expiry theirs = item_expiry(follower);
        theirs.previous = handle;
        item_expiry_put(follower, theirs);
        follower->header &= ~ITEM_WHEEL_HEAD;
    }
    *head = handle;
    wheel->occupied[slot / 64] |= 1ULL << (slot & 63);
}

void wheel_file(struct wheel *wheel, struct slab *slab, slab_handle item, int64_t filing_time_ms)
{
    DCHECK(wheel->slots);
    push(wheel, slab, item, slot_for(wheel, filing_time_ms));
    wheel->count++;
}

/* Points what stands before `item` (another item or a slot head) at `for_previous`. */
static void relink_previous(struct wheel *wheel, struct slab *slab, const struct item *item,
                            struct item_expiry expiry, slab_handle for_previous)
{
    if (item->header & ITEM_WHEEL_HEAD) {
        slots_of(wheel, slab)[expiry.previous] = for_previous;
        if (!for_previous) wheel->occupied[expiry.previous / 64] &= ~(1ULL << (expiry.previous & 63));
        return;
    }
    struct item *previous = slab_ptr(slab, expiry.previous);
    struct item_expiry theirs = item_expiry(previous);
    theirs.next = for_previous;
    item_expiry_put(previous, theirs);
}

void wheel_remove(struct wheel *wheel, struct slab *slab, slab_handle handle)
{
    struct item *item = slab_ptr(slab, handle);
    struct item_expiry expiry = item_expiry(item);
    DCHECK(wheel->count > 0);
    relink_previous(wheel, slab, item, expiry, expiry.next);
    if (expiry.next) {
        struct item *next = slab_ptr(slab, expiry.next);
        struct item_expiry theirs = item_expiry(next);
        theirs.previous = expiry.previous;
        item_expiry_put(next, theirs);
        next->header |= item->header & ITEM_WHEEL_HEAD;
    }
    item->header &= ~ITEM_WHEEL_HEAD;
    wheel->count--;
}

void wheel_moved(struct wheel *wheel, struct slab *slab, slab_handle handle)
{
    struct item *item = slab_ptr(slab, handle);
    struct item_expiry expiry = item_expiry(item);
    relink_previous(wheel, slab, item, expiry, handle);
    if (!expiry.next) return;
    struct item *next = slab_ptr(slab, expiry.next);
    struct item_expiry theirs = item_expiry(next);
    theirs.previous = handle;
    item_expiry_put(next, theirs);
}

/* What is filed differs from the time that was reached below the highest bit in which the two times differ,
 * or in that bit and above. The former belongs into the one slot that holds the time that was reached, the
 * latter stays where it is. (At the top level, which goes round, slots may then stand for an earlier time
 * than their items': these are filed again when it comes.) */
void wheel_turn_back(struct wheel *wheel, struct slab *slab, int64_t now_ms)
{
    int64_t reached_ms = wheel->now_ms;
    if (now_ms >= reached_ms) return;
    MARK("wheel.turned_back");
    wheel->now_ms = now_ms;
    unsigned to = slot_for(wheel, reached_ms);
    for (unsigned level = 0; level < to / 64; level++)
        while (wheel->occupied[level]) {
            unsigned slot = level * 64 + (unsigned)__builtin_ctzll(wheel->occupied[level]);
            slab_handle handle = slots_of(wheel, slab)[slot];
            wheel_remove(wheel, slab, handle);
            wheel_file(wheel, slab, handle, reached_ms);
        }
}

slab_handle wheel_first(const struct wheel *wheel, struct slab *slab)
{
    if (!wheel->count) return 0;
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        unsigned here = (unsigned)((wheel->now_ms >> (LEVEL_BITS * level)) & 63);
        uint64_t bits = wheel->occupied[level];
        uint64_t ahead = bits >> here << here;
        if (!ahead && level == WHEEL_LEVELS - 1) ahead = bits;
        if (!ahead) continue;
        slab_handle best = 0;
        int looks = FIRST_LOOKS;
        slab_handle at = slots_of(wheel, slab)[level * 64 + (unsigned)__builtin_ctzll(ahead)];
        for (; at && looks--; at = item_expiry(slab_ptr(slab, at)).next) {
            int64_t deadline = item_deadline(slab_ptr(slab, at));
            if (deadline == ITEM_NO_DEADLINE) continue; /* filed for a field's sake */
            if (!best || deadline < item_deadline(slab_ptr(slab, best))) best = at;
        }
        if (best) return best;
    }
    return 0;
}

/* Did wheel_pop run out of steps while it spread a slot? What is left in it may be due before all at lower
 * levels. */
static bool is_half_spread(const struct wheel *wheel)
{
    for (unsigned level = 1; level < WHEEL_LEVELS; level++)
        if (wheel->occupied[level] >> ((wheel->now_ms >> (LEVEL_BITS * level)) & 63) & 1) return true;
    return false;
}

int64_t wheel_next_ms(const struct wheel *wheel)
{
    if (!wheel->count) return INT64_MAX;
    if (is_half_spread(wheel) && !MUTANT(wheel_half_spread)) return wheel->now_ms;
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        unsigned shift = LEVEL_BITS * level;
        unsigned here = (unsigned)((wheel->now_ms >> shift) & 63);
        uint64_t ahead = wheel->occupied[level] >> here;
        if (!ahead) continue;
        unsigned distance = (unsigned)__builtin_ctzll(ahead);
        int64_t start = ((wheel->now_ms >> shift) + distance) << shift;
        return start > wheel->now_ms ? start : wheel->now_ms;
    }
    /* The top level goes round. */
    unsigned here = (unsigned)((wheel->now_ms >> TOP_SHIFT) & 63);
    unsigned first = (unsigned)__builtin_ctzll(wheel->occupied[WHEEL_LEVELS - 1]);
    return ((wheel->now_ms >> TOP_SHIFT) + (int64_t)((first - here) & 63)) << TOP_SHIFT;
}

/* Where the item has to be filed now: its deadline is exact for keys; hashes are filed by their holder, who
 * gives the time; an item found in a higher slot only needs to go down, so its own deadline or, without one,
 * the slot's end do. */
static int64_t refile_time(const struct item *item, int64_t slot_start_ms)
{
    int64_t deadline = item_expiry(item).deadline_ms;
    return item_type(item) == ITEM_HASH || deadline < slot_start_ms ? slot_start_ms : deadline;
}

slab_handle wheel_pop(struct wheel *wheel, struct slab *slab, int64_t now_ms, int *steps)
{
    while (wheel->count && *steps > 0) {
        int64_t next = wheel_next_ms(wheel);
        if (next > now_ms) {
            if (now_ms > wheel->now_ms && next == INT64_MAX) wheel->now_ms = now_ms;
            return 0;
        }
        /* Moving now never skips an occupied slot. Entering slots of higher levels spreads them downwards. */
        wheel->now_ms = next;
        bool moved = false;
        for (unsigned level = WHEEL_LEVELS - 1; level > 0; level--) {
            unsigned shift = LEVEL_BITS * level;
            unsigned slot = level * 64 + (unsigned)((next >> shift) & 63);
            while (slots_of(wheel, slab)[slot] && *steps > 0) {
                slab_handle handle = slots_of(wheel, slab)[slot];
                struct item *item = slab_ptr(slab, handle);
                wheel_remove(wheel, slab, handle);
                wheel_file(wheel, slab, handle, refile_time(item, next));
                --*steps;
                moved = true;
            }
            if (moved) MARK("wheel.cascade");
            if (*steps <= 0) {
                MARK("wheel.cascade_cut");
                return 0;
            }
        }
        slab_handle *head = &slots_of(wheel, slab)[next & 63];
        if (*head) {
            slab_handle handle = *head;
            wheel_remove(wheel, slab, handle);
            --*steps;
            return handle;
        }
        DCHECK(moved);
    }
    return 0;
}
