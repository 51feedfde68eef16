/* The uniform grid with real zeros: w = scale (code - zero), scale and zero floats of scale_type. The range is the
 * block's own and need not hold 0; a block of one value keeps it exactly. As in Badri & Shaji 2023 (HQQ), whose search
 * for better zeros is a method (algorithms/hqq.c). */
#include <math.h>

#include "quant/format.h"
#include "quant/grid.h"

static int parts(const lb_storage *s, int64_t rows, int64_t cols, lb_part out[LB_MOST_PARTS]) {
    int64_t scales = lb_storage_scales(s, rows, cols);
    out[0] = (lb_part){LB_SLOT_CODES, LB_FORM_ROWS,     .n = rows,
                       .cols = cols,  .width = s->bits, .counted = offsetof(lb_size, codes)};
    out[1] = (lb_part){LB_SLOT_SCALE, LB_FORM_FLOATS, .n = scales, .type = s->scale_type,
                       .counted = offsetof(lb_size, scales)};
    out[2] = (lb_part){LB_SLOT_ZERO, LB_FORM_FLOATS, .n = scales, .type = s->scale_type,
                       .counted = offsetof(lb_size, zeros)};
    return 3;
}

static lb_status fit(const lb_storage *s, bool clip_search, const float *x, int64_t n, float *scale, float *zero) {
    (void)clip_search;
    float low = x[0], high = x[0];
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            return lb_fail(LB_E_NUMERIC, "grid: value %lld is %g: must be finite", (long long)i, (double)x[i]);
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    if (!isfinite(high - low))
        return lb_fail(LB_E_NUMERIC, "grid: the range from %g to %g overflows float32", (double)low, (double)high);
    float step = (high - low) / (float)((1 << s->bits) - 1);
    if (!(step > 0)) step = low != 0 ? fabsf(low) : 1.0f;
    LB_TRY(lb_scale_store(s->scale_type, step, scale));
    return lb_number_store(s->scale_type, "zero", -low / *scale, zero);
}

static void encode(const lb_storage *s, const float *x, int64_t n, float scale, float zero, uint8_t *code) {
    float top = (float)((1 << s->bits) - 1);
    for (int64_t i = 0; i < n; i++) {
        float v = rintf(x[i] / scale + zero);
        v = v > 0.0f ? v : 0.0f; /* 0 if it is NaN */
        code[i] = (uint8_t)(int)(v < top ? v : top);
    }
}

static void decode(const lb_storage *s, const uint8_t *code, int64_t n, float scale, float zero, float *x) {
    (void)s;
    for (int64_t i = 0; i < n; i++) x[i] = lb_grid_value(code[i], scale, zero);
}

const lb_format lb_affine = {
    .name = "affine",
    .summary = "uniform grid, real zeros",
    .shape = LB_SHAPE_ROWS,
    .bits_min = 1,
    .bits_max = 8,
    .has = LB_HAS_SCALE_TYPE,
    .parts = parts,
    .fit = fit,
    .encode = encode,
    .decode = decode,
};
