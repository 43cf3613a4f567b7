/* The search of Wing & Gong with Lowe's memory of visited configurations, as Horn & Kroening and Porcupine
 * refine it; per key.
 *
 * A configuration is (which operations have been placed, the register's value). The search places one
 * operation after the other. The returns of the operations that are not placed yet stand in a list by time;
 * an operation may be next if it was called before the first of them (the operation of that return must come
 * before everything that was sent later). Those with the earliest return are tried first. Operations without
 * a reply stand in no list: they may be placed at any time after their call, or be left out.
 *
 *     time ─ call A ─ call B ─ return A ─ call C ─ return B …         A or B may be next, C not
 *
 * Five things keep it short
 *  1. Visited configurations are remembered. The set of answered operations is known by the XOR of a random
 *     128-bit number of each, so a look-up costs the same for 10 and for 10,000 operations. Were two
 * different sets equal in all 128 bits, a path could be missed and a false violation reported (never a false
 *     "valid"); the chance is below 2^-80 for 2^24 configurations. Those without a reply are kept as bits:
 *     whoever has used the same ones and more has fewer ways on, and need not be followed.
 *  2. An operation whose reply shows that it changed nothing (a read, a failed CAS) is placed as soon as it
 *     fits, and no other choice is tried in its stead: in any good order it can be moved here.
 *  3. An operation without a reply is placed only if it changes the value, and never directly before one that
 *     overwrites it unseen: then it can as well be left out.
 *  4. Of several equal operations without a reply the first one sent goes first.
 *  5. A value is not left while a reply still to be explained needs it and nothing unplaced can make it
 * again.
 *
 * On a violation the shortest bad prefix is found by bisection over the returns: linearizability is closed
 * under prefixes, and at a moment in between, the replies still to come are unknown.
 *
 * Operations of one session are placed in its order. An unanswered one that others of its session come behind
 * counts as an answered one in 1, and rules 3 and 4 leave it alone: leaving it out would bar those.
 *
 * Values are interned per key: a state is a 32-bit number, absent is 0. */
#include "sim/linear.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/prng.h"

#define ABSENT      0u
#define NO_STATE    UINT32_MAX /* the operation does not fit */
#define STATES_MAX  8          /* shown in an explanation */
#define SHOWN_BYTES 40         /* of a value */

const char *linear_kind_name(enum linear_kind kind)
{
    static const char *const names[LINEAR_KINDS] = {"GET", "SET",  "GETSET", "SETNX",
                                                    "CAS", "INCR", "DEL",    "APPEND"};
    CHECK(kind < LINEAR_KINDS);
    return names[kind];
}

static void *take(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size);
    CHECK(p != NULL);
    return p;
}

/* ---- interned values ---- */

struct values {
    struct slice *list; /* by number; [0] is "absent" */
    uint32_t count, room;
    uint32_t *table; /* open addressing; 0: free */
    uint32_t mask;
};

static uint64_t hash_of(struct slice s)
{
    uint64_t h = 0xcbf29ce484222325u ^ s.len; /* FNV-1a */
    for (size_t i = 0; i < s.len; i++) h = (h ^ (uint8_t)s.ptr[i]) * 0x100000001b3u;
    return prng_mix(&h);
}

static void values_init(struct values *v)
{
    *v = (struct values){.count = 1, .room = 64, .mask = 127};
    v->list = take(v->room, sizeof *v->list);
    v->table = take(v->mask + 1, sizeof *v->table);
}

static void values_free(struct values *v)
{
    for (uint32_t i = 1; i < v->count; i++) free((char *)(uintptr_t)v->list[i].ptr);
    free(v->list);
    free(v->table);
}

static uint32_t *values_place(struct values *v, struct slice s)
{
    uint32_t i = (uint32_t)hash_of(s) & v->mask;
    while (v->table[i] && !slice_equal(v->list[v->table[i]], s)) i = (i + 1) & v->mask;
    return &v->table[i];
}

static void values_grow(struct values *v)
{
    v->room *= 2;
    v->list = realloc(v->list, v->room * sizeof *v->list);
    CHECK(v->list != NULL);
    free(v->table);
    v->mask = v->room * 2 - 1;
    v->table = take(v->mask + 1, sizeof *v->table);
    for (uint32_t i = 1; i < v->count; i++) *values_place(v, v->list[i]) = i;
}

