/* The list of mutants and the chosen one; empty in a normal build. See mutant.h. */
#include "base/mutant.h"

#ifdef WEFT_MUTANTS

#include <stddef.h>
#include <string.h>

#include "base/check.h"

struct mutant_row {
    const char *name, *area, *defect, *link;
};

static const struct mutant_row rows[] = {
#define M(name, area, defect, link) {#name, area, defect, link},
#include "base/mutants.def"
#undef M
};
_Static_assert(ARRAY_LEN(rows) == MUTANT_END - 1, "a row for each mutant");

enum mutant mutant_chosen = MUTANT_NONE;

bool mutant_choose(const char *name)
{
    mutant_chosen = MUTANT_NONE;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].name, name) == 0) mutant_chosen = (enum mutant)(i + 1);
    return mutant_chosen != MUTANT_NONE;
}

int mutant_count(void)
{
    return (int)ARRAY_LEN(rows);
}

static const struct mutant_row *row_at(int i)
{
    return i >= 0 && i < mutant_count() ? &rows[i] : NULL;
}

const char *mutant_name(int i)
{
    return row_at(i) ? rows[i].name : NULL;
}

const char *mutant_area(int i)
{
    return row_at(i) ? rows[i].area : NULL;
}

const char *mutant_defect(int i)
{
    return row_at(i) ? rows[i].defect : NULL;
}

const char *mutant_link(int i)
{
    return row_at(i) ? rows[i].link : NULL;
}

#endif
