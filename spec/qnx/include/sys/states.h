/* Declarations to compile the QNX files on other systems. The names are documented (QNX
 * System Architecture, "Thread life cycle"). Not QNX's header: the values are made up. */
#ifndef QVM_SPEC_STATES_H
#define QVM_SPEC_STATES_H

enum {
    STATE_DEAD = 40,
    STATE_RUNNING,
    STATE_READY,
    STATE_STOPPED,
    STATE_SEND,
    STATE_RECEIVE,
    STATE_REPLY,
    STATE_STACK,
    STATE_WAITTHREAD,
    STATE_WAITPAGE,
    STATE_SIGSUSPEND,
    STATE_SIGWAITINFO,
    STATE_NANOSLEEP,
    STATE_MUTEX,
    STATE_CONDVAR,
    STATE_JOIN,
    STATE_INTR,
    STATE_SEM
};

#endif
