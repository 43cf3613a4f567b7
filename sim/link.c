/* Links: what a client sent, what was executed for it, what it was answered.
 *
 * The hook tells each execution with its argv; under pipeline-order strict it must be the next command that
 * this client sent and that nobody refused. Those that were passed over are *skipped*: the answer to them has
 * to be an error. EXEC's queued commands come one by one, then EXEC itself with the whole reply. What the
 * client reads must be, byte by byte, what was written at execution.
 */
#include "sim/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/hash.h"
#include "command/table.h"
#include "sim/model.h"
#include "sim/tape.h"
#include "sim/trace_model.h"
#include "sim/value.h"

struct link *link_create(struct run *run, struct process *process, int client)
{
    struct link *link = calloc(1, sizeof *link);
    CHECK(link);
    link->process = process;
    link->life = process->life;
    link->client = client;
    link->next = run->links;
    run->links = link;
    return link;
}

static void watches_clear(struct link *link)
{
    for (size_t i = 0; i < link->watch_count; i++) free(link->watches[i].key);
    link->watch_count = 0;
}

void links_free(struct run *run)
{
    while (run->links) {
        struct link *link = run->links;
        run->links = link->next;
        for (size_t i = 0; i < link->count; i++) {
            free(link->ops[i]->argv);
            free(link->ops[i]->reply);
            free(link->ops[i]);
        }
        watches_clear(link);
        free(link->watches);
        free(link->selected);
        free(link->ops);
        free(link);
    }
}

/* ---- CLIENT REPLY ---- */

static bool slice_is_word(struct slice s, const char *word)
{
    return s.len == strlen(word) && strncasecmp(s.ptr, word, s.len) == 0;
}

static bool is_reply_mode(const struct op *op, const char *mode)
{
    return op->argc == 3 && slice_is_word(op->argv[0], "CLIENT") && slice_is_word(op->argv[1], "REPLY") &&
           slice_is_word(op->argv[2], mode);
}

/* Is it answered, when all before it has been? */
static bool is_silent(const struct link *link, const struct op *op)
{
    if (is_reply_mode(op, "ON")) return false;
    if (is_reply_mode(op, "OFF") || is_reply_mode(op, "SKIP")) return true;
    bool off = link->reply_off && !slice_is_word(op->argv[0], "RESET");
    return off || link->reply_skip;
}

/* What holds for the commands behind it. */
static void follow_reply_mode(struct link *link, const struct op *op)
{
    link->reply_skip = is_reply_mode(op, "SKIP") && !link->reply_off;
    if (is_reply_mode(op, "OFF")) link->reply_off = true;
    if (is_reply_mode(op, "ON") || slice_is_word(op->argv[0], "RESET")) link->reply_off = false;
}

/* The next answer belongs to none of these. */
static void pass_silent(struct link *link)
{
    while (link->next_answer < link->count && is_silent(link, link->ops[link->next_answer]))
        follow_reply_mode(link, link->ops[link->next_answer++]);
}

struct op *link_add(struct run *run, struct link *link, enum op_kind kind, enum workload_family family,
                    const struct slice *argv, int argc)
{
    if (link->count == link->capacity) {
        link->capacity = link->capacity ? link->capacity * 2 : 64;
        link->ops = realloc(link->ops, link->capacity * sizeof *link->ops);
        CHECK(link->ops);
    }
    size_t bytes = 0;
    for (int i = 0; i < argc; i++) bytes += argv[i].len;
    struct op *op = calloc(1, sizeof *op);
    CHECK(op);
    op->argv = calloc(1, (size_t)argc * sizeof *argv + bytes + 1);
    CHECK(op->argv);
    char *at = (char *)(op->argv + argc);
    for (int i = 0; i < argc; i++) {
        memcpy(at, argv[i].ptr, argv[i].len);
        op->argv[i] = (struct slice){at, argv[i].len};
        at += argv[i].len;
    }
    op->argc = argc;
    op->number = ++run->op_count;
    op->index = link->count;
    op->kind = kind;
    op->family = family;
    op->sent_us = run_now_us(run);
    op->sent_tick = ++run->tick;
    link->ops[link->count++] = op;
    pass_silent(link);
    TRACE(run->trace, command, op->sent_us - run->start_us, link->client, op->number, argv, (size_t)argc);
    return op;
}

