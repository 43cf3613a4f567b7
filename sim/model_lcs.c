/* LCS: the longest common subsequence by the full table, and the runs of bytes that make it up. */
#include "sim/model_internal.h"

#include <stdlib.h>

struct lcs_options {
    bool len, idx, with_match_len;
    int64_t match_len_min;
};

static const struct value *read_options(struct model_context *c, struct lcs_options *o)
{
    const struct value *error = NULL;
    for (size_t i = 3; i < argc(c); i++) {
        if (arg_is(c, i, "IDX")) {
            o->idx = true;
        } else if (arg_is(c, i, "LEN")) {
            o->len = true;
        } else if (arg_is(c, i, "WITHMATCHLEN")) {
            o->with_match_len = true;
        } else if (arg_is(c, i, "MINMATCHLEN") && i + 1 < argc(c)) {
            if (!arg_int64(c, ++i, &o->match_len_min, &error)) return error;
        } else {
            return want_syntax_error(c);
        }
    }
    if (o->len && o->idx)
        return want_error(c, "ERR If you want both the length and indexes, please just use IDX.");
    return NULL;
}

static const struct value *range(struct model_context *c, size_t first, size_t last)
{
    struct value *v = want_array(c, 2);
    set_item(v, 0, want_integer(c, (int64_t)first));
    set_item(v, 1, want_integer(c, (int64_t)last));
    return v;
}

/* Walks back from the ends: the common bytes into text (from its end), and the runs into matches. */
static void walk_back(struct model_context *c, struct slice a, struct slice b, const uint32_t *table,
                      const struct lcs_options *o, char *text, struct want_list *matches)
{
    size_t i = a.len, j = b.len, width = b.len + 1, left = table[i * width + j];
    while (i > 0 && j > 0) {
        size_t run = 0;
        while (run < i && run < j && a.ptr[i - run - 1] == b.ptr[j - run - 1]) {
            text[--left] = a.ptr[i - run - 1];
            run++;
        }
        i -= run;
        j -= run;
        if (run > 0 && (int64_t)run >= o->match_len_min) {
            struct value *match = want_array(c, 2 + o->with_match_len);
            set_item(match, 0, range(c, i, i + run - 1));
            set_item(match, 1, range(c, j, j + run - 1));
            if (o->with_match_len) set_item(match, 2, want_integer(c, (int64_t)run));
            want_list_add(c, matches, match);
        }
        if (i == 0 || j == 0) return;
        if (run > 0) continue;
        if (table[(i - 1) * width + j] > table[i * width + j - 1])
            i--;
        else
            j--;
    }
}

static uint32_t *make_table(struct slice a, struct slice b)
{
    size_t width = b.len + 1;
    uint32_t *table = calloc((a.len + 1) * width, sizeof(*table));
    CHECK(table != NULL);
    for (size_t i = 1; i <= a.len; i++)
        for (size_t j = 1; j <= b.len; j++) {
            uint32_t up = table[(i - 1) * width + j], left = table[i * width + j - 1];
            table[i * width + j] = a.ptr[i - 1] == b.ptr[j - 1] ? table[(i - 1) * width + j - 1] + 1
                                   : up > left                  ? up
                                                                : left;
        }
    return table;
}

const struct value *model_do_lcs(struct model_context *c)
{
    struct model_object *x = model_read(c, arg(c, 1)), *y = model_read(c, arg(c, 2));
    if ((x && x->type != MODEL_STRING) || (y && y->type != MODEL_STRING))
        return want_error(c, "ERR The specified keys must contain string values");
    struct slice a = x ? as_string(x)->bytes : SLICE(""), b = y ? as_string(y)->bytes : SLICE("");
    struct lcs_options o = {0};
    const struct value *error = read_options(c, &o);
    if (error) return error;
    if ((a.len + 1) * (b.len + 1) > c->model->options.bulk_max / sizeof(uint32_t))
        return want_error(c, "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");

    uint32_t *table = make_table(a, b);
    size_t len = table[a.len * (b.len + 1) + b.len];
    char *text = value_alloc(&c->model->arena, len + 1);
    struct want_list matches = {0};
    walk_back(c, a, b, table, &o, text, &matches);
    free(table);
    if (o.len) return want_integer(c, (int64_t)len);
    if (!o.idx) return want_bulk(c, (struct slice){text, len});
    struct value *reply = want_map(c, 2);
    set_item(reply, 0, want_text(c, "matches"));
    set_item(reply, 1, want_list_array(c, &matches));
    set_item(reply, 2, want_text(c, "len"));
    set_item(reply, 3, want_integer(c, (int64_t)len));
    return reply;
}
