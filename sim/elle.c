/* From transactions to a graph of what ran before what, and its cycles. See elle.h for what the edges mean.
 *
 * Steps: appends are sorted so that a value finds its writer; the longest read of a key is its *order*, and
 * every other read has to be a prefix of it; from order and reads come the edges; Tarjan's algorithm finds
 * knots (strongly connected components), and only if there is one, each is searched for its worst cycle.
 *
 * Two kinds of auxiliary nodes keep the graph linear. An edge that leaves one is a PASS: the way through it
 * is one edge of the kind by which it was entered.
 *   - the clock: one node per reply, in the order of time. T -rt-> its node, node -> next node, and the last
 *     node before T' was sent -> T'.
 *   - the end of a list: what saw the whole order -rw-> end, its last writer -ww-> end, end -> the writer of
 *     each acknowledged value that nobody has read.
 *
 * Invariant: without cycles and faults a serial execution exists (the topological order), so each rule that
 * adds no edge (a transaction's own values, its own reads) has to be a fault of its own where it is broken:
 * check_own_order(), check_inside(). */
#include "sim/elle.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define NONE       UINT32_MAX
#define NOTE_MAX   400
#define KNOTS_MAX  64   /* looked at in detail */
#define STARTS_MAX 64   /* of searches for a short cycle in one knot */
#define SINGLE_MAX 4000 /* rw edges tried for a cycle of which they are the only one */

enum { WW = 1 << ELLE_WW, WR = 1 << ELLE_WR, RW = 1 << ELLE_RW, RT = 1 << ELLE_RT, PASS = 1 << 4 };

const char *elle_fault_name(enum elle_fault fault)
{
    static const char *const names[ELLE_FAULTS] = {"unwritten value",
                                                   "duplicate value",
                                                   "incompatible orders",
                                                   "internal",
                                                   "lost append",
                                                   "G1a",
                                                   "G1b",
                                                   "G0",
                                                   "G1c",
                                                   "G-single",
                                                   "G2",
                                                   "G0-realtime",
                                                   "G1c-realtime",
                                                   "G-single-realtime",
                                                   "G2-realtime"};
    CHECK(fault < ELLE_FAULTS);
    return names[fault];
}

struct append {
    int64_t value;
    uint32_t key, writer;
    uint32_t place;               /* in the key's order, or NONE */
    uint32_t previous, following; /* of the same transaction on the same key, or NONE */
};

/* What a transaction saw of a key before it changed it. */
struct view {
    uint32_t reader, len;
    const struct elle_action *action;
    bool usable; /* a prefix of the order, and in keeping with the transaction itself */
};

struct list {
    uint32_t key;
    const struct elle_action *order; /* the longest read; NULL: none */
    uint32_t *places;                /* the appends of the order; NONE where there is none */
    uint32_t first_view, view_count;
    uint32_t first_append, append_count;
};

struct edge {
    uint32_t from, to, key;
    uint8_t kind; /* one bit */
};

struct check {
    const struct elle_transaction *transactions;
    uint32_t count;
    bool *counts;           /* committed, or seen to be */
    uint32_t *unread_mark;  /* of transactions: the last list (number + 1) of which nobody read its value */
    struct append *appends; /* by key, value */
    uint32_t append_count;
    struct view *views; /* by key */
    uint32_t view_count;
    struct list *lists; /* by key */
    uint32_t list_count;
    struct edge *edges; /* by `from`, once they are sorted */
    size_t edge_count, edge_room;
    uint32_t *first_edge; /* of each node, and an end */
    uint32_t node_count;
    char notes[ELLE_FAULTS][NOTE_MAX];
    struct elle_result *result;
};

static void *take(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size);
    CHECK(p != NULL);
    return p;
}

