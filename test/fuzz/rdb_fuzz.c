/* Serialised values: any bytes behind a type byte are read or refused, with memory bounded by the payload;
 * what is read, written by our writer (compressed or not) and read again, is the same. */
#include "base/check.h"
#include "base/hash.h"
#include "store/rdb.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint64_t hash, elements, bytes;
    enum rdb_kind kind;
    struct rdb_writer *copy; /* may be NULL */
};

static void mix(struct seen *s, const void *ptr, size_t len)
{
    s->hash = hash_bytes(ptr, len, s->hash);
    s->bytes += len;
}

static int on_begin(void *context, enum rdb_kind kind, uint64_t count_hint)
{
    struct seen *s = context;
    s->kind = kind;
    mix(s, &kind, sizeof kind);
    return RDB_OK;
}

static int on_element(void *context, struct slice element)
{
    struct seen *s = context;
    s->elements++;
    mix(s, element.ptr, element.len);
    if (s->copy) rdb_write_string(s->copy, element.ptr, element.len);
    return RDB_OK;
}

static int on_member(void *context, struct slice member, double score)
{
    struct seen *s = context;
    CHECK(!isnan(score));
    on_element(s, member);
    mix(s, &score, sizeof score);
    if (s->copy) rdb_write_double(s->copy, score);
    return RDB_OK;
}

static int on_field(void *context, struct slice field, struct slice value, int64_t deadline_ms)
{
    struct seen *s = context;
    CHECK(deadline_ms == RDB_NO_DEADLINE || deadline_ms > 0);
    if (s->copy) rdb_write_len(s->copy, deadline_ms == RDB_NO_DEADLINE ? 0 : (uint64_t)deadline_ms);
    on_element(s, field);
    mix(s, value.ptr, value.len);
    mix(s, &deadline_ms, sizeof deadline_ms);
    if (s->copy) rdb_write_string(s->copy, value.ptr, value.len);
    return RDB_OK;
}

static int read_value(uint8_t type, const void *bytes, size_t len, struct seen *seen, size_t *used)
{
    struct rdb_visitor visitor = {seen, on_begin, on_element, on_element, on_member, on_field};
    return rdb_read_value(type, bytes, len, &visitor, used);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    struct rdb_writer elements, whole;
    size_t used;
    rdb_writer_init(&elements, data[0] & 1);
    rdb_writer_init(&whole, false);
    struct seen first = {.copy = &elements}, second = {0};
    int result = read_value(data[1], data + 2, size - 2, &first, &used);
    CHECK(used <= size - 2);
    /* LZF makes at most 88 bytes of one; an integer's text is at most 20. */
    CHECK(first.bytes <= 100 * size + 100);
    if (result == RDB_OK) {
        static const uint8_t types[] = {RDB_STRING, RDB_LIST, RDB_SET, RDB_ZSET_2, RDB_HASH_METADATA_PRE_GA};
        CHECK(first.elements > 0 && !elements.failed);
        if (first.kind != RDB_KIND_STRING) rdb_write_len(&whole, first.elements);
        size_t head = rdb_writer_len(&whole), body = rdb_writer_len(&elements);
        uint8_t *copy = malloc(head + body);
        CHECK(copy != NULL);
        if (head) memcpy(copy, whole.begin, head);
        memcpy(copy + head, elements.begin, body);
        CHECK(read_value(types[first.kind], copy, head + body, &second, &used) == RDB_OK);
        CHECK(used == head + body && second.hash == first.hash && second.elements == first.elements);
        free(copy);
    }
    rdb_writer_free(&elements);
    rdb_writer_free(&whole);
    return 0;
}
