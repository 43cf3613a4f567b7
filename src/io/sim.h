/* The simulated backend's own structures. Read the head of io_sim.c first. */
#ifndef WEFT_IO_SIM_H
#define WEFT_IO_SIM_H

#include "io/backend.h"
#include "io/conn_state.h"
#include "io/list.h"
#include "base/prng.h"

#define SIM_NAME_MAX      64
#define SIM_WINDOW_BYTES  (128 * 1024) /* of one direction: in flight and unread */
#define SIM_RECV_BYTES    (64 * 1024)  /* of one completion */
#define SIM_TURN_BYTES    (512 * 1024) /* of one io_wait(): rule 6 of io.h */
#define SIM_REALTIME_0_US INT64_C(1750000000000000)

struct sim;

/* Something that happens at a time. `fire` frees `data`; sim_destroy() does it when the world ends before. */
struct sim_event {
    int64_t time_us;
    uint64_t sequence; /* equal times: in the order in which they were made */
    void (*fire)(struct sim *sim, struct sim_event *event);
    void *object;
    uint8_t *data;
    size_t len;
    int64_t value;
};

/* A file's content outlives its name while somebody has it open, and its file objects outlive nothing. */
struct sim_content {
    uint8_t *data;
    size_t len, room;
    int references;
};

struct sim_entry {
    struct list link; /* in sim_node.entries, sorted by name */
    char *name;
    struct sim_content *content;
};

/* A node: what shares a disk and an address. It is the `struct io_world` that the node's program is given. */
struct sim_node {
    struct io_world base;
    struct sim *sim;
    struct list link;
    char name[SIM_NAME_MAX];
    int number, io_count;
    struct prng entropy, disk;
    struct list entries;
};

struct sim {
    int64_t now_us;
    uint64_t trace, seed, sequence;
    struct prng network, schedule;
    struct list nodes, ios, listeners, sockets;
    struct sim_event *heap; /* a binary heap by (time, sequence) */
    size_t heap_len, heap_room;
    struct sim_socket **numbers; /* io_socket -> socket */
    size_t number_count;
    uint16_t next_port, next_client_port;
};

struct sim_chunk; /* received bytes of this turn */

struct sim_io {
    struct io base;
    struct sim_node *node;
    struct list link; /* in sim.ios */
    int number;       /* within the node */
    bool woken, deadline_fired;
    int64_t deadline_us; /* of the last io_wait(), until it has fired */
    struct list conns, readable, sending, done, done_lazy, acceptable;
    struct list files, files_flying, files_done; /* open ones; operations on their way; those that are done */
    struct sim_chunk *chunks;
    size_t turn_bytes;
};

static inline struct sim_io *sim_of(struct io *io)
{
    return (struct sim_io *)io;
}
static inline struct sim *sim_of_io(const struct sim_io *s)
{
    return s->node->sim;
}

/* io_sim.c */
void sim_after(struct sim *sim, int64_t delay_us, struct sim_event event);
uint8_t *sim_copy(const void *data, size_t len);
uint8_t *sim_chunk_take(struct sim_io *s, const void *data, size_t len); /* valid until the next io_wait() */

/* sim_net.c */
void sim_net_io_init(struct sim_io *s);
void sim_net_io_destroy(struct sim_io *s);
void sim_net_destroy(struct sim *sim);
bool sim_net_ready(const struct sim_io *s);
void sim_net_send_all(struct sim_io *s);
int sim_net_put_done(struct sim_io *s, struct list *list, struct io_completion *out, int n, int max);
int sim_net_accept_all(struct sim_io *s, struct io_completion *out, int n, int max);
int sim_net_receive_all(struct sim_io *s, struct io_completion *out, int n, int max);

int sim_listen_tcp(struct io *io, const char *address, uint16_t port, int backlog, void *user,
                   struct io_listener **out);
int sim_listen_unix(struct io *io, const char *path, uint32_t mode, int backlog, void *user,
                    struct io_listener **out);
void sim_unlisten(struct io_listener *listener);
uint16_t sim_listener_port(const struct io_listener *listener);
struct io_conn *sim_attach(struct io *io, io_socket socket, void *user);
struct io_conn *sim_connect(struct io *io, const char *address, uint16_t port, void *user, int *error);
void sim_detach(struct io_conn *conn);
void sim_close(struct io_conn *conn);
void sim_discard(struct io *io, io_socket socket);
void sim_recv_pause(struct io_conn *conn);
void sim_recv_resume(struct io_conn *conn);
void sim_send(struct io_conn *conn, const struct io_slice *slices, int count, bool lazy);
int sim_set_keepalive(struct io_conn *conn, int seconds);
void sim_peer_address(struct io_conn *conn, char *buf);
void sim_local_address(struct io_conn *conn, char *buf);
int64_t sim_conn_fd(struct io_conn *conn);

/* sim_file.c */
void sim_file_io_init(struct sim_io *s);
void sim_file_io_destroy(struct sim_io *s);
void sim_file_node_destroy(struct sim_node *node);
int sim_file_put_done(struct sim_io *s, struct io_completion *out, int n, int max);

struct io_file *sim_file_open(struct io *io, const char *path, int flags, void *user);
void sim_file_read(struct io_file *file, void *buf, size_t len, uint64_t offset, void *user);
void sim_file_write(struct io_file *file, const void *buf, size_t len, uint64_t offset, void *user);
void sim_file_sync(struct io_file *file, void *user);
void sim_file_close(struct io_file *file, void *user);
void sim_file_rename(struct io *io, const char *from, const char *to, void *user);
void sim_file_unlink(struct io *io, const char *path, void *user);
char *sim_file_load(struct io *io, const char *path, size_t limit, size_t *len, int *error);
int sim_file_store_atomic(struct io *io, const char *path, const void *data, size_t len);
int sim_file_append(struct io *io, const char *path, const void *data, size_t len);
int sim_file_remove(struct io *io, const char *path);
int sim_file_glob(struct io *io, const char *pattern, char ***names, size_t *count);

#endif
