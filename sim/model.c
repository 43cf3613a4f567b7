/* The model as a whole: making, copying, executing and judging a call, removals, iteration. See model.h. */
#include "sim/model_collections.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>

static const struct model_row *const families[] = {
    model_rows_string,     model_rows_bits,         model_rows_key,         model_rows_expire,
    model_rows_list,       model_rows_set,          model_rows_set_algebra, model_rows_zset,
    model_rows_zset_range, model_rows_zset_combine, model_rows_stream,      model_rows_sort,
    model_rows_hash,       model_rows_hash_expire,  model_rows_scan,        model_rows_server,
};

/* ---------------------------------------------------------------- life */

static int usage_order(const void *a, const void *b)
{
    return strcmp(((const struct model_usage *)a)->row->name, ((const struct model_usage *)b)->row->name);
}

static void set_defaults(struct model_options *o)
{
    if (o->hash_entries_max == 0) o->hash_entries_max = 512;
    if (o->hash_value_max == 0) o->hash_value_max = 64;
    if (o->set_ints_max == 0) o->set_ints_max = 512;
    if (o->set_entries_max == 0) o->set_entries_max = 128;
    if (o->set_value_max == 0) o->set_value_max = 64;
    if (o->zset_entries_max == 0) o->zset_entries_max = 128;
    if (o->zset_value_max == 0) o->zset_value_max = 64;
    if (o->bulk_max == 0) o->bulk_max = (size_t)512 << 20;
}

struct model *model_create(const struct model_options *options)
{
    struct model *model = calloc(1, sizeof(*model));
    CHECK(model != NULL);
    model->options = *options;
    set_defaults(&model->options);
    for (size_t f = 0; f < ARRAY_LEN(families); f++)
        for (const struct model_row *row = families[f]; row->name != NULL; row++) model->usage_count++;
    model->usage = calloc(model->usage_count, sizeof(model->usage[0]));
    CHECK(model->usage != NULL);
    size_t at = 0;
    for (size_t f = 0; f < ARRAY_LEN(families); f++)
        for (const struct model_row *row = families[f]; row->name != NULL; row++)
            model->usage[at++].row = row;
    qsort(model->usage, model->usage_count, sizeof(model->usage[0]), usage_order);
    for (size_t i = 1; i < model->usage_count; i++)
        CHECK(strcmp(model->usage[i - 1].row->name, model->usage[i].row->name) != 0);
    return model;
}

static void destroy_object(struct model_object *object)
{
    if (object != NULL) model_type_ops(object->type)->destroy(object);
}

static struct model_object *copy_object(const struct model_object *object)
{
    return object != NULL ? model_type_ops(object->type)->copy(object) : NULL;
}

void model_destroy(struct model *model)
{
    for (int d = 0; d < MODEL_DATABASES; d++) {
        struct model_db *db = &model->dbs[d];
        for (size_t i = 0; i < db->count; i++) {
            destroy_object(db->slots[i]->object);
            bytes_free(db->slots[i]->key);
            free(db->slots[i]);
        }
        free(db->slots);
        if (db->scans != NULL) scan_watches_free(db->scans);
        free(db->scans);
    }
    for (size_t i = 0; i < MODEL_PAYLOADS; i++) {
        destroy_object(model->payloads[i].object);
        bytes_free(model->payloads[i].bytes);
    }
    for (size_t i = 0; i < model->unknown_count; i++) bytes_free(model->unknown[i].name);
    free(model->unknown);
    free(model->usage);
    value_arena_free(&model->arena);
    free(model);
}

static void *copy_array(const void *array, size_t count, size_t size)
{
    if (count == 0) return NULL;
    void *copy = malloc(count * size);
    CHECK(copy != NULL);
    memcpy(copy, array, count * size);
    return copy;
}

