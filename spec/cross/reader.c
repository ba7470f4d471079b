/* Prints what the core reads from dumps, without Lua: for a comparison of C libraries.
 *
 *     reader DUMP... */
#include "dump/dump.h"

#include <inttypes.h>
#include <stdio.h>

static int fail(const struct qvm_error *err)
{
    char text[QVM_MESSAGE_SIZE];

    qvm_error_text(err, text, sizeof text);
    printf("%s: %s\n", qvm_code_name(err->code), text);
    return 1;
}

static int print_vcpu(const struct dump *dump, unsigned index)
{
    struct qvm_error err;
    struct vcpu vcpu;

    if (dump_read_vcpu(dump, index, &vcpu, &err) != 0)
        return fail(&err);
    printf("vcpu %" PRIu32 " %s pgtbl %#" PRIx64 ":", vcpu.cpunum, vcpu.process,
           vcpu.pgtbl);
    for (size_t i = 0; i < vcpu.set->size; i++)
        printf(" %02x", vcpu.registers[i]);
    printf("\n");
    vcpu_free(&vcpu);
    return 0;
}

/* Prints each memory run with a sum of all of its bytes. */
static int print_memory(const struct dump *dump, const struct memory_run *run)
{
    uint64_t left = run->last - run->first + 1, sum = 0;
    unsigned char bytes[512];
    struct qvm_error err;

    while (left > 0) {
        size_t part = left < sizeof bytes ? (size_t)left : sizeof bytes;
        int status;

        do
            status = dump_read(dump, run->last - left + 1, bytes, part, &err);
        while (status != 0 && err.code == QVM_INCOMPLETE);
        if (status != 0)
            return fail(&err);
        for (size_t i = 0; i < part; i++)
            sum = sum * 31 + bytes[i];
        left -= part;
    }
    printf("memory %#" PRIx64 " - %#" PRIx64 ": %#" PRIx64 "\n", run->first, run->last,
           sum);
    return 0;
}

static int print_dump(const char *path)
{
    struct qvm_error err;
    struct dump *dump = dump_open(path, false, &err);
    int failed = 0, status;

    if (!dump)
        return fail(&err);
    do
        status = dump_load(dump, &err);
    while (status != 0 && err.code == QVM_INCOMPLETE);
    if (status != 0) {
        dump_close(dump);
        return fail(&err);
    }
    printf("%s %s\n", dump_format_name(dump), dump_machine(dump));
    for (unsigned i = 0; i < dump_vcpu_count(dump); i++)
        failed |= print_vcpu(dump, i);
    for (size_t i = 0; i < dump->map.count; i++)
        failed |= print_memory(dump, &dump->map.runs[i]);
    dump_close(dump);
    return failed;
}

int main(int count, char **paths)
{
    int failed = 0;

    for (int i = 1; i < count; i++)
        failed |= print_dump(paths[i]);
    return failed;
}
