/* What a shard counts: spans of fast commands, error codes, rates, latency series. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "shard/latency.h"
#include "shard/stats.h"

/* ---- spans ---- */

static void note(struct stats_span *span, struct command_stats *all, uint16_t id, int times)
{
    for (int i = 0; i < times; i++) {
        all[id].calls++;
        span->commands[span->count++] = id;
    }
}

static void a_span_is_shared_evenly(void **state)
{
    struct command_stats *all = command_stats_create();
    struct stats_span span = {.start_us = 1000};
    int64_t own;
    note(&span, all, 3, 6);
    note(&span, all, 5, 3);
    note(&span, all, 3, 1);
    assert_int_equal(stats_span_end(&span, all, 1020, true, false, &own), 20);
    assert_int_equal(all[3].ns, 14000);
    assert_int_equal(all[5].ns, 6000);
    assert_int_equal(all[3].latency->count, 7);
    assert_int_equal(all[3].latency->max, 2000);
    assert_int_equal(span.count, 0);
    assert_int_equal(span.start_us, 1020);
    /* The clock may stand still, and histograms may be off. */
    note(&span, all, 3, 2);
    assert_int_equal(stats_span_end(&span, all, 1020, false, false, &own), 0);
    assert_int_equal(all[3].ns, 14000);
    assert_int_equal(all[3].latency->count, 7);
    command_stats_destroy(all);
}

static void a_big_command_takes_what_others_do_not(void **state)
{
    struct command_stats *all = command_stats_create();
    struct stats_span span = {.start_us = 0};
    int64_t own;
    note(&span, all, 3, 10);
    stats_span_end(&span, all, 5, true, false, &own); /* 500 ns each is usual */
    note(&span, all, 3, 4);
    note(&span, all, 7, 1);
    stats_span_end(&span, all, 10005, true, true, &own);
    assert_in_range(own, 9990, 9999);
    assert_in_range(all[7].ns, 9990000, 9999000);
    assert_int_equal(all[3].ns + all[7].ns, 10005000);
    assert_int_equal(all[7].latency->count, 1);
    assert_int_equal(all[3].latency->count, 14);
    /* Alone in its span it takes everything. */
    note(&span, all, 7, 1);
    stats_span_end(&span, all, 10105, true, true, &own);
    assert_int_equal(own, 100);
    command_stats_destroy(all);
}

static void stats_add_up(void **state)
{
    struct command_stats *a = command_stats_create(), *b = command_stats_create();
    command_stats_add(&a[1], 100, 3, true);
    command_stats_add(&b[1], 5000, 1, true);
    command_stats_add(&b[2], 700, 2, false);
    a[1].calls = 3, b[1].calls = 1, b[1].failed = 1, b[2].rejected = 4;
    for (int id = 0; id < COMMAND_COUNT_MAX; id++) command_stats_merge(&a[id], &b[id]);
    assert_int_equal(a[1].calls, 4);
    assert_int_equal(a[1].failed, 1);
    assert_int_equal(a[1].ns, 5300);
    assert_int_equal(a[1].latency->count, 4);
    assert_int_equal(a[1].latency->max, 5000);
    assert_int_equal(a[2].rejected, 4);
    assert_int_equal(a[2].ns, 1400);
    assert_null(a[2].latency);
    bool was_fast = a[1].is_fast;
    command_stats_reset(a);
    assert_int_equal(a[1].calls, 0);
    assert_null(a[1].latency);
    assert_true(a[1].is_fast == was_fast);
    command_stats_destroy(a);
    command_stats_destroy(b);
}

/* ---- errors ---- */

static bool add(struct error_stats *errors, const char *code, uint64_t count)
{
    return error_stats_add(errors, (struct slice){code, strlen(code)}, count);
}

static void error_codes_are_bounded(void **state)
{
    static struct error_stats errors;
    char code[64];
    assert_true(add(&errors, "ERR", 1));
    assert_true(add(&errors, "WRONGTYPE", 2));
    assert_true(add(&errors, "ERR", 3));
    assert_int_equal(errors.kinds, 2);
    assert_string_equal(errors.items[0].code, "ERR");
    assert_int_equal(errors.items[0].count, 4);
    for (int i = 2; i < STATS_ERRORS_MAX; i++) {
        snprintf(code, sizeof code, "E%d", i);
        assert_true(add(&errors, code, 1));
    }
    assert_true(add(&errors, "E77", 1)); /* known ones go on */
    assert_false(add(&errors, "ONE-TOO-MANY", 1));
    assert_int_equal(errors.kinds, 1);
    assert_string_equal(errors.items[0].code, STATS_ERRORS_FULL);
    assert_true(add(&errors, "ERR", 1)); /* said once */
    assert_int_equal(errors.kinds, 1);
    assert_int_equal(errors.items[0].count, 1);
}

