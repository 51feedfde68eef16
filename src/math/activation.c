#include "math/activation.h"

#include <math.h>
#include <string.h>

#include "math/kernels.h"

/* Values that are worked on at a time, in arrays of their own: loops over those become vectors. */
enum { CHUNK = 256 };

static void silu(float *y, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = -x[i];
    lb_kernels_active()->exp(y, y, n);
    for (int64_t i = 0; i < n; i++) y[i] = x[i] / (1.0f + y[i]);
}

static void sigmoid(float *y, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = -x[i];
    lb_kernels_active()->exp(y, y, n);
    for (int64_t i = 0; i < n; i++) y[i] = 1.0f / (1.0f + y[i]);
}

static void relu(float *y, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = x[i] < 0.0f ? 0.0f : x[i];
}

/* x / 2 (1 + erf(x / sqrt 2)). erfc(z), z >= 0: Press et al., Numerical Recipes, 2nd ed., section 6.2, within 1.2e-7
 * relative. */
static void gelu(float *y, const float *x, int64_t n) {
    float t[CHUNK];
    for (int64_t i = 0; i < n; i++) {
        float z = fabsf(x[i]) * 0.70710678f, u = 1.0f / (1.0f + 0.5f * z);
        float p = -0.82215223f + u * 0.17087277f;
        p = -1.13520398f + u * (1.48851587f + u * p);
        p = 0.09678418f + u * (-0.18628806f + u * (0.27886807f + u * p));
        p = -1.26551223f + u * (1.00002368f + u * (0.37409196f + u * p));
        t[i] = u;
        y[i] = p - z * z;
    }
    lb_kernels_active()->exp(y, y, n);
    for (int64_t i = 0; i < n; i++) {
        float half = 0.5f * t[i] * y[i];
        y[i] = x[i] < 0.0f ? x[i] * half : x[i] - x[i] * half;
    }
}

/* x / 2 (1 + tanh u) = x / (1 + exp(-2 u)), u = sqrt(2 / pi) (x + 0.044715 x^3) */
static void gelu_tanh(float *y, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = -1.5957691f * x[i] * (1.0f + 0.044715f * x[i] * x[i]);
    lb_kernels_active()->exp(y, y, n);
    for (int64_t i = 0; i < n; i++) y[i] = x[i] / (1.0f + y[i]);
}

void lb_act_apply(lb_act f, float *y, const float *x, int64_t n) {
    static void (*const of[LB_ACTS])(float *, const float *, int64_t) = {silu, relu, gelu, gelu_tanh, sigmoid};
    float in[CHUNK], out[CHUNK];
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t k = n - i < CHUNK ? n - i : CHUNK;
        memcpy(in, x + i, (size_t)k * sizeof *in);
        of[f](out, in, k);
        memcpy(y + i, out, (size_t)k * sizeof *out);
    }
}

/* tanh near zero: the polynomial of Moshier's Cephes, tanhf.c; beyond, 1 - 2 / (exp(2 |z|) + 1). */
void lb_act_cap(float *y, float cap, int64_t n) {
    float z[CHUNK], e[CHUNK];
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t k = n - i < CHUNK ? n - i : CHUNK;
        for (int64_t j = 0; j < k; j++) {
            z[j] = y[i + j] / cap;
            e[j] = 2.0f * fabsf(z[j]);
        }
        lb_kernels_active()->exp(e, e, k);
        for (int64_t j = 0; j < k; j++) {
            float s = z[j] * z[j], p = 2.06390887954e-2f + s * -5.70498872745e-3f;
            p = -3.33332819422e-1f + s * (1.33314422036e-1f + s * (-5.37397155531e-2f + s * p));
            float far = 1.0f - 2.0f / (e[j] + 1.0f), near = z[j] + z[j] * s * p;
            y[i + j] = cap * (fabsf(z[j]) < 0.625f ? near : copysignf(far, z[j]));
        }
    }
}
