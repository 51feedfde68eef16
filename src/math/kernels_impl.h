/* What the kernel variants share. Every reduction has 32 float64 lanes: element i goes to lane i % 32, each lane adds
 * in order of i, and the lanes are folded 32 -> 16 -> 8 -> 4 -> 2 -> 1. A product of two floats is exact in float64,
 * so dot and the mean of rmsnorm have the same bits in every variant; exp differs by fused multiply-adds. */
#ifndef LB_MATH_KERNELS_IMPL_H
#define LB_MATH_KERNELS_IMPL_H

#include <float.h>
#include <math.h>

#include "math/kernels.h"

enum { LB_LANES = 32 };
enum { LB_MATMUL_DEPTH = 128 }; /* rows of B taken at a time: with 64 columns half of a first-level cache */

static inline double lb_lanes_sum(double l[LB_LANES]) {
    for (int half = LB_LANES / 2; half > 0; half /= 2)
        for (int k = 0; k < half; k++) l[k] += l[k + half];
    return l[0];
}

/* exp(x) = 2^n exp(r), n = rint(x / ln 2), r = x - n ln 2 in [-ln2/2, ln2/2], ln 2 = HI + LO with n * HI exact.
 * exp(r) = 1 + r + r^2 (C2 + C3 r + ... + C6 r^4): a Remez fit, relative error 3.1e-9 before rounding. */
#define LB_EXP_LOG2E 0x1.715476p+0f
#define LB_EXP_HI    0.693359375f
#define LB_EXP_LO    -2.12194440e-4f
#define LB_EXP_C2    0x1.fffffcp-2f
#define LB_EXP_C3    0x1.555492p-3f
#define LB_EXP_C4    0x1.5558f2p-5f
#define LB_EXP_C5    0x1.123a2p-7f
#define LB_EXP_C6    0x1.6a23dp-10f
/* Beyond these the float32 result is 0 and infinity. */
#define LB_EXP_MIN -104.0f
#define LB_EXP_MAX 88.73f

/* The code of x on a grid, still a float: the operations of quant/grid.h in its order. */
static inline float lb_grid_level(float x, float scale, float zero, float maxq) {
    float v = x / scale;
    v = v > -512.0f ? v : -512.0f;
    v = v < 512.0f ? v : 512.0f;
    v = (v + 12582912.0f) - 12582912.0f + zero;
    v = v > 0.0f ? v : 0.0f;
    return v < maxq ? v : maxq;
}

/* grid_column, which compilers make vectors of. */
static inline bool lb_grid_column(uint8_t *code, double *err, const double *w, const float *scale, const float *zero,
                                  float maxq, double d, int64_t n) {
    int bad = 0;
    for (int64_t i = 0; i < n; i++) {
        float v = lb_grid_level((float)w[i], scale[i], zero[i], maxq);
        code[i] = (uint8_t)(int)v;
        err[i] = (w[i] - (double)(scale[i] * (v - zero[i]))) / d;
        bad |= !(fabs(w[i]) <= DBL_MAX);
    }
    return !bad;
}

extern const lb_kernels lb_kernels_plain, lb_kernels_avx2, lb_kernels_avx512;

#endif
