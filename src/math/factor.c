#include "math/factor.h"

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/profile.h"
#include "math/blas_library.h"

#define TILE  128 /* columns of a step: its panel stays in the cache while the trailing rows use it */
#define PANEL 64  /* rows that are copied at a time */

typedef struct step {
    lb_dmat A;
    int64_t k, next; /* the tile's first column, and the one after it */
    int64_t bad;     /* the next diagonal tile's, or -1 */
    double *panel;   /* (n - next, TILE) */
} step;

static int in(int64_t n) {
    assert(n >= 0 && n <= INT_MAX);
    return (int)n;
}
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static double *at(lb_dmat A, int64_t i, int64_t j) { return A.d + i * A.ld + j; }
static int64_t tiles_below(const step *s) { return (s->A.rows - s->next + TILE - 1) / TILE; }

/* LAPACK lets a NaN through: it compares false with everything. */
static int64_t first_bad_pivot(lb_dmat A, int64_t k, int64_t n) {
    for (int64_t i = k; i < k + n; i++) {
        double p = *at(A, i, i);
        if (!(p > 0 && isfinite(p))) return i;
    }
    return -1;
}

/* Factors the diagonal tile at column k. Row-major and lower is LAPACK's upper: nothing is transposed. The bad column,
 * or -1. */
static int64_t factor_tile(lb_dmat A, int64_t k) {
    int64_t nb = least(TILE, A.rows - k);
    int n = in(nb), ld = in(A.ld), info = 0;
    lb_blas.dpotrf("U", &n, at(A, k, k), &ld, &info, 1);
    assert(info >= 0);
    return info > 0 ? k + info - 1 : first_bad_pivot(A, k, nb); /* info: order of the minor that fails */
}

/* A tile of rows through the update of this step: all but the columns that belong to tiles below it. The tile on the
 * next diagonal comes first and is factored at once, while the others are updated (they from the bottom, the longest
 * first). */
static lb_status update_rows(void *ctx, int64_t piece, int worker) {
    (void)worker;
    step *s = ctx;
    int64_t tile = piece == 0 ? 0 : tiles_below(s) - piece, i0 = s->next + tile * TILE;
    int64_t m = least(TILE, s->A.rows - i0), nb = s->next - s->k;
    double *left = at(s->A, i0, s->k);
    int ld = in(s->A.ld);
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_FACTOR);
    if (i0 > s->next)
        lb_blas.dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, in(m), in(i0 - s->next), in(nb), -1, left, ld,
                      at(s->A, s->next, s->k), ld, 1, at(s->A, i0, s->next), ld);
    lb_blas.dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, in(m), in(nb), -1, left, ld, 1, at(s->A, i0, i0), ld);
    if (tile == 0) s->bad = factor_tile(s->A, i0);
    double done = (double)(i0 - s->next) + (double)m / 2;
    lb_scope_end(&scope, 2 * (double)m * (double)nb * done, 16 * (double)m * done);
    return LB_OK;
}

/* Rows of tile `piece` below the diagonal tile become L's: A_ik L_kk^-T. */
static lb_status solve_rows(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const step *s = ctx;
    int64_t i0 = s->next + piece * TILE, m = least(TILE, s->A.rows - i0), nb = s->next - s->k;
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_FACTOR);
    lb_blas.dtrsm(CblasRowMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, in(m), in(nb), 1,
                  at(s->A, s->k, s->k), in(s->A.ld), at(s->A, i0, s->k), in(s->A.ld));
    lb_scope_end(&scope, (double)m * (double)nb * (double)nb, 16 * (double)m * (double)nb);
    return LB_OK;
}

lb_status lb_cholesky_lower(lb_dmat A, lb_team *team, int64_t *bad_column, double *bad_pivot) {
    assert(A.rows == A.cols);
    int64_t column = A.rows > 0 ? factor_tile(A, 0) : -1;
    for (int64_t k = 0; k + TILE < A.rows && column < 0; k += TILE) {
        step s = {.A = A, .k = k, .next = k + TILE};
        LB_TRY(lb_parallel_for(team, tiles_below(&s), solve_rows, &s));
        LB_TRY(lb_parallel_for(team, tiles_below(&s), update_rows, &s));
        column = s.bad;
    }
    double pivot = column >= 0 ? *at(A, column, column) : 0;
    if (bad_column) *bad_column = column;
    if (bad_pivot) *bad_pivot = pivot;
    if (column < 0) return LB_OK;
    return lb_fail(LB_E_NUMERIC,
                   "Cholesky failed at column %lld of %lld (pivot %.3g): the matrix is not positive definite",
                   (long long)column, (long long)A.rows, pivot);
}

/* Rows of tile `piece`, counted from the bottom: X_ik = -(X_i L_k) X_kk, where X, the inverse, is already below and
 * right of this step's tile and on the diagonal, and L_k, its old column, is in the panel. */
