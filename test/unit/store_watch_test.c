/* WATCH and keys that die: who watched it alive sees that it has died, whether it was removed meanwhile, seen
 * dead, or only looked at when EXEC does; who watched it dead sees no change when it goes, by whatever hand.
 * CLIENT PAUSE (env.expired_stay) keeps dead keys and hides them. */
#include "store_node.h"

#include "session/session.h"

#define CLIENTS 4

struct world {
    struct store_node *node;
    struct session *clients[CLIENTS];
    struct line line;
};

static void words(struct world *w, const char *text)
{
    line_clear(&w->line);
    w->line.db = 0;
    for (const char *at = text; *at;) {
        size_t len = strcspn(at, " ");
        line_add(&w->line, at, len);
        at += len + (at[len] == ' ');
    }
}

static void run(struct world *w, const char *text)
{
    words(w, text);
    node_run(w->node, &w->line);
    if (reply_is(w->node, "-")) fail_msg("%s: %s", text, w->node->reply.begin);
}

static void watch(struct world *w, int client, const char *text)
{
    words(w, text);
    reply_clear(&w->node->reply);
    struct command_context ctx = {.argv = w->line.argv,
                                  .argc = w->line.argc,
                                  .reply = &w->node->reply,
                                  .env = &w->node->env,
                                  .config = &w->node->config,
                                  .now_ms = w->node->env.now_ms,
                                  .partitions = w->node->partitions,
                                  .session = w->clients[client]};
    cmd_watch(&ctx);
    assert_true(reply_is(w->node, "+OK"));
}

static bool is_dirty(const struct world *w, int client)
{
    return session_watch_is_dirty(w->clients[client], w->node->partitions);
}

static void begin(struct world *w)
{
    *w = (struct world){.node = node_new(5, false)};
    for (int i = 0; i < CLIENTS; i++)
        assert_non_null(w->clients[i] = session_create(NULL, 1 + (uint64_t)i, 0));
}

static void end(struct world *w)
{
    for (int i = 0; i < CLIENTS; i++) {
        session_unwatch(w->clients[i], w->node->partitions);
        session_destroy(w->clients[i]);
    }
    for (int p = 0; p < PARTITION_COUNT; p++) assert_null(w->node->partitions[p]->watches);
    w->node->env.expired_stay = false;
    node_expire_all(w->node);
    assert_accounted(w->node);
    assert_no_leak(w->node);
    node_free(w->node);
    free(w->line.bytes);
}

/* Client 0 watches "k" alive and 1 dead; 2 and 3 another key, alive, and one that is not there. */
static void watch_around_death(struct world *w)
{
    begin(w);
    run(w, "SET k v PX 10");
    run(w, "SET other v");
    watch(w, 0, "WATCH k other");
    watch(w, 2, "WATCH other");
    w->node->env.expired_stay = true;
    watch(w, 3, "WATCH none");
    w->node->env.now_ms += 11;
    watch(w, 1, "WATCH k none");
}

static void check_and_end(struct world *w)
{
    for (int round = 0; round < 2; round++) {
        assert_false(is_dirty(w, 1));
        assert_true(is_dirty(w, 0));
        assert_false(is_dirty(w, 2));
        assert_false(is_dirty(w, 3));
    }
    end(w);
}

static void test_seen_dead_during_pause(void **state)
{
    struct world w;
    watch_around_death(&w);
    check_and_end(&w);
}

static void test_looked_at_after_pause(void **state)
{
    struct world w;
    watch_around_death(&w);
    w.node->env.expired_stay = false;
    check_and_end(&w);
}

static void test_removed_after_pause(void **state)
{
    static const char *const hands[] = {"", "GET k", "DEL k", "FLUSHDB", "EXPIRE k 100", "SWAPDB 1 2"};
    for (size_t i = 0; i < sizeof hands / sizeof *hands; i++) {
        struct world w;
        watch_around_death(&w);
        w.node->env.expired_stay = false;
        if (i == 3) session_unwatch(w.clients[2], w.node->partitions); /* the other key goes, too */
        if (hands[i][0])
            run(&w, hands[i]);
        else
            node_expire_all(w.node);
        check_and_end(&w);
    }
}

/* After it has gone it is a key like others. */
static void test_comes_back(void **state)
{
    struct world w;
    watch_around_death(&w);
    w.node->env.expired_stay = false;
    run(&w, "SET k v PX 10");
    assert_true(is_dirty(&w, 1)); /* nothing, then something */
    watch(&w, 3, "WATCH k");
    assert_false(is_dirty(&w, 3));
    w.node->env.now_ms += 11;
    node_expire_all(w.node);
    assert_true(is_dirty(&w, 3));
    end(&w);
}

/* The clock goes back, and what was seen dead lives: who watches it then sees its second death. */
static void test_revived(void **state)
{
    struct world w;
    watch_around_death(&w);
    w.node->env.expired_stay = false;
    w.node->env.now_ms -= 5;
    watch(&w, 3, "WATCH k");
    assert_false(is_dirty(&w, 3));
    w.node->env.now_ms += 5;
    node_expire_all(w.node);
    assert_true(is_dirty(&w, 3));
    assert_true(is_dirty(&w, 1));
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seen_dead_during_pause),
        cmocka_unit_test(test_looked_at_after_pause),
        cmocka_unit_test(test_removed_after_pause),
        cmocka_unit_test(test_comes_back),
        cmocka_unit_test(test_revived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
