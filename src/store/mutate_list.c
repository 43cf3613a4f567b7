/* Mutators of lists. See mutate_list.h. */
#include "store/mutate_list.h"

#include "store/internal.h"

static int fill_of(const struct entry *entry)
{
    return (int)entry->partition->env->config->list_max_listpack_size;
}

void mutate_list_expect(struct entry *entry, struct slice element)
{
    list_encoding_grow(&entry->value, fill_of(entry), element.len, 1);
}

int mutate_list_push(struct entry *entry, enum list_end end, const struct slice *elements, uint32_t n)
{
    bool fresh = entry->item == NULL;
    if (fresh && entry_create_collection(entry, ITEM_LIST, LIST_EMPTY_AREA) != VALUE_OK)
        return VALUE_NO_MEMORY;
    bool is_quicklist = list_is_quicklist(&entry->value);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < n; i++) bytes += elements[i].len;
    list_encoding_grow(&entry->value, fill_of(entry), bytes, n);
    if (list_push(&entry->value, end, elements, n) != VALUE_OK) {
        if (fresh)
            entry_remove(entry);
        else
            list_encoding_restore(&entry->value, is_quicklist);
        return VALUE_NO_MEMORY;
    }
    int64_t index = end == LIST_HEAD ? 0 : -1;
    for (uint32_t i = 0; i < n; i++) {
        struct slice args[2] = {record_int(&index), elements[i]};
        entry_emit(entry, RECORD_LIST_INSERT, args, 2);
    }
    return VALUE_OK;
}

int mutate_list_insert(struct entry *entry, uint32_t index, struct slice element)
{
    mutate_list_expect(entry, element);
    if (list_insert(&entry->value, index, element) != VALUE_OK) return VALUE_NO_MEMORY;
    int64_t at = index;
    struct slice args[2] = {record_int(&at), element};
    entry_emit(entry, RECORD_LIST_INSERT, args, 2);
    return VALUE_OK;
}

int mutate_list_set(struct entry *entry, uint32_t index, struct slice element)
{
    mutate_list_expect(entry, element);
    if (list_set(&entry->value, index, element) != VALUE_OK) return VALUE_NO_MEMORY;
    list_encoding_shrink(&entry->value, fill_of(entry));
    int64_t at = index;
    struct slice args[2] = {record_int(&at), element};
    entry_emit(entry, RECORD_LIST_SET, args, 2);
    return VALUE_OK;
}

void mutate_list_remove(struct entry *entry, uint32_t index, uint32_t n)
{
    if (n == 0) return;
    list_remove(&entry->value, index, n);
    list_encoding_shrink(&entry->value, fill_of(entry));
    int64_t at = index, count = n;
    struct slice args[2] = {record_int(&at), record_int(&count)};
    entry_emit(entry, RECORD_LIST_REMOVE, args, 2);
    entry_close(entry);
}