static uint32_t intern(struct values *v, struct slice s)
{
    if (s.len == 0) s.ptr = "";
    uint32_t *place = values_place(v, s);
    if (*place) return *place;
    if (v->count == v->room) {
        values_grow(v);
        place = values_place(v, s);
    }
    char *copy = take(s.len, 1);
    if (s.len) memcpy(copy, s.ptr, s.len);
    v->list[v->count] = (struct slice){copy, s.len};
    return *place = v->count++;
}

/* ---- the register ---- */

/* An operation, its values interned. */
struct step {
    const struct linear_op *op;
    uint32_t value, expected, reply;
    uint32_t needs;     /* the value its reply says was there, or NO_STATE */
    uint32_t makes;     /* the value it may leave behind, or NO_STATE: none, or any (search.is_open) */
    uint32_t before;    /* the session's operation before it, + 1; 0: none */
    bool unknown;       /* the reply never came */
    bool was_read;      /* some reply is the value that it writes */
    bool has_successor; /* is some other's `before` */
    bool placed;
};

/* As Redis reads an integer: an optional '-', digits without a leading zero, 64 bits. */
static bool parse_integer(struct slice s, int64_t *out)
{
    bool minus = s.len && s.ptr[0] == '-';
    size_t i = minus;
    uint64_t n = 0;
    if (i == s.len || s.len - i > 19 || (s.ptr[i] == '0' && s.len > 1)) return false;
    for (; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') return false;
        n = n * 10 + (uint64_t)(s.ptr[i] - '0');
    }
    if (n > (uint64_t)INT64_MAX + minus) return false;
    *out = minus ? (int64_t)(0 - n) : (int64_t)n;
    return true;
}

static uint32_t intern_number(struct values *v, int64_t number)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%lld", (long long)number);
    return intern(v, (struct slice){text, (size_t)len});
}

static uint32_t apply_incr(struct values *v, const struct step *s, uint32_t state)
{
    int64_t old = 0, sum;
    bool good = (state == ABSENT || parse_integer(v->list[state], &old)) &&
                !__builtin_add_overflow(old, s->op->number, &sum);
    if (!good) return s->unknown || s->op->reply == LINEAR_ERROR ? state : NO_STATE;
    if (!s->unknown && (s->op->reply != LINEAR_INT || s->op->reply_number != sum)) return NO_STATE;
    return intern_number(v, sum);
}

static uint32_t apply_append(struct values *v, const struct step *s, uint32_t state, uint64_t *steps)
{
    struct slice old = state == ABSENT ? (struct slice){"", 0} : v->list[state], more = s->op->value;
    size_t len = old.len + more.len;
    bool fits = s->op->reply == LINEAR_INT && s->op->reply_number == (int64_t)len;
    if (!s->unknown && !fits) return NO_STATE;
    if (more.len == 0 && state != ABSENT) return state; /* nothing appended to nothing makes an empty value */
    char *text = take(len, 1);
    if (old.len) memcpy(text, old.ptr, old.len);
    if (more.len) memcpy(text + old.len, more.ptr, more.len);
    uint32_t next = intern(v, (struct slice){text, len});
    free(text);
    *steps += len / 64;
    return next;
}

static bool says(const struct step *s, enum linear_reply reply, int64_t number)
{
    return s->unknown || (s->op->reply == reply && (reply != LINEAR_INT || s->op->reply_number == number));
}

/* `reply` shows what was there before. */
static bool shows(const struct step *s, uint32_t state)
{
    if (s->unknown) return true;
    return state == ABSENT ? s->op->reply == LINEAR_NIL : s->op->reply == LINEAR_BULK && s->reply == state;
}

/* The state after the operation, or NO_STATE when its reply contradicts `state`. */
static uint32_t apply(struct values *v, const struct step *s, uint32_t state, uint64_t *steps)
{
    switch ((enum linear_kind)s->op->kind) {
    case LINEAR_GET: return shows(s, state) ? state : NO_STATE;
    case LINEAR_SET: return says(s, LINEAR_OK, 0) ? s->value : NO_STATE;
    case LINEAR_GETSET: return shows(s, state) ? s->value : NO_STATE;
    case LINEAR_SETNX:
        if (!says(s, LINEAR_INT, state == ABSENT)) return NO_STATE;
        return state == ABSENT ? s->value : state;
    case LINEAR_CAS:
        if (state == ABSENT) return says(s, LINEAR_NIL, 0) ? state : NO_STATE;
        if (!says(s, LINEAR_INT, state == s->expected)) return NO_STATE;
        return state == s->expected ? s->value : state;
    case LINEAR_INCR: return apply_incr(v, s, state);
    case LINEAR_DEL: return says(s, LINEAR_INT, state != ABSENT) ? ABSENT : NO_STATE;
    case LINEAR_APPEND: return apply_append(v, s, state, steps);
    case LINEAR_KINDS: break;
    }
    CHECK(!"a kind of operation that is none");
    return NO_STATE;
}

