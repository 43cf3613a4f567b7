/* model-check: plays a tape (sim/tape.h) to the model of Redis and prints its complaints.
 *
 *     model-check [--keep-going N] [--dump] [--unknown] [--used] [--strict] TAPE
 *
 * Ends with a line "N commands, N complaints, N not modelled"; exit status 0 if there are no complaints and
 * the tape is whole. --keep-going N: go on after up to N complaints (the model's state is then its own).
 * --unknown: list what is not modelled, and --used: how often each command was judged, and how often it
 * succeeded. --dump: print the model's contents at the end. Used by test/sim/model_test.py and for tapes of
 * the simulator. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/model.h"
#include "sim/tape.h"
#include "sim/value.h"

struct watch {
    uint32_t session;
    int db;
    struct slice key; /* owned */
    uint64_t token;
};

struct judge {
    struct model *model;
    struct value_arena arena;
    struct watch *watches;
    size_t watch_count;
    uint64_t commands, complaints, record;
    char text[400];
};

static void unwatch(struct judge *j, uint32_t session)
{
    size_t kept = 0;
    for (size_t i = 0; i < j->watch_count; i++) {
        if (j->watches[i].session == session)
            free((char *)j->watches[i].key.ptr);
        else
            j->watches[kept++] = j->watches[i];
    }
    j->watch_count = kept;
}

static void watch(struct judge *j, const struct tape_record *r)
{
    j->watches = realloc(j->watches, (j->watch_count + 1) * sizeof(j->watches[0]));
    CHECK(j->watches != NULL);
    char *key = malloc(r->key.len + 1);
    CHECK(key != NULL);
    memcpy(key, r->key.ptr, r->key.len);
    j->watches[j->watch_count++] =
        (struct watch){.session = r->session,
                       .db = r->db,
                       .key = {key, r->key.len},
                       .token = model_watch_token(j->model, r->db, r->key, r->now_ms)};
}

static const char *judge_exec(struct judge *j, const struct tape_record *r)
{
    const struct watch *touched = NULL;
    bool unsure = false;
    for (size_t i = 0; i < j->watch_count; i++) {
        const struct watch *w = &j->watches[i];
        if (w->session != r->session) continue;
        unsure |= model_watch_unsure(j->model, w->db, w->key, r->now_ms);
        if (model_watch_token(j->model, w->db, w->key, r->now_ms) != w->token) touched = w;
    }
    const char *complaint = NULL;
    if (r->ran && touched != NULL) {
        char key[100];
        snprintf(j->text, sizeof(j->text), "EXEC ran although the watched key %s of database %d was touched",
                 value_print_bytes(touched->key, 40, key, sizeof(key)), touched->db);
        complaint = j->text;
    } else if (!r->ran && touched == NULL && !unsure) {
        complaint = "EXEC answered null although no watched key was touched";
    }
    unwatch(j, r->session);
    return complaint;
}

static const char *judge_command(struct judge *j, const struct tape_record *r)
{
    struct model_call call = {.argc = r->argc,
                              .argv = r->argv,
                              .db = r->db,
                              .resp = r->resp,
                              .in_multi = r->in_multi,
                              .now_ms = r->now_ms};
    j->commands++;
    if (r->reply.len > 0) {
        value_arena_reset(&j->arena);
        struct value_parsed parsed = value_parse(&j->arena, r->reply.ptr, r->reply.len);
        if (parsed.status == VALUE_INVALID) {
            snprintf(j->text, sizeof(j->text), "the reply is no RESP: %s at byte %zu", parsed.error,
                     parsed.consumed);
            return j->text;
        }
        if (parsed.status == VALUE_NEEDS_MORE) return "the reply is not complete";
        if (parsed.consumed != r->reply.len) return "there are bytes behind the reply";
        call.reply = parsed.value;
    }
    return model_check(j->model, &call);
}

static const char *judge_record(struct judge *j, const struct tape_record *r)
{
    switch (r->kind) {
    case TAPE_COMMAND: return judge_command(j, r);
    case TAPE_RESET: model_reset(j->model); return NULL;
    case TAPE_KEY: return model_remove(j->model, r->db, r->key, r->reason, r->now_ms);
    case TAPE_FIELD: return model_remove_field(j->model, r->db, r->key, r->field, r->now_ms);
    case TAPE_WATCH: watch(j, r); return NULL;
    case TAPE_UNWATCH: unwatch(j, r->session); return NULL;
    case TAPE_EXEC: return judge_exec(j, r);
    }
    return "unknown record";
}

static int play(struct judge *j, const char *path, uint64_t complaints_max)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return 2;
    }
    struct tape_reader reader;
    const char *error = tape_open(&reader, file);
    struct tape_record r;
    int got = 0;
    while (error == NULL && j->complaints < complaints_max && (got = tape_read(&reader, &r)) > 0) {
        const char *complaint = judge_record(j, &r);
        if (complaint != NULL) {
            j->complaints++;
            printf("record %llu: %s\n", (unsigned long long)j->record, complaint);
        }
        j->record++;
    }
    if (got < 0) error = "the tape is damaged";
    if (error != NULL) fprintf(stderr, "%s: record %llu: %s\n", path, (unsigned long long)j->record, error);
    tape_close(&reader);
    fclose(file);
    return error != NULL ? 2 : j->complaints > 0;
}

static uint64_t print_tables(const struct judge *j, bool unknown, bool used)
{
    struct slice name;
    uint64_t count, succeeded, sum = 0;
    for (size_t i = 0; model_unknown(j->model, i, &name, &count); i++) {
        sum += count;
        if (unknown) printf("not modelled: %.*s %llu\n", (int)name.len, name.ptr, (unsigned long long)count);
    }
    const char *row;
    for (size_t i = 0; used && model_used(j->model, i, &row, &count, &succeeded); i++)
        printf("judged: %s %llu %llu\n", row, (unsigned long long)count, (unsigned long long)succeeded);
    return sum;
}

int main(int argc, char **argv)
{
    uint64_t complaints_max = 1;
    bool dump = false, unknown = false, used = false, strict = false;
    const char *path = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--keep-going") == 0 && i + 1 < argc)
            complaints_max = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--dump") == 0)
            dump = true;
        else if (strcmp(argv[i], "--unknown") == 0)
            unknown = true;
        else if (strcmp(argv[i], "--strict") == 0)
            strict = true;
        else if (strcmp(argv[i], "--used") == 0)
            used = true;
        else
            path = argv[i];
    }
    if (path == NULL) {
        fprintf(stderr,
                "usage: model-check [--keep-going N] [--dump] [--unknown] [--used] [--strict] TAPE\n");
        return 2;
    }
    struct model_options options = {.fields_may_linger = !strict};
    struct judge j = {.model = model_create(&options)};
    int status = play(&j, path, complaints_max);
    if (dump) model_dump(j.model, stdout);
    uint64_t not_modelled = print_tables(&j, unknown, used);
    printf("%llu commands, %llu complaints, %llu not modelled\n", (unsigned long long)j.commands,
           (unsigned long long)j.complaints, (unsigned long long)not_modelled);
    while (j.watch_count > 0) unwatch(&j, j.watches[0].session);
    free(j.watches);
    value_arena_free(&j.arena);
    model_destroy(j.model);
    return status;
}
