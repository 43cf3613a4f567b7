/* SHA-1 (FIPS 180-4): DEBUG DIGEST, and the names of scripts. Not for secrets. Pure; ~350 MB/s.
 * Tests: test/unit/sha1_test.c. */
#ifndef WEFT_BASE_SHA1_H
#define WEFT_BASE_SHA1_H

#include <stddef.h>
#include <stdint.h>

#define SHA1_BYTES 20

void sha1(const void *data, size_t len, uint8_t digest[SHA1_BYTES]);

#endif
