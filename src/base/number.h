/* Numbers as text: what a client sends and what it is sent back, to the byte as Redis does it.
 *
 * Parsers take a slice (no NUL needed), accept the whole of it or nothing, and leave *out alone on refusal.
 * Formatters write no NUL, return the length, and never need more than the NUMBER_*_MAX of their kind.
 * Pure functions, any thread. Tests: test/unit/number_test.c. */
#ifndef WEFT_BASE_NUMBER_H
#define WEFT_BASE_NUMBER_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#define NUMBER_I64_MAX         20 /* "-9223372036854775808" */
#define NUMBER_DOUBLE_MAX      32
#define NUMBER_LONG_DOUBLE_MAX (5 * 1024) /* 4933 digits before the point, 17 behind it */

/* The one canonical decimal form of an integer only: no space, plus, leading zero, "-0". */
bool number_parse_i64(const char *s, size_t len, int64_t *out);
bool number_parse_u64(const char *s, size_t len, uint64_t *out);

/* What C's strtod takes, whole, without leading space: "+1", "1.", ".5", "1e5", "0x1p3", "inf", "-Infinity".
 * Refused: nan, and what overflows to infinity or underflows to zero. */
bool number_parse_double(const char *s, size_t len, double *out);
/* The same in extended precision; text of NUMBER_LONG_DOUBLE_MAX bytes and more is refused. */
bool number_parse_long_double(const char *s, size_t len, long double *out);

size_t number_format_i64(char *buf, int64_t value);
size_t number_format_u64(char *buf, uint64_t value);
uint32_t number_digits_u64(uint64_t value); /* decimal digits; 1 for 0 */

/* A double as ZSCORE and RESP3 show it: integers plain up to 2^62, else the digits that Grisu2 finds (they
 * always read back to the same double, and are the fewest in all but 0.1 % of cases), "1e+20", "inf", "-inf",
 * "nan", "-0". */
size_t number_format_double(char *buf, double value);
/* The same, but integers get those digits, too: "1e+17". */
size_t number_format_shortest(char *buf, double value);
/* The integer that `value` is, if it is one that converts without loss. */
bool number_double_to_i64(double value, int64_t *out);

/* A long double as INCRBYFLOAT stores it: 17 decimals, trailing zeros and a bare point cut; never an
 * exponent. */
size_t number_format_long_double(char *buf, long double value);

#endif
