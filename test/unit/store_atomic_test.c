/* All or nothing: each command that makes several changes is run again and again on a store that was brought
 * to the same state, its n-th allocation fails (and with a second try all from there on), until it needs no
 * n-th one. When it replies OOM everything is as it was: values, deadlines, encodings, memory, no record;
 * otherwise it has done what it does with memory to spare. And a slab that is full to the last byte still
 * keeps what a reservation promised. Units of records: MORE on all but the last. */
#include "store_node.h"

/* ---- a store's whole state as text ---- */

struct text {
    char *bytes;
    size_t len, capacity;
};

static void text_add(struct text *text, const void *bytes, size_t len)
{
    if (len == 0) return;
    if (text->len + len > text->capacity) {
        text->capacity = (text->len + len) * 2;
        text->bytes = realloc(text->bytes, text->capacity);
        assert_non_null(text->bytes);
    }
    memcpy(text->bytes + text->len, bytes, len);
    text->len += len;
}

static void text_slice(struct text *text, struct slice s)
{
    text_add(text, &s.len, sizeof s.len);
    text_add(text, s.ptr, s.len);
}

struct description {
    struct text *text;
    struct partition *partition;
    uint8_t db;
};

static void describe_elements(struct text *text, struct entry *entry)
{
    struct slice s;
    switch (item_type(entry->item)) {
    case ITEM_LIST: {
        struct list_iter iter;
        for (list_iter_seek(&entry->value, 0, &iter); list_iter_next(&iter, &s);) text_slice(text, s);
        break;
    }
    case ITEM_SET: {
        struct set_iter iter;
        for (set_iter_begin(&iter, &entry->value); set_iter_next(&iter, &s);) text_slice(text, s);
        break;
    }
    case ITEM_ZSET: {
        struct zset_iter iter;
        double score;
        for (zset_iter_seek(&entry->value, 0, &iter); zset_iter_next(&iter, &s, &score);) {
            text_slice(text, s);
            text_add(text, &score, sizeof score);
        }
        break;
    }
    case ITEM_HASH: {
        struct hash_iter iter;
        struct hash_field field;
        for (hash_iter_begin(&iter, &entry->value); hash_iter_next(&iter, &field);) {
            text_slice(text, field.field);
            text_slice(text, field.value);
            text_add(text, &field.deadline_ms, sizeof field.deadline_ms);
        }
        break;
    }
    default: {
        char scratch[32];
        text_slice(text, entry_string(entry, scratch));
    }
    }
}

static void describe_entry(void *context, struct entry *entry)
{
    struct description *d = context;
    const char *encoding = entry_encoding(entry);
    int64_t deadline_ms = item_deadline(entry->item);
    text_slice(d->text, entry->key.name);
    text_add(d->text, &d->db, 1);
    text_add(d->text, encoding, strlen(encoding));
    text_add(d->text, &deadline_ms, sizeof deadline_ms);
    describe_elements(d->text, entry);
}

static void describe(struct store_node *node, struct text *text)
{
    text->len = 0;
    for (int p = 0; p < PARTITION_COUNT; p++) {
        for (uint8_t db = 0; db < DATABASES; db++) {
            struct description d = {text, node->partitions[p], db};
            uint64_t cursor = 0;
            do cursor = partition_scan(node->partitions[p], db, cursor, describe_entry, &d);
            while (cursor);
        }
    }
}

/* ---- command lines ---- */

static void line_of(struct line *line, const char *text)
{
    line_clear(line);
    line->db = 0;
    while (*text) {
        size_t len = strcspn(text, " ");
        line_add(line, text, len);
        text += len + (text[len] == ' ');
    }
}

/* "SADD k 3*m" and so on: n elements named by index; `width` makes them that long. */
static void add_elements(struct line *line, const char *form, int from, int n, int width)
{
    char text[4096];
    for (int i = from; i < from + n; i++) {
        for (const char *c = form; *c; c++) {
            int len = *c == 's' ? sprintf(text, "%d.5", i * 7) : sprintf(text, "%c%0*d", *c, width, i);
            line_add(line, text, (size_t)len);
        }
    }
}

