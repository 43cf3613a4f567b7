/* LZF, the compression of strings in Redis's serialised values (the format of Marc Lehmann's liblzf).
 *
 *   000LLLLL  <L + 1 literal bytes>
 *   LLLooooo oooooooo             L + 2 bytes from `o + 1` bytes back, L in 1..6
 *   111ooooo LLLLLLLL oooooooo    L + 9 bytes
 *
 * Pure, any thread. Tests: test/unit/rdb_test.c, test/fuzz/rdb_fuzz.c. */
#ifndef WEFT_BASE_LZF_H
#define WEFT_BASE_LZF_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

/* How long the input decompresses to; SIZE_MAX if it is no LZF. Costs one step per control byte, no memory.
 */
size_t lzf_decompressed_len(const uint8_t *in, size_t len);
/* `out` has room for exactly `out_len`; false unless the input is LZF of that length. */
bool lzf_decompress(const uint8_t *in, size_t len, uint8_t *out, size_t out_len);
/* The compressed length, or 0 if that would exceed `out_max`. Needs 16 KiB of stack. */
size_t lzf_compress(const uint8_t *in, size_t len, uint8_t *out, size_t out_max);

#endif
