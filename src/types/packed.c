/* The packed blob: see packed.h for layout, cost and the rules of use. */
#include "types/packed.h"

uint32_t packed_skip(const struct value *value, uint32_t at, uint32_t entries)
{
    struct slice entry;
    while (entries-- > 0 && packed_next(value, &at, &entry)) continue;
    return at;
}

uint32_t packed_count(const struct value *value, uint32_t at)
{
    struct slice entry;
    uint32_t count = 0;
    while (packed_next(value, &at, &entry)) count++;
    return count;
}

uint32_t packed_find(const struct value *value, uint32_t start, uint32_t stride, struct slice needle)
{
    const uint8_t *bytes = value->bytes;
    uint32_t at = start, end = value->len;
    while (at < end) {
        uint32_t len;
        const uint8_t *entry = varint_read32(bytes + at, &len);
        if (len == needle.len && memcmp(entry, needle.ptr, len) == 0) return at;
        at = (uint32_t)(entry - bytes) + len;
        for (uint32_t i = 1; i < stride; i++) {
            entry = varint_read32(bytes + at, &len);
            at = (uint32_t)(entry - bytes) + len;
        }
    }
    DCHECK(at == end);
    return PACKED_NONE;
}

/* Replaces [at, at + old) by `new` bytes of undefined content. */
static bool splice(struct value *value, uint32_t at, uint32_t old, uint32_t new)
{
    uint32_t len = value->len, tail = len - at - old;
    DCHECK(at + old <= len);
    if (new > old) {
        if (new - old > UINT32_MAX - len || !value->resize(value, len - old + new)) return false;
        memmove(value->bytes + at + new, value->bytes + at + old, tail);
    } else if (new < old) {
        memmove(value->bytes + at + new, value->bytes + at + old, tail);
        bool shrunk = value->resize(value, len - old + new);
        CHECK(shrunk);
    }
    return true;
}

static uint8_t *entry_write(uint8_t *at, struct slice entry)
{
    at = varint_put(at, entry.len);
    if (entry.len) memcpy(at, entry.ptr, entry.len);
    return at + entry.len;
}

bool packed_insert(struct value *value, uint32_t at, const struct slice *entries, uint32_t count)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < count; i++) size += varint_size(entries[i].len) + entries[i].len;
    if (size > UINT32_MAX || !splice(value, at, 0, (uint32_t)size)) return false;
    uint8_t *to = value->bytes + at;
    for (uint32_t i = 0; i < count; i++) to = entry_write(to, entries[i]);
    return true;
}

bool packed_replace(struct value *value, uint32_t at, struct slice entry)
{
    struct slice old;
    uint32_t old_size = packed_read(value->bytes, at, &old) - at;
    if (entry.len > UINT32_MAX - 8 || !splice(value, at, old_size, packed_entry_size(entry.len)))
        return false;
    entry_write(value->bytes + at, entry);
    return true;
}

void packed_delete(struct value *value, uint32_t at, uint32_t count)
{
    packed_delete_range(value, at, packed_skip(value, at, count));
}

void packed_delete_range(struct value *value, uint32_t at, uint32_t end)
{
    bool done = splice(value, at, end - at, 0);
    CHECK(done);
}
