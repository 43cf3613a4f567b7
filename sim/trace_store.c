/* See trace_store.h. A record is a header and its line, in one piece, 8-byte aligned; a ring's offsets only
 * grow, their remainder is the place. A header with `len` PADDING skips what is left before the ring's end.
 */
#include "sim/trace_store.h"
#include "sim/trace_html.h"
#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FRAME_BYTES (4u << 20)
#define LAST_BYTES  (1u << 20) /* of them, for the last lines */
#define PADDING     UINT32_MAX

struct record {
    uint64_t number;
    int64_t time_us;
    uint32_t len, kind;
};

struct ring {
    char *bytes;
    size_t size;
    uint64_t head, tail; /* newest, oldest */
};

struct trace_store {
    struct ring rings[TRACE_CLASSES]; /* the frame's never wraps */
    uint64_t dropped[TRACE_KINDS_MAX];
    uint64_t next;
    int64_t dense_from_us;
    int fd;
    bool page;
    size_t out_len;
    char out[64 * 1024];
};

struct trace_store *trace_store_open(const char *path, size_t limit_bytes, int *error)
{
    struct trace_store *store = calloc(1, sizeof *store);
    if (!store) {
        *error = -ENOMEM;
        return NULL;
    }
    store->fd = -1;
    store->dense_from_us = -1;
    size_t unit = limit_bytes / 4 / 8 * 8;
    const size_t sizes[TRACE_CLASSES] = {FRAME_BYTES, unit, unit * 3};
    for (int i = 0; i < TRACE_CLASSES; i++) {
        store->rings[i] = (struct ring){.bytes = malloc(sizes[i]), .size = sizes[i]};
        if (!store->rings[i].bytes) {
            *error = -ENOMEM;
            trace_store_destroy(store);
            return NULL;
        }
    }
    size_t len = strlen(path);
    store->page = len >= 5 && strcmp(path + len - 5, ".html") == 0;
    store->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (store->fd < 0) {
        *error = -errno;
        trace_store_destroy(store);
        return NULL;
    }
    return store;
}

void trace_store_destroy(struct trace_store *store)
{
    if (store->fd >= 0) close(store->fd);
    for (int i = 0; i < TRACE_CLASSES; i++) free(store->rings[i].bytes);
    free(store);
}

/* The record at an offset, behind padding; NULL at the end. */
static const struct record *record_at(const struct ring *ring, uint64_t *offset)
{
    while (*offset < ring->head) {
        const struct record *record = (const void *)(ring->bytes + *offset % ring->size);
        size_t to_end = ring->size - *offset % ring->size;
        if (to_end >= sizeof *record && record->len != PADDING) return record;
        *offset += to_end;
    }
    return NULL;
}

static uint64_t record_size(size_t len)
{
    return sizeof(struct record) + (len + 7) / 8 * 8;
}

static void drop_oldest(struct trace_store *store, enum trace_class where)
{
    struct ring *ring = &store->rings[where];
    const struct record *record = record_at(ring, &ring->tail);
    if (!record) return;
    store->dropped[record->kind]++;
    if (where == TRACE_DENSE && record->time_us > store->dense_from_us)
        store->dense_from_us = record->time_us;
    ring->tail += record_size(record->len);
}

void trace_store_add(struct trace_store *store, enum trace_class where, int kind, int64_t time_us,
                     const char *line, size_t len)
{
    CHECK(kind >= 0 && kind < TRACE_KINDS_MAX);
    bool frame = where == TRACE_FRAME || where == TRACE_LAST;
    struct ring *ring = &store->rings[frame ? TRACE_FRAME : where];
    size_t need = record_size(len), to_end = ring->size - ring->head % ring->size;
    size_t skip = to_end < need ? to_end : 0;
    if (need + skip > ring->size ||
        (frame && ring->head + need + (where == TRACE_FRAME ? LAST_BYTES : 0) > ring->size)) {
        store->dropped[kind]++;
        return;
    }
    while (ring->size - (ring->head - ring->tail) < need + skip) drop_oldest(store, where);
    if (skip >= sizeof(struct record)) {
        struct record padding = {.len = PADDING};
        memcpy(ring->bytes + ring->head % ring->size, &padding, sizeof padding);
    }
    ring->head += skip;
    struct record record = {store->next++, time_us, (uint32_t)len, (uint32_t)kind};
    char *at = ring->bytes + ring->head % ring->size;
    memcpy(at, &record, sizeof record);
    memcpy(at + sizeof record, line, len);
    ring->head += need;
}

uint64_t trace_store_dropped(const struct trace_store *store, int kind)
{
    return store->dropped[kind];
}

int64_t trace_store_dense_from(const struct trace_store *store)
{
    return store->dense_from_us;
}

/* ---- the file ---- */

static int flush(struct trace_store *store)
{
    for (size_t done = 0; done < store->out_len;) {
        ssize_t n = write(store->fd, store->out + done, store->out_len - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -errno;
        done += (size_t)n;
    }
    store->out_len = 0;
    return 0;
}

static int put(struct trace_store *store, const char *bytes, size_t len)
{
    while (len) {
        size_t room = sizeof store->out - store->out_len, n = len < room ? len : room;
        memcpy(store->out + store->out_len, bytes, n);
        store->out_len += n;
        bytes += n;
        len -= n;
        int error = store->out_len == sizeof store->out ? flush(store) : 0;
        if (error) return error;
    }
    return 0;
}

int trace_store_write(struct trace_store *store)
{
    struct slice page = trace_html(), head = {NULL, 0}, tail = {NULL, 0};
    if (store->page) {
        const char *mark = memmem(page.ptr, page.len, TRACE_HTML_MARK, sizeof TRACE_HTML_MARK - 1);
        CHECK(mark);
        head = (struct slice){page.ptr, (size_t)(mark - page.ptr)};
        tail.ptr = mark + sizeof TRACE_HTML_MARK - 1;
        tail.len = page.len - (size_t)(tail.ptr - page.ptr);
    }
    uint64_t offsets[TRACE_CLASSES];
    for (int i = 0; i < TRACE_CLASSES; i++) offsets[i] = store->rings[i].tail;
    int error = put(store, head.ptr, head.len);
    while (!error) {
        const struct record *next = NULL;
        int from = 0;
        for (int i = 0; i < TRACE_CLASSES; i++) {
            const struct record *record = record_at(&store->rings[i], &offsets[i]);
            if (record && (!next || record->number < next->number)) {
                next = record;
                from = i;
            }
        }
        if (!next) break;
        error = put(store, (const char *)(next + 1), next->len);
        offsets[from] += record_size(next->len);
    }
    if (!error) error = put(store, tail.ptr, tail.len);
    return error ? error : flush(store);
}
