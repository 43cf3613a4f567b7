/* INFO memory. used_memory is exact and what `maxmemory` is compared with: the partitions' slabs, the
 * sessions' buffers, and what the node needs for itself. */
#include "telemetry/info.h"
#include "telemetry/memory.h"

#include <inttypes.h>

static void sized(struct info *info, const char *field, uint64_t bytes)
{
    char human[INFO_HUMAN_LEN];
    info_number(info, field, bytes);
    info_line(info, "%s_human:%s", field, info_human(bytes, human));
}

static void scripts(struct info *info)
{
    info_line(info, "used_memory_lua:0");
    info_line(info, "used_memory_vm_eval:0");
    info_line(info, "used_memory_lua_human:0B");
    info_line(info, "used_memory_scripts_eval:0");
    info_line(info, "number_of_cached_scripts:0");
    info_line(info, "number_of_functions:0");
    info_line(info, "number_of_libraries:0");
    info_line(info, "used_memory_vm_functions:0");
    sized(info, "used_memory_vm_total", 0);
    info_line(info, "used_memory_functions:0");
    sized(info, "used_memory_scripts", 0);
}

static void fragmentation(struct info *info, const struct memory_figures *m)
{
    info_line(info, "allocator_frag_ratio:%.2f", memory_ratio(m->active, m->used));
    info_number(info, "allocator_frag_bytes", m->active - m->used);
    info_line(info, "allocator_rss_ratio:1.00");
    info_line(info, "allocator_rss_bytes:0");
    info_line(info, "rss_overhead_ratio:%.2f", memory_ratio(m->resident, m->active));
    info_line(info, "rss_overhead_bytes:%" PRId64, (int64_t)(m->resident - m->active));
    info_line(info, "mem_fragmentation_ratio:%.2f", memory_ratio(m->resident, m->used));
    info_line(info, "mem_fragmentation_bytes:%" PRId64, (int64_t)(m->resident - m->used));
}

void info_memory(struct info *info)
{
    struct memory_figures m;
    struct config_text policy;
    memory_figures_take(&m, info->ctx, info->report);
    sized(info, "used_memory", m.used);
    sized(info, "used_memory_rss", m.resident);
    sized(info, "used_memory_peak", m.peak);
    info_line(info, "used_memory_peak_perc:%.2f%%", m.peak_percent);
    info_number(info, "used_memory_overhead", m.overhead);
    info_number(info, "used_memory_startup", m.startup);
    info_number(info, "used_memory_dataset", m.dataset);
    info_line(info, "used_memory_dataset_perc:%.2f%%", m.dataset_percent);
    info_number(info, "allocator_allocated", m.used);
    info_number(info, "allocator_active", m.active);
    info_number(info, "allocator_resident", m.active);
    info_line(info, "allocator_muzzy:0");
    sized(info, "total_system_memory", (uint64_t)info->node->memory_total);
    scripts(info);
    sized(info, "maxmemory", info->config->maxmemory_bytes);
    config_get_one(info->config, SLICE("maxmemory-policy"), &policy);
    info_line(info, "maxmemory_policy:%s", policy.ptr);
    config_text_set(&policy, SLICE(""));
    fragmentation(info, &m);
    info_line(info, "mem_not_counted_for_evict:0");
    info_line(info, "mem_replication_backlog:0");
    info_line(info, "mem_total_replication_buffers:0");
    info_line(info, "mem_replica_full_sync_buffer:0");
    info_line(info, "mem_clients_slaves:0");
    info_number(info, "mem_clients_normal", m.clients);
    info_line(info, "mem_cluster_links:0");
    info_line(info, "mem_aof_buffer:0");
    info_line(info, "mem_allocator:weft-slab");
    info_line(info, "mem_overhead_db_hashtable_rehashing:0");
    info_line(info, "active_defrag_running:0");
    info_number(info, "lazyfree_pending_objects", info->report->total.pending_objects);
    /* Those that a flush frees in one piece, too. */
    info_number(info, "lazyfreed_objects", info->report->total.lazyfreed + info->report->total.flushed_keys);
}
