/* The table of watched keys of one partition; see watch.h. */
#include "store/watch.h"

#include <stdlib.h>
#include "base/check.h"
#include "base/mutant.h"

struct watched {
    struct watched *next;
    uint64_t hash, token;
    uint32_t watchers, key_len;
    uint8_t db;
    bool dead; /* seen dead, and not changed since */
    char key[];
};

struct watch_table {
    uint32_t count, capacity; /* capacity: a power of two */
    uint64_t last_token;
    struct watched **buckets;
};

#define CAPACITY_MIN 16

static struct watched **find(const struct watch_table *table, struct slice key, uint64_t hash, uint8_t db)
{
    struct watched **link = &table->buckets[hash & (table->capacity - 1)];
    while (*link) {
        struct watched *w = *link;
        if (w->hash == hash && (w->db == db || MUTANT(watch_any_db)) && w->key_len == key.len &&
            memcmp(w->key, key.ptr, key.len) == 0)
            break;
        link = &w->next;
    }
    return link;
}

static void grow(struct watch_table *table)
{
    uint32_t capacity = table->capacity * 2;
    struct watched **buckets = calloc(capacity, sizeof *buckets);
    if (!buckets) return; /* longer chains, still right */
    for (uint32_t i = 0; i < table->capacity; i++) {
        for (struct watched *w = table->buckets[i], *next; w; w = next) {
            next = w->next;
            w->next = buckets[w->hash & (capacity - 1)];
            buckets[w->hash & (capacity - 1)] = w;
        }
    }
    free(table->buckets);
    table->buckets = buckets;
    table->capacity = capacity;
}

static struct watch_table *create(void)
{
    struct watch_table *table = calloc(1, sizeof *table);
    CHECK(table);
    table->capacity = CAPACITY_MIN;
    table->buckets = calloc(CAPACITY_MIN, sizeof *table->buckets);
    CHECK(table->buckets);
    return table;
}

uint64_t watch_add(struct watch_table **table, struct slice key, uint64_t hash, uint8_t db)
{
    if (!*table) *table = create();
    struct watch_table *t = *table;
    struct watched **link = find(t, key, hash, db);
    if (!*link) {
        struct watched *w = malloc(sizeof *w + key.len);
        CHECK(w);
        *w = (struct watched){.hash = hash, .token = ++t->last_token, .key_len = (uint32_t)key.len};
        w->db = db;
        memcpy(w->key, key.ptr, key.len);
        *link = w;
        if (++t->count > t->capacity) grow(t);
        link = find(t, key, hash, db);
    }
    (*link)->watchers++;
    return (*link)->token;
}

uint64_t watch_token(const struct watch_table *table, struct slice key, uint64_t hash, uint8_t db)
{
    if (!table) return 0;
    struct watched *w = *find(table, key, hash, db);
    return w ? w->token : 0;
}

void watch_remove(struct watch_table **table, struct slice key, uint64_t hash, uint8_t db)
{
    struct watch_table *t = *table;
    CHECK(t);
    struct watched **link = find(t, key, hash, db);
    struct watched *w = *link;
    CHECK(w && w->watchers > 0);
    if (--w->watchers) return;
    *link = w->next;
    free(w);
    if (--t->count) return;
    watch_destroy(t);
    *table = NULL;
}

void watch_touch(struct watch_table *table, struct slice key, uint64_t hash, uint8_t db)
{
    if (!table) return;
    struct watched *w = *find(table, key, hash, db);
    if (!w) return;
    w->token = ++table->last_token;
    w->dead = false;
}

void watch_see(struct watch_table *table, struct slice key, uint64_t hash, uint8_t db, bool is_dead)
{
    if (!table) return;
    struct watched *w = *find(table, key, hash, db);
    if (!w || w->dead == is_dead) return;
    w->token = ++table->last_token;
    w->dead = is_dead;
}

void watch_bury(struct watch_table *table, struct slice key, uint64_t hash, uint8_t db)
{
    if (!table) return;
    struct watched *w = *find(table, key, hash, db);
    if (!w) return;
    if (!w->dead || MUTANT(watch_burial_is_change)) w->token = ++table->last_token;
    w->dead = false;
}

void watch_each(struct watch_table *table, uint8_t db,
                void (*visit)(void *context, struct slice key, uint64_t hash, uint64_t *token), void *context)
{
    if (!table) return;
    for (uint32_t i = 0; i < table->capacity; i++) {
        for (struct watched *w = table->buckets[i]; w; w = w->next) {
            if (w->db != db) continue;
            uint64_t token = w->token;
            visit(context, (struct slice){w->key, w->key_len}, w->hash, &token);
            if (token != w->token) w->token = ++table->last_token;
        }
    }
}

uint64_t watch_count(const struct watch_table *table)
{
    return table ? table->count : 0;
}

void watch_destroy(struct watch_table *table)
{
    if (!table) return;
    for (uint32_t i = 0; i < table->capacity; i++) {
        for (struct watched *w = table->buckets[i], *next; w; w = next) {
            next = w->next;
            free(w);
        }
    }
    free(table->buckets);
    free(table);
}
