/* One run, and hunts: see hunt.h. */
#include "sim/hunt.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mark.h"
#include "command/command.h"

/* ---- what a child tells: the result, and its marks in link order ---- */

#define MARKS_MAX 512
struct told {
    struct run_result result;
    double seconds;
    bool differs; /* a second run had another hash */
    uint64_t marks[MARKS_MAX];
};

static double seconds_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}
static double seconds_now(void)
{
    return seconds_of(CLOCK_MONOTONIC);
}
/* What a run takes: other work on the machine does not count. */
static double cpu_now(void)
{
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

static void read_marks(uint64_t marks[MARKS_MAX])
{
#ifdef WEFT_SIM
    int i = 0;
    for (struct mark *const *at = mark_next(NULL); at && i < MARKS_MAX; at = mark_next(at))
        marks[i++] = (*at)->count;
#else
    (void)marks;
#endif
}

const char *hunt_replay(const struct hunt_options *hunt, uint64_t seed, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "weft-sim --seed %" PRIu64, seed);
    for (int i = 1; i < hunt->argc && n < size; i++) {
        const char *word = hunt->argv[i];
        bool skip_two = !strcmp(word, "--seed") || !strcmp(word, "--hunt") || !strcmp(word, "--count") ||
                        !strcmp(word, "--jobs");
        if (skip_two) {
            i++;
            continue;
        }
        if (strcmp(word, "--quiet") && strcmp(word, "--shrink"))
            n += (size_t)snprintf(out + n, size - n, " %s", word);
    }
    return out;
}

/* ---- one ---- */

static void print_line(void *context, const char *name, const char *value)
{
    (void)context;
    printf("%-9s %s\n", name, value);
}

struct traced {
    struct trace *trace;
};
static void trace_line(void *context, const char *name, const char *value)
{
    trace_plan(((struct traced *)context)->trace, name, value);
}

/* A failed CHECK ends the process: what the trace has is still written. */
static struct trace *rescued;
static void on_abort(int number)
{
    (void)number;
    trace_rescue(rescued, "a CHECK failed");
}

static struct trace *open_trace(const struct hunt_options *hunt)
{
    if (!hunt->trace_path) return NULL;
    int error = 0;
    struct trace *trace = trace_open(&(struct trace_options){.path = hunt->trace_path}, &error);
    if (!trace) {
        fprintf(stderr, "weft-sim: cannot write %s: %s\n", hunt->trace_path, strerror(-error));
        exit(2);
    }
    rescued = trace;
    signal(SIGABRT, on_abort);
    struct plan plan;
    char replay[1000];
    plan_draw(&plan, &hunt->run.plan);
    trace_world(trace, plan.seed, plan.nodes, plan.shards[0], plan.nodes * (plan.clients + 1),
                hunt_replay(hunt, plan.seed, replay, sizeof replay), COMMAND_WEFT_VERSION);
    plan_describe(&plan, trace_line, &(struct traced){trace});
    return trace;
}

static void print_counts(const struct run_result *result)
{
    printf("ran       %.1f virtual s, %" PRIu64 " steps, %" PRIu64 " turns, %" PRIu64
           " commands answered, %" PRIu64 " with an error\n",
           (double)result->virtual_us / 1e6, result->steps, result->turns, result->commands + result->errors,
           result->errors);
    printf("fired    ");
    for (int i = 0; i < PROCESS_FAULTS; i++)
        if (result->process_fired[i])
            printf(" %s %" PRIu64, process_fault_kinds[i].name, result->process_fired[i]);
    for (int i = 0; i < IO_SIM_FAULT_COUNT; i++)
        if (result->world_fired[i])
            printf(" %s %" PRIu64, io_sim_fault_name((enum io_sim_fault)i), result->world_fired[i]);
    printf("\n");
}

static void print_finding(const struct hunt_options *hunt, const struct run_result *result)
{
    const struct finding *finding = &result->finding;
    char replay[1000];
    printf("FAILED    at %.6f virtual s, step %" PRIu64 "\n", (double)finding->at_us / 1e6, finding->step);
    printf("oracle: %s\n", oracle_names[finding->oracle]);
    printf("%s\n", finding->complaint);
    printf("replay: %s\n", hunt_replay(hunt, hunt->run.plan.seed, replay, sizeof replay));
}

