/* The ring of the io_uring backend and its receive buffers.
 *
 * The ring is created disabled and enabled by the first io_wait(): SINGLE_ISSUER binds it to the thread that
 * enables it, which may be another than the one that called io_create().
 *
 * Buffers: the kernel takes them in the order in which they were published and we give them back in the order
 * in which they were used, so a long receive gets neighbours in memory and its completions can be joined
 * (uring_on_recv). Only a few are in circulation until more are needed: what circulates stays in the cache.
 */
#include "io/uring.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#ifndef IORING_ENTER_REGISTERED_RING
#define IORING_ENTER_REGISTERED_RING (1U << 4)
#endif

static int make_ring(struct io_uring *ring, unsigned sq_entries, unsigned cq_entries)
{
    struct io_uring_params p = {.cq_entries = cq_entries};
    p.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN |
              IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE |
              IORING_SETUP_SUBMIT_ALL;
    int error = io_uring_queue_init_params(sq_entries, ring, &p);
    if (error < 0) return error;
    unsigned needed =
        IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_CQE_SKIP;
    if ((p.features & needed) == needed) return 0;
    io_uring_queue_exit(ring);
    return -ENOSYS;
}

static size_t buffer_ring_bytes(void)
{
    return URING_BUFFERS_MAX * sizeof(struct io_uring_buf);
}
static size_t buffers_bytes(void)
{
    return (size_t)URING_BUFFERS_MAX * URING_BUFFER_BYTES;
}

