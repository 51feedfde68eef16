#include "eval/hessian.h"

#include <math.h>
#include <string.h>

#include "base/profile.h"
#include "math/blas.h"

#define TILE  192 /* a piece of work: divides the widths of the usual models into equal parts */
#define PANEL 64  /* rows, where H is walked through once */

lb_status lb_hessian_new(lb_arena *a, int64_t cols, lb_hessian *out) {
    if (cols < 1 || cols > INT32_MAX)
        return lb_fail(LB_E_ARG, "H of %lld columns: must be in [1, 2^31)", (long long)cols);
    double *d = LB_NEW(a, double, cols *cols);
    if (!d) return LB_E_NOMEM;
    *out = (lb_hessian){.H = lb_dmat_of(d, cols, cols)};
    return LB_OK;
}

typedef struct add_job {
    lb_dmat H;
    lb_cmat X;
    int64_t tiles;
    float *product; /* (threads, TILE, TILE) */
} add_job;

/* Tile `piece` of the upper triangle, counted row by row: H += XᵀX chunk by chunk. */
static lb_status add_tile(void *ctx, int64_t piece, int worker) {
    const add_job *j = ctx;
    int64_t ti = 0, tj = piece;
    for (; tj >= j->tiles - ti; ti++) tj -= j->tiles - ti;
    tj += ti;
    int64_t i0 = ti * TILE, m = i0 + TILE < j->H.rows ? TILE : j->H.rows - i0;
    int64_t j0 = tj * TILE, n = j0 + TILE < j->H.cols ? TILE : j->H.cols - j0;
    lb_mat P = lb_mat_of(j->product + (int64_t)worker * TILE * TILE, m, n);
    for (int64_t t = 0; t < j->X.rows; t += LB_HESSIAN_CHUNK) {
        int64_t tokens = t + LB_HESSIAN_CHUNK < j->X.rows ? LB_HESSIAN_CHUNK : j->X.rows - t;
        lb_cmat left = lb_cmat_part(j->X, t, i0, tokens, m), right = lb_cmat_part(j->X, t, j0, tokens, n);
        if (ti == tj)
            lb_ssyrk_t(1, left, 0, P);
        else
            lb_sgemm(true, false, 1, left, right, 0, P);
        lb_scope scope;
        lb_scope_begin(&scope, LB_WORK_HESSIAN);
        for (int64_t r = 0; r < m; r++) {
            double *h = j->H.d + (i0 + r) * j->H.ld + j0;
            for (int64_t c = ti == tj ? r : 0; c < n; c++) h[c] += (double)P.d[r * P.ld + c];
        }
        lb_scope_end(&scope, (double)(m * n), 20.0 * (double)(m * n));
    }
    return LB_OK;
}

lb_status lb_hessian_add(lb_hessian *h, lb_cmat X, int64_t sequences, lb_team *team) {
    if (X.cols != h->H.cols || X.rows < 1 || sequences < 1)
        return lb_fail(LB_E_ARG, "H of %lld columns: cannot add %lld sequences in (%lld, %lld)", (long long)h->H.cols,
                       (long long)sequences, (long long)X.rows, (long long)X.cols);
    add_job j = {.H = h->H, .X = X, .tiles = (X.cols - 1) / TILE + 1};
    j.product = lb_alloc((size_t)lb_team_threads(team), TILE * TILE * sizeof(float));
    if (!j.product) return LB_E_NOMEM;
    lb_status st = lb_parallel_for(team, j.tiles * (j.tiles + 1) / 2, add_tile, &j);
    lb_free(j.product);
    if (st != LB_OK) return st;
    h->tokens += X.rows;
    h->sequences += sequences;
    return LB_OK;
}

static int64_t panels(int64_t n) { return (n - 1) / PANEL + 1; }

/* Rows of panel `piece`, from the diagonal on. */
static lb_status divide_rows(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const lb_hessian *h = ctx;
    int64_t n = h->H.cols;
    for (int64_t i = piece * PANEL; i < n && i < (piece + 1) * PANEL; i++) {
        double *row = h->H.d + i * h->H.ld;
        for (int64_t j = i; j < n; j++) {
            row[j] /= (double)h->tokens;
            if (!isfinite(row[j]))
                return lb_fail(LB_E_NUMERIC, "H of inputs %lld and %lld is %g: the activations are not finite",
                               (long long)i, (long long)j, row[j]);
        }
    }
    return LB_OK;
}

/* The part of those rows left of the diagonal, in tiles, so that columns are not walked from top to bottom. */
static lb_status mirror_rows(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const lb_dmat *H = ctx;
    int64_t i0 = piece * PANEL, end = i0 + PANEL < H->cols ? i0 + PANEL : H->cols;
    for (int64_t j0 = 0; j0 <= i0; j0 += PANEL)
        for (int64_t i = i0; i < end; i++)
            for (int64_t j = j0; j < j0 + PANEL && j < i; j++) H->d[i * H->ld + j] = H->d[j * H->ld + i];
    return LB_OK;
}

lb_status lb_hessian_finish(lb_hessian *h, lb_team *team) {
    if (h->tokens < 1) return lb_fail(LB_E_ARG, "H was given no tokens");
    LB_TRY(lb_parallel_for(team, panels(h->H.cols), divide_rows, h));
    return lb_parallel_for(team, panels(h->H.cols), mirror_rows, &h->H);
}

int64_t lb_hessian_packed_size(int64_t cols) { return cols * (cols + 1) / 2; }

double *lb_hessian_pack(lb_hessian *h) {
    int64_t n = h->H.cols, at = 0;
    double *v = h->H.d; /* row i moves to where it was or before */
    for (int64_t i = 0; i < n; i++) {
        memmove(v + at, v + i * h->H.ld + i, (size_t)(n - i) * sizeof *v);
        at += n - i;
    }
    h->H.d = NULL;
    return v;
}

typedef struct unpacking {
    const double *packed;
    lb_dmat H;
} unpacking;

static lb_status unpack_rows(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const unpacking *u = ctx;
    int64_t n = u->H.cols, i0 = piece * PANEL, end = i0 + PANEL < n ? i0 + PANEL : n;
    for (int64_t i = i0; i < end; i++) {
        const double *row = u->packed + i * n - i * (i - 1) / 2; /* from the diagonal on */
        memcpy(u->H.d + i * u->H.ld + i, row, (size_t)(n - i) * sizeof *row);
    }
    return LB_OK;
}

lb_status lb_hessian_unpack(const double *packed, lb_dmat H, lb_team *team) {
    LB_TRY(lb_parallel_for(team, panels(H.cols), unpack_rows, &(unpacking){packed, H}));
    return lb_parallel_for(team, panels(H.cols), mirror_rows, &H);
}
