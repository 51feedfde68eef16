/* FP8: elements of E4M3FN (Micikevicius et al. 2022, arXiv:2209.05433: 4 bits of exponent, 3 of mantissa, no infinity,
 * 448 the largest, one NaN a sign), rounded half to even and saturating, with a scale for each block: w = scale x,
 * scale the block's largest |w| / 448. A block of zeros has scale 1. */
#include <math.h>
#include <string.h>

#include "quant/formats/elements.h"
#include "quant/grid.h"

#define LARGEST  448.0f
#define NO_CODE  0x7f      /* NaN, with either sign */
#define SMALLEST 0.015625f /* 2^-6, that is not subnormal */

static uint8_t element(float x) {
    uint32_t u;
    float a = fabsf(x);
    int sign = signbit(x) ? 0x80 : 0;
    if (!(a < LARGEST)) a = LARGEST;
    if (a < SMALLEST) return (uint8_t)(sign | (int)rintf(a * 512.0f)); /* in steps of 2^-9; eight are 2^-6 */
    memcpy(&u, &a, sizeof u);
    u += 0x7ffff + (u >> 20 & 1);
    return (uint8_t)(sign | (int)((u >> 20) - ((127 - 7) << 3)));
}

static float value(uint8_t code) {
    uint32_t u = (uint32_t)(code & 0x7f) << 20;
    u += (uint32_t)(127 - 7) << 23;
    float a;
    memcpy(&a, &u, sizeof a);
    if ((code & 0x78) == 0) a = (float)(code & 7) * 0x1p-9f;
    return code & 0x80 ? -a : a;
}

static bool is_code(uint8_t code) { return (code & NO_CODE) != NO_CODE; }

static int parts(const lb_storage *s, int64_t rows, int64_t cols, lb_part out[LB_MOST_PARTS]) {
    out[0] = (lb_part){LB_SLOT_CODES, LB_FORM_STREAM, .n = rows * cols, .width = s->bits,
                       .counted = offsetof(lb_size, codes)};
    out[1] = (lb_part){LB_SLOT_SCALE, LB_FORM_FLOATS, .n = lb_storage_scales(s, rows, cols), .type = s->scale_type,
                       .counted = offsetof(lb_size, scales)};
    return 2;
}

static lb_status fit(const lb_storage *s, bool clip_search, const float *x, int64_t n, float *scale, float *zero) {
    (void)clip_search;
    float low, high;
    LB_TRY(lb_grid_range(x, n, 1, &low, &high));
    float absmax = -low > high ? -low : high, exact = absmax / LARGEST;
    if (absmax > 0 && !(exact > 0)) exact = 0x1p-149f; /* the division underflows */
    *scale = 1.0f;
    *zero = 0;
    return absmax > 0 ? lb_scale_store(s->scale_type, exact, scale) : LB_OK;
}

LB_FORMAT_ELEMENTS(element, value)

const lb_format lb_fp8 = {
    .name = "fp8",
    .summary = "8-bit floats E4M3FN, saturating, with a scale a block",
    .shape = LB_SHAPE_ROWS,
    .bits_min = 8,
    .bits_max = 8,
    .has = LB_HAS_SCALE_TYPE,
    .parts = parts,
    .fit = fit,
    .encode = encode,
    .decode = decode,
    .is_code = is_code,
};
