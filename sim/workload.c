/* Draws units from the templates: see workload.h. */
#include "sim/workload.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/number.h"

#define DATABASES 4 /* of 16: keys shall meet */

struct draw {
    struct workload *workload;
    struct prng prng;
    struct unit *unit;
    struct unit_command *command;
    int64_t now_ms;
    int client;
    int story_key[2]; /* 1 + its argument's number; 0: not drawn yet */
    int story_tag;    /* of its keys with @ */
};

static uint64_t below(struct draw *d, uint64_t bound)
{
    return prng_below(&d->prng, bound);
}
static bool chance(struct draw *d, int percent)
{
    return (int)below(d, 100) < percent;
}

/* ---- arguments ----
 * While a unit is drawn, argument slices hold offsets, as its bytes may move. */

static void put(struct draw *d, const void *bytes, size_t len)
{
    struct unit *u = d->unit;
    if (u->args_count == UNIT_ARGS_MAX) return;
    if (u->len + len + 1 > u->capacity) {
        u->capacity = (u->len + len + 1) * 2;
        u->bytes = realloc(u->bytes, u->capacity);
        CHECK(u->bytes);
    }
    memcpy(u->bytes + u->len, bytes, len);
    u->args[u->args_count++] = (struct slice){(const char *)u->len, len};
    u->len += len;
    d->command->argc++;
}

static void put_text(struct draw *d, const char *text)
{
    put(d, text, strlen(text));
}

__attribute__((format(printf, 2, 3))) static void put_f(struct draw *d, const char *format, ...)
{
    char text[96];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    put_text(d, text);
}

/* Nearly all arguments: formatting is what drawing costs. */
static void put_number(struct draw *d, const char *prefix, int64_t number)
{
    char text[64];
    size_t len = strlen(prefix);
    memcpy(text, prefix, len);
    put(d, text, len + number_format_i64(text + len, number));
}

static int key_number(struct draw *d)
{
    struct workload *w = d->workload;
    int n = w->keys_per_type;
    switch (w->skew) {
    case SKEW_ZIPF: { /* exponent 1: the inverse of the harmonic sum, nearly */
        double x = exp(prng_unit(&d->prng) * log((double)n + 1)) - 1;
        return x >= n ? n - 1 : (int)x;
    }
    case SKEW_SEQUENTIAL: return (int)(w->sequence++ % (uint64_t)n);
    case SKEW_HOT_SET:
        return chance(d, 90) ? (int)below(d, (uint64_t)(n + 9) / 10) : (int)below(d, (uint64_t)n);
    default: return (int)below(d, (uint64_t)n);
    }
}

static void put_key(struct draw *d, char type)
{
    static const char types[] = "snbhltzx";
    if (type == 'k' || chance(d, 6)) type = types[below(d, sizeof types - 1)];
    int number = key_number(d);
    if (d->workload->tags) {
        put_f(d, "{tag%d}%c%d", number % d->workload->tags, type, number);
        return;
    }
    switch (number % 11) {
    case 7: put_f(d, "{tag%d}%c", number % 3, type); break; /* of one partition */
    case 9: {
        char binary[] = {type, 0, '\r', '\n', (char)(0x80 + number % 100)};
        put(d, binary, sizeof binary);
        break;
    }
    case 10:
        put_f(d, "%c:a key with a rather long name, which does not fit into a few words:%d", type, number);
        break;
    default: put_number(d, (char[]){type, 0}, number);
    }
}

static void put_value(struct draw *d)
{
    char value[4096];
    switch (below(d, 8)) {
    case 0: put_number(d, "", (int)below(d, 200) - 100); return;
    case 1: put(d, "", 0); return;
    case 2: {
        size_t len = 1 + below(d, 40);
        for (size_t i = 0; i < len; i++) value[i] = (char)prng_next(&d->prng);
        put(d, value, len);
        return;
    }
    case 3: { /* perhaps a large one */
        static const int edges[] = {63, 64, 65, 254, 255, 256, 1023, 1024, 1025, 1500, 2048, 4095, 4096};
        uint64_t limit = chance(d, 90) ? 100 : (uint64_t)d->workload->value_len_max;
        size_t len = below(d, limit + 1);
        if (chance(d, 10)) len = (size_t)edges[below(d, ARRAY_LEN(edges))];
        char *big = malloc(len + 1);
        CHECK(big);
        memset(big, 'a' + (int)below(d, 26), len);
        put(d, big, len);
        free(big);
        return;
    }
    default: put_number(d, "value-", below(d, 50));
    }
}