static void long_error_codes_are_cut(void **state)
{
    static struct error_stats errors;
    char code[100];
    memset(code, 'X', sizeof code);
    assert_true(error_stats_add(&errors, (struct slice){code, sizeof code}, 1));
    assert_true(error_stats_add(&errors, (struct slice){code, sizeof code}, 1));
    assert_int_equal(errors.kinds, 1);
    assert_int_equal(strlen(errors.items[0].code), STATS_ERROR_LEN_MAX - 1);
    assert_int_equal(errors.items[0].count, 2);
}

/* ---- rates ---- */

static void rates_are_means(void **state)
{
    struct stats_rates rates = {0};
    uint64_t now[STATS_RATE_COUNT] = {0};
    int64_t time_us = 5000000;
    stats_rates_sample(&rates, now, time_us);
    for (int i = 0; i < STATS_RATE_SAMPLES; i++) {
        now[STATS_RATE_COMMANDS] += 1000;
        now[STATS_RATE_TURNS] += 1;
        stats_rates_sample(&rates, now, time_us += 100000);
    }
    assert_int_equal(stats_rates_mean(&rates, STATS_RATE_COMMANDS), 10000);
    assert_int_equal(stats_rates_mean(&rates, STATS_RATE_TURNS), 10);
    assert_int_equal(stats_rates_mean(&rates, STATS_RATE_BYTES_IN), 0);
    /* A counter that was reset does not make a jump. */
    now[STATS_RATE_COMMANDS] = 0;
    stats_rates_sample(&rates, now, time_us += 100000);
    assert_int_equal(stats_rates_mean(&rates, STATS_RATE_COMMANDS), 10000 * 15 / 16);
    for (int i = 0; i < STATS_RATE_SAMPLES; i++) stats_rates_sample(&rates, now, time_us += 100000);
    assert_int_equal(stats_rates_mean(&rates, STATS_RATE_COMMANDS), 0);
}

/* ---- latency ---- */

static void a_second_has_one_sample(void **state)
{
    struct latency_series series = {0};
    latency_add(&series, 100, 5);
    latency_add(&series, 100, 9);
    latency_add(&series, 100, 7);
    latency_add(&series, 103, 2);
    assert_int_equal(series.count, 2);
    assert_int_equal(latency_sample_at(&series, 0)->ms, 9);
    assert_int_equal(latency_sample_at(&series, 1)->time_s, 103);
    assert_int_equal(series.max_ms, 9);
    for (int i = 0; i < 200; i++) latency_add(&series, 200 + i, 1);
    assert_int_equal(series.count, LATENCY_SAMPLES);
    assert_int_equal(latency_sample_at(&series, 0)->time_s, 200 + 200 - LATENCY_SAMPLES);
    assert_int_equal(latency_sample_at(&series, LATENCY_SAMPLES - 1)->time_s, 399);
    assert_int_equal(series.max_ms, 9);
}

static void series_merge_by_time(void **state)
{
    struct latency_series a = {0}, b = {0};
    latency_add(&a, 10, 5);
    latency_add(&a, 30, 6);
    latency_add(&a, 50, 1);
    latency_add(&b, 20, 7);
    latency_add(&b, 30, 8);
    latency_merge(&a, &b);
    static const struct latency_sample want[] = {{10, 5}, {20, 7}, {30, 8}, {50, 1}};
    assert_int_equal(a.count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(latency_sample_at(&a, i)->time_s, want[i].time_s);
        assert_int_equal(latency_sample_at(&a, i)->ms, want[i].ms);
    }
    assert_int_equal(a.max_ms, 8);
    struct latency_series old = {0}, recent = {0};
    for (int i = 0; i < LATENCY_SAMPLES; i++) {
        latency_add(&old, i, 1);
        latency_add(&recent, 1000 + i, 2);
    }
    latency_merge(&old, &recent); /* the newest stay */
    assert_int_equal(old.count, LATENCY_SAMPLES);
    assert_int_equal(latency_sample_at(&old, 0)->time_s, 1000);
}

static void events_have_names(void **state)
{
    for (int event = 0; event < LATENCY_EVENTS; event++) {
        const char *name = latency_event_name((enum latency_event)event);
        assert_int_equal(latency_event_named((struct slice){name, strlen(name)}), event);
    }
    assert_int_equal(latency_event_named(SLICE("comman")), LATENCY_EVENTS);
    assert_int_equal(latency_event_named(SLICE("")), LATENCY_EVENTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_span_is_shared_evenly),
        cmocka_unit_test(a_big_command_takes_what_others_do_not),
        cmocka_unit_test(stats_add_up),
        cmocka_unit_test(error_codes_are_bounded),
        cmocka_unit_test(long_error_codes_are_cut),
        cmocka_unit_test(rates_are_means),
        cmocka_unit_test(a_second_has_one_sample),
        cmocka_unit_test(series_merge_by_time),
        cmocka_unit_test(events_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
