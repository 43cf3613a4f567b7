/* The nodes' wall clocks. Monotonic time is the world's virtual time on every node and never goes back; wall
 * time is that plus an offset, which steps, drifts, and may stand still for a while. Tests:
 * test/unit/sim_fault_test.c. */
#include "io/sim.h"

int64_t sim_clock_realtime_us(const struct sim_node *node)
{
    const struct sim_clock *c = &node->clock;
    int64_t now_us = node->sim->now_us;
    if (c->paused_at_us != INT64_MIN && now_us < c->paused_until_us) return c->paused_at_us;
    int64_t us = SIM_REALTIME_0_US + now_us + c->offset_us;
    if (c->drift_us_per_s == 0) return us;
    int64_t since_us = now_us - c->drift_since_us; /* whole seconds apart: no overflow in a long run */
    return us + since_us / 1000000 * c->drift_us_per_s + since_us % 1000000 * c->drift_us_per_s / 1000000;
}

int64_t io_sim_realtime_us(const struct io_world *node)
{
    return sim_clock_realtime_us(sim_node_of(node));
}

/* What drifting has done becomes part of the offset. */
static void settle(struct sim_node *node)
{
    struct sim_clock *c = &node->clock;
    c->paused_at_us = INT64_MIN;
    c->offset_us = sim_clock_realtime_us(node) - SIM_REALTIME_0_US - node->sim->now_us;
    c->drift_since_us = node->sim->now_us;
}

void io_sim_clock_step(struct io_world *world, int64_t us)
{
    sim_node_of(world)->clock.offset_us += us;
}

void io_sim_clock_drift(struct io_world *world, int64_t us_per_s)
{
    struct sim_node *node = sim_node_of(world);
    CHECK(us_per_s > -1000000 && us_per_s < 1000000);
    settle(node);
    node->clock.drift_us_per_s = us_per_s;
}

static int64_t either_way(struct sim_node *node, enum io_sim_fault fault)
{
    int64_t us = sim_fault_amount(node->sim, fault);
    return sim_fault_below(node->sim, fault, 2) == 0 ? us : -us;
}

void sim_clock_fault_set(struct sim_node *node, enum io_sim_fault fault)
{
    if (!sim_fault_hit(node, fault)) return;
    if (fault == IO_SIM_CLOCK_OFFSET)
        io_sim_clock_step(&node->base, either_way(node, fault));
    else
        io_sim_clock_drift(&node->base, either_way(node, fault));
}

void sim_clock_node_init(struct sim_node *node)
{
    node->clock = (struct sim_clock){.paused_at_us = INT64_MIN, .drift_since_us = node->sim->now_us};
}

bool sim_clock_tick(struct sim_node *node, enum io_sim_fault fault)
{
    struct sim_clock *c = &node->clock;
    if (fault == IO_SIM_CLOCK_STEP_FORWARD) {
        c->offset_us += sim_fault_amount(node->sim, fault);
    } else if (fault == IO_SIM_CLOCK_STEP_BACK) {
        c->offset_us -= sim_fault_amount(node->sim, fault);
    } else {
        int64_t wall_us = sim_clock_realtime_us(node);
        int64_t until_us = node->sim->now_us + sim_fault_amount(node->sim, fault);
        c->paused_at_us = wall_us;
        c->paused_until_us = until_us;
    }
    return true;
}

void sim_clock_freeze(struct sim_node *node)
{
    settle(node);
    node->clock.drift_us_per_s = 0;
}
