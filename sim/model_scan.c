/* Commands that go over all keys of a database: KEYS, SCAN, DBSIZE, RANDOMKEY.
 *
 * A hash of which every field is past its deadline may be there or not: it may be told and need not be. SCAN
 * is judged over whole iterations, too (without TYPE): a key that was there from the first call to the last
 * must have been told. */
#include "sim/model_collections.h"

#include <stdlib.h>

static bool may_be_gone(const struct model_context *c, const struct model_slot *slot)
{
    return slot->object->type == MODEL_HASH && model_hash_live(as_hash(slot->object), c->now_ms) == 0;
}

/* The slot of a key that is there, surely or maybe. */
static struct model_slot *live_slot(struct model_context *c, const struct value *name)
{
    if (name->kind != VALUE_BULK || model_read(c, name->text) == NULL) return NULL;
    return model_slot_find(c->db, name->text);
}

static bool is_live(const struct model_context *c, const struct model_slot *slot)
{
    return slot->object != NULL && !deadline_is_over(slot->deadline_ms, c->now_ms);
}

static bool pattern_takes(struct slice pattern, struct slice key)
{
    return slice_equal(pattern, SLICE("*")) || glob_matches(pattern, key);
}

static const struct value *refuse_key(struct model_context *c, struct slice key, const char *why)
{
    char shown[120];
    return model_refuse(c, "%s %s", value_print_bytes(key, 60, shown, sizeof(shown)), why);
}

static int order_of_texts(const void *a, const void *b)
{
    return bytes_compare(*(const struct slice *)a, *(const struct slice *)b);
}

static const struct value *do_keys(struct model_context *c)
{
    if (c->reply == NULL) return want_anything(c);
    if (!reply_is_array(c)) return want_array(c, 0);
    struct slice *told = value_alloc(&c->model->arena, (c->reply->count + 1) * sizeof(*told));
    for (size_t i = 0; i < c->reply->count; i++) {
        const struct value *item = &c->reply->items[i];
        if (item->kind != VALUE_BULK) return model_refuse(c, "item %zu is no bulk", i);
        if (live_slot(c, item) == NULL) return refuse_key(c, item->text, "is no key");
        if (!pattern_takes(arg(c, 1), item->text)) return refuse_key(c, item->text, "does not match");
        told[i] = item->text;
    }
    qsort(told, c->reply->count, sizeof(told[0]), order_of_texts);
    size_t at = 0;
    for (size_t i = 0; i < c->db->count; i++) {
        const struct model_slot *slot = c->db->slots[i];
        if (!is_live(c, slot) || !pattern_takes(arg(c, 1), slot->key)) continue;
        if (at < c->reply->count && slice_equal(told[at], slot->key))
            at++;
        else if (!may_be_gone(c, slot))
            return refuse_key(c, slot->key, "is missing");
    }
    return at == c->reply->count ? want_accepted(c) : refuse_key(c, told[at], "came twice");
}

/* Keys past their deadline may count until the server has removed them. */
static const struct value *do_dbsize(struct model_context *c)
{
    int64_t sure = 0, all = 0;
    for (size_t i = 0; i < c->db->count; i++) {
        const struct model_slot *slot = c->db->slots[i];
        all += slot->object != NULL || slot->ghost;
        sure += is_live(c, slot) && !may_be_gone(c, slot);
    }
    return want_between(c, sure, all);
}

/* Where all keys are dead, and CLIENT PAUSE keeps them, one of them is told, as in Redis. */
static const struct value *do_randomkey(struct model_context *c)
{
    if (c->reply == NULL) return want_anything(c);
    bool is_bulk = c->reply->kind == VALUE_BULK, any = false;
    const struct model_slot *slot = is_bulk ? model_slot_find(c->db, c->reply->text) : NULL;
    bool is_kept = slot && (slot->object || slot->ghost);
    for (size_t i = 0; i < c->db->count && !any; i++)
        any = is_live(c, c->db->slots[i]) && !may_be_gone(c, c->db->slots[i]);
    if (is_bulk)
        return (is_kept && !any) || live_slot(c, c->reply) ? want_accepted(c) : model_refuse(c, "which is no key");
    return any ? model_refuse(c, "but there are keys") : want_null(c);
}

