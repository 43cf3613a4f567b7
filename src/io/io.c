/* Forwards io.h to the backend that the io belongs to. Nothing else happens here. */
#include "io/backend.h"

int64_t io_monotonic_us(struct io *io)
{
    return io->ops->monotonic_us(io);
}
int64_t io_realtime_us(struct io *io)
{
    return io->ops->realtime_us(io);
}
void io_entropy(struct io *io, void *buf, size_t len)
{
    io->ops->entropy(io, buf, len);
}
void io_usage(struct io *io, struct io_usage *out)
{
    io->ops->usage(io, out);
}
void io_stall(struct io *io, int64_t us)
{
    io->ops->stall(io, us);
}

int io_wait(struct io *io, int64_t deadline_us, struct io_completion *out, int max)
{
    return io->ops->wait(io, deadline_us, out, max);
}
void io_wake(struct io *target)
{
    target->ops->wake(target);
}

int io_listen_tcp(struct io *io, const char *address, uint16_t port, int backlog, void *user,
                  struct io_listener **out)
{
    return io->ops->listen_tcp(io, address, port, backlog, user, out);
}
int io_listen_unix(struct io *io, const char *path, uint32_t mode, int backlog, void *user,
                   struct io_listener **out)
{
    return io->ops->listen_unix(io, path, mode, backlog, user, out);
}
void io_unlisten(struct io_listener *listener)
{
    listener->io->ops->unlisten(listener);
}
uint16_t io_listener_port(const struct io_listener *listener)
{
    return listener->io->ops->listener_port(listener);
}

struct io_conn *io_attach(struct io *io, io_socket socket, void *user)
{
    return io->ops->attach(io, socket, user);
}
struct io_conn *io_connect(struct io *io, const char *address, uint16_t port, void *user, int *error)
{
    return io->ops->connect(io, address, port, user, error);
}
void io_detach(struct io_conn *conn)
{
    conn->io->ops->detach(conn);
}
void io_close(struct io_conn *conn)
{
    conn->io->ops->close(conn);
}
void io_discard(struct io *io, io_socket socket)
{
    io->ops->discard(io, socket);
}
void io_recv_pause(struct io_conn *conn)
{
    conn->io->ops->recv_pause(conn);
}
void io_recv_resume(struct io_conn *conn)
{
    conn->io->ops->recv_resume(conn);
}
void io_send(struct io_conn *conn, const struct io_slice *slices, int count)
{
    conn->io->ops->send(conn, slices, count, false);
}
void io_send_lazy(struct io_conn *conn, const struct io_slice *slices, int count)
{
    conn->io->ops->send(conn, slices, count, true);
}
int io_set_keepalive(struct io_conn *conn, int seconds)
{
    return conn->io->ops->set_keepalive(conn, seconds);
}
void io_peer_address(struct io_conn *conn, char *buf)
{
    conn->io->ops->peer_address(conn, buf);
}
void io_local_address(struct io_conn *conn, char *buf)
{
    conn->io->ops->local_address(conn, buf);
}
int64_t io_conn_fd(struct io_conn *conn)
{
    return conn->io->ops->conn_fd(conn);
}

struct io_file *io_file_open(struct io *io, const char *path, int flags, void *user)
{
    return io->ops->file_open(io, path, flags, user);
}
void io_file_read(struct io_file *file, void *buf, size_t len, uint64_t offset, void *user)
{
    file->io->ops->file_read(file, buf, len, offset, user);
}
void io_file_write(struct io_file *file, const void *buf, size_t len, uint64_t offset, void *user)
{
    file->io->ops->file_write(file, buf, len, offset, user);
}
void io_file_sync(struct io_file *file, void *user)
{
    file->io->ops->file_sync(file, user);
}
void io_file_close(struct io_file *file, void *user)
{
    file->io->ops->file_close(file, user);
}
void io_file_rename(struct io *io, const char *from, const char *to, void *user)
{
    io->ops->file_rename(io, from, to, user);
}
void io_file_unlink(struct io *io, const char *path, void *user)
{
    io->ops->file_unlink(io, path, user);
}

char *io_file_load(struct io *io, const char *path, size_t limit, size_t *len, int *error)
{
    return io->ops->file_load(io, path, limit, len, error);
}
int io_file_store_atomic(struct io *io, const char *path, const void *data, size_t len)
{
    return io->ops->file_store_atomic(io, path, data, len);
}
int io_file_append(struct io *io, const char *path, const void *data, size_t len)
{
    return io->ops->file_append(io, path, data, len);
}
int io_file_remove(struct io *io, const char *path)
{
    return io->ops->file_remove(io, path);
}
int io_file_glob(struct io *io, const char *pattern, char ***names, size_t *count)
{
    return io->ops->file_glob(io, pattern, names, count);
}

const char *io_world_backend_name(const struct io_world *world)
{
    return world->ops->name;
}
void io_world_destroy(struct io_world *world)
{
    world->ops->destroy(world);
}
struct io *io_create(struct io_world *world, int *error)
{
    return world->ops->create(world, error);
}
void io_destroy(struct io *io)
{
    io->ops->destroy(io);
}
