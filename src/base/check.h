/* Assertions. CHECK stays on in every build: a failed one prints its place and stops the process (a wrong
 * server is worse than a dead one). DCHECK is for hot loops: on in debug, sanitizer and simulator builds.
 * Neither may have a side effect. Any thread. */
#ifndef WEFT_BASE_CHECK_H
#define WEFT_BASE_CHECK_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

_Noreturn void check_failed(const char *expression, const char *file, int line);

#define CHECK(e) (__builtin_expect(!!(e), 1) ? (void)0 : check_failed(#e, __FILE__, __LINE__))
#ifdef WEFT_DEBUG
#define DCHECK(e) CHECK(e)
#else
#define DCHECK(e) ((void)sizeof(!!(e)))
#endif

#define LIKELY(e)    __builtin_expect(!!(e), 1)
#define UNLIKELY(e)  __builtin_expect(!!(e), 0)
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
