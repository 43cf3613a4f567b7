/* struct config as a whole: defaults, copies, CONFIG GET and CONFIG SET. See config.h for the contract.
 *
 * Invariants
 *  1. Every text of a struct config is initialised (ptr != NULL) from config_init() to config_free().
 *  2. config_set() works on a copy and puts it in place only if every pair was accepted.
 *  3. A value that config_get() shows is one that config_set() takes.
 * Cost: a copy is about 80 small allocations; look-up by name is a linear pass over some 250 names. Control
 * plane. Tests: test/unit/config_set_test.c.
 */
#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/glob.h"
#include "base/mutant.h"
#include "config/config_table.h"
#include "config/config_text.h"

const struct config_row *config_row_find(struct slice name)
{
    for (size_t i = 0; i < config_row_count; i++) {
        const struct config_row *row = &config_rows[i];
        if (config_name_equal(name, config_slice(row->name))) return row;
        if (row->alias && config_name_equal(name, config_slice(row->alias))) return row;
    }
    return NULL;
}

/* A row that CONFIG GET and SET know. */
static const struct config_row *find_value(struct slice name)
{
    const struct config_row *row = config_row_find(name);
    return row && row->kind != CONFIG_KIND_FILE ? row : NULL;
}

/* ---- the struct ---- */

/* Calls visit() for every text that the struct owns by itself, that is all but those of the renames. */
static void each_text(struct config *config, void (*visit)(struct config_text *))
{
    for (int i = 0; i < CONFIG_BIND_MAX; i++) visit(&config->bind[i]);
    for (int i = 0; i < CONFIG_IDLE_TEXTS; i++) visit(&config->idle_text[i]);
    visit(&config->file);
    for (size_t i = 0; i < config_row_count; i++) {
        struct config_text *text = (struct config_text *)((char *)config + config_rows[i].offset);
        bool idle = text >= config->idle_text && text < config->idle_text + CONFIG_IDLE_TEXTS;
        if (config_rows[i].store == CONFIG_STORE_TEXT && !idle) visit(text);
    }
}

/* Replaces a borrowed text by one of its own. */
static void text_own(struct config_text *text)
{
    struct slice borrowed = config_text_slice(text);
    config_text_init(text);
    config_text_append(text, borrowed);
}

void config_init(struct config *config)
{
    memset(config, 0, sizeof(*config));
    each_text(config, config_text_init);
    for (size_t i = 0; i < config_row_count; i++) {
        const struct config_row *row = &config_rows[i];
        if (row->kind == CONFIG_KIND_FILE) continue;
        char reason[CONFIG_ERROR_MAX];
        struct config_words words;
        if (row->flags & CONFIG_FLAG_MULTI)
            config_words_split_spaces(config_slice(row->initial), &words);
        else
            words = (struct config_words){NULL, 0, NULL};
        struct slice initial = config_slice(row->initial);
        bool set = words.count ? config_row_set(config, row, words.items, words.count, reason)
                               : config_row_set(config, row, &initial, 1, reason);
        CHECK(set);
        config_words_free(&words);
        DCHECK(config_row_is_default(config, row));
    }
}

void config_free(struct config *config)
{
    each_text(config, config_text_free);
    for (size_t i = 0; i < config->rename_count; i++) {
        config_text_free(&config->renames[i].from);
        config_text_free(&config->renames[i].to);
    }
    free(config->renames);
    config->renames = NULL;
    config->rename_count = 0;
}

void config_copy(struct config *to, const struct config *from)
{
    *to = *from;
    each_text(to, text_own);
    to->renames = config_alloc(from->rename_count * sizeof(*to->renames));
    for (size_t i = 0; i < from->rename_count; i++) {
        to->renames[i] = from->renames[i];
        text_own(&to->renames[i].from);
        text_own(&to->renames[i].to);
    }
}

/* ---- CONFIG GET ---- */

static void match_push(const struct config *config, const struct config_row *row, struct slice name,
                       struct config_matches *matches)
{
    for (size_t i = 0; i < matches->count; i++)
        if (config_name_equal(name, config_text_slice(&matches->items[i].name))) return;
    if ((matches->count & (matches->count - 1)) == 0) { /* full at powers of two */
        size_t capacity = matches->count ? matches->count * 2 : 1;
        matches->items = realloc(matches->items, capacity * sizeof(matches->items[0]));
        CHECK(matches->items != NULL);
    }
    struct config_match *match = &matches->items[matches->count++];
    config_text_init(&match->name);
    config_text_init(&match->value);
    config_text_append(&match->name, name);
    config_row_get(config, row, &match->value);
}

static void match_glob(const struct config *config, struct slice pattern, struct config_matches *matches)
{
    for (size_t i = 0; i < config_row_count; i++) {
        const struct config_row *row = &config_rows[i];
        if (row->kind == CONFIG_KIND_FILE || (row->flags & CONFIG_FLAG_HIDDEN)) continue;
        const char *names[] = {row->name, row->alias};
        for (int n = 0; n < 2 && names[n]; n++)
            if (glob_match(pattern, config_slice(names[n]), true))
                match_push(config, row, config_slice(names[n]), matches);
    }
}

static bool has_glob(struct slice pattern)
{
    for (size_t i = 0; i < pattern.len; i++)
        if (pattern.ptr[i] == '*' || pattern.ptr[i] == '?' || pattern.ptr[i] == '[') return true;
    return false;
}

void config_get(const struct config *config, const struct slice *patterns, size_t count,
                struct config_matches *matches)
{
    *matches = (struct config_matches){NULL, 0};
    for (size_t i = 0; i < count; i++) {
        if (has_glob(patterns[i])) {
            match_glob(config, patterns[i], matches);
            continue;
        }
        const struct config_row *row = find_value(patterns[i]);
        if (row) match_push(config, row, patterns[i], matches);
    }
}

