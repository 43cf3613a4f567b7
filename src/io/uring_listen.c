/* Listeners of the io_uring backend: one multishot accept each. A listener that was unlistened is gone for
 * its owner at once, but its memory stays until the cancelled accept has come back; what it still accepts is
 * closed. */
#include "io/uring.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

void uring_listener_arm(struct uring_io *u, struct uring_listener *l)
{
    if (l->armed || l->dying) return;
    struct io_uring_sqe *sqe = uring_entry(u, IORING_OP_ACCEPT, l->fd, uring_data(l, TAG_ACCEPT));
    sqe->ioprio = IORING_ACCEPT_MULTISHOT;
    sqe->accept_flags = SOCK_CLOEXEC;
    l->armed = true;
}

static void listener_free(struct uring_listener *l)
{
    list_remove(&l->link);
    free(l->path);
    free(l);
}

int uring_on_accept(struct uring_io *u, struct uring_listener *l, const struct io_uring_cqe *cqe,
                    struct io_completion *out, int n)
{
    int result = cqe->res;
    if (!(cqe->flags & IORING_CQE_F_MORE)) l->armed = false;
    if (l->dying) {
        if (result >= 0) close(result);
        if (!l->armed) listener_free(l);
        return n;
    }
    bool again = result >= 0 || posix_accept_error_is_transient(-result) || result == -EAGAIN;
    if (result >= 0) {
        out[n++] = (struct io_completion){.user = l->user, .op = IO_ACCEPT, .socket = result};
    } else if (!again) {
        out[n++] = (struct io_completion){
            .user = l->user, .op = IO_ACCEPT, .socket = IO_SOCKET_NONE, .result = result};
        u->accept_retry_us = posix_monotonic_us() + URING_ACCEPT_RETRY_US;
    }
    if (again) uring_listener_arm(u, l);
    return n;
}

void uring_listeners_retry(struct uring_io *u)
{
    if (u->accept_retry_us == INT64_MAX || posix_monotonic_us() < u->accept_retry_us) return;
    u->accept_retry_us = INT64_MAX;
    for (struct list *l = u->listeners.next; l != &u->listeners; l = l->next)
        uring_listener_arm(u, LIST_OWNER(l, struct uring_listener, link));
}

static int listener_create(struct uring_io *u, int fd, uint16_t port, const char *path, void *user,
                           struct io_listener **out)
{
    struct uring_listener *l = calloc(1, sizeof(*l));
    char *copy = path != NULL ? strdup(path) : NULL;
    int error = l == NULL || (path != NULL && copy == NULL) ? -ENOMEM : 0;
    /* On a non-blocking descriptor io_uring would not wait but answer EAGAIN. */
    if (error == 0 && fcntl(fd, F_SETFL, 0) < 0) error = -errno;
    if (error < 0) {
        close(fd);
        free(copy);
        free(l);
        return error;
    }
    l->base.io = &u->base;
    l->user = user;
    l->path = copy;
    l->fd = fd;
    l->port = port;
    list_append(&u->listeners, &l->link);
    uring_listener_arm(u, l);
    *out = &l->base;
    return 0;
}

int uring_listen_tcp(struct io *io, const char *address, uint16_t port, int backlog, void *user,
                     struct io_listener **out)
{
    uint16_t bound = 0;
    int fd = posix_listen_tcp(address, port, backlog, &bound);
    return fd < 0 ? fd : listener_create(uring_of(io), fd, bound, NULL, user, out);
}

int uring_listen_unix(struct io *io, const char *path, uint32_t mode, int backlog, void *user,
                      struct io_listener **out)
{
    int fd = posix_listen_unix(path, mode, backlog);
    return fd < 0 ? fd : listener_create(uring_of(io), fd, 0, path, user, out);
}

static void stop_listening(struct uring_listener *l)
{
    shutdown(l->fd,
             SHUT_RDWR); /* refuses clients and frees the port now; the accept in flight holds the socket */
    close(l->fd);
    if (l->path != NULL) unlink(l->path);
}

void uring_unlisten(struct io_listener *listener)
{
    struct uring_listener *l = (struct uring_listener *)listener;
    struct uring_io *u = uring_of(listener->io);
    stop_listening(l);
    l->dying = true;
    if (l->armed)
        uring_cancel(u, uring_data(l, TAG_ACCEPT));
    else
        listener_free(l);
}

void uring_listener_discard(struct uring_listener *l)
{
    if (!l->dying) stop_listening(l);
    listener_free(l);
}

uint16_t uring_listener_port(const struct io_listener *listener)
{
    return ((const struct uring_listener *)listener)->port;
}