static void *map(size_t len)
{
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static void publish(struct uring_io *u, uint16_t bid)
{
    struct io_uring_buf *b = &u->buffer_ring->bufs[u->buffer_tail & (URING_BUFFERS_MAX - 1)];
    b->addr = (uintptr_t)(u->buffers + (size_t)bid * URING_BUFFER_BYTES);
    b->len = URING_BUFFER_BYTES;
    b->bid = bid;
    u->buffer_tail++;
}

static void publish_end(struct uring_io *u)
{
    io_uring_smp_store_release(&u->buffer_ring->tail, u->buffer_tail);
}

int uring_open(struct uring_io *u)
{
    int error = make_ring(&u->ring, URING_SQ_ENTRIES, URING_CQ_ENTRIES);
    if (error < 0) return error;
    u->buffer_ring = map(buffer_ring_bytes());
    u->buffers = map(buffers_bytes());
    struct io_uring_buf_reg reg = {.ring_addr = (uintptr_t)u->buffer_ring,
                                   .ring_entries = URING_BUFFERS_MAX,
                                   .bgid = URING_BUFFER_GROUP};
    if (u->buffer_ring == NULL || u->buffers == NULL) error = -ENOMEM;
    if (error == 0) error = io_uring_register_buf_ring(&u->ring, &reg, 0);
    if (error < 0) {
        uring_close(u);
        return error;
    }
    u->live = URING_BUFFERS_FIRST;
    for (int i = 0; i < u->live; i++) publish(u, (uint16_t)i);
    publish_end(u);
    return 0;
}

void uring_close(struct uring_io *u)
{
    /* The registered descriptor belongs to the thread that enabled the ring; another thread's number of the
     * same value is another ring. A thread that has ended took its registration with it. */
    if (u->thread != (pid_t)syscall(SYS_gettid)) u->ring.int_flags = 0;
    io_uring_queue_exit(&u->ring);
    if (u->buffer_ring != NULL) munmap(u->buffer_ring, buffer_ring_bytes());
    if (u->buffers != NULL) munmap(u->buffers, buffers_bytes());
}

int uring_enable(struct uring_io *u)
{
    /* liburing 2.3 declares io_uring_enable_rings() but does not export it. */
    if (syscall(SYS_io_uring_register, u->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) < 0)
        return -errno;
    u->thread = (pid_t)syscall(SYS_gettid);
    io_uring_register_ring_fd(&u->ring); /* saves a look-up per call; without it all works as well */
    return 0;
}

static unsigned flush(struct io_uring *ring)
{
    struct io_uring_sq *sq = &ring->sq;
    unsigned tail = *sq->ktail;
    unsigned pending = sq->sqe_tail - sq->sqe_head;
    for (; sq->sqe_head != sq->sqe_tail; sq->sqe_head++)
        sq->array[tail++ & sq->ring_mask] = sq->sqe_head & sq->ring_mask;
    if (pending > 0) io_uring_smp_store_release(sq->ktail, tail);
    return tail - io_uring_smp_load_acquire(sq->khead); /* with what an earlier call could not submit */
}

static int enter(struct io_uring *ring, unsigned submit, unsigned wait, unsigned flags, int64_t timeout_us)
{
    struct __kernel_timespec t = {timeout_us / 1000000, timeout_us % 1000000 * 1000};
    struct io_uring_getevents_arg arg = {.sigmask_sz = _NSIG / 8, .ts = timeout_us >= 0 ? (uintptr_t)&t : 0};
    if (ring->enter_ring_fd != ring->ring_fd) flags |= IORING_ENTER_REGISTERED_RING;
    long n = syscall(SYS_io_uring_enter, ring->enter_ring_fd, submit, wait, flags | IORING_ENTER_EXT_ARG,
                     &arg, sizeof(arg));
    return n < 0 ? -errno : (int)n;
}

struct io_uring_sqe *uring_entry(struct uring_io *u, int op, int fd, uint64_t user_data)
{
    struct io_uring_sq *sq = &u->ring.sq;
    for (int tries = 0; sq->sqe_tail + 1 - io_uring_smp_load_acquire(sq->khead) > sq->ring_entries; tries++) {
        CHECK(tries < 1000); /* the kernel takes nothing any more */
        if (u->thread == 0) CHECK(uring_enable(u) == 0);
        int n = enter(&u->ring, flush(&u->ring), 0, 0, -1);
        CHECK(n >= 0 || n == -EINTR || n == -EAGAIN || n == -EBUSY);
        /* Busy: the kernel has completions that the queue has no room for and wants us to make it. */
        if (n == -EBUSY || n == -EAGAIN) enter(&u->ring, 0, 0, IORING_ENTER_GETEVENTS, -1);
    }
    struct io_uring_sqe *sqe = &sq->sqes[sq->sqe_tail++ & sq->ring_mask];
    memset(sqe, 0, sizeof(*sqe));
    sqe->opcode = (uint8_t)op;
    sqe->fd = fd;
    sqe->user_data = user_data;
    return sqe;
}

void uring_cancel(struct uring_io *u, uint64_t user_data)
{
    struct io_uring_sqe *sqe = uring_entry(u, IORING_OP_ASYNC_CANCEL, -1, TAG_NONE);
    sqe->addr = user_data;
    sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
}

/* Begins a receive into whatever buffer is next. A multishot one tries at once, so that bytes and an end that
 * are there already are both seen; a single one polls first, which sees them as well, and it rarely finds
 * something at once. */
void uring_prepare_recv(struct uring_io *u, int fd, uint64_t user_data)
{
    struct io_uring_sqe *sqe = uring_entry(u, IORING_OP_RECV, fd, user_data);
    sqe->flags = IOSQE_BUFFER_SELECT;
    sqe->buf_group = URING_BUFFER_GROUP;
    sqe->ioprio = u->multishot ? IORING_RECV_MULTISHOT : IORING_RECVSEND_POLL_FIRST;
}

int uring_enter(struct uring_io *u, int64_t timeout_us)
{
    unsigned submit = flush(&u->ring);
    unsigned kernel = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW;
    if (timeout_us == 0 && submit == 0 && !(IO_URING_READ_ONCE(*u->ring.sq.kflags) & kernel)) return 0;
    int n = enter(&u->ring, submit, timeout_us == 0 ? 0 : 1, IORING_ENTER_GETEVENTS,
                  timeout_us == 0 ? -1 : timeout_us);
    if (n >= 0 || n == -EAGAIN || n == -EBUSY)
        return 0; /* busy: take completions, submit the rest next time */
    CHECK(n == -ETIME || n == -EINTR || u->probing);
    return n;
}

void uring_buffers_recycle(struct uring_io *u)
{
    if (u->used_count == 0) return;
#ifdef WEFT_DEBUG
    for (int i = 0; i < u->used_count; i++)
        memset(u->buffers + (size_t)u->used[i] * URING_BUFFER_BYTES, 0xEE, 4096);
#endif
    for (int i = 0; i < u->used_count; i++) publish(u, u->used[i]);
    u->used_count = 0;
    u->used_bytes = 0;
    publish_end(u);
}

bool uring_buffers_grow(struct uring_io *u)
{
    if (u->live == URING_BUFFERS_MAX) return false;
    int more = u->live;
    for (int i = 0; i < more; i++) publish(u, (uint16_t)u->live++);
    publish_end(u);
    return true;
}

void uring_buffer_used(struct uring_io *u, int bid, int bytes)
{
    CHECK(u->used_count < u->live && bid < u->live);
    u->used[u->used_count++] = (uint16_t)bid;
    if (bytes > 0) u->used_bytes += (size_t)bytes;
}
