/* Where the keys of a command line stand (command_keys() of table.h).
 *
 * Most commands are answered by their key specs alone. Some need a look at their options, and for these the
 * outcome follows what Redis reports in COMMAND GETKEYSANDFLAGS:
 *
 *   SET             reads the old value only with GET
 *   BITFIELD        reads only, unless there is SET or INCRBY (or something not understood)
 *   SORT, SORT_RO   the last STORE counts; BY and GET patterns reach unnamed keys
 *   MIGRATE         one key, or with an empty one the list after KEYS
 *   GEORADIUS...    the last STORE or STOREDIST counts
 *   XREAD...        STREAMS may also be the value of an option, or a stream
 *
 * Invariants: 1. no argument at or beyond argc is read and no range reaches beyond it, whatever the arguments
 * are; 2. ranges come in the order of the specs. Pure, any thread.
 * Tests: test/unit/command_keys_test.c, and against a real server test/blackbox/command_table_test.py. */
#include "command/table_data.h"

#include "base/check.h"
#include "base/number.h"

enum {
    KEY_SET_ONLY = COMMAND_KEY_OW | COMMAND_KEY_UPDATE,
    KEY_READ_ONLY = COMMAND_KEY_RO | COMMAND_KEY_ACCESS,
    KEY_READ_WRITE = COMMAND_KEY_RW | COMMAND_KEY_ACCESS | COMMAND_KEY_UPDATE,
    KEY_TAKE = COMMAND_KEY_RW | COMMAND_KEY_ACCESS | COMMAND_KEY_DELETE
};

static bool is_word(struct slice arg, const char *upper)
{
    size_t len = strlen(upper);
    if (arg.len != len) return false;
    for (size_t i = 0; i < len; i++) {
        char c = arg.ptr[i];
        if (c >= 'a' && c <= 'z') c = (char)(c - 'a' + 'A');
        if (c != upper[i]) return false;
    }
    return true;
}

/* A key count between 1 and `max`; 0 if it is none. */
static size_t parse_count(struct slice arg, size_t max)
{
    int64_t value;
    if (!number_parse_i64(arg.ptr, arg.len, &value) || value < 1 || (uint64_t)value > max) return 0;
    return (size_t)value;
}

static void add_range(struct command_keys *keys, size_t first, size_t count, size_t step, unsigned flags)
{
    CHECK(keys->range_count < COMMAND_KEY_RANGES_MAX);
    keys->range[keys->range_count++] = (struct command_key_range){
        .first = (uint32_t)first, .count = (uint32_t)count, .step = (uint32_t)step, .flags = (uint16_t)flags};
    keys->key_count += (uint32_t)count;
}

/* The argument after the spec's keyword; 0 if the keyword is not there. */
static size_t find_keyword(const struct command_key_spec *spec, const struct slice *argv, size_t argc)
{
    if (spec->begin_at > 0) {
        for (size_t i = (size_t)spec->begin_at; i < argc; i++) {
            if (is_word(argv[i], spec->keyword)) return i + 1;
        }
    } else {
        size_t back = (size_t)-spec->begin_at;
        for (size_t i = argc > back ? argc - back : 0; i > 1; i--) {
            if (is_word(argv[i], spec->keyword)) return i + 1;
        }
    }
    return 0;
}

/* Adds the keys of one spec. False: the arguments do not fit it. A keyword that is not there adds none. */
static bool add_spec(const struct command_key_spec *spec, const struct slice *argv, size_t argc,
                     struct command_keys *keys)
{
    if (spec->begin == COMMAND_BEGIN_UNKNOWN || spec->find == COMMAND_FIND_UNKNOWN) return false;
    size_t first = (size_t)spec->begin_at;
    if (spec->begin == COMMAND_BEGIN_KEYWORD) {
        first = find_keyword(spec, argv, argc);
        if (first == 0) return true;
    }
    if (first >= argc) return false;
    if (spec->find == COMMAND_FIND_KEYNUM) {
        size_t count_at = first + (size_t)spec->find_args[0], step = (size_t)spec->find_args[2];
        if (count_at >= argc) return false;
        size_t count = parse_count(argv[count_at], argc);
        first += (size_t)spec->find_args[1];
        if (count == 0 || first + (count - 1) * step >= argc) return false;
        add_range(keys, first, count, step, spec->flags);
        return true;
    }
    int64_t last = spec->find_args[0], step = spec->find_args[1], limit = spec->find_args[2];
    if (last >= 0)
        last += (int64_t)first;
    else if (limit == 0)
        last += (int64_t)argc;
    else
        last += (int64_t)first + (int64_t)(argc - first) / limit;
    if (last < (int64_t)first || last >= (int64_t)argc) return false;
    add_range(keys, first, (size_t)((last - (int64_t)first) / step) + 1, (size_t)step, spec->flags);
    return true;
}

static unsigned set_flags(const struct slice *argv, size_t argc)
{
    for (size_t i = 3; i < argc; i++) {
        if (is_word(argv[i], "GET")) return KEY_READ_WRITE;
    }
    return KEY_SET_ONLY;
}

static unsigned bitfield_flags(const struct slice *argv, size_t argc)
{
    size_t i = 2;
    while (i < argc) {
        if (is_word(argv[i], "GET") && argc - i > 2)
            i += 3;
        else if (is_word(argv[i], "OVERFLOW") && argc - i > 1)
            i += 2;
        else
            return KEY_READ_WRITE;
    }
    return KEY_READ_ONLY;
}

