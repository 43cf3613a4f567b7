/* What tools/gen_commands.py generates and src/command/table*.c reads. Nobody else includes this.
 *
 * Look-up is a two-level perfect hash: command_name_hash() of the name's words picks a bucket (top bits)
 * whose displacement, added to middle bits, gives a slot that no other command has. The generator computes
 * the same hash; the unit test looks every name up.
 *
 *   words      | len 1-3: bytes 0, len/2, len-1 | 4-8: first and last four | 9-16: first and last eight |
 * 17-24: and of a name  |                                |                          | | bytes 8-15
 */
#ifndef WEFT_COMMAND_TABLE_DATA_H
#define WEFT_COMMAND_TABLE_DATA_H

#include "command/table.h"

#define COMMAND_HASH_BUCKETS 128
#define COMMAND_HASH_SLOTS   512
#define COMMAND_SLOT_EMPTY   UINT16_MAX

/* Commands whose keys the specs alone cannot tell. */
enum command_key_special {
    COMMAND_KEYS_BY_SPEC,
    COMMAND_KEYS_SET,
    COMMAND_KEYS_BITFIELD,
    COMMAND_KEYS_SORT,
    COMMAND_KEYS_MIGRATE,
    COMMAND_KEYS_GEORADIUS,
    COMMAND_KEYS_XREAD,
};

extern const struct command command_rows[];
extern const uint16_t command_row_count;
extern const uint16_t command_row_top_count;
extern const uint64_t command_hash_seed;
extern const uint16_t command_hash_displacement[COMMAND_HASH_BUCKETS];
extern const uint16_t command_hash_slot[COMMAND_HASH_SLOTS];

#endif
