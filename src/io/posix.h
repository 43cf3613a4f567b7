/* What the two real backends share: clocks, socket set-up, addresses, files at once. All functions return 0
 * (or a file descriptor) or -errno. Stateless; any thread. Only src/io includes this. */
#ifndef WEFT_IO_POSIX_H
#define WEFT_IO_POSIX_H

#include "io/io.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <netinet/in.h>

union posix_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
};

/* posix_clock.c */
int64_t posix_monotonic_us(void);
int64_t posix_realtime_us(void);
/* How long to sleep until the deadline; 0: not at all, -1: for ever. *now_us is a reading of this turn (0:
 * none), which is good enough for a far deadline; for a near one it is taken afresh. */
int64_t posix_sleep_us(int64_t *now_us, int64_t deadline_us);
void posix_entropy(void *buf, size_t len);
void posix_usage(struct io_usage *out);
void posix_stall(int64_t us);

/* posix_socket.c */
/* Numeric IPv4 or IPv6; "*" and "" are 0.0.0.0, "::*" is "::". -EINVAL otherwise. */
int posix_parse_address(const char *text, uint16_t port, union posix_address *out, socklen_t *len);
int posix_listen_tcp(const char *address, uint16_t port, int backlog, uint16_t *bound_port); /* the fd */
int posix_listen_unix(const char *path, uint32_t mode, int backlog);                         /* the fd */
int posix_socket(int family, bool nonblocking); /* TCP_NODELAY set unless AF_UNIX; the fd */
/* As posix_parse_address; an address with a '/' in it is the path of a unix socket. */
int posix_connect_address(const char *address, uint16_t port, union posix_address *out, socklen_t *len);
/* A socket whose non-blocking connect has begun (io_epoll.c). -1 with *error. */
int posix_connect(const char *address, uint16_t port, int *error);
int posix_set_keepalive(int fd, int seconds);
void posix_peer_address(int fd, char *buf);
void posix_local_address(int fd, char *buf);
/* Errors of accept() that concern only the connection that was to be accepted. */
bool posix_accept_error_is_transient(int error);

/* posix_file.c: see io.h for the functions of the same name */
char *posix_file_load(struct io *io, const char *path, size_t limit, size_t *len, int *error);
int posix_file_store_atomic(struct io *io, const char *path, const void *data, size_t len);
int posix_file_append(struct io *io, const char *path, const void *data, size_t len);
int posix_file_remove(struct io *io, const char *path);
int posix_file_glob(struct io *io, const char *pattern, char ***names, size_t *count);
int posix_file_open_flags(int io_flags);
int posix_directory_sync(const char *path); /* of the directory that holds `path` */
int64_t posix_read_all(int fd, void *buf, size_t len, uint64_t offset); /* short only at the end of file */
int64_t posix_write_all(int fd, const void *buf, size_t len, uint64_t offset); /* all, or -errno */

#endif
