/*
 * Reads a dump with the library's own reader. It is the only file of the simulator that
 * includes the library's headers of dumps, some of whose names the simulator has as well.
 * The registers of all vCPUs are read when the file is opened, memory when it is needed.
 */
#include "guest/file.h"

#include "core/dump/dump.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct guest_file {
    const char *path; /* borrowed */
    struct dump *dump;
    struct vcpu *vcpus;
    unsigned count;
};

static void explain(const struct qvm_error *err, char *message, size_t size)
{
    (void)qvm_error_text(err, message, size);
}

static int read_vcpus(struct guest_file *file, struct qvm_error *err)
{
    unsigned count = dump_vcpu_count(file->dump);

    if (count == 0)
        return qvm_fail(err, QVM_UNSUPPORTED, "%s: it has no registers of vCPUs",
                        file->path);
    file->vcpus = calloc(count, sizeof *file->vcpus);
    if (!file->vcpus)
        return qvm_fail_memory(err, "its vCPUs");
    for (; file->count < count; file->count++) {
        if (dump_read_vcpu(file->dump, file->count, &file->vcpus[file->count], err))
            return -1;
    }
    return 0;
}

static int load(struct guest_file *file, struct qvm_error *err)
{
    int result;

    do
        result = dump_load(file->dump, err);
    while (result != 0 && err->code == QVM_INCOMPLETE);
    return result ? result : read_vcpus(file, err);
}

struct guest_file *guest_file_open(const char *path, char *message, size_t size)
{
    struct guest_file *file = calloc(1, sizeof *file);
    struct qvm_error err;

    if (!file) {
        (void)snprintf(message, size, "out of memory");
        return NULL;
    }
    file->path = path;
    file->dump = dump_open(path, false, &err);
    if (file->dump && load(file, &err) == 0)
        return file;
    explain(&err, message, size);
    guest_file_close(file);
    return NULL;
}

void guest_file_close(struct guest_file *file)
{
    if (!file)
        return;
    while (file->count > 0)
        vcpu_free(&file->vcpus[--file->count]);
    free(file->vcpus);
    if (file->dump)
        dump_close(file->dump);
    free(file);
}

const char *guest_file_machine(const struct guest_file *file)
{
    return dump_machine(file->dump);
}

bool guest_file_ram(const struct guest_file *file, size_t *index, uint64_t *base,
                    uint64_t *size)
{
    uint64_t last;

    if (!memory_map_next(&file->dump->map, index, base, &last))
        return false;
    *size = last - *base + 1; /* a map never covers all of the 2^64 bytes */
    return true;
}

unsigned guest_file_vcpus(const struct guest_file *file)
{
    return file->count;
}

const char *guest_file_process(const struct guest_file *file, size_t vcpu)
{
    const char *process = file->vcpus[vcpu].process;

    return *process ? process : NULL;
}

const char *guest_file_extra(const struct guest_file *file, size_t vcpu, unsigned number)
{
    const struct vcpu *v = &file->vcpus[vcpu];

    return number < v->extra_count ? v->extra_fields[number].name : NULL;
}

/* Looks a field up among `count` fields of `bytes`. Values are little-endian. */
static bool find(const struct register_field *fields, size_t count,
                 const unsigned char *bytes, const char *name, uint64_t *value)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(fields[i].name, name) != 0 || fields[i].size > sizeof *value)
            continue;
        *value = 0;
        for (uint32_t k = fields[i].size; k > 0; k--)
            *value = *value << 8 | bytes[fields[i].offset + k - 1];
        return true;
    }
    return false;
}

bool guest_file_register(const struct guest_file *file, size_t vcpu, const char *name,
                         uint64_t *value)
{
    const struct vcpu *v = &file->vcpus[vcpu];

    if (strcmp(name, "pgtbl") == 0) {
        *value = v->pgtbl;
        return v->pgtbl != 0;
    }
    return find(v->set->fields, v->set->count, v->registers, name, value) ||
           find(v->extra_fields, v->extra_count, v->extra, name, value);
}

int guest_file_read(const struct guest_file *file, uint64_t address, void *bytes,
                    size_t size)
{
    struct qvm_error err;

    while (dump_read(file->dump, address, bytes, size, &err) != 0) {
        if (err.code != QVM_INCOMPLETE)
            return err.system ? err.system : EIO;
    }
    return 0;
}
