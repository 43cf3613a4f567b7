/* A node's store without shards: all partitions in one env, the real command handlers called as dispatch
 * calls them, random command lines of every family, change records gathered, and a comparison of two such
 * nodes. For store_apply_test.c and store_memory_test.c; included once per program. */
#ifndef WEFT_TEST_STORE_NODE_H
#define WEFT_TEST_STORE_NODE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/crc.h"
#include "command/command.h"
#include "io/world.h"
#include "store/mutate_hash.h"
#include "store/mutate_list.h"
#include "store/mutate_set.h"
#include "store/mutate_zset.h"

#define DATABASES     3
#define SLAB_BYTES    (64u << 20)
#define START_MS      1700000000000
#define LINE_ARGS_MAX 700

static const struct slab_memory slab_memory = {io_memory_reserve, io_memory_unreserve, io_memory_decommit,
                                               NULL};

struct store_node {
    struct config config;
    struct store_env env;
    struct prng prng;
    struct partition *partitions[PARTITION_COUNT], *array;
    int64_t expiry_ms[PARTITION_COUNT];
    struct reply reply;
    uint8_t *records; /* encoded, one after the other */
    size_t records_len, records_capacity, last_record;
    uint64_t records_count;
};

static void gather_record(void *context, const struct record *record)
{
    struct store_node *node = context;
    size_t need = node->records_len + record_size_max(record);
    if (need > node->records_capacity) {
        node->records_capacity = need * 2;
        node->records = realloc(node->records, node->records_capacity);
        assert_non_null(node->records);
    }
    node->last_record = node->records_len;
    node->records_len += record_encode(record, node->records + node->records_len);
    node->records_count++;
}

static void end_unit(void *context)
{
    struct store_node *node = context;
    assert_true(node->last_record < node->records_len);
    record_clear_more(node->records + node->last_record);
}

static struct store_node *node_new_limited(uint64_t seed, bool with_sink, size_t limit_bytes)
{
    struct store_node *node = calloc(1, sizeof *node);
    assert_non_null(node);
    config_init(&node->config);
    prng_seed(&node->prng, seed);
    node->env = (struct store_env){.now_ms = START_MS,
                                   .hash_seed = seed * 77,
                                   .config = &node->config,
                                   .prng = &node->prng,
                                   .expiry_ms = node->expiry_ms,
                                   .next_expiry_ms = INT64_MAX};
    if (with_sink) {
        node->env.record_sink = gather_record;
        node->env.record_unit_end = end_unit;
        node->env.record_sink_context = node;
    }
    node->array = aligned_alloc(64, PARTITION_COUNT * sizeof *node->array);
    for (uint16_t p = 0; p < PARTITION_COUNT; p++) {
        node->expiry_ms[p] = INT64_MAX;
        node->partitions[p] = &node->array[p];
        assert_true(partition_init(node->partitions[p], p, DATABASES, &slab_memory, limit_bytes));
        partition_hold(node->partitions[p], &node->env);
    }
    reply_init(&node->reply, 2);
    return node;
}

static struct store_node *node_new(uint64_t seed, bool with_sink)
{
    return node_new_limited(seed, with_sink, SLAB_BYTES);
}

static void node_free(struct store_node *node)
{
    for (int p = 0; p < PARTITION_COUNT; p++) partition_destroy(node->partitions[p]);
    free(node->array);
    config_free(&node->config);
    reply_free(&node->reply);
    free(node->records);
    free(node);
}

/* ---- running a command line ---- */

struct line {
    struct slice argv[LINE_ARGS_MAX];
    int argc;
    uint8_t db;
    char *bytes;
    size_t len, capacity;
};

static void line_add(struct line *line, const void *bytes, size_t len)
{
    assert_true(line->argc < LINE_ARGS_MAX && line->len + len <= line->capacity);
    memcpy(line->bytes + line->len, bytes, len);
    line->argv[line->argc++] = (struct slice){line->bytes + line->len, len};
    line->len += len;
}

static void line_clear(struct line *line)
{
    if (!line->bytes) line->bytes = malloc(line->capacity = 4 << 20);
    line->len = 0;
    line->argc = 0;
}

