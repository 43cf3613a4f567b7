/* The load loop (contract in client.h). */
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "dial.h"
#include "reply.h"

#define RECEIVE_SIZE   ((size_t)64 << 10)
#define DISCARD_SIZE   ((size_t)1 << 20) /* at most so much is thrown away at once */
#define DISCARD_MIN    ((uint64_t)32 << 10)
#define PARTS_PER_SEND 1024 /* IOV_MAX */
#define EVENTS         256
#define SILENCE_MAX_NS ((uint64_t)60 * 1000000000u)
#define NANOS          1000000000u

struct connection {
    int fd;
    bool wants_write;
    uint32_t in_flight;
    uint64_t seen;         /* replies counted so far */
    uint64_t sent_at_ns;   /* closed loop: when the batch in flight went out */
    uint64_t *due_ns;      /* open loop: ring of `pipeline` entries, when each request in flight was due */
    uint32_t due_at;       /* its oldest entry */
    struct outbox *unsent; /* NULL: everything went out */
    struct reply_scan scan;
    struct stream stream;
};

struct client {
    const struct options *o;
    int epoll;
    struct connection *connections;
    uint32_t count;
    char *receive;
    struct outbox *free_outboxes;
    size_t outbox_bytes, outbox_parts;

    /* the run in progress */
    struct workload *w;
    const struct plan *plan;
    struct result *result;
    uint64_t issue_limit, issued, in_flight;
    uint64_t start_ns, stop_ns, last_reply_ns; /* stop: no request begins later; UINT64_MAX: no limit */
    uint64_t own_cpu_start_ns;
    struct cpu_sample server_cpu_start;
    uint64_t due_first_ns, due_issued; /* open loop: when request 0 was due; how many went out */
    uint32_t next_connection;
    bool warming;
};

static _Noreturn void fail(const char *what, const char *why)
{
    fprintf(stderr, "weft-bench: %s: %s\n", what, why);
    exit(EXIT_FAILED);
}

static void *allocate(size_t size)
{
    void *ptr = calloc(1, size ? size : 1);
    if (ptr == NULL) fail("memory", "there is not enough");
    return ptr;
}

static inline uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NANOS + (uint64_t)t.tv_nsec;
}

static uint64_t own_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * NANOS + (uint64_t)t.tv_nsec;
}

/* --- outboxes --- */

static struct outbox *outbox_take(struct client *c)
{
    struct outbox *out = c->free_outboxes;
    if (out != NULL) {
        c->free_outboxes = out->next_free;
    } else {
        out = allocate(sizeof *out);
        out->bytes = allocate(c->outbox_bytes);
        out->parts = allocate(c->outbox_parts * sizeof *out->parts);
    }
    out->byte_count = out->part_count = out->part_at = 0;
    return out;
}

static void outbox_give_back(struct client *c, struct outbox *out)
{
    out->next_free = c->free_outboxes;
    c->free_outboxes = out;
}

static void free_outboxes(struct client *c)
{
    while (c->free_outboxes != NULL) {
        struct outbox *out = c->free_outboxes;
        c->free_outboxes = out->next_free;
        free(out->bytes);
        free(out->parts);
        free(out);
    }
}

/* --- sending --- */

static void watch(struct client *c, struct connection *conn, bool write)
{
    if (conn->wants_write == write) return;
    struct epoll_event event = {.events = EPOLLIN | (write ? EPOLLOUT : 0), .data.ptr = conn};
    if (epoll_ctl(c->epoll, EPOLL_CTL_MOD, conn->fd, &event) < 0) fail("epoll_ctl", strerror(errno));
    conn->wants_write = write;
}

static void outbox_advance(struct outbox *out, size_t sent)
{
    while (sent > 0) {
        struct iovec *part = &out->parts[out->part_at];
        size_t n = sent < part->iov_len ? sent : part->iov_len;
        part->iov_base = (char *)part->iov_base + n;
        part->iov_len -= n;
        sent -= n;
        out->part_at += part->iov_len == 0;
    }
}