static void put_double(struct draw *d)
{
    static const char *const special[] = {
        "inf", "-inf", "0", "-0", "1e300", "3.0e-5", "1.7976931348623157e308"};
    if (chance(d, 8))
        put_text(d, special[below(d, ARRAY_LEN(special))]);
    else if (chance(d, 50))
        put_number(d, "", (int)below(d, 20) - 10);
    else
        put_f(d, "%.6g", (prng_unit(&d->prng) - 0.5) * 1000);
}

static int64_t ttl_ms(struct draw *d)
{
    if (d->workload->far_deadlines) return 5000000 + (int64_t)below(d, 100000000);
    if (chance(d, 3)) return -(int64_t)below(d, 1000);
    if (d->workload->night_ms && chance(d, 20)) return (int64_t)below(d, (uint64_t)d->workload->night_ms * 2);
    if (chance(d, d->workload->short_ttl_percent)) return (int64_t)below(d, 3000);
    return (int64_t)below(d, 100000);
}

static void put_integer(struct draw *d)
{
    static const char *const special[] = {"9223372036854775807",
                                          "-9223372036854775808",
                                          "9223372036854775808",
                                          "0",
                                          "-1",
                                          "007",
                                          "+5",
                                          " 1",
                                          "1.5",
                                          "x"};
    if (chance(d, 10)) {
        put_text(d, special[below(d, ARRAY_LEN(special))]);
    } else {
        int shift = (int)below(d, 63);
        long long number = (long long)(prng_next(&d->prng) >> shift);
        put_number(d, "", chance(d, 50) ? number : -number);
    }
}

static void put_stream_id(struct draw *d)
{
    static const char *const special[] = {"-", "+", "0-0", "0-1", "5", "x", "3-18446744073709551615", "(5-2"};
    if (chance(d, 15)) {
        put_text(d, special[below(d, ARRAY_LEN(special))]);
    } else if (chance(d, 30)) { /* near those of XADD *, and where the second half is full */
        long long ms = d->now_ms / 100 * 100 + (long long)below(d, 8) * 100;
        const char *open = chance(d, 30) ? "(" : "";
        if (chance(d, 50))
            put_f(d, "%s%lld-18446744073709551615", open, ms);
        else
            put_f(d, "%s%lld-%d", open, ms, (int)below(d, 3));
    } else {
        int ms = (int)below(d, 8); /* the order in which arguments are evaluated is the compiler's */
        put_f(d, "%d-%d", ms, (int)below(d, 8));
    }
}

static int64_t rounded(const struct draw *d, int64_t time_ms)
{
    int64_t unit = d->workload->deadline_round_ms;
    return (time_ms + unit - 1) / unit * unit;
}

/* A time as EXPIRE and the like take it: the four units. */
static void put_time(struct draw *d, char what)
{
    static const char *const edges[] = {"9223372036854775807", "9223372036854775806", "9223372036854775",
                                        "9223372036854776", "-9223372036854775807", "-9223372036854776",
                                        "0", "1.5", "70368744177664"};
    if (chance(d, 3)) {
        const char *edge = edges[below(d, ARRAY_LEN(edges))];
        /* What died before a clock that goes back may live again. */
        if (!d->workload->far_deadlines || (*edge != '-' && edge[1])) {
            put_text(d, edge);
            return;
        }
    }
    int64_t ttl = ttl_ms(d), when = rounded(d, d->now_ms + ttl);
    switch (what) {
    case 'e': put_number(d, "", ttl / 1000); break;
    case 'E': put_number(d, "", chance(d, 50) ? ttl : when - d->now_ms); break;
    case 'A': put_number(d, "", when / 1000); break;
    default: put_number(d, "", when); break;
    }
}

static void put_numbers(struct draw *d, int most)
{
    int count = most - 1 + (int)below(d, 3), first = (int)below(d, 300);
    for (int i = 0; i < count; i++) put_number(d, "", first + i);
}

