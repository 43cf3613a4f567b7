/* A heap of deadlines: see deadlines.h. Place p's children are 4p + 1 .. 4p + 4. */
#include "types/deadlines.h"

#include <string.h>

#include "base/check.h"
#include "types/value.h"
#include "base/mutant.h"

#define ARITY         4u
#define CHUNK_ENTRIES 256u

struct entry {
    slab_handle thing;
    uint32_t deadline[2]; /* two halves: an entry is 12 bytes */
};
_Static_assert(sizeof(struct entry) == 12, "no padding");
#define CHUNK_BYTES (CHUNK_ENTRIES * sizeof(struct entry))

static struct entry *entry_at(const struct deadlines *deadlines, const struct slab *slab, uint32_t place)
{
    const slab_handle *chunks = slab_ptr(slab, deadlines->chunks);
    return (struct entry *)slab_ptr(slab, chunks[place / CHUNK_ENTRIES]) + place % CHUNK_ENTRIES;
}

static int64_t entry_deadline(const struct entry *entry)
{
    return (int64_t)((uint64_t)entry->deadline[1] << 32 | entry->deadline[0]);
}

static uint32_t chunks_of(uint32_t count)
{
    return (count + CHUNK_ENTRIES - 1) / CHUNK_ENTRIES;
}

static void put(struct deadlines *deadlines, struct slab *slab, deadlines_moved *moved, uint32_t place,
                struct entry entry)
{
    *entry_at(deadlines, slab, place) = entry;
    moved(slab, entry.thing, place);
}

/* Lets an entry rise or sink from a free place to where it belongs. */
static void settle(struct deadlines *deadlines, struct slab *slab, deadlines_moved *moved, uint32_t place,
                   struct entry entry)
{
    int64_t deadline = entry_deadline(&entry);
    while (place > 0) {
        uint32_t parent = (place - 1) / ARITY;
        struct entry above = *entry_at(deadlines, slab, parent);
        if (entry_deadline(&above) <= deadline) break;
        put(deadlines, slab, moved, place, above);
        place = parent;
    }
    for (;;) {
        uint32_t child = place * ARITY + 1, last = place * ARITY + ARITY - MUTANT(deadlines_last_child);
        uint32_t least = place;
        int64_t earliest = deadline;
        for (; child <= last && child < deadlines->count; child++) {
            int64_t below = entry_deadline(entry_at(deadlines, slab, child));
            if (below >= earliest) continue;
            earliest = below;
            least = child;
        }
        if (least == place) break;
        put(deadlines, slab, moved, place, *entry_at(deadlines, slab, least));
        place = least;
    }
    put(deadlines, slab, moved, place, entry);
}

/* Room for one entry more. */
static bool reserve(struct deadlines *deadlines, struct slab *slab)
{
    uint32_t have = chunks_of(deadlines->count);
    if (deadlines->count % CHUNK_ENTRIES != 0) return true;
    if (have == deadlines->chunks_capacity) {
        uint32_t capacity = have ? have * 2 : 2;
        slab_handle grown = slab_alloc(slab, capacity * sizeof(slab_handle));
        if (!grown) return false;
        if (have) {
            memcpy(slab_ptr(slab, grown), slab_ptr(slab, deadlines->chunks), have * sizeof(slab_handle));
            slab_free(slab, deadlines->chunks, deadlines->chunks_capacity * sizeof(slab_handle));
        }
        deadlines->chunks = grown;
        deadlines->chunks_capacity = capacity;
    }
    slab_handle chunk = slab_alloc(slab, CHUNK_BYTES);
    if (!chunk) {
        if (have == 0) deadlines_destroy(deadlines, slab);
        return false;
    }
    ((slab_handle *)slab_ptr(slab, deadlines->chunks))[have] = chunk;
    return true;
}

bool deadlines_add(struct deadlines *deadlines, struct slab *slab, deadlines_moved *moved,
                   int64_t deadline_ms, slab_handle thing)
{
    uint64_t bits = (uint64_t)deadline_ms;
    if (!reserve(deadlines, slab)) return false;
    deadlines->count++;
    settle(deadlines, slab, moved, deadlines->count - 1, (struct entry){thing, {(uint32_t)bits, bits >> 32}});
    return true;
}

void deadlines_remove(struct deadlines *deadlines, struct slab *slab, deadlines_moved *moved, uint32_t place)
{
    CHECK(place < deadlines->count);
    uint32_t last = --deadlines->count;
    struct entry moving = *entry_at(deadlines, slab, last);
    if (last % CHUNK_ENTRIES == 0) {
        slab_handle *chunks = slab_ptr(slab, deadlines->chunks);
        slab_free(slab, chunks[last / CHUNK_ENTRIES], CHUNK_BYTES);
    }
    if (last == 0) deadlines_destroy(deadlines, slab);
    if (place != last) settle(deadlines, slab, moved, place, moving);
}

void deadlines_change(struct deadlines *deadlines, struct slab *slab, deadlines_moved *moved, uint32_t place,
                      int64_t deadline_ms)
{
    CHECK(place < deadlines->count);
    uint64_t bits = (uint64_t)deadline_ms;
    slab_handle thing = entry_at(deadlines, slab, place)->thing;
    settle(deadlines, slab, moved, place, (struct entry){thing, {(uint32_t)bits, bits >> 32}});
}

void deadlines_rename(struct deadlines *deadlines, struct slab *slab, uint32_t place, slab_handle thing)
{
    CHECK(place < deadlines->count);
    entry_at(deadlines, slab, place)->thing = thing;
}

int64_t deadlines_at(const struct deadlines *deadlines, const struct slab *slab, uint32_t place,
                     slab_handle *thing)
{
    const struct entry *entry = entry_at(deadlines, slab, place);
    if (thing) *thing = entry->thing;
    return entry_deadline(entry);
}

int64_t deadlines_first(const struct deadlines *deadlines, const struct slab *slab, slab_handle *thing)
{
    if (thing) *thing = 0;
    return deadlines->count ? deadlines_at(deadlines, slab, 0, thing) : INT64_MAX;
}

uint64_t deadlines_memory(const struct deadlines *deadlines)
{
    if (deadlines->chunks_capacity == 0) return 0;
    return slab_rounded(deadlines->chunks_capacity * sizeof(slab_handle)) +
           (uint64_t)chunks_of(deadlines->count) * slab_rounded(CHUNK_BYTES);
}

bool deadlines_free_some(struct deadlines *deadlines, struct slab *slab, uint32_t *work)
{
    while (deadlines->count > 0) {
        if (*work == 0) return false;
        const slab_handle *chunks = slab_ptr(slab, deadlines->chunks);
        uint32_t last = chunks_of(deadlines->count) - 1;
        slab_free(slab, chunks[last], CHUNK_BYTES);
        deadlines->count = last * CHUNK_ENTRIES;
        value_work_done(work, 1);
    }
    deadlines_destroy(deadlines, slab);
    return true;
}

void deadlines_destroy(struct deadlines *deadlines, struct slab *slab)
{
    if (deadlines->chunks_capacity) {
        slab_handle *chunks = slab_ptr(slab, deadlines->chunks);
        for (uint32_t i = 0; i < chunks_of(deadlines->count); i++) slab_free(slab, chunks[i], CHUNK_BYTES);
        slab_free(slab, deadlines->chunks, deadlines->chunks_capacity * sizeof(slab_handle));
    }
    *deadlines = (struct deadlines){.count = 0};
}