struct model *model_clone(const struct model *model)
{
    struct model *copy = malloc(sizeof(*copy));
    CHECK(copy != NULL);
    *copy = *model;
    copy->arena = (struct value_arena){0};
    copy->usage = copy_array(model->usage, model->usage_count, sizeof(model->usage[0]));
    copy->unknown = copy_array(model->unknown, model->unknown_count, sizeof(model->unknown[0]));
    for (size_t i = 0; i < copy->unknown_count; i++)
        copy->unknown[i].name = bytes_copy(model->unknown[i].name);
    for (size_t i = 0; i < MODEL_PAYLOADS; i++) {
        if (model->payloads[i].object == NULL) continue;
        copy->payloads[i].object = copy_object(model->payloads[i].object);
        copy->payloads[i].bytes = bytes_copy(model->payloads[i].bytes);
    }
    for (int d = 0; d < MODEL_DATABASES; d++) {
        struct model_db *db = &copy->dbs[d];
        db->capacity = db->count;
        if (db->scans != NULL) {
            db->scans = calloc(1, sizeof(*db->scans));
            CHECK(db->scans != NULL);
            scan_watches_copy(db->scans, model->dbs[d].scans);
        }
        db->slots = copy_array(model->dbs[d].slots, db->count, sizeof(db->slots[0]));
        for (size_t i = 0; i < db->count; i++) {
            const struct model_slot *from = model->dbs[d].slots[i];
            struct model_slot *to = copy_array(from, 1, sizeof(*from));
            to->db = db;
            to->key = bytes_copy(from->key);
            to->object = copy_object(from->object);
            db->slots[i] = to;
        }
    }
    return copy;
}

void model_reset(struct model *model)
{
    for (int d = 0; d < MODEL_DATABASES; d++)
        for (size_t i = 0; i < model->dbs[d].count; i++) {
            model_slot_clear(model, model->dbs[d].slots[i]);
            model->dbs[d].slots[i]->ghost = false;
        }
}

/* ---------------------------------------------------------------- rows */

