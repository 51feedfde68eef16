/* Codebooks of 4-bit codes and the second quantization of their scales. Values and rules: Dettmers et al. 2023
 * (arXiv:2305.14314) section 3 and bitsandbytes; the dynamic map: Dettmers et al. 2022 (arXiv:2110.02861). */
#include <math.h>

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

const float *lb_codebook(lb_codebook_id id) { return id == LB_BOOK_NF4 ? nf4 : fp4; }

const float *lb_dynamic_map(void) { return dynamic_map; }

lb_codebook_cuts lb_codebook_cuts_of(lb_codebook_id id) {
    const float *book = lb_codebook(id);
    lb_codebook_cuts c;
    c.code = id == LB_BOOK_NF4 ? nf4_order : fp4_order;
    for (int i = 0; i < LB_CODEBOOK_VALUES - 1; i++) c.cut[i] = (book[c.code[i]] + book[c.code[i + 1]]) / 2;
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