/* ---------------------------------------------------------------- SCAN */

static const struct value *read_options(struct model_context *c, struct scan_options *o, bool *typed,
                                        struct slice *type)
{
    const struct value *error = NULL;
    *o = (struct scan_options){.pattern = SLICE("*")};
    *typed = false;
    if (!read_cursor(arg(c, 1), &o->cursor)) return want_error(c, "ERR invalid cursor");
    for (size_t i = 2; i < argc(c); i += 2) {
        int64_t count;
        bool more = i + 1 < argc(c);
        if (more && arg_is(c, i, "COUNT")) {
            if (!arg_int64(c, i + 1, &count, &error)) return error;
            if (count < 1) return want_syntax_error(c);
        } else if (more && arg_is(c, i, "MATCH")) {
            o->pattern = arg(c, i + 1);
        } else if (more && arg_is(c, i, "TYPE")) {
            *type = arg(c, i + 1); /* a name that no type has is no error */
            *typed = true;
        } else if (arg_is(c, i, "NOVALUES")) {
            return want_error(c, "ERR NOVALUES option can only be used in HSCAN");
        } else {
            return want_syntax_error(c);
        }
    }
    return NULL;
}

/* The keys that are there for certain, sorted by bytes. */
static struct slice *sure_keys(struct model_context *c, size_t *count)
{
    struct slice *keys = value_alloc(&c->model->arena, (c->db->count + 1) * sizeof(*keys));
    *count = 0;
    for (size_t i = 0; i < c->db->count; i++) {
        const struct model_slot *slot = c->db->slots[i];
        if (is_live(c, slot) && !may_be_gone(c, slot)) keys[(*count)++] = slot->key;
    }
    return keys;
}

static const struct value *do_scan(struct model_context *c)
{
    struct scan_options o;
    struct slice type = SLICE("");
    bool typed;
    const struct value *error = read_options(c, &o, &typed, &type);
    if (error) return error;
    if (c->reply == NULL) return want_anything(c);
    if (!reply_is_array(c) || c->reply->count != 2 || c->reply->items[1].kind != VALUE_ARRAY)
        return model_refuse(c, "wanted a cursor and an array");
    const struct value *told = &c->reply->items[1];
    /* Those that may be gone are judged here and left out of what follows. */
    struct value *sure = value_copy(&c->model->arena, c->reply);
    sure->items[1].count = 0;
    for (size_t i = 0; i < told->count; i++) {
        struct model_slot *slot = live_slot(c, &told->items[i]);
        if (slot == NULL) return model_refuse(c, "item %zu is no key", i);
        if (typed && !slice_is_word(type, model_type_ops(slot->object->type)->name))
            return refuse_key(c, slot->key, "has another type");
        if (!pattern_takes(o.pattern, slot->key)) return refuse_key(c, slot->key, "does not match");
        if (!may_be_gone(c, slot)) sure->items[1].items[sure->items[1].count++] = told->items[i];
    }
    uint64_t next;
    if (c->reply->items[0].kind != VALUE_BULK || !read_cursor(c->reply->items[0].text, &next))
        return model_refuse(c, "wanted a number as cursor");
    /* Only iterations over all types are followed. */
    if (typed) return want_accepted(c);
    /* Expiry is no news to the iterations under way. */
    for (size_t i = 0; i < c->db->count; i++) model_slot_expire(c->model, c->db->slots[i], c->now_ms);
    size_t count;
    struct slice *keys = sure_keys(c, &count);
    struct model_context only_sure = *c;
    only_sure.reply = sure;
    if (c->db->scans == NULL) {
        c->db->scans = calloc(1, sizeof(*c->db->scans));
        CHECK(c->db->scans != NULL);
    }
    const struct value *reply = judge_element_scan(&only_sure, c->db->scans, &o, keys, NULL, count);
    c->refused = only_sure.refused;
    return reply == sure ? want_accepted(c) : reply;
}

const struct model_row model_rows_scan[] = {
    {"dbsize", 1, 0, do_dbsize},
    {"keys", 2, 0, do_keys},
    {"randomkey", 1, 0, do_randomkey},
    {"scan", -2, 0, do_scan},
    {0},
};
