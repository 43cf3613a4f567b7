/* Arguments and numbers as Redis reads and writes them, and its glob patterns. See model_internal.h. */
#include "sim/model_internal.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

bool slice_is_word(struct slice s, const char *word)
{
    return s.len == strlen(word) && strncasecmp(s.ptr, word, s.len) == 0;
}

bool arg_is(const struct model_context *c, size_t i, const char *word)
{
    return i < argc(c) && slice_is_word(arg(c, i), word);
}

/* ---------------------------------------------------------------- reading numbers */

bool read_int64(struct slice text, int64_t *out)
{
    if (text.len == 0 || text.len > 20) return false;
    bool negative = text.ptr[0] == '-';
    struct slice digits = {text.ptr + negative, text.len - negative};
    if (digits.len == 0 || digits.len > 19) return false;
    if (digits.ptr[0] == '0') {
        *out = 0;
        return digits.len == 1 && !negative;
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9') return false;
        sum = 10 * sum + (uint64_t)(digits.ptr[i] - '0');
    }
    if (sum > (uint64_t)INT64_MAX + (negative ? 1 : 0)) return false;
    *out = negative ? (int64_t)(0 - sum) : (int64_t)sum;
    return true;
}

bool arg_int64(struct model_context *c, size_t i, int64_t *out, const struct value **error)
{
    if (read_int64(arg(c, i), out)) return true;
    *error = want_error(c, "ERR value is not an integer or out of range");
    return false;
}

bool arg_int64_in(struct model_context *c, size_t i, int64_t low, int64_t high, const char *text,
                  int64_t *out, const struct value **error)
{
    if (!read_int64(arg(c, i), out)) {
        *error = want_error(c, "%s", text ? text : "ERR value is not an integer or out of range");
        return false;
    }
    if (*out >= low && *out <= high) return true;
    *error = text ? want_error(c, "%s", text)
                  : want_error(c, "ERR value is out of range, value must between %lld and %lld",
                               (long long)low, (long long)high);
    return false;
}

/* Copies to a NUL-terminated buffer what strtod may read; false for what Redis does not even try. */
static bool number_text(struct slice text, char *out, size_t size)
{
    if (text.len == 0 || text.len >= size || isspace((unsigned char)text.ptr[0])) return false;
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return strlen(out) == text.len;
}

bool read_double(struct slice text, double *out)
{
    char buffer[1024];
    if (!number_text(text, buffer, sizeof(buffer))) return false;
    char *end;
    errno = 0;
    double d = strtod(buffer, &end);
    if (end != buffer + text.len || isnan(d)) return false;
    if (errno == ERANGE && (isinf(d) || d == 0)) return false;
    *out = d;
    return true;
}

bool read_long_double(struct slice text, long double *out)
{
    char buffer[5 * 1024];
    if (!number_text(text, buffer, sizeof(buffer))) return false;
    char *end;
    errno = 0;
    long double d = strtold(buffer, &end);
    if (end != buffer + text.len || isnan(d)) return false;
    if (errno == ERANGE && (isinf(d) || d == 0)) return false;
    *out = d;
    return true;
}

/* ---------------------------------------------------------------- writing numbers */

struct slice text_printf(struct model_context *c, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    CHECK(n >= 0 && (size_t)n < sizeof(text));
    return value_bytes(&c->model->arena, text, (size_t)n);
}

struct slice text_of_int64(struct model_context *c, int64_t n)
{
    return text_printf(c, "%lld", (long long)n);
}

/* The shortest decimal digits that read back as d (> 0), and the power of ten of the first digit. */
static int shortest_digits(double d, char digits[20], int *exponent)
{
    char text[40];
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(text, sizeof(text), "%.*e", precision - 1, d);
        if (strtod(text, NULL) == d) break;
    }
    int count = 0;
    const char *p = text;
    for (; *p != 'e'; p++)
        if (*p != '.') digits[count++] = *p;
    *exponent = atoi(p + 1);
    while (count > 1 && digits[count - 1] == '0') count--;
    return count;
}

