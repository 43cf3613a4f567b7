/* trace_world: the simulated world's own faults (network, disk, object store, clocks), for the trace. */
#ifndef WEFT_SIM_TRACE_WORLD_H
#define WEFT_SIM_TRACE_WORLD_H

#include "io/world.h"
#include "sim/trace.h"

/* After each step of the world: faults that fired meanwhile, by their counters. Use: TRACE(trace,
 * world_faults, ...) */
void trace_world_faults(struct trace *trace, int64_t now_us, const struct io_world *world);

#endif
