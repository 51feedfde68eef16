#include "report/tasks_table.h"

#include <math.h>
#include <stdio.h>

#define PM "\xc2\xb1"

void lb_report_task_of(const lb_eval_row *const *at, int64_t n, lb_report_task *out) {
    *out = (lb_report_task){.p = NAN, .p_norm = NAN, .has_delta = true};
    for (int64_t k = 0; k < n; k++) {
        const lb_task_result *t = &at[k]->eval.task;
        double items = (double)t->items;
        if (!t->items) {
            *out = (lb_report_task){.p = NAN, .p_norm = NAN};
            return;
        }
        out->acc += t->acc / (double)n, out->acc_se += t->acc_se / (double)n;
        out->acc_norm += t->acc_norm / (double)n, out->acc_norm_se += t->acc_norm_se / (double)n;
        out->has_delta = out->has_delta && at[k]->has_paired;
        if (!at[k]->has_paired) continue;
        const lb_mcnemar *m = &at[k]->mcnemar, *norm = &at[k]->mcnemar_norm;
        out->delta += (double)(m->better - m->worse) / items / (double)n;
        out->delta_norm += (double)(norm->better - norm->worse) / items / (double)n;
        if (n == 1) out->p = m->p, out->p_norm = t->right_norm ? norm->p : NAN;
    }
    out->has = true;
    if (isnan(out->acc_norm)) out->delta_norm = NAN;
}

static const uint8_t *right_of(const lb_eval_row *e, bool norm) {
    return norm ? e->eval.task.right_norm : e->eval.task.right;
}

/* What each says of the items; false: one does not, or of others. */
static bool rights(const lb_eval_row *const *at, int64_t n, bool norm, int64_t items, const uint8_t **out) {
    bool all = true;
    for (int64_t k = 0; k < n; k++) {
        out[k] = right_of(at[k], norm);
        all = all && out[k] && at[k]->eval.task.items == items;
    }
    return all;
}

static lb_status p_of(const lb_report_view *v, const lb_eval_row *const *own, int64_t n,
                      const lb_eval_row *const *other, int64_t m, bool norm, double *p) {
    const uint8_t **right = LB_NEW(v->arena, const uint8_t *, n), **base = LB_NEW(v->arena, const uint8_t *, m);
    int64_t items = own[0]->eval.task.items;
    *p = NAN;
    if (!right || !base) return LB_E_NOMEM;
    if (!rights(own, n, norm, items, right) || !rights(other, m, norm, items, base)) return LB_OK;
    return lb_mcnemar_seeds(right, n, base, m, items, p);
}

/* Is it the baseline that these were compared to? */
static bool is_base_of(const lb_eval_row *base, const lb_eval_row *e) {
    lb_mcnemar m;
    if (base->eval.task.items != e->eval.task.items || !right_of(base, false) || !right_of(e, false)) return false;
    lb_mcnemar_of(right_of(e, false), right_of(base, false), e->eval.task.items, &m);
    return m.worse == e->mcnemar.worse && m.better == e->mcnemar.better;
}

lb_status lb_report_task_seeds(const lb_report_view *v, const lb_eval_row *const *at, int64_t n,
                               const lb_eval_row *base, lb_report_task *out) {
    if (n < 2 || !base || !out->has || !out->has_delta) return LB_OK;
    for (int64_t k = 0; k < n; k++)
        if (!is_base_of(base, at[k])) return LB_OK;
    LB_TRY(p_of(v, at, n, &base, 1, false, &out->p));
    return p_of(v, at, n, &base, 1, true, &out->p_norm);
}

static lb_status evals_of(const lb_report_view *v, const lb_report_block *b, const lb_report_row *row,
                          const lb_eval_row ***at, int64_t *n) {
    *n = 0;
    *at = LB_NEW(v->arena, const lb_eval_row *, row->cells + 1);
    if (!*at) return LB_E_NOMEM;
    for (int64_t k = 0; k < row->cells; k++) {
        const lb_eval_row *e = lb_report_eval(row->cell[k], b);
        if (e) (*at)[(*n)++] = e;
    }
    return LB_OK;
}

lb_status lb_report_task_to(const lb_report_view *v, const lb_report_block *b, const lb_report_row *row,
                            const lb_report_row *to, lb_report_task *out) {
    const lb_eval_row **own, **other;
    int64_t n, m;
    lb_report_task theirs;
    LB_TRY(evals_of(v, b, row, &own, &n));
    LB_TRY(evals_of(v, b, to, &other, &m));
    lb_report_task_of(own, n, out);
    lb_report_task_of(other, m, &theirs);
    out->has_delta = out->has && theirs.has && n > 0 && m > 0;
    out->p = out->p_norm = NAN;
    if (!out->has_delta) return LB_OK;
    out->delta = out->acc - theirs.acc, out->delta_norm = out->acc_norm - theirs.acc_norm;
    const lb_eval_row *const *a = (const lb_eval_row *const *)own, *const *c = (const lb_eval_row *const *)other;
    LB_TRY(p_of(v, a, n, c, m, false, &out->p));
    return p_of(v, a, n, c, m, true, &out->p_norm);
}

/* "39.16 +- 0.68" of shares, in per cent. */
static lb_num percent_se(double share, double se) {
    lb_num p = lb_num_fixed(100 * share, 2), e = lb_num_fixed(100 * se, 2), n = p;
    if (p.s[0] && e.s[0]) snprintf(n.s, sizeof n.s, "%.20s " PM " %.20s", p.s, e.s);
    return n;
}

static void put(lb_table *t, size_t c, const char *shown, double exact) {
    lb_table_set(t, c, shown, lb_num_exact(exact).s);
}

void lb_report_put_task(lb_table *t, const lb_task_columns *c, const lb_report_task *q) {
    if (!q->has) return;
    put(t, c->acc, percent_se(q->acc, q->acc_se).s, q->acc);
    put(t, c->acc_se, NULL, q->acc_se);
    put(t, c->norm, percent_se(q->acc_norm, q->acc_norm_se).s, q->acc_norm);
    put(t, c->norm_se, NULL, q->acc_norm_se);
    if (!q->has_delta) return;
    put(t, c->delta, lb_num_signed(100 * q->delta, 2).s, q->delta);
    put(t, c->p, lb_num_sci(q->p, 2).s, q->p);
    put(t, c->delta_norm, NULL, q->delta_norm);
    put(t, c->p_norm, NULL, q->p_norm);
}

bool lb_report_is_task(const lb_report_block *b) { return lb_protocol_is_task(&b->eval->eval.protocol); }

bool lb_report_has_ppl(const lb_report_block *b) { return b->eval->eval.protocol.rule != LB_RULE_CHOICE; }

const char *lb_report_loss_name(const lb_report_block *b) {
    return lb_report_has_ppl(b) ? "\xce\x94 ln PPL" : "\xce\x94 NLL";
}

const char *lb_report_measure_name(const lb_report_block *b) {
    return lb_report_is_task(b) ? "accuracy" : "perplexity";
}

const char *lb_report_windows_name(const lb_report_block *b) { return lb_report_is_task(b) ? "items" : "windows"; }
