/* What the command line of weft-bench says, checked. Plain data; strings point into argv. */
#ifndef WEFT_BENCH_OPTIONS_H
#define WEFT_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    EXIT_OK = 0,
    EXIT_ERROR_REPLIES = 1, /* the server answered some commands with an error, and --allow-errors is off */
    EXIT_USAGE = 2,
    EXIT_FAILED = 3 /* no connection, lost connection, no RESP, timeout */
};

enum locality { LOCALITY_ANY, LOCALITY_LOCAL, LOCALITY_REMOTE };

#define OPTIONS_COMMANDS_MAX 16

struct options {
    const char *host, *port, *socket_path, *user, *password;
    unsigned db, resp;
    uint32_t connections, pipeline;
    uint64_t requests; /* UINT64_MAX: until duration_s is over */
    double duration_s, warmup_s;
    double open_rate; /* requests per second; 0: closed loop */

    const char *mix;                            /* "get:80,set:20" */
    const char *commands[OPTIONS_COMMANDS_MAX]; /* --command, each of weight 1 unless followed by --weight */
    unsigned weights[OPTIONS_COMMANDS_MAX];
    unsigned command_count;
    bool preload;
    const char *preload_kind; /* NULL: what the mix needs */

    const char *dist, *element_dist;
    uint64_t keys, elements;
    const char *prefix; /* NULL: one per type */
    uint32_t key_size, element_size;
    uint32_t value_size_min, value_size_max;
    uint64_t ttl_min_s, ttl_max_s; /* 0: none */
    unsigned multi, range;
    uint64_t seed;

    enum locality locality;
    unsigned shards;
    bool tags;

    pid_t server_pid; /* 0: unknown */
    bool allow_errors, json, quiet;
};

/* Fills *o, or prints what is wrong and exits with EXIT_USAGE (--help: prints the help, exits with EXIT_OK).
 */
void options_parse(struct options *o, int argc, char **argv);

#endif
