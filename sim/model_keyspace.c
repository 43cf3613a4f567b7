/* Keys of the model: slots sorted by their bytes, expiry on access, tokens of changes. See model_internal.h.
 *
 * Invariants: 1. slots are sorted and unique; 2. a slot without a value has no deadline; 3. a token that was
 * given out never comes again. */
#include "sim/model_collections.h"

#include <stdlib.h>

struct slice bytes_copy(struct slice from)
{
    char *to = malloc(from.len + 1);
    CHECK(to != NULL);
    if (from.len) memcpy(to, from.ptr, from.len);
    to[from.len] = '\0';
    return (struct slice){to, from.len};
}

void bytes_free(struct slice bytes)
{
    free((char *)bytes.ptr);
}

int bytes_compare(struct slice a, struct slice b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter ? memcmp(a.ptr, b.ptr, shorter) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* Where the key is or belongs. */
static size_t position(const struct model_db *db, struct slice key, bool *found)
{
    size_t low = 0, high = db->count;
    *found = false;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = bytes_compare(db->slots[middle]->key, key);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct model_slot *model_slot_find(const struct model_db *db, struct slice key)
{
    bool found;
    size_t at = position(db, key, &found);
    return found ? db->slots[at] : NULL;
}

struct model_slot *model_slot(struct model_db *db, struct slice key)
{
    bool found;
    size_t at = position(db, key, &found);
    if (found) return db->slots[at];
    if (db->count == db->capacity) {
        db->capacity = db->capacity ? 2 * db->capacity : 16;
        db->slots = realloc(db->slots, db->capacity * sizeof(db->slots[0]));
        CHECK(db->slots != NULL);
    }
    struct model_slot *slot = malloc(sizeof(*slot));
    CHECK(slot != NULL);
    *slot = (struct model_slot){.db = db, .key = bytes_copy(key), .deadline_ms = -1};
    memmove(&db->slots[at + 1], &db->slots[at], (db->count - at) * sizeof(db->slots[0]));
    db->slots[at] = slot;
    db->count++;
    return slot;
}

/* The key is there no more: iterations need not tell it. */
static void forget(struct model_slot *slot)
{
    if (slot->db->scans != NULL) scan_watches_forget(slot->db->scans, slot->key);
}

void model_slot_clear(struct model *model, struct model_slot *slot)
{
    if (slot->object == NULL) return;
    forget(slot);
    model_type_ops(slot->object->type)->destroy(slot->object);
    slot->object = NULL;
    slot->deadline_ms = -1;
    slot->token = ++model->changes;
}

void model_slot_expire(struct model *model, struct model_slot *slot, int64_t now_ms)
{
    if (slot->object == NULL || !deadline_is_over(slot->deadline_ms, now_ms)) return;
    slot->ghost_deadline_ms = slot->born_dead ? -1 : slot->deadline_ms;
    model_slot_clear(model, slot);
    slot->ghost = true;
}

struct model_object *model_read_in(struct model_context *c, struct model_db *db, struct slice key)
{
    struct model_slot *slot = model_slot_find(db, key);
    if (slot == NULL) return NULL;
    model_slot_expire(c->model, slot, c->now_ms);
    return slot->object;
}

struct model_object *model_read(struct model_context *c, struct slice key)
{
    return model_read_in(c, c->db, key);
}

struct model_object *model_typed(struct model_context *c, struct slice key, enum model_type type,
                                 const struct value **error)
{
    struct model_object *object = model_read(c, key);
    if (object == NULL || object->type == type) return object;
    *error = want_wrong_type(c);
    return NULL;
}

static void put(struct model_context *c, struct model_db *db, struct slice key, struct model_object *object,
                bool keep_ttl)
{
    CHECK(object != NULL);
    struct model_slot *slot = model_slot(db, key);
    model_slot_expire(c->model, slot, c->now_ms);
    int64_t deadline_ms = keep_ttl ? slot->deadline_ms : -1;
    CHECK(slot->object != object);
    if (slot->object != NULL) model_type_ops(slot->object->type)->destroy(slot->object);
    slot->object = object;
    slot->deadline_ms = deadline_ms;
    slot->ghost = slot->born_dead = false;
    slot->token = ++c->model->changes;
}

void model_put_in(struct model_context *c, struct model_db *db, struct slice key, struct model_object *object)
{
    put(c, db, key, object, false);
}

void model_put(struct model_context *c, struct slice key, struct model_object *object)
{
    put(c, c->db, key, object, false);
}

void model_put_keep_ttl(struct model_context *c, struct slice key, struct model_object *object)
{
    put(c, c->db, key, object, true);
}

bool model_drop_in(struct model_context *c, struct model_db *db, struct slice key)
{
    if (model_read_in(c, db, key) == NULL) return false;
    model_slot_clear(c->model, model_slot_find(db, key));
    return true;
}

bool model_drop(struct model_context *c, struct slice key)
{
    return model_drop_in(c, c->db, key);
}

struct model_object *model_take(struct model_context *c, struct model_db *db, struct slice key,
                                int64_t *deadline_ms)
{
    struct model_object *object = model_read_in(c, db, key);
    if (object == NULL) return NULL;
    struct model_slot *slot = model_slot_find(db, key);
    *deadline_ms = slot->deadline_ms;
    forget(slot);
    slot->object = NULL;
    slot->deadline_ms = -1;
    slot->token = ++c->model->changes;
    return object;
}

void model_touch(struct model_context *c, struct slice key)
{
    model_slot(c->db, key)->token = ++c->model->changes;
}

int64_t model_deadline(struct model_context *c, struct slice key)
{
    struct model_slot *slot = model_slot_find(c->db, key);
    return slot != NULL && slot->object != NULL ? slot->deadline_ms : -1;
}

void model_set_deadline(struct model_context *c, struct slice key, int64_t deadline_ms)
{
    struct model_slot *slot = model_slot_find(c->db, key);
    CHECK(slot != NULL && slot->object != NULL && deadline_ms >= -1);
    slot->deadline_ms = deadline_ms;
    slot->born_dead = deadline_ms >= 0 && deadline_ms <= c->now_ms;
}
