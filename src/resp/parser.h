/* The request parser: one command at a time out of a contiguous run of bytes, arguments as slices of that
 * run.
 *
 * resp_parse() is given the bytes from the first one of a command. It returns
 *   RESP_COMMAND    args got the arguments (at least one); the first *consumed bytes are done with
 *   RESP_MORE       a command is incomplete. *consumed bytes (empty commands before it) are done with; keep
 * the others and call again with them and more. The parser remembers how far it came and looks at no byte
 *                   twice, whatever the splits. Until parser->need bytes are there, calling is pointless.
 *   RESP_ERROR      the stream is broken: send resp_parser_error() and close. Every further call says so too.
 *   RESP_NO_MEMORY  nothing was consumed; close.
 *
 * Both wire forms: multibulk ("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n") and inline ("GET k\r\n", with quotes and
 * escapes). Limits and texts are Redis's, and so is its trust: the CR LF behind a bulk is skipped, not
 * checked.
 *
 * Arguments stay valid as long as both the bytes and the resp_args they came to (inline arguments with quotes
 * are unescaped into memory of the resp_args). Cost: ~30 ns for a three-argument SET. One thread. Tests:
 * test/unit/resp_test.c, test/fuzz/resp_fuzz.c.
 */
#ifndef WEFT_RESP_PARSER_H
#define WEFT_RESP_PARSER_H

#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

enum { RESP_COMMAND = 1, RESP_MORE = 0, RESP_ERROR = -1, RESP_NO_MEMORY = -2 };

#define RESP_LINE_MAX             (64 * 1024) /* a header or an inline request */
#define RESP_UNAUTHENTICATED_ARGS 10
#define RESP_UNAUTHENTICATED_BULK 16384

struct resp_limits {
    int64_t bulk_len_max; /* proto-max-bulk-len */
    bool unauthenticated; /* the client still has to authenticate: small requests only */
};

/* Where arguments go: a growing array for a batch of commands. A command's are items[count before the call]
 * up to items[count after it]; growth moves the array, so keep indices. All zero is the empty one. */
struct resp_args {
    struct slice *items;
    uint32_t count, capacity;
    struct resp_block *blocks; /* unescaped bytes */
};

void resp_args_clear(struct resp_args *args); /* forgets all arguments, keeps the array */
void resp_args_free(struct resp_args *args);

/* All zero is a parser at the start of a command. */
struct resp_parser {
    size_t need; /* after RESP_MORE: bytes from the command's first one that the next step takes, at least */
    size_t at;   /* the command's bytes understood so far */
    size_t searched;  /* no line end before this byte */
    int64_t bulk_len; /* of the bulk at `at` if `in_bulk` */
    uint32_t left;    /* bulks to come */
    bool in_bulk;
    char error_byte;
    const char *error;
    struct held_arg *held; /* arguments so far, by offset */
    uint32_t held_count, held_capacity;
};

void resp_parser_reset(struct resp_parser *parser); /* frees what it holds; at the start of a command again */

int resp_parse(struct resp_parser *parser, const struct resp_limits *limits, const char *data, size_t len,
               struct resp_args *args, size_t *consumed);

/* The error reply's text after RESP_ERROR, "ERR Protocol error: …", without '-'. Returns its length. */
#define RESP_ERROR_MAX 80
size_t resp_parser_error(const struct resp_parser *parser, char buf[RESP_ERROR_MAX]);

/* Splits a line into words as inline requests, configuration lines and CONFIG SET are split: blanks separate;
 * "…" with \n \r \t \b \a \xHH \c; '…' with \'. Appends to args. RESP_COMMAND (also for no word at all),
 * RESP_ERROR for unbalanced quotes (args as before), RESP_NO_MEMORY. The line must hold no NUL (it would end
 * the line). */
int resp_split_words(const char *line, size_t len, struct resp_args *args);

#endif
