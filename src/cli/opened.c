#include "cli/opened.h"

lb_status lb_cli_resolve(lb_arena *a, const char *name, lb_source_kind kind, lb_resolved *out) {
    lb_sources s;
    LB_TRY(lb_sources_open(a, ".", &s));
    LB_TRY(lb_sources_resolve(a, &s, ".", name, kind, kind == LB_SOURCE_MODEL ? "MODEL" : "TEXT", out));
    return out->missing ? lb_fail(LB_E_IO, "%s", out->missing) : LB_OK;
}

lb_status lb_cli_open(lb_arena *a, const lb_resolved *from, const char *original, lb_model_parts parts, bool resident,
                      lb_team *team, lb_log *log, lb_opened *out) {
    if (!from->source && lb_is_result(from->path)) {
        out->result = from->path;
        lb_status st = lb_kept_cell_open(a, from->path, original, parts, resident, team, &out->cell);
        out->model = out->cell.model;
        return st;
    }
    if (original[0]) return lb_fail(LB_E_CONFIG, "--model: %s is a model itself, no result file", from->path);
    LB_TRY(lb_model_open(from->path, parts, team, &out->model));
    return lb_sources_check(from, out->model->hash, log);
}

const lb_weights *lb_cli_weights(const lb_opened *x) { return x->result ? &x->cell.w : &x->model->weights; }
