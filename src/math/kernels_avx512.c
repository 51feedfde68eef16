/* AVX-512 (F, DQ, BW, VL): 16 floats at a time, tails by masks. */
#include "math/kernels_impl.h"

#if defined(__x86_64__)
#include <assert.h>
#include <immintrin.h>

enum { W = 16, TILE_VECTORS = 4 }; /* 6 x 4 of the 32 registers hold a tile of C */
typedef __m512 VF;
typedef __m512d VD;

static inline __mmask16 first(int k) { return (__mmask16)((1u << k) - 1); }
static inline VF v_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void v_store(float *p, VF v) { _mm512_storeu_ps(p, v); }
static inline VF v_load_n(const float *p, int k) { return _mm512_maskz_loadu_ps(first(k), p); }
static inline void v_store_n(float *p, int k, VF v) { _mm512_mask_storeu_ps(p, first(k), v); }
static inline VF v_keep_n(VF v, int k) { return _mm512_maskz_mov_ps(first(k), v); }
static inline VF v_set(float a) { return _mm512_set1_ps(a); }
static inline VF v_add(VF a, VF b) { return _mm512_add_ps(a, b); }
static inline VF v_sub(VF a, VF b) { return _mm512_sub_ps(a, b); }
static inline VF v_mul(VF a, VF b) { return _mm512_mul_ps(a, b); }
static inline VF v_div(VF a, VF b) { return _mm512_div_ps(a, b); }
static inline VF v_fma(VF a, VF b, VF c) { return _mm512_fmadd_ps(a, b, c); }
static inline VF v_neg_abs(VF v) { return _mm512_or_ps(v, _mm512_set1_ps(-0.0f)); }
static inline VF v_pick_negative(VF g, VF a, VF b) {
    return _mm512_mask_mov_ps(b, _mm512_cmp_ps_mask(g, _mm512_setzero_ps(), _CMP_LT_OQ), a);
}
static inline VF v_raise_max(VF m, VF v) {
    /* max gives its second operand if either is NaN: m's own NaN is put back */
    return _mm512_mask_mov_ps(_mm512_max_ps(m, v), _mm512_cmp_ps_mask(m, m, _CMP_UNORD_Q), m);
}
static inline VF v_max(VF a, VF b) { return _mm512_max_ps(a, b); }
static inline VF v_min(VF a, VF b) { return _mm512_min_ps(a, b); }
static inline VD low(VF v) { return _mm512_cvtps_pd(_mm512_castps512_ps256(v)); }
static inline VD high(VF v) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1)); }
static inline void v_add_wide(VD acc[2], VF v) {
    acc[0] = _mm512_add_pd(acc[0], low(v));
    acc[1] = _mm512_add_pd(acc[1], high(v));
}
static inline void v_mul_wide(VD acc[2], VF a, VF b) {
    acc[0] = _mm512_fmadd_pd(low(a), low(b), acc[0]);
    acc[1] = _mm512_fmadd_pd(high(a), high(b), acc[1]);
}
static inline void v_store_wide(double *p, VD acc) { _mm512_storeu_pd(p, acc); }
static inline VD v_load_wide(const double *p) { return _mm512_loadu_pd(p); }
static inline VD v_set_wide(double a) { return _mm512_set1_pd(a); }
static inline VD v_take_wide(VD a, VD b, VD c) { return _mm512_fnmadd_pd(a, b, c); }

static inline VF v_exp(VF x) {
    /* min and max give their second operand if it is NaN, so a NaN stays */
    x = _mm512_max_ps(v_set(LB_EXP_MIN), _mm512_min_ps(v_set(LB_EXP_MAX), x));
    VF n = _mm512_roundscale_ps(v_mul(x, v_set(LB_EXP_LOG2E)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    VF r = _mm512_fnmadd_ps(n, v_set(LB_EXP_HI), x);
    r = _mm512_fnmadd_ps(n, v_set(LB_EXP_LO), r);
    VF p = v_fma(v_set(LB_EXP_C6), r, v_set(LB_EXP_C5));
    p = v_fma(p, r, v_set(LB_EXP_C4));
    p = v_fma(p, r, v_set(LB_EXP_C3));
    p = v_fma(p, r, v_set(LB_EXP_C2));
    p = v_add(v_set(1), v_fma(v_mul(r, r), p, r));
    return _mm512_scalef_ps(p, n); /* p 2^n, rounded once, also when subnormal */
}

#include "math/kernels_simd.h"

static void panel_n(lb_mat C, lb_cmat A, const float *B, bool add) {
    int last = (int)((C.cols - 1) % W) + 1;
    assert(C.cols >= 1 && C.cols <= LB_PANEL_WIDE);
    switch ((C.cols - 1) / W) {
    case 0:
        strip(C, A, B, LB_PANEL_WIDE, 1, last, add);
        break;
    case 1:
        strip(C, A, B, LB_PANEL_WIDE, 2, last, add);
        break;
    case 2:
        strip(C, A, B, LB_PANEL_WIDE, 3, last, add);
        break;
    default:
        strip(C, A, B, LB_PANEL_WIDE, 4, last, add);
    }
}

/* x[i][l] becomes x[l][i]: for each bit of a place in a row, what has it set in one of row and lane changes sides. */
static inline void transpose(VF x[W]) {
    const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
#pragma GCC unroll 4
    for (int bit = W / 2; bit > 0; bit /= 2) {
        const __m512i b = _mm512_set1_epi32(bit), other = _mm512_xor_si512(lane, b);
        const __mmask16 set = _mm512_test_epi32_mask(lane, b);
        /* from the pair (row, row + bit): 16 and up is a lane of the second */
        const __m512i low = _mm512_mask_add_epi32(lane, set, other, _mm512_set1_epi32(W));
        const __m512i high = _mm512_mask_add_epi32(other, set, lane, _mm512_set1_epi32(W));
#pragma GCC unroll 16
        for (int i = 0; i < W; i++)
            if (!(i & bit)) {
                VF a = x[i];
                x[i] = _mm512_permutex2var_ps(a, low, x[i + bit]);
                x[i + bit] = _mm512_permutex2var_ps(a, high, x[i + bit]);
            }
    }
}

static void pack_n(float *B, lb_cmat M) {
    for (int64_t j = 0; j < LB_PANEL_WIDE; j += W)
        for (int64_t p = 0; p < M.cols; p += W) {
            VF x[W];
            int k = left(p, M.cols);
#pragma GCC unroll 16
            for (int i = 0; i < W; i++) x[i] = j + i < M.rows ? v_load_n(M.d + (j + i) * M.ld + p, k) : v_set(0);
            transpose(x);
#pragma GCC unroll 16
            for (int i = 0; i < W; i++)
                if (i < k) v_store(B + (p + i) * LB_PANEL_WIDE + j, x[i]);
        }
}

const lb_kernels lb_kernels_avx512 = {"avx512", exp_n,   exp_sum_n, sum_exp_n,   max_n,    range_n,        grid_n,
                                      bf16_n,   dot_n,   scale_n,   axpy_n,      sub_tn_n, lb_grid_column, swiglu_n,
                                      act_n,    slope_n, rmsnorm_n, layernorm_n, matmul_n, panel_n,        pack_n};
#endif