/* As remote.c and dispatch.c do it; the reply is in node->reply. */
static void node_run(struct store_node *node, const struct line *line)
{
    const struct command *container = NULL;
    const struct command *command = command_resolve(line->argv, (size_t)line->argc, &container);
    assert_non_null(command);
    assert_non_null(command->handler);
    assert_true(command_arity_fits(command, (size_t)line->argc));
    reply_clear(&node->reply);
    struct command_context ctx = {.argv = line->argv,
                                  .argc = line->argc,
                                  .db = line->db,
                                  .command = command,
                                  .reply = &node->reply,
                                  .env = &node->env,
                                  .config = &node->config,
                                  .now_ms = node->env.now_ms,
                                  .partitions = node->partitions};
    if (command->route == COMMAND_ROUTE_KEY) {
        ctx.key = command_key(&ctx, line->argv[command->key_first]);
        ctx.partition = command_partition(&ctx, &ctx.key);
    }
    mutate_unit_begin(&node->env);
    command->handler(&ctx);
    mutate_unit_end(&node->env);
    assert_null(node->env.reserved);
    assert_false(node->reply.failed);
    assert_true(reply_len(&node->reply) > 0);
}

static bool reply_is(const struct store_node *node, const char *start)
{
    return reply_len(&node->reply) >= strlen(start) && memcmp(node->reply.begin, start, strlen(start)) == 0;
}

/* Everything that is due goes, with its records. */
__attribute__((unused)) static void node_expire_all(struct store_node *node)
{
    for (int p = 0; p < PARTITION_COUNT; p++)
        while (partition_expire(node->partitions[p], 1000)) {
        }
}

/* ---- random command lines ----
 * A template is words with placeholders:
 *   $S $L $T $Z $H key of a string, list, set, sorted set, hash (mostly)   $K any key
 *   $v value  $m member  $f float  $i integer  $x index  $n small count  $t seconds  $p milliseconds
 *   $U, $P absolute times in s, ms      $vs $ms values, members: one to many   $fv field-value pairs
 *   $sm score-member pairs  $kv key-value pairs of strings   $Ks $Ss $Ts $Zs keys   ?word now and then */

