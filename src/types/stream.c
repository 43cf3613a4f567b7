/* stream: both forms of a stream (contract and layout: stream.h).
 *
 * Chunk and directory carry their own sizes. A chunk's `begin` moves up as entries leave at the front, so
 * that trimming moves nothing. An append reserves in this order: the small form becomes a large one with the
 * same entries, the directory gets a free slot, the chunk is made; failing at any of these leaves the same
 * stream. Tests: test/unit/stream_test.c.
 */
#include "types/stream.h"

#include "base/mark.h"
#include "base/number.h"
#include "types/list_chunk.h"

#define TAG_SMALL     0
#define TAG_LARGE     1
#define CHUNK_BYTES   4096u
#define SEAL_SPARE    256u /* a full chunk keeps no more room than this */
#define SMALL_AGAIN   256u /* bytes of entries at which the only chunk becomes the small form again */
#define DIRECTORY_NEW 4u

struct root {
    uint8_t tag, unused[3];
    slab_handle directory;
    uint64_t count, added, base_ms; /* base_ms: of the small form */
    struct stream_id last, max_deleted;
};
_Static_assert(sizeof(struct root) == STREAM_EMPTY_AREA, "stream root");

struct stream_chunk {
    uint64_t base_ms;
    uint32_t cap, begin, end, count; /* bytes of data, of them used, entries */
    uint8_t data[];
};
#define DATA_BYTES (CHUNK_BYTES - (uint32_t)sizeof(struct stream_chunk))

struct slot {
    struct stream_id lowest; /* <= the IDs in the chunk, > those in the chunks before it */
    slab_handle chunk;
    uint32_t unused;
};

struct stream_directory {
    uint32_t cap, begin, count, unused;
    uint64_t bytes; /* what the chunks take in the slab */
    struct slot slots[];
};

static struct root root_read(const struct value *stream)
{
    struct root root;
    DCHECK(stream->len >= sizeof root);
    memcpy(&root, stream->bytes, sizeof root);
    return root;
}

static void root_write(struct value *stream, const struct root *root)
{
    memcpy(stream->bytes, root, sizeof *root);
}

static struct stream_directory *directory_at(const struct slab *slab, slab_handle handle)
{
    return slab_ptr(slab, handle);
}

static size_t directory_size(uint32_t cap)
{
    return sizeof(struct stream_directory) + cap * sizeof(struct slot);
}

static struct slot *slot_at(struct stream_directory *directory, uint32_t index)
{
    return &directory->slots[directory->begin + index];
}

static struct stream_chunk *chunk_of(const struct slab *slab, struct stream_directory *directory,
                                     uint32_t index)
{
    return slab_ptr(slab, slot_at(directory, index)->chunk);
}

static size_t stream_chunk_size(uint32_t cap)
{
    return sizeof(struct stream_chunk) + cap;
}

size_t stream_id_format(char text[STREAM_ID_TEXT_MAX], struct stream_id id)
{
    size_t len = number_format_u64(text, id.ms);
    text[len++] = '-';
    return len + number_format_u64(text + len, id.seq);
}

/* ---- entries ---- */

uint64_t stream_fields_size(const struct slice *strings, uint32_t n)
{
    uint64_t size = varint_size(n);
    for (uint32_t i = 0; i < n; i++) size += varint_size(strings[i].len) + strings[i].len;
    return size;
}

uint32_t stream_fields_count(struct slice *fields)
{
    uint32_t n;
    const uint8_t *at = varint_read32((const uint8_t *)fields->ptr, &n);
    size_t used = (size_t)(at - (const uint8_t *)fields->ptr);
    *fields = (struct slice){(const char *)at, fields->len - used};
    return n;
}

struct slice stream_fields_take(struct slice *fields)
{
    uint64_t len;
    const uint8_t *at = varint_read((const uint8_t *)fields->ptr, &len);
    size_t used = (size_t)(at - (const uint8_t *)fields->ptr) + len;
    DCHECK(used <= fields->len);
    *fields = (struct slice){fields->ptr + used, fields->len - used};
    return (struct slice){(const char *)at, len};
}

bool stream_fields_check(struct slice fields)
{
    const uint8_t *at = (const uint8_t *)fields.ptr;
    uint64_t n, len;
    size_t left = fields.len;
    if (left > STREAM_FIELDS_MAX) return false;
    int used = varint_get(at, left, &n);
    if (used <= 0 || n > left) return false;
    for (at += used, left -= (size_t)used; n > 0; n--) {
        used = varint_get(at, left, &len);
        if (used <= 0 || len > left - (size_t)used) return false;
        at += (size_t)used + len;
        left -= (size_t)used + len;
    }
    return left == 0;
}

