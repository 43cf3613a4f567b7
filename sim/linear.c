/* Linearizability of all keys, and what people are told. The search is in linear_search.c.
 *
 * On a violation the shortest bad prefix is found by bisection over the returns: linearizability is closed
 * under prefixes, and at a moment in between, the replies still to come are unknown. */
#include "sim/linear.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "sim/linear_search.h"

#define SHOWN_BYTES 40 /* of a value */

static void *take(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size);
    CHECK(p != NULL);
    return p;
}

/* ---- words ---- */

struct text {
    char *at;
    size_t room;
};

static void say(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->at, t->room, format, args);
    va_end(args);
    size_t len = n < 0 ? 0 : (size_t)n < t->room ? (size_t)n : t->room - 1;
    t->at += len;
    t->room -= len;
}

static void say_bytes(struct text *t, struct slice s)
{
    say(t, "\"");
    for (size_t i = 0; i < s.len && i < SHOWN_BYTES; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c >= ' ' && c < 127 && c != '"' && c != '\\')
            say(t, "%c", c);
        else
            say(t, "\\x%02x", c);
    }
    say(t, "\"");
    if (s.len > SHOWN_BYTES) say(t, "… (%zu bytes)", s.len);
}

static void say_op(struct text *t, const struct step *s)
{
    const struct linear_op *op = s->op;
    say(t, "%s", linear_kind_name(op->kind));
    if (op->kind == LINEAR_CAS) {
        say(t, " ");
        say_bytes(t, op->expected);
    }
    if (op->kind == LINEAR_INCR) say(t, " %lld", (long long)op->number);
    if (op->kind != LINEAR_GET && op->kind != LINEAR_DEL && op->kind != LINEAR_INCR) {
        say(t, " ");
        say_bytes(t, op->value);
    }
    if (s->unknown) {
        say(t, op->returned == LINEAR_NEVER ? " -> no reply" : " -> no reply yet");
        return;
    }
    say(t, " -> ");
    switch ((enum linear_reply)op->reply) {
    case LINEAR_OK: say(t, "OK"); break;
    case LINEAR_NIL: say(t, "nil"); break;
    case LINEAR_INT: say(t, "%lld", (long long)op->reply_number); break;
    case LINEAR_BULK: say_bytes(t, op->reply_bytes); break;
    case LINEAR_ERROR: say(t, "error"); break;
    }
}

static void say_states(struct text *t, const struct search *s)
{
    for (size_t i = 0; i < s->state_count && i < STATES_MAX; i++) {
        say(t, i ? ", " : " ");
        if (s->states[i] == ABSENT)
            say(t, "absent");
        else
            say_bytes(t, s->values.list[s->states[i]]);
    }
    if (s->state_count > STATES_MAX) say(t, " and more");
    say(t, "\n");
}

/* `s` has failed on the history up to the reply of `last`, and that is the shortest such history. */
static void explain(const struct search *s, const struct linear_op *ops, const struct linear_op *last,
                    struct linear_result *r)
{
    struct text t = {r->text, sizeof r->text};
    const struct step *stuck = &s->steps[s->events[s->furthest].step];
    uint32_t shown = 0;
    r->key = last->key;
    r->op = (size_t)(last - ops);
    r->state_count = s->state_count;
    r->prefix_ops = s->step_count;
    say(&t, "not linearizable: key %u, operation %zu [%lld, %lld]: ", r->key, r->op, (long long)last->invoked,
        (long long)last->returned);
    say_op(&t, &(struct step){.op = last});
    say(&t, "\nIts reply contradicts the %zu operations on the key that were sent before it came.\n",
        r->prefix_ops - 1);
    if (stuck->op != last) {
        say(&t, "No order gets past operation %zu: ", (size_t)(stuck->op - ops));
        say_op(&t, stuck);
        say(&t, "\n");
    }
    say(&t, "Possible values there:");
    say_states(&t, s);
    /* What it overlaps with is what could have mattered. */
    for (uint32_t i = 0; i < s->step_count && shown < 8; i++) {
        const struct step *other = &s->steps[i];
        if (other->op == last || other->op->returned < stuck->op->invoked) continue;
        say(&t, "  concurrent: operation %zu: ", (size_t)(other->op - ops));
        say_op(&t, other);
        say(&t, "\n");
        shown++;
    }
}

