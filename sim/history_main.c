/* history-check: the checkers of histories as a program, for tests in other languages.
 *
 *     history-check linear < FILE      history-check elle < FILE
 *
 * One JSON object per line. Times are integers; "returned" or "completed" is null when no reply came.
 *
 *   linear  {"key": 3, "session": 0, "kind": "CAS", "invoked": 10, "returned": 14, "expected": "a", "value":
 * "b", "reply": 1} kinds are those of linear.h; "number" is INCR's delta; "reply" is an integer, null for
 * nil, "OK" or any other string for the bytes of a bulk, and {"error": ...} for an error. elle    {"invoked":
 * 10, "completed": 14, "status": "committed", "actions": [["append", 3, 7], ["r", 3, [5, 7]]]} status
 * committed, aborted or unknown; keys and values are integers.
 *
 * Prints what is wrong. Status 0: valid, 1: a violation, 2: undecided, 3: the input is not a history. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/check.h"
#include "sim/elle.h"
#include "sim/linear.h"

#define STEPS_MAX (20 * LINEAR_STEPS_DEFAULT) /* per key: here nobody waits for thousands of histories */

enum { VALID, VIOLATION, UNDECIDED, UNUSABLE };

struct lines {
    json_t **objects;
    size_t count, room;
};

static void refuse(size_t line, const char *why)
{
    fprintf(stderr, "history-check: line %zu: %s\n", line + 1, why);
    exit(UNUSABLE);
}

static struct lines read_lines(FILE *file)
{
    struct lines l = {0};
    char *text = NULL;
    size_t room = 0;
    for (ssize_t len; (len = getline(&text, &room, file)) > 0;) {
        json_error_t error;
        if (l.count == l.room) {
            l.room = l.room ? l.room * 2 : 1024;
            l.objects = realloc(l.objects, l.room * sizeof *l.objects);
            CHECK(l.objects != NULL);
        }
        json_t *object = json_loadb(text, (size_t)len, 0, &error);
        if (!object) refuse(l.count, error.text);
        l.objects[l.count++] = object;
    }
    free(text);
    return l;
}

static int64_t integer(const json_t *object, const char *name, size_t line)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_integer(value)) refuse(line, name);
    return json_integer_value(value);
}

/* When the reply came: null is never. */
static int64_t end_of(const json_t *object, const char *name, size_t line)
{
    if (json_is_null(json_object_get(object, name))) return INT64_MAX;
    return integer(object, name, line);
}

static struct slice bytes_of(const json_t *value)
{
    if (!json_is_string(value)) return (struct slice){"", 0};
    return (struct slice){json_string_value(value), json_string_length(value)};
}

static void set_reply(struct linear_op *op, const json_t *reply)
{
    op->reply_number = json_integer_value(reply);
    op->reply_bytes = bytes_of(reply);
    if (json_is_integer(reply))
        op->reply = LINEAR_INT;
    else if (json_is_object(reply))
        op->reply = LINEAR_ERROR;
    else if (!json_is_string(reply))
        op->reply = LINEAR_NIL;
    else if (op->kind == LINEAR_GET || op->kind == LINEAR_GETSET)
        op->reply = LINEAR_BULK;
    else
        op->reply = LINEAR_OK;
}

static struct linear_op linear_op_of(const json_t *object, size_t line)
{
    const char *kind = json_string_value(json_object_get(object, "kind"));
    struct linear_op op = {.kind = LINEAR_KINDS};
    for (enum linear_kind k = 0; kind && k < LINEAR_KINDS; k++)
        if (strcmp(kind, linear_kind_name(k)) == 0) op.kind = (uint8_t)k;
    if (op.kind == LINEAR_KINDS) refuse(line, "kind");
    op.key = (uint32_t)integer(object, "key", line);
    op.session = (uint32_t)json_integer_value(json_object_get(object, "session"));
    op.invoked = integer(object, "invoked", line);
    op.returned = end_of(object, "returned", line);
    op.number = json_integer_value(json_object_get(object, "number"));
    op.value = bytes_of(json_object_get(object, "value"));
    op.expected = bytes_of(json_object_get(object, "expected"));
    if (op.returned < op.invoked) refuse(line, "returned before it was invoked");
    set_reply(&op, json_object_get(object, "reply"));
    return op;
}

