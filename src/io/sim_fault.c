/* The table of faults, their rates, streams and counters, and the tick by which faults of time come about.
 *
 * Each fault has a stream of its own, seeded from the world's seed and its name: whether and how another one
 * is on does not shift its draws. The tick is an event every IO_SIM_TICK_US that exists only while some fault
 * of unit TICK or NODE_TICK is on. The faults themselves are where they strike: sim_net.c, sim_net_fault.c,
 * sim_file.c, sim_disk.c, sim_clock.c, and sim/object_store.c. Tests: test/unit/sim_fault_test.c. */
#include "io/sim.h"
#include "base/hash.h"

#include <errno.h>
#include <string.h>

#define MILLION 1000000

static const struct io_sim_fault_row rows[IO_SIM_FAULT_COUNT] = {
#define X(id, in_group, its_name, its_unit, its_value, its_text)                                             \
    [IO_SIM_##id] = {.name = its_name,                                                                       \
                     .unit = #its_unit,                                                                      \
                     .text = its_text,                                                                       \
                     .group = IO_SIM_##in_group,                                                             \
                     .value = its_value},
    IO_SIM_FAULTS(X)
#undef X
};

enum unit { TICKLESS, WORLD_TICK, NODE_TICK, NODE };

static enum unit unit_of(enum io_sim_fault fault)
{
    const char *unit = rows[fault].unit;
    if (strcmp(unit, "TICK") == 0) return WORLD_TICK;
    if (strcmp(unit, "NODE_TICK") == 0) return NODE_TICK;
    return strcmp(unit, "NODE") == 0 ? NODE : TICKLESS;
}

/* ---- the table ---- */

const struct io_sim_fault_row *io_sim_fault_row(enum io_sim_fault fault)
{
    CHECK(fault < IO_SIM_FAULT_COUNT);
    return &rows[fault];
}

const char *io_sim_fault_name(enum io_sim_fault fault)
{
    return io_sim_fault_row(fault)->name;
}

const char *io_sim_group_name(enum io_sim_group group)
{
    static const char *const names[] = {"network", "disk", "store", "clock"};
    CHECK((size_t)group < ARRAY_LEN(names));
    return names[group];
}

int io_sim_fault_find(const char *name)
{
    for (int i = 0; i < IO_SIM_FAULT_COUNT; i++)
        if (strcmp(rows[i].name, name) == 0) return i;
    return -ENOENT;
}

/* ---- drawing ---- */

void sim_fault_init(struct sim *sim)
{
    for (int i = 0; i < IO_SIM_FAULT_COUNT; i++) {
        sim->faults.values[i] = rows[i].value;
        prng_seed(&sim->faults.random[i], hash_bytes(rows[i].name, strlen(rows[i].name), sim->seed));
    }
}

bool sim_fault_drawn(struct sim_node *node, enum io_sim_fault fault)
{
    return prng_below(&node->sim->faults.random[fault], MILLION) < node->rates[fault];
}

uint64_t sim_fault_below(struct sim *sim, enum io_sim_fault fault, uint64_t bound)
{
    return prng_below(&sim->faults.random[fault], bound);
}

int64_t sim_fault_amount(struct sim *sim, enum io_sim_fault fault)
{
    CHECK(sim->faults.values[fault] > 0);
    return 1 + (int64_t)sim_fault_below(sim, fault, (uint64_t)sim->faults.values[fault]);
}

bool io_sim_fault_roll(struct io_world *node, enum io_sim_fault fault)
{
    return sim_fault_hit(sim_node_of(node), fault);
}
uint64_t io_sim_fault_below(struct io_world *world, enum io_sim_fault fault, uint64_t bound)
{
    return sim_fault_below(sim_of_world(world), fault, bound);
}
void io_sim_fault_count(struct io_world *world, enum io_sim_fault fault)
{
    sim_of_world(world)->faults.fired[fault]++;
}

/* ---- the tick ---- */

static void tick_arm(struct sim *sim);

static bool strike(struct sim_node *node, enum io_sim_fault fault)
{
    return rows[fault].group == IO_SIM_CLOCK ? sim_clock_tick(node, fault) : sim_net_tick(node, fault);
}

