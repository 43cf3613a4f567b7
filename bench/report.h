/* What a run found, as text for people or as one JSON object. */
#ifndef WEFT_BENCH_REPORT_H
#define WEFT_BENCH_REPORT_H

#include "client.h"
#include "options.h"

/* `preload` is NULL if there was none, `run` if there was nothing but that. */
void report_print(const struct options *o, const struct result *preload, const struct result *run);

#endif
