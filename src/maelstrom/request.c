/* Maelstrom's requests as commands. See request.h. */
#include "maelstrom/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* ---- JSON ---- */

static char *text_of(const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
    CHECK(text != NULL);
    return text;
}

/* The value of a text that was stored; NULL when it is no JSON (somebody else wrote it). */
static json_t *value_of(const json_t *text)
{
    if (!json_is_string(text)) return NULL;
    return json_loadb(json_string_value(text), json_string_length(text), JSON_DECODE_ANY, NULL);
}

json_t *request_error(int code, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *at = text; *at; at++) /* what was cut may have been cut inside a character */
        if ((unsigned char)*at >= 128) *at = '?';
    return json_pack("{s:s, s:i, s:s}", "type", "error", "code", code, "text", text);
}

static json_t *answer_ok(const char *type)
{
    return json_pack("{s:s}", "type", type);
}

/* What an error reply means for the client. These are given before anything is done. */
static json_t *answer_error(const char *text)
{
    static const char *const refused[] = {"OOM ",    "WRONGTYPE ", "EXECABORT ",
                                          "NOAUTH ", "NOPERM ",    "READONLY "};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        if (strncmp(text, refused[i], strlen(refused[i])) == 0)
            return request_error(ERROR_UNAVAILABLE, "%s", text);
    return request_error(ERROR_CRASH, "%s", text);
}

/* The first error among the replies, or NULL. */
static const char *first_error(const json_t *replies)
{
    for (size_t i = 0; i < json_array_size(replies); i++) {
        const char *text = wire_error(json_array_get(replies, i));
        if (text) return text;
    }
    return NULL;
}

/* ---- the stages ---- */

static bool is_operation(const json_t *op)
{
    const char *f = json_string_value(json_array_get(op, 0));
    return json_array_size(op) == 3 && f && (strcmp(f, "r") == 0 || strcmp(f, "append") == 0);
}

static void add_operation(const json_t *op, struct bytes *out)
{
    char *key = text_of(json_array_get(op, 1)), *value = text_of(json_array_get(op, 2));
    if (strcmp(json_string_value(json_array_get(op, 0)), "r") == 0)
        wire_command(out, 4, "LRANGE", key, "0", "-1");
    else
        wire_command(out, 3, "RPUSH", key, value);
    free(key);
    free(value);
}

static json_t *begin_txn(struct request *r, struct bytes *out)
{
    const json_t *txn = json_object_get(r->body, "txn");
    if (!json_is_array(txn)) return request_error(ERROR_MALFORMED, "txn is not an array");
    for (size_t i = 0; i < json_array_size(txn); i++)
        if (!is_operation(json_array_get(txn, i)))
            return request_error(ERROR_MALFORMED,
                                 "operation %zu is neither [\"r\", key, null] nor [\"append\", "
                                 "key, value]",
                                 i);
    wire_command(out, 1, "MULTI");
    for (size_t i = 0; i < json_array_size(txn); i++) add_operation(json_array_get(txn, i), out);
    wire_command(out, 1, "EXEC");
    r->awaited = json_array_size(txn) + 2;
    return NULL;
}

static json_t *begin_stage(struct request *r, struct bytes *out)
{
    r->awaited = 1;
    switch (r->kind) {
    case REQUEST_ECHO: wire_command(out, 2, "ECHO", r->key); return NULL;
    case REQUEST_READ: wire_command(out, 2, "GET", r->key); return NULL;
    case REQUEST_WRITE: wire_command(out, 3, "SET", r->key, r->to); return NULL;
    case REQUEST_CAS:
        wire_command(out, 2, "WATCH", r->key);
        wire_command(out, 2, "GET", r->key);
        r->awaited = 2;
        return NULL;
    case REQUEST_TXN: return begin_txn(r, out);
    }
    CHECK(!"a kind of request that is none");
    return NULL;
}

/* Fields that a request must have, and where their texts go: [0] key, [1] from, [2] to. */
static const struct form {
    const char *type;
    enum request_kind kind;
    const char *fields[3];
} forms[] = {
    {"echo", REQUEST_ECHO, {"echo", NULL, NULL}},     {"read", REQUEST_READ, {"key", NULL, NULL}},
    {"write", REQUEST_WRITE, {"key", NULL, "value"}}, {"cas", REQUEST_CAS, {"key", "from", "to"}},
    {"txn", REQUEST_TXN, {NULL, NULL, NULL}},
};

