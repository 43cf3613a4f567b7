/* The world of lines.h: a thin layer over a real backend.
 *
 * An io of this world forwards to one of the world below. Connections and files are made by that one and
 * belong to it, so nothing but listening, accepting and waiting passes through here. A connection is a socket
 * pair: one end is handed to the listening io through a ring and comes out of its io_wait() as IO_ACCEPT;
 * from there on it is an ordinary socket, which actors may move among themselves.
 *
 * Standard input need not be a socket (Maelstrom's is a pipe), and io receives from sockets only: a thread
 * copies it into a socket pair.
 *
 * Invariant: io_wake() of the listening io follows each publish into the ring, and its io_wait() looks into
 * the ring before it sleeps; so no connection waits for another event. */
#include "io/lines.h"
#include "io/backend.h"
#include "base/check.h"
#include "base/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>

#define ACCEPTS_MAX 256
#define PUMP_BYTES  (64 * 1024)

struct lines_io;

struct lines_world {
    struct io_world base;
    struct io_world *below;
    struct ring *accepts;                /* from the bridge's thread to the one that listens */
    _Atomic(struct lines_io *) acceptor; /* NULL: nobody listens */
    struct io_thread *pump;
    int pump_fd;
    atomic_bool pump_ended;
};

struct lines_listener {
    struct io_listener base;
    void *user;
    uint16_t port;
};

struct lines_io {
    struct io base;
    struct io *below;
    struct lines_listener *listener; /* the one that accepts */
};

static struct lines_io *lines_of(struct io *io)
{
    return (struct lines_io *)io;
}
static struct lines_world *world_of(struct io *io)
{
    return (struct lines_world *)io->world;
}
static struct io *below(struct io *io)
{
    return lines_of(io)->below;
}

/* ---- listening and accepting ---- */

static int listen_here(struct io *io, uint16_t port, void *user, struct io_listener **out)
{
    struct lines_io *self = lines_of(io), *nobody = NULL;
    struct lines_listener *l = calloc(1, sizeof(*l));
    if (l == NULL) return -ENOMEM;
    l->base.io = io;
    l->user = user;
    l->port = port;
    if (self->listener == NULL && atomic_compare_exchange_strong(&world_of(io)->acceptor, &nobody, self))
        self->listener = l;
    *out = &l->base;
    return 0;
}

static int lines_listen_tcp(struct io *io, const char *address, uint16_t port, int backlog, void *user,
                            struct io_listener **out)
{
    return listen_here(io, port, user, out);
}

static int lines_listen_unix(struct io *io, const char *path, uint32_t mode, int backlog, void *user,
                             struct io_listener **out)
{
    return listen_here(io, 0, user, out);
}

static void lines_unlisten(struct io_listener *listener)
{
    struct lines_io *self = lines_of(listener->io);
    if ((struct lines_listener *)listener == self->listener) {
        atomic_store(&world_of(listener->io)->acceptor, NULL);
        self->listener = NULL;
    }
    free(listener);
}

static uint16_t lines_listener_port(const struct io_listener *listener)
{
    return ((const struct lines_listener *)listener)->port;
}

static int accept_all(struct lines_io *self, struct io_completion *out, int max)
{
    struct ring *ring = world_of(&self->base)->accepts;
    struct message *m;
    int n = 0;
    for (; self->listener != NULL && n < max && (m = ring_peek(ring)) != NULL; ring_release(ring))
        out[n++] = (struct io_completion){
            .user = self->listener->user, .op = IO_ACCEPT, .socket = (io_socket)m->words[0]};
    return n;
}

static int lines_wait(struct io *io, int64_t deadline_us, struct io_completion *out, int max)
{
    struct lines_io *self = lines_of(io);
    CHECK(max > 0);
    int n = accept_all(self, out, max);
    /* The world below sees to the rest; it does not sleep when there is something to tell already. */
    return n == max ? n : n + io_wait(self->below, n > 0 ? 0 : deadline_us, out + n, max - n);
}

