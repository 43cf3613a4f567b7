/* The helper thread for file operations, see file_thread.h. Tests: test/unit/io_file_test.c. */
#include "io/file_thread.h"
#include "io/posix.h"
#include "io/world.h"
#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct file_thread {
    struct io *owner;
    struct io_thread *thread;
    int doorbell; /* eventfd: rung when the submitted stack was empty */
    _Atomic(struct file_request *) submitted, done;
};

struct file_request *file_request_create(enum file_kind kind, const char *path, const char *path_to,
                                         void *user)
{
    struct file_request *r = calloc(1, sizeof(*r));
    CHECK(r != NULL);
    r->kind = kind;
    r->user = user;
    r->fd = -1;
    if (path != NULL) CHECK((r->path = strdup(path)) != NULL);
    if (path_to != NULL) CHECK((r->path_to = strdup(path_to)) != NULL);
    return r;
}

void file_request_free(struct file_request *r)
{
    free(r->path);
    free(r->path_to);
    free(r);
}

static int64_t run_rename(const struct file_request *r)
{
    if (rename(r->path, r->path_to) < 0) return -errno;
    return posix_directory_sync(r->path_to);
}

void file_request_run(struct file_request *r)
{
    int64_t n = 0;
    switch (r->kind) {
    case FILE_OPEN: n = open(r->path, posix_file_open_flags(r->flags), 0644); break;
    case FILE_READ: r->result = posix_read_all(r->fd, r->buf, r->len, r->offset); return;
    case FILE_WRITE: r->result = posix_write_all(r->fd, r->buf, r->len, r->offset); return;
    case FILE_SYNC: n = fdatasync(r->fd); break;
    case FILE_CLOSE: n = close(r->fd); break;
    case FILE_RENAME: r->result = run_rename(r); return;
    case FILE_UNLINK: n = unlink(r->path); break;
    case FILE_STOP: break;
    }
    r->result = n < 0 ? -errno : n;
}

/* Returns whether the stack was empty before. */
static bool push(_Atomic(struct file_request *) *stack, struct file_request *r)
{
    struct file_request *head = atomic_load_explicit(stack, memory_order_relaxed);
    do {
        r->next = head;
    } while (
        !atomic_compare_exchange_weak_explicit(stack, &head, r, memory_order_release, memory_order_relaxed));
    return head == NULL;
}

static struct file_request *take_all(_Atomic(struct file_request *) *stack)
{
    if (atomic_load_explicit(stack, memory_order_relaxed) == NULL) return NULL;
    struct file_request *newest = atomic_exchange_explicit(stack, NULL, memory_order_acquire);
    struct file_request *oldest = NULL;
    while (newest != NULL) {
        struct file_request *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

static void run(void *argument)
{
    struct file_thread *t = argument;
    for (;;) {
        struct file_request *r = take_all(&t->submitted);
        if (r == NULL) {
            uint64_t rung;
            ssize_t n = read(t->doorbell, &rung, sizeof(rung));
            CHECK(n == sizeof(rung) || errno == EINTR);
        }
        while (r != NULL) {
            struct file_request *next = r->next;
            bool stop = r->kind == FILE_STOP;
            file_request_run(r);
            push(&t->done, r);
            if (stop) return; /* nothing is submitted after it */
            io_wake(t->owner);
            r = next;
        }
    }
}

struct file_thread *file_thread_start(struct io *owner, int *error)
{
    struct file_thread *t = calloc(1, sizeof(*t));
    *error = -ENOMEM;
    if (t == NULL) return NULL;
    t->owner = owner;
    t->doorbell = eventfd(0, EFD_CLOEXEC);
    if (t->doorbell < 0) {
        *error = -errno;
        free(t);
        return NULL;
    }
    t->thread = io_thread_start("weft-file", run, t, error);
    if (t->thread == NULL) {
        close(t->doorbell);
        free(t);
        return NULL;
    }
    *error = 0;
    return t;
}

void file_thread_submit(struct file_thread *t, struct file_request *r)
{
    uint64_t one = 1;
    if (push(&t->submitted, r)) CHECK(write(t->doorbell, &one, sizeof(one)) == sizeof(one));
}

struct file_request *file_thread_take(struct file_thread *t)
{
    return take_all(&t->done);
}

void file_thread_stop(struct file_thread *t)
{
    file_thread_submit(t, file_request_create(FILE_STOP, NULL, NULL, NULL));
    io_thread_join(t->thread);
    struct file_request *r = take_all(&t->done);
    while (r != NULL) {
        struct file_request *next = r->next;
        file_request_free(r);
        r = next;
    }
    close(t->doorbell);
    free(t);
}
