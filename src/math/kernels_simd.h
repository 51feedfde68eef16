/* The vector kernels, written once over the primitives that the including file defines for its instruction set:
 *   W                       floats in a vector; VF holds W floats, VD W / 2 doubles
 *   v_load(p), v_store(p, v), and v_load_n(p, k), v_store_n(p, k, v) for the first k lanes, the others read as 0
 *   v_keep_n(v, k)          v with lanes k and up set to 0
 *   v_set, v_add, v_sub, v_mul, v_div, v_fma(a, b, c) = a b + c, v_neg_abs(v) = -|v|
 *   v_pick_negative(g, a, b)  a where g < 0, else b
 *   v_raise_max(m, v)       lane-wise maximum that keeps a NaN of either
 *   v_exp(v)
 *   v_add_wide(acc, v)      adds the low half of v to acc[0] and the high half to acc[1], as doubles
 *   v_mul_wide(acc, a, b)   the same with the products a b
 *   v_store_wide(p, acc) */
#ifndef LB_MATH_KERNELS_SIMD_H
#define LB_MATH_KERNELS_SIMD_H

#include <math.h>

#include "math/kernels_impl.h"

enum { BLOCKS = LB_LANES / W, ACCS = 2 * BLOCKS };

static inline int left(int64_t i, int64_t n) { return n - i < W ? (int)(n - i) : W; }

static double lanes(const VD acc[ACCS]) {
    double l[LB_LANES];
    for (int a = 0; a < ACCS; a++) v_store_wide(l + a * (W / 2), acc[a]);
    return lb_lanes_sum(l);
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
    VF m = v_set(-INFINITY);
    int64_t i = 0;
    for (; i + W <= n; i += W) m = v_raise_max(m, v_load(x + i));
    float l[W], best = -INFINITY;
    v_store(l, m);
    for (int k = 0; k < W; k++) {
        if (l[k] != l[k]) return l[k];
        best = l[k] > best ? l[k] : best;
    }
    for (; i < n; i++) {
        if (x[i] != x[i]) return x[i];
        best = x[i] > best ? x[i] : best;
    }
    return best;
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

static void rmsnorm_n(float *y, const float *x, const float *w, float eps, int64_t n) {
    VF inv = v_set((float)(1 / sqrt(dot_n(x, x, n) / (double)n + (double)eps)));
    int64_t i = 0;
    for (; i + W <= n; i += W) v_store(y + i, v_mul(v_mul(v_load(x + i), inv), v_load(w + i)));
    if (i < n)
        v_store_n(y + i, left(i, n), v_mul(v_mul(v_load_n(x + i, left(i, n)), inv), v_load_n(w + i, left(i, n))));
}

#endif
