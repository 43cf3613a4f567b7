/* Splitting, trimming and quoting of configuration lines: Redis's corner cases, and quoting as split's
 * inverse on random bytes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/prng.h"
#include "config/config_text.h"

#define BAD "<unbalanced>"

static void splits(void **state)
{
    static const struct {
        const char *line, *words; /* joined by '|' */
    } rows[] = {
        {"", ""},
        {"   \t ", ""},
        {"port 6379", "port|6379"},
        {"  port\t\t6379  ", "port|6379"},
        {"save \"\"", "save|"},
        {"save ''", "save|"},
        {"a \"b c\" d", "a|b c|d"},
        {"a 'b c' d", "a|b c|d"},
        {"a \"x\\ny\\tz\"", "a|x\ny\tz"},
        {"a \"\\x41\\x4a\\x6B\"", "a|AJk"},
        {"a \"\\x4\"", "a|x4"},
        {"a \"\\xzz\"", "a|xzz"},
        {"a \"\\\"\\\\\"", "a|\"\\"},
        {"a '\\'' '\\n'", "a|'|\\n"},
        {"ab\"cd\" e", "abcd|e"},
        {"ab'cd' e", "abcd|e"},
        {"a\\nb", "a\\nb"},
        {"\"a\"b", BAD},
        {"'a'b", BAD},
        {"\"a", BAD},
        {"'a", BAD},
        {"\"a\\", BAD},
        {"\"a\\\"", BAD},
        {"a\vb \vc", "a\vb|c"},
        {"a # b", "a|#|b"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct config_words words;
        struct config_text joined;
        config_text_init(&joined);
        if (config_words_split(config_slice(rows[i].line), &words)) {
            for (size_t w = 0; w < words.count; w++) {
                if (w) config_text_append(&joined, SLICE("|"));
                config_text_append(&joined, words.items[w]);
            }
            config_words_free(&words);
        } else {
            config_text_append(&joined, SLICE(BAD));
        }
        assert_string_equal(joined.ptr, rows[i].words);
        config_text_free(&joined);
    }
}

static void splits_at_spaces(void **state)
{
    struct config_words words;
    config_words_split_spaces(SLICE(""), &words);
    assert_int_equal(words.count, 0);
    config_words_free(&words);
    config_words_split_spaces(SLICE("a  \"b c\""), &words);
    assert_int_equal(words.count, 4);
    assert_int_equal(words.items[1].len, 0);
    assert_memory_equal(words.items[2].ptr, "\"b", 2);
    config_words_free(&words);
    config_words_split_spaces(SLICE(" "), &words);
    assert_int_equal(words.count, 2);
    config_words_free(&words);
}

static void trims(void **state)
{
    struct slice trimmed = config_trim(SLICE("\t \r\n a b \r\n"));
    assert_int_equal(trimmed.len, 3);
    assert_memory_equal(trimmed.ptr, "a b", 3);
    assert_int_equal(config_trim(SLICE(" \t")).len, 0);
    assert_int_equal(config_trim(SLICE("\v")).len, 1);
}

static void quotes_what_it_reads(void **state)
{
    uint64_t seed = 42;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct prng prng;
    prng_seed(&prng, seed);
    for (int round = 0; round < 20000; round++) {
        char bytes[24];
        size_t len = prng_below(&prng, sizeof(bytes));
        for (size_t i = 0; i < len; i++)
            bytes[i] = prng_below(&prng, 3) ? (char)prng_next(&prng) : "\\\"' x\n41"[prng_below(&prng, 8)];
        struct config_text line;
        struct config_words words;
        config_text_init(&line);
        config_text_append(&line, SLICE("name "));
        config_text_append_quoted(&line, (struct slice){bytes, len});
        assert_null(memchr(line.ptr, '\n', line.len));
        assert_true(config_words_split(config_text_slice(&line), &words));
        assert_int_equal(words.count, 2);
        assert_int_equal(words.items[1].len, len);
        assert_memory_equal(words.items[1].ptr, bytes, len);
        config_words_free(&words);
        config_text_free(&line);
    }
}

static void sets_from_itself(void **state)
{
    struct config_text text;
    config_text_init(&text);
    config_text_append(&text, SLICE("hello"));
    config_text_set(&text, (struct slice){text.ptr + 1, 3});
    assert_string_equal(text.ptr, "ell");
    config_text_set(&text, SLICE(""));
    assert_string_equal(text.ptr, "");
    config_text_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits),
        cmocka_unit_test(splits_at_spaces),
        cmocka_unit_test(trims),
        cmocka_unit_test(quotes_what_it_reads),
        cmocka_unit_test(sets_from_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