int hunt_one(const struct hunt_options *hunt)
{
    struct run_options options = hunt->run;
    struct run_result result;
    struct plan plan;
    plan_draw(&plan, &options.plan);
    if (!hunt->quiet) {
        printf("seed      %" PRIu64 "\n", plan.seed);
        plan_describe(&plan, print_line, NULL);
        fflush(stdout);
    }
    options.trace = open_trace(hunt);
    if (hunt->tape_path && !(options.tape = fopen(hunt->tape_path, "wb"))) {
        fprintf(stderr, "weft-sim: cannot write %s\n", hunt->tape_path);
        return 2;
    }
    double start = cpu_now();
    run_simulation(&options, &result);
    double seconds = cpu_now() - start;
    if (options.tape) fclose(options.tape);
    bool failed = result.finding.found;
    char hash[24];
    snprintf(hash, sizeof hash, "%016" PRIx64, result.hash);
    if (options.trace)
        trace_close(options.trace, result.end_us, hash, failed,
                    failed ? result.finding.complaint : "every oracle held");
    if (!hunt->quiet) {
        print_counts(&result);
        printf("took      %.3f s of CPU time for %.0f times as much virtual time\n", seconds,
               (double)result.virtual_us / 1e6 / seconds);
    }
    if (failed) print_finding(hunt, &result);
    if (hunt->twice && !failed) {
        struct run_result again;
        options.trace = NULL;
        options.tape = NULL;
        run_simulation(&options, &again);
        if (again.hash != result.hash) {
            printf("FAILED\noracle: determinism\nthe second run's hash is %016" PRIx64 "\n", again.hash);
            failed = true;
        }
    }
    if (!failed) printf("verdict: every oracle held\n");
    printf("hash: %s\n", hash);
    return failed ? 1 : 0;
}

/* ---- many ---- */

struct totals {
    uint64_t seeds, failed, commands, errors, steps, turns, undecided;
    double virtual_s, real_s;
    uint64_t process_fired[PROCESS_FAULTS], world_fired[IO_SIM_FAULT_COUNT];
    uint64_t marks[MARKS_MAX], marked[MARKS_MAX]; /* how often, in how many seeds */
    uint64_t litmus_played[LITMUS_TESTS_MAX], litmus_weak[LITMUS_TESTS_MAX];
    double *ratios;
};

static pid_t start_child(const struct run_options *options, bool twice, int *from)
{
    int ends[2];
    CHECK(pipe(ends) == 0);
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid > 0) {
        close(ends[1]);
        *from = ends[0];
        return pid;
    }
    close(ends[0]);
    struct told *told = calloc(1, sizeof *told);
    CHECK(told);
    double start = cpu_now();
    alarm(300);
    run_simulation(options, &told->result);
    if (twice && !told->result.finding.found) {
        struct run_result again;
        run_simulation(options, &again);
        told->differs = again.hash != told->result.hash;
    }
    told->seconds = cpu_now() - start;
    read_marks(told->marks);
    const char *at = (const char *)told;
    for (size_t left = sizeof *told; left;) {
        ssize_t n = write(ends[1], at, left);
        if (n <= 0) _exit(3);
        at += n;
        left -= (size_t)n;
    }
    _exit(0);
}

/* False: the child died before it could tell. */
static bool hear(int from, struct told *told)
{
    char *at = (char *)told;
    size_t left = sizeof *told;
    while (left) {
        ssize_t n = read(from, at, left);
        if (n <= 0) break;
        at += n;
        left -= (size_t)n;
    }
    close(from);
    return left == 0;
}

