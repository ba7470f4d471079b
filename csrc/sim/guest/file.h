/*
 * A dump file as the guest of a simulated VM: its memory, its vCPUs and their registers.
 * Any format that the library reads is accepted.
 */
#ifndef SIM_GUEST_FILE_H
#define SIM_GUEST_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guest_file;

/* Opens the dump at `path`, which must stay valid. NULL: it cannot be used, and `message`
   says why, in at most `size` bytes. */
struct guest_file *guest_file_open(const char *path, char *message, size_t size);

void guest_file_close(struct guest_file *file);

/* "aarch64", "x86_64", or another machine that the library knows; NULL: an unknown one. */
const char *guest_file_machine(const struct guest_file *file);

/* The next contiguous block of memory; *index starts at 0. False: no more. */
bool guest_file_ram(const struct guest_file *file, size_t *index, uint64_t *base,
                    uint64_t *size);

unsigned guest_file_vcpus(const struct guest_file *file);

/* The name of the process of a vCPU's record, owned by the file; NULL: none. */
const char *guest_file_process(const struct guest_file *file, size_t vcpu);

/* The name of extra register `number` of vCPU `vcpu`, owned by the file; NULL: no more. */
const char *guest_file_extra(const struct guest_file *file, size_t vcpu, unsigned number);

/* The value of a register of a vCPU, of the general or the extra ones, by its name, or of
   "pgtbl". False: it has no such register. */
bool guest_file_register(const struct guest_file *file, size_t vcpu, const char *name,
                         uint64_t *value);

/* Reads guest memory. Returns 0, or an errno value. */
int guest_file_read(const struct guest_file *file, uint64_t address, void *bytes,
                    size_t size);

#endif
