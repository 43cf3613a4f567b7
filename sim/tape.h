/* Tapes: what servers executed, recorded, so that the model can judge it later (build/.../model-check).
 *
 * A tape is the line "weft-tape 1\n" and records, all numbers little-endian:
 *
 *     u8 kind, u32 bytes that follow, and by kind
 *     'C' command         u8 resp, u8 in_multi, u16 db, i64 now_ms, u32 session, u32 argc, argc x (u32 len,
 * bytes), u32 len, reply bytes (none: the server wrote no reply) 'R' reset           (everything is gone) 'X'
 * key removed     u16 db, u8 reason (enum model_removal), i64 now_ms, u32 len, key 'F' field removed   u16
 * db, u8 0, i64 now_ms, u32 len, key, u32 len, field 'W' key watched     u32 session, u16 db, i64 now_ms, u32
 * len, key 'U' unwatched       u32 session 'E' EXEC            u32 session, u8 ran (1) or answered null (0),
 * i64 now_ms; before the commands it ran
 *
 * Written by the simulator and by test/sim/model_test.py. */
#ifndef WEFT_SIM_TAPE_H
#define WEFT_SIM_TAPE_H

#include <stdio.h>

#include "sim/model.h"

enum tape_kind {
    TAPE_COMMAND = 'C',
    TAPE_RESET = 'R',
    TAPE_KEY = 'X',
    TAPE_FIELD = 'F',
    TAPE_WATCH = 'W',
    TAPE_UNWATCH = 'U',
    TAPE_EXEC = 'E',
};

/* One record. Slices point into the reader's buffer until the next read. */
struct tape_record {
    enum tape_kind kind;
    uint32_t session;
    int db, resp;
    bool in_multi;
    bool ran;
    enum model_removal reason;
    int64_t now_ms;
    size_t argc;
    struct slice *argv;
    struct slice key, field;
    struct slice reply;
};

/* Writing: the caller opens and closes the file and looks at ferror() in the end. */
void tape_begin(FILE *file);
void tape_write(FILE *file, const struct tape_record *record);

struct tape_reader {
    FILE *file;
    char *buffer;
    size_t capacity;
    struct slice *argv;
    size_t argv_capacity;
};

/* NULL, or why the file is no tape. */
const char *tape_open(struct tape_reader *reader, FILE *file);
/* 1: a record; 0: the end; -1: the tape is damaged here. */
int tape_read(struct tape_reader *reader, struct tape_record *record);
/* Frees what the reader holds; the file stays the caller's. */
void tape_close(struct tape_reader *reader);

#endif
