/* server: what start-up does around the node: log lines, daemon, pid file, directory. Main thread only, but
 * server_log, which any actor may call (one append per line). Tests: test/unit/server_test.c,
 * test/blackbox/start_test.py. */
#ifndef WEFT_SERVER_SERVER_H
#define WEFT_SERVER_SERVER_H

#include "config/config.h"
#include "io/io.h"

/* Where lines go until server_enter: stdout. `io` gives the time and does the writing. */
void server_log_start(struct io *io);
void server_log(enum config_log level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Makes the path of the configuration file absolute: before `dir` takes effect. */
void server_locate(struct config *config);
/* dir, logfile, daemonize, pidfile, open-file limit; logs the first lines. False after saying why. */
bool server_enter(struct config *config, struct io *io, const struct config_arguments *arguments);
/* The process's part of a CONFIG SET, and what follows one: see struct node_host. */
bool server_prepare(const struct config *old, struct config *next, const char **name,
                    char reason[CONFIG_ERROR_MAX]);
void server_configured(const struct config *config);
/* Removes the pid file and the Unix socket. */
void server_leave(const struct config *config, struct io *io);

#endif
