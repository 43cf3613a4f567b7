/* Sorted sets: ranges as clients write them, members as they are replied. See zset.h. */
#include "command/zset.h"

#include <math.h>
#include <stdlib.h>

static bool skip_digits(const char **at, const char *end)
{
    const char *start = *at;
    while (*at < end && **at >= '0' && **at <= '9') (*at)++;
    return *at > start;
}

/* A decimal number as a whole: sign, digits with a point somewhere, exponent. */
static bool is_decimal(const char *at, const char *end)
{
    if (at < end && (*at == '+' || *at == '-')) at++;
    bool digits = skip_digits(&at, end);
    if (at < end && *at == '.') {
        at++;
        digits |= skip_digits(&at, end);
    }
    if (!digits) return false;
    if (at == end) return true;
    if (*at != 'e' && *at != 'E') return false;
    at++;
    if (at < end && (*at == '+' || *at == '-')) at++;
    return skip_digits(&at, end) && at == end;
}

static bool parse_infinity(struct slice text, double *out)
{
    bool signed_text = text.len > 0 && (text.ptr[0] == '+' || text.ptr[0] == '-');
    struct slice word = {text.ptr + signed_text, text.len - signed_text};
    if (!slice_is_word(word, "inf") && !slice_is_word(word, "infinity")) return false;
    *out = signed_text && text.ptr[0] == '-' ? -INFINITY : INFINITY;
    return true;
}

/* One end of a range: decimals only, what is too large is infinite, nothing at all is 0, a NUL ends it. */
static bool parse_end(struct slice text, double *value, bool *open)
{
    *open = text.len > 0 && text.ptr[0] == '(';
    if (*open) text = (struct slice){text.ptr + 1, text.len - 1};
    const char *nul = text.len > 0 ? memchr(text.ptr, 0, text.len) : NULL;
    if (nul != NULL) text.len = (size_t)(nul - text.ptr);
    *value = 0;
    if (text.len == 0 || parse_infinity(text, value)) return true;
    if (!is_decimal(text.ptr, text.ptr + text.len)) return false;
    if (number_parse_double(text.ptr, text.len, value)) return true;
    char *copy = strndup(text.ptr, text.len); /* out of a double's range: strtod says to which side */
    if (copy == NULL) return false;
    *value = strtod(copy, NULL);
    free(copy);
    return true;
}

bool zset_parse_score_range(struct command_context *ctx, int min, int max, struct zset_score_range *range)
{
    if (parse_end(ctx->argv[min], &range->min, &range->min_open) &&
        parse_end(ctx->argv[max], &range->max, &range->max_open))
        return true;
    reply_error(ctx->reply, "ERR min or max is not a float");
    return false;
}

static bool parse_lex_end(struct slice text, struct slice *member, enum zset_lex_end *end)
{
    if (text.len == 0) return false;
    *member = (struct slice){text.ptr + 1, text.len - 1};
    switch (text.ptr[0]) {
    case '[': *end = ZSET_LEX_CLOSED; return true;
    case '(': *end = ZSET_LEX_OPEN; return true;
    case '-': *end = ZSET_LEX_LOWEST; break;
    case '+': *end = ZSET_LEX_HIGHEST; break;
    default: return false;
    }
    return text.len == 1 || text.ptr[1] == 0;
}

bool zset_parse_lex_range(struct command_context *ctx, int min, int max, struct zset_lex_range *range)
{
    if (parse_lex_end(ctx->argv[min], &range->min, &range->min_end) &&
        parse_lex_end(ctx->argv[max], &range->max, &range->max_end))
        return true;
    reply_error(ctx->reply, "ERR min or max not valid string range item");
    return false;
}

struct zset_span zset_clamp_ranks(int64_t start, int64_t stop, uint32_t count)
{
    if (start < 0) start += count;
    if (stop < 0) stop += count;
    if (start < 0) start = 0;
    if (start > stop || start >= count) return (struct zset_span){0, 0};
    if (stop >= count) stop = (int64_t)count - 1;
    return (struct zset_span){(uint32_t)start, (uint32_t)stop + 1};
}

void zset_reply_header(struct reply *reply, uint64_t n, bool with_scores)
{
    reply_array(reply, with_scores && reply->resp == 2 ? n * 2 : n);
}

void zset_reply_member(struct reply *reply, struct slice member, double score, bool with_scores)
{
    if (with_scores && reply->resp > 2) reply_array(reply, 2);
    reply_bulk_slice(reply, member);
    if (with_scores) reply_double(reply, score);
}
