/* Commands about keys of any type, but those about deadlines (model_expire.c). */
#include "sim/model_internal.h"

/* Redis counts a name that is given twice only once (DEL) or twice (EXISTS). */
static const struct value *do_del(struct model_context *c)
{
    int64_t count = 0;
    for (size_t i = 1; i < argc(c); i++) count += model_drop(c, arg(c, i));
    return want_integer(c, count);
}

static const struct value *do_exists(struct model_context *c)
{
    int64_t count = 0;
    for (size_t i = 1; i < argc(c); i++) count += model_read(c, arg(c, i)) != NULL;
    return want_integer(c, count);
}

static const struct value *do_type(struct model_context *c)
{
    struct model_object *object = model_read(c, arg(c, 1));
    return want_simple(c, object ? model_type_ops(object->type)->name : "none");
}

const struct model_row model_rows_key[] = {
    {"del", -2, 0, do_del},
    {"exists", -2, 0, do_exists},
    {"type", 2, 0, do_type},
    {"unlink", -2, 0, do_del},
    {0},
};
