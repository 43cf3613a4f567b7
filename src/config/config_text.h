/* Owned strings, the words of a configuration line, and their quoting. Internal to src/config. Pure, any
 * thread.
 *
 * A line is split at blanks; "..." knows \n \r \t \a \b \\ \" \xHH, '...' knows \' only; a closing quote must
 * be followed by a blank or the end. Tests: test/unit/config_text_test.c.
 */
#ifndef WEFT_CONFIG_CONFIG_TEXT_H
#define WEFT_CONFIG_CONFIG_TEXT_H

#include "config/config.h"

void *config_alloc(size_t size); /* malloc or the end of the process */
void config_text_init(struct config_text *text);
void config_text_free(struct config_text *text); /* leaves it empty and usable */
void config_text_append(struct config_text *text, struct slice bytes);
void config_text_format(struct config_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void config_text_append_quoted(struct config_text *text, struct slice bytes); /* "..." with escapes */

static inline struct slice config_text_slice(const struct config_text *text)
{
    return (struct slice){text->ptr, text->len};
}
static inline struct slice config_slice(const char *string)
{
    return (struct slice){string, strlen(string)};
}

/* The words of one line; `storage` holds their bytes. */
struct config_words {
    struct slice *items;
    size_t count;
    char *storage;
};
bool config_words_split(struct slice line,
                        struct config_words *words); /* false: unbalanced quotes; nothing to free */
void config_words_split_spaces(struct slice text,
                               struct config_words *words); /* at each single space, no quotes */
void config_words_free(struct config_words *words);

struct slice config_trim(struct slice line);            /* blanks, tabs, CR and LF at both ends */
bool config_name_equal(struct slice a, struct slice b); /* ASCII letters in any case */

#endif
