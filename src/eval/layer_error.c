#include "eval/layer_error.h"

#include <math.h>

#include "math/blas.h"

#define PANEL_ROWS 32
#define TILE_COLS  256

typedef struct panel_sums {
    double weight_err, weight_energy, output_err, output_energy;
} panel_sums;

typedef struct error_job {
    lb_cmat W, What;
    lb_cdmat H;
    double *work;    /* (threads, 2 PANEL_ROWS cols + PANEL_ROWS TILE_COLS) */
    panel_sums *sum; /* (panels) */
} error_job;

static double dot(const double *x, const double *y, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

/* tr(D H Dᵀ) of D (m, n): by tiles of columns J, the part above the diagonal tile counted twice. */
static double trace(lb_cdmat D, lb_cdmat H, double *T) {
    double sum = 0;
    for (int64_t j0 = 0; j0 < D.cols; j0 += TILE_COLS) {
        int64_t n = j0 + TILE_COLS < D.cols ? TILE_COLS : D.cols - j0;
        lb_dmat P = lb_dmat_of(T, D.rows, n);
        lb_cdmat DJ = {D.d + j0, D.rows, n, D.ld};
        for (int above = j0 > 0; above >= 0; above--) {
            lb_cdmat left = {above ? D.d : DJ.d, D.rows, above ? j0 : n, D.ld};
            lb_cdmat HJ = {H.d + (above ? 0 : j0 * H.ld) + j0, above ? j0 : n, n, H.ld};
            lb_dgemm(false, false, above ? 2 : 1, left, HJ, 0, P);
            for (int64_t r = 0; r < D.rows; r++) sum += dot(P.d + r * P.ld, DJ.d + r * D.ld, n);
        }
    }
    return sum;
}

static lb_status panel(void *ctx, int64_t piece, int worker) {
    const error_job *j = ctx;
    int64_t cols = j->W.cols, r0 = piece * PANEL_ROWS, m = r0 + PANEL_ROWS < j->W.rows ? PANEL_ROWS : j->W.rows - r0;
    double *W = j->work + (int64_t)worker * PANEL_ROWS * (2 * cols + TILE_COLS), *D = W + PANEL_ROWS * cols;
    double *T = D + PANEL_ROWS * cols;
    for (int64_t r = 0; r < m; r++) {
        const float *w = j->W.d + (r0 + r) * j->W.ld, *what = j->What.d + (r0 + r) * j->What.ld;
        for (int64_t c = 0; c < cols; c++) {
            W[r * cols + c] = (double)w[c];
            D[r * cols + c] = (double)what[c] - (double)w[c];
        }
    }
    panel_sums s = {dot(D, D, m * cols), dot(W, W, m * cols), NAN, NAN};
    if (j->H.d) {
        s.output_err = trace((lb_cdmat){D, m, cols, cols}, j->H, T);
        s.output_energy = trace((lb_cdmat){W, m, cols, cols}, j->H, T);
    }
    j->sum[piece] = s;
    return LB_OK;
}

lb_status lb_layer_error_of(lb_cmat W, lb_cmat What, lb_cdmat H, lb_team *team, lb_arena *scratch,
                            lb_layer_error *out) {
    if (What.rows != W.rows || What.cols != W.cols || W.rows < 1 || W.cols < 1)
        return lb_fail(LB_E_ARG, "layer error: W is (%lld, %lld), its quantized form (%lld, %lld)", (long long)W.rows,
                       (long long)W.cols, (long long)What.rows, (long long)What.cols);
    if (H.d && (H.rows != W.cols || H.cols != W.cols))
        return lb_fail(LB_E_ARG, "layer error: W has %lld columns, H is (%lld, %lld)", (long long)W.cols,
                       (long long)H.rows, (long long)H.cols);
    int64_t panels = (W.rows - 1) / PANEL_ROWS + 1;
    lb_arena_mark mark = lb_arena_save(scratch);
    error_job j = {.W = W, .What = What, .H = H};
    if (!(j.work = LB_NEW(scratch, double, lb_team_threads(team) * PANEL_ROWS * (2 * W.cols + TILE_COLS))) ||
        !(j.sum = LB_NEW(scratch, panel_sums, panels)))
        return LB_E_NOMEM;
    LB_TRY(lb_parallel_for(team, panels, panel, &j));
    lb_layer_error e = {.rows = W.rows, .cols = W.cols};
    for (int64_t p = 0; p < panels; p++) {
        e.weight_err += j.sum[p].weight_err;
        e.weight_energy += j.sum[p].weight_energy;
        e.output_err += j.sum[p].output_err;
        e.output_energy += j.sum[p].output_energy;
    }
    lb_arena_restore(scratch, mark);
    *out = e;
    return LB_OK;
}

/* Nothing lost of nothing is no loss. */
static double ratio(double err, double energy) { return err == 0 ? 0 : err / energy; }

double lb_weight_mse(const lb_layer_error *e) { return e->weight_err / ((double)e->rows * (double)e->cols); }
double lb_output_mse(const lb_layer_error *e) { return e->output_err / (double)e->rows; }
double lb_output_rel(const lb_layer_error *e) { return ratio(e->output_err, e->output_energy); }
double lb_weight_rel(const lb_layer_error *e) { return ratio(e->weight_err, e->weight_energy); }
double lb_sqnr_db(double relative) { return -10 * log10(relative); }
