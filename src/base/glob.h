/* Glob-style patterns: KEYS, SCAN MATCH, PSUBSCRIBE, CONFIG GET, ACL patterns.
 *
 * * any run of bytes; ? any byte; [abc] [a-z] [^a] one byte of (not of) a class; \x the byte x itself.
 * Redis's meaning to the byte, its corner cases included: an unclosed class ends with the pattern, reversed
 * ranges are swapped, range bounds compare as signed bytes, "*" does not match the empty string, a pattern
 * with more than 1000 separate stars matches nothing unless it ends within them. Pure; time O(pattern *
 * string), no recursion. Tests: test/unit/glob_test.c. */
#ifndef WEFT_BASE_GLOB_H
#define WEFT_BASE_GLOB_H

#include "base/slice.h"

#include <stdbool.h>

bool glob_match(struct slice pattern, struct slice string, bool nocase);
/* True if the pattern has no special byte, that is if it matches at most the string equal to itself. */
bool glob_is_literal(struct slice pattern);

#endif
