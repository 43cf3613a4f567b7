/* Checks from outside the clients: the audit of contents, memory, histories. */
#include "sim/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sim/elle.h"
#include "sim/linear.h"
#include "sim/model.h"
#include "sim/value.h"

/* ---- audit: everything that the model holds is read, and judged as any command is ---- */

static struct client *operator_of(struct run *run, const struct process *process)
{
    for (int i = 0; i < run->client_count; i++)
        if (run->clients[i].is_operator && run->clients[i].process == process) return &run->clients[i];
    return NULL;
}

static void audit_key(struct client *client, const struct model_key *key)
{
    static const struct {
        const char *type;
        struct slice words[6];
        int count;
    } reads[] = {{"string", {SLICE("GET"), {0}}, 2},
                 {"list", {SLICE("LRANGE"), {0}, SLICE("0"), SLICE("-1")}, 4},
                 {"set", {SLICE("SMEMBERS"), {0}}, 2},
                 {"zset", {SLICE("ZRANGE"), {0}, SLICE("0"), SLICE("-1"), SLICE("WITHSCORES")}, 5},
                 {"hash", {SLICE("HGETALL"), {0}}, 2},
                 {"stream", {SLICE("XRANGE"), {0}, SLICE("-"), SLICE("+")}, 4}};
    for (size_t i = 0; i < ARRAY_LEN(reads); i++) {
        if (strcmp(reads[i].type, key->type) != 0) continue;
        struct slice argv[6];
        memcpy(argv, reads[i].words, sizeof argv);
        argv[1] = key->key;
        client_send(client, argv, reads[i].count);
    }
    client_send(client, (struct slice[]){SLICE("PEXPIRETIME"), key->key}, 2);
    client_send(client, (struct slice[]){SLICE("OBJECT"), SLICE("ENCODING"), key->key}, 3);
}

void check_audit_begin(struct run *run)
{
    for (int p = 0; p < run->plan.nodes; p++) {
        struct process *process = &run->processes[p];
        struct client *client = operator_of(run, process);
        int64_t now_ms = io_sim_realtime_us(process->world) / 1000;
        for (int db = 0; db < 16; db++) {
            char number[8];
            snprintf(number, sizeof number, "%d", db);
            client_send(client, (struct slice[]){SLICE("SELECT"), {number, strlen(number)}}, 2);
            client_send(client, (struct slice[]){SLICE("DBSIZE")}, 1);
            client_send(client, (struct slice[]){SLICE("KEYS"), SLICE("*")}, 2);
            size_t cursor = 0;
            struct model_key key;
            while (model_next_key(process->model, db, now_ms, &cursor, &key)) audit_key(client, &key);
        }
    }
}

/* ---- histories ---- */

static bool register_op(const struct op *op, struct linear_op *out)
{
    static const struct {
        const char *name;
        enum linear_kind kind;
    } kinds[] = {{"GET", LINEAR_GET},     {"SET", LINEAR_SET},   {"GETSET", LINEAR_GETSET},
                 {"SETNX", LINEAR_SETNX}, {"INCR", LINEAR_INCR}, {"DEL", LINEAR_DEL}};
    *out = (struct linear_op){.invoked = (int64_t)op->sent_tick,
                              .returned = op->answered ? (int64_t)op->answered_tick : LINEAR_NEVER,
                              .number = 1};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strlen(kinds[i].name) == op->argv[0].len &&
            !strncasecmp(op->argv[0].ptr, kinds[i].name, op->argv[0].len))
            out->kind = (uint8_t)kinds[i].kind;
    if (op->argc > 2) out->value = op->argv[2];
    if (!op->answered) return true;
    struct value_arena arena = {0};
    struct value_parsed parsed = value_parse(&arena, op->reply, op->reply_len);
    const struct value *value = parsed.value;
    switch (value->kind) {
    case VALUE_SIMPLE: out->reply = LINEAR_OK; break;
    case VALUE_INTEGER:
        out->reply = LINEAR_INT;
        out->reply_number = value->integer;
        break;
    case VALUE_BULK:
        out->reply = LINEAR_BULK;
        out->reply_bytes = value->text;
        break;
    case VALUE_ERROR: out->reply = LINEAR_ERROR; break;
    default: out->reply = LINEAR_NIL; break;
    }
    bool refused =
        value->kind == VALUE_ERROR && value->text.len >= 3 && memcmp(value->text.ptr, "OOM", 3) == 0;
    value_arena_free(&arena);
    return !refused;
}

static void check_registers(struct run *run)
{
    struct linear_op *ops = NULL;
    const struct op **origin = NULL;
    size_t count = 0, capacity = 0;
    for (const struct link *link = run->links; link; link = link->next) {
        for (size_t i = 0; i < link->count; i++) {
            const struct op *op = link->ops[i];
            if (op->family != FAMILY_REGISTER || !op->executed) continue;
            if (count == capacity) {
                capacity = capacity ? capacity * 2 : 256;
                ops = realloc(ops, capacity * sizeof *ops);
                origin = realloc(origin, capacity * sizeof *origin);
                CHECK(ops && origin);
            }
            if (!register_op(op, &ops[count])) continue;
            ops[count].key = (uint32_t)link->process->index << 24 | link->life << 16 | (uint32_t)op->db << 8 |
                             (uint32_t)(uint8_t)op->argv[1].ptr[op->argv[1].len - 1];
            origin[count++] = op;
        }
    }
    struct linear_result *result = calloc(1, sizeof *result);
    CHECK(result);
    if (count) linear_check(ops, count, LINEAR_STEPS_DEFAULT, result);
    run->result.undecided += result->undecided;
    if (count && result->verdict == LINEAR_VIOLATION) {
        struct trace_place place = {.op = origin[result->op]->number, .client = -1, .node = -1, .shard = -1};
        run_fail(run, ORACLE_LINEAR, &place, "%s", result->text);
    }
    free(result);
    free(ops);
    free(origin);
}

