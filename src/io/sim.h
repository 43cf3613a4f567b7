/* The simulated backend's own structures. Read the head of io_sim.c first. */
#ifndef WEFT_IO_SIM_H
#define WEFT_IO_SIM_H

#include "io/backend.h"
#include "io/conn_state.h"
#include "io/list.h"
#include "io/sim_fault.h"
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

struct sim_write; /* one that is not yet durable */

struct sim_bytes {
    uint8_t *data;
    size_t len, room;
};

/* A file's content outlives its name while somebody has it open, and its file objects outlive nothing. What a
 * program reads is `now`; `durable` is what a power loss leaves for certain; `writes` lead from the one to
 * the other (unless a failed sync has thrown some away). */
struct sim_content {
    struct sim_bytes now, durable;
    struct list writes; /* oldest first */
    size_t write_count, write_bytes;
    struct sim_bytes old; /* what the last write has covered, from old_offset: for stale reads */
    uint64_t old_offset;
    int references;
    bool crashed; /* its image has been picked in the crash under way */
};

struct sim_entry {
    struct list link; /* in sim_node.entries, sorted by name */
    char *name;
    struct sim_content *content;
};

/* The wall clock: virtual time plus an offset that grows with the drift. */
struct sim_clock {
    int64_t offset_us, drift_us_per_s;
    int64_t drift_since_us; /* virtual; `offset_us` has what came before */
    int64_t paused_at_us;   /* wall time while it stands still; else INT64_MIN */
    int64_t paused_until_us;
};

/* A node: what shares a disk and an address. It is the `struct io_world` that the node's program is given. */
struct sim_node {
    struct io_world base;
    struct sim *sim;
    struct list link;
    char name[SIM_NAME_MAX];
    int number, io_count;
    struct prng entropy, disk;
    struct list entries; /* what programs see */
    uint32_t rates[IO_SIM_FAULT_COUNT];
    bool faulty; /* some rate is not 0 */
    struct sim_clock clock;
    struct list durable;      /* entries as a power loss would find them, if it kept no change of `names` */
    struct list name_changes; /* not yet durable, oldest first */
    int64_t disk_stalled_until_us;
    bool read_only;
};

/* Faults that are on, and what they did. */
struct sim_faults {
    struct prng random[IO_SIM_FAULT_COUNT];
    uint64_t fired[IO_SIM_FAULT_COUNT];
    int64_t values[IO_SIM_FAULT_COUNT];
    uint32_t rates[IO_SIM_FAULT_COUNT]; /* of nodes to come */
    bool ticking;                       /* an event for the next tick exists */
    uint32_t epoch;                     /* grows when faults are frozen: older events heal nothing any more */
};

/* Ways between nodes, [from][to]: how many faults cut or clog each; the high bit is the harness's own. */
#define SIM_WAY_BY_HAND 0x8000
struct sim_ways {
    uint16_t cuts[IO_SIM_NODES_MAX][IO_SIM_NODES_MAX], clogs[IO_SIM_NODES_MAX][IO_SIM_NODES_MAX];
    int64_t cut_since_us[IO_SIM_NODES_MAX][IO_SIM_NODES_MAX];
    int blocked;        /* how many are cut or clogged; 0: nobody need look */
    struct prng random; /* when what was held arrives */
};