/* Its reply shows that it left the value as it was, wherever it fits. */
static bool changes_nothing(const struct step *s)
{
    if (s->unknown) return false;
    bool no = s->op->reply == LINEAR_NIL || (s->op->reply == LINEAR_INT && s->op->reply_number == 0);
    switch ((enum linear_kind)s->op->kind) {
    case LINEAR_GET: return true;
    case LINEAR_SETNX:
    case LINEAR_DEL: return no;
    case LINEAR_CAS: return no || s->expected == s->value;
    case LINEAR_INCR: return s->op->reply == LINEAR_ERROR;
    default: return false;
    }
}

/* Sets the value whatever it was, and nobody learns what it was. */
static bool overwrites_unseen(const struct step *s)
{
    if (s->op->kind == LINEAR_SET) return true;
    return s->unknown && (s->op->kind == LINEAR_GETSET || s->op->kind == LINEAR_DEL);
}

/* ---- visited configurations ---- */

struct mark {
    uint64_t low, high; /* of the set of answered operations that were placed */
    uint32_t state;
    uint32_t first; /* the sets of unanswered ones with which somebody was here, + 1; 0: a free mark */
};

struct visited {
    struct mark *marks;
    size_t count, mask;
    uint64_t *sets; /* each of `set_words` words: the next one's number + 1, then bits */
    size_t set_words, set_count, set_room;
};

static struct mark *visited_place(const struct visited *c, struct mark m)
{
    size_t i = (size_t)((m.low ^ m.state * 0x9e3779b97f4a7c15u) & c->mask);
    for (;; i = (i + 1) & c->mask) {
        struct mark *at = &c->marks[i];
        if (!at->first || (at->low == m.low && at->high == m.high && at->state == m.state)) return at;
    }
}

static void visited_grow(struct visited *c)
{
    struct visited bigger = *c;
    bigger.mask = c->mask * 2 + 1;
    bigger.marks = take(bigger.mask + 1, sizeof *bigger.marks);
    for (size_t i = 0; i <= c->mask; i++)
        if (c->marks[i].first) *visited_place(&bigger, c->marks[i]) = c->marks[i];
    free(c->marks);
    *c = bigger;
}

static bool is_subset(const uint64_t *a, const uint64_t *b, size_t words)
{
    for (size_t i = 0; i < words; i++)
        if (a[i] & ~b[i]) return false;
    return true;
}

/* False when somebody was there with the same unanswered operations used, or with fewer. */
static bool visited_add(struct visited *c, struct mark m, const uint64_t *unanswered, uint64_t *steps)
{
    if (c->count * 2 > c->mask) visited_grow(c);
    struct mark *at = visited_place(c, m);
    size_t words = c->set_words - 1;
    for (uint64_t i = at->first; i; i = c->sets[(i - 1) * c->set_words], ++*steps)
        if (is_subset(&c->sets[(i - 1) * c->set_words + 1], unanswered, words)) return false;
    if (c->set_count == c->set_room) {
        c->set_room *= 2;
        c->sets = realloc(c->sets, c->set_room * c->set_words * sizeof *c->sets);
        CHECK(c->sets != NULL);
    }
    uint64_t *set = &c->sets[c->set_count++ * c->set_words];
    c->count += !at->first;
    set[0] = at->first;
    if (words) memcpy(set + 1, unanswered, words * sizeof *set);
    m.first = (uint32_t)c->set_count;
    *at = m;
    return true;
}

/* ---- one key's search ---- */

/* A call or a return. The list of returns begins and ends with events[0]. */
struct event {
    int64_t time;
    uint32_t step, prev, next;
    uint32_t call;     /* of a return: its call */
    uint32_t earliest; /* of a return: the first call of which the return stands here or later */
    bool is_return;
};

enum phase { SAME, CHANGING, UNKNOWN }; /* rule 2 first; unknown ones last */

