/* The vector kernels, written once over the primitives that the including file defines for its instruction set:
 *   W                       floats in a vector; VF holds W floats, VD W / 2 doubles
 *   v_load(p), v_store(p, v), and v_load_n(p, k), v_store_n(p, k, v) for the first k lanes, the others read as 0
 *   v_keep_n(v, k)          v with lanes k and up set to 0
 *   v_set, v_add, v_sub, v_mul, v_div, v_fma(a, b, c) = a b + c, v_neg_abs(v) = -|v|
 *   v_pick_negative(g, a, b)  a where g < 0, else b
 *   v_raise_max(m, v)       lane-wise maximum that keeps a NaN of either
 *   v_max(a, b), v_min(a, b)  b where either is NaN
 *   v_exp(v)
 *   v_add_wide(acc, v)      adds the low half of v to acc[0] and the high half to acc[1], as doubles
 *   v_mul_wide(acc, a, b)   the same with the products a b
 *   v_store_wide(p, acc), v_load_wide(p), v_set_wide(a), v_take_wide(a, b, c) = c - a b
 *   TILE_VECTORS            vectors across a tile of matmul */
#ifndef LB_MATH_KERNELS_SIMD_H
#define LB_MATH_KERNELS_SIMD_H

#include <math.h>

#include "math/half.h"
#include "math/kernels_impl.h"

enum { BLOCKS = LB_LANES / W, ACCS = 2 * BLOCKS };

static inline int left(int64_t i, int64_t n) { return n - i < W ? (int)(n - i) : W; }

/* The fold of lb_lanes_sum, in vectors as long as there are two. */
static double lanes(VD acc[ACCS]) {
    double l[W / 2];
    for (int half = ACCS / 2; half > 0; half /= 2)
        for (int a = 0; a < half; a++) acc[a] += acc[a + half];
    v_store_wide(l, acc[0]);
    for (int half = W / 4; half > 0; half /= 2)
        for (int k = 0; k < half; k++) l[k] += l[k + half];
    return l[0];
}

static void exp_n(float *y, const float *x, int64_t n) {
    int64_t i = 0;
    for (; i + W <= n; i += W) v_store(y + i, v_exp(v_load(x + i)));
    if (i < n) v_store_n(y + i, left(i, n), v_exp(v_load_n(x + i, left(i, n))));
}

static double exp_sum_n(float *y, const float *x, float shift, int64_t n) {
    VD acc[ACCS] = {0};
    VF s = v_set(shift);
    int64_t i = 0;
    for (; i + LB_LANES <= n; i += LB_LANES)
        for (int b = 0; b < BLOCKS; b++) {
            VF e = v_exp(v_sub(v_load(x + i + b * W), s));
            v_store(y + i + b * W, e);
            v_add_wide(acc + 2 * b, e);
        }
    for (int b = 0; i < n; i += W, b++) {
        int k = left(i, n);
        VF e = v_keep_n(v_exp(v_sub(v_load_n(x + i, k), s)), k);
        v_store_n(y + i, k, e);
        v_add_wide(acc + 2 * b, e);
    }
    return lanes(acc);
}

static double sum_exp_n(const float *x, float shift, int64_t n) {
    VD acc[ACCS] = {0};
    VF s = v_set(shift);
    int64_t i = 0;
    for (; i + LB_LANES <= n; i += LB_LANES)
        for (int b = 0; b < BLOCKS; b++) v_add_wide(acc + 2 * b, v_exp(v_sub(v_load(x + i + b * W), s)));
    for (int b = 0; i < n; i += W, b++) {
        int k = left(i, n);
        v_add_wide(acc + 2 * b, v_keep_n(v_exp(v_sub(v_load_n(x + i, k), s)), k));
    }
    return lanes(acc);
}

