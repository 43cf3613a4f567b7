/* The linearizability checker: histories made by hand, histories of a correct store, corrupted ones, and tiny
 * ones against a brute-force search over all orders. The register here is written apart from the checker's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/prng.h"
#include "sim/linear.h"

#define STEPS    LINEAR_STEPS_DEFAULT
#define TEXT_MAX 512

/* ---- a register of its own ---- */

struct reg {
    bool present;
    char text[TEXT_MAX];
};

struct answer {
    enum linear_reply reply;
    int64_t number;
    char text[TEXT_MAX];
};

static void put(struct reg *r, struct slice s)
{
    CHECK(s.len < TEXT_MAX);
    r->present = true;
    memcpy(r->text, s.ptr, s.len);
    r->text[s.len] = 0;
}

static bool holds(const struct reg *r, struct slice s)
{
    return r->present && strlen(r->text) == s.len && memcmp(r->text, s.ptr, s.len) == 0;
}

static bool is_integer(const char *text, int64_t *out)
{
    char *end, back[32];
    *out = strtoll(text, &end, 10);
    snprintf(back, sizeof back, "%" PRId64, *out);
    return *text && !*end && strcmp(back, text) == 0;
}

static struct answer number(int64_t n)
{
    return (struct answer){.reply = LINEAR_INT, .number = n};
}

static struct answer old_value(const struct reg *r)
{
    struct answer a = {.reply = r->present ? LINEAR_BULK : LINEAR_NIL};
    if (r->present) memcpy(a.text, r->text, sizeof a.text);
    return a;
}

static struct answer execute(struct reg *r, const struct linear_op *op)
{
    struct answer a = {.reply = LINEAR_OK};
    struct reg old = *r;
    int64_t n = 0;
    switch ((enum linear_kind)op->kind) {
    case LINEAR_GET: return old_value(r);
    case LINEAR_SET: put(r, op->value); return a;
    case LINEAR_GETSET: put(r, op->value); return old_value(&old);
    case LINEAR_SETNX:
        if (!old.present) put(r, op->value);
        return number(!old.present);
    case LINEAR_CAS:
        if (!old.present) return old_value(r);
        n = holds(r, op->expected);
        if (n) put(r, op->value);
        return number(n);
    case LINEAR_INCR:
        if ((old.present && !is_integer(old.text, &n)) || __builtin_add_overflow(n, op->number, &n)) {
            a.reply = LINEAR_ERROR;
            return a;
        }
        r->present = true;
        snprintf(r->text, sizeof r->text, "%" PRId64, n);
        return number(n);
    case LINEAR_DEL: r->present = false; return number(old.present);
    case LINEAR_APPEND:
        if (!old.present) r->text[0] = 0;
        r->present = true;
        CHECK(strlen(r->text) + op->value.len < TEXT_MAX);
        strncat(r->text, op->value.ptr, op->value.len);
        return number((int64_t)strlen(r->text));
    case LINEAR_KINDS: break;
    }
    CHECK(!"no kind");
    return a;
}

static void set_reply(struct linear_op *op, const struct answer *a)
{
    op->reply = (uint8_t)a->reply;
    op->reply_number = a->number;
    op->reply_bytes = (struct slice){"", 0};
    if (a->reply == LINEAR_BULK && *a->text)
        op->reply_bytes = (struct slice){strdup(a->text), strlen(a->text)};
}

static bool fits(const struct linear_op *op, const struct answer *a)
{
    if (op->returned == LINEAR_NEVER) return true;
    if (op->reply != a->reply) return false;
    if (a->reply == LINEAR_INT) return op->reply_number == a->number;
    return a->reply != LINEAR_BULK || (op->reply_bytes.len == strlen(a->text) &&
                                       memcmp(op->reply_bytes.ptr, a->text, strlen(a->text)) == 0);
}

