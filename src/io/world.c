/* Chooses the backend of a real world. AUTO takes io_uring only where it is at its best: without multishot
 * receives it is no better than epoll, and with large values it is worse. */
#include "io/backend.h"

struct io_world *io_world_create(enum io_backend backend, int *error)
{
    if (backend == IO_BACKEND_EPOLL) return io_epoll_world_create(error);
    struct io_world *world = io_uring_world_create(backend == IO_BACKEND_AUTO, error);
    if (world != NULL || backend == IO_BACKEND_URING) return world;
    return io_epoll_world_create(error);
}