size_t link_outstanding(const struct link *link)
{
    return link->count - link->next_answer;
}

/* ---- reports ---- */

static const char *op_text(const struct op *op, char *buf, size_t size)
{
    size_t n = 0;
    for (int i = 0; i < op->argc && n + 80 < size; i++) {
        char word[64];
        value_print_bytes(op->argv[i], 40, word, sizeof word);
        n += (size_t)snprintf(buf + n, size - n, "%s%s", i ? " " : "", word);
    }
    return buf;
}

static void complain(struct run *run, enum oracle oracle, const struct link *link, const struct op *op,
                     const char *what)
{
    char text[600] = "";
    struct trace_place place = {.client = -1, .node = -1, .shard = -1};
    if (link) {
        place.client = link->client;
        place.node = link->process->index;
        place.db = op ? op->db : 0;
    }
    if (op) {
        op_text(op, text, sizeof text);
        place.op = op->number;
        if (op->argc > 1) place.key = op->argv[1];
    }
    run_fail(run, oracle, &place, "%s\n  operation %" PRIu64 " of client %d: %s", what, op ? op->number : 0,
             link ? link->client : -1, text);
}

/* ---- the tape of node 0 ---- */

static void tape_command(const struct link *link, const struct execution *x)
{
    FILE *tape = link->process->run->options.tape;
    if (!tape || link->process->index != 0) return;
    tape_write(tape, &(struct tape_record){.kind = TAPE_COMMAND,
                                           .session = (uint32_t)x->session_id,
                                           .db = x->db,
                                           .resp = x->resp,
                                           .in_multi = x->in_multi,
                                           .now_ms = x->now_ms,
                                           .argc = (size_t)x->argc,
                                           .argv = (struct slice *)x->argv,
                                           .reply = x->reply});
}

static void tape_other(const struct process *process, const struct tape_record *record)
{
    FILE *tape = process->run->options.tape;
    if (tape && process->index == 0) tape_write(tape, record);
}

/* ---- execution ---- */

static struct link *find_link(struct run *run, struct process *process, const struct execution *x)
{
    struct link **cached = &process->links[x->session_id % ARRAY_LEN(process->links)];
    if (*cached && (*cached)->session_id == x->session_id && (*cached)->life == process->life) return *cached;
    struct link *found = NULL;
    for (struct link *link = run->links; link && !found; link = link->next)
        if (link->process == process && link->life == process->life && link->session_id == x->session_id)
            found = link;
    for (struct link *link = run->links; link && !found; link = link->next) {
        if (link->process != process || link->life != process->life || link->session_id) continue;
        if (strcmp(link->address, x->address) != 0) continue;
        link->session_id = x->session_id;
        found = link;
    }
    return *cached = found;
}

static bool same_words(const struct op *op, const struct slice *argv, int argc)
{
    if (op->argc != argc) return false;
    for (int i = 0; i < argc; i++)
        if (!slice_equal(op->argv[i], argv[i])) return false;
    return true;
}

/* The op that this execution is of; NULL: none that could be. What concerns the session alone (PING, MULTI)
 * may overtake commands that are under way on other shards, and reads may overtake reads
 * (docs/decisions/005). */
static struct op *match(struct run *run, struct link *link, const struct execution *x)
{
    if (x->in_multi) {
        if (link->transaction >= link->count) return NULL;
        struct op *op = link->ops[link->transaction];
        if (op->kind != OP_QUEUED || !same_words(op, x->argv, x->argc)) return NULL;
        link->transaction++;
        return op;
    }
    /* An EXEC before this one may have been refused; this one is behind the commands that it ran. */
    bool is_exec = x->argc == 1 && slice_is_word(x->argv[0], "EXEC");
    size_t begin = is_exec && link->transaction > link->next_execute ? link->transaction : link->next_execute;
    if (begin < link->answered_end) begin = link->answered_end; /* what is answered has run, or was refused */
    for (size_t i = begin; i < link->count; i++) {
        struct op *op = link->ops[i];
        if (op->kind == OP_QUEUED || op->executed || !same_words(op, x->argv, x->argc)) continue;
        if (op->kind == OP_MULTI) link->transaction = i + 1;
        if (x->of_session || run->plan.relaxed || run->options.oracle_off[ORACLE_ORDER]) return op;
        if (!x->is_write) {
            if (i + 1 > link->read_end) link->read_end = i + 1;
            return op;
        }
        if (link->read_end > i + 1) continue; /* a read ran that is behind it: this one was refused */
        link->next_execute = i + 1;           /* whatever is before it and has not run, was refused */
        return op;
    }
    return NULL;
}

