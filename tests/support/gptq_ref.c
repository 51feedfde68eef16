#include "support/gptq_ref.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static float rounded(float x, float scale, float zero, int bits) {
    float q = rintf(x / scale) + zero, top = (float)((1 << bits) - 1);
    q = q < 0 ? 0 : q > top ? top : q;
    return scale * (q - zero);
}

void grid_ref(const gptq_ref_opts *o, const float *x, int64_t n, float *scale, float *zero) {
    float low = 0, high = 0, maxq = (float)((1 << o->bits) - 1), half = (float)(1 << (o->bits - 1));
    for (int64_t i = 0; i < n; i++) {
        if (x[i] < low) low = x[i];
        if (x[i] > high) high = x[i];
    }
    if (o->symmetric) {
        high = fabsf(low) > high ? fabsf(low) : high;
        if (low < 0) low = -high;
    }
    if (low == 0 && high == 0) low = -1, high = 1;
    *scale = (high - low) / maxq;
    *zero = o->symmetric ? half : rintf(-low / *scale);
    double best = INFINITY;
    for (int i = 0; o->mse && i < 80; i++) {
        float p = (float)(1 - i / 100.0), s = (p * high - p * low) / maxq;
        float z = o->symmetric ? half : rintf(-(p * low) / s);
        double err = 0;
        for (int64_t k = 0; k < n; k++) err += powf(fabsf(rounded(x[k], s, z, o->bits) - x[k]), 2.4f);
        if (err < best) best = err, *scale = s, *zero = z;
    }
}

static void *get(int64_t n, size_t size) {
    void *p = calloc((size_t)n, size);
    if (!p) abort();
    return p;
}

/* A (n, n) <- its inverse, with pivoting. */
static bool invert(double *A, int64_t n) {
    double *B = get(n * n, sizeof *B);
    bool ok = true;
    for (int64_t i = 0; i < n; i++) B[i * n + i] = 1;
    for (int64_t c = 0; c < n && ok; c++) {
        int64_t pivot = c;
        for (int64_t r = c + 1; r < n; r++)
            if (fabs(A[r * n + c]) > fabs(A[pivot * n + c])) pivot = r;
        if (!(fabs(A[pivot * n + c]) > 0)) ok = false;
        for (int64_t k = 0; k < n; k++) {
            double a = A[c * n + k], b = B[c * n + k];
            A[c * n + k] = A[pivot * n + k], A[pivot * n + k] = a;
            B[c * n + k] = B[pivot * n + k], B[pivot * n + k] = b;
        }
        double d = A[c * n + c];
        for (int64_t k = 0; k < n; k++) A[c * n + k] /= d, B[c * n + k] /= d;
        for (int64_t r = 0; r < n; r++) {
            double f = A[r * n + c];
            if (r == c || f == 0) continue;
            for (int64_t k = 0; k < n; k++) A[r * n + k] -= f * A[c * n + k], B[r * n + k] -= f * B[c * n + k];
        }
    }
    memcpy(A, B, (size_t)(n * n) * sizeof *A);
    free(B);
    return ok;
}

/* A = UᵀU, U upper, written over A. */
static bool cholesky_upper(double *A, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = i; j < n; j++) {
            double sum = A[i * n + j];
            for (int64_t k = 0; k < i; k++) sum -= A[k * n + i] * A[k * n + j];
            if (j == i && !(sum > 0)) return false;
            A[i * n + j] = j == i ? sqrt(sum) : sum / A[i * n + i];
        }
        for (int64_t j = 0; j < i; j++) A[i * n + j] = 0;
    }
    return true;
}

/* U (cols, cols) and the order from H; dead columns are zeroed in W. */
static bool prepare(const gptq_ref_opts *o, int64_t rows, int64_t cols, const double *H, double one, double *W,
                    double *U, int64_t *perm) {
    double *diag = get(cols, sizeof *diag), mean = 0;
    for (int64_t c = 0; c < cols; c++) {
        diag[c] = H[c * cols + c];
        if (diag[c] == 0) {
            diag[c] = one;
            for (int64_t r = 0; r < rows; r++) W[r * cols + c] = 0;
        }
        mean += diag[c] / (double)cols;
        perm[c] = c;
    }
    for (int64_t i = 1; o->act_order && i < cols; i++) /* insertion: stable */
        for (int64_t k = i; k > 0 && diag[perm[k - 1]] < diag[perm[k]]; k--) {
            int64_t t = perm[k];
            perm[k] = perm[k - 1], perm[k - 1] = t;
        }
    for (int64_t i = 0; i < cols; i++)
        for (int64_t j = 0; j < cols; j++)
            U[i * cols + j] = i == j ? diag[perm[i]] + o->percdamp * mean : H[perm[i] * cols + perm[j]];
    free(diag);
    return invert(U, cols) && cholesky_upper(U, cols);
}

typedef struct grids {
    float *scale, *zero; /* (rows, groups) */
    float *x;
} grids;

static void fit_groups(const gptq_ref_opts *o, grids *g, const double *W, int64_t rows, int64_t cols,
                       const int64_t *perm, int64_t p, int64_t size, int64_t groups, int64_t index) {
    for (int64_t r = 0; r < rows; r++) {
        int64_t n = 0;
        for (int64_t k = p; k < p + size && k < cols; k++) g->x[n++] = (float)W[r * cols + (perm ? perm[k] : k)];
        grid_ref(o, g->x, n, &g->scale[r * groups + index], &g->zero[r * groups + index]);
    }
}

bool gptq_ref(const gptq_ref_opts *o, const float *w, int64_t rows, int64_t cols, const double *H, int64_t tokens,
              int64_t sequences, float *what, double *before) {
    int64_t size = o->group > 0 ? o->group : cols, groups = (cols + size - 1) / size;
    double *W = get(rows * cols, sizeof *W), *seen = get(rows * cols, sizeof *seen), *U = get(cols * cols, sizeof *U);
    int64_t *perm = get(cols, sizeof *perm);
    grids g = {get(rows * groups, sizeof(float)), get(rows * groups, sizeof(float)), get(cols, sizeof(float))};
    for (int64_t i = 0; i < rows * cols; i++) W[i] = w[i];
    if (o->group <= 0) fit_groups(o, &g, W, rows, cols, NULL, 0, size, groups, 0);
    bool ok = prepare(o, rows, cols, H, (double)sequences / (2.0 * (double)tokens), W, U, perm);
    for (int64_t i = 0; o->static_groups && i < groups; i++)
        fit_groups(o, &g, W, rows, cols, NULL, i * size, size, groups, i);
    for (int64_t p = 0; ok && p < cols; p++) {
        int64_t col = perm[p];
        if (p % o->block == 0 || o->refit_column) memcpy(seen, W, (size_t)(rows * cols) * sizeof *W);
        if (o->group > 0 && !o->static_groups && p % size == 0)
            fit_groups(o, &g, seen, rows, cols, perm, p, size, groups, p / size);
        int64_t index = o->group <= 0 ? 0 : (o->static_groups ? col : p) / size;
        for (int64_t r = 0; r < rows; r++) {
            float scale = g.scale[r * groups + index], zero = g.zero[r * groups + index];
            double *row = W + r * cols;
            before[r * cols + col] = row[col] / scale;
            what[r * cols + col] = rounded((float)row[col], scale, zero, o->bits);
            double err = (row[col] - what[r * cols + col]) / U[p * cols + p];
            for (int64_t k = p + 1; k < cols; k++) row[perm[k]] -= err * U[p * cols + k];
        }
    }
    free(W), free(seen), free(U), free(perm), free(g.scale), free(g.zero), free(g.x);
    return ok;
}
