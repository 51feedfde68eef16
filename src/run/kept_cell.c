#include "run/kept_cell.h"

#include <string.h>

#include "eval/install.h"
#include "model/weights.h"
#include "result/figures.h"
#include "result/store.h"
#include "run/sources.h"

bool lb_is_result(const char *path) { return lb_str_ends(path, ".h5") || lb_h5_is_sealed(path); }

/* A path that is there, or a named source that was fetched. */
static lb_status resolve(lb_arena *a, const char *name, const char *where, const char **out) {
    lb_sources s;
    lb_resolved r;
    LB_TRY(lb_sources_open(a, ".", &s));
    LB_TRY(lb_sources_resolve(a, &s, ".", name, LB_SOURCE_MODEL, where, &r));
    *out = r.path;
    return r.missing ? lb_fail(LB_E_IO, "%s", r.missing) : LB_OK;
}

static lb_status find_model(lb_arena *a, const char *path, const lb_record *r, const char *named, const char **out) {
    if (named[0]) return resolve(a, named, "--model", out);
    const char *name = lb_pairs_get(&r->provenance, "model"), *at = lb_pairs_get(&r->provenance, "model_path");
    if (at && lb_fs_exists(at)) {
        *out = at;
        return LB_OK;
    }
    lb_status st = name ? resolve(a, name, "model", out) : LB_E_CONFIG;
    if (st == LB_OK || st == LB_E_NOMEM || st == LB_E_INTERRUPTED) return st;
    return lb_fail(LB_E_IO, "%s: the model that it was made from, %s, is not at %s: --model says where it is", path,
                   name ? name : "?", at ? at : "?");
}

static lb_status check_model(const char *path, const lb_record *r, const lb_model *m) {
    const char *want = lb_pairs_get(&r->provenance, "model_sha256");
    if (want && strcmp(want, m->hash) == 0) return LB_OK;
    return lb_fail(LB_E_FORMAT, "%s: another model than that of %s: SHA-256 %s, expected %s: --model says where it is",
                   m->path, path, m->hash, want ? want : "?");
}

/* Layers that are one by a rule: the model itself has each of its own. */
static lb_status share_layers(const lb_record *r, const lb_net *n, lb_weights *w) {
    for (int64_t i = 0; i < r->layers; i++) {
        const lb_layer_row *l = &r->layer[i];
        if (!lb_layer_is_shared(l) || !l->quantized) continue;
        int32_t site = lb_net_find(n, l->name), first = lb_net_find(n, l->same_as);
        if (site < 0 || first < 0 || n->site[site].rows != n->site[first].rows ||
            n->site[site].cols != n->site[first].cols)
            return lb_fail(LB_E_FORMAT, "layer %s: same_as %s: the model has no such layers of one shape", l->name,
                           l->same_as);
        lb_weights_put(n, w, site, w->site[first]);
    }
    return LB_OK;
}

static lb_status open_cell(lb_arena *a, lb_h5 *h, const char *path, const char *model, lb_model_parts parts,
                           bool resident, lb_team *team, lb_kept_cell *out) {
    lb_bundle b;
    const char *at = NULL;
    LB_TRY(lb_h5_blame(lb_store_read_open(h, a, &out->record), path));
    LB_TRY(lb_h5_blame(lb_bundle_read(h, a, &b), path));
    LB_TRY(find_model(a, path, &out->record, model, &at));
    /* Of a model that the file has whole, no tensor is needed. */
    LB_TRY(lb_model_open(at, out->record.keeps_model ? LB_STREAM : parts, team, &out->model));
    LB_TRY(check_model(path, &out->record, out->model));
    const lb_net *net = out->model->net;
    LB_TRY(lb_h5_blame(lb_install_bundle(a, net, &out->model->weights, h, &b, resident, team, &out->w), path));
    return lb_h5_blame(share_layers(&out->record, net, &out->w), path);
}

lb_status lb_kept_cell_open(lb_arena *a, const char *path, const char *model, lb_model_parts parts, bool resident,
                            lb_team *team, lb_kept_cell *out) {
    lb_h5 *h = NULL;
    *out = (lb_kept_cell){0};
    LB_TRY(lb_h5_open(path, &h));
    lb_status st = open_cell(a, h, path, model, parts, resident, team, out);
    lb_h5_abandon(h);
    return st;
}
