/* Writing and reading tapes. See tape.h for the format. Plain stdio, single-threaded. */
#include "sim/tape.h"

#include <stdlib.h>

#include "base/check.h"

#define MAGIC           "weft-tape 1\n"
#define RECORD_SIZE_MAX ((uint32_t)1 << 30)

/* ---------------------------------------------------------------- writing */

static void put(FILE *file, uint64_t number, int bytes)
{
    for (int i = 0; i < bytes; i++) putc((int)(number >> (8 * i) & 255), file);
}

static void put_slice(FILE *file, struct slice s)
{
    put(file, s.len, 4);
    if (s.len) fwrite(s.ptr, 1, s.len, file);
}

void tape_begin(FILE *file)
{
    fputs(MAGIC, file);
}

static size_t command_size(const struct tape_record *r)
{
    size_t size = 1 + 1 + 2 + 8 + 4 + 4 + 4 + r->reply.len;
    for (size_t i = 0; i < r->argc; i++) size += 4 + r->argv[i].len;
    return size;
}

void tape_write(FILE *file, const struct tape_record *r)
{
    putc(r->kind, file);
    switch (r->kind) {
    case TAPE_COMMAND:
        CHECK(command_size(r) <= RECORD_SIZE_MAX);
        put(file, command_size(r), 4);
        put(file, (uint64_t)r->resp, 1);
        put(file, r->in_multi, 1);
        put(file, (uint64_t)r->db, 2);
        put(file, (uint64_t)r->now_ms, 8);
        put(file, r->session, 4);
        put(file, r->argc, 4);
        for (size_t i = 0; i < r->argc; i++) put_slice(file, r->argv[i]);
        put_slice(file, r->reply);
        return;
    case TAPE_RESET: put(file, 0, 4); return;
    case TAPE_KEY:
    case TAPE_FIELD:
        put(file, 2 + 1 + 8 + 4 + r->key.len + (r->kind == TAPE_FIELD ? 4 + r->field.len : 0), 4);
        put(file, (uint64_t)r->db, 2);
        put(file, (uint64_t)r->reason, 1);
        put(file, (uint64_t)r->now_ms, 8);
        put_slice(file, r->key);
        if (r->kind == TAPE_FIELD) put_slice(file, r->field);
        return;
    case TAPE_WATCH:
        put(file, 4 + 2 + 8 + 4 + r->key.len, 4);
        put(file, r->session, 4);
        put(file, (uint64_t)r->db, 2);
        put(file, (uint64_t)r->now_ms, 8);
        put_slice(file, r->key);
        return;
    case TAPE_UNWATCH:
        put(file, 4, 4);
        put(file, r->session, 4);
        return;
    case TAPE_EXEC:
        put(file, 4 + 1 + 8, 4);
        put(file, r->session, 4);
        put(file, r->ran, 1);
        put(file, (uint64_t)r->now_ms, 8);
        return;
    }
    CHECK(!"unknown kind of record");
}

/* ---------------------------------------------------------------- reading */

struct cursor {
    const unsigned char *at, *end;
    bool bad;
};

static uint64_t get(struct cursor *c, int bytes)
{
    if (c->end - c->at < bytes) {
        c->bad = true;
        return 0;
    }
    uint64_t number = 0;
    for (int i = 0; i < bytes; i++) number |= (uint64_t)c->at[i] << (8 * i);
    c->at += bytes;
    return number;
}

static struct slice get_slice(struct cursor *c)
{
    size_t len = get(c, 4);
    if (c->bad || (size_t)(c->end - c->at) < len) {
        c->bad = true;
        return SLICE("");
    }
    struct slice s = {(const char *)c->at, len};
    c->at += len;
    return s;
}

const char *tape_open(struct tape_reader *reader, FILE *file)
{
    *reader = (struct tape_reader){.file = file};
    char magic[sizeof(MAGIC)] = "";
    if (fread(magic, 1, sizeof(MAGIC) - 1, file) != sizeof(MAGIC) - 1 || strcmp(magic, MAGIC) != 0)
        return "this is no tape of version 1";
    return NULL;
}

static void get_command(struct tape_reader *reader, struct cursor *c, struct tape_record *r)
{
    r->resp = (int)get(c, 1);
    r->in_multi = get(c, 1);
    r->db = (int)get(c, 2);
    r->now_ms = (int64_t)get(c, 8);
    r->session = (uint32_t)get(c, 4);
    r->argc = get(c, 4);
    if (c->bad || r->argc > (size_t)(c->end - c->at) / 4) {
        c->bad = true;
        return;
    }
    if (r->argc > reader->argv_capacity) {
        reader->argv_capacity = r->argc;
        reader->argv = realloc(reader->argv, r->argc * sizeof(reader->argv[0]));
        CHECK(reader->argv != NULL);
    }
    for (size_t i = 0; i < r->argc; i++) reader->argv[i] = get_slice(c);
    r->argv = reader->argv;
    r->reply = get_slice(c);
    if (r->argc == 0 || (r->resp != 2 && r->resp != 3)) c->bad = true;
}

int tape_read(struct tape_reader *reader, struct tape_record *r)
{
    unsigned char head[5];
    size_t got = fread(head, 1, sizeof(head), reader->file);
    if (got == 0) return 0;
    if (got != sizeof(head)) return -1;
    uint32_t size =
        (uint32_t)head[1] | (uint32_t)head[2] << 8 | (uint32_t)head[3] << 16 | (uint32_t)head[4] << 24;
    if (size > RECORD_SIZE_MAX) return -1;
    if (size > reader->capacity) {
        reader->capacity = size;
        reader->buffer = realloc(reader->buffer, size);
        CHECK(reader->buffer != NULL);
    }
    if (size && fread(reader->buffer, 1, size, reader->file) != size) return -1;
    const unsigned char *bytes = (const unsigned char *)reader->buffer;
    struct cursor c = {.at = bytes, .end = size ? bytes + size : bytes};
    *r = (struct tape_record){.kind = (enum tape_kind)head[0]};
    switch (head[0]) {
    case TAPE_COMMAND: get_command(reader, &c, r); break;
    case TAPE_RESET: break;
    case TAPE_KEY:
    case TAPE_FIELD:
        r->db = (int)get(&c, 2);
        r->reason = (enum model_removal)get(&c, 1);
        r->now_ms = (int64_t)get(&c, 8);
        r->key = get_slice(&c);
        if (r->kind == TAPE_FIELD) r->field = get_slice(&c);
        break;
    case TAPE_WATCH:
        r->session = (uint32_t)get(&c, 4);
        r->db = (int)get(&c, 2);
        r->now_ms = (int64_t)get(&c, 8);
        r->key = get_slice(&c);
        break;
    case TAPE_UNWATCH: r->session = (uint32_t)get(&c, 4); break;
    case TAPE_EXEC:
        r->session = (uint32_t)get(&c, 4);
        r->ran = get(&c, 1);
        r->now_ms = (int64_t)get(&c, 8);
        break;
    default: return -1;
    }
    return c.bad || c.at != c.end || r->db < 0 || r->db > 15 ? -1 : 1;
}

void tape_close(struct tape_reader *reader)
{
    free(reader->buffer);
    free(reader->argv);
    *reader = (struct tape_reader){0};
}