static const char *const writes[] = {
    "SET $S $v",
    "SET $S $v EX $t",
    "SET $S $v KEEPTTL",
    "SET $S $v PXAT $P",
    "SET $S $i ?GET ?NX",
    "SETNX $S $v",
    "SETEX $S $t $v",
    "PSETEX $S $p $v",
    "GETSET $S $v",
    "GETDEL $S",
    "GETEX $S PX $p",
    "GETEX $S PERSIST",
    "APPEND $S $v",
    "APPEND $S $i",
    "SETRANGE $S $n $v",
    "INCR $S",
    "DECR $S",
    "INCRBY $S $i",
    "DECRBY $S $n",
    "INCRBYFLOAT $S $f",
    "MSET $kv",
    "MSETNX $kv",
    "SETBIT $S $n 1",
    "SETBIT $S $n 0",
    "BITOP XOR $S $S $S",
    "BITOP NOT $S $S",
    "BITFIELD $S SET u8 $n $n INCRBY i16 $n $n OVERFLOW SAT INCRBY u5 $n $n",
    "DEL $K",
    "DEL $Ks",
    "UNLINK $Ks",
    "EXPIRE $K $t ?NX",
    "PEXPIRE $K $p",
    "PEXPIRE $K $p",
    "EXPIREAT $K $U",
    "PEXPIREAT $K $P",
    "PERSIST $K",
    "RENAME $K $K",
    "RENAMENX $K $K",
    "COPY $K $K ?REPLACE",
    "COPY $K $K DB 1 ?REPLACE",
    "MOVE $K 2",
    "MOVE $K 0",
    "SORT $L ALPHA STORE $L",
    "SORT $T ALPHA DESC STORE $L",
    "SORT $Z BY nosort STORE $L",
    "LPUSH $L $vs",
    "RPUSH $L $vs",
    "RPUSH $L $ms",
    "LPUSHX $L $vs",
    "RPUSHX $L $vs",
    "LPOP $L",
    "RPOP $L",
    "LPOP $L $n",
    "RPOP $L $n",
    "LINSERT $L BEFORE $m $v",
    "LINSERT $L AFTER $m $v",
    "LSET $L $x $v",
    "LREM $L $x $m",
    "LTRIM $L $x $x",
    "LMOVE $L $L LEFT RIGHT",
    "LMOVE $L $L RIGHT LEFT",
    "LMOVE $L $L LEFT LEFT",
    "RPOPLPUSH $L $L",
    "LMPOP 2 $L $L LEFT COUNT $n",
    "SADD $T $ms",
    "SADD $T $ms",
    "SADD $T $i",
    "SADD $T $v",
    "SREM $T $ms",
    "SPOP $T",
    "SPOP $T $n",
    "SMOVE $T $T $m",
    "SINTERSTORE $T $Ts",
    "SUNIONSTORE $T $Ts",
    "SDIFFSTORE $T $Ts",
    "ZADD $Z $sm",
    "ZADD $Z $sm",
    "ZADD $Z NX $sm",
    "ZADD $Z XX CH $sm",
    "ZADD $Z GT $sm",
    "ZADD $Z INCR $f $m",
    "ZADD $Z -0 $m",
    "ZINCRBY $Z $f $m",
    "ZREM $Z $ms",
    "ZPOPMIN $Z",
    "ZPOPMAX $Z $n",
    "ZMPOP 2 $Z $Z MAX COUNT $n",
    "ZREMRANGEBYRANK $Z $x $x",
    "ZREMRANGEBYSCORE $Z $f +inf",
    "ZREMRANGEBYLEX $Z [$m (zz",
    "ZUNIONSTORE $Z 2 $Z $Z",
    "ZUNIONSTORE $Z 2 $Z $T WEIGHTS $f $f AGGREGATE MAX",
    "ZINTERSTORE $Z 2 $Z $Z",
    "ZDIFFSTORE $Z 2 $Z $Z",
    "ZRANGESTORE $Z $Z $x $x",
    "ZRANGESTORE $Z $Z -inf +inf BYSCORE LIMIT 0 $n",
    "HSET $H $fv",
    "HSET $H $fv",
    "HMSET $H $fv",
    "HSETNX $H $m $v",
    "HDEL $H $ms",
    "HINCRBY $H $m $i",
    "HINCRBYFLOAT $H $m $f",
    "HEXPIRE $H $t FIELDS 1 $m",
    "HPEXPIRE $H $p FIELDS 2 $m $m",
    "HPEXPIRE $H $p FIELDS 1 $m",
    "HPEXPIREAT $H $P FIELDS 1 $m",
    "HEXPIREAT $H $U FIELDS 1 $m",
    "HPERSIST $H FIELDS 2 $m $m",
    "HGETEX $H PX $p FIELDS 1 $m",
    "HGETEX $H PERSIST FIELDS 1 $m",
    "HGETDEL $H FIELDS 2 $m $m",
    "HSETEX $H PX $p FIELDS 1 $m $v",
    "HSETEX $H KEEPTTL FIELDS 1 $m $v",
    "HSETEX $H KEEPTTL FIELDS 3 $m $v $m $v $m $v",
    "HPEXPIREAT $H $P FIELDS 4 $m $m $m $m",
    "HSETEX $H FNX FIELDS 1 $m $v",
};

static const char *const reads[] = {
    "GET $S",
    "EXISTS $Ks",
    "TTL $K",
    "TYPE $K",
    "STRLEN $S",
    "LRANGE $L 0 -1",
    "SMEMBERS $T",
    "ZRANGE $Z 0 -1",
    "HGETALL $H",
    "HGET $H $m",
    "RANDOMKEY",
    "HRANDFIELD $H 3",
    "SRANDMEMBER $T -5",
    "ZRANDMEMBER $Z 2",
    "DUMP $K",
    "KEYS *",
    "DBSIZE",
    "HLEN $H",
    "SINTER $Ts",
    "ZUNION 2 $Z $Z",
    "MGET $Ks",
    "TOUCH $Ks",
};

struct generator {
    struct prng *prng;
    int64_t now_ms;
    unsigned keys;    /* per type */
    unsigned many;    /* most elements of a list of arguments */
    size_t value_max; /* longest value */
};

static uint64_t below(const struct generator *g, uint64_t bound)
{
    return prng_below(g->prng, bound);
}

