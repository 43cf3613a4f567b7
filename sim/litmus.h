/* litmus: tiny programs on up to four clients and four keys, whose outcomes tell which orders of memory are
 * kept (Alglave, Maranget, Sarkar, Sewell: "Litmus: running tests against hardware", 2011). As data:
 * litmus.c. Each instance has keys of its own, which fall on any shards. The players of a node begin a round
 * of instances at the same moment; what they read must be an outcome that docs/decisions/005 allows.
 *
 * Programs: commands in the words of the wire, where x y z w are keys; between two of them stands
 *   ;   the next is sent at once (a pipeline)
 *   .   the next is sent when all replies are here
 * Outcome: of each player that reads a word, with a letter for everything that it read, in the order of its
 * commands: 0 for a missing value, else the value's first letter; n for an EXEC that was answered null.
 */
#ifndef WEFT_SIM_LITMUS_H
#define WEFT_SIM_LITMUS_H

#include <stdbool.h>
#include <stdint.h>

#define LITMUS_PLAYERS   4
#define LITMUS_ROUND     1     /* instances that are played in a round */
#define LITMUS_ROUND_US  60000 /* from one round to the next */
#define LITMUS_TESTS_MAX 32

struct litmus_test {
    const char *name;
    const char *programs[LITMUS_PLAYERS];
    const char *strict;  /* allowed outcomes, separated by " | " */
    const char *relaxed; /* NULL: as strict */
};
extern const struct litmus_test litmus_tests[];
extern const int litmus_test_count;

struct run;
struct client;

/* The test that an instance is of. */
const struct litmus_test *litmus_test_of(const struct run *run, uint64_t instance);
/* Is this client one of the players? */
bool litmus_plays(const struct client *client);
/* A round begins, unless the last one is still under way. */
void litmus_begin(struct client *client);
/* Goes on as far as it can without waiting for replies. */
void litmus_go_on(struct client *client);
/* At the end of the run: every instance that was played to its end. */
void litmus_check(struct run *run);

#endif