struct sim {
    int64_t now_us;
    uint64_t trace, seed, sequence;
    struct prng network, schedule;
    struct list nodes, ios, listeners, sockets;
    struct sim_node *by_number[IO_SIM_NODES_MAX];
    int node_count;
    struct sim_faults faults;
    struct sim_ways ways;
    uint64_t peer_ports[1024]; /* a bit for each port whose connections are peer links */
    uint64_t listener_ids;
    struct sim_event *heap; /* a binary heap by (time, sequence) */
    size_t heap_len, heap_room;
    struct sim_io **deadlines; /* a binary heap by (deadline, id) of the ios that have one */
    size_t deadline_count, deadline_room;
    uint64_t io_ids;
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
    /* False: it is not ready, nobody need look closer. Whatever may make it ready sets this. */
    bool maybe_ready;
    bool woken, deadline_fired;
    bool dead;             /* its node crashed: it waits to be destroyed */
    int64_t look_cost_us;  /* of each io_monotonic_us() */
    int64_t looked_us;     /* what they have cost in this turn */
    int64_t deadline_us;   /* of the last io_wait(), until it has fired; set by deadline_set() alone */
    size_t deadline_place; /* in sim.deadlines; SIZE_MAX: in none */
    uint64_t id;           /* of all ios of the world, in order of creation */
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
struct sim *sim_of_world(const struct io_world *world);
struct sim_node *sim_node_of(const struct io_world *world);
void sim_after(struct sim *sim, int64_t delay_us, struct sim_event event);
uint8_t *sim_copy(const void *data, size_t len);
uint8_t *sim_chunk_take(struct sim_io *s, const void *data, size_t len); /* valid until the next io_wait() */

/* sim_fault.c. A `draw` is true with the node's rate, a `hit` is also counted: for faults that always have an
 * effect. */
void sim_fault_init(struct sim *sim);
void sim_fault_node_init(struct sim_node *node);
bool sim_fault_drawn(struct sim_node *node, enum io_sim_fault fault);
static inline bool sim_fault_draw(struct sim_node *node, enum io_sim_fault fault)
{
    return node->rates[fault] != 0 && sim_fault_drawn(node, fault);
}
static inline void sim_fault_count(struct sim_node *node, enum io_sim_fault fault)
{
    node->sim->faults.fired[fault]++;
}
static inline bool sim_fault_hit(struct sim_node *node, enum io_sim_fault fault)
{
    bool hit = sim_fault_draw(node, fault);
    node->sim->faults.fired[fault] += hit;
    return hit;
}
uint64_t sim_fault_below(struct sim *sim, enum io_sim_fault fault, uint64_t bound);
/* In [1, the fault's parameter]. */
int64_t sim_fault_amount(struct sim *sim, enum io_sim_fault fault);

/* sim_clock.c */
int64_t sim_clock_realtime_us(const struct sim_node *node);
void sim_clock_node_init(struct sim_node *node);
void sim_clock_fault_set(struct sim_node *node, enum io_sim_fault fault); /* of unit NODE: its rate is new */
bool sim_clock_tick(struct sim_node *node, enum io_sim_fault fault);
void sim_clock_freeze(struct sim_node *node);

/* sim_net.c, sim_listen.c, sim_net_fault.c */
void sim_net_io_init(struct sim_io *s);
void sim_net_io_destroy(struct sim_io *s);
void sim_net_destroy(struct sim *sim);
bool sim_net_ready(const struct sim_io *s);
void sim_net_send_all(struct sim_io *s);
int sim_net_put_done(struct sim_io *s, struct list *list, struct io_completion *out, int n, int max);
int sim_net_accept_all(struct sim_io *s, struct io_completion *out, int n, int max);
int sim_net_receive_all(struct sim_io *s, struct io_completion *out, int n, int max);
bool sim_net_tick(struct sim_node *node, enum io_sim_fault fault); /* whether it had an effect */
void sim_net_freeze(struct sim *sim);
void sim_net_node_crash(struct sim_node *node, bool vanish);

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
void sim_file_io_crash(struct sim_io *s);
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

/* sim_disk.c */
void sim_disk_node_init(struct sim_node *node);
void sim_disk_node_destroy(struct sim_node *node);
void sim_disk_freeze(struct sim_node *node);
void sim_disk_power_loss(struct sim_node *node);
struct sim_entry *sim_disk_find(struct sim_node *node, const char *name);
/* Makes the name, which must not exist; the entry owns the content. */
struct sim_entry *sim_disk_create(struct sim_node *node, const char *name);
void sim_disk_unlink(struct sim_node *node, struct sim_entry *entry);
void sim_disk_rename(struct sim_node *node, struct sim_entry *entry, const char *to);
void sim_disk_sync_directory(struct sim_node *node, const char *of_name);
void sim_content_release(struct sim_content *content);
void sim_content_write(struct sim_content *c, const void *data, size_t len, uint64_t offset);
void sim_content_truncate(struct sim_content *c);
void sim_content_sync(struct sim_content *c);
void sim_content_sync_fails(struct sim_node *node, struct sim_content *c);
bool sim_content_flip(struct sim_node *node, struct sim_content *c, uint64_t offset, size_t len);
/* Lays over `buf`, which holds what is there now, what was there before; false: it is the same. */
bool sim_content_stale(const struct sim_content *c, uint8_t *buf, size_t len, uint64_t offset);

#endif