/* Elements are small up to 64 bytes. */
static bool put_edge(struct draw *d)
{
    char text[66];
    if (!chance(d, 2)) return false;
    memset(text, 'e', sizeof text);
    put(d, text, 63 + below(d, 3));
    return true;
}

static void put_variable(struct draw *d, char what)
{
    static const char *const patterns[] = {"*", "s*", "?1", "*1*", "[sh]*", "field-1*", "nothing"};
    static const char *const bounds[] = {"-inf", "+inf", "(0", "(1.5", "5", "-7", "nan"};
    switch (what) {
    case 'v': put_value(d); break;
    case 'i': put_number(d, "", (int)below(d, 14) - 7); break;
    case 'I': put_integer(d); break;
    case 'u': put_number(d, "", below(d, 20)); break;
    case 'U': put_number(d, "", below(d, chance(d, 50) ? 20 : 500)); break;
    case 'o': put_number(d, "", below(d, chance(d, 10) ? 40000 : 200)); break;
    case 'O': put_number(d, "", below(d, chance(d, 20) ? 6000 : chance(d, 30) ? 1500 : 20)); break;
    case 'f':
        if (put_edge(d)) break;
        put_number(d, "field-", below(d, chance(d, 20) ? 200 : 12)); break;
    case 'm': {
        if (put_edge(d)) break;
        const char *format = chance(d, 40) ? "%d" : "member-%d";
        put_f(d, format, (int)below(d, chance(d, 20) ? 400 : 15));
        break;
    }
    case 'M': put_number(d, "", below(d, 3000)); break;
    case 'r': put_double(d); break;
    case 'F': put_double(d); break;
    case 'R': put_text(d, bounds[below(d, ARRAY_LEN(bounds))]); break;
    case 'L': {
        static const char *const edges[] = {"-", "+", "-", "+", "[member-1", "(member-3", "[", "(", "-x", "+1", "m", ""};
        if (chance(d, 60))
            put_text(d, edges[below(d, ARRAY_LEN(edges))]);
        else
            put_number(d, chance(d, 50) ? "[" : "(", below(d, 400));
        break;
    }
    case 'a': put_number(d, "", d->workload->far_deadlines ? 5000000 : 1 + (int)below(d, 60)); break;
    case 'Z': {
        char large[12000];
        memset(large, 'z', sizeof large);
        put(d, large, 8000 + below(d, sizeof large - 8000));
        break;
    }
    case 'G': put_number(d, "", 3000 + (int)below(d, 6000)); break;
    case 'S': put_numbers(d, d->workload->set_ints_max ? d->workload->set_ints_max : 128); break;
    case 'Q': put_numbers(d, d->workload->list_entries_max ? d->workload->list_entries_max : 128); break;
    case 'd': put_number(d, "", below(d, chance(d, 5) ? 20 : DATABASES)); break;
    case 'p': put_text(d, patterns[below(d, ARRAY_LEN(patterns))]); break;
    case 'j': put_stream_id(d); break;
    case 'w': {
        char sign = chance(d, 50) ? 'u' : 'i';
        put_f(d, "%c%d", sign, 1 + (int)below(d, 64));
        break;
    }
    case 'e':
    case 'E':
    case 'A':
    case 'B': put_time(d, what); break;
    default: put_key(d, what);
    }
}

/* ---- templates ---- */

/* `word` is $1 or $2 and the key's type. */
static void put_story_key(struct draw *d, const char *word)
{
    int *number = &d->story_key[word[1] - '1'];
    if (*number) {
        struct slice key = d->unit->args[*number - 1];
        char bytes[128]; /* they may move */
        size_t len = key.len < sizeof bytes ? key.len : sizeof bytes;
        memcpy(bytes, d->unit->bytes + (size_t)key.ptr, len);
        put(d, bytes, len);
    } else {
        put_key(d, word[2]);
        *number = d->unit->args_count;
    }
}

/* Past the group that begins at `at` (behind its opening bracket): at its closing bracket. */
static const char *group_end(const char *at)
{
    for (int depth = 0;; at++) {
        CHECK(*at);
        if (strchr("[({", *at)) depth++;
        if (strchr("])}", *at) && depth-- == 0) return at;
    }
}

