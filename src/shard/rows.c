/* Rows of scatters; see rows.h. */
#include "shard/rows.h"

#include <stdlib.h>

struct head {
    uint64_t order;
    size_t len;
};

size_t row_begin(struct reply *out, uint64_t order)
{
    size_t mark = reply_len(out);
    struct head head = {.order = order};
    reply_raw(out, &head, sizeof head);
    return mark;
}

void row_end(struct reply *out, size_t mark)
{
    if (out->failed) return;
    struct head head;
    memcpy(&head, out->begin + mark, sizeof head);
    head.len = reply_len(out) - mark - sizeof head;
    memcpy(out->begin + mark, &head, sizeof head);
}

static int by_order(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    return x->order < y->order ? -1 : x->order > y->order;
}

/* Walks all rows; counts them when `out` is NULL. A part that ran out of memory is left out. */
static size_t walk(const struct scatter_part *parts, uint16_t count, struct row *out)
{
    size_t rows = 0;
    for (uint16_t i = 0; i < count; i++) {
        if (parts[i].bytes.failed) continue;
        for (const char *at = parts[i].bytes.begin; at < parts[i].bytes.at; rows++) {
            struct head head;
            memcpy(&head, at, sizeof head);
            at += sizeof head;
            if (out) out[rows] = (struct row){head.order, {at, head.len}};
            at += head.len;
        }
    }
    return rows;
}

struct row *rows_collect(const struct scatter_part *parts, uint16_t count, size_t *rows)
{
    *rows = walk(parts, count, NULL);
    struct row *views = malloc((*rows + 1) * sizeof *views);
    CHECK(views);
    walk(parts, count, views);
    qsort(views, *rows, sizeof *views, by_order);
    return views;
}
