/* info: what the files of INFO share. Nobody else includes it. */
#ifndef WEFT_TELEMETRY_INFO_H
#define WEFT_TELEMETRY_INFO_H

#include "shard/node.h"
#include "shard/report.h"

/* One INFO under way. */
struct info {
    struct reply *out; /* plain text, not a reply */
    const struct command_context *ctx;
    const struct config *config;
    const struct node *node;
    const struct report *report;
    struct io_usage usage;
    int64_t now_us;
};

typedef void info_section(struct info *info);

void info_line(struct info *info, const char *format, ...)
    __attribute__((format(printf, 2, 3))); /* + CR LF */
void info_number(struct info *info, const char *field, uint64_t value);
#define INFO_HUMAN_LEN 32
/* "1.50K", as Redis writes sizes for humans. */
const char *info_human(uint64_t bytes, char text[INFO_HUMAN_LEN]);

/* info_memory.c */
info_section info_memory;
/* info_stats.c */
info_section info_stats, info_commandstats, info_errorstats, info_latencystats;
/* info_weft.c */
info_section info_weft;

#endif
