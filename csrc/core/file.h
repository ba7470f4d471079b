/* Random access to a file of any size. */
#ifndef QVM_FILE_H
#define QVM_FILE_H

#include "error.h"
#include "mapping.h"

#include <stdint.h>

struct file {
    int fd;
    uint64_t size; /* bytes, when it was opened */
    struct mapping map;
    char *path;
};

/* 0, or -1 and nothing to close. */
int file_open(struct file *file, const char *path, struct qvm_error *err);
void file_close(struct file *file);

/* Did the file have n bytes at an offset when it was opened? Code truncated. */
int file_check(const struct file *file, uint64_t offset, uint64_t n, struct qvm_error *err);

/* Reads exactly n bytes at an offset. Code truncated if the file has, or now has, fewer. */
int file_read(const struct file *file, uint64_t offset, void *to, size_t n,
              struct qvm_error *err);

#endif