/* ---- connections and standard input ---- */

static int make_pair(struct lines_world *w, int fds[2])
{
    /* As the backend's own sockets are: epoll never blocks, io_uring has the kernel wait. */
    int mode = strcmp(io_world_backend_name(w->below), "epoll") == 0 ? SOCK_NONBLOCK : 0;
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | mode, 0, fds) < 0 ? -errno : 0;
}

static struct lines_world *of_world(struct io_world *world);

io_socket io_lines_connect(struct io_world *world, int *error)
{
    struct lines_world *w = of_world(world);
    struct lines_io *acceptor = atomic_load(&w->acceptor);
    int fds[2];
    *error = acceptor == NULL ? -ECONNREFUSED : !ring_has_room(w->accepts, 1) ? -EAGAIN : make_pair(w, fds);
    if (*error < 0) return IO_SOCKET_NONE;
    struct message *m = ring_reserve(w->accepts);
    m->words[0] = (uint64_t)fds[0];
    ring_publish(w->accepts);
    io_wake(&acceptor->base);
    return fds[1];
}

static bool write_all(int fd, const char *bytes, ssize_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, bytes, (size_t)len, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) return false;
        if (n > 0) bytes += n, len -= n;
    }
    return true;
}

static void pump_run(void *argument)
{
    struct lines_world *w = argument;
    static const size_t room = PUMP_BYTES;
    char *bytes = malloc(room);
    CHECK(bytes != NULL);
    ssize_t n;
    do {
        n = read(STDIN_FILENO, bytes, room);
    } while ((n < 0 && errno == EINTR) || (n > 0 && write_all(w->pump_fd, bytes, n)));
    free(bytes);
    shutdown(w->pump_fd, SHUT_WR);
    atomic_store(&w->pump_ended, true);
}

io_socket io_lines_input(struct io_world *world, int *error)
{
    struct lines_world *w = of_world(world);
    int fds[2], flags;
    CHECK(w->pump == NULL);
    *error = make_pair(w, fds);
    if (*error < 0) return IO_SOCKET_NONE;
    flags = fcntl(fds[0], F_GETFL);
    fcntl(fds[0], F_SETFL, flags & ~O_NONBLOCK); /* the pump has nothing else to do */
    w->pump_fd = fds[0];
    w->pump = io_thread_start("stdin", pump_run, w, error);
    if (w->pump != NULL) return fds[1];
    close(fds[0]);
    close(fds[1]);
    return IO_SOCKET_NONE;
}

/* ---- forwarded as it is ---- */

static int64_t lines_monotonic_us(struct io *io)
{
    return io_monotonic_us(below(io));
}
static int64_t lines_realtime_us(struct io *io)
{
    return io_realtime_us(below(io));
}
static void lines_entropy(struct io *io, void *buf, size_t len)
{
    io_entropy(below(io), buf, len);
}
static void lines_usage(struct io *io, struct io_usage *out)
{
    io_usage(below(io), out);
}
static void lines_stall(struct io *io, int64_t us)
{
    io_stall(below(io), us);
}
static void lines_wake(struct io *target)
{
    io_wake(below(target));
}
static struct io_conn *lines_attach(struct io *io, io_socket socket, void *user)
{
    return io_attach(below(io), socket, user);
}
static struct io_conn *lines_connect(struct io *io, const char *address, uint16_t port, void *user,
                                     int *error)
{
    return io_connect(below(io), address, port, user, error);
}
static void lines_discard(struct io *io, io_socket socket)
{
    io_discard(below(io), socket);
}
static struct io_file *lines_file_open(struct io *io, const char *path, int flags, void *user)
{
    return io_file_open(below(io), path, flags, user);
}
static void lines_file_rename(struct io *io, const char *from, const char *to, void *user)
{
    io_file_rename(below(io), from, to, user);
}
static void lines_file_unlink(struct io *io, const char *path, void *user)
{
    io_file_unlink(below(io), path, user);
}
static char *lines_file_load(struct io *io, const char *path, size_t limit, size_t *len, int *error)
{
    return io_file_load(below(io), path, limit, len, error);
}
static int lines_file_store_atomic(struct io *io, const char *path, const void *data, size_t len)
{
    return io_file_store_atomic(below(io), path, data, len);
}
static int lines_file_append(struct io *io, const char *path, const void *data, size_t len)
{
    return io_file_append(below(io), path, data, len);
}
static int lines_file_remove(struct io *io, const char *path)
{
    return io_file_remove(below(io), path);
}
static int lines_file_glob(struct io *io, const char *pattern, char ***names, size_t *count)
{
    return io_file_glob(below(io), pattern, names, count);
}