static void run(struct store_node *node, struct line *line)
{
    node_run(node, line);
    assert_false(reply_is(node, "-"));
    node->records_len = 0;
}

/* A collection of `n` elements at key "k" (fields alone and pairs alike), or none. */
static void make_present(struct store_node *node, struct line *line, const char *add, const char *form, int n,
                         int width)
{
    if (n == 0) return;
    line_of(line, add);
    add_elements(line, form, 0, n, width);
    run(node, line);
}

/* ---- the test: fail at every allocation ---- */

struct trial {
    const char *setup, *setup_form; /* what makes key "k"; NULL: nothing */
    int present, present_width;
    const char *command, *form; /* the words, and what each element is made of */
    int from, count, width;
    const char *other; /* one more line of setup */
};

static void inject(struct store_node *node, uint64_t after, bool forever)
{
    for (int p = 0; p < PARTITION_COUNT; p++) slab_inject_failure(&node->partitions[p]->slab, after, forever);
}

static struct store_node *prepared(const struct trial *t, struct line *line)
{
    struct store_node *node = node_new(11, true);
    if (t->setup) make_present(node, line, t->setup, t->setup_form, t->present, t->present_width);
    if (t->other) {
        line_of(line, t->other);
        run(node, line);
    }
    line_of(line, t->command);
    if (t->form) add_elements(line, t->form, t->from, t->count, t->width);
    return node;
}

static void assert_units(const struct store_node *node, bool any, const struct trial *t)
{
    struct record record;
    size_t at = 0;
    for (; at < node->records_len;) {
        at += (size_t)record_decode(node->records + at, node->records_len - at, &record);
        assert_int_equal(record.flags & RECORD_MORE, at < node->records_len ? RECORD_MORE : 0);
    }
    if ((at > 0) != any) fail_msg("%s: %s records", t->command, at ? "unexpected" : "no");
}

static void assert_text(const struct text *a, const struct text *b, const struct trial *t, uint64_t n)
{
    if (a->len != b->len || (a->len && memcmp(a->bytes, b->bytes, a->len) != 0))
        fail_msg("%s with %d elements, failing at %d: not as it should be", t->command, t->count, (int)n);
}

/* The number of places at which it failed. */
static int try_everywhere(const struct trial *t, bool forever)
{
    struct line line = {.argc = 0};
    struct text before = {0}, after = {0}, now = {0};
    struct store_node *node = prepared(t, &line);
    int refused = 0;
    describe(node, &before);
    node_run(node, &line);
    assert_false(reply_is(node, "-"));
    assert_units(node, true, t);
    describe(node, &after);
    node_free(node);
    for (uint64_t n = 1;; n++) {
        node = prepared(t, &line);
        inject(node, n, forever);
        node_run(node, &line);
        inject(node, 0, false);
        bool failed = reply_is(node, "-OOM");
        if (!failed) assert_false(reply_is(node, "-"));
        describe(node, &now);
        assert_text(&now, failed ? &before : &after, t, n);
        assert_units(node, !failed, t);
        assert_accounted(node);
        if (failed) {
            refused++;
            node_run(node, &line); /* and now it works */
            describe(node, &now);
            assert_text(&now, &after, t, n);
        }
        assert_no_leak(node);
        node_free(node);
        if (!failed) break;
        assert_true(n < 100000);
    }
    free(line.bytes);
    free(before.bytes);
    free(after.bytes);
    free(now.bytes);
    return refused;
}

