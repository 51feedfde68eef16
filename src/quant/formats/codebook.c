/* Codebooks of 4-bit codes, whose blocks carry their absmax and run over the matrix, and the second quantization of
 * those. Codes are packed without a gap; the sixteen values are counted once a layer. The dynamic 8-bit map of
 * double_quant is a number format, like float16, and takes nothing.
 * source  values and rules: Dettmers et al. 2023 (arXiv:2305.14314) section 3 and bitsandbytes; the dynamic map:
 *         Dettmers et al. 2022 (arXiv:2110.02861) */
#include "quant/formats/codebook.h"

#include <math.h>
#include <string.h>

#include "math/half.h"
#include "quant/grid.h"

static const float nf4[LB_CODEBOOK_VALUES] = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

/* Sign in bit 3, magnitudes in twelfths. */
static const float fp4[LB_CODEBOOK_VALUES] = {
    0.0f, 0.0625f / 12,  8.0f / 12,  12.0f / 12,  4.0f / 12,  6.0f / 12,  2.0f / 12,  3.0f / 12,
    0.0f, -0.0625f / 12, -8.0f / 12, -12.0f / 12, -4.0f / 12, -6.0f / 12, -2.0f / 12, -3.0f / 12,
};

/* Codes by ascending value; FP4 has two zeros, the plain one first. */
static const uint8_t nf4_order[LB_CODEBOOK_VALUES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
static const uint8_t fp4_order[LB_CODEBOOK_VALUES] = {11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3};

/* The signed dynamic 8-bit map: seven decades, each with twice the fractions of the one below; 0 and 1. */
static const float dynamic_map[256] = {
    -0.99296874f,    -0.9789063f,   -0.96484375f,    -0.9507812f,    -0.93671876f,    -0.92265624f,    -0.9085938f,
    -0.89453125f,    -0.8804687f,   -0.86640626f,    -0.85234374f,   -0.8382813f,     -0.82421875f,    -0.8101562f,
    -0.79609376f,    -0.78203124f,  -0.7679688f,     -0.75390625f,   -0.7398437f,     -0.72578126f,    -0.7117188f,
    -0.6976563f,     -0.68359375f,  -0.6695312f,     -0.65546876f,   -0.6414063f,     -0.6273438f,     -0.61328125f,
    -0.5992187f,     -0.58515626f,  -0.5710938f,     -0.5570313f,    -0.54296875f,    -0.5289062f,     -0.5148437f,
    -0.50078124f,    -0.4867187f,   -0.47265625f,    -0.45859373f,   -0.44453126f,    -0.43046874f,    -0.41640624f,
    -0.40234375f,    -0.38828123f,  -0.37421876f,    -0.36015624f,   -0.34609374f,    -0.33203125f,    -0.31796873f,
    -0.30390626f,    -0.28984374f,  -0.27578127f,    -0.26171875f,   -0.24765624f,    -0.23359375f,    -0.21953125f,
    -0.20546874f,    -0.19140625f,  -0.17734376f,    -0.16328125f,   -0.14921875f,    -0.13515624f,    -0.12109375f,
    -0.107031256f,   -0.09859375f,  -0.09578126f,    -0.092968754f,  -0.09015625f,    -0.08734375f,    -0.08453125f,
    -0.08171876f,    -0.07890625f,  -0.07609375f,    -0.07328125f,   -0.070468746f,   -0.067656256f,   -0.06484375f,
    -0.06203125f,    -0.059218753f, -0.05640625f,    -0.05359375f,   -0.05078125f,    -0.04796875f,    -0.04515625f,
    -0.042343747f,   -0.03953125f,  -0.036718752f,   -0.03390625f,   -0.03109375f,    -0.028281251f,   -0.02546875f,
    -0.02265625f,    -0.019843752f, -0.01703125f,    -0.01421875f,   -0.01140625f,    -0.00971875f,    -0.009156249f,
    -0.00859375f,    -0.00803125f,  -0.00746875f,    -0.00690625f,   -0.00634375f,    -0.00578125f,    -0.0052187503f,
    -0.0046562497f,  -0.00409375f,  -0.0035312497f,  -0.00296875f,   -0.00240625f,    -0.00184375f,    -0.0012812499f,
    -0.0009437501f,  -0.00083125f,  -0.00071875006f, -0.0006062501f, -0.00049375003f, -0.00038125002f, -0.00026875004f,
    -0.00015625001f, -8.875e-05f,   -6.625e-05f,     -4.375e-05f,    -2.1249998e-05f, -7.75e-06f,      -3.2500002e-06f,
    -5.5000004e-07f, 0.0f,          5.5000004e-07f,  3.2500002e-06f, 7.75e-06f,       2.1249998e-05f,  4.375e-05f,
    6.625e-05f,      8.875e-05f,    0.00015625001f,  0.00026875004f, 0.00038125002f,  0.00049375003f,  0.0006062501f,
    0.00071875006f,  0.00083125f,   0.0009437501f,   0.0012812499f,  0.00184375f,     0.00240625f,     0.00296875f,
    0.0035312497f,   0.00409375f,   0.0046562497f,   0.0052187503f,  0.00578125f,     0.00634375f,     0.00690625f,
    0.00746875f,     0.00803125f,   0.00859375f,     0.009156249f,   0.00971875f,     0.01140625f,     0.01421875f,
    0.01703125f,     0.019843752f,  0.02265625f,     0.02546875f,    0.028281251f,    0.03109375f,     0.03390625f,
    0.036718752f,    0.03953125f,   0.042343747f,    0.04515625f,    0.04796875f,     0.05078125f,     0.05359375f,
    0.05640625f,     0.059218753f,  0.06203125f,     0.06484375f,    0.067656256f,    0.070468746f,    0.07328125f,
    0.07609375f,     0.07890625f,   0.08171876f,     0.08453125f,    0.08734375f,     0.09015625f,     0.092968754f,
    0.09578126f,     0.09859375f,   0.107031256f,    0.12109375f,    0.13515624f,     0.14921875f,     0.16328125f,
    0.17734376f,     0.19140625f,   0.20546874f,     0.21953125f,    0.23359375f,     0.24765624f,     0.26171875f,
    0.27578127f,     0.28984374f,   0.30390626f,     0.31796873f,    0.33203125f,     0.34609374f,     0.36015624f,
    0.37421876f,     0.38828123f,   0.40234375f,     0.41640624f,    0.43046874f,     0.44453126f,     0.45859373f,
    0.47265625f,     0.4867187f,    0.50078124f,     0.5148437f,     0.5289062f,      0.54296875f,     0.5570313f,
    0.5710938f,      0.58515626f,   0.5992187f,      0.61328125f,    0.6273438f,      0.6414063f,      0.65546876f,
    0.6695312f,      0.68359375f,   0.6976563f,      0.7117188f,     0.72578126f,     0.7398437f,      0.75390625f,
    0.7679688f,      0.78203124f,   0.79609376f,     0.8101562f,     0.82421875f,     0.8382813f,      0.85234374f,
    0.86640626f,     0.8804687f,    0.89453125f,     0.9085938f,     0.92265624f,     0.93671876f,     0.9507812f,
    0.96484375f,     0.9789063f,    0.99296874f,     1.0f,
};

const float *lb_dynamic_map(void) { return dynamic_map; }

lb_codebook_cuts lb_codebook_cuts_of(const lb_format *f) {
    lb_codebook_cuts c;
    c.code = f->values == nf4 ? nf4_order : fp4_order;
    for (int i = 0; i < LB_CODEBOOK_VALUES - 1; i++) c.cut[i] = (f->values[c.code[i]] + f->values[c.code[i + 1]]) / 2;
    return c;
}

uint8_t lb_codebook_code(const lb_codebook_cuts *c, float x) {
    int i = 0;
    for (int k = 0; k < LB_CODEBOOK_VALUES - 1; k++) i += x > c->cut[k]; /* on a cut: the lower value */
    return c->code[i];
}

/* The nearest entry of the dynamic map; half way: the lower. */
static uint8_t dynamic_code(float x) {
    int low = 0, high = 255;
    while (low < high) {
        int mid = (low + high) / 2;
        if (x > (dynamic_map[mid] + dynamic_map[mid + 1]) / 2)
            low = mid + 1;
        else
            high = mid;
    }
    return (uint8_t)low;
}

void lb_double_quant(const float *absmax, int64_t n, uint8_t *code, float *scale, float *mean) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += absmax[i];
    *mean = (float)(sum / (double)n);
    for (int64_t start = 0; start < n; start += LB_DOUBLE_QUANT_BLOCK) {
        int64_t end = start + LB_DOUBLE_QUANT_BLOCK < n ? start + LB_DOUBLE_QUANT_BLOCK : n;
        float largest = 0;
        for (int64_t i = start; i < end; i++) largest = fmaxf(largest, fabsf(absmax[i] - *mean));
        float inverse = 1.0f / fmaxf(largest, 1e-38f);
        for (int64_t i = start; i < end; i++) code[i] = dynamic_code((absmax[i] - *mean) * inverse);
        scale[start / LB_DOUBLE_QUANT_BLOCK] = largest;
    }
}

