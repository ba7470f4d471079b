/*
 * Splits a configuration into words. `@FILE` is replaced by the words of that file,
 * recursively; `#` starts a comment; quotes keep blanks and newlines in a word. The size
 * of all files, the depth and the number of includes are limited.
 */
#define _GNU_SOURCE
#include "conf/token.h"

#include "util/file.h"
#include "util/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST_INCLUDE = 16, MOST_INCLUDES = 1000, MOST_BYTES = 1 << 20 };

struct source {
    struct source *next;
    char *path;
    struct text bytes;
    unsigned depth; /* 1: named on the command line */
};

struct scan {
    const struct source *source;
    const char *at;
    const char *end;
    unsigned long line;
    bool fresh; /* no word on this line yet */
    bool quoted;
};

static struct place here(const struct scan *scan)
{
    return (struct place){scan->source->path, scan->line};
}

static void check_memory(struct place place, bool good)
{
    if (!good)
        place_fail(place, "out of memory");
}

/* The list takes ownership of `text`. */
static void append(struct tokens *tokens, struct token token)
{
    check_memory(token.place, token.text != NULL);
    tokens->items = place_grow(tokens->items, tokens->count, sizeof token);
    tokens->items[tokens->count++] = token;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

/* Skips blanks, newlines and comments; false at the end of the file. */
static bool find_word(struct scan *scan)
{
    for (; scan->at < scan->end; scan->at++) {
        if (*scan->at == '#') {
            scan->at = memchr(scan->at, '\n', (size_t)(scan->end - scan->at));
            if (!scan->at)
                scan->at = scan->end;
        }
        if (scan->at == scan->end)
            return false;
        if (*scan->at == '\n') {
            scan->line++;
            scan->fresh = true;
        } else if (!is_blank(*scan->at)) {
            return true;
        }
    }
    return false;
}

/* The length of a line end at `at`: 1 or 2, 0 if there is none. */
static size_t line_end(const char *at, const char *end)
{
    if (at < end && *at == '\n')
        return 1;
    return end - at >= 2 && at[0] == '\r' && at[1] == '\n' ? 2 : 0;
}

/* Takes a quoted part, from the opening quote to the closing one. */
static void take_quoted(struct scan *scan, struct text *word)
{
    struct place opened = here(scan);
    char quote = *scan->at++;

    scan->quoted = true;
    while (scan->at < scan->end && *scan->at != quote) {
        bool joined = *scan->at == '\\' && line_end(scan->at + 1, scan->end);
        size_t newline = line_end(scan->at + joined, scan->end);
        if (newline) {
            scan->line++;
            scan->at += newline + joined;
            text_bytes(word, "\n", joined ? 0 : 1);
        } else {
            text_bytes(word, scan->at++, 1);
        }
    }
    if (scan->at == scan->end)
        place_fail(opened, "unterminated quote");
    scan->at++;
}

/* The word at the scanner's position; the caller frees it. */
static char *take_word(struct scan *scan)
{
    struct text word = {0};

    scan->quoted = false;
    text_string(&word, "");
    while (scan->at < scan->end && !is_blank(*scan->at) && *scan->at != '\n') {
        if (*scan->at == '"' || *scan->at == '\'')
            take_quoted(scan, &word);
        else
            text_bytes(&word, scan->at++, 1);
    }
    check_memory(here(scan), !word.failed);
    return word.data;
}

static const char upper[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/* The length of a placeholder @NAME@ at `at`, 0 if there is none. */
static size_t placeholder(const char *at)
{
    static const char rest[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    size_t length =
        at[0] == '@' && at[1] && strchr(upper, at[1]) ? strspn(at + 1, rest) : 0;

    return length && at[1 + length] == '@' ? length + 2 : 0;
}

/* QNX's course notes contain templates, which a script fills in before a qvm reads them. */
static void check_template(struct place place, const char *word)
{
    for (const char *at = strchr(word, '@'); at; at = strchr(at + 1, '@')) {
        size_t length = placeholder(at);
        if (length)
            place_fail(place,
                       "'%.*s' is a placeholder of a template: replace it by a value",
                       (int)(length < 100 ? length : 100), at);
    }
}

/* The path of an include, relative to the file that contains it; NULL: out of memory. */
static char *resolve(const struct source *from, const char *name)
{
    const char *slash = from && name[0] != '/' ? strrchr(from->path, '/') : NULL;
    struct text path = {0};

    if (slash)
        text_bytes(&path, from->path, (size_t)(slash - from->path) + 1);
    text_string(&path, name);
    return path.data;
}

static struct source *open_source(struct tokens *tokens, const struct source *from,
                                  struct place place, const char *name)
{
    unsigned depth = from ? from->depth + 1 : 1;
    struct source *source = place_grow(NULL, 0, sizeof *source);

    source->next = tokens->sources;
    tokens->sources = source;
    source->depth = depth;
    if (!*name)
        place_fail(place, "'@' without a file name");
    if (depth > DEEPEST_INCLUDE)
        place_fail(place, "includes are nested deeper than %d", DEEPEST_INCLUDE);
    if (from && ++tokens->include_count > MOST_INCLUDES)
        place_fail(place, "more than %d files are included", MOST_INCLUDES);
    source->path = resolve(from, name);
    check_memory(place, source->path != NULL);
    if (file_read(source->path, &source->bytes))
        place_fail(place, "cannot read %s: %s", source->path, strerror(errno));
    if (memchr(source->bytes.data, '\0', source->bytes.length))
        place_fail(place, "%s is not a text file", source->path);
    tokens->bytes += source->bytes.length;
    if (tokens->bytes > MOST_BYTES)
        place_fail(place, "more than %d KiB of configuration with %s", MOST_BYTES >> 10,
                   source->path);
    return source;
}

/* Starts to scan a file, after the byte order mark that some editors put at its beginning.
 */
static struct scan scan_begin(const struct source *source)
{
    static const char mark[] = "\xef\xbb\xbf";
    const char *text = source->bytes.data;
    bool marked = strncmp(text, mark, strlen(mark)) == 0;

    return (struct scan){.source = source,
                         .at = text + (marked ? strlen(mark) : 0),
                         .end = text + source->bytes.length,
                         .line = 1,
                         .fresh = true};
}

/* The depth is bounded by DEEPEST_INCLUDE. */ // NOLINTNEXTLINE(misc-no-recursion)
static void include(struct tokens *tokens, const struct source *from, struct place place,
                    const char *name)
{
    const struct source *source = open_source(tokens, from, place, name);
    struct scan scan = scan_begin(source);

    while (find_word(&scan)) {
        struct token token = {
            .place = here(&scan), .source = source, .starts_line = scan.fresh};
        bool includes = *scan.at == '@';
        scan.fresh = false;
        token.text = take_word(&scan);
        token.quoted = scan.quoted;
        if (!token.quoted)
            check_template(token.place, token.text);
        if (includes) {
            include(tokens, source, token.place, token.text + 1);
            free(token.text);
        } else {
            append(tokens, token);
        }
    }
}

void tokens_add(struct tokens *tokens, const char *argument, unsigned long number)
{
    struct place place = {NULL, number};

    if (argument[0] == '@')
        include(tokens, NULL, place, argument + 1);
    else
        append(tokens, (struct token){.text = strdup(argument), .place = place});
}

void tokens_free(struct tokens *tokens)
{
    for (size_t i = 0; i < tokens->count; i++)
        free(tokens->items[i].text);
    free(tokens->items);
    while (tokens->sources) {
        struct source *source = tokens->sources;
        tokens->sources = source->next;
        text_free(&source->bytes);
        free(source->path);
        free(source);
    }
    *tokens = (struct tokens){0};
}
