#include "math/actquant.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* Comparisons, not fminf: a NaN passes through and stays visible. */
static float clamp(float q, float lo, float hi) { return q < lo ? lo : q > hi ? hi : q; }

static void symmetric_row(int bits, const float *x, float *y, int64_t n) {
    float top = (float)((1 << (bits - 1)) - 1), mag = 0;
    for (int64_t i = 0; i < n; i++) mag = fabsf(x[i]) > mag ? fabsf(x[i]) : mag;
    float scale = mag / top;
    /* A scale of 0 stands for a row of zeros, or one so small that no code but 0 can be told apart. */
    for (int64_t i = 0; i < n; i++) y[i] = scale > 0 ? clamp(rintf(x[i] / scale), -top, top) * scale : x[i] * 0;
}

static void asymmetric_row(int bits, const float *x, float *y, int64_t n) {
    float top = (float)((1 << bits) - 1), lo = 0, hi = 0;
    for (int64_t i = 0; i < n; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    float scale = (hi - lo) / top, zero = scale > 0 ? rintf(-lo / scale) : 0;
    for (int64_t i = 0; i < n; i++)
        y[i] = scale > 0 ? (clamp(rintf(x[i] / scale) + zero, 0, top) - zero) * scale : x[i] * 0;
}

void lb_actquant_apply(const lb_actquant *act, lb_cmat x, lb_mat y) {
    assert(x.rows == y.rows && x.cols == y.cols);
    assert(act->bits == 0 || (act->bits >= 2 && act->bits <= 8));
    for (int64_t r = 0; r < x.rows; r++) {
        const float *from = x.d + r * x.ld;
        float *to = y.d + r * y.ld;
        if (act->bits && act->symmetric)
            symmetric_row(act->bits, from, to, x.cols);
        else if (act->bits)
            asymmetric_row(act->bits, from, to, x.cols);
        else if (to != from)
            memcpy(to, from, (size_t)x.cols * sizeof *to);
    }
}