void lb_double_quant_expand(const uint8_t *code, const float *scale, float mean, int64_t n, float *absmax) {
    for (int64_t i = 0; i < n; i++) absmax[i] = dynamic_map[code[i]] * scale[i / LB_DOUBLE_QUANT_BLOCK] + mean;
}

static int64_t outer_scales(int64_t scales) { return (scales - 1) / LB_DOUBLE_QUANT_BLOCK + 1; }

static int parts(const lb_storage *s, int64_t rows, int64_t cols, lb_part out[LB_MOST_PARTS]) {
    int64_t scales = lb_storage_scales(s, rows, cols);
    int n = 0;
    out[n++] = (lb_part){LB_SLOT_CODES, LB_FORM_STREAM, .n = rows * cols, .width = s->bits,
                         .counted = offsetof(lb_size, codes)};
    if (s->double_quant) {
        const size_t counted = offsetof(lb_size, scales);
        out[n++] = (lb_part){LB_SLOT_SCALE, LB_FORM_NONE, .n = scales, .counted = counted};
        out[n++] = (lb_part){LB_SLOT_DQ_CODE, LB_FORM_BYTES, .n = scales, .counted = counted};
        out[n++] = (lb_part){LB_SLOT_DQ_SCALE, LB_FORM_FLOATS, .n = outer_scales(scales), .counted = counted};
        out[n++] = (lb_part){LB_SLOT_DQ_MEAN, LB_FORM_FLOATS, .n = 1, .counted = counted};
    } else {
        out[n++] = (lb_part){LB_SLOT_SCALE, LB_FORM_FLOATS, .n = scales, .type = s->scale_type,
                             .counted = offsetof(lb_size, scales)};
    }
    out[n++] = (lb_part){LB_SLOT_FIXED, LB_FORM_FLOATS, .n = LB_CODEBOOK_VALUES, .counted = offsetof(lb_size, codebook),
                         .fixed = s->format->values};
    return n;
}