/* Which database the SELECTs before it have chosen. */
static int db_at(const struct link *link, const struct op *op)
{
    for (size_t i = link->selected_count; i-- > 0;)
        if (link->selected[i].index < op->index) return link->selected[i].db;
    return 0;
}

static void note_selected(struct link *link, const struct op *op, int db)
{
    struct link_selected *grown = realloc(link->selected, (link->selected_count + 1) * sizeof *grown);
    CHECK(grown);
    link->selected = grown;
    grown[link->selected_count++] = (struct link_selected){op->index, db};
}

static uint64_t watch_token_of(const struct link *link, const struct link_watch *watch, int64_t now_ms)
{
    return model_watch_token(link->process->model, watch->db, (struct slice){watch->key, watch->len}, now_ms);
}

static void watch_keys(struct link *link, const struct op *op, const struct execution *x)
{
    for (int i = 1; i < x->argc; i++) {
        struct link_watch *grown = realloc(link->watches, (link->watch_count + 1) * sizeof *grown);
        CHECK(grown);
        link->watches = grown;
        struct link_watch *watch = &grown[link->watch_count++];
        *watch = (struct link_watch){
            .key = malloc(x->argv[i].len + 1), .len = x->argv[i].len, .db = x->db, .index = op->index};
        CHECK(watch->key);
        memcpy(watch->key, x->argv[i].ptr, watch->len);
        watch->token = watch_token_of(link, watch, x->now_ms);
        watch->is_unsure = model_watch_unsure(link->process->model, x->db, x->argv[i], x->now_ms);
    }
}

/* For the transaction that the op belongs to: WATCHes count from the end of the one before it, also when that
 * was refused. */
static bool watched_changed(const struct link *link, const struct op *op, int64_t now_ms, bool surely)
{
    size_t begin = op->index;
    while (begin > 0 && link->ops[begin - 1]->kind != OP_EXEC && link->ops[begin - 1]->kind != OP_DISCARD)
        begin--;
    for (size_t i = 0; i < link->watch_count; i++) {
        if (link->watches[i].index < begin || (surely && link->watches[i].is_unsure)) continue;
        if (watch_token_of(link, &link->watches[i], now_ms) != link->watches[i].token) return true;
    }
    return false;
}

/* EXEC has run or was refused: its reply and the queued commands' must fit together. */
static void judge_exec(struct run *run, struct link *link, struct op *exec, const struct value *reply,
                       int64_t now_ms)
{
    size_t end = exec->index, begin = end;
    while (begin > 0 && link->ops[begin - 1]->kind == OP_QUEUED) begin--;
    size_t ran = 0, queued = end - begin;
    for (size_t i = begin; i < end; i++) ran += link->ops[i]->executed;
    bool nil = reply->kind == VALUE_NULL || reply->kind == VALUE_NULL_ARRAY;
    if (nil) {
        if (ran)
            complain(run, ORACLE_TRANSACTIONS, link, exec,
                     "EXEC answered null, but some of its commands ran");
        if (!watched_changed(link, exec, now_ms, false))
            complain(run, ORACLE_TRANSACTIONS, link, exec,
                     "EXEC answered null, but no watched key has changed");
    } else if (value_is_error(reply)) {
        if (ran) complain(run, ORACLE_TRANSACTIONS, link, exec, "EXEC failed, but some of its commands ran");
    } else if (reply->kind != VALUE_ARRAY || reply->count != ran || ran != queued) {
        complain(run, ORACLE_TRANSACTIONS, link, exec,
                 "EXEC did not run all of its commands, or answered another number");
    }
}