static bool is_before_in_session(const struct linear_op *ops, size_t a, size_t b)
{
    if (!ops[a].session || ops[a].session != ops[b].session) return false;
    if (ops[a].kind == LINEAR_GET && ops[a].returned == LINEAR_NEVER)
        return false; /* nobody knows it was there */
    return ops[a].invoked < ops[b].invoked || (ops[a].invoked == ops[b].invoked && a < b);
}

/* Every order there is, of one key. */
static bool brute(const struct linear_op *ops, size_t count, unsigned placed, const struct reg *at)
{
    bool done = true;
    for (size_t i = 0; i < count; i++) done &= placed >> i & 1 || ops[i].returned == LINEAR_NEVER;
    if (done) return true;
    for (size_t i = 0; i < count; i++) {
        bool may = !(placed >> i & 1);
        for (size_t j = 0; j < count; j++)
            may &= placed >> j & 1 || j == i ||
                   (ops[j].returned >= ops[i].invoked && !is_before_in_session(ops, j, i));
        if (!may) continue;
        struct reg next = *at;
        struct answer a = execute(&next, &ops[i]);
        if (fits(&ops[i], &a) && brute(ops, count, placed | 1u << i, &next)) return true;
    }
    return false;
}

/* ---- by hand ---- */

#define NEVER LINEAR_NEVER
#define V(literal)                                                                                           \
    {                                                                                                        \
        literal, sizeof(literal) - 1                                                                         \
    }
#define SET(from, to, v)                                                                                     \
    {                                                                                                        \
        .invoked = from, .returned = to, .kind = LINEAR_SET, .value = V(v), .reply = LINEAR_OK               \
    }
#define GET(from, to, v)                                                                                     \
    {                                                                                                        \
        .invoked = from, .returned = to, .kind = LINEAR_GET, .reply = LINEAR_BULK, .reply_bytes = V(v)       \
    }
#define GET_NIL(from, to)                                                                                    \
    {                                                                                                        \
        .invoked = from, .returned = to, .kind = LINEAR_GET, .reply = LINEAR_NIL                             \
    }
#define OP(k, from, to, v, n)                                                                                \
    {                                                                                                        \
        .invoked = from, .returned = to, .kind = k, .value = V(v), .reply = LINEAR_INT, .reply_number = n    \
    }
#define CAS(from, to, a, b, n)                                                                               \
    {                                                                                                        \
        .invoked = from, .returned = to, .kind = LINEAR_CAS, .expected = V(a), .value = V(b),                \
        .reply = LINEAR_INT, .reply_number = n                                                               \
    }
#define INCR(from, to, d, n)                                                                                 \
    {                                                                                                        \
        .invoked = from, .returned = to, .kind = LINEAR_INCR, .number = d, .reply = LINEAR_INT,              \
        .reply_number = n                                                                                    \
    }
#define OPS_MAX 8

struct example {
    const char *name;
    int count;
    bool valid;
    size_t op; /* that cannot be placed */
    struct linear_op ops[OPS_MAX];
};

