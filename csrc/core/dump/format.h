/* The formats of dumps. */
#ifndef QVM_FORMAT_H
#define QVM_FORMAT_H

#include "dump/dump.h"

/* A format knows its own files: probe returns 1 (it is one: whatever it keeps is in the
 * dump), 0 (not mine), -1 (error). */
struct dump_format {
    const char *name;
    bool zeros; /* is memory beyond a segment's data in the file zeros, or not in the dump?
                 */
    int (*probe)(struct dump *dump, struct qvm_error *err);
    void (*release)(struct dump *dump);
    unsigned (*vcpus)(const struct dump *dump);
    int (*read_vcpu)(const struct dump *dump, unsigned index, struct vcpu *vcpu,
                     struct qvm_error *err);
};

/* Finds the dump's format. 0, or -1. */
int format_find(struct dump *dump, struct qvm_error *err);

#endif