static void expand(struct draw *d, const char *at, const char *end);

static void choose(struct draw *d, const char *at, const char *end)
{
    const char *from[8];
    int count = 0, depth = 0;
    from[count++] = at;
    for (const char *p = at; p < end; p++) {
        if (strchr("[({", *p)) depth++;
        if (strchr("])}", *p)) depth--;
        if (*p == '|' && depth == 0) from[count++] = p + 1;
    }
    int pick = (int)below(d, (uint64_t)count);
    expand(d, from[pick], pick + 1 < count ? from[pick + 1] - 1 : end);
}

static void expand(struct draw *d, const char *at, const char *end)
{
    while (at < end) {
        if (*at == ' ') {
            at++;
            continue;
        }
        bool counted = at[0] == '#' && at[1] == '{', many = at[0] == '&' && at[1] == '{';
        if (counted || many) at++;
        if (strchr("[({", *at)) {
            const char *close = group_end(at + 1);
            int times = *at == '[' ? chance(d, 35) : *at == '(' ? 1 : 1 + (int)below(d, counted ? 3 : 4);
            if (counted) put_number(d, "", times);
            if (many) times = 1 + (int)below(d, 300);
            for (int i = 0; i < times; i++) {
                if (*at == '(')
                    choose(d, at + 1, close);
                else
                    expand(d, at + 1, close);
            }
            at = close + 1;
            continue;
        }
        const char *word = at;
        while (at < end && *at != ' ') at++;
        if (*word == '$' && (word[1] == '1' || word[1] == '2'))
            put_story_key(d, word);
        else if (*word == '@')
            put_f(d, "{%s%d}%.*s", d->workload->tags ? "tag" : "story", d->story_tag, (int)(at - word - 1), word + 1);
        else if (*word == '$')
            put_variable(d, word[1]);
        else
            put(d, word, (size_t)(at - word));
    }
}

static void begin_command(struct draw *d)
{
    d->command = &d->unit->commands[d->unit->count++];
    *d->command = (struct unit_command){.argv = d->unit->args + d->unit->args_count};
}

static bool only_reads(const char *text)
{
    static const char *const names[] = {"GET ", "MGET ", "STRLEN ", "TTL ", "PTTL ", "EXISTS ", "TYPE ", "LLEN ",
                                        "HGET ", "HGETALL ", "HMGET ", "HLEN ", "SMEMBERS ", "SCARD ", "LRANGE ",
                                        "ZRANGE ", "ZCARD ", "XLEN ", "XRANGE ", "EXPIRETIME ", "GETRANGE ",
                                        "SISMEMBER ", "ZSCORE ", "LINDEX ", "GETBIT ", "BITCOUNT ", "DBSIZE"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strncmp(text, names[i], strlen(names[i])) == 0) return true;
    return false;
}

/* As a hasty programmer writes it: a word is missing, or one too many, or another one. */
static void mangle(struct draw *d)
{
    static const char *const words[] = {"", "x", "-1", "0", "1.5", "nan", "9223372036854775808", "WITHSCORES",
                                        "COUNT", "NX", "LIMIT", "FIELDS", "*", "STORE", "GET"};
    struct unit_command *command = d->command;
    const char *word = words[below(d, ARRAY_LEN(words))];
    uint64_t kind = below(d, 3);
    if (command->argc < 2) return;
    if (kind == 0) {
        d->unit->args_count--;
        command->argc--;
    } else if (kind == 1) {
        put_text(d, word);
    } else { /* its bytes stand behind the others */
        struct slice *arg = &command->argv[1 + below(d, (uint64_t)command->argc - 1)];
        put_text(d, word);
        if (d->unit->args_count == UNIT_ARGS_MAX) return;
        *arg = d->unit->args[--d->unit->args_count];
        command->argc--;
    }
}

