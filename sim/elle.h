/* elle: is a history of list-append transactions strictly serializable?
 *
 * Transactions append unique values to lists and read whole lists, over several keys (MULTI, RPUSH and
 * LRANGE, EXEC). Because a list shows the order in which its values came, the reads tell nearly everything
 * about the order of the transactions (Kingsbury & Alvaro, Elle, VLDB 2020):
 *
 *     ww  T1 appended the value right before T2's           T1 ran before T2
 *     wr  the last value that T2 read is T1's               T1 ran before T2
 *     rw  T2 appended the value right behind what T1 read   T1 ran before T2
 *     rt  T1's reply came before T2 was sent                T1 ran before T2 (real time)
 *
 * If "before" has no cycle, its topological order is a serial execution that explains all replies; a cycle,
 * or one of the simpler faults below, shows that there is none. So the verdict is exact, in both directions,
 * given that nothing but these transactions changed the lists, that each list began empty, and that values
 * are unique per key. A value that was acknowledged and is in no read must have come behind all that were
 * read.
 *
 * A transaction whose reply never came counts as committed if somebody read one of its values, and as never
 * executed otherwise. Independent of src/ but for base/check.h. Pure, deterministic.
 *
 * Cost: O(n log n) for n appends, reads and values read; nothing is quadratic, real time costs two edges per
 * transaction. Tests: test/unit/sim_elle_test.c. */
#ifndef WEFT_SIM_ELLE_H
#define WEFT_SIM_ELLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum elle_status {
    ELLE_COMMITTED,
    ELLE_ABORTED, /* certainly: EXEC said nil or EXECABORT */
    ELLE_UNKNOWN, /* the reply never came; its reads are not looked at */
};

/* One append or read, in the order in which the transaction executed them. */
struct elle_action {
    uint32_t key;
    bool is_read;
    int64_t value;         /* appended */
    const int64_t *values; /* read: the whole list; borrowed until elle_check() returns */
    size_t count;
};

/* `completed` of a transaction whose reply never came; means nothing for aborted ones. */
#define ELLE_NEVER INT64_MAX

struct elle_transaction {
    int64_t invoked, completed; /* of any unit; what touches in one instant is concurrent */
    enum elle_status status;
    const struct elle_action *actions;
    size_t count;
};

/* From the worst to the mildest; of several faults the first one's words come first. */
enum elle_fault {
    ELLE_UNWRITTEN,    /* a value was read that nobody appended */
    ELLE_DUPLICATE,    /* a value stands twice in a list */
    ELLE_INCOMPATIBLE, /* two reads of a list, neither a prefix of the other */
    ELLE_INTERNAL,     /* a transaction's read contradicts what it did or read before itself */
    ELLE_LOST,         /* acknowledged, and missing in a read that was sent afterwards */
    ELLE_G1A,          /* a value of an aborted transaction was read */
    ELLE_G1B,          /* a value was read that its transaction had not yet finished with */
    ELLE_G0,           /* a cycle of ww */
    ELLE_G1C,          /* of ww and wr */
    ELLE_G_SINGLE,     /* with exactly one rw: a lost update, a skewed read */
    ELLE_G2,           /* with more of them: write skew */
    ELLE_G0_REALTIME,  /* the same with rt: serializable perhaps, but not in the order that clients saw */
    ELLE_G1C_REALTIME,
    ELLE_G_SINGLE_REALTIME, /* a stale read */
    ELLE_G2_REALTIME,
    ELLE_FAULTS
};

enum elle_edge { ELLE_WW, ELLE_WR, ELLE_RW, ELLE_RT };

#define ELLE_CYCLE_MAX 64
#define ELLE_TEXT_MAX  2048

struct elle_result {
    bool valid;
    uint32_t faults; /* bits 1 << enum elle_fault. Of each knot of cycles only its worst kind */
    /* The worst cycle, if there is one: cycle[i] ran before cycle[i + 1] because of edges[i]; the last one
     * before the first. Indices of transactions. Cycles are as short as could be found quickly; of longer
     * ones than the array only the beginning is shown (cycle_len tells). */
    size_t cycle_len, cycle[ELLE_CYCLE_MAX];
    uint8_t edges[ELLE_CYCLE_MAX];
    size_t committed; /* transactions that counted */
    char text[ELLE_TEXT_MAX];
};

/* Two appends of the same value to one key are the caller's mistake (a CHECK). */
void elle_check(const struct elle_transaction *transactions, size_t count, struct elle_result *result);

const char *elle_fault_name(enum elle_fault fault); /* "G-single-realtime" */

#endif
