/* RESP reply counter (contract in reply.h). */
#include "reply.h"

#include <string.h>

#include "base/check.h"

/* No server announces more; a larger number is a desynchronised stream. */
#define NUMBER_MAX ((uint64_t)1 << 40)

void reply_scan_init(struct reply_scan *s)
{
    memset(s, 0, sizeof *s);
}

static inline void finish_value(struct reply_scan *s)
{
    if (--s->values_left > 0) return;
    if (s->is_push) {
        s->pushes++;
        s->is_push = false;
    } else {
        s->replies++;
    }
}

void reply_scan_skip(struct reply_scan *s, size_t len)
{
    CHECK(len <= s->skip);
    s->skip -= len;
    if (s->skip == 0 && len > 0) finish_value(s);
}

/* A header line is complete: what does it announce? */
static bool finish_line(struct reply_scan *s)
{
    char type = s->type;
    uint64_t n = s->negative ? 0 : s->number;
    s->type = 0;
    switch (type) {
    case '-': s->errors++; break;
    case '$': /* a negative length is a null */
    case '=':
    case '!':
        s->errors += type == '!';
        if (s->negative) break;
        s->skip = n + 2;
        return true;
    case '>':
        if (s->values_left != 1) return false; /* a push inside a reply */
        s->is_push = true;
        s->values_left += n;
        break;
    case '*':
    case '~': s->values_left += n; break;
    case '%': s->values_left += 2 * n; break;
    case '|': s->values_left += 2 * n; return true; /* the value that it describes follows */
    default: break;
    }
    finish_value(s);
    return true;
}

static inline bool has_number(char type)
{
    switch (type) {
    case '$':
    case '=':
    case '!':
    case '>':
    case '*':
    case '~':
    case '%':
    case '|': return true;
    default: return false;
    }
}

static inline bool is_type(char type)
{
    switch (type) {
    case '+':
    case '-':
    case ':':
    case ',':
    case '#':
    case '_':
    case '(': return true;
    default: return has_number(type);
    }
}

static const char *scan_number(struct reply_scan *s, const char *p, const char *end)
{
    for (; p < end; p++) {
        unsigned digit = (unsigned)*p - '0';
        if (LIKELY(digit < 10)) {
            s->number = s->number * 10 + digit;
            if (UNLIKELY(s->number > NUMBER_MAX)) return NULL;
        } else if (*p == '\n') {
            return finish_line(s) ? p + 1 : NULL;
        } else if (*p == '-') {
            s->negative = true;
        } else if (*p != '\r') {
            return NULL;
        }
    }
    return p;
}

static const char *scan_text(struct reply_scan *s, const char *p, const char *end)
{
    if (UNLIKELY(s->type == '-') && s->errors == 0) {
        for (; p < end && *p != '\n'; p++) {
            if (*p != '\r' && s->first_error_len < sizeof s->first_error - 1)
                s->first_error[s->first_error_len++] = *p;
        }
    } else {
        while (p < end && *p != '\n') p++;
    }
    if (p == end) return p;
    return finish_line(s) ? p + 1 : NULL;
}

bool reply_scan_feed(struct reply_scan *s, const char *bytes, size_t len)
{
    const char *p = bytes, *end = bytes + len;
    while (p < end) {
        if (s->skip > 0) {
            size_t rest = (size_t)(end - p), n = s->skip < rest ? s->skip : rest;
            reply_scan_skip(s, n);
            p += n;
            continue;
        }
        if (s->type == 0) {
            if (!is_type(*p)) return false;
            if (s->values_left == 0) s->values_left = 1;
            s->type = *p++;
            s->number = 0;
            s->negative = false;
        }
        p = has_number(s->type) ? scan_number(s, p, end) : scan_text(s, p, end);
        if (p == NULL) return false;
    }
    return true;
}
