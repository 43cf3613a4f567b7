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
 *     128-bit number of each, so a look-up costs the same for 10 and for 10,000 operations. Were two sets
 *     equal in all 128 bits, a path could be missed and a false violation reported (never a false "valid");
 *     the chance is below 2^-80 for 2^24 configurations. Those without a reply are kept as bits: whoever has
 *     used the same ones and more has fewer ways on, and need not be followed.
 *  2. An operation whose reply shows that it changed nothing (a read, a failed CAS) is placed as soon as it
 *     fits, and no other choice is tried in its stead: in any good order it can be moved here.
 *  3. An operation without a reply is placed only if it changes the value, and never directly before one that
 *     overwrites it unseen: then it can as well be left out.
 *  4. Of several equal operations without a reply the first one sent goes first.
 *  5. A value is not left while a reply still to be explained needs it and nothing unplaced makes it again.
 *
 * Operations of one session are placed in its order. An unanswered one that others of its session come behind
 * counts as an answered one in 1, and rules 3 and 4 leave it alone: leaving it out would bar those.
 *
 * Values are interned per key: a state is a 32-bit number, absent is 0. */
#include "sim/linear_search.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/prng.h"

static void *take(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size);
    CHECK(p != NULL);
    return p;
}

/* ---- visited configurations ---- */

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

enum phase { SAME, CHANGING, UNKNOWN }; /* rule 2 first; unknown ones last */

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
        if (!other->placed && may_follow(s, other) && other->op->kind == mine->op->kind &&
            other->value == mine->value && other->expected == mine->expected &&
            other->op->number == mine->op->number)
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
        if ((phase == SAME) != linear_step_changes_nothing(step)) continue;
        if (s->last_unknown && linear_step_overwrites_unseen(step)) continue;
        uint32_t state = linear_step_apply(&s->values, step, s->here.state, &s->work);
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
        if (s->last_unknown && linear_step_overwrites_unseen(step)) continue;
        uint32_t state = linear_step_apply(&s->values, step, s->here.state, &s->work);
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

enum linear_verdict linear_search_run(struct search *s)
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

/* What was known just after the reply of `last`; NULL: all. */
static bool is_known(const struct linear_op *op, const struct linear_op *last)
{
    if (op->returned == LINEAR_NEVER) return false;
    if (!last || op->returned != last->returned) return !last || op->returned < last->returned;
    return op <= last;
}

/* Prepares rule 5. */
static void count_values(struct search *s)
{
    bool counting = false;
    int64_t number;
    for (uint32_t i = 0; i < s->step_count; i++) {
        struct step *step = &s->steps[i];
        step->needs = linear_step_needs(&s->values, step);
        step->makes = linear_step_makes(&s->values, step);
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
        s->is_open[v] = counting && linear_parse_integer(s->values.list[v], &number);
        for (uint32_t i = 0; i < s->step_count && !s->is_open[v]; i++)
            s->is_open[v] = linear_step_may_append_to(&s->steps[i], s->values.list[v]);
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

void linear_search_init(struct search *s, struct history h, const struct linear_op *last, uint64_t work_max)
{
    struct prng prng;
    size_t count = h.count;
    prng_seed(&prng, 0x11ea9);
    *s = (struct search){.work_max = work_max};
    linear_values_init(&s->values);
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
        step->value = linear_values_intern(&s->values, op->value);
        step->expected = linear_values_intern(&s->values, op->expected);
        step->reply = linear_values_intern(&s->values, op->reply_bytes);
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

void linear_search_free(struct search *s)
{
    linear_values_free(&s->values);
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
