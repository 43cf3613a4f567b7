/* The tests as a table, their players, and the judge: see litmus.h. Instances that a fault cut short (a
 * client went, a command was refused, the node ended) say nothing. Not shown yet:
 * a mutant that only this judge kills. */
#include "sim/litmus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/run.h"
#include "sim/value.h"

#define WORDS_MAX 8

const struct litmus_test litmus_tests[] = {
    {"message passing", {"SET x 1 ; SET y 1", "GET y . GET x"}, "00 | 01 | 11", "00 | 01 | 11 | 10"},
    {"message passing, one by one", {"SET x 1 . SET y 1", "GET y . GET x"}, "00 | 01 | 11", NULL},
    {"message passing, reads in a pipeline", /* reads may overtake reads */
     {"SET x 1 . SET y 1", "GET y ; GET x"},
     "00 | 01 | 11 | 10",
     NULL},
    {"message passing, a write between the reads",
     {"SET x 1 . SET y 1", "GET y ; SET z 1 ; GET x"},
     "00 | 01 | 11",
     "00 | 01 | 11 | 10"},
    {"message passing to MGET", {"SET x 1 ; SET y 1", "MGET x y"}, "00 | 10 | 11", "00 | 10 | 11 | 01"},
    {"store buffering", {"SET x 1 ; GET y", "SET y 1 ; GET x"}, "0 1 | 1 0 | 1 1", "0 1 | 1 0 | 1 1 | 0 0"},
    {"store buffering, one by one", {"SET x 1 . GET y", "SET y 1 . GET x"}, "0 1 | 1 0 | 1 1", NULL},
    {"load buffering", {"GET x ; SET y 1", "GET y ; SET x 1"}, "0 0 | 0 1 | 1 0", "0 0 | 0 1 | 1 0 | 1 1"},
    {"load buffering, one by one", {"GET x . SET y 1", "GET y . SET x 1"}, "0 0 | 0 1 | 1 0", NULL},
    {"independent reads of independent writes",
     {"SET x 1", "SET y 1", "GET x . GET y", "GET y . GET x"},
     "00 00 | 00 01 | 00 10 | 00 11 | 01 00 | 01 01 | 01 10 | 01 11 | 10 00 | 10 01 | "
     "10 11 | 11 00 | 11 01 | 11 10 | 11 11",
     NULL},
    {"write to read causality",
     {"SET x 1", "GET x . SET y 1", "GET y . GET x"},
     "0 00 | 0 01 | 0 10 | 0 11 | 1 00 | 1 01 | 1 11",
     NULL},
    {"write to read causality in a pipeline",
     {"SET x 1", "GET x ; SET y 1", "GET y . GET x"},
     "0 00 | 0 01 | 0 10 | 0 11 | 1 00 | 1 01 | 1 11",
     "0 00 | 0 01 | 0 10 | 0 11 | 1 00 | 1 01 | 1 11 | 1 10"},
    {"read to write causality",
     {"SET x 1", "GET x . GET y", "SET y 1 . GET x"},
     "00 0 | 00 1 | 01 0 | 01 1 | 10 1 | 11 0 | 11 1",
     NULL},
    {"coherence of reads", {"SET x 1", "GET x ; GET x"}, "00 | 01 | 11", NULL},
    {"coherence of a write and a read", {"SET x 1 ; GET x", "SET x 2"}, "1 | 2", NULL},
    {"coherence of writes", {"SET x 1 ; SET x 2", "GET x . GET x"}, "00 | 01 | 02 | 11 | 12 | 22", NULL},
    {"atomic MSET and MGET",
     {"MSET x 1 y 1 z 1", "MGET x y z", "MGET z y x"},
     "000 000 | 000 111 | 111 000 | 111 111",
     NULL},
    {"two MSETs",
     {"MSET x 1 y 1", "MSET y 2 x 2", "MGET x y . MGET y x"},
     "0000 | 0011 | 0022 | 1111 | "
     "1122 | 2211 | 2222",
     NULL},
    {"RENAME",
     {"SET x 1 . RENAME x y", "MGET x y", "MGET y x"},
     "00 00 | 00 01 | 00 10 | 10 00 | 10 01 | "
     "10 10 | 01 00 | 01 01 | 01 10",
     NULL},
    {"EXEC is isolated",
     {"MULTI ; SET x 1 ; SET y 1 ; EXEC", "MULTI ; GET x ; GET y ; EXEC"},
     "00 | 11",
     NULL},
    {"two EXECs count",
     {"MULTI ; INCR x ; INCR y ; EXEC", "MULTI ; INCR y ; INCR x ; EXEC", "MGET x y"},
     "11 22 00 | 11 22 11 | 11 22 22 | 22 11 00 | 22 11 11 | 22 11 22",
     NULL},
    {"WATCH: no update is lost",
     {"WATCH x . GET x . MULTI ; INCR x ; EXEC", "WATCH x . GET x . MULTI ; INCR x ; EXEC"},
     "01 12 | 12 01 | 01 0n | 0n 01 | 01 1n | 1n 01",
     NULL},
    {"WATCH: no skew of two keys",
     {"WATCH y . GET y . MULTI ; INCR x ; EXEC", "WATCH x . GET x . MULTI ; INCR y ; EXEC"},
     "01 11 | 11 01 | 01 0n | 0n 01 | 01 1n | 1n 01",
     NULL},
};
_Static_assert(ARRAY_LEN(litmus_tests) <= LITMUS_TESTS_MAX, "counters");
const int litmus_test_count = (int)ARRAY_LEN(litmus_tests);