/* The usage entry of a name in any case, or NULL. */
static struct model_usage *find_row(const struct model *model, const char *name)
{
    size_t low = 0, high = model->usage_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(model->usage[middle].row->name, name);
        if (order == 0) return &model->usage[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

#define NAME_MAX_LEN 64

/* "name" or "name|sub" in lower case; false if it is too long to be known. */
static bool lower_name(struct slice name, const struct slice *sub, char out[2 * NAME_MAX_LEN + 2])
{
    size_t at = 0;
    if (name.len > NAME_MAX_LEN || (sub != NULL && sub->len > NAME_MAX_LEN)) return false;
    for (size_t i = 0; i < name.len; i++) out[at++] = (char)tolower((unsigned char)name.ptr[i]);
    if (sub != NULL) {
        out[at++] = '|';
        for (size_t i = 0; i < sub->len; i++) out[at++] = (char)tolower((unsigned char)sub->ptr[i]);
    }
    out[at] = '\0';
    return strlen(out) == at;
}

bool model_knows(const struct model *model, struct slice name)
{
    char lower[2 * NAME_MAX_LEN + 2];
    return lower_name(name, NULL, lower) && find_row(model, lower) != NULL;
}

bool model_unknown(const struct model *model, size_t i, struct slice *name, uint64_t *count)
{
    if (i >= model->unknown_count) return false;
    *name = model->unknown[i].name;
    *count = model->unknown[i].count;
    return true;
}

bool model_used(const struct model *model, size_t i, const char **name, uint64_t *judged, uint64_t *succeeded)
{
    for (size_t n = 0; n < model->usage_count; n++) {
        if (model->usage[n].judged == 0 || i-- > 0) continue;
        *name = model->usage[n].row->name;
        *judged = model->usage[n].judged;
        *succeeded = model->usage[n].succeeded;
        return true;
    }
    return false;
}

static void count_unknown(struct model *model, struct slice name)
{
    char buffer[80];
    value_print_bytes(name, 60, buffer, sizeof(buffer));
    for (char *p = buffer; *p; p++) *p = (char)toupper((unsigned char)*p);
    struct slice shown = {buffer, strlen(buffer)};
    for (size_t i = 0; i < model->unknown_count; i++)
        if (slice_equal(model->unknown[i].name, shown)) {
            model->unknown[i].count++;
            return;
        }
    model->unknown = realloc(model->unknown, (model->unknown_count + 1) * sizeof(model->unknown[0]));
    CHECK(model->unknown != NULL);
    model->unknown[model->unknown_count++] = (struct model_unknown){bytes_copy(shown), 1};
}

/* ---------------------------------------------------------------- judging */

static void print_call(const struct model_call *call, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < call->argc && used + 8 < size; i++) {
        if (i == 12 && call->argc > 14) {
            snprintf(out + used, size - used, " ...(%zu words)", call->argc);
            return;
        }
        if (i) out[used++] = ' ';
        value_print_bytes(call->argv[i], 60, out + used, size - used);
        if (call->argv[i].len == 0) snprintf(out + used, size - used, "\"\"");
        used += strlen(out + used);
    }
}

static const char *complain(struct model_context *c, const struct value *wanted)
{
    char call[700], got[500], want[500];
    print_call(c->call, call, sizeof(call));
    value_print(c->reply, got, sizeof(got));
    if (c->refused)
        snprintf(want, sizeof(want), "%.*s", (int)wanted->text.len, wanted->text.ptr);
    else
        value_print(wanted, want, sizeof(want));
    snprintf(c->model->complaint, sizeof(c->model->complaint), "%s [db %d, RESP%d%s, at %lld]: got %s, %s%s",
             call, c->call->db, c->resp, c->call->in_multi ? ", in MULTI" : "", (long long)c->now_ms, got,
             c->refused ? "" : "wanted ", want);
    return c->model->complaint;
}

static const struct value *want_unknown_command(struct model_context *c)
{
    char args[400] = "";
    size_t used = 0;
    for (size_t i = 1; i < argc(c) && used < 128; i++) {
        struct slice a = arg(c, i);
        int limit = 128 - (int)used;
        if ((size_t)limit > a.len) limit = (int)a.len;
        used += (size_t)snprintf(args + used, sizeof(args) - used, "'%.*s' ", limit, a.ptr);
    }
    struct slice name = arg(c, 0);
    return want_error(c, "ERR unknown command '%.*s', with args beginning with: %s",
                      (int)(name.len < 128 ? name.len : 128), name.ptr, args);
}

static const struct value *want_unknown_subcommand(struct model_context *c)
{
    struct slice sub = arg(c, 1);
    char name[NAME_MAX_LEN + 1] = "";
    for (size_t i = 0; i < arg(c, 0).len && i < NAME_MAX_LEN; i++)
        name[i] = (char)toupper((unsigned char)arg(c, 0).ptr[i]);
    return want_error(c, "ERR unknown subcommand '%.*s'. Try %s HELP.", (int)(sub.len < 128 ? sub.len : 128),
                      sub.ptr, name);
}

static bool begins_with(struct slice text, const char *prefix)
{
    size_t len = strlen(prefix);
    return text.len >= len && memcmp(text.ptr, prefix, len) == 0;
}

/* A name without a row: only the server can say that there is no such command; then the text is judged. */
static const char *check_unknown(struct model_context *c, const char *container)
{
    if (c->reply != NULL && c->reply->kind == VALUE_ERROR) {
        const char *prefix = container ? "ERR unknown subcommand" : "ERR unknown command";
        const struct value *wanted = container ? want_unknown_subcommand(c) : want_unknown_command(c);
        if (begins_with(c->reply->text, prefix))
            return model_matches(wanted, c->reply) ? NULL : complain(c, wanted);
    }
    struct slice name = arg(c, 0);
    if (container) {
        char both[2 * NAME_MAX_LEN + 2];
        snprintf(both, sizeof(both), "%s|%.*s", container, (int)(arg(c, 1).len < 60 ? arg(c, 1).len : 60),
                 arg(c, 1).ptr);
        count_unknown(c->model, (struct slice){both, strlen(both)});
        return NULL;
    }
    count_unknown(c->model, name);
    return NULL;
}

static bool arity_is_right(const struct model_row *row, size_t count)
{
    return row->arity >= 0 ? count == (size_t)row->arity : count >= (size_t)-row->arity;
}

static bool is_allowed_oom(const struct model_context *c)
{
    if (!c->model->options.may_oom || !(c->row->flags & MODEL_TAKES_MEMORY)) return false;
    return c->reply != NULL && c->reply->kind == VALUE_ERROR &&
           slice_equal(c->reply->text, SLICE("OOM command not allowed when used memory > 'maxmemory'."));
}

/* Executes the call on the model as it is. */
static const char *execute(struct model *model, const struct model_call *call)
{
    struct model_context c = {.model = model,
                              .call = call,
                              .db = &model->dbs[call->db],
                              .now_ms = call->now_ms,
                              .resp = call->resp,
                              .reply = call->reply};
    char name[2 * NAME_MAX_LEN + 2];
    struct model_usage *usage = lower_name(arg(&c, 0), NULL, name) ? find_row(model, name) : NULL;
    if (usage == NULL) return check_unknown(&c, NULL);
    if ((usage->row->flags & MODEL_CONTAINER) && call->argc > 1) {
        const char *container = usage->row->name;
        usage = lower_name(arg(&c, 0), &call->argv[1], name) ? find_row(model, name) : NULL;
        if (usage == NULL) return check_unknown(&c, container);
    }
    c.row = usage->row;
    usage->judged++;
    if (call->reply != NULL && !value_is_error(call->reply)) usage->succeeded++;
    if (call->reply != NULL && !value_speaks(call->reply, call->resp)) {
        const struct value *why = model_refuse(&c, "which RESP%d cannot say", call->resp);
        return complain(&c, why);
    }
    const struct value *wanted;
    if (!arity_is_right(c.row, call->argc))
        wanted = want_wrong_arity(&c);
    else if (is_allowed_oom(&c))
        return NULL;
    else
        wanted = c.row->run(&c);
    CHECK(wanted != NULL);
    if (c.refused) return complain(&c, wanted);
    if (call->reply == NULL || model_matches(wanted, call->reply)) return NULL;
    return complain(&c, wanted);
}

/* A hash named in the call of which every field is past its deadline: the server may have it or not. */
static struct model_slot *find_undecided(struct model *model, const struct model_call *call)
{
    for (int d = 0; d < MODEL_DATABASES; d++)
        for (size_t i = 1; i < call->argc; i++) {
            struct model_slot *slot = model_slot_find(&model->dbs[d], call->argv[i]);
            if (slot == NULL || slot->object == NULL || slot->object->type != MODEL_HASH) continue;
            if (deadline_is_over(slot->deadline_ms, call->now_ms)) continue;
            if (model_hash_live(as_hash(slot->object), call->now_ms) == 0) return slot;
        }
    return NULL;
}

static void swap_models(struct model *a, struct model *b)
{
    struct model old = *a;
    *a = *b;
    *b = old;
    for (int d = 0; d < MODEL_DATABASES; d++) {
        for (size_t i = 0; i < a->dbs[d].count; i++) a->dbs[d].slots[i]->db = &a->dbs[d];
        for (size_t i = 0; i < b->dbs[d].count; i++) b->dbs[d].slots[i]->db = &b->dbs[d];
    }
}

/* Tries with the undecided hash there, then with it gone; what the server did decides. */
static const char *execute_undecided(struct model *model, const struct model_call *call, int depth)
{
    struct model_slot *slot = depth < 3 && model->fields_expire ? find_undecided(model, call) : NULL;
    if (slot == NULL) return execute(model, call);
    struct model *without = model_clone(model);
    struct model_slot *gone = model_slot_find(&without->dbs[slot->db - model->dbs], slot->key);
    model_slot_clear(without, gone);
    gone->ghost = true;
    gone->ghost_deadline_ms = -1;
    const char *complaint = execute(model, call);
    if (complaint != NULL && execute_undecided(without, call, depth + 1) == NULL) {
        swap_models(model, without);
        complaint = NULL;
    }
    model_destroy(without);
    return complaint;
}

const char *model_check(struct model *model, const struct model_call *call)
{
    CHECK(call->argc > 0 && (call->resp == 2 || call->resp == 3));
    CHECK(call->db >= 0 && call->db < MODEL_DATABASES);
    value_arena_reset(&model->arena);
    model->now_ms = call->now_ms;
    return execute_undecided(model, call, 0);
}

/* ---------------------------------------------------------------- removals */

static __attribute__((format(printf, 4, 5))) const char *
complain_of_key(struct model *model, int db, struct slice key, const char *format, ...)
{
    char shown[200], why[400];
    value_print_bytes(key, 100, shown, sizeof(shown));
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof(why), format, args);
    va_end(args);
    snprintf(model->complaint, sizeof(model->complaint), "key %s of database %d: %s", shown, db, why);
    return model->complaint;
}

