/* Listening: shard 0 accepts for all. TCP listeners, one per address of `bind`, stand in the first slots, the
 * Unix socket's in the last one; the user of an accept is its slot. CONFIG SET port or bind closes the TCP
 * listeners and opens them anew; where that fails, the old ones are opened again. */
#include "shard/internal.h"

#include <stdio.h>

#define UNIX_SLOT CONFIG_BIND_MAX

bool listen_is_unix(const struct shard *shard, const void *accept_user)
{
    return accept_user == &shard->listeners[UNIX_SLOT];
}

static const char *numeric(const char *address)
{
    if (strcmp(address, "*") == 0) return "0.0.0.0";
    return strcmp(address, "::*") == 0 ? "::" : address;
}

static int listen_on(struct shard *shard, const char *address, char *error, size_t error_len)
{
    struct io_listener **slot = &shard->listeners[shard->listener_count];
    int result = io_listen_tcp(shard->io, address, (uint16_t)shard->config.port,
                               (int)shard->config.tcp_backlog, slot, slot);
    if (result == 0) {
        shard->node->port = io_listener_port(*slot);
        shard->listener_count++;
        return 0;
    }
    snprintf(error, error_len, "Could not create server TCP listening socket %s:%lld: %s", address,
             (long long)shard->config.port, strerror(-result));
    return -1;
}

static void end_tcp(struct shard *shard)
{
    while (shard->listener_count) {
        struct io_listener **slot = &shard->listeners[--shard->listener_count];
        io_unlisten(*slot);
        *slot = NULL;
    }
}

static int listen_tcp(struct shard *shard, char *error, size_t error_len)
{
    struct config *config = &shard->config;
    for (int i = 0; config->port && i < config->bind_count; i++) {
        const char *address = config->bind[i].ptr;
        bool optional = *address == '-';
        if (optional) address++;
        if (listen_on(shard, numeric(address), error, error_len) == 0 || optional) continue;
        end_tcp(shard);
        return -1;
    }
    if (config->port && config->bind_count && !shard->listener_count) {
        snprintf(error, error_len, "Could not listen on any address");
        return -1;
    }
    return 0;
}

int shard_listen(struct shard *shard, char *error, size_t error_len)
{
    struct config *config = &shard->config;
    if (listen_tcp(shard, error, error_len) != 0) return -1;
    if (config->unixsocket.len) {
        struct io_listener **slot = &shard->listeners[UNIX_SLOT];
        int result = io_listen_unix(shard->io, config->unixsocket.ptr, (uint32_t)config->unixsocketperm,
                                    (int)config->tcp_backlog, slot, slot);
        if (result != 0) {
            snprintf(error, error_len, "Could not create Unix socket %s: %s", config->unixsocket.ptr,
                     strerror(-result));
            return -1;
        }
    }
    return 0;
}

int listen_again(struct shard *shard, const struct config *old)
{
    char error[256];
    end_tcp(shard);
    if (listen_tcp(shard, error, sizeof error) == 0) return 0;
    /* Back to what worked. The names of the old config are borrowed for this call only. */
    struct config wanted = shard->config;
    shard->config.port = old->port;
    shard->config.bind_count = old->bind_count;
    memcpy(shard->config.bind, old->bind, sizeof shard->config.bind);
    listen_tcp(shard, error, sizeof error);
    shard->config = wanted;
    return -1;
}

void listen_end(struct shard *shard)
{
    end_tcp(shard);
    if (shard->listeners[UNIX_SLOT]) io_unlisten(shard->listeners[UNIX_SLOT]);
    shard->listeners[UNIX_SLOT] = NULL;
}

static bool listens_already(const struct config *config, const char *address)
{
    for (int i = 0; i < config->bind_count; i++)
        if (strcmp(config->bind[i].ptr + (config->bind[i].ptr[0] == '-'), address) == 0) return true;
    return false;
}

const char *listen_probe(struct shard *shard, const struct config *old, const struct config *next,
                         const char **name)
{
    /* On the port that shard 0 has, only the addresses can be tried, at any other port. */
    uint16_t port = next->port == old->port ? 0 : (uint16_t)next->port;
    for (int i = 0; next->port && i < next->bind_count; i++) {
        const char *address = next->bind[i].ptr;
        if (*address == '-' || (port == 0 && listens_already(old, address))) continue;
        struct io_listener *listener;
        int result = io_listen_tcp(shard->io, numeric(address), port, 1, NULL, &listener);
        if (result == 0) {
            io_unlisten(listener);
            continue;
        }
        *name = port ? "port" : "bind";
        return port ? "Unable to listen on this port. Check server logs."
                    : "Failed to bind to specified addresses.";
    }
    return NULL;
}