static void add_key(const struct generator *g, struct line *line, char type)
{
    char name[400];
    static const char types[] = "SLTZH";
    if (type == 'K' || below(g, 40) == 0) type = types[below(g, 5)];
    unsigned i = (unsigned)below(g, g->keys);
    int len = sprintf(name, "%s%c%u", i % 2 ? "{a}" : "", type, i);
    if (i == 5) { /* too long for the short header */
        memset(name + len, 'x', 300);
        len += 300;
    }
    line_add(line, name, (size_t)len);
}

static void add_bytes(const struct generator *g, struct line *line, size_t len)
{
    static char text[1 << 20];
    assert_true(len <= sizeof text);
    for (size_t i = 0; i < len; i++) text[i] = i < 40 ? (char)below(g, 256) : (char)('a' + i % 26);
    line_add(line, text, len);
}

static void add_int(const struct generator *g, struct line *line)
{
    static const int64_t edges[] = {0,     1,     -1,          127,        128,       -129,
                                    32767, 40000, -2147483648, 4294967296, INT64_MAX, INT64_MIN};
    char text[32];
    int64_t v = below(g, 3) ? (int64_t)below(g, 200) - 50 : edges[below(g, 12)];
    line_add(line, text, (size_t)sprintf(text, "%lld", (long long)v));
}

static void add_member(const struct generator *g, struct line *line)
{
    char text[128];
    uint64_t i = below(g, below(g, 4) ? 12 : 300);
    int len = i % 3 == 0 ? sprintf(text, "%d", (int)i * 100 - 300) : sprintf(text, "m%d", (int)i);
    if (i == 7 || i == 200) {
        memset(text + len, 'y', 90);
        len += 90;
    }
    line_add(line, text, (size_t)len);
}

static void add_value(const struct generator *g, struct line *line)
{
    switch (below(g, 8)) {
    case 0: add_int(g, line); return;
    case 1: line_add(line, "3.25", 4); return;
    case 2: add_bytes(g, line, below(g, g->value_max + 1)); return;
    case 3: add_bytes(g, line, below(g, 300)); return;
    case 4: add_member(g, line); return;
    default: add_bytes(g, line, below(g, 30)); return;
    }
}

static void add_float(const struct generator *g, struct line *line)
{
    static const char *const edges[] = {"0",  "-0",  "inf", "1e300", "-1.5", "3.0000000000000004",
                                        "17", "1e-7"};
    char text[64];
    if (below(g, 4) == 0) {
        const char *edge = edges[below(g, 8)];
        line_add(line, edge, strlen(edge));
    } else {
        line_add(line, text, (size_t)sprintf(text, "%.2f", (double)below(g, 4000) / 100 - 20));
    }
}

static void add_number(struct line *line, int64_t v)
{
    char text[32];
    line_add(line, text, (size_t)sprintf(text, "%lld", (long long)v));
}

static unsigned some(const struct generator *g)
{
    return below(g, 12) ? 1 + (unsigned)below(g, 4) : 1 + (unsigned)below(g, g->many);
}

static void add_one(const struct generator *g, struct line *line, char what)
{
    switch (what) {
    case 'v': add_value(g, line); break;
    case 'm': add_member(g, line); break;
    case 'f': add_float(g, line); break;
    case 'i': add_int(g, line); break;
    case 'x': add_number(line, (int64_t)below(g, 30) - 12); break;
    case 'n': add_number(line, (int64_t)below(g, below(g, 5) ? 12 : 200)); break;
    case 't': add_number(line, (int64_t)below(g, below(g, 2) ? 5 : 400)); break;
    case 'p': add_number(line, (int64_t)below(g, below(g, 2) ? 300 : 90000)); break;
    case 'U': add_number(line, g->now_ms / 1000 + (int64_t)below(g, 5) - 1); break;
    case 'P':
        add_number(line, g->now_ms + (below(g, 4) ? (int64_t)below(g, 3000) - 200 : 40000000000));
        break;
    default: add_key(g, line, what); break;
    }
}

static void add_word(const struct generator *g, struct line *line, const char *word, size_t len)
{
    if (word[0] == '?') {
        if (below(g, 3) == 0) line_add(line, word + 1, len - 1);
    } else if (word[0] == '$' && len == 2) {
        add_one(g, line, word[1]);
    } else if (word[0] == '$' && word[2] == 's') {
        for (unsigned n = some(g); n > 0; n--) add_one(g, line, word[1]);
    } else if (word[0] == '$') {
        const char *pairs = memcmp(word, "$fv", 3) == 0 ? "mv" : memcmp(word, "$sm", 3) == 0 ? "fm" : "Sv";
        for (unsigned n = some(g); n > 0; n--) {
            add_one(g, line, pairs[0]);
            add_one(g, line, pairs[1]);
        }
    } else {
        line_add(line, word, len);
    }
}

