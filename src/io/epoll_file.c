/* Asynchronous files of the epoll backend, done by the helper thread of file_thread.h. */
#include "io/epoll.h"
#include "io/file_thread.h"
#include "base/check.h"

#include <stdlib.h>

struct epoll_file {
    struct io_file base;
    int fd;
};

static void submit_file(struct epoll_io *e, struct file_request *r)
{
    int error = 0;
    if (e->files == NULL) e->files = file_thread_start(&e->base, &error);
    if (e->files != NULL) {
        file_thread_submit(e->files, r);
        return;
    }
    r->result = error; /* no helper: the operation fails, at the next io_wait() as any other */
    r->next = e->files_done;
    e->files_done = r;
}

struct io_file *epoll_file_open(struct io *io, const char *path, int flags, void *user)
{
    struct epoll_file *f = calloc(1, sizeof(*f));
    CHECK(f != NULL);
    f->base.io = io;
    f->fd = -1;
    struct file_request *r = file_request_create(FILE_OPEN, path, NULL, user);
    r->flags = flags;
    r->owner = f;
    submit_file(epoll_of(io), r);
    return &f->base;
}

static void file_operation(struct io_file *file, enum file_kind kind, void *buf, size_t len, uint64_t offset,
                           void *user)
{
    struct epoll_file *f = (struct epoll_file *)file;
    struct file_request *r = file_request_create(kind, NULL, NULL, user);
    CHECK(f->fd >= 0); /* open has completed well */
    r->owner = f;
    r->fd = f->fd;
    r->buf = buf;
    r->len = len;
    r->offset = offset;
    submit_file(epoll_of(file->io), r);
}

void epoll_file_read(struct io_file *file, void *buf, size_t len, uint64_t offset, void *user)
{
    file_operation(file, FILE_READ, buf, len, offset, user);
}
void epoll_file_write(struct io_file *file, const void *buf, size_t len, uint64_t offset, void *user)
{
    file_operation(file, FILE_WRITE, (void *)(uintptr_t)buf, len, offset, user);
}
void epoll_file_sync(struct io_file *file, void *user)
{
    file_operation(file, FILE_SYNC, NULL, 0, 0, user);
}
void epoll_file_close(struct io_file *file, void *user)
{
    file_operation(file, FILE_CLOSE, NULL, 0, 0, user);
}
void epoll_file_rename(struct io *io, const char *from, const char *to, void *user)
{
    submit_file(epoll_of(io), file_request_create(FILE_RENAME, from, to, user));
}
void epoll_file_unlink(struct io *io, const char *path, void *user)
{
    submit_file(epoll_of(io), file_request_create(FILE_UNLINK, path, NULL, user));
}

int epoll_put_files(struct epoll_io *e, struct io_completion *out, int n, int max)
{
    while (n < max) {
        if (e->files_done == NULL && e->files != NULL) e->files_done = file_thread_take(e->files);
        struct file_request *r = e->files_done;
        if (r == NULL) break;
        e->files_done = r->next;
        struct epoll_file *f = r->owner;
        int64_t result = r->result;
        if (r->kind == FILE_OPEN && result >= 0) {
            f->fd = (int)result;
            result = 0;
        } else if (r->kind == FILE_OPEN || r->kind == FILE_CLOSE) {
            free(f);
        }
        out[n++] = (struct io_completion){.user = r->user, .op = IO_FILE, .result = result};
        file_request_free(r);
    }
    return n;
}
