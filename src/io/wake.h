/* How io_wake() reaches a sleeping io: an eventfd that is written only when its owner sleeps or is about to.
 *
 * AWAKE: the owner will look at its mailboxes before it sleeps. ASLEEP: it is in, or on its way into, the
 * sleep. WOKEN: this or the next io_wait() must not sleep. wake_ring() moves any state to WOKEN, writes only
 * from ASLEEP; the owner goes AWAKE -> ASLEEP before it sleeps (refused when WOKEN) and -> AWAKE behind it.
 * All are sequentially consistent read-modify-writes, so what the waker wrote before io_wake() is seen after
 * the io_wait() it ends.
 *
 * The backends watch the eventfd edge-triggered and never read it: each write is an edge, and 2^64 writes do
 * not happen. wake_ring() is async-signal-safe and may be called on any thread; the rest is the owner's. */
#ifndef WEFT_IO_WAKE_H
#define WEFT_IO_WAKE_H

#include "base/check.h"

#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>
#include <sys/eventfd.h>

enum wake_state { WAKE_AWAKE, WAKE_ASLEEP, WAKE_WOKEN };

struct wake {
    _Atomic int state;
    int fd;
};

static inline int wake_init(struct wake *w)
{
    atomic_init(&w->state, WAKE_AWAKE);
    w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return w->fd < 0 ? -errno : 0;
}

static inline void wake_destroy(struct wake *w)
{
    if (w->fd >= 0) close(w->fd);
}

static inline void wake_ring(struct wake *w)
{
    uint64_t one = 1;
    if (atomic_exchange(&w->state, WAKE_WOKEN) == WAKE_ASLEEP)
        CHECK(write(w->fd, &one, sizeof(one)) == sizeof(one));
}

/* Before a sleep; false: do not. */
static inline bool wake_may_sleep(struct wake *w)
{
    int awake = WAKE_AWAKE;
    return atomic_compare_exchange_strong(&w->state, &awake, WAKE_ASLEEP);
}

/* Behind it (or instead of it). Returns whether somebody has called io_wake(). */
static inline bool wake_take(struct wake *w)
{
    return atomic_exchange(&w->state, WAKE_AWAKE) == WAKE_WOKEN;
}

#endif