static const struct example examples[] = {
    {"empty", 0, true, 0, {{0}}},
    {"one after the other", 3, true, 0, {SET(0, 1, "a"), GET(2, 3, "a"), GET(4, 5, "a")}},
    {"a read from nowhere", 2, false, 1, {SET(0, 1, "a"), GET(2, 3, "b")}},
    {"a stale read", 3, false, 2, {SET(0, 1, "a"), SET(2, 3, "b"), GET(4, 5, "a")}},
    {"a read during the write may see either", 3, true, 0, {SET(0, 1, "a"), SET(2, 9, "b"), GET(3, 4, "a")}},
    {"new, then old, during one write",
     4,
     false,
     3,
     {SET(0, 1, "a"), SET(2, 9, "b"), GET(3, 4, "b"), GET(5, 6, "a")}},
    {"old, then new, during one write",
     4,
     true,
     0,
     {SET(0, 1, "a"), SET(2, 9, "b"), GET(3, 4, "a"), GET(5, 6, "b")}},
    {"a read before its write was sent", 2, false, 0, {GET(0, 1, "a"), SET(2, 3, "a")}},
    {"touching in one instant is concurrent", 2, true, 0, {GET(0, 2, "a"), SET(2, 3, "a")}},
    {"a lost write", 2, false, 1, {SET(0, 1, "a"), GET_NIL(2, 3)}},
    {"a lost update", 3, false, 2, {INCR(0, 1, 1, 1), INCR(2, 5, 1, 2), INCR(3, 6, 1, 2)}},
    {"increments", 3, true, 0, {INCR(0, 1, 1, 1), INCR(2, 5, 5, 7), INCR(3, 6, 1, 2)}},
    {"an increment of what is no number",
     2,
     true,
     0,
     {SET(0, 1, "01"),
      {.invoked = 2, .returned = 3, .kind = LINEAR_INCR, .number = 1, .reply = LINEAR_ERROR}}},
    {"an increment refused for no reason",
     2,
     false,
     1,
     {SET(0, 1, "1"),
      {.invoked = 2, .returned = 3, .kind = LINEAR_INCR, .number = 1, .reply = LINEAR_ERROR}}},
    {"an increment at the edge",
     2,
     true,
     0,
     {SET(0, 1, "9223372036854775807"),
      {.invoked = 2, .returned = 3, .kind = LINEAR_INCR, .number = 1, .reply = LINEAR_ERROR}}},
    {"no reply, happened", 3, true, 0, {SET(0, 1, "a"), SET(2, NEVER, "b"), GET(8, 9, "b")}},
    {"no reply, did not happen", 3, true, 0, {SET(0, 1, "a"), SET(2, NEVER, "b"), GET(8, 9, "a")}},
    {"no reply, happened late",
     4,
     true,
     0,
     {SET(0, 1, "a"), SET(2, NEVER, "b"), GET(3, 4, "a"), GET(8, 9, "b")}},
    {"no reply, happened twice",
     5,
     false,
     4,
     {SET(0, 1, "a"), SET(2, NEVER, "b"), GET(3, 4, "b"), SET(5, 6, "c"), GET(8, 9, "b")}},
    {"no reply, seen before it was sent", 3, false, 1, {SET(0, 1, "a"), GET(2, 3, "b"), SET(4, NEVER, "b")}},
    {"no reply, hidden by a deletion",
     4,
     true,
     0,
     {SET(0, 1, "a"), SET(2, NEVER, "b"), OP(LINEAR_DEL, 3, 4, "", 1), OP(LINEAR_DEL, 5, 6, "", 1)}},
    {"two of two unseen increments",
     4,
     true,
     0,
     {INCR(0, NEVER, 1, 0), INCR(1, NEVER, 1, 0), INCR(2, 3, 1, 2), INCR(4, 5, 1, 4)}},
    {"three of two unseen increments",
     4,
     false,
     3,
     {INCR(0, NEVER, 1, 0), INCR(1, NEVER, 1, 0), INCR(2, 3, 1, 2), INCR(4, 5, 1, 5)}},
    {"SETNX: one wins",
     3,
     true,
     0,
     {OP(LINEAR_SETNX, 0, 5, "a", 0), OP(LINEAR_SETNX, 1, 4, "b", 1), GET(6, 7, "b")}},
    {"SETNX: two win", 2, false, 1, {OP(LINEAR_SETNX, 0, 4, "a", 1), OP(LINEAR_SETNX, 1, 5, "b", 1)}},
    {"SETNX: none wins", 2, false, 1, {OP(LINEAR_SETNX, 0, 4, "a", 0), OP(LINEAR_SETNX, 1, 5, "b", 0)}},
    {"CAS: one of two from the same value",
     3,
     true,
     0,
     {SET(0, 1, "1"), CAS(2, 5, "1", "2", 1), CAS(3, 6, "1", "3", 0)}},
    {"CAS: both from the same value",
     3,
     false,
     2,
     {SET(0, 1, "1"), CAS(2, 5, "1", "2", 1), CAS(3, 6, "1", "3", 1)}},
    {"CAS: a chain",
     4,
     true,
     0,
     {SET(0, 1, "1"), CAS(2, 9, "2", "3", 1), CAS(3, 8, "1", "2", 1), GET(10, 11, "3")}},
    {"CAS: on nothing",
     1,
     true,
     0,
     {{.invoked = 0,
       .returned = 1,
       .kind = LINEAR_CAS,
       .reply = LINEAR_NIL,
       .expected = V(""),
       .value = V("b")}}},
    {"CAS: absent is not empty", 1, false, 0, {CAS(0, 1, "", "b", 1)}},
    {"GETSET: hands on",
     3,
     true,
     0,
     {SET(0, 1, "a"),
      {.invoked = 2,
       .returned = 3,
       .kind = LINEAR_GETSET,
       .value = V("b"),
       .reply = LINEAR_BULK,
       .reply_bytes = V("a")},
      GET(4, 5, "b")}},
    {"GETSET: the same value handed to two",
     3,
     false,
     2,
     {SET(0, 1, "a"),
      {.invoked = 2,
       .returned = 5,
       .kind = LINEAR_GETSET,
       .value = V("b"),
       .reply = LINEAR_BULK,
       .reply_bytes = V("a")},
      {.invoked = 3,
       .returned = 6,
       .kind = LINEAR_GETSET,
       .value = V("c"),
       .reply = LINEAR_BULK,
       .reply_bytes = V("a")}}},
    {"DEL: twice", 3, false, 2, {SET(0, 1, "a"), OP(LINEAR_DEL, 2, 5, "", 1), OP(LINEAR_DEL, 3, 6, "", 1)}},
    {"APPEND: lengths",
     3,
     true,
     0,
     {OP(LINEAR_APPEND, 0, 5, "xx", 3), OP(LINEAR_APPEND, 1, 6, "y", 1), GET(7, 8, "yxx")}},
    {"APPEND: lengths in the other order",
     3,
     false,
     2,
     {OP(LINEAR_APPEND, 0, 5, "xx", 3), OP(LINEAR_APPEND, 1, 6, "y", 1), GET(7, 8, "xxy")}},
    {"APPEND: nothing makes an empty value", 2, true, 0, {OP(LINEAR_APPEND, 0, 1, "", 0), GET(2, 3, "")}},
};

