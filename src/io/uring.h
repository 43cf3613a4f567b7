/* The io_uring backend's own structures. Read the head of io_uring.c first.
 *
 * user_data of an operation = the object's address | one of `enum uring_tag` (objects are 16-byte aligned).
 * An object is freed only when none of its operations is in flight, so a completion never meets a dead
 * object.
 */
#ifndef WEFT_IO_URING_H
#define WEFT_IO_URING_H

#include "io/backend.h"
#include "io/conn_state.h"
#include "io/list.h"
#include "io/posix.h"
#include "io/wake.h"

#include <liburing.h>

#define URING_SQ_ENTRIES      512
#define URING_CQ_ENTRIES      4096
#define URING_BUFFER_BYTES    (32 * 1024)
#define URING_BUFFERS_MAX     256 /* a power of two: 8 MiB of address space */
#define URING_BUFFERS_FIRST   32  /* published at the start; doubled each time they do not suffice */
#define URING_BUFFER_GROUP    0
#define URING_ACCEPT_RETRY_US 100000

enum uring_tag {
    TAG_NONE, /* nobody waits for it: cancellations */
    TAG_WAKE,
    TAG_ACCEPT,
    TAG_RECV,
    TAG_SEND,
    TAG_CONNECT,
    TAG_FILE,
    TAG_MASK = 15
};

struct uring_world {
    struct io_world base;
    bool multishot; /* see uring_probe.c */
};

struct uring_io {
    struct io base;
    struct io_uring ring;
    bool multishot;
    bool probing; /* an error of io_uring_enter() is an answer, not a reason to stop */
    struct wake wake;
    pid_t thread; /* the one that the ring belongs to since it was enabled; 0 before */
    bool woken;   /* the eventfd made an edge */
    bool wake_armed;
    int64_t now_us;          /* monotonic clock as last read in this turn; 0: not read */
    int64_t accept_retry_us; /* when to accept again after EMFILE; INT64_MAX: never */
    struct list conns, listeners;
    struct list done;      /* conns with completions to put out */
    struct list done_lazy; /* conns whose only completion is that of io_send_lazy() */
    struct list starved;   /* conns that found no buffer */
    int64_t files_in_flight;
    /* Receive buffers: `live` of them are in circulation, each either with the kernel or in `used`. */
    struct io_uring_buf_ring *buffer_ring;
    uint8_t *buffers;
    uint16_t buffer_tail;
    int live, used_count;
    size_t used_bytes;
    uint16_t used[URING_BUFFERS_MAX]; /* held by this turn's completions; go back at the next io_wait() */
};

struct uring_listener {
    struct io_listener base;
    struct list link;
    void *user;
    char *path; /* of a unix socket, removed with the listener */
    int fd;
    uint16_t port;
    bool armed, dying;
};

struct uring_conn {
    struct io_conn base;
    struct list link; /* in conns */
    struct list starving;
    int fd;
    bool recv_armed : 1;          /* a receive is in flight */
    bool recv_cancelling : 1;     /* and is being cancelled */
    bool send_flying : 1;         /* the kernel has the send */
    struct conn_state state;      /* its `out` is in done or done_lazy */
    union posix_address *address; /* of the connect in flight */
    struct msghdr message;
};

static inline struct uring_io *uring_of(struct io *io)
{
    return (struct uring_io *)io;
}
static inline uint64_t uring_data(const void *object, enum uring_tag tag)
{
    return (uintptr_t)object | tag;
}

/* uring_ring.c: the ring and its receive buffers */
int uring_open(struct uring_io *u);   /* 0 or -errno, then there is nothing to close */
int uring_enable(struct uring_io *u); /* makes the calling thread the ring's own; 0 or -errno */
void uring_close(struct uring_io *u);
/* A zeroed entry; submits what is there when the queue is full. */
struct io_uring_sqe *uring_entry(struct uring_io *u, int op, int fd, uint64_t user_data);
/* Cancels the operation with this user_data; no completion of the cancellation itself matters. */
void uring_cancel(struct uring_io *u, uint64_t user_data);
/* Submits, runs the kernel's deferred work and waits up to timeout_us (-1: for ever) for a completion.
 * 0, or -ETIME, or -EINTR. */