static void test_every_allocation(void **state)
{
    static const struct trial trials[] = {
        {NULL, NULL, 0, 0, "SADD k", "m", 0, 3, 1, NULL},
        {NULL, NULL, 0, 0, "SADD k", "m", 0, 1, 1, NULL},
        {NULL, NULL, 0, 0, "SADD k", "m", 0, 300, 4, NULL},
        {NULL, NULL, 0, 0, "SADD k 1 2 3 4", "m", 0, 2, 4, NULL},
        {"SADD k", "m", 100, 4, "SADD k", "m", 50, 100, 4, NULL},
        {"SADD k", "m", 600, 30, "SADD k", "m", 600, 5, 30, NULL},
        {"SADD k", "m", 600, 30, "SADD k", "m", 599, 2, 30, "SET other x"},
        {NULL, NULL, 0, 0, "ZADD k", "sm", 0, 3, 1, NULL},
        {NULL, NULL, 0, 0, "ZADD k", "sm", 0, 200, 60, NULL},
        {"ZADD k", "sm", 250, 20, "ZADD k", "sm", 200, 100, 20, NULL},
        {"ZADD k", "sm", 250, 20, "ZADD k 1 m00000000000000000001 2 m00000000000000000200 -3 new", NULL, 0, 0,
         0, NULL},
        {NULL, NULL, 0, 0, "HSET k", "fv", 0, 3, 1, NULL},
        {NULL, NULL, 0, 0, "HSET k", "fv", 0, 1, 300, NULL},
        {"HSET k", "fv", 3, 5, "HSET k", "fv", 0, 1, 300, NULL},
        {"HSET k", "fv", 3, 5, "HMSET k", "fv", 0, 5, 300, NULL},
        {"HSET k", "fv", 250, 10, "HSET k", "fv", 200, 60, 10, NULL},
        {"HSET k", "fv", 250, 10, "HSET k f0000000001 longer-than-before new value", NULL, 0, 0, 0, NULL},
        {"HSET k", "fv", 20, 3, "HEXPIRE k 100 FIELDS 3", "f", 5, 3, 3, NULL},
        {"HSET k", "fv", 250, 10, "HPEXPIRE k 100000 FIELDS 50", "f", 100, 50, 10, NULL},
        {"HSET k", "fv", 20, 3, "HEXPIRE k 100 FIELDS 1", "f", 5, 1, 3, "EXPIRE k 500"},
        {"HSET k", "fv", 60, 30, "HPEXPIREAT k 1700000900000 FIELDS 20", "f", 5, 20, 30, NULL},
        {"HSET k", "fv", 20, 3, "HGETEX k PX 5000 FIELDS 4", "f", 5, 4, 3, NULL},
        {"HSET k", "fv", 20, 3, "HSETEX k PX 5000 FIELDS 40", "fv", 5, 40, 3, NULL},
        {NULL, NULL, 0, 0, "HSETEX k KEEPTTL FIELDS 2", "fv", 5, 2, 3, NULL},
        {"RPUSH k", "v", 10, 10, "RPUSH k", "v", 5, 10, 10, NULL},
        {"RPUSH k", "v", 300, 100, "LPUSH k", "v", 5, 100, 100, NULL},
        {NULL, NULL, 0, 0, "MSET a 1 b 2 c text", NULL, 0, 0, 0, "SET b old"},
        {NULL, NULL, 0, 0, "MSET", "kv", 0, 100, 40, NULL},
        {NULL, NULL, 0, 0, "MSET {t}a 1 {t}b 2 {t}a text", NULL, 0, 0, 0, "RPUSH {t}a x y z"},
        {NULL, NULL, 0, 0, "MSETNX", "kv", 0, 50, 2000, NULL},
        {NULL, NULL, 0, 0, "MSET", "kv", 0, 1, 2000, NULL},
        /* What another key holds must not be lost when the copy fails. */
        {"SADD k", "m", 300, 10, "RENAME k to", NULL, 0, 0, 0, "RPUSH to x y z"},
        {"SADD k", "m", 300, 10, "COPY k to REPLACE", NULL, 0, 0, 0, "SET to value EX 100"},
        {"ZADD k", "sm", 300, 10, "COPY k to REPLACE", NULL, 0, 0, 0, "HSET to field value"},
        {"HSET k", "fv", 300, 10, "RENAME k to", NULL, 0, 0, 0, "ZADD to 1 x"},
        {"RPUSH k", "v", 300, 100, "COPY k to REPLACE", NULL, 0, 0, 0, "SADD to x"},
        {"SADD k", "m", 300, 10, "SUNIONSTORE to k", NULL, 0, 0, 0, "SET to value"},
        {"ZADD k", "sm", 300, 10, "ZRANGESTORE to k 0 200", NULL, 0, 0, 0, "HSET to field value"},
        {"ZADD k", "sm", 300, 10, "ZUNIONSTORE to 1 k", NULL, 0, 0, 0, "SADD to x"},
        {"RPUSH k", "v", 300, 100, "SORT k ALPHA STORE to", NULL, 0, 0, 0, "SADD to x"},
        {"RPUSH k", "v", 3, 10, "LMOVE k to LEFT LEFT", NULL, 0, 0, 0, "RPUSH to x"},
        {"SADD k", "m", 30, 3, "SMOVE k to m003", NULL, 0, 0, 0, "SADD to x y"},
        {NULL, NULL, 0, 0, "BITFIELD b SET u8 0 1 SET u8 4000 2 SET u16 90000 3", NULL, 0, 0, 0, "SET b 12"},
    };
    int refused = 0;
    for (size_t i = 0; i < ARRAY_LEN(trials); i++) {
        int places = try_everywhere(&trials[i], false);
        if (!places) fail_msg("%s never failed", trials[i].command);
        refused += places + try_everywhere(&trials[i], true);
    }
    assert_true(refused > 2 * (int)ARRAY_LEN(trials));
}

