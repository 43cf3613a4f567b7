/* Reading the configuration: files with their includes, standard input, the command line's options, in this
 * order; the last word on a directive counts.
 *
 * A line is `name word...`; '#' begins a comment only at the start of a line. `include` reads its file at
 * once, in place; a pattern that matches nothing is no error, a missing file is. Relative paths of includes
 * begin at `dir` if that was set before. The first `save` of all drops the default save points, further ones
 * add to them. Bounds: CONFIG_DEPTH_MAX nested files, CONFIG_FILES_MAX files in all, the loader's own limit
 * on size. Any error ends the start with a message that names place, line and reason (in Redis's form). Pure.
 * Tests: test/unit/config_file_test.c, test/fuzz/config_fuzz.c.
 */
#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "config/config_table.h"
#include "config/config_text.h"

#define CONFIG_DEPTH_MAX 16
#define CONFIG_FILES_MAX 256

#define REASON(...) snprintf(load->reason, CONFIG_ERROR_MAX, __VA_ARGS__)

struct load {
    struct config *config;
    const struct config_loader *loader;
    char *fatal;
    char reason[CONFIG_ERROR_MAX];
    int depth, files;
    bool save_seen;
    size_t idle_defaults; /* idle directives that the configuration gives, each at its default */
};

static bool load_text(struct load *load, struct slice text, const char *place);

static void note(const struct load *load, const char *sentence)
{
    if (load->loader->note) load->loader->note(load->loader->context, sentence);
}

static void note_idle(struct load *load, const struct config_row *row, bool is_default)
{
    struct config_text sentence;
    if (is_default) {
        load->idle_defaults++;
        return;
    }
    config_text_init(&sentence);
    config_text_format(&sentence, "%s has no effect here because %s", row->name, row->reason);
    note(load, sentence.ptr);
    config_text_free(&sentence);
}

/* ---- include ---- */

/* A path relative to `dir`, as the file's author meant it. */
static void resolve(const struct load *load, struct slice path, struct config_text *out)
{
    config_text_init(out);
    if (path.ptr[0] != '/' && load->config->dir.len) config_text_format(out, "%s/", load->config->dir.ptr);
    config_text_append(out, path);
}

/* Fails with `fatal` filled in. */
static bool load_file(struct load *load, const char *path)
{
    size_t len;
    const char *why = "unknown error";
    if (++load->files > CONFIG_FILES_MAX || load->depth == CONFIG_DEPTH_MAX) {
        snprintf(load->fatal, CONFIG_FATAL_MAX,
                 "Fatal error, can't open config file '%.512s': more than %d files, or %d deep", path,
                 CONFIG_FILES_MAX, CONFIG_DEPTH_MAX);
        return false;
    }
    char *bytes = load->loader->load ? load->loader->load(load->loader->context, path, &len, &why) : NULL;
    if (!bytes) {
        snprintf(load->fatal, CONFIG_FATAL_MAX, "Fatal error, can't open config file '%.512s': %s", path,
                 why);
        return false;
    }
    struct config_text place;
    config_text_init(&place);
    config_text_format(&place, "'%s'", path);
    load->depth++;
    bool loaded = load_text(load, (struct slice){bytes, len}, place.ptr);
    load->depth--;
    config_text_free(&place);
    free(bytes);
    return loaded;
}

static bool load_include(struct load *load, struct slice pattern)
{
    struct config_text path;
    resolve(load, pattern, &path);
    bool loaded = true;
    if (strpbrk(path.ptr, "*?[")) {
        char **names = NULL;
        size_t count = 0;
        if (!load->loader->glob || !load->loader->glob(load->loader->context, path.ptr, &names, &count))
            count = 0;
        for (size_t i = 0; i < count; i++) {
            if (loaded) loaded = load_file(load, names[i]);
            free(names[i]);
        }
        free(names);
    } else {
        loaded = load_file(load, path.ptr);
    }
    config_text_free(&path);
    return loaded;
}

/* ---- other lines that only files have ---- */

static bool rename_add(struct load *load, struct slice from, struct slice to)
{
    struct config *config = load->config;
    const char *why = load->loader->rename ? load->loader->rename(load->loader->context, from, to) : NULL;
    if (why) {
        REASON("%s", why);
        return false;
    }
    config->renames = realloc(config->renames, (config->rename_count + 1) * sizeof(config->renames[0]));
    CHECK(config->renames != NULL);
    struct config_rename *rename = &config->renames[config->rename_count++];
    config_text_init(&rename->from);
    config_text_init(&rename->to);
    config_text_append(&rename->from, from);
    config_text_append(&rename->to, to);
    return true;
}

static bool apply_file_row(struct load *load, const struct config_row *row, const struct config_words *words)
{
    size_t count = words->count - 1;
    if (count < (size_t)row->words_min || (row->words_max >= 0 && count > (size_t)row->words_max)) {
        REASON("Bad directive or wrong number of arguments");
        return false;
    }
    if (!strcmp(row->name, "include")) return load_include(load, words->items[1]);
    if (!strcmp(row->name, "rename-command")) return rename_add(load, words->items[1], words->items[2]);
    if (row->state == CONFIG_IDLE) {
        note_idle(load, row, false);
        return true;
    }
    CHECK(row->state == CONFIG_PENDING);
    REASON("%s", row->reason);
    return false;
}

