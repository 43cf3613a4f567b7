/* Request templates and the requests made from them (contract in workload.h). */
#include "workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/crc.h"

#define PARTITIONS     256
#define TAG_LEN        4
#define POOL_SHIFT_MAX ((uint32_t)64 << 10) /* values start at a random place in the first so many bytes */
#define PATCHES_MAX    4096                 /* per command */
#define PARTS_MAX      4096
#define SCORE_DIGITS   9
#define ANY_TEMPLATES  64
#define NO_TAG         UINT32_MAX
#define VALUE_HEADER   16 /* "$4294967295\r\n" */

enum family { STRING, COUNTER, LIST, SET, HASH, ZSET, NO_FAMILY };

static const char *const family_names[] = {"string", "counter", "list", "set", "hash", "zset"};
static const char *const family_prefixes[] = {"key:", "cnt:", "lst:", "set:", "hsh:", "zst:"};

/* In a named command "@" is a key of its family, "@*" --multi keys, "@=" --multi pairs of key and value, "~"
 * an element, "#" --range - 1. */
static const struct {
    const char *name;
    enum family family;
    const char *text;
} named_commands[] = {
    {"get", STRING, "GET @"},
    {"set", STRING, "SET @ __data__"},
    {"mget", STRING, "MGET @*"},
    {"mset", STRING, "MSET @="},
    {"del", STRING, "DEL @"},
    {"exists", STRING, "EXISTS @"},
    {"expire", STRING, "EXPIRE @ __ttl__"},
    {"append", STRING, "APPEND @ __data__"},
    {"getrange", STRING, "GETRANGE @ 0 #"},
    {"incr", COUNTER, "INCR @"},
    {"incrby", COUNTER, "INCRBY @ __score__"},
    {"lpush", LIST, "LPUSH @ __data__"},
    {"rpush", LIST, "RPUSH @ __data__"},
    {"lpop", LIST, "LPOP @"},
    {"rpop", LIST, "RPOP @"},
    {"lrange", LIST, "LRANGE @ 0 #"},
    {"sadd", SET, "SADD @ ~"},
    {"srem", SET, "SREM @ ~"},
    {"sismember", SET, "SISMEMBER @ ~"},
    {"spop", SET, "SPOP @"},
    {"hset", HASH, "HSET @ ~ __data__"},
    {"hget", HASH, "HGET @ ~"},
    {"hdel", HASH, "HDEL @ ~"},
    {"hgetall", HASH, "HGETALL @"},
    {"hincrby", HASH, "HINCRBY @ n~ 1"},
    {"zadd", ZSET, "ZADD @ __score__ ~"},
    {"zrem", ZSET, "ZREM @ ~"},
    {"zscore", ZSET, "ZSCORE @ ~"},
    {"zrank", ZSET, "ZRANK @ ~"},
    {"zrange", ZSET, "ZRANGE @ 0 #"},
    {"zincrby", ZSET, "ZINCRBY @ 1 ~"},
    {"ping", NO_FAMILY, "PING"},
};

static const char *const preload_texts[] = {"SET @ __data__", "SET @ 0",           "RPUSH @ __data__",
                                            "SADD @ ~",       "HSET @ ~ __data__", "ZADD @ __score__ ~"};

enum patch_kind { PATCH_KEY, PATCH_ELEMENT, PATCH_SCORE, PATCH_TTL, PATCH_VALUE };

/* Where in a part's bytes something is written over: the last `width` digits of a number that ends at `end`,
 * or a value of `width` bytes that does. A key's hash tag stands at `tag`. */
struct patch {
    enum patch_kind kind;
    uint32_t end, width, tag;
};

struct part {
    const char *bytes;
    const struct patch *patches;
    uint32_t len, patch_count;
    bool value_after; /* then comes a value with its header, drawn and written apart */
};

struct template
{
    struct part *parts;
    uint32_t part_count;
    uint64_t weight_end; /* sum of the weights up to and with this one */
    uint64_t per_key;    /* preload: requests per key, */
    uint64_t requests;   /* and in all */
    char *text;          /* owns what the parts point to, with `patches` */
    struct patch *patches;
};

struct workload {
    struct template templates[ANY_TEMPLATES];
    unsigned template_count;
    uint64_t weight_total;
    struct sampler keys, elements;
    uint64_t ttl_min_s, ttl_count;
    uint32_t value_min, value_count;
    bool tags;
    char *pool;
    size_t request_size_max, parts_max, wire_size_max;
    /* preload only: the request that comes next */
    bool is_preload;
    unsigned preload_at;
    uint64_t preload_index, fixed_key, fixed_element;
    char tag_of_partition[PARTITIONS][TAG_LEN];
};

