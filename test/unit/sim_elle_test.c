/* The checker of transactions: one history by hand for every fault, histories of a correct store, of broken
 * stores, and tiny ones against a brute-force search over all serial orders. */
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
#include "sim/elle.h"

#define ACTIONS_MAX 4

/* ---- by hand ----
 * One line per transaction: "from to status actions", where an action is "aKEY=VALUE" or "rKEY=1,2,3". */

struct parsed {
    struct elle_transaction transactions[16];
    struct elle_action actions[16][8];
    int64_t values[256];
    size_t count, value_count;
};

static void parse_action(struct parsed *p, struct elle_action *a, const char *word)
{
    char *at;
    a->is_read = *word == 'r';
    a->key = (uint32_t)strtoul(word + 1, &at, 10);
    CHECK(*at == '=');
    if (!a->is_read) {
        a->value = strtoll(at + 1, NULL, 10);
        return;
    }
    a->values = &p->values[p->value_count];
    while (*at && at[1]) {
        p->values[p->value_count++] = strtoll(at + 1, &at, 10);
        a->count++;
    }
}

static void parse(struct parsed *p, const char *text)
{
    char copy[512], *line_end, *word_end;
    CHECK(strlen(text) < sizeof copy);
    strcpy(copy, text);
    memset(p, 0, sizeof *p);
    for (char *line = strtok_r(copy, "\n", &line_end); line; line = strtok_r(NULL, "\n", &line_end)) {
        struct elle_transaction *t = &p->transactions[p->count];
        t->actions = p->actions[p->count++];
        t->invoked = strtoll(strtok_r(line, " ", &word_end), NULL, 10);
        t->completed = strtoll(strtok_r(NULL, " ", &word_end), NULL, 10);
        char status = *strtok_r(NULL, " ", &word_end);
        t->status = status == 'c' ? ELLE_COMMITTED : status == 'a' ? ELLE_ABORTED : ELLE_UNKNOWN;
        if (t->status == ELLE_UNKNOWN) t->completed = ELLE_NEVER;
        for (char *word = strtok_r(NULL, " ", &word_end); word; word = strtok_r(NULL, " ", &word_end))
            parse_action(p, &p->actions[p->count - 1][t->count++], word);
    }
}

#define VALID ELLE_FAULTS

struct example {
    const char *name;
    enum elle_fault fault; /* the worst one, or VALID */
    const char *text;
};

