/* One directive's value by its kind: checking, storing, showing, rewriting. Error texts are Redis's.
 *
 * A value lives at row->offset in struct config as row->store says; which directive that is, this file never
 * knows, except for the few string directives with rules of their own (check_string). Pure; control plane
 * only. Tests: test/unit/config_set_test.c, and compared with a real server by
 * test/blackbox/config_test.py.
 */
#include "config/config_table.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/number.h"
#include "config/config_text.h"

#define REASON(...) snprintf(reason, CONFIG_ERROR_MAX, __VA_ARGS__)

#define HZ_MIN 1
#define HZ_MAX 500

static int64_t number_load(const struct config *config, const struct config_row *row)
{
    const char *at = (const char *)config + row->offset;
    switch (row->store) {
    case CONFIG_STORE_BOOL: return *(const bool *)at;
    case CONFIG_STORE_ENUM: return *(const int *)at;
    default: CHECK(row->store == CONFIG_STORE_INT64); return *(const int64_t *)at;
    }
}

static void number_store(struct config *config, const struct config_row *row, int64_t number)
{
    char *at = (char *)config + row->offset;
    switch (row->store) {
    case CONFIG_STORE_BOOL: *(bool *)at = number != 0; break;
    case CONFIG_STORE_ENUM: *(int *)at = (int)number; break;
    default: CHECK(row->store == CONFIG_STORE_INT64); *(int64_t *)at = number;
    }
}

static struct config_text *text_at(struct config *config, const struct config_row *row)
{
    CHECK(row->store == CONFIG_STORE_TEXT);
    return (struct config_text *)((char *)config + row->offset);
}

/* ---- numbers ---- */

bool config_parse_memory(struct slice word, uint64_t *bytes)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {{"", 1},        {"b", 1},        {"k", 1000},       {"kb", 1 << 10},
                 {"m", 1000000}, {"mb", 1 << 20}, {"g", 1000000000}, {"gb", 1 << 30}};
    uint64_t sum = 0;
    size_t digits = 0;
    while (digits < word.len && word.ptr[digits] >= '0' && word.ptr[digits] <= '9') {
        if (__builtin_mul_overflow(sum, 10, &sum) ||
            __builtin_add_overflow(sum, (uint64_t)(word.ptr[digits] - '0'), &sum))
            return false;
        digits++;
    }
    struct slice unit = {word.ptr + digits, word.len - digits};
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (config_name_equal(unit, config_slice(units[i].name)))
            return !__builtin_mul_overflow(sum, units[i].bytes, bytes);
    return false;
}

void config_format_memory(uint64_t bytes, struct config_text *out)
{
    static const char units[][3] = {"gb", "mb", "kb"};
    for (int i = 0; i < 3; i++) {
        int shift = 30 - 10 * i;
        if (bytes == 0 || bytes & (((uint64_t)1 << shift) - 1)) continue;
        config_text_format(out, "%" PRIu64 "%s", bytes >> shift, units[i]);
        return;
    }
    config_text_format(out, "%" PRIu64, bytes);
}

static bool parse_octal(struct slice word, int64_t *value)
{
    bool negative = word.len > 1 && word.ptr[0] == '-';
    int64_t sum = 0;
    if (word.len == 0) return false;
    for (size_t i = negative; i < word.len; i++) {
        unsigned digit = (unsigned)(word.ptr[i] - '0');
        if (digit > 7 || sum > INT64_MAX / 8) return false;
        sum = sum * 8 + digit;
    }
    *value = negative ? -sum : sum;
    return true;
}

static bool parse_number(const struct config_row *row, struct slice word, int64_t *value, char *reason)
{
    bool memory = row->kind == CONFIG_KIND_MEMORY || row->kind == CONFIG_KIND_MEMORY_OR_PERCENT;
    uint64_t bytes;
    if (memory && config_parse_memory(word, &bytes)) {
        bool fits = bytes <= INT64_MAX || row->max > INT64_MAX;
        *value = fits ? (int64_t)bytes : row->min - 1; /* check_bounds() then says so */
        return true;
    }
    if (row->kind == CONFIG_KIND_MEMORY_OR_PERCENT && word.len > 1 && word.ptr[word.len - 1] == '%' &&
        number_parse_i64(word.ptr, word.len - 1, value) && *value >= 0) {
        *value = -*value;
        return true;
    }
    if (row->kind == CONFIG_KIND_OCTAL && parse_octal(word, value)) return true;
    if (row->kind == CONFIG_KIND_INT && number_parse_i64(word.ptr, word.len, value)) return true;
    switch (row->kind) {
    case CONFIG_KIND_MEMORY: REASON("argument must be a memory value"); break;
    case CONFIG_KIND_MEMORY_OR_PERCENT: REASON("argument must be a memory or percent value"); break;
    case CONFIG_KIND_OCTAL: REASON("argument couldn't be parsed as an octal number"); break;
    default: REASON("argument couldn't be parsed into an integer");
    }
    return false;
}

