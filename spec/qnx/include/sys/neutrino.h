/* Declarations to compile the QNX files on other systems, written from the public QNX C
 * Library Reference. Not QNX's header: values and layouts are made up. */
#ifndef QVM_SPEC_NEUTRINO_H
#define QVM_SPEC_NEUTRINO_H

#if !defined(_QNX_SOURCE)
#    error "documented: with -std= QNX's own declarations need _QNX_SOURCE"
#endif

#include <signal.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct _server_info {
    uint32_t nd;
    pid_t pid;
    int32_t chid;
    int32_t scoid;
    uint32_t flags;
};

#define _NTO_COF_DEAD             0x0002
#define _NTO_TIMEOUT_SEND         0x0001
#define _NTO_TIMEOUT_REPLY        0x0002
#define SIGEV_UNBLOCK_INIT(event) ((event)->sigev_notify = 7)

int ConnectServerInfo(pid_t pid, int coid, struct _server_info *info);
int TimerTimeout(clockid_t id, int flags, const struct sigevent *notify,
                 const uint64_t *ntime, uint64_t *otime);

#endif
