/* glob: corner cases as a real Redis answers them (CONFIG GET, KEYS, DEBUG STRINGMATCH-LEN), random patterns
 * against a backtracking twin, and the patterns that make naive matchers explode. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/glob.h"
#include "base/prng.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static bool match(const char *pattern, const char *string, bool nocase)
{
    return glob_match((struct slice){pattern, strlen(pattern)}, (struct slice){string, strlen(string)},
                      nocase);
}

static void corner_cases(void **state)
{
    static const struct {
        const char *pattern, *string;
        bool matches;
    } rows[] = {
        {"*", "a", true},
        {"*", "", false},
        {"", "", true},
        {"", "a", false},
        {"a*", "a", true},
        {"*a*", "a", true},
        {"a**c", "abbc", true},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"[abc]", "b", true},
        {"[^abc]", "b", false},
        {"[^abc]", "d", true},
        {"[a-c]x", "bx", true},
        {"[c-a]x", "bx", true},
        {"[a-c", "b", true},
        {"[abc", "c", true},
        {"[", "[", false},
        {"[^", "x", true},
        {"[]", "]", false},
        {"[]a]", "]", false},
        {"[\\]]", "]", true},
        {"[\\", "\\", true},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"a\\", "a\\", true},
        {"\\a", "a", true},
        {"[a-]", "-", false},
        {"[-a]", "-", true},
        {"[\xff-a]", "A", true},
        {"[a-\xff]", "b", false},
        {"h[ae]llo*", "hallo!", true},
        {"*\\", "x\\", true},
        {"a*b*c", "aXbXbXc", true},
        {"a*b*c", "aXbXbX", false},
        {"?*", "", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (match(rows[i].pattern, rows[i].string, false) != rows[i].matches)
            fail_msg("'%s' on '%s'", rows[i].pattern, rows[i].string);
    assert_true(match("MAX*[A-C]y", "maxmemory-bY", true));
    assert_false(match("MAX*", "maxmemory", false));
    assert_true(match("[Z]", "z", true));
}

/* Straight from the meaning, exponential. Classes only with plain members and ranges. */
static bool naive(const char *p, const char *s, bool nocase)
{
    if (*p == 0) return *s == 0;
    if (*p == '*') {
        for (;; s++) {
            if (naive(p + 1, s, nocase)) return true;
            if (*s == 0) return false;
        }
    }
    if (*s == 0) return false;
    if (*p == '?') return naive(p + 1, s + 1, nocase);
    int c = nocase ? tolower(*s) : *s;
    if (*p == '[') {
        bool negated = p[1] == '^', in = false;
        for (p += 1 + negated; *p != ']'; p++) {
            int low = *p, high = *p;
            if (p[1] == '-' && p[2] != ']') {
                high = p[2];
                p += 2;
            }
            if (low > high) {
                int other = low;
                low = high;
                high = other;
            }
            /* Folded after the exchange: [B-a] then is b to a, which is empty. */
            in = in || (nocase ? c >= tolower(low) && c <= tolower(high) : c >= low && c <= high);
        }
        return in != negated && naive(p + 1, s + 1, nocase);
    }
    if (*p == '\\') p++;
    return (nocase ? tolower(*p) : *p) == c && naive(p + 1, s + 1, nocase);
}

static void random_patterns(void **state)
{
    static const char *const pieces[] = {"*",    "*",    "?",     "a",     "b",   "B",
                                         "[ab]", "[^a]", "[a-b]", "[B-a]", "\\*", "\\b"};
    struct prng g;
    prng_seed(&g, 3);
    int matches = 0;
    for (int i = 0; i < 300000; i++) {
        char pattern[80] = "", string[12] = "";
        for (uint64_t n = prng_below(&g, 8); n; n--) strcat(pattern, pieces[prng_below(&g, 12)]);
        size_t len = 1 + prng_below(&g, 10);
        for (size_t k = 0; k < len; k++) string[k] = "abAB*"[prng_below(&g, 5)];
        for (int nocase = 0; nocase < 2; nocase++) {
            bool want = naive(pattern, string, nocase);
            matches += want;
            if (match(pattern, string, nocase) != want) fail_msg("'%s' on '%s'", pattern, string);
        }
    }
    assert_true(matches > 20000);
}

/* The slices end in the middle of other bytes: nothing behind them counts. */
static void slices_end(void **state)
{
    assert_true(glob_match((struct slice){"a*", 1}, (struct slice){"ab", 1}, false));
    assert_false(glob_match((struct slice){"a*", 1}, (struct slice){"ab", 2}, false));
    assert_true(glob_match((struct slice){"[ab]", 3}, (struct slice){"b]", 1}, false));
    assert_true(glob_match((struct slice){"a\0b", 3}, (struct slice){"a\0b", 3}, false));
    assert_false(glob_match((struct slice){"a\0b", 3}, (struct slice){"a\0c", 3}, false));
}

static void abusive_patterns(void **state)
{
    /* a*a*a*…b against aaa…: a backtracker that retries every star needs ages. */
    char pattern[4001], string[4001];
    for (int i = 0; i < 1800; i += 2) memcpy(pattern + i, "a*", 2);
    memcpy(pattern + 1800, "b", 2);
    memset(string, 'a', 4000);
    string[4000] = 0;
    assert_false(match(pattern, string, false));
    string[3999] = 'b';
    assert_true(match(pattern, string, false));
    /* More than 1000 separate stars match nothing, unless the pattern ends with the last of them. */
    memset(string, 'a', 4000);
    char *p = pattern;
    for (int i = 0; i < 1000; i++) p = stpcpy(p, "*a");
    assert_true(match(pattern, string, false));
    strcpy(p, "*");
    assert_true(match(pattern, string, false));
    strcpy(p, "*a");
    assert_false(match(pattern, string, false));
}

static void literals(void **state)
{
    assert_true(glob_is_literal(SLICE("abc-]^")));
    assert_true(glob_is_literal(SLICE("")));
    assert_false(glob_is_literal(SLICE("a*")));
    assert_false(glob_is_literal(SLICE("a?")));
    assert_false(glob_is_literal(SLICE("[a")));
    assert_false(glob_is_literal(SLICE("a\\")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(corner_cases),     cmocka_unit_test(random_patterns), cmocka_unit_test(slices_end),
        cmocka_unit_test(abusive_patterns), cmocka_unit_test(literals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
