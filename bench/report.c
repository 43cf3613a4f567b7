/* Reports (contract in report.h). The JSON's fields are explained in docs/benchmarks.md. */
#include "report.h"

#include <stdio.h>

#include "base/check.h"

static const double percents[] = {50, 90, 99, 99.9, 99.99};
static const char *const percent_names[] = {"p50", "p90", "p99", "p99.9", "p99.99"};

static double per(double amount, double count)
{
    return count > 0 ? amount / count : 0;
}

static void print_json_string(const char *text)
{
    putchar('"');
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p == '"' || *p == '\\') {
            printf("\\%c", *p);
        } else if (*p < 0x20 || *p >= 0x7f) {
            printf("\\u%04x", *p);
        } else {
            putchar(*p);
        }
    }
    putchar('"');
}

static void print_json_result(const char *name, const struct result *r)
{
    double count = (double)r->requests, elapsed_ns = (double)r->elapsed_ns;
    printf(", \"%s\": {\"requests\": %llu, \"errors\": %llu, \"pushes\": %llu, \"elapsed_s\": %.6f, ", name,
           (unsigned long long)r->requests, (unsigned long long)r->errors, (unsigned long long)r->pushes,
           elapsed_ns / 1e9);
    printf("\"requests_per_s\": %.1f, \"bytes_sent\": %llu, \"bytes_received\": %llu, ",
           per(count * 1e9, elapsed_ns), (unsigned long long)r->bytes_sent,
           (unsigned long long)r->bytes_received);
    printf("\"latency_us\": {\"mean\": %.2f, \"min\": %.2f", latency_mean(&r->latency) / 1e3,
           r->latency.count ? (double)r->latency.min_ns / 1e3 : 0);
    for (size_t i = 0; i < ARRAY_LEN(percents); i++)
        printf(", \"%s\": %.2f", percent_names[i],
               (double)latency_percentile(&r->latency, percents[i]) / 1e3);
    printf(", \"max\": %.2f}, \"own_cpu_ns_per_request\": %.1f, \"own_cpu_share\": %.4f",
           (double)r->latency.max_ns / 1e3, per((double)r->own_cpu_ns, count),
           per((double)r->own_cpu_ns, elapsed_ns));
    if (r->server_cpu_known) {
        printf(
            ", \"server_cpu_ns_per_request\": %.1f, \"server_cpu_share\": %.4f, \"server_user_share\": %.4f",
            per((double)r->server_cpu.total_ns, count), per((double)r->server_cpu.total_ns, elapsed_ns),
            per((double)r->server_cpu.user_ns, (double)(r->server_cpu.user_ns + r->server_cpu.system_ns)));
    }
    if (r->first_error[0]) {
        printf(", \"first_error\": ");
        print_json_string(r->first_error);
    }
    printf("}");
}

static void print_json(const struct options *o, const struct result *preload, const struct result *run)
{
    printf("{\"load\": ");
    print_json_string(o->mix ? o->mix : o->commands[0]);
    printf(", \"connections\": %u, \"pipeline\": %u, \"keys\": %llu, \"dist\": ", o->connections, o->pipeline,
           (unsigned long long)o->keys);
    print_json_string(o->dist);
    printf(", \"value_size\": [%u, %u], \"open_rate\": %.1f, \"resp\": %u, \"seed\": %llu", o->value_size_min,
           o->value_size_max, o->open_rate, o->resp, (unsigned long long)o->seed);
    if (preload) print_json_result("preload", preload);
    if (run) print_json_result("run", run);
    printf("}\n");
}

static void print_text_result(const char *name, const struct options *o, const struct result *r)
{
    double count = (double)r->requests, elapsed_ns = (double)r->elapsed_ns;
    printf("%s: %llu requests in %.3f s = %.0f/s, %llu errors\n", name, (unsigned long long)r->requests,
           elapsed_ns / 1e9, per(count * 1e9, elapsed_ns), (unsigned long long)r->errors);
    if (r->first_error[0]) printf("  first error: %s\n", r->first_error);
    printf("  latency us: mean %.1f", latency_mean(&r->latency) / 1e3);
    for (size_t i = 0; i < ARRAY_LEN(percents); i++)
        printf("  %s %.1f", percent_names[i], (double)latency_percentile(&r->latency, percents[i]) / 1e3);
    printf("  max %.1f\n", (double)r->latency.max_ns / 1e3);
    double own_share = per((double)r->own_cpu_ns, elapsed_ns), server_share = 1;
    printf("  CPU per request: ");
    if (r->server_cpu_known) {
        server_share = per((double)r->server_cpu.total_ns, elapsed_ns);
        double user =
            per((double)r->server_cpu.user_ns, (double)(r->server_cpu.user_ns + r->server_cpu.system_ns));
        printf("server %.0f ns (%.0f %% of a core, %.0f %% of it user), ",
               per((double)r->server_cpu.total_ns, count), server_share * 100, user * 100);
    }
    printf("own %.0f ns (%.0f %% of a core)\n", per((double)r->own_cpu_ns, count), own_share * 100);
    printf("  traffic: %.1f MB/s out, %.1f MB/s in\n", per((double)r->bytes_sent * 1e3, elapsed_ns),
           per((double)r->bytes_received * 1e3, elapsed_ns));
    if (o->open_rate == 0 && own_share > 0.95 && r->server_cpu_known && server_share < 0.9)
        printf("  note: weft-bench itself was the bottleneck; trust the CPU figures, not requests/s\n");
}

void report_print(const struct options *o, const struct result *preload, const struct result *run)
{
    if (o->json) {
        print_json(o, preload, run);
    } else {
        if (preload) print_text_result("preload", o, preload);
        if (run) print_text_result("run", o, run);
    }
    fflush(stdout);
}
