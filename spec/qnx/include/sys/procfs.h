/* Declarations to compile the QNX files on other systems, written from the public QNX
 * Programmer's Guide ("Thread information", "DCMD_PROC_TIDSTATUS"). Not QNX's header:
 * values and the layout are made up, and members that are not used are left out. */
#ifndef QVM_SPEC_PROCFS_H
#define QVM_SPEC_PROCFS_H

#if !defined(_QNX_SOURCE)
#    error "documented: with -std= QNX's own declarations need _QNX_SOURCE"
#endif

#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct {
    pid_t pid;
    pthread_t tid;
    uint8_t priority;
    uint8_t real_priority;
    uint8_t state;
    uint64_t start_time;
    uint64_t sutime;
} procfs_status;

#define DCMD_PROC_TIDSTATUS 77
#define EOK                 0

#endif
