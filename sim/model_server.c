#include "sim/model_internal.h"

const struct model_row model_rows_server[] = {
    {0},
};
