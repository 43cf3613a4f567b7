/* The request parser and the input stream: valid streams, empty commands and inline forms give the expected
 * arguments whatever way they are cut (whole, at every byte, byte by byte, at random); every protocol error
 * has Redis's text; limits hold; a big argument in small pieces is neither rescanned nor copied again and
 * again. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/prng.h"
#include "resp/input.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const struct resp_limits limits = {.bulk_len_max = 512 << 20};

/* What came out, as text: "[GET|k][…]" and an error's text behind. */
struct transcript {
    char *text;
    size_t len, capacity;
};

static void note(struct transcript *t, const char *bytes, size_t len)
{
    if (t->capacity - t->len < len + 1) {
        t->capacity = t->capacity * 2 + len + 64;
        t->text = realloc(t->text, t->capacity);
    }
    if (len) memcpy(t->text + t->len, bytes, len);
    t->len += len;
    t->text[t->len] = 0;
}

static void note_commands(struct transcript *t, const struct slice *args, uint32_t count)
{
    note(t, "[", 1);
    for (uint32_t i = 0; i < count; i++) {
        if (i) note(t, "|", 1);
        note(t, args[i].ptr, args[i].len);
    }
    note(t, "]", 1);
}

/* One turn per piece of the stream, as a connection has it. Commands are noted only at the end of the turn:
 * the arguments must live that long. `pieces` > 1: that many receives per turn. False: error. */
static bool run_turn(struct resp_input *input, const struct resp_limits *lim, const char *const *piece,
                     const size_t *piece_len, int pieces, struct transcript *t)
{
    struct resp_args args = {0};
    uint32_t ends[4096];
    uint32_t commands = 0;
    int result = RESP_MORE;
    char *copies[8]; /* io's memory: exactly as long as the piece, gone after the turn */
    for (int i = 0; i < pieces; i++) {
        copies[i] = malloc(piece_len[i] ? piece_len[i] : 1);
        memcpy(copies[i], piece[i], piece_len[i]);
        assert_true(resp_input_feed(input, copies[i], piece_len[i]));
        while (commands < 4096 && (result = resp_input_next(input, lim, &args)) == RESP_COMMAND)
            ends[commands++] = args.count;
    }
    for (uint32_t i = 0, start = 0; i < commands; start = ends[i++])
        note_commands(t, args.items + start, ends[i] - start);
    if (result == RESP_ERROR) {
        char text[RESP_ERROR_MAX];
        note(t, text, resp_parser_error(&input->parser, text));
        /* It stays broken, whatever comes. */
        assert_true(resp_input_keep(input));
        assert_true(resp_input_feed(input, "*1\r\n$4\r\nPING\r\n", 14));
        assert_int_equal(resp_input_next(input, lim, &args), RESP_ERROR);
        assert_true(resp_input_keep(input));
    } else {
        assert_true(resp_input_keep(input));
    }
    for (int i = 0; i < pieces; i++) free(copies[i]);
    resp_args_free(&args);
    return result != RESP_ERROR;
}

/* Cuts the stream at `cuts` (ascending), `pieces` receives a turn. */
static void expect_cut(const struct resp_limits *lim, const char *bytes, size_t len, const size_t *cuts,
                       size_t cut_count, int pieces, const char *want, size_t want_len)
{
    struct resp_input input = {0};
    struct transcript t = {0};
    note(&t, "", 0);
    size_t from = 0, i = 0;
    bool good = true;
    while (good && i <= cut_count) {
        const char *piece[8];
        size_t piece_len[8];
        int n = 0;
        for (; n < pieces && i <= cut_count; n++, i++) {
            size_t to = i < cut_count ? cuts[i] : len;
            piece[n] = bytes + from;
            piece_len[n] = to - from;
            from = to;
        }
        good = run_turn(&input, lim, piece, piece_len, n, &t);
    }
    if (t.len != want_len || memcmp(t.text, want, want_len) != 0)
        fail_msg("%.200s\n  gave %.200s\n  not  %.200s (%zu cuts, first %zu)", bytes, t.text, want, cut_count,
                 cut_count ? cuts[0] : 0);
    if (good && len && bytes[len - 1] == '\n') assert_null(input.tail); /* an idle stream holds no memory */
    resp_input_free(&input);
    free(t.text);
}

static void expect_bytes(const struct resp_limits *lim, const char *bytes, size_t len, const char *want)
{
    size_t want_len = strlen(want);
    expect_cut(lim, bytes, len, NULL, 0, 1, want, want_len);
    for (size_t cut = 1; cut < len; cut++) {
        expect_cut(lim, bytes, len, &cut, 1, 1, want, want_len);
        expect_cut(lim, bytes, len, &cut, 1, 2, want, want_len);
    }
    if (len < 2) return;
    size_t *every = malloc((len - 1) * sizeof *every);
    for (size_t i = 1; i < len; i++) every[i - 1] = i;
    for (int pieces = 1; pieces <= 4; pieces++)
        expect_cut(lim, bytes, len, every, len - 1, pieces, want, want_len);
    free(every);
}

