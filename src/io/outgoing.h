/* The send in flight of a connection: its slices and how far it has come. Both real backends use it. */
#ifndef WEFT_IO_OUTGOING_H
#define WEFT_IO_OUTGOING_H

#include "io/io.h"
#include "base/check.h"

#include <sys/uio.h>

struct outgoing {
    int64_t sent;     /* bytes so far */
    int first, count; /* segments[first, count) are still to be sent */
    struct iovec segments[IO_SEND_SLICES_MAX];
};

static inline void outgoing_set(struct outgoing *o, const struct io_slice *slices, int count)
{
    CHECK(count >= 0 && count <= IO_SEND_SLICES_MAX);
    o->sent = 0;
    o->first = o->count = 0;
    for (int i = 0; i < count; i++)
        if (slices[i].len > 0)
            o->segments[o->count++] = (struct iovec){(void *)(uintptr_t)slices[i].ptr, slices[i].len};
}

static inline bool outgoing_done(const struct outgoing *o)
{
    return o->first == o->count;
}

static inline void outgoing_advance(struct outgoing *o, size_t sent)
{
    o->sent += (int64_t)sent;
    while (sent > 0) {
        CHECK(o->first < o->count);
        struct iovec *v = &o->segments[o->first];
        size_t step = sent < v->iov_len ? sent : v->iov_len;
        v->iov_base = (char *)v->iov_base + step;
        v->iov_len -= step;
        sent -= step;
        if (v->iov_len == 0) o->first++;
    }
}

#endif
