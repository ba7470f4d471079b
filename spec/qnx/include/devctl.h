/* Declarations to compile the QNX files on other systems, written from the public QNX C
 * Library Reference. Not QNX's header. */
#ifndef QVM_SPEC_DEVCTL_H
#define QVM_SPEC_DEVCTL_H

#if !defined(_QNX_SOURCE)
#    error "documented: with -std= QNX's own declarations need _QNX_SOURCE"
#endif

#include <stddef.h>

/* Returns EOK or an error number. */
int devctl(int fd, int command, void *data, size_t size, int *info);

#endif
