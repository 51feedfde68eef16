#include "report/significance.h"

#include <math.h>

#include "report/tasks_table.h"

static lb_status side_of(const lb_report_view *v, const lb_report_block *b, const lb_report_row *row, lb_side *out) {
    const double **nll = LB_NEW(v->arena, const double *, row->cells + 1);
    uint64_t *seed = LB_NEW(v->arena, uint64_t, row->cells + 1);
    int64_t n = 0;
    if (!nll || !seed) return LB_E_NOMEM;
    for (int64_t k = 0; k < row->cells; k++) {
        const lb_eval_row *e = lb_report_eval(row->cell[k], b);
        if (!e || !e->eval.window_nll) continue;
        LB_TRY(lb_eval_series(&e->eval, e->text_tokens, v->arena, &nll[n]));
        seed[n++] = lb_report_seed_of(row->cell[k]);
    }
    *out = (lb_side){nll, seed, n};
    return LB_OK;
}

lb_status lb_report_contrast(const lb_report_view *v, const lb_report_block *b, const lb_report_row *x,
                             const lb_report_row *y, lb_contrast *out, bool *has) {
    lb_side a, c;
    lb_report_block of_both = *b; /* what is compared with may have been computed in the other products */
    of_both.either = true;
    *out = (lb_contrast){.p = NAN, .sd = NAN};
    LB_TRY(side_of(v, b, x, &a));
    LB_TRY(side_of(v, &of_both, y, &c));
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

/* Is a row one that another is compared with in this block? */
static bool compares(const lb_report_view *v, const lb_report_block *b, const lb_report_row *row,
                     const lb_report_row *to) {
    return !lb_report_has_cell(row, to->cell[0]) && !lb_report_is_repeated(v, row, b) &&
           lb_report_same_model(row->cell[0], to->cell[0]);
}

lb_status lb_report_significance(const lb_report_view *v, const lb_report_block *b, const lb_report_row *reference,
                                 lb_contrast *of_row, int64_t *n) {
    const lb_report_row *to = reference ? reference : baseline_of(v, b);
    *n = 0;
    for (int64_t i = 0; i < v->rows; i++) {
        const lb_report_row *row = &v->row[i];
        bool has = false;
        of_row[i] = (lb_contrast){.p = NAN, .sd = NAN};
        if (!to || !compares(v, b, row, to)) continue;
        LB_TRY(lb_report_contrast(v, b, row, to, &of_row[i], &has));
        *n += has;
    }
    return LB_OK;
}

lb_status lb_report_marks_of(const lb_report_view *v, const lb_report_block *b, const lb_report_row *reference,
                             lb_report_marks *out) {
    *out = (lb_report_marks){.of_row = LB_NEW(v->arena, lb_contrast, v->rows + 1)};
    if (!out->of_row) return LB_E_NOMEM;
    LB_TRY(lb_report_significance(v, b, reference, out->of_row, &out->n));
    if (v->options->adjust != LB_ADJUST_HOLM) return LB_OK;
    out->adjusted = LB_NEW(v->arena, double, v->rows + 1);
    if (!out->adjusted) return LB_E_NOMEM;
    for (int64_t i = 0; i < v->rows; i++) out->adjusted[i] = out->of_row[i].p;
    lb_holm(out->adjusted, v->rows);
    return LB_OK;
}

lb_status lb_report_reference_of(const lb_report_view *v, lb_report_row *out, bool *has) {
    bool alone, one_of_several = v->whole != v->r;
    *has = false;
    if (!v->options->reference) return LB_OK;
    lb_status st = lb_report_find_side(v, v->options->reference, out, &alone);
    *has = st == LB_OK;
    if (st != LB_E_ARG || !one_of_several) return st;
    lb_error_clear(); /* another model has it */
    return LB_OK;
}

lb_status lb_report_reference_check(const lb_report_view *v) {
    lb_status st = v->options->reference ? LB_E_ARG : LB_OK;
    for (int64_t m = 0; m < v->models && st == LB_E_ARG; m++) {
        lb_report_row row;
        bool alone;
        lb_error_clear();
        st = lb_report_find_side(&v->model[m], v->options->reference, &row, &alone);
    }
    return st;
}

lb_status lb_report_to_reference(const lb_report_view *v, const lb_report_block *b, const lb_report_row *row,
                                 lb_report_quality *q) {
    lb_report_row to;
    lb_contrast d;
    bool has;
    if (!v->options->reference) return LB_OK;
    q->has_delta = q->task.has_delta = false;
    LB_TRY(lb_report_reference_of(v, &to, &has));
    if (!has || !compares(v, b, row, &to)) return LB_OK;
    LB_TRY(lb_report_contrast(v, b, row, &to, &d, &q->has_delta));
    if (q->has_delta) q->delta = d.d;
    return q->task.has ? lb_report_task_to(v, b, row, &to, &q->task) : LB_OK;
}

lb_status lb_report_marks_asked(const lb_report_view *v, const lb_report_block *b, lb_report_marks *out) {
    lb_report_row to;
    bool has;
    *out = (lb_report_marks){.n = 0};
    if (!b || !v->options->significant) return LB_OK;
    LB_TRY(lb_report_reference_of(v, &to, &has));
    if (v->options->reference && !has) return LB_OK;
    return lb_report_marks_of(v, b, has ? &to : NULL, out);
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

/* Whether a table shows an interval of the row's difference: to the baseline the one that is stored, to another row
 * that of their windows. */
static bool has_interval(const lb_report_row *row, const lb_report_block *b, bool to_baseline) {
    int64_t n = 0;
    for (int64_t k = 0; k < row->cells; k++) {
        const lb_eval_row *e = lb_report_eval(row->cell[k], b);
        if (!e) continue;
        if (to_baseline ? !e->has_paired : !e->eval.window_nll) return false;
        n++;
    }
    return n > 0 && b->eval->eval.windows > 1;
}

lb_status lb_report_intervals(const lb_report_view *v, const lb_report_block *b, int64_t *n) {
    lb_report_row to;
    bool has;
    *n = 0;
    LB_TRY(lb_report_reference_of(v, &to, &has));
    lb_report_block of_both = *b;
    of_both.either = true;
    if (v->options->reference && (!has || !has_interval(&to, &of_both, false))) return LB_OK;
    for (int64_t i = 0; i < v->rows; i++) {
        const lb_report_row *row = &v->row[i];
        if (has ? compares(v, b, row, &to) : !row->baseline) *n += has_interval(row, b, !has);
    }
    return LB_OK;
}

lb_status lb_report_intervals_text(const int64_t *n, int64_t evaluations, lb_str *out) {
    int64_t all = 0;
    for (int64_t i = 0; i < evaluations; i++) all += n[i];
    if (!all) return LB_OK;
    add_count(out, n, evaluations);
    lb_str_add(out, all > 1 ? "; intervals are of each alone." : ".");
    return lb_str_check(out);
}

lb_status lb_report_marks_text(const lb_report_view *v, lb_str *out) {
    bool marks = v->options->significant;
    int64_t blocks = 0, at = 0;
    for (int64_t i = 0; i < v->models; i++) blocks += v->model[i].blocks;
    int64_t *n = LB_NEW(v->arena, int64_t, blocks + 1);
    if (!n) return LB_E_NOMEM;
    for (int64_t i = 0; i < v->models; i++)
        for (int64_t b = 0; b < v->model[i].blocks; b++) {
            lb_report_marks m;
            if (marks)
                LB_TRY(lb_report_marks_asked(&v->model[i], &v->model[i].block[b], &m));
            else
                LB_TRY(lb_report_intervals(&v->model[i], &v->model[i].block[b], &m.n));
            n[at++] = m.n;
        }
    const char *name = v->options->reference ? v->options->reference : "the baseline";
    if (!marks) return lb_report_intervals_text(n, at, out);
    return at ? lb_report_comparisons_text(v->options, n, at, name, out) : LB_OK;
}
