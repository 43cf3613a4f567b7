/* The helper thread that runs file operations for the epoll backend: each blocks, so none may run on an
 * actor's thread. One helper per io, started by its first file operation; operations run one after the other,
 * in order.
 *
 * Hand-over in both directions is an atomic stack that the other side takes as a whole (and reverses): no
 * locks. The helper sleeps in read() on an eventfd; it calls io_wake() on the owner after each operation. */
#ifndef WEFT_IO_FILE_THREAD_H
#define WEFT_IO_FILE_THREAD_H

#include "io/io.h"

enum file_kind {
    FILE_OPEN,
    FILE_READ,
    FILE_WRITE,
    FILE_SYNC,
    FILE_CLOSE,
    FILE_RENAME,
    FILE_UNLINK,
    FILE_STOP
};

struct file_request {
    struct file_request *next;
    void *user;
    void *owner; /* the backend's file object; NULL for rename and unlink */
    void *buf;
    size_t len;
    uint64_t offset;
    char *path, *path_to; /* owned by the request */
    int64_t result;       /* FILE_OPEN: the descriptor or -errno */
    int fd, flags;
    enum file_kind kind;
};

struct file_thread;

/* A zeroed request with copies of the paths (either may be NULL); stops the process when out of memory. */
struct file_request *file_request_create(enum file_kind kind, const char *path, const char *path_to,
                                         void *user);
void file_request_free(struct file_request *request);
void file_request_run(struct file_request *request); /* performs it in the caller's thread */

/* NULL with *error = -errno. `owner` is woken after each operation. */
struct file_thread *file_thread_start(struct io *owner, int *error);
void file_thread_submit(struct file_thread *thread, struct file_request *request);
/* What was done since the last call, oldest first; the caller frees each. NULL when there is nothing. */
struct file_request *file_thread_take(struct file_thread *thread);
void file_thread_stop(
    struct file_thread *thread); /* after all that was submitted is done; frees what was not taken */

#endif
