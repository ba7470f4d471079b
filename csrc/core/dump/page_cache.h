/* The pages of a file that were read last, for small reads that come again and again.
 *
 * Not for use by two threads at once. What was read once stays valid when the file is cut
 * afterwards: it is what the file had. */
#ifndef QVM_PAGE_CACHE_H
#define QVM_PAGE_CACHE_H

#include "util/error.h"
#include "util/limits.h"

#include <stddef.h>
#include <stdint.h>

enum {
    CACHE_PAGE = 4096,             /* bytes */
    CACHE_PAGES = LIMIT(16384, 8), /* 64 MiB */
    CACHE_AHEAD = LIMIT(32, 4)     /* pages that one read of the file fetches at most */
};

/* Reads n bytes at an offset of a file. 0, or -1. */
typedef int page_source(const void *file, uint64_t offset, void *to, size_t n,
                        struct qvm_error *err);

struct page_cache {
    uint64_t *tags; /* for each place: the number of the page there, plus 1; 0: none */
    unsigned char *bytes; /* NULL: not allocated yet, or no memory for it */
    size_t places;        /* a power of two; before the first read: at most so many */
    uint64_t next;        /* the page after those that were fetched last */
    size_t ahead;         /* how many those were */
};

/* For at most `places` pages, a power of two. */
void page_cache_init(struct page_cache *cache, size_t places);
void page_cache_free(struct page_cache *cache);

/* Reads n bytes, at most CACHE_PAGE, from the cache or through `source`, of a file of
 * `size` bytes; offset + n <= size. 0, or -1 as `source`. */
int page_cache_read(struct page_cache *cache, page_source *source, const void *file,
                    uint64_t size, uint64_t offset, void *to, size_t n,
                    struct qvm_error *err);

#endif