static void add(struct totals *totals, const struct told *told)
{
    const struct run_result *r = &told->result;
    totals->ratios = realloc(totals->ratios, (totals->seeds + 1) * sizeof *totals->ratios);
    CHECK(totals->ratios);
    totals->ratios[totals->seeds++] = (double)r->virtual_us / 1e6 / told->seconds;
    totals->commands += r->commands;
    totals->errors += r->errors;
    totals->steps += r->steps;
    totals->turns += r->turns;
    totals->undecided += r->undecided;
    totals->virtual_s += (double)r->virtual_us / 1e6;
    totals->real_s += told->seconds;
    for (int i = 0; i < PROCESS_FAULTS; i++) totals->process_fired[i] += r->process_fired[i];
    for (int i = 0; i < IO_SIM_FAULT_COUNT; i++) totals->world_fired[i] += r->world_fired[i];
    for (int i = 0; i < MARKS_MAX; i++) {
        totals->marks[i] += told->marks[i];
        totals->marked[i] += told->marks[i] != 0;
    }
    for (int i = 0; i < litmus_test_count; i++) {
        totals->litmus_played[i] += r->litmus_played[i];
        totals->litmus_weak[i] += r->litmus_weak[i];
    }
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(struct totals *totals)
{
    if (!totals->seeds) return;
    qsort(totals->ratios, totals->seeds, sizeof *totals->ratios, compare_doubles);
    printf("%" PRIu64 " seeds, %" PRIu64
           " failed; %.0f seeds per core-hour; virtual to CPU time: median %.0f, in sum %.0f\n",
           totals->seeds, totals->failed, (double)totals->seeds / totals->real_s * 3600,
           totals->ratios[totals->seeds / 2], totals->virtual_s / totals->real_s);
    printf("%" PRIu64 " commands, %" PRIu64 " with an error; %" PRIu64 " steps, %" PRIu64 " turns; %" PRIu64
           " histories undecided\n",
           totals->commands + totals->errors, totals->errors, totals->steps, totals->turns,
           totals->undecided);
    printf("faults fired:\n");
    for (int i = 0; i < PROCESS_FAULTS; i++)
        printf("  %-24s %" PRIu64 "\n", process_fault_kinds[i].name, totals->process_fired[i]);
    for (int i = 0; i < IO_SIM_FAULT_COUNT; i++) {
        enum io_sim_group group = io_sim_fault_row((enum io_sim_fault)i)->group;
        if (group == IO_SIM_DISK || group == IO_SIM_STORE) continue; /* nothing uses them yet */
        printf("  %-24s %" PRIu64 "\n", io_sim_fault_name((enum io_sim_fault)i), totals->world_fired[i]);
    }
    printf("litmus tests played, and with outcomes that only relaxed order allows:\n");
    for (int i = 0; i < litmus_test_count; i++)
        printf("  %-48s %" PRIu64 " %" PRIu64 "\n", litmus_tests[i].name, totals->litmus_played[i],
               totals->litmus_weak[i]);
#ifdef WEFT_SIM
    printf("marks reached:\n");
    int i = 0;
    for (struct mark *const *at = mark_next(NULL); at && i < MARKS_MAX; at = mark_next(at), i++)
        if (totals->marks[i])
            printf("  %-32s %" PRIu64 " in %" PRIu64 " seeds\n", (*at)->name, totals->marks[i],
                   totals->marked[i]);
        else
            printf("  %-32s 0  NEVER\n", (*at)->name);
#endif
}

struct job {
    pid_t pid;
    int from;
    uint64_t seed;
};

static void take_job(const struct hunt_options *hunt, struct job *job, struct totals *totals)
{
    struct told *told = calloc(1, sizeof *told);
    CHECK(told);
    bool heard = hear(job->from, told);
    int status = 0;
    waitpid(job->pid, &status, 0);
    char replay[1000];
    hunt_replay(hunt, job->seed, replay, sizeof replay);
    if (!heard) {
        totals->failed++;
        printf("seed %" PRIu64 " FAILED: oracle: %s (signal %d)\n  replay: %s\n", job->seed,
               WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? "hang" : "crash",
               WIFSIGNALED(status) ? WTERMSIG(status) : 0, replay);
    } else {
        add(totals, told);
        if (told->differs) {
            totals->failed++;
            printf("seed %" PRIu64 " FAILED: oracle: determinism\n  two runs, two hashes\n  replay: %s\n",
                   job->seed, replay);
        }
        if (told->result.finding.found) {
            totals->failed++;
            printf("seed %" PRIu64 " FAILED: oracle: %s\n  %s\n  replay: %s\n", job->seed,
                   oracle_names[told->result.finding.oracle], told->result.finding.complaint, replay);
        }
    }
    fflush(stdout);
    job->pid = 0;
    free(told);
}

int hunt_try(const struct run_options *options, struct run_result *result)
{
    int from, status;
    struct told *told = calloc(1, sizeof *told);
    CHECK(told);
    pid_t pid = start_child(options, false, &from);
    bool heard = hear(from, told);
    waitpid(pid, &status, 0);
    *result = told->result;
    free(told);
    return !heard ? ORACLES : result->finding.found ? (int)result->finding.oracle : -1;
}

int hunt_many(const struct hunt_options *hunt)
{
    struct totals totals = {0};
    struct job jobs[16] = {0};
    int limit = hunt->jobs < 1 ? 1 : hunt->jobs > 16 ? 16 : hunt->jobs, next = 0;
    double end = hunt->minutes > 0 ? seconds_now() + hunt->minutes * 60 : 1e300;
    uint64_t seed = hunt->run.plan.seed, last = hunt->count ? seed + hunt->count : UINT64_MAX;
    for (; seed < last && seconds_now() < end; seed++) {
        if (jobs[next].pid) take_job(hunt, &jobs[next], &totals);
        jobs[next].seed = seed;
        struct run_options options = hunt->run;
        options.plan.seed = seed;
        jobs[next].pid = start_child(&options, hunt->twice, &jobs[next].from);
        next = (next + 1) % limit;
    }
    for (int i = 0; i < limit; i++)
        if (jobs[i].pid) take_job(hunt, &jobs[i], &totals);
    report(&totals);
    free(totals.ratios);
    return totals.failed ? 1 : 0;
}
