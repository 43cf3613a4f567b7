/* Faults of the simulated world: one table, and the calls by which a harness switches them on, causes them by
 * hand, and sees what they did. Only the simulator's harness (and the programs of the simulated world that
 * are not weft, such as its object store) includes this.
 *
 * A fault has a rate per million of its unit: SEGMENT means "of every million segments sent, so many meet
 * it". Rates are 0 at first, and then nothing here has any effect: not on bytes, not on delays, not on the
 * trace. Each fault draws from a random stream of its own, so that switching one on does not shift what the
 * others do. docs/simulator-faults.md is the same table for people; test/unit/sim_fault_test.c compares the
 * two.
 *
 * Rates belong to nodes. A fault of a connection is drawn with the rate of the node that sends (SEGMENT),
 * receives (RECEIVE), connects (CONNECT), or has the listener (ACCEPT); NODE_TICK with that of the node it
 * begins at, TICK with that of "node-0".
 *
 * Tests: test/unit/sim_fault_test.c, sim_disk_test.c, sim_store_test.c. */
#ifndef WEFT_IO_SIM_FAULT_H
#define WEFT_IO_SIM_FAULT_H

#include "io/io.h"

/* clang-format off */
/* X(enum name, group, name, unit, default of the parameter, what it does; @ stands for the parameter) */
#define IO_SIM_FAULTS(X) \
    X(NET_LOSS, NETWORK, "net.loss", SEGMENT, 200000, \
      "a segment is lost and sent again after @ us, doubled for each further loss") \
    X(NET_DELAY_TAIL, NETWORK, "net.delay_tail", SEGMENT, 2000000, \
      "a segment takes long: up to @ us, short ones likelier") \
    X(NET_REORDER, NETWORK, "net.reorder", SEGMENT, 20000, \
      "a segment waits up to @ us, so that other connections overtake it") \
    X(NET_SHORT_WRITE, NETWORK, "net.short_write", SEGMENT, 16, \
      "the kernel takes 1 to @ bytes of a send, and the rest later") \
    X(NET_ONE_BYTE, NETWORK, "net.one_byte", RECEIVE, 0, \
      "a receive gets a single byte") \
    X(NET_SPLIT, NETWORK, "net.split", RECEIVE, 0, \
      "a receive gets a random part of what has arrived") \
    X(NET_RESET, NETWORK, "net.reset", SEGMENT, 0, \
      "a segment is cut at any byte, then both ends get a reset") \
    X(NET_FIN_CUT, NETWORK, "net.fin_cut", SEGMENT, 0, \
      "a segment is cut at any byte, then its reader sees the end of the stream and its sender a reset") \
    X(NET_HALF_OPEN, NETWORK, "net.half_open", SEGMENT, 0, \
      "both ends vanish for each other: no byte, end or reset arrives any more; sends succeed until the " \
      "window is full") \
    X(NET_SLOW_READER, NETWORK, "net.slow_reader", CONNECT, 2048, \
      "the window of both directions shrinks to 1 to @ bytes") \
    X(NET_CORRUPT, NETWORK, "net.corrupt", SEGMENT, 0, \
      "one bit of a segment flips, on peer links only (io_sim_net_peer_port)") \
    X(NET_REFUSED, NETWORK, "net.refused", CONNECT, 0, \
      "a connect is refused") \
    X(NET_CONNECT_TIMEOUT, NETWORK, "net.connect_timeout", CONNECT, 5000000, \
      "a connect fails with ETIMEDOUT after up to @ us") \
    X(NET_ACCEPT_ERROR, NETWORK, "net.accept_error", ACCEPT, 10000, \
      "an accept fails with EMFILE; the connection waits and is tried again after @ us") \
    X(NET_ACCEPT_STORM, NETWORK, "net.accept_storm", NODE_TICK, 64, \
      "up to @ strangers connect to a listener at once, say little or nothing, and leave") \
    X(NET_ATTACH_ERROR, NETWORK, "net.attach_error", ATTACH, 0, \
      "io_attach() has no memory") \
    X(NET_LISTEN_ERROR, NETWORK, "net.listen_error", LISTEN, 0, \
      "a listen fails with EADDRINUSE") \
    X(NET_CLOG_SEND, NETWORK, "net.clog_send", NODE_TICK, 3000000, \
      "nothing that a node sends arrives, for up to @ us; then all of it does") \
    X(NET_CLOG_RECEIVE, NETWORK, "net.clog_receive", NODE_TICK, 3000000, \
      "nothing that is sent to a node arrives, for up to @ us; then all of it does") \
    X(NET_CLOG_PAIR, NETWORK, "net.clog_pair", NODE_TICK, 3000000, \
      "nothing arrives between a node and another, for up to @ us; then all of it does") \
    X(NET_SWIZZLE, NETWORK, "net.swizzle", TICK, 3000000, \
      "some nodes are clogged one by one and released in another order, within @ us") \
    X(NET_PARTITION, NETWORK, "net.partition", TICK, 10000000, \
      "the nodes fall into two groups that do not hear each other, for up to @ us") \
    X(NET_PARTITION_PAIR, NETWORK, "net.partition_pair", NODE_TICK, 10000000, \
      "a node and another do not hear each other, for up to @ us") \
    X(NET_PARTITION_ONE_WAY, NETWORK, "net.partition_one_way", NODE_TICK, 10000000, \
      "a node is not heard by another, for up to @ us") \
    X(NET_PARTITION_RING, NETWORK, "net.partition_ring", TICK, 10000000, \
      "each node hears only its two neighbours, for up to @ us") \
    X(NET_ISOLATE, NETWORK, "net.isolate", NODE_TICK, 10000000, \
      "a node and all others do not hear each other, for up to @ us") \
    X(NET_FLAP, NETWORK, "net.flap", NODE_TICK, 5000000, \
      "the way between a node and another goes and comes several times within @ us") \
    X(DISK_READ_ERROR, DISK, "disk.read_error", READ, 0, \
      "a read fails with EIO") \
    X(DISK_WRITE_ERROR, DISK, "disk.write_error", WRITE, 0, \
      "a write fails with EIO and has written nothing") \
    X(DISK_SHORT_WRITE, DISK, "disk.short_write", WRITE, 0, \
      "a write fails with EIO and has written its beginning") \
    X(DISK_NO_SPACE, DISK, "disk.no_space", WRITE, 0, \
      "a write fails with ENOSPC and has written its beginning") \
    X(DISK_OPEN_ERROR, DISK, "disk.open_error", OPEN, 0, \
      "an open fails with EMFILE") \
    X(DISK_NAME_ERROR, DISK, "disk.name_error", NAME, 0, \
      "a create, rename or unlink fails with EIO and has done nothing") \
    X(DISK_READ_ONLY, DISK, "disk.read_only", WRITE, 0, \
      "the disk is remounted read-only: all changes fail with EROFS until the node crashes or faults " \
      "are frozen") \
    X(DISK_SYNC_ERROR, DISK, "disk.sync_error", SYNC, 0, \
      "a sync fails with EIO once; what it was to keep is never written, and some of it no longer read") \
    X(DISK_LATENCY, DISK, "disk.latency", OPERATION, 50000, \
      "an operation takes up to @ us more") \
    X(DISK_STALL, DISK, "disk.stall", OPERATION, 5000000, \
      "the node's disk does nothing for up to @ us") \
    X(DISK_BIT_FLIP, DISK, "disk.bit_flip", READ, 0, \
      "one bit within a read range flips on the disk, for good") \
    X(DISK_STALE_READ, DISK, "disk.stale_read", READ, 0, \
      "a read gets what was there before the last write to the range") \
    X(DISK_MISDIRECTED_READ, DISK, "disk.misdirected_read", READ, 0, \
      "a read gets another place of the same file, whole sectors away") \
    X(DISK_MISDIRECTED_WRITE, DISK, "disk.misdirected_write", WRITE, 0, \
      "a write goes to another place of the same file, whole sectors away") \
    X(DISK_CRASH_LOST, DISK, "disk.crash_lost", CRASH_FILE, 0, \
      "power loss: all unsynced writes of a file are lost") \
    X(DISK_CRASH_REORDERED, DISK, "disk.crash_reordered", CRASH_FILE, 0, \
      "power loss: of the unsynced writes of a file any survive, later ones without earlier ones") \
    X(DISK_CRASH_TORN_4096, DISK, "disk.crash_torn_4096", CRASH_FILE, 0, \
      "power loss: the first unsynced writes of a file survive, the last of them up to a multiple of " \
      "4,096") \
    X(DISK_CRASH_TORN_512, DISK, "disk.crash_torn_512", CRASH_FILE, 0, \
      "power loss: of each unsynced write of a file any 512-byte sectors survive") \
    X(DISK_CRASH_TRUNCATED, DISK, "disk.crash_truncated", CRASH_FILE, 0, \
      "power loss: a file that has grown unsynced ends anywhere in what was added") \
    X(DISK_CRASH_ZERO_TAIL, DISK, "disk.crash_zero_tail", CRASH_FILE, 0, \
      "power loss: a file keeps its unsynced length, but what was added is zeros from some place on") \
    X(DISK_CRASH_GARBAGE_TAIL, DISK, "disk.crash_garbage_tail", CRASH_FILE, 0, \
      "power loss: a file keeps its unsynced length, but what was added is garbage from some place on") \
    X(DISK_CREATE_LOST, DISK, "disk.create_lost", CRASH_NAME, 0, \
      "power loss: a create without a sync of its directory is undone, with all later changes there") \
    X(DISK_RENAME_LOST, DISK, "disk.rename_lost", CRASH_NAME, 0, \
      "power loss: a rename without a sync of its directory is undone, with all later changes there") \
    X(DISK_UNLINK_LOST, DISK, "disk.unlink_lost", CRASH_NAME, 0, \
      "power loss: an unlink without a sync of its directory is undone, with all later changes there") \
    X(STORE_ERROR_500, STORE, "store.error_500", REQUEST, 0, \
      "500 InternalError; nothing was done") \
    X(STORE_ERROR_503, STORE, "store.error_503", REQUEST, 0, \
      "503 SlowDown; nothing was done") \
    X(STORE_ERROR_429, STORE, "store.error_429", REQUEST, 5, \
      "429 with Retry-After of 1 to @ s; so are further requests until then") \
    X(STORE_APPLIED_ERROR, STORE, "store.applied_error", CHANGE, 0, \
      "a change is done, but answered with 500") \
    X(STORE_APPLIED_LATER, STORE, "store.applied_later", CHANGE, 20000000, \
      "a change is answered with 500, and done up to @ us later") \
    X(STORE_TIMEOUT, STORE, "store.timeout", REQUEST, 0, \
      "a request is never answered; whether it was done is left to chance") \
    X(STORE_TRUNCATED_BODY, STORE, "store.truncated_body", GET, 0, \
      "the connection ends within the body of the answer") \
    X(STORE_FLIPPED_BODY, STORE, "store.flipped_body", GET, 0, \
      "one bit of the body of the answer is flipped") \
    X(STORE_STALE_LIST, STORE, "store.stale_list", LIST, 10000000, \
      "a listing is that of up to @ us ago") \
    X(STORE_LIST_GAP, STORE, "store.list_gap", LIST, 0, \
      "a page of a listing leaves out one key that exists") \
    X(STORE_PRECONDITION, STORE, "store.precondition", CONDITIONAL, 0, \
      "a conditional PUT loses a race that it had not lost: 412 or 409, nothing was done") \
    X(STORE_RACE_500, STORE, "store.race_500", CONDITIONAL, 0, \
      "a conditional PUT that meets an existing key gets 500 UnknownError in place of 412") \
    X(STORE_ORPHANED_MULTIPART, STORE, "store.orphaned_multipart", COMPLETE, 0, \
      "CompleteMultipartUpload answers 200 with an error in its body; the parts stay") \
    X(STORE_EXPIRED_CREDENTIALS, STORE, "store.expired_credentials", REQUEST, 5000000, \
      "the credentials have expired: 403 for up to @ us") \
    X(STORE_SLOW_DRIP, STORE, "store.slow_drip", REQUEST, 20000, \
      "the answer comes in pieces of 1 to 64 bytes, @ us apart") \
    X(STORE_BUCKET_GONE, STORE, "store.bucket_gone", REQUEST, 5000000, \
      "404 NoSuchBucket for up to @ us") \
    X(CLOCK_OFFSET, CLOCK, "clock.offset", NODE, 5000000, \
      "a node's wall clock is wrong by up to @ us from the beginning") \
    X(CLOCK_DRIFT, CLOCK, "clock.drift", NODE, 500, \
      "a node's wall clock is too fast or slow by up to @ us per s") \
    X(CLOCK_STEP_FORWARD, CLOCK, "clock.step_forward", NODE_TICK, 10000000, \
      "a node's wall clock jumps forward by up to @ us") \
    X(CLOCK_STEP_BACK, CLOCK, "clock.step_back", NODE_TICK, 10000000, \
      "a node's wall clock jumps back by up to @ us") \
    X(CLOCK_PAUSE, CLOCK, "clock.pause", NODE_TICK, 3000000, \
      "a node's wall clock stands still for up to @ us, then jumps to where it would be")
