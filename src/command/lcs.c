/* LCS: the longest common subsequence of two strings, as text, length, or matching ranges. The classic table
 * of lengths; which of several longest ones is found, and where ranges are cut, follows from the order of the
 * walk back, which therefore is Redis's. O(a * b) time and 4 bytes each; the table's size is bounded by
 * proto-max-bulk-len. Compared with a real Redis by test/blackbox/string_test.py. */
#include "command/command.h"

#include <stdlib.h>

struct lcs_options {
    bool len, idx, with_match_len;
    int64_t match_len_min;
};

struct lcs {
    struct slice a, b;
    uint32_t *lengths; /* (a.len + 1) rows of b.len + 1: of the first i bytes of a and j of b */
};

static inline uint32_t *cell(const struct lcs *lcs, size_t i, size_t j)
{
    return &lcs->lengths[i * (lcs->b.len + 1) + j];
}

static bool parse_lcs_options(struct command_context *ctx, struct lcs_options *options)
{
    for (int i = 3; i < ctx->argc; i++) {
        if (command_arg_is(ctx, i, "IDX")) {
            options->idx = true;
        } else if (command_arg_is(ctx, i, "LEN")) {
            options->len = true;
        } else if (command_arg_is(ctx, i, "WITHMATCHLEN")) {
            options->with_match_len = true;
        } else if (command_arg_is(ctx, i, "MINMATCHLEN") && i + 1 < ctx->argc) {
            if (!command_arg_int(ctx, ++i, &options->match_len_min)) return false;
        } else {
            command_error_syntax(ctx);
            return false;
        }
    }
    if (!options->len || !options->idx) return true;
    reply_error(ctx->reply, "ERR If you want both the length and indexes, please just use IDX.");
    return false;
}

static bool allocate(struct command_context *ctx, struct lcs *lcs)
{
    if (lcs->a.len >= UINT32_MAX - 1 || lcs->b.len >= UINT32_MAX - 1) {
        reply_error(ctx->reply, "ERR String too long for LCS");
        return false;
    }
    uint64_t bytes;
    bool overflow =
        __builtin_mul_overflow((uint64_t)(lcs->a.len + 1) * (lcs->b.len + 1), sizeof(uint32_t), &bytes);
    if (overflow || bytes > (uint64_t)ctx->config->proto_max_bulk_len) {
        reply_error(ctx->reply,
                    "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
        return false;
    }
    lcs->lengths = malloc(bytes);
    if (lcs->lengths != NULL) return true;
    reply_error(ctx->reply, "ERR Insufficient memory, failed allocating transient memory for LCS");
    return false;
}

static void fill(struct lcs *lcs)
{
    memset(lcs->lengths, 0, (lcs->b.len + 1) * sizeof *lcs->lengths);
    for (size_t i = 1; i <= lcs->a.len; i++) {
        const uint32_t *above = cell(lcs, i - 1, 0);
        uint32_t *row = cell(lcs, i, 0);
        row[0] = 0;
        for (size_t j = 1; j <= lcs->b.len; j++) {
            if (lcs->a.ptr[i - 1] == lcs->b.ptr[j - 1])
                row[j] = above[j - 1] + 1;
            else
                row[j] = above[j] > row[j - 1] ? above[j] : row[j - 1];
        }
    }
}

/* One step back from (*i, *j): true if it is a match. */
static inline bool step_back(const struct lcs *lcs, size_t *i, size_t *j)
{
    if (lcs->a.ptr[*i - 1] == lcs->b.ptr[*j - 1]) {
        (*i)--;
        (*j)--;
        return true;
    }
    if (*cell(lcs, *i - 1, *j) > *cell(lcs, *i, *j - 1))
        (*i)--;
    else
        (*j)--;
    return false;
}

static void reply_text(struct command_context *ctx, const struct lcs *lcs)
{
    size_t len = *cell(lcs, lcs->a.len, lcs->b.len), at = len, i = lcs->a.len, j = lcs->b.len;
    char *text = malloc(len + 1);
    if (text == NULL) {
        reply_error(ctx->reply, "ERR Insufficient memory, failed allocating transient memory for LCS");
        return;
    }
    while (i && j)
        if (step_back(lcs, &i, &j)) text[--at] = lcs->a.ptr[i];
    CHECK(at == 0);
    reply_bulk(ctx->reply, text, len);
    free(text);
}

/* A run of matches: bytes [a, a + len) and [b, b + len). False if it is shorter than what is asked for. */
static bool reply_range(struct command_context *ctx, const struct lcs_options *options, size_t a, size_t b,
                        size_t len)
{
    if (options->match_len_min > 0 && (int64_t)len < options->match_len_min) return false;
    reply_array(ctx->reply, options->with_match_len ? 3 : 2);
    reply_array(ctx->reply, 2);
    reply_integer(ctx->reply, (int64_t)a);
    reply_integer(ctx->reply, (int64_t)(a + len - 1));
    reply_array(ctx->reply, 2);
    reply_integer(ctx->reply, (int64_t)b);
    reply_integer(ctx->reply, (int64_t)(b + len - 1));
    if (options->with_match_len) reply_integer(ctx->reply, (int64_t)len);
    return true;
}

/* Ranges from the last to the first. A run ends where the walk leaves the diagonal. */
static void reply_ranges(struct command_context *ctx, const struct lcs_options *options,
                         const struct lcs *lcs)
{
    reply_map(ctx->reply, 2);
    reply_bulk_text(ctx->reply, "matches");
    size_t mark = reply_defer(ctx->reply, 0);
    size_t i = lcs->a.len, j = lcs->b.len, run = 0;
    uint64_t ranges = 0;
    while (i && j) {
        size_t run_a = i, run_b = j; /* where the present run starts, if there is one */
        bool match = step_back(lcs, &i, &j);
        if (match) run++;
        if (run && (!match || i == 0 || j == 0)) {
            ranges +=
                match ? reply_range(ctx, options, i, j, run) : reply_range(ctx, options, run_a, run_b, run);
            run = 0;
        }
    }
    reply_close_array(ctx->reply, mark, ranges);
    reply_bulk_text(ctx->reply, "len");
    reply_integer(ctx->reply, *cell(lcs, lcs->a.len, lcs->b.len));
}

/* The string at argv[index]; absent is empty. False: another type. */
static bool open_string(struct command_context *ctx, int index, char *scratch, struct slice *value)
{
    struct entry entry;
    *value = SLICE("");
    if (!command_open_read(ctx, index, &entry)) return true;
    if (item_type(entry.item) != ITEM_STRING) return false;
    *value = entry_string(&entry, scratch);
    return true;
}

void cmd_lcs(struct command_context *ctx)
{
    struct lcs lcs;
    struct lcs_options options = {0};
    char scratch[2][NUMBER_I64_MAX + 1];
    bool strings = open_string(ctx, 1, scratch[0], &lcs.a);
    strings = open_string(ctx, 2, scratch[1], &lcs.b) && strings;
    if (!strings) {
        reply_error(ctx->reply, "ERR The specified keys must contain string values");
        return;
    }
    if (!parse_lcs_options(ctx, &options) || !allocate(ctx, &lcs)) return;
    fill(&lcs);
    if (options.idx)
        reply_ranges(ctx, &options, &lcs);
    else if (options.len)
        reply_integer(ctx->reply, *cell(&lcs, lcs.a.len, lcs.b.len));
    else
        reply_text(ctx, &lcs);
    free(lcs.lengths);
}
