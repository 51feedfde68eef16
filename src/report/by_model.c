/* Results of several models, model by model. Models are told apart by their weights where those are known, so that two
 * folders may call one by two names, or two by one. */
#include <string.h>

#include "report/view.h"

static const char *text_of(const char *s) { return s ? s : ""; }

static const char *weights_of(const lb_record *c) { return text_of(lb_report_pair(&c->provenance, "model_sha256")); }

/* One sweep does not call a model twice, so that two names in a folder are two models. */
static bool apart(const lb_record *x, const lb_record *y) {
    return strcmp(text_of(x->folder), text_of(y->folder)) == 0 && strcmp(text_of(x->model), text_of(y->model)) != 0;
}

bool lb_report_same_model(const lb_record *x, const lb_record *y) {
    const char *a = weights_of(x), *b = weights_of(y);
    if (!*a || !*b) return strcmp(text_of(x->model), text_of(y->model)) == 0;
    return strcmp(a, b) == 0 && !apart(x, y);
}

static bool same_sweep(const lb_record *x, const lb_record *y) {
    return x->unlisted == y->unlisted && strcmp(text_of(x->folder), text_of(y->folder)) == 0 &&
           strcmp(text_of(x->model), text_of(y->model)) == 0;
}

/* A cell without a result has no hash of its weights: another cell of its folder's model, if one has. */
static const lb_record *stand_in(const lb_results *r, const lb_record *c) {
    for (int64_t i = 0; i < r->n && !*weights_of(c); i++)
        if (*weights_of(&r->record[i]) && same_sweep(&r->record[i], c)) return &r->record[i];
    return c;
}

/* The part of each record, of[i], and the first record of each part. LB_E_FORMAT: too many. Neighbours are mostly of
 * one sweep, so that what stands for a cell stands for the next one. */
static lb_status group(const lb_results *r, int64_t *of, const lb_record **first, int64_t *parts) {
    const lb_record *stands = NULL;
    *parts = 0;
    for (int64_t i = 0; i < r->n; i++) {
        const lb_record *c = &r->record[i];
        if (*weights_of(c) || !stands || !same_sweep(stands, c)) stands = stand_in(r, c);
        c = stands;
        int64_t k = i > 0 && lb_report_same_model(first[of[i - 1]], c) ? of[i - 1] : 0;
        while (k < *parts && !lb_report_same_model(first[k], c)) k++;
        if (k == LB_MODELS_MOST) return lb_fail(LB_E_FORMAT, "%s: more than %d models", r->dir, LB_MODELS_MOST);
        if (k == *parts) first[(*parts)++] = c;
        of[i] = k;
    }
    return LB_OK;
}

/* Two models of one name are told apart by the beginnings of their hashes. */
static lb_status name_part(lb_arena *a, lb_results *part, const lb_record *const *first, int64_t parts, int64_t k) {
    const lb_record *c = first[k];
    bool shared = false;
    if (c->model) part->model_name = c->model, part->model_note = c->model_note;
    for (int64_t j = 0; j < parts; j++) shared |= j != k && strcmp(text_of(first[j]->model), text_of(c->model)) == 0;
    if (!shared || !*weights_of(c)) return LB_OK;
    part->model_name = lb_arena_printf(a, "%s (%.8s)", part->model_name, weights_of(c));
    return part->model_name ? LB_OK : LB_E_NOMEM;
}

lb_status lb_report_by_model(lb_arena *a, const lb_results *r, lb_results **out, int64_t *n) {
    lb_results *part = LB_NEW(a, lb_results, LB_MODELS_MOST);
    int64_t *of = LB_NEW(a, int64_t, r->n + 1), parts;
    const lb_record **first = LB_NEW(a, const lb_record *, LB_MODELS_MOST);
    if (!part || !of || !first) return LB_E_NOMEM;
    LB_TRY(group(r, of, first, &parts));
    *out = part;
    if (parts <= 1) {
        part[0] = *r;
        if (parts && r->record[0].model) part[0].model_note = r->record[0].model_note;
        *n = 1;
        return LB_OK;
    }
    for (int64_t i = 0; i < r->n; i++) part[of[i]].n++;
    for (int64_t k = 0; k < parts; k++) {
        int64_t cells = part[k].n;
        part[k] = *r;
        part[k].n = 0;
        part[k].record = LB_NEW(a, lb_record, cells);
        if (!part[k].record) return LB_E_NOMEM;
        LB_TRY(name_part(a, &part[k], first, parts, k));
    }
    for (int64_t i = 0; i < r->n; i++) part[of[i]].record[part[of[i]].n++] = r->record[i];
    *n = parts;
    return LB_OK;
}