static void draw_command(struct draw *d, uint32_t families)
{
    int total = 0;
    for (int i = 0; i < workload_template_count; i++)
        if (workload_templates[i].family & families) total += workload_templates[i].weight;
    if (total == 0) {
        put_text(d, "PING");
        return;
    }
    int tries = d->workload->has_readers && d->client % 3 == 0 ? 8 : 1;
    const char *text = NULL;
    enum workload_family family = 0;
    while (tries-- > 0 && (!text || !only_reads(text))) {
        int at = (int)below(d, (uint64_t)total), i = -1;
        while (at >= 0)
            if (workload_templates[++i].family & families) at -= workload_templates[i].weight;
        text = workload_templates[i].text;
        family = workload_templates[i].family;
    }
    expand(d, text, text + strlen(text));
    /* Not where a deadline must be far. */
    if (family < FAMILY_SERVER && !d->workload->far_deadlines && chance(d, 2)) mangle(d);
}

/* ---- units for the history checkers ---- */

static void draw_register(struct draw *d)
{
    int key = (int)below(d, 6);
    d->unit->family = FAMILY_REGISTER;
    begin_command(d);
    switch (below(d, 8)) {
    case 0:
    case 1:
    case 2: put_text(d, "GET"); break;
    case 3: put_text(d, "INCR"); break;
    case 4: put_text(d, "SETNX"); break;
    case 5: put_text(d, "GETSET"); break;
    case 6: put_text(d, "DEL"); break;
    default: put_text(d, "SET");
    }
    bool has_value = d->unit->bytes[0] == 'S' || (d->unit->bytes[0] == 'G' && d->unit->len > 3);
    put_number(d, "register:", key);
    if (has_value) put_number(d, "", (int64_t)(d->workload->sequence++ % 1000000));
}

static void draw_append(struct draw *d)
{
    d->unit->family = FAMILY_APPEND;
    d->unit->is_transaction = true;
    begin_command(d);
    put_text(d, "MULTI");
    int count = 1 + (int)below(d, 4);
    for (int i = 0; i < count; i++) {
        begin_command(d);
        if (d->workload->families & FAMILY_NODE && chance(d, 15)) { /* EXEC waits for other shards here */
            put_text(d, "INFO");
            put_text(d, "keyspace");
            continue;
        }
        bool read = chance(d, 50);
        put_text(d, read ? "LRANGE" : "RPUSH");
        put_number(d, "append:", below(d, 5));
        if (read) {
            put_text(d, "0");
            put_text(d, "-1");
        } else {
            put_number(d, "", (int64_t)++d->workload->sequence);
        }
    }
    begin_command(d);
    put_text(d, "EXEC");
}

static void draw_transaction(struct draw *d, uint32_t families)
{
    d->unit->is_transaction = true;
    if (chance(d, 30)) {
        begin_command(d);
        put_text(d, "WATCH");
        expand(d, "{ $k }", strchr("{ $k }", 0));
        if (chance(d, 50)) {
            begin_command(d);
            draw_command(d, families);
        }
    }
    begin_command(d);
    put_text(d, "MULTI");
    int count = (int)below(d, 6);
    for (int i = 0; i < count; i++) {
        begin_command(d);
        draw_command(d, families);
    }
    begin_command(d);
    put_text(d, chance(d, 92) ? "EXEC" : "DISCARD");
    if (!chance(d, 20) || d->unit->count < 3) return;
    d->unit->rest_at = 1 + (int)below(d, (uint64_t)d->unit->count - 1);
    d->unit->rest_us = 1 + (int64_t)below(d, 1u << (10 + below(d, 12)));
}

/* ---- stories ---- */

static void draw_story(struct draw *d, uint32_t families)
{
    const char *at = NULL;
    for (int tries = 0; tries < 8 && !at; tries++) {
        const struct workload_story *story = &workload_stories[below(d, (uint64_t)workload_story_count)];
        if (story->families & ~families) continue;
        /* Where the clock goes back, nobody knows for how long a pause is. */
        if (!d->workload->far_deadlines || !strstr(story->text, "PAUSE")) at = story->text;
    }
    if (!at) at = "PING";
    d->story_tag = (int)below(d, d->workload->tags ? (uint64_t)d->workload->tags : 12);
    d->unit->is_transaction = strstr(at, "MULTI") != NULL;
    while (at) {
        const char *end = strstr(at, " ; ");
        if (*at == '~') {
            d->unit->rest_at = d->unit->count;
            d->unit->rest_us = 1 + (int64_t)below(d, UINT64_C(1) << (10 + below(d, 12)));
        } else {
            begin_command(d);
            expand(d, at, end ? end : at + strlen(at));
        }
        at = end ? end + 3 : NULL;
    }
}

