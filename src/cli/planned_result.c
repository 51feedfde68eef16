/* A cell's result file as a config: what it holds makes the same cell again. It may come from anybody, so that of its
 * config only what says what to compute is taken, and nothing about where to write. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli/planned.h"
#include "result/store.h"
#include "run/sources.h"

bool lb_cli_is_result(const char *path) { return lb_str_ends(path, ".h5") && lb_fs_exists(path); }

static lb_status what_to_compute(lb_arena *a, const lb_yaml *from, lb_yaml **out) {
    static const char *const key[] = {
        "model",           "calibration",  "training", "eval",          "quantize",
        "rules",           "seed",         "compute",  "quantize_head", "quantize_embedding",
        "quantize_router", "embedding",    "head",     "propagate",     "true_sequential",
        "prompt",          "prompt_tokens"};
    lb_yaml *m = LB_NEW(a, lb_yaml, 1);
    lb_yaml **item = LB_NEW(a, lb_yaml *, from->count + 1);
    if (!m || !item) return LB_E_NOMEM;
    *m = *from;
    m->item = item;
    m->count = 0;
    for (size_t i = 0; i < from->count; i++)
        for (size_t k = 0; k < sizeof key / sizeof key[0]; k++)
            if (strcmp(from->item[i]->key, key[k]) == 0) item[m->count++] = from->item[i];
    *out = m;
    return LB_OK;
}

/* A path in the file is relative to a config that may be gone: where it was read from then, if that is still there. A
 * named source is found by its name. */
static void settle(const lb_sources *s, lb_yaml *n, const char *was_at) {
    if (!n || n->kind != LB_YAML_SCALAR || lb_sources_find(s, n->text)) return;
    if (!was_at || !was_at[0] || !lb_fs_exists(was_at)) return;
    n->text = strncmp(was_at, "./", 2) == 0 ? was_at + 2 : was_at;
}

static lb_yaml *key_of(const lb_yaml *section, const char *key) {
    return section && section->kind == LB_YAML_MAP ? lb_yaml_get(section, key) : NULL;
}

static lb_yaml *text_of(const lb_yaml *section) { return key_of(section, "text"); }

static lb_status settle_all(lb_arena *a, const lb_record *r, lb_yaml *root) {
    lb_sources s;
    LB_TRY(lb_sources_open(a, ".", &s));
    settle(&s, lb_yaml_get(root, "model"), lb_pairs_get(&r->provenance, "model_path"));
    settle(&s, text_of(lb_yaml_get(root, "calibration")), lb_pairs_get(&r->provenance, "calibration_path"));
    const lb_yaml *training = lb_yaml_get(root, "training");
    settle(&s, text_of(training), lb_pairs_get(&r->provenance, "training_path"));
    settle(&s, key_of(training, "validation"), lb_pairs_get(&r->provenance, "validation_path"));
    const lb_yaml *eval = lb_yaml_get(root, "eval");
    for (size_t i = 0; eval && eval->kind == LB_YAML_LIST && i < eval->count && (int64_t)i < r->evals; i++)
        settle(&s, text_of(eval->item[i]), r->eval[i].text_path);
    return LB_OK;
}

static lb_status set(lb_arena *a, lb_yaml *root, const char *path, const char *value) {
    lb_yaml *n = LB_NEW(a, lb_yaml, 1);
    if (!n || !value) return LB_E_NOMEM;
    *n = (lb_yaml){.kind = LB_YAML_SCALAR, .text = value, .file = root->file, .line = 1, .quoted = true};
    return lb_yaml_set(a, root, path, n);
}

/* Beside the folder that the file is in, whose own index stays: RESULTS/NAME-CELL. */
static lb_status place(lb_arena *a, const char *path, lb_yaml *root) {
    char real[PATH_MAX];
    if (!realpath(path, real)) return lb_fail(LB_E_IO, "%s: cannot find its folder", path);
    real[strlen(real) - strlen(".h5")] = 0;
    char *stem = strrchr(real, '/');
    *stem++ = 0;
    char *folder = strrchr(real, '/');
    *folder++ = 0;
    LB_TRY(set(a, root, "name", lb_arena_printf(a, "%s-%s", folder, stem)));
    return set(a, root, "results", lb_arena_strdup(a, real[0] ? real : "/"));
}

/* All options are given there, which would all be part of the cell's name: it keeps the one that it had. */
static lb_status keep_label(lb_arena *a, const lb_record *r, lb_yaml *root) {
    enum { LONGEST = 80 }; /* of a label in a config */
    const lb_yaml *entries = lb_yaml_get(root, "quantize");
    if (!entries || entries->kind != LB_YAML_LIST || entries->count != 1 || entries->item[0]->kind != LB_YAML_MAP)
        return LB_OK;
    if (lb_yaml_get(entries->item[0], "label") || strcmp(r->method, "none") == 0) return LB_OK;
    return r->label[0] && strlen(r->label) <= LONGEST ? set(a, root, "quantize[0].label", r->label) : LB_OK;
}

lb_status lb_cli_result_config(lb_arena *a, const char *path, const lb_cli_args *args, lb_config *out) {
    lb_record r;
    lb_yaml *root;
    LB_TRY(lb_store_read(path, a, &r));
    if (!r.config || !r.config[0]) return lb_fail(LB_E_FORMAT, "%s: holds no config", path);
    LB_TRY(lb_yaml_parse(a, path, r.config, strlen(r.config), &root));
    if (root->kind != LB_YAML_MAP) return lb_fail(LB_E_FORMAT, "%s: its config is no map of keys", path);
    LB_TRY(what_to_compute(a, root, &root));
    LB_TRY(settle_all(a, &r, root));
    LB_TRY(place(a, path, root));
    LB_TRY(keep_label(a, &r, root));
    for (int64_t i = 0; i < args->n_override; i++) LB_TRY(lb_config_override(a, root, args->override[i]));
    return lb_config_from_tree(a, path, root, out);
}
