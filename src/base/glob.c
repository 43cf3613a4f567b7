/* Glob matching (contract in glob.h). Backtracking goes to the last star only: if what follows it matches
 * nowhere, taking an earlier star longer cannot help, for the rest would have to match even further right. */
#include "base/glob.h"

#include <stdint.h>

#define STARS_MAX 1000

/* What stands behind the end reads as 0. */
static inline char byte_at(struct slice p, size_t i)
{
    return i < p.len ? p.ptr[i] : 0;
}

static inline int fold(char c)
{
    int i = (signed char)c;
    return i >= 'A' && i <= 'Z' ? i + 32 : i;
}

/* Does `c` match the class that opens at p[*at] ('[')? Leaves *at on its last byte. */
static bool class_match(struct slice p, size_t *at, char c, bool nocase)
{
    size_t i = *at + 1;
    bool negated = byte_at(p, i) == '^';
    if (negated) i++;
    bool match = false;
    for (;; i++) {
        if (i >= p.len) {
            i = p.len - 1;
            break;
        }
        if (p.ptr[i] == '\\' && i + 1 < p.len) {
            i++;
            if (p.ptr[i] == c) match = true;
        } else if (p.ptr[i] == ']') {
            break;
        } else if (i + 2 < p.len && p.ptr[i + 1] == '-') {
            int low = (signed char)p.ptr[i], high = (signed char)p.ptr[i + 2], v = (signed char)c;
            if (low > high) {
                int t = low;
                low = high;
                high = t;
            }
            if (nocase) {
                low = fold((char)low);
                high = fold((char)high);
                v = fold(c);
            }
            i += 2;
            if (v >= low && v <= high) match = true;
        } else if (nocase ? fold(p.ptr[i]) == fold(c) : p.ptr[i] == c) {
            match = true;
        }
    }
    *at = i;
    return match != negated;
}

/* One pattern element at p[*at] against c; moves *at behind it on a match. */
static inline bool element_match(struct slice p, size_t *at, char c, bool nocase)
{
    size_t i = *at;
    switch (p.ptr[i]) {
    case '?': break;
    case '[':
        if (!class_match(p, &i, c, nocase)) return false;
        break;
    case '\\':
        if (i + 1 < p.len) i++;
        /* fall through */
    default:
        if (nocase ? fold(p.ptr[i]) != fold(c) : p.ptr[i] != c) return false;
    }
    *at = i + 1;
    return true;
}

bool glob_match(struct slice pattern, struct slice string, bool nocase)
{
    if (string.len == 0) return pattern.len == 0;
    size_t p = 0, s = 0;
    size_t star_p = SIZE_MAX, star_s = 0; /* behind the last star; where its run ends for now */
    int stars = 0;
    while (s < string.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            while (p < pattern.len && pattern.ptr[p] == '*') p++;
            if (p == pattern.len) return true;
            if (++stars > STARS_MAX) return false;
            star_p = p;
            star_s = s;
        } else if (p < pattern.len && element_match(pattern, &p, string.ptr[s], nocase)) {
            s++;
        } else if (star_p != SIZE_MAX) {
            p = star_p;
            s = ++star_s;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*') p++;
    return p == pattern.len;
}

bool glob_is_literal(struct slice pattern)
{
    for (size_t i = 0; i < pattern.len; i++) {
        char c = pattern.ptr[i];
        if (c == '*' || c == '?' || c == '[' || c == '\\') return false;
    }
    return true;
}