/* Sends what the connection has not sent yet, as far as the kernel takes it. */
static void flush(struct client *c, struct connection *conn)
{
    struct outbox *out = conn->unsent;
    while (out->part_at < out->part_count) {
        size_t parts = out->part_count - out->part_at;
        struct msghdr message = {.msg_iov = out->parts + out->part_at,
                                 .msg_iovlen = parts < PARTS_PER_SEND ? parts : PARTS_PER_SEND};
        ssize_t n = sendmsg(conn->fd, &message, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EINTR) continue;
            if (errno != EAGAIN) fail("connection", strerror(errno));
            watch(c, conn, true);
            return;
        }
        c->result->bytes_sent += (uint64_t)n;
        outbox_advance(out, (size_t)n);
    }
    watch(c, conn, false);
    outbox_give_back(c, out);
    conn->unsent = NULL;
}

/* Builds `count` requests and sends them. */
static void issue(struct client *c, struct connection *conn, uint32_t count)
{
    DCHECK(conn->unsent == NULL);
    struct outbox *out = outbox_take(c);
    for (uint32_t i = 0; i < count; i++) workload_append(c->w, &conn->stream, out);
    conn->in_flight += count;
    c->in_flight += count;
    c->issued += count;
    conn->unsent = out;
    flush(c, conn);
}

static void issue_batch(struct client *c, struct connection *conn)
{
    uint64_t left = c->issue_limit - c->issued;
    uint32_t count = left < c->plan->pipeline ? (uint32_t)left : c->plan->pipeline;
    if (count == 0) return;
    conn->sent_at_ns = now_ns();
    if (conn->sent_at_ns >= c->stop_ns) return;
    issue(c, conn, count);
}

/* --- open loop: what is due --- */

static uint64_t due_time_ns(const struct client *c, uint64_t index)
{
    return c->due_first_ns + (uint64_t)((double)index * 1e9 / c->plan->open_rate);
}

/* How many requests are due by `now` and have not gone out. */
static uint64_t count_due(const struct client *c, uint64_t now)
{
    if (now >= c->stop_ns) now = c->stop_ns - 1;
    if (now < c->due_first_ns) return 0;
    uint64_t due = (uint64_t)((double)(now - c->due_first_ns) * c->plan->open_rate / 1e9) + 1;
    uint64_t count = due > c->due_issued ? due - c->due_issued : 0, left = c->issue_limit - c->issued;
    return count < left ? count : left;
}

/* Sends what is due, spread over the connections with room. False if no connection has any. */
static bool issue_due(struct client *c, uint64_t now)
{
    uint64_t due = count_due(c, now), share = due / c->count + 1;
    uint32_t busy = 0;
    while (due > 0 && busy < c->count) {
        struct connection *conn = &c->connections[c->next_connection];
        c->next_connection = c->next_connection + 1 == c->count ? 0 : c->next_connection + 1;
        uint64_t count = c->plan->pipeline - conn->in_flight;
        if (count > share) count = share;
        if (count > due) count = due;
        if (conn->unsent != NULL || count == 0) {
            busy++;
            continue;
        }
        busy = 0;
        for (uint64_t i = 0; i < count; i++)
            conn->due_ns[(conn->due_at + conn->in_flight + i) % c->plan->pipeline] =
                due_time_ns(c, c->due_issued++);
        issue(c, conn, (uint32_t)count);
        due -= count;
    }
    return due == 0;
}

/* --- receiving --- */

static void account(struct client *c, struct connection *conn, uint64_t done, uint64_t now)
{
    struct latency *latency = &c->result->latency;
    if (done > conn->in_flight) fail("protocol", "the server sent more replies than it got requests");
    if (c->plan->open_rate > 0) {
        for (uint64_t i = 0; i < done; i++) {
            uint64_t due = conn->due_ns[conn->due_at];
            conn->due_at = conn->due_at + 1 == c->plan->pipeline ? 0 : conn->due_at + 1;
            latency_add(latency, now > due ? now - due : 0, 1);
        }
    } else if (done > 0) {
        latency_add(latency, now - conn->sent_at_ns, done);
    }
    conn->in_flight -= (uint32_t)done;
    c->in_flight -= done;
    c->last_reply_ns = now;
    if (conn->in_flight == 0 && c->plan->open_rate == 0) issue_batch(c, conn);
}

