/* The plain reference, for any CPU. */
#include <math.h>
#include <string.h>

#include "math/blas.h"
#include "math/half.h"
#include "math/kernels_impl.h"

static float pow2(int n) { /* n in [-126, 127] */
    uint32_t u = (uint32_t)(n + 127) << 23;
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static float exp1(float x) {
    if (x != x) return x;
    x = x < LB_EXP_MIN ? LB_EXP_MIN : x > LB_EXP_MAX ? LB_EXP_MAX : x;
    float z = x * LB_EXP_LOG2E;
    int n = (int)(z + (z < 0 ? -0.5f : 0.5f));
    float r = (x - (float)n * LB_EXP_HI) - (float)n * LB_EXP_LO;
    float p = (((LB_EXP_C6 * r + LB_EXP_C5) * r + LB_EXP_C4) * r + LB_EXP_C3) * r + LB_EXP_C2;
    // cppcheck-suppress shiftNegativeLHS ; gcc and clang shift the sign in
    int n1 = n >> 1; /* two steps: 2^n itself may be infinite or subnormal; only the second one rounds */
    return (1 + (r + r * r * p)) * pow2(n1) * pow2(n - n1);
}

static void exp_plain(float *y, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = exp1(x[i]);
}

static double exp_sum_plain(float *y, const float *x, float shift, int64_t n) {
    double l[LB_LANES] = {0};
    for (int64_t i = 0; i < n; i++) {
        y[i] = exp1(x[i] - shift);
        l[i % LB_LANES] += (double)y[i];
    }
    return lb_lanes_sum(l);
}

static double sum_exp_plain(const float *x, float shift, int64_t n) {
    double l[LB_LANES] = {0};
    for (int64_t i = 0; i < n; i++) l[i % LB_LANES] += (double)exp1(x[i] - shift);
    return lb_lanes_sum(l);
}

static float max_plain(const float *x, int64_t n) {
    float m = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        if (x[i] != x[i]) return x[i];
        m = x[i] > m ? x[i] : m;
    }
    return m;
}

static void range_plain(const float *x, int64_t n, float *low, float *high) {
    *low = *high = 0;
    for (int64_t i = 0; i < n; i++) {
        if (x[i] != x[i]) {
            *low = *high = x[i];
            return;
        }
        *low = x[i] < *low ? x[i] : *low;
        *high = x[i] > *high ? x[i] : *high;
    }
}

static void grid_plain(float *y, const float *x, float scale, float zero, float maxq, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = scale * (lb_grid_level(x[i], scale, zero, maxq) - zero);
}

static void bf16_plain(uint16_t *y, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = lb_f32_to_bf16(x[i]);
}

static double dot_plain(const float *x, const float *y, int64_t n) {
    double l[LB_LANES] = {0};
    int64_t i = 0;
    for (; i + LB_LANES <= n; i += LB_LANES)
        for (int k = 0; k < LB_LANES; k++) l[k] += (double)x[i + k] * (double)y[i + k];
    for (int k = 0; i + k < n; k++) l[k] += (double)x[i + k] * (double)y[i + k];
    return lb_lanes_sum(l);
}

static void scale_plain(float *y, float a, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] *= a;
}

static void axpy_plain(float *y, float a, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] += a * x[i];
}

/* `rows` by `cols` of sub_tn, few enough to stay in registers, and constant once inlined. */
static inline __attribute__((always_inline)) void sub_tile(double *c, int64_t ldc, const double *a, int64_t lda,
                                                           const double *b, int64_t ldb, int64_t k, const int rows,
                                                           const int cols) {
    double acc[2][8];
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < cols; j++) acc[r][j] = c[r * ldc + j];
    for (int64_t p = 0; p < k; p++)
        for (int r = 0; r < rows; r++)
            for (int j = 0; j < cols; j++) acc[r][j] -= a[p * lda + r] * b[p * ldb + j];
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < cols; j++) c[r * ldc + j] = acc[r][j];
}

static void sub_tn_plain(lb_dmat C, lb_cdmat A, lb_cdmat B) {
    if (A.rows >= 64) { /* where packing pays, BLAS has the kernels that this processor lacks here */
        lb_dgemm(true, false, -1, A, B, 1, C);
        return;
    }
    for (int64_t j = 0; j < C.cols; j += j + 8 <= C.cols ? 8 : 1)
        for (int64_t i = 0; i < C.rows; i += i + 2 <= C.rows ? 2 : 1) {
            double *c = C.d + i * C.ld + j;
            const double *a = A.d + i, *b = B.d + j;
            if (j + 8 <= C.cols && i + 2 <= C.rows)
                sub_tile(c, C.ld, a, A.ld, b, B.ld, A.rows, 2, 8);
            else if (j + 8 <= C.cols)
                sub_tile(c, C.ld, a, A.ld, b, B.ld, A.rows, 1, 8);
            else
                sub_tile(c, C.ld, a, A.ld, b, B.ld, A.rows, i + 2 <= C.rows ? 2 : 1, 1);
        }
}