/* What weft says of its own gaps (docs/compatibility.md); nothing has changed then. */
static bool is_gap(const struct value *reply)
{
    return reply->kind == VALUE_ERROR &&
           slice_equal(reply->text, SLICE("ERR values of streams cannot be dumped yet"));
}

static bool is_out_of_memory(const struct value *reply)
{
    return reply->kind == VALUE_ERROR && reply->text.len >= 3 && memcmp(reply->text.ptr, "OOM", 3) == 0;
}

/* The model's judgement, except where the reply is a refusal that faults of memory allow. */
static void judge_reply(struct run *run, struct link *link, struct op *op, const struct execution *x,
                        const struct value *reply)
{
    struct process *process = link->process;
    if (is_gap(reply) || (is_out_of_memory(reply) && process->memory_faults)) return;
    struct model_call call = {.argc = (size_t)x->argc,
                              .argv = x->argv,
                              .db = x->db,
                              .resp = x->resp,
                              .in_multi = x->in_multi,
                              .now_ms = x->now_ms,
                              .reply = reply};
    static const struct value wrong = {.kind = VALUE_SIMPLE, .text = {"canary", 6}};
    if (run->options.canary && op->number >= 500) call.reply = &wrong;
    const char *complaint = model_check(process->model, &call);
    if (complaint) complain(run, ORACLE_MODEL, link, op, complaint);
}