static const struct example examples[] = {
    {"nothing", VALID, ""},
    {"in order", VALID, "0 1 c a1=1\n2 3 c r1=1 a1=2\n4 5 c r1=1,2 r2="},
    {"concurrent, either order", VALID, "0 9 c a1=1\n0 9 c a1=2\n10 11 c r1=2,1"},
    {"its own values", VALID, "0 1 c a1=1 r1=1 a1=2 r1=1,2\n2 3 c r1=1,2"},
    {"unanswered, happened", VALID, "0 0 u a1=1 a2=2\n5 6 c r1=1\n7 8 c r2=2"},
    {"unanswered, did not happen", VALID, "0 0 u a1=1 a2=2\n5 6 c r1= r2="},
    {"unanswered, half of it happened", ELLE_G_SINGLE, "0 0 u a1=1 a2=2\n5 6 c r1=1 r2="},
    {"unanswered, happened late", VALID, "0 0 u a1=1\n5 6 c r1=\n7 8 c r1=1"},
    {"aborted, not seen", VALID, "0 1 a a1=1\n5 6 c r1="},
    {"unread appends", VALID, "0 3 c a1=1\n2 3 c a1=2\n2 5 c r1="},
    {"a read and an append of the same, unread", VALID, "0 1 c r1= a1=1\n0 2 c a1=2"},
    {"a value from nowhere", ELLE_UNWRITTEN, "0 1 c a1=1\n2 3 c r1=1,7"},
    {"a value of another key", ELLE_UNWRITTEN, "0 1 c a1=1\n2 3 c r2=1"},
    {"a duplicate", ELLE_DUPLICATE, "0 1 c a1=1\n2 3 c r1=1,1"},
    {"incompatible", ELLE_INCOMPATIBLE, "0 9 c a1=1\n0 9 c a1=2\n0 9 c r1=1\n0 9 c r1=2,1"},
    {"a value vanished", ELLE_INCOMPATIBLE, "0 9 c a1=1\n0 9 c a1=2\n10 11 c r1=1,2\n12 13 c r1=2"},
    {"does not see its own append", ELLE_INTERNAL, "0 1 c a1=1 r1="},
    {"sees its own append too early", ELLE_INTERNAL, "0 1 c r1=1 a1=1 r1=1"},
    {"sees a value that it appends later", ELLE_INTERNAL, "0 1 c r1=1 a1=1"},
    {"reads differently twice", ELLE_INTERNAL, "0 9 c a1=1\n0 9 c r1= r1=1"},
    {"its own values in another order", ELLE_INTERNAL, "0 1 c a1=1 a1=2\n2 3 c r1=2,1"},
    {"the second of its values alone", ELLE_INTERNAL, "0 0 u a1=1 a1=2\n2 3 c r1=2"},
    {"a lost append", ELLE_LOST, "0 1 c a1=1\n2 3 c r1="},
    {"a lost append among others", ELLE_LOST, "0 1 c a1=1\n2 3 c a1=2\n4 5 c a1=3\n6 7 c r1=1,3"},
    {"an aborted read", ELLE_G1A, "0 1 a a1=1\n2 3 c r1=1"},
    {"an intermediate read", ELLE_G1B, "0 9 c a1=1 a1=2\n0 9 c r1=1\n0 9 c r1=1,2"},
    {"an intermediate read, never finished", ELLE_G1B, "0 9 c a1=1 a1=2\n0 9 c r1=1"},
    {"dirty write", ELLE_G0, "0 9 c a1=1 a2=3\n0 9 c a1=2 a2=4\n10 11 c r1=1,2 r2=4,3"},
    {"another's value amid its own", ELLE_G0, "0 9 c a1=1 a1=3\n0 9 c a1=2\n10 11 c r1=1,2,3"},
    {"circular information flow", ELLE_G1C, "0 9 c a1=1 r2=2\n0 9 c a2=2 r1=1"},
    {"lost update", ELLE_G_SINGLE, "0 1 c a1=1\n2 9 c r1=1 a1=2\n2 9 c r1=1 a1=3\n10 11 c r1=1,2,3"},
    {"lost update, both unread", ELLE_G2, "0 1 c a1=1\n2 9 c r1=1 a1=2\n2 9 c r1=1 a1=3"},
    {"fractured read", ELLE_G_SINGLE, "0 9 c a1=1 a2=2\n0 9 c r1=1 r2="},
    {"write skew", ELLE_G2, "0 9 c r1= a2=1\n0 9 c r2= a1=2\n10 11 c r1=2 r2=1"},
    {"long fork", ELLE_G2, "0 9 c a1=1\n0 9 c a2=2\n0 9 c r1=1 r2=\n0 9 c r1= r2=2"},
    {"writes against real time", ELLE_G0_REALTIME, "0 1 c a1=1\n2 3 c a1=2\n4 5 c r1=2,1"},
    {"a read of the future", ELLE_G1C_REALTIME, "0 1 c r1=1\n2 3 c a1=1"},
    {"a stale read", ELLE_G_SINGLE_REALTIME, "0 1 c a1=1\n2 3 c a1=2\n4 5 c r1=1\n6 7 c r1=1,2"},
    {"two readers, old after new", ELLE_G_SINGLE_REALTIME, "0 9 c a1=1\n1 2 c r1=1\n3 4 c r1="},
    {"a read that two writers keep apart from what came before", ELLE_G2_REALTIME,
     "0 9 c r2= a1=1\n0 3 c a2=2\n5 9 c r1="},
};

