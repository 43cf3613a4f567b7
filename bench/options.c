/* Command line of weft-bench (contract in options.h). */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: weft-bench [options]\n"
    "A load generator for servers that speak RESP. One thread, one epoll loop.\n"
    "\n"
    "Where\n"
    "  --host H --port P        [127.0.0.1 6379]      --socket PATH   a unix socket instead\n"
    "  --user U --auth PASSWORD                       --db N          [0]\n"
    "  --resp 2|3               protocol [2]\n"
    "How much\n"
    "  --connections N          [50]                  --pipeline N    requests in flight each [1]\n"
    "  --requests N             exactly so many; 0 with --preload fills only\n"
    "  --duration S             [5 s if --requests is absent]\n"
    "  --warmup S               not measured, before the duration [0]\n"
    "  --open-rate R            open loop: R requests/s whatever the server does; latency counts from the\n"
    "                           moment a request was due (no coordinated omission)\n"
    "What\n"
    "  --mix NAME:W,NAME:W      [get]  names: get set mget mset del exists expire append getrange incr "
    "incrby\n"
    "                           lpush rpush lpop rpop lrange sadd srem sismember spop hset hget hdel "
    "hgetall\n"
    "                           hincrby zadd zrem zscore zrank zrange zincrby ping\n"
    "  --command \"SET key:__key__ __data__\"   raw command, may be repeated; --weight W after it.\n"
    "                           __key__ __element__ digits, __data__ value, __score__ __ttl__ numbers,\n"
    "                           {__tag__} hash tag\n"
    "  --keys N [100000]        --dist uniform|zipf:S|sequential|hotset:F:P    [uniform]\n"
    "  --elements N [1000]      per collection        --element-dist D         [uniform]\n"
    "  --prefix S --key-size N  prefix [per type, 4 bytes], whole key [16 bytes; what is left is digits]\n"
    "  --element-size N [16]    bytes of a member or field name\n"
    "  --value-size N|A-B [64]  --ttl S|A-B           SET with EX\n"
    "  --multi N [10]           keys per MGET, MSET   --range N [10]  elements per LRANGE, ZRANGE\n"
    "  --preload[=KIND,..]      first write every key (element) once; kinds: string counter list set hash "
    "zset\n"
    "                           [those which the mix uses]\n"
    "  --seed N [1]\n"
    "weft's shards\n"
    "  --tags                   a hash tag before the prefix that spreads keys evenly over the partitions\n"
    "  --locality local|remote --shards N    implies --tags: only keys that live on the connection's own\n"
    "                           shard (CLIENT INFO says which), or only others\n"
    "Report\n"
    "  --server-pid P           also the server's CPU time per request\n"
    "  --allow-errors           error replies are counted, and no reason to fail\n"
    "  --json                   one JSON object on stdout        --quiet   no progress on stderr\n"
    "\n"
    "Exit status: 0, 1 if the server gave error replies, 2 wrong usage, 3 connection or protocol failure.\n";

static _Noreturn void refuse(const char *option, const char *value, const char *wanted)
{
    fprintf(stderr, "weft-bench: --%s %s: %s\n", option, value, wanted);
    exit(EXIT_USAGE);
}

static uint64_t read_count(const char *option, const char *text, uint64_t min, uint64_t max)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (*end == 'k' && end[1] == '\0') n *= 1000, end++;
    if (*end == 'M' && end[1] == '\0') n *= 1000000, end++;
    if (errno != 0 || end == text || *end != '\0' || *text == '-' || n < min || n > max) {
        char wanted[80];
        snprintf(wanted, sizeof wanted, "a number from %llu to %llu is wanted", (unsigned long long)min,
                 (unsigned long long)max);
        refuse(option, text, wanted);
    }
    return n;
}

static double read_positive(const char *option, const char *text)
{
    char *end;
    double n = strtod(text, &end);
    if (end == text || *end != '\0' || !(n >= 0) || n > 1e12)
        refuse(option, text, "a positive number is wanted");
    return n;
}

/* "64" or "10-500". */
static void read_range(const char *option, const char *text, uint64_t limit, uint64_t *min, uint64_t *max)
{
    const char *dash = strchr(text, '-');
    if (dash == NULL) {
        *min = *max = read_count(option, text, 0, limit);
        return;
    }
    char first[32];
    snprintf(first, sizeof first, "%.*s", (int)(dash - text), text);
    *min = read_count(option, first, 0, limit);
    *max = read_count(option, dash + 1, *min, limit);
}

