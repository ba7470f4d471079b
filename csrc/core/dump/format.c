/* The table of formats. They are asked in turn, and the first that recognises the file has
 * it. The last one takes every ELF core: it has memory, and no registers. */
#include "dump/format.h"

#include "dump/qemu_notes.h"
#include "dump/qnx_note.h"

#include <stdio.h>

static int probe_any(struct dump *dump, struct qvm_error *err)
{
    (void)dump;
    (void)err;
    return FORMAT_FOUND;
}

/* Most likely a QNX or QEMU dump of a version that this library does not know, or a damaged
 * one. Registers that may be wrong are worse than none. */
static bool warn_doubtful(const struct dump *dump, char text[DUMP_WARNING_SIZE])
{
    if (dump->doubtful)
        snprintf(text, DUMP_WARNING_SIZE,
                 "some notes have registers of vCPUs, but not all are as QNX or QEMU "
                 "writes them: no registers are read");
    return dump->doubtful;
}

static dump_warn *const warnings[] = {warn_doubtful, NULL};

/* A core of a process, or of a writer that is not known. What a core does not store of a
 * segment is zeros (System V ABI, p_memsz). */
static const struct dump_format plain_format = {
    .name = "elf", .zero_fill = true, .probe = probe_any, .warnings = warnings};

static const struct dump_format *const formats[] = {&qnx_format, &qemu_format,
                                                    &plain_format};

/* The plain format recognises everything, so the end of the loop is not reached; it fails
 * like any file that is not a dump. A doubtful result does not end the search, as another
 * format may recognise the file. If none but the plain one does, the dump warns of it. */
int format_find(struct dump *dump, struct qvm_error *err)
{
    dump->doubtful = false;
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        int found = formats[i]->probe(dump, err);

        if (found < 0)
            return -1;
        dump->doubtful |= found == FORMAT_DOUBTFUL;
        if (found == FORMAT_FOUND) {
            dump->format = formats[i];
            return 0;
        }
    }
    return qvm_fail(err, QVM_UNSUPPORTED, "%s: not a dump", dump->file.path);
}

void format_release(struct dump *dump)
{
    if (dump->format && dump->format->release)
        dump->format->release(dump);
    dump->state = NULL;
    dump->format = NULL;
}