static void expect_text(const struct resp_limits *lim, const char *text, const char *want)
{
    expect_bytes(lim, text, strlen(text), want);
}

static void expect(const char *text, const char *want)
{
    expect_text(&limits, text, want);
}

static void multibulk(void **state)
{
    expect("*1\r\n$4\r\nPING\r\n", "[PING]");
    expect("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "[SET|k|][GET|k]");
    expect("*2\r\n$12\r\nabcdefghijkl\r\n$2\r\n\r\n\r\n", "[abcdefghijkl|\r\n]");
    expect("*0\r\n*-1\r\n*-5\r\n\r\n*1\r\n$1\r\nx\r\n*0\r\n", "[x]");
    expect("*12\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n$1\r\nf\r\n$1\r\ng\r\n$1\r\nh\r\n$"
           "1\r\ni\r\n"
           "$1\r\nj\r\n$1\r\nk\r\n$1\r\nl\r\n",
           "[a|b|c|d|e|f|g|h|i|j|k|l]");
    /* As Redis, the bytes behind a bulk and the LF of a header are skipped unseen. */
    expect("*1\rX$2\rYabZZ*1\r\n$1\r\nc\r\n", "[ab][c]");
}

static void inline_commands(void **state)
{
    expect("PING\r\n", "[PING]");
    expect("PING\n", "[PING]");
    expect("\r\n\n \t \r\n  GET   k \r\nx\n", "[GET|k][x]");
    expect("SET k \"a b\\x41\\n\\\"\\q\\x4\" 'c \\' \\n'\r\n", "[SET|k|a bA\n\"qx4|c ' \\n]");
    expect("a\"b c\" \"\" ''\n*1\r\n$1\r\nz\r\n", "[ab c||][z]");
    expect("a \"b\"\tc\r\n", "[a|b|c]");
    expect("a\vb \v c\n", "[a\vb|c]");
    expect("a\rb\r\n", "[a|b]");
    expect("\"\\\\\" \"\\r\\t\\b\\a\"\n", "[\\|\r\t\b\a]");
    expect("GET \"unbalanced\r\n", "ERR Protocol error: unbalanced quotes in request");
    expect("GET 'unbalanced\r\n", "ERR Protocol error: unbalanced quotes in request");
    expect("PING\r\nGET \"a\"b\r\n", "[PING]ERR Protocol error: unbalanced quotes in request");
    expect("GET 'a'b\r\n", "ERR Protocol error: unbalanced quotes in request");
    expect("GET \"a\\\r\n", "ERR Protocol error: unbalanced quotes in request");
}

static void protocol_errors(void **state)
{
    expect("*x\r\n", "ERR Protocol error: invalid multibulk length");
    expect("*\r\n", "ERR Protocol error: invalid multibulk length");
    expect("*+1\r\n", "ERR Protocol error: invalid multibulk length");
    expect("*01\r\n", "ERR Protocol error: invalid multibulk length");
    expect("* 1\r\n", "ERR Protocol error: invalid multibulk length");
    expect("*2147483648\r\n", "ERR Protocol error: invalid multibulk length");
    expect("*3000000000\r\n", "ERR Protocol error: invalid multibulk length");
    expect("*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n", "ERR Protocol error: expected '$', got 'f'");
    expect("*1\r\n\r\n", "ERR Protocol error: expected '$', got '\r'");
    expect("*1\r\n$x\r\n", "ERR Protocol error: invalid bulk length");
    expect("*1\r\n$\r\n", "ERR Protocol error: invalid bulk length");
    expect("*1\r\n$-1\r\n", "ERR Protocol error: invalid bulk length");
    expect("*1\r\n$01\r\n", "ERR Protocol error: invalid bulk length");
    expect("*1\r\n$1 \r\n", "ERR Protocol error: invalid bulk length");
    expect("*1\r\n$536870913\r\n", "ERR Protocol error: invalid bulk length");
    expect("*1\r\n$20000000000\r\n", "ERR Protocol error: invalid bulk length");
    expect("*1\r\n$99999999999999999999\r\n", "ERR Protocol error: invalid bulk length");
    expect("*1\r\n$2\r\nab\r\n*1\r\n$blabla\r\n", "[ab]ERR Protocol error: invalid bulk length");
}

static void limits_hold(void **state)
{
    struct resp_limits small = {.bulk_len_max = 4};
    expect_text(&small, "*1\r\n$4\r\nabcd\r\n", "[abcd]");
    expect_text(&small, "*1\r\n$5\r\nabcde\r\n", "ERR Protocol error: invalid bulk length");
    struct resp_limits stranger = {.bulk_len_max = 512 << 20, .unauthenticated = true};
    expect_text(&stranger, "*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n", "[AUTH|x]");
    expect_text(&stranger, "*11\r\n", "ERR Protocol error: unauthenticated multibulk length");
    expect_text(&stranger, "*1\r\n$16385\r\n", "ERR Protocol error: unauthenticated bulk length");
}

/* Lines that never end. A NUL hides the line end behind it. */
static void endless_lines(void **state)
{
    static const struct {
        const char *start, *error;
    } rows[] = {{"x", "ERR Protocol error: too big inline request"},
                {"*", "ERR Protocol error: too big mbulk count string"},
                {"*1\r\n$", "ERR Protocol error: too big bulk count string"},
                {"*1\r\n", "ERR Protocol error: too big bulk count string"}};
    char *bytes = malloc(70000);
    for (int nul = 0; nul < 2; nul++) {
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            size_t start = strlen(rows[i].start);
            memcpy(bytes, rows[i].start, start);
            memset(bytes + start, 'A', 70000 - start);
            if (nul) {
                bytes[start] = 0;
                for (size_t k = start + 1; k + 1 < 70000; k += 500) memcpy(bytes + k, "\r\n", 2);
            }
            size_t cuts[] = {start, 1000, 1001, 30000, 65536};
            expect_cut(&limits, bytes, 70000, cuts, 5, 1, rows[i].error, strlen(rows[i].error));
            expect_cut(&limits, bytes, 70000, NULL, 0, 1, rows[i].error, strlen(rows[i].error));
            expect_cut(&limits, bytes, 60000, cuts, 4, 1, "", 0);
        }
    }
    free(bytes);
}

