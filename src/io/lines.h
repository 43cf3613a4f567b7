/* lines: a world whose only way to the outside are standard input and output, for drivers like Maelstrom that
 * run a node as a child and speak to it in lines.
 *
 * It stands on a real world (io_uring or epoll), which gives clocks, threads, files and wake-ups. What
 * differs: nothing listens to the network. A listener is open to this process alone; its connections come
 * from io_lines_connect(), and behave in everything as accepted ones do. Whoever makes them (a *bridge*, on a
 * thread and with an io of its own) turns lines into the bytes of clients, and replies into lines; the node
 * cannot tell.
 *
 *   stdin ──▶ io_lines_input() ──▶ bridge ══ io_lines_connect() ══▶ listener of the node's io ──▶ sessions
 *   stdout ◀── io_file_append() ◀──┘
 *
 * Threads: the io that listens belongs to its actor; io_lines_connect() and io_lines_input() to one other
 * thread. Tests: test/unit/io_lines_test.c, test/maelstrom/. */
#ifndef WEFT_IO_LINES_H
#define WEFT_IO_LINES_H

#include "io/world.h"

/* NULL with *error = -errno. Destroyed by io_world_destroy() like any other. */
struct io_world *io_lines_world_create(enum io_backend backend, int *error);

/* A connection to whoever listens in this world (the port and address do not matter, the first listener of
 * the io gets it). To be attached to an io of this world. IO_SOCKET_NONE with *error: -ECONNREFUSED when
 * nobody listens, -EAGAIN when too many connections wait to be accepted. */
io_socket io_lines_connect(struct io_world *world, int *error);

/* Standard input as a socket: receives what comes, then its end. At most once per world. */
io_socket io_lines_input(struct io_world *world, int *error);

#endif
