/* Socket set-up and addresses of the real backends. Descriptors are close-on-exec. TCP_NODELAY is set on the
 * listening socket: Linux hands it down to what is accepted, which saves a system call per connection. */
#include "io/posix.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int posix_parse_address(const char *text, uint16_t port, union posix_address *out, socklen_t *len)
{
    memset(out, 0, sizeof(*out));
    if (text[0] == 0 || strcmp(text, "*") == 0) text = "0.0.0.0";
    if (strcmp(text, "::*") == 0) text = "::";
    if (inet_pton(AF_INET, text, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(port);
        *len = sizeof(out->v4);
        return 0;
    }
    if (inet_pton(AF_INET6, text, &out->v6.sin6_addr) == 1) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(port);
        *len = sizeof(out->v6);
        return 0;
    }
    return -EINVAL;
}

static int fail_and_close(int fd)
{
    int error = -errno;
    close(fd);
    return error;
}

int posix_socket(int family, bool nonblocking)
{
    int on = 1;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), 0);
    if (fd < 0) return -errno;
    if (family != AF_UNIX && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
        return fail_and_close(fd);
    return fd;
}

int posix_listen_tcp(const char *address, uint16_t port, int backlog, uint16_t *bound_port)
{
    union posix_address a;
    socklen_t len;
    int on = 1;
    int error = posix_parse_address(address, port, &a, &len);
    if (error < 0) return error;
    int fd = posix_socket(a.any.sa_family, true);
    if (fd < 0) return fd;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0) return fail_and_close(fd);
    /* 0.0.0.0 and :: may both be bound on one port only when :: takes no IPv4. */
    if (a.any.sa_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
        return fail_and_close(fd);
    if (bind(fd, &a.any, len) < 0 || listen(fd, backlog) < 0) return fail_and_close(fd);
    if (getsockname(fd, &a.any, &len) < 0) return fail_and_close(fd);
    *bound_port = ntohs(a.any.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
    return fd;
}

int posix_listen_unix(const char *path, uint32_t mode, int backlog)
{
    union posix_address a;
    struct stat st;
    memset(&a, 0, sizeof(a));
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(a.local.sun_path)) return -ENAMETOOLONG;
    a.local.sun_family = AF_UNIX;
    memcpy(a.local.sun_path, path, len + 1);
    /* A socket file that an earlier process left behind is in the way; anything else is not ours to delete.
     */
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) unlink(path);
    int fd = posix_socket(AF_UNIX, true);
    if (fd < 0) return fd;
    if (bind(fd, &a.any, sizeof(a.local)) < 0) return fail_and_close(fd);
    if ((mode != 0 && chmod(path, (mode_t)mode) < 0) || listen(fd, backlog) < 0) {
        int error = fail_and_close(fd);
        unlink(path);
        return error;
    }
    return fd;
}

int posix_connect_address(const char *address, uint16_t port, union posix_address *out, socklen_t *len)
{
    if (strchr(address, '/') == NULL) return posix_parse_address(address, port, out, len);
    memset(out, 0, sizeof(*out));
    if (strlen(address) >= sizeof(out->local.sun_path)) return -ENAMETOOLONG;
    out->local.sun_family = AF_UNIX;
    strcpy(out->local.sun_path, address);
    *len = sizeof(out->local);
    return 0;
}

int posix_connect(const char *address, uint16_t port, int *error)
{
    union posix_address a;
    socklen_t len;
    *error = posix_connect_address(address, port, &a, &len);
    if (*error < 0) return -1;
    int fd = posix_socket(a.any.sa_family, true);
    if (fd < 0) {
        *error = fd;
        return -1;
    }
    if (connect(fd, &a.any, len) == 0 || errno == EINPROGRESS) return fd;
    *error = fail_and_close(fd);
    return -1;
}

int posix_set_keepalive(int fd, int seconds)
{
    int on = seconds > 0;
    if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) < 0) return -errno;
    union posix_address a;
    socklen_t len = sizeof(a);
    if (!on || getsockname(fd, &a.any, &len) < 0 || a.any.sa_family == AF_UNIX) return 0;
    /* First probe after `seconds`, then three probes in another `seconds`: a dead peer is seen within twice
     * it. */
    int interval = seconds / 3 > 0 ? seconds / 3 : 1;
    int probes = 3;
    if (setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof(seconds)) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval)) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes)) < 0)
        return -errno;
    return 0;
}

static void format_address(const union posix_address *a, char *buf)
{
    char host[INET6_ADDRSTRLEN];
    if (a->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &a->v4.sin_addr, host, sizeof(host));
        snprintf(buf, IO_ADDRESS_MAX, "%s:%u", host, ntohs(a->v4.sin_port));
    } else if (a->any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &a->v6.sin6_addr, host, sizeof(host));
        snprintf(buf, IO_ADDRESS_MAX, "[%s]:%u", host, ntohs(a->v6.sin6_port));
    } else {
        snprintf(buf, IO_ADDRESS_MAX, "%.*s:0", (int)sizeof(a->local.sun_path), a->local.sun_path);
    }
}

void posix_local_address(int fd, char *buf)
{
    union posix_address a;
    socklen_t len = sizeof(a);
    memset(&a, 0, sizeof(a));
    if (getsockname(fd, &a.any, &len) < 0)
        snprintf(buf, IO_ADDRESS_MAX, "?:0");
    else
        format_address(&a, buf);
}

void posix_peer_address(int fd, char *buf)
{
    union posix_address a;
    socklen_t len = sizeof(a);
    memset(&a, 0, sizeof(a));
    if (getpeername(fd, &a.any, &len) < 0)
        snprintf(buf, IO_ADDRESS_MAX, "?:0"); /* the peer has gone already */
    else if (a.any.sa_family == AF_UNIX && len <= offsetof(struct sockaddr_un, sun_path))
        posix_local_address(fd, buf); /* a unix client has no name of its own: show the socket's */
    else
        format_address(&a, buf);
}

bool posix_accept_error_is_transient(int error)
{
    switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case ENOPROTOOPT:
    case EPERM: /* a firewall rule refused it */ return true;
    default: return false;
    }
}