/* What is to be appended: strings, or fields packed already. */
struct draft {
    struct stream_id id;
    const struct slice *strings;
    uint32_t n, fields_len;
    const char *packed; /* NULL: strings */
};

static uint32_t draft_content(const struct draft *draft, uint64_t base_ms)
{
    return (uint32_t)(varint_size(draft->id.ms - base_ms) + varint_size(draft->id.seq)) + draft->fields_len;
}

/* Writes the entry; returns where its packed fields are. */
static struct slice draft_write(const struct draft *draft, uint64_t base_ms, uint8_t *at)
{
    uint8_t *out = varint_put(at, draft_content(draft, base_ms));
    out = varint_put(out, draft->id.ms - base_ms);
    out = varint_put(out, draft->id.seq);
    struct slice stored = {(const char *)out, draft->fields_len};
    if (draft->packed) {
        memcpy(out, draft->packed, draft->fields_len);
        out += draft->fields_len;
    } else {
        out = varint_put(out, draft->n);
        for (uint32_t i = 0; i < draft->n; i++) {
            out = varint_put(out, draft->strings[i].len);
            if (draft->strings[i].len) memcpy(out, draft->strings[i].ptr, draft->strings[i].len);
            out += draft->strings[i].len;
        }
    }
    size_t front = (size_t)(out - at), n = varint_size(front);
    for (size_t i = n; i-- > 0; front >>= 7) out[i] = (uint8_t)((front & 0x7f) | (front > 0x7f ? 0x80 : 0));
    return stored;
}

static const uint8_t *read_entry(const uint8_t *at, uint64_t base_ms, struct stream_entry *entry)
{
    struct slice content;
    const uint8_t *next = entry_read(at, &content), *bytes = (const uint8_t *)content.ptr;
    uint64_t delta;
    bytes = varint_read(bytes, &delta);
    bytes = varint_read(bytes, &entry->id.seq);
    entry->id.ms = base_ms + delta;
    entry->fields =
        (struct slice){(const char *)bytes, content.len - (size_t)(bytes - (const uint8_t *)content.ptr)};
    return next;
}

/* ---- chunks and their directory ---- */

static slab_handle new_chunk(struct slab *slab, uint64_t base_ms, uint32_t need)
{
    uint32_t cap = need > DATA_BYTES ? need : DATA_BYTES;
    slab_handle handle = slab_alloc(slab, stream_chunk_size(cap));
    if (handle)
        *(struct stream_chunk *)slab_ptr(slab, handle) =
            (struct stream_chunk){.base_ms = base_ms, .cap = cap};
    return handle;
}

/* Makes room for one more slot behind the last. */
static bool directory_reserve(struct slab *slab, slab_handle *handle)
{
    struct stream_directory *directory = directory_at(slab, *handle);
    if (directory->begin + directory->count < directory->cap) return true;
    size_t bytes = directory->count * sizeof(struct slot);
    if (directory->begin > directory->cap / 2) {
        memmove(directory->slots, slot_at(directory, 0), bytes);
        directory->begin = 0;
        return true;
    }
    if (directory->cap > UINT32_MAX / 64) return false;
    slab_handle grown = slab_alloc(slab, directory_size(directory->cap * 2));
    if (!grown) return false;
    struct stream_directory *to = directory_at(slab, grown);
    *to = *directory;
    to->cap = directory->cap * 2;
    to->begin = 0;
    memcpy(to->slots, slot_at(directory, 0), bytes);
    slab_free(slab, *handle, directory_size(directory->cap));
    *handle = grown;
    return true;
}

static void directory_push(const struct slab *slab, struct stream_directory *directory,
                           struct stream_id lowest, slab_handle handle)
{
    const struct stream_chunk *chunk = slab_ptr(slab, handle);
    directory->bytes += slab_rounded(stream_chunk_size(chunk->cap));
    *slot_at(directory, directory->count++) = (struct slot){.lowest = lowest, .chunk = handle};
}