/* The first words for a fault are kept. */
static void note(struct check *c, enum elle_fault fault, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void note(struct check *c, enum elle_fault fault, const char *format, ...)
{
    va_list args;
    c->result->faults |= UINT32_C(1) << fault;
    if (*c->notes[fault]) return;
    va_start(args, format);
    vsnprintf(c->notes[fault], NOTE_MAX, format, args);
    va_end(args);
}

/* ---- appends ---- */

static int compare_appends(const void *a, const void *b)
{
    const struct append *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return x->value < y->value ? -1 : x->value > y->value;
}

static struct append *append_of(const struct check *c, uint32_t key, int64_t value)
{
    struct append wanted = {.key = key, .value = value};
    return bsearch(&wanted, c->appends, c->append_count, sizeof wanted, compare_appends);
}

static void collect_appends(struct check *c)
{
    size_t n = 0;
    for (uint32_t t = 0; t < c->count; t++) n += c->transactions[t].count;
    CHECK(n < NONE);
    c->appends = take(n, sizeof *c->appends);
    for (uint32_t t = 0; t < c->count; t++)
        for (size_t i = 0; i < c->transactions[t].count; i++) {
            const struct elle_action *a = &c->transactions[t].actions[i];
            if (!a->is_read)
                c->appends[c->append_count++] = (struct append){a->value, a->key, t, NONE, NONE, NONE};
        }
    qsort(c->appends, c->append_count, sizeof *c->appends, compare_appends);
    for (uint32_t i = 1; i < c->append_count; i++)
        CHECK(compare_appends(&c->appends[i - 1], &c->appends[i]) < 0); /* values are unique */
}

/* Which append of a transaction follows which one on the same key. */
static void link_own_appends(struct check *c, uint32_t t)
{
    const struct elle_transaction *transaction = &c->transactions[t];
    for (size_t i = 0; i < transaction->count; i++) {
        const struct elle_action *a = &transaction->actions[i];
        for (size_t j = i + 1; !a->is_read && j < transaction->count; j++) {
            const struct elle_action *b = &transaction->actions[j];
            if (b->is_read || b->key != a->key) continue;
            struct append *x = append_of(c, a->key, a->value), *y = append_of(c, b->key, b->value);
            x->following = (uint32_t)(y - c->appends);
            y->previous = (uint32_t)(x - c->appends);
            break;
        }
    }
}

/* ---- inside one transaction ---- */

static bool same_values(const int64_t *a, const int64_t *b, size_t n)
{
    return n == 0 || memcmp(a, b, n * sizeof *a) == 0;
}

/* Action `i` is a read. Compares it with what the transaction did to the key before; `*own` is how many of
 * the read values are its own. False: they contradict each other. */
static bool check_inside(const struct elle_transaction *t, size_t i, size_t *own, bool *is_first)
{
    const struct elle_action *read = &t->actions[i], *before = NULL;
    size_t from = 0, at;
    for (size_t j = 0; j < i; j++)
        if (t->actions[j].key == read->key && t->actions[j].is_read) {
            before = &t->actions[j];
            from = j + 1;
        }
    *is_first = before == NULL;
    *own = 0;
    for (size_t j = from; j < i; j++) *own += t->actions[j].key == read->key && !t->actions[j].is_read;
    if (*own > read->count) return false;
    at = read->count - *own;
    if (before && (before->count != at || !same_values(before->values, read->values, at))) return false;
    for (size_t j = from; j < i; j++) {
        const struct elle_action *a = &t->actions[j];
        if (a->key == read->key && !a->is_read && read->values[at++] != a->value) return false;
    }
    return true;
}

static void collect_views(struct check *c)
{
    size_t n = 0;
    for (uint32_t t = 0; t < c->count; t++) n += c->transactions[t].count;
    c->views = take(n, sizeof *c->views);
    for (uint32_t t = 0; t < c->count; t++) {
        const struct elle_transaction *transaction = &c->transactions[t];
        for (size_t i = 0; i < transaction->count && transaction->status == ELLE_COMMITTED; i++) {
            const struct elle_action *a = &transaction->actions[i];
            size_t own;
            bool is_first;
            if (!a->is_read) continue;
            bool good = check_inside(transaction, i, &own, &is_first);
            if (!good)
                note(c, ELLE_INTERNAL,
                     "transaction %u: its read of key %u (action %zu) contradicts what it did before", t,
                     a->key, i);
            /* A later read of the same key says nothing new, but it still can be the longest. */
            c->views[c->view_count++] =
                (struct view){t, good && is_first ? (uint32_t)(a->count - own) : NONE, a, good && is_first};
        }
    }
}

/* ---- the order of each list ---- */

static int compare_views(const void *a, const void *b)
{
    const struct view *x = a, *y = b;
    if (x->action->key != y->action->key) return x->action->key < y->action->key ? -1 : 1;
    if (x->reader != y->reader) return x->reader < y->reader ? -1 : 1;
    return x->action < y->action ? -1 : x->action > y->action; /* of one array */
}

static struct list *list_of(struct check *c, uint32_t key)
{
    if (c->list_count == 0 || c->lists[c->list_count - 1].key != key)
        c->lists[c->list_count++] = (struct list){.key = key};
    return &c->lists[c->list_count - 1];
}

/* Merges the two sorted arrays by key. */
static void collect_lists(struct check *c)
{
    qsort(c->views, c->view_count, sizeof *c->views, compare_views);
    c->lists = take((size_t)c->view_count + c->append_count, sizeof *c->lists);
    for (uint32_t v = 0, a = 0; v < c->view_count || a < c->append_count;) {
        bool is_view =
            v < c->view_count && (a == c->append_count || c->views[v].action->key <= c->appends[a].key);
        struct list *l = list_of(c, is_view ? c->views[v].action->key : c->appends[a].key);
        if (is_view) {
            if (l->view_count++ == 0) l->first_view = v;
            if (!l->order || c->views[v].action->count > l->order->count) l->order = c->views[v].action;
            v++;
        } else {
            if (l->append_count++ == 0) l->first_append = a;
            a++;
        }
    }
}

/* The values of one read, each for itself. */
static void check_values(struct check *c, const struct list *l, const struct elle_action *read,
                         uint32_t *places)
{
    for (size_t i = 0; i < read->count; i++) {
        struct append *a = append_of(c, l->key, read->values[i]);
        places[i] = a ? (uint32_t)(a - c->appends) : NONE;
        if (!a) {
            note(c, ELLE_UNWRITTEN, "key %u: value %lld was read, nobody appended it", l->key,
                 (long long)read->values[i]);
            continue;
        }
        if (a->place != NONE)
            note(c, ELLE_DUPLICATE, "key %u: value %lld (of transaction %u) stands twice in a list", l->key,
                 (long long)a->value, a->writer);
        a->place = (uint32_t)i;
        if (c->transactions[a->writer].status == ELLE_ABORTED)
            note(c, ELLE_G1A, "key %u: value %lld of transaction %u was read, which was aborted", l->key,
                 (long long)a->value, a->writer);
        else
            c->counts[a->writer] = true;
    }
}

/* Values of one transaction stand in its own order. (What stands between them makes a cycle of ww.) */
static void check_own_order(struct check *c, const struct list *l)
{
    for (size_t i = 0; i < l->order->count; i++) {
        const struct append *a = l->places[i] == NONE ? NULL : &c->appends[l->places[i]];
        if (!a || a->previous == NONE || c->appends[a->previous].place < a->place) continue;
        note(c, ELLE_INTERNAL,
             "key %u: value %lld of transaction %u stands there without, or before, its earlier %lld", l->key,
             (long long)a->value, a->writer, (long long)c->appends[a->previous].value);
    }
}

static void check_order(struct check *c, struct list *l)
{
    if (!l->order) return;
    l->places = take(l->order->count, sizeof *l->places);
    for (uint32_t i = 0; i < l->view_count; i++) {
        struct view *v = &c->views[l->first_view + i];
        if (same_values(v->action->values, l->order->values, v->action->count)) continue;
        size_t at = 0;
        while (v->action->values[at] == l->order->values[at]) at++;
        note(c, ELLE_INCOMPATIBLE,
             "key %u: transaction %u read %lld at place %zu, another one read %lld there in a longer list",
             l->key, v->reader, (long long)v->action->values[at], at, (long long)l->order->values[at]);
        v->usable = false;
        uint32_t *places = take(v->action->count, sizeof *places);
        check_values(c, l, v->action, places);
        for (size_t j = 0; j < v->action->count; j++)
            if (places[j] != NONE) c->appends[places[j]].place = NONE;
        free(places);
    }
    check_values(c, l, l->order, l->places);
    check_own_order(c, l);
}

/* A read that ends in the middle of another transaction's values, or with values of its own that are to come.
 */
static void check_middle(struct check *c, const struct list *l, const struct view *v)
{
    if (v->len == 0 || l->places[v->len - 1] == NONE) return;
    const struct append *last = &c->appends[l->places[v->len - 1]];
    if (last->writer == v->reader)
        note(c, ELLE_INTERNAL, "key %u: transaction %u read its own value %lld before it appended it", l->key,
             v->reader, (long long)last->value);
    else if (last->following != NONE)
        note(c, ELLE_G1B,
             "key %u: transaction %u read up to %lld of transaction %u, which then appended %lld", l->key,
             v->reader, (long long)last->value, last->writer, (long long)c->appends[last->following].value);
}

static bool is_unread(const struct check *c, const struct append *a)
{
    return a->place == NONE && c->counts[a->writer] && c->transactions[a->writer].status != ELLE_ABORTED;
}

/* Acknowledged values that a read of later on should have shown and no read has shown. */
static void check_lost(struct check *c, const struct list *l)
{
    const struct append *first = NULL;
    for (uint32_t i = 0; i < l->append_count; i++) {
        const struct append *a = &c->appends[l->first_append + i];
        const struct elle_transaction *t = &c->transactions[a->writer];
        if (is_unread(c, a) && t->status == ELLE_COMMITTED &&
            (!first || t->completed < c->transactions[first->writer].completed))
            first = a;
    }
    for (uint32_t i = 0; first && i < l->view_count; i++) {
        uint32_t reader = c->views[l->first_view + i].reader;
        if (c->transactions[reader].invoked > c->transactions[first->writer].completed)
            note(c, ELLE_LOST,
                 "key %u: value %lld of transaction %u was acknowledged; transaction %u read the key later, "
                 "and no read ever shows it",
                 l->key, (long long)first->value, first->writer, reader);
    }
}

/* ---- edges ---- */

static void add_edge(struct check *c, uint32_t from, uint32_t to, unsigned kind, uint32_t key)
{
    if (from == to) return;
    if (c->edge_count == c->edge_room) {
        c->edge_room = c->edge_room ? c->edge_room * 2 : 1024;
        c->edges = realloc(c->edges, c->edge_room * sizeof *c->edges);
        CHECK(c->edges != NULL);
    }
    c->edges[c->edge_count++] = (struct edge){from, to, key, (uint8_t)kind};
}

static uint32_t writer_at(const struct check *c, const struct list *l, size_t place)
{
    return l->places[place] == NONE ? NONE : c->appends[l->places[place]].writer;
}

/* Whoever saw, or wrote, the end of the order ran before the writers of what nobody read. One that is both
 * must not run before itself, so the first such one gets edges of its own instead of the auxiliary node; any
 * further one gets an edge to the first, from which one leads to it already: that is a cycle. */
static void enter_end(struct check *c, const struct list *l, uint32_t node, uint32_t from, unsigned kind,
                      uint32_t *both)
{
    if (c->unread_mark[from] != (uint32_t)(l - c->lists) + 1) {
        add_edge(c, from, node, kind, l->key);
    } else if (*both == NONE || *both == from) {
        *both = from;
        for (uint32_t i = 0; i < l->append_count; i++) {
            const struct append *a = &c->appends[l->first_append + i];
            if (is_unread(c, a)) add_edge(c, from, a->writer, kind, l->key);
        }
    } else {
        add_edge(c, from, *both, kind, l->key);
    }
}

static void add_list_edges(struct check *c, const struct list *l)
{
    size_t len = l->order ? l->order->count : 0;
    uint32_t end = NONE, both = NONE;
    for (uint32_t i = 0; i < l->append_count; i++) {
        const struct append *a = &c->appends[l->first_append + i];
        if (!is_unread(c, a)) continue;
        if (end == NONE) end = c->node_count++;
        add_edge(c, end, a->writer, PASS, l->key);
        c->unread_mark[a->writer] = (uint32_t)(l - c->lists) + 1;
    }
    for (size_t i = 0; i < len; i++) {
        uint32_t writer = writer_at(c, l, i), next = i + 1 < len ? writer_at(c, l, i + 1) : NONE;
        if (writer != NONE && next != NONE) add_edge(c, writer, next, WW, l->key);
        if (writer != NONE && i + 1 == len && end != NONE) enter_end(c, l, end, writer, WW, &both);
    }
    for (uint32_t i = 0; i < l->view_count; i++) {
        const struct view *v = &c->views[l->first_view + i];
        if (!v->usable) continue;
        check_middle(c, l, v);
        uint32_t writer = v->len > 0 ? writer_at(c, l, v->len - 1) : NONE;
        uint32_t next = v->len < len ? writer_at(c, l, v->len) : NONE;
        if (writer != NONE) add_edge(c, writer, v->reader, WR, l->key);
        if (next != NONE) add_edge(c, v->reader, next, RW, l->key);
        if (v->len == len && end != NONE) enter_end(c, l, end, v->reader, RW, &both);
    }
}

struct moment {
    int64_t time;
    uint32_t transaction;
};

static int compare_moments(const void *a, const void *b)
{
    const struct moment *x = a, *y = b;
    if (x->time != y->time) return x->time < y->time ? -1 : 1;
    return x->transaction < y->transaction ? -1 : x->transaction > y->transaction;
}

static void add_clock(struct check *c)
{
    struct moment *replies = take(c->count, sizeof *replies), *calls = take(c->count, sizeof *calls);
    uint32_t reply_count = 0, call_count = 0, node = c->node_count, seen = 0;
    for (uint32_t t = 0; t < c->count; t++) {
        const struct elle_transaction *transaction = &c->transactions[t];
        if (!c->counts[t]) continue;
        calls[call_count++] = (struct moment){transaction->invoked, t};
        if (transaction->status == ELLE_COMMITTED && transaction->completed != ELLE_NEVER)
            replies[reply_count++] = (struct moment){transaction->completed, t};
    }
    qsort(replies, reply_count, sizeof *replies, compare_moments);
    qsort(calls, call_count, sizeof *calls, compare_moments);
    for (uint32_t i = 0; i < reply_count; i++) {
        add_edge(c, replies[i].transaction, node + i, RT, 0);
        if (i > 0) add_edge(c, node + i - 1, node + i, PASS, 0);
    }
    for (uint32_t i = 0; i < call_count; i++) {
        while (seen < reply_count && replies[seen].time < calls[i].time) seen++;
        if (seen > 0) add_edge(c, node + seen - 1, calls[i].transaction, PASS, 0);
    }
    c->node_count += reply_count;
    free(replies);
    free(calls);
}

/* By `from`; a counting sort, which keeps the order in which they were made. */
static void sort_edges(struct check *c)
{
    struct edge *sorted = take(c->edge_count, sizeof *sorted);
    c->first_edge = take((size_t)c->node_count + 1, sizeof *c->first_edge);
    for (size_t i = 0; i < c->edge_count; i++) c->first_edge[c->edges[i].from + 1]++;
    for (uint32_t n = 0; n < c->node_count; n++) c->first_edge[n + 1] += c->first_edge[n];
    uint32_t *next = take((size_t)c->node_count + 1, sizeof *next);
    memcpy(next, c->first_edge, ((size_t)c->node_count + 1) * sizeof *next);
    for (size_t i = 0; i < c->edge_count; i++) sorted[next[c->edges[i].from]++] = c->edges[i];
    free(next);
    free(c->edges);
    c->edges = sorted;
}

/* ---- knots ---- */

/* Numbers the strongly connected components of the nodes with group[n] == which (group NULL: of all), over
 * edges of the allowed kinds. `knot[n]` is NONE for nodes that are alone. Returns the number of knots.
 * Tarjan's algorithm with a stack of its own. */
static uint32_t find_knots(const struct check *c, unsigned allowed, const uint32_t *group, uint32_t which,
                           uint32_t *knot)
{
    uint32_t *index = take(c->node_count, sizeof *index), *low = take(c->node_count, sizeof *low);
    uint32_t *edge = take(c->node_count, sizeof *edge), *path = take(c->node_count, sizeof *path);
    uint32_t *open = take(c->node_count, sizeof *open);
    bool *is_open = take(c->node_count, sizeof *is_open);
    uint32_t next_index = 1, open_len = 0, knots = 0;
    for (uint32_t n = 0; n < c->node_count; n++) knot[n] = NONE;
    for (uint32_t root = 0; root < c->node_count; root++) {
        uint32_t path_len = 0;
        if (index[root] || (group && group[root] != which)) continue;
        path[path_len++] = root;
        while (path_len > 0) {
            uint32_t n = path[path_len - 1];
            if (!index[n]) {
                index[n] = low[n] = next_index++;
                edge[n] = c->first_edge[n];
                open[open_len++] = n;
                is_open[n] = true;
            }
            bool deeper = false;
            for (; edge[n] < c->first_edge[n + 1] && !deeper; edge[n]++) {
                const struct edge *e = &c->edges[edge[n]];
                if (!(e->kind & allowed) || (group && group[e->to] != which)) continue;
                if (!index[e->to]) {
                    path[path_len++] = e->to;
                    deeper = true;
                } else if (is_open[e->to] && index[e->to] < low[n]) {
                    low[n] = index[e->to];
                }
            }
            if (deeper) continue;
            path_len--;
            if (path_len > 0 && low[n] < low[path[path_len - 1]]) low[path[path_len - 1]] = low[n];
            if (low[n] != index[n]) continue;
            bool alone = open[open_len - 1] == n;
            uint32_t member;
            do {
                member = open[--open_len];
                is_open[member] = false;
                if (!alone) knot[member] = knots;
            } while (member != n);
            knots += !alone;
        }
    }
    free(index);
    free(low);
    free(edge);
    free(path);
    free(open);
    free(is_open);
    return knots;
}

/* A way from `from` to `to` over allowed edges within a group, with as few edges as can be (a PASS is free).
 * Writes the edges' numbers into `way`; returns their count, 0: there is no way. */
static uint32_t find_way(const struct check *c, uint32_t from, uint32_t to, unsigned allowed,
                         const uint32_t *group, uint32_t which, uint32_t *way)
{
    uint32_t *came = take(c->node_count, sizeof *came); /* edge + 1 */
    uint32_t *distance = take(c->node_count, sizeof *distance), len = 0, room = 2 * c->node_count + 1;
    /* Nodes at this distance and at the next. A node may stand in both, so once or twice in one. */
    uint32_t *now = take(room, sizeof *now), *later = take(room, sizeof *later), now_len = 0, later_len = 0;
    bool *done = take(c->node_count, sizeof *done);
    for (uint32_t n = 0; n < c->node_count; n++) distance[n] = NONE;
    distance[from] = 0;
    now[now_len++] = from;
    for (uint32_t d = 0; now_len > 0 && distance[to] == NONE; d++) {
        while (now_len > 0) {
            uint32_t n = now[--now_len];
            if (done[n]) continue;
            done[n] = true;
            for (uint32_t i = c->first_edge[n]; i < c->first_edge[n + 1]; i++) {
                const struct edge *e = &c->edges[i];
                uint32_t there = e->kind == PASS ? d : d + 1;
                if (!(e->kind & allowed) || group[e->to] != which || distance[e->to] <= there) continue;
                distance[e->to] = there;
                came[e->to] = i + 1;
                if (e->kind == PASS)
                    now[now_len++] = e->to;
                else
                    later[later_len++] = e->to;
            }
        }
        uint32_t *swap = now;
        now = later;
        later = swap;
        now_len = later_len;
        later_len = 0;
    }
    if (distance[to] != NONE && from != to) {
        for (uint32_t n = to; n != from; n = c->edges[came[n] - 1].from) way[len++] = came[n] - 1;
        for (uint32_t i = 0; i < len / 2; i++) {
            uint32_t swap = way[i];
            way[i] = way[len - 1 - i];
            way[len - 1 - i] = swap;
        }
    }
    free(came);
    free(distance);
    free(now);
    free(later);
    free(done);
    return len;
}

static uint32_t way_cost(const struct check *c, const uint32_t *way, uint32_t len)
{
    uint32_t cost = 0;
    for (uint32_t i = 0; i < len; i++) cost += c->edges[way[i]].kind != PASS;
    return cost;
}

struct cycle {
    uint32_t *way; /* edges; room for as many as there are nodes, and one */
    uint32_t len, cost;
};

/* Keeps the shorter one of the cycle known and `first` + `way`. */
static void keep_shorter(const struct check *c, struct cycle *best, uint32_t first, const uint32_t *way,
                         uint32_t len)
{
    uint32_t cost = way_cost(c, way, len) + (c->edges[first].kind != PASS);
    if (best->len && best->cost <= cost) return;
    best->way[0] = first;
    memcpy(best->way + 1, way, len * sizeof *way);
    best->len = len + 1;
    best->cost = cost;
}

/* A short cycle over allowed edges in a knot; with `single`, one with a rw edge that is not among them. */
static bool find_cycle(const struct check *c, unsigned allowed, bool single, const uint32_t *group,
                       uint32_t which, struct cycle *best)
{
    uint32_t *way = take((size_t)c->node_count + 1, sizeof *way), *knot = take(c->node_count, sizeof *knot);
    uint32_t tries = 0;
    unsigned starts = single ? (unsigned)RW : allowed & ~(unsigned)PASS;
    best->len = 0;
    if (!single) find_knots(c, allowed, group, which, knot);
    for (size_t i = 0; i < c->edge_count && tries < (single && !best->len ? SINGLE_MAX : STARTS_MAX); i++) {
        const struct edge *e = &c->edges[i];
        if (!(e->kind & starts) || group[e->from] != which || group[e->to] != which) continue;
        if (!single && (knot[e->from] == NONE || knot[e->from] != knot[e->to])) continue;
        tries++;
        uint32_t len = find_way(c, e->to, e->from, allowed, group, which, way);
        if (len) keep_shorter(c, best, (uint32_t)i, way, len);
    }
    free(way);
    free(knot);
    return best->len > 0;
}

/* ---- words ---- */

static enum elle_edge edge_of(unsigned kind)
{
    return kind == WW ? ELLE_WW : kind == WR ? ELLE_WR : kind == RW ? ELLE_RW : ELLE_RT;
}

/* Writes the cycle into the result if it is the worst so far, and its words. */
static void describe_cycle(struct check *c, const struct cycle *cycle, enum elle_fault fault, uint32_t *worst)
{
    static const char *const names[] = {"ww", "wr", "rw", "rt"};
    struct elle_result *r = c->result;
    char text[NOTE_MAX];
    size_t used = 0, n = 0;
    bool is_worst = fault < *worst;
    uint32_t start = 0;
    while (c->edges[cycle->way[start]].kind == PASS) start++; /* begin where an edge leaves a transaction */
    text[0] = 0;
    for (uint32_t i = 0; i < cycle->len; i++) {
        const struct edge *e = &c->edges[cycle->way[(start + i) % cycle->len]];
        if (e->kind == PASS) continue;
        enum elle_edge kind = edge_of(e->kind);
        if (is_worst && n < ELLE_CYCLE_MAX) {
            r->cycle[n] = e->from;
            r->edges[n] = (uint8_t)kind;
        }
        n++;
        if (used >= sizeof text) continue;
        if (kind == ELLE_RT)
            used += (size_t)snprintf(text + used, sizeof text - used, "T%u -rt-> ", e->from);
        else
            used += (size_t)snprintf(text + used, sizeof text - used, "T%u -%s key %u-> ", e->from,
                                     names[kind], e->key);
    }
    if (used < sizeof text)
        snprintf(text + used, sizeof text - used, "T%u", c->edges[cycle->way[start]].from);
    if (is_worst) {
        r->cycle_len = n;
        *worst = fault;
    }
    note(c, fault, "%zu transactions in a circle: %s", n, text);
}

static void classify(struct check *c, const uint32_t *group, uint32_t which, struct cycle *cycle,
                     uint32_t *worst)
{
    static const struct {
        enum elle_fault fault;
        unsigned allowed;
        bool single;
    } kinds[] = {
        {ELLE_G0, WW, false},
        {ELLE_G1C, WW | WR, false},
        {ELLE_G_SINGLE, WW | WR, true},
        {ELLE_G2, WW | WR | RW, false},
        {ELLE_G0_REALTIME, WW | RT, false},
        {ELLE_G1C_REALTIME, WW | WR | RT, false},
        {ELLE_G_SINGLE_REALTIME, WW | WR | RT, true},
        {ELLE_G2_REALTIME, WW | WR | RW | RT, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!find_cycle(c, kinds[i].allowed | PASS, kinds[i].single, group, which, cycle)) continue;
        describe_cycle(c, cycle, kinds[i].fault, worst);
        return;
    }
    CHECK(!"a knot without a cycle");
}

static void check_cycles(struct check *c)
{
    uint32_t *knot = take(c->node_count, sizeof *knot), worst = ELLE_FAULTS;
    uint32_t knots = find_knots(c, WW | WR | RW | RT | PASS, NULL, 0, knot);
    struct cycle cycle = {.way = take((size_t)c->node_count + 2, sizeof *cycle.way)};
    for (uint32_t i = 0; i < knots && i < KNOTS_MAX; i++) classify(c, knot, i, &cycle, &worst);
    free(cycle.way);
    free(knot);
}

static void write_text(struct check *c)
{
    struct elle_result *r = c->result;
    size_t used = 0;
    for (enum elle_fault f = 0; f < ELLE_FAULTS; f++) {
        if (!(r->faults >> f & 1) || used >= sizeof r->text) continue;
        used += (size_t)snprintf(r->text + used, sizeof r->text - used, "%s: %s\n", elle_fault_name(f),
                                 c->notes[f]);
    }
}

/* ---- all together ---- */

void elle_check(const struct elle_transaction *transactions, size_t count, struct elle_result *result)
{
    CHECK(count < NONE / 8);
    *result = (struct elle_result){0};
    struct check *c = take(1, sizeof *c);
    c->transactions = transactions;
    c->count = (uint32_t)count;
    c->result = result;
    c->counts = take(count, sizeof *c->counts);
    c->unread_mark = take(count, sizeof *c->unread_mark);
    for (size_t t = 0; t < count; t++) {
        CHECK(transactions[t].status == ELLE_ABORTED || transactions[t].invoked <= transactions[t].completed);
        c->counts[t] = transactions[t].status == ELLE_COMMITTED;
    }
    collect_appends(c);
    for (uint32_t t = 0; t < c->count; t++) link_own_appends(c, t);
    collect_views(c);
    collect_lists(c);
    for (uint32_t i = 0; i < c->list_count; i++) check_order(c, &c->lists[i]);
    /* From here on it is known which of the unanswered ones count. */
    c->node_count = c->count;
    for (uint32_t i = 0; i < c->list_count; i++) {
        add_list_edges(c, &c->lists[i]);
        check_lost(c, &c->lists[i]);
    }
    add_clock(c);
    sort_edges(c);
    check_cycles(c);
    for (size_t t = 0; t < count; t++) result->committed += c->counts[t];
    result->valid = result->faults == 0;
    write_text(c);
    for (uint32_t i = 0; i < c->list_count; i++) free(c->lists[i].places);
    free(c->counts);
    free(c->unread_mark);
    free(c->appends);
    free(c->views);
    free(c->lists);
    free(c->edges);
    free(c->first_edge);
    free(c);
}
