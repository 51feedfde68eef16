/* A sweep of several models, model by model. */
#include <string.h>

#include "report/view.h"

lb_status lb_report_by_model(lb_arena *a, const lb_results *r, lb_results **out, int64_t *n) {
    lb_results *part = LB_NEW(a, lb_results, LB_MODELS_MOST);
    int64_t *of = LB_NEW(a, int64_t, r->n + 1); /* the part of a record */
    if (!part || !of) return LB_E_NOMEM;
    int64_t parts = 0;
    for (int64_t i = 0; i < r->n; i++) {
        const lb_record *c = &r->record[i];
        int64_t k = i > 0 && lb_report_same_model(&r->record[i - 1], c) ? of[i - 1] : 0;
        while (k < parts && strcmp(part[k].model_name, c->model ? c->model : r->model_name) != 0) k++;
        if (k == LB_MODELS_MOST) return lb_fail(LB_E_FORMAT, "%s: more than %d models", r->dir, LB_MODELS_MOST);
        if (k == parts) {
            part[parts] = *r;
            part[parts].n = 0;
            if (c->model) part[parts].model_name = c->model, part[parts].model_note = c->model_note;
            parts++;
        }
        of[i] = k;
        part[k].n++;
    }
    if (parts <= 1) {
        part[0] = *r;
        if (parts && r->record[0].model) part[0].model_note = r->record[0].model_note;
        *out = part, *n = 1;
        return LB_OK;
    }
    for (int64_t k = 0; k < parts; k++) {
        part[k].record = LB_NEW(a, lb_record, part[k].n);
        if (!part[k].record) return LB_E_NOMEM;
        part[k].n = 0;
    }
    for (int64_t i = 0; i < r->n; i++) part[of[i]].record[part[of[i]].n++] = r->record[i];
    *out = part, *n = parts;
    return LB_OK;
}
