/* Memory and time: what the shard's partitions use, the common budget, eviction, active expiry. All in
 * bounded slices.
 *
 * Accounting: a partition counts the bytes of its slab exactly, a session those of its buffers. A shard sums
 * its own and reports the difference to the node's budget, one atomic add; `maxmemory` is compared with the
 * budget's total, so a shard that holds everything may use everything. When the total is above the limit,
 * each shard evicts from its own partitions, at every turn. One that has not enough to evict wakes those that
 * may have some and goes on up to 1 % above the limit; beyond that its writes wait for them. A shard that has
 * nothing left to evict says so, until it has run a write, lent a partition, or the total is below the limit.
 * Only when all have said so are writes refused: at once without an evicting policy.
 *
 * Large values that lost their keys are freed in slices (store/pending.c), and count as used until then. So
 * before anything is evicted or refused that work is done as far as it is needed. */
#include "shard/internal.h"

#include "base/mark.h"
#include "base/mutant.h"
#define EVICT_TRIES  512   /* keys in one go; more next turn */
#define SLACK_PART   100   /* 1/100 of maxmemory */
#define FREE_WORK    64    /* allocations that are freed in place of evicting a key */
#define FREE_LOOK    512   /* ... between two looks at the clock */
#define FREE_TURN    16384 /* ... in a turn at most, however little time they seem to take */
#define EXPIRE_STEPS 128   /* of a wheel, between two looks at the clock */
#define DECAY_TICKS  10    /* cron ticks in which every slab gets its slab_decay */

static uint64_t sum_partitions(struct shard *shard)
{
    uint64_t used = 0;
    for (int p = 0; p < PARTITION_COUNT; p++) {
        if (shard->state[p] == PARTITION_HOME)
            used += shard->partition_bytes[p] = partition_memory(shard->node->partitions[p]);
        else if (shard->state[p] == PARTITION_LENT && !MUTANT(lent_memory_forgotten))
            used += shard->partition_bytes[p]; /* as it was; the borrower may not be looked at */
    }
    return used;
}

void memory_sum(struct shard *shard)
{
    shard->used_bytes = sum_partitions(shard);
    int64_t change = (int64_t)(shard->used_bytes + shard->client_bytes) - shard->leased_bytes;
    if (!change) return;
    struct budget *budget = &shard->node->budget;
    int64_t total = atomic_fetch_add_explicit(&budget->used_bytes, change, memory_order_relaxed) + change;
    int64_t peak = atomic_load_explicit(&budget->peak_bytes, memory_order_relaxed);
    while (total > peak && !atomic_compare_exchange_weak(&budget->peak_bytes, &peak, total)) {
    }
    shard->leased_bytes += change;
}

void memory_decay(struct shard *shard)
{
    for (int i = 0; i < PARTITION_COUNT / DECAY_TICKS + 1; i++) {
        unsigned p = shard->decay_cursor++ % PARTITION_COUNT;
        if (shard->state[p] == PARTITION_HOME) slab_decay(&shard->node->partitions[p]->slab);
    }
}

static int64_t excess(const struct shard *shard)
{
    int64_t total = atomic_load_explicit(&shard->node->budget.used_bytes, memory_order_relaxed);
    return total - (int64_t)shard->config.maxmemory_bytes;
}

/* A part of what waits to be freed, in the partition under the cursor or the next that has some. */
static bool free_some(struct shard *shard, uint32_t work)
{
    if (LIKELY(!shard->env.pending)) return false;
    for (int i = 0; i < PARTITION_COUNT; i++) {
        uint16_t p = (uint16_t)((shard->free_cursor + (unsigned)i) % PARTITION_COUNT);
        struct partition *partition = shard->node->partitions[p];
        if (shard->state[p] != PARTITION_HOME || !partition->pending) continue;
        partition_free_some(partition, work);
        memory_changed(shard, partition);
        shard->free_cursor = p;
        return true;
    }
    shard->env.pending = false; /* what comes back with some sets it again */
    return false;
}

/* The node knows how many shards have something to free: large values, or clients that are being closed. */
static void tell_freeing(struct shard *shard)
{
    bool frees = shard->env.pending || shard->closing_large;
    if (LIKELY(shard->told_freeing == frees)) return;
    shard->told_freeing = frees;
    atomic_fetch_add(&shard->node->budget.freeing, shard->told_freeing ? 1 : -1);
}

