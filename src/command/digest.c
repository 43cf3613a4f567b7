/* Digests; see digest.h. Two ways to take a piece of data in: `mix` keeps the order of pieces, `blend`
 * (exclusive or) does not. Tests: test/blackbox/server_commands_test.py compares with a real Redis. */
#include "command/digest.h"

#include <string.h>
#include "base/number.h"
#include "types/hash.h"
#include "types/list.h"
#include "types/set.h"
#include "types/stream.h"
#include "types/zset.h"

static void blend(uint8_t digest[SHA1_BYTES], const void *data, size_t len)
{
    uint8_t hash[SHA1_BYTES];
    sha1(data, len, hash);
    for (int i = 0; i < SHA1_BYTES; i++) digest[i] ^= hash[i];
}

static void mix(uint8_t digest[SHA1_BYTES], const void *data, size_t len)
{
    uint8_t before[SHA1_BYTES];
    blend(digest, data, len);
    memcpy(before, digest, SHA1_BYTES);
    sha1(before, SHA1_BYTES, digest);
}

static void mix_slice(uint8_t digest[SHA1_BYTES], struct slice s)
{
    mix(digest, s.ptr ? s.ptr : "", s.len);
}

static void mix_number(uint8_t digest[SHA1_BYTES], uint32_t number)
{
    uint8_t big_endian[4] = {(uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8),
                             (uint8_t)number};
    mix(digest, big_endian, sizeof big_endian);
}

/* ---- by type ---- */

static void take_list(uint8_t digest[SHA1_BYTES], const struct value *list)
{
    struct list_iter iter;
    struct slice element;
    list_iter_seek(list, 0, &iter);
    while (list_iter_next(&iter, &element)) mix_slice(digest, element);
}

static void take_set(uint8_t digest[SHA1_BYTES], const struct value *set)
{
    struct set_iter iter;
    struct slice member;
    set_iter_begin(&iter, set);
    while (set_iter_next(&iter, &member)) blend(digest, member.ptr, member.len);
}

static void take_zset(uint8_t digest[SHA1_BYTES], const struct value *zset)
{
    struct zset_iter iter;
    struct slice member;
    double score;
    zset_iter_seek(zset, 0, &iter);
    while (zset_iter_next(&iter, &member, &score)) {
        uint8_t element[SHA1_BYTES] = {0};
        char text[NUMBER_DOUBLE_MAX];
        mix_slice(element, member);
        mix(element, text, number_format_shortest(text, score));
        blend(digest, element, sizeof element);
    }
}

static void take_hash(uint8_t digest[SHA1_BYTES], const struct value *hash)
{
    struct hash_iter iter;
    struct hash_field field;
    hash_iter_begin(&iter, hash);
    while (hash_iter_next(&iter, &field)) {
        uint8_t element[SHA1_BYTES] = {0};
        mix_slice(element, field.field);
        mix_slice(element, field.value);
        if (field.deadline_ms != HASH_NO_DEADLINE) blend(element, "!!hexpire!!", 11);
        blend(digest, element, sizeof element);
    }
}

static void take_stream(uint8_t digest[SHA1_BYTES], const struct value *stream)
{
    struct stream_iter iter;
    struct stream_entry entry;
    char id[STREAM_ID_TEXT_MAX];
    stream_iter_seek(stream, (struct stream_id){0}, false, &iter);
    while (stream_iter_next(&iter, &entry)) {
        size_t len = stream_id_format(id, entry.id);
        *(char *)memchr(id, '-', len) = '.'; /* so it is there */
        mix(digest, id, len);
        for (uint32_t n = stream_fields_count(&entry.fields); n > 0; n--)
            mix_slice(digest, stream_fields_take(&entry.fields));
    }
}

/* Redis's numbers of the types. */
static const uint8_t type_number[ITEM_TYPE_COUNT] = {
    [ITEM_STRING] = 0, [ITEM_LIST] = 1, [ITEM_SET] = 2, [ITEM_ZSET] = 3, [ITEM_HASH] = 4, [ITEM_STREAM] = 6};

void digest_value(uint8_t digest[SHA1_BYTES], const struct entry *entry)
{
    char scratch[NUMBER_I64_MAX + 1];
    enum item_type type = item_type(entry->item);
    mix_number(digest, type_number[type]);
    switch (type) {
    case ITEM_STRING: mix_slice(digest, entry_string(entry, scratch)); break;
    case ITEM_LIST: take_list(digest, &entry->value); break;
    case ITEM_SET: take_set(digest, &entry->value); break;
    case ITEM_ZSET: take_zset(digest, &entry->value); break;
    case ITEM_HASH: take_hash(digest, &entry->value); break;
    case ITEM_STREAM: take_stream(digest, &entry->value); break;
    default: CHECK(!"a type that can be stored");
    }
    if (item_deadline(entry->item) != ITEM_NO_DEADLINE) blend(digest, "!!expire!!", 10);
}

/* ---- everything ---- */

static void take_key(void *context, struct entry *entry)
{
    uint8_t key[SHA1_BYTES] = {0};
    mix_slice(key, entry->key.name);
    digest_value(key, entry);
    blend(context, key, sizeof key);
}

void digest_all(uint8_t digest[SHA1_BYTES], struct partition *const *partitions, uint16_t databases)
{
    memset(digest, 0, SHA1_BYTES);
    for (uint16_t db = 0; db < databases; db++) {
        uint64_t keys = 0;
        for (int p = 0; p < PARTITION_COUNT; p++) keys += partition_keys(partitions[p], (uint8_t)db);
        if (!keys) continue;
        mix_number(digest, db);
        for (int p = 0; p < PARTITION_COUNT; p++) {
            uint64_t cursor = 0;
            do cursor = partition_scan(partitions[p], (uint8_t)db, cursor, take_key, digest);
            while (cursor);
        }
    }
}
