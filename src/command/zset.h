/* What the files of the sorted set family share. */
#ifndef WEFT_COMMAND_ZSET_H
#define WEFT_COMMAND_ZSET_H

#include "command/command.h"
#include "store/mutate_zset.h"

/* The ends of a range by score (argv[min], argv[max]), by member; both reply the error themselves. */
bool zset_parse_score_range(struct command_context *ctx, int min, int max, struct zset_score_range *range);
bool zset_parse_lex_range(struct command_context *ctx, int min, int max, struct zset_lex_range *range);
/* Redis's reading of a pair of ranks, negative ones from the end, both included. Empty: from == to. */
struct zset_span zset_clamp_ranks(int64_t start, int64_t stop, uint32_t count);

/* The header of a reply of n members, flat in RESP2, with scores as pairs in RESP3; and one of them. */
void zset_reply_header(struct reply *reply, uint64_t n, bool with_scores);
void zset_reply_member(struct reply *reply, struct slice member, double score, bool with_scores);

#endif
