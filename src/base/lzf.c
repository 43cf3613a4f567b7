/* LZF (format and contract in lzf.h). The compressor is greedy, with one candidate per hash of three bytes.
 */
#include "base/lzf.h"

#include <string.h>

#define LITERALS_MAX 32
#define OFFSET_MAX   8192
#define MATCH_MIN    3
#define MATCH_MAX    264
#define TABLE_BITS   12

struct step {
    size_t length, offset; /* offset 0: literals */
};

/* Reads the control bytes at *at; false when the input ends within them. */
static inline bool read_step(const uint8_t *in, size_t len, size_t *at, struct step *step)
{
    size_t i = *at;
    uint8_t control = in[i++];
    if (control < LITERALS_MAX) {
        *step = (struct step){(size_t)control + 1, 0};
    } else {
        size_t length = control >> 5;
        if (length == 7) {
            if (i >= len) return false;
            length += in[i++];
        }
        if (i >= len) return false;
        *step = (struct step){length + 2, ((size_t)(control & 31) << 8 | in[i++]) + 1};
    }
    *at = i;
    return true;
}

size_t lzf_decompressed_len(const uint8_t *in, size_t len)
{
    size_t out = 0;
    for (size_t at = 0; at < len;) {
        struct step step;
        if (!read_step(in, len, &at, &step)) return SIZE_MAX;
        if (step.offset > out) return SIZE_MAX;
        if (step.offset == 0) {
            if (len - at < step.length) return SIZE_MAX;
            at += step.length;
        }
        out += step.length;
    }
    return out;
}

bool lzf_decompress(const uint8_t *in, size_t len, uint8_t *out, size_t out_len)
{
    size_t done = 0;
    for (size_t at = 0; at < len;) {
        struct step step;
        if (!read_step(in, len, &at, &step)) return false;
        if (step.offset > done || out_len - done < step.length) return false;
        if (step.offset == 0) {
            if (len - at < step.length) return false;
            memcpy(out + done, in + at, step.length);
            at += step.length;
        } else if (step.offset >= step.length) {
            memcpy(out + done, out + done - step.offset, step.length);
        } else {
            /* The source runs into what is being written: bytes repeat. */
            for (size_t i = 0; i < step.length; i++) out[done + i] = out[done + i - step.offset];
        }
        done += step.length;
    }
    return done == out_len;
}

static inline uint32_t hash3(const uint8_t *p)
{
    uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
    return v * 2654435761u >> (32 - TABLE_BITS);
}

/* Writes literals in[from..to) in runs of 32; false when out is full. */
static bool put_literals(const uint8_t *in, size_t from, size_t to, uint8_t *out, size_t out_max, size_t *at)
{
    while (from < to) {
        size_t run = to - from < LITERALS_MAX ? to - from : LITERALS_MAX;
        if (out_max - *at < run + 1) return false;
        out[(*at)++] = (uint8_t)(run - 1);
        memcpy(out + *at, in + from, run);
        *at += run;
        from += run;
    }
    return true;
}

static bool put_match(size_t length, size_t offset, uint8_t *out, size_t out_max, size_t *at)
{
    if (out_max - *at < 3) return false;
    length -= 2;
    offset -= 1;
    uint8_t high = (uint8_t)(offset >> 8);
    if (length < 7) {
        out[(*at)++] = (uint8_t)(length << 5 | high);
    } else {
        out[(*at)++] = (uint8_t)(7 << 5 | high);
        out[(*at)++] = (uint8_t)(length - 7);
    }
    out[(*at)++] = (uint8_t)offset;
    return true;
}

size_t lzf_compress(const uint8_t *in, size_t len, uint8_t *out, size_t out_max)
{
    uint32_t last_seen[1 << TABLE_BITS]; /* position + 1 */
    memset(last_seen, 0, sizeof last_seen);
    size_t at = 0, literals = 0, i = 0;
    while (i + MATCH_MIN <= len && i < UINT32_MAX) {
        uint32_t *slot = &last_seen[hash3(in + i)];
        size_t candidate = *slot;
        *slot = (uint32_t)i + 1;
        if (candidate == 0 || i - (candidate - 1) > OFFSET_MAX ||
            memcmp(in + candidate - 1, in + i, MATCH_MIN) != 0) {
            i++;
            continue;
        }
        size_t from = candidate - 1, limit = len - i < MATCH_MAX ? len - i : MATCH_MAX, length = MATCH_MIN;
        while (length < limit && in[from + length] == in[i + length]) length++;
        if (!put_literals(in, literals, i, out, out_max, &at)) return 0;
        if (!put_match(length, i - from, out, out_max, &at)) return 0;
        i += length;
        literals = i;
    }
    return put_literals(in, literals, len, out, out_max, &at) ? at : 0;
}
