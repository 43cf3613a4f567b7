/* HTTP/1.1 and XML as far as the simulated object store needs them. Strict where a client must be right
 * (Content-Length, CRLF), silent about what it does not know. Tests: test/unit/sim_store_test.c. */
#include "sim/store_http.h"
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- requests ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes %XX (and + in a query); false when it does not fit or is malformed. */
static bool url_decode(const char *text, size_t len, bool plus, char *out, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (plus && c == '+') c = ' ';
        if (c == '%') {
            if (i + 2 >= len || hex_digit(text[i + 1]) < 0 || hex_digit(text[i + 2]) < 0) return false;
            c = (char)(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
            i += 2;
        }
        if (n + 1 >= room || c == 0) return false;
        out[n++] = c;
    }
    out[n] = 0;
    return true;
}

static bool parse_target(const char *target, size_t len, struct store_request *r)
{
    const char *question = memchr(target, '?', len);
    size_t path_len = question != NULL ? (size_t)(question - target) : len;
    size_t query_len = question != NULL ? len - path_len - 1 : 0;
    if (path_len < 2 || target[0] != '/' || query_len >= sizeof(r->query)) return false;
    if (question != NULL) memcpy(r->query, question + 1, query_len);
    r->query[query_len] = 0;
    const char *slash = memchr(target + 1, '/', path_len - 1);
    size_t bucket_len = slash != NULL ? (size_t)(slash - target) - 1 : path_len - 1;
    if (!url_decode(target + 1, bucket_len, false, r->bucket, sizeof(r->bucket))) return false;
    r->key[0] = 0;
    return slash == NULL || url_decode(slash + 1, path_len - bucket_len - 2, false, r->key, sizeof(r->key));
}

static bool parse_length(const char *value, size_t *out)
{
    char *end;
    unsigned long long n = strtoull(value, &end, 10);
    *out = (size_t)n;
    return end != value && *end == 0 && n <= STORE_BODY_MAX;
}

static bool parse_header(const char *name, const char *value, struct store_request *r)
{
    static const struct {
        const char *name;
        size_t offset, room;
    } kept[] = {
#define KEPT(field) offsetof(struct store_request, field), sizeof(((struct store_request *)0)->field)
        {"if-match", KEPT(if_match)}, {"if-none-match", KEPT(if_none_match)},
        {"range", KEPT(range)},       {"authorization", KEPT(authorization)},
        {"x-amz-date", KEPT(date)},
#undef KEPT
    };
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        if (strcasecmp(name, kept[i].name) == 0)
            return snprintf((char *)r + kept[i].offset, kept[i].room, "%s", value) < (int)kept[i].room;
    if (strcasecmp(name, "content-length") == 0) return parse_length(value, &r->content_len);
    if (strcasecmp(name, "connection") == 0) r->keep_alive = strcasecmp(value, "close") != 0;
    if (strcasecmp(name, "transfer-encoding") == 0) r->chunked = true;
    if (strcasecmp(name, "expect") == 0) r->expect_continue = strcasecmp(value, "100-continue") == 0;
    return true;
}

