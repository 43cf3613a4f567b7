/* Mutators of sorted sets. See mutate_zset.h. */
#include "store/mutate_zset.h"

#include "store/internal.h"

struct zset_limits mutate_zset_limits(const struct store_env *env)
{
    return (struct zset_limits){.listpack_entries = (uint64_t)env->config->zset_max_listpack_entries,
                                .listpack_value = (uint64_t)env->config->zset_max_listpack_value_bytes,
                                .hash_seed = env->hash_seed};
}

int mutate_zset_prepare(struct entry *entry, uint64_t count, uint64_t member_len)
{
    struct zset_limits limits = mutate_zset_limits(entry->partition->env);
    bool fresh = entry->item == NULL;
    if (fresh && entry_create_collection(entry, ITEM_ZSET, ZSET_EMPTY_AREA) != VALUE_OK)
        return VALUE_NO_MEMORY;
    zset_encoding_hint(&entry->value, &limits, count, fresh ? member_len : 0);
    return VALUE_OK;
}

static struct slice record_double(const double *value)
{
    return (struct slice){(const char *)value, sizeof *value};
}

int mutate_zset_change(struct entry *entry, struct slice member, zset_decide *decide, void *context,
                       const double *delta, struct zset_outcome *outcome)
{
    struct zset_limits limits = mutate_zset_limits(entry->partition->env);
    if (zset_change(&entry->value, &limits, member, decide, context, outcome) != VALUE_OK) {
        if (zset_count(&entry->value) == 0) entry_remove(entry); /* it was only prepared */
        return VALUE_NO_MEMORY;
    }
    if (!outcome->changed) return VALUE_OK;
    struct slice score = record_double(&outcome->score);
    if (delta != NULL) {
        struct slice args[3] = {member, record_double(delta), score};
        entry_emit(entry, RECORD_ZSET_ADD, args, 3);
    } else {
        struct slice args[2] = {member, score};
        entry_emit(entry, RECORD_ZSET_SET, args, 2);
    }
    return VALUE_OK;
}

bool mutate_zset_remove(struct entry *entry, struct slice member)
{
    double score;
    if (!zset_remove(&entry->value, member, &score)) return false;
    struct slice args[1] = {member};
    entry_emit(entry, RECORD_ZSET_REMOVE, args, 1);
    entry_close(entry);
    return true;
}

void mutate_zset_remove_span(struct entry *entry, uint32_t from, uint32_t to)
{
    struct zset_iter iter;
    struct slice args[1];
    double score;
    zset_iter_seek(&entry->value, from, &iter);
    for (uint32_t rank = from; rank < to; rank++) {
        CHECK(zset_iter_next(&iter, &args[0], &score));
        entry_emit(entry, RECORD_ZSET_REMOVE, args, 1);
    }
    zset_remove_span(&entry->value, from, to);
    entry_close(entry);
}
