/* Turns the description of a load into request bytes, as cheaply as can be.
 *
 * Each command is compiled once into a *template*: its whole RESP text with room for the digits of keys and
 * for the value. A request is one memcpy of the template and a few patches in place:
 *
 *     *3 $3 SET $16 key:000000______ $64 ________________________________
 *                          ^ key               ^ value: a random stretch of the pool
 *
 * Key names therefore have a fixed width. A value of variable length ends one part of the template and its
 * bytes are written apart; values of BIG_VALUE and above are never copied at all but referred to (struct
 * iovec) in the pool, which is printable noise.
 *
 * A `stream` is one connection's source of requests: with the same seed and number it gives the same
 * requests.
 * (`--dist sequential` has one cursor for all of them.) Nothing is allocated per request: the caller's outbox
 * has room for workload_request_size_max() bytes and workload_parts_max() parts per request. Tests:
 * test/bench_test.py (every named command against a real server; sizes and keys against a fake one). */
#ifndef WEFT_BENCH_WORKLOAD_H
#define WEFT_BENCH_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "options.h"
#include "sampler.h"

#define BIG_VALUE ((uint32_t)16 << 10)

/* Bytes and parts on their way to one connection. `bytes` holds what was copied; `parts` name stretches of it
 * and of the pool, in sending order; [part_at, part_count) are not sent yet. */
struct outbox {
    struct outbox *next_free;
    char *bytes;
    struct iovec *parts;
    size_t byte_count, part_count, part_at;
};

struct stream {
    struct prng prng;
    uint32_t partition_first,
        partition_count; /* with --locality: the partitions to take keys from; else 0, 256 */
};

struct workload;

/* Compiles --mix and --command. Exits with a message if they make no sense. */
struct workload *workload_new(const struct options *o);
/* Compiles what fills every key that `o` speaks of; *request_count is how many requests that takes. Each call
 * of workload_append then writes the next of them. */
struct workload *workload_new_preload(const struct options *o, uint64_t *request_count);
void workload_free(struct workload *w);

void stream_init(struct stream *s, uint64_t seed, uint64_t number);
/* Restricts the keys to those on `shard` of `shard_count` (or to those on other shards). */
void stream_set_locality(struct stream *s, enum locality locality, unsigned shard, unsigned shard_count);

/* The most bytes that one request copies, and the most parts it makes. */
size_t workload_request_size_max(const struct workload *w);
size_t workload_parts_max(const struct workload *w);
/* Bytes of the largest request on the wire, values included. */
size_t workload_wire_size_max(const struct workload *w);

/* Appends one request; the caller has seen to the room. */
void workload_append(struct workload *w, struct stream *s, struct outbox *out);

#endif
