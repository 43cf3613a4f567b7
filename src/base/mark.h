/* Marks: MARK("lend.queued") says that a rare branch was reached. A build with -DWEFT_SIM counts it; in any
 * other it is nothing. A hunt of the simulator fails on a mark that is never reached: then its workload or
 * its faults do not go where the code is most likely to be wrong.
 *
 * Every MARK is a struct mark of its own; the linker gathers pointers to them in the section weft_marks, so
 * the list needs no registration. One in an inline function appears once per file that uses it, with the same
 * name, file and line: add them up. Names are "part.what", lower case; one name per place.
 *
 * Threading: counters are plain; the simulator runs everything in one thread. Tests: test/unit/mutant_test.c.
 */
#ifndef WEFT_BASE_MARK_H
#define WEFT_BASE_MARK_H

#ifdef WEFT_SIM

#include <stdint.h>

struct mark {
    const char *name, *file;
    uint32_t line;
    uint64_t count;
};

#define MARK(text)                                                                                           \
    do {                                                                                                     \
        static struct mark mark_here = {text, __FILE__, __LINE__, 0};                                        \
        __attribute__((section("weft_marks"), used)) static struct mark *mark_pointer = &mark_here;          \
        (void)mark_pointer;                                                                                  \
        mark_here.count++;                                                                                   \
    } while (0)

/* Each mark of the program once (see above), in link order: begin with NULL; NULL at the end. */
struct mark *const *mark_next(struct mark *const *at);
void marks_clear(void); /* all counters 0 */

#else

#define MARK(text) ((void)0)

#endif
#endif