/* One read; level-triggered epoll calls again if there is more. */
static void receive(struct client *c, struct connection *conn)
{
    bool discard =
        conn->scan.skip >= DISCARD_MIN && c->o->socket_path == NULL; /* unix sockets copy all the same */
    size_t size = RECEIVE_SIZE;
    if (discard) size = conn->scan.skip < DISCARD_SIZE ? conn->scan.skip : DISCARD_SIZE;
    ssize_t n = recv(conn->fd, c->receive, size, discard ? MSG_TRUNC : 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) fail("connection", n < 0 ? strerror(errno) : "the server closed it");
    c->result->bytes_received += (uint64_t)n;
    if (discard) {
        reply_scan_skip(&conn->scan, (size_t)n);
    } else if (!reply_scan_feed(&conn->scan, c->receive, (size_t)n)) {
        fail("protocol", "what the server sends is no RESP");
    }
    uint64_t done = conn->scan.replies - conn->seen;
    conn->seen = conn->scan.replies;
    account(c, conn, done, now_ns());
}

/* --- a run --- */

static void start_measuring(struct client *c, uint64_t now)
{
    struct result *r = c->result;
    latency_reset(&r->latency);
    r->bytes_sent = r->bytes_received = 0;
    for (uint32_t i = 0; i < c->count; i++) c->connections[i].scan.errors = c->connections[i].scan.pushes = 0;
    c->warming = false;
    c->start_ns = now;
    c->issued = c->in_flight; /* after a warm-up these count as measured */
    c->issue_limit = c->plan->requests;
    c->stop_ns = c->plan->duration_ns ? now + c->plan->duration_ns : UINT64_MAX;
    c->own_cpu_start_ns = own_cpu_ns();
    r->server_cpu_known = c->o->server_pid != 0 && cpu_sample_take(c->o->server_pid, &c->server_cpu_start);
}

static void finish(struct client *c)
{
    struct result *r = c->result;
    struct cpu_sample server_cpu;
    r->own_cpu_ns = own_cpu_ns() - c->own_cpu_start_ns;
    r->server_cpu_known = r->server_cpu_known && cpu_sample_take(c->o->server_pid, &server_cpu);
    if (r->server_cpu_known) r->server_cpu = cpu_sample_difference(&server_cpu, &c->server_cpu_start);
    r->elapsed_ns = c->last_reply_ns > c->start_ns ? c->last_reply_ns - c->start_ns : 0;
    r->requests = r->latency.count;
    for (uint32_t i = 0; i < c->count; i++) {
        const struct reply_scan *scan = &c->connections[i].scan;
        r->errors += scan->errors;
        r->pushes += scan->pushes;
        if (scan->errors > 0 && r->first_error[0] == '\0')
            memcpy(r->first_error, scan->first_error, scan->first_error_len);
    }
}

/* Waits for events until `wake_ns`, and handles them. */
static void wait_and_handle(struct client *c, uint64_t now, uint64_t wake_ns)
{
    struct epoll_event events[EVENTS];
    uint64_t wait_ns = wake_ns > now ? wake_ns - now : 0;
    struct timespec timeout = {(time_t)(wait_ns / NANOS), (long)(wait_ns % NANOS)};
    int n = epoll_pwait2(c->epoll, events, EVENTS, &timeout, NULL);
    if (n < 0 && errno != EINTR) fail("epoll_pwait2", strerror(errno));
    for (int i = 0; i < n; i++) {
        struct connection *conn = events[i].data.ptr;
        if ((events[i].events & EPOLLOUT) && conn->unsent != NULL) flush(c, conn);
        if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) receive(c, conn);
    }
}