static enum elle_fault worst_of(const struct elle_result *r)
{
    enum elle_fault f = 0;
    while (f < ELLE_FAULTS && !(r->faults >> f & 1)) f++;
    return f;
}

static bool brute(const struct elle_transaction *t, size_t count);

static void by_hand(void **state)
{
    (void)state;
    uint32_t seen = 0;
    for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
        const struct example *e = &examples[i];
        static struct parsed p;
        struct elle_result r;
        parse(&p, e->text);
        elle_check(p.transactions, p.count, &r);
        if (worst_of(&r) != e->fault || r.valid != (e->fault == VALID))
            fail_msg("%s: %s, not %s\n%s", e->name, r.valid ? "valid" : elle_fault_name(worst_of(&r)),
                     e->fault == VALID ? "valid" : elle_fault_name(e->fault), r.text);
        if (brute(p.transactions, p.count) != r.valid) fail_msg("%s: brute force", e->name);
        assert_int_equal(*r.text == 0, r.valid);
        seen |= UINT32_C(1) << e->fault;
    }
    assert_int_equal(seen, (UINT32_C(1) << (ELLE_FAULTS + 1)) - 1); /* an example of each */
}

static void the_cycle_is_shown(void **state)
{
    (void)state;
    static struct parsed p;
    struct elle_result r;
    parse(&p, "0 1 c a1=1\n2 3 c a1=2\n4 5 c a7=9\n4 5 c r1=1\n6 7 c r1=1,2");
    elle_check(p.transactions, p.count, &r);
    assert_int_equal(r.cycle_len, 2);
    int first = r.cycle[0] == 3 ? 0 : 1;
    assert_int_equal(r.cycle[first], 3);
    assert_int_equal(r.edges[first], ELLE_RW);
    assert_int_equal(r.cycle[!first], 1);
    assert_int_equal(r.edges[!first], ELLE_RT);
    assert_int_equal(r.committed, 5);
    assert_non_null(strstr(r.text, "G-single-realtime"));
    assert_non_null(strstr(r.text, "T3 -rw key 1-> "));
}

/* ---- brute force: every serial order ---- */

struct store {
    int64_t lists[4][16];
    size_t len[4];
};

static bool execute(struct store *s, const struct elle_transaction *t)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct elle_action *a = &t->actions[i];
        CHECK(a->key < 4 && s->len[a->key] < 16);
        if (!a->is_read) {
            s->lists[a->key][s->len[a->key]++] = a->value;
        } else if (t->status == ELLE_COMMITTED) {
            if (a->count != s->len[a->key]) return false;
            for (size_t j = 0; j < a->count; j++)
                if (a->values[j] != s->lists[a->key][j]) return false;
        }
    }
    return true;
}

static bool brute_from(const struct elle_transaction *t, size_t count, unsigned placed, const struct store *s)
{
    bool done = true;
    for (size_t i = 0; i < count; i++) done &= placed >> i & 1 || t[i].status != ELLE_COMMITTED;
    if (done) return true;
    for (size_t i = 0; i < count; i++) {
        bool may = !(placed >> i & 1) && t[i].status != ELLE_ABORTED;
        for (size_t j = 0; j < count && may; j++)
            may = placed >> j & 1 || t[j].status != ELLE_COMMITTED || t[j].completed >= t[i].invoked;
        struct store next = *s;
        if (may && execute(&next, &t[i]) && brute_from(t, count, placed | 1u << i, &next)) return true;
    }
    return false;
}

static bool brute(const struct elle_transaction *t, size_t count)
{
    struct store empty = {0};
    /* Keys of the examples are small; what names a larger one is not for this store. */
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < t[i].count; j++) CHECK(t[i].actions[j].key < 4);
    return brute_from(t, count, 0, &empty);
}

