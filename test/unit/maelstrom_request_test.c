/* Maelstrom's requests as commands and their replies as answers, without a node: every stage's bytes are
 * compared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "maelstrom/request.h"

/* ---- the wire ---- */

static void commands(void **state)
{
    (void)state;
    struct bytes out = {0};
    wire_command(&out, 1, "EXEC");
    wire_command(&out, 3, "SET", "k", "");
    static const char expected[] = "*1\r\n$4\r\nEXEC\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n";
    assert_int_equal(out.len, sizeof expected - 1);
    assert_memory_equal(out.ptr, expected, out.len);
    bytes_drop(&out, out.len - 2);
    assert_int_equal(out.len, 2);
    assert_memory_equal(out.ptr, "\r\n", 2);
    bytes_free(&out);
}

static void replies(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *json;
    } cases[] = {
        {"+OK\r\n", "\"OK\""},
        {":-12\r\n", "-12"},
        {"$-1\r\n", "null"},
        {"*-1\r\n", "null"},
        {"$0\r\n\r\n", "\"\""},
        {"$4\r\na\r\nb\r\n", "\"a\\r\\nb\""},
        {"$1\r\n\xff\r\n", "{\"error\":\"a reply that is not UTF-8\"}"},
        {"-ERR no\r\n", "{\"error\":\"ERR no\"}"},
        {"*0\r\n", "[]"},
        {"*3\r\n:1\r\n*2\r\n$1\r\nx\r\n$-1\r\n+OK\r\n", "[1,[\"x\",null],\"OK\"]"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t len = strlen(cases[i].bytes), used;
        /* In pieces of any length: never more than is there, and nothing before the end. */
        for (size_t part = 0; part < len; part++) {
            char *copy = malloc(part ? part : 1); /* so that a sanitizer sees who reads too far */
            memcpy(copy, cases[i].bytes, part);
            assert_null(wire_reply(copy, part, &used));
            assert_int_equal(used, 0);
            free(copy);
        }
        json_t *reply = wire_reply(cases[i].bytes, len, &used);
        char *text = json_dumps(reply, JSON_ENCODE_ANY | JSON_COMPACT);
        assert_string_equal(text, cases[i].json);
        assert_int_equal(used, len);
        free(text);
        json_decref(reply);
    }
    static const char *const broken[] = {"hello\r\n", "+OK\n", "\r\n", "*1\r\n?\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        size_t used;
        assert_null(wire_reply(broken[i], strlen(broken[i]), &used));
        assert_int_equal(used, (size_t)-1);
    }
}

/* ---- requests ---- */

struct talk {
    struct request request;
    struct bytes out;
    char words[512]; /* the commands sent, as "SET k v; GET k" */
};

/* What was sent, for reading; empties it. */
static const char *sent(struct talk *t)
{
    size_t at = 0, len = 0;
    t->words[0] = 0;
    while (at < t->out.len) {
        size_t used;
        json_t *command =
            wire_reply(t->out.ptr + at, t->out.len - at, &used); /* a command looks like a reply */
        assert_non_null(command);
        at += used;
        for (size_t i = 0; i < json_array_size(command); i++)
            len += (size_t)snprintf(t->words + len, sizeof t->words - len, "%s%s",
                                    i     ? " "
                                    : len ? "; "
                                          : "",
                                    json_string_value(json_array_get(command, i)));
        json_decref(command);
    }
    t->out.len = 0;
    return t->words;
}

static void expect_answer(json_t *answer, const char *expected)
{
    assert_non_null(answer);
    char *text = json_dumps(answer, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text, expected);
    free(text);
    json_decref(answer);
}

static void expect_error(json_t *answer, int code)
{
    assert_non_null(answer);
    assert_string_equal(json_string_value(json_object_get(answer, "type")), "error");
    assert_int_equal(json_integer_value(json_object_get(answer, "code")), code);
    assert_true(json_string_length(json_object_get(answer, "text")) > 0);
    json_decref(answer);
}