static void by_hand(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
        const struct example *e = &examples[i];
        struct linear_result r;
        struct reg nothing = {0};
        linear_check(e->ops, (size_t)e->count, STEPS, &r);
        if ((r.verdict == LINEAR_VALID) != e->valid || (!e->valid && r.op != e->op))
            fail_msg("%s: verdict %d, operation %zu\n%s", e->name, r.verdict, r.op, r.text);
        if (brute(e->ops, (size_t)e->count, 0, &nothing) != e->valid) fail_msg("%s: brute force", e->name);
        assert_int_equal(*r.text == 0, e->valid);
    }
}

static void explains(void **state)
{
    (void)state;
    static const struct linear_op ops[] = {
        {.key = 7, .invoked = 0, .returned = 1, .kind = LINEAR_SET, .value = V("a"), .reply = LINEAR_OK},
        {.key = 9, .invoked = 0, .returned = 1, .kind = LINEAR_SET, .value = V("z"), .reply = LINEAR_OK},
        {.key = 9, .invoked = 2, .returned = 6, .kind = LINEAR_SET, .value = V("y\n"), .reply = LINEAR_OK},
        {.key = 9,
         .invoked = 3,
         .returned = 5,
         .kind = LINEAR_GET,
         .reply = LINEAR_BULK,
         .reply_bytes = V("a")},
        {.key = 9, .invoked = 7, .returned = 8, .kind = LINEAR_GET, .reply = LINEAR_NIL},
    };
    struct linear_result r;
    linear_check(ops, ARRAY_LEN(ops), STEPS, &r);
    assert_int_equal(r.verdict, LINEAR_VIOLATION);
    assert_int_equal(r.key, 9);
    assert_int_equal(r.op, 3);
    assert_int_equal(r.prefix_ops, 3);
    assert_int_equal(r.state_count, 2);
    assert_non_null(strstr(r.text, "key 9, operation 3 [3, 5]: GET -> \"a\""));
    assert_non_null(strstr(r.text, "\"z\", \"y\\x0a\""));
    assert_non_null(strstr(r.text, "concurrent: operation 2: SET \"y\\x0a\" -> no reply yet"));
}