static _Noreturn void refuse(const char *what, const char *text)
{
    fprintf(stderr, "weft-bench: %s: %s\n", what, text);
    exit(EXIT_USAGE);
}

static void *allocate(size_t size)
{
    void *ptr = calloc(1, size ? size : 1);
    if (ptr == NULL) {
        fputs("weft-bench: out of memory\n", stderr);
        exit(EXIT_FAILED);
    }
    return ptr;
}

static uint32_t digit_count(uint64_t n)
{
    uint32_t count = 1;
    while (n >= 10) n /= 10, count++;
    return count;
}

/* One short tag per partition, by trying: about 1,500 of them find all 256. */
static void make_tags(struct workload *w)
{
    unsigned found = 0;
    bool has[PARTITIONS] = {false};
    for (uint32_t n = 0; found < PARTITIONS; n++) {
        char tag[TAG_LEN];
        for (uint32_t i = 0, rest = n; i < TAG_LEN; i++, rest /= 26) tag[i] = (char)('a' + rest % 26);
        uint32_t partition = key_slot(tag, TAG_LEN) / (KEY_SLOTS / PARTITIONS);
        if (has[partition]) continue;
        has[partition] = true;
        memcpy(w->tag_of_partition[partition], tag, TAG_LEN);
        found++;
    }
}

/* --- compiling: text with placeholders -> parts with patches --- */

struct compiler {
    struct workload *w;
    const struct options *o;
    const char *command; /* for messages */
    char *text;
    size_t len, part_start;
    struct patch *patches;
    uint32_t patch_count, part_patch_start;
    struct part *parts;
    uint32_t part_count;
    uint32_t tag; /* position of a tag that waits for its key */
    uint32_t key_digits;
};

static void emit(struct compiler *c, const char *bytes, size_t len)
{
    c->text = realloc(c->text, c->len + len);
    CHECK(c->text != NULL);
    memcpy(c->text + c->len, bytes, len);
    c->len += len;
}

static void emit_zeros(struct compiler *c, size_t len)
{
    while (len-- > 0) emit(c, "0", 1);
}

static void add_patch(struct compiler *c, enum patch_kind kind, uint32_t width)
{
    if (c->patch_count == PATCHES_MAX) refuse(c->command, "too many placeholders");
    struct patch *p = &c->patches[c->patch_count++];
    *p = (struct patch){kind, (uint32_t)(c->len - c->part_start), width, NO_TAG};
    if (kind == PATCH_KEY) {
        p->tag = c->tag;
        c->tag = NO_TAG;
    }
}

static void end_part(struct compiler *c, bool value_after)
{
    if (c->part_count == PARTS_MAX) refuse(c->command, "too many values");
    c->parts[c->part_count++] = (struct part){.len = (uint32_t)(c->len - c->part_start),
                                              .patch_count = c->patch_count - c->part_patch_start,
                                              .value_after = value_after};
    c->part_start = c->len;
    c->part_patch_start = c->patch_count;
}

struct placeholder {
    const char *name;
    int kind; /* enum patch_kind, or -1 for the tag */
};

static const struct placeholder placeholders[] = {
    {"__key__", PATCH_KEY}, {"__element__", PATCH_ELEMENT}, {"__score__", PATCH_SCORE},
    {"__ttl__", PATCH_TTL}, {"__data__", PATCH_VALUE},      {"__tag__", -1},
};

static const struct placeholder *find_placeholder(const char *p, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(placeholders); i++) {
        size_t n = strlen(placeholders[i].name);
        if (n <= len && memcmp(p, placeholders[i].name, n) == 0) return &placeholders[i];
    }
    return NULL;
}

static uint32_t placeholder_len(const struct compiler *c, const struct placeholder *h)
{
    switch (h->kind) {
    case PATCH_KEY: return c->key_digits;
    case PATCH_ELEMENT: return c->o->element_size - 1;
    case PATCH_SCORE: return SCORE_DIGITS + 1;
    case PATCH_TTL: return digit_count(c->w->ttl_min_s);
    case PATCH_VALUE: return c->w->value_min;
    default: return TAG_LEN;
    }
}

