/* Mutants and marks: absent from a normal build, and what they do in the others, whatever the build of this
 * program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

/* A normal build's two headers first, if this is one; then those of a build with both. */
#include "base/mark.h"
#include "base/mutant.h"

#ifdef WEFT_MUTANTS
#define of_normal_build(x) (x)
#else
_Static_assert(!MUTANT(lrem_limit_per_run), "a constant, and false");

static bool of_normal_build(bool x)
{
    MARK("test.in a normal build nothing, not even a text");
    return x || MUTANT(there_is_none_of_this_name);
}

#undef MUTANT
#undef WEFT_BASE_MUTANT_H
#define WEFT_MUTANTS 1
#include "base/mutant.c"
#endif

#ifndef WEFT_SIM
#undef MARK
#undef WEFT_BASE_MARK_H
#define WEFT_SIM 1
#include "base/mark.c"
#endif

static void nothing_in_a_normal_build(void **state)
{
    assert_true(of_normal_build(true));
    assert_false(of_normal_build(false));
}

static void one_is_chosen_by_name(void **state)
{
    assert_false(mutant_choose("no such mutant"));
    assert_false(MUTANT(lrem_limit_per_run) || MUTANT(lpop_zero_null));
    assert_true(mutant_choose("lrem_limit_per_run"));
    assert_true(MUTANT(lrem_limit_per_run));
    assert_false(MUTANT(lpop_zero_null));
    assert_true(mutant_choose("lpop_zero_null"));
    assert_false(MUTANT(lrem_limit_per_run));
    assert_true(MUTANT(lpop_zero_null));
    assert_int_equal(4 + !MUTANT(lpop_zero_null), 4);
    assert_false(mutant_choose(""));
    assert_false(MUTANT(lpop_zero_null));
    assert_int_equal(4 + !MUTANT(lpop_zero_null), 5);
}

static void the_list_is_whole(void **state)
{
    int published = 0;
    assert_true(mutant_count() >= 45);
    for (int i = 0; i < mutant_count(); i++) {
        assert_true(mutant_choose(mutant_name(i)));
        assert_int_equal(mutant_chosen, i + 1);
        assert_true(strlen(mutant_area(i)) > 0 && strlen(mutant_defect(i)) > 10);
        published += strncmp(mutant_link(i), "https://", 8) == 0;
        for (int j = 0; j < i; j++) assert_string_not_equal(mutant_name(i), mutant_name(j));
    }
    assert_true(published >= 15);
    assert_null(mutant_name(-1));
    assert_null(mutant_name(mutant_count()));
    assert_null(mutant_area(mutant_count()));
    assert_null(mutant_defect(mutant_count()));
    assert_null(mutant_link(mutant_count()));
    assert_false(mutant_choose("none"));
}

static void reached(int n)
{
    MARK("test.always");
    if (n > 2) MARK("test.above_two");
    for (int i = 0; i < n; i++)
        if (n > 100) MARK("test.never");
}

static uint64_t count_of(const char *name, int *found)
{
    uint64_t sum = 0;
    *found = 0;
    for (struct mark *const *at = NULL; (at = mark_next(at)) != NULL;) {
        if (strcmp((*at)->name, name) != 0) continue;
        assert_non_null(strstr((*at)->file, "mutant_test.c"));
        assert_true((*at)->line > 0);
        sum += (*at)->count;
        ++*found;
    }
    return sum;
}

static void marks_count_their_places(void **state)
{
    int found;
    marks_clear();
    for (int n = 0; n < 5; n++) reached(n);
    assert_int_equal(count_of("test.always", &found), 5);
    assert_int_equal(found, 1);
    assert_int_equal(count_of("test.above_two", &found), 2);
    assert_int_equal(count_of("test.never", &found), 0);
    assert_int_equal(found, 1); /* listed although never reached */
    assert_int_equal(count_of("test.of another name", &found), 0);
    assert_int_equal(found, 0);
    marks_clear();
    assert_int_equal(count_of("test.always", &found), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_in_a_normal_build),
        cmocka_unit_test(one_is_chosen_by_name),
        cmocka_unit_test(the_list_is_whole),
        cmocka_unit_test(marks_count_their_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
