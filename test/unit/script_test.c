/* Plays test/scripts/: each *.script file says commands to a node and what it must answer. Its sections are
 * the tests, each on a node of its own. test/blackbox/script_test.py plays the same files to a real Redis 8.0
 * (sections with "[weft]" behind their title aside) and to weft-server, so what is written there is what
 * Redis says. The form:
 *
 *     # a comment
 *     == title [weft]                 a section; [weft]: about weft alone; [simulated]: and not about
 * weft-server options --shards 2              of the node; before the first section: of all sections config
 * save ""                  a line of its configuration file > SET a 1                       client 1 says
 * this; words as in redis-cli, <1000*x> is x a thousand times +OK                             what it must
 * hear (script_node.h); ? for anything 2> GET a client 2 '1' > INFO clients ~ *connected_clients:2*         a
 * pattern > DUMP a $payload                        a bulk: kept, and $payload stands for its bytes from now
 * on
 *     !> "GET" " a\r\n"               these very bytes
 *     2< ...                          client 2 hears nothing (more); or a reply, push or "closed"
 *     wait 50                         milliseconds
 *     close 2                         client 2 goes, and comes back when it is used again
 *     restart                         of the node
 *     unix 3 ./socket                 client 3 comes through a Unix socket
 *     logged words                    of a line of the log
 *     look 1000                       microseconds that each look at the clock costs: not with real clocks
 *     sweep> LPUSH a b                first with every single allocation of the store failing: it is refused
 *     1                               (-OOM) and DEBUG DIGEST stays as it was
 *     starve> SORT a                  first with every single malloc() failing: it is refused and changes
 *     []                              nothing, or the connection ends
 *
 * A line that begins with blanks goes on with the line before.
 *
 *     build/…/script_test [FILE…]
 */
#include "script_node.h"

#include <glob.h>

#include "base/check.h"
#include "base/glob.h"
#include "resp/parser.h"
#include "store/partition.h"

#define SECTIONS_MAX 1000
#define WORDS_MAX    2000
#define KEPT_MAX     8
#define SWEEP_MAX    200

struct section {
    char *title;
    const char *file;
    char *options; /* of the file */
    struct line {
        char *text;
        int number;
    } * lines;
    int count;
};

struct kept {
    char name[32];
    struct slice bytes;
};

struct player {
    struct script_node node;
    const struct section *section;
    int at;     /* line of the section */
    int client; /* that spoke last */
    bool begun;
    char options[512], file[1024];
    struct kept kept[KEPT_MAX];
};

static void complain(const struct player *p, const char *what, const char *got)
{
    fprintf(stderr, "%s:%d: %s\n    says %s\n    hears %s\n", p->section->file,
            p->section->lines[p->at].number, p->section->title, what, got);
    fail();
}

/* ---- words ---- */

static struct slice slice_of(const char *text)
{
    return (struct slice){text, strlen(text)};
}

static void add_word(struct player *p, FILE *out, struct slice word, bool raw)
{
    char *text = NULL;
    size_t len = 0;
    FILE *bytes = open_memstream(&text, &len);
    assert_non_null(bytes);
    int begin = 0, times = 0;
    const struct kept *value = NULL;
    for (int i = 0; i < KEPT_MAX && word.len > 1 && word.ptr[0] == '$'; i++)
        if (slice_equal(word, slice_of(p->kept[i].name))) value = &p->kept[i];
    if (word.len > 3 && word.ptr[0] == '<' && sscanf(word.ptr, "<%d*%n", &times, &begin) == 1 && begin > 0) {
        for (int i = 0; i < times; i++) fwrite(word.ptr + begin, 1, word.len - (size_t)begin - 1, bytes);
    } else if (value) {
        fwrite(value->bytes.ptr, 1, value->bytes.len, bytes);
    } else {
        fwrite(word.ptr, 1, word.len, bytes);
    }
    fclose(bytes);
    if (!raw) fprintf(out, "$%zu\r\n", len);
    fwrite(text, 1, len, out);
    if (!raw) fputs("\r\n", out);
    free(text);
}

