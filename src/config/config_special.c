/* The directives whose value is a list: bind, client-output-buffer-limit, latency-tracking-info-percentiles,
 * notify-keyspace-events, oom-score-adj-values, replicaof, save. Each has its own set, get and lines; error
 * texts are Redis's. A failing set changes nothing. Every list has a bound (config.h). Pure; control plane
 * only. Tests: test/unit/config_set_test.c, and compared with a real server by
 * test/blackbox/config_test.py.
 */
#include "config/config_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/number.h"
#include "config/config_text.h"

#define REASON(...) snprintf(reason, CONFIG_ERROR_MAX, __VA_ARGS__)

/* What strtoll takes as a whole: a sign, leading zeros; nothing at all is 0. */
static bool parse_loose(struct slice word, int64_t *value)
{
    char buf[32], *end;
    if (word.len >= sizeof(buf) || memchr(word.ptr, 0, word.len)) return false;
    memcpy(buf, word.ptr, word.len);
    buf[word.len] = 0;
    *value = strtoll(buf, &end, 10);
    return *end == 0;
}

static bool is_single_empty(const struct slice *words, size_t count)
{
    return count == 1 && words[0].len == 0;
}

/* ---- bind ---- */

/* Can this be an address or a host's name? What is left out would not survive CONFIG REWRITE either. */
static bool is_address(struct slice word)
{
    for (size_t i = 0; i < word.len; i++)
        if (word.ptr[i] <= ' ' || word.ptr[i] >= 127 || strchr("\"'\\", word.ptr[i])) return false;
    return word.len > 0;
}

static bool bind_set(struct config *config, const struct slice *words, size_t count, char *reason)
{
    if (count > CONFIG_BIND_MAX) {
        REASON("Too many bind addresses specified.");
        return false;
    }
    if (is_single_empty(words, count)) count = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_address(words[i])) continue;
        REASON("Failed to bind to specified addresses.");
        return false;
    }
    for (int i = 0; i < CONFIG_BIND_MAX; i++)
        config_text_set(&config->bind[i], (size_t)i < count ? words[i] : SLICE(""));
    config->bind_count = (int)count;
    return true;
}

static void bind_get(const struct config *config, struct config_text *out)
{
    for (int i = 0; i < config->bind_count; i++)
        config_text_format(out, "%s%s", i ? " " : "", config->bind[i].ptr);
}

/* ---- client-output-buffer-limit ---- */

static const char *const class_names[CONFIG_CLIENT_CLASSES] = {"normal", "slave", "pubsub"};
static const struct config_output_limit output_defaults[CONFIG_CLIENT_CLASSES] = {
    {0, 0, 0}, {256 << 20, 64 << 20, 60}, {32 << 20, 8 << 20, 60}};

static int client_class(struct slice word)
{
    for (int i = 0; i < CONFIG_CLIENT_CLASSES; i++)
        if (config_name_equal(word, config_slice(class_names[i]))) return i;
    return config_name_equal(word, SLICE("replica")) ? CONFIG_CLIENT_REPLICA : -1;
}

static bool output_limit_set(struct config *config, const struct slice *words, size_t count, char *reason)
{
    struct config_output_limit fresh[CONFIG_CLIENT_CLASSES];
    memcpy(fresh, config->output_limit, sizeof(fresh));
    if (count % 4) {
        REASON("Wrong number of arguments in buffer limit configuration.");
        return false;
    }
    for (size_t i = 0; i < count; i += 4) {
        int class = client_class(words[i]);
        if (class < 0) {
            REASON("Invalid client class specified in buffer limit configuration.");
            return false;
        }
        struct config_output_limit *limit = &fresh[class];
        if (!config_parse_memory(words[i + 1], &limit->hard_bytes) ||
            !config_parse_memory(words[i + 2], &limit->soft_bytes) ||
            !parse_loose(words[i + 3], &limit->soft_s) || limit->soft_s < 0) {
            REASON("Error in hard, soft or soft_seconds setting in buffer limit configuration.");
            return false;
        }
    }
    memcpy(config->output_limit, fresh, sizeof(fresh));
    return true;
}

