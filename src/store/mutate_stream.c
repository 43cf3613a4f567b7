/* Mutators of streams. See mutate_stream.h. */
#include "store/mutate_stream.h"

#include "base/mutant.h"
#include "store/internal.h"

static struct slice record_id(const struct stream_id *id)
{
    return (struct slice){(const char *)id, sizeof *id};
}

static bool prepare(struct entry *entry)
{
    return entry->item || entry_create_collection(entry, ITEM_STREAM, STREAM_EMPTY_AREA) == VALUE_OK;
}

static int appended(struct entry *entry, int result, bool fresh, const struct stream_id *id,
                    struct slice fields)
{
    if (result != VALUE_OK) {
        if (fresh) entry_remove(entry);
        return result;
    }
    struct slice args[2] = {record_id(id), fields};
    entry_emit(entry, RECORD_STREAM_APPEND, args, 2);
    return VALUE_OK;
}

int mutate_stream_append(struct entry *entry, struct stream_id id, const struct slice *strings, uint32_t n)
{
    bool fresh = entry->item == NULL;
    struct slice stored;
    if (!prepare(entry)) return VALUE_NO_MEMORY;
    int result = stream_append(&entry->value, id, strings, n, &stored);
    return appended(entry, result, fresh, &id, stored);
}

int mutate_stream_append_packed(struct entry *entry, struct stream_id id, struct slice fields)
{
    bool fresh = entry->item == NULL;
    if (!prepare(entry)) return VALUE_NO_MEMORY;
    return appended(entry, stream_append_packed(&entry->value, id, fields), fresh, &id, fields);
}

static void emit_remove(struct entry *entry, struct stream_id id, bool deleted)
{
    int64_t why = deleted;
    struct slice args[2] = {record_id(&id), record_int(&why)};
    entry_emit(entry, RECORD_STREAM_REMOVE, args, 2);
}

bool mutate_stream_remove(struct entry *entry, struct stream_id id, bool deleted)
{
    if (!stream_remove(&entry->value, id, deleted)) return false;
    emit_remove(entry, id, deleted);
    return true;
}

/* Whether all of the `n` first entries, the last of them `last`, are to go. */
static bool may_go(const struct entry *entry, const struct stream_trim *trim, uint64_t n,
                   struct stream_id last)
{
    if (trim->strategy == STREAM_TRIM_MINID) return stream_id_compare(last, trim->minid) < 0;
    uint64_t count = stream_count(&entry->value);
    return count > trim->maxlen && count - n >= trim->maxlen;
}

static struct stream_id first_id(const struct entry *entry)
{
    struct stream_iter iter;
    struct stream_entry first;
    stream_iter_seek(&entry->value, (struct stream_id){0}, false, &iter);
    CHECK(stream_iter_next(&iter, &first));
    return first.id;
}

uint64_t mutate_stream_trim(struct entry *entry, const struct stream_trim *trim)
{
    uint64_t taken = 0;
    if (trim->strategy == STREAM_TRIM_NONE) return 0;
    while (stream_count(&entry->value) > 0) {
        uint32_t n = 1;
        struct stream_id last = first_id(entry);
        if (trim->whole_chunks) stream_first_chunk(&entry->value, &n, &last);
        if (!may_go(entry, trim, n, last) ||
            (trim->limit && taken + !MUTANT(xtrim_over_limit) * n > trim->limit))
            break;
        for (uint32_t i = 0; i < n; i++) CHECK(mutate_stream_remove(entry, first_id(entry), false));
        taken += n;
    }
    return taken;
}

void mutate_stream_emit_whole(struct entry *entry)
{
    static const char no_strings[1] = {0};
    struct stream_iter iter;
    struct stream_entry each = {0};
    int64_t reason = RECORD_OVERWRITTEN, deadline_ms = item_deadline(entry->item);
    struct slice args[2] = {record_int(&reason)};
    entry_emit(entry, RECORD_KEY_DELETE, args, 1);
    for (stream_iter_seek(&entry->value, each.id, false, &iter); stream_iter_next(&iter, &each);) {
        args[0] = record_id(&each.id);
        args[1] = each.fields;
        entry_emit(entry, RECORD_STREAM_APPEND, args, 2);
    }
    struct stream_id last = stream_last_id(&entry->value);
    if (stream_id_compare(each.id, last) < 0) { /* the last entry has gone */
        args[0] = record_id(&last);
        args[1] = (struct slice){no_strings, 1};
        entry_emit(entry, RECORD_STREAM_APPEND, args, 2);
        emit_remove(entry, last, false);
    }
    args[0] = record_int(&deadline_ms);
    if (deadline_ms != ITEM_NO_DEADLINE) entry_emit(entry, RECORD_KEY_EXPIRE, args, 1);
}
