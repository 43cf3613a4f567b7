/* libFuzzer target for configuration text: loads the input as a file (its includes read the rest behind a NUL
 * byte), and, where that succeeds, demands that the rewritten file loads to the same values and rewrites to
 * itself. Then the input's lines are fed to CONFIG SET as name-value pairs: refused must mean unchanged.
 *
 *   clang -fsanitize=fuzzer,address,undefined ...; build/fuzz/config_fuzz -dict=build/gen/config.dict
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "config/config_table.h"
#include "config/config_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *load_rest(void *context, const char *path, size_t *len, const char **reason)
{
    const struct slice *rest = context;
    char *bytes = config_alloc(rest->len);
    memcpy(bytes, rest->ptr, rest->len);
    *len = rest->len;
    return bytes;
}

static bool glob_two(void *context, const char *pattern, char ***names, size_t *count)
{
    *names = config_alloc(2 * sizeof(char *));
    for (*count = 0; *count < 2; ++*count) (*names)[*count] = strdup("x");
    return true;
}

static bool load(struct config *config, struct slice text, const struct slice *rest)
{
    struct config_loader loader = {.context = (void *)(uintptr_t)rest, .load = load_rest, .glob = glob_two};
    struct config_arguments arguments;
    char fatal[CONFIG_FATAL_MAX];
    config_arguments_parse(&arguments, 0, NULL);
    arguments.from_stdin = true;
    config_init(config);
    bool loaded = config_load(config, &arguments, text, &loader, fatal);
    config_arguments_free(&arguments);
    CHECK(loaded || strlen(fatal) > 0);
    return loaded;
}

static void check_same(const struct config *a, const struct config *b)
{
    for (size_t i = 0; i < config_row_count; i++) {
        struct config_text x, y;
        if (!config_get_one(a, config_slice(config_rows[i].name), &x)) continue;
        CHECK(config_get_one(b, config_slice(config_rows[i].name), &y));
        CHECK(slice_equal(config_text_slice(&x), config_text_slice(&y)));
        config_text_free(&x);
        config_text_free(&y);
    }
}

static void check_rewrite(const struct config *config, struct slice text)
{
    struct config again;
    struct slice nothing = SLICE("");
    size_t len, len_again;
    char *fresh = config_rewrite(config, text, false, &len);
    CHECK(load(&again, (struct slice){fresh, len}, &nothing));
    check_same(config, &again);
    char *second = config_rewrite(&again, (struct slice){fresh, len}, false, &len_again);
    CHECK(len == len_again && memcmp(fresh, second, len) == 0);
    free(fresh);
    free(second);
    config_free(&again);
}

static void check_set(struct config *config, struct slice text)
{
    const char *end = text.ptr + text.len;
    for (const char *at = text.ptr; at < end;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline ? newline : end;
        const char *space = memchr(at, ' ', (size_t)(stop - at));
        if (space) {
            struct slice words[] = {{at, (size_t)(space - at)}, {space + 1, (size_t)(stop - space - 1)}};
            struct config before;
            char error[CONFIG_ERROR_MAX];
            config_copy(&before, config);
            if (!config_set(config, words, 2, CONFIG_MAY_SET_PROTECTED, NULL, error))
                check_same(&before, config);
            config_free(&before);
        }
        at = newline ? newline + 1 : end;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 2000) return 0;
    const char *text = (const char *)data;
    const char *nul = size ? memchr(text, 0, size) : NULL;
    struct slice main_text = {text, nul ? (size_t)(nul - text) : size};
    struct slice rest = {text + main_text.len, size - main_text.len};
    struct config config;
    if (rest.len) rest = (struct slice){rest.ptr + 1, rest.len - 1};
    /* An include of an include of an ... must end; one whose lines clash with the main file's is not "the
     * same" after a rewrite, so those are only loaded. */
    bool has_include = memmem(text, size, "nclude", 6) || memmem(text, size, "NCLUDE", 6);
    if (load(&config, main_text, &rest) && !has_include) check_rewrite(&config, main_text);
    check_set(&config, main_text);
    config_free(&config);
    return 0;
}