struct slice text_of_double(struct model_context *c, double d)
{
    if (isnan(d)) return SLICE("nan");
    if (isinf(d)) return d > 0 ? SLICE("inf") : SLICE("-inf");
    if (d == 0) return signbit(d) ? SLICE("-0") : SLICE("0");
    if (fabs(d) < 4611686018427387904.0 && d == (double)(int64_t)d) return text_of_int64(c, (int64_t)d);
    const char *sign = d < 0 ? "-" : "";
    char digits[20];
    int exponent;
    int count = shortest_digits(fabs(d), digits, &exponent);
    int last = exponent - count + 1; /* the power of ten of the last digit */
    static const char zeros[] = "00000000000000000000000";
    if (last >= 0 && exponent < count + 7)
        return text_printf(c, "%s%.*s%.*s", sign, count, digits, last, zeros);
    if (last < 0 && (last > -7 || abs(exponent) < 4)) {
        if (exponent >= 0)
            return text_printf(c, "%s%.*s.%.*s", sign, exponent + 1, digits, count - exponent - 1,
                               digits + exponent + 1);
        return text_printf(c, "%s0.%.*s%.*s", sign, -exponent - 1, zeros, count, digits);
    }
    return text_printf(c, "%s%c%s%.*se%c%d", sign, digits[0], count > 1 ? "." : "", count - 1, digits + 1,
                       exponent < 0 ? '-' : '+', abs(exponent));
}

struct slice text_of_long_double(struct model_context *c, long double d)
{
    if (isinf(d)) return d > 0 ? SLICE("inf") : SLICE("-inf");
    char text[5 * 1024 + 64];
    int n = snprintf(text, sizeof(text), "%.17Lf", d);
    CHECK(n > 0 && (size_t)n < sizeof(text));
    while (text[n - 1] == '0') n--;
    if (text[n - 1] == '.') n--;
    if (n == 2 && text[0] == '-' && text[1] == '0') return SLICE("0");
    return value_bytes(&c->model->arena, text, (size_t)n);
}

/* ---------------------------------------------------------------- patterns */

/* The byte of a pattern, NUL behind its end. */
static char at(struct slice pattern, size_t i)
{
    return i < pattern.len ? pattern.ptr[i] : '\0';
}

/* The class that begins after '[' at *i: does it hold the byte? *i moves behind the class. What is left open
 * ends with the pattern. */
static bool class_holds(struct slice pattern, size_t *i, char byte)
{
    bool inverted = at(pattern, *i) == '^', holds = false;
    if (inverted) ++*i;
    for (; *i < pattern.len && pattern.ptr[*i] != ']'; ++*i) {
        if (pattern.ptr[*i] == '\\' && *i + 1 < pattern.len) {
            ++*i;
            holds |= pattern.ptr[*i] == byte;
        } else if (*i + 2 < pattern.len && pattern.ptr[*i + 1] == '-') {
            char low = pattern.ptr[*i], high = pattern.ptr[*i + 2];
            holds |= low <= high ? byte >= low && byte <= high : byte >= high && byte <= low;
            *i += 2;
        } else {
            holds |= pattern.ptr[*i] == byte;
        }
    }
    if (*i < pattern.len) ++*i;
    return holds != inverted;
}

/* One item of the pattern that is no star against one byte; *i moves behind the item. */
static bool item_matches(struct slice pattern, size_t *i, char byte)
{
    char item = pattern.ptr[(*i)++];
    if (item == '?') return true;
    if (item == '[') return class_holds(pattern, i, byte);
    if (item == '\\' && *i < pattern.len) item = pattern.ptr[(*i)++];
    return item == byte;
}

bool glob_matches(struct slice pattern, struct slice text)
{
    if (text.len == 0) return pattern.len == 0; /* even "*" does not match nothing */
    size_t i = 0, j = 0, star = SIZE_MAX, star_text = 0;
    while (j < text.len) {
        if (at(pattern, i) == '*' && i < pattern.len) {
            while (at(pattern, i) == '*' && i < pattern.len) i++;
            if (i == pattern.len) return true;
            star = i;
            star_text = j;
        } else if (i < pattern.len && item_matches(pattern, &i, text.ptr[j])) {
            j++;
        } else {
            if (star == SIZE_MAX) return false;
            i = star;
            j = ++star_text;
        }
    }
    while (i < pattern.len && pattern.ptr[i] == '*') i++;
    return i == pattern.len;
}
