/* An experiment's config: from YAML to methods, options, axes and rules, and, where they are few, to cells. No file
 * that it names is opened. */
#include "run/sweep.h"
#include "support/io_probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static lb_status read_config(lb_arena *a, const char *path) {
    enum { FEW = 64 };
    lb_yaml *root = NULL;
    lb_config c;
    lb_sweep sweep;
    LB_TRY(lb_yaml_parse_file(a, path, &root));
    LB_TRY(lb_config_from_tree(a, "fuzz.yaml", root, &c));
    size_t combinations = 1;
    for (size_t i = 0; i < c.axes && combinations <= FEW; i++) combinations *= c.axis[i].n;
    for (size_t i = 0; i < c.entries; i++)
        for (size_t k = 0; k < c.entry[i].n_options && combinations <= FEW; k++) combinations *= c.entry[i].option[k].n;
    return combinations <= FEW ? lb_sweep_expand(a, &c, &sweep) : LB_OK;
}

static lb_status probe(const char *path) {
    lb_arena *a = NULL;
    LB_TRY(lb_arena_new(65536, &a));
    lb_status st = read_config(a, path);
    lb_arena_free(a);
    return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    probe_bytes(probe, data, size, LB_E_CONFIG, LB_E_ARG);
    return 0;
}
