/* A connection's request stream (contract in input.h). */
#include "resp/input.h"

#include "base/check.h"

#include <stdlib.h>

#define GATHER_MIN                                                                                           \
    256 /* taken over at least, when a split command needs more: its header's rest, at a guess */
#define TAIL_MIN 512

static void free_tails(struct resp_tail *tail)
{
    while (tail != NULL) {
        struct resp_tail *older = tail->older;
        free(tail);
        tail = older;
    }
}

void resp_input_free(struct resp_input *input)
{
    resp_parser_reset(&input->parser);
    free_tails(input->tail);
    *input = (struct resp_input){0};
}

/* Room for `more` bytes behind the tail. Arguments may point into its used part: then that buffer stays until
 * keep. */
static bool tail_reserve(struct resp_input *input, size_t more)
{
    if (input->tail_capacity - input->tail_len >= more) return true;
    size_t left = input->tail_len - input->tail_used;
    size_t wanted = left + more;
    if (wanted < 2 * left) wanted = 2 * left;
    if (wanted < TAIL_MIN) wanted = TAIL_MIN;
    if (input->tail_used == 0) {
        struct resp_tail *tail = realloc(input->tail, sizeof *tail + wanted);
        if (tail == NULL) return false;
        if (input->tail == NULL) tail->older = NULL;
        input->tail = tail;
    } else {
        struct resp_tail *tail = malloc(sizeof *tail + wanted);
        if (tail == NULL) return false;
        memcpy(tail->bytes, input->tail->bytes + input->tail_used, left);
        tail->older = input->tail;
        input->tail = tail;
        input->tail_len = left;
        input->tail_used = 0;
    }
    input->tail_capacity = wanted;
    return true;
}

/* Moves `n` fresh bytes behind the tail. False: no memory. */
static bool gather(struct resp_input *input, size_t n)
{
    if (!tail_reserve(input, n)) return false;
    memcpy(input->tail->bytes + input->tail_len, input->fresh + input->fresh_used, n);
    input->tail_len += n;
    input->fresh_used += n;
    return true;
}

bool resp_input_feed(struct resp_input *input, const void *data, size_t len)
{
    if (UNLIKELY(input->fresh_used < input->fresh_len) &&
        !gather(input, input->fresh_len - input->fresh_used))
        return false;
    input->fresh = data;
    input->fresh_len = len;
    input->fresh_used = 0;
    return true;
}

/* Gives back the bytes that were gathered beyond the end of the command, if all that is left in the tail is
 * such. */
static void ungather(struct resp_input *input)
{
    size_t left = input->tail_len - input->tail_used;
    if (left > input->fresh_used) return;
    input->fresh_used -= left;
    input->tail_len = input->tail_used;
}

/* While the tail holds unparsed bytes. RESP_MORE: go on with the fresh ones, if the tail is empty now. */
static int next_from_tail(struct resp_input *input, const struct resp_limits *limits, struct resp_args *args)
{
    for (;;) {
        size_t have = input->tail_len - input->tail_used, used = 0;
        int result = RESP_MORE;
        if (have >= input->parser.need)
            result =
                resp_parse(&input->parser, limits, input->tail->bytes + input->tail_used, have, args, &used);
        if (used) {
            input->tail_used += used;
            have -= used;
            ungather(input);
        }
        if (result != RESP_MORE) return result;
        size_t left = input->fresh_len - input->fresh_used;
        if (input->tail_used == input->tail_len || left == 0) return RESP_MORE;
        size_t wanted = input->parser.need > have + GATHER_MIN ? input->parser.need - have : GATHER_MIN;
        if (!gather(input, wanted < left ? wanted : left)) return RESP_NO_MEMORY;
    }
}

int resp_input_next(struct resp_input *input, const struct resp_limits *limits, struct resp_args *args)
{
    if (UNLIKELY(input->tail_used < input->tail_len)) {
        int result = next_from_tail(input, limits, args);
        if (result != RESP_MORE || input->tail_used < input->tail_len) return result;
    }
    if (input->fresh_used == input->fresh_len) return RESP_MORE;
    size_t used = 0;
    int result = resp_parse(&input->parser, limits, input->fresh + input->fresh_used,
                            input->fresh_len - input->fresh_used, args, &used);
    input->fresh_used += used;
    return result;
}

bool resp_input_keep(struct resp_input *input)
{
    if (LIKELY(input->tail == NULL && input->fresh_used == input->fresh_len)) return true;
    if (input->tail != NULL) {
        free_tails(input->tail->older);
        input->tail->older = NULL;
        size_t left = input->tail_len - input->tail_used;
        if (input->tail_used) memmove(input->tail->bytes, input->tail->bytes + input->tail_used, left);
        input->tail_len = left;
        input->tail_used = 0;
    }
    size_t fresh = input->fresh_len - input->fresh_used;
    if (fresh && !gather(input, fresh)) return false;
    input->fresh = NULL;
    input->fresh_len = input->fresh_used = 0;
    if (input->tail_len == 0) {
        free(input->tail);
        input->tail = NULL;
        input->tail_capacity = 0;
    }
    return true;
}
