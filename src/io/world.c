/* Chooses the backend of a real world. */
#include "io/backend.h"

#include <errno.h>
#include <stdlib.h>

struct io_world *io_world_create(enum io_backend backend, int *error)
{
    *error = backend == IO_BACKEND_URING ? -ENOSYS : 0;
    if (*error < 0) return NULL;
    struct io_world *world = calloc(1, sizeof(*world));
    if (world == NULL) {
        *error = -ENOMEM;
        return NULL;
    }
    world->ops = &io_epoll_world_ops;
    return world;
}