static lb_status fit(const lb_storage *s, bool clip_search, const float *x, int64_t n, float *scale, float *zero) {
    (void)clip_search;
    float low, high;
    LB_TRY(lb_grid_range(x, n, 1, &low, &high));
    float absmax = -low > high ? -low : fabsf(high);
    *scale = absmax;
    *zero = 0;
    return absmax > 0 ? lb_scale_store(s->scale_type, absmax, scale) : LB_OK;
}

static void encode(const lb_storage *s, const float *x, int64_t n, float scale, float zero, uint8_t *code) {
    (void)zero;
    lb_codebook_cuts cuts = lb_codebook_cuts_of(s->format);
    float inverse = 1.0f / fmaxf(scale, 1e-38f); /* a block of zeros gets the code of 0 */
    for (int64_t i = 0; i < n; i++) code[i] = lb_codebook_code(&cuts, x[i] * inverse);
}

static void decode(const lb_storage *s, const uint8_t *code, int64_t n, float scale, float zero, float *x) {
    (void)zero;
    const float *value = s->format->values;
    for (int64_t i = 0; i < n; i++) x[i] = value[code[i]] * scale;
}

static int64_t scales_of(const lb_layer *c) { return lb_storage_scales(&c->storage, c->rows, c->cols); }

static void expand(lb_layer *c) {
    if (c->dq_code) lb_double_quant_expand(c->dq_code, c->dq_scale, c->dq_mean, scales_of(c), c->scale);
}

/* Codes keep the first scales; what is read back are the second ones. */
static void finish(lb_layer *c) {
    if (!c->dq_code) return;
    lb_double_quant(c->scale, scales_of(c), c->dq_code, c->dq_scale, &c->dq_mean);
    expand(c);
}

/* Scales are what their own codes give. */
static lb_status check(const lb_layer *c) {
    char at[64];
    float expanded[LB_DOUBLE_QUANT_BLOCK];
    int64_t scales = scales_of(c);
    if (!c->dq_code) return LB_OK;
    if (!isfinite(c->dq_mean)) return lb_fail(LB_E_NUMERIC, "dq_mean = %g: must be finite", (double)c->dq_mean);
    for (int64_t i = 0; i < scales; i += LB_DOUBLE_QUANT_BLOCK) {
        const float *scale = &c->dq_scale[i / LB_DOUBLE_QUANT_BLOCK];
        int64_t n = i + LB_DOUBLE_QUANT_BLOCK < scales ? LB_DOUBLE_QUANT_BLOCK : scales - i;
        if (!isfinite(*scale))
            return lb_fail(LB_E_NUMERIC, "dq_scale[%lld] = %g: must be finite", (long long)(i / LB_DOUBLE_QUANT_BLOCK),
                           (double)*scale);
        lb_double_quant_expand(c->dq_code + i, scale, c->dq_mean, n, expanded);
        for (int64_t k = 0; k < n; k++)
            if (lb_f32_bits(expanded[k]) != lb_f32_bits(c->scale[i + k]))
                return lb_fail(LB_E_ARG, "scale %.9g at %s: dq_code, dq_scale and dq_mean give %.9g",
                               (double)c->scale[i + k], lb_block_place(&c->storage, c->cols, i + k, at),
                               (double)expanded[k]);
    }
    return LB_OK;
}

#define CODEBOOK(text, table, about)                                                                                   \
    {                                                                                                                  \
        .name = text, .summary = about, .shape = LB_SHAPE_FLAT, .bits_min = 4, .bits_max = 4,                          \
        .has = LB_HAS_SCALE_TYPE | LB_HAS_DOUBLE_QUANT, .values = table, .parts = parts, .fit = fit, .encode = encode, \
        .decode = decode, .finish = finish, .expand = expand, .check = check                                           \
    }
const lb_format lb_nf4 = CODEBOOK("nf4", nf4, "4-bit NormalFloat");
const lb_format lb_fp4 = CODEBOOK("fp4", fp4, "a 4-bit float, as bitsandbytes has it");
