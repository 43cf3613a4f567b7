/* The types of values: for each, how to free, copy, print it and name its encoding. See model_internal.h. */
#include "sim/model_collections.h"

static const struct model_type_ops types[MODEL_TYPES] = {
    [MODEL_STRING] = {"string", model_string_destroy, model_string_copy, model_string_encodings,
                      model_string_print},
    [MODEL_LIST] = {"list", model_list_destroy, model_list_copy, model_list_encodings, model_list_print},
    [MODEL_SET] = {"set", model_set_destroy, model_set_copy, model_set_encodings, model_set_print},
    [MODEL_ZSET] = {"zset", model_zset_destroy, model_zset_copy, model_zset_encodings, model_zset_print},
    [MODEL_STREAM] = {"stream", model_stream_destroy, model_stream_copy, model_stream_encodings,
                      model_stream_print},
    [MODEL_HASH] = {"hash", model_hash_destroy, model_hash_copy, model_hash_encodings, model_hash_print},
};

const struct model_type_ops *model_type_ops(enum model_type type)
{
    return types[type].name != NULL ? &types[type] : NULL;
}
