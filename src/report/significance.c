#include "report/significance.h"

#include <math.h>

static lb_status side_of(const lb_report_view *v, const lb_report_block *b, const lb_report_row *row, lb_side *out) {
    const double **nll = LB_NEW(v->arena, const double *, row->cells + 1);
    uint64_t *seed = LB_NEW(v->arena, uint64_t, row->cells + 1);
    int64_t n = 0;
    if (!nll || !seed) return LB_E_NOMEM;
    for (int64_t k = 0; k < row->cells; k++) {
        const lb_eval_row *e = lb_report_eval(row->cell[k], b);
        if (!e || !e->eval.window_nll) continue;
        nll[n] = e->eval.window_nll;
        seed[n++] = row->cell[k]->seed;
    }
    *out = (lb_side){nll, seed, n};
    return LB_OK;
}

lb_status lb_report_contrast(const lb_report_view *v, const lb_report_block *b, const lb_report_row *x,
                             const lb_report_row *y, lb_contrast *out, bool *has) {
    lb_side a, c;
    *out = (lb_contrast){.p = NAN, .sd = NAN};
    LB_TRY(side_of(v, b, x, &a));
    LB_TRY(side_of(v, b, y, &c));
    *has = a.seeds > 0 && c.seeds > 0;
    return *has ? lb_contrast_of(&a, &c, b->eval->eval.windows, out) : LB_OK;
}

static const lb_report_row *baseline_of(const lb_report_view *v, const lb_report_block *b) {
    for (int64_t i = 0; i < v->rows; i++)
        if (v->row[i].baseline && lb_report_eval(v->row[i].cell[0], b)) return &v->row[i];
    return NULL;
}

bool lb_report_has_cell(const lb_report_row *row, const lb_record *c) {
    for (int64_t k = 0; k < row->cells; k++)
        if (row->cell[k] == c) return true;
    return false;
}

lb_status lb_report_significance(const lb_report_view *v, const lb_report_block *b, const lb_report_row *reference,
                                 lb_contrast *of_row, int64_t *n) {
    const lb_report_row *to = reference ? reference : baseline_of(v, b);
    *n = 0;
    for (int64_t i = 0; i < v->rows; i++) {
        const lb_report_row *row = &v->row[i];
        bool has = false;
        of_row[i] = (lb_contrast){.p = NAN, .sd = NAN};
        if (!to || lb_report_has_cell(row, to->cell[0]) || lb_report_is_repeated(v, row, b)) continue;
        if (!lb_report_same_model(row->cell[0], to->cell[0])) continue;
        LB_TRY(lb_report_contrast(v, b, row, to, &of_row[i], &has));
        *n += has;
    }
    return LB_OK;
}

lb_status lb_report_marks_of(const lb_report_view *v, const lb_report_block *b, const lb_report_row *reference,
                             lb_report_marks *out) {
    *out = (lb_report_marks){.reference = reference, .of_row = LB_NEW(v->arena, lb_contrast, v->rows + 1)};
    if (!out->of_row) return LB_E_NOMEM;
    LB_TRY(lb_report_significance(v, b, reference, out->of_row, &out->n));
    if (v->options->adjust != LB_ADJUST_HOLM) return LB_OK;
    out->adjusted = LB_NEW(v->arena, double, v->rows + 1);
    if (!out->adjusted) return LB_E_NOMEM;
    for (int64_t i = 0; i < v->rows; i++) out->adjusted[i] = out->of_row[i].p;
    lb_holm(out->adjusted, v->rows);
    return LB_OK;
}

lb_status lb_report_marks_asked(const lb_report_view *v, const lb_report_block *b, lb_report_marks *out) {
    const lb_report_row *reference = NULL;
    const lb_record *cell;
    *out = (lb_report_marks){.n = 0};
    if (!b || !v->options->significant) return LB_OK;
    if (v->options->reference) LB_TRY(lb_report_find_row(v, v->options->reference, &reference, &cell));
    return lb_report_marks_of(v, b, reference, out);
}

bool lb_report_compared(const lb_report_marks *m, int64_t row) { return m->of_row && m->of_row[row].d.windows > 0; }

bool lb_report_differs(const lb_report_marks *m, int64_t row) {
    if (!lb_report_compared(m, row)) return false;
    return m->adjusted ? m->adjusted[row] < 0.05 : lb_contrast_differs(&m->of_row[row]);
}

/* "12 comparisons", "12 + 3 comparisons, evaluation by evaluation". */
static void add_count(lb_str *s, const int64_t *n, int64_t evaluations) {
    int64_t all = 0;
    for (int64_t i = 0; i < evaluations; i++) {
        lb_str_add(s, "%s%lld", i ? " + " : "", (long long)n[i]);
        all += n[i];
    }
    lb_str_add(s, all == 1 ? " comparison" : " comparisons");
    if (evaluations > 1) lb_str_add(s, ", evaluation by evaluation");
}

lb_status lb_report_comparisons_text(const lb_report_options *o, const int64_t *n, int64_t evaluations,
                                     const char *reference, lb_str *out) {
    bool holm = o->adjust == LB_ADJUST_HOLM;
    if (o->significant)
        lb_str_add(out, "*: differs from %s, as %s. ", reference,
                   holm ? "p, adjusted by Holm's method, is below 0.05" : "0 is not in the 95 % interval");
    add_count(out, n, evaluations);
    if (holm)
        lb_str_add(out, "; p is adjusted over those of an evaluation, intervals are of each alone.");
    else
        lb_str_add(out, "; intervals and p are of each alone: of twenty rows that do not differ one is expected to "
                        "look as if it did.");
    return lb_str_check(out);
}

lb_status lb_report_marks_text(const lb_report_view *v, lb_str *out) {
    int64_t blocks = 0, at = 0;
    lb_report_marks m;
    if (!v->options->significant) return LB_OK;
    for (int64_t i = 0; i < v->models; i++) blocks += v->model[i].blocks;
    int64_t *n = LB_NEW(v->arena, int64_t, blocks + 1);
    if (!n) return LB_E_NOMEM;
    for (int64_t i = 0; i < v->models; i++)
        for (int64_t b = 0; b < v->model[i].blocks; b++) {
            LB_TRY(lb_report_marks_asked(&v->model[i], &v->model[i].block[b], &m));
            n[at++] = m.n;
        }
    const char *name = v->options->reference ? v->options->reference : "the baseline";
    return at ? lb_report_comparisons_text(v->options, n, at, name, out) : LB_OK;
}