const char *model_remove(struct model *model, int db, struct slice key, enum model_removal reason,
                         int64_t now_ms)
{
    struct model_slot *slot = model_slot_find(&model->dbs[db], key);
    if (slot != NULL) model_slot_expire(model, slot, now_ms);
    if (slot == NULL || slot->object == NULL) {
        if (slot == NULL || !slot->ghost)
            return complain_of_key(model, db, key, "removed as %s, but it is not there",
                                   reason == MODEL_EXPIRED ? "expired" : "evicted");
        slot->ghost = false;
        return NULL;
    }
    if (reason == MODEL_EXPIRED)
        return complain_of_key(model, db, key,
                               "removed as expired at %lld, but its deadline is %lld (-1: none)",
                               (long long)now_ms, (long long)slot->deadline_ms);
    if (!model->options.may_evict) return complain_of_key(model, db, key, "evicted, which nothing allows");
    if (model->options.evicts_volatile && slot->deadline_ms < 0)
        return complain_of_key(model, db, key, "evicted, which has no deadline");
    model_slot_clear(model, slot);
    return NULL;
}

const char *model_remove_field(struct model *model, int db, struct slice key, struct slice field,
                               int64_t now_ms)
{
    struct model_slot *slot = model_slot_find(&model->dbs[db], key);
    if (slot != NULL) model_slot_expire(model, slot, now_ms);
    if (slot != NULL && slot->object == NULL && slot->ghost) return NULL;
    char shown[200];
    value_print_bytes(field, 100, shown, sizeof(shown));
    if (slot == NULL || slot->object == NULL || slot->object->type != MODEL_HASH)
        return complain_of_key(model, db, key, "field %s removed as expired, but there is no such hash",
                               shown);
    struct model_hash *hash = as_hash(slot->object);
    struct model_field *f = model_hash_find(hash, field);
    if (f == NULL)
        return complain_of_key(model, db, key, "field %s removed as expired, but it is not there", shown);
    if (!deadline_is_over(f->deadline_ms, now_ms))
        return complain_of_key(model, db, key,
                               "field %s removed as expired at %lld, but its deadline is %lld (-1: none)",
                               shown, (long long)now_ms, (long long)f->deadline_ms);
    model_hash_remove(hash, f);
    slot->token = ++model->changes;
    if (hash->count == 0) model_slot_clear(model, slot);
    return NULL;
}

