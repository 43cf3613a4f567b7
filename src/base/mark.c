/* Goes through the marks that the linker has gathered; empty in a normal build. See mark.h. */
#include "base/mark.h"

#ifdef WEFT_SIM

#include <stddef.h>

/* The linker's names for the section's begin and end; absent when no mark was linked in. */
extern struct mark *const __start_weft_marks[] __attribute__((weak));
extern struct mark *const __stop_weft_marks[] __attribute__((weak));

struct mark *const *mark_next(struct mark *const *at)
{
    at = at == NULL ? __start_weft_marks : at + 1;
    return at == __stop_weft_marks ? NULL : at;
}

void marks_clear(void)
{
    for (struct mark *const *at = NULL; (at = mark_next(at)) != NULL;) (*at)->count = 0;
}

#endif
