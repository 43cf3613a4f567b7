/* SHA-1 against the standard's examples and the lengths around a block's end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/sha1.h"

static void check(const char *data, size_t len, const char *hex)
{
    uint8_t digest[SHA1_BYTES];
    char text[2 * SHA1_BYTES + 1];
    sha1(data, len, digest);
    for (int i = 0; i < SHA1_BYTES; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(text, hex);
}

static void standard_examples(void **state)
{
    check("", 0, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    check("abc", 3, "a9993e364706816aba3e25717850c26c9cd0d89d");
    check("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
          "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
}

/* Values from coreutils' sha1sum. */
static void around_a_block(void **state)
{
    static const struct {
        size_t len;
        const char *hex;
    } cases[] = {
        {55, "c1c8bbdc22796e28c0e15163d20899b65621d65a"}, {56, "c2db330f6083854c99d4b5bfb6e8f29f201be699"},
        {63, "03f09f5b158a7a8cdad920bddc29b81c18a551f5"}, {64, "0098ba824b5c16427bd7a1122a5a442a25ec644d"},
        {65, "11655326c708d70319be2610e8a57d9a5b959d3b"}, {1000, "291e9a6c66994949b57ba5e650361e98fc36b1ba"},
    };
    char data[1000];
    memset(data, 'a', sizeof data);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) check(data, cases[i].len, cases[i].hex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(standard_examples), cmocka_unit_test(around_a_block)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
