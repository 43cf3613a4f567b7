/* The frame of SSCAN, HSCAN and ZSCAN. See scan_element.h. */
#include "command/scan_element.h"

#include <stdio.h>

#include "base/glob.h"
#include "base/mutant.h"

bool element_scan_cursor(struct command_context *ctx, uint64_t *cursor)
{
    if (command_parse_cursor(ctx->argv[2], cursor)) return true;
    reply_error(ctx->reply, "ERR invalid cursor");
    return false;
}

bool element_scan_begin(struct command_context *ctx, bool present, struct element_scan *scan)
{
    *scan = (struct element_scan){.reply = ctx->reply, .start = reply_len(ctx->reply), .count = 10};
    if (!present) {
        uint64_t next = 0;
        if (MUTANT(scan_missing_key_cursor)) command_parse_cursor(ctx->argv[2], &next);
        element_scan_end(scan, next); /* Redis does not look at the options then */
        return false;
    }
    bool is_hash = slice_is_word(ctx->argv[0], "HSCAN");
    for (int i = 3; i < ctx->argc; i += 2) {
        bool has_value = i + 1 < ctx->argc;
        if (has_value && command_arg_is(ctx, i, "COUNT")) {
            int64_t count;
            if (!command_arg_int(ctx, i + 1, &count)) return false;
            if (count < 1) {
                command_error_syntax(ctx);
                return false;
            }
            scan->count = (uint64_t)count;
        } else if (has_value && command_arg_is(ctx, i, "MATCH")) {
            bool any = slice_equal(ctx->argv[i + 1], SLICE("*"));
            scan->pattern = any ? (struct slice){NULL, 0} : ctx->argv[i + 1];
        } else if (command_arg_is(ctx, i, "NOVALUES")) {
            if (!is_hash) {
                reply_error(ctx->reply, "ERR NOVALUES option can only be used in HSCAN");
                return false;
            }
            scan->no_values = true;
            i--; /* has no value */
        } else {
            command_error_syntax(ctx);
            return false;
        }
    }
    return true;
}

bool element_scan_matches(const struct element_scan *scan, struct slice element)
{
    return scan->pattern.ptr == NULL || glob_match(scan->pattern, element, false);
}

bool element_scan_wants_more(struct element_scan *scan)
{
    uint64_t calls_max = scan->count > UINT64_MAX / 16 ? UINT64_MAX : scan->count * 10;
    return scan->seen < scan->count && ++scan->calls < calls_max;
}

void element_scan_end(struct element_scan *scan, uint64_t cursor)
{
    struct reply *reply = scan->reply;
    char digits[NUMBER_I64_MAX + 1], head[64];
    int digits_len = (int)number_format_u64(digits, cursor);
    size_t head_len = (size_t)snprintf(head, sizeof head, "*2\r\n$%d\r\n%.*s\r\n*%llu\r\n", digits_len,
                                       digits_len, digits, (unsigned long long)scan->shown);
    size_t elements_len = reply_len(reply) - scan->start;
    reply_raw(reply, head, head_len); /* makes room */
    if (reply->failed) return;
    memmove(reply->begin + scan->start + head_len, reply->begin + scan->start, elements_len);
    memcpy(reply->begin + scan->start, head, head_len);
}
