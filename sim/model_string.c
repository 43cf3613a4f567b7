/* Strings: the type, and the commands of its family. See model_internal.h; bits are in model_bits.c. */
#include "sim/model_internal.h"

#include <math.h>
#include <stdlib.h>

/* ---------------------------------------------------------------- the type */

struct model_object *model_string_create(struct slice bytes)
{
    struct model_string *s = malloc(sizeof(*s));
    CHECK(s != NULL);
    *s = (struct model_string){.head = {.type = MODEL_STRING}, .bytes = bytes_copy(bytes)};
    return &s->head;
}

void model_string_destroy(struct model_object *object)
{
    bytes_free(as_string(object)->bytes);
    free(object);
}

struct model_object *model_string_copy(const struct model_object *object)
{
    const struct model_string *from = (const struct model_string *)object;
    struct model_object *copy = model_string_create(from->bytes);
    as_string(copy)->raw = from->raw;
    return copy;
}

void model_string_encodings(const struct model *model, const struct model_object *object,
                            const char *names[4])
{
    const struct model_string *s = (const struct model_string *)object;
    int64_t n;
    *names++ = read_int64(s->bytes, &n) ? "int" : s->bytes.len <= 44 ? "embstr" : "raw";
    if (s->raw) {
        *names++ = "raw";
        *names++ = "embstr";
    }
    *names = NULL;
}

void model_string_print(const struct model_object *object, FILE *out)
{
    char shown[600];
    fputs(value_print_bytes(((const struct model_string *)object)->bytes, 200, shown, sizeof(shown)), out);
}

/* ---------------------------------------------------------------- GET and SET */

static const struct value *do_get(struct model_context *c)
{
    const struct value *error = NULL;
    struct model_object *object = model_typed(c, arg(c, 1), MODEL_STRING, &error);
    if (error) return error;
    return object ? want_bulk(c, as_string(object)->bytes) : want_null(c);
}

const struct model_row model_rows_string[] = {
    {"get", 2, 0, do_get},
    {0},
};
