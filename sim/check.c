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
    client_send(client, (struct slice[]){SLICE("MEMORY"), SLICE("USAGE"), key->key}, 3);
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

/* Every key that the model holds goes, one by one. */
void check_removal_begin(struct run *run)
{
    for (int p = 0; p < run->plan.nodes; p++) {
        struct process *process = &run->processes[p];
        struct client *client = operator_of(run, process);
        int64_t now_ms = io_sim_realtime_us(process->world) / 1000;
        for (int db = 0; db < 16; db++) {
            char number[8];
            size_t cursor = 0;
            struct model_key key;
            if (model_key_count(process->model, db, now_ms) == 0) continue;
            snprintf(number, sizeof number, "%d", db);
            client_send(client, (struct slice[]){SLICE("SELECT"), {number, strlen(number)}}, 2);
            while (model_next_key(process->model, db, now_ms, &cursor, &key))
                client_send(client, (struct slice[]){cursor % 2 ? SLICE("DEL") : SLICE("UNLINK"), key.key}, 2);
        }
    }
}

/* ---- the prelude ---- */

/* Deadlines of every magnitude that outlives the run. */
void check_prelude_begin(struct run *run)
{
    struct prng prng;
    prng_seed(&prng, run->plan.process_seed ^ 0x5eedu);
    for (int p = 0; p < run->plan.nodes; p++) {
        struct client *client = operator_of(run, &run->processes[p]);
        int count = 1 + (int)prng_below(&prng, 6), least = 27 + (int)prng_below(&prng, 36);
        for (int i = 0; i < count; i++) {
            char line[96];
            int64_t ttl_ms = (int64_t)(UINT64_C(1) << (least + (int)prng_below(&prng, (uint64_t)(63 - least))));
            ttl_ms += (int64_t)prng_below(&prng, (uint64_t)ttl_ms);
            snprintf(line, sizeof line, "SET prelude:%d x PX %" PRId64, i, ttl_ms);
            client_say(client, line);
        }
    }
}

/* ---- deadlines: what dies goes by itself, and soon ---- */

#define DRILL_KEYS_MAX   300 /* that get a deadline, of a node */
#define DRILL_FIELDS_MAX 60  /* ... fields */
#define DRILL_COMMON_MS  3500
#define HERD_MAX         600 /* keys of one partition */
#define LATE_MS          40

struct drill {
    struct client *client;
    const struct model *model;
    struct prng prng;
    int64_t now_ms, keys_left, fields_left;
};

/* Many at one time, as of what is to end at midnight, and some before. */
static int64_t drill_deadline(struct drill *d)
{
    if (prng_below(&d->prng, 3)) return d->now_ms + DRILL_COMMON_MS;
    return d->now_ms + 500 + (int64_t)prng_below(&d->prng, DRILL_COMMON_MS - 500);
}

static void drill_key(struct drill *d, int db, const struct model_key *key)
{
    char deadline[24];
    bool fields = strcmp(key->type, "hash") == 0 && d->fields_left > 0 && prng_below(&d->prng, 2);
    size_t cursor = 0;
    struct slice field;
    while (fields && d->fields_left > 0 && model_next_field(d->model, db, key->key, d->now_ms, &cursor, &field)) {
        d->fields_left--;
        snprintf(deadline, sizeof deadline, "%" PRId64, drill_deadline(d));
        client_send(d->client,
                    (struct slice[]){SLICE("HPEXPIREAT"), key->key, {deadline, strlen(deadline)},
                                     SLICE("FIELDS"), SLICE("1"), field},
                    6);
    }
    if (fields || prng_below(&d->prng, 4) == 0) return;
    d->keys_left--;
    snprintf(deadline, sizeof deadline, "%" PRId64, drill_deadline(d));
    client_send(d->client, (struct slice[]){SLICE("PEXPIREAT"), key->key, {deadline, strlen(deadline)}}, 3);
}

/* Many keys of one partition that live equally long, or so: they die in the order in which they came. */
static void drill_herd(struct drill *d)
{
    char key[32], value[24], deadline[24];
    int count = 100 + (int)prng_below(&d->prng, HERD_MAX - 100), tag = (int)prng_below(&d->prng, 1000);
    bool in_order = prng_below(&d->prng, 2);
    int64_t first_ms = 500 + (int64_t)prng_below(&d->prng, 1000), length_ms = DRILL_COMMON_MS - first_ms;
    if (prng_below(&d->prng, 2)) length_ms = 1 + (int64_t)prng_below(&d->prng, (uint64_t)length_ms);
    for (int i = 0; i < count; i++) {
        int64_t after_ms = in_order ? length_ms * i / count : (int64_t)prng_below(&d->prng, (uint64_t)length_ms);
        snprintf(key, sizeof key, "{herd%d}%d", tag, i);
        snprintf(value, sizeof value, "%d", i);
        snprintf(deadline, sizeof deadline, "%" PRId64, d->now_ms + first_ms + after_ms);
        client_send(d->client,
                    (struct slice[]){SLICE("SET"), {key, strlen(key)}, {value, strlen(value)}, SLICE("PXAT"),
                                     {deadline, strlen(deadline)}},
                    5);
    }
}

