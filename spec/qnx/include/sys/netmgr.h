/* As neutrino.h beside it. */
#ifndef QVM_SPEC_NETMGR_H
#define QVM_SPEC_NETMGR_H

#define ND_LOCAL_NODE     0
#define ND_NODE_CMP(a, b) ((a) == (b) ? 0 : 1)

#endif
