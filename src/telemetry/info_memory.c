/* INFO memory. used_memory is exact and what `maxmemory` is compared with: the partitions' slabs, the
 * sessions' buffers, and what the node needs for itself. */
#include "telemetry/info.h"

#include <inttypes.h>

static void sized(struct info *info, const char *field, uint64_t bytes)
{
    char human[INFO_HUMAN_LEN];
    info_number(info, field, bytes);
    info_line(info, "%s_human:%s", field, info_human(bytes, human));
}

static double ratio(uint64_t a, uint64_t b)
{
    return b ? (double)a / (double)b : 0;
}

static void allocator(struct info *info)
{
    const struct report_numbers *total = &info->report->total;
    uint64_t resident = (uint64_t)info->usage.resident_bytes;
    uint64_t active = info->used_bytes - total->data_bytes + total->held_bytes;
    info_number(info, "allocator_allocated", info->used_bytes);
    info_number(info, "allocator_active", active);
    info_number(info, "allocator_resident", active);
    info_line(info, "allocator_muzzy:0");
    sized(info, "total_system_memory", (uint64_t)info->node->memory_total);
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
    sized(info, "maxmemory", info->config->maxmemory_bytes);
    struct config_text policy;
    config_get_one(info->config, SLICE("maxmemory-policy"), &policy);
    info_line(info, "maxmemory_policy:%s", policy.ptr);
    config_text_set(&policy, SLICE(""));
    info_line(info, "allocator_frag_ratio:%.2f", ratio(active, info->used_bytes));
    info_line(info, "allocator_frag_bytes:%" PRId64, (int64_t)(active - info->used_bytes));
    info_line(info, "allocator_rss_ratio:%.2f", 1.0);
    info_line(info, "allocator_rss_bytes:0");
    info_line(info, "rss_overhead_ratio:%.2f", ratio(resident, active));
    info_line(info, "rss_overhead_bytes:%" PRId64, (int64_t)(resident - active));
    info_line(info, "mem_fragmentation_ratio:%.2f", ratio(resident, info->used_bytes));
    info_line(info, "mem_fragmentation_bytes:%" PRId64, (int64_t)(resident - info->used_bytes));
}

void info_memory(struct info *info)
{
    const struct report_numbers *total = &info->report->total;
    uint64_t used = info->used_bytes, peak = total->peak_bytes > used ? total->peak_bytes : used;
    uint64_t overhead = used > total->data_bytes ? used - total->data_bytes : 0, dataset = used - overhead;
    sized(info, "used_memory", used);
    sized(info, "used_memory_rss", (uint64_t)info->usage.resident_bytes);
    sized(info, "used_memory_peak", peak);
    info_line(info, "used_memory_peak_perc:%.2f%%", ratio(used, peak) * 100);
    info_number(info, "used_memory_overhead", overhead);
    info_number(info, "used_memory_startup", info->startup_bytes);
    info_number(info, "used_memory_dataset", dataset);
    info_line(info, "used_memory_dataset_perc:%.2f%%", ratio(dataset, used - info->startup_bytes) * 100);
    allocator(info);
    info_line(info, "mem_not_counted_for_evict:0");
    info_line(info, "mem_replication_backlog:0");
    info_line(info, "mem_total_replication_buffers:0");
    info_line(info, "mem_replica_full_sync_buffer:0");
    info_line(info, "mem_clients_slaves:0");
    info_number(info, "mem_clients_normal", total->client_bytes);
    info_line(info, "mem_cluster_links:0");
    info_line(info, "mem_aof_buffer:0");
    info_line(info, "mem_allocator:weft-slab");
    info_line(info, "mem_overhead_db_hashtable_rehashing:0");
    info_line(info, "active_defrag_running:0");
    info_line(info, "lazyfree_pending_objects:0");
    info_line(info, "lazyfreed_objects:0");
}
