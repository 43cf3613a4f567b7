/* The end of a process whose invariant broke: one line on stderr, then abort (a core, if cores are on). */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *expression, const char *file, int line)
{
    fprintf(stderr, "weft: check failed: %s at %s:%d\n", expression, file, line);
    fflush(stderr);
    abort();
}