__attribute__((unused)) static void random_line(const struct generator *g, struct line *line,
                                                bool only_writes)
{
    bool read = !only_writes && below(g, 8) == 0;
    const char *at = read ? reads[below(g, sizeof reads / sizeof *reads)]
                          : writes[below(g, sizeof writes / sizeof *writes)];
    line_clear(line);
    line->db = below(g, 5) ? 0 : (uint8_t)below(g, DATABASES);
    while (*at) {
        size_t len = strcspn(at, " ");
        if (at[0] == '[' || at[0] == '(') { /* a lexical bound: the sign sticks to what follows */
            line_add(line, at, 2);
        } else {
            add_word(g, line, at, len);
        }
        at += len;
        at += *at == ' ';
    }
}

/* For messages: the line as text, cut. */
__attribute__((unused)) static const char *line_text(const struct line *line)
{
    static char text[1000];
    size_t at = (size_t)sprintf(text, "db %d:", line->db);
    for (int i = 0; i < line->argc && at < sizeof text - 60; i++) {
        text[at++] = ' ';
        for (size_t k = 0; k < line->argv[i].len && k < 40; k++)
            text[at++] =
                line->argv[i].ptr[k] < ' ' || line->argv[i].ptr[k] > '~' ? '?' : line->argv[i].ptr[k];
    }
    text[at] = 0;
    return text;
}

/* ---- comparison ---- */

struct comparison {
    struct partition *other;
    uint64_t keys, expires, timed_hashes, entry_bytes;
    uint8_t db;
};

static void same_list(const struct value *a, const struct value *b)
{
    struct list_iter i, k;
    struct slice x, y;
    list_verify(a);
    list_verify(b);
    assert_int_equal(list_count(a), list_count(b));
    list_iter_seek(a, 0, &i);
    list_iter_seek(b, 0, &k);
    while (list_iter_next(&i, &x)) {
        assert_true(list_iter_next(&k, &y));
        assert_true(slice_equal(x, y));
    }
}

static void same_set(const struct value *a, const struct value *b)
{
    struct set_iter i;
    struct slice x;
    set_verify(a);
    set_verify(b);
    assert_int_equal(set_count(a), set_count(b));
    set_iter_begin(&i, a);
    while (set_iter_next(&i, &x)) assert_true(set_has(b, x));
}

static void same_hash(const struct value *a, const struct value *b)
{
    struct hash_iter i;
    struct hash_field x, y;
    hash_verify(a);
    hash_verify(b);
    assert_int_equal(hash_count(a), hash_count(b));
    hash_iter_begin(&i, a);
    while (hash_iter_next(&i, &x)) {
        assert_true(hash_find(b, x.field, &y));
        assert_true(slice_equal(x.value, y.value));
        assert_int_equal(x.deadline_ms, y.deadline_ms);
    }
}

static void same_zset(const struct value *a, const struct value *b)
{
    struct zset_iter i, k;
    struct slice x, y;
    double s, t;
    zset_verify(a);
    zset_verify(b);
    assert_int_equal(zset_count(a), zset_count(b));
    zset_iter_seek(a, 0, &i);
    zset_iter_seek(b, 0, &k);
    while (zset_iter_next(&i, &x, &s)) {
        assert_true(zset_iter_next(&k, &y, &t));
        assert_true(slice_equal(x, y));
        if (memcmp(&s, &t, sizeof s) != 0)
            fail_msg("%.*s: %.17g (%s), %.17g (%s)", (int)x.len, x.ptr, s,
                     zset_is_skiplist(a) ? "skiplist" : "listpack", t,
                     zset_is_skiplist(b) ? "skiplist" : "listpack");
    }
}