enum {
    OPT_HOST = 256,
    OPT_PORT,
    OPT_SOCKET,
    OPT_USER,
    OPT_AUTH,
    OPT_DB,
    OPT_RESP,
    OPT_CONNECTIONS,
    OPT_PIPELINE,
    OPT_REQUESTS,
    OPT_DURATION,
    OPT_WARMUP,
    OPT_OPEN_RATE,
    OPT_MIX,
    OPT_COMMAND,
    OPT_WEIGHT,
    OPT_KEYS,
    OPT_DIST,
    OPT_ELEMENTS,
    OPT_ELEMENT_DIST,
    OPT_ELEMENT_SIZE,
    OPT_PREFIX,
    OPT_KEY_SIZE,
    OPT_VALUE_SIZE,
    OPT_TTL,
    OPT_MULTI,
    OPT_RANGE,
    OPT_PRELOAD,
    OPT_SEED,
    OPT_TAGS,
    OPT_LOCALITY,
    OPT_SHARDS,
    OPT_SERVER_PID,
    OPT_ALLOW_ERRORS,
    OPT_JSON,
    OPT_QUIET,
    OPT_HELP
};

static const struct option long_options[] = {
    {"host", required_argument, NULL, OPT_HOST},
    {"port", required_argument, NULL, OPT_PORT},
    {"socket", required_argument, NULL, OPT_SOCKET},
    {"user", required_argument, NULL, OPT_USER},
    {"auth", required_argument, NULL, OPT_AUTH},
    {"db", required_argument, NULL, OPT_DB},
    {"resp", required_argument, NULL, OPT_RESP},
    {"connections", required_argument, NULL, OPT_CONNECTIONS},
    {"pipeline", required_argument, NULL, OPT_PIPELINE},
    {"requests", required_argument, NULL, OPT_REQUESTS},
    {"duration", required_argument, NULL, OPT_DURATION},
    {"warmup", required_argument, NULL, OPT_WARMUP},
    {"open-rate", required_argument, NULL, OPT_OPEN_RATE},
    {"mix", required_argument, NULL, OPT_MIX},
    {"command", required_argument, NULL, OPT_COMMAND},
    {"weight", required_argument, NULL, OPT_WEIGHT},
    {"keys", required_argument, NULL, OPT_KEYS},
    {"dist", required_argument, NULL, OPT_DIST},
    {"elements", required_argument, NULL, OPT_ELEMENTS},
    {"element-dist", required_argument, NULL, OPT_ELEMENT_DIST},
    {"element-size", required_argument, NULL, OPT_ELEMENT_SIZE},
    {"prefix", required_argument, NULL, OPT_PREFIX},
    {"key-size", required_argument, NULL, OPT_KEY_SIZE},
    {"value-size", required_argument, NULL, OPT_VALUE_SIZE},
    {"ttl", required_argument, NULL, OPT_TTL},
    {"multi", required_argument, NULL, OPT_MULTI},
    {"range", required_argument, NULL, OPT_RANGE},
    {"preload", optional_argument, NULL, OPT_PRELOAD},
    {"seed", required_argument, NULL, OPT_SEED},
    {"tags", no_argument, NULL, OPT_TAGS},
    {"locality", required_argument, NULL, OPT_LOCALITY},
    {"shards", required_argument, NULL, OPT_SHARDS},
    {"server-pid", required_argument, NULL, OPT_SERVER_PID},
    {"allow-errors", no_argument, NULL, OPT_ALLOW_ERRORS},
    {"json", no_argument, NULL, OPT_JSON},
    {"quiet", no_argument, NULL, OPT_QUIET},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static void set_defaults(struct options *o)
{
    *o = (struct options){.host = "127.0.0.1",
                          .port = "6379",
                          .resp = 2,
                          .connections = 50,
                          .pipeline = 1,
                          .requests = UINT64_MAX,
                          .dist = "uniform",
                          .element_dist = "uniform",
                          .keys = 100000,
                          .elements = 1000,
                          .key_size = 16,
                          .element_size = 16,
                          .value_size_min = 64,
                          .value_size_max = 64,
                          .multi = 10,
                          .range = 10,
                          .seed = 1};
}

/* Options of the groups "what" and "weft's shards". False if `option` is none of them. */
static bool read_workload_option(struct options *o, int option, const char *name, const char *arg)
{
    uint64_t min, max;
    switch (option) {
    case OPT_MIX: o->mix = arg; return true;
    case OPT_COMMAND:
        if (o->command_count == OPTIONS_COMMANDS_MAX) refuse(name, arg, "too many commands");
        o->weights[o->command_count] = 1;
        o->commands[o->command_count++] = arg;
        return true;
    case OPT_WEIGHT:
        if (o->command_count == 0) refuse(name, arg, "must follow a --command");
        o->weights[o->command_count - 1] = (unsigned)read_count(name, arg, 1, 1000000);
        return true;
    case OPT_KEYS: o->keys = read_count(name, arg, 1, (uint64_t)1 << 40); return true;
    case OPT_DIST: o->dist = arg; return true;
    case OPT_ELEMENTS: o->elements = read_count(name, arg, 1, (uint64_t)1 << 40); return true;
    case OPT_ELEMENT_DIST: o->element_dist = arg; return true;
    case OPT_ELEMENT_SIZE: o->element_size = (uint32_t)read_count(name, arg, 2, 1 << 16); return true;
    case OPT_PREFIX: o->prefix = arg; return true;
    case OPT_KEY_SIZE: o->key_size = (uint32_t)read_count(name, arg, 1, 1 << 16); return true;
    case OPT_VALUE_SIZE:
        read_range(name, arg, (uint64_t)512 << 20, &min, &max);
        o->value_size_min = (uint32_t)min;
        o->value_size_max = (uint32_t)max;
        return true;
    case OPT_TTL: read_range(name, arg, UINT32_MAX, &o->ttl_min_s, &o->ttl_max_s); return true;
    case OPT_MULTI: o->multi = (unsigned)read_count(name, arg, 1, 100000); return true;
    case OPT_RANGE: o->range = (unsigned)read_count(name, arg, 1, 1000000000); return true;
    case OPT_PRELOAD:
        o->preload = true;
        o->preload_kind = arg;
        return true;
    case OPT_SEED: o->seed = read_count(name, arg, 0, UINT64_MAX); return true;
    case OPT_TAGS: o->tags = true; return true;
    case OPT_LOCALITY:
        if (strcmp(arg, "local") != 0 && strcmp(arg, "remote") != 0)
            refuse(name, arg, "local or remote is wanted");
        o->locality = *arg == 'l' ? LOCALITY_LOCAL : LOCALITY_REMOTE;
        o->tags = true;
        return true;
    case OPT_SHARDS: o->shards = (unsigned)read_count(name, arg, 1, 256); return true;
    default: return false;
    }
}

static void read_option(struct options *o, int option, const char *name, const char *arg)
{
    if (read_workload_option(o, option, name, arg)) return;
    switch (option) {
    case OPT_HOST: o->host = arg; break;
    case OPT_PORT: o->port = arg; break;
    case OPT_SOCKET: o->socket_path = arg; break;
    case OPT_USER: o->user = arg; break;
    case OPT_AUTH: o->password = arg; break;
    case OPT_DB: o->db = (unsigned)read_count(name, arg, 0, 1000000); break;
    case OPT_RESP: o->resp = (unsigned)read_count(name, arg, 2, 3); break;
    case OPT_CONNECTIONS: o->connections = (uint32_t)read_count(name, arg, 1, 100000); break;
    case OPT_PIPELINE: o->pipeline = (uint32_t)read_count(name, arg, 1, 100000); break;
    case OPT_REQUESTS: o->requests = read_count(name, arg, 0, UINT64_MAX - 1); break;
    case OPT_DURATION: o->duration_s = read_positive(name, arg); break;
    case OPT_WARMUP: o->warmup_s = read_positive(name, arg); break;
    case OPT_OPEN_RATE: o->open_rate = read_positive(name, arg); break;
    case OPT_SERVER_PID: o->server_pid = (pid_t)read_count(name, arg, 1, INT32_MAX); break;
    case OPT_ALLOW_ERRORS: o->allow_errors = true; break;
    case OPT_JSON: o->json = true; break;
    case OPT_QUIET: o->quiet = true; break;
    case OPT_HELP: fputs(help, stdout); exit(EXIT_OK);
    default: exit(EXIT_USAGE); /* getopt_long has said what is wrong */
    }
}

void options_parse(struct options *o, int argc, char **argv)
{
    set_defaults(o);
    int index = 0, option;
    while ((option = getopt_long(argc, argv, "", long_options, &index)) != -1)
        read_option(o, option, option == '?' ? "" : long_options[index].name, optarg);
    if (optind < argc) refuse("", argv[optind], "is no option (see --help)");
    if (o->locality != LOCALITY_ANY && o->shards == 0) refuse("locality", "", "needs --shards");
    if (o->locality == LOCALITY_REMOTE && o->shards == 1)
        refuse("locality", "remote", "needs 2 shards or more");
    if (o->user != NULL && o->password == NULL) refuse("user", o->user, "needs --auth");
    if (o->mix == NULL && o->command_count == 0) o->mix = "get";
    if (o->requests == UINT64_MAX && o->duration_s == 0) o->duration_s = 5;
}
