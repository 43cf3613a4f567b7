/* Shrinking: the smallest run that fails with the same oracle. Units of commands are drawn independently, so they can
 * be left out one by one (ddmin, Zeller 2002); faults can be switched off, and the end be put forward. */
#include "sim/hunt.h"

#include <stdio.h>

int hunt_shrink(const struct hunt_options *hunt)
{
    (void)hunt;
    fprintf(stderr, "weft-sim: --shrink is not there yet\n");
    return 2;
}
