/* The uniform grid: fitting a range and rounding to it, float32 and in the reference code's order of operations.
 * scale = (max - min) / maxq, q = clamp(rint(x / scale) + zero, 0, maxq) by true division, half to even.
 * source  Jacob et al. 2018 (arXiv:1712.05877) eq. 1; the range contains 0 and the clip search as in the GPTQ authors'
 * quantizer. */
#ifndef LB_QUANT_GRID_H
#define LB_QUANT_GRID_H

#include "base/team.h"
#include "quant/layer.h"

typedef struct lb_gridspec {
    int bits;
    bool symmetric;
    bool clip_search;
    lb_scale_type scale_type;
} lb_gridspec;

/* x[i * stride], i < n: one row, one group, or a strided run. An all-zero run gets the range (-1, 1). zero is
 * 2^(bits-1) if symmetric. clip_search: 80 shrink steps of 1/100, error sum |x^ - x|^2.4, the first strict minimum.
 * LB_E_NUMERIC: NaN or infinity, or a scale that its type
 * cannot hold. */
LB_NODISCARD lb_status lb_grid_fit(const lb_gridspec *g, const float *x, int64_t n, int64_t stride, float *scale,
                                   float *zero);
/* The range of such a run, with 0 in it. LB_E_NUMERIC: NaN or infinity. */
LB_NODISCARD lb_status lb_grid_range(const float *x, int64_t n, int64_t stride, float *low, float *high);
/* Scale and zero of a range with 0 in it, as lb_grid_fit makes them without a clip search, but that a scale saturates
 * (for ranges within one that was fitted). */
void lb_grid_of(const lb_gridspec *g, float low, float high, float *scale, float *zero);
/* Half to even, within [-512, 512]: beyond it no code changes. Then the addition of 1.5 * 2^23 rounds. Inlined, so that
 * loops over it become vector code. a > b ? a : b is one instruction, and b if a is NaN. */
static inline float lb_grid_round(float v) {
    v = v > -512.0f ? v : -512.0f;
    v = v < 512.0f ? v : 512.0f;
    return (v + 12582912.0f) - 12582912.0f;
}
static inline uint8_t lb_grid_code(float x, float scale, float zero, int maxq) {
    float v = lb_grid_round(x / scale) + zero, top = (float)maxq;
    v = v > 0.0f ? v : 0.0f;
    return (uint8_t)(int)(v < top ? v : top);
}
static inline float lb_grid_value(uint8_t code, float scale, float zero) { return scale * ((float)code - zero); }
/* Round-to-nearest of a whole matrix onto storage `s`, whose format has codes: what `rtn` and `nf4` do, and the
 * yardstick for errors. */
LB_NODISCARD lb_status lb_round_to_nearest(lb_arena *a, const lb_storage *s, bool clip_search, lb_cmat W,
                                           lb_layer *out);
/* The same in row panels over a team. */
LB_NODISCARD lb_status lb_round_to_nearest_team(lb_arena *a, const lb_storage *s, bool clip_search, lb_cmat W,
                                                lb_team *team, lb_layer *out);
/* Of a layer of floats instead, made by the stage before: its mask stays, and blocks know only what is kept. `s` as
 * lb_storage_round gives it. */
LB_NODISCARD lb_status lb_round_floats(lb_arena *a, const lb_storage *s, bool clip_search, const lb_layer *floats,
                                       lb_team *team, lb_layer *out);

#endif
