/* linear_register: the small state machine that histories are compared with, and what an operation tells by
 * its reply alone. Inside of the checker of linear.h. Values are interned, so that a state is a number: 0 is
 * absent. Pure. Tests: test/unit/sim_linear_test.c. */
#ifndef WEFT_SIM_LINEAR_REGISTER_H
#define WEFT_SIM_LINEAR_REGISTER_H

#include <stdbool.h>

#include "sim/linear.h"

#define ABSENT   0u
#define NO_STATE UINT32_MAX /* the operation does not fit; there is no such value */

/* ---- values ---- */

struct values {
    struct slice *list; /* by number; [0] is "absent" */
    uint32_t count, room;
    uint32_t *table; /* open addressing; 0: free */
    uint32_t mask;
};

void linear_values_init(struct values *v);
void linear_values_free(struct values *v);
uint32_t linear_values_intern(struct values *v, struct slice s); /* the bytes are copied */
/* As Redis reads an integer: an optional '-', digits without a leading zero, 64 bits. */
bool linear_parse_integer(struct slice s, int64_t *out);

/* ---- operations ---- */

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

/* The state after the operation, or NO_STATE when its reply contradicts `state`. Large values cost *steps. */
uint32_t linear_step_apply(struct values *v, const struct step *s, uint32_t state, uint64_t *steps);
/* Its reply shows that it left the value as it was, wherever it fits. */
bool linear_step_changes_nothing(const struct step *s);
/* Sets the value whatever it was, and nobody learns what it was. */
bool linear_step_overwrites_unseen(const struct step *s);
/* What must have been there before it, by its reply; or NO_STATE. */
uint32_t linear_step_needs(struct values *v, const struct step *s);
/* The value it leaves behind if it changes something; NO_STATE where that depends on what was there. */
uint32_t linear_step_makes(struct values *v, const struct step *s);
/* It is an APPEND that may leave `result` behind. */
bool linear_step_may_append_to(const struct step *s, struct slice result);

#endif