/* ---- random ---- */

struct shape {
    size_t ops, keys, clients;
    unsigned lost_percent, values; /* values: how many different ones are written; 0: all are different */
    unsigned kinds;                /* the first so many */
    unsigned depth;                /* of pipelines; 0: clients have no sessions */
};

static struct slice draw_value(struct prng *g, unsigned values)
{
    static const char *const texts[] = {"1", "2", "3", "x", "", "10", "-7", "abc", "02", "zz"};
    static char unique[20000][24]; /* lives as long as the histories */
    if (values == 0) {
        char *text = unique[prng_below(g, ARRAY_LEN(unique))];
        snprintf(text, sizeof unique[0], "%zu", (size_t)(text - unique[0]) / sizeof unique[0]);
        return (struct slice){text, strlen(text)};
    }
    const char *text = texts[prng_below(g, values < ARRAY_LEN(texts) ? values : ARRAY_LEN(texts))];
    return (struct slice){text, strlen(text)};
}

struct pending {
    struct linear_op *op;
    int64_t moment;
};

static int by_moment(const void *a, const void *b)
{
    const struct pending *x = a, *y = b;
    if (x->moment != y->moment) return x->moment < y->moment ? -1 : 1;
    return x->op < y->op ? -1 : x->op > y->op;
}

struct client {
    int64_t clock, moment, returned; /* of the last operation */
    uint32_t session;
    unsigned left; /* of the pipeline */
    bool broken;   /* a reply was lost: no further one comes, and nothing behind it may have happened */
    bool stopped;
};

/* The times of a client's next operation. Returns the moment at which it takes effect. */
static int64_t draw_times(struct prng *g, const struct shape *shape, struct client *c, struct linear_op *op)
{
    if (!c->left) {
        if (c->broken || !c->session) c->session += 1000;
        c->broken = c->stopped = false;
        c->left = 1 + (unsigned)(shape->depth ? prng_below(g, shape->depth) : 0);
        c->clock = c->returned + 1 + (int64_t)prng_below(g, 8);
        c->moment = c->clock;
    }
    c->left--;
    op->session = shape->depth ? c->session : 0;
    op->invoked = c->clock;
    c->moment += (int64_t)prng_below(g, 20);
    int64_t moment = c->moment;
    if (c->broken || prng_below(g, 100) < shape->lost_percent) {
        c->broken = true;
        op->returned = LINEAR_NEVER;
        c->moment += (int64_t)prng_below(g, 3) * (int64_t)prng_below(g, 1000); /* late, or never */
        c->stopped |= prng_below(g, 2);
        return c->stopped ? LINEAR_NEVER : c->moment;
    }
    int64_t returned = moment + (int64_t)prng_below(g, 20);
    c->returned = op->returned = returned > c->returned ? returned : c->returned;
    return moment;
}

