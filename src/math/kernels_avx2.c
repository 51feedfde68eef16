/* AVX2 and FMA: 8 floats at a time. */
#include "math/kernels_impl.h"

#if defined(__x86_64__)
#include <immintrin.h>

enum { W = 8, TILE_VECTORS = 2 }; /* 6 x 2 of the 16 registers hold a tile of C */
typedef __m256 VF;
typedef __m256d VD;

static const int32_t on_off[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};

static inline __m256i first(int k) { return _mm256_loadu_si256((const __m256i *)(const void *)(on_off + W - k)); }
static inline VF v_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void v_store(float *p, VF v) { _mm256_storeu_ps(p, v); }
static inline VF v_load_n(const float *p, int k) { return _mm256_maskload_ps(p, first(k)); }
static inline void v_store_n(float *p, int k, VF v) { _mm256_maskstore_ps(p, first(k), v); }
static inline VF v_keep_n(VF v, int k) { return _mm256_and_ps(v, _mm256_castsi256_ps(first(k))); }
static inline VF v_set(float a) { return _mm256_set1_ps(a); }
static inline VF v_add(VF a, VF b) { return _mm256_add_ps(a, b); }
static inline VF v_sub(VF a, VF b) { return _mm256_sub_ps(a, b); }
static inline VF v_mul(VF a, VF b) { return _mm256_mul_ps(a, b); }
static inline VF v_div(VF a, VF b) { return _mm256_div_ps(a, b); }
static inline VF v_fma(VF a, VF b, VF c) { return _mm256_fmadd_ps(a, b, c); }
static inline VF v_neg_abs(VF v) { return _mm256_or_ps(v, _mm256_set1_ps(-0.0f)); }
static inline VF v_pick_negative(VF g, VF a, VF b) {
    return _mm256_blendv_ps(b, a, _mm256_cmp_ps(g, _mm256_setzero_ps(), _CMP_LT_OQ));
}
static inline VF v_raise_max(VF m, VF v) {
    /* max gives its second operand if either is NaN: m's own NaN is put back */
    return _mm256_blendv_ps(_mm256_max_ps(m, v), m, _mm256_cmp_ps(m, m, _CMP_UNORD_Q));
}
static inline VF v_max(VF a, VF b) { return _mm256_max_ps(a, b); }
static inline VF v_min(VF a, VF b) { return _mm256_min_ps(a, b); }
static inline VD low(VF v) { return _mm256_cvtps_pd(_mm256_castps256_ps128(v)); }
static inline VD high(VF v) { return _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1)); }
static inline void v_add_wide(VD acc[2], VF v) {
    acc[0] = _mm256_add_pd(acc[0], low(v));
    acc[1] = _mm256_add_pd(acc[1], high(v));
}
static inline void v_mul_wide(VD acc[2], VF a, VF b) {
    acc[0] = _mm256_fmadd_pd(low(a), low(b), acc[0]);
    acc[1] = _mm256_fmadd_pd(high(a), high(b), acc[1]);
}
static inline void v_store_wide(double *p, VD acc) { _mm256_storeu_pd(p, acc); }
static inline VD v_load_wide(const double *p) { return _mm256_loadu_pd(p); }
static inline VD v_set_wide(double a) { return _mm256_set1_pd(a); }
static inline VD v_take_wide(VD a, VD b, VD c) { return _mm256_fnmadd_pd(a, b, c); }

static inline VF pow2(__m256i n) { /* n in [-126, 127] */
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}

static inline VF v_exp(VF x) {
    /* min and max give their second operand if it is NaN, so a NaN stays */
    x = _mm256_max_ps(v_set(LB_EXP_MIN), _mm256_min_ps(v_set(LB_EXP_MAX), x));
    VF n = _mm256_round_ps(v_mul(x, v_set(LB_EXP_LOG2E)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    VF r = _mm256_fnmadd_ps(n, v_set(LB_EXP_HI), x);
    r = _mm256_fnmadd_ps(n, v_set(LB_EXP_LO), r);
    VF p = v_fma(v_set(LB_EXP_C6), r, v_set(LB_EXP_C5));
    p = v_fma(p, r, v_set(LB_EXP_C4));
    p = v_fma(p, r, v_set(LB_EXP_C3));
    p = v_fma(p, r, v_set(LB_EXP_C2));
    p = v_add(v_set(1), v_fma(v_mul(r, r), p, r));
    /* two steps: 2^n itself may be infinite or subnormal; only the second one rounds */
    __m256i whole = _mm256_cvtps_epi32(n), n1 = _mm256_srai_epi32(whole, 1);
    return v_mul(v_mul(p, pow2(n1)), pow2(_mm256_sub_epi32(whole, n1)));
}

#include "math/kernels_simd.h"

const lb_kernels lb_kernels_avx2 = {"avx2", exp_n,   exp_sum_n, sum_exp_n,   max_n,    range_n,        grid_n,
                                    bf16_n, dot_n,   scale_n,   axpy_n,      sub_tn_n, lb_grid_column, swiglu_n,
                                    act_n,  slope_n, rmsnorm_n, layernorm_n, matmul_n, NULL,           NULL};
#endif
