/* Opens one connection and brings it to where requests can flow: AUTH, HELLO, SELECT; blocking, at start
 * only. */
#ifndef WEFT_BENCH_DIAL_H
#define WEFT_BENCH_DIAL_H

#include "options.h"

/* A connected, non-blocking socket. If `shard` is not NULL it gets the number of the server's shard that
 * serves the connection (field shard= of CLIENT INFO). Prints why and exits with EXIT_FAILED if anything
 * fails. */
int dial(const struct options *o, unsigned *shard);

#endif
