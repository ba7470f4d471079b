/* Memory of a guest that is read in ascending order, a page at a time, up to an end that
 * only the bytes themselves show. */
#ifndef QVM_PAGE_STREAM_H
#define QVM_PAGE_STREAM_H

#include "paging/address_space.h"

enum { PAGE_STREAM_SIZE = 4096 }; /* bytes of a page */

struct page_stream {
    struct space *space;
    uint64_t next;          /* virtual address */
    bool ended;             /* at memory that is not in the dump, or: */
    bool is_repeated;       /* that it has read before, or after `max` pages */
    uint64_t *pages;        /* physical addresses of the pages that it has read */
    size_t page_count, max; /* of them */
};

/* A stream of at most so many pages. 0, or -1: out of memory, and nothing to free. The
 * space must live as long as the stream. */
int page_stream_init(struct page_stream *stream, struct space *space, size_t max,
                     const char *subject, struct qvm_error *err);
void page_stream_free(struct page_stream *stream);

/* Begins at an address, and forgets what was read before. */
void page_stream_begin(struct page_stream *stream, uint64_t address);

/* Reads up to the end of the page: at most PAGE_STREAM_SIZE bytes. *n: how many; 0: the
 * stream has ended. Returns 0, or -1: incomplete, call again. Any other failure to read
 * ends the stream. */
int page_stream_next(struct page_stream *stream, unsigned char *to, size_t *n,
                     struct qvm_error *err);

#endif
