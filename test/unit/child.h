/* Children of a test program: what must not happen to the program itself (signals, limits, a kernel that
 * refuses a call) happens to one. What a child reached counts for coverage, as it leaves through
 * child_exit(). Included once per program. */
#ifndef WEFT_TEST_CHILD_H
#define WEFT_TEST_CHILD_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Writes the counters of a build that has some. */
extern void __gcov_exit(void) __attribute__((weak));

static inline _Noreturn void child_exit(int status)
{
    if (__gcov_exit) __gcov_exit();
    _exit(status);
}

#define LOAD(offset)                  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (offset))
#define ALLOW_UNLESS_EQUAL(value, to) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (to))
#define RETURN(action)                BPF_STMT(BPF_RET | BPF_K, (action))

static inline void child_filter(const struct sock_filter *filter, size_t count)
{
    struct sock_fprog program = {(unsigned short)count, (struct sock_filter *)(uintptr_t)filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(99);
}

/* From now on the kernel answers this call of the child's with an error. */
static inline void child_refuse(int call, int error)
{
    const struct sock_filter filter[] = {
        LOAD(offsetof(struct seccomp_data, nr)),
        ALLOW_UNLESS_EQUAL((unsigned)call, 1),
        RETURN(SECCOMP_RET_ERRNO | (unsigned)error),
        RETURN(SECCOMP_RET_ALLOW),
    };
    child_filter(filter, sizeof filter / sizeof filter[0]);
}

/* `run` holds, in a child. */
static inline void expect_in_child(bool (*run)(void))
{
    pid_t child = fork();
    if (child == 0) child_exit(run() ? 0 : 1);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

#endif