/* ---- a store that may be broken ---- */

enum defect { CORRECT, NOT_ISOLATED, STALE, DIRTY, FORGETFUL, DEFECTS };

struct shape {
    size_t count, clients;
    uint32_t keys;
    unsigned lost_percent, aborted_percent;
    enum defect defect;
};

struct made {
    struct elle_transaction *transactions;
    struct elle_action *actions;
    int64_t **lists;
    size_t *len;
    int64_t *copies; /* of all reads, one after the other */
    size_t copied;
};

struct job {
    int64_t moment;
    uint32_t transaction, action;
};

static int by_moment(const void *a, const void *b)
{
    const struct job *x = a, *y = b;
    if (x->moment != y->moment) return x->moment < y->moment ? -1 : 1;
    if (x->transaction != y->transaction) return x->transaction < y->transaction ? -1 : 1;
    return x->action < y->action ? -1 : x->action > y->action;
}

static void do_action(struct prng *g, struct made *m, const struct shape *shape,
                      const struct elle_transaction *t, struct elle_action *a)
{
    size_t *len = &m->len[a->key];
    if (!a->is_read) {
        bool forgets = shape->defect == FORGETFUL && prng_below(g, 40) == 0;
        bool happens = t->status != ELLE_ABORTED || (shape->defect == DIRTY && prng_below(g, 4) == 0);
        if (happens && !forgets) m->lists[a->key][(*len)++] = a->value;
        return;
    }
    size_t n = *len;
    if (shape->defect == STALE && n > 0 && prng_below(g, 30) == 0) n--;
    int64_t *copy = &m->copies[m->copied];
    memcpy(copy, m->lists[a->key], n * sizeof *copy);
    a->values = copy;
    a->count = n;
    m->copied += n;
}

static void run_store(struct prng *g, struct made *m, const struct shape *shape, const int64_t *moments)
{
    struct job *jobs = calloc(shape->count * ACTIONS_MAX, sizeof *jobs);
    size_t n = 0, values = 0;
    for (uint32_t t = 0; t < shape->count; t++)
        for (uint32_t i = 0; i < m->transactions[t].count; i++) {
            int64_t moment = moments[t];
            if (moment == ELLE_NEVER) continue;
            if (shape->defect == NOT_ISOLATED) moment += (int64_t)(i * prng_below(g, 4));
            jobs[n++] = (struct job){moment, t, i};
        }
    qsort(jobs, n, sizeof *jobs, by_moment);
    /* Twice: to learn how much is read, and to do it. */
    struct prng again = *g;
    for (int pass = 0; pass < 2; pass++) {
        *g = again;
        m->copies = calloc(values + 1, sizeof *m->copies);
        m->copied = 0;
        memset(m->len, 0, shape->keys * sizeof *m->len);
        for (size_t i = 0; i < n; i++) {
            struct elle_transaction *t = &m->transactions[jobs[i].transaction];
            struct elle_action *a = &m->actions[jobs[i].transaction * ACTIONS_MAX + jobs[i].action];
            if (pass == 1)
                do_action(g, m, shape, t, a);
            else if (a->is_read)
                values += shape->count * ACTIONS_MAX < 4096 ? shape->count * ACTIONS_MAX : m->len[a->key];
            else
                m->len[a->key]++;
        }
        if (pass == 0) free(m->copies);
    }
    free(jobs);
}