/* ---- units that change how a connection is served ---- */

static void put_line(struct draw *d, const char *line)
{
    begin_command(d);
    expand(d, line, line + strlen(line));
}

static void draw_commands(struct draw *d, uint32_t families, int count)
{
    for (int i = 0; i < count; i++) {
        begin_command(d);
        draw_command(d, families);
    }
}

/* Each leaves the connection as it was, and ends with a command that is answered. */
static void draw_connection(struct draw *d, uint32_t families)
{
    int count = 1 + (int)below(d, 4);
    switch (below(d, 9)) {
    case 0:
    case 1:
        put_line(d, "CLIENT REPLY SKIP");
        draw_commands(d, families, 1);
        put_line(d, "PING");
        break;
    case 2:
    case 3:
        put_line(d, "CLIENT REPLY OFF");
        draw_commands(d, families, count);
        put_line(d, "[ ( RESET | HELLO ( 2 | 3 ) | NOSUCHCOMMAND | CLIENT REPLY SKIP ) ]");
        if (d->command->argc == 0) put_text(d, "PING");
        draw_commands(d, families, 1);
        put_line(d, "CLIENT REPLY ON");
        break;
    case 4:
        d->unit->is_transaction = true;
        put_line(d, chance(d, 50) ? "CLIENT REPLY SKIP" : "CLIENT REPLY OFF");
        put_line(d, "MULTI");
        draw_commands(d, families & ~(uint32_t)FAMILY_SERVER, count);
        if (chance(d, 50)) put_line(d, "INFO keyspace");
        put_line(d, "EXEC");
        put_line(d, "CLIENT REPLY ON");
        break;
    case 5:
        put_line(d, "MONITOR");
        draw_commands(d, families, count);
        put_line(d, "RESET");
        break;
    case 6: put_line(d, chance(d, 25) ? "QUIT" : "PING"); break;
    case 7:
        put_line(d, "CLIENT ( NO-EVICT | NO-TOUCH ) ( ON | OFF | MAYBE )");
        draw_commands(d, families, count);
        break;
    default:
        put_line(d, "HELLO 3 [ SETNAME $f ]");
        draw_commands(d, families, count);
        put_line(d, "HELLO ( 2 | 3 | 4 )");
        draw_commands(d, families, 1);
    }
}

void workload_draw(struct workload *workload, int client, uint64_t number, int64_t now_ms, struct unit *unit)
{
    struct draw d = {.workload = workload, .unit = unit, .now_ms = now_ms, .client = client};
    prng_seed(&d.prng, workload->seed ^ (uint64_t)client << 48 ^ number * 0x9e3779b97f4a7c15u);
    unit->count = unit->args_count = 0;
    unit->len = 0;
    unit->is_transaction = false;
    unit->rest_at = 0;
    unit->family = 0;
    uint32_t plain = workload->families &
                     ~(uint32_t)(FAMILY_REGISTER | FAMILY_APPEND | FAMILY_CONNECTION | FAMILY_LITMUS);
    bool is_served_otherwise = workload->families & FAMILY_CONNECTION;
    uint32_t kind = (uint32_t)below(&d, 100);
    if (workload->families & FAMILY_REGISTER && (kind < 12 || !plain)) {
        draw_register(&d);
    } else if (workload->families & FAMILY_APPEND && (kind < 18 || !plain)) {
        draw_append(&d);
    } else if (is_served_otherwise && chance(&d, 6)) {
        draw_connection(&d, plain);
    } else if (chance(&d, 3)) {
        draw_story(&d, plain);
    } else if (chance(&d, workload->transaction_percent)) {
        draw_transaction(&d, plain & ~(uint32_t)FAMILY_SERVER);
    } else {
        begin_command(&d);
        draw_command(&d, plain);
    }
    for (int i = 0; i < unit->args_count; i++) unit->args[i].ptr = unit->bytes + (size_t)unit->args[i].ptr;
}

void unit_free(struct unit *unit)
{
    free(unit->bytes);
}
