/* Declarations to compile the QNX files on other systems, written from the public QNX
 * documentation. Not QNX's header: values and layouts are made up. */
#ifndef QVM_SPEC_SYSPAGE_H
#define QVM_SPEC_SYSPAGE_H

#if !defined(_QNX_SOURCE)
#    error "documented: with -std= QNX's own declarations need _QNX_SOURCE"
#endif

#include <stdint.h>

struct syspage_entry {
    uint16_t num_cpu;
};

extern struct syspage_entry *_syspage_ptr;

#endif