static void emit_placeholder(struct compiler *c, const struct placeholder *h)
{
    uint32_t len = placeholder_len(c, h);
    switch (h->kind) {
    case PATCH_KEY:
        emit_zeros(c, len);
        add_patch(c, PATCH_KEY, digit_count(c->o->keys - 1));
        break;
    case PATCH_ELEMENT:
        emit_zeros(c, len);
        add_patch(c, PATCH_ELEMENT, digit_count(c->o->elements - 1));
        break;
    case PATCH_SCORE: /* a leading 1: no parser stumbles over leading zeros */
        emit(c, "1", 1);
        emit_zeros(c, len - 1);
        add_patch(c, PATCH_SCORE, SCORE_DIGITS);
        break;
    case PATCH_TTL:
        emit_zeros(c, len);
        add_patch(c, PATCH_TTL, len);
        break;
    case PATCH_VALUE:
        emit_zeros(c, len);
        add_patch(c, PATCH_VALUE, len);
        break;
    default: c->tag = (uint32_t)(c->len - c->part_start); emit_zeros(c, TAG_LEN);
    }
}

static void compile_argument(struct compiler *c, const char *arg, size_t len)
{
    bool apart = c->w->value_count > 1 || c->w->value_min >= BIG_VALUE;
    if (apart && len == 8 && memcmp(arg, "__data__", 8) == 0) {
        end_part(c, true);
        emit(c, "\r\n", 2);
        return;
    }
    size_t total = 0;
    for (size_t i = 0; i < len;) {
        const struct placeholder *h = find_placeholder(arg + i, len - i);
        if (h != NULL && h->kind == PATCH_VALUE && apart)
            refuse(c->command, "a value of variable or large size must be an argument of its own");
        total += h ? placeholder_len(c, h) : 1;
        i += h ? strlen(h->name) : 1;
    }
    char header[32];
    emit(c, header, (size_t)snprintf(header, sizeof header, "$%zu\r\n", total));
    for (size_t i = 0; i < len;) {
        const struct placeholder *h = find_placeholder(arg + i, len - i);
        if (h) {
            emit_placeholder(c, h);
        } else {
            emit(c, arg + i, 1);
        }
        i += h ? strlen(h->name) : 1;
    }
    emit(c, "\r\n", 2);
    if (c->tag != NO_TAG) refuse(c->command, "__tag__ must be followed by __key__ in the same argument");
}

/* The next argument from *text on, "quoted ones" without escapes; NULL at the end. */
static const char *next_argument(const char **text, size_t *len)
{
    const char *p = *text;
    while (*p == ' ') p++;
    if (*p == '\0') return NULL;
    char stop = *p == '"' ? *p++ : ' ';
    const char *end = strchr(p, stop);
    if (end == NULL) end = p + strlen(p);
    *len = (size_t)(end - p);
    *text = *end == '\0' ? end : end + 1;
    return p;
}

static void compile(struct workload *w, const struct options *o, const char *text, uint32_t key_digits,
                    uint64_t weight)
{
    if (w->template_count == ANY_TEMPLATES) refuse(text, "too many commands");
    struct compiler c = {.w = w, .o = o, .command = text, .tag = NO_TAG, .key_digits = key_digits};
    c.patches = allocate(PATCHES_MAX * sizeof *c.patches);
    c.parts = allocate(PARTS_MAX * sizeof *c.parts);
    unsigned argument_count = 0;
    size_t len;
    for (const char *p = text; next_argument(&p, &len) != NULL;) argument_count++;
    if (argument_count == 0) refuse("--command", "is empty");
    char header[32];
    emit(&c, header, (size_t)snprintf(header, sizeof header, "*%u\r\n", argument_count));
    const char *rest = text, *arg;
    while ((arg = next_argument(&rest, &len)) != NULL) compile_argument(&c, arg, len);
    end_part(&c, false);

    struct template *t = &w->templates[w->template_count++];
    *t =
        (struct template){.parts = c.parts, .part_count = c.part_count, .text = c.text, .patches = c.patches};
    w->weight_total += weight;
    t->weight_end = w->weight_total;
    const char *bytes = c.text;
    const struct patch *patches = c.patches;
    size_t size = 0, value_parts = 0;
    uint64_t value_max = (uint64_t)w->value_min + w->value_count - 1;
    for (uint32_t i = 0; i < t->part_count; i++) {
        struct part *part = &t->parts[i];
        part->bytes = bytes;
        part->patches = patches;
        bytes += part->len;
        patches += part->patch_count;
        value_parts += part->value_after;
    }
    size = c.len + value_parts * (VALUE_HEADER + (value_max < BIG_VALUE ? value_max : BIG_VALUE));
    if (size > w->request_size_max) w->request_size_max = size;
    size = c.len + value_parts * (VALUE_HEADER + value_max);
    if (size > w->wire_size_max) w->wire_size_max = size;
    if (2 * value_parts + 1 > w->parts_max) w->parts_max = 2 * value_parts + 1;
}