static char *encode(struct player *p, const char *line, bool raw, size_t *len)
{
    struct resp_args args = {0};
    char *bytes = NULL;
    FILE *out = open_memstream(&bytes, len);
    assert_non_null(out);
    assert_int_equal(resp_split_words(line, strlen(line), &args), RESP_COMMAND);
    if (!raw) fprintf(out, "*%u\r\n", args.count);
    for (uint32_t i = 0; i < args.count; i++) add_word(p, out, args.items[i], raw);
    fclose(out);
    resp_args_free(&args);
    return bytes;
}

static void say(struct player *p, const char *line, bool raw)
{
    size_t len;
    char *bytes = encode(p, line, raw, &len);
    script_node_say(&p->node, p->client, bytes, len);
}

/* ---- what must be heard ---- */

static void keep(struct player *p, const char *name, struct slice bulk, const char *got)
{
    int i = 0;
    if (!bulk.ptr) bulk = (struct slice){strdup(got), strlen(got)};
    while (i < KEPT_MAX && p->kept[i].name[0] && strcmp(p->kept[i].name, name) != 0) i++;
    assert_true(i < KEPT_MAX);
    free((char *)p->kept[i].bytes.ptr);
    snprintf(p->kept[i].name, sizeof p->kept[i].name, "%s", name);
    p->kept[i].bytes = bulk;
}

static bool fits(const char *got, const char *wanted)
{
    if (wanted[0] == '~' && wanted[1] == ' ') return glob_match(slice_of(wanted + 2), slice_of(got), false);
    return strcmp(wanted, "?") == 0 || strcmp(got, wanted) == 0;
}

static void expect(struct player *p, int client, const char *wanted)
{
    bool nothing = strcmp(wanted, "...") == 0;
    struct slice bulk = {NULL, 0};
    char *got = script_node_hear(&p->node, client, nothing ? SCRIPT_QUIET_US : SCRIPT_HEAR_US, &bulk);
    if (wanted[0] == '$') {
        keep(p, wanted, bulk, got);
        bulk.ptr = NULL;
    } else if (!fits(got, wanted)) {
        complain(p, wanted, got);
    }
    free((char *)bulk.ptr);
    free(got);
}

static char *digest(struct player *p)
{
    say(p, "DEBUG DIGEST", false);
    return script_node_hear(&p->node, p->client, SCRIPT_HEAR_US, NULL);
}

static void inject(struct player *p, uint64_t after)
{
    for (int i = 0; i < PARTITION_COUNT; i++)
        slab_inject_failure(&p->node.node->partitions[i]->slab, after, false);
}

/* With the n-th allocation failing for n = 1, 2, … the command must change nothing, until it does all. */
static void sweep(struct player *p, const char *line, const char *wanted)
{
    char *before = digest(p);
    int n = 1;
    for (; n < SWEEP_MAX; n++) {
        inject(p, (uint64_t)n);
        say(p, line, false);
        char *got = script_node_hear(&p->node, p->client, SCRIPT_HEAR_US, NULL);
        inject(p, 0);
        bool refused = strncmp(got, "-OOM", 4) == 0;
        if (!refused && !fits(got, wanted)) complain(p, wanted, got);
        free(got);
        if (!refused) break;
        char *after = digest(p);
        if (strcmp(before, after) != 0) complain(p, "refused, but something has changed", line);
        free(after);
    }
    if (n == 1 || n == SWEEP_MAX) complain(p, "an allocation can fail", line);
    free(before);
}

/* With the n-th malloc() of the node failing for n = 1, 2, …, until none does any more. A connection may end;
 * one that does not is answered right, or refused with nothing changed. */
