/* What a collection type sees of the item that holds it.
 *
 * A collection's value is an inline area of bytes inside its key's item: a packed blob while small (<= about
 * VALUE_PACKED_MAX bytes), a fixed root struct (<= 64 bytes, may be unaligned: copy it out and in, or keep it
 * packed) when large; everything else it owns hangs off the root by slab handles. byte 0 of the area is
 * always the type's own representation tag, and the Redis-visible encoding (OBJECT ENCODING: sticky, never
 * converts back) is kept in the area too. A type module is pure: no I/O, no clock (times are arguments), no
 * keys, no clients.
 *
 * The area may move whenever resize() is called or a mutator of the type returns: never keep `bytes` over
 * either. All mutators reserve first: when they return VALUE_NO_MEMORY the value is as it was.
 */
#ifndef WEFT_TYPES_VALUE_H
#define WEFT_TYPES_VALUE_H

#include "base/slab.h"
#include "base/slice.h"

#define VALUE_PACKED_MAX 2048

/* Work of the <type>_free_some functions, which free a large value step by step: about one allocation each.
 * Between the steps nothing but the same function may touch the value; `cursor` is 0 at first. They return
 * true when the area owns nothing any more, and write off from *work what they did, at most down to 0 (one
 * step is always done, so a call may do a few hundred more than it was given). */
static inline void value_work_done(uint32_t *work, uint32_t done)
{
    *work -= done < *work ? done : *work;
}

enum { VALUE_OK = 0, VALUE_NO_MEMORY = -1 };

struct value {
    struct slab *slab;
    uint8_t *bytes; /* the inline area */
    uint32_t len;
    /* Makes the area `len` bytes long, keeping the first min(old, new) bytes; updates `bytes` and `len`.
     * False: out of memory, nothing changed. Shrinking never fails. */
    bool (*resize)(struct value *value, uint32_t len);
};

#endif