/* A placed operation, and how to go on if nothing good comes of it. */
struct placed {
    uint32_t step, state_before;
    uint32_t at; /* event of the return; for an unknown one its place in `unknown` */
    uint8_t phase;
    bool after_unknown; /* what `last_unknown` was */
};

struct search {
    struct values values;
    struct step *steps;
    uint32_t step_count;
    struct event *events; /* [1, event_count] by time */
    uint32_t event_count;
    uint32_t *unknown; /* events of the calls without a reply, by time */
    uint32_t unknown_count;
    uint64_t *unknown_placed; /* bits, by place in `unknown`, of those without a successor */
    uint64_t *zobrist;        /* two of each step */
    /* of rule 5, by value, for those that a history names: unplaced steps that need it, that make it */
    uint32_t *needed, *made, named_count;
    bool *is_open; /* appending or unanswered counting may make it, too */
    struct placed *path;
    uint32_t path_len;
    struct visited visited;
    struct mark here;
    bool last_unknown; /* the last one placed was one without a reply */
    uint64_t work, work_max;
    /* the furthest return that was reached, and the states there */
    uint32_t furthest, states[STATES_MAX];
    size_t state_count;
};

static void lift(struct search *s, uint32_t at)
{
    struct event *e = &s->events[at];
    s->events[e->prev].next = e->next;
    s->events[e->next].prev = e->prev;
}

static void put_back(struct search *s, uint32_t at)
{
    struct event *e = &s->events[at];
    s->events[e->prev].next = s->events[e->next].prev = at;
}

/* Places the operation, or takes it back. */
static void toggle(struct search *s, uint32_t step, uint32_t at, enum phase phase)
{
    struct step *p = &s->steps[step];
    uint32_t one = p->placed ? 1 : UINT32_MAX; /* -1 */
    p->placed = !p->placed;
    if (p->needs != NO_STATE) s->needed[p->needs] += one;
    if (p->makes != NO_STATE) s->made[p->makes] += one;
    if (phase == UNKNOWN && !p->has_successor) {
        s->unknown_placed[at / 64] ^= UINT64_C(1) << at % 64;
    } else {
        s->here.low ^= s->zobrist[2 * step];
        s->here.high ^= s->zobrist[2 * step + 1];
    }
}

/* What its session did before it has been placed. */
static bool may_follow(const struct search *s, const struct step *step)
{
    return !step->before || s->steps[step->before - 1].placed;
}

static void note_blocked(struct search *s, uint32_t at)
{
    if (at < s->furthest) return;
    if (at > s->furthest) s->state_count = 0;
    s->furthest = at;
    for (size_t i = 0; i < s->state_count && i < STATES_MAX; i++)
        if (s->states[i] == s->here.state) return;
    if (s->state_count < STATES_MAX) s->states[s->state_count] = s->here.state;
    s->state_count++;
}

/* Rule 5. */
static bool is_missed(const struct search *s, uint32_t value)
{
    return value < s->named_count && s->needed[value] && !s->made[value] && !s->is_open[value];
}

/* Places the operation and goes there, unless somebody was there before. */
static bool go(struct search *s, uint32_t step, uint32_t at, enum phase phase, uint32_t state)
{
    uint32_t before = s->here.state;
    toggle(s, step, at, phase);
    s->here.state = state;
    if ((state != before && is_missed(s, before)) ||
        !visited_add(&s->visited, s->here, s->unknown_placed, &s->work)) {
        toggle(s, step, at, phase);
        s->here.state = before;
        return false;
    }
    s->path[s->path_len++] = (struct placed){step, before, at, (uint8_t)phase, s->last_unknown};
    s->last_unknown = phase == UNKNOWN && !s->steps[step].has_successor;
    if (phase != UNKNOWN) lift(s, at);
    return true;
}

static void go_back(struct search *s, struct placed *last)
{
    CHECK(s->path_len > 0);
    *last = s->path[--s->path_len];
    toggle(s, last->step, last->at, (enum phase)last->phase);
    s->here.state = last->state_before;
    s->last_unknown = last->after_unknown;
    if (last->phase != UNKNOWN) put_back(s, last->at);
}