/* ---- directives with a value ---- */

/* The points of an earlier line stay in front of this one's. */
static bool set_save(struct load *load, const struct config_row *row, const struct slice *words, size_t count)
{
    struct config *config = load->config;
    struct config_save_point before[CONFIG_SAVE_POINTS_MAX];
    int before_count = load->save_seen ? config->save_count : 0;
    memcpy(before, config->save, sizeof(before));
    if (!config_row_set(config, row, words, count, load->reason)) return false;
    load->save_seen = true;
    if (config->save_count == 0) return true; /* "" drops all */
    if (before_count + config->save_count > CONFIG_SAVE_POINTS_MAX) {
        REASON("Invalid save parameters");
        return false;
    }
    memmove(config->save + before_count, config->save, (size_t)config->save_count * sizeof(before[0]));
    memcpy(config->save, before, (size_t)before_count * sizeof(before[0]));
    config->save_count += before_count;
    return true;
}

static bool set_words(struct load *load, const struct config_row *row, const struct slice *words,
                      size_t count)
{
    if (row->special == CONFIG_SPECIAL_SAVE) return set_save(load, row, words, count);
    return config_row_set(load->config, row, words, count, load->reason);
}

static bool apply_value_row(struct load *load, const struct config_row *row, const struct config_words *words)
{
    bool set;
    if ((row->flags & CONFIG_FLAG_MULTI) && words->count == 2 && words->items[1].len) {
        /* A list given as one word: "arg1 arg2 arg3". */
        struct config_words inner;
        if (!config_words_split(words->items[1], &inner)) {
            REASON("Unbalanced quotes in configuration line");
            return false;
        }
        set = set_words(load, row, inner.items, inner.count);
        config_words_free(&inner);
    } else {
        set = set_words(load, row, words->items + 1, words->count - 1);
    }
    if (set && row->state == CONFIG_IDLE) note_idle(load, row, config_row_is_default(load->config, row));
    return set;
}

static bool apply_line(struct load *load, struct slice line)
{
    struct config_words words;
    if (memchr(line.ptr, 0, line.len)) {
        REASON("NUL byte in configuration line");
        return false;
    }
    if (!config_words_split(line, &words)) {
        REASON("Unbalanced quotes in configuration line");
        return false;
    }
    bool applied = true;
    const struct config_row *row = words.count ? config_row_find(words.items[0]) : NULL;
    if (row) {
        applied = row->kind == CONFIG_KIND_FILE ? apply_file_row(load, row, &words)
                                                : apply_value_row(load, row, &words);
    } else if (words.count) {
        bool of_module = memchr(words.items[0].ptr, '.', words.items[0].len) != NULL;
        REASON("%s", of_module ? "Module configuration, but weft loads no modules"
                               : "Bad directive or wrong number of arguments");
        applied = false;
    }
    config_words_free(&words);
    return applied;
}

/* ---- texts ---- */

static void fail_at(struct load *load, int line_number, const char *place, struct slice line)
{
    if (load->fatal[0]) return; /* an included file has told it already */
    struct config_text shown;   /* a line may hold a terminal's control bytes; a path, too */
    config_text_init(&shown);
    for (size_t i = 0; i < line.len && i < 512; i++) {
        char c = line.ptr[i];
        config_text_append(&shown, c >= 0 && c < ' ' && c != '\t' ? SLICE("?") : (struct slice){&c, 1});
    }
    snprintf(load->fatal, CONFIG_FATAL_MAX,
             "\n*** FATAL CONFIG FILE ERROR (weft) ***\n"
             "Reading the configuration file, at line %d of %.512s\n>>> '%s'\n%s",
             line_number, place, shown.ptr, load->reason);
    config_text_free(&shown);
}

static bool load_text(struct load *load, struct slice text, const char *place)
{
    int line_number = 0;
    const char *end = text.ptr + text.len;
    for (const char *at = text.ptr; at < end;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline ? newline : end;
        struct slice line = config_trim((struct slice){at, (size_t)(stop - at)});
        line_number++;
        at = newline ? newline + 1 : end;
        if (line.len == 0 || line.ptr[0] == '#' || apply_line(load, line)) continue;
        fail_at(load, line_number, place, line);
        return false;
    }
    return true;
}

bool config_load(struct config *config, const struct config_arguments *arguments, struct slice stdin_text,
                 const struct config_loader *loader, char fatal[CONFIG_FATAL_MAX])
{
    struct load load = {.config = config, .loader = loader, .fatal = fatal};
    fatal[0] = 0;
    if (arguments->file) {
        config_text_set(&config->file, config_slice(arguments->file));
        if (!load_file(&load, arguments->file)) return false;
    }
    if (arguments->from_stdin && !load_text(&load, stdin_text, "standard input")) return false;
    if (!load_text(&load, config_text_slice(&arguments->options), "the command line")) return false;
    if (load.idle_defaults) {
        char sentence[128];
        snprintf(sentence, sizeof(sentence), "%zu %s given with their default values have no effect here",
                 load.idle_defaults, load.idle_defaults == 1 ? "directive" : "directives");
        note(&load, sentence);
    }
    return true;
}