static json_t *begin(struct talk *t, const char *body)
{
    memset(t, 0, sizeof *t);
    json_t *json = json_loads(body, 0, NULL);
    assert_non_null(json);
    json_t *answer = request_begin(&t->request, json, &t->out);
    json_decref(json);
    return answer;
}

static json_t *go_on(struct talk *t, const char *bytes)
{
    json_t *list = json_array();
    size_t used, at = 0, len = strlen(bytes);
    for (; at < len; at += used) {
        json_t *reply = wire_reply(bytes + at, len - at, &used);
        assert_non_null(reply);
        json_array_append_new(list, reply);
    }
    assert_int_equal(json_array_size(list), t->request.awaited);
    json_t *answer = request_go_on(&t->request, list, &t->out);
    json_decref(list);
    return answer;
}

static void end(struct talk *t)
{
    request_end(&t->request);
    bytes_free(&t->out);
}

static void single_commands(void **state)
{
    (void)state;
    static const struct {
        const char *body, *commands, *replies, *answer;
    } cases[] = {
        {"{\"type\":\"echo\",\"echo\":{\"b\":1,\"a\":[null]}}", "ECHO {\"a\":[null],\"b\":1}",
         "$18\r\n{\"a\":[null],\"b\":1}\r\n", "{\"echo\":{\"a\":[null],\"b\":1},\"type\":\"echo_ok\"}"},
        {"{\"type\":\"read\",\"key\":1}", "GET 1", "$1\r\n7\r\n", "{\"type\":\"read_ok\",\"value\":7}"},
        {"{\"type\":\"read\",\"key\":\"1\"}", "GET \"1\"", "$4\r\nnull\r\n",
         "{\"type\":\"read_ok\",\"value\":null}"},
        {"{\"type\":\"write\",\"key\":1,\"value\":[2]}", "SET 1 [2]", "+OK\r\n", "{\"type\":\"write_ok\"}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct talk t;
        assert_null(begin(&t, cases[i].body));
        assert_string_equal(sent(&t), cases[i].commands);
        expect_answer(go_on(&t, cases[i].replies), cases[i].answer);
        assert_string_equal(sent(&t), "");
        end(&t);
    }
}

static void errors(void **state)
{
    (void)state;
    static const struct {
        const char *body, *replies;
        int code;
    } cases[] = {
        {"{\"type\":\"read\",\"key\":1}", "$-1\r\n", ERROR_NO_KEY},
        {"{\"type\":\"read\",\"key\":1}", "$1\r\n{\r\n", ERROR_CRASH}, /* not ours */
        {"{\"type\":\"write\",\"key\":1,\"value\":2}", "-OOM command not allowed\r\n", ERROR_UNAVAILABLE},
        {"{\"type\":\"write\",\"key\":1,\"value\":2}", "-ERR something\r\n", ERROR_CRASH},
        {"{\"type\":\"txn\",\"txn\":[[\"append\",1,2]]}", "+OK\r\n-OOM no\r\n-EXECABORT no\r\n",
         ERROR_UNAVAILABLE},
        {"{\"type\":\"txn\",\"txn\":[[\"append\",1,2]]}", "+OK\r\n+QUEUED\r\n*1\r\n-WRONGTYPE no\r\n",
         ERROR_CRASH},
    };
    struct talk t;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_null(begin(&t, cases[i].body));
        expect_error(go_on(&t, cases[i].replies), cases[i].code);
        end(&t);
    }
    expect_error(begin(&t, "{}"), ERROR_MALFORMED);
    expect_error(begin(&t, "{\"type\":\"topology\"}"), ERROR_NOT_SUPPORTED);
    expect_error(begin(&t, "{\"type\":\"write\",\"key\":1}"), ERROR_MALFORMED);
    expect_error(begin(&t, "{\"type\":\"txn\",\"txn\":{}}"), ERROR_MALFORMED);
    expect_error(begin(&t, "{\"type\":\"txn\",\"txn\":[[\"r\",1]]}"), ERROR_MALFORMED);
    expect_error(begin(&t, "{\"type\":\"txn\",\"txn\":[[1,1,1]]}"), ERROR_MALFORMED);
    /* A long key is cut in the text, if need be inside a character. */
    char body[512] = "{\"type\":\"read\",\"key\":\"";
    for (int i = 0; i < 60; i++) strcat(body, "€");
    assert_null(begin(&t, strcat(body, "\"}")));
    expect_error(go_on(&t, "$-1\r\n"), ERROR_NO_KEY);
    end(&t);
}