static void on_tick(struct sim *sim, struct sim_event *event)
{
    sim->faults.ticking = false;
    for (int fault = 0; fault < IO_SIM_FAULT_COUNT; fault++) {
        enum unit unit = unit_of(fault);
        int count = unit == NODE_TICK ? sim->node_count : unit == WORLD_TICK ? 1 : 0;
        for (int i = 0; i < count; i++) {
            struct sim_node *node = sim->by_number[i];
            if (sim_fault_draw(node, fault) && strike(node, fault)) sim_fault_count(node, fault);
        }
    }
    tick_arm(sim);
}

static void tick_arm(struct sim *sim)
{
    bool needed = false;
    for (int fault = 0; fault < IO_SIM_FAULT_COUNT && !needed; fault++)
        for (int i = 0; i < sim->node_count && unit_of(fault) != TICKLESS && unit_of(fault) != NODE; i++)
            needed |= sim->by_number[i]->rates[fault] > 0;
    if (!needed || sim->faults.ticking) return;
    sim->faults.ticking = true;
    sim_after(sim, IO_SIM_TICK_US, (struct sim_event){.fire = on_tick});
}

/* ---- rates ---- */

static void set_node(struct sim_node *node, enum io_sim_fault fault, uint32_t rate)
{
    CHECK(fault < IO_SIM_FAULT_COUNT && rate <= MILLION);
    node->rates[fault] = rate;
    node->faulty = false;
    for (int i = 0; i < IO_SIM_FAULT_COUNT; i++) node->faulty |= node->rates[i] > 0;
    if (unit_of(fault) == NODE) sim_clock_fault_set(node, fault);
}

void io_sim_fault_set_node(struct io_world *world, enum io_sim_fault fault, uint32_t rate_per_million)
{
    set_node(sim_node_of(world), fault, rate_per_million);
    tick_arm(sim_of_world(world));
}

void io_sim_fault_set(struct io_world *world, enum io_sim_fault fault, uint32_t rate_per_million)
{
    struct sim *sim = sim_of_world(world);
    for (int i = 0; i < sim->node_count; i++) set_node(sim->by_number[i], fault, rate_per_million);
    sim->faults.rates[fault] = rate_per_million;
    tick_arm(sim);
}

void sim_fault_node_init(struct sim_node *node)
{
    for (int fault = 0; fault < IO_SIM_FAULT_COUNT; fault++)
        if (node->sim->faults.rates[fault] > 0) set_node(node, fault, node->sim->faults.rates[fault]);
}

uint32_t io_sim_fault_rate(const struct io_world *node, enum io_sim_fault fault)
{
    CHECK(fault < IO_SIM_FAULT_COUNT);
    return sim_node_of(node)->rates[fault];
}

void io_sim_fault_set_value(struct io_world *world, enum io_sim_fault fault, int64_t value)
{
    CHECK(fault < IO_SIM_FAULT_COUNT && rows[fault].value > 0 && value > 0);
    sim_of_world(world)->faults.values[fault] = value;
}

int64_t io_sim_fault_value(const struct io_world *world, enum io_sim_fault fault)
{
    CHECK(fault < IO_SIM_FAULT_COUNT);
    return sim_of_world(world)->faults.values[fault];
}

uint64_t io_sim_fault_fired(const struct io_world *world, enum io_sim_fault fault)
{
    CHECK(fault < IO_SIM_FAULT_COUNT);
    return sim_of_world(world)->faults.fired[fault];
}

void io_sim_faults_freeze(struct io_world *world)
{
    struct sim *sim = sim_of_world(world);
    sim->faults.epoch++;
    memset(sim->faults.rates, 0, sizeof(sim->faults.rates));
    for (int i = 0; i < sim->node_count; i++) {
        struct sim_node *node = sim->by_number[i];
        memset(node->rates, 0, sizeof(node->rates));
        node->faulty = false;
        sim_clock_freeze(node);
        sim_disk_freeze(node);
    }
    sim_net_freeze(sim);
}