static void output_limit_get(const struct config *config, struct config_text *out)
{
    for (int i = 0; i < CONFIG_CLIENT_CLASSES; i++) {
        const struct config_output_limit *limit = &config->output_limit[i];
        config_text_format(out, "%s%s %" PRIu64 " %" PRIu64 " %" PRId64, i ? " " : "", class_names[i],
                           limit->hard_bytes, limit->soft_bytes, limit->soft_s);
    }
}

static void output_limit_lines(const struct config *config, config_put_fn put, void *context)
{
    for (int i = 0; i < CONFIG_CLIENT_CLASSES; i++) {
        const struct config_output_limit *limit = &config->output_limit[i], *initial = &output_defaults[i];
        struct config_text line;
        config_text_init(&line);
        config_text_format(&line, "client-output-buffer-limit %s ",
                           i == CONFIG_CLIENT_REPLICA ? "replica" : class_names[i]);
        config_format_memory(limit->hard_bytes, &line);
        config_text_append(&line, SLICE(" "));
        config_format_memory(limit->soft_bytes, &line);
        config_text_format(&line, " %" PRId64, limit->soft_s);
        put(context, &line,
            limit->hard_bytes != initial->hard_bytes || limit->soft_bytes != initial->soft_bytes ||
                limit->soft_s != initial->soft_s);
        config_text_free(&line);
    }
}

/* ---- latency-tracking-info-percentiles ---- */

static bool percentiles_set(struct config *config, const struct slice *words, size_t count, char *reason)
{
    double fresh[CONFIG_PERCENTILES_MAX];
    if (is_single_empty(words, count)) count = 0;
    if (count > CONFIG_PERCENTILES_MAX) {
        REASON("latency-tracking-info-percentiles takes at most %d parameters", CONFIG_PERCENTILES_MAX);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (!number_parse_double(words[i].ptr, words[i].len, &fresh[i])) {
            REASON("Invalid latency-tracking-info-percentiles parameters");
            return false;
        }
        if (fresh[i] > 100.0 || fresh[i] < 0.0) {
            REASON("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]");
            return false;
        }
    }
    memcpy(config->latency_percentiles, fresh, count * sizeof(double));
    config->latency_percentile_count = (int)count;
    return true;
}

static void percentiles_get(const struct config *config, struct config_text *out)
{
    for (int i = 0; i < config->latency_percentile_count; i++) {
        char buf[32];
        int len = snprintf(buf, sizeof(buf), "%.6f", config->latency_percentiles[i]);
        while (buf[len - 1] == '0') len--;
        if (buf[len - 1] == '.') len--;
        config_text_format(out, "%s%.*s", i ? " " : "", len, buf);
    }
}

/* ---- notify-keyspace-events ---- */

static const struct {
    char letter;
    uint32_t bits;
} events[] = {{'g', CONFIG_EVENT_GENERIC},  {'$', CONFIG_EVENT_STRING},   {'l', CONFIG_EVENT_LIST},
              {'s', CONFIG_EVENT_SET},      {'h', CONFIG_EVENT_HASH},     {'z', CONFIG_EVENT_ZSET},
              {'x', CONFIG_EVENT_EXPIRED},  {'e', CONFIG_EVENT_EVICTED},  {'t', CONFIG_EVENT_STREAM},
              {'d', CONFIG_EVENT_MODULE},   {'n', CONFIG_EVENT_NEW},      {'K', CONFIG_EVENT_KEYSPACE},
              {'E', CONFIG_EVENT_KEYEVENT}, {'m', CONFIG_EVENT_KEY_MISS}, {'A', CONFIG_EVENT_ALL}};