/* Rule 4: an equal one that was sent earlier is still to be had. */
static bool has_elder(const struct search *s, uint32_t place)
{
    const struct step *mine = &s->steps[s->events[s->unknown[place]].step];
    for (uint32_t i = 0; i < place && !mine->has_successor; i++) {
        const struct step *other = &s->steps[s->events[s->unknown[i]].step];
        if (!other->placed && !other->has_successor && may_follow(s, other) &&
            other->op->kind == mine->op->kind && other->value == mine->value &&
            other->expected == mine->expected && other->op->number == mine->op->number)
            return true;
    }
    return false;
}

enum outcome { WENT, STUCK, DEAD }; /* DEAD: this configuration leads nowhere, try no other choice */

/* Tries the operations whose returns stand in the list from `at` on. */
static enum outcome try_answered(struct search *s, uint32_t at, enum phase phase)
{
    uint32_t limit = s->events[0].next;
    for (; at && s->events[at].earliest < limit; at = s->events[at].next) {
        uint32_t number = s->events[at].step;
        const struct step *step = &s->steps[number];
        s->work++;
        if (s->events[at].call > limit || !may_follow(s, step)) continue;
        if ((phase == SAME) != changes_nothing(step)) continue;
        if (s->last_unknown && overwrites_unseen(step)) continue;
        uint32_t state = apply(&s->values, step, s->here.state, &s->work);
        if (state == NO_STATE) continue;
        if (go(s, number, at, phase, state)) return WENT;
        if (phase == SAME) return DEAD;
    }
    return STUCK;
}

/* In two passes over `unknown`: first the operations whose value nobody has read, so that the others are left
 * for those who did read them. `turn` counts through both. */
static enum outcome try_unknown(struct search *s, uint32_t turn)
{
    uint32_t limit = s->events[0].next;
    for (; turn < 2 * s->unknown_count; turn++) {
        uint32_t place = turn % s->unknown_count;
        uint32_t number = s->events[s->unknown[place]].step;
        const struct step *step = &s->steps[number];
        if (s->unknown[place] > limit || step->placed || !may_follow(s, step)) continue;
        if (step->was_read != turn / s->unknown_count) continue;
        s->work++;
        if (s->last_unknown && overwrites_unseen(step)) continue;
        uint32_t state = apply(&s->values, step, s->here.state, &s->work);
        if ((state == s->here.state && !step->has_successor) || has_elder(s, place)) continue;
        if (go(s, number, place, UNKNOWN, state)) return WENT;
    }
    return STUCK;
}

/* Goes on from a configuration that was just reached. */
static enum outcome go_forward(struct search *s)
{
    enum outcome o = try_answered(s, s->events[0].next, SAME);
    if (o != STUCK) return o;
    note_blocked(s, s->events[0].next);
    o = try_answered(s, s->events[0].next, CHANGING);
    return o == STUCK ? try_unknown(s, 0) : o;
}

/* Takes the last operation back and tries what comes behind it. */
static enum outcome go_elsewhere(struct search *s)
{
    struct placed last;
    go_back(s, &last);
    if (last.phase == SAME) return DEAD;
    if (last.phase == UNKNOWN)
        return try_unknown(s, last.at + 1 + s->steps[last.step].was_read * s->unknown_count);
    enum outcome o = try_answered(s, s->events[last.at].next, CHANGING);
    return o == STUCK ? try_unknown(s, 0) : o;
}

static enum linear_verdict search_run(struct search *s)
{
    enum outcome o = WENT;
    visited_add(&s->visited, s->here, s->unknown_placed, &s->work);
    while (s->events[0].next != 0) {
        if (s->work > s->work_max) return LINEAR_UNDECIDED;
        if (o == WENT)
            o = go_forward(s);
        else if (s->path_len == 0)
            return LINEAR_VIOLATION;
        else
            o = go_elsewhere(s);
    }
    return LINEAR_VALID;
}

/* ---- from operations to a search ---- */

static int compare_events(const void *a, const void *b)
{
    const struct event *x = a, *y = b;
    if (x->time != y->time) return x->time < y->time ? -1 : 1;
    if (x->is_return != y->is_return) return x->is_return ? 1 : -1; /* what touches is concurrent */
    return x->step < y->step ? -1 : 1;
}