static void lines_destroy(struct io *io)
{
    struct lines_io *self = lines_of(io);
    if (self->listener != NULL) lines_unlisten(&self->listener->base);
    io_destroy(self->below);
    free(self);
}

/* What belongs to a connection or a file is the world's below, which made it: no call of it comes here, and
 * those pointers stay NULL. */
static const struct io_ops lines_ops = {
    .destroy = lines_destroy,
    .monotonic_us = lines_monotonic_us,
    .realtime_us = lines_realtime_us,
    .entropy = lines_entropy,
    .usage = lines_usage,
    .stall = lines_stall,
    .wait = lines_wait,
    .wake = lines_wake,
    .listen_tcp = lines_listen_tcp,
    .listen_unix = lines_listen_unix,
    .unlisten = lines_unlisten,
    .listener_port = lines_listener_port,
    .attach = lines_attach,
    .connect = lines_connect,
    .discard = lines_discard,
    .file_open = lines_file_open,
    .file_rename = lines_file_rename,
    .file_unlink = lines_file_unlink,
    .file_load = lines_file_load,
    .file_store_atomic = lines_file_store_atomic,
    .file_append = lines_file_append,
    .file_remove = lines_file_remove,
    .file_glob = lines_file_glob,
};

static struct io *lines_create_io(struct io_world *world, int *error)
{
    struct lines_io *self = calloc(1, sizeof(*self));
    *error = -ENOMEM;
    if (self == NULL) return NULL;
    self->base.ops = &lines_ops;
    self->base.world = world;
    self->below = io_create(of_world(world)->below, error);
    if (self->below != NULL) return &self->base;
    free(self);
    return NULL;
}

static void lines_world_destroy(struct io_world *world)
{
    struct lines_world *w = of_world(world);
    struct message *m;
    for (; (m = ring_peek(w->accepts)) != NULL; ring_release(w->accepts)) close((int)m->words[0]);
    /* The pump may sleep in read() for as long as our parent likes: it can only end with the process. */
    if (w->pump != NULL && !atomic_load(&w->pump_ended)) return;
    if (w->pump != NULL) {
        io_thread_join(w->pump);
        close(w->pump_fd);
    }
    io_world_destroy(w->below);
    free(w->accepts);
    free(w);
}

static const struct io_world_ops lines_world_ops = {
    .name = "lines",
    .create = lines_create_io,
    .destroy = lines_world_destroy,
};

static struct lines_world *of_world(struct io_world *world)
{
    CHECK(world->ops == &lines_world_ops);
    return (struct lines_world *)world;
}

struct io_world *io_lines_world_create(enum io_backend backend, int *error)
{
    struct lines_world *w = calloc(1, sizeof(*w));
    *error = -ENOMEM;
    if (w == NULL) return NULL;
    w->base.ops = &lines_world_ops;
    w->accepts = ring_create(ACCEPTS_MAX);
    w->below = w->accepts != NULL ? io_world_create(backend, error) : NULL;
    if (w->below != NULL) return &w->base;
    free(w->accepts);
    free(w);
    return NULL;
}
