/* The connections and the one loop that drives them.
 *
 * Closed loop: a connection sends a batch of --pipeline requests, waits for all their replies, sends the
 * next. A reply's latency counts from the moment its batch was handed to the kernel until it was read. Open
 * loop: request i is due at start + i / rate, whatever the server does. It goes out on the next connection
 * with room in its pipeline, and its latency counts from when it was due: a server that stalls is charged for
 * every request that would have come meanwhile (no coordinated omission).
 *
 * Requests are built in an outbox that the connections share; only one that the kernel did not take at once
 * stays with its connection. Large replies are thrown away in the kernel (MSG_TRUNC). One thread; a failure
 * (connection, protocol, 60 s without a reply) prints a sentence and exits with EXIT_FAILED.
 * Tests: test/bench_test.py. */
#ifndef WEFT_BENCH_CLIENT_H
#define WEFT_BENCH_CLIENT_H

#include <stdint.h>

#include "cpu.h"
#include "latency.h"
#include "options.h"
#include "workload.h"

struct client;

struct plan {
    uint32_t pipeline;
    uint64_t requests;    /* exactly so many, the warm-up's not included; UINT64_MAX: no limit */
    uint64_t duration_ns; /* 0: no limit */
    uint64_t warmup_ns;   /* before that; not measured */
    double open_rate;     /* 0: closed loop */
};

struct result {
    struct latency latency;
    uint64_t requests, errors, pushes;
    uint64_t elapsed_ns, bytes_sent, bytes_received;
    uint64_t own_cpu_ns;
    bool server_cpu_known;
    struct cpu_sample server_cpu;
    char first_error[128]; /* empty if there was none */
};

struct client *client_new(const struct options *o);
void client_free(struct client *c);
void client_run(struct client *c, struct workload *w, const struct plan *plan, struct result *result);

#endif