static struct made make(struct prng *g, const struct shape *shape)
{
    struct made m = {calloc(shape->count, sizeof *m.transactions),
                     calloc(shape->count * ACTIONS_MAX, sizeof *m.actions),
                     calloc(shape->keys, sizeof *m.lists),
                     calloc(shape->keys, sizeof *m.len),
                     NULL,
                     0};
    int64_t *clock = calloc(shape->clients, sizeof *clock), *moments = calloc(shape->count, sizeof *moments);
    int64_t value = 0;
    for (uint32_t k = 0; k < shape->keys; k++)
        m.lists[k] = calloc(shape->count * ACTIONS_MAX, sizeof **m.lists);
    for (size_t i = 0; i < shape->count; i++) {
        struct elle_transaction *t = &m.transactions[i];
        int64_t *now = &clock[prng_below(g, shape->clients)];
        t->actions = &m.actions[i * ACTIONS_MAX];
        t->count = 1 + prng_below(g, ACTIONS_MAX);
        t->invoked = *now + (int64_t)prng_below(g, 4);
        moments[i] = t->invoked + (int64_t)prng_below(g, 8);
        t->completed = moments[i] + (shape->defect == NOT_ISOLATED ? 16 : 0) + (int64_t)prng_below(g, 8);
        *now = t->completed + 1;
        if (prng_below(g, 100) < shape->lost_percent) {
            t->status = ELLE_UNKNOWN;
            t->completed = ELLE_NEVER;
            moments[i] = prng_below(g, 2) ? ELLE_NEVER : moments[i] + (int64_t)prng_below(g, 100);
        } else if (prng_below(g, 100) < shape->aborted_percent) {
            t->status = ELLE_ABORTED;
        }
        for (size_t j = 0; j < t->count; j++) {
            struct elle_action *a = &m.actions[i * ACTIONS_MAX + j];
            a->is_read = prng_below(g, 2);
            a->key = (uint32_t)prng_below(g, shape->keys);
            if (!a->is_read) a->value = ++value;
        }
    }
    run_store(g, &m, shape, moments);
    free(clock);
    free(moments);
    return m;
}

static void release(struct made *m, const struct shape *shape)
{
    for (uint32_t k = 0; k < shape->keys; k++) free(m->lists[k]);
    free(m->lists);
    free(m->len);
    free(m->copies);
    free(m->actions);
    free(m->transactions);
}

static void correct_stores_pass(void **state)
{
    (void)state;
    static const struct shape shapes[] = {
        {20, 3, 2, 0, 0, CORRECT},   {300, 8, 3, 10, 10, CORRECT},    {2000, 20, 40, 5, 5, CORRECT},
        {500, 50, 1, 0, 0, CORRECT}, {4000, 10, 1000, 2, 2, CORRECT}, {300, 1, 2, 30, 30, CORRECT},
    };
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
        for (uint64_t seed = 1; seed <= 10; seed++) {
            struct prng g;
            struct elle_result r;
            prng_seed(&g, seed * 31 + i);
            struct made m = make(&g, &shapes[i]);
            elle_check(m.transactions, shapes[i].count, &r);
            if (!r.valid) fail_msg("shape %zu, seed %" PRIu64 ":\n%s", i, seed, r.text);
            release(&m, &shapes[i]);
        }
}

static void broken_stores_are_caught(void **state)
{
    (void)state;
    /* What each defect must show up as at least once, among others. */
    static const uint32_t expected[DEFECTS] = {
        [NOT_ISOLATED] =
            1u << ELLE_G_SINGLE | 1u << ELLE_G0 | 1u << ELLE_G1C | 1u << ELLE_G1B | 1u << ELLE_INTERNAL,
        [STALE] = 1u << ELLE_G_SINGLE_REALTIME | 1u << ELLE_G_SINGLE,
        [DIRTY] = 1u << ELLE_G1A,
        [FORGETFUL] = 1u << ELLE_LOST,
    };
    for (enum defect d = NOT_ISOLATED; d < DEFECTS; d++) {
        uint32_t faults = 0;
        for (uint64_t seed = 1; seed <= 40; seed++) {
            struct shape shape = {300, 6, 5, 3, 10, d};
            struct prng g;
            struct elle_result r;
            prng_seed(&g, seed * 1000 + d);
            struct made m = make(&g, &shape);
            elle_check(m.transactions, shape.count, &r);
            if (r.valid) fail_msg("defect %d, seed %" PRIu64 " passed", (int)d, seed);
            faults |= r.faults;
            release(&m, &shape);
        }
        if (expected[d] & ~faults) fail_msg("defect %d showed only %x of %x", (int)d, faults, expected[d]);
    }
}