static bool parse_line(char *line, struct store_request *r)
{
    char *colon = strchr(line, ':');
    if (colon == NULL || colon == line) return false;
    *colon = 0;
    char *value = colon + 1;
    value += strspn(value, " \t");
    for (size_t n = strlen(value); n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t'); n--)
        value[n - 1] = 0;
    return parse_header(line, value, r);
}

int64_t store_parse(const uint8_t *in, size_t len, struct store_request *r)
{
    char head[STORE_HEAD_MAX];
    const uint8_t *end = memmem(in, len, "\r\n\r\n", 4);
    if (end == NULL) return len >= STORE_HEAD_MAX ? -1 : 0;
    size_t head_len = (size_t)(end - in) + 4;
    if (head_len >= sizeof(head)) return -1;
    memcpy(head, in, head_len - 2);
    head[head_len - 2] = 0; /* the last line has its CRLF, the empty one is gone */
    memset(r, 0, sizeof(*r));
    r->keep_alive = true;
    char *line = head, *next = strstr(line, "\r\n");
    *next = 0;
    char *target = strchr(line, ' '), *version = target != NULL ? strchr(target + 1, ' ') : NULL;
    if (version == NULL || strcmp(version + 1, "HTTP/1.1") != 0) return -1;
    size_t method_len = (size_t)(target - line);
    if (method_len >= sizeof(r->method)) return -1;
    memcpy(r->method, line, method_len);
    if (!parse_target(target + 1, (size_t)(version - target) - 1, r)) return -1;
    for (line = next + 2; *line != 0; line = next + 2) {
        next = strstr(line, "\r\n");
        *next = 0;
        if (!parse_line(line, r)) return -1;
    }
    return (int64_t)head_len;
}

bool store_query(const struct store_request *r, const char *name, char *value)
{
    size_t name_len = strlen(name);
    for (const char *p = r->query; *p != 0;) {
        size_t len = strcspn(p, "&");
        const char *equals = memchr(p, '=', len);
        size_t own_len = equals != NULL ? (size_t)(equals - p) : len;
        if (own_len == name_len && memcmp(p, name, name_len) == 0) {
            if (value == NULL) return true;
            value[0] = 0;
            return equals == NULL || url_decode(equals + 1, len - own_len - 1, true, value, STORE_VALUE_MAX);
        }
        p += len;
        if (*p == '&') p++;
    }
    return false;
}

/* ---- XML ---- */

static const struct {
    char c;
    const char *entity;
} entities[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&apos;"}};

void store_xml(struct blob *b, const char *text)
{
    for (; *text != 0; text++) {
        size_t i = 0;
        while (i < ARRAY_LEN(entities) && entities[i].c != *text) i++;
        if (i < ARRAY_LEN(entities))
            blob_add(b, entities[i].entity, strlen(entities[i].entity));
        else
            blob_add(b, text, 1);
    }
}

bool store_xml_next(const char **at, const char *end, const char *tag, char *value, size_t room)
{
    char open[32], close[32];
    snprintf(open, sizeof(open), "<%s>", tag);
    snprintf(close, sizeof(close), "</%s>", tag);
    const char *begin = memmem(*at, (size_t)(end - *at), open, strlen(open));
    if (begin == NULL) return false;
    begin += strlen(open);
    const char *stop = memmem(begin, (size_t)(end - begin), close, strlen(close));
    if (stop == NULL) return false;
    size_t n = 0;
    for (const char *p = begin; p < stop;) {
        size_t i = 0, left = (size_t)(stop - p);
        while (i < ARRAY_LEN(entities) && (strlen(entities[i].entity) > left ||
                                           memcmp(p, entities[i].entity, strlen(entities[i].entity)) != 0))
            i++;
        if (n + 1 >= room) return false;
        value[n++] = i < ARRAY_LEN(entities) ? entities[i].c : *p;
        p += i < ARRAY_LEN(entities) ? strlen(entities[i].entity) : 1;
    }
    value[n] = 0;
    *at = stop + strlen(close);
    return true;
}

/* ---- answers ---- */

void store_error(struct store_answer *a, int status, const char *code)
{
    a->status = status;
    a->code = code;
    a->body.len = 0;
    blob_print(&a->body,
               "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>%s</Message>"
               "<RequestId>0</RequestId></Error>",
               code, code);
}

static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {{200, "OK"},
                   {204, "No Content"},
                   {206, "Partial Content"},
                   {400, "Bad Request"},
                   {403, "Forbidden"},
                   {404, "Not Found"},
                   {405, "Method Not Allowed"},
                   {409, "Conflict"},
                   {412, "Precondition Failed"},
                   {416, "Range Not Satisfiable"},
                   {429, "Too Many Requests"},
                   {500, "Internal Server Error"},
                   {501, "Not Implemented"},
                   {503, "Slow Down"}};
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (reasons[i].status == status) return reasons[i].reason;
    return "Unknown";
}

void store_answer_write(const struct store_answer *a, const struct store_request *r, struct blob *out)
{
    bool is_head = strcmp(r->method, "HEAD") == 0;
    blob_print(out, "HTTP/1.1 %d %s\r\nServer: weft-sim\r\n", a->status, reason_of(a->status));
    if (a->status != 204)
        blob_print(out, "Content-Length: %zu\r\n", is_head && a->status < 300 ? a->head_len : a->body.len);
    if (a->code != NULL) blob_print(out, "Content-Type: application/xml\r\n");
    if (!r->keep_alive) blob_print(out, "Connection: close\r\n");
    blob_add(out, a->head.at, a->head.len);
    blob_print(out, "\r\n");
    if (!is_head && a->status != 204) blob_add(out, a->body.at, a->body.len);
}

/* ---- dates ---- */

/* Days since 1970-01-01 of the proleptic Gregorian calendar: years begin in March, so that the leap day is
 * the last of its year. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    if (month <= 2) year--;
    int64_t shifted = (month + 9) % 12; /* March: 0 */
    return 365 * year + year / 4 - year / 100 + year / 400 + (153 * shifted + 2) / 5 + day - 1 - 719468;
}

int64_t store_date_us(const char *text)
{
    int year, month, day, hour, minute, second;
    if (strlen(text) != 16 ||
        sscanf(text, "%4d%2d%2dT%2d%2d%2dZ", &year, &month, &day, &hour, &minute, &second) != 6)
        return -1;
    return ((days_of(year, month, day) * 24 + hour) * 60 + minute) * INT64_C(60000000) +
           second * INT64_C(1000000);
}

void store_date_print(struct blob *b, bool http, int64_t us)
{
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    static const char *const days[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    int64_t seconds = us / 1000000, day = seconds / 86400;
    int year = 1970, month = 1;
    while (days_of(year + 1, 1, 1) <= day) year++;
    while (month < 12 && days_of(year, month + 1, 1) <= day) month++;
    int date = (int)(day - days_of(year, month, 1)) + 1, clock = (int)(seconds % 86400);
    if (http)
        blob_print(b, "%s, %02d %s %d %02d:%02d:%02d GMT", days[day % 7], date, months[month - 1], year,
                   clock / 3600, clock / 60 % 60, clock % 60);
    else
        blob_print(b, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", year, month, date, clock / 3600, clock / 60 % 60,
                   clock % 60, (int)(us / 1000 % 1000));
}
