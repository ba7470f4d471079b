/* The file of an env document: returns all of its bytes, or too_large. */
#include "host/env_document.h"
#include "util/os.h"

#include "fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct env_document text;
    const char *path = fuzz_file(0, data, size);
    struct qvm_error *err = fuzz_error();
    uint64_t seed = fuzz_hash(data, size);
    /* Longer than any input: the first few bytes decide. */
    uint64_t length = size > 2 && data[0] & 1 ? data[1] * UINT64_C(256) + data[2] : size;

    fuzz_file_extend(0, length);
    if (env_document_read(path, os_clock_ms() + ENV_WAIT_MS, &text, err) == 0) {
        MUST(length <= ENV_SIZE_MAX && text.size == length && text.size <= text.capacity);
        MUST(memcmp(text.bytes, data, size < length ? size : length) == 0);
    } else {
        fuzz_failed(err, path);
        MUST(err->code == QVM_TOO_LARGE && length > ENV_SIZE_MAX);
    }
    env_document_free(&text);
    fuzz_faults(seed);
    if (env_document_read(path, os_clock_ms() + ENV_WAIT_MS, &text, err) == 0)
        MUST(text.size == length);
    fuzz_faults_end();
    env_document_free(&text);
    return 0;
}