/* What clients of a correct store may see: each operation takes effect at a moment between its two ends. */
static struct linear_op *generate(struct prng *g, const struct shape *shape)
{
    struct linear_op *ops = calloc(shape->ops, sizeof *ops);
    struct pending *order = calloc(shape->ops, sizeof *order);
    struct reg *regs = calloc(shape->keys, sizeof *regs);
    struct client *clients = calloc(shape->clients, sizeof *clients);
    for (size_t i = 0; i < shape->clients; i++) clients[i].session = (uint32_t)i + 1;
    for (size_t i = 0; i < shape->ops; i++) {
        struct linear_op *op = &ops[i];
        op->key = (uint32_t)prng_below(g, shape->keys) * 17 + 3;
        op->kind = (uint8_t)prng_below(g, shape->kinds);
        op->value = draw_value(g, shape->values);
        op->expected = draw_value(g, shape->values);
        op->number = 1 + (int64_t)prng_below(g, 2);
        int64_t moment = draw_times(g, shape, &clients[prng_below(g, shape->clients)], op);
        order[i] = (struct pending){op, moment};
    }
    qsort(order, shape->ops, sizeof *order, by_moment);
    for (size_t i = 0; i < shape->ops; i++) {
        struct linear_op *op = order[i].op;
        struct reg *r = &regs[(op->key - 3) / 17];
        if (order[i].moment == LINEAR_NEVER) continue; /* did not happen */
        if (op->kind == LINEAR_APPEND && strlen(r->text) > TEXT_MAX / 2) op->kind = LINEAR_DEL;
        struct answer a = execute(r, op);
        if (op->returned != LINEAR_NEVER) set_reply(op, &a);
    }
    free(order);
    free(regs);
    free(clients);
    return ops;
}

static void release(struct linear_op *ops, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (ops[i].reply_bytes.len) free((char *)(uintptr_t)ops[i].reply_bytes.ptr);
    free(ops);
}

static void correct_stores_pass(void **state)
{
    (void)state;
    static const struct shape shapes[] = {
        {10000, 50, 20, 0, 10, LINEAR_KINDS, 0},  {10000, 50, 20, 5, 10, LINEAR_KINDS, 0},
        {10000, 50, 50, 2, 4, LINEAR_CAS + 1, 0}, {10000, 50, 20, 5, 0, LINEAR_KINDS, 0},
        {2000, 1, 8, 1, 0, LINEAR_KINDS, 0},      {2000, 1, 8, 1, 10, LINEAR_KINDS, 0},
        {10000, 50, 20, 0, 10, LINEAR_KINDS, 16}, {10000, 50, 20, 1, 0, LINEAR_KINDS, 4},
        {5000, 1, 5, 0, 0, LINEAR_KINDS, 8},      {5000, 1, 6, 0, 0, LINEAR_KINDS, 4},
        {3000, 1, 12, 1, 0, LINEAR_SET + 1, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        for (uint64_t seed = 1; seed <= 5; seed++) {
            struct prng g;
            struct linear_result r;
            prng_seed(&g, seed * 100 + i);
            struct linear_op *ops = generate(&g, &shapes[i]);
            linear_check(ops, shapes[i].ops, STEPS, &r);
            if (getenv("WEFT_TEST_VERBOSE")) printf("shape %zu: %" PRIu64 " steps\n", i, r.steps);
            if (r.verdict != LINEAR_VALID) fail_msg("shape %zu, seed %" PRIu64 ":\n%s", i, seed, r.text);
            if (shapes[i].keys > 1) assert_true(r.steps < 20 * shapes[i].ops);
            release(ops, shapes[i].ops);
        }
    }
}

/* One reply is changed into another one that this operation could give. */
static void corrupt(struct prng *g, struct linear_op *op)
{
    if (op->returned == LINEAR_NEVER) return;
    if (op->reply_bytes.len) free((char *)(uintptr_t)op->reply_bytes.ptr);
    op->reply_bytes = (struct slice){"", 0};
    switch ((enum linear_kind)op->kind) {
    case LINEAR_SET: op->returned = op->invoked; break; /* has to be early */
    case LINEAR_GET:
    case LINEAR_GETSET: {
        struct slice v = draw_value(g, 10);
        op->reply = prng_below(g, 4) ? LINEAR_BULK : LINEAR_NIL;
        if (op->reply == LINEAR_BULK && v.len) op->reply_bytes = (struct slice){strdup(v.ptr), v.len};
        break;
    }
    case LINEAR_CAS:
        op->reply = prng_below(g, 3) ? LINEAR_INT : LINEAR_NIL;
        op->reply_number = (int64_t)prng_below(g, 2);
        break;
    case LINEAR_INCR:
        op->reply = prng_below(g, 4) ? LINEAR_INT : LINEAR_ERROR;
        op->reply_number += (int64_t)prng_below(g, 3) - 1;
        break;
    default: op->reply_number = op->reply_number > 1 ? op->reply_number - 1 : !op->reply_number; break;
    }
}

/* The history as it looked just after the reply of `op` (or just before it): what was not answered then is
 * unanswered. */
static size_t cut(const struct linear_op *ops, size_t count, size_t op, bool before, struct linear_op *out)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (ops[i].key != ops[op].key || ops[i].invoked > ops[op].returned) continue;
        out[n] = ops[i];
        if (out[n].returned > ops[op].returned || (before && i == op)) out[n].returned = LINEAR_NEVER;
        n++;
    }
    return n;
}

