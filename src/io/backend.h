/* What a backend implements: io.c forwards every function of io.h to the ops of the io (or of the io that a
 * connection, listener or file belongs to). Only src/io includes this.
 *
 * A backend's own objects begin with the structs below. `ops` is the first member of `struct io`, so
 * forwarding costs one load and one indirect call. A pointer in `struct io_ops` is never NULL
 * where objects of that backend can come to it (io_lines.c has connections and files of another one).
 */
#ifndef WEFT_IO_BACKEND_H
#define WEFT_IO_BACKEND_H

#include "io/io.h"
#include "io/world.h"

struct io_ops {
    void (*destroy)(struct io *io);
    int64_t (*monotonic_us)(struct io *io);
    int64_t (*realtime_us)(struct io *io);
    void (*entropy)(struct io *io, void *buf, size_t len);
    void (*usage)(struct io *io, struct io_usage *out);
    void (*stall)(struct io *io, int64_t us);

    int (*wait)(struct io *io, int64_t deadline_us, struct io_completion *out, int max);
    void (*wake)(struct io *io);

    int (*listen_tcp)(struct io *io, const char *address, uint16_t port, int backlog, void *user,
                      struct io_listener **out);
    int (*listen_unix)(struct io *io, const char *path, uint32_t mode, int backlog, void *user,
                       struct io_listener **out);
    void (*unlisten)(struct io_listener *listener);
    uint16_t (*listener_port)(const struct io_listener *listener);

    struct io_conn *(*attach)(struct io *io, io_socket socket, void *user);
    struct io_conn *(*connect)(struct io *io, const char *address, uint16_t port, void *user, int *error);
    void (*detach)(struct io_conn *conn);
    void (*close)(struct io_conn *conn);
    void (*discard)(struct io *io, io_socket socket);
    void (*recv_pause)(struct io_conn *conn);
    void (*recv_resume)(struct io_conn *conn);
    void (*send)(struct io_conn *conn, const struct io_slice *slices, int count, bool lazy);
    int (*set_keepalive)(struct io_conn *conn, int seconds);
    void (*peer_address)(struct io_conn *conn, char *buf);
    void (*local_address)(struct io_conn *conn, char *buf);
    int64_t (*conn_fd)(struct io_conn *conn);

    struct io_file *(*file_open)(struct io *io, const char *path, int flags, void *user);
    void (*file_read)(struct io_file *file, void *buf, size_t len, uint64_t offset, void *user);
    void (*file_write)(struct io_file *file, const void *buf, size_t len, uint64_t offset, void *user);
    void (*file_sync)(struct io_file *file, void *user);
    void (*file_close)(struct io_file *file, void *user);
    void (*file_rename)(struct io *io, const char *from, const char *to, void *user);
    void (*file_unlink)(struct io *io, const char *path, void *user);

    char *(*file_load)(struct io *io, const char *path, size_t limit, size_t *len, int *error);
    int (*file_store_atomic)(struct io *io, const char *path, const void *data, size_t len);
    int (*file_append)(struct io *io, const char *path, const void *data, size_t len);
    int (*file_remove)(struct io *io, const char *path);
    int (*file_glob)(struct io *io, const char *pattern, char ***names, size_t *count);
};

struct io {
    const struct io_ops *ops;
    struct io_world *world;
};

struct io_conn {
    struct io *io;
};

struct io_listener {
    struct io *io;
};

struct io_file {
    struct io *io;
};

struct io_world_ops {
    const char *name;
    struct io *(*create)(struct io_world *world, int *error);
    void (*destroy)(struct io_world *world);
};

struct io_world {
    const struct io_world_ops *ops;
};

/* The real backends. NULL with *error = -errno, for io_uring when this kernel does not let us, or when it is
 * to be `at_its_best` and must receive one by one here (uring_probe.c). */
struct io_world *io_epoll_world_create(int *error);
struct io_world *io_uring_world_create(bool at_its_best, int *error);
/* For tests: makes ios that receive one by one although (or not although) multishot would be safe here. */
void io_uring_set_multishot(struct io_world *world, bool on);

#endif
