/* apply: puts change records (stamp/record.h) into a partition. Log replay, archive restore and replication
 * stand on it: the records of a partition, applied in order to what it held before the first of them, make it
 * what it was.
 *
 * A *source* is where a run of records comes from: this node's own log, an archive, one peer. Each has its
 * own numbering, so each has an applier that remembers, per partition, the last sequence it has put in. That
 * is not partition->sequence: the partition numbers the changes that are made *here*, and a node with two
 * peers is covered by three numberings. Applying emits nothing and leaves partition->sequence alone; a node
 * that replays its own log goes on with its numbering by applier_adopt().
 *
 * While a record is applied no deadline passes (the keys and fields it speaks of were there when it was
 * made); what has expired or was evicted leaves by a record of its own. Watchers of a key are told.
 *
 * Records of one unit (flag RECORD_MORE) are applied one by one; that nobody looks in between is up to the
 * caller, who holds the partitions. Encodings that clients see may differ from the source's: they follow this
 * node's settings and what came in which order.
 *
 * Threading: an entry of `applied` belongs to the partition's holder. Tests: test/unit/store_apply_test.c.
 */
#ifndef WEFT_STORE_APPLY_H
#define WEFT_STORE_APPLY_H

#include "store/partition.h"

struct applier {
    uint64_t applied[PARTITION_COUNT]; /* the source's last sequence that is in */
};

enum apply_result {
    APPLY_DONE,
    APPLY_COVERED,   /* was in already: nothing has changed */
    APPLY_GAP,       /* records before this one are missing: nothing has changed */
    APPLY_NO_MEMORY, /* nothing has changed: it may be applied again */
    APPLY_CORRUPT,   /* cannot come from such a source: nothing has changed */
};

/* The partition holds the source's state as of `sequence` (0: it is empty and the source began empty). */
void applier_start(struct applier *applier, uint16_t partition, uint64_t sequence);
enum apply_result record_apply(struct applier *applier, struct partition *partition,
                               const struct record *record);
/* The source was this node itself: its next change gets the next sequence. */
void applier_adopt(const struct applier *applier, struct partition *partition);

#endif
