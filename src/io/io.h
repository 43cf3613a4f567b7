/* io: the only door to the outside.
 *
 * A proactor: an operation is submitted, its completion comes out of io_wait(). Three implementations of this
 * one header: io_uring (io_uring.c), epoll (io_epoll.c) and simulated (io_sim.c). An actor owns one `struct
 * io` and is the only caller of its functions, except io_wake(), which any thread may call.
 *
 * Rules
 *  1. Nothing completes inside a submitting call; completions come only from io_wait().
 *  2. Bytes of an IO_RECV completion belong to io and stay valid until the next io_wait() of the same io. All
 *     received data of one turn is alive at once, so that a whole turn can be parsed before it is run.
 *     IO_RECV_SLACK bytes behind them may be read, too (a parser's wide loads), but mean nothing.
 *  3. Bytes handed to io_send() belong to the caller and must stay unchanged until its IO_SENT. At most one
 *     send is in flight per connection. IO_SENT comes when all bytes were taken, or with an error.
 *  4. After io_close() exactly one IO_CLOSED follows, when nothing is in flight; no completion of that
 *     connection comes after it, and the connection object is gone. Before it come the IO_SENT of a send in
 *     flight (queued bytes get one last try; -ECANCELED when they do not all fit) and the IO_CONNECT of a
 *     connect (-ECANCELED). No IO_RECV is put out after io_close().
 *  5. A receive of length 0 (`result == 0`) is the peer's end of stream; `result < 0` is -errno. After either
 *     no more IO_RECV comes, but the connection still has to be closed.
 *  6. Every queue is bounded: when io's receive buffers of a turn are used up, connections simply wait.
 *
 * Time: monotonic microseconds for waiting, wall-clock milliseconds for TTLs. An actor reads both once per
 * turn.
 */
#ifndef WEFT_IO_IO_H
#define WEFT_IO_IO_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

struct io;       /* one per actor */
struct io_world; /* what a node's ios have in common: the backend, the simulated network */
struct io_conn;  /* a connection attached to an io */
struct io_listener;

/* A socket that is attached to no io: on its way from the accepting actor to its own, or between shards.
 * Plain value; whoever holds it must attach or discard it. */
typedef int64_t io_socket;
#define IO_SOCKET_NONE ((io_socket)-1)

enum io_op {
    IO_ACCEPT,   /* user: the listener's. socket: the new one, or IO_SOCKET_NONE with result -errno */
    IO_RECV,     /* user: the connection's. result/data */
    IO_SENT,     /* result: bytes sent (all of them), or -errno */
    IO_CONNECT,  /* result 0 or -errno; receiving has begun if 0 */
    IO_CLOSED,   /* the last completion of a connection */
    IO_DETACHED, /* socket: now free to be attached elsewhere; the connection object is gone */
    IO_FILE,     /* result of a file operation */
};

#define IO_RECV_SLACK 64

struct io_completion {
    void *user;
    const uint8_t *data; /* IO_RECV */
    io_socket socket;    /* IO_ACCEPT, IO_DETACHED */
    int64_t result;
    uint8_t op; /* enum io_op */
};

struct io_slice {
    const void *ptr;
    size_t len;
};

/* ---- time and chance ---- */
int64_t io_monotonic_us(struct io *io);
int64_t io_realtime_us(struct io *io);
void io_entropy(struct io *io, void *buf, size_t len);
/* CPU time (user, system) of the process and of the calling thread, resident bytes; zero in the simulator. */
struct io_usage {
    int64_t user_us, system_us, resident_bytes, resident_peak_bytes;
    int64_t thread_user_us, thread_system_us;
};
void io_usage(struct io *io, struct io_usage *out);
/* Blocks the calling thread for that long: DEBUG SLEEP and nothing else. Returns at once in the simulator. */
void io_stall(struct io *io, int64_t us);

/* ---- the turn ----
 * Submits what is pending, then waits until a completion is there, io_wake() was called, or the monotonic
 * clock reaches `deadline_us` (a deadline <= now means: do not sleep). Fills up to `max` completions, returns
 * their number (0: woken or deadline). */
int io_wait(struct io *io, int64_t deadline_us, struct io_completion *out, int max);
/* Makes the current or next io_wait() of `target` return. Any thread; cheap when already pending. */
void io_wake(struct io *target);

/* ---- sockets ---- */
/* `address`: IPv4, IPv6 or a host name's numeric form. Returns 0 or -errno. Accepts go on until
 * io_unlisten(). */
