/* Hashes: the type, and the commands of its family but those that name deadlines (model_hash_expire.c). */
#include "sim/model_internal.h"

#include <stdlib.h>

struct model_object *model_hash_create(void)
{
    struct model_hash *hash = calloc(1, sizeof(*hash));
    CHECK(hash != NULL);
    hash->head.type = MODEL_HASH;
    return &hash->head;
}

void model_hash_destroy(struct model_object *object)
{
    struct model_hash *hash = as_hash(object);
    for (size_t i = 0; i < hash->count; i++) {
        bytes_free(hash->fields[i].name);
        bytes_free(hash->fields[i].value);
    }
    free(hash->fields);
    free(hash);
}

struct model_object *model_hash_copy(const struct model_object *object)
{
    const struct model_hash *from = (const struct model_hash *)object;
    struct model_hash *copy = malloc(sizeof(*copy));
    CHECK(copy != NULL);
    *copy = *from;
    copy->capacity = from->count ? from->count : 1;
    copy->fields = malloc(copy->capacity * sizeof(copy->fields[0]));
    CHECK(copy->fields != NULL);
    for (size_t i = 0; i < from->count; i++) {
        copy->fields[i] = from->fields[i];
        copy->fields[i].name = bytes_copy(from->fields[i].name);
        copy->fields[i].value = bytes_copy(from->fields[i].value);
    }
    return &copy->head;
}

void model_hash_encodings(const struct model *model, const struct model_object *object, const char *names[4])
{
    const struct model_hash *hash = (const struct model_hash *)object;
    *names++ = hash->head.big ? "hashtable" : hash->had_deadline ? "listpackex" : "listpack";
    *names = NULL;
}

void model_hash_print(const struct model_object *object, FILE *out)
{
    const struct model_hash *hash = (const struct model_hash *)object;
    char name[300], value[300];
    for (size_t i = 0; i < hash->count; i++) {
        const struct model_field *f = &hash->fields[i];
        fprintf(out, "%s%s=%s", i ? ", " : "", value_print_bytes(f->name, 60, name, sizeof(name)),
                value_print_bytes(f->value, 60, value, sizeof(value)));
        if (f->deadline_ms >= 0) fprintf(out, " until %lld", (long long)f->deadline_ms);
    }
}

struct model_field *model_hash_find(struct model_hash *hash, struct slice name)
{
    size_t low = 0, high = hash->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = bytes_compare(hash->fields[middle].name, name);
        if (order == 0) return &hash->fields[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

struct model_field *model_hash_get(struct model_hash *hash, struct slice name, int64_t now_ms)
{
    struct model_field *f = model_hash_find(hash, name);
    return f != NULL && !deadline_is_over(f->deadline_ms, now_ms) ? f : NULL;
}

void model_hash_remove(struct model_hash *hash, struct model_field *field)
{
    size_t at = (size_t)(field - hash->fields);
    CHECK(at < hash->count);
    bytes_free(field->name);
    bytes_free(field->value);
    memmove(field, field + 1, (hash->count - at - 1) * sizeof(*field));
    hash->count--;
}

size_t model_hash_live(const struct model_hash *hash, int64_t now_ms)
{
    size_t live = 0;
    for (size_t i = 0; i < hash->count; i++) live += !deadline_is_over(hash->fields[i].deadline_ms, now_ms);
    return live;
}

const struct model_row model_rows_hash[] = {
    {0},
};