json_t *request_begin(struct request *r, json_t *body, struct bytes *out)
{
    const char *type = json_string_value(json_object_get(body, "type"));
    const struct form *form = NULL;
    char **texts[3] = {&r->key, &r->from, &r->to};
    if (!type) return request_error(ERROR_MALFORMED, "a message without a type");
    for (size_t i = 0; i < ARRAY_LEN(forms); i++)
        if (strcmp(forms[i].type, type) == 0) form = &forms[i];
    if (!form) return request_error(ERROR_NOT_SUPPORTED, "weft does not know requests of type %.100s", type);
    for (int i = 0; i < 3; i++)
        if (form->fields[i] && !json_object_get(body, form->fields[i]))
            return request_error(ERROR_MALFORMED, "%s without \"%s\"", type, form->fields[i]);
    *r = (struct request){.body = json_incref(body), .kind = form->kind};
    for (int i = 0; i < 3; i++)
        if (form->fields[i]) *texts[i] = text_of(json_object_get(body, form->fields[i]));
    json_t *answer = begin_stage(r, out);
    if (answer) request_end(r);
    return answer;
}

void request_end(struct request *r)
{
    json_decref(r->body);
    free(r->key);
    free(r->from);
    free(r->to);
    *r = (struct request){0};
}

static json_t *answer_value(const char *type, const char *field, const json_t *text)
{
    json_t *value = value_of(text);
    if (!value) return request_error(ERROR_CRASH, "the stored value is not JSON");
    return json_pack("{s:s, s:o}", "type", type, field, value);
}

/* cas, first stage: the value is known, and EXEC will notice if it changes. */
static json_t *compare(struct request *r, const json_t *now, struct bytes *out)
{
    r->stage = 1;
    if (json_is_string(now) && strcmp(json_string_value(now), r->from) == 0) {
        wire_command(out, 1, "MULTI");
        wire_command(out, 3, "SET", r->key, r->to);
        wire_command(out, 1, "EXEC");
        r->awaited = 3;
        return NULL;
    }
    /* The answer is certain, but the connection must be clean again before the next request. */
    wire_command(out, 1, "UNWATCH");
    r->awaited = 1;
    r->stage = json_is_null(now) ? 2 : 3;
    return NULL;
}

static json_t *go_on_cas(struct request *r, const json_t *replies, struct bytes *out)
{
    switch (r->stage) {
    case 0: return compare(r, json_array_get(replies, 1), out);
    case 1:
        if (first_error(json_array_get(replies, 2)))
            return request_error(ERROR_CRASH, "%s", first_error(json_array_get(replies, 2)));
        if (json_is_array(json_array_get(replies, 2))) return answer_ok("cas_ok");
        if (++r->tries == REQUEST_CAS_TRIES_MAX)
            return request_error(ERROR_UNAVAILABLE, "others were faster %d times", r->tries);
        r->stage = 0;
        return begin_stage(r, out);
    case 2: return request_error(ERROR_NO_KEY, "key %.100s does not exist", r->key);
    default: return request_error(ERROR_PRECONDITION, "the value is not %.100s", r->from);
    }
}

/* The transaction as it was sent, with what its reads saw. */
static json_t *answer_txn(const struct request *r, const json_t *results)
{
    json_t *txn = json_deep_copy(json_object_get(r->body, "txn"));
    for (size_t i = 0; i < json_array_size(txn); i++) {
        json_t *op = json_array_get(txn, i), *texts = json_array_get(results, i), *values;
        if (strcmp(json_string_value(json_array_get(op, 0)), "r") != 0) continue;
        values = json_array_size(texts) ? json_array() : json_null(); /* there are no empty lists */
        for (size_t j = 0; j < json_array_size(texts); j++) {
            json_t *value = value_of(json_array_get(texts, j));
            json_array_append_new(values, value ? value : json_null());
        }
        json_array_set_new(op, 2, values);
    }
    return json_pack("{s:s, s:o}", "type", "txn_ok", "txn", txn);
}

static json_t *go_on_txn(const struct request *r, const json_t *replies)
{
    const json_t *results = json_array_get(replies, json_array_size(replies) - 1);
    const char *error = first_error(results);
    /* Others of the same EXEC were executed. */
    if (error) return request_error(ERROR_CRASH, "%s", error);
    if (!json_is_array(results)) return request_error(ERROR_UNAVAILABLE, "EXEC was refused");
    return answer_txn(r, results);
}

json_t *request_go_on(struct request *r, const json_t *replies, struct bytes *out)
{
    CHECK(json_array_size(replies) == r->awaited);
    const char *error = wire_error(json_array_get(replies, r->awaited - 1));
    if (!error) error = first_error(replies);
    if (error) return answer_error(error);
    const json_t *reply = json_array_get(replies, 0);
    switch (r->kind) {
    case REQUEST_ECHO: return answer_value("echo_ok", "echo", reply);
    case REQUEST_READ:
        if (json_is_null(reply)) return request_error(ERROR_NO_KEY, "key %.100s does not exist", r->key);
        return answer_value("read_ok", "value", reply);
    case REQUEST_WRITE: return answer_ok("write_ok");
    case REQUEST_CAS: return go_on_cas(r, replies, out);
    case REQUEST_TXN: return go_on_txn(r, replies);
    }
    CHECK(!"a kind of request that is none");
    return NULL;
}