static void add_sort_keys(const struct command *command, const struct slice *argv, size_t argc,
                          struct command_keys *keys)
{
    size_t store = 0;
    add_range(keys, 1, 1, 1, KEY_READ_ONLY);
    for (size_t i = 2; i + 1 < argc; i++) {
        if (is_word(argv[i], "LIMIT")) {
            i += 2;
        } else if (is_word(argv[i], "BY") || is_word(argv[i], "GET")) {
            i++;
            if (argv[i].len > 0 && memchr(argv[i].ptr, '*', argv[i].len) != NULL) keys->unnamed = true;
        } else if (is_word(argv[i], "STORE") && (command->flags & COMMAND_WRITE)) {
            store = ++i;
        }
    }
    if (store > 0) add_range(keys, store, 1, 1, KEY_SET_ONLY);
}

static void add_georadius_keys(const struct command *command, const struct slice *argv, size_t argc,
                               struct command_keys *keys)
{
    size_t store = 0;
    add_range(keys, 1, 1, 1, KEY_READ_ONLY);
    for (size_t i = (size_t)command->key_specs[1].begin_at; i + 1 < argc; i++) {
        if (is_word(argv[i], "STORE") || is_word(argv[i], "STOREDIST")) store = ++i;
    }
    if (store > 0) add_range(keys, store, 1, 1, KEY_SET_ONLY);
}

/* [GROUP group consumer] [COUNT n] [BLOCK ms] [NOACK] STREAMS key ... id ..., as many ids as keys. */
static bool add_xread_keys(const struct command *command, const struct slice *argv, size_t argc,
                           struct command_keys *keys)
{
    if (find_keyword(&command->key_specs[0], argv, argc) == 0) return true;
    for (size_t i = 1; i < argc; i++) {
        if (is_word(argv[i], "COUNT") || is_word(argv[i], "BLOCK")) {
            i += 1;
        } else if (is_word(argv[i], "GROUP")) {
            i += 2;
        } else if (is_word(argv[i], "STREAMS")) {
            size_t left = argc - i - 1;
            if (left == 0 || left % 2 != 0) return false;
            add_range(keys, i + 1, left / 2, 1, KEY_READ_ONLY);
            return true;
        } else if (!is_word(argv[i], "NOACK")) {
            return false;
        }
    }
    return false;
}

/* MIGRATE host port key|"" db timeout [COPY] [REPLACE] [AUTH password | AUTH2 user password] [KEYS key ...]
 * False: keys in both places or in none, which the command refuses. */
static bool add_migrate_keys(const struct command *command, const struct slice *argv, size_t argc,
                             struct command_keys *keys)
{
    bool listed = find_keyword(&command->key_specs[1], argv, argc) > 0;
    for (size_t i = 6; listed && i < argc; i++) {
        if (is_word(argv[i], "AUTH")) {
            i += 1;
        } else if (is_word(argv[i], "AUTH2")) {
            i += 2;
        } else if (is_word(argv[i], "KEYS")) {
            if (argv[3].len > 0 || i + 1 == argc) return false;
            add_range(keys, i + 1, argc - i - 1, 1, KEY_TAKE);
            return true;
        }
    }
    add_range(keys, 3, 1, 1, KEY_TAKE);
    return true;
}

static bool add_special_keys(const struct command *command, const struct slice *argv, size_t argc,
                             struct command_keys *keys)
{
    switch ((enum command_key_special)command->key_special) {
    case COMMAND_KEYS_SET: add_range(keys, 1, 1, 1, set_flags(argv, argc)); return true;
    case COMMAND_KEYS_BITFIELD: add_range(keys, 1, 1, 1, bitfield_flags(argv, argc)); return true;
    case COMMAND_KEYS_SORT: add_sort_keys(command, argv, argc, keys); return true;
    case COMMAND_KEYS_MIGRATE: return argc > 3 && add_migrate_keys(command, argv, argc, keys);
    case COMMAND_KEYS_GEORADIUS: add_georadius_keys(command, argv, argc, keys); return true;
    case COMMAND_KEYS_XREAD: return add_xread_keys(command, argv, argc, keys);
    case COMMAND_KEYS_BY_SPEC: break;
    }
    CHECK(false);
    return false;
}

bool command_keys(const struct command *command, const struct slice *argv, size_t argc,
                  struct command_keys *keys)
{
    *keys = (struct command_keys){0};
    if (command->key_special != COMMAND_KEYS_BY_SPEC) {
        return argc > 1 && add_special_keys(command, argv, argc, keys);
    }
    for (uint8_t i = 0; i < command->key_spec_count; i++) {
        const struct command_key_spec *spec = &command->key_specs[i];
        if (spec->flags & COMMAND_KEY_NOT_KEY) continue;
        if (!add_spec(spec, argv, argc, keys)) {
            *keys = (struct command_keys){0};
            return false;
        }
    }
    return true;
}

bool command_has_keys(const struct command *command)
{
    for (uint8_t i = 0; i < command->key_spec_count; i++) {
        if (!(command->key_specs[i].flags & COMMAND_KEY_NOT_KEY)) return true;
    }
    return false;
}