/* ---- full slabs ---- */

/* Fills a slab with all sizes until nothing fits. */
static void fill(struct slab *slab)
{
    for (size_t size = 1 << 20; size >= 8; size /= 2)
        while (slab_alloc(slab, size)) continue;
}

static void test_full_slab(void **state)
{
    struct store_node *node = node_new_limited(5, true, 1u << 20);
    struct line line = {.argc = 0};
    struct key key = {.name = {"k", 1}};
    struct partition *partition = node->partitions[PARTITION_OF_SLOT(key_slot("k", 1))];
    struct text before = {0}, now = {0};
    make_present(node, &line, "SADD k", "m", 300, 10);
    fill(&partition->slab);
    describe(node, &before);
    line_of(&line, "SADD k");
    add_elements(&line, "m", 290, 200, 200);
    node_run(node, &line);
    assert_true(reply_is(node, "-OOM"));
    describe(node, &now);
    assert_int_equal(before.len, now.len);
    assert_memory_equal(before.bytes, now.bytes, now.len);
    /* A reservation made just before the end holds, whatever is allocated meanwhile. */
    partition_destroy(partition);
    assert_true(partition_init(partition, partition->id, DATABASES, &slab_memory, 1u << 20));
    partition_hold(partition, &node->env);
    while (slab_alloc(&partition->slab, 100000)) continue;
    key.hash = key_hash(&node->env, key.name);
    struct entry entry;
    entry_find(&entry, partition, &key);
    assert_int_equal(mutate_reserve_elements(&entry, 20000, 20000 * 40), VALUE_OK);
    char member[41];
    for (int i = 0; i < 20000; i++) {
        bool added;
        struct slice m = {member, (size_t)sprintf(member, "%0*d", 5 + i % 36, i)};
        if (i == 0) assert_int_equal(mutate_set_prepare(&entry, m, 20000), VALUE_OK);
        assert_int_equal(mutate_set_add(&entry, m, &added), VALUE_OK);
    }
    mutate_release(&node->env);
    assert_int_equal(slab_alloc(&partition->slab, 100000), 0);
    assert_int_equal(mutate_reserve_elements(&entry, 2, 100), VALUE_NO_MEMORY); /* the limit is passed */
    assert_null(node->env.reserved);
    set_verify(&entry.value);
    node_free(node);
    free(line.bytes);
    free(before.bytes);
    free(now.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_allocation),
        cmocka_unit_test(test_full_slab),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
