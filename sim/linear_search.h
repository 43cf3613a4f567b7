/* linear_search: whether one key's history, or a prefix of it, is linearizable. Inside of the checker of
 * linear.h; the algorithm is described in linear_search.c. Pure. Tests: test/unit/sim_linear_test.c. */
#ifndef WEFT_SIM_LINEAR_SEARCH_H
#define WEFT_SIM_LINEAR_SEARCH_H

#include "sim/linear_register.h"

#define STATES_MAX 8 /* remembered for an explanation */

/* The operations of one key, in the order of the caller's array. */
struct history {
    const struct linear_op *const *ops;
    size_t count;
};

/* A call or a return. The list of returns begins and ends with events[0]. */
struct event {
    int64_t time;
    uint32_t step, prev, next;
    uint32_t call;     /* of a return: its call */
    uint32_t earliest; /* of a return: the first call of which the return stands here or later */
    bool is_return;
};

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

/* `last`: only what was known just after its reply counts; NULL: all of the history, which must outlive the
 * search. */
void linear_search_init(struct search *s, struct history h, const struct linear_op *last, uint64_t work_max);
enum linear_verdict linear_search_run(struct search *s);
void linear_search_free(struct search *s);

#endif