static bool check_bounds(const struct config_row *row, int64_t value, char *reason)
{
    if (row->kind == CONFIG_KIND_MEMORY_OR_PERCENT && value < 0) {
        if (value >= row->min) return true;
        REASON("percentage argument must be less or equal to %" PRId64, -row->min);
        return false;
    }
    /* Only a bound above INT64_MAX makes a directive unsigned: its values were parsed as such. */
    if (row->max > INT64_MAX ? true : value >= row->min && value <= (int64_t)row->max) return true;
    if (row->kind == CONFIG_KIND_OCTAL)
        REASON("argument must be between %" PRIo64 " and %" PRIo64 " inclusive", row->min, row->max);
    else
        REASON("argument must be between %" PRId64 " and %" PRIu64 " inclusive", row->min, row->max);
    return false;
}

/* ---- enums ---- */

static bool parse_enum(const struct config_row *row, const struct slice *words, size_t count, int64_t *value,
                       char *reason)
{
    int bits = 0;
    size_t matched = 0;
    for (size_t i = 0; i < count; i++) {
        const struct config_name *name = row->values;
        while (name->name && !config_name_equal(words[i], config_slice(name->name))) name++;
        if (!name->name) break;
        bits |= name->value;
        matched++;
    }
    if (matched == 0 || matched != count || (count > 1 && !(row->flags & CONFIG_FLAG_MULTI))) {
        size_t len = (size_t)REASON("argument(s) must be one of the following: ");
        for (const struct config_name *name = row->values; name->name && len < CONFIG_ERROR_MAX; name++)
            len += (size_t)snprintf(reason + len, CONFIG_ERROR_MAX - len, "%s%s",
                                    name == row->values ? "" : ", ", name->name);
        return false;
    }
    *value = bits;
    return true;
}

static void format_enum(const struct config_row *row, int value, struct config_text *out)
{
    for (const struct config_name *name = row->values; name->name; name++) {
        if (name->value != value) continue;
        config_text_append(out, config_slice(name->name));
        return;
    }
    CHECK(row->flags & CONFIG_FLAG_MULTI);
    const char *gap = "";
    for (const struct config_name *name = row->values; name->name; name++) {
        if (!name->value || (value & name->value) != name->value) continue;
        config_text_format(out, "%s%s", gap, name->name);
        gap = " ";
    }
}

/* ---- strings ---- */

static bool is_base_name(struct slice value)
{
    return !memchr(value.ptr, '/', value.len) && !memchr(value.ptr, '\\', value.len);
}

static bool is_host_name(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        bool alphanumeric = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!alphanumeric && c != '-' && c != '.') return false;
    }
    return true;
}

/* Names that Redis can put into nodes.conf and CLUSTER SLOTS. */
static bool is_node_name(struct slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if (strchr("!#$%&()*+:;<>?@[]^{|}~", value.ptr[i])) return false; /* NUL as well */
    return true;
}

/* "{title} {unixsocket}": only these names between braces; "{{" is a brace, and so is a "}" that ends
 * nothing. More than blanks must be left when there is no title. */
static bool is_title_template(struct slice value)
{
    static const char *const names[] = {"title",    "listen-addr", "server-mode", "port",
                                        "tls-port", "unixsocket",  "config-file"};
    bool shows = false;
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] != '{' || (i + 1 < value.len && value.ptr[i + 1] == '{')) {
            shows |= value.ptr[i] != ' ';
            i += value.ptr[i] == '{';
            continue;
        }
        const char *begin = value.ptr + i + 1;
        const char *close = memchr(begin, '}', value.len - i - 1);
        if (!close) return false;
        size_t known = 0;
        while (known < ARRAY_LEN(names) &&
               !slice_equal((struct slice){begin, (size_t)(close - begin)}, config_slice(names[known])))
            known++;
        if (known == ARRAY_LEN(names)) return false;
        shows |= known > 0;
        i = (size_t)(close - value.ptr);
    }
    return shows;
}

static bool check_string(const struct config_row *row, struct slice value, char *reason)
{
    const char *name = row->name;
    const char *why = NULL;
    if (!strcmp(name, "dbfilename") && !is_base_name(value))
        why = "dbfilename can't be a path, just a filename";
    else if (!strcmp(name, "appendfilename") && value.len == 0)
        why = "appendfilename can't be empty";
    else if (!strcmp(name, "appendfilename") && !is_base_name(value))
        why = "appendfilename can't be a path, just a filename";
    else if (!strcmp(name, "appenddirname") && value.len == 0)
        why = "appenddirname can't be empty";
    else if (!strcmp(name, "appenddirname") && !is_base_name(value))
        why = "appenddirname can't be a path, just a dirname";
    else if (!strcmp(name, "cluster-announce-hostname") && value.len >= 256)
        why = "Hostnames must be less than 256 characters";
    else if (!strcmp(name, "cluster-announce-hostname") && !is_host_name(value))
        why = "Hostnames may only contain alphanumeric characters, hyphens or dots";
    else if (!strcmp(name, "cluster-announce-human-nodename") && !is_node_name(value))
        why = "Announced human node name contained invalid character";
    else if (!strcmp(name, "proc-title-template") && !is_title_template(value))
        why = "template format is invalid or contains unknown variables";
    if (why) REASON("%s", why);
    return why == NULL;
}