/* ---- transactions on lists ---- */

struct append_history {
    struct elle_transaction *items;
    const struct op **execs;
    size_t count, capacity;
    struct value_arena arena; /* actions and the values that were read */
};

static int64_t number_of(struct slice text)
{
    int64_t number = 0;
    for (size_t i = 0; i < text.len; i++) number = number * 10 + (text.ptr[i] - '0');
    return number;
}

static struct elle_action action_of(struct append_history *history, const struct link *link,
                                    const struct op *op, const struct value *reply)
{
    struct elle_action action = {.key = (uint32_t)link->process->index << 24 | link->life << 16 |
                                        (uint32_t)op->db << 8 | (uint8_t)op->argv[1].ptr[op->argv[1].len - 1],
                                 .is_read = slice_equal(op->argv[0], SLICE("LRANGE"))};
    if (!action.is_read) {
        action.value = number_of(op->argv[2]);
    } else if (reply) {
        int64_t *values = value_alloc(&history->arena, (reply->count + 1) * sizeof *values);
        for (size_t i = 0; i < reply->count; i++) values[i] = number_of(reply->items[i].text);
        action.values = values;
        action.count = reply->count;
    }
    return action;
}

/* The transaction that ends with this EXEC. */
static void add_transaction(struct append_history *history, const struct link *link, size_t exec_at)
{
    const struct op *exec = link->ops[exec_at];
    size_t begin = exec_at;
    while (begin > 0 && link->ops[begin - 1]->kind == OP_QUEUED) begin--;
    const struct value *reply = NULL;
    if (exec->executed) reply = value_parse(&history->arena, exec->reply, exec->reply_len).value;
    bool ran = reply && reply->kind == VALUE_ARRAY;
    if (history->count == history->capacity) {
        history->capacity = history->capacity ? history->capacity * 2 : 64;
        history->items = realloc(history->items, history->capacity * sizeof *history->items);
        history->execs = realloc(history->execs, history->capacity * sizeof *history->execs);
        CHECK(history->items && history->execs);
    }
    struct elle_action *actions = value_alloc(&history->arena, (exec_at - begin + 1) * sizeof *actions);
    size_t count = 0;
    for (size_t i = begin; i < exec_at; i++) {
        const struct value *item = ran ? &reply->items[i - begin] : NULL;
        if (slice_equal(link->ops[i]->argv[0], SLICE("INFO"))) continue;
        if (item && value_is_error(item)) continue; /* out of memory: EXEC goes on, as in Redis */
        actions[count++] = action_of(history, link, link->ops[i], item);
    }
    history->execs[history->count] = exec;
    history->items[history->count++] =
        (struct elle_transaction){.invoked = (int64_t)link->ops[begin]->sent_tick,
                                  .completed = exec->answered ? (int64_t)exec->answered_tick : ELLE_NEVER,
                                  .status = !exec->answered ? ELLE_UNKNOWN
                                            : ran           ? ELLE_COMMITTED
                                                            : ELLE_ABORTED,
                                  .actions = actions,
                                  .count = count};
}

static void check_appends(struct run *run)
{
    struct append_history history = {0};
    for (const struct link *link = run->links; link; link = link->next)
        for (size_t i = 0; i < link->count; i++)
            if (link->ops[i]->family == FAMILY_APPEND && link->ops[i]->kind == OP_EXEC)
                add_transaction(&history, link, i);
    struct elle_result *result = calloc(1, sizeof *result);
    CHECK(result);
    if (history.count) elle_check(history.items, history.count, result);
    if (history.count && !result->valid) {
        struct trace_place place = {.client = -1, .node = -1, .shard = -1};
        if (result->cycle_len) place.op = history.execs[result->cycle[0]]->number;
        run_fail(run, ORACLE_TRANSACTIONS, &place, "%s", result->text);
    }
    free(result);
    free(history.items);
    free(history.execs);
    value_arena_free(&history.arena);
}

/* Which transactions have run in part? A process that has crashed took their rest with it. */
static void check_whole(struct run *run)
{
    for (const struct link *link = run->links; link; link = link->next) {
        if (link->life != link->process->life || !link->process->up) continue;
        for (size_t i = 0, ran = 0, queued = 0; i < link->count; i++) {
            const struct op *op = link->ops[i];
            if (op->kind == OP_QUEUED) {
                queued++;
                ran += op->executed;
                continue;
            }
            if (op->kind == OP_EXEC && ran && ran != queued) {
                struct trace_place place = {
                    .op = op->number, .client = link->client, .node = link->process->index, .shard = -1};
                run_fail(
                    run, ORACLE_TRANSACTIONS, &place,
                    "%zu of the %zu commands of a transaction of client %d have run, the others have not",
                    ran, queued, link->client);
            }
            ran = queued = 0;
        }
    }
}

void check_histories(struct run *run)
{
    check_whole(run);
    check_registers(run);
    check_appends(run);
    litmus_check(run);
}
