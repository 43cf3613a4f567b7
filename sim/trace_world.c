/* See trace_world.h. */
#include "sim/trace_world.h"
#include "io/sim_fault.h"

_Static_assert(IO_SIM_FAULT_COUNT <= TRACE_FIRED_MAX, "the trace has a counter for each");

void trace_world_faults(struct trace *trace, int64_t now_us, const struct io_world *world)
{
    for (int i = 0; i < IO_SIM_FAULT_COUNT; i++) {
        uint64_t total = io_sim_fault_fired(world, (enum io_sim_fault)i);
        trace_fired(trace, now_us, i, io_sim_fault_name((enum io_sim_fault)i), total);
    }
}
