/* An address space: the memory of a dump by virtual address, through page tables in the
 * dump. The tables are the guest's and may say anything. A walk has at most as many steps
 * as there are levels. */
#ifndef QVM_ADDRESS_SPACE_H
#define QVM_ADDRESS_SPACE_H

#include "dump/dump.h"
#include "paging/page_table.h"

enum { SPACE_CACHE = 512 };

/* aarch64 has a table for each half of its addresses; elsewhere the first is for all. */
enum space_half { SPACE_LOWER, SPACE_UPPER, SPACE_HALVES };

struct space_page {
    uint64_t tag;     /* twice the page's number, plus 1; 0: free */
    uint64_t address; /* physical */
};

/* What one entry maps; last is 0 in an empty one. */
struct space_block {
    uint64_t first, last; /* virtual, inclusive */
    uint64_t physical;    /* of first */
};

struct space {
    struct memory memory; /* virtual: see space_memory.c */
    struct dump *dump;
    bool has[SPACE_HALVES]; /* are the tables of this half known? */
    struct paging half[SPACE_HALVES];
    unsigned page_shift; /* of the half with the smaller pages */
    /* Translations: of the last walk, and of pages. */
    struct space_block block;
    struct space_page cache[SPACE_CACHE];
    /* The physical extent that a scan came to last. */
    uint64_t extent_first;
    struct extent extent;
};

struct walk_step {
    unsigned level;        /* an index into paging->level */
    uint64_t table, index; /* physical address of the table; the entry's number in it */
    uint64_t entry;        /* its bits */
    struct paging_entry decoded; /* what it says */
};

struct walk {
    const struct paging *paging;
    struct walk_step steps[PAGING_LEVELS_MAX];
    unsigned count;
    uint64_t address; /* physical, if the last step is a leaf */
    uint64_t size;    /* bytes of the page or block it is in */
    unsigned perms;   /* by all steps together */
};

extern const struct memory_ops space_memory_ops;

/* To be called once the halves are set up. */
void space_init(struct space *space, struct dump *dump);

/* The page tables for an address. NULL: not canonical (unmapped), or those of its half are
 * not known (unsupported). */
const struct paging *space_paging(const struct space *space, uint64_t address,
                                  struct qvm_error *err);

/* The last address up to which no page tables are known, from one on that space_paging has
 * refused: those between the two halves, and those of a half that is not known. */
uint64_t space_gap_last(const struct space *space, uint64_t address);

/* Reads the entry of step->level, ->table and ->index into the other members. */
int space_read_entry(const struct space *space, const struct paging *paging,
                     struct walk_step *step, struct qvm_error *err);

/* Walks from the root to the first entry that is not a table's, valid or not. 0, or -1: the
 * address is not canonical, or a table is not in the dump; then walk->count steps have been
 * done. */
int space_walk(const struct space *space, uint64_t address, struct walk *walk,
               struct qvm_error *err);

/* Walks to a page. 0, or -1; for code unmapped, the message has the entry that stopped the
 * walk, or the table that is missing. */
int space_resolve(const struct space *space, uint64_t address, struct walk *walk,
                  struct qvm_error *err);

/* The cache of translations. Recalls the physical address, and the bytes up to the end of
 * the page, if it has them; remembers the walk to a page. */
bool space_recall(struct space *space, uint64_t address, uint64_t *physical,
                  uint64_t *left);
void space_remember(struct space *space, uint64_t address, const struct walk *walk);

/* Translates a virtual address, by the cache or a walk; *left: bytes up to the end of its
 * page or block. Codes as of space_resolve. */
int space_translate(struct space *space, uint64_t address, uint64_t *physical,
                    uint64_t *left, struct qvm_error *err);

/* Reads n bytes, all of them or, after an error, none that count. */
int space_read(struct space *space, uint64_t address, void *to, size_t n,
               struct qvm_error *err);

#endif
