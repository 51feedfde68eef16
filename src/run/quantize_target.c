/* What layers of different weights that are to be one are solved for: the matrix whose outputs differ least, in the
 * mean over all tokens, from what each of them gives on its own inputs. */
#include <string.h>

#include "math/blas.h"
#include "math/factor.h"
#include "run/quantize.h"

/* Of the mean of H's diagonal, added to it, as GPTQ's solver adds it: where the inputs say nothing, the users' mean is
 * what is left. */
static const double damp = 0.01;

static lb_status read_user(const lb_quantize_job *j, int64_t user, lb_cmat *W) {
    return lb_quantize_original(j, user, j->scratch, W);
}

static bool same(lb_cmat a, lb_cmat b) {
    for (int64_t r = 0; r < a.rows; r++)
        if (memcmp(a.d + r * a.ld, b.d + r * b.ld, (size_t)a.cols * sizeof *a.d) != 0) return false;
    return true;
}

static lb_status add_mean(lb_quantize_job *j, int64_t layer, lb_dmat mean, bool *differ) {
    lb_cmat first, W;
    int64_t users = 0;
    LB_TRY(read_user(j, layer, &first));
    for (int64_t user = layer; user >= 0; user = j->cell->layer[user].next, users++) {
        lb_arena_mark mark = lb_arena_save(j->scratch);
        LB_TRY(read_user(j, user, &W));
        *differ = *differ || !same(first, W);
        for (int64_t r = 0; r < W.rows; r++)
            for (int64_t c = 0; c < W.cols; c++) mean.d[r * mean.ld + c] += (double)W.d[r * W.ld + c];
        lb_arena_restore(j->scratch, mark);
    }
    for (int64_t i = 0; i < mean.rows * mean.cols; i++) mean.d[i] /= (double)users;
    return LB_OK;
}

/* Users that have one matrix in the model need not be looked at. */
static bool may_differ(const lb_quantize_job *j, int64_t layer) {
    const lb_net *net = j->plan->model->net;
    const lb_layer_plan *l = j->cell->layer;
    for (int64_t user = l[layer].next; user >= 0; user = l[user].next)
        if (lb_net_owner(net, l[user].site) != lb_net_owner(net, l[layer].site)) return true;
    return false;
}

lb_status lb_target_begin(lb_quantize_job *j, int64_t layer, lb_arena *a, lb_target *t, bool *differ) {
    const lb_layer_plan *l = &j->cell->layer[layer];
    *differ = false;
    *t = (lb_target){.layer = layer};
    if (!may_differ(j, layer)) return LB_OK;
    double *mean = LB_NEW(a, double, l->rows * l->cols), *cross = LB_NEW(a, double, l->rows * l->cols);
    if (!mean || !cross) return LB_E_NOMEM;
    t->mean = lb_dmat_of(mean, l->rows, l->cols);
    t->cross = lb_dmat_of(cross, l->rows, l->cols);
    lb_arena_mark mark = lb_arena_save(j->scratch);
    LB_TRY(add_mean(j, layer, t->mean, differ));
    lb_arena_restore(j->scratch, mark);
    return LB_OK;
}

lb_status lb_target_add(lb_quantize_job *j, lb_target *t, int64_t user, const lb_stats *of) {
    lb_arena_mark mark = lb_arena_save(j->scratch);
    double *d = LB_NEW_UNSET(j->scratch, double, t->mean.rows * t->mean.cols);
    lb_cmat W;
    if (!d) return LB_E_NOMEM;
    lb_dmat D = lb_dmat_of(d, t->mean.rows, t->mean.cols);
    LB_TRY(read_user(j, user, &W));
    for (int64_t r = 0; r < W.rows; r++)
        for (int64_t c = 0; c < W.cols; c++)
            D.d[r * D.ld + c] = (double)W.d[r * W.ld + c] - t->mean.d[r * t->mean.ld + c];
    lb_dgemm(false, false, (double)of->tokens, lb_dmat_c(D), of->H, 1.0, t->cross);
    lb_arena_restore(j->scratch, mark);
    return LB_OK;
}

/* ---- W = mean + cross H^-1 / tokens ---- */

typedef struct solving {
    lb_dmat L, X;
} solving;

/* A row of X L Lᵀ = row. */
static lb_status solve_row(void *ctx, int64_t row, int worker) {
    const solving *s = ctx;
    int64_t n = s->L.cols;
    double *x = s->X.d + row * s->X.ld;
    (void)worker;
    for (int64_t i = 0; i < n; i++) {
        double sum = x[i];
        for (int64_t k = 0; k < i; k++) sum -= s->L.d[i * s->L.ld + k] * x[k];
        x[i] = sum / s->L.d[i * s->L.ld + i];
    }
    for (int64_t i = n - 1; i >= 0; i--) {
        x[i] /= s->L.d[i * s->L.ld + i];
        for (int64_t k = 0; k < i; k++) x[k] -= s->L.d[i * s->L.ld + k] * x[i];
    }
    return LB_OK;
}

static lb_status least_squares(lb_quantize_job *j, lb_target *t, const lb_stats *all) {
    int64_t n = all->H.cols, column;
    double *d = LB_NEW_UNSET(j->scratch, double, n *n), mean = 0, pivot;
    if (!d) return LB_E_NOMEM;
    for (int64_t i = 0; i < n; i++) mean += all->H.d[i * all->H.ld + i] / (double)n;
    for (int64_t i = 0; i < n; i++) {
        memcpy(d + i * n, all->H.d + i * all->H.ld, (size_t)n * sizeof *d);
        d[i * n + i] += damp * mean;
    }
    if (mean == 0) return LB_OK; /* inputs that are all 0: whatever W is, nothing comes of it */
    lb_status st = lb_cholesky_lower(lb_dmat_of(d, n, n), j->plan->team, &column, &pivot);
    if (st != LB_OK) return lb_fail_in(st, "layer %s and those that are one with it", j->cell->layer[t->layer].name);
    for (int64_t i = 0; i < t->cross.rows * t->cross.cols; i++) t->cross.d[i] /= (double)all->tokens;
    solving s = {lb_dmat_of(d, n, n), t->cross};
    LB_TRY(lb_parallel_for(j->plan->team, t->cross.rows, solve_row, &s));
    for (int64_t i = 0; i < t->mean.rows * t->mean.cols; i++) t->mean.d[i] += t->cross.d[i];
    return LB_OK;
}

lb_status lb_target_solve(lb_quantize_job *j, lb_target *t, const lb_stats *all, lb_arena *a) {
    int64_t n = t->mean.rows * t->mean.cols;
    float *W = LB_NEW_UNSET(a, float, n);
    lb_arena_mark mark = lb_arena_save(j->scratch);
    if (!W) return LB_E_NOMEM;
    if (all->tokens > 0 && all->H.d) LB_TRY(least_squares(j, t, all));
    for (int64_t i = 0; i < n; i++) W[i] = (float)t->mean.d[i];
    t->W = lb_cmat_of(W, t->mean.rows, t->mean.cols);
    lb_arena_restore(j->scratch, mark);
    return LB_OK;
}