/* --- named commands -> text with placeholders --- */

static void write_key(FILE *out, const struct options *o, const char *prefix)
{
    fprintf(out, "%s%s__key__", o->tags ? "{__tag__}" : "", prefix);
}

static uint32_t key_digits_of(const struct options *o, const char *prefix)
{
    size_t other = strlen(prefix) + (o->tags ? TAG_LEN + 2 : 0);
    if (other + digit_count(o->keys - 1) > o->key_size)
        refuse("--key-size", "is too small for prefix and --keys");
    return o->key_size - (uint32_t)other;
}

/* `only_one`: --multi does not apply. The caller frees the text. */
static char *expand(const struct options *o, const char *pattern, const char *prefix)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    CHECK(out != NULL);
    for (const char *p = pattern; *p; p++) {
        if (*p == '@' && (p[1] == '*' || p[1] == '=')) {
            p++;
            for (unsigned i = 0; i < o->multi; i++) {
                fputs(i ? " " : "", out);
                write_key(out, o, prefix);
                if (*p == '=') fputs(" __data__", out);
            }
        } else if (*p == '@') {
            write_key(out, o, prefix);
        } else if (*p == '~') {
            fputs("e__element__", out);
        } else if (*p == '#') {
            fprintf(out, "%u", o->range - 1);
        } else {
            fputc(*p, out);
        }
    }
    if (strncmp(pattern, "SET @ __data__", 14) == 0 && o->ttl_max_s > 0) fputs(" EX __ttl__", out);
    CHECK(fclose(out) == 0);
    return text;
}

static void compile_pattern(struct workload *w, const struct options *o, const char *pattern,
                            enum family family, uint64_t weight)
{
    const char *prefix = o->prefix ? o->prefix : family == NO_FAMILY ? "" : family_prefixes[family];
    char *text = expand(o, pattern, prefix);
    compile(w, o, text, family == NO_FAMILY ? 1 : key_digits_of(o, prefix), weight);
    free(text);
}

/* Calls `use` for each NAME:WEIGHT of --mix. */
static void for_each_in_mix(const struct options *o,
                            void (*use)(void *context, size_t command, uint64_t weight), void *context)
{
    const char *p = o->mix ? o->mix : "";
    while (*p) {
        size_t name_len = strcspn(p, ":,"), command = 0;
        while (command < ARRAY_LEN(named_commands) &&
               (strlen(named_commands[command].name) != name_len ||
                memcmp(named_commands[command].name, p, name_len) != 0))
            command++;
        if (command == ARRAY_LEN(named_commands)) refuse("--mix", "names an unknown command (see --help)");
        p += name_len;
        unsigned long weight = 1;
        if (*p == ':') {
            char *end;
            weight = strtoul(p + 1, &end, 10);
            if (end == p + 1 || weight == 0 || weight > 1000000)
                refuse("--mix", "a weight is wanted behind ':'");
            p = end;
        }
        if (*p != ',' && *p != '\0') refuse("--mix", "NAME:WEIGHT,NAME:WEIGHT is wanted");
        use(context, command, weight);
        p += *p == ',';
    }
}

static struct workload *new_empty(const struct options *o)
{
    struct workload *w = allocate(sizeof *w);
    w->tags = o->tags;
    w->value_min = o->value_size_min;
    w->value_count = o->value_size_max - o->value_size_min + 1;
    w->ttl_min_s = o->ttl_max_s ? o->ttl_min_s : 3600;
    w->ttl_count = o->ttl_max_s ? o->ttl_max_s - o->ttl_min_s + 1 : 1;
    if (w->ttl_min_s == 0 || digit_count(w->ttl_min_s) != digit_count(w->ttl_min_s + w->ttl_count - 1))
        refuse("--ttl", "both ends must have the same number of digits, and be above 0");
    if (o->tags && o->keys < PARTITIONS) refuse("--keys", "hash tags need 256 keys or more");
    if (!sampler_init(&w->keys, o->dist, o->keys)) refuse("--dist", "is no distribution (see --help)");
    if (!sampler_init(&w->elements, o->element_dist, o->elements))
        refuse("--element-dist", "is no distribution (see --help)");
    if (o->element_size - 1 < digit_count(o->elements - 1))
        refuse("--element-size", "is too small for --elements");
    make_tags(w);

