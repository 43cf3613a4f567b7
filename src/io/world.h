/* What start-up needs of a backend: worlds, ios, threads, memory, signals. Only server/main.c, the shard
 * layer's thread start and the simulator's harness include it. */
#ifndef WEFT_IO_WORLD_H
#define WEFT_IO_WORLD_H

#include "io/io.h"

enum io_backend { IO_BACKEND_AUTO, IO_BACKEND_URING, IO_BACKEND_EPOLL };

/* A real world. AUTO takes io_uring when the kernel lets us, else epoll. NULL with *error = -errno. */
struct io_world *io_world_create(enum io_backend backend, int *error);
const char *io_world_backend_name(const struct io_world *world); /* "io_uring", "epoll", "simulated" */
void io_world_destroy(struct io_world *world);

/* An io of this world; destroyed by its owner after its last connection is closed and its last file operation
 * has completed (connections and listeners that are left are closed without a completion). Must be created
 * on, or handed over before the first io_wait() to, the thread that uses it (io_uring's SINGLE_ISSUER). */
struct io *io_create(struct io_world *world, int *error);
void io_destroy(struct io *io);

/* ---- threads (real worlds only) ---- */
struct io_thread;
struct io_thread *io_thread_start(const char *name, void (*run)(void *), void *argument, int *error);
void io_thread_join(struct io_thread *thread);
int io_cpu_count(void); /* CPUs this process may use */

/* ---- signals (real worlds only): SIGTERM and SIGINT call io_wake(io) and set the flag that this returns. */
void io_signals_catch(struct io *io);
bool io_signals_stop_requested(void);

/* ---- the process ---- */
/* 0 in the child that goes on; the parent exits with 0. Before any world, io or thread is made: they would
 * stay with the parent. */
int io_daemonize(void);
int io_change_directory(const char *path); /* 0 or -errno */
int io_current_directory(char *buf, size_t len);
int64_t io_process_id(void);
int64_t io_memory_total(void);        /* bytes of RAM, or the cgroup's limit when lower */
int64_t io_files_max(int64_t wanted); /* raises RLIMIT_NOFILE towards `wanted`; returns what it got */
/* Freed blocks of malloc() up to some megabytes stay with the process, so that replies of that size do not
 * fault their pages in anew each time. Before any thread. */
void io_heap_keep(void);
const char *io_os_name(char *buf, size_t len);  /* "Linux 6.1.0 x86_64" */
void io_executable_path(char *buf, size_t len); /* of this program; "" when it is not to be had */

/* ---- address space for slabs (base/slab.h takes it as struct slab_memory) ----
 * Reserves `len` bytes of address space that cost nothing until touched, and read as zero; NULL when there is
 * none. Whole pages. Under the thread sanitizer a process has about 1 TiB in all, else 100 TiB. */
void *io_memory_reserve(size_t len);
void io_memory_unreserve(void *ptr, size_t len);
void io_memory_decommit(void *ptr, size_t len);      /* gives pages back; they read as zero afterwards */
void io_memory_huge(void *ptr, size_t len, bool on); /* advice about huge pages */

/* ---- the simulated world ----
 * Everything runs in the caller's thread; virtual time moves only in io_sim_step(). Every delivery is delayed
 * and ordered by the seed. The trace hash is a rolling hash over (time, event, node, io, bytes) of everything
 * delivered.
 *
 * The world returned here is the node "node-0", too: io_create() on it makes an io of that node. A node is
 * what shares a disk and an address: "node-name" or 10.0.0.1, 10.0.0.2 … in order of creation. Any other
 * address (127.0.0.1) means the own node's listener on that port, or else the first node's that has one.
 *
 * Faults, partitions, crashes and clocks: io/sim_fault.h. */
struct io_world *io_sim_world_create(uint64_t seed);
/* The node of that name, made when there is none: give it to the node's program as its world. It lives as
 * long as the first world; io_world_destroy() on it does nothing, its disk stays for the next start of the
 * program. Destroying the first world ends all; all ios must be destroyed before. */
struct io_world *io_sim_node(struct io_world *world, const char *name);
/* io_wait() on a simulated io never sleeps: it returns what is due at the virtual now. Moves virtual time to
 * the next event or deadline (or to `not_after_us`) and makes it due; false when there was none up to then.
 * INT64_MAX: no limit, and time stays when nothing is to come. */
bool io_sim_step(struct io_world *world, int64_t not_after_us);
int64_t io_sim_now_us(const struct io_world *world);
/* The first half of an io_wait(), for callers that do the other one in a later step: what was submitted is
 * under way, and the io is ready from the deadline on. */
void io_sim_sleep(struct io *io, int64_t deadline_us);
/* Lets time go on within a turn: each io_monotonic_us() comes `us` after the one before. After the turn its
 * caller asks what that has cost, and may give the io its next turn only so much later. */
void io_sim_look_cost(struct io *io, int64_t us);
int64_t io_sim_turn_cost(struct io *io);
bool io_sim_ready(struct io *io); /* has completions, a wake-up, or its io_wait deadline has passed */
uint64_t io_sim_trace_hash(const struct io_world *world);
void io_sim_trace_note(struct io_world *world, uint64_t word); /* the harness mixes its own events in */

#endif
