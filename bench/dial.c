/* Connecting (contract in dial.h). */
#include "dial.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "reply.h"

static _Noreturn void fail(const char *what, const char *why)
{
    fprintf(stderr, "weft-bench: %s: %s\n", what, why);
    exit(EXIT_FAILED);
}

static int connect_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) fail(path, "the path is too long for a unix socket");
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) fail(path, strerror(errno));
    return fd;
}

static int connect_tcp(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    int error = getaddrinfo(host, port, &hints, &list);
    if (error != 0) fail(host, gai_strerror(error));
    int fd = -1, reason = 0;
    for (struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
            reason = errno;
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    if (fd < 0) {
        char what[160];
        snprintf(what, sizeof what, "%.100s port %.40s", host, port);
        fail(what, strerror(reason));
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void append_argument(char *request, size_t size, const char *text)
{
    size_t used = strlen(request);
    int n = snprintf(request + used, size - used, "$%zu\r\n%s\r\n", strlen(text), text);
    if (n < 0 || (size_t)n >= size - used) fail(text, "is too long");
}

/* Sends one command of `count` arguments and waits for its reply, which goes into `reply`, NUL-terminated. */
static void ask(int fd, char *reply, size_t reply_size, int count, ...)
{
    char request[2048];
    snprintf(request, sizeof request, "*%d\r\n", count);
    va_list arguments;
    va_start(arguments, count);
    const char *name = NULL;
    for (int i = 0; i < count; i++) {
        const char *text = va_arg(arguments, const char *);
        if (name == NULL) name = text;
        append_argument(request, sizeof request, text);
    }
    va_end(arguments);
    for (size_t sent = 0, len = strlen(request); sent < len;) {
        ssize_t n = send(fd, request + sent, len - sent, MSG_NOSIGNAL);
        if (n < 0) fail(name, strerror(errno));
        sent += (size_t)n;
    }
    struct reply_scan scan;
    reply_scan_init(&scan);
    size_t used = 0;
    while (scan.replies == 0) {
        if (used == reply_size - 1) fail(name, "the reply is too long");
        ssize_t n = recv(fd, reply + used, reply_size - 1 - used, 0);
        if (n <= 0) fail(name, n < 0 ? strerror(errno) : "the server closed the connection");
        if (!reply_scan_feed(&scan, reply + used, (size_t)n)) fail(name, "the answer is no RESP");
        used += (size_t)n;
    }
    reply[used] = '\0';
    if (scan.errors > 0) fail(name, scan.first_error);
}

int dial(const struct options *o, unsigned *shard)
{
    int fd = o->socket_path ? connect_unix(o->socket_path) : connect_tcp(o->host, o->port);
    char reply[8192], number[16];
    if (o->user != NULL) {
        ask(fd, reply, sizeof reply, 3, "AUTH", o->user, o->password);
    } else if (o->password != NULL) {
        ask(fd, reply, sizeof reply, 2, "AUTH", o->password);
    }
    if (o->resp == 3) ask(fd, reply, sizeof reply, 2, "HELLO", "3");
    if (o->db != 0) {
        snprintf(number, sizeof number, "%u", o->db);
        ask(fd, reply, sizeof reply, 2, "SELECT", number);
    }
    if (shard != NULL) {
        ask(fd, reply, sizeof reply, 2, "CLIENT", "INFO");
        const char *field = strstr(reply, " shard=");
        if (field == NULL || sscanf(field, " shard=%u", shard) != 1 || *shard >= o->shards)
            fail("--locality", "the server's CLIENT INFO has no fitting shard= field");
    }
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0) fail("fcntl", strerror(errno));
    return fd;
}