    size_t size = POOL_SHIFT_MAX + (size_t)o->value_size_max;
    w->pool = allocate(size);
    struct prng prng;
    prng_seed(&prng, 0x776566742d62656e); /* the values of two runs with one seed are the same bytes */
    for (size_t i = 0; i < size; i++)
        w->pool[i] =
            "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[prng_next(&prng) >> 58];
    return w;
}

struct compile_context {
    struct workload *w;
    const struct options *o;
    bool families[NO_FAMILY + 1];
};

static void compile_named(void *context, size_t command, uint64_t weight)
{
    struct compile_context *c = context;
    compile_pattern(c->w, c->o, named_commands[command].text, named_commands[command].family, weight);
}

struct workload *workload_new(const struct options *o)
{
    struct compile_context c = {.w = new_empty(o), .o = o};
    for_each_in_mix(o, compile_named, &c);
    for (unsigned i = 0; i < o->command_count; i++)
        compile(c.w, o, o->commands[i], key_digits_of(o, o->prefix ? o->prefix : "key:"), o->weights[i]);
    return c.w;
}

static void note_family(void *context, size_t command, uint64_t weight)
{
    struct compile_context *c = context;
    c->families[named_commands[command].family] = true;
}

static void note_listed_families(const char *kinds, bool *families)
{
    for (const char *p = kinds; *p;) {
        size_t len = strcspn(p, ","), f = 0;
        while (f < NO_FAMILY && (strlen(family_names[f]) != len || memcmp(family_names[f], p, len) != 0)) f++;
        if (f == NO_FAMILY) refuse("--preload", "kinds are string, counter, list, set, hash and zset");
        families[f] = true;
        p += len;
        p += *p == ',';
    }
}

struct workload *workload_new_preload(const struct options *o, uint64_t *request_count)
{
    struct compile_context c = {.w = new_empty(o), .o = o};
    c.w->is_preload = true;
    if (o->preload_kind != NULL) {
        note_listed_families(o->preload_kind, c.families);
    } else {
        for_each_in_mix(o, note_family, &c);
        if (o->command_count > 0) refuse("--preload", "with --command needs a kind: --preload=string");
    }
    *request_count = 0;
    for (enum family f = STRING; f < NO_FAMILY; f++) {
        if (!c.families[f]) continue;
        compile_pattern(c.w, o, preload_texts[f], f, 1);
        struct template *t = &c.w->templates[c.w->template_count - 1];
        t->per_key = f == STRING || f == COUNTER ? 1 : o->elements;
        t->requests = t->per_key * o->keys;
        *request_count += t->requests;
    }
    return c.w;
}

void workload_free(struct workload *w)
{
    for (unsigned i = 0; i < w->template_count; i++) {
        free(w->templates[i].parts);
        free(w->templates[i].text);
        free(w->templates[i].patches);
    }
    free(w->pool);
    free(w);
}

size_t workload_request_size_max(const struct workload *w)
{
    return w->request_size_max;
}

size_t workload_parts_max(const struct workload *w)
{
    return w->parts_max;
}

size_t workload_wire_size_max(const struct workload *w)
{
    return w->wire_size_max;
}

/* --- running: a template -> one request --- */

void stream_init(struct stream *s, uint64_t seed, uint64_t number)
{
    prng_seed(&s->prng, seed * 0x9e3779b97f4a7c15u + number);
    s->partition_first = 0;
    s->partition_count = PARTITIONS;
}

void stream_set_locality(struct stream *s, enum locality locality, unsigned shard, unsigned shard_count)
{
    CHECK(shard < shard_count && shard_count <= PARTITIONS);
    /* shard = partition * shard_count / 256, so its own are a stretch; the others are the rest of the circle
     */
    uint32_t first = (shard * PARTITIONS + shard_count - 1) / shard_count;
    uint32_t end = ((shard + 1) * PARTITIONS + shard_count - 1) / shard_count;
    s->partition_first = locality == LOCALITY_REMOTE ? end : first;
    s->partition_count = locality == LOCALITY_REMOTE ? PARTITIONS - (end - first) : end - first;
}

