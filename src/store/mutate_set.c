/* Mutators of sets. See mutate_set.h. */
#include "store/mutate_set.h"

#include "base/mutant.h"
#include "store/build.h"
#include "store/internal.h"

struct set_config mutate_set_config(const struct store_env *env)
{
    return (struct set_config){
        .intset_entries_max = (uint64_t)env->config->set_max_intset_entries,
        .listpack_entries_max = (uint64_t)env->config->set_max_listpack_entries,
        .listpack_value_max = (uint64_t)env->config->set_max_listpack_value_bytes,
        .hash_seed = env->hash_seed,
    };
}

int mutate_set_prepare(struct entry *entry, struct slice first, uint64_t hint)
{
    struct set_config config = mutate_set_config(entry->partition->env);
    if (!entry->item && entry_create_collection(entry, ITEM_SET, SET_EMPTY_AREA) != VALUE_OK)
        return VALUE_NO_MEMORY;
    set_prepare(&entry->value, &config, first, hint);
    return VALUE_OK;
}

int mutate_set_add(struct entry *entry, struct slice member, bool *added)
{
    struct set_config config = mutate_set_config(entry->partition->env);
    int done = set_add(&entry->value, &config, member, added);
    if (done != VALUE_OK && set_count(&entry->value) == 0) entry_remove(entry); /* it was only prepared */
    if (*added || (MUTANT(sadd_touches_present) && done == VALUE_OK))
        entry_emit(entry, RECORD_SET_ADD, &member, 1);
    return done;
}

bool mutate_set_remove(struct entry *entry, struct slice member)
{
    if (!set_remove(&entry->value, member)) return false;
    entry_emit(entry, RECORD_SET_REMOVE, &member, 1);
    entry_close(entry);
    return true;
}

void mutate_set_pop(struct entry *entry, struct slice member)
{
    entry_emit(entry, RECORD_SET_REMOVE, &member, 1); /* before the removal: the slice may be the set's own */
    CHECK(set_remove(&entry->value, member));
    entry_close(entry);
}

static bool is_kept(const uint8_t *keep, uint64_t at)
{
    return keep[at / 8] >> at % 8 & 1;
}

/* The kept members in a set of their own. False: no memory. */
static bool build_kept(struct build *build, const struct value *set, const struct set_config *config,
                       const uint8_t *keep)
{
    struct set_iter iter;
    struct slice member;
    bool added, intset = strcmp(set_encoding(set), "intset") == 0;
    set_start(&build->value, intset);
    set_iter_begin(&iter, set);
    for (uint64_t at = 0; set_iter_next(&iter, &member); at++)
        if (is_kept(keep, at) && set_add(&build->value, config, member, &added) != VALUE_OK) return false;
    return true;
}

int mutate_set_keep(struct entry *entry, const uint8_t *keep)
{
    struct set_config config = mutate_set_config(entry->partition->env);
    struct build build;
    struct set_iter iter;
    struct slice member;
    build_begin(&build, entry->partition, ITEM_SET, SET_EMPTY_AREA, set_free);
    bool built = build_kept(&build, &entry->value, &config, keep);
    if (built && build.value.len > entry->value.len) {
        CHECK(set_is_table(&entry->value)); /* whose root stands in front of the area, whatever its length */
        built = entry->value.resize(&entry->value, build.value.len);
    }
    if (!built) {
        build_drop(&build);
        return VALUE_NO_MEMORY;
    }
    set_iter_begin(&iter, &entry->value);
    for (uint64_t at = 0; set_iter_next(&iter, &member); at++)
        if (!is_kept(keep, at)) entry_emit(entry, RECORD_SET_REMOVE, &member, 1);
    set_free(&entry->value);
    CHECK(entry->value.resize(&entry->value, build.value.len));
    memcpy(entry->value.bytes, build.value.bytes, build.value.len);
    return VALUE_OK;
}
