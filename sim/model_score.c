/* Scores of sorted sets as text.
 *
 * Writing: a whole number within +-2^62 is written as an integer; anything else with the fewest digits that
 * read back as the same number, plain as long as that is short (up to 6 zeros after the digits; a point
 * within the digits, or before them while the exponent is above -7), else with an exponent: 1e+20, 1.5e-10.
 * The fewest digits are found by trying: 1, 2, ... 17 of them.
 *
 * Tests: test/sim/model_test.py compares with real Redis. */
#include "sim/model_score.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static bool is_space(char c)
{
    return isspace((unsigned char)c) != 0;
}

/* strtod() over the first `len` bytes, of which none is NUL; *read: how many of them it took. */
static double read_number(const char *text, size_t len, size_t *read)
{
    char small[128], *end;
    char *copy = len < sizeof(small) ? small : malloc(len + 1);
    CHECK(copy != NULL);
    memcpy(copy, text, len);
    copy[len] = 0;
    errno = 0;
    double value = strtod(copy, &end);
    *read = (size_t)(end - copy);
    if (copy != small) free(copy);
    return value;
}

bool model_score_parse(const char *text, size_t len, double *out)
{
    size_t read;
    if (len == 0 || is_space(text[0]) || memchr(text, 0, len)) return false;
    double value = read_number(text, len, &read);
    if (read != len || isnan(value)) return false;
    if (errno == ERANGE && (isinf(value) || value == 0)) return false;
    *out = value;
    return true;
}

bool model_bound_parse(const char *text, size_t len, double *out)
{
    const char *nul = len ? memchr(text, 0, len) : NULL;
    if (nul) len = (size_t)(nul - text);
    *out = 0;
    if (len == 0) return true;
    size_t sign = text[0] == '-' || text[0] == '+', read;
    if (is_space(text[0])) return false;
    if (len > sign + 1 && text[sign] == '0' && tolower((unsigned char)text[sign + 1]) == 'x') return false;
    double value = read_number(text, len, &read);
    if (read != len || isnan(value)) return false;
    *out = value;
    return true;
}

/* Lays out 0.DIGITS * 10^point (so point counts the digits before the decimal point). */
static size_t lay_out(bool negative, const char *digits, int count, int point, char *out)
{
    char *at = out;
    if (negative) *at++ = '-';
    int exponent = point - 1, zeros = point - count;
    if (zeros >= 0 && abs(exponent) < count + 7) {
        at += sprintf(at, "%.*s%.*s", count, digits, zeros, "0000000");
    } else if (zeros < 0 && (zeros > -7 || abs(exponent) < 4)) {
        if (point <= 0)
            at += sprintf(at, "0.%.*s%.*s", -point, "0000000", count, digits);
        else
            at += sprintf(at, "%.*s.%.*s", point, digits, count - point, digits + point);
    } else {
        *at++ = digits[0];
        if (count > 1) at += sprintf(at, ".%.*s", count - 1, digits + 1);
        at += sprintf(at, "e%c%d", exponent < 0 ? '-' : '+', abs(exponent));
    }
    return (size_t)(at - out);
}

size_t model_score_format(double score, char out[MODEL_SCORE_TEXT_MAX])
{
    if (isinf(score)) return (size_t)sprintf(out, "%s", score > 0 ? "inf" : "-inf");
    if (score == 0) return (size_t)sprintf(out, "%s", signbit(score) ? "-0" : "0");
    if (fabs(score) <= 0x1p62 && score == floor(score)) return (size_t)sprintf(out, "%lld", (long long)score);
    char text[MODEL_SCORE_TEXT_MAX], digits[32];
    int count = 0, exponent = 0;
    for (int precision = 1; precision <= 17; precision++) {
        sprintf(text, "%.*e", precision - 1, fabs(score));
        if (strtod(text, NULL) != fabs(score)) continue;
        count = 0;
        for (const char *c = text; *c != 'e'; c++)
            if (*c != '.') digits[count++] = *c;
        exponent = atoi(strchr(text, 'e') + 1);
        break;
    }
    return lay_out(score < 0, digits, count, exponent + 1, out);
}

/* The significant digits of a number's text, and where its point is. */
static int digits_of(const char *text, size_t len, char *digits, int *point)
{
    int count = 0, seen_point = 0, exponent = 0, after = 0, leading = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == 'e') {
            exponent = atoi(text + i + 1);
            break;
        }
        if (text[i] == '.') seen_point = 1;
        if (!isdigit((unsigned char)text[i])) continue;
        after += seen_point;
        if (count == 0 && text[i] == '0') {
            leading++;
            continue;
        }
        if (count == 32) return 0;
        digits[count++] = text[i];
    }
    *point = count - after + exponent;
    while (count > 0 && digits[count - 1] == '0') count--;
    return count;
}

bool model_score_text_fits(const char *text, size_t len, double score)
{
    char own[MODEL_SCORE_TEXT_MAX], copy[MODEL_SCORE_TEXT_MAX], digits[32];
    if (len == 0 || len >= MODEL_SCORE_TEXT_MAX) return false;
    memcpy(copy, text, len);
    copy[len] = 0;
    if (score == 0) return strcmp(copy, "0") == 0 || strcmp(copy, "-0") == 0;
    size_t own_len = model_score_format(score, own);
    if (own_len == len && memcmp(own, text, len) == 0) return true;
    double value;
    if (!model_score_parse(copy, len, &value) || value != score || !strchr("-0123456789", copy[0]))
        return false;
    if (isinf(score) || (fabs(score) <= 0x1p62 && score == floor(score))) return false;
    int point = 0, count = digits_of(copy, len, digits, &point);
    if (count == 0 || count > 17) return false;
    own_len = lay_out(score < 0, digits, count, point, own);
    return own_len == len && memcmp(own, text, len) == 0;
}
