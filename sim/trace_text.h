/* trace_text: one line of JSON in the making, and binary data as text for people.
 *
 * A line is a fixed buffer; who fills it keeps within the budgets below, and a CHECK stops the program that
 * does not. Nothing here allocates or calls the system, so a signal handler may write a line, too.
 *
 * Display form: printable UTF-8 stays as it is; a backslash becomes \\; \n \r \t \a \b as in C; every other
 * byte \xhh: control characters, invalid UTF-8, and characters that would disturb their neighbours on a
 * screen (direction marks, invisible ones). It can be read back without loss. JSON's own escapes come on top,
 * with
 * "<" as \u003c. Used by sim/trace.c alone. Tests: test/sim/trace_page_test.py.
 */
#ifndef WEFT_SIM_TRACE_TEXT_H
#define WEFT_SIM_TRACE_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include "base/slice.h"

#define TRACE_LINE_BYTES   (64 * 1024)
#define TRACE_EXPANSION    6    /* bytes of JSON that one byte of text may take */
#define TRACE_ARGV_BYTES   480  /* of all arguments of a command that are shown */
#define TRACE_REPLY_BYTES  320  /* of the text of a reply */
#define TRACE_SENTENCE_MAX 8000 /* of a complaint, a log line, a plan */

struct trace_line {
    size_t len;
    char bytes[TRACE_LINE_BYTES];
};

/* {"k":"kind"  ...  }\n */
void trace_line_begin(struct trace_line *line, const char *kind);
void trace_line_end(struct trace_line *line);

/* ,"name":value. Names are literals. */
void trace_line_i64(struct trace_line *line, const char *name, int64_t value);
void trace_line_index(struct trace_line *line, const char *name, int value); /* nothing when it is -1 */
void trace_line_bool(struct trace_line *line, const char *name, bool value);
/* Text that may be anything; at most `max` bytes of it, then how many more there were. */
void trace_line_text(struct trace_line *line, const char *name, struct slice text, size_t max);
/* Text that is in display form already, at most `max` bytes of it: backslashes and line breaks stay what they
 * are. */
void trace_line_shown(struct trace_line *line, const char *name, struct slice text, size_t max);
/* A sentence of our own, likewise: at most TRACE_SENTENCE_MAX bytes. */
void trace_line_sentence(struct trace_line *line, const char *name, const char *sentence);
/* A command as one would type it into redis-cli, at most TRACE_ARGV_BYTES of it. */
void trace_line_argv(struct trace_line *line, const char *name, const struct slice *argv, size_t argc);
/* RESP2 or RESP3 bytes as one line: OK, 12, "text", (nil), [1, 2], {"a": 1}, (error) ERR ... Then ,"e":true
 * if the reply is an error. */
void trace_line_resp(struct trace_line *line, const char *name, const char *resp, size_t len);
/* ,"name":[1,2,3] */
void trace_line_counts(struct trace_line *line, const char *name, const uint32_t *counts, size_t count);

#endif
