/* list_chunk: entries and chunks of a list (layout and contract: list_chunk.h). Tests: test/unit/list_test.c.
 */
#include "types/list_chunk.h"
#include "base/number.h"

void entry_write(uint8_t *at, struct slice element)
{
    uint8_t *out = varint_put(at, element.len);
    if (element.len > 0) memcpy(out, element.ptr, element.len);
    out += element.len;
    size_t front = (size_t)(out - at), n = varint_size(front);
    for (size_t i = n; i-- > 0; front >>= 7) out[i] = (uint8_t)((front & 0x7f) | (front > 0x7f ? 0x80 : 0));
}

size_t listpack_size(struct slice element)
{
    int64_t n;
    size_t len = element.len, body;
    if (len <= NUMBER_I64_MAX && len > 0 && number_parse_i64(element.ptr, len, &n)) {
        if (n >= 0 && n <= 127) return 2;
        if (n >= -4096 && n <= 4095) return 3;
        if (n >= INT16_MIN && n <= INT16_MAX) return 4;
        if (n >= -(1 << 23) && n < 1 << 23) return 5;
        return n >= INT32_MIN && n <= INT32_MAX ? 6 : 10;
    }
    body = len + (len < 64 ? 1 : len < 4096 ? 2 : 5);
    if (body <= 127) return body + 1;
    if (body < 16383) return body + 2;
    if (body < 2097151) return body + 3;
    return body + (body < 268435455 ? 4 : 5);
}

/* Entries of short elements, the usual ones, have one byte before and one behind them. */
const uint8_t *entry_skip(const uint8_t *at, uint32_t n)
{
    struct slice element;
    for (; n > 0; n--) at = LIKELY(*at < 127) ? at + *at + 2 : entry_read(at, &element);
    return at;
}

const uint8_t *entry_skip_back(const uint8_t *end, uint32_t n)
{
    for (; n > 0; n--) end = LIKELY(end[-1] < 128) ? end - end[-1] - 1 : entry_before(end);
    return end;
}

static uint32_t cap_round(uint32_t cap)
{
    uint32_t rounded = (uint32_t)slab_rounded(cap);
    return rounded < CHUNK_MAX ? rounded : CHUNK_MAX;
}

slab_handle chunk_new(struct slab *slab, uint32_t cap, bool at_back)
{
    CHECK(cap >= CHUNK_HEAD && cap <= CHUNK_MAX);
    cap = cap_round(cap);
    slab_handle handle = slab_alloc(slab, cap);
    if (handle == 0) return 0;
    uint16_t place = (uint16_t)(at_back ? cap : CHUNK_HEAD);
    *chunk_at(slab, handle) = (struct chunk){.cap = (uint16_t)cap, .begin = place, .end = place};
    return handle;
}

slab_handle chunk_new_big(struct slab *slab, struct slice element)
{
    CHECK(element.len <= UINT32_MAX - CHUNK_HEAD);
    slab_handle handle = slab_alloc(slab, CHUNK_HEAD + element.len);
    if (handle == 0) return 0;
    struct chunk *chunk = chunk_at(slab, handle);
    *chunk = (struct chunk){
        .count = 1, .cap = 0, .len = (uint32_t)element.len, .lp = (uint32_t)listpack_size(element)};
    memcpy(chunk->data, element.ptr, element.len);
    return handle;
}

size_t chunk_size(const struct chunk *chunk)
{
    return chunk_is_big(chunk) ? (size_t)CHUNK_HEAD + chunk->len : chunk->cap;
}

void chunk_free(struct slab *slab, slab_handle handle)
{
    slab_free(slab, handle, chunk_size(chunk_at(slab, handle)));
}

uint32_t chunk_offset(struct chunk *chunk, uint32_t index)
{
    DCHECK(!chunk_is_big(chunk) && index <= chunk->count);
    const uint8_t *bytes = chunk_bytes(chunk);
    const uint8_t *at = index <= chunk->count / 2u
                            ? entry_skip(bytes + chunk->begin, index)
                            : entry_skip_back(bytes + chunk->end, chunk->count - index);
    return (uint32_t)(at - bytes);
}

struct slice chunk_get(struct chunk *chunk, uint32_t index)
{
    DCHECK(index < chunk->count);
    if (chunk_is_big(chunk)) return (struct slice){(const char *)chunk->data, chunk->len};
    struct slice element;
    entry_read(chunk_bytes(chunk) + chunk_offset(chunk, index), &element);
    return element;
}