/* ---- the directive ---- */

static bool set_number(struct config *config, const struct config_row *row, const struct slice *words,
                       size_t count, char *reason)
{
    int64_t value;
    if (row->kind == CONFIG_KIND_BOOL) {
        value = config_name_equal(words[0], SLICE("yes"));
        if (!value && !config_name_equal(words[0], SLICE("no"))) {
            REASON("argument must be 'yes' or 'no'");
            return false;
        }
    } else if (row->kind == CONFIG_KIND_ENUM) {
        if (!parse_enum(row, words, count, &value, reason)) return false;
        if (!strncmp(row->name, "shutdown-on-sig", 15) && (value & 3) == 3) {
            REASON("shutdown options SAVE and NOSAVE can't be used simultaneously");
            return false;
        }
    } else if (!parse_number(row, words[0], &value, reason) || !check_bounds(row, value, reason)) {
        return false;
    }
    if (row->offset == offsetof(struct config, hz))
        value = value < HZ_MIN ? HZ_MIN : value > HZ_MAX ? HZ_MAX : value;
    number_store(config, row, value);
    return true;
}

static bool set_any(struct config *config, const struct config_row *row, const struct slice *words,
                    size_t count, char *reason)
{
    if (row->kind == CONFIG_KIND_SPECIAL) return config_special_set(config, row, words, count, reason);
    if (!(row->flags & CONFIG_FLAG_MULTI) && count != 1) {
        REASON("wrong number of arguments");
        return false;
    }
    if (row->kind != CONFIG_KIND_STRING) return set_number(config, row, words, count, reason);
    if (!check_string(row, words[0], reason)) return false;
    config_text_set(text_at(config, row), words[0]);
    return true;
}

bool config_row_set(struct config *config, const struct config_row *row, const struct slice *words,
                    size_t count, char reason[CONFIG_ERROR_MAX])
{
    CHECK(row->kind != CONFIG_KIND_FILE);
    if (!set_any(config, row, words, count, reason)) return false;
    if (row->state != CONFIG_PENDING || config_row_is_default(config, row)) return true;
    struct slice initial = config_slice(row->initial);
    char ignored[CONFIG_ERROR_MAX];
    CHECK(set_any(config, row, &initial, 1, ignored));
    REASON("%s", row->reason);
    return false;
}

void config_row_get(const struct config *config, const struct config_row *row, struct config_text *out)
{
    switch (row->kind) {
    case CONFIG_KIND_SPECIAL: config_special_get(config, row, out); return;
    case CONFIG_KIND_STRING:
        config_text_append(out, config_text_slice(text_at((struct config *)(uintptr_t)config, row)));
        return;
    case CONFIG_KIND_BOOL:
        config_text_append(out, config_slice(number_load(config, row) ? "yes" : "no"));
        return;
    case CONFIG_KIND_ENUM: format_enum(row, (int)number_load(config, row), out); return;
    default: break;
    }
    int64_t value = number_load(config, row);
    if (row->kind == CONFIG_KIND_OCTAL)
        config_text_format(out, "%" PRIo64, (uint64_t)value);
    else if (row->kind == CONFIG_KIND_MEMORY_OR_PERCENT && value < 0)
        config_text_format(out, "%" PRId64 "%%", -value);
    else if (row->max > INT64_MAX)
        config_text_format(out, "%" PRIu64, (uint64_t)value);
    else
        config_text_format(out, "%" PRId64, value);
}

bool config_row_is_default(const struct config *config, const struct config_row *row)
{
    struct config_text now;
    config_text_init(&now);
    config_row_get(config, row, &now);
    bool same = slice_equal(config_text_slice(&now), config_slice(row->initial));
    config_text_free(&now);
    return same;
}

void config_row_lines(const struct config *config, const struct config_row *row, config_put_fn put,
                      void *context)
{
    if (row->kind == CONFIG_KIND_FILE) return;
    if (row->kind == CONFIG_KIND_SPECIAL) {
        config_special_lines(config, row, put, context);
        return;
    }
    struct config_text line, value;
    config_text_init(&line);
    config_text_init(&value);
    config_row_get(config, row, &value);
    if ((row->flags & CONFIG_FLAG_UNSET_IF_EMPTY) && value.len == 0) {
        put(context, NULL, false);
    } else {
        config_text_format(&line, "%s ", row->name);
        if (row->kind == CONFIG_KIND_STRING)
            config_text_append_quoted(&line, config_text_slice(&value));
        else if (row->kind == CONFIG_KIND_MEMORY ||
                 (row->kind == CONFIG_KIND_MEMORY_OR_PERCENT && number_load(config, row) >= 0))
            config_format_memory((uint64_t)number_load(config, row), &line);
        else
            config_text_append(&line, config_text_slice(&value));
        put(context, &line, !config_row_is_default(config, row));
    }
    config_text_free(&line);
    config_text_free(&value);
}
