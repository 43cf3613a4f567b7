/* weft-bench: a load generator for RESP servers, lean enough that the server stays the bottleneck.
 *
 * The way of a run: options.c reads the command line → workload.c compiles the commands into templates →
 * client.c dials (dial.c) and drives the connections, reply.c counts what comes back, latency.c how long it
 * took, cpu.c what it cost → report.c. sampler.c chooses the keys. `weft-bench --help` lists the options,
 * docs/benchmarks.md says how it is used; tests: test/bench_test.py. */
#include <stdio.h>
#include <stdlib.h>

#include "client.h"
#include "options.h"
#include "report.h"
#include "workload.h"

#define PRELOAD_PIPELINE   128
#define PRELOAD_BATCH_SIZE ((size_t)4 << 20)

static struct result *run(struct client *client, struct workload *workload, const struct plan *plan)
{
    struct result *result = malloc(sizeof *result);
    if (result == NULL) {
        fputs("weft-bench: out of memory\n", stderr);
        exit(EXIT_FAILED);
    }
    client_run(client, workload, plan, result);
    return result;
}

static struct result *preload(struct client *client, const struct options *o, struct workload *workload,
                              uint64_t requests)
{
    size_t fitting = PRELOAD_BATCH_SIZE / (workload_wire_size_max(workload) + 1) + 1;
    struct plan plan = {.pipeline = fitting < PRELOAD_PIPELINE ? (uint32_t)fitting : PRELOAD_PIPELINE,
                        .requests = requests};
    if (!o->quiet)
        fprintf(stderr, "weft-bench: writing %llu keys or elements\n", (unsigned long long)requests);
    return run(client, workload, &plan);
}

int main(int argc, char **argv)
{
    struct options o;
    options_parse(&o, argc, argv);
    uint64_t fill_requests = 0;
    struct workload *workload = workload_new(&o); /* before connecting: they may refuse */
    struct workload *fill = o.preload ? workload_new_preload(&o, &fill_requests) : NULL;
    struct client *client = client_new(&o);
    struct result *filled = fill ? preload(client, &o, fill, fill_requests) : NULL, *measured = NULL;
    if (o.requests > 0) {
        struct plan plan = {.pipeline = o.pipeline,
                            .requests = o.requests,
                            .duration_ns = (uint64_t)(o.duration_s * 1e9),
                            .warmup_ns = (uint64_t)(o.warmup_s * 1e9),
                            .open_rate = o.open_rate};
        measured = run(client, workload, &plan);
    }
    report_print(&o, filled, measured);
    uint64_t errors = (filled ? filled->errors : 0) + (measured ? measured->errors : 0);
    free(filled);
    free(measured);
    workload_free(workload);
    if (fill) workload_free(fill);
    client_free(client);
    return errors > 0 && !o.allow_errors ? EXIT_ERROR_REPLIES : EXIT_OK;
}
