/* The types of values: for each, how to free, copy, print it and name its encoding. See model_internal.h. */
#include "sim/model_internal.h"

static const struct model_type_ops types[MODEL_TYPES] = {
    [MODEL_STRING] = {"string", model_string_destroy, model_string_copy, model_string_encodings,
                      model_string_print},
    [MODEL_HASH] = {"hash", model_hash_destroy, model_hash_copy, model_hash_encodings, model_hash_print},
};

const struct model_type_ops *model_type_ops(enum model_type type)
{
    return types[type].name != NULL ? &types[type] : NULL;
}
