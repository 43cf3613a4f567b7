/* What the files of the simulated network share. Read the head of sim_net.c first. */
#ifndef WEFT_IO_SIM_NET_H
#define WEFT_IO_SIM_NET_H

#include "io/sim.h"

struct sim_link;

/* An arrival that waits for its way to be open again. */
struct sim_held {
    struct sim_held *next;
    struct sim_event event;
};

struct sim_socket {
    struct sim_link *link;
    struct sim_node *node;
    struct sim_conn *conn; /* NULL: attached nowhere */
    int64_t number;        /* as io_socket; -1: not handed out */
    uint8_t *queue;        /* arrived bytes [head, tail) */
    size_t head, tail, room;
    size_t unread;           /* sent by this end, and not read by the other one */
    size_t window;           /* that `unread` may reach */
    int64_t last_arrival_us; /* of what this end has sent */
    bool open;               /* somebody here still has it */
    bool dead;               /* who has it crashed: nothing is heard from it, nor does it hear */
    bool peer_ended;         /* what the other end has said */
    bool space_coming;       /* an event will let a blocked send go on */
    bool release_coming;     /* an event will deliver what is held */
    int reset;               /* 0, or the error that the connection has met: -ECONNRESET, -ETIMEDOUT */
    struct sim_held *held, **held_end;
    char address[IO_ADDRESS_MAX];
};

struct sim_link {
    struct sim *sim;
    struct list link;          /* in sim.sockets */
    int events;                /* that refer to it, held ones, too */
    bool peer;                 /* between nodes of a cluster: bytes may be corrupted */
    bool silent;               /* half-open: nothing arrives at either end */
    struct sim_socket ends[2]; /* the one that connected, the one that was accepted */
};

struct sim_listener {
    struct io_listener base;
    struct sim_node *node;
    struct list link, acceptable; /* in sim.listeners; in sim_io.acceptable */
    void *user;
    char *path; /* of a unix socket, else NULL */
    uint16_t port;
    bool dead;     /* its program crashed */
    bool refusing; /* accepts fail until an event ends it */
    uint64_t id;   /* of this listener alone, for ever */
    int backlog, waiting_head, waiting_count;
    struct sim_socket **waiting; /* a ring of `backlog` places */
};

struct sim_conn {
    struct io_conn base;
    struct sim_socket *socket;
    struct list link, readable; /* in sim_io.conns; in sim_io.readable */
    int keepalive_s;
    struct conn_state state; /* its `out` is in sending, done or done_lazy */
};

static inline struct sim_conn *sim_conn_of(struct io_conn *conn)
{
    return (struct sim_conn *)conn;
}
static inline struct sim_io *sim_io_of(struct sim_conn *c)
{
    return (struct sim_io *)c->base.io;
}
static inline struct sim_socket *sim_other(struct sim_socket *s)
{
    return &s->link->ends[s == &s->link->ends[0]];
}

/* sim_net.c */
int64_t sim_net_delay_us(struct sim *sim, bool same_node);
void sim_net_schedule(struct sim_socket *s, int64_t delay_us, void (*fire)(struct sim *, struct sim_event *),
                      uint8_t *data, size_t len);
void sim_net_event_over(struct sim_link *link);
/* Whether an event that has just come to `s` is to wait, or is lost; if so it is taken care of. */
bool sim_net_intercepts(struct sim_socket *s, const struct sim_event *event);
void sim_net_on_segment(struct sim *sim, struct sim_event *event);
void sim_net_on_reset(struct sim *sim, struct sim_event *event);
void sim_net_on_end(struct sim *sim, struct sim_event *event);
void sim_net_fail(struct sim_socket *s, int error); /* as a reset, at once, whatever the way */
void sim_net_complete(struct sim_conn *c);
int64_t sim_net_number_of(struct sim *sim, struct sim_socket *s);
void sim_net_socket_close(struct sim_socket *s);
struct sim_link *sim_net_link_create(struct sim *sim, struct sim_node *from);
struct sim_conn *sim_net_conn_create(struct sim_io *io, struct sim_socket *s, void *user);

/* sim_listen.c */
void sim_listen_request(struct sim_socket *client, const char *address, uint16_t port);
void sim_listen_node_crash(struct sim_node *node);
struct sim_listener *sim_listen_any(struct sim_node *node, uint64_t chosen); /* of TCP; NULL: none */
/* A connection comes to the listener; false: its queue is full. */
bool sim_listen_enqueue(struct sim_listener *l, struct sim_socket *client);

/* sim_net_fault.c */
bool sim_net_is_cut(const struct sim *sim, const struct sim_node *from, const struct sim_node *to);
bool sim_net_is_blocked(const struct sim *sim, const struct sim_node *from, const struct sim_node *to);
void sim_net_silence(struct sim_link *link);
void sim_net_drop_held(struct sim_socket *s);
void sim_net_watch_keepalive(struct sim_socket *s);

#endif
