/* A model folder's config.json: the architecture that it describes. */
#include "model/model_file.h"
#include "support/io_probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static lb_status probe(const char *path) {
    lb_arch arch;
    const lb_family *family;
    return lb_arch_from_config(path, &arch, &family);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    probe_bytes(probe, data, size, LB_E_FORMAT, LB_E_UNSUPPORTED);
    return 0;
}
