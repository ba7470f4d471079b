#include "dump/format.h"

static int probe_qnx(struct dump *dump, struct qvm_error *err)
{
    for (unsigned i = 0; i < dump->elf.count; i++) {
        const struct elf_segment *segment = &dump->elf.segments[i];
        int found = 0;

        if (segment->type == ELF_PT_NOTE && !segment->repeated && segment->filesz > 0)
            found = qnx_note_probe(&dump->qnx, &dump->elf, segment, &dump->file, err);
        /* In a partial dump the note may be missing, or its beginning be all there is. */
        if (found < 0 && err->code == QVM_TRUNCATED && dump->partial)
            found = 0;
        dump->rejected |= found == 0 && dump->qnx.rejected;
        if (found > 0)
            dump->qnx_note_segment = (int)i;
        if (found != 0)
            return found;
    }
    return 0;
}

static void release_qnx(struct dump *dump)
{
    qnx_note_free(&dump->qnx);
}

static unsigned vcpus_qnx(const struct dump *dump)
{
    return dump->qnx.cpus;
}

static int read_vcpu_qnx(const struct dump *dump, unsigned index, struct vcpu *vcpu,
                         struct qvm_error *err)
{
    return qnx_note_read_vcpu(&dump->qnx, index, &dump->file, vcpu, err);
}

static int probe_qemu(struct dump *dump, struct qvm_error *err)
{
    return qemu_notes_probe(&dump->qemu, &dump->elf, &dump->file, err);
}

static void release_qemu(struct dump *dump)
{
    qemu_notes_free(&dump->qemu);
}

static unsigned vcpus_qemu(const struct dump *dump)
{
    return dump->qemu.cpus;
}

static int read_vcpu_qemu(const struct dump *dump, unsigned index, struct vcpu *vcpu,
                          struct qvm_error *err)
{
    return qemu_notes_read_vcpu(&dump->qemu, index, &dump->file, vcpu, err);
}

static int probe_elf(struct dump *dump, struct qvm_error *err)
{
    (void)dump;
    (void)err;
    return 1;
}

static void release_nothing(struct dump *dump)
{
    (void)dump;
}

static unsigned vcpus_none(const struct dump *dump)
{
    (void)dump;
    return 0;
}

/* The last one takes every ELF core: memory, no registers. */
static const struct dump_format formats[] = {
    {"qnx", false, probe_qnx, release_qnx, vcpus_qnx, read_vcpu_qnx},
    {"qemu", false, probe_qemu, release_qemu, vcpus_qemu, read_vcpu_qemu},
    {"elf", true, probe_elf, release_nothing, vcpus_none, NULL},
};

int format_find(struct dump *dump, struct qvm_error *err)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        int found = formats[i].probe(dump, err);

        if (found < 0)
            return -1;
        if (found > 0) {
            dump->format = &formats[i];
            return 0;
        }
    }
    return -1;
}
