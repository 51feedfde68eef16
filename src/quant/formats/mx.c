/* MXFP4: elements of E2M1 (2 bits of exponent, 1 of mantissa), rounded half to even and saturating at 6, in blocks of
 * 32 columns that share a scale of E8M0, a power of two in one byte: 2^(floor(log2 of the largest |w|) - 2), at least
 * 2^-127. source  OCP Microscaling Formats (MX) Specification 1.0 (2023), 5.3 and 6.3 */
#include <math.h>

#include "quant/formats/elements.h"
#include "quant/grid.h"

#define BLOCK    32
#define EXPONENT 2 /* of the largest element, 6 = 1.5 * 2^2 */

static const float values[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                 -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};

/* Half way between two elements: the one with an even mantissa. */
static uint8_t element(float x) {
    float a = fabsf(x);
    int m = (a > 0.25f) + (a >= 0.75f) + (a > 1.25f) + (a >= 1.75f) + (a > 2.5f) + (a >= 3.5f) + (a > 5.0f);
    return (uint8_t)(m | (signbit(x) ? 8 : 0));
}

static float value(uint8_t code) { return values[code]; }

LB_FORMAT_ELEMENTS(element, value)

static int parts(const lb_storage *s, int64_t rows, int64_t cols, lb_part out[LB_MOST_PARTS]) {
    out[0] = (lb_part){LB_SLOT_CODES, LB_FORM_ROWS,     .n = rows,
                       .cols = cols,  .width = s->bits, .counted = offsetof(lb_size, codes)};
    out[1] = (lb_part){LB_SLOT_SCALE, LB_FORM_FLOATS, .n = lb_storage_scales(s, rows, cols), .type = LB_SCALE_E8M0,
                       .counted = offsetof(lb_size, scales)};
    return 2;
}

static lb_status fit(const lb_storage *s, bool clip_search, const float *x, int64_t n, float *scale, float *zero) {
    (void)s, (void)clip_search;
    float low, high;
    int e = 0;
    LB_TRY(lb_grid_range(x, n, 1, &low, &high));
    (void)frexpf(-low > high ? -low : high, &e); /* in [1/2, 1) 2^e */
    e = (low == 0 && high == 0) || e - 1 - EXPONENT < -127 ? -127 : e - 1 - EXPONENT;
    *scale = ldexpf(1.0f, e);
    *zero = 0;
    return LB_OK;
}

const lb_format lb_mxfp4 = {
    .name = "mxfp4",
    .summary = "4-bit floats E2M1 in blocks of 32 with power-of-two scales",
    .shape = LB_SHAPE_ROWS,
    .bits_min = 4,
    .bits_max = 4,
    .group = BLOCK,
    .parts = parts,
    .fit = fit,
    .encode = encode,
    .decode = decode,
};