struct stream {
    struct transcript bytes, want;
};

static void add_random_command(struct prng *g, struct stream *s)
{
    char head[32];
    switch (prng_below(g, 12)) {
    case 0: note(&s->bytes, "*0\r\n", 4); return;
    case 1: note(&s->bytes, " \r\n", 3); return;
    case 2:
        note(&s->bytes, "in \"li\\x6ee\" x\n", 15);
        note(&s->want, "[in|line|x]", 11);
        return;
    case 3:
        note(&s->bytes, "in\tline\r\n", 9);
        note(&s->want, "[in|line]", 9);
        return;
    default: break;
    }
    uint64_t argc = 1 + prng_below(g, prng_below(g, 10) ? 4 : 200);
    note(&s->bytes, head, (size_t)sprintf(head, "*%llu\r\n", (unsigned long long)argc));
    note(&s->want, "[", 1);
    for (uint64_t i = 0; i < argc; i++) {
        static const char noise[] = "$3\r\n*\0 \"'xyz0123456789abcdefghijklmnopqrstuvwxyz";
        char arg[2100];
        size_t len = prng_below(g, prng_below(g, 20) ? 20 : 2000);
        for (size_t k = 0; k < len; k++) arg[k] = noise[prng_below(g, sizeof noise)];
        note(&s->bytes, head, (size_t)sprintf(head, "$%zu\r\n", len));
        note(&s->bytes, arg, len);
        note(&s->bytes, "\r\n", 2);
        if (i) note(&s->want, "|", 1);
        note(&s->want, arg, len);
    }
    note(&s->want, "]", 1);
}

