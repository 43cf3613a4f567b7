/* A connection's request stream: commands out of received pieces, whose bytes belong to io and die at the
 * next wait.
 *
 *   tail  [used | complete or partial commands kept from earlier turns]      own memory
 *   fresh [used | what this turn received]                                   io's memory
 *
 * One turn: resp_input_feed() the received bytes (once; twice only after a keep), resp_input_next() until it
 * returns RESP_MORE or enough was taken, run the commands, resp_input_keep(), only then wait again. Arguments
 * stay valid until keep. Commands that are whole in the fresh bytes are parsed in place. One that is split is
 * gathered in the tail, and nothing behind it: every byte is copied at most once, plus the tail's growth
 * (geometric; never more than twice what has come, whatever length was claimed). An idle stream holds no
 * memory. One thread. Tests: test/unit/resp_test.c.
 */
#ifndef WEFT_RESP_INPUT_H
#define WEFT_RESP_INPUT_H

#include "resp/parser.h"

struct resp_tail {
    struct resp_tail *older; /* an outgrown one that arguments of this turn still point into */
    char bytes[];
};

struct resp_input {
    struct resp_parser parser;
    struct resp_tail *tail;
    size_t tail_len, tail_used, tail_capacity;
    const char *fresh;
    size_t fresh_len, fresh_used;
};

void resp_input_free(struct resp_input *input); /* all zero again: the empty stream */

/* Takes a received piece. False: no memory (only possible when an earlier piece was not parsed to its end).
 */
bool resp_input_feed(struct resp_input *input, const void *data, size_t len);
/* The next command's arguments are appended to args. Results as resp_parse. */
int resp_input_next(struct resp_input *input, const struct resp_limits *limits, struct resp_args *args);
/* Saves what is not parsed yet; arguments handed out become invalid. False: no memory, close the connection.
 */
bool resp_input_keep(struct resp_input *input);

/* Bytes received and not parsed yet: CLIENT LIST's qbuf, client-query-buffer-limit. */
static inline size_t resp_input_pending(const struct resp_input *input)
{
    return input->tail_len - input->tail_used + input->fresh_len - input->fresh_used;
}

#endif