#define CAS "{\"type\":\"cas\",\"key\":1,\"from\":2,\"to\":3}"

static void cas(void **state)
{
    (void)state;
    struct talk t;
    /* Done, at the second try. */
    assert_null(begin(&t, CAS));
    assert_string_equal(sent(&t), "WATCH 1; GET 1");
    assert_null(go_on(&t, "+OK\r\n$1\r\n2\r\n"));
    assert_string_equal(sent(&t), "MULTI; SET 1 3; EXEC");
    assert_null(go_on(&t, "+OK\r\n+QUEUED\r\n*-1\r\n"));
    assert_string_equal(sent(&t), "WATCH 1; GET 1");
    assert_null(go_on(&t, "+OK\r\n$1\r\n2\r\n"));
    assert_string_equal(sent(&t), "MULTI; SET 1 3; EXEC");
    expect_answer(go_on(&t, "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n"), "{\"type\":\"cas_ok\"}");
    end(&t);
    /* Another value; none: the watch is taken back before the answer. */
    static const struct {
        const char *value;
        int code;
    } refused[] = {{"$1\r\n9\r\n", ERROR_PRECONDITION}, {"$-1\r\n", ERROR_NO_KEY}};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        char bytes[64];
        snprintf(bytes, sizeof bytes, "+OK\r\n%s", refused[i].value);
        assert_null(begin(&t, CAS));
        sent(&t);
        assert_null(go_on(&t, bytes));
        assert_string_equal(sent(&t), "UNWATCH");
        expect_error(go_on(&t, "+OK\r\n"), refused[i].code);
        end(&t);
    }
    /* Others are always faster: certainly not done. */
    json_t *answer = begin(&t, CAS);
    for (int i = 0; i < REQUEST_CAS_TRIES_MAX; i++) {
        assert_null(answer);
        assert_null(go_on(&t, "+OK\r\n$1\r\n2\r\n"));
        answer = go_on(&t, "+OK\r\n+QUEUED\r\n*-1\r\n");
    }
    expect_error(answer, ERROR_UNAVAILABLE);
    end(&t);
    /* The SET inside failed. */
    assert_null(begin(&t, CAS));
    assert_null(go_on(&t, "+OK\r\n$1\r\n2\r\n"));
    expect_error(go_on(&t, "+OK\r\n+QUEUED\r\n*1\r\n-ERR no\r\n"), ERROR_CRASH);
    end(&t);
}

static void transactions(void **state)
{
    (void)state;
    struct talk t;
    assert_null(
        begin(&t, "{\"type\":\"txn\",\"txn\":[[\"r\",1,null],[\"append\",1,\"v\"],[\"r\",\"1\",null]]}"));
    assert_string_equal(sent(&t), "MULTI; LRANGE 1 0 -1; RPUSH 1 \"v\"; LRANGE \"1\" 0 -1; EXEC");
    expect_answer(
        go_on(&t, "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n*2\r\n$1\r\n5\r\n$3\r\n[6]\r\n:3\r\n*0\r\n"),
        "{\"txn\":[[\"r\",1,[5,[6]]],[\"append\",1,\"v\"],[\"r\",\"1\",null]],\"type\":\"txn_ok\"}");
    end(&t);
    assert_null(begin(&t, "{\"type\":\"txn\",\"txn\":[]}"));
    assert_string_equal(sent(&t), "MULTI; EXEC");
    expect_answer(go_on(&t, "+OK\r\n*0\r\n"), "{\"txn\":[],\"type\":\"txn_ok\"}");
    end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands), cmocka_unit_test(replies), cmocka_unit_test(single_commands),
        cmocka_unit_test(errors),   cmocka_unit_test(cas),     cmocka_unit_test(transactions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