int io_listen_tcp(struct io *io, const char *address, uint16_t port, int backlog, void *user,
                  struct io_listener **out);
int io_listen_unix(struct io *io, const char *path, uint32_t mode, int backlog, void *user,
                   struct io_listener **out);
void io_unlisten(struct io_listener *listener);
uint16_t io_listener_port(const struct io_listener *listener); /* the one chosen when port 0 was asked for */

/* Begins receiving. NULL on exhaustion (the socket is then still the caller's). TCP_NODELAY is set. */
struct io_conn *io_attach(struct io *io, io_socket socket, void *user);
/* Connects to host:port, or to a unix socket when the address has a '/' in it; IO_CONNECT follows, and
 * nothing may be sent before it. NULL with *error = -errno when it cannot even begin. */
struct io_conn *io_connect(struct io *io, const char *address, uint16_t port, void *user, int *error);
/* Stops receiving; IO_DETACHED follows. Bytes received before it are still delivered. No send may be in
 * flight. */
void io_detach(struct io_conn *conn);
void io_close(struct io_conn *conn);
void io_discard(struct io *io, io_socket socket); /* closes one that is attached nowhere */
/* Flow control: while paused no further IO_RECV is begun (those already completed still come). */
void io_recv_pause(struct io_conn *conn);
void io_recv_resume(struct io_conn *conn);
/* Sends all of it in order; IO_SENT follows. `count` <= IO_SEND_SLICES_MAX; the slice array is copied. */
#define IO_SEND_SLICES_MAX 16
void io_send(struct io_conn *conn, const struct io_slice *slices, int count);
/* The same for a reply that nothing waits behind: its IO_SENT alone does not end the sleep of io_wait(), it
 * comes with whatever comes next (errors come at once). Saves the loop a turn without work for each request.
 * Not for a send that the caller means to follow with another one or with io_close(). */
void io_send_lazy(struct io_conn *conn, const struct io_slice *slices, int count);
int io_set_keepalive(struct io_conn *conn, int seconds); /* 0 switches it off */
/* "127.0.0.1:6379", "[::1]:6379" or "/path/socket:0"; never more than IO_ADDRESS_MAX bytes with the NUL. */
#define IO_ADDRESS_MAX 128
void io_peer_address(struct io_conn *conn, char *buf);
void io_local_address(struct io_conn *conn, char *buf);
int64_t io_conn_fd(struct io_conn *conn); /* a number for CLIENT LIST */

/* ---- files: asynchronous (for logs and archives) ---- */
struct io_file;
enum {
    IO_FILE_READ = 1,
    IO_FILE_WRITE = 2,
    IO_FILE_CREATE = 4,
    IO_FILE_TRUNCATE = 8,
    IO_FILE_EXCLUSIVE = 16
};
/* Each completes as IO_FILE with `user`. Buffers stay the caller's and must live until then. A file may be
 * used once its open has completed with 0; it is gone with a failed open, and when its close has completed
 * (whatever the result). Reads are short only at the end of the file; a write has written everything, or
 * failed. Operations on one file may complete in any order: wait for a write before the sync that is to cover
 * it. */
struct io_file *io_file_open(struct io *io, const char *path, int flags, void *user); /* result 0 or -errno */
void io_file_read(struct io_file *file, void *buf, size_t len, uint64_t offset, void *user);
void io_file_write(struct io_file *file, const void *buf, size_t len, uint64_t offset, void *user);
void io_file_sync(struct io_file *file, void *user); /* fdatasync */
void io_file_close(struct io_file *file, void *user);
/* and syncs the directory of `to` */
void io_file_rename(struct io *io, const char *from, const char *to, void *user);
void io_file_unlink(struct io *io, const char *path, void *user);

/* ---- files: at once (start-up, CONFIG REWRITE, the log file; never on a shard's hot path) ---- */
/* malloc'ed, NUL behind the last byte; NULL with *error = -errno. At most `limit` bytes, else -EFBIG. */
char *io_file_load(struct io *io, const char *path, size_t limit, size_t *len, int *error);
/* Writes a temporary file beside it, syncs, renames: afterwards the file is the old one or the new one. */
int io_file_store_atomic(struct io *io, const char *path, const void *data, size_t len);
int io_file_append(struct io *io, const char *path, const void *data, size_t len); /* path NULL: stdout */
int io_file_remove(struct io *io, const char *path);
/* Names matching a shell pattern (for `include`), sorted, malloc'ed array of malloc'ed strings. */
int io_file_glob(struct io *io, const char *pattern, char ***names, size_t *count);

#endif
