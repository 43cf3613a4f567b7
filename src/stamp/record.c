/* Encoder and decoder of change records; the layout is drawn in record.h. */
#include "stamp/record.h"

#include "base/check.h"
#include "base/varint.h"

static uint8_t *put_slice(uint8_t *out, struct slice s)
{
    out = varint_put(out, s.len);
    if (s.len) memcpy(out, s.ptr, s.len);
    return out + s.len;
}

size_t record_size_max(const struct record *record)
{
    size_t size = VARINT_MAX + 6 + VARINT_MAX + 8 + VARINT_MAX + record->key.len + 1;
    for (int i = 0; i < record->args_count; i++) size += VARINT_MAX + record->args[i].len;
    return size;
}

static size_t body_size(const struct record *record)
{
    size_t size = 6 + varint_size(record->sequence) + (record->flags & RECORD_STAMPED ? 8 : 0) +
                  varint_size(record->key.len) + record->key.len + 1;
    for (int i = 0; i < record->args_count; i++)
        size += varint_size(record->args[i].len) + record->args[i].len;
    return size;
}

size_t record_encode(const struct record *record, uint8_t *out)
{
    CHECK(record->args_count <= RECORD_ARGS_MAX && record->op > 0 && record->op < RECORD_OP_COUNT);
    uint8_t *p = varint_put(out, body_size(record));
    *p++ = RECORD_VERSION;
    *p++ = record->op;
    *p++ = record->flags;
    *p++ = record->keyspace;
    memcpy(p, &record->partition, 2);
    p = varint_put(p + 2, record->sequence);
    if (record->flags & RECORD_STAMPED) {
        memcpy(p, &record->stamp, 8);
        p += 8;
    }
    p = put_slice(p, record->key);
    *p++ = record->args_count;
    for (int i = 0; i < record->args_count; i++) p = put_slice(p, record->args[i]);
    return (size_t)(p - out);
}

void record_clear_more(uint8_t *encoded)
{
    uint64_t body;
    int used = varint_get(encoded, VARINT_MAX, &body);
    CHECK(used > 0 && encoded[used] == RECORD_VERSION);
    encoded[used + 2] &= (uint8_t)~RECORD_MORE;
}

static bool get_slice(const uint8_t **p, const uint8_t *end, struct slice *out)
{
    uint64_t len;
    int used = varint_get(*p, (size_t)(end - *p), &len);
    if (used <= 0 || len > (uint64_t)(end - *p - used)) return false;
    *out = (struct slice){(const char *)*p + used, len};
    *p += (size_t)used + len;
    return true;
}

int64_t record_decode(const uint8_t *data, size_t len, struct record *out)
{
    uint64_t body;
    int used = varint_get(data, len, &body);
    if (used <= 0) return used;
    if (body > len - (size_t)used) return 0;
    const uint8_t *p = data + used, *end = p + body;
    if (body < 6 || p[0] != RECORD_VERSION || p[1] == 0 || p[1] >= RECORD_OP_COUNT) return -1;
    *out = (struct record){.op = p[1], .flags = p[2], .keyspace = p[3]};
    memcpy(&out->partition, p + 4, 2);
    p += 6;
    int n = varint_get(p, (size_t)(end - p), &out->sequence);
    if (n <= 0) return -1;
    p += n;
    if (out->flags & RECORD_STAMPED) {
        if (end - p < 8) return -1;
        memcpy(&out->stamp, p, 8);
        p += 8;
    }
    if (!get_slice(&p, end, &out->key) || p == end) return -1;
    out->args_count = *p++;
    if (out->args_count > RECORD_ARGS_MAX) return -1;
    for (int i = 0; i < out->args_count; i++)
        if (!get_slice(&p, end, &out->args[i])) return -1;
    return p == end ? (int64_t)((size_t)used + body) : -1;
}
