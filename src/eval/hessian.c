#include "eval/hessian.h"

#include <float.h>
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
    int n;
    lb_hessian *const *h;
    const lb_batch *b;
    float *product; /* (threads, TILE, TILE) */
} add_job;

static int64_t tiles_of(lb_cmat X) { return X.d ? (X.cols - 1) / TILE + 1 : 0; }
static int64_t tiles_on(const add_job *j, int k) { return j->h[k] ? tiles_of(j->b[k].X) : 0; }
static int64_t pieces_of(const add_job *j, int k) { return tiles_on(j, k) * (tiles_on(j, k) + 1) / 2; }

/* Tile `piece` of the upper triangles, counted row by row, the last H's first: H += XᵀX chunk by chunk. */
static lb_status add_tile(void *ctx, int64_t piece, int worker) {
    const add_job *j = ctx;
    int k = j->n - 1;
    for (; piece >= pieces_of(j, k); k--) piece -= pieces_of(j, k);
    lb_cmat X = j->b[k].X;
    lb_dmat H = j->h[k]->H;
    int64_t ti = 0, tj = piece;
    for (; tj >= tiles_of(X) - ti; ti++) tj -= tiles_of(X) - ti;
    tj += ti;
    int64_t i0 = ti * TILE, m = i0 + TILE < H.rows ? TILE : H.rows - i0;
    int64_t j0 = tj * TILE, n = j0 + TILE < H.cols ? TILE : H.cols - j0;
    lb_mat P = lb_mat_of(j->product + (int64_t)worker * TILE * TILE, m, n);
    for (int64_t t = 0; t < X.rows; t += LB_HESSIAN_CHUNK) {
        int64_t tokens = t + LB_HESSIAN_CHUNK < X.rows ? LB_HESSIAN_CHUNK : X.rows - t;
        lb_cmat left = lb_cmat_part(X, t, i0, tokens, m), right = lb_cmat_part(X, t, j0, tokens, n);
        if (ti == tj)
            lb_ssyrk_t(1, left, 0, P);
        else
            lb_sgemm(true, false, 1, left, right, 0, P);
        lb_scope scope;
        lb_scope_begin(&scope, LB_WORK_HESSIAN);
        for (int64_t r = 0; r < m; r++) {
            double *h = H.d + (i0 + r) * H.ld + j0;
            for (int64_t c = ti == tj ? r : 0; c < n; c++) h[c] += (double)P.d[r * P.ld + c];
        }
        lb_scope_end(&scope, (double)(m * n), 20.0 * (double)(m * n));
    }
    return LB_OK;
}

lb_status lb_hessians_add(lb_hessian *const *h, const lb_batch *b, int n, lb_team *team) {
    int64_t pieces = 0;
    add_job j = {.n = n, .h = h, .b = b};
    for (int i = 0; i < n; i++) {
        lb_cmat X = b[i].X;
        if (!h[i] || !X.d) continue;
        if (X.cols != h[i]->H.cols || X.rows < 1 || b[i].sequences < 1)
            return lb_fail(LB_E_ARG, "H of %lld columns: cannot add %lld sequences in (%lld, %lld)",
                           (long long)h[i]->H.cols, (long long)b[i].sequences, (long long)X.rows, (long long)X.cols);
        pieces += pieces_of(&j, i);
    }
    if (pieces == 0) return LB_OK;
    j.product = lb_alloc((size_t)lb_team_threads(team), TILE * TILE * sizeof(float));
    if (!j.product) return LB_E_NOMEM;
    lb_status st = lb_parallel_for(team, pieces, add_tile, &j);
    lb_free(j.product);
    if (st != LB_OK) return st;
    for (int i = 0; i < n; i++) {
        if (!h[i] || !b[i].X.d) continue;
        h[i]->tokens += b[i].X.rows;
        h[i]->sequences += b[i].sequences;
    }
    return LB_OK;
}

lb_status lb_hessian_add(lb_hessian *h, lb_cmat X, int64_t sequences, lb_team *team) {
    return lb_hessians_add(&h, &(lb_batch){.X = X, .sequences = sequences}, 1, team);
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

void lb_hessian_pack(double *H, int64_t cols) {
    int64_t at = 0;
    for (int64_t i = 0; i < cols; i++) { /* row i moves to where it was or before */
        memmove(H + at, H + i * cols + i, (size_t)(cols - i) * sizeof *H);
        at += cols - i;
    }
}

int64_t lb_hessian_first_bad(const double *packed, int64_t cols) {
    int64_t at = 0;
    for (int64_t i = 0; i < cols; i++) {
        if (!(packed[at] >= 0)) return at;
        for (int64_t j = i; j < cols; j++, at++)
            if (!(fabs(packed[at]) <= (double)FLT_MAX)) return at;
    }
    return -1;
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
