/* Reading serialised values (contract in rdb.h): the stream of lengths and strings, and one reader for each
 * family of types. Blobs are walked by rdb_blob.c. */
#include "store/rdb.h"

#include "base/check.h"
#include "base/crc.h"
#include "base/lzf.h"
#include "base/number.h"
#include "store/rdb_blob.h"

#include <math.h>
#include <stdlib.h>

#define DEADLINE_MAX (((int64_t)1 << 46) - 1) /* Redis's bound for the deadline of a field */

/* Room for a string that is not in the payload as such. A pair needs two at once. */
struct scratch {
    uint8_t *bytes;
    size_t capacity;
    char integer[NUMBER_I64_MAX];
};

struct reader {
    const uint8_t *at, *end;
    const struct rdb_visitor *visitor;
    bool whole; /* the value must end with the bytes */
    struct scratch first, second;
};

/* Ends the function with a result that is not RDB_OK. */
#define TRY(call)                                                                                            \
    do {                                                                                                     \
        int try_result = (call);                                                                             \
        if (try_result != RDB_OK) return try_result;                                                         \
    } while (0)

static size_t bytes_left(const struct reader *r)
{
    return (size_t)(r->end - r->at);
}

static int read_little(struct reader *r, uint32_t bytes, uint64_t *out)
{
    if (bytes_left(r) < bytes) return RDB_CORRUPT;
    *out = 0;
    for (uint32_t i = 0; i < bytes; i++) *out |= (uint64_t)*r->at++ << 8 * i;
    return RDB_OK;
}

static int read_big(struct reader *r, uint32_t bytes, uint64_t *out)
{
    if (bytes_left(r) < bytes) return RDB_CORRUPT;
    *out = 0;
    for (uint32_t i = 0; i < bytes; i++) *out = *out << 8 | *r->at++;
    return RDB_OK;
}

/* A length, or with *special the number of a special encoding. */
static int read_len_or_special(struct reader *r, uint64_t *len, bool *special)
{
    uint64_t first, low;
    TRY(read_little(r, 1, &first));
    *special = false;
    switch (first >> 6) {
    case 0: *len = first & 0x3f; return RDB_OK;
    case 1:
        TRY(read_little(r, 1, &low));
        *len = (first & 0x3f) << 8 | low;
        return RDB_OK;
    case 2:
        if (first != 0x80 && first != 0x81) return RDB_CORRUPT;
        return read_big(r, first == 0x80 ? 4 : 8, len);
    default:
        *special = true;
        *len = first & 0x3f;
        return RDB_OK;
    }
}

static int read_len(struct reader *r, uint64_t *len)
{
    bool special;
    TRY(read_len_or_special(r, len, &special));
    return special ? RDB_CORRUPT : RDB_OK;
}

static int read_compressed(struct reader *r, struct scratch *scratch, struct slice *out)
{
    uint64_t packed, len;
    TRY(read_len(r, &packed));
    TRY(read_len(r, &len));
    if (packed > bytes_left(r) || len > RDB_STRING_MAX) return RDB_CORRUPT;
    /* The claim is checked before memory is spent on it. */
    if (lzf_decompressed_len(r->at, packed) != len) return RDB_CORRUPT;
    if (scratch->capacity < len) {
        free(scratch->bytes);
        scratch->capacity = 0;
        scratch->bytes = malloc(len);
        if (scratch->bytes == NULL) return RDB_NO_MEMORY;
        scratch->capacity = len;
    }
    if (len && !lzf_decompress(r->at, packed, scratch->bytes, len)) return RDB_CORRUPT;
    r->at += packed;
    *out = (struct slice){len ? (const char *)scratch->bytes : "", len};
    return RDB_OK;
}

static int read_string(struct reader *r, struct scratch *scratch, struct slice *out)
{
    uint64_t len, raw;
    bool special;
    TRY(read_len_or_special(r, &len, &special));
    if (!special) {
        if (len > bytes_left(r)) return RDB_CORRUPT;
        *out = (struct slice){(const char *)r->at, len};
        r->at += len;
        return RDB_OK;
    }
    if (len == 3) return read_compressed(r, scratch, out);
    if (len > 2) return RDB_CORRUPT;
    TRY(read_little(r, 1u << len, &raw));
    int64_t value = len == 0 ? (int8_t)raw : len == 1 ? (int16_t)raw : (int32_t)raw;
    *out = (struct slice){scratch->integer, number_format_i64(scratch->integer, value)};
    return RDB_OK;
}

static int read_double(struct reader *r, double *out)
{
    uint64_t bits;
    TRY(read_little(r, 8, &bits));
    memcpy(out, &bits, sizeof *out);
    return isnan(*out) ? RDB_CORRUPT : RDB_OK;
}