const struct litmus_test *litmus_test_of(const struct run *run, uint64_t instance)
{
    struct prng prng;
    prng_seed(&prng, run->plan.workload.seed ^ instance * 0x9e3779b97f4a7c15u);
    return &litmus_tests[prng_below(&prng, (uint64_t)litmus_test_count)];
}

/* ---- the players ---- */

static int player_of(const struct client *client)
{
    return client->index / client->run->plan.nodes - 1;
}

bool litmus_plays(const struct client *client)
{
    return client->run->plan.workload.families & FAMILY_LITMUS && !client->is_operator &&
           player_of(client) < LITMUS_PLAYERS;
}

/* One command of a program; gives the place behind it: its separator or the end. */
static const char *read_command(const char *at, struct slice *words, int *count)
{
    *count = 0;
    while (*at && *at != ';' && *at != '.') {
        size_t len = strcspn(at, " ");
        if (len) {
            CHECK(*count < WORDS_MAX);
            words[(*count)++] = (struct slice){at, len};
        }
        at += len + (at[len] == ' ');
    }
    return at;
}

static void send_command(struct client *client, uint64_t instance, struct slice *words, int count)
{
    char keys[WORDS_MAX][48];
    for (int i = 1; i < count; i++) {
        if (words[i].len != 1 || !strchr("xyzw", words[i].ptr[0])) continue;
        int len = snprintf(keys[i], sizeof keys[i], "litmus:%llu:%c", (unsigned long long)instance,
                           words[i].ptr[0]);
        words[i] = (struct slice){keys[i], (size_t)len};
    }
    enum op_kind kind = client->litmus.in_multi ? OP_QUEUED : OP_PLAIN;
    if (slice_equal(words[0], SLICE("MULTI"))) kind = OP_MULTI;
    if (slice_equal(words[0], SLICE("EXEC"))) kind = OP_EXEC;
    client->litmus.in_multi = kind == OP_MULTI || kind == OP_QUEUED;
    struct op *op = client_queue(client, kind, words, count);
    op->litmus = instance + 1;
    op->player = (uint8_t)player_of(client);
}

void litmus_go_on(struct client *client)
{
    struct litmus_game *game = &client->litmus;
    if (client->state != CLIENT_OPEN || !client->conn) return;
    while (game->left) {
        if (!game->at) {
            const struct litmus_test *test = litmus_test_of(client->run, game->instance);
            game->at = test->programs[player_of(client)];
            if (!game->at || client_is_dropped(client, game->instance)) game->at = "";
        }
        if (!*game->at) {
            game->at = NULL;
            game->instance++;
            game->left--;
            continue;
        }
        if (*game->at == '.' && link_outstanding(client->link)) break;
        if (*game->at == '.' || *game->at == ';') game->at++;
        struct slice words[WORDS_MAX];
        int count;
        game->at = read_command(game->at, words, &count);
        send_command(client, game->instance, words, count);
    }
    client_flush(client);
}

void litmus_begin(struct client *client)
{
    struct run *run = client->run;
    struct litmus_game *game = &client->litmus;
    int64_t round = (run_now_us(run) - run->start_us) / run->plan.rally_us;
    if (!game->left) {
        *game = (struct litmus_game){.instance = (uint64_t)round * LITMUS_ROUND, .left = LITMUS_ROUND};
        litmus_go_on(client);
    }
    int64_t late = 1 << prng_below(&client->prng, 9);
    client->act_at_us =
        run->start_us + (round + 1) * run->plan.rally_us + (int64_t)prng_below(&client->prng, (uint64_t)late);
}

/* ---- the judge ---- */

struct play {
    const struct link *link;
    const struct op *op;
};

