/* Limits that a build for fuzzing lowers (-DQVM_LOW_LIMITS), so that inputs of some KiB
 * reach them: LIMIT(1 << 20, 1 << 8) is 1 << 20 in all other builds. */
#ifndef QVM_LIMITS_H
#define QVM_LIMITS_H

#ifdef QVM_LOW_LIMITS
#    define LIMIT(normal, low) (low)
#else
#    define LIMIT(normal, low) (normal)
#endif

#endif
