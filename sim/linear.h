/* linear: is a history of operations on single keys linearizable?
 *
 * A history is what clients saw: for each operation when it was sent, when its reply came, and the reply. It
 * is linearizable when every operation can be given one moment between the two, so that a plain register (a
 * byte string, or absent) that executes them in the order of those moments gives exactly these replies. Keys
 * do not influence each other (linearizability is local), so each is checked alone.
 *
 * An operation whose reply never came may have happened at any time after it was sent, or never. One that was
 * certainly refused (an error reply that says that nothing was done) does not belong into the history, except
 * INCR's "not an integer", which tells something about the value.
 *
 * The work is bounded: the problem is NP-complete. A key on which the bound is met is *undecided*, and that
 * is never "ok". Pure and deterministic: no clock, no addresses in any order. Independent of src/ but for
 * base/check.h, base/prng.h and base/slice.h, as an oracle has to be.
 *
 * Cost: 10,000 operations on 50 keys take about 20,000 steps and a few ms, with 5 % of the replies lost
 * thrice that. What costs is many operations of one key in flight at a time (two dozen are fine, five dozen
 * are not), many lost replies on one key, and few different values: let each write write another one. Memory:
 * about 300 bytes per operation, and 50 per step at most. Tests: test/unit/sim_linear_test.c. */
#ifndef WEFT_SIM_LINEAR_H
#define WEFT_SIM_LINEAR_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum linear_kind {
    LINEAR_GET,    /* reply: BULK or NIL */
    LINEAR_SET,    /* value; reply: OK */
    LINEAR_GETSET, /* value; reply: BULK (the old value) or NIL */
    LINEAR_SETNX,  /* value; reply: INT 1 or 0 */
    LINEAR_CAS,  /* expected -> value; reply: INT 1 (done), INT 0 (another value was there), NIL (none was) */
    LINEAR_INCR, /* delta; reply: INT (the new value), or ERROR: not an integer, or it would overflow */
    LINEAR_DEL,  /* reply: INT 1 or 0 */
    LINEAR_APPEND, /* value; reply: INT (the new length) */
    LINEAR_KINDS
};

enum linear_reply { LINEAR_OK, LINEAR_NIL, LINEAR_INT, LINEAR_BULK, LINEAR_ERROR };

/* `returned` of an operation whose reply never came. */
#define LINEAR_NEVER INT64_MAX

/* Operations of one session take effect in the order of `invoked` (then of the array), although they may be
 * on their way together, as in a pipeline. Beyond linearizability, but what a connection to Redis promises;
 * and it spares the checker the orders in between. Let a client that connects anew begin a new session. */

/* The bytes are borrowed until linear_check() returns. Times are of any unit; two operations that touch in
 * one instant (one's `returned` is the other's `invoked`) count as concurrent, so take event numbers where
 * the clock is coarse. */
struct linear_op {
    int64_t invoked, returned; /* invoked <= returned */
    uint32_t key;              /* any number; dense ones are not needed */
    uint32_t session;          /* 0: of none. Else the connection: see below */
    uint8_t kind;              /* enum linear_kind */
    uint8_t reply;             /* enum linear_reply; means nothing when the reply never came */
    int64_t number;            /* INCR: the delta */
    int64_t reply_number;      /* INT */
    struct slice value, expected;
    struct slice reply_bytes; /* BULK */
};

enum linear_verdict { LINEAR_VALID, LINEAR_VIOLATION, LINEAR_UNDECIDED };

#define LINEAR_TEXT_MAX 2048

/* Of a violation: the history of `key` up to the reply of `op` is wrong, without that reply it is not. Of an
 * undecided history: `key` is one for which the bound was met, and no key showed a violation. */
struct linear_result {
    enum linear_verdict verdict;
    uint32_t key;
    size_t op;          /* index into `ops` */
    size_t prefix_ops;  /* operations on the key that were sent before that reply, `op` among them */
    size_t state_count; /* different values that the key may have had where no order goes on (8 are told
                           apart) */
    uint64_t steps;     /* work done, over all keys */
    size_t undecided;   /* keys for which the bound was met */
    char text[LINEAR_TEXT_MAX]; /* one or more lines for people; "" when valid */
};

/* What LINEAR_VALID needs at most per key; more than enough for thousands of operations of which some dozens
 * are concurrent. A step is one try to place an operation; 64 bytes of a value that is made anew count as
 * one, too. */
#define LINEAR_STEPS_DEFAULT 1000000

/* Checks `count` operations in any order. Every violation is looked for before a verdict of "undecided". */
void linear_check(const struct linear_op *ops, size_t count, uint64_t steps_max_per_key,
                  struct linear_result *result);

const char *linear_kind_name(enum linear_kind kind); /* "CAS" */

#endif