void config_matches_free(struct config_matches *matches)
{
    for (size_t i = 0; i < matches->count; i++) {
        config_text_free(&matches->items[i].name);
        config_text_free(&matches->items[i].value);
    }
    free(matches->items);
    *matches = (struct config_matches){NULL, 0};
}

bool config_get_one(const struct config *config, struct slice name, struct config_text *value)
{
    const struct config_row *row = find_value(name);
    config_text_init(value);
    if (row) config_row_get(config, row, value);
    return row != NULL;
}

/* ---- CONFIG SET ---- */

void config_set_error(char error[CONFIG_ERROR_MAX], const char *name, const char *reason)
{
    snprintf(error, CONFIG_ERROR_MAX, "ERR CONFIG SET failed (possibly related to argument '%.63s')%s%.380s",
             name, reason ? " - " : "", reason ? reason : "");
}

bool config_is_sensitive(struct slice name)
{
    const struct config_row *row = find_value(name);
    return row && (row->flags & CONFIG_FLAG_SENSITIVE);
}

static bool has_value(const struct config *config, const struct config_row *row, struct slice value)
{
    struct config_text now;
    config_text_init(&now);
    config_row_get(config, row, &now);
    bool same = slice_equal(value, config_text_slice(&now));
    config_text_free(&now);
    return same;
}

/* May this row be set at run time, as the i-th of these pairs? */
static bool may_set(const struct config *config, const struct config_row *row, const struct slice *words,
                    size_t i, unsigned flags, char error[CONFIG_ERROR_MAX])
{
    char name[64];
    snprintf(name, sizeof(name), "%.*s", (int)words[i].len, words[i].ptr);
    const char *why = NULL;
    if (row->change == CONFIG_IMMUTABLE ||
        (row->change == CONFIG_FIXED && !has_value(config, row, words[i + 1])))
        why = "can't set immutable config";
    else if (row->change == CONFIG_PROTECTED && !(flags & CONFIG_MAY_SET_PROTECTED))
        why = "can't set protected config";
    else if ((row->flags & CONFIG_FLAG_DENY_LOADING) && (flags & CONFIG_WHILE_LOADING)) {
        snprintf(error, CONFIG_ERROR_MAX, "LOADING Redis is loading the dataset in memory");
        return false;
    }
    for (size_t j = 0; !why && j < i; j += 2)
        if (find_value(words[j]) == row) why = "duplicate parameter";
    if (why) config_set_error(error, name, why);
    return why == NULL;
}

/* One name-value pair; multi-word directives are split at single spaces. */
static bool set_pair(struct config *config, const struct config_row *row, struct slice value, char *reason)
{
    if (!(row->flags & CONFIG_FLAG_MULTI)) return config_row_set(config, row, &value, 1, reason);
    struct config_words words;
    config_words_split_spaces(value, &words);
    bool set = config_row_set(config, row, words.items, words.count, reason);
    config_words_free(&words);
    return set;
}

static void note_idle(const struct config *config, const struct config_row *row,
                      const struct config_loader *notes)
{
    if (!notes || !notes->note || row->state != CONFIG_IDLE || config_row_is_default(config, row)) return;
    struct config_text sentence;
    config_text_init(&sentence);
    config_text_format(&sentence, "%s has no effect here because %s", row->name, row->reason);
    notes->note(notes->context, sentence.ptr);
    config_text_free(&sentence);
}

void config_changes(const struct config *config, const struct slice *words, size_t count,
                    struct config_matches *changes)
{
    *changes = (struct config_matches){NULL, 0};
    for (size_t i = 0; i < count; i += 2) {
        const struct config_row *row = find_value(words[i]);
        CHECK(row);
        match_push(config, row, config_slice(row->name), changes);
    }
}

void config_follow(struct config *config, const struct slice *words, size_t count, uint64_t stamp)
{
    CHECK(count % 2 == 0);
    for (size_t i = 0; i < count; i += 2) {
        const struct config_row *row = find_value(words[i]);
        char reason[CONFIG_ERROR_MAX];
        CHECK(row && config->stamps[row - config_rows] != stamp);
        if (config->stamps[row - config_rows] > stamp && !MUTANT(config_older_wins)) continue;
        bool set = set_pair(config, row, words[i + 1], reason);
        CHECK(set); /* it was shown by a config of the same table */
        config->stamps[row - config_rows] = stamp;
    }
}

bool config_set(struct config *config, const struct slice *words, size_t count, unsigned flags,
                const struct config_loader *notes, char error[CONFIG_ERROR_MAX])
{
    CHECK(count % 2 == 0);
    for (size_t i = 0; i < count; i += 2) {
        if (find_value(words[i])) continue;
        snprintf(error, CONFIG_ERROR_MAX, "ERR Unknown option or number of arguments for CONFIG SET - '%.*s'",
                 (int)(words[i].len < 128 ? words[i].len : 128), words[i].ptr);
        return false;
    }
    for (size_t i = 0; i < count; i += 2)
        if (!may_set(config, find_value(words[i]), words, i, flags, error)) return false;
    struct config next;
    config_copy(&next, config);
    for (size_t i = 0; i < count; i += 2) {
        const struct config_row *row = find_value(words[i]);
        char reason[CONFIG_ERROR_MAX];
        if (set_pair(&next, row, words[i + 1], reason)) continue;
        bool by_name = config_name_equal(words[i], config_slice(row->name));
        config_set_error(error, by_name ? row->name : row->alias, reason);
        config_free(&next);
        return false;
    }
    config_free(config);
    *config = next;
    for (size_t i = 0; i < count; i += 2) note_idle(config, find_value(words[i]), notes);
    return true;
}
