/* Request parser: the first bytes choose limits and how the stream is cut; whatever the rest is, the cut
 * stream must give the same commands and the same error as the whole one, and no argument may lie outside the
 * bytes given. */
#include "base/check.h"
#include "base/hash.h"
#include "resp/input.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    uint64_t hash, commands;
    char error[RESP_ERROR_MAX];
};

static void run(const struct resp_limits *limits, const uint8_t *data, size_t size, size_t step,
                struct outcome *out)
{
    struct resp_input input = {0};
    struct resp_args args = {0};
    int result = RESP_MORE;
    for (size_t at = 0; at < size && result == RESP_MORE; at += step) {
        size_t n = size - at < step ? size - at : step;
        char *piece = malloc(n);
        CHECK(piece != NULL);
        memcpy(piece, data + at, n);
        CHECK(resp_input_feed(&input, piece, n));
        while ((result = resp_input_next(&input, limits, &args)) == RESP_COMMAND) {
            CHECK(args.count > 0);
            out->commands++;
            out->hash = hash_bytes(&args.count, sizeof args.count, out->hash);
            for (uint32_t i = 0; i < args.count; i++) {
                CHECK((int64_t)args.items[i].len <= limits->bulk_len_max ||
                      args.items[i].len <= RESP_LINE_MAX);
                out->hash = hash_bytes(args.items[i].ptr, args.items[i].len, out->hash);
            }
            resp_args_clear(&args);
        }
        if (result == RESP_MORE) CHECK(resp_input_keep(&input));
        free(piece);
    }
    if (result == RESP_ERROR) resp_parser_error(&input.parser, out->error);
    resp_input_free(&input);
    resp_args_free(&args);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    struct resp_limits limits = {.bulk_len_max = data[0] & 1 ? 64 : 512 << 20,
                                 .unauthenticated = data[0] & 2};
    size_t step = (size_t)data[1] + 1;
    struct outcome whole = {0}, cut = {0};
    run(&limits, data + 2, size - 2, size, &whole);
    run(&limits, data + 2, size - 2, step, &cut);
    CHECK(whole.hash == cut.hash && whole.commands == cut.commands);
    CHECK(memcmp(whole.error, cut.error, sizeof whole.error) == 0);
    return 0;
}
