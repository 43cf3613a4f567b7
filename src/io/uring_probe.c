/* Whether, and how, io_uring can be used here. Asked once, when a world is made; takes well below a
 * millisecond.
 *
 * Features are not asked for by version or flag but tried out, over a loopback connection: filters, old
 * kernels and emulated ones refuse in many ways, and one fault of some kernels decides how we receive:
 *
 * A multishot receive that has taken all bytes waits for the next wake-up (Linux 6.5 and later do not look
 * again when the socket says that it is empty). When bytes and a reset come between two turns, their wake-ups
 * are one: the receive takes the bytes, the reset is never told, and the connection stays for ever. Kernels
 * of 2026 look again. Where the fault is found, receives are submitted one by one, each of which polls
 * afresh.
 */
#include "io/uring.h"

#include <stdlib.h>
#include <string.h>

/* Two ends of a TCP connection, blocking. */
static int connection(int ends[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int error = 0;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0) return -errno;
    ends[0] = ends[1] = -1;
    if (bind(listener, (struct sockaddr *)&address, len) < 0 || listen(listener, 1) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &len) < 0 ||
        (ends[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0 ||
        connect(ends[1], (struct sockaddr *)&address, len) < 0 ||
        (ends[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
        error = -errno;
    close(listener);
    if (error < 0 && ends[1] >= 0) close(ends[1]);
    return error;
}

/* Takes completions until the receive has one with this result and these flags; gives its buffer back. */
static int wait_for(struct uring_io *u, int result, unsigned flags)
{
    int n = 0;
    for (int tries = 0; tries < 4 && n != -ETIME; tries++) {
        n = uring_ready(u) > 0 ? 0 : uring_enter(u, 100000);
        if (n < 0 && n != -ETIME && n != -EINTR) return n;
        while (uring_ready(u) > 0) {
            unsigned head = *u->ring.cq.khead;
            struct io_uring_cqe cqe = u->ring.cq.cqes[head & u->ring.cq.ring_mask];
            io_uring_smp_store_release(u->ring.cq.khead, head + 1);
            if (cqe.flags & IORING_CQE_F_BUFFER)
                uring_buffer_used(u, (int)(cqe.flags >> IORING_CQE_BUFFER_SHIFT), cqe.res);
            uring_buffers_recycle(u);
            if (cqe.res == result) return (cqe.flags & flags) == flags ? 0 : -ENOSYS;
            return cqe.res < 0 ? cqe.res : -ENOSYS;
        }
    }
    return -ETIME;
}

static void receive(struct uring_io *u, int fd)
{
    uring_prepare_recv(u, fd, TAG_RECV);
}

/* A byte in one turn; then two bytes and a reset in one. ends[1] is closed on return. */
static int try_out(struct uring_io *u, const int ends[2])
{
    struct linger now = {1, 0};
    receive(u, ends[0]);
    int error = uring_enter(u, 0);
    if (error == 0 && send(ends[1], "x", 1, MSG_NOSIGNAL) != 1) error = -EIO;
    if (error == 0) error = wait_for(u, 1, IORING_CQE_F_BUFFER | (u->multishot ? IORING_CQE_F_MORE : 0));
    if (error == 0 && !u->multishot) receive(u, ends[0]);
    if (error == 0) error = uring_enter(u, 0);
    if (error == 0 && send(ends[1], "yz", 2, MSG_NOSIGNAL) != 2) error = -EIO;
    setsockopt(ends[1], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(ends[1]);
    if (error == 0) error = wait_for(u, 2, IORING_CQE_F_BUFFER);
    if (error == 0 && !u->multishot) receive(u, ends[0]);
    return error == 0 ? wait_for(u, -ECONNRESET, 0) : error;
}

static int probe(bool multishot)
{
    int ends[2] = {-1, -1};
    struct uring_io *u = calloc(1, sizeof(*u));
    if (u == NULL) return -ENOMEM;
    u->multishot = multishot;
    u->probing = true;
    int error = uring_open(u);
    if (error == 0) {
        error = uring_enable(u);
        if (error == 0) error = connection(ends);
        if (error == 0) {
            error = try_out(u, ends);
            close(ends[0]);
        }
        uring_close(u);
    }
    free(u);
    return error;
}

int uring_probe(bool *multishot)
{
    *multishot = true;
    if (probe(true) == 0) return 0;
    *multishot = false;
    return probe(false);
}
