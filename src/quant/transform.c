#include "quant/transform.h"

#include <assert.h>
#include <math.h>
#include <string.h>

bool lb_transform_any(const lb_transform *t) { return t->scale || t->hadamard || t->sign; }

static bool same_array(const void *a, const void *b, size_t bytes) {
    return a == b || (a && b && memcmp(a, b, bytes) == 0);
}

bool lb_transform_same(const lb_transform *a, const lb_transform *b, int64_t cols) {
    return a->hadamard == b->hadamard && same_array(a->scale, b->scale, (size_t)cols * sizeof *a->scale) &&
           same_array(a->sign, b->sign, (size_t)lb_transform_sign_bytes(cols));
}

/* x (n) := H_n x / sqrt(n): log2(n) passes of sums and differences, neighbours first. */
#define WALSH_HADAMARD(name, real)                                                                                     \
    static void name(real *x, int64_t n) {                                                                             \
        const real norm = (real)(1.0 / sqrt((double)n));                                                               \
        for (int64_t half = 1; half < n; half *= 2)                                                                    \
            for (int64_t at = 0; at < n; at += 2 * half)                                                               \
                for (int64_t i = at; i < at + half; i++) {                                                             \
                    real a = x[i], b = x[i + half];                                                                    \
                    x[i] = a + b;                                                                                      \
                    x[i + half] = a - b;                                                                               \
                }                                                                                                      \
        for (int64_t i = 0; i < n; i++) x[i] *= norm;                                                                  \
    }
WALSH_HADAMARD(walsh_hadamard, float)
WALSH_HADAMARD(walsh_hadamard_double, double)

static bool negated(const lb_transform *t, int64_t col) { return t->sign && t->sign[col / 8] >> col % 8 & 1; }

static void hadamard_row(const lb_transform *t, float *x, int64_t cols) {
    assert(lb_transform_hadamard_fits(t->hadamard, cols));
    for (int64_t at = 0; t->hadamard && at < cols; at += t->hadamard) walsh_hadamard(x + at, t->hadamard);
}

static void sign_row(const lb_transform *t, float *x, int64_t cols) {
    for (int64_t c = 0; t->sign && c < cols; c++) x[c] = negated(t, c) ? -x[c] : x[c];
}

void lb_transform_input(const lb_transform *t, lb_cmat x, lb_mat y) {
    assert(x.rows == y.rows && x.cols == y.cols);
    for (int64_t r = 0; r < x.rows; r++) {
        const float *from = x.d + r * x.ld;
        float *to = y.d + r * y.ld;
        if (t->scale)
            for (int64_t c = 0; c < x.cols; c++) to[c] = t->scale[c] * from[c];
        else if (to != from)
            memcpy(to, from, (size_t)x.cols * sizeof *to);
        sign_row(t, to, x.cols);
        hadamard_row(t, to, x.cols);
    }
}

void lb_transform_weights(const lb_transform *t, lb_mat W) {
    for (int64_t r = 0; r < W.rows; r++) {
        float *w = W.d + r * W.ld;
        for (int64_t c = 0; t->scale && c < W.cols; c++) w[c] /= t->scale[c];
        sign_row(t, w, W.cols);
        hadamard_row(t, w, W.cols);
    }
}

void lb_transform_weights_back(const lb_transform *t, lb_mat W) {
    for (int64_t r = 0; r < W.rows; r++) {
        float *w = W.d + r * W.ld;
        hadamard_row(t, w, W.cols);
        sign_row(t, w, W.cols);
        for (int64_t c = 0; t->scale && c < W.cols; c++) w[c] *= t->scale[c];
    }
}

/* ---- H ---- */

enum { TILE = 32 };

typedef struct changing {
    const lb_transform *t;
    lb_dmat H;
    bool mirror; /* the upper triangle onto the lower; else both change places */
} changing;

/* Rows h := T h. */
static lb_status change_rows(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const changing *j = ctx;
    int64_t cols = j->H.cols, end = (piece + 1) * TILE < j->H.rows ? (piece + 1) * TILE : j->H.rows;
    for (int64_t r = piece * TILE; r < end; r++) {
        double *h = j->H.d + r * j->H.ld;
        for (int64_t c = 0; j->t->scale && c < cols; c++) h[c] *= (double)j->t->scale[c];
        for (int64_t c = 0; j->t->sign && c < cols; c++) h[c] = negated(j->t, c) ? -h[c] : h[c];
        for (int64_t at = 0; j->t->hadamard && at < cols; at += j->t->hadamard)
            walsh_hadamard_double(h + at, j->t->hadamard);
    }
    return LB_OK;
}

/* Tiles right of the diagonal in a row of them, and their images below it. */
static lb_status turn_tiles(void *ctx, int64_t piece, int worker) {
    (void)worker;
    const changing *j = ctx;
    lb_dmat H = j->H;
    int64_t first = piece * TILE, end = first + TILE < H.rows ? first + TILE : H.rows;
    for (int64_t col = first; col < H.cols; col += TILE)
        for (int64_t r = first; r < end; r++)
            for (int64_t c = col > r ? col : r + 1; c < col + TILE && c < H.cols; c++) {
                double upper = H.d[r * H.ld + c], lower = H.d[c * H.ld + r];
                H.d[c * H.ld + r] = upper;
                H.d[r * H.ld + c] = j->mirror ? upper : lower;
            }
    return LB_OK;
}

lb_status lb_transform_hessian(const lb_transform *t, lb_dmat H, lb_team *team) {
    assert(H.rows == H.cols && lb_transform_hadamard_fits(t->hadamard, H.cols));
    changing j = {t, H, false};
    int64_t pieces = (H.rows + TILE - 1) / TILE;
    if (!lb_transform_any(t)) return LB_OK;
    LB_TRY(lb_parallel_for(team, pieces, change_rows, &j)); /* H T' */
    LB_TRY(lb_parallel_for(team, pieces, turn_tiles, &j));  /* T H */
    LB_TRY(lb_parallel_for(team, pieces, change_rows, &j)); /* T H T' */
    j.mirror = true;
    return lb_parallel_for(team, pieces, turn_tiles, &j);
}
