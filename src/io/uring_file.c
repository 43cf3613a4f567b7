/* Asynchronous files of the io_uring backend. Reads and writes that come back short are submitted again for
 * the rest; a rename is four steps: rename, open the directory, sync it, close it. */
#include "io/uring.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

struct uring_file {
    struct io_file base;
    int fd;
};

enum step {
    STEP_OPEN,
    STEP_READ,
    STEP_WRITE,
    STEP_SYNC,
    STEP_CLOSE,
    STEP_UNLINK,
    STEP_RENAME,
    STEP_RENAME_OPEN,
    STEP_RENAME_SYNC,
    STEP_RENAME_CLOSE
};

struct uring_file_op {
    void *user;
    struct uring_file *file; /* NULL for rename and unlink */
    char *path, *path_to;
    uint8_t *buf;
    size_t len, done;
    uint64_t offset;
    int64_t result; /* of a rename whose directory is being closed */
    int flags, fd;
    enum step step;
};

static struct uring_file_op *op_create(struct io *io, enum step step, const char *path, const char *path_to,
                                       void *user)
{
    struct uring_file_op *op = calloc(1, sizeof(*op));
    CHECK(op != NULL);
    op->step = step;
    op->user = user;
    if (path != NULL) CHECK((op->path = strdup(path)) != NULL);
    if (path_to != NULL) CHECK((op->path_to = strdup(path_to)) != NULL);
    uring_of(io)->files_in_flight++;
    return op;
}

static void op_free(struct uring_file_op *op)
{
    free(op->path);
    free(op->path_to);
    free(op);
}

static void set_transfer(struct io_uring_sqe *sqe, const struct uring_file_op *op)
{
    size_t rest = op->len - op->done;
    sqe->addr = (uintptr_t)(op->buf + op->done);
    sqe->len = rest > (1u << 30) ? 1u << 30 : (uint32_t)rest;
    sqe->off = op->offset + op->done;
}

static void submit(struct uring_io *u, struct uring_file_op *op)
{
    static const uint8_t codes[] = {
        [STEP_OPEN] = IORING_OP_OPENAT,       [STEP_READ] = IORING_OP_READ,
        [STEP_WRITE] = IORING_OP_WRITE,       [STEP_SYNC] = IORING_OP_FSYNC,
        [STEP_CLOSE] = IORING_OP_CLOSE,       [STEP_UNLINK] = IORING_OP_UNLINKAT,
        [STEP_RENAME] = IORING_OP_RENAMEAT,   [STEP_RENAME_OPEN] = IORING_OP_OPENAT,
        [STEP_RENAME_SYNC] = IORING_OP_FSYNC, [STEP_RENAME_CLOSE] = IORING_OP_CLOSE,
    };
    struct io_uring_sqe *sqe = uring_entry(u, codes[op->step], op->fd, uring_data(op, TAG_FILE));
    switch (op->step) {
    case STEP_READ:
    case STEP_WRITE: set_transfer(sqe, op); break;
    case STEP_SYNC: sqe->fsync_flags = IORING_FSYNC_DATASYNC; break;
    case STEP_OPEN:
        sqe->fd = AT_FDCWD;
        sqe->addr = (uintptr_t)op->path;
        sqe->len = 0644;
        sqe->open_flags = (uint32_t)posix_file_open_flags(op->flags);
        break;
    case STEP_UNLINK:
        sqe->fd = AT_FDCWD;
        sqe->addr = (uintptr_t)op->path;
        break;
    case STEP_RENAME:
        sqe->fd = AT_FDCWD;
        sqe->addr = (uintptr_t)op->path;
        sqe->len = (uint32_t)AT_FDCWD;
        sqe->off = (uintptr_t)op->path_to;
        break;
    case STEP_RENAME_OPEN:
        sqe->fd = AT_FDCWD;
        sqe->addr = (uintptr_t)op->path;
        sqe->open_flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
        break;
    default: break;
    }
}