void memory_free(struct shard *shard, int64_t slice_us)
{
    if (UNLIKELY(shard->env.pending)) {
        int64_t until_us = io_monotonic_us(shard->io) + slice_us;
        for (int done = 0; done < FREE_TURN && free_some(shard, FREE_LOOK); done += FREE_LOOK)
            if (io_monotonic_us(shard->io) >= until_us) break;
    }
    tell_freeing(shard);
}

/* Once nothing has been found, nothing is looked for until something can be there: refused writes would pay
 * for each look, and shards would wake each other as long as one is busy. */
static bool evicts_nothing(const struct shard *shard)
{
    return shard->evicts_nothing && shard->evicts_nothing_by == shard->config.maxmemory_policy;
}

static void note_evicts_nothing(struct shard *shard, bool nothing)
{
    shard->evicts_nothing_by = shard->config.maxmemory_policy;
    if (shard->evicts_nothing == nothing) return;
    shard->evicts_nothing = nothing;
    atomic_store_explicit(&shard->node->budget.evicts_nothing[shard->index], nothing, memory_order_relaxed);
}

static void tell_spent(struct shard *shard, bool spent)
{
    if (shard->told_spent == spent) return;
    shard->told_spent = spent;
    atomic_fetch_add(&shard->node->budget.evicting, spent ? -1 : 1);
}

/* It may have made, marked or brought back a key that can be evicted. */
static void may_evict(struct shard *shard)
{
    note_evicts_nothing(shard, false);
    tell_spent(shard, false);
}

void memory_note_lent(struct shard *shard, uint16_t partition)
{
    struct partition *p = shard->node->partitions[partition];
    shard->partition_bytes[partition] = partition_memory(p);
    if (shard->config.maxmemory_bytes) may_evict(shard); /* it may come back with something */
    struct keys_when_lent *lent = shard->keys_when_lent + partition * p->databases;
    for (uint16_t db = 0; db < p->databases; db++) {
        const struct keyspace *keyspace = partition_keyspace_at(p, p->keyspace_of_db[db]);
        lent[db].keys = (uint32_t)table_count(&keyspace->table);
        lent[db].expires = keyspace->expires;
        lent[db].timed_hashes = keyspace->timed_hashes;
    }
}

void memory_leave(struct shard *shard)
{
    tell_spent(shard, true);
    shard->env.pending = false;
    tell_freeing(shard);
}

/* One key out of the partition under the cursor or the next that has one. */
static bool evict_one(struct shard *shard)
{
    if (evicts_nothing(shard)) return false;
    bool all_home = true;
    for (int i = 0; i < PARTITION_COUNT; i++) {
        uint16_t p = (uint16_t)(shard->evict_cursor++ % PARTITION_COUNT);
        if (shard->state[p] != PARTITION_HOME) {
            all_home &= shard->owner[p] != shard->index; /* lent, or not taken yet: it may hold something */
            continue;
        }
        struct partition *partition = shard->node->partitions[p];
        if (!partition_evict(partition)) continue;
        may_evict(shard);
        MARK("memory.evicted");
        memory_changed(shard, partition);
        return true;
    }
    note_evicts_nothing(shard, true);
    if (all_home && !MUTANT(spent_untold)) tell_spent(shard, true);
    return false;
}

void memory_changed(struct shard *shard, const struct partition *partition)
{
    if (!partition) {
        memory_sum(shard);
        return;
    }
    uint64_t used = partition_memory(partition);
    int64_t change = (int64_t)used - (int64_t)shard->partition_bytes[partition->id];
    if (!change) return;
    shard->partition_bytes[partition->id] = used;
    shard->used_bytes += (uint64_t)change;
    shard->leased_bytes += change;
    atomic_fetch_add_explicit(&shard->node->budget.used_bytes, change, memory_order_relaxed);
}

/* Those that may have something to evict see the excess in their own turns; once per turn of ours is enough.
 */
static void wake_others(struct shard *shard)
{
    if (shard->others_woken) return;
    MARK("memory.others_woken");
    shard->others_woken = true;
    for (uint16_t i = 0; i < shard->actors; i++)
        if (i != shard->index &&
            !atomic_load_explicit(&shard->node->budget.evicts_nothing[i], memory_order_relaxed))
            io_wake(shard->node->shards[i]->io);
}

/* Of all shards: is something evicted or freed still? */
static bool more_will_go(const struct shard *shard, bool evicts)
{
    const struct budget *budget = &shard->node->budget;
    return atomic_load_explicit(&budget->freeing, memory_order_relaxed) > 0 ||
           (evicts && atomic_load_explicit(&budget->evicting, memory_order_relaxed) > 0);
}

