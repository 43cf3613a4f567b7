/* bridge: the actor between Maelstrom's lines and the node's connections.
 *
 * Every source of messages (a client "c7") has a connection of its own to the node, made with its first
 * request, so that the node sees as many sessions as there are clients, on all its shards. One request at a
 * time runs on a connection; more of the same source wait in line. A message that comes again (same source
 * and msg_id among the last BRIDGE_RECENT) is dropped: a request must not run twice, though Maelstrom's own
 * network never does that.
 *
 * "init" and what cannot be understood are answered here. This node keeps no copies on others: with more than
 * one node id, init is refused with error 10, and the test says so, instead of passing without having tested
 * anything.
 *
 * It owns its io; it runs on one thread, but bridge_stop(), which any thread may call. Everything to the
 * outside goes through io and the host. Tests: test/unit/maelstrom_bridge_test.c, test/maelstrom/run.py. */
#ifndef WEFT_MAELSTROM_BRIDGE_H
#define WEFT_MAELSTROM_BRIDGE_H

#include "io/io.h"

#define BRIDGE_LINE_MAX    (1 << 20)
#define BRIDGE_SOURCES_MAX 1024 /* with a connection; beyond, the one idle for longest gives way */
#define BRIDGE_WAITING_MAX 1024 /* requests of one source; beyond, error 11 */
#define BRIDGE_RECENT      256

struct bridge;

struct bridge_host {
    void *context;
    io_socket (*connect)(void *context, int *error); /* to the node */
    void (*write_line)(void *context, const char *line, size_t len);
    void (*log)(void *context, const char *sentence);
};

/* `input` delivers the lines. NULL: no memory; the input is then discarded. */
struct bridge *bridge_create(struct io *io, io_socket input, const struct bridge_host *host);
void bridge_destroy(struct bridge *b);
/* Waits at most `max_wait_us` for something to do. False: the input has ended, what had come is answered, and
 * all connections are closed; or bridge_stop() was called. */
bool bridge_turn(struct bridge *b, int64_t max_wait_us);
void bridge_stop(struct bridge *b);

#endif