uint64_t model_watch_token(struct model *model, int db, struct slice key, int64_t now_ms)
{
    struct model_slot *slot = model_slot_find(&model->dbs[db], key);
    if (slot == NULL) return 0;
    model_slot_expire(model, slot, now_ms);
    return slot->token;
}

bool model_watch_unsure(const struct model *model, int db, struct slice key, int64_t now_ms)
{
    const struct model_slot *slot = model_slot_find(&model->dbs[db], key);
    if (slot == NULL || slot->object == NULL || slot->object->type != MODEL_HASH) return false;
    const struct model_hash *hash = as_hash(slot->object);
    return model_hash_live(hash, now_ms) < hash->count;
}

/* ---------------------------------------------------------------- iteration */

bool model_next_key(const struct model *model, int db, int64_t now_ms, size_t *cursor, struct model_key *key)
{
    const struct model_db *d = &model->dbs[db];
    while (*cursor < d->count) {
        const struct model_slot *slot = d->slots[(*cursor)++];
        if (slot->object == NULL || deadline_is_over(slot->deadline_ms, now_ms)) continue;
        *key = (struct model_key){.key = slot->key,
                                  .type = model_type_ops(slot->object->type)->name,
                                  .deadline_ms = slot->deadline_ms};
        if (slot->object->type == MODEL_HASH) {
            const struct model_hash *hash = as_hash(slot->object);
            key->maybe = model_hash_live(hash, now_ms) == 0;
            for (size_t f = 0; f < hash->count && !key->fields_expire; f++)
                key->fields_expire = hash->fields[f].deadline_ms >= 0;
        }
        return true;
    }
    return false;
}