enum memory_room memory_make_room(struct shard *shard)
{
    if (excess(shard) <= 0) return MEMORY_ROOM;
    bool evicts = shard->config.maxmemory_policy != CONFIG_POLICY_NOEVICTION;
    shard->stats.evict_cycles += evicts;
    int64_t start_us = io_monotonic_us(shard->io);
    for (int i = 0; i < EVICT_TRIES && excess(shard) > 0; i++)
        if (!free_some(shard, FREE_WORK) && !(evicts && evict_one(shard))) break;
    tell_freeing(shard);
    int64_t left = excess(shard);
    bool more = left > 0 && more_will_go(shard, evicts);
    if (!evicts && !more) return left <= 0 ? MEMORY_ROOM : MEMORY_FULL;
    int64_t took_us = io_monotonic_us(shard->io) - start_us;
    shard->stats.evict_us += (uint64_t)took_us;
    meter_spike(shard, LATENCY_EVICTION_CYCLE, took_us);
    if (more && evicts) wake_others(shard); /* who has something to free goes on by itself */
    if (left <= (int64_t)(shard->config.maxmemory_bytes / SLACK_PART)) return MEMORY_ROOM;
    return more && !MUTANT(memory_refuses_at_once) ? MEMORY_ROOM_LATER : MEMORY_FULL;
}

void memory_written(struct shard *shard, const struct partition *partition)
{
    memory_changed(shard, partition);
    may_evict(shard);
}

void memory_command_wrote(struct shard *shard, const struct command_context *ctx)
{
    struct bitmap256 named = {0};
    if (!ctx->partition) dispatch_partitions(shard, ctx->command, ctx->argv, ctx->argc, &named);
    for (int p = bitmap_next(&named, 0); p >= 0; p = bitmap_next(&named, (unsigned)p + 1))
        if (shard->state[p] == PARTITION_HOME) memory_changed(shard, shard->node->partitions[p]);
    if (ctx->partition || bitmap_is_empty(&named)) memory_changed(shard, ctx->partition);
    may_evict(shard);
}

void memory_turn(struct shard *shard)
{
    shard->others_woken = shard->evicts_more = false;
    if (LIKELY(!shard->config.maxmemory_bytes)) {
        may_evict(shard); /* writes are not noted now */
        return;
    }
    if (excess(shard) <= 0) {
        may_evict(shard);
        return;
    }
    memory_make_room(shard);
    shard->evicts_more = !evicts_nothing(shard) && excess(shard) > 0 &&
                         shard->config.maxmemory_policy != CONFIG_POLICY_NOEVICTION;
}

/* ---- expiry ---- */

void memory_expire(struct shard *shard, int64_t slice_us)
{
    if (!MUTANT(expiry_never_done)) shard->more_to_expire = false;
    if (shard->active_expire_off || shard->pause_until_us || shard->env.now_ms < shard->env.next_expiry_ms)
        return;
    int64_t next = INT64_MAX;
    bool out_of_time = false;
    int64_t start_us = 0;
    uint32_t first = shard->expire_cursor; /* it moves */
    for (int i = 0; i < PARTITION_COUNT; i++) {
        unsigned from = MUTANT(expire_cursor_moves) ? shard->expire_cursor : first;
        uint16_t p = (uint16_t)((from + (unsigned)i) % PARTITION_COUNT);
        if (shard->state[p] != PARTITION_HOME) continue;
        if (!out_of_time && shard->expiry_ms[p] <= shard->env.now_ms) {
            struct partition *partition = shard->node->partitions[p];
            bool more = true;
            if (!start_us) start_us = io_monotonic_us(shard->io);
            /* Some at least in every turn, however long it has been: a busy shard expires, too. */
            do {
                if (!MUTANT(expiry_starves) || start_us < shard->now_monotonic_us + slice_us)
                    more = partition_expire(partition, EXPIRE_STEPS);
                out_of_time = io_monotonic_us(shard->io) >= start_us + slice_us;
            } while (more && !out_of_time);
            shard->expiry_ms[p] = partition_next_expiry_ms(partition);
            if (out_of_time) {
                MARK("memory.expiry_cut");
                shard->expire_cursor = p;
            }
        }
        if (shard->expiry_ms[p] < next) next = shard->expiry_ms[p];
    }
    shard->env.next_expiry_ms = next;
    shard->more_to_expire = out_of_time;
    shard->stats.expire_cycles++;
    shard->stats.expire_cut += out_of_time;
    if (!start_us) return;
    int64_t took_us = io_monotonic_us(shard->io) - start_us;
    shard->stats.expire_us += (uint64_t)took_us;
    meter_spike(shard, LATENCY_EXPIRE_CYCLE, took_us);
}