static void same_entry(void *context, struct entry *a)
{
    struct comparison *c = context;
    struct entry b;
    char x[32], y[32];
    struct key key = {.name = a->key.name, .hash = key_hash(c->other->env, a->key.name), .db = c->db};
    c->keys++;
    if (!entry_find(&b, c->other, &key))
        fail_msg("the other has no key %.*s", (int)key.name.len, key.name.ptr);
    assert_int_equal(item_type(a->item), item_type(b.item));
    assert_int_equal(item_deadline(a->item), item_deadline(b.item));
    switch (item_type(a->item)) {
    case ITEM_STRING: assert_true(slice_equal(entry_string(a, x), entry_string(&b, y))); break;
    case ITEM_LIST: same_list(&a->value, &b.value); break;
    case ITEM_SET: same_set(&a->value, &b.value); break;
    case ITEM_ZSET: same_zset(&a->value, &b.value); break;
    case ITEM_HASH: same_hash(&a->value, &b.value); break;
    default: fail();
    }
}

/* Type, value, deadlines of every key of both; counts. */
__attribute__((unused)) static void assert_same(struct store_node *a, struct store_node *b)
{
    for (int p = 0; p < PARTITION_COUNT; p++) {
        for (uint8_t db = 0; db < DATABASES; db++) {
            struct comparison c = {.other = b->partitions[p], .db = db};
            uint64_t cursor = 0;
            do cursor = partition_scan(a->partitions[p], db, cursor, same_entry, &c);
            while (cursor);
            assert_int_equal(c.keys, partition_keys(a->partitions[p], db));
            assert_int_equal(c.keys, partition_keys(b->partitions[p], db));
            assert_int_equal(partition_expires(a->partitions[p], db),
                             partition_expires(b->partitions[p], db));
        }
    }
}

/* ---- memory ---- */

static void add_entry_bytes(void *context, struct entry *entry)
{
    struct comparison *c = context;
    c->entry_bytes += entry_memory(entry) - 6;
    c->keys++;
    c->expires += item_deadline(entry->item) != ITEM_NO_DEADLINE;
    c->timed_hashes += item_type(entry->item) == ITEM_HASH && hash_earliest_ms(&entry->value) != INT64_MAX;
}

/* What waits to be freed goes. */
static void node_free_pending(struct store_node *node)
{
    for (int p = 0; p < PARTITION_COUNT; p++)
        while (partition_free_some(node->partitions[p], 1000)) {
        }
}

/* What a partition says it uses is what its keys, tables and wheel take; its counts are right. */
static void assert_accounted(struct store_node *node)
{
    node_free_pending(node);
    for (int p = 0; p < PARTITION_COUNT; p++) {
        struct partition *partition = node->partitions[p];
        uint64_t expected = partition->wheel.slots ? slab_rounded(WHEEL_SLOTS * sizeof(slab_handle)) : 0;
        for (uint8_t db = 0; db < DATABASES; db++) {
            struct comparison c = {.db = db};
            uint64_t cursor = 0;
            do cursor = partition_scan(partition, db, cursor, add_entry_bytes, &c);
            while (cursor);
            assert_int_equal(c.keys, partition_keys(partition, db)); /* nothing may be due and not gone */
            assert_int_equal(c.expires, partition_expires(partition, db)); /* P4, P5 */
            assert_int_equal(c.timed_hashes, partition_timed_hashes(partition, db));
            expected += c.entry_bytes + partition_table_bytes(partition, db);
        }
        assert_int_equal(expected, partition_memory(partition));
    }
}

/* Deletes key by key, so that every type's free is used: nothing may be left. */
__attribute__((unused)) static void assert_no_leak(struct store_node *node)
{
    for (int p = 0; p < PARTITION_COUNT; p++) {
        struct partition *partition = node->partitions[p];
        for (uint8_t db = 0; db < DATABASES; db++) {
            struct entry entry;
            bool dead;
            while (partition_random(partition, db, &entry, &dead)) {
                assert_int_equal(mutate_key_delete(&entry, RECORD_DELETED), VALUE_OK);
            }
        }
        while (partition_free_some(partition, 1000)) continue;
        assert_int_equal(partition->pending_objects, 0);
        assert_int_equal(partition->wheel.count, 0);
        uint64_t wheel = partition->wheel.slots ? slab_rounded(WHEEL_SLOTS * sizeof(slab_handle)) : 0;
        assert_int_equal(partition_memory(partition), wheel);
    }
}

#endif