static void link_events(struct search *s)
{
    uint32_t *calls = take(s->step_count, sizeof *calls), last = 0;
    qsort(s->events + 1, s->event_count, sizeof *s->events, compare_events);
    for (uint32_t i = 1; i <= s->event_count; i++) {
        struct event *e = &s->events[i];
        if (e->is_return) {
            e->call = calls[e->step];
            e->prev = last;
            s->events[last].next = i;
            last = i;
        } else {
            calls[e->step] = i;
            if (s->steps[e->step].unknown) s->unknown[s->unknown_count++] = i;
        }
    }
    s->events[last].next = 0;
    s->events[0].prev = last;
    for (uint32_t earliest = UINT32_MAX; last; last = s->events[last].prev) {
        if (s->events[last].call < earliest) earliest = s->events[last].call;
        s->events[last].earliest = earliest;
    }
    free(calls);
}

/* The operations of one key, in the order of the caller's array. */
struct history {
    const struct linear_op *const *ops;
    size_t count;
};

/* What was known just after the reply of `last`; NULL: all. */
static bool is_known(const struct linear_op *op, const struct linear_op *last)
{
    if (op->returned == LINEAR_NEVER) return false;
    if (!last || op->returned != last->returned) return !last || op->returned < last->returned;
    return op <= last;
}

static uint32_t needed_by(struct values *v, const struct step *s)
{
    int64_t old;
    uint32_t shown = s->op->reply == LINEAR_NIL ? ABSENT : s->op->reply == LINEAR_BULK ? s->reply : NO_STATE;
    if (s->unknown) return NO_STATE;
    switch ((enum linear_kind)s->op->kind) {
    case LINEAR_GET:
    case LINEAR_GETSET: return shown;
    case LINEAR_SETNX: return s->op->reply_number == 1 ? ABSENT : NO_STATE;
    case LINEAR_DEL: return s->op->reply_number == 0 ? ABSENT : NO_STATE;
    case LINEAR_CAS: return shown == NO_STATE && s->op->reply_number == 1 ? s->expected : shown;
    case LINEAR_INCR: /* 0 may have been absent */
        if (s->op->reply != LINEAR_INT) return NO_STATE;
        if (__builtin_sub_overflow(s->op->reply_number, s->op->number, &old) || !old) return NO_STATE;
        return intern_number(v, old);
    default: return NO_STATE;
    }
}

static uint32_t made_by(struct values *v, const struct step *s)
{
    switch ((enum linear_kind)s->op->kind) {
    case LINEAR_SET:
    case LINEAR_GETSET:
    case LINEAR_SETNX:
    case LINEAR_CAS: return s->value;
    case LINEAR_DEL: return ABSENT;
    case LINEAR_INCR:
        return s->unknown || s->op->reply != LINEAR_INT ? NO_STATE : intern_number(v, s->op->reply_number);
    default: return NO_STATE;
    }
}

static bool may_append_to(const struct step *s, struct slice result)
{
    struct slice end = s->op->value;
    if (s->op->kind != LINEAR_APPEND || result.len < end.len) return false;
    if (!s->unknown && s->op->reply_number != (int64_t)result.len) return false;
    return !end.len || memcmp(result.ptr + result.len - end.len, end.ptr, end.len) == 0;
}

/* Prepares rule 5. */
static void count_values(struct search *s)
{
    bool counting = false;
    int64_t number;
    for (uint32_t i = 0; i < s->step_count; i++) {
        struct step *step = &s->steps[i];
        step->needs = needed_by(&s->values, step);
        step->makes = made_by(&s->values, step);
        counting |= step->unknown && step->op->kind == LINEAR_INCR;
    }
    s->named_count = s->values.count;
    s->needed = take(s->named_count, sizeof *s->needed);
    s->made = take(s->named_count, sizeof *s->made);
    s->is_open = take(s->named_count, sizeof *s->is_open);
    for (uint32_t i = 0; i < s->step_count; i++) {
        const struct step *step = &s->steps[i];
        if (step->needs != NO_STATE) s->needed[step->needs]++;
        if (step->makes != NO_STATE) s->made[step->makes]++;
    }
    for (uint32_t v = 1; v < s->named_count; v++) {
        if (!s->needed[v]) continue;
        s->is_open[v] = counting && parse_integer(s->values.list[v], &number);
        for (uint32_t i = 0; i < s->step_count && !s->is_open[v]; i++)
            s->is_open[v] = may_append_to(&s->steps[i], s->values.list[v]);
    }
}

