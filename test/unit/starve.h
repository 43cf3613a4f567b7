/* Memory that runs out: with the linker's --wrap (STARVED in the Makefile), the n-th malloc(), calloc() or
 * realloc() of a shard's turn returns NULL once. What io allocates meanwhile is the simulated kernel's and
 * does not count. Included once per program. */
#ifndef WEFT_TEST_STARVE_H
#define WEFT_TEST_STARVE_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#include "io/io.h"

static struct {
    bool in_turn;   /* of a shard, and not inside io */
    uint64_t after; /* the one that fails: 1 is the next; 0: none */
    uint64_t failed;
} starve;

static bool starves(void)
{
    if (!starve.in_turn || starve.after == 0 || --starve.after > 0) return false;
    starve.failed++;
    return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
    return starves() ? NULL : __real_malloc(size);
}
void *__wrap_calloc(size_t count, size_t size)
{
    return starves() ? NULL : __real_calloc(count, size);
}
void *__wrap_realloc(void *old, size_t size)
{
    return starves() ? NULL : __real_realloc(old, size);
}

/* The doors into io that a turn goes through. */
#define DOOR(type, name, parameters, arguments)                                                              \
    type __real_##name parameters;                                                                           \
    type __wrap_##name parameters;                                                                           \
    type __wrap_##name parameters                                                                            \
    {                                                                                                        \
        bool in_turn = starve.in_turn;                                                                       \
        starve.in_turn = false;                                                                              \
        type result = __real_##name arguments;                                                               \
        starve.in_turn = in_turn;                                                                            \
        return result;                                                                                       \
    }
#define DOOR_VOID(name, parameters, arguments)                                                               \
    void __real_##name parameters;                                                                           \
    void __wrap_##name parameters;                                                                           \
    void __wrap_##name parameters                                                                            \
    {                                                                                                        \
        bool in_turn = starve.in_turn;                                                                       \
        starve.in_turn = false;                                                                              \
        __real_##name arguments;                                                                             \
        starve.in_turn = in_turn;                                                                            \
    }

DOOR(int, io_wait, (struct io * io, int64_t until_us, struct io_completion *out, int max),
     (io, until_us, out, max))
DOOR(struct io_conn *, io_attach, (struct io * io, io_socket socket, void *user), (io, socket, user))
DOOR_VOID(io_send, (struct io_conn * conn, const struct io_slice *slices, int count), (conn, slices, count))
DOOR_VOID(io_send_lazy, (struct io_conn * conn, const struct io_slice *slices, int count),
          (conn, slices, count))
DOOR_VOID(io_close, (struct io_conn * conn), (conn))
DOOR_VOID(io_wake, (struct io * io), (io))

#endif
