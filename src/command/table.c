/* Look-up in the generated command table, and the names of its bits. See table.h for the contract and
 * table_data.h for the hash. Pure functions over constant data: any thread.
 * Tests: test/unit/command_table_test.c. */
#include "command/table_data.h"

#include <strings.h>

#include "base/check.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "name words are computed for little-endian loads");
_Static_assert(offsetof(struct command, full_name) == 64, "dispatch fields fill the first cache line");

struct words {
    uint64_t word[3];
};

static uint64_t load_8(const char *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

static uint64_t load_4(const char *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

/* Turns A-Z among the eight bytes into a-z and leaves all others alone, those above 127 too. */
static uint64_t lower_8(uint64_t word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t low = word & (ones * 0x7f);
    uint64_t above_z = low + ones * (0x7f - 'Z');
    uint64_t from_a = low + ones * (0x80 - 'A');
    uint64_t upper = (from_a ^ above_z) & ~word & (ones * 0x80);
    return word | upper >> 2;
}

/* 1 <= len <= COMMAND_NAME_LEN_MAX; reads only name[0 .. len - 1]. */
static struct words name_words(const char *name, size_t len)
{
    struct words words = {{0, 0, 0}};
    if (len >= 8) {
        words.word[0] = lower_8(load_8(name));
        if (len > 8) words.word[1] = lower_8(load_8(name + len - 8));
        if (len > 16) words.word[2] = lower_8(load_8(name + 8));
    } else if (len >= 4) {
        words.word[0] = lower_8(load_4(name) | load_4(name + len - 4) << 32);
    } else {
        words.word[0] = lower_8((uint64_t)(uint8_t)name[0] | (uint64_t)(uint8_t)name[len / 2] << 8 |
                                (uint64_t)(uint8_t)name[len - 1] << 16);
    }
    return words;
}

static bool names_equal(const struct command *row, const struct words *words, size_t len)
{
    return row->name_words[0] == words->word[0] && row->name_words[1] == words->word[1] &&
           row->name_words[2] == words->word[2] && row->name_len == len;
}

static uint64_t rotate(uint64_t word, unsigned count)
{
    return word << count | word >> (64 - count);
}

static uint64_t command_name_hash(const struct words *words, size_t len)
{
    return (words->word[0] ^ rotate(words->word[1], 21) ^ rotate(words->word[2], 43) ^ len) *
           command_hash_seed;
}

const struct command *command_lookup(const char *name, size_t len)
{
    if (UNLIKELY(len == 0 || len > COMMAND_NAME_LEN_MAX)) return NULL;
    struct words words = name_words(name, len);
    uint64_t hash = command_name_hash(&words, len);
    unsigned bucket = (unsigned)(hash >> 57);
    unsigned slot = ((unsigned)(hash >> 32) + command_hash_displacement[bucket]) % COMMAND_HASH_SLOTS;
    uint16_t id = command_hash_slot[slot];
    if (UNLIKELY(id == COMMAND_SLOT_EMPTY)) return NULL;
    const struct command *row = &command_rows[id];
    return LIKELY(names_equal(row, &words, len)) ? row : NULL;
}

const struct command *command_lookup_sub(const struct command *container, const char *name, size_t len)
{
    if (len == 0 || len > COMMAND_NAME_LEN_MAX) return NULL;
    struct words words = name_words(name, len);
    for (uint16_t i = 0; i < container->subcommand_count; i++) {
        if (names_equal(&container->subcommands[i], &words, len)) return &container->subcommands[i];
    }
    return NULL;
}

const struct command *command_lookup_full(const char *name, size_t len)
{
    const char *bar = len > 0 ? memchr(name, '|', len) : NULL;
    if (bar == NULL) return command_lookup(name, len);
    size_t container_len = (size_t)(bar - name);
    const struct command *container = command_lookup(name, container_len);
    return container == NULL ? NULL : command_lookup_sub(container, bar + 1, len - container_len - 1);
}

const struct command *command_resolve(const struct slice *argv, size_t argc, const struct command **container)
{
    DCHECK(argc >= 1);
    *container = NULL;
    const struct command *row = command_lookup(argv[0].ptr, argv[0].len);
    if (row == NULL || LIKELY(row->subcommand_count == 0) || argc == 1) return row;
    *container = row;
    return command_lookup_sub(row, argv[1].ptr, argv[1].len);
}

const struct command *command_at(uint16_t id)
{
    CHECK(id < command_row_count);
    return &command_rows[id];
}

uint16_t command_top_count(void)
{
    return command_row_top_count;
}

uint16_t command_count(void)
{
    return command_row_count;
}

const char *command_flag_name(unsigned bit)
{
    static const char *const names[] = {
        "write",     "readonly",     "denyoom",           "admin",
        "pubsub",    "noscript",     "blocking",          "loading",
        "stale",     "skip_monitor", "skip_slowlog",      "asking",
        "fast",      "no_auth",      "no_mandatory_keys", "no_async_loading",
        "no_multi",  "movablekeys",  "allow_busy",        "may_replicate",
        "protected",
    };
    _Static_assert(ARRAY_LEN(names) == COMMAND_FLAG_COUNT, "one name per flag");
    CHECK(bit < ARRAY_LEN(names));
    return names[bit];
}

const char *command_key_flag_name(unsigned bit)
{
    static const char *const names[] = {
        "RO",     "RW",     "OW",      "RM",         "access",         "update",
        "insert", "delete", "not_key", "incomplete", "variable_flags",
    };
    _Static_assert(ARRAY_LEN(names) == COMMAND_KEY_FLAG_COUNT, "one name per flag");
    CHECK(bit < ARRAY_LEN(names));
    return names[bit];
}

const char *command_category_name(unsigned bit)
{
    static const char *const names[] = {
        "keyspace", "read",   "write",       "set",       "sortedset",  "list",        "hash",
        "string",   "bitmap", "hyperloglog", "geo",       "stream",     "pubsub",      "admin",
        "fast",     "slow",   "blocking",    "dangerous", "connection", "transaction", "scripting",
    };
    _Static_assert(ARRAY_LEN(names) == COMMAND_CATEGORY_COUNT, "one name per category");
    CHECK(bit < ARRAY_LEN(names));
    return names[bit];
}

const char *command_arg_type_name(unsigned type)
{
    static const char *const names[] = {
        "string", "integer", "double", "key", "pattern", "unix-time", "pure-token", "oneof", "block",
    };
    CHECK(type < ARRAY_LEN(names));
    return names[type];
}

uint32_t command_category_find(const char *name, size_t len)
{
    for (unsigned bit = 0; bit < COMMAND_CATEGORY_COUNT; bit++) {
        const char *known = command_category_name(bit);
        if (strlen(known) == len && strncasecmp(known, name, len) == 0) return UINT32_C(1) << bit;
    }
    return 0;
}
