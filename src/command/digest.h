/* digest: a signature of values that does not depend on encodings or the order of sets: DEBUG DIGEST and
 * DIGEST-VALUE. The same as Redis's, so that data moved from or to a Redis can be compared. */
#ifndef WEFT_COMMAND_DIGEST_H
#define WEFT_COMMAND_DIGEST_H

#include "base/sha1.h"
#include "store/partition.h"

/* Mixes type, elements and "has a deadline" of a present key into `digest`. */
void digest_value(uint8_t digest[SHA1_BYTES], const struct entry *entry);
/* Of all databases; every partition is held. O(all data). */
void digest_all(uint8_t digest[SHA1_BYTES], struct partition *const *partitions, uint16_t databases);

#endif