/* clang-format on */

enum io_sim_fault {
#define X(id, group, name, unit, value, text) IO_SIM_##id,
    IO_SIM_FAULTS(X)
#undef X
        IO_SIM_FAULT_COUNT
};

enum io_sim_group { IO_SIM_NETWORK, IO_SIM_DISK, IO_SIM_STORE, IO_SIM_CLOCK };
#define IO_SIM_TICK_US 100000 /* faults of time are drawn this often while any of them is on */

struct io_sim_fault_row {
    const char *name, *unit, *text;
    enum io_sim_group group;
    int64_t value; /* of the parameter, at first; 0: it has none */
};

/* ---- rates and counters ---- */
const struct io_sim_fault_row *io_sim_fault_row(enum io_sim_fault fault);
const char *io_sim_fault_name(enum io_sim_fault fault); /* "net.loss" */
const char *io_sim_group_name(enum io_sim_group group); /* "network" */
/* The fault of that name; -ENOENT when there is none. */
int io_sim_fault_find(const char *name);
/* For all nodes, also those to come (any node's world will do), and for one. At most 1,000,000. */
void io_sim_fault_set(struct io_world *world, enum io_sim_fault fault, uint32_t rate_per_million);
void io_sim_fault_set_node(struct io_world *node, enum io_sim_fault fault, uint32_t rate_per_million);
uint32_t io_sim_fault_rate(const struct io_world *node, enum io_sim_fault fault);
/* The parameter, for all nodes; > 0. CHECKs that the fault has one. */
void io_sim_fault_set_value(struct io_world *world, enum io_sim_fault fault, int64_t value);
int64_t io_sim_fault_value(const struct io_world *world, enum io_sim_fault fault);
uint64_t io_sim_fault_fired(const struct io_world *world, enum io_sim_fault fault);
/* All rates 0; partitions and clogs healed, windows open, disks writable and awake, drift over (offsets
 * stay), half-open connections reset. Also undoes io_sim_partition() and the like. */