static bool events_set(struct config *config, const struct slice *words, size_t count, char *reason)
{
    uint32_t fresh = 0;
    if (count != 1) {
        REASON("wrong number of arguments");
        return false;
    }
    for (size_t i = 0; i < words[0].len; i++) {
        size_t e = 0;
        while (e < ARRAY_LEN(events) && events[e].letter != words[0].ptr[i]) e++;
        if (e == ARRAY_LEN(events)) {
            REASON("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
            return false;
        }
        fresh |= events[e].bits;
    }
    config->notify_events = fresh;
    return true;
}

/* Redis shows no 'n' beside an 'A'; a rewritten file must not lose it. */
static void events_format(uint32_t bits, bool show_all, struct config_text *out)
{
    bool all = (bits & CONFIG_EVENT_ALL) == CONFIG_EVENT_ALL;
    if (all) config_text_append(out, SLICE("A"));
    for (size_t e = 0; events[e].letter != 'A'; e++) {
        if ((bits & events[e].bits) == 0 || (all && (events[e].bits & CONFIG_EVENT_ALL))) continue;
        if (all && !show_all && events[e].bits == CONFIG_EVENT_NEW) continue;
        config_text_append(out, (struct slice){&events[e].letter, 1});
    }
}

/* ---- oom-score-adj-values ---- */

static bool oom_set(struct config *config, const struct slice *words, size_t count, char *reason)
{
    int64_t fresh[3];
    if (count != ARRAY_LEN(fresh)) {
        REASON("wrong number of arguments");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (parse_loose(words[i], &fresh[i]) && fresh[i] >= -2000 && fresh[i] <= 2000) continue;
        REASON("Invalid oom-score-adj-values, elements must be between -2000 and 2000.");
        return false;
    }
    memcpy(config->oom_score_adj, fresh, sizeof(fresh));
    return true;
}

/* ---- replicaof: only "no one" passes; replication is pending ---- */

static bool replicaof_set(const struct config_row *row, const struct slice *words, size_t count, char *reason)
{
    int64_t port;
    if (is_single_empty(words, count)) return true; /* the default's text */
    if (count != 2)
        REASON("wrong number of arguments");
    else if (config_name_equal(words[0], SLICE("no")) && config_name_equal(words[1], SLICE("one")))
        return true;
    else if (!parse_loose(words[1], &port) || port < 0 || port > 65535)
        REASON("Invalid master port");
    else
        REASON("%s", row->reason);
    return false;
}

/* ---- save ---- */

static bool save_set(struct config *config, const struct slice *words, size_t count, char *reason)
{
    struct config_save_point fresh[CONFIG_SAVE_POINTS_MAX];
    if (is_single_empty(words, count)) count = 0;
    bool valid = count % 2 == 0 && count / 2 <= CONFIG_SAVE_POINTS_MAX;
    for (size_t i = 0; valid && i < count; i += 2) {
        struct config_save_point *point = &fresh[i / 2];
        valid = parse_loose(words[i], &point->seconds) && point->seconds >= 1 &&
                parse_loose(words[i + 1], &point->changes) && point->changes >= 0;
    }
    if (!valid) {
        REASON("Invalid save parameters");
        return false;
    }
    memcpy(config->save, fresh, count / 2 * sizeof(fresh[0]));
    config->save_count = (int)(count / 2);
    return true;
}

static void save_get(const struct config *config, struct config_text *out)
{
    for (int i = 0; i < config->save_count; i++)
        config_text_format(out, "%s%" PRId64 " %" PRId64, i ? " " : "", config->save[i].seconds,
                           config->save[i].changes);
}

static void save_lines(const struct config *config, config_put_fn put, void *context)
{
    struct config_text line;
    config_text_init(&line);
    for (int i = 0; i < config->save_count; i++) {
        config_text_format(&line, "save %" PRId64 " %" PRId64, config->save[i].seconds,
                           config->save[i].changes);
        put(context, &line, true);
        config_text_free(&line);
    }
    if (config->save_count == 0) {
        config_text_append(&line, SLICE("save \"\""));
        put(context, &line, true);
    }
    config_text_free(&line);
}

/* ---- by name ---- */

bool config_special_set(struct config *config, const struct config_row *row, const struct slice *words,
                        size_t count, char reason[CONFIG_ERROR_MAX])
{
    switch ((enum config_special)row->special) {
    case CONFIG_SPECIAL_BIND: return bind_set(config, words, count, reason);
    case CONFIG_SPECIAL_CLIENT_OUTPUT_BUFFER_LIMIT: return output_limit_set(config, words, count, reason);
    case CONFIG_SPECIAL_LATENCY_TRACKING_INFO_PERCENTILES:
        return percentiles_set(config, words, count, reason);
    case CONFIG_SPECIAL_NOTIFY_KEYSPACE_EVENTS: return events_set(config, words, count, reason);
    case CONFIG_SPECIAL_OOM_SCORE_ADJ_VALUES: return oom_set(config, words, count, reason);
    case CONFIG_SPECIAL_REPLICAOF: return replicaof_set(row, words, count, reason);
    case CONFIG_SPECIAL_SAVE: return save_set(config, words, count, reason);
    case CONFIG_SPECIAL_NONE: break;
    }
    CHECK(false);
}

void config_special_get(const struct config *config, const struct config_row *row, struct config_text *out)
{
    switch ((enum config_special)row->special) {
    case CONFIG_SPECIAL_BIND: bind_get(config, out); return;
    case CONFIG_SPECIAL_CLIENT_OUTPUT_BUFFER_LIMIT: output_limit_get(config, out); return;
    case CONFIG_SPECIAL_LATENCY_TRACKING_INFO_PERCENTILES: percentiles_get(config, out); return;
    case CONFIG_SPECIAL_NOTIFY_KEYSPACE_EVENTS: events_format(config->notify_events, false, out); return;
    case CONFIG_SPECIAL_OOM_SCORE_ADJ_VALUES:
        config_text_format(out, "%" PRId64 " %" PRId64 " %" PRId64, config->oom_score_adj[0],
                           config->oom_score_adj[1], config->oom_score_adj[2]);
        return;
    case CONFIG_SPECIAL_REPLICAOF: return;
    case CONFIG_SPECIAL_SAVE: save_get(config, out); return;
    case CONFIG_SPECIAL_NONE: break;
    }
    CHECK(false);
}

void config_special_lines(const struct config *config, const struct config_row *row, config_put_fn put,
                          void *context)
{
    bool is_default = config_row_is_default(config, row);
    struct config_text line;
    switch ((enum config_special)row->special) {
    case CONFIG_SPECIAL_CLIENT_OUTPUT_BUFFER_LIMIT: output_limit_lines(config, put, context); return;
    case CONFIG_SPECIAL_SAVE: save_lines(config, put, context); return;
    case CONFIG_SPECIAL_REPLICAOF: put(context, NULL, false); return;
    case CONFIG_SPECIAL_BIND:
        if (is_default) {
            put(context, NULL, false);
            return;
        }
        break;
    default: break;
    }
    config_text_init(&line);
    config_text_format(&line, "%s ", row->name);
    size_t before = line.len;
    if (row->special == CONFIG_SPECIAL_NOTIFY_KEYSPACE_EVENTS) {
        struct config_text letters;
        config_text_init(&letters);
        events_format(config->notify_events, true, &letters);
        config_text_append_quoted(&line, config_text_slice(&letters));
        config_text_free(&letters);
    } else {
        config_special_get(config, row, &line);
    }
    if (line.len == before) config_text_append(&line, SLICE("\"\""));
    /* Percentiles are always written, as Redis does: an empty list must not become the default again. */
    put(context, &line, !is_default || row->special == CONFIG_SPECIAL_LATENCY_TRACKING_INFO_PERCENTILES);
    config_text_free(&line);
}
