/* Chooses the backend of a real world. */
#include "io/backend.h"

#include <errno.h>
#include <stdlib.h>

struct io_world *io_world_create(enum io_backend backend, int *error)
{
    const struct io_world_ops *ops = &io_epoll_world_ops;
    *error = 0;
    if (backend != IO_BACKEND_EPOLL) {
        int refused = io_uring_probe();
        if (refused == 0) ops = &io_uring_world_ops;
        if (refused < 0 && backend == IO_BACKEND_URING) {
            *error = refused;
            return NULL;
        }
    }
    struct io_world *world = calloc(1, sizeof(*world));
    if (world == NULL) {
        *error = -ENOMEM;
        return NULL;
    }
    world->ops = ops;
    return world;
}
