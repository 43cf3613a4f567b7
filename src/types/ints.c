/* Sorted integers: see ints.h. */
#include "types/ints.h"

#include "base/mutant.h"

static uint8_t width_of(int64_t value)
{
    return value == (int16_t)value ? 2 : value == (int32_t)value ? 4 : 8;
}

static int64_t load(const uint8_t *at, uint8_t width)
{
    int16_t i16;
    int32_t i32;
    int64_t i64;
    switch (width) {
    case 2: memcpy(&i16, at, 2); return i16;
    case 4: memcpy(&i32, at, 4); return i32;
    default: memcpy(&i64, at, 8); return i64;
    }
}

static void store(uint8_t *at, uint8_t width, int64_t value)
{
    for (uint8_t i = 0; i < width; i++) at[i] = (uint8_t)((uint64_t)value >> (8 * i));
}

int64_t ints_at(const struct value *ints, uint32_t index)
{
    DCHECK(index < ints_count(ints));
    return load(ints->bytes + INTS_HEADER + (size_t)index * ints->bytes[1], ints->bytes[1]);
}

bool ints_find(const struct value *ints, int64_t value, uint32_t *index)
{
    uint32_t low = 0, count = ints_count(ints), high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (ints_at(ints, middle) < value)
            low = middle + 1;
        else
            high = middle;
    }
    *index = low;
    return low < count && ints_at(ints, low) == value;
}

uint32_t ints_len_with(const struct value *ints, int64_t value)
{
    uint8_t width = ints->bytes[1], needed = width_of(value);
    return INTS_HEADER + (ints_count(ints) + 1) * (needed > width ? needed : width);
}

bool ints_insert(struct value *ints, uint32_t index, int64_t value)
{
    uint32_t count = ints_count(ints), len = ints_len_with(ints, value);
    uint8_t old = ints->bytes[1], width = (uint8_t)((len - INTS_HEADER) / (count + 1));
    if (!ints->resize(ints, len)) return false;
    uint8_t *first = ints->bytes + INTS_HEADER;
    if (width == old) {
        uint8_t *at = first + (size_t)index * width;
        memmove(at + width, at, (size_t)(count - index) * width);
    } else { /* from behind, so that the wider ones do not run over those still to be widened */
        for (uint32_t i = count; i-- > 0;)
            store(first + (size_t)(i + (i >= index + MUTANT(ints_widen_shift))) * width, width,
                  load(first + (size_t)i * old, old));
    }
    store(first + (size_t)index * width, width, value);
    ints->bytes[1] = width;
    return true;
}

void ints_remove(struct value *ints, uint32_t index)
{
    uint32_t count = ints_count(ints);
    uint8_t width = ints->bytes[1], *at = ints->bytes + INTS_HEADER + (size_t)index * width;
    DCHECK(index < count);
    memmove(at, at + width, (size_t)(count - index - 1) * width);
    bool shrunk = ints->resize(ints, ints->len - width);
    CHECK(shrunk);
}