static float max_n(const float *x, int64_t n) {
    float l[W], best = -INFINITY;
    if (n < W) {
        for (int64_t i = 0; i < n; i++) best = best != best || best > x[i] ? best : x[i];
        return best;
    }
    VF m = v_load(x + n - W); /* some of the last ones twice */
    for (int64_t i = 0; i + W < n; i += W) m = v_raise_max(m, v_load(x + i));
    v_store(l, m);
    for (int half = W / 2; half > 0; half /= 2)
        for (int k = 0; k < half; k++) l[k] = l[k] != l[k] || l[k] > l[k + half] ? l[k] : l[k + half];
    return l[0];
}

static void range_n(const float *x, int64_t n, float *low, float *high) {
    VF top = v_set(0), bottom = v_set(0); /* bottom: of -x, so that one maximum serves */
    int64_t i = 0;
    for (; i + W <= n; i += W) {
        VF v = v_load(x + i);
        top = v_raise_max(top, v);
        bottom = v_raise_max(bottom, v_sub(v_set(0), v));
    }
    if (i < n) {
        VF v = v_load_n(x + i, left(i, n));
        top = v_raise_max(top, v);
        bottom = v_raise_max(bottom, v_sub(v_set(0), v));
    }
    float a[W], b[W], most = 0, least = 0;
    v_store(a, top), v_store(b, bottom);
    for (int k = 0; k < W; k++) {
        most = a[k] != a[k] || a[k] > most ? a[k] : most;
        least = b[k] != b[k] || b[k] > least ? b[k] : least;
    }
    *high = most, *low = 0 - least;
}

static inline VF grid_v(VF x, VF scale, VF zero, VF top) {
    const VF magic = v_set(12582912.0f);
    VF v = v_min(v_max(v_div(x, scale), v_set(-512)), v_set(512));
    v = v_add(v_sub(v_add(v, magic), magic), zero);
    return v_mul(scale, v_sub(v_min(v_max(v, v_set(0)), top), zero));
}

static void grid_n(float *y, const float *x, float scale, float zero, float maxq, int64_t n) {
    VF s = v_set(scale), z = v_set(zero), top = v_set(maxq);
    int64_t i = 0;
    for (; i + W <= n; i += W) v_store(y + i, grid_v(v_load(x + i), s, z, top));
    if (i < n) v_store_n(y + i, left(i, n), grid_v(v_load_n(x + i, left(i, n)), s, z, top));
}

static void bf16_n(uint16_t *y, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = lb_f32_to_bf16(x[i]); /* the compiler makes vectors of it */
}

static double dot_n(const float *x, const float *y, int64_t n) {
    VD acc[ACCS] = {0};
    int64_t i = 0;
    for (; i + LB_LANES <= n; i += LB_LANES)
        for (int b = 0; b < BLOCKS; b++) v_mul_wide(acc + 2 * b, v_load(x + i + b * W), v_load(y + i + b * W));
    for (int b = 0; i < n; i += W, b++) {
        int k = left(i, n);
        v_mul_wide(acc + 2 * b, v_load_n(x + i, k), v_load_n(y + i, k));
    }
    return lanes(acc);
}

static void scale_n(float *y, float a, int64_t n) {
    VF va = v_set(a);
    int64_t i = 0;
    for (; i + W <= n; i += W) v_store(y + i, v_mul(va, v_load(y + i)));
    if (i < n) v_store_n(y + i, left(i, n), v_mul(va, v_load_n(y + i, left(i, n))));
}

static void axpy_n(float *y, float a, const float *x, int64_t n) {
    VF va = v_set(a);
    int64_t i = 0;
    for (; i + W <= n; i += W) v_store(y + i, v_fma(va, v_load(x + i), v_load(y + i)));
    if (i < n) v_store_n(y + i, left(i, n), v_fma(va, v_load_n(x + i, left(i, n)), v_load_n(y + i, left(i, n))));
}