static void starve_all(struct player *p, const char *line, const char *wanted)
{
    uint64_t failed = 1;
    int n = 1;
    for (; failed && n < SWEEP_MAX; n++) {
        char *before = digest(p);
        starve.failed = 0;
        starve.after = (uint64_t)n;
        say(p, line, false);
        char *got = script_node_hear(&p->node, p->client, SCRIPT_HEAR_US, NULL);
        starve.after = 0;
        failed = starve.failed;
        bool closed = strcmp(got, "closed") == 0;
        bool refused = got[0] == '-' && !fits(got, wanted);
        if (closed) script_node_close(&p->node, p->client);
        if ((closed || refused) ? !failed : !fits(got, wanted)) complain(p, wanted, got);
        char *after = digest(p);
        if (refused && strcmp(before, after) != 0) complain(p, "refused, but something has changed", line);
        free(after);
        free(before);
        free(got);
    }
    if (n == 2 || n == SWEEP_MAX) complain(p, "a malloc() can fail", line);
}

/* ---- lines ---- */

static bool begins(const char *line, const char *word)
{
    return strncmp(line, word, strlen(word)) == 0;
}

static bool is_said(const char *line, int *client, char *kind)
{
    int n = 0;
    *client = 1;
    if (sscanf(line, "%d%n", client, &n) != 1) n = 0;
    if ((line[n] != '>' && line[n] != '<') || line[n + 1] != ' ') return false;
    *kind = line[n];
    return true;
}

static bool is_directive(const char *line)
{
    static const char *const words[] = {"sweep> ", "starve> ", "!> ",   "wait ",   "close ", "options ",
                                        "config ", "restart",  "unix ", "logged ", "look "};
    int client;
    char kind;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (begins(line, words[i])) return true;
    return is_said(line, &client, &kind);
}

static void start(struct player *p, bool again)
{
    struct resp_args args = {0};
    char *words[WORDS_MAX];
    const char *file = !p->file[0] ? NULL : again ? "" : p->file, *of_all = p->section->options;
    assert_int_equal(resp_split_words(of_all, strlen(of_all), &args), RESP_COMMAND);
    assert_int_equal(resp_split_words(p->options, strlen(p->options), &args), RESP_COMMAND);
    for (uint32_t i = 0; i < args.count; i++) words[i] = strndup(args.items[i].ptr, args.items[i].len);
    if (!again) script_node_create(&p->node);
    script_node_start(&p->node, words, (int)args.count, file);
    for (uint32_t i = 0; i < args.count; i++) free(words[i]);
    resp_args_free(&args);
    p->begun = true;
}

/* What is no talk with a client. False: something else. */
static bool play_directive(struct player *p, const char *line)
{
    if (begins(line, "wait ")) {
        script_node_wait(&p->node, atoll(line + 5) * 1000);
    } else if (begins(line, "close ")) {
        script_node_close(&p->node, atoi(line + 6));
    } else if (begins(line, "restart")) {
        script_node_stop(&p->node);
        start(p, true);
    } else if (begins(line, "unix ")) {
        script_node_connect(&p->node, atoi(line + 5), strchr(line + 5, ' ') + 1);
    } else if (begins(line, "logged ")) {
        if (!p->node.log || !strstr(p->node.log, line + 7)) complain(p, line, p->node.log);
    } else if (begins(line, "look ")) {
        for (int i = 0; i < SHARDS_MAX && p->node.node->shards[i]; i++)
            io_sim_look_cost(shard_io(p->node.node->shards[i]), atoll(line + 5));
    } else {
        return false;
    }
    return true;
}

/* The reply that stands in the line behind, or NULL when the next line says something else. */
static const char *reply_behind(const struct player *p)
{
    const char *next = p->at + 1 < p->section->count ? p->section->lines[p->at + 1].text : "> ";
    return !is_directive(next) ? next : NULL;
}

static void play_line(struct player *p)
{
    const char *line = p->section->lines[p->at].text, *reply = reply_behind(p);
    int client;
    char kind;
    if (begins(line, "options ")) {
        snprintf(p->options, sizeof p->options, "%s", line + 8);
        return;
    }
    if (begins(line, "config ")) {
        size_t len = strlen(p->file);
        snprintf(p->file + len, sizeof p->file - len, "%s\n", line + 7);
        return;
    }
    if (!p->begun) start(p, false);
    if (play_directive(p, line)) {
        return;
    } else if (begins(line, "sweep> ")) {
        p->client = 1;
        p->at++;
        if (!reply) complain(p, "a reply", line);
        sweep(p, line + 7, reply);
    } else if (begins(line, "starve> ")) {
        p->client = 1;
        p->at++;
        if (!reply) complain(p, "a reply", line);
        starve_all(p, line + 8, reply);
    } else if (begins(line, "!> ") || (is_said(line, &client, &kind) && kind == '>')) {
        bool raw = line[0] == '!';
        p->client = raw ? 1 : client;
        say(p, strchr(line, '>') + 2, raw);
        if (reply) p->at++;
        if (reply) expect(p, p->client, reply);
    } else if (is_said(line, &client, &kind)) {
        expect(p, client, strchr(line, '<') + 2);
    } else {
        complain(p, "something", line);
    }
}

