/* A model folder's config.json: the architecture that it describes. */
#include "model/family.h"
#include "support/io_probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static lb_status probe(const char *path) {
    lb_arena *a;
    lb_numbers numbers;
    const lb_net *net;
    const lb_family *family;
    LB_TRY(lb_arena_new(0, &a));
    lb_status st = lb_numbers_from_config(a, path, &family, &numbers);
    if (st == LB_OK && numbers.blocks <= 64) st = lb_family_net(a, family, &numbers, &net);
    lb_arena_free(a);
    return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    probe_bytes(probe, data, size, LB_E_FORMAT, LB_E_UNSUPPORTED);
    return 0;
}
