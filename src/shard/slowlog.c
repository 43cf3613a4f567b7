/* The slow log of a shard; see slowlog.h. Tests: test/blackbox/server_commands_test.py. */
#include "shard/slowlog.h"

#include <stdio.h>
#include <stdlib.h>
#include "command/redact.h"
#include "shard/rows.h"

#define ARGS_MAX    32
#define ARG_LEN_MAX 128

struct slowlog_entry {
    struct slowlog_entry *newer;
    uint64_t id;
    int64_t time_s, took_us;
    struct slice reply; /* its arguments, client and name, as RESP; bytes behind the struct */
};

/* ---- building an entry ---- */

static void put_argument(struct reply *out, const struct command *command, const struct slice *argv, int argc,
                         int i)
{
    char text[ARG_LEN_MAX + 48];
    if (argc > ARGS_MAX && i == ARGS_MAX - 1) {
        int n = snprintf(text, sizeof text, "... (%d more arguments)", argc - ARGS_MAX + 1);
        reply_bulk(out, text, (size_t)n);
    } else if (command_arg_is_secret(command, argv, argc, i)) {
        reply_bulk_text(out, COMMAND_REDACTED);
    } else if (argv[i].len > ARG_LEN_MAX) {
        memcpy(text, argv[i].ptr, ARG_LEN_MAX);
        int n = snprintf(text + ARG_LEN_MAX, sizeof text - ARG_LEN_MAX, "... (%zu more bytes)",
                         argv[i].len - ARG_LEN_MAX);
        reply_bulk(out, text, ARG_LEN_MAX + (size_t)n);
    } else {
        reply_bulk_slice(out, argv[i]);
    }
}

static void put_line(struct reply *out, const struct session *session, const struct command *command,
                     const struct slice *argv, int argc)
{
    int shown = argc < ARGS_MAX ? argc : ARGS_MAX;
    reply_array(out, (uint64_t)shown);
    for (int i = 0; i < shown; i++) put_argument(out, command, argv, argc, i);
    reply_bulk_text(out, session->address);
    reply_bulk_slice(out, session->name);
}

static void append(struct slowlog *log, struct slowlog_entry *entry)
{
    entry->newer = NULL;
    if (log->newest)
        log->newest->newer = entry;
    else
        log->oldest = entry;
    log->newest = entry;
    log->count++;
}

static struct slowlog_entry *take_oldest(struct slowlog *log)
{
    struct slowlog_entry *entry = log->oldest;
    log->oldest = entry->newer;
    if (!log->oldest) log->newest = NULL;
    log->count--;
    return entry;
}

void slowlog_add(struct slowlog *log, uint64_t id, int64_t time_s, int64_t took_us,
                 const struct session *session, const struct command *command, const struct slice *argv,
                 int argc, uint64_t max)
{
    struct reply line;
    reply_init(&line, 2);
    put_line(&line, session, command, argv, argc);
    struct slowlog_entry *entry = line.failed ? NULL : malloc(sizeof *entry + reply_len(&line));
    if (entry) { /* without memory it is not kept: the command itself has succeeded */
        memcpy(entry + 1, line.begin, reply_len(&line));
        *entry = (struct slowlog_entry){
            .id = id, .time_s = time_s, .took_us = took_us, .reply = {(char *)(entry + 1), reply_len(&line)}};
        append(log, entry);
    }
    reply_free(&line);
    slowlog_trim(log, max);
}

/* ---- the whole log ---- */

void slowlog_trim(struct slowlog *log, uint64_t max)
{
    while (log->count > max) free(take_oldest(log));
}

void slowlog_clear(struct slowlog *log)
{
    slowlog_trim(log, 0);
}

void slowlog_absorb(struct slowlog *into, struct slowlog *from)
{
    struct slowlog merged = {0};
    while (into->oldest || from->oldest) {
        bool take_from = !into->oldest || (from->oldest && from->oldest->id < into->oldest->id);
        append(&merged, take_oldest(take_from ? from : into));
    }
    *into = merged;
}

void slowlog_write(const struct slowlog *log, uint64_t max, struct reply *out)
{
    uint64_t skip = log->count > max ? log->count - max : 0;
    for (const struct slowlog_entry *entry = log->oldest; entry; entry = entry->newer) {
        if (skip) {
            skip--;
            continue;
        }
        size_t mark = row_begin(out, entry->id);
        reply_array(out, 6);
        reply_integer(out, (int64_t)entry->id);
        reply_integer(out, entry->time_s);
        reply_integer(out, entry->took_us);
        reply_raw(out, entry->reply.ptr, entry->reply.len);
        row_end(out, mark);
    }
}
