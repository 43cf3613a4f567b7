/* Listeners of the epoll backend. */
#include "io/epoll.h"
#include "io/posix.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct epoll_listener *of_target(struct target *t)
{
    return (struct epoll_listener *)(void *)((char *)t - offsetof(struct epoll_listener, target));
}

static int listener_create(struct epoll_io *e, int fd, uint16_t port, const char *path, void *user,
                           struct io_listener **out)
{
    struct epoll_listener *l = calloc(1, sizeof(*l));
    char *copy = path != NULL ? strdup(path) : NULL;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    int error = l == NULL || (path != NULL && copy == NULL) ? -ENOMEM : 0;
    if (error == 0) event.data.ptr = &l->target;
    if (error == 0 && epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) error = -errno;
    if (error < 0) {
        close(fd);
        free(copy);
        free(l);
        return error;
    }
    l->base.io = &e->base;
    l->target.kind = TARGET_LISTENER;
    l->user = user;
    l->path = copy;
    l->fd = fd;
    l->port = port;
    list_init(&l->acceptable);
    list_append(&e->listeners, &l->link);
    *out = &l->base;
    return 0;
}

int epoll_listen_tcp(struct io *io, const char *address, uint16_t port, int backlog, void *user,
                     struct io_listener **out)
{
    uint16_t bound = 0;
    int fd = posix_listen_tcp(address, port, backlog, &bound);
    return fd < 0 ? fd : listener_create(epoll_of(io), fd, bound, NULL, user, out);
}

int epoll_listen_unix(struct io *io, const char *path, uint32_t mode, int backlog, void *user,
                      struct io_listener **out)
{
    int fd = posix_listen_unix(path, mode, backlog);
    return fd < 0 ? fd : listener_create(epoll_of(io), fd, 0, path, user, out);
}

void epoll_unlisten(struct io_listener *listener)
{
    struct epoll_listener *l = (struct epoll_listener *)listener;
    list_remove(&l->link);
    list_remove(&l->acceptable);
    close(l->fd);
    if (l->path != NULL) unlink(l->path);
    free(l->path);
    free(l);
}

uint16_t epoll_listener_port(const struct io_listener *listener)
{
    return ((const struct epoll_listener *)listener)->port;
}

/* Accepts until there is no more. Out of descriptors: says so once and tries again a little later, because
 * the waiting connection would never make another edge. */
static int accept_from(struct epoll_io *e, struct epoll_listener *l, struct io_completion *out, int n,
                       int max)
{
    while (n < max) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        int error = errno;
        if (fd < 0 && posix_accept_error_is_transient(error)) continue;
        if (fd < 0) list_remove(&l->acceptable);
        if (fd < 0 && error == EAGAIN) break;
        out[n++] = (struct io_completion){.user = l->user,
                                          .op = IO_ACCEPT,
                                          .socket = fd < 0 ? IO_SOCKET_NONE : fd,
                                          .result = fd < 0 ? -error : 0};
        if (fd >= 0) continue;
        e->accept_retry_us = posix_monotonic_us() + EPOLL_ACCEPT_RETRY_US;
        break;
    }
    return n;
}

int epoll_accept_all(struct epoll_io *e, struct io_completion *out, int n, int max)
{
    if (e->accept_retry_us != INT64_MAX && posix_monotonic_us() >= e->accept_retry_us) {
        e->accept_retry_us = INT64_MAX;
        for (struct list *l = e->listeners.next; l != &e->listeners; l = l->next) {
            struct list *acceptable = &LIST_OWNER(l, struct epoll_listener, link)->acceptable;
            if (!list_linked(acceptable)) list_append(&e->acceptable, acceptable);
        }
    }
    while (!list_empty(&e->acceptable) && n < max)
        n = accept_from(e, LIST_OWNER(e->acceptable.next, struct epoll_listener, acceptable), out, n, max);
    return n;
}

void epoll_note_listener(struct epoll_io *e, struct target *target)
{
    struct epoll_listener *l = of_target(target);
    if (!list_linked(&l->acceptable)) list_append(&e->acceptable, &l->acceptable);
}
