/* A set of partitions: 256 bits. Plain value. */
#ifndef WEFT_SESSION_BITMAP_H
#define WEFT_SESSION_BITMAP_H

#include <stdbool.h>
#include <stdint.h>

struct bitmap256 {
    uint64_t words[4];
};

static inline void bitmap_add(struct bitmap256 *b, unsigned i)
{
    b->words[i / 64] |= 1ULL << (i & 63);
}
static inline void bitmap_drop(struct bitmap256 *b, unsigned i)
{
    b->words[i / 64] &= ~(1ULL << (i & 63));
}
static inline bool bitmap_has(const struct bitmap256 *b, unsigned i)
{
    return b->words[i / 64] >> (i & 63) & 1;
}
static inline bool bitmap_is_empty(const struct bitmap256 *b)
{
    return !(b->words[0] | b->words[1] | b->words[2] | b->words[3]);
}
static inline struct bitmap256 bitmap_and(struct bitmap256 a, struct bitmap256 b)
{
    for (int i = 0; i < 4; i++) a.words[i] &= b.words[i];
    return a;
}
static inline struct bitmap256 bitmap_or(struct bitmap256 a, struct bitmap256 b)
{
    for (int i = 0; i < 4; i++) a.words[i] |= b.words[i];
    return a;
}
static inline struct bitmap256 bitmap_without(struct bitmap256 a, struct bitmap256 b)
{
    for (int i = 0; i < 4; i++) a.words[i] &= ~b.words[i];
    return a;
}
static inline bool bitmap_covers(struct bitmap256 all, struct bitmap256 part)
{
    struct bitmap256 rest = bitmap_without(part, all);
    return bitmap_is_empty(&rest);
}
static inline struct bitmap256 bitmap_all(void)
{
    return (struct bitmap256){{~0ULL, ~0ULL, ~0ULL, ~0ULL}};
}
/* for (int i = bitmap_next(&b, 0); i >= 0; i = bitmap_next(&b, i + 1)) */
static inline int bitmap_next(const struct bitmap256 *b, unsigned from)
{
    for (unsigned w = from / 64; w < 4; w++) {
        uint64_t bits = b->words[w];
        if (w == from / 64) bits &= ~0ULL << (from & 63);
        if (bits) return (int)(w * 64 + (unsigned)__builtin_ctzll(bits));
    }
    return -1;
}

#endif
