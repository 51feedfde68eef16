#include "math/activation.h"

#include <math.h>
#include <string.h>

#include "math/kernels.h"

enum { CHUNK = 256 };

static void silu(float *y, const float *x, int64_t n) {
    lb_act_apply(LB_ACT_SIGMOID, y, x, n);
    for (int64_t i = 0; i < n; i++) y[i] = y[i] + x[i] * y[i] * (1.0f - y[i]);
}

static void relu(float *y, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = x[i] > 0.0f ? 1.0f : x[i] == x[i] ? 0.0f : x[i];
}

/* Phi(x) + x phi(x), where gelu(x) = x Phi(x). */
static void gelu(float *y, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = -0.5f * x[i] * x[i];
    lb_kernels_active()->exp(y, y, n);
    for (int64_t i = 0; i < n; i++) y[i] = 0.5f * (1.0f + erff(x[i] * 0.70710678f)) + x[i] * 0.39894228f * y[i];
}

/* s + x s (1 - s) 2 u', where gelu_tanh(x) = x s, s = 1 / (1 + exp(-2 u)), u = sqrt(2 / pi) (x + 0.044715 x^3) */
static void gelu_tanh(float *y, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = -1.5957691f * x[i] * (1.0f + 0.044715f * x[i] * x[i]);
    lb_kernels_active()->exp(y, y, n);
    for (int64_t i = 0; i < n; i++) {
        float s = 1.0f / (1.0f + y[i]);
        y[i] = s + x[i] * s * (1.0f - s) * 1.5957691f * (1.0f + 0.134145f * x[i] * x[i]);
    }
}

static void sigmoid(float *y, const float *x, int64_t n) {
    lb_act_apply(LB_ACT_SIGMOID, y, x, n);
    for (int64_t i = 0; i < n; i++) y[i] *= 1.0f - y[i];
}

void lb_act_slope(lb_act f, float *y, const float *x, int64_t n) {
    static void (*const of[LB_ACTS])(float *, const float *, int64_t) = {silu, relu, gelu, gelu_tanh, sigmoid};
    float in[CHUNK];
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t k = n - i < CHUNK ? n - i : CHUNK;
        memcpy(in, x + i, (size_t)k * sizeof *in);
        of[f](y + i, in, k);
    }
}
