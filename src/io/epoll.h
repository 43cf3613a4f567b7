/* The epoll backend's own structures. Read the head of io_epoll.c first. */
#ifndef WEFT_IO_EPOLL_H
#define WEFT_IO_EPOLL_H

#include "io/backend.h"
#include "io/conn_state.h"
#include "io/list.h"
#include "io/wake.h"

#include <sys/epoll.h>

#define EPOLL_ARENA_BYTES     (1024 * 1024)
#define EPOLL_EVENTS_MAX      256    /* of one epoll_wait; the rest comes with the next */
#define EPOLL_ACCEPT_RETRY_US 100000 /* after running out of descriptors */

/* What `epoll_event.data.ptr` points to. */
enum target_kind { TARGET_WAKE, TARGET_LISTENER, TARGET_CONN };
struct target {
    enum target_kind kind;
};

struct epoll_io {
    struct io base;
    int epoll_fd;
    struct wake wake;
    bool no_pwait2;          /* the kernel (or its filter) has no epoll_pwait2 */
    int64_t now_us;          /* monotonic clock as last read in this turn; 0: not read */
    int64_t accept_retry_us; /* when to accept again after EMFILE; INT64_MAX: never */
    uint8_t *arena;
    size_t arena_used;
    struct list conns, listeners;
    struct list readable;  /* conns that may have bytes */
    struct list sending;   /* conns whose io_send() has not been tried yet */
    struct list done;      /* conns with completions to put out */
    struct list done_lazy; /* conns whose only completion is that of io_send_lazy() */
    struct list acceptable;
    struct file_thread *files;
    struct file_request *files_done; /* taken from the helper, not yet put out */
    struct target wake_target;
    struct epoll_event events[EPOLL_EVENTS_MAX];
};

struct epoll_listener {
    struct io_listener base;
    struct target target;
    struct list link, acceptable;
    void *user;
    char *path; /* of a unix socket, removed with the listener */
    int fd;
    uint16_t port;
};

struct epoll_conn {
    struct io_conn base;
    struct target target;
    struct list link;     /* in conns */
    struct list readable; /* in epoll_io.readable */
    int fd;
    bool has_bytes : 1;      /* a receive may find something */
    bool hung_up : 1;        /* the end is known to be there: receive until it shows */
    bool bulk : 1;           /* the last receive was a large one */
    bool blocked : 1;        /* EPOLLOUT is asked for */
    struct conn_state state; /* its `out` is in sending, done or done_lazy */
};

static inline struct epoll_io *epoll_of(struct io *io)
{
    return (struct epoll_io *)io;
}

/* epoll_conn.c. Those with `out` return the new count. */
void epoll_note_conn(struct epoll_io *e, struct target *target, uint32_t events);
void epoll_send_all(struct epoll_io *e);
int epoll_put_done(struct epoll_io *e, struct list *list, struct io_completion *out, int n, int max);
int epoll_receive_all(struct epoll_io *e, struct io_completion *out, int n, int max);
void epoll_conn_discard(struct epoll_conn *c);
struct io_conn *epoll_attach(struct io *io, io_socket socket, void *user);
struct io_conn *epoll_connect(struct io *io, const char *address, uint16_t port, void *user, int *error);
void epoll_detach(struct io_conn *conn);
void epoll_close(struct io_conn *conn);
void epoll_discard(struct io *io, io_socket socket);
void epoll_recv_pause(struct io_conn *conn);
void epoll_recv_resume(struct io_conn *conn);
void epoll_send(struct io_conn *conn, const struct io_slice *slices, int count, bool lazy);
int epoll_set_keepalive(struct io_conn *conn, int seconds);
void epoll_peer_address(struct io_conn *conn, char *buf);
void epoll_local_address(struct io_conn *conn, char *buf);
int64_t epoll_conn_fd(struct io_conn *conn);

/* epoll_listen.c */
void epoll_note_listener(struct epoll_io *e, struct target *target);
int epoll_accept_all(struct epoll_io *e, struct io_completion *out, int n, int max);
int epoll_listen_tcp(struct io *io, const char *address, uint16_t port, int backlog, void *user,
                     struct io_listener **out);
int epoll_listen_unix(struct io *io, const char *path, uint32_t mode, int backlog, void *user,
                      struct io_listener **out);
void epoll_unlisten(struct io_listener *listener);
uint16_t epoll_listener_port(const struct io_listener *listener);

/* epoll_file.c */
int epoll_put_files(struct epoll_io *e, struct io_completion *out, int n, int max);
struct io_file *epoll_file_open(struct io *io, const char *path, int flags, void *user);
void epoll_file_read(struct io_file *file, void *buf, size_t len, uint64_t offset, void *user);
void epoll_file_write(struct io_file *file, const void *buf, size_t len, uint64_t offset, void *user);
void epoll_file_sync(struct io_file *file, void *user);
void epoll_file_close(struct io_file *file, void *user);
void epoll_file_rename(struct io *io, const char *from, const char *to, void *user);
void epoll_file_unlink(struct io *io, const char *path, void *user);

#endif