static int check_linear(const struct lines *l)
{
    struct linear_op *ops = calloc(l->count + 1, sizeof *ops);
    struct linear_result result;
    CHECK(ops != NULL);
    for (size_t i = 0; i < l->count; i++) ops[i] = linear_op_of(l->objects[i], i);
    linear_check(ops, l->count, STEPS_MAX, &result);
    printf("%zu operations, %llu steps\n%s", l->count, (unsigned long long)result.steps, result.text);
    free(ops);
    return result.verdict == LINEAR_VALID       ? VALID
           : result.verdict == LINEAR_VIOLATION ? VIOLATION
                                                : UNDECIDED;
}

static int64_t *values_of(const json_t *list, size_t line)
{
    int64_t *values = calloc(json_array_size(list) + 1, sizeof *values);
    CHECK(values != NULL);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *value = json_array_get(list, i);
        if (!json_is_integer(value)) refuse(line, "a value that is no integer");
        values[i] = json_integer_value(value);
    }
    return values;
}

static struct elle_transaction transaction_of(const json_t *object, size_t line)
{
    static const char *const statuses[] = {"committed", "aborted", "unknown"};
    const char *status = json_string_value(json_object_get(object, "status"));
    const json_t *actions = json_object_get(object, "actions");
    struct elle_transaction t = {.invoked = integer(object, "invoked", line),
                                 .completed = end_of(object, "completed", line),
                                 .count = json_array_size(actions)};
    struct elle_action *list = calloc(t.count + 1, sizeof *list);
    int found = -1;
    CHECK(list != NULL);
    for (int i = 0; status && i < 3; i++)
        if (strcmp(status, statuses[i]) == 0) found = i;
    if (found < 0) refuse(line, "status");
    if (t.completed < t.invoked) refuse(line, "completed before it was invoked");
    t.status = (enum elle_status)found;
    for (size_t i = 0; i < t.count; i++) {
        const json_t *action = json_array_get(actions, i), *value = json_array_get(action, 2);
        const char *f = json_string_value(json_array_get(action, 0));
        list[i].is_read = f && strcmp(f, "r") == 0;
        list[i].key = (uint32_t)json_integer_value(json_array_get(action, 1));
        list[i].value = json_integer_value(value);
        list[i].count = list[i].is_read ? json_array_size(value) : 0;
        if (list[i].is_read) list[i].values = values_of(value, line);
    }
    t.actions = list;
    return t;
}

static int check_elle(const struct lines *l)
{
    struct elle_transaction *t = calloc(l->count + 1, sizeof *t);
    struct elle_result result;
    CHECK(t != NULL);
    for (size_t i = 0; i < l->count; i++) t[i] = transaction_of(l->objects[i], i);
    elle_check(t, l->count, &result);
    printf("%zu transactions, %zu of them counted\n%s", l->count, result.committed, result.text);
    for (size_t i = 0; i < l->count; i++) {
        for (size_t j = 0; j < t[i].count; j++) free((int64_t *)(uintptr_t)t[i].actions[j].values);
        free((struct elle_action *)(uintptr_t)t[i].actions);
    }
    free(t);
    return result.valid ? VALID : VIOLATION;
}

int main(int argc, char **argv)
{
    bool linear = argc == 2 && strcmp(argv[1], "linear") == 0,
         elle = argc == 2 && strcmp(argv[1], "elle") == 0;
    if (!linear && !elle) {
        fputs("usage: history-check linear|elle < HISTORY\n", stderr);
        return UNUSABLE;
    }
    struct lines l = read_lines(stdin);
    int status = linear ? check_linear(&l) : check_elle(&l);
    for (size_t i = 0; i < l.count; i++) json_decref(l.objects[i]);
    free(l.objects);
    return status;
}