/* Opens a gap of `need` bytes in front of offset `at`; returns where it begins. Moves the shorter part if
 * there is room on its side, the other one if only that side has room, and both if neither has enough. */
static uint32_t open_gap(struct chunk *chunk, uint32_t at, uint32_t need)
{
    uint8_t *bytes = chunk_bytes(chunk);
    uint32_t before = at - chunk->begin, after = chunk->end - at;
    uint32_t front_room = chunk->begin - CHUNK_HEAD, back_room = (uint32_t)chunk->cap - chunk->end;
    DCHECK(front_room + back_room >= need);
    uint32_t left = need; /* how far the front part moves */
    if (back_room >= need && (after <= before || front_room < need)) {
        left = 0;
    } else if (front_room < need) {
        left = front_room;
    }
    memmove(bytes + at + (need - left), bytes + at, after);
    memmove(bytes + chunk->begin - left, bytes + chunk->begin, before);
    chunk->begin = (uint16_t)(chunk->begin - left);
    chunk->end = (uint16_t)(chunk->end + need - left);
    return at - left;
}

void chunk_put(struct chunk *chunk, uint32_t index, struct slice element)
{
    uint32_t need = (uint32_t)entry_size(element.len);
    CHECK(!chunk_is_big(chunk) && chunk_spare(chunk) >= need && chunk->count < UINT16_MAX);
    uint32_t at = open_gap(chunk, chunk_offset(chunk, index), need);
    entry_write(chunk_bytes(chunk) + at, element);
    chunk->count++;
    chunk->lp += (uint32_t)listpack_size(element);
}

static uint32_t listpack_sum(const uint8_t *at, uint32_t n)
{
    size_t sum = 0;
    struct slice element;
    for (; n > 0; n--) {
        at = entry_read(at, &element);
        sum += listpack_size(element);
    }
    return (uint32_t)sum;
}

void chunk_take(struct chunk *chunk, uint32_t index, uint32_t n)
{
    DCHECK(!chunk_is_big(chunk) && index + n <= chunk->count);
    uint8_t *bytes = chunk_bytes(chunk);
    uint32_t from, to;
    if (index + n == chunk->count) { /* LTRIM and pops: no walk over what stays */
        to = chunk->end;
        from = n <= chunk->count / 2u ? (uint32_t)(entry_skip_back(bytes + to, n) - bytes)
                                      : chunk_offset(chunk, index);
    } else {
        from = chunk_offset(chunk, index);
        to = (uint32_t)(entry_skip(bytes + from, n) - bytes);
    }
    chunk->lp -= listpack_sum(bytes + from, n);
    uint32_t before = from - chunk->begin, after = chunk->end - to;
    if (before <= after) {
        memmove(bytes + to - before, bytes + chunk->begin, before);
        chunk->begin = (uint16_t)(to - before);
    } else {
        memmove(bytes + from, bytes + to, after);
        chunk->end = (uint16_t)(from + after);
    }
    chunk->count = (uint16_t)(chunk->count - n);
}

void chunk_append(struct chunk *chunk, struct chunk *source, uint32_t from)
{
    uint32_t offset = chunk_offset(source, from), need = source->end - offset;
    if (need == 0) return;
    uint32_t at = open_gap(chunk, chunk->end, need);
    memcpy(chunk_bytes(chunk) + at, chunk_bytes(source) + offset, need);
    chunk->count = (uint16_t)(chunk->count + source->count - from);
    chunk->lp += from == 0 ? source->lp : listpack_sum(chunk_bytes(source) + offset, source->count - from);
}

void chunk_adopt(struct chunk *chunk, const uint8_t *entries, uint32_t len, uint32_t count)
{
    DCHECK(chunk->count == 0 && chunk_spare(chunk) >= len);
    uint32_t at = open_gap(chunk, chunk->end, len);
    memcpy(chunk_bytes(chunk) + at, entries, len);
    chunk->count = (uint16_t)count;
    chunk->lp = listpack_sum(entries, count);
}

slab_handle chunk_regrow(struct slab *slab, slab_handle handle, uint32_t cap, bool at_back)
{
    slab_handle fresh = chunk_new(slab, cap, at_back);
    if (fresh == 0) return 0;
    chunk_append(chunk_at(slab, fresh), chunk_at(slab, handle), 0);
    chunk_free(slab, handle);
    return fresh;
}