int uring_enter(struct uring_io *u, int64_t timeout_us);
void uring_prepare_recv(struct uring_io *u, int fd, uint64_t user_data);
static inline unsigned uring_ready(const struct uring_io *u)
{
    return io_uring_smp_load_acquire(u->ring.cq.ktail) - *u->ring.cq.khead;
}
void uring_buffers_recycle(struct uring_io *u);                 /* those of the last turn */
bool uring_buffers_grow(struct uring_io *u);                    /* false: all are in circulation */
void uring_buffer_used(struct uring_io *u, int bid, int bytes); /* a completion holds it */

/* uring_probe.c: 0, or why this kernel does not let us. *multishot: whether receives may be multishot. */
int uring_probe(bool *multishot);

/* uring_conn.c */
void uring_conn_arm(struct uring_io *u, struct uring_conn *c); /* begins receiving, if it may and is not */
void uring_conn_complete(struct uring_io *u, struct uring_conn *c);
/* Each returns the new count of `out`. */
int uring_on_recv(struct uring_io *u, struct uring_conn *c, const struct io_uring_cqe *cqe,
                  struct io_completion *out, int n);
void uring_on_send(struct uring_io *u, struct uring_conn *c, int result);
void uring_on_connect(struct uring_io *u, struct uring_conn *c, int result);
int uring_put_done(struct uring_io *u, struct list *list, struct io_completion *out, int n, int max);
void uring_conn_discard(struct uring_conn *c);

struct io_conn *uring_attach(struct io *io, io_socket socket, void *user);
struct io_conn *uring_connect(struct io *io, const char *address, uint16_t port, void *user, int *error);
void uring_detach(struct io_conn *conn);
void uring_close_conn(struct io_conn *conn);
void uring_discard(struct io *io, io_socket socket);
void uring_recv_pause(struct io_conn *conn);
void uring_recv_resume(struct io_conn *conn);
void uring_send(struct io_conn *conn, const struct io_slice *slices, int count, bool lazy);
int uring_set_keepalive(struct io_conn *conn, int seconds);
void uring_peer_address(struct io_conn *conn, char *buf);
void uring_local_address(struct io_conn *conn, char *buf);
int64_t uring_conn_fd(struct io_conn *conn);

/* uring_listen.c */
void uring_listener_arm(struct uring_io *u, struct uring_listener *l);
int uring_on_accept(struct uring_io *u, struct uring_listener *l, const struct io_uring_cqe *cqe,
                    struct io_completion *out, int n);
void uring_listeners_retry(struct uring_io *u); /* those that ran out of descriptors */
void uring_listener_discard(struct uring_listener *l);
int uring_listen_tcp(struct io *io, const char *address, uint16_t port, int backlog, void *user,
                     struct io_listener **out);
int uring_listen_unix(struct io *io, const char *path, uint32_t mode, int backlog, void *user,
                      struct io_listener **out);
void uring_unlisten(struct io_listener *listener);
uint16_t uring_listener_port(const struct io_listener *listener);

/* uring_file.c */
struct uring_file_op;
int uring_on_file(struct uring_io *u, struct uring_file_op *op, int result, struct io_completion *out, int n);
struct io_file *uring_file_open(struct io *io, const char *path, int flags, void *user);
void uring_file_read(struct io_file *file, void *buf, size_t len, uint64_t offset, void *user);
void uring_file_write(struct io_file *file, const void *buf, size_t len, uint64_t offset, void *user);
void uring_file_sync(struct io_file *file, void *user);
void uring_file_close(struct io_file *file, void *user);
void uring_file_rename(struct io *io, const char *from, const char *to, void *user);
void uring_file_unlink(struct io *io, const char *path, void *user);

#endif