void io_sim_faults_freeze(struct io_world *world);
/* For programs of the simulated world that have faults of their own (the object store): true, and counted,
 * with the node's rate; and a number below `bound` from the fault's own stream. */
bool io_sim_fault_roll(struct io_world *node, enum io_sim_fault fault);
uint64_t io_sim_fault_below(struct io_world *world, enum io_sim_fault fault, uint64_t bound);
/* A fault that was caused by hand is counted by whoever does it. */
void io_sim_fault_count(struct io_world *world, enum io_sim_fault fault);

/* ---- by hand ----
 * Worlds are those of io_sim_node(); at most IO_SIM_NODES_MAX nodes. Cutting and clogging are states, not
 * counts: switching on twice is as once. They do not concern connections within one node.
 *
 * Cut: what is sent arrives only after healing, late, as TCP's retransmission would have it; a connect gets
 * ETIMEDOUT after half a minute; a connection with keep-alive dies after it. Clogged: the bytes wait on the
 * way and arrive at once after. */
#define IO_SIM_NODES_MAX 64
void io_sim_cut(struct io_world *from, struct io_world *to, bool on);          /* one way */
void io_sim_clog(struct io_world *from, struct io_world *to, bool on);         /* one way */
void io_sim_partition(struct io_world *a, struct io_world *b, bool on);        /* both ways */
void io_sim_isolate(struct io_world *node, bool on);                           /* from all others */
bool io_sim_reachable(const struct io_world *from, const struct io_world *to); /* neither cut nor clogged */
/* Resets every connection of the node, both ends. Returns their number. */
int io_sim_reset_connections(struct io_world *node);
/* Connections to listeners on this port are peer links from now on: NET_CORRUPT may strike them. */
void io_sim_net_peer_port(struct io_world *world, uint16_t port);

