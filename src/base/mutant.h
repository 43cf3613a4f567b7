/* Mutants: defects that are compiled into one build only, to prove that the tests see them. MUTANT(name) is
 * an expression for the middle of production code,
 *
 *     uint32_t next = at + !MUTANT(ring_off_by_one);
 *     if (item->deadline_ms <= now_ms || MUTANT(expires_early)) …
 *
 * the constant `false` in every build but the one with -DWEFT_MUTANTS (make MODE=mutants), so that it leaves
 * nothing behind; there it is true when that mutant is the chosen one. What each does, and which published
 * bug it re-creates, stands in base/mutants.def.
 *
 * The choice is the one global variable of the project: it is set once at start, before anything else runs,
 * never changes again, and exists in that build only. Tests: test/unit/mutant_test.c, test/mutants_test.py.
 */
#ifndef WEFT_BASE_MUTANT_H
#define WEFT_BASE_MUTANT_H

#include <stdbool.h>

#ifdef WEFT_MUTANTS

#define M(name, area, defect, link) MUTANT_##name,
enum mutant {
    MUTANT_NONE,
#include "base/mutants.def"
    MUTANT_END
};
#undef M

extern enum mutant mutant_chosen; /* read by MUTANT() only */

#define MUTANT(name) (__builtin_expect(mutant_chosen == MUTANT_##name, 0))

/* Makes MUTANT(name) true from now on. False: there is no such mutant, and none is chosen. */
bool mutant_choose(const char *name);
/* The list, 0 … mutant_count() - 1; NULL beyond. A link is "" when the defect is our own invention. */
int mutant_count(void);
const char *mutant_name(int i);
const char *mutant_area(int i);
const char *mutant_defect(int i);
const char *mutant_link(int i);

#else

#define MUTANT(name) false

#endif
#endif
