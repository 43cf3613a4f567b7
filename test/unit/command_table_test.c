/* command_table: every row is found under its name in any letter case and under no other; one changed, added
 * or missing byte finds nothing or another row by its own name; rows hold together (ids, containers, fast key
 * positions against the key specs); names of flags and categories. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "command/table.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The slow twin of command_lookup. */
static const struct command *find_slowly(const char *name, size_t len)
{
    for (uint16_t id = 0; id < command_top_count(); id++) {
        const struct command *row = command_at(id);
        if (strlen(row->name) == len && strncasecmp(row->name, name, len) == 0) return row;
    }
    return NULL;
}

/* Looks the name up in memory that ends where the name ends, so that a sanitizer sees a read beyond it. */
static const struct command *look_up(const char *name, size_t len)
{
    char *exact = malloc(len ? len : 1);
    memcpy(exact, name, len);
    const struct command *found = command_lookup(exact, len);
    assert_ptr_equal(found, command_lookup_full(name, len));
    free(exact);
    return found;
}

static void every_command_is_found_in_any_case(void **state)
{
    assert_true(command_top_count() > 200);
    for (uint16_t id = 0; id < command_top_count(); id++) {
        const struct command *row = command_at(id);
        size_t len = strlen(row->name);
        char name[COMMAND_NAME_LEN_MAX + 1];
        for (unsigned pattern = 0; pattern < 64; pattern++) {
            for (size_t i = 0; i < len; i++) {
                bool upper = pattern == 1 || (pattern > 1 && rand() % 2);
                name[i] = (char)(upper ? toupper(row->name[i]) : row->name[i]);
            }
            assert_ptr_equal(look_up(name, len), row);
        }
    }
}

static void near_names_are_not_confused(void **state)
{
    for (uint16_t id = 0; id < command_top_count(); id++) {
        const char *name = command_at(id)->name;
        size_t len = strlen(name);
        char near[COMMAND_NAME_LEN_MAX + 2];
        for (size_t at = 0; at < len; at++) {
            for (int byte = 0; byte < 256; byte++) {
                memcpy(near, name, len);
                near[at] = (char)byte;
                assert_ptr_equal(look_up(near, len), find_slowly(near, len));
            }
            memcpy(near, name, at);
            memcpy(near + at, name + at + 1, len - at - 1);
            assert_ptr_equal(look_up(near, len - 1), find_slowly(near, len - 1));
        }
        for (int byte = 0; byte < 256; byte++) {
            memcpy(near, name, len);
            near[len] = (char)byte;
            assert_ptr_equal(look_up(near, len + 1), find_slowly(near, len + 1));
        }
    }
    char longer[300];
    memset(longer, 'g', sizeof longer);
    for (size_t len = 0; len < sizeof longer; len++) assert_null(look_up(longer, len));
}

static void rows_hold_together(void **state)
{
    for (uint16_t id = 0; id < command_count(); id++) {
        const struct command *row = command_at(id);
        assert_int_equal(row->id, id);
        assert_int_equal(row->name_len, strlen(row->name));
        assert_int_equal(row->full_name_len, strlen(row->full_name));
        assert_int_equal(row->container != NULL, id >= command_top_count());
        assert_true(row->handler == NULL || row->status == COMMAND_SUPPORTED);
        assert_true(row->handler != NULL || row->status != COMMAND_SUPPORTED || row->subcommand_count > 0);
        assert_true(row->route != COMMAND_ROUTE_KEY || row->key_first > 0);
        assert_true(row->arity != 0);
        assert_int_equal(!(row->categories & COMMAND_CATEGORY_FAST),
                         !!(row->categories & COMMAND_CATEGORY_SLOW));
        assert_true(row->doc->summary[0] && row->doc->since[0] && row->doc->complexity[0]);
        for (uint16_t i = 0; i < row->subcommand_count; i++) {
            const struct command *sub = &row->subcommands[i];
            char full[2 * COMMAND_NAME_LEN_MAX + 2];
            snprintf(full, sizeof full, "%s|%s", row->name, sub->name);
            assert_string_equal(sub->full_name, full);
            assert_ptr_equal(sub->container, row);
            assert_ptr_equal(command_lookup_sub(row, sub->name, sub->name_len), sub);
            assert_ptr_equal(command_lookup_full(full, strlen(full)), sub);
            full[0] = (char)toupper(full[0]);
            assert_ptr_equal(command_lookup_full(full, strlen(full)), sub);
            assert_null(command_lookup_sub(row, sub->name, sub->name_len - 1u));
        }
    }
}

static void resolve_steps_into_containers(void **state)
{
    const struct command *container;
    struct slice kill[] = {SLICE("client"), SLICE("KILL"), SLICE("x")};
    const struct command *client = command_lookup("CLIENT", 6);
    assert_string_equal(command_resolve(kill, 3, &container)->full_name, "client|kill");
    assert_ptr_equal(container, client);
    assert_ptr_equal(command_resolve(kill, 1, &container), client);
    assert_false(command_arity_fits(client, 1));
    struct slice wrong[] = {SLICE("client"), SLICE("kil"), SLICE("")};
    assert_null(command_resolve(wrong, 2, &container));
    assert_ptr_equal(container, client);
    wrong[1] = SLICE("");
    assert_null(command_resolve(wrong, 2, &container));
    struct slice unknown[] = {SLICE("clint"), SLICE("kill")};
    assert_null(command_resolve(unknown, 2, &container));
    assert_null(container);
    struct slice get[] = {SLICE("gEt"), SLICE("kill")};
    assert_string_equal(command_resolve(get, 2, &container)->name, "get");
    assert_null(container);
    assert_null(command_lookup_full("get|kill", 8));
    assert_null(command_lookup_full("client|", 7));
    assert_null(command_lookup_full("|client", 7));
    assert_null(command_lookup_full("", 0));
}

static void arity(void **state)
{
    const struct command *get = command_lookup("get", 3), *set = command_lookup("set", 3);
    assert_true(command_arity_fits(get, 2));
    assert_false(command_arity_fits(get, 1));
    assert_false(command_arity_fits(get, 3));
    assert_false(command_arity_fits(set, 2));
    assert_true(command_arity_fits(set, 3));
    assert_true(command_arity_fits(set, 300));
}

static void names_of_bits(void **state)
{
    assert_string_equal(command_flag_name(0), "write");
    assert_string_equal(command_flag_name(COMMAND_FLAG_COUNT - 1), "protected");
    assert_string_equal(command_key_flag_name(COMMAND_KEY_FLAG_COUNT - 1), "variable_flags");
    for (unsigned bit = 0; bit < COMMAND_CATEGORY_COUNT; bit++) {
        const char *name = command_category_name(bit);
        assert_int_equal(command_category_find(name, strlen(name)), 1u << bit);
    }
    assert_int_equal(command_category_find("SortedSet", 9), COMMAND_CATEGORY_SORTEDSET);
    assert_int_equal(command_category_find("sortedse", 8), 0);
    assert_int_equal(command_category_find("sortedsets", 10), 0);
    assert_int_equal(command_category_find("@set", 4), 0);
    assert_string_equal(command_arg_type_name(COMMAND_ARG_UNIX_TIME), "unix-time");
    assert_string_equal(command_arg_type_name(COMMAND_ARG_BLOCK), "block");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_is_found_in_any_case),
        cmocka_unit_test(near_names_are_not_confused),
        cmocka_unit_test(rows_hold_together),
        cmocka_unit_test(resolve_steps_into_containers),
        cmocka_unit_test(arity),
        cmocka_unit_test(names_of_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