/* The directory part of path_to replaces path: what is to be opened next. */
static void name_directory(struct uring_file_op *op)
{
    char *slash = strrchr(op->path_to, '/');
    free(op->path);
    op->path = slash == NULL          ? strdup(".")
               : slash == op->path_to ? strdup("/")
                                      : strndup(op->path_to, (size_t)(slash - op->path_to));
    CHECK(op->path != NULL);
}

/* Whether the operation goes on with another step; otherwise *result is its outcome. */
static bool goes_on(struct uring_file_op *op, int64_t *result)
{
    switch (op->step) {
    case STEP_READ:
    case STEP_WRITE:
        if (*result == 0 && op->step == STEP_WRITE && op->len > op->done) *result = -EIO;
        if (*result < 0) return false;
        op->done += (size_t)*result;
        bool end = *result == 0 || op->done == op->len;
        *result = (int64_t)op->done;
        return !end;
    case STEP_RENAME:
        if (*result < 0) return false;
        name_directory(op);
        op->step = STEP_RENAME_OPEN;
        return true;
    case STEP_RENAME_OPEN:
        if (*result < 0) return false;
        op->fd = (int)*result;
        op->step = STEP_RENAME_SYNC;
        return true;
    case STEP_RENAME_SYNC:
        op->result = *result == -EINVAL ? 0 : *result; /* this file system cannot sync directories */
        op->step = STEP_RENAME_CLOSE;
        return true;
    case STEP_RENAME_CLOSE: *result = op->result; return false;
    default: return false;
    }
}

int uring_on_file(struct uring_io *u, struct uring_file_op *op, int cqe_result, struct io_completion *out,
                  int n)
{
    int64_t result = cqe_result;
    bool interrupted = (result == -EINTR || result == -EAGAIN) && op->step != STEP_CLOSE;
    if (interrupted || goes_on(op, &result)) {
        submit(u, op);
        return n;
    }
    if (op->step == STEP_OPEN && result >= 0) {
        op->file->fd = (int)result;
        result = 0;
    } else if (op->step == STEP_OPEN || op->step == STEP_CLOSE) {
        free(op->file);
    }
    out[n] = (struct io_completion){.user = op->user, .op = IO_FILE, .result = result};
    op_free(op);
    u->files_in_flight--;
    return n + 1;
}

struct io_file *uring_file_open(struct io *io, const char *path, int flags, void *user)
{
    struct uring_file *f = calloc(1, sizeof(*f));
    CHECK(f != NULL);
    f->base.io = io;
    f->fd = -1;
    struct uring_file_op *op = op_create(io, STEP_OPEN, path, NULL, user);
    op->file = f;
    op->flags = flags;
    submit(uring_of(io), op);
    return &f->base;
}

static void operation(struct io_file *file, enum step step, void *buf, size_t len, uint64_t offset,
                      void *user)
{
    struct uring_file *f = (struct uring_file *)file;
    struct uring_file_op *op = op_create(file->io, step, NULL, NULL, user);
    CHECK(f->fd >= 0); /* open has completed well */
    op->file = f;
    op->fd = f->fd;
    op->buf = buf;
    op->len = len;
    op->offset = offset;
    submit(uring_of(file->io), op);
}

void uring_file_read(struct io_file *file, void *buf, size_t len, uint64_t offset, void *user)
{
    operation(file, STEP_READ, buf, len, offset, user);
}
void uring_file_write(struct io_file *file, const void *buf, size_t len, uint64_t offset, void *user)
{
    operation(file, STEP_WRITE, (void *)(uintptr_t)buf, len, offset, user);
}
void uring_file_sync(struct io_file *file, void *user)
{
    operation(file, STEP_SYNC, NULL, 0, 0, user);
}
void uring_file_close(struct io_file *file, void *user)
{
    operation(file, STEP_CLOSE, NULL, 0, 0, user);
}
void uring_file_rename(struct io *io, const char *from, const char *to, void *user)
{
    submit(uring_of(io), op_create(io, STEP_RENAME, from, to, user));
}
void uring_file_unlink(struct io *io, const char *path, void *user)
{
    submit(uring_of(io), op_create(io, STEP_UNLINK, path, NULL, user));
}
