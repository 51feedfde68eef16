#include "support/io_probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    probe_bytes(probe_yaml, data, size, LB_E_CONFIG, LB_E_CONFIG);
    return 0;
}
