/* Reads a kernel's table of symbols (kallsyms) from the memory of a dump. */
#ifndef QVM_KALLSYMS_READER_H
#define QVM_KALLSYMS_READER_H

#include "guest/kallsyms.h"
#include "guest/page_stream.h"

/* Virtual addresses of the kernel's variables of these names, from VMCOREINFO. */
struct kallsyms_location {
    uint64_t names, num_syms, token_table, token_index;
    uint64_t stext;                                     /* of the symbol `_stext` */
    bool has_offsets, has_addresses, has_relative_base; /* one of the first two */
    uint64_t offsets, addresses, relative_base;
};

struct kallsyms_reader {
    struct space *space;
    struct kallsyms_location location;
    struct kallsyms *table; /* taken from here, once it is whole */
    unsigned stage;         /* see kallsyms_reader.c */
    unsigned tokens;        /* read so far */
    size_t count;           /* of symbols that the table has; those read: table->count */
    uint64_t base;          /* of the offsets */
    size_t stext;           /* index of the symbol `_stext`; SIZE_MAX: not found yet */
    /* Names: bytes that there is room for, decoded so far, and of the expanded names. */
    size_t room, decoded, expanded;
    /* Numbers: how many are decoded; a page of them, and bytes of the next one before. */
    size_t numbers, rest;
    unsigned char bytes[PAGE_STREAM_SIZE + 8];
    struct page_stream stream; /* of the names, then of the numbers */
};

/* 0, or -1 and nothing to free. The space must live as long as the reader. */
int kallsyms_reader_init(struct kallsyms_reader *reader, struct space *space,
                         const struct kallsyms_location *location, struct qvm_error *err);
void kallsyms_reader_free(struct kallsyms_reader *reader);

/* Reads a part of the table. 0: it is whole; -1. Code incomplete: call again. Codes
 * not_found (not in the dump, an unknown form, not of this kernel), too_large, malformed.
 * The messages do not name the dump. */
int kallsyms_read(struct kallsyms_reader *reader, struct qvm_error *err);

#endif