/* A score as text behind its length; 254 and 255 are the infinities, 253 is NaN. */
static int read_text_double(struct reader *r, double *out)
{
    uint64_t len;
    TRY(read_little(r, 1, &len));
    if (len == 253) return RDB_CORRUPT;
    if (len >= 254) {
        *out = len == 254 ? (double)INFINITY : -(double)INFINITY;
        return RDB_OK;
    }
    if (len > bytes_left(r) || !number_parse_double((const char *)r->at, len, out)) return RDB_CORRUPT;
    r->at += len;
    return RDB_OK;
}

static int begin(struct reader *r, enum rdb_kind kind, uint64_t count)
{
    return r->visitor->begin(r->visitor->context, kind, count);
}

static int give_element(struct reader *r, struct slice element)
{
    return r->visitor->element(r->visitor->context, element);
}

static int give_field(struct reader *r, struct slice field, struct slice value, int64_t deadline_ms)
{
    return r->visitor->field(r->visitor->context, field, value, deadline_ms);
}

/* The count of a collection whose elements take at least `least` bytes each: never zero, never more than fit.
 */
static int read_count(struct reader *r, uint64_t least, uint64_t *count)
{
    TRY(read_len(r, count));
    return *count == 0 || *count > bytes_left(r) / least ? RDB_CORRUPT : RDB_OK;
}

/* ---- plain types ---- */

static int read_elements(struct reader *r, enum rdb_kind kind)
{
    uint64_t count;
    struct slice element;
    TRY(read_count(r, 1, &count));
    TRY(begin(r, kind, count));
    while (count--) {
        TRY(read_string(r, &r->first, &element));
        TRY(give_element(r, element));
    }
    return RDB_OK;
}

static int read_members(struct reader *r, bool binary)
{
    uint64_t count;
    struct slice member;
    double score;
    TRY(read_count(r, 2, &count));
    TRY(begin(r, RDB_KIND_ZSET, count));
    while (count--) {
        TRY(read_string(r, &r->first, &member));
        TRY(binary ? read_double(r, &score) : read_text_double(r, &score));
        TRY(r->visitor->member(r->visitor->context, member, score));
    }
    return RDB_OK;
}

static int read_fields(struct reader *r)
{
    uint64_t count;
    struct slice field, value;
    TRY(read_count(r, 2, &count));
    TRY(begin(r, RDB_KIND_HASH, count));
    while (count--) {
        TRY(read_string(r, &r->first, &field));
        TRY(read_string(r, &r->second, &value));
        TRY(give_field(r, field, value, RDB_NO_DEADLINE));
    }
    return RDB_OK;
}

/* <deadline> <field> <value> each; the deadline is 0 for none, else absolute (pre_ga), or counted from the
 * earliest one, which stands in front, plus 1. */
static int read_fields_with_deadlines(struct reader *r, bool pre_ga)
{
    uint64_t count, earliest = 1, deadline;
    struct slice field, value;
    if (!pre_ga) TRY(read_little(r, 8, &earliest));
    TRY(read_count(r, 3, &count));
    TRY(begin(r, RDB_KIND_HASH, count));
    while (count--) {
        TRY(read_len(r, &deadline));
        if (deadline != 0 && !pre_ga && __builtin_add_overflow(deadline - 1, earliest, &deadline))
            return RDB_CORRUPT;
        if (deadline > (uint64_t)DEADLINE_MAX) return RDB_CORRUPT;
        TRY(read_string(r, &r->first, &field));
        TRY(read_string(r, &r->second, &value));
        TRY(give_field(r, field, value, deadline ? (int64_t)deadline : RDB_NO_DEADLINE));
    }
    return RDB_OK;
}

/* ---- packed types ---- */

static int open_packed(struct reader *r, bool ziplist, struct rdb_blob *blob)
{
    struct slice bytes;
    TRY(read_string(r, &r->first, &bytes));
    return (ziplist ? rdb_ziplist_open(blob, bytes) : rdb_listpack_open(blob, bytes)) ? RDB_OK : RDB_CORRUPT;
}

static uint64_t hint(const struct rdb_blob *blob, uint64_t per_element)
{
    uint64_t most = (uint64_t)(blob->end - blob->at) / 2; /* an entry takes at least two bytes */
    return (blob->claimed < most ? blob->claimed : most) / per_element;
}

/* The entries of one blob as elements; *count grows by their number. */
static int give_packed_elements(struct reader *r, struct rdb_blob *blob, uint64_t *count)
{
    struct rdb_blob_entry entry;
    int got;
    while ((got = rdb_blob_next(blob, &entry)) == 1) {
        TRY(give_element(r, rdb_blob_text(&entry)));
        (*count)++;
    }
    return got;
}

