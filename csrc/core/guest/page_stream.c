/* Reads memory page by page. A guest can map a page again and again, so that a table in its
 * memory would have no end. Therefore a stream ends at a physical page that it has read
 * before, through whatever address, and reads at most as many pages as its caller allows.
 *
 * It reads whole pages, but for the first: a page is in memory or not, and each physical
 * page counts once. */
#include "guest/page_stream.h"

#include <stdlib.h>

int page_stream_init(struct page_stream *stream, struct space *space, size_t max,
                     const char *subject, struct qvm_error *err)
{
    *stream = (struct page_stream){.space = space, .max = max};
    stream->pages = malloc(max * sizeof *stream->pages);
    return stream->pages ? 0 : qvm_fail_memory(err, subject);
}

void page_stream_free(struct page_stream *stream)
{
    free(stream->pages);
    stream->pages = NULL;
}

void page_stream_begin(struct page_stream *stream, uint64_t address)
{
    stream->next = address;
    stream->ended = stream->is_repeated = false;
    stream->page_count = 0;
}

/* Adds a physical page. False: it was read before, or `max` pages were. Quadratic in the
 * pages: kallsyms, with some 5000, takes 13 million comparisons at most, some milliseconds.
 */
static bool add_page(struct page_stream *stream, uint64_t physical)
{
    for (size_t i = 0; i < stream->page_count; i++)
        if (stream->pages[i] == physical)
            return false;
    if (stream->page_count == stream->max)
        return false;
    stream->pages[stream->page_count++] = physical;
    return true;
}

int page_stream_next(struct page_stream *stream, unsigned char *to, size_t *n,
                     struct qvm_error *err)
{
    size_t offset = stream->next % PAGE_STREAM_SIZE, size = PAGE_STREAM_SIZE - offset;
    uint64_t physical, left;

    *n = 0;
    if (stream->ended)
        return 0;
    if (space_read(stream->space, stream->next, to, size, err) != 0 ||
        space_translate(stream->space, stream->next - offset, &physical, &left, err) != 0) {
        stream->ended = err->code != QVM_INCOMPLETE;
        return stream->ended ? 0 : -1;
    }
    if (!add_page(stream, physical)) {
        stream->ended = stream->is_repeated = true;
        return 0;
    }
    stream->next += size;
    *n = size;
    return 0;
}