/* ---- crash ----
 * Ends the node's program in the middle of whatever it does. From now on its ios are dead: they are never
 * ready, io_wait() gives nothing, what is submitted vanishes; the harness destroys its
 * objects (all calls that a clean end makes are harmless) and its ios with io_destroy(), and starts it again
 * on the same world with new ios, before or after that.
 *
 * Sockets: the other ends get a reset, or (vanish) hear nothing more. Files: operations under way were done
 * or not, by chance. A killed process leaves all it had written; power loss leaves what was synced, and of
 * the rest what the DISK_CRASH_* and DISK_*_LOST faults do not take (all of it, when they are off). */
enum io_sim_crash { IO_SIM_KILL, IO_SIM_POWER_LOSS };
void io_sim_node_crash(struct io_world *node, enum io_sim_crash how, bool vanish);
/* The disk of a node that runs nothing becomes empty: a machine was replaced. */
void io_sim_disk_wipe(struct io_world *node);
/* Pulls this many bytes out of a file for a test or an oracle: what would survive a power loss now at least
 * (durable), or what a program would read. malloc'ed; NULL: there is no such file. */
uint8_t *io_sim_disk_peek(struct io_world *node, const char *path, bool durable, size_t *len);

/* ---- clocks ---- */
void io_sim_clock_step(struct io_world *node, int64_t us); /* wall time, either way */
void io_sim_clock_drift(struct io_world *node, int64_t us_per_s);
int64_t io_sim_realtime_us(const struct io_world *node); /* what io_realtime_us() says there */

#endif