static int read_packed_elements(struct reader *r, enum rdb_kind kind, bool ziplist)
{
    struct rdb_blob blob;
    uint64_t count = 0;
    TRY(open_packed(r, ziplist, &blob));
    TRY(begin(r, kind, hint(&blob, 1)));
    TRY(give_packed_elements(r, &blob, &count));
    return count ? RDB_OK : RDB_CORRUPT;
}

/* A chain of blobs; in the newer form each is marked as a packed one or a plain element. */
static int read_quicklist(struct reader *r, bool newer)
{
    uint64_t nodes, count = 0;
    TRY(read_count(r, 1, &nodes));
    TRY(begin(r, RDB_KIND_LIST, 0));
    while (nodes--) {
        uint64_t container = 2;
        struct slice bytes;
        struct rdb_blob blob;
        if (newer) TRY(read_len(r, &container));
        TRY(read_string(r, &r->first, &bytes));
        if (container == 1) {
            TRY(give_element(r, bytes));
            count++;
        } else if (container == 2) {
            if (!(newer ? rdb_listpack_open(&blob, bytes) : rdb_ziplist_open(&blob, bytes)))
                return RDB_CORRUPT;
            TRY(give_packed_elements(r, &blob, &count));
        } else {
            return RDB_CORRUPT;
        }
    }
    return count ? RDB_OK : RDB_CORRUPT;
}

static int read_intset(struct reader *r)
{
    struct slice bytes;
    struct rdb_intset set;
    TRY(read_string(r, &r->first, &bytes));
    if (!rdb_intset_open(&set, bytes) || set.count == 0) return RDB_CORRUPT;
    TRY(begin(r, RDB_KIND_SET, set.count));
    for (uint32_t i = 0; i < set.count; i++) {
        char text[NUMBER_I64_MAX];
        TRY(give_element(r, (struct slice){text, number_format_i64(text, rdb_intset_get(&set, i))}));
    }
    return RDB_OK;
}

static int read_packed_members(struct reader *r, bool ziplist)
{
    struct rdb_blob blob;
    struct rdb_blob_entry member, score;
    uint64_t count = 0;
    int got;
    TRY(open_packed(r, ziplist, &blob));
    TRY(begin(r, RDB_KIND_ZSET, hint(&blob, 2)));
    while ((got = rdb_blob_next(&blob, &member)) == 1) {
        double value;
        if (rdb_blob_next(&blob, &score) != 1) return RDB_CORRUPT;
        if (score.is_int)
            value = (double)score.integer;
        else if (!number_parse_double(score.string.ptr, score.string.len, &value))
            return RDB_CORRUPT;
        TRY(r->visitor->member(r->visitor->context, rdb_blob_text(&member), value));
        count++;
    }
    if (got < 0) return RDB_CORRUPT;
    return count ? RDB_OK : RDB_CORRUPT;
}

static int read_packed_fields(struct reader *r, bool ziplist, bool deadlines)
{
    struct rdb_blob blob;
    struct rdb_blob_entry field, value, deadline;
    uint64_t count = 0;
    int got;
    TRY(open_packed(r, ziplist, &blob));
    TRY(begin(r, RDB_KIND_HASH, hint(&blob, deadlines ? 3 : 2)));
    while ((got = rdb_blob_next(&blob, &field)) == 1) {
        int64_t deadline_ms = RDB_NO_DEADLINE;
        if (rdb_blob_next(&blob, &value) != 1) return RDB_CORRUPT;
        if (deadlines) {
            if (rdb_blob_next(&blob, &deadline) != 1 || !deadline.is_int) return RDB_CORRUPT;
            if (deadline.integer < 0 || deadline.integer > DEADLINE_MAX) return RDB_CORRUPT;
            if (deadline.integer != 0) deadline_ms = deadline.integer;
        }
        TRY(give_field(r, rdb_blob_text(&field), rdb_blob_text(&value), deadline_ms));
        count++;
    }
    if (got < 0) return RDB_CORRUPT;
    return count ? RDB_OK : RDB_CORRUPT;
}

static int read_zipmap(struct reader *r)
{
    struct slice bytes, field, value;
    struct rdb_blob blob;
    uint64_t count = 0;
    int got;
    TRY(read_string(r, &r->first, &bytes));
    if (!rdb_zipmap_open(&blob, bytes)) return RDB_CORRUPT;
    TRY(begin(r, RDB_KIND_HASH, hint(&blob, 1)));
    while ((got = rdb_zipmap_next(&blob, &field, &value)) == 1) {
        TRY(give_field(r, field, value, RDB_NO_DEADLINE));
        count++;
    }
    if (got < 0) return RDB_CORRUPT;
    return count ? RDB_OK : RDB_CORRUPT;
}

