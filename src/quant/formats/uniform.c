/* The uniform grid: w = scale (code - zero), zeros whole numbers of `bits` bits, or 2^(bits-1) if symmetric, which is
 * not stored. Codes are packed row by row. Fitting and rounding: quant/grid.h. */
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

static lb_status fit(const lb_storage *s, bool clip_search, const float *x, int64_t n, float *scale, float *zero) {
    lb_gridspec g = {s->bits, s->symmetric, clip_search, s->scale_type};
    return lb_grid_fit(&g, x, n, 1, scale, zero);
}

static void encode(const lb_storage *s, const float *x, int64_t n, float scale, float zero, uint8_t *code) {
    int maxq = (1 << s->bits) - 1;
    for (int64_t i = 0; i < n; i++) code[i] = lb_grid_code(x[i], scale, zero, maxq);
}

static void decode(const lb_storage *s, const uint8_t *code, int64_t n, float scale, float zero, float *x) {
    (void)s;
    for (int64_t i = 0; i < n; i++) x[i] = lb_grid_value(code[i], scale, zero);
}

static bool encode_column(uint8_t *code, double *err, const double *w, const float *scale, const float *zero, double d,
                          int64_t n, const lb_storage *s) {
    return lb_kernels_active()->grid_column(code, err, w, scale, zero, (float)((1 << s->bits) - 1), d, n);
}

const lb_format lb_uniform = {
    .name = "int",
    .summary = "uniform grid, whole zeros or none",
    .shape = LB_SHAPE_ROWS,
    .bits_min = 2,
    .bits_max = 8,
    .has = LB_HAS_SYMMETRIC | LB_HAS_SCALE_TYPE | LB_HAS_CLIP_SEARCH | LB_HAS_GRID,
    .parts = parts,
    .fit = fit,
    .encode = encode,
    .decode = decode,
    .encode_column = encode_column,
};