static void play(void **state)
{
    struct player *p = calloc(1, sizeof *p);
    assert_non_null(p);
    p->section = *state;
    for (p->at = 0; p->at < p->section->count; p->at++) play_line(p);
    p->at--;
    /* Nobody was told more than was looked at. */
    for (int i = 0; p->begun && i < SCRIPT_CLIENTS; i++)
        if (p->node.clients[i].conn) expect(p, i, p->node.clients[i].ended ? "closed" : "...");
    if (p->begun) script_node_stop(&p->node);
    if (p->begun) script_node_destroy(&p->node);
    for (int i = 0; i < KEPT_MAX; i++) free((char *)p->kept[i].bytes.ptr);
    free(p);
}

/* ---- files ---- */

static void add_line(struct section *section, const char *text, int number)
{
    if (!text[0] || strncmp(text, "# ", 2) == 0) return;
    if (text[0] == ' ' && section->count > 0) {
        struct line *head = &section->lines[section->count - 1];
        char *joined = NULL;
        assert_true(asprintf(&joined, "%s %s", head->text, text + strspn(text, " ")) > 0);
        free(head->text);
        head->text = joined;
        return;
    }
    section->lines = realloc(section->lines, sizeof(struct line) * (size_t)(section->count + 1));
    assert_non_null(section->lines);
    section->lines[section->count++] = (struct line){strdup(text), number};
}

/* The sections of a file behind the `count` that are there; how many there are now. */
static int read_file(struct section *sections, int count, const char *name)
{
    FILE *in = fopen(name, "r");
    char *line = NULL, options[256] = "";
    size_t room = 0;
    const char *base = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
    struct section *section = NULL;
    if (!in) {
        fprintf(stderr, "%s cannot be read\n", name);
        exit(1);
    }
    for (int number = 1; getline(&line, &room, in) > 0; number++) {
        line[strcspn(line, "\n")] = 0;
        if (begins(line, "== ") && count < SECTIONS_MAX) {
            section = &sections[count++];
            *section = (struct section){.file = name, .options = strdup(options)};
            if (asprintf(&section->title, "%s: %s", base, line + 3) < 0) abort();
        } else if (section) {
            add_line(section, line, number);
        } else if (begins(line, "options ")) {
            snprintf(options, sizeof options, "%s", line + 8);
        }
    }
    free(line);
    fclose(in);
    return count;
}

int main(int argc, char **argv)
{
    static struct section sections[SECTIONS_MAX];
    static struct CMUnitTest tests[SECTIONS_MAX];
    int count = 0;
    glob_t found;
    if (argc == 1 && glob("test/scripts/*.script", 0, NULL, &found) != 0) return 1;
    for (size_t i = 0; argc == 1 && i < found.gl_pathc; i++)
        count = read_file(sections, count, found.gl_pathv[i]);
    for (int i = 1; i < argc; i++) count = read_file(sections, count, argv[i]);
    for (int i = 0; i < count; i++)
        tests[i] = (struct CMUnitTest){sections[i].title, play, NULL, NULL, &sections[i]};
    int failed = _cmocka_run_group_tests("scripts", tests, (size_t)count, NULL, NULL);
    for (int i = 0; i < count; i++) {
        for (int l = 0; l < sections[i].count; l++) free(sections[i].lines[l].text);
        free(sections[i].lines);
        free(sections[i].title);
        free(sections[i].options);
    }
    if (argc == 1) globfree(&found);
    return failed;
}