static int by_size(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

static void random_streams(void **state)
{
    struct prng g;
    prng_seed(&g, 23);
    for (int round = 0; round < 1500; round++) {
        struct stream s = {{0}, {0}};
        for (uint64_t n = 1 + prng_below(&g, 40); n; n--) add_random_command(&g, &s);
        note(&s.bytes, "END\n", 4);
        note(&s.want, "[END]", 5);
        size_t cuts[64], n = prng_below(&g, 64);
        for (size_t i = 0; i < n; i++) cuts[i] = prng_below(&g, s.bytes.len + 1);
        qsort(cuts, n, sizeof *cuts, by_size);
        int pieces = 1 + (int)prng_below(&g, 5);
        expect_cut(&limits, s.bytes.text, s.bytes.len, cuts, n, pieces, s.want.text, s.want.len);
        free(s.bytes.text);
        free(s.want.text);
    }
}

/* A caller that takes only some commands a turn (it is blocked, or at a limit) loses none. */
static void back_pressure(void **state)
{
    struct prng g;
    prng_seed(&g, 29);
    for (int round = 0; round < 300; round++) {
        struct stream s = {{0}, {0}};
        for (int n = 0; n < 60; n++) add_random_command(&g, &s);
        struct resp_input input = {0};
        struct resp_args args = {0};
        struct transcript t = {0};
        size_t from = 0;
        for (int idle = 0; idle < 3;) {
            size_t n = prng_below(&g, 1500);
            if (n > s.bytes.len - from) n = s.bytes.len - from;
            char *copy = malloc(n + 1);
            memcpy(copy, s.bytes.text + from, n);
            from += n;
            resp_input_feed(&input, copy, n);
            int result = RESP_COMMAND;
            for (uint64_t budget = prng_below(&g, 6); budget && result == RESP_COMMAND; budget--) {
                uint32_t start = args.count;
                result = resp_input_next(&input, &limits, &args);
                assert_true(result >= 0);
                if (result == RESP_COMMAND) note_commands(&t, args.items + start, args.count - start);
            }
            idle = result == RESP_MORE && from == s.bytes.len ? idle + 1 : 0;
            size_t pending = resp_input_pending(&input);
            assert_true(resp_input_keep(&input));
            assert_int_equal(resp_input_pending(&input), pending);
            resp_args_clear(&args);
            free(copy);
        }
        assert_int_equal(t.len, s.want.len);
        assert_memory_equal(t.text, s.want.text, t.len);
        resp_input_free(&input);
        resp_args_free(&args);
        free(t.text);
        free(s.bytes.text);
        free(s.want.text);
    }
}

/* 64 MiB in pieces of 4 KiB, then a million arguments in pieces of 1000 bytes: quadratic work would take
 * minutes. And memory follows what came, not what was claimed. */
static void big_requests(void **state)
{
    struct resp_input input = {0};
    struct resp_args args = {0};
    size_t total = 64 << 20;
    char *chunk = malloc(4096);
    memset(chunk, 'v', 4096);
    resp_input_feed(&input, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$67108864\r\n", 32);
    assert_int_equal(resp_input_next(&input, &limits, &args), RESP_MORE);
    assert_true(resp_input_keep(&input));
    assert_true(input.tail_capacity < 4096);
    clock_t start = clock();
    for (size_t sent = 0; sent < total; sent += 4096) {
        resp_input_feed(&input, chunk, 4096);
        assert_int_equal(resp_input_next(&input, &limits, &args), RESP_MORE);
        assert_true(resp_input_keep(&input));
    }
    assert_true(input.tail_capacity <= 2 * total + 4096);
    resp_input_feed(&input, "\r\nPING\r\n", 8);
    assert_int_equal(resp_input_next(&input, &limits, &args), RESP_COMMAND);
    assert_int_equal(args.count, 3);
    assert_true(args.items[2].len == total && args.items[2].ptr[total - 1] == 'v');
    assert_int_equal(resp_input_next(&input, &limits, &args), RESP_COMMAND);
    assert_true(slice_equal(args.items[3], SLICE("PING")));
    assert_true(resp_input_keep(&input));
    assert_null(input.tail);
    resp_args_clear(&args);

    struct transcript many = {0};
    note(&many, "*1000000\r\n", 10);
    for (int i = 0; i < 1000000; i++) note(&many, "$2\r\nab\r\n", 8);
    for (size_t at = 0; at < many.len; at += 1000) {
        size_t n = many.len - at < 1000 ? many.len - at : 1000;
        resp_input_feed(&input, many.text + at, n);
        int result = resp_input_next(&input, &limits, &args);
        assert_int_equal(result, at + n == many.len ? RESP_COMMAND : RESP_MORE);
        if (result == RESP_MORE) assert_true(resp_input_keep(&input));
    }
    assert_int_equal(args.count, 1000000);
    for (uint32_t i = 0; i < args.count; i++) assert_true(slice_equal(args.items[i], SLICE("ab")));
    resp_input_free(&input);
    resp_args_free(&args);
    free(many.text);
    free(chunk);
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 20);
}

static void words(void **state)
{
    struct resp_args args = {0};
    assert_int_equal(resp_split_words("save \"\" 'a b'", 13, &args), RESP_COMMAND);
    assert_int_equal(args.count, 3);
    assert_true(slice_equal(args.items[1], SLICE("")) && slice_equal(args.items[2], SLICE("a b")));
    assert_int_equal(resp_split_words("   ", 3, &args), RESP_COMMAND);
    assert_int_equal(resp_split_words("", 0, &args), RESP_COMMAND);
    assert_int_equal(resp_split_words("x \"y", 4, &args), RESP_ERROR);
    assert_int_equal(args.count, 3);
    resp_args_free(&args);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(multibulk),     cmocka_unit_test(inline_commands), cmocka_unit_test(protocol_errors),
        cmocka_unit_test(limits_hold),   cmocka_unit_test(endless_lines),   cmocka_unit_test(random_streams),
        cmocka_unit_test(back_pressure), cmocka_unit_test(big_requests),    cmocka_unit_test(words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