static const char digit_pairs[] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
    "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
    "8081828384858687888990919293949596979899";

/* The last `width` digits of `n`, ending before `end`. */
static inline void write_digits(char *end, uint32_t width, uint64_t n)
{
    for (; width >= 2; width -= 2, n /= 100) {
        end -= 2;
        memcpy(end, &digit_pairs[n % 100 * 2], 2);
    }
    if (width) end[-1] = (char)('0' + n % 10);
}

static inline uint64_t draw_key(struct workload *w, struct stream *s)
{
    uint64_t key = w->is_preload ? w->fixed_key : sampler_draw(&w->keys, &s->prng);
    if (LIKELY(s->partition_count == PARTITIONS) || w->is_preload) return key;
    uint64_t partition = s->partition_first + (key % PARTITIONS) * s->partition_count / PARTITIONS;
    key = key - key % PARTITIONS + partition % PARTITIONS;
    return key < w->keys.count ? key : key - PARTITIONS;
}

static inline void apply(struct workload *w, struct stream *s, const struct patch *p, char *bytes)
{
    uint64_t n;
    switch (p->kind) {
    case PATCH_KEY:
        n = draw_key(w, s);
        if (p->tag != NO_TAG) memcpy(bytes + p->tag, w->tag_of_partition[n % PARTITIONS], TAG_LEN);
        break;
    case PATCH_ELEMENT: n = w->is_preload ? w->fixed_element : sampler_draw(&w->elements, &s->prng); break;
    case PATCH_SCORE: n = prng_next(&s->prng) >> 32; break;
    case PATCH_TTL: n = w->ttl_min_s + prng_below(&s->prng, w->ttl_count); break;
    default:
        memcpy(bytes + p->end - p->width, w->pool + (prng_next(&s->prng) & (POOL_SHIFT_MAX - 1)), p->width);
        return;
    }
    write_digits(bytes + p->end, p->width, n);
}

static const struct template *choose(struct workload *w, struct stream *s)
{
    const struct template *t = w->templates;
    if (w->is_preload) {
        while (w->preload_index == w->templates[w->preload_at].requests) {
            w->preload_at++;
            w->preload_index = 0;
        }
        CHECK(w->preload_at < w->template_count);
        t = &w->templates[w->preload_at];
        w->fixed_key = w->preload_index / t->per_key;
        w->fixed_element = w->preload_index % t->per_key;
        w->preload_index++;
    } else if (w->template_count > 1) {
        uint64_t pick = prng_below(&s->prng, w->weight_total);
        while (pick >= t->weight_end) t++;
    }
    return t;
}

static void append_part(struct outbox *out, const char *bytes, size_t len)
{
    struct iovec *last = out->part_count ? &out->parts[out->part_count - 1] : NULL;
    if (last != NULL && (const char *)last->iov_base + last->iov_len == bytes) {
        last->iov_len += len;
    } else {
        out->parts[out->part_count++] = (struct iovec){(void *)(uintptr_t)bytes, len};
    }
}

static void append_value(struct workload *w, struct stream *s, struct outbox *out)
{
    uint32_t size = w->value_min + (uint32_t)prng_below(&s->prng, w->value_count);
    const char *value = w->pool + (prng_next(&s->prng) & (POOL_SHIFT_MAX - 1));
    char *start = out->bytes + out->byte_count, *p = start;
    uint32_t digits = digit_count(size);
    *p++ = '$';
    p += digits;
    write_digits(p, digits, size);
    *p++ = '\r';
    *p++ = '\n';
    if (size < BIG_VALUE) {
        memcpy(p, value, size);
        p += size;
    }
    append_part(out, start, (size_t)(p - start));
    out->byte_count += (size_t)(p - start);
    if (size >= BIG_VALUE) append_part(out, value, size);
}

void workload_append(struct workload *w, struct stream *s, struct outbox *out)
{
    const struct template *t = choose(w, s);
    for (uint32_t i = 0; i < t->part_count; i++) {
        const struct part *part = &t->parts[i];
        char *bytes = out->bytes + out->byte_count;
        memcpy(bytes, part->bytes, part->len);
        for (uint32_t j = 0; j < part->patch_count; j++) apply(w, s, &part->patches[j], bytes);
        append_part(out, bytes, part->len);
        out->byte_count += part->len;
        if (part->value_after) append_value(w, s, out);
    }
}