void check_drill_begin(struct run *run)
{
    for (int p = 0; p < run->plan.nodes; p++) {
        struct process *process = &run->processes[p];
        struct drill d = {.client = operator_of(run, process),
                          .model = process->model,
                          .now_ms = io_sim_realtime_us(process->world) / 1000,
                          .keys_left = DRILL_KEYS_MAX,
                          .fields_left = DRILL_FIELDS_MAX};
        prng_seed(&d.prng, run->plan.process_seed ^ (uint64_t)(p + 1) << 40);
        for (int db = 0; db < 16 && d.keys_left > 0; db++) {
            char number[8];
            size_t cursor = 0;
            struct model_key key;
            snprintf(number, sizeof number, "%d", db);
            if (model_key_count(process->model, db, d.now_ms) == 0) continue;
            client_send(d.client, (struct slice[]){SLICE("SELECT"), {number, strlen(number)}}, 2);
            while (d.keys_left > 0 && model_next_key(process->model, db, d.now_ms, &cursor, &key))
                drill_key(&d, db, &key);
        }
        if (prng_below(&d.prng, 3) == 0) drill_herd(&d);
        if (!run->plan.drill_reshards) continue;
        char line[32];
        snprintf(line, sizeof line, "CONFIG SET shards %d", 1 + (int)prng_below(&d.prng, PLAN_SHARDS_MAX));
        client_say(d.client, line);
    }
}

/* Of a node that nothing hinders since `quiet_since_ms`. */
void check_overdue(struct process *process)
{
    struct model_overdue most;
    char key[120], field[120] = "";
    int64_t now_ms = io_sim_realtime_us(process->world) / 1000;
    model_most_overdue(process->model, process->reloaded_ms, now_ms, &most);
    if (!most.found) return;
    int64_t since_ms = most.deadline_ms > process->quiet_since_ms ? most.deadline_ms : process->quiet_since_ms;
    if (now_ms - since_ms <= LATE_MS + process->run->plan.look_cost_us) return; /* a slice is a few looks */
    struct trace_place place = {.client = -1, .node = process->index, .shard = -1, .db = most.db, .key = most.key};
    value_print_bytes(most.key, 60, key, sizeof key);
    if (most.is_field) value_print_bytes(most.field, 60, field, sizeof field);
    run_fail(process->run, ORACLE_TTL, &place,
             "node %d, database %d: %s%s%s has been dead for %" PRId64 " ms, and is not removed", process->index,
             most.db, key, most.is_field ? ", field " : "", field, now_ms - most.deadline_ms);
}

/* ---- INFO keyspace ---- */

static void keyspace_of_model(const struct process *process, char *out, size_t size)
{
    int64_t now_ms = io_sim_realtime_us(process->world) / 1000;
    size_t n = (size_t)snprintf(out, size, "# Keyspace\r\n");
    for (int db = 0; db < 16; db++) {
        size_t cursor = 0;
        int64_t keys = 0, expires = 0, timed_hashes = 0;
        struct model_key key;
        while (model_next_key(process->model, db, now_ms, &cursor, &key)) {
            keys++;
            expires += key.deadline_ms >= 0;
            timed_hashes += key.fields_expire;
        }
        if (keys)
            n += (size_t)snprintf(out + n, size - n,
                                  "db%d:keys=%" PRId64 ",expires=%" PRId64 ",avg_ttl=0,subexpiry=%" PRId64 "\r\n",
                                  db, keys, expires, timed_hashes);
    }
}

bool check_keyspace(struct process *process, bool is_last)
{
    struct client *client = operator_of(process->run, process);
    const struct op *op = client->link ? client->link->ops[client->link->count - 1] : NULL;
    if (!op || !op->executed || op->argc != 2) return true; /* it was cut off */
    struct value_arena arena = {0};
    char wanted[2048];
    keyspace_of_model(process, wanted, sizeof wanted);
    struct slice text = value_parse(&arena, op->reply, op->reply_len).value->text;
    bool right = slice_equal(text, (struct slice){wanted, strlen(wanted)});
    if (!right && is_last)
        run_fail(process->run, ORACLE_MODEL, NULL, "node %d: INFO keyspace says\n%.*s\nbut it should be\n%s",
                 process->index, (int)text.len, text.ptr, wanted);
    value_arena_free(&arena);
    return right;
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
