/* Page tables as the architectures define them: how many levels, which bits of an address
 * count at each, what an entry says. A table of parameters; the walks are in space.h.
 * Sources: AMD64 Architecture Programmer's Manual, volume 2, and Arm Architecture Reference
 * Manual, VMSAv8-64. */
#ifndef QVM_PAGE_TABLE_H
#define QVM_PAGE_TABLE_H

#include "util/error.h"

#include <stdbool.h>
#include <stdint.h>

enum { PAGING_LEVELS_MAX = 5 };

enum paging_kind {
    PAGING_X86,     /* 32 bits, two levels */
    PAGING_X86_PAE, /* 32 bits, three levels */
    PAGING_X86_64,
    PAGING_AARCH64
};

/* Who may do what: privileged code and user code. */
enum {
    PERM_KERNEL_READ = 1,
    PERM_KERNEL_WRITE = 2,
    PERM_KERNEL_EXECUTE = 4,
    PERM_USER_READ = 8,
    PERM_USER_WRITE = 16,
    PERM_USER_EXECUTE = 32,
    PERM_ALL = 63
};

struct paging_level {
    int number;     /* the manual's: 4 to 1 for x86_64, 0 to 3 for aarch64 */
    unsigned shift; /* the index's lowest bit in an address */
    unsigned bits;  /* of the index */
    bool leaf;      /* may an entry end the walk here? */
};

struct paging {
    enum paging_kind kind;
    unsigned va_bits, page_shift;
    unsigned pa_bits;         /* aarch64: of physical addresses, 48 or 52 */
    uint64_t encryption_mask; /* bits of an entry that are no part of its address */
    uint64_t root;            /* physical address of the first table */
    unsigned entry_size, levels;
    struct paging_level level[PAGING_LEVELS_MAX]; /* from the root on */
};

enum entry_kind { ENTRY_INVALID, ENTRY_TABLE, ENTRY_LEAF };

struct paging_entry {
    enum entry_kind kind;
    uint64_t address; /* physical: of the next table, or of the page or block */
    unsigned perms;   /* what remains of PERM_ALL by this entry */
};

/* Fills the levels in from kind, va_bits, page_shift and pa_bits. Code unsupported: there
 * is no such form. */
int paging_setup(struct paging *paging, struct qvm_error *err);

/* What an entry says at a level, an index into paging->level. */
struct paging_entry paging_decode(const struct paging *paging, unsigned level,
                                  uint64_t entry);

/* Can an address be translated at all? Its unused high bits must have one value, as the
 * architecture asks. */
bool paging_is_canonical(const struct paging *paging, uint64_t address);

#endif