/* Changes one reply: drops, adds, or swaps a value, or brings a reply forward in time. */
static void corrupt(struct prng *g, struct made *m, const struct shape *shape)
{
    uint32_t t = (uint32_t)prng_below(g, shape->count);
    struct elle_transaction *transaction = &m->transactions[t];
    struct elle_action *a = &m->actions[t * ACTIONS_MAX + prng_below(g, transaction->count)];
    if (!a->is_read || transaction->status != ELLE_COMMITTED) {
        if (prng_below(g, 4) == 0 && transaction->status == ELLE_COMMITTED)
            transaction->completed = transaction->invoked;
        else if (prng_below(g, 4) == 0)
            transaction->status = ELLE_ABORTED;
        return;
    }
    int64_t *values = (int64_t *)(uintptr_t)a->values;
    if (a->count && prng_below(g, 2)) {
        a->count--;
    } else if (a->count > 1) {
        size_t i = prng_below(g, a->count - 1);
        int64_t swap = values[i];
        values[i] = values[i + 1];
        values[i + 1] = swap;
    } else if (a->count) {
        values[0] = 1 + (int64_t)prng_below(g, 6);
    }
}

static void print_history(const struct elle_transaction *t, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        print_error("%zu: %" PRId64 " %" PRId64 " %c", i, t[i].invoked, t[i].completed, "cau"[t[i].status]);
        for (size_t j = 0; j < t[i].count; j++) {
            const struct elle_action *a = &t[i].actions[j];
            if (a->is_read)
                print_error(" r%u=", a->key);
            else
                print_error(" a%u=%" PRId64, a->key, a->value);
            for (size_t k = 0; a->is_read && k < a->count; k++) print_error("%" PRId64 ",", a->values[k]);
        }
        print_error("\n");
    }
}

static void tiny_ones_against_brute_force(void **state)
{
    (void)state;
    int verdicts[2] = {0}, kinds[ELLE_FAULTS] = {0};
    for (uint64_t seed = 1; seed <= 30000; seed++) {
        struct prng g;
        struct elle_result r;
        prng_seed(&g, seed);
        struct shape shape = {
            1 + prng_below(&g, 5), 1 + prng_below(&g, 4), 1 + (uint32_t)prng_below(&g, 3), 0, 0, CORRECT};
        shape.lost_percent = (unsigned)prng_below(&g, 3) * 20;
        shape.aborted_percent = (unsigned)prng_below(&g, 3) * 10;
        shape.defect = prng_below(&g, 3) ? CORRECT : (enum defect)prng_below(&g, DEFECTS);
        struct made m = make(&g, &shape);
        for (uint64_t n = prng_below(&g, 6); n > 0; n--) corrupt(&g, &m, &shape);
        elle_check(m.transactions, shape.count, &r);
        bool valid = brute(m.transactions, shape.count);
        if (r.valid != valid) {
            print_history(m.transactions, shape.count);
            fail_msg("seed %" PRIu64 ": brute force says %d\n%s", seed, valid, r.text);
        }
        verdicts[valid]++;
        if (!valid) kinds[worst_of(&r)]++;
        release(&m, &shape);
    }
    if (getenv("WEFT_TEST_VERBOSE"))
        for (enum elle_fault f = 0; f < ELLE_FAULTS; f++) printf("%s: %d\n", elle_fault_name(f), kinds[f]);
    assert_true(verdicts[0] > 5000 && verdicts[1] > 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),
        cmocka_unit_test(the_cycle_is_shown),
        cmocka_unit_test(correct_stores_pass),
        cmocka_unit_test(broken_stores_are_caught),
        cmocka_unit_test(tiny_ones_against_brute_force),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