static int compare_sessions(const void *a, const void *b)
{
    const struct step *x = *(struct step *const *)a, *y = *(struct step *const *)b;
    if (x->op->session != y->op->session) return x->op->session < y->op->session ? -1 : 1;
    if (x->op->invoked != y->op->invoked) return x->op->invoked < y->op->invoked ? -1 : 1;
    return x < y ? -1 : x > y;
}

static void link_sessions(struct search *s)
{
    struct step **sorted = take(s->step_count, sizeof *sorted);
    for (uint32_t i = 0; i < s->step_count; i++) sorted[i] = &s->steps[i];
    qsort(sorted, s->step_count, sizeof *sorted, compare_sessions);
    for (uint32_t i = 1; i < s->step_count; i++) {
        if (!sorted[i]->op->session || sorted[i]->op->session != sorted[i - 1]->op->session) continue;
        sorted[i]->before = (uint32_t)(sorted[i - 1] - s->steps) + 1;
        sorted[i - 1]->has_successor = true;
    }
    free(sorted);
}

static void search_init(struct search *s, struct history h, const struct linear_op *last, uint64_t work_max)
{
    struct prng prng;
    size_t count = h.count;
    prng_seed(&prng, 0x11ea9);
    *s = (struct search){.work_max = work_max};
    values_init(&s->values);
    s->steps = take(count, sizeof *s->steps);
    s->events = take(2 * count + 1, sizeof *s->events);
    s->unknown = take(count, sizeof *s->unknown);
    s->zobrist = take(2 * count, sizeof *s->zobrist);
    s->path = take(count, sizeof *s->path);
    s->here.state = ABSENT;
    for (size_t i = 0; i < count; i++) {
        const struct linear_op *op = h.ops[i];
        struct step *step = &s->steps[s->step_count];
        *step = (struct step){.op = op, .unknown = !is_known(op, last)};
        CHECK(op->kind < LINEAR_KINDS && op->invoked <= op->returned);
        if (last && op->invoked > last->returned) continue;
        if (step->unknown && op->kind == LINEAR_GET) continue; /* an unseen read tells nothing */
        step->value = intern(&s->values, op->value);
        step->expected = intern(&s->values, op->expected);
        step->reply = intern(&s->values, op->reply_bytes);
        s->zobrist[2 * s->step_count] = prng_next(&prng);
        s->zobrist[2 * s->step_count + 1] = prng_next(&prng);
        s->events[++s->event_count] = (struct event){.time = op->invoked, .step = s->step_count};
        if (!step->unknown)
            s->events[++s->event_count] =
                (struct event){.time = op->returned, .step = s->step_count, .is_return = true};
        s->step_count++;
    }
    bool *was_read = take(s->values.count, sizeof *was_read);
    for (uint32_t i = 0; i < s->step_count; i++)
        if (!s->steps[i].unknown && s->steps[i].op->reply == LINEAR_BULK) was_read[s->steps[i].reply] = true;
    for (uint32_t i = 0; i < s->step_count; i++) s->steps[i].was_read = was_read[s->steps[i].value];
    free(was_read);
    count_values(s);
    link_sessions(s);
    link_events(s);
    size_t words = (s->unknown_count + 63) / 64;
    s->unknown_placed = take(words, sizeof *s->unknown_placed);
    s->visited = (struct visited){.mask = 255, .set_words = 1 + words, .set_room = 256};
    s->visited.marks = take(s->visited.mask + 1, sizeof *s->visited.marks);
    s->visited.sets = take(s->visited.set_room * s->visited.set_words, sizeof *s->visited.sets);
}

static void search_free(struct search *s)
{
    values_free(&s->values);
    free(s->steps);
    free(s->events);
    free(s->unknown);
    free(s->unknown_placed);
    free(s->zobrist);
    free(s->needed);
    free(s->made);
    free(s->is_open);
    free(s->path);
    free(s->visited.marks);
    free(s->visited.sets);
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
    search_init(s, h, last, work_max);
    bool bad = search_run(s) == LINEAR_VIOLATION;
    if (!bad) search_free(s);
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
            search_free(&s);
        } else {
            good = middle;
        }
    }
    /* With all returns this is the search that has failed already, with what was sent after them left out. */
    bool found = is_bad(&s, h, by_return[bad - 1], work_max);
    CHECK(found);
    explain(&s, ops, by_return[bad - 1], r);
    search_free(&s);
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
        search_init(&s, history, NULL, steps_max_per_key);
        enum linear_verdict verdict = search_run(&s);
        search_free(&s);
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