/* Replies that come in one instant have an order inside the checker; here they must differ. */
static bool returns_alone(const struct linear_op *ops, size_t count, size_t op)
{
    for (size_t i = 0; i < count; i++)
        if (i != op && ops[i].key == ops[op].key && ops[i].returned == ops[op].returned) return false;
    return true;
}

static void tiny_ones_against_brute_force(void **state)
{
    (void)state;
    int verdicts[2] = {0};
    for (uint64_t seed = 1; seed <= 30000; seed++) {
        struct prng g;
        prng_seed(&g, seed);
        struct shape shape = {2 + prng_below(&g, 6), 1, 1 + prng_below(&g, 4), 0, 0, LINEAR_KINDS, 0};
        shape.lost_percent = (unsigned)prng_below(&g, 3) * 25;
        shape.values = 2 + (unsigned)prng_below(&g, 6);
        shape.depth = (unsigned)prng_below(&g, 5);
        struct linear_op *ops = generate(&g, &shape), part[8];
        for (uint64_t n = prng_below(&g, 3); n > 0; n--) corrupt(&g, &ops[prng_below(&g, shape.ops)]);
        struct linear_result r;
        struct reg nothing = {0};
        linear_check(ops, shape.ops, STEPS, &r);
        bool valid = brute(ops, shape.ops, 0, &nothing);
        verdicts[valid]++;
        if ((r.verdict == LINEAR_VALID) != valid)
            fail_msg("seed %" PRIu64 ": brute force says %d\n%s", seed, valid, r.text);
        if (r.verdict == LINEAR_VIOLATION && returns_alone(ops, shape.ops, r.op)) {
            /* The witness: wrong with this reply, right without it. */
            size_t n = cut(ops, shape.ops, r.op, false, part);
            if (brute(part, n, 0, &nothing)) fail_msg("seed %" PRIu64 ": too early\n%s", seed, r.text);
            n = cut(ops, shape.ops, r.op, true, part);
            if (!brute(part, n, 0, &nothing)) fail_msg("seed %" PRIu64 ": too late\n%s", seed, r.text);
        }
        release(ops, shape.ops);
    }
    assert_true(verdicts[0] > 5000 && verdicts[1] > 5000);
}

/* In large histories a corrupted reply is caught, or an order that explains it exists: then the checker has
 * found one, and its twin without the corruption is valid, too. A read of a value that nobody ever wrote must
 * be caught always. */
