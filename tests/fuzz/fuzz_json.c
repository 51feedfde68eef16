#include "support/io_probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    probe_bytes(probe_json, data, size, LB_E_FORMAT, LB_E_FORMAT);
    return 0;
}
