/* trace_model: keys' values for a trace, as the naive model has them. */
#ifndef WEFT_SIM_TRACE_MODEL_H
#define WEFT_SIM_TRACE_MODEL_H

#include "sim/model.h"
#include "sim/trace.h"

/* After trace_applied() and after the model has followed the command: every key that the command line names,
 * as it is now. Use: TRACE(trace, model_keys, ...). Changes nothing in the model. */
void trace_model_keys(struct trace *trace, int64_t now_us, int node, int shard, const struct model *model,
                      int db, const struct slice *argv, size_t argc, int64_t now_ms);
/* One key. `cause`: why it changed without a command ("expired", "evicted"), or "". */
void trace_model_key(struct trace *trace, int64_t now_us, int node, int shard, const struct model *model,
                     int db, struct slice key, int64_t now_ms, const char *cause);
/* Before model_reset(): all keys are about to be gone. */
void trace_model_lost(struct trace *trace, int64_t now_us, int node, const struct model *model,
                      const char *cause);

#endif