static void large_ones_corrupted(void **state)
{
    (void)state;
    static const struct shape shape = {2000, 10, 10, 2, 10, LINEAR_KINDS, 0};
    int caught = 0, rounds = 200;
    for (int round = 0; round < rounds; round++) {
        struct prng g;
        struct linear_result r;
        prng_seed(&g, 7000 + (uint64_t)round);
        struct linear_op *ops = generate(&g, &shape);
        size_t i = prng_below(&g, shape.ops);
        while (ops[i].kind != LINEAR_GET || ops[i].returned == LINEAR_NEVER) i = (i + 1) % shape.ops;
        struct linear_op old = ops[i];
        ops[i].reply = LINEAR_BULK;
        ops[i].reply_bytes = (struct slice)V("from nowhere");
        linear_check(ops, shape.ops, STEPS, &r);
        assert_int_equal(r.verdict, LINEAR_VIOLATION);
        assert_true(r.op == i && r.key == ops[i].key);
        ops[i] = old;
        corrupt(&g, &ops[i]);
        linear_check(ops, shape.ops, STEPS, &r);
        assert_int_not_equal(r.verdict, LINEAR_UNDECIDED);
        caught += r.verdict == LINEAR_VIOLATION;
        release(ops, shape.ops);
    }
    assert_true(caught > rounds / 2);
}

static void a_bound_is_undecided_never_valid(void **state)
{
    (void)state;
    static const struct shape shape = {500, 2, 8, 5, 10, LINEAR_KINDS, 0};
    struct prng g;
    struct linear_result r;
    prng_seed(&g, 3);
    struct linear_op *ops = generate(&g, &shape);
    linear_check(ops, shape.ops, 50, &r);
    assert_int_equal(r.verdict, LINEAR_UNDECIDED);
    assert_int_equal(r.undecided, 2);
    assert_non_null(strstr(r.text, "undecided"));
    linear_check(ops, shape.ops, STEPS, &r);
    assert_int_equal(r.verdict, LINEAR_VALID);
    /* A violation on one key is a violation, whatever becomes of the others. */
    struct linear_op wrong[502];
    memcpy(wrong, ops, sizeof *ops * 500);
    wrong[500] = (struct linear_op)GET(0, 1, "from nowhere");
    wrong[500].key = 1000;
    linear_check(wrong, 501, 50, &r);
    assert_int_equal(r.verdict, LINEAR_VIOLATION);
    assert_int_equal(r.op, 500);
    release(ops, shape.ops);
}

/* Many writes without a reply, and a read that none of them explains: no exponential search. */
static void unanswered_writes_stay_cheap(void **state)
{
    (void)state;
    struct linear_op ops[64] = {{0}};
    char texts[40][8];
    size_t n = 0;
    for (int i = 0; i < 40; i++) {
        snprintf(texts[i], sizeof texts[i], "v%d", i);
        ops[n++] = (struct linear_op){.invoked = i,
                                      .returned = LINEAR_NEVER,
                                      .kind = LINEAR_SET,
                                      .value = {texts[i], strlen(texts[i])}};
    }
    for (int i = 0; i < 10; i++)
        ops[n++] = (struct linear_op){.invoked = 100 + i * 10,
                                      .returned = 105 + i * 10,
                                      .kind = LINEAR_GET,
                                      .reply = LINEAR_BULK,
                                      .reply_bytes = {texts[i * 3], strlen(texts[i * 3])}};
    struct linear_result r;
    linear_check(ops, n, STEPS, &r);
    assert_int_equal(r.verdict, LINEAR_VALID);
    ops[n++] = (struct linear_op)GET(300, 301, "v0"); /* once more, after v3 and the others were seen */
    linear_check(ops, n, STEPS, &r);
    assert_int_equal(r.verdict, LINEAR_VIOLATION);
    assert_int_equal(r.op, n - 1);
    assert_true(r.steps < 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),
        cmocka_unit_test(explains),
        cmocka_unit_test(correct_stores_pass),
        cmocka_unit_test(tiny_ones_against_brute_force),
        cmocka_unit_test(large_ones_corrupted),
        cmocka_unit_test(a_bound_is_undecided_never_valid),
        cmocka_unit_test(unanswered_writes_stay_cheap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