static lb_status invert_rows(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const step *s = ctx;
    int64_t i0 = s->next + (tiles_below(s) - 1 - piece) * TILE, m = least(TILE, s->A.rows - i0), nb = s->next - s->k;
    double *out = at(s->A, i0, s->k);
    const double *old = s->panel + (i0 - s->next) * nb;
    int ld = in(s->A.ld);
    lb_scope scope;
    lb_scope_begin(&scope, LB_WORK_FACTOR);
    for (int64_t r = 0; r < m; r++) memcpy(out + r * s->A.ld, old + r * nb, (size_t)nb * sizeof *out);
    lb_blas.dtrmm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, in(m), in(nb), -1, at(s->A, i0, i0),
                  ld, out, ld);
    if (i0 > s->next)
        lb_blas.dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, in(m), in(nb), in(i0 - s->next), -1,
                      at(s->A, i0, s->next), ld, s->panel, in(nb), 1, out, ld);
    lb_blas.dtrmm(CblasRowMajor, CblasRight, CblasLower, CblasNoTrans, CblasNonUnit, in(m), in(nb), 1,
                  at(s->A, s->k, s->k), ld, out, ld);
    double read = (double)(i0 - s->next) + (double)(m + nb) / 2;
    lb_scope_end(&scope, 2 * (double)m * (double)nb * read, 8 * (double)m * read + 24 * (double)m * (double)nb);
    return LB_OK;
}

static lb_status invert_step(step *s, lb_team *team) {
    int64_t below = s->A.rows - s->next, nb = s->next - s->k;
    for (int64_t r = 0; r < below; r++)
        memcpy(s->panel + r * nb, at(s->A, s->next + r, s->k), (size_t)nb * sizeof(double));
    return lb_parallel_for(team, tiles_below(s), invert_rows, s);
}

static lb_status invert_tile(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const lb_dmat *L = ctx;
    int64_t k = piece * TILE, nb = least(TILE, L->rows - k);
    lb_scope scope;
    int n = in(nb), ld = in(L->ld), info = 0;
    lb_scope_begin(&scope, LB_WORK_FACTOR);
    lb_blas.dtrtri("U", "N", &n, at(*L, k, k), &ld, &info, 1, 1);
    lb_scope_end(&scope, (double)nb * (double)nb * (double)nb / 3, 8 * (double)nb * (double)nb);
    assert(info >= 0);
    if (info == 0) return LB_OK;
    return lb_fail(LB_E_NUMERIC, "the triangle cannot be inverted: its diagonal is zero at column %lld of %lld",
                   (long long)(k + info - 1), (long long)L->rows);
}

lb_status lb_invert_lower(lb_dmat L, lb_team *team) {
    assert(L.rows == L.cols);
    if (L.rows == 0) return LB_OK;
    LB_TRY(lb_parallel_for(team, (L.rows - 1) / TILE + 1, invert_tile, &L));
    step s = {.A = L, .panel = lb_alloc((size_t)L.rows, TILE * sizeof(double))};
    if (!s.panel) return LB_E_NOMEM;
    lb_status st = LB_OK;
    for (s.k = (L.rows - 1) / TILE * TILE - TILE; s.k >= 0 && st == LB_OK; s.k -= TILE) {
        s.next = s.k + TILE;
        st = invert_step(&s, team);
    }
    lb_free(s.panel);
    return st;
}

typedef struct ordered {
    lb_cdmat H;
    const double *diag;
    const int32_t *perm;
    lb_dmat out;
} ordered;

static int64_t panels(int64_t rows) { return (rows + PANEL - 1) / PANEL; }

/* Rows of panel `piece` of the lower triangle of H, its columns from the last in order to the first. */
static lb_status order_rows(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const ordered *o = ctx;
    int64_t n = o->H.rows, end = least((piece + 1) * PANEL, n);
    const int32_t *perm = o->perm;
    for (int64_t i = piece * PANEL; i < end; i++) {
        double *to = at(o->out, i, 0);
        const double *h = o->H.d + perm[n - 1 - i] * o->H.ld;
        for (int64_t k = 0; k < i; k++) to[k] = h[perm[n - 1 - k]];
        to[i] = o->diag[perm[n - 1 - i]];
    }
    return LB_OK;
}

/* a (n) and b (n) trade numbers, the first of one for the last of the other. */
static void swap_turned(double *a, double *b, int64_t n) {
    for (int64_t k = 0; k < n; k++) {
        double t = a[k];
        a[k] = b[n - 1 - k];
        b[n - 1 - k] = t;
    }
}

/* Turns the matrix around: row i becomes row n - 1 - i, each from its other end. */
static lb_status turn_rows(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const ordered *o = ctx;
    int64_t n = o->out.rows, end = least((piece + 1) * PANEL, n / 2);
    for (int64_t i = piece * PANEL; i < end; i++) swap_turned(at(o->out, i, 0), at(o->out, n - 1 - i, 0), n);
    if (n % 2 && piece == panels(n / 2 + 1) - 1) swap_turned(at(o->out, n / 2, 0), at(o->out, n / 2, n / 2 + 1), n / 2);
    return LB_OK;
}

lb_status lb_inverse_factor(lb_cdmat H, const double *diag, const int32_t *perm, lb_dmat out, lb_team *team,
                            int64_t *bad_position, double *bad_pivot) {
    assert(H.rows == H.cols && out.rows == H.rows && out.cols == H.cols);
    ordered o = {H, diag, perm, out};
    int64_t column = -1;
    LB_TRY(lb_parallel_for(team, panels(H.rows), order_rows, &o));
    lb_status st = lb_cholesky_lower(out, team, &column, bad_pivot);
    if (bad_position) *bad_position = H.rows - 1 - column;
    LB_TRY(st);
    LB_TRY(lb_invert_lower(out, team));
    return lb_parallel_for(team, panels(H.rows / 2 + 1), turn_rows, &o);
}