/* `rows` by `vectors` of sub_tn; inlined with both constant, so that the tile stays in registers. */
enum { WIDE = W / 2, SUB_ROWS = TILE_VECTORS, SUB_VECTORS = 4 };
static inline __attribute__((always_inline)) void sub_tile(lb_dmat C, lb_cdmat A, lb_cdmat B, int64_t i, int64_t j,
                                                           const int rows, const int vectors) {
    VD acc[SUB_ROWS][SUB_VECTORS];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) acc[r][v] = v_load_wide(C.d + (i + r) * C.ld + j + v * WIDE);
    for (int64_t p = 0; p < A.rows; p++) {
        if (rows == SUB_ROWS) __builtin_prefetch(A.d + p * A.ld + i + 8);
        VD x[SUB_VECTORS];
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) x[v] = v_load_wide(B.d + p * B.ld + j + v * WIDE);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            VD a = v_set_wide(A.d[p * A.ld + i + r]);
#pragma GCC unroll 8
            for (int v = 0; v < vectors; v++) acc[r][v] = v_take_wide(a, x[v], acc[r][v]);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) v_store_wide(C.d + (i + r) * C.ld + j + v * WIDE, acc[r][v]);
}

static inline __attribute__((always_inline)) void sub_strip(lb_dmat C, lb_cdmat A, lb_cdmat B, int64_t j,
                                                            const int vectors) {
    int64_t i = 0;
    for (; i + SUB_ROWS <= C.rows; i += SUB_ROWS) sub_tile(C, A, B, i, j, SUB_ROWS, vectors);
    for (; i < C.rows; i++) sub_tile(C, A, B, i, j, 1, vectors);
}

static void sub_tn_n(lb_dmat C, lb_cdmat A, lb_cdmat B) {
    int64_t j = 0;
    for (; j + SUB_VECTORS * WIDE <= C.cols; j += SUB_VECTORS * WIDE) sub_strip(C, A, B, j, SUB_VECTORS);
    for (; j + WIDE <= C.cols; j += WIDE) sub_strip(C, A, B, j, 1);
    for (; j < C.cols; j++)
        for (int64_t i = 0; i < C.rows; i++)
            for (int64_t p = 0; p < A.rows; p++)
                C.d[i * C.ld + j] = fma(-A.d[p * A.ld + i], B.d[p * B.ld + j], C.d[i * C.ld + j]);
}

static inline VF swiglu_v(VF g, VF u) {
    VF e = v_exp(v_neg_abs(g)), one = v_set(1); /* never overflows, so both tails keep their precision */
    VF sigmoid = v_div(v_pick_negative(g, e, one), v_add(one, e));
    return v_mul(v_mul(g, sigmoid), u);
}

static void swiglu_n(float *y, const float *g, const float *u, int64_t n) {
    int64_t i = 0;
    for (; i + W <= n; i += W) v_store(y + i, swiglu_v(v_load(g + i), v_load(u + i)));
    if (i < n) v_store_n(y + i, left(i, n), swiglu_v(v_load_n(g + i, left(i, n)), v_load_n(u + i, left(i, n))));
}

static inline VF sigmoid_v(VF x) { return v_div(v_set(1), v_add(v_set(1), v_exp(v_sub(v_set(0), x)))); }

/* Phi(x), the normal distribution function: erfc(z) of z >= 0 by Press et al., Numerical Recipes, 2nd ed., section 6.2,
 * within 1.2e-7 relative. */
static inline VF normal_v(VF x) {
    static const float c[] = {0.17087277f,  -0.82215223f, 1.48851587f, -1.13520398f, 0.27886807f,
                              -0.18628806f, 0.09678418f,  0.37409196f, 1.00002368f,  -1.26551223f};
    VF z = v_mul(v_neg_abs(x), v_set(-0.70710678f));
    VF u = v_div(v_set(1), v_fma(v_set(0.5f), z, v_set(1))), p = v_set(c[0]);
    for (int k = 1; k < 10; k++) p = v_fma(p, u, v_set(c[k]));
    VF tail = v_mul(v_mul(v_set(0.5f), u), v_exp(v_fma(v_mul(v_set(-0.5f), x), x, p)));
    return v_pick_negative(x, tail, v_sub(v_set(1), tail));
}

/* sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3); square: of x */
static inline VF gelu_gate_v(VF x, VF square) {
    return sigmoid_v(v_mul(v_mul(v_set(1.5957691f), x), v_fma(v_set(0.044715f), square, v_set(1))));
}

static inline VF act_v(lb_act f, VF x) {
    switch (f) {
    case LB_ACT_SILU:
        return v_mul(x, sigmoid_v(x));
    case LB_ACT_RELU:
        return v_pick_negative(x, v_set(0), x);
    case LB_ACT_GELU:
        return v_mul(x, normal_v(x));
    case LB_ACT_GELU_TANH:
        return v_mul(x, gelu_gate_v(x, v_mul(x, x)));
    default:
        return sigmoid_v(x);
    }
}

static inline VF slope_v(lb_act f, VF x) {
    VF one = v_set(1), s, square;
    switch (f) {
    case LB_ACT_SILU:
        s = sigmoid_v(x);
        return v_fma(v_mul(x, s), v_sub(one, s), s);
    case LB_ACT_RELU: /* the second keeps a NaN */
        return v_raise_max(v_pick_negative(v_sub(v_set(0), x), one, v_set(0)), v_min(v_set(0), x));
    case LB_ACT_GELU: /* Phi(x) + x phi(x), where gelu(x) = x Phi(x) */
        s = v_exp(v_mul(v_mul(v_set(-0.5f), x), x));
        return v_fma(v_mul(x, v_set(0.39894228f)), s, normal_v(x));
    case LB_ACT_GELU_TANH: /* s + x s (1 - s) 2 u' */
        square = v_mul(x, x);
        s = gelu_gate_v(x, square);
        return v_fma(v_mul(v_mul(x, s), v_mul(v_sub(one, s), v_set(1.5957691f))), v_fma(v_set(0.134145f), square, one),
                     s);
    default:
        s = sigmoid_v(x);
        return v_mul(s, v_sub(one, s));
    }
}

static void act_n(lb_act f, float *y, const float *x, int64_t n) {
    int64_t i = 0;
    for (; i + W <= n; i += W) v_store(y + i, act_v(f, v_load(x + i)));
    if (i < n) v_store_n(y + i, left(i, n), act_v(f, v_load_n(x + i, left(i, n))));
}

static void slope_n(lb_act f, float *y, const float *x, int64_t n) {
    int64_t i = 0;
    for (; i + W <= n; i += W) v_store(y + i, slope_v(f, v_load(x + i)));
    if (i < n) v_store_n(y + i, left(i, n), slope_v(f, v_load_n(x + i, left(i, n))));
}

static void rmsnorm_n(float *y, const float *x, const float *w, float eps, int64_t n) {
    VF inv = v_set((float)(1 / sqrt(dot_n(x, x, n) / (double)n + (double)eps)));
    int64_t i = 0;
    for (; i + W <= n; i += W) v_store(y + i, v_mul(v_mul(v_load(x + i), inv), v_load(w + i)));
    if (i < n)
        v_store_n(y + i, left(i, n), v_mul(v_mul(v_load_n(x + i, left(i, n)), inv), v_load_n(w + i, left(i, n))));
}

static double sum_n(const float *x, int64_t n) {
    VD acc[ACCS] = {0};
    int64_t i = 0;
    for (; i + LB_LANES <= n; i += LB_LANES)
        for (int b = 0; b < BLOCKS; b++) v_add_wide(acc + 2 * b, v_load(x + i + b * W));
    for (int b = 0; i < n; i += W, b++) v_add_wide(acc + 2 * b, v_load_n(x + i, left(i, n)));
    return lanes(acc);
}

