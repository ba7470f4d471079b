/*
 * Exit codes of the simulator: those that QNX documents for its qvm, as far as they apply.
 */
#ifndef SIM_EXITCODE_H
#define SIM_EXITCODE_H

enum exitcode {
    EXITCODE_NORMAL = 0,        /* the guest shut down */
    EXITCODE_POWER_CUT = 3,     /* SIGQUIT */
    EXITCODE_BEFORE_GUEST = 64, /* fatal before the guest started */
    EXITCODE_CONFIG = 65,       /* fatal error in the configuration */
    EXITCODE_AFTER_GUEST = 96   /* fatal after the guest started */
};

#endif