static void loop(struct client *c)
{
    bool open = c->plan->open_rate > 0;
    uint64_t wake_ns = 0, warm_ns = c->start_ns + c->plan->warmup_ns;
    for (;;) {
        uint64_t now = open || c->warming ? now_ns() : c->last_reply_ns;
        if (c->warming && now >= warm_ns) start_measuring(c, now);
        bool room = open && issue_due(c, now);
        bool more = open && c->issued < c->issue_limit && due_time_ns(c, c->due_issued) < c->stop_ns;
        if (c->in_flight == 0 && !more) {
            if (!c->warming) return;
            fail("--warmup", "the load ended before it did");
        }
        if (c->in_flight > 0 && now > c->last_reply_ns + SILENCE_MAX_NS)
            fail("server", "gave no reply for 60 s");
        /* the slow clock of a closed loop: only for noticing silence and the end of the warm-up */
        wake_ns = more && room ? due_time_ns(c, c->due_issued) : now + NANOS;
        if (c->warming && wake_ns > warm_ns) wake_ns = warm_ns;
        uint64_t before = c->result->latency.count;
        wait_and_handle(c, now, wake_ns);
        if (!open && c->result->latency.count == before && now_ns() > c->last_reply_ns + SILENCE_MAX_NS)
            fail("server", "gave no reply for 60 s");
    }
}

static void prepare_outboxes(struct client *c)
{
    size_t bytes = workload_request_size_max(c->w) * c->plan->pipeline;
    size_t parts = workload_parts_max(c->w) * c->plan->pipeline;
    free_outboxes(c);
    c->outbox_bytes = bytes;
    c->outbox_parts = parts;
}

void client_run(struct client *c, struct workload *w, const struct plan *plan, struct result *result)
{
    memset(result, 0, sizeof *result);
    c->w = w;
    c->plan = plan;
    c->result = result;
    prepare_outboxes(c);
    for (uint32_t i = 0; i < c->count; i++) {
        struct connection *conn = &c->connections[i];
        conn->due_ns = plan->open_rate > 0 ? allocate(plan->pipeline * sizeof *conn->due_ns) : NULL;
        conn->due_at = 0;
        conn->scan.first_error_len = 0;
    }
    uint64_t now = now_ns();
    start_measuring(c, now);
    c->last_reply_ns = now;
    c->due_first_ns = now;
    c->due_issued = 0;
    if (plan->warmup_ns > 0) {
        c->warming = true;
        c->stop_ns = c->issue_limit = UINT64_MAX;
    }
    if (plan->open_rate == 0)
        for (uint32_t i = 0; i < c->count; i++) issue_batch(c, &c->connections[i]);
    loop(c);
    finish(c);
    for (uint32_t i = 0; i < c->count; i++) free(c->connections[i].due_ns);
}

struct client *client_new(const struct options *o)
{
    struct client *c = allocate(sizeof *c);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    prctl(PR_SET_TIMERSLACK, 1000ul); /* an open loop at 100 k/s must wake within microseconds */
    c->o = o;
    c->count = o->connections;
    c->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (c->epoll < 0) fail("epoll_create1", strerror(errno));
    c->connections = allocate(c->count * sizeof *c->connections);
    c->receive = allocate(DISCARD_SIZE);
    for (uint32_t i = 0; i < c->count; i++) {
        struct connection *conn = &c->connections[i];
        unsigned shard;
        conn->fd = dial(o, o->locality == LOCALITY_ANY ? NULL : &shard);
        reply_scan_init(&conn->scan);
        stream_init(&conn->stream, o->seed, i);
        if (o->locality != LOCALITY_ANY) stream_set_locality(&conn->stream, o->locality, shard, o->shards);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
        if (epoll_ctl(c->epoll, EPOLL_CTL_ADD, conn->fd, &event) < 0) fail("epoll_ctl", strerror(errno));
    }
    return c;
}

void client_free(struct client *c)
{
    for (uint32_t i = 0; i < c->count; i++) close(c->connections[i].fd);
    close(c->epoll);
    free_outboxes(c);
    free(c->connections);
    free(c->receive);
    free(c);
}
