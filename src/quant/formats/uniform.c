/* The uniform grid: w = scale (code - zero), zeros whole numbers of `bits` bits, or 2^(bits-1) if symmetric, which is
 * not stored. Codes are packed row by row. Fitting and rounding: quant/grid.h.
 * One bit: with a zero, by the same rule, so that one of the two values is 0 and the other the end of the range that
 * is farther away. Symmetric, that rule would leave half of the weights at 0: the two values are -m and m, m the mean
 * of |w|, the least squares scale of signs (Rastegari et al. 2016, arXiv:1603.05279, eq. 6), the code is 1 for w >= 0,
 * and scale is 2m with a zero of 1/2. */
#include <math.h>

#include "math/kernels.h"
#include "quant/format.h"
#include "quant/grid.h"

static int parts(const lb_storage *s, int64_t rows, int64_t cols, lb_part out[LB_MOST_PARTS]) {
    int64_t scales = lb_storage_scales(s, rows, cols);
    int n = 0;
    out[n++] = (lb_part){LB_SLOT_CODES, LB_FORM_ROWS,     .n = rows,
                         .cols = cols,  .width = s->bits, .counted = offsetof(lb_size, codes)};
    out[n++] = (lb_part){LB_SLOT_SCALE, LB_FORM_FLOATS, .n = scales, .type = s->scale_type,
                         .counted = offsetof(lb_size, scales)};
    if (!s->symmetric)
        out[n++] =
            (lb_part){LB_SLOT_ZERO, LB_FORM_WHOLE, .n = scales, .width = s->bits, .counted = offsetof(lb_size, zeros)};
    return n;
}

static bool signs(const lb_storage *s) { return s->bits == 1 && s->symmetric; }

static lb_status accepts(const lb_storage *s, bool clip_search) {
    if (!signs(s) || !clip_search) return LB_OK;
    return lb_fail(LB_E_UNSUPPORTED, "mse true does not apply to symmetric codes of 1 bit: there is no range to clip");
}

static lb_status fit_signs(const lb_storage *s, const float *x, int64_t n, float *scale, float *zero) {
    float low, high;
    double sum = 0;
    LB_TRY(lb_grid_range(x, n, 1, &low, &high));
    for (int64_t i = 0; i < n; i++) sum += fabs((double)x[i]);
    *scale = 0;
    *zero = lb_storage_zero(s);
    return sum > 0 ? lb_scale_store(s->scale_type, (float)(2 * sum / (double)n), scale) : LB_OK;
}

static lb_status fit(const lb_storage *s, bool clip_search, const float *x, int64_t n, float *scale, float *zero) {
    if (signs(s)) return fit_signs(s, x, n, scale, zero);
    lb_gridspec g = {s->bits, s->symmetric, clip_search, s->scale_type};
    return lb_grid_fit(&g, x, n, 1, scale, zero);
}

static void encode(const lb_storage *s, const float *x, int64_t n, float scale, float zero, uint8_t *code) {
    if (signs(s)) {
        for (int64_t i = 0; i < n; i++) code[i] = x[i] >= 0;
        return;
    }
    int maxq = (1 << s->bits) - 1;
    for (int64_t i = 0; i < n; i++) code[i] = lb_grid_code(x[i], scale, zero, maxq);
}

static void decode(const lb_storage *s, const uint8_t *code, int64_t n, float scale, float zero, float *x) {
    (void)s;
    for (int64_t i = 0; i < n; i++) x[i] = lb_grid_value(code[i], scale, zero);
}

static bool encode_column(uint8_t *code, double *err, const double *w, const float *scale, const float *zero, double d,
                          int64_t n, const lb_storage *s) {
    if (signs(s)) return lb_format_column_by_value(code, err, w, scale, zero, d, n, s);
    return lb_kernels_active()->grid_column(code, err, w, scale, zero, (float)((1 << s->bits) - 1), d, n);
}

const lb_format lb_uniform = {
    .name = "int",
    .summary = "uniform grid, whole zeros or none",
    .shape = LB_SHAPE_ROWS,
    .bits_min = 1,
    .bits_max = 8,
    .has = LB_HAS_SYMMETRIC | LB_HAS_SCALE_TYPE | LB_HAS_CLIP_SEARCH | LB_HAS_GRID,
    .parts = parts,
    .accepts = accepts,
    .fit = fit,
    .encode = encode,
    .decode = decode,
    .encode_column = encode_column,
};