static int compare_plays(const void *a, const void *b)
{
    const struct play *x = a, *y = b;
    if (x->link->process != y->link->process) return x->link->process < y->link->process ? -1 : 1;
    if (x->op->litmus != y->op->litmus) return x->op->litmus < y->op->litmus ? -1 : 1;
    if (x->op->player != y->op->player) return x->op->player < y->op->player ? -1 : 1;
    return x->op->number < y->op->number ? -1 : x->op->number > y->op->number;
}

/* Appends what a reply read. False: an error. */
static bool note_reply(const struct value *value, bool is_exec, char **out)
{
    switch (value->kind) {
    case VALUE_NULL:
    case VALUE_NULL_ARRAY: *(*out)++ = is_exec ? 'n' : '0'; return true;
    case VALUE_BULK: *(*out)++ = value->text.len ? value->text.ptr[0] : '?'; return true;
    case VALUE_INTEGER: *(*out)++ = (char)('0' + value->integer % 10); return true;
    case VALUE_SIMPLE: return true;
    case VALUE_ARRAY:
        for (size_t i = 0; i < value->count; i++)
            if (!note_reply(&value->items[i], false, out)) return false;
        return true;
    default: return false;
    }
}

static int command_count(const char *program)
{
    int count = program != NULL;
    for (; program && *program; program++) count += *program == ';' || *program == '.';
    return count;
}

/* The outcome of an instance, with its players' words. False: it was not played to its end. */
static bool outcome_of(struct run *run, const struct litmus_test *test, const struct play *plays,
                       size_t count, char *out)
{
    size_t at = 0;
    for (int player = 0; player < LITMUS_PLAYERS && test->programs[player]; player++) {
        const char *begin = out;
        size_t first = at; /* who came again within the round has begun again */
        for (int left = command_count(test->programs[player]); left > 0; left--, at++) {
            if (at == count || plays[at].op->player != player || plays[at].link != plays[first].link ||
                plays[at].link->life != plays[0].link->life)
                return false;
            const struct op *op = plays[at].op;
            if (op->kind == OP_QUEUED) continue;
            if (!op->executed) return false;
            value_arena_reset(run->arena);
            struct value_parsed parsed = value_parse(run->arena, op->reply, op->reply_len);
            if (!note_reply(parsed.value, op->kind == OP_EXEC, &out)) return false;
        }
        if (out > begin) *out++ = ' ';
    }
    out[-1] = 0; /* all tests read something */
    return at == count;
}

static bool is_allowed(const char *allowed, const char *outcome)
{
    size_t len = strlen(outcome);
    for (const char *at = allowed;;) {
        const char *end = strstr(at, " | ");
        if (!end) return strcmp(at, outcome) == 0;
        if ((size_t)(end - at) == len && memcmp(at, outcome, len) == 0) return true;
        at = end + 3;
    }
}

static void judge(struct run *run, const struct play *plays, size_t count)
{
    char outcome[64];
    const struct litmus_test *test = litmus_test_of(run, plays[0].op->litmus - 1);
    if (!outcome_of(run, test, plays, count, outcome)) return;
    run->result.litmus_played[test - litmus_tests]++;
    const char *allowed = run->plan.relaxed && test->relaxed ? test->relaxed : test->strict;
    run->result.litmus_weak[test - litmus_tests] += !is_allowed(test->strict, outcome);
    if (is_allowed(allowed, outcome)) return;
    struct trace_place place = {.op = plays[0].op->number,
                                .client = plays[0].link->client,
                                .node = plays[0].link->process->index,
                                .shard = -1};
    run_fail(run, ORACLE_LITMUS, &place,
             "litmus test \"%s\" (order %s): the outcome \"%s\" is none of \"%s\"\n"
             "  instance %llu, from operation %llu on",
             test->name, run->plan.relaxed ? "relaxed" : "strict", outcome, allowed,
             (unsigned long long)(plays[0].op->litmus - 1), (unsigned long long)plays[0].op->number);
}

void litmus_check(struct run *run)
{
    struct play *plays = NULL;
    size_t count = 0, capacity = 0;
    for (const struct link *link = run->links; link; link = link->next)
        for (size_t i = 0; i < link->count; i++) {
            if (!link->ops[i]->litmus) continue;
            if (count == capacity) {
                capacity = capacity ? capacity * 2 : 1024;
                plays = realloc(plays, capacity * sizeof *plays);
                CHECK(plays);
            }
            plays[count++] = (struct play){link, link->ops[i]};
        }
    if (count) qsort(plays, count, sizeof *plays, compare_plays);
    for (size_t first = 0, end; first < count; first = end) {
        for (end = first + 1; end < count && plays[end].op->litmus == plays[first].op->litmus &&
                              plays[end].link->process == plays[first].link->process;
             end++) {
        }
        judge(run, plays + first, end - first);
    }
    free(plays);
}