static int compare_returns(const void *a, const void *b)
{
    const struct linear_op *x = *(const struct linear_op *const *)a, *y = *(const struct linear_op *const *)b;
    if (x->returned != y->returned) return x->returned < y->returned ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* Runs one prefix; leaves the failed search in *s when it is bad, else frees it. */
static bool is_bad(struct search *s, struct history h, const struct linear_op *last, uint64_t work_max)
{
    linear_search_init(s, h, last, work_max);
    bool bad = linear_search_run(s) == LINEAR_VIOLATION;
    if (!bad) linear_search_free(s);
    return bad;
}

/* Bisects for the shortest bad prefix. One on which the bound was met counts as good: then the prefix found
 * is bad, but maybe not the shortest. */
static void find_witness(struct history h, const struct linear_op *ops, uint64_t work_max,
                         struct linear_result *r)
{
    const struct linear_op **by_return = take(h.count, sizeof *by_return);
    size_t good = 0, bad = 0; /* prefixes of so many returns */
    struct search s;
    for (size_t i = 0; i < h.count; i++)
        if (h.ops[i]->returned != LINEAR_NEVER) by_return[bad++] = h.ops[i];
    CHECK(bad > 0);
    qsort(by_return, bad, sizeof *by_return, compare_returns);
    while (bad - good > 1) {
        size_t middle = good + (bad - good) / 2;
        if (is_bad(&s, h, by_return[middle - 1], work_max)) {
            bad = middle;
            linear_search_free(&s);
        } else {
            good = middle;
        }
    }
    /* With all returns this is the search that has failed already, with what was sent after them left out. */
    bool found = is_bad(&s, h, by_return[bad - 1], work_max);
    CHECK(found);
    explain(&s, ops, by_return[bad - 1], r);
    linear_search_free(&s);
    free(by_return);
}

/* ---- all keys ---- */

static int compare_keys(const void *a, const void *b)
{
    const struct linear_op *x = *(const struct linear_op *const *)a, *y = *(const struct linear_op *const *)b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return x < y ? -1 : x > y; /* of one array */
}

void linear_check(const struct linear_op *ops, size_t count, uint64_t steps_max_per_key,
                  struct linear_result *result)
{
    CHECK(count < UINT32_MAX / 4);
    *result = (struct linear_result){.verdict = LINEAR_VALID};
    const struct linear_op **sorted = take(count, sizeof *sorted);
    for (size_t i = 0; i < count; i++) sorted[i] = &ops[i];
    qsort(sorted, count, sizeof *sorted, compare_keys);
    for (size_t begin = 0, end; begin < count && result->verdict != LINEAR_VIOLATION; begin = end) {
        struct search s;
        for (end = begin; end < count && sorted[end]->key == sorted[begin]->key; end++) {
        }
        struct history history = {sorted + begin, end - begin};
        linear_search_init(&s, history, NULL, steps_max_per_key);
        enum linear_verdict verdict = linear_search_run(&s);
        linear_search_free(&s);
        result->steps += s.work;
        if (verdict == LINEAR_VALID) continue;
        result->verdict = verdict;
        if (verdict == LINEAR_VIOLATION) {
            find_witness(history, ops, steps_max_per_key, result);
        } else {
            struct text t = {result->text, sizeof result->text};
            if (result->undecided++ == 0) result->key = sorted[begin]->key;
            say(&t, "undecided: key %u and maybe others: %zu keys, each after more than %llu steps\n",
                result->key, result->undecided, (unsigned long long)steps_max_per_key);
        }
    }
    free(sorted);
}