/* ---- all ---- */

static int read_plain_string(struct reader *r)
{
    struct slice value;
    TRY(read_string(r, &r->first, &value));
    if (r->whole && r->at != r->end) return RDB_CORRUPT; /* before the visitor may act on it */
    TRY(begin(r, RDB_KIND_STRING, 1));
    return r->visitor->string(r->visitor->context, value);
}

static int read_typed(struct reader *r, uint8_t type)
{
    uint64_t ignored;
    switch ((enum rdb_type)type) {
    case RDB_STRING: return read_plain_string(r);
    case RDB_LIST: return read_elements(r, RDB_KIND_LIST);
    case RDB_SET: return read_elements(r, RDB_KIND_SET);
    case RDB_ZSET: return read_members(r, false);
    case RDB_ZSET_2: return read_members(r, true);
    case RDB_HASH: return read_fields(r);
    case RDB_HASH_METADATA_PRE_GA: return read_fields_with_deadlines(r, true);
    case RDB_HASH_METADATA: return read_fields_with_deadlines(r, false);
    case RDB_HASH_ZIPMAP: return read_zipmap(r);
    case RDB_LIST_ZIPLIST: return read_packed_elements(r, RDB_KIND_LIST, true);
    case RDB_LIST_QUICKLIST: return read_quicklist(r, false);
    case RDB_LIST_QUICKLIST_2: return read_quicklist(r, true);
    case RDB_SET_INTSET: return read_intset(r);
    case RDB_SET_LISTPACK: return read_packed_elements(r, RDB_KIND_SET, false);
    case RDB_ZSET_ZIPLIST: return read_packed_members(r, true);
    case RDB_ZSET_LISTPACK: return read_packed_members(r, false);
    case RDB_HASH_ZIPLIST: return read_packed_fields(r, true, false);
    case RDB_HASH_LISTPACK: return read_packed_fields(r, false, false);
    case RDB_HASH_LISTPACK_EX_PRE_GA: return read_packed_fields(r, false, true);
    case RDB_HASH_LISTPACK_EX:
        TRY(read_little(r, 8, &ignored)); /* the earliest deadline, which the entries tell as well */
        return read_packed_fields(r, false, true);
    case RDB_MODULE:
    case RDB_MODULE_2:
    case RDB_STREAM_LISTPACKS:
    case RDB_STREAM_LISTPACKS_2:
    case RDB_STREAM_LISTPACKS_3: return RDB_UNSUPPORTED;
    }
    return RDB_CORRUPT;
}

static int read_bytes(uint8_t type, const void *bytes, size_t len, bool whole,
                      const struct rdb_visitor *visitor, size_t *used)
{
    struct reader r = {.at = bytes, .end = (const uint8_t *)bytes + len, .visitor = visitor, .whole = whole};
    int result = read_typed(&r, type);
    *used = (size_t)(r.at - (const uint8_t *)bytes);
    free(r.first.bytes);
    free(r.second.bytes);
    DCHECK(result <= RDB_OK);
    return result == RDB_OK && whole && *used != len ? RDB_CORRUPT : result;
}

int rdb_read_value(uint8_t type, const void *bytes, size_t len, const struct rdb_visitor *visitor,
                   size_t *used)
{
    return read_bytes(type, bytes, len, false, visitor, used);
}

int rdb_check_footer(const void *payload, size_t len)
{
    if (len < RDB_FOOTER_SIZE) return RDB_BAD_FOOTER;
    const uint8_t *footer = (const uint8_t *)payload + len - RDB_FOOTER_SIZE;
    uint64_t version = footer[0] | (uint64_t)footer[1] << 8, sum = 0;
    for (int i = 0; i < 8; i++) sum |= (uint64_t)footer[2 + i] << 8 * i;
    return version <= RDB_VERSION && crc64(0, payload, len - 8) == sum ? RDB_OK : RDB_BAD_FOOTER;
}

int rdb_read_dump(const void *payload, size_t len, const struct rdb_visitor *visitor)
{
    if (rdb_check_footer(payload, len) != RDB_OK) return RDB_BAD_FOOTER;
    if (len == RDB_FOOTER_SIZE) return RDB_CORRUPT;
    const uint8_t *type = payload;
    size_t used;
    return read_bytes(*type, type + 1, len - RDB_FOOTER_SIZE - 1, true, visitor, &used);
}
