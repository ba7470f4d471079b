/* A direct-mapped cache: page p of the file has one place, p modulo the number of places,
 * so a hit is a comparison and a copy, and pages that follow each other in the file do so
 * in the cache.
 *
 *     page of the file   0  1  2  3 ... 16383  16384  16385
 *     place              0  1  2  3 ... 16383      0      1
 *
 * A page that is missing is read as a whole. If the read before ended there, the caller
 * ascends: then twice as many pages are fetched as the last time, by one read.
 *
 * The memory is allocated by the first read, and is as large as the file if that is
 * smaller. Linux provides it page by page as it is used. */
#include "dump/page_cache.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void page_cache_init(struct page_cache *cache, size_t places)
{
    *cache = (struct page_cache){.places = places};
}

void page_cache_free(struct page_cache *cache)
{
    free(cache->tags);
    free(cache->bytes);
    page_cache_init(cache, cache->places);
}

/* False: no memory. */
static bool allocate(struct page_cache *cache, uint64_t size)
{
    size_t places = 1;

    while (places < cache->places && (uint64_t)places * CACHE_PAGE < size)
        places *= 2;
    cache->tags = calloc(places, sizeof *cache->tags);
    cache->bytes = malloc(places * CACHE_PAGE);
    if (cache->tags && cache->bytes) {
        cache->places = places;
        return true;
    }
    page_cache_free(cache);
    return false;
}

/* How many pages to fetch from `page` on: they must not reach beyond the last place. */
static size_t pages_to_fetch(const struct page_cache *cache, uint64_t page)
{
    size_t left = cache->places - (size_t)(page & (cache->places - 1));
    size_t count = page == cache->next && cache->ahead > 0 ? 2 * cache->ahead : 1;

    count = count < CACHE_AHEAD ? count : CACHE_AHEAD;
    return count < left ? count : left;
}

/* Fetches a page, and maybe some after it. */
static int fetch(struct page_cache *cache, page_source *source, const void *file,
                 uint64_t size, uint64_t page, struct qvm_error *err)
{
    size_t place = (size_t)(page & (cache->places - 1));
    size_t count = pages_to_fetch(cache, page);
    uint64_t offset = page * CACHE_PAGE;
    uint64_t bytes = (uint64_t)count * CACHE_PAGE;

    if (bytes > size - offset)
        bytes = size - offset;
    count = (size_t)((bytes + CACHE_PAGE - 1) / CACHE_PAGE);
    memset(&cache->tags[place], 0, count * sizeof *cache->tags);
    if (source(file, offset, cache->bytes + place * CACHE_PAGE, (size_t)bytes, err) != 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        cache->tags[place + i] = page + i + 1;
    cache->next = page + count;
    cache->ahead = count;
    return 0;
}

int page_cache_read(struct page_cache *cache, page_source *source, const void *file,
                    uint64_t size, uint64_t offset, void *to, size_t n,
                    struct qvm_error *err)
{
    unsigned char *out = to;

    if (!cache->bytes && !allocate(cache, size))
        return source(file, offset, to, n, err);
    while (n > 0) {
        uint64_t page = offset / CACHE_PAGE;
        size_t place = (size_t)(page & (cache->places - 1));
        size_t within = (size_t)(offset % CACHE_PAGE);
        size_t part = CACHE_PAGE - within < n ? CACHE_PAGE - within : n;

        /* A page may fail although the bytes are there, in a file that was cut: they, or
           their own error, count. */
        if (cache->tags[place] != page + 1 &&
            fetch(cache, source, file, size, page, err) != 0)
            return err->code == QVM_INCOMPLETE ? -1 : source(file, offset, out, n, err);
        memcpy(out, cache->bytes + place * CACHE_PAGE + within, part);
        out += part;
        offset += part;
        n -= part;
    }
    return 0;
}
