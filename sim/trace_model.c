/* See trace_model.h. */
#include "sim/trace_model.h"
#include "command/table.h"
#include "sim/model_internal.h"

#define KEYS_MAX 32 /* of one command that are shown */

/* What a person sees of it, at most `size` bytes; the rest is cut. */
static size_t print(const struct model_type_ops *ops, const struct model_object *object, char *text,
                    size_t size)
{
    FILE *out = fmemopen(text, size, "w");
    if (!out) return 0;
    ops->print(object, out);
    fflush(out); /* fails when it is more than there is room for: then the beginning is there */
    long len = ftell(out);
    fclose(out);
    return len < 0 ? 0 : (size_t)len < size ? (size_t)len : size;
}

void trace_model_key(struct trace *trace, int64_t now_us, int node, int shard, const struct model *model,
                     int db, struct slice key, int64_t now_ms, const char *cause)
{
    const struct model_slot *slot =
        db >= 0 && db < MODEL_DATABASES ? model_slot_find(&model->dbs[db], key) : NULL;
    if (!slot || !slot->object || deadline_is_over(slot->deadline_ms, now_ms)) {
        trace_key(trace, now_us, node, shard, db, key, "none", SLICE(""), -1, cause);
        return;
    }
    const struct model_type_ops *ops = model_type_ops(slot->object->type);
    char text[2048];
    struct slice value = {text, 0};
    if (slot->object->type == MODEL_STRING)
        value = as_string(slot->object)->bytes;
    else if (ops)
        value.len = print(ops, slot->object, text, sizeof text);
    int64_t ttl_ms = slot->deadline_ms < 0 ? -1 : slot->deadline_ms - now_ms;
    trace_key(trace, now_us, node, shard, db, key, ops ? ops->name : "string", value, ttl_ms, cause);
}

void trace_model_keys(struct trace *trace, int64_t now_us, int node, int shard, const struct model *model,
                      int db, const struct slice *argv, size_t argc, int64_t now_ms)
{
    const struct command *command = argc ? command_lookup(argv[0].ptr, argv[0].len) : NULL;
    struct command_keys keys;
    if (command && command->subcommand_count && argc > 1)
        command = command_lookup_sub(command, argv[1].ptr, argv[1].len);
    if (!command || !command_keys(command, argv, argc, &keys)) return;
    size_t shown = 0;
    for (uint32_t r = 0; r < keys.range_count; r++) {
        for (uint32_t i = 0; i < keys.range[r].count && shown < KEYS_MAX; i++, shown++) {
            struct slice key = argv[keys.range[r].first + i * keys.range[r].step];
            trace_model_key(trace, now_us, node, shard, model, db, key, now_ms, "");
        }
    }
}

void trace_model_lost(struct trace *trace, int64_t now_us, int node, const struct model *model,
                      const char *cause)
{
    for (int db = 0; db < MODEL_DATABASES; db++) {
        for (size_t i = 0; i < model->dbs[db].count; i++) {
            const struct model_slot *slot = model->dbs[db].slots[i];
            if (slot->object) trace_key(trace, now_us, node, -1, db, slot->key, "none", SLICE(""), -1, cause);
        }
    }
}