/* Commands that take about as much memory as they have bytes. */
static bool takes_what_it_says(struct slice name)
{
    static const char *const names[] = {"SET",   "SETEX", "PSETEX", "MSET", "INCR", "LPUSH",
                                        "RPUSH", "SADD",  "ZADD",   "HSET", "XADD"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (slice_is_word(name, names[i])) return true;
    return false;
}

/* Was there no room all the time since it was sent? Of a transaction the first command is looked at. */
static void judge_memory(struct run *run, const struct link *link, const struct op *op,
                         const struct execution *x, const struct value *reply)
{
    struct process *process = link->process;
    int64_t limit = process->memory_limit;
    if (!process->memory_faults || limit == INT64_MAX || !x->takes_memory || value_is_error(reply)) return;
    if (!takes_what_it_says(op->argv[0]) || process_memory_limit(process) != limit) return;
    uint64_t since = op->sent_tick;
    if (x->in_multi) {
        if (link->transaction < 2 || link->ops[link->transaction - 2]->kind == OP_QUEUED) return;
        size_t exec = op->index;
        while (exec < link->count && link->ops[exec]->kind == OP_QUEUED) exec++;
        if (exec == link->count) return;
        since = link->ops[exec]->sent_tick;
    }
    int64_t bytes = 0;
    for (int i = 0; i < op->argc; i++) bytes += (int64_t)op->argv[i].len + 32;
    int64_t slack = limit / 100 + 4 * bytes + 2 * run->plan.workload.value_len_max + 65536;
    if (process->limit_tick < since && process->room_tick < since && x->used_bytes > limit + slack) {
        char text[160];
        snprintf(text, sizeof text,
                 "ran, although %" PRId64 " bytes are in use and only %" PRId64 " may be, since before it was sent",
                 x->used_bytes, limit);
        complain(run, ORACLE_MEMORY, link, op, text);
    }
}

/* What a connection knows about itself changes with these. */
static void follow_session(struct link *link, const struct op *op, const struct execution *x,
                           const struct value *reply)
{
    if (value_is_error(reply)) return;
    if (slice_is_word(op->argv[0], "SELECT")) {
        struct slice number = op->argv[1];
        note_selected(link, op, number.len == 1 ? number.ptr[0] - '0' : 10 + number.ptr[1] - '0');
    }
    if (slice_is_word(op->argv[0], "RESET")) {
        note_selected(link, op, 0);
        watches_clear(link);
    }
    if (slice_is_word(op->argv[0], "UNWATCH") || op->kind == OP_DISCARD || op->kind == OP_EXEC)
        watches_clear(link);
    if (slice_is_word(op->argv[0], "WATCH")) watch_keys(link, op, x);
}

void link_executed(struct process *process, const struct execution *x)
{
    struct run *run = process->run;
    run->turn_executed++;
    run->result.executed[x->shard]++;
    if (run->result.finding.found) return;
    struct link *link = find_link(run, process, x);
    struct op *op = link ? match(run, link, x) : NULL;
    if (!op) {
        struct op shown = {.argv = (struct slice *)x->argv, .argc = x->argc};
        char next[300] = "nothing", sentence[400];
        size_t at = !link ? 0 : x->in_multi ? link->transaction : link->next_execute;
        if (link && at < link->count) op_text(link->ops[at], next, sizeof next);
        snprintf(sentence, sizeof sentence, "executed%s, but the next that this client sent is %s",
                 x->in_multi ? " by EXEC" : "", next);
        complain(run, link ? ORACLE_ORDER : ORACLE_WIRE, link, &shown,
                 link ? sentence : "executed, but nobody sent it");
        return;
    }
    if (op->executed) complain(run, ORACLE_ORDER, link, op, "executed twice");
    op->executed = true;
    op->db = db_at(link, op);
    size_t len = op->reply_len = x->reply.len;
    op->reply = malloc(len + 1);
    CHECK(op->reply);
    memcpy(op->reply, x->reply.ptr, len);
    op->reply[len] = 0;
    link->written_bytes += op->kind == OP_QUEUED ? 0 : len;
    link->last_executed_us = run_now_us(run);
    limits_executed(process, link, op, x);
    if (slice_is_word(op->argv[0], "CONFIG")) process->limits.next_look_us = 0;
    if (x->db != op->db && op->kind != OP_EXEC && !slice_is_word(op->argv[0], "SELECT"))
        complain(run, ORACLE_ORDER, link, op, "executed in another database than the selected one");
    value_arena_reset(run->arena);
    if (len == 0 && slice_is_word(op->argv[0], "CONFIG")) return; /* SET shards answers when it is done */
    if (len == 0 && (is_reply_mode(op, "OFF") || is_reply_mode(op, "SKIP"))) return;
    struct value_parsed parsed = value_parse(run->arena, op->reply, len);
    if (parsed.status != VALUE_COMPLETE || parsed.consumed != len || !value_speaks(parsed.value, x->resp)) {
        complain(run, ORACLE_WIRE, link, op, "wrote something that is not one reply of its protocol version");
        return;
    }
    io_sim_trace_note(run->world, hash_bytes(op->reply, len, op->number));
    TRACE(run->trace, applied, run_now_us(run) - run->start_us, process->index, x->shard, x->db, link->client,
          op->number, x->argv, (size_t)x->argc, op->reply, len);
    if (op->kind != OP_EXEC) tape_command(link, x);
    if (op->kind == OP_EXEC) {
        judge_exec(run, link, op, parsed.value, x->now_ms);
    } else {
        if (x->in_multi && link->watch_count && watched_changed(link, op, x->now_ms, true) &&
            (link->transaction < 2 || link->ops[link->transaction - 2]->kind != OP_QUEUED))
            complain(run, ORACLE_TRANSACTIONS, link, op, "EXEC ran although a watched key has changed");
        judge_reply(run, link, op, x, parsed.value);
        judge_memory(run, link, op, x, parsed.value);
    }
    TRACE(run->trace, model_keys, run_now_us(run) - run->start_us, process->index, x->shard, process->model,
          x->db, x->argv, (size_t)x->argc, x->now_ms);
    follow_session(link, op, x, parsed.value);
}

/* ---- what changes without a command ---- */

void link_removed(struct process *process, int db, struct slice key, const struct slice *field, bool evicted)
{
    struct run *run = process->run;
    if (run->result.finding.found) return;
    int64_t now_ms = io_sim_realtime_us(process->world) / 1000;
    struct trace_place place = {.client = -1, .node = process->index, .shard = -1, .db = db, .key = key};
    tape_other(process, &(struct tape_record){.kind = field ? TAPE_FIELD : TAPE_KEY,
                                              .db = db,
                                              .reason = evicted ? MODEL_EVICTED : MODEL_EXPIRED,
                                              .now_ms = now_ms,
                                              .key = key,
                                              .field = field ? *field : (struct slice){0}});
    const char *complaint =
        field ? model_remove_field(process->model, db, key, *field, now_ms)
              : model_remove(process->model, db, key, evicted ? MODEL_EVICTED : MODEL_EXPIRED, now_ms);
    TRACE(run->trace, model_key, run_now_us(run) - run->start_us, process->index, -1, process->model, db, key,
          now_ms,
          evicted ? "evicted"
          : field ? "a field expired"
                  : "expired");
    if (complaint) run_fail(run, evicted ? ORACLE_MEMORY : ORACLE_TTL, &place, "%s", complaint);
}

void link_model_counts(const struct process *process, int db, uint64_t *least, uint64_t *most,
                       uint64_t *timed)
{
    int64_t now_ms = io_sim_realtime_us(process->world) / 1000;
    size_t cursor = 0;
    struct model_key key;
    *least = *most = *timed = 0;
    while (model_next_key(process->model, db, now_ms, &cursor, &key)) {
        *least += !key.maybe;
        *most += 1;
        *timed += key.deadline_ms >= 0;
    }
}

void link_process_crashed(struct process *process)
{
    struct run *run = process->run;
    TRACE(run->trace, model_lost, run_now_us(run) - run->start_us, process->index, process->model, "crash");
    tape_other(process, &(struct tape_record){.kind = TAPE_RESET});
    model_reset(process->model);
}

/* ---- answers ---- */

static bool is_refusal(const struct run *run, const struct link *link, const struct value *value)
{
    static const char *const texts[] = {"ERR unknown command",
                                        "ERR wrong number of arguments",
                                        "ERR unknown subcommand",
                                        "ERR Unknown subcommand",
                                        "EXECABORT",
                                        "ERR Protocol error",
                                        "ERR CONFIG SET failed (possibly related to argument 'shards')",
                                        "NOAUTH"};
    if (!value_is_error(value)) return false;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (value->text.len >= strlen(texts[i]) && memcmp(value->text.ptr, texts[i], strlen(texts[i])) == 0)
            return true;
    return is_out_of_memory(value) && link->process->memory_faults;
}

static bool takes_memory(const struct op *op)
{
    const struct command *command = command_lookup(op->argv[0].ptr, op->argv[0].len);
    return !command || command->subcommand_count || command->flags & COMMAND_DENYOOM;
}

/* Refused for want of memory, though none of what it would have run takes any? */
static bool is_refused_in_vain(const struct link *link, const struct op *op, const struct value *value)
{
    static const char why[] = "OOM command not allowed";
    if (!value_is_error(value) || !memmem(value->text.ptr, value->text.len, why, strlen(why))) return false;
    if (op->kind != OP_EXEC) return !takes_memory(op);
    for (size_t i = op->index; i-- > 0 && link->ops[i]->kind == OP_QUEUED;)
        if (takes_memory(link->ops[i])) return false;
    return true;
}

/* No reply is a status that begins with a time. */
static bool is_monitor_line(const struct value *value)
{
    size_t digits = 0;
    while (digits < value->text.len && value->text.ptr[digits] >= '0' && value->text.ptr[digits] <= '9')
        digits++;
    return value->kind == VALUE_SIMPLE && digits && digits < value->text.len &&
           value->text.ptr[digits] == '.';
}

/* A line names a client of this node, and comes to who has asked for it. */
static void judge_monitor_line(struct run *run, struct link *link, const struct value *value)
{
    char text[200], address[IO_ADDRESS_MAX], quote;
    long long seconds;
    unsigned micros, db;
    size_t len = value->text.len < sizeof text ? value->text.len : sizeof text - 1;
    memcpy(text, value->text.ptr, len);
    text[len] = 0;
    if (!link->is_monitor) {
        complain(run, ORACLE_WIRE, link, NULL, "a line of MONITOR came to a client that is none");
        return;
    }
    static_assert(IO_ADDRESS_MAX > 60, "the width below");
    if (sscanf(text, "%lld.%6u [%u %60[^]]] %c", &seconds, &micros, &db, address, &quote) != 5 ||
        quote != '"') {
        complain(run, ORACLE_WIRE, link, NULL, "a line of MONITOR is malformed");
        return;
    }
    for (const struct link *other = run->links; other; other = other->next)
        if (other->process == link->process && other->life == link->life && !strcmp(other->address, address))
            return;
    complain(run, ORACLE_WIRE, link, NULL, "a line of MONITOR is of a client that is not there");
}

void link_answered(struct run *run, struct link *link, const struct value *value, const char *bytes,
                   size_t len)
{
    if (value->kind == VALUE_PUSH) {
        TRACE(run->trace, push, run_now_us(run) - run->start_us, link->client, bytes, len);
        return;
    }
    if (is_monitor_line(value)) {
        judge_monitor_line(run, link, value);
        return;
    }
    if (value_is_error(value) && slice_equal(value->text, SLICE("ERR max number of clients reached")) &&
        !link->session_id && !link->refused) {
        limits_refused(run, link);
        return;
    }
    if (link->next_answer == link->count) {
        complain(run, ORACLE_WIRE, link, NULL, "a reply came that belongs to no command");
        return;
    }
    struct op *op = link->ops[link->next_answer++];
    follow_reply_mode(link, op);
    pass_silent(link);
    link->answered_end = op->index + 1;
    link->last_heard_us = op->sent_us;
    if (op->executed && !value_is_error(value)) {
        if (slice_is_word(op->argv[0], "MONITOR")) link->is_monitor = link->has_monitored = true;
        if (slice_is_word(op->argv[0], "RESET")) link->is_monitor = false;
    }
    op->answered = true;
    op->answered_us = run_now_us(run);
    op->answered_tick = ++run->tick;
    TRACE(run->trace, reply, op->answered_us - run->start_us, link->client, op->number,
          op->answered_us - op->sent_us, bytes, len);
    if (op->kind == OP_HOSTILE) return;
    int64_t since_us = op->sent_us > run->hindered_until_us ? op->sent_us : run->hindered_until_us;
    /* An operator's changes of the number of shards wait for each other, as the thousands of commands of audit and removal
     * do: run.c sees that each ends. */
    bool queues = run->clients[link->client].is_operator && (run->healing || run->plan.process_rate[FAULT_RESHARD]);
    if (run->prompt_us && !queues && op->answered_us - since_us > run->prompt_us) {
        char sentence[200];
        snprintf(sentence, sizeof sentence,
                 "answered %" PRId64 " ms after it was sent, and nothing hindered it",
                 (op->answered_us - op->sent_us) / 1000);
        complain(run, ORACLE_LIVENESS, link, op, sentence);
    }
    if (!op->executed && is_refused_in_vain(link, op, value))
        complain(run, ORACLE_MEMORY, link, op, "refused for want of memory, but takes none");
    bool is_queued = value->kind == VALUE_SIMPLE && slice_equal(value->text, SLICE("QUEUED"));
    if (op->kind == OP_QUEUED) {
        if (!is_queued && !value_is_error(value))
            complain(run, ORACLE_WIRE, link, op, "was to be queued, but the answer is no QUEUED");
        if (!is_queued && op->executed)
            complain(run, ORACLE_WIRE, link, op, "was refused while queueing, but ran");
    } else if (op->executed) {
        if (op->reply_len != len && op->reply_len == 0 && slice_is_word(op->argv[0], "CONFIG")) return;
        if (op->reply_len != len || memcmp(op->reply, bytes, len) != 0)
            complain(run, ORACLE_WIRE, link, op, "answered with other bytes than were written when it ran");
    } else if (is_out_of_memory(value) && run->plan.demands_room && link->process->up &&
               link->life == link->process->life && !process_may_refuse(link->process, op->sent_us)) {
        complain(run, ORACLE_MEMORY, link, op,
                 "refused for want of memory, while keys could have been evicted");
    } else if (!is_refusal(run, link, value)) {
        char text[200], sentence[300];
        snprintf(sentence, sizeof sentence, "answered %s, but never executed",
                 value_print(value, text, sizeof text));
        complain(run, ORACLE_WIRE, link, op, sentence);
    }
    if (value_is_error(value))
        run->result.errors++;
    else
        run->result.commands++;
}
