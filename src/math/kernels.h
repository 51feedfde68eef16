/* Hot loops in variants (AVX-512, AVX2+FMA, plain C) behind one table chosen at start; LOWBIT_KERNELS=plain|avx2|avx512
 * forces one. Each has a plain reference, lb_kernels_get("plain"), which tests hold the others against. All loops run
 * in a fixed order within a variant. Error bounds are stated per function and tested. */
#ifndef LB_MATH_KERNELS_H
#define LB_MATH_KERNELS_H

#include "math/activation.h"
#include "math/mat.h"

typedef struct lb_kernels {
    const char *name;
    /* y[i] = exp(x[i]); at most 2 ulp from the true value over all floats; 0 below -104, infinity above 88.73, NaN kept
     */
    void (*exp)(float *y, const float *x, int64_t n);
    /* y[i] = exp(x[i] - shift); returns the sum, added in float64 lanes */
    double (*exp_sum)(float *y, const float *x, float shift, int64_t n);
    /* the sum of exp(x[i] - shift), nothing stored */
    double (*sum_exp)(const float *x, float shift, int64_t n);
    float (*max)(const float *x, int64_t n); /* NaN if any is */
    /* the least and the largest of 0 and x; NaN in one of them if any x is NaN */
    void (*range)(const float *x, int64_t n, float *low, float *high);
    /* y = scale (code - zero), code = clamp(rint(x / scale) + zero, 0, maxq): the operations of quant/grid.h in its
     * order, the same bits in every variant */
    void (*grid)(float *y, const float *x, float scale, float zero, float maxq, int64_t n);
    /* y = x rounded to bfloat16 as base/half.h does it, the same bits in every variant */
    void (*bf16)(uint16_t *y, const float *x, int64_t n);
    double (*dot)(const float *x, const float *y, int64_t n);   /* products and sums in float64 lanes */
    void (*scale)(float *y, float a, int64_t n);                /* y *= a */
    void (*axpy)(float *y, float a, const float *x, int64_t n); /* y += a x */
    /* C (m, n) -= Aᵀ B with A (k, m), B (k, n), in float64: each element a chain over k in order (of fused steps but in
     * the plain variant, which leaves k of 64 and more to BLAS). For a B that fits in the cache: nothing is packed. */
    void (*sub_tn)(lb_dmat C, lb_cdmat A, lb_cdmat B);
    /* One column of a matrix onto the grids of its rows: code as quant/grid.h gives it for (float)w, err = (w - scale
     * (code - zero)) / d. false if a w is NaN or infinite. The same bits in every variant. */
    bool (*grid_column)(uint8_t *code, double *err, const double *w, const float *scale, const float *zero, float maxq,
                        double d, int64_t n);
    /* y = g * sigmoid(g) * u; sigmoid to 4 ulp */
    void (*swiglu)(float *y, const float *g, const float *u, int64_t n);
    /* y = f(x) and y = f'(x), in place or not: lb_act_apply and lb_act_slope of activation.h */
    void (*act)(lb_act f, float *y, const float *x, int64_t n);
    void (*slope)(lb_act f, float *y, const float *x, int64_t n);
    /* y = x / sqrt(mean(x^2) + eps) * w; the mean in float64 lanes */
    void (*rmsnorm)(float *y, const float *x, const float *w, float eps, int64_t n);
    /* y = (x - m) / sqrt(mean((x - m)^2) + eps) * (w + one) + b, m the mean of x rounded to float32; both means in
     * float64 lanes. w and b may be NULL: 1 - one and 0. The same bits in every variant. */
    void (*layernorm)(float *y, const float *x, const float *w, float one, const float *b, float eps, int64_t n);
    /* C (m, n) = A (m, k) B (k, n), or += with `add`, nothing packed: for attention's tiles, where n is a head's width
     * and B stays in the cache. Each element is a chain over k in order (of fused steps but in the plain variant),
     * added to C after every 128: |error| <= k eps sum |a b|. */
    void (*matmul)(lb_mat C, lb_cmat A, lb_cmat B, bool add);
    /* For products of whole layers (math/product.h): C (m, at most LB_PANEL_WIDE) = A (m, k) B, or +=, B (k,
     * LB_PANEL_WIDE) packed: each element one chain of fused steps over k. NULL where OpenBLAS is as fast. */
    void (*panel)(lb_mat C, lb_cmat A, const float *B, bool add);
    /* B (k, LB_PANEL_WIDE) = Wᵀ, W (at most LB_PANEL_WIDE, k): zeros beyond. NULL as panel is. */
    void (*pack)(float *B, lb_cmat W);
} lb_kernels;
enum { LB_PANEL_WIDE = 64 };

LB_NODISCARD lb_status lb_kernels_init(void);       /* main calls it: LB_E_ARG when LOWBIT_KERNELS names none of them */
const lb_kernels *lb_kernels_active(void);          /* chosen once: the best this CPU has, or the forced one */
const lb_kernels *lb_kernels_get(const char *name); /* NULL: unknown, or this CPU lacks it */
LB_NODISCARD lb_status lb_kernels_force(const char *name); /* "auto" undoes; LB_E_ARG names the choices */

#endif
