/* packed: random edits against a naive array of strings, resize failures leave it untouched; varint borders.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "types/packed.h"

#include <stdlib.h>

static uint64_t prng_state;
static uint32_t prng(uint32_t below)
{
    prng_state = prng_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((prng_state >> 33) % below);
}

/* An area on the heap of exactly `len` bytes, moved at each resize, so that the sanitizer sees every slip. */
static bool fail_next;
static bool heap_resize(struct value *value, uint32_t len)
{
    if (len > value->len && fail_next) return false;
    uint8_t *moved = malloc(len + !len);
    memcpy(moved, value->bytes, len < value->len ? len : value->len);
    free(value->bytes);
    value->bytes = moved;
    value->len = len;
    return true;
}

static void varints(void **unused)
{
    const uint64_t values[] = {0,       1,       127,        128,        16383,     16384,
                               2097151, 2097152, UINT32_MAX, 1ull << 56, UINT64_MAX};
    const uint32_t sizes[] = {1, 1, 1, 2, 2, 3, 3, 4, 5, 9, 10};
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        uint8_t bytes[16];
        uint64_t back;
        uint32_t back32;
        assert_int_equal(varint_size(values[i]), sizes[i]);
        assert_ptr_equal(varint_put(bytes, values[i]), bytes + sizes[i]);
        assert_ptr_equal(varint_read(bytes, &back), bytes + sizes[i]);
        assert_int_equal(back, values[i]);
        if (values[i] > UINT32_MAX) continue;
        assert_ptr_equal(varint_read32(bytes, &back32), bytes + sizes[i]);
        assert_int_equal(back32, values[i]);
    }
}

enum { HEADER = 3, MODEL_MAX = 64 };
struct model {
    char text[300];
    size_t len;
};

static void check_equal(const struct value *value, const struct model *model, uint32_t count)
{
    uint32_t at = HEADER, i = 0;
    struct slice entry;
    for (; packed_next(value, &at, &entry); i++) {
        assert_true(i < count && entry.len == model[i].len);
        assert_memory_equal(entry.ptr, model[i].text, entry.len);
    }
    assert_int_equal(i, count);
    assert_int_equal(at, value->len);
    assert_int_equal(packed_count(value, HEADER), count);
    assert_memory_equal(value->bytes, "hdr", HEADER);
}

static struct slice random_text(struct model *to)
{
    to->len = prng(10) == 0 ? prng(300) : prng(5);
    for (size_t i = 0; i < to->len; i++) to->text[i] = (char)('a' + prng(3));
    return (struct slice){to->text, to->len};
}

static void model_test(void **unused)
{
    for (uint32_t seed = 1; seed <= 20; seed++) {
        prng_state = seed;
        struct value value = {.bytes = malloc(HEADER), .len = HEADER, .resize = heap_resize};
        memcpy(value.bytes, "hdr", HEADER);
        static struct model model[MODEL_MAX];
        uint32_t count = 0;
        for (int step = 0; step < 3000; step++) {
            uint32_t index = count ? prng(count + 1) : 0, at = packed_skip(&value, HEADER, index);
            fail_next = prng(4) == 0;
            switch (prng(4)) {
            case 0: { /* insert up to 3 */
                struct model fresh[3];
                struct slice slices[3];
                uint32_t many = 1 + prng(3);
                if (count + many > MODEL_MAX) break;
                for (uint32_t i = 0; i < many; i++) slices[i] = random_text(&fresh[i]);
                if (!packed_insert(&value, at, slices, many)) {
                    assert_true(fail_next);
                    break;
                }
                memmove(model + index + many, model + index, (count - index) * sizeof(*model));
                memcpy(model + index, fresh, many * sizeof(*model));
                count += many;
                break;
            }
            case 1: { /* replace */
                struct model fresh;
                if (index == count) break;
                struct slice text = random_text(&fresh);
                if (packed_replace(&value, at, text))
                    model[index] = fresh;
                else
                    assert_true(fail_next);
                break;
            }
            case 2: { /* delete up to 2 */
                uint32_t many = 1 + prng(2);
                if (index + many > count || prng(2)) break;
                packed_delete(&value, at, many);
                memmove(model + index, model + index + many, (count - index - many) * sizeof(*model));
                count -= many;
                break;
            }
            case 3: { /* find with a stride */
                struct model wanted;
                struct slice text = random_text(&wanted);
                uint32_t stride = 1 + prng(3), found = PACKED_NONE;
                if (count % stride) stride = 1;
                for (uint32_t i = 0; i < count && found == PACKED_NONE; i += stride) {
                    if (model[i].len == text.len && memcmp(model[i].text, text.ptr, text.len) == 0) found = i;
                }
                uint32_t offset = packed_find(&value, HEADER, stride, text);
                if (found == PACKED_NONE) {
                    assert_int_equal(offset, PACKED_NONE);
                } else {
                    assert_int_equal(offset, packed_skip(&value, HEADER, found));
                    assert_true(slice_equal(packed_at(&value, offset), text));
                }
                break;
            }
            }
            check_equal(&value, model, count);
        }
        free(value.bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(varints), cmocka_unit_test(model_test)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