bool model_next_field(const struct model *model, int db, struct slice key, int64_t now_ms, size_t *cursor,
                      struct slice *field)
{
    const struct model_slot *slot = model_slot_find(&model->dbs[db], key);
    if (slot == NULL || slot->object == NULL || slot->object->type != MODEL_HASH) return false;
    const struct model_hash *hash = as_hash(slot->object);
    while (*cursor < hash->count) {
        const struct model_field *f = &hash->fields[(*cursor)++];
        if (deadline_is_over(f->deadline_ms, now_ms)) continue;
        *field = f->name;
        return true;
    }
    return false;
}

/* Takes a deadline that is over if it is the earliest so far. */
static bool is_more_overdue(struct model_overdue *most, int64_t deadline_ms, int64_t since_ms, int64_t now_ms)
{
    if (!deadline_is_over(deadline_ms, now_ms) || deadline_ms < since_ms || (most->found && most->deadline_ms <= deadline_ms)) return false;
    most->found = true;
    most->deadline_ms = deadline_ms;
    return true;
}

void model_most_overdue(const struct model *model, int64_t since_ms, int64_t now_ms, struct model_overdue *most)
{
    *most = (struct model_overdue){0};
    for (int d = 0; d < MODEL_DATABASES; d++)
        for (size_t i = 0; i < model->dbs[d].count; i++) {
            const struct model_slot *slot = model->dbs[d].slots[i];
            if (slot->object == NULL && !slot->ghost) continue;
            int64_t deadline_ms = slot->object == NULL ? slot->ghost_deadline_ms : slot->born_dead ? -1 : slot->deadline_ms;
            if (is_more_overdue(most, deadline_ms, since_ms, now_ms)) {
                most->db = d;
                most->key = slot->key;
                most->is_field = false;
            }
            if (!model->fields_expire || slot->object == NULL || slot->object->type != MODEL_HASH) continue;
            const struct model_hash *hash = as_hash(slot->object);
            for (size_t f = 0; f < hash->count; f++)
                if (is_more_overdue(most, hash->fields[f].deadline_ms, since_ms, now_ms)) {
                    most->db = d;
                    most->key = slot->key;
                    most->is_field = true;
                    most->field = hash->fields[f].name;
                }
        }
}

size_t model_key_count(const struct model *model, int db, int64_t now_ms)
{
    size_t cursor = 0, count = 0;
    struct model_key key;
    while (model_next_key(model, db, now_ms, &cursor, &key)) count++;
    return count;
}

void model_dump(const struct model *model, FILE *out)
{
    char shown[300];
    for (int d = 0; d < MODEL_DATABASES; d++)
        for (size_t i = 0; i < model->dbs[d].count; i++) {
            const struct model_slot *slot = model->dbs[d].slots[i];
            if (slot->object == NULL) continue;
            const struct model_type_ops *ops = model_type_ops(slot->object->type);
            fprintf(out, "db %d %s \"%s\"", d, ops->name,
                    value_print_bytes(slot->key, 100, shown, sizeof(shown)));
            if (slot->deadline_ms >= 0) fprintf(out, " until %lld", (long long)slot->deadline_ms);
            fprintf(out, ": ");
            ops->print(slot->object, out);
            fprintf(out, "\n");
        }
}