/* Moves the last chunk, which gets no more entries, to a place that fits. */
static void seal(struct slab *slab, struct stream_directory *directory)
{
    if (directory->count == 0) return;
    struct slot *slot = slot_at(directory, directory->count - 1);
    struct stream_chunk *chunk = slab_ptr(slab, slot->chunk);
    uint32_t used = chunk->end - chunk->begin, cap = chunk->cap;
    if (cap - used <= SEAL_SPARE) return;
    size_t before = slab_rounded(stream_chunk_size(cap)), after = slab_rounded(stream_chunk_size(used));
    if (after >= before) return;
    slab_handle handle = slab_alloc_smaller(slab, stream_chunk_size(used));
    struct stream_chunk *to = slab_ptr(slab, handle);
    *to = (struct stream_chunk){.base_ms = chunk->base_ms, .cap = used, .end = used, .count = chunk->count};
    memcpy(to->data, chunk->data + chunk->begin, used);
    slab_free(slab, slot->chunk, stream_chunk_size(cap));
    slot->chunk = handle;
    directory->bytes -= before - after;
}

/* The last chunk whose lowest ID is <= id; the first one if there is none. */
static uint32_t directory_find(struct stream_directory *directory, struct stream_id id)
{
    uint32_t low = 0, high = directory->count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (stream_id_compare(slot_at(directory, middle)->lowest, id) <= 0)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* ---- from one form to the other ---- */

static int become_large(struct value *stream)
{
    struct slab *slab = stream->slab;
    struct root root = root_read(stream);
    uint32_t used = stream->len - STREAM_EMPTY_AREA;
    slab_handle chunk_handle = 0, handle = slab_alloc(slab, directory_size(DIRECTORY_NEW));
    if (!handle) return VALUE_NO_MEMORY;
    struct stream_directory *directory = directory_at(slab, handle);
    *directory = (struct stream_directory){.cap = DIRECTORY_NEW};
    if (root.count > 0) {
        chunk_handle = new_chunk(slab, root.base_ms, used);
        if (!chunk_handle) {
            slab_free(slab, handle, directory_size(DIRECTORY_NEW));
            return VALUE_NO_MEMORY;
        }
        struct stream_chunk *chunk = slab_ptr(slab, chunk_handle);
        struct stream_entry first;
        memcpy(chunk->data, stream->bytes + STREAM_EMPTY_AREA, used);
        chunk->end = used;
        chunk->count = (uint32_t)root.count;
        read_entry(chunk->data, chunk->base_ms, &first);
        directory_push(slab, directory, first.id, chunk_handle);
    }
    CHECK(stream->resize(stream, STREAM_EMPTY_AREA));
    MARK("stream.becomes_large");
    root.tag = TAG_LARGE;
    root.directory = handle;
    root_write(stream, &root);
    return VALUE_OK;
}

/* Frees directory and chunks of a large stream; its root is the caller's to mend. */
static void free_large(struct slab *slab, slab_handle handle)
{
    struct stream_directory *directory = directory_at(slab, handle);
    for (uint32_t i = 0; i < directory->count; i++)
        slab_free(slab, slot_at(directory, i)->chunk, stream_chunk_size(chunk_of(slab, directory, i)->cap));
    slab_free(slab, handle, directory_size(directory->cap));
}

/* A large stream that is empty, or one short chunk, becomes small; without memory it stays. */
static void become_small(struct value *stream)
{
    struct slab *slab = stream->slab;
    struct root root = root_read(stream);
    struct stream_directory *directory = directory_at(slab, root.directory);
    uint32_t used = 0;
    if (directory->count > 1) return;
    if (directory->count == 1) {
        const struct stream_chunk *chunk = chunk_of(slab, directory, 0);
        used = chunk->end - chunk->begin;
        if (used > SMALL_AGAIN || !stream->resize(stream, STREAM_EMPTY_AREA + used)) return;
        chunk = chunk_of(slab, directory, 0);
        memcpy(stream->bytes + STREAM_EMPTY_AREA, chunk->data + chunk->begin, used);
        root.base_ms = chunk->base_ms;
    }
    free_large(slab, root.directory);
    root.tag = TAG_SMALL;
    root.directory = 0;
    root_write(stream, &root);
}

/* ---- appending ---- */

static int append_large(struct value *stream, struct root *root, const struct draft *draft,
                        struct slice *stored)
{
    struct slab *slab = stream->slab;
    struct stream_directory *directory = directory_at(slab, root->directory);
    if (directory->count > 0) {
        struct stream_chunk *chunk = chunk_of(slab, directory, directory->count - 1);
        size_t need = entry_size(draft_content(draft, chunk->base_ms));
        if (chunk->count < STREAM_CHUNK_ENTRIES && chunk->cap - chunk->end >= need) {
            *stored = draft_write(draft, chunk->base_ms, chunk->data + chunk->end);
            chunk->end += (uint32_t)need;
            chunk->count++;
            return VALUE_OK;
        }
    }
    uint32_t need = (uint32_t)entry_size(draft_content(draft, draft->id.ms));
    if (!directory_reserve(slab, &root->directory)) return VALUE_NO_MEMORY;
    root_write(stream, root); /* the directory may have moved */
    slab_handle handle = new_chunk(slab, draft->id.ms, need);
    if (!handle) return VALUE_NO_MEMORY;
    directory = directory_at(slab, root->directory);
    seal(slab, directory);
    struct stream_chunk *chunk = slab_ptr(slab, handle);
    *stored = draft_write(draft, chunk->base_ms, chunk->data);
    chunk->end = need;
    chunk->count = 1;
    directory_push(slab, directory, draft->id, handle);
    return VALUE_OK;
}

static int append(struct value *stream, const struct draft *draft, struct slice *stored)
{
    struct root root = root_read(stream);
    CHECK(stream_id_compare(draft->id, root.last) > 0 && draft->fields_len <= STREAM_FIELDS_MAX);
    if (root.tag == TAG_SMALL) {
        if (root.count == 0) root.base_ms = draft->id.ms;
        size_t need = entry_size(draft_content(draft, root.base_ms));
        uint32_t len = stream->len;
        if (root.count < STREAM_CHUNK_ENTRIES && len - STREAM_EMPTY_AREA + need <= STREAM_SMALL_MAX) {
            if (!stream->resize(stream, len + (uint32_t)need)) return VALUE_NO_MEMORY;
            *stored = draft_write(draft, root.base_ms, stream->bytes + len);
        } else {
            if (become_large(stream) != VALUE_OK) return VALUE_NO_MEMORY;
            root = root_read(stream);
        }
    }
    if (root.tag == TAG_LARGE && append_large(stream, &root, draft, stored) != VALUE_OK) {
        become_small(stream); /* if it is no more than that */
        return VALUE_NO_MEMORY;
    }
    root.last = draft->id;
    root.count++;
    root.added++;
    root_write(stream, &root);
    return VALUE_OK;
}

int stream_append(struct value *stream, struct stream_id id, const struct slice *strings, uint32_t n,
                  struct slice *stored)
{
    uint64_t len = stream_fields_size(strings, n);
    CHECK(len <= STREAM_FIELDS_MAX);
    struct draft draft = {.id = id, .strings = strings, .n = n, .fields_len = (uint32_t)len};
    return append(stream, &draft, stored);
}

int stream_append_packed(struct value *stream, struct stream_id id, struct slice fields)
{
    struct slice stored;
    CHECK(fields.len <= STREAM_FIELDS_MAX);
    struct draft draft = {.id = id, .packed = fields.ptr, .fields_len = (uint32_t)fields.len};
    return append(stream, &draft, &stored);
}

/* ---- removing ---- */

static void remove_small(struct value *stream, uint32_t at, uint32_t size)
{
    uint32_t tail = stream->len - at - size;
    memmove(stream->bytes + at, stream->bytes + at + size, tail);
    CHECK(stream->resize(stream, at + tail));
}

static void remove_large(struct slab *slab, struct stream_directory *directory, uint32_t index, uint32_t at,
                         uint32_t size)
{
    struct stream_chunk *chunk = chunk_of(slab, directory, index);
    if (--chunk->count == 0) {
        directory->bytes -= slab_rounded(stream_chunk_size(chunk->cap));
        slab_free(slab, slot_at(directory, index)->chunk, stream_chunk_size(chunk->cap));
        directory->count--;
        if (index == 0)
            directory->begin++;
        else
            memmove(slot_at(directory, index), slot_at(directory, index + 1),
                    (directory->count - index) * sizeof(struct slot));
        return;
    }
    uint32_t front = at - chunk->begin, back = chunk->end - at - size;
    if (front < back) {
        memmove(chunk->data + chunk->begin + size, chunk->data + chunk->begin, front);
        chunk->begin += size;
    } else {
        memmove(chunk->data + at, chunk->data + at + size, back);
        chunk->end -= size;
    }
}

bool stream_remove(struct value *stream, struct stream_id id, bool deleted)
{
    struct stream_iter iter;
    struct stream_entry entry;
    stream_iter_seek(stream, id, false, &iter);
    if (!stream_iter_next(&iter, &entry) || stream_id_compare(entry.id, id) != 0) return false;
    const uint8_t *at = entry_before(iter.at); /* in the run where next() found it */
    uint32_t size = (uint32_t)(iter.at - at);
    struct root root = root_read(stream);
    root.count--;
    if (deleted && stream_id_compare(id, root.max_deleted) > 0) root.max_deleted = id;
    root_write(stream, &root);
    if (root.tag == TAG_SMALL) {
        remove_small(stream, (uint32_t)(at - stream->bytes), size);
        return true;
    }
    const struct stream_chunk *chunk = chunk_of(stream->slab, iter.directory, iter.index);
    remove_large(stream->slab, iter.directory, iter.index, (uint32_t)(at - chunk->data), size);
    become_small(stream);
    return true;
}

/* ---- reading ---- */

uint64_t stream_count(const struct value *stream)
{
    return root_read(stream).count;
}

struct stream_id stream_last_id(const struct value *stream)
{
    return root_read(stream).last;
}

struct stream_id stream_max_deleted_id(const struct value *stream)
{
    return root_read(stream).max_deleted;
}

uint64_t stream_entries_added(const struct value *stream)
{
    return root_read(stream).added;
}

static void iter_enter(struct stream_iter *iter, uint32_t index, bool at_end)
{
    const struct stream_chunk *chunk = chunk_of(iter->slab, iter->directory, index);
    iter->index = index;
    iter->base_ms = chunk->base_ms;
    iter->begin = chunk->data + chunk->begin;
    iter->end = chunk->data + chunk->end;
    iter->at = at_end ? iter->end : iter->begin;
}

void stream_iter_seek(const struct value *stream, struct stream_id id, bool after, struct stream_iter *iter)
{
    struct root root = root_read(stream);
    bool past_all = stream_id_compare(id, root.last) > 0;
    *iter = (struct stream_iter){.slab = stream->slab, .base_ms = root.base_ms};
    if (root.tag == TAG_LARGE) {
        iter->directory = directory_at(stream->slab, root.directory);
        if (iter->directory->count == 0) return; /* never outside this file */
        uint32_t last = iter->directory->count - 1;
        iter_enter(iter, past_all ? last : directory_find(iter->directory, id), past_all);
    } else {
        iter->begin = stream->bytes + STREAM_EMPTY_AREA;
        iter->end = stream->bytes + stream->len;
        iter->at = past_all ? iter->end : iter->begin;
    }
    while (iter->at != iter->end) {
        struct stream_entry entry;
        const uint8_t *next = read_entry(iter->at, iter->base_ms, &entry);
        int order = stream_id_compare(entry.id, id);
        if (order > 0 || (order == 0 && !after)) break;
        iter->at = next;
    }
}

bool stream_iter_next(struct stream_iter *iter, struct stream_entry *entry)
{
    if (iter->at == iter->end) {
        if (!iter->directory || iter->index + 1 >= iter->directory->count) return false;
        iter_enter(iter, iter->index + 1, false);
    }
    iter->at = read_entry(iter->at, iter->base_ms, entry);
    return true;
}

bool stream_iter_prev(struct stream_iter *iter, struct stream_entry *entry)
{
    if (iter->at == iter->begin) {
        if (!iter->directory || iter->index == 0) return false;
        iter_enter(iter, iter->index - 1, true);
    }
    iter->at = entry_before(iter->at);
    read_entry(iter->at, iter->base_ms, entry);
    return true;
}

bool stream_first_chunk(const struct value *stream, uint32_t *count, struct stream_id *last)
{
    struct root root = root_read(stream);
    struct stream_iter iter;
    struct stream_entry entry;
    if (root.count == 0) return false;
    stream_iter_seek(stream, (struct stream_id){0}, false, &iter);
    *count = iter.directory ? chunk_of(iter.slab, iter.directory, 0)->count : (uint32_t)root.count;
    read_entry(entry_before(iter.end), iter.base_ms, &entry);
    *last = entry.id;
    return true;
}

/* ---- the whole ---- */

int stream_copy(const struct value *from, struct value *to)
{
    struct slab *slab = to->slab;
    struct root root = root_read(from);
    if (root.tag == TAG_SMALL) {
        if (!to->resize(to, from->len)) return VALUE_NO_MEMORY;
        memcpy(to->bytes, from->bytes, from->len);
        return VALUE_OK;
    }
    struct stream_directory *source = directory_at(from->slab, root.directory);
    uint32_t cap = source->count < DIRECTORY_NEW ? DIRECTORY_NEW : source->count;
    root.directory = slab_alloc(slab, directory_size(cap));
    if (!root.directory) return VALUE_NO_MEMORY;
    struct stream_directory *directory = directory_at(slab, root.directory);
    *directory = (struct stream_directory){.cap = cap};
    for (uint32_t i = 0; i < source->count; i++) {
        const struct stream_chunk *chunk = chunk_of(from->slab, source, i);
        slab_handle handle = slab_alloc(slab, stream_chunk_size(chunk->cap));
        if (!handle) {
            free_large(slab, root.directory);
            return VALUE_NO_MEMORY;
        }
        struct stream_chunk *copy = slab_ptr(slab, handle);
        *copy = *chunk;
        memcpy(copy->data + chunk->begin, chunk->data + chunk->begin, chunk->end - chunk->begin);
        directory_push(slab, directory, slot_at(source, i)->lowest, handle);
    }
    if (!to->resize(to, STREAM_EMPTY_AREA)) {
        free_large(slab, root.directory);
        return VALUE_NO_MEMORY;
    }
    root_write(to, &root);
    return VALUE_OK;
}

void stream_free(struct value *stream)
{
    struct root root = root_read(stream);
    if (root.tag == TAG_LARGE) free_large(stream->slab, root.directory);
    CHECK(stream->resize(stream, STREAM_EMPTY_AREA));
    memset(stream->bytes, 0, STREAM_EMPTY_AREA);
}

bool stream_free_some(struct value *stream, uint32_t *cursor, uint32_t *work)
{
    struct root root = root_read(stream);
    struct slab *slab = stream->slab;
    if (root.tag != TAG_LARGE) return true;
    struct stream_directory *directory = directory_at(slab, root.directory);
    for (; directory->count > 0; value_work_done(work, 4)) { /* a page goes back to the system at times */
        if (*work == 0) return false;
        uint32_t cap = chunk_of(slab, directory, directory->count - 1)->cap;
        slab_free(slab, slot_at(directory, directory->count - 1)->chunk, stream_chunk_size(cap));
        directory->count--;
    }
    free_large(slab, root.directory);
    root.tag = TAG_SMALL;
    root_write(stream, &root);
    return true;
}

size_t stream_memory(const struct value *stream)
{
    struct root root = root_read(stream);
    if (root.tag == TAG_SMALL) return 0;
    const struct stream_directory *directory = directory_at(stream->slab, root.directory);
    return directory->bytes + slab_rounded(directory_size(directory->cap));
}

void stream_verify(const struct value *stream)
{
    struct root root = root_read(stream);
    struct stream_iter iter;
    struct stream_entry entry;
    struct stream_id before = {0};
    uint64_t count = 0, bytes = 0, in_chunks = 0;
    CHECK(root.tag == TAG_LARGE || stream->len - STREAM_EMPTY_AREA <= STREAM_SMALL_MAX);
    CHECK(root.tag == TAG_SMALL || (stream->len == STREAM_EMPTY_AREA && root.count > 0));
    for (stream_iter_seek(stream, before, false, &iter); stream_iter_next(&iter, &entry); count++) {
        CHECK(stream_id_compare(entry.id, before) > 0 && stream_fields_check(entry.fields));
        if (iter.directory)
            CHECK(stream_id_compare(slot_at(iter.directory, iter.index)->lowest, entry.id) <= 0);
        before = entry.id;
    }
    CHECK(count == root.count && count <= root.added && stream_id_compare(before, root.last) <= 0);
    for (uint32_t i = 0; iter.directory && i < iter.directory->count; i++) {
        const struct stream_chunk *chunk = chunk_of(stream->slab, iter.directory, i);
        CHECK(chunk->begin < chunk->end && chunk->end <= chunk->cap && chunk->count <= STREAM_CHUNK_ENTRIES);
        bytes += slab_rounded(stream_chunk_size(chunk->cap));
        in_chunks += chunk->count;
    }
    if (iter.directory) CHECK(bytes == iter.directory->bytes && in_chunks == count);
}