static void layernorm_n(float *y, const float *x, const float *w, float one, const float *b, float eps, int64_t n) {
    VF mean = v_set((float)(sum_n(x, n) / (double)n)), plus = v_set(one);
    for (int64_t i = 0; i < n; i += W) v_store_n(y + i, left(i, n), v_sub(v_load_n(x + i, left(i, n)), mean));
    VF inv = v_set((float)(1 / sqrt(dot_n(y, y, n) / (double)n + (double)eps)));
    for (int64_t i = 0; i < n; i += W) {
        int k = left(i, n);
        VF v = v_mul(v_load_n(y + i, k), inv);
        if (w) v = v_mul(v, v_add(v_load_n(w + i, k), plus));
        if (b) v = v_add(v, v_load_n(b + i, k));
        v_store_n(y + i, k, v);
    }
}

/* `rows` (at most TILE_ROWS) by `vectors` of C; inlined with both constant, so that the tile stays in registers. last:
 * lanes of the last vector. */
enum { TILE_ROWS = 6 };
static inline __attribute__((always_inline)) void tile(lb_mat C, const float *a, int64_t lda, const float *b,
                                                       int64_t ldb, int64_t k, const int rows, const int vectors,
                                                       const int last, const bool add) {
    VF acc[TILE_ROWS][TILE_VECTORS];
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) acc[i][v] = v_set(0);
    for (int64_t p = 0; p < k; p++) {
        VF x[TILE_VECTORS];
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++)
            x[v] = v < vectors - 1 || last == W ? v_load(b + p * ldb + v * W) : v_load_n(b + p * ldb + v * W, last);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            VF ai = v_set(a[i * lda + p]);
#pragma GCC unroll 8
            for (int v = 0; v < vectors; v++) acc[i][v] = v_fma(ai, x[v], acc[i][v]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) {
            float *c = C.d + i * C.ld + v * W;
            if (v < vectors - 1 || last == W)
                v_store(c, add ? v_add(v_load(c), acc[i][v]) : acc[i][v]);
            else
                v_store_n(c, last, add ? v_add(v_load_n(c, last), acc[i][v]) : acc[i][v]);
        }
}

/* A strip of C: all rows, `vectors` across. */
static inline __attribute__((always_inline)) void strip(lb_mat C, lb_cmat A, const float *b, int64_t ldb,
                                                        const int vectors, const int last, bool add) {
    int64_t i = 0;
    for (; i + TILE_ROWS <= C.rows; i += TILE_ROWS)
        tile(lb_mat_part(C, i, 0, TILE_ROWS, C.cols), A.d + i * A.ld, A.ld, b, ldb, A.cols, TILE_ROWS, vectors, last,
             add);
    int64_t rest = C.rows - i; /* below TILE_ROWS: few rows at a time leave most of the units idle */
#define REST(n)                                                                                                        \
    case n:                                                                                                            \
        tile(lb_mat_part(C, i, 0, n, C.cols), A.d + i * A.ld, A.ld, b, ldb, A.cols, n, vectors, last, add);            \
        break
    switch (rest) {
        REST(1);
        REST(2);
        REST(3);
        REST(4);
        REST(5);
    default:
        break;
    }
#undef REST
}

static void matmul_n(lb_mat C, lb_cmat A, lb_cmat B, bool add) {
    for (int64_t j = 0; j < C.cols;) {
        int64_t wide = C.cols - j >= TILE_VECTORS * W ? TILE_VECTORS * W : left(j, C.cols);
        for (int64_t p = 0; p < A.cols || (p == 0 && !add); p += LB_MATMUL_DEPTH) {
            int64_t k = A.cols - p < LB_MATMUL_DEPTH ? A.cols - p : LB_MATMUL_DEPTH;
            lb_mat c = lb_mat_part(C, 0, j, C.rows, wide);
            lb_cmat a = lb_cmat_part(A, 0, p, A.rows, k);
            const float *b = B.d + p * B.ld + j;
            if (wide == TILE_VECTORS * W)
                strip(c, a, b, B.ld, TILE_VECTORS, W, add || p > 0);
            else
                strip(c, a, b, B.ld, 1, (int)wide, add || p > 0);
        }
        j += wide;
    }
}

#endif