static void swiglu_plain(float *y, const float *g, const float *u, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        float e = exp1(-fabsf(g[i])); /* never overflows, so both tails keep their precision */
        float sigmoid = (g[i] < 0 ? e : 1) / (1 + e);
        y[i] = g[i] * sigmoid * u[i];
    }
}

static float sigmoid1(float x) { return 1.0f / (1.0f + exp1(-x)); }
static float gelu_gate1(float x) { return sigmoid1(1.5957691f * x * (1.0f + 0.044715f * x * x)); }
static float normal1(float x) { return 0.5f * erfcf(x * -0.70710678f); }

static float act1(lb_act f, float x) {
    switch (f) {
    case LB_ACT_SILU:
        return x * sigmoid1(x);
    case LB_ACT_RELU:
        return x < 0.0f ? 0.0f : x;
    case LB_ACT_GELU:
        return x * normal1(x);
    case LB_ACT_GELU_TANH:
        return x * gelu_gate1(x);
    default:
        return sigmoid1(x);
    }
}

static float slope1(lb_act f, float x) {
    float s;
    switch (f) {
    case LB_ACT_SILU:
        s = sigmoid1(x);
        return s + x * s * (1.0f - s);
    case LB_ACT_RELU:
        return x > 0.0f ? 1.0f : x == x ? 0.0f : x;
    case LB_ACT_GELU: /* Phi(x) + x phi(x), where gelu(x) = x Phi(x) */
        return normal1(x) + x * 0.39894228f * exp1(-0.5f * x * x);
    case LB_ACT_GELU_TANH: /* s + x s (1 - s) 2 u', where gelu_tanh(x) = x s */
        s = gelu_gate1(x);
        return s + x * s * (1.0f - s) * 1.5957691f * (1.0f + 0.134145f * x * x);
    default:
        s = sigmoid1(x);
        return s * (1.0f - s);
    }
}

static void act_plain(lb_act f, float *y, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = act1(f, x[i]);
}

static void slope_plain(lb_act f, float *y, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = slope1(f, x[i]);
}

static void rmsnorm_plain(float *y, const float *x, const float *w, float eps, int64_t n) {
    float inv = (float)(1 / sqrt(dot_plain(x, x, n) / (double)n + (double)eps));
    for (int64_t i = 0; i < n; i++) y[i] = x[i] * inv * w[i];
}

static void layernorm_plain(float *y, const float *x, const float *w, float one, const float *b, float eps, int64_t n) {
    double lane[LB_LANES] = {0};
    for (int64_t i = 0; i < n; i++) lane[i % LB_LANES] += (double)x[i];
    float mean = (float)(lb_lanes_sum(lane) / (double)n);
    for (int64_t i = 0; i < n; i++) y[i] = x[i] - mean;
    float inv = (float)(1 / sqrt(dot_plain(y, y, n) / (double)n + (double)eps));
    for (int64_t i = 0; i < n; i++) {
        y[i] *= inv;
        if (w) y[i] *= w[i] + one;
        if (b) y[i] += b[i];
    }
}

/* sum (n) = a (k) B (k, n) */
static void row_times(float *sum, const float *a, const float *b, int64_t ldb, int64_t k, int64_t n) {
    for (int64_t j = 0; j < n; j++) sum[j] = 0;
    for (int64_t p = 0; p < k; p++)
        for (int64_t j = 0; j < n; j++) sum[j] += a[p] * b[p * ldb + j];
}

static void matmul_plain(lb_mat C, lb_cmat A, lb_cmat B, bool add) {
    enum { WIDE = 64 };
    float sum[WIDE];
    for (int64_t j0 = 0; j0 < C.cols; j0 += WIDE)
        for (int64_t p = 0; p < A.cols || (p == 0 && !add); p += LB_MATMUL_DEPTH)
            for (int64_t i = 0; i < C.rows; i++) {
                int64_t n = C.cols - j0 < WIDE ? C.cols - j0 : WIDE;
                int64_t k = A.cols - p < LB_MATMUL_DEPTH ? A.cols - p : LB_MATMUL_DEPTH;
                float *c = C.d + i * C.ld + j0;
                row_times(sum, A.d + i * A.ld + p, B.d + p * B.ld + j0, B.ld, k, n);
                for (int64_t j = 0; j < n; j++) c[j] = add || p > 0 ? c[j] + sum[j] : sum[j];
            }
}

const lb_kernels lb_kernels_plain = {
    "plain",    exp_plain,   exp_sum_plain, sum_exp_plain,   max_plain,    range_plain,    grid_plain,
    bf16_plain, dot_plain,   scale_plain,   axpy_plain,      sub_tn_plain, lb_grid_column, swiglu_plain,
    act_plain,  slope_plain, rmsnorm_plain, layernorm_plain, matmul_plain, NULL,           NULL};
